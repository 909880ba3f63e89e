//! The checks of `status --health`, for people.

use super::Printed;
use super::page::{WIDTH, folded};
use crate::plan::view::health::Check;
use crate::words::{line, shown};

/// `status --health`, for people.
pub fn text(checks: &[Check], cluster: &str) -> Printed {
    let (checks, cluster) = (checks.iter().map(shown).collect::<Vec<_>>(), line(cluster));
    let wrong = checks.iter().filter(|check| !check.ok).count();
    let verdict = if wrong == 0 { "all is well".to_owned() } else { format!("{wrong} of {} are not ok", checks.len()) };
    let mut out = format!("k8s-upgrade  health: {verdict}   cluster: {cluster}\n\n");
    for check in &checks {
        folded(&mut out, &format!("  {:7} {:10}", if check.ok { "ok" } else { "WRONG" }, check.name), &check.says, WIDTH);
        if let Some(command) = &check.command {
            out.push_str(&format!("{:10}type      {command}\n", ""));
        }
    }
    Printed::page(out)
}

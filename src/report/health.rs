//! The checks of `status --health`, for people.

use super::{Page, Printed};
use crate::plan::view::health::Check;
use crate::words::{line, shown};

/// `status --health`, for people.
pub fn text(checks: &[Check], cluster: &str) -> Printed {
    let (checks, cluster) = (checks.iter().map(shown).collect::<Vec<_>>(), line(cluster));
    let wrong = checks.iter().filter(|check| !check.ok).count();
    let verdict = if wrong == 0 { "all is well".to_owned() } else { format!("{wrong} of {} are not ok", checks.len()) };
    let mut out = Page::new();
    out.record("k8s-upgrade  ", &format!("health: {verdict}   cluster: {cluster}"));
    out.gap();
    for check in &checks {
        out.prose(&format!("  {:7} {:10}", if check.ok { "ok" } else { "WRONG" }, check.name), &check.says);
        if let Some(command) = &check.command {
            out.command(&format!("{:10}type      ", ""), command);
        }
    }
    Printed::page(out)
}

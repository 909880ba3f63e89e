//! The sections of `check`, for people.

use super::Printed;
use super::page::{WIDTH, folded};
use crate::plan::view::check::{Section, Standing, count};
use crate::words::{line, shown};

/// `check`, for people. Signs stand beside words where they count: a screen without colour says the same.
pub fn text(sections: &[Section], cluster: &str) -> Printed {
    let (sections, cluster) = (sections.iter().map(shown).collect::<Vec<_>>(), line(cluster));
    let (bad, mind) = (count(&sections, Standing::Bad), count(&sections, Standing::Mind));
    let verdict = match (bad, mind) {
        (0, 0) => "all is well".to_owned(),
        (0, mind) => format!("nothing is in the way, {mind} to be known"),
        (bad, 0) => format!("{bad} in the way"),
        (bad, mind) => format!("{bad} in the way, {mind} to be known"),
    };
    let mut out = format!("k8s-upgrade  check: {verdict}   cluster: {cluster}\n");
    for section in &sections {
        out.push_str(&format!("\n{}\n", section.name));
        for finding in &section.findings {
            let sign = match finding.standing {
                Standing::Good => "✓",
                Standing::Mind => "!",
                Standing::Bad => "✗",
            };
            folded(&mut out, &format!("  {sign} "), &finding.says, WIDTH);
            finding.detail.iter().for_each(|line| folded(&mut out, "      ", line, WIDTH));
            if let Some(command) = &finding.command {
                out.push_str(&format!("      type  {command}\n"));
            }
        }
    }
    Printed::page(out)
}

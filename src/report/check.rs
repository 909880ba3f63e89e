//! The sections of `check`, for people.

use super::{Page, Printed};
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
    let mut out = Page::new();
    out.record("k8s-upgrade  ", &format!("check: {verdict}   cluster: {cluster}"));
    for section in &sections {
        out.gap();
        out.record("", section.name);
        for finding in &section.findings {
            let sign = match finding.standing {
                Standing::Good => "✓",
                Standing::Mind => "!",
                Standing::Bad => "✗",
            };
            out.prose(&format!("  {sign} "), &finding.says);
            finding.detail.iter().for_each(|line| out.prose("      ", line));
            if let Some(command) = &finding.command {
                out.command("      type  ", command);
            }
        }
    }
    Printed::page(out)
}

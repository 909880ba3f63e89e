//! What spans are filled with.

use std::fmt::Write;

use super::class;
use crate::plan::view::timeline::Kind;

/// A pattern a kind, so that colour is never alone.
pub fn patterns(prefix: char) -> String {
    let mut defs = "<defs>\n".to_owned();
    let drawn = |kind: Kind| match kind {
        Kind::Prepare => "",
        Kind::Drain => "M0 8L8 0",
        Kind::Packages => "M2 2h1M6 6h1",
        Kind::Kubeadm => "M4 0V8",
        Kind::Restart => "M4 2V6M2 4H6",
        Kind::Wait => "M1 4h2M5 4h2",
        Kind::Soak => "M0 4H8",
        Kind::Hold => "M-2 6L2 10M0 0L8 8M6 -2L10 2",
        Kind::Stopped => "M0 0L8 8M0 8L8 0",
        Kind::Killed => "M0 2H8M0 6H8M2 0V8M6 0V8",
    };
    let mut add = |name: &str, path: &str, strength: &str| {
        let _ = writeln!(
            defs,
            "<pattern id=\"{prefix}-{name}\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"8\" height=\"8\" style=\"fill:var(--{name})\"/>\
             <path d=\"{path}\" style=\"fill:none;stroke:var(--{name}-line);stroke-width:1.5;opacity:{strength}\"/></pattern>"
        );
    };
    for kind in Kind::ALL {
        add(class(kind), drawn(kind), if kind.holds() { ".7" } else { ".3" });
    }
    add("away", "", "0");
    defs.push_str("</defs>\n");
    defs
}

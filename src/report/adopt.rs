//! What `adopt` has found, for people.

use super::{Page, Printed};
use crate::plan::view::adopt::{Adoption, Chain, Fate, Part};
use crate::words::{line, shown};

/// `adopt`, for people.
pub fn text(adoption: &Adoption, namespace: &str, cluster: &str) -> Printed {
    let (cluster, namespace) = (line(cluster), line(namespace));
    let parts: Vec<Part> = adoption.parts.iter().map(shown).collect();
    let verdict = match &adoption.chain {
        Chain::Ours => "a run of this program is in flight",
        Chain::AtWork(_) => "the shell pipeline is at work",
        Chain::Stranded { .. } => "a chain of the shell pipeline has not come to its end",
        Chain::Idle if !adoption.found() => "nothing of another pipeline is here",
        Chain::Idle => "a shell pipeline is here, at rest: it can be taken over",
    };
    let mut out = Page::new();
    out.record("k8s-upgrade  ", &format!("adopt: {verdict}   namespace: {namespace}   cluster: {cluster}"));
    for fate in Fate::ALL {
        let of_it: Vec<&Part> = parts.iter().filter(|part| part.fate == fate).collect();
        if of_it.is_empty() {
            continue;
        }
        out.gap();
        out.record("", head(fate));
        for part in of_it {
            let by = if part.terraform { " (Terraform)" } else { "" };
            out.prose("  ", &format!("{}{by}: {}", part.told(), part.says));
            if let Some(command) = &part.command {
                out.command("      type  ", command);
            }
        }
    }
    if !adoption.settings.is_empty() {
        out.gap();
        out.record("", "settings that it had otherwise");
        for offer in &adoption.settings {
            let (value, others) = offer.values.split_first().map_or(("", 0), |(value, others)| (value.as_str(), others.len()));
            let more = if others == 0 { String::new() } else { format!(" (or one of {others} others)") };
            out.prose("  ", &format!("{}: {}{more}    {}", offer.key, line(value), offer.what));
        }
    }
    if !adoption.steps.is_empty() {
        out.gap();
        out.record("", "in this order");
        for (index, step) in adoption.steps.iter().map(shown).enumerate() {
            out.prose(&format!("  {}. ", index + 1), &step.what);
            out.command("      type  ", &step.command);
        }
    }
    Printed::page(out)
}

fn head(fate: Fate) -> &'static str {
    match fate {
        Fate::Kept => "stays, and this program goes on with it",
        Fate::Replaced => "stays, and the manifests write theirs over it",
        Fate::Deleted => "goes: nothing needs it any more",
        Fate::Unclear => "for a person to say",
    }
}

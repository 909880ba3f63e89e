//! What hosts say by SSH alone, for people; and the way back of a control plane.

use super::table::Table;
use super::{Page, Printed};
use crate::plan::rescue::hosts::{Asked, Found, Package, Unit, pod};
use crate::plan::rescue::restore::Restore;
use crate::words::{self, shown};

/// Whose machine it is, the API server alone can say: it knows each node's ids, and whom it gave a certificate.
const UNPROVED: &str = "A machine is taken for its node by its host key alone; the API server was not asked.";

/// `status --hosts`, for people.
pub fn text(asked: &[Asked], commands: &[String], cluster: &str) -> Printed {
    let (asked, commands, cluster) = (&shown(&asked.to_vec()), shown(&commands.to_vec()), words::line(cluster));
    let answered = asked.iter().filter(|host| host.found.is_ok()).count();
    let mut out = Page::new();
    out.record("k8s-upgrade  ", &format!("by SSH alone: {answered} of {} hosts answered   cluster: {cluster}", asked.len()));
    out.record("  ", UNPROVED);
    out.gap();
    out.table(&table(asked));
    for host in asked {
        out.gap();
        out.record("  ", &host.node);
        match &host.found {
            Ok(found) => host_text(&mut out, found),
            Err(cause) => {
                line(&mut out, "SILENT", &cause.what);
                cause.detail.iter().for_each(|detail| line(&mut out, "", detail));
            }
        }
    }
    out.gap();
    out.listed("type", &commands);
    Printed::page(out)
}

fn line(out: &mut Page, label: &str, text: &str) {
    out.prose(&format!("    {label:10}"), text);
}

fn table(asked: &[Asked]) -> Table {
    let version = |package: Option<&Package>| package.map_or("-".to_owned(), |package| package.version.clone());
    let rows = asked.iter().map(|host| match &host.found {
        Ok(found) => vec![
            host.node.clone(),
            host.address.clone(),
            found.kubelet.clone(),
            version(found.package("kubelet")),
            version(found.package("kubeadm")),
            version(found.containerd()),
        ],
        Err(_) => vec![host.node.clone(), host.address.clone(), "no answer".to_owned(), "-".into(), "-".into(), "-".into()],
    });
    (vec!["NODE", "ADDRESS", "KUBELET IS", "KUBELET", "KUBEADM", "CONTAINERD"], rows.collect())
}

fn host_text(out: &mut Page, found: &Found) {
    for package in found.packages.iter().filter(|package| !package.whole && found.half_done()) {
        line(out, "HALF DONE", &format!("{} {} is {}", package.name, package.version, package.letters));
    }
    if found.packages.iter().all(|package| package.whole) && found.half_done() {
        // Packages that are none of ours.
        let words: Vec<&str> = found.audit.iter().flat_map(|text| text.split_whitespace()).collect();
        line(out, "HALF DONE", &words.join(" "));
    }
    let held: Vec<&str> = found.packages.iter().filter(|package| package.held).map(|package| package.name.as_str()).collect();
    line(out, "held", &if held.is_empty() { "no package".to_owned() } else { held.join(", ") });
    if let Some(images) = &found.images {
        line(out, "image", &if images.is_empty() { "none of this program".to_owned() } else { images.join(", ") });
    }
    if !found.static_pods.is_empty() {
        let pods: Vec<String> = found.static_pods.iter().map(|(name, image)| pod(name, image)).collect();
        line(out, "manifests", &pods.join(", "));
    }
    let missing = found.without_manifest();
    if !missing.is_empty() {
        line(out, "MISSING", &format!("/etc/kubernetes/manifests has none of {}: it does not run here", missing.join(", ")));
    }
    match &found.unit.work {
        None => line(out, "unit", "nothing of ours was ever begun here"),
        Some(work) => line(out, if work.is_bad() { "UNIT" } else { "unit" }, &work.summary()),
    }
    printed(out, &found.unit);
    for (release, folder) in &found.former {
        line(out, "former", &format!("the kubelet's configuration of {release}: {folder}"));
    }
    if let Some((path, card)) = &found.card {
        match card {
            Some(card) => {
                let there = found.snapshots.iter().any(|file| file.path == card.snapshot && file.bytes == card.bytes);
                let there = if there { ": it is there" } else { "" };
                let (from, to) = (&card.from, &card.to);
                line(out, "snapshot", &format!("{} ({} bytes), before {from} to {to}{there}", card.snapshot, card.bytes));
                line(out, "card", path);
            }
            None => line(out, "card", &format!("{path} is no card that can be read")),
        }
    }
    let recorded = found.card().map(|card| card.snapshot.as_str());
    for file in found.snapshots.iter().filter(|file| Some(file.path.as_str()) != recorded) {
        line(out, "snapshot", &format!("{} ({} bytes, of {})", file.path, file.bytes, file.at));
    }
    for key in &found.keys {
        let day = |ends: &String| ends.split('T').next().unwrap_or_default().to_owned();
        let end = key.ends.as_ref().map_or("has no end".to_owned(), |ends| format!("ends on {}", day(ends)));
        let label = if key.near { "KEY" } else { "key" };
        line(out, label, &format!("{} of the Kubernetes repository {end}", key.fingerprint));
    }
    let free: Vec<String> = found.free.iter().map(|(path, bytes)| format!("{path} {} MiB", bytes >> 20)).collect();
    line(out, "free", &free.join(", "));
}

/// The end of what it printed; JSON has it whole.
pub(super) fn printed(out: &mut Page, unit: &Unit) {
    unit.log.iter().for_each(|text| out.output("      | ", text));
}

/// The plan, with what it was made of.
pub fn restore(node: &str, address: &str, restore: &Restore) -> Printed {
    let (node, address, restore) = (words::line(node), words::line(address), shown(restore));
    let mut out = Page::new();
    out.record("", &format!("{node} ({address}), asked by SSH alone; nothing was changed"));
    out.record("  ", UNPROVED);
    out.gap();
    restore.known.iter().for_each(|(label, text)| out.prose(&format!("  {label:10}"), text));
    out.gap();
    out.script(&restore.plan);
    Printed::page(out)
}

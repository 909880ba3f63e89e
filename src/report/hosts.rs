//! What hosts say by SSH alone, for people; and the way back of a control plane.

use super::Printed;
use super::page::{WIDTH, folded};
use crate::plan::rescue::hosts::{Asked, Found, Package, Unit, pod};
use crate::plan::rescue::restore::Restore;
use crate::words::{self, shown};

/// Whose machine it is, the API server alone can say: it knows each node's ids, and whom it gave a certificate.
const UNPROVED: &str = "  A machine is taken for its node by its host key alone; the API server was not asked.";

/// `status --hosts`, for people.
pub fn text(asked: &[Asked], commands: &[String], cluster: &str) -> Printed {
    let (asked, commands, cluster) = (&shown(&asked.to_vec()), shown(&commands.to_vec()), words::line(cluster));
    let answered = asked.iter().filter(|host| host.found.is_ok()).count();
    let mut out =
        format!("k8s-upgrade  by SSH alone: {answered} of {} hosts answered   cluster: {cluster}\n{UNPROVED}\n\n", asked.len());
    table(&mut out, asked);
    for host in asked {
        out.push_str(&format!("\n  {}\n", host.node));
        match &host.found {
            Ok(found) => host_text(&mut out, found),
            Err(cause) => {
                line(&mut out, "SILENT", &cause.what);
                cause.detail.iter().for_each(|detail| line(&mut out, "", detail));
            }
        }
    }
    out.push('\n');
    for (index, command) in commands.iter().enumerate() {
        out.push_str(&format!("  {:8}{command}\n", if index == 0 { "type" } else { "" }));
    }
    Printed::page(out)
}

fn line(out: &mut String, label: &str, text: &str) {
    folded(out, &format!("    {label:10}"), text, WIDTH);
}

fn table(out: &mut String, asked: &[Asked]) {
    let version = |package: Option<&Package>| package.map_or("-".to_owned(), |package| package.version.clone());
    let rows = asked.iter().map(|host| match &host.found {
        Ok(found) => [
            host.node.clone(),
            host.address.clone(),
            found.kubelet.clone(),
            version(found.package("kubelet")),
            version(found.package("kubeadm")),
            version(found.containerd()),
        ],
        Err(_) => [host.node.clone(), host.address.clone(), "no answer".to_owned(), "-".into(), "-".into(), "-".into()],
    });
    let head = ["NODE", "ADDRESS", "KUBELET IS", "KUBELET", "KUBEADM", "CONTAINERD"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let wide: Vec<usize> = (0..6).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells = row.iter().zip(&wide).map(|(cell, wide)| format!("  {cell:wide$}")).collect::<String>();
        out.push_str(cells.trim_end());
        out.push('\n');
    }
}

fn host_text(out: &mut String, found: &Found) {
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
    printed(out, &found.unit, WIDTH);
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

/// The end of what it printed, as it is; a long line is cut, for JSON has it whole.
pub(super) fn printed(out: &mut String, unit: &Unit, width: usize) {
    for text in &unit.log {
        let text: String = format!("      | {text}").chars().take(width).collect();
        out.push_str(text.trim_end());
        out.push('\n');
    }
}

/// The plan, with what it was made of.
pub fn restore(node: &str, address: &str, restore: &Restore) -> Printed {
    let (node, address, restore) = (words::line(node), words::line(address), shown(restore));
    let mut out = format!("{node} ({address}), asked by SSH alone; nothing was changed\n{UNPROVED}\n\n");
    restore.known.iter().for_each(|(label, text)| folded(&mut out, &format!("  {label:10}"), text, WIDTH));
    out.push('\n');
    restore.plan.iter().for_each(|line| out.push_str(&format!("{line}\n")));
    Printed::page(out)
}

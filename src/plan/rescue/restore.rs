//! The way back of a control plane, from what its host alone says: for a person's hands, never the program's.

use super::hosts::{Asked, End, Found, pod};
use super::member::Peer;
use super::rollback::{FormerFiles, restore_plan};
use crate::packages;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::COMPONENTS;
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::words::texts;

/// What the file of the recorded snapshot is: bytes and sha256; None where it is not on this host.
pub type SnapshotFile = Answer<Option<(u64, String)>>;

/// What is known of a control plane, and what to type to bring it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// A label and what is known.
    pub known: Vec<(&'static str, String)>,
    /// Line by line.
    pub plan: Vec<String>,
}

texts!(Restore { known, plan });

const ETCD: &str = "etcd";

/// The plan for one control plane. Those among `others` that are control planes, too, are named: each needs the same.
/// `copy`: where the snapshot is not on this host, the command that brings it there from another.
pub fn restore(node: &str, found: &Found, snapshot: &SnapshotFile, others: &[Asked], copy: Option<String>) -> Restore {
    let former = former(node, found);
    let mut known = vec![("now", list(found.static_pods.iter().map(|(name, image)| pod(name, image)))), ("", installed(found))];
    if let Some(work) = &found.unit.work {
        let wait = if work.end == End::Running { ": WAIT for its end before anything else" } else { "" };
        known.push(("unit", format!("{}{wait}", work.summary())));
    }
    let packages = packages(node, found, former);
    known.push(("before", before(found, former)));
    known.push(("snapshot", recorded(found, snapshot)));
    let recorded = found.card().map(|card| card.snapshot.as_str());
    let others_there = found.snapshots.iter().filter(|file| Some(file.path.as_str()) != recorded);
    known.extend(others_there.map(|file| ("", format!("{} ({} bytes, of {})", file.path, file.bytes, file.at))));
    known.extend(found.etcd_data.iter().map(|(at, path)| ("etcd data", format!("{path}: kubeadm's own copy, of {at}"))));
    let (manifests, missing) = manifests(found, former);
    if let (true, true, Some(former)) = (manifests.is_empty(), missing.is_empty(), former) {
        known.push((
            "so",
            format!(
                "the manifests are those of {former} still, and only packages have changed: look why the API server is away \
                 before anything is restored"
            ),
        ));
    }
    known.extend(missing.into_iter().map(|what| ("MISSING", what)));
    let more: Vec<&str> = others
        .iter()
        .filter(|other| other.node != node && other.found.as_ref().is_ok_and(Found::control_plane))
        .map(|other| other.node.as_str())
        .collect();
    if !more.is_empty() {
        known.push(("also", format!("{}: their packages and manifests by the same command for each", more.join(", "))));
    }
    let kubelet = former.and_then(|former| found.former.iter().find(|(release, _)| *release == former.to_string()));
    let kept = FormerFiles { manifests, kubelet: kubelet.map(|(_, folder)| folder.clone()) };
    let silent: Vec<&str> = others.iter().filter(|other| other.found.is_err()).map(|other| other.node.as_str()).collect();
    if !silent.is_empty() {
        known.push((
            "silent",
            format!("{}: where one is a control plane, it is not among the members that the plan names", silent.join(", ")),
        ));
    }
    let peers: Vec<Peer> = others.iter().filter_map(|other| other.found.as_ref().ok()?.peer.clone()).collect();
    let snapshot = found.card().map(|card| card.snapshot.as_str());
    let mut plan = restore_plan(snapshot, &packages::IN_USE.words(&packages), &kept, &peers);
    if let Some(copy) = copy {
        plan.splice(1..1, ["From here, for the snapshot is on another host:".to_owned(), format!("  {copy}")]);
    }
    Restore { known, plan }
}

/// The release that it had: as the card says, else as what is kept of it does.
fn former(node: &str, found: &Found) -> Option<Version> {
    let on_card = found.card().and_then(|card| card.packages_of(node)).unwrap_or_default();
    let kubelet = on_card.iter().find_map(|package| package.strip_prefix("kubelet=")?.split('-').next()?.parse().ok());
    let kept = || found.former.iter().find_map(|(release, _)| release.parse().ok());
    let copies = || found.copies.iter().filter(|copy| copy.pod == COMPONENTS[0]);
    kubelet.or_else(kept).or_else(|| parse::image_version(&copies().max_by_key(|copy| &copy.at)?.image))
}

/// With revisions where the card has them; else the package manager finds the revision of the release.
fn packages(node: &str, found: &Found, former: Option<Version>) -> Vec<String> {
    let on_card = found.card().and_then(|card| card.packages_of(node)).filter(|packages| !packages.is_empty());
    let release = former.map_or("VERSION".to_owned(), |former| format!("{former}-*"));
    let on_card: Option<Vec<String>> = on_card.map(|packages| packages.into_iter().map(String::from).collect());
    on_card.unwrap_or_else(|| ["kubeadm", "kubelet", "kubectl"].map(|name| format!("{name}={release}")).to_vec())
}

fn installed(found: &Found) -> String {
    list(found.packages.iter().map(|package| format!("{} {}", package.name, package.version)))
}

fn before(found: &Found, former: Option<Version>) -> String {
    match (former, &found.card) {
        (Some(former), Some((path, Some(card)))) => {
            format!("{former}; restore card of run {} ({} to {}): {path}", card.run, card.from, card.to)
        }
        (Some(former), Some((path, None))) => format!("{former}, as what is kept says; {path} is no card that can be read"),
        (Some(former), None) => format!("{former}, as what is kept says; there is no restore card on this host"),
        (None, _) => "nothing on this host says what it ran before an upgrade".to_owned(),
    }
}

fn recorded(found: &Found, file: &SnapshotFile) -> String {
    let Some(card) = found.card() else {
        let listed =
            if found.snapshots.is_empty() { "the setting snapshot-folder shows what there is" } else { "on this host are" };
        return format!("none is on record here; {listed}");
    };
    let path = &card.snapshot;
    match file {
        Answer::Known(Some((bytes, sha256))) if *bytes == card.bytes && card.hash == format!("sha256 {sha256}") => {
            format!("{path}: there, {bytes} bytes, and its hash is the card's")
        }
        Answer::Known(Some((bytes, _))) if *bytes == card.bytes && !card.hash.starts_with("sha256 ") => {
            format!("{path}: there, {bytes} bytes; the card has no hash to compare")
        }
        Answer::Known(Some((bytes, _))) => {
            format!("{path}: NOT what the card describes ({bytes} bytes, the card says {}, {})", card.bytes, card.hash)
        }
        Answer::Known(None) => {
            format!("{path}: NOT on this host; look on the other control planes, and where the backup CronJob keeps them")
        }
        Answer::Unknown(why) => format!("{path}: whether it is whole is not known: {why}"),
    }
}

/// The copies of manifests to put back, and what no copy is left of. What still is as it was needs none.
fn manifests(found: &Found, former: Option<Version>) -> (Vec<String>, Vec<String>) {
    let (mut put_back, mut missing) = (Vec::new(), Vec::new());
    for name in [ETCD].into_iter().chain(COMPONENTS) {
        let now = found.static_pods.iter().find(|(pod, _)| pod == name).map(|(_, image)| image.as_str());
        let is_former = |image: &str| name == ETCD || (former.is_some() && parse::image_version(image) == former);
        if name != ETCD && now.is_some_and(is_former) {
            continue;
        }
        let copies = found.copies.iter().filter(|copy| copy.pod == name && is_former(&copy.image));
        match copies.filter(|copy| Some(copy.image.as_str()) != now).max_by_key(|copy| &copy.at) {
            Some(copy) => put_back.push(copy.path.clone()),
            // etcd's version says nothing of the release: without a copy of another one it is taken to be as it was.
            None if name == ETCD => {}
            None => {
                let to = former.map_or("its former release".to_owned(), |former| former.to_string());
                missing.push(format!("no copy of the manifest of {name} at {to} is left: set the image in it by hand"));
            }
        }
    }
    (put_back, missing)
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;

//! What a machine keeps of its past: the copies that kubeadm makes, and all of it as look-back.sh prints it.

use std::cmp::Reverse;
use std::fmt::Display;

use jiff::Timestamp;

use super::super::State;
use super::configuration::image_of;
use super::machine::{File, Machine};

/// Where kubeadm puts what it replaces; each run has folders of its own.
const COPIES: &str = "/etc/kubernetes/tmp/kubeadm-backup-";
const KEPT: &str = "/var/lib/k8s-upgrade/";
/// So many snapshots are told, newest first.
const SNAPSHOTS: usize = 5;

/// The manifest that is replaced is kept, and etcd's data before etcd is touched.
pub fn keep_copy(machine: &mut Machine, component: &str, image: &str, begun: Timestamp, at: Timestamp) {
    let run = begun.strftime("%Y-%m-%d-%H-%M-%S");
    let text = format!("spec:\n  containers:\n  - image: {image}\n");
    machine.files.insert(format!("{COPIES}manifests-{run}/{component}.yaml"), File { bytes: 0, at, text: Some(text.into()) });
    if component == "etcd" {
        machine.files.insert(format!("{COPIES}etcd-{run}"), File { bytes: 0, at, text: None });
    }
}

/// Before the next run, all folders of each kind go but the newest, and the first that this upgrade has made.
pub fn forget_copies(machine: &mut Machine) {
    let since = machine.files.iter().filter(|(path, _)| path.starts_with(&former(""))).map(|(_, file)| file.at).max();
    for kind in ["manifests-", "etcd-"] {
        let prefix = format!("{COPIES}{kind}");
        let folder = |path: &str| path.strip_prefix(&prefix).map(|rest| rest.split('/').next().unwrap_or_default().to_owned());
        let all = || machine.files.iter().filter_map(|(path, file)| Some((folder(path)?, file.at)));
        let newest = all().map(|(run, _)| run).max();
        let first = all().filter(|(_, at)| since.is_some_and(|since| *at > since)).map(|(run, _)| run).min();
        machine.files.retain(|path, _| folder(path).is_none_or(|run| [&newest, &first].contains(&&Some(run))));
    }
}

/// The copy of the kubelet's configuration that `kubeadm upgrade` is preceded by, away from this release.
pub fn former(release: &str) -> String {
    format!("{KEPT}former-{release}")
}

fn stamp(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%dT%H:%M:%SZ")
}

/// Prints line by line.
pub fn look_back(state: &State, machine: &Machine, snapshots: &str, mut line: impl FnMut(String)) {
    for (pod, version) in &machine.manifests {
        line(format!("static-pod {} {pod}", image_of(state, pod, version)));
    }
    let etcd = |flag: &str| machine.commands.get("etcd")?.iter().find_map(|word| word.strip_prefix(flag));
    if let (true, Some(url), Some(name)) =
        (machine.manifests.contains_key("etcd"), etcd("--initial-advertise-peer-urls="), etcd("--name="))
    {
        line(format!("peer {url} {name}"));
    }
    let under = |prefix: &str| -> Vec<(&str, &str, &File)> {
        let mine = machine.files.iter().filter_map(|(path, file)| Some((path.as_str(), path.strip_prefix(prefix)?, file)));
        mine.map(|(path, rest, file)| (path, &path[path.len() - rest.len()..], file)).collect()
    };
    let copies = under(&format!("{COPIES}manifests-"));
    for (path, name, file) in &copies {
        let Some((run, _)) = name.split_once('/') else { continue };
        // The folder's time is that of the last file that came into it.
        let of_run = copies.iter().filter(|(_, other, _)| other.split('/').next() == Some(run));
        let at = of_run.map(|(.., file)| file.at).max().unwrap_or(file.at);
        let text = file.text.as_deref().unwrap_or_default();
        let image = text.lines().find_map(|line| line.trim().strip_prefix("- image: ")).unwrap_or("-");
        line(format!("manifest {image} {} {path}", stamp(at)));
    }
    for (path, _, file) in under(&format!("{COPIES}etcd-")) {
        line(format!("etcd-data {} {path}", stamp(file.at)));
    }
    for (path, release, _) in under(&format!("{KEPT}former-")) {
        line(format!("former {release} {path}"));
    }
    let cards = under(&format!("{KEPT}restore-")).into_iter().filter(|(path, ..)| path.ends_with(".txt"));
    if let Some((path, _, file)) = cards.max_by_key(|(.., file)| file.at) {
        line(format!("card {} {path}", stamp(file.at)));
        file.text.as_deref().unwrap_or_default().lines().for_each(|text| line(format!("card-line {text}")));
    }
    if snapshots.is_empty() {
        return;
    }
    let mut found = under(&format!("{}/", snapshots.trim_end_matches('/')));
    found.retain(|(_, name, _)| !name.contains('/'));
    found.sort_by_key(|(.., file)| Reverse(file.at));
    for (path, _, file) in found.into_iter().take(SNAPSHOTS) {
        line(format!("snapshot {} {} {path}", file.bytes, stamp(file.at)));
    }
}

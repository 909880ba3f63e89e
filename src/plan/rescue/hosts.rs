//! What nodes say by SSH alone, and what a person types next: for the night in which the API server does not answer.

use super::card::Card;
use super::member::Peer;
use crate::failure::{Advice, Cause};
use crate::names;
use crate::packages::IN_USE;
use crate::plan::model::facts::COMPONENTS;
use crate::plan::model::parse;
use crate::words::{Texts, texts};
use crate::words::{command, line, ssh};

/// One host of the settings, and what it said or why it said nothing.
#[derive(Clone, Debug)]
pub struct Asked {
    pub node: String,
    pub address: String,
    pub found: Result<Found, Cause>,
}

/// What a host said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub packages: Vec<Package>,
    /// What the package manager finds half installed.
    pub audit: Vec<String>,
    /// systemd's word for the kubelet's unit.
    pub kubelet: String,
    /// This program's own images that the runtime has; None: it could not be asked.
    pub images: Option<Vec<String>>,
    /// Static pods of the control plane, with the images of their manifests.
    pub static_pods: Vec<(String, String)>,
    pub unit: Unit,
    /// Releases whose kubelet's configuration is kept, with the folder.
    pub former: Vec<(String, String)>,
    /// Its member of etcd.
    pub peer: Option<Peer>,
    /// Manifests that kubeadm replaced.
    pub copies: Vec<Copy>,
    /// kubeadm's copies of etcd's data: time and path.
    pub etcd_data: Vec<(String, String)>,
    /// Those by which the package manager proves the Kubernetes repository.
    pub keys: Vec<Key>,
    /// Folder and bytes.
    pub free: Vec<(String, u64)>,
    /// The newest restore card: where it is, and what it says if it can be read.
    pub card: Option<(String, Option<Card>)>,
    /// Snapshots in the folder that the settings name, newest first.
    pub snapshots: Vec<Snapshot>,
}

/// A key of the Kubernetes repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub fingerprint: String,
    /// RFC 3339: from then on nothing that it signs is believed. None: it has no end.
    pub ends: Option<String>,
    /// It has ended, or will soon.
    pub near: bool,
}

/// A package of Kubernetes or containerd, as the package manager has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// As [`crate::words::Letters`].
    pub letters: String,
    pub held: bool,
    /// Installed and configured.
    pub whole: bool,
}

/// Our unit on a node: what it does or did last, and the end of what it printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    pub work: Option<Work>,
    pub log: Vec<String>,
}

/// What our unit on the host was begun for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub step: String,
    pub target: String,
    pub run: String,
    pub end: End,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Running,
    Done,
    /// Badly: `failed (exit 1)`.
    Bad(String),
}

/// A manifest that kubeadm put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub pod: String,
    pub image: String,
    /// RFC 3339, to compare and to show.
    pub at: String,
    pub path: String,
}

/// A file in the folder of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub path: String,
    pub bytes: u64,
    pub at: String,
}

texts!(Asked { node, address, found });
texts!(Found {
    packages,
    audit,
    kubelet,
    images,
    static_pods,
    unit,
    former,
    peer,
    copies,
    etcd_data,
    keys,
    free,
    card,
    snapshots
});
texts!(Key { fingerprint, ends, near });
texts!(Package { name, version, letters, held, whole });
texts!(Unit { work, log });
texts!(Work { step, target, run, end });
texts!(Copy { pod, image, at, path });
texts!(Snapshot { path, bytes, at });

impl Texts for End {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        match self {
            End::Running | End::Done => {}
            End::Bad(how) => edit(how),
        }
    }
}

impl Work {
    /// It ended, and not well.
    pub fn is_bad(&self) -> bool {
        matches!(self.end, End::Bad(_))
    }

    /// For people, on one line.
    pub fn summary(&self) -> String {
        let end = match &self.end {
            End::Running => "is running",
            End::Done => "ended well",
            End::Bad(how) => how,
        };
        format!("{} to {} (run {}) {end}", self.step, self.target, self.run)
    }
}

impl Found {
    /// That one of its manifests is missing may be why somebody looks, or all of them, where somebody restores it.
    pub fn control_plane(&self) -> bool {
        self.peer.is_some() || self.static_pods.iter().any(|(pod, _)| COMPONENTS.contains(&pod.as_str()))
    }

    /// Components of a control plane that the kubelet runs no static pod of.
    pub fn without_manifest(&self) -> Vec<&'static str> {
        let there = |name: &str| self.static_pods.iter().any(|(pod, _)| pod == name);
        COMPONENTS.into_iter().filter(|name| self.control_plane() && !there(name)).collect()
    }

    /// By its name; None where it is not installed.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// A unit of ours runs there: its end is waited for, whatever else is planned.
    pub fn is_at_work(&self) -> bool {
        self.unit.work.as_ref().is_some_and(|work| matches!(work.end, End::Running))
    }

    /// Packages are half installed, and nothing of ours is about to finish them.
    pub fn half_done(&self) -> bool {
        !self.is_at_work() && (!self.audit.is_empty() || self.packages.iter().any(|package| !package.whole))
    }

    /// containerd goes by two names.
    pub fn containerd(&self) -> Option<&Package> {
        self.package("containerd.io").or_else(|| self.package("containerd"))
    }

    /// The newest restore card, where it can be read.
    pub fn card(&self) -> Option<&Card> {
        self.card.as_ref().and_then(|(_, card)| card.as_ref())
    }
}

/// `kube-apiserver 1.34.7`; an image whose tag is no release, whole.
pub fn pod(name: &str, image: &str) -> String {
    let tag = image.rsplit('/').next().and_then(|image| image.split_once(':')).map(|(_, tag)| tag.to_owned());
    let version = parse::image_version(image).map(|version| version.to_string()).or(tag);
    format!("{name} {}", version.unwrap_or_else(|| image.to_owned()))
}

/// What to type, with a word on each; what is at work and what is wrong comes first.
pub fn commands(asked: &[Asked], user: &str, port: u16) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for Asked { node, address, found } in asked {
        let there = |command: &str, why: &str| {
            format!("{}    # {}: {why}", ssh(user, address, port, &["sudo ", command].concat()), line(node))
        };
        let found = match found {
            Ok(found) => found,
            Err(cause) => {
                let known = |next: &Advice| match next.command.contains('#') {
                    true => next.command.clone(),
                    false => format!("{next}    # {}", line(node)),
                };
                commands.extend(cause.next.iter().map(known));
                continue;
            }
        };
        match found.unit.work.as_ref().map(|work| &work.end) {
            Some(End::Running) => {
                commands.push(there(&format!("tail -f {}/work/log", names::NODE_DIR), "wait for its end, cut nothing"));
            }
            Some(End::Bad(_)) => commands.push(there(&format!("cat {}/work/log", names::NODE_DIR), "all that it printed")),
            Some(End::Done) | None => {}
        }
        if found.half_done() {
            commands.push(there(IN_USE.audit, "packages are half installed"));
        }
        if found.kubelet != "active" {
            commands.push(there("journalctl -u kubelet -n 50 --no-pager", "its kubelet does not run"));
        }
        if found.control_plane() {
            commands.push(there("crictl ps -a", "which static pods run"));
            commands.push(command!("k8s-upgrade rollback {}    # what would restore it; changes nothing", node));
        }
    }
    // A cause that several hosts have in common has one remedy.
    let mut seen = std::collections::BTreeSet::new();
    commands.retain(|command| seen.insert(command.clone()));
    commands.push("k8s-upgrade status    # once the API server answers".to_owned());
    commands
}

/// Hosts that said nothing, as one cause; the gravest decides.
pub fn silent(asked: &[Asked]) -> Option<Cause> {
    let failed: Vec<_> =
        asked.iter().filter_map(|host| host.found.as_ref().err().map(|cause| (host.node.clone(), cause.clone()))).collect();
    let count = failed.len();
    let gravest = Cause::together("hosts", failed)?;
    // What each says, and what to type, stands on the screen.
    Some(Cause::new(gravest.class, format!("{count} of {} hosts could not be asked", asked.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Class;

    fn asked(node: &str, found: Result<Found, Cause>) -> Asked {
        Asked { node: node.to_owned(), address: "10.0.20.100".to_owned(), found }
    }

    fn healthy() -> Found {
        Found { kubelet: "active".to_owned(), ..Found::default() }
    }

    #[test]
    fn each_state_has_its_command() {
        let work = |end| Work { step: "kubeadm-upgrade".into(), target: "1.34.7".into(), run: "r1".into(), end };
        let unit = |end| Unit { work: Some(work(end)), log: Vec::new() };
        let half = Package { name: "kubelet".into(), version: "1".into(), letters: "iU".into(), held: false, whole: false };
        let image = "registry.k8s.io/kube-apiserver:v1.34.7".to_owned();
        for (found, wanted) in [
            (healthy(), &[][..]),
            (Found { unit: unit(End::Running), ..healthy() }, &["tail -f"]),
            (Found { unit: unit(End::Done), ..healthy() }, &[]),
            (Found { unit: unit(End::Bad("failed (exit 1)".into())), ..healthy() }, &["cat"]),
            (Found { packages: vec![half.clone()], ..healthy() }, &[IN_USE.audit]),
            (Found { packages: vec![half], unit: unit(End::Running), ..healthy() }, &["tail -f"]),
            (Found { audit: vec!["x".into()], ..healthy() }, &[IN_USE.audit]),
            (Found { kubelet: "failed".into(), ..healthy() }, &["journalctl"]),
            (
                Found { static_pods: vec![("kube-apiserver".into(), image.clone())], ..healthy() },
                &["crictl", "k8s-upgrade rollback n"],
            ),
            (Found { static_pods: vec![("kube-scheduler".into(), image)], ..healthy() }, &["crictl", "k8s-upgrade rollback n"]),
        ] {
            let typed = commands(&[asked("n", Ok(found.clone()))], "wizard", 22);
            let (last, typed) = typed.split_last().unwrap();
            assert!(last.starts_with("k8s-upgrade status "));
            assert_eq!(typed.len(), wanted.len(), "{found:?}: {typed:?}");
            typed.iter().zip(wanted).for_each(|(typed, wanted)| assert!(typed.contains(wanted), "{typed}"));
        }
        let one = || Cause::refused("no agent").next("--set ssh-key-file=FILE      # the key");
        assert_eq!(commands(&[asked("a", Err(one())), asked("b", Err(one()))], "u", 22).len(), 2, "one remedy, once");
    }

    #[test]
    fn a_manifest_that_is_missing_is_named() {
        let pods = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "-".to_owned())).collect();
        let of = |names: &[&str]| Found { static_pods: pods(names), ..healthy() }.without_manifest();
        assert_eq!(of(&["etcd", "kube-controller-manager", "kube-scheduler"]), ["kube-apiserver"]);
        assert_eq!(of(&COMPONENTS), [""; 0], "etcd may be elsewhere");
        assert_eq!(of(&[]), [""; 0], "a worker has none");
    }

    #[test]
    fn hosts_that_say_nothing_are_counted_and_the_gravest_decides() {
        assert_eq!(silent(&[asked("a", Ok(healthy()))]), None);
        let away = || asked("b", Err(Cause::unreachable("away")));
        let cause = silent(&[asked("a", Ok(healthy())), away()]).unwrap();
        assert_eq!((cause.class, cause.what.as_str()), (Class::Unreachable, "1 of 2 hosts could not be asked"));
        let cause = silent(&[asked("a", Err(Cause::refused("another key"))), away()]).unwrap();
        assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, "2 of 2 hosts could not be asked"));
    }

    #[test]
    fn an_image_is_told_by_its_release() {
        for (image, told) in [
            ("registry.k8s.io/kube-apiserver:v1.34.7", "p 1.34.7"),
            ("registry.test:5000/etcd:3.6.5-0", "p 3.6.5-0"),
            ("registry.test:5000/etcd", "p registry.test:5000/etcd"),
            ("-", "p -"),
        ] {
            assert_eq!(pod("p", image), told);
        }
    }
}

//! What is on a node: versions, holds, half-done packages, space, strays, and the state of our work there.

use std::time::Duration;

use super::work::Work;
use super::{Operation, WORK, garbled, results};
use crate::failure::Cause;

/// Looks, and changes nothing. A program that the node lacks is an absent answer, not a failure.
#[derive(Clone, Copy, Debug)]
pub struct Inspect;

/// A package as dpkg knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    /// dpkg's letters: wanted, state, error: `ii`, `hi` (held), `iU`, `iF`, `iHR`.
    pub letters: String,
    /// With revision: `1.35.4-1.1`.
    pub version: String,
}

impl Package {
    /// Installed and configured, whether held or not.
    pub fn healthy(&self) -> bool {
        matches!(self.letters.as_str(), "ii" | "hi")
    }
}

/// Room on the filesystem of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    pub path: String,
    pub bytes: u64,
}

/// An apt source that points at a Kubernetes repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: String,
    /// `1.36`
    pub minor: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    pub boot_id: String,
    pub kernel: String,
    /// Those of kubeadm, kubelet, kubectl, containerd, containerd.io that are installed, however badly.
    pub packages: Vec<Package>,
    pub holds: Vec<String>,
    /// The text of `dpkg --audit`; empty when all is well.
    pub audit: Vec<String>,
    pub free: Vec<Free>,
    /// systemd's word: `active`, `inactive`, `failed`, `unknown`…
    pub kubelet: String,
    /// `v1.35.4`, if kubeadm runs.
    pub kubeadm: Option<String>,
    pub sources: Vec<Source>,
    /// Files in the static-pod folder that the kubelet loads though nobody means it to (a `.bak` is a second apiserver).
    pub stray_manifests: Vec<String>,
    /// What earlier upgrades left in /etc/kubernetes/tmp.
    pub leftover_bytes: u64,
    pub work: Work,
}

impl NodeState {
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Operation for Inspect {
    const NAME: &'static str = "inspect";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = NodeState;

    fn script(&self) -> &'static str {
        include_str!("inspect.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[WORK]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<NodeState, Cause> {
        let mut state = NodeState::default();
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            let words: Vec<&str> = rest.split(' ').collect();
            match (key, words.as_slice()) {
                ("boot-id", _) => rest.clone_into(&mut state.boot_id),
                ("kernel", _) => rest.clone_into(&mut state.kernel),
                ("package", [name, letters, version]) => state.packages.push(Package {
                    name: (*name).to_owned(),
                    letters: (*letters).to_owned(),
                    version: (*version).to_owned(),
                }),
                ("hold", _) => state.holds.push(rest.to_owned()),
                ("audit", _) => state.audit.push(rest.to_owned()),
                ("free", [bytes, path]) => {
                    state.free.push(Free { path: (*path).to_owned(), bytes: bytes.parse().map_err(|_| bad())? });
                }
                ("kubelet", _) => rest.clone_into(&mut state.kubelet),
                ("kubeadm", _) => state.kubeadm = Some(rest.to_owned()),
                ("source", [minor, file]) => {
                    state.sources.push(Source { file: (*file).to_owned(), minor: (*minor).to_owned() });
                }
                ("stray", _) => state.stray_manifests.push(rest.to_owned()),
                ("leftovers", [bytes]) => state.leftover_bytes = bytes.parse().map_err(|_| bad())?,
                ("work", _) => state.work = Work::parse(rest).ok_or_else(bad)?,
                _ => return Err(bad()),
            }
        }
        Ok(state)
    }
}

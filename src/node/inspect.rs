//! What is on a node: versions, holds, half-done packages, space, strays, and the state of our work there.

use std::time::Duration;

use super::work::{Step, Work, WorkState};
use super::{KEYRING, MANAGER, Operation, REPOSITORY, RUNTIME, SigningKey, WORK, garbled, results, token};
use crate::failure::Cause;
use crate::packages::IN_USE;
use crate::words::{BootId, HostPath, Keyword, Letters, Minor, PackageName, PackagesUrl, Revision, SourceUrl};

/// Looks, and changes nothing. A program that the node lacks is an absent answer, not a failure.
#[derive(Clone, Debug, Default)]
pub struct Inspect {
    /// Where the settings have the Kubernetes repository, for whoever asks about package sources: without it only upstream's layout is known.
    pub packages: Option<PackagesUrl>,
}

/// A package as the node's package manager knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: PackageName,
    /// What is wanted, its state, an error: `ii`, `hi` (held), `iU`, `iF`, `iHR`. Each package manager's are put into these.
    pub letters: Letters,
    pub version: Revision,
}

impl Package {
    /// Its version is the release `target` (X.Y.Z), in whatever state it is.
    fn is_of(&self, target: &str) -> bool {
        self.version.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Installed and configured, whether held or not.
    pub fn healthy(&self) -> bool {
        matches!(self.letters.as_str(), "ii" | "hi")
    }
}

/// Room on the filesystem of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    pub path: HostPath,
    pub bytes: u64,
}

/// A package source that points at a Kubernetes repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: HostPath,
    pub minor: Minor,
    pub url: SourceUrl,
}

/// Another that offers kubeadm, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    pub url: SourceUrl,
    /// None where the package manager knows of it, and no file tells.
    pub file: Option<HostPath>,
}

/// All that decides what is still to be done on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Always there in an answer.
    pub boot_id: Option<BootId>,
    pub kernel: String,
    /// Those of kubeadm, kubelet, kubectl, containerd, containerd.io that are installed, however badly.
    pub packages: Vec<Package>,
    pub holds: Vec<PackageName>,
    /// What the package manager finds half installed, as it says it; empty when all is well.
    pub audit: Vec<String>,
    pub free: Vec<Free>,
    /// systemd's word: `active`, `inactive`, `failed`, `unknown`… Always there in an answer.
    pub kubelet: Option<Keyword>,
    /// `1.35.4`, if kubeadm runs.
    pub kubeadm: Option<Revision>,
    pub sources: Vec<Source>,
    pub strangers: Vec<Stranger>,
    /// What proves those sources, as far as each names its keyring.
    pub keys: Vec<SigningKey>,
    /// Files in the static-pod folder that the kubelet loads though nobody means it to (a `.bak` is a second apiserver).
    pub stray_manifests: Vec<HostPath>,
    /// What earlier upgrades left in /etc/kubernetes/tmp.
    pub leftover_bytes: u64,
    /// The text of /var/lib/kubelet/config.yaml; empty if there is none.
    pub kubelet_config: String,
    /// Always there in an answer of this build's script.
    pub runtime: Option<Runtime>,
    pub work: Work,
}

/// The container runtime that the kubelet uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    pub socket: HostPath,
    /// Something on the node can pull images through it.
    pub pulls: bool,
}

/// The packages that make a node's version.
const KUBERNETES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

impl NodeState {
    /// By its name; None where it is not installed.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == *name)
    }

    /// The package stands whole at `target` (X.Y.Z), whatever its revision.
    pub fn whole_at(&self, name: &str, target: &str) -> bool {
        self.package(name).is_some_and(|package| package.healthy() && package.is_of(target))
    }

    /// The step of ours that runs there now.
    pub fn running(&self) -> Option<&'static str> {
        (self.work.state == WorkState::Running).then_some(self.work.step)
    }

    /// A package is of `target` already: what stands here are no former versions any more.
    pub fn reached(&self, target: &str) -> bool {
        KUBERNETES.into_iter().any(|name| self.package(name).is_some_and(|package| package.is_of(target)))
    }

    /// An upgrade to `target` has begun to change this node: it must be finished, not given back to service half done. A record of our work that
    /// cannot be read says nothing: the packages do.
    pub fn touched(&self, target: &str) -> bool {
        let ended = matches!(self.work.state, WorkState::None | WorkState::Done | WorkState::Garbled);
        // Where the former version stands whole, the step ended before it changed anything.
        let to = self.work.target.as_ref();
        let installed = |own: &Package| !own.healthy() || to.is_none_or(|to| own.version == *to);
        let runtimes = ["containerd.io", "containerd"].into_iter().filter_map(|name| self.package(name));
        let runtime_broken = self.work.step == Step::ContainerdPackage.name() && !ended && runtimes.into_iter().any(installed);
        self.reached(target) || !self.audit.is_empty() || self.running().is_some() || runtime_broken
    }

    /// Between the two turns of a control plane whose kubelet waits for the other API servers: kubeadm's part ended well, the kubelet's has
    /// not begun, or ended before it changed anything. So it may serve for as long as it takes.
    pub fn rests(&self, target: &str) -> bool {
        let Work { state, step, target: to, .. } = &self.work;
        let kubeadm_ended = *step == Step::KUBEADM_UPGRADE && *state == WorkState::Done;
        let cut = matches!(state, WorkState::Failed(_) | WorkState::Killed(_) | WorkState::Interrupted(_));
        // It comes after kubeadm's alone, and its first change is a package.
        let kubelet_cut = *step == Step::KubeletPackages.name() && cut;
        (kubeadm_ended || kubelet_cut)
            && to.as_deref() == Some(target)
            && self.whole_at("kubeadm", target)
            && self.kubelet_is_former(target)
            && self.audit.is_empty()
    }

    /// Its packages, whole, are not those of `target` yet.
    pub fn kubelet_is_former(&self, target: &str) -> bool {
        let former = |name: &str| self.package(name).is_none_or(|package| package.healthy() && !package.is_of(target));
        former("kubelet") && former("kubectl")
    }

    /// Nothing is left to do on the node itself: packages whole at `target` and held, no work at hand.
    pub fn finished(&self, target: &str) -> bool {
        let whole = |name: &str| self.whole_at(name, target) && self.holds.iter().any(|held| *held == *name);
        KUBERNETES.into_iter().filter(|name| self.package(name).is_some()).all(whole)
            && self.audit.is_empty()
            && self.running().is_none()
    }

    /// `kubeadm upgrade` ended well here, for this target and in this very run: it was the last work, or what follows it was.
    pub fn kubeadm_has_run(&self, target: &str, run: &str) -> bool {
        let Work { state, step, target: to, run: of } = &self.work;
        let upgraded = *step == Step::KUBEADM_UPGRADE && *state == WorkState::Done;
        let these = to.as_deref() == Some(target) && of.as_deref() == Some(run);
        these && (upgraded || *step == Step::KubeletPackages.name())
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
        &[MANAGER, REPOSITORY, KEYRING, RUNTIME, WORK]
    }
    fn args(&self) -> Vec<String> {
        self.packages.iter().map(|packages| IN_USE.pattern(packages)).collect()
    }
    fn parse(&self, stdout: &str) -> Result<NodeState, Cause> {
        let mut state = NodeState::default();
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            let words: Vec<&str> = rest.split(' ').collect();
            match (key, words.as_slice()) {
                ("boot-id", _) => state.boot_id = Some(token(Self::NAME, rest)?),
                ("kernel", _) => rest.clone_into(&mut state.kernel),
                ("package", [name, letters, version]) => state.packages.push(Package {
                    name: token(Self::NAME, name)?,
                    letters: token(Self::NAME, letters)?,
                    version: token(Self::NAME, version)?,
                }),
                ("hold", _) => state.holds.push(token(Self::NAME, rest)?),
                ("audit", _) => state.audit.push(rest.to_owned()),
                ("free", [bytes, path]) => {
                    let bytes = bytes.parse().map_err(|_| bad())?;
                    state.free.push(Free { path: token(Self::NAME, path)?, bytes });
                }
                ("kubelet", _) => state.kubelet = Some(token(Self::NAME, rest)?),
                ("kubelet-config", _) => state.kubelet_config.extend([rest, "\n"]),
                ("kubeadm", _) => state.kubeadm = Some(token(Self::NAME, rest.strip_prefix('v').unwrap_or(rest))?),
                ("source", _) => {
                    let (minor, place) = rest.split_once(' ').ok_or_else(bad)?;
                    let (url, file) = place.split_once(' ').ok_or_else(bad)?;
                    state.sources.push(Source {
                        file: token(Self::NAME, file)?,
                        minor: token(Self::NAME, minor)?,
                        url: token(Self::NAME, url)?,
                    });
                }
                ("stranger", _) => {
                    let (url, file) = rest.split_once(' ').ok_or_else(bad)?;
                    let file = if file == "-" { None } else { Some(token(Self::NAME, file)?) };
                    state.strangers.push(Stranger { url: token(Self::NAME, url)?, file });
                }
                ("key", _) => state.keys.push(SigningKey::parse(Self::NAME, rest)?),
                ("stray", _) => state.stray_manifests.push(token(Self::NAME, rest)?),
                ("leftovers", [bytes]) => state.leftover_bytes = bytes.parse().map_err(|_| bad())?,
                ("runtime", _) => {
                    let (puller, socket) = rest.split_once(' ').ok_or_else(bad)?;
                    state.runtime = Some(Runtime { socket: token(Self::NAME, socket)?, pulls: puller != "nothing" });
                }
                ("work", _) => state.work = Work::parse(rest).ok_or_else(bad)?,
                _ => return Err(bad()),
            }
        }
        if state.boot_id.is_none() || state.kubelet.is_none() {
            return Err(garbled(Self::NAME, "it says neither a boot id nor how the kubelet is"));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TO: &str = "1.36.3";

    fn state(versions: &[(&str, &str, &str)], holds: &[&str]) -> NodeState {
        let package = |(name, letters, version): &(&str, &str, &str)| Package {
            name: name.parse().unwrap(),
            letters: letters.parse().unwrap(),
            version: version.parse().unwrap(),
        };
        NodeState {
            packages: versions.iter().map(package).collect(),
            holds: holds.iter().map(|held| held.parse().unwrap()).collect(),
            ..NodeState::default()
        }
    }

    const RUN: &str = "5f3a21bc";

    fn work(state: WorkState, step: &'static str, target: &str, run: &str) -> Work {
        Work { state, step, target: target.parse().ok(), run: run.parse().ok() }
    }

    #[test]
    fn a_node_is_touched_from_the_first_package_on_and_finished_when_all_are_whole_and_held() {
        let old = state(&[("kubeadm", "hi", "1.36.30-1.1"), ("kubelet", "hi", "1.35.4-1.1")], &["kubeadm", "kubelet"]);
        assert!(!old.touched(TO) && !old.finished(TO));
        let begun = state(&[("kubeadm", "iF", "1.36.3-1.1"), ("kubelet", "hi", "1.35.4-1.1")], &[]);
        assert!(begun.touched(TO) && !begun.finished(TO));
        let mut new = state(&[("kubeadm", "hi", "1.36.3-1.1"), ("kubelet", "ii", "1.36.3-2")], &["kubeadm", "kubelet"]);
        assert!(new.touched(TO) && new.finished(TO));
        new.holds.pop();
        assert!(!new.finished(TO), "a lost hold is work left");
        let half = state(&[("kubeadm", "hi", "1.36.3-1.1"), ("kubelet", "iU", "1.36.3-1.1")], &["kubeadm", "kubelet"]);
        assert!(!half.finished(TO), "after a power cut the new kubelet runs, half installed");
        let mut cut = old.clone();
        cut.audit.push("The following packages have been unpacked but not yet configured.".into());
        assert!(cut.touched(TO) && !cut.reached(TO), "half done by somebody else: its versions are still the former ones");
        let mut busy = old;
        busy.work = work(WorkState::Running, "kubeadm-package", TO, RUN);
        assert!(busy.touched(TO) && !busy.finished(TO));
    }

    #[test]
    fn a_runtime_that_was_never_installed_leaves_the_node_as_it_was() {
        let with = |version: &str, letters: &str| NodeState {
            work: work(WorkState::Failed(11), "containerd-package", "2.1.4-1~ubuntu.22.04~jammy", RUN),
            ..state(&[("containerd.io", letters, version), ("kubelet", "hi", "1.35.4-1.1")], &[])
        };
        assert!(!with("1.7.24-1~debian.12~bookworm", "ii").touched(TO), "no such version is offered: its cordon is given back");
        assert!(with("1.7.24-1~debian.12~bookworm", "iF").touched(TO));
        assert!(with("2.1.4-1~ubuntu.22.04~jammy", "ii").touched(TO), "installed, and its restart failed");
    }

    #[test]
    fn a_control_plane_rests_between_kubeadms_part_and_the_kubelets() {
        let ended = NodeState {
            work: work(WorkState::Done, "kubeadm-upgrade", TO, RUN),
            ..state(
                &[("kubeadm", "hi", "1.36.3-1.1"), ("kubelet", "hi", "1.35.4-1.1"), ("kubectl", "hi", "1.35.4-1.1")],
                &["kubeadm", "kubelet", "kubectl"],
            )
        };
        assert!(ended.rests(TO) && ended.touched(TO) && !ended.rests("1.36.4"));
        let not = |change: fn(&mut NodeState)| {
            let mut other = ended.clone();
            change(&mut other);
            assert!(!other.rests(TO), "{other:?}");
        };
        not(|state| state.work.state = WorkState::Failed(1));
        not(|state| state.work.state = WorkState::Running);
        not(|state| state.work.step = "kubelet-packages");
        let cut = Work { state: WorkState::Failed(10), step: "kubelet-packages", ..ended.work.clone() };
        assert!(NodeState { work: cut, ..ended.clone() }.rests(TO), "its packages stand as they were");
        not(|state| state.work = Work { state: WorkState::Running, step: "kubelet-packages", ..state.work.clone() });
        not(|state| {
            state.work = Work { state: WorkState::Failed(10), step: "kubelet-packages", ..state.work.clone() };
            state.packages[2].version = "1.36.3-1.1".parse().unwrap();
        });
        not(|state| state.packages[0].letters = "iF".parse().unwrap());
        not(|state| state.packages[1].version = "1.36.3-1.1".parse().unwrap());
        not(|state| state.packages[2].letters = "iU".parse().unwrap());
        not(|state| state.audit.push("half installed".into()));
    }

    #[test]
    fn that_kubeadm_has_run_is_believed_of_this_run_alone() {
        let told = |word, step: &'static str, target: &str, run: &str| {
            let state = NodeState { work: work(word, step, target, run), ..NodeState::default() };
            state.kubeadm_has_run(TO, RUN)
        };
        assert!(told(WorkState::Done, "kubeadm-upgrade", TO, RUN));
        assert!(told(WorkState::Failed(1), "kubelet-packages", TO, RUN));
        assert!(!told(WorkState::Failed(1), "kubeadm-upgrade", TO, RUN));
        assert!(!told(WorkState::Done, "kubeadm-package", TO, RUN));
        assert!(!told(WorkState::Done, "kubelet-packages", TO, "00000000"), "the node may have been restored since");
        assert!(!told(WorkState::Done, "kubelet-packages", "1.36.2", RUN));
        assert!(!told(WorkState::None, "", "", ""));
    }
}

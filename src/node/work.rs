//! The long work on a node: one transient systemd unit that outlives the session, cannot run twice, and is found again.

use std::fmt;
use std::time::Duration;

use super::{MANAGER, Operation, PACKAGES, WORK, assemble, cause_of, garbled, results};
use crate::failure::Cause;
use crate::plan::model::version::Version;
use crate::words::{ExactPackage, Flag, Keyword, Revision, RunId, quoted};

/// What the unit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The kubeadm package, exactly at the target.
    KubeadmPackage,
    /// `kubeadm upgrade apply` on the first control plane, `kubeadm upgrade node` elsewhere.
    KubeadmUpgrade { first_control_plane: bool, flags: Vec<Flag> },
    /// The packages of kubelet and (where installed) kubectl, then daemon-reload and the kubelet's restart.
    KubeletPackages,
    /// containerd at the version given as target.
    ContainerdPackage,
    /// Back to the release given as target, which the node had before: these packages, the kubelet's configuration of then, and its
    /// restart.
    Rollback { packages: Vec<ExactPackage> },
}

impl Step {
    /// As the node's record names it.
    pub(super) const KUBEADM_UPGRADE: &str = "kubeadm-upgrade";
    /// The same.
    pub(crate) const ROLLBACK: &str = "rollback";
    /// What a node may call a step of ours.
    const NAMES: [&str; 5] = ["kubeadm-package", Self::KUBEADM_UPGRADE, "kubelet-packages", "containerd-package", Self::ROLLBACK];

    /// How the node's record, logs and messages name it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::KubeadmPackage => Self::NAMES[0],
            Step::KubeadmUpgrade { .. } => Self::NAMES[1],
            Step::KubeletPackages => Self::NAMES[2],
            Step::ContainerdPackage => Self::NAMES[3],
            Step::Rollback { .. } => Self::NAMES[4],
        }
    }

    fn body(&self) -> &'static str {
        match self {
            Step::KubeadmPackage => include_str!("work-kubeadm-package.sh"),
            Step::KubeadmUpgrade { .. } => include_str!("work-kubeadm-upgrade.sh"),
            Step::KubeletPackages => include_str!("work-kubelet-packages.sh"),
            Step::ContainerdPackage => include_str!("work-containerd-package.sh"),
            Step::Rollback { .. } => include_str!("work-rollback.sh"),
        }
    }

    /// The file that the unit runs. It records its own end, fsynced, because a reboot forgets the unit.
    fn file(&self, target: &Target, run: &RunId) -> String {
        let target = target.to_string();
        let mut args = vec![target.clone()];
        match self {
            Step::KubeadmUpgrade { first_control_plane, flags } => {
                args.push(if *first_control_plane { "apply" } else { "node" }.to_owned());
                args.extend(flags.iter().map(ToString::to_string));
            }
            Step::Rollback { packages } => args.extend(packages.iter().map(ToString::to_string)),
            Step::KubeadmPackage | Step::KubeletPackages | Step::ContainerdPackage => {}
        }
        let mark = format!("{} {} {}", quoted(self.name()), quoted(&target), quoted(run));
        // A shutdown of the machine asks with SIGTERM: the package manager and kubeadm are left to finish (systemd waits, see begin.sh).
        let begin = "trap '' TERM HUP\n";
        let end = format!("record_work {mark} \"$(boot_id)\" \"$status\"\nexit \"$status\"\n");
        format!("#!/bin/bash\n{}", assemble(&args, &[MANAGER, PACKAGES, WORK], begin, self.body(), &end))
    }
}

/// Starts a step, or attaches to it where it already runs.
///
/// # Errors
/// Contended: another step runs there.
#[derive(Clone, Debug)]
pub struct Begin {
    pub step: Step,
    pub target: Target,
    pub run: RunId,
}

/// Where a step goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of Kubernetes, whatever its packages' revision.
    Release(Version),
    /// Of one package, exactly: containerd's.
    Package(Revision),
}

impl From<Version> for Target {
    fn from(version: Version) -> Target {
        Target::Release(version)
    }
}

impl From<Revision> for Target {
    fn from(revision: Revision) -> Target {
        Target::Package(revision)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Release(version) => version.fmt(f),
            Target::Package(revision) => revision.fmt(f),
        }
    }
}

/// How [`Begin`] found the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Started,
    /// It was running already; follow its log from the start.
    Attached,
}

impl Operation for Begin {
    const NAME: &'static str = "begin";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(90);
    type Output = Begun;

    fn script(&self) -> &'static str {
        include_str!("begin.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[WORK]
    }
    fn args(&self) -> Vec<String> {
        let file = self.step.file(&self.target, &self.run);
        vec![self.step.name().to_owned(), self.target.to_string(), self.run.to_string(), file]
    }
    fn parse(&self, stdout: &str) -> Result<Begun, Cause> {
        match results(stdout).last() {
            Some(("started", "")) => Ok(Begun::Started),
            Some(("attached", "")) => Ok(Begun::Attached),
            other => Err(garbled(Self::NAME, format_args!("{other:?}"))),
        }
    }
}

/// Where a node keeps what it knows of the last work, for people; `record_work` of work.sh writes it.
const RECORD: &str = "/var/lib/k8s-upgrade/work/status";

/// What became of the last work begun on a node: what systemd and the fsynced status file say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub state: WorkState,
    /// One of ours. Empty where there never was any, and `unknown` where something works there that left no record which can be read.
    pub step: &'static str,
    /// None, as the run, where the step is not known.
    pub target: Option<Revision>,
    pub run: Option<RunId>,
}

/// How far the unit is, by the node's own record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WorkState {
    /// Nothing was ever begun here.
    #[default]
    None,
    Running,
    Done,
    /// It ended with this status.
    Failed(u8),
    /// Something ended it: systemd's word (`signal`, `oom-kill`…).
    Killed(Keyword),
    /// It was cut: `reboot` or `stopped`.
    Interrupted(Keyword),
    /// Its record is none that this program writes: what became of it is not known, and the next step writes it anew.
    Garbled,
}

/// The step of work of which no more is known than that it runs, or has run.
const UNKNOWN: &str = "unknown";

impl Work {
    /// Reads `running STEP TARGET RUN`, `failed STEP TARGET RUN STATUS` and so on. A step that is none of ours is another build's: while it runs
    /// there, that is all that is known of it, and afterwards its record is no more than one that cannot be read.
    pub(super) fn parse(text: &str) -> Option<Work> {
        let unknown = |state| Work { state, step: UNKNOWN, ..Work::default() };
        let words: Vec<&str> = text.split(' ').collect();
        let (state, step, target, run) = match words.as_slice() {
            ["none"] => return Some(Work::default()),
            ["garbled"] => return Some(unknown(WorkState::Garbled)),
            ["running", UNKNOWN, "-", "-"] => return Some(unknown(WorkState::Running)),
            ["running", s, t, r] => (WorkState::Running, s, t, r),
            ["done", s, t, r] => (WorkState::Done, s, t, r),
            ["failed", s, t, r, status] => (WorkState::Failed(status.parse().ok()?), s, t, r),
            ["killed", s, t, r, how] => (WorkState::Killed(how.parse().ok()?), s, t, r),
            ["interrupted", s, t, r, how] => (WorkState::Interrupted(how.parse().ok()?), s, t, r),
            _ => return None,
        };
        let (target, run) = (Some(target.parse().ok()?), Some(run.parse().ok()?));
        match Step::NAMES.into_iter().find(|name| name == step) {
            Some(step) => Some(Work { state, step, target, run }),
            None if state == WorkState::Running => Some(unknown(state)),
            None => Some(unknown(WorkState::Garbled)),
        }
    }
}

/// Streams the log of the work (as progress lines) until it ends or `wait` is over. Call again with the offset that it gave.
#[derive(Clone, Copy, Debug)]
pub struct Follow {
    /// Bytes of the log already seen.
    pub from: u64,
    /// At most [`Follow::MAX_WAIT`].
    pub wait: Duration,
}

/// No log is larger (bytes): 18 digits, as `numbers` of prelude.sh takes them.
const LARGEST: u64 = 999_999_999_999_999_999;

impl Follow {
    /// So long one session may follow the log.
    pub const MAX_WAIT: Duration = Duration::from_secs(60);
}

/// What one look at the unit gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub offset: u64,
    pub work: Work,
    /// The end of the log, where the work did not end well.
    pub last: Vec<String>,
}

impl Followed {
    /// None while it runs.
    pub fn end(&self) -> Option<Result<(), Cause>> {
        let step = self.work.step;
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        Some(match &self.work.state {
            WorkState::Running => return None,
            WorkState::Done => Ok(()),
            WorkState::None => Err(Cause::step("no work was ever begun on this node")),
            WorkState::Failed(status) => Err(cause_of(step, *status, &lines)),
            WorkState::Killed(how) => Err(Cause::step(format!("{step} was killed ({how})")).detail(lines)),
            WorkState::Garbled => {
                let why = format!("what became of the work on this node is not known: its record, {RECORD}, cannot be read");
                Err(Cause::step(why).detail(lines))
            }
            WorkState::Interrupted(how) if *how == "reboot" => {
                Err(Cause::step(format!("{step} was cut by a reboot of the node")).detail(lines))
            }
            WorkState::Interrupted(_) => Err(Cause::step(format!("{step} was stopped from outside")).detail(lines)),
        })
    }
}

impl Operation for Follow {
    const NAME: &'static str = "follow";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(90);
    type Output = Followed;

    fn script(&self) -> &'static str {
        include_str!("follow.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[WORK]
    }
    fn args(&self) -> Vec<String> {
        vec![self.from.to_string(), self.wait.min(Self::MAX_WAIT).as_secs().to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<Followed, Cause> {
        let mut followed = Followed { offset: self.from, work: Work::default(), last: Vec::new() };
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            match key {
                "offset" => {
                    let offset = rest.parse().ok().filter(|offset| *offset <= LARGEST);
                    followed.offset = offset.ok_or_else(bad)?;
                }
                "work" => followed.work = Work::parse(rest).ok_or_else(bad)?,
                "last" => followed.last.push(rest.to_owned()),
                _ => return Err(bad()),
            }
        }
        Ok(followed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn work_is_read_strictly() {
        let work =
            |state, step| Work { state, step, target: Some("1.36.3".parse().unwrap()), run: Some("5f3a21bc".parse().unwrap()) };
        let unknown = |state| Work { state, step: UNKNOWN, ..Work::default() };
        for (text, wanted) in [
            ("none", Some(Work::default())),
            ("garbled", Some(unknown(WorkState::Garbled))),
            ("running unknown - -", Some(unknown(WorkState::Running))),
            ("running kubeadm-package 1.36.3 5f3a21bc", Some(work(WorkState::Running, "kubeadm-package"))),
            ("done rollback 1.36.3 5f3a21bc", Some(work(WorkState::Done, "rollback"))),
            ("failed kubeadm-upgrade 1.36.3 5f3a21bc 255", Some(work(WorkState::Failed(255), "kubeadm-upgrade"))),
            ("running later-step 1.36.3 5f3a21bc", Some(unknown(WorkState::Running))),
            ("done later-step 1.36.3 5f3a21bc", Some(unknown(WorkState::Garbled))),
            ("failed kubeadm-upgrade 1.36.3 5f3a21bc 256", None),
            ("failed kubeadm-upgrade 1.36.3 5f3a21bc a[$(id)]", None),
            ("killed kubeadm-upgrade 1.36.3 5f3a21bc $(id)", None),
            ("done kubeadm-package $(id) 5f3a21bc", None),
            ("done kubeadm-package 1.36.3 r1", None),
            ("done kubeadm-package 1.36.3", None),
            ("done  kubeadm-package 1.36.3 5f3a21bc", None),
            ("", None),
        ] {
            assert_eq!(Work::parse(text), wanted, "{text}");
        }
    }

    /// The array is written in the order of the enumeration: each name stands for its own step.
    #[test]
    fn each_step_has_its_name() {
        let upgrade = Step::KubeadmUpgrade { first_control_plane: true, flags: Vec::new() };
        let rollback = Step::Rollback { packages: Vec::new() };
        let steps = [Step::KubeadmPackage, upgrade, Step::KubeletPackages, Step::ContainerdPackage, rollback];
        assert_eq!(steps.map(|step| step.name()), Step::NAMES);
    }
}

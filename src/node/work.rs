//! The long work on a node: one transient systemd unit that outlives the session, cannot run twice, and is found again.

use std::time::Duration;

use super::{APT, Operation, WORK, assemble, cause_of, garbled, quote, results};
use crate::failure::Cause;

/// What the unit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The kubeadm package, exactly at the target.
    KubeadmPackage,
    /// `kubeadm upgrade apply` on the first control plane, `kubeadm upgrade node` elsewhere.
    KubeadmUpgrade { first_control_plane: bool, flags: Vec<String> },
    /// The packages of kubelet and (where installed) kubectl, then daemon-reload and the kubelet's restart.
    KubeletPackages,
    /// containerd at the version given as target.
    ContainerdPackage,
    /// Back to the release given as target, which the node had before: these packages (`kubelet=1.35.4-1.1`), the kubelet's
    /// configuration of then, and its restart.
    Rollback { packages: Vec<String> },
}

impl Step {
    pub(super) const KUBEADM_UPGRADE: &str = "kubeadm-upgrade";
    pub(crate) const ROLLBACK: &str = "rollback";

    pub fn name(&self) -> &'static str {
        match self {
            Step::KubeadmPackage => "kubeadm-package",
            Step::KubeadmUpgrade { .. } => Self::KUBEADM_UPGRADE,
            Step::KubeletPackages => "kubelet-packages",
            Step::ContainerdPackage => "containerd-package",
            Step::Rollback { .. } => Self::ROLLBACK,
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
    fn file(&self, target: &str, run: &str) -> String {
        let mut args = vec![target.to_owned()];
        match self {
            Step::KubeadmUpgrade { first_control_plane, flags } => {
                args.push(if *first_control_plane { "apply" } else { "node" }.to_owned());
                args.extend(flags.iter().cloned());
            }
            Step::Rollback { packages } => args.extend(packages.iter().cloned()),
            Step::KubeadmPackage | Step::KubeletPackages | Step::ContainerdPackage => {}
        }
        let mark = format!("{} {} {}", quote(self.name()), quote(target), quote(run));
        // A shutdown of the machine asks with SIGTERM: dpkg and kubeadm are left to finish (systemd waits, see begin.sh).
        let begin = "trap '' TERM HUP\n";
        let end = format!("record_work {mark} \"$(boot_id)\" finished \"$status\"\nexit \"$status\"\n");
        format!("#!/bin/bash\n{}", assemble(&args, &[APT, WORK], begin, self.body(), &end))
    }
}

/// Starts a step, or attaches to it where it already runs.
///
/// # Errors
/// Contended: another step runs there.
#[derive(Clone, Debug)]
pub struct Begin {
    pub step: Step,
    /// `1.36.3`; for containerd its version.
    pub target: String,
    /// The run's id, without spaces.
    pub run: String,
}

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
        vec![self.step.name().to_owned(), self.target.clone(), self.run.clone(), file]
    }
    fn parse(&self, stdout: &str) -> Result<Begun, Cause> {
        match results(stdout).last() {
            Some(("started", "")) => Ok(Begun::Started),
            Some(("attached", "")) => Ok(Begun::Attached),
            other => Err(garbled(Self::NAME, format_args!("{other:?}"))),
        }
    }
}

/// What became of the last work begun on a node: what systemd and the fsynced status file say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub state: WorkState,
    /// Empty, as target and run, where there never was any.
    pub step: String,
    pub target: String,
    pub run: String,
}

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
    Killed(String),
    /// It was cut: `reboot` or `stopped`.
    Interrupted(String),
}

impl Work {
    /// Reads `running STEP TARGET RUN`, `failed STEP TARGET RUN STATUS` and so on.
    pub(super) fn parse(text: &str) -> Option<Work> {
        let words: Vec<&str> = text.split(' ').collect();
        let (state, step, target, run) = match words.as_slice() {
            ["none"] => return Some(Work::default()),
            ["running", s, t, r] => (WorkState::Running, s, t, r),
            ["done", s, t, r] => (WorkState::Done, s, t, r),
            ["failed", s, t, r, status] => (WorkState::Failed(status.parse().ok()?), s, t, r),
            ["killed", s, t, r, how] => (WorkState::Killed((*how).to_owned()), s, t, r),
            ["interrupted", s, t, r, how] => (WorkState::Interrupted((*how).to_owned()), s, t, r),
            _ => return None,
        };
        Some(Work { state, step: (*step).to_owned(), target: (*target).to_owned(), run: (*run).to_owned() })
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

impl Follow {
    pub const MAX_WAIT: Duration = Duration::from_secs(60);
}

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
        let step = &self.work.step;
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        Some(match &self.work.state {
            WorkState::Running => return None,
            WorkState::Done => Ok(()),
            WorkState::None => Err(Cause::step("no work was ever begun on this node")),
            WorkState::Failed(status) => Err(cause_of(step, *status, &lines)),
            WorkState::Killed(how) => Err(Cause::step(format!("{step} was killed ({how})")).detail(lines)),
            WorkState::Interrupted(how) if how == "reboot" => {
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
                "offset" => followed.offset = rest.parse().map_err(|_| bad())?,
                "work" => followed.work = Work::parse(rest).ok_or_else(bad)?,
                "last" => followed.last.push(rest.to_owned()),
                _ => return Err(bad()),
            }
        }
        Ok(followed)
    }
}

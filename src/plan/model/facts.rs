//! What is: the cluster as observed, in the terms that decisions need. `run::observe` fills it; tests write it by hand.

use std::time::Duration;

use jiff::Timestamp;

use super::halt::Skip;
use super::hooks::Turn;
use super::marks::RunMarks;
use super::paused::Pause;
use super::progress::Progress;
use super::taken_back::TakenBack;
use super::version::Version;
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::words::{RunId, texts};

/// All that decisions are made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub nodes: Vec<Node>,
    /// Our marks on the namespace.
    pub marks: RunMarks,
    /// Chain Jobs (label app=k8s-upgrade-chain) of any target.
    pub jobs: Vec<JobFact>,
}

impl Facts {
    /// The nodes that are ours to upgrade and to run on: all that the settings do not exclude.
    pub fn managed(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.excluded)
    }

    /// Old workers that have joined since the run in flight began are left out of it, and told as excluded: a cluster that makes new ones out of an
    /// old image would never come to an end. One that was begun is finished.
    pub fn leave_late(&mut self) {
        let (Some(target), Some(started), true) = (self.marks.target, self.marks.started, self.marks.in_flight) else { return };
        let late = |node: &Node| node.joined.is_some_and(|joined| joined > started) && !node.is_upgraded(target);
        let begun = |node: &Node| node.is_begun() || node.hook_is_owed();
        for node in self.nodes.iter_mut().filter(|node| !node.control_plane && late(node) && !begun(node)) {
            node.excluded = true;
        }
    }

    /// By its name; excluded ones, too.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// What of nodes that are ours decisions are made of and nobody can read. One odd node that is excluded matters to nobody; any other
    /// stops who acts, and no view.
    pub fn unreadable(&self) -> Option<Cause> {
        let of_nodes = self.managed().flat_map(|node| node.odd.iter().map(|odd| (node.name.clone(), odd.clone())));
        Cause::together("things of nodes cannot be read", of_nodes.collect())
    }

    /// All that decisions are made of can be read.
    ///
    /// # Errors
    /// Refused, or held: the run's annotations are not this program's, or something of a node cannot be read.
    pub fn readable(&self, namespace: &str) -> Result<(), Cause> {
        self.marks.whole(namespace)?;
        self.unreadable().map_or(Ok(()), Err)
    }

    /// Control planes whose API server's version is not to be seen.
    pub fn hidden_servers(&self) -> Vec<&str> {
        let hidden =
            |node: &&Node| node.control_plane && node.component("kube-apiserver").is_none_or(|server| server.version.is_none());
        self.nodes.iter().filter(hidden).map(|node| node.name.as_str()).collect()
    }

    /// A control plane's kubelet has to wait for a new minor: another API server is older, and a kubelet may be newer than none of them
    /// (<https://kubernetes.io/releases/version-skew-policy/#kubelet>).
    pub fn kubelet_waits(&self, node: &Node, target: Version) -> bool {
        let minor = |version: Version| (version.major, version.minor);
        let older = |other: &Node| {
            let server = other.component("kube-apiserver").and_then(|server| server.version);
            other.control_plane && other.name != node.name && server.is_none_or(|server| minor(server) < minor(target))
        };
        let old = node.kubelet.is_some_and(|kubelet| minor(kubelet) < minor(target));
        node.control_plane && old && self.nodes.iter().any(older)
    }

    /// The canary of the run in flight that is on its way back to what it ran before.
    pub fn goes_back(&self) -> Option<&TakenBack> {
        self.marks.stands_by().filter(|_| !self.canary_is_back())
    }

    /// The canary by which the run in flight stands is back, or gone: nothing is on record any more that it could go back to, and our cordon
    /// is not there.
    pub fn canary_is_back(&self) -> bool {
        let is_back = |node: &Node| node.former_versions.is_none() && node.cordoned_by.is_none();
        self.marks.stands_by().is_some_and(|back| self.node(&back.node).is_none_or(is_back))
    }

    /// All that may be done with a node at this point of a run is done, it serves, and the hook after it has done its work.
    pub fn is_done_for_now(&self, node: &Node, target: Version) -> bool {
        self.serves_for_now(node, target) && !node.hook_is_owed()
    }

    /// The same, whatever a hook has still to do.
    pub fn serves_for_now(&self, node: &Node, target: Version) -> bool {
        let done = if self.kubelet_waits(node, target) { node.components_at(target) } else { node.is_upgraded(target) };
        done && !node.is_begun()
    }
}

/// The static pods whose versions count; etcd has versions of its own.
pub const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

impl Node {
    /// By its name; None where no pod of it is to be seen.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    /// Everything that runs on it is at `target` (or past it: nothing is ever taken back).
    pub fn is_upgraded(&self, target: Version) -> bool {
        self.kubelet >= Some(target) && (!self.control_plane || self.components_at(target))
    }

    /// All components of a control plane are there, at `target` or past it; whether they run is another question.
    pub fn components_at(&self, target: Version) -> bool {
        COMPONENTS.iter().all(|name| self.component(name).and_then(|c| c.version).is_some_and(|v| v >= target))
    }

    /// Upgraded, our cordon is gone, its change is on record, and no hook has anything left to do.
    pub fn is_done(&self, target: Version) -> bool {
        self.is_upgraded(target) && !self.is_begun() && !self.hook_is_owed()
    }

    /// Its hooks have begun, and the one after it has not done its work.
    pub fn hook_is_owed(&self) -> bool {
        self.hooked.is_some() && guard::on(Guard::HookAfterNode)
    }

    /// In the middle of its upgrade: a runner of ours began with it, and has neither taken its cordon back nor recorded the end.
    pub fn is_begun(&self) -> bool {
        self.cordoned_by.is_some() || self.unrecorded()
    }

    /// A runner of ours began with it and has not recorded its end: the cordon writes the former versions and forgets the last change, and
    /// the end writes that. It tells where the cordon cannot, being somebody else's.
    pub fn unrecorded(&self) -> bool {
        self.former_versions.is_some() && self.changed_at.is_none()
    }

    /// Which of these components are missing, do not run, or (where a target is given) are older than it.
    pub fn components_wrong(&self, wanted: &[&str], target: Option<Version>) -> Vec<String> {
        let wrong = |name: &&str| match (self.component(name), target) {
            (None, _) => Some(format!("no pod of {name} is to be seen")),
            (Some(component), _) if !component.running => Some(format!("{name} is not running and ready")),
            (Some(component), Some(target)) if component.version.is_none_or(|version| version < target) => {
                let version = component.version.map_or("an unknown version".to_owned(), |version| version.to_string());
                Some(format!("{name} is at {version}, not {target}"))
            }
            (Some(_), _) => None,
        };
        wanted.iter().filter_map(wrong).collect()
    }

    /// The run in `marks` has changed this node: it is cordoned by it, or was changed since it began.
    pub fn changed_by(&self, marks: &RunMarks) -> bool {
        let cordoned = self.cordoned_by.is_some() && self.cordoned_by.as_deref() == marks.run_id.as_deref();
        let changed = matches!((self.changed_at, marks.started), (Some(changed), Some(started)) if changed >= started);
        marks.in_flight && (cordoned || changed)
    }
}

/// A node, as its object and its static pods tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    /// The value of the label kubernetes.io/hostname, which need not be the name.
    pub hostname: String,
    /// The value of the label topology.kubernetes.io/zone; empty where it has none.
    pub zone: String,
    /// The name of its pool, of a worker that is in one.
    pub pool: Option<String>,
    /// A person has paused it, or its pool: it has no turn.
    pub paused: Option<Pause>,
    /// InternalIP.
    pub address: Option<String>,
    /// As its kubelet reported it; empty where it reports none. Clones may share one.
    pub machine_id: String,
    /// Of the boot that its kubelet reported last.
    pub boot_id: String,
    pub control_plane: bool,
    /// None where it is not to be read; `odd` says why.
    pub kubelet: Option<Version>,
    pub kube_proxy: Option<Version>,
    pub container_runtime: String,
    pub ready: bool,
    /// What the Ready condition says where it is not True: `container runtime network not ready: …`.
    pub not_ready: Option<String>,
    /// lastTransitionTime of the Ready condition.
    pub ready_since: Option<Timestamp>,
    /// Conditions that are True and should not be: MemoryPressure, DiskPressure, PIDPressure.
    pub pressures: Vec<String>,
    pub unschedulable: bool,
    /// Since when it is cordoned, where the taint says so.
    pub cordoned_since: Option<Timestamp>,
    pub taints: Vec<Taint>,
    /// Static pods of the control plane on this node (apiserver, controller-manager, scheduler): empty on workers.
    pub components: Vec<Component>,
    /// Excluded by the settings: by its name, or since it joined after the run had begun.
    pub excluded: bool,
    /// When it joined the cluster.
    pub joined: Option<Timestamp>,
    /// Run id of the run that cordoned it (our annotation).
    pub cordoned_by: Option<String>,
    pub former_versions: Option<String>,
    /// Its turn whose hooks have begun, until the one after it has done its work.
    pub hooked: Option<Turn>,
    pub changed_at: Option<Timestamp>,
    /// What of it cannot be read. See [`Facts::unreadable`].
    pub odd: Vec<Cause>,
}

/// As the Node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: Option<String>,
    pub effect: String,
}

/// A static pod of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// kube-apiserver, kube-controller-manager or kube-scheduler.
    pub name: String,
    /// From its image's tag; None if that is no version.
    pub version: Option<Version>,
    /// Its pod is Running and Ready.
    pub running: bool,
}

/// A Job of the chain, with what its pods tell.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFact {
    pub name: String,
    pub uid: String,
    pub state: JobState,
    /// Name of the newest pod's node, once it runs.
    pub node: Option<String>,
    /// Id of the run that it belongs to; None if what stands there is none.
    pub run: Option<RunId>,
    /// Where that run goes to.
    pub target: Option<Version>,
    pub created: Option<Timestamp>,
    /// Somebody is deleting it.
    pub deleting: bool,
    /// Name of the node that it must run on.
    pub pin: Option<String>,
    /// What its container of this program runs.
    pub image: Option<String>,
    /// Its pods that have not ended.
    pub pods: Vec<PodFact>,
    /// With which codes its other pods have ended.
    pub exits: Vec<i32>,
    pub taken_up: Option<TakenUp>,
    /// What its pod has recorded that it does, or why that cannot be read.
    pub progress: Option<Result<Progress, String>>,
    /// Name of the newest pod.
    pub pod: Option<String>,
    /// Why the newest pod does not run.
    pub pending: Option<String>,
    /// Containers of others (a mesh's) in the newest pod that run on though ours has ended: they keep its Job from ending.
    pub outlived_by: Vec<String>,
    /// Since when it waits for a pod that runs: there is none, or the newest has not begun. None: one has.
    pub waits_since: Option<Timestamp>,
    /// When its activeDeadlineSeconds are over.
    pub deadline: Option<Timestamp>,
    /// When it was complete or failed, and what was said of a failure.
    pub ended: Option<Timestamp>,
    pub message: Option<String>,
}

/// A pod of a Job that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    /// The node that it is bound to.
    pub node: Option<String>,
    pub created: Option<Timestamp>,
}

/// So long a new Job's pod may take to be there and to begin; after that something keeps it.
pub const STARTS: Duration = Duration::from_secs(60);

impl JobFact {
    /// Since when it waits for a pod that runs, where that is too long: nothing works for it, and no pod of its own says why.
    pub fn unstarted(&self, now: Timestamp) -> Option<Timestamp> {
        let long = |since: &Timestamp| now.duration_since(*since).unsigned_abs() >= STARTS && now > *since;
        self.waits_since.filter(|since| self.state == JobState::Active && self.pending.is_none() && long(since))
    }

    /// Nothing works for it any more, though the cluster has not said yet what becomes of it: all of its pods so far have ended, or the
    /// newest has recorded that it did, which its kubelet tells the API server some seconds later.
    pub fn is_between(&self) -> bool {
        let all_ended = self.pods.is_empty() && !self.exits.is_empty();
        let recorded = || self.progress_of_newest().is_some_and(|progress| progress.ended);
        self.state == JobState::Active && (all_ended || recorded()) && guard::on(Guard::EndedJob)
    }

    /// Of its newest pod: one before it left its own, which tells nothing of now.
    pub fn progress_of_newest(&self) -> Option<&Progress> {
        let progress = self.progress.as_ref()?.as_ref().ok()?;
        self.pod.as_ref().is_none_or(|pod| *pod == progress.writer).then_some(progress)
    }
}

/// What the watch has had to do with a Job; none with one that a person or its predecessor created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenUp {
    /// How often its step was taken up because it had failed.
    pub times: u32,
    /// The Job before it held, and told so.
    pub held: bool,
}

/// As the Job's conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    Active,
    Complete,
    /// With the Job's reason and, where known, the container's exit code.
    Failed {
        reason: String,
        exit: Option<i32>,
    },
}

/// The four phases of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Preflight,
    /// A control-plane node.
    Master,
    Worker,
    Postflight,
}

texts!(none: Phase);

impl Phase {
    /// As commands, names of Jobs and annotations have it.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Preflight => "preflight",
            Phase::Master => "master",
            Phase::Worker => "worker",
            Phase::Postflight => "postflight",
        }
    }
}

/// One Job's worth of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub phase: Phase,
    /// The node to upgrade, for Master and Worker.
    pub node: Option<String>,
}

impl Step {
    /// The first of a run.
    pub fn preflight() -> Self {
        Step { phase: Phase::Preflight, node: None }
    }
    /// The last of a run.
    pub fn postflight() -> Self {
        Step { phase: Phase::Postflight, node: None }
    }
    /// The one that upgrades this node.
    pub fn of(node: &Node) -> Self {
        Step { phase: if node.control_plane { Phase::Master } else { Phase::Worker }, node: Some(node.name.clone()) }
    }

    /// A person has skipped it by force, or it is a worker that cannot be drained and is left out: nothing says that its work is done.
    pub fn is_skipped(&self, marks: &RunMarks) -> bool {
        let own = |skip: &Skip| skip.step == self.token();
        // A Job has no say in whether a backup is made, or a control plane upgraded.
        marks.skipped.iter().any(own) || (self.phase == Phase::Worker && marks.left_out.iter().any(own))
    }

    /// How annotations name it: `preflight`, `master/k8s-master`, `worker/k8s-node4`, `postflight`.
    pub fn token(&self) -> String {
        match &self.node {
            Some(node) => format!("{}/{node}", self.phase.word()),
            None => self.phase.word().to_owned(),
        }
    }
}

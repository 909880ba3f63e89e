//! What a cluster does by itself: controllers, scheduler, kubelets, and the pods that they run.
//!
//! Every controller is a function that looks at one object as it is and does what is due now ("level triggered"): it may run at any time,
//! any number of times. Events of the store only say whom to wake, and each is woken once however many events call for it.
//!
//! `events` (who is woken by what), `index` (children and pods by node), `schedule`, `nodes` (node lifecycle), `kubelet` and `process` (what
//! runs in pods), `mirror` (static pods), `workloads`, `sets`, `budgets`, `jobs`, `cronjobs`, `namespaces`, `orphans`, `externals` (from Vault into a Secret), `objects` (small readers and writers).

mod budgets;
mod cronjobs;
mod events;
mod externals;
mod index;
mod jobs;
mod kubelet;
mod mirror;
mod namespaces;
mod nodes;
mod objects;
mod orphans;
mod process;
mod schedule;
mod sets;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::state::{Access, State, Timer, later};
use super::store::{Key, Kind};

pub use kubelet::program_ended;
pub use mirror::static_pod_replaced;
pub use nodes::{kubelet_restarted, node_power};
pub use process::SNAPSHOT_BYTES;

/// On a pod: seconds from its start until it is Ready.
pub const READY_AFTER: &str = "rehearsal/ready-after";
/// On a pod: `"true"` keeps it from ever being Ready.
pub const NEVER_READY: &str = "rehearsal/never-ready";
/// On a pod: seconds that it takes to end once it is asked to (its grace period is the bound).
pub const ENDS_AFTER: &str = "rehearsal/ends-after";
/// On a pod: `"true"` says that it makes an etcd snapshot, as `Control::backup` wills.
pub const BACKUP: &str = "rehearsal/backup";

/// On a pod: `before` or `after` says that it is that hook's, which ends as `Control::hooks` wills.
pub const HOOK: &str = "rehearsal/hook";

/// On a pod: `"true"` has a mesh put its sidecar into it, which never ends by itself.
pub const MESHED: &str = "rehearsal/meshed";
/// That container's name.
pub const SIDECAR: &str = "istio-proxy";

/// What becomes of the backups to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backup {
    #[default]
    Fine,
    Fails,
    /// It never ends.
    Stuck,
    /// It writes a file that cannot be a snapshot.
    Small,
}

/// What becomes of a hook's pods to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookEnd {
    #[default]
    Well,
    Fails,
    /// It never ends.
    Never,
}

/// What becomes of a workload's pods to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// They run, and are never Ready.
    Unready,
    /// They end as soon as they have started, again and again. (The kubelet's first tries, before it waits between them, are left out.)
    Crashes,
}

/// What controllers remember; only what the objects do not say.
#[derive(Clone, Default)]
pub struct Control {
    /// Events of the store up to here have been seen.
    pub seen: u64,
    /// A fault: what the backups do.
    pub backup: Backup,
    /// A fault: what the hooks do that do not end well, by `before` and `after`.
    pub hooks: BTreeMap<String, HookEnd>,
    /// A fault: workloads whose pods to come do not work, by namespace and name.
    pub broken: BTreeMap<(String, String), Broken>,
    /// A fault: nodes whose kubelet works, but reaches no API server.
    pub silent: BTreeSet<String>,
    /// A fault: objects that no watch tells of.
    pub unheard: BTreeSet<Key>,
    /// A fault: External Secrets brings nothing.
    pub external_secrets_stuck: bool,
    /// There is no scheduler and no kubelet: whoever looks on plays them, by the calls that they make.
    pub by_hand: bool,
    /// Who will look again, and when.
    queued: BTreeSet<(Due, Timestamp)>,
    index: index::Index,
    /// By the pod's UID.
    containers: BTreeMap<String, kubelet::Container>,
    nodes: BTreeMap<String, nodes::NodeHealth>,
    /// None: a node is new.
    heard: Option<nodes::Heard>,
    /// By the Job's UID.
    jobs: BTreeMap<String, jobs::Ends>,
    /// By node and component.
    statics: BTreeMap<(String, String), mirror::PendingManifest>,
    /// Nothing takes time: a world is being set up.
    at_once: bool,
}

impl Control {
    /// The pods that are bound to a node.
    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Key> {
        self.index.on_node(node)
    }
}

/// Who looks again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The controller of that object's kind.
    Object(Key),
    /// The kubelet at the pod with that UID.
    Pod(String),
    Scheduler,
    /// The node lifecycle controller.
    Node(String),
    /// The kubelet reports its node's versions.
    Report(String),
    /// The kubelet at a static pod's manifest: node, component.
    Static(String, String),
    /// The garbage collector at what the owner with that UID left.
    Orphans(String),
    /// The garbage collector at an owner that it holds by a finalizer.
    Held(Key),
}

pub fn fire(state: &mut State, due: Due) {
    let now = state.now();
    state.control.queued.remove(&(due.clone(), now));
    if let Due::Pod(uid) = &due {
        // A container lives and ends without the API server.
        return kubelet::sync(state, uid);
    }
    if state.access() != Access::Up {
        let pause = delay(state, 100, 900);
        let when = later(state.serves_again(), pause);
        return wake_at(state, due, when);
    }
    match due {
        Due::Pod(_) => {}
        Due::Scheduler if state.control.by_hand => {}
        Due::Scheduler => schedule::run(state),
        Due::Node(name) => nodes::sync(state, &name),
        Due::Report(name) => nodes::report(state, &name),
        Due::Static(node, component) => mirror::sync(state, &node, &component),
        Due::Orphans(owner) => orphans::collect(state, &owner),
        Due::Held(owner) => orphans::let_go(state, &owner),
        Due::Object(key) => match key.kind {
            Kind::Deployment => workloads::deployment(state, &key),
            Kind::ReplicaSet => workloads::replica_set(state, &key),
            Kind::StatefulSet => sets::stateful(state, &key),
            Kind::DaemonSet => sets::daemon(state, &key),
            Kind::Job => jobs::sync(state, &key),
            Kind::CronJob => cronjobs::sync(state, &key),
            Kind::Budget => budgets::sync(state, &key),
            Kind::Namespace => namespaces::sync(state, &key),
            Kind::ExternalSecret => externals::sync(state, &key),
            _ => {}
        },
    }
}

/// After anything that happened: what controllers learn of it, and when they will act.
pub fn react(state: &mut State) {
    if state.control.seen != state.store.version() {
        events::learn(state);
    }
    nodes::watch(state);
}

/// Brings a cluster whose objects have just been created to where it would be after a while: workloads have their pods, all run and are
/// Ready, statuses say so, CronJobs know their next time. No time passes.
pub fn begin(state: &mut State) {
    state.control.at_once = true;
    react(state);
    let now = state.now();
    state.advance(now, |_| ());
    state.control.at_once = false;
}

/// Wakes one who has heard of a change: some milliseconds later.
fn wake(state: &mut State, due: Due) {
    let now = state.now();
    let (least, most) = match &due {
        Due::Object(Key { kind: Kind::Budget, .. }) => (20, 90),
        Due::Orphans(_) | Due::Held(_) => (100, 900),
        Due::Pod(_) => (20, 200),
        _ => (5, 50),
    };
    if is_queued(state, &due, later(now, Duration::from_millis(least))) {
        return;
    }
    let when = later(now, delay(state, least, most));
    wake_at(state, due, when);
}

/// Wakes one at that time, unless it wakes earlier anyhow.
fn wake_at(state: &mut State, due: Due, when: Timestamp) {
    let when = when.max(state.now());
    if !is_queued(state, &due, when) {
        state.control.queued.insert((due.clone(), when));
        state.at(when, Timer::Control(due));
    }
}

fn is_queued(state: &State, due: &Due, until: Timestamp) -> bool {
    state.control.queued.range((due.clone(), Timestamp::MIN)..=(due.clone(), until)).next().is_some()
}

/// How long something takes, in milliseconds between two bounds; nothing while a world is set up.
fn delay(state: &mut State, least: u64, most: u64) -> Duration {
    if state.control.at_once { Duration::ZERO } else { state.between(least, most) }
}

/// What the twin cannot imitate, recorded once.
fn unmodelled(state: &mut State, what: String) {
    if !state.unmodelled.contains(&what) {
        state.unmodelled.push(what);
    }
}

#[cfg(test)]
mod tests;

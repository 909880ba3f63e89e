//! The rules that are never broken, by an observer who sees only what everybody can see: objects, calls, machines. It knows nothing of the
//! program.

mod begun;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use k8s_upgrade::plan::model::waves::Share;
use k8s_upgrade::twin::store::{Event, Key, Kind, Verb};
use k8s_upgrade::twin::{Call, Fate, Hook, State, Who};
use serde_json::Value;

pub use kept::given_away;

use super::world::{NAMESPACE, SOAK, components, cordoned_by_people, is_of_chain, mark, namespace, version_of};

type Version = (u64, u64, u64);

/// Two drains of half an hour each, and what is waited for around them.
const IN_VAIN: SignedDuration = SignedDuration::from_mins(70);

/// The exit code of what was killed.
const KILLED: u64 = 137;

fn version(text: &str) -> Version {
    let mut parts = text.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// What was broken so far, for whoever holds the other end.
pub type Broken = Arc<Mutex<Vec<String>>>;

/// Watches a world; `inner` may do to it what it likes.
pub struct Observer {
    pub broken: Broken,
    pub inner: Option<Box<dyn Hook>>,
    /// Up to here the store's events were looked at.
    seen: u64,
    /// Whose call it was that has written what is looked at next; None: nobody's who is watched.
    writer: Option<Who>,
    /// What each caller was told when it last asked for alerts; None: that there is none.
    asked: BTreeMap<String, Option<String>>,
    /// What people may have written on a node that is out of service, as it was when it was cordoned.
    lines: BTreeMap<String, Vec<String>>,
    /// The newest version that each node's kubelet was seen at.
    kubelets: BTreeMap<String, Version>,
    /// Each Lease, as it was written last.
    terms: BTreeMap<String, begun::Term>,
    /// Pods of API servers that are not Ready, and since when.
    unready: BTreeMap<String, Timestamp>,
    halted: Option<Timestamp>,
    /// Nodes that are out of service, since when, and with which mark of their last change.
    out: BTreeMap<String, (Timestamp, Option<String>)>,
    /// How long each was out of service in this run without having been changed.
    in_vain: BTreeMap<String, SignedDuration>,
    /// Nodes that work has begun on since they were cordoned.
    worked_on: BTreeSet<String>,
    /// Nodes that a person had cordoned before.
    pub cordoned: BTreeSet<String>,
    /// So many nodes may be out of service at once, as the settings of the cluster say.
    pub at_most: usize,
    /// In waves, what people have cordoned counts, too.
    pub waves: bool,
    /// So many were at once, at most.
    pub most_out: Arc<AtomicUsize>,
    /// Nothing but the program is ever broken here: what it waits for between nodes must have come.
    pub steady: bool,
}

fn is_control_plane(node: &Value) -> bool {
    node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"].is_string()
}

/// What the settings in the cluster say.
fn max_unavailable(state: &State) -> Option<usize> {
    let settings = state.store.get(&Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-config"))?;
    let line = settings["data"]["config.yaml"].as_str()?.lines().find_map(|line| line.strip_prefix("max-unavailable: "))?;
    let share: Share = line.trim_matches(['"', '\'']).parse().ok()?;
    let workers = state.store.list(Kind::Node).filter(|(_, node)| !is_control_plane(node)).count();
    Some(share.of(workers).max(1))
}

impl Observer {
    pub fn new(state: &State, inner: Option<Box<dyn Hook>>) -> (Self, Broken) {
        let broken = Broken::default();
        let observer = Observer {
            broken: broken.clone(),
            inner,
            seen: state.store.version(),
            writer: None,
            asked: BTreeMap::new(),
            lines: BTreeMap::new(),
            kubelets: BTreeMap::new(),
            terms: BTreeMap::new(),
            unready: BTreeMap::new(),
            halted: None,
            out: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            worked_on: BTreeSet::new(),
            cordoned: cordoned_by_people(state),
            at_most: max_unavailable(state).unwrap_or(1),
            waves: max_unavailable(state).is_some(),
            most_out: Arc::default(),
            steady: false,
        };
        (observer, broken)
    }

    fn breaks(&self, state: &State, rule: &str, what: String) {
        let line = format!("{rule}: {what} (at {})", state.now());
        let mut broken = self.broken.lock().unwrap();
        if !broken.iter().any(|known| known.starts_with(&format!("{rule}: {what}"))) {
            broken.push(line);
        }
    }

    /// Rule 1: nothing disrupts the node that its own pod runs on.
    fn own_node(&self, state: &State, call: &Call) {
        let Who::Pod { name, uid, .. } = &call.who else { return };
        let Some(own) = state.store.by_uid(Kind::Pod, uid).and_then(|(_, pod)| pod["spec"]["nodeName"].as_str()) else { return };
        if !call.what.starts_with("PATCH") && disrupted(state, call).as_deref() == Some(own) {
            self.breaks(state, "rule 1", format!("{name} on {own} disrupts its own node: {}", call.what));
        }
    }

    /// Rule 2: who disrupts a node holds its Lease.
    fn one_runner(&self, state: &State, call: &Call) {
        let Some(node) = disrupted(state, call) else { return };
        // A label takes nothing out of service.
        if kept::typed(state, &call.who).contains("pause ") {
            return;
        }
        let holder = match &call.who {
            Who::Pod { name, .. } => name,
            // A person's process has a name of its own making.
            Who::Operator(_) => "operator-",
            Who::Stranger => return,
        };
        let lease = state.store.get(&Key::new(Kind::Lease, NAMESPACE, &format!("k8s-upgrade-node-{node}")));
        let held_by = lease.and_then(|lease| lease["spec"]["holderIdentity"].as_str()).unwrap_or("nobody");
        if !held_by.starts_with(holder) {
            self.breaks(state, "rule 2", format!("{} without the node's Lease, held by {held_by}: {}", call.who, call.what));
        }
    }

    /// Rule 2: one node at a time, or as many as the settings allow.
    fn one_at_a_time(&self, state: &State) {
        let cordoned = |node: &Value| self.waves && node["spec"]["unschedulable"] == true;
        let out: Vec<&str> = state
            .store
            .list(Kind::Node)
            .filter(|(_, node)| mark(node, "cordoned-by").is_some() || cordoned(node))
            .map(|(key, _)| key.name.as_str())
            .collect();
        self.most_out.fetch_max(out.len(), Ordering::Relaxed);
        if out.len() > self.at_most {
            self.breaks(state, "rule 2", format!("out of service at once: {}", out.join(", ")));
        }
    }

    /// Rule 3: version skew, no downgrade, control planes first.
    fn skew(&mut self, state: &State) {
        let servers: Vec<Version> =
            components(state).filter(|(_, name, _)| *name == "kube-apiserver").map(|(.., v)| version(v)).collect();
        let (Some(oldest), Some(newest)) = (servers.iter().min(), servers.iter().max()) else { return };
        if newest.1 - oldest.1 > 1 {
            self.breaks(state, "rule 3", format!("API servers at {oldest:?} and {newest:?}"));
        }
        let nodes: Vec<(String, Version)> =
            state.store.list(Kind::Node).map(|(key, node)| (key.name.clone(), version(version_of(node)))).collect();
        for (name, kubelet) in nodes {
            // The policy counts minors.
            if (kubelet.0, kubelet.1) > (oldest.0, oldest.1) {
                self.breaks(
                    state,
                    "rule 3",
                    format!("{name}: kubelet {kubelet:?} is newer than the oldest API server {oldest:?}"),
                );
            }
            if newest.1 - kubelet.1.min(newest.1) > 3 {
                self.breaks(state, "rule 3", format!("{name}: kubelet {kubelet:?} is too old for {newest:?}"));
            }
            let best = self.kubelets.entry(name.clone()).or_insert(kubelet);
            if kubelet < *best {
                let best = *best;
                self.breaks(state, "rule 3", format!("{name}: kubelet went back from {best:?} to {kubelet:?}"));
            } else {
                *best = kubelet;
            }
        }
    }

    /// Rule 4: a person's cordon stays.
    fn cordons(&self, state: &State, key: &Key, node: &Value) {
        if self.cordoned.contains(&key.name) && node["spec"]["unschedulable"] != true {
            self.breaks(state, "rule 4", format!("{}, which a person had cordoned, was uncordoned", key.name));
        }
    }

    /// Rule 10: nothing serves less before there is a snapshot, and on every control plane a card that says how to restore it.
    fn snapshot_first(&self, state: &State, node: &str) {
        let (Some(_), Some(run)) = (mark(namespace(state), "in-flight"), mark(namespace(state), "run-id")) else { return };
        let Some(path) = mark(namespace(state), "snapshot-path") else {
            return self.breaks(state, "rule 10", format!("{node} is cordoned before there is a snapshot"));
        };
        let is_snapshot = |bytes: u64| bytes >= 1024;
        if !state.hosts.all().any(|(_, machine)| machine.files.get(path).is_some_and(|file| is_snapshot(file.bytes))) {
            self.breaks(state, "rule 10", format!("{node} is cordoned, and {path} is no snapshot"));
        }
        let card = format!("/var/lib/k8s-upgrade/restore-{run}.txt");
        for (name, machine) in state.hosts.all().filter(|(_, machine)| machine.control_plane) {
            let text = machine.files.get(&card).and_then(|file| file.text.as_deref());
            if !text.is_some_and(|text| text.contains(path)) {
                self.breaks(state, "rule 10", format!("{node} is cordoned, and {name} has no restore card"));
            }
        }
    }

    /// A node that has been brought to the target is left alone from then on.
    fn finished_stays(&self, state: &State, node: &str, before: Option<&Value>) {
        let Some(target) = mark(namespace(state), "target") else { return };
        let at_target = before.is_some_and(|before| version_of(before) == target);
        let of_node = components(state).filter(|(on, ..)| *on == node).all(|(.., version)| version == target);
        if at_target && of_node && state.hosts.machine(node).is_some_and(|machine| machine.finished(target)) {
            self.breaks(state, "finished", format!("{node} was at the target, and is taken out of service again"));
        }
    }

    /// Between two nodes: the soak of the first is over, and what it drove away is whole again.
    fn recovered(&self, state: &State, node: &str) {
        let changed = |node: &Value| mark(node, "changed-at")?.parse::<Timestamp>().ok();
        let soaks = |at: Timestamp| state.now().duration_since(at) < SignedDuration::try_from(SOAK).unwrap_or_default();
        let others = || state.store.list(Kind::Node).filter(|(key, _)| key.name != node).map(|(_, node)| node);
        let soaking = others().filter(|node| changed(node).is_some_and(soaks)).count();
        if self.waves {
            // What soaks keeps its place. Of workloads that are whole all at once there may be never a moment.
            let out = others().filter(|node| mark(node, "cordoned-by").is_some()).count();
            if soaking + out >= self.at_most {
                self.breaks(state, "soak", format!("{node} is cordoned, {soaking} soak and {out} are out of service"));
            }
            return;
        }
        if soaking > 0 {
            self.breaks(state, "soak", format!("{node} is cordoned while the node before it soaks"));
        }
        for (key, deployment) in state.store.list(Kind::Deployment) {
            let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
            let there = deployment["status"]["availableReplicas"].as_u64().unwrap_or(0);
            if there < wanted {
                let name = key.full_name();
                self.breaks(state, "whole", format!("{node} is cordoned while {name} has {there} of {wanted}"));
            }
        }
    }

    /// Where nothing but the program is broken, no Job of the chain fails.
    fn try_ended(&self, state: &State, pod: &Value) {
        let code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_u64();
        if is_of_chain(pod) && code.is_some_and(|code| code != 0 && code != KILLED) {
            self.breaks(state, "try", format!("{} ended with {code:?}", pod["metadata"]["name"]));
        }
    }

    /// What was half changed does not serve; but for a control plane whose kubelet must wait for an older API server, or has waited and is
    /// still untouched: that its first turn ended well was on record before this one began.
    fn back_whole(&self, state: &State, name: &str, node: &Value, before: Option<&Value>) {
        let (Some(machine), Some(target)) = (state.hosts.machine(name), mark(namespace(state), "target")) else { return };
        let begun = machine.packages.get("kubeadm").is_some_and(|package| package.at(target));
        let minor = |text: &str| (version(text).0, version(text).1);
        let older =
            components(state).any(|(of, component, at)| of != name && component == "kube-apiserver" && minor(at) < minor(target));
        let mut own = components(state).filter(|(of, ..)| *of == name).map(|(.., at)| at).peekable();
        // The record of its second turn's beginning may be taken back, but to the letter.
        let restored = self.out.get(name).is_some_and(|(_, at)| at.is_some() && mark(node, "changed-at") == at.as_deref());
        let recorded = restored || before.is_some_and(|before| mark(before, "changed-at").is_some());
        let untouched = recorded && machine.packages.get("kubelet").is_some_and(|package| package.at(version_of(node)));
        let waits = (older || untouched) && own.peek().is_some() && own.all(|at| at == target);
        if begun && !waits && node["spec"]["unschedulable"] != true && version_of(node) != target {
            self.breaks(state, "half", format!("{name} is put back into service at {}", version_of(node)));
        }
    }

    /// What is out of service again and again for nothing is a person's at some time.
    fn out_in_vain(&mut self, state: &State, name: &str, node: &Value) {
        let Some((since, changed)) = self.out.remove(name) else { return };
        if mark(node, "changed-at").map(str::to_owned) != changed {
            self.in_vain.remove(name);
            return;
        }
        let sum = self.in_vain.entry(name.to_owned()).or_default();
        *sum += state.now().duration_since(since);
        let sum = *sum;
        if sum > IN_VAIN {
            self.breaks(
                state,
                "in vain",
                format!("{name} was out of service for more than {IN_VAIN:#}, and nothing on it was changed"),
            );
        }
    }

    /// A node whose cordon, as the program marks it, was put on or taken off.
    fn cordon_changed(&mut self, state: &State, name: &str, node: &Value, before: Option<&Value>) {
        let is = mark(node, "cordoned-by").is_some();
        match (before.is_some_and(|before| mark(before, "cordoned-by").is_some()), is) {
            (false, true) => {
                self.out.insert(name.to_owned(), (state.now(), mark(node, "changed-at").map(str::to_owned)));
                self.cordoned(state, name);
                self.cordoned_under_a_halt(state, name);
                self.snapshot_first(state, name);
                self.finished_stays(state, name, before);
                if self.steady {
                    self.recovered(state, name);
                }
            }
            (true, false) => {
                self.back_whole(state, name, node, before);
                self.out_in_vain(state, name, node);
                self.nothing_lost(state, name);
                self.worked_on.remove(name);
            }
            _ => {}
        }
    }

    /// One write.
    fn happened(&mut self, state: &State, event: &Event) {
        self.keeps_secrets(state, event);
        match (event.key.kind, event.verb) {
            (Kind::Lease, _) => self.lease_changed(state, event),
            (Kind::Pod, _) if self.steady => self.try_ended(state, &event.object),
            (Kind::Node, Verb::Added | Verb::Modified) => {
                self.cordons(state, &event.key, &event.object);
                self.cordon_changed(state, &event.key.name, &event.object, event.before.as_deref());
            }
            (Kind::Namespace, Verb::Modified) if event.key.name == NAMESPACE => {
                if mark(&event.object, "held-drain").is_none() {
                    // A person has begun to count anew, or the run is over.
                    self.in_vain.clear();
                }
                if let Some(before) = &event.before {
                    self.run_changed(state, before, &event.object);
                }
            }
            _ => {}
        }
    }

    /// No second `kubeadm upgrade` on a node that had finished.
    fn finished(&self, state: &State) {
        for (node, machine) in state.hosts.all() {
            if machine.runs.values().any(|runs| runs.after_all > 0) {
                self.breaks(state, "kubeadm", format!("ran again on {node}, which had finished"));
            }
        }
    }
}

/// The node that a call disrupts, or writes to: evictions, deletions of pods, work on its machine, its own object.
fn disrupted(state: &State, call: &Call) -> Option<String> {
    match call.what.split_once(' ')? {
        ("POST", path) if path.ends_with("/eviction") => node_of(state, &evicted(path)?),
        ("DELETE", path) if path.contains("/pods/") => node_of(state, &evicted(path)?),
        ("PATCH", path) => Some(path.strip_prefix("/api/v1/nodes/")?.split('?').next()?.to_owned()),
        ("begin", rest) => rest.rsplit(' ').next().map(str::to_owned),
        _ => None,
    }
}

/// Namespace and name in `/api/v1/namespaces/NS/pods/NAME…`.
fn evicted(path: &str) -> Option<Key> {
    let parts: Vec<&str> = path.split(['/', '?']).collect();
    let at = parts.iter().position(|part| *part == "pods")?;
    Some(Key::new(Kind::Pod, parts.get(at - 1)?, parts.get(at + 1)?))
}

fn node_of(state: &State, pod: &Key) -> Option<String> {
    state.store.get(pod)?["spec"]["nodeName"].as_str().map(str::to_owned)
}

impl Hook for Observer {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        self.own_node(state, call);
        self.asks(call);
        self.deletes(state, call);
        if call.changes {
            self.obeys_halt(state, call);
            self.one_runner(state, call);
        }
        self.inner.as_mut().map_or(Fate::Go, |inner| inner.before(state, call))
    }

    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        let fate = self.inner.as_mut().map_or(Fate::Go, |inner| inner.after(state, call));
        self.answered(state, call, fate);
        // What was written up to now was looked at: the rest is this call's.
        self.writer = Some(call.who.clone());
        fate
    }

    fn look(&mut self, state: &mut State) {
        if self.seen != state.store.version() {
            let events: Vec<_> = state.store.since(self.seen).into_iter().flatten().cloned().collect();
            self.seen = state.store.version();
            let mut nodes_changed = false;
            self.look_for_halt(state);
            for event in &events {
                self.happened(state, event);
                nodes_changed |=
                    event.key.kind == Kind::Node || event.key.kind == Kind::Pod && event.key.namespace == "kube-system";
            }
            if nodes_changed {
                self.one_at_a_time(state);
                self.skew(state);
                self.finished(state);
                self.look_at_servers(state);
            }
        }
        self.writer = None;
        if let Some(inner) = self.inner.as_mut() {
            inner.look(state);
        }
    }
}

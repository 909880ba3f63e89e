//! The rules that are never broken (design §10), by an observer who sees only what everybody can see: objects, calls, machines. It knows nothing
//! of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use k8s_upgrade::twin::store::{Key, Kind, Verb};
use k8s_upgrade::twin::{Call, Fate, Hook, State, Who};
use serde_json::Value;

use super::world::{components, cordoned_by_people, mark, namespace, version_of};

type Version = (u64, u64, u64);

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
    /// The newest version that each node's kubelet was seen at.
    kubelets: BTreeMap<String, Version>,
    target: String,
    /// Nodes that a person had cordoned before.
    pub cordoned: BTreeSet<String>,
    /// More nodes may be out of service than one: somebody breaks them on purpose.
    pub at_most: usize,
}

impl Observer {
    pub fn new(state: &State, target: &str, inner: Option<Box<dyn Hook>>) -> (Self, Broken) {
        let broken = Broken::default();
        let observer = Observer {
            broken: broken.clone(),
            inner,
            seen: state.store.version(),
            kubelets: BTreeMap::new(),
            target: target.to_owned(),
            cordoned: cordoned_by_people(state),
            at_most: 1,
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
        let disrupted = match call.what.split_once(' ') {
            Some(("POST", path)) if path.ends_with("/eviction") => evicted(path).and_then(|key| node_of(state, &key)),
            Some(("DELETE", path)) if path.contains("/pods/") => evicted(path).and_then(|key| node_of(state, &key)),
            Some(("begin", rest)) => rest.rsplit(' ').next().map(str::to_owned),
            _ => None,
        };
        if disrupted.as_deref() == Some(own) {
            self.breaks(state, "rule 1", format!("{name} on {own} disrupts its own node: {}", call.what));
        }
    }

    /// Rule 2: one node at a time.
    fn one_at_a_time(&self, state: &State) {
        let out: Vec<&str> = state
            .store
            .list(Kind::Node)
            .filter(|(_, node)| mark(node, "cordoned-by").is_some())
            .map(|(key, _)| key.name.as_str())
            .collect();
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

    /// Rule 10: nothing serves less before the snapshot is there.
    fn snapshot_first(&self, state: &State, key: &Key, node: &Value, before: Option<&Value>) {
        let newly = mark(node, "cordoned-by").is_some() && before.is_none_or(|before| mark(before, "cordoned-by").is_none());
        if newly && mark(namespace(state), "in-flight").is_some() && mark(namespace(state), "snapshot-path").is_none() {
            self.breaks(state, "rule 10", format!("{} is cordoned before there is a snapshot", key.name));
        }
    }

    /// No second `kubeadm upgrade` on a node that had finished.
    fn finished(&self, state: &State) {
        for (node, machine) in state.hosts.all() {
            if machine.runs.get(&self.target).is_some_and(|runs| runs.after_all > 0) {
                self.breaks(state, "kubeadm", format!("ran again on {node}, which had finished"));
            }
        }
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
        self.inner.as_mut().map_or(Fate::Go, |inner| inner.before(state, call))
    }

    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        self.inner.as_mut().map_or(Fate::Go, |inner| inner.after(state, call))
    }

    fn look(&mut self, state: &mut State) {
        if self.seen != state.store.version() {
            let events: Vec<_> = state.store.since(self.seen).into_iter().flatten().cloned().collect();
            self.seen = state.store.version();
            let mut nodes_changed = false;
            for event in events.iter().filter(|event| matches!(event.key.kind, Kind::Node | Kind::Pod)) {
                nodes_changed |= event.key.kind == Kind::Node || event.key.namespace == "kube-system";
                if event.key.kind == Kind::Node && event.verb != Verb::Deleted {
                    self.cordons(state, &event.key, &event.object);
                    self.snapshot_first(state, &event.key, &event.object, event.before.as_deref());
                }
            }
            if nodes_changed {
                self.one_at_a_time(state);
                self.skew(state);
                self.finished(state);
            }
        }
        if let Some(inner) = self.inner.as_mut() {
            inner.look(state);
        }
    }
}

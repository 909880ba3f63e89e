//! Rules about what may begin: whose Lease it is, whether every API server is ready, and whether a person has halted it.

use jiff::{SignedDuration, Timestamp};
use k8s_upgrade::twin::store::{Event, Key, Kind, Verb};
use k8s_upgrade::twin::{Call, State, Who};
use serde_json::Value;

use super::super::world::{NAMESPACE, mark, namespace};
use super::{Observer, disrupted};

/// A halt may be seen this late; what was on its way by then is no breach.
const SEEN: SignedDuration = SignedDuration::from_secs(20);
/// An API server that has not been ready for longer was so when the program looked.
const UNREADY: SignedDuration = SignedDuration::from_secs(30);

/// A Lease, as its last write left it.
pub(super) struct Term {
    holder: String,
    written: Timestamp,
    lasts: SignedDuration,
}

impl Term {
    fn of(lease: &Value, now: Timestamp) -> Self {
        let spec = &lease["spec"];
        let lasts = SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64().unwrap_or_default());
        Term { holder: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(), written: now, lasts }
    }
}

impl Observer {
    /// Rule 13: a Lease is its holder's for as long as it lasts, by the time of its last write.
    pub(super) fn lease_changed(&mut self, state: &State, event: &Event) {
        let name = &event.key.name;
        if event.key.namespace != NAMESPACE || !name.starts_with("k8s-upgrade-") {
            return;
        }
        let now = state.now();
        let former = self.terms.remove(name);
        let gone = event.verb == Verb::Deleted;
        let is = Term::of(&event.object, now);
        if let (Some(former), Some(writer)) = (former, &self.writer) {
            let lasts = !former.holder.is_empty() && now.duration_since(former.written) < former.lasts;
            let by_holder = match writer {
                Who::Pod { name, .. } => former.holder.starts_with(name),
                Who::Operator(_) => former.holder.starts_with("operator-"),
                Who::Stranger => true,
            };
            if lasts && gone && !by_holder {
                self.breaks(state, "rule 13", format!("Lease {name} of {} is deleted by {writer}", former.holder));
            }
            if lasts && !gone && former.holder != is.holder {
                self.breaks(state, "rule 13", format!("Lease {name} of {} is taken by {}", former.holder, is.holder));
            }
        }
        if !gone {
            self.terms.insert(name.clone(), is);
        }
    }

    /// Rule 14: no Job takes a node out of service while an API server is not ready.
    pub(super) fn servers_ready(&self, state: &State, node: &str) {
        for (pod, since) in &self.unready {
            if state.now().duration_since(*since) > UNREADY {
                self.breaks(state, "rule 14", format!("{node} is cordoned while {pod} has not been ready since {since}"));
            }
        }
    }

    /// Keeps since when each API server's pod is not Ready.
    pub(super) fn look_at_servers(&mut self, state: &State) {
        for (key, pod) in
            state.store.list(Kind::Pod).filter(|(_, pod)| pod["metadata"]["labels"]["component"] == "kube-apiserver")
        {
            let conditions = pod["status"]["conditions"].as_array();
            let ready = conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
            match ready {
                true => drop(self.unready.remove(&key.name)),
                false => drop(self.unready.entry(key.name.clone()).or_insert_with(|| state.now())),
            }
        }
        self.unready.retain(|name, _| state.store.get(&Key::new(Kind::Pod, "kube-system", name)).is_some());
    }

    /// Since when upgrades are halted. A text that is none of the program's halts, too.
    pub(super) fn look_for_halt(&mut self, state: &State) {
        let run = |text: &str| serde_json::from_str::<Value>(text).map_or(true, |halt| halt["run"] == true);
        let halted = mark(namespace(state), "halted").is_some_and(run);
        self.halted = halted.then(|| self.halted.unwrap_or_else(|| state.now()));
    }

    /// Rule 15: under a halt no Job begins anything; what has begun on a node is finished.
    pub(super) fn obeys_halt(&mut self, state: &State, call: &Call) {
        if !matches!(call.who, Who::Pod { .. }) || call.what.starts_with("PATCH") {
            return;
        }
        let Some(node) = disrupted(state, call) else { return };
        let late = self.halted.is_some_and(|since| state.now().duration_since(since) > SEEN);
        if late && !self.worked_on.contains(&node) {
            self.breaks(state, "rule 15", format!("{} goes on though upgrades are halted: {}", call.who, call.what));
        }
        if call.what.starts_with("begin ") {
            self.worked_on.insert(node);
        }
    }

    /// The same of a cordon.
    pub(super) fn cordoned_under_a_halt(&self, state: &State, node: &str) {
        let late = self.halted.is_some_and(|since| state.now().duration_since(since) > SEEN);
        if late && matches!(self.writer, Some(Who::Pod { .. })) && !self.worked_on.contains(node) {
            self.breaks(state, "rule 15", format!("{node} is cordoned though upgrades are halted"));
        }
    }
}

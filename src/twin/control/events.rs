//! Who is woken by what happened to the store.

use std::sync::Arc;

use serde_json::Value;

use super::super::api::matches_selector;
use super::super::state::{State, later};
use super::super::store::{Event, Key, Kind, Verb, is_held};
use super::objects::{differs, finished, node_of, owner, ready, terminating, uid};
use super::{Due, externals, index, jobs, kubelet, nodes, wake, wake_at};

pub fn learn(state: &mut State) {
    let since = state.store.since(state.control.seen).map(|events| events.cloned().collect::<Vec<Arc<Event>>>());
    state.control.seen = state.store.version();
    match since {
        Some(events) => {
            for event in events {
                let after = Some(&*event.object).filter(|_| event.verb != Verb::Deleted);
                tell(state, &event.key, event.before.as_deref(), after);
            }
        }
        None => relearn(state),
    }
}

/// Events were forgotten before they were seen: everything is looked at as if it were new.
fn relearn(state: &mut State) {
    state.control.index = index::Index::default();
    let all = Kind::ALL.into_iter().flat_map(|kind| state.store.list(kind)).map(|(key, object)| (key.clone(), object.clone()));
    for (key, object) in all.collect::<Vec<_>>() {
        tell(state, &key, None, Some(&object));
    }
    let pods: Vec<String> = state.control.containers.keys().cloned().collect();
    for pod in pods {
        wake(state, Due::Pod(pod));
    }
}

fn tell(state: &mut State, key: &Key, before: Option<&Value>, after: Option<&Value>) {
    state.control.index.update(key, before, after);
    let Some(object) = after.or(before) else { return };
    let wanted_changed = differs(before, after, &["/metadata/generation"]);
    match key.kind {
        Kind::Pod => pod(state, key, before, after),
        Kind::Node => node(state, key, before, after),
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job | Kind::CronJob | Kind::Budget => {
            if wanted_changed {
                wake(state, Due::Object(key.clone()));
            }
            if wanted_changed && matches!(key.kind, Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet) {
                budgets(state, key, |_| true);
            }
        }
        Kind::ExternalSecret if after.is_some() => externals::changed(state, key),
        Kind::Namespace => return wake(state, Due::Object(key.clone())),
        _ => {}
    }
    if key.kind.names().namespaced {
        let namespace = Key::new(Kind::Namespace, "", &key.namespace);
        if state.store.get(&namespace).is_some_and(|namespace| terminating(namespace)) {
            wake(state, Due::Object(namespace));
        }
    }
    if after.is_some_and(|object| terminating(object) && is_held(object)) {
        wake(state, Due::Held(key.clone()));
    }
    if let Some(owner) = owner(object)
        && let Some(of) = owner.key(&key.namespace)
    {
        let there = state.store.get(&of).is_some_and(|object| uid(object) == owner.uid);
        if there {
            if after.is_none() && state.store.get(&of).is_some_and(|owner| terminating(owner)) {
                wake(state, Due::Held(of.clone()));
            }
            if of.kind != Kind::Node {
                wake(state, Due::Object(of));
            }
        } else if after.is_some() {
            wake(state, Due::Orphans(owner.uid.to_owned()));
        }
    }
    if after.is_none() && state.control.index.has_children(uid(object)) {
        wake(state, Due::Orphans(uid(object).to_owned()));
    }
    if after.is_none() && key.kind == Kind::Job {
        state.control.jobs.remove(uid(object));
    }
}

fn pod(state: &mut State, key: &Key, before: Option<&Value>, after: Option<&Value>) {
    let Some(pod) = after.or(before) else { return };
    jobs::see(state, key, pod, after.is_none());
    match after {
        Some(pod) if node_of(pod).is_some() => {
            if !finished(pod) {
                kubelet::adopt(state, key, pod);
            }
            if terminating(pod) && differs(before, after, &["/metadata/deletionTimestamp"]) {
                wake(state, Due::Pod(uid(pod).to_owned()));
            }
        }
        Some(pod) if before.is_none() && !finished(pod) => wake(state, Due::Scheduler),
        Some(_) => {}
        // The kubelet ends what is no longer wanted.
        None => wake(state, Due::Pod(uid(pod).to_owned())),
    }
    let face = |pod: &Value| (ready(pod), terminating(pod));
    if before.map(face) != after.map(face) || differs(before, after, &["/metadata/labels"]) {
        budgets(state, key, |selector| [before, after].into_iter().flatten().any(|pod| matches_selector(selector, pod)));
    }
}

/// Wakes the budgets of a namespace whose selector is concerned.
fn budgets(state: &mut State, key: &Key, concerned: impl Fn(&Value) -> bool) {
    let within = state.store.within(Kind::Budget, &key.namespace).filter(|(_, object)| concerned(&object["spec"]["selector"]));
    for budget in within.map(|(budget, _)| budget.clone()).collect::<Vec<_>>() {
        wake(state, Due::Object(budget));
    }
}

fn node(state: &mut State, key: &Key, before: Option<&Value>, after: Option<&Value>) {
    let name = &key.name;
    let Some(now) = after else {
        state.control.nodes.remove(name);
        let when = later(state.now(), nodes::GONE_FOR_GOOD);
        return wake_at(state, Due::Node(name.clone()), when);
    };
    if before.is_none() {
        state.control.nodes.insert(name.clone(), nodes::NodeHealth::default());
        state.control.heard = None;
    }
    if before.map(ready) == Some(ready(now)) && !differs(before, after, &["/metadata/labels", "/spec"]) {
        return;
    }
    wake(state, Due::Node(name.clone()));
    if !state.control.index.unbound.is_empty() {
        wake(state, Due::Scheduler);
    }
    if differs(before, after, &["/metadata/labels"]) {
        let sets: Vec<Key> = state.store.list(Kind::DaemonSet).map(|(key, _)| key.clone()).collect();
        for set in sets {
            wake(state, Due::Object(set));
        }
    }
}

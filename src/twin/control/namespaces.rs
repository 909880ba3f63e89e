//! Namespaces: what each is born with, and how one ends.

use serde_json::json;

use super::super::api::{delete_pod, remove};
use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{create, terminating};

pub fn sync(state: &mut State, key: &Key) {
    let Some(namespace) = state.store.get(key).cloned() else { return };
    if terminating(&namespace) {
        return end(state, key);
    }
    let own = |name: &str| json!({ "metadata": { "name": name, "namespace": key.name } });
    let mut authority = own("kube-root-ca.crt");
    authority["data"]["ca.crt"] = json!("");
    for (kind, object) in [(Kind::ServiceAccount, own("default")), (Kind::ConfigMap, authority)] {
        if state.store.get(&Key::of(kind, &object)).is_none() {
            create(state, kind, object);
        }
    }
}

/// Deletes what lies in it; once that is gone, it goes, too.
fn end(state: &mut State, key: &Key) {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.names().namespaced);
    let within = |kind| state.store.within(kind, &key.name);
    let left: Vec<(Key, bool)> = kinds.flat_map(within).map(|(inner, object)| (inner.clone(), terminating(object))).collect();
    if left.is_empty() {
        state.store.remove(key);
    }
    for (inner, ends) in left {
        match inner.kind {
            _ if ends => {}
            Kind::Pod => drop(delete_pod(state, &inner, None)),
            _ => remove(state, &inner),
        }
    }
}

//! Deletion: preconditions, grace, finalizers, and what becomes of dependents.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::State;
use super::super::state::later;
use super::super::store::{Key, Kind, is_held, seconds};
use super::route::Request;
use super::{Refusal, Reply, unmodelled, webhooks};

/// Seconds that a pod has to end unless it says otherwise.
const USUAL_GRACE: u64 = 30;
/// The garbage collector's: dependents lose their owner first.
pub const ORPHAN: &str = "orphan";
/// The garbage collector's: dependents go first.
pub const FOREGROUND: &str = "foregroundDeletion";

pub fn delete(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let object = state.store.get(key).cloned().ok_or_else(|| Refusal::not_found(key))?;
    let options = &request.body;
    preconditions(key, &object, &options["preconditions"])?;
    let guard = match (options["propagationPolicy"].as_str(), key.kind) {
        (None | Some("Background"), Kind::Pod) | (Some("Background"), _) => None,
        // Alone among owners, by the history of its API.
        (None, Kind::Job) | (Some("Orphan"), Kind::Job) => Some(ORPHAN),
        (None, _) => None,
        (Some("Foreground"), Kind::Job) => Some(FOREGROUND),
        (Some(other), kind) => {
            return Err(unmodelled(state, format!("deletion of {} with propagationPolicy {other}", kind.qualified())));
        }
    };
    webhooks::ask(state, "DELETE", key, "")?;
    if request.dry_run() {
        return Ok(if key.kind == Kind::Pod { Reply::Object(200, (*object).clone()) } else { gone(key, &object) });
    }
    if key.kind == Kind::Pod {
        let last = delete_pod(state, key, options["gracePeriodSeconds"].as_u64());
        return Ok(Reply::Object(200, last.map_or(Value::Null, |pod| (*pod).clone())));
    }
    if let Some(guard) = guard
        && !object["metadata"]["deletionTimestamp"].is_string()
    {
        state.store.update(key, |object| add_finalizer(object, guard));
    }
    remove(state, key);
    Ok(match state.store.get(key) {
        Some(held) => Reply::Object(200, (**held).clone()),
        None => gone(key, &object),
    })
}

/// Unlike every other refusal these name the kind, not the resource.
pub fn preconditions(key: &Key, object: &Value, wanted: &Value) -> Result<(), Refusal> {
    for (field, name, may) in [("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")] {
        let is = object["metadata"][field].as_str().unwrap_or_default();
        let Some(wanted) = wanted[field].as_str().filter(|wanted| *wanted != is) else { continue };
        let names = key.kind.names();
        let kind = if names.group.is_empty() { names.kind.to_owned() } else { format!("{}.{}", names.kind, names.group) };
        let why = format!(
            "Operation cannot be fulfilled on {kind} {:?}: the {name} in the precondition ({wanted}) does not match the {name} in record \
             ({is}). The object might have been {may}",
            key.name
        );
        return Err(Refusal::new(409, "Conflict", why).about(&key.name, names.group, names.kind));
    }
    Ok(())
}

fn gone(key: &Key, object: &Value) -> Reply {
    let names = key.kind.names();
    let mut details = json!({ "name": key.name });
    if !names.group.is_empty() {
        details["group"] = json!(names.group);
    }
    details["kind"] = json!(names.plural);
    details["uid"] = object["metadata"]["uid"].clone();
    Reply::Object(200, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details }))
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !object["metadata"]["finalizers"].is_array() {
        object["metadata"]["finalizers"] = json!([]);
    }
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
        finalizers.push(json!(finalizer));
    }
}

/// Takes a finalizer off; what was deleted goes with its last one.
pub fn release(state: &mut State, key: &Key, finalizer: &str) {
    state.store.update(key, |object| {
        let Some(meta) = object["metadata"].as_object_mut() else { return };
        let Some(finalizers) = meta.get_mut("finalizers").and_then(Value::as_array_mut) else { return };
        finalizers.retain(|known| known != finalizer);
        if finalizers.is_empty() {
            meta.shift_remove("finalizers");
        }
    });
}

/// Takes an object away; one that finalizers hold is marked, and a namespace ends when it is empty.
pub fn remove(state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key) else { return };
    if !is_held(object) && key.kind != Kind::Namespace {
        state.store.remove(key);
        return;
    }
    let now = seconds(state.now());
    state.store.update(key, |object| {
        let Some(meta) = object["metadata"].as_object_mut() else { return };
        if !meta.contains_key("deletionTimestamp") {
            shorten(meta, &now, 0);
        }
        if key.kind == Kind::Namespace {
            object["status"]["phase"] = json!("Terminating");
        }
    });
}

/// Deletes a pod as the API server does: one that is bound has its grace period, and its kubelet the last word; others vanish at once. The pod
/// as it is then, or was last.
pub fn delete_pod(state: &mut State, key: &Key, grace: Option<u64>) -> Option<Arc<Value>> {
    let pod = state.store.get(key)?;
    let usual = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(USUAL_GRACE);
    let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let bound = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let grace = if finished || !bound { 0 } else { grace.unwrap_or(usual) };
    let ends = seconds(later(state.now(), Duration::from_secs(grace)));
    if grace == 0 && !is_held(pod) {
        let last = state.store.remove(key)?;
        let mut last = (*last).clone();
        shorten(last["metadata"].as_object_mut()?, &ends, grace);
        return Some(Arc::new(last));
    }
    state.store.update(key, |pod| {
        let Some(meta) = pod["metadata"].as_object_mut() else { return };
        shorten(meta, &ends, grace);
    })
}

/// A deletion that has begun can only be made shorter.
fn shorten(meta: &mut Map<String, Value>, ends: &str, grace: u64) {
    let longer = meta.get("deletionGracePeriodSeconds").and_then(Value::as_u64).is_none_or(|former| grace < former);
    if longer {
        meta.insert("deletionTimestamp".to_owned(), json!(ends));
        meta.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    }
}

//! Small readers and writers of objects.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::api::admit;
use super::super::state::State;
use super::super::store::{Key, Kind, seconds};

pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// The controller of an object.
pub struct Owner<'a> {
    pub reference: &'a Value,
    pub uid: &'a str,
}

impl Owner<'_> {
    /// None for a kind that does not exist here.
    pub fn key(&self, namespace: &str) -> Option<Key> {
        let kind = Kind::of_object(self.reference)?;
        let within = if kind.names().namespaced { namespace } else { "" };
        Some(Key::new(kind, within, self.reference["name"].as_str()?))
    }
}

pub fn owner(object: &Value) -> Option<Owner<'_>> {
    let references = object["metadata"]["ownerReferences"].as_array()?;
    let reference = references.iter().find(|reference| reference["controller"] == true)?;
    Some(Owner { reference, uid: reference["uid"].as_str()? })
}

pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

pub fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or("Pending")
}

pub fn finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub fn terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub fn replicas(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// A number, or a percentage of `total`, rounded up or down.
pub fn scaled(share: &Value, total: u64, up: bool) -> Option<u64> {
    if let Some(number) = share.as_u64() {
        return Some(number);
    }
    let percent: u64 = share.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some(if up { (total * percent).div_ceil(100) } else { total * percent / 100 })
}

pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A condition's status; empty where it is not there.
pub fn is<'a>(object: &'a Value, kind: &str) -> &'a str {
    condition(object, kind).and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

pub fn ready(pod: &Value) -> bool {
    is(pod, "Ready") == "True"
}

pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

pub fn seconds_of(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_secs)
}

/// Whether a change touched one of these places; a birth or an end touches all.
pub fn differs(before: Option<&Value>, after: Option<&Value>, places: &[&str]) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => places.iter().any(|place| before.pointer(place) != after.pointer(place)),
        _ => true,
    }
}

/// Sets a condition; its transition time moves only where its status changes.
pub fn set_condition(object: &mut Value, now: Timestamp, kind: &str, status: &str, reason: &str, message: &str) {
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = object["status"]["conditions"].as_array_mut() else { return };
    let mut wanted = json!({ "type": kind, "status": status, "lastTransitionTime": seconds(now) });
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            wanted[field] = json!(text);
        }
    }
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(known) => {
            if known["status"] == status {
                wanted["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = wanted;
        }
        None => conditions.push(wanted),
    }
}

/// A number that a status does not say where it is nothing.
pub fn counted(number: u64) -> Value {
    if number == 0 { Value::Null } else { json!(number) }
}

/// Writes fields of a status, unless they stand there already; null takes one away.
pub fn write_status(state: &mut State, key: &Key, fields: &[(&str, Value)]) {
    let Some(object) = state.store.get(key) else { return };
    let same = |(field, value): &(&str, Value)| object["status"][field] == *value;
    if !fields.iter().all(same) {
        state.store.update(key, |object| {
            for (field, value) in fields {
                match object["status"].as_object_mut() {
                    Some(status) if value.is_null() => drop(status.shift_remove(*field)),
                    _ => object["status"][field] = value.clone(),
                }
            }
        });
    }
}

/// What an object with this UID owns, of one kind, in the order of names.
pub fn children(state: &State, uid: &str, kind: Kind) -> Vec<(Key, Arc<Value>)> {
    let own = state.control.index.children(uid).filter(|key| key.kind == kind);
    own.filter_map(|key| Some((key.clone(), state.store.get(key)?.clone()))).collect()
}

/// A pod out of its owner's template, with more labels; `name` ends with `-` where the rest is generated.
pub fn pod_of(owner: &Value, name: &str, labels: &[(&str, &str)]) -> Value {
    let template = &owner["spec"]["template"];
    let mut meta = child_meta(owner, name, &template["metadata"]);
    if !labels.is_empty() && !meta["labels"].is_object() {
        meta["labels"] = Value::Object(Map::new());
    }
    for (label, value) in labels {
        meta["labels"][label] = json!(value);
    }
    json!({ "metadata": meta, "spec": template["spec"], "status": { "phase": "Pending" } })
}

/// Metadata of an object that a controller makes after a template.
pub fn child_meta(owner: &Value, name: &str, template: &Value) -> Value {
    let field = if name.ends_with('-') { "generateName" } else { "name" };
    let mut meta = json!({
        field: name,
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [{
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }],
    });
    for field in ["labels", "annotations"] {
        if template[field].is_object() {
            meta[field] = template[field].clone();
        }
    }
    meta
}

/// Creates what a controller wants.
pub fn create(state: &mut State, kind: Kind, object: Value) -> Option<Arc<Value>> {
    try_create(state, kind, object).ok()
}

/// The same for a controller that tells why it could not.
pub fn try_create(state: &mut State, kind: Kind, mut object: Value) -> Result<Arc<Value>, String> {
    let now = state.now();
    let admitted = admit(state, kind, &mut object).map_err(|refusal| refusal.message);
    match admitted.and_then(|()| state.store.create(now, kind, object).map_err(|taken| taken.to_string())) {
        Ok(object) => Ok(object),
        Err(why) => {
            state.tell(format_args!("a controller's {} is refused: {why}", kind.names().kind));
            Err(why)
        }
    }
}

/// Tells of an object what went wrong with it; the same once more is counted.
pub fn warn(state: &mut State, about: &Value, reason: &str, message: &str) {
    let meta = &about["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
    let name = format!("{}.{}", text("name"), hash(&json!([meta["uid"], reason, message])));
    let now = json!(seconds(state.now()));
    let key = Key::new(Kind::Event, &text("namespace"), &name);
    if state.store.get(&key).is_some() {
        state.store.update(&key, |event| {
            event["count"] = json!(event["count"].as_u64().unwrap_or(0) + 1);
            event["lastTimestamp"] = now;
        });
        return;
    }
    let involved = json!({
        "apiVersion": about["apiVersion"], "kind": about["kind"], "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
    });
    let event = json!({
        "metadata": { "name": name, "namespace": meta["namespace"] }, "involvedObject": involved, "type": "Warning", "reason": reason,
        "message": message, "count": 1, "firstTimestamp": now, "lastTimestamp": now,
    });
    create(state, Kind::Event, event);
}

/// A short name for a value, as templates have: the same for the same text.
pub fn hash(value: &Value) -> String {
    let text = value.to_string();
    let mixed =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (mixed ^ (mixed >> 32)) & 0xffff_ffff)
}

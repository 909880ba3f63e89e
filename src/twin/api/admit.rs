//! Admission: what a new object must satisfy, and the fields that the API server fills in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::control::{MESHED, SIDECAR};
use super::super::store::{Key, Kind};
use super::{Refusal, webhooks};

/// On a pod: a kubelet shows what it runs from a file, and nobody is asked.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// What every cluster has.
const PRIORITIES: [(&str, i64); 2] = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
/// How long a pod stays on a node that has failed, unless it says otherwise.
const TOLERATED: u64 = 300;
/// A Job's hold on its pods until they are counted.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// For whoever creates: the API server's callers and the controllers alike.
pub fn admit(state: &mut State, kind: Kind, object: &mut Value) -> Result<(), Refusal> {
    if kind.names().namespaced {
        open(state, &Key::of(kind, object), kind)?;
    }
    webhooks::ask(state, "CREATE", &Key::of(kind, object), "")?;
    if object["metadata"]["uid"].is_null() {
        object["metadata"]["uid"] = json!(state.store.next_uid());
    }
    match kind {
        Kind::Pod if object["metadata"]["annotations"][MIRROR].is_null() => pod(state, object),
        Kind::Namespace => {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = object["metadata"]["name"].clone();
            fill(&mut object["spec"], &[("finalizers", json!(["kubernetes"]))]);
            fill(&mut object["status"], &[("phase", json!("Active"))]);
            Ok(())
        }
        Kind::Secret => {
            secret(object);
            Ok(())
        }
        Kind::Job => {
            job(object);
            Ok(())
        }
        Kind::Event => event(object),
        Kind::CronJob => {
            let usual = [
                ("concurrencyPolicy", json!("Allow")),
                ("suspend", json!(false)),
                ("successfulJobsHistoryLimit", json!(3)),
                ("failedJobsHistoryLimit", json!(1)),
            ];
            fill(&mut object["spec"], &usual);
            Ok(())
        }
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet => {
            fill(&mut object["spec"], &[("replicas", json!(1))]);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A namespace that is there, and does not end: nothing new comes in otherwise.
pub fn open(state: &State, new: &Key, kind: Kind) -> Result<(), Refusal> {
    let within = Key::new(Kind::Namespace, "", &new.namespace);
    let namespace = state.store.get(&within).ok_or_else(|| Refusal::not_found(&within))?;
    if !namespace["metadata"]["deletionTimestamp"].is_string() {
        return Ok(());
    }
    let place = &new.namespace;
    let why = format!("unable to create new content in namespace {place} because it is being terminated");
    let mut refusal = Refusal::forbidden(kind, &new.name, &why);
    refusal.details["causes"] = json!([{
        "reason": "NamespaceTerminating", "message": format!("namespace {place} is being terminated"), "field": "metadata.namespace",
    }]);
    Err(refusal)
}

/// Sets what is not said.
fn fill(holder: &mut Value, usual: &[(&str, Value)]) {
    for (field, value) in usual {
        if holder[field].is_null() {
            holder[field] = value.clone();
        }
    }
}

fn secret(object: &mut Value) {
    fill(object, &[("type", json!("Opaque"))]);
    let Some(Value::Object(texts)) = object.as_object_mut().and_then(|object| object.shift_remove("stringData")) else { return };
    for (field, text) in texts {
        object["data"][field] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
    }
}

fn job(object: &mut Value) {
    let uid = object["metadata"]["uid"].clone();
    let spec = &mut object["spec"];
    let replaced = if spec["podFailurePolicy"].is_null() { "TerminatingOrFailed" } else { "Failed" };
    let usual = [
        ("backoffLimit", json!(6)),
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("suspend", json!(false)),
        ("completionMode", json!("NonIndexed")),
        ("manualSelector", json!(false)),
        ("podReplacementPolicy", json!(replaced)),
        ("selector", json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } })),
    ];
    fill(spec, &usual);
}

/// The strings of one that says when it happened, with their bytes: those of older clients are taken as they come.
const TOLD: [(&str, &str, usize); 4] = [
    ("action", "action", 128),
    ("reason", "reason", 128),
    ("reportingComponent", "reportingController", 253),
    ("reportingInstance", "reportingInstance", 128),
];
const MESSAGE: usize = 1024;

/// One of an object without a namespace lies in `default`, and one that says when it happened says who tells what.
fn event(event: &Value) -> Result<(), Refusal> {
    let text = |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let (within, of) = (text("/metadata/namespace"), text("/involvedObject/namespace"));
    let dated = event["eventTime"].is_string();
    let misplaced = match (of, dated) {
        ("", false) => within != "default",
        ("", true) => within != "default" && within != "kube-system",
        (of, false) => within != of,
        (_, true) => false,
    };
    let mut wrong: Vec<String> = Vec::new();
    if misplaced {
        wrong.push(format!("involvedObject.namespace: Invalid value: {of:?}: does not match event.namespace"));
    }
    for (field, shown, most) in TOLD.into_iter().filter(|_| dated) {
        match text(&format!("/{field}")).len() {
            0 => wrong.push(format!("{shown}: Required value")),
            length if length > most => {
                wrong.push(format!("{shown}: Invalid value: \"\": can have at most {most} characters"));
            }
            _ => {}
        }
    }
    if dated && text("/message").len() > MESSAGE {
        wrong.push(format!("message: Invalid value: \"\": can have at most {MESSAGE} characters"));
    }
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(Refusal::invalid(Kind::Event, text("/metadata/name"), one)),
        several => Err(Refusal::invalid(Kind::Event, text("/metadata/name"), &format!("[{}]", several.join(", ")))),
    }
}

fn pod(state: &State, object: &mut Value) -> Result<(), Refusal> {
    let key = Key::of(Kind::Pod, object);
    let meshed = object["metadata"]["annotations"][MESHED] == "true";
    let spec = &mut object["spec"];
    if meshed && let Some(containers) = spec["containers"].as_array_mut() {
        containers.insert(0, json!({ "name": SIDECAR, "image": "docker.io/istio/proxyv2:1.27.0" }));
    }
    let usual = [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("serviceAccountName", json!("default")),
        ("tolerations", json!([])),
    ];
    fill(spec, &usual);
    let class = spec["priorityClassName"].as_str();
    let known = PRIORITIES.into_iter().find(|(name, _)| class == Some(*name));
    match (class, known) {
        (Some(class), None) => {
            let why = format!("no PriorityClass with name {class} was found");
            return Err(Refusal::forbidden(Kind::Pod, &key.name, &why));
        }
        (_, known) => spec["priority"] = json!(known.map_or(0, |(_, priority)| priority)),
    }
    let account = spec["serviceAccountName"].as_str().unwrap_or_default();
    if state.store.get(&Key::new(Kind::ServiceAccount, &key.namespace, account)).is_none() {
        let why = format!("error looking up service account {}/{account}: serviceaccount {account:?} not found", key.namespace);
        return Err(Refusal::forbidden(Kind::Pod, &key.name, &why));
    }
    let Some(tolerations) = spec["tolerations"].as_array_mut() else { return Ok(()) };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |own: &Value| {
            (own["key"] == key || (own["key"].is_null() && own["operator"] == "Exists"))
                && (own["effect"] == "NoExecute" || own["effect"].is_null())
        };
        if !tolerations.iter().any(covers) {
            tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED }));
        }
    }
    Ok(())
}

/// A name as DNS has them; roles may be called anything.
pub fn check_name(kind: Kind, object: &Value) -> Result<(), Refusal> {
    let free = matches!(kind, Kind::Role | Kind::RoleBinding | Kind::ClusterRole | Kind::ClusterRoleBinding);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| letter(byte) || byte == b'-' || byte == b'.';
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().all(|byte| letter(*byte));
    if free || (!bytes.is_empty() && bytes.len() <= 253 && ends && bytes.iter().all(|byte| inner(*byte))) {
        return Ok(());
    }
    let why = format!(
        "metadata.name: Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
    );
    Err(Refusal::invalid(kind, name, &why))
}

/// A node is born with a taint that keeps pods away until its kubelet says that it is well.
pub fn new_node(node: &mut Value) {
    if !node["spec"].is_object() {
        node["spec"] = Value::Object(Map::new());
    }
    if !node["spec"]["taints"].is_array() {
        node["spec"]["taints"] = json!([]);
    }
    if let Some(taints) = node["spec"]["taints"].as_array_mut() {
        taints.push(json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }));
    }
}

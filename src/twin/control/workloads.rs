//! Deployments and ReplicaSets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::api::delete_pod;
use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{
    child_meta, children, condition, counted, create, finished, hash, node_of, pod_of, ready, replicas, scaled, set_condition,
    terminating, uid, write_status,
};

const HASH: &str = "pod-template-hash";

fn count(object: &Value, field: &str) -> u64 {
    object["status"][field].as_u64().unwrap_or(0)
}

/// A new template has a ReplicaSet of its own at once; the former ones go when enough of its pods are available. Between, a real cluster
/// would go step by step. With the strategy Recreate the former pods go first; a paused one rolls nothing out.
pub fn deployment(state: &mut State, key: &Key) {
    let Some(deployment) = state.store.get(key).cloned() else { return };
    let wanted = replicas(&deployment);
    let sets = children(state, uid(&deployment), Kind::ReplicaSet);
    let current = sets.iter().find(|(_, set)| same_template(&deployment["spec"]["template"], &set["spec"]["template"]));
    let former: Vec<&(Key, Arc<Value>)> = sets.iter().filter(|(key, _)| current.is_none_or(|(own, _)| key != own)).collect();
    if deployment["spec"]["paused"] == true && current.is_none() {
        return write_status(state, key, &[("observedGeneration", deployment["metadata"]["generation"].clone())]);
    }
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        former.iter().for_each(|(former, set)| scale(state, former, set, 0));
        if former.iter().any(|(_, set)| !children(state, uid(set), Kind::Pod).is_empty()) {
            return write_status(state, key, &[("observedGeneration", deployment["metadata"]["generation"].clone())]);
        }
    }
    let Some((current, set)) = current else {
        let name = format!("{}-{}", key.name, hash(&deployment["spec"]["template"]));
        create(state, Kind::ReplicaSet, replica_set_of(&deployment, &name));
        return;
    };
    scale(state, current, set, wanted);
    let may_miss = may_miss(&deployment["spec"]["strategy"]["rollingUpdate"], wanted);
    if count(set, "availableReplicas") + may_miss >= wanted {
        for (former, set) in &former {
            scale(state, former, set, 0);
        }
    }
    let sum = |field: &str| sets.iter().map(|(_, set)| count(set, field)).sum::<u64>();
    let (ready, available) = (sum("readyReplicas"), sum("availableReplicas"));
    write_status(
        state,
        key,
        &[
            ("observedGeneration", deployment["metadata"]["generation"].clone()),
            ("replicas", counted(sum("replicas"))),
            ("updatedReplicas", counted(count(set, "replicas"))),
            ("readyReplicas", counted(ready)),
            ("availableReplicas", counted(available)),
            ("unavailableReplicas", counted(wanted.saturating_sub(available))),
        ],
    );
    let (status, reason) = match available + may_miss >= wanted {
        true => ("True", "MinimumReplicasAvailable"),
        false => ("False", "MinimumReplicasUnavailable"),
    };
    if condition(&deployment, "Available").is_none_or(|known| known["status"] != status) {
        let now = state.now();
        state.store.update(key, |object| {
            set_condition(object, now, "Available", status, reason, "");
            set_condition(object, now, "Progressing", "True", "NewReplicaSetAvailable", "");
        });
    }
}

/// maxUnavailable, which is not nothing where maxSurge is nothing, too.
fn may_miss(rolling: &Value, wanted: u64) -> u64 {
    let share = |field: &str, up: bool| match &rolling[field] {
        Value::Null => scaled(&json!("25%"), wanted, up),
        share => scaled(share, wanted, up),
    };
    let (missing, surge) = (share("maxUnavailable", false).unwrap_or(0), share("maxSurge", true).unwrap_or(0));
    if missing == 0 && surge == 0 { 1 } else { missing }
}

fn scale(state: &mut State, key: &Key, set: &Value, wanted: u64) {
    if replicas(set) != wanted {
        state.store.update(key, |set| set["spec"]["replicas"] = json!(wanted));
    }
}

fn same_template(deployment: &Value, set: &Value) -> bool {
    let mut set = set.clone();
    if let Some(labels) = set["metadata"]["labels"].as_object_mut() {
        labels.shift_remove(HASH);
    }
    *deployment == set
}

fn replica_set_of(deployment: &Value, name: &str) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    let hash = hash(&template);
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut meta = child_meta(deployment, name, &template["metadata"]);
    if let Some(meta) = meta.as_object_mut() {
        meta.shift_remove("annotations");
    }
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    json!({ "metadata": meta, "spec": { "replicas": replicas(deployment), "selector": selector, "template": template } })
}

pub fn replica_set(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else { return };
    let wanted = replicas(&set);
    let mut pods = children(state, uid(&set), Kind::Pod);
    pods.retain(|(_, pod)| !terminating(pod) && !finished(pod));
    let there = pods.len() as u64;
    if terminating(&set) {
        return;
    }
    for _ in there..wanted {
        create(state, Kind::Pod, pod_of(&set, &format!("{}-", key.name), &[]));
    }
    if there > wanted {
        // First those that do least: unbound, not Ready, then the youngest.
        pods.sort_by_cached_key(|(_, pod)| {
            let age = std::cmp::Reverse(pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned());
            (node_of(pod).is_some(), ready(pod), age)
        });
        for (pod, _) in pods.iter().take(usize::try_from(there - wanted).unwrap_or(0)) {
            delete_pod(state, pod, None);
        }
    }
    let are_ready = pods.iter().filter(|(_, pod)| ready(pod)).count() as u64;
    // minReadySeconds is not waited for: a Ready pod is available.
    write_status(
        state,
        key,
        &[
            ("observedGeneration", set["metadata"]["generation"].clone()),
            ("replicas", json!(there)),
            ("fullyLabeledReplicas", counted(there)),
            ("readyReplicas", counted(are_ready)),
            ("availableReplicas", counted(are_ready)),
        ],
    );
}

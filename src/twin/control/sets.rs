//! StatefulSets and DaemonSets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::api::delete_pod;
use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{
    children, counted, create, finished, hash, node_of, pod_of, ready, replicas, terminating, uid, write_status,
};
use super::schedule::fits;

const REVISION: &str = "controller-revision-hash";

/// Ordinal names, each pod replaced only when the former of its name is gone; in order, unless all may come at once.
pub fn stateful(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else { return };
    if terminating(&set) {
        return;
    }
    let wanted = replicas(&set);
    let revision = hash(&set["spec"]["template"]);
    let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    let pods: BTreeMap<String, Arc<Value>> =
        children(state, uid(&set), Kind::Pod).into_iter().map(|(key, pod)| (key.name, pod)).collect();
    let pod_key = |name: &str| Key::new(Kind::Pod, &key.namespace, name);
    for number in 0..wanted {
        let name = format!("{}-{number}", key.name);
        match pods.get(&name) {
            None => {
                let ordinal = number.to_string();
                let labels = [
                    (REVISION, revision.as_str()),
                    ("statefulset.kubernetes.io/pod-name", name.as_str()),
                    ("apps.kubernetes.io/pod-index", ordinal.as_str()),
                ];
                let mut pod = pod_of(&set, &name, &labels);
                pod["spec"]["hostname"] = json!(name);
                create(state, Kind::Pod, pod);
            }
            Some(pod) if finished(pod) && !terminating(pod) => drop(delete_pod(state, &pod_key(&name), None)),
            Some(pod) if ready(pod) && !terminating(pod) => continue,
            Some(_) => {}
        }
        if !parallel {
            break;
        }
    }
    let ordinal = |name: &str| name.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let mut surplus: Vec<&String> = pods.keys().filter(|name| ordinal(name).is_none_or(|number| number >= wanted)).collect();
    surplus.sort_by_key(|name| std::cmp::Reverse(ordinal(name)));
    for name in surplus.into_iter().take(if parallel { usize::MAX } else { 1 }) {
        delete_pod(state, &pod_key(name), None);
    }
    let are_ready = pods.values().filter(|pod| ready(pod) && !terminating(pod)).count() as u64;
    if are_ready == wanted {
        roll(state, &pods.into_iter().map(|(name, pod)| (pod_key(&name), pod)).collect::<Vec<_>>(), &revision);
    }
    write_status(
        state,
        key,
        &[
            ("observedGeneration", set["metadata"]["generation"].clone()),
            ("replicas", json!(wanted)),
            ("currentReplicas", counted(wanted)),
            ("updatedReplicas", counted(wanted)),
            ("readyReplicas", counted(are_ready)),
            ("availableReplicas", json!(are_ready)),
        ],
    );
}

/// Deletes the last pod of a former template; the next when its successor is Ready.
fn roll(state: &mut State, pods: &[(Key, Arc<Value>)], revision: &str) {
    let former = |pod: &Value| pod["metadata"]["labels"][REVISION].as_str().is_some_and(|of| of != revision);
    if let Some((key, _)) = pods.iter().rfind(|(_, pod)| former(pod) && !terminating(pod)) {
        delete_pod(state, key, None);
    }
}

/// One pod on each node that its selectors and taints allow; neither cordons nor drains move it.
pub fn daemon(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else { return };
    if terminating(&set) {
        return;
    }
    let revision = hash(&set["spec"]["template"]);
    let mut draft = pod_of(&set, &format!("{}-", key.name), &[(REVISION, &revision)]);
    tolerate_its_node(&mut draft);
    let pods = children(state, uid(&set), Kind::Pod);
    let nodes: Vec<(String, bool)> =
        state.store.list(Kind::Node).map(|(key, node)| (key.name.clone(), fits(&draft, &key.name, node))).collect();
    let mut of_node: BTreeMap<&str, Vec<&(Key, Arc<Value>)>> = BTreeMap::new();
    for pod in &pods {
        if let Some(node) = meant_for(&pod.1) {
            of_node.entry(node).or_default().push(pod);
        }
    }
    let mut wanted = 0;
    for (node, fits) in &nodes {
        let own = of_node.remove(node.as_str()).unwrap_or_default();
        wanted += u64::from(*fits);
        if *fits && own.is_empty() {
            let mut pod = draft.clone();
            let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
            let terms = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
            pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = terms;
            create(state, Kind::Pod, pod);
        }
        for (pod, _) in own.iter().filter(|(_, pod)| finished(pod)) {
            delete_pod(state, pod, None);
        }
    }
    let are_ready = pods.iter().filter(|(_, pod)| ready(pod) && !terminating(pod)).count() as u64;
    if are_ready == wanted {
        roll(state, &pods, &revision);
    }
    write_status(
        state,
        key,
        &[
            ("observedGeneration", set["metadata"]["generation"].clone()),
            ("desiredNumberScheduled", json!(wanted)),
            ("currentNumberScheduled", json!(wanted)),
            ("updatedNumberScheduled", counted(wanted)),
            ("numberReady", json!(are_ready)),
            ("numberAvailable", counted(are_ready)),
            ("numberUnavailable", counted(wanted.saturating_sub(are_ready))),
            ("numberMisscheduled", json!(0)),
        ],
    );
}

/// The node of a pod, or the one for which it was made.
fn meant_for(pod: &Value) -> Option<&str> {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    node_of(pod).or_else(|| required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str())
}

/// The tolerations that the controller adds: whatever befalls the node, its pod stays.
fn tolerate_its_node(pod: &mut Value) {
    if !pod["spec"]["tolerations"].is_array() {
        pod["spec"]["tolerations"] = json!([]);
    }
    let Some(tolerations) = pod["spec"]["tolerations"].as_array_mut() else { return };
    for (key, effect) in [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ] {
        tolerations.push(json!({ "key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect }));
    }
}

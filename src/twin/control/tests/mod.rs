//! Clusters that live by themselves: objects are created, time passes, and what stands in the store is looked at.

mod batch;
mod budgets;
mod nodes;
mod pods;
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::state::{ProgramPhase, State, later};
use super::super::store::{Key, Kind};
use super::{begin, react};

/// A Tuesday.
pub fn start() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub const NODES: [&str; 4] = ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3"];

/// One master with its taint and three workers, no pods.
pub fn cluster(seed: u64) -> State {
    let mut state = State::new(start(), seed);
    for namespace in ["default", "kube-system"] {
        add(&mut state, Kind::Namespace, json!({ "metadata": { "name": namespace } }));
    }
    add(&mut state, Kind::ServiceAccount, json!({ "metadata": { "name": "k8s-upgrade-job", "namespace": "default" } }));
    for name in NODES {
        let taints = if name == "k8s-master" {
            json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }])
        } else {
            json!([])
        };
        state.hosts.add(name, name, "1.34.7", "1.7.28", name == "k8s-master", "");
        let labels = json!({ "kubernetes.io/hostname": name });
        add(
            &mut state,
            Kind::Node,
            json!({ "metadata": { "name": name, "labels": labels }, "spec": { "taints": taints }, "status": {} }),
        );
    }
    begin(&mut state);
    state
}

pub fn add(state: &mut State, kind: Kind, object: Value) -> Key {
    let now = state.now();
    let object = state.store.create(now, kind, object).unwrap();
    Key::of(kind, &object)
}

/// A change from outside.
pub fn edit(state: &mut State, key: &Key, edit: impl FnOnce(&mut Value)) {
    state.store.update(key, edit).unwrap();
    react(state);
}

pub fn evict(state: &mut State, key: &Key) {
    let now = state.now();
    edit(state, key, |pod| super::objects::set_condition(pod, now, "DisruptionTarget", "True", "EvictionByEvictionAPI", ""));
    super::super::api::delete_pod(state, key, None);
    react(state);
}

pub fn pass(state: &mut State, span: u64) {
    pass_ms(state, span * 1000);
}

pub fn pass_ms(state: &mut State, span: u64) {
    react(state);
    let until = later(state.now(), Duration::from_millis(span));
    state.advance(until, |_| ());
}

pub fn get(state: &State, key: &Key) -> Arc<Value> {
    state.store.get(key).unwrap_or_else(|| panic!("{key:?} is not there:\n{}", history(state))).clone()
}

pub fn history(state: &State) -> String {
    state.history.all().join("\n")
}

pub fn pods(state: &State) -> Vec<(Key, Arc<Value>)> {
    state.store.list(Kind::Pod).map(|(key, pod)| (key.clone(), pod.clone())).collect()
}

/// Name, node, phase and whether it is Ready, of every pod.
pub fn faces(state: &State) -> Vec<String> {
    let face = |(key, pod): &(Key, Arc<Value>)| {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("nowhere");
        let ready = if super::objects::ready(pod) { " ready" } else { "" };
        let ends = if super::objects::terminating(pod) { " ending" } else { "" };
        format!("{} on {node}: {}{ready}{ends}", key.name, super::objects::phase(pod))
    };
    pods(state).iter().map(face).collect()
}

pub fn workload(name: &str, replicas: u64) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "main", "image": "web:1" }] } },
        },
    })
}

pub fn budget(name: &str, spec: Value) -> Value {
    let mut budget = json!({ "metadata": { "name": name, "namespace": "default" }, "spec": spec });
    budget["spec"]["selector"] = json!({ "matchLabels": { "app": name } });
    budget
}

/// A Job of this program, as the chain makes them.
pub fn chain_job(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": "chain" } },
        "spec": {
            "backoffLimit": 2, "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 600, "podReplacementPolicy": "Failed",
            "podFailurePolicy": { "rules": [
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                { "action": "FailJob", "onExitCodes": { "containerName": "k8s-upgrade", "operator": "In", "values": [1, 2, 3] } },
            ] },
            "template": {
                "metadata": { "labels": { "app": "chain" } },
                "spec": {
                    "restartPolicy": "Never", "serviceAccountName": "k8s-upgrade-job", "terminationGracePeriodSeconds": 60,
                    "containers": [{
                        "name": "k8s-upgrade", "image": "k8s-upgrade:1", "args": ["detect", "-v"],
                        "env": [
                            { "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                            { "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                        ],
                        "volumeMounts": [
                            { "name": "creds", "mountPath": "/secrets/k8s-upgrade" }, { "name": "config", "mountPath": "/etc/k8s-upgrade" },
                        ],
                    }],
                    "volumes": [
                        { "name": "creds", "secret": { "secretName": "creds", "optional": true } },
                        { "name": "config", "configMap": { "name": "config", "optional": true } },
                    ],
                },
            },
        },
    })
}

/// UIDs of the program's processes that are wanted or run.
pub fn programs(state: &State) -> Vec<String> {
    let live = state.programs.iter().filter(|(_, program)| program.phase != ProgramPhase::Killed);
    live.map(|(uid, _)| uid.clone()).collect()
}

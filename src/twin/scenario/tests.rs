#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::super::control;
use super::super::state::{State, later};
use super::super::store::{Key, Kind as Object};
use super::super::web::{self, VAULT};
use super::*;
use crate::names;

const IMAGE: &str = "docker.io/library/k8s-upgrade:test";

#[test]
fn the_runbook_as_a_file() {
    let text = Scenario::runbook().yaml().unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(Scenario::read("it", &text).unwrap(), Scenario::runbook());
}

#[test]
fn a_world_has_what_a_run_needs() {
    for scenario in [Scenario::runbook(), Scenario::runbook_minor(), Scenario::three_control_planes()] {
        let state = scenario.state(IMAGE).unwrap();
        assert_eq!(state.unmodelled, Vec::<String>::new());
        assert_eq!(state.now(), scenario.start);
        let masters = scenario.nodes.iter().filter(|node| node.control_plane).count();
        let mirrors = state.store.list(Object::Pod).filter(|(_, pod)| pod["metadata"]["labels"]["tier"] == "control-plane");
        assert_eq!(mirrors.count(), 4 * masters);
        for (kind, namespace, name) in [
            (Object::ConfigMap, "kube-system", "kubeadm-config"),
            (Object::CronJob, "default", "backup-etcd"),
            (Object::CronJob, "k8s-upgrade", "k8s-version-check"),
            (Object::Secret, "k8s-upgrade", "k8s-upgrade-creds"),
            (Object::Budget, "web", "shop"),
        ] {
            assert!(state.store.get(&Key::new(kind, namespace, name)).is_some(), "{namespace}/{name}");
        }
        let offers = web::offered(&state, scenario.target.minor).unwrap().unwrap();
        assert!(offers.contains(&format!("{}-1.1", scenario.target)), "{offers:?}");
    }
}

#[test]
fn nodes_of_a_run_that_was_cut() {
    let mut scenario = Scenario::runbook();
    scenario.nodes[0].control_plane_version = Some("1.34.7".parse().unwrap());
    scenario.nodes[4].hostname = Some("node4.example".into());
    scenario.nodes[4].cordoned = true;
    let state = scenario.state(IMAGE).unwrap();
    let apiserver = state.store.get(&Key::new(Object::Pod, "kube-system", "kube-apiserver-k8s-master")).unwrap();
    assert_eq!(apiserver["spec"]["containers"][0]["image"], "registry.k8s.io/kube-apiserver:v1.34.7");
    let node = state.store.get(&Key::node("k8s-node4")).unwrap();
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.34.2");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "node4.example");
    assert_eq!(node["spec"]["unschedulable"], true);
}

#[test]
fn pods_stand_where_the_scenario_puts_them() {
    let mut scenario = Scenario::runbook();
    scenario.workloads[4].placed_on = vec!["k8s-node1".into(); 3];
    scenario.workloads[6].placed_on = vec!["k8s-node2".into()];
    let state = scenario.state(IMAGE).unwrap();
    let on = |name: &str, node: &str| {
        let pods = state.store.list(Object::Pod).filter(|(key, _)| key.name.starts_with(name));
        pods.filter(|(_, pod)| pod["spec"]["nodeName"] == node).count()
    };
    assert!(on("shop-", "k8s-node1") >= 3);
    assert_eq!(on("postgres-0", "k8s-node2"), 1);
}

fn objects() -> Objects {
    let of = |value: serde_json::Value| value;
    let template = json!({
        "metadata": { "labels": { "app": "shop" }, "annotations": {
            "viktorbarzin.me/k8s-upgrade-unstick": "never", "vault.example/token": "s3cret" } },
        "spec": {
            "terminationGracePeriodSeconds": 45, "nodeSelector": { "disk": "ssd" },
            "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }],
            "containers": [{ "name": "shop", "image": "registry.example/private:1",
                "env": [{ "name": "PASSWORD", "value": "s3cret" }], "resources": { "requests": { "cpu": "1" } } }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        },
    });
    let owner =
        |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true }]);
    let pod = |name: &str, owner: serde_json::Value, started: &str| {
        let mut meta = template["metadata"].clone();
        (meta["name"], meta["namespace"], meta["ownerReferences"]) = (json!(name), json!("web"), owner);
        let mut spec = template["spec"].clone();
        spec["nodeName"] = json!("m");
        json!({ "metadata": meta, "spec": spec, "status": { "phase": "Running", "startTime": started,
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:20Z" }] } })
    };
    serde_json::from_value::<Vec<k8s_openapi::api::core::v1::Node>>(of(json!([{
        "metadata": { "name": "m", "labels": { "node-role.kubernetes.io/control-plane": "", "kubernetes.io/hostname": "m.example",
            "disk": "ssd", "owner.example/cost-centre": "42" } },
        "spec": { "unschedulable": true, "taints": [
            { "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }, { "key": "own", "effect": "NoSchedule" }] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }],
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z" }],
            "nodeInfo": { "kubeletVersion": "v1.34.2", "containerRuntimeVersion": "containerd://1.7.24", "architecture": "",
                "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                "systemUUID": "" },
        },
    }])))
    .map(|nodes| Objects {
        nodes,
        pods: serde_json::from_value(json!(
            [
                pod("shop-1-aaaaa", owner("ReplicaSet", "shop-1"), "2026-11-01T00:00:05Z"),
                pod("shop-1-bbbbb", owner("ReplicaSet", "shop-1"), "2026-10-01T00:00:00Z"),
                pod(
                    "nightly-x",
                    json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "nightly", "uid": "u", "controller": true }]),
                    ""
                ),
            ]
            .into_iter()
            .map(|mut pod| {
                if pod["status"]["startTime"] == "" {
                    pod["status"]["startTime"] = json!(null);
                }
                pod
            })
            .collect::<Vec<_>>()
        ))
        .unwrap(),
        deployments: serde_json::from_value(json!([
            { "metadata": { "name": "shop", "namespace": "web" },
              "spec": { "replicas": 2, "selector": {}, "template": template.clone() } },
            { "metadata": { "name": "asleep", "namespace": "web" },
              "spec": { "replicas": 0, "selector": {}, "template": template.clone() } },
        ]))
        .unwrap(),
        replica_sets: serde_json::from_value(json!([
            { "metadata": { "name": "shop-1", "namespace": "web", "ownerReferences": owner("Deployment", "shop") },
              "spec": { "replicas": 2, "selector": {}, "template": template.clone() } },
        ]))
        .unwrap(),
        budgets: serde_json::from_value(json!([
            { "metadata": { "name": "shop", "namespace": "web" },
              "spec": { "maxUnavailable": "50%", "selector": { "matchLabels": { "app": "shop" } } } },
            { "metadata": { "name": "idle", "namespace": "web" }, "spec": { "minAvailable": 1 } },
            { "metadata": { "name": "db", "namespace": "web", "ownerReferences": [
                { "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db", "uid": "u", "controller": true }] },
              "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "db" } } } },
        ]))
        .unwrap(),
        autoscalers: serde_json::from_value(json!([
            { "metadata": { "name": "shop", "namespace": "web" },
              "spec": { "maxReplicas": 9, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop" } } },
        ]))
        .unwrap(),
        beside: vec![("Quotas are not counted", "web/compute".to_owned())],
        ..Objects::default()
    })
    .unwrap()
}

pub fn a_copy() -> Scenario {
    let now = "2026-11-22T12:05:00Z".parse().unwrap();
    Scenario::from_objects(&objects(), "1.34.7".parse().unwrap(), now, "viktorbarzin.me", "k8s-upgrade").unwrap()
}

#[test]
fn a_real_cluster_is_copied_without_its_secrets() {
    let scenario = a_copy();
    let text = scenario.yaml().unwrap();
    for secret in ["s3cret", "registry.example", "PASSWORD", "cost-centre"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    insta::assert_snapshot!(text.split_once("\ntarget").unwrap().1);
    let state = scenario.state(IMAGE).unwrap();
    let budget = state.store.get(&Key::new(Object::Budget, "web", "db")).unwrap();
    assert_eq!(budget["metadata"]["ownerReferences"][0]["kind"], "Cluster");
    let scaler = state.store.get(&Key::new(Object::Autoscaler, "web", "shop")).unwrap();
    assert_eq!((&scaler["spec"]["scaleTargetRef"]["name"], &scaler["spec"]["maxReplicas"]), (&json!("shop"), &json!(9)));
}

/// With a Vault the Secret is External Secrets' own, and follows it.
#[test]
fn what_vault_holds_comes_into_the_secret() {
    let mut scenario = Scenario::runbook();
    scenario.settings.insert("vault-address".to_owned(), VAULT.into());
    let mut state = scenario.state("image").unwrap();
    let key = |kind| Key::new(kind, names::NAMESPACE, names::CREDS_SECRET);
    let held = |state: &State| state.store.get(&key(Object::Secret)).unwrap()["data"]["ssh_key_pub"].clone();
    let first = held(&state);
    assert_eq!(first, BASE64_STANDARD.encode(format!("{}\n", ssh_key().unwrap().public.line())));
    assert_eq!(state.store.get(&key(Object::Secret)).unwrap()["metadata"]["ownerReferences"][0]["kind"], "ExternalSecret");
    let mut data = state.web.vault.versions[0].clone();
    data.remove("slack_webhook"); // one that nobody has holds nothing up
    data.insert("ssh_key_pub".to_owned(), "new".to_owned());
    state.web.vault.versions = vec![data].into();
    let pass = |state: &mut State, seconds| {
        let then = later(state.now(), Duration::from_secs(seconds));
        control::react(state);
        state.advance(then, |_| ());
    };
    pass(&mut state, 60);
    assert_eq!(held(&state), first, "nobody has told it, and 15 minutes are not over");
    state.store.update(&key(Object::ExternalSecret), |object| object["metadata"]["annotations"] = json!({ "force-sync": "1" }));
    state.control.external_secrets_stuck = true;
    pass(&mut state, 60);
    assert_eq!(held(&state), first);
    state.control.external_secrets_stuck = false;
    pass(&mut state, 900);
    assert_eq!(held(&state), BASE64_STANDARD.encode("new"));
}

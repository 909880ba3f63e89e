use std::time::Duration;

use serde_json::json;

use super::super::super::store::{Key, Kind};
use super::super::objects::{condition, is, ready, terminating};
use super::super::{kubelet_restarted, node_power, program_ended, static_pod_replaced};
use super::{State, add, begin, chain_job, cluster, edit, faces, get, history, pass, pass_ms, pods, programs, start, workload};

fn silence(state: &mut State, node: &str, silent: bool) {
    if silent {
        state.control.silent.insert(node.to_owned());
    } else {
        state.control.silent.remove(node);
    }
    super::react(state);
}

fn taints(state: &State, node: &str) -> Vec<String> {
    let node = get(state, &Key::node(node));
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    taints.map(|taint| format!("{}:{}", taint["key"].as_str().unwrap(), taint["effect"].as_str().unwrap())).collect()
}

#[test]
fn a_node_is_not_ready_after_40_s_of_silence_and_ready_again_after_it() {
    let mut state = cluster(1);
    add(&mut state, Kind::Deployment, workload("web", 3));
    begin(&mut state);
    let node = Key::node("k8s-node1");
    let (on_it, _) = pods(&state).into_iter().find(|(_, pod)| pod["spec"]["nodeName"] == "k8s-node1").unwrap();
    pass(&mut state, 100);
    silence(&mut state, "k8s-node1", true);
    pass(&mut state, 39);
    assert_eq!((is(&get(&state, &node), "Ready"), ready(&get(&state, &on_it))), ("True", true));
    pass(&mut state, 2);
    let ready_now = condition(&get(&state, &node), "Ready").unwrap().clone();
    assert_eq!((&ready_now["status"], &ready_now["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert_eq!(ready_now["lastTransitionTime"], "2026-11-24T12:02:20Z");
    assert_eq!(
        taints(&state, "k8s-node1"),
        ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
    );
    assert!(!ready(&get(&state, &on_it)), "its pods count as not Ready");
    pass(&mut state, 60);
    silence(&mut state, "k8s-node1", false);
    pass(&mut state, 8);
    assert_eq!((is(&get(&state, &node), "Ready"), ready(&get(&state, &on_it))), ("True", true), "{:?}", faces(&state));
    assert_eq!(taints(&state, "k8s-node1"), Vec::<String>::new());
}

#[test]
fn a_short_silence_is_no_transition() {
    let mut state = cluster(2);
    let version = state.store.version();
    silence(&mut state, "k8s-node1", true);
    pass(&mut state, 20);
    silence(&mut state, "k8s-node1", false);
    pass(&mut state, 100);
    assert_eq!(state.store.version(), version, "nothing was written");
    let since = condition(&get(&state, &Key::node("k8s-node1")), "Ready").unwrap()["lastTransitionTime"].clone();
    assert_eq!(since, super::super::super::store::seconds(start()));
}

#[test]
fn pods_leave_an_unreachable_node_after_five_minutes_and_stay_until_it_is_back() {
    let mut state = cluster(3);
    add(&mut state, Kind::Deployment, workload("web", 3));
    add(&mut state, Kind::DaemonSet, workload("proxy", 0));
    begin(&mut state);
    silence(&mut state, "k8s-node1", true);
    pass(&mut state, 330);
    assert!(pods(&state).iter().all(|(_, pod)| !terminating(pod)), "{:?}", faces(&state));
    pass(&mut state, 30);
    let on_it = |state: &State, prefix: &str| {
        let here = |key: &Key, pod: &serde_json::Value| key.name.starts_with(prefix) && pod["spec"]["nodeName"] == "k8s-node1";
        pods(state).into_iter().filter(|(key, pod)| here(key, pod)).map(|(_, pod)| pod).collect::<Vec<_>>()
    };
    let left = on_it(&state, "web");
    assert!(left.len() == 1 && terminating(&left[0]), "{:?}", faces(&state));
    assert_eq!(is(&left[0], "DisruptionTarget"), "True");
    assert!(!terminating(&on_it(&state, "proxy")[0]));
    assert_eq!(pods(&state).iter().filter(|(key, pod)| key.name.starts_with("web") && ready(pod)).count(), 3);
    pass(&mut state, 600);
    assert_eq!(on_it(&state, "web").len(), 1, "nobody can say that it has ended");
    silence(&mut state, "k8s-node1", false);
    pass(&mut state, 10);
    assert_eq!(on_it(&state, "web").len(), 0, "{:?}", faces(&state));
    assert!(ready(&on_it(&state, "proxy")[0]));
}

#[test]
fn a_silent_kubelets_program_runs_on_and_its_end_is_told_late() {
    let mut state = cluster(4);
    let job = add(&mut state, Kind::Job, chain_job("chain"));
    pass(&mut state, 5);
    let uid = programs(&state).remove(0);
    let node = pods(&state)[0].1["spec"]["nodeName"].as_str().unwrap().to_owned();
    silence(&mut state, &node, true);
    pass(&mut state, 20);
    program_ended(&mut state, &uid, 0);
    pass(&mut state, 30);
    assert_eq!(is(&get(&state, &job), "Complete"), "");
    silence(&mut state, &node, false);
    pass(&mut state, 10);
    assert_eq!(is(&get(&state, &job), "Complete"), "True", "{:?}\n{}", faces(&state), history(&state));
}

#[test]
fn a_power_cut_ends_what_ran() {
    let mut state = cluster(5);
    add(&mut state, Kind::StatefulSet, workload("db", 1));
    begin(&mut state);
    let mut object = chain_job("chain");
    object["spec"]["template"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "k8s-node1" });
    let job = add(&mut state, Kind::Job, object);
    pass(&mut state, 5);
    assert_eq!(programs(&state).len(), 1, "{:?}", faces(&state));
    assert_eq!(pods(&state)[1].1["spec"]["nodeName"], "k8s-node1", "{:?}", faces(&state));
    silence(&mut state, "k8s-node1", true);
    node_power(&mut state, "k8s-node1", false);
    assert_eq!(programs(&state).len(), 0);
    pass(&mut state, 60);
    assert_eq!(get(&state, &job)["status"]["active"], 1, "nobody knows yet");
    silence(&mut state, "k8s-node1", false);
    node_power(&mut state, "k8s-node1", true);
    pass(&mut state, 30);
    assert_eq!(get(&state, &job)["status"]["failed"], 1, "{:?}", faces(&state));
    assert_eq!(programs(&state).len(), 1, "{:?}", faces(&state));
    assert!(pods(&state).iter().any(|(key, pod)| key.name == "db-0" && ready(pod)), "it was restarted: {:?}", faces(&state));
}

#[test]
fn a_kubelet_that_was_restarted_tells_its_version() {
    let mut state = cluster(6);
    let node = Key::node("k8s-node1");
    let version = |state: &State| get(state, &node)["status"]["nodeInfo"]["kubeletVersion"].clone();
    edit(&mut state, &node, |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.30.0"));
    kubelet_restarted(&mut state, "k8s-node1");
    pass_ms(&mut state, 500);
    assert_eq!(version(&state), "v1.30.0");
    pass_ms(&mut state, 700);
    assert_eq!(version(&state), state.hosts.kubelet_version("k8s-node1"));
}

#[test]
fn nothing_is_written_while_the_api_server_is_away() {
    let mut state = cluster(7);
    let web = add(&mut state, Kind::Deployment, workload("web", 2));
    let job = add(&mut state, Kind::Job, chain_job("chain"));
    pass(&mut state, 10);
    let now = state.now();
    edit(&mut state, &web, |web| web["spec"]["replicas"] = json!(4));
    state.take_api_away(now, Duration::from_secs(40));
    let uid = programs(&state).remove(0);
    program_ended(&mut state, &uid, 0);
    edit(&mut state, &Key::node("k8s-node2"), |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.30.0"));
    let version = state.store.version();
    kubelet_restarted(&mut state, "k8s-node2");
    pass(&mut state, 42);
    assert_eq!(state.store.version(), version);
    pass(&mut state, 15);
    assert_eq!(get(&state, &web)["status"]["availableReplicas"], 4, "{:?}", faces(&state));
    assert_eq!(is(&get(&state, &job), "Complete"), "True");
    let node = get(&state, &Key::node("k8s-node2"));
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], state.hosts.kubelet_version("k8s-node2"));
}

#[test]
fn a_static_pod_is_replaced_and_ready_later() {
    let mut state = cluster(8);
    let mirror = json!({
        "metadata": {
            "name": "kube-apiserver-k8s-master", "namespace": "kube-system",
            "labels": { "tier": "control-plane", "component": "kube-apiserver" },
            "annotations": { "kubernetes.io/config.mirror": "a" },
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Node", "name": "k8s-master", "controller": true, "uid": get(&state, &Key::node("k8s-master"))["metadata"]["uid"],
            }],
        },
        "spec": { "nodeName": "k8s-master", "containers": [{ "name": "kube-apiserver", "image": "registry.k8s.io/kube-apiserver:v1.34.2" }] },
    });
    let key = add(&mut state, Kind::Pod, mirror);
    begin(&mut state);
    let former = get(&state, &key);
    assert!(ready(&former), "{:?}", faces(&state));
    let now = state.now();
    state.take_api_away(now, Duration::from_secs(30));
    static_pod_replaced(
        &mut state,
        "k8s-master",
        "kube-apiserver",
        "registry.k8s.io/kube-apiserver:v1.34.7",
        Duration::from_secs(50),
    );
    pass(&mut state, 29);
    assert_eq!(get(&state, &key), former);
    pass(&mut state, 10);
    let new = get(&state, &key);
    assert_eq!(new["spec"]["containers"][0]["image"], "registry.k8s.io/kube-apiserver:v1.34.7");
    assert!(new["metadata"]["uid"] != former["metadata"]["uid"] && !ready(&new), "{:?}", faces(&state));
    pass(&mut state, 12);
    assert!(ready(&get(&state, &key)), "{:?}", faces(&state));
    assert_eq!(state.unmodelled, Vec::<String>::new());
}

#[test]
fn pods_of_a_node_that_is_deleted_go() {
    let mut state = cluster(9);
    add(&mut state, Kind::Deployment, workload("web", 3));
    begin(&mut state);
    state.store.remove(&Key::node("k8s-node1"));
    pass(&mut state, 75);
    let on_it = pods(&state).iter().filter(|(_, pod)| pod["spec"]["nodeName"] == "k8s-node1").count();
    let there = pods(&state).iter().filter(|(_, pod)| ready(pod)).count();
    assert_eq!((on_it, there), (0, 3), "{:?}", faces(&state));
}

use serde_json::json;

use super::super::super::store::{Key, Kind};
use super::super::objects::{is, ready, uid};
use super::{add, begin, cluster, edit, evict, faces, get, pass, pass_ms, pods, workload};

#[test]
fn a_world_begins_with_all_that_it_would_have_after_a_while() {
    let mut state = cluster(1);
    let web = add(&mut state, Kind::Deployment, workload("web", 3));
    let db = add(&mut state, Kind::StatefulSet, workload("db", 2));
    let proxy = add(&mut state, Kind::DaemonSet, workload("proxy", 0));
    begin(&mut state);
    assert_eq!(state.now(), super::start());
    assert!(pods(&state).iter().all(|(_, pod)| ready(pod)), "{:?}", faces(&state));
    assert_eq!(pods(&state).len(), 3 + 2 + 3, "the master's taint keeps the DaemonSet away: {:?}", faces(&state));
    let (web, db, proxy) = (get(&state, &web), get(&state, &db), get(&state, &proxy));
    assert_eq!((&web["status"]["availableReplicas"], is(&web, "Available")), (&json!(3), "True"));
    assert_eq!(web["status"]["observedGeneration"], 1);
    assert_eq!(db["status"]["readyReplicas"], 2);
    assert_eq!(proxy["status"]["numberReady"], 3);
    assert!(pods(&state).iter().any(|(key, _)| key.name == "db-1"));
    let spread: std::collections::BTreeSet<_> = faces(&state)
        .iter()
        .filter(|face| face.starts_with("web"))
        .map(|face| face[face.find(" on ").unwrap()..].to_owned())
        .collect();
    assert_eq!(spread.len(), 3, "one on each worker: {:?}", faces(&state));
}

#[test]
fn what_a_drain_evicts_comes_back_elsewhere() {
    let mut state = cluster(2);
    let web = add(&mut state, Kind::Deployment, workload("web", 3));
    begin(&mut state);
    let node = Key::node("k8s-node2");
    edit(&mut state, &node, |node| node["spec"]["unschedulable"] = json!(true));
    pass(&mut state, 1);
    let taints = get(&state, &node)["spec"]["taints"].clone();
    assert_eq!((&taints[0]["key"], &taints[0]["effect"]), (&json!("node.kubernetes.io/unschedulable"), &json!("NoSchedule")));
    let (victim, _) = pods(&state).into_iter().find(|(_, pod)| pod["spec"]["nodeName"] == "k8s-node2").unwrap();
    evict(&mut state, &victim);
    pass_ms(&mut state, 500);
    assert_eq!(pods(&state).len(), 4, "the successor does not wait: {:?}", faces(&state));
    pass(&mut state, 1);
    assert_eq!(get(&state, &web)["status"]["readyReplicas"], 2);
    assert_eq!(is(&get(&state, &web), "Available"), "False", "3 replicas may miss none");
    pass(&mut state, 10);
    assert!(state.store.get(&victim).is_none());
    assert_eq!(pods(&state).iter().filter(|(_, pod)| ready(pod) && pod["spec"]["nodeName"] != "k8s-node2").count(), 3);
    assert_eq!(is(&get(&state, &web), "Available"), "True");
    edit(&mut state, &node, |node| node["spec"]["unschedulable"] = json!(false));
    pass(&mut state, 1);
    assert!(get(&state, &node)["spec"]["taints"].is_null());
}

#[test]
fn a_stateful_pod_returns_only_when_its_former_self_is_gone() {
    let mut state = cluster(3);
    let mut db = workload("db", 2);
    db["spec"]["template"]["metadata"]["annotations"] = json!({ "rehearsal/ends-after": "8" });
    add(&mut state, Kind::StatefulSet, db);
    begin(&mut state);
    let first = Key::new(Kind::Pod, "default", "db-0");
    let former = uid(&get(&state, &first)).to_owned();
    evict(&mut state, &first);
    pass(&mut state, 7);
    assert_eq!(uid(&get(&state, &first)), former, "{:?}", faces(&state));
    pass(&mut state, 12);
    let successor = get(&state, &first);
    assert!(uid(&successor) != former && ready(&successor), "{:?}", faces(&state));
}

#[test]
fn a_pod_waits_until_a_node_takes_it() {
    let mut state = cluster(4);
    let mut web = workload("web", 1);
    web["spec"]["template"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "k8s-node1" });
    add(&mut state, Kind::Deployment, web);
    let node = Key::node("k8s-node1");
    edit(&mut state, &node, |node| node["spec"]["unschedulable"] = json!(true));
    pass(&mut state, 60);
    let (key, pod) = pods(&state).remove(0);
    let scheduled = super::super::objects::condition(&pod, "PodScheduled").unwrap().clone();
    assert_eq!((&scheduled["status"], &scheduled["reason"]), (&json!("False"), &json!("Unschedulable")));
    edit(&mut state, &node, |node| node["spec"]["unschedulable"] = json!(null));
    pass(&mut state, 10);
    assert!(ready(&get(&state, &key)), "{:?}", faces(&state));
}

#[test]
fn bare_pods_do_not_return_and_daemons_do() {
    let mut state = cluster(5);
    let mut bare =
        json!({ "metadata": { "name": "bare", "namespace": "default" }, "spec": { "containers": [{ "name": "main" }] } });
    bare["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    let bare = add(&mut state, Kind::Pod, bare);
    add(&mut state, Kind::DaemonSet, workload("proxy", 0));
    begin(&mut state);
    let daemons = |state: &_| pods(state).iter().filter(|(key, pod)| key.name.starts_with("proxy-") && ready(pod)).count();
    let (daemon, _) = pods(&state).into_iter().find(|(key, _)| key.name.starts_with("proxy-")).unwrap();
    evict(&mut state, &bare);
    evict(&mut state, &daemon);
    pass(&mut state, 20);
    assert!(state.store.get(&bare).is_none() && state.store.get(&daemon).is_none());
    assert_eq!((daemons(&state), pods(&state).len()), (3, 3), "{:?}", faces(&state));
    state.hosts.add("k8s-node9", "k8s-node9", "1.34.7", "1.7.28", false, "");
    add(&mut state, Kind::Node, json!({ "metadata": { "name": "k8s-node9" }, "spec": {}, "status": {} }));
    pass(&mut state, 20);
    assert_eq!(daemons(&state), 4, "{:?}", faces(&state));
}

#[test]
fn a_new_image_rolls_out() {
    let mut state = cluster(6);
    let keys = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]
        .map(|kind| add(&mut state, kind, workload(&format!("{kind:?}").to_lowercase(), 2)));
    begin(&mut state);
    for key in &keys {
        edit(&mut state, key, |object| object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2"));
    }
    pass(&mut state, 90);
    assert_eq!(pods(&state).len(), 2 + 2 + 3, "{:?}", faces(&state));
    assert!(
        pods(&state).iter().all(|(_, pod)| ready(pod) && pod["spec"]["containers"][0]["image"] == "web:2"),
        "{:?}",
        faces(&state)
    );
}

#[test]
fn what_an_owner_leaves_goes_with_it() {
    let mut state = cluster(7);
    let web = add(&mut state, Kind::Deployment, workload("web", 3));
    begin(&mut state);
    state.store.remove(&web);
    pass(&mut state, 15);
    assert_eq!((pods(&state).len(), state.store.list(Kind::ReplicaSet).count()), (0, 0), "{:?}", faces(&state));
}

#[test]
fn scaling_down_and_up() {
    let mut state = cluster(8);
    let web = add(&mut state, Kind::Deployment, workload("web", 3));
    begin(&mut state);
    for (wanted, there) in [(0, 0), (5, 5), (2, 2)] {
        edit(&mut state, &web, |web| web["spec"]["replicas"] = json!(wanted));
        pass(&mut state, 15);
        assert_eq!(pods(&state).len(), there, "{:?}", faces(&state));
        assert_eq!(get(&state, &web)["status"]["availableReplicas"].as_u64().unwrap_or(0), there as u64);
    }
}

#[test]
fn one_seed_gives_one_history() {
    let run = |seed: u64| {
        let mut state = cluster(seed);
        let web = add(&mut state, Kind::Deployment, workload("web", 6));
        pass(&mut state, 5);
        let mut fork = state.clone();
        for state in [&mut state, &mut fork] {
            edit(state, &web, |web| web["spec"]["replicas"] = json!(3));
            pass(state, 30);
        }
        let all = |state: &super::State| state.store.list(Kind::Pod).map(|(_, pod)| pod.to_string()).collect::<Vec<_>>();
        assert_eq!((all(&state), state.store.version()), (all(&fork), fork.store.version()), "a clone has the same fate");
        (all(&state), state.store.version())
    };
    assert_eq!(run(9), run(9));
    assert_ne!(run(9), run(10));
}

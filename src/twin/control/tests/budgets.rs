use serde_json::{Value, json};

use super::super::super::store::{Key, Kind};
use super::super::budgets::Sum;
use super::super::objects::{is, scaled};
use super::{add, begin, budget, cluster, edit, evict, get, pass, pass_ms, pods, workload};

/// Expected, healthy, desired, allowed of a budget over `replicas` Ready pods of one Deployment.
fn of(replicas: u64, spec: Value) -> [u64; 4] {
    let mut state = cluster(1);
    add(&mut state, Kind::Deployment, workload("web", replicas));
    let key = add(&mut state, Kind::Budget, budget("web", spec));
    begin(&mut state);
    let status = get(&state, &key)["status"].clone();
    assert_eq!(status["observedGeneration"], 1);
    ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"].map(|field| status[field].as_u64().unwrap())
}

#[test]
fn the_arithmetic_is_kubernetes_own() {
    for (replicas, spec, wanted) in [
        (1, json!({ "minAvailable": 1 }), [1, 1, 1, 0]),
        (2, json!({ "minAvailable": 1 }), [2, 2, 1, 1]),
        (3, json!({ "minAvailable": 5 }), [3, 3, 5, 0]),
        // Percentages of minAvailable and of maxUnavailable are both rounded up.
        (7, json!({ "minAvailable": "50%" }), [7, 7, 4, 3]),
        (7, json!({ "maxUnavailable": "50%" }), [7, 7, 3, 4]),
        (3, json!({ "maxUnavailable": "1%" }), [3, 3, 2, 1]),
        (3, json!({ "minAvailable": "100%" }), [3, 3, 3, 0]),
        (3, json!({ "minAvailable": "0%" }), [3, 3, 0, 3]),
        (3, json!({ "maxUnavailable": 1 }), [3, 3, 2, 1]),
        (3, json!({ "maxUnavailable": 0 }), [3, 3, 3, 0]),
        (3, json!({ "maxUnavailable": 9 }), [3, 3, 0, 3]),
        (0, json!({ "minAvailable": 0 }), [0, 0, 0, 0]),
        (0, json!({ "maxUnavailable": 1 }), [0, 0, 0, 0]),
    ] {
        assert_eq!(of(replicas, spec.clone()), wanted, "{replicas} replicas, {spec}");
    }
    assert_eq!(scaled(&json!("33%"), 10, false), Some(3));
    assert_eq!(scaled(&json!("33%"), 10, true), Some(4));
    assert_eq!(scaled(&json!("a third"), 10, true), None);
    assert_eq!(Sum { expected: 0, desired: 0, healthy: 3 }.allowed(), 0, "a budget that expects nothing allows nothing");
}

#[test]
fn a_budget_follows_its_pods() {
    let mut state = cluster(2);
    add(&mut state, Kind::Deployment, workload("web", 3));
    let key = add(&mut state, Kind::Budget, budget("web", json!({ "minAvailable": 2 })));
    begin(&mut state);
    let allowed = |state: &_| get(state, &key)["status"]["disruptionsAllowed"].as_u64().unwrap();
    assert_eq!((allowed(&state), is(&get(&state, &key), "DisruptionAllowed")), (1, "True"));
    let (victim, _) = pods(&state).remove(0);
    evict(&mut state, &victim);
    pass_ms(&mut state, 100);
    assert_eq!((allowed(&state), is(&get(&state, &key), "DisruptionAllowed")), (0, "False"), "within a tenth of a second");
    pass(&mut state, 10);
    assert_eq!(allowed(&state), 1, "the successor is Ready");
    edit(&mut state, &key, |budget| budget["spec"]["minAvailable"] = json!(1));
    assert_eq!(get(&state, &key)["status"]["observedGeneration"], 1, "it is stale for a moment");
    pass_ms(&mut state, 100);
    assert_eq!((allowed(&state), &get(&state, &key)["status"]["observedGeneration"]), (2, &json!(2)));
}

#[test]
fn an_eviction_that_nobody_sees_counts_for_two_minutes() {
    let mut state = cluster(3);
    add(&mut state, Kind::Deployment, workload("web", 3));
    let key = add(&mut state, Kind::Budget, budget("web", json!({ "minAvailable": 1 })));
    begin(&mut state);
    let (victim, _) = pods(&state).remove(0);
    let name = victim.name.clone();
    edit(&mut state, &key, |budget| {
        budget["status"]["disruptedPods"] = json!({ name: "2026-11-24T12:00:00Z", "gone": "2026-11-24T12:00:00Z" });
    });
    // Something must make it look.
    edit(&mut state, &key, |budget| budget["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow"));
    pass(&mut state, 100);
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["currentHealthy"], status["disruptedPods"].as_object().unwrap().len()), (&json!(2), 1));
    pass(&mut state, 30);
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["currentHealthy"], &status["disruptedPods"]), (&json!(3), &json!({})));
}

#[test]
fn pods_without_a_scale() {
    let mut state = cluster(4);
    let bare = json!({ "metadata": { "name": "bare", "namespace": "default", "labels": { "app": "bare" } }, "spec": { "containers": [] } });
    add(&mut state, Kind::Pod, bare);
    add(&mut state, Kind::DaemonSet, workload("proxy", 0));
    let by_number = add(&mut state, Kind::Budget, budget("bare", json!({ "minAvailable": 1 })));
    let of_daemons = add(&mut state, Kind::Budget, budget("proxy", json!({ "maxUnavailable": 1 })));
    let mut expressions = budget("expressions", json!({ "minAvailable": 0 }));
    expressions["spec"]["selector"] =
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["bare", "other"] }] });
    let expressions = add(&mut state, Kind::Budget, expressions);
    begin(&mut state);
    let status = |key: &Key| get(&state, key)["status"].clone();
    assert_eq!((&status(&by_number)["expectedPods"], &status(&by_number)["currentHealthy"]), (&json!(1), &json!(1)));
    assert_eq!(status(&expressions)["disruptionsAllowed"], 1);
    assert_eq!(status(&of_daemons)["disruptionsAllowed"], 0);
    assert_eq!(status(&of_daemons)["conditions"][0]["reason"], "SyncFailed");
    assert!(status(&of_daemons)["observedGeneration"].is_null());
}

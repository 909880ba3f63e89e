//! A budget's arithmetic, as the controller does it.
//!
//! Where several budgets guard a pod, each change of the pod renews one of them only, whichever comes first: the status of the others may
//! be stale for good. So one budget a pod here, or all of them made after the pods are ready.

use serde_json::{Value, json};

use crate::bench::{Bench, condition, container};

/// (expectedPods, desiredHealthy, currentHealthy, disruptionsAllowed)
fn counts(budget: &Value) -> [i64; 4] {
    ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"]
        .map(|field| budget["status"][field].as_i64().unwrap_or(-1))
}

async fn make(b: &Bench<'_>, name: &str, app: &str, bound: Value) {
    let mut spec = bound;
    spec["selector"] = json!({ "matchLabels": { "app": app } });
    b.post("poddisruptionbudgets", json!({ "metadata": { "name": name }, "spec": spec })).await.with_code(201);
}

async fn counted(b: &Bench<'_>, name: &str, wanted: [i64; 4]) -> Value {
    let path = format!("poddisruptionbudgets/{name}");
    b.until(&format!("budget {name} to count {wanted:?}"), async || {
        let budget = b.get(&path).await.ok();
        (counts(&budget) == wanted && budget["status"]["observedGeneration"] == budget["metadata"]["generation"])
            .then_some(budget)
    })
    .await
}

async fn deployment(b: &Bench<'_>, replicas: usize) -> Vec<String> {
    let node = b.node("n").await;
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": container() });
    let spec = json!({ "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": template });
    b.post("deployments", json!({ "metadata": { "name": "web" }, "spec": spec })).await.ok();
    let pods = b.new_pods("app=web", &[], replicas).await;
    for pod in &pods {
        b.run_pod(pod, &node).await;
    }
    pods
}

/// Percentages are of the Deployment's replicas, both rounded up.
pub async fn of_a_deployments_pods(b: &Bench<'_>) {
    deployment(b, 3).await;
    make(b, "min", "web", json!({ "minAvailable": 2 })).await;
    make(b, "min-percent", "web", json!({ "minAvailable": "50%" })).await;
    make(b, "max", "web", json!({ "maxUnavailable": 1 })).await;
    make(b, "max-percent", "web", json!({ "maxUnavailable": "50%" })).await;
    make(b, "never", "web", json!({ "maxUnavailable": 0 })).await;
    make(b, "more", "web", json!({ "minAvailable": 9 })).await;
    let budget = counted(b, "min", [3, 2, 3, 1]).await;
    let allowed = condition(&budget, "DisruptionAllowed");
    assert_eq!((&allowed["status"], &allowed["reason"]), (&json!("True"), &json!("SufficientPods")));
    counted(b, "min-percent", [3, 2, 3, 1]).await;
    counted(b, "max", [3, 2, 3, 1]).await;
    counted(b, "max-percent", [3, 1, 3, 2]).await;
    counted(b, "more", [3, 9, 3, 0]).await;
    let budget = counted(b, "never", [3, 3, 3, 0]).await;
    let allowed = condition(&budget, "DisruptionAllowed");
    assert_eq!((&allowed["status"], &allowed["reason"]), (&json!("False"), &json!("InsufficientPods")));
}

/// One of two pods is deleted, its successor gets ready, the old one ends.
async fn replaced(b: &Bench<'_>, bound: Value, deleted: [i64; 4], ready: [i64; 4]) {
    let pods = deployment(b, 2).await;
    make(b, "guard", "web", bound).await;
    counted(b, "guard", [2, 1, 2, 1]).await;
    b.delete(&format!("pods/{}", pods[0]), json!({})).await.ok();
    counted(b, "guard", deleted).await;
    let known: Vec<&str> = pods.iter().map(String::as_str).collect();
    let new = b.new_pod("app=web", &known).await;
    b.run_pod(&new, &format!("{}-n", b.ns)).await;
    counted(b, "guard", ready).await;
    b.stop_pod(&pods[0]).await;
    counted(b, "guard", [2, 1, 2, 1]).await;
}

/// A pod that ends is not healthy, from the moment of its deletion.
pub async fn an_ending_pod_is_not_healthy(b: &Bench<'_>) {
    replaced(b, json!({ "maxUnavailable": 1 }), [2, 1, 1, 0], [2, 1, 2, 1]).await;
}

/// Under a number as minAvailable the pods themselves are counted, so one that ends is still expected until it is gone.
pub async fn an_ending_pod_is_expected_by_a_number(b: &Bench<'_>) {
    replaced(b, json!({ "minAvailable": 1 }), [3, 1, 1, 0], [3, 1, 2, 1]).await;
}

/// Pods of no controller count under a number as minAvailable. Under the other forms nobody says how many there should be: none are
/// expected, and none may go. It is no error.
pub async fn of_pods_without_a_controller(b: &Bench<'_>) {
    let node = b.node("n").await;
    for pod in ["one", "two"] {
        b.pod(pod, "bare").await;
        b.run_pod(pod, &node).await;
    }
    make(b, "min", "bare", json!({ "minAvailable": 1 })).await;
    make(b, "max", "bare", json!({ "maxUnavailable": 1 })).await;
    counted(b, "min", [2, 1, 2, 1]).await;
    make(b, "percent", "bare", json!({ "minAvailable": "50%" })).await;
    counted(b, "max", [0, 0, 2, 0]).await;
    let budget = counted(b, "percent", [0, 0, 2, 0]).await;
    assert_eq!(condition(&budget, "DisruptionAllowed")["reason"], "InsufficientPods");
}

/// An empty selector guards all pods of the namespace; a missing one, none.
pub async fn an_empty_selector_takes_all(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "bare").await;
    b.run_pod("one", &node).await;
    for (name, selector) in [("all", json!({})), ("none", Value::Null)] {
        let spec = json!({ "minAvailable": 1, "selector": selector });
        b.post("poddisruptionbudgets", json!({ "metadata": { "name": name }, "spec": spec })).await.ok();
    }
    counted(b, "all", [1, 1, 1, 0]).await;
    counted(b, "none", [0, 1, 0, 0]).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "one" } });
    b.post("pods/one/eviction?dryRun=All", eviction.clone()).await.with_code(429);
    b.delete("poddisruptionbudgets/all", json!({})).await.ok();
    b.post("pods/one/eviction?dryRun=All", eviction).await.with_code(201);
}

/// A Pending pod is expected, and not healthy.
pub async fn a_pending_pod_is_expected(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "bare").await;
    b.pod("two", "bare").await;
    b.run_pod("one", &node).await;
    make(b, "guard", "bare", json!({ "minAvailable": 1 })).await;
    counted(b, "guard", [2, 1, 1, 0]).await;
}

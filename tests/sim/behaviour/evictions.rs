//! The eviction subresource: what it allows, what it refuses and in which words.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, condition, container, is_true, text, uid};

const VIOLATED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

async fn evict(b: &Bench<'_>, pod: &str, options: Value) -> Answer {
    let query = if options.get("dryRun").is_some() { "?dryRun=All" } else { "" };
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": b.ns }, "deleteOptions": options,
    });
    b.post(&format!("pods/{pod}/eviction{query}"), body).await
}

/// A ReplicaSet's pods, all ready on one node.
async fn web(b: &Bench<'_>, replicas: usize) -> (String, Vec<String>) {
    let node = b.node("n").await;
    let mut template = json!({ "metadata": { "labels": { "app": "web", "guarded": "yes" } } });
    template["spec"] = container();
    let spec = json!({ "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": template });
    b.post("replicasets", json!({ "metadata": { "name": "web" }, "spec": spec })).await.ok();
    let pods = b.new_pods("app=web", &[], replicas).await;
    for pod in &pods {
        b.run_pod(pod, &node).await;
    }
    (node, pods)
}

/// A budget, once the controller has judged it and allows that many.
async fn budget(b: &Bench<'_>, name: &str, spec: Value, allowed: i64) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({ "matchLabels": { "guarded": "yes" } });
    b.post("poddisruptionbudgets", json!({ "metadata": { "name": name }, "spec": spec })).await.ok();
    let current =
        |budget: &Value| budget["status"]["observedGeneration"] == 1 && budget["status"]["disruptionsAllowed"] == allowed;
    b.is(&format!("poddisruptionbudgets/{name}"), current).await
}

/// 201 with a Status; the pod then ends with the grace asked for, and says who disrupted it.
pub async fn allowed_it_deletes_with_grace(b: &Bench<'_>) {
    let node = b.node("n").await;
    let pod = b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    let options = json!({ "gracePeriodSeconds": 7, "preconditions": { "uid": uid(&pod) } });
    let status = evict(b, "one", options).await.with_code(201);
    assert_eq!(
        (&status["kind"], &status["status"], &status["code"]),
        (&json!("Status"), &json!("Success"), &json!(201)),
        "{status}"
    );
    let ending = b.get("pods/one").await.ok();
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 7);
    let target = condition(&ending, "DisruptionTarget");
    assert_eq!((&target["status"], &target["reason"]), (&json!("True"), &json!("EvictionByEvictionAPI")));
    assert_eq!(target["message"], "Eviction API: evicting");
    // A second time it is allowed, too.
    evict(b, "one", json!({})).await.with_code(201);
}

pub async fn a_budget_without_room_is_429_with_its_cause(b: &Bench<'_>) {
    let (_, pods) = web(b, 2).await;
    budget(b, "guard", json!({ "minAvailable": 2 }), 0).await;
    let answer = evict(b, &pods[0], json!({})).await;
    assert!(answer.headers.get("retry-after").is_none(), "no word on when to come again: {:?}", answer.headers);
    let status = answer.refused(429, "TooManyRequests", VIOLATED);
    let says = "The disruption budget guard needs 2 healthy pods and has 2 currently";
    assert_eq!(status["details"], json!({ "causes": [{ "reason": "DisruptionBudget", "message": says }] }));
    assert!(b.get(&format!("pods/{}", pods[0])).await.ok()["metadata"].get("deletionTimestamp").is_none());
}

/// Each eviction takes one disruption off the budget's status at once, before any controller looks.
pub async fn each_takes_one_disruption(b: &Bench<'_>) {
    let (_, pods) = web(b, 3).await;
    budget(b, "guard", json!({ "minAvailable": 2 }), 1).await;
    evict(b, &pods[0], json!({})).await.with_code(201);
    let status = evict(b, &pods[1], json!({})).await.refused(429, "TooManyRequests", VIOLATED);
    let guard = b.get("poddisruptionbudgets/guard").await.ok();
    assert_eq!(guard["status"]["disruptionsAllowed"], 0, "{}", guard["status"]);
    // Until the controller has counted anew, more are healthy than wanted, and the answer gives no numbers.
    let before = "The disruption budget guard does not allow evicting pods currently";
    let after = "The disruption budget guard needs 2 healthy pods and has 2 currently";
    let says = text(&status, "/details/causes/0/message");
    assert!(says == before || says == after, "{says}");
    // The pod that ends no longer counts as healthy; its successor, once ready, gives the disruption back.
    b.is("poddisruptionbudgets/guard", |guard| guard["status"]["currentHealthy"] == 2).await;
    let known: Vec<&str> = pods.iter().map(String::as_str).collect();
    let new = b.new_pod("app=web", &known).await;
    let node = format!("{}-n", b.ns);
    b.run_pod(&new, &node).await;
    b.is("poddisruptionbudgets/guard", |guard| guard["status"]["disruptionsAllowed"] == 1).await;
    evict(b, &pods[1], json!({})).await.with_code(201);
}

/// The same answers, and neither pod nor budget changes.
pub async fn a_dry_run_changes_nothing(b: &Bench<'_>) {
    let (_, pods) = web(b, 2).await;
    budget(b, "guard", json!({ "minAvailable": 1 }), 1).await;
    let path = format!("pods/{}", pods[0]);
    let (pod, guard) = (b.get(&path).await.ok(), b.get("poddisruptionbudgets/guard").await.ok());
    for pod in &pods {
        evict(b, pod, json!({ "dryRun": ["All"] })).await.with_code(201);
    }
    assert_eq!(b.get(&path).await.ok(), pod);
    assert_eq!(b.get("poddisruptionbudgets/guard").await.ok(), guard);
    b.patch("poddisruptionbudgets/guard", json!({ "spec": { "minAvailable": 2 } })).await.ok();
    b.is("poddisruptionbudgets/guard", |guard| guard["status"]["observedGeneration"] == 2).await;
    evict(b, &pods[0], json!({ "dryRun": ["All"] })).await.refused(429, "TooManyRequests", VIOLATED);
}

/// Never evicted, whatever they allow. It is no 429.
pub async fn two_budgets_are_500(b: &Bench<'_>) {
    let (_, pods) = web(b, 2).await;
    budget(b, "guard", json!({ "minAvailable": 1 }), 1).await;
    budget(b, "other", json!({ "minAvailable": 1 }), 1).await;
    let says = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    for options in [json!({}), json!({ "dryRun": ["All"] })] {
        let status = evict(b, &pods[0], options).await.with_code(500);
        assert_eq!(text(&status, "/message"), says, "{status}");
    }
}

pub async fn it_may_be_meant_for_one_very_pod(b: &Bench<'_>) {
    let node = b.node("n").await;
    let pod = b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    let other = json!({ "preconditions": { "uid": "00000000-0000-0000-0000-000000000000" } });
    let says = format!(
        "Operation cannot be fulfilled on Pod \"one\": the UID in the precondition (00000000-0000-0000-0000-000000000000) \
         does not match the UID in record ({}). The object might have been deleted and then recreated",
        uid(&pod)
    );
    evict(b, "one", other).await.refused(409, "Conflict", &says);
    evict(b, "absent", json!({})).await.refused(404, "NotFound", "pods \"absent\" not found");
}

/// No budget guards a pod that is not running: Pending (bound or not), finished, or ending already.
pub async fn what_does_not_run_bypasses_budgets(b: &Bench<'_>) {
    let (node, pods) = web(b, 3).await;
    budget(b, "guard", json!({ "minAvailable": 3 }), 0).await;
    for name in ["unbound", "bound", "finished"] {
        // Not "web": the ReplicaSet would take them for its own, and delete them as too many.
        let metadata = json!({ "name": name, "labels": { "app": "bare", "guarded": "yes" } });
        b.post("pods", json!({ "metadata": metadata, "spec": container() })).await.ok();
    }
    crate::kubelet::bind(b, "bound", &node).await;
    crate::kubelet::bind(b, "finished", &node).await;
    b.end_pod("finished", 1).await;
    for name in ["unbound", "bound", "finished"] {
        evict(b, name, json!({})).await.with_code(201);
    }
    b.delete(&format!("pods/{}", pods[0]), json!({})).await.ok();
    evict(b, &pods[0], json!({})).await.with_code(201);
    evict(b, &pods[1], json!({})).await.refused(429, "TooManyRequests", VIOLATED);
    // One that waited for a node goes at once.
    b.get("pods/unbound").await.with_code(404);
}

/// Running but not ready. By default such a pod goes only while its budget has what it wants without it; AlwaysAllow lets it go.
pub async fn unready_pods_go_by_policy(b: &Bench<'_>) {
    let (node, pods) = web(b, 3).await;
    // A fourth runs and is not ready: two of four are wanted, three are healthy, none may go but this one.
    b.patch("replicasets/web", json!({ "spec": { "replicas": 4 } })).await.ok();
    let known: Vec<&str> = pods.iter().map(String::as_str).collect();
    let sick = b.new_pod("app=web", &known).await;
    b.run_pod(&sick, &node).await;
    unready(b, &sick).await;
    budget(b, "guard", json!({ "minAvailable": 3 }), 0).await;
    evict(b, &pods[0], json!({ "dryRun": ["All"] })).await.refused(429, "TooManyRequests", VIOLATED);
    evict(b, &sick, json!({ "dryRun": ["All"] })).await.with_code(201);
    // With fewer healthy than wanted it is held as well.
    b.patch("poddisruptionbudgets/guard", json!({ "spec": { "minAvailable": 4 } })).await.ok();
    b.is("poddisruptionbudgets/guard", |guard| guard["status"]["observedGeneration"] == 2).await;
    let status = evict(b, &sick, json!({})).await.refused(429, "TooManyRequests", VIOLATED);
    let says = "The disruption budget guard needs 4 healthy pods and has 3 currently";
    assert_eq!(text(&status, "/details/causes/0/message"), says);
    b.patch("poddisruptionbudgets/guard", json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } })).await.ok();
    evict(b, &pods[0], json!({})).await.with_code(429);
    evict(b, &sick, json!({})).await.with_code(201);
}

async fn unready(b: &Bench<'_>, pod: &str) {
    let path = format!("pods/{pod}");
    let mut conditions = b.get(&path).await.ok()["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["status"] = json!("False");
        }
    }
    let patched = b.patch(&format!("{path}/status"), json!({ "status": { "conditions": conditions } })).await.ok();
    assert!(!is_true(&patched, "Ready"));
}

/// Evicting creates, and a namespace that ends takes nothing new: the pod goes with the namespace.
pub async fn in_an_ending_namespace_it_is_403(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    b.delete(&format!("namespaces/{}", b.ns), json!({})).await.ok();
    let status = evict(b, "one", json!({})).await.with_code(403);
    assert_eq!(text(&status, "/details/causes/0/reason"), "NamespaceTerminating", "{status}");
    b.is("pods/one", |pod| pod["metadata"].get("deletionTimestamp").is_some()).await;
    b.stop_pod("one").await;
    b.gone(&format!("namespaces/{}", b.ns)).await;
}

/// The moment after a budget's spec changed: its status is of before.
pub async fn a_budget_not_yet_judged_asks_for_ten_seconds(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.post("pods", json!({ "metadata": { "name": "one", "labels": { "guarded": "yes" } }, "spec": container() })).await.ok();
    b.run_pod("one", &node).await;
    // The status is set back by hand, under the controller's nose, until an eviction comes before it.
    budget(b, "guard", json!({ "minAvailable": 0 }), 1).await;
    let stale = json!({ "status": { "observedGeneration": 0, "disruptionsAllowed": 0 } });
    let status = b
        .until("an eviction faster than the controller", async || {
            b.patch("poddisruptionbudgets/guard/status", stale.clone()).await.ok();
            Some(evict(b, "one", json!({ "dryRun": ["All"] })).await).filter(|answer| answer.code == 429)
        })
        .await
        .refused(429, "TooManyRequests", VIOLATED);
    let cause =
        json!({ "reason": "DisruptionBudget", "message": "The disruption budget guard is still being processed by the server." });
    assert_eq!(status["details"], json!({ "causes": [cause], "retryAfterSeconds": 10 }));
}

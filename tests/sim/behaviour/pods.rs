//! Pods: what admission makes of them, their binding, and how they end.

use serde_json::{Value, json};

use crate::bench::{Bench, condition, container, text, uid};

pub async fn defaults_and_admission(b: &Bench<'_>) {
    let pod = b.pod("one", "web").await;
    let spec = &pod["spec"];
    assert_eq!((&pod["status"]["phase"], spec.get("nodeName")), (&json!("Pending"), None));
    assert_eq!((&spec["restartPolicy"], &spec["terminationGracePeriodSeconds"]), (&json!("Always"), &json!(30)));
    assert_eq!((&spec["serviceAccountName"], &spec["priority"]), (&json!("default"), &json!(0)));
    let tolerated: Vec<&str> = spec["tolerations"].as_array().unwrap().iter().map(|one| text(one, "/key")).collect();
    assert_eq!(tolerated, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
    assert!(
        spec["tolerations"].as_array().unwrap().iter().all(|one| one["tolerationSeconds"] == 300 && one["effect"] == "NoExecute")
    );
}

/// A pod's ServiceAccount and PriorityClass must exist; the two classes of the system always do.
pub async fn accounts_and_priorities_must_exist(b: &Bench<'_>) {
    let with = |field: &str, value: &str| {
        let mut spec = container();
        spec[field] = json!(value);
        json!({ "metadata": { "name": "one" }, "spec": spec })
    };
    let says = format!(
        "pods \"one\" is forbidden: error looking up service account {}/nobody: serviceaccount \"nobody\" not found",
        b.ns
    );
    b.post("pods", with("serviceAccountName", "nobody")).await.refused(403, "Forbidden", &says);
    let says = "pods \"one\" is forbidden: no PriorityClass with name nothing was found";
    b.post("pods", with("priorityClassName", "nothing")).await.refused(403, "Forbidden", says);
    let pod = b.post("pods", with("priorityClassName", "system-cluster-critical")).await.ok();
    assert_eq!(pod["spec"]["priority"], 2_000_000_000);
}

pub async fn a_binding_is_made_once(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "web").await;
    crate::kubelet::bind(b, "one", &node).await;
    let pod = b.get("pods/one").await.ok();
    assert_eq!((text(&pod, "/spec/nodeName"), text(&pod, "/status/phase")), (node.as_str(), "Pending"));
    assert_eq!(condition(&pod, "PodScheduled")["status"], "True");
    let binding = json!({ "metadata": { "name": "one" }, "target": { "kind": "Node", "name": node } });
    let says = format!("Operation cannot be fulfilled on pods/binding \"one\": pod one is already assigned to node \"{node}\"");
    b.post("pods/one/binding", binding).await.refused(409, "Conflict", &says);
}

/// A pod that no node has goes with the answer, whatever its grace.
pub async fn unbound_it_goes_at_once(b: &Bench<'_>) {
    b.pod("one", "web").await;
    let deleted = b.delete("pods/one", json!({})).await.with_code(200);
    assert_eq!((&deleted["kind"], &deleted["metadata"]["deletionGracePeriodSeconds"]), (&json!("Pod"), &json!(0)));
    b.get("pods/one").await.with_code(404);
}

/// It stays, marked, until the kubelet deletes it without grace. A later delete may shorten the grace, never lengthen it.
pub async fn bound_it_stays_until_the_kubelet_confirms(b: &Bench<'_>) {
    let node = b.node("n").await;
    let made = b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    let deleted = b.delete("pods/one", json!({})).await.with_code(200);
    let mark = |pod: &Value| {
        (text(pod, "/metadata/deletionTimestamp").to_owned(), pod["metadata"]["deletionGracePeriodSeconds"].clone())
    };
    assert_eq!(mark(&deleted).1, 30);
    // The mark is when the grace ends, not when the deletion began.
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let begun = time(text(&made, "/metadata/creationTimestamp"));
    assert!((29..=50).contains(&time(&mark(&deleted).0).duration_since(begun).as_secs()), "{deleted}");
    let longer = b.delete("pods/one", json!({ "gracePeriodSeconds": 300 })).await.with_code(200);
    assert_eq!(mark(&longer), mark(&deleted));
    let shorter = b.delete("pods/one", json!({ "gracePeriodSeconds": 5 })).await.with_code(200);
    assert_eq!(mark(&shorter).1, 5);
    assert!(time(&mark(&shorter).0) < time(&mark(&deleted).0));
    let still = b.get("pods/one").await.ok();
    assert_eq!(still["status"]["phase"], "Running");
    b.stop_pod("one").await;
    b.get("pods/one").await.with_code(404);
}

/// Of a finished pod nothing is left to end: it goes with the answer.
pub async fn finished_it_goes_at_once(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    b.end_pod("one", 0).await;
    let deleted = b.delete("pods/one", json!({ "gracePeriodSeconds": 60 })).await.with_code(200);
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0);
    b.get("pods/one").await.with_code(404);
}

pub async fn a_delete_may_be_meant_for_one_very_pod(b: &Bench<'_>) {
    let pod = b.pod("one", "web").await;
    let other = json!({ "preconditions": { "uid": "00000000-0000-0000-0000-000000000000" } });
    let says = format!(
        "Operation cannot be fulfilled on Pod \"one\": the UID in the precondition (00000000-0000-0000-0000-000000000000) \
         does not match the UID in record ({}). The object might have been deleted and then recreated",
        uid(&pod)
    );
    b.delete("pods/one", other).await.refused(409, "Conflict", &says);
    b.delete("pods/one", json!({ "preconditions": { "uid": uid(&pod) } })).await.with_code(200);
}

/// Nobody made the node of this name: a controller takes the pod for an orphan, but not within a minute.
pub async fn a_pod_on_a_node_that_is_not_there_stays_for_now(b: &Bench<'_>) {
    b.pod("one", "web").await;
    crate::kubelet::bind(b, "one", &format!("{}-none", b.ns)).await;
    b.always(3, "the pod is there", async || b.get("pods/one").await.code == 200).await;
}

//! Nodes: the taints that follow from what a node says and from a cordon.

use serde_json::{Value, json};

use crate::bench::{Bench, text};

const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// `key:effect` of each taint.
fn taints(node: &Value) -> Vec<String> {
    let taints = node["spec"]["taints"].as_array();
    taints.into_iter().flatten().map(|taint| format!("{}:{}", text(taint, "/key"), text(taint, "/effect"))).collect()
}

/// Born with a taint that keeps pods away, which a controller takes off once the kubelet says Ready.
pub async fn a_new_node_is_not_ready(b: &Bench<'_>) {
    let name = format!("{}-n", b.ns);
    let made = b.post("nodes", json!({ "metadata": { "name": name } })).await.with_code(201);
    assert_eq!(taints(&made), ["node.kubernetes.io/not-ready:NoSchedule"]);
    assert!(made["status"].get("conditions").is_none());
    b.delete(&format!("nodes/{name}"), json!({})).await.with_code(200);
    let node = b.node("n").await;
    assert!(b.get(&format!("nodes/{node}")).await.ok()["spec"].get("taints").is_none());
}

/// A cordon is a field; its taint is put on and off by a controller a moment later, and other taints stay.
pub async fn a_cordon_has_its_taint(b: &Bench<'_>) {
    let path = format!("nodes/{}", b.node("n").await);
    let own = json!({ "key": "example.com/own", "value": "x", "effect": "NoSchedule" });
    b.patch(&path, json!({ "spec": { "taints": [own] } })).await.ok();
    let answer = b.patch(&path, json!({ "spec": { "unschedulable": true } })).await.ok();
    assert_eq!(taints(&answer), ["example.com/own:NoSchedule"], "not with the answer");
    let cordoned = b.is(&path, |node| taints(node).contains(&format!("{CORDONED}:NoSchedule"))).await;
    assert_eq!(taints(&cordoned).len(), 2);
    let taint = cordoned["spec"]["taints"].as_array().unwrap().iter().find(|taint| taint["key"] == CORDONED).unwrap();
    assert!(!text(taint, "/timeAdded").is_empty() && taint.get("value").is_none(), "{taint}");
    let back = b.patch(&path, json!({ "spec": { "unschedulable": null } })).await.ok();
    assert!(back["spec"].get("unschedulable").is_none());
    b.is(&path, |node| taints(node) == ["example.com/own:NoSchedule"]).await;
}

/// Both effects: pods without a toleration are evicted, which those that come by default put off for 300 s.
pub async fn a_node_that_says_not_ready_is_tainted(b: &Bench<'_>) {
    let path = format!("nodes/{}", b.node("n").await);
    b.pod("one", "web").await;
    b.run_pod("one", path.strip_prefix("nodes/").unwrap()).await;
    let mut conditions = b.get(&path).await.ok()["status"]["conditions"].clone();
    conditions[0]["status"] = json!("False");
    conditions[0]["reason"] = json!("KubeletNotReady");
    b.patch(&format!("{path}/status"), json!({ "status": { "conditions": conditions } })).await.ok();
    let both = ["node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"];
    b.is(&path, |node| {
        let mut found = taints(node);
        found.sort();
        found == both
    })
    .await;
    // A kubelet that says so itself also speaks for its pods: nobody else calls them unready, or ends them before their time.
    b.always(3, "the pod is ready", async || {
        let pod = b.get("pods/one").await.ok();
        crate::bench::is_true(&pod, "Ready") && pod["metadata"].get("deletionTimestamp").is_none()
    })
    .await;
    conditions[0]["status"] = json!("True");
    b.patch(&format!("{path}/status"), json!({ "status": { "conditions": conditions } })).await.ok();
    b.is(&path, |node| taints(node).is_empty()).await;
}

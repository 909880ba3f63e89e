//! The scheduler and the kubelet, as far as a suite needs them, by the calls that the real ones make.

use serde_json::{Value, json};

use crate::bench::{Bench, text};

/// Where it does not matter when: some time, and always the same.
const WHEN: &str = "2026-01-02T03:04:05Z";

/// The time that it is for the API server.
pub async fn now(bench: &Bench<'_>) -> String {
    let made = bench.post("nodes?dryRun=All", json!({ "metadata": { "name": "now" } })).await.ok();
    text(&made, "/metadata/creationTimestamp").to_owned()
}

/// A machine registers, and reports that it is well.
pub async fn join(bench: &Bench<'_>, node: &str) {
    let labels = json!({ "kubernetes.io/hostname": node, "bench": bench.ns });
    bench.post("nodes", json!({ "metadata": { "name": node, "labels": labels } })).await.ok();
    let conditions = json!([{
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
        "lastHeartbeatTime": WHEN, "lastTransitionTime": WHEN,
    }]);
    let capacity = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
    let status = json!({ "conditions": conditions, "capacity": capacity, "allocatable": capacity });
    bench.patch(&format!("nodes/{node}/status"), json!({ "status": status })).await.ok();
    // A new node has the taint not-ready, which a controller takes off once it is Ready.
    bench.is(&format!("nodes/{node}"), |node| node["spec"].get("taints").is_none()).await;
}

pub async fn bind(bench: &Bench<'_>, pod: &str, node: &str) {
    let target = json!({ "apiVersion": "v1", "kind": "Node", "name": node });
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod }, "target": target });
    bench.post(&format!("pods/{pod}/binding"), binding).await.with_code(201);
}

pub async fn run_pod(bench: &Bench<'_>, pod: &str, node: &str) {
    bind(bench, pod, node).await;
    report(bench, pod, "Running", "True", json!({ "running": { "startedAt": WHEN } })).await;
}

pub async fn end_pod(bench: &Bench<'_>, pod: &str, exit: i32) {
    let phase = if exit == 0 { "Succeeded" } else { "Failed" };
    let reason = if exit == 0 { "Completed" } else { "Error" };
    // The pause before a Job's next try is counted from then.
    let finished = now(bench).await;
    let terminated = json!({ "exitCode": exit, "reason": reason, "startedAt": WHEN, "finishedAt": finished });
    report(bench, pod, phase, "False", json!({ "terminated": terminated })).await;
}

/// A deleted pod's container was killed: the kubelet reports its end if it still ran, then confirms the deletion.
pub async fn stop_pod(bench: &Bench<'_>, pod: &str) {
    let path = format!("pods/{pod}");
    let found = bench.get(&path).await.ok();
    assert!(!text(&found, "/metadata/deletionTimestamp").is_empty(), "{pod} was not deleted: {}", found["metadata"]);
    if text(&found, "/status/phase") == "Running" {
        end_pod(bench, pod, 137).await;
    }
    let uid = text(&found, "/metadata/uid");
    let answer = bench.delete(&path, json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid } })).await;
    assert!(matches!(answer.code, 200 | 404), "{}: {}", answer.code, answer.body);
}

/// The pod's conditions are merged by type, as a strategic merge patch does it; others' conditions stay.
async fn report(bench: &Bench<'_>, pod: &str, phase: &str, ready: &str, state: Value) {
    let path = format!("pods/{pod}");
    let now = bench.get(&path).await.ok();
    let mut conditions: Vec<Value> = now.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    conditions.retain(|condition| !["Ready", "ContainersReady"].contains(&text(condition, "/type")));
    for kind in ["Ready", "ContainersReady"] {
        conditions.push(json!({ "type": kind, "status": ready, "lastTransitionTime": WHEN }));
    }
    let container = text(&now, "/spec/containers/0/name");
    let running = state.get("running").is_some();
    let containers = json!([{
        "name": container, "image": "none", "imageID": "none", "restartCount": 0, "ready": ready == "True", "started": running, "state": state,
    }]);
    let status = json!({ "phase": phase, "conditions": conditions, "containerStatuses": containers, "startTime": WHEN });
    bench.patch(&format!("{path}/status"), json!({ "status": status })).await.ok();
}

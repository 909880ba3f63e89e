//! What puts pods back, and what moves them: Deployments, StatefulSets, DaemonSets.

use serde_json::{Value, json};

use crate::bench::{Bench, condition, container, names, text, uid, version};

fn template() -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": container() })
}

fn workload(replicas: u32) -> Value {
    let spec = json!({ "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": template() });
    json!({ "metadata": { "name": "web" }, "spec": spec })
}

/// Deployment → ReplicaSet → pods, each named by the one before and a hash.
pub async fn a_deployments_pods_are_its_replicasets(b: &Bench<'_>) {
    let made = b.post("deployments", workload(2)).await.ok();
    let pods = b.new_pods("app=web", &[], 2).await;
    let set = b.items("replicasets?labelSelector=app=web").await.remove(0);
    let hash = text(&set, "/metadata/labels/pod-template-hash");
    assert_eq!(text(&set, "/metadata/name"), format!("web-{hash}"));
    assert_eq!(
        (&set["metadata"]["ownerReferences"][0]["kind"], text(&set, "/metadata/ownerReferences/0/uid")),
        (&json!("Deployment"), uid(&made))
    );
    for pod in &pods {
        let pod = b.get(&format!("pods/{pod}")).await.ok();
        assert!(text(&pod, "/metadata/name").starts_with(&format!("web-{hash}-")), "{}", pod["metadata"]["name"]);
        assert_eq!(pod["metadata"]["labels"], json!({ "app": "web", "pod-template-hash": hash }));
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["apiVersion"], &owner["controller"]),
            (&json!("ReplicaSet"), &json!("apps/v1"), &json!(true))
        );
        assert!(pod["metadata"].get("finalizers").is_none());
    }
}

pub async fn a_deployment_is_available_when_its_pods_are_ready(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.post("deployments", workload(2)).await.ok();
    let pods = b.new_pods("app=web", &[], 2).await;
    let waiting = b.is("deployments/web", |web| web["status"]["unavailableReplicas"] == 2).await;
    assert!(waiting["status"].get("availableReplicas").is_none() && waiting["status"].get("readyReplicas").is_none());
    let available = condition(&waiting, "Available");
    assert_eq!((&available["status"], &available["reason"]), (&json!("False"), &json!("MinimumReplicasUnavailable")));
    for pod in &pods {
        b.run_pod(pod, &node).await;
    }
    let up = b.is("deployments/web", |web| web["status"]["availableReplicas"] == 2).await;
    let status = &up["status"];
    assert_eq!((&status["replicas"], &status["readyReplicas"], &status["updatedReplicas"]), (&json!(2), &json!(2), &json!(2)));
    assert_eq!((&status["observedGeneration"], status.get("unavailableReplicas")), (&json!(1), None));
    let available = condition(&up, "Available");
    assert_eq!((&available["status"], &available["reason"]), (&json!("True"), &json!("MinimumReplicasAvailable")));
}

/// The successor comes while the old one still ends, and the old one no longer counts.
pub async fn a_deleted_pod_is_replaced_while_it_ends(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.post("deployments", workload(2)).await.ok();
    let pods = b.new_pods("app=web", &[], 2).await;
    for pod in &pods {
        b.run_pod(pod, &node).await;
    }
    b.is("deployments/web", |web| web["status"]["availableReplicas"] == 2).await;
    b.delete(&format!("pods/{}", pods[0]), json!({})).await.ok();
    let known: Vec<&str> = pods.iter().map(String::as_str).collect();
    let new = b.new_pod("app=web", &known).await;
    let status = b.is("deployments/web", |web| web["status"]["availableReplicas"] == 1 && web["status"]["replicas"] == 2).await;
    // 25 % of two, rounded down, may be missing: none.
    assert_eq!(condition(&status, "Available")["status"], "False");
    assert_eq!(b.items("pods?labelSelector=app=web").await.len(), 3, "two, and one that ends");
    b.run_pod(&new, &node).await;
    b.is("deployments/web", |web| web["status"]["availableReplicas"] == 2).await;
    b.stop_pod(&pods[0]).await;
}

/// A pod of a fixed name comes back only when the old one is gone.
pub async fn a_statefulsets_pod_waits_for_the_old_one(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.post("statefulsets", workload(2)).await.ok();
    let first = b.there("pods/web-0").await;
    b.always(1, "web-1 waits for web-0", async || b.get("pods/web-1").await.code == 404).await;
    b.run_pod("web-0", &node).await;
    b.there("pods/web-1").await;
    b.run_pod("web-1", &node).await;
    b.is("statefulsets/web", |web| web["status"]["readyReplicas"] == 2).await;
    b.delete("pods/web-0", json!({})).await.ok();
    b.always(2, "web-0 still ends", async || uid(&b.get("pods/web-0").await.ok()) == uid(&first)).await;
    b.stop_pod("web-0").await;
    let again = b.there("pods/web-0").await;
    assert_ne!(uid(&again), uid(&first));
}

/// One pod a node that its selector takes, cordoned or not, named for the scheduler by affinity, and put back wherever it was deleted.
pub async fn a_daemonset_is_on_every_node(b: &Bench<'_>) {
    let mut nodes = vec![b.node("n").await, b.node("m").await];
    nodes.sort();
    b.patch(&format!("nodes/{}", nodes[0]), json!({ "spec": { "unschedulable": true } })).await.ok();
    let mut set = workload(1);
    set["spec"].as_object_mut().unwrap().remove("replicas");
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "bench": b.ns });
    b.post("daemonsets", set).await.ok();
    let pods = b.new_pods("app=web", &[], 2).await;
    let mut meant = Vec::new();
    for name in &pods {
        let pod = b.get(&format!("pods/{name}")).await.ok();
        assert!(pod["spec"].get("nodeName").is_none());
        let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields";
        let field = pod.pointer(terms).unwrap();
        assert_eq!((&field[0]["key"], &field[0]["operator"]), (&json!("metadata.name"), &json!("In")));
        let node = text(&field[0], "/values/0").to_owned();
        b.run_pod(name, &node).await;
        meant.push(node);
        let tolerated: Vec<String> = pod["spec"]["tolerations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{}:{}", text(one, "/key").trim_start_matches("node.kubernetes.io/"), text(one, "/effect")))
            .collect();
        let wanted = [
            "not-ready:NoExecute",
            "unreachable:NoExecute",
            "disk-pressure:NoSchedule",
            "memory-pressure:NoSchedule",
            "pid-pressure:NoSchedule",
            "unschedulable:NoSchedule",
        ];
        assert_eq!(tolerated, wanted);
    }
    meant.sort();
    assert_eq!(meant, nodes);
    let ready = b.is("daemonsets/web", |set| set["status"]["numberReady"] == 2).await;
    assert_eq!((&ready["status"]["desiredNumberScheduled"], &ready["status"]["numberAvailable"]), (&json!(2), &json!(2)));
    b.delete(&format!("pods/{}", pods[0]), json!({})).await.ok();
    b.always(2, "the old one still ends", async || b.items("pods?labelSelector=app=web").await.len() == 2).await;
    b.stop_pod(&pods[0]).await;
    let left = pods[1].as_str();
    b.new_pod("app=web", &[left, &pods[0]]).await;
}

/// A pod that failed is not kept: its ReplicaSet makes another at once, and the failed one stays to be looked at.
pub async fn a_failed_pod_is_replaced(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.post("deployments", workload(1)).await.ok();
    let pod = b.new_pod("app=web", &[]).await;
    b.run_pod(&pod, &node).await;
    b.end_pod(&pod, 1).await;
    b.new_pod("app=web", &[&pod]).await;
    let all = names(&b.items("pods?labelSelector=app=web").await);
    assert!(all.contains(&pod), "{all:?}");
}

/// As `kubectl rollout restart` says it, at what was seen of the Deployment.
fn restart(seen: &Value) -> Value {
    let annotations = json!({ "kubectl.kubernetes.io/restartedAt": "2026-11-22T12:00:00Z" });
    json!({
        "metadata": { "resourceVersion": version(seen) },
        "spec": { "template": { "metadata": { "annotations": annotations } } },
    })
}

/// A Deployment of one pod, which runs.
async fn of_one(b: &Bench<'_>, node: &str) -> (Value, String) {
    b.post("deployments", workload(1)).await.ok();
    let pod = b.new_pod("app=web", &[]).await;
    b.run_pod(&pod, node).await;
    let up = b.is("deployments/web", |web| web["status"]["availableReplicas"] == 1).await;
    (up, pod)
}

/// The former pod stays until the new one is available: one of one may not be missing, and one more may be there.
pub async fn a_restarted_deployment_has_its_new_pod_first(b: &Bench<'_>) {
    let (node, other) = (b.node("n").await, b.node("m").await);
    let (up, former) = of_one(b, &node).await;
    let set = b.get(&format!("pods/{former}")).await.ok();
    let set = b.get(&format!("replicasets/{}", text(&set, "/metadata/ownerReferences/0/name"))).await.ok();
    assert_eq!(text(&set, "/metadata/ownerReferences/0/uid"), uid(&up));
    let restarted = b.patch("deployments/web", restart(&up)).await.ok();
    assert_eq!((&up["metadata"]["generation"], &restarted["metadata"]["generation"]), (&json!(1), &json!(2)));
    let new = b.new_pod("app=web", &[&former]).await;
    let rolling = b.is("deployments/web", |web| web["status"]["observedGeneration"] == 2 && web["status"]["replicas"] == 2).await;
    assert_eq!((&rolling["status"]["updatedReplicas"], &rolling["status"]["availableReplicas"]), (&json!(1), &json!(1)));
    let path = format!("pods/{former}");
    b.always(1, "the former stays", async || b.get(&path).await.ok()["metadata"].get("deletionTimestamp").is_none()).await;
    b.run_pod(&new, &other).await;
    b.is(&path, |pod| pod["metadata"]["deletionTimestamp"].is_string()).await;
    let over = b.is("deployments/web", |web| web["status"]["replicas"] == 1).await;
    assert_eq!((&over["status"]["updatedReplicas"], &over["status"]["availableReplicas"]), (&json!(1), &json!(1)));
    b.stop_pod(&former).await;
}

/// Of a Deployment that somebody has changed meanwhile nothing is restarted.
pub async fn a_restart_is_of_what_was_seen(b: &Bench<'_>) {
    let node = b.node("n").await;
    let (up, _) = of_one(b, &node).await;
    b.patch("deployments/web", json!({ "spec": { "paused": true } })).await.ok();
    b.patch("deployments/web", restart(&up)).await.with_code(409);
    let web = b.get("deployments/web").await.ok();
    assert!(web["spec"]["template"]["metadata"].get("annotations").is_none(), "{web}");
}

/// Its own words, whether anything is bound to it or not.
pub async fn a_claim_says_who_may_mount_it(b: &Bench<'_>) {
    let spec = json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": { "requests": { "storage": "1Gi" } },
    });
    b.post("persistentvolumeclaims", json!({ "metadata": { "name": "data" }, "spec": spec })).await.ok();
    let claim = b.get("persistentvolumeclaims/data").await.ok();
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    b.get("persistentvolumeclaims/other").await.with_code(404);
}

//! Deletion: preconditions, finalizers, and what goes with an owner.

use serde_json::json;

use crate::bench::{Bench, container, text, uid, version};

/// An object without grace or finalizers is gone with the answer, which is a Status that names it.
pub async fn a_plain_object_goes_at_once(b: &Bench<'_>) {
    let made = b.post("configmaps", json!({ "metadata": { "name": "one" } })).await.ok();
    let status = b.delete("configmaps/one", json!({})).await.with_code(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")), "{status}");
    assert_eq!(status["details"], json!({ "name": "one", "kind": "configmaps", "uid": uid(&made) }));
    b.get("configmaps/one").await.with_code(404);
}

/// Unlike every other refusal, these name the kind and not the resource.
pub async fn preconditions_are_conflicts(b: &Bench<'_>) {
    let made = b.post("leases", json!({ "metadata": { "name": "one" }, "spec": { "holderIdentity": "me" } })).await.ok();
    let of_another = json!({ "preconditions": { "uid": "00000000-0000-0000-0000-000000000000" } });
    let says = format!(
        "Operation cannot be fulfilled on Lease.coordination.k8s.io \"one\": the UID in the precondition \
         (00000000-0000-0000-0000-000000000000) does not match the UID in record ({}). \
         The object might have been deleted and then recreated",
        uid(&made)
    );
    let status = b.delete("leases/one", of_another).await.refused(409, "Conflict", &says);
    assert_eq!(status["details"], json!({ "name": "one", "group": "coordination.k8s.io", "kind": "Lease" }));
    let renewed = b.patch("leases/one", json!({ "spec": { "holderIdentity": "us" } })).await.ok();
    let says = format!(
        "Operation cannot be fulfilled on Lease.coordination.k8s.io \"one\": the ResourceVersion in the precondition ({}) \
         does not match the ResourceVersion in record ({}). The object might have been modified",
        version(&made),
        version(&renewed)
    );
    let old = json!({ "preconditions": { "resourceVersion": version(&made) } });
    b.delete("leases/one", old).await.refused(409, "Conflict", &says);
    let ours = json!({ "preconditions": { "uid": uid(&renewed), "resourceVersion": version(&renewed) } });
    b.delete("leases/one", ours.clone()).await.with_code(200);
    // What is not there is 404 whatever the preconditions.
    b.delete("leases/one", ours).await.with_code(404);
}

/// The answer is then the object; it goes with its last finalizer, and a second delete changes nothing.
pub async fn finalizers_hold_it(b: &Bench<'_>) {
    b.post("configmaps", json!({ "metadata": { "name": "one", "finalizers": ["example.com/wait"] } })).await.ok();
    let deleted = b.delete("configmaps/one", json!({})).await.with_code(200);
    assert_eq!(deleted["kind"], "ConfigMap");
    assert!(!text(&deleted, "/metadata/deletionTimestamp").is_empty());
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0);
    let again = b.delete("configmaps/one", json!({})).await.with_code(200);
    assert_eq!(version(&again), version(&deleted));
    b.patch("configmaps/one", json!({ "metadata": { "finalizers": null } })).await.with_code(200);
    b.get("configmaps/one").await.with_code(404);
}

async fn job(b: &Bench<'_>) -> String {
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "k8s-upgrade", "image": "none" }] } });
    b.post("jobs", json!({ "metadata": { "name": "one" }, "spec": { "template": template } })).await.ok();
    b.new_pod("job-name=one", &[]).await
}

/// As the program makes room for a Job of the same name: for that one alone.
pub async fn a_job_may_be_meant_by_its_uid(b: &Bench<'_>) {
    job(b).await;
    let uid = uid(&b.get("jobs/one").await.ok()).to_owned();
    let options = |uid: &str| json!({ "propagationPolicy": "Background", "preconditions": { "uid": uid } });
    let other = "00000000-0000-0000-0000-000000000000";
    let says = format!(
        "Operation cannot be fulfilled on Job.batch \"one\": the UID in the precondition ({other}) does not match the UID in record \
         ({uid}). The object might have been deleted and then recreated"
    );
    b.delete("jobs/one", options(other)).await.refused(409, "Conflict", &says);
    b.delete("jobs/one", options(&uid)).await.with_code(200);
    b.get("jobs/one").await.with_code(404);
}

/// The Job is gone with the answer, its pods a moment later.
pub async fn background_takes_the_pods_after_the_job(b: &Bench<'_>) {
    let pod = job(b).await;
    let status = b.delete("jobs/one", json!({ "propagationPolicy": "Background" })).await.with_code(200);
    assert_eq!((text(&status, "/kind"), text(&status, "/status")), ("Status", "Success"), "{status}");
    b.get("jobs/one").await.with_code(404);
    b.gone(&format!("pods/{pod}")).await;
}

/// A pod that a kubelet runs ends in its own time; a new Job of that name does not wait for it.
pub async fn background_leaves_running_pods_to_end(b: &Bench<'_>) {
    let node = b.node("n").await;
    let pod = job(b).await;
    b.run_pod(&pod, &node).await;
    b.delete("jobs/one", json!({ "propagationPolicy": "Background" })).await.ok();
    let path = format!("pods/{pod}");
    b.is(&path, |pod| pod["metadata"].get("deletionTimestamp").is_some()).await;
    // Nobody counts it any more: the Job's finalizer goes, though the pod still runs.
    b.is(&path, |pod| pod["metadata"].get("finalizers").is_none()).await;
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "k8s-upgrade", "image": "none" }] } });
    b.post("jobs", json!({ "metadata": { "name": "one" }, "spec": { "template": template } })).await.with_code(201);
    b.new_pod("job-name=one", &[&pod]).await;
    b.stop_pod(&pod).await;
    b.gone(&path).await;
}

/// The Job stays until its pods are gone, held by a finalizer.
pub async fn foreground_takes_the_pods_before_the_job(b: &Bench<'_>) {
    let node = b.node("n").await;
    let pod = job(b).await;
    b.run_pod(&pod, &node).await;
    let deleted = b.delete("jobs/one", json!({ "propagationPolicy": "Foreground" })).await.with_code(200);
    assert_eq!((&deleted["kind"], &deleted["metadata"]["finalizers"]), (&json!("Job"), &json!(["foregroundDeletion"])));
    b.is(&format!("pods/{pod}"), |pod| pod["metadata"].get("deletionTimestamp").is_some()).await;
    b.get("jobs/one").await.with_code(200);
    b.stop_pod(&pod).await;
    b.gone("jobs/one").await;
}

/// A Job deleted without a policy leaves its pods behind, unlike every other owner.
pub async fn without_a_policy_a_jobs_pods_are_orphaned(b: &Bench<'_>) {
    let pod = job(b).await;
    // The collector orphans whom it knows, and may hear of a deleted Job before it hears of that Job's pods. It hears of pods in
    // their order: once it has taken away a later one whose owner never was, it knows this one.
    let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "none", "controller": true,
        "uid": "00000000-0000-0000-0000-000000000000" });
    b.post("pods", json!({ "metadata": { "name": "later", "ownerReferences": [owner] }, "spec": container() })).await.ok();
    b.gone("pods/later").await;
    let deleted = b.delete("jobs/one", json!({})).await.with_code(200);
    assert_eq!((&deleted["kind"], &deleted["metadata"]["finalizers"]), (&json!("Job"), &json!(["orphan"])));
    b.gone("jobs/one").await;
    let orphan = b.get(&format!("pods/{pod}")).await.ok();
    assert!(orphan["metadata"].get("ownerReferences").is_none(), "{}", orphan["metadata"]);
    assert!(orphan["metadata"].get("deletionTimestamp").is_none(), "{}", orphan["metadata"]);
}

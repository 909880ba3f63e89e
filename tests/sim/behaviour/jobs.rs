//! Jobs: the pod that one makes, how it is tried again, and what suspends it. How a Job ends is in `job_ends`.

use std::time::Duration;

use k8s_upgrade::plan::manifests::jobs;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::{Bench, condition, container, is_true, names, text, uid};

pub const PODS: &str = "batch.kubernetes.io/job-name=one";

/// A Job as the program makes them, of one container of the program's name; `spec` is put over it.
pub async fn job(b: &Bench<'_>, spec: Value) -> Value {
    let mut pod = container();
    pod["restartPolicy"] = json!("Never");
    let mut whole = json!({
        "backoffLimit": 2, "podReplacementPolicy": "Failed", "podFailurePolicy": jobs::pod_failure_policy(),
        "template": { "metadata": { "labels": { "app": "k8s-upgrade-chain" } }, "spec": pod },
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    b.post("jobs", json!({ "metadata": { "name": "one", "labels": { "app": "k8s-upgrade-chain" } }, "spec": whole })).await.ok()
}

/// The Job's one pod, running.
pub async fn running(b: &Bench<'_>, node: &str) -> String {
    let pod = b.new_pod(PODS, &[]).await;
    b.run_pod(&pod, node).await;
    pod
}

pub async fn one_makes_a_pod_of_its_own(b: &Bench<'_>) {
    let made = job(b, json!({ "podFailurePolicy": null, "podReplacementPolicy": null, "backoffLimit": null })).await;
    let spec = &made["spec"];
    for (field, default) in [
        ("backoffLimit", json!(6)),
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("suspend", json!(false)),
        ("completionMode", json!("NonIndexed")),
        ("manualSelector", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        assert_eq!(spec[field], default, "{field}");
    }
    assert_eq!(spec["selector"]["matchLabels"], json!({ "batch.kubernetes.io/controller-uid": uid(&made) }));
    let name = b.new_pod(PODS, &[]).await;
    let suffix = name.strip_prefix("one-").unwrap_or_else(|| panic!("{name}"));
    assert_eq!(suffix.len(), 5, "{name}");
    let pod = b.get(&format!("pods/{name}")).await.ok();
    assert_eq!(pod["metadata"]["generateName"], "one-");
    let labels = json!({
        "app": "k8s-upgrade-chain", "job-name": "one", "batch.kubernetes.io/job-name": "one",
        "controller-uid": uid(&made), "batch.kubernetes.io/controller-uid": uid(&made),
    });
    assert_eq!(pod["metadata"]["labels"], labels);
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": "one", "uid": uid(&made), "controller": true, "blockOwnerDeletion": true,
    });
    assert_eq!(pod["metadata"]["ownerReferences"], json!([owner]));
    assert_eq!(pod["metadata"]["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
    let active = b.is("jobs/one", |job| job["status"]["active"] == 1).await;
    let status = &active["status"];
    assert_eq!((&status["ready"], &status["terminating"], status.get("conditions")), (&json!(0), &json!(0), None), "{status}");
    assert!(!text(status, "/startTime").is_empty());
}

pub async fn ready_counts_pods_that_run(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    running(b, &node).await;
    b.is("jobs/one", |job| job["status"]["ready"] == 1 && job["status"]["active"] == 1).await;
}

/// Without its ServiceAccount the Job stays without a pod and says so in an event only; the pod comes once the account is there.
pub async fn without_an_account_there_is_no_pod(b: &Bench<'_>) {
    let mut pod = container();
    pod["restartPolicy"] = json!("Never");
    pod["serviceAccountName"] = json!("late");
    job(b, json!({ "template": { "spec": pod } })).await;
    b.always(2, "there is no pod", async || b.items(&format!("pods?labelSelector={PODS}")).await.is_empty()).await;
    let waiting = b.get("jobs/one").await.ok();
    assert!(waiting["status"].get("conditions").is_none() && waiting["status"].get("active").is_none(), "{}", waiting["status"]);
    // Why is told in an event, and nowhere else.
    let warnings = format!("events?fieldSelector=involvedObject.uid={},type=Warning", uid(&waiting));
    let warning = b.until("a warning", async || b.items(&warnings).await.into_iter().next()).await;
    assert_eq!((&warning["reason"], &warning["involvedObject"]["name"]), (&json!("FailedCreate"), &json!("one")));
    let says = warning["message"].as_str().unwrap();
    assert!(says.starts_with("Error creating: pods \"") && says.contains("serviceaccount \"late\" not found"), "{says}");
    let of_pods = format!("events?fieldSelector=involvedObject.name={},type=Warning", "one-none");
    assert!(b.items(&of_pods).await.is_empty());
    b.post("serviceaccounts", json!({ "metadata": { "name": "late" } })).await.ok();
    b.new_pod(PODS, &[]).await;
}

/// The pause before a new try doubles: 10 s after the first failure, 20 s after the second, counted from when the container ended by its
/// own `finishedAt`.
pub async fn a_failure_is_tried_again_after_a_pause(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    let mut known = vec![running(b, &node).await];
    for (failed, pause) in [(1, 10), (2, 20)] {
        let last = known.last().unwrap().clone();
        b.end_pod(&last, 10).await;
        let begun = Instant::now();
        b.is("jobs/one", |job| job["status"]["failed"] == failed).await;
        let others: Vec<&str> = known.iter().map(String::as_str).collect();
        let pod = b
            .within(40, "the next try", async || {
                let all = names(&b.items(&format!("pods?labelSelector={PODS}")).await);
                all.into_iter().find(|name| !others.contains(&name.as_str()))
            })
            .await;
        let took = begun.elapsed();
        let (least, most) = (Duration::from_secs(pause - 2), Duration::from_secs(pause + 8));
        assert!((least..most).contains(&took), "failure {failed} was tried again after {took:?}");
        b.run_pod(&pod, &node).await;
        known.push(pod);
    }
    let active = b.is("jobs/one", |job| job["status"]["active"] == 1).await;
    assert!(active["status"].get("conditions").is_none(), "{}", active["status"]);
}

/// A pod that was evicted and then failed is not counted as a failure, but its successor waits as long as after one.
pub async fn a_disruption_is_not_counted(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({ "backoffLimit": 0 })).await;
    let pod = running(b, &node).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    b.post(&format!("pods/{pod}/eviction"), eviction).await.with_code(201);
    b.stop_pod(&pod).await;
    let begun = Instant::now();
    let next = b.new_pod(PODS, &[&pod]).await;
    assert!((8..18).contains(&begun.elapsed().as_secs()), "after {:?}", begun.elapsed());
    b.run_pod(&next, &node).await;
    let active = b.is("jobs/one", |job| job["status"]["ready"] == 1).await;
    assert!(active["status"].get("failed").is_none(), "{}", active["status"]);
    assert!(active["status"].get("conditions").is_none(), "{}", active["status"]);
}

/// podReplacementPolicy Failed: never two pods at once. The successor waits until the deleted pod has ended, not only been told to.
pub async fn a_pod_that_ends_has_no_successor_yet(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    let pod = running(b, &node).await;
    b.delete(&format!("pods/{pod}"), json!({})).await.ok();
    b.is("jobs/one", |job| job["status"]["terminating"] == 1).await;
    b.always(3, "there is one pod", async || b.items(&format!("pods?labelSelector={PODS}")).await.len() == 1).await;
    b.stop_pod(&pod).await;
    // A deletion by hand is no disruption: exit 137 counts, and the next try has its pause.
    b.is("jobs/one", |job| job["status"]["failed"] == 1).await;
    b.gone(&format!("pods/{pod}")).await;
    b.new_pod(PODS, &[]).await;
}

/// By default a pod counts as failed as soon as it is told to end, and is replaced after the pause, ended or not: two may run at once.
pub async fn by_default_a_pod_is_replaced_while_it_ends(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({ "podReplacementPolicy": null, "podFailurePolicy": null })).await;
    let pod = running(b, &node).await;
    b.delete(&format!("pods/{pod}"), json!({})).await.ok();
    b.new_pod(PODS, &[&pod]).await;
    let status = b.is("jobs/one", |job| job["status"]["terminating"] == 1 && job["status"]["active"] == 1).await;
    assert_eq!(status["status"]["failed"], 1);
}

/// Suspended it has no pod; suspended later it loses its pods. Either way it has not failed.
pub async fn suspended_it_waits(b: &Bench<'_>) {
    job(b, json!({ "suspend": true })).await;
    let suspended = b.is("jobs/one", |job| is_true(job, "Suspended")).await;
    let reason = condition(&suspended, "Suspended");
    assert_eq!((&reason["reason"], &reason["message"]), (&json!("JobSuspended"), &json!("Job suspended")));
    assert!(suspended["status"].get("startTime").is_none());
    b.always(2, "there is no pod", async || b.items(&format!("pods?labelSelector={PODS}")).await.is_empty()).await;
    b.patch("jobs/one", json!({ "spec": { "suspend": false } })).await.ok();
    let pod = b.new_pod(PODS, &[]).await;
    let resumed = b.is("jobs/one", |job| job["status"]["active"] == 1).await;
    let reason = condition(&resumed, "Suspended");
    assert_eq!((&reason["status"], &reason["reason"]), (&json!("False"), &json!("JobResumed")));
    assert!(!text(&resumed, "/status/startTime").is_empty());
    b.patch("jobs/one", json!({ "spec": { "suspend": true } })).await.ok();
    b.gone(&format!("pods/{pod}")).await;
    let again = b.is("jobs/one", |job| is_true(job, "Suspended")).await;
    assert!(again["status"].get("failed").is_none() && again["status"].get("startTime").is_none(), "{}", again["status"]);
}

/// A Job's template is for good.
pub async fn its_template_cannot_be_changed(b: &Bench<'_>) {
    job(b, json!({})).await;
    let body = json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 1 } } } });
    let status = b.patch("jobs/one", body).await.with_code(422);
    assert_eq!(status["reason"], "Invalid");
    assert!(text(&status, "/message").contains("field is immutable"), "{status}");
    b.patch("jobs/one", json!({ "metadata": { "annotations": { "a": "b" } } })).await.with_code(200);
}

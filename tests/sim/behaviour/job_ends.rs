//! How a Job ends. The condition Complete or Failed comes last, when no pod of it runs any more; another says before what it will be.

use serde_json::{Value, json};

use super::jobs::{PODS, job, running};
use crate::bench::{Bench, condition, is_true, text};

/// The Job once it has failed, which must be for this reason.
async fn failed(b: &Bench<'_>, reason: &str, message: &str) -> Value {
    let failed = b.is("jobs/one", |job| is_true(job, "Failed")).await;
    for kind in ["FailureTarget", "Failed"] {
        let of = condition(&failed, kind);
        assert_eq!((text(of, "/reason"), text(of, "/message")), (reason, message), "{kind}");
    }
    assert!(failed["status"].get("completionTime").is_none() && failed["status"].get("active").is_none(), "{}", failed["status"]);
    failed
}

pub async fn success(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    let pod = running(b, &node).await;
    b.end_pod(&pod, 0).await;
    let done = b.is("jobs/one", |job| is_true(job, "Complete")).await;
    let status = &done["status"];
    for kind in ["SuccessCriteriaMet", "Complete"] {
        let of = condition(&done, kind);
        let says = "Reached expected number of succeeded pods";
        assert_eq!((text(of, "/reason"), text(of, "/message")), ("CompletionsReached", says), "{kind}");
    }
    assert_eq!((&status["succeeded"], &status["ready"], &status["terminating"]), (&json!(1), &json!(0), &json!(0)), "{status}");
    assert!(status.get("active").is_none() && status.get("failed").is_none(), "{status}");
    assert!(!text(status, "/completionTime").is_empty());
    // The pod stays, for its log, and is no longer tracked.
    b.is(&format!("pods/{pod}"), |pod| pod["metadata"].get("finalizers").is_none()).await;
}

/// An exit code that the policy names fails the Job at once, whatever backoffLimit says. The message names the pod and the rule.
pub async fn an_exit_code_that_fails_the_job(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    let pod = running(b, &node).await;
    b.end_pod(&pod, 3).await;
    let says = format!("Container k8s-upgrade for pod {}/{pod} failed with exit code 3 matching FailJob rule at index 1", b.ns);
    let failed = failed(b, "PodFailurePolicy", &says).await;
    assert_eq!(failed["status"]["failed"], 1);
    b.always(2, "there is no other pod", async || b.items(&format!("pods?labelSelector={PODS}")).await.len() == 1).await;
}

pub async fn too_many_failures(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({ "backoffLimit": 0 })).await;
    let pod = running(b, &node).await;
    b.end_pod(&pod, 10).await;
    let failed = failed(b, "BackoffLimitExceeded", "Job has reached the specified backoff limit").await;
    assert_eq!(failed["status"]["failed"], 1);
    // The pod that failed stays.
    b.get(&format!("pods/{pod}")).await.with_code(200);
}

/// First the condition FailureTarget and the pod's deletion; Failed comes only when the pod has ended, however long that takes.
pub async fn out_of_time_with_a_pod_that_runs(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({ "activeDeadlineSeconds": 6 })).await;
    let pod = running(b, &node).await;
    let target = b.is("jobs/one", |job| is_true(job, "FailureTarget")).await;
    assert_eq!(condition(&target, "FailureTarget")["reason"], "DeadlineExceeded");
    b.is(&format!("pods/{pod}"), |pod| pod["metadata"].get("deletionTimestamp").is_some()).await;
    b.is("jobs/one", |job| job["status"]["terminating"] == 1).await;
    b.always(3, "it has not failed yet", async || !is_true(&b.get("jobs/one").await.ok(), "Failed")).await;
    b.stop_pod(&pod).await;
    failed(b, "DeadlineExceeded", "Job was active longer than specified deadline").await;
}

/// A pod that never got a node goes at once, and the Job fails with it.
pub async fn out_of_time_with_a_pod_that_waits(b: &Bench<'_>) {
    job(b, json!({ "activeDeadlineSeconds": 2 })).await;
    let pod = b.new_pod(PODS, &[]).await;
    failed(b, "DeadlineExceeded", "Job was active longer than specified deadline").await;
    b.gone(&format!("pods/{pod}")).await;
}

/// Only a finished Job has a time to live; it takes its pods along.
pub async fn its_time_to_live(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({ "ttlSecondsAfterFinished": 2 })).await;
    let pod = running(b, &node).await;
    b.always(3, "it lives", async || b.get("jobs/one").await.code == 200).await;
    b.end_pod(&pod, 0).await;
    b.is("jobs/one", |job| is_true(job, "Complete")).await;
    b.gone("jobs/one").await;
    b.gone(&format!("pods/{pod}")).await;
}

/// A finished Job is not made active again by its pod's going.
pub async fn the_end_is_final(b: &Bench<'_>) {
    let node = b.node("n").await;
    job(b, json!({})).await;
    let pod = running(b, &node).await;
    b.end_pod(&pod, 0).await;
    b.is("jobs/one", |job| is_true(job, "Complete")).await;
    b.delete(&format!("pods/{pod}"), json!({})).await.ok();
    b.gone(&format!("pods/{pod}")).await;
    b.always(3, "there is no pod", async || b.items(&format!("pods?labelSelector={PODS}")).await.is_empty()).await;
    assert_eq!(b.get("jobs/one").await.ok()["status"]["succeeded"], 1);
}

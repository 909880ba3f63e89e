//! CronJobs. Nobody waits for a minute here: one whose last time is an hour ago has missed its times, and makes the latest up at once.

use serde_json::{Value, json};

use crate::bench::{Bench, container, is_true, names, text, uid};

const JOBS: &str = "jobs?labelSelector=app=cron";

async fn cronjob(b: &Bench<'_>, spec: Value) -> Value {
    let mut pod = container();
    pod["restartPolicy"] = json!("Never");
    let template = json!({
        "metadata": { "labels": { "app": "cron" }, "annotations": { "a": "b" } },
        "spec": { "template": { "metadata": { "labels": { "app": "pod" } }, "spec": pod } },
    });
    let mut whole = json!({ "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": template });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    b.post("cronjobs", json!({ "metadata": { "name": "cron" }, "spec": whole })).await.ok()
}

/// As if it had run last an hour before it was made.
async fn an_hour_ago(b: &Bench<'_>) {
    let made: jiff::Timestamp = text(&b.get("cronjobs/cron").await.ok(), "/metadata/creationTimestamp").parse().unwrap();
    let last = made - jiff::SignedDuration::from_hours(1);
    b.patch("cronjobs/cron/status", json!({ "status": { "lastScheduleTime": last.to_string() } })).await.ok();
}

/// The Job's name ends in the minutes since 1970 of its time; it bears the template's labels and annotations, and the time.
pub async fn its_job(b: &Bench<'_>) {
    let made = cronjob(b, json!({ "concurrencyPolicy": null })).await;
    assert_eq!((&made["spec"]["concurrencyPolicy"], &made["spec"]["suspend"]), (&json!("Allow"), &json!(false)));
    an_hour_ago(b).await;
    let jobs = b.until("the Job", async || Some(b.items(JOBS).await).filter(|jobs| !jobs.is_empty())).await;
    let job = &jobs[0];
    let at: jiff::Timestamp =
        text(job, "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp").parse().unwrap();
    assert_eq!((at.as_second() % 60, text(job, "/metadata/name")), (0, format!("cron-{}", at.as_second() / 60).as_str()));
    assert_eq!((&job["metadata"]["labels"], &job["metadata"]["annotations"]["a"]), (&json!({ "app": "cron" }), &json!("b")));
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "cron", "uid": uid(&made), "controller": true, "blockOwnerDeletion": true,
    });
    assert_eq!(job["metadata"]["ownerReferences"], json!([owner]));
    let cron = b.is("cronjobs/cron", |cron| cron["status"]["active"].as_array().is_some_and(|active| active.len() == 1)).await;
    assert_eq!(text(&cron, "/status/lastScheduleTime").parse::<jiff::Timestamp>().unwrap(), at);
    assert_eq!(cron["status"]["active"][0]["name"], job["metadata"]["name"]);
}

/// Forbid: while a Job of it is active no other is made; the latest time that was missed is made up for when the Job ends, without waiting
/// for the next.
pub async fn forbid_waits_for_the_active_one(b: &Bench<'_>) {
    let node = b.node("n").await;
    cronjob(b, json!({})).await;
    an_hour_ago(b).await;
    let first = names(&b.until("the Job", async || Some(b.items(JOBS).await).filter(|jobs| !jobs.is_empty())).await).remove(0);
    let pod = b.new_pod(&format!("job-name={first}"), &[]).await;
    b.run_pod(&pod, &node).await;
    // Over the next full minute.
    let minutes = |name: &str| name.strip_prefix("cron-").unwrap().parse::<i64>().unwrap();
    let now: jiff::Timestamp = crate::kubelet::now(b).await.parse().unwrap();
    let left = (minutes(&first) + 1) * 60 + 3 - now.as_second();
    b.always(left.unsigned_abs(), "there is one Job", async || b.items(JOBS).await.len() == 1).await;
    b.end_pod(&pod, 0).await;
    b.is(&format!("jobs/{first}"), |job| is_true(job, "Complete")).await;
    let jobs = b.until("the next Job", async || Some(b.items(JOBS).await).filter(|jobs| jobs.len() == 2)).await;
    let next = names(&jobs).into_iter().find(|name| *name != first).unwrap();
    assert_eq!(minutes(&next), minutes(&first) + 1);
}

pub async fn suspended_it_makes_none(b: &Bench<'_>) {
    cronjob(b, json!({ "suspend": true })).await;
    an_hour_ago(b).await;
    b.always(3, "there is no Job", async || b.items(JOBS).await.is_empty()).await;
    // What was missed meanwhile is made up for.
    b.patch("cronjobs/cron", json!({ "spec": { "suspend": false } })).await.ok();
    b.until("the Job", async || (b.items(JOBS).await.len() == 1).then_some(())).await;
}

/// With a deadline, what was missed longer ago is left out.
pub async fn a_deadline_forgets_what_was_missed(b: &Bench<'_>) {
    let january = json!({ "schedule": "0 0 1 1 *", "startingDeadlineSeconds": 60 });
    cronjob(b, january).await;
    let last = json!({ "status": { "lastScheduleTime": "2020-01-01T00:00:00Z" } });
    b.patch("cronjobs/cron/status", last.clone()).await.ok();
    b.always(3, "there is no Job", async || b.items(JOBS).await.is_empty()).await;
    b.patch("cronjobs/cron", json!({ "spec": { "startingDeadlineSeconds": null } })).await.ok();
    b.until("the Job", async || (b.items(JOBS).await.len() == 1).then_some(())).await;
}

/// Its Jobs go with it.
pub async fn deleted_it_takes_its_jobs(b: &Bench<'_>) {
    cronjob(b, json!({})).await;
    an_hour_ago(b).await;
    let job = names(&b.until("the Job", async || Some(b.items(JOBS).await).filter(|jobs| !jobs.is_empty())).await).remove(0);
    b.delete("cronjobs/cron", json!({})).await.ok();
    b.gone(&format!("jobs/{job}")).await;
}

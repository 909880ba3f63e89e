//! Watches: what they tell, in which order, and how they end.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::{Bench, text, version};

async fn list_version(b: &Bench<'_>, path: &str) -> String {
    version(&b.get(path).await.ok()).to_owned()
}

fn number(object: &Value) -> u64 {
    version(object).parse().unwrap()
}

pub async fn events_come_in_order_from_the_lists_version(b: &Bench<'_>) {
    b.post("secrets", json!({ "metadata": { "name": "before" } })).await.ok();
    let from = list_version(b, "secrets").await;
    // What happens before the watch is opened is in it, too.
    let made = b.post("secrets", json!({ "metadata": { "name": "one" } })).await.ok();
    let patched = b.patch("secrets/one", json!({ "data": { "a": "YQ==" } })).await.ok();
    let mut watch = b.watch(&format!("secrets?resourceVersion={from}")).await;
    b.delete("secrets/one", json!({})).await.ok();
    assert_eq!(watch.expect("ADDED", "one").await, made);
    assert_eq!(watch.expect("MODIFIED", "one").await, patched);
    let deleted = watch.expect("DELETED", "one").await;
    assert_eq!(deleted["data"], patched["data"], "the object as it was last");
    assert!(number(&deleted) > number(&patched), "with the version of its deletion");
    // A write that changed nothing is no event.
    b.patch("secrets/before", json!({})).await.ok();
    b.post("secrets", json!({ "metadata": { "name": "two" } })).await.ok();
    watch.expect("ADDED", "two").await;
}

/// Without a version everything that exists comes first, as ADDED.
pub async fn without_a_version_it_begins_with_what_is(b: &Bench<'_>) {
    b.post("leases", json!({ "metadata": { "name": "one" } })).await.ok();
    let mut watch = b.watch("leases").await;
    watch.expect("ADDED", "one").await;
    b.post("leases", json!({ "metadata": { "name": "two" } })).await.ok();
    watch.expect("ADDED", "two").await;
}

/// The event is DELETED and bears the object as it was when it still was in the selection, but the version of the change.
pub async fn what_leaves_the_selection_is_deleted(b: &Bench<'_>) {
    let body = json!({ "metadata": { "name": "one", "labels": { "app": "web" } } });
    b.post("secrets", body).await.ok();
    let from = list_version(b, "secrets?labelSelector=app=web").await;
    let mut watch = b.watch(&format!("secrets?labelSelector=app=web&resourceVersion={from}")).await;
    let out = b.patch("secrets/one", json!({ "metadata": { "labels": { "app": "db" } } })).await.ok();
    let left = watch.expect("DELETED", "one").await;
    assert_eq!((&left["metadata"]["labels"]["app"], number(&left)), (&json!("web"), number(&out)));
    b.patch("secrets/one", json!({ "data": { "a": "YQ==" } })).await.ok();
    let back = b.patch("secrets/one", json!({ "metadata": { "labels": { "app": "web" } } })).await.ok();
    assert_eq!(watch.expect("ADDED", "one").await, back);
}

/// A drain's own watch: a pod is ADDED when it is bound to the node.
pub async fn pods_of_a_node(b: &Bench<'_>) {
    let (node, other) = (b.node("n").await, b.node("m").await);
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName={node}");
    let from = list_version(b, &path).await;
    let mut watch = b.watch(&format!("{path}&resourceVersion={from}")).await;
    b.pod("elsewhere", "web").await;
    b.pod("one", "web").await;
    b.run_pod("elsewhere", &other).await;
    b.run_pod("one", &node).await;
    watch.expect("ADDED", "one").await;
    watch.expect("MODIFIED", "one").await;
    b.delete("pods/one", json!({})).await.ok();
    let ending = watch.expect("MODIFIED", "one").await;
    assert!(!text(&ending, "/metadata/deletionTimestamp").is_empty());
    b.delete("pods/one", json!({ "gracePeriodSeconds": 0 })).await.ok();
    let gone = loop {
        // The last grace period may be told on its own.
        match watch.next().await.expect("the watch ended") {
            ("MODIFIED", _) => {}
            (kind, object) => break (kind, object),
        }
    };
    assert_eq!((gone.0, text(&gone.1, "/metadata/name")), ("DELETED", "one"));
}

/// The program's own namespace, which nobody else's changes are in the way of.
pub async fn one_namespace(b: &Bench<'_>) {
    let path = format!("/api/v1/namespaces?fieldSelector=metadata.name={}", b.ns);
    let list = b.get(&path).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let mut watch = b.watch(&format!("{path}&resourceVersion={}", version(&list))).await;
    b.patch(&format!("/api/v1/namespaces/{}", b.ns), json!({ "metadata": { "annotations": { "a": "b" } } })).await.ok();
    assert_eq!(watch.expect("MODIFIED", &b.ns).await["metadata"]["annotations"]["a"], "b");
}

/// Nodes, Jobs and CronJobs tell what becomes of them, too.
pub async fn of_what_a_person_watches(b: &Bench<'_>) {
    let node = b.node("n").await;
    let path = format!("/api/v1/nodes?fieldSelector=metadata.name={node}");
    let from = list_version(b, &path).await;
    let mut watch = b.watch(&format!("{path}&resourceVersion={from}")).await;
    b.patch(&format!("/api/v1/nodes/{node}"), json!({ "metadata": { "annotations": { "a": "b" } } })).await.ok();
    loop {
        let told = watch.expect("MODIFIED", &node).await;
        if told["metadata"]["annotations"]["a"] == "b" {
            break;
        }
    }
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": crate::bench::container()["containers"] } });
    let job = json!({ "suspend": true, "template": template });
    let cronjob = json!({ "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": job } });
    for (resource, spec) in [("jobs", job), ("cronjobs", cronjob)] {
        let from = list_version(b, resource).await;
        let mut watch = b.watch(&format!("{resource}?resourceVersion={from}")).await;
        b.post(resource, json!({ "metadata": { "name": "one" }, "spec": spec })).await.ok();
        assert_eq!(watch.expect("ADDED", "one").await["spec"]["suspend"], true);
    }
}

/// What a drain that was refused waits for.
pub async fn a_budget_says_when_it_allows_more(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "web").await;
    b.run_pod("one", &node).await;
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } });
    b.post("poddisruptionbudgets", json!({ "metadata": { "name": "guard" }, "spec": spec })).await.ok();
    let judged = b.is("poddisruptionbudgets/guard", |guard| guard["status"]["observedGeneration"] == 1).await;
    assert_eq!(judged["status"]["disruptionsAllowed"], 0);
    let from = list_version(b, "/apis/policy/v1/poddisruptionbudgets").await;
    let mut watch = b.watch(&format!("poddisruptionbudgets?resourceVersion={from}")).await;
    b.pod("two", "web").await;
    b.run_pod("two", &node).await;
    let mut guard = watch.expect("MODIFIED", "guard").await;
    while guard["status"]["disruptionsAllowed"] != 1 {
        guard = watch.expect("MODIFIED", "guard").await;
    }
    assert_eq!((&guard["status"]["expectedPods"], &guard["status"]["currentHealthy"]), (&json!(2), &json!(2)));
}

pub async fn its_timeout_ends_it_cleanly(b: &Bench<'_>) {
    let from = list_version(b, "secrets").await;
    let begun = Instant::now();
    let mut watch = b.watch(&format!("secrets?resourceVersion={from}&timeoutSeconds=2")).await;
    assert!(watch.next().await.is_none());
    let took = begun.elapsed().as_secs_f64();
    assert!((1.5..10.0).contains(&took), "it ended after {took} s");
}

/// A bookmark says up to where all is told. It comes at most once a minute, and about 2 s before the watch's own end, which a
/// server that is pressed may miss; and only when its version is past the one that the watch began with.
pub async fn a_bookmark_comes_once_a_minute(b: &Bench<'_>) {
    let from = list_version(b, "secrets").await;
    let mut watch = b.watch(&format!("secrets?resourceVersion={from}&timeoutSeconds=240&allowWatchBookmarks=true")).await;
    let made = b.post("secrets", json!({ "metadata": { "name": "one" } })).await.ok();
    watch.expect("ADDED", "one").await;
    let (kind, bookmark) = watch.next_within(90).await.expect("the watch ended without a bookmark");
    assert_eq!(kind, "BOOKMARK", "{bookmark}");
    assert!(number(&bookmark) >= number(&made), "{bookmark}");
}

/// HTTP 200, and in the stream one ERROR event with a Status of 410, after which the stream ends.
pub async fn a_version_too_old_is_410_in_the_stream(b: &Bench<'_>) {
    let mut watch = b.watch("secrets?resourceVersion=1").await;
    let (kind, status) = watch.next().await.expect("the watch ended without a word");
    assert_eq!((kind, &status["code"], text(&status, "/reason")), ("ERROR", &json!(410), "Expired"), "{status}");
    assert!(text(&status, "/message").starts_with("too old resource version: 1 ("), "{status}");
    assert!(watch.next().await.is_none());
}

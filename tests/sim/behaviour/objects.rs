//! Create, read, list and delete, and how they are refused.

use serde_json::json;

use crate::bench::{Bench, names, text, uid, version};

/// ConfigMap, Secret, Lease and namespace have no generation; a Job and a Deployment do.
pub async fn a_new_object_has_uid_version_and_time(b: &Bench<'_>) {
    let made = b.post("configmaps", json!({ "metadata": { "name": "one" }, "data": { "key": "value" } })).await.with_code(201);
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    assert_eq!(text(&made, "/metadata/namespace"), b.ns);
    assert_eq!(uid(&made).len(), 36);
    assert!(version(&made).parse::<u64>().unwrap() > 0);
    assert!(text(&made, "/metadata/creationTimestamp").ends_with('Z'));
    assert!(made["metadata"].get("generation").is_none());
    let read = b.get("configmaps/one").await.with_code(200);
    assert_eq!(read, made);
}

/// The objects of a list have neither kind nor apiVersion; the list says them once.
pub async fn a_list_says_its_kind_and_its_items_do_not(b: &Bench<'_>) {
    for name in ["b", "a"] {
        b.post("configmaps", json!({ "metadata": { "name": name } })).await.ok();
    }
    let newest = b.post("configmaps", json!({ "metadata": { "name": "c" } })).await.ok();
    let list = b.get("configmaps").await.with_code(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    let items = list["items"].as_array().unwrap();
    assert_eq!(names(items), ["a", "b", "c", "kube-root-ca.crt"], "in the order of their names");
    assert!(items.iter().all(|item| item.get("kind").is_none() && item.get("apiVersion").is_none()), "{items:?}");
    let of_list: u64 = version(&list).parse().unwrap();
    assert!(of_list >= version(&newest).parse().unwrap(), "a list is never older than what was written before it");
}

pub async fn what_is_not_there_is_404(b: &Bench<'_>) {
    let status = b.get("configmaps/x").await.refused(404, "NotFound", "configmaps \"x\" not found");
    assert_eq!(status["details"], json!({ "name": "x", "kind": "configmaps" }));
    let status = b.get("jobs/x").await.refused(404, "NotFound", "jobs.batch \"x\" not found");
    assert_eq!(status["details"], json!({ "name": "x", "group": "batch", "kind": "jobs" }));
    b.get("leases/x").await.refused(404, "NotFound", "leases.coordination.k8s.io \"x\" not found");
    b.patch("configmaps/x", json!({ "data": {} })).await.refused(404, "NotFound", "configmaps \"x\" not found");
    b.delete("leases/x", json!({})).await.refused(404, "NotFound", "leases.coordination.k8s.io \"x\" not found");
    b.get("nodes/x").await.refused(404, "NotFound", "nodes \"x\" not found");
    b.get("namespaces/x").await.refused(404, "NotFound", "namespaces \"x\" not found");
}

/// Reading in a namespace that does not exist misses the object, listing finds nothing, and only creating misses the namespace.
pub async fn a_missing_namespace_is_missed_only_by_a_create(b: &Bench<'_>) {
    b.get("/api/v1/namespaces/x/pods/y").await.refused(404, "NotFound", "pods \"y\" not found");
    assert!(b.items("/api/v1/namespaces/x/pods").await.is_empty());
    let body = json!({ "metadata": { "name": "y" } });
    b.post("/api/v1/namespaces/x/configmaps", body).await.refused(404, "NotFound", "namespaces \"x\" not found");
}

pub async fn what_exists_is_409(b: &Bench<'_>) {
    let body = json!({ "metadata": { "name": "one" } });
    b.post("configmaps", body.clone()).await.ok();
    let status = b.post("configmaps", body).await.refused(409, "AlreadyExists", "configmaps \"one\" already exists");
    assert_eq!(status["details"], json!({ "name": "one", "kind": "configmaps" }));
    let body = json!({ "metadata": { "name": "one" }, "spec": { "holderIdentity": "me" } });
    b.post("leases", body.clone()).await.ok();
    b.post("leases", body).await.refused(409, "AlreadyExists", "leases.coordination.k8s.io \"one\" already exists");
}

pub async fn what_is_being_deleted_still_takes_its_name(b: &Bench<'_>) {
    let body = json!({ "metadata": { "name": "one", "finalizers": ["example.com/wait"] } });
    b.post("configmaps", body.clone()).await.ok();
    b.delete("configmaps/one", json!({})).await.ok();
    let says = "object is being deleted: configmaps \"one\" already exists";
    b.post("configmaps", body).await.refused(409, "AlreadyExists", says);
}

pub async fn a_dry_run_creates_and_deletes_nothing(b: &Bench<'_>) {
    let body = json!({ "metadata": { "name": "one" } });
    let made = b.post("configmaps?dryRun=All", body.clone()).await.with_code(201);
    assert!(!uid(&made).is_empty(), "it has a UID, which nobody will see again");
    assert_eq!(version(&made), "", "and no resourceVersion");
    b.get("configmaps/one").await.with_code(404);
    let real = b.post("configmaps", body.clone()).await.ok();
    b.post("configmaps?dryRun=All", body).await.refused(409, "AlreadyExists", "configmaps \"one\" already exists");
    b.patch("configmaps/one?dryRun=All", json!({ "data": { "a": "b" } })).await.ok();
    b.delete("configmaps/one", json!({ "dryRun": ["All"] })).await.with_code(200);
    // Where there are options, those of the address are not read: this one is meant.
    b.post("configmaps", json!({ "metadata": { "name": "two" } })).await.with_code(201);
    b.delete("configmaps/two?dryRun=All", json!({})).await.with_code(200);
    b.get("configmaps/two").await.with_code(404);
    assert_eq!(b.get("configmaps/one").await.ok(), real);
}

/// Unknown fields are dropped in silence (but for a header), names and types are checked.
pub async fn what_cannot_be_is_422_or_400(b: &Bench<'_>) {
    let made = b.post("configmaps", json!({ "metadata": { "name": "one" }, "nonsense": 1 })).await.with_code(201);
    assert!(made.get("nonsense").is_none());
    let status = b.post("configmaps", json!({ "metadata": { "name": "Not A Name" } })).await.with_code(422);
    assert_eq!(status["reason"], "Invalid");
    assert!(
        text(&status, "/message").starts_with("ConfigMap \"Not A Name\" is invalid: metadata.name: Invalid value: "),
        "{status}"
    );
    let status = b.post("configmaps", json!({ "metadata": { "name": "two" }, "data": 3 })).await.with_code(400);
    assert_eq!(status["reason"], "BadRequest", "{status}");
}

pub async fn a_secret_is_base64_both_ways(b: &Bench<'_>) {
    let body = json!({ "metadata": { "name": "one" }, "data": { "key": "dmFsdWU=" }, "stringData": { "other": "text" } });
    let made = b.post("secrets", body).await.ok();
    assert_eq!(made["data"], json!({ "key": "dmFsdWU=", "other": "dGV4dA==" }));
    assert_eq!((made.get("stringData"), &made["type"]), (None, &json!("Opaque")));
    assert_eq!(b.get("secrets/one").await.ok(), made);
}

/// A Lease's times keep their microseconds, and the API server has no opinion on any of them.
pub async fn a_lease_is_kept_as_written(b: &Bench<'_>) {
    let spec = json!({
        "holderIdentity": "me", "leaseDurationSeconds": 60,
        "renewTime": "2026-01-02T03:04:05.000006Z", "acquireTime": "2026-01-02T03:04:05.000000Z",
    });
    b.post("leases", json!({ "metadata": { "name": "one" }, "spec": spec })).await.ok();
    assert_eq!(b.get("leases/one").await.ok()["spec"], spec);
}

/// An own label, `spec.finalizers`, and what controllers put into it; while it ends, nothing new comes in.
pub async fn a_namespace_ends_when_it_is_empty(b: &Bench<'_>) {
    let made = b.get(&format!("namespaces/{}", b.ns)).await.ok();
    assert_eq!(made["metadata"]["labels"], json!({ "kubernetes.io/metadata.name": b.ns }));
    assert_eq!((&made["spec"], &made["status"]), (&json!({ "finalizers": ["kubernetes"] }), &json!({ "phase": "Active" })));
    b.there("configmaps/kube-root-ca.crt").await;
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/wait"] } });
    b.post("configmaps", held).await.ok();
    let namespace = format!("namespaces/{}", b.ns);
    let deleted = b.delete(&namespace, json!({})).await.with_code(200);
    assert_eq!((&deleted["kind"], &deleted["status"]["phase"]), (&json!("Namespace"), &json!("Terminating")));
    let says = format!(
        "configmaps \"two\" is forbidden: unable to create new content in namespace {} because it is being terminated",
        b.ns
    );
    let status = b.post("configmaps", json!({ "metadata": { "name": "two" } })).await.refused(403, "Forbidden", &says);
    let cause = json!({
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {} is being terminated", b.ns),
    });
    assert_eq!(status["details"]["causes"], json!([cause]));
    // What exists can still be changed.
    b.is("configmaps/held", |held| held["metadata"].get("deletionTimestamp").is_some()).await;
    b.patch("configmaps/held", json!({ "metadata": { "finalizers": null } })).await.ok();
    b.gone(&namespace).await;
}

/// An Event of what has no namespace lies in `default`; one that says when it happened must say who tells what.
pub async fn an_event_lies_with_its_object_and_of_a_node_in_default(b: &Bench<'_>) {
    let event = |name: &str, about: serde_json::Value| {
        json!({
            "metadata": { "name": name }, "involvedObject": about, "reason": "StepDone", "message": "drain: done", "type": "Normal",
            "eventTime": "2026-11-22T12:00:00.000000Z", "action": "Upgrade", "reportingComponent": "k8s-upgrade",
            "reportingInstance": "a-pod", "source": { "component": "k8s-upgrade" }, "count": 1,
            "firstTimestamp": "2026-11-22T12:00:00Z", "lastTimestamp": "2026-11-22T12:00:00Z",
        })
    };
    let node = json!({ "apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n" });
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "namespace": b.ns });
    let made = b.post("events", event("of-a-job", job.clone())).await.with_code(201);
    assert_eq!((text(&made, "/reason"), text(&made, "/reportingComponent")), ("StepDone", "k8s-upgrade"));
    let found = b.items("events?fieldSelector=involvedObject.uid=u").await;
    assert_eq!(names(&found), ["of-a-job"]);
    let name = format!("{}-of-a-node", b.ns);
    b.post("/api/v1/namespaces/default/events", event(&name, node.clone())).await.with_code(201);
    b.delete(&format!("/api/v1/namespaces/default/events/{name}"), json!({})).await.ok();
    let elsewhere = "Event \"x\" is invalid: involvedObject.namespace: Invalid value: \"\": does not match event.namespace";
    b.post("events", event("x", node)).await.refused(422, "Invalid", elsewhere);
    let mut silent = event("x", job.clone());
    silent["action"] = json!("");
    b.post("events", silent).await.refused(422, "Invalid", "Event \"x\" is invalid: action: Required value");
    let mut long = event("x", job);
    long["message"] = json!("x".repeat(1025));
    let says = "Event \"x\" is invalid: message: Invalid value: \"\": can have at most 1024 characters";
    b.post("events", long).await.refused(422, "Invalid", says);
}

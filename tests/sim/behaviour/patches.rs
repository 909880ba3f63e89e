//! Merge patches, with and without a resourceVersion as guard.

use serde_json::{Value, json};

use crate::bench::{Bench, version};

fn conflict(what: &str) -> String {
    format!(
        "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version and try again"
    )
}

pub async fn maps_are_merged_and_null_deletes(b: &Bench<'_>) {
    let metadata = json!({ "name": "one", "annotations": { "a": "1", "b": "2" }, "labels": { "l": "1" } });
    b.post("configmaps", json!({ "metadata": metadata, "data": { "x": "1", "y": "2" } })).await.ok();
    let body = json!({ "metadata": { "annotations": { "a": null, "c": "3", "never": null } }, "data": { "x": null } });
    let patched = b.patch("configmaps/one", body).await.with_code(200);
    assert_eq!(patched["metadata"]["annotations"], json!({ "b": "2", "c": "3" }));
    assert_eq!((&patched["metadata"]["labels"], &patched["data"]), (&json!({ "l": "1" }), &json!({ "y": "2" })));
    let patched = b.patch("configmaps/one", json!({ "metadata": { "annotations": { "b": null, "c": null } } })).await.ok();
    assert!(patched["metadata"].get("annotations").is_none(), "an empty map is none");
}

/// Lists are replaced whole.
pub async fn lists_are_replaced(b: &Bench<'_>) {
    b.post("configmaps", json!({ "metadata": { "name": "one", "finalizers": ["example.com/a", "example.com/b"] } })).await.ok();
    let patched = b.patch("configmaps/one", json!({ "metadata": { "finalizers": ["example.com/c"] } })).await.ok();
    assert_eq!(patched["metadata"]["finalizers"], json!(["example.com/c"]));
}

pub async fn an_old_version_is_a_conflict(b: &Bench<'_>) {
    let made = b.post("leases", json!({ "metadata": { "name": "one" }, "spec": { "holderIdentity": "me" } })).await.ok();
    let guarded =
        |holder: &str, version: &str| json!({ "metadata": { "resourceVersion": version }, "spec": { "holderIdentity": holder } });
    let mine = b.patch("leases/one", guarded("us", version(&made))).await.with_code(200);
    assert!(version(&mine).parse::<u64>().unwrap() > version(&made).parse().unwrap());
    let says = conflict("leases.coordination.k8s.io \"one\"");
    let status = b.patch("leases/one", guarded("them", version(&made))).await.refused(409, "Conflict", &says);
    assert_eq!(status["details"], json!({ "name": "one", "group": "coordination.k8s.io", "kind": "leases" }));
    // Even if it would change nothing.
    b.patch("leases/one", guarded("us", version(&made))).await.refused(409, "Conflict", &says);
    assert_eq!(b.get("leases/one").await.ok(), mine);
    // Where keys of two writers stand side by side, the second is told of the first.
    let made = b.post("configmaps", json!({ "metadata": { "name": "keys" } })).await.ok();
    let adds = |key: &str, version: &str| json!({ "metadata": { "resourceVersion": version }, "data": { key: "k" } });
    b.patch("configmaps/keys", adds("a", version(&made))).await.ok();
    b.patch("configmaps/keys", adds("b", version(&made))).await.refused(409, "Conflict", &conflict("configmaps \"keys\""));
    assert_eq!(b.get("configmaps/keys").await.ok()["data"], json!({ "a": "k" }));
    // A version that was never this object's is a conflict, too. Without one nothing guards.
    b.patch("leases/one", guarded("them", "1")).await.refused(409, "Conflict", &says);
    b.patch("leases/one", json!({ "spec": { "holderIdentity": "them" } })).await.ok();
}

/// A dry run says whether it would be written, and whether under that version.
pub async fn a_secret_is_guarded_and_can_be_probed(b: &Bench<'_>) {
    let made = b.post("secrets", json!({ "metadata": { "name": "one" }, "data": { "key": "YQ==", "other": "Yg==" } })).await.ok();
    let probe = |version: &str| json!({ "metadata": { "resourceVersion": version } });
    b.patch("secrets/one?dryRun=All", probe(version(&made))).await.with_code(200);
    let write = |version: &str| json!({ "metadata": { "resourceVersion": version }, "data": { "key": "Yw==", "more": "ZA==" } });
    let written = b.patch("secrets/one", write(version(&made))).await.with_code(200);
    assert_eq!(written["data"], json!({ "key": "Yw==", "other": "Yg==", "more": "ZA==" }));
    let says = conflict("secrets \"one\"");
    b.patch("secrets/one", write(version(&made))).await.refused(409, "Conflict", &says);
    b.patch("secrets/one?dryRun=All", probe(version(&made))).await.refused(409, "Conflict", &says);
    assert_eq!(b.get("secrets/one").await.ok(), written);
}

pub async fn a_namespace_and_a_node_are_guarded_alike(b: &Bench<'_>) {
    let path = format!("namespaces/{}", b.ns);
    let made = b.get(&path).await.ok();
    let claim =
        |version: &str| json!({ "metadata": { "resourceVersion": version, "annotations": { "example.com/claim": "me" } } });
    let claimed = b.patch(&path, claim(version(&made))).await.ok();
    let says = conflict(&format!("namespaces \"{}\"", b.ns));
    b.patch(&path, claim(version(&made))).await.refused(409, "Conflict", &says);
    assert_eq!(claimed["metadata"]["annotations"], json!({ "example.com/claim": "me" }));
    // A kubelet's heartbeat makes a new version of the node.
    let node = b.node("n").await;
    let read = b.get(&format!("nodes/{node}")).await.ok();
    b.patch(&format!("nodes/{node}/status"), json!({ "status": { "nodeInfo": { "kubeletVersion": "v1.36.3" } } })).await.ok();
    let says = conflict(&format!("nodes \"{node}\""));
    b.patch(&format!("nodes/{node}"), claim(version(&read))).await.refused(409, "Conflict", &says);
}

pub async fn one_that_changes_nothing_makes_no_version(b: &Bench<'_>) {
    let made = b.post("configmaps", json!({ "metadata": { "name": "one" }, "data": { "a": "b" } })).await.ok();
    for body in [json!({}), json!({ "data": { "a": "b" } }), json!({ "data": { "never": null } })] {
        let patched = b.patch("configmaps/one", body).await.with_code(200);
        assert_eq!(patched, made);
    }
}

/// `status` in a patch of the object is ignored, and everything else in a patch of its status.
pub async fn status_is_patched_apart(b: &Bench<'_>) {
    let node = b.node("n").await;
    let (path, status) = (format!("nodes/{node}"), format!("nodes/{node}/status"));
    let info = json!({ "status": { "nodeInfo": { "kubeletVersion": "v9" } }, "spec": { "unschedulable": true } });
    let patched = b.patch(&path, info.clone()).await.ok();
    assert_ne!(patched["status"]["nodeInfo"]["kubeletVersion"], "v9");
    assert_eq!(patched["spec"]["unschedulable"], true);
    b.patch(&path, json!({ "spec": { "unschedulable": null } })).await.ok();
    let patched = b.patch(&status, info).await.ok();
    assert_eq!(patched["status"]["nodeInfo"]["kubeletVersion"], "v9");
    assert!(patched["spec"].get("unschedulable").is_none());
}

/// Counted up by a change of the spec, and by nothing else.
pub async fn a_generation_counts_changes_of_the_spec(b: &Bench<'_>) {
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } });
    let made = b.post("poddisruptionbudgets", json!({ "metadata": { "name": "one" }, "spec": spec })).await.ok();
    assert_eq!(generation(&made), Some(1));
    let path = "poddisruptionbudgets/one";
    let patched = b.patch(path, json!({ "metadata": { "annotations": { "a": "b" } } })).await.ok();
    assert_eq!(generation(&patched), Some(1));
    let patched = b.patch(path, json!({ "spec": { "minAvailable": 2 } })).await.ok();
    assert_eq!(generation(&patched), Some(2));
    let seen = b.is(path, |budget| budget["status"]["observedGeneration"] == 2).await;
    assert_eq!(generation(&seen), Some(2));
}

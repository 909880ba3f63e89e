//! Our CronJobs, which nobody merges into another pipeline's.

use serde_json::{Value, json};

use super::{IMAGE, install, patch, post};
use crate::bench::Bench;

const CONTAINERS: &str = "/spec/jobTemplate/spec/template/spec/containers";

/// A merge as `kubectl apply` has it: what comes out of it is what is judged.
pub async fn our_container_is_merged_into_no_other_cronjob(b: &Bench<'_>) {
    install(b).await;
    let all = format!("/apis/batch/v1/namespaces/{}/cronjobs", b.ns);
    let theirs = json!({ "name": "kubectl", "image": "bitnami/kubectl:1" });
    let containers = |containers: Value| json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": containers } } } } });
    for name in ["k8s-version-check", "k8s-upgrade-watch"] {
        let path = format!("{all}/{name}");
        let detection = b.get(&path).await.ok();
        let ours = detection.pointer(CONTAINERS).unwrap()[0].clone();
        let try_of = |what, spec: Value| patch(what, &path, containers(spec));
        try_of("ours beside theirs", json!({ "containers": [theirs.clone(), ours.clone()] })).refused(b, "cronjobs").await;
        try_of("theirs before ours", json!({ "initContainers": [theirs.clone()] })).refused(b, "cronjobs").await;
        let mut newer = ours;
        newer["image"] = json!(IMAGE.replace("ab", "cd"));
        try_of("another build", json!({ "containers": [newer.clone()] })).accepted(b).await;
        // That pipeline's own affair.
        let mut alone = containers(json!({ "containers": [theirs.clone()] }));
        // It names our container.
        alone["spec"]["jobTemplate"]["spec"]["podFailurePolicy"] = Value::Null;
        patch("theirs alone", &path, alone).accepted(b).await;
        patch("suspended", &path, json!({ "spec": { "suspend": true } })).accepted(b).await;
        let mut other = json!({ "metadata": { "name": "other" }, "spec": detection["spec"] });
        *other.pointer_mut(CONTAINERS).unwrap() = json!([theirs.clone(), newer]);
        post("one of another name", &all, other).accepted(b).await;
    }
}

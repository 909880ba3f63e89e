//! Nodes, our namespace, ConfigMaps, and what a drain deletes or restarts.

use k8s_upgrade::plan::model::policy::{Runner, Surge, Unstick};
use serde_json::{Value, json};

use super::{IMAGE, Installed, Try, annotated, delete, dry_delete, install, install_with, mark, patch, post};
use crate::bench::{Bench, container, text};

pub async fn a_node_is_cordoned_and_marked_and_nothing_else(b: &Bench<'_>) {
    let Installed { chain, watch, .. } = install(b).await;
    let name = b.node("worker").await;
    let node = format!("nodes/{name}");
    let forbidden = [
        patch("a label", &node, json!({ "metadata": { "labels": { "node-role.kubernetes.io/control-plane": "" } } })),
        patch("a label that goes", &node, json!({ "metadata": { "labels": { "bench": null } } })),
        patch("a taint", &node, json!({ "spec": { "taints": [{ "key": "a", "effect": "NoExecute" }] } })),
        patch("a provider's id", &node, json!({ "spec": { "providerID": "aws:///i-1" } })),
        patch("its pods' network", &node, json!({ "spec": { "podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"] } })),
        patch("a finalizer", &node, json!({ "metadata": { "finalizers": ["a.b/c"] } })),
        patch(
            "an owner",
            &node,
            json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "Namespace", "name": "a", "uid": "b" }] } }),
        ),
        patch(
            "another's annotation",
            &node,
            json!({ "metadata": { "annotations": { "csi.volume.kubernetes.io/nodeid": "{}" } } }),
        ),
        patch("a mark that is a namespace's", &node, annotated("in-flight", json!("true"))),
        patch("a mark of no kind", &node, annotated("cordoned-by-x", json!("0badcafe"))),
        patch("a cordon without our mark", &node, json!({ "spec": { "unschedulable": true } })),
        patch("our mark without a cordon", &node, annotated("cordoned-by", json!("0badcafe"))),
    ];
    for one in &forbidden {
        one.refused(&chain, "nodes").await;
    }
    for one in [delete("its removal", &node), post("another node", "nodes", json!({ "metadata": { "name": "other" } }))] {
        one.not_granted(&chain).await;
    }
    patch("our cordon, by the watch", &node, cordon(json!(true), json!("0badcafe"))).not_granted(&watch).await;
    // As a run does it.
    let version = text(&b.get(&node).await.ok(), "/metadata/resourceVersion").to_owned();
    let mut ours = cordon(json!(true), json!("0badcafe"));
    ours["metadata"]["resourceVersion"] = json!(version);
    ours["metadata"]["annotations"][mark("former-versions")] = json!("kubelet=1.34.2-1.1");
    chain.patch(&node, ours).await.ok();
    patch("an uncordon that leaves our mark", &node, json!({ "spec": { "unschedulable": null } })).accepted(&chain).await;
    // The node's taint is a controller's, and comes while it is ours.
    b.is(&node, |node| node["spec"]["taints"].as_array().is_some_and(|taints| !taints.is_empty())).await;
    chain.patch(&node, annotated("changed-at", json!("2026-11-22T12:00:00Z"))).await.ok();
    chain.patch(&node, cordon(Value::Null, Value::Null)).await.ok();
    // What a person has cordoned stays a person's.
    b.patch(&node, json!({ "spec": { "unschedulable": true } })).await.ok();
    patch("an uncordon of what a person cordoned", &node, json!({ "spec": { "unschedulable": null } }))
        .refused(&chain, "nodes")
        .await;
    patch("our mark on what a person cordoned", &node, annotated("cordoned-by", json!("0badcafe")))
        .refused(&chain, "nodes")
        .await;
    // Nobody else is asked.
    for one in forbidden.iter().filter(|one| one.what != "a cordon without our mark") {
        let answer = one.dry(b).await;
        assert!(!text(&answer.body, "/message").contains("k8s-upgrade"), "{} is refused to everybody: {}", one.what, answer.body);
    }
}

const APPROVAL: &str = "1.34.7 5f3a21bc 2026-11-22T12:05:00Z 2026-12-06T12:05:00Z ann";

pub async fn of_namespaces_only_the_runs_marks_change(b: &Bench<'_>) {
    let Installed { chain, watch, backup, .. } = install(b).await;
    let ours = format!("namespaces/{}", b.ns);
    b.patch(&ours, annotated("local", json!("somebody"))).await.ok();
    b.patch(&ours, annotated("halted", json!("{}"))).await.ok();
    for one in [
        patch("its security", &ours, json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } })),
        patch("its label that goes", &ours, json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": null } } })),
        patch(
            "another's annotation",
            &ours,
            json!({ "metadata": { "annotations": { "scheduler.alpha.kubernetes.io/node-selector": "a=b" } } }),
        ),
        patch("a halt that is lifted", &ours, annotated("halted", Value::Null)),
        patch("a mark that is a node's", &ours, annotated("cordoned-by", json!("0badcafe"))),
        patch("what a person skips", &ours, annotated("skipped", json!("worker:k8s-node1"))),
        patch("what a person loses", &ours, annotated("acknowledged", json!("{}"))),
        patch("what a person approves", &ours, annotated("approved", json!(APPROVAL))),
        patch("who works by hand", &ours, annotated("local", json!("somebody else"))),
        patch("another image", &ours, annotated("image", json!("evil:1"))),
        patch("a finalizer", &ours, json!({ "metadata": { "finalizers": ["a.b/c"] } })),
    ] {
        one.refused(&chain, "namespace").await;
    }
    for one in [
        patch("another namespace", &format!("namespaces/{backup}"), annotated("target", json!("1.34.7"))),
        delete("its removal", &ours),
        post("another namespace", "namespaces", json!({ "metadata": { "name": "other" } })),
    ] {
        one.not_granted(&chain).await;
    }
    for (what, mark, value) in [
        ("an approval, by the watch", "approved", APPROVAL),
        ("a deferral, by the watch", "deferred", "1.34.7 0badcafe 2026-11-22T12:05:00Z"),
        ("a rest, by the watch", "resting", "{}"),
        ("what detection has seen, by the watch", "seen", "1.34.7=2026-11-22T12:05:00Z"),
    ] {
        patch(what, &ours, annotated(mark, json!(value))).refused(&watch, "namespace").await;
    }
    patch("a claim, by the watch", &ours, annotated("in-flight", json!("true"))).refused(&watch, "namespace").await;
    patch("another image, by the watch", &ours, annotated("image", json!("evil:1"))).refused(&watch, "namespace").await;
    // As a run does it: the claim, its end, and what the watch writes.
    let claim = json!({ mark("in-flight"): "true", mark("run-id"): "0badcafe", mark("target"): "1.34.7", mark("image"): IMAGE, mark("record-version"): "1", mark("skipped"): null });
    chain.patch(&ours, json!({ "metadata": { "annotations": claim } })).await.ok();
    watch.patch(&ours, annotated("taking-up", json!("k8s-upgrade-preflight-1-34-7"))).await.ok();
    watch.patch(&ours, annotated("reminded", json!("{}"))).await.ok();
    // What detection remembers; and an approval that is over goes with what waited by it, by either.
    chain.patch(&ours, annotated("found", json!("{}"))).await.ok();
    chain.patch(&ours, annotated("seen", json!("1.34.7=2026-11-22T12:05:00Z"))).await.ok();
    for account in [&chain, &watch] {
        b.patch(&ours, annotated("approved", json!(APPROVAL))).await.ok();
        chain.patch(&ours, annotated("deferred", json!("1.34.7 0badcafe 2026-11-22T12:05:00Z"))).await.ok();
        let gone = json!({ mark("approved"): null, mark("deferred"): null, mark("resting"): null });
        account.patch(&ours, json!({ "metadata": { "annotations": gone } })).await.ok();
    }
    // A run that was begun by hand gets its image with its first Job, which may be the watch's.
    watch.patch(&ours, annotated("image", json!(IMAGE))).await.ok();
    // The installed image changes, the run's does not: it is kept with every other write.
    b.patch(&ours, annotated("image", json!("before:1"))).await.ok();
    chain.patch(&ours, annotated("prepared", json!("0badcafe"))).await.ok();
    for account in [&chain, &watch] {
        patch("the image of a run that goes", &ours, annotated("image", Value::Null)).refused(account, "namespace").await;
        patch("the image of a run that changes", &ours, annotated("image", json!(IMAGE))).refused(account, "namespace").await;
    }
    let gone: serde_json::Map<String, Value> = [
        "in-flight",
        "run-id",
        "target",
        "image",
        "record-version",
        "prepared",
        "taking-up",
        "reminded",
        "local",
        "skipped",
        "acknowledged",
        "found",
        "seen",
    ]
    .iter()
    .map(|name| (mark(name), Value::Null))
    .collect();
    let left = chain.patch(&ours, json!({ "metadata": { "annotations": gone } })).await.ok();
    assert_eq!(left["metadata"]["annotations"], json!({ mark("halted"): "{}" }));
}

pub async fn of_config_maps_only_journals_and_new_host_keys(b: &Bench<'_>) {
    let Installed { chain, watch, .. } = install(b).await;
    let journal =
        |name: &str, label: &str| json!({ "metadata": { "name": name, "labels": { "app": label } }, "data": { "head": "{}" } });
    let known = "configmaps/k8s-upgrade-known-hosts";
    b.patch(known, json!({ "data": { "k8s-node1": "ssh-ed25519 AAAA" } })).await.ok();
    for account in [&chain, &watch] {
        for one in [
            post("a ConfigMap", "configmaps", json!({ "metadata": { "name": "other" } })),
            post("a journal by name alone", "configmaps", json!({ "metadata": { "name": "k8s-upgrade-journal-x" } })),
            post("a journal by label alone", "configmaps", journal("x", "k8s-upgrade-journal")),
            patch("the settings", "configmaps/k8s-upgrade-config", json!({ "data": { "config.yaml": "ssh-user: root" } })),
            patch("the alert rules", "configmaps/k8s-upgrade-alert-rules", json!({ "data": { "upgrade-gates.yaml": "" } })),
            patch("another host key", known, json!({ "data": { "k8s-node1": "ssh-ed25519 BBBB" } })),
            patch("a host key that goes", known, json!({ "data": { "k8s-node1": null } })),
            patch("host keys' label", known, json!({ "metadata": { "labels": { "app": "k8s-upgrade-journal" } } })),
        ] {
            one.refused(account, "config-maps").await;
        }
        for one in [delete("the settings' removal", "configmaps/k8s-upgrade-config"), delete("the host keys' removal", known)] {
            // The watch removes none at all.
            if std::ptr::eq(account, &watch) {
                one.not_granted(account).await;
            } else {
                one.refused(account, "config-maps").await;
            }
        }
        let elsewhere = "/api/v1/namespaces/kube-system/configmaps";
        patch("kubeadm's settings", &format!("{elsewhere}/kubeadm-config"), json!({ "data": {} })).not_granted(account).await;
        post("a ConfigMap elsewhere", elsewhere, journal("k8s-upgrade-journal-x", "k8s-upgrade-journal"))
            .not_granted(account)
            .await;
    }
    patch("a new host key, by the watch", known, json!({ "data": { "k8s-node2": "k" } })).refused(&watch, "config-maps").await;
    for (account, name) in [(&chain, "k8s-upgrade-journal-chain"), (&watch, "k8s-upgrade-journal-watch")] {
        account.post("configmaps", journal(name, "k8s-upgrade-journal")).await.with_code(201);
        let path = format!("configmaps/{name}");
        patch("a journal that loses its label", &path, json!({ "metadata": { "labels": { "app": null } } }))
            .refused(account, "config-maps")
            .await;
        account.patch(&path, json!({ "data": { "head": "{\"a\":1}" } })).await.ok();
    }
    // Whoever's they are, a run that begins removes those of old runs.
    delete("a journal", "configmaps/k8s-upgrade-journal-watch").not_granted(&watch).await;
    for name in ["k8s-upgrade-journal-chain", "k8s-upgrade-journal-watch"] {
        chain.delete(&format!("configmaps/{name}"), json!({})).await.ok();
    }
    chain.patch(known, json!({ "data": { "k8s-node2": "ssh-ed25519 CCCC" } })).await.ok();
}

/// A pod as a drain finds it. Its owner is of a version that nobody knows, so that the garbage collector does not miss it.
async fn stuck(b: &Bench<'_>, name: &str, owner: Option<&str>, annotations: Value) -> (String, Value) {
    let owners =
        owner.map(|kind| json!([{ "apiVersion": "apps/v9", "kind": kind, "name": "a", "uid": "b", "controller": true }]));
    let metadata = json!({ "name": name, "annotations": annotations, "ownerReferences": owners });
    let made = b.post("pods", json!({ "metadata": metadata, "spec": hardened() })).await.ok();
    (format!("pods/{name}"), json!({ "preconditions": { "uid": text(&made, "/metadata/uid") } }))
}

/// As restricted Pod Security wants it.
pub fn hardened() -> Value {
    let context = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" } });
    json!({ "containers": [{ "name": "a", "image": "none", "securityContext": context }] })
}

fn delete_with(what: &'static str, path: &str, options: &Value) -> Try {
    Try { body: options.clone(), ..delete(what, path) }
}

pub async fn a_pod_is_deleted_where_unsticking_would(b: &Bench<'_>) {
    let Installed { chain, watch, .. } = install(b).await;
    let opts_out = json!({ mark("unstick"): "never" });
    let (free, by_uid) = stuck(b, "of-a-replicaset", Some("ReplicaSet"), json!({})).await;
    delete("without its UID", &free).refused(&chain, "pods").await;
    for (name, owner, annotations) in [
        ("alone", None, json!({})),
        ("of-a-statefulset", Some("StatefulSet"), json!({})),
        ("of-a-daemonset", Some("DaemonSet"), json!({})),
        ("opts-out", Some("ReplicaSet"), opts_out),
    ] {
        let (path, options) = stuck(b, name, owner, annotations).await;
        delete_with("a pod that is not to be unstuck", &path, &options).refused(&chain, "pods").await;
        // A person may.
        assert_eq!(b.delete(&path, dry_delete(&options)).await.code, 200, "{path}");
    }
    delete_with("by the watch", &free, &by_uid).not_granted(&watch).await;
    delete_with("one of a ReplicaSet", &free, &by_uid).accepted(&chain).await;
}

pub async fn no_pod_is_deleted_where_unsticking_never_does(b: &Bench<'_>) {
    let Installed { chain, .. } = install_with(b, (Unstick::Never, Surge::Never), &[], &Runner::FirstWorker, &[]).await;
    let (path, options) = stuck(b, "of-a-replicaset", Some("ReplicaSet"), json!({})).await;
    delete_with("one of a ReplicaSet", &path, &options).not_granted(&chain).await;
}

pub async fn a_pod_is_deleted_by_force_where_its_namespace_is_named(b: &Bench<'_>) {
    let named = [b.ns.clone()];
    let Installed { chain, watch, .. } = install_with(b, (Unstick::Never, Surge::Never), &named, &Runner::FirstWorker, &[]).await;
    let (alone, by_uid) = stuck(b, "alone", None, json!({})).await;
    delete("without its UID", &alone).refused(&chain, "pods").await;
    delete_with("by the watch", &alone, &by_uid).not_granted(&watch).await;
    delete_with("one that nothing makes anew", &alone, &by_uid).accepted(&chain).await;
    let (path, options) = stuck(b, "of-a-statefulset", Some("StatefulSet"), json!({})).await;
    delete_with("one of a StatefulSet", &path, &options).accepted(&chain).await;
    for (name, owner, annotations) in
        [("of-a-daemonset", Some("DaemonSet"), json!({})), ("opts-out", Some("StatefulSet"), json!({ mark("unstick"): "never" }))]
    {
        let (path, options) = stuck(b, name, owner, annotations).await;
        delete_with("a pod that stays", &path, &options).refused(&chain, "pods").await;
    }
}

pub async fn no_pod_is_deleted_by_force_elsewhere(b: &Bench<'_>) {
    let named = [format!("{}-2", b.ns), "elsewhere".to_owned()];
    let Installed { chain, .. } = install_with(b, (Unstick::Never, Surge::Never), &named, &Runner::FirstWorker, &[]).await;
    for (name, owner) in [("alone", None), ("of-a-replicaset", Some("ReplicaSet")), ("of-a-statefulset", Some("StatefulSet"))] {
        let (path, options) = stuck(b, name, owner, json!({})).await;
        delete_with("a pod whose namespace is not named", &path, &options).refused(&chain, "pods").await;
    }
}

/// A Deployment that asks for this, and where it is.
async fn deployment(b: &Bench<'_>, name: &str, annotations: Value, over: Value) -> String {
    let labels = json!({ "app": name });
    let template = json!({ "metadata": { "labels": labels, "annotations": { "team": "web" } }, "spec": container() });
    let mut spec = json!({ "replicas": 1, "selector": { "matchLabels": labels }, "template": template });
    for (field, value) in over.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    b.post("deployments", json!({ "metadata": { "name": name, "annotations": annotations }, "spec": spec })).await.ok();
    format!("deployments/{name}")
}

fn restarted(at: Value) -> Value {
    let annotations = json!({ "kubectl.kubernetes.io/restartedAt": at });
    json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } })
}

pub async fn of_a_deployment_only_its_restart_changes(b: &Bench<'_>) {
    let Installed { chain, watch, .. } = install(b).await;
    let web = deployment(b, "web", json!({}), json!({})).await;
    let now = restarted(json!("2026-11-22T12:00:00Z"));
    let of_pod = |fields: Value| {
        let mut patch = now.clone();
        patch["spec"]["template"]["spec"] = fields;
        patch
    };
    let with = |pointer: &str, value: Value| {
        let mut patch = now.clone();
        let mut at = &mut patch;
        for field in pointer.split('/') {
            at = &mut at[field];
        }
        *at = value;
        patch
    };
    for (what, body) in [
        ("its image", of_pod(json!({ "containers": [{ "name": "k8s-upgrade", "image": "evil" }] }))),
        ("its account", of_pod(json!({ "serviceAccountName": "admin" }))),
        ("the host's network", of_pod(json!({ "hostNetwork": true }))),
        ("a volume of the host", of_pod(json!({ "volumes": [{ "name": "host", "hostPath": { "path": "/" } }] }))),
        ("its replicas", with("spec/replicas", json!(0))),
        ("a pause", with("spec/paused", json!(true))),
        ("its strategy", with("spec/strategy", json!({ "type": "Recreate", "rollingUpdate": null }))),
        ("its time to become ready", with("spec/minReadySeconds", json!(9))),
        ("its history", with("spec/revisionHistoryLimit", json!(0))),
        ("an annotation of its own", with("metadata/annotations", json!({ "a": "b" }))),
        ("a label of its own", with("metadata/labels", json!({ "a": "b" }))),
        ("a finalizer", with("metadata/finalizers", json!(["a.b/c"]))),
        ("another annotation of its pods", with("spec/template/metadata/annotations/inject", json!("true"))),
        ("an annotation of its pods that goes", with("spec/template/metadata/annotations/team", json!(null))),
        ("a label of its pods", with("spec/template/metadata/labels", json!({ "a": "b" }))),
        ("no restart at all", restarted(json!(null))),
    ] {
        patch(what, &web, body).refused(&chain, "deployments").await;
    }
    for (name, annotations, over) in [
        ("two", json!({}), json!({ "replicas": 2 })),
        ("recreated", json!({}), json!({ "strategy": { "type": "Recreate" } })),
        ("paused", json!({}), json!({ "paused": true })),
        ("opts-out", json!({ mark("unstick"): "never" }), json!({})),
    ] {
        let path = deployment(b, name, annotations, over).await;
        patch("a Deployment that is not to be restarted", &path, now.clone()).refused(&chain, "deployments").await;
        // A person may.
        assert_eq!(b.patch(&format!("{path}?dryRun=All"), now.clone()).await.code, 200, "{path}");
    }
    post("a Deployment", "deployments", json!({ "metadata": { "name": "new" } })).not_granted(&chain).await;
    delete("a Deployment's removal", &web).not_granted(&chain).await;
    patch("a restart by the watch", &web, now.clone()).not_granted(&watch).await;
    patch("a restart", &web, now.clone()).accepted(&chain).await;
    // And once more.
    b.patch(&web, now).await.ok();
    patch("a second restart", &web, restarted(json!("2026-11-22T13:00:00Z"))).accepted(&chain).await;
    patch("a restart that is taken back", &web, restarted(json!(null))).refused(&chain, "deployments").await;
}

pub async fn no_deployment_is_restarted_where_drains_never_do(b: &Bench<'_>) {
    let Installed { chain, .. } = install_with(b, (Unstick::Structural, Surge::Never), &[], &Runner::FirstWorker, &[]).await;
    let web = deployment(b, "web", json!({}), json!({})).await;
    patch("a restart", &web, restarted(json!("2026-11-22T12:00:00Z"))).not_granted(&chain).await;
}

fn cordon(unschedulable: Value, cordoned_by: Value) -> Value {
    json!({ "metadata": { "annotations": { mark("cordoned-by"): cordoned_by } }, "spec": { "unschedulable": unschedulable } })
}

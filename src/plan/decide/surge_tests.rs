//! Each reason for which a Deployment is left alone, on its own; and how far a rollout is.

#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::super::drain::tests::{budget, owned_by, pod, with};
use super::*;

const OPT_OUT: &str = "viktorbarzin.me/k8s-upgrade-unstick";

fn is_at(generation: i64, all: i32, updated: i32, available: i32) -> Value {
    json!({ "status": {
        "observedGeneration": generation, "replicas": all, "updatedReplicas": updated, "availableReplicas": available,
    } })
}

/// Of one pod that is available, at rest.
fn deployment(over: Value) -> Deployment {
    let metadata = json!({ "name": "web", "namespace": "web", "uid": "d", "generation": 4 });
    let spec = json!({ "replicas": 1, "selector": { "matchLabels": { "app": "web" } }, "template": {} });
    serde_json::from_value(with(with(json!({ "metadata": metadata, "spec": spec }), is_at(4, 1, 1, 1)), over)).unwrap()
}

fn set(over: Value) -> ReplicaSet {
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true }]);
    let metadata = json!({ "name": "web-1", "namespace": "web", "uid": "u", "ownerReferences": owner });
    serde_json::from_value(with(json!({ "metadata": metadata, "spec": { "selector": {} } }), over)).unwrap()
}

fn claim(modes: Value, bound: Value) -> PersistentVolumeClaim {
    let metadata = json!({ "name": "data", "namespace": "web" });
    serde_json::from_value(json!({ "metadata": metadata, "spec": { "accessModes": modes }, "status": { "accessModes": bound } }))
        .unwrap()
}

fn judged(pod: &Pod, set: &ReplicaSet, deployment: &Deployment, claims: &[PersistentVolumeClaim]) -> Result<Instead, String> {
    surge(Seen { pod, set, deployment, claims, budgets: &[budget(json!({}))], opt_out: OPT_OUT })
}

fn strategy(surge: Value, unavailable: Value) -> Value {
    let rolling = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
    json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": rolling } } })
}

#[test]
fn a_deployments_only_pod_is_restarted() {
    let web = pod(json!({}));
    assert_eq!(judged(&web, &set(json!({})), &deployment(json!({})), &[]), Ok(Instead::Restart));
    assert_eq!(set_of(&web, &[deployment(json!({}))]), Some("web-1"));
    let named = [deployment(json!({ "metadata": { "uid": "other" } })), deployment(json!({}))];
    assert_eq!(deployment_of(&set(json!({})), &named).and_then(|found| found.metadata.uid.as_deref()), Some("d"));
    // What cannot be one costs no question.
    for (name, pod, deployment) in [
        ("of a StatefulSet", pod(owned_by("apps/v1", "StatefulSet")), deployment(json!({}))),
        ("of somebody's own ReplicaSet", pod(owned_by("kruise.io/v1", "ReplicaSet")), deployment(json!({}))),
        ("ending", pod(json!({ "metadata": { "deletionTimestamp": "2026-11-22T12:00:00Z" } })), deployment(json!({}))),
        ("two pods", web.clone(), deployment(json!({ "spec": { "replicas": 2 } }))),
        ("another namespace", web.clone(), deployment(json!({ "metadata": { "namespace": "mail" } }))),
        ("another selector", web.clone(), deployment(json!({ "spec": { "selector": { "matchLabels": { "app": "db" } } } }))),
    ] {
        assert_eq!(set_of(&pod, &[deployment]), None, "{name}");
    }
}

#[test]
fn each_reason_why_not_is_told() {
    let opts_out = json!({ "metadata": { "annotations": { OPT_OUT: "never" } } });
    let tolerant = json!({ "spec": { "tolerations": [{ "operator": "Exists" }] } });
    let none = || json!({});
    for (of_pod, of_set, of_deployment, wanted) in [
        (owned_by("v1", "Node"), json!({ "metadata": { "uid": "other" } }), none(), "does not belong to ReplicaSet web/web-1"),
        (
            none(),
            json!({ "metadata": { "ownerReferences": null } }),
            none(),
            "ReplicaSet web/web-1 does not belong to Deployment",
        ),
        (none(), none(), json!({ "metadata": { "uid": "new" } }), "ReplicaSet web/web-1 does not belong to Deployment web/web"),
        (none(), none(), json!({ "metadata": { "deletionTimestamp": "2026-11-22T12:00:00Z" } }), "is being deleted"),
        (none(), none(), json!({ "spec": { "replicas": 3 } }), "wants 3 pods, not one"),
        (none(), none(), json!({ "spec": { "replicas": 0 } }), "wants 0 pods, not one"),
        (none(), none(), json!({ "spec": { "paused": true } }), "is paused"),
        (none(), none(), json!({ "spec": { "strategy": { "type": "Recreate" } } }), "has the strategy Recreate"),
        (none(), none(), strategy(json!("many"), json!(0)), "has a strategy that cannot be read"),
        (none(), none(), strategy(json!(1), json!(1)), "(maxSurge 1, maxUnavailable 1)"),
        (tolerant, none(), none(), "tolerates the cordon"),
        (opts_out.clone(), none(), none(), "says no"),
        (none(), none(), opts_out, "says no"),
        (none(), none(), is_at(4, 1, 1, 0), "it is not available now"),
    ] {
        let (pod, set, deployment) = (pod(of_pod), set(of_set), deployment(of_deployment));
        let said = judged(&pod, &set, &deployment, &[]).unwrap_err();
        assert!(said.contains(wanted), "{wanted:?}: {said}");
    }
    let guarding = [budget(json!({ "metadata": { "annotations": { OPT_OUT: "never" } } }))];
    let (pod, set, deployment) = (pod(none()), set(none()), deployment(none()));
    let seen = Seen { pod: &pod, set: &set, deployment: &deployment, claims: &[], budgets: &guarding, opt_out: OPT_OUT };
    assert!(surge(seen).unwrap_err().contains("says no"));
}

/// As the Deployment's controller resolves them.
#[test]
fn bounds_are_rounded_as_the_controller_rounds_them() {
    for (surge, unavailable, restarted) in [
        (json!(null), json!(null), true),
        (json!("25%"), json!("25%"), true),
        (json!(1), json!(0), true),
        (json!("1%"), json!("99%"), true),
        (json!(null), json!("100%"), false),
        (json!(0), json!(1), false),
        // The API server takes this; both come to nothing, so the pod may be missing.
        (json!(0), json!("25%"), false),
        (json!("0%"), json!("1%"), false),
        (json!(2), json!("200%"), false),
    ] {
        let deployment = deployment(strategy(surge.clone(), unavailable.clone()));
        let judged = judged(&pod(json!({})), &set(json!({})), &deployment, &[]);
        assert_eq!(judged.is_ok(), restarted, "{surge} {unavailable}: {judged:?}");
    }
}

#[test]
fn a_volume_that_one_node_alone_can_have_keeps_the_pod() {
    let with_volume = |source: Value| pod(json!({ "spec": { "volumes": [with(json!({ "name": "v" }), source)] } }));
    let mounts = with_volume(json!({ "persistentVolumeClaim": { "claimName": "data" } }));
    let (set, deployment) = (set(json!({})), deployment(json!({})));
    for (modes, bound, wanted) in [
        (json!(["ReadWriteMany"]), json!(["ReadWriteMany"]), None),
        (json!(["ReadOnlyMany"]), json!(null), None),
        (json!(["ReadWriteOnce"]), json!(null), Some("data is ReadWriteOnce")),
        (json!(["ReadWriteOncePod"]), json!(["ReadWriteOncePod"]), Some("data is ReadWriteOncePod")),
        // What it was bound to says more than what it asks for.
        (json!(["ReadWriteMany"]), json!(["ReadWriteOnce"]), Some("data is ReadWriteOnce")),
        (json!(["ReadWriteMany", "ReadWriteOnce"]), json!(null), Some("data is ReadWriteOnce")),
        (json!(["ReadWriteFew"]), json!(null), Some("data is ReadWriteFew")),
        (json!([]), json!([]), Some("does not say who may mount it")),
    ] {
        let said = judged(&mounts, &set, &deployment, &[claim(modes.clone(), bound.clone())]).err();
        let fits = wanted.map_or(said.is_none(), |wanted| said.as_ref().is_some_and(|said| said.contains(wanted)));
        assert!(fits, "{modes} {bound}: {said:?}");
    }
    assert!(judged(&mounts, &set, &deployment, &[]).unwrap_err().contains("data is not there"));
    assert_eq!(claims_of(&mounts).collect::<Vec<_>>(), ["data"]);
    for (source, fits) in [
        (json!({ "configMap": { "name": "c" } }), true),
        (json!({ "emptyDir": {} }), true),
        (json!({ "ephemeral": {} }), true),
        (json!({ "nfs": { "server": "s", "path": "/" } }), true),
        (json!({ "iscsi": { "targetPortal": "p", "iqn": "i", "lun": 0 } }), false),
        (json!({ "awsElasticBlockStore": { "volumeID": "v" } }), false),
        (json!({ "vsphereVolume": { "volumePath": "v" } }), false),
        // Of a kind that this build does not know.
        (json!({}), false),
    ] {
        assert_eq!(judged(&with_volume(source.clone()), &set, &deployment, &[]).is_ok(), fits, "{source}");
    }
}

/// Whoever began it: a runner that takes the drain up waits, and does not begin anew.
#[test]
fn a_rollout_on_its_way_is_waited_for() {
    let progress = |reason: &str, message: &str| {
        let condition = json!({ "type": "Progressing", "status": "True", "reason": reason, "message": message });
        json!({ "status": { "conditions": [condition] } })
    };
    let (web, set) = (pod(json!({})), set(json!({})));
    let waits = |over: Value| match judged(&web, &set, &deployment(over.clone()), &[]) {
        Ok(Instead::Wait(says)) => says,
        other => format!("{over}: {other:?}"),
    };
    assert_eq!(waits(is_at(3, 1, 1, 1)), "its controller has not seen its last change yet");
    assert_eq!(waits(is_at(4, 2, 1, 1)), "its new pod is not available yet");
    assert_eq!(waits(is_at(4, 1, 0, 1)), "its new pod is not available yet");
    assert_eq!(waits(with(is_at(4, 2, 1, 1), progress("ReplicaSetUpdated", "it is progressing"))), "it is progressing");
    let stuck = with(is_at(4, 2, 1, 1), progress("ProgressDeadlineExceeded", "it has timed out progressing"));
    let said = judged(&web, &set, &deployment(stuck), &[]).unwrap_err();
    assert_eq!(said, "its rollout does not go on: it has timed out progressing");
}

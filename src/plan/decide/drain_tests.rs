//! Pods of every kind, budgets of every shape, and each condition of the unsticking on its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use serde_json::{Value, json};

use super::*;

const OPT_OUT: &str = "viktorbarzin.me/k8s-upgrade-unstick";
const LONG: Duration = Duration::from_secs(120);

pub(in super::super) fn rule(unstick: Unstick) -> UnstickRule<'static> {
    UnstickRule { unstick, after: LONG, opt_out: OPT_OUT, force: None }
}

/// JSON with the fields of `over` laid over it.
pub(in super::super) fn with(mut base: Value, over: Value) -> Value {
    match (&mut base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                let merged = with(base.remove(&key).unwrap_or_default(), value);
                base.insert(key, merged);
            }
        }
        (base, over) => *base = over,
    }
    base
}

/// A healthy pod of a ReplicaSet, labelled app=web.
pub(in super::super) fn pod(over: Value) -> Pod {
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": true }]);
    let metadata = json!({ "name": "web-1-a", "namespace": "web", "labels": { "app": "web" }, "ownerReferences": owner });
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    serde_json::from_value(with(json!({ "metadata": metadata, "spec": { "containers": [] }, "status": status }), over)).unwrap()
}

/// A budget of the Anubis pattern: minAvailable 1 over one pod.
pub(in super::super) fn budget(over: Value) -> PodDisruptionBudget {
    let metadata = json!({ "name": "web", "namespace": "web", "generation": 3 });
    let status = json!({
        "observedGeneration": 3, "expectedPods": 1, "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0,
    });
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } });
    serde_json::from_value(with(json!({ "metadata": metadata, "spec": spec, "status": status }), over)).unwrap()
}

pub(in super::super) fn owned_by(api: &str, kind: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [{ "apiVersion": api, "kind": kind, "name": "o", "uid": "u", "controller": true }] } })
}

#[test]
fn some_pods_come_back_to_a_cordoned_node() {
    const KEY: &str = "node.kubernetes.io/unschedulable";
    for (toleration, wanted) in [
        (json!({ "operator": "Exists" }), true),
        (json!({ "operator": "Exists", "effect": "NoSchedule" }), true),
        (json!({ "operator": "Exists", "effect": "NoExecute" }), false),
        (json!({ "key": KEY, "operator": "Exists" }), true),
        (json!({ "key": KEY }), true),
        (json!({ "key": KEY, "value": "true" }), false),
        (json!({ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" }), false),
    ] {
        assert_eq!(tolerates_cordon(&pod(json!({ "spec": { "tolerations": [toleration] } }))), wanted, "{toleration}");
    }
    assert!(!tolerates_cordon(&pod(json!({}))));
}

#[test]
fn each_kind_of_pod_has_its_fate() {
    let evict = |grace_seconds, loses: &[Loss]| Fate::Evict { grace_seconds, loses: loses.to_vec() };
    let empty_dir = json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "c", "configMap": {} }] } });
    let bare = json!({ "metadata": { "ownerReferences": null } });
    let finished = json!({ "status": { "phase": "Succeeded" } });
    let ending = json!({ "metadata": { "deletionTimestamp": "2026-11-22T12:00:00Z" } });
    let mirror = json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "hash" } } });
    for (name, over, wanted) in [
        ("plain", json!({}), evict(30, &[])),
        ("daemonset", owned_by("apps/v1", "DaemonSet"), Fate::Stays(Stays::DaemonSet)),
        ("finished of a daemonset", with(owned_by("apps/v1", "DaemonSet"), finished.clone()), evict(30, &[])),
        ("ending of a daemonset", with(owned_by("apps/v1", "DaemonSet"), ending.clone()), Fate::Stays(Stays::DaemonSet)),
        ("somebody's own DaemonSet", owned_by("apps.kruise.io/v1", "DaemonSet"), evict(30, &[])),
        ("mirror", with(owned_by("v1", "Node"), mirror), Fate::Stays(Stays::Mirror)),
        ("ending", ending, Fate::Ending),
        ("emptyDir", empty_dir.clone(), evict(30, &[Loss::LocalData])),
        ("bare", bare.clone(), evict(30, &[Loss::Pod])),
        ("bare with emptyDir", with(empty_dir.clone(), bare.clone()), evict(30, &[Loss::LocalData, Loss::Pod])),
        ("finished, bare, with emptyDir", with(with(empty_dir, bare), finished), evict(30, &[])),
        ("hurried", json!({ "spec": { "terminationGracePeriodSeconds": 0 } }), evict(0, &[])),
        ("slow", json!({ "spec": { "terminationGracePeriodSeconds": 3600 } }), evict(300, &[])),
    ] {
        assert_eq!(fate(&pod(over)), wanted, "{name}");
    }
}

#[test]
fn budgets_guard_as_the_api_server_reads_them() {
    let expression = |operator: &str, key: &str, values: Value| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
    for (selector, guards) in [
        (json!({ "matchLabels": { "app": "web" } }), true),
        (json!({ "matchLabels": { "app": "db" } }), false),
        (json!({ "matchLabels": { "app": "web", "tier": "front" } }), false),
        (json!({}), true),
        (Value::Null, false),
        (expression("In", "app", json!(["db", "web"])), true),
        (expression("In", "tier", json!(["web"])), false),
        (expression("NotIn", "app", json!(["db"])), true),
        (expression("NotIn", "app", json!(["web"])), false),
        (expression("NotIn", "tier", json!(["front"])), true),
        (expression("Exists", "app", Value::Null), true),
        (expression("Exists", "tier", Value::Null), false),
        (expression("DoesNotExist", "tier", Value::Null), true),
        (expression("DoesNotExist", "app", Value::Null), false),
        (expression("Gt", "app", json!(["1"])), false),  // invalid
        (expression("NotIn", "tier", json!([])), false), // invalid
        (with(expression("Exists", "tier", Value::Null), json!({ "matchLabels": { "app": "web" } })), false),
    ] {
        let mut budget = budget(json!({}));
        budget.spec.as_mut().unwrap().selector = serde_json::from_value(selector.clone()).unwrap();
        assert_eq!(budgets_of(&pod(json!({})), &[budget]).len(), usize::from(guards), "{selector}");
    }
    let elsewhere = budget(json!({ "metadata": { "namespace": "other" } }));
    assert!(budgets_of(&pod(json!({})), &[elsewhere]).is_empty());
    let mut everything = budget(json!({}));
    everything.spec.as_mut().unwrap().selector = Some(LabelSelector::default());
    let unlabelled = pod(json!({ "metadata": { "labels": null } }));
    assert_eq!(budgets_of(&unlabelled, &[budget(json!({})), everything]).len(), 1);
}

#[test]
fn an_eviction_is_forecast() {
    let says = |allowed, healthy, desired| format!("PDB web/web allows {allowed} ({healthy} of {desired} wanted healthy)");
    let status = |allowed: i32, healthy: i32, desired: i32, expected: i32| {
        budget(json!({ "status": {
            "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
        } }))
    };
    let healthy = pod(json!({}));
    let unready = pod(json!({ "status": { "conditions": null } }));
    assert_eq!(held(&healthy, &[]), None);
    assert_eq!(held(&healthy, &[status(1, 3, 2, 3)]), None);
    assert_eq!(held(&healthy, &[status(0, 2, 2, 3)]), Some(Held::Now(says(0, 2, 2))));
    assert_eq!(held(&healthy, &[status(0, 3, 3, 3)]), Some(Held::Always(says(0, 3, 3))));
    let stale = budget(json!({ "metadata": { "generation": 4 }, "status": { "disruptionsAllowed": 1 } }));
    assert!(matches!(held(&healthy, &[stale]), Some(Held::Now(_))));
    assert!(matches!(held(&healthy, &[status(1, 3, 2, 3), status(1, 3, 2, 3)]), Some(Held::Several(names)) if names.len() == 2));
    assert_eq!(held(&unready, &[status(0, 2, 2, 3)]), None, "the others are healthy enough");
    assert_eq!(held(&unready, &[status(0, 1, 2, 3)]), Some(Held::Now(says(0, 1, 2))));
    let always = budget(json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" }, "status": { "currentHealthy": 0 } }));
    assert_eq!(held(&unready, std::slice::from_ref(&always)), None);
    assert!(held(&healthy, &[always]).is_some());
    for over in [json!({ "status": { "phase": "Pending" } }), json!({ "status": { "phase": "Failed" } })] {
        assert_eq!(held(&pod(over), &[status(0, 3, 3, 3)]), None, "not guarded");
    }
}

#[test]
fn structural_unsticking_wants_every_one_of_its_conditions() {
    let try_it =
        |pod: &Pod, budgets: &[PodDisruptionBudget], blocked_for| unstick(pod, budgets, blocked_for, rule(Unstick::Structural));
    assert_eq!(try_it(&pod(json!({})), &[budget(json!({}))], LONG), Ok(()));
    assert_eq!(
        try_it(&pod(json!({})), &[budget(json!({}))], LONG - Duration::from_secs(1)),
        Err("blocked for 119 s of 120 s".into())
    );

    let annotated = json!({ "metadata": { "annotations": { OPT_OUT: "never" } } });
    let owner = json!([{ "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db", "uid": "u" }]);
    for (why, over) in [
        ("the annotation", annotated.clone()),
        ("is not current", json!({ "metadata": { "generation": 4 } })),
        ("is not current", json!({ "status": { "observedGeneration": null } })),
        ("is not current", json!({ "status": null })),
        ("belongs to a controller", json!({ "metadata": { "ownerReferences": owner } })),
        ("can be satisfied", json!({ "status": { "expectedPods": 2 } })),
        ("can be satisfied", json!({ "status": { "expectedPods": 0 } })),
        ("can be satisfied", json!({ "status": { "disruptionsAllowed": 1 } })),
        ("can be satisfied", json!({ "status": { "desiredHealthy": 0 } })),
        ("is not healthy", json!({ "status": { "currentHealthy": 0 } })),
        ("0 budgets guard", json!({ "metadata": { "namespace": "other" } })),
    ] {
        let said = try_it(&pod(json!({})), &[budget(over.clone())], LONG).unwrap_err();
        assert!(said.contains(why), "{over}: {said}");
    }
    for (why, over) in [
        ("the annotation", annotated),
        ("is not healthy", json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } })),
        ("StatefulSet", owned_by("apps/v1", "StatefulSet")),
        ("no controller", json!({ "metadata": { "ownerReferences": null } })),
        ("is not to be evicted", owned_by("apps/v1", "DaemonSet")),
        ("is not to be evicted", json!({ "metadata": { "deletionTimestamp": "2026-11-22T12:00:00Z" } })),
    ] {
        let said = try_it(&pod(over.clone()), &[budget(json!({}))], LONG).unwrap_err();
        assert!(said.contains(why), "{over}: {said}");
    }
    let two = [budget(json!({})), budget(json!({ "metadata": { "name": "second" } }))];
    assert!(try_it(&pod(json!({})), &two, LONG).unwrap_err().contains("2 budgets guard"));
}

#[test]
fn all_and_never_are_what_they_say() {
    let of_three = [budget(json!({ "status": { "expectedPods": 3 } }))];
    let web = pod(json!({}));
    assert_eq!(unstick(&web, &of_three, LONG, rule(Unstick::All)), Ok(()));
    assert!(unstick(&web, &of_three, Duration::ZERO, rule(Unstick::All)).is_err());
    let annotated = pod(json!({ "metadata": { "annotations": { OPT_OUT: "never" } } }));
    assert!(unstick(&annotated, &of_three, LONG, rule(Unstick::All)).is_err());
    assert!(unstick(&web, &[budget(json!({}))], LONG, rule(Unstick::Never)).is_err());
}

#[test]
fn refusals_are_told_apart() {
    const TEN: Duration = Duration::from_secs(10);
    let ten = Some(TEN);
    let needs = "The disruption budget web needs 1 healthy pods and has 1 currently";
    let budget: &[(&str, &str)] = &[("DisruptionBudget", needs)];
    let ending: &[(&str, &str)] = &[("NamespaceTerminating", "namespace web is being terminated")];
    let violates = "Cannot evict pod as it would violate the pod's disruption budget.";
    let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let uid = "Operation cannot be fulfilled on Pod \"p\": the UID in the precondition (a) does not match the UID in record (b).";
    let refusal = |code, message, causes, retry_after| refused(Refusal { code, message, causes, retry_after });
    assert_eq!(refusal(404, "pods \"p\" not found", &[], None), Refused::Gone);
    assert_eq!(refusal(409, uid, &[], None), Refused::Gone);
    let again = |says: &str, pause| Refused::Again { says: says.to_owned(), pause };
    let busy = |code: u16, message: &str, pause| again(&format!("the API server answers {code}: {message}"), pause);
    let modified = "the object has been modified";
    assert_eq!(refusal(409, modified, &[], None), busy(409, modified, SOON));
    assert_eq!(refusal(429, violates, budget, None), Refused::Budget { says: needs.into(), retry_after: None });
    assert_eq!(refusal(429, violates, budget, ten), Refused::Budget { says: needs.into(), retry_after: ten });
    assert_eq!(refusal(429, "too many requests", &[], ten), busy(429, "too many requests", TEN));
    assert_eq!(refusal(500, several, &[], None), Refused::SeveralBudgets);
    assert_eq!(refusal(500, "etcdserver: leader changed", &[], None), busy(500, "etcdserver: leader changed", SOON));
    let conflicts = "couldn't update PodDisruptionBudget \"web\" due to conflicts";
    assert_eq!(refusal(504, conflicts, &[], ten), busy(504, conflicts, TEN));
    // Whatever code a webhook takes, its words count, and it may let go later.
    let denied = "admission webhook \"evict.guard.io\" denied the request: the machine is moved first";
    for code in [400, 403, 404, 409, 422, 429, 500] {
        assert_eq!(refusal(code, denied, &[], None), again(denied, ADMITTED), "{code}");
    }
    let unasked = "Internal error occurred: failed calling webhook \"evict.guard.io\": no endpoints available";
    assert_eq!(refusal(500, unasked, &[], None), again(unasked, ADMITTED));
    assert_eq!(refusal(403, "forbidden", ending, None), Refused::NamespaceEnding);
    assert_eq!(refusal(403, "forbidden", &[], None), Refused::Forbidden("forbidden".into()));
    assert_eq!(refusal(422, "invalid", &[], None), Refused::Never("invalid".into()));
    assert_eq!(refusal(400, "bad", &[], None), Refused::Never("bad".into()));
}

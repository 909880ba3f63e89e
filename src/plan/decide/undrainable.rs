//! Which pods can never leave their node by a drain: known before anything is touched. What only waits for something (a pod that becomes
//! Ready, an autoscaler, a rollout) is not among them, and neither is what the drain deletes itself.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::drain::{self, Fate, Held, UnstickRule};
use super::gates::{Occasion, first_few};
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::plan::model::facts::{Facts, Step};
use crate::plan::model::halt::Skip;
use crate::plan::model::policy::Undrainable;
use crate::plan::model::version::Version;
use crate::words::command;

/// A ReplicaSet's name ends with it, where a Deployment made that.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Of each node that can never be drained, the pods that would stay on it for ever, with what holds them.
pub type Stuck = BTreeMap<String, Vec<String>>;

/// So many pods of a node are named.
pub const NAMED: usize = 3;

/// What the policy makes of them: the nodes that this run leaves out.
///
/// # Errors
/// The nodes, each with what holds its pods: before a run refused, for a person has to change something before any of it begins; before a node
/// a hold, for the run goes on by itself once that was changed.
pub fn judge(stuck: &Stuck, facts: &Facts, target: Version, policy: Undrainable, occasion: Occasion) -> Result<Vec<Skip>, Cause> {
    let Some(first) = stuck.keys().next().filter(|_| policy != Undrainable::Try) else { return Ok(Vec::new()) };
    let class = if occasion == Occasion::Preflight { Class::Refused } else { Class::Hold };
    let closed = |why: &str| {
        let lines = stuck.iter().map(|(node, pods)| format!("{node}: {}", first_few(pods, NAMED)));
        let cause = Cause::new(class, format!("{} can never be drained{why}", count(stuck.len()))).detail(lines);
        Err(cause
            .next(command!("k8s-upgrade drain {} --dry-run    # what holds each pod; change the budget or the replicas", first)))
    };
    match policy {
        Undrainable::Refuse | Undrainable::Try => return closed(""),
        Undrainable::ForceAfter => return closed(" (none of these pods may be deleted: undrainable-namespaces)"),
        Undrainable::Skip => {}
    }
    let of = |name: &str| facts.node(name).map(Step::of);
    if stuck.keys().any(|name| facts.node(name).is_some_and(|node| node.control_plane)) {
        return closed(", and a control plane is never left out");
    }
    let rest = |name: &str, step: &Step| !stuck.contains_key(name) && !step.is_skipped(&facts.marks);
    let left = facts.managed().filter(|node| !node.is_upgraded(target)).any(|node| rest(&node.name, &Step::of(node)));
    if !left && occasion == Occasion::Preflight {
        return closed(", and no other node is to be upgraded");
    }
    let skip = |(name, pods): (&String, &Vec<String>)| {
        Some(Skip {
            step: of(name)?.token(),
            by: "setting undrainable".to_owned(),
            reason: format!("it can never be drained: {}", first_few(pods, NAMED)),
        })
    };
    Ok(stuck.iter().filter_map(skip).collect())
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "a node".to_owned() } else { format!("{nodes} nodes") }
}

/// Why a drain would wait for this pod in vain, and the policy about such pods deletes none of it. None: it goes, now or later.
pub fn never(
    pod: &Pod,
    budgets: &[PodDisruptionBudget],
    autoscalers: &[HorizontalPodAutoscaler],
    rule: UnstickRule,
) -> Option<String> {
    let Fate::Evict { .. } = drain::fate(pod) else { return None };
    let says = match drain::held(pod, budgets)? {
        Held::Now(_) => return None,
        Held::Always(_) if drain::budgets_of(pod, budgets).iter().any(|budget| may_grow(pod, budget, autoscalers)) => {
            return None;
        }
        held => held.to_string(),
    };
    drain::may_unstick(pod, budgets, rule).is_err().then_some(says)
}

/// After which time a drain deletes such a pod nevertheless; None: it stays. In a namespace that the settings name, and where no annotation
/// says no.
pub fn force_after(pod: &Pod, budgets: &[PodDisruptionBudget], rule: UnstickRule) -> Option<Duration> {
    let force = rule.force?;
    let own = pod.metadata.namespace.as_ref();
    let is_named = own.is_some_and(|own| force.namespaces.contains(own)) || !guard::on(Guard::ForceNamed);
    (is_named && !drain::opts_out(pod, budgets, rule)).then_some(force.after)
}

/// Whether its time is over, for one whose eviction has been refused for `blocked_for`; that it can [`never()`] go is asked beside this.
pub fn is_forced(pod: &Pod, budgets: &[PodDisruptionBudget], blocked_for: Duration, rule: UnstickRule) -> bool {
    let over = |after| blocked_for >= after || !guard::on(Guard::ForceAfter);
    force_after(pod, budgets, rule).is_some_and(over)
}

/// An autoscaler may make more pods than the budget wants, as a number: a share of them, or none that may be away, grows with them.
fn may_grow(pod: &Pod, budget: &PodDisruptionBudget, autoscalers: &[HorizontalPodAutoscaler]) -> bool {
    let Some(spec) = &budget.spec else { return false };
    let desired = budget.status.as_ref().map_or(0, |status| status.desired_healthy);
    let most =
        || autoscalers.iter().filter(|scaler| scales(scaler, pod)).filter_map(|scaler| Some(scaler.spec.as_ref()?.max_replicas));
    match (&spec.min_available, &spec.max_unavailable) {
        (Some(IntOrString::Int(_)), _) => most().any(|most| most > desired),
        (Some(IntOrString::String(share)), _) => share != "100%" && most().any(|most| most > desired),
        (None, _) => false,
    }
}

/// By the name of what it scales: a Deployment's is that of the pod's ReplicaSet without the hash.
fn scales(scaler: &HorizontalPodAutoscaler, pod: &Pod) -> bool {
    let Some(target) = scaler.spec.as_ref().map(|spec| &spec.scale_target_ref) else { return false };
    let Some(owner) = drain::controller(pod).filter(|_| scaler.metadata.namespace == pod.metadata.namespace) else {
        return false;
    };
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match target.kind.as_str() {
        "Deployment" => owner.kind == "ReplicaSet" && deployment == Some(target.name.as_str()),
        kind => kind == owner.kind && target.name == owner.name,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::super::drain::tests::{budget, owned_by, pod, rule, with};
    use super::*;
    use crate::plan::model::fixture;
    use crate::plan::model::policy::{Force, Unstick};

    /// As its controller counts the pods of this budget, all of them healthy.
    fn of(expected: i32, desired: i32, spec: Value) -> PodDisruptionBudget {
        let status = json!({ "expectedPods": expected, "currentHealthy": expected, "desiredHealthy": desired });
        budget(with(json!({ "spec": { "minAvailable": null } }), json!({ "spec": spec, "status": status })))
    }

    fn scaler(kind: &str, name: &str, most: i32) -> HorizontalPodAutoscaler {
        let target = json!({ "apiVersion": "apps/v1", "kind": kind, "name": name });
        serde_json::from_value(
            json!({ "metadata": { "namespace": "web" }, "spec": { "maxReplicas": most, "scaleTargetRef": target } }),
        )
        .unwrap()
    }

    fn is_never(pod: &Pod, budgets: &[PodDisruptionBudget], scalers: &[HorizontalPodAutoscaler]) -> bool {
        never(pod, budgets, scalers, rule(Unstick::Structural)).is_some()
    }

    #[test]
    fn arithmetic_tells_never_from_not_now() {
        let web = pod(json!({}));
        for (expected, desired, spec, wanted) in [
            (3, 3, json!({ "maxUnavailable": 0 }), true),
            (3, 3, json!({ "maxUnavailable": "0%" }), true),
            (3, 3, json!({ "minAvailable": 3 }), true),
            (2, 2, json!({ "minAvailable": "100%" }), true),
            (2, 4, json!({ "minAvailable": 4 }), true),
            (3, 2, json!({ "minAvailable": 2 }), false),
            (3, 2, json!({ "maxUnavailable": 1 }), false),
        ] {
            assert_eq!(is_never(&web, &[of(expected, desired, spec.clone())], &[]), wanted, "{expected} {desired} {spec}");
        }
        // Others are away now: they come back.
        let fewer = with(json!(of(3, 2, json!({ "minAvailable": 2 }))), json!({ "status": { "currentHealthy": 2 } }));
        assert!(!is_never(&web, &[serde_json::from_value(fewer).unwrap()], &[]));
        assert!(!is_never(&web, &[], &[]));
        let two = [of(3, 1, json!({ "minAvailable": 1 })), of(3, 1, json!({ "minAvailable": 1 }))];
        assert!(never(&web, &two, &[], rule(Unstick::Structural)).unwrap().contains("the API server never evicts such a pod"));
        // Not for a drain to move, or guarded by nothing.
        let none = of(3, 3, json!({ "maxUnavailable": 0 }));
        for over in [
            owned_by("apps/v1", "DaemonSet"),
            json!({ "status": { "phase": "Succeeded" } }),
            json!({ "metadata": { "deletionTimestamp": "2026-11-22T12:00:00Z" } }),
        ] {
            assert!(!is_never(&pod(over.clone()), std::slice::from_ref(&none), &[]), "{over}");
        }
    }

    #[test]
    fn an_autoscaler_may_make_room_where_the_budget_is_a_number() {
        let web = pod(json!({ "metadata": { "labels": { "pod-template-hash": "1" } } }));
        let number = of(2, 2, json!({ "minAvailable": 2 }));
        for (scaler, grows) in [
            (scaler("Deployment", "web", 5), true),
            (scaler("Deployment", "web", 2), false),
            (scaler("Deployment", "shop", 5), false),
            (scaler("StatefulSet", "web", 5), false),
            (scaler("ReplicaSet", "web-1", 5), true),
        ] {
            assert_eq!(is_never(&web, std::slice::from_ref(&number), std::slice::from_ref(&scaler)), !grows, "{scaler:?}");
        }
        let share = of(1, 1, json!({ "minAvailable": "50%" }));
        let database = pod(owned_by("apps/v1", "StatefulSet"));
        assert!(!is_never(&database, std::slice::from_ref(&share), &[scaler("StatefulSet", "o", 3)]));
        assert!(is_never(&database, &[share], &[]));
        for spec in [json!({ "maxUnavailable": 0 }), json!({ "minAvailable": "100%" })] {
            assert!(is_never(&web, &[of(2, 2, spec.clone())], &[scaler("Deployment", "web", 5)]), "{spec}");
        }
        let elsewhere = HorizontalPodAutoscaler { metadata: Default::default(), ..scaler("Deployment", "web", 5) };
        assert!(is_never(&web, &[number], &[elsewhere]));
    }

    #[test]
    fn what_the_drain_deletes_itself_is_no_reason() {
        let one = || [budget(json!({}))];
        let web = pod(json!({}));
        assert!(!is_never(&web, &one(), &[]));
        assert!(never(&web, &one(), &[], rule(Unstick::Never)).is_some());
        assert!(never(&pod(owned_by("apps/v1", "StatefulSet")), &one(), &[], rule(Unstick::All)).is_none());
        // Its budget is an operator's: it is not ours to delete.
        let owners = json!([{ "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db", "uid": "u" }]);
        assert!(is_never(&web, &[budget(json!({ "metadata": { "ownerReferences": owners } }))], &[]));
        // It will be healthy, and is deleted then.
        let ill = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
        assert!(!is_never(&pod(ill), &[budget(json!({ "status": { "currentHealthy": 0 } }))], &[]));
    }

    #[test]
    fn only_in_a_namespace_that_is_named_and_after_its_time_it_is_deleted() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let (named, others) = (["data".to_owned(), "web".to_owned()], ["webs".to_owned(), "we".to_owned(), String::new()]);
        let force = |namespaces| UnstickRule { force: Some(Force { namespaces, after: minutes(15) }), ..rule(Unstick::Never) };
        let (web, stuck) = (pod(json!({})), [budget(json!({}))]);
        for (what, rule, pod, budgets, wanted) in [
            ("named", force(named.as_slice()), &web, &stuck, Some(minutes(15))),
            ("not named", force(others.as_slice()), &web, &stuck, None),
            ("none is named", force([].as_slice()), &web, &stuck, None),
            ("not asked for", rule(Unstick::All), &web, &stuck, None),
        ] {
            assert_eq!(force_after(pod, budgets, rule), wanted, "{what}");
            for (blocked, over) in [(minutes(0), false), (minutes(15) - Duration::from_secs(1), false), (minutes(15), true)] {
                assert_eq!(is_forced(pod, budgets, blocked, rule), over && wanted.is_some(), "{what} {blocked:?}");
            }
        }
        // A person's word on the pod or on its budget counts.
        let no = json!({ "metadata": { "annotations": { rule(Unstick::All).opt_out: "never" } } });
        let rule = force(named.as_slice());
        assert_eq!(force_after(&pod(no.clone()), &stuck, rule), None);
        assert_eq!(force_after(&web, &[budget(no)], rule), None);
    }

    #[test]
    fn a_run_is_refused_or_goes_past_that_worker_alone() {
        let facts = fixture::runbook();
        let target = "1.34.7".parse().unwrap();
        let stuck =
            |names: &[&str]| -> Stuck { names.iter().map(|name| ((*name).to_owned(), vec!["web/a (b)".to_owned()])).collect() };
        let judged = |names: &[&str], policy, occasion| judge(&stuck(names), &facts, target, policy, occasion);
        assert_eq!(judged(&[], Undrainable::Refuse, Occasion::Preflight), Ok(vec![]));
        assert_eq!(judged(&["k8s-master", "k8s-node3"], Undrainable::Try, Occasion::Preflight), Ok(vec![]));
        let refused = judged(&["k8s-node3"], Undrainable::Refuse, Occasion::Preflight).unwrap_err();
        assert_eq!((refused.class, refused.detail.as_slice()), (Class::Refused, ["k8s-node3: web/a (b)".to_owned()].as_slice()));
        assert!(
            judged(&["k8s-node3"], Undrainable::ForceAfter, Occasion::Preflight)
                .unwrap_err()
                .what
                .contains("undrainable-namespaces")
        );
        // In mid-run it goes on by itself, once the budget was changed.
        assert_eq!(judged(&["k8s-node3"], Undrainable::Refuse, Occasion::BeforeNode).unwrap_err().class, Class::Hold);
        let steps = |skips: Vec<Skip>| skips.into_iter().map(|skip| skip.step).collect::<Vec<_>>();
        let all = ["k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"];
        for occasion in [Occasion::Preflight, Occasion::BeforeNode] {
            assert_eq!(steps(judged(&["k8s-node3"], Undrainable::Skip, occasion).unwrap()), ["worker/k8s-node3"]);
            assert!(judged(&["k8s-master", "k8s-node3"], Undrainable::Skip, occasion).is_err());
            assert!(judged(&all, Undrainable::Skip, occasion).is_ok());
        }
        let mut done = facts.clone();
        ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node4"].iter().for_each(|node| fixture::upgrade(&mut done, node, target));
        assert!(judge(&stuck(&["k8s-node3"]), &done, target, Undrainable::Skip, Occasion::Preflight).is_err());
        assert!(judge(&stuck(&["k8s-node3"]), &done, target, Undrainable::Skip, Occasion::BeforeNode).is_ok());
    }
}

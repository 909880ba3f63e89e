//! Drains that kubectl ends and a loop over "all pods on the node" would not.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Toleration, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::hands::{done, is_out, observed, runbook};
use super::world::{begin, is_over, jobs, pass, quick, types, when};

/// A pod that tolerates every taint is put on the cordoned node again: it is evicted once, told of, and left there.
#[test]
pub fn a_pod_that_tolerates_the_cordon_is_evicted_once() {
    let mut scenario = quick(Scenario::runbook());
    scenario.workloads.push(Workload {
        node_selector: BTreeMap::from([("kubernetes.io/hostname".to_owned(), "k8s-node3".to_owned())]),
        tolerations: vec![Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }],
        ..Workload::new(scenario::WorkloadKind::Deployment, "monitoring", "exporter")
    });
    let end = observed(begin(&scenario), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let evicted: Vec<&str> =
        end.history.newest().filter(|line| line.contains("/pods/exporter-") && line.contains("/eviction")).collect();
    assert_eq!(evicted.len(), 1, "{evicted:#?}");
    let told = "tolerates the cordon and was scheduled here again: it stays";
    assert!(end.logs.values().any(|log| log.newest().any(|line| line.contains(told))), "nobody says so");
}

/// Each eviction is asked for once; what a budget has refused to one of its pods is not asked for the others, until it has come to allow it.
#[test]
pub fn of_a_budget_one_eviction_is_asked_for_after_the_other() {
    const PODS: usize = 12;
    let mut scenario = quick(Scenario::runbook());
    let budget = Budget {
        namespace: "shop".to_owned(),
        name: "cart".to_owned(),
        selector: BTreeMap::from([("app".to_owned(), "cart".to_owned())]),
        max_unavailable: Some(IntOrString::Int(3)),
        min_available: None,
        ..scenario.budgets[0].clone()
    };
    scenario.budgets.push(budget);
    scenario.workloads.push(Workload {
        replicas: PODS as u32,
        placed_on: vec!["k8s-node2".to_owned(); PODS],
        ready_after_seconds: Some(12),
        ..Workload::new(scenario::WorkloadKind::Deployment, "shop", "cart")
    });
    let mut took = SignedDuration::ZERO;
    let end = observed(begin(&scenario), async |driver| {
        pass(driver, 60).await;
        let begun = driver.twin.now();
        let (code, said) = types(driver, "person", "drain k8s-node2 --yes").await;
        assert_eq!(code, 0, "{said}");
        took = driver.twin.now().duration_since(begun);
        driver.twin.look(State::clone)
    });
    let asked: Vec<&str> =
        end.history.newest().filter(|line| line.contains("/pods/cart-") && line.contains("/eviction")).collect();
    let (granted, refused): (Vec<&str>, Vec<&str>) = asked.iter().partition(|line| line.ends_with("-> 201"));
    assert_eq!(granted.len(), PODS, "{asked:#?}");
    // While there is no room, one of them is asked for every five seconds.
    assert!(
        !refused.is_empty() && refused.len() as i64 <= took.as_secs() / 5,
        "{} refused in {took:#}: {asked:#?}",
        refused.len()
    );
}

/// A webhook that is asked of every new one of a resource, with or without somebody who answers.
pub fn webhook(state: &mut State, resource: &str, answers: bool) {
    let now = state.now();
    let service = json!({ "namespace": "kube-system", "name": "guard", "path": "/evict" });
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource] });
    let webhook = json!({
        "name": "evict.guard.io", "failurePolicy": "Fail", "clientConfig": { "service": service }, "rules": [rule],
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
    });
    let object = json!({ "metadata": { "name": "guard" }, "webhooks": [webhook] });
    state.store.create(now, Kind::ValidatingWebhook, object).unwrap();
    if answers {
        let labels = json!({ "kubernetes.io/service-name": "guard" });
        let metadata = json!({ "name": "guard-1", "namespace": "kube-system", "labels": labels });
        let endpoint = json!({ "addresses": ["10.0.0.9"], "conditions": { "ready": true } });
        let slice = json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": [endpoint] });
        state.store.create(now, Kind::EndpointSlice, slice).unwrap();
    }
}

/// What a command prints, in one line: a screen breaks lines.
pub async fn shown(driver: &mut Driver<'_>, line: &str) -> String {
    let (_, said) = types(driver, "person", line).await;
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// It is named, with what it lacks, on every screen; and once it is gone the drain goes on.
#[test]
pub fn a_webhook_that_cannot_be_asked_is_named() {
    let end = observed(runbook(), async |driver| {
        when(driver, "a worker", is_out("k8s-node4")).await;
        driver.twin.edit(|state| webhook(state, "pods/eviction", false));
        pass(driver, 30).await;
        for line in ["status", "drain k8s-node4 --dry-run"] {
            let said = shown(driver, line).await;
            for words in ["failed calling webhook \"evict.guard.io\"", "service \"guard\" not found"] {
                assert!(said.contains(words), "{line}: {said}");
            }
        }
        driver.twin.edit(|state| state.store.remove(&Key::new(Kind::ValidatingWebhook, "", "guard")));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// With whatever code: who denies may first move what runs in the pod, and lets it go then. Longer than a missing right is waited for.
#[test]
pub fn a_webhooks_denial_is_waited_for() {
    let end = observed(runbook(), async |driver| {
        driver.twin.edit(|state| webhook(state, "pods/eviction", true));
        for (node, code) in [("k8s-node4", 400), ("k8s-node3", 403), ("k8s-node2", 500)] {
            let denial = (code, format!("{node} is not empty yet"));
            when(driver, "a worker", is_out(node)).await;
            driver.twin.edit(|state| state.denials.insert("evict.guard.io".to_owned(), denial));
            pass(driver, 120).await;
            let said = shown(driver, "status").await;
            let words = format!("admission webhook \"evict.guard.io\" denied the request: {node} is not empty yet");
            assert!(said.contains(&words), "{said}");
            driver.twin.edit(|state| state.denials.clear());
            let node = Key::node(node);
            when(driver, "its end", |state| state.store.get(&node).is_some_and(|node| node["spec"]["unschedulable"] != true))
                .await;
        }
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(!jobs(&end).contains("Failed"), "{}", jobs(&end));
    done(&end, &[]);
}

/// Before anything is touched: who answers for nobody, and who does so from the node that is drained first. It is a warning.
#[test]
pub fn preflight_warns_of_webhooks_that_would_be_in_the_way() {
    let line = "preflight --target 1.34.7 --dry-run";
    observed(runbook(), async |driver| {
        assert!(!shown(driver, line).await.contains("webhook"));
        driver.twin.edit(|state| webhook(state, "pods/eviction", false));
        let said = shown(driver, line).await;
        let nobody = "must be asked of pods/eviction, and its Service kube-system/guard has no ready endpoint";
        assert!(said.contains(nobody) && said.contains("every gate that changes nothing passes"), "{said}");
        driver.twin.edit(|state| {
            state.store.remove(&Key::new(Kind::ValidatingWebhook, "", "guard"));
            webhook(state, "pods/eviction", true);
            let slice = Key::new(Kind::EndpointSlice, "kube-system", "guard-1");
            state.store.update(&slice, |slice| slice["endpoints"][0]["nodeName"] = json!("k8s-master"));
        });
        let said = shown(driver, line).await;
        assert!(said.contains("has all its pods on k8s-master, which is drained next"), "{said}");
    });
}

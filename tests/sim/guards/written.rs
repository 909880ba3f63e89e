//! Writes and deletions under a precondition: what has changed since it was looked at is not written over, and what has another's name by
//! now is left alone.

use std::sync::{Arc, Mutex};

use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::{Value, json};

use super::super::hands::{NEW, is_out, runbook, version};
use super::super::late::OTHER;
use super::super::world::{NAMESPACE, at_work, begin, in_flight, live, mark, namespace, pass, quick, tail, types, when};

/// Does something once, just before a call has its effect.
struct Before<C, A> {
    call: C,
    act: A,
    done: bool,
}

impl<C: FnMut(&Call) -> bool + Send, A: FnMut(&mut State, &Call) + Send> Hook for Before<C, A> {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if !self.done && (self.call)(call) {
            self.done = true;
            (self.act)(state, call);
        }
        Fate::Go
    }
}

fn before(
    call: impl FnMut(&Call) -> bool + Send + 'static,
    act: impl FnMut(&mut State, &Call) + Send + 'static,
) -> Option<Box<dyn Hook>> {
    Some(Box::new(Before { call, act, done: false }))
}

/// An object that has taken another's place, under its name.
fn replaced(state: &mut State, key: &Key, edit: impl FnOnce(&mut Value)) -> String {
    let mut object = (*state.store.remove(key).unwrap()).clone();
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| ["name", "namespace", "labels", "annotations", "ownerReferences"].contains(&field.as_str()));
    edit(&mut object);
    let made = state.store.create(state.now(), key.kind, object).unwrap();
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// A person cordons the node between our look at it and our write: it stays theirs.
#[test]
pub fn a_cordon_of_the_last_moment_is_a_persons() {
    let cordons = |call: &Call| call.what.starts_with("PATCH /api/v1/nodes/k8s-master");
    let act = |state: &mut State, _: &Call| {
        state.store.update(&Key::node("k8s-master"), |node| node["spec"]["unschedulable"] = json!(true));
    };
    live(runbook(), before(cordons, act), async |driver| {
        when(driver, "the first worker", is_out("k8s-node4")).await;
        driver.twin.look(|state| {
            let node = state.store.get(&Key::node("k8s-master")).unwrap();
            assert!(version(state, "k8s-master") == NEW && node["spec"]["unschedulable"] == true, "{}", tail(state, 40));
        });
    });
}

/// Somebody replaces a failed Job between our look at it and its deletion: theirs stays.
#[test]
pub fn a_job_of_the_last_moment_stays() {
    let failed = live(runbook(), None, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.key_refused = true));
        when(driver, "its end", |state| !at_work(state)).await;
        pass(driver, 60).await;
        driver.twin.look(State::clone)
    });
    let key = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4");
    let deletes = |call: &Call| call.what.starts_with("DELETE") && call.what.contains("/jobs/");
    let made = Arc::<Mutex<String>>::default();
    let (theirs, at) = (made.clone(), key.clone());
    let act = move |state: &mut State, _: &Call| {
        *theirs.lock().unwrap() = replaced(state, &at, |job| {
            job["spec"].as_object_mut().unwrap().remove("selector");
            job["spec"]["suspend"] = json!(true);
            job["status"] = json!({});
        });
    };
    live(failed, before(deletes, act), async |driver| {
        types(driver, "resume", "resume --yes").await;
        driver.twin.look(|state| {
            let there = state.store.get(&key).map(|job| job["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
            let made = made.lock().unwrap();
            assert!(!made.is_empty() && there.as_ref() == Some(&*made), "{there:?}, not {made}\n{}", tail(state, 30));
        });
    });
}

/// A StatefulSet's pod has moved to another node under the same name between our look and its eviction, or its deletion: it stays there.
fn moved(scenario: &Scenario, pod: &'static str, call: fn(&Call) -> bool) {
    let key = Key::new(Kind::Pod, "db", pod);
    let made = Arc::<Mutex<String>>::default();
    let (theirs, at) = (made.clone(), key.clone());
    let act = move |state: &mut State, _: &Call| {
        *theirs.lock().unwrap() = replaced(state, &at, |pod| pod["spec"]["nodeName"] = json!("k8s-node2"));
    };
    live(begin(scenario), before(call, act), async |driver| {
        when(driver, "its call", |_| !made.lock().unwrap().is_empty()).await;
        pass(driver, 10).await;
        driver.twin.look(|state| {
            let there = state.store.get(&key).expect("the pod is there");
            let stays = there["metadata"]["uid"] == **made.lock().unwrap() && there["metadata"]["deletionTimestamp"].is_null();
            assert!(stays, "{}\n{}", there["metadata"], tail(state, 30));
        });
    });
}

fn database(kind: scenario::WorkloadKind) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = vec!["k8s-node4".to_owned()];
    scenario.workloads.push(Workload { placed_on, ..Workload::new(kind, "db", "pg") });
    scenario
}

#[test]
pub fn a_pod_that_has_moved_is_not_evicted() {
    let evicts = |call: &Call| call.changes && call.what.contains("/namespaces/db/pods/pg-0/eviction");
    moved(&database(scenario::WorkloadKind::StatefulSet), "pg-0", evicts);
}

#[test]
pub fn a_pod_that_has_moved_is_not_deleted() {
    let mut scenario = database(scenario::WorkloadKind::StatefulSet);
    scenario.settings.insert("drain-unstick".to_owned(), json!("all"));
    scenario.settings.insert("drain-unstick-after".to_owned(), json!("30s"));
    scenario.budgets.push(Budget {
        namespace: "db".to_owned(),
        name: "pg".to_owned(),
        selector: [("app".to_owned(), "pg".to_owned())].into(),
        expressions: Vec::new(),
        min_available: Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(1)),
        max_unavailable: None,
        unhealthy_policy: None,
        annotations: Default::default(),
        owner: None,
    });
    let deletes = |call: &Call| call.what.starts_with("DELETE") && call.what.contains("/namespaces/db/pods/pg-0");
    moved(&scenario, "pg-0", deletes);
}

fn another_run(state: &mut State, _: &Call) {
    let key = Key::new(Kind::Namespace, "", NAMESPACE);
    for mark in ["run-id", "prepared"].map(|suffix| format!("viktorbarzin.me/k8s-upgrade-{suffix}")) {
        state.store.update(&key, |namespace| namespace["metadata"]["annotations"][&mark] = json!(OTHER));
    }
}

fn other_stands(state: &State) {
    assert!(in_flight(state) && mark(namespace(state), "run-id") == Some(OTHER), "{}", tail(state, 40));
}

/// Its run has ended and another one is in flight when postflight asks whose pod it is: it ends none.
#[test]
pub fn a_late_postflight_ends_no_other_run() {
    let asks = |call: &Call| {
        let ours = call.who.to_string().starts_with("k8s-upgrade-postflight");
        ours && call.what.starts_with("GET /api/v1/namespaces/k8s-upgrade/pods/k8s-upgrade-postflight")
    };
    live(runbook(), before(asks, another_run), async |driver| {
        when(driver, "postflight", |state| mark(namespace(state), "run-id") == Some(OTHER)).await;
        pass(driver, 300).await;
        driver.twin.look(other_stands);
    });
}

/// The same while it waits at its gates.
#[test]
pub fn a_run_that_began_while_postflight_waited_is_not_ended() {
    live(runbook(), None, async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(|state| super::super::recovery::fires(state, "K8sUpgradeHaltedByOperator"));
        pass(driver, 120).await;
        driver.twin.edit(|state| {
            let key = Key::new(Kind::Namespace, "", NAMESPACE);
            let run = "viktorbarzin.me/k8s-upgrade-run-id";
            state.store.update(&key, |namespace| namespace["metadata"]["annotations"][run] = json!(OTHER));
            state.web.prometheus.injected.clear();
        });
        pass(driver, 600).await;
        driver.twin.look(other_stands);
    });
}

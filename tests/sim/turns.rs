//! Several control planes to a new minor version: each has two turns, kubeadm's and then, once every API server is new, its kubelet's. The
//! second is a turn as any other: it may be stopped, and a drain that cannot end gives the node back.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Toleration, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::hands::{is_out, observed, ours, slack, version};
use super::world::{amiss, at_work, begin, components, in_flight, is_over, jobs, mark, quick, tail, types, when};

const OLD: &str = "1.34.7";
const TARGET: &str = "1.35.4";
const FIRST: &str = "k8s-master1";

/// Three control planes, and two pods that run on the first one alone.
fn scenario() -> Scenario {
    let mut scenario = quick(Scenario::three_control_planes_minor());
    let label = BTreeMap::from([("app".to_owned(), "keeper".to_owned())]);
    scenario.workloads.push(Workload {
        replicas: 2,
        node_selector: BTreeMap::from([("kubernetes.io/hostname".to_owned(), FIRST.to_owned())]),
        // Not the cordon's: such a pod comes back to the node that it was evicted from.
        tolerations: vec![Toleration {
            key: Some("node-role.kubernetes.io/control-plane".to_owned()),
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        }],
        ..Workload::new(scenario::Kind::Deployment, "vault", "keeper")
    });
    let budget = scenario.budgets[0].clone();
    scenario.budgets.push(Budget {
        namespace: "vault".to_owned(),
        name: "keeper".to_owned(),
        selector: label,
        min_available: Some(IntOrString::Int(0)),
        max_unavailable: None,
        ..budget
    });
    scenario
}

/// How many of the two pods must stay.
fn keep(driver: &Driver<'_>, pods: u64) {
    driver.twin.edit(|state| {
        state.store.update(&Key::new(Kind::Budget, "vault", "keeper"), |budget| {
            budget["spec"]["minAvailable"] = json!(pods);
        });
    });
}

fn all_servers_new(state: &State) -> bool {
    components(state).filter(|(_, name, _)| *name == "kube-apiserver").all(|(.., version)| version == TARGET)
}

/// Its first turn is over, and all its marks stand; its second has changed nothing.
#[track_caller]
fn rests(state: &State) {
    let told = format!("{}\n{}", jobs(state), tail(state, 60));
    assert!(ours(state).is_empty() && in_flight(state) && !at_work(state), "{told}");
    let node = state.store.get(&Key::node(FIRST)).unwrap();
    assert!(node["spec"]["unschedulable"] != true && version(state, FIRST) == OLD, "{told}");
    assert!(mark(node, "changed-at").is_some() && mark(node, "former-versions").is_some(), "{node}");
}

#[track_caller]
fn upgraded(end: &State) {
    let wrong = amiss(end, TARGET, &BTreeSet::new());
    assert!(wrong.is_empty() && is_over(end), "{}\n{}\n{}", wrong.join("\n"), jobs(end), tail(end, 60));
    for (node, runs) in [(FIRST, 1), ("k8s-master2", 1), ("k8s-master3", 1)] {
        assert_eq!(end.hosts.kubeadm_runs(node, TARGET).ended_well, runs, "{node}");
    }
}

/// A budget holds the drain of each turn. Both times the node serves again, people are told, and `resume` goes on once it is mended.
#[test]
fn a_drain_that_cannot_end_gives_the_node_back_in_both_turns() {
    let end = observed(begin(&scenario()), async |driver| {
        keep(driver, 2);
        when(driver, "the first hold", |state| is_out(FIRST)(state)).await;
        when(driver, "its end", |state| !at_work(state)).await;
        driver.twin.look(|state| assert!(ours(state).is_empty() && version(state, FIRST) == OLD, "{}", tail(state, 60)));
        keep(driver, 0);
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "every API server new", all_servers_new).await;
        keep(driver, 2);
        when(driver, "the second turn", is_out(FIRST)).await;
        when(driver, "its end", |state| !at_work(state)).await;
        driver.twin.look(rests);
        keep(driver, 0);
        assert_eq!(types(driver, "again", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    upgraded(&end);
    let stopped = slack(&end).split("\n---\n").filter(|told| told.starts_with("🛑") && told.contains(FIRST)).count();
    assert_eq!(stopped, 2, "{}", slack(&end));
}

/// A halt stops the drain of a second turn at once; and a runner that was killed in it finds the halt and gives the node back, too.
#[test]
fn a_halt_stops_a_second_turn_that_has_changed_nothing() {
    for killed in [false, true] {
        let end = observed(begin(&scenario()), async |driver| {
            when(driver, "every API server new", all_servers_new).await;
            keep(driver, 2);
            when(driver, "the second turn", is_out(FIRST)).await;
            assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
            if killed {
                driver.twin.edit(State::kill_programs);
            }
            when(driver, "the safe point", |state| ours(state).is_empty() && !at_work(state)).await;
            driver.twin.look(rests);
            keep(driver, 0);
            assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
            assert_eq!(types(driver, "resume", "resume").await.0, 0);
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        upgraded(&end);
    }
}

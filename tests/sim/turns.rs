//! Several control planes to a new minor version: each has two turns, kubeadm's and then, once every API server is new, its kubelet's. The
//! second is a turn as any other: it may be stopped, and a drain that cannot end gives the node back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::hosts::{self, Dpkg};
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Toleration, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::hands::{autoscaled, is_out, observed, ours, slack, unit_runs, version};
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
        ..Workload::new(scenario::WorkloadKind::Deployment, "vault", "keeper")
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

fn begun() -> State {
    let mut state = begin(&scenario());
    autoscaled(&mut state, "Deployment", "vault", "keeper");
    state
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

/// No member of etcd is restarted while it leads: neither by kubeadm, nor in the second turn by the kubelet, which starts every static pod anew.
#[test]
fn leadership_moves_off_before_both_turns() {
    let end = observed(begin(&quick(Scenario::three_control_planes_minor())), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(end.hosts.elections, 0, "{}", tail(&end, 60));
    let moved = end.history.all().iter().filter(|line| line.contains("the leadership of etcd moves from")).count();
    assert_eq!(moved, 3, "off the first, off the last, and off whom that left it to, before its kubelet\n{}", tail(&end, 60));
}

/// A budget holds the drain of each turn. Both times the node serves again, people are told, and `resume` goes on once it is mended.
#[test]
fn a_drain_that_cannot_end_gives_the_node_back_in_both_turns() {
    let end = observed(begun(), async |driver| {
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
        let end = observed(begun(), async |driver| {
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

/// A person has cordoned it, so no cordon of ours tells that a runner was killed in its second turn: the record of its beginning does. The
/// node soaks from that turn's end on.
#[test]
pub fn a_second_turn_under_a_persons_cordon_is_ended_by_the_next_runner() {
    let mut scenario = scenario();
    scenario.nodes.iter_mut().filter(|node| node.name == FIRST).for_each(|node| node.cordoned = true);
    let changed = |state: &State| mark(state.store.get(&Key::node(FIRST)).unwrap(), "changed-at").map(str::to_owned);
    let end = observed(begin(&scenario), async |driver| {
        when(driver, "every API server new", all_servers_new).await;
        let first_turn = driver.twin.look(changed).expect("its first turn is on record");
        when(driver, "its new kubelet", |state| version(state, FIRST) == TARGET).await;
        driver.twin.edit(State::kill_programs);
        when(driver, "another one's second turn", |state| ours(state).iter().any(|node| node != FIRST)).await;
        let second_turn = driver.twin.look(changed);
        assert!(second_turn.as_ref().is_some_and(|at| *at > first_turn), "{second_turn:?}, and {first_turn} before");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    let wrong = amiss(&end, TARGET, &BTreeSet::from([FIRST.to_owned()]));
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
}

/// Its runner and the node's power are lost while its kubelet's package is half installed. When it is back, the package is mended, which
/// makes it new, but another API server does not show its version: a restart could bring a kubelet that is newer than that. So the node stays
/// out of service, and `resume` goes on once the server shows.
#[test]
pub fn a_kubelet_whose_package_is_new_does_not_wait_in_service() {
    let server = Key::new(Kind::Pod, "kube-system", "kube-apiserver-k8s-master2");
    let end = observed(begun(), async |driver| {
        when(driver, "every API server new", all_servers_new).await;
        when(driver, "its kubelet's packages", unit_runs(FIRST, "kubelet-packages")).await;
        let half = |state: &State| state.hosts.machine(FIRST).unwrap().packages["kubelet"].dpkg == Dpkg::HalfInstalled;
        when(driver, "its kubelet half installed", half).await;
        let shown = driver.twin.edit(|state| {
            let mut shown = (*state.store.remove(&server).unwrap()).clone();
            shown["metadata"].as_object_mut().unwrap().retain(|key, _| key != "uid" && key != "resourceVersion");
            hosts::power_cut(state, FIRST, Duration::from_secs(30));
            state.kill_programs();
            shown
        });
        when(driver, "the hold", |state| slack(state).contains("🛑")).await;
        when(driver, "its end", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            let told = format!("{}\n{}\n{}", slack(state), jobs(state), tail(state, 60));
            assert!(ours(state) == [FIRST] && version(state, FIRST) == OLD && in_flight(state), "{told}");
            assert!(slack(state).contains("that of k8s-master2 shows no version"), "{told}");
        });
        driver.twin.edit(|state| state.store.create(state.now(), Kind::Pod, shown).unwrap());
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    let wrong = amiss(&end, TARGET, &BTreeSet::new());
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
}

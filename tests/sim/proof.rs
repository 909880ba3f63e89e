//! No crash can wedge a run, and no rule is ever broken: shown by trying.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::scenario::{self, Workload};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, Scenario, State, Who};
use serde_json::{Value, json};

use super::crash::matrix;
use super::faults::What;
use super::rules::Observer;
use super::schedules::schedules;
use super::waves::waves;
use super::world::{
    LIMIT, NAMESPACE, amiss, at_work, begin, calm, cordoned_by_people, is_over, jobs, live, mark, quick, said, tail, to_the_end,
    version_of, when,
};

/// Of the runs to a patch release so many points are tried: their steps are those of a run to a minor version, which is tried at all.
const EACH: usize = 3;

#[test]
fn crash_matrix_patch_of_five_nodes() {
    matrix("patch, five nodes", EACH, Scenario::runbook());
}

/// With a node that a person has cordoned, and a Deployment that takes longer to be whole again than a node soaks.
#[test]
fn crash_matrix_minor_of_five_nodes() {
    let mut scenario = Scenario::runbook_minor();
    scenario.nodes.iter_mut().filter(|node| node.name == "k8s-node2").for_each(|node| node.cordoned = true);
    let slow = Workload {
        replicas: 2,
        ready_after_seconds: Some(90),
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    matrix("minor, five nodes", 1, scenario);
}

#[test]
fn crash_matrix_patch_of_three_control_planes() {
    matrix("patch, three control planes", EACH, Scenario::three_control_planes());
}

/// Their kubelets follow once all three API servers are new.
#[test]
fn crash_matrix_minor_of_three_control_planes() {
    matrix("minor, three control planes", 1, Scenario::three_control_planes_minor());
}

/// Two workers at a time, at fewer points: the steps of each are those of one alone. A runner is killed while another works, and while both create
/// what follows.
#[test]
fn crash_matrix_patch_two_at_a_time() {
    matrix("patch, two at a time", 2 * EACH, waves(Scenario::runbook(), "2"));
}

#[test]
fn crash_matrix_patch_three_at_a_time() {
    matrix("patch, three at a time", 3 * EACH, waves(Scenario::runbook(), "3"));
}

#[test]
fn random_schedules_two_at_a_time() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    schedules("patch, two at a time", &calm(waves(Scenario::runbook(), "2")), number("SEED", 1), number("SCHEDULES", 200));
}

/// SCHEDULES and SEED choose how many, and from where: a longer run is `SCHEDULES=20000 cargo test --profile sim --test sim random`.
#[test]
fn random_schedules() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    schedules("patch, five nodes", &calm(Scenario::runbook()), number("SEED", 1), number("SCHEDULES", 800));
}

/// A person types `preflight` when the chain's has just looked for work by hand; both find no run, and then both claims are on their way,
/// the chain's for ten seconds, theirs for longer. (Two persons find each other by the Lease of work by hand, and who finds it defers.)
#[test]
pub fn two_claims_at_once() {
    struct Slow {
        looked: Arc<AtomicBool>,
        claimed: Vec<bool>,
    }
    impl Hook for Slow {
        fn before(&mut self, _: &mut State, call: &Call) -> Fate {
            let person = call.who == Who::Operator("first".to_owned());
            if !person && call.what.contains("leases/k8s-upgrade-by-hand") {
                self.looked.store(true, Ordering::Relaxed);
            }
            let claim = call.what.starts_with("PATCH /api/v1/namespaces/k8s-upgrade?") && !self.claimed.contains(&person);
            if !claim {
                return Fate::Go;
            }
            self.claimed.push(person);
            Fate::Late(Duration::from_secs(if person { 16 } else { 10 }))
        }
    }
    let scenario = quick(Scenario::runbook());
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let looked = Arc::new(AtomicBool::new(false));
    let slow = Slow { looked: looked.clone(), claimed: Vec::new() };
    let (mut observer, broken) = Observer::new(&state, Some(Box::new(slow)));
    observer.steady = true;
    live(state, Some(Box::new(observer)), async |driver| {
        let limit = later(driver.twin.now(), LIMIT);
        let preflight =
            |state: &State| state.store.get(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-preflight-1-34-7")).is_some();
        assert!(driver.until(limit, preflight).await);
        looked.store(false, Ordering::Relaxed); // that was the detection's
        assert!(driver.until(limit, |_| looked.load(Ordering::Relaxed)).await);
        driver.operate("first", &["k8s-upgrade", "preflight", "--target", &target], BTreeMap::new());
        let code = driver.until_ended("first", limit).await;
        driver.until(limit, is_over).await;
        driver.twin.look(|state| {
            let (wrong, broken) = (amiss(state, &target, &BTreeSet::new()), broken.lock().unwrap());
            let said = said(state, "first");
            assert!(code == Some(6) && said.contains("is in flight"), "{code:?}\n{said}\n{}", tail(state, 60));
            assert!(wrong.is_empty() && broken.is_empty(), "{wrong:?}\n{broken:?}\n{}", tail(state, 60));
        });
    });
}

/// A second pod of a Job whose first is at work, as a Job controller can make for a moment: it waits for the node's Lease.
#[test]
fn two_runners_of_one_node() {
    let scenario = quick(Scenario::runbook());
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let (observer, broken) = Observer::new(&state, None);
    let end = live(state, Some(Box::new(observer)), async |driver| {
        let limit = later(driver.twin.now(), LIMIT);
        let drains =
            |state: &State| state.store.get(&Key::node("k8s-node4")).is_some_and(|node| mark(node, "cordoned-by").is_some());
        assert!(driver.until(limit, drains).await);
        What::SecondRunner.happens(driver, 1);
        driver.until(limit, is_over).await;
        driver.twin.look(State::clone)
    });
    let (mut wrong, waited) = (amiss(&end, &target, &BTreeSet::new()), "the node's Lease: held by");
    wrong.extend(broken.lock().unwrap().drain(..));
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
    assert!(end.logs.values().any(|log| log.newest().any(|line| line.contains(waited))), "nobody waited for the Lease");
}

/// A second Job of the chain, for another worker, beside the one that is at work, as a former runner that was thought dead can make: both
/// pass the gates together. No pod of one node is evicted while the other is out of service, and the run goes to its end.
#[test]
pub fn two_nodes_at_once() {
    const NODES: [&str; 2] = ["k8s-node4", "k8s-node3"];
    let out =
        |state: &State, name: &str| state.store.get(&Key::node(name)).is_some_and(|node| mark(node, "cordoned-by").is_some());
    struct Both<O> {
        out: O,
        /// The first one's cordon is on its way until the other has passed its gates, too.
        is_late: bool,
        evicted: Arc<Mutex<Vec<String>>>,
    }
    impl<O: Fn(&State, &str) -> bool + Send> Hook for Both<O> {
        fn before(&mut self, state: &mut State, call: &Call) -> Fate {
            let of = |node: &&str| call.who.to_string().starts_with(&format!("k8s-upgrade-worker-1-34-7-{node}"));
            if call.what.contains("/eviction") && NODES.iter().any(of) && NODES.iter().all(|node| (self.out)(state, node)) {
                self.evicted.lock().unwrap().push(format!("{}: {}", call.who, call.what));
            }
            if call.what.contains(&format!("PATCH /api/v1/nodes/{}", NODES[0])) && !std::mem::replace(&mut self.is_late, true) {
                return Fate::Late(Duration::from_secs(8));
            }
            Fate::Go
        }
    }
    let scenario = quick(Scenario::runbook());
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let evicted = Arc::<Mutex<Vec<String>>>::default();
    let end = live(state, Some(Box::new(Both { out, is_late: false, evicted: evicted.clone() })), async |driver| {
        let jobs = NODES.map(|node| Key::new(Kind::Job, NAMESPACE, &format!("k8s-upgrade-worker-1-34-7-{node}")));
        let starts = format!("{}-", jobs[0].name);
        let runs = |state: &State| state.history.newest().any(|line| line.contains(&starts) && line.contains(" starts: "));
        when(driver, "the first worker's runner", runs).await;
        driver.twin.edit(|state| {
            let text = state.store.get(&jobs[0]).unwrap().to_string().replace(NODES[0], NODES[1]);
            let job: Value = serde_json::from_str(&text).unwrap();
            let [mut metadata, mut spec] = [job["metadata"].clone(), job["spec"].clone()];
            metadata
                .as_object_mut()
                .unwrap()
                .retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
            spec.as_object_mut().unwrap().remove("selector");
            let now = state.now();
            state.store.create(now, Kind::Job, json!({ "metadata": metadata, "spec": spec })).unwrap();
        });
        let both = |state: &State| NODES.iter().all(|node| out(state, node));
        when(driver, "both nodes out of service", both).await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    let (mut wrong, evicted) = (amiss(&end, &target, &BTreeSet::new()), evicted.lock().unwrap());
    wrong.extend(evicted.iter().map(|what| format!("evicted while both nodes were out: {what}")));
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 80));
}

/// A person has halted a run, by hand: its Job stops, and the watch waits for the person's word.
#[test]
fn a_halted_run_is_left_alone() {
    const HALTED: &str = "viktorbarzin.me/k8s-upgrade-halted";
    let scenario = quick(Scenario::runbook());
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let key = Key::new(Kind::Namespace, "", "k8s-upgrade");
    let versions =
        |state: &State| -> Vec<String> { state.store.list(Kind::Node).map(|(_, node)| version_of(node).to_owned()).collect() };
    let end = live(state, None, async |driver| {
        let limit = later(driver.twin.now(), LIMIT);
        let soaks =
            |state: &State| state.store.get(&Key::node("k8s-node4")).is_some_and(|node| mark(node, "changed-at").is_some());
        assert!(driver.until(limit, soaks).await);
        driver.twin.edit(|state| {
            state.store.update(&key, |namespace| namespace["metadata"]["annotations"][HALTED] = "a person says so".into())
        });
        // It has seen that, and ended at its safe point.
        assert!(driver.until(limit, |state| !at_work(state)).await);
        let before = driver.twin.look(versions);
        driver.until(later(driver.twin.now(), Duration::from_secs(3 * 3600)), |_| false).await;
        driver.twin.look(|state| assert_eq!(versions(state), before, "{}", tail(state, 60)));
        driver.twin.edit(|state| {
            state.store.update(&key, |namespace| {
                namespace["metadata"]["annotations"].as_object_mut().unwrap().remove(HALTED);
            })
        });
        driver.operate("resume", &["k8s-upgrade", "resume"], BTreeMap::new());
        driver.until(later(driver.twin.now(), LIMIT), is_over).await;
        driver.twin.look(State::clone)
    });
    let wrong = amiss(&end, &target, &BTreeSet::new());
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
}

/// With the settings that a cluster has which sets none.
#[test]
fn a_run_with_all_defaults() {
    let scenario = Scenario::runbook();
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let cordoned = cordoned_by_people(&state);
    let end = super::world::started_by_hand(state, &target);
    let wrong = amiss(&end, &target, &cordoned);
    assert!(wrong.is_empty(), "{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
}

/// One seed gives one history, to the byte; another gives another.
#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed: u64| {
        let mut state = begin(&quick(Scenario::runbook()));
        state.reseed(seed);
        let end = to_the_end(state, None);
        let mut all = end.history.all().join("\n");
        for (uid, lines) in &end.logs {
            all.push_str(&format!("\n--- {uid}\n{}", lines.all().join("\n")));
        }
        all
    };
    let first = history(7);
    assert!(first.lines().count() > 200, "{first}");
    assert!(first == history(7), "two histories of one seed differ");
    assert!(first != history(8), "two seeds give one history");
}

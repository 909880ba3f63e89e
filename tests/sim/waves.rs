//! Several workers at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_upgrade::twin::scenario::{Node, WorkloadKind};
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{Scenario, State};

use super::rules::Observer;
use super::world::{self, amiss, begin, is_over, live, mark, pass, quick, to_the_end, types, when};

/// With the setting `max-unavailable`.
pub fn waves(mut scenario: Scenario, share: &str) -> Scenario {
    scenario.settings.insert("max-unavailable".to_owned(), share.into());
    scenario
}

/// The same where every pod finds another node: one of a StatefulSet may have to wait for its own, and the next drain with it.
fn loose(mut scenario: Scenario) -> Scenario {
    scenario.workloads.retain(|workload| workload.kind != WorkloadKind::StatefulSet);
    let names: Vec<String> = scenario.workloads.iter().map(|workload| workload.name.clone()).collect();
    scenario.budgets.retain(|budget| names.contains(&budget.name));
    scenario
}

/// A run to its end under the observer: how many were out of service at once, and how long it took.
fn lived(scenario: &Scenario) -> (usize, Duration, State) {
    let state = begin(scenario);
    let begun = world::now(&state);
    let (observer, broken) = Observer::new(&state, None);
    let most = observer.most_out.clone();
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, &scenario.target.to_string(), &Default::default());
    wrong.extend(broken.lock().unwrap().drain(..));
    assert!(wrong.is_empty(), "{wrong:#?}\n{}\n{}", world::jobs(&end), world::tail(&end, 80));
    (most.load(Ordering::Relaxed), world::now(&end).duration_since(begun).unsigned_abs(), end)
}

/// The Jobs of nodes in the order in which they were created.
fn order(state: &State) -> Vec<String> {
    let mut jobs: Vec<(String, String)> = state
        .store
        .list(Kind::Job)
        .filter(|(key, _)| key.name.contains("-worker-"))
        .map(|(key, job)| (job["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(), key.name.clone()))
        .collect();
    jobs.sort();
    jobs.into_iter().map(|(_, name)| name.rsplit_once("k8s-").map_or("", |(_, node)| node).to_owned()).collect()
}

#[test]
fn a_run_goes_as_wide_as_it_may_and_no_wider() {
    let scenario = |share: &str| quick(waves(loose(Scenario::runbook()), share));
    let (one, alone, _) = lived(&quick(loose(Scenario::runbook())));
    let (two, wide, end) = lived(&scenario("2"));
    assert_eq!((one, two), (1, 2));
    assert_eq!(order(&end).last().map(String::as_str), Some("node1"), "the runner is the last: {:?}", order(&end));
    assert!(wide < alone, "{wide:?}, {alone:?}");
    // Where a drain has to wait for another node, soaks go beside each other all the same.
    let (_, alone, _) = lived(&quick(Scenario::runbook()));
    let (most, wide, _) = lived(&quick(waves(Scenario::runbook(), "2")));
    assert!(most <= 2 && wide < alone, "{most}, {wide:?}, {alone:?}");
    // Of four workers, three beside each other leave the pods no room: their gates hold the third back until the workloads are whole.
    let (three, _, _) = lived(&scenario("3"));
    assert!((2..=3).contains(&three), "{three}");
    let (most, _, end) = lived(&scenario("100%"));
    assert!((2..=3).contains(&most), "{most}");
    assert_eq!(order(&end).last().map(String::as_str), Some("node1"), "the runner goes alone, and last: {:?}", order(&end));
    let mut minor = waves(loose(Scenario::runbook_minor()), "2");
    minor.settings.insert("ramp-up".to_owned(), "exponential".into());
    assert_eq!(lived(&quick(minor)).0, 2);
}

#[test]
fn one_zone_at_a_time_and_canaries_first() {
    let mut canary = quick(waves(Scenario::runbook(), "3"));
    canary.settings.insert("canary".to_owned(), 2.into());
    let (most, _, end) = lived(&canary);
    assert_eq!((most, order(&end)), (1, ["node4", "node3", "node2", "node1"].map(str::to_owned).into()));
}

/// A person lowers it while two are in work: they are finished, and then no more than one is at a time.
#[test]
fn lowered_in_the_middle_of_a_run() {
    let scenario = quick(waves(loose(Scenario::runbook()), "2"));
    let state = begin(&scenario);
    let (observer, broken) = Observer::new(&state, None);
    let end = live(state, Some(Box::new(observer)), async |driver| {
        let out = |state: &State| state.store.list(Kind::Node).filter(|(_, node)| mark(node, "cordoned-by").is_some()).count();
        when(driver, "two out of service", |state| out(state) == 2).await;
        driver.twin.edit(|state| world::set(state, "max-unavailable", "1"));
        when(driver, "the first two back", |state| out(state) == 0).await;
        let limit = k8s_upgrade::twin::state::later(driver.twin.now(), world::LIMIT);
        let mut most = 0;
        driver
            .until(limit, |state| {
                most = most.max(out(state));
                is_over(state)
            })
            .await;
        assert_eq!(most, 1);
        driver.twin.look(State::clone)
    });
    let mut wrong = amiss(&end, &scenario.target.to_string(), &Default::default());
    wrong.extend(broken.lock().unwrap().drain(..));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One whose drain holds keeps others from beginning, and is tried again by the watch; the one beside it ends well.
#[test]
fn one_that_holds_stops_the_others() {
    let scenario = quick(waves(Scenario::runbook(), "2"));
    let state = begin(&scenario);
    let (observer, broken) = Observer::new(&state, None);
    let end = live(state, Some(Box::new(observer)), async |driver| {
        when(driver, "a worker's Job", |state| !order(state).is_empty()).await;
        driver.twin.edit(|state| world::pause(state, "k8s-node3", true));
        let is = |state: &State, node: &str, version: &str| {
            state.store.list(Kind::Node).any(|(key, found)| key.name == node && world::version_of(found) == version)
        };
        let target = scenario.target.to_string();
        when(driver, "all but the paused", |state| {
            ["k8s-node4", "k8s-node2", "k8s-node1"].iter().all(|node| is(state, node, &target))
        })
        .await;
        pass(driver, 3600).await;
        let (code, said) = types(driver, "looks", "status").await;
        assert_eq!(code, 0);
        assert!(said.contains("k8s-node3") && said.contains("paused"), "{said}");
        assert!(driver.twin.look(world::in_flight));
        driver.twin.edit(|state| world::pause(state, "k8s-node3", false));
        let limit = k8s_upgrade::twin::state::later(driver.twin.now(), world::LIMIT);
        driver.until(limit, is_over).await;
        driver.twin.look(State::clone)
    });
    let mut wrong = amiss(&end, &scenario.target.to_string(), &Default::default());
    wrong.extend(broken.lock().unwrap().drain(..));
    assert!(wrong.is_empty(), "{wrong:#?}\n{}\n{}", world::jobs(&end), world::tail(&end, 80));
}

/// Nodes of which nothing is to be said are counted, unless all are asked for.
#[test]
fn a_large_cluster_is_counted() {
    let mut scenario = quick(waves(Scenario::runbook(), "10%"));
    let one = scenario.nodes.iter().find(|node| node.name == "k8s-node4").unwrap().clone();
    scenario.nodes.extend((5..=60).map(|i| Node {
        name: format!("k8s-node{i}"),
        address: format!("10.0.21.{i}"),
        ..one.clone()
    }));
    live(begin(&scenario), None, async |driver| {
        let out = |state: &State| state.store.list(Kind::Node).filter(|(_, node)| mark(node, "cordoned-by").is_some()).count();
        when(driver, "a worker out of service", |state| order(state).len() > 2 && out(state) > 0).await;
        let rows = |said: &str| said.lines().filter(|line| line.starts_with("  k8s-node")).count();
        let (code, said) = types(driver, "looks", "status").await;
        assert!(code == 0 && rows(&said) < 60 && said.contains("… ") && said.contains("more"), "{said}");
        let (code, said) = types(driver, "looks again", "status --all").await;
        assert!(code == 0 && rows(&said) == 60, "{said}");
    });
}

//! Windows and freezes: nothing is taken out of service outside of them, and what rests goes on by itself. And a run for one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State};
use serde_json::json;

use super::super::hands::{NEW, done, ours, slack, version};
use super::super::rules::Observer;
use super::super::world::{
    LIMIT, at_work, begin, in_flight, is_over, jobs, live, mark, namespace, pass, quick, said, suspend, tail, types, when,
};

const HOUR: u64 = 3600;

/// The week's detection comes on Sunday, 2026-11-22, at 12:00.
fn windowed(windows: &[&str]) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("windows".to_owned(), json!(windows));
    scenario
}

/// When each node was cordoned.
#[derive(Default)]
struct Cordons {
    out: BTreeSet<String>,
    begun: Arc<Mutex<Vec<(Timestamp, String)>>>,
}

impl Hook for Cordons {
    fn before(&mut self, _: &mut State, _: &Call) -> Fate {
        Fate::Go
    }
    fn after(&mut self, state: &mut State, _: &Call) -> Fate {
        let out: BTreeSet<String> = ours(state).into_iter().collect();
        let new = out.difference(&self.out).map(|node| (state.now(), node.clone()));
        self.begun.lock().unwrap().extend(new);
        self.out = out;
        Fate::Go
    }
}

/// Lives under the rules; also when each node was cordoned.
fn lived<T>(state: State, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> (T, Vec<(Timestamp, String)>) {
    let cordons = Cordons::default();
    let begun = cordons.begun.clone();
    let (observer, broken) = Observer::new(&state, Some(Box::new(cordons)));
    let end = live(state, Some(Box::new(observer)), work);
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    let begun = begun.lock().unwrap().clone();
    (end, begun)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn until(driver: &mut Driver<'_>, time: &str) {
    driver.until(at(time), |_| false).await;
}

/// A person's command on a machine whose settings have these windows.
async fn asks(driver: &mut Driver<'_>, line: &str, windows: &str) -> (u8, String) {
    let name = format!("{line} at {}", driver.twin.now());
    let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).collect();
    let env = BTreeMap::from([("K8S_UPGRADE_WINDOWS".to_owned(), windows.to_owned())]);
    driver.operate_with(&name, &argv, env, BTreeMap::new());
    let limit = driver.twin.now() + LIMIT;
    let code = driver.until_ended(&name, limit).await.expect("the command ends");
    (code, driver.twin.look(|state| said(state, &name)))
}

fn progress(state: &State) -> f64 {
    state.web.pushgateway.groups["k8s-version-upgrade"]["k8s_upgrade_progress_timestamp"]
}

/// As far as a rest goes: nothing works, nothing is out of service, nothing has failed and nobody is woken.
fn rests(state: &State) {
    assert!(in_flight(state) && !at_work(state) && ours(state).is_empty(), "{}\n{}", jobs(state), tail(state, 40));
    assert!(mark(namespace(state), "resting").is_some(), "{}", tail(state, 40));
    assert!(!jobs(state).contains("Failed"), "{}", jobs(state));
    assert!(!slack(state).contains('⏳') && !slack(state).contains('🛑'), "{}", slack(state));
    let ago = state.now().as_second() as f64 - progress(state);
    assert!(ago <= 660.0, "the last progress was {ago} s ago, and the run counts as stalled");
}

const TWO: [&str; 2] = ["Sun 12:00-13:00 UTC", "Mon 12:00-16:00 UTC"];

/// With a soak that makes a node take its time.
fn slow() -> Scenario {
    let mut scenario = windowed(&TWO);
    scenario.settings.insert("soak".to_owned(), "10m".into());
    scenario
}

/// The first window has room for the control plane, the second one for the rest. Nobody types anything.
#[test]
pub fn a_run_rests_between_two_windows_and_goes_on_by_itself() {
    let (end, cordons) = lived(begin(&slow()), async |driver| {
        for time in ["2026-11-22T13:30:00Z", "2026-11-23T11:50:00Z"] {
            until(driver, time).await;
            driver.twin.look(rests);
        }
        let (code, said) = types(driver, "look", "status").await;
        assert!(code == 0 && said.contains("rests") && said.contains("it may begin at Mon <time>"), "{said}");
        assert!(said.contains("safe to walk away: yes"), "{said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(slack(&end).matches("rests before").count(), 1, "{}", slack(&end));
    let in_window = |time: &Timestamp| {
        let has = |from, to| (at(from)..at(to)).contains(time);
        has("2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z") || has("2026-11-23T12:00:00Z", "2026-11-23T16:00:00Z")
    };
    assert!(cordons.iter().all(|(time, _)| in_window(time)), "{cordons:?}");
    let first = cordons.iter().filter(|(time, _)| *time < at("2026-11-23T00:00:00Z")).count();
    assert!((1..5).contains(&first) && cordons.len() == 5, "{cordons:?}");
}

/// Found on Sunday, begun on Tuesday: a deferral lives until its window, however far that is, and nobody is reminded of it.
#[test]
fn what_detection_finds_begins_in_the_next_window() {
    let (end, cordons) = lived(begin(&windowed(&["Tue 01:00-05:00 UTC"])), async |driver| {
        until(driver, "2026-11-24T00:55:00Z").await;
        driver.twin.look(|state| {
            assert!(!in_flight(state) && mark(namespace(state), "deferred").is_some(), "{}", tail(state, 40));
            assert!(slack(state).is_empty(), "{}", slack(state));
        });
        let (code, said) = types(driver, "look", "status").await;
        let wanted = "waits: this is outside of the windows (Tue 01:00-05:00 UTC): it may begin at Tue <time>";
        assert!(code == 0 && said.split_whitespace().collect::<Vec<_>>().join(" ").contains(wanted), "{said}");
        let (code, said) = asks(driver, "detect --dry-run", "Tue 01:00-05:00 UTC").await;
        let wanted = ["1.34.7 is there, but this is outside of the windows", "it may begin at Tue 2026-11-24 01:00 UTC"];
        assert!(code == 0 && wanted.iter().all(|wanted| said.contains(wanted)), "{said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let window = at("2026-11-24T01:00:00Z")..at("2026-11-24T05:00:00Z");
    assert!(cordons.iter().all(|(time, _)| window.contains(time)), "{cordons:?}");
}

/// Typed where the settings know of no window: the cluster's own do.
#[test]
pub fn a_run_that_is_begun_elsewhere_waits_for_the_installations_window() {
    let mut state = begin(&windowed(&["Mon 12:00-16:00 UTC"]));
    suspend(&mut state, "k8s-version-check");
    lived(state, async |driver| {
        assert_eq!(types(driver, "start", "start --target 1.34.7 --yes").await.0, 0);
        pass(driver, HOUR).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state) && mark(namespace(state), "deferred").is_some(), "{}", tail(state, 40));
            assert!(slack(state).contains("this is outside of the windows"), "{}", slack(state));
        });
    });
}

/// A person is told when, and what to add; with that word the run needs no window.
#[test]
fn a_person_is_refused_outside_of_a_window_and_may_say_now() {
    let windows = "Mon 12:00-16:00 UTC";
    let mut state = begin(&windowed(&[windows]));
    suspend(&mut state, "k8s-version-check");
    let (end, _) = lived(state, async |driver| {
        let (code, said) = asks(driver, "start --target 1.34.7 --yes", windows).await;
        let wanted = ["it may begin at Mon 2026-11-23 12:00 UTC", "k8s-upgrade start --target 1.34.7 --now"];
        assert!(code == 4 && wanted.iter().all(|wanted| said.contains(wanted)), "{code}: {said}");
        driver.twin.look(|state| assert!(jobs(state).is_empty(), "{}", jobs(state)));
        assert_eq!(asks(driver, "start --target 1.34.7 --yes --now", windows).await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert!(end.now() < at("2026-11-23T12:00:00Z"), "{}", end.now());
    assert!(mark(namespace(&end), "outside-windows").is_none());
}

/// A run that was begun so and gave up leaves its word behind; it is no word for the next one.
#[test]
fn a_word_for_one_run_is_none_for_the_next() {
    let mut state = begin(&windowed(&["Mon 12:00-16:00 UTC"]));
    state.store.update(&Key::new(Kind::Namespace, "", "k8s-upgrade"), |namespace| {
        namespace["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-outside-windows"] =
            json!("0badcafe 2026-11-20T12:00:00Z");
    });
    suspend(&mut state, "k8s-version-check");
    lived(state, async |driver| {
        assert_eq!(types(driver, "start", "start --target 1.34.7 --yes").await.0, 0);
        pass(driver, HOUR).await;
        driver.twin.look(|state| assert!(!in_flight(state), "{}", tail(state, 40)));
    });
}

/// The same in the middle: also where the settings of whoever types know of no window.
#[test]
fn a_run_that_rests_goes_on_at_once_by_a_persons_word() {
    let (end, _) = lived(begin(&slow()), async |driver| {
        until(driver, "2026-11-22T14:00:00Z").await;
        driver.twin.look(rests);
        let (code, said) = types(driver, "resume", "resume").await;
        assert!(code == 4 && said.contains("k8s-upgrade resume --now"), "{code}: {said}");
        driver.twin.look(rests);
        assert_eq!(types(driver, "now", "resume --now").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert!(end.now() < at("2026-11-23T12:00:00Z"), "{}", end.now());
}

/// Another team's freezes: one that is not there, one that cannot be read and one that stands all keep the run from beginning.
#[test]
pub fn freezes_that_nobody_can_read_hold() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("freeze-configmap".to_owned(), "ops/freezes".into());
    let key = || Key::new(Kind::ConfigMap, "ops", "freezes");
    let (end, _) = lived(begin(&scenario), async |driver| {
        let held = |driver: &mut Driver<'_>, why: &str| {
            driver.twin.look(|state| assert!(!in_flight(state), "{why}\n{}", tail(state, 40)));
        };
        pass(driver, 2 * HOUR).await;
        held(driver, "there is none");
        driver.twin.edit(|state| {
            let now = state.now();
            let map = json!({ "metadata": { "name": "freezes", "namespace": "ops" }, "data": { "sale": "next week" } });
            state.store.create(now, Kind::ConfigMap, map).unwrap();
        });
        pass(driver, 2 * HOUR).await;
        held(driver, "it cannot be read");
        let (code, said) = types(driver, "look", "detect --dry-run --set freeze-configmap=ops/freezes").await;
        assert!(code == 0 && said.contains("sale: \"next\" is no date"), "{code}: {said}");
        driver.twin.edit(|state| state.store.update(&key(), |map| map["data"]["sale"] = json!("2026-11-22..2026-11-23")));
        pass(driver, 2 * HOUR).await;
        held(driver, "it is frozen");
        driver.twin.edit(|state| state.store.update(&key(), |map| map["data"]["sale"] = json!("2026-11-20")));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// Stands once that worker is done, and goes on by a person's word. How it stood, its end, and in which order nodes were out.
fn for_one_worker(target: &'static str, worker: &'static str) -> (State, State, Vec<String>) {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    let now = state.now();
    state.web.packages.release(target.parse().unwrap(), now);
    let ((stood, end), cordons) = lived(state, async |driver| {
        for (node, says) in [("k8s-node9", "is no node of this cluster"), ("k8s-master", "is a control plane")] {
            let (code, said) = types(driver, node, &format!("start --target {target} --only {node} --yes")).await;
            assert!(code == 2 && said.contains(says), "{code}: {said}");
        }
        assert_eq!(types(driver, "start", &format!("start --target {target} --only {worker} --yes")).await.0, 0);
        when(driver, "the worker", |state| version(state, worker) == target && !at_work(state)).await;
        pass(driver, 3 * HOUR).await;
        let stood = driver.twin.look(State::clone);
        let (code, said) = types(driver, "look", "status").await;
        assert!(code == 0 && said.contains(&format!("the run stops after {worker}")), "{said}");
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        (stood, driver.twin.look(State::clone))
    });
    assert!(in_flight(&stood) && !at_work(&stood), "{}", tail(&stood, 40));
    for words in ["stops here", "k8s-upgrade resume", &format!("k8s-upgrade rollback {worker}")] {
        assert!(slack(&stood).contains(words), "{words}: {}", slack(&stood));
    }
    for other in ["k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"].iter().filter(|other| **other != worker) {
        assert_ne!(version(&stood, other), target, "{other}");
    }
    assert!(mark(namespace(&end), "only").is_none());
    (stood, end, cordons.into_iter().map(|(_, node)| node).collect())
}

/// No other node is touched for a patch, and the run has not stalled.
#[test]
pub fn a_run_for_one_worker_stops_after_it() {
    let (stood, end, order) = for_one_worker(NEW, "k8s-node1");
    assert_ne!(version(&stood, "k8s-master"), NEW);
    assert!(stood.now().as_second() as f64 - progress(&stood) <= 660.0, "it counts as stalled");
    assert_eq!(order, ["k8s-node1", "k8s-master", "k8s-node4", "k8s-node3", "k8s-node2"]);
    done(&end, &[]);
}

/// A kubelet is never of a newer minor version than an API server.
#[test]
fn for_a_minor_version_the_control_plane_comes_before_that_worker() {
    let (stood, end, order) = for_one_worker("1.35.4", "k8s-node1");
    assert_eq!(version(&stood, "k8s-master"), "1.35.4");
    assert_eq!(order, ["k8s-master", "k8s-node1", "k8s-node4", "k8s-node3", "k8s-node2"]);
    assert!(is_over(&end) && ours(&end).is_empty(), "{}", tail(&end, 40));
}

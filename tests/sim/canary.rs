//! `canary-rollback`: a canary after whose upgrade the cluster gets worse goes back by itself, and the run stands until a person lets it go on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::Key;
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, Scenario, State};

use super::another_build::of_build_before;
use super::hands::{NEW, done, is_out, observed, ours, slack, version};
use super::waves::waves;
use super::world::{at_work, begin, in_flight, is_over, live, mark, namespace, pass, quick, tail, types, when};

const OLD: &str = "1.34.2";
const CANARY: &str = "k8s-node4";

/// Two at a time after one canary.
fn scenario() -> Scenario {
    let mut scenario = quick(waves(Scenario::runbook(), "2"));
    scenario.settings.insert("canary".to_owned(), 1.into());
    scenario.settings.insert("canary-rollback".to_owned(), true.into());
    scenario
}

fn spoilt(state: &mut State, on: bool) {
    state.dns_away_until = on.then_some(jiff::Timestamp::MAX);
}

/// From here on the cluster is worse than it was.
async fn after(driver: &mut Driver<'_>, node: &'static str) {
    when(driver, "the worker", |state| version(state, node) == NEW && ours(state).is_empty()).await;
    driver.twin.edit(|state| spoilt(state, true));
}

/// The canary is what it was, serves, and nothing else was begun.
fn stands(state: &State) {
    let node = state.store.get(&Key::node(CANARY)).unwrap();
    let (cordon, former) = (mark(node, "cordoned-by"), mark(node, "former-versions"));
    assert_eq!((version(state, CANARY), cordon, former), (OLD.to_owned(), None, None), "{}", tail(state, 60));
    assert!(node["spec"]["unschedulable"] != true && in_flight(state), "{}", tail(state, 60));
    for other in ["k8s-node1", "k8s-node2", "k8s-node3"] {
        assert_eq!(version(state, other), OLD, "{other}\n{}", tail(state, 60));
    }
    assert_eq!(version(state, "k8s-master"), NEW);
    assert!(ours(state).is_empty() && !at_work(state), "{}", tail(state, 60));
}

#[test]
fn a_canary_goes_back_and_the_run_stands_until_a_person_lets_it_go_on() {
    let end = live(begin(&scenario()), None, async |driver| {
        after(driver, CANARY).await;
        when(driver, "its way back", is_out(CANARY)).await;
        when(driver, "the end of that", |state| !at_work(state)).await;
        // The watch has nothing to do about it.
        pass(driver, 7200).await;
        driver.twin.look(|state| {
            stands(state);
            let told = slack(state);
            let said = "the cluster got worse after the canary k8s-node4 was upgraded: it was rolled back to 1.34.2";
            assert!(told.contains(said) && told.contains("cluster DNS gives no answer"), "{told}");
            assert!(told.contains("k8s-upgrade pause node/k8s-node4 && k8s-upgrade resume"), "{told}");
            assert_eq!(told.matches("🛑").count(), 1, "it is told once: {told}");
        });
        let (code, said) = types(driver, "looks", "status").await;
        assert!(code == 0 && said.contains("it was rolled back to 1.34.2") && said.contains("k8s-upgrade resume"), "{said}");
        let (code, said) = types(driver, "by hand", "upgrade-node k8s-node3 --yes").await;
        assert!(code == 4 && said.contains("it was rolled back to 1.34.2"), "{code} {said}");
        driver.twin.look(stands);
        driver.twin.edit(|state| spoilt(state, false));
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(mark(namespace(&end), "taken-back"), None);
    done(&end, &[]);
}

/// A person goes on without it.
#[test]
fn a_run_goes_on_without_its_canary() {
    live(begin(&scenario()), None, async |driver| {
        when(driver, "the run", in_flight).await;
        driver.twin.edit(of_build_before);
        after(driver, CANARY).await;
        when(driver, "its way back", is_out(CANARY)).await;
        when(driver, "the end of that", |state| !at_work(state)).await;
        driver.twin.edit(|state| spoilt(state, false));
        // A build that knows of no canaries that go back reads the record no more.
        driver.twin.look(|state| assert_eq!(mark(namespace(state), "record-version"), Some("2")));
        // The run stands with a pause and without.
        for line in ["pause node/k8s-node4", "unpause k8s-node4", "pause node/k8s-node4"] {
            let (code, said) = types(driver, line, line).await;
            let of_person = "the watch does not go on with it by itself: the run cannot be taken up now: the cluster got worse after the canary";
            assert_eq!((code, said.contains(of_person)), (0, line.starts_with("unpause")), "{line}: {said}");
        }
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        let others = ["k8s-node1", "k8s-node2", "k8s-node3"];
        when(driver, "the others", |state| others.iter().all(|other| version(state, other) == NEW) && !at_work(state)).await;
        driver.twin.look(|state| assert_eq!(version(state, CANARY), OLD));
        // The person who has resumed the run, and now lets the canary go, has said enough: the watch goes on with it.
        let (code, said) = types(driver, "unpause", "unpause k8s-node4").await;
        assert!(code == 0 && said.contains("the watch goes on with it within 10 minutes"), "{said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(|state| assert_eq!(version(state, CANARY), NEW));
    });
}

/// What has shown itself well is no reason to take anything else back: a run that gets worse later holds, as ever.
#[test]
pub fn who_is_no_canary_stays_as_it_is() {
    let end = observed(begin(&scenario()), async |driver| {
        when(driver, "the canary", |state| version(state, CANARY) == NEW).await;
        after(driver, "k8s-node3").await;
        when(driver, "a hold", |state| slack(state).contains("🛑")).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            assert_eq!(
                (version(state, CANARY), version(state, "k8s-node3")),
                (NEW.to_owned(), NEW.to_owned()),
                "{}",
                tail(state, 60)
            );
            assert!(mark(namespace(state), "taken-back").is_none() && !slack(state).contains("rolled back"), "{}", slack(state));
        });
        driver.twin.edit(|state| spoilt(state, false));
        pass(driver, 120).await;
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// The world before and after each change, from the record that the canary goes back until a while after it is back.
struct Recorder(Arc<Mutex<Vec<(String, State)>>>);

impl Recorder {
    fn record(&self, when: &str, state: &State, call: &Call) {
        if call.changes && call.who.to_string() != "kubelet" && mark(namespace(state), "taken-back").is_some() {
            self.0.lock().unwrap().push((format!("{when} {}: {}", call.who, call.what), state.clone()));
        }
    }
}

impl Hook for Recorder {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        self.record("before", state, call);
        Fate::Go
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        self.record("after", state, call);
        Fate::Go
    }
}

/// Wherever its Job is killed, the canary goes back, and is not upgraded again.
#[test]
pub fn a_canary_goes_back_wherever_its_job_is_killed() {
    let points = Arc::new(Mutex::new(Vec::new()));
    live(begin(&scenario()), Some(Box::new(Recorder(points.clone()))), async |driver| {
        after(driver, CANARY).await;
        when(driver, "its way back", is_out(CANARY)).await;
        when(driver, "the end of that", |state| !at_work(state)).await;
        driver.twin.look(stands);
    });
    let points = std::mem::take(&mut *points.lock().unwrap());
    assert!(points.len() > 20, "{}", points.len());
    for (when, mut state) in points {
        state.tell(format_args!("=== killed {when}"));
        state.kill_programs();
        let end = live(state, None, async |driver| {
            let limit = later(driver.twin.now(), Duration::from_secs(4 * 3600));
            driver.until(limit, |_| false).await;
            driver.twin.look(State::clone)
        });
        eprintln!("killed {when}"); // seen only where what follows fails
        stands(&end);
    }
}

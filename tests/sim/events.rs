//! What happens is told as Kubernetes Events: on the Jobs, and on the nodes, where `kubectl describe node` looks for them.

use std::collections::BTreeSet;

use k8s_upgrade::names::{EVENT_CONTROLLER, EventReason};
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{Scenario, State};
use serde_json::Value;

use super::hands::runbook;
use super::recovery::fires;
use super::world::{
    NAMESPACE, amiss, begin, cordoned_by_people, in_flight, is_over, live, pass, quick, tail, to_the_end, types, version_of, when,
};

const HOUR: u64 = 3600;

fn ours(state: &State) -> impl Iterator<Item = &Value> {
    let events = state.store.list(Kind::Event).map(|(_, event)| &**event);
    events.filter(|event| event["reportingComponent"] == EVENT_CONTROLLER)
}

/// What `kubectl describe node` shows of ours: it asks all namespaces, by the node's name for its UID, too.
fn of_node(state: &State, node: &str) -> Vec<String> {
    let about = |event: &&Value| {
        let about = &event["involvedObject"];
        about["kind"] == "Node" && about["name"] == node && about["uid"] == node && about["namespace"].is_null()
    };
    ours(state).filter(about).map(|event| reason(event).to_owned()).collect()
}

fn reason(event: &Value) -> &str {
    event["reason"].as_str().unwrap()
}

fn count(state: &State, reason: EventReason, kind: &str) -> usize {
    ours(state).filter(|event| event["reason"] == reason.word() && event["involvedObject"]["kind"] == kind).count()
}

#[test]
fn each_node_and_each_job_has_the_events_of_its_steps() {
    let scenario = quick(Scenario::runbook());
    let end = to_the_end(begin(&scenario), None);
    assert_eq!(amiss(&end, &scenario.target.to_string(), &cordoned_by_people(&end)), Vec::<String>::new());
    let nodes: Vec<String> = end.store.list(Kind::Node).map(|(key, _)| key.name.clone()).collect();
    for node in &nodes {
        let told = of_node(&end, node);
        let wanted = [
            EventReason::OutOfService,
            EventReason::StepStarted,
            EventReason::StepDone,
            EventReason::InService,
            EventReason::NodeUpgraded,
        ];
        for reason in wanted {
            assert!(told.iter().any(|told| told == reason.word()), "{node} has no {reason:?}: {told:?}\n{}", tail(&end, 20));
        }
    }
    // A watch that found nothing to do has nothing to tell.
    let tells = |name: &str| name.starts_with("k8s-upgrade-") && !name.starts_with("k8s-upgrade-watch-");
    for (key, job) in end.store.list(Kind::Job).filter(|(key, _)| tells(&key.name)) {
        let about = |event: &&Value| event["involvedObject"]["uid"] == job["metadata"]["uid"];
        assert!(ours(&end).filter(about).count() > 0, "{} has none", key.name);
    }
    for (reason, times) in [(EventReason::UpgradeStarted, 1), (EventReason::SnapshotTaken, 1), (EventReason::UpgradeDone, 1)] {
        assert_eq!(count(&end, reason, "Job"), times, "{reason:?}");
    }
    let words: BTreeSet<&str> = EventReason::ALL.iter().map(|reason| reason.word()).collect();
    for event in ours(&end) {
        let of_node = event["involvedObject"]["kind"] == "Node";
        let place = if of_node { "default" } else { NAMESPACE };
        assert_eq!(event["metadata"]["namespace"], place, "{event}");
        assert!(words.contains(reason(event)), "{event}");
        let warns = ours(&end).filter(|event| event["type"] == "Warning").map(reason).collect::<BTreeSet<_>>();
        assert!(warns.iter().all(|reason| ["UpgradeWarning", "DrainHeld"].contains(reason)), "nothing was amiss: {warns:?}");
    }
}

#[test]
fn who_wants_none_gets_none() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("events".to_owned(), false.into());
    let state = begin(&scenario);
    let may = |(_, role): (_, &std::sync::Arc<Value>)| {
        let rules = role["rules"].as_array().unwrap().clone();
        rules.iter().any(|rule| rule["resources"][0] == "events" && rule["verbs"][0] == "create")
    };
    assert!(!state.store.list(Kind::Role).any(may), "a right that nobody uses");
    let end = to_the_end(state, None);
    assert_eq!((amiss(&end, &scenario.target.to_string(), &cordoned_by_people(&end)), ours(&end).count()), (Vec::new(), 0));
}

/// However often it is looked at, and by however many Jobs, one after the other.
#[test]
fn a_hold_is_one_event_and_one_more_a_reminder() {
    let state = runbook();
    live(state, None, async |driver| {
        let done = |state: &State| {
            state.store.list(Kind::Node).any(|(key, node)| key.name == "k8s-master" && version_of(node) == "1.34.7")
        };
        when(driver, "the control plane", done).await;
        driver.twin.edit(|state| fires(state, "NodeDiskFull"));
        pass(driver, 3 * HOUR).await;
        driver.twin.look(|state| {
            let said =
                || ours(state).map(|event| format!("{} {}", reason(event), event["message"])).collect::<Vec<_>>().join("\n");
            // Of the control plane's Job, which holds at its end, and of the next, which is created beside it: each is told once.
            let held = ours(state).filter(|event| reason(event) == EventReason::UpgradeHeld.word());
            let held: Vec<&str> = held.map(|event| event["message"].as_str().unwrap()).collect();
            let each: BTreeSet<&str> = held.iter().copied().collect();
            assert!(held.len() == each.len() && count(state, EventReason::UpgradeHeld, "Job") <= 2, "{}", said());
            assert_eq!(count(state, EventReason::UpgradeStillHeld, "Job"), 1, "{}", said());
        });
        driver.twin.edit(|state| state.web.prometheus.injected.clear());
        when(driver, "the end", is_over).await;
    });
}

/// What a person does is told on our namespace, for there is no Job.
#[test]
fn a_persons_halt_is_told_too() {
    live(runbook(), None, async |driver| {
        when(driver, "a run", in_flight).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        assert_eq!(types(driver, "halt", "halt --lift").await.0, 0);
        driver.twin.look(|state| {
            for reason in [EventReason::UpgradeHalted, EventReason::HaltLifted] {
                assert_eq!(count(state, reason, "Namespace"), 1, "{reason:?}\n{}", tail(state, 20));
            }
        });
    });
}

#[test]
fn what_changes_nothing_tells_nothing() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        for line in ["status", "check", "detect --dry-run", "drain k8s-node2 --dry-run"] {
            types(driver, "look", line).await;
        }
        driver.twin.look(|state| assert_eq!(ours(state).count(), 0));
    });
}

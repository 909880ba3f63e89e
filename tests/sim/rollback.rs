//! `rollback NODE`: a worker's way back, on the world in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::json;

use super::hands::unit_runs;
use super::world::{LIMIT, NAMESPACE, begin, live, mark, quick, tail, to_the_end, types as types_line, version_of, when};

const NODE: &str = "k8s-node4";

/// Kills a person's command at one call, before or after it; counts them.
struct Killer {
    at: Option<(usize, bool)>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Hook for Killer {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if !call.changes {
            return Fate::Go;
        }
        let mut seen = self.seen.lock().unwrap();
        seen.push(call.what.to_string());
        if self.at == Some((seen.len(), false)) { Fate::Kill } else { Fate::Go }
    }
    fn after(&mut self, _: &mut State, call: &Call) -> Fate {
        let count = self.seen.lock().unwrap().len();
        if call.changes && self.at == Some((count, true)) { Fate::Kill } else { Fate::Go }
    }
}

fn types(state: State, hook: Option<Box<dyn Hook>>, argv: &[&str]) -> (State, Option<u8>) {
    live(state, hook, async |driver| {
        driver.operate("person", argv, BTreeMap::new());
        let limit = later(driver.twin.now(), LIMIT);
        let code = driver.until_ended("person", limit).await;
        (driver.twin.look(State::clone), code)
    })
}

/// Upgraded, and the chain's last Job has ended.
fn upgraded() -> State {
    live(to_the_end(begin(&quick(Scenario::runbook_minor())), None), None, async |driver| {
        driver.until(later(driver.twin.now(), Duration::from_secs(60)), |_| false).await;
        driver.twin.look(State::clone)
    })
}

/// For a while after its death a process may live yet, for all that others can see.
fn an_hour_later(state: State) -> State {
    live(state, None, async |driver| {
        driver.until(later(driver.twin.now(), Duration::from_secs(3600)), |_| false).await;
        driver.twin.look(State::clone)
    })
}

fn is_back(state: &State, former: &str, when: &str) {
    let node = state.store.get(&Key::node(NODE)).unwrap();
    let (cordon, record) = (mark(node, "cordoned-by"), mark(node, "former-versions"));
    assert_eq!(
        (version_of(node), cordon, record, &node["spec"]["unschedulable"].as_bool()),
        (former, None, None, &None),
        "{when}\n{}",
        tail(state, 60)
    );
    let others = state.store.list(Kind::Node).filter(|(key, _)| key.name != NODE);
    others.for_each(|(key, node)| assert_ne!(version_of(node), former, "{when}: {}", key.name));
}

#[test]
fn a_worker_goes_back_wherever_the_command_is_killed() {
    let (former, upgraded) = (Scenario::runbook_minor().nodes[0].version.to_string(), upgraded());
    let command = ["k8s-upgrade", "rollback", NODE, "--yes"];
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (end, code) = types(upgraded.clone(), Some(Box::new(Killer { at: None, seen: seen.clone() })), &command);
    assert_eq!(code, Some(0), "{}", tail(&end, 60));
    is_back(&end, &former, "undisturbed");
    let calls = seen.lock().unwrap().clone();
    assert!(calls.len() > 10, "{calls:?}");
    for (at, call) in calls.iter().enumerate() {
        for after in [false, true] {
            let when = format!("killed {} {call}", if after { "after" } else { "before" });
            let killer = Killer { at: Some((at + 1, after)), seen: Arc::default() };
            let (killed, _) = types(upgraded.clone(), Some(Box::new(killer)), &command);
            let killed = an_hour_later(killed);
            let (end, code) = types(killed, None, &command);
            assert_eq!(code, Some(0), "{when}\n{}", tail(&end, 60));
            is_back(&end, &former, &when);
        }
    }
}

/// Who takes a node back has mostly halted the upgrades before.
#[test]
fn a_halt_is_no_hindrance() {
    let former = Scenario::runbook_minor().nodes[0].version.to_string();
    let (halted, code) = types(upgraded(), None, &["k8s-upgrade", "halt", "--reason", "node4 is slow"]);
    assert_eq!(code, Some(0), "{}", tail(&halted, 20));
    let (end, code) = types(halted, None, &["k8s-upgrade", "rollback", NODE, "--yes"]);
    assert_eq!(code, Some(0), "{}", tail(&end, 40));
    is_back(&end, &former, "halted");
}

/// Another node is out by our doing: this one serves again, and what it could go back to is still on record.
#[test]
fn who_gives_way_can_still_go_back() {
    let former = Scenario::runbook_minor().nodes[0].version.to_string();
    let other = Key::node("k8s-node3");
    let mut taken = upgraded();
    taken.store.update(&other, |node| {
        node["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-cordoned-by"] = json!("somebody");
    });
    let command = ["k8s-upgrade", "rollback", NODE, "--yes"];
    let (gave_way, code) = types(taken, None, &command);
    let node = gave_way.store.get(&Key::node(NODE)).unwrap();
    assert_eq!((code, mark(node, "cordoned-by")), (Some(6), None), "{}", tail(&gave_way, 40));
    let mut free = gave_way.clone();
    free.store.update(&other, |node| {
        node["metadata"]["annotations"].as_object_mut().unwrap().remove("viktorbarzin.me/k8s-upgrade-cordoned-by");
    });
    let (end, code) = types(free, None, &command);
    assert_eq!(code, Some(0), "{}", tail(&end, 40));
    is_back(&end, &former, "after it gave way");
}

#[test]
fn what_cannot_go_back_is_left_alone() {
    let upgraded = upgraded();
    let before = upgraded.tally.changes;
    for (argv, code) in [
        (&["k8s-upgrade", "rollback", "k8s-master", "--yes"][..], 0),
        (&["k8s-upgrade", "rollback", NODE], 2),
        (&["k8s-upgrade", "rollback", NODE, "--dry-run"], 0),
        (&["k8s-upgrade", "rollback", "k8s-node9", "--yes"], 2),
    ] {
        let (end, ended) = types(upgraded.clone(), None, argv);
        assert_eq!((ended, end.tally.changes), (Some(code), before), "{argv:?}\n{}", tail(&end, 20));
    }
}

/// A worker whose upgrade was cut in the middle is half changed: a rollback that does not come to its work leaves it out of service.
#[test]
pub fn a_rollback_that_is_held_leaves_a_half_upgraded_worker_cordoned() {
    let state = live(begin(&quick(Scenario::runbook_minor())), None, async |driver| {
        when(driver, "the kubelet's packages", unit_runs(NODE, "kubelet-packages")).await;
        // Its runner dies and its Job is deleted; and somebody else has a node out for as long as the rollback waits for its turn.
        driver.twin.edit(|state| {
            state.kill_programs();
            state.store.remove(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-35-4-k8s-node4"));
            state.store.update(&Key::node("k8s-node2"), |node| {
                node["spec"]["unschedulable"] = json!(true);
                node["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-cordoned-by"] = json!("0badcafe");
            });
        });
        when(driver, "the unit's end", |state| version_of(state.store.get(&Key::node(NODE)).unwrap()) == "1.35.4").await;
        let (code, said) = types_line(driver, "back", &format!("rollback {NODE} --yes")).await;
        assert!(code == 6 && said.contains("stays cordoned: its upgrade had begun and has not ended"), "{code}: {said}");
        driver.twin.look(State::clone)
    });
    let node = state.store.get(&Key::node(NODE)).unwrap();
    assert!(node["spec"]["unschedulable"] == true && mark(node, "cordoned-by").is_some(), "{node}\n{}", tail(&state, 40));
}

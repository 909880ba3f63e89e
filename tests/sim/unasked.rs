//! What could not be asked never passes: each read that comes before a change of the run gets no answer, one at a time, and the change does
//! not come. The reads are those that the program makes, so a gate that asks something new is in it by itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use k8s_upgrade::twin::store::Key;
use k8s_upgrade::twin::{Call, Fate, Hook, Scenario, State, Who};

use super::hands::is_out;
use super::world::{begin, calm, in_flight, live, suspend, types, version_of};

/// Reads of which no gate is made, and why the change may come without them.
const NO_GATE: &[(&str, &str)] = &[
    (
        "webhookconfigurations",
        "which webhooks may be closed to Jobs is told, or that it is not known; their refusals are waited for",
    ),
    ("/cronjobs/k8s-version-check", "a person's process needs no image on any node; the chain's own preflight asks again"),
    ("/eviction", "a dry run: what a webhook would refuse now is told, and a drain waits for it"),
];

/// One phase by hand, and the change that its gates keep off.
struct Phase {
    line: &'static str,
    has_changed: fn(&State) -> bool,
}

/// The reads of a person's process until the change comes; or one of them, which gets no answer.
struct Reads {
    lost: Option<String>,
    seen: Arc<Mutex<BTreeSet<String>>>,
    has_changed: fn(&State) -> bool,
}

impl Hook for Reads {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if call.changes || !matches!(call.who, Who::Operator(_)) || (self.has_changed)(state) {
            return Fate::Go;
        }
        // Where in a list it is looked is no other question.
        let what = call.what.split('?').next().unwrap_or_default().to_owned();
        let lost = self.lost.as_ref() == Some(&what);
        self.seen.lock().unwrap().insert(what);
        if lost { Fate::Break } else { Fate::Go }
    }
}

fn typed(state: &State, phase: &Phase, lost: Option<&str>) -> (u8, String, BTreeSet<String>, bool) {
    let seen = Arc::<Mutex<BTreeSet<String>>>::default();
    let hook = Reads { lost: lost.map(str::to_owned), seen: seen.clone(), has_changed: phase.has_changed };
    let (code, said, changed) = live(state.clone(), Some(Box::new(hook)), async |driver| {
        let (code, said) = types(driver, "person", phase.line).await;
        (code, said, driver.twin.look(phase.has_changed))
    });
    let seen = seen.lock().unwrap().clone();
    (code, said, seen, changed)
}

fn before(line: &[&str]) -> State {
    let mut state = begin(&calm(Scenario::runbook()));
    for cronjob in ["k8s-version-check", "k8s-upgrade-watch"] {
        suspend(&mut state, cronjob);
    }
    live(state, None, async |driver| {
        for line in line {
            let (code, said) = types(driver, "person", line).await;
            assert_eq!(code, 0, "{line}: {said}");
        }
        driver.twin.look(State::clone)
    })
}

fn nothing_passes_unasked(state: State, phase: &Phase, at_least: usize) {
    let (code, said, reads, changed) = typed(&state, phase, None);
    assert!(code == 0 && changed, "{code}: {said}");
    assert!(reads.len() >= at_least, "{}: {reads:#?}", phase.line);
    let mut passed = Vec::new();
    for read in &reads {
        let (code, said, _, changed) = typed(&state, phase, Some(read));
        let known = NO_GATE.iter().any(|(what, _)| read.contains(what));
        if (changed || code == 0) != known {
            passed.push(format!("{read}: exit {code}, {}\n{said}", if changed { "the change came" } else { "no change" }));
        }
    }
    assert!(
        passed.is_empty(),
        "{}: of {} reads, these may be missing (or are known to, and are not):\n{}",
        phase.line,
        reads.len(),
        passed.join("\n")
    );
}

#[test]
fn before_a_run() {
    let phase = Phase { line: "preflight --target 1.34.7 --yes", has_changed: in_flight };
    nothing_passes_unasked(before(&[]), &phase, 20);
}

#[test]
fn before_a_node() {
    let phase = Phase { line: "upgrade-node k8s-node4 --target 1.34.7 --yes", has_changed };
    fn has_changed(state: &State) -> bool {
        is_out("k8s-node4")(state) || state.store.get(&Key::node("k8s-node4")).is_some_and(|node| version_of(node) != "1.34.2")
    }
    let state = before(&["preflight --target 1.34.7 --yes", "upgrade-node k8s-master --target 1.34.7 --yes"]);
    nothing_passes_unasked(state, &phase, 10);
}

#[test]
fn before_the_end() {
    let phase = Phase { line: "postflight --yes", has_changed: |state| !in_flight(state) };
    let nodes = ["k8s-master", "k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"];
    let upgrades: Vec<String> = nodes.iter().map(|node| format!("upgrade-node {node} --target 1.34.7 --yes")).collect();
    let lines: Vec<&str> =
        std::iter::once("preflight --target 1.34.7 --yes").chain(upgrades.iter().map(String::as_str)).collect();
    nothing_passes_unasked(before(&lines), &phase, 8);
}

//! `plan`: what it says of a run is what the run does.

use std::collections::BTreeSet;

use k8s_upgrade::twin::scenario::Release;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, Scenario, State};
use serde_json::{Value, json};

use super::hands::is_out;
use super::world::{LIMIT, begin, calm, in_flight, is_over, live, pass, quick, suspend, types, when};

/// A person's plan as data.
fn planned(state: State, line: &str) -> Value {
    live(state, None, async |driver| {
        let (code, said) = types(driver, "person", line).await;
        let json = &said[said.find('{').unwrap_or_else(|| panic!("{code}: {said}"))..=said.rfind('}').unwrap()];
        // Masked: figures are not what is compared.
        serde_json::from_str(&json.replace(": <n>", ": 0").replace(": <time>", ": 0"))
            .unwrap_or_else(|error| panic!("{error}: {json}"))
    })
}

fn turns(plan: &Value) -> Vec<(String, Option<String>)> {
    let turn = |turn: &Value| (turn["job"].as_str().unwrap().to_owned(), turn["runsOn"].as_str().map(str::to_owned));
    plan["turns"].as_array().unwrap().iter().map(turn).collect()
}

/// The Jobs of a chain as they come, each with the node that it is pinned to; one that is tried again comes once.
fn created(state: State, target: &str) -> Vec<(String, Option<String>)> {
    live(state, None, async |driver| {
        let mut jobs: Vec<(String, Option<String>)> = Vec::new();
        let mut known = BTreeSet::new();
        driver.operate("start", &["k8s-upgrade", "start", "--target", target, "--yes"], Default::default());
        let limit = later(driver.twin.now(), LIMIT);
        let ended = driver
            .until(limit, |state| {
                let new = state.store.list(Kind::Job).filter(|(key, job)| {
                    key.name.starts_with("k8s-upgrade-") && known.insert(job["metadata"]["uid"].as_str().unwrap().to_owned())
                });
                jobs.extend(new.map(|(key, job)| {
                    let pin = job["spec"]["template"]["spec"]["nodeName"].as_str();
                    let selected = job["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/hostname"].as_str();
                    (key.name.clone(), pin.or(selected).map(str::to_owned))
                }));
                is_over(state)
            })
            .await;
        assert!(ended, "{jobs:?}");
        jobs.retain(|(name, _)| !name.starts_with("k8s-upgrade-watch") && !name.contains("version-check"));
        jobs
    })
}

#[test]
fn the_jobs_that_are_planned_are_those_that_are_created() {
    let quiet = |scenario| {
        let mut state = begin(&calm(scenario));
        suspend(&mut state, "k8s-version-check");
        state
    };
    for scenario in [Scenario::runbook(), Scenario::runbook_minor(), Scenario::three_control_planes()] {
        let target = scenario.target.to_string();
        let state = quiet(scenario);
        let plan = planned(state.clone(), &format!("plan --target {target} -o json"));
        assert_eq!(turns(&plan), created(state, &target), "{target}");
    }
}

/// The rest of a run is what it does from there on.
#[test]
fn in_the_middle_of_a_run_the_rest_is_planned() {
    let mut state = begin(&calm(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    let whole = turns(&planned(state.clone(), "plan --target 1.34.7 -o json"));
    let (rest, jobs) = live(state, None, async |driver| {
        types(driver, "person", "start --target 1.34.7 --yes").await;
        when(driver, "the second worker's turn", is_out("k8s-node3")).await;
        let (code, said) = types(driver, "person", "plan -o json").await;
        assert_eq!(code, 0, "{said}");
        let json = &said[said.find('{').unwrap()..=said.rfind('}').unwrap()];
        let plan: Value = serde_json::from_str(&json.replace(": <n>", ": 0").replace(": <time>", ": 0")).unwrap();
        (plan, driver.twin.look(in_flight))
    });
    assert!(jobs && rest["run"].is_string() && rest["gates"].as_array().unwrap().is_empty(), "{rest}");
    let left = turns(&rest);
    assert_eq!(left, whole[whole.len() - left.len()..], "{rest}");
    assert_eq!(left.len(), 4, "{rest}");
}

/// The first run has no other times than a rehearsal's; the next one has its own.
#[test]
fn the_times_of_earlier_runs_count_once_there_are_any() {
    let mut scenario = calm(Scenario::runbook());
    scenario.releases.push(Release { version: "1.34.8".parse().unwrap(), from: None });
    let mut state = begin(&scenario);
    suspend(&mut state, "k8s-version-check");
    live(state, None, async |driver| {
        let times = async |driver: &mut Driver<'_>, line: &str| {
            let (code, said) = types(driver, "person", line).await;
            assert_eq!(code, 0, "{said}");
            let rests = |of: &str| said.contains(of);
            assert!(!rests("how long it takes is not known"), "{said}");
            (rests("no earlier run is on record"), rests("as in this cluster's earlier runs"))
        };
        assert_eq!(times(driver, "plan --target 1.34.7").await, (true, false));
        types(driver, "person", "start --target 1.34.7 --yes").await;
        when(driver, "the end of the run", is_over).await;
        pass(driver, 3600).await;
        assert_eq!(times(driver, "plan --target 1.34.8").await, (false, true));
    });
}

/// With a node that has just come back.
fn unquiet() -> State {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    let now = state.now().to_string();
    state.store.update(&Key::node("k8s-node2"), |node| {
        let conditions = node["status"]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().filter(|one| one["type"] == "Ready").for_each(|one| one["lastTransitionTime"] = json!(now));
    });
    state
}

/// In the three forms, with a gate that is closed.
#[test]
fn a_plan_is_told() {
    let mut told = String::new();
    for line in ["plan --target 1.34.7", "plan --target 1.34.7 -o json", "plan --target 1.34.7 -o markdown"] {
        let (code, said) = live(unquiet(), None, async |driver| types(driver, "person", line).await);
        told.push_str(&format!("\n$ k8s-upgrade {line}    # {code}\n{said}\n"));
    }
    insta::assert_snapshot!(told);
}

/// Who draws graphs sees which gate holds a run, and that none does any more.
#[test]
fn a_gate_that_is_closed_is_a_gauge_until_it_opens() {
    let gates = |state: &State| {
        let group = state.web.pushgateway.groups.get("k8s-upgrade-gates").cloned().unwrap_or_default();
        group.iter().map(|(series, value)| format!("{series:?} {value}")).collect::<Vec<_>>()
    };
    live(unquiet(), None, async |driver| {
        let (code, said) = types(driver, "person", "preflight --target 1.34.7 --yes").await;
        assert_eq!(code, 3, "{said}");
        let closed = driver.twin.look(gates);
        let holds = |line: &String| line.contains("k8s_upgrade_gate_holding") && line.contains("quiet") && line.contains("hold");
        assert!(closed.len() == 1 && closed.iter().all(holds), "{closed:?}");
        // A look changes nothing.
        types(driver, "person", "preflight --target 1.34.7 --dry-run --set quiet=0s").await;
        types(driver, "person", "plan --target 1.34.7 --set quiet=0s").await;
        assert_eq!(driver.twin.look(gates), closed);
        let (code, said) = types(driver, "person", "preflight --target 1.34.7 --yes --set quiet=0s").await;
        assert_eq!((code, driver.twin.look(gates)), (0, Vec::new()), "{said}");
    });
}

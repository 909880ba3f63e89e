//! No crash can wedge a run, and no rule is ever broken: shown by trying.

use k8s_upgrade::twin::Scenario;
use k8s_upgrade::twin::scenario::{Kind, Workload};

use super::crash::matrix;
use super::schedules::schedules;
use super::world::{amiss, begin, calm, cordoned_by_people, jobs, quick, tail, to_the_end};

#[test]
fn crash_matrix_patch_of_five_nodes() {
    matrix("patch, five nodes", Scenario::runbook());
}

/// With a node that a person has cordoned, and a Deployment that takes longer to be whole again than a node soaks.
#[test]
fn crash_matrix_minor_of_five_nodes() {
    let mut scenario = Scenario::runbook_minor();
    scenario.nodes.iter_mut().filter(|node| node.name == "k8s-node2").for_each(|node| node.cordoned = true);
    let slow = Workload { replicas: 2, ready_after_seconds: Some(90), ..Workload::new(Kind::Deployment, "mail", "imap") };
    scenario.workloads.push(slow);
    matrix("minor, five nodes", scenario);
}

#[test]
fn crash_matrix_patch_of_three_control_planes() {
    matrix("patch, three control planes", Scenario::three_control_planes());
}

/// SCHEDULES and SEED choose how many, and from where: a longer run is `SCHEDULES=20000 cargo test --test sim random`.
#[test]
fn random_schedules() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    schedules("patch, five nodes", &calm(Scenario::runbook()), number("SEED", 1), number("SCHEDULES", 1000));
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

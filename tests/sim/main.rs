//! The world in memory: whole runs on paused time, killed and disturbed wherever it hurts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod faults;
mod rules;
mod schedules;
mod smoke;
mod world;

use k8s_upgrade::twin::Scenario;

#[test]
fn crash_matrix_patch() {
    crash::matrix("patch, five nodes", Scenario::runbook());
}

#[test]
fn undisturbed() {
    let state = world::begin(&world::quick(Scenario::runbook()));
    let target = Scenario::runbook().target.to_string();
    let cordoned = world::cordoned_by_people(&state);
    let begun = std::time::Instant::now();
    let end = world::to_the_end(state, None);
    println!("{} lines {:?}\n{}", end.history.len(), begun.elapsed(), world::tail(&end, 400));
    for (uid, lines) in &end.logs { println!("--- {uid}\n{}", lines.all().join("\n")); }
    println!("{}\n{:?} {:?}", world::jobs(&end), end.tally, world::amiss(&end, &target, &cordoned));
}

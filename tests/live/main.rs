//! The lab tier: real clusters, looked at from outside. `tests/lab/lab` makes them; it needs root, so does this.
//!
//! `cargo test --test live -- --test-threads=1`: there is one lab per machine, and the tests use it one after the other, in the order of
//! their names. LAB_BINARY names the program under test, else it is the release build beside this test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod apis;
mod audit;
mod broken;
mod dashboard;
mod disturb;
mod end;
mod eyes;
mod ha;
mod hands;
mod install;
mod lab;
mod minor;
mod nonsense;
mod operations;
mod patch;
mod plain;
mod power;
mod process;
mod refusals;
mod registry;
mod snapshot;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, unused_imports)] // each of the programs uses a part
mod support;
mod trial;
mod turns;
mod vault;
mod watch;
mod waves;
mod ways;
mod windows;
mod worker;

/// From 1.35 to 1.36 on the runbook's own cluster, with nothing in its way but an alert at first.
#[test]
fn minor_upgrade_of_five_nodes() {
    minor::run();
}

/// The same suite that bash with stubs and the machine in memory answer, on the worker that the test before brought back to 1.35.4. It
/// runs alone on a small cluster of its own.
#[test]
fn node_operations_are_as_everywhere() {
    operations::run();
}

/// On three nodes at 1.36.3. It runs before the upgrade of that very cluster, which shows that nothing was left behind.
#[test]
fn patch_refusals_leave_nothing_behind() {
    refusals::run();
}

/// From 1.36.3 to its next patch, while pods, Jobs, SSH sessions and Prometheus are taken away, an alert fires between two workers, and the
/// master's containerd is older than theirs; the last worker is upgraded by `resume --local`.
#[test]
fn patch_upgrade_of_three_nodes_with_interruptions() {
    patch::run();
}

/// By hand, node by node, while disks fill, packages break, kubeadm fails and a node does not come back.
#[test]
#[ignore = "costly breakages: tests/run lab-full"]
fn workers_that_break_are_told_and_mended() {
    broken::run();
}

/// As Jobs, while machines lose their power at the worst points, and the API server, the backup, Pushgateway and Slack are away.
#[test]
#[ignore = "costly breakages: tests/run lab-full"]
fn power_cuts_and_outages_end_well() {
    power::run();
}

/// On a cluster of its own without a backup CronJob: the program's own snapshot, and the way back by it.
#[test]
#[ignore = "a cluster of its own: tests/run lab-full"]
fn snapshot_by_etcdctl_is_restored_by_what_rollback_prints() {
    snapshot::run();
}

/// On two nodes of a stranger: no Prometheus, no Pushgateway, no backup CronJob.
#[test]
#[ignore = "a cluster of its own: tests/run lab-full"]
fn plain_cluster_is_installed_and_upgraded() {
    plain::run();
}

/// Four workers, two at a time.
#[test]
#[ignore = "a cluster of its own: tests/run lab-full"]
fn workers_are_upgraded_two_at_a_time() {
    waves::run();
}

/// Three control planes from 1.35 to 1.36.
#[test]
#[ignore = "a cluster of three control planes: tests/run lab-ha"]
fn ha_minor_upgrade() {
    ha::minor();
}

/// Control planes that lose their power, and members that are away.
#[test]
#[ignore = "a cluster of three control planes: tests/run lab-ha"]
fn ha_power_cuts_and_outages_end_well() {
    ha::faults();
}

/// What `rollback` prints is typed, with one member of etcd lost and with all.
#[test]
#[ignore = "a cluster of three control planes: tests/run lab-ha"]
fn ha_restore_by_what_rollback_prints() {
    ha::restore();
}

/// The same cluster, on to a patch.
#[test]
#[ignore = "a cluster of three control planes: tests/run lab-ha"]
fn ha_patch_upgrade() {
    ha::patch();
}

/// On two nodes, with a Vault in dev mode on this machine.
#[test]
#[ignore = "needs a vault on PATH: tests/run vault"]
fn vault_gets_the_rotated_key() {
    vault::run();
}

/// On two nodes, with freezes that somebody else writes while a run is on.
#[test]
#[ignore = "a cluster of its own: tests/run lab-full"]
fn windows_hold_a_run_and_let_it_go_on() {
    windows::run();
}

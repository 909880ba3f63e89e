//! Upgrades that a person has halted: what is begun ends at a safe point, what cannot be asked is named, and everybody says so.

use std::time::Duration;

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::twin::State;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};

use super::hands::{NEW, done, is_out, observed, ours, runbook, unit_runs, version};
use super::world::{NAMESPACE, at_work, in_flight, is_over, jobs, pass, tail, types, when};

const WORKER: &str = "k8s-upgrade-worker-1-34-7-k8s-node4";

/// The Job is killed in the middle of a node, and tries again when the run is halted by then: a node that was changed is finished, one that
/// was not serves again.
#[test]
fn a_retry_under_a_halt_leaves_nothing_half_done() {
    let drained = |state: &State| is_out("k8s-node4")(state) && !unit_runs("k8s-node4", "kubeadm-package")(state);
    for (what, wanted) in [("drain", "1.34.2"), ("kubeadm-package", NEW), ("kubeadm-upgrade", NEW), ("kubelet-packages", NEW)] {
        let moment = |state: &State| if what == "drain" { drained(state) } else { unit_runs("k8s-node4", what)(state) };
        let end = observed(runbook(), async |driver| {
            when(driver, what, moment).await;
            assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
            driver.twin.edit(State::kill_programs);
            pass(driver, 1800).await;
            driver.twin.look(|state| {
                let told = format!("{what}\n{}\n{}", jobs(state), tail(state, 60));
                assert!(in_flight(state) && !at_work(state) && ours(state).is_empty(), "{told}");
                assert_eq!(version(state, "k8s-node4"), wanted, "{told}");
                assert_eq!(version(state, "k8s-node3"), "1.34.2", "{told}");
                let node = state.store.get(&Key::node("k8s-node4")).unwrap();
                assert!(node["spec"]["unschedulable"] != true, "{told}");
                assert!(jobs(state).lines().any(|job| job.starts_with(WORKER) && job.contains("\"Failed\"")), "{told}");
            });
            assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
            assert_eq!(types(driver, "resume", "resume").await.0, 0);
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
    }
}

/// The first unit waits for dpkg's lock when its Job is killed and the run is halted. The retry waits for the unit's end, which has changed
/// nothing: the node serves again.
#[test]
fn a_retry_under_a_halt_gives_back_what_a_unit_left_unchanged() {
    let end = observed(runbook(), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        driver.twin.edit(|state| {
            let until = later(state.now(), Duration::from_secs(2 * 3600));
            state.hosts.change("k8s-node4", |machine| machine.faults.apt_locked_until = Some(until));
        });
        when(driver, "the unit", unit_runs("k8s-node4", "kubeadm-package")).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        driver.twin.edit(State::kill_programs);
        pass(driver, 3600).await;
        driver.twin.look(|state| {
            let told = format!("{}\n{}", jobs(state), tail(state, 60));
            assert!(in_flight(state) && !at_work(state) && ours(state).is_empty(), "{told}");
            let node = state.store.get(&Key::node("k8s-node4")).unwrap();
            assert!(node["spec"]["unschedulable"] != true && version(state, "k8s-node4") == "1.34.2", "{told}");
        });
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.apt_locked_until = None));
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// Whenever a halt is lifted again, before its runner has seen it or in any of the seconds between its runner's end and the moment at which
/// the API server knows of that: `resume` goes on, or the Job does by itself.
#[test]
pub(super) fn a_halt_may_be_lifted_at_any_moment() {
    let soaks = |state: &State| version(state, "k8s-node4") == NEW && ours(state).is_empty();
    for (what, seconds) in (0..10).map(|seconds| ("drain", seconds)).chain((0..10).map(|seconds| ("soak", 2 * seconds))) {
        let end = observed(runbook(), async |driver| {
            when(driver, what, |state| if what == "drain" { is_out("k8s-node4")(state) } else { soaks(state) }).await;
            assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
            pass(driver, seconds).await;
            assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
            let (code, said) = types(driver, "resume", "resume").await;
            assert_eq!(code, 0, "{what}, lifted after {seconds} s: {said}");
            let limit = later(driver.twin.now(), Duration::from_secs(2 * 3600));
            let ended = driver.until(limit, is_over).await;
            driver.twin.look(|state| {
                assert!(ended, "{what}, lifted after {seconds} s: {said}\n{}\n{}", jobs(state), tail(state, 80));
                state.clone()
            })
        });
        done(&end, &[]);
    }
}

/// A node that does not answer cannot hold back who halts at once; it is named as unknown.
#[test]
fn a_halt_at_once_needs_no_node_to_answer() {
    let end = observed(runbook(), async |driver| {
        when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
        driver.twin.edit(|state| {
            let until = later(state.now(), Duration::from_secs(3 * 3600));
            state.hosts.change("k8s-node4", |machine| machine.faults.away_until = Some(until));
        });
        let (code, said) = types(driver, "halt", "halt --now --yes").await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("k8s-node4") && said.contains("is unknown"), "{said}");
        assert!(said.contains("sudo tail -n 50"), "{said}");
        driver.twin.look(|state| {
            assert!(state.store.get(&Key::new(Kind::Job, NAMESPACE, WORKER)).is_none(), "{}", jobs(state));
            assert!(in_flight(state), "{}", tail(state, 40));
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.away_until = None));
        pass(driver, 900).await;
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(end.hosts.kubeadm_runs("k8s-node4", NEW).ended_well, 1);
}

/// What a person may type; None: it asks no cluster where a run stands.
const COMMANDS: [(&str, Option<&str>); 33] = [
    ("detect", Some("detect")),
    ("detect", Some("detect --dry-run")),
    ("start", Some("start --target 1.34.7 --yes")),
    ("start", Some("start --target 1.34.7 --local --yes")),
    ("resume", Some("resume")),
    ("resume", Some("resume --dry-run")),
    ("resume", Some("resume --local --yes")),
    ("resume", Some("resume --if-orphaned")),
    ("halt", Some("halt --detection-only")),
    ("skip-phase", Some("skip-phase worker k8s-node4")),
    ("skip-phase", Some("skip-phase worker k8s-node3")),
    ("clear-state", Some("clear-state")),
    ("acknowledge", Some("acknowledge")),
    ("status", Some("status")),
    ("status", Some("status -o json")),
    ("status", Some("status --health")),
    ("report", Some("report")),
    ("preflight", Some("preflight --target 1.34.7")),
    ("preflight", Some("preflight --target 1.34.7 --dry-run")),
    ("upgrade-node", Some("upgrade-node k8s-node3 --yes")),
    ("postflight", Some("postflight")),
    ("drain", Some("drain k8s-node3 --dry-run")),
    ("drain", Some("drain k8s-node3")),
    ("rollback", Some("rollback k8s-node4 --dry-run")),
    ("rollback", Some("rollback k8s-master")),
    ("rotate-key", Some("rotate-key --dry-run")),
    ("halt", Some("halt --lift")),
    ("rehearse", None),
    ("manifests", None),
    ("image", None),
    ("completions", None),
    ("man", None),
    ("help", None),
];

/// Whatever is typed while upgrades are halted says so, by whom and why; and so does every Job.
#[test]
fn while_halted_every_command_and_every_job_says_so() {
    let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    for command in Cli::command().get_subcommands() {
        assert!(known.contains(&command.get_name()), "{} is a command that this table does not have", command.get_name());
    }
    observed(runbook(), async |driver| {
        when(driver, "the first worker", is_out("k8s-node4")).await;
        when(driver, "its end", |state| version(state, "k8s-node4") == NEW && ours(state).is_empty()).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        let before: Vec<String> = driver.twin.look(|state| state.logs.keys().cloned().collect());
        when(driver, "the safe point", |state| !at_work(state)).await;
        // The watch looks, and leaves it alone.
        pass(driver, 1300).await;
        driver.twin.look(|state| {
            let new: Vec<_> = state.logs.iter().filter(|(name, _)| !before.contains(name)).collect();
            assert!(!new.is_empty(), "no Job ran meanwhile: {:?}", state.logs.keys());
            let all = state.logs.iter().filter(|(name, _)| name.contains("k8s-node4") || !before.contains(name));
            for (name, log) in all {
                let log = log.all().join("\n");
                assert!(log.contains("upgrades are halted by operator-") && log.contains("disks"), "{name} says nothing: {log}");
            }
        });
        for (number, (_, line)) in COMMANDS.iter().enumerate() {
            let Some(line) = line else { continue };
            let (code, said) = types(driver, &format!("c{number}"), line).await;
            assert!(said.contains("halted by ann") && said.contains("disks"), "{line} ({code}) says nothing of a halt:\n{said}");
        }
        driver.twin.look(|state| {
            assert!(in_flight(state) && ours(state).is_empty(), "{}", tail(state, 40));
            assert_eq!(version(state, "k8s-node3"), "1.34.2");
        });
    });
}

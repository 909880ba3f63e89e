//! Upgrades that a person has halted: what is begun ends at a safe point, what cannot be asked is named, and everybody says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};

use super::hands::{NEW, done, is_out, observed, ours, runbook, unit_runs, version};
use super::rules::Observer;
use super::world::{LIMIT, NAMESPACE, at_work, in_flight, is_over, jobs, live, mark, namespace, pass, said, tail, types, when};

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

/// Its runner has ended, and the API server hears of that some seconds later: until then the Job looks as if it were at work. Whoever lifts the
/// halt and resumes in between goes on.
#[test]
pub(super) fn a_halt_is_lifted_before_its_pods_end_is_known() {
    const RUNNER: &str = "k8s-node1";
    for millis in [0, 500, 1000, 3000] {
        let end = observed(runbook(), async |driver| {
            when(driver, "a drain", is_out("k8s-node4")).await;
            assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
            driver.twin.edit(|state| state.control.silent.insert(RUNNER.to_owned()));
            when(driver, "the safe point", |state| !at_work(state)).await;
            let then = later(driver.twin.now(), Duration::from_millis(millis));
            driver.until(then, |_| false).await;
            assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
            driver.operate("resume", &["k8s-upgrade", "resume"], Default::default());
            pass(driver, 3).await;
            driver.twin.edit(|state| state.control.silent.remove(RUNNER));
            let limit = later(driver.twin.now(), LIMIT);
            let code = driver.until_ended("resume", limit).await;
            let said = driver.twin.look(|state| said(state, "resume"));
            assert!(code == Some(0) && said.contains("created"), "{millis} ms after its end: {code:?} {said}");
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
    }
}

/// Its runner has seen it and is about to end: whoever lifts it now and resumes is told that the Job is at work, and it is the Job that goes on.
#[test]
pub(super) fn a_halt_is_lifted_while_its_runner_ends() {
    /// The node is given back slowly.
    struct Slow(Arc<AtomicBool>);
    impl Hook for Slow {
        fn before(&mut self, state: &mut State, call: &Call) -> Fate {
            let back = call.what.starts_with("PATCH /api/v1/nodes/k8s-node4") && mark(namespace(state), "halted").is_some();
            if back && !self.0.swap(true, Ordering::Relaxed) { Fate::Late(Duration::from_secs(5)) } else { Fate::Go }
        }
    }
    let (state, ends) = (runbook(), Arc::new(AtomicBool::new(false)));
    let (observer, broken) = Observer::new(&state, Some(Box::new(Slow(ends.clone()))));
    let end = live(state, Some(Box::new(observer)), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "the way back", |_| ends.load(Ordering::Relaxed)).await;
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        let (code, said) = types(driver, "resume", "resume").await;
        assert!(code == 0 && said.contains("is at work"), "{code} {said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert!(broken.lock().unwrap().is_empty(), "{broken:?}");
    let said = end.logs.values().map(|log| log.all().join("\n")).collect::<String>();
    assert!(said.contains("the halt was lifted meanwhile: the Job's next try goes on"), "{said}");
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
pub const COMMANDS: [(&str, Option<&str>); 43] = [
    ("detect", Some("detect")),
    ("detect", Some("detect --dry-run")),
    ("start", Some("start --target 1.34.7 --yes")),
    ("start", Some("start --target 1.34.7 --local --yes")),
    ("resume", Some("resume")),
    ("resume", Some("resume --dry-run")),
    ("resume", Some("resume --local --yes")),
    ("resume", Some("resume --if-orphaned")),
    ("halt", Some("halt --detection-only")),
    ("pause", Some("pause k8s-node3")),
    ("unpause", Some("unpause k8s-node3")),
    ("skip-phase", Some("skip-phase worker k8s-node4")),
    ("skip-phase", Some("skip-phase worker k8s-node3")),
    // Without a yes it asks nothing, and with one it ends the run.
    ("clear-state", None),
    ("acknowledge", Some("acknowledge")),
    ("approve", Some("approve 1.34.7 --yes")),
    ("approve", Some("approve --lift")),
    ("plan", Some("plan")),
    ("check", Some("check")),
    ("adopt", Some("adopt")),
    ("status", Some("status")),
    ("status", Some("status -o json")),
    ("status", Some("status --health")),
    ("report", Some("report")),
    ("preflight", Some("preflight --target 1.34.7")),
    ("preflight", Some("preflight --target 1.34.7 --dry-run")),
    ("upgrade-node", Some("upgrade-node k8s-node3 --yes")),
    ("postflight", Some("postflight")),
    ("drain", Some("drain k8s-node3 --dry-run")),
    ("drain", Some("drain k8s-node3 --yes")),
    ("rollback", Some("rollback k8s-node4 --dry-run")),
    ("rollback", Some("rollback k8s-master")),
    ("rotate-key", Some("rotate-key --dry-run")),
    ("uninstall", Some("uninstall --dry-run")),
    ("uninstall", Some("uninstall --yes")),
    ("halt", Some("halt --lift")),
    ("rehearse", None),
    ("manifests", None),
    ("image", None),
    ("completions", None),
    ("complete", None),
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

//! A person's commands on a run that stands or goes: each breaks or halts it in the middle, types one command, and lets it converge under
//! the rules that are never broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::Injected;
use k8s_upgrade::twin::{Driver, State, hosts};
use serde_json::json;

use super::journal;
use super::rules::Observer;
use super::world::{
    LIMIT, NAMESPACE, amiss, at_work, begin, in_flight, is_over, jobs, live, mark, namespace, pass, quick, suspend, tail, types,
    version_of, when,
};

pub const NEW: &str = "1.34.7";

/// Lives with the observer of the rules; none may be broken.
pub fn observed<T>(state: State, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> T {
    let (observer, broken) = Observer::new(&state, None);
    let end = live(state, Some(Box::new(observer)), work);
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    end
}

/// An autoscaler of this workload: it might make more pods than its budget wants, so the budget counts as one that may come to allow an
/// eviction. It never does.
pub fn autoscaled(state: &mut State, kind: &str, namespace: &str, name: &str) {
    let target = json!({ "apiVersion": "apps/v1", "kind": kind, "name": name });
    let metadata = json!({ "name": name, "namespace": namespace });
    let now = state.now();
    let scaler = json!({ "metadata": metadata, "spec": { "maxReplicas": 9, "scaleTargetRef": target } });
    state.store.create(now, Kind::Autoscaler, scaler).unwrap();
}

pub fn done(state: &State, cordoned: &[&str]) {
    let wrong = amiss(state, NEW, &cordoned.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert!(wrong.is_empty() && is_over(state), "{}\n{}\n{}", wrong.join("\n"), jobs(state), tail(state, 60));
}

pub fn ours(state: &State) -> Vec<String> {
    let ours = state.store.list(Kind::Node).filter(|(_, node)| mark(node, "cordoned-by").is_some());
    ours.map(|(key, _)| key.name.clone()).collect()
}

pub fn is_out(name: &'static str) -> impl Fn(&State) -> bool {
    move |state| ours(state).contains(&name.to_owned())
}

pub fn unit_runs(name: &'static str, step: &'static str) -> impl Fn(&State) -> bool {
    move |state| {
        let unit = state.hosts.machine(name).and_then(|machine| machine.unit.as_ref());
        unit.is_some_and(|unit| unit.end.is_none() && unit.step.name() == step)
    }
}

pub fn version(state: &State, name: &str) -> String {
    version_of(state.store.get(&Key::node(name)).unwrap()).to_owned()
}

fn suspended(state: &State) -> bool {
    state.store.get(&Key::new(Kind::CronJob, NAMESPACE, "k8s-version-check")).unwrap()["spec"]["suspend"] == true
}

pub fn slack(state: &State) -> String {
    state.web.slack.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n---\n")
}

pub fn runbook() -> State {
    begin(&quick(Scenario::runbook()))
}

/// In a drain: the node serves again, nothing else begins, and the word of a person is needed to go on.
#[test]
fn a_halt_in_a_drain_gives_the_node_back() {
    let mut state = runbook();
    state.store.update(&Key::node("k8s-node2"), |node| node["spec"]["unschedulable"] = json!(true));
    let end = observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let (code, said) = types(driver, "halt", "halt --reason disks").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("halt", said);
        when(driver, "the safe point", |state| !at_work(state)).await;
        pass(driver, 3600).await;
        driver.twin.look(|state| {
            assert!(ours(state).is_empty() && in_flight(state) && suspended(state) && !at_work(state), "{}", tail(state, 60));
            assert_eq!(version(state, "k8s-node4"), "1.34.2");
            let log = state.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n");
            assert!(log.contains("■ stopped: k8s-node4: upgrades are halted by operator-"), "{log}");
        });
        for (name, line) in [("r", "resume"), ("s", "start --target 1.34.7 --local --yes"), ("u", "upgrade-node k8s-node4 --yes")]
        {
            let (code, said) = types(driver, name, line).await;
            assert!(code == 4 && said.contains("upgrades are halted by ann") && said.contains("disks"), "{line}: {code} {said}");
        }
        let (_, said) = types(driver, "status", "status").await;
        assert!(said.contains("HALTED  upgrades are halted by ann"), "{said}");
        let (code, said) = types(driver, "lift", "halt --lift").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("lift", said);
        driver.twin.look(|state| assert!(!suspended(state) && mark(namespace(state), "halted").is_none()));
        let (code, said) = types(driver, "resume", "resume").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("resume", said);
        when(driver, "the end", is_over).await;
        assert_eq!(types(driver, "again", "halt --lift").await.0, 0);
        driver.twin.look(State::clone)
    });
    done(&end, &["k8s-node2"]);
    assert!(slack(&end).contains("⏸️") && slack(&end).contains("▶️"), "{}", slack(&end));
}

/// While kubeadm works the node is finished first; `--now` waits for the unit, and then the Job is gone.
#[test]
fn a_halt_waits_for_kubeadm() {
    for now in [false, true] {
        let end = observed(runbook(), async |driver| {
            when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
            let (code, said) = types(driver, "halt", if now { "halt --now --yes" } else { "halt" }).await;
            assert_eq!(code, 0, "{said}");
            when(driver, "the safe point", |state| !at_work(state)).await;
            driver.twin.look(|state| {
                assert!(in_flight(state) && state.hosts.kubeadm_runs("k8s-node4", NEW).ended_well == 1, "{}", tail(state, 60));
                assert!(now || (ours(state).is_empty() && version(state, "k8s-node4") == NEW), "{}", tail(state, 60));
                let job = state.store.get(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4"));
                assert_eq!(job.is_none(), now, "{}", jobs(state));
            });
            pass(driver, 3600).await;
            driver.twin.look(|state| assert!(!at_work(state) && version(state, "k8s-node3") == "1.34.2"));
            assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
            assert_eq!(types(driver, "resume", "resume").await.0, 0);
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
        assert_eq!(end.hosts.kubeadm_runs("k8s-node4", NEW).ended_well, 1);
    }
}

/// Lifting undoes what was set and no more: a person's own suspension stays, the alert goes.
#[test]
fn the_runbooks_other_halts() {
    let end = observed(runbook(), async |driver| {
        when(driver, "the first worker", is_out("k8s-node4")).await;
        assert_eq!(types(driver, "d", "halt --detection-only").await.0, 0);
        driver.twin.look(|state| assert!(suspended(state)));
        let (code, said) = types(driver, "b", "halt --blocker-alert --reason storm").await;
        assert_eq!(code, 0, "{said}");
        driver.twin.look(|state| assert_eq!(state.web.pushgateway.max("k8s_upgrade_blocker"), Some(1.0)));
        when(driver, "a hold", |state| slack(state).contains("K8sUpgradeHaltedByOperator")).await;
        driver.twin.look(|state| assert!(ours(state).is_empty() && in_flight(state)));
        assert_eq!(types(driver, "l", "halt --lift").await.0, 0);
        driver.twin.look(|state| {
            assert_eq!(state.web.pushgateway.max("k8s_upgrade_blocker"), Some(0.0));
            assert!(!suspended(state));
        });
        // The watch asks the gate again by itself: nobody had halted the run.
        when(driver, "the end", is_over).await;
        driver.twin.edit(|state| suspend(state, "k8s-version-check"));
        for (name, line) in [("h", "halt"), ("l2", "halt --lift")] {
            assert_eq!(types(driver, name, line).await.0, 0);
        }
        driver.twin.look(|state| assert!(suspended(state), "a person's suspension was taken back"));
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// A run that is given up: refused while it works, then all of it goes, and a person's cordon stays.
#[test]
fn what_a_run_has_left_is_cleared() {
    let mut state = runbook();
    state.store.update(&Key::node("k8s-node2"), |node| node["spec"]["unschedulable"] = json!(true));
    observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let (code, said) = types(driver, "busy", "clear-state --yes").await;
        assert_eq!(code, 6, "{said}");
        insta::assert_snapshot!("clear_refused", said);
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        // The Job goes; what it began on the node does not.
        driver.twin.edit(|state| {
            state.kill_programs();
            state.store.remove(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4"));
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 300).await;
        let (code, said) = types(driver, "unasked", "clear-state").await;
        assert_eq!(code, 2, "{said}");
        driver.twin.look(|state| assert!(in_flight(state) && is_out("k8s-node4")(state)));
        let (code, said) = types(driver, "clear", "clear-state --yes").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("clear", said);
        driver.twin.look(|state| {
            assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 40));
            for suffix in ["target", "run-id", "snapshot-path", "started", "prepared"] {
                assert_eq!(mark(namespace(state), suffix), None, "{suffix}");
            }
            for gauge in ["k8s_upgrade_in_flight", "k8s_upgrade_snapshot_taken", "k8s_upgrade_started_timestamp"] {
                assert_eq!(state.web.pushgateway.max(gauge), Some(0.0), "{gauge}");
            }
            let cordoned = |name: &str| state.store.get(&Key::node(name)).unwrap()["spec"]["unschedulable"] == true;
            assert!(cordoned("k8s-node2"), "a person's cordon is gone");
            assert!(cordoned("k8s-node4"), "a half upgraded node serves");
            assert_eq!(state.store.list(Kind::Lease).filter(|(key, _)| key.namespace == NAMESPACE).count(), 0);
        });
        let (code, said) = types(driver, "again", "clear-state --yes").await;
        assert!(code == 0 && said.contains("nothing of one is left"), "{code} {said}");
    });
}

/// All nodes are there, and the latch is not gone.
#[test]
fn a_leaked_latch_is_told_as_such() {
    observed(runbook(), async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(|state| state.store.remove(&postflight));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 600).await;
        let (code, said) = types(driver, "clear", "clear-state --yes").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("latch", said);
        driver.twin.look(|state| assert!(!in_flight(state)));
    });
}

/// A worker that cannot be upgraded now: skipped by force, told everywhere, and the run ends as partial.
#[test]
fn a_skipped_worker_never_looks_done() {
    let end = observed(runbook(), async |driver| {
        let (code, said) = types(driver, "none", "skip-phase worker k8s-node3").await;
        assert!(code == 4 && said.contains("no run is in flight"), "{code} {said}");
        when(driver, "the next to last", is_out("k8s-node4")).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = true));
        let failed = "k8s-upgrade-worker-1-34-7-k8s-node3";
        let is_failed = |state: &State| jobs(state).lines().any(|job| job.starts_with(failed) && job.contains("\"Failed\""));
        when(driver, "a Failed worker", is_failed).await;
        pass(driver, 60).await;
        for (name, line, code) in [
            ("done", "skip-phase worker k8s-node4", 0),
            ("unforced", "skip-phase worker k8s-node3", 4),
            ("reasonless", "skip-phase worker k8s-node3 --force", 2),
            ("other", "skip-phase master k8s-node3", 2),
            ("nowhere", "skip-phase worker", 2),
            ("end", "skip-phase postflight --force --reason bored --yes", 4),
            ("unasked", "skip-phase worker k8s-node3 --force --reason disk", 2),
        ] {
            let (ended, said) = types(driver, name, line).await;
            assert_eq!(ended, code, "{line}: {said}");
        }
        driver.twin.look(|state| assert!(mark(namespace(state), "skipped").is_none()));
        let (code, said) = types(driver, "skip", "skip-phase worker k8s-node3 --force --reason disk --yes").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("skip", said);
        let (_, said) = types(driver, "status", "status").await;
        assert!(said.contains("SKIPPED worker/k8s-node3 (by ann: disk)"), "{said}");
        assert_eq!(types(driver, "resume", "resume").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert_eq!((version(&end, "k8s-node3").as_str(), version(&end, "k8s-node1").as_str()), ("1.34.2", NEW));
    journal::names_who_skipped_what_and_why(&end);
    assert!(slack(&end).contains("⚠️ K8s upgrade partial") && slack(&end).contains("skipped: worker/k8s-node3"));
    assert!(!slack(&end).contains('✅'), "{}", slack(&end));
    assert!(mark(namespace(&end), "skipped").is_none());
}

/// What ends a run that skipped something: the alerts of a whole one, but for the skew that a worker leaves which stays old.
#[test]
fn only_a_worker_that_stays_old_loosens_the_last_gate() {
    let unprepared = |state: &State| mark(namespace(state), "snapshot-path").is_some();
    let third = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node3");
    let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
    for (step, alert) in [("preflight", "K8sVersionSkew"), ("worker k8s-node3", "K8sUpgradeStalled")] {
        let end = observed(runbook(), async |driver| {
            when(driver, step, |state| if step == "preflight" { unprepared(state) } else { state.store.get(&third).is_some() })
                .await;
            // It waits for its successor's pod.
            let fourth = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4");
            let ended = |job: &serde_json::Value| job["status"]["completionTime"].is_string();
            when(driver, "the end of the Job before it", |state| state.store.get(&fourth).is_none_or(|job| ended(job))).await;
            driver.twin.edit(|state| {
                state.kill_programs();
                let job = if step == "preflight" { "k8s-upgrade-preflight-1-34-7" } else { third.name.as_str() };
                state.store.remove(&Key::new(Kind::Job, NAMESPACE, job));
            });
            when(driver, "nobody at work", |state| !at_work(state)).await;
            let (code, said) = types(driver, "skip", &format!("skip-phase {step} --force --reason haste --yes")).await;
            assert_eq!(code, 0, "{said}");
            assert_eq!(types(driver, "resume", "resume").await.0, 0);
            when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
            driver.twin.edit(|state| {
                let (from, until) = (state.now(), later(state.now(), LIMIT));
                state.web.prometheus.injected.push(Injected { name: alert.into(), labels: BTreeMap::new(), from, until });
            });
            let held = |state: &State| is_over(state) || slack(state).contains(alert);
            when(driver, "the last gate", held).await;
            driver.twin.look(|state| assert!(in_flight(state), "{step}: it ended while {alert} was firing\n{}", tail(state, 40)));
            driver.twin.edit(|state| state.web.prometheus.injected.clear());
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        assert!(slack(&end).contains("⚠️ K8s upgrade partial") && !slack(&end).contains('✅'), "{step}: {}", slack(&end));
    }
}

/// Neither the backup nor a control plane is ever skipped, whatever the reason.
#[test]
fn neither_backup_nor_control_plane_is_skipped() {
    let unsaved = |state: &State| in_flight(state) && mark(namespace(state), "snapshot-path").is_none();
    let cases = [("preflight", "preflight", "no etcd snapshot yet"), ("master", "master k8s-master", "cannot be skipped")];
    for (phase, argument, says) in cases {
        observed(runbook(), async |driver| {
            match phase {
                "preflight" => when(driver, "a run without a snapshot", unsaved).await,
                _ => when(driver, "the master", is_out("k8s-master")).await,
            }
            driver.twin.edit(|state| {
                state.kill_programs();
                state.store.remove(&Key::new(Kind::Job, NAMESPACE, &format!("k8s-upgrade-{phase}-1-34-7")));
            });
            when(driver, "nobody at work", |state| !at_work(state)).await;
            let (code, said) = types(driver, "skip", &format!("skip-phase {argument} --force --reason haste --yes")).await;
            assert!(code == 4 && said.contains(says), "{code} {said}");
            driver.twin.look(|state| assert!(mark(namespace(state), "skipped").is_none()));
        });
    }
}

/// A machine loses power in the middle of its upgrade; a person goes on in a process of their own, and half-done nodes come first.
#[test]
fn resume_here_takes_up_what_is_half_done() {
    let end = observed(runbook(), async |driver| {
        when(driver, "the packages", unit_runs("k8s-node4", "kubelet-packages")).await;
        driver.twin.edit(|state| {
            hosts::power_cut(state, "k8s-node4", Duration::from_secs(240));
            state.store.remove(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4"));
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 900).await;
        let (code, said) = types(driver, "dry", "resume --dry-run").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("resume_dry", said);
        let (code, said) = types(driver, "local", "resume --local --yes").await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("found: in the middle of its upgrade"), "{said}");
        driver.twin.look(State::clone)
    });
    let wrong = amiss(&end, NEW, &BTreeSet::new());
    assert!(wrong.is_empty() && !in_flight(&end), "{wrong:#?}\n{}", tail(&end, 60));
}

/// An impossible target is refused before anything is touched.
#[test]
pub fn start_refuses_an_impossible_target() {
    observed(runbook(), async |driver| {
        for (name, target, says) in [
            ("back", "1.34.1", "is older than what runs"),
            ("far", "1.36.0", "one minor version at a time"),
            ("never", "1.34.99", "1.34.99"),
        ] {
            let (code, said) = types(driver, name, &format!("start --target {target} --yes")).await;
            assert!(code == 4 && said.contains(says), "{code} {said}");
        }
        driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty() && !at_work(state)));
    });
}

/// A person lets a node serve that is half upgraded and whose runner has died. The retry finishes it, and what it had before stays on record.
#[test]
fn a_node_that_a_person_uncordons_half_upgraded_keeps_its_way_back() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
        driver.twin.edit(|state| {
            state.kill_programs();
            state.store.update(&Key::node("k8s-node4"), |node| {
                node["spec"].as_object_mut().unwrap().remove("unschedulable");
            });
        });
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let node = end.store.get(&Key::node("k8s-node4")).unwrap();
    assert!(mark(node, "former-versions").is_some_and(|versions| versions.contains("kubelet=1.34.2")), "{node}");
}

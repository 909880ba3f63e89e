//! What has got worse since the claim: each holds the chain after the node, by name, and the chain goes on once it is mended. What was bad before,
//! and what passes, holds nothing.

use jiff::SignedDuration;
use k8s_upgrade::twin::State;
use k8s_upgrade::twin::control::Broken;
use k8s_upgrade::twin::scenario::{self, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

use super::super::hands::{NEW, done, is_out, observed, ours, slack, version};
use super::super::recovery::watch;
use super::super::world::{at_work, begin, in_flight, is_over, live, mark, namespace, pass, quick, tail, types, when};

/// The chain holds after its first worker for that reason, and goes on once it is mended.
fn holds(scenario: &Scenario, spoils: impl Fn(&mut State, bool), says: &str) {
    let mut state = begin(scenario);
    watch(&mut state, false);
    let end = observed(state, async |driver| {
        when(driver, "the first worker", |state| version(state, "k8s-node4") == NEW && ours(state).is_empty()).await;
        driver.twin.edit(|state| spoils(state, true));
        let next = is_out("k8s-node3");
        when(driver, "a hold", |state| slack(state).contains("🛑") || next(state)).await;
        driver.twin.look(|state| {
            let told = slack(state);
            assert!(!next(state) && told.contains(says), "{told}\n{}", tail(state, 40));
            assert!(told.contains("the cluster got worse after k8s-node4 was upgraded"), "{told}");
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        // Nor does a person's word go past it.
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "somebody at work", at_work).await;
        when(driver, "nobody at work", |state| !at_work(state) || next(state)).await;
        driver.twin.look(|state| assert!(!next(state), "{}", tail(state, 40)));
        driver.twin.edit(|state| spoils(state, false));
        pass(driver, 120).await;
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
pub fn an_api_server_that_says_that_it_is_not_ready() {
    let ill = |state: &mut State, on: bool| {
        state.hosts.change("k8s-master", |machine| machine.faults.api_ill = on);
    };
    holds(&quick(Scenario::runbook()), ill, "API server of k8s-master is not well: ");
}

#[test]
pub fn an_etcd_that_raises_an_alarm() {
    let ill = |state: &mut State, on: bool| {
        state.hosts.change("k8s-master", |machine| machine.faults.etcd_ill = on.then(|| "ALARM NOSPACE".to_owned()));
    };
    holds(&quick(Scenario::runbook()), ill, "etcd of k8s-master is not well: ");
}

#[test]
fn an_etcd_whose_disk_becomes_slow() {
    let slow = |state: &mut State, on: bool| {
        let now = state.now();
        state.hosts.change("k8s-master", |machine| machine.faults.etcd_slow = on.then_some(now));
    };
    holds(
        &quick(Scenario::runbook()),
        slow,
        "the disk of etcd of k8s-master takes 402 ms for each write of its log, 2 ms before the run",
    );
}

#[test]
pub fn a_node_that_comes_under_pressure() {
    let pressed = |state: &mut State, on: bool| {
        let status = if on { "True" } else { "False" };
        state.store.update(&Key::node("k8s-node2"), |node| {
            let conditions = node["status"]["conditions"].as_array_mut().unwrap();
            conditions.retain(|one| one["type"] != "MemoryPressure");
            conditions.push(json!({ "type": "MemoryPressure", "status": status }));
        });
    };
    holds(&quick(Scenario::runbook()), pressed, "k8s-node2 has MemoryPressure");
}

/// No answer is no health.
#[test]
fn a_control_plane_that_cannot_be_asked() {
    let shut = |state: &mut State, on: bool| {
        state.hosts.change("k8s-master", |machine| machine.faults.key_refused = on);
    };
    holds(&quick(Scenario::runbook()), shut, "the health of the etcd of k8s-master is not known: ");
}

#[test]
pub fn a_dns_that_answers_nobody() {
    let away = |state: &mut State, on: bool| state.dns_away_until = on.then_some(jiff::Timestamp::MAX);
    holds(&quick(Scenario::runbook()), away, "cluster DNS gives no answer for kubernetes.default.svc");
}

fn crashes(state: &mut State, on: bool) {
    state.store.update(&Key::new(Kind::Pod, "kube-system", "etcd-k8s-master"), |pod| {
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let running = json!({ "running": { "startedAt": "2026-11-01T00:00:00Z" } });
        pod["status"]["containerStatuses"][0]["state"] = if on { waiting } else { running };
    });
}

#[test]
pub fn a_pod_that_crashes_again_and_again() {
    holds(&quick(Scenario::runbook()), crashes, "pod kube-system/etcd-k8s-master has a pod that crashes again and again");
}

/// Nobody asks for alerts; a Deployment whose pod comes up nowhere else holds the run all the same, and so does one whose pods crash.
#[test]
fn a_deployment_that_stays_down_holds_without_alerts() {
    for how in [Broken::Unready, Broken::Crashes] {
        let mut scenario = quick(Scenario::runbook());
        scenario.settings.insert("alerts".to_owned(), "off".into());
        let web = Workload {
            placed_on: vec!["k8s-node4".to_owned()],
            ..Workload::new(scenario::WorkloadKind::Deployment, "shop", "web")
        };
        scenario.workloads.push(web);
        let mut state = begin(&scenario);
        watch(&mut state, false);
        state.control.broken.insert(("shop".to_owned(), "web".to_owned()), how);
        // Seen by no observer, whose rules want alerts to be asked for.
        live(state, None, async |driver| {
            let next = is_out("k8s-node3");
            when(driver, "a hold", |state| slack(state).contains("🛑") || next(state)).await;
            driver.twin.look(|state| {
                let told = slack(state);
                assert!(!next(state) && version(state, "k8s-node4") == NEW && told.contains("Deployment shop/web"), "{told}");
            });
        });
    }
}

/// A Deployment that lacks a pod, one that nobody can start, an etcd with an alarm, pods that crash: of before the claim, and named there.
#[test]
pub fn what_was_bad_before_holds_nothing() {
    let mut scenario = quick(Scenario::runbook());
    let broken = Workload {
        never_ready: true,
        placed_on: vec!["k8s-node4".to_owned()],
        ..Workload::new(scenario::WorkloadKind::Deployment, "shop", "web")
    };
    scenario.workloads.push(broken);
    let mut state = begin(&scenario);
    crashes(&mut state, true);
    state.hosts.change("k8s-master", |machine| machine.faults.api_ill = true);
    let end = observed(state, async |driver| {
        when(driver, "the end, or a hold", |state| is_over(state) || slack(state).contains("🛑")).await;
        driver.twin.look(State::clone)
    });
    assert!(!slack(&end).contains("🛑"), "{}\n{}", slack(&end), tail(&end, 40));
    done(&end, &[]);
}

/// Two looks see it, and not the third.
#[test]
pub fn what_is_bad_for_a_moment_holds_nothing() {
    let end = observed(begin(&quick(Scenario::runbook())), async |driver| {
        when(driver, "the first worker", |state| version(state, "k8s-node4") == NEW && ours(state).is_empty()).await;
        driver.twin.edit(|state| state.dns_away_until = state.now().checked_add(SignedDuration::from_secs(50)).ok());
        when(driver, "the end, or a hold", |state| is_over(state) || slack(state).contains("🛑")).await;
        driver.twin.look(State::clone)
    });
    assert!(!slack(&end).contains("🛑"), "{}\n{}", slack(&end), tail(&end, 40));
    done(&end, &[]);
}

/// A run that a build before this one has claimed, or whose record somebody has spoilt: what is well now is what it is held against.
#[test]
fn a_run_without_a_baseline_is_given_one() {
    for other in [None, Some("nonsense")] {
        let end = observed(begin(&quick(Scenario::runbook())), async |driver| {
            let prepared = |state: &State| mark(namespace(state), "prepared").is_some();
            when(driver, "preflight's end", prepared).await;
            let key = "viktorbarzin.me/k8s-upgrade-baseline";
            driver.twin.edit(|state| {
                state.store.update(&Key::new(Kind::Namespace, "", super::super::world::NAMESPACE), |namespace| {
                    let marks = namespace["metadata"]["annotations"].as_object_mut().unwrap();
                    assert!(marks.contains_key(key), "the claim says what was well");
                    match other {
                        Some(text) => drop(marks.insert(key.to_owned(), json!(text))),
                        None => drop(marks.shift_remove(key)),
                    }
                });
            });
            let again = |state: &State| mark(namespace(state), "baseline").is_some_and(|text| text.contains("whole"));
            when(driver, "a baseline", again).await;
            driver.twin.look(|state| assert!(in_flight(state)));
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
        assert!(mark(namespace(&end), "baseline").is_none(), "it goes with its run");
    }
}

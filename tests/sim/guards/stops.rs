//! A signal and a halt are obeyed within seconds, in every wait and between any two changes, where something could still be begun.

use std::time::Duration;

use k8s_upgrade::twin::control::Backup;
use k8s_upgrade::twin::scenario::{self, Scenario, Workload};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State};
use serde_json::json;

use super::super::hands::{NEW, is_out, observed, ours, runbook, unit_runs, version};
use super::super::recovery::{self, watch};
use super::super::rules::Observer;
use super::super::world::{
    NAMESPACE, at_work, begin, in_flight, is_of_chain, jobs, live, mark, namespace, pass, quick, said, suspend, tail, types, when,
};

/// Seconds until a process has ended that was asked to.
const SOON: u64 = 25;
const HALTED: &str = "viktorbarzin.me/k8s-upgrade-halted";
const STOPPED: u8 = 130;

fn halts(state: &mut State) {
    state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
        namespace["metadata"]["annotations"][HALTED] = json!("disks");
    });
}

/// Halted now: a few seconds later nobody is at work, and no node is out by our doing.
async fn halted_soon(driver: &mut Driver<'_>, when: &str) {
    driver.twin.edit(halts);
    pass(driver, SOON).await;
    driver.twin.look(|state| {
        assert!(!at_work(state) && ours(state).is_empty(), "{when}: it goes on\n{}\n{}", jobs(state), tail(state, 40));
    });
}

/// Interrupted now: a few seconds later the command has ended, as stopped.
async fn stopped_soon(driver: &mut Driver<'_>, name: &str, when: &str) {
    driver.interrupt(name);
    let limit = later(driver.twin.now(), Duration::from_secs(SOON));
    let code = driver.until_ended(name, limit).await;
    driver.twin.look(|state| {
        assert_eq!(code, Some(STOPPED), "{when}: it goes on\n{}\n{}", said(state, name), tail(state, 20));
        assert!(ours(state).is_empty(), "{when}: {:?} stays out", ours(state));
    });
}

fn begins(driver: &mut Driver<'_>, line: &str) {
    let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).collect();
    driver.operate("hand", &argv, Default::default());
}

fn by_hand() -> State {
    let mut state = runbook();
    suspend(&mut state, "k8s-version-check");
    state
}

/// Between two changes of preflight: what follows the snapshot is not done.
#[test]
pub fn a_signal_between_two_changes() {
    observed(by_hand(), async |driver| {
        begins(driver, "preflight --target 1.34.7");
        when(driver, "a snapshot", |state| mark(namespace(state), "snapshot-path").is_some()).await;
        stopped_soon(driver, "hand", "after the snapshot").await;
        driver.twin.look(|state| assert!(mark(namespace(state), "prepared").is_none(), "{}", tail(state, 20)));
    });
}

#[test]
pub fn a_halt_between_two_changes() {
    let mut state = runbook();
    watch(&mut state, false);
    observed(state, async |driver| {
        when(driver, "a snapshot", |state| mark(namespace(state), "snapshot-path").is_some()).await;
        halted_soon(driver, "after the snapshot").await;
        driver
            .twin
            .look(|state| assert!(in_flight(state) && mark(namespace(state), "prepared").is_none(), "{}", tail(state, 20)));
    });
}

#[test]
pub fn a_signal_in_a_wait() {
    let mut state = by_hand();
    recovery::fires(&mut state, "NodeDiskFull");
    observed(state, async |driver| {
        begins(driver, "upgrade-node k8s-master --target 1.34.7 --yes");
        pass(driver, 60).await;
        stopped_soon(driver, "hand", "at the alert gate").await;
    });
}

/// At an alert gate, which looks at the namespace itself; and for a backup, which does not.
#[test]
pub fn a_halt_in_a_wait() {
    for what in ["an alert gate", "a backup"] {
        let mut state = runbook();
        watch(&mut state, false);
        if what == "a backup" {
            state.control.backup = Backup::Stuck;
        }
        observed(state, async |driver| {
            if what == "a backup" {
                let backs_up =
                    |state: &State| state.store.list(Kind::Job).any(|(key, _)| key.name.starts_with("pre-upgrade-etcd"));
                when(driver, "the backup", backs_up).await;
            } else {
                let job = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4");
                when(driver, "a worker's Job", |state| state.store.get(&job).is_some()).await;
                driver.twin.edit(|state| recovery::fires(state, "NodeDiskFull"));
            }
            pass(driver, 60).await;
            driver.twin.look(|state| assert!(at_work(state) && in_flight(state), "{what}: {}", tail(state, 20)));
            halted_soon(driver, what).await;
        });
    }
}

fn soaks() -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("soak".to_owned(), json!("20m"));
    scenario
}

fn first_is_done(state: &State) -> bool {
    version(state, "k8s-master") == NEW && ours(state).is_empty()
}

#[test]
pub fn a_signal_in_a_soak() {
    let mut state = begin(&soaks());
    suspend(&mut state, "k8s-version-check");
    observed(state, async |driver| {
        begins(driver, "start --target 1.34.7 --local --yes");
        when(driver, "the master's end", first_is_done).await;
        pass(driver, 120).await;
        stopped_soon(driver, "hand", "in its soak").await;
    });
}

#[test]
pub fn a_halt_in_a_soak() {
    observed(begin(&soaks()), async |driver| {
        when(driver, "the master's end", first_is_done).await;
        pass(driver, 120).await;
        halted_soon(driver, "in its soak").await;
    });
}

/// One pod takes its time to end, and nothing is left to be evicted.
fn slow_to_end() -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let slow = Workload {
        placed_on: vec!["k8s-node4".to_owned()],
        grace_seconds: Some(280),
        ends_after_seconds: Some(270),
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    scenario
}

#[test]
pub fn a_signal_while_pods_end() {
    let mut state = begin(&slow_to_end());
    suspend(&mut state, "k8s-version-check");
    observed(state, async |driver| {
        begins(driver, "drain k8s-node4 --yes");
        when(driver, "the cordon", |state| state.store.get(&Key::node("k8s-node4")).unwrap()["spec"]["unschedulable"] == true)
            .await;
        pass(driver, 90).await;
        stopped_soon(driver, "hand", "while a pod ends").await;
        driver.twin.look(|state| assert!(state.store.get(&Key::node("k8s-node4")).unwrap()["spec"]["unschedulable"] != true));
    });
}

#[test]
pub fn a_halt_while_pods_end() {
    observed(begin(&slow_to_end()), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 90).await;
        halted_soon(driver, "while a pod ends").await;
        driver.twin.look(|state| assert_eq!(version(state, "k8s-node4"), "1.34.2"));
    });
}

/// Each eviction takes its time. How many were asked for is counted.
struct SlowEvictions;

impl Hook for SlowEvictions {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if call.changes && call.what.contains("/eviction") { Fate::Late(Duration::from_secs(12)) } else { Fate::Go }
    }
}

fn crowded() -> State {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = vec!["k8s-node4".to_owned(); 96];
    scenario.workloads.push(Workload {
        replicas: 96,
        placed_on,
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    });
    begin(&scenario)
}

/// Lives with slow evictions, under the rules.
fn slowly<T>(state: State, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> T {
    let (observer, broken) = Observer::new(&state, Some(Box::new(SlowEvictions)));
    let end = live(state, Some(Box::new(observer)), work);
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    end
}

#[test]
pub fn a_signal_between_evictions() {
    let mut state = crowded();
    suspend(&mut state, "k8s-version-check");
    slowly(state, async |driver| {
        begins(driver, "drain k8s-node4 --yes");
        when(driver, "an eviction", |state| state.evictions.get("k8s-node4").is_some_and(|some| some.granted > 0)).await;
        stopped_soon(driver, "hand", "between evictions").await;
    });
}

#[test]
pub fn a_halt_between_evictions() {
    slowly(crowded(), async |driver| {
        when(driver, "an eviction", |state| state.evictions.get("k8s-node4").is_some_and(|some| some.granted > 0)).await;
        halted_soon(driver, "between evictions").await;
    });
}

/// Nothing follows a halted run's Job, and the watch takes nothing up: not for the next hour.
#[test]
pub fn a_halted_run_gets_no_new_job() {
    let chain = |state: &State| -> Vec<String> {
        let jobs = state.store.list(Kind::Job).filter(|(_, job)| is_of_chain(job));
        jobs.map(|(_, job)| job["metadata"]["uid"].as_str().unwrap_or_default().to_owned()).collect()
    };
    observed(runbook(), async |driver| {
        when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
        // Its tries are lost, so that the watch may take it up once it is halted.
        let limit = later(driver.twin.now(), Duration::from_secs(1800));
        let failed = |state: &State| jobs(state).lines().any(|line| line.contains("k8s-node4") && line.contains("Failed"));
        while !driver.twin.look(failed) && driver.twin.now() < limit {
            driver.twin.edit(State::kill_programs);
            pass(driver, 4).await;
        }
        driver.twin.edit(halts);
        let before = driver.twin.look(chain);
        pass(driver, 3600).await;
        driver.twin.look(|state| assert_eq!(chain(state), before, "{}\n{}", jobs(state), tail(state, 40)));
    });
}

#[test]
pub fn a_halted_run_is_not_ended() {
    observed(runbook(), async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(halts);
        pass(driver, 1800).await;
        driver.twin.look(|state| assert!(in_flight(state), "{}", tail(state, 40)));
    });
}

#[test]
pub fn a_halted_run_is_not_resumed() {
    observed(runbook(), async |driver| {
        super::super::driven::broken_off(driver).await;
        driver.twin.edit(halts);
        for line in ["resume", "resume --local --yes"] {
            let (code, said) = types(driver, line, line).await;
            assert!(code == 4 && said.contains("upgrades are halted"), "{line}: {code}: {said}");
            driver.twin.look(|state| assert!(mark(namespace(state), "local").is_none(), "{line} leaves a mark behind"));
        }
    });
}

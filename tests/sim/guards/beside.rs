//! Who else is at work: a person beside a Job, a Job beside another, the watch beside either.

use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::{Value, json};

use super::super::driven::broken_off;
use super::super::faults::What;
use super::super::hands::{is_out, observed, runbook};
use super::super::recovery::watch;
use super::super::world::{LIMIT, NAMESPACE, at_work, jobs, live, mark, namespace, pass, said, tail, types, when};

const WORKER: &str = "k8s-upgrade-worker-1-34-7-k8s-node4";

fn active(state: &State) -> Vec<String> {
    jobs(state)
        .lines()
        .filter(|line| line.ends_with(": active") && line.contains("k8s-upgrade-worker"))
        .map(str::to_owned)
        .collect()
}

#[test]
pub fn a_person_waits_for_the_chains_job() {
    observed(runbook(), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        for line in
            ["upgrade-node k8s-node2 --yes", "drain k8s-node2 --yes", "skip-phase worker k8s-node2 --force --reason x --yes"]
        {
            let (code, said) = types(driver, line, line).await;
            assert!(code == 6 && said.contains("of the chain is at work"), "{line}: {code} {said}");
        }
    });
}

/// A node joins that would come first: its Job waits for the one that is at work.
#[test]
pub fn one_job_at_a_time() {
    observed(runbook(), async |driver| {
        let alone = |state: &State| {
            let active: Vec<String> = jobs(state).lines().filter(|line| line.ends_with(": active")).map(str::to_owned).collect();
            active == [format!("{WORKER}: active")]
        };
        when(driver, "a worker's Job, whose predecessor has ended", alone).await;
        What::NodeJoins.happens(driver, 1);
        let (code, said) = types(driver, "resume", "resume").await;
        assert!(code == 0 && said.contains(&format!("Job {WORKER} is at work")), "{code} {said}");
        driver.twin.look(|state| assert_eq!(active(state).len(), 1, "{:?}", active(state)));
    });
}

/// A worker's Job has failed for good, and its tries were killed: the watch would take it up.
fn orphaned() -> State {
    let mut state = runbook();
    watch(&mut state, false);
    live(state, None, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let failed = |state: &State| jobs(state).lines().any(|line| line.starts_with(WORKER) && line.contains("Failed"));
        let limit = later(driver.twin.now(), LIMIT);
        while !driver.twin.look(failed) && driver.twin.now() < limit {
            driver.twin.edit(State::kill_programs);
            pass(driver, 4).await;
        }
        pass(driver, 300).await;
        driver.twin.look(|state| assert!(!at_work(state) && failed(state), "{}", jobs(state)));
        driver.twin.look(State::clone)
    })
}

fn taken_up(driver: &Driver<'_>) -> bool {
    driver.twin.look(|state| !active(state).is_empty())
}

/// A person performs it in a process of their own.
#[test]
pub fn the_watch_leaves_a_persons_run_alone() {
    live(orphaned(), None, async |driver| {
        driver.operate("hand", &["k8s-upgrade", "resume", "--local", "--yes"], Default::default());
        when(driver, "the person at work", |state| mark(namespace(state), "local").is_some()).await;
        pass(driver, 20).await;
        let (code, said) = types(driver, "watch", "resume --if-orphaned").await;
        assert_eq!(code, 0, "{said}");
        assert!(!taken_up(driver), "{said}");
    });
}

/// Somebody holds the node's Lease.
#[test]
pub fn the_watch_leaves_a_node_alone_that_somebody_holds() {
    live(orphaned(), None, async |driver| {
        driver.twin.edit(|state| {
            let key = Key::new(Kind::Lease, NAMESPACE, "k8s-upgrade-node-k8s-node4");
            state.store.remove(&key);
            let now = state.now();
            let spec = json!({ "holderIdentity": "somebody", "leaseDurationSeconds": 3600, "renewTime": now.to_string() });
            let metadata = json!({ "name": key.name, "namespace": NAMESPACE });
            state.store.create(now, Kind::Lease, json!({ "metadata": metadata, "spec": spec })).unwrap();
        });
        let (code, said) = types(driver, "watch", "resume --if-orphaned").await;
        assert!(code == 0 && said.contains("somebody is at work on k8s-node4: left alone"), "{code} {said}");
        assert!(!taken_up(driver), "{said}");
    });
}

/// A step that fails each time is taken up three times; then it is a person's.
#[test]
pub fn the_watch_gives_up() {
    let mut state = runbook();
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = u32::MAX);
    observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 4 * 3600).await;
        let before = driver.twin.look(|state| state.hosts.kubeadm_runs("k8s-node4", "1.34.7").began);
        pass(driver, 2 * 3600).await;
        driver.twin.look(|state| {
            assert_eq!(state.hosts.kubeadm_runs("k8s-node4", "1.34.7").began, before, "{}", tail(state, 40));
            assert!(!at_work(state), "{}", jobs(state));
        });
    });
}

/// A Job whose pod has come to run on the very node that it is for: it refuses.
#[test]
pub fn a_job_on_its_own_node_refuses() {
    observed(runbook(), async |driver| {
        let key = Key::new(Kind::Job, NAMESPACE, WORKER);
        when(driver, "the worker's Job", |state| state.store.get(&key).is_some()).await;
        driver.twin.edit(|state| {
            let job = state.store.remove(&key).unwrap();
            state.kill_programs();
            let (mut metadata, mut spec) = (job["metadata"].clone(), job["spec"].clone());
            metadata
                .as_object_mut()
                .unwrap()
                .retain(|field, _| ["name", "namespace", "labels", "annotations"].contains(&field.as_str()));
            spec.as_object_mut().unwrap().remove("selector");
            let spec = spec.to_string().replace("k8s-node1", "k8s-node4");
            let spec: Value = serde_json::from_str(&spec).unwrap();
            let now = state.now();
            state.store.create(now, Kind::Job, json!({ "metadata": metadata, "spec": spec })).unwrap();
        });
        let refuses =
            |state: &State| state.logs.values().any(|log| log.newest().any(|line| line.contains("this pod runs on k8s-node4")));
        let limit = later(driver.twin.now(), Duration::from_secs(1800));
        let refused = driver.until(limit, refuses).await;
        driver.twin.look(|state| assert!(refused && !is_out("k8s-node4")(state), "{}", tail(state, 60)));
    });
}

/// What is typed beside a person who works is refused.
#[test]
pub fn two_persons_do_not_work_at_once() {
    live(runbook(), None, async |driver| {
        broken_off(driver).await;
        driver.operate("hand", &["k8s-upgrade", "resume", "--local", "--yes"], Default::default());
        when(driver, "the person at work", is_out("k8s-node3")).await;
        let (code, words) = types(driver, "second", "drain k8s-node2 --yes").await;
        assert!(
            code == 6 && words.contains("driven by operator"),
            "{code} {words}\n{}",
            driver.twin.look(|state| said(state, "hand"))
        );
    });
}

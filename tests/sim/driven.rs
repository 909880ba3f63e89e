//! Work without a Job: a person's process is seen as long as it works, and for as long as its Lease lasts after it died.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::hands::{done, observed, runbook, unit_runs, version};
use super::world::{LIMIT, NAMESPACE, amiss, at_work, in_flight, is_over, live, mark, pass, said, suspend, tail, types, when};

fn by_hand(state: &State) -> bool {
    state.store.get(&Key::new(Kind::Lease, NAMESPACE, "k8s-upgrade-by-hand")).is_some()
}

fn node_leases(state: &State) -> usize {
    state.store.list(Kind::Lease).filter(|(key, _)| key.name.starts_with("k8s-upgrade-node-")).count()
}

fn begins(driver: &mut Driver<'_>, line: &str) {
    let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).collect();
    driver.operate("hand", &argv, BTreeMap::new());
}

/// Nobody else begins, nothing is cleared, and it is shown who is at work.
async fn is_left_alone(driver: &mut Driver<'_>, moment: &str) {
    let (code, said) = types(driver, &format!("status {moment}"), "status").await;
    assert!(code == 0 && said.contains("driven by operator"), "{moment}: {said}");
    assert!(said.contains("NO, operator") && !said.contains("k8s-upgrade resume"), "{moment}: {said}");
    let (_, said) = types(driver, &format!("json {moment}"), "status -o json").await;
    assert!(said.contains("\"drivenBy\": {"), "{moment}: {said}");
    let lines = [
        "clear-state --yes",
        "resume",
        "resume --local --yes",
        "start --target 1.34.7 --yes",
        "upgrade-node k8s-node2 --target 1.34.7 --yes",
        "drain k8s-node2 --yes",
    ];
    for line in lines {
        let (code, said) = types(driver, &format!("{line} {moment}"), line).await;
        assert_eq!(code, 6, "{line}, {moment}: {said}");
    }
}

/// Between two nodes no node's Lease is held, and before the claim nothing is in flight.
#[test]
pub fn a_run_in_a_process_of_its_own_is_seen_all_the_time() {
    let mut state = runbook();
    suspend_detection(&mut state);
    let end = observed(state, async |driver| {
        begins(driver, "start --target 1.34.7 --local --yes");
        when(driver, "its Lease", by_hand).await;
        driver.twin.look(|state| assert!(!in_flight(state)));
        let (code, said) = types(driver, "early", "clear-state --yes").await;
        assert!(
            code == 6 && said.contains("driven by operator") && said.contains("start --target 1.34.7 --local"),
            "{code} {said}"
        );
        let between = |state: &State| version(state, "k8s-node4") == "1.34.7" && node_leases(state) == 0;
        when(driver, "the time between two nodes", between).await;
        // It soaks for 10 minutes; a Lease that is not renewed lasts for one.
        pass(driver, 200).await;
        driver.twin.look(|state| assert!(between(state) && version(state, "k8s-node3") == "1.34.2", "{}", tail(state, 40)));
        is_left_alone(driver, "between").await;
        let (code, said) = types(driver, "watch", "resume --if-orphaned").await;
        assert_eq!(code, 0, "{said}");
        assert_eq!(driver.until_ended("hand", later(driver.twin.now(), LIMIT)).await, Some(0));
        driver.twin.look(State::clone)
    });
    let wrong = amiss(&end, "1.34.7", &Default::default());
    assert!(wrong.is_empty() && !in_flight(&end) && !by_hand(&end), "{wrong:#?}\n{}", tail(&end, 60));
}

/// What is done by hand is recorded on its Lease, and another person's `status` shows it.
#[test]
fn status_says_what_is_done_by_hand() {
    let mut state = runbook();
    suspend_detection(&mut state);
    observed(state, async |driver| {
        begins(driver, "start --target 1.34.7 --local --yes");
        when(driver, "its packages", unit_runs("k8s-node4", "kubelet-packages")).await;
        pass(driver, 3).await;
        let (_, said) = types(driver, "look", "status").await;
        assert!(said.contains("\n  now     kubelet packages and restart, "), "{said}");
        let (_, said) = types(driver, "json", "status -o json").await;
        let status: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(status["drivenBy"]["doing"]["what"], "kubelet packages and restart", "{said}");
    });
}

/// One node by hand, while its gate is closed: nothing is cordoned yet, no Lease of a node is held.
#[test]
fn one_node_by_hand_is_seen_while_it_waits() {
    let mut state = runbook();
    suspend_detection(&mut state);
    let alert = |state: &mut State| {
        let (from, until) = (state.now(), later(state.now(), std::time::Duration::from_secs(100)));
        let name = "NodeDiskFull".to_owned();
        state.web.prometheus.injected.push(k8s_upgrade::twin::web::Injected { name, labels: BTreeMap::new(), from, until });
    };
    alert(&mut state);
    observed(state, async |driver| {
        begins(driver, "upgrade-node k8s-master --target 1.34.7 --yes");
        when(driver, "its Lease", by_hand).await;
        pass(driver, 30).await;
        driver.twin.look(|state| assert_eq!(node_leases(state), 0, "{}", tail(state, 40)));
        is_left_alone(driver, "in its gate").await;
        assert_eq!(driver.until_ended("hand", later(driver.twin.now(), LIMIT)).await, Some(0));
        driver.twin.look(|state| assert!(!by_hand(state) && version(state, "k8s-master") == "1.34.7", "{}", tail(state, 40)));
    });
}

/// A run whose next Job was deleted after its first worker.
pub async fn broken_off(driver: &mut Driver<'_>) {
    let next = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node3");
    when(driver, "the second worker's Job", |state| state.store.get(&next).is_some()).await;
    driver.twin.edit(|state| state.store.remove(&next));
    when(driver, "nobody at work", |state| !at_work(state)).await;
    pass(driver, 60).await;
    driver.twin.look(|state| assert!(in_flight(state) && version(state, "k8s-node4") == "1.34.7", "{}", tail(state, 40)));
}

/// The node of a pod whose budget never lets it go: that drain takes its time.
fn stuck(state: &State) -> String {
    let mut pods = state.store.list(Kind::Pod).filter(|(key, _)| key.name.starts_with("anubis"));
    pods.find_map(|(_, pod)| pod["spec"]["nodeName"].as_str().map(str::to_owned)).expect("its pod")
}

/// A drain, and a worker's way back: alone, and seen by everybody while they last.
#[test]
fn a_drain_and_a_way_back_are_seen_while_they_last() {
    for what in ["drain", "rollback"] {
        // The rules know no way back.
        let state = live(runbook(), None, async |driver| {
            broken_off(driver).await;
            let stuck = driver.twin.look(stuck);
            let node = if what == "drain" { stuck.as_str() } else { "k8s-node4" };
            begins(driver, &format!("{what} {node} --yes"));
            when(driver, "its Lease", by_hand).await;
            is_left_alone(driver, what).await;
            assert!(!driver.ended.contains_key("hand"), "{what} had ended\n{}", driver.twin.look(|state| tail(state, 40)));
            assert_eq!(driver.until_ended("hand", later(driver.twin.now(), LIMIT)).await, Some(0));
            driver.twin.look(State::clone)
        });
        assert!(!by_hand(&state) && node_leases(&state) == 0, "{what}\n{}", tail(&state, 40));
    }
}

/// Its process dies: as long as that may be otherwise everybody waits; then one command goes on.
#[test]
fn a_process_that_died_is_followed_by_one_command() {
    for (what, goes_on) in [("Jobs", "resume"), ("another process", "resume --local --yes"), ("nobody", "clear-state --yes")] {
        let mut state = runbook();
        suspend_detection(&mut state);
        let end = observed(state, async |driver| {
            begins(driver, "start --target 1.34.7 --local --yes");
            let soaks = |state: &State| version(state, "k8s-node4") == "1.34.7" && node_leases(state) == 0;
            when(driver, "the time between two nodes", soaks).await;
            driver.kill("hand");
            pass(driver, 5).await;
            is_left_alone(driver, what).await;
            pass(driver, 60).await;
            let (_, said) = types(driver, "dead", "status").await;
            assert!(said.contains("died, as it seems"), "{said}");
            let (code, said) = types(driver, "next", goes_on).await;
            assert_eq!(code, 0, "{what}: {said}");
            match what {
                "Jobs" => when(driver, "the end", is_over).await,
                _ => driver.twin.look(|state| assert!(!in_flight(state), "{what}")),
            }
            driver.twin.look(State::clone)
        });
        assert!(!by_hand(&end), "{what}: its Lease is left\n{}", tail(&end, 40));
        match what {
            "Jobs" => done(&end, &[]),
            "nobody" => assert!(!at_work(&end) && version(&end, "k8s-node3") == "1.34.2"),
            _ => assert!(amiss(&end, "1.34.7", &Default::default()).is_empty(), "{}", tail(&end, 40)),
        }
    }
}

/// The first Ctrl-C waits for a safe point; the second leaves at once, with that signal's code, and what a node does goes on.
#[test]
fn a_second_interrupt_leaves_at_once() {
    let mut state = runbook();
    suspend_detection(&mut state);
    let end = observed(state, async |driver| {
        begins(driver, "start --target 1.34.7 --local --yes");
        when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
        driver.interrupt("hand");
        let soon = later(driver.twin.now(), Duration::from_secs(1));
        assert_eq!(driver.until_ended("hand", soon).await, None, "it waits for a safe point");
        driver.interrupt("hand");
        let soon = later(driver.twin.now(), Duration::from_secs(1));
        let code = driver.until_ended("hand", soon).await;
        let said = driver.twin.look(|state| said(state, "hand"));
        assert!(code == Some(130) && said.contains("■ stopped: left at the second signal"), "{code:?} {said}");
        pass(driver, 60).await;
        let (code, said) = types(driver, "next", "resume").await;
        assert_eq!(code, 0, "{said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// A release is found while a person drains a node: it waits for the next detection, and the alarm of nobody rings. A preflight that was
/// begun just before looks once more.
#[test]
pub fn a_detection_leaves_alone_who_works_by_hand() {
    let end = observed(runbook(), async |driver| {
        let stuck = driver.twin.look(stuck);
        begins(driver, &format!("drain {stuck} --yes"));
        when(driver, "its Lease", by_hand).await;
        for (line, says) in [
            ("detect", "deferred: 1.34.7 is there, but driven by operator"),
            ("detect --dry-run", "deferred: 1.34.7 is there, but driven by operator"),
            ("detect -o json", "\"deferred\": \"driven by operator"),
        ] {
            let (code, said) = types(driver, line, line).await;
            assert!(code == 0 && said.contains(says), "{line}: {code} {said}");
        }
        let (code, said) = types(driver, "preflight", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 3 && said.contains("work by hand: driven by operator"), "{code} {said}");
        let job = ["k8s-upgrade", "preflight", "--target", "1.34.7", "--chain", "--run", "0123abcd"];
        driver.operate("job", &job, BTreeMap::new());
        assert_eq!(driver.until_ended("job", later(driver.twin.now(), LIMIT)).await, Some(0));
        assert!(!driver.ended.contains_key("hand"), "the drain had ended\n{}", driver.twin.look(|state| tail(state, 40)));
        driver.twin.look(|state| {
            assert!(!in_flight(state) && super::world::jobs(state).lines().all(|job| !job.contains("preflight")));
            let slack = super::hands::slack(state);
            assert!(slack.lines().count() == 1 && slack.contains("deferred: work by hand"), "{slack}");
        });
        assert_eq!(driver.until_ended("hand", later(driver.twin.now(), LIMIT)).await, Some(0));
        driver.twin.edit(|state| state.store.update(&Key::node(&stuck), |node| node["spec"]["unschedulable"] = json!(false)));
        assert_eq!(types(driver, "later", "detect").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// A laptop whose clock is an hour fast or slow: whether its process lives is seen, not reckoned.
#[test]
pub fn a_clock_that_is_off_keeps_nobody_out_and_lets_nobody_in() {
    for off in [3600, -3600] {
        let mut state = runbook();
        suspend_detection(&mut state);
        state.clocks.insert("hand".to_owned(), off);
        let end = observed(state, async |driver| {
            begins(driver, "start --target 1.34.7 --local --yes");
            let soaks = |state: &State| version(state, "k8s-node4") == "1.34.7" && node_leases(state) == 0;
            when(driver, "the time between two nodes", soaks).await;
            for line in ["resume", "clear-state --yes", "resume --local --yes", "drain k8s-node2 --yes"] {
                let (code, said) = types(driver, &format!("{line} {off}"), line).await;
                assert!(code == 6 && said.contains("driven by operator"), "{line}, {off}: {code} {said}");
            }
            driver.kill("hand");
            pass(driver, 5).await;
            let (_, said) = types(driver, "dead", "status").await;
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let says =
                if off > 0 { "if that process lives: the clock of its machine is 59m" } else { "died, as it seems: operator" };
            assert!(words.contains(says), "{off}: {said}");
            let (code, said) = types(driver, "next", "resume").await;
            assert_eq!(code, 0, "{off}: {said}");
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
    }
}

/// The same for the Lease that such a process has left on a node.
#[test]
fn a_nodes_lease_of_the_future_keeps_nobody_out() {
    observed(runbook(), async |driver| {
        broken_off(driver).await;
        driver.twin.edit(|state| {
            let now = state.now();
            let renewed = later(now, std::time::Duration::from_secs(3600));
            let spec = json!({ "holderIdentity": "somebody", "leaseDurationSeconds": 60, "renewTime": renewed.to_string() });
            let metadata = json!({ "name": "k8s-upgrade-node-k8s-node3", "namespace": NAMESPACE });
            state.store.create(now, Kind::Lease, json!({ "metadata": metadata, "spec": spec })).unwrap();
        });
        let (code, said) = types(driver, "clear", "clear-state --yes").await;
        assert_eq!(code, 0, "{said}");
        driver.twin.look(|state| assert!(!in_flight(state) && node_leases(state) == 0, "{said}"));
    });
}

fn suspend_detection(state: &mut State) {
    suspend(state, "k8s-version-check");
    assert!(mark(super::world::namespace(state), "in-flight").is_none());
}

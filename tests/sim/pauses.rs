//! `pause` and `unpause`: nodes and pools whose turn a person keeps from them.

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};

use super::accounts::account;
use super::hands::{NEW, done, is_out, observed, version};
use super::waves::waves;
use super::world::{at_work, begin, in_flight, is_over, live, mark, namespace, pass, quick, types, when};

const OLD: &str = "1.34.2";
const LABEL: &str = "viktorbarzin.me/k8s-upgrade-pause";

/// Two at a time; k8s-node3 and k8s-node4 are of a pool.
fn scenario() -> Scenario {
    let mut scenario = quick(waves(Scenario::runbook(), "2"));
    for node in scenario.nodes.iter_mut().filter(|node| ["k8s-node3", "k8s-node4"].contains(&node.name.as_str())) {
        node.labels.insert("hardware".to_owned(), "gpu".to_owned());
    }
    scenario.settings.insert("pools".to_owned(), serde_json::json!({ "gpu": { "selector": ["hardware=gpu"] } }));
    scenario
}

fn is_labelled(state: &State, node: &str) -> bool {
    state.store.get(&Key::node(node)).unwrap()["metadata"]["labels"].get(LABEL).is_some()
}

/// A pool is paused before the run, and one of its nodes as well; the run does all else, and waits, whatever the watch does.
#[test]
fn a_pool_waits_until_it_is_let_go_on_and_so_does_a_node_of_it() {
    let end = observed(begin(&scenario()), async |driver| {
        for line in ["pause gpu", "pause gpu", "pause node/k8s-node4 k8s-node2", "unpause k8s-node2"] {
            let (code, said) = types(driver, "ann", line).await;
            assert_eq!(code, 0, "{line}: {said}");
        }
        driver.twin.look(|state| {
            assert_eq!(mark(namespace(state), "paused-pools"), Some("gpu"));
            assert!(is_labelled(state, "k8s-node4") && !is_labelled(state, "k8s-node2"));
        });
        when(driver, "the others", |state| ["k8s-node1", "k8s-node2"].iter().all(|node| version(state, node) == NEW)).await;
        pass(driver, 3600).await;
        driver.twin.look(|state| {
            assert!(in_flight(state) && ["k8s-node3", "k8s-node4"].iter().all(|node| version(state, node) == OLD));
        });
        let (code, said) = types(driver, "looks", "status").await;
        assert!(code == 0 && said.contains("unpause pool/gpu") && said.contains("unpause node/k8s-node4"), "{said}");
        assert_eq!(types(driver, "ann", "unpause pool/gpu").await.0, 0);
        when(driver, "one of them", |state| version(state, "k8s-node3") == NEW).await;
        pass(driver, 1800).await;
        driver.twin.look(|state| assert_eq!(version(state, "k8s-node4"), OLD));
        assert_eq!(types(driver, "ann", "unpause k8s-node4").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// What is told outlives the run: the mark is nobody's but the person's.
#[test]
fn a_pause_of_a_pool_outlives_a_run() {
    let mut scenario = scenario();
    scenario.nodes.iter_mut().for_each(|node| node.labels.clear());
    let end = live(begin(&scenario), None, async |driver| {
        assert_eq!(types(driver, "ann", "pause pool/gpu").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(mark(namespace(&end), "paused-pools"), Some("gpu"));
}

/// Who is out of service is finished; who only waits for its gates has no turn.
#[test]
fn who_is_in_work_goes_on_and_a_control_plane_holds_all() {
    let end = observed(begin(&quick(Scenario::runbook())), async |driver| {
        assert_eq!(types(driver, "ann", "pause k8s-master").await.0, 0);
        pass(driver, 3600).await;
        driver.twin.look(|state| {
            assert!(in_flight(state) && !at_work(state));
            assert!(state.store.list(Kind::Node).all(|(key, _)| version(state, &key.name) == OLD));
        });
        assert_eq!(types(driver, "ann", "unpause k8s-master").await.0, 0);
        when(driver, "the first worker", is_out("k8s-node4")).await;
        let (code, said) = types(driver, "ann", "pause k8s-node4").await;
        assert!(code == 0 && said.contains("in the middle of its upgrade, which goes on to its end"), "{said}");
        when(driver, "its end", |state| version(state, "k8s-node4") == NEW).await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
fn each_pause_gives_one_document() {
    let mut scenario = scenario();
    // A node that is called as a pool is.
    scenario.settings.insert(
        "pools".to_owned(),
        serde_json::json!({ "gpu": { "selector": ["hardware=gpu"] }, "k8s-node2": { "selector": ["hardware=none"] } }),
    );
    live(begin(&scenario), None, async |driver| {
        let mut told = Vec::new();
        for (line, code) in [
            ("pause k8s-node9 batch", 2),
            ("pause k8s-node2", 2),
            ("pause node/k8s-node2 gpu k8s-master", 0),
            ("pause pool/gpu", 0),
            ("unpause k8s-node1", 0),
            ("unpause node/k8s-node2 gpu k8s-master", 0),
        ] {
            told.push(account(driver, line, code).await);
        }
        when(driver, "a drain", is_out("k8s-node4")).await;
        told.push(account(driver, "pause k8s-node4", 0).await);
        told.push(account(driver, "unpause k8s-node4", 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

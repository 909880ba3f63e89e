//! A question stands for as long as nobody answers it: whatever changes meanwhile is seen before anything is done.

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::json;

use super::driven::broken_off;
use super::hands::runbook;
use super::world::{NAMESPACE, in_flight, live, mark, namespace, tail, types};

const NEXT: &str = "k8s-upgrade-worker-1-34-7-k8s-node3";

type Change = fn(&mut State);

/// Changes something once the person has answered: when they take the Lease of work by hand.
struct Meanwhile(Option<Change>);

impl Hook for Meanwhile {
    fn after(&mut self, state: &mut State, _: &Call) -> Fate {
        if state.store.get(&Key::new(Kind::Lease, NAMESPACE, "k8s-upgrade-by-hand")).is_some()
            && let Some(change) = self.0.take()
        {
            change(state);
        }
        Fate::Go
    }
}

fn another_run(state: &mut State) {
    let run = "viktorbarzin.me/k8s-upgrade-run-id";
    let key = Key::new(Kind::Namespace, "", NAMESPACE);
    state.store.update(&key, |namespace| namespace["metadata"]["annotations"][run] = json!("0badcafe"));
}

fn a_job_begins(state: &mut State) {
    let container = json!({ "name": "k8s-upgrade", "image": "none" });
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": [container], "nodeName": "k8s-node1" } });
    let metadata = json!({ "name": NEXT, "namespace": NAMESPACE, "labels": { "app": "k8s-upgrade-chain" } });
    let now = state.now();
    state
        .store
        .create(now, Kind::Job, json!({ "metadata": metadata, "spec": { "suspend": true, "template": template } }))
        .unwrap();
}

fn it_is_upgraded(state: &mut State) {
    state.store.update(&Key::node("k8s-node3"), |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.34.7"));
}

fn a_node_is_taken_out(state: &mut State) {
    state.store.update(&Key::node("k8s-node2"), |node| {
        node["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-cordoned-by"] = json!("0badcafe");
    });
}

#[test]
pub fn what_changes_while_a_question_stands_is_seen_after_it() {
    const SKIP: &str = "skip-phase worker k8s-node3 --force --reason disk --yes";
    const CLEAR: &str = "clear-state --yes";
    const HERE: &str = "resume --local --yes";
    const NODE: &str = "upgrade-node k8s-node3 --yes";
    let broken = live(runbook(), None, async |driver| {
        broken_off(driver).await;
        driver.twin.look(State::clone)
    });
    let cases: [(&str, Change, u8, &str); 10] = [
        (SKIP, another_run, 6, "the run in flight is not the one that was shown"),
        (SKIP, a_job_begins, 6, "Job k8s-upgrade-worker-1-34-7-k8s-node3 of the chain is at work"),
        (SKIP, it_is_upgraded, 0, "the facts show worker/k8s-node3 done"),
        (HERE, another_run, 6, "the run in flight is not the one that was shown"),
        (HERE, a_job_begins, 6, "Job k8s-upgrade-worker-1-34-7-k8s-node3 of the chain is at work"),
        (NODE, another_run, 6, "the run in flight is not the one that was shown"),
        (NODE, a_job_begins, 6, "Job k8s-upgrade-worker-1-34-7-k8s-node3 of the chain is at work"),
        (CLEAR, another_run, 6, "what is to be cleared is not what was shown"),
        (CLEAR, a_job_begins, 6, "what is to be cleared is not what was shown"),
        (CLEAR, a_node_is_taken_out, 6, "what is to be cleared is not what was shown"),
    ];
    for (line, change, code, says) in cases {
        live(broken.clone(), Some(Box::new(Meanwhile(Some(change)))), async |driver| {
            let (ended, said) = types(driver, "asked", line).await;
            assert!(ended == code && said.contains(says), "{line}: {ended} {said}");
            driver.twin.look(|state| {
                let marked = ["skipped", "local"].into_iter().find(|suffix| mark(namespace(state), suffix).is_some());
                assert!(in_flight(state) && marked.is_none(), "{line}: {marked:?}\n{}", tail(state, 20));
                assert_eq!(state.store.list(Kind::Lease).filter(|(key, _)| key.namespace == NAMESPACE).count(), 0, "{line}");
            });
        });
    }
    for line in [SKIP, CLEAR] {
        live(broken.clone(), None, async |driver| {
            let (ended, said) = types(driver, "asked", line).await;
            assert_eq!(ended, 0, "{line}: {said}");
        });
    }
}

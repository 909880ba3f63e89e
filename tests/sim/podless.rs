//! Jobs whose pods are refused: nothing works, and without a word it looks as if something did.

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

use super::drains::{shown, webhook};
use super::hands::{done, is_out, observed, runbook, slack};
use super::world::{NAMESPACE, begin, in_flight, is_over, jobs, pass, quick, suspend, when};

const NEXT: &str = "k8s-upgrade-worker-1-34-7-k8s-node3";
const QUOTA: &str = "exceeded quota: compute, requested: pods=1, used: pods=2, limited: pods=2";

/// From now on no pod is let in; a quota would say so in other words, and the same way.
fn refuse_pods(state: &mut State) {
    webhook(state, "pods", true);
    state.denials.insert("evict.guard.io".to_owned(), (403, QUOTA.to_owned()));
    // Only where the chain lives: else the evicted could not come back either.
    state.store.update(&Key::new(Kind::ValidatingWebhook, "", "guard"), |object| {
        object["webhooks"][0]["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": NAMESPACE } });
    });
}

/// Its predecessor tells once, and ends well; the screen says what keeps it; and when nothing does any more, the run goes on by itself.
#[test]
fn a_job_that_gets_no_pod_is_told_and_goes_on_once_it_may() {
    let end = observed(runbook(), async |driver| {
        when(driver, "a worker", is_out("k8s-node4")).await;
        driver.twin.edit(refuse_pods);
        when(driver, "the next Job", |state| state.store.get(&Key::new(Kind::Job, NAMESPACE, NEXT)).is_some()).await;
        pass(driver, 3600).await;
        let said = shown(driver, "status").await;
        let block =
            format!("HELD BY {NEXT} has no pod: FailedCreate: Error creating: admission webhook \"evict.guard.io\" denied");
        for words in [&block, QUOTA, "safe to walk away: NO", &format!("describe job {NEXT}")] {
            assert!(said.contains(words), "{words}: {said}");
        }
        driver.twin.look(|state| {
            let told = slack(state);
            assert_eq!(told.matches(&format!("Job {NEXT} has had no pod for")).count(), 1, "{told}");
            assert!(told.contains(QUOTA), "{told}");
        });
        driver.twin.edit(|state| state.denials.clear());
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(!jobs(&end).contains("Failed"), "{}", jobs(&end));
    done(&end, &[]);
}

/// The first of a run, created by a detection: nothing is in flight yet.
#[test]
fn a_detection_tells_of_a_first_job_without_a_pod() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-upgrade-watch");
    observed(state, async |driver| {
        when(driver, "the detection's pod", |state| !state.programs.is_empty()).await;
        driver.twin.edit(refuse_pods);
        when(driver, "the first Job", |state| jobs(state).contains("k8s-upgrade-preflight")).await;
        pass(driver, 120).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state));
            let told = slack(state);
            assert_eq!(told.matches("Job k8s-upgrade-preflight-1-34-7 has had no pod for").count(), 1, "{told}");
        });
        driver.twin.edit(|state| state.denials.clear());
        when(driver, "a run", in_flight).await;
    });
}

//! Runs that are tempted to break a rule: each would end well if it did, and nobody but the observer of the rules would know.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Workload};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Injected, Service};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::faults::{What, trouble};
use super::hands::{NEW, autoscaled, done, is_out, observed, ours, runbook, version};
use super::world::{NAMESPACE, begin, is_over, mark, namespace, pass, quick, types, when};

const HOUR: u64 = 3600;

async fn the_end(driver: &mut Driver<'_>) -> State {
    when(driver, "the end", is_over).await;
    driver.twin.look(State::clone)
}

/// The first worker serves again, upgraded.
fn one_is_done(state: &State) -> bool {
    version(state, "k8s-node4") == NEW && ours(state).is_empty()
}

/// Rule 5. Prometheus answers for half of the time, and not always as one who knows.
#[test]
pub fn no_answer_is_no_peace() {
    let mut state = runbook();
    for (turn, how) in [How::Refused, How::Nonsense, How::Status(503), How::Silent].into_iter().cycle().take(100).enumerate() {
        trouble(&mut state, Service::Prometheus, how, 8 * 60 * turn as u64, 4 * 60);
    }
    let end = observed(state, async |driver| {
        when(driver, "the first worker", one_is_done).await;
        driver.twin.edit(|state| state.web.prometheus.unloaded.insert("Watchdog".to_owned()));
        pass(driver, 200).await;
        driver.twin.edit(|state| state.web.prometheus.unloaded.clear());
        the_end(driver).await
    });
    done(&end, &[]);
}

/// Rule 6. Postflight has seen every node at the target, and waits for an alert to go, when an old one joins.
#[test]
pub fn who_joins_at_the_very_end_is_part_of_the_run() {
    let end = observed(runbook(), async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(|state| {
            let (from, until) = (state.now(), later(state.now(), Duration::from_secs(600)));
            let name = "K8sUpgradeHaltedByOperator".to_owned();
            state.web.prometheus.injected.push(Injected { name, labels: Default::default(), from, until });
        });
        pass(driver, 240).await;
        What::NodeJoins.happens(driver, 1);
        the_end(driver).await
    });
    done(&end, &[]);
}

/// A release that appears when no node has been changed yet waits for the end of the run all the same.
#[test]
fn a_newer_release_waits_for_the_end() {
    let end = observed(runbook(), async |driver| {
        when(driver, "a snapshot", |state| mark(namespace(state), "snapshot-path").is_some()).await;
        driver.twin.edit(|state| {
            let now = state.now();
            state.web.packages.release(Version::new(1, 34, 8), now);
        });
        assert_eq!(types(driver, "detect", "detect").await.0, 0);
        the_end(driver).await
    });
    done(&end, &[]);
}

/// Rule 9. A budget of two pods that allows nothing for now: it can be satisfied, and that is waited for.
#[test]
fn what_can_be_satisfied_is_not_deleted() {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = ["k8s-node4", "k8s-node3"].map(str::to_owned).to_vec();
    scenario.workloads.push(Workload {
        replicas: 2,
        placed_on,
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    });
    scenario.budgets.push(Budget {
        namespace: "mail".to_owned(),
        name: "imap".to_owned(),
        selector: [("app".to_owned(), "imap".to_owned())].into(),
        expressions: Vec::new(),
        min_available: Some(IntOrString::Int(2)),
        max_unavailable: None,
        unhealthy_policy: None,
        annotations: Default::default(),
        owner: None,
    });
    let mut state = begin(&scenario);
    autoscaled(&mut state, "Deployment", "mail", "imap");
    let end = observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 300).await;
        driver.twin.edit(|state| {
            state.store.update(&Key::new(Kind::Budget, "mail", "imap"), |budget| budget["spec"]["minAvailable"] = json!(1))
        });
        the_end(driver).await
    });
    done(&end, &[]);
}

/// Rule 11. Slack is away, and that is told without the address that is the secret.
#[test]
fn an_address_that_is_secret_is_told_to_nobody() {
    let mut state = runbook();
    trouble(&mut state, Service::Slack, How::Refused, 0, HOUR / 2);
    trouble(&mut state, Service::Slack, How::Status(500), HOUR / 2, 24 * HOUR);
    let end = observed(state, async |driver| the_end(driver).await);
    assert!(
        end.logs.values().any(|log| log.newest().any(|line| line.contains("hooks.slack.com"))),
        "nobody says a word of Slack"
    );
    done(&end, &[]);
}

/// Rule 12. A worker is tuned by hand when preflight is long over; an hour later its owner takes that back.
#[test]
pub fn what_is_tuned_on_the_way_is_not_written_over() {
    let end = observed(runbook(), async |driver| {
        when(driver, "the first worker", one_is_done).await;
        let config = driver.twin.edit(|state| {
            let config = state.hosts.machine("k8s-node1").unwrap().kubelet_config.clone();
            state.hosts.change("k8s-node1", |machine| machine.kubelet_config = format!("{config}maxPods: 250\n").into());
            config
        });
        pass(driver, HOUR).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node1", |machine| machine.kubelet_config = config));
        types(driver, "resume", "resume --yes").await;
        the_end(driver).await
    });
    done(&end, &[]);
}

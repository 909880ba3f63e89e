//! Alerts of other people's rules, in the middle of a run: what the run itself causes does not hold it, what asks nobody to act does not,
//! and what does is named with the value of the setting that would let it pass.

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::Injected;
use k8s_upgrade::twin::{Scenario, State};

use super::hands::{NEW, done, observed, runbook, slack, version};
use super::recovery::fires;
use super::world::{NAMESPACE, begin, in_flight, is_over, live, mark, namespace, pass, quick, tail, to_the_end, types, when};

/// The control plane has the new version, and no worker.
fn skewed(state: &State) -> bool {
    version(state, "k8s-master") == NEW
}

/// The stock rules of kube-prometheus fire this at the second worker of every minor upgrade, and until the last one is done.
#[test]
fn a_stock_alert_about_skew_does_not_hold_the_run_that_ends_it() {
    let end = observed(runbook(), async |driver| {
        when(driver, "skew", skewed).await;
        driver.twin.edit(|state| fires(state, "KubeVersionMismatch"));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert!(!slack(&end).contains("🛑"), "{}", slack(&end));
}

/// The settings exclude a node: it stays old, and no end of any run resolves the alert that says so.
#[test]
fn skew_that_an_excluded_node_makes_does_not_hold_the_end() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("exclude-nodes".to_owned(), serde_json::json!(["k8s-node2"]));
    // The observer knows of no setting: to it, no node may be left old.
    let end = live(begin(&scenario), None, async |driver| {
        when(driver, "skew", skewed).await;
        driver.twin.edit(|state| fires(state, "K8sVersionSkew"));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(version(&end, "k8s-node1") == NEW && version(&end, "k8s-node2") != NEW, "{}", tail(&end, 40));
    assert!(slack(&end).contains('✅') && !slack(&end).contains("🛑"), "{}", slack(&end));
}

/// With one version everywhere it is about something that no upgrade ends.
#[test]
fn an_alert_about_skew_holds_where_there_is_none() {
    observed(runbook(), async |driver| {
        driver.twin.edit(|state| fires(state, "KubeVersionMismatch"));
        pass(driver, 1800).await;
        driver.twin.look(|state| assert!(!in_flight(state) && mark(namespace(state), "target").is_none(), "{}", tail(state, 60)));
        let (code, said) = types(driver, "preflight", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 3 && said.contains("alert-ignore: '^(KubeVersionMismatch)$'"), "{code} {said}");
    });
}

/// What the group "Upgrade Gates" has counts at the end, whoever wrote the rule; what other groups have does not.
#[test]
fn the_end_waits_for_an_alert_of_the_group() {
    let mut state = runbook();
    let rule = |group: &str, name: &str| (group.to_owned(), name.to_owned());
    state.web.prometheus.others = vec![rule("Upgrade Gates", "BackupTooOld"), rule("node", "NodeDiskFull")];
    let end = observed(state, async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(|state| {
            fires(state, "BackupTooOld");
            fires(state, "NodeDiskFull");
        });
        pass(driver, 1200).await;
        driver.twin.edit(|state| {
            assert!(in_flight(state), "{}", tail(state, 60));
            state.web.prometheus.injected.retain(|alert| alert.name == "NodeDiskFull");
        });
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// Last week's run was refused: its Job is kept, and the stock rules tell of it until it goes. This week's run is what would do better.
#[test]
fn the_failed_job_of_a_refused_run_does_not_hold_the_next() {
    let mut state = runbook();
    let (from, until) = (state.now(), jiff::Timestamp::MAX);
    let labels = [("namespace", NAMESPACE), ("job_name", "k8s-upgrade-preflight-1-34-6"), ("severity", "warning")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    state.web.prometheus.injected.push(Injected { name: "KubeJobFailed".to_owned(), labels, from, until });
    done(&to_the_end(state, None), &[]);
}

/// A halt of the detection alone, under which a run that is on goes on to its end: the gauge says since when, until it is lifted.
#[test]
fn the_gauge_of_a_halt_is_there_as_long_as_the_halt() {
    let gauge = |state: &State| state.web.pushgateway.max("k8s_upgrade_halted_timestamp");
    let end = observed(runbook(), async |driver| {
        when(driver, "a run", in_flight).await;
        assert_eq!(types(driver, "halt", "halt --detection-only").await.0, 0);
        let since = driver.twin.look(gauge).filter(|since| *since > 0.0).expect("pushed");
        when(driver, "the end", is_over).await;
        driver.twin.edit(|state| state.web.pushgateway.restart());
        pass(driver, 1200).await;
        assert_eq!(driver.twin.look(gauge), Some(since), "the watch tells a Pushgateway that has forgotten");
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        assert_eq!(driver.twin.look(gauge), Some(0.0));
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
fn information_holds_a_run_only_where_that_was_asked_for() {
    for (asked, held) in [(false, false), (true, true)] {
        let mut scenario = quick(Scenario::runbook());
        scenario.settings.insert("alert-info-holds".to_owned(), asked.into());
        let mut state = begin(&scenario);
        let (from, until) = (state.now(), jiff::Timestamp::MAX);
        let labels = [("severity".to_owned(), "info".to_owned())].into();
        state.web.prometheus.injected.push(Injected { name: "CPUThrottlingHigh".to_owned(), labels, from, until });
        observed(state, async |driver| {
            pass(driver, 600).await;
            driver.twin.look(|state| assert_eq!(!in_flight(state), held, "asked: {asked}\n{}", tail(state, 60)));
        });
    }
}

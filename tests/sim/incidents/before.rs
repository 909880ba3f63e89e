//! What stops a run while nothing has changed.

use super::*;

/// No name resolves in the world in memory: machines are found by address alone. A node without one is refused before anything changes.
#[test]
fn incident_04_names_of_nodes_did_not_resolve() {
    let mut state = runbook();
    let named = json!([{ "type": "Hostname", "address": "k8s-node3" }]);
    state.store.update(&Key::node("k8s-node3"), |node| node["status"]["addresses"] = named);
    let end = live(state, None, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        driver.twin.look(State::clone)
    });
    says(&slack(&end), "k8s-node3 has no InternalIP");
    untouched(&end);
    done(&to_the_end(runbook(), None), NEW);
}

#[test]
pub fn incident_07_missing_rights_were_found_midway() {
    let mut state = runbook();
    without_right(&mut state, "pods/eviction");
    let end = live(state, None, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        driver.twin.look(State::clone)
    });
    says(&slack(&end), "create pods/eviction");
    untouched(&end);
}

#[test]
fn incident_16_a_date_that_could_not_be_read_switched_a_gate_off() {
    let mut state = runbook();
    state.store.update(&Key::node("k8s-node2"), |node| {
        node["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-changed-at"] = json!("yesterday");
    });
    let end = live(state, None, async |driver| {
        pass(driver, 2 * HOUR).await;
        assert_eq!(types(driver, "start", &["k8s-upgrade", "start", "--target", NEW, "--yes"]).await, Some(4));
        driver.twin.look(State::clone)
    });
    says(&logs(&end), "k8s-upgrade-changed-at is \"yesterday\", which is no time");
    untouched(&end);
}

/// A gate that time opens: told once, nothing latched, no Failed Job, and the next detection tries again.
#[test]
fn incident_23_a_refusal_looked_like_a_failure_every_night() {
    let mut scenario = quick(Scenario::runbook());
    let until = later(scenario.start, Duration::from_secs(2 * HOUR));
    scenario.alerts.push(Alert { name: "NodeDiskFull".to_owned(), labels: BTreeMap::new(), from: None, until: Some(until) });
    let end = live(begin(&scenario), None, async |driver| {
        pass(driver, HOUR).await;
        driver.twin.look(|state| {
            untouched(state);
            assert!(!at_work(state) && !failed(state, "k8s-upgrade-preflight-1-34-7"), "{}", jobs(state));
            says(&slack(state), "deferred: alerts: 1 alert(s) firing");
            says(&slack(state), "NodeDiskFull");
            assert!(!slack(state).contains("🛑"), "{}", slack(state));
        });
        pass(driver, 2 * HOUR).await;
        assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(0));
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

#[test]
fn incident_26_a_stray_backup_among_the_manifests_was_run() {
    let mut state = runbook();
    let stray = "/etc/kubernetes/manifests/kube-apiserver.yaml.bak";
    state.hosts.change("k8s-master", |machine| machine.stray_manifests.push(stray.to_owned()));
    let end = live(state, None, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        driver.twin.look(State::clone)
    });
    says(&slack(&end), stray);
    untouched(&end);
}

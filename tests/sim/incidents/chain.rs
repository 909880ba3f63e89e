//! From Job to Job, and to the end.

use super::*;

/// A run goes on with the program that began it, whatever is deployed meanwhile.
#[test]
fn incident_06_a_job_ran_a_stale_script() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "the first node", node_is("k8s-master", NEW)).await;
        let newer = json!("docker.io/library/k8s-upgrade:newer");
        driver.twin.edit(|state| {
            state.store.update(&Key::new(Kind::CronJob, NAMESPACE, "k8s-version-check"), |cronjob| {
                cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = newer;
            })
        });
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    let chain = end.store.list(Kind::Job).filter(|(_, job)| job["metadata"]["labels"]["app"] == "k8s-upgrade-chain");
    let images: BTreeSet<&str> =
        chain.filter_map(|(_, job)| job["spec"]["template"]["spec"]["containers"][0]["image"].as_str()).collect();
    assert_eq!(images.len(), 1, "{images:?}");
}

/// Before the claim and in the middle: a Job that failed for good makes room for the next of its name.
#[test]
fn incident_14_a_failed_jobs_name_wedges_the_chain() {
    let mut state = runbook();
    let whole: Vec<(Key, Value)> =
        state.store.list(Kind::ClusterRole).map(|(key, role)| (key.clone(), (**role).clone())).collect();
    without_right(&mut state, "pods/eviction");
    state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = true);
    let end = live(state, None, async |driver| {
        when(driver, "a Failed preflight", |state| failed(state, "k8s-upgrade-preflight-1-34-7")).await;
        driver.twin.edit(|state| {
            for (key, role) in whole {
                state.store.update(&key, |object| object["rules"] = role["rules"].clone());
            }
            state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = false);
        });
        assert_eq!(types(driver, "again", &["k8s-upgrade", "start", "--target", NEW, "--yes"]).await, Some(0));
        when(driver, "the first worker", node_is("k8s-node4", NEW)).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = true));
        when(driver, "a Failed worker", |state| failed(state, "k8s-upgrade-worker-1-34-7-k8s-node3")).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = false));
        assert_eq!(types(driver, "resume", &["k8s-upgrade", "resume", "--yes"]).await, Some(0));
        over(driver, 2 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

#[test]
pub fn incident_17_a_list_of_nodes_skipped_a_new_one() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "the first node", node_is("k8s-master", NEW)).await;
        What::NodeJoins.happens(driver, 1);
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    assert!(node_is("k8s-node9", NEW)(&end), "{}", tail(&end, 60));
    done(&end, NEW);
}

#[test]
fn incident_18_the_chain_ended_before_postflight() {
    let end = to_the_end(runbook(), None);
    done(&end, NEW);
    let order: Vec<String> = pods(&end).into_iter().map(|(args, _)| args[0].clone()).collect();
    assert_eq!(order.iter().filter(|command| *command == "postflight").count(), 1, "{order:?}");
    says(&slack(&end), "✅ K8s upgrade complete");
}

/// The runner has one from the beginning, and gets another in the middle.
#[test]
fn incident_28_a_new_taint_left_a_job_pending_for_days() {
    let taint = |key: &str| Taint { key: key.to_owned(), value: Some("yes".to_owned()), effect: "NoSchedule".to_owned() };
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes.iter_mut().filter(|node| node.name == "k8s-node1").for_each(|node| node.taints.push(taint("dedicated")));
    let end = live(begin(&scenario), None, async |driver| {
        when(driver, "the first worker", node_is("k8s-node4", NEW)).await;
        driver.twin.edit(|state| {
            state.store.update(&Key::node("k8s-node1"), |node| {
                let new = json!({ "key": "gpu", "value": "yes", "effect": "NoSchedule" });
                node["spec"]["taints"].as_array_mut().unwrap().push(new);
            })
        });
        over(driver, 2 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

/// A run that lies about until its alert fires ends when it is taken up, and takes latch and gauges along.
#[test]
fn incident_29_a_leaked_latch_blocked_the_run_that_would_clear_it() {
    let firing = |state: &State| {
        let alerts = state.web.prometheus.alerts(state.now());
        alerts.iter().any(|(labels, alert)| alert.firing && labels["alertname"] == "K8sUpgradeStalled")
    };
    let end = live(runbook(), None, async |driver| {
        when(driver, "the first worker", node_is("k8s-node4", NEW)).await;
        // A person deletes the Job: the watch leaves that alone.
        let next = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node3");
        // Its predecessor writes its journal's end after it has created it.
        let alone = |state: &State| {
            let mut running = state.programs.values().filter(|program| program.phase == ProgramPhase::Running).peekable();
            running.peek().is_some() && running.all(|program| program.pod.name.starts_with(&next.name))
        };
        when(driver, "the next Job at work", alone).await;
        What::JobDeleted.happens(driver, 1);
        when(driver, "K8sUpgradeStalled", firing).await;
        driver.twin.look(|state| assert!(in_flight(state)));
        assert_eq!(types(driver, "resume", &["k8s-upgrade", "resume", "--yes"]).await, Some(0));
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    assert!(!firing(&end));
}

/// A detection that cannot start ends by its deadline, and the next one runs: seven days later, for it is a weekly one.
#[test]
fn incident_31_a_hung_job_froze_the_schedule() {
    let cordon = |state: &mut State, on: bool| {
        let nodes: Vec<Key> = state.store.list(Kind::Node).map(|(key, _)| key.clone()).collect();
        for node in nodes {
            state.store.update(&node, |node| node["spec"]["unschedulable"] = json!(on));
        }
    };
    let mut state = runbook();
    cordon(&mut state, true);
    let end = live(state, None, async |driver| {
        pass(driver, HOUR).await;
        driver.twin.edit(|state| {
            let detections = state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("k8s-version-check"));
            let ended: Vec<bool> = detections.map(|(key, _)| failed(state, &key.name)).collect();
            assert_eq!(ended, [true], "{}", jobs(state));
            cordon(state, false);
        });
        over(driver, 8 * 24 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

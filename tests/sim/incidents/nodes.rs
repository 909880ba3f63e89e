//! One node after the other: drains, kubeadm, alerts, health.

use super::*;

/// `apt upgrade` on a worker whose packages nothing held: its kubelet is new, so the facts call it done; kubeadm has never run there.
#[test]
fn a_worker_that_apt_pulled_ahead_gets_its_step_and_its_holds() {
    let mut state = runbook();
    let ahead = "k8s-node3";
    state.hosts.change(ahead, |machine| {
        for name in ["kubeadm", "kubelet", "kubectl"] {
            machine.packages.insert(name.to_owned(), hosts::Package::new(&format!("{NEW}-1.1"), false));
        }
        machine.kubelet = NEW.to_owned();
    });
    state.store.update(&Key::node(ahead), |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!(format!("v{NEW}")));
    let end = to_the_end(state, None);
    done(&end, NEW);
    let machine = end.hosts.machine(ahead).unwrap();
    assert_eq!(machine.runs.get(NEW).map(|runs| runs.ended_well == 1), Some(true), "{:?}", machine.runs);
    assert!(machine.packages.iter().filter(|(name, _)| name.starts_with("kube")).all(|(_, package)| package.held));
}

#[test]
fn incident_01_a_runner_drained_its_own_node() {
    let mut upgrades = BTreeSet::new();
    let end = live(runbook(), None, async |driver| {
        let limit = later(driver.twin.now(), LIMIT);
        driver
            .until(limit, |state| {
                // Later drains take finished pods along.
                upgrades.extend(pods(state).into_iter().filter(|(args, _)| args[0] == "upgrade-node"));
                is_over(state)
            })
            .await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    assert_eq!(upgrades.len(), 5, "{upgrades:?}");
    assert!(upgrades.iter().all(|(args, on)| args[1] != *on), "{upgrades:?}");
}

/// A deletion moves it; where that is forbidden, the drain ends, the node serves again, and the budget is named.
#[test]
fn incident_02_a_drain_looped_on_a_budget_of_one_replica() {
    let end = to_the_end(runbook(), None);
    done(&end, NEW);
    says(&logs(&end), "is deleted: its PodDisruptionBudget never allows an eviction");

    let mut state = begin(&with_setting("drain-unstick", json!("never")));
    autoscaled(&mut state, "Deployment", "web", "anubis");
    let end = live(state, None, async |driver| {
        when(driver, "a hold", |state| slack(state).contains("🛑")).await;
        let held = driver.twin.look(State::clone);
        says(&slack(&held), "PDB web/anubis allows 0");
        let ours = held.store.list(Kind::Node).filter(|(_, node)| mark(node, "cordoned-by").is_some()).count();
        assert!(ours == 0 && cordoned_by_people(&held).is_empty(), "a node is out of service while the drain holds");
        // The person gives way; the watch asks the gate again.
        driver.twin.edit(|state| state.store.remove(&Key::new(Kind::Budget, "web", "anubis")));
        over(driver, 6 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

#[test]
fn incident_08_the_hash_of_a_static_pod_did_not_change_in_time() {
    let mut state = runbook();
    state.hosts.change("k8s-master", |machine| machine.faults.kubeadm_fails = 1);
    let end = to_the_end(state, None);
    says(&slack(&end), "did not change after 5m0s");
    done(&end, NEW);
    assert_eq!(end.hosts.kubeadm_runs("k8s-master", NEW).ended_well, 1);
}

/// Nothing is ever scaled, so that nothing can stay scaled when a run is given up.
#[test]
fn incident_09_an_operator_scaled_to_zero_stayed_there() {
    let replicas = |state: &State| -> BTreeMap<String, Value> {
        let scaled = [Kind::Deployment, Kind::StatefulSet].map(|kind| {
            let of = |(key, object): (&Key, &std::sync::Arc<Value>)| {
                (format!("{kind:?} {}", key.full_name()), object["spec"]["replicas"].clone())
            };
            state.store.list(kind).map(of).collect::<Vec<_>>()
        });
        scaled.into_iter().flatten().collect()
    };
    let state = runbook();
    let before = replicas(&state);
    live(state, None, async |driver| {
        for milestone in ["k8s-master", "k8s-node4", "k8s-node1"] {
            when(driver, milestone, node_is(milestone, NEW)).await;
            driver.twin.look(|state| assert_eq!(replicas(state), before));
        }
        over(driver, HOUR).await;
        driver.twin.look(|state| {
            assert_eq!(replicas(state), before);
            assert!(
                !history_has(state, &[": P", "/apis/apps/"]) && !history_has(state, &["/scale"]),
                "a workload was written to"
            );
        });
    });
}

#[test]
fn incident_11_finished_nodes_were_drained_again() {
    let mut scenario = quick(Scenario::runbook());
    let finished = ["k8s-master", "k8s-node4", "k8s-node3"];
    scenario
        .nodes
        .iter_mut()
        .filter(|node| finished.contains(&node.name.as_str()))
        .for_each(|node| node.version = Version::new(1, 34, 7));
    let end = to_the_end(begin(&scenario), None);
    done(&end, NEW);
    for node in finished {
        assert!(!history_has(&end, &["PATCH /api/v1/nodes/", node]), "{node} was touched\n{}", tail(&end, 80));
        assert!(!history_has(&end, &["begin ", node]), "{node} was worked on");
    }
}

/// Skew fires in the middle of any run that lasts; another's warning may be ignored by its name.
#[test]
fn incident_12_alerts_of_the_runs_own_making_blocked_it() {
    let mut scenario = with_setting("soak", json!("20m"));
    scenario.settings.insert("alert-ignore".to_owned(), json!("^CertExpires"));
    let warning = Alert { name: "CertExpiresSoon".to_owned(), labels: BTreeMap::new(), group: None, from: None, until: None };
    scenario.alerts.push(warning);
    let end = live(begin(&scenario), None, async |driver| {
        let mut fired = BTreeSet::new();
        let limit = later(driver.twin.now(), LIMIT);
        driver
            .until(limit, |state| {
                let alerts = state.web.prometheus.alerts(state.now());
                fired.extend(
                    alerts.iter().filter(|(_, alert)| alert.firing).filter_map(|(labels, _)| labels.get("alertname").cloned()),
                );
                is_over(state)
            })
            .await;
        for wanted in ["K8sVersionSkew", "K8sUpgradeInFlight", "CertExpiresSoon", "Watchdog"] {
            assert!(fired.contains(wanted), "{wanted} did not fire: {fired:?}");
        }
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    assert!(!slack(&end).contains("🛑"), "{}", slack(&end));
}

/// kubeadm has taken its own work back, and said so in a log that nobody read: packages and kubelet new, static pods old.
#[test]
fn incident_13_a_manifest_stayed_old_after_kubeadms_own_rollback() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes[0].version = Version::new(1, 34, 7);
    scenario.nodes[0].control_plane_version = Some(Version::new(1, 34, 2));
    let end = to_the_end(begin(&scenario), None);
    done(&end, NEW);
    assert_eq!(end.hosts.kubeadm_runs("k8s-master", NEW).ended_well, 1);
}

/// A worker dies while the one before it soaks: nothing else is taken out until it is back.
#[test]
pub fn incident_32_work_went_on_through_a_failing_cluster() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "the first worker", node_is("k8s-node4", NEW)).await;
        let away = Duration::from_secs(HOUR / 2);
        let back = later(driver.twin.now(), away);
        driver.twin.edit(|state| hosts::power_cut(state, "k8s-node2", away));
        let out = |state: &State| state.store.list(Kind::Node).any(|(_, node)| mark(node, "cordoned-by").is_some());
        let went_on = driver.until(back, out).await;
        driver.twin.look(|state| {
            assert!(!went_on, "{}", tail(state, 60));
            assert!(in_flight(state) && mark(namespace(state), "target") == Some(NEW));
            says(&slack(state), "the cluster got worse after k8s-node4 was upgraded");
        });
        over(driver, 6 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

/// A name that the API server takes is none that any object of ours is too long for.
#[test]
fn nodes_may_have_the_longest_names_that_there_are() {
    let long = |end: char| ["n".repeat(63), "n".repeat(63), "n".repeat(63), format!("{}{end}", "n".repeat(60))].join(".");
    let mut scenario = quick(Scenario::runbook());
    // Those of control planes are shorter: their static pods are named after them.
    for (node, end) in scenario.nodes.iter_mut().filter(|node| !node.control_plane).zip('a'..) {
        node.name = long(end);
    }
    for workload in &mut scenario.workloads {
        workload.placed_on.clear();
    }
    let end = to_the_end(begin(&scenario), None);
    done(&end, NEW);
}

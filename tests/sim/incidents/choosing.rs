//! Where to go: versions, targets, and what they are read from.

use super::*;

/// Every node's lists are as old as its packages when a run begins.
#[test]
fn incident_03_a_stale_package_list_gave_an_old_target() {
    let state = runbook();
    assert!(state.hosts.all().all(|(_, machine)| !machine.lists.iter().any(|offer| offer.starts_with(NEW))));
    let end = to_the_end(state, None);
    done(&end, NEW);
    assert!(end.hosts.all().all(|(_, machine)| machine.lists.iter().any(|offer| offer.starts_with(NEW))));
}

/// The first node is where the others shall be.
#[test]
fn incident_10_the_running_version_was_read_from_the_first_node() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes[0].version = Version::new(1, 34, 7);
    let end = to_the_end(begin(&scenario), None);
    done(&end, NEW);
    let series = format!("k8s_upgrade_available{{kind=\"patch\",running=\"{OLD}\",target=\"{NEW}\"}}");
    assert!(
        end.web.pushgateway.pushed.iter().any(|pushed| pushed.series == series && pushed.value == 1.0),
        "{:?}",
        end.web.pushgateway.pushed
    );
}

/// The API server is there already, all else is not: kubeadm has nothing to plan, which is no failure.
#[test]
fn incident_19_an_empty_plan_read_as_a_failure() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes[0].control_plane_version = Some(Version::new(1, 34, 7));
    let end = to_the_end(begin(&scenario), None);
    says(&logs(&end), "gate kubeadm: pass");
    done(&end, NEW);
}

/// An index that gives no answer is not an index without a release; nor is one that is denied, or gone, for the minor version that runs. Of
/// what nobody knows no gauge speaks, last week's neither.
#[test]
fn incident_21_no_answer_read_as_no_upgrade() {
    for how in [How::Refused, How::Silent, How::Nonsense, How::Status(502), How::Status(403), How::Status(404)] {
        let mut state = runbook();
        last_weeks(&mut state);
        let from = state.now();
        let trouble = Trouble { service: Service::Packages, from, until: Timestamp::MAX, how };
        state.web.troubles.push(trouble);
        let end = live(state, None, async |driver| {
            assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(7), "{how:?}");
            driver.twin.look(State::clone)
        });
        says(&logs(&end), "whether there is a new release is not known");
        let told = end.web.pushgateway.pushed.iter().any(|pushed| pushed.series.starts_with("k8s_upgrade_available"));
        assert!(!told, "a gauge says what nobody knows");
        assert_eq!(detections_gauges(&end), ["k8s_version_check_last_run_timestamp"], "{how:?}");
        untouched(&end);
    }
}

/// A mirror that stands still knows nothing newer than what it had: that is not "the newest".
#[test]
fn an_index_that_does_not_list_what_runs_is_no_answer() {
    let mut state = runbook();
    let born = state.now();
    state.web.packages.release(Version::new(1, 34, 1), born);
    for gone in [Version::new(1, 34, 2), Version::new(1, 34, 7)] {
        state.web.packages.release(gone, Timestamp::MAX);
    }
    let end = live(state, None, async |driver| {
        assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(7));
        driver.twin.look(State::clone)
    });
    says(&logs(&end), "lists 1.34.1 as its newest, and not 1.34.2, which this cluster runs");
    untouched(&end);
}

/// Its own registry may be all that its nodes can reach; and an image that is not there is pulled while its node is out of service.
#[test]
fn images_are_fetched_from_where_the_cluster_has_them() {
    let mut state = runbook();
    state.store.update(&Key::new(Kind::ConfigMap, "kube-system", "kubeadm-config"), |map| {
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap();
        let own = text.replace("imageRepository: registry.k8s.io", "imageRepository: registry.example/k8s");
        assert_ne!(own, text);
        map["data"]["ClusterConfiguration"] = json!(own);
    });
    live(state, None, async |driver| {
        when(driver, "the end of preflight", |state| mark(namespace(state), "prepared").is_some()).await;
        driver.twin.look(|state| {
            for (node, machine) in state.hosts.all() {
                let has = |registry: &str| machine.images.contains(&format!("{registry}/kube-proxy:v{NEW}"));
                assert!(has("registry.example/k8s") && !has("registry.k8s.io"), "{node}: {:?}", machine.images);
            }
        });
    });
}

/// It looks for nothing new while a run is on, and has run all the same: an alert on its last run stays silent.
#[test]
fn a_detection_during_a_run_says_that_it_ran() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "a claim", in_flight).await;
        let began = driver.twin.edit(|state| {
            last_weeks(state);
            state.now()
        });
        assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(0));
        driver.twin.look(|state| {
            assert_eq!(detections_gauges(state), ["k8s_version_check_last_run_timestamp"]);
            let last = state.web.pushgateway.max("k8s_version_check_last_run_timestamp").unwrap();
            assert!(last >= began.as_second() as f64, "{last}");
        });
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

/// A release that the detection of last week had found.
fn last_weeks(state: &mut State) {
    let series = format!("k8s_upgrade_available{{kind=\"patch\",running=\"{OLD}\",target=\"1.34.5\"}}");
    state.web.pushgateway.groups.insert("k8s-version-check".to_owned(), BTreeMap::from([(series, 1.0)]));
}

fn detections_gauges(state: &State) -> Vec<&str> {
    state.web.pushgateway.groups["k8s-version-check"].keys().map(String::as_str).collect()
}

/// No table of versions ends before Kubernetes does.
#[test]
fn incident_22_a_ceiling_of_versions_blocked_patches() {
    let mut scenario = quick(Scenario::runbook());
    for node in &mut scenario.nodes {
        (node.version, node.containerd) = (Version::new(1, 99, 2), "2.1.4".to_owned());
    }
    scenario.target = Version::new(1, 99, 11);
    scenario.releases[0].version = scenario.target;
    done(&to_the_end(begin(&scenario), None), "1.99.11");
}

//! What stops a run while nothing has changed.

use std::sync::Arc;

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

/// Of it an alert fires from the first; None: for ever.
fn with_a_full_disk(seconds: Option<u64>) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let until = seconds.map(|seconds| later(scenario.start, Duration::from_secs(seconds)));
    scenario.alerts.push(Alert { name: "NodeDiskFull".to_owned(), labels: BTreeMap::new(), group: None, from: None, until });
    scenario
}

/// A gate that time opens: told once, nothing latched, no Failed Job, and the next detection tries again.
#[test]
fn incident_23_a_refusal_looked_like_a_failure_every_night() {
    let scenario = with_a_full_disk(Some(2 * HOUR));
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

/// Nobody types anything: the watch tries it hourly, and the third time the alert has gone. It was told once.
#[test]
fn a_deferred_run_begins_when_its_gate_opens_and_not_next_week() {
    let scenario = with_a_full_disk(Some(2 * HOUR));
    let end = live(begin(&scenario), None, async |driver| {
        over(driver, 5 * HOUR).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(preflights(&end), 3, "{}", jobs(&end));
    assert_eq!(slack(&end).matches("K8s upgrade to 1.34.7 deferred: alerts: 1 alert(s) firing").count(), 1, "{}", slack(&end));
    assert!(mark(namespace(&end), "deferred").is_none());
    done(&end, NEW);
}

/// It is tried for as long as the settings say, and not where a person has halted or given it up.
#[test]
fn a_deferred_run_is_left_after_its_time_and_to_a_persons_word() {
    for (words, tries) in [(None, 2), (Some(["halt", "--detection-only"].as_slice()), 1), (Some(&["clear-state", "--yes"]), 1)] {
        let mut scenario = with_a_full_disk(None);
        scenario.settings.insert("retry-deferred".to_owned(), "90m".into());
        let end = live(begin(&scenario), None, async |driver| {
            when(driver, "a deferral", |state| mark(namespace(state), "deferred").is_some()).await;
            pass(driver, 120).await; // its Job is over
            if let Some(words) = words {
                let argv = [&["k8s-upgrade"], words].concat();
                assert_eq!(types(driver, "person", &argv).await, Some(0), "{words:?}");
            }
            pass(driver, 6 * HOUR).await;
            driver.twin.look(State::clone)
        });
        assert_eq!(preflights(&end), tries, "{words:?}\n{}", jobs(&end));
        untouched(&end);
    }
}

/// Who suspends detection with kubectl alone wants no run to begin by itself, either; once it may look again, the watch goes on.
#[test]
fn a_deferred_run_waits_while_detection_is_suspended() {
    let set = |driver: &mut Driver<'_>, suspended: bool| {
        let detection = Key::new(Kind::CronJob, NAMESPACE, "k8s-version-check");
        driver.twin.edit(|state| state.store.update(&detection, |cronjob| cronjob["spec"]["suspend"] = json!(suspended)));
    };
    let end = live(begin(&with_a_full_disk(Some(2 * HOUR))), None, async |driver| {
        when(driver, "a deferral", |state| mark(namespace(state), "deferred").is_some()).await;
        set(driver, true);
        pass(driver, 4 * HOUR).await;
        driver.twin.look(|state| assert_eq!(preflights(state), 1, "{}", jobs(state)));
        driver.twin.look(|state| says(&logs(state), "is not tried again: CronJob k8s-version-check is suspended"));
        set(driver, false);
        over(driver, 5 * HOUR).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(preflights(&end), 2, "{}", jobs(&end));
    done(&end, NEW);
}

/// The index lists the release, and the mirror of one node does not have it yet: nothing is claimed until it has, of another minor version
/// neither.
#[test]
fn a_mirror_that_lags_on_one_node_holds_the_run_until_it_has_the_release() {
    for target in [Version::new(1, 34, 7), Version::new(1, 35, 4)] {
        let mut scenario = quick(Scenario::runbook());
        (scenario.target, scenario.releases[0].version) = (target, target);
        let mut state = begin(&scenario);
        state.hosts.change("k8s-node3", |machine| machine.lacks = Some(target));
        let end = live(state, None, async |driver| {
            pass(driver, HOUR / 2).await;
            driver.twin.edit(|state| {
                says(&logs(state), &format!("does not offer kubeadm {target} yet"));
                assert!(!in_flight(state), "{}", jobs(state));
                assert!(state.store.list(Kind::Node).all(|(_, node)| version_of(node) == OLD));
                state.hosts.change("k8s-node3", |machine| machine.lacks = None);
            });
            over(driver, 4 * HOUR).await;
            driver.twin.look(State::clone)
        });
        done(&end, &target.to_string());
    }
}

/// A mirror in its own layout, that the settings do not know: a patch release comes from there, told, and nothing is changed on it.
#[test]
fn a_patch_release_comes_from_whatever_source_a_node_has() {
    let mut state = begin(&quick(Scenario::runbook()));
    let nexus = "https://nexus.test/repository/kubernetes-1.34";
    for node in ["k8s-master", "k8s-node1"] {
        state.hosts.change(node, |machine| machine.source_url = Some(nexus.to_owned()));
    }
    let end = to_the_end(state, None);
    says(&logs(&end), &format!("{nexus} offers kubeadm, and is no source that k8s-upgrade knows (k8s-master, k8s-node1)"));
    assert_eq!(end.hosts.machine("k8s-master").unwrap().source_url.as_deref(), Some(nexus));
    done(&end, NEW);
}

/// The same with the pattern in the settings: it is known, asked for releases, and every node is pointed to the next minor version.
#[test]
fn a_mirror_in_its_own_layout_is_gone_through_for_a_minor_version() {
    let mut scenario = quick(Scenario::runbook());
    let target = Version::new(1, 35, 4);
    (scenario.target, scenario.releases[0].version) = (target, target);
    let pattern = "https://nexus.test/repository/kubernetes-v{minor}/apt";
    scenario.settings.insert("packages-url".to_owned(), pattern.into());
    let end = to_the_end(begin(&scenario), None);
    for (node, machine) in end.hosts.all() {
        assert_eq!(machine.source_url.as_deref(), Some("https://nexus.test/repository/kubernetes-v1.35/apt"), "{node}");
    }
    done(&end, &target.to_string());
}

/// Upstream's key ends on one day for every cluster. A patch run takes the same key, prolonged, and tells it; another key it takes from nobody.
#[test]
fn a_repositorys_key_that_has_ended_is_renewed_by_a_patch_run_where_it_is_the_same() {
    let year = Duration::from_secs(365 * 24 * HOUR);
    for same in [true, false] {
        let scenario = quick(Scenario::runbook());
        let mut state = begin(&scenario);
        let ended = Some(scenario.start);
        let nodes: Vec<String> = ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"].map(str::to_owned).into();
        nodes.iter().for_each(|node| {
            state.hosts.change(node, |machine| machine.keyring_ends = ended);
        });
        state.web.packages.keys_end = Some(later(scenario.start, year));
        if !same {
            state.web.packages.keys = Arc::new([(34, "0".repeat(40))].into());
        }
        let end = live(state, None, async |driver| {
            if same {
                over(driver, 5 * HOUR).await;
            } else {
                pass(driver, HOUR).await;
            }
            driver.twin.look(State::clone)
        });
        let now = |node: &String| end.hosts.machine(node).unwrap().keyring_ends;
        if same {
            says(&logs(&end), "the repository's key was renewed: ");
            assert!(nodes.iter().all(|node| now(node) == end.web.packages.keys_end));
            done(&end, NEW);
        } else {
            says(&logs(&end), &format!("package-keys: [{}]", "0".repeat(40)));
            assert!(nodes.iter().all(|node| now(node) == ended));
            untouched(&end);
        }
    }
}

/// How often a pod of preflight began.
fn preflights(state: &State) -> usize {
    state.history.newest().filter(|line| line.contains("starts: k8s-upgrade preflight --chain")).count()
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

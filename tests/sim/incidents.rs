//! The 32 incidents of the pipeline that this one replaces (notes/kubeadm.md): each must be impossible here.
//!
//! Those that the world in memory can show have a test below, by number. The others:
//!
//! | incident | shown by |
//! |---|---|
//! | 5 an empty grep aborted on a healthy node | unit: `node::inspect::a_healthy_node`, `node::assembly::a_body_that_fails_anywhere_ends_there_and_says_so` |
//! | 20 hand-edited API server flags were lost | **nothing yet**: rule 12 of the design has no gate |
//! | 24 a plan without a version | unit: `node::packages::the_forecast_is_passed_through` (the target is an argument of the operation, always) |
//! | 25 145 leaked etcd backups | unit: `node::work::leftovers_of_earlier_runs_go_but_the_newest_and_what_is_not_kubeadms` |
//! | 27 a deploy that never deployed | unit: `run::image::the_same_binary_is_the_same_image_and_another_is_not`, `cli::help_and_version_are_data` |
//! | 30 kubelet tuning was wiped | **nothing yet**: rule 12 of the design has no gate |
//!
//! Of 15 (a custom CoreDNS) the setting that spares it is shown; nothing finds out by itself that it is needed. What 21 was (a redirect not
//! followed) is the adapter's: unit, `web_adapter::redirects_are_followed_and_any_status_is_an_answer`; here, that no answer is none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::plan::version::Version;
use k8s_upgrade::twin::scenario::{Alert, Scenario, Taint};
use k8s_upgrade::twin::state::{ProgramPhase, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Service, Trouble};
use k8s_upgrade::twin::{Driver, State, hosts};
use serde_json::{Value, json};

use super::faults::What;
use super::world::{
    LIMIT, NAMESPACE, amiss, at_work, begin, cordoned_by_people, in_flight, is_over, jobs, live, mark, namespace, quick, tail,
    to_the_end, version_of,
};

const NEW: &str = "1.34.7";
const OLD: &str = "1.34.2";
const HOUR: u64 = 3600;

/// Lives until its run is over, at most for so many seconds.
async fn over(driver: &mut Driver<'_>, seconds: u64) -> bool {
    let limit = later(driver.twin.now(), Duration::from_secs(seconds));
    driver.until(limit, is_over).await
}

async fn pass(driver: &mut Driver<'_>, seconds: u64) {
    driver.until(later(driver.twin.now(), Duration::from_secs(seconds)), |_| false).await;
}

/// Lives until that holds; half a day without it is a failure.
async fn when(driver: &mut Driver<'_>, what: &str, holds: impl FnMut(&State) -> bool) {
    let limit = later(driver.twin.now(), LIMIT);
    let held = driver.until(limit, holds).await;
    assert!(held, "{what} never came\n{}", driver.twin.look(|state| format!("{}\n{}", jobs(state), tail(state, 60))));
}

/// A person's command; its exit code.
async fn types(driver: &mut Driver<'_>, name: &str, argv: &[&str]) -> Option<u8> {
    driver.operate(name, argv, BTreeMap::new());
    let limit = later(driver.twin.now(), LIMIT);
    driver.until_ended(name, limit).await
}

fn done(state: &State, target: &str) {
    let wrong = amiss(state, target, &cordoned_by_people(state));
    assert!(wrong.is_empty() && is_over(state), "{}\n{}\n{}", wrong.join("\n"), jobs(state), tail(state, 60));
}

fn untouched(state: &State) {
    assert!(!in_flight(state), "a run was claimed\n{}", tail(state, 40));
    for (key, node) in state.store.list(Kind::Node) {
        assert!(version_of(node) == OLD && mark(node, "cordoned-by").is_none(), "{} was touched\n{}", key.name, tail(state, 40));
    }
}

fn slack(state: &State) -> String {
    state.web.slack.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n---\n")
}

fn logs(state: &State) -> String {
    state.logs.values().map(|lines| lines.all().join("\n")).collect::<Vec<_>>().join("\n")
}

fn says(text: &str, what: &str) {
    assert!(text.contains(what), "nothing says {what:?}:\n{text}");
}

/// The pods of the chain, with what they run and where.
fn pods(state: &State) -> Vec<(Vec<String>, String)> {
    let of = |pod: &Value| {
        let args = pod["spec"]["containers"][0]["args"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some((args, pod["spec"]["nodeName"].as_str()?.to_owned()))
    };
    let chain = state.store.list(Kind::Pod).filter(|(_, pod)| pod["metadata"]["labels"]["app"] == "k8s-upgrade-chain");
    chain.filter_map(|(_, pod)| of(pod)).collect()
}

fn history_has(state: &State, words: &[&str]) -> bool {
    state.history.newest().any(|line| words.iter().all(|word| line.contains(word)))
}

fn failed(state: &State, job: &str) -> bool {
    let job = state.store.get(&Key::new(Kind::Job, NAMESPACE, job));
    job.is_some_and(|job| job["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Failed"))
}

fn node_is(name: &str, version: &str) -> impl Fn(&State) -> bool {
    move |state| {
        state.store.get(&Key::node(name)).is_some_and(|node| version_of(node) == version && mark(node, "cordoned-by").is_none())
    }
}

fn runbook() -> State {
    begin(&quick(Scenario::runbook()))
}

fn with_setting(key: &str, value: Value) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert(key.to_owned(), value);
    scenario
}

/// A right that the program needs is not granted.
fn without_right(state: &mut State, resource: &str) {
    let roles: Vec<Key> = state.store.list(Kind::ClusterRole).map(|(key, _)| key.clone()).collect();
    for role in roles {
        state.store.update(&role, |role| {
            for rule in role["rules"].as_array_mut().into_iter().flatten() {
                if let Some(resources) = rule["resources"].as_array_mut() {
                    resources.retain(|known| known != resource);
                }
            }
        });
    }
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
    says(&logs(&end), "is deleted: its budget can never let it go");

    let end = live(begin(&with_setting("drain-unstick", json!("never"))), None, async |driver| {
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

/// Every node's lists are as old as its packages when a run begins.
#[test]
fn incident_03_a_stale_package_list_gave_an_old_target() {
    let state = runbook();
    assert!(state.hosts.all().all(|(_, machine)| !machine.lists.iter().any(|offer| offer.starts_with(NEW))));
    let end = to_the_end(state, None);
    done(&end, NEW);
    assert!(end.hosts.all().all(|(_, machine)| machine.lists.iter().any(|offer| offer.starts_with(NEW))));
}

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

#[test]
fn incident_07_missing_rights_were_found_midway() {
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
    let warning = Alert { name: "CertExpiresSoon".to_owned(), labels: BTreeMap::new(), from: None, until: None };
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

/// What kubeadm is told to leave alone stays, on each control plane.
#[test]
fn incident_15_kubeadm_overwrote_a_custom_coredns() {
    let coredns = |state: &State| {
        let key = Key::new(Kind::Deployment, "kube-system", "coredns");
        state.store.get(&key).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    for (flags, stays) in [(json!([]), false), (json!(["--skip-phases=addon/coredns"]), true)] {
        let mut scenario = quick(Scenario::runbook_minor());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let state = begin(&scenario);
        let before = coredns(&state);
        let end = to_the_end(state, None);
        done(&end, "1.35.4");
        assert_eq!(coredns(&end) == before, stays, "{before} became {}", coredns(&end));
    }
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

#[test]
fn incident_17_a_list_of_nodes_skipped_a_new_one() {
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

/// The API server is there already, all else is not: kubeadm has nothing to plan, which is no failure.
#[test]
fn incident_19_an_empty_plan_read_as_a_failure() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes[0].control_plane_version = Some(Version::new(1, 34, 7));
    let end = to_the_end(begin(&scenario), None);
    says(&logs(&end), "gate kubeadm: pass");
    done(&end, NEW);
}

/// An index that gives no answer is not an index without a release.
#[test]
fn incident_21_no_answer_read_as_no_upgrade() {
    for how in [How::Refused, How::Silent, How::Nonsense, How::Status(502)] {
        let mut state = runbook();
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
        untouched(&end);
    }
}

/// No table of versions ends before Kubernetes does.
#[test]
fn incident_22_a_ceiling_of_versions_blocked_patches() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes.iter_mut().for_each(|node| node.version = Version::new(1, 99, 2));
    scenario.target = Version::new(1, 99, 11);
    scenario.releases[0].version = scenario.target;
    done(&to_the_end(begin(&scenario), None), "1.99.11");
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

/// A worker dies while the one before it soaks: nothing else is taken out until it is back.
#[test]
fn incident_32_work_went_on_through_a_failing_cluster() {
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
            says(&slack(state), "the cluster got worse after the last node");
        });
        over(driver, 6 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
}

//! The work on a node: a drain and its bounds, what is deleted, what must be true before the next step, and the etcd snapshot.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::control::Backup;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Workload};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State, hosts};
use serde_json::{Value, json};

use super::super::hands::{NEW, autoscaled, is_out, observed, ours, runbook, slack, unit_runs, version};
use super::super::incidents;
use super::super::recovery::{job, watch};
use super::super::world::{NAMESPACE, at_work, begin, in_flight, live, mark, namespace, pass, quick, tail, when};

fn logs(state: &State) -> String {
    state.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n")
}

fn imap(replicas: u32, min_available: i32) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = ["k8s-node4", "k8s-node3"].into_iter().take(replicas as usize).map(str::to_owned).collect();
    scenario.workloads.push(Workload {
        replicas,
        placed_on,
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    });
    scenario.budgets.push(Budget {
        namespace: "mail".to_owned(),
        name: "imap".to_owned(),
        selector: [("app".to_owned(), "imap".to_owned())].into(),
        expressions: Vec::new(),
        min_available: Some(IntOrString::Int(min_available)),
        max_unavailable: None,
        unhealthy_policy: None,
        annotations: Default::default(),
        owner: None,
    });
    scenario
}

/// Its deadline over, a drain holds, and the node serves.
#[test]
pub fn a_drain_that_cannot_end_holds() {
    let mut state = begin(&imap(2, 2));
    autoscaled(&mut state, "Deployment", "mail", "imap");
    watch(&mut state, false);
    observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 900).await;
        driver.twin.look(|state| {
            assert!(ours(state).is_empty() && !at_work(state), "{}", tail(state, 40));
            assert!(slack(state).contains("PDB mail/imap allows 0"), "{}", slack(state));
        });
    });
}

/// A right that is gone is no API server that has just come back: it is waited for a minute and a half.
#[test]
pub fn a_right_to_evict_that_is_gone_is_soon_told() {
    observed(runbook(), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        driver.twin.edit(|state| incidents::without_right(state, "pods/eviction"));
        pass(driver, 200).await;
        driver
            .twin
            .look(|state| assert!(slack(state).contains("refused: k8s-node4: evict "), "{}\n{}", slack(state), tail(state, 40)));
    });
}

/// A watch does not tell of a pod that comes to the node: the drain has not ended.
#[test]
pub fn a_pod_that_a_watch_has_missed_is_evicted() {
    let goes = |pod: &Value| {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        let own = owners.into_iter().flatten().all(|owner| owner["kind"] != "DaemonSet" && owner["kind"] != "Node");
        pod["spec"]["nodeName"] == "k8s-node4" && own
    };
    let mut scenario = quick(Scenario::runbook());
    let slow = Workload {
        placed_on: vec!["k8s-node4".to_owned()],
        grace_seconds: Some(60),
        ends_after_seconds: Some(40),
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    observed(begin(&scenario), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let last = |state: &State| {
            let left: Vec<_> = state.store.list(Kind::Pod).filter(|(_, pod)| goes(pod)).collect();
            left.len() == 1 && left[0].1["metadata"]["deletionTimestamp"].is_string()
        };
        when(driver, "its last pod", last).await;
        driver.twin.edit(|state| {
            let now = state.now();
            state.control.unheard.insert(Key::new(Kind::Pod, "mail", "late"));
            let spec = json!({ "nodeName": "k8s-node4", "containers": [{ "name": "late", "image": "none" }] });
            let pod =
                json!({ "metadata": { "name": "late", "namespace": "mail" }, "spec": spec, "status": { "phase": "Pending" } });
            state.store.create(now, Kind::Pod, pod).unwrap();
        });
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| {
            assert!(state.store.get(&Key::new(Kind::Pod, "mail", "late")).is_none(), "{}", tail(state, 40));
        });
    });
}

/// A budget that can never let its pod go has its time first, and a person's word against it counts.
#[test]
pub fn a_stuck_pod_is_deleted_after_its_time() {
    let mut scenario = imap(1, 1);
    scenario.settings.insert("drain-unstick-after".to_owned(), json!("4m"));
    observed(begin(&scenario), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let since = driver.twin.now();
        when(driver, "its deletion", |state| {
            logs(state).contains("mail/imap") && logs(state).contains("its PodDisruptionBudget never allows an eviction")
        })
        .await;
        let waited = driver.twin.now().duration_since(since).as_secs();
        assert!(waited >= 235, "{waited} s");
    });
}

fn stays(scenario: &Scenario, kind: &str) {
    let mut state = begin(scenario);
    let of = scenario.workloads.last().unwrap().kind;
    autoscaled(&mut state, if of == scenario::WorkloadKind::StatefulSet { "StatefulSet" } else { "Deployment" }, "mail", "imap");
    autoscaled(&mut state, "Deployment", "web", "anubis");
    watch(&mut state, false);
    observed(state, async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        let pods = |state: &State| -> Vec<String> {
            let own = state.store.list(Kind::Pod).filter(|(key, _)| key.name.starts_with("imap"));
            own.map(|(_, pod)| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let before = driver.twin.look(pods);
        pass(driver, 900).await;
        driver.twin.look(|state| {
            assert_eq!(pods(state), before, "{kind}\n{}", tail(state, 40));
            // The API server refuses what the settings do not ask for, too: it is not even tried.
            let tried = logs(state).lines().any(|line| line.contains("mail/imap") && line.contains("is deleted"));
            assert!(!tried, "{kind}: its deletion was tried");
        });
    });
}

#[test]
pub fn a_stuck_pod_stays_where_the_settings_say_so() {
    let mut scenario = imap(1, 1);
    scenario.settings.insert("drain-unstick".to_owned(), json!("never"));
    stays(&scenario, "never");
}

#[test]
pub fn a_stuck_pod_stays_where_its_annotation_says_so() {
    let mut scenario = imap(1, 1);
    let last = scenario.budgets.last_mut().unwrap();
    last.annotations.insert("viktorbarzin.me/k8s-upgrade-unstick".to_owned(), "never".to_owned());
    stays(&scenario, "an annotation");
}

#[test]
pub fn a_stuck_pod_stays_that_no_replica_set_makes_anew() {
    let mut scenario = imap(1, 1);
    scenario.workloads.last_mut().unwrap().kind = scenario::WorkloadKind::StatefulSet;
    stays(&scenario, "a StatefulSet's");
}

#[test]
pub fn a_budget_that_can_be_satisfied_is_waited_for() {
    stays(&imap(2, 2), "two of two");
}

/// A node that hangs in the middle of a step: the step ends by its own deadline.
#[test]
pub fn a_step_that_never_ends_is_told() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("step-deadline".to_owned(), json!("5m"));
    scenario.settings.insert("api-patience".to_owned(), json!("2m"));
    observed(begin(&scenario), async |driver| {
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.edit(|state| {
            let until = later(state.now(), Duration::from_secs(3600));
            state.hosts.change("k8s-node4", |machine| machine.faults.away_until = Some(until));
        });
        pass(driver, 1200).await;
        driver.twin.look(|state| assert!(logs(state).contains("kubeadm package did not end within"), "{}", tail(state, 40)));
    });
}

/// kubeadm has taken its own work back, and has ended well: no kubelet follows.
#[test]
pub fn a_control_plane_that_went_back_gets_no_kubelet() {
    struct Back;
    impl Hook for Back {
        fn look(&mut self, state: &mut State) {
            let unit = state.hosts.machine("k8s-master").and_then(|machine| machine.unit.as_ref());
            if !unit.is_some_and(|unit| unit.step.name() == "kubeadm-upgrade" && unit.end.is_some()) {
                return;
            }
            let key = Key::new(Kind::Pod, "kube-system", "kube-scheduler-k8s-master");
            let image = "registry.k8s.io/kube-scheduler:v1.34.2";
            if state.store.get(&key).is_some_and(|pod| pod["spec"]["containers"][0]["image"] != image) {
                state.store.update(&key, |pod| pod["spec"]["containers"][0]["image"] = json!(image));
            }
        }
        fn after(&mut self, state: &mut State, _: &Call) -> Fate {
            self.look(state);
            Fate::Go
        }
    }
    let mut state = runbook();
    watch(&mut state, false);
    live(state, Some(Box::new(Back)), async |driver| {
        when(driver, "a failed step", |state| slack(state).contains("🛑")).await;
        driver.twin.look(|state| {
            assert!(slack(state).contains("kubeadm ended well, but the control plane is not at 1.34.7"), "{}", slack(state));
            assert_eq!(version(state, "k8s-master"), "1.34.2");
        });
    });
}

/// A kubelet that reaches no API server after its restart: the Node is Ready still, and shows the version of before. It does not serve so.
#[test]
pub fn a_node_serves_at_its_version_alone() {
    observed(runbook(), async |driver| {
        when(driver, "the kubelet's packages", unit_runs("k8s-node4", "kubelet-packages")).await;
        driver.twin.edit(|state| state.control.silent.insert("k8s-node4".to_owned()));
        pass(driver, 100).await;
        driver.twin.look(|state| assert_eq!(ours(state), ["k8s-node4"], "{}", tail(state, 40)));
        driver.twin.edit(|state| state.control.silent.remove("k8s-node4"));
        when(driver, "its new kubelet", |state| version(state, "k8s-node4") == NEW && ours(state).is_empty()).await;
    });
}

/// What is half changed stays out of service, however its Job has ended.
#[test]
pub fn a_half_changed_node_stays_out() {
    let mut state = runbook();
    watch(&mut state, false);
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = u32::MAX);
    observed(state, async |driver| {
        when(driver, "a failed step", |state| slack(state).contains("🛑")).await;
        when(driver, "its end", |state| !at_work(state)).await;
        driver.twin.look(|state| assert_eq!(ours(state), ["k8s-node4"], "{}", tail(state, 40)));
    });
}

/// A person's way back waits for the end of what the upgrade does on the node.
#[test]
pub fn a_rollback_waits_for_the_upgrades_work() {
    live(begin(&quick(Scenario::runbook_minor())), None, async |driver| {
        when(driver, "the work", unit_runs("k8s-node4", "kubelet-packages")).await;
        driver.twin.edit(|state| {
            state.kill_programs();
            state.store.remove(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-35-4-k8s-node4"));
            state.store.remove(&Key::new(Kind::Lease, NAMESPACE, "k8s-upgrade-node-k8s-node4"));
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        let (code, said) = super::super::world::types(driver, "back", "rollback k8s-node4 --yes").await;
        assert!(code == 6 && said.contains("a rollback waits for its end"), "{code}: {said}");
    });
}

/// The work of a runner that died goes on, longer than its Lease lasts: the next one waits for its end before it looks what is to be done.
#[test]
pub fn an_earlier_runners_work_is_waited_for() {
    observed(runbook(), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        driver.twin.edit(|state| {
            let until = later(state.now(), Duration::from_secs(400));
            state.hosts.change("k8s-node4", |machine| machine.faults.apt_locked_until = Some(until));
        });
        when(driver, "the unit", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.edit(State::kill_programs);
        when(driver, "its new kubelet", |state| version(state, "k8s-node4") == NEW).await;
        driver.twin.look(|state| {
            assert!(
                logs(state).contains("kubeadm-package is still running there, begun by an earlier runner"),
                "{}",
                tail(state, 60)
            );
        });
    });
}

/// A backup that never ends is told in its time.
#[test]
pub fn a_backup_that_never_ends_is_told() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("backup-deadline".to_owned(), json!("10m"));
    let mut state = begin(&scenario);
    state.control.backup = Backup::Stuck;
    observed(state, async |driver| {
        when(driver, "a claim", in_flight).await;
        pass(driver, 1200).await;
        driver
            .twin
            .look(|state| assert!(slack(state).contains("for the etcd snapshot"), "{}\n{}", slack(state), tail(state, 40)));
    });
}

/// A backup is Complete when its runner dies; what then lies on the host is another file, or the same one spoilt: another is made.
fn spoilt(scenario: &Scenario, spoils: impl Fn(&mut State, &str), mends: impl Fn(&mut State), says: &str) {
    let mut state = begin(scenario);
    watch(&mut state, false);
    observed(state, async |driver| {
        let made = |state: &State| {
            let mut backups = state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("pre-upgrade-etcd-"));
            backups.any(|(_, job)| job["status"]["completionTime"].is_string())
        };
        when(driver, "a snapshot", made).await;
        driver.twin.edit(|state| {
            state.kill_programs();
            state.store.remove(&Key::new(Kind::Job, NAMESPACE, &job("preflight")));
            let machine = state.hosts.machine("k8s-master").unwrap();
            let path = machine.files.keys().find(|path| path.starts_with("/backup/")).cloned().unwrap();
            spoils(state, &path);
        });
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 120).await;
        super::super::world::types(driver, "resume", "resume --yes").await;
        pass(driver, 60).await;
        driver.twin.edit(|state| mends(state));
        pass(driver, 240).await;
        driver.twin.look(|state| {
            assert!(logs(state).contains(says), "{says:?} is not said\n{}", logs(state));
            assert!(in_flight(state) && mark(namespace(state), "run-id").is_some());
        });
    });
}

fn file(state: &mut State, path: &str, edit: impl FnOnce(&mut hosts::File)) {
    state.hosts.change("k8s-master", |machine| {
        machine.files.entry(path.to_owned()).and_modify(edit);
    });
}

#[test]
pub fn a_snapshot_of_another_size_is_none() {
    let spoils = |state: &mut State, path: &str| file(state, path, |file| file.bytes += 1);
    spoilt(&quick(Scenario::runbook()), spoils, |_| {}, "but its backup said");
}

#[test]
pub fn a_snapshot_of_before_is_none() {
    let spoils = |state: &mut State, path: &str| file(state, path, |file| file.at = "2026-01-01T00:00:00Z".parse().unwrap());
    spoilt(&quick(Scenario::runbook()), spoils, |_| {}, "older than the backup that should have made it");
}

#[test]
pub fn a_snapshot_that_is_torn_is_none() {
    let torn = |state: &mut State, on: bool| {
        state.hosts.change("k8s-master", |machine| machine.faults.torn_snapshots = on);
    };
    spoilt(&quick(Scenario::runbook()), |state, _| torn(state, true), |state| torn(state, false), "is not whole");
}

#[test]
pub fn a_snapshot_that_nobody_could_look_at_is_refused_where_the_settings_say_so() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("snapshot-unverified".to_owned(), json!("refuse"));
    let spoils = |state: &mut State, path: &str| file(state, path, |file| file.text = Some("gzip".into()));
    spoilt(&scenario, spoils, |_| {}, "snapshot-unverified is refuse");
}

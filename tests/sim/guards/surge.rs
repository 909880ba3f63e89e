//! A Deployment's only pod, which is up elsewhere before it goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_upgrade::twin::scenario::{self, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::{Value, json};

use super::super::hands::{done, is_out, observed, ours, unit_runs};
use super::super::rules::Observer;
use super::super::world::{at_work, begin, is_over, live, pass, quick, tail, types, when};

/// The runbook's cluster, and a Deployment of one pod on its last worker.
fn surging() -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("drain-surge".to_owned(), json!("single"));
    let imap = Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap");
    scenario.workloads.push(Workload { placed_on: vec!["k8s-node4".to_owned()], ready_after_seconds: Some(15), ..imap });
    scenario
}

fn deployment(namespace: &str, name: &str) -> Key {
    Key::new(Kind::Deployment, namespace, name)
}

fn restarted(state: &State, key: &Key) -> bool {
    let at = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    state.store.get(key).unwrap().pointer(at).is_some_and(Value::is_string)
}

fn all_restarted(state: &State) -> Vec<String> {
    let all = state.store.list(Kind::Deployment).filter(|(key, _)| restarted(state, key));
    all.map(|(key, _)| key.full_name()).collect()
}

/// How often its pods were made anew: one is how it began.
fn generation(state: &State, key: &Key) -> u64 {
    state.store.get(key).unwrap()["metadata"]["generation"].as_u64().unwrap()
}

fn logs(state: &State) -> String {
    state.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n")
}

/// A client of each Deployment of one pod, that asks after every change; how often it found nobody.
struct Clients {
    observer: Observer,
    unanswered: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Hook for Clients {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        self.observer.before(state, call)
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        self.observer.after(state, call)
    }
    fn look(&mut self, state: &mut State) {
        self.observer.look(state);
        let serves = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            let ready = conditions.clone().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            ready && pod["metadata"]["deletionTimestamp"].is_null()
        };
        for (key, _) in state.store.list(Kind::Deployment).filter(|(_, deployment)| deployment["spec"]["replicas"] == 1) {
            let own = |pod: &Value| pod["metadata"]["labels"]["app"] == key.name.as_str();
            let pods = state.store.list(Kind::Pod).filter(|(pod, object)| pod.namespace == key.namespace && own(object));
            let count = u32::from(!pods.into_iter().any(|(_, pod)| serves(pod)));
            *self.unanswered.lock().unwrap().entry(key.full_name()).or_default() += count;
        }
    }
}

/// Through a whole run, one of them behind a budget that never lets it go: it is neither evicted nor deleted.
#[test]
pub fn there_is_no_moment_without_a_ready_pod() {
    let state = begin(&surging());
    let (observer, broken) = Observer::new(&state, None);
    let unanswered = Arc::<Mutex<BTreeMap<String, u32>>>::default();
    let clients = Clients { observer, unanswered: unanswered.clone() };
    let end = live(state, Some(Box::new(clients)), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    done(&end, &[]);
    let unanswered = unanswered.lock().unwrap();
    assert!(unanswered.len() >= 4 && unanswered.values().all(|count| *count == 0), "{unanswered:?}\n{}", tail(&end, 60));
    let moved = all_restarted(&end);
    assert!(["mail/imap", "web/anubis"].iter().all(|name| moved.iter().any(|moved| moved == name)), "{moved:?}");
    let said = logs(&end);
    for words in ["Deployment mail/imap is restarted: mail/imap-", "if Argo CD or Flux manages a Deployment that is restarted"] {
        assert!(said.contains(words), "{words}");
    }
}

/// A person with every right, whose settings are silent on it.
#[test]
pub fn nothing_is_restarted_where_the_settings_do_not_ask_for_it() {
    let mut scenario = surging();
    scenario.settings.remove("drain-surge");
    observed(begin(&scenario), async |driver| {
        let (code, said) = types(driver, "person", "drain k8s-node4 --yes").await;
        assert_eq!(code, 0, "{said}");
        driver.twin.look(|state| assert_eq!(all_restarted(state), Vec::<String>::new()));
    });
}

/// A disk that one node alone can have, another strategy, a pause, two pods: each is evicted like any other, and it is said why.
#[test]
pub fn what_cannot_have_its_successor_first_is_evicted() {
    let mut scenario = surging();
    for name in ["disk", "recreated", "missing", "paused"] {
        let workload = Workload::new(scenario::WorkloadKind::Deployment, "mail", name);
        scenario.workloads.push(Workload { placed_on: vec!["k8s-node4".to_owned()], ..workload });
    }
    let mut state = begin(&scenario);
    let now = state.now();
    let claim = json!({ "metadata": { "name": "data", "namespace": "mail" }, "spec": { "accessModes": ["ReadWriteOnce"] } });
    state.store.create(now, Kind::Claim, claim).unwrap();
    let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
    let disk = |key: &Key| key.namespace == "mail" && key.name.starts_with("disk");
    for kind in [Kind::Deployment, Kind::ReplicaSet] {
        let keys: Vec<Key> = state.store.list(kind).map(|(key, _)| key.clone()).filter(disk).collect();
        keys.iter().for_each(|key| {
            state.store.update(key, |one| one["spec"]["template"]["spec"]["volumes"] = volumes.clone());
        });
    }
    let pods: Vec<Key> = state.store.list(Kind::Pod).map(|(key, _)| key.clone()).filter(disk).collect();
    pods.iter().for_each(|key| drop(state.store.update(key, |pod| pod["spec"]["volumes"] = volumes.clone())));
    for (name, field, value) in [
        ("recreated", "strategy", json!({ "type": "Recreate" })),
        ("missing", "strategy", json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "25%" } })),
        ("paused", "paused", json!(true)),
    ] {
        state.store.update(&deployment("mail", name), |one| one["spec"][field] = value);
    }
    observed(state, async |driver| {
        let (_, said) = types(driver, "person", "drain k8s-node4 --dry-run --set drain-surge=single").await;
        assert!(said.contains("no surge: its PersistentVolumeClaim data is ReadWriteOnce"), "{said}");
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| {
            assert!(restarted(state, &deployment("mail", "imap")), "{}", tail(state, 40));
            for name in ["disk", "recreated", "missing", "paused"] {
                assert!(!restarted(state, &deployment("mail", name)), "{name}\n{}", tail(state, 40));
                assert!(logs(state).contains(&format!("mail/{name}-5d9c7b8f64-")), "{name}");
            }
            assert!(logs(state).contains("is evicted like any other: Deployment mail/recreated has the strategy Recreate"));
        });
    });
}

#[test]
pub fn whoever_says_no_is_not_restarted() {
    let mut scenario = surging();
    let imap = scenario.workloads.last_mut().unwrap();
    imap.annotations.insert("viktorbarzin.me/k8s-upgrade-unstick".to_owned(), "never".to_owned());
    observed(begin(&scenario), async |driver| {
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| assert!(!restarted(state, &deployment("mail", "imap")), "{}", tail(state, 40)));
    });
}

/// A watch does not tell that its rollout has taken it away: it is asked for before anything is restarted anew.
#[test]
pub fn a_pod_that_is_going_is_not_restarted_again() {
    struct Deaf;
    impl Hook for Deaf {
        fn look(&mut self, state: &mut State) {
            if restarted(state, &deployment("mail", "imap")) && state.control.unheard.is_empty() {
                let former = |(key, pod): &(&Key, &Arc<Value>)| {
                    key.name.starts_with("imap-5d9c7b8f64-") && pod["spec"]["nodeName"] == "k8s-node4"
                };
                let former = state.store.list(Kind::Pod).find(former).map(|(key, _)| key.clone());
                state.control.unheard.extend(former);
            }
        }
    }
    live(begin(&surging()), Some(Box::new(Deaf)), async |driver| {
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| {
            assert_eq!(generation(state, &deployment("mail", "imap")), 2, "{}", tail(state, 60));
        });
    });
}

/// Somebody scales it up between our look and our write.
#[test]
pub fn a_deployment_that_was_just_changed_is_not_restarted() {
    struct ScaledUp(bool);
    impl Hook for ScaledUp {
        fn before(&mut self, state: &mut State, call: &Call) -> Fate {
            if !self.0 && call.what.starts_with("PATCH") && call.what.contains("/namespaces/mail/deployments/imap") {
                self.0 = true;
                state.store.update(&deployment("mail", "imap"), |imap| imap["spec"]["replicas"] = json!(2));
            }
            Fate::Go
        }
    }
    live(begin(&surging()), Some(Box::new(ScaledUp(false))), async |driver| {
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| {
            assert!(!restarted(state, &deployment("mail", "imap")), "{}", tail(state, 40));
        });
    });
}

/// It may run on this node alone: its successor waits for a place, and what an eviction would have done is done in the end.
#[test]
pub fn a_new_pod_that_never_comes_is_waited_for_half_a_drain() {
    let mut scenario = surging();
    let imap = scenario.workloads.last_mut().unwrap();
    imap.node_selector = [("kubernetes.io/hostname".to_owned(), "k8s-node4".to_owned())].into();
    observed(begin(&scenario), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        when(driver, "its first end", |state| ours(state).is_empty() || unit_runs("k8s-node4", "kubeadm-package")(state)).await;
        driver.twin.look(|state| {
            assert!(unit_runs("k8s-node4", "kubeadm-package")(state), "{}", tail(state, 40));
            let words = "is evicted like any other: after 5m 00s there is no new pod in its place";
            let said = logs(state);
            let said: Vec<&str> = said.lines().filter(|line| line.contains("imap")).collect();
            assert!(said.iter().any(|line| line.contains(words)), "{said:#?}");
        });
    });
}

/// Who takes the drain up sees the rollout that is on its way, and waits for it.
#[test]
fn a_runner_that_takes_the_drain_up_does_not_restart_it_again() {
    let imap = deployment("mail", "imap");
    observed(begin(&surging()), async |driver| {
        when(driver, "the restart", |state| restarted(state, &deployment("mail", "imap"))).await;
        driver.twin.edit(State::kill_programs);
        when(driver, "nobody at work", |state| !at_work(state)).await;
        when(driver, "the packages", unit_runs("k8s-node4", "kubeadm-package")).await;
        driver.twin.look(|state| assert_eq!(generation(state, &imap), 2, "{}", tail(state, 60)));
    });
}

/// A halt leaves the rollout to its controller and gives the node back.
#[test]
fn a_halt_while_the_new_pod_comes_up_gives_the_node_back() {
    observed(begin(&surging()), async |driver| {
        when(driver, "the restart", |state| restarted(state, &deployment("mail", "imap"))).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 120).await;
        driver.twin.look(|state| {
            let imap = state.store.get(&deployment("mail", "imap")).unwrap();
            assert!(ours(state).is_empty() && imap["status"]["availableReplicas"] == 1, "{}", tail(state, 40));
        });
    });
}

/// What the budget never releases and nobody may delete is found before the run, unless it is replaced first; the forecast says so.
#[test]
fn what_is_restarted_elsewhere_is_not_undrainable() {
    let state = begin(&quick(Scenario::runbook()));
    let on = state.store.list(Kind::Pod).find(|(key, _)| key.name.starts_with("anubis-")).map(|(_, pod)| pod.clone()).unwrap();
    let node = on["spec"]["nodeName"].as_str().unwrap().to_owned();
    observed(state, async |driver| {
        for (surges, set) in [(false, "--set drain-unstick=never"), (true, "--set drain-unstick=never --set drain-surge=single")]
        {
            let (code, said) = types(driver, "look", &format!("preflight --target 1.34.7 --dry-run {set}")).await;
            assert_eq!((code, said.contains("can never be drained")), if surges { (0, false) } else { (4, true) }, "{said}");
            let (_, said) = types(driver, "drain", &format!("drain {node} --dry-run {set}")).await;
            let forecast = said.lines().find(|line| line.contains("web/anubis")).unwrap_or_default();
            assert_eq!(forecast.contains("restarted elsewhere first (surge)"), surges, "{said}");
            assert_eq!(forecast.contains("held: "), !surges, "{said}");
        }
    });
}

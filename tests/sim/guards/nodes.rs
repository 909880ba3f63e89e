//! Gates before a node, after it, and before the end: each is closed by one thing alone, and the chain goes on once that is mended.

use k8s_upgrade::twin::scenario::{self, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{State, hosts};
use serde_json::json;

use super::super::hands::{NEW, done, is_out, observed, ours, runbook, slack, unit_runs, version};
use super::super::recovery::{self, watch};
use super::super::world::{
    NAMESPACE, at_work, begin, calm, in_flight, is_over, jobs, live, mark, pass, quick, tail, types, version_of, when,
};
use super::unready;

/// A node by hand that may not be next: refused at once.
fn refuses(scenario: &Scenario, line: &str, says: &str) {
    live(begin(scenario), None, async |driver| {
        let (code, said) = types(driver, "node", line).await;
        assert!(code == 4 && said.contains(says), "{code}: {said}");
        driver.twin.look(|state| assert!(ours(state).is_empty(), "{}", tail(state, 20)));
    });
}

#[test]
pub fn an_excluded_node() {
    let line = "upgrade-node k8s-node2 --target 1.34.7 --yes --set exclude-nodes=k8s-node2";
    refuses(&quick(Scenario::runbook()), line, "k8s-node2 is excluded by the settings");
}

#[test]
pub fn a_second_control_plane_before_the_first() {
    let scenario = quick(Scenario::three_control_planes());
    refuses(&scenario, "upgrade-node k8s-master2 --target 1.34.7 --yes", "k8s-master1 comes first");
}

#[test]
pub fn a_worker_before_the_control_planes() {
    let scenario = quick(Scenario::runbook());
    refuses(&scenario, "upgrade-node k8s-node4 --target 1.34.7 --yes", "all control planes come before any worker");
}

/// The chain holds at a node for that reason, and goes on once it is mended.
fn holds(scenario: &Scenario, job: &str, at: &'static str, spoils: impl Fn(&mut State, bool), says: &str) {
    let mut state = begin(scenario);
    watch(&mut state, false);
    let target = scenario.target.to_string();
    let job = Key::new(Kind::Job, NAMESPACE, job);
    observed(state, async |driver| {
        when(driver, "its Job", |state| state.store.get(&job).is_some()).await;
        driver.twin.edit(|state| spoils(state, true));
        when(driver, "its turn", |state| slack(state).contains("🛑") || is_out(at)(state)).await;
        driver.twin.look(|state| {
            assert!(!is_out(at)(state) && slack(state).contains(says), "{}\n{}", slack(state), tail(state, 40));
        });
        driver.twin.edit(|state| spoils(state, false));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 120).await;
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "the node at the target", |state| version(state, at) == target).await;
    });
}

/// None of three members is restarted while it leads: leadership goes to the one whose turn comes last, and from there to one whose turn is over.
#[test]
pub fn leadership_moves_off_before_a_control_planes_turn() {
    let end = observed(begin(&quick(Scenario::three_control_planes())), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(end.hosts.elections, 0, "{}", tail(&end, 60));
    assert_eq!(hosts::etcd_leader(&end).as_deref(), Some("k8s-master2"));
    let seen = |text: &str| end.history.all().iter().position(|line| line.contains(text));
    let moved = [
        "the leadership of etcd moves from k8s-master1 to k8s-master3",
        "kubeadm on k8s-master1 replaces etcd",
        "kubeadm on k8s-master2 replaces etcd",
        "the leadership of etcd moves from k8s-master3 to k8s-master2",
        "kubeadm on k8s-master3 replaces etcd",
    ]
    .map(seen);
    assert!(moved.iter().all(Option::is_some) && moved.is_sorted(), "{moved:?}\n{}", tail(&end, 60));
}

/// It is told, and the node is upgraded: out of service it serves nobody, and one election costs less than that.
#[test]
fn leadership_that_does_not_move_holds_nothing() {
    let mut state = begin(&quick(Scenario::three_control_planes()));
    state.hosts.change("k8s-master1", |machine| machine.faults.leads_on = true);
    let end = observed(state, async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(end.hosts.elections, 1, "{}", tail(&end, 60));
    let told = end.logs.values().any(|log| log.all().iter().any(|line| line.contains("may lead as before")));
    assert!(told, "{}", tail(&end, 60));
}

#[test]
pub fn an_alert_before_a_node() {
    let fires = |state: &mut State, on: bool| {
        if on { recovery::fires(state, "NodeDiskFull") } else { state.web.prometheus.injected.clear() }
    };
    holds(&quick(Scenario::runbook()), "k8s-upgrade-worker-1-34-7-k8s-node4", "k8s-node4", fires, "1 alert(s) firing");
}

#[test]
pub fn another_node_that_is_not_ready() {
    let silent = |state: &mut State, on: bool| {
        let status = if on { "False" } else { "True" };
        match on {
            true => drop(state.control.silent.insert("k8s-node2".to_owned())),
            false => drop(state.control.silent.remove("k8s-node2")),
        }
        state.store.update(&Key::node("k8s-node2"), |node| {
            let conditions = node["status"]["conditions"].as_array_mut().unwrap();
            conditions.iter_mut().filter(|one| one["type"] == "Ready").for_each(|one| one["status"] = json!(status));
        });
    };
    holds(&quick(Scenario::runbook()), "k8s-upgrade-master-1-34-7", "k8s-master", silent, "k8s-node2 is not Ready");
}

#[test]
pub fn another_api_server_that_is_not_ready() {
    let spoils = |state: &mut State, on: bool| unready(state, "k8s-master3", "kube-apiserver", on);
    holds(
        &quick(Scenario::three_control_planes()),
        "k8s-upgrade-master-1-34-7-k8s-master2",
        "k8s-master2",
        spoils,
        "k8s-master3: kube-apiserver",
    );
}

#[test]
pub fn a_scheduler_that_does_not_run() {
    let spoils = |state: &mut State, on: bool| unready(state, "k8s-master", "kube-scheduler", on);
    holds(&quick(Scenario::runbook()), "k8s-upgrade-worker-1-34-7-k8s-node4", "k8s-node4", spoils, "k8s-master: kube-scheduler");
}

#[test]
pub fn another_node_that_is_out() {
    let spoils = |state: &mut State, on: bool| {
        let key = "viktorbarzin.me/k8s-upgrade-cordoned-by";
        state.store.update(&Key::node("k8s-node2"), |node| {
            node["metadata"]["annotations"][key] = if on { json!("0badcafe") } else { json!(null) };
            if !on {
                node["metadata"]["annotations"].as_object_mut().unwrap().remove(key);
            }
        });
    };
    holds(
        &quick(Scenario::runbook()),
        "k8s-upgrade-worker-1-34-7-k8s-node4",
        "k8s-node4",
        spoils,
        "k8s-node2 carries our cordon",
    );
}

/// The control plane has set off an alert: its own Job holds, and none follows.
#[test]
pub fn an_alert_after_a_control_plane() {
    observed(runbook(), async |driver| {
        when(driver, "the master's end", |state| version(state, "k8s-master") == NEW && ours(state).is_empty()).await;
        driver.twin.edit(|state| recovery::fires(state, "NodeDiskFull"));
        when(driver, "a hold", |state| slack(state).contains("🛑")).await;
        driver.twin.look(|state| {
            assert!(!jobs(state).contains("k8s-upgrade-worker"), "{}", jobs(state));
            assert!(slack(state).contains("k8s-master"), "{}", slack(state));
        });
    });
}

/// Between two nodes: the soak of the first, however long.
#[test]
pub fn a_node_soaks_for_its_time() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("soak".to_owned(), json!("20m"));
    observed(begin(&scenario), async |driver| {
        when(driver, "the master's end", |state| version(state, "k8s-master") == NEW && ours(state).is_empty()).await;
        let since = driver.twin.now();
        when(driver, "the first worker", is_out("k8s-node4")).await;
        let soaked = driver.twin.now().duration_since(since).as_secs();
        assert!(soaked >= 1190, "{soaked} s");
    });
}

/// Two replicas of which one takes minutes to come back, longer than a soak. A person has made them two since the claim, so that only who looked
/// before the drain knows that both were there.
#[test]
pub fn what_a_drain_drove_away_is_back_first() {
    let mut scenario = quick(Scenario::runbook());
    let slow = Workload {
        ready_after_seconds: Some(200),
        placed_on: vec!["k8s-node4".to_owned()],
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    observed(begin(&scenario), async |driver| {
        when(driver, "the claim", in_flight).await;
        let imap = Key::new(Kind::Deployment, "mail", "imap");
        driver.twin.edit(|state| state.store.update(&imap, |imap| imap["spec"]["replicas"] = json!(2)));
        let both = |state: &State| state.store.get(&imap).unwrap()["status"]["availableReplicas"] == 2;
        when(driver, "both", both).await;
        driver
            .twin
            .look(|state| assert!(version(state, "k8s-node4") != NEW && !is_out("k8s-node4")(state), "{}", tail(state, 20)));
        when(driver, "the turn of k8s-node3", is_out("k8s-node3")).await;
        driver.twin.look(|state| assert!(both(state), "{}", tail(state, 40)));
    });
}

/// A pod of a Deployment is lost when its Job is there: it is whole again before the node is taken out.
#[test]
pub fn what_is_not_whole_is_waited_for() {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = ["k8s-node1", "k8s-node2"].map(str::to_owned).to_vec();
    let slow = Workload {
        replicas: 2,
        ready_after_seconds: Some(60),
        placed_on,
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    whole_at_its_turn(&scenario, |state| {
        let pod = state.store.list(Kind::Pod).find(|(key, _)| key.namespace == "mail").map(|(key, _)| key.clone()).unwrap();
        k8s_upgrade::twin::api::delete_pod(state, &pod, Some(0));
    });
}

fn whole_at_its_turn(scenario: &Scenario, spoils: impl Fn(&mut State)) {
    observed(begin(scenario), async |driver| {
        let next = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node3");
        when(driver, "its Job", |state| state.store.get(&next).is_some()).await;
        driver.twin.edit(|state| spoils(state));
        when(driver, "its turn", is_out("k8s-node3")).await;
        driver.twin.look(|state| {
            let imap = state.store.get(&Key::new(Kind::Deployment, "mail", "imap")).unwrap();
            assert_eq!(imap["status"]["availableReplicas"], 2, "{}", imap["status"]);
        });
    });
}

/// What is finished is not drained again, who ever asks.
#[test]
pub fn a_finished_node_is_left_alone() {
    observed(runbook(), async |driver| {
        super::super::driven::broken_off(driver).await;
        let before = driver.twin.look(|state| state.evictions.get("k8s-node4").copied());
        let (code, said) = types(driver, "again", "upgrade-node k8s-node4 --yes").await;
        assert_eq!(code, 0, "{said}");
        driver.twin.look(|state| assert_eq!(state.evictions.get("k8s-node4").copied(), before, "{}", tail(state, 40)));
    });
}

/// A run's last gates: an alert of the upgrade, and pods that are not Ready.
fn not_ended(scenario: &Scenario, spoils: impl Fn(&mut State), mends: impl Fn(&mut State)) {
    let end = observed(begin(scenario), async |driver| {
        let postflight = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-postflight-1-34-7");
        when(driver, "postflight", |state| state.store.get(&postflight).is_some()).await;
        driver.twin.edit(|state| spoils(state));
        pass(driver, 900).await;
        driver.twin.look(|state| assert!(in_flight(state), "{}", tail(state, 40)));
        driver.twin.edit(|state| mends(state));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
pub fn an_alert_before_the_end() {
    let fires = |state: &mut State| recovery::fires(state, "K8sUpgradeHaltedByOperator");
    not_ended(&quick(Scenario::runbook()), fires, |state| state.web.prometheus.injected.clear());
}

#[test]
pub fn pods_that_are_not_ready_before_the_end() {
    let mut scenario = calm(Scenario::runbook());
    scenario.settings.insert("ready-ratio".to_owned(), json!(1.0));
    let spoils = |state: &mut State| unready(state, "k8s-master", "etcd", true);
    not_ended(&scenario, spoils, |state| unready(state, "k8s-master", "etcd", false));
}

/// A control plane serves again when its components run, and not before.
#[test]
pub fn a_control_plane_is_whole_before_it_serves() {
    observed(runbook(), async |driver| {
        when(driver, "the kubelet's packages", unit_runs("k8s-master", "kubelet-packages")).await;
        driver.twin.edit(|state| unready(state, "k8s-master", "kube-scheduler", true));
        when(driver, "its new kubelet", |state| version(state, "k8s-master") == NEW).await;
        pass(driver, 120).await;
        driver.twin.look(|state| assert_eq!(ours(state), ["k8s-master"], "{}", tail(state, 40)));
        driver.twin.edit(|state| unready(state, "k8s-master", "kube-scheduler", false));
        when(driver, "the first worker", is_out("k8s-node4")).await;
    });
}

/// A person's cordon is theirs from the beginning to the end.
#[test]
pub fn a_persons_cordon() {
    let mut state = runbook();
    state.store.update(&Key::node("k8s-node3"), |node| node["spec"]["unschedulable"] = json!(true));
    let end = observed(state, async |driver| {
        let later = |state: &State| is_out("k8s-node2")(state) || is_over(state);
        when(driver, "the node after it", later).await;
        driver.twin.look(State::clone)
    });
    let node = end.store.get(&Key::node("k8s-node3")).unwrap();
    assert!(version_of(node) == NEW && node["spec"]["unschedulable"] == true && mark(node, "cordoned-by").is_none(), "{node}");
}

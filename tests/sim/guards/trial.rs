//! What the target's own kubelet and kubeadm do not accept: found on every node before anything is touched.

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

use super::super::hands::{observed, ours, slack};
use super::super::world::{at_work, begin, in_flight, is_over, quick, tail, types, when};

const PAUSE: &str = "--pod-infra-container-image=registry.k8s.io/pause:3.10";

/// The runbook's cluster before the next minor version.
fn minor(change: impl FnOnce(&mut Scenario)) -> State {
    let mut scenario = quick(Scenario::runbook_minor());
    change(&mut scenario);
    begin(&scenario)
}

/// A person's preflight and the chain's end at this, and nothing has begun.
fn closes(state: State, ends: u8, says: &[&str]) {
    observed(state, async |driver| {
        let (code, said) = types(driver, "try", "preflight --target 1.35.4").await;
        assert_eq!(code, ends, "{said}");
        for says in says {
            assert!(said.contains(says), "not {says:?}:\n{said}");
        }
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            let backups = state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("pre-upgrade-etcd")).count();
            assert!(!in_flight(state) && ours(state).is_empty() && backups == 0, "{}", tail(state, 40));
        });
    });
}

#[test]
pub fn a_flag_that_is_gone_is_found_before_anything_is_touched() {
    let state = minor(|scenario| {
        for node in &mut scenario.nodes[3..] {
            node.kubelet_flags = vec!["--node-ip=10.0.0.1".to_owned(), PAUSE.to_owned()];
        }
    });
    let says = [
        "trial: ",
        "k8s-node3: kubelet 1.35.4 does not start with --pod-infra-container-image",
        "/etc/default/kubelet:1",
        "k8s-node4: ",
    ];
    closes(state, 4, &says);
}

#[test]
fn a_flag_that_is_still_known_is_no_matter() {
    let mut scenario = quick(Scenario::runbook());
    scenario.nodes[4].kubelet_flags = vec![PAUSE.to_owned()];
    observed(begin(&scenario), async |driver| when(driver, "the end", is_over).await);
}

#[test]
fn cgroup_v1_is_found_and_one_line_of_configuration_lets_the_run_go_on() {
    let state = minor(|scenario| scenario.nodes.iter_mut().for_each(|node| node.cgroup_v1 = true));
    let says = [
        "k8s-master: it runs on cgroup v1, where kubelet 1.35.4 starts only if failCgroupV1 is false",
        "configmap kubelet-config",
    ];
    closes(state.clone(), 4, &says);
    observed(state, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.edit(|state| {
            state.store.update(&Key::new(Kind::ConfigMap, "kube-system", "kubelet-config"), |map| {
                let text = map["data"]["kubelet"].as_str().unwrap_or_default();
                map["data"]["kubelet"] = json!(format!("{text}failCgroupV1: false\n"));
            });
        });
        assert_eq!(types(driver, "again", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
    });
}

#[test]
fn an_old_containerd_is_found() {
    let state = minor(|scenario| scenario.nodes[2].containerd = "1.5.9".to_owned());
    closes(state, 4, &["k8s-node2: containerd 1.5.9 is too old for kubelet 1.35.4, which wants 1.6.0 or newer"]);
}

/// Its kernel, say; kubeadm would have said it once the node was drained.
#[test]
fn what_kubeadms_preflight_objects_to_on_a_worker_is_found() {
    let mut state = minor(|_| {});
    state.hosts.change("k8s-node2", |machine| machine.faults.kubeadm_objects = Some("SystemVerification".to_owned()));
    closes(state, 4, &["k8s-node2: kubeadm's own preflight objects: SystemVerification"]);
}

#[test]
fn a_mirror_that_lacks_the_next_minor_on_one_node_is_a_hold_before_the_claim() {
    let mut state = minor(|_| {});
    state.hosts.change("k8s-node2", |machine| machine.lacks = "1.35.4".parse().ok());
    closes(state, 3, &["k8s-node2: ", "/v1.35/deb does not offer kubeadm 1.35.4 yet"]);
}

#[test]
fn that_every_node_is_accepted_is_told() {
    observed(minor(|_| {}), async |driver| {
        let (code, said) = types(driver, "try", "preflight --target 1.35.4").await;
        assert_eq!(code, 0, "{said}");
        for node in ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"] {
            let told =
                said.lines().any(|line| line.contains(node) && line.contains("kubelet and kubeadm of 1.35.4 accept this node"));
            assert!(told, "{node}\n{said}");
        }
    });
}

//! Gates, one at a time: each is closed by one thing alone, and that is named while nothing has changed.

use k8s_upgrade::twin::hosts::{Dpkg, Machine};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::json;

use super::super::hands::{observed, ours, runbook, slack};
use super::super::recovery;
use super::super::world::{Disk, NAMESPACE, begin, in_flight, live, pass, quick, tail, types, types_with, when};
use super::unready;

const PREFLIGHT: &str = "preflight --target 1.34.7 --dry-run";

/// A look before a run: refused or held, with these words.
fn closes(state: State, line: &str, says: &str) {
    live(state, None, async |driver| {
        let (code, said) = types(driver, "look", line).await;
        assert!((code == 3 || code == 4) && said.contains(says), "{code}, and not {says:?}:\n{said}");
        driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
    });
}

#[test]
pub fn a_node_that_is_not_ready() {
    let mut state = runbook();
    state.control.silent.insert("k8s-node2".to_owned());
    let state = live(state, None, async |driver| {
        pass(driver, 90).await;
        driver.twin.look(State::clone)
    });
    closes(state, PREFLIGHT, "k8s-node2 is not Ready");
}

#[test]
pub fn an_api_server_that_is_not_ready() {
    let mut state = runbook();
    unready(&mut state, "k8s-master", "kube-apiserver", true);
    closes(state, PREFLIGHT, "k8s-master: kube-apiserver");
}

#[test]
pub fn an_etcd_that_is_not_fit() {
    let etcd = |spoils: fn(&mut Machine)| {
        let mut state = runbook();
        state.hosts.change("k8s-master", spoils);
        state
    };
    let ill = |machine: &mut Machine| machine.faults.etcd_ill = Some("ALARM NOSPACE".to_owned());
    closes(etcd(ill), PREFLIGHT, "takes no writes any more: ");
    closes(etcd(ill), PREFLIGHT, "defrag    # ");
    closes(etcd(|machine| machine.etcd[0] = 1800 << 20), PREFLIGHT, "its database has 1800 MiB (80 MiB in use)");
    closes(etcd(|machine| machine.faults.etcd_slow = Some(jiff::Timestamp::UNIX_EPOCH)), PREFLIGHT, "for each write of its log");
}

/// What was a larger database once holds nothing.
#[test]
fn an_etcd_that_is_half_empty_is_told_of() {
    let mut state = runbook();
    state.hosts.change("k8s-master", |machine| machine.etcd[0] = 900 << 20);
    live(state, None, async |driver| {
        let (code, said) = types(driver, "look", PREFLIGHT).await;
        assert!(code == 0 && said.contains("820 of the 900 MiB of its database are free"), "{code}\n{said}");
    });
}

/// In so many days the certificate, or the authority, ends on the control plane.
fn ends(name: &str, days: i64) -> State {
    let mut state = runbook();
    let at = state.now() + jiff::SignedDuration::from_hours(days * 24);
    state.hosts.change("k8s-master", |machine| machine.ends.insert(name.to_owned(), at));
    state
}

#[test]
pub fn certificates_that_do_not_outlast_a_run() {
    closes(ends("apiserver", -1), PREFLIGHT, "the certificate apiserver has ended on ");
    closes(ends("apiserver", -1), PREFLIGHT, "sudo kubeadm certs renew apiserver    # on k8s-master");
    let unrenewed = format!("{PREFLIGHT} --set kubeadm-flags=--certificate-renewal=false");
    closes(ends("etcd-server", 3), &unrenewed, "the certificate etcd-server ends on ");
    closes(ends("etcd-ca", 3), PREFLIGHT, "the authority etcd-ca ends on ");
    let mut external = ends("front-proxy-client", 3);
    external.hosts.change("k8s-master", |machine| machine.external_ca = true);
    closes(external, PREFLIGHT, "kubeadm has no key to renew it with");
}

#[test]
fn certificates_that_are_renewed_in_the_run_are_told_of() {
    for (name, says) in [("apiserver", "and kubeadm renews it in this upgrade (k8s-master)"), ("ca", "kubeadm never renews one")]
    {
        live(ends(name, 20), None, async |driver| {
            let (code, said) = types(driver, "look", PREFLIGHT).await;
            assert!(code == 0 && said.contains(says), "{code}\n{said}");
        });
    }
}

#[test]
pub fn a_node_that_came_lately() {
    let mut state = runbook();
    let now = state.now().to_string();
    state.store.update(&Key::node("k8s-node2"), |node| {
        let conditions = node["status"]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().filter(|one| one["type"] == "Ready").for_each(|one| one["lastTransitionTime"] = json!(now));
    });
    closes(state, PREFLIGHT, "k8s-node2 became Ready ");
}

#[test]
pub fn a_backup_that_is_not_there() {
    let mut state = runbook();
    let backups: Vec<Key> =
        state.store.list(Kind::CronJob).map(|(key, _)| key.clone()).filter(|key| key.namespace != NAMESPACE).collect();
    backups.iter().for_each(|key| drop(state.store.remove(key)));
    closes(state, PREFLIGHT, "which makes etcd snapshots, does not exist");
}

#[test]
pub fn a_release_that_does_not_exist() {
    closes(runbook(), "preflight --target 1.34.99 --dry-run", "is no release");
}

/// What runs is known by the images of workloads; an addon that is named and runs nowhere holds nothing.
fn with_flannel(image: &str) -> State {
    let mut scenario = quick(Scenario::runbook());
    let matrix = json!({ "flannel": { "0.26": "<=1.33", "0.27": "<=1.34" }, "calico": { "3.30": "<=1.33" } });
    scenario.settings.insert("addons".to_owned(), matrix);
    let mut state = begin(&scenario);
    let flannel = Key::new(Kind::DaemonSet, "kube-flannel", "kube-flannel");
    state.store.update(&flannel, |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
    state
}

/// As a person gives it: what a look from outside goes by.
const MATRIX: &str = "addons:\n  flannel: {\"0.26\": \"<=1.33\", \"0.27\": \"<=1.34\"}\n  calico: {\"3.30\": \"<=1.33\"}\n";

#[test]
pub fn an_addon_that_does_not_go_along() {
    let look = |image: &str| {
        live(with_flannel(image), None, async |driver| {
            let files = Disk::from([("/home/ann/config.yaml".into(), MATRIX.as_bytes().to_vec().into())]);
            let line = format!("{PREFLIGHT} --config /home/ann/config.yaml");
            let (code, said) = types_with(driver, "look", &line, files).await;
            driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
            (code, said.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    };
    for (image, says) in [
        (
            "ghcr.io/flannel-io/flannel:v0.26.7",
            "flannel 0.26.7 (DaemonSet kube-flannel/kube-flannel) lets Kubernetes go to 1.33 at most",
        ),
        ("ghcr.io/flannel-io/flannel:v0.28.0", "the setting addons says nothing of this version, only of 0.26, 0.27"),
        ("ghcr.io/flannel-io/flannel:latest", "does not say which version it is"),
    ] {
        let (code, said) = look(image);
        assert!(code == 4 && said.contains(says), "{code}, and not {says:?}:\n{said}");
    }
    let (code, said) = look("ghcr.io/flannel-io/flannel:v0.27.4");
    assert!(code == 0 && said.contains("no workload runs calico, which the setting addons names"), "{code}: {said}");
}

#[test]
pub fn a_node_that_does_not_answer() {
    let mut state = runbook();
    state.hosts.change("k8s-node2", |machine| machine.faults.key_refused = true);
    closes(state, PREFLIGHT, "hosts: ");
}

#[test]
pub fn packages_that_are_half_installed() {
    let mut state = runbook();
    state.hosts.change("k8s-node2", |machine| {
        machine.packages.entry("kubelet".to_owned()).and_modify(|package| package.dpkg = Dpkg::HalfInstalled);
    });
    closes(state, PREFLIGHT, "packages are half installed");
}

#[test]
pub fn a_disk_that_is_full() {
    let mut state = runbook();
    state.hosts.change("k8s-node2", |machine| machine.free = 1 << 20);
    closes(state, PREFLIGHT, "MiB are wanted");
}

#[test]
fn two_nodes_of_one_hostname() {
    let mut state = runbook();
    state.store.update(&Key::node("k8s-node3"), |node| node["metadata"]["labels"]["kubernetes.io/hostname"] = json!("k8s-node2"));
    closes(state, PREFLIGHT, "nodes bear one hostname label");
}

#[test]
fn a_node_that_speaks_for_itself() {
    let mut state = runbook();
    let words = "This account is currently not available.";
    state.hosts.change("k8s-node2", |machine| machine.faults.own_words = Some(format!("{words}\n")));
    closes(state.clone(), PREFLIGHT, words);
    closes(state, PREFLIGHT, "sudo -n true");
}

#[test]
pub fn a_package_source_that_nobody_knows() {
    let mut state = runbook();
    let now = state.now();
    state.web.packages.release("1.35.4".parse().unwrap(), now);
    let nexus = "https://nexus.test/repository/kubernetes-1.34".to_owned();
    state.hosts.change("k8s-node2", |machine| machine.source_url = Some(nexus));
    let to = "preflight --target 1.35.4 --dry-run";
    closes(state.clone(), to, "/etc/apt/sources.list.d/kubernetes.list: https://nexus.test/repository/kubernetes-1.34");
    closes(state, to, "packages-url: https://nexus.test/repository/kubernetes-{minor} in the settings");
    // Beside one that is known.
    let mut state = runbook();
    state.web.packages.release("1.35.4".parse().unwrap(), now);
    state.hosts.change("k8s-node2", |machine| machine.beside = Some("https://apt.test/k8s".to_owned()));
    closes(state, to, "https://apt.test/k8s");
}

/// Its key is fetched from nowhere else: the node would get its packages from there.
#[test]
pub fn a_key_of_another_repository_than_the_settings() {
    let mut state = runbook();
    let (now, mirror) = (state.now(), "https://mirror.test/core:/stable:/v1.34/deb");
    state.hosts.change("k8s-node2", |machine| {
        (machine.source_url, machine.keyring_ends) = (Some(mirror.to_owned()), Some(now));
    });
    live(state, None, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("packages-url: https://mirror.test in the settings")).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state), "{}", tail(state, 20));
            let url = state.hosts.machine("k8s-node2").unwrap().source_url.as_deref();
            assert_eq!(url, Some(mirror), "its packages come from elsewhere now");
        });
    });
}

#[test]
pub fn a_stray_manifest() {
    let mut state = runbook();
    let stray = "/etc/kubernetes/manifests/kube-apiserver.yaml.bak".to_owned();
    state.hosts.change("k8s-master", |machine| machine.stray_manifests.push(stray));
    closes(state, PREFLIGHT, "kube-apiserver.yaml.bak");
}

/// Side-loaded, and gone: a kubelet that wanted room, or a node that was made anew. Where no Job of ours ever runs it is not missed.
#[test]
pub fn our_own_image_that_nobody_can_pull() {
    let image = "docker.io/library/k8s-upgrade:sim";
    let without = |node: &str| {
        let mut state = runbook();
        state.hosts.change(node, |machine| machine.images.remove(image));
        state
    };
    for node in ["k8s-node1", "k8s-master"] {
        closes(without(node), PREFLIGHT, &format!("{node}: the runtime does not have {image}"));
        closes(without(node), PREFLIGHT, "sudo ctr -n k8s.io images import - < k8s-upgrade.tar");
    }
    live(without("k8s-node3"), None, async |driver| {
        let (code, said) = types(driver, "look", PREFLIGHT).await;
        assert_eq!(code, 0, "{said}");
    });
    // The run itself is refused, and nothing of it begins.
    observed(without("k8s-node1"), async |driver| {
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        driver.twin.look(|state| {
            assert!(slack(state).contains(image) && !in_flight(state) && ours(state).is_empty(), "{}", slack(state));
        });
    });
}

#[test]
pub fn what_was_tuned_by_hand() {
    let mut state = runbook();
    let tuned = format!("{}maxPods: 250\n", state.hosts.machine("k8s-node2").unwrap().kubelet_config);
    state.hosts.change("k8s-node2", |machine| machine.kubelet_config = tuned.into());
    closes(state, PREFLIGHT, "changes by hand: ");
}

#[test]
pub fn an_alert_before_a_run() {
    let mut state = runbook();
    recovery::fires(&mut state, "NodeDiskFull");
    closes(state, PREFLIGHT, "1 alert(s) firing");
}

#[test]
pub fn a_host_key_that_nobody_vouches_for() {
    closes(runbook(), &format!("{PREFLIGHT} --set host-keys=strict"), "host-keys is strict");
}

/// kubeadm is asked last, when all else passes: where it would go elsewhere, nothing has changed.
#[test]
pub fn a_plan_that_disagrees_changes_nothing() {
    let mut state = runbook();
    state.hosts.change("k8s-master", |machine| machine.faults.kubeadm_plans = Some("1.34.6".to_owned()));
    let machines =
        |state: &State| state.hosts.all().map(|(_, machine)| (machine.files.len(), machine.archives.len())).collect::<Vec<_>>();
    let before = machines(&state);
    observed(state, async |driver| {
        let (code, said) = types(driver, "plan", "preflight --target 1.34.7").await;
        assert!(code == 4 && said.contains("kubeadm would go to v1.34.6, not to 1.34.7"), "{code}: {said}");
        driver.twin.look(|state| {
            let written = state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("pre-upgrade-etcd")).count();
            assert!(!in_flight(state) && written == 0 && machines(state) == before, "{}", tail(state, 40));
        });
        // Nor does the chain's own.
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        driver.twin.look(|state| assert!(!in_flight(state) && machines(state) == before, "{}", tail(state, 40)));
    });
}

#[test]
pub fn a_dry_run_changes_nothing() {
    live(runbook(), None, async |driver| {
        let before = driver.twin.look(|state| state.tally.changes);
        let (code, said) = types(driver, "dry", PREFLIGHT).await;
        assert_eq!(code, 0, "{said}");
        driver.twin.look(|state| assert_eq!(state.tally.changes, before, "{}", tail(state, 20)));
    });
}

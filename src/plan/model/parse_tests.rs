//! Output as the tools print it, and what it must not be taken for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::failure::Class;

const TARGET: Version = Version::new(1, 36, 3);

/// The shape of kubeadm 1.30 and later, for 1.35.4 → 1.36.3.
fn plan_json(apiserver: &str, etcd: &str, manual: bool) -> String {
    let component = |name: &str, current: &str, new: &str, node: &str| {
        let node = if node.is_empty() { String::new() } else { format!(r#", "nodeName": "{node}""#) };
        format!(r#"{{ "name": "{name}", "currentVersion": "{current}", "newVersion": "{new}"{node} }}"#)
    };
    let components = [
        component("kubelet", "v1.35.4", "v1.36.3", "k8s-node1"),
        component("kubelet", "v1.35.4", "v1.36.3", "k8s-master"),
        component("kube-apiserver", "v1.35.4", apiserver, "k8s-master"),
        component("kube-controller-manager", "v1.35.4", apiserver, "k8s-master"),
        component("kube-scheduler", "v1.35.4", apiserver, "k8s-master"),
        component("kube-proxy", "1.35.4", "v1.36.3", ""),
        component("CoreDNS", "v1.13.1", "v1.14.6", ""),
        component("kubeadm", "v1.35.4", "v1.36.3", ""),
        component("etcd", etcd, "3.6.8-0", "k8s-master"),
    ];
    format!(
        r#"{{ "kind": "UpgradePlan", "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
  "availableUpgrades": [{{ "description": "version in the v1.35 series", "components": [{}] }}],
  "configVersions": [
    {{ "group": "kubeproxy.config.k8s.io", "currentVersion": "v1alpha1", "preferredVersion": "v1alpha1", "manualUpgradeRequired": {manual} }},
    {{ "group": "kubelet.config.k8s.io", "currentVersion": "v1beta1", "preferredVersion": "v1beta1", "manualUpgradeRequired": false }} ] }}
"#,
        components.join(", ")
    )
}

fn agrees(json: &str) -> Verdict {
    plan_agrees(&upgrade_plan(json, "").unwrap(), TARGET)
}

#[test]
fn kubeadm_agrees_or_says_why_not() {
    assert_eq!(agrees(&plan_json("v1.36.3", "3.6.6-0", false)), Verdict::Pass);
    assert_eq!(agrees(&plan_json("v1.36.3", "3.5.26-0", false)), Verdict::Pass);
    let refused = |json: &str, says: &str| match agrees(json) {
        Verdict::Refuse(reasons) => assert!(reasons[0].contains(says), "{reasons:?}"),
        other => panic!("{other:?}"),
    };
    refused(&plan_json("v1.35.9", "3.6.6-0", false), "would go to v1.35.9, not to 1.36.3");
    refused(&plan_json("v1.36.3", "3.5.9-0", false), "k8s-master: etcd 3.5.9 would go to 3.6.8, but must be at 3.5.26");
    refused(&plan_json("v1.36.3", "3.6.6-0", true), "configuration of kubeproxy.config.k8s.io");
    refused(r#"{ "kind": "UpgradePlan", "availableUpgrades": [] }"#, "names no kube-apiserver");
}

#[test]
fn an_empty_plan_is_no_failure_and_nonsense_is() {
    assert_eq!(upgrade_plan("\n", ""), Ok(UpgradePlan::Empty));
    let warning = "W1122 12:00:00.000000   12 compute.go:91] Different API server versions in the cluster were discovered: v1.35.4 on nodes \
                   [k8s-master2], v1.36.3 on nodes [k8s-master1]. Please upgrade your control plane nodes to the same version of Kubernetes";
    assert_eq!(upgrade_plan("", warning), Ok(UpgradePlan::MixedApiServers));
    for plan in [UpgradePlan::Empty, UpgradePlan::MixedApiServers] {
        assert_eq!(plan_agrees(&plan, TARGET), Verdict::Pass);
    }
    let whole = plan_json("v1.36.3", "3.6.6-0", false);
    let before = format!("[upgrade/config] Reading configuration from the cluster...\n{whole}");
    assert_eq!(upgrade_plan(&before, ""), upgrade_plan(&whole, ""));
    for nonsense in ["[upgrade] all fine", &whole[..whole.len() / 2], r#"{ "kind": "CertificateExpirationInfo" }"#, "{}"] {
        assert_eq!(upgrade_plan(nonsense, "").unwrap_err().class, Class::Step, "{nonsense}");
    }
}

#[test]
fn an_image_repository_of_the_cluster_s_own_is_seen() {
    let of = |text: &str| images(text).map(|found| found.repository).map_err(|cause| cause.class);
    let usual = "apiVersion: kubeadm.k8s.io/v1beta4\nimageRepository: registry.k8s.io\nkind: ClusterConfiguration\nnetworking:\n  dnsDomain: x\n";
    assert_eq!(of(usual), Ok(None));
    assert_eq!(of("kind: ClusterConfiguration\n"), Ok(None));
    assert_eq!(of("imageRepository: mirror.example.org/k8s\n"), Ok(Some("mirror.example.org/k8s".into())));
    assert_eq!(of("imageRepository: [a]\n"), Err(Class::Refused));
    let own = "dns: { imageRepository: mirror/dns, imageTag: v1.9.3 }\netcd: { local: { imageTag: 3.6.8-0 } }\nproxy: { disabled: true }\n";
    let found = images(own).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!((found.coredns, found.etcd), ((text("mirror/dns"), text("v1.9.3")), (None, text("3.6.8-0"))));
    assert_eq!((found.repository, found.without), (None, vec!["kube-proxy"]));
    let without = images("dns: { disabled: true }\netcd: { external: { endpoints: [a] } }\nproxy: {}\n").unwrap().without;
    assert_eq!(without, ["coredns", "etcd"]);
    assert_eq!(images("dns: {}\netcd:\n  local:\n    dataDir: /var/lib/etcd\nproxy:\n").unwrap(), ConfiguredImages::default());
}

#[test]
fn the_backup_counts_when_it_says_so_and_has_a_size() {
    let log = "Backup done: /backup/old.db (9999 bytes)\nsnapshot saved\nBackup done: /backup/etcd-20261122 1200.db (4575264 bytes)\nbye\n";
    assert_eq!(backup_done(log), Ok(Snapshot { path: "/backup/etcd-20261122 1200.db".into(), bytes: 4_575_264 }));
    assert_eq!(backup_done("Backup done: /backup/e.db (1024 bytes)").map(|s| s.bytes), Ok(1024));
    for (log, says) in [
        ("Backup done: /backup/e.db (1023 bytes)", "only 1023 bytes"),
        ("Backup done: /backup/e.db (12 bytes)", "only 12 bytes"),
        ("Backup done: /backup/e.db (many bytes)", "no line"),
        ("Backup done:  (4575264 bytes)", "no line"),
        ("Backup done", "no line"),
        ("", "no line"),
    ] {
        let cause = backup_done(log).unwrap_err();
        assert!(cause.class == Class::Refused && cause.what.contains(says), "{log}: {}", cause.what);
    }
}

#[test]
fn versions_are_read_out_of_image_tags_and_runtimes() {
    for (image, version) in [
        ("registry.k8s.io/kube-apiserver:v1.36.3", Some(TARGET)),
        ("registry.local:5000/k8s/kube-apiserver:v1.36.3@sha256:00ff", Some(TARGET)),
        ("kube-apiserver:v1.36.3", Some(TARGET)),
        ("registry.local:5000/kube-apiserver", None),
        ("registry.k8s.io/kube-apiserver@sha256:00ff", None),
        ("registry.k8s.io/kube-apiserver:v1.36.3-rc.1", None),
        ("registry.k8s.io/kube-apiserver:latest", None),
        ("", None),
    ] {
        assert_eq!(image_version(image), version, "{image}");
    }
    assert_eq!(containerd("containerd://1.6.20~ds1"), Some(Version::new(1, 6, 20)));
    assert_eq!(containerd("cri-o://1.30.0"), None);
    let of = Some(Version::new(2, 1, 4));
    for (revision, release) in [
        ("2.1.4-1~debian.12~bookworm", of),
        ("5:2.1.4-1~ubuntu.22.04~jammy", of),
        ("2.1.4~ds1-6+deb13u1", of),
        ("2.1.4-0ubuntu1~24.04.1", of),
        ("2.1.4", of),
        ("2.1.4~rc.1-1", None),
        ("2.1.4-beta.0", None),
        ("2.1", None),
        ("", None),
    ] {
        assert_eq!(upstream(revision), release, "{revision}");
    }
}

#[test]
fn a_jobs_condition_tells_the_exit_code_when_its_pod_is_gone() {
    let message = "Container k8s-upgrade for pod k8s-upgrade/k8s-upgrade-master-1-36-3-x7k2p failed with exit code 4 matching FailJob rule at index 1";
    assert_eq!(exit_code(message), Some(4));
    for message in ["", "Job has reached the specified backoff limit", "it failed with exit code x"] {
        assert_eq!(exit_code(message), None, "{message:?}");
    }
}

#[test]
fn what_kubeadms_preflight_objects_to_is_a_refusal_with_its_name() {
    let check = |name: &str| name.parse().unwrap();
    let notes = ["\t[ERROR CreateJob]: Job \"upgrade-health-check\" did not complete in 15s".to_owned()];
    assert_eq!(no_objections(&[], &notes), Ok(()));
    let cause = no_objections(&[check("CreateJob"), check("Swap")], &notes).unwrap_err();
    assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, "kubeadm's own preflight objects: CreateJob,Swap"));
    assert_eq!(cause.detail, ["[ERROR CreateJob]: Job \"upgrade-health-check\" did not complete in 15s"]);
    let next = cause.next[0].to_string();
    assert!(next.starts_with("k8s-upgrade --set kubeadm-flags=--ignore-preflight-errors=CreateJob,Swap preflight"), "{cause:?}");
}

#![allow(clippy::unwrap_used)]
use super::*;
use crate::failure::Class;

const OLD: Version = Version::new(1, 34, 7);
const NEW: Version = Version::new(1, 36, 3);
const PLAIN: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

fn with(line: &str) -> String {
    format!("{PLAIN}{line}\n")
}

fn on_v1<'a>(file: &'a str, configuration: &'a str) -> Found<'a> {
    Found { cgroup_v1: true, file, configuration, ..Found::default() }
}

#[track_caller]
fn refused(found: &Found<'_>, target: Version, says: &str) -> Cause {
    let cause = judge("k8s-node1", found, target).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains(says) && !cause.next.is_empty(), "{cause:?}");
    cause
}

#[test]
fn cgroup_v1_is_refused_from_the_release_on_that_does_not_start_there() {
    let (yes, no) = (with("failCgroupV1: false"), with("failCgroupV1: true"));
    refused(&on_v1(PLAIN, PLAIN), NEW, "/var/lib/kubelet/config.yaml does not say so");
    refused(&on_v1(&no, &no), Version::new(1, 35, 0), "/var/lib/kubelet/config.yaml:3 says otherwise");
    let advice = refused(&on_v1(&no, PLAIN), NEW, "cgroup v1").next[0].to_string();
    assert!(
        advice.starts_with("kubectl -n kube-system edit configmap kubelet-config ") && advice.contains("failCgroupV1: false")
    );
    // kubeadm would write it anew, unless it is told to patch it.
    refused(&on_v1(&yes, PLAIN), NEW, "/var/lib/kubelet/config.yaml:3 does, but kubeadm writes that file anew");
    let fine = [
        (on_v1(PLAIN, PLAIN), OLD),
        (on_v1(PLAIN, &yes), NEW),
        (Found { patched: true, ..on_v1(&yes, PLAIN) }, NEW),
        (Found { allows_cgroup_v1: true, ..on_v1(PLAIN, PLAIN) }, NEW),
        (Found { cgroup_v1: false, ..on_v1(PLAIN, PLAIN) }, NEW),
    ];
    for (found, target) in fine {
        assert_eq!(judge("k8s-node1", &found, target), Ok(()), "{found:?}");
    }
}

fn flag(flag: &str, files: &[(&str, u32)]) -> Found<'static> {
    let set_at = files.iter().map(|(file, line)| (file.parse().unwrap(), *line)).collect();
    let refused = Refused { flag: flag.parse().unwrap(), says: format!("unknown flag: {flag}"), set_at };
    Found { refused: vec![refused], ..Found::default() }
}

#[test]
fn a_flag_is_named_with_file_and_line_unless_kubeadm_takes_it_out_itself() {
    const PAUSE: &str = "--pod-infra-container-image";
    let (own, theirs) = ((KUBEADM_FLAGS, 1), ("/etc/default/kubelet", 3));
    let cause = refused(&flag(PAUSE, &[own, theirs]), NEW, "(/var/lib/kubelet/kubeadm-flags.env:1, /etc/default/kubelet:3)");
    assert_eq!(cause.detail, ["unknown flag: --pod-infra-container-image"]);
    refused(&flag(PAUSE, &[theirs]), Version::new(1, 35, 4), "/etc/default/kubelet:3");
    refused(&flag(PAUSE, &[own]), NEW, "kubelet 1.36.3 does not start with --pod-infra-container-image");
    refused(&flag(PAUSE, &[]), Version::new(1, 35, 4), "set in no file that is known");
    refused(&flag("--other", &[own]), Version::new(1, 35, 4), "--other");
    assert_eq!(judge("k8s-node1", &flag(PAUSE, &[own]), Version::new(1, 35, 4)), Ok(()));
}

#[test]
fn containerd_has_a_floor() {
    let of = |version| Found { containerd: Some(version), ..Found::default() };
    refused(&of(Version::new(1, 5, 9)), NEW, "containerd 1.5.9 is too old for kubelet 1.36.3, which wants 1.6.0 or newer");
    refused(&of(Version::new(1, 7, 28)), Version::new(1, 38, 0), "wants 2.0.0 or newer");
    for (own, target) in [((1, 6, 20), NEW), ((1, 7, 28), Version::new(1, 37, 4)), ((2, 0, 0), Version::new(1, 38, 1))] {
        assert_eq!(judge("k8s-node1", &of(Version::new(own.0, own.1, own.2)), target), Ok(()));
    }
    assert_eq!(judge("k8s-node1", &Found::default(), NEW), Ok(()), "another runtime");
}

#[test]
fn a_feature_gate_that_is_gone_is_found_in_file_and_cluster() {
    let set = with("featureGates:\n  MemoryManager: true\n  Other: true");
    refused(&Found { file: &set, ..Found::default() }, NEW, "MemoryManager, which is gone (/var/lib/kubelet/config.yaml:4)");
    refused(&Found { configuration: &set, ..Found::default() }, NEW, "(ConfigMap kube-system/kubelet-config)");
    assert_eq!(
        judge("k8s-node1", &Found { file: &set, configuration: &set, ..Found::default() }, Version::new(1, 35, 4)),
        Ok(())
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = Found {
        cgroup_v1: true,
        containerd: Some(Version::new(1, 5, 0)),
        objections: vec!["CreateJob".parse().unwrap()],
        ..flag("--gone", &[("/etc/default/kubelet", 1)])
    };
    let cause = refused(&found, NEW, "4 things there keep it from 1.36.3");
    for says in ["--gone", "cgroup v1", "containerd 1.5.0", "CreateJob"] {
        assert!(cause.detail.iter().any(|line| line.contains(says)), "{says}: {cause:?}");
    }
    assert_eq!(cause.next.len(), 4);
}

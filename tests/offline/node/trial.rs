//! The target's own kubelet and kubeadm, asked whether they accept a node: what each refusal names, and that nothing stays.

use std::fs;

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{Available, Cgroup, RefusedFlag, Trial, Tried};

use super::bench::{Node, release, word};

const FOLDER: &str = "var/lib/k8s-upgrade/trial";
const LEFTOVERS: &str = "etc/kubernetes/tmp";
const FLAGS_ENV: &str = "var/lib/kubelet/kubeadm-flags.env";
const DEFAULTS: &str = "etc/default/kubelet";
const DROP_IN: &str = "etc/systemd/system/kubelet.service.d/20-own.conf";
const OF_PACKAGE: &str = "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";

fn trial(first_control_plane: bool) -> Trial {
    let flags = vec![word("--ignore-preflight-errors=Swap")];
    Trial { packages: word("https://repo.test"), target: release("1.36.3"), keys: Vec::new(), first_control_plane, flags }
}

/// A node whose repository is that of 1.35, with cgroup v2 and a kubelet that runs with kubeadm's flags.
fn node() -> Node {
    let node = Node::new();
    node.source("v1.35");
    node.forget("lists/v1.36");
    node.root("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    node.root(FLAGS_ENV, "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1 --pod-infra-container-image=registry.k8s.io/pause:3.10\"\n");
    runs(
        &node,
        "/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --node-ip=10.0.0.1 --pod-infra-container-image=registry.k8s.io/pause:3.10",
    );
    node
}

/// The command line of its kubelet.
fn runs(node: &Node, line: &str) {
    node.state("kubelet-pid", "4711\n");
    node.root("proc/4711/cmdline", &(line.replace(' ', "\0") + "\0"));
}

/// Whatever came of it, nothing of it is left, and nothing of the node has changed.
#[track_caller]
fn run(node: &Node, op: &Trial) -> Result<Tried, Cause> {
    let lists = node.run(&Available { package: "kubeadm" }).unwrap();
    let before = (node.facts(), files(node));
    let tried = node.run(op);
    assert_eq!((node.facts(), files(node)), before);
    assert_eq!(node.run(&Available { package: "kubeadm" }).unwrap(), lists, "its lists are its own");
    assert!(!node.root_path(FOLDER).exists(), "the folder stays");
    assert_eq!(node.read_state("started"), "", "a kubelet was started");
    tried
}

/// All files of the node, without what is ours.
fn files(node: &Node) -> Vec<String> {
    let (mut folders, mut all) = (vec![node.root_path("")], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.display().to_string();
            if path.is_dir() { folders.push(path) } else { all.push(name) }
        }
    }
    all.sort();
    all
}

fn refused(tried: &Tried) -> Vec<(String, Vec<String>)> {
    let places = |flag: &RefusedFlag| flag.set_at.iter().map(|at| format!("{}:{}", at.file, at.line)).collect();
    tried.refused.iter().map(|flag| (flag.name.to_string(), places(flag))).collect()
}

#[test]
fn a_node_that_is_accepted_stays_as_it_was() {
    for source in ["v1.35", "v1.36"] {
        for first in [false, true] {
            let node = node();
            node.source(source);
            let tried = run(&node, &trial(first)).unwrap();
            assert_eq!(tried, Tried { cgroup: Some(Cgroup::V2), ..Tried::default() }, "{source}");
            let calls = node.calls();
            let dry_runs: Vec<_> = calls.iter().filter(|call| call.starts_with("kubeadm upgrade")).collect();
            let verb = if first { "apply v1.36.3 --dry-run --yes" } else { "node --dry-run" };
            assert_eq!(dry_runs, [&format!("kubeadm upgrade {verb} --ignore-preflight-errors=Swap")]);
            // With all flags at once, as the kubelet runs.
            let asked = calls.iter().rev().find(|call| call.starts_with("kubelet ") && call.ends_with(" --version")).unwrap();
            assert!(asked.contains("--config=/var/lib/kubelet/config.yaml") && asked.contains("--node-ip=10.0.0.1"), "{asked}");
        }
    }
}

#[test]
fn what_apt_writes_lies_in_the_folder() {
    let node = node();
    run(&node, &trial(false)).unwrap();
    let folder = node.root_path(FOLDER).display().to_string();
    for call in node.calls().iter().filter(|call| call.contains(" update ") || call.contains(" download ")) {
        for option in ["APT::Sandbox::User=root", "Dir::Etc::sourceparts=-"] {
            assert!(call.contains(option), "{call}");
        }
        for option in ["Dir::State=", "Dir::State::lists=", "Dir::Cache=", "Dir::Cache::archives=", "Dir::Etc::sourcelist="] {
            assert!(call.contains(&format!("{option}{folder}/")), "{option}: {call}");
        }
    }
}

#[test]
fn a_removed_flag_is_named_with_each_file_and_line_that_sets_it() {
    let node = node();
    node.state("flags-gone", "--pod-infra-container-image\n--gone\n");
    node.root(
        DEFAULTS,
        "# --gone was here\nOTHER=1\nKUBELET_EXTRA_ARGS=\"--gone=1 --gone-not=2 --pod-infra-container-image=other\"\n",
    );
    node.root(DROP_IN, "[Service]\nEnvironmentFile=-/etc/own env\nEnvironment=\"A=--pod-infra-container-image=b\"\n");
    node.root("etc/own env", "B=--gone\n");
    node.root(OF_PACKAGE, "[Service]\nExecStart=\n");
    let tried = run(&node, &trial(false)).unwrap();
    let places = |places: &[&str]| places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        refused(&tried),
        [
            (
                "--pod-infra-container-image".to_owned(),
                places(&[
                    "/etc/default/kubelet:3",
                    "/etc/systemd/system/kubelet.service.d/20-own.conf:3",
                    "/var/lib/kubelet/kubeadm-flags.env:1"
                ])
            ),
            ("--gone".to_owned(), places(&["/etc/default/kubelet:3", "/etc/own env:1"])),
        ]
    );
    assert_eq!(tried.refused[1].says, "Error: failed to parse kubelet flag: unknown flag: --gone");
}

#[test]
fn a_kubelet_that_does_not_run_is_asked_by_its_files() {
    let node = node();
    node.state("kubelet-pid", "0\n");
    node.state("flags-gone", "--pod-infra-container-image\n");
    assert_eq!(refused(&run(&node, &trial(false)).unwrap()).len(), 1);
    // A value of its own word, and a flag that only the running one has.
    runs(&node, "/usr/bin/kubelet --node-ip 10.0.0.1 --elsewhere x");
    node.state("flags-gone", "--elsewhere\n");
    assert_eq!(refused(&run(&node, &trial(false)).unwrap()), [("--elsewhere".to_owned(), vec![])]);
}

#[test]
fn the_control_groups_of_the_node_are_told() {
    let node = node();
    fs::remove_file(node.root_path("sys/fs/cgroup/cgroup.controllers")).unwrap();
    let tried = run(&node, &trial(false)).unwrap();
    assert_eq!((tried.cgroup, tried.allows_cgroup_v1), (Some(Cgroup::V1), false));
    node.root(DEFAULTS, "KUBELET_EXTRA_ARGS=--fail-cgroupv1=false\n");
    assert!(run(&node, &trial(false)).unwrap().allows_cgroup_v1);
    node.root(DEFAULTS, "KUBELET_EXTRA_ARGS=--config-dir=/etc/kubelet.d\n");
    assert!(!run(&node, &trial(false)).unwrap().allows_cgroup_v1);
    node.root("etc/kubelet.d/10.conf", "kind: KubeletConfiguration\nfailCgroupV1: false\n");
    assert!(run(&node, &trial(false)).unwrap().allows_cgroup_v1);
}

#[test]
fn what_kubeadm_objects_to_is_an_answer_and_another_failure_refuses() {
    for first in [false, true] {
        let node = node();
        node.state("dry-run-fails", "[preflight] Some fatal errors occurred:\n\t[ERROR SystemVerification]: cgroups\n");
        let tried = run(&node, &trial(first)).unwrap();
        assert_eq!(tried.objections, ["SystemVerification"]);
        assert!(tried.notes.iter().any(|line| line.contains("cgroups")), "{tried:?}");
        node.state("dry-run-fails", "error: it would not end well\n");
        let cause = run(&node, &trial(first)).unwrap_err();
        assert_eq!(
            (cause.class, cause.what.as_str()),
            (Class::Refused, "kubeadm 1.36.3 would fail here: its dry run ended with exit 1")
        );
        assert!(cause.detail.iter().any(|line| line.contains("it would not end well")), "{cause:?}");
        node.state("dry-run-fails", "dial tcp 10.0.0.1:6443: connect: connection refused\n");
        assert_eq!(run(&node, &trial(first)).unwrap_err().class, Class::Unreachable);
    }
}

/// What a dry run leaves beside our folder goes, and what lay there before stays.
#[test]
fn what_a_dry_run_leaves_goes_again() {
    let node = node();
    node.state("dry-run-stays", "");
    let own = format!("{LEFTOVERS}/kubeadm-upgrade-apply-dryrun1/kept");
    node.root(&own, "somebody's\n");
    run(&node, &trial(true)).unwrap();
    let left: Vec<_> = fs::read_dir(node.root_path(LEFTOVERS)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["kubeadm-upgrade-apply-dryrun1"]);
    assert_eq!(node.read_root(&own), "somebody's\n");
}

#[test]
fn what_cannot_be_tried_has_its_class() {
    type Break = fn(&Node);
    let cases: [(Break, Class, &str); 9] = [
        (|node| node.state("upstream/v1.36", "kubeadm 1.36.1-1.1\n"), Class::Hold, "v1.36/deb does not offer kubeadm 1.36.3 yet"),
        (|node| node.state("upstream/v1.36", "kubeadm 1.36.3-1.1\n"), Class::Hold, "v1.36/deb does not offer kubelet 1.36.3 yet"),
        (|node| node.state("offline", ""), Class::Unreachable, "cannot be reached"),
        (|node| node.state("out-of-service", "503"), Class::Unreachable, "is out of service"),
        (|node| node.forget("keys/v1.36"), Class::Refused, "the repository has no v1.36"),
        (
            |node| node.state("keys/v1.36", "-----BEGIN PGP\nof 0000000000000000000000000000000000000000\n"),
            Class::Refused,
            "key has changed",
        ),
        (|node| node.state("keys/v1.36", "-----BEGIN PGP\nkey of another\n"), Class::Refused, "signature does not fit the key"),
        (
            |node| node.state("strangers", "   kubeadm | 1.35.4-1.1 | https://nexus.test/k8s ./ Packages\n"),
            Class::Refused,
            "https://nexus.test/k8s",
        ),
        (|node| node.state("df", "Avail\n  12M\n"), Class::Refused, "the disk is full"),
    ];
    for (spoil, class, words) in cases {
        let node = node();
        spoil(&node);
        let cause = run(&node, &trial(true)).unwrap_err();
        assert!(cause.class == class && cause.what.contains(words), "{cause:?}");
    }
}

/// The proxy of apt is for the key alone: kubeadm asks the API server.
#[test]
fn kubeadm_goes_without_the_proxy_of_apt() {
    let node = node();
    node.state("apt-config", "Acquire::https::Proxy http://proxy:3128/\n");
    run(&node, &trial(true)).unwrap();
    assert_eq!(node.read_state("proxies").lines().last(), Some("https_proxy=http://proxy:3128/ no_proxy="));
    assert_eq!(node.read_state("kubeadm-proxy"), "\n");
}

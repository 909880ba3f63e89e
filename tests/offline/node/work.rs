//! The one unit: begun, attached to, followed, found again after a reboot; and how the steps fail.

use std::time::Duration;

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{Begin, Begun, Follow, Followed, Step, WorkState};

use super::bench::{self, Node, RUN, release, word};

fn begin(step: Step) -> Begin {
    Begin { step, target: release("1.36.3").into(), run: word(RUN) }
}

fn follow(node: &Node, from: u64) -> Followed {
    node.run(&Follow { from, wait: Duration::ZERO }).unwrap()
}

/// Runs a step to its end and says how it ended.
fn perform(node: &Node, step: Step) -> Result<(), Cause> {
    assert_eq!(node.run(&begin(step)).unwrap(), Begun::Started);
    node.run_unit();
    follow(node, 0).end().expect("it has ended")
}

fn fails(node: &Node, step: Step) -> (Class, String) {
    let cause = perform(node, step).unwrap_err();
    (cause.class, cause.what)
}

#[test]
fn a_running_step_is_attached_to_and_another_contends() {
    let node = Node::new();
    assert_eq!(node.run(&begin(Step::KubeadmPackage)).unwrap(), Begun::Started);
    assert_eq!(node.run(&begin(Step::KubeadmPackage)).unwrap(), Begun::Attached);
    let cause = node.run(&begin(Step::KubeletPackages)).unwrap_err();
    assert_eq!(
        (cause.class, cause.what.as_str()),
        (Class::Contended, "kubeadm-package (1.36.3, run 5f3a21bc) is still running on this node")
    );
    assert_eq!(follow(&node, 0).end(), None);
}

#[test]
fn the_unit_is_started_so_that_its_end_is_kept() {
    let node = Node::new();
    node.run(&begin(Step::KubeadmPackage)).unwrap();
    let call = node.calls().into_iter().find(|call| call.starts_with("systemd-run")).unwrap();
    for flag in ["--unit=k8s-upgrade-work.service", "--remain-after-exit", "StandardOutput=append:", "StandardError=append:"] {
        assert!(call.contains(flag), "{call}");
    }
    assert!(!call.contains("--wait") && !call.contains("--collect"), "{call}");
    let folder = std::fs::metadata(node.root_path("var/lib/k8s-upgrade/work")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o777, 0o700);
}

#[test]
fn the_log_is_followed_by_whole_lines_from_where_it_was_left() {
    let node = Node::new();
    node.run(&begin(Step::KubeadmPackage)).unwrap();
    let log = "var/lib/k8s-upgrade/work/log";
    node.root(log, "first\nsécond\nhalf a li");
    let answer = node.answer(&k8s_upgrade::node::stdin(&Follow { from: 0, wait: Duration::ZERO }));
    assert!(answer.stdout.contains("| first\n| sécond\noffset 14\n"), "{}", answer.stdout);
    node.root(log, "first\nsécond\nhalf a line\rand\n");
    let answer = node.answer(&k8s_upgrade::node::stdin(&Follow { from: 14, wait: Duration::ZERO }));
    assert!(answer.stdout.contains("| half a line\n| and\noffset 30\n"), "{}", answer.stdout);
}

/// As kubeadm prints what it finds of the kernel.
#[test]
fn what_a_terminal_would_obey_is_not_in_the_log_that_is_told() {
    let node = Node::new();
    node.run(&begin(Step::KubeadmPackage)).unwrap();
    node.root("var/lib/k8s-upgrade/work/log", "\x1b[0;37mOS\x1b[0m: \x1b[0;32mLinux\x1b[0m\n\t[WARNING é]\x07\x1b]0;title\n");
    let answer = node.answer(&k8s_upgrade::node::stdin(&Follow { from: 0, wait: Duration::ZERO }));
    assert!(answer.stdout.contains("| OS: Linux\n|     [WARNING é]??]0;title\noffset 56\n"), "{:?}", answer.stdout);
}

#[test]
fn after_a_reboot_the_status_file_tells() {
    let node = Node::new();
    node.run(&begin(Step::KubeadmPackage)).unwrap();
    node.forget("unit");
    assert_eq!(follow(&node, 0).work.state, WorkState::Interrupted(word("stopped")));
    node.reboot();
    let cut = follow(&node, 0);
    assert_eq!(cut.work.state, WorkState::Interrupted(word("reboot")));
    assert_eq!(cut.end().unwrap().unwrap_err().what, "kubeadm-package was cut by a reboot of the node");
    assert_eq!(perform(&node, Step::KubeadmPackage), Ok(()));
    node.reboot();
    assert_eq!(follow(&node, 0).work.state, WorkState::Done);
}

#[test]
fn a_whole_node_is_upgraded_and_its_holds_are_back() {
    let node = Node::new();
    let flags = vec![word("--ignore-preflight-errors=SystemVerification")];
    perform(&node, Step::KubeadmPackage).unwrap();
    perform(&node, Step::KubeadmUpgrade { first_control_plane: true, flags: flags.clone() }).unwrap();
    assert_eq!(
        node.read_state("control-plane"),
        "1.36.3 upgrade apply v1.36.3 -y --ignore-preflight-errors=SystemVerification\n"
    );
    perform(&node, Step::KubeadmUpgrade { first_control_plane: false, flags }).unwrap();
    assert_eq!(node.read_state("control-plane"), "1.36.3 upgrade node --ignore-preflight-errors=SystemVerification\n");
    perform(&node, Step::KubeletPackages).unwrap();
    for package in ["kubeadm", "kubelet", "kubectl"] {
        assert_eq!(node.read_state(&format!("pkg/{package}")), "hi 1.36.3-1.1\n");
    }
    assert_eq!(node.read_state("running/kubelet"), "1.36.3-1.1\n");
}

#[test]
fn kubectl_is_left_out_where_it_is_not_installed() {
    let node = Node::new();
    node.forget("pkg/kubectl");
    perform(&node, Step::KubeadmPackage).unwrap();
    perform(&node, Step::KubeletPackages).unwrap();
    assert_eq!(node.read_state("pkg/kubectl"), "");
    assert_eq!(node.read_state("pkg/kubelet"), "hi 1.36.3-1.1\n");
}

#[test]
fn containerd_keeps_its_hold_only_if_it_had_one() {
    for (before, after) in [("ii", "ii 1.7.24~ds1-6\n"), ("hi", "hi 1.7.24~ds1-6\n")] {
        let node = Node::new();
        node.state("pkg/containerd", &format!("{before} 1.6.20~ds1-1\n"));
        node.run(&Begin { target: bench::target("1.7.24~ds1-6"), ..begin(Step::ContainerdPackage) }).unwrap();
        node.run_unit();
        assert_eq!(follow(&node, 0).end(), Some(Ok(())));
        assert_eq!(node.read_state("pkg/containerd"), after);
        assert!(
            !node.read_state("conffiles-kept").is_empty() || node.calls().iter().any(|call| call.contains("--force-confold"))
        );
    }
}

#[test]
fn leftovers_of_earlier_runs_go_but_the_newest_and_what_is_not_kubeadms() {
    let node = Node::new();
    perform(&node, Step::KubeadmPackage).unwrap();
    let others = ["mine", "kubeadm-backup-etcd-2024-01-01.mine", "kubeadm-backup-etcd-mine"];
    std::os::unix::fs::symlink("/", node.root_path("etc/kubernetes/tmp/kubeadm-backup-etcd-2023-01-01")).unwrap();
    for (age, name) in ["kubeadm-backup-etcd-2024-01-01", "kubeadm-backup-etcd-2025-01-01"].iter().chain(&others).enumerate() {
        let folder = node.root_path("etc/kubernetes/tmp").join(name);
        std::fs::create_dir(&folder).unwrap();
        let time = std::time::SystemTime::now() - Duration::from_secs(1000 - 100 * age as u64);
        std::fs::File::open(&folder).unwrap().set_modified(time).unwrap();
    }
    let upgrade = || perform(&node, Step::KubeadmUpgrade { first_control_plane: false, flags: Vec::new() }).unwrap();
    upgrade();
    let exists = |name: &str| node.root_path("etc/kubernetes/tmp").join(name).exists();
    assert!(!exists("kubeadm-backup-etcd-2024-01-01") && exists("kubeadm-backup-etcd-2025-01-01"));
    assert!(others.iter().all(|name| exists(name)) && exists("kubeadm-backup-etcd-2023-01-01"), "not kubeadm's, or no folder");
    let log = node.read_root("var/lib/k8s-upgrade/work/log");
    assert!(log.contains("removed 1 leftovers of earlier upgrades from /etc/kubernetes/tmp: "), "{log}");
    // Those that this upgrade makes: the first, which is of before it, and the last two.
    let made = || {
        let all = std::fs::read_dir(node.root_path("etc/kubernetes/tmp")).unwrap().map(|one| one.unwrap().file_name());
        let mut made: Vec<String> = all.map(|name| name.into_string().unwrap()).collect();
        made.retain(|name| name.starts_with("kubeadm-backup-etcd-1"));
        made.sort();
        made
    };
    let first = made();
    upgrade();
    assert!(!exists("kubeadm-backup-etcd-2025-01-01"), "{:?}", made());
    let second = made();
    upgrade();
    upgrade();
    let now = made();
    assert!(now.len() == 3 && now[0] == first[0] && !now.contains(&second[1]), "{now:?} after {second:?}");
}

#[test]
fn each_failure_has_its_class_and_its_words() {
    let node = Node::new();
    node.state("upstream/v1.36", "");
    node.state("lists/v1.36", "");
    let missing = (Class::Refused, "the repository of this node does not offer kubeadm 1.36.3".to_owned());
    assert_eq!(fails(&node, Step::KubeadmPackage), missing);

    let node = Node::new();
    node.state("locked", "");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!((class, what.contains("held the lock")), (Class::Hold, true), "{what}");

    let node = Node::new();
    node.state("disk-full", "");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!((class, what.contains("the disk is full")), (Class::Refused, true), "{what}");

    let node = Node::new();
    node.state("df", "Avail\n  12M\n");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!((class, what.contains("12 MiB free, 300 MiB are needed")), (Class::Refused, true), "{what}");

    let node = Node::new();
    node.state("pkg/kubeadm", "hi 1.36.9-1.1\n");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!((class, what.contains("downgrade")), (Class::Refused, true), "{what}");
    assert_eq!(node.read_state("pkg/kubeadm"), "hi 1.36.9-1.1\n");

    let node = Node::new();
    let (class, what) = fails(&node, Step::KubeletPackages);
    assert_eq!((class, what.contains("the kubelet must not pass it")), (Class::Step, true), "{what}");
    assert_eq!(node.read_state("pkg/kubelet"), "hi 1.35.4-1.1\n");

    let node = Node::new();
    perform(&node, Step::KubeadmPackage).unwrap();
    node.state("dead/kubelet", "");
    let (class, what) = fails(&node, Step::KubeletPackages);
    assert_eq!((class, what.contains("kubelet is not active")), (Class::Step, true), "{what}");
}

#[test]
fn who_holds_dpkgs_lock_is_said_and_waited_for() {
    let node = Node::new();
    let apt = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n";
    let dpkg = "dpkg: error: dpkg frontend lock was locked by another process with pid 815\n";
    let nameless = "E: Could not get lock /var/lib/dpkg/lock-frontend - open (11: Resource temporarily unavailable)\n";
    node.state("locked-for", &[apt, apt, dpkg, nameless].concat());
    node.root("proc/4711/cmdline", "/usr/bin/python3\0/usr/bin/unattended-upgrade\0");
    perform(&node, Step::KubeadmPackage).unwrap();
    assert_eq!(node.read_state("pkg/kubeadm"), "hi 1.36.3-1.1\n");
    let log = node.read_root("var/lib/k8s-upgrade/work/log");
    let said: Vec<(u64, &str)> =
        log.lines().filter_map(k8s_upgrade::node::waits).map(|(left, what)| (left.as_secs(), what)).collect();
    let wanted = [
        (300, "dpkg's lock: process 4711 (/usr/bin/python3 /usr/bin/unattended-upgrade) has it"),
        (296, "dpkg's lock: process 815 has it"),
        (294, "dpkg's lock: another package manager has it"),
    ];
    assert_eq!(said, wanted, "{log}");
}

#[test]
fn a_lock_that_is_never_given_up_holds_and_names_its_holder() {
    let node = Node::new();
    node.state("locked", "");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!(class, Class::Hold);
    assert_eq!(what, "waiting for the package manager: process 4711 (unattended-upgr) has held the lock for 300 s");
    assert_eq!(node.read_state("pkg/kubeadm"), "hi 1.35.4-1.1\n");
}

#[test]
fn what_kubeadm_said_is_in_the_failure_and_the_next_run_goes_on() {
    let node = Node::new();
    perform(&node, Step::KubeadmPackage).unwrap();
    node.state("kubeadm-fails", "error: static Pod hash for component etcd did not change after 5m0s\n");
    let step = Step::KubeadmUpgrade { first_control_plane: true, flags: Vec::new() };
    let cause = perform(&node, step.clone()).unwrap_err();
    assert_eq!((cause.class, cause.what.as_str()), (Class::Step, "kubeadm upgrade apply failed (exit 1)"));
    assert!(cause.detail.iter().any(|line| line.contains("static Pod hash")), "{cause:?}");
    node.forget("kubeadm-fails");
    assert_eq!(perform(&node, step), Ok(()));
}

/// kubeadm names the folder of its copies by the second, and fails where it is there.
#[test]
fn a_run_of_kubeadm_within_the_second_of_another_waits_for_the_next() {
    let node = Node::new();
    perform(&node, Step::KubeadmPackage).unwrap();
    for seconds in 0..4 {
        let time = jiff::Zoned::now() + jiff::Span::new().seconds(seconds);
        let name = time.strftime("kubeadm-kubelet-config-%Y-%m-%d-%H-%M-%S");
        node.root(&format!("etc/kubernetes/tmp/{name}/config.yaml"), "");
    }
    assert_eq!(perform(&node, Step::KubeadmUpgrade { first_control_plane: false, flags: Vec::new() }), Ok(()));
}

#[test]
fn a_foreign_half_installed_kubelet_is_never_taken_past_the_control_plane() {
    let node = Node::new();
    node.state("pkg/kubelet", "iHR 1.35.4-1.1\n");
    let (class, what) = fails(&node, Step::KubeadmPackage);
    assert_eq!((class, what.contains("kubelet is half installed")), (Class::Refused, true), "{what}");
    assert_eq!(node.read_state("pkg/kubelet"), "iHR 1.35.4-1.1\n");
    // A repository that still has its version mends it.
    node.source("v1.35");
    node.run(&Begin { target: release("1.35.4").into(), ..begin(Step::KubeadmPackage) }).unwrap();
    node.run_unit();
    assert_eq!(follow(&node, 0).end(), Some(Ok(())));
    assert_eq!(node.read_state("pkg/kubelet"), "hi 1.35.4-1.1\n");
}

/// At 1.36.3, with the repository of 1.35 back in force.
pub fn upgraded() -> Node {
    let node = Node::new();
    for package in ["kubeadm", "kubelet", "kubectl"] {
        node.state(&format!("pkg/{package}"), "hi 1.36.3-1.1\n");
    }
    node.source("v1.35");
    node.root("var/lib/kubelet/config.yaml", "newer\n");
    node.root("var/lib/k8s-upgrade/former-1.35.4/config.yaml", "as it was\n");
    node
}

pub fn rollback() -> Step {
    Step::Rollback { packages: ["kubeadm", "kubelet", "kubectl"].map(|name| word(&format!("{name}=1.35.4-1.1"))).to_vec() }
}

#[test]
fn a_rollback_takes_packages_and_configuration_back() {
    let node = upgraded();
    node.run(&Begin { step: rollback(), target: release("1.35.4").into(), run: word(RUN) }).unwrap();
    node.run_unit();
    assert_eq!(follow(&node, 0).end(), Some(Ok(())), "{}", node.read_root("var/lib/k8s-upgrade/work/log"));
    for package in ["kubeadm", "kubelet", "kubectl"] {
        assert_eq!(node.read_state(&format!("pkg/{package}")), "hi 1.35.4-1.1\n");
    }
    assert_eq!(
        (node.read_root("var/lib/kubelet/config.yaml"), node.read_state("running/kubelet")),
        ("as it was\n".into(), "1.35.4-1.1\n".into())
    );
}

#[test]
fn without_the_kubelet_s_former_configuration_nothing_goes_back() {
    let node = upgraded();
    std::fs::remove_dir_all(node.root_path("var/lib/k8s-upgrade/former-1.35.4")).unwrap();
    node.run(&Begin { step: rollback(), target: release("1.35.4").into(), run: word(RUN) }).unwrap();
    node.run_unit();
    let cause = follow(&node, 0).end().unwrap().unwrap_err();
    assert!(
        cause.class == Class::Refused && cause.what.starts_with("there is no copy of the kubelet's configuration"),
        "{cause}"
    );
    assert_eq!(node.read_state("pkg/kubelet"), "hi 1.36.3-1.1\n");
}

#[test]
fn the_kubelet_s_configuration_is_kept_before_kubeadm_rewrites_it_and_not_after() {
    let node = Node::new();
    node.state("pkg/kubeadm", "hi 1.36.3-1.1\n");
    node.root("var/lib/kubelet/config.yaml", "as it was\n");
    node.root("var/lib/k8s-upgrade/former-1.34.1/config.yaml", "long ago\n");
    let step = || Step::KubeadmUpgrade { first_control_plane: false, flags: Vec::new() };
    perform(&node, step()).unwrap();
    let copy = "var/lib/k8s-upgrade/former-1.35.4/config.yaml";
    assert_eq!(node.read_root(copy), "as it was\n");
    assert!(!node.root_path("var/lib/k8s-upgrade/former-1.34.1").exists());
    // kubeadm runs again, as after a failure: its own work is no former configuration
    node.root("var/lib/kubelet/config.yaml", "kubeadm's\n");
    node.forget("unit");
    perform(&node, step()).unwrap();
    assert_eq!(node.read_root(copy), "as it was\n");
}

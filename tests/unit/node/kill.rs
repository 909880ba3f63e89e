//! The kill matrix: every step of the work and every operation that changes something is killed (SIGKILL) before and after each
//! command that it runs, and in the three middles of an installation, then started again; the node must end as if nothing had been.

use k8s_upgrade::node::{Begin, Follow, Operation, Prefetch, Repository, Step, WorkState, WriteCard};

use super::bench::Node;

/// Every way to die in a run that made these calls.
fn deaths(calls: &[String]) -> Vec<String> {
    let mut deaths = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let at = at + 1;
        deaths.extend(["before", "after"].map(|when| format!("{at} {when}")));
        if call.starts_with("apt-get ") && call.contains(" install ") && !call.contains("--download-only") {
            deaths.extend(["unpacking", "unpacked", "half-configured"].map(|when| format!("{at} {when}")));
        }
    }
    deaths
}

/// Kills a step everywhere; `prepare` brings a fresh node to where the step begins.
fn kill_step(step: &Step, target: &str, prepare: fn(&Node)) -> usize {
    let begin = Begin { step: step.clone(), target: target.to_owned(), run: "r1".to_owned() };
    let fresh = || {
        let node = Node::new();
        prepare(&node);
        node.run(&begin).unwrap();
        node.state("calls", "");
        node.state("count", "0\n");
        node
    };
    let follow = |node: &Node| node.run(&Follow { from: 0, wait: std::time::Duration::ZERO }).unwrap();

    let unkilled = fresh();
    unkilled.run_unit();
    let end = follow(&unkilled);
    assert_eq!(end.end(), Some(Ok(())), "{}", unkilled.read_root("var/lib/k8s-upgrade/work/log"));
    let calls = unkilled.calls();
    let deaths = deaths(&calls[..calls.len() - 1]); // the last one is follow's question to systemd
    assert!(deaths.len() > 10, "{calls:?}");
    for death in &deaths {
        let node = fresh();
        node.state("kill", &format!("{death}\n"));
        node.run_unit();
        let at = &calls[death.split(' ').next().unwrap().parse::<usize>().unwrap() - 1];
        let killed = follow(&node).work.state;
        // Killed once its end was recorded: then it is done, and says so.
        assert!(killed == WorkState::Killed("signal".to_owned()) || killed == WorkState::Done, "{death} ({at}): {killed:?}");
        node.run(&begin).unwrap();
        node.run_unit();
        let log = node.read_root("var/lib/k8s-upgrade/work/log");
        assert_eq!(follow(&node).end(), Some(Ok(())), "killed at {death} ({at}):\n{log}");
        assert_eq!(node.facts(), unkilled.facts(), "killed at {death} ({at}):\n{log}");
    }
    deaths.len()
}

#[test]
fn kubeadm_package() {
    kill_step(&Step::KubeadmPackage, "1.36.3", |_| {});
}

#[test]
fn kubeadm_upgrade() {
    let step = Step::KubeadmUpgrade {
        first_control_plane: true,
        flags: vec!["--ignore-preflight-errors=SystemVerification".to_owned()],
    };
    kill_step(&step, "1.36.3", |node| node.state("pkg/kubeadm", "hi 1.36.3-1.1\n"));
}

#[test]
fn kubelet_packages() {
    kill_step(&Step::KubeletPackages, "1.36.3", |node| node.state("pkg/kubeadm", "hi 1.36.3-1.1\n"));
}

#[test]
fn containerd_package() {
    kill_step(&Step::ContainerdPackage, "1.7.24~ds1-6", |node| node.state("pkg/containerd", "hi 1.6.20~ds1-1\n"));
}

/// Kills an operation that works within its session everywhere.
fn kill_operation<O: Operation>(op: &O, prepare: fn(&Node)) {
    let fresh = || {
        let node = Node::new();
        prepare(&node);
        node
    };
    let unkilled = fresh();
    if let Err(cause) = unkilled.run(op) {
        panic!("{cause}\n{:?}", cause.detail);
    }
    let calls = unkilled.calls();
    for death in deaths(&calls) {
        let node = fresh();
        node.state("kill", &format!("{death}\n"));
        assert!(node.run(op).is_err(), "{death} was survived");
        if let Err(cause) = node.run(op) {
            panic!("killed at {death}: {cause}\n{:?}", cause.detail);
        }
        assert_eq!(node.facts(), unkilled.facts(), "killed at {death}");
    }
}

#[test]
fn repository() {
    let op = Repository { base_url: "https://repo.test".to_owned(), minor: "1.36".to_owned(), target: "1.36.3".to_owned() };
    kill_operation(&op, |node| {
        node.source("v1.35");
        node.root("etc/apt/sources.list.d/k8s.sources", "Types: deb\nURIs: https://repo.test/core:/stable:/v1.35/deb/\nSuites: /\nSigned-By: /etc/apt/keyrings/kubernetes-apt-keyring.gpg\n");
    });
}

#[test]
fn prefetch() {
    let op = Prefetch { target: "1.36.3".to_owned(), control_plane: false, image_repository: None };
    kill_operation(&op, |node| node.state("registry", "registry.k8s.io/kube-proxy:v1.36.3\n"));
}

#[test]
fn restore_card() {
    kill_operation(&WriteCard { name: "restore.md".to_owned(), content: "how to\n".to_owned() }, |_| {});
}

//! The kill matrix: every step of the work and every operation that changes something is killed (SIGKILL) before and after
//! each command that may change anything, and in the three middles of an installation, then started again; the node must end as if nothing had been.

use std::time::Duration;

use k8s_upgrade::node::{
    AddKey, Available, Begin, Follow, Images, MoveLeader, Operation, Prefetch, RemoveKeys, Repository, Step, Trial, WorkState,
    WriteCard,
};

use super::bench::{self, Node, RUN, release, word};

/// Calls that only ask: dying on either side of one leaves the same node.
fn asks(call: &str) -> bool {
    let questions = [
        "dpkg-query",
        "dpkg --audit",
        "apt-cache",
        "apt-mark showhold",
        "systemctl is-active",
        "systemctl show",
        "df",
        "sleep",
        "getent",
    ];
    questions.iter().any(|question| call.starts_with(question))
        || call.ends_with(" version -o short")
        || call == "kubelet --version"
}

/// Every way to die in a run that made these calls, and the call before which it comes.
fn deaths(calls: &[String]) -> Vec<(String, &str)> {
    let mut deaths = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let install = call.starts_with("apt-get ") && call.contains(" install ") && !call.contains("--download-only");
        let moments: &[&str] = if install { &["before", "unpacking", "unpacked", "half-configured"] } else { &["before"] };
        if at == 0 || !asks(call) || !asks(&calls[at - 1]) {
            deaths.extend(moments.iter().map(|moment| (format!("{} {moment}\n", at + 1), call.as_str())));
        }
    }
    deaths
}

/// How the work ended; it must have.
fn end(node: &Node) -> (WorkState, String) {
    let log = node.read_root("var/lib/k8s-upgrade/work/log");
    (node.run(&Follow { from: 0, wait: Duration::ZERO }).unwrap().work.state, log)
}

/// Kills a step everywhere, on a node where it was just begun. Returns the number of deaths.
fn kill_step(step: Step, target: &str, node: &Node) -> usize {
    let begin = Begin { step, target: bench::target(target), run: word(RUN) };
    node.run(&begin).unwrap();
    node.forget("calls");
    node.forget("count");
    let unkilled = node.twin();
    unkilled.run_unit();
    let calls = unkilled.calls();
    assert_eq!(end(&unkilled).0, WorkState::Done, "{}", end(&unkilled).1);
    let deaths = deaths(&calls);
    for (death, call) in &deaths {
        let node = node.twin();
        node.state("kill", death);
        node.run_unit();
        assert!(node.read_state("unit").contains("Result=signal"), "survived {death}: {call}");
        node.run(&begin).unwrap();
        node.run_unit();
        let (state, log) = end(&node);
        assert_eq!(state, WorkState::Done, "killed at {death}: {call}\n{log}");
        assert_eq!(node.facts(), unkilled.facts(), "killed at {death}: {call}\n{log}");
    }
    deaths.len()
}

#[test]
fn kubeadm_package() {
    assert!(kill_step(Step::KubeadmPackage, "1.36.3", &Node::new()) >= 12);
}

#[test]
fn kubeadm_upgrade() {
    let node = Node::new();
    node.state("pkg/kubeadm", "hi 1.36.3-1.1\n");
    let flags = vec![word("--ignore-preflight-errors=SystemVerification")];
    assert!(kill_step(Step::KubeadmUpgrade { first_control_plane: true, flags }, "1.36.3", &node) > 4);
}

#[test]
fn kubelet_packages() {
    let node = Node::new();
    node.state("pkg/kubeadm", "hi 1.36.3-1.1\n");
    assert!(kill_step(Step::KubeletPackages, "1.36.3", &node) > 12);
}

#[test]
fn containerd_package() {
    let node = Node::new();
    node.state("pkg/containerd", "hi 1.6.20~ds1-1\n");
    assert!(kill_step(Step::ContainerdPackage, "1.7.24~ds1-6", &node) > 12);
}

#[test]
fn rollback() {
    let node = super::work::upgraded();
    assert!(kill_step(super::work::rollback(), "1.35.4", &node) > 12);
}

/// Kills everywhere an operation that works within its session. `check` looks at what each death left.
fn kill_operation<O: Operation>(op: &O, node: &Node, check: fn(&Node)) {
    let run = |node: &Node, when: &str| {
        node.run(op).map_err(|cause| format!("{when}: {cause}\n{:?}", cause.detail)).unwrap();
    };
    let unkilled = node.twin();
    run(&unkilled, "unkilled");
    let calls = unkilled.calls();
    for (death, call) in deaths(&calls) {
        let node = node.twin();
        node.state("kill", &death);
        assert!(node.run(op).is_err(), "survived {death}: {call}");
        check(&node);
        run(&node, &format!("killed at {death}: {call}"));
        assert_eq!(node.facts(), unkilled.facts(), "killed at {death}: {call}");
    }
}

#[test]
fn begin() {
    let op = Begin { step: Step::KubeadmPackage, target: release("1.36.3").into(), run: word(RUN) };
    for former in
        ["", "LoadState=loaded\nSubState=exited\nResult=success\n", "LoadState=loaded\nSubState=failed\nResult=signal\n"]
    {
        let node = Node::new();
        node.run(&op).unwrap();
        node.run_unit();
        if former.is_empty() {
            node.forget("unit")
        } else {
            node.state("unit", former)
        }
        for name in ["calls", "count"] {
            node.forget(name);
        }
        let unkilled = node.twin();
        unkilled.run(&op).unwrap();
        for (death, call) in deaths(&unkilled.calls()) {
            let node = node.twin();
            node.state("kill", &death);
            assert!(node.run(&op).is_err(), "survived {death}: {call}");
            node.run(&op).unwrap();
            assert_eq!(end(&node).0, WorkState::Running, "killed at {death}: {call}");
            for file in ["script", "status", "log"].map(|name| format!("var/lib/k8s-upgrade/work/{name}")) {
                assert_eq!(node.read_root(&file), unkilled.read_root(&file), "killed at {death}: {call}: {file}");
            }
        }
    }
}

#[test]
fn repository() {
    let op = Repository { packages: word("https://repo.test"), target: release("1.36.3"), keys: Vec::new() };
    let node = Node::new();
    node.source("v1.35");
    let keyring = "/etc/apt/keyrings/kubernetes-apt-keyring.gpg";
    let stanza = format!("Types: deb\nURIs: https://repo.test/core:/stable:/v1.35/deb/\nSuites: /\nSigned-By: {keyring}\n");
    node.root("etc/apt/sources.list.d/k8s.sources", &stanza);
    kill_operation(&op, &node, |node| {
        let offered = node.run(&Available { package: "kubeadm" }).unwrap();
        assert!(!offered.is_empty(), "no repository is in force");
    });
}

#[test]
fn prefetch() {
    let node = Node::new();
    node.state("registry", "registry.k8s.io/kube-proxy:v1.36.3\n");
    let op = Prefetch { target: release("1.36.3"), control_plane: false, images: Images::default() };
    kill_operation(&op, &node, |node| assert_eq!(node.read_state("pkg/kubelet"), "hi 1.35.4-1.1\n"));
}

/// A folder that a death left is emptied by the next trial, and so is what kubeadm left.
#[test]
fn trial() {
    let node = Node::new();
    node.source("v1.35");
    node.forget("lists/v1.36");
    node.state("dry-run-stays", "");
    let op = Trial {
        packages: word("https://repo.test"),
        target: release("1.36.3"),
        keys: Vec::new(),
        first_control_plane: true,
        flags: Vec::new(),
    };
    let before = node.facts();
    let left = |node: &Node| std::fs::read_dir(node.root_path("etc/kubernetes/tmp")).unwrap().count();
    let unkilled = node.twin();
    unkilled.run(&op).unwrap();
    for (death, call) in deaths(&unkilled.calls()) {
        let node = node.twin();
        node.state("kill", &death);
        assert!(node.run(&op).is_err(), "survived {death}: {call}");
        assert_eq!(node.facts(), before, "{call}");
        node.run(&op).unwrap();
        assert_eq!(node.facts(), before, "{call}");
        let stays = node.root_path("var/lib/k8s-upgrade/trial").exists();
        assert!(!stays && left(&node) == 0, "killed at {death}: {call}");
    }
}

/// Killed anywhere: no half file bears a name, etcd's disk has nothing of it once it is tried again, and there is one snapshot.
#[test]
fn snapshot() {
    let node = super::snapshot::control_plane();
    let op = super::snapshot::take();
    let folder = "var/backups/k8s-upgrade";
    let unkilled = node.twin();
    let path = unkilled.run(&op).unwrap().path.trim_start_matches('/').to_owned();
    let whole = std::fs::read(unkilled.root_path(&path)).unwrap();
    let deaths: Vec<(String, String)> = deaths(&unkilled.calls())
        .into_iter()
        .flat_map(|(death, call)| {
            let half = call.contains("snapshot save").then(|| death.replace("before", "half-saved"));
            std::iter::once(death).chain(half).map(move |death| (death, call.to_owned()))
        })
        .collect();
    assert!(deaths.len() > 8, "{deaths:?}");
    for (death, call) in deaths {
        let node = node.twin();
        node.state("kill", &death);
        assert!(node.run(&op).is_err(), "survived {death}: {call}");
        if let Ok(there) = std::fs::read(node.root_path(&path)) {
            assert!(there == whole, "killed at {death}: {call}");
        }
        node.run(&op).unwrap();
        assert!(std::fs::read(node.root_path(&path)).unwrap() == whole, "killed at {death}: {call}");
        for (folder, files) in [(folder, 1), ("var/lib/etcd", 1)] {
            assert_eq!(std::fs::read_dir(node.root_path(folder)).unwrap().count(), files, "{folder} after {death}: {call}");
        }
    }
}

/// Killed anywhere: the next try finds it where it is.
#[test]
fn move_leader() {
    let node = super::snapshot::control_plane();
    let op = MoveLeader { to: word("91bc3c398fb3c146") };
    kill_operation(&op, &node, |_| ());
    node.run(&op).unwrap();
    assert_eq!(node.run(&op), Ok(false));
}

#[test]
fn restore_card() {
    let node = Node::new();
    let card = |content: &str| WriteCard { name: "restore.md".to_owned(), content: content.to_owned() };
    node.run(&card("former\n")).unwrap();
    node.forget("calls");
    node.forget("count");
    kill_operation(&card("how to\n"), &node, |node| {
        let now = node.read_root("var/lib/k8s-upgrade/restore.md");
        assert!(now == "former\n" || now == "how to\n", "{now:?}");
    });
}

/// Whatever dies, the file is there, whole, with the key that opens the node now.
#[test]
fn keys() {
    const FILE: &str = "home/u/.ssh/authorized_keys";
    let node = Node::new();
    node.state("passwd", "u:x:0:0::/home/u:/bin/bash\n");
    node.root(FILE, "ssh-rsa AAAAother me\nssh-ed25519 AAAAold k8s-upgrade-key\n");
    let add = AddKey { user: word("u"), kind: word("ssh-ed25519"), key: word("AAAAnew"), replaces: Vec::new() };
    kill_operation(&add, &node, |node| {
        assert!(node.read_root(FILE).starts_with("ssh-rsa AAAAother me\nssh-ed25519 AAAAold k8s-upgrade-key\n"));
    });
    node.run(&add).unwrap();
    node.forget("calls");
    node.forget("count");
    let remove = RemoveKeys { user: word("u"), keep: Some(word("AAAAnew")), strays: true, gone: Vec::new() };
    kill_operation(&remove, &node, |node| {
        let now = node.read_root(FILE);
        assert!(now.starts_with("ssh-rsa AAAAother me\n") && now.ends_with("ssh-ed25519 AAAAnew k8s-upgrade-key\n"), "{now}");
    });
}

//! Package sources, lists, prefetch and kubeadm's forecast.

use std::time::Duration;

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{
    Available, Begin, CheckCertificates, Follow, ImageSource, Images, Inspect, KubeadmPlan, Prefetch, Refresh, RefreshAll,
    Repository, Step,
};

use k8s_upgrade::words::ImageName;

use super::bench::{Node, RUN, release, target, word};

const LIST: &str = "etc/apt/sources.list.d/kubernetes.list";
const KEYRING: &str = "etc/apt/keyrings/kubernetes-apt-keyring.gpg";

fn repository() -> Repository {
    Repository { packages: word("https://repo.test"), target: release("1.36.3"), keys: Vec::new() }
}

/// A node whose repository is still that of 1.35.
fn former() -> Node {
    let node = Node::new();
    node.source("v1.35");
    std::fs::remove_file(node.root_path("etc/apt/../../../state/lists/v1.36")).unwrap();
    node
}

#[test]
fn the_repository_moves_to_the_next_minor() {
    let node = former();
    for _ in 0..2 {
        node.run(&repository()).unwrap();
        assert_eq!(
            node.read_root(LIST),
            format!("deb [signed-by=/{KEYRING}] https://repo.test/core:/stable:/v1.36/deb/ /\n")
                .replace(&format!("/{KEYRING}"), "/etc/apt/keyrings/kubernetes-apt-keyring.gpg")
        );
        assert_eq!(node.read_root(KEYRING), "key of v1.36\n");
        assert_eq!(node.run(&Available { package: "kubeadm" }).unwrap(), ["1.36.3-1.1", "1.36.1-2.1"]);
        let left: Vec<_> =
            std::fs::read_dir(node.root_path("etc/apt")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

#[test]
fn a_failure_leaves_the_former_repository_in_force() {
    type Break = fn(&Node);
    let cases: [(Break, Class, &str); 6] = [
        (|node| node.state("offline", ""), Class::Unreachable, "cannot be reached"),
        (|node| node.forget("keys/v1.36"), Class::Refused, "answers 403"),
        (|node| node.state("out-of-service", "503"), Class::Unreachable, "is out of service"),
        (|node| node.state("keys/v1.36", "<html>login</html>\n"), Class::Refused, "no OpenPGP key"),
        (|node| node.state("keys/v1.36", "-----BEGIN PGP\nkey of another\n"), Class::Refused, "signature does not fit the key"),
        (|node| node.state("upstream/v1.36", "kubeadm 1.36.1-1.1\n"), Class::Hold, "does not offer kubeadm 1.36.3"),
    ];
    for (spoil, class, words) in cases {
        let node = former();
        spoil(&node);
        let before = node.facts();
        let cause = node.run(&repository()).unwrap_err();
        assert_eq!(cause.class, class, "{cause}");
        assert!(cause.what.contains(words), "{cause}");
        assert_eq!(node.facts(), before, "{words}");
        assert_eq!(node.run(&Available { package: "kubeadm" }).unwrap()[0], "1.35.4-1.1");
    }
}

/// Of whom a repository's key is, where it is not upstream's.
const OTHER: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

/// Whoever serves the URL would else decide, with each minor version, whose packages are installed as root.
#[test]
fn a_key_that_changed_is_refused_until_it_is_acknowledged() {
    let node = former();
    node.state("keys/v1.36", &format!("-----BEGIN PGP\nkey of v1.36\nof {OTHER}\n"));
    let before = node.facts();
    let cause = node.run(&repository()).unwrap_err();
    assert_eq!(cause.class, Class::Refused, "{cause}");
    let upstream = "DE15B14486CD377B9E876E1A234654DA9A296436";
    for words in [
        &format!("is of {OTHER} (its end: 2028-12-27), and the one in force on this node of {upstream} (its end: 2028-12-27)."),
        &format!("package-keys: [{OTHER}]"),
    ] {
        assert!(cause.what.contains(words.as_str()), "{cause}");
    }
    assert_eq!(node.facts(), before, "the former repository stays in force");
    let acknowledged = Repository { keys: vec![word(OTHER)], ..repository() };
    node.run(&acknowledged).unwrap();
    node.run(&repository()).unwrap();
    assert!(node.read_root(LIST).contains("/v1.36/") && node.read_root(KEYRING).contains(OTHER));
}

/// An entry whose keyring is gone proves nothing; where there is none at all, nothing has changed.
#[test]
fn what_cannot_be_compared_is_no_match() {
    let node = former();
    std::fs::remove_file(node.root_path(KEYRING)).unwrap();
    let cause = node.run(&repository()).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("of a keyring that cannot be read"), "{cause}");
    std::fs::remove_file(node.root_path(LIST)).unwrap();
    node.run(&repository()).unwrap();
}

#[test]
fn a_key_without_end_is_none() {
    let node = former();
    node.state("key-without-end", "");
    let before = node.facts();
    let cause = node.run(&repository()).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.ends_with("it has more than 65536 bytes"), "{cause}");
    assert_eq!(node.facts(), before);
}

/// A redirect may lead to plain http only where the settings have that anyway.
#[test]
fn https_is_never_left() {
    for (base, schemes) in [("https://repo.test", "=https"), ("http://repo.test", "=http,https")] {
        let node = former();
        node.run(&Repository { packages: word(base), ..repository() }).ok();
        let call = node.calls().into_iter().find(|call| call.starts_with("curl ")).unwrap();
        assert!(call.contains(&format!(" --proto {schemes} --proto-redir {schemes} ")), "{call}");
    }
}

#[test]
fn whatever_entry_there_was_one_is_left() {
    let node = former();
    std::fs::remove_file(node.root_path(LIST)).unwrap();
    let stanza = "Types: deb\nURIs: https://repo.test/core:/stable:/v1.35/deb/\nSuites: /\nSigned-By: /etc/apt/keyrings/kubernetes-apt-keyring.gpg\n";
    let other = "Types: deb\nURIs: http://debian.test/debian\nSuites: bookworm\nComponents: main\n";
    node.root("etc/apt/sources.list.d/k8s.sources", stanza);
    node.root("etc/apt/sources.list.d/mixed.sources", &format!("{other}\n{stanza}"));
    node.root("etc/apt/sources.list", "deb http://debian.test/debian bookworm main\ndeb https://repo.test/core:/stable:/v1.34/deb/ /\n# deb https://repo.test/core:/stable:/v1.33/deb/ /\n");
    node.run(&repository()).unwrap();
    assert!(!node.root_path("etc/apt/sources.list.d/k8s.sources").exists());
    assert_eq!(node.read_root("etc/apt/sources.list.d/mixed.sources").trim_end(), other.trim_end());
    assert_eq!(
        node.read_root("etc/apt/sources.list"),
        "deb http://debian.test/debian bookworm main\n# deb https://repo.test/core:/stable:/v1.33/deb/ /\n"
    );
    assert!(node.read_root(LIST).contains("/v1.36/"));
}

/// Docker's containerd, by Ubuntu's repository; a worker of Debian runs `2.1.4-1~debian.12~bookworm`. What the lists offer of the package that is
/// here can be installed exactly; the worker's own revision cannot, and the attempt changes nothing.
#[test]
fn of_containerd_the_revisions_of_this_nodes_own_sources_are_offered() {
    let (jammy, own) = ("2.1.4-1~ubuntu.22.04~jammy", "1.7.28-1~ubuntu.22.04~jammy");
    let node = Node::new();
    node.forget("pkg/containerd");
    node.state("pkg/containerd.io", &format!("hi {own}\n"));
    let index = format!("containerd.io {jammy}\ncontainerd.io {own}\n");
    node.state("upstream/v1.36", &index);
    node.state("lists/v1.36", "");
    let offered = |package| node.run(&Available { package }).unwrap();
    assert_eq!(offered("containerd.io"), [""; 0]);
    node.run(&RefreshAll).unwrap();
    assert_eq!(offered("containerd.io"), [jammy, own]);
    assert_eq!(offered("containerd"), [""; 0], "the distribution's package is another");
    for (revision, wanted, left) in [
        ("2.1.4-1~debian.12~bookworm", Err("does not offer containerd.io 2.1.4-1~debian.12~bookworm"), format!("hi {own}\n")),
        (jammy, Ok(()), format!("hi {jammy}\n")),
    ] {
        let begin = Begin { step: Step::ContainerdPackage, target: target(revision), run: word(RUN) };
        node.run(&begin).unwrap();
        node.run_unit();
        let end = node.run(&Follow { from: 0, wait: Duration::ZERO }).unwrap().end().expect("it has ended");
        match wanted {
            Ok(()) => assert_eq!(end, Ok(())),
            Err(says) => assert!(end.unwrap_err().what.contains(says)),
        }
        assert_eq!(node.read_state("pkg/containerd.io"), left, "its hold stays");
        assert!(!node.run(&Inspect::default()).unwrap().touched("1.36.3"), "its cordon would be given back, or its step is done");
    }
}

#[test]
fn refreshing_waits_for_the_lock_and_a_stale_index_is_no_success() {
    let node = Node::new();
    node.state("lists-locked", "once\ntwice\n");
    node.state("upstream/v1.36", "kubeadm 1.36.4-1.1\n");
    node.run(&Refresh::default()).unwrap();
    assert_eq!(node.run(&Available { package: "kubeadm" }).unwrap(), ["1.36.4-1.1"]);
    node.state("offline", "");
    let cause = node.run(&Refresh::default()).unwrap_err();
    assert_eq!(cause.class, Class::Unreachable, "{cause}");
    node.forget("offline");
    node.state("lists-locked", &"again\n".repeat(100));
    assert_eq!(node.run(&Refresh::default()).unwrap_err().class, Class::Hold);
    std::fs::remove_file(node.root_path(LIST)).unwrap();
    assert_eq!(node.run(&Refresh::default()).unwrap_err().class, Class::Refused);
}

#[test]
fn only_the_kubernetes_list_is_refreshed() {
    let node = Node::new();
    node.run(&Refresh::default()).unwrap();
    let update = node.calls().into_iter().find(|call| call.contains(" update ")).unwrap();
    assert!(update.contains("sources.list.d/kubernetes.list") && update.contains("Dir::Etc::sourceparts=-"), "{update}");
}

#[test]
fn prefetch_brings_what_a_worker_needs_and_keeps_the_holds() {
    let node = Node::new();
    node.state("registry", "registry.k8s.io/kube-proxy:v1.36.3\n");
    let op = Prefetch { target: release("1.36.3"), control_plane: false, images: Images::default() };
    let fetched = node.run(&op).unwrap();
    let names: Vec<_> = fetched.packages.iter().map(|(name, revision)| format!("{name}={revision}")).collect();
    assert_eq!(names, ["kubeadm=1.36.3-1.1", "kubelet=1.36.3-1.1", "kubectl=1.36.3-1.1"]);
    assert_eq!(fetched.present, ["registry.k8s.io/pause:3.10.2"]);
    assert_eq!(fetched.pulled, ["registry.k8s.io/kube-proxy:v1.36.3"]);
    assert!(node.root_path("var/cache/apt/archives/kubelet_1.36.3-1.1_amd64.deb").exists());
    assert_eq!(node.read_state("pkg/kubelet"), "hi 1.35.4-1.1\n");
    assert!(node.run(&op).unwrap().pulled.is_empty());
}

#[test]
fn prefetch_on_a_control_plane_with_its_own_registry() {
    let node = Node::new();
    let images = [
        "kube-apiserver:v1.36.3",
        "kube-controller-manager:v1.36.3",
        "kube-scheduler:v1.36.3",
        "kube-proxy:v1.36.3",
        "coredns/coredns:v1.14.6",
        "pause:3.10.2",
        "etcd:3.6.8-0",
    ];
    let registry: String = images.iter().map(|image| format!("mirror.test/k8s/{image}\n")).collect();
    node.state("registry", &registry);
    let op = Prefetch {
        target: release("1.36.3"),
        control_plane: true,
        images: Images { repository: Some(word("mirror.test/k8s")), ..Images::default() },
    };
    assert_eq!(node.run(&op).unwrap().pulled.len(), 7);
    node.state("images", "");
    node.state("registry", "");
    let cause = node.run(&op).unwrap_err();
    assert_eq!(
        (cause.class, cause.what.as_str()),
        (Class::Unreachable, "image mirror.test/k8s/kube-apiserver:v1.36.3 cannot be pulled")
    );
    assert!(cause.detail.iter().any(|line| line.contains("not found")), "{cause:?}");
}

/// A mirror that has what this cluster runs and nothing else: CoreDNS of its own, no kube-proxy, etcd elsewhere, and CRI-O.
#[test]
fn prefetch_takes_what_the_cluster_uses_through_its_own_runtime() {
    let node = Node::new();
    let mirrored =
        ["k8s/kube-apiserver:v1.36.3", "k8s/kube-controller-manager:v1.36.3", "k8s/kube-scheduler:v1.36.3", "dns/coredns:v1.9.3"];
    node.state("registry", &mirrored.map(|image| format!("mirror.test/{image}\n")).concat());
    node.state("images", "mirror.test/k8s/pause:3.10.2\n");
    node.root("var/lib/kubelet/config.yaml", "containerRuntimeEndpoint: \"\"\nkind: KubeletConfiguration\n");
    node.root("var/lib/kubelet/instance-config.yaml", "containerRuntimeEndpoint: unix:///var/run/crio/crio.sock\n");
    let images = Images {
        repository: Some(word("mirror.test/k8s")),
        coredns: ImageSource { repository: Some(word("mirror.test/dns")), tag: Some(word("v1.9.3")) },
        without: vec!["kube-proxy", "etcd"],
        ..Images::default()
    };
    let op = Prefetch { target: release("1.36.3"), control_plane: true, images };
    let fetched = node.run(&op).unwrap();
    let names = |images: &[ImageName]| images.iter().map(|image| image.replace("mirror.test/", "")).collect::<Vec<_>>();
    let [apiserver, manager, scheduler, dns] = mirrored;
    assert_eq!(names(&fetched.pulled), [apiserver, manager, scheduler, dns]);
    assert_eq!(names(&fetched.present), ["k8s/pause:3.10.2"]);
    let calls = node.calls();
    let mut of_runtime = calls.iter().filter(|call| call.starts_with("crictl ") || call.starts_with("ctr "));
    assert!(of_runtime.all(|call| call.starts_with("crictl --runtime-endpoint unix:///var/run/crio/crio.sock ")), "{calls:?}");
    // A flag of the kubelet counts before its configuration.
    let pulls = || node.run(&Inspect::default()).unwrap().runtime.map(|runtime| (runtime.socket.to_string(), runtime.pulls));
    assert_eq!(pulls(), Some(("/var/run/crio/crio.sock".to_owned(), true)));
    node.root(
        "var/lib/kubelet/kubeadm-flags.env",
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/cri-dockerd.sock --v=1\"\n",
    );
    node.without(&["crictl"]);
    assert_eq!(pulls(), Some(("/run/cri-dockerd.sock".to_owned(), false)));
    let cause = node.run(&op).unwrap_err();
    let what = "no crictl is on this node: images cannot be pulled for the runtime at /run/cri-dockerd.sock";
    assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, what));
}

#[test]
fn prefetch_of_what_is_not_there() {
    let node = Node::new();
    let op = Prefetch { target: release("1.36.9"), control_plane: false, images: Images::default() };
    let cause = node.run(&op).unwrap_err();
    assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, "the repository of this node does not offer kubeadm 1.36.9"));
    node.state("offline", "");
    let op = Prefetch { target: release("1.36.3"), ..op };
    assert_eq!(node.run(&op).unwrap_err().class, Class::Unreachable);
}

#[test]
fn the_forecast_is_passed_through() {
    let node = Node::new();
    let op = KubeadmPlan { target: release("1.36.3"), flags: vec![word("--ignore-preflight-errors=SystemVerification")] };
    node.state("plan", "{\n  \"kind\": \"UpgradePlan\"\n}\n");
    node.state("plan-stderr", "W: something\n");
    let text = node.run(&op).unwrap();
    assert_eq!(text.json, "{\n  \"kind\": \"UpgradePlan\"\n}");
    assert_eq!(text.notes, ["W: something"]);
    assert!(
        node.calls()
            .iter()
            .any(|call| call == "kubeadm upgrade plan v1.36.3 -o json --ignore-preflight-errors=SystemVerification")
    );
    node.state("plan", "");
    assert_eq!(node.run(&op).unwrap().json, "");
    node.state("plan-status", "1\n");
    node.state("plan-stderr", "[upgrade/health] FATAL: Job did not complete\n");
    let cause = node.run(&op).unwrap_err();
    assert_eq!((cause.class, cause.what.as_str()), (Class::Step, "kubeadm upgrade plan v1.36.3 failed (exit 1)"));
    assert_eq!(cause.detail, ["[upgrade/health] FATAL: Job did not complete"]);
    // What kubeadm 1.34 to 1.36 print where a policy keeps their health Job from its end.
    let objects = "W1129 12:00:00.1   1 x.go] slow\n[upgrade/health] FATAL: [preflight] Some fatal errors occurred:\n\t[ERROR CreateJob]: Job \"upgrade-health-check-1\" in the \
                   namespace \"kube-system\" did not complete in 15s\n\t[ERROR Swap]: on\n[preflight] If you know what you are doing, you can make a check \
                   non-fatal with `--ignore-preflight-errors=...`\n";
    node.state("plan-stderr", objects);
    let text = node.run(&op).unwrap();
    assert_eq!(text.objections, ["CreateJob", "Swap"]);
    assert!(text.notes.iter().any(|line| line.contains("did not complete in 15s")), "{text:?}");
    node.state("plan-stderr", "dial tcp 10.0.0.1:6443: connect: connection refused\n");
    assert_eq!(node.run(&op).unwrap_err().class, Class::Unreachable);
}

/// What a person must mend, and what time mends, told apart by apt's own words.
#[test]
fn the_words_of_apt_have_their_class() {
    let node = Node::new();
    let release = "Release file for https://repo.test/core:/stable:/v1.36/deb/InRelease";
    for (said, class, says) in [
        (format!("E: {release} is not valid yet (invalid for another 2h 3min 4s)."), Class::Hold, "newer than this node's clock"),
        (
            "E: Repository 'https://repo.test deb InRelease' changed its 'Label' value from 'a' to 'b'".to_owned(),
            Class::Refused,
            "changed its 'Label' value from 'a' to 'b'",
        ),
    ] {
        node.state("update-fails", &format!("{said}\n"));
        let cause = node.run(&Refresh::default()).unwrap_err();
        assert!(cause.class == class && cause.what.contains(says), "{cause:?}");
    }
    let unmet = "The following packages have unmet dependencies:\n kubelet : Depends: kubernetes-cni (>= 1.2.0) but 1.1.1-1 is to be installed\n\
                 E: Unable to correct problems, you have held broken packages.\n";
    node.state("install-fails", unmet);
    let op = Prefetch { target: super::bench::release("1.36.3"), control_plane: false, images: Images::default() };
    let cause = node.run(&op).unwrap_err();
    assert_eq!(cause.class, Class::Refused);
    assert!(cause.what.ends_with("kubelet : Depends: kubernetes-cni (>= 1.2.0) but 1.1.1-1 is to be installed"), "{cause:?}");
}

#[test]
fn the_key_is_fetched_through_the_proxy_of_apt() {
    for (settings, taken) in [
        ("", "https_proxy= no_proxy="),
        ("Acquire::http::Proxy http://user:secret@proxy:3128/\n", "https_proxy=http://user:secret@proxy:3128/ no_proxy="),
        ("Acquire::http::proxy http://a:1\nAcquire::https::Proxy http://b:2\n", "https_proxy=http://b:2 no_proxy="),
        ("Acquire::https::Proxy http://b:2\nAcquire::http::Proxy::repo.test DIRECT\n", "https_proxy= no_proxy=*"),
        // What a program of apt's configuration finds; one that has nothing to say, or is not there, leaves it to the rest.
        (
            "Acquire::https::Proxy http://b:2\nAcquire::https::Proxy-Auto-Detect ROOT/detect\n",
            "https_proxy=http://found:8/ no_proxy=",
        ),
        ("Acquire::https::Proxy http://b:2\nAcquire::https::Proxy-Auto-Detect ROOT/silent\n", "https_proxy=http://b:2 no_proxy="),
        ("Acquire::http::Proxy http://a:1\nAcquire::https::ProxyAutoDetect ROOT/none\n", "https_proxy=http://a:1 no_proxy="),
    ] {
        let node = former();
        node.root("detect", "#!/bin/bash\necho http://found:8/\necho more\n");
        node.root("silent", "#!/bin/bash\n");
        for program in ["detect", "silent"] {
            std::fs::set_permissions(node.root_path(program), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let root = node.root_path("");
        node.state("apt-config", &settings.replace("ROOT/", &format!("{}/", root.display()).replace("//", "/")));
        node.run(&repository()).unwrap();
        assert_eq!(node.read_state("proxies").lines().last(), Some(taken), "{settings}");
        assert!(!node.calls().iter().any(|call| call.contains("secret")), "a password in an argument");
    }
}

/// Beside it, the node would install from whichever is newer.
#[test]
fn a_source_that_is_not_known_and_offers_kubeadm_is_named() {
    let node = former();
    let url = "https://nexus.test/repository/k8s-1.35 ./ Packages";
    node.state("strangers", &format!("   kubeadm | 1.35.4-1.1 | {url}\n"));
    let cause = node.run(&repository()).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("https://nexus.test/repository/k8s-1.35 (-)"), "{cause:?}");
    assert!(node.read_root(LIST).contains("/v1.35/"), "nothing was changed");
}

#[test]
fn certificates_are_told_as_kubeadm_tells_them() {
    let node = Node::new();
    node.state("certs", "{\n  \"certificates\": []\n}\n");
    assert_eq!(node.run(&CheckCertificates).unwrap().trim(), "{\n  \"certificates\": []\n}");
    assert!(node.calls().contains(&"kubeadm certs check-expiration -o json".to_owned()), "{:?}", node.calls());
    // An older one has no JSON.
    node.state("no-json", "");
    node.state("certs", "CERTIFICATE  EXPIRES\n");
    assert_eq!(node.run(&CheckCertificates).unwrap().trim(), "CERTIFICATE  EXPIRES");
    node.state("certs-fail", "error: open /etc/kubernetes/pki/ca.crt: permission denied\n");
    let cause = node.run(&CheckCertificates).unwrap_err();
    assert!(cause.class == Class::Step && cause.detail.iter().any(|line| line.contains("permission denied")), "{cause:?}");
    node.without(&["kubeadm"]);
    assert_eq!(node.run(&CheckCertificates).unwrap_err().class, Class::Refused);
}

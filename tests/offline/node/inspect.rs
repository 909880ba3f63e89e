//! What `inspect` sees, and the file operations.

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{
    Begin, Identify, Inspect, LookBack, ReadPatches, SnapshotHash, SnapshotKind, Source, Step, WorkState, WriteCard,
};

use sha2::{Digest, Sha256};

use super::bench::{BOOT, Node, RUN, release, word};

/// Docker's containerd in the place of the distribution's, which has left its configuration.
#[test]
fn a_package_that_was_removed_is_not_there() {
    let node = Node::new();
    node.state("pkg/containerd", "rc 1.6.20~ds1-1\n");
    node.state("pkg/containerd.io", "ii 1.7.28-1~debian.12~bookworm\n");
    let state = node.run(&Inspect::default()).unwrap();
    assert_eq!(state.package("containerd"), None);
    assert!(state.package("containerd.io").unwrap().healthy() && state.package("kubeadm").unwrap().healthy());
}

#[test]
fn a_healthy_node() {
    let node = Node::new();
    let state = node.run(&Inspect::default()).unwrap();
    assert_eq!(state.boot_id, Some(word(BOOT)));
    assert!(!state.kernel.is_empty());
    let kubelet = state.package("kubelet").unwrap();
    assert_eq!((&*kubelet.letters, &*kubelet.version, kubelet.healthy()), ("hi", "1.35.4-1.1", true));
    assert_eq!(state.package("containerd").unwrap().version, "1.6.20~ds1-1");
    assert_eq!(state.package("containerd.io"), None);
    assert_eq!(state.holds, ["kubeadm", "kubectl", "kubelet"]);
    assert_eq!((state.kubelet.as_deref(), state.kubeadm.as_deref()), (Some("active"), Some("1.35.4")));
    let file = word("/etc/apt/sources.list.d/kubernetes.list");
    assert_eq!(state.sources, [Source { file, minor: word("1.36"), url: word("https://repo.test/core:/stable:/v1.36/deb") }]);
    assert_eq!(state.strangers, []);
    assert_eq!(
        state.free.iter().map(|free| &*free.path).collect::<Vec<_>>(),
        ["/var/cache/apt", "/usr", "/etc/kubernetes", "/var/lib/etcd"]
    );
    assert!(state.free.iter().all(|free| free.bytes > 0));
    assert_eq!((state.audit.len(), state.stray_manifests.len()), (0, 0));
    assert_eq!(state.work.state, WorkState::None);
}

#[test]
fn a_node_after_a_power_cut() {
    let node = Node::new();
    node.state("pkg/kubelet", "iHR 1.35.4-1.1\n");
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml.bak", "");
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", "");
    node.root("etc/kubernetes/manifests/.hidden", "");
    node.root("etc/kubernetes/tmp/kubeadm-backup-etcd-1/db", &"x".repeat(5000));
    node.run(&Begin { step: Step::KubeletPackages, target: release("1.36.3").into(), run: word(RUN) }).unwrap();
    node.reboot();
    let state = node.run(&Inspect::default()).unwrap();
    assert_eq!((&*state.package("kubelet").unwrap().letters, state.package("kubelet").unwrap().healthy()), ("iHR", false));
    assert_eq!(state.holds, ["kubeadm", "kubectl"]);
    assert!(state.audit[0].contains("kubelet"));
    assert_eq!(state.stray_manifests, ["/etc/kubernetes/manifests/kube-apiserver.yaml.bak"]);
    assert!(state.leftover_bytes > 5000);
    assert_eq!(state.work.state, WorkState::Interrupted(word("reboot")));
    assert_eq!((state.work.step, state.work.run.as_deref()), ("kubelet-packages", Some(RUN)));
}

/// Line by line as it stands there: indented, empty, and like what a script says of its progress.
#[test]
fn the_kubelets_configuration_is_read_whole() {
    let node = Node::new();
    assert_eq!(node.run(&Inspect::default()).unwrap().kubelet_config, "");
    for text in ["a: 1\n\n# kept\nlogging:\n  verbosity: 0\n", "| b\nwork none"] {
        node.root("var/lib/kubelet/config.yaml", text);
        let state = node.run(&Inspect::default()).unwrap();
        assert_eq!((state.kubelet_config.trim_end(), state.work.state), (text.trim_end(), WorkState::None));
    }
}

/// Whole, in kubeadm's order, and only what kubeadm itself would read.
#[test]
fn the_patches_of_a_folder_are_read() {
    let node = Node::new();
    let read = || {
        let files = node.run(&ReadPatches { folder: word("/etc/kubernetes/patches") }).unwrap();
        files.into_iter().map(|file| (file.name.to_string(), file.text.trim_end().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(read(), []);
    let (json, kubelet) = ("- op: add\n  path: /spec/containers/0/command/-\n  value: --v=4", "# ours\n\nmaxPods: 250");
    for (name, text) in [
        ("kubeletconfiguration+merge.yaml", kubelet),
        ("etcd1+json.yaml", json),
        ("etcd0.json", "{}"),
        ("README.md", "text"),
        ("etcd.yaml.bak", "text"),
        ("kube-apiserver.d/etcd.yaml", "text"),
        ("own.yaml", "text"),
    ] {
        node.root(&format!("etc/kubernetes/patches/{name}"), text);
    }
    let named = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let all = [named("etcd0.json", "{}"), named("etcd1+json.yaml", json), named("kubeletconfiguration+merge.yaml", kubelet)];
    assert_eq!(read(), all);
}

#[test]
fn a_node_without_the_programs() {
    let node = Node::new();
    node.without(&["apt-get", "apt-cache", "apt-mark", "dpkg", "dpkg-query", "kubeadm", "systemctl"]);
    let state = node.run(&Inspect::default()).unwrap();
    assert_eq!((state.packages.len(), state.kubeadm, state.kubelet.as_deref()), (0, None, Some("unknown")));
    assert_eq!(state.boot_id, Some(word(BOOT)));
}

/// etcd's file, as `etcdctl snapshot save` writes it: pages of bbolt, then the hash of all of them.
#[test]
fn a_whole_snapshot_is_told_from_a_torn_one() {
    let node = Node::new();
    node.root("backup/db", "");
    let kind = |bytes: &[u8]| {
        std::fs::write(node.root_path("backup/db"), bytes).unwrap();
        let info = node.run(&SnapshotHash { path: word("/backup/db") }).unwrap().unwrap();
        assert!(info.bytes == bytes.len() as u64 && info.modified_seconds > 1_700_000_000, "{info:?}");
        info.kind
    };
    let mut whole = vec![0; 4096];
    whole[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    whole.extend(Sha256::digest(&whole));
    assert_eq!(kind(&whole), SnapshotKind::Whole);
    let spoiled: Vec<u8> = whole.iter().enumerate().map(|(at, byte)| if at == 100 { 1 } else { *byte }).collect();
    for torn in [&spoiled, &whole[..4096], &whole[..4127], &whole[..2048 + 32], &whole[..20]] {
        assert_eq!(kind(torn), SnapshotKind::Torn, "{} bytes", torn.len());
    }
    for other in [&[][..], &[0; 15], &[0; 4128], b"\x1f\x8b compressed"] {
        assert_eq!(kind(other), SnapshotKind::Other, "{} bytes", other.len());
    }
}

#[test]
fn the_hash_of_a_snapshot() {
    let node = Node::new();
    node.root("backup/etcd 1.db", "abc");
    let info = node.run(&SnapshotHash { path: word("/backup/etcd 1.db") }).unwrap().unwrap();
    assert_eq!((info.bytes, info.sha256.as_str()), (3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_eq!(node.run(&SnapshotHash { path: word("/backup/none.db") }).unwrap(), None);
}

#[test]
fn a_card_is_roots_alone_and_replaces_the_former_whole() {
    let node = Node::new();
    for content in ["first\n", "it's $HOME\n\n"] {
        let path = node.run(&WriteCard { name: "restore.md".to_owned(), content: content.to_owned() }).unwrap();
        assert_eq!(path, "/var/lib/k8s-upgrade/restore.md");
        assert_eq!(node.read_root("var/lib/k8s-upgrade/restore.md"), content);
    }
    let mode = std::fs::metadata(node.root_path("var/lib/k8s-upgrade/restore.md")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    for name in ["../etc/passwd", "work/status", ".hidden", ""] {
        let cause = node.run(&WriteCard { name: name.to_owned(), content: String::new() }).unwrap_err();
        assert_eq!(cause.class, Class::Refused, "{name}");
    }
}

/// A control plane whose upgrade was cut and begun anew: each run of kubeadm has left a folder of its own.
#[test]
fn what_kubeadm_has_replaced_is_found() {
    let node = Node::new();
    let manifest =
        |image: &str| format!("apiVersion: v1\nspec:\n  containers:\n  - command:\n    - x\n    image: {image}\n    name: x\n");
    let etcd = manifest("\"registry.k8s.io/etcd:3.6.8-0\"");
    let of_member = "    - --initial-advertise-peer-urls=https://10.0.20.100:2380\n    - --name=k8s-master\n";
    node.root("etc/kubernetes/manifests/etcd.yaml", &etcd.replace("    - x\n", of_member));
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", &manifest("registry.test:5000/kube-apiserver:v1.36.3"));
    node.root("etc/kubernetes/manifests/odd.yaml", "kind: Pod\n");
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml.bak", "");
    let copy = "etc/kubernetes/tmp/kubeadm-backup-manifests-2026-11-22-12-04-00/kube-apiserver.yaml";
    node.root(copy, &manifest("registry.test:5000/kube-apiserver:v1.35.4"));
    node.root("etc/kubernetes/tmp/kubeadm-backup-etcd-2026-11-22-12-04-00/etcd/member/db", "x");
    let past = node.run(&LookBack::default()).unwrap();
    let pods: Vec<_> = past.static_pods.iter().map(|found| (found.pod.as_str(), found.image.as_deref().unwrap_or("-"))).collect();
    assert_eq!(
        pods,
        [("etcd", "registry.k8s.io/etcd:3.6.8-0"), ("kube-apiserver", "registry.test:5000/kube-apiserver:v1.36.3"), ("odd", "-")]
    );
    let peer = past.peer.expect("its member of etcd");
    assert_eq!((peer.0.as_str(), peer.1.to_string().as_str()), ("https://10.0.20.100:2380", "k8s-master"));
    let [found] = past.copies.as_slice() else { panic!("{:?}", past.copies) };
    assert_eq!(
        (found.manifest.image.as_deref().unwrap_or("-"), &*found.path),
        ("registry.test:5000/kube-apiserver:v1.35.4", &*format!("/{copy}"))
    );
    assert_eq!(past.etcd_data[0].1, "/etc/kubernetes/tmp/kubeadm-backup-etcd-2026-11-22-12-04-00");
}

/// The file holds the key, too; what is not a certificate stays there.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nBBBB\n-----END EC PRIVATE KEY-----\n";

#[test]
fn the_certificate_is_the_one_that_the_kubelet_shows() {
    let file = "var/lib/kubelet/pki/kubelet-client-current.pem";
    let inline = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    let conf = |user: &str| format!("kind: Config\nusers:\n- name: default-auth\n  user:\n{user}");
    for (config, wanted) in [
        (conf("    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n    client-key: /x.pem\n"), Ok(())),
        (conf("    client-certificate: \"/var/lib/kubelet/pki/kubelet-client-current.pem\"\n"), Ok(())),
        (conf(&format!("    client-certificate-data: {inline}\n    client-key-data: QkJCQg==\n")), Ok(())),
        // What stands in the file itself comes first.
        (conf(&format!("    client-certificate: /nowhere.pem\n    client-certificate-data: '{inline}'\n")), Ok(())),
        (conf("    client-certificate: ../../var/lib/kubelet/pki/kubelet-client-current.pem\n"), Ok(())),
        (conf("    client-certificate: /nowhere.pem\n"), Err("/nowhere.pem is not there")),
        (conf("    token: abc\n"), Err("/etc/kubernetes/kubelet.conf names no client certificate")),
        (conf("    client-certificate-data: !!!\n"), Err("its client-certificate-data is not base64")),
        (conf("    client-certificate-data: QkJCQg==\n"), Err("there is no certificate in the file")),
        (
            conf("    client-certificate: /a.pem\n  user:\n    client-certificate: /b.pem\n"),
            Err("/etc/kubernetes/kubelet.conf names several client certificates"),
        ),
    ] {
        let node = Node::new();
        node.root(file, &format!("{PEM}{KEY}"));
        node.root("etc/kubernetes/kubelet.conf", &config);
        let shown = node.run(&Identify).unwrap();
        let wanted = wanted.map(|()| PEM.to_owned()).map_err(str::to_owned);
        assert_eq!(shown.certificate, wanted, "{config}");
        assert_eq!((shown.machine_id, shown.boot_id), (None, Some(word(BOOT))));
    }
    let shown = Node::new().run(&Identify).unwrap();
    assert_eq!(shown.certificate, Err("/etc/kubernetes/kubelet.conf is not there".to_owned()));
}

#[test]
fn the_machine_id_is_the_one_that_the_kubelet_reports() {
    let node = Node::new();
    node.root("var/lib/dbus/machine-id", "11111111111111111111111111111111\n");
    let id = |node: &Node| node.run(&Identify).unwrap().machine_id.map(String::from);
    assert_eq!(id(&node).as_deref(), Some("11111111111111111111111111111111"));
    node.root("etc/machine-id", "22222222222222222222222222222222\n");
    assert_eq!(id(&node).as_deref(), Some("22222222222222222222222222222222"));
    node.root("etc/machine-id", "uninitialized\n");
    assert_eq!(id(&node), None);
}

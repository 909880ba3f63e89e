//! Snapshots of etcd by etcdctl and etcdutl in its container, in real bash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{EtcdHere, LookAtEtcd, Made, TakeSnapshot};
use sha2::{Digest, Sha256};

use super::bench::{Node, RUN, release, word};

const DATA: &str = "var/lib/etcd";
const FOLDER: &str = "var/backups/k8s-upgrade";
const NAME: &str = "k8s-upgrade-1.36.3-5f3a21bc-k8s-master.db";
pub const MANIFEST: &str = "\
spec:
  containers:
  - command:
    - etcd
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --data-dir=/var/lib/etcd
    - --key-file=/etc/kubernetes/pki/etcd/server.key
    - --listen-client-urls=https://127.0.0.1:2379,https://10.0.20.100:2379
    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
    image: registry.k8s.io/etcd:3.6.8-0
";

/// A control plane with a healthy etcd at revision 100, whose snapshots are whole.
pub fn control_plane() -> Node {
    let node = Node::new();
    node.root("etc/kubernetes/manifests/etcd.yaml", MANIFEST);
    node.root(&format!("{DATA}/member/snap/db"), &"x".repeat(2 << 20));
    let mut whole = vec![0; 4096];
    whole[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    whole.extend(Sha256::digest(&whole));
    node.state_bytes("snapshot.db", &whole);
    node.state("revision", "100");
    node
}

pub fn look() -> LookAtEtcd {
    LookAtEtcd { folder: word("/var/backups/k8s-upgrade") }
}

pub fn take() -> TakeSnapshot {
    let folder = word("/var/backups/k8s-upgrade");
    TakeSnapshot {
        folder,
        target: release("1.36.3"),
        run: word(RUN),
        node: word("k8s-master"),
        keep: 2,
        limit: Duration::from_secs(60),
    }
}

fn files(node: &Node, folder: &str) -> Vec<String> {
    let Ok(found) = fs::read_dir(node.root_path(folder)) else { return Vec::new() };
    let mut files: Vec<String> = found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

/// Into etcd's own folder, where alone its container can write, and out of it at once; by crictl, and by ctr where there is none.
#[test]
fn a_snapshot_is_taken_in_etcds_container_and_kept_by_root_alone() {
    for without in [&[][..], &["crictl"]] {
        let node = control_plane();
        node.without(without);
        assert_eq!(node.run(&look()).unwrap(), EtcdHere { bytes: 2 << 20, data: word("/var/lib/etcd") });
        assert_eq!(files(&node, FOLDER), [""; 0], "a look writes nothing");
        let taken = node.run(&take()).unwrap();
        assert_eq!((taken.path.as_str(), taken.bytes), (&*format!("/{FOLDER}/{NAME}"), 4128));
        assert_eq!(taken.made, Some(Made { revision: 100, hash: 3_735_928_559 }));
        assert_eq!((files(&node, FOLDER), files(&node, DATA)), (vec![NAME.to_owned()], vec!["member".to_owned()]));
        for (path, mode) in [(FOLDER.to_owned(), 0o700), (format!("{FOLDER}/{NAME}"), 0o600)] {
            assert_eq!(fs::metadata(node.root_path(&path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
        }
        let client = "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
                      --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";
        let calls = node.calls();
        let entered = calls.iter().filter(|call| call.contains(" exec ") && call.contains(client)).count();
        assert_eq!(entered, 2, "{calls:#?}");
        // The same run again.
        let again = node.run(&take()).unwrap();
        assert_eq!((again.made, again.bytes), (None, 4128));
        assert_eq!(node.calls().iter().filter(|call| call.contains("snapshot save")).count(), 1);
    }
}

#[test]
fn one_that_is_not_whole_is_taken_anew() {
    let node = control_plane();
    node.root(&format!("{FOLDER}/{NAME}"), "half");
    assert!(node.run(&take()).unwrap().made.is_some());
    assert_eq!(fs::metadata(node.root_path(&format!("{FOLDER}/{NAME}"))).unwrap().len(), 4128);
}

/// What a killed one left is gone, whatever becomes of the next.
#[test]
fn what_etcd_says_no_to_leaves_nothing() {
    type Spoil = fn(&Node);
    let cases: [(Spoil, Class, &str); 6] = [
        (|node| node.state("etcd-away", ""), Class::Unreachable, "etcd does not answer: "),
        (|node| node.state("save-fails", ""), Class::Step, "etcdctl has saved no snapshot: "),
        (|node| node.state("unsound", ""), Class::Step, "etcdutl finds the snapshot unsound: "),
        (|node| node.state("snapshot-revision", "99"), Class::Step, "is of revision 99, and etcd was at 100"),
        (|node| node.state("snapshot.db", "torn"), Class::Step, "does not end with the hash"),
        (|node| node.state("etcd-containers", ""), Class::Hold, "no container of etcd runs on this node"),
    ];
    for (spoil, class, says) in cases {
        let node = control_plane();
        node.root(&format!("{DATA}/k8s-upgrade-snapshot-4711.db.part"), "half of one");
        spoil(&node);
        let cause = node.run(&take()).unwrap_err();
        assert!(cause.class == class && cause.what.contains(says), "{cause}");
        assert_eq!((files(&node, FOLDER), files(&node, DATA)), (vec![], vec!["member".to_owned()]), "{says}");
    }
}

#[test]
fn what_it_cannot_be_taken_of_is_refused() {
    type Spoil = fn(&Node);
    let gone = |node: &Node| fs::remove_file(node.root_path("etc/kubernetes/manifests/etcd.yaml")).unwrap();
    let external = |node: &Node| {
        fs::remove_file(node.root_path("etc/kubernetes/manifests/etcd.yaml")).unwrap();
        node.root("etc/kubernetes/manifests/kube-apiserver.yaml", "    - --etcd-servers=https://10.0.0.9:2379\n");
    };
    let cases: [(Spoil, &str); 7] = [
        (gone, "no etcd of kubeadm's is on this node"),
        (external, "etcd is external (https://10.0.0.9:2379)"),
        (|node| node.root("etc/kubernetes/manifests/etcd.yaml", "    - etcd\n"), "its manifest has no --data-dir"),
        (
            |node| node.root("etc/kubernetes/manifests/etcd.yaml", &MANIFEST.replace("/var/lib/etcd", "/srv/etcd")),
            "its data is not in /srv/etcd on this node",
        ),
        (|node| node.state("df", "Avail\n  257M\n"), "/var/lib/etcd has 257 MiB free, an etcd snapshot needs 258 MiB"),
        (|node| node.state("no-etcdutl", ""), "whose image has it from etcd 3.5 on"),
        (|node| node.without(&["crictl", "ctr"]), "no crictl is on this node"),
    ];
    for (spoil, says) in cases {
        let node = control_plane();
        spoil(&node);
        let cause = node.run(&look()).unwrap_err();
        assert!(cause.class == Class::Refused && cause.what.contains(says), "{cause}");
    }
}

/// Only what bears a name of ours and this node's, and never the newest.
#[test]
fn the_oldest_of_its_own_go() {
    let node = control_plane();
    let others = ["etcd.db", "k8s-upgrade-1.35.4-5f3a21bc-k8s-master2.db", "k8s-upgrade-1.35.4-mine-k8s-master.db"];
    let old = [
        "k8s-upgrade-1.34.1-00000001-k8s-master.db",
        "k8s-upgrade-1.34.2-00000002-k8s-master.db",
        "k8s-upgrade-1.35.4-00000003-k8s-master.db",
    ];
    for (age, name) in others.iter().chain(&old).rev().enumerate() {
        node.root(&format!("{FOLDER}/{name}"), "x");
        let file = fs::File::options().append(true).open(node.root_path(&format!("{FOLDER}/{name}"))).unwrap();
        let day = Duration::from_secs(86_400 * (1 + age as u64));
        file.set_modified(std::time::SystemTime::now() - day).unwrap();
    }
    node.run(&take()).unwrap();
    let mut wanted = vec![others[0], others[1], others[2], old[2], NAME];
    wanted.sort_unstable();
    assert_eq!(files(&node, FOLDER), wanted);
}

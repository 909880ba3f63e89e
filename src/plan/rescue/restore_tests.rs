//! What a host says makes the plan.

use super::super::card::Card;
use super::super::hosts::{Copy, Package, Snapshot, Unit, Work};
use super::*;

const NODE: &str = "k8s-master";

fn image(pod: &str, version: &str) -> String {
    if pod == ETCD { format!("registry.k8s.io/etcd:{version}") } else { format!("registry.k8s.io/{pod}:v{version}") }
}

fn copy(pod: &str, version: &str, run: &str) -> Copy {
    let path = format!("/etc/kubernetes/tmp/kubeadm-backup-manifests-{run}/{pod}.yaml");
    Copy { pod: pod.to_owned(), image: image(pod, version), at: format!("2026-11-22T12:{run}:00Z"), path }
}

/// kubeadm was cut after the API server, and the second run, too: two folders.
fn half() -> Found {
    let packages = ["kubeadm=1.34.2-1.1", "kubelet=1.34.2-1.1", "kubectl=1.34.2-1.1"].map(str::to_owned).to_vec();
    let card = Card {
        run: "r1".to_owned(),
        from: "1.34.2".to_owned(),
        to: "1.34.7".to_owned(),
        snapshot: "/backup/etcd.db".to_owned(),
        bytes: 5000,
        hash: "sha256 0bad".to_owned(),
        packages: vec![(NODE.to_owned(), packages)],
    };
    let pods =
        [(ETCD, "3.6.6-0"), ("kube-apiserver", "1.34.7"), ("kube-controller-manager", "1.34.7"), ("kube-scheduler", "1.34.2")];
    let package = Package { name: "kubelet".into(), version: "1.34.2-1.1".into(), letters: "hi".into(), held: true, whole: true };
    Found {
        kubelet: "active".to_owned(),
        packages: vec![package],
        static_pods: pods.map(|(pod, version)| (pod.to_owned(), image(pod, version))).to_vec(),
        copies: vec![
            copy(ETCD, "3.6.5-0", "01"),
            copy("kube-apiserver", "1.34.2", "01"),
            copy("kube-controller-manager", "1.34.2", "02"),
        ],
        former: vec![("1.34.2".to_owned(), "/var/lib/k8s-upgrade/former-1.34.2".to_owned())],
        card: Some(("/var/lib/k8s-upgrade/restore-r1.txt".to_owned(), Some(card))),
        ..Found::default()
    }
}

fn said(found: &Found, label: &str) -> String {
    let restore = restore(NODE, found, &Answer::Known(Some((5000, "0bad".to_owned()))), &[], None);
    restore.known.iter().filter(|(of, _)| *of == label).map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; ")
}

fn plan(found: &Found) -> String {
    restore(NODE, found, &Answer::Known(None), &[], None).plan.join("\n") + "\n"
}

#[test]
fn copies_of_all_runs_are_put_back_and_what_is_as_it_was_is_not() {
    let text = plan(&half());
    let copied: Vec<&str> = text.lines().filter(|line| line.contains("kubeadm-backup-manifests")).collect();
    let wanted = ["01/etcd", "01/kube-apiserver", "02/kube-controller-manager"]
        .map(|file| format!("  cp /etc/kubernetes/tmp/kubeadm-backup-manifests-{file}.yaml /root/manifests/"));
    assert_eq!(copied, wanted);
    for line in [
        "install -D -m 0600 /backup/etcd.db /var/lib/etcd/restored/snapshot.db\n",
        "install -y --allow-downgrades kubeadm=1.34.2-1.1 kubelet=1.34.2-1.1 kubectl=1.34.2-1.1\n",
        "cp -p /var/lib/k8s-upgrade/former-1.34.2/* /var/lib/kubelet/",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(said(&half(), "MISSING"), "");
}

#[test]
fn a_control_plane_that_kubeadm_has_not_touched_needs_no_restore() {
    let mut found = half();
    assert_eq!(said(&found, "so"), "");
    found.copies.clear();
    found
        .static_pods
        .iter_mut()
        .for_each(|(pod, tag)| *tag = if pod == ETCD { image(pod, "3.6.5-0") } else { image(pod, "1.34.2") });
    assert!(said(&found, "so").starts_with("the manifests are those of 1.34.2 still"));
}

#[test]
fn a_lost_copy_is_named() {
    let mut found = half();
    found.copies.retain(|copy| copy.pod != "kube-apiserver");
    assert_eq!(
        said(&found, "MISSING"),
        "no copy of the manifest of kube-apiserver at 1.34.2 is left: set the image in it by hand"
    );
    // One of another release is no copy of what was.
    found.copies.push(copy("kube-apiserver", "1.33.9", "03"));
    assert!(said(&found, "MISSING").contains("kube-apiserver"));
}

#[test]
fn the_snapshot_is_compared_with_the_card() {
    let told = |file: SnapshotFile| {
        let known = restore(NODE, &half(), &file, &[], None).known;
        known.into_iter().find(|(label, _)| *label == "snapshot").map(|(_, text)| text).unwrap_or_default()
    };
    let known = |bytes, hash: &str| Answer::Known(Some((bytes, hash.to_owned())));
    assert_eq!(told(known(5000, "0bad")), "/backup/etcd.db: there, 5000 bytes, and its hash is the card's");
    assert!(told(known(5000, "1bad")).contains("NOT what the card describes"));
    assert!(told(known(4000, "0bad")).contains("NOT what the card describes"));
    assert!(told(Answer::Known(None)).contains("NOT on this host"));
    assert!(told(Answer::Unknown("lost".to_owned())).ends_with("is not known: lost"));
}

#[test]
fn without_a_card_it_says_so_and_knows_what_is_kept() {
    let mut found = Found { card: None, ..half() };
    assert_eq!(said(&found, "before"), "1.34.2, as what is kept says; there is no restore card on this host");
    assert_eq!(said(&found, "snapshot"), "none is on record here; the setting snapshot-folder shows what there is");
    let text = plan(&found);
    assert!(text.contains("-m 0600 SNAPSHOT "), "{text}");
    assert!(text.contains("--allow-downgrades 'kubeadm=1.34.2-*' 'kubelet=1.34.2-*' 'kubectl=1.34.2-*'"), "{text}");
    found.snapshots = vec![Snapshot { path: "/backup/a.db".into(), bytes: 7, at: "2026-11-22T12:00:00Z".into() }];
    assert_eq!(said(&found, "snapshot"), "none is on record here; on this host are");
    assert!(said(&found, "").ends_with("/backup/a.db (7 bytes, of 2026-11-22T12:00:00Z)"));
    // Last of all, kubeadm's copy of the API server tells the release.
    found.former.clear();
    assert!(said(&found, "before").starts_with("1.34.2,"));
    found.copies.clear();
    assert_eq!(said(&found, "before"), "nothing on this host says what it ran before an upgrade");
    assert!(plan(&found).contains("kubeadm=VERSION "));
}

#[test]
fn what_runs_is_waited_for_and_other_control_planes_are_named() {
    let work = Work { step: "kubeadm-upgrade".into(), target: "1.34.7".into(), run: "r1".into(), end: End::Running };
    let found = Found { unit: Unit { work: Some(work), log: Vec::new() }, ..half() };
    assert_eq!(said(&found, "unit"), "kubeadm-upgrade to 1.34.7 (run r1) is running: WAIT for its end before anything else");
    let host = |node: &str, found| Asked { node: node.to_owned(), address: String::new(), found };
    let others = [host(NODE, Ok(half())), host("k8s-master2", Ok(half())), host("k8s-node1", Ok(Found::default()))];
    let known = restore(NODE, &half(), &Answer::Known(None), &others, None).known;
    assert_eq!(known.last().unwrap().1, "k8s-master2: their packages and manifests by the same command for each");
}

#[test]
fn several_members_are_restored_as_one_cluster() {
    let peer = |name: &str, last: u8| Some(Peer { name: name.to_owned(), url: format!("https://10.0.20.{last}:2380") });
    let host = |node: &str, found| Asked { node: node.to_owned(), address: String::new(), found };
    let first = Found { peer: peer(NODE, 1), ..half() };
    let others = [
        host(NODE, Ok(first.clone())),
        host("k8s-master2", Ok(Found { peer: peer("k8s-master2", 2), ..half() })),
        host("k8s-master3", Err(crate::failure::Cause::unreachable("away"))),
        host("k8s-node1", Ok(Found::default())),
    ];
    let copy = "ssh there | ssh here".to_owned();
    let restore = restore(NODE, &first, &Answer::Known(None), &others, Some(copy.clone()));
    assert_eq!(restore.plan[2], format!("  {copy}"));
    let text = restore.plan.join("\n");
    assert!(text.contains(" --initial-cluster=k8s-master=https://10.0.20.1:2380,k8s-master2=https://10.0.20.2:2380 "), "{text}");
    let (stop, rest) = text.split_once("Once all of them are stopped").expect("two parts");
    assert!(stop.contains("mv /etc/kubernetes/manifests/*.yaml") && rest.contains("etcdutl snapshot restore"), "{text}");
    assert!(
        restore.known.iter().any(|(label, text)| *label == "silent" && text.starts_with("k8s-master3: ")),
        "{:?}",
        restore.known
    );
}

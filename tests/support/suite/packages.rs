//! What a machine says of itself, where its packages come from, and its files.

use std::time::Duration;

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{
    self, AskDeprecated, AskServers, Available, CheckCertificates, Deprecated, Identify, Images, ImagesThere, Inspect,
    LookAtEtcd, LookBack, MoveLeader, Past, Prefetch, ReadPatches, Refresh, RefreshAll, Said, SnapshotHash, Step, TakeSnapshot,
    Trial, WorkState, WriteCard,
};
use k8s_upgrade::packages::IN_USE;
use k8s_upgrade::words::{HostPath, ImageName, Revision};

use super::{Machine, standing, word};

fn offered(machine: &mut dyn Machine) -> Vec<Revision> {
    machine.run(&Available { package: "kubeadm" }).unwrap()
}

pub fn a_machine_says_what_it_is(machine: &mut dyn Machine) {
    let state = machine.inspect();
    let whole = |name: &str| (name.to_owned(), "hi".to_owned(), "1.35.4-1.1".to_owned());
    assert_eq!(standing(&state), ["kubeadm", "kubelet", "kubectl"].map(whole));
    assert_eq!(state.holds, ["kubeadm", "kubectl", "kubelet"]);
    assert_eq!((state.kubelet.as_deref(), state.kubeadm.as_deref()), (Some("active"), Some("1.35.4")));
    let sources: Vec<(&str, &str)> = state.sources.iter().map(|source| (source.file.as_str(), source.minor.as_str())).collect();
    assert_eq!(sources, [("/etc/apt/sources.list.d/kubernetes.list", "1.35")]);
    assert!(state.sources[0].url.ends_with("/core:/stable:/v1.35/deb"), "{state:?}");
    assert_eq!(state.strangers, [], "nothing else offers kubeadm");
    let free: Vec<&str> = state.free.iter().map(|free| free.path.as_str()).collect();
    assert_eq!(free[..3], ["/var/cache/apt", "/usr", "/etc/kubernetes"]);
    assert!(!state.kernel.is_empty());
    assert_eq!((state.audit.len(), state.stray_manifests.len(), state.work.state), (0, 0, WorkState::None));
}

pub fn the_repository_moves_and_lists_follow(machine: &mut dyn Machine) {
    assert_eq!(offered(machine), ["1.35.4-1.1"]);
    for _ in 0..2 {
        machine.move_repository("1.36.3").unwrap();
        assert_eq!(offered(machine), ["1.36.3-1.1", "1.36.1-1.1"]);
        let sources = machine.inspect().sources;
        let url = IN_USE.repository_of(&word(machine.packages_url()), "1.36");
        assert_eq!(sources.iter().map(|source| (&*source.minor, &*source.url)).collect::<Vec<_>>(), [("1.36", &*url)]);
    }
}

pub fn a_release_that_is_not_offered_moves_nothing(machine: &mut dyn Machine) {
    let cause = machine.move_repository("1.36.9").unwrap_err();
    assert!(cause.class == Class::Hold && cause.what.contains("does not offer kubeadm 1.36.9"), "{cause}");
    machine.offline(true);
    assert_eq!(machine.move_repository("1.36.3").unwrap_err().class, Class::Unreachable);
    assert_eq!(machine.inspect().sources[0].minor, "1.35");
    assert_eq!(offered(machine), ["1.35.4-1.1"]);
}

pub fn a_list_is_what_the_last_refresh_found(machine: &mut dyn Machine) {
    machine.run(&Refresh::default()).unwrap();
    machine.offline(true);
    assert_eq!(machine.run(&Refresh::default()).unwrap_err().class, Class::Unreachable);
    assert_eq!(offered(machine), ["1.35.4-1.1"], "the former one stays");
    machine.offline(false);
    machine.run(&Refresh::default()).unwrap();
}

/// Of every source; what cannot be fetched stays as it was. A node need not have a source of its runtime.
pub fn all_lists_are_read_anew(machine: &mut dyn Machine) {
    let state = machine.inspect();
    let package = ["containerd.io", "containerd"].into_iter().find(|name| state.package(name).is_some());
    let runtimes = Available { package: package.expect("containerd is a package there") };
    let known = machine.run(&runtimes).unwrap();
    for offline in [false, true] {
        if offline {
            machine.offline(true);
        }
        machine.run(&RefreshAll).unwrap();
        assert_eq!(offered(machine), ["1.35.4-1.1"]);
        assert_eq!(machine.run(&runtimes).unwrap(), known);
    }
    machine.offline(false);
}

/// Packages and images; a second time nothing is left to fetch. Nothing is installed by it.
pub fn what_is_fetched_is_there(machine: &mut dyn Machine) {
    machine.moved();
    let prefetch = |target: &str| Prefetch { target: word(target), control_plane: false, images: Images::default() };
    let before = standing(&machine.inspect());
    let fetched = machine.run(&prefetch("1.36.3")).unwrap();
    let packages: Vec<String> = fetched.packages.iter().map(|(name, revision)| format!("{name}={revision}")).collect();
    assert_eq!(packages, ["kubeadm=1.36.3-1.1", "kubelet=1.36.3-1.1", "kubectl=1.36.3-1.1"]);
    let images = ["registry.k8s.io/kube-proxy:v1.36.3", "registry.k8s.io/pause:3.10.2"].map(word::<ImageName>);
    assert_eq!((fetched.pulled.as_slice(), fetched.present.len()), (&images[..], 0));
    let again = machine.run(&prefetch("1.36.3")).unwrap();
    assert_eq!((again.pulled.len(), again.present.as_slice()), (0, &images[..]));
    assert_eq!(standing(&machine.inspect()), before);
    let cause = machine.run(&prefetch("1.36.9")).unwrap_err();
    let says = "the repository of this node does not offer kubeadm 1.36.9";
    assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, says));
    machine.free(12);
    let cause = machine.run(&prefetch("1.36.1")).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("the disk is full"), "{cause}");
}

/// The last part of an image's name is asked for, whatever its registry; a runtime without one has none.
pub fn the_runtime_names_its_images(machine: &mut dyn Machine) {
    let there = |name: &str| ImagesThere { name: word(name) };
    let proxies = machine.run(&there("kube-proxy")).unwrap();
    assert!(proxies.iter().any(|image| image.contains("/kube-proxy:v1.")), "{proxies:?}");
    assert!(proxies.iter().all(|image| image.contains("/kube-proxy")), "{proxies:?}");
    for other in ["kube", "registry.k8s.io", "kube-proxy2"] {
        assert_eq!(machine.run(&there(other)).unwrap().len(), 0, "{other}");
    }
}

/// The binaries of another minor and of its own are asked; whatever comes of it, the machine stays as it was.
pub fn the_targets_binaries_are_tried(machine: &mut dyn Machine) {
    let keys = machine.package_keys();
    let base = machine.packages_url().to_owned();
    let flags = machine.kubeadm_flags();
    let trial = |target: &str| Trial {
        packages: word(&base),
        target: word(target),
        keys: keys.clone(),
        first_control_plane: false,
        flags: flags.clone(),
    };
    let before = (standing(&machine.inspect()), machine.inspect().sources, machine.inspect().holds);
    for target in ["1.36.3", "1.35.4"] {
        let tried = machine.run(&trial(target)).unwrap();
        assert!(tried.refused.is_empty() && tried.objections.is_empty() && tried.cgroup.is_some(), "{target}: {tried:?}");
    }
    for (target, says) in
        [("1.36.9", "does not offer kubeadm 1.36.9 yet"), ("1.35.9", "its repository does not offer kubeadm 1.35.9 yet")]
    {
        let cause = machine.run(&trial(target)).unwrap_err();
        assert!(cause.class == Class::Hold && cause.what.contains(says), "{cause}");
    }
    machine.offline(true);
    for target in ["1.36.3", "1.35.4"] {
        assert_eq!(machine.run(&trial(target)).unwrap_err().class, Class::Unreachable, "{target}");
    }
    machine.offline(false);
    assert_eq!((standing(&machine.inspect()), machine.inspect().sources, machine.inspect().holds), before);
    assert_eq!(offered(machine), ["1.35.4-1.1"], "its own lists are the former ones");
    machine.free(12);
    let cause = machine.run(&trial("1.36.3")).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("the disk is full"), "{cause}");
}

pub fn files_are_hashed_and_written(machine: &mut dyn Machine) {
    let hash = |path: &str| SnapshotHash { path: word(path) };
    assert_eq!(machine.run(&hash("/backup/etcd.db")).unwrap(), None);
    machine.file("/backup/etcd.db", 5000);
    let info = machine.run(&hash("/backup/etcd.db")).unwrap().unwrap();
    assert_eq!((info.bytes, info.sha256.len()), (5000, 64));
    for content in ["first\n", "it's $HOME\n\n"] {
        let card = WriteCard { name: "restore.md".to_owned(), content: content.to_owned() };
        assert_eq!(machine.run(&card).unwrap(), "/var/lib/k8s-upgrade/restore.md");
    }
    for name in ["../etc/passwd", "work/status", ".hidden", ""] {
        let card = WriteCard { name: name.to_owned(), content: String::new() };
        assert_eq!(machine.run(&card).unwrap_err().class, Class::Refused, "{name}");
    }
}

pub fn patches_are_what_kubeadm_reads(machine: &mut dyn Machine) {
    let patches = ReadPatches { folder: word("/etc/kubernetes/patches") };
    assert_eq!(machine.run(&patches).unwrap(), []);
    for name in ["README", "own.yaml", "etcd.yaml.bak", "kubeletconfiguration1+merge.yaml"] {
        machine.file(&format!("/etc/kubernetes/patches/{name}"), 20);
    }
    let names: Vec<String> = machine.run(&patches).unwrap().iter().map(|file| file.name.to_string()).collect();
    assert_eq!(names, ["kubeletconfiguration1+merge.yaml"]);
}

pub fn a_machine_looks_back(machine: &mut dyn Machine) {
    let none = LookBack::default();
    assert_eq!(machine.run(&none).unwrap(), Past::default());
    machine.file("/backup/etcd one.db", 5000);
    machine.file("/backup/older/etcd.db", 5000);
    let card =
        WriteCard { name: "restore-r1.txt".to_owned(), content: "Restore card\n\n  k8s-node1: kubelet=1.35.4-1.1\n".to_owned() };
    machine.run(&card).unwrap();
    machine.moved();
    machine.perform(Step::KubeadmPackage, "1.36.3").unwrap();
    machine.perform(machine.upgrade(), "1.36.3").unwrap();
    let past = machine.run(&LookBack { snapshots: Some(word("/backup")) }).unwrap();
    assert_eq!(past.former, [(word("1.35.4"), word("/var/lib/k8s-upgrade/former-1.35.4"))]);
    let (at, path, text) = past.card.unwrap();
    assert_eq!((path.as_str(), text), ("/var/lib/k8s-upgrade/restore-r1.txt", card.content));
    let found: Vec<_> = past.snapshots.iter().map(|snapshot| (snapshot.path.as_str(), snapshot.bytes)).collect();
    assert_eq!(found, [("/backup/etcd one.db", 5000)]);
    for at in [&at, &past.snapshots[0].at] {
        assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    }
    assert_eq!(machine.run(&none).unwrap().snapshots, []);
}

/// That one is taken of a control plane's, bash with stubs, the simulations and the lab's test of snapshots show.
pub fn a_worker_has_no_etcd(machine: &mut dyn Machine) {
    let folder: HostPath = word("/var/backups/k8s-upgrade");
    let target = word("1.36.3");
    let take = TakeSnapshot {
        folder: folder.clone(),
        target,
        run: word(super::RUN),
        node: word("k8s-node1"),
        keep: 1,
        limit: Duration::from_secs(60),
    };
    let causes = [machine.run(&LookAtEtcd { folder }).map(drop), machine.run(&take).map(drop)];
    for cause in causes.map(Result::unwrap_err) {
        assert!(cause.class == Class::Refused && cause.what.contains("no etcd of kubeadm's is on this node"), "{cause}");
    }
}

/// What those of a control plane say, bash with stubs and the simulations show.
pub fn a_worker_has_no_servers_to_ask(machine: &mut dyn Machine) {
    let servers = machine.run(&AskServers).unwrap();
    let none = |of: &str| Said::Absent(format!("there is no manifest of an {of} on this node"));
    assert_eq!((servers.api, servers.etcd, servers.member), (none("API server"), none("etcd"), None));
    let cause = machine.run(&MoveLeader { to: word("8e9e05c52164694d") }).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("no etcd of kubeadm's is on this node"), "{cause}");
}

/// There is no authority on it, without which kubeadm looks at none.
pub fn a_worker_has_no_certificates_to_check(machine: &mut dyn Machine) {
    let cause = machine.run(&CheckCertificates).unwrap_err();
    assert!(cause.class == Class::Step && cause.what.contains("kubeadm certs check-expiration failed (exit 1)"), "{cause:?}");
}

/// The same of what is called that is deprecated.
pub fn a_worker_has_no_calls_to_count(machine: &mut dyn Machine) {
    let why = "there is no manifest of an API server on this node".to_owned();
    assert_eq!(machine.run(&AskDeprecated).unwrap(), Deprecated::Unasked(why));
}

pub fn a_machine_shows_whose_it_is(m: &mut dyn Machine) {
    let shown = m.run(&Identify).unwrap();
    assert!(shown.certificate.as_ref().is_ok_and(|pem| pem.contains("-----BEGIN CERTIFICATE-----")), "{shown:?}");
    assert!(!format!("{shown:?}").contains("PRIVATE"), "the key stays where it is");
    let (machine_id, boot_id) = (shown.machine_id.unwrap(), shown.boot_id.unwrap());
    let there = node::Machine { machine_id: machine_id.clone(), boot_id };
    let output = m.answer(&node::stdin_on(&Identify, &there));
    assert_eq!(node::read(&Identify, &output).unwrap().machine_id, Some(machine_id));
    let elsewhere = node::Machine { machine_id: "0123456789abcdef0123456789abcdef".parse().unwrap(), ..there };
    let output = m.answer(&node::stdin_on(&Inspect::default(), &elsewhere));
    assert!(node::is_elsewhere::<Inspect>(&output), "{output:?}");
}

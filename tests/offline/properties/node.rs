//! What nodes print: every operation's answer, through the one door by which it comes in.

use std::time::Duration;

use k8s_upgrade::failure::Cause;
use k8s_upgrade::node::{self, *};
use k8s_upgrade::plan::model::certificates::Certificates;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::words::HostPath;
use k8s_upgrade::world::HostOutput;

use super::ends;

/// The sample bodies are wrapped as a script wraps them, so that the sentinels are broken, too.
fn answers<O: Operation>(op: &O, bodies: &[&str]) {
    let name = O::NAME;
    let wrapped: Vec<String> =
        bodies.iter().map(|body| format!("@k8s-upgrade begin {name}\n{body}\n@k8s-upgrade end {name} 0\n")).collect();
    let samples: Vec<&str> = wrapped.iter().map(String::as_str).collect();
    ends(&samples, |text| answer(op, text).ok());
}

fn answer<O: Operation>(op: &O, text: &str) -> Result<O::Output, Cause> {
    node::read(op, &HostOutput { stdout: text.to_owned(), stderr: text.to_owned(), host_key: String::new() })
}

const RELEASE: Version = Version::new(1, 36, 3);
const BOOT: &str = "boot-id 0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e";

#[test]
fn inspect() {
    let state = [
        BOOT,
        "kernel 6.1.0-18-amd64",
        "package kubeadm hi 1.35.4-1.1",
        "package kubelet iU 1.36.3-1.1",
        "hold kubeadm",
        "audit The following packages are only half configured",
        "free 1073741824 /var/lib/containerd",
        "kubelet active",
        "kubelet-config maxPods: 110",
        "kubeadm v1.35.4",
        "source 1.36 https://pkgs.example/core:/stable:/v1.36/deb /etc/apt/sources.list.d/kubernetes.list",
        "stranger https://nexus.example/k8s-1.36 /etc/apt/sources.list.d/nexus.sources",
        "stranger file:/srv/k8s -",
        "stray /etc/kubernetes/manifests/etcd.yaml.bak",
        "leftovers 4096",
        "work failed kubeadm-upgrade 1.36.3 5f3a21bc 1",
        "# looks around",
    ];
    answers(&Inspect::default(), &[&(state.join("\n") + "\n"), &format!("{BOOT}\nkubelet inactive\nwork none\n")]);
}

#[test]
fn identify() {
    let whose = [
        "machine-id 0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e",
        BOOT,
        "certificate -----BEGIN CERTIFICATE-----",
        "certificate MIIBszCCAVmgAwIBAgIUAKk=",
        "certificate -----END CERTIFICATE-----",
    ];
    answers(&Identify, &[&(whose.join("\n") + "\n"), "none there is no such file\n"]);
}

#[test]
fn look_back() {
    let past = [
        "static-pod registry.k8s.io/kube-apiserver:v1.36.3 kube-apiserver",
        "peer https://10.0.20.100:2380 k8s-master",
        "manifest registry.k8s.io/etcd:3.6.6-0 2026-11-22T12:04:00Z /etc/kubernetes/tmp/kubeadm backup/etcd.yaml",
        "etcd-data 2026-11-22T12:04:00Z /etc/kubernetes/tmp/kubeadm-backup-etcd",
        "former 1.35.4 /var/lib/k8s-upgrade/former/1.35.4",
        "card 2026-11-22T12:04:00Z /var/lib/k8s-upgrade/restore-5f3a21bc.txt",
        "card-line Restore card of run 5f3a21bc: 1.35.4 -> 1.36.3",
        "snapshot 4575264 2026-11-22T12:03:00Z /backup/etcd 1.db",
    ];
    answers(&LookBack::default(), &[&(past.join("\n") + "\n"), ""]);
}

#[test]
fn work() {
    let begin = Begin { step: Step::KubeadmPackage, target: RELEASE.into(), run: "5f3a21bc".parse().unwrap() };
    answers(&begin, &["started\n", "# waits 30 s for a lock\nattached\n"]);
    let follow = Follow { from: 0, wait: Follow::MAX_WAIT };
    answers(
        &follow,
        &[
            "| Setting up kubeadm\noffset 4096\nwork running kubeadm-package 1.36.3 5f3a21bc\n",
            "offset 9\nwork killed kubeadm-upgrade 1.36.3 5f3a21bc oom-kill\nlast ! no space left\nlast it failed\n",
            "work interrupted kubelet-packages 1.36.3 5f3a21bc reboot\n",
        ],
    );
}

#[test]
fn keys() {
    let look = LookAtKeys { user: "wizard".parse().unwrap(), of: vec!["AAAA".parse().unwrap()] };
    let there =
        "keys 3\nmarked 1\nhas AAAA\nours AAAA\nelsewhere AAAA /etc/ssh/keys/wizard two\nunread /etc/ssh/%u\nasks /usr/bin/sss\n";
    answers(&look, &[there]);
    let add = AddKey {
        user: "wizard".parse().unwrap(),
        kind: "ssh-ed25519".parse().unwrap(),
        key: "AAAA".parse().unwrap(),
        replaces: Vec::new(),
    };
    answers(&add, &["added 3\n", "present 2\n"]);
    let remove = RemoveKeys { user: "wizard".parse().unwrap(), keep: None, strays: true, gone: Vec::new() };
    answers(&remove, &["removed 1 2\n"]);
}

#[test]
fn packages() {
    let key = format!("key {} 1798502400\nkey {} -\n", "0A".repeat(20), "F".repeat(64));
    answers(&RefreshAll, &["# refreshes\n"]);
    answers(&Refresh::default(), &["# refreshes\n", &format!("{key}unfit https://pkgs.example/core:/stable:/v1.36/deb\n")]);
    let repository = Repository { packages: "https://pkgs.example".parse().unwrap(), target: RELEASE, keys: Vec::new() };
    answers(&repository, &["# adds\n", &key]);
    answers(&Available { package: "kubeadm" }, &["available 1.36.3-1.1\navailable 1.36.2-1.1\n"]);
    answers(&ImagesThere { name: "k8s-upgrade".parse().unwrap() }, &["image docker.io/library/k8s-upgrade:1\n"]);
    let prefetch = Prefetch { target: RELEASE, control_plane: true, images: Images::default() };
    answers(
        &prefetch,
        &["package kubeadm 1.36.3-1.1\npresent registry.k8s.io/pause:3.10\npulled registry.k8s.io/kube-proxy:v1.36.3\n"],
    );
    let trial = Trial {
        packages: "https://pkgs.example".parse().unwrap(),
        target: RELEASE,
        keys: Vec::new(),
        first_control_plane: true,
        flags: Vec::new(),
    };
    answers(
        &trial,
        &[
            "# fetches\ncgroup 2\ntried\n",
            "cgroup 1\nallows-cgroup-1\nrefuses --gone Error: unknown\nset 3 /etc/default/kubelet\nobjects Swap\nnote text\ntried\n",
        ],
    );
    let plan = KubeadmPlan { target: RELEASE, flags: Vec::new() };
    answers(&plan, &["{ \"kind\": \"UpgradePlan\" }\nnote W1122 all fine\nobjects CreateJob\n"]);
}

#[test]
fn files() {
    let hash = "0".repeat(64);
    answers(
        &SnapshotHash { path: "/backup/etcd.db".parse().unwrap() },
        &[&format!("snapshot 4575264 1763812980 whole {hash}\n"), "absent\n"],
    );
    answers(&ReadPatches { folder: "/etc/a".parse().unwrap() }, &["patch etcd+json.yaml\ntext - op: add\ntext \n"]);
    answers(&WriteCard { name: "card".into(), content: String::new() }, &["card /var/lib/k8s-upgrade/restore.txt\n"]);
}

#[test]
fn servers() {
    answers(
        &AskServers,
        &[
            "api well\netcd ill ALARM NOSPACE\n",
            "api unasked curl is missing\netcd well\n",
            "etcd ill\napi absent there is none\n",
            "api well\netcd well\nmember 8e9e05c52164694d\ncounts server_is_leader 1\ncounts server_quota_backend_bytes -1\n",
            "api well\netcd well\ncounts disk_wal_fsync_duration_seconds_sum 1.5e+01\ncounts mvcc_db_total_size_in_bytes 2.5e+07\n",
        ],
    );
    answers(&MoveLeader { to: "8e9e05c52164694d".parse().unwrap() }, &["moved\n", "# moves\nelsewhere\n"]);
}

#[test]
fn deprecated() {
    let call = r#"called {group="",removed_release="1.37",resource="endpoints",subresource="status",version="v1"} 1"#;
    let wrote = "wrote v1/endpoints 12 shop/cart argocd controller";
    answers(&AskDeprecated, &[&format!("started 1.79583564012e+09\n{call}\n{wrote}\nasked\n"), "unasked curl is missing\n"]);
}

#[test]
fn snapshots() {
    let folder: HostPath = "/var/lib/k8s-upgrade/etcd".parse().unwrap();
    answers(
        &LookAtEtcd { folder: folder.clone() },
        &["etcd 20480 /var/lib/etcd\n", "# looks\netcd 4575264 /var/lib/etcd data\n"],
    );
    let take = TakeSnapshot {
        folder,
        target: RELEASE,
        run: "5f3a21bc".parse().unwrap(),
        node: "k8s-master".parse().unwrap(),
        keep: 3,
        limit: Duration::from_secs(600),
    };
    let path = "/var/lib/k8s-upgrade/etcd/k8s-upgrade-1.36.3-5f3a21bc-k8s-master.db";
    let there = format!("snapshot 4575264 {path}\n");
    answers(&take, &[&there, &format!("# saves\nmade 81234 2882343476\n{there}")]);
}

#[test]
fn certificates() {
    let one = "{ \"name\": \"apiserver\", \"expirationDate\": \"2027-07-14T12:34:00Z\", \"externallyManaged\": false }";
    let json = format!("{{ \"certificates\": [{one}], \"certificateAuthorities\": [{one}] }}");
    let table = "CERTIFICATE   EXPIRES   RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED\n\
                 apiserver   Jul 14, 2027 12:34 UTC   364d   ca   no\n!MISSING! etcd-peer\n";
    answers(&CheckCertificates, &[&json, table]);
    ends(&[&json, table], |text| Certificates::read(text).ok());
}

#[test]
fn waits() {
    ends(&["waits 30 s for a lock", "# waits 600 s for another apt", "waits 0 s for x s for y"], |text| {
        node::waits(node::progress(text).unwrap_or(text)).map(|(left, on)| (left, on.to_owned()))
    });
}

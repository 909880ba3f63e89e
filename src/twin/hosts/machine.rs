//! One machine as data: what is installed, what runs, what lies on its disk, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::super::web::UPSTREAM_KEY;
use super::release::{Bundle, COMPONENTS, KUBELET_CONFIG, REGISTRY, images, kubelet_config};
use crate::node::Step;
use crate::plan::model::version::Version;

pub const KERNEL: &str = "6.1.0-28-amd64";
/// Where its one Kubernetes source stands.
pub const SOURCE_FILE: &str = "/etc/apt/sources.list.d/kubernetes.list";
pub const MIB: u64 = 1 << 20;
/// Room on its disk at first.
const FREE: u64 = 40_000 * MIB;
/// Of a member of etcd at first: on disk, in use, its quota.
const ETCD: [u64; 3] = [124 * MIB, 80 * MIB, 2048 * MIB];
/// The folders whose room is looked at, where they exist.
pub const WORKER_FOLDERS: [&str; 3] = ["/var/cache/apt", "/usr", "/etc/kubernetes"];
pub const ETCD_FOLDER: &str = "/var/lib/etcd";

#[derive(Clone)]
pub struct Machine {
    pub address: String,
    pub control_plane: bool,
    /// The SSH user's file: the keys that sshd accepts.
    pub authorized_keys: String,
    /// The other file that sshd reads unless it is told otherwise.
    pub authorized_keys2: String,
    /// Clones may share one.
    pub machine_id: String,
    /// The node that the certificate of its kubelet names; empty: there is no certificate.
    pub kubelet_of: String,
    /// Counts reinstallations of its sshd: each has another host key.
    pub host_keys: u32,
    pub powered: bool,
    /// Power is on, and systemd has not come up yet.
    pub booting: bool,
    /// Counts boots.
    pub boot: u32,
    pub packages: BTreeMap<String, Package>,
    /// The minor that its package source points at: `1.34`.
    pub source: Option<String>,
    /// Where that source leads; None: to upstream's repository.
    pub source_url: Option<String>,
    /// Where another source leads that offers kubeadm as well.
    pub beside: Option<String>,
    /// The fingerprint of the key that source is proved by.
    pub keyring: String,
    /// From then on that key is believed no more; None: it has no end.
    pub keyring_ends: Option<Timestamp>,
    /// A release that the mirror of this machine does not have yet, or not for its architecture.
    pub lacks: Option<Version>,
    /// What the last refresh of the lists found there, newest first.
    pub lists: Vec<String>,
    /// `kubeadm=1.34.7-1.1`, downloaded.
    pub archives: BTreeSet<String>,
    pub images: BTreeSet<String>,
    /// The kubelet that runs: `1.34.2`.
    pub kubelet: String,
    pub kubelet_unit: KubeletUnit,
    /// The containerd that runs.
    pub containerd: String,
    /// Whose packages it takes: what follows the `~` of its first containerd; empty where that is plain.
    pub distribution: String,
    /// Revisions of its containerd's package that its sources offer, beside those that machines of the same distribution began with.
    pub containerd_offers: BTreeSet<String>,
    /// Its lists do not show those yet: its distribution's source was read last before they came.
    pub containerd_unread: bool,
    /// Version of each static pod's manifest (etcd's: `3.6.4-0`).
    pub manifests: BTreeMap<String, String>,
    /// Command of each static pod's container, in its manifest.
    pub commands: BTreeMap<String, Vec<String>>,
    /// When its API server started.
    pub api_started: Timestamp,
    /// Deprecated APIs that this was asked for since, as its metrics have them.
    pub deprecated: BTreeSet<String>,
    /// KUBELET_EXTRA_ARGS in /etc/default/kubelet.
    pub kubelet_flags: Vec<String>,
    /// Its kernel's control groups are set up as version 1.
    pub cgroup_v1: bool,
    /// /var/lib/kubelet/config.yaml.
    pub kubelet_config: Arc<str>,
    /// For which release kubeadm renewed etcd's certificates last.
    pub renewed: Option<String>,
    /// Files in the static-pod folder that nobody means the kubelet to load.
    pub stray_manifests: Vec<String>,
    /// When certificates of kubeadm's end, and authorities; those that are not named last for 300 days, and for years.
    pub ends: BTreeMap<String, Timestamp>,
    /// The keys of its authorities are elsewhere.
    pub external_ca: bool,
    /// What its member of etcd has on disk, in use, and as its quota (bytes).
    pub etcd: [u64; 3],
    pub free: u64,
    pub leftovers: u64,
    pub files: BTreeMap<String, File>,
    pub unit: Option<Unit>,
    /// Runs of `kubeadm upgrade`, by target.
    pub runs: BTreeMap<String, Runs>,
    pub faults: Faults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeletUnit {
    Active,
    Restarting,
    Stopped,
}

#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub bytes: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Of what is text.
    pub text: Option<Arc<str>>,
}

/// How often `kubeadm upgrade` ran on a machine for one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub began: u32,
    pub ended_well: u32,
    /// Began although one had ended well.
    pub again: u32,
    /// Began although packages and kubelet were at the target: the node had finished.
    pub after_all: u32,
}

/// What is wrong with a machine. All of it may be set at any time.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// sshd does not listen until then.
    pub away_until: Option<Timestamp>,
    /// Sessions stand, and nothing happens in them until then.
    pub hangs_until: Option<Timestamp>,
    pub key_refused: bool,
    pub sudo_refused: bool,
    /// What it says to whoever logs in, and does nothing else.
    pub own_words: Option<String>,
    /// So many of the next sessions are cut after their effect.
    pub sessions_cut: u32,
    /// Somebody else's package manager holds the locks until then.
    pub apt_locked_until: Option<Timestamp>,
    /// Neither packages nor images can be fetched until then.
    pub outside_away_until: Option<Timestamp>,
    /// So many of the next runs of `kubeadm upgrade` fail; `u32::MAX`: all.
    pub kubeadm_fails: u32,
    /// The release that `kubeadm upgrade plan` would go to, whatever it is asked.
    pub kubeadm_plans: Option<String>,
    /// What kubeadm's preflight objects to: the name of a check.
    pub kubeadm_objects: Option<String>,
    /// Static pods that run, and that its kubelet reports as not Ready.
    pub unready: BTreeSet<String>,
    /// Its API server says that it is not ready, which its kubelet has not seen.
    pub api_ill: bool,
    /// Nobody can read the metrics of its API server.
    pub metrics_away: bool,
    /// Its member of etcd says that it is not healthy, and why: `ALARM NOSPACE`.
    pub etcd_ill: Option<String>,
    /// Since then the disk of its etcd takes 400 ms for each write.
    pub etcd_slow: Option<Timestamp>,
    /// Its member of etcd gives no leadership away.
    pub leads_on: bool,
    /// Snapshots on it lack their end.
    pub torn_snapshots: bool,
}

/// Packages of containerd: Docker's, and that of distributions.
pub const RUNTIMES: [&str; 2] = ["containerd.io", "containerd"];

impl Machine {
    pub fn new(address: &str, version: &str, containerd: &str, control_plane: bool, key: &str) -> Self {
        let kubernetes = |name: &str| (name.to_owned(), Package::new(&format!("{version}-1.1"), true));
        let mut packages: BTreeMap<_, _> = ["kubeadm", "kubelet", "kubectl"].map(kubernetes).into();
        packages.insert(RUNTIMES[0].to_owned(), Package::new(&format!("{containerd}-1"), false));
        let release = version.parse().ok();
        let manifest = |name: &str| {
            let of = if name == "etcd" {
                release.map_or(String::new(), |v| Bundle::of(v).etcd.to_owned())
            } else {
                version.to_owned()
            };
            (name.to_owned(), of)
        };
        Machine {
            address: address.to_owned(),
            control_plane,
            authorized_keys: format!("{}\n", key.trim()),
            authorized_keys2: String::new(),
            machine_id: String::new(),
            kubelet_of: String::new(),
            host_keys: 1,
            powered: true,
            booting: false,
            boot: 1,
            packages,
            source: release.map(Version::series),
            source_url: None,
            beside: None,
            keyring: UPSTREAM_KEY.to_owned(),
            keyring_ends: None,
            lacks: None,
            lists: vec![format!("{version}-1.1")],
            archives: BTreeSet::new(),
            images: release.map(|version| images(version, control_plane, REGISTRY).into_iter().collect()).unwrap_or_default(),
            kubelet: version.to_owned(),
            kubelet_unit: KubeletUnit::Active,
            containerd: containerd.to_owned(),
            distribution: containerd.split_once('~').map_or("", |(_, distribution)| distribution).to_owned(),
            containerd_offers: BTreeSet::new(),
            containerd_unread: false,
            manifests: if control_plane { COMPONENTS.map(manifest).into() } else { BTreeMap::new() },
            commands: BTreeMap::new(),
            api_started: Timestamp::UNIX_EPOCH,
            deprecated: BTreeSet::new(),
            kubelet_flags: Vec::new(),
            cgroup_v1: false,
            kubelet_config: kubelet_config(KUBELET_CONFIG).into(),
            renewed: None,
            stray_manifests: Vec::new(),
            ends: BTreeMap::new(),
            external_ca: false,
            etcd: ETCD,
            free: FREE,
            leftovers: 0,
            files: BTreeMap::new(),
            unit: None,
            runs: BTreeMap::new(),
            faults: Faults::default(),
        }
    }

    /// Its API server starts, and has counted nothing.
    pub fn api_starts(&mut self, at: Timestamp) {
        self.api_started = at;
        self.deprecated.clear();
    }

    /// Something answers on it.
    pub fn up(&self) -> bool {
        self.powered && !self.booting
    }

    pub fn boot_id(&self, node: &str) -> String {
        let hash = Sha256::digest(format!("{node} {}", self.boot));
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// `type base64`, as a line of known_hosts has it.
    pub fn host_key(&self, node: &str) -> String {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0 ".to_vec();
        blob.extend(Sha256::digest(format!("host key {} of {node}", self.host_keys)));
        format!("ssh-ed25519 {}", BASE64_STANDARD.encode(blob))
    }

    /// The package that its containerd is of: a distribution's own, or Docker's.
    pub fn runtime(&self) -> &'static str {
        RUNTIMES.into_iter().find(|name| self.packages.contains_key(*name)).unwrap_or(RUNTIMES[0])
    }

    /// The release of a package, without its revision, whatever its state.
    pub fn release(&self, package: &str) -> &str {
        self.packages.get(package).map_or("", |package| package.release())
    }

    /// Everything on it is at `target`: nothing is left to do.
    pub fn finished(&self, target: &str) -> bool {
        let whole = |name: &str| self.packages.get(name).is_none_or(|package| package.at(target));
        ["kubeadm", "kubelet", "kubectl"].into_iter().all(whole) && self.kubelet == target
    }
}

/// The machine id of a node's machine, as systemd makes one once.
pub fn machine_id(node: &str) -> String {
    Sha256::digest(format!("machine id of {node}")).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// With revision. While it is being unpacked: the former one.
    pub version: String,
    pub dpkg: Dpkg,
    pub held: bool,
}

/// How far dpkg has come with a package; what a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dpkg {
    Installed,
    /// Cut while unpacking.
    HalfInstalled,
    Unpacked,
    HalfConfigured,
}

impl Package {
    pub fn new(version: &str, held: bool) -> Self {
        Package { version: version.to_owned(), dpkg: Dpkg::Installed, held }
    }

    pub fn letters(&self) -> String {
        let state = match self.dpkg {
            Dpkg::Installed => "i",
            Dpkg::HalfInstalled => "HR",
            Dpkg::Unpacked => "U",
            Dpkg::HalfConfigured => "F",
        };
        format!("{}{state}", if self.held { 'h' } else { 'i' })
    }

    /// Without the revision.
    pub fn release(&self) -> &str {
        self.version.split_once('-').map_or(self.version.as_str(), |(release, _)| release)
    }

    /// Installed, configured, and of that version, whatever its revision.
    pub fn at(&self, version: &str) -> bool {
        self.dpkg == Dpkg::Installed && is(&self.version, version)
    }
}

/// `exact` is that version, whatever its revision.
pub fn is(exact: &str, version: &str) -> bool {
    exact.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The one transient unit of a machine.
#[derive(Clone, Debug)]
pub struct Unit {
    pub step: Step,
    pub target: String,
    pub run: String,
    /// The boot in which it began.
    pub boot: u32,
    pub begun: Timestamp,
    pub end: Option<End>,
    pub log: String,
    /// Tells its timers from those of units before it.
    pub ticket: u64,
    /// When something in it happens next.
    pub next: Timestamp,
}

/// How the unit's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Status(u8),
    /// systemd's word: `signal`, `oom-kill`.
    Killed(String),
}

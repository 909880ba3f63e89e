//! A worker of the lab as a machine of the suite: real apt, dpkg, systemd, kubeadm and kubelet, through the program's own SSH.
//!
//! What the suite says of its machine is made by means of the machine: dpkg unpacks, another process has the lock, a small file system
//! is full, the package server is out of service. Only what a cut leaves in dpkg's status is written there by hand.

use std::time::Duration;

use k8s_upgrade::adapters::Ssh;
use k8s_upgrade::node;
use k8s_upgrade::words::{Fingerprint, Flag};
use k8s_upgrade::world::{Bounds, Host, HostOutput, Hosts, Login};
use tokio::runtime::Runtime;

use super::install::KUBEADM_FLAG;
use super::lab::Lab;
use super::registry::Registry;
use crate::support::suite::{Machine, word};

/// Longer than any session here, and than any unit.
const DEADLINE: Duration = Duration::from_secs(180);
/// What a worker of 1.36.3 needs, and has none of when it is begun with.
const IMAGES: [&str; 2] = ["registry.k8s.io/kube-proxy:v1.36.3", "registry.k8s.io/pause:3.10.2"];

/// What it does for that, as root.
const SCRIPT: &str = include_str!("worker.sh");

pub struct Worker<'a> {
    lab: &'a Lab,
    /// The package server answers everything with 503.
    offline: bool,
    host: Host,
    runtime: Runtime,
    registry: Registry,
}

impl Worker<'_> {
    pub fn new<'a>(lab: &'a Lab, node: &str) -> Worker<'a> {
        let path = "jsonpath={.status.addresses[?(@.type==\"InternalIP\")].address}";
        let address = lab.kubectl(&["get", "node", node, "-o", path]);
        let read = |key| std::fs::read_to_string(lab.env(key)).expect("a file of the lab");
        let known = read("LAB_KNOWN_HOSTS");
        let known_keys: Vec<String> =
            known.lines().filter_map(|line| line.strip_prefix(&format!("{address} "))).map(str::to_owned).collect();
        assert!(!known_keys.is_empty(), "the lab knows no host key of {node} ({address})");
        let login = Login::Key(read("LAB_SSH_KEY").into());
        let host = Host { node: node.to_owned(), address, port: 22, user: lab.env("LAB_SSH_USER").to_owned(), login, known_keys };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let worker = Worker { lab, offline: false, host, runtime, registry: Registry::start(lab) };
        worker.root("keep");
        worker.root(&worker.registry.introduction());
        worker
    }

    /// A line of shell as root, which must succeed; it may use the functions of the script.
    fn root(&self, line: &str) {
        let packages = self.packages_url();
        let whole =
            format!("(set -euo pipefail\npackages={packages}\n{SCRIPT}\n{line}\n) </dev/null 2>&1\nprintf '\\n@end %d' $?\n");
        let output = self.exec(&whole);
        let ended = output.stdout.ends_with("\n@end 0");
        assert!(ended, "{}: {line}: {}{}", self.host.node, output.stdout, output.stderr);
    }

    fn exec(&self, script: &str) -> HostOutput {
        let script = script.to_owned().into();
        self.runtime
            .block_on(Ssh::default().exec(&self.host, node::COMMAND, script, Bounds::new(DEADLINE, 16 << 20), &mut |_| {}))
            .expect("a session")
    }

    /// To how it was when it was begun with.
    pub fn put_back(&mut self) {
        self.offline(false);
        self.root(&format!("put_back {}", IMAGES.join(" ")));
    }
}

impl Machine for Worker<'_> {
    fn answer(&mut self, script: &str) -> HostOutput {
        self.exec(script)
    }
    fn finish(&mut self) {
        self.root("let_end");
    }
    fn package(&mut self, name: &str, letters: &str, version: &str) {
        let state = match letters {
            "hi" => "whole_and_held",
            "iU" => "unpacked",
            "iF" => "half_configured",
            "iHR" => "half_installed",
            other => panic!("{other} is no state that the suite knows"),
        };
        self.root(&format!("{state} {name} {version}"));
    }
    fn free(&mut self, mib: u64) {
        self.root(&format!("fill {mib}"));
    }
    fn locked(&mut self) {
        self.root("take_lock");
    }
    fn offline(&mut self, offline: bool) {
        if offline != self.offline {
            self.lab.tool(&["service", "packages", "mode", if offline { "down" } else { "ok" }]);
            self.offline = offline;
        }
    }
    fn kubeadm_fails_once(&mut self) {
        self.root("kubeadm_fails");
    }
    fn file(&mut self, path: &str, bytes: usize) {
        self.root(&format!("write_file '{path}' {bytes}"));
    }
    fn user(&self) -> &str {
        self.lab.env("LAB_SSH_USER")
    }
    fn packages_url(&self) -> &str {
        self.lab.env("LAB_PACKAGES_URL")
    }
    fn package_keys(&self) -> Vec<Fingerprint> {
        self.lab.env("LAB_PACKAGE_KEYS").split(',').map(word).collect()
    }
    fn kubeadm_flags(&self) -> Vec<Flag> {
        vec![word(KUBEADM_FLAG)]
    }
}

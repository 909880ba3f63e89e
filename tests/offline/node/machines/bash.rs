//! Real bash on a scratch node.

use std::os::unix::fs::MetadataExt;

use k8s_upgrade::world::HostOutput;

use crate::node::bench::Node;
use crate::support::suite::Machine;

pub fn machine() -> Bash {
    let node = Node::new();
    for (minor, versions) in [("v1.35", &["1.35.4-1.1"][..]), ("v1.36", &["1.36.3-1.1", "1.36.1-1.1"])] {
        let all = ["kubeadm", "kubelet", "kubectl"].into_iter().flat_map(|package| versions.iter().map(move |v| (package, v)));
        let mut index: String = all.map(|(package, version)| format!("{package} {version}\n")).collect();
        index.push_str("containerd 1.7.24~ds1-6\n");
        node.state(&format!("upstream/{minor}"), &index);
        node.state(&format!("lists/{minor}"), &index);
    }
    node.forget("lists/v1.36");
    node.source("v1.35");
    node.state("images", "registry.k8s.io/kube-proxy:v1.35.4\nregistry.k8s.io/pause:3.10.1\n");
    node.state("registry", "registry.k8s.io/kube-proxy:v1.36.3\nregistry.k8s.io/pause:3.10.2\n");
    let keys = "home/wizard/.ssh/authorized_keys";
    node.root(keys, "ssh-ed25519 AAAAown k8s-upgrade-key\n");
    let owner = std::fs::metadata(node.root_path(keys)).expect("the file that was just written");
    node.state("passwd", &format!("wizard:x:{}:{}::/home/wizard:/bin/bash\n", owner.uid(), owner.gid()));
    node.root("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    node.root("etc/machine-id", "0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e\n");
    node.root("proc/sys/kernel/random/boot_id", "0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e\n");
    let (certificate, key) = ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n");
    node.root("var/lib/kubelet/pki/kubelet-client-current.pem", &format!("{certificate}{key}"));
    let path = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    node.root("etc/kubernetes/kubelet.conf", &format!("    client-certificate: {path}\n    client-key: {path}\n"));
    Bash(node)
}

pub struct Bash(Node);

impl Machine for Bash {
    fn answer(&mut self, script: &str) -> HostOutput {
        self.0.answer(script)
    }
    fn finish(&mut self) {
        self.0.run_unit();
        if !self.0.read_state("kubeadm-fails").is_empty() {
            self.0.forget("kubeadm-fails");
        }
    }
    fn package(&mut self, name: &str, letters: &str, version: &str) {
        self.0.state(&format!("pkg/{name}"), &format!("{letters} {version}\n"));
    }
    fn free(&mut self, mib: u64) {
        self.0.state("df", &format!("Avail\n  {mib}M\n"));
    }
    fn locked(&mut self) {
        self.0.state("locked", "");
    }
    fn offline(&mut self, offline: bool) {
        if offline { self.0.state("offline", "") } else { self.0.forget("offline") }
    }
    fn kubeadm_fails_once(&mut self) {
        self.0.state("kubeadm-fails", "error: it does not want to\n");
    }
    fn file(&mut self, path: &str, bytes: usize) {
        self.0.root(path.trim_start_matches('/'), &"x".repeat(bytes));
    }
}

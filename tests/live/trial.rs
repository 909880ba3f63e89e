//! What the target's own kubelet and kubeadm refuse, found while every node serves.

use std::time::Duration;

use serde_json::json;

use super::refusals::{Refusals, TARGET};

impl Refusals<'_> {
    /// The lab's kernel has control groups of version 1, and a kubelet's file may hold a flag that only the next one reads.
    pub fn the_trial(&self) {
        let lab = self.lab;
        lab.phase("the trial with the target's own binaries");
        let preflight = ["preflight", "--target", TARGET];
        if lab.on("k8s-node1", "stat -fc %T /sys/fs/cgroup").trim() == "cgroup2fs" {
            lab.say("    this kernel has control groups of version 2 alone: nothing to refuse");
        } else {
            let map = ["-n", "kube-system", "get", "configmap", "kubelet-config"];
            let kubelet = lab.json(&map)["data"]["kubelet"].as_str().expect("the kubelets' configuration").to_owned();
            let write = |text: &str| {
                let body = json!({ "data": { "kubelet": text } }).to_string();
                lab.kubectl(&["-n", "kube-system", "patch", "configmap", "kubelet-config", "--type=merge", "-p", &body]);
            };
            let without: String =
                kubelet.lines().filter(|line| !line.starts_with("failCgroupV1")).map(|line| format!("{line}\n")).collect();
            assert_ne!(without.trim(), kubelet.trim(), "the lab allows cgroup v1 by its configuration");
            // The nodes' own files say the same, or that would be the reason.
            let file = "/var/lib/kubelet/config.yaml";
            let nodes = ["k8s-master", "k8s-node1", "k8s-node2"];
            write(&without);
            for node in nodes {
                lab.on(node, &format!("sudo -n sh -c 'cp -p {file} {file}.lab && sed -i /^failCgroupV1/d {file}'"));
            }
            self.refuses(
                "a kubelet that would not start on cgroup v1",
                &preflight,
                4,
                &["k8s-node2", "failCgroupV1", "cgroup v1"],
            );
            for node in nodes {
                lab.on(node, &format!("sudo -n mv {file}.lab {file}"));
            }
            write(&kubelet);
        }

        // Nothing is restarted: the kubelet that runs does not know of it.
        let flags = "/etc/default/kubelet";
        lab.on(
            "k8s-node2",
            &format!("sudo -n sh -c 'cp -p {flags} {flags}.lab 2>/dev/null; echo KUBELET_EXTRA_ARGS=--gone=1 >>{flags}'"),
        );
        self.refuses(
            "a flag that the new kubelet does not know",
            &preflight,
            4,
            &["k8s-node2", "--gone", "/etc/default/kubelet:"],
        );
        lab.on("k8s-node2", &format!("sudo -n sh -c 'mv {flags}.lab {flags} 2>/dev/null || rm -f {flags}'"));
        lab.until(Duration::from_secs(10), "the folder of the trial to be gone", || {
            let left = lab.ssh("k8s-node2", "sudo -n ls -A /var/lib/k8s-upgrade/trial 2>/dev/null");
            if left.trim().is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

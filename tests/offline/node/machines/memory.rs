//! The twin's machine, through the same door as the program's sessions, on paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::node;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::twin::hosts::{Dpkg, Package, put_file};
use k8s_upgrade::twin::scenario::ssh_key;
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{State, Twin, Who, hosts};
use k8s_upgrade::world::{Bounds, Host, HostOutput, Hosts, Login};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::suite::Machine;

const NODE: &str = "k8s-node1";
const ADDRESS: &str = "10.0.20.101";
/// Longer than any session here.
const DEADLINE: Duration = Duration::from_secs(900);
/// Longer than any unit here.
const ENDED: Duration = Duration::from_secs(900);

pub fn machine() -> Memory {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let now = Timestamp::constant(1_795_348_680, 0);
    let mut state = State::new(now, 1);
    state.hosts.add(NODE, ADDRESS, "1.35.4", "1.7.28", false, &ssh_key().unwrap().public.line());
    for (minor, patch) in [(35, 4), (36, 1), (36, 3)] {
        state.web.packages.release(Version::new(1, minor, patch), now);
    }
    // The control plane has been upgraded already.
    let configuration = "kind: ClusterConfiguration\nkubernetesVersion: v1.36.3\n";
    let metadata = json!({ "name": "kubeadm-config", "namespace": "kube-system" });
    let object = json!({ "metadata": metadata, "data": { "ClusterConfiguration": configuration } });
    state.store.create(now, Kind::ConfigMap, object).unwrap();
    let twin = runtime.block_on(async { Twin::new(state, None) });
    let hosts = twin.world(&Who::Operator("suite".to_owned()), BTreeMap::new()).hosts;
    Memory { runtime, twin, hosts }
}

pub struct Memory {
    runtime: Runtime,
    twin: Twin,
    hosts: Arc<dyn Hosts>,
}

impl Memory {
    fn change(&self, change: impl FnOnce(&mut hosts::Machine)) {
        self.runtime.block_on(async { self.twin.edit(|state| state.hosts.change(NODE, change)) });
    }
}

impl Machine for Memory {
    fn answer(&mut self, script: &str) -> HostOutput {
        let (node, address) = (NODE.to_owned(), ADDRESS.to_owned());
        let login = Login::Key(ssh_key().unwrap().private.into());
        let host = Host { node, address, port: 22, user: "u".to_owned(), login, known_keys: Vec::new() };
        let script = script.to_owned().into();
        self.runtime.block_on(self.hosts.exec(&host, node::COMMAND, script, Bounds::new(DEADLINE, 1 << 20), &mut |_| {})).unwrap()
    }
    fn finish(&mut self) {
        self.runtime.block_on(async { tokio::time::sleep(ENDED).await });
    }
    fn package(&mut self, name: &str, letters: &str, version: &str) {
        let dpkg = match letters {
            "iHR" => Dpkg::HalfInstalled,
            "iU" => Dpkg::Unpacked,
            "iF" => Dpkg::HalfConfigured,
            "hi" => Dpkg::Installed,
            other => panic!("{other} is no state that the suite knows"),
        };
        let package = Package { version: version.to_owned(), dpkg, held: letters == "hi" };
        self.change(|machine| drop(machine.packages.insert(name.to_owned(), package)));
    }
    fn free(&mut self, mib: u64) {
        self.change(|machine| machine.free = mib << 20);
    }
    fn locked(&mut self) {
        self.change(|machine| machine.faults.apt_locked_until = Some(Timestamp::MAX));
    }
    fn offline(&mut self, offline: bool) {
        self.change(|machine| machine.faults.outside_away_until = offline.then_some(Timestamp::MAX));
    }
    fn kubeadm_fails_once(&mut self) {
        self.change(|machine| machine.faults.kubeadm_fails = 1);
    }
    fn file(&mut self, path: &str, bytes: usize) {
        self.runtime.block_on(async { self.twin.edit(|state| put_file(state, NODE, path, bytes as u64)) });
    }
}

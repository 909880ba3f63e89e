//! The nodes' machines: packages, kubeadm, the kubelet's unit, disks, and the way in by SSH.
//!
//! A [`Machine`] answers an operation of [`crate::node`] exactly as its script would (`ops`); long work is a unit (`work`) whose stages
//! are timers (`stages`): `install` does packages as dpkg leaves them at any moment, `kubeadm` changes the cluster phase by phase with the lab's
//! times. `power` is what a cut and a boot do. Whoever sets faults writes [`Machine::faults`] through [`Hosts::change`].

mod certificates;
mod configuration;
mod etcd;
mod identity;
mod install;
mod keys;
mod kubeadm;
mod machine;
mod ops;
mod packages;
mod past;
mod plan;
mod power;
mod release;
mod script;
mod session;
mod ssh;
mod stages;
#[cfg(test)]
mod tests;
mod trial;
mod work;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use machine::{Dpkg, End, Faults, File, KubeletUnit, Machine, Package, RUNTIMES, Runs, Unit, machine_id};
pub use ops::deprecated_call;
pub use power::{power, power_cut};
pub use release::KUBELET_CONFIG;
pub use ssh::Ssh;
pub use written::{edit_manifest, write_commands};

use super::State;

#[derive(Clone, Default)]
pub struct Hosts {
    machines: BTreeMap<String, Arc<Machine>>,
    /// What the repositories of distributions have of containerd: package, distribution and revision.
    containerds: BTreeSet<(&'static str, String, String)>,
    /// Whose member of etcd leads, where it is not the first that is up.
    leader: Option<String>,
    /// So often a member of etcd was restarted that led others.
    pub elections: u32,
    /// Numbers units.
    tickets: u64,
    /// Counts what changes machines.
    changes: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// The unit with that number goes on.
    Work {
        node: String,
        ticket: u64,
        stage: work::Stage,
    },
    PowerOn {
        node: String,
    },
    Booted {
        node: String,
        boot: u32,
    },
}

pub fn fire(state: &mut State, due: Due) {
    match due {
        Due::Work { node, ticket, stage } => stages::fire(state, &node, ticket, &stage),
        Due::PowerOn { node } => power(state, &node, true),
        Due::Booted { node, boot } => power::booted(state, &node, boot),
    }
}

impl Hosts {
    /// A machine of the cluster, running and whole: `version` of Kubernetes' packages (`1.34.2`), `containerd` (`1.7.24`), and the
    /// line of the key that its sshd accepts.
    pub fn add(&mut self, node: &str, address: &str, version: &str, containerd: &str, control_plane: bool, key: &str) {
        let machine = Machine::new(address, version, containerd, control_plane, key);
        let machine = Machine { machine_id: machine::machine_id(node), kubelet_of: node.to_owned(), ..machine };
        self.machines.insert(node.to_owned(), Arc::new(machine));
        self.changes += 1;
        self.publish_containerds();
    }

    /// So often a machine may have changed: who has looked at this count need not look at the machines again.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What machines run is what the repositories of their distributions have, from then on.
    fn publish_containerds(&mut self) {
        for machine in self.machines.values() {
            if let Some(package) = machine.packages.get(machine.runtime()) {
                self.containerds.insert((machine.runtime(), machine.distribution.clone(), package.version.clone()));
            }
        }
    }

    /// Before anything runs: a machine's containerd is of another package than Docker's, and its sources offer these revisions as well.
    pub fn containerd_of(&mut self, node: &str, package: Option<&str>, offers: &[String]) {
        self.change(node, |machine| {
            let wanted = machine::RUNTIMES.into_iter().find(|known| Some(*known) == package);
            if let Some(wanted) = wanted
                && let Some(own) = machine.packages.remove(machine.runtime())
            {
                machine.packages.insert(wanted.to_owned(), own);
            }
            machine.containerd_offers = offers.iter().cloned().collect();
        });
        self.containerds.clear();
        self.publish_containerds();
    }

    pub fn remove(&mut self, node: &str) {
        self.changes += 1;
        self.machines.remove(node);
    }

    pub fn machine(&self, node: &str) -> Option<&Machine> {
        self.machines.get(node).map(|machine| &**machine)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Machine)> {
        self.machines.iter().map(|(node, machine)| (node.as_str(), &**machine))
    }

    /// Changes a machine; nothing happens where there is none.
    pub fn change<T>(&mut self, node: &str, change: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        self.changes += 1;
        self.machines.get_mut(node).map(|machine| change(Arc::make_mut(machine)))
    }

    pub fn powered(&self, node: &str) -> bool {
        self.machine(node).is_some_and(|machine| machine.powered)
    }

    pub fn kubelet_alive(&self, node: &str) -> bool {
        self.machine(node).is_some_and(|machine| machine.up() && machine.kubelet_unit == KubeletUnit::Active)
    }

    /// As a Node's status has it: `v1.34.7`.
    pub fn kubelet_version(&self, node: &str) -> String {
        self.machine(node).map_or(String::new(), |machine| format!("v{}", machine.kubelet))
    }

    /// As a Node's status has it: `containerd://1.7.24`.
    pub fn runtime_version(&self, node: &str) -> String {
        self.machine(node).map_or(String::new(), |machine| format!("containerd://{}", machine.containerd))
    }

    /// As a Node's status has it.
    pub fn boot_id(&self, node: &str) -> String {
        self.machine(node).map_or(String::new(), |machine| machine.boot_id(node))
    }

    /// `type base64`, as a line of known_hosts has it.
    pub fn host_key(&self, node: &str) -> String {
        self.machine(node).map_or(String::new(), |machine| machine.host_key(node))
    }

    /// Runs of `kubeadm upgrade` on a node for a target.
    pub fn kubeadm_runs(&self, node: &str, target: &str) -> Runs {
        self.machine(node).and_then(|machine| machine.runs.get(target)).copied().unwrap_or_default()
    }
}

/// A file of so many bytes that nobody reads appears on a node's disk: a snapshot.
pub fn put_file(state: &mut State, node: &str, path: &str, bytes: u64) {
    let at = state.now();
    put(state, node, path, File { bytes, at, text: None });
}

/// Somebody writes a text file on a node.
pub fn put_text(state: &mut State, node: &str, path: &str, text: &str) {
    let (bytes, at) = (text.len() as u64, state.now());
    put(state, node, path, File { bytes, at, text: Some(text.into()) });
}

fn put(state: &mut State, node: &str, path: &str, file: File) {
    state.hosts.change(node, |machine| {
        let former = machine.files.get(path).map_or(0, |file| file.bytes);
        machine.free = (machine.free + former).saturating_sub(file.bytes);
        machine.files.insert(path.to_owned(), file);
    });
}

/// Whose member of etcd leads.
pub fn etcd_leader(state: &State) -> Option<String> {
    etcd::leader(state).map(str::to_owned)
}

/// The work that runs on a node is killed: `how` is systemd's word (`signal`, `oom-kill`).
pub fn kill_work(state: &mut State, node: &str, how: &str) {
    let runs = |machine: &Machine| machine.unit.as_ref().is_some_and(|unit| unit.end.is_none() && unit.boot == machine.boot);
    if state.hosts.machine(node).is_some_and(runs) {
        work::finish(state, node, End::Killed(how.to_owned()));
    }
}

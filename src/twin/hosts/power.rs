//! Power, boots, and the kubelet's unit.

use std::time::Duration;

use super::super::state::{Access, Outage, Timer};
use super::super::{State, control, web};
use super::machine::KubeletUnit;
use super::{Due, kubeadm, work};
use crate::plan::model::version::{UpgradeKind, Version};

/// From power to sshd and the kubelet.
const BOOT: Duration = Duration::from_secs(25);
/// From the kubelet's start to an API server that answers.
const STATIC_PODS: Duration = Duration::from_secs(20);
/// What a client sees when one control plane of several goes, and etcd keeps its quorum.
const GAP: Duration = Duration::from_secs(2);

/// Switches a machine's power.
pub fn power(state: &mut State, node: &str, on: bool) {
    let Some(machine) = state.hosts.machine(node).filter(|machine| machine.powered != on) else { return };
    let (control_plane, boot) = (machine.control_plane, machine.boot + 1);
    state.tell(format_args!("{node}: power {}", if on { "on" } else { "off" }));
    if on {
        state.hosts.change(node, |machine| (machine.powered, machine.booting, machine.boot) = (true, true, boot));
        if control_plane {
            api_back(state, BOOT + STATIC_PODS);
        }
        state.after(BOOT, Timer::Host(Due::Booted { node: node.to_owned(), boot }));
        return;
    }
    state.hosts.change(node, |machine| {
        (machine.powered, machine.booting, machine.kubelet_unit) = (false, false, KubeletUnit::Stopped);
    });
    work::forget(state, node);
    control::node_power(state, node, false);
    if control_plane {
        if kubeadm::quorum_without(state, node) {
            state.take_api_away(state.now(), GAP);
        } else {
            let from = state.now();
            state.outages.push(Outage { from, until: jiff::Timestamp::MAX, how: Access::Refused });
        }
    }
}

/// Power goes, and comes back after `span`.
pub fn power_cut(state: &mut State, node: &str, span: Duration) {
    power(state, node, false);
    // Known beforehand, so that whoever waits for the API server knows until when.
    api_back(state, span + BOOT + STATIC_PODS);
    state.after(span, Timer::Host(Due::PowerOn { node: node.to_owned() }));
}

/// The outage that has no end yet ends after `span`.
fn api_back(state: &mut State, span: Duration) {
    let before = state.outages.len();
    state.outages.retain(|outage| outage.until != jiff::Timestamp::MAX);
    if state.outages.len() < before {
        state.take_api_away(state.now(), span);
    }
}

/// systemd is up: sshd, containerd and the kubelet of whatever dpkg has left.
pub fn booted(state: &mut State, node: &str, boot: u32) {
    let Some(machine) = state.hosts.machine(node) else { return };
    if !machine.booting || machine.boot != boot {
        return;
    }
    let now = state.now();
    state.hosts.change(node, |machine| {
        machine.booting = false;
        machine.api_starts(now);
        machine.containerd = machine.release(machine.runtime()).to_owned();
    });
    web::booted(state, node);
    control::node_power(state, node, true);
    start_kubelet(state, node);
}

/// Starts the kubelet that is installed; true if it is of another minor than the one before.
pub fn start_kubelet(state: &mut State, node: &str) -> bool {
    let Some(machine) = state.hosts.machine(node) else { return false };
    let (former, now) = (machine.kubelet.clone(), machine.release("kubelet").to_owned());
    let hop = former.parse::<Version>().ok().zip(now.parse().ok()).map(|(former, now)| UpgradeKind::between(former, now));
    state.tell(format_args!("{node}: kubelet {now} starts"));
    state.hosts.change(node, |machine| (machine.kubelet, machine.kubelet_unit) = (now, KubeletUnit::Active));
    control::kubelet_restarted(state, node);
    hop == Some(UpgradeKind::Minor)
}

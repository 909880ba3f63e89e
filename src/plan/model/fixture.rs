//! Clusters for the tables of this room's tests: the runbook's, and ones of any size.

use super::calendar::Calendar;
use super::facts::{COMPONENTS, Component, Facts, JobFact, JobState, Node, Taint};
use super::marks::RunMarks;
use super::policy::{Policy, QuietScope, Runner};
use super::version::Version;
use super::waves::Waves;

pub const OLD: Version = Version::new(1, 34, 2);
pub const NEW: Version = Version::new(1, 34, 7);

pub fn policy() -> Policy {
    Policy {
        runner: Runner::FirstWorker,
        standby: Vec::new(),
        quiet: std::time::Duration::from_secs(24 * 3600),
        quiet_scope: QuietScope::Auto,
        retry_deferred: Some(std::time::Duration::from_secs(24 * 3600)),
        soak: std::time::Duration::from_secs(600),
        ready_ratio: 0.9,
        calendar: Calendar::ALWAYS,
        waves: Waves::ONE_BY_ONE,
    }
}

pub fn worker(name: &str, version: Version) -> Node {
    Node {
        name: name.to_owned(),
        hostname: name.to_owned(),
        zone: String::new(),
        paused: None,
        pool: None,
        address: Some("10.0.20.100".to_owned()),
        machine_id: String::new(),
        boot_id: String::new(),
        control_plane: false,
        kubelet: Some(version),
        kube_proxy: None,
        container_runtime: "containerd://1.7.28".to_owned(),
        ready: true,
        not_ready: None,
        ready_since: "2026-11-01T00:00:00Z".parse().ok(),
        pressures: Vec::new(),
        unschedulable: false,
        cordoned_since: None,
        taints: Vec::new(),
        components: Vec::new(),
        excluded: false,
        joined: None,
        cordoned_by: None,
        former_versions: None,
        hooked: None,
        changed_at: None,
        odd: Vec::new(),
    }
}

pub fn master(name: &str, version: Version) -> Node {
    let component = |name: &&str| Component { name: (*name).to_owned(), version: Some(version), running: true };
    Node {
        control_plane: true,
        taints: vec![Taint { key: crate::names::LABEL_CONTROL_PLANE.to_owned(), value: None, effect: "NoSchedule".to_owned() }],
        components: COMPONENTS.iter().map(component).collect(),
        ..worker(name, version)
    }
}

/// `masters` control planes and `workers` workers, in the shuffled order in which an API server may list them.
pub fn cluster(masters: usize, workers: usize) -> Facts {
    let name = |i: usize| if masters == 1 { "k8s-master".to_owned() } else { format!("k8s-master{i}") };
    let mut nodes: Vec<Node> = (1..=workers).rev().map(|i| worker(&format!("k8s-node{i}"), OLD)).collect();
    nodes.extend((1..=masters).rev().map(|i| master(&name(i), OLD)));
    Facts { nodes, marks: RunMarks::default(), jobs: Vec::new() }
}

/// The run that is in flight, where one is.
pub const RUN: &str = "5f3a21bc";

/// The runbook's: k8s-master and k8s-node1 … k8s-node4.
pub fn runbook() -> Facts {
    cluster(1, 4)
}

/// Claimed, with its snapshot taken.
pub fn in_flight(mut facts: Facts) -> Facts {
    facts.marks = RunMarks {
        in_flight: true,
        run_id: RUN.parse().ok(),
        target: Some(NEW),
        started: "2026-11-22T12:00:00Z".parse().ok(),
        snapshot_path: Some("/backup/etcd-1.db".to_owned()),
        prepared: true,
        ..RunMarks::default()
    };
    facts
}

pub fn node<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Node {
    facts.nodes.iter_mut().find(|node| node.name == name).unwrap_or_else(|| unreachable!("no node {name}"))
}

pub fn upgrade(facts: &mut Facts, name: &str, version: Version) {
    let node = node(facts, name);
    node.kubelet = Some(version);
    node.components.iter_mut().for_each(|component| component.version = Some(version));
}

pub fn job(name: &str, state: JobState) -> JobFact {
    JobFact {
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        state,
        node: None,
        run: RUN.parse().ok(),
        target: Some(NEW),
        created: None,
        deleting: false,
        pin: None,
        image: None,
        pods: Vec::new(),
        exits: Vec::new(),
        taken_up: None,
        progress: None,
        pod: None,
        pending: None,
        outlived_by: Vec::new(),
        waits_since: None,
        deadline: None,
        ended: None,
        message: None,
    }
}

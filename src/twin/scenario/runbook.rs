//! Clusters that are always at hand: the runbook's, and its relatives.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Map;

use super::{Budget, Node, Release, Scenario, Taint, Toleration, Workload, WorkloadKind};
use crate::names;
use crate::plan::model::version::Version;

/// Sunday, a little after the hour of the weekly detection.
const START: jiff::Timestamp = jiff::Timestamp::constant(1_795_349_100, 0);
const CONTAINERD: &str = "1.7.28";

impl Scenario {
    /// The runbook's five nodes, a patch behind.
    pub fn runbook() -> Self {
        let mut scenario = cluster(1, Version::new(1, 34, 2), Version::new(1, 34, 7));
        scenario.about = "the runbook's cluster: a patch".to_owned();
        scenario
    }

    /// The same, from one minor version to the next.
    pub fn runbook_minor() -> Self {
        let mut scenario = cluster(1, Version::new(1, 34, 7), Version::new(1, 35, 4));
        scenario.about = "the runbook's cluster: a minor version".to_owned();
        scenario
    }

    /// Three control planes and two workers.
    pub fn three_control_planes() -> Self {
        let mut scenario = cluster(3, Version::new(1, 34, 2), Version::new(1, 34, 7));
        scenario.about = "three control planes, two workers: a patch".to_owned();
        scenario
    }

    /// The same to the next minor version: no kubelet may pass an API server.
    pub fn three_control_planes_minor() -> Self {
        let mut scenario = cluster(3, Version::new(1, 34, 7), Version::new(1, 35, 4));
        scenario.about = "three control planes, two workers: a minor version".to_owned();
        scenario
    }
}

/// Five nodes, `masters` of them control planes.
fn cluster(masters: u8, running: Version, target: Version) -> Scenario {
    let name = |i| if masters == 1 { "k8s-master".to_owned() } else { format!("k8s-master{i}") };
    let control_planes = (1..=masters).map(|i| Node {
        control_plane: true,
        taints: vec![Taint { key: names::LABEL_CONTROL_PLANE.to_owned(), value: None, effect: "NoSchedule".to_owned() }],
        ..node(name(i), 99 + i, running)
    });
    let workers = (1..=5 - masters).map(|i| node(format!("k8s-node{i}"), 100 + masters - 1 + i, running));
    Scenario {
        about: String::new(),
        target,
        seed: 1,
        start: START,
        nodes: control_planes.chain(workers).collect(),
        workloads: workloads(),
        budgets: budgets(),
        autoscalers: Vec::new(),
        alerts: Vec::new(),
        prometheus_wants: None,
        releases: vec![Release { version: target, from: None }],
        settings: Map::new(),
        assumptions: Vec::new(),
    }
}

fn node(name: String, last_byte: u8, version: Version) -> Node {
    Node {
        name,
        control_plane: false,
        version,
        control_plane_version: None,
        containerd: CONTAINERD.to_owned(),
        containerd_package: None,
        containerd_offers: Vec::new(),
        cgroup_v1: false,
        kubelet_flags: Vec::new(),
        address: format!("10.0.20.{last_byte}"),
        hostname: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        cordoned: false,
        not_ready: false,
        ready_since: None,
    }
}

fn workloads() -> Vec<Workload> {
    let everywhere = || vec![Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }];
    let on_control_planes = Toleration {
        key: Some(names::LABEL_CONTROL_PLANE.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    };
    let new = Workload::new;
    vec![
        Workload {
            labels: label("k8s-app", "kube-proxy"),
            tolerations: everywhere(),
            ..new(WorkloadKind::DaemonSet, "kube-system", "kube-proxy")
        },
        Workload { tolerations: everywhere(), ..new(WorkloadKind::DaemonSet, "kube-flannel", "kube-flannel") },
        Workload {
            replicas: 2,
            labels: label("k8s-app", "kube-dns"),
            // Its preStop lets clients notice.
            ends_after_seconds: Some(5),
            ready_after_seconds: Some(6),
            tolerations: vec![on_control_planes],
            ..new(WorkloadKind::Deployment, "kube-system", "coredns")
        },
        Workload { ready_after_seconds: Some(20), ..new(WorkloadKind::Deployment, "kube-system", "metrics-server") },
        Workload {
            replicas: 12,
            ends_after_seconds: Some(5),
            ready_after_seconds: Some(8),
            ..new(WorkloadKind::Deployment, "web", "shop")
        },
        // One replica behind a budget that wants one: nothing but a deletion moves it.
        Workload { ready_after_seconds: Some(4), ..new(WorkloadKind::Deployment, "web", "anubis") },
        Workload {
            replicas: 3,
            grace_seconds: Some(120),
            ends_after_seconds: Some(12),
            ready_after_seconds: Some(18),
            ..new(WorkloadKind::StatefulSet, "db", "postgres")
        },
        Workload { empty_dir: true, ..new(WorkloadKind::Deployment, "ci", "build-cache") },
        Workload { placed_on: vec!["k8s-node2".to_owned()], ..new(WorkloadKind::Pod, "ci", "debug") },
        Workload { replicas: 2, ready_after_seconds: Some(10), ..new(WorkloadKind::Deployment, "mail", "smtp") },
    ]
}

fn budgets() -> Vec<Budget> {
    let budget = |namespace: &str, app: &str| Budget {
        namespace: namespace.to_owned(),
        name: app.to_owned(),
        selector: label("app", app),
        expressions: Vec::new(),
        min_available: None,
        max_unavailable: None,
        unhealthy_policy: None,
        annotations: BTreeMap::new(),
        owner: None,
    };
    vec![
        Budget { max_unavailable: Some(IntOrString::Int(2)), ..budget("web", "shop") },
        Budget { min_available: Some(IntOrString::Int(1)), ..budget("web", "anubis") },
        Budget {
            max_unavailable: Some(IntOrString::Int(1)),
            unhealthy_policy: Some("AlwaysAllow".to_owned()),
            ..budget("db", "postgres")
        },
        Budget { min_available: Some(IntOrString::String("50%".to_owned())), ..budget("mail", "smtp") },
    ]
}

fn label(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

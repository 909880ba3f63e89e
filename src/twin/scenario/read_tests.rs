//! Files that are no scenario: what is told of each.
#![allow(clippy::unwrap_used)]

use super::Scenario;

/// Everything that may be said, as the smallest file that says it (of min- and max-available a budget has one).
pub const ALL: &str = "\
about: all
target: 1.34.7
seed: 7
start: 2026-11-22T12:05:00Z
nodes:
  - { name: m, control-plane: true, version: 1.34.2, control-plane-version: 1.34.7, containerd: 1.7.28, address: 10.0.0.1,
      containerd-package: containerd, containerd-offers: [2.1.4-1], cgroup-v1: true, kubelet-flags: [--node-ip=10.0.0.1], hostname: m.example, labels: { disk: ssd }, taints: [{ key: k, value: v, effect: NoSchedule }], cordoned: true, not-ready: true,
      ready-since: 2026-11-22T11:05:00Z }
workloads:
  - { kind: Deployment, namespace: a, name: b, replicas: 2, labels: { x: one }, annotations: { n: v }, empty-dir: true,
      grace-seconds: 60, ends-after-seconds: 3, ready-after-seconds: 4, never-ready: true, node-selector: { disk: ssd },
      tolerations: [{ key: k, operator: Equal, value: v, effect: NoSchedule }], placed-on: [m] }
budgets:
  - { namespace: a, name: b, selector: { x: one }, expressions: [{ key: z, operator: In, values: [w] }],
      max-unavailable: 25%, unhealthy-policy: AlwaysAllow, annotations: { n: v }, owner: Cluster/db }
  - { namespace: a, name: c, min-available: 1 }
autoscalers: [{ namespace: a, name: b, kind: Deployment, scales: b, max-replicas: 5 }]
alerts: [{ name: DiskFull, labels: { node: m }, group: Upgrade Gates, from: 2026-11-22T12:05:00Z, until: 2026-11-22T12:35:00Z }]
prometheus-wants: { credentials: token, missing: true, tenant: team-a }
releases: [{ version: 1.34.7, from: 2026-11-22T12:05:00Z }]
settings: { soak: 1m }
assumptions: [none]
";

#[test]
fn everything_that_may_be_said_is_read_and_written() {
    let scenario = Scenario::read("it", ALL).unwrap();
    assert_eq!(Scenario::read("it", &scenario.yaml().unwrap()).unwrap(), scenario);
}

/// A file of one control plane and one worker, to break a line of.
const GOOD: &str = "\
target: 1.34.7
start: 2026-11-22T12:05:00Z
nodes:
- name: m
  control-plane: true
  version: 1.34.2
  containerd: 1.7.28
  address: 10.0.0.1
- name: w
  version: 1.34.2
  containerd: 1.7.28
  address: 10.0.0.2
workloads:
- kind: Deployment
  namespace: web
  name: shop
  replicas: 2
budgets:
- namespace: web
  name: shop
  min-available: 1
";

#[test]
fn what_is_no_scenario_is_told_with_its_place_and_what_to_write() {
    Scenario::read("it.yaml", GOOD).unwrap();
    let mut told = String::new();
    for (line, instead) in [
        ("target: 1.34.7", "targte: 1.34.7"),
        ("target: 1.34.7\n", ""),
        ("target: 1.34.7", "target: 1.34"),
        ("target: 1.34.7", "target: [1.34.7]"),
        ("start: 2026-11-22T12:05:00Z", "start: yesterday"),
        ("nodes:", "nodes: none\nothers:"),
        ("- name: w\n  version: 1.34.2", "- name: w\n  verison: 1.34.2"),
        ("- name: w\n  version: 1.34.2", "- name: w"),
        ("- name: w\n  version: 1.34.2", "- name: w\n  version: v1.34.2-rc.1"),
        ("- name: w", "- name: w\n  name: w2"),
        ("- name: w", "- name: m"),
        ("- name: w", "- name: W1"),
        ("  min-available: 1", "  min-available: 1\n  owner: Cluster"),
        ("- name: w", "- name: w\n  control-plane-version: 1.34.7"),
        ("- name: w", "- name: w\n  taints:\n  - key: k\n    effect: Never"),
        ("  address: 10.0.0.2", "  address: 10.0.0.1"),
        ("  address: 10.0.0.2", "  address: 10.0.0.2\n  containerd-package: docker"),
        ("  address: 10.0.0.2", "  address: 10.0.0.2\n  containerd-offers: [2.1.4-1, newest]"),
        ("  control-plane: true\n", ""),
        ("  control-plane: true", "  control-plane: perhaps"),
        ("kind: Deployment", "kind: Deploymnet"),
        ("kind: Deployment", "kind: Pod"),
        ("  replicas: 2", "  replicas: many"),
        ("  replicas: 2", "  replicas: 2\n  placed-on:\n  - w\n  - w9"),
        ("  replicas: 2", "  placed-on: [w, w]"),
        ("  replicas: 2", "  tolerations: [{ operator: Exist }]"),
        ("budgets:", "- kind: Deployment\n  namespace: web\n  name: shop\nbudgets:"),
        ("  min-available: 1", "  min-available: most"),
        ("  min-available: 1", "  min-available: 120%"),
        ("  min-available: 1", "  min-available: -1"),
        ("  min-available: 1", "  min-available: 1\n  max-unavailable: 1"),
        ("  min-available: 1", "  min-availabel: 1"),
        ("  min-available: 1", "  unhealthy-policy: Always"),
        ("  min-available: 1", "  expressions:\n  - { key: k, operator: In }"),
        ("  min-available: 1", "  min-available: 1\nalerts:\n- { name: A, until: 2026-11-22T12:05:00Z }"),
        ("nodes:", "nodes"),
    ] {
        assert!(GOOD.contains(line), "{line}");
        tell(&mut told, &GOOD.replacen(line, instead, 1));
    }
    tell(&mut told, "");
    // Several at once, in the order of the file.
    tell(&mut told, &GOOD.replace("- name: w", "- name: m").replace("  min-available: 1", "  min-available: most"));
    insta::assert_snapshot!(told);
}

fn tell(told: &mut String, text: &str) {
    let cause = Scenario::read("it.yaml", text).unwrap_err();
    *told += &format!("{}\n", cause.what);
    cause.detail.iter().for_each(|line| *told += &format!("    {line}\n"));
}

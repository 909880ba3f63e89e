//! What a scenario may say by its format and what yet no cluster can be.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::hosts;
use super::read::Fault;
use super::{Autoscaler, Budget, Scenario, Workload, WorkloadKind, limits};
use crate::words::{Flag, Revision};

/// Packages of containerd.
pub const CONTAINERDS: &[&str] = &hosts::RUNTIMES;
/// Effects of taints, and operators of tolerations and of selectors: what the API server takes.
pub const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
pub const TOLERATES: &[&str] = &["Exists", "Equal"];
pub const SELECTS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist"];
/// What a service may want of whoever asks it.
pub const CREDENTIALS: &[&str] = &["token", "password"];
pub const UNHEALTHY: &[&str] = &["AlwaysAllow", "IfHealthyBudget"];

/// Times that leave room for all that came before and will come.
const FIRST_YEAR: i16 = 2000;
const LAST_YEAR: i16 = 2200;

impl Scenario {
    /// All of it, in the order of the file.
    pub fn faults(&self) -> Vec<Fault> {
        let mut found = Faults(Vec::new());
        let year = self.start.to_zoned(jiff::tz::TimeZone::UTC).year();
        if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
            let what = format!("the rehearsal begins in the year {year}: one from {FIRST_YEAR} to {LAST_YEAR} is wanted");
            found.add("start".to_owned(), what);
        }
        self.counts(&mut found);
        self.nodes(&mut found);
        let names: BTreeSet<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let (mut workloads, mut budgets) = (BTreeSet::new(), BTreeSet::new());
        for (index, workload) in self.workloads.iter().enumerate() {
            let at = format!("workloads/{index}");
            let Workload { kind, namespace, name, .. } = workload;
            found.name(&format!("{at}/namespace"), "namespace", namespace);
            found.name(&format!("{at}/name"), "workload", name);
            if !workloads.insert((kind, namespace, name)) {
                found.add(format!("{at}/name"), format!("{kind:?} {namespace}/{name} is there twice: give each its own name"));
            }
            self.workload(&at, workload, &names, &mut found);
        }
        for (index, budget) in self.budgets.iter().enumerate() {
            let at = format!("budgets/{index}");
            let Budget { namespace, name, .. } = budget;
            found.name(&format!("{at}/namespace"), "namespace", namespace);
            found.name(&format!("{at}/name"), "budget", name);
            if !budgets.insert((namespace, name)) {
                found.add(format!("{at}/name"), format!("the budget {namespace}/{name} is there twice: give each its own name"));
            }
            found.budget(&at, budget);
        }
        let mut autoscalers = BTreeSet::new();
        for (index, scaler) in self.autoscalers.iter().enumerate() {
            let at = format!("autoscalers/{index}");
            let Autoscaler { namespace, name, scales, .. } = scaler;
            found.name(&format!("{at}/namespace"), "namespace", namespace);
            found.name(&format!("{at}/name"), "autoscaler", name);
            found.name(&format!("{at}/scales"), "workload", scales);
            found.count(&at, "max-replicas", scaler.max_replicas.into());
            if !autoscalers.insert((namespace, name)) {
                let what = format!("the autoscaler {namespace}/{name} is there twice: give each its own name");
                found.add(format!("{at}/name"), what);
            }
        }
        if let Some(wants) = &self.prometheus_wants {
            found.one_of("prometheus-wants/credentials", "kind of credentials", &wants.credentials, CREDENTIALS);
        }
        for (index, alert) in self.alerts.iter().enumerate() {
            if alert.until.is_some_and(|until| alert.from.unwrap_or(self.start) >= until) {
                let what = format!("the alert {} ends before it begins: until must be later", alert.name);
                found.add(format!("alerts/{index}/until"), what);
            }
        }
        found.0
    }

    /// How long its lists are, and how many pods all workloads have together.
    fn counts(&self, found: &mut Faults) {
        let Scenario { nodes, workloads, budgets, autoscalers, alerts, releases, .. } = self;
        for (key, items) in [
            ("nodes", nodes.len()),
            ("workloads", workloads.len()),
            ("budgets", budgets.len()),
            ("autoscalers", autoscalers.len()),
            ("alerts", alerts.len()),
            ("releases", releases.len()),
        ] {
            found.count("", key, items as u128);
        }
        // What is too many by itself is told where it stands.
        let pods = |workload: &Workload| match workload.kind {
            WorkloadKind::DaemonSet => nodes.len() as u128,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => workload.replicas.min(limits::REPLICAS).into(),
            WorkloadKind::Pod => 1,
        };
        let pods: u128 = workloads.iter().map(pods).sum();
        if pods > limits::PODS.into() {
            let what = format!("workloads: {pods} pods in all are too many for a rehearsal, {} are the most", limits::PODS);
            found.add("workloads".to_owned(), what);
        }
    }

    fn nodes(&self, found: &mut Faults) {
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for (index, node) in self.nodes.iter().enumerate() {
            let at = format!("nodes/{index}");
            found.name(&format!("{at}/name"), "node", &node.name);
            if !names.insert(&node.name) {
                found.add(format!("{at}/name"), format!("two nodes are called {}: give each its own name", node.name));
            }
            // A node that was copied may have none.
            if !node.address.is_empty() && !addresses.insert(&node.address) {
                let what = format!("two nodes have the address {}: give each its own", node.address);
                found.add(format!("{at}/address"), what);
            }
            if node.control_plane_version.is_some() && !node.control_plane {
                let what = format!("{} is no control plane: leave this out, or write `control-plane: true`", node.name);
                found.add(format!("{at}/control-plane-version"), what);
            }
            if let Some(package) = &node.containerd_package {
                found.one_of(&format!("{at}/containerd-package"), "containerd-package", package, CONTAINERDS);
            }
            for (offer, on) in node.containerd_offers.iter().zip(0..) {
                if let Err(error) = offer.parse::<Revision>() {
                    found.add(format!("{at}/containerd-offers/{on}"), error.to_string());
                }
            }
            for (flag, on) in node.kubelet_flags.iter().zip(0..).filter(|(flag, _)| flag.parse::<Flag>().is_err()) {
                found.add(format!("{at}/kubelet-flags/{on}"), format!("{flag:?} is no flag: write it as --NAME=VALUE"));
            }
            for (taint, on) in node.taints.iter().zip(0..) {
                found.one_of(&format!("{at}/taints/{on}/effect"), "effect", &taint.effect, EFFECTS);
            }
        }
        if !self.nodes.iter().any(|node| node.control_plane) {
            found
                .add("nodes".to_owned(), "there is no control plane: write `control-plane: true` at one node or more".to_owned());
        }
    }

    fn workload(&self, at: &str, workload: &Workload, nodes: &BTreeSet<&str>, found: &mut Faults) {
        let Workload { kind, namespace, name, replicas, placed_on, .. } = workload;
        for (toleration, index) in workload.tolerations.iter().zip(0..) {
            let at = format!("{at}/tolerations/{index}");
            if let Some(operator) = &toleration.operator {
                found.one_of(&format!("{at}/operator"), "operator", operator, TOLERATES);
            }
            if let Some(effect) = &toleration.effect {
                found.one_of(&format!("{at}/effect"), "effect", effect, EFFECTS);
            }
        }
        for (node, index) in placed_on.iter().zip(0..) {
            if !nodes.contains(node.as_str()) {
                let known: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
                let what = format!("{namespace}/{name} is placed on {node}, which is no node here: {}", known.join(", "));
                found.add(format!("{at}/placed-on/{index}"), what);
            }
        }
        found.count(at, "replicas", (*replicas).into());
        for (key, seconds) in [
            ("grace-seconds", workload.grace_seconds),
            ("ends-after-seconds", workload.ends_after_seconds),
            ("ready-after-seconds", workload.ready_after_seconds),
        ] {
            found.count(at, key, seconds.unwrap_or(0).into());
        }
        if *kind == WorkloadKind::Pod && *replicas != 1 {
            let what = format!("the Pod {namespace}/{name} is one pod: leave this out, or make it a Deployment");
            found.add(format!("{at}/replicas"), what);
        } else if *kind != WorkloadKind::DaemonSet && placed_on.len() > *replicas as usize {
            let what =
                format!("{namespace}/{name} has {replicas} pods, and {} are placed: one entry a pod, or fewer", placed_on.len());
            found.add(format!("{at}/placed-on"), what);
        }
    }
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, at: String, what: String) {
        self.0.push(Fault { at, what });
    }

    /// What a key counts, there. (A budget's shares cannot be read where they are beyond their limit.)
    fn count(&mut self, at: &str, key: &str, given: u128) {
        if let Some(what) = limits::beyond(key, given) {
            self.add(if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") }, what);
        }
    }

    /// As Kubernetes names things.
    fn name(&mut self, at: &str, what: &str, name: &str) {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let ends = bytes.first().is_some_and(|byte| inner(*byte)) && bytes.last().is_some_and(|byte| inner(*byte));
        if !ends || name.len() > 253 || !bytes.iter().all(|byte| inner(*byte) || *byte == b'-' || *byte == b'.') {
            let what = format!("{name:?} is no name of a {what}: lowercase letters, digits, - and . are allowed");
            self.add(at.to_owned(), what);
        }
    }

    fn one_of(&mut self, at: &str, what: &str, given: &str, known: &[&str]) {
        if !known.contains(&given) {
            self.add(at.to_owned(), format!("{given} is no {what}: write {}", known.join(" or ")));
        }
    }

    fn budget(&mut self, at: &str, budget: &Budget) {
        if budget.min_available.is_some() && budget.max_unavailable.is_some() {
            let what = "min-available and max-unavailable exclude each other: keep one of them";
            self.add(format!("{at}/max-unavailable"), what.to_owned());
        }
        for (field, share) in [("min-available", &budget.min_available), ("max-unavailable", &budget.max_unavailable)] {
            let (good, given) = match share {
                None => continue,
                Some(IntOrString::Int(count)) => (*count >= 0, count.to_string()),
                Some(IntOrString::String(text)) => (percentage(text), format!("{text:?}")),
            };
            if !good {
                let what = format!("{field} is {given}: write a number of pods (0 or more) or a share from 0% to 100%");
                self.add(format!("{at}/{field}"), what);
            }
        }
        if let Some(owner) = &budget.owner
            && !owner.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
        {
            self.add(format!("{at}/owner"), format!("{owner:?} is no owner: write its kind and name, as Cluster/db"));
        }
        if let Some(policy) = &budget.unhealthy_policy {
            self.one_of(&format!("{at}/unhealthy-policy"), "policy", policy, UNHEALTHY);
        }
        for (expression, index) in budget.expressions.iter().zip(0..) {
            let at = format!("{at}/expressions/{index}");
            self.one_of(&format!("{at}/operator"), "operator", &expression.operator, SELECTS);
            if matches!(expression.operator.as_str(), "In" | "NotIn") == expression.values.is_empty() {
                let what = "In and NotIn want values, Exists and DoesNotExist have none".to_owned();
                self.add(format!("{at}/values"), what);
            }
        }
    }
}

fn percentage(text: &str) -> bool {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|share| share <= 100)
}

//! `kubeadm upgrade plan TARGET -o json`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::State;
use super::super::state::Access;
use super::kubeadm::oldest;
use super::packages::{Stop, failed, unreachable};
use super::release::{Bundle, COMPONENTS};
use crate::plan::model::version::Version;

/// What kubeadm prints on stdout, and the script's `note …` lines. The error: lines on stderr, and how the script ends.
pub fn plan(state: &State, target: &str) -> Result<String, (String, Stop)> {
    if state.access() != Access::Up {
        let line = "error: error execution phase: couldn't create a Kubernetes client: dial tcp: connect: connection refused\n";
        return Err((line.to_owned(), unreachable(format!("kubeadm upgrade plan v{target} cannot reach the API server"))));
    }
    let there: BTreeSet<Version> =
        state.hosts.all().filter_map(|(_, machine)| machine.manifests.get("kube-apiserver")?.parse().ok()).collect();
    let (Ok(to), Some(from)) = (target.parse::<Version>(), oldest(state, "kube-apiserver")) else {
        let line = "error: the cluster's version cannot be determined\n".to_owned();
        return Err((line, failed(format!("kubeadm upgrade plan v{target} failed (exit 1)"))));
    };
    if there.len() > 1 {
        let all: Vec<String> = there.iter().map(|version| format!("v{version}")).collect();
        let text = "Different API server versions in the cluster were discovered";
        let end = "Please upgrade your control plane nodes to the same version of Kubernetes";
        return Ok(format!("note W0101 00:00:00.000000       1 compute.go:91] {text}: {}. {end}\n", all.join(", ")));
    }
    if from >= to {
        return Ok(String::new());
    }
    if to.minors_above(from).is_none_or(|minors| minors > 1) {
        let line = format!("[upgrade/versions] FATAL: v{to} is more than one minor above the cluster's v{from}\n");
        return Err((line, failed(format!("kubeadm upgrade plan v{target} failed (exit 1)"))));
    }
    let document = json!({
        "kind": "UpgradePlan",
        "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
        "availableUpgrades": [{ "description": format!("version in the v{} series", from.series()), "components": components(state, from, to) }],
        "configVersions": [configuration("kubeproxy", "v1alpha1"), configuration("kubelet", "v1beta1")],
    });
    Ok(format!("{document:#}\n"))
}

fn components(state: &State, from: Version, to: Version) -> Vec<Value> {
    let (old, new) = (Bundle::of(from), Bundle::of(to));
    let component = |name: &str, current: String, new: String, node: Option<&str>| {
        let mut component = json!({ "name": name, "currentVersion": current, "newVersion": new });
        if let Some(node) = node {
            component["nodeName"] = json!(node);
        }
        component
    };
    let other = state.hosts.all().find_map(|(_, machine)| machine.faults.kubeadm_plans.as_deref());
    let target = other.map_or_else(|| format!("v{to}"), |other| format!("v{other}"));
    let kubelets = state
        .hosts
        .all()
        .map(|(node, machine)| component("kubelet", format!("v{}", machine.kubelet), target.clone(), Some(node)));
    let mut all: Vec<Value> = kubelets.collect();
    for name in COMPONENTS.into_iter().skip(1) {
        for (node, machine) in state.hosts.all() {
            if let Some(version) = machine.manifests.get(name) {
                all.push(component(name, format!("v{version}"), target.clone(), Some(node)));
            }
        }
    }
    // kube-proxy's current version alone has no `v`.
    all.push(component("kube-proxy", from.to_string(), target.clone(), None));
    all.push(component("CoreDNS", old.coredns.to_owned(), new.coredns.to_owned(), None));
    all.push(component("kubeadm", format!("v{from}"), target.clone(), None));
    for (node, machine) in state.hosts.all() {
        if let Some(version) = machine.manifests.get("etcd") {
            all.push(component("etcd", version.clone(), new.etcd.to_owned(), Some(node)));
        }
    }
    all
}

fn configuration(component: &str, version: &str) -> Value {
    json!({
        "group": format!("{component}.config.k8s.io"),
        "currentVersion": version,
        "preferredVersion": version,
        "manualUpgradeRequired": false,
    })
}

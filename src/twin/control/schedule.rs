//! The scheduler: a node for each pod that has none, or the reason why there is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{condition, node_of, owner, ready, set_condition, terminating};
use super::unmodelled;

pub fn run(state: &mut State) {
    let pods: Vec<Key> = state.control.index.unbound.iter().cloned().collect();
    let nodes: Vec<(String, Arc<Value>)> =
        state.store.list(Kind::Node).map(|(key, node)| (key.name.clone(), node.clone())).collect();
    // The index learns of what is bound here only afterwards.
    let mut bound: Vec<(String, String)> = Vec::new();
    for key in pods {
        let Some(pod) = state.store.get(&key).cloned() else { continue };
        if terminating(&pod) || node_of(&pod).is_some() {
            continue;
        }
        note_what_is_ignored(state, &pod);
        match choose(state, &pod, &nodes, &bound) {
            Some(node) => {
                let now = state.now();
                state.store.update(&key, |pod| {
                    pod["spec"]["nodeName"] = json!(node);
                    set_condition(pod, now, "PodScheduled", "True", "", "");
                });
                bound.push((node, owner(&pod).map(|owner| owner.uid.to_owned()).unwrap_or_default()));
            }
            None => refuse(state, &key, &pod, nodes.len()),
        }
    }
}

/// Fewest pods of the same owner, then fewest pods, then the first by name.
fn choose(state: &State, pod: &Value, nodes: &[(String, Arc<Value>)], bound: &[(String, String)]) -> Option<String> {
    let uid = owner(pod).map_or("", |owner| owner.uid);
    let mut siblings: BTreeMap<&str, usize> = BTreeMap::new();
    let own = state.control.index.children(uid).filter_map(|key| state.store.get(key));
    for node in own.filter_map(|sibling| node_of(sibling)) {
        *siblings.entry(node).or_default() += 1;
    }
    let fits = nodes.iter().filter(|(name, node)| fits(pod, name, node));
    let load = |name: &str| {
        let new = bound.iter().filter(|(node, _)| node == name).count();
        (siblings.get(name).copied().unwrap_or(0), state.control.index.count_on(name) + new)
    };
    fits.map(|(name, _)| name).min_by_key(|name| (load(name), name.as_str())).cloned()
}

fn refuse(state: &mut State, key: &Key, pod: &Value, nodes: usize) {
    if condition(pod, "PodScheduled").is_some_and(|known| known["status"] == "False") {
        return;
    }
    let now = state.now();
    let why = format!("0/{nodes} nodes are available: none has a place for this pod (selectors, taints, cordons).");
    state.store.update(key, |pod| set_condition(pod, now, "PodScheduled", "False", "Unschedulable", &why));
}

/// Whether a pod may go to a node.
pub fn fits(pod: &Value, name: &str, node: &Value) -> bool {
    let label = |key: &str| node["metadata"]["labels"][key].as_str();
    let selected = pod["spec"]["nodeSelector"].as_object().into_iter().flatten().all(|(key, value)| label(key) == value.as_str());
    let repels = |taint: &Value| taint["effect"] != "PreferNoSchedule" && tolerates(pod, taint).is_none();
    let taint = |key: &str| json!({ "key": format!("node.kubernetes.io/{key}"), "effect": "NoSchedule" });
    selected
        && affine(&pod["spec"]["affinity"]["nodeAffinity"], name, node)
        && !node["spec"]["taints"].as_array().into_iter().flatten().any(repels)
        // The taints follow a moment later.
        && !(node["spec"]["unschedulable"] == true && repels(&taint("unschedulable")))
        && (ready(node) || !repels(&taint("not-ready")))
}

/// The toleration of a pod that takes a taint.
pub fn tolerates<'a>(pod: &'a Value, taint: &Value) -> Option<&'a Value> {
    pod["spec"]["tolerations"].as_array()?.iter().find(|toleration| {
        let any = |field: &str| toleration[field].as_str().is_none_or(str::is_empty);
        let value = |holder: &Value| holder["value"].as_str().unwrap_or_default().to_owned();
        let exists = toleration["operator"] == "Exists";
        (any("effect") || toleration["effect"] == taint["effect"])
            && (toleration["key"] == taint["key"] || (any("key") && exists))
            && (exists || value(toleration) == value(taint))
    })
}

/// Required node affinity: one of the terms must hold.
fn affine(affinity: &Value, name: &str, node: &Value) -> bool {
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let Some(terms) = required.as_array() else { return true };
    let holds = |wanted: &Value, own: Option<&str>| {
        let among = |own: &str| wanted["values"].as_array().into_iter().flatten().any(|value| value == own);
        match wanted["operator"].as_str() {
            Some("In") => own.is_some_and(among),
            Some("NotIn") => !own.is_some_and(among),
            Some("Exists") => own.is_some(),
            Some("DoesNotExist") => own.is_none(),
            // Gt and Lt: recorded by `note_what_is_ignored`.
            _ => false,
        }
    };
    terms.iter().any(|term| {
        let each = |field: &str| term[field].as_array().into_iter().flatten();
        let label = |wanted: &Value| wanted["key"].as_str().and_then(|key| node["metadata"]["labels"][key].as_str());
        each("matchExpressions").all(|wanted| holds(wanted, label(wanted)))
            && each("matchFields").all(|wanted| holds(wanted, Some(name)))
    })
}

fn note_what_is_ignored(state: &mut State, pod: &Value) {
    let spec = &pod["spec"];
    let required = |kind: &str| {
        let rules = &spec["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"];
        rules.as_array().is_some_and(|rules| !rules.is_empty())
    };
    let terms = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let expressions =
        terms.as_array().into_iter().flatten().flat_map(|term| term["matchExpressions"].as_array().into_iter().flatten());
    let compares = |wanted: &Value| wanted["operator"] == "Gt" || wanted["operator"] == "Lt";
    let spread = spec["topologySpreadConstraints"].as_array().into_iter().flatten();
    let ignored = [
        ("required podAffinity", required("podAffinity")),
        ("required podAntiAffinity", required("podAntiAffinity")),
        ("a node affinity that compares numbers", expressions.into_iter().any(compares)),
        ("a topology spread that forbids", spread.into_iter().any(|one| one["whenUnsatisfiable"] != "ScheduleAnyway")),
        ("a host port", spec["containers"].as_array().into_iter().flatten().any(has_host_port)),
    ];
    for (what, _) in ignored.into_iter().filter(|(_, there)| *there) {
        let whose = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        unmodelled(state, format!("{what} of pods in {whose}"));
    }
}

fn has_host_port(container: &Value) -> bool {
    container["ports"].as_array().into_iter().flatten().any(|port| port["hostPort"].is_number())
}

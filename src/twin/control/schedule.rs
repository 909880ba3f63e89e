//! The scheduler: a node for each pod that has none, or the reason why there is none.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{condition, node_of, owner, ready, set_condition, terminating};
use super::unmodelled;

/// A node, as the scheduler sees it.
struct Place {
    name: String,
    node: Arc<Value>,
    /// Pods that are bound to it; the index learns of those of now only afterwards.
    pods: usize,
}

/// Pods that may go to the same nodes, and spread over them: one by one they would be compared with every node again.
struct Alike {
    like: Arc<Value>,
    owner: String,
    /// By their numbers, which are in the order of names.
    fit: Vec<usize>,
    /// By node: pods of the same owner.
    siblings: Vec<usize>,
}

impl Alike {
    fn new(state: &State, pod: &Arc<Value>, places: &[Place]) -> Self {
        let owner = owner_of(pod).to_owned();
        let fit = (0..places.len()).filter(|at| fits(pod, &places[*at].name, &places[*at].node)).collect();
        let mut siblings = vec![0; places.len()];
        let own = state.control.index.children(&owner).filter_map(|key| state.store.get(key));
        for node in own.filter_map(|sibling| node_of(sibling)) {
            if let Ok(at) = places.binary_search_by(|place| place.name.as_str().cmp(node)) {
                siblings[at] += 1;
            }
        }
        Alike { like: pod.clone(), owner, fit, siblings }
    }

    fn is_like(&self, pod: &Value) -> bool {
        let same = |field: &str| self.like["spec"][field] == pod["spec"][field];
        self.owner == owner_of(pod) && ["nodeSelector", "affinity", "tolerations"].into_iter().all(same)
    }

    /// Fewest pods of the same owner, then fewest pods, then the first by name.
    fn choose(&self, places: &[Place]) -> Option<usize> {
        self.fit.iter().copied().min_by_key(|at| (self.siblings[*at], places[*at].pods))
    }
}

fn owner_of(pod: &Value) -> &str {
    owner(pod).map_or("", |owner| owner.uid)
}

pub fn run(state: &mut State) {
    let pods: Vec<Key> = state.control.index.unbound.iter().cloned().collect();
    let place = |(key, node): (&Key, &Arc<Value>)| Place {
        name: key.name.clone(),
        node: node.clone(),
        pods: state.control.index.count_on(&key.name),
    };
    let mut places: Vec<Place> = state.store.list(Kind::Node).map(place).collect();
    let mut last: Option<Alike> = None;
    for key in pods {
        let Some(pod) = state.store.get(&key).cloned() else { continue };
        if terminating(&pod) || node_of(&pod).is_some() {
            continue;
        }
        note_what_is_ignored(state, &pod);
        let alike = match last.take().filter(|last| last.is_like(&pod)) {
            Some(alike) => alike,
            None => Alike::new(state, &pod, &places),
        };
        let alike = last.insert(alike);
        match alike.choose(&places) {
            Some(at) => {
                let (now, node) = (state.now(), &places[at].name);
                state.store.update(&key, |pod| {
                    pod["spec"]["nodeName"] = json!(node);
                    set_condition(pod, now, "PodScheduled", "True", "", "");
                });
                places[at].pods += 1;
                alike.siblings[at] += usize::from(!alike.owner.is_empty());
            }
            None => refuse(state, &key, &pod, places.len()),
        }
    }
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

//! Nodes: what their kubelets report, and what the node lifecycle controller makes of silence.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::api::delete_pod;
use super::super::state::{State, later};
use super::super::store::{Key, seconds};
use super::objects::{condition, finished, is, ready, set_condition, terminating};
use super::schedule::tolerates;
use super::{Due, delay, kubelet, mirror, unmodelled, wake_at};

/// Silence of a kubelet until its node counts as not Ready (node-monitor-grace-period).
pub const GRACE: Duration = Duration::from_secs(40);
/// How long pods stay on a node that is not Ready, unless they say otherwise.
const TOLERATED: Duration = Duration::from_secs(300);
/// After this, pods of a node that was deleted are forgotten.
pub const GONE_FOR_GOOD: Duration = Duration::from_secs(60);
const CORDONED: &str = "node.kubernetes.io/unschedulable";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The conditions that a kubelet reports, and what they say when all is well.
const CONDITIONS: [(&str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
];

/// What is remembered of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeHealth {
    silent_since: Option<Timestamp>,
    /// Its kubelet is back and reports from then on.
    back_at: Option<Timestamp>,
    /// It carries the taint that drives pods away.
    bad_since: Option<Timestamp>,
}

/// Of what it depends whether a kubelet is heard: looked at again once this is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    machines: u64,
    silent: BTreeSet<String>,
    by_hand: bool,
}

/// Notices kubelets that fell silent or are back.
pub fn watch(state: &mut State) {
    let control = &state.control;
    let heard = Heard { machines: state.hosts.changes(), silent: control.silent.clone(), by_hand: control.by_hand };
    if control.heard.as_ref() == Some(&heard) {
        return;
    }
    state.control.heard = Some(heard);
    let changed = |(name, seen): (&String, &NodeHealth)| {
        let lives = kubelet::alive(state, name);
        (lives == seen.silent_since.is_some()).then(|| (name.clone(), lives))
    };
    let changed: Vec<(String, bool)> = state.control.nodes.iter().filter_map(changed).collect();
    for (name, lives) in changed {
        let now = state.now();
        let back_at = lives.then(|| later(now, delay(state, 2000, 6000)));
        if let Some(seen) = state.control.nodes.get_mut(&name) {
            seen.silent_since = (!lives).then_some(now);
            seen.back_at = back_at;
        }
        wake_at(state, Due::Node(name.clone()), back_at.unwrap_or_else(|| later(now, GRACE)));
        if lives {
            kubelet::look_at_all(state, &name);
            mirror::look_at_all(state, &name);
        }
    }
}

/// The kubelet was restarted: it reports its node anew, its version first of all. A real one took 0.6 to 1.1 s for that.
pub fn kubelet_restarted(state: &mut State, node: &str) {
    let when = later(state.now(), delay(state, 600, 1100));
    wake_at(state, Due::Report(node.to_owned()), when);
}

/// A machine's power goes, and with it all that runs there; or it comes back, and the kubelet in its time.
pub fn node_power(state: &mut State, node: &str, on: bool) {
    if on {
        kubelet::look_at_all(state, node);
    } else {
        kubelet::power_lost(state, node);
    }
    watch(state);
}

pub fn report(state: &mut State, name: &str) {
    if !kubelet::alive(state, name) {
        // It reports when it is back.
        return;
    }
    let (kubelet, runtime) = (state.hosts.kubelet_version(name), state.hosts.runtime_version(name));
    let boot = state.hosts.boot_id(name);
    state.store.update(&Key::node(name), |node| {
        node["status"]["nodeInfo"]["kubeletVersion"] = json!(kubelet);
        node["status"]["nodeInfo"]["containerRuntimeVersion"] = json!(runtime);
        node["status"]["nodeInfo"]["bootID"] = json!(boot);
    });
}

pub fn sync(state: &mut State, name: &str) {
    let key = Key::node(name);
    let now = state.now();
    let Some(node) = state.store.get(&key).cloned() else { return forget(state, name) };
    let Some(mut seen) = state.control.nodes.get(name).cloned() else { return };
    let lost = seen.silent_since.map(|since| later(since, GRACE));
    let back = seen.silent_since.is_none() && seen.back_at.is_none_or(|back| back <= now);
    let unknown = is(&node, "Ready") == "Unknown";
    let wanted = match lost {
        Some(lost) if lost <= now && !unknown => Some(false),
        // Whoever plays the kubelet reports for it.
        _ if state.control.by_hand => None,
        _ if back && (unknown || condition(&node, "Ready").is_none()) => Some(true),
        _ => None,
    };
    let healthy = wanted.unwrap_or_else(|| ready(&node));
    let key_of_bad = if wanted == Some(false) || (unknown && !healthy) { UNREACHABLE } else { NOT_READY };
    let drives_away = |taint: &Value| taint["effect"] == "NoExecute" && taint["key"] != UNREACHABLE && taint["key"] != NOT_READY;
    if node["spec"]["taints"].as_array().into_iter().flatten().any(drives_away) {
        unmodelled(state, format!("a person's NoExecute taint on {name}"));
    }
    let taints = taints(&node, healthy, key_of_bad, &seconds(now));
    let same = match node["spec"]["taints"].as_array() {
        Some(known) => *known == taints,
        None => taints.is_empty(),
    };
    if wanted.is_some() || !same {
        state.store.update(&key, |node| {
            write_conditions(node, now, wanted);
            match node["spec"].as_object_mut() {
                Some(spec) if taints.is_empty() => drop(spec.shift_remove("taints")),
                _ if same => {}
                _ => node["spec"]["taints"] = json!(taints),
            }
        });
    }
    match lost {
        Some(lost) if lost > now => wake_at(state, Due::Node(name.to_owned()), lost),
        _ => {}
    }
    if wanted == Some(true) {
        seen.back_at = None;
        report(state, name);
        kubelet::look_at_all(state, name);
    }
    seen.bad_since = if healthy { None } else { seen.bad_since.or(Some(now)) };
    if let Some(since) = seen.bad_since {
        leave(state, name, since, key_of_bad);
    }
    state.control.nodes.insert(name.to_owned(), seen);
}

fn write_conditions(node: &mut Value, now: Timestamp, wanted: Option<bool>) {
    let Some(well) = wanted else { return };
    for (kind, status, reason) in CONDITIONS {
        if well {
            set_condition(node, now, kind, status, reason, "");
        } else {
            set_condition(node, now, kind, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
        }
    }
}

/// The node's taints as they should be.
fn taints(node: &Value, healthy: bool, key_of_bad: &str, now: &str) -> Vec<Value> {
    let known: Vec<Value> = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if node["spec"]["unschedulable"] == true {
        wanted.push((CORDONED, "NoSchedule"));
    }
    if !healthy {
        wanted.extend([(key_of_bad, "NoSchedule"), (key_of_bad, "NoExecute")]);
    }
    let is = |taint: &Value, (key, effect): (&str, &str)| taint["key"] == key && taint["effect"] == effect;
    let ours = |taint: &Value| [CORDONED, UNREACHABLE, NOT_READY].iter().any(|key| taint["key"] == *key);
    let missing: Vec<Value> = wanted
        .iter()
        .filter(|one| !known.iter().any(|taint| is(taint, **one)))
        .map(|(key, effect)| json!({ "key": key, "effect": effect, "timeAdded": now }))
        .collect();
    let stays = |taint: &Value| !ours(taint) || wanted.iter().any(|one| is(taint, *one));
    known.into_iter().filter(stays).chain(missing).collect()
}

/// Pods of a node that is not Ready: they count as not Ready at once, and are deleted when their tolerance ends.
fn leave(state: &mut State, name: &str, since: Timestamp, taint: &str) {
    let now = state.now();
    let pods: Vec<Key> = state.control.index.on_node(name).cloned().collect();
    for key in pods {
        let Some(pod) = state.store.get(&key).cloned() else { continue };
        if finished(&pod) {
            continue;
        }
        // A kubelet that says itself that it is not ready speaks for its pods.
        if ready(&pod) && taint == UNREACHABLE {
            state.store.update(&key, |pod| set_condition(pod, now, "Ready", "False", "NodeNotReady", ""));
        }
        if terminating(&pod) || kubelet::stays(&pod) {
            continue;
        }
        let bad = json!({ "key": taint, "effect": "NoExecute" });
        let tolerance = match tolerates(&pod, &bad) {
            Some(toleration) if toleration["tolerationSeconds"].is_null() => continue,
            Some(toleration) => Duration::from_secs(toleration["tolerationSeconds"].as_u64().unwrap_or(0)),
            None => TOLERATED,
        };
        let until = later(since, tolerance);
        if until > now {
            wake_at(state, Due::Node(name.to_owned()), until);
            continue;
        }
        state.store.update(&key, |pod| {
            let why = format!("Taint manager: deleting due to NoExecute taint {taint}");
            set_condition(pod, now, "DisruptionTarget", "True", "DeletionByTaintManager", &why);
        });
        delete_pod(state, &key, None);
    }
}

/// The node's object is gone: so are its pods, as far as the API server is concerned.
fn forget(state: &mut State, name: &str) {
    let now = state.now();
    let pods: Vec<Key> = state.control.index.on_node(name).cloned().collect();
    for key in pods {
        state.store.update(&key, |pod| {
            if !finished(pod) {
                pod["status"]["phase"] = json!("Failed");
                set_condition(pod, now, "DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists");
            }
        });
        delete_pod(state, &key, Some(0));
    }
}

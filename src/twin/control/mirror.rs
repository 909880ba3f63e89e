//! Static pods: what a kubelet runs from a file, and shows to the API server as a mirror.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::super::state::{State, later};
use super::super::store::{Key, Kind};
use super::objects::{create, hash};
use super::{Due, delay, kubelet, unmodelled, wake_at};

const NAMESPACE: &str = "kube-system";
const HASHES: [&str; 2] = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];

/// A manifest that the kubelet has not shown yet.
#[derive(Clone, Debug)]
pub struct PendingManifest {
    image: String,
    ready_at: Timestamp,
}

/// The manifest of a node's component names another image now (kubeadm's doing): its pod is replaced, and Ready `ready_after` from now.
pub fn static_pod_replaced(state: &mut State, node: &str, component: &str, image: &str, ready_after: Duration) {
    let ready_at = later(state.now(), ready_after);
    if component == "kube-apiserver" {
        let now = state.now();
        state.hosts.change(node, |machine| machine.api_starts(now));
    }
    let place = (node.to_owned(), component.to_owned());
    state.control.statics.insert(place, PendingManifest { image: image.to_owned(), ready_at });
    let when = later(state.now(), delay(state, 500, 1500));
    wake_at(state, Due::Static(node.to_owned(), component.to_owned()), when);
}

/// Manifests that a kubelet has still to show, for when it is back.
pub fn look_at_all(state: &mut State, node: &str) {
    let own: Vec<_> = state.control.statics.keys().filter(|(at, _)| at == node).cloned().collect();
    let now = state.now();
    for (node, component) in own {
        wake_at(state, Due::Static(node, component), now);
    }
}

pub fn sync(state: &mut State, node: &str, component: &str) {
    if !kubelet::alive(state, node) {
        return;
    }
    let Some(wanted) = state.control.statics.remove(&(node.to_owned(), component.to_owned())) else { return };
    let key = Key::new(Kind::Pod, NAMESPACE, &format!("{component}-{node}"));
    let Some(former) = state.store.remove(&key) else {
        return unmodelled(state, format!("a static pod {} that was not there before", key.name));
    };
    let mut pod = json!({ "metadata": former["metadata"], "spec": former["spec"], "status": { "phase": "Pending" } });
    if let Some(meta) = pod["metadata"].as_object_mut() {
        for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            meta.shift_remove(field);
        }
    }
    pod["spec"]["containers"][0]["image"] = json!(wanted.image);
    if let Some(command) = state.hosts.machine(node).and_then(|machine| machine.commands.get(component)) {
        pod["spec"]["containers"][0]["command"] = json!(command);
    }
    let hashed = hash(&json!([pod["spec"], wanted.ready_at.as_second()]));
    for name in HASHES {
        pod["metadata"]["annotations"][name] = json!(hashed);
    }
    if let Some(pod) = create(state, Kind::Pod, pod) {
        kubelet::adopt_running(state, &key, &pod, wanted.ready_at);
    }
}

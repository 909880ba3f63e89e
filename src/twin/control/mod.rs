//! What a cluster does by itself: controllers, scheduler, kubelets, and the pods that they run.

use std::time::Duration;

use serde_json::json;

use super::state::{ProgramPhase, State};
use super::store::{Key, Kind};

/// What controllers remember.
#[derive(Clone, Default)]
pub struct Control {
    /// Events of the store up to here have been seen.
    pub seen: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {}

pub fn fire(_state: &mut State, due: Due) {
    match due {}
}

/// After anything that happened: what controllers learn of it, and when they will act.
pub fn react(state: &mut State) {
    state.control.seen = state.store.version();
}

/// The process of a pod has ended, or was killed (137).
pub fn program_ended(state: &mut State, uid: &str, _code: u8) {
    if let Some(program) = state.programs.get_mut(uid) {
        program.phase = ProgramPhase::Killed;
    }
}

/// For the merge: hosts calls these, control is to replace them.
pub fn kubelet_restarted(state: &mut State, node: &str) {
    let (kubelet, runtime) = (state.hosts.kubelet_version(node), state.hosts.runtime_version(node));
    state.store.update(&Key::node(node), |object| {
        object["status"]["nodeInfo"]["kubeletVersion"] = json!(kubelet);
        object["status"]["nodeInfo"]["containerRuntimeVersion"] = json!(runtime);
    });
}

pub fn node_power(_state: &mut State, _node: &str, _on: bool) {}

pub fn static_pod_replaced(state: &mut State, node: &str, component: &str, image: &str, _ready_after: Duration) {
    state.store.update(&Key::new(Kind::Pod, "kube-system", &format!("{component}-{node}")), |pod| {
        pod["spec"]["containers"][0]["image"] = json!(image);
    });
}

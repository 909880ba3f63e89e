//! Surge: what a Deployment's owner would hold against a restart, and against an eviction in its place.

use jiff::{SignedDuration, Timestamp};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, State};
use serde_json::{Value, json};

use super::super::world::NAMESPACE;
use super::{Observer, evicted};

const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
const OPT_OUT: &str = "viktorbarzin.me/k8s-upgrade-unstick";
/// Half of the shortest drain of a simulation, less a look or two: so long a new pod was waited for that never came.
const WAITED: SignedDuration = SignedDuration::from_secs(285);

/// The settings ask for it.
fn is_on(state: &State) -> bool {
    let config = state.store.get(&Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-config"));
    config.and_then(|config| config["data"]["config.yaml"].as_str()).is_some_and(|text| text.contains("drain-surge: single"))
}

fn restarted_at(deployment: &Value) -> Option<Timestamp> {
    deployment["spec"]["template"]["metadata"]["annotations"][RESTARTED].as_str()?.parse().ok()
}

/// What it asks for, but for when its pods were restarted.
fn apart(deployment: &Value) -> Value {
    let mut spec = deployment["spec"].clone();
    let meta = &mut spec["template"]["metadata"];
    let mut annotations = meta["annotations"].as_object().cloned().unwrap_or_default();
    annotations.shift_remove(RESTARTED);
    meta["annotations"] = Value::Object(annotations);
    spec
}

/// One pod, whose successor can come up beside it, and nobody says no.
fn is_fit(deployment: &Value) -> bool {
    let (spec, template) = (&deployment["spec"], &deployment["spec"]["template"]);
    let usual = spec["strategy"].is_null() || spec["strategy"] == json!({ "type": "RollingUpdate" });
    let disk = template["spec"]["volumes"].as_array().into_iter().flatten().any(|one| one["persistentVolumeClaim"].is_object());
    let tolerant = template["spec"]["tolerations"].as_array().into_iter().flatten().any(|one| one["key"].is_null());
    let opts_out = [&deployment["metadata"], &template["metadata"]].iter().any(|of| of["annotations"][OPT_OUT].is_string());
    spec["replicas"] == 1 && usual && spec["paused"] != true && !disk && !tolerant && !opts_out
}

fn owner<'a>(state: &'a State, object: &Value, kind: Kind) -> Option<&'a Value> {
    let owner = object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)?;
    state.store.by_uid(kind, owner["uid"].as_str()?).map(|(_, object)| &**object)
}

impl Observer {
    /// Of a Deployment nothing changes but when its pods were restarted; only where that was asked for, and where the new pod comes first.
    pub(super) fn restarted(&self, state: &State, key: &Key, before: &Value, after: &Value) {
        if self.writer.is_none() || before["spec"] == after["spec"] {
            return;
        }
        let only = restarted_at(after).is_some() && apart(after) == apart(before);
        if !only || !is_on(state) || !is_fit(before) {
            self.breaks(state, "surge", format!("Deployment {} is changed by {:?}", key.full_name(), self.writer));
        }
    }

    /// What can have its successor first is not evicted or deleted before that: unless none has come for half a drain.
    pub(super) fn goes_last(&self, state: &State, call: &Call) {
        let path = match call.what.split_once(' ') {
            Some(("POST", path)) if call.changes && path.split('?').next().is_some_and(|path| path.ends_with("/eviction")) => {
                path
            }
            Some(("DELETE", path)) if path.contains("/pods/") => path,
            _ => return,
        };
        let Some(key) = evicted(path) else { return };
        let Some(pod) = state.store.get(&key) else { return };
        let Some(deployment) = owner(state, pod, Kind::ReplicaSet).and_then(|set| owner(state, set, Kind::Deployment)) else {
            return;
        };
        let available = deployment["status"]["availableReplicas"] == 1;
        let in_vain = restarted_at(deployment).is_some_and(|at| state.now().duration_since(at) >= WAITED);
        if is_on(state) && is_fit(deployment) && available && !in_vain && pod["metadata"]["deletionTimestamp"].is_null() {
            self.breaks(state, "surge", format!("{} goes before its successor is there: {}", key.full_name(), call.what));
        }
    }
}

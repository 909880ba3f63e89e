//! kubeadm's configuration in the cluster: what it says of releases and images.

use serde_json::json;

use super::super::State;
use super::super::store::{Key, Kind};
use super::release::REGISTRY;
use crate::names;
use crate::plan::model::version::Version;

/// What kubeadm keeps in a ConfigMap of the cluster.
pub fn document(state: &State, name: &str, key: &str) -> Option<String> {
    let map = state.store.get(&Key::new(Kind::ConfigMap, "kube-system", name))?;
    map["data"][key].as_str().map(str::to_owned)
}

/// A field of kubeadm's ClusterConfiguration in the cluster.
pub fn configured(state: &State, field: &str) -> Option<String> {
    let text = document(state, names::KUBEADM_CONFIG, "ClusterConfiguration")?;
    text.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().trim_matches('"').to_owned()))
}

/// The image of a static pod at a version, from that registry.
pub fn image(registry: &str, component: &str, version: &str) -> String {
    let v = if component == "etcd" { "" } else { "v" };
    format!("{registry}/{component}:{v}{version}")
}

/// The same, as this cluster's kubeadm names it.
pub fn image_of(state: &State, component: &str, version: &str) -> String {
    image(&registry(state), component, version)
}

/// Where this cluster's images come from.
pub fn registry(state: &State) -> String {
    configured(state, "imageRepository").unwrap_or_else(|| REGISTRY.to_owned())
}

/// The cluster is at that version from now on, as far as kubeadm knows.
pub fn configure(state: &mut State, to: Version) {
    state.store.update(&Key::new(Kind::ConfigMap, "kube-system", "kubeadm-config"), |map| {
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap_or_default();
        let line = |line: &str| {
            if line.starts_with("kubernetesVersion:") { format!("kubernetesVersion: v{to}\n") } else { format!("{line}\n") }
        };
        map["data"]["ClusterConfiguration"] = json!(text.lines().map(line).collect::<String>());
    });
}

//! The kubelet's configuration: a node's file, against the ConfigMap that `kubeadm upgrade` writes over it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::patches::Patches;
use super::{Difference, Keep, shown};
use crate::failure::Cause;

/// Where it stands on a node.
const FILE: &str = "/var/lib/kubelet/config.yaml";
/// kubeadm finds these out on each node, and keeps them.
const OF_THE_NODE: [(&str, Option<&str>); 2] =
    [("containerRuntimeEndpoint", None), ("resolvConf", Some("/run/systemd/resolve/resolv.conf"))];
/// May carry what nobody else should read.
const SECRET: &str = "staticPodURLHeader";

/// The ConfigMap's KubeletConfiguration, by the path of each value.
pub struct Configuration(BTreeMap<String, Value>);

impl Configuration {
    /// # Errors
    /// Refused: it is no YAML, or no mapping.
    pub fn read(text: &str) -> Result<Self, Cause> {
        leaves(text).map(Configuration).map_err(|why| {
            Cause::refused("the KubeletConfiguration in ConfigMap kube-system/kubelet-config cannot be read").detail(why.lines())
        })
    }
}

/// What of a node's file kubeadm would not write, with the node's patches.
pub fn differences(configuration: &Configuration, node: &str, file: &str, patches: Option<&Patches>) -> Vec<Difference> {
    let difference =
        |what: String| Difference { place: node.to_owned(), what: format!("kubelet {what}"), keep: Keep::KubeletConfiguration };
    if file.trim().is_empty() {
        return Vec::new();
    }
    let own = match leaves(file) {
        Ok(own) => own,
        Err(why) => {
            let why = why.lines().next().unwrap_or_default().to_owned();
            return vec![difference(format!("{FILE} cannot be read ({why}): {}", shown(&Value::from(file))))];
        }
    };
    let of_the_node = |path: &str, value: &Value| {
        OF_THE_NODE.iter().any(|(known, usual)| *known == path && usual.is_none_or(|usual| value == usual))
    };
    let text_of = |path: &str, value: &Value| {
        if path.starts_with(SECRET) { format!("(hidden, sha256 {})", super::hex(&value.to_string(), 12)) } else { shown(value) }
    };
    let mut patched = configuration.0.clone();
    if let Some(patches) = patches {
        patches.lay_over(&mut patched);
    }
    // What a patch alone would change is not rolled out yet: nobody has made it by hand.
    let by_hand = |path: &str, value: &Value| !of_the_node(path, value) && configuration.0.get(path) != Some(value);
    let lost = own.iter().filter(|(path, value)| by_hand(path, value) && patched.get(*path) != Some(*value));
    lost.filter_map(|(path, value)| {
        let would = match patched.get(path) {
            Some(other) => format!("write {}", text_of(path, other)),
            None if is_unset(path, value) => return None,
            None => "drop it".to_owned(),
        };
        Some(difference(format!("{path}: {}: kubeadm would {would}", text_of(path, value))))
    })
    .collect()
}

/// What kubeadm writes for what was not set.
fn is_unset(path: &str, value: &Value) -> bool {
    let zero = value == &Value::Null || value == "0s" || value == "";
    zero || path.starts_with("logging.") && (value == &Value::from(0) || value == "0")
}

/// The values of a YAML mapping by their paths; a list is one value.
fn leaves(text: &str) -> Result<BTreeMap<String, Value>, String> {
    fn walk(path: String, value: Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => map.into_iter().for_each(|(key, value)| {
                walk(if path.is_empty() { key } else { format!("{path}.{key}") }, value, into);
            }),
            value => drop(into.insert(path, value)),
        }
    }
    let value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if !value.is_object() {
        return Err("it is no mapping".to_owned());
    }
    let mut all = BTreeMap::new();
    walk(String::new(), value, &mut all);
    Ok(all)
}

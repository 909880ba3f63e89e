//! The CoreDNS Deployment, which kubeadm writes anew but for its replicas. Whose each field is, the API server has recorded: what somebody
//! other than kubeadm has set is a change made by hand, whatever kubeadm's own would be in this release.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::patches::Patches;
use super::{Difference, Keep, shown};
use crate::words::Flag;

const KUBEADM: &str = "kubeadm";
/// A restart leaves this behind, which nobody misses.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// `flags` of `kubeadm upgrade` leave it alone.
pub fn is_skipped(flags: &[Flag]) -> bool {
    skips_addon(flags, "coredns")
}

/// They leave an addon alone.
pub fn skips_addon(flags: &[Flag], addon: &str) -> bool {
    let lists = flags.iter().filter_map(|flag| flag.strip_prefix("--skip-phases="));
    lists.flat_map(|list| list.split(',')).any(|phase| phase == "addon" || phase.strip_prefix("addon/") == Some(addon))
}

/// What in the Deployment `kube-system/coredns` is not kubeadm's. Any control plane may be the one that writes it: what the patches of them all
/// write again is not lost.
pub fn differences(deployment: &Value, patches: &[&Patches]) -> Vec<Difference> {
    let difference = |what: String| Difference { place: "CoreDNS".to_owned(), what, keep: Keep::CoreDns };
    let recorded = deployment["metadata"]["managedFields"].as_array().filter(|recorded| !recorded.is_empty());
    let Some(recorded) = recorded else {
        let template = super::hex(&deployment["spec"]["template"].to_string(), 12);
        let what = format!("who set its fields is not recorded (template {template}): kubeadm would write its own Deployment");
        return vec![difference(what)];
    };
    let mut found = Vec::new();
    // Status and scale are not what kubeadm writes.
    let others =
        recorded.iter().filter(|entry| entry["manager"] != KUBEADM && entry["subresource"].as_str().is_none_or(str::is_empty));
    for entry in others {
        let manager = entry["manager"].as_str().unwrap_or("somebody");
        let Some(fields) = entry["fieldsV1"]["f:spec"].as_object() else { continue };
        let written: Vec<Vec<_>> =
            patches.iter().map(|own| own.of_coredns().map(|patch| values(fields, &patch["spec"])).collect()).collect();
        let kept = |path: &str, value: Option<&Value>| {
            let by = |own: &Vec<BTreeMap<String, &Value>>| own.iter().any(|values| value == values.get(path).copied());
            value.is_some() && !written.is_empty() && written.iter().all(by)
        };
        walk(fields, "", Some(&deployment["spec"]), &mut |path, value| {
            if path != "replicas" && !path.ends_with(RESTARTED) && !kept(path, value) {
                let value = value.map_or("(gone)".to_owned(), shown);
                found.push(difference(format!("{path}: {value}, set by {manager}: kubeadm would write its own")));
            }
        });
    }
    found
}

/// Each field of a set of them, with its path and value.
fn walk<'a>(fields: &Map<String, Value>, path: &str, value: Option<&'a Value>, each: &mut impl FnMut(&str, Option<&'a Value>)) {
    let mut below = fields.iter().filter(|(key, _)| *key != ".").peekable();
    if below.peek().is_none() {
        return each(path, value);
    }
    for (key, inner) in below {
        let (path, value) = step(path, key, value);
        match inner.as_object() {
            Some(inner) => walk(inner, &path, value, each),
            None => each(&path, value),
        }
    }
}

/// What an object has at these fields, by their paths.
fn values<'a>(fields: &Map<String, Value>, object: &'a Value) -> BTreeMap<String, &'a Value> {
    let mut all = BTreeMap::new();
    walk(fields, "", Some(object), &mut |path, value| all.extend(value.map(|value| (path.to_owned(), value))));
    all
}

/// One step down: `f:NAME`, `k:{"name":"coredns"}` (the item of a list with these keys), `v:"x"` (that very item).
fn step<'a>(path: &str, key: &str, value: Option<&'a Value>) -> (String, Option<&'a Value>) {
    let dot = if path.is_empty() { "" } else { "." };
    match key.split_once(':') {
        Some(("f", name)) => (format!("{path}{dot}{name}"), value.and_then(|value| value.get(name))),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let items = value.and_then(Value::as_array);
            let is = |item: &&Value| keys.iter().all(|(key, wanted)| item.get(key) == Some(wanted));
            let named: Vec<String> = keys.values().map(shown).collect();
            (format!("{path}[{}]", named.join("/")), items.and_then(|items| items.iter().find(is)))
        }
        _ => {
            let wanted: Option<Value> = key.split_once(':').and_then(|(_, text)| serde_json::from_str(text).ok());
            let items = value.and_then(Value::as_array);
            let item = items.and_then(|items| items.iter().find(|item| Some(*item) == wanted.as_ref()));
            (format!("{path}[{}]", wanted.as_ref().map_or_else(|| key.to_owned(), shown)), item)
        }
    }
}

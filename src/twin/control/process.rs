//! What runs in pods: this program, the backup, and hooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use serde_json::Value;

use super::super::hosts;
use super::super::state::{Program, ProgramPhase, State};
use super::super::store::{Key, Kind};
use super::{Backup, HookEnd, unmodelled};
use crate::names;
use crate::world::Env;

/// The size of a snapshot, as the lab's is.
pub const SNAPSHOT_BYTES: u64 = 4_575_264;
/// Too small to be one.
const FRAGMENT_BYTES: u64 = 512;

/// Starts this program where a container of the pod is it; whether one was. The error: what its start waits for.
pub fn start(state: &mut State, uid: &str, key: &Key, pod: &Value) -> Result<bool, String> {
    let containers = pod["spec"]["containers"].as_array();
    let Some(container) = containers.into_iter().flatten().find(|container| container["name"] == names::PROGRAM) else {
        return Ok(false);
    };
    if container["command"].is_array() {
        unmodelled(state, format!("the command of the container in {}", key.full_name()));
    }
    let files = files(state, &key.namespace, &pod["spec"]["volumes"], &container["volumeMounts"])?;
    let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let program = Program {
        pod: key.clone(),
        account: (key.namespace.clone(), pod["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned()),
        argv: std::iter::once(names::PROGRAM).chain(arguments).map(str::to_owned).collect(),
        env: env(state, pod, &container["env"]),
        files,
        phase: ProgramPhase::Wanted,
        stop: false,
    };
    state.programs.insert(uid.to_owned(), program);
    Ok(true)
}

fn env(state: &mut State, pod: &Value, wanted: &Value) -> Env {
    let mut env = Env::new();
    for variable in wanted.as_array().into_iter().flatten() {
        let Some(name) = variable["name"].as_str() else { continue };
        let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
        let value = match (variable["value"].as_str(), field) {
            (Some(value), _) => Some(value),
            (
                None,
                Some(
                    path
                    @ ("metadata.name" | "metadata.namespace" | "metadata.uid" | "spec.nodeName" | "spec.serviceAccountName"),
                ),
            ) => pod.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str),
            (None, None) if variable["valueFrom"].is_null() => Some(""),
            _ => {
                unmodelled(state, format!("the environment variable {name} of a pod: {}", variable["valueFrom"]));
                None
            }
        };
        env.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    env
}

/// The files that volumes bring, as their sources are now.
fn files(state: &mut State, namespace: &str, volumes: &Value, mounts: &Value) -> Result<BTreeMap<PathBuf, Arc<[u8]>>, String> {
    let mut files = BTreeMap::new();
    for mount in mounts.as_array().into_iter().flatten() {
        let volume = volumes.as_array().into_iter().flatten().find(|volume| volume["name"] == mount["name"]);
        let Some(volume) = volume else { return Err(format!("there is no volume {}", mount["name"])) };
        let place = Path::new(mount["mountPath"].as_str().unwrap_or_default());
        let (kind, name, source) = if volume["secret"].is_object() {
            (Kind::Secret, &volume["secret"]["secretName"], &volume["secret"])
        } else if volume["configMap"].is_object() {
            (Kind::ConfigMap, &volume["configMap"]["name"], &volume["configMap"])
        } else if volume["emptyDir"].is_object() {
            continue;
        } else {
            unmodelled(state, format!("the volume {} of a pod", volume["name"]));
            continue;
        };
        if mount["subPath"].is_string() {
            unmodelled(state, format!("subPath of the volume {}", volume["name"]));
        }
        let key = Key::new(kind, namespace, name.as_str().unwrap_or_default());
        let Some(object) = state.store.get(&key) else {
            if source["optional"] == true {
                continue;
            }
            return Err(format!("{} {} is not there", kind.names().kind, key.full_name()));
        };
        let items = source["items"].as_array();
        let missing = |item: &&Value| item["key"].as_str().is_none_or(|key| object["data"][key].is_null());
        if let Some(item) = items.into_iter().flatten().find(missing).filter(|_| source["optional"] != true) {
            return Err(format!("{} {} has no {}", kind.names().kind, key.full_name(), item["key"]));
        }
        for (file, text) in object["data"].as_object().into_iter().flatten() {
            let item = |items: &'_ Vec<Value>| {
                let item = items.iter().find(|item| item["key"] == file.as_str())?;
                item["path"].as_str().map(str::to_owned)
            };
            let Some(file) = items.map_or_else(|| Some(file.clone()), item) else { continue };
            let text = text.as_str().unwrap_or_default();
            let bytes = match kind {
                Kind::Secret => {
                    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                    decoded.map_err(|error| format!("Secret {}, {file}: {error}", key.full_name()))?
                }
                _ => text.as_bytes().to_vec(),
            };
            files.insert(place.join(file), bytes.into());
        }
    }
    Ok(files)
}

/// A hook ends: its exit code.
pub fn hook(state: &mut State, uid: &str, hook: &str) -> u8 {
    match state.control.hooks.get(hook).copied().unwrap_or_default() {
        HookEnd::Well | HookEnd::Never => {
            state.log(uid, if hook == "before" { "noout is set" } else { "noout is unset" });
            0
        }
        HookEnd::Fails => {
            state.log(uid, "Error EPERM: no monitor allows that");
            1
        }
    }
}

/// A backup ends: its exit code.
pub fn back_up(state: &mut State, node: &str, uid: &str) -> u8 {
    let bytes = match state.control.backup {
        Backup::Fine | Backup::Stuck => SNAPSHOT_BYTES,
        Backup::Small => FRAGMENT_BYTES,
        Backup::Fails => {
            state.log(uid, "Error: rpc error: code = Unavailable desc = etcdserver: no leader");
            return 1;
        }
    };
    let path = state.now().strftime("/backup/etcd-%Y%m%d-%H%M%S.db").to_string();
    hosts::put_file(state, node, &path, bytes);
    state.log(uid, &format!("Backup done: {path} ({bytes} bytes)"));
    0
}

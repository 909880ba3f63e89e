//! What kubeadm's own patches write again after it (`--patches`): that is not lost. Judged by the flags and fields that they name, for a
//! folder with some patch says nothing of all the others.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::failure::Cause;
use crate::words::{Flag, HostPath};

/// Where people keep them, for want of a folder that kubeadm would look in by itself.
pub const USUAL_FOLDER: &str = "/etc/kubernetes/patches";

/// The folder that `flags` of `kubeadm upgrade` name.
pub fn folder(flags: &[Flag]) -> Option<HostPath> {
    flags.iter().rev().find_map(|flag| flag.strip_prefix("--patches=")?.parse().ok())
}

/// The patches in one node's folder, in kubeadm's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patches(Vec<Patch>);

/// By the name of their node; those of a node that is not there have not been asked for.
pub type OfNodes = BTreeMap<String, Patches>;

#[derive(Clone, Debug, PartialEq)]
struct Patch {
    target: String,
    /// A list of operations (RFC 6902), or a mapping that is laid over what is there.
    document: Value,
}

/// What a patch does with the command of a container.
pub(super) enum Command {
    /// These words, and no others.
    Whole(Vec<String>),
    /// Behind the others.
    Behind(Vec<String>),
    /// In the place of one that is there.
    Instead(Vec<String>),
}

impl Patches {
    /// Reads name and text of each file: `TARGET[SUFFIX][+TYPE].{json,yaml}`, in which documents may follow each other.
    ///
    /// # Errors
    /// Refused: one of them is no patch. kubeadm would fail on it, too, and not before the node is drained.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Cause> {
        let mut all = Vec::new();
        for (name, text) in files {
            let odd = |why: &str| Cause::refused(format!("kubeadm's patch {name} cannot be read")).detail(why.lines());
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let (of, kind) = stem.split_once('+').unwrap_or((stem, "strategic"));
            let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| odd(&error.to_string()))?;
            for document in documents.into_iter().filter(|document| !document.is_null()) {
                if !(if kind == "json" { document.is_array() } else { document.is_object() }) {
                    return Err(odd(&format!("it is no {kind} patch")));
                }
                all.push(Patch { target: of.to_owned(), document });
            }
        }
        Ok(Patches(all))
    }

    fn of<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |patch| patch.target.starts_with(target)).map(|patch| &patch.document)
    }

    /// What becomes of the command of a static pod.
    pub(super) fn commands(&self, component: &str) -> Vec<Command> {
        self.of(component)
            .flat_map(|document| match document.as_array() {
                Some(operations) => operations.iter().filter_map(operation).collect::<Vec<_>>(),
                None => {
                    let containers = document.pointer("/spec/containers").and_then(Value::as_array);
                    let own = containers.and_then(|all| all.iter().find(|container| container["name"] == component));
                    let words = |field: &str| own.and_then(|container| texts(&container[field]));
                    words("command").map(Command::Whole).into_iter().chain(words("args").map(Command::Behind)).collect()
                }
            })
            .collect()
    }

    /// Lays the kubelet's patches over the values of its configuration, each by its path.
    pub(super) fn lay_over(&self, values: &mut BTreeMap<String, Value>) {
        for document in self.of("kubeletconfiguration") {
            let Some(operations) = document.as_array() else {
                lay(values, "", document);
                continue;
            };
            for operation in operations {
                let path = operation["path"].as_str().unwrap_or_default();
                let path = path.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
                match operation["op"].as_str() {
                    Some("add" | "replace") => {
                        drop_below(values, &path);
                        lay(values, &path, &operation["value"]);
                    }
                    Some("remove") => drop_below(values, &path),
                    _ => {}
                }
            }
        }
    }

    /// What is laid over the Deployment of CoreDNS. Operations of a list name containers by their place, which says little of whose it is.
    pub(super) fn of_coredns(&self) -> impl Iterator<Item = &Value> {
        self.of("corednsdeployment").filter(|document| document.is_object())
    }
}

/// An operation on the words of the first container, the one that static pods have.
fn operation(operation: &Value) -> Option<Command> {
    let (field, place) = {
        let below = operation["path"].as_str()?.strip_prefix("/spec/containers/0/")?;
        below.split_once('/').map_or((below, None), |(field, place)| (field, Some(place)))
    };
    let value = &operation["value"];
    let words = texts(value).or_else(|| value.as_str().map(|word| vec![word.to_owned()]))?;
    match (operation["op"].as_str()?, field, place) {
        ("add" | "replace", "command", None) => Some(Command::Whole(words)),
        ("add" | "replace", "args", None) | ("add", "command" | "args", Some(_)) => Some(Command::Behind(words)),
        ("replace", "command" | "args", Some(_)) => Some(Command::Instead(words)),
        _ => None,
    }
}

fn texts(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// A value and all that stands below it.
fn drop_below(values: &mut BTreeMap<String, Value>, path: &str) {
    values.retain(|known, _| known != path && !known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
}

fn lay(values: &mut BTreeMap<String, Value>, path: &str, document: &Value) {
    match document {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            lay(values, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value);
        }),
        Value::Null => drop_below(values, path),
        value => drop(values.insert(path.to_owned(), value.clone())),
    }
}

//! Label and field selectors.

use serde_json::Value;

use super::super::store::Kind;

/// A label selector of a query: `app=web,tier!=cache,env in (a, b),!legacy,track`.
pub struct Labels(Vec<Requirement>);

enum Requirement {
    Is(String, Vec<String>),
    IsNot(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Labels {
    /// The error: why the API server cannot read it; None where the twin does not know.
    pub fn parse(text: &str) -> Result<Labels, Option<String>> {
        let mut wanted = Vec::new();
        for part in split(text) {
            let part = part.trim();
            let list = |rest: &str| -> Option<Vec<String>> {
                let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
                Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
            };
            let key = |key: &str| key.trim().to_owned();
            let listed = |rest: &str| list(rest).ok_or(None);
            wanted.push(if let Some((name, rest)) = part.split_once(" notin ") {
                Requirement::IsNot(key(name), listed(rest)?)
            } else if let Some((name, rest)) = part.split_once(" in ") {
                Requirement::Is(key(name), listed(rest)?)
            } else if let Some((name, value)) = part.split_once("!=") {
                Requirement::IsNot(key(name), vec![key(value)])
            } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                Requirement::Is(key(name), vec![key(value)])
            } else if let Some(name) = part.strip_prefix('!') {
                Requirement::Absent(key(name))
            } else if let Some((_, rest)) = part.split_once(' ') {
                let found = rest.split_whitespace().next().unwrap_or_default();
                return Err(Some(format!(
                    "unable to parse requirement: found '{found}', expected: in, notin, =, ==, !=, gt, lt"
                )));
            } else {
                Requirement::Exists(key(part))
            });
        }
        Ok(Labels(wanted))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn select(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.0.iter().all(|wanted| match wanted {
            Requirement::Is(key, values) => label(key).is_some_and(|own| values.iter().any(|value| value == own)),
            Requirement::IsNot(key, values) => label(key).is_none_or(|own| values.iter().all(|value| value != own)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        })
    }
}

/// At commas that stand in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A `LabelSelector` of an object (matchLabels, matchExpressions); a missing one selects nothing, an empty one everything.
pub fn matches_selector(selector: &Value, object: &Value) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key].as_str();
    let Some(selector) = selector.as_object() else { return false };
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    labels.into_iter().flatten().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().flatten().all(|wanted| {
            let own = wanted["key"].as_str().and_then(label);
            let values = || wanted["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            match wanted["operator"].as_str() {
                Some("In") => own.is_some_and(|own| values().any(|value| value == own)),
                Some("NotIn") => own.is_none_or(|own| values().all(|value| value != own)),
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}

/// Field selectors, as far as the API server knows them: names everywhere, a few fields of pods.
pub struct Fields(Vec<(&'static str, bool, String)>);

impl Fields {
    /// The error says that a field is no selector, in the words of its kind.
    pub fn parse(kind: Kind, text: &str) -> Result<Fields, String> {
        let mut wanted = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, equal, value) = match part.split_once("!=") {
                Some((name, value)) => (name, false, value),
                None => match part.split_once("==").or_else(|| part.split_once('=')) {
                    Some((name, value)) => (name, true, value),
                    None => return Err(format!("invalid selector: {part:?}; can't understand {part:?}")),
                },
            };
            let pointer = match (name, kind) {
                ("metadata.name", _) => "/metadata/name",
                ("metadata.namespace", _) => "/metadata/namespace",
                ("spec.nodeName", Kind::Pod) => "/spec/nodeName",
                ("status.phase", Kind::Pod) => "/status/phase",
                ("spec.unschedulable", Kind::Node) => "/spec/unschedulable",
                ("involvedObject.uid", Kind::Event) => "/involvedObject/uid",
                ("involvedObject.name", Kind::Event) => "/involvedObject/name",
                ("type", Kind::Event) => "/type",
                (_, Kind::Pod | Kind::Node | Kind::Event) => return Err(format!("field label not supported: {name}")),
                _ => {
                    return Err(format!(
                        "{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ));
                }
            };
            wanted.push((pointer, equal, value.to_owned()));
        }
        Ok(Fields(wanted))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one name that is asked for.
    pub fn name(&self) -> Option<&str> {
        self.only("/metadata/name")
    }

    /// The one node whose pods are asked for.
    pub fn node(&self) -> Option<&str> {
        self.only("/spec/nodeName")
    }

    fn only(&self, wanted: &str) -> Option<&str> {
        let only = |(pointer, equal, _): &&(&str, bool, String)| *pointer == wanted && *equal;
        self.0.iter().find(only).map(|(_, _, value)| value.as_str())
    }

    pub fn select(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, equal, value)| {
            let own = match object.pointer(pointer) {
                Some(Value::Bool(own)) => {
                    if *own {
                        "true"
                    } else {
                        "false"
                    }
                }
                Some(Value::String(own)) => own,
                _ => "",
            };
            (own == value) == *equal
        })
    }
}

//! What all objects that we print share: their labels, what people are told of them, and how they are written.

use serde_json::{Value, json};

use crate::failure::Cause;
use crate::names;

/// One object that `manifests` prints.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it is for, in one line.
    pub what_for: String,
    pub object: Value,
    /// Of a role: what each of its rules is for, in their order.
    pub rights: Vec<&'static str>,
}

impl Manifest {
    /// An object that is no role.
    pub fn new(what_for: impl Into<String>, object: Value) -> Manifest {
        Manifest { what_for: what_for.into(), object, rights: Vec::new() }
    }

    /// Its YAML, under a comment that says what it is for; in a role each rule has one of its own.
    fn commented(&self) -> Result<String, Cause> {
        let Manifest { what_for, object, rights } = self;
        let mut object = object.clone();
        let rules = object.as_object_mut().filter(|_| !rights.is_empty()).and_then(|object| object.shift_remove("rules"));
        let mut text = format!("# {what_for}\n{}", yaml(&[object])?);
        if let Some(Value::Array(rules)) = rules {
            text.push_str("rules:\n");
            for (why, rule) in rights.iter().zip(rules) {
                text.push_str(&format!("# {why}\n{}", yaml(&[json!([rule])])?));
            }
        }
        Ok(text)
    }
}

/// YAML documents, in which each object and each right says what it is for.
pub fn commented(manifests: &[Manifest]) -> Result<String, Cause> {
    let documents = manifests.iter().map(Manifest::commented).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// YAML documents that also readers of YAML 1.1 understand, `kubectl` among them: strings like `yes` and `1.30` are quoted.
pub fn yaml(documents: &[Value]) -> Result<String, Cause> {
    // Long strings stay on one line: folding them would hang their meaning on white space.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 100_000 };
    serde_saphyr::to_string_multiple_with_options(documents, options)
        .map_err(|error| Cause::bug(format!("the manifests cannot be written as YAML: {error}")))
}

/// On all that `manifests` prints.
pub fn labels() -> Value {
    json!({ names::LABEL_NAME: names::PROGRAM })
}

//! What all objects that we print share: their labels, and how they are written.

use serde_json::{Value, json};

use crate::failure::Cause;
use crate::names;

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

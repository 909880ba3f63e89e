//! JSON merge patches (RFC 7396), the one patch type that the program uses.

use serde_json::{Map, Value};

pub const MERGE: &str = "application/merge-patch+json";

/// Null takes away, objects are merged, everything else is replaced.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            // preserve_order: the place of what stays must not change.
            target.shift_remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

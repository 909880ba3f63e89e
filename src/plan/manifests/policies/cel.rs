//! Expressions of the Common Expression Language, in which policies are written.

use serde_json::{Value, json};

/// A value as an expression. JSON nearly is one; but what a list or a map holds must be of one type, or of none that is known.
pub fn literal(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(items) => {
            format!("[{}]", joined(items.iter().map(|item| format!("dyn({})", literal(item))).collect()))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}: dyn({})", json!(name), literal(value));
            format!("{{{}}}", joined(fields.iter().map(field).collect()))
        }
        other => other.to_string(),
    }
}

/// A list of texts.
pub fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    json!(texts.into_iter().map(|text| text.as_ref().to_owned()).collect::<Vec<_>>()).to_string()
}

/// Whether two maps have the same keys and values but for those keys (an expression that gives a list). Keys that nobody knows today count
/// as well: an object is a map of whatever its API server stores.
pub fn same_but(one: &str, other: &str, keys: &str) -> String {
    format!("{one}.all(k, k in {keys} || (k in {other} && {one}[k] == {other}[k])) && {other}.all(k, k in {keys} || k in {one})")
}

/// A part of an object that may be absent, as a map whose keys can be walked.
pub fn map(object: &str, path: &str) -> String {
    let mut expression = format!("dyn({object})");
    for field in path.split('.') {
        expression.push_str(".?");
        expression.push_str(field);
    }
    format!("{expression}.orValue({{}})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_an_expression() {
        for (value, wanted) in [
            (json!("it's \"x\"\n"), r#""it's \"x\"\n""#),
            (json!(["a", 1]), r#"[dyn("a"), dyn(1)]"#),
            (json!({ "a": { "b": true } }), r#"{"a": dyn({"b": dyn(true)})}"#),
            (json!([]), "[]"),
        ] {
            assert_eq!(literal(&value), wanted);
        }
        assert_eq!(list(["a", "b"]), r#"["a","b"]"#);
        assert_eq!(map("object", "metadata.labels"), "dyn(object).?metadata.?labels.orValue({})");
    }
}

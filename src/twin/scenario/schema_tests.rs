//! schema.json is what the types say, describes every field, and holds for what is written by them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::super::scenario::tests::a_copy;
use super::*;

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^v?[0-9]+\.[0-9]+\.[0-9]+$", "examples": ["1.36.3"] })
    }
}

/// [`IntOrString`] as a budget has it.
pub struct Share;

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0, "maximum": limits::FIELD, "pattern": "^(100|[0-9]{1,2})%$", "examples": [1, "50%"] })
    }
}

#[test]
fn the_committed_text_is_what_the_types_say() {
    let schema = schemars::schema_for!(Scenario);
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if text != SCHEMA {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/twin/scenario");
        std::fs::write(folder.join("schema.json.new"), text).unwrap();
        panic!("schema.json is old; what it should be is in schema.json.new beside it: look at the difference and rename it");
    }
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The types of the file, each with its fields.
fn types(schema: &Value) -> Vec<(&str, &Value)> {
    let inner = schema["$defs"].as_object().unwrap().iter().map(|(name, of)| (name.as_str(), of));
    inner.chain([("Scenario", schema)]).collect()
}

#[test]
fn every_field_is_described() {
    let schema = schema();
    let mut fields = 0;
    for (name, of) in types(&schema) {
        assert!(of["description"].is_string(), "{name}");
        for (field, of) in of["properties"].as_object().into_iter().flatten() {
            let described = of["description"].as_str().is_some_and(|text| text.len() > 8 && text.ends_with('.'));
            assert!(described, "{name}: {field}: {of}");
            fields += 1;
        }
    }
    assert!(fields > 50, "{fields}");
}

/// What of a value contradicts its schema, with the path. It knows the keywords that our schemas use, and no others. (A crate that
/// knows all of them gives serde_json other features in tests than the program has.)
pub fn contradictions(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let mut inner = |schema, value, step: &str| contradictions(root, schema, value, &format!("{at}/{step}"), found);
        let good = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" | "format" | "$defs" => true,
            "$ref" => {
                inner(root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap(), value, "");
                true
            }
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                wanted.as_array().map_or_else(|| is(wanted), |kinds| kinds.iter().any(is))
            }
            "properties" => {
                let present = value.as_object().into_iter().flatten().filter(|(name, _)| wanted[*name] != Value::Null);
                present.for_each(|(name, of)| inner(&wanted[name], of, name));
                true
            }
            "required" => wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" => {
                let known = |name: &str| schema["properties"].get(name).is_some();
                let mut others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)).peekable();
                if *wanted == false {
                    others.peek().is_none()
                } else {
                    others.filter(|_| wanted.is_object()).for_each(|(name, of)| inner(wanted, of, name));
                    true
                }
            }
            "items" => {
                value.as_array().into_iter().flatten().zip(0..).for_each(|(item, index)| inner(wanted, item, &index.to_string()));
                true
            }
            "oneOf" | "anyOf" => {
                let holds = |one: &&Value| {
                    let mut against = Vec::new();
                    contradictions(root, one, value, at, &mut against);
                    against.is_empty()
                };
                let count = wanted.as_array().unwrap().iter().filter(holds).count();
                count == 1 || (keyword == "anyOf" && count > 1)
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| regex::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text)),
            other => panic!("the schema has a keyword that this test does not know: {other}"),
        };
        if !good {
            found.push(format!("{at}: {keyword} {wanted}: {value}"));
        }
    }
}

/// What of the schema counts: whole numbers, and the lists of the whole file. A number that is none of how much: any will do.
fn counts(schema: &Value) -> Vec<(String, Value)> {
    const FREE: [&str; 2] = ["seed", "assumptions"];
    let is =
        |of: &Value, kind: &str| of["type"] == kind || of["type"].as_array().is_some_and(|kinds| kinds.contains(&kind.into()));
    let counts = |name: &str, of: &Value| is(of, "integer") || (name == "Scenario" && is(of, "array"));
    let all = types(schema).into_iter().flat_map(|(name, of)| {
        let fields = of["properties"].as_object().into_iter().flatten();
        fields.filter(move |(_, of)| counts(name, of)).map(|(field, of)| (field.clone(), of.clone()))
    });
    all.filter(|(field, _)| !FREE.contains(&field.as_str())).collect()
}

/// Each key that counts has one limit, which the schema says, too; what is beyond it is refused by key, number and limit, however far it is.
#[test]
fn what_would_not_fit_is_refused_by_key_number_and_limit() {
    let schema = schema();
    let counts = counts(&schema);
    let mut known: Vec<&str> = limits::LIMITS.iter().map(|(key, _)| *key).collect();
    let mut there: Vec<&str> = counts.iter().map(|(key, _)| key.as_str()).collect();
    known.sort_unstable();
    there.sort_unstable();
    assert_eq!(there, known);
    let written: Value = serde_saphyr::from_str(super::read_tests::ALL).unwrap();
    for (key, of) in counts {
        let most = u64::from(limits::most(&key).unwrap());
        let said = if of["type"] == "array" { &of["maxItems"] } else { &of["maximum"] };
        assert_eq!(said, most, "{key}");
        let refused = |number: u64, scenario: &Value| {
            let text = serde_json::to_string_pretty(scenario).unwrap();
            let cause = Scenario::read("it.yaml", &text).unwrap_err();
            let told = format!("{key}: {number} are too many for a rehearsal, {most} are the most");
            assert!(cause.what.ends_with(&told), "{key}: {}", cause.what);
        };
        let mut scenario = written.clone();
        if of["type"] == "array" {
            // As short as they can be: a file has a limit of its own.
            let mut item = written[&key][0].clone();
            item.as_object_mut().unwrap().retain(|_, value| !value.is_array() && !value.is_object());
            let mut items = vec![item; usize::try_from(most).unwrap() + 1];
            for (item, number) in items.iter_mut().zip(0..).filter(|(item, _)| item["name"].is_string()) {
                item["name"] = format!("m{number}").into();
                if item["address"].is_string() {
                    item["address"] = format!("10.{number}").into();
                }
            }
            scenario[&key] = items.into();
            refused(most + 1, &scenario);
            continue;
        }
        let path = ["workloads", "budgets", "autoscalers"].into_iter().flat_map(|list| [(list, 0), (list, 1)]);
        let (list, index) = path.into_iter().find(|(list, index)| !written[list][index][&key].is_null()).unwrap();
        // The first that is too many, what 32 bits take, and what no type does.
        for number in [most + 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
            scenario[list][index][&key] = number.into();
            refused(number, &scenario);
        }
        let fits = |number: u64| {
            let mut scenario = written.clone();
            scenario[list][index][&key] = number.into();
            Scenario::read("it.yaml", &scenario.to_string())
        };
        fits(most).unwrap();
    }
}

/// Workloads that fit, each by itself, and do not together.
#[test]
fn all_pods_together_have_a_limit() {
    let mut scenario = Scenario::read("it", super::read_tests::ALL).unwrap();
    let one = Workload { replicas: limits::REPLICAS, ..Workload::new(WorkloadKind::Deployment, "a", "d") };
    let count = limits::PODS / limits::REPLICAS;
    let named = |number: u32| Workload { name: format!("d{number}"), ..one.clone() };
    scenario.workloads = (0..count).map(named).collect();
    assert_eq!(scenario.faults(), Vec::new());
    scenario.workloads.push(Workload::new(WorkloadKind::DaemonSet, "a", "everywhere"));
    let told = format!("workloads: {} pods in all are too many for a rehearsal, {} are the most", limits::PODS + 1, limits::PODS);
    assert_eq!(scenario.faults().into_iter().map(|fault| fault.what).collect::<Vec<_>>(), [told]);
}

fn faults(scenario: &Value) -> Vec<String> {
    let (schema, mut found) = (schema(), Vec::new());
    contradictions(&schema, &schema, scenario, "", &mut found);
    found
}

#[test]
fn whatever_is_saved_fulfils_it() {
    let all = Scenario::read("it", super::read_tests::ALL).unwrap();
    for scenario in [Scenario::runbook(), Scenario::runbook_minor(), Scenario::three_control_planes(), a_copy(), all] {
        let saved: Value = serde_saphyr::from_str(&scenario.yaml().unwrap()).unwrap();
        assert_eq!(faults(&saved), Vec::<String>::new(), "{saved:#}");
    }
}

/// A file that says everything says each field of the schema.
#[test]
fn nothing_in_it_is_unknown_to_the_program() {
    let written: Value = serde_saphyr::from_str(super::read_tests::ALL).unwrap();
    let schema = schema();
    let examples = [
        ("Scenario", &written),
        ("Node", &written["nodes"][0]),
        ("Taint", &written["nodes"][0]["taints"][0]),
        ("Workload", &written["workloads"][0]),
        ("Toleration", &written["workloads"][0]["tolerations"][0]),
        ("Budget", &written["budgets"][0]),
        ("Expression", &written["budgets"][0]["expressions"][0]),
        ("Autoscaler", &written["autoscalers"][0]),
        ("Alert", &written["alerts"][0]),
        ("Wants", &written["prometheus-wants"]),
        ("Release", &written["releases"][0]),
    ];
    for (name, of) in types(&schema).into_iter().filter(|(_, of)| of["properties"].is_object()) {
        let (_, example) = examples.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no example of {name}"));
        for field in of["properties"].as_object().unwrap().keys() {
            // The other of a budget's two, which exclude each other.
            if field != "min-available" {
                assert!(!example[field].is_null(), "{name}: {field} is nowhere in the example");
            }
        }
    }
}

#[test]
fn what_it_refuses() {
    for (change, wanted) in [
        ("nodes/0/verison", "1.34.2"),
        ("budgets/0/max-unavailable", "120%"),
        ("nodes/0/version", "1.34"),
        ("nodes/0/taints/0/effect", "Never"),
        ("workloads/0/kind", "Deploymnet"),
    ] {
        let mut scenario: Value = serde_saphyr::from_str(super::read_tests::ALL).unwrap();
        let (above, field) = change.rsplit_once('/').unwrap();
        scenario.pointer_mut(&format!("/{above}")).unwrap()[field] = wanted.into();
        let found = faults(&scenario);
        assert!(found.len() == 1 && found[0].contains(wanted), "{change}: {found:?}");
    }
}

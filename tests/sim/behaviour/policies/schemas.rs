//! Every field that the API server knows, by its own word, also those that came after this was written: set one, and it is refused or
//! changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::jobs::{changed, of_runs};
use super::{DRY, Installed, install, patch, post};
use crate::bench::Bench;

/// Every field that this API server knows, also those that came after this was written.
pub async fn no_field_of_a_node_is_forgotten(b: &Bench<'_>) {
    let Installed { chain, .. } = install(b).await;
    let name = b.node("worker").await;
    let node = format!("nodes/{name}");
    patch("a label", &node, json!({ "metadata": { "labels": { "a": "b" } } })).refused(&chain, "nodes").await;
    let before = b.get(&node).await.ok();
    let schemas = Schemas::read(b).await;
    let mut tried = 0;
    for (place, schema, free) in [
        (
            "metadata",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            &["annotations", "managedFields", "generation", "resourceVersion"][..],
        ),
        ("spec", "io.k8s.api.core.v1.NodeSpec", &["unschedulable"]),
    ] {
        for (field, samples) in schemas.fields(schema) {
            for sample in samples.into_iter().chain([Value::Null]) {
                tried += 1;
                let body = json!({ place: { field.as_str(): sample } });
                let answer = chain.patch(&format!("{node}?{DRY}"), body.clone()).await;
                if answer.code >= 300 {
                    continue;
                }
                let (mut before, mut after) = (before.clone(), answer.body);
                for object in [&mut before, &mut after] {
                    let part = object[place].as_object_mut().unwrap();
                    part.retain(|field, _| !free.contains(&field.as_str()) && field != "managedFields");
                    object["metadata"].as_object_mut().unwrap().retain(|field, _| field != "managedFields");
                }
                assert_eq!((&before["metadata"], &before["spec"]), (&after["metadata"], &after["spec"]), "{body}");
            }
        }
    }
    assert!(tried > 30, "only {tried} tries: the API server's schema was not understood");
}

/// Every field that this API server knows of a pod, its container and their security, also those that came after this was written.
pub async fn no_field_of_a_pod_is_forgotten(b: &Bench<'_>) {
    let Installed { chain, .. } = install(b).await;
    let worker = of_runs(&b.ns).remove(1);
    let other = changed(&worker, "/spec/template/spec/hostPID", json!(true));
    post("a host's processes", "jobs", other).refused(&chain, "jobs").await;
    let base = post("a Job of ours", "jobs", worker.clone()).accepted(&chain).await;
    let base = free_of(&base);
    let schemas = Schemas::read(b).await;
    let core = |name: &str| format!("io.k8s.api.core.v1.{name}");
    let mut tried = BTreeSet::new();
    for (place, schema) in [
        ("/spec/template/spec", core("PodSpec")),
        ("/spec/template/spec/securityContext", core("PodSecurityContext")),
        ("/spec/template/spec/containers/0", core("Container")),
        ("/spec/template/spec/containers/0/securityContext", core("SecurityContext")),
        ("/spec/template/spec/containers/0/resources", core("ResourceRequirements")),
        ("/spec/template/spec/volumes/0", core("Volume")),
    ] {
        for (field, samples) in schemas.fields(&schema) {
            for sample in samples {
                tried.insert(format!("{place}/{field}"));
                let job = changed(&worker, &format!("{place}/{field}"), sample.clone());
                let answer = chain.post(&format!("jobs?{DRY}"), job).await;
                if answer.code < 300 {
                    assert_eq!(free_of(&answer.body), base, "{place}/{field}: {sample} is accepted");
                }
            }
        }
    }
    assert!(tried.len() > 120, "only {} fields: the API server's schema was not understood", tried.len());
}

/// A Job's pod without what may differ.
fn free_of(job: &Value) -> Value {
    let mut pod = job["spec"]["template"]["spec"].clone();
    pod["containers"][0].as_object_mut().unwrap().retain(|field, _| field != "args");
    pod.as_object_mut().unwrap().retain(|field, _| !["affinity", "nodeSelector", "tolerations"].contains(&field.as_str()));
    pod
}

/// What the API server says of the fields of its types.
struct Schemas(Value);

impl Schemas {
    async fn read(b: &Bench<'_>) -> Self {
        Schemas(b.get("/openapi/v3/api/v1").await.ok()["components"]["schemas"].clone())
    }

    /// The fields of a type, each with values that it may have.
    fn fields(&self, name: &str) -> Vec<(String, Vec<Value>)> {
        let properties = self.0[name]["properties"].as_object().unwrap_or_else(|| panic!("no schema of {name}"));
        properties.iter().map(|(field, schema)| (field.clone(), self.samples(schema, 4))).collect()
    }

    fn samples(&self, schema: &Value, depth: usize) -> Vec<Value> {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
            return self.samples(&self.0[name], depth);
        }
        if depth == 0 {
            return Vec::new();
        }
        match schema["type"].as_str() {
            Some("boolean") => vec![json!(true), json!(false)],
            Some("integer") => vec![json!(0), json!(7)],
            Some("number") => vec![json!(1.5)],
            Some("array") => self.samples(&schema["items"], depth - 1).into_iter().map(|item| json!([item])).collect(),
            Some("object") if schema["properties"].is_object() => {
                let properties = schema["properties"].as_object().unwrap();
                let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let first = |field: &str| self.samples(&properties[field], depth - 1).into_iter().last();
                let least: serde_json::Map<String, Value> =
                    required.iter().filter_map(|field| Some(((*field).to_owned(), first(field)?))).collect();
                let more = properties.keys().filter(|field| !required.contains(&field.as_str()));
                let more = more.filter_map(|field| {
                    let mut object = least.clone();
                    object.insert(field.clone(), first(field)?);
                    Some(Value::Object(object))
                });
                std::iter::once(Value::Object(least.clone())).chain(more).collect()
            }
            Some("object") => {
                self.samples(&schema["additionalProperties"], depth - 1).into_iter().map(|value| json!({ "a": value })).collect()
            }
            // Quantities and numbers that may be words have no type.
            _ => vec![json!("x"), json!("None"), json!("Always"), json!("1")],
        }
    }
}

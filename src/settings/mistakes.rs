//! Mistakes that people make in settings are told where they are read, with what is wanted instead: not by a run that finds them later.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::tests::{load, of_file};
use super::{Settings, as_map};

/// What says what is wanted.
const WANTED: [&str; 9] = [
    "; a window is ",
    "; a freeze is ",
    "; name the alerts ",
    " is wanted",
    " are wanted",
    "expected ",
    " between ",
    " one of ",
    "; allowed are ",
];
/// What is as good as an example: all that there is, or the bounds.
const ALL: [&str; 6] = ["for example", "expected ", " between ", " one of ", "; allowed are ", " from "];

/// Keys that take whatever text there is, and why.
const FREE: [(&str, &str); 6] = [
    ("prometheus-ca", "a PEM, of which nothing is repeated"),
    ("ssh-key-file", "a path, and the file is read where it is needed"),
    ("known-hosts-file", "a path"),
    ("slack-webhook-file", "a path"),
    ("webhooks-file", "a path"),
    ("vault-token-file", "a path"),
];

/// What is mistaken for a value of the key.
fn mistakes(key: &str) -> Vec<Value> {
    let words = |words: &[&str]| words.iter().map(|word| json!(word)).collect();
    match key {
        "cluster-name" => words(&["", "a\tb"]),
        "annotation-prefix" => words(&["Example_Org", "example.org/"]),
        "runner" => words(&["Node 1", "https://node1"]),
        "runner-standby" | "exclude-nodes" => vec![json!(["Node 1"]), json!(["a,b c"])],
        "ssh-user" => words(&["a b", "ann@host"]),
        "ssh-port" => vec![json!("ssh"), json!(0), json!(70000)],
        "host-addresses" => vec![json!({ "n1": "10.0.0" }), json!({ "n1": "http://10.0.0.1" }), json!({ "N 1": "10.0.0.1" })],
        "snapshot-folder" => words(&["backup", "./backup"]),
        "prometheus" | "pushgateway" => words(&[
            "foo",
            "prometheus:9090",
            "monitoring/prometheus",
            "prometheus.example.org",
            "http://",
            "monitoring/prometheus:http",
        ]),
        "prometheus-tenant" => words(&["a b", "Authorization: x"]),
        "runbook-url" => words(&["foo", "git.example/README.md", "/README.md"]),
        "webhooks" => {
            vec![json!({ "teams": "https://x.example/hook" }), json!({ "Teams!": { "format": "teams" } }), json!("foo")]
        }
        "vault-address" => words(&["vault", "vault:8200", "vault.example.org", "https://"]),
        "vault-mount" | "vault-path" => words(&["", "/secret", "a b"]),
        "packages-url" => words(&["foo", "pkgs.k8s.io", "https://"]),
        "package-keys" => vec![json!(["foo"]), json!(["0xDEAD"])],
        "plain-http" => vec![json!(["everything"])],
        "backup-cronjob" | "hook-before-node" | "hook-after-node" | "freeze-configmap" => {
            words(&["backup", "default/", "a/b/c", "Default/Backup"])
        }
        "kubeadm-flags" => vec![json!(["ignore"]), json!(["--config=x"])],
        "removed-apis-ignore" => vec![json!(["a b"])],
        "alert-ignore" => words(&["("]),
        "alert-matchers" => vec![json!(["severity"]), json!(["a=~("])],
        "undrainable-namespaces" => vec![json!(["Name Space"])],
        "windows" | "freezes" => vec![json!(["at night"]), json!(["25:00-26:00"])],
        "max-version" => words(&["latest", "v1"]),
        "addons" => vec![json!({ "cilium": "soon" }), json!({ "Cilium Operator": { "1.36": "1.18" } })],
        "max-unavailable" => vec![json!("some"), json!(0), json!("0%"), json!("110%"), json!(-1)],
        "pools" => vec![json!("gpu"), json!({ "gpu": { "selector": ["gpu"] } }), json!({ "GPU!": { "selector": ["a=b"] } })],
        "max-not-ready" => vec![json!("some"), json!("110%"), json!(-1)],
        "ready-ratio" => vec![json!("most"), json!(2)],
        // Numbers, durations, and words of a list.
        _ => vec![json!("banana"), json!(-1)],
    }
}

/// A value as an error shows it.
fn of(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => [text.trim().to_owned()].into(),
        Value::Array(all) => all.iter().flat_map(of).collect(),
        Value::Object(all) => all.iter().flat_map(|(key, value)| of(value).into_iter().chain([key.clone()])).collect(),
        other => [other.to_string()].into(),
    }
}

#[test]
fn every_mistake_is_told_with_key_value_and_what_is_wanted() {
    let mut amiss = Vec::new();
    for key in as_map(&Settings::default()).unwrap().keys().filter(|key| !FREE.iter().any(|(free, _)| free == key)) {
        for value in mistakes(key) {
            let texts = value.as_str().map(|text| load("", &[], &[&format!("{key}={text}")]));
            for result in [of_file(key, &value)].into_iter().chain(texts) {
                match result {
                    Ok(_) => amiss.push(format!("{key} takes {value}")),
                    Err(why) => {
                        let value_shown = of(&value).iter().any(|text| text.split([' ', '\t']).any(|word| why.contains(word)));
                        let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
                        let wanted = says(&WANTED) && says(&ALL);
                        if !(why.contains(&format!("setting {key}: ")) && value_shown && wanted) {
                            amiss.push(format!("{key}: {value}: {why}"));
                        }
                    }
                }
            }
        }
    }
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

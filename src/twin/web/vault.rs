//! Vault's KV v2, one secret of it: versions, check-and-set, and a token; or a mount of version 1, to which a version is a field like others.
//! Its answers are those of Vault 1.21.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::api::merge;

/// Where it is, as a person's settings name it.
pub const VAULT: &str = "https://vault.rehearsal:8200";
/// The path of the secret that it has.
const DATA: &str = "/v1/secret/data/k8s-upgrade";
const MOUNT: &str = "/v1/sys/internal/ui/mounts/secret";
const CAPABILITIES: &str = "/v1/sys/capabilities-self";
const MERGE: &str = "application/merge-patch+json";

#[derive(Clone, Default)]
pub struct Vault {
    /// The only one that it knows. Empty: it knows none.
    pub token: String,
    /// The token's policy has no create, update and patch.
    pub read_only: bool,
    /// A fault: so many writes to come are refused, whatever the policy says of them.
    pub refuses: u32,
    /// What was written, oldest first; the last is what is read.
    pub versions: Arc<Vec<BTreeMap<String, String>>>,
    /// The mount is of KV version 1, and has this under the secret's path.
    pub version_1: Option<Value>,
}

impl Vault {
    /// What it holds.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.versions.last()?.get(name).map(String::as_str)
    }

    fn write(&mut self, data: BTreeMap<String, String>) -> (u16, Vec<u8>) {
        Arc::make_mut(&mut self.versions).push(data);
        answer(200, &json!({ "data": { "version": self.versions.len(), "destroyed": false } }))
    }
}

fn answer(code: u16, body: &Value) -> (u16, Vec<u8>) {
    (code, body.to_string().into_bytes())
}

fn refusal(code: u16, why: &[&str]) -> (u16, Vec<u8>) {
    answer(code, &json!({ "errors": why }))
}

pub(super) fn serve(state: &mut State, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let vault = &mut state.web.vault;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let denied = Some(refusal(403, &["1 error occurred:\n\t* permission denied\n\n"]));
    if vault.token.is_empty() || header("x-vault-token") != vault.token {
        return Some(refusal(403, &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]));
    }
    let old = vault.version_1.is_some();
    match (method, path) {
        ("GET", MOUNT) => {
            let version = if old { Value::Null } else { json!({ "version": "2" }) };
            return Some(answer(200, &json!({ "data": { "options": version, "path": "secret/", "type": "kv" } })));
        }
        ("POST", CAPABILITIES) => {
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            let all: &[&str] = if vault.read_only { &["read"] } else { &["create", "patch", "read", "update"] };
            let may = |path: &str| json!(if format!("/v1/{path}") == DATA { all } else { &["deny"] });
            let asked = asked["paths"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let told: Map<String, Value> = asked.map(|path| (path.to_owned(), may(path))).collect();
            return Some(answer(200, &json!({ "data": told })));
        }
        (_, DATA) => {}
        _ => return denied,
    }
    let writes = method != "GET";
    if writes && vault.read_only {
        return denied;
    }
    if let Some(kept) = &mut vault.version_1 {
        return Some(match method {
            "GET" if kept.is_null() => refusal(404, &[]),
            "GET" => answer(200, &json!({ "data": kept })),
            "POST" | "PUT" => {
                *kept = serde_json::from_slice(body).unwrap_or_default();
                (204, Vec::new())
            }
            _ => refusal(405, &["1 error occurred:\n\t* unsupported operation\n\n"]),
        });
    }
    match method {
        "GET" => Some(match vault.versions.last() {
            None => refusal(404, &[]),
            Some(data) => {
                let metadata = json!({ "version": vault.versions.len(), "destroyed": false, "deletion_time": "" });
                answer(200, &json!({ "data": { "data": data, "metadata": metadata } }))
            }
        }),
        "PATCH" if header("content-type") != MERGE => Some(refusal(415, &[])),
        "PATCH" if vault.versions.is_empty() => Some(refusal(404, &[])),
        "PATCH" | "POST" | "PUT" => {
            let Ok(asked) = serde_json::from_slice::<Value>(body) else {
                return Some(refusal(400, &["failed to parse JSON input"]));
            };
            let now = u64::try_from(vault.versions.len()).ok();
            if asked["options"]["cas"].as_u64().is_some_and(|cas| Some(cas) != now) {
                return Some(refusal(400, &["check-and-set parameter did not match the current version"]));
            }
            if vault.refuses > 0 {
                vault.refuses -= 1;
                return denied;
            }
            let mut data = if method == "PATCH" { json!(vault.versions.last()) } else { Value::Object(Map::new()) };
            merge(&mut data, &asked["data"]);
            // What is no text is nobody's here.
            let Ok(data) = serde_json::from_value(data) else { return Some(refusal(400, &["no texts"])) };
            Some(vault.write(data))
        }
        _ => None,
    }
}

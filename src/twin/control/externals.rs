//! External Secrets: what Vault holds comes into a Secret, at intervals and a moment after the ExternalSecret has changed.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::super::state::{State, later};
use super::super::store::{Key, Kind};
use super::super::web::Service;
use super::objects::create;
use super::{Due, delay, wake_at};
use crate::names;

/// As `manifests` has it.
const REFRESH: Duration = Duration::from_secs(900);

/// It has changed: its controller reads Vault in a few seconds.
pub fn changed(state: &mut State, key: &Key) {
    let when = later(state.now(), delay(state, 2_000, 6_000));
    wake_at(state, Due::Object(key.clone()), when);
}

pub fn sync(state: &mut State, key: &Key) {
    let Some(external) = state.store.get(key).cloned() else { return };
    let next = later(state.now(), REFRESH);
    wake_at(state, Due::Object(key.clone()), next);
    let now = state.now();
    if state.control.external_secrets_stuck || state.web.trouble(Service::Vault, now).is_some() {
        return;
    }
    let wanted = external["spec"]["data"].as_array().into_iter().flatten();
    let data: Option<Map<String, Value>> = wanted
        .map(|entry| {
            let text = state.web.vault.field(entry["remoteRef"]["property"].as_str()?)?;
            Some((entry["secretKey"].as_str()?.to_owned(), json!(BASE64_STANDARD.encode(text))))
        })
        .collect();
    // A property that is missing leaves the Secret as it is.
    let Some(mut data) = data else { return };
    if external["spec"]["dataFrom"][0]["extract"].is_object() {
        let ours = [names::SECRET_SLACK, names::SECRET_WEBHOOKS, names::SECRET_FORMER];
        for name in ours.into_iter().chain(names::SECRET_PROMETHEUS) {
            data.extend(state.web.vault.field(name).map(|text| (name.to_owned(), json!(BASE64_STANDARD.encode(text)))));
        }
    }
    let target = Key::new(Kind::Secret, &key.namespace, external["spec"]["target"]["name"].as_str().unwrap_or(&key.name));
    if state.store.update(&target, |secret| secret["data"] = Value::Object(data.clone())).is_none() {
        let owner = json!([{
            "apiVersion": Kind::ExternalSecret.api_version(), "kind": "ExternalSecret", "name": key.name,
            "uid": external["metadata"]["uid"], "controller": true,
        }]);
        let meta = json!({ "name": target.name, "namespace": target.namespace, "ownerReferences": owner });
        create(state, Kind::Secret, json!({ "metadata": meta, "type": "Opaque", "data": data }));
    }
}

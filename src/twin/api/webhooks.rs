//! Admission webhooks: who must be asked, and what comes of it where nobody answers.

use serde_json::{Value, json};

use super::super::State;
use super::super::store::{Key, Kind};
use super::{Refusal, matches_selector};

/// Kinds that register webhooks. Changes of them are asked of none: else nobody could take one out that fails.
const REGISTERED: [Kind; 2] = [Kind::MutatingWebhook, Kind::ValidatingWebhook];
/// Of an EndpointSlice.
const OF_SERVICE: &str = "kubernetes.io/service-name";

/// Asks all webhooks that want to know of this. None of them changes anything here; those in [`State::denials`] deny.
pub fn ask(state: &mut State, operation: &str, key: &Key, sub: &str) -> Result<(), Refusal> {
    if REGISTERED.contains(&key.kind) {
        return Ok(());
    }
    let registered = REGISTERED.into_iter().flat_map(|kind| state.store.list(kind));
    let all = registered.flat_map(|(_, object)| object["webhooks"].as_array().into_iter().flatten());
    let asked: Vec<Value> = all.filter(|webhook| concerns(state, webhook, operation, key, sub)).cloned().collect();
    for webhook in asked {
        for field in ["objectSelector", "matchConditions"] {
            if webhook[field].as_object().is_some_and(|some| !some.is_empty()) || webhook[field].is_array() {
                return Err(super::unmodelled(state, format!("{field} of a webhook")));
            }
        }
        let name = webhook["name"].as_str().unwrap_or_default();
        match absent(state, &webhook["clientConfig"]["service"]) {
            Some(_) if webhook["failurePolicy"] == "Ignore" => {}
            Some(why) => {
                let what = format!("failed calling webhook {name:?}: failed to call webhook: {why}");
                let details = json!({ "causes": [{ "message": what }] });
                return Err(Refusal {
                    details,
                    ..Refusal::new(500, "InternalError", format!("Internal error occurred: {what}"))
                });
            }
            None => {
                if let Some((code, says)) = state.denials.get(name) {
                    let reason = if *code == 403 { "Forbidden" } else { "" };
                    return Err(Refusal::new(*code, reason, format!("admission webhook {name:?} denied the request: {says}")));
                }
            }
        }
    }
    Ok(())
}

fn concerns(state: &State, webhook: &Value, operation: &str, key: &Key, sub: &str) -> bool {
    let names = key.kind.names();
    let resource = if sub.is_empty() { names.plural.to_owned() } else { format!("{}/{sub}", names.plural) };
    let of_sub = format!("{}/*", names.plural);
    let is = |rule: &Value| {
        let has = |field: &str, any: &[&str]| {
            rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).any(|item| any.contains(&item))
        };
        let all = if sub.is_empty() { "*" } else { "*/*" };
        has("operations", &[operation, "*"])
            && has("apiGroups", &[names.group, "*"])
            && has("resources", &[&resource, all, "*/*", &of_sub])
    };
    let namespace = if key.kind == Kind::Namespace { &key.name } else { &key.namespace };
    let selects = match state.store.get(&Key::new(Kind::Namespace, "", namespace)) {
        Some(within) if webhook["namespaceSelector"].is_object() => {
            let mut within = (**within).clone();
            within["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(namespace);
            matches_selector(&webhook["namespaceSelector"], &within)
        }
        _ => true,
    };
    selects && webhook["rules"].as_array().into_iter().flatten().any(is)
}

/// Why a webhook's Service does not answer. Without a slice of endpoints there is no such Service.
fn absent(state: &State, service: &Value) -> Option<String> {
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let of_service = |(_, slice): &(&Key, &std::sync::Arc<Value>)| slice["metadata"]["labels"][OF_SERVICE] == name;
    let slices: Vec<_> = state.store.within(Kind::EndpointSlice, namespace).filter(of_service).collect();
    let is_ready = |endpoint: &Value| endpoint["conditions"]["ready"] != false;
    let ready = slices.iter().flat_map(|(_, slice)| slice["endpoints"].as_array().into_iter().flatten()).any(is_ready);
    let why = match slices.is_empty() {
        _ if ready => return None,
        true => format!("service {name:?} not found"),
        false => format!("no endpoints available for service {name:?}"),
    };
    Some(format!("Post \"https://{name}.{namespace}.svc:443{}?timeout=10s\": {why}", text("path")))
}

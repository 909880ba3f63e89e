//! The eviction subresource: a deletion that asks the pod's budget first.

use serde_json::{Value, json};

use super::super::State;
use super::super::store::{Key, Kind, seconds};
use super::route::Request;
use super::select::matches_selector;
use super::{Refusal, Reply, admit, delete, webhooks};

pub fn evict(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let node = state.store.get(key).and_then(|pod| pod["spec"]["nodeName"].as_str()).unwrap_or_default().to_owned();
    let answer = ask(state, key, request);
    if !request.dry_run() {
        let count = state.evictions.entry(node).or_default();
        match &answer {
            Ok(_) => count.granted += 1,
            Err(refusal) if refusal.code == 429 => count.refused += 1,
            Err(_) => {}
        }
    }
    answer
}

fn ask(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    // An eviction is something new, too.
    admit::open(state, key, Kind::Pod)?;
    let pod = state.store.get(key).cloned().ok_or_else(|| Refusal::not_found(key))?;
    webhooks::ask(state, "CREATE", key, "eviction")?;
    let options = &request.body["deleteOptions"];
    delete::preconditions(key, &pod, &options["preconditions"])?;
    let guarded = !matches!(pod["status"]["phase"].as_str(), Some("Pending" | "Succeeded" | "Failed"))
        && !pod["metadata"]["deletionTimestamp"].is_string();
    if guarded {
        ask_budget(state, key, &pod, request.dry_run())?;
    }
    if !request.dry_run() {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastTransitionTime": seconds(state.now()),
        });
        state.store.update(key, |pod| {
            if !pod["status"]["conditions"].is_array() {
                pod["status"]["conditions"] = json!([]);
            }
            if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
                conditions.retain(|known| known["type"] != "DisruptionTarget");
                conditions.push(condition);
            }
        });
        delete::delete_pod(state, key, options["gracePeriodSeconds"].as_u64());
    }
    Ok(Reply::Object(201, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })))
}

/// Whether the pod's budget allows a disruption; if so, it is taken from it.
fn ask_budget(state: &mut State, key: &Key, pod: &Value, dry_run: bool) -> Result<(), Refusal> {
    let guards = |(_, object): &(&Key, &std::sync::Arc<Value>)| matches_selector(&object["spec"]["selector"], pod);
    let own = state.store.within(Kind::Budget, &key.namespace);
    let budgets: Vec<Key> = own.filter(guards).map(|(key, _)| key.clone()).collect();
    let [budget] = budgets.as_slice() else {
        if budgets.is_empty() {
            return Ok(());
        }
        let what = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Refusal::new(500, "InternalError", what));
    };
    let Some(object) = state.store.get(budget).cloned() else { return Ok(()) };
    let number = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    let conditions = pod["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    let always = object["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    if !ready && (always || (desired > 0 && healthy >= desired)) {
        return Ok(());
    }
    let refuse = |says: String| Refusal {
        details: json!({ "causes": [{ "reason": "DisruptionBudget", "message": says }] }),
        ..Refusal::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
    };
    let name = &budget.name;
    if number("observedGeneration") < object["metadata"]["generation"].as_i64().unwrap_or(0) {
        let mut refusal = refuse(format!("The disruption budget {name} is still being processed by the server."));
        refusal.details["retryAfterSeconds"] = json!(10);
        return Err(refusal);
    }
    if number("disruptionsAllowed") <= 0 {
        return Err(refuse(if healthy <= desired {
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
        } else {
            // An eviction took the last one, and the controller has not counted since.
            format!("The disruption budget {name} does not allow evicting pods currently")
        }));
    }
    if !dry_run {
        let now = seconds(state.now());
        state.store.update(budget, |object| {
            object["status"]["disruptionsAllowed"] = json!(number("disruptionsAllowed") - 1);
            object["status"]["disruptedPods"][&key.name] = json!(now);
        });
    }
    Ok(())
}

//! Disruption budgets, by the real controller's arithmetic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::api::matches_selector;
use super::super::state::{State, later};
use super::super::store::{Key, Kind};
use super::objects::{owner, ready, replicas, scaled, set_condition, terminating, time, uid, write_status};
use super::{Due, wake_at};

/// How long an evicted pod may take to be marked as deleted; after that its eviction counts no more.
const EXPECTED: Duration = Duration::from_secs(120);

/// What a budget says of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub expected: u64,
    pub desired: u64,
    pub healthy: u64,
}

impl Sum {
    /// A budget without pods allows nothing: its first pods may have come unseen.
    pub fn allowed(self) -> u64 {
        if self.expected == 0 { 0 } else { self.healthy.saturating_sub(self.desired) }
    }
}

pub fn sync(state: &mut State, key: &Key) {
    let Some(budget) = state.store.get(key).cloned() else { return };
    let selector = &budget["spec"]["selector"];
    let within = state.store.within(Kind::Pod, &key.namespace).filter(|(_, object)| matches_selector(selector, object));
    let pods: Vec<(String, Arc<Value>)> = within.map(|(key, pod)| (key.name.clone(), pod.clone())).collect();
    let now = state.now();
    let (disrupted, again) = disrupted(&budget["status"]["disruptedPods"], &pods, now);
    let counts = |(name, pod): &&(String, Arc<Value>)| ready(pod) && !terminating(pod) && !disrupted.contains_key(name);
    let healthy = pods.iter().filter(counts).count() as u64;
    let sum = expected(state, &budget["spec"], &pods).map(|(expected, desired)| Sum { expected, desired, healthy });
    let (allowed, reason, message) = match &sum {
        Ok(sum) if sum.allowed() > 0 => (sum.allowed(), "SufficientPods", ""),
        Ok(_) => (0, "InsufficientPods", ""),
        Err(why) => (0, "SyncFailed", why.as_str()),
    };
    let mut fields = vec![("disruptionsAllowed", json!(allowed))];
    // One that cannot be judged stays unobserved, and evictions are refused for that.
    if let Ok(sum) = sum {
        fields.extend([
            ("observedGeneration", budget["metadata"]["generation"].clone()),
            ("currentHealthy", json!(sum.healthy)),
            ("desiredHealthy", json!(sum.desired)),
            ("expectedPods", json!(sum.expected)),
            ("disruptedPods", Value::Object(disrupted)),
        ]);
    }
    // In one write: whoever watches must not take half of it for a new state.
    let mut judged = Value::clone(&budget);
    let status = if allowed > 0 { "True" } else { "False" };
    set_condition(&mut judged, now, "DisruptionAllowed", status, reason, message);
    fields.push(("conditions", judged["status"]["conditions"].take()));
    write_status(state, key, &fields);
    if let Some(again) = again {
        wake_at(state, Due::Object(key.clone()), again);
    }
}

/// Evicted pods that nobody has seen deleted yet, and when the next of them counts no more.
fn disrupted(known: &Value, pods: &[(String, Arc<Value>)], now: Timestamp) -> (Map<String, Value>, Option<Timestamp>) {
    let (mut kept, mut again) = (Map::new(), None::<Timestamp>);
    for (name, pod) in pods {
        let Some(until) = time(&known[name]).map(|evicted| later(evicted, EXPECTED)) else { continue };
        if !terminating(pod) && until >= now {
            kept.insert(name.clone(), known[name].clone());
            // Not at the very moment: then it is not over yet.
            let after = later(until, Duration::from_millis(1));
            again = Some(again.map_or(after, |again| again.min(after)));
        }
    }
    (kept, again)
}

/// Expected pods and desired healthy ones. The error: a pod's controller has no scale.
fn expected(state: &State, spec: &Value, pods: &[(String, Arc<Value>)]) -> Result<(u64, u64), String> {
    let by_scale = |share: &Value| -> Result<(u64, u64), String> {
        let expected = scale(state, pods)?;
        Ok((expected, scaled(share, expected, true).ok_or_else(|| format!("{share} is no number of pods"))?))
    };
    if !spec["maxUnavailable"].is_null() {
        let (expected, may_miss) = by_scale(&spec["maxUnavailable"])?;
        return Ok((expected, expected.saturating_sub(may_miss)));
    }
    match spec["minAvailable"].as_u64() {
        Some(least) => Ok((pods.len() as u64, least)),
        None if spec["minAvailable"].is_null() => Ok((0, 0)),
        None => by_scale(&spec["minAvailable"]),
    }
}

/// The sum of what the pods' controllers want, each counted once.
fn scale(state: &State, pods: &[(String, Arc<Value>)]) -> Result<u64, String> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for (name, pod) in pods {
        // A pod without a controller counts for nothing here.
        let Some(first) = owner(pod) else { continue };
        let none = || format!("found no controllers for pod {name:?}");
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let lookup = |key: &Key, uid_wanted: &str| state.store.get(key).filter(|object| uid(object) == uid_wanted);
        let key = first.key(namespace).ok_or_else(none)?;
        let object = lookup(&key, first.uid).ok_or_else(none)?;
        let above = owner(object).and_then(|above| Some((above.key(namespace)?, above.uid.to_owned())));
        let scaled = match (key.kind, above) {
            (Kind::ReplicaSet, Some((key, uid))) if key.kind == Kind::Deployment => lookup(&key, &uid).ok_or_else(none)?,
            (Kind::ReplicaSet | Kind::StatefulSet, _) => object,
            _ => return Err(none()),
        };
        found.insert(uid(scaled).to_owned(), replicas(scaled));
    }
    Ok(found.values().sum())
}

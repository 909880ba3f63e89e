//! A rehearsal: a scenario is brought to life, a person starts the chain in it, and what happened is told.
//!
//! `step` names where in a run something is, `inject` disturbs it there, `watch` looks on, `data` is the result, `outcome` makes it, and `page`
//! tells it to people.

mod data;
mod inject;
mod outcome;
mod page;
mod step;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::scenario::Node;
use super::state::{ProgramPhase, later};
use super::store::{Key, Kind};
use super::{Driver, Process, Scenario, State, Twin};
use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::report::Shared;
use crate::world::Env;

pub use data::{End, Evidence, Rehearsed};
pub use inject::{Injection, Injector, KNOWN};
pub use step::places;

/// The image that its Jobs name: none is ever fetched.
const IMAGE: &str = "docker.io/library/k8s-upgrade:rehearsal";
/// A chain in which nothing has been at work for this long goes no further: the watch that takes one up looks every ten minutes.
const IDLE: Duration = Duration::from_secs(35 * 60);
/// A step that has held so often waits for something that does not come by itself.
const HOLDS: usize = 2;
/// No run lasts longer.
const LIMIT: Duration = Duration::from_secs(72 * 3600);
const START: &str = "start";

/// Rehearses a scenario, disturbed by `injections`; all events are told to `sink` as well. Time must be paused.
pub async fn rehearse(
    scenario: &Scenario,
    injections: Vec<Injection>,
    process: &dyn Process,
    sink: Shared,
) -> Result<Rehearsed, Cause> {
    let state = scenario.state(IMAGE)?;
    let prefix = scenario.prefix().to_owned();
    let seen = Arc::new(Mutex::new(watch::Observations::new(scenario.steps())));
    let watcher = watch::Watcher::new(seen.clone(), inject::Injector::new(injections, scenario), sink.clone());
    let watched = watch::Watched { inner: process, seen: seen.clone(), sink };
    let mut driver = Driver::new(Twin::new(state, Some(Box::new(watcher))), &watched, None);
    let limit = later(scenario.start, LIMIT);

    let target = scenario.target.to_string();
    let config: PathBuf = Path::new(names::CONFIG_MOUNT).join(names::CONFIG_KEY);
    let files = BTreeMap::from([(config, scenario.config()?.into_bytes().into())]);
    driver.operate_with(START, &[names::PROGRAM, "start", "--target", &target, "--yes"], Env::new(), files);
    let started = driver.until_ended(START, limit).await;
    let mut quiet_since = None;
    if started == Some(0) {
        let is_over = |state: &State| is_over(state, &prefix, &locked(&seen), &mut quiet_since);
        driver.until(limit, is_over).await;
    }
    let state = driver.twin.look(State::clone);
    drop(driver);
    let seen = locked(&seen);
    Ok(outcome::outcome(scenario, &state, &seen, quiet_since.unwrap_or(state.now())))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody is at work, and nobody will be: the run has ended, or has been idle for too long. Or it holds, again and again.
fn is_over(state: &State, prefix: &str, seen: &watch::Observations, quiet_since: &mut Option<Timestamp>) -> bool {
    if seen.holds_in_a_row() >= HOLDS {
        return true;
    }
    if at_work(state) {
        *quiet_since = None;
        return false;
    }
    let since = *quiet_since.get_or_insert(state.now());
    !in_flight(state, prefix) || state.now() >= later(since, IDLE)
}

fn at_work(state: &State) -> bool {
    let chain = |object: &serde_json::Value| object["metadata"]["labels"][names::LABEL_APP] == names::APP_CHAIN;
    let ended = |job: &serde_json::Value| {
        let conditions = job["status"]["conditions"].as_array();
        let over = |c: &serde_json::Value| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True";
        conditions.is_some_and(|all| all.iter().any(over))
    };
    state.programs.values().any(|program| program.phase != ProgramPhase::Killed && step::of(&program.argv).is_some())
        || state.store.list(Kind::Job).any(|(_, job)| chain(job) && !ended(job))
}

fn in_flight(state: &State, prefix: &str) -> bool {
    let namespace = state.store.get(&Key::new(Kind::Namespace, "", names::NAMESPACE));
    namespace.is_some_and(|object| object["metadata"]["annotations"][Mark::InFlight.key(prefix)].is_string())
}

impl Scenario {
    /// Of this program's annotations.
    fn prefix(&self) -> &str {
        self.settings.get("annotation-prefix").and_then(|value| value.as_str()).unwrap_or(names::ANNOTATION_PREFIX)
    }

    /// The same cluster with nodes of these names; of each it is said whether it is a control plane.
    pub fn with_nodes(mut self, nodes: impl Iterator<Item = (String, bool)>) -> Self {
        let like = self.nodes.first().cloned();
        let named = |(name, control_plane)| Some(Node { name, control_plane, ..like.clone()? });
        self.nodes = nodes.filter_map(named).collect();
        self
    }

    fn is_excluded(&self, node: &str) -> bool {
        let excluded = self.settings.get("exclude-nodes").and_then(|value| value.as_array());
        excluded.is_some_and(|nodes| nodes.iter().any(|excluded| excluded == node))
    }

    /// The steps of a whole run: each node's, and the two at its ends.
    fn steps(&self) -> usize {
        self.nodes.iter().filter(|node| !self.is_excluded(&node.name)).count() + 2
    }
}

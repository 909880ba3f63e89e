//! Addresses that lead to another machine: whatever made them so, nothing is done there, and no host key of it is kept.

use std::collections::BTreeMap;

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::ProgramPhase;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State, hosts};
use serde_json::json;

use super::rotate::meddler;
use super::world::{NAMESPACE, begin, live, quick, tail, to_the_end, version_of, when};

const ONE: &str = "k8s-node2";
const OTHER: &str = "k8s-node4";
const OLD: &str = "1.34.2";

fn address(state: &State, node: &str) -> String {
    state.hosts.machine(node).unwrap().address.clone()
}

fn logs(state: &State) -> String {
    state.logs.values().flat_map(|log| log.all()).collect::<Vec<_>>().join("\n")
}

//! What nodes say of themselves, and kubeadm of its cluster, before anything is done to them.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::failure::Cause;
use crate::node::{Inspect, NodeState};
use crate::plan::decide::order;
use crate::plan::model::facts::{Facts, Node};
use crate::run::cluster::Cluster;
use crate::run::parallel;
use crate::run::ssh::Ssh;
use crate::settings::Settings;

/// What comes of `work` on each managed node, so many at a time as the setting `parallel` says, and every complaint. What only looks goes by
/// [`look_at_each_node`].
pub async fn each_node<'a, T>(
    settings: &Settings,
    facts: &'a Facts,
    work: impl AsyncFn(&'a Node) -> Result<T, Cause>,
) -> Result<Vec<(&'a Node, T)>, Cause> {
    let work = &work;
    together(parallel::each(settings, facts.managed().map(|node| async move { (node, work(node).await) })).await)
}

/// The same of a look that changes none of them.
pub async fn look_at_each_node<'a, T>(
    facts: &'a Facts,
    look: impl AsyncFn(&'a Node) -> Result<T, Cause>,
) -> Result<Vec<(&'a Node, T)>, Cause> {
    let look = &look;
    together(parallel::looks(facts.managed().map(|node| async move { (node, look(node).await) })).await)
}

fn together<T>(results: Vec<(&Node, Result<T, Cause>)>) -> Result<Vec<(&Node, T)>, Cause> {
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (node, result) in results {
        match result {
            Ok(value) => done.push((node, value)),
            Err(cause) => failed.push((node.name.clone(), cause)),
        }
    }
    done.sort_by(|a, b| order::natural(&a.0.name, &b.0.name));
    failed.sort_by(|a, b| order::natural(&a.0, &b.0));
    Cause::together("nodes failed", failed).map_or(Ok(done), Err)
}

/// What every node says, whatever state it is in.
pub async fn look_at_nodes(ssh: &Ssh, settings: &Settings, facts: &Facts) -> Result<Vec<(String, NodeState)>, Cause> {
    Ok(named(look_at_each_node(facts, async |node| ssh.on_node(node, &super::sources::inspect(settings)).await).await?))
}

/// With their names alone.
pub fn named(states: Vec<(&Node, NodeState)>) -> Vec<(String, NodeState)> {
    states.into_iter().map(|(node, state)| (node.name.clone(), state)).collect()
}

/// What a look at all nodes has found on this one; None: it was not looked at.
pub fn state_of<'a>(states: &'a [(String, NodeState)], node: &str) -> Option<&'a NodeState> {
    states.iter().find(|(name, _)| name == node).map(|(_, state)| state)
}

/// The node's work has begun, and must be finished: it cannot serve half done. A control plane that rests after its first turn, whose end is
/// on record, has not begun the second.
pub fn begun(node: &Node, state: &NodeState, target: &str) -> bool {
    state.touched(target) && !(node.changed_at.is_some() && state.rests(target))
}

/// Whether the node's work has begun, as the node itself says.
pub async fn has_begun(ssh: &Ssh, node: &Node, target: &str) -> Result<bool, Cause> {
    Ok(begun(node, &ssh.on_node(node, &Inspect::default()).await?, target))
}

/// Where kubeadm keeps its configuration.
const SYSTEM: &str = "kube-system";

/// A document in one of kubeadm's ConfigMaps.
pub async fn kubeadm_map(cluster: &Cluster, name: &str, key: &str) -> Result<String, Cause> {
    let api: Api<ConfigMap> = cluster.within(SYSTEM);
    let map = cluster.find("read kubeadm's configuration", async || api.get(name).await).await?;
    map.and_then(|map| map.data)
        .and_then(|mut data| data.remove(key))
        .ok_or_else(|| Cause::refused(format!("ConfigMap {SYSTEM}/{name} has no {key}: is this a kubeadm cluster?")))
}

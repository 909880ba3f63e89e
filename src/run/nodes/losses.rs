//! Looks for what people changed by hand and kubeadm would write over, and records what they mean to lose. What counts is in
//! [`crate::plan::decide::losses`].

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::node::{Inspect, NodeState};
use crate::plan::decide::losses::static_pods::StaticPod;
use crate::plan::decide::losses::{self, Acknowledged, Difference, coredns, kubelet, static_pods};
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::marks::Edit;
use crate::run::cluster::{Cluster, Observer, Record};
use crate::run::session::Session;
use crate::run::ssh::Ssh;
use crate::settings::Settings;

const SYSTEM: &str = "kube-system";

/// The gate of preflight: every node that was looked at, and CoreDNS.
pub async fn nothing_lost(
    cluster: &Cluster,
    observer: &Observer,
    settings: &Settings,
    facts: &Facts,
    states: &[(String, NodeState)],
) -> Result<(), Cause> {
    let mut found = of_nodes(cluster, &facts.managed().collect::<Vec<_>>(), states).await?;
    found.extend(of_coredns(cluster, settings).await?);
    losses::verdict(&not_acknowledged(observer, found).await?)
}

/// The gate of one node: changed since preflight, joined since, or upgraded without any.
pub async fn nothing_lost_on(
    cluster: &Cluster,
    observer: &Observer,
    ssh: &Ssh,
    settings: &Settings,
    node: &Node,
) -> Result<(), Cause> {
    let states = [(node.name.clone(), ssh.on_node(node, &Inspect).await?)];
    let mut found = of_nodes(cluster, &[node], &states).await?;
    if node.control_plane {
        found.extend(of_coredns(cluster, settings).await?);
    }
    losses::verdict(&not_acknowledged(observer, found).await?)
}

/// What is not acknowledged yet in the whole cluster, fit or not.
pub async fn losses(
    cluster: &Cluster,
    observer: &Observer,
    ssh: &Ssh,
    settings: &Settings,
    facts: &Facts,
) -> Result<Vec<Difference>, Cause> {
    let states = super::inspect::look_at_nodes(ssh, settings, facts).await?;
    let mut found = of_nodes(cluster, &facts.managed().collect::<Vec<_>>(), &states).await?;
    found.extend(of_coredns(cluster, settings).await?);
    not_acknowledged(observer, found).await
}

/// Records that these may be lost, by whom it was said and when.
pub async fn acknowledge(session: &Session, observer: &Observer, record: &Record, open: &[Difference]) -> Result<(), Cause> {
    let mut all = losses::acknowledged(observer.marks().await?.acknowledged.as_deref())?;
    all.extend(open.iter().map(|difference| Acknowledged {
        digest: difference.digest(),
        what: difference.line(),
        by: session.identity.holder.clone(),
        at: session.stamp(),
    }));
    let text = serde_json::to_string(&all).map_err(|error| Cause::bug(format!("acknowledged changes as JSON: {error}")))?;
    record.mark_namespace("", "record what was acknowledged", &[Edit::set(Mark::Acknowledged, text)]).await
}

async fn not_acknowledged(observer: &Observer, found: Vec<Difference>) -> Result<Vec<Difference>, Cause> {
    if found.is_empty() {
        return Ok(found);
    }
    Ok(losses::open(found, &losses::acknowledged(observer.marks().await?.acknowledged.as_deref())?))
}

async fn of_nodes(cluster: &Cluster, nodes: &[&Node], states: &[(String, NodeState)]) -> Result<Vec<Difference>, Cause> {
    let mut found = Vec::new();
    let masters: Vec<&Node> = nodes.iter().copied().filter(|node| node.control_plane).collect();
    if !masters.is_empty() {
        let configuration = cluster_configuration(cluster).await?;
        let pods = static_pods(cluster, &masters, configuration.local_etcd()).await?;
        found.extend(static_pods::differences(&configuration, &pods)?);
    }
    if !states.is_empty() {
        let of_kubelets =
            kubelet::Configuration::read(&super::inspect::kubeadm_map(cluster, names::KUBELET_CONFIG, "kubelet").await?)?;
        let of_node = |(name, state): &(String, NodeState)| kubelet::differences(&of_kubelets, name, &state.kubelet_config);
        found.extend(states.iter().flat_map(of_node));
    }
    Ok(found)
}

async fn cluster_configuration(cluster: &Cluster) -> Result<static_pods::Configuration, Cause> {
    static_pods::Configuration::read(&super::inspect::kubeadm_map(cluster, names::KUBEADM_CONFIG, "ClusterConfiguration").await?)
}

/// The static pods of control planes; one that is not to be seen cannot be compared.
async fn static_pods(cluster: &Cluster, masters: &[&Node], etcd: bool) -> Result<Vec<StaticPod>, Cause> {
    let tier = ListParams::default().labels("tier=control-plane");
    let pods: Vec<Pod> = cluster.list_all("list control-plane pods", cluster.within(SYSTEM), tier).await?;
    let of_pod = |pod: &Pod| {
        let spec = pod.spec.as_ref()?;
        let container = spec.containers.first()?;
        let words = [container.command.clone(), container.args.clone()].into_iter().flatten().flatten();
        Some(StaticPod {
            node: spec.node_name.clone()?,
            component: pod.labels().get("component")?.clone(),
            command: words.collect(),
        })
    };
    let mut all: Vec<StaticPod> = pods.iter().filter_map(of_pod).collect();
    let wanted = || COMPONENTS.into_iter().chain(etcd.then_some("etcd"));
    all.retain(|pod| masters.iter().any(|node| node.name == pod.node) && wanted().any(|name| name == pod.component));
    let seen = |node: &str, name: &str| all.iter().any(|pod| pod.node == node && pod.component == name);
    let missing: Vec<String> = masters
        .iter()
        .flat_map(|node| wanted().filter(|name| !seen(&node.name, name)).map(|name| format!("{}: {name}", node.name)))
        .collect();
    if missing.is_empty() {
        return Ok(all);
    }
    Err(Cause::hold("static pods are not to be seen, so whether kubeadm would write over their flags is not known")
        .detail(missing))
}

async fn of_coredns(cluster: &Cluster, settings: &Settings) -> Result<Vec<Difference>, Cause> {
    if coredns::is_skipped(&settings.kubeadm_flags()) || cluster_configuration(cluster).await?.dns_disabled() {
        return Ok(Vec::new());
    }
    let deployments: Vec<Deployment> = super::gates::deployments(cluster).await?;
    let ours = |found: &&Deployment| found.namespace().as_deref() == Some(SYSTEM) && found.name_any() == "coredns";
    let Some(deployment) = deployments.iter().find(ours) else { return Ok(Vec::new()) };
    let value = serde_json::to_value(deployment).map_err(|error| Cause::bug(format!("a Deployment as JSON: {error}")))?;
    Ok(coredns::differences(&value))
}

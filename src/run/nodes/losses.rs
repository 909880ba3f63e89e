//! Looks for what people changed by hand and kubeadm would write over, and records what they mean to lose. What counts is in
//! [`crate::plan::decide::losses`].

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::node::{Inspect, NodeState, ReadPatches};
use crate::plan::decide::losses::patches::{self, Patches};
use crate::plan::decide::losses::static_pods::StaticPod;
use crate::plan::decide::losses::{self, Acknowledged, Difference, Keep, coredns, kubelet, static_pods};
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::marks::Edit;
use crate::run::cluster::{Cluster, Observer, Record};
use crate::run::session::Session;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::HostPath;

const SYSTEM: &str = "kube-system";

/// The gate of preflight: every node that was looked at, and CoreDNS.
pub async fn nothing_lost(
    cluster: &Cluster,
    observer: &Observer,
    ssh: &Ssh,
    settings: &Settings,
    facts: &Facts,
    states: &[(String, NodeState)],
) -> Result<(), Cause> {
    let found = lost(cluster, ssh, settings, &facts.managed().collect::<Vec<_>>(), states).await?;
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
    let states = [(node.name.clone(), ssh.on_node(node, &Inspect::default()).await?)];
    let found = lost(cluster, ssh, settings, &[node], &states).await?;
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
    let found = lost(cluster, ssh, settings, &facts.managed().collect::<Vec<_>>(), &states).await?;
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

/// What kubeadm would write over on these nodes, and of CoreDNS if one of them may write it.
async fn lost(
    cluster: &Cluster,
    ssh: &Ssh,
    settings: &Settings,
    nodes: &[&Node],
    states: &[(String, NodeState)],
) -> Result<Vec<Difference>, Cause> {
    let there = There::read(cluster, settings, nodes, states).await?;
    let found = there.differences(&patches::OfNodes::new())?;
    if found.is_empty() {
        return Ok(found);
    }
    if let Some(folder) = patches::folder(&settings.kubeadm_flags()) {
        let mut all = patches::OfNodes::new();
        for node in nodes {
            let odd = |cause: Cause| Cause { what: format!("{}: {}", node.name, cause.what), ..cause };
            all.insert(node.name.clone(), patches_of(ssh, node, &folder).await?.map_err(odd)?);
        }
        return there.differences(&all);
    }
    // Nobody has told kubeadm of that folder: there it is for the hint alone, and what cannot be read in it stops nothing.
    let usual: HostPath = patches::USUAL_FOLDER.parse().map_err(|error| Cause::bug(format!("{error}")))?;
    let mut all = patches::OfNodes::new();
    for node in nodes {
        all.extend(patches_of(ssh, node, &usual).await?.ok().map(|own| (node.name.clone(), own)));
    }
    let not_kept = there.differences(&all)?;
    let hinted = |difference: Difference| {
        if not_kept.contains(&difference) { difference } else { Difference { keep: Keep::Patches, ..difference } }
    };
    Ok(found.into_iter().map(hinted).collect())
}

/// What lies in that folder of a node; within, whether it can be read as patches.
async fn patches_of(ssh: &Ssh, node: &Node, folder: &HostPath) -> Result<Result<Patches, Cause>, Cause> {
    let files = ssh.on_node(node, &ReadPatches { folder: folder.clone() }).await?;
    Ok(Patches::read(files.iter().map(|file| (file.name.as_str(), file.text.as_str()))))
}

/// What stands in the cluster and on nodes, and what kubeadm makes of its configuration.
struct There<'a> {
    states: &'a [(String, NodeState)],
    static_pods: Option<(static_pods::Configuration, Vec<StaticPod>)>,
    kubelets: Option<kubelet::Configuration>,
    coredns: Option<Value>,
    control_planes: Vec<&'a Node>,
}

impl<'a> There<'a> {
    async fn read(
        cluster: &Cluster,
        settings: &Settings,
        nodes: &[&'a Node],
        states: &'a [(String, NodeState)],
    ) -> Result<Self, Cause> {
        let control_planes: Vec<&Node> = nodes.iter().copied().filter(|node| node.control_plane).collect();
        let (mut static_pods, mut coredns, mut kubelets) = (None, None, None);
        if !control_planes.is_empty() {
            let configuration = cluster_configuration(cluster).await?;
            let pods = self::static_pods(cluster, &control_planes, configuration.local_etcd()).await?;
            if !coredns::is_skipped(&settings.kubeadm_flags()) && !configuration.dns_disabled() {
                coredns = self::coredns(cluster).await?;
            }
            static_pods = Some((configuration, pods));
        }
        if !states.is_empty() {
            let text = super::inspect::kubeadm_map(cluster, names::KUBELET_CONFIG, "kubelet").await?;
            kubelets = Some(kubelet::Configuration::read(&text)?);
        }
        Ok(There { states, static_pods, kubelets, coredns, control_planes })
    }

    fn differences(&self, patches: &patches::OfNodes) -> Result<Vec<Difference>, Cause> {
        let mut found = Vec::new();
        if let Some((configuration, pods)) = &self.static_pods {
            found.extend(static_pods::differences(configuration, pods, patches)?);
        }
        if let Some(kubelets) = &self.kubelets {
            let of_node = |(name, state): &(String, NodeState)| {
                kubelet::differences(kubelets, name, &state.kubelet_config, patches.get(name))
            };
            found.extend(self.states.iter().flat_map(of_node));
        }
        if let Some(coredns) = &self.coredns {
            let of_each: Vec<&Patches> = self.control_planes.iter().filter_map(|node| patches.get(&node.name)).collect();
            found.extend(coredns::differences(coredns, &of_each));
        }
        Ok(found)
    }
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

/// The Deployment, if there is one.
pub async fn coredns(cluster: &Cluster) -> Result<Option<Value>, Cause> {
    let deployments: Vec<Deployment> = super::gates::deployments(cluster).await?;
    let ours = |found: &&Deployment| found.namespace().as_deref() == Some(SYSTEM) && found.name_any() == "coredns";
    let as_json =
        |deployment| serde_json::to_value(deployment).map_err(|error| Cause::bug(format!("a Deployment as JSON: {error}")));
    deployments.iter().find(ours).map(as_json).transpose()
}

//! Looks at what is and puts it in the terms of [`crate::plan::facts`]. Reads only.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode, Pod};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::ctx::Ctx;
use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::plan::facts::{Component, Facts, JobFact, JobState, Node, RunMarks, Taint};
use crate::plan::parse;
use crate::plan::version::Version;

/// Objects a page; a list of thousands of nodes or pods never comes as one answer.
const PAGE: u32 = 500;

impl Ctx {
    /// Everything that decisions are made of, as it is now.
    pub async fn observe(&self) -> Result<Facts, Cause> {
        let mut facts = Facts { nodes: self.nodes().await?, marks: self.marks().await?, jobs: self.chain_jobs().await? };
        let tier = ListParams::default().labels("tier=control-plane");
        let pods: Vec<Pod> =
            self.list_all("list control-plane pods", Api::namespaced(self.kube.clone(), "kube-system"), tier).await?;
        for pod in &pods {
            if let (Some(component), Some(on)) = (component(pod), pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()))
                && let Some(node) = facts.nodes.iter_mut().find(|node| node.name == on)
            {
                node.components.push(component);
            }
        }
        facts.nodes.iter_mut().for_each(|node| node.components.sort_by(|a, b| a.name.cmp(&b.name)));
        Ok(facts)
    }

    /// A list, page by page.
    pub async fn list_all<K>(&self, what: &str, api: Api<K>, params: ListParams) -> Result<Vec<K>, Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        Ok(self.list_at(what, api, params).await?.0)
    }

    /// A list, and the resource version that it stands for.
    pub(super) async fn list_at<K>(&self, what: &str, api: Api<K>, params: ListParams) -> Result<(Vec<K>, String), Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut all = Vec::new();
        let mut params = params.limit(PAGE);
        loop {
            let page = self.api(what, async || api.list(&params).await).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }

    async fn nodes(&self) -> Result<Vec<Node>, Cause> {
        let nodes: Vec<KubeNode> = self.list_all("list nodes", Api::all(self.kube.clone()), ListParams::default()).await?;
        nodes.iter().map(|node| self.node_fact(node)).collect()
    }

    /// One node as it is now; None if it was deleted. Its control-plane pods are not looked at.
    pub async fn node_now(&self, name: &str) -> Result<Option<Node>, Cause> {
        let api: Api<KubeNode> = Api::all(self.kube.clone());
        self.api_opt("read the node", async || api.get(name).await).await?.map(|node| self.node_fact(&node)).transpose()
    }

    fn node_fact(&self, node: &KubeNode) -> Result<Node, Cause> {
        let name = node.name_any();
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        let info = status.node_info.ok_or_else(|| Cause::hold(format!("{name} has not reported its version yet")))?;
        let parse = |text: &str| Version::from_str(text).map_err(|error| Cause::refused(format!("{name}: kubelet {error}")));
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let mark = |mark: Mark| self.mark(node.annotations(), mark);
        Ok(Node {
            hostname: node.labels().get(names::LABEL_HOSTNAME).cloned().unwrap_or_else(|| name.clone()),
            address: status
                .addresses
                .unwrap_or_default()
                .into_iter()
                .find(|address| address.type_ == "InternalIP")
                .map(|address| address.address),
            control_plane: node.labels().contains_key(names::LABEL_CONTROL_PLANE),
            kubelet: parse(&info.kubelet_version)?,
            // Nodes stopped reporting kube-proxy's version; then there is none to judge.
            kube_proxy: Version::from_str(&info.kube_proxy_version).ok(),
            container_runtime: info.container_runtime_version,
            ready: ready.is_some_and(|condition| condition.status == "True"),
            not_ready: ready.filter(|condition| condition.status != "True").and_then(|condition| condition.message.clone()),
            ready_since: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
            pressures: conditions
                .iter()
                .filter(|condition| condition.type_.ends_with("Pressure") && condition.status == "True")
                .map(|condition| condition.type_.clone())
                .collect(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            taints: spec
                .taints
                .unwrap_or_default()
                .into_iter()
                .map(|taint| Taint { key: taint.key, value: taint.value, effect: taint.effect })
                .collect(),
            components: Vec::new(),
            excluded: self.settings.exclude_nodes.contains(&name),
            cordoned_by: mark(Mark::CordonedBy),
            former_versions: mark(Mark::FormerVersions),
            changed_at: self.time(&name, mark(Mark::ChangedAt), Mark::ChangedAt)?,
            name,
        })
    }

    fn mark(&self, annotations: &BTreeMap<String, String>, mark: Mark) -> Option<String> {
        annotations.get(&mark.key(&self.settings.annotation_prefix)).filter(|value| !value.is_empty()).cloned()
    }

    /// A time that we wrote; one that cannot be read is not "never".
    fn time(&self, place: &str, text: Option<String>, mark: Mark) -> Result<Option<Timestamp>, Cause> {
        text.map(|text| {
            text.parse().map_err(|_| {
                Cause::refused(format!(
                    "{place}: annotation {} is {text:?}, which is no time",
                    mark.key(&self.settings.annotation_prefix)
                ))
            })
        })
        .transpose()
    }

    pub(super) async fn marks(&self) -> Result<RunMarks, Cause> {
        let api: Api<Namespace> = Api::all(self.kube.clone());
        let found = self.api_opt("read the namespace", async || api.get(&self.namespace).await).await?;
        let namespace = found.ok_or_else(|| {
            Cause::refused(format!("namespace {} does not exist: the program is not installed in this cluster", self.namespace))
                .next("k8s-upgrade manifests --help")
        })?;
        let mark = |mark: Mark| self.mark(namespace.annotations(), mark);
        let target = mark(Mark::Target)
            .map(|text| {
                text.parse::<Version>().map_err(|error| Cause::refused(format!("annotation {}: {error}", Mark::Target.key("…"))))
            })
            .transpose()?;
        Ok(RunMarks {
            in_flight: mark(Mark::InFlight).is_some(),
            run_id: mark(Mark::RunId),
            target,
            started: self.time(&self.namespace, mark(Mark::Started), Mark::Started)?,
            snapshot_path: mark(Mark::SnapshotPath),
            prepared: mark(Mark::Prepared).is_some_and(|run| Some(run) == mark(Mark::RunId)),
            skipped: mark(Mark::Skipped).map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            halted: mark(Mark::Halted),
        })
    }

    async fn chain_jobs(&self) -> Result<Vec<JobFact>, Cause> {
        let chain = ListParams::default().labels(&format!("{}={}", names::LABEL_APP, names::APP_CHAIN));
        let jobs: Vec<Job> =
            self.list_all("list the chain's Jobs", Api::namespaced(self.kube.clone(), &self.namespace), chain.clone()).await?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let pods: Vec<Pod> =
            self.list_all("list the chain's pods", Api::namespaced(self.kube.clone(), &self.namespace), chain).await?;
        Ok(jobs.iter().map(|job| job_fact(job, &pods)).collect())
    }
}

/// A static pod of kubeadm's control plane, by its component label; etcd is not a Kubernetes component.
fn component(pod: &Pod) -> Option<Component> {
    let name = pod.labels().get("component")?.clone();
    if !["kube-apiserver", "kube-controller-manager", "kube-scheduler"].contains(&name.as_str()) {
        return None;
    }
    let image = pod.spec.as_ref()?.containers.first()?.image.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let ready =
        status.conditions.unwrap_or_default().iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Some(Component { name, version: parse::image_version(&image), running: status.phase.as_deref() == Some("Running") && ready })
}

/// The state of a Job; its conditions alone tell a finished one.
pub fn job_state(job: &Job, exit: Option<i32>) -> JobState {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let has = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True");
    if has("Complete").is_some() {
        return JobState::Complete;
    }
    match has("Failed") {
        Some(failed) => JobState::Failed { reason: failed.reason.clone().unwrap_or_default(), exit },
        None => JobState::Active,
    }
}

fn job_fact(job: &Job, pods: &[Pod]) -> JobFact {
    let name = job.name_any();
    let newest = pods
        .iter()
        .filter(|pod| pod.labels().get("batch.kubernetes.io/job-name") == Some(&name))
        .max_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
    let exit = newest.and_then(|pod| {
        let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
    });
    // A Job that is being deleted is as good as gone, but its name is taken until then.
    let state = match job.metadata.deletion_timestamp {
        Some(_) => JobState::Failed { reason: "it is being deleted".into(), exit },
        None => job_state(job, exit),
    };
    JobFact { uid: job.uid().unwrap_or_default(), state, node: newest.and_then(|pod| pod.spec.as_ref()?.node_name.clone()), name }
}

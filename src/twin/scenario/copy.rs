//! A real cluster as a scenario: names, labels, versions and the shapes of workloads. No Secret, no environment, no image is looked at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Node as KubeNode, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use serde_json::Map;

use super::{Alert, Autoscaler, Budget, Expression, Node, Release, Scenario, Taint, Toleration, Workload, WorkloadKind, limits};
use crate::failure::Cause;
use crate::names::{ALERT_GROUP, LABEL_CONTROL_PLANE, LABEL_HOSTNAME, Mark};
use crate::plan::decide::surge;
use crate::plan::model::parse;
use crate::plan::model::version::Version;

/// What was read of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub nodes: Vec<KubeNode>,
    pub pods: Vec<Pod>,
    pub deployments: Vec<Deployment>,
    pub replica_sets: Vec<ReplicaSet>,
    pub stateful_sets: Vec<StatefulSet>,
    pub daemon_sets: Vec<DaemonSet>,
    pub budgets: Vec<PodDisruptionBudget>,
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// What else there is that a rehearsal does not imitate: what that means for its result, and whose it is.
    pub beside: Vec<(&'static str, String)>,
}

/// A static pod: its machine brings it.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// A readiness that took longer than this (seconds) had other reasons than the pod.
const LONGEST_START: i64 = 600;
/// What nodes' labels say of where they are; the rest is not copied.
const NODE_LABELS: [&str; 3] = ["kubernetes.io/", "topology.kubernetes.io/", "node-role.kubernetes.io/"];

impl Scenario {
    /// Describes a cluster as it is `now`. `prefix` is that of this program's annotations, `installation` its namespace, which is left out:
    /// a rehearsal installs it anew.
    pub fn from_objects(
        objects: &Objects,
        target: Version,
        now: Timestamp,
        prefix: &str,
        installation: &str,
    ) -> Result<Scenario, Cause> {
        let selectors = objects.pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_selector.as_ref());
        let selected = selectors.flat_map(|selector| selector.keys().cloned()).collect();
        let mut copier = Copier { objects, selected, opt_out: Mark::Unstick.key(prefix), notes: BTreeMap::new() };
        let nodes = objects.nodes.iter().map(|node| copier.node(node)).collect::<Result<Vec<_>, _>>()?;
        let mut workloads = copier.workloads(installation);
        workloads.sort_by(|a, b| (&a.namespace, a.kind, &a.name).cmp(&(&b.namespace, b.kind, &b.name)));
        let budgets = objects.budgets.iter().filter(|found| found.namespace().as_deref() != Some(installation));
        let budgets = budgets.filter_map(|found| copier.budget(found)).collect();
        let autoscalers = objects.autoscalers.iter().filter(|found| found.namespace().as_deref() != Some(installation));
        let autoscalers = autoscalers.filter_map(|found| copier.autoscaler(found)).collect();
        objects.beside.iter().for_each(|(what, whose)| copier.note(what, whose.clone()));
        let mut assumptions = copier.assumptions();
        assumptions.extend(
            [
                "Drains end pods and pods become ready as fast as they did when they started last; \
                 where that cannot be seen, within seconds.",
                "Disks have room, images and packages can be fetched, and the etcd backup works.",
                "The package sources of every node offer the target and each containerd that any node runs, under plain versions.",
                "Flags of static pods and kubelets, the kubelets' configuration and CoreDNS are as kubeadm writes them, and every node runs \
                 on cgroup v2.",
            ]
            .map(str::to_owned),
        );
        Ok(Scenario {
            about: String::new(),
            target,
            seed: 1,
            start: now,
            nodes,
            workloads,
            budgets,
            autoscalers,
            alerts: Vec::new(),
            prometheus_wants: None,
            releases: vec![Release { version: target, from: None }],
            settings: Map::new(),
            assumptions,
        })
    }

    /// Takes over the alerts that fire: by name and labels, and of the `gates`, the rules of other people that a run waits for, their group.
    pub fn with_alerts(
        mut self,
        firing: impl IntoIterator<Item = (String, BTreeMap<String, String>)>,
        gates: &BTreeSet<String>,
    ) -> Self {
        self.alerts = firing
            .into_iter()
            .map(|(name, mut labels)| {
                labels.remove("alertname");
                let group = gates.contains(&name).then(|| ALERT_GROUP.to_owned());
                Alert { name, labels, group, from: None, until: None }
            })
            .collect();
        self
    }
}

struct Copier<'a> {
    objects: &'a Objects,
    /// Labels of nodes that pods ask for.
    selected: BTreeSet<String>,
    opt_out: String,
    /// What is not imitated, with whose it is.
    notes: BTreeMap<&'static str, BTreeSet<String>>,
}

fn owner(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

impl Copier<'_> {
    fn note(&mut self, what: &'static str, whose: String) {
        self.notes.entry(what).or_default().insert(whose);
    }

    /// `… (web/shop, db/postgres and 3 more)`.
    fn assumptions(&self) -> Vec<String> {
        let line = |(what, whose): (&&str, &BTreeSet<String>)| {
            let shown: Vec<&str> = whose.iter().take(3).map(String::as_str).collect();
            let more = whose.len().saturating_sub(shown.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{what} ({}{more}).", shown.join(", "))
        };
        self.notes.iter().map(line).collect()
    }

    fn node(&mut self, node: &KubeNode) -> Result<Node, Cause> {
        let name = node.name_any();
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        let info = status.node_info.ok_or_else(|| Cause::hold(format!("{name} has not reported its version yet")))?;
        let version: Version =
            info.kubelet_version.parse().map_err(|error| Cause::refused(format!("{name}: kubelet {error}")))?;
        let control_plane = node.labels().contains_key(LABEL_CONTROL_PLANE);
        let components = self.components(&name).filter(|components| control_plane && *components != version);
        let containerd = parse::containerd(&info.container_runtime_version).map(|version| version.to_string());
        let containerd = containerd.unwrap_or_else(|| {
            self.notes.entry("A runtime other than containerd is taken for containerd").or_default().insert(name.clone());
            "1.7.28".to_owned()
        });
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let addresses = status.addresses.unwrap_or_default();
        let address = addresses.iter().find(|address| address.type_ == "InternalIP").map(|address| address.address.clone());
        let hostname = node.labels().get(LABEL_HOSTNAME).filter(|hostname| **hostname != name).cloned();
        // Those of a node's state come by themselves.
        let lasting = |key: &str| !key.starts_with("node.kubernetes.io/");
        let taints = spec.taints.unwrap_or_default().into_iter().filter(|taint| lasting(&taint.key));
        let known = |key: &str| NODE_LABELS.iter().any(|start| key.starts_with(start)) || self.selected.contains(key);
        let own = [LABEL_HOSTNAME, LABEL_CONTROL_PLANE];
        let labels = node.labels().iter().filter(|(key, _)| !own.contains(&key.as_str()) && known(key));
        Ok(Node {
            control_plane,
            version,
            control_plane_version: components,
            containerd,
            containerd_package: None,
            containerd_offers: Vec::new(),
            cgroup_v1: false,
            kubelet_flags: Vec::new(),
            address: address.unwrap_or_default(),
            hostname,
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
            taints: taints.map(|taint| Taint { key: taint.key, value: taint.value, effect: taint.effect }).collect(),
            cordoned: spec.unschedulable.unwrap_or(false),
            not_ready: ready.is_none_or(|condition| condition.status != "True"),
            ready_since: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
            name,
        })
    }

    /// The oldest static pod of a control plane.
    fn components(&self, node: &str) -> Option<Version> {
        let on = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
        let mirrors = self.objects.pods.iter().filter(on).filter(|pod| pod.annotations().contains_key(MIRROR));
        let image = |pod: &Pod| pod.spec.as_ref()?.containers.first()?.image.clone();
        let kubernetes = |pod: &&Pod| pod.labels().get("component").is_some_and(|component| component.starts_with("kube-"));
        mirrors.filter(kubernetes).filter_map(|pod| parse::image_version(&image(pod)?)).min()
    }

    fn workloads(&mut self, installation: &str) -> Vec<Workload> {
        let objects = self.objects;
        let elsewhere = |meta: &ObjectMeta| meta.namespace.as_deref() != Some(installation);
        let mut workloads = Vec::new();
        let (mut rs_owner, mut lone) = (BTreeMap::new(), BTreeSet::new());
        for set in &objects.replica_sets {
            let name = set.name_any();
            match owner(&set.metadata).filter(|owner| owner.kind == "Deployment") {
                Some(above) => drop(rs_owner.insert((set.namespace().unwrap_or_default(), name), above.name.clone())),
                None => drop(lone.insert((set.namespace().unwrap_or_default(), name))),
            }
        }
        for found in objects.deployments.iter().filter(|found| elsewhere(&found.metadata)) {
            let Some(spec) = found.spec.as_ref().filter(|spec| spec.replicas != Some(0)) else { continue };
            if spec.replicas == Some(1) && surge::new_pod_first(found).is_err() {
                let what = "How a Deployment replaces its pod is not imitated: drain-surge finds it fit";
                self.note(what, format!("{}/{}", found.namespace().unwrap_or_default(), found.name_any()));
            }
            workloads.push(self.workload(WorkloadKind::Deployment, &found.metadata, spec.replicas, &spec.template));
        }
        for found in objects.replica_sets.iter().filter(|found| elsewhere(&found.metadata)) {
            let place = (found.namespace().unwrap_or_default(), found.name_any());
            let Some(spec) = found.spec.as_ref().filter(|spec| lone.contains(&place) && spec.replicas != Some(0)) else {
                continue;
            };
            let Some(template) = &spec.template else { continue };
            self.note("A ReplicaSet without a Deployment is taken for a Deployment", format!("{}/{}", place.0, place.1));
            workloads.push(self.workload(WorkloadKind::Deployment, &found.metadata, spec.replicas, template));
        }
        for found in objects.stateful_sets.iter().filter(|found| elsewhere(&found.metadata)) {
            let Some(spec) = found.spec.as_ref().filter(|spec| spec.replicas != Some(0)) else { continue };
            workloads.push(self.workload(WorkloadKind::StatefulSet, &found.metadata, spec.replicas, &spec.template));
        }
        for found in objects.daemon_sets.iter().filter(|found| elsewhere(&found.metadata)) {
            let Some(spec) = &found.spec else { continue };
            workloads.push(self.workload(WorkloadKind::DaemonSet, &found.metadata, None, &spec.template));
        }
        let index: BTreeMap<(WorkloadKind, String, String), usize> = workloads
            .iter()
            .enumerate()
            .map(|(index, workload)| ((workload.kind, workload.namespace.clone(), workload.name.clone()), index))
            .collect();
        let mut pods: Vec<&Pod> = objects.pods.iter().filter(|pod| elsewhere(&pod.metadata)).collect();
        // db-2 before db-10: a StatefulSet's places are in the order of its ordinals.
        pods.sort_by_key(|pod| (pod.namespace(), pod.name_any().len(), pod.name_any()));
        for pod in pods {
            let namespace = pod.namespace().unwrap_or_default();
            let place = match owner(&pod.metadata) {
                Some(owner) if owner.kind == "ReplicaSet" => {
                    let above = rs_owner.get(&(namespace.clone(), owner.name.clone()));
                    (WorkloadKind::Deployment, namespace, above.unwrap_or(&owner.name).clone())
                }
                Some(owner) if owner.kind == "StatefulSet" => (WorkloadKind::StatefulSet, namespace, owner.name.clone()),
                Some(owner) if owner.kind == "DaemonSet" => continue,
                other => {
                    workloads.extend(self.lone_pod(pod, other));
                    continue;
                }
            };
            if let Some(workload) = index.get(&place).and_then(|index| workloads.get_mut(*index)) {
                placed(workload, pod);
            }
        }
        workloads
    }

    /// A pod that no workload of this format keeps.
    fn lone_pod(&mut self, pod: &Pod, owner: Option<&OwnerReference>) -> Option<Workload> {
        let full_name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        let ended = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
        match owner {
            _ if pod.annotations().contains_key(MIRROR) || ended => return None,
            Some(owner) if owner.kind == "Job" => {
                self.note("Pods of Jobs are left out", full_name);
                return None;
            }
            Some(_) => self.note("A pod of a controller that is not known here is not recreated once it is evicted", full_name),
            None => {}
        }
        let spec = pod.spec.clone()?;
        let template = PodTemplateSpec { metadata: Some(pod.metadata.clone()), spec: Some(spec) };
        let mut workload = self.workload(WorkloadKind::Pod, &pod.metadata, None, &template);
        placed(&mut workload, pod);
        Some(workload)
    }

    fn workload(&mut self, kind: WorkloadKind, meta: &ObjectMeta, replicas: Option<i32>, template: &PodTemplateSpec) -> Workload {
        let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let spec = template.spec.clone().unwrap_or_default();
        self.note_what_is_ignored(&format!("{namespace}/{name}"), &spec);
        let of_template = template.metadata.clone().unwrap_or_default();
        let keep = |key: &str| key == self.opt_out;
        let volumes = spec.volumes.unwrap_or_default();
        let tolerations = spec.tolerations.unwrap_or_default().into_iter().map(|toleration| Toleration {
            key: toleration.key,
            operator: toleration.operator,
            value: toleration.value,
            effect: toleration.effect,
        });
        Workload {
            replicas: replicas.map_or(1, |replicas| u32::try_from(replicas).unwrap_or(0)),
            labels: of_template.labels.unwrap_or_default(),
            annotations: of_template.annotations.unwrap_or_default().into_iter().filter(|(key, _)| keep(key)).collect(),
            empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            grace_seconds: spec
                .termination_grace_period_seconds
                .and_then(|grace| u32::try_from(grace).ok())
                .map(|grace| grace.min(limits::SECONDS)),
            node_selector: spec.node_selector.unwrap_or_default(),
            tolerations: tolerations.collect(),
            ..Workload::new(kind, &namespace, &name)
        }
    }

    fn note_what_is_ignored(&mut self, whose: &str, spec: &PodSpec) {
        let affinity = spec.affinity.as_ref();
        let claims = spec.volumes.iter().flatten().any(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some());
        let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let requests = containers().any(|c| c.resources.as_ref().is_some_and(|r| r.requests.is_some() || r.limits.is_some()));
        let ports = containers().any(|c| c.ports.iter().flatten().any(|port| port.host_port.is_some()));
        for (what, there) in [
            ("Node affinity is ignored: pods may go where they could not", affinity.is_some_and(|a| a.node_affinity.is_some())),
            (
                "Affinity and anti-affinity among pods are ignored: replicas may meet on a node",
                affinity.is_some_and(|a| a.pod_affinity.is_some() || a.pod_anti_affinity.is_some()),
            ),
            ("Topology spread is ignored", spec.topology_spread_constraints.as_ref().is_some_and(|all| !all.is_empty())),
            ("Requests and limits are ignored: every node has room for every pod", requests),
            ("Volumes are taken to follow their pods at once", claims),
            ("Host ports are ignored", ports),
            ("Priorities are ignored: nothing is preempted", spec.priority_class_name.is_some()),
        ] {
            if there {
                self.note(what, whose.to_owned());
            }
        }
    }

    /// None for one that guards nothing.
    fn budget(&self, found: &PodDisruptionBudget) -> Option<Budget> {
        let spec = found.spec.clone().unwrap_or_default();
        let selector = spec.selector?;
        let keep = |key: &str| key == self.opt_out;
        let expressions = selector.match_expressions.unwrap_or_default().into_iter().map(|wanted| Expression {
            key: wanted.key,
            operator: wanted.operator,
            values: wanted.values.unwrap_or_default(),
        });
        Some(Budget {
            namespace: found.namespace().unwrap_or_default(),
            name: found.name_any(),
            selector: selector.match_labels.unwrap_or_default(),
            expressions: expressions.collect(),
            min_available: spec.min_available,
            max_unavailable: spec.max_unavailable,
            unhealthy_policy: spec.unhealthy_pod_eviction_policy,
            annotations: found.annotations().iter().filter(|(key, _)| keep(key)).map(|(k, v)| (k.clone(), v.clone())).collect(),
            owner: found.owner_references().first().map(|owner| format!("{}/{}", owner.kind, owner.name)),
        })
    }

    fn autoscaler(&mut self, found: &HorizontalPodAutoscaler) -> Option<Autoscaler> {
        let (spec, namespace) = (found.spec.as_ref()?, found.namespace().unwrap_or_default());
        let target = &spec.scale_target_ref;
        self.note(
            "Autoscalers do not scale: a drain that waits for one waits until its deadline",
            format!("{namespace}/{}", found.name_any()),
        );
        Some(Autoscaler {
            name: found.name_any(),
            kind: target.kind.clone(),
            scales: target.name.clone(),
            max_replicas: u32::try_from(spec.max_replicas).unwrap_or_default(),
            namespace,
        })
    }
}

/// Where one of its pods is, and what that says of its start.
fn placed(workload: &mut Workload, pod: &Pod) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let ending = pod.metadata.deletion_timestamp.is_some();
    if let Some(node) = node.filter(|_| !ending && workload.placed_on.len() < workload.replicas as usize) {
        workload.placed_on.push(node);
    }
    let Some(status) = &pod.status else { return };
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let began = status.start_time.as_ref().map(|time| time.0);
    let became = ready.filter(|ready| ready.status == "True").and_then(|ready| ready.last_transition_time.as_ref());
    if let (Some(began), Some(became)) = (began, became) {
        let took = became.0.duration_since(began).as_secs();
        if let Some(took) = u32::try_from(took).ok().filter(|_| took <= LONGEST_START) {
            workload.ready_after_seconds = Some(workload.ready_after_seconds.map_or(took, |known| known.min(took)));
        }
    }
}

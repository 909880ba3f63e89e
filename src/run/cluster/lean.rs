//! Objects of a whole cluster, read for what is asked of them and no more: the rest of each is passed over while its page is read. A pod of 4 KB
//! is ten times that in memory when it is read whole, and a list of a cluster may have a hundred thousand.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetStatus, Deployment, DeploymentSpec, DeploymentStatus, StatefulSet, StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::core::v1::{
    ContainerStatus, Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Pod, PodCondition, PodSpec,
    PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// An object of which only those fields are there that its draft names; all others are as if they were not set.
#[derive(Clone, Debug)]
pub struct Lean<K>(pub K);

/// A kind that is listed for a whole cluster.
pub trait Listed: Resource<DynamicType = ()> + Sized {
    /// What of it is read.
    type Draft: DeserializeOwned + Into<Self>;
}

impl<'de, K: Listed> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::Draft::deserialize(deserializer).map(|draft| Lean(draft.into()))
    }
}

impl<K: Listed> Resource for Lean<K> {
    type DynamicType = ();
    type Scope = K::Scope;
    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Who wrote which field (`managedFields`) is often half of an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

impl From<Meta> for ObjectMeta {
    fn from(draft: Meta) -> Self {
        let Meta { name, namespace, uid, resource_version, labels, annotations, owner_references, .. } = draft;
        let Meta { creation_timestamp, deletion_timestamp, .. } = draft;
        ObjectMeta {
            name,
            namespace,
            uid,
            resource_version,
            labels,
            annotations,
            owner_references,
            creation_timestamp,
            deletion_timestamp,
            ..ObjectMeta::default()
        }
    }
}

/// What a kind's draft reads.
#[derive(Deserialize)]
pub struct Draft<Spec, Status> {
    #[serde(default)]
    metadata: Meta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpecDraft {
    restart_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatusDraft {
    phase: Option<String>,
    conditions: Option<Vec<PodCondition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

impl Listed for Pod {
    type Draft = Draft<PodSpecDraft, PodStatusDraft>;
}

impl From<Draft<PodSpecDraft, PodStatusDraft>> for Pod {
    fn from(draft: Draft<PodSpecDraft, PodStatusDraft>) -> Self {
        let spec = |PodSpecDraft { restart_policy }| PodSpec { restart_policy, ..PodSpec::default() };
        let status = |draft| {
            let PodStatusDraft { phase, conditions, container_statuses, init_container_statuses } = draft;
            PodStatus { phase, conditions, container_statuses, init_container_statuses, ..PodStatus::default() }
        };
        Pod { metadata: draft.metadata.into(), spec: draft.spec.map(spec), status: draft.status.map(status) }
    }
}

/// Of a workload its size, without the template of its pods.
#[derive(Deserialize)]
pub struct Size {
    replicas: Option<i32>,
}

impl Listed for Deployment {
    type Draft = Draft<Size, DeploymentStatus>;
}

impl From<Draft<Size, DeploymentStatus>> for Deployment {
    fn from(draft: Draft<Size, DeploymentStatus>) -> Self {
        let spec = |Size { replicas }| DeploymentSpec { replicas, ..DeploymentSpec::default() };
        Deployment { metadata: draft.metadata.into(), spec: draft.spec.map(spec), status: draft.status }
    }
}

impl Listed for StatefulSet {
    type Draft = Draft<Size, StatefulSetStatus>;
}

impl From<Draft<Size, StatefulSetStatus>> for StatefulSet {
    fn from(draft: Draft<Size, StatefulSetStatus>) -> Self {
        let spec = |Size { replicas }| StatefulSetSpec { replicas, ..StatefulSetSpec::default() };
        StatefulSet { metadata: draft.metadata.into(), spec: draft.spec.map(spec), status: draft.status }
    }
}

#[derive(Deserialize)]
pub struct Nothing {}

impl Listed for DaemonSet {
    type Draft = Draft<Nothing, DaemonSetStatus>;
}

impl From<Draft<Nothing, DaemonSetStatus>> for DaemonSet {
    fn from(draft: Draft<Nothing, DaemonSetStatus>) -> Self {
        DaemonSet { metadata: draft.metadata.into(), spec: None, status: draft.status }
    }
}

/// Without the images that are on it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatusDraft {
    addresses: Option<Vec<NodeAddress>>,
    conditions: Option<Vec<NodeCondition>>,
    node_info: Option<NodeSystemInfo>,
}

impl Listed for Node {
    type Draft = Draft<NodeSpec, NodeStatusDraft>;
}

impl From<Draft<NodeSpec, NodeStatusDraft>> for Node {
    fn from(draft: Draft<NodeSpec, NodeStatusDraft>) -> Self {
        let status = |draft| {
            let NodeStatusDraft { addresses, conditions, node_info } = draft;
            NodeStatus { addresses, conditions, node_info, ..NodeStatus::default() }
        };
        Node { metadata: draft.metadata.into(), spec: draft.spec, status: draft.status.map(status) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::decide::workloads::{Workload, crash_looping};

    /// What decisions ask of an object is the same, whether it was read whole or not.
    #[test]
    fn what_is_passed_over_nobody_asks_for() {
        let managed = json!([{ "manager": "kubelet", "operation": "Update", "fieldsV1": { "f:status": {} } }]);
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9", "uid": "u", "controller": true }]);
        let metadata = json!({ "name": "web-5d9-x", "namespace": "shop", "uid": "7", "labels": { "pod-template-hash": "5d9" },
            "ownerReferences": owner, "managedFields": managed });
        let container = json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } } });
        let pod = json!({ "metadata": metadata, "spec": { "containers": [{ "name": "c" }], "restartPolicy": "Always" },
            "status": { "phase": "Running", "containerStatuses": [container], "podIP": "10.0.0.1" } });
        let (whole, lean) = both::<Pod>(&pod);
        assert_eq!(crash_looping(&whole).unwrap(), "Deployment shop/web");
        assert_eq!(crash_looping(&whole), crash_looping(&lean));
        assert!(lean.metadata.managed_fields.is_none() && lean.spec.unwrap().containers.is_empty());

        let meta = json!({ "name": "web", "namespace": "shop" });
        let object = |spec: Value, status: Value| json!({ "metadata": meta, "spec": spec, "status": status });
        let template = json!({ "spec": { "containers": [{ "name": "c" }] } });
        let (whole, lean) = both::<Deployment>(&object(
            json!({ "replicas": 3, "selector": {}, "template": template }),
            json!({ "availableReplicas": 2 }),
        ));
        assert_eq!(Workload::of_deployment(&whole), Workload::of_deployment(&lean));
        let (whole, lean) = both::<StatefulSet>(&object(
            json!({ "replicas": 3, "selector": {}, "template": template, "serviceName": "web" }),
            json!({ "replicas": 3, "availableReplicas": 2 }),
        ));
        assert_eq!(Workload::of_stateful_set(&whole), Workload::of_stateful_set(&lean));
        let status = json!({ "currentNumberScheduled": 2, "desiredNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 2,
            "numberAvailable": 2 });
        let (whole, lean) = both::<DaemonSet>(&object(json!({ "selector": {}, "template": template }), status));
        assert_eq!(Workload::of_daemon_set(&whole), Workload::of_daemon_set(&lean));
    }

    fn both<K: Listed + DeserializeOwned>(object: &Value) -> (K, K) {
        let whole = serde_json::from_value(object.clone()).unwrap();
        let Lean(lean) = serde_json::from_value(object.clone()).unwrap();
        (whole, lean)
    }
}

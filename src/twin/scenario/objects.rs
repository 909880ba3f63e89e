//! The objects of a scenario, as the API server has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::store::seconds;
use super::super::{control, hosts};
use super::{Autoscaler, Budget, Node, Workload};
use crate::names;
use crate::plan::model::hooks::Hook;

pub const SYSTEM: &str = "kube-system";

pub fn node(node: &Node, quiet_since: Timestamp) -> Value {
    let hostname = node.hostname.as_ref().unwrap_or(&node.name);
    let mut labels = BTreeMap::from([
        (names::LABEL_HOSTNAME.to_owned(), hostname.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
    ]);
    if node.control_plane {
        labels.insert(names::LABEL_CONTROL_PLANE.to_owned(), String::new());
    }
    labels.extend(node.labels.clone());
    let changed = seconds(node.ready_since.unwrap_or(quiet_since));
    let condition = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": changed });
    let ready = if node.not_ready { ("False", "KubeletNotReady") } else { ("True", "KubeletReady") };
    let mut spec = json!({ "taints": node.taints });
    if node.cordoned {
        spec["unschedulable"] = json!(true);
    }
    json!({
            "metadata": { "name": node.name, "labels": labels },
            "spec": spec,
            "status": {
                "addresses": [
                    { "type": "InternalIP", "address": node.address },
                    { "type": "Hostname", "address": hostname },
                ],
                "conditions": [
                    condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                    condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                    condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                    condition("Ready", ready.0, ready.1),
                ],
                "nodeInfo": {
                    "kubeletVersion": format!("v{}", node.version), "kubeProxyVersion": "",
                    "containerRuntimeVersion": format!("containerd://{}", node.containerd),
                    "architecture": "amd64", "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12 (bookworm)",
                    "kernelVersion": "6.1.0-28-amd64", "bootID": "", "machineID": hosts::machine_id(&node.name), "systemUUID": "",
                },
            },
    })
}

/// What the kubelet shows of a manifest in its folder.
pub fn static_pod(node: &str, uid: &Value, component: &str, image: &str, command: &[String]) -> Value {
    let hash = format!("{component}-{node}");
    json!({
        "metadata": {
            "name": format!("{component}-{node}"),
            "namespace": SYSTEM,
            "labels": { "component": component, "tier": "control-plane" },
            "annotations": {
                "kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash, "kubernetes.io/config.source": "file",
            },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": node, "uid": uid, "controller": true }],
        },
        "spec": {
            "nodeName": node, "hostNetwork": true, "priorityClassName": "system-node-critical",
            "tolerations": [{ "effect": "NoExecute", "operator": "Exists" }],
            "containers": [{ "name": component, "image": image, "command": command }],
        },
        "status": { "phase": "Pending" },
    })
}

/// Its version is the one that was wanted last.
pub fn kubeadm_config(endpoint: &str, version: &str) -> Value {
    let configuration = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: kubernetes\ncontrolPlaneEndpoint: {endpoint}\netcd:\n  local:\n    \
         dataDir: /var/lib/etcd\nimageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: v{version}\n\
         networking:\n  dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n"
    );
    let meta = json!({ "name": names::KUBEADM_CONFIG, "namespace": SYSTEM });
    json!({ "metadata": meta, "data": { "ClusterConfiguration": configuration } })
}

/// What kubeadm gives every kubelet.
pub fn kubelet_config() -> Value {
    let meta = json!({ "name": names::KUBELET_CONFIG, "namespace": SYSTEM });
    json!({ "metadata": meta, "data": { "kubelet": hosts::KUBELET_CONFIG } })
}

pub fn budget(budget: &Budget) -> Value {
    let mut selector = json!({ "matchLabels": budget.selector });
    if !budget.expressions.is_empty() {
        selector["matchExpressions"] = json!(budget.expressions);
    }
    let mut spec = json!({ "selector": selector });
    let optional = [
        ("minAvailable", budget.min_available.as_ref().map(|share| json!(share))),
        ("maxUnavailable", budget.max_unavailable.as_ref().map(|share| json!(share))),
        ("unhealthyPodEvictionPolicy", budget.unhealthy_policy.as_ref().map(|policy| json!(policy))),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            spec[field] = value;
        }
    }
    let mut meta = json!({ "name": budget.name, "namespace": budget.namespace, "annotations": budget.annotations });
    if let Some((kind, name)) = budget.owner.as_ref().and_then(|owner| owner.split_once('/')) {
        // Of what made it nothing else is known here; that somebody did is what a drain asks for.
        meta["ownerReferences"] =
            json!([{ "apiVersion": "rehearsal/v1", "kind": kind, "name": name, "uid": name, "controller": true }]);
    }
    json!({ "metadata": meta, "spec": spec })
}

pub fn autoscaler(scaler: &Autoscaler) -> Value {
    let target = json!({ "apiVersion": "apps/v1", "kind": scaler.kind, "name": scaler.scales });
    json!({
        "metadata": { "name": scaler.name, "namespace": scaler.namespace },
        "spec": { "maxReplicas": scaler.max_replicas, "scaleTargetRef": target },
    })
}

pub fn backup(namespace: &str, name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "schedule": "0 1 * * *", "concurrencyPolicy": "Forbid",
            "jobTemplate": { "spec": {
                "backoffLimit": 0, "activeDeadlineSeconds": 600,
                "template": {
                    "metadata": { "annotations": { control::BACKUP: "true" } },
                    "spec": {
                        "restartPolicy": "Never", "hostNetwork": true,
                        "nodeSelector": { names::LABEL_CONTROL_PLANE: "" },
                        "tolerations": [{ "key": names::LABEL_CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule" }],
                        "containers": [{ "name": "backup", "image": "backup-etcd:1" }],
                    },
                },
            } },
        },
    })
}

pub fn hook(hook: Hook, namespace: &str, name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "schedule": "0 0 1 1 *", "suspend": true,
            "jobTemplate": { "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": { "annotations": { control::HOOK: hook.word() } },
                    "spec": { "restartPolicy": "Never", "containers": [{ "name": "hook", "image": "ceph:1" }] },
                },
            } },
        },
    })
}

pub fn template(workload: &Workload) -> Value {
    let mut annotations = workload.annotations.clone();
    for (name, seconds) in
        [(control::ENDS_AFTER, workload.ends_after_seconds), (control::READY_AFTER, workload.ready_after_seconds)]
    {
        annotations.extend(seconds.map(|seconds| (name.to_owned(), seconds.to_string())));
    }
    if workload.never_ready {
        annotations.insert(control::NEVER_READY.to_owned(), "true".to_owned());
    }
    let mut spec = json!({ "containers": [{ "name": workload.name, "image": format!("{}:1", workload.name) }] });
    if let Some(grace) = workload.grace_seconds {
        spec["terminationGracePeriodSeconds"] = json!(grace);
    }
    if workload.empty_dir {
        spec["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    }
    if !workload.node_selector.is_empty() {
        spec["nodeSelector"] = json!(workload.node_selector);
    }
    if !workload.tolerations.is_empty() {
        spec["tolerations"] = json!(workload.tolerations);
    }
    let mut meta = json!({ "labels": workload.pod_labels() });
    if !annotations.is_empty() {
        meta["annotations"] = json!(annotations);
    }
    json!({ "metadata": meta, "spec": spec })
}

/// Who has set a workload's fields, as the API server records it; of the fields, those that count.
pub fn managed_by(manager: &str) -> Value {
    let fields = json!({ "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {} } } } });
    json!([{ "manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields }])
}

pub fn owner_reference(owner: &Value) -> Value {
    let meta = &owner["metadata"];
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

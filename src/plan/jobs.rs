//! The Jobs of the chain as data: their names, and their manifests.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::facts::{Facts, Phase, Step, Taint, TakenUp};
use super::named::label;
use super::order;
use super::rights::Account;
use super::version::Version;
use crate::failure::Cause;
use crate::names::{self, Mark};

/// Between SIGTERM and SIGKILL (seconds): time to take a cordon back and to record.
const GRACE: u32 = 120;
/// Tells a Job that the one before it held and said so.
pub const HELD: &str = "--held";
/// Tells a Job its run.
pub const RUN: &str = "--run";
pub const TARGET: &str = "--target";

/// One Job to create: what it does, where, and which finished Job of the same name is in its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub step: Step,
    pub job: String,
    /// Name of the node that it runs on; None runs anywhere (postflight).
    pub pin: Option<String>,
    /// UID of a finished Job of this name: delete it (with this UID as precondition), wait until it is gone, then create.
    pub replaces: Option<String>,
    /// Only of a Job that the watch creates for a step that stopped.
    pub taken_up: Option<TakenUp>,
}

/// What a manifest needs beside the plan.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    pub namespace: &'a str,
    /// Prefix of our annotations.
    pub prefix: &'a str,
    /// The creator's own image.
    pub image: &'a str,
    pub target: Version,
    pub run: &'a str,
    /// Longer than all waits of the phase together; the only bound on a pod that stays Pending.
    pub deadline: Duration,
}

/// `k8s-upgrade-worker-1-34-7-k8s-node4`; the first control plane's has no node.
pub fn name(facts: &Facts, step: &Step, target: Version) -> String {
    let prefix = format!("{}-{}-{}", names::JOB_PREFIX, step.phase.word(), target.dashed());
    let first = order::first_control_plane(facts).map(|node| node.name.as_str());
    match step.node.as_deref() {
        Some(node) if step.phase == Phase::Worker || first != Some(node) => label(&prefix, node),
        _ => prefix,
    }
}

/// `pre-upgrade-etcd-1-34-7-<run>`; after one that failed, the next has its number behind it.
pub fn etcd_name(target: Version, run: &str, attempt: u32) -> String {
    let prefix = format!("{}-{}", names::ETCD_JOB_PREFIX, target.dashed());
    if attempt == 1 { label(&prefix, run) } else { label(&prefix, &format!("{run}-{attempt}")) }
}

/// What the Job's container runs.
pub fn arguments(step: &Step, target: Version, run: &str) -> Vec<String> {
    let mut arguments: Vec<String> = match &step.node {
        Some(node) => vec!["upgrade-node".to_owned(), node.clone()],
        None => vec![step.phase.word().to_owned()],
    };
    arguments.extend(["--chain", TARGET, &target.to_string(), RUN, run].map(str::to_owned));
    arguments
}

/// The manifest of a planned Job. A Job that would drain its own node is refused.
pub fn manifest(facts: &Facts, planned: &Planned, template: &Template) -> Result<Value, Cause> {
    let pin = match &planned.pin {
        Some(name) => {
            Some(facts.node(name).ok_or_else(|| Cause::step(format!("{name}, which was to run {}, is gone", planned.job)))?)
        }
        None => None,
    };
    if let (Some(pin), Some(drained)) = (pin, &planned.step.node) {
        order::must_differ(&pin.name, drained)?;
    }
    let mut arguments = arguments(&planned.step, template.target, template.run);
    if planned.taken_up.is_some_and(|taken_up| taken_up.held) {
        arguments.push(HELD.to_owned());
    }
    let mut spec = pod(Account::Chain, &arguments, template.image);
    let tolerated: Vec<&Taint> = match pin {
        Some(pin) => pin.taints.iter().collect(),
        None => facts.managed().filter(|node| node.ready && !node.unschedulable).flat_map(|node| &node.taints).collect(),
    };
    spec["tolerations"] = tolerations(&tolerated);
    if let Some(pin) = pin {
        spec["nodeSelector"] = json!({ names::LABEL_HOSTNAME: pin.hostname });
    }
    let labels = json!({ names::LABEL_APP: names::APP_CHAIN });
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": planned.job, "namespace": template.namespace, "labels": labels },
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": template.deadline.as_secs(),
            "ttlSecondsAfterFinished": names::JOB_TTL_SECONDS,
            "podReplacementPolicy": "Failed", // the default may run two at once
            "podFailurePolicy": pod_failure_policy(),
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": pod_annotations(),
                },
                "spec": spec,
            },
        },
    });
    if let Some(TakenUp { times, .. }) = planned.taken_up {
        job["metadata"]["annotations"] = json!({ Mark::TakenUp.key(template.prefix): times.to_string() });
    }
    Ok(job)
}

/// Exit codes that a retry cannot mend fail the Job at once; evictions do not count; the others count against backoffLimit.
pub fn pod_failure_policy() -> Value {
    json!({ "rules": [
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        { "action": "FailJob", "onExitCodes": { "containerName": names::PROGRAM, "operator": "In", "values": [1, 2, 3, 4, 130] } },
    ] })
}

/// Autoscalers leave it alone.
pub(super) fn pod_annotations() -> Value {
    json!({ "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true" })
}

/// The pod's spec, as restricted Pod Security wants it.
pub(super) fn pod(account: Account, arguments: &[String], image: &str) -> Value {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    json!({
        "restartPolicy": "Never",
        "serviceAccountName": account.name(),
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": names::USER,
            "runAsGroup": names::USER,
            "fsGroup": names::USER, // makes the Secret readable for it
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": names::PROGRAM,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": arguments,
            "env": [
                field("POD_NAME", "metadata.name"),
                field("POD_NAMESPACE", "metadata.namespace"),
                field("NODE_NAME", "spec.nodeName"),
            ],
            "resources": { "requests": { "cpu": "20m", "memory": "64Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": [
                { "name": "creds", "mountPath": names::CREDS_MOUNT, "readOnly": true },
                { "name": "config", "mountPath": names::CONFIG_MOUNT, "readOnly": true },
            ],
        }],
        "volumes": [
            // Optional, both: a missing Secret is for the program to name, not for a pod that never starts.
            { "name": "creds", "secret": { "secretName": names::CREDS_SECRET, "defaultMode": 0o440, "optional": true } },
            { "name": "config", "configMap": { "name": names::CONFIG_MAP, "optional": true } },
        ],
    })
}

/// One toleration a taint; not those that say that a node is out of service, for then another pin is chosen.
fn tolerations(taints: &[&Taint]) -> Value {
    const OUT_OF_SERVICE: [&str; 3] =
        ["node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    let mut tolerations: Vec<Value> = Vec::new();
    for taint in taints.iter().filter(|taint| !OUT_OF_SERVICE.contains(&taint.key.as_str())) {
        let toleration = match &taint.value {
            Some(value) => json!({ "key": taint.key, "operator": "Equal", "value": value, "effect": taint.effect }),
            None => json!({ "key": taint.key, "operator": "Exists", "effect": taint.effect }),
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    Value::Array(tolerations)
}

/// A Job out of a CronJob's template, as `kubectl create job --from` makes one, with every field that the template has. Finished, it stays
/// as long as the chain's own, unless the template says otherwise.
pub fn etcd_job(cronjob: &Value, name: &str) -> Result<Value, Cause> {
    let place = |path: &str| cronjob.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, from) = (place("/metadata/namespace"), place("/metadata/name"));
    let no_template = || Cause::refused(format!("CronJob {namespace}/{from} has no Job template"));
    let spec = cronjob.pointer("/spec/jobTemplate/spec").and_then(Value::as_object).ok_or_else(no_template)?;
    let mut spec = spec.clone();
    spec.entry("ttlSecondsAfterFinished").or_insert_with(|| json!(names::JOB_TTL_SECONDS));
    let of_template =
        |key: &str| cronjob.pointer(&format!("/spec/jobTemplate/metadata/{key}")).and_then(Value::as_object).cloned();
    let mut labels = of_template("labels").unwrap_or_else(Map::new);
    labels.insert(names::LABEL_MANAGED_BY.to_owned(), json!(names::PROGRAM));
    let mut annotations = of_template("annotations").unwrap_or_else(Map::new);
    annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), json!("manual"));
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "namespace": namespace, "labels": labels, "annotations": annotations },
        "spec": spec,
    }))
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;

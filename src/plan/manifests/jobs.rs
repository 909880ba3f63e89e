//! The Jobs of the chain, and of its backup, as manifests.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value, json};

use super::rights::Account;
use crate::failure::{self, Cause};
use crate::names::{self, Mark};
use crate::plan::decide::order;
use crate::plan::decide::planned::Planned;
use crate::plan::model::facts::{Facts, Node, Phase, Step, Taint, TakenUp};
use crate::plan::model::named::label;
use crate::plan::model::policy::Policy;
use crate::plan::model::version::Version;

/// Between SIGTERM and SIGKILL (seconds): time to take a cordon back and to record.
const GRACE: u32 = 120;
/// The one field of a Node that node affinity knows.
pub(super) const NODE_NAME: &str = "metadata.name";
/// Of a pod; one that runs out of memory ends with 137, and is tried again.
const MEMORY: &str = "128Mi";
/// Tells a Job that the one before it held and said so.
pub const HELD: &str = "--held";
/// Tells a Job its run.
pub const RUN: &str = "--run";
/// Tells a Job to which release.
pub const TARGET: &str = "--target";

/// What a manifest needs beside the plan.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    pub policy: &'a Policy,
    pub namespace: &'a str,
    /// Prefix of our annotations.
    pub prefix: &'a str,
    /// The run's image.
    pub image: &'a str,
    pub target: Version,
    pub run: &'a str,
    /// Longer than all waits of the phase together; the only bound on a pod that stays Pending.
    pub deadline: Duration,
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
    let secret = if planned.step.phase == Phase::Postflight { Secret::Alerts } else { Secret::Key };
    let pod = Pod { account: Account::Chain, arguments: &arguments, image: template.image, secret };
    let mut spec = pod.spec();
    match pin {
        Some(pin) => {
            spec["tolerations"] = tolerations(&pin.taints.iter().collect::<Vec<_>>());
            // For people; a kubelet may set this label on its own node, so it binds nobody.
            spec["nodeSelector"] = json!({ names::LABEL_HOSTNAME: pin.hostname });
            spec["affinity"] = on_one_of(&[if pin.control_plane { both(&pin.name) } else { named(&pin.name) }]);
        }
        None => {
            let runner = order::runner(facts, template.policy);
            let hosts = |node: &&Node| node.control_plane || runner.is_some_and(|runner| runner.name == node.name);
            let fit = facts.managed().filter(hosts).filter(|node| node.ready && !node.unschedulable);
            spec["tolerations"] = tolerations(&fit.flat_map(|node| &node.taints).collect::<Vec<_>>());
            spec["affinity"] = trusted(runner.map(|runner| runner.name.as_str()));
        }
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
                    "labels": pod_labels(names::APP_CHAIN),
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

/// Required node affinity: one of these terms must hold.
fn on_one_of(terms: &[Value]) -> Value {
    json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } })
}

/// The node itself, as DaemonSets name it: no label that anybody may set.
fn named(node: &str) -> Value {
    json!({ "matchFields": [{ "key": NODE_NAME, "operator": "In", "values": [node] }] })
}

/// A control plane, by the label that no kubelet may set on its node.
fn control_plane() -> Value {
    json!({ "matchExpressions": [{ "key": names::LABEL_CONTROL_PLANE, "operator": "Exists" }] })
}

/// This node, and only while it is a control plane.
fn both(node: &str) -> Value {
    let mut term = named(node);
    term["matchExpressions"] = control_plane()["matchExpressions"].clone();
    term
}

/// Where a pod may run that has no pin, but an account that may create Jobs: a control plane, or this runner.
pub(super) fn trusted(runner: Option<&str>) -> Value {
    on_one_of(&std::iter::once(control_plane()).chain(runner.map(named)).collect::<Vec<_>>())
}

/// The node that a pod's affinity names, as [`manifest`] writes it; None: it names none, or several.
pub fn pinned_to(spec: &PodSpec) -> Option<&str> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let [term] = terms.as_slice() else { return None };
    let field = term.match_fields.as_deref()?.iter().find(|field| field.key == NODE_NAME && field.operator == "In")?;
    match field.values.as_deref()? {
        [name] => Some(name),
        _ => None,
    }
}

/// Exit codes that a retry cannot mend fail the Job at once; evictions do not count; the others count against backoffLimit.
pub fn pod_failure_policy() -> Value {
    let at_once = failure::AT_ONCE.map(|(code, _)| code);
    json!({ "rules": [
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        { "action": "FailJob", "onExitCodes": { "containerName": names::PROGRAM, "operator": "In", "values": at_once } },
    ] })
}

/// Autoscalers leave it alone, and no mesh puts a sidecar beside it, which would outlive our container, and with it the Job.
pub(super) fn pod_annotations() -> Value {
    let mut annotations = former_pod_annotations();
    annotations[names::ANNOTATION_LINKERD] = json!("disabled");
    annotations
}

/// Those of the builds before: a run goes on with the build that began it.
pub(super) fn former_pod_annotations() -> Value {
    json!({ "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true" })
}

/// The same for a mesh that goes by labels.
pub(super) fn pod_labels(app: &str) -> Value {
    json!({ names::LABEL_APP: app, names::LABEL_ISTIO: "false" })
}

/// What a pod sees of the Secret: no more than its command uses. Whoever is root on its node sees all of it, which is why no pod with any
/// of it runs on a node that is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// It asks neither nodes nor Prometheus, and tells people.
    Webhooks,
    /// It asks Prometheus and no node, and tells people.
    Alerts,
    /// It asks nodes by SSH and Prometheus, and tells people.
    Key,
}

impl Secret {
    fn items(self) -> Vec<&'static str> {
        let key = matches!(self, Secret::Key).then_some(names::SECRET_SSH_KEY);
        let prometheus = if self == Secret::Webhooks { &[] } else { names::SECRET_PROMETHEUS.as_slice() };
        key.into_iter().chain([names::SECRET_SLACK, names::SECRET_WEBHOOKS]).chain(prometheus.iter().copied()).collect()
    }
}

/// A pod of this program.
pub(super) struct Pod<'a> {
    pub account: Account,
    pub arguments: &'a [String],
    pub image: &'a str,
    pub secret: Secret,
}

impl Pod<'_> {
    /// Its spec, as restricted Pod Security wants it.
    pub fn spec(&self) -> Value {
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        // Optional, both: what is missing is for the program to name, not for a pod that never starts.
        let config = json!({ "name": "config", "configMap": { "name": names::CONFIG_MAP, "optional": true } });
        let items: Vec<Value> = self.secret.items().iter().map(|key| json!({ "key": key, "path": key })).collect();
        let source = json!({ "secretName": names::CREDS_SECRET, "items": items, "defaultMode": 0o440, "optional": true });
        let volumes = json!([{ "name": "creds", "secret": source }, config]);
        let mounts = json!([
            { "name": "creds", "mountPath": names::CREDS_MOUNT, "readOnly": true },
            { "name": "config", "mountPath": names::CONFIG_MOUNT, "readOnly": true },
        ]);
        json!({
            "restartPolicy": "Never",
            "serviceAccountName": self.account.name(),
            "automountServiceAccountToken": true,
            // A Service may have any name, and its variables would look like our settings.
            "enableServiceLinks": false,
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
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "args": self.arguments,
                "env": [
                    field("POD_NAME", "metadata.name"),
                    field("POD_NAMESPACE", "metadata.namespace"),
                    field("NODE_NAME", "spec.nodeName"),
                ],
                "resources": { "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": MEMORY } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        })
    }
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

/// The Job that makes etcd's snapshot.
pub fn etcd_job(cronjob: &Value, name: &str) -> Result<Value, Cause> {
    of_template(cronjob, name, names::PROGRAM)
}

/// A Job out of a CronJob's template, as `kubectl create job --from` makes one, with every field that the template has. Finished, it stays
/// as long as the chain's own, unless the template says otherwise. By `managed_by` the policy of its kind knows it.
pub fn of_template(cronjob: &Value, name: &str, managed_by: &str) -> Result<Value, Cause> {
    let place = |path: &str| cronjob.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, from) = (place("/metadata/namespace"), place("/metadata/name"));
    let no_template = || Cause::refused(format!("CronJob {namespace}/{from} has no Job template"));
    let spec = cronjob.pointer("/spec/jobTemplate/spec").and_then(Value::as_object).ok_or_else(no_template)?;
    let mut spec = spec.clone();
    spec.entry("ttlSecondsAfterFinished").or_insert_with(|| json!(names::JOB_TTL_SECONDS));
    let of_template =
        |key: &str| cronjob.pointer(&format!("/spec/jobTemplate/metadata/{key}")).and_then(Value::as_object).cloned();
    let mut labels = of_template("labels").unwrap_or_else(Map::new);
    labels.insert(names::LABEL_MANAGED_BY.to_owned(), json!(managed_by));
    let mut annotations = of_template("annotations").unwrap_or_else(Map::new);
    annotations.insert(names::INSTANTIATE.to_owned(), json!("manual"));
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

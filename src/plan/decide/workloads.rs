//! Workloads: which have all their pods, and which pods crash again and again.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::gates::{self, full_name};

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `Deployment shop/web`.
    pub name: String,
    /// Pods that its spec wants; None of a DaemonSet, for there its nodes say so.
    size: Option<i32>,
    available: i32,
    wanted: i32,
    /// Its own word says that it has not enough of them.
    unavailable: bool,
}

impl Workload {
    /// Out of its object.
    pub fn of_deployment(object: &Deployment) -> Self {
        let status = object.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let wanted = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        Workload {
            name: format!("Deployment {}", full_name(object)),
            size: Some(wanted),
            available: status.and_then(|status| status.available_replicas).unwrap_or(0),
            wanted,
            unavailable: !conditions.iter().any(|condition| condition.type_ == "Available" && condition.status == "True"),
        }
    }

    /// Out of its object.
    pub fn of_stateful_set(object: &StatefulSet) -> Self {
        let wanted = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let available = object.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
        let name = format!("StatefulSet {}", full_name(object));
        Workload { name, size: Some(wanted), available, wanted, unavailable: false }
    }

    /// Out of its object.
    pub fn of_daemon_set(object: &DaemonSet) -> Self {
        let (available, wanted) = object
            .status
            .as_ref()
            .map_or((0, 0), |status| (status.number_available.unwrap_or(0), status.desired_number_scheduled));
        Workload { name: format!("DaemonSet {}", full_name(object)), size: None, available, wanted, unavailable: false }
    }

    /// What it is known by: of another size it is another one.
    pub fn key(&self) -> String {
        format!("{} {}", self.name, self.size.map_or("-".to_owned(), |size| size.to_string()))
    }

    /// All pods that are wanted are there: a Deployment is Available with a quarter missing.
    pub fn is_whole(&self) -> bool {
        self.available >= self.wanted && !self.unavailable
    }

    /// No more than a quarter is missing, as a Deployment's own update may leave it
    /// (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-unavailable>): of a large one, something always is while many
    /// nodes are drained.
    pub fn is_mostly_whole(&self) -> bool {
        i64::from(self.available) * 4 >= i64::from(self.wanted) * 3 && !self.unavailable
    }

    /// How many of its pods are there.
    pub fn words(&self) -> String {
        format!("has {} of {} pods available", self.available, self.wanted)
    }
}

/// Whose pod it is, where one of its containers crashes again and again: a pod has another name each time that it is made anew.
pub fn crash_looping(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    // Of those that are always started anew no end is meant to be; of the others one without an error.
    let always = pod.spec.as_ref().is_some_and(|spec| spec.restart_policy.as_deref() == Some("Always"));
    let mut init = status.init_container_statuses.iter().flatten();
    let mut other = status.container_statuses.iter().flatten();
    let crashes = init.any(|container| crashes(container, false)) || other.any(|container| crashes(container, always));
    let ends = gates::finished(pod) || pod.metadata.deletion_timestamp.is_some();
    (crashes && !ends).then(|| owner(pod))
}

/// Its kubelet lets it wait before it starts it once more; or it has ended as it did before, which is called a wait some ten seconds later.
fn crashes(container: &ContainerStatus, any_end: bool) -> bool {
    let Some(state) = &container.state else { return false };
    let waits = state.waiting.as_ref().is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
    let before = container.restart_count > 0 && container.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    waits || (before && state.terminated.as_ref().is_some_and(|ended| any_end || ended.exit_code != 0))
}

/// `Deployment shop/web`, `Job shop/report`, or the pod itself where nothing keeps it.
fn owner(pod: &Pod) -> String {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let Some(owner) = owners.iter().find(|owner| owner.controller == Some(true)) else {
        return format!("pod {}", full_name(pod));
    };
    let template = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    match (owner.kind.as_str(), template) {
        // A static pod: its node owns what the API server shows of it.
        ("Node", _) => format!("pod {}", full_name(pod)),
        ("ReplicaSet", Some(hash)) => {
            let deployment = owner.name.strip_suffix(hash.as_str()).and_then(|name| name.strip_suffix('-'));
            deployment.map_or_else(
                || format!("ReplicaSet {namespace}/{}", owner.name),
                |deployment| format!("Deployment {namespace}/{deployment}"),
            )
        }
        // A CronJob's are told apart by the time alone.
        ("Job", _) => {
            let name = owner.name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
            format!("Job {namespace}/{}", if name.is_empty() { &owner.name } else { name })
        }
        (kind, _) => format!("{kind} {namespace}/{}", owner.name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn object<T: DeserializeOwned>(spec: Value, status: Value) -> T {
        let metadata = json!({ "namespace": "shop", "name": "web" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap()
    }

    fn deployment(replicas: i32, available: i32, condition: &str) -> Workload {
        let spec = json!({ "replicas": replicas, "selector": {}, "template": {} });
        let conditions = json!([{ "type": "Available", "status": condition }]);
        Workload::of_deployment(&object(spec, json!({ "availableReplicas": available, "conditions": conditions })))
    }

    #[test]
    fn whole_is_every_pod_that_is_wanted() {
        assert!(deployment(4, 4, "True").is_whole() && deployment(0, 0, "True").is_whole());
        for ill in [deployment(4, 3, "True"), deployment(4, 4, "False"), deployment(1, 0, "False")] {
            assert!(!ill.is_whole(), "{ill:?}");
        }
        let set = |available: Value| {
            let spec = json!({ "replicas": 3, "selector": {}, "template": {}, "serviceName": "web" });
            Workload::of_stateful_set(&object(spec, json!({ "replicas": 3, "availableReplicas": available })))
        };
        assert!(set(json!(3)).is_whole() && !set(json!(2)).is_whole() && !set(Value::Null).is_whole());
        let daemon = |available: Value| {
            let status = json!({ "desiredNumberScheduled": 5, "numberAvailable": available, "currentNumberScheduled": 5,
                "numberMisscheduled": 0, "numberReady": 5 });
            Workload::of_daemon_set(&object(json!({ "selector": {}, "template": {} }), status))
        };
        assert!(daemon(json!(5)).is_whole() && !daemon(json!(4)).is_whole() && !daemon(Value::Null).is_whole());
        assert_eq!(daemon(json!(4)).words(), "has 4 of 5 pods available");
    }

    /// A person who scales it changes what it is; nodes that come and go do not change a DaemonSet.
    #[test]
    fn of_another_size_it_is_another_one() {
        let keys = [deployment(3, 3, "True").key(), deployment(5, 3, "True").key()];
        assert_eq!(keys, ["Deployment shop/web 3", "Deployment shop/web 5"]);
        let daemon = Workload::of_daemon_set(&object(json!({ "selector": {}, "template": {} }), json!(null)));
        assert_eq!(daemon.key(), "DaemonSet shop/web -");
    }

    fn crashing(owner: Value, labels: Value) -> Option<String> {
        let crash = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let container = json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 7, "state": crash });
        let owners = if owner.is_null() { json!([]) } else { json!([owner]) };
        crash_looping(
            &serde_json::from_value(json!({
                "metadata": { "namespace": "shop", "name": "web-5d9-x7", "labels": labels, "ownerReferences": owners },
                "status": { "phase": "Running", "containerStatuses": [container] },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_crash_is_its_owners() {
        let owned =
            |kind: &str, name: &str| json!({ "apiVersion": "x", "kind": kind, "name": name, "uid": "u", "controller": true });
        for (owner, labels, says) in [
            (owned("ReplicaSet", "web-5d9"), json!({ "pod-template-hash": "5d9" }), "Deployment shop/web"),
            (owned("ReplicaSet", "web"), json!({}), "ReplicaSet shop/web"),
            (owned("ReplicaSet", "web"), json!({ "pod-template-hash": "5d9" }), "ReplicaSet shop/web"),
            (owned("StatefulSet", "web"), json!({}), "StatefulSet shop/web"),
            (owned("Job", "report-29411520"), json!({}), "Job shop/report"),
            (owned("Job", "7"), json!({}), "Job shop/7"),
            (owned("Node", "k8s-master"), json!({}), "pod shop/web-5d9-x7"),
            (Value::Null, json!({}), "pod shop/web-5d9-x7"),
        ] {
            assert_eq!(crashing(owner.clone(), labels).as_deref(), Some(says), "{owner}");
        }
    }

    fn pod(policy: &str, init: bool, deleted: bool, container: &Value) -> Option<String> {
        let mut container = container.clone();
        for (field, value) in [("name", json!("c")), ("image", json!("i")), ("imageID", json!("")), ("ready", json!(false))] {
            container[field] = value;
        }
        let kind = if init { "initContainerStatuses" } else { "containerStatuses" };
        let mut pod = json!({
            "metadata": { "namespace": "shop", "name": "web" },
            "spec": { "containers": [], "restartPolicy": policy },
            "status": { "phase": "Running", kind: [container] },
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:00:00Z");
        }
        crash_looping(&serde_json::from_value(pod).unwrap())
    }

    fn ended(code: i32) -> Value {
        json!({ "terminated": { "exitCode": code } })
    }

    /// For some ten seconds after each end a kubelet calls it that, and only then a wait.
    #[test]
    fn one_that_has_just_ended_as_it_did_before_crashes() {
        let crash = |code| json!({ "restartCount": 3, "state": ended(code), "lastState": ended(code) });
        for (policy, init, code, crashes) in [
            ("Always", false, 1, true),
            ("Always", false, 0, true),
            ("OnFailure", false, 1, true),
            ("OnFailure", false, 0, false),
            ("Always", true, 1, true),
            ("Always", true, 0, false),
        ] {
            let found = pod(policy, init, false, &crash(code)).is_some();
            assert_eq!(found, crashes, "{policy}, init {init}, exit {code}");
            assert_eq!(pod(policy, init, true, &crash(code)), None, "it is being deleted");
        }
        let once = json!({ "restartCount": 0, "state": ended(1), "lastState": {} });
        assert_eq!(pod("Always", false, false, &once), None, "for the first time");
        let lives = json!({ "restartCount": 3, "state": { "running": {} }, "lastState": ended(1) });
        assert_eq!(pod("Always", false, false, &lives), None, "it runs again");
    }

    #[test]
    fn what_waits_for_something_else_does_not_crash() {
        for state in [
            json!({ "waiting": { "reason": "ContainerCreating" } }),
            json!({ "waiting": {} }),
            json!({ "running": { "startedAt": "2026-11-22T12:00:00Z" } }),
            json!({ "terminated": { "exitCode": 1 } }),
        ] {
            let container =
                json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 7, "state": state });
            let pod = json!({ "metadata": {}, "status": { "phase": "Running", "containerStatuses": [container] } });
            assert_eq!(crash_looping(&serde_json::from_value(pod).unwrap()), None, "{state}");
        }
    }
}

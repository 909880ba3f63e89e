//! Jobs and pods, as facts.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;

use crate::names;
use crate::names::Mark;
use crate::plan::decide::gates;
use crate::plan::manifests::jobs;
use crate::plan::model::facts::{Component, JobFact, JobState, PodFact, TakenUp};
use crate::plan::model::parse;
use crate::plan::model::progress::Progress;

/// A static pod of kubeadm's control plane, by its component label; etcd is not a Kubernetes component.
pub fn component(pod: &Pod) -> Option<Component> {
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

/// The newest pod's exit code, once it has ended; of a pod that is gone, what the Job's condition says.
fn exit_code(job: &Job, newest: Option<&Pod>) -> Option<i32> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let failed = conditions.iter().find(|condition| condition.type_ == "Failed" && condition.status == "True");
    failed.and_then(|failed| parse::exit_code(failed.message.as_deref()?)).or_else(|| pod_exit(newest?))
}

/// Of our own container: a mesh may have put others beside it.
fn pod_exit(pod: &Pod) -> Option<i32> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = all.iter().find(|status| status.name == names::PROGRAM).or(all.first())?;
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// How the containers that a Job's template names have ended in one of its pods, where others beside them (a mesh's sidecar) keep that pod
/// from ending. None: one of them is still at work, or there are no others, and the Job's own end counts.
pub fn end_of_own(job: &Job, pod: &Pod) -> Option<JobState> {
    let template = job.spec.as_ref()?.template.spec.as_ref()?;
    let own: Vec<&str> = template.containers.iter().map(|container| container.name.as_str()).collect();
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Running"))?;
    if pod.spec.as_ref()?.containers.iter().all(|container| own.contains(&container.name.as_str())) {
        return None;
    }
    let code = |name: &&str| {
        let status = status.container_statuses.iter().flatten().find(|status| status.name == *name)?;
        Some((name.to_string(), status.state.as_ref()?.terminated.as_ref()?.exit_code))
    };
    let ends: Vec<(String, i32)> = own.iter().map(code).collect::<Option<_>>()?;
    match ends.into_iter().find(|(_, code)| *code != 0) {
        None => Some(JobState::Complete),
        // Else its kubelet starts it anew.
        Some((name, exit)) if template.restart_policy.as_deref() == Some("Never") => {
            Some(JobState::Failed { reason: format!("its container {name} ended with {exit}"), exit: Some(exit) })
        }
        Some(_) => None,
    }
}

/// Containers of a pod that its Job's template does not name.
fn others_in(job: &Job, pod: &Pod) -> Vec<String> {
    let own = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let own = |name: &String| own.is_some_and(|own| own.containers.iter().any(|container| container.name == *name));
    let all = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone());
    all.filter(|name| !own(name)).collect()
}

/// When the Job is ended if it has not ended itself.
fn deadline(job: &Job) -> Option<Timestamp> {
    let seconds = job.spec.as_ref()?.active_deadline_seconds?;
    job.status.as_ref()?.start_time.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Why a pod does not run yet: the scheduler's word, else the kubelet's.
fn pending(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Pending"))?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let containers = [&status.init_container_statuses, &status.container_statuses].into_iter().flatten().flatten();
    // A container that is being made, or comes after another, is on its way.
    let on_its_way = ["ContainerCreating", "PodInitializing"];
    let waits = containers
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find(|waiting| waiting.reason.as_deref().is_none_or(|reason| !on_its_way.contains(&reason)));
    let word = |reason: &Option<String>, message: &Option<String>| {
        [reason, message].into_iter().flatten().cloned().collect::<Vec<_>>().join(": ")
    };
    unscheduled
        .map(|condition| word(&condition.reason, &condition.message))
        .or_else(|| waits.map(|waiting| word(&waiting.reason, &waiting.message)))
}

/// It runs or has run.
fn has_begun(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| phase != "Pending")
}

/// It creates no Jobs for now.
pub fn is_suspended(cronjob: &CronJob) -> bool {
    cronjob.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
}

/// The container of this program in the pods of a Job.
pub fn own_container(job: Option<&JobSpec>) -> Option<&Container> {
    own_in(job?.template.spec.as_ref()?)
}

/// The same in one pod.
pub fn own_in(pod: &PodSpec) -> Option<&Container> {
    pod.containers.iter().find(|container| container.name == names::PROGRAM)
}

/// Of a list of pods those of each owner, by its UID: a run has as many Jobs as nodes, and each of them has some few pods.
pub fn by_owner<P: Borrow<Pod>>(pods: &[P]) -> BTreeMap<&str, Vec<&Pod>> {
    let mut own: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().map(Borrow::borrow) {
        pod.owner_references().iter().for_each(|owner| own.entry(&owner.uid).or_default().push(pod));
    }
    own
}

/// One Job, out of its object and those of `pods` that are its own.
pub fn job_fact(job: &Job, pods: &[impl Borrow<Pod>], prefix: &str) -> JobFact {
    // By UID: a Job that was replaced had the same name, and its last pod may still be there.
    let uid = job.uid().unwrap_or_default();
    let pods: Vec<&Pod> =
        pods.iter().map(Borrow::borrow).filter(|pod| pod.owner_references().iter().any(|owner| owner.uid == uid)).collect();
    let created = |pod: &Pod| pod.creation_timestamp().map(|time| time.0);
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let newest = pods.iter().copied().max_by_key(|pod| created(pod));
    let exit = exit_code(job, newest);
    // A Job that is being deleted is as good as gone, but its name is taken until then.
    let deleting = job.metadata.deletion_timestamp.is_some();
    let own_end = |pod: &Pod| end_of_own(job, pod);
    let state = match job_state(job, exit) {
        _ if deleting => JobState::Failed { reason: "it is being deleted".into(), exit },
        JobState::Active => newest.and_then(own_end).unwrap_or(JobState::Active),
        ended => ended,
    };
    let spec = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let arguments =
        spec.and_then(|spec| spec.containers.first()).and_then(|container| container.args.clone()).unwrap_or_default();
    let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let condition = conditions
        .into_iter()
        .find(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str()) && condition.status == "True");
    let after = |flag: &str| arguments.iter().skip_while(|argument| *argument != flag).nth(1);
    let times = job.annotations().get(&Mark::TakenUp.key(prefix)).and_then(|times| times.parse().ok());
    JobFact {
        name: job.name_any(),
        state,
        node: newest.and_then(node),
        run: after(jobs::RUN).and_then(|run| run.parse().ok()),
        target: after(jobs::TARGET).and_then(|target| target.parse().ok()),
        created: job.creation_timestamp().map(|time| time.0),
        deleting,
        image: own_container(job.spec.as_ref()).and_then(|container| container.image.clone()),
        pin: spec.and_then(jobs::pinned_to).map(str::to_owned),
        pods: pods
            .iter()
            .filter(|pod| !gates::finished(pod) && own_end(pod).is_none())
            .map(|pod| PodFact { node: node(pod), created: created(pod) })
            .collect(),
        pod: newest.map(|pod| pod.name_any()),
        pending: newest.and_then(pending),
        outlived_by: newest.filter(|pod| own_end(pod).is_some()).map(|pod| others_in(job, pod)).unwrap_or_default(),
        waits_since: match newest {
            None => job.creation_timestamp().map(|time| time.0),
            Some(pod) if has_begun(pod) => None,
            Some(pod) => created(pod),
        },
        deadline: deadline(job),
        ended: condition.as_ref().and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
        message: condition.and_then(|condition| condition.message),
        exits: pods.iter().copied().filter_map(pod_exit).collect(),
        taken_up: times.map(|times| TakenUp { times, held: arguments.iter().any(|argument| argument == jobs::HELD) }),
        progress: job.annotations().get(&Mark::Progress.key(prefix)).map(|text| Progress::read(text)),
        uid,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::decide::planned::Planned;
    use crate::plan::manifests::jobs::{Template, manifest};
    use crate::plan::model::facts::Facts;
    use crate::plan::model::facts::Step;
    use crate::plan::model::version::Version;

    const PREFIX: &str = names::ANNOTATION_PREFIX;
    const NONE: &[Pod] = &[];

    /// A Job as the chain creates it and the API server gives it back.
    fn job(taken_up: Option<TakenUp>, status: Value) -> Job {
        let target = Version::new(1, 36, 3);
        let deadline = std::time::Duration::from_secs(60);
        let policy = crate::plan::model::policy::Policy {
            runner: Default::default(),
            standby: Vec::new(),
            quiet: deadline,
            quiet_scope: Default::default(),
            retry_deferred: None,
            soak: deadline,
            ready_ratio: 1.0,
            calendar: Default::default(),
            waves: crate::plan::model::waves::Waves::ONE_BY_ONE,
        };
        let template =
            Template { policy: &policy, namespace: "n", prefix: PREFIX, image: "i", target, run: "0000000f", deadline };
        let planned = Planned { step: Step::postflight(), job: "j".into(), pin: None, replaces: None, taken_up };
        let mut job = manifest(&Facts::default(), &planned, &template).unwrap();
        job["metadata"]["uid"] = json!("u1");
        job["metadata"]["creationTimestamp"] = json!("2026-11-22T12:00:00Z");
        job["status"] = status;
        serde_json::from_value(job).unwrap()
    }

    fn pod(owner: &str, created: &str, node: Option<&str>, exit: Option<i32>) -> Pod {
        let phase = if exit.is_some() { "Failed" } else { "Running" };
        let state = exit.map_or(json!({}), |exit| json!({ "terminated": { "exitCode": exit } }));
        let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner });
        let container = json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        serde_json::from_value(json!({
            "metadata": { "name": created, "creationTimestamp": created, "ownerReferences": [owner] },
            "spec": { "containers": [], "nodeName": node },
            "status": { "phase": phase, "containerStatuses": [container] },
        }))
        .unwrap()
    }

    fn failed(message: &str) -> Value {
        json!({ "conditions": [{ "type": "Failed", "status": "True", "reason": "R", "message": message }] })
    }

    #[test]
    fn what_a_job_was_created_with_reads_back() {
        for taken_up in [None, Some(TakenUp { times: 2, held: false }), Some(TakenUp { times: 0, held: true })] {
            let fact = job_fact(&job(taken_up, json!({})), NONE, PREFIX);
            assert_eq!((fact.taken_up, fact.run.as_deref(), fact.pin), (taken_up, Some("0000000f"), None));
            assert!(fact.created.is_some() && fact.state == JobState::Active && !fact.deleting);
        }
        let mut pinned = job(None, json!({}));
        let field = json!({ "key": "metadata.name", "operator": "In", "values": ["k8s-node1"] });
        let terms = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
        let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } });
        let spec = pinned.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        // A label is anybody's word: it is no pin.
        spec.node_selector = Some(BTreeMap::from([(names::LABEL_HOSTNAME.to_owned(), "vm-17".to_owned())]));
        spec.affinity = Some(serde_json::from_value(affinity).unwrap());
        assert_eq!(job_fact(&pinned, NONE, PREFIX).pin.as_deref(), Some("k8s-node1"));
    }

    #[test]
    fn pods_are_a_jobs_own_by_uid_and_act_until_they_have_ended() {
        let pods = [
            pod("u1", "2026-11-22T12:00:01Z", Some("a"), Some(137)),
            pod("u1", "2026-11-22T12:05:00Z", None, None),
            pod("u0", "2026-11-22T12:09:00Z", Some("b"), None), // of a Job of the same name that was replaced
        ];
        let fact = job_fact(&job(None, json!({})), &pods, PREFIX);
        let created = "2026-11-22T12:05:00Z".parse().ok();
        assert_eq!((fact.node, fact.pods, fact.exits), (None, vec![PodFact { node: None, created }], vec![137]));
    }

    /// A mesh puts its own beside ours, in the order of their names.
    #[test]
    fn of_several_containers_our_own_tells() {
        let state = |name: &str, state: Value| json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        let with = |phase: &str, init: Vec<Value>, containers: Vec<Value>| {
            let mut pod = serde_json::to_value(pod("u1", "2026-11-22T12:05:00Z", None, None)).unwrap();
            pod["status"] = json!({ "phase": phase, "initContainerStatuses": init, "containerStatuses": containers });
            job_fact(&job(None, json!({})), &[serde_json::from_value::<Pod>(pod).unwrap()], PREFIX)
        };
        let ended = |code: i32| json!({ "terminated": { "exitCode": code } });
        let waits = |reason: &str| json!({ "waiting": { "reason": reason } });
        let fact = with("Failed", vec![], vec![state("istio-proxy", ended(0)), state(names::PROGRAM, ended(4))]);
        assert_eq!((fact.exits, fact.waits_since), (vec![4], None));
        let ours = || vec![state(names::PROGRAM, waits("PodInitializing"))];
        let fact = with("Pending", vec![state("istio-init", waits("ImagePullBackOff"))], ours());
        assert_eq!(fact.pending.as_deref(), Some("ImagePullBackOff"));
        let fact = with("Pending", vec![], ours());
        assert_eq!((fact.pending, fact.waits_since), (None, "2026-11-22T12:05:00Z".parse().ok()));
        assert_eq!(job_fact(&job(None, json!({})), NONE, PREFIX).waits_since, "2026-11-22T12:00:00Z".parse().ok());
    }

    /// A mesh's sidecar runs on beside our container, whatever became of that: then the Job's own conditions never say so.
    #[test]
    fn a_job_of_the_chain_ends_with_our_own_container() {
        let with = |own: Value, others: &[&str]| {
            let status = |name: &str, state: Value| json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
            let running = |name: &&str| status(name, json!({ "running": {} }));
            let names = others.iter().chain([&names::PROGRAM]).map(|name| json!({ "name": name })).collect::<Vec<_>>();
            let statuses = others.iter().map(running).chain([status(names::PROGRAM, own)]).collect::<Vec<_>>();
            let mut pod = serde_json::to_value(pod("u1", "2026-11-22T12:05:00Z", Some("a"), None)).unwrap();
            pod["spec"]["containers"] = json!(names);
            pod["status"] = json!({ "phase": "Running", "containerStatuses": statuses });
            job_fact(&job(None, json!({})), &[serde_json::from_value::<Pod>(pod).unwrap()], PREFIX)
        };
        let ended = |code: i32| json!({ "terminated": { "exitCode": code } });
        let fact = with(ended(0), &["istio-proxy"]);
        assert_eq!((fact.state, fact.pods.len(), fact.outlived_by), (JobState::Complete, 0, vec!["istio-proxy".to_owned()]));
        let fact = with(ended(5), &["linkerd-proxy"]);
        assert!(matches!(fact.state, JobState::Failed { exit: Some(5), .. }), "{:?}", fact.state);
        let fact = with(json!({ "running": {} }), &["istio-proxy"]);
        assert_eq!((fact.state, fact.pods.len(), fact.outlived_by), (JobState::Active, 1, vec![]));
        // The Job's own end is a moment away.
        let fact = with(ended(0), &[]);
        assert_eq!((fact.state, fact.outlived_by), (JobState::Active, vec![]));
    }

    #[test]
    fn a_sidecar_that_never_ends_does_not_hide_the_end_of_the_rest() {
        let container = |name: &str| json!({ "name": name });
        let end = |policy: &str, pod: &[&str], ended: &[(&str, i32)]| {
            let own = json!([container("snapshot"), container("upload")]);
            let spec = json!({ "template": { "spec": { "restartPolicy": policy, "containers": own } } });
            let job: Job = serde_json::from_value(json!({ "metadata": { "name": "j" }, "spec": spec })).unwrap();
            let status = |(name, code): &(&str, i32)| {
                let state = json!({ "terminated": { "exitCode": code } });
                json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state })
            };
            let status = json!({ "phase": "Running", "containerStatuses": ended.iter().map(status).collect::<Vec<_>>() });
            let containers: Vec<Value> = pod.iter().map(|name| container(name)).collect();
            let pod = json!({ "spec": { "containers": containers }, "status": status });
            end_of_own(&job, &serde_json::from_value(pod).unwrap())
        };
        let (alone, meshed) = (["snapshot", "upload"], ["istio-proxy", "snapshot", "upload"]);
        assert_eq!(end("Never", &meshed, &[("snapshot", 0), ("upload", 0)]), Some(JobState::Complete));
        assert_eq!(end("Never", &meshed, &[("snapshot", 0)]), None);
        // The Job's own end counts.
        assert_eq!(end("Never", &alone, &[("snapshot", 0), ("upload", 0)]), None);
        let failed = JobState::Failed { reason: "its container upload ended with 3".into(), exit: Some(3) };
        assert_eq!(end("Never", &meshed, &[("snapshot", 0), ("upload", 3)]), Some(failed));
        assert_eq!(end("OnFailure", &meshed, &[("snapshot", 0), ("upload", 3)]), None);
    }

    #[test]
    fn the_exit_code_is_the_conditions_and_else_the_newest_pods() {
        let pods =
            [pod("u1", "2026-11-22T12:05:00Z", Some("a"), Some(5)), pod("u1", "2026-11-22T12:00:01Z", Some("a"), Some(137))];
        let exit = |message: &str, pods: &[Pod]| match job_fact(&job(None, failed(message)), pods, PREFIX).state {
            JobState::Failed { exit, .. } => exit,
            other => unreachable!("{other:?}"),
        };
        let policy = "Container k8s-upgrade for pod n/j-x failed with exit code 4 matching FailJob rule at index 1";
        assert_eq!(exit(policy, &[]), Some(4));
        assert_eq!(exit(policy, &pods), Some(4));
        assert_eq!(exit("Job has reached the specified backoff limit", &pods), Some(5));
        assert_eq!(exit("Job was active longer than specified deadline", &[]), None);
    }
}

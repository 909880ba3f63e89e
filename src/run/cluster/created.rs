//! Jobs that we create, our own and those out of other people's CronJobs: how they come to be, how they end, and what they have printed.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::Cluster;
use super::job::{end_of_own, job_state};
use crate::failure::{Cause, Class};
use crate::plan::model::facts::JobState;
use crate::run::session::{Change, Probe, Session, Wait};

/// A deleted Job's pods have their grace period.
pub const GONE: Duration = Duration::from_secs(180);

/// How much of a log is read, from its end.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    pub lines: i64,
    pub bytes: i64,
}

/// A CronJob as it stands, unknown fields and all: a typed struct would lose what it does not know. None: there is none.
pub async fn template(cluster: &Cluster, what: &str, namespace: &str, cronjob: &str) -> Result<Option<Value>, Cause> {
    let kind = ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("batch", "v1", "CronJob"));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.kube.clone(), namespace, &kind);
    let found = cluster.find(what, async || api.get(cronjob).await).await?;
    let value = found.map(|found| serde_json::to_value(&found)).transpose();
    value.map_err(|error| Cause::bug(format!("CronJob {cronjob}: {error}")))
}

/// Creates a Job from its manifest; one of that name that exists already is left alone, unless it is being deleted: then it goes first.
pub async fn submit(
    session: &Session,
    cluster: &Cluster,
    place: &str,
    namespace: &str,
    name: &str,
    manifest: Value,
) -> Result<(), Cause> {
    let job: Job = serde_json::from_value(manifest).map_err(|error| Cause::bug(format!("manifest of {name}: {error}")))?;
    let api: Api<Job> = cluster.within(namespace);
    let wait = Wait { place, on: "the Job to be created", deadline: GONE, every: Duration::from_secs(1), stoppable: false };
    let change = Change::settle(place, "create the Job", GONE).silent();
    session
        .change(change, async {
            session
                .wait(wait, async || {
                    match cluster
                        .call(&format!("create Job {name}"), async || api.create(&PostParams::default(), &job).await)
                        .await
                    {
                        Ok(_) => Ok(Probe::Ready(())),
                        // AlreadyExists: another runner was faster, or our own answer was lost, or one is on its way out.
                        Err(cause) if cause.class == Class::Contended => {
                            let there = cluster.find("read the Job", async || api.get(name).await).await?;
                            Ok(match there.map(|job| job.metadata.deletion_timestamp.is_some()) {
                                Some(false) => Probe::Ready(()),
                                Some(true) => Probe::Not(format!("{name} of before is being deleted")),
                                None => Probe::Not(format!("{name} of before was just deleted")),
                            })
                        }
                        Err(cause) => Err(cause),
                    }
                })
                .await
        })
        .await
}

/// As its conditions say, and before them its own containers, where others keep its pod from ending.
pub async fn state_of(cluster: &Cluster, namespace: &str, job: &Job) -> Result<JobState, Cause> {
    match job_state(job, None) {
        JobState::Active => {
            let newest = newest_pod(cluster, namespace, job).await?;
            Ok(newest.and_then(|pod| end_of_own(job, &pod)).unwrap_or(JobState::Active))
        }
        ended => Ok(ended),
    }
}

/// The newest that is left of a Job's pods.
pub async fn newest_pod(cluster: &Cluster, namespace: &str, job: &Job) -> Result<Option<Pod>, Cause> {
    let pods = pods_of(cluster, namespace, &job.name_any()).await?;
    Ok(pods.into_iter().max_by_key(|pod| pod.creation_timestamp().map(|time| time.0)))
}

/// All that are left of a Job's pods.
pub async fn pods_of(cluster: &Cluster, namespace: &str, job: &str) -> Result<Vec<Pod>, Cause> {
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    cluster.list_all(&format!("list the pods of Job {job}"), cluster.within(namespace), of_job).await
}

/// The containers that a Job's template names, those that begin before the rest last; what others have put into its pod says nothing of it.
pub fn own_containers(job: &Job) -> impl Iterator<Item = &str> {
    let template = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers = template.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    containers.map(|container| container.name.as_str())
}

/// The last words of a container are what counts, and no more than that is sent.
pub async fn log(
    cluster: &Cluster,
    what: &str,
    namespace: &str,
    pod: &str,
    container: &str,
    tail: Tail,
) -> Result<String, Cause> {
    let api: Api<Pod> = cluster.within(namespace);
    let container = Some(container.to_owned());
    let (tail_lines, limit_bytes) = (Some(tail.lines), Some(tail.bytes));
    let params = LogParams { container, tail_lines, limit_bytes, ..LogParams::default() };
    cluster.call(what, async || api.logs(pod, &params).await).await
}

//! The etcd snapshot before anything changes: a Job from the backup CronJob's own template, its end, and its word for what it wrote.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use kube::{Api, ResourceExt};

use super::ctx::Ctx;
use super::observe::job_state;
use super::wait::{Probe, Wait};
use crate::failure::{Cause, Class};
use crate::plan::facts::JobState;
use crate::plan::jobs;
use crate::plan::parse;
use crate::plan::version::Version;

impl Ctx {
    /// Makes a snapshot (or finds the one that this run has made) and returns its path on the control plane's host.
    pub async fn backup(&self, target: Version, run: &str) -> Result<parse::Snapshot, Cause> {
        let (namespace, _) = self.settings.backup()?;
        let name = self.backup_job(namespace, target, run).await?;
        let api: Api<Job> = Api::namespaced(self.kube.clone(), namespace);
        self.note("preflight", format!("backup Job {namespace}/{name} is at work"));
        let wait = Wait {
            place: "preflight",
            on: "the etcd snapshot",
            deadline: self.settings.backup_deadline,
            every: Duration::from_secs(2),
            stoppable: true,
        };
        let ended = self.wait(wait, async || {
            let found = self.api_opt("read the backup Job", async || api.get(&name).await).await?;
            let job = found.ok_or_else(|| Cause::step(format!("the backup Job {namespace}/{name} was deleted while it ran")))?;
            match job_state(&job, None) {
                JobState::Complete => Ok(Probe::Ready(())),
                JobState::Failed { reason, .. } => {
                    Err(Cause::refused(format!("the backup Job {namespace}/{name} failed ({reason})")))
                }
                JobState::Active => Ok(Probe::Not(format!("Job {namespace}/{name} is at work"))),
            }
        });
        let snapshot = match ended.await {
            Ok(()) => self.snapshot_told(namespace, &name).await,
            Err(cause) => Err(cause),
        };
        snapshot.map_err(|cause| match useless(&cause) {
            true => Cause { class: Class::Refused, ..cause }.next(format!("kubectl -n {namespace} logs job/{name}")),
            false => cause,
        })
    }

    /// The run's backup Job that is at work or has done its work, else a new one. One that failed, hangs or left no word of use stays as
    /// evidence, and the next gets the next name: `resume` is all that a person types once the cause is mended.
    async fn backup_job(&self, namespace: &str, target: Version, run: &str) -> Result<String, Cause> {
        let api: Api<Job> = Api::namespaced(self.kube.clone(), namespace);
        let mut attempt = 1;
        loop {
            let name = jobs::etcd_name(target, run, attempt);
            let Some(job) = self.api_opt("read the backup Job", async || api.get(&name).await).await? else {
                let template = self.backup_template().await?;
                self.submit_job(namespace, &name, jobs::etcd_job(&template, &name)?).await?;
                return Ok(name);
            };
            let since = job.metadata.creation_timestamp.as_ref().map_or(self.now(), |time| time.0);
            let amiss = match job_state(&job, None) {
                JobState::Active if self.now().duration_since(since).unsigned_abs() <= self.settings.backup_deadline => {
                    return Ok(name);
                }
                JobState::Active => format!("has been at work since {since}"),
                JobState::Failed { reason, .. } => format!("failed ({reason})"),
                JobState::Complete => match self.snapshot_told(namespace, &name).await {
                    Ok(_) => return Ok(name),
                    Err(cause) if useless(&cause) => format!("is no good: {}", cause.what),
                    Err(cause) => return Err(cause),
                },
            };
            self.note("preflight", format!("backup Job {namespace}/{name} {amiss}; another one follows"));
            attempt += 1;
        }
    }

    /// What a Complete backup Job says that it wrote.
    async fn snapshot_told(&self, namespace: &str, job: &str) -> Result<parse::Snapshot, Cause> {
        parse::backup_done(&self.backup_log(namespace, job).await?)
    }

    /// The backup CronJob as it stands, unknown fields and all: a typed struct would lose what it does not know. Asked for before the
    /// claim, too: a run without a backup must not begin.
    pub async fn backup_template(&self) -> Result<serde_json::Value, Cause> {
        let (namespace, cronjob) = self.settings.backup()?;
        let kind = ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("batch", "v1", "CronJob"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.kube.clone(), namespace, &kind);
        let found = self.api_opt("read the backup CronJob", async || api.get(cronjob).await).await?;
        let template = found.ok_or_else(|| {
            Cause::refused(format!("CronJob {namespace}/{cronjob}, which makes etcd snapshots, does not exist"))
                .next("k8s-upgrade … --set backup-cronjob=NAMESPACE/NAME")
        })?;
        serde_json::to_value(&template).map_err(|error| Cause::bug(format!("CronJob {cronjob}: {error}")))
    }

    async fn backup_log(&self, namespace: &str, job: &str) -> Result<String, Cause> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), namespace);
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let pods = self.list_all("list the backup Job's pods", api.clone(), of_job).await?;
        let done = pods.iter().find(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded"));
        let pod = done.ok_or_else(|| Cause::step(format!("the pod of the backup Job {job} is gone, and its log with it")))?;
        self.api("read the backup's log", async || api.logs(&pod.name_any(), &LogParams::default()).await).await
    }
}

/// The backup itself is at fault, not the way to it: only a person can mend it.
fn useless(cause: &Cause) -> bool {
    matches!(cause.class, Class::Step | Class::Refused)
}

//! A snapshot by somebody's backup CronJob: a Job from its own template, its end, its word for what it wrote, and what lies on the host.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::look::{OnHost, Saved, looked_at, seen};
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::plan::manifests::jobs;
use crate::plan::model::facts::{JobState, Node};
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::run::cluster::Cluster;
use crate::run::cluster::created::{self, Tail};
use crate::run::cluster::job::{end_of_own, job_state};
use crate::run::services::Services;
use crate::run::session::{Probe, Session, Wait};
use crate::words::command;

/// What is read of a backup's log: its last lines, where it says what it wrote.
const LOG: Tail = Tail { lines: 200, bytes: 256 << 10 };

/// Namespace and name of the CronJob.
pub type CronJob<'a> = (&'a str, &'a str);

/// The run's backup.
enum Backup {
    /// It was made before, and lies where it should.
    Made(Saved),
    /// The Job that makes it.
    Job(String),
}

/// Makes a snapshot, or finds the one that this run has made, and looks at it on the control plane's host.
pub async fn backup(services: &Services, cronjob: CronJob<'_>, host: &Node, target: Version, run: &str) -> Result<Saved, Cause> {
    let (namespace, _) = cronjob;
    let name = match backup_job(services, cronjob, host, target, run).await? {
        Backup::Made(saved) => return seen(&services.session, &services.settings, host, saved),
        Backup::Job(name) => name,
    };
    let api: Api<Job> = services.cluster.within(namespace);
    services.session.note("preflight", format!("backup Job {namespace}/{name} is at work"));
    let wait = Wait {
        place: "preflight",
        on: "the etcd snapshot",
        deadline: guard::bound(Guard::BackupDeadline, services.settings.backup_deadline),
        every: Duration::from_secs(2),
        stoppable: true,
    };
    let ended = services.session.wait(wait, async || {
        let found = services.cluster.find("read the backup Job", async || api.get(&name).await).await?;
        let job = found.ok_or_else(|| Cause::step(format!("the backup Job {namespace}/{name} was deleted while it ran")))?;
        match created::state_of(&services.cluster, namespace, &job).await? {
            JobState::Complete => Ok(Probe::Ready(job)),
            JobState::Failed { reason, .. } => {
                Err(Cause::refused(format!("the backup Job {namespace}/{name} failed ({reason})")))
            }
            JobState::Active => Ok(Probe::Not(format!("Job {namespace}/{name} is at work"))),
        }
    });
    let told = match ended.await {
        Ok(job) => {
            if job_state(&job, None) == JobState::Active {
                services.session.warn(
                    "preflight",
                    format!(
                        "backup Job {namespace}/{name} has done its work, but a container beside its own keeps its pod running"
                    ),
                );
            }
            let made = created(&services.session, &job);
            snapshot_told(&services.cluster, namespace, &job).await.map(|told| (told, made))
        }
        Err(cause) => Err(cause),
    };
    let log = command!("kubectl -n {} logs job/{}", namespace, name);
    let (told, made) = told.map_err(|cause| match useless(&cause) {
        true => Cause { class: Class::Refused, ..cause }.next(&log),
        false => cause,
    })?;
    match looked_at(&services.ssh, host, &told, made).await? {
        OnHost::Good(saved) => seen(&services.session, &services.settings, host, saved),
        // Where a backup writes elsewhere than to this host, its word is all there is.
        OnHost::Nothing => {
            let unverified = Some(format!("{} is not on {}: its backup's word for it is all there is", told.path, host.name));
            seen(&services.session, &services.settings, host, Saved { told, sha256: None, unverified })
        }
        OnHost::Amiss(what) => Err(Cause::refused(what).next(log)),
    }
}

/// The run's backup Job that is at work or has done its work, else a new one. One that failed, hangs, left no word of use, or whose
/// snapshot is not what it says, stays as evidence, and the next gets the next name: `resume` is all that a person types once the
/// cause is mended.
async fn backup_job(services: &Services, cronjob: CronJob<'_>, host: &Node, target: Version, run: &str) -> Result<Backup, Cause> {
    let (namespace, _) = cronjob;
    let api: Api<Job> = services.cluster.within(namespace);
    let mut attempt = 1;
    loop {
        let name = jobs::etcd_name(target, run, attempt);
        let Some(job) = services.cluster.find("read the backup Job", async || api.get(&name).await).await? else {
            let template = template(&services.cluster, cronjob).await?;
            let manifest = jobs::etcd_job(&template, &name)?;
            created::submit(&services.session, &services.cluster, "chain", namespace, &name, manifest).await?;
            return Ok(Backup::Job(name));
        };
        let since = created(&services.session, &job);
        let amiss = match created::state_of(&services.cluster, namespace, &job).await? {
            JobState::Active
                if services.session.now().duration_since(since).unsigned_abs() <= services.settings.backup_deadline =>
            {
                return Ok(Backup::Job(name));
            }
            JobState::Active => format!("has been at work since {since}"),
            JobState::Failed { reason, .. } => format!("failed ({reason})"),
            JobState::Complete => match snapshot_told(&services.cluster, namespace, &job).await {
                Ok(told) => match looked_at(&services.ssh, host, &told, since).await? {
                    OnHost::Good(saved) => return Ok(Backup::Made(saved)),
                    OnHost::Nothing => format!("is Complete, but {} is not on {}", told.path, host.name),
                    OnHost::Amiss(what) => format!("is Complete, but {what}"),
                },
                Err(cause) if useless(&cause) => format!("is no good: {}", cause.what),
                Err(cause) => return Err(cause),
            },
        };
        services.session.note("preflight", format!("backup Job {namespace}/{name} {amiss}; another one follows"));
        attempt += 1;
    }
}

/// When it was created, by the API server's clock: a person's own may be an hour off.
fn created(session: &Session, job: &Job) -> Timestamp {
    job.metadata.creation_timestamp.as_ref().map_or(session.now(), |time| time.0)
}

/// What a backup Job that has done its work says that it wrote: the first of its containers that says so, for one may make the snapshot
/// and another carry it away.
async fn snapshot_told(cluster: &Cluster, namespace: &str, job: &Job) -> Result<parse::Snapshot, Cause> {
    let pods = created::pods_of(cluster, namespace, &job.name_any()).await?;
    let succeeded = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
    let done = pods.iter().find(succeeded).or(pods.iter().find(|pod| end_of_own(job, pod) == Some(JobState::Complete)));
    let gone = || Cause::step(format!("the pod of the backup Job {} is gone, and its log with it", job.name_any()));
    let pod = done.ok_or_else(gone)?.name_any();
    let mut silent = None;
    for container in created::own_containers(job) {
        match parse::backup_done(&created::log(cluster, "read the backup's log", namespace, &pod, container, LOG).await?) {
            Ok(told) => return Ok(told),
            Err(cause) => drop(silent.get_or_insert(cause)),
        }
    }
    Err(silent.unwrap_or_else(gone))
}

/// Its CronJob, asked for before the claim, too: a run without a backup must not begin.
pub async fn template(cluster: &Cluster, (namespace, cronjob): CronJob<'_>) -> Result<Value, Cause> {
    let found = created::template(cluster, "read the backup CronJob", namespace, cronjob).await?;
    found.ok_or_else(|| {
        Cause::refused(format!("CronJob {namespace}/{cronjob}, which makes etcd snapshots, does not exist"))
            .next("k8s-upgrade … --set backup-cronjob=NAMESPACE/NAME    # the one that makes them")
            .next("k8s-upgrade … --set snapshot=etcdctl    # without one: the program takes them on the control planes")
    })
}

/// The backup itself is at fault, not the way to it: only a person can mend it.
fn useless(cause: &Cause) -> bool {
    matches!(cause.class, Class::Step | Class::Refused)
}

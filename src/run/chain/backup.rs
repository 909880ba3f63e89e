//! The etcd snapshot before anything changes: a Job from the backup CronJob's own template, its end, its word for what it wrote, and what
//! lies on the host.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::node::{SnapshotHash, SnapshotKind};
use crate::plan::manifests::jobs;
use crate::plan::model::facts::{JobState, Node};
use crate::plan::model::parse;
use crate::plan::model::policy::Unverified;
use crate::plan::model::version::Version;
use crate::run::cluster::Cluster;
use crate::run::cluster::created::{self, Tail};
use crate::run::cluster::job::{end_of_own, job_state};
use crate::run::services::Services;
use crate::run::session::{Probe, Session, Wait};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{NotAToken, command, ssh};

/// What is read of a backup's log: its last lines, where it says what it wrote.
const LOG: Tail = Tail { lines: 200, bytes: 256 << 10 };

/// A snapshot, as its backup told of it and as its host has it.
pub struct Saved {
    pub told: parse::Snapshot,
    /// None: it does not lie there, and nobody has seen it.
    pub sha256: Option<String>,
    /// What nobody could look at, where that is so.
    pub unverified: Option<String>,
}

/// How far the clocks of a node and of the API server may be apart (seconds).
const CLOCKS: i64 = 300;

/// The run's backup.
enum Backup {
    /// It was made before, and lies where it should.
    Made(Saved),
    /// The Job that makes it.
    Job(String),
}

/// What lies at the snapshot's path on the host.
enum OnHost {
    Good(Saved),
    /// It is not what its backup said, or no whole snapshot.
    Amiss(String),
    Nothing,
}

/// Makes a snapshot, or finds the one that this run has made, and looks at it on the control plane's host.
pub async fn backup(services: &Services, host: &Node, target: Version, run: &str) -> Result<Saved, Cause> {
    let (namespace, _) = services.settings.backup();
    let name = match backup_job(services, namespace, host, target, run).await? {
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

/// What nobody could look at is told; the setting says whether that is enough.
fn seen(session: &Session, settings: &Settings, host: &Node, saved: Saved) -> Result<Saved, Cause> {
    let Some(unverified) = &saved.unverified else { return Ok(saved) };
    let what = format!("the etcd snapshot is not verified: {unverified}");
    if settings.snapshot_unverified == Unverified::Refuse && guard::on(Guard::SnapshotVerified) {
        return Err(Cause::refused(what).detail(["snapshot-unverified is refuse"]).next(ssh(
            &settings.ssh_user,
            &host.name,
            settings.ssh_port,
            "sudo etcdutl snapshot status FILE",
        )));
    }
    session.warn("preflight", what);
    Ok(saved)
}

/// The run's backup Job that is at work or has done its work, else a new one. One that failed, hangs, left no word of use, or whose
/// snapshot is not what it says, stays as evidence, and the next gets the next name: `resume` is all that a person types once the
/// cause is mended.
async fn backup_job(services: &Services, namespace: &str, host: &Node, target: Version, run: &str) -> Result<Backup, Cause> {
    let api: Api<Job> = services.cluster.within(namespace);
    let mut attempt = 1;
    loop {
        let name = jobs::etcd_name(target, run, attempt);
        let Some(job) = services.cluster.find("read the backup Job", async || api.get(&name).await).await? else {
            let template = backup_template(&services.cluster, &services.settings).await?;
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

/// `made`: when the backup's Job was created.
async fn looked_at(ssh: &Ssh, host: &Node, told: &parse::Snapshot, made: Timestamp) -> Result<OnHost, Cause> {
    let odd = |error: NotAToken| Cause::refused(format!("the backup's word on its snapshot: {error}"));
    let path = told.path.parse().map_err(odd)?;
    let Some(info) = ssh.on_node(host, &SnapshotHash { path }).await? else { return Ok(OnHost::Nothing) };
    let there = format!("the snapshot {} on {}", told.path, host.name);
    if info.bytes != told.bytes && guard::on(Guard::SnapshotSize) {
        return Ok(OnHost::Amiss(format!("{there} has {} bytes, but its backup said {}", info.bytes, told.bytes)));
    }
    if info.modified_seconds < made.as_second() - CLOCKS && guard::on(Guard::SnapshotAge) {
        let at =
            Timestamp::from_second(info.modified_seconds).map_or_else(|_| info.modified_seconds.to_string(), |at| at.to_string());
        return Ok(OnHost::Amiss(format!("{there} is of {at}, older than the backup that should have made it ({made})")));
    }
    let unverified = match info.kind {
        SnapshotKind::Whole => None,
        SnapshotKind::Torn if guard::on(Guard::SnapshotWhole) => {
            return Ok(OnHost::Amiss(format!("{there} is not whole: it does not end with the hash of what it holds")));
        }
        SnapshotKind::Torn | SnapshotKind::Other => {
            Some(format!("nothing tells whether {} holds one (it does not begin as etcd's do)", told.path))
        }
    };
    Ok(OnHost::Good(Saved { told: told.clone(), sha256: Some(info.sha256), unverified }))
}

/// Its CronJob, asked for before the claim, too: a run without a backup must not begin.
pub async fn backup_template(cluster: &Cluster, settings: &Settings) -> Result<Value, Cause> {
    let (namespace, cronjob) = settings.backup();
    let found = created::template(cluster, "read the backup CronJob", namespace, cronjob).await?;
    found.ok_or_else(|| {
        Cause::refused(format!("CronJob {namespace}/{cronjob}, which makes etcd snapshots, does not exist"))
            .next("k8s-upgrade … --set backup-cronjob=NAMESPACE/NAME")
    })
}

/// The backup itself is at fault, not the way to it: only a person can mend it.
fn useless(cause: &Cause) -> bool {
    matches!(cause.class, Class::Step | Class::Refused)
}

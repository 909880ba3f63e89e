//! The chain: a Job creates its successor under a deterministic name. Whatever Job died, the facts say what comes next.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

use crate::failure::{Advice, Cause, Class, Failure, Outcome};
use crate::guard::{self, Guard};
use crate::plan::decide::next::{self, Next, Wave};
use crate::plan::decide::orphan;
use crate::plan::decide::planned::Planned;
use crate::plan::decide::spent;
use crate::plan::manifests::jobs::{self, Template};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, JobState, Phase, STARTS};
use crate::plan::model::policy::Policy;
use crate::plan::model::version::Version;
use crate::report::{Notice, span};
use crate::run::chain;
use crate::run::cluster::Cluster;
use crate::run::cluster::created::{self, GONE};
use crate::run::cluster::events::warning;
use crate::run::cluster::job::job_state;
use crate::run::services::Services;
use crate::run::session::{Change, Probe, Session, Wait, Waited};
use crate::settings::Settings;
use crate::words::{RunId, command};

/// A Job's first try and its two retries (backoffLimit): the last one must not run out of time with a node cordoned.
const TRIES: u32 = 3;
/// What the bookkeeping of a phase may take beside its waits.
const MARGIN: Duration = Duration::from_secs(30 * 60);

/// So long finished Jobs are deleted at a time.
const COLLECTING: Duration = Duration::from_secs(60);

/// Creates the Jobs that the facts ask for now, if any. `own_job` is the Job that asks.
pub async fn create_next(services: &Services, own_job: Option<&str>, run: &RunId) -> Result<Next, Cause> {
    let facts = services.observer.observe().await?;
    let next = next::next(&facts, &services.settings.policy(), own_job, services.session.now())?;
    if let (Next::Create(wave), Some(target)) = (&next, facts.marks.target) {
        create(services, &facts, wave, target, run).await?;
        for planned in wave.all() {
            expect_pod(services, planned).await;
        }
    }
    Ok(next)
}

/// Creates the Jobs of a wave. Whoever dies between two leaves the rest to whoever ends next.
pub async fn create(services: &Services, facts: &Facts, wave: &Wave, target: Version, run: &RunId) -> Result<(), Cause> {
    for planned in wave.all() {
        create_job(services, facts, planned, target, run).await?;
    }
    Ok(())
}

/// Looks for the pod of a Job that was just created, and tells where none comes: a quota, a policy or a webhook may refuse pods, and a Job
/// without one looks like a Job at work. That is no failure of whoever created it: its own work is done, and the Job gets its pod by
/// itself once nothing refuses that any more; a Job that failed for it would only stay, and fire alerts that hold the next node.
pub async fn expect_pod(services: &Services, planned: &Planned) {
    let (name, place) = (&planned.job, planned.step.node.as_deref().unwrap_or(planned.step.phase.word()));
    let api: Api<Job> = services.cluster.own();
    let wait = Wait { place, on: "the pod of the next Job", deadline: STARTS, every: Duration::from_secs(1), stoppable: false };
    let mut uid = String::new();
    let look = services.session.wait_or_not(wait, async || {
        // One that is gone is somebody else's doing.
        let found = services.cluster.find("read the next Job", async || api.get(name).await).await?;
        Ok(match found.filter(|job| !has_pod(job)) {
            None => Probe::Ready(()),
            Some(job) => {
                uid = job.uid().unwrap_or_default();
                Probe::Not(format!("Job {name} has none yet"))
            }
        })
    });
    // An API server that is away meanwhile is waited for by whoever has more to do.
    let unknown = match tokio::time::timeout(STARTS, look).await {
        Ok(Ok(Waited::Ready(()))) => return,
        Ok(Ok(Waited::Late(_))) => None,
        Ok(Err(cause)) => Some(cause.what),
        Err(_) if uid.is_empty() => Some("the API server did not answer in time".to_owned()),
        Err(_) => None,
    };
    if let Some(why) = unknown {
        return services.session.note(place, format!("whether Job {name} has a pod is not known: {why}"));
    }
    let why = match warning(&services.cluster, &uid, None).await {
        Answer::Known(warning) => warning.unwrap_or("no event says why".to_owned()),
        Answer::Unknown(why) => format!("why is not known: {why}"),
    };
    let namespace = &services.cluster.namespace;
    let cause = Cause::hold(format!("Job {name} has had no pod for {}: {why}", span(STARTS))).next(command!(
        "kubectl -n {} describe job {}    # its events",
        namespace,
        name
    ));
    services.session.warn(place, &cause.what);
    let state = "The Job is there, and gets its pod by itself once nothing refuses that any more.".to_owned();
    let failure = Failure { cause, place: place.to_owned(), state, next: vec![Advice::status()] };
    // Not recorded as told: what its step may come to later is other news.
    services.session.notice(place, &Notice::Failed(failure));
}

/// It has made one, whatever became of that.
fn has_pod(job: &Job) -> bool {
    let counts = job.status.as_ref().map(|status| [status.active, status.succeeded, status.failed, status.terminating]);
    counts.into_iter().flatten().flatten().any(|count| count > 0) || job_state(job, None) != JobState::Active
}

/// Creates a planned Job, in place of a finished (or stuck) one of the same name. One that is at work already is what we wanted.
pub async fn create_job(
    services: &Services,
    facts: &Facts,
    planned: &Planned,
    target: Version,
    run: &RunId,
) -> Result<(), Cause> {
    services.journal.of_run(run);
    services.session.about(Some(run), Some(target), planned.step.node.as_deref());
    services.halt.not_halted(Guard::HaltBeforeJob).await?;
    let image = image(services, facts, run).await?;
    let policy = services.settings.policy();
    let template = Template {
        policy: &policy,
        namespace: &services.cluster.namespace,
        prefix: &services.settings.annotation_prefix,
        image: &image,
        target,
        run,
        deadline: job_deadline(&services.settings, planned.step.phase),
    };
    let manifest = jobs::manifest(facts, planned, &template)?;
    // The successor tells what comes after.
    services.notices.flush().await;
    if let Some(uid) = &planned.replaces {
        delete_job(&services.session, &services.cluster, &planned.job, uid).await?;
    }
    let own = &services.cluster.namespace;
    created::submit(&services.session, &services.cluster, "chain", own, &planned.job, manifest).await?;
    let place = planned.step.node.as_deref().unwrap_or(planned.step.phase.word());
    services.session.did(place, format!("Job {} created, to run on {}", planned.job, planned.place()));
    Ok(())
}

/// What the run's Jobs run: one image to its end, whatever is installed meanwhile. A run that was begun by hand gets it with its first Job.
async fn image(services: &Services, facts: &Facts, run: &RunId) -> Result<String, Cause> {
    let is_on = facts.marks.is_of(run) && guard::on(Guard::ImageOfRun);
    match facts.marks.image.clone().filter(|_| is_on) {
        Some(image) => Ok(image),
        None => {
            let image = services.cluster.own_image().await?;
            if is_on { services.record.keep_image(run, image).await } else { Ok(image) }
        }
    }
}

/// Deletes one very Job, not whatever bears its name by then, and waits until it is gone.
pub async fn delete_job(session: &Session, cluster: &Cluster, name: &str, uid: &str) -> Result<(), Cause> {
    let api: Api<Job> = cluster.own();
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()).filter(|_| guard::on(Guard::JobUid)),
            resource_version: None,
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    let wait = Wait {
        place: "chain",
        on: "the Job of before to be gone",
        deadline: GONE,
        every: Duration::from_millis(500),
        stoppable: false,
    };
    let change = Change::settle("chain", "replace a Job", GONE).silent();
    session
        .change(change, async {
            match cluster.find(&format!("delete the Job {name} of before"), async || api.delete(name, &params).await).await {
                // The UID is another: somebody has replaced it.
                Err(cause) if cause.class == Class::Contended => return Ok(()),
                other => drop(other?),
            }
            session
                .wait(wait, async || {
                    let found = cluster.find("read the Job", async || api.get(name).await).await?;
                    Ok(match found.filter(|job| job.metadata.uid.as_deref() == Some(uid)) {
                        None => Probe::Ready(()),
                        Some(job) => Probe::Not(format!("finalizers {:?}", job.metadata.finalizers.unwrap_or_default())),
                    })
                })
                .await
        })
        .await
}

/// Deletes finished Jobs that nobody needs any more, for a while: the next watch goes on with the rest. They are in nobody's way, so that it fails is
/// told and no more; and while a person has halted upgrades, all stay for them to look at.
pub async fn collect(services: &Services, facts: &Facts, policy: &Policy) {
    let Services { session, cluster, .. } = services;
    let spent = spent::spent(facts, policy);
    if spent.is_empty() || session.dry_run || facts.marks.halted.is_some() {
        return;
    }
    let mut gone = 0;
    let all = async {
        for job in &spent {
            delete_job(session, cluster, &job.name, &job.uid).await?;
            gone += 1;
        }
        Ok::<_, Cause>(())
    };
    let ended = tokio::time::timeout(COLLECTING, all).await;
    if gone > 0 {
        session.did("chain", format!("{gone} finished Jobs deleted: the newest {} that ended well stay", spent::KEPT));
    }
    if let Ok(Err(cause)) = ended {
        session.note("chain", format!("a finished Job cannot be deleted: {}", cause.what));
    }
}

/// Over the sum of a phase's waits: what bounds a pod that never starts, and nothing that still makes progress.
fn job_deadline(settings: &Settings, phase: Phase) -> Duration {
    let s = settings;
    let soak = s.pools.values().filter_map(|pool| pool.soak).chain([s.soak]).max().unwrap_or_default();
    let hooks = if s.hooks().is_empty() { Duration::ZERO } else { s.hook_deadline * 4 };
    // A canary's way back: a drain, packages, and Ready once more.
    let back = if s.canary_rollback { s.drain_deadline + s.step_deadline * 2 + s.ready_deadline } else { Duration::ZERO };
    let of_node = soak * 2 + s.alert_wait * 2 + s.drain_deadline + s.step_deadline * 4 + s.ready_deadline * 7 + hooks;
    let waits = match phase {
        // The trial, the repositories, what is fetched beforehand.
        Phase::Preflight => s.alert_wait + s.backup_deadline + s.step_deadline * 3,
        Phase::Master => of_node,
        Phase::Worker => of_node + back,
        Phase::Postflight => soak + s.ready_deadline + s.resolve_wait * 2 + hooks,
    };
    (waits + s.api_patience * 2 + MARGIN) * TRIES
}

/// Creates the successor; that nothing follows is a defect or somebody else's doing, and is said.
pub async fn successor(services: &Services, place: &str, run: &RunId) -> Result<Outcome, Failure> {
    let created = async {
        let facts = services.observer.observe().await?;
        if let Some(target) = facts.marks.target
            && let Some(node) = orphan::has_stopped(&facts)
        {
            services.session.notice(place, &Notice::Only { target, node: node.to_owned() });
            return Ok(());
        }
        let own = services.cluster.own_job().await?;
        match chain::jobs::create_next(services, own.as_deref(), run).await? {
            Next::Running(job) if Some(&job) == own.as_ref() => {
                Err(Cause::step("the work ended, but the facts still call it undone").detail([format!("Job {job}")]))
            }
            Next::Running(job) => {
                services.session.note(place, format!("Job {job} is at work already"));
                Ok(())
            }
            Next::Failed(job) => {
                let watch = "nothing else begins before the watch or a person takes it up";
                services.session.note(place, format!("Job {job} has failed: {watch}"));
                Ok(())
            }
            Next::Create(_) => Ok(()),
            Next::Done => {
                services.session.note(place, "no run is in flight any more: nothing follows");
                Ok(())
            }
        }
    };
    match created.await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) => Err(super::failures::told(services, place, cause).await),
    }
}

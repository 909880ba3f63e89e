//! `preflight` and `postflight`: one phase; as a Job of the chain also its successor.

use std::time::Duration;

use super::{by_hand, failure, failure_in_run, of_run, target_of};
use crate::failure::{Cause, Class, Failure, Outcome};
use crate::names::Mark;
use crate::plan::decide::next::Next;
use crate::plan::model::version::Version;
use crate::plan::view::news::News;
use crate::report::Notice;
use crate::run::chain::preflight::Preflight;
use crate::run::{Services, chain};
use crate::words::{RunId, command};

/// A message does not wait longer for what is known of those before it.
const LOOK: Duration = Duration::from_secs(60);

/// The first phase. Under `--chain` a gate that time opens defers: that is no failure.
pub async fn preflight(services: &Services, target: Version, run: Option<RunId>) -> Result<Outcome, Failure> {
    let run = match run {
        Some(run) => run,
        None => {
            let marks = services.observer.observe().await.map_err(failure)?.marks;
            marks.run_id.filter(|_| marks.in_flight && marks.target == Some(target)).unwrap_or_else(|| services.session.new_run())
        }
    };
    services.session.about(None, Some(target), None);
    if !services.session.chain && !services.session.dry_run {
        services.leases.nobody_by_hand().await.map_err(failure)?;
        return by_hand(services, prepared(services, target, &run)).await;
    }
    prepared(services, target, &run).await
}

async fn prepared(services: &Services, target: Version, run: &RunId) -> Result<Outcome, Failure> {
    match chain::preflight::preflight(services, target, run).await {
        Ok(Preflight::NothingToDo) => {
            services.session.note("preflight", format!("every node is at {target}: nothing to do"));
            Ok(Outcome::Nothing)
        }
        Ok(Preflight::Ready) if services.session.chain => successor(services, "preflight", run).await,
        Ok(Preflight::Ready) => {
            match services.session.dry_run {
                true => services.session.next("preflight", "begin it with", &command!("k8s-upgrade start --target {}", target)),
                false => services.session.next("preflight", "go on with", "k8s-upgrade resume"),
            }
            Ok(Outcome::Done)
        }
        // Nothing was changed, and time may open the gate: the next detection tries again. No Failed Job stays behind.
        Err(not_ready) if services.session.chain && !not_ready.claimed && not_ready.cause.class == Class::Hold => {
            let cause = not_ready.cause;
            let reasons = cause.detail.join("; ");
            services.session.warn("preflight", format!("deferred: {}: {reasons}", cause.what));
            services.notices.send(&Notice::Deferred { target, what: cause.what, reasons }).await;
            Ok(Outcome::Deferred)
        }
        Err(not_ready) => Err(told(services, "preflight", not_ready.cause).await),
    }
}

/// The last phase: verifies the cluster and ends the run. A run that was ended already is left alone.
pub async fn postflight(services: &Services, target: Option<Version>, run: Option<RunId>) -> Result<Outcome, Failure> {
    if let Some(run) = run.as_deref().filter(|_| services.session.chain) {
        services.journal.of_run(run);
    }
    let facts = services.observer.observe().await.map_err(failure)?;
    if services.session.chain && !run.as_deref().is_some_and(|run| of_run(&facts, run)) {
        services.session.note("postflight", "this run is not in flight any more: it was ended already");
        return Ok(Outcome::Nothing);
    }
    let (target, marked) = target_of(services, target).await?;
    services.session.about(Some(&marked), Some(target), None);
    if services.session.chain {
        // A node that joined late and is old comes first.
        let own = services.cluster.own_job().await.map_err(failure)?;
        match chain::jobs::create_next(services, own.as_deref(), run.as_ref().unwrap_or(&marked)).await.map_err(failure)? {
            Next::Create(_) => return Ok(Outcome::Done),
            Next::Running(job) if Some(&job) != own.as_ref() => return Ok(Outcome::Done),
            Next::Running(_) | Next::Done => {}
        }
    }
    if !services.session.chain {
        services.leases.nobody_by_hand().await.map_err(failure)?;
        return by_hand(services, ended(services, target, None)).await;
    }
    ended(services, target, run.as_ref()).await
}

async fn ended(services: &Services, target: Version, run: Option<&RunId>) -> Result<Outcome, Failure> {
    match chain::phases::postflight(services, target, run).await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) => Err(told(services, "postflight", cause).await),
    }
}

/// Creates the successor; that nothing follows is a defect or somebody else's doing, and is said.
pub async fn successor(services: &Services, place: &str, run: &RunId) -> Result<Outcome, Failure> {
    let created = async {
        let own = services.cluster.own_job().await?;
        match chain::jobs::create_next(services, own.as_deref(), run).await? {
            Next::Running(job) if Some(&job) == own.as_ref() => {
                Err(Cause::step("the work ended, but the facts still call it undone").detail([format!("Job {job}")]))
            }
            Next::Running(job) => {
                services.session.note(place, format!("Job {job} is at work already"));
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
        Err(cause) => Err(told(services, place, cause).await),
    }
}

/// A failure of a run, told in Slack when a Job failed: nobody watches its log.
pub async fn told(services: &Services, place: &str, cause: Cause) -> Failure {
    let failure = failure_in_run(services, place, cause).await;
    if services.session.chain {
        tell(services, &failure).await;
    }
    failure
}

/// Tells Slack of a failure, unless the try before this one has: a retry is no news, and neither is a hold that goes on.
pub async fn tell(services: &Services, failure: &Failure) {
    let Some(news) = News::of(failure) else { return };
    let told = async {
        let facts = services.observer.observe().await?;
        let own = services.cluster.own_job().await?;
        let old = news.is_old(&facts, own.as_deref());
        Ok::<_, Cause>((old, facts.marks.run_id.filter(|_| facts.marks.in_flight)))
    };
    // Twice is better than not at all.
    let (old, run) = match tokio::time::timeout(LOOK, told).await {
        Ok(Ok(known)) => known,
        Ok(Err(_)) | Err(_) => (false, None),
    };
    if old || !services.notices.send(&Notice::Failed(failure.clone())).await {
        return;
    }
    let Some(run) = run else { return };
    let mark = [(Mark::Told, Some(news.to_string()))];
    if let Err(cause) = services.record.mark_run(&run, &failure.place, "record what Slack was told", &mark).await {
        services.session.warn("slack", format!("a retry will tell the same once more: {}", cause.what));
    }
}

//! `preflight` and `postflight`: one phase; as a Job of the chain also its successor.

use std::time::Duration;

use super::{by_hand, failure, failure_in_run, of_run, target_of};
use crate::failure::{Cause, Class, Failure, Outcome};
use crate::names::Mark;
use crate::plan::news::News;
use crate::plan::next::Next;
use crate::plan::version::Version;
use crate::report::Notice;
use crate::run::Ctx;
use crate::run::preflight::Preflight;
use crate::words::RunId;
use crate::words::command;

/// A message does not wait longer for what is known of those before it.
const LOOK: Duration = Duration::from_secs(60);

/// The first phase. Under `--chain` a gate that time opens defers: that is no failure.
pub async fn preflight(ctx: &Ctx, target: Version, run: Option<RunId>) -> Result<Outcome, Failure> {
    let run = match run {
        Some(run) => run,
        None => {
            let marks = ctx.observe().await.map_err(failure)?.marks;
            marks.run_id.filter(|_| marks.in_flight && marks.target == Some(target)).unwrap_or_else(|| ctx.new_run())
        }
    };
    ctx.about(None, Some(target), None);
    if !ctx.chain && !ctx.dry_run {
        ctx.nobody_by_hand().await.map_err(failure)?;
        return by_hand(ctx, prepared(ctx, target, &run)).await;
    }
    prepared(ctx, target, &run).await
}

async fn prepared(ctx: &Ctx, target: Version, run: &RunId) -> Result<Outcome, Failure> {
    match ctx.preflight(target, run).await {
        Ok(Preflight::NothingToDo) => {
            ctx.note("preflight", format!("every node is at {target}: nothing to do"));
            Ok(Outcome::Nothing)
        }
        Ok(Preflight::Ready) if ctx.chain => successor(ctx, "preflight", run).await,
        Ok(Preflight::Ready) => {
            match ctx.dry_run {
                true => ctx.next("preflight", "begin it with", &command!("k8s-upgrade start --target {}", target)),
                false => ctx.next("preflight", "go on with", "k8s-upgrade resume"),
            }
            Ok(Outcome::Done)
        }
        // Nothing was changed, and time may open the gate: the next detection tries again. No Failed Job stays behind.
        Err(not_ready) if ctx.chain && !not_ready.claimed && not_ready.cause.class == Class::Hold => {
            let cause = not_ready.cause;
            let reasons = cause.detail.join("; ");
            ctx.warn("preflight", format!("deferred: {}: {reasons}", cause.what));
            ctx.notify(&Notice::Deferred { target, what: cause.what, reasons }).await;
            Ok(Outcome::Deferred)
        }
        Err(not_ready) => Err(told(ctx, "preflight", not_ready.cause).await),
    }
}

/// The last phase: verifies the cluster and ends the run. A run that was ended already is left alone.
pub async fn postflight(ctx: &Ctx, target: Option<Version>, run: Option<RunId>) -> Result<Outcome, Failure> {
    if let Some(run) = run.as_deref().filter(|_| ctx.chain) {
        ctx.journal_of(run);
    }
    let facts = ctx.observe().await.map_err(failure)?;
    if ctx.chain && !run.as_deref().is_some_and(|run| of_run(&facts, run)) {
        ctx.note("postflight", "this run is not in flight any more: it was ended already");
        return Ok(Outcome::Nothing);
    }
    let (target, marked) = target_of(ctx, target).await?;
    ctx.about(Some(&marked), Some(target), None);
    if ctx.chain {
        // A node that joined late and is old comes first.
        let own = ctx.own_job().await.map_err(failure)?;
        match ctx.create_next(own.as_deref(), run.as_ref().unwrap_or(&marked)).await.map_err(failure)? {
            Next::Create(_) => return Ok(Outcome::Done),
            Next::Running(job) if Some(&job) != own.as_ref() => return Ok(Outcome::Done),
            Next::Running(_) | Next::Done => {}
        }
    }
    if !ctx.chain {
        ctx.nobody_by_hand().await.map_err(failure)?;
        return by_hand(ctx, ended(ctx, target, None)).await;
    }
    ended(ctx, target, run.as_ref()).await
}

async fn ended(ctx: &Ctx, target: Version, run: Option<&RunId>) -> Result<Outcome, Failure> {
    match ctx.postflight(target, run).await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) => Err(told(ctx, "postflight", cause).await),
    }
}

/// Creates the successor; that nothing follows is a defect or somebody else's doing, and is said.
pub async fn successor(ctx: &Ctx, place: &str, run: &RunId) -> Result<Outcome, Failure> {
    let created = async {
        let own = ctx.own_job().await?;
        match ctx.create_next(own.as_deref(), run).await? {
            Next::Running(job) if Some(&job) == own.as_ref() => {
                Err(Cause::step("the work ended, but the facts still call it undone").detail([format!("Job {job}")]))
            }
            Next::Running(job) => {
                ctx.note(place, format!("Job {job} is at work already"));
                Ok(())
            }
            Next::Create(_) => Ok(()),
            Next::Done => {
                ctx.note(place, "no run is in flight any more: nothing follows");
                Ok(())
            }
        }
    };
    match created.await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) => Err(told(ctx, place, cause).await),
    }
}

/// A failure of a run, told in Slack when a Job failed: nobody watches its log.
pub async fn told(ctx: &Ctx, place: &str, cause: Cause) -> Failure {
    let failure = failure_in_run(ctx, place, cause).await;
    if ctx.chain {
        tell(ctx, &failure).await;
    }
    failure
}

/// Tells Slack of a failure, unless the try before this one has: a retry is no news, and neither is a hold that goes on.
pub async fn tell(ctx: &Ctx, failure: &Failure) {
    let Some(news) = News::of(failure) else { return };
    let told = async {
        let facts = ctx.observe().await?;
        let own = ctx.own_job().await?;
        let old = news.is_old(&facts, own.as_deref());
        Ok::<_, Cause>((old, facts.marks.run_id.filter(|_| facts.marks.in_flight)))
    };
    // Twice is better than not at all.
    let (old, run) = match tokio::time::timeout(LOOK, told).await {
        Ok(Ok(known)) => known,
        Ok(Err(_)) | Err(_) => (false, None),
    };
    if old || !ctx.notify(&Notice::Failed(failure.clone())).await {
        return;
    }
    let Some(run) = run else { return };
    let mark = [(Mark::Told, Some(news.to_string()))];
    if let Err(cause) = ctx.mark_run(&run, &failure.place, "record what Slack was told", &mark).await {
        ctx.warn("slack", format!("a retry will tell the same once more: {}", cause.what));
    }
}

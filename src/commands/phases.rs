//! `preflight` and `postflight`: one phase; as a Job of the chain also its successor.

use super::{by_hand, of_run, target_of};
use crate::failure::{Class, Failure, Outcome};
use crate::plan::decide::next::Next;
use crate::plan::model::version::Version;
use crate::run::chain::preflight::Preflight;
use crate::run::{Services, chain};
use crate::words::{RunId, command};

/// The first phase. Under `--chain` a gate that time opens defers: that is no failure.
pub async fn preflight(services: &Services, target: Version, run: Option<RunId>) -> Result<Outcome, Failure> {
    let run = match run {
        Some(run) => run,
        None => {
            let marks = services.observer.observe().await.map_err(Failure::nothing_begun)?.marks;
            marks.run_id.filter(|_| marks.in_flight && marks.target == Some(target)).unwrap_or_else(|| services.session.new_run())
        }
    };
    services.session.about(None, Some(target), None);
    if !services.session.chain && !services.session.dry_run {
        services.leases.nobody_by_hand().await.map_err(Failure::nothing_begun)?;
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
        Ok(Preflight::Ready) if services.session.chain => chain::jobs::successor(services, "preflight", run).await,
        Ok(Preflight::Ready) => {
            match services.session.dry_run {
                true => services.session.next("preflight", "begin it with", &command!("k8s-upgrade start --target {}", target)),
                false => services.session.next("preflight", "go on with", "k8s-upgrade resume"),
            }
            Ok(Outcome::Done)
        }
        // Nothing was changed, and time may open the gate, or somebody else's release: the watch tries again. No Failed Job stays behind.
        Err(not_ready)
            if services.session.chain && !not_ready.claimed && matches!(not_ready.cause.class, Class::Hold | Class::Pinned) =>
        {
            let cause = not_ready.cause;
            // That it goes on holding is no news.
            if chain::detect::defer(services, "preflight", run, target).await {
                chain::tell::deferred(services, "preflight", target, &cause.what.clone(), cause).await;
            } else {
                let reasons = cause.detail.join("; ");
                services.session.warn("preflight", format!("still deferred: {}: {reasons}", cause.what));
            }
            Ok(Outcome::Deferred)
        }
        Err(not_ready) => Err(chain::failures::told(services, "preflight", not_ready.cause).await),
    }
}

/// The last phase: verifies the cluster and ends the run. A run that was ended already is left alone.
pub async fn postflight(services: &Services, target: Option<Version>, run: Option<RunId>) -> Result<Outcome, Failure> {
    if let Some(run) = run.as_deref().filter(|_| services.session.chain) {
        services.journal.of_run(run);
    }
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    if services.session.chain && !run.as_deref().is_some_and(|run| of_run(&facts, run)) {
        services.session.note("postflight", "this run is not in flight any more: it was ended already");
        return Ok(Outcome::Nothing);
    }
    let (target, marked) = target_of(services, target).await?;
    services.session.about(Some(&marked), Some(target), None);
    if services.session.chain {
        // A node that joined late and is old comes first.
        let own = services.cluster.own_job().await.map_err(Failure::nothing_begun)?;
        match chain::jobs::create_next(services, own.as_deref(), run.as_ref().unwrap_or(&marked))
            .await
            .map_err(Failure::nothing_begun)?
        {
            Next::Create(_) | Next::Failed(_) => return Ok(Outcome::Done),
            Next::Running(job) if Some(&job) != own.as_ref() => return Ok(Outcome::Done),
            Next::Running(_) | Next::Done => {}
        }
    }
    if !services.session.chain {
        services.leases.nobody_by_hand().await.map_err(Failure::nothing_begun)?;
        return by_hand(services, ended(services, target, None)).await;
    }
    ended(services, target, run.as_ref()).await
}

async fn ended(services: &Services, target: Version, run: Option<&RunId>) -> Result<Outcome, Failure> {
    match chain::phases::postflight(services, target, run).await {
        Ok(()) => Ok(Outcome::Done),
        Err(cause) => Err(chain::failures::told(services, "postflight", cause).await),
    }
}

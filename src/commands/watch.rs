//! `resume --if-orphaned`: what the watch's CronJob runs.

use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::plan::decide::orphan::{self, Begins, Verdict};
use crate::plan::decide::when;
use crate::plan::manifests::rights::Account;
use crate::plan::model::facts::Facts;
use crate::plan::model::marks::Edit;
use crate::plan::model::policy::Policy;
use crate::run::chain::{approvals, remind};
use crate::run::{Services, chain, nodes};

const PLACE: &str = "watch";

/// Takes up a run whose Jobs all died, where that needs no person, and begins one that was deferred or approved; whatever else it finds is told and left.
pub async fn watch(services: &Services) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let now = services.session.now();
    if !services.session.dry_run {
        // Also without a run: a gauge of one that has ended would stay for ever. One that rests, or has come to where a person wants it to
        // stop, has not stalled.
        match when::rest(&facts, &policy, now).is_some() || orphan::has_stopped(&facts).is_some() {
            true => services.monitoring.push_run(&facts.marks).await,
            false => services.monitoring.push_marks(&facts.marks).await,
        }
    }
    // As it stands, before anything is done about it.
    remind::remind(services, &facts, &policy).await;
    approvals::expire(services, PLACE, &facts).await;
    let outcome = take_up(services, &facts, &policy).await;
    chain::jobs::collect(services, &facts, &policy).await;
    outcome
}

/// As the run stands in these facts.
async fn take_up(services: &Services, facts: &Facts, policy: &Policy) -> Result<Outcome, Failure> {
    let found = match orphan::judge(facts, policy, services.session.now()).map_err(Failure::nothing_begun)? {
        Verdict::Leave(why) => {
            services.session.found(PLACE, why);
            if facts.marks.in_flight {
                services.session.next(PLACE, "where the run stands, and what to type", "k8s-upgrade status");
            }
            return Ok(Outcome::Nothing);
        }
        Verdict::TakeUp(found) => found,
    };
    services.session.found(PLACE, &found.why);
    if let Some(node) = &found.planned.step.node
        && let Some(other) = services
            .leases
            .other_on(node)
            .await
            .map_err(Failure::nothing_begun)?
            .filter(|_| guard::on(Guard::LeaseBeforeTakingUp))
    {
        services.session.found(PLACE, format!("{} is at work on {node}: left alone", other.by));
        return Ok(Outcome::Nothing);
    }
    if let Some(driver) =
        services.leases.other_driver().await.map_err(Failure::nothing_begun)?.filter(|_| guard::on(Guard::LocalRunBeforeTakingUp))
    {
        services.session.found(PLACE, format!("driven by {}: left alone", driver.by));
        return Ok(Outcome::Nothing);
    }
    if let Some(begins) = &found.begins
        && chain::halting::detection_suspended(&services.cluster).await.map_err(Failure::nothing_begun)? == Some(true)
    {
        services.session.found(PLACE, orphan::kept_off(begins));
        return Ok(Outcome::Nothing);
    }
    let job = &found.planned.job;
    if services.session.dry_run {
        services.session.found(PLACE, format!("would create Job {job} on {}", found.planned.place()));
        services.session.next(PLACE, "the watch does so within 10 minutes; to do it now", "k8s-upgrade resume");
        return Ok(Outcome::Nothing);
    }
    // What is missing halfway leaves half a deed behind: a Job that is gone, and none in its place.
    chain::rights::permissions(&services.cluster, &services.settings, Account::Watch).await.map_err(Failure::nothing_begun)?;
    if let Some(Begins { target, run, .. }) = &found.begins {
        // Whoever dies before the Job is there leaves the same as it was found: nothing of it is to be recorded.
        chain::jobs::create_job(services, facts, &found.planned, *target, run).await.map_err(Failure::nothing_begun)?;
        services.session.next(PLACE, "follow it with", "k8s-upgrade status");
        return Ok(Outcome::Done);
    }
    let (Some(target), Some(run)) = (facts.marks.target, &facts.marks.run_id) else {
        return Err(Failure::nothing_begun(Cause::bug(format!("{job} was planned for a run without a target or an id"))));
    };
    let taken_up = async {
        let intent = found.intent();
        if let Some(intent) = intent {
            let replaced = Edit::set(Mark::TakingUp, intent);
            services.record.mark_run(run, PLACE, "record which Job is replaced", &[replaced]).await?;
        }
        chain::jobs::create_job(services, facts, &found.planned, target, run).await?;
        let there = [Edit::remove(Mark::TakingUp), Edit::set_or_remove(Mark::HandedOn, found.hands_on)];
        services.record.mark_run(run, PLACE, "record that the Job is there", &there).await?;
        for planned in &found.beside {
            chain::jobs::create_job(services, facts, planned, target, run).await?;
        }
        Ok(())
    };
    match taken_up.await {
        Ok(()) => {
            services.session.next(PLACE, "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
        Err(cause) => Err(Failure {
            cause,
            place: PLACE.to_owned(),
            state: "The run stays in flight; the next watch goes on from here.".to_owned(),
            next: vec![Advice::status()],
        }),
    }
}

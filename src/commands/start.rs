//! `start` and `resume`: the first Job of a chain, or the one that the facts ask for; `--local` does it all in this process.

use tokio::time::Instant;

use super::{Asker, by_hand, failure, failure_in_run};
use crate::failure::{Advice, Cause, Class, Failure, Outcome, Purpose};
use crate::names::Mark;
use crate::plan::answer::Answer;
use crate::plan::facts::{Facts, JobState, Phase, Step};
use crate::plan::jobs::Planned;
use crate::plan::next::{self, Next};
use crate::plan::target::{self, Wanted};
use crate::plan::version::Version;
use crate::report::Event;
use crate::run::preflight::Preflight;
use crate::run::{Ctx, no_job_at_work, phases};
use crate::words::command;

/// Begins a run by hand: creates preflight's Job or, with `local`, performs all phases in this process.
pub async fn start(ctx: &Ctx, asker: &mut Asker, target: Version, local: bool) -> Result<Outcome, Failure> {
    let facts = ctx.observe().await.map_err(failure)?;
    if !ctx.dry_run {
        ctx.may_begin().await.map_err(failure)?;
    }
    let marks = &facts.marks;
    if marks.in_flight && (!local || marks.target != Some(target) || marks.run_id.is_none()) {
        let to = marks.target.map_or("an unknown target".to_owned(), |target| target.to_string());
        return Err(failure(
            Cause::contended(format!("a run to {to} is in flight")).next(Advice::status()).next(Advice::resume()),
        ));
    }
    let wanted = target::check_target(&facts, target).map_err(failure)?;
    if marks.in_flight {
        ctx.nobody_at_work(&facts).await.map_err(failure)?;
        asker.confirm(ctx, &format!("the run to {target} goes on where the facts say it stands")).await?;
        // From here on the watch leaves it alone, until `resume` gives it back to Jobs.
        let here = async {
            ctx.same_run(&facts).await.map_err(failure)?;
            let who = Some(ctx.identity.holder.clone());
            let run = facts.marks.run().map_err(failure)?;
            ctx.mark_run(run, "", "record that this process has the run", &[(Mark::Local, who)]).await.map_err(failure)?;
            run_here(ctx, target).await
        };
        return by_hand(ctx, here).await;
    }
    let Wanted::Upgrade(kind) = wanted else {
        ctx.found("", format!("every node is at {target}: nothing to do"));
        return Ok(Outcome::Nothing);
    };
    ctx.nobody_by_hand().await.map_err(failure)?;
    // An index that only the cluster can reach is asked by preflight.
    if let Answer::Known(false) = ctx.released(target).await {
        return Err(failure(ctx.not_released(target)));
    }
    let running = target::running(&facts).map_or("?".to_owned(), |version| version.to_string());
    let nodes: Vec<&str> = facts.managed().map(|node| node.name.as_str()).collect();
    let order: Vec<&str> =
        crate::plan::order::order(&facts, &ctx.settings.policy()).iter().map(|node| node.name.as_str()).collect();
    let what = format!("{running} → {target} ({kind}), {} nodes one after the other: {}", nodes.len(), order.join(", "));
    if ctx.dry_run {
        ctx.found("", what);
    } else {
        asker.confirm(ctx, &what).await?;
    }
    if local {
        return by_hand(ctx, run_here(ctx, target)).await;
    }
    match next::first(&facts, &ctx.settings.policy(), target).map_err(failure)? {
        Next::Create(planned) if ctx.dry_run => {
            ctx.found("", format!("would create Job {} on {}", planned.job, planned.place()));
            ctx.next("", "start it with", &command!("k8s-upgrade start --target {}", target));
            Ok(Outcome::Nothing)
        }
        Next::Create(planned) => {
            ctx.create_job(&facts, &planned, target, &ctx.new_run()).await.map_err(failure)?;
            ctx.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
        Next::Running(job) => Err(failure(Cause::contended(format!("Job {job} is at work already")))),
        Next::Done => Ok(Outcome::Nothing),
    }
}

/// Creates the Job that the facts ask for; a finished one of its name makes room.
pub async fn resume(ctx: &Ctx, asker: &mut Asker, local: bool) -> Result<Outcome, Failure> {
    let facts = ctx.observe_settled().await.map_err(failure)?;
    if !ctx.dry_run {
        ctx.may_begin().await.map_err(failure)?;
    }
    if let (Some(target), true) = (facts.marks.target, facts.marks.in_flight) {
        found(ctx, &facts, target);
        if local {
            return start(ctx, asker, target, true).await;
        }
    }
    if !ctx.dry_run {
        ctx.nobody_by_hand().await.map_err(failure)?;
    }
    if facts.marks.local.is_some() && !ctx.dry_run {
        let run = facts.marks.run().map_err(failure)?;
        ctx.mark_run(run, "", "give the run back to Jobs", &[(Mark::Local, None)]).await.map_err(failure)?;
    }
    match next::next(&facts, &ctx.settings.policy(), None).map_err(failure)? {
        Next::Done => match next::unclaimed(&facts) {
            Some(target) if !ctx.dry_run => {
                ctx.found("", format!("found: the run to {target} ended in its preflight, and nothing of it is left"));
                start(ctx, asker, target, local).await
            }
            Some(target) => {
                ctx.found("", format!("would begin the run to {target} anew, which ended in its preflight"));
                ctx.next("", "do it with", "k8s-upgrade resume");
                Ok(Outcome::Nothing)
            }
            None => {
                ctx.found("", "no run is in flight: nothing to resume");
                Ok(Outcome::Nothing)
            }
        },
        Next::Running(job) => {
            let between = facts.jobs.iter().any(|fact| fact.name == job && fact.is_between());
            ctx.found(
                "",
                match between {
                    true => format!("the last try of Job {job} has failed; the next one comes by itself"),
                    false => format!("Job {job} is at work: it creates its successor itself"),
                },
            );
            ctx.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Nothing)
        }
        Next::Create(planned) if ctx.dry_run => {
            ctx.found("", format!("would create Job {} on {}", planned.job, planned.place()));
            ctx.found("", why(&facts, &planned));
            ctx.next("", "do it with", "k8s-upgrade resume");
            Ok(Outcome::Nothing)
        }
        Next::Create(planned) => {
            if facts.marks.told.is_some() {
                // Somebody tries again who wants to know how it ends.
                let run = facts.marks.run().map_err(failure)?;
                ctx.mark_run(run, "", "forget what Slack was told", &[(Mark::Told, None)]).await.map_err(failure)?;
            }
            let (Some(target), Some(run)) = (facts.marks.target, &facts.marks.run_id) else {
                return Err(failure(Cause::refused(
                    "the run in flight has no target or no run id: it was not begun by this program",
                )));
            };
            ctx.found("", why(&facts, &planned));
            ctx.create_job(&facts, &planned, target, run).await.map_err(failure)?;
            ctx.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
    }
}

/// What `resume` finds: how far the run is, how its Jobs failed, which nodes are in the middle.
fn found(ctx: &Ctx, facts: &Facts, target: Version) {
    let (done, total) = phases::progress(facts, &ctx.settings.policy(), target);
    ctx.found("", format!("found: the run to {target}, {done} of {total} phases done"));
    for skip in &facts.marks.skipped {
        ctx.found("", format!("found: skipped by force: {skip}"));
    }
    for job in &facts.jobs {
        if let JobState::Failed { reason, exit } = &job.state {
            let exit = exit.map_or(String::new(), |exit| format!(", exit {exit}"));
            ctx.found("", format!("found: Job {} failed ({reason}{exit})", job.name));
        }
    }
    for node in facts.nodes.iter().filter(|node| node.cordoned_by.is_some() || node.unrecorded()) {
        ctx.found(&node.name, "found: in the middle of its upgrade, out of service");
    }
}

/// Why it is this Job that comes next.
fn why(facts: &Facts, planned: &Planned) -> String {
    let step = planned.step.token();
    let node = planned.step.node.as_deref().and_then(|name| facts.node(name));
    let why = match node.is_some_and(|node| node.cordoned_by.is_some() || node.unrecorded()) {
        true => format!("{step} was begun: what is half done comes first"),
        false => format!("{step} is the first step that the facts call undone"),
    };
    let room = planned.replaces.as_ref().map_or("", |_| "; the finished Job of this name makes room");
    format!("{why}{room}")
}

/// All phases in this process, by the same facts: a run that was begun and cut is taken up where it stands.
async fn run_here(ctx: &Ctx, target: Version) -> Result<Outcome, Failure> {
    let run = ctx.observe().await.map_err(failure)?.marks.run_id.unwrap_or_else(|| ctx.new_run());
    loop {
        let facts = ctx.observe().await.map_err(failure)?;
        let policy = ctx.settings.policy();
        no_job_at_work(&facts).map_err(failure)?;
        let Some(link) = next::chain(&facts, &policy, target).into_iter().find(|link| !link.done) else {
            return Err(failure(Cause::bug("a run in flight has no step left")));
        };
        let (done, total) = phases::progress(&facts, &policy, target);
        let Step { phase, node } = link.step;
        let place = node.clone().unwrap_or_else(|| phase.word().to_owned());
        ctx.emit(&Event::PhaseStarted { place: place.clone(), phase, done, total });
        let begun = Instant::now();
        let result = match (phase, &node) {
            (Phase::Preflight, _) => match ctx.preflight(target, &run).await {
                Ok(Preflight::Ready) => Ok(()),
                Ok(Preflight::NothingToDo) => return Ok(Outcome::Nothing),
                Err(not_ready) => Err(not_ready.cause),
            },
            (Phase::Postflight, _) => ctx.postflight(target, Some(&run)).await,
            (_, Some(node)) => ctx.node_phase(node, target, &run).await,
            (_, None) => Err(Cause::bug("a node's phase without a node")),
        };
        if let Err(cause) = result {
            let class = cause.class;
            let mut failure = failure_in_run(ctx, &place, cause).await;
            if class != Class::Usage {
                failure.next.retain(|advice| advice.purpose != Purpose::GoOn);
                let again =
                    command!("k8s-upgrade start --target {} --local      # goes on where the facts say it stands", target);
                failure.next.push(Advice::go_on(again));
            }
            super::phases::tell(ctx, &failure).await;
            return Err(failure);
        }
        ctx.emit(&Event::PhaseDone { place, phase, took: begun.elapsed() });
        if phase == Phase::Postflight {
            return Ok(Outcome::Done);
        }
    }
}

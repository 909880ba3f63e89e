//! `halt`: stops upgrades until a person lifts it.

use super::{Asker, failure};
use crate::cli::Halt as Options;
use crate::failure::{Cause, Failure, Outcome};
use crate::names;
use crate::plan::facts::{Facts, JobState};
use crate::plan::halt::Halt;
use crate::report::Notice;
use crate::run::Ctx;
use crate::words::{command, ssh};

/// Halts upgrades in the way that a person chose, or lifts exactly what was set.
pub async fn halt(ctx: &Ctx, asker: &mut Asker, options: Options) -> Result<Outcome, Failure> {
    let facts = ctx.observe_as_it_is().await.map_err(failure)?;
    if options.lift {
        return lift(ctx, &facts).await;
    }
    let former = facts.marks.halted.as_ref();
    if options.now {
        let jobs: Vec<&str> = at_work(&facts).collect();
        let what = if jobs.is_empty() { "no Job is at work".to_owned() } else { format!("{} will be deleted", jobs.join(", ")) };
        let state = "what kubeadm or apt does on a node is left to finish; the run stays in flight, a node may stay cordoned";
        asker.confirm(ctx, &format!("{what}; {state}.")).await?;
    }
    let running = ctx.detection_suspended().await.map_err(failure)? == Some(false);
    let halt = Halt {
        by: ctx.identity.holder.clone(),
        at: Some(ctx.now()),
        reason: options.reason.map(String::from).unwrap_or_default(),
        run: !(options.detection_only || options.blocker_alert),
        suspended: running && !options.blocker_alert,
        blocker: options.blocker_alert,
    }
    .beside(former);
    // First of all: from here on nothing begins, and `--lift` knows what to undo.
    ctx.record_halt(Some(&halt)).await.map_err(failure)?;
    let mut unknown = Vec::new();
    let set = async {
        if running && halt.suspended {
            ctx.suspend_detection(true).await?;
        }
        if options.blocker_alert {
            ctx.block(true).await?;
        }
        if options.now {
            ctx.units_ended(&facts, &mut unknown).await?;
            for job in facts.jobs.iter().filter(|job| job.state == JobState::Active) {
                ctx.delete_job(&job.name, &job.uid).await?;
                ctx.did("halt", format!("Job {} is deleted", job.name));
            }
            ctx.units_ended(&facts, &mut unknown).await?;
        }
        Ok(())
    };
    set.await.map_err(half_set)?;
    ctx.did("halt", halt.to_string());
    if halt.run {
        for job in at_work(&facts).filter(|_| !options.now) {
            ctx.found("halt", format!("Job {job} stops at its next safe point; a node in work is finished first"));
        }
    }
    if let Some(driver) = ctx.driver().await.map_err(half_set)?.filter(|driver| halt.run && driver.lives(ctx.now())) {
        ctx.found("halt", format!("{} stops at its next safe point, too", driver.by));
    }
    for node in unknown {
        let log = command!("sudo tail -n 50 {}/work/log", names::NODE_DIR);
        let look = ssh(&ctx.settings.ssh_user, &node, ctx.settings.ssh_port, &log);
        ctx.warn(&node, format!("UNKNOWN: before you touch it, see that kubeadm and apt have ended: {look}"));
    }
    if options.now {
        left_out(ctx).await.map_err(half_set)?;
    }
    if facts.marks.in_flight && !halt.run {
        ctx.found("halt", if halt.blocker { "the run in flight holds at its next gate" } else { "the run in flight goes on" });
    }
    if facts.marks.in_flight && halt.run {
        ctx.found("halt", "the run stays in flight: K8sUpgradeStalled will fire after 90 minutes, to say so");
    }
    ctx.next("halt", "take it back with", "k8s-upgrade halt --lift");
    ctx.notify(&Notice::Halted(halt)).await;
    Ok(Outcome::Done)
}

fn at_work(facts: &Facts) -> impl Iterator<Item = &str> {
    facts.jobs.iter().filter(|job| job.state == JobState::Active).map(|job| job.name.as_str())
}

/// Which nodes the deleted Jobs have left in the middle.
async fn left_out(ctx: &Ctx) -> Result<(), Cause> {
    for node in ctx.observe_as_it_is().await?.nodes.iter().filter(|node| node.cordoned_by.is_some() || node.unrecorded()) {
        ctx.found(&node.name, "stays cordoned, in the middle of its upgrade, until the run goes on");
    }
    Ok(())
}

fn half_set(cause: Cause) -> Failure {
    Failure {
        cause,
        place: "halt".to_owned(),
        state: "The halt is recorded and holds; not all that it asks for was done.".to_owned(),
        next: vec!["k8s-upgrade halt …      # the same again".into(), "k8s-upgrade halt --lift".into()],
    }
}

/// Undoes what the record says was set, and then forgets it.
async fn lift(ctx: &Ctx, facts: &Facts) -> Result<Outcome, Failure> {
    let Some(halt) = &facts.marks.halted else {
        ctx.found("halt", "nothing is halted: nothing to lift");
        return Ok(Outcome::Nothing);
    };
    let lifted = async {
        if halt.blocker {
            ctx.block(false).await?;
        }
        if halt.suspended && ctx.detection_suspended().await? == Some(true) {
            ctx.suspend_detection(false).await?;
        }
        ctx.record_halt(None).await
    };
    lifted.await.map_err(|cause| Failure {
        cause,
        place: "halt".to_owned(),
        state: "The halt still holds.".to_owned(),
        next: vec!["k8s-upgrade halt --lift".into()],
    })?;
    ctx.did("halt", "lifted");
    if facts.marks.in_flight && halt.run {
        ctx.next("halt", "the run goes on with", "k8s-upgrade resume");
    }
    ctx.notify(&Notice::Lifted { by: ctx.identity.holder.clone() }).await;
    Ok(Outcome::Done)
}

//! `clear-state`: what is left of a run that was given up, or that ended without its end.

use super::{Asker, failure};
use crate::failure::{Cause, Class, Failure, Outcome};
use crate::plan::facts::{Facts, JobFact, JobState, Node, RunMarks};
use crate::plan::screen::Driver;
use crate::run::Ctx;

const PLACE: &str = "clear-state";

/// What will be done, found before anything is asked.
struct Found<'a> {
    /// Nodes with our cordon, and whether they may serve again: one that is half changed stays cordoned, from then on a person's.
    cordons: Vec<(&'a Node, bool)>,
    /// Unfinished Jobs that no node runs.
    jobs: Vec<&'a JobFact>,
    leases: Vec<&'a Node>,
    /// A person's process died.
    driver: Option<Driver>,
}

pub async fn clear(ctx: &Ctx, asker: &mut Asker) -> Result<Outcome, Failure> {
    let facts = ctx.observe().await.map_err(failure)?;
    let found = look(ctx, &facts).await.map_err(failure)?;
    if !facts.marks.in_flight
        && found.cordons.is_empty()
        && found.jobs.is_empty()
        && found.leases.is_empty()
        && found.driver.is_none()
    {
        ctx.push_marks(&facts.marks).await;
        ctx.found(PLACE, "no run is in flight, and nothing of one is left; its gauges are 0");
        return Ok(Outcome::Nothing);
    }
    tell(ctx, &facts, &found);
    asker.confirm(ctx, "All that goes for good; the run cannot be resumed afterwards.")?;
    match forget(ctx, &found).await {
        Ok(()) => {
            ctx.did(PLACE, "cleared; a person's cordons, finished Jobs and the nodes' versions are as they were");
            ctx.say(&format!("🧹 {}: the state of the run was cleared by {}", ctx.settings.cluster_name, ctx.identity.holder))
                .await;
            Ok(Outcome::Done)
        }
        Err(cause) => Err(Failure {
            cause,
            place: PLACE.to_owned(),
            state: "Not all is cleared; the run is still marked as in flight if it was.".to_owned(),
            next: vec!["k8s-upgrade clear-state".to_owned()],
        }),
    }
}

/// Refuses while anything of the run is at work: a Job, whoever holds a node's Lease, a unit on a node.
async fn look<'a>(ctx: &Ctx, facts: &'a Facts) -> Result<Found<'a>, Cause> {
    let active = || facts.jobs.iter().filter(|job| job.state == JobState::Active);
    if let Some(job) = active().find(|job| job.pods.iter().any(|pod| pod.node.is_some())) {
        return Err(Cause::contended(format!("Job {} is at work", job.name)).next("k8s-upgrade halt --now"));
    }
    ctx.nobody_by_hand().await?;
    let driver = ctx.driver().await?;
    let mut leases = Vec::new();
    for node in &facts.nodes {
        if let Some(other) = ctx.other_on(&node.name).await? {
            return Err(Cause::contended(format!("{} is at work on {}, or was until a moment ago", other.by, node.name)));
        }
        if ctx.has_lease(&node.name).await? {
            leases.push(node);
        }
    }
    let mut cordons = Vec::new();
    for node in &facts.nodes {
        // Who does not answer and is in service has no work of ours; of one that is out of service that must be known.
        let ours = node.cordoned_by.is_some() || node.unrecorded();
        let state = match ctx.settled(node).await {
            Ok(state) => state,
            Err(cause) if cause.class == Class::Unreachable && !ours && !node.unschedulable => {
                ctx.warn(&node.name, format!("could not be asked, and is in service: passed over: {}", cause.what));
                continue;
            }
            Err(cause) => return Err(cause),
        };
        if node.cordoned_by.is_some() {
            let whole = facts.marks.target.is_some_and(|target| {
                let to = target.to_string();
                !state.touched(&to) || (node.is_upgraded(target) && state.finished(&to))
            });
            cordons.push((node, whole));
        }
    }
    Ok(Found { cordons, jobs: active().collect(), leases, driver })
}

fn tell(ctx: &Ctx, facts: &Facts, found: &Found<'_>) {
    let RunMarks { in_flight, target, .. } = &facts.marks;
    if let (true, Some(target)) = (in_flight, target) {
        let at_target = facts.managed().all(|node| node.is_upgraded(*target));
        if at_target {
            ctx.found(
                PLACE,
                format!("a leaked latch: every node is at {target}, no Job is at work, and the run is still marked"),
            );
            ctx.found(PLACE, "`k8s-upgrade resume` would verify the cluster first, and then clear the same");
        } else {
            let old: Vec<&str> =
                facts.managed().filter(|node| !node.is_upgraded(*target)).map(|node| node.name.as_str()).collect();
            ctx.found(PLACE, format!("the run to {target} is given up; not there: {}", old.join(", ")));
        }
    }
    for job in &found.jobs {
        ctx.found(PLACE, format!("Job {} never began: it is deleted", job.name));
    }
    for (node, whole) in &found.cordons {
        let what = match whole {
            true => "our cordon is taken back: it serves again",
            false => "is half upgraded, or may be: it stays cordoned, and that cordon is yours from then on (kubectl uncordon)",
        };
        ctx.found(&node.name, what);
    }
    for node in &found.leases {
        ctx.found(&node.name, "its stale Lease is removed");
    }
    if let Some(driver) = &found.driver {
        ctx.found(PLACE, format!("the stale Lease of {} is removed", driver.by));
    }
    if *in_flight {
        ctx.found(PLACE, "the gauges become 0, and the run's annotations are removed");
    }
}

/// Gauges first, in-flight last: who dies in between leaves a run that can be cleared again.
async fn forget(ctx: &Ctx, found: &Found<'_>) -> Result<(), Cause> {
    for job in &found.jobs {
        ctx.delete_job(&job.name, &job.uid).await?;
    }
    for (node, whole) in &found.cordons {
        ctx.leave_cordon(&node.name, *whole).await?;
    }
    for node in &found.leases {
        ctx.expire(&node.name).await?;
    }
    if found.driver.is_some() {
        ctx.expire_driver().await?;
    }
    ctx.push_marks(&RunMarks::default()).await;
    ctx.clear_run(PLACE).await
}

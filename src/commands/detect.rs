//! `detect`: what the weekly CronJob runs.

use serde_json::json;

use super::failure;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::facts::Facts;
use crate::plan::next::{self, Next};
use crate::run::Ctx;

const PLACE: &str = "detect";

pub async fn detect(ctx: &Ctx) -> Result<Outcome, Failure> {
    let facts = ctx.observe().await.map_err(failure)?;
    if !ctx.dry_run && facts.marks.in_flight {
        ctx.push_marks(&facts.marks).await;
        let target = facts.marks.target.map_or("an unknown target".to_owned(), |target| target.to_string());
        ctx.note(PLACE, format!("a run to {target} is in flight: newer releases wait for its end"));
        return Ok(Outcome::Nothing);
    }
    let found = ctx.detect(&facts).await.map_err(failure)?;
    if !ctx.dry_run {
        ctx.push_detection(&facts, &found).await;
    }
    let not_now = match found.target {
        Some(_) => not_now(ctx, &facts).await.map_err(failure)?,
        None => None,
    };
    if ctx.json {
        let available =
            |a: &crate::plan::detect::Available| json!({ "kind": a.kind.word(), "target": a.target.map(|v| v.to_string()) });
        let data = json!({
            "running": found.running.to_string(),
            "available": found.available.iter().map(available).collect::<Vec<_>>(),
            "target": found.target.map(|target| target.to_string()),
            "unknown": found.unknown,
            "deferred": not_now,
        });
        ctx.print(&format!("{data:#}\n")).map_err(failure)?;
    } else {
        for available in &found.available {
            let target = available.target.map_or("none".to_owned(), |target| target.to_string());
            ctx.print(&format!("{:5}  running {}  available {target}\n", available.kind.word(), found.running))
                .map_err(failure)?;
        }
    }
    let Some(target) = found.target else {
        if found.unknown.is_empty() {
            ctx.note(PLACE, format!("{} is the newest release that this cluster can go to", found.running));
            return Ok(Outcome::Nothing);
        }
        return Err(failure(
            Cause::unreachable("the package index could not be read, so whether there is a new release is not known")
                .detail(found.unknown),
        ));
    };
    // It is in that person's log, and no news to anybody else; the next detection tries again.
    if let Some(why) = not_now {
        ctx.note(PLACE, format!("deferred: {target} is there, but {why}"));
        return Ok(Outcome::Deferred);
    }
    if ctx.dry_run || ctx.settings.detection_dry_run {
        ctx.note(PLACE, format!("would start the chain to {target}"));
        return Ok(Outcome::Nothing);
    }
    ctx.installable(&facts, target).await.map_err(failure)?;
    match next::first(&facts, &ctx.settings.policy(), target).map_err(failure)? {
        Next::Create(planned) => {
            ctx.create_job(&facts, &planned, target, &ctx.new_run()).await.map_err(failure)?;
            Ok(Outcome::Done)
        }
        Next::Running(job) => {
            ctx.note(PLACE, format!("Job {job} is at work already"));
            Ok(Outcome::Nothing)
        }
        Next::Done => Ok(Outcome::Nothing),
    }
}

/// Why nothing may be started now, whatever there is: a person has halted it, or works by hand.
async fn not_now(ctx: &Ctx, facts: &Facts) -> Result<Option<String>, Cause> {
    if let Some(halt) = facts.marks.halted.as_ref().filter(|halt| halt.run) {
        return Ok(Some(halt.to_string()));
    }
    Ok(ctx.other_driver().await?.map(|driver| format!("driven by {}", driver.by)))
}

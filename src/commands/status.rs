//! `status`: where a run stands, what blocks it, what to do next.

use super::failure;
use crate::failure::{Cause, Class, Failure, Outcome};
use crate::plan::health;
use crate::plan::screen::{Screen, Seen};
use crate::plan::status;
use crate::report::{self, Printed};
use crate::run::Ctx;

/// One screen: where the run stands, what blocks it, and what to type next.
pub async fn status(ctx: &Ctx) -> Result<Outcome, Failure> {
    let seen = ctx.look().await.map_err(away)?;
    let printed = written(ctx, &screen(ctx, &seen)).and_then(|screen| ctx.print(&screen));
    printed.map_err(failure)?;
    Ok(Outcome::Done)
}

/// Each check on a line; one that is not ok refuses.
pub async fn health(ctx: &Ctx) -> Result<Outcome, Failure> {
    let seen = ctx.health().await.map_err(failure)?;
    let checks = health::checks(&seen, &ctx.settings.policy(), ctx.settings.drain_unstick, &ctx.namespace, ctx.now());
    let cluster = &ctx.settings.cluster_name;
    let text = match ctx.json {
        true => Printed::pretty(&report::health_data(&checks, cluster)).map_err(failure)?,
        false => report::health_text(&checks, cluster),
    };
    ctx.print(&text).map_err(failure)?;
    let wrong = checks.iter().filter(|check| !check.ok).count();
    if wrong == 0 {
        return Ok(Outcome::Done);
    }
    // What each says, and what to type, stands above.
    let cause = Cause::refused(format!("{wrong} of {} checks are not ok", checks.len()));
    Err(Failure { cause, place: String::new(), state: String::new(), next: Vec::new() })
}

/// An API server that does not answer: its nodes may.
fn away(cause: Cause) -> Failure {
    match cause.class {
        Class::Unreachable => failure(cause.next("k8s-upgrade status --hosts    # asks the nodes, by SSH alone")),
        _ => failure(cause),
    }
}

/// The screen as data, out of what was seen.
pub(super) fn screen(ctx: &Ctx, seen: &Seen) -> Screen {
    status::screen(seen, &ctx.settings.policy(), &ctx.settings.cluster_name, &ctx.namespace, ctx.now())
}

fn written(ctx: &Ctx, screen: &Screen) -> Result<Printed, Cause> {
    match ctx.json {
        true => Printed::pretty(&report::status_data(screen, ctx.now())),
        false => Ok(report::status_text(screen, ctx.now())),
    }
}

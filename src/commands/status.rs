//! `status`: where a run stands, what blocks it, what to do next.

use super::failure;
use crate::failure::{Failure, Outcome};
use crate::plan::screen::{Screen, Seen};
use crate::plan::status;
use crate::report;
use crate::run::Ctx;

pub async fn status(ctx: &Ctx) -> Result<Outcome, Failure> {
    let seen = ctx.look().await.map_err(failure)?;
    ctx.print(&written(ctx, &screen(ctx, &seen))).map_err(failure)?;
    Ok(Outcome::Done)
}

fn screen(ctx: &Ctx, seen: &Seen) -> Screen {
    status::screen(seen, &ctx.settings.policy(), &ctx.settings.cluster_name, &ctx.namespace, ctx.now())
}

fn written(ctx: &Ctx, screen: &Screen) -> String {
    match ctx.json {
        true => format!("{:#}\n", report::status_data(screen, ctx.now())),
        false => report::status_text(screen, ctx.now()),
    }
}

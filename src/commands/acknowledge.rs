//! `acknowledge`: what kubeadm would write over, and that it may.

use serde_json::json;

use super::{Asker, failure};
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::losses::{self, Difference};
use crate::report::Printed;
use crate::run::Ctx;

/// Shows what kubeadm would write over; with the `id` of exactly that, records that a person means to lose it.
pub async fn acknowledge(ctx: &Ctx, asker: &mut Asker, id: Option<String>) -> Result<Outcome, Failure> {
    let facts = ctx.observe().await.map_err(failure)?;
    let open = ctx.losses(&facts).await.map_err(failure)?;
    let now = losses::id(&open);
    let Some(id) = id else { return show(ctx, &open, &now) };
    if open.is_empty() {
        ctx.found("", "nothing is left to acknowledge: kubeadm would write over nothing that was not acknowledged");
        return Ok(Outcome::Nothing);
    }
    if id != now {
        let Err(cause) = losses::verdict(&open) else { return Ok(Outcome::Nothing) };
        return Err(failure(Cause { what: format!("{id} does not name what is there now: {}", cause.what), ..cause }));
    }
    open.iter().for_each(|difference| ctx.found("", difference.line()));
    asker.confirm(ctx, "the next run may lose all that").await?;
    ctx.acknowledge(&open).await.map_err(failure)?;
    let on = if facts.marks.in_flight {
        "k8s-upgrade resume"
    } else {
        "k8s-upgrade start --target X.Y.Z, or wait for the next detection"
    };
    ctx.did("", "recorded, until a run ends");
    ctx.next("", "to go on", on);
    Ok(Outcome::Done)
}

fn show(ctx: &Ctx, open: &[Difference], id: &str) -> Result<Outcome, Failure> {
    let text = if ctx.json {
        let changes: Vec<_> =
            open.iter().map(|one| json!({ "place": one.place, "what": one.what, "digest": one.digest() })).collect();
        let id = if open.is_empty() { None } else { Some(id) };
        Printed::pretty(&json!({ "id": id, "changes": changes })).map_err(failure)?
    } else {
        Printed::lines(open.iter().map(Difference::line))
    };
    ctx.print(&text).map_err(failure)?;
    if open.is_empty() {
        ctx.note("", "kubeadm would write over nothing that was not acknowledged");
        return Ok(Outcome::Nothing);
    }
    for next in losses::verdict(open).err().map(|cause| cause.next).into_iter().flatten() {
        ctx.next("", "type", &next.command);
    }
    Ok(Outcome::Done)
}

//! `drain NODE`: as the chain does, but the cordon is the operator's and stays.

use serde_json::json;

use super::{Asker, by_hand, failure, failure_in_run};
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::drain::Loss;
use crate::report::Printed;
use crate::run::{Ctx, no_job_at_work};
use crate::words::command;

/// Cordons and drains by hand, as the chain does, and leaves the node cordoned. Dry, it only forecasts.
pub async fn drain(ctx: &Ctx, asker: &mut Asker, node: &str, dry_run: bool) -> Result<Outcome, Failure> {
    if ctx.node_now(node).await.map_err(failure)?.is_none() {
        return Err(failure(Cause::usage(format!("{node} is no node of this cluster")).next("kubectl get nodes")));
    }
    let facts = ctx.observe().await.map_err(failure)?;
    if dry_run {
        return forecast(ctx, node).await;
    }
    ctx.nobody_at_work(&facts).await.map_err(failure)?;
    asker.confirm(ctx, &format!("{node} will be cordoned and drained; it stays cordoned.")).await?;
    by_hand(ctx, drained(ctx, node)).await
}

/// A look of its own: the question may have stood for hours.
async fn drained(ctx: &Ctx, node: &str) -> Result<Outcome, Failure> {
    no_job_at_work(&ctx.observe().await.map_err(failure)?).map_err(failure)?;
    match ctx.drain_by_hand(node).await {
        Ok(()) => {
            ctx.did(node, "drained; it stays cordoned");
            ctx.next(node, "let it serve again with", &command!("kubectl uncordon {}", node));
            Ok(Outcome::Done)
        }
        Err(cause) => Err(failure_in_run(ctx, node, cause).await),
    }
}

async fn forecast(ctx: &Ctx, node: &str) -> Result<Outcome, Failure> {
    let forecast = ctx.forecast(node).await.map_err(failure)?;
    if ctx.json {
        let pods: Vec<_> = forecast.iter().map(|f| json!({ "pod": f.pod, "held": f.held, "loses": losses(&f.loses) })).collect();
        let printed = Printed::pretty(&json!({ "node": node, "pods": pods }));
        printed.and_then(|printed| ctx.print(&printed)).map_err(failure)?;
    } else {
        for f in &forecast {
            let held = f.held.as_deref().map_or("evictable".to_owned(), |held| format!("held: {held}"));
            let losses = losses(&f.loses);
            let loses = if losses.is_empty() { String::new() } else { format!("  (loses {})", losses.join(" and ")) };
            ctx.print(&Printed::lines([format!("{}  {held}{loses}", f.pod)])).map_err(failure)?;
        }
    }
    let held: Vec<&str> = forecast.iter().filter(|f| f.held.is_some()).map(|f| f.pod.as_str()).collect();
    ctx.note(node, format!("{} pods would be evicted, {} of them are held now", forecast.len(), held.len()));
    ctx.next(node, "drain it with", &command!("k8s-upgrade drain {}", node));
    Ok(Outcome::Done)
}

fn losses(losses: &[Loss]) -> Vec<&'static str> {
    losses
        .iter()
        .map(|loss| match loss {
            Loss::LocalData => "its emptyDir data",
            Loss::Pod => "itself: nothing makes it anew",
        })
        .collect()
}

//! `upgrade-node NODE`.

use super::phases::{successor, told};
use super::{Asker, by_hand, failure, of_run, target_of};
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::target;
use crate::plan::version::Version;
use crate::run::Ctx;
use crate::words::RunId;
use crate::words::command;

/// One node's phase: for a Job of the chain, which then creates its successor, or by a person's hand.
pub async fn upgrade(
    ctx: &Ctx,
    asker: &mut Asker,
    node: &str,
    target: Option<Version>,
    run: Option<RunId>,
) -> Result<Outcome, Failure> {
    ctx.about(None, None, Some(node));
    let (target, marked) = target_of(ctx, target).await?;
    let run = run.unwrap_or(marked);
    ctx.about(Some(&run), Some(target), None);
    let facts = ctx.observe().await.map_err(failure)?;
    if ctx.chain && !of_run(&facts, &run) {
        ctx.note(node, format!("run {run} is not in flight any more: nothing to do"));
        return Ok(Outcome::Nothing);
    }
    if !ctx.chain {
        ctx.nobody_at_work(&facts).await.map_err(failure)?;
        if facts.node(node).is_none() {
            let names: Vec<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
            return Err(failure(
                Cause::usage(format!("{node} is no node of this cluster")).detail([format!("nodes: {}", names.join(", "))]),
            ));
        }
        target::check_target(&facts, target).map_err(failure)?;
        asker.confirm(ctx, &format!("{node} will be drained, upgraded to {target} and put back in service.")).await?;
    }
    if !ctx.chain {
        let alone = async {
            ctx.same_run(&facts).await.map_err(failure)?;
            phase(ctx, node, target, &run, facts.marks.in_flight).await
        };
        return by_hand(ctx, alone).await;
    }
    phase(ctx, node, target, &run, facts.marks.in_flight).await
}

async fn phase(ctx: &Ctx, node: &str, target: Version, run: &RunId, in_flight: bool) -> Result<Outcome, Failure> {
    match ctx.node_phase(node, target, run).await {
        Ok(()) if ctx.chain => successor(ctx, node, run).await,
        Ok(()) => {
            if in_flight {
                ctx.next(node, "the run goes on with", "k8s-upgrade resume");
            }
            Ok(Outcome::Done)
        }
        Err(cause) if in_flight => Err(told(ctx, node, cause).await),
        // No run knows the target: a person has to name it again.
        Err(cause) => {
            let again = command!(
                "k8s-upgrade upgrade-node {} --target {}      # after mending it: goes on where it stands",
                node,
                target
            );
            Err(told(ctx, node, cause.next(again)).await)
        }
    }
}

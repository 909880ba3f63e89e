//! `upgrade-node NODE`.

use super::{Asker, by_hand, of_run, target_of};
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::decide::target;
use crate::plan::model::version::Version;
use crate::run::chain::phases::NodePhase;
use crate::run::{Services, chain, guards};
use crate::words::{RunId, command};

/// One node's phase: for a Job of the chain, which then creates its successor, or by a person's hand.
pub async fn upgrade(
    services: &Services,
    asker: &mut Asker,
    node: &str,
    target: Option<Version>,
    run: Option<RunId>,
) -> Result<Outcome, Failure> {
    services.session.about(None, None, Some(node));
    let (target, marked) = target_of(services, target).await?;
    let run = run.unwrap_or(marked);
    services.session.about(Some(&run), Some(target), None);
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    if services.session.chain && !of_run(&facts, &run) {
        services.session.note(node, format!("run {run} is not in flight any more: nothing to do"));
        return Ok(Outcome::Nothing);
    }
    if !services.session.chain {
        services.leases.nobody_at_work(&facts).await.map_err(Failure::nothing_begun)?;
        if facts.node(node).is_none() {
            let names: Vec<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
            return Err(Failure::nothing_begun(
                Cause::usage(format!("{node} is no node of this cluster")).detail([format!("nodes: {}", names.join(", "))]),
            ));
        }
        target::check_target(&facts, target).map_err(Failure::nothing_begun)?;
        asker.confirm(services, &format!("{node} will be drained, upgraded to {target} and put back in service.")).await?;
    }
    if !services.session.chain {
        let alone = async {
            guards::same_run(&services.observer, &facts).await.map_err(Failure::nothing_begun)?;
            phase(services, node, target, &run, facts.marks.in_flight).await
        };
        return by_hand(services, alone).await;
    }
    phase(services, node, target, &run, facts.marks.in_flight).await
}

async fn phase(services: &Services, node: &str, target: Version, run: &RunId, in_flight: bool) -> Result<Outcome, Failure> {
    match chain::phases::node_phase(services, node, target, run).await {
        Ok(NodePhase::Rests) => Ok(Outcome::Deferred),
        Ok(NodePhase::Done) if services.session.chain => chain::jobs::successor(services, node, run).await,
        Ok(NodePhase::Done) => {
            if in_flight {
                services.session.next(node, "the run goes on with", "k8s-upgrade resume");
            }
            Ok(Outcome::Done)
        }
        Err(cause) if in_flight => Err(chain::failures::told(services, node, cause).await),
        // No run knows the target: a person has to name it again.
        Err(cause) => {
            let again = command!(
                "k8s-upgrade upgrade-node {} --target {}      # after mending it: goes on where it stands",
                node,
                target
            );
            Err(chain::failures::told(services, node, cause.next(again)).await)
        }
    }
}

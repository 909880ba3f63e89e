//! `start --local`: all phases in this process.

use tokio::time::Instant;

use super::preflight::Preflight;
use crate::failure::{Advice, Cause, Class, Failure, Outcome, Purpose};
use crate::plan::decide::next;
use crate::plan::model::facts::{Phase, Step};
use crate::plan::model::version::Version;
use crate::report::Event;
use crate::run::guards::no_job_at_work;
use crate::run::services::Services;
use crate::words::command;

/// All phases in this process, by the same facts: a run that was begun and cut is taken up where it stands.
pub async fn run_here(services: &Services, target: Version) -> Result<Outcome, Failure> {
    let run = services
        .observer
        .observe()
        .await
        .map_err(Failure::nothing_begun)?
        .marks
        .run_id
        .unwrap_or_else(|| services.session.new_run());
    loop {
        let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
        let policy = services.settings.policy();
        no_job_at_work(&facts).map_err(Failure::nothing_begun)?;
        let Some(link) = next::chain(&facts, &policy, target).into_iter().find(|link| !link.done) else {
            return Err(Failure::nothing_begun(Cause::bug("a run in flight has no step left")));
        };
        let (done, total) = next::progress(&facts, &policy, target);
        let Step { phase, node } = link.step;
        let place = node.clone().unwrap_or_else(|| phase.word().to_owned());
        services.session.emit(&Event::PhaseStarted { place: place.clone(), phase, done, total });
        let begun = Instant::now();
        let result = match (phase, &node) {
            (Phase::Preflight, _) => match super::preflight::preflight(services, target, &run).await {
                Ok(Preflight::Ready) => Ok(()),
                Ok(Preflight::NothingToDo) => return Ok(Outcome::Nothing),
                Err(not_ready) => Err(not_ready.cause),
            },
            (Phase::Postflight, _) => super::phases::postflight(services, target, Some(&run)).await,
            (_, Some(node)) => super::phases::node_phase(services, node, target, &run).await.map(drop),
            (_, None) => Err(Cause::bug("a node's phase without a node")),
        };
        if let Err(cause) = result {
            let class = cause.class;
            let mut failure = super::failures::failure_in_run(services, &place, cause).await;
            if class != Class::Usage {
                failure.next.retain(|advice| advice.purpose != Purpose::GoOn);
                let again =
                    command!("k8s-upgrade start --target {} --local      # goes on where the facts say it stands", target);
                failure.next.push(Advice::go_on(again));
            }
            super::failures::tell(services, &failure).await;
            return Err(failure);
        }
        services.session.emit(&Event::PhaseDone { place, phase, took: begun.elapsed() });
        if phase == Phase::Postflight {
            return Ok(Outcome::Done);
        }
    }
}

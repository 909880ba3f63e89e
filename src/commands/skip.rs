//! `skip-phase`: skips a phase; by force only with a reason, and never as if it had passed.

use super::{Asker, by_hand};
use crate::cli::{PhaseName, Skip as Options};
use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::plan::decide::next;
use crate::plan::model::facts::{Facts, Phase, Step};
use crate::plan::model::halt::Skip;
use crate::plan::model::marks::Edit;
use crate::plan::model::version::Version;
use crate::report::Notice;
use crate::run::Services;
use crate::words::{RunId, command};

/// What will be skipped, found before anything is asked, and once more after it.
#[derive(PartialEq)]
struct SkipPlan {
    run: RunId,
    target: Version,
    step: Step,
    reason: String,
}

/// Goes past a step whose work is done; by force past a worker's that is not, and the run ends as partial.
pub async fn skip(services: &Services, asker: &mut Asker, options: Options) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let Some(shown) = wanted(services, &facts, &options).await.map_err(Failure::nothing_begun)? else {
        return Ok(Outcome::Nothing);
    };
    let (target, token) = (shown.target, shown.step.token());
    asker
        .confirm(services, &format!("The run to {target} will go past {token}, whose work is not done, and end as partial."))
        .await?;
    by_hand(services, perform(services, &options, &shown)).await
}

/// Alone, and by a look of its own: the question may have stood for hours.
async fn perform(services: &Services, options: &Options, shown: &SkipPlan) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let Some(wanted) = wanted(services, &facts, options).await.map_err(Failure::nothing_begun)? else {
        return Ok(Outcome::Nothing);
    };
    if wanted != *shown {
        return Err(Failure::nothing_begun(
            Cause::contended("the run in flight is not the one that was shown").next(Advice::status()),
        ));
    }
    let SkipPlan { run, target, step, reason } = wanted;
    let skip = Skip { step: step.token(), by: services.session.identity.holder.clone(), reason };
    let mut skips = facts.marks.skipped.clone();
    skips.push(skip.clone());
    services
        .record
        .mark_run(&run, "skip-phase", "record what is skipped", &[Edit::skipped(&skips)])
        .await
        .map_err(Failure::nothing_begun)?;
    services.session.notice("skip-phase", &Notice::Skipped { target, skip });
    services.session.next("skip-phase", "go on with", "k8s-upgrade resume");
    Ok(Outcome::Done)
}

/// None: there is nothing to skip, which is told.
async fn wanted(services: &Services, facts: &Facts, options: &Options) -> Result<Option<SkipPlan>, Cause> {
    let step = step(facts, options)?;
    let token = step.token();
    let Some(target) = facts.marks.target.filter(|_| facts.marks.in_flight) else {
        return Err(Cause::refused("no run is in flight: there is nothing to skip"));
    };
    if step.is_skipped(&facts.marks) {
        services.session.found("skip-phase", format!("{token} was skipped already"));
        return Ok(None);
    }
    let done = next::chain(facts, &services.settings.policy(), target).into_iter().any(|link| link.step == step && link.done);
    if done {
        services.session.found("skip-phase", format!("the facts show {token} done: the chain passes it by itself"));
        services.session.next("skip-phase", "go on with", "k8s-upgrade resume");
        return Ok(None);
    }
    services.leases.nobody_at_work(facts).await?;
    let reason = may_be_forced(facts, &step, options)?;
    Ok(Some(SkipPlan { run: facts.marks.run()?.clone(), target, step, reason }))
}

/// What is wrong with the command line alone, nobody needs to be asked for.
pub(super) fn phase(options: &Options) -> Result<Phase, Cause> {
    let phase = match options.phase {
        PhaseName::Preflight => Phase::Preflight,
        PhaseName::Master => Phase::Master,
        PhaseName::Worker => Phase::Worker,
        PhaseName::Postflight => Phase::Postflight,
    };
    let word = phase.word();
    match (phase, &options.node) {
        (Phase::Preflight | Phase::Postflight, Some(node)) => {
            Err(Cause::usage(format!("{word} is no node's phase: leave {node} away")))
        }
        (Phase::Master | Phase::Worker, None) => {
            Err(Cause::usage(format!("say which node's {word} phase: skip-phase {word} NODE")))
        }
        _ => Ok(phase),
    }
}

fn step(facts: &Facts, options: &Options) -> Result<Step, Cause> {
    let phase = phase(options)?;
    let Some(name) = &options.node else { return Ok(Step { phase, node: None }) };
    let node =
        facts.node(name).ok_or_else(|| Cause::usage(format!("{name} is no node of this cluster")).next("kubectl get nodes"))?;
    let step = Step::of(node);
    if step.phase == phase { Ok(step) } else { Err(Cause::usage(format!("the phase of {name} is {}", step.phase.word()))) }
}

/// The reason, if this may be skipped by force at all.
fn may_be_forced(facts: &Facts, step: &Step, options: &Options) -> Result<String, Cause> {
    let refused = |why: &str, next: &str| Err(Cause::refused(format!("{}: {why}", step.token())).next(next));
    match step.phase {
        Phase::Preflight if facts.marks.snapshot_path.is_none() => {
            return refused("there is no etcd snapshot yet, and nothing may go on without one", "k8s-upgrade resume");
        }
        Phase::Master => {
            return refused("no worker may be newer than a control plane: it cannot be skipped", "k8s-upgrade resume");
        }
        Phase::Postflight => {
            return refused("it is what ends the run; to give the run up, clear its state", "k8s-upgrade clear-state");
        }
        Phase::Preflight | Phase::Worker => {}
    }
    let node = step.node.as_deref().and_then(|name| facts.node(name));
    if let Some(node) = node.filter(|node| node.is_begun()) {
        return refused(&format!("{} is out of service by this run's doing: finish it first", node.name), "k8s-upgrade resume");
    }
    let forced = options.reason.as_ref().filter(|_| options.force).map(ToString::to_string);
    forced.ok_or_else(|| {
        let phase = step.phase.word();
        let command = match &step.node {
            Some(node) => command!("k8s-upgrade skip-phase {} {} --force --reason TEXT", phase, node),
            None => command!("k8s-upgrade skip-phase {} --force --reason TEXT", phase),
        };
        Cause::refused(format!("the facts do not show that {} is done", step.token())).next(command)
    })
}

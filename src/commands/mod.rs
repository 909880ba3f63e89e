//! One file a subcommand, thin: what is asked of `run`, and how its end is told.

mod acknowledge;
mod adopt;
mod approve;
mod asker;
mod at_once;
mod check;
mod clear;
mod complete;
mod detect;
mod docs;
mod document;
mod drain;
mod halt;
mod hosts;
mod install;
mod live;
mod manual;
mod node;
mod pause;
mod phases;
mod plan;
mod rehearse;
mod report;
mod rollback;
mod rotate;
#[cfg(test)]
mod schema_tests;
mod skip;
mod start;
mod status;
mod uninstall;
mod watch;
mod written;

use std::path::Path;

use futures::future::LocalBoxFuture;

use crate::cli::{Cli, Command, Global};
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::run::Services;
use crate::twin::Process;
use crate::words::RunId;
use crate::world::{KubeTarget, World};

pub use asker::{Asker, Asks};
pub use at_once::at_once;
pub use complete::complete;
pub use docs::{completions, man};
pub use document::document;
pub use install::{Printing, image, manifests};
pub use manual::pages;
pub use rehearse::Rehearsal;

/// Which API server a command line means, and as whom.
pub fn kube_target(global: &Global) -> KubeTarget {
    let Global { kubeconfig, context, cluster, user, as_user, as_groups, .. } = global.clone();
    KubeTarget { kubeconfig, context, cluster, user, as_user, as_groups }
}

/// A command that needs the cluster.
/// `process`: this program, for what it lives through in memory.
pub async fn run(
    services: &Services,
    asker: &mut Asker,
    process: &'static (dyn Process + Sync),
    cli: Cli,
) -> Result<Outcome, Failure> {
    let work: Work<'_> = match cli.command {
        Command::Detect { .. } => later(|| detect::detect(services)),
        Command::Approve { release, .. } => later(move || async move { approve::approve(services, asker, release).await }),
        Command::Start { target, local, only, .. } => {
            later(move || async move { start::start(services, asker, target, local, only.as_ref()).await })
        }
        Command::Resume { if_orphaned: true, .. } => later(|| watch::watch(services)),
        Command::Resume { local, .. } => later(|| start::resume(services, asker, local)),
        Command::Acknowledge { id, .. } => later(|| acknowledge::acknowledge(services, asker, id.map(String::from))),
        Command::Check { write_config, .. } => {
            later(move || async move { check::check(services, write_config.as_deref()).await })
        }
        Command::Adopt { write_config, .. } => {
            later(move || async move { adopt::adopt(services, write_config.as_deref()).await })
        }
        Command::Status { hosts: true, .. } => later(|| hosts::hosts(services)),
        Command::Status { health: true, .. } => later(|| status::health(services)),
        Command::Status { watch: true, .. } => later(|| live::watch(services)),
        Command::Status { all, .. } => later(move || status::status(services, all)),
        Command::Plan { target, output } => later(|| plan::plan(services, process, target, output)),
        Command::Report { run, output } => later(move || async move { report::report(services, run.as_deref(), output).await }),
        Command::Preflight { target, chain, .. } => later(|| phases::preflight(services, target, chain.run)),
        Command::UpgradeNode { node, target, chain, .. } => {
            later(move || async move { node::upgrade(services, asker, &node, target, chain.run).await })
        }
        Command::Postflight { target, chain, .. } => later(|| phases::postflight(services, target, chain.run)),
        Command::Drain { node, dry_run, .. } => later(move || async move { drain::drain(services, asker, &node, dry_run).await }),
        Command::Rollback { node, dry_run, .. } => {
            later(move || async move { rollback::rollback(services, asker, &node, dry_run).await })
        }
        Command::RotateKey { only, .. } => later(move || async move { rotate::rotate(services, asker, only.as_deref()).await }),
        Command::ClearState { .. } => later(|| clear::clear(services, asker)),
        Command::Uninstall { dry_run, .. } => later(move || async move { uninstall::uninstall(services, asker, dry_run).await }),
        Command::SkipPhase(options) => later(|| skip::skip(services, asker, options)),
        Command::Halt(options) => later(|| halt::halt(services, asker, options)),
        Command::Pause(options) => later(move || async move { pause::pause(services, &options.names).await }),
        Command::Unpause(options) => later(move || async move { pause::unpause(services, &options.names).await }),
        Command::Rehearse(_)
        | Command::Manifests(_)
        | Command::Image { .. }
        | Command::Completions { .. }
        | Command::Complete { .. }
        | Command::Man { .. } => {
            return Err(Failure::nothing_begun(Cause::bug("a command that changes no cluster was sent to one")));
        }
    };
    work.await
}

/// What a command does.
pub type Work<'a> = LocalBoxFuture<'a, Result<Outcome, Failure>>;

/// A command's future is as large as all that it may wait for: made here, none of them stands on the stack that the others run on.
#[inline(never)]
pub fn later<'a, F: Future<Output = Result<Outcome, Failure>> + 'a>(make: impl FnOnce() -> F) -> Work<'a> {
    Box::pin(make())
}

/// A file that is there is somebody's. `instead`: what to type where it is.
///
/// # Errors
/// Usage: it is there, or nobody can tell.
fn never_over(world: &World, file: &Path, instead: &str) -> Result<(), Cause> {
    match world.files.is_file(file) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Cause::usage(format!("{} is there already, and is not written over", file.display())).next(instead)),
        Err(error) => Err(Cause::usage(format!("cannot write {}: {error}", file.display()))),
    }
}

/// The release to go to: the one given, else the one of the run in flight.
async fn target_of(services: &Services, given: Option<Version>) -> Result<(Version, RunId), Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let run = facts.marks.run_id.clone().unwrap_or_else(RunId::by_hand);
    match (given, facts.marks.target.filter(|_| facts.marks.in_flight)) {
        (Some(given), Some(target)) if given != target => Err(Failure::nothing_begun(Cause::contended(format!(
            "a run to {target} is in flight: another target must wait for its end"
        )))),
        (Some(target), _) | (None, Some(target)) => Ok((target, run)),
        (None, None) => Err(Failure::nothing_begun(Cause::usage("no run is in flight: say where to go with --target X.Y.Z"))),
    }
}

/// The run of this id is the one in flight.
fn of_run(facts: &Facts, run: &str) -> bool {
    facts.marks.in_flight && facts.marks.run_id.as_deref() == Some(run)
}

/// Work that others must see though no Job does it.
async fn by_hand(services: &Services, work: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
    services.leases.drive(work).await.map_err(Failure::nothing_begun)?
}

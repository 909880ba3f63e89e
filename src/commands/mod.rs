//! One file a subcommand, thin: what is asked of `run`, and how its end is told.

mod acknowledge;
mod clear;
mod detect;
mod docs;
mod drain;
mod halt;
mod hosts;
mod install;
mod live;
mod node;
mod phases;
mod rehearse;
mod report;
mod rollback;
mod rotate;
mod skip;
mod start;
mod status;
mod watch;

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::cli::{Cli, Command};
use crate::failure::{Advice, Cause, Class, Failure, Outcome};
use crate::plan::decide::orphan::{self, Verdict};
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::run::{Services, nodes};
use crate::words::{RunId, command, ssh};

pub use docs::{completions, completions_of, man, pages};
pub use install::{Printing, image, manifests};
pub use rehearse::Rehearsal;

/// A command that needs the cluster.
pub async fn run(services: &Services, asker: &mut Asker, cli: Cli) -> Result<Outcome, Failure> {
    let work: Work<'_> = match cli.command {
        Command::Detect { .. } => later(|| detect::detect(services)),
        Command::Start { target, local, .. } => later(|| start::start(services, asker, target, local)),
        Command::Resume { if_orphaned: true, .. } => later(|| watch::watch(services)),
        Command::Resume { local, .. } => later(|| start::resume(services, asker, local)),
        Command::Acknowledge { id, .. } => later(|| acknowledge::acknowledge(services, asker, id.map(String::from))),
        Command::Status { hosts: true, .. } => later(|| hosts::hosts(services)),
        Command::Status { health: true, .. } => later(|| status::health(services)),
        Command::Status { watch: true, .. } => later(|| live::watch(services)),
        Command::Status { .. } => later(|| status::status(services)),
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
        Command::SkipPhase(options) => later(|| skip::skip(services, asker, options)),
        Command::Halt(options) => later(|| halt::halt(services, asker, options)),
        Command::Rehearse(_)
        | Command::Manifests(_)
        | Command::Image { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => return Err(failure(Cause::bug("a command that changes no cluster was sent to one"))),
    };
    work.await
}

type Work<'a> = LocalBoxFuture<'a, Result<Outcome, Failure>>;

/// A command's future is as large as all that it may wait for: made here, none of them stands on the stack that the others run on.
#[inline(never)]
fn later<'a, F: Future<Output = Result<Outcome, Failure>> + 'a>(make: impl FnOnce() -> F) -> Work<'a> {
    Box::pin(make())
}

/// Bytes of an answer: one letter is wanted.
const ANSWER: u64 = 1024;

/// Asks a person before a change.
pub struct Asker {
    pub stdin: Box<dyn std::io::BufRead + Send>,
    pub interactive: bool,
    pub yes: bool,
}

impl Asker {
    /// Shows what will be done and asks; without a terminal `--yes` must have been given.
    pub async fn confirm(&mut self, services: &Services, what: &str) -> Result<(), Failure> {
        services.session.found("", what);
        if self.yes {
            return Ok(());
        }
        if !self.interactive {
            return Err(failure(Cause::usage("this changes the cluster and there is no terminal to ask on: pass --yes")));
        }
        services.session.ask("Go on? [y/N] ");
        let line = tokio::select! {
            biased;
            signal = services.session.signalled() => return Err(failure(Cause::new(Class::Stopped(signal), "left at the question"))),
            line = self.line() => line,
        };
        let line = line.map_err(|error| failure(Cause::usage(format!("cannot read the answer: {error}"))))?;
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(failure(Cause::refused("not confirmed"))),
        }
    }

    /// One line of stdin, on a thread: a signal is heard meanwhile. Whoever is interrupted asks no more.
    async fn line(&mut self) -> std::io::Result<String> {
        let mut stdin = std::mem::replace(&mut self.stdin, Box::new(std::io::empty()));
        #[expect(clippy::disallowed_methods, reason = "a person is waited for, in real time")]
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let read = (&mut stdin).take(ANSWER).read_line(&mut line);
            (stdin, read.map(|_| line))
        });
        let (stdin, line) = read.await.map_err(std::io::Error::other)?;
        self.stdin = stdin;
        line
    }
}

/// A failure of the command as a whole: nothing was begun.
pub fn failure(cause: Cause) -> Failure {
    let next = if cause.next.is_empty() { vec![Advice::status()] } else { Vec::new() };
    let next = if matches!(cause.class, Class::Usage | Class::Stopped(_) | Class::Halted) { Vec::new() } else { next };
    Failure { cause, place: String::new(), state: "Nothing was begun.".to_owned(), next }
}

/// A failure in the middle of a run: what state it leaves, and the one command that goes on.
pub async fn failure_in_run(services: &Services, place: &str, cause: Cause) -> Failure {
    if cause.class == Class::Unreachable && !services.session.has_changed() {
        return Failure { place: place.to_owned(), ..failure(cause) };
    }
    let facts = tokio::time::timeout(Duration::from_secs(60), services.observer.observe_as_it_is()).await;
    let mut next = vec![Advice::status()];
    let (run, node) = match facts {
        Ok(Ok(facts)) => {
            let node = facts.node(place);
            let run =
                match (facts.marks.target.filter(|_| facts.marks.in_flight), node.and_then(|node| node.cordoned_by.as_ref())) {
                    (Some(target), _) => {
                        next.push(Advice::go_on(
                            "k8s-upgrade resume                 # after mending it: goes on where the facts say it stands",
                        ));
                        format!("The run to {target} stays in flight. {}", what_follows(services, &facts, cause.class))
                    }
                    (None, Some(_)) => "No run is in flight.".to_owned(),
                    (None, None) => {
                        if services.session.chain {
                            next.push(Advice::go_on(
                                "k8s-upgrade resume                 # after mending it: begins this run anew",
                            ));
                        }
                        "No run is in flight; nothing was left behind.".to_owned()
                    }
                };
            (
                run,
                if node.is_some() {
                    format!("{} ", nodes::upgrade::node_state(&services.observer, place).await)
                } else {
                    String::new()
                },
            )
        }
        Ok(Err(cause)) => (format!("The cluster cannot be looked at now ({}).", cause.what), String::new()),
        Err(_) => ("The API server does not answer now.".to_owned(), String::new()),
    };
    if !node.is_empty() && cause.class == Class::Step {
        let log = command!("sudo tail -n 50 {}/work/log", crate::names::NODE_DIR);
        next.push(ssh(&services.settings.ssh_user, place, services.settings.ssh_port, &log).into());
    }
    Failure { cause, place: place.to_owned(), state: format!("{node}{run}"), next }
}

/// What happens by itself after a failure in a run.
fn what_follows(services: &Services, facts: &Facts, class: Class) -> &'static str {
    match class {
        Class::Step | Class::Contended | Class::Unreachable if services.session.chain => {
            "Kubernetes tries this Job again, three times in all; then the watch takes it up, three times at most."
        }
        Class::Hold if services.session.chain => {
            "The watch tries this step again every 10 minutes; as long as it holds, nothing more is told."
        }
        // A person's command beside a chain that died.
        _ => match orphan::judge(facts, &services.settings.policy(), services.session.now()) {
            Ok(Verdict::TakeUp(_)) if !services.session.chain => "The watch takes its Job up within 10 minutes.",
            _ => "Nothing else will start.",
        },
    }
}

/// The release to go to: the one given, else the one of the run in flight.
async fn target_of(services: &Services, given: Option<Version>) -> Result<(Version, RunId), Failure> {
    let facts = services.observer.observe().await.map_err(failure)?;
    let run = facts.marks.run_id.clone().unwrap_or_else(RunId::by_hand);
    match (given, facts.marks.target.filter(|_| facts.marks.in_flight)) {
        (Some(given), Some(target)) if given != target => {
            Err(failure(Cause::contended(format!("a run to {target} is in flight: another target must wait for its end"))))
        }
        (Some(target), _) | (None, Some(target)) => Ok((target, run)),
        (None, None) => Err(failure(Cause::usage("no run is in flight: say where to go with --target X.Y.Z"))),
    }
}

/// The run of this id is the one in flight.
fn of_run(facts: &Facts, run: &str) -> bool {
    facts.marks.in_flight && facts.marks.run_id.as_deref() == Some(run)
}

/// Work that others must see though no Job does it.
async fn by_hand(services: &Services, work: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
    services.leases.drive(work).await.map_err(failure)?
}

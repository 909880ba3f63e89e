//! Whom a change needs a yes of, and how it is had.

use std::io::{BufRead as _, Read as _};

use crate::cli::{Command, Halt, Skip};
use crate::failure::{Cause, Class, Failure};
use crate::run::Services;

/// Whether a command asks before it changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Always,
    /// What it finds in the cluster decides, so its command line does not tell.
    AsTheFactsSay,
    Never,
}

impl Asks {
    /// By its command line alone.
    pub fn of(command: &Command) -> Asks {
        let always = match command {
            // Of a control plane it prints a plan; of a run that was never claimed it starts one.
            Command::Rollback { dry_run: false, .. }
            | Command::Resume { if_orphaned: false, local: false, dry_run: false, .. } => return Asks::AsTheFactsSay,
            Command::Start { dry_run, .. }
            | Command::Drain { dry_run, .. }
            | Command::RotateKey { dry_run, .. }
            | Command::Uninstall { dry_run, .. } => !dry_run,
            Command::Approve { lift, .. } => !lift,
            Command::Resume { local, .. } => *local,
            Command::Halt(Halt { now, .. }) => *now,
            Command::SkipPhase(Skip { force, .. }) => *force,
            Command::ClearState { .. } => true,
            Command::Acknowledge { id, .. } => id.is_some(),
            Command::UpgradeNode { chain, .. } => !chain.chain,
            Command::Rollback { .. }
            | Command::Detect { .. }
            | Command::Pause(_)
            | Command::Unpause(_)
            | Command::Check { .. }
            | Command::Adopt { .. }
            | Command::Status { .. }
            | Command::Plan { .. }
            | Command::Report { .. }
            | Command::Preflight { .. }
            | Command::Postflight { .. }
            | Command::Rehearse(_)
            | Command::Manifests(_)
            | Command::Image { .. }
            | Command::Completions { .. }
            | Command::Complete { .. }
            | Command::Man { .. } => false,
        };
        if always { Asks::Always } else { Asks::Never }
    }
}

/// Bytes of an answer: one letter is wanted.
const ANSWER: u64 = 1024;

/// Asks a person before a change.
pub struct Asker {
    pub stdin: Box<dyn std::io::BufRead + Send>,
    pub interactive: bool,
    pub yes: bool,
    /// What is to be expected of the command that it is for.
    pub asks: Asks,
}

impl Asker {
    /// Without a terminal `--yes` must have been given. Of a command that asks in any case that is known before anything is looked at.
    ///
    /// # Errors
    /// Usage: there is nobody to ask.
    pub fn ready(&self) -> Result<(), Cause> {
        match self.asks {
            Asks::Always => self.answered(),
            Asks::AsTheFactsSay | Asks::Never => Ok(()),
        }
    }

    fn answered(&self) -> Result<(), Cause> {
        if self.yes || self.interactive {
            return Ok(());
        }
        Err(Cause::usage("this changes the cluster and there is no terminal to ask on: pass --yes"))
    }

    /// Shows what will be done and asks.
    pub async fn confirm(&mut self, services: &Services, what: &str) -> Result<(), Failure> {
        if self.asks == Asks::Never {
            return Err(Failure::nothing_begun(Cause::bug("a command asked of which nobody knew that it does")));
        }
        services.session.found("", what);
        self.answered().map_err(Failure::nothing_begun)?;
        if self.yes {
            return Ok(());
        }
        services.session.ask("Go on? [y/N] ");
        let line = tokio::select! {
            biased;
            signal = services.session.signalled() => return Err(Failure::nothing_begun(Cause::new(Class::Stopped(signal), "left at the question"))),
            line = self.line() => line,
        };
        let line = line.map_err(|error| Failure::nothing_begun(Cause::usage(format!("cannot read the answer: {error}"))))?;
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::nothing_begun(Cause::refused("not confirmed"))),
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

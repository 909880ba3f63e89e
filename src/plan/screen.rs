//! What a person at 3 a.m. is shown, as data: what is seen, and the screen that [`super::status`] makes of it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::facts::Facts;
use super::hosts::Unit;
use super::progress::Progress;
use super::version::Version;
use crate::failure::Advice;
use crate::words::texts;

/// What a runner does, or how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doing {
    /// The step that has begun and not ended.
    pub step: Option<Span>,
    pub wait: Option<Waiting>,
    pub drain: Option<Draining>,
    /// How it ended.
    pub failure: Option<Told>,
    /// The last line of its log.
    pub last: Option<String>,
}

/// A step and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub what: String,
    pub since: Timestamp,
    /// Its deadline.
    pub until: Timestamp,
}

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Awaited {
    /// Reads like "the node to be Ready", and stays the same as long as the wait lasts.
    pub on: String,
    /// What of it is still missing; empty where that goes without saying.
    pub missing: String,
    /// It is the run's own pace: time in which the nodes' health is watched. What is missing then is what looks bad.
    pub soak: bool,
}

impl Awaited {
    /// A wait that is no soak.
    pub fn new(on: impl Into<String>, missing: impl Into<String>) -> Self {
        Awaited { on: on.into(), missing: missing.into(), soak: false }
    }

    /// The watch after a node; `complaints` are what looks bad meanwhile.
    pub fn soak(complaints: &[String]) -> Self {
        Awaited { soak: true, ..Awaited::new("the soak to end", complaints.join(", ")) }
    }

    /// It is more than the run's own pace.
    pub fn is_block(&self) -> bool {
        !self.soak || !self.missing.is_empty()
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.missing.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.on, self.missing)
    }
}

/// A wait and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    #[serde(flatten)]
    pub on: Awaited,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// How far a drain is, in pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    pub left: usize,
    pub total: usize,
    /// What holds it, and since when.
    pub held: Vec<(String, Timestamp)>,
}

/// A failure as its three parts were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    pub what: Vec<String>,
    pub state: String,
    pub next: Vec<Advice>,
}

/// Who is at work on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: String,
    pub holder: String,
    pub renewed: Timestamp,
    /// Then it is anybody's, unless it is renewed.
    pub until: Timestamp,
}

/// Clocks of machines that are cared for differ by less.
const CLOCKS: Duration = Duration::from_secs(5);

/// Whose process works by hand, without a Job; or who holds a node's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Who on which machine, and what they typed.
    pub by: String,
    pub holder: String,
    pub renewed: Timestamp,
    pub until: Timestamp,
    /// What that process has recorded that it does, or why that cannot be read.
    pub progress: Option<Result<Progress, String>>,
}

impl Driver {
    /// Two machines' clocks are compared: it may be told a moment too long, or too short.
    pub fn lives(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// It was renewed a moment ago, as far as two clocks may differ where somebody cares for them.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.lives(now) && self.ahead(now).is_none()
    }

    /// By how much the clock of their machine is fast, if it is: nothing is known by it.
    pub fn ahead(&self, now: Timestamp) -> Option<Duration> {
        let ahead = Duration::try_from(self.renewed.duration_since(now)).ok()?;
        (ahead > CLOCKS).then_some(ahead)
    }

    /// At the latest after this long it is known whether they live.
    pub fn left(&self, now: Timestamp) -> Duration {
        let lasts = self.until.duration_since(self.renewed).unsigned_abs();
        if self.lives(now) { self.until.duration_since(now).unsigned_abs().min(lasts) } else { lasts }
    }
}

/// All that a screen is made of.
#[derive(Clone, Debug)]
pub struct Seen {
    pub facts: Facts,
    pub leases: Vec<Lease>,
    pub driver: Option<Driver>,
    /// By node that we have taken out of service: our unit there, or why it cannot be asked.
    pub units: Vec<(String, Answer<Unit>)>,
    /// Why the CronJob that takes up what died cannot, if it cannot.
    pub no_watch: Option<String>,
}

/// What a watch that broke leaves old on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// `nodes`, `Jobs`.
    pub what: Vec<String>,
    pub since: Timestamp,
    pub why: String,
}

/// One screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Screen {
    pub cluster: String,
    pub running: Option<Version>,
    pub run: Option<Run>,
    pub halted: Option<String>,
    /// Steps that a person skipped by force, by whom and why.
    pub skipped: Vec<String>,
    /// What is not done though nothing is at work.
    pub stopped: Option<String>,
    pub rows: Vec<Row>,
    pub work: Vec<Work>,
    pub leases: Vec<Lease>,
    pub units: Vec<(String, Answer<Unit>)>,
    pub driver: Option<Driver>,
    pub backup: Option<String>,
    /// What holds the run, and since when.
    pub blocks: Vec<(String, Option<Timestamp>)>,
    pub failure: Option<Failed>,
    /// What will happen.
    pub then: Option<String>,
    /// Commands for a person, with a word on each.
    pub commands: Vec<String>,
    /// Whether one may go, and why.
    pub safe: (bool, String),
}

/// The run in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: Option<String>,
    pub target: Option<Version>,
    pub started: Option<Timestamp>,
    /// `worker 2 of 4`.
    pub position: String,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub node: String,
    pub role: String,
    pub version: String,
    pub state: String,
    /// Since when it is in this state, where that is known.
    pub since: Option<Timestamp>,
    /// When a state that ends by itself ends.
    pub until: Option<Timestamp>,
}

/// A Job at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub job: String,
    pub step: String,
    pub created: Option<Timestamp>,
    /// activeDeadlineSeconds.
    pub deadline: Option<Timestamp>,
    pub pod: Option<String>,
    pub node: Option<String>,
    pub pin: Option<String>,
    /// Why it is not known what it does.
    pub silent: Option<String>,
    pub doing: Doing,
}

/// The last Job that failed, where nothing has followed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub job: String,
    pub ended: Option<Timestamp>,
    pub reason: String,
    pub exit: Option<i32>,
    pub told: Told,
}

texts!(Doing { step, wait, drain, failure, last });
texts!(Span { what, since, until });
texts!(Awaited { on, missing, soak });
texts!(Waiting { on, since, until });
texts!(Draining { left, total, held });
texts!(Told { what, state, next });
texts!(Lease { node, holder, renewed, until });
texts!(Driver { by, holder, renewed, until, progress });
texts!(Stale { what, since, why });
texts!(Screen {
    cluster,
    running,
    run,
    halted,
    skipped,
    stopped,
    rows,
    work,
    leases,
    units,
    driver,
    backup,
    blocks,
    failure,
    then,
    commands,
    safe
});
texts!(Run { id, target, started, position });
texts!(Row { node, role, version, state, since, until });
texts!(Work { job, step, created, deadline, pod, node, pin, silent, doing });
texts!(Failed { job, ended, reason, exit, told });

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Renewed so many seconds ago by its own clock, and taken for a minute.
    fn driver(ago: i64, now: Timestamp) -> Driver {
        let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        Driver { by: "ann".into(), holder: "ann".into(), renewed: at(-ago), until: at(60 - ago), progress: None }
    }

    #[test]
    fn a_clock_that_is_fast_tells_nothing_of_whose_it_is() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (ago, lives, fresh, ahead, left) in
            [(10, true, true, 0, 50), (-3, true, true, 0, 60), (61, false, false, 0, 60), (-3600, true, false, 3600, 60)]
        {
            let driver = driver(ago, now);
            assert_eq!((driver.lives(now), driver.is_fresh(now)), (lives, fresh), "{ago}");
            assert_eq!(driver.ahead(now).unwrap_or_default().as_secs(), ahead, "{ago}");
            assert_eq!(driver.left(now).as_secs(), left, "{ago}");
        }
    }
}

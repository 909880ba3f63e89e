//! What a person at 3 a.m. is shown, as data: what is seen, and the screen that [`super::status`] makes of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::paused::Pauses;
use crate::plan::decide::gates::Gate;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::lease::{Driver, Lease};
use crate::plan::model::progress::{Doing, ToldFailure};
use crate::plan::model::version::Version;
use crate::plan::rescue::hosts::Unit;
use crate::words::texts;

/// All that a screen is made of.
#[derive(Clone, Debug)]
pub struct ScreenInput {
    pub facts: Facts,
    pub leases: Vec<Lease>,
    pub driver: Option<Driver>,
    /// By node that we have taken out of service: our unit there, or why it cannot be asked.
    pub units: Vec<(String, Answer<Unit>)>,
    /// Why the CronJob that takes up what died cannot, if it cannot.
    pub no_watch: Option<String>,
    /// The detection's CronJob is suspended.
    pub suspended: bool,
    /// The image that is installed, as the watch's CronJob says.
    pub installed: Option<String>,
    /// What the settings switch off that would hold a run or tell of it.
    pub off: Vec<String>,
    /// By Job that waits for its pod too long (see `unstarted` of a `JobFact`): the newest warning about it, where there is one.
    pub warnings: BTreeMap<String, Answer<Option<String>>>,
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
    pub paused: Pauses,
    /// Steps that a person skipped by force, by whom and why.
    pub skipped: Vec<String>,
    /// What the settings switch off that would hold a run or tell of it.
    pub off: Vec<String>,
    /// The release that waits for a person's approval.
    pub asks: Option<Version>,
    /// What a person has approved, and until when that holds.
    pub approved: Option<String>,
    /// Until when it rests, and why.
    pub rests: Option<String>,
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
    /// The gates among them.
    pub gates: Vec<Gate>,
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
    /// How long it still takes, where this run itself gives a reason for a guess.
    pub left: Option<Left>,
    /// What its Jobs run to its end; None before the first.
    pub image: Option<String>,
    /// What is installed by now, where that is another.
    pub installed: Option<String>,
}

/// The nodes that are not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub nodes: usize,
    /// When they are done, if each takes as long as those of its kind took before it in this run.
    pub until: Timestamp,
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
    /// What it says is over, and was at [`Row::since`]; else it lasts since then.
    pub is_over: bool,
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
    pub told: ToldFailure,
}

texts!(Stale { what, since, why });
texts!(Screen {
    cluster,
    running,
    run,
    halted,
    paused,
    skipped,
    off,
    asks,
    approved,
    rests,
    stopped,
    rows,
    work,
    leases,
    units,
    driver,
    backup,
    blocks,
    gates,
    failure,
    then,
    commands,
    safe
});
texts!(Run { id, target, started, position, left, image, installed });
texts!(none: Left);
texts!(Row { node, role, version, state, since, is_over, until });
texts!(Work { job, step, created, deadline, pod, node, pin, silent, doing });
texts!(Failed { job, ended, reason, exit, told });

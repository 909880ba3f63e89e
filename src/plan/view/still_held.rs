//! A reminder of a run that stands, as data: the same that the screen of `status` shows, and no more than a message has room for.

use std::time::Duration;

use jiff::Timestamp;

use super::screen::Screen;
use crate::failure::Class;
use crate::plan::decide::reminders::{At, Hold};
use crate::plan::model::facts::{Facts, JobFact};
use crate::plan::model::reminded::Reminded;
use crate::plan::model::version::Version;

/// So many reasons are told, and so many lines of a failure.
const TOLD: usize = 5;

/// What people are reminded of.
#[derive(Clone, Debug, PartialEq)]
pub struct StillHeld {
    pub target: Option<Version>,
    pub at: At,
    pub since: Timestamp,
    pub lasts: Duration,
    /// What holds it, and how long that has.
    pub why: Vec<(String, Option<Duration>)>,
    /// Nodes that are out of service by our doing, and for how long, where that is known.
    pub out: Vec<(String, Option<Duration>)>,
    /// Nodes whose drains did not end, and what came of them.
    pub drains: Vec<(String, String)>,
    /// What follows by itself.
    pub then: String,
    /// What to type.
    pub next: Vec<String>,
}

/// Out of the screen that a person would look at now.
pub fn still_held(screen: &Screen, hold: &Hold, known: &Reminded, facts: &Facts, now: Timestamp) -> StillHeld {
    let marks = &facts.marks;
    let lasts = |since: Timestamp| now.duration_since(since).unsigned_abs();
    let halted = screen.halted.iter().map(|halted| (halted.clone(), None));
    let blocks = screen.blocks.iter().map(|(what, since)| (what.clone(), since.map(lasts)));
    let failed = screen.failure.iter().map(|failed| {
        let lines: Vec<&str> = failed.told.what.iter().take(TOLD).map(String::as_str).collect();
        let how = match failed.exit {
            Some(code) if code == i32::from(Class::Hold.code()) => "held",
            Some(code) if code == i32::from(Class::Refused.code()) => "refused",
            _ => "failed",
        };
        (format!("Job {} {how}: {}", failed.job, lines.join("; ")), failed.ended.map(lasts))
    });
    // It has ended well, and its last line is the reason.
    let of_run = facts.jobs.iter().filter(|job| hold.at == At::Beginning && job.run.as_deref() == Some(hold.run.as_str()));
    let newest = of_run.max_by_key(|job| job.created).and_then(JobFact::progress_of_newest);
    let deferred = newest.and_then(|progress| progress.doing.last.clone()).map(|last| (last, None));
    let stopped = screen.stopped.iter().filter(|_| screen.failure.is_none()).map(|stopped| (stopped.clone(), None));
    let out = facts.nodes.iter().filter(|node| node.cordoned_by.is_some());
    StillHeld {
        target: marks.target.filter(|_| marks.in_flight).or(marks.deferred.as_ref().map(|deferred| deferred.target)),
        at: hold.at.clone(),
        since: known.since,
        lasts: lasts(known.since),
        why: halted.chain(blocks).chain(failed).chain(stopped).chain(deferred).take(TOLD).collect(),
        out: out.map(|node| (node.name.clone(), node.cordoned_since.map(lasts))).collect(),
        drains: marks.held_drains.iter().filter(|_| marks.in_flight).map(|held| (held.node.clone(), held.words())).collect(),
        then: screen.safe.1.clone(),
        next: screen.commands.clone(),
    }
}

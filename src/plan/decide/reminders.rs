//! Reminders: does a run stand, at what and since when, and are people to be told once more?
//!
//! A hold is known by what the run does not get past, not by what keeps it from that: a gate that is asked again every ten minutes, a drain that
//! is tried again, and a failure in between are one hold as long as the same step is to be done.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::next;
use super::orphan;
use super::target::{self, TargetCheck};
use super::when;
use crate::plan::model::facts::{Facts, JobFact, JobState, Step};
use crate::plan::model::policy::Policy;
use crate::plan::model::reminded::Reminded;
use crate::plan::model::span::stamp;

/// When people are reminded, after a hold has begun; later, each [`DAY`].
const FIRST: [SignedDuration; 2] = [SignedDuration::from_hours(1), SignedDuration::from_hours(6)];
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a run does not get past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// This step of it; None where the facts do not say which is next.
    Step(Option<Step>),
    /// A person's halt, and since when it stands.
    Halt(Option<Timestamp>),
    /// It was deferred, and has not begun.
    Beginning,
}

impl At {
    /// As the record has it.
    pub fn key(&self) -> String {
        match self {
            At::Step(step) => step.as_ref().map_or(String::new(), Step::token),
            At::Halt(at) => at.map_or("halt".to_owned(), |at| format!("halt {}", stamp(at))),
            At::Beginning => "deferred".to_owned(),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Step(Some(step)) => write!(f, "has stood at {}", step.token()),
            At::Step(None) => f.write_str("has stood"),
            At::Halt(_) => f.write_str("has been halted"),
            At::Beginning => f.write_str("has been deferred"),
        }
    }
}

/// A run that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id; empty where it has none.
    pub run: String,
    pub at: At,
    /// As far as the facts tell: a Job that was tried again knows only of its own time.
    pub since: Timestamp,
}

/// What the run stands at, if it stands. One whose Job works does not, nor does what a person performs in a process of their own (whether
/// that lives, its Lease tells).
pub fn held(facts: &Facts, policy: &Policy, now: Timestamp) -> Option<Hold> {
    let marks = &facts.marks;
    if !marks.in_flight {
        let deferred = marks.deferred.as_ref()?;
        let at_work = facts.jobs.iter().any(|job| job.state == JobState::Active);
        let nothing_to_do = matches!(target::check_target(facts, deferred.target), Ok(TargetCheck::Nothing));
        let run = deferred.run.to_string();
        // That no window is open is no hold; since when one is, only the deferral before it tells.
        let needs = when::needs_of_run(policy);
        let waits = when::may_begin(&policy.calendar, now, needs).is_err_and(|closed| closed.until.is_some());
        let opened = when::first_window(&policy.calendar, deferred.since, needs).map_or(deferred.since, |(from, _)| from);
        // What was told long before it was deferred once more is told again after a month, and not as if it were new.
        let told = || marks.found.told.iter().filter(|told| told.release == deferred.target).map(|told| told.at).max();
        let known = told().is_some_and(|told| told < deferred.since);
        let stands = !at_work && !nothing_to_do && !waits && !known;
        return stands.then(|| Hold { run, at: At::Beginning, since: opened.min(now) });
    }
    if when::rest(facts, policy, now).is_some_and(|(_, closed)| closed.until.is_some()) {
        return None;
    }
    let run = marks.run_id.clone().map_or(String::new(), String::from);
    let active: Vec<&JobFact> = facts.jobs.iter().filter(|job| job.state == JobState::Active).collect();
    let halt = marks.halted.as_ref().filter(|halt| halt.run && active.is_empty());
    if let Some(halt) = halt {
        return Some(Hold { run, at: At::Halt(halt.at), since: halt.at.unwrap_or(now).min(now) });
    }
    let since = if active.is_empty() {
        let newest = facts.jobs.iter().filter(|job| job.run == marks.run_id).max_by_key(|job| (job.created, &job.name));
        newest.and_then(|job| job.ended).unwrap_or(now)
    } else {
        // One that works is enough.
        let kept: Option<Vec<Timestamp>> = active.into_iter().map(|job| kept(facts, job, now)).collect();
        kept?.into_iter().min()?
    };
    let stands_at = |target| next::stands_at(facts, policy, target);
    Some(Hold { run, at: At::Step(marks.target.and_then(stands_at)), since: since.min(now) })
}

/// Since when a Job that is active waits: at a gate, for pods that do not leave, for a pod of its own. None: it works.
fn kept(facts: &Facts, job: &JobFact, now: Timestamp) -> Option<Timestamp> {
    if job.pending.is_some() {
        return Some(job.created.unwrap_or(now));
    }
    if let Some(since) = job.unstarted(now) {
        return Some(since);
    }
    if orphan::stuck(facts, job, now).is_some() {
        return Some(now);
    }
    let doing = job.progress_of_newest().filter(|progress| !progress.ended).map(|progress| &progress.doing)?;
    let waits = doing.wait.iter().filter(|wait| wait.on.is_block()).map(|wait| wait.since);
    let drains = doing.drain.iter().flat_map(|drain| &drain.held).map(|(_, since)| *since);
    waits.chain(drains).min()
}

/// What is known of this hold: what was recorded of it, else its beginning.
pub fn known(hold: &Hold, former: Option<&Reminded>) -> Reminded {
    let (run, at) = (hold.run.clone(), hold.at.key());
    match former.filter(|former| (&former.run, &former.at) == (&run, &at)) {
        Some(former) => Reminded { since: former.since.min(hold.since), ..former.clone() },
        None => Reminded { run, at, since: hold.since, times: 0, last: None },
    }
}

/// Whether people are to be reminded now. What was missed is told once, however much it was.
pub fn is_due(known: &Reminded, now: Timestamp) -> bool {
    let lasts = now.duration_since(known.since);
    let days = i32::try_from(lasts.as_hours() / 24).unwrap_or(i32::MAX);
    let daily = DAY.checked_mul(days).filter(|_| days > 0);
    let newest = FIRST.into_iter().filter(|after| *after <= lasts).chain(daily).max();
    let at = newest.and_then(|after| known.since.checked_add(after).ok());
    at.is_some_and(|at| known.last.is_none_or(|last| last < at))
}

#[cfg(test)]
#[path = "reminders_tests.rs"]
mod tests;

//! May a run, or its next node, begin now, as the windows and freezes have it; and if not, when?

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::planned;
use crate::failure::Cause;
use crate::plan::model::calendar::{CONTROL_PLANE, Calendar, PREFLIGHT, START, WORKER};
use crate::plan::model::facts::{Facts, JobFact, JobState, Node, Step};
use crate::plan::model::policy::Policy;
use crate::plan::model::resting::Resting;
use crate::plan::model::span::span;

/// So far ahead is looked for a window: what opens within a week is found soon, what a long freeze keeps closed within this.
const AHEAD: [i64; 2] = [9, 800];

/// It may not begin now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When it may; None where nobody knows, or no window is found that is long enough.
    pub until: Option<Timestamp>,
    pub why: String,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.why)?;
        match self.until {
            Some(until) => write!(f, "it may begin at {}", until.strftime("%a %Y-%m-%d %H:%M UTC")),
            None => f.write_str("when it may begin is not known"),
        }
    }
}

impl Closed {
    /// As a gate has it: time opens it.
    pub fn cause(&self) -> Cause {
        Cause::hold(self.to_string())
    }
}

/// Whether what takes `needs` may begin at `now`: all of it must lie in one window, and in no freeze.
pub fn may_begin(calendar: &Calendar, now: Timestamp, needs: Duration) -> Result<(), Closed> {
    if calendar.is_empty() {
        return Ok(());
    }
    if !calendar.unknown.is_empty() {
        let why = format!("whether upgrades are frozen is not known: {}", calendar.unknown.join("; "));
        return Err(Closed { until: None, why });
    }
    let fits = |(from, to): &(Timestamp, Timestamp)| to.duration_since(*from).unsigned_abs() >= needs;
    let first = AHEAD.into_iter().find_map(|days| openings(calendar, now, days).into_iter().find(fits));
    if first.is_some_and(|(from, _)| from <= now) {
        return Ok(());
    }
    Err(Closed { until: first.map(|(from, _)| from), why: why(calendar, now, needs) })
}

fn why(calendar: &Calendar, now: Timestamp, needs: Duration) -> String {
    if let Some(freeze) = calendar.freezes.iter().find(|freeze| freeze.has(now)) {
        return format!("upgrades are frozen ({freeze})");
    }
    if !is_open(calendar, now) {
        let windows: Vec<String> = calendar.windows.iter().map(ToString::to_string).collect();
        return format!("this is outside of the windows ({})", windows.join("; "));
    }
    let left = openings(calendar, now, AHEAD[0]).first().map_or(Duration::ZERO, |(_, to)| to.duration_since(now).unsigned_abs());
    format!("{} are left of the window, and {} are needed", span(left), span(needs))
}

fn is_open(calendar: &Calendar, at: Timestamp) -> bool {
    let in_window = calendar.windows.is_empty() || calendar.windows.iter().any(|window| window.has(at));
    in_window && !calendar.freezes.iter().any(|freeze| freeze.has(at))
}

/// From when to when it is open, from `now` on. Between two edges nothing changes, so the first moment of each such time tells all of it.
fn openings(calendar: &Calendar, now: Timestamp, days: i64) -> Vec<(Timestamp, Timestamp)> {
    let hours = |hours: i64| now.saturating_add(hours.hours()).unwrap_or(now);
    let (before, end) = (hours(-48), hours(days * 24));
    let mut edges: Vec<Timestamp> = calendar.freezes.iter().flat_map(|freeze| freeze.edges()).collect();
    for window in &calendar.windows {
        let rules = window.zone.rules();
        let date = |at: Timestamp| rules.to_datetime(at).date();
        let dates = std::iter::successors(Some(date(before)), |date: &Date| date.tomorrow().ok());
        edges.extend(dates.take_while(|day| *day <= date(end)).flat_map(|date| window.edges(date)));
        edges.extend(rules.following(now).map(|change| change.timestamp()).take_while(|at| *at <= end));
    }
    edges.retain(|at| (now..end).contains(at));
    edges.extend([now, end]);
    edges.sort_unstable();
    edges.dedup();
    let mut open: Vec<(Timestamp, Timestamp)> = Vec::new();
    for pair in edges.windows(2) {
        let &[from, to] = pair else { continue };
        match open.last_mut() {
            _ if !is_open(calendar, from) => {}
            Some((_, last)) if *last == from => *last = to,
            _ => open.push((from, to)),
        }
    }
    open
}

/// When a run that was put off at `since` for want of a window had its first one, and how long that lasted; None: it has not come, or was there.
pub fn first_window(calendar: &Calendar, since: Timestamp, needs: Duration) -> Option<(Timestamp, Timestamp)> {
    let fits = |(from, to): &(Timestamp, Timestamp)| to.duration_since(*from).unsigned_abs() >= needs;
    let first = AHEAD.into_iter().find_map(|days| openings(calendar, since, days).into_iter().find(fits));
    first.filter(|(from, _)| *from > since)
}

/// What a run takes at its beginning: its preflight and its first node.
pub fn needs_of_run(policy: &Policy) -> Duration {
    bounded(PREFLIGHT + CONTROL_PLANE + policy.soak, &policy.calendar)
}

/// What a node takes, its soak included: as long as the longest of its kind has taken in this run, and no less than is usual.
pub fn needs_of(facts: &Facts, node: &Node, policy: &Policy) -> Duration {
    let usual = policy.soak_of(node) + if node.control_plane { CONTROL_PLANE } else { WORKER };
    let target = facts.marks.target;
    let done = facts.managed().filter(|other| other.control_plane == node.control_plane);
    let done = done.filter(|other| target.is_some_and(|target| other.is_done(target)));
    let jobs = done.filter_map(|other| job_of(facts, other).filter(|job| job.state == JobState::Complete));
    let took = jobs.filter_map(|job| Some(job.ended?.duration_since(job.created?).unsigned_abs())).max();
    bounded(usual.max(took.unwrap_or_default()), &policy.calendar_of(node))
}

/// What the next step takes; postflight takes nothing out of service.
pub fn needs_of_step(facts: &Facts, step: &Step, policy: &Policy) -> Duration {
    let node = step.node.as_deref().and_then(|name| facts.node(name));
    node.map_or(Duration::ZERO, |node| needs_of(facts, node, policy))
}

fn job_of<'a>(facts: &'a Facts, node: &Node) -> Option<&'a JobFact> {
    let name = planned::name(facts, &Step::of(node), facts.marks.target?);
    facts.jobs.iter().find(|job| job.name == name && job.run == facts.marks.run_id)
}

/// One node that took long must not keep the others waiting for ever: at the beginning of the longest window, any may begin.
fn bounded(needs: Duration, calendar: &Calendar) -> Duration {
    calendar.longest().map_or(needs, |longest| needs.min(longest.saturating_sub(START)))
}

/// The rest of the run in flight, and why it is not over: its newest Job has ended well without its node, for it had come to the end of a window.
pub fn rest<'a>(facts: &'a Facts, policy: &Policy, now: Timestamp) -> Option<(&'a Resting, Closed)> {
    let resting = resting(facts)?;
    if facts.marks.run_id.as_ref().is_some_and(|run| facts.marks.is_outside_windows(run)) {
        return None;
    }
    let node = facts.node(&resting.node)?;
    let calendar = policy.calendar_of(node);
    let closed = match calendar.is_empty() {
        // Whoever looks from elsewhere may not have the installation's settings.
        true => {
            resting.until.filter(|until| now < *until).map(|until| Closed { until: Some(until), why: resting.why.clone() })?
        }
        false => may_begin(&calendar, now, needs_of(facts, node, policy)).err()?,
    };
    Some((resting, closed))
}

/// The Job that wrote this is the run's newest, and has ended well. One that came after it, or that is gone, ends the rest; so does one beside it
/// that failed.
pub fn resting(facts: &Facts) -> Option<&Resting> {
    let resting = facts.marks.resting.as_ref().filter(|_| facts.marks.in_flight)?;
    let own = facts.node(&resting.node).and_then(|node| job_of(facts, node))?;
    let newest = facts.jobs.iter().filter(|job| job.run == facts.marks.run_id).all(|job| job.created <= own.created);
    // Of what was in work beside it, nothing is left to be finished.
    let failed = |node: &Node| job_of(facts, node).is_some_and(|job| matches!(job.state, JobState::Failed { .. }));
    let undone = |node: &Node| facts.marks.target.is_some_and(|target| !facts.is_done_for_now(node, target));
    let beside = facts.managed().filter(|node| node.name != resting.node).any(|node| undone(node) && failed(node));
    (newest && !beside && own.state == JobState::Complete && !own.deleting).then_some(resting)
}

#[cfg(test)]
#[path = "when_tests.rs"]
mod tests;

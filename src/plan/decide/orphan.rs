//! The orphan watch: is a run in flight that no Job will take further, and may it be taken up without a person's word? Or is none, and one that
//! was deferred is to be tried again?
//!
//! What is to be done is [`next`]'s to say; here stands only whether, and how often. Whatever a person may have meant (a Job that was
//! deleted, a halt, a run in a process of its own) is left to `resume`.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::next::{self, Next, Wave};
use super::planned::Planned;
use super::target::{self, TargetCheck};
use super::when::{self, Closed};
use crate::failure::{Cause, Class, Retry};
use crate::guard::{self, Guard};
use crate::names;
use crate::plan::model::approved::Approved;
use crate::plan::model::facts::{Facts, JobFact, JobState, Step, TakenUp};
use crate::plan::model::marks::{Deferred, RunMarks};
use crate::plan::model::policy::Policy;
use crate::plan::model::resting::Resting;
use crate::plan::model::span::{span, stamp};
use crate::plan::model::version::Version;
use crate::words::RunId;

/// A step that fails is taken up this often; then it is a person's.
const TIMES: u32 = 3;
/// A node that has been away this long is given up as a place to run: many times what a Lease lasts.
const AWAY: SignedDuration = SignedDuration::from_mins(10);

/// Between two tries of a run that was deferred.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What the watch does about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done, and why not.
    Leave(String),
    TakeUp(Box<TakeUp>),
}

impl Verdict {
    fn take_up(found: TakeUp) -> Self {
        Verdict::TakeUp(Box::new(found))
    }
}

/// The Job that it creates, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeUp {
    pub planned: Planned,
    /// Others that may begin beside it. One that is not created comes when another ends.
    pub beside: Vec<Planned>,
    /// What has become of the Job that was at work.
    pub why: String,
    /// UID of the dead Job, if its own work is done and another step follows. Recorded, so that its successor is created once: one
    /// that somebody deletes stays away.
    pub hands_on: Option<String>,
    /// The run that it begins; None: it goes on with the one in flight.
    pub begins: Option<Begins>,
}

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begins {
    pub target: Version,
    pub run: RunId,
    /// That it does not, in words.
    pub or_not: String,
}

impl TakeUp {
    /// Recorded before a Job is deleted to make room: whoever dies before the new one is there leaves word that it was no person who
    /// deleted it, and the count.
    pub fn intent(&self) -> Option<String> {
        let TakenUp { times, held } = self.planned.taken_up.unwrap_or_default();
        let held = if held { " held" } else { "" };
        self.planned.replaces.as_ref().map(|_| format!("{} {times}{held}", self.planned.job))
    }
}

fn read_intent(text: &str) -> Option<(&str, TakenUp)> {
    let mut words = text.split(' ');
    let (job, times) = (words.next()?, words.next()?.parse().ok()?);
    Some((job, TakenUp { times, held: words.next() == Some("held") }))
}

/// Judges the run in flight.
pub fn judge(facts: &Facts, policy: &Policy, now: Timestamp) -> Result<Verdict, Cause> {
    let leave = |why: String| Ok(Verdict::Leave(why));
    let marks = &facts.marks;
    if !marks.in_flight {
        return Ok(to_begin(facts, policy, now)?.map_or_else(Verdict::Leave, Verdict::take_up));
    }
    if let Some(halt) = marks.halted.as_ref().filter(|halt| halt.run && guard::on(Guard::HaltBeforeJob)) {
        return leave(halt.to_string());
    }
    if let Some(who) = marks.local.as_ref().filter(|_| guard::on(Guard::LocalRunBeforeTakingUp)) {
        return leave(format!("{who} has taken the run over in a process of their own"));
    }
    if let Some(only) = has_stopped(facts) {
        return leave(stops_after(only));
    }
    if let Some((resting, closed)) = when::rest(facts, policy, now) {
        return leave(format!("the run rests before {}: {closed}", resting.node));
    }
    let mut freed = facts.clone();
    for job in freed.jobs.iter_mut().filter(|job| job.state == JobState::Active) {
        match stuck(facts, job, now).filter(|_| job.run == marks.run_id) {
            Some(why) => job.state = JobState::Failed { reason: why, exit: None },
            // In waves, one beside it may have failed.
            None if policy.waves.on() => {}
            None => return leave(format!("Job {} is at work", job.name)),
        }
    }
    let wave = match next::next(&freed, policy, None, now) {
        Ok(Next::Create(wave)) => wave,
        Ok(Next::Running(job) | Next::Failed(job)) => return leave(format!("Job {job} is at work")),
        Ok(Next::Done) => return leave("no run is in flight".to_owned()),
        // The next watch looks again.
        Err(cause) if matches!(cause.class, Class::Hold | Class::Refused | Class::Pinned | Class::Usage) => {
            let why: Vec<String> = std::iter::once(cause.what).chain(cause.detail).collect();
            return leave(format!("the run cannot be taken up now: {}", why.join("; ")));
        }
        Err(cause) => return Err(cause),
    };
    if let Some((job, taken_up)) = marks.taking_up.as_deref().and_then(read_intent)
        && let Some(planned) = wave.all().find(|planned| job == planned.job && planned.replaces.is_none())
    {
        let why = format!("Job {job} was being replaced by a watch that died");
        let planned = Planned { taken_up: Some(taken_up), ..planned.clone() };
        return Ok(Verdict::take_up(TakeUp { planned, beside: Vec::new(), why, hands_on: None, begins: None }));
    }
    // Of several steps that failed beside each other, the first that may be tried again; each is judged by its own Job.
    let failed = |planned: &&Planned| policy.waves.on() && freed.jobs.iter().any(|job| has_failed(job, planned));
    let mut followed = wave.all().filter(failed).map(|planned| follow(facts, &freed, policy, planned.clone().into(), now));
    let found = match followed.next() {
        None => follow(facts, &freed, policy, wave.clone(), now),
        Some(Err(why)) => followed.find(Result::is_ok).unwrap_or(Err(why)),
        Some(found) => found,
    };
    Ok(found.map_or_else(Verdict::Leave, Verdict::take_up))
}

/// It is the Job that makes room for this one, and has failed.
fn has_failed(job: &JobFact, planned: &Planned) -> bool {
    planned.replaces.as_ref() == Some(&job.uid) && matches!(job.state, JobState::Failed { .. })
}

/// Why no run begins by itself while detection's CronJob is suspended, by whatever hand: then nobody wants one to.
pub fn kept_off(begins: &Begins) -> String {
    format!("{}: CronJob {} is suspended", begins.or_not, names::DETECT_CRONJOB)
}

/// Which run may begin, and why: a gate has kept it from its claim, or a person has approved it.
#[derive(Clone, Copy)]
enum Waits<'a> {
    Deferred(&'a Deferred),
    /// With when it was tried in vain, if it was.
    Approved(&'a Approved, Option<&'a Deferred>),
}

impl fmt::Display for Waits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waits::Deferred(Deferred { target, since, .. }) => write!(f, "the run to {target} that was deferred at {since}"),
            Waits::Approved(Approved { release, by, at, .. }, _) => {
                write!(f, "the run to {release} that {by} has approved at {}", stamp(*at))
            }
        }
    }
}

/// Preflight of a run that has not begun, or why it does not begin now. What a person has approved comes first, and another waits for no
/// better reason than that one.
fn to_begin(facts: &Facts, policy: &Policy, now: Timestamp) -> Result<Result<TakeUp, String>, Cause> {
    let RunMarks { approved, deferred, .. } = &facts.marks;
    let (of_approval, other) = match (approved, deferred) {
        (Some(approved), Some(deferred)) if approved.run == deferred.run => (Some(deferred), None),
        (_, deferred) => (None, deferred.as_ref()),
    };
    let approved = approved.as_ref().map(|approved| Waits::Approved(approved, of_approval));
    let mut why = "no run is in flight".to_owned();
    for waits in approved.into_iter().chain(other.map(Waits::Deferred)) {
        match begin(facts, policy, waits, now)? {
            Ok(found) => return Ok(Ok(found)),
            Err(not_now) => why = not_now,
        }
    }
    Ok(Err(why))
}

/// Preflight of that run, once more or at first; or why not now. It is detection's word that stands, or a person's: whatever halts keeps it off.
fn begin(facts: &Facts, policy: &Policy, waits: Waits<'_>, now: Timestamp) -> Result<Result<TakeUp, String>, Cause> {
    let (target, run, since, until) = match waits {
        Waits::Deferred(Deferred { target, run, since }) => (target, run, *since, None),
        Waits::Approved(approved, deferred) => {
            let Approved { release, run, at, until, .. } = approved;
            (release, run, deferred.map_or(*at, |deferred| deferred.since), Some(*until))
        }
    };
    // Whoever looks from elsewhere may not have the installation's settings: there the record says until when it waits.
    let word = facts.marks.is_outside_windows(run);
    let recorded = facts.marks.resting.as_ref().filter(|_| policy.calendar.is_empty() && !word);
    let since = recorded.and_then(|resting| resting.until).unwrap_or(since);
    let needs = when::needs_of_run(policy);
    let (again, no_more) = match until {
        None => ("tried again", "tried no more"),
        Some(_) => ("begun", "begun no more"),
    };
    if let Some(until) = until.filter(|until| now >= *until) {
        return Ok(Err(format!("{waits} is {no_more}: the approval has held until {}", stamp(until))));
    }
    if let Some(halt) = &facts.marks.halted {
        return Ok(Err(format!("{waits} is not {again}: {halt}")));
    }
    if let Some(Resting { why, .. }) = recorded.filter(|_| now < since) {
        let closed = Closed { until: Some(since), why: why.clone() };
        return Ok(Err(format!("{waits} waits: {closed}")));
    }
    let Some(retry) = policy.retry_deferred else {
        return Ok(Err(format!("{waits} is not {again}: detection starts nothing")));
    };
    let later = |at: Timestamp| at.saturating_add(SignedDuration::try_from(retry).unwrap_or(SignedDuration::MAX)).unwrap_or(now);
    // The time before its first window does not count, and all of that window does.
    let window = when::first_window(&policy.calendar, since, needs).filter(|_| !word);
    let last = window.map_or_else(|| later(since), |(from, to)| later(from).max(to));
    if until.is_none() && now > last {
        return Ok(Err(format!("{waits} is {no_more} after {}: it waits for the next detection", span(retry))));
    }
    if let Err(closed) = when::may_begin(&policy.calendar, now, needs)
        && !word
    {
        return Ok(Err(format!("{waits} waits: {closed}")));
    }
    let newest = facts.jobs.iter().filter(|job| job.run.as_ref() == Some(run)).max_by_key(|job| job.created);
    if let Some(JobFact { name, state: JobState::Failed { reason, exit }, .. }) = newest
        && after(reason, *exit) == Retry::Person
    {
        return Ok(Err(format!("{waits} is not tried again: Job {name} failed, and a person must change something first")));
    }
    // One that waited for a window has not been tried in it yet, and one that was approved not at all.
    let tried = newest.and_then(|job| job.created);
    let untried = tried.is_none() && matches!(waits, Waits::Approved(_, None));
    let tried = tried.unwrap_or(since);
    let due = match window {
        _ if untried => since.min(now),
        Some((from, _)) if tried < from => from,
        _ => tried.saturating_add(AGAIN).unwrap_or(now),
    };
    if now < due {
        return Ok(Err(format!("{waits} is tried again at {due}")));
    }
    let planned = match target::check_target(facts, *target) {
        Ok(TargetCheck::Nothing) => return Ok(Err(format!("every node is at {target}: nothing to do"))),
        Ok(TargetCheck::Upgrade(_)) => next::first(facts, policy, *target),
        Err(cause) => Err(cause),
    };
    match planned {
        Ok(Next::Create(wave)) => {
            let begins = Begins { target: *target, run: run.clone(), or_not: format!("{waits} is not {again}") };
            let why = format!("{waits} is {}", if untried { "begun" } else { "tried again" });
            Ok(Ok(TakeUp { planned: wave.first, beside: wave.beside, why, hands_on: None, begins: Some(begins) }))
        }
        Ok(Next::Running(job) | Next::Failed(job)) => Ok(Err(format!("Job {job} is at work"))),
        Ok(Next::Done) => Ok(Err("no run is in flight".to_owned())),
        Err(cause) if matches!(cause.class, Class::Hold | Class::Refused | Class::Pinned) => {
            Ok(Err(format!("{waits} cannot be {again} now: {}", cause.what)))
        }
        Err(cause) => Err(cause),
    }
}

/// Why the run is gone on with that has rested.
fn has_rested(Resting { node, since, .. }: &Resting) -> String {
    format!("the run has rested before {node} since {}", stamp(*since))
}

/// The worker that the run in flight was for, once that is done: it goes on with the others by a person's word alone.
pub fn stops_after(node: &str) -> String {
    format!("the run stops after {node}, as `start --only` has said: `k8s-upgrade resume` goes on with the others")
}

fn is_done(facts: &Facts, node: &str) -> bool {
    let done = |target| facts.node(node).is_none_or(|node| node.is_done(target) || Step::of(node).is_skipped(&facts.marks));
    facts.marks.target.is_some_and(done)
}

/// The run in flight has come to where a person wants it to stop.
pub fn has_stopped(facts: &Facts) -> Option<&str> {
    let others = || facts.managed().any(|node| !is_done(facts, &node.name));
    let stays = || facts.goes_back().is_none();
    facts.marks.only().filter(|node| is_done(facts, node) && others() && stays() && guard::on(Guard::OnlyStops))
}

/// What follows the newest Job of the run, or the one that has failed in the step's place; or why nothing does. `freed`: the facts with stuck
/// Jobs as failed ones.
fn follow(facts: &Facts, freed: &Facts, policy: &Policy, wave: Wave, now: Timestamp) -> Result<TakeUp, String> {
    let marks = &facts.marks;
    let Wave { first: planned, beside } = wave;
    let of_run = || freed.jobs.iter().filter(|job| marks.run_id.is_some() && job.run == marks.run_id);
    // What failed beside others need not be the newest.
    let failed = |job: &JobFact| (has_failed(job, &planned), matches!(job.state, JobState::Failed { .. }));
    let newest = of_run()
        .max_by_key(|job| (policy.waves.on().then(|| failed(job)), job.created, &job.name))
        .ok_or_else(|| "the run has no Job: somebody deleted it, or a process outside the cluster performs the run".to_owned())?;
    let (name, former) = (&newest.name, newest.taken_up.unwrap_or_default());
    if newest.deleting {
        return Err(format!("Job {name} is being deleted"));
    }
    let rested = when::resting(facts).filter(|_| planned.replaces.as_deref() == Some(newest.uid.as_str()) || policy.waves.on());
    if let Some(resting) = rested {
        return Ok(TakeUp {
            planned: Planned { taken_up: newest.taken_up, ..planned },
            beside,
            why: has_rested(resting),
            hands_on: None,
            begins: None,
        });
    }
    let JobState::Failed { reason, exit } = &newest.state else {
        return Err(format!("Job {name} is complete, and its successor is gone: somebody deleted it"));
    };
    let was_stuck = facts.jobs.iter().any(|job| job.uid == newest.uid && job.state == JobState::Active);
    let failed = || format!("Job {name} failed ({})", exit.map_or(reason.clone(), |exit| format!("{reason}, exit {exit}")));
    let (why, again) = match after(reason, *exit) {
        _ if was_stuck => (format!("Job {name} {reason}"), newest.taken_up),
        Retry::Counted => (failed(), Some(once_more(former))),
        Retry::Gate => {
            let drained = planned.step.node.as_deref().and_then(|node| marks.held_drain_of(node));
            if let Some(drained) = drained.filter(|drained| now < drained.again() && guard::on(Guard::DrainPause)) {
                let at = drained.again().strftime("%H:%M UTC");
                return Err(format!("Job {name} held ({}): it is tried again at {at}", drained.words()));
            }
            (format!("Job {name} held"), Some(TakenUp { held: true, ..former }))
        }
        Retry::Person => return Err(format!("{}: a person must change something first", failed())),
    };
    let same = planned.replaces.as_deref() == Some(newest.uid.as_str());
    if !same && marks.handed_on.as_deref() == Some(newest.uid.as_str()) {
        return Err(format!("Job {} had followed {name}, and is gone: somebody deleted it", planned.job));
    }
    // Another step's Job begins anew, as if its predecessor had created it; only a step that comes back is counted on.
    let back = || of_run().find(|job| job.name == planned.job).map(|job| once_more(job.taken_up.unwrap_or_default()));
    let taken_up = if same { again } else { back() };
    if taken_up.is_some_and(|taken_up| taken_up.times > TIMES) && guard::on(Guard::TakenUpTimes) {
        return Err(format!("{why}, and this step was retried {TIMES} times: it needs manual action"));
    }
    let hands_on = (!same).then(|| newest.uid.clone());
    Ok(TakeUp { planned: Planned { taken_up, ..planned }, beside, why, hands_on, begins: None })
}

fn once_more(former: TakenUp) -> TakenUp {
    TakenUp { times: former.times.saturating_add(1), held: false }
}

/// What follows a failed Job; the same table says what the Job itself made of its pods' ends.
fn after(reason: &str, exit: Option<i32>) -> Retry {
    match exit {
        Some(code) => Retry::after(code),
        // It was one of those that fail a Job at once, but nobody can say any more which.
        None if reason == "PodFailurePolicy" => Retry::Person,
        None => Retry::Counted,
    }
}

/// Why a Job that counts as active cannot do anything any more, if that is so: its pin has been out of use for long, and none of its
/// pods can still act.
pub(super) fn stuck(facts: &Facts, job: &JobFact, now: Timestamp) -> Option<String> {
    let long = |since: Option<Timestamp>| since.is_some_and(|since| now.duration_since(since) >= AWAY);
    // A node that is gone gives no time; its pods are soon gone as well.
    let away = |name: &str| facts.node(name).is_some_and(|node| !node.ready && long(node.ready_since));
    let bound = || job.pods.iter().filter_map(|pod| pod.node.as_deref());
    if bound().any(|node| !away(node)) {
        return None;
    }
    let waiting = || job.pods.iter().filter(|pod| pod.node.is_none()).filter_map(|pod| pod.created).max().or(job.created);
    let Some(pin) = &job.pin else {
        return bound().next().map(|node| format!("ran on {node}, which is not Ready"));
    };
    let (what, since) = match facts.node(pin) {
        None => ("is gone", waiting()),
        Some(node) => {
            let cordoned = node.unschedulable.then(|| node.cordoned_since.or_else(waiting)).flatten();
            let not_ready = (!node.ready).then_some(node.ready_since).flatten();
            (if node.ready { "is cordoned" } else { "is not Ready" }, cordoned.into_iter().chain(not_ready).min())
        }
    };
    long(since).then(|| format!("waits for {pin}, which {what}"))
}

#[cfg(test)]
#[path = "orphan_tests.rs"]
mod tests;

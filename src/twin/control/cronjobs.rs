//! CronJobs: a Job at each time of a schedule, and no more finished ones kept than wanted.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::api::remove;
use super::super::state::{State, later};
use super::super::store::{Key, Kind, seconds};
use super::objects::{child_meta, children, create, is, seconds_of, terminating, time, uid, write_status};
use super::{Due, unmodelled, wake_at};

const MINUTES_OF_A_DAY: i64 = 24 * 60;
/// Days within which a schedule comes round, unless it waits for a 29th of February.
const ROUND: i64 = 366;

/// Minutes, hours, days of the month, months and weekdays; of the two kinds of days only one may be said.
pub struct Schedule {
    minutes: Vec<i64>,
    hours: Vec<i64>,
    days: Vec<i64>,
    months: Vec<i64>,
    weekdays: Vec<i64>,
}

impl Schedule {
    pub fn parse(text: &str) -> Option<Schedule> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        // Where both are said, either is enough: that is not what is done here.
        if *days != "*" && *weekdays != "*" {
            return None;
        }
        let (days, months, mut weekdays) = (field(days, 32)?, field(months, 13)?, field(weekdays, 8)?);
        // Seven is Sunday, too.
        weekdays.iter_mut().for_each(|day| *day %= 7);
        Some(Schedule { minutes: field(minutes, 60)?, hours: field(hours, 24)?, days, months, weekdays })
    }

    /// By days since 1970.
    fn holds(&self, day: i64) -> bool {
        let Ok(date) = Timestamp::from_second(day * MINUTES_OF_A_DAY * 60) else { return false };
        let date = date.to_zoned(jiff::tz::TimeZone::UTC).date();
        self.days.contains(&date.day().into())
            && self.months.contains(&date.month().into())
            && self.weekdays.contains(&date.weekday().to_sunday_zero_offset().into())
    }

    /// The minutes of a day, since 1970.
    fn minutes(&self, day: i64) -> impl DoubleEndedIterator<Item = i64> {
        let hours = self.hours.iter().map(move |hour| day * MINUTES_OF_A_DAY + hour * 60);
        hours.flat_map(|hour| self.minutes.iter().map(move |minute| hour + minute))
    }

    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = minute_of(after);
        let first = after.div_euclid(MINUTES_OF_A_DAY);
        let mut days = (first..=first + ROUND).filter(|day| self.holds(*day));
        at(days.find_map(|day| self.minutes(day).find(|minute| *minute > after))?)
    }

    /// The last time after `since` until `now`.
    fn last(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (since, now) = (minute_of(since), minute_of(now));
        let last = now.div_euclid(MINUTES_OF_A_DAY);
        let mut days = (last - ROUND..=last).rev().filter(|day| self.holds(*day));
        at(days.find_map(|day| self.minutes(day).rfind(|minute| *minute <= now)).filter(|minute| *minute > since)?)
    }
}

/// `*`, `*/N`, or numbers with commas.
fn field(text: &str, bound: i64) -> Option<Vec<i64>> {
    let step = if text == "*" { Some(1) } else { text.strip_prefix("*/").and_then(|step| step.parse().ok()) };
    if let Some(step) = step {
        return (step > 0).then(|| (0..bound).step_by(step).collect());
    }
    let mut numbers: Vec<i64> =
        text.split(',').map(|number| number.parse().ok().filter(|number| (0..bound).contains(number))).collect::<Option<_>>()?;
    numbers.sort_unstable();
    Some(numbers)
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

fn at(minute: i64) -> Option<Timestamp> {
    Timestamp::from_second(minute * 60).ok()
}

pub fn sync(state: &mut State, key: &Key) {
    let Some(cronjob) = state.store.get(key).cloned() else { return };
    if terminating(&cronjob) {
        return;
    }
    let jobs = children(state, uid(&cronjob), Kind::Job);
    let (finished, active): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|(_, job)| is(job, "Complete") == "True" || is(job, "Failed") == "True");
    forget(state, &cronjob, finished);
    let mut references: Vec<Value> = active.iter().map(|(_, job)| reference(job)).collect();
    let mut fields = Vec::new();
    let spec = &cronjob["spec"];
    if spec["suspend"] != true {
        let zone = spec["timeZone"].as_str().unwrap_or("UTC");
        let text = spec["schedule"].as_str().unwrap_or_default();
        let schedule = Schedule::parse(text).filter(|_| matches!(zone, "UTC" | "Etc/UTC"));
        let Some(schedule) = schedule else {
            return unmodelled(state, format!("the schedule {text:?} ({zone}) of CronJob {}", key.full_name()));
        };
        let policy = spec["concurrencyPolicy"].as_str().unwrap_or("Allow");
        if policy == "Replace" {
            unmodelled(state, format!("concurrencyPolicy Replace of CronJob {}", key.full_name()));
        }
        let now = state.now();
        let since = time(&cronjob["status"]["lastScheduleTime"]).or_else(|| time(&cronjob["metadata"]["creationTimestamp"]));
        let due = schedule.last(since.unwrap_or(now), now).filter(|due| !is_late(spec, *due, now));
        let free = policy != "Forbid" || active.is_empty();
        if let Some(due) = due.filter(|_| free) {
            if let Some(job) = create(state, Kind::Job, job_of(&cronjob, key, due)) {
                references.push(reference(&job));
            }
            fields.push(("lastScheduleTime", json!(seconds(due))));
        }
        if let Some(next) = schedule.next(now) {
            // A controller is never there at the very second.
            let when = later(next, super::delay(state, 50, 900));
            wake_at(state, Due::Object(key.clone()), when);
        }
    }
    if !(references.is_empty() && cronjob["status"]["active"].is_null()) {
        fields.push(("active", json!(references)));
    }
    write_status(state, key, &fields);
}

fn is_late(spec: &Value, due: Timestamp, now: Timestamp) -> bool {
    seconds_of(&spec["startingDeadlineSeconds"]).is_some_and(|span| later(due, span) < now)
}

fn reference(job: &Arc<Value>) -> Value {
    let meta = &job["metadata"];
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
    })
}

fn job_of(cronjob: &Value, key: &Key, due: Timestamp) -> Value {
    let template = &cronjob["spec"]["jobTemplate"];
    let mut meta = child_meta(cronjob, &format!("{}-{}", key.name, minute_of(due)), &template["metadata"]);
    meta["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = json!(seconds(due));
    json!({ "metadata": meta, "spec": template["spec"] })
}

/// Removes the oldest finished Jobs that are too many.
fn forget(state: &mut State, cronjob: &Value, finished: Vec<(Key, Arc<Value>)>) {
    let (good, bad): (Vec<_>, Vec<_>) = finished.into_iter().partition(|(_, job)| is(job, "Complete") == "True");
    for (mut jobs, field, usual) in [(good, "successfulJobsHistoryLimit", 3), (bad, "failedJobsHistoryLimit", 1)] {
        let limit = cronjob["spec"][field].as_u64().unwrap_or(usual);
        jobs.sort_by_cached_key(|(key, job)| {
            (job["status"]["startTime"].as_str().unwrap_or_default().to_owned(), key.name.clone())
        });
        let surplus = jobs.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        for (key, _) in jobs.into_iter().take(surplus) {
            remove(state, &key);
        }
    }
}

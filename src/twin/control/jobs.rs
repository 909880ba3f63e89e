//! Jobs of one pod at a time: retries with a growing pause, pod failure policies, deadlines, and their own end.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::api::{TRACKING, delete_pod, release, remove};
use super::super::state::{State, later};
use super::super::store::{Key, Kind, seconds};
use super::objects::{
    children, condition, finished, is, node_of, owner, phase, pod_of, ready, seconds_of, set_condition, terminating, time,
    try_create, uid, warn,
};
use super::{Due, unmodelled, wake, wake_at};

/// The pause after a pod's failure, doubled for each that follows, up to the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const USUAL_LIMIT: u64 = 6;
/// When a pod that was refused is tried again.
const REFUSED: Duration = Duration::from_secs(5);

/// How the pods of a Job ended, each counted once, also those that are gone since.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    counted: BTreeSet<String>,
    succeeded: u64,
    failed: u64,
    /// Failures since the last success, ignored ones, too, and the last of them.
    in_a_row: u32,
    last: Option<Timestamp>,
    /// The policy says that no retry can help, and why.
    doomed: Option<String>,
}

impl Ends {
    fn may_retry_at(&self) -> Option<Timestamp> {
        let doubled = PAUSE * 2_u32.saturating_pow(self.in_a_row.checked_sub(1)?.min(6));
        Some(later(self.last?, doubled.min(LONGEST_PAUSE)))
    }
}

/// Counts a pod that has ended, if a Job owns it.
pub fn see(state: &mut State, key: &Key, pod: &Value, gone: bool) {
    let Some(owner) = owner(pod).filter(|owner| owner.reference["kind"] == "Job") else { return };
    let Some(job) = owner.key(&key.namespace).and_then(|job| state.store.get(&job)).filter(|job| uid(job) == owner.uid) else {
        return;
    };
    // Unless only failed pods are replaced, one that is being deleted counts as such already.
    let early = terminating(pod) && job["spec"]["podReplacementPolicy"] != "Failed" && job["spec"]["podFailurePolicy"].is_null();
    let succeeded = phase(pod) == "Succeeded";
    if !(succeeded || phase(pod) == "Failed" || gone || early) {
        return;
    }
    let fate = if succeeded {
        Fate::Counts
    } else if job["spec"]["suspend"] == true {
        // The Job itself took it away.
        Fate::Ignored
    } else {
        fate(&job["spec"]["podFailurePolicy"]["rules"], key, pod)
    };
    let now = state.now();
    let ends = state.control.jobs.entry(owner.uid.to_owned()).or_default();
    if !ends.counted.insert(uid(pod).to_owned()) {
        return;
    }
    if succeeded {
        ends.succeeded += 1;
        ends.in_a_row = 0;
        return;
    }
    ends.in_a_row += 1;
    ends.last = Some(now);
    match fate {
        Fate::Ignored => {}
        Fate::Counts => ends.failed += 1,
        Fate::Dooms(why) => {
            ends.failed += 1;
            ends.doomed = Some(why);
        }
    }
}

/// What a pod failure policy makes of a failed pod.
enum Fate {
    Ignored,
    Counts,
    Dooms(String),
}

fn fate(rules: &Value, key: &Key, pod: &Value) -> Fate {
    for (index, rule) in rules.as_array().into_iter().flatten().enumerate() {
        let Some(what) = matches_rule(rule, pod) else { continue };
        return match rule["action"].as_str() {
            Some("Ignore") => Fate::Ignored,
            Some("FailJob") => {
                let (container, code) = what.unwrap_or_default();
                let pod = key.full_name();
                let why = format!(
                    "Container {container} for pod {pod} failed with exit code {code} matching FailJob rule at index {index}"
                );
                Fate::Dooms(why)
            }
            _ => Fate::Counts,
        };
    }
    Fate::Counts
}

/// Whether a rule speaks of a pod; for exit codes, of which container and code.
fn matches_rule(rule: &Value, pod: &Value) -> Option<Option<(String, i64)>> {
    let patterns = rule["onPodConditions"].as_array().into_iter().flatten();
    let holds =
        |pattern: &Value| is(pod, pattern["type"].as_str().unwrap_or_default()) == pattern["status"].as_str().unwrap_or("True");
    if patterns.into_iter().any(holds) {
        return Some(None);
    }
    let codes = &rule["onExitCodes"];
    let listed = |code: i64| codes["values"].as_array().into_iter().flatten().any(|value| value.as_i64() == Some(code));
    pod["status"]["containerStatuses"].as_array().into_iter().flatten().find_map(|container| {
        let code = container["state"]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0)?;
        let named = codes["containerName"].is_null() || codes["containerName"] == container["name"];
        let matches = match codes["operator"].as_str()? {
            "In" => listed(code),
            "NotIn" => !listed(code),
            _ => false,
        };
        (named && matches).then(|| Some((container["name"].as_str().unwrap_or_default().to_owned(), code)))
    })
}

pub fn sync(state: &mut State, key: &Key) {
    let Some(job) = state.store.get(key).cloned() else { return };
    if terminating(&job) {
        return;
    }
    if let Some(end) =
        ["Complete", "Failed"].into_iter().find_map(|kind| condition(&job, kind).filter(|end| end["status"] == "True"))
    {
        return outlive(state, key, &job, time(&end["lastTransitionTime"]));
    }
    let spec = &job["spec"];
    let number = |field: &str, usual: u64| spec[field].as_u64().unwrap_or(usual);
    if number("parallelism", 1) != 1 || number("completions", 1) != 1 {
        unmodelled(state, format!("parallelism or completions of Job {}", key.full_name()));
    }
    let now = state.now();
    let mut live = children(state, uid(&job), Kind::Pod);
    let all: Vec<Key> = live.iter().map(|(pod, _)| pod.clone()).collect();
    live.retain(|(_, pod)| !finished(pod));
    let (dying, active): (Vec<_>, Vec<_>) = live.into_iter().partition(|(_, pod)| terminating(pod));
    let ends = state.control.jobs.get(uid(&job)).cloned().unwrap_or_default();
    let suspended = spec["suspend"] == true;
    let started = time(&job["status"]["startTime"]).filter(|_| !suspended);
    let deadline =
        seconds_of(&spec["activeDeadlineSeconds"]).map(|span| later(started.unwrap_or(now), span)).filter(|_| !suspended);
    let overdue = deadline.is_some_and(|deadline| deadline <= now);
    let failure = if let Some(known) = condition(&job, "FailureTarget") {
        let text = |field: &str| known[field].as_str().unwrap_or_default().to_owned();
        Some((text("reason"), text("message")))
    } else if let Some(why) = &ends.doomed {
        Some(("PodFailurePolicy".to_owned(), why.clone()))
    } else if ends.failed > number("backoffLimit", USUAL_LIMIT) {
        Some(("BackoffLimitExceeded".to_owned(), "Job has reached the specified backoff limit".to_owned()))
    } else if overdue && ends.succeeded == 0 {
        Some(("DeadlineExceeded".to_owned(), "Job was active longer than specified deadline".to_owned()))
    } else {
        None
    };
    let complete = failure.is_none() && ends.succeeded > 0;
    if failure.is_some() || suspended {
        for (pod, _) in &active {
            delete_pod(state, pod, None);
        }
    }
    let pause = ends.may_retry_at().filter(|when| *when > now);
    let one_at_a_time = spec["podReplacementPolicy"] == "Failed" || spec["podFailurePolicy"].is_object();
    let place = active.is_empty() && (dying.is_empty() || !one_at_a_time);
    let wants = place && failure.is_none() && !complete && !suspended;
    let mut running = active.len();
    let mut refused = false;
    if wants && pause.is_none() {
        if let Err(why) = try_create(state, Kind::Pod, pod_of_job(&job, key)) {
            warn(state, &job, "FailedCreate", &format!("Error creating: {why}"));
            refused = true;
        }
        running += usize::from(!refused);
    }
    let over = failure.is_some()
        && state.control.index.children(uid(&job)).all(|pod| state.store.get(pod).is_none_or(|pod| finished(pod)));
    if failure.is_some() || suspended || complete {
        running = 0;
    }
    let are_ready = active.iter().filter(|(_, pod)| ready(pod)).count();
    state.store.update(key, |job| {
        let status = &mut job["status"];
        for (field, value) in [
            ("active", running),
            ("ready", if running == 0 { 0 } else { are_ready }),
            ("terminating", dying.len()),
            ("succeeded", usize::try_from(ends.succeeded).unwrap_or(0)),
            ("failed", usize::try_from(ends.failed).unwrap_or(0)),
        ] {
            status[field] = json!(value);
            // None of them is nothing, but for the two that are always said.
            if value == 0
                && !matches!(field, "ready" | "terminating")
                && let Some(status) = status.as_object_mut()
            {
                status.shift_remove(field);
            }
        }
        if suspended {
            if let Some(status) = status.as_object_mut() {
                status.shift_remove("startTime");
            }
        } else if !status["startTime"].is_string() {
            status["startTime"] = json!(seconds(now));
        }
        if complete {
            status["completionTime"] = json!(seconds(now));
            let why = "Reached expected number of succeeded pods";
            set_condition(job, now, "SuccessCriteriaMet", "True", "CompletionsReached", why);
            set_condition(job, now, "Complete", "True", "CompletionsReached", why);
        }
        if let Some((reason, message)) = &failure {
            set_condition(job, now, "FailureTarget", "True", reason, message);
            // Only when the last pod has ended is the Job over.
            if over {
                set_condition(job, now, "Failed", "True", reason, message);
            }
        }
        if suspended {
            set_condition(job, now, "Suspended", "True", "JobSuspended", "Job suspended");
        } else if is(job, "Suspended") == "True" {
            set_condition(job, now, "Suspended", "False", "JobResumed", "Job resumed");
        }
    });
    // What is counted, or will not be, is let go.
    let counted = |pod: &Value| {
        let nowhere = terminating(pod) && node_of(pod).is_none();
        failure.is_some() || complete || suspended || nowhere || ends.counted.contains(uid(pod))
    };
    for pod in all {
        if state.store.get(&pod).is_some_and(|pod| counted(pod)) {
            release(state, &pod, TRACKING);
        }
    }
    if complete || over {
        // For its time to live.
        wake(state, Due::Object(key.clone()));
    }
    let again = [refused.then(|| later(now, REFUSED)), deadline.filter(|_| !complete && !overdue), pause.filter(|_| wants)];
    if let Some(again) = again.into_iter().flatten().min() {
        wake_at(state, Due::Object(key.clone()), again);
    }
}

fn pod_of_job(job: &Value, key: &Key) -> Value {
    let labels = [
        ("batch.kubernetes.io/controller-uid", uid(job)),
        ("batch.kubernetes.io/job-name", key.name.as_str()),
        ("controller-uid", uid(job)),
        ("job-name", key.name.as_str()),
    ];
    let mut pod = pod_of(job, &format!("{}-", key.name), &labels);
    pod["metadata"]["finalizers"] = json!([TRACKING]);
    pod
}

/// A finished Job goes when its time to live is over.
fn outlive(state: &mut State, key: &Key, job: &Value, ended: Option<Timestamp>) {
    let (Some(ended), Some(span)) = (ended, seconds_of(&job["spec"]["ttlSecondsAfterFinished"])) else { return };
    let until = later(ended, span);
    if until > state.now() {
        wake_at(state, Due::Object(key.clone()), until);
    } else {
        remove(state, key);
    }
}

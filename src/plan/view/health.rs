//! Whether the installation would do its work: what the runbook calls "Verify the pipeline is healthy", as checks.

use jiff::{SignedDuration, Timestamp};

use crate::failure::Cause;
use crate::names;
use crate::plan::decide::alerts::{self, Alert, Asker, Judgement, Moment, Rule};
use crate::plan::decide::orphan::{self, Verdict};
use crate::plan::decide::rules::{self, Input};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, JobFact, JobState};
use crate::plan::model::marks::RunMarks;
use crate::plan::model::policy::{Gauges, Policy};
use crate::words::{command, texts};

/// Detection runs once a week; a day later it is missed.
const MISSED: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Where it runs is a setting, and another's business.
const MONITORING: &str = "kubectl get pods -A | grep -iE 'prometheus|pushgateway'";

/// A CronJob as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    pub suspended: bool,
    /// Its container is this program's.
    pub ours: bool,
    /// What that container runs.
    pub image: Option<String>,
    pub schedule: String,
    pub created: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// A gauge at the Pushgateway: its name and labels as written there.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: String,
    pub value: f64,
}

impl Series {
    fn label(&self, name: &str) -> Option<&str> {
        let rest = self.labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""))?;
        rest.strip_suffix('"')
    }
}

/// What was looked at.
#[derive(Clone, Debug)]
pub struct HealthInput {
    pub facts: Facts,
    /// Detection's and the watch's, None where there is none.
    pub detection: Option<Cron>,
    pub watch: Option<Cron>,
    /// Detection's newest Job that has ended.
    pub detected: Option<JobFact>,
    /// The image that this binary makes.
    pub own: Answer<String>,
    /// Names of the admission policies with our label that are there and bound.
    pub policies: Answer<Vec<String>>,
    /// None: nothing is pushed (setting gauges).
    pub gauges: Option<Answer<Vec<Series>>>,
    /// None: nobody is asked (setting alerts).
    pub prometheus: Option<Prometheus>,
}

/// What Prometheus says.
#[derive(Clone, Debug)]
pub struct Prometheus {
    pub rules: Answer<Vec<Rule>>,
    /// What our rules look at and Prometheus has not.
    pub missing: Answer<Vec<Input>>,
    pub alerts: Answer<Vec<Alert>>,
}

/// One line of `status --health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    pub says: String,
    /// What to type where it is not ok.
    pub command: Option<String>,
}

texts!(Check { name, ok, says, command });

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Check { name, ok: true, says: says.into(), command: None }
    }
    fn wrong(name: &'static str, says: impl Into<String>, command: impl Into<String>) -> Self {
        Check { name, ok: false, says: says.into(), command: Some(command.into()) }
    }
}

/// The checks, in the order of the runbook. `bounding`: the policies that the settings ask for.
pub fn checks(seen: &HealthInput, policy: &Policy, bounding: &[String], namespace: &str, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![
        cron("detection", names::DETECT_CRONJOB, seen.detection.as_ref(), namespace),
        cron("watch", names::WATCH_CRONJOB, seen.watch.as_ref(), namespace),
        build(seen),
        bounds(&seen.policies, bounding),
        last_detection(seen, namespace, now),
        chain(&seen.facts, policy, now),
        gauges(seen, namespace),
    ];
    let pushed = if seen.gauges.is_some() { Gauges::Pushgateway } else { Gauges::Off };
    match &seen.prometheus {
        Some(said) => {
            checks.extend([rules_loaded(&said.rules, pushed), inputs(&said.missing), alerts_seen(&said.alerts, namespace)])
        }
        None => checks.push(Check::ok("alerts", "off by the setting alerts: the cluster's own health alone holds a run")),
    }
    // Nothing but a look at the nodes tells.
    let asks = "when the key of their source ends, the nodes alone know: k8s-upgrade status --hosts asks them";
    checks.push(Check::ok("packages", asks));
    checks.extend(seen.facts.readable(namespace).err().map(|odd| {
        let says: Vec<String> = std::iter::once(odd.what).chain(odd.detail).collect();
        Check::wrong("cluster", says.join("; "), odd.next.first().map_or("kubectl get nodes".to_owned(), ToString::to_string))
    }));
    checks
}

fn cron(name: &'static str, cronjob: &str, found: Option<&Cron>, namespace: &str) -> Check {
    let install = "k8s-upgrade manifests --image REF | kubectl apply -f -";
    match found {
        None => Check::wrong(name, format!("CronJob {cronjob} does not exist"), install),
        Some(cron) if !cron.ours => {
            // Applied over it, our container would be merged into its pods, beside the one that is there.
            let adopt = "k8s-upgrade adopt    # what becomes of it, and what to type in which order";
            Check::wrong(name, format!("CronJob {cronjob} runs another program: it belongs to another pipeline"), adopt)
        }
        Some(cron) if cron.suspended => Check::wrong(
            name,
            format!("CronJob {cronjob} is suspended"),
            command!("kubectl -n {} patch cronjob {} --type=merge -p {}", namespace, cronjob, r#"{"spec":{"suspend":false}}"#),
        ),
        Some(cron) => Check::ok(name, format!("CronJob {cronjob} runs at {}", cron.schedule)),
    }
}

/// What a person has in hand is not always what was deployed. Only names that hold a build's hash can be compared.
fn build(seen: &HealthInput) -> Check {
    let name = "build";
    let crons = [(names::DETECT_CRONJOB, &seen.detection), (names::WATCH_CRONJOB, &seen.watch)];
    let crons = crons.map(|(name, cron)| Some((name, cron.as_ref()?.image.as_deref()?)));
    let mut runs = crons.into_iter().flatten();
    let Some((cronjob, image)) = runs.next() else {
        return Check::ok(name, "no CronJob of this program is there to compare with this binary");
    };
    let install = command!("k8s-upgrade manifests --image {} | kubectl apply -f -    # or another one for both", image);
    if let Some((other, older)) = runs.find(|(_, other)| *other != image) {
        return Check::wrong(name, format!("CronJob {cronjob} runs {image}, and {other} runs {older}"), install);
    }
    let active = seen.facts.jobs.iter().filter(|job| job.state == JobState::Active);
    let at_work = active.filter_map(|job| Some((&job.name, job.image.as_deref()?))).find(|(_, other)| *other != image);
    let at_work = at_work.map_or(String::new(), |(job, other)| format!("; Job {job} goes on with {other}, which began the run"));
    match &seen.own {
        _ if !is_build(tag(image)) => {
            Check::ok(name, format!("the CronJobs run {image}, which does not say whether it is this binary{at_work}"))
        }
        Answer::Known(own) if tag(image).split('-').any(|build| build == tag(own)) => {
            Check::ok(name, format!("the CronJobs run this binary, {image}{at_work}"))
        }
        Answer::Known(own) => Check::wrong(
            name,
            format!("the CronJobs run {image}, and this binary is another build, or for another machine: {own}{at_work}"),
            "k8s-upgrade image --file k8s-upgrade.tar    # if yours is the newer; it says how it is installed",
        ),
        Answer::Unknown(why) => Check::wrong(
            name,
            format!("the CronJobs run {image}, and which build this binary is cannot be determined: {why}{at_work}"),
            "k8s-upgrade image --file k8s-upgrade.tar    # says what to do",
        ),
    }
}

/// Whether the API server holds our accounts to what they need. The accounts themselves may not ask.
fn bounds(there: &Answer<Vec<String>>, wanted: &[String]) -> Check {
    let name = "policies";
    let there = match there {
        Answer::Known(there) => there,
        Answer::Unknown(why) => {
            return Check::wrong(name, why, "kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings");
        }
    };
    let missing: Vec<&str> = wanted.iter().filter(|name| !there.contains(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Check::ok(name, format!("all {} that bound our accounts' rights are there", wanted.len()));
    }
    let what =
        format!("the API server does not bound our accounts' rights: {} missing (since Kubernetes 1.30)", missing.join(", "));
    Check::wrong(name, what, "k8s-upgrade manifests --image REF | kubectl apply -f -")
}

fn tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    name.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("", |(_, tag)| tag)
}

/// The hash of a build; where an image is for machines of several architectures, that of each.
fn is_build(tag: &str) -> bool {
    let is_hash = |build: &str| build.len() == names::BUILD_DIGITS && build.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    tag.split('-').all(is_hash)
}

fn last_detection(seen: &HealthInput, namespace: &str, now: Timestamp) -> Check {
    let name = "detected";
    let again = command!("kubectl -n {} create job --from=cronjob/{} version-check-test", namespace, names::DETECT_CRONJOB);
    let old = |at: Timestamp| now.duration_since(at) > MISSED;
    let series: &[Series] = if let Some(Answer::Known(series)) = &seen.gauges { series } else { &[] };
    let available = series.iter().filter(|series| series.name == names::METRIC_AVAILABLE && series.value >= 1.0);
    let found: Vec<String> =
        available.filter_map(|series| Some(format!("{} ({})", series.label("target")?, series.label("kind")?))).collect();
    let result = if found.is_empty() { String::new() } else { format!(", and found {}", found.join(" and ")) };
    if let Some(job) = &seen.detected {
        let at = job.ended.map_or(String::new(), |at| format!(" at {at}"));
        return match &job.state {
            JobState::Failed { reason, exit } => {
                let how = exit.map_or(reason.clone(), |exit| format!("exit {exit}"));
                let logs = command!("kubectl -n {} logs job/{}", namespace, job.name);
                Check::wrong(name, format!("the last detection failed{at}: {how}"), logs)
            }
            _ if job.ended.is_some_and(old) => Check::wrong(name, format!("the last detection was{at}: one was missed"), again),
            _ => Check::ok(name, format!("the last detection ended well{at}{result}")),
        };
    }
    // Its Job goes after a while; the CronJob remembers, and so does the gauge.
    let gauge = series.iter().filter(|series| series.name == names::METRIC_LAST_CHECK && series.value > 0.0);
    let gauge = gauge.filter_map(|series| Timestamp::from_second(series.value as i64).ok()).max();
    match (seen.detection.as_ref().and_then(|cron| cron.last).max(gauge), seen.detection.as_ref().and_then(|cron| cron.created)) {
        (Some(last), _) if old(last) => Check::wrong(name, format!("the last detection was at {last}: one was missed"), again),
        (Some(last), _) => Check::ok(name, format!("the last detection was at {last}{result}")),
        (None, Some(created)) if !old(created) => Check::ok(name, "none yet: the first is to come"),
        (None, _) => Check::wrong(name, "no detection has ever run", again),
    }
}

fn chain(facts: &Facts, policy: &Policy, now: Timestamp) -> Check {
    let name = "chain";
    if let Some(halted) = &facts.marks.halted {
        return Check::wrong(name, halted.to_string(), "k8s-upgrade halt --lift    # when it may go on");
    }
    match orphan::judge(facts, policy, now) {
        _ if !facts.marks.in_flight => {
            Check::ok(name, format!("no run in flight; {} Jobs of runs before are kept", facts.jobs.len()))
        }
        Ok(Verdict::TakeUp(found)) => Check::ok(name, format!("the watch takes the run up: {}", found.why)),
        Ok(Verdict::Leave(why)) if facts.jobs.iter().any(|job| job.state == JobState::Active) => Check::ok(name, why),
        Ok(Verdict::Leave(why)) => {
            Check::wrong(name, format!("a run is in flight and nothing takes it further: {why}"), "k8s-upgrade status")
        }
        Err(Cause { what, .. }) => Check::wrong(name, what, "k8s-upgrade status"),
    }
}

/// The annotations are the truth; an alert that looks at a gauge sees nothing else.
fn gauges(seen: &HealthInput, namespace: &str) -> Check {
    let name = "gauges";
    let push = command!("kubectl -n {} create job --from=cronjob/{} push-gauges", namespace, names::WATCH_CRONJOB);
    let series = match &seen.gauges {
        None => return Check::ok(name, "off by the setting gauges: alerts that look at them never fire"),
        Some(Answer::Known(series)) => series,
        Some(Answer::Unknown(why)) => return Check::wrong(name, why, MONITORING),
    };
    let wrong: Vec<String> = wanted(&seen.facts.marks)
        .into_iter()
        .filter_map(|(gauge, wanted)| {
            match series.iter().filter(|series| series.name == gauge).map(|series| series.value).reduce(f64::max) {
                None => Some(format!("{gauge} is not there")),
                Some(value) if (value != 0.0) != wanted => Some(format!("{gauge} is {value}, and the annotations say otherwise")),
                Some(_) => None,
            }
        })
        .collect();
    match wrong.as_slice() {
        [] => Check::ok(name, "those of the chain are at the Pushgateway, as the annotations are"),
        wrong => Check::wrong(name, format!("at the Pushgateway {}", wrong.join("; ")), push),
    }
}

/// Which gauges of the chain are other than zero.
fn wanted(marks: &RunMarks) -> [(&'static str, bool); 4] {
    let (on, taken) = (marks.in_flight, marks.snapshot_path.is_some());
    let halted = marks.halted.as_ref().is_some_and(|halt| halt.at.is_some());
    [
        (names::METRIC_IN_FLIGHT, on),
        (names::METRIC_STARTED, on && marks.started.is_some()),
        (names::METRIC_SNAPSHOT, on && taken),
        (names::METRIC_HALTED, halted),
    ]
}

fn rules_loaded(loaded: &Answer<Vec<Rule>>, gauges: Gauges) -> Check {
    let name = "rules";
    let loaded = match loaded {
        Answer::Known(loaded) => loaded,
        Answer::Unknown(why) => return Check::wrong(name, why, MONITORING),
    };
    let ours: Vec<String> = rules::alerts(gauges).iter().filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect();
    let missing: Vec<&str> =
        ours.iter().filter(|name| !loaded.iter().any(|rule| rule.name == **name)).map(String::as_str).collect();
    let ill = loaded.iter().filter(|rule| ours.contains(&rule.name) && !["ok", "unknown"].contains(&rule.health.as_str()));
    let ill: Vec<String> = ill.map(|rule| format!("{} ({})", rule.name, rule.health)).collect();
    let write = "k8s-upgrade manifests --only rules > upgrade-gates.yaml    # then let Prometheus load it";
    match (missing.as_slice(), ill.as_slice()) {
        ([], []) => Check::ok(name, format!("all {} of {:?} are loaded", ours.len(), names::ALERT_GROUP)),
        ([], ill) => Check::wrong(name, format!("Prometheus cannot evaluate {}", ill.join(", ")), write),
        (missing, _) => Check::wrong(name, format!("Prometheus has not loaded {}", missing.join(", ")), write),
    }
}

/// A rule without series to look at is quiet for ever, and looks like one that finds nothing amiss.
fn inputs(missing: &Answer<Vec<Input>>) -> Check {
    let name = "inputs";
    let missing = match missing {
        Answer::Known(missing) => missing,
        Answer::Unknown(why) => return Check::wrong(name, why, MONITORING),
    };
    if missing.is_empty() {
        return Check::ok(name, "Prometheus has what each rule needs to fire");
    }
    let lacks = |input: &Input| format!("without {} there can never fire {}", input.any.join(" or "), input.alerts.join(", "));
    let says = format!("what Prometheus scrapes is not enough: {}", missing.iter().map(lacks).collect::<Vec<_>>().join("; "));
    Check::wrong(name, says, "kubectl get pods -A | grep -iE 'prometheus|pushgateway|kube-state-metrics|node-exporter'")
}

/// What fires holds a run, which is no illness; that nobody can say what fires is one.
fn alerts_seen(alerts: &Answer<Vec<Alert>>, namespace: &str) -> Check {
    let asker =
        Asker { moment: Moment::Upgrading, namespace, skewed: true, gates: &[], ignore: None, matchers: &[], info_holds: false };
    match alerts::judge(alerts, &asker) {
        Judgement::Pass => Check::ok("alerts", "none fires that would hold a run"),
        Judgement::Blocked(blocked) => Check::ok("alerts", format!("a run would be held now by {}", blocked.alerts.join(", "))),
        Judgement::Unknown(why) => Check::wrong("alerts", why, MONITORING),
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;

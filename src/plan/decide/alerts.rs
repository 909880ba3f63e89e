//! Which firing alerts block a run. The run's own consequences never do: [`super::rules`] has those of our rules, by moment,
//! [`super::others`] those of other people's.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::others;
use super::rules::KNOWN;
pub use super::rules::Moment;
use crate::guard::{self, Guard};
use crate::names::{ALERT_BLOCKER, ALERT_BLOCKER_FORMER, ALERT_GROUP, ALERT_WATCHDOG, ETCD_JOB_PREFIX};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{COMPONENTS, Facts, Node, Phase, Step};
use crate::plan::model::matcher::Matcher;
use crate::plan::model::policy::LONGEST_FILTER;

/// An alert of Prometheus that is not inactive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub name: String,
    /// Firing, not merely pending.
    pub firing: bool,
    pub labels: BTreeMap<String, String>,
}

/// An alert rule that Prometheus has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    /// Of rules: only the one named [`ALERT_GROUP`] matters here.
    pub group: String,
    /// `ok`, or why its evaluation fails.
    pub health: String,
}

/// The alerts that the end of a run waits for beside our own: those of the group "Upgrade Gates", whoever wrote its rules.
pub fn gates(rules: Vec<Rule>) -> Vec<String> {
    rules.into_iter().filter(|rule| rule.group == ALERT_GROUP).map(|rule| rule.name).collect()
}

impl Moment {
    /// Only alerts of the group "Upgrade Gates" count: which those are is asked.
    pub fn ends(self) -> bool {
        matches!(self, Moment::Finishing | Moment::Partial)
    }

    /// Which moment of a run a phase is: some alerts are of the run's own doing then.
    pub fn of(phase: Phase, facts: &Facts) -> Self {
        match phase {
            Phase::Preflight if !facts.marks.in_flight => Moment::Unclaimed,
            Phase::Preflight => Moment::Claimed,
            Phase::Master if !facts.managed().any(|node| node.control_plane && node.changed_by(&facts.marks)) => Moment::Claimed,
            Phase::Master | Phase::Worker => Moment::Upgrading,
            Phase::Postflight if facts.nodes.iter().any(|node| left_old(node, facts)) => Moment::Partial,
            Phase::Postflight => Moment::Finishing,
        }
    }
}

/// A worker that the run goes past, or a node that the settings exclude, which has another version indeed: the skew that is left is theirs,
/// for every other node is looked at by itself.
fn left_old(node: &Node, facts: &Facts) -> bool {
    let old = facts.marks.target.is_none_or(|target| !node.is_upgraded(target));
    old && (node.excluded || !node.control_plane && Step::of(node).is_skipped(&facts.marks))
}

/// Nodes run several versions, or one node does: the excluded ones count, for rules see them, too.
pub fn skewed(facts: &Facts) -> bool {
    let components = |node: &Node| COMPONENTS.map(|name| node.component(name).and_then(|component| component.version));
    let versions = facts.nodes.iter().flat_map(|node| components(node).into_iter().chain([node.kubelet])).flatten();
    versions.collect::<BTreeSet<_>>().len() > 1
}

/// For whom the alerts are judged.
#[derive(Clone, Debug)]
pub struct Asker<'a> {
    pub moment: Moment,
    /// Our namespace.
    pub namespace: &'a str,
    /// See [`skewed`].
    pub skewed: bool,
    /// At the end of a run: see [`gates`].
    pub gates: &'a [String],
    /// Matches anywhere in an alert's name, as kured's filter does.
    pub ignore: Option<&'a Regex>,
    /// Only alerts that match all of these block, but for our own.
    pub matchers: &'a [Matcher],
    /// Alerts of the severities none and info block like any other.
    pub info_holds: bool,
}

/// What the alerts say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Pass,
    /// Some block.
    Blocked(Blocked),
    /// Nobody can say whether alerts fire: this blocks too.
    Unknown(String),
}

/// The firing alerts that block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// With the labels that say where.
    pub alerts: Vec<String>,
    /// The value of the setting alert-ignore that would let them pass, and all that it lets pass already. None: no value would.
    pub pass: Option<String>,
}

/// Judges the alerts.
///
/// Watchdog always fires where alerting works: unless it is seen, the answer is unknown.
pub fn judge(answer: &Answer<Vec<Alert>>, asker: &Asker<'_>) -> Judgement {
    let alerts = match answer {
        Answer::Known(alerts) => alerts,
        Answer::Unknown(_) if !guard::on(Guard::AlertsKnown) => return Judgement::Pass,
        Answer::Unknown(why) => return Judgement::Unknown(why.clone()),
    };
    let firing = || alerts.iter().filter(|alert| alert.firing);
    if !firing().any(|alert| alert.name == ALERT_WATCHDOG) && guard::on(Guard::Watchdog) {
        return Judgement::Unknown(format!(
            "the alert {ALERT_WATCHDOG}, which always fires, is not firing: alert rules are not evaluated"
        ));
    }
    let matches = |alert: &Alert| asker.matchers.iter().all(|matcher| matcher.matches(&alert.labels));
    let blocks = |alert: &&Alert| {
        let known = KNOWN.iter().find(|known| known.name == alert.name);
        let gate = known.is_some_and(|known| known.gate) || asker.gates.contains(&alert.name);
        let own = match known {
            Some(known) => known.own.contains(&asker.moment),
            None => is_information(alert) && !asker.info_holds || is_own(alert, asker) || !matches(alert),
        };
        (gate || !asker.moment.ends()) && !own && !asker.ignore.is_some_and(|ignore| ignore.is_match(&alert.name))
    };
    let blocking: Vec<&Alert> = firing().filter(blocks).collect();
    if blocking.is_empty() {
        return Judgement::Pass;
    }
    let alerts: BTreeSet<String> = blocking.iter().map(|alert| label(alert)).collect();
    let names: BTreeSet<&str> = blocking.iter().map(|alert| alert.name.as_str()).collect();
    Judgement::Blocked(Blocked { alerts: alerts.into_iter().collect(), pass: passing(&names, asker.ignore) })
}

/// An alert of somebody else's rule that the run causes, or that its end resolves.
fn is_own(alert: &Alert, asker: &Asker<'_>) -> bool {
    let kind = others::kind(&alert.name).filter(|kind| kind.own.contains(&asker.moment) && (asker.skewed || !kind.skewed));
    kind.is_some() || is_of_our_job(alert, asker.namespace)
}

/// About a Job or CronJob of ours, as kube-state-metrics labels them: one that a run was refused in fails and is kept for a week, and the
/// next run is what would do better. It must not be held by that.
fn is_of_our_job(alert: &Alert, namespace: &str) -> bool {
    let label = |key: &str| alert.labels.get(key).map(String::as_str);
    let named = label("job_name").or(label("cronjob"));
    let snapshot = named.is_some_and(|job| job.starts_with(&format!("{ETCD_JOB_PREFIX}-")));
    snapshot || named.is_some() && label("namespace") == Some(namespace)
}

/// What is told, and asks nobody to act: the severities that alert rules commonly have for that.
fn is_information(alert: &Alert) -> bool {
    alert.labels.get("severity").is_some_and(|severity| ["none", "info"].contains(&severity.as_str()))
}

/// An expression of what is ignored already and of these names, as a settings file may have it. A person's block is ignored by none.
fn passing(names: &BTreeSet<&str>, ignore: Option<&Regex>) -> Option<String> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-:. ".contains(c));
    if !names.iter().all(|name| plain(name) && ![ALERT_BLOCKER, ALERT_BLOCKER_FORMER].contains(name)) {
        return None;
    }
    let names: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
    let former = ignore.map_or(String::new(), |ignore| format!("{ignore}|"));
    Some(format!("{former}^({})$", names.join("|"))).filter(|expression| expression.chars().count() <= LONGEST_FILTER)
}

/// `NodeDiskFull (node=k8s-node2)`.
fn label(alert: &Alert) -> String {
    const WHERE: [&str; 4] = ["node", "namespace", "pod", "instance"];
    let labels: Vec<_> = WHERE.iter().filter_map(|key| Some(format!("{key}={}", alert.labels.get(*key)?))).collect();
    if labels.is_empty() { alert.name.clone() } else { format!("{} ({})", alert.name, labels.join(", ")) }
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;

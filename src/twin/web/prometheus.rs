//! Prometheus: the alert rules that `manifests` ships, evaluated natively, and alerts that somebody set off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::State;
use super::super::state::{Timer, later};
use super::super::store::Kind;
use super::{Due, How, Service};
use crate::names;
use crate::names::{
    ALERT_BLOCKER, ALERT_DETECTION_MISSED, ALERT_HALTED_LONG, ALERT_IN_FLIGHT, ALERT_JOB_FAILED, ALERT_RECENT_REBOOT, ALERT_SKEW,
    ALERT_SNAPSHOT_MISSING, ALERT_STALLED, ALERT_WATCHDOG, APP_CHAIN, LABEL_APP, METRIC_BLOCKER, METRIC_HALTED, METRIC_IN_FLIGHT,
    METRIC_LAST_CHECK, METRIC_PROGRESS, METRIC_SNAPSHOT, METRIC_STARTED,
};
use crate::plan::decide::rules;
use crate::plan::model::policy::Gauges;

/// Between two scrapes and evaluations.
const INTERVAL: Duration = Duration::from_secs(15);
/// A node that was booted is told of for this long.
const RECENT: Duration = Duration::from_secs(rules::REBOOTED_FOR as u64);

/// A rule as far as an evaluation needs it.
struct Rule {
    name: String,
    severity: String,
    /// How long its condition must hold; None if it is written in a way that is not known here.
    held: Option<Duration>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let text = |rule: &Value, path: &str| rule.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let minutes = |text: &str| Some(Duration::from_secs(text.strip_suffix('m')?.parse::<u64>().ok()? * 60));
    let read = |rule: &Value| Rule {
        name: text(rule, "/alert"),
        severity: text(rule, "/labels/severity"),
        held: minutes(&text(rule, "/for")),
    };
    rules::alerts(Gauges::Pushgateway).iter().map(read).collect()
});

#[derive(Clone, Default)]
pub struct Prometheus {
    /// The alerts of the last evaluation.
    active: BTreeMap<Labels, Active>,
    /// Alerts set off by hand.
    pub injected: Vec<Injected>,
    /// Rules that somebody has taken away.
    pub unloaded: BTreeSet<String>,
    /// Metrics of exporters that this cluster has not, or that nobody scrapes.
    pub unscraped: BTreeSet<String>,
    /// Rules of other people, by group and name: what sets them off is injected.
    pub others: Vec<(String, String)>,
    /// When machines were booted, by node.
    booted: BTreeMap<String, Timestamp>,
    /// What it wants of whoever asks; None: nothing.
    pub wants: Option<Wanted>,
}

/// What a Prometheus behind a guard wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Of the header Authorization.
    authorization: String,
    /// Of X-Scope-OrgID; None: it has one tenant.
    tenant: Option<String>,
}

/// What is in the Secret for it.
const SECRET: &str = "prometheus-of-the-rehearsal";

impl Wanted {
    /// By the kind of its credentials, and what the Secret has to hold for it, by its keys.
    pub fn new(credentials: &str, tenant: Option<String>) -> (Self, Vec<(&'static str, String)>) {
        let secret = SECRET.to_owned();
        let (authorization, keys) = if credentials == "token" {
            (format!("Bearer {SECRET}"), vec![(names::SECRET_PROMETHEUS_TOKEN, secret)])
        } else {
            let user = names::PROGRAM.to_owned();
            let basic = BASE64_STANDARD.encode(format!("{user}:{SECRET}"));
            let keys = vec![(names::SECRET_PROMETHEUS_USERNAME, user), (names::SECRET_PROMETHEUS_PASSWORD, secret)];
            (format!("Basic {basic}"), keys)
        };
        (Wanted { authorization, tenant }, keys)
    }

    /// As Mimir and whoever guards a Prometheus say it; None: that is who may ask.
    fn refuses(&self, headers: &HeaderMap) -> Option<(u16, Vec<u8>)> {
        let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
        if !is(header::AUTHORIZATION.as_str(), &self.authorization) {
            return Some((401, b"Unauthorized".to_vec()));
        }
        let known = self.tenant.as_ref().is_none_or(|tenant| is("X-Scope-OrgID", tenant));
        (!known).then(|| (401, b"no org id".to_vec()))
    }
}

type Labels = BTreeMap<String, String>;

/// An alert whose condition holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    pub since: Timestamp,
    /// Its condition has held for long enough.
    pub firing: bool,
}

/// An alert that fires from `from` until `until`, whatever its cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    pub name: String,
    pub labels: Labels,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Prometheus {
    /// Alerts now, by their labels; the name is the label `alertname`.
    pub fn alerts(&self, now: Timestamp) -> BTreeMap<Labels, Active> {
        let mut alerts = self.active.clone();
        for injected in self.injected.iter().filter(|alert| alert.from <= now && now < alert.until) {
            let mut labels = injected.labels.clone();
            labels.insert("alertname".to_owned(), injected.name.clone());
            alerts.insert(labels, Active { since: injected.from, firing: true });
        }
        alerts
    }
}

/// A node's machine was powered on or rebooted now.
pub fn booted(state: &mut State, node: &str) {
    let now = state.now();
    state.web.prometheus.booted.insert(node.to_owned(), now);
}

pub(super) fn serve(state: &State, method: &str, path: &str, query: &str, headers: &HeaderMap) -> Option<(u16, Vec<u8>)> {
    if let Some(refusal) = state.web.prometheus.wants.as_ref().and_then(|wants| wants.refuses(headers)) {
        return Some(refusal);
    }
    if (method, path) == ("GET", "/api/v1/query") {
        let query = decoded(query.strip_prefix("query=")?)?;
        let mut inputs = [Gauges::Pushgateway, Gauges::Off].into_iter().flat_map(rules::inputs);
        let input = inputs.find(|input| input.query() == query)?;
        let there = input.any.iter().any(|selector| scraped(state, selector));
        let series = there.then(|| json!({ "metric": {}, "value": [0, "1"] }));
        let data = json!({ "resultType": "vector", "result": series.into_iter().collect::<Vec<_>>() });
        return Some((200, json!({ "status": "success", "data": data }).to_string().into_bytes()));
    }
    if (method, path) == ("GET", "/api/v1/rules") {
        let prometheus = &state.web.prometheus;
        let loaded = RULES.iter().filter(|rule| !prometheus.unloaded.contains(&rule.name));
        let ours = loaded.map(|rule| (names::ALERT_GROUP, rule.name.as_str()));
        let others = prometheus.others.iter().map(|(group, name)| (group.as_str(), name.as_str()));
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (group, name) in ours.chain(others) {
            let rule = json!({ "name": name, "health": "ok", "type": "alerting", "state": "inactive", "alerts": [] });
            groups.entry(group).or_default().push(rule);
        }
        let groups: Vec<Value> = groups.iter().map(|(name, rules)| json!({ "name": name, "rules": rules })).collect();
        return Some((200, json!({ "status": "success", "data": { "groups": groups } }).to_string().into_bytes()));
    }
    if (method, path) != ("GET", "/api/v1/alerts") {
        return None;
    }
    let wire = |(labels, alert): (&Labels, &Active)| {
        let word = if alert.firing { "firing" } else { "pending" };
        json!({ "labels": labels, "annotations": {}, "state": word, "activeAt": alert.since.to_string(), "value": "1e+00" })
    };
    let alerts: Vec<Value> = state.web.prometheus.alerts(state.now()).iter().map(wire).collect();
    Some((200, json!({ "status": "success", "data": { "alerts": alerts } }).to_string().into_bytes()))
}

/// Looks at what there is to scrape and at every rule, and does so again.
pub(super) fn evaluate(state: &mut State) {
    state.after(INTERVAL, Timer::Web(Due::Evaluate));
    let now = state.now();
    let prometheus_works = state.web.trouble(Service::Prometheus, now) != Some(How::Refused);
    if !prometheus_works {
        return;
    }
    let mut active = BTreeMap::new();
    let loaded = |name: &str| !state.web.prometheus.unloaded.contains(name);
    let mut unknown = Vec::new();
    // The one that has an alert a node comes below.
    for rule in RULES.iter().filter(|rule| loaded(&rule.name) && rule.name != ALERT_RECENT_REBOOT) {
        match (holds(state, &rule.name), rule.held) {
            (Some(true), Some(held)) => {
                active.insert(labels(&[("alertname", &rule.name), ("severity", &rule.severity)]), held);
            }
            (Some(false), Some(_)) => {}
            _ => unknown.push(format!("Prometheus: the alert rule {}", rule.name)),
        }
    }
    for (node, booted) in state.web.prometheus.booted.iter().filter(|_| loaded(ALERT_RECENT_REBOOT)) {
        if now < later(*booted, RECENT) {
            let labels = labels(&[("alertname", ALERT_RECENT_REBOOT), ("node", node), ("severity", "info")]);
            active.insert(labels, Duration::ZERO);
        }
    }
    unknown.retain(|what| !state.unmodelled.contains(what));
    state.unmodelled.extend(unknown);
    let before = std::mem::take(&mut state.web.prometheus.active);
    let since = |labels: &Labels| before.get(labels).map_or(now, |alert| alert.since);
    state.web.prometheus.active = active
        .into_iter()
        .map(|(labels, held_for)| {
            let since = since(&labels);
            (labels, Active { since, firing: now >= later(since, held_for) })
        })
        .collect();
}

/// Whether the condition of a rule of `plan::decide::rules` holds now; None for one that is not known here.
fn holds(state: &State, alert: &str) -> Option<bool> {
    // A scrape that fails leaves no value behind.
    let scraped = state.web.trouble(Service::Pushgateway, state.now()).is_none();
    let max = |metric: &str| state.web.pushgateway.max(metric).filter(|_| scraped);
    let is_one = |metric: &str| max(metric) == Some(1.0);
    let now = state.now().as_duration().as_secs_f64();
    let older = |metric: &str, seconds: u32| max(metric).is_some_and(|since| since > 0.0 && now - since > f64::from(seconds));
    Some(match alert {
        ALERT_WATCHDOG => true,
        ALERT_SKEW => skewed(state),
        ALERT_SNAPSHOT_MISSING => is_one(METRIC_IN_FLIGHT) && !is_one(METRIC_SNAPSHOT),
        ALERT_STALLED => {
            let last = [METRIC_PROGRESS, METRIC_STARTED].into_iter().filter_map(max).reduce(f64::max);
            is_one(METRIC_IN_FLIGHT) && last.is_some_and(|last| now - last > f64::from(rules::STALLED_AFTER))
        }
        ALERT_IN_FLIGHT => is_one(METRIC_IN_FLIGHT),
        ALERT_BLOCKER => is_one(METRIC_BLOCKER),
        ALERT_JOB_FAILED => is_one(METRIC_IN_FLIGHT) && state.store.list(Kind::Job).any(|(_, job)| failed(job)),
        ALERT_DETECTION_MISSED => older(METRIC_LAST_CHECK, rules::MISSED_AFTER) && max(METRIC_HALTED).is_none_or(|at| at == 0.0),
        ALERT_HALTED_LONG => older(METRIC_HALTED, rules::FORGOTTEN_AFTER),
        _ => return None,
    })
}

/// A value of a URL's query, out of its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.get(2..)?.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Whether there is a series of a selector: gauges where they were pushed, and of the usual exporters what they have.
fn scraped(state: &State, selector: &str) -> bool {
    let metric = selector.split('{').next().unwrap_or_default();
    let pushed = || {
        let scraped = state.web.trouble(Service::Pushgateway, state.now()).is_none();
        scraped && state.web.pushgateway.max(metric).is_some()
    };
    !state.web.prometheus.unscraped.contains(metric) && (!metric.starts_with("k8s_") || pushed())
}

/// A Job of the chain that Kubernetes has given up.
fn failed(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    let of_chain = job["metadata"]["labels"][LABEL_APP] == APP_CHAIN;
    of_chain && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Failed" && c["status"] == "True"))
}

const APISERVER: &str = "kube-apiserver";

/// What API servers and kubelets that can be scraped say that they are is not one version.
fn skewed(state: &State) -> bool {
    let ready = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    };
    fn kubelet(node: &Value) -> Option<&str> {
        node["status"]["nodeInfo"]["kubeletVersion"].as_str()
    }
    fn apiserver(pod: &Value) -> Option<&str> {
        let serves = pod["metadata"]["labels"]["component"] == APISERVER;
        let image = pod["spec"]["containers"][0]["image"].as_str().filter(|_| serves)?;
        image.rsplit_once(':').map(|(_, tag)| tag)
    }
    // A static pod is called as its component is, and its node.
    let static_pods = state.store.beginning(Kind::Pod, "kube-system", APISERVER);
    let pods = static_pods.filter(|(_, pod)| ready(pod)).filter_map(|(_, pod)| apiserver(pod));
    let nodes = state.store.list(Kind::Node).filter(|(_, node)| ready(node)).filter_map(|(_, node)| kubelet(node));
    let mut versions = pods.chain(nodes);
    versions.next().is_some_and(|first| versions.any(|other| other != first))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

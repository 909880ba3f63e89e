//! How a rehearsal went, out of what was seen; and the same for people.

use std::fmt::Write;
use std::time::Duration;

use super::data::{Done, End, Evidence, Gauge, Injected, Job, Message, Node, Rehearsed, Remark};
use super::inject::Struck;
use super::watch::{Observations, Ran};
use super::{Scenario, State, step};
use crate::failure::Class;
use crate::names;
use crate::plan::model::journal::Journal;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::report::{Printed, span};
use crate::twin::store::{Key, Kind};
use crate::words::{line, shown};
use jiff::Timestamp;

/// What every rehearsal rests on.
const ASSUMPTIONS: [&str; 3] = [
    "What kubeadm, packages and restarts take was measured on a small cluster with packages and images fetched beforehand.",
    "The cluster has no load: etcd and the API server come back as fast as they do there.",
    "Nothing else changes the cluster meanwhile.",
];

/// How it went, when it has ended.
pub fn outcome(scenario: &Scenario, state: &State, seen: &Observations, ended: Timestamp) -> Rehearsed {
    let version = |name: &str| {
        let node = state.store.get(&Key::node(name));
        let version = node.and_then(|node| node["status"]["nodeInfo"]["kubeletVersion"].as_str());
        version.unwrap_or_default().trim_start_matches('v').to_owned()
    };
    let nodes: Vec<Node> = scenario
        .nodes
        .iter()
        .map(|node| {
            let evictions = state.evictions.get(&node.name).copied().unwrap_or_default();
            let out = seen.out.get(&node.name).map_or(Duration::ZERO, |out| out.total(ended));
            Node {
                name: node.name.clone(),
                version: version(&node.name),
                out_of_service_seconds: out.as_secs(),
                evicted: evictions.granted,
                refused: evictions.refused,
            }
        })
        .collect();
    let began = |place: &str| seen.ran.iter().any(|ran| step::place(&ran.step) == place);
    Rehearsed {
        from: running(scenario).map_or(String::new(), |version| version.to_string()),
        target: scenario.target.to_string(),
        seed: scenario.seed,
        began: scenario.start,
        ended,
        end: end(scenario, state, seen),
        jobs: seen.ran.iter().map(job).collect(),
        out_of_service_seconds: nodes.iter().map(|node| node.out_of_service_seconds).sum(),
        nodes,
        api_away_seconds: seen.api.total(ended).as_secs(),
        remarks: seen.remarks.iter().map(|r| Remark { at: r.at, place: r.place.clone(), text: r.text.clone() }).collect(),
        injected: seen.injected.iter().map(injected).collect(),
        not_injected: seen.not_injected.iter().map(|it| it.missed(began(it.place()), scenario)).collect(),
        gauges: state
            .web
            .pushgateway
            .pushed
            .iter()
            .map(|p| Gauge { at: p.at, job: p.job.clone(), series: p.series.clone(), value: p.value })
            .collect(),
        slack: state.web.slack.messages.iter().map(|m| Message { at: m.at, text: m.text.clone() }).collect(),
        assumptions: ASSUMPTIONS.iter().map(|text| (*text).to_owned()).chain(scenario.assumptions.iter().cloned()).collect(),
        unmodelled: state.unmodelled.clone(),
        evidence: evidence(scenario, state, seen, ended),
    }
}

/// Read as a report reads it.
fn evidence(scenario: &Scenario, state: &State, seen: &Observations, ended: Timestamp) -> Evidence {
    let in_flight = super::in_flight(state, scenario.prefix());
    let mut evidence = Evidence { in_flight, api_away: seen.api.times(ended), ..Evidence::default() };
    for (key, map) in state.store.list(Kind::ConfigMap) {
        if map["metadata"]["labels"][names::LABEL_APP] != names::APP_JOURNAL {
            continue;
        }
        let data = serde_json::from_value(map["data"].clone()).map_err(|error| error.to_string());
        match data.and_then(|data| Journal::read(&data)) {
            Ok(journal) => evidence.journals.push(journal),
            Err(why) => evidence.unreadable.push(format!("the journal {} cannot be read: {why}", key.name)),
        }
    }
    evidence
}

fn running(scenario: &Scenario) -> Option<Version> {
    scenario.nodes.iter().map(|node| node.version).min()
}

fn injected(struck: &Struck) -> Injected {
    let Struck { at, place, text, .. } = struck;
    Injected { at: *at, place: place.clone(), text: text.clone(), no_effect: struck.without_effect().map(str::to_owned) }
}

fn job(ran: &Ran) -> Job {
    let mut steps: Vec<Done> = Vec::new();
    for (step, took) in &ran.did {
        match steps.iter_mut().find(|done| done.step == *step) {
            Some(done) => (done.times, done.seconds) = (done.times + 1, done.seconds.max(took.as_secs())),
            None => steps.push(Done { step: step.clone(), times: 1, seconds: took.as_secs() }),
        }
    }
    Job {
        place: step::place(&ran.step).to_owned(),
        pod: ran.pod.clone(),
        node: ran.node.clone(),
        began: ran.began,
        seconds: ran.ended.map(|(ended, _)| ended.duration_since(ran.began).unsigned_abs().as_secs()),
        exit_code: ran.ended.map(|(_, code)| code),
        steps,
    }
}

/// By facts first: a run that no longer stands in the annotations and whose nodes are all there is done, whatever was said on its way.
fn end(scenario: &Scenario, state: &State, seen: &Observations) -> End {
    let plain = |word: &str, code: u8, why: String| End {
        state: word.to_owned(),
        exit_code: code,
        place: String::new(),
        why,
        detail: Vec::new(),
        class: None,
    };
    if !state.unmodelled.is_empty() {
        let why = "the rehearsal met what it cannot imitate: its result proves nothing".to_owned();
        return End { class: Some(Class::Bug), detail: state.unmodelled.clone(), ..plain(Class::Bug.word(), 1, why) };
    }
    let target = scenario.target.to_string();
    let in_flight = super::in_flight(state, scenario.prefix());
    let managed = scenario.nodes.iter().map(|node| node.name.as_str()).filter(|name| !scenario.is_excluded(name));
    let old: Vec<&str> = managed
        .filter(|name| {
            let object = state.store.get(&Key::node(name));
            // A node that is gone is nobody's to upgrade.
            object.is_some_and(|object| object["status"]["nodeInfo"]["kubeletVersion"] != format!("v{target}"))
        })
        .collect();
    // As postflight, which passes over what was left out: nothing failed, and the word says that not all is done.
    if seen.done == Some(false) && !old.is_empty() && !in_flight {
        return plain("partial", 0, format!("every other node is at {target}; left out: {}", old.join(", ")));
    }
    if old.is_empty() && !in_flight {
        let begun = !seen.ran.is_empty();
        let why = format!("every node is at {target}");
        return if begun { plain("done", 0, why) } else { plain("nothing", 0, why) };
    }
    let class = |class: Class, place: &str, why: &str, detail: &[String]| End {
        state: class.word().to_owned(),
        exit_code: class.code(),
        place: place.to_owned(),
        why: why.to_owned(),
        detail: detail.to_vec(),
        class: Some(class),
    };
    match (&seen.deferred, &seen.failure) {
        (Some(why), _) if !in_flight => class(Class::Hold, "preflight", why, &[]),
        (_, Some((_, failure))) => class(failure.class(), &failure.place, &failure.cause.what, &failure.cause.detail),
        _ => class(Class::Step, "", "the run stopped without a word", &[]),
    }
}

fn clock(time: Timestamp) -> impl std::fmt::Display {
    time.strftime("%H:%M:%S")
}

fn seconds(seconds: u64) -> String {
    span(Duration::from_secs(seconds))
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.step, seconds(self.seconds))?;
        if self.times > 1 { write!(f, " (×{})", self.times) } else { Ok(()) }
    }
}

impl Rehearsed {
    pub fn text(&self) -> Printed {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = shown(self).write(&mut text);
        Printed::page(text)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let kind = match (self.from.parse::<Version>(), self.target.parse::<Version>()) {
            (Ok(from), Ok(target)) => format!(" ({})", UpgradeKind::between(from, target)),
            _ => String::new(),
        };
        let lasted = span(self.ended.duration_since(self.began).unsigned_abs());
        writeln!(out, "rehearsal  {} → {}{kind}, {} nodes, seed {}", self.from, self.target, self.nodes.len(), self.seed)?;
        let place = if self.end.place.is_empty() { String::new() } else { format!("{}: ", self.end.place) };
        writeln!(out, "{:9}  after {lasted}: {place}{}", self.end.state, self.end.why)?;
        for line in &self.end.detail {
            writeln!(out, "             {line}")?;
        }
        self.write_jobs(out)?;
        self.write_nodes(out)?;
        for (index, what) in self.not_injected.iter().enumerate() {
            writeln!(out, "{:9}  never     {what}", if index == 0 { "injected" } else { "" })?;
        }
        for (index, Injected { at, place, text, no_effect }) in self.injected.iter().enumerate() {
            let title = if index == 0 && self.not_injected.is_empty() { "injected" } else { "" };
            writeln!(out, "{title:9}  {}  {place}  {text}", clock(*at))?;
            if let Some(why) = no_effect {
                writeln!(out, "                     no effect: {why}")?;
            }
        }
        for (index, remark) in self.remarks.iter().enumerate() {
            let gap = if remark.place.is_empty() { "" } else { "  " };
            let title = if index == 0 { "told" } else { "" };
            writeln!(out, "{title:9}  {}  {}{gap}{}", clock(remark.at), remark.place, remark.text)?;
        }
        self.write_gauges(out)?;
        for (index, message) in self.slack.iter().enumerate() {
            let title = if index == 0 { "slack" } else { "" };
            let mut lines = message.text.lines().map(line);
            writeln!(out, "{title:9}  {}  {}", clock(message.at), lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(out, "                     {line}")?;
            }
        }
        for (index, assumption) in self.assumptions.iter().enumerate() {
            writeln!(out, "{:9}  {assumption}", if index == 0 { "assumes" } else { "" })?;
        }
        Ok(())
    }

    fn write_jobs(&self, out: &mut String) -> std::fmt::Result {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let wide = |of: &dyn Fn(&Job) -> usize, least: usize| self.jobs.iter().map(of).max().unwrap_or(0).max(least);
        let (place, node) = (wide(&|job| job.place.len(), 4), wide(&|job| job.node.len(), 6));
        writeln!(out, "\n  BEGAN     {:place$}  {:node$}  {:>7}  DID", "STEP", "RAN ON", "TOOK")?;
        for job in &self.jobs {
            let took = job.seconds.map_or(String::new(), seconds);
            let mut did: Vec<String> = job.steps.iter().map(Done::to_string).collect();
            match job.exit_code {
                Some(0) => {}
                Some(code) => did.push(format!("exit {code}")),
                None => did.push("killed".to_owned()),
            }
            let line = format!("  {}  {:place$}  {:node$}  {took:>7}  {}", clock(job.began), job.place, job.node, did.join(", "));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn write_nodes(&self, out: &mut String) -> std::fmt::Result {
        let name = self.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0).max(5);
        let version = self.nodes.iter().map(|node| node.version.len()).max().unwrap_or(0).max(7);
        writeln!(out, "\n  {:name$}  {:version$}  OUT OF SERVICE  EVICTED  REFUSED", "NODE", "VERSION")?;
        let mut row = |node: &str, at: &str, out_of_service: u64, evicted: u32, refused: u32| {
            let service = if out_of_service == 0 { "-".to_owned() } else { seconds(out_of_service) };
            writeln!(out, "  {node:name$}  {at:version$}  {service:>14}  {evicted:>7}  {refused:>7}")
        };
        for node in &self.nodes {
            row(&node.name, &node.version, node.out_of_service_seconds, node.evicted, node.refused)?;
        }
        let sum = |of: &dyn Fn(&Node) -> u32| self.nodes.iter().map(of).sum();
        row("total", "", self.out_of_service_seconds, sum(&|node| node.evicted), sum(&|node| node.refused))?;
        writeln!(out, "\napi        away or not ready for {} in all", seconds(self.api_away_seconds))
    }

    /// A line a gauge, with its changes; times and progress only by their number.
    fn write_gauges(&self, out: &mut String) -> std::fmt::Result {
        let mut names: Vec<&str> = Vec::new();
        for gauge in &self.gauges {
            if !names.contains(&gauge.series.as_str()) {
                names.push(&gauge.series);
            }
        }
        for (index, name) in names.iter().enumerate() {
            let changes: Vec<&Gauge> = self.gauges.iter().filter(|gauge| gauge.series == *name).collect();
            let times = [names::METRIC_PROGRESS, names::METRIC_STARTED, names::METRIC_LAST_CHECK].contains(name);
            let says = match changes.last() {
                Some(last) if times => format!("{} times, last at {}", changes.len(), clock(last.at)),
                _ => changes.iter().map(|g| format!("{} at {}", g.value, clock(g.at))).collect::<Vec<_>>().join(", "),
            };
            writeln!(out, "{:9}  {name}  {says}", if index == 0 { "gauges" } else { "" })?;
        }
        Ok(())
    }
}

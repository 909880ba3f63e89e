//! How a rehearsal went, out of what was seen.

use std::time::Duration;

use super::data::{Done, End, Evidence, Gauge, Injected, Job, Message, Node, Rehearsed, Remark};
use super::inject::Struck;
use super::watch::{Observations, Ran};
use super::{Scenario, State, step};
use crate::failure::Class;
use crate::names;
use crate::plan::model::journal::Journal;
use crate::plan::model::version::Version;
use crate::twin::store::{Key, Kind};
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
        seconds: ended.duration_since(scenario.start).unsigned_abs().as_secs(),
        end: end(scenario, state, seen),
        next: Vec::new(),
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
        leaves: String::new(),
        advice: Vec::new(),
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
    let failed = |class: Class, place: &str, why: &str| End {
        place: place.to_owned(),
        class: Some(class),
        ..plain(class.word(), class.code(), why.to_owned())
    };
    match (&seen.deferred, &seen.failure) {
        (Some(why), _) if !in_flight => failed(Class::Hold, "preflight", why),
        (_, Some((_, failure))) => End {
            detail: failure.cause.detail.clone(),
            leaves: failure.state.clone(),
            advice: failure.advice().cloned().collect(),
            ..failed(failure.class(), &failure.place, &failure.cause.what)
        },
        _ => failed(Class::Step, "", "the run stopped without a word"),
    }
}

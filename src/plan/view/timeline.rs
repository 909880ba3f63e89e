//! A run drawn over time: a lane for each node and phase, with what was done there, what held it and why, and when it was out of service.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::cut::Now;
use super::story::{self, Story};
use crate::failure::Class;
use crate::plan::model::facts::Phase;
use crate::plan::model::journal::{Journal, Line, Wait, What};
use crate::plan::model::work::Work;
use crate::words::texts;

/// Lanes that are drawn: no cluster of ours has so many nodes.
const LANES: usize = 1_000;
/// Spans that are drawn: of a run that has more, the shortest go.
const SPANS: usize = 6_000;
/// What is said of the API server within so much time is one outage; and what holds a step, one hold.
const GAP: Duration = Duration::from_secs(15);
/// What is shorter is no line to look at, unless it holds the run.
const SHORT: Duration = Duration::from_secs(1);

/// What is drawn of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    pub began: Timestamp,
    /// The last that is known.
    pub until: Timestamp,
    /// In the order of the run.
    pub lanes: Vec<Lane>,
    /// When the API server was away, or not ready.
    pub api_away: Vec<Stretch>,
    /// Lanes and spans for which there was no room.
    pub left_out: usize,
}

/// A node or a phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    pub place: String,
    /// In the order of their beginnings.
    pub spans: Vec<Span>,
    /// When a process was there for it.
    pub processes: Vec<Stretch>,
    /// When the node took no new pods by our doing.
    pub out_of_service: Vec<Stretch>,
}

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Something that lasted.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub kind: Kind,
    pub time: Stretch,
    /// No end of it is on record: it was cut there, or goes on.
    pub open: bool,
    /// The step, or why it held.
    pub text: String,
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Prepare,
    Drain,
    Packages,
    Kubeadm,
    Restart,
    Wait,
    Soak,
    /// A gate, a budget, or a step that may be tried again later.
    Hold,
    /// A step has failed, and nobody has gone on.
    Stopped,
    /// A process was killed or cut off, and nobody has gone on.
    Killed,
}

texts!(none: Kind, Stretch);
texts!(Timeline { began, until, lanes, api_away, left_out });
texts!(Lane { place, spans, processes, out_of_service });
texts!(Span { kind, time, open, text });

impl Kind {
    /// All of them, as a legend has them.
    pub const ALL: [Kind; 10] = [
        Kind::Prepare,
        Kind::Drain,
        Kind::Packages,
        Kind::Kubeadm,
        Kind::Restart,
        Kind::Wait,
        Kind::Soak,
        Kind::Hold,
        Kind::Stopped,
        Kind::Killed,
    ];

    /// In a word or three.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Prepare => "prepare",
            Kind::Drain => "drain",
            Kind::Packages => "packages",
            Kind::Kubeadm => "kubeadm",
            Kind::Restart => "restart",
            Kind::Wait => "wait",
            Kind::Soak => "soak",
            Kind::Hold => "hold",
            Kind::Stopped => "stopped",
            Kind::Killed => "killed or cut off",
        }
    }

    /// It is done while a node is out of service.
    pub fn works(self) -> bool {
        matches!(self, Kind::Drain | Kind::Packages | Kind::Kubeadm | Kind::Restart)
    }

    /// It kept the run from going on, and has a reason.
    pub fn holds(self) -> bool {
        matches!(self, Kind::Hold | Kind::Stopped | Kind::Killed)
    }
}

impl Stretch {
    /// Never backwards, whatever clocks and journals say.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Stretch { from, to: to.max(from) }
    }

    /// How long.
    pub fn lasted(self) -> Duration {
        self.to.duration_since(self.from).unsigned_abs()
    }

    /// The other one lies in it.
    pub fn covers(self, other: Stretch) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

impl Lane {
    /// The times in which something was done: what its processes did, but for what held them.
    pub fn busy(&self) -> Vec<Stretch> {
        let mut busy: Vec<Stretch> = self.spans.iter().filter(|span| !span.kind.holds()).map(|span| span.time).collect();
        let mut holds: Vec<Stretch> = self.spans.iter().filter(|span| span.kind.holds()).map(|span| span.time).collect();
        holds.sort_unstable();
        for process in &self.processes {
            let mut from = process.from;
            for hold in &holds {
                if hold.from > from {
                    busy.push(Stretch::new(from, hold.from.min(process.to)));
                }
                from = from.max(hold.to);
            }
            if from < process.to {
                busy.push(Stretch::new(from, process.to));
            }
        }
        busy
    }

    /// How long its processes did something, without what held it.
    pub fn worked(&self) -> Duration {
        let mut busy = self.busy();
        busy.retain(|busy| self.processes.iter().any(|process| process.covers(*busy)));
        busy.sort_unstable();
        let (mut worked, mut until) = (Duration::ZERO, Timestamp::MIN);
        for Stretch { from, to } in busy {
            worked += Stretch::new(from.max(until), to).lasted();
            until = until.max(to);
        }
        worked
    }

    /// How long the node took no new pods by our doing.
    pub fn out(&self) -> Duration {
        self.out_of_service.iter().map(|out| out.lasted()).sum()
    }
}

/// Draws a run that `story` tells out of these journals.
pub fn draw(story: &Story, journals: &[Journal], now: &Now) -> Timeline {
    let mut lanes = Lanes::default();
    // In the order of the run, also of nodes that it has not come to.
    lanes.of(Phase::Preflight.word());
    let begun = journals.iter().flat_map(|journal| &journal.lines).find_map(|line| match &line.what {
        What::RunBegun { nodes, .. } => Some(nodes),
        _ => None,
    });
    for node in begun.into_iter().flatten() {
        lanes.of(node);
    }
    let mut api_away = Vec::new();
    // What goes on has lasted until now.
    let until = now.at.filter(|at| now.in_flight && *at > story.until).unwrap_or(story.until);
    for journal in journals {
        let mut held = BTreeMap::new();
        for line in &journal.lines {
            match span(journal, line, until, now) {
                Some(Drawn::Api(away)) => api_away.push(away),
                Some(Drawn::Span(span)) if span.kind == Kind::Hold => {
                    let drain = matches!(line.what, What::Drain { .. });
                    held.entry((line.place.as_str(), drain)).or_insert_with(Vec::new).push(span);
                }
                Some(Drawn::Span(span)) => lanes.of(&line.place).spans.push(span),
                None => {}
            }
        }
        for ((place, _), held) in held {
            lanes.of(place).spans.extend(together(held));
        }
        let (place, end) = standstill(journal, journals, until, now);
        if !place.is_empty() {
            lanes.of(place).spans.extend(end);
        }
    }
    for phase in &story.phases {
        let took = phase.seconds.and_then(|seconds| phase.began.checked_add(Duration::from_secs(seconds)).ok());
        let last = phase.cut.as_ref().map_or(until, |cut| if cut.at_work { until } else { cut.last });
        lanes.of(&phase.place).processes.push(Stretch::new(phase.began, took.unwrap_or(last)));
    }
    for outage in &story.out_of_service {
        let time = Stretch::new(outage.from.unwrap_or(story.began), outage.to.unwrap_or(until));
        lanes.of(&outage.node).out_of_service.push(time);
    }
    let (lanes, left_out) = lanes.ended();
    Timeline { began: story.began, until, lanes, api_away: joined(api_away), left_out }
}

/// By place, in the order in which they were asked for.
#[derive(Default)]
struct Lanes {
    lanes: Vec<Lane>,
    by_place: HashMap<String, usize>,
}

impl Lanes {
    fn of(&mut self, place: &str) -> &mut Lane {
        let number = *self.by_place.entry(place.to_owned()).or_insert_with(|| {
            self.lanes.push(Lane { place: place.to_owned(), ..Lane::default() });
            self.lanes.len() - 1
        });
        &mut self.lanes[number]
    }

    /// What is worth a look, and how much more there was.
    fn ended(self) -> (Vec<Lane>, usize) {
        let mut lanes = self.lanes;
        let is_phase = |lane: &Lane, phase: Phase| lane.place == phase.word();
        lanes.retain(|lane| !(lane.place.is_empty() || is_phase(lane, Phase::Preflight) && lane.is_empty()));
        lanes.sort_by_key(|lane| is_phase(lane, Phase::Postflight));
        let mut left_out = lanes.len().saturating_sub(LANES);
        lanes.truncate(LANES);
        for lane in &mut lanes {
            lane.settle();
        }
        let mut times: Vec<Duration> = lanes.iter().flat_map(|lane| &lane.spans).map(|span| span.time.lasted()).collect();
        if times.len() > SPANS {
            times.sort_unstable_by(|a, b| b.cmp(a));
            let (shortest, mut room) = (times[SPANS], SPANS);
            for lane in &mut lanes {
                lane.spans.retain(|span| {
                    let stays = span.time.lasted() >= shortest && room > 0;
                    room -= usize::from(stays);
                    stays
                });
            }
            left_out += times.len() - (SPANS - room);
        }
        (lanes, left_out)
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.processes.is_empty() && self.out_of_service.is_empty()
    }

    /// A wait that only a step has within itself is the step's.
    fn settle(&mut self) {
        let steps: Vec<Stretch> = self.spans.iter().filter(|span| span.kind < Kind::Wait).map(|span| span.time).collect();
        self.spans.retain(|span| span.kind != Kind::Wait || !steps.iter().any(|step| step.covers(span.time)));
        self.spans.sort_by_key(|span| (span.time.from, span.kind));
    }
}

/// One hold with its reasons, however often these changed: of several the one that lasted longest.
fn together(held: Vec<Span>) -> Vec<Span> {
    let mut holds: Vec<Vec<Span>> = Vec::new();
    for span in held {
        match holds.last_mut() {
            Some(hold) if hold.last().is_some_and(|last| near(last.time, span.time)) => hold.push(span),
            _ => holds.push(vec![span]),
        }
    }
    let one = |hold: Vec<Span>| {
        let (from, to) = (hold.iter().map(|span| span.time.from).min()?, hold.iter().map(|span| span.time.to).max()?);
        let others = hold.len() - 1;
        let longest = hold.into_iter().rev().max_by_key(|span| span.time.lasted())?;
        let more = if others > 0 { format!("; other reasons before or after: {others}") } else { String::new() };
        Some(Span { time: Stretch::new(from, to), text: longest.text + &more, ..longest })
    };
    holds.into_iter().filter_map(one).collect()
}

fn near(before: Stretch, next: Stretch) -> bool {
    next.from <= before.to || next.from.duration_since(before.to).unsigned_abs() <= GAP
}

enum Drawn {
    Span(Span),
    Api(Stretch),
}

/// What a line is in a picture; None: nothing that lasted.
fn span(journal: &Journal, line: &Line, until: Timestamp, now: &Now) -> Option<Drawn> {
    let known = Stretch::new(line.at, story::until(line));
    let of = |kind, time, open, text: &str| Some(Drawn::Span(Span { kind, time, open, text: text.to_owned() }));
    let (kind, time, open, text) = match &line.what {
        What::Step { step, seconds: Some(_) } => (kind(step), known, false, step),
        What::Step { step, seconds: None } => {
            let last = if now.works(&journal.head.writer) { until } else { story::last(journal) };
            let end = journal.end.as_ref().map_or(last, |end| end.at);
            (kind(step), Stretch::new(line.at, end), true, step)
        }
        What::Waited { kind: Wait::Api, .. } => return Some(Drawn::Api(known)),
        What::Waited { kind: Wait::Gate, on, .. } => return of(Kind::Hold, known, false, on),
        What::Waited { kind: Wait::Soak, on, .. } => (Kind::Soak, known, false, on),
        What::Waited { kind: Wait::Other, on, .. } => (Kind::Wait, known, false, on),
        What::Drain { held, .. } if !held.is_empty() => return of(Kind::Hold, known, false, &held.join(", ")),
        _ => return None,
    };
    if time.lasted() < SHORT && !open { None } else { of(kind, time, open, text) }
}

fn kind(step: &str) -> Kind {
    match Work::of(step) {
        Work::Drain => Kind::Drain,
        Work::Packages => Kind::Packages,
        Work::Kubeadm => Kind::Kubeadm,
        Work::Restart => Kind::Restart,
        Work::Other => Kind::Prepare,
    }
}

/// A process that did not end well: where, and from then until somebody goes on there.
fn standstill<'a>(journal: &'a Journal, all: &[Journal], until: Timestamp, now: &Now) -> (&'a str, Option<Span>) {
    let (place, kind, from, text) = match &journal.end {
        None if now.works(&journal.head.writer) => return ("", None),
        None => {
            (&journal.head.place, Kind::Killed, story::last(journal), format!("no word of {} after this", journal.head.writer))
        }
        Some(end) if end.failure.is_some() => {
            let kind = if end.result == Class::Hold.word() { Kind::Hold } else { Kind::Stopped };
            (if end.place.is_empty() { &journal.head.place } else { &end.place }, kind, end.at, story::said(end))
        }
        Some(_) => return ("", None),
    };
    let begins = |other: &Journal| {
        let own = (other.head.place == *place).then_some(other.head.begun);
        let lines = other.lines.iter().filter(|line| line.place == *place).map(|line| line.at);
        own.into_iter().chain(lines).min().filter(|_| other.head.writer != journal.head.writer)
    };
    let next = all.iter().filter_map(begins).filter(|at| *at >= from).min();
    let time = Stretch::new(from, next.unwrap_or(until));
    (place, Some(Span { kind, time, open: next.is_none(), text }))
}

/// Without overlaps, in order.
fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for next in stretches {
        match joined.last_mut() {
            Some(last) if near(*last, next) => {
                last.to = last.to.max(next.to);
            }
            _ => joined.push(next),
        }
    }
    joined
}

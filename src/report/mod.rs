//! What happens is told once, as an [`Event`]; terminal, log lines and JSON render the same facts. Emitting is synchronous and cannot fail.

mod account;
mod adopt;
mod bars;
mod bulletin;
mod check;
pub mod data;
mod fold;
mod gates;
mod health;
mod hosts;
mod journal;
mod json;
mod live;
mod notice;
mod out;
mod outbox;
mod paced;
mod page;
mod picture;
mod plain;
mod plan;
mod printed;
mod progress;
mod queue;
mod status;
mod story;
mod table;
mod terminal;
mod wording;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use account::Account;
pub use bulletin::{Bulletin, Bulletins};
pub use journal::SharedJournal;
pub use story::{markdown, text};

use crate::failure::Failure;
use crate::plan::decide::gates::{Found, Gate, Occasion};
use crate::plan::model::facts::Phase;
use crate::plan::model::progress::Awaited;
pub use crate::plan::model::span::span;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::words::{shown, texts};

pub use adopt::text as adopt_text;
pub use check::text as check_text;
pub use gates::GateStates;
pub use health::text as health_text;
pub use hosts::{restore as restore_text, text as hosts_text};
pub use live::{drawn, frame, left, text as live_text};
pub use notice::Notice;
pub use out::{Columns, Out, put, write};
pub use outbox::Outbox;
pub use page::Page;
pub use picture::{html, svg};
pub use plan::{markdown as plan_markdown, text as plan_text};
pub use printed::Printed;
pub use progress::{Follower, Urgency};
pub use queue::Queue;
pub use status::text as status_text;
pub use wording::{Called, Wording};

/// A fact about the run. `place` is a node, a phase, or empty for the run as a whole.
#[derive(Clone, Debug)]
pub enum Event {
    /// A phase begins, `done` of `total` phases being behind us.
    PhaseStarted {
        place: String,
        phase: Phase,
        done: usize,
        total: usize,
    },
    PhaseDone {
        place: String,
        phase: Phase,
        took: Duration,
    },
    StepStarted {
        place: String,
        step: String,
        deadline: Duration,
    },
    StepDone {
        place: String,
        step: String,
        took: Duration,
    },
    /// Nothing had to be done, and why.
    StepSkipped {
        place: String,
        step: String,
        why: String,
    },
    /// Waits for something, at most this much longer. Told again with each look at it.
    Waiting {
        place: String,
        on: Awaited,
        left: Duration,
    },
    /// A gate was asked.
    Gate {
        place: String,
        occasion: Occasion,
        gate: Gate,
        found: Found,
        /// In a few words, unless it passed.
        why: String,
    },
    /// A drain: pods left of all, and what holds them.
    Draining {
        place: String,
        left: usize,
        total: usize,
        held: Vec<String>,
        deadline: Duration,
    },
    /// A line that a program on a node printed.
    Output {
        place: String,
        line: String,
    },
    Note {
        place: String,
        text: String,
    },
    Warning {
        place: String,
        text: String,
    },
    /// What a person's command finds, and what it has done.
    Found {
        place: String,
        text: String,
    },
    Did {
        place: String,
        text: String,
    },
    /// What a person types next, after a word on what for.
    Next {
        place: String,
        what_for: String,
        command: String,
    },
    /// The run has claimed the cluster.
    RunBegun {
        run: String,
        from: Option<Version>,
        target: Version,
        kind: UpgradeKind,
        /// In the order of their upgrade.
        nodes: Vec<String>,
    },
    /// The etcd snapshot of the run, verified.
    Snapshot {
        path: String,
    },
    /// A node takes no new pods by our doing, or takes them again.
    OutOfService {
        place: String,
    },
    InService {
        place: String,
    },
    /// The run is over; `whole`, unless steps were skipped by force.
    RunDone {
        text: String,
        whole: bool,
    },
    Failed {
        failure: Failure,
    },
}

texts!(enum Event {
    PhaseStarted { place, phase, done, total },
    PhaseDone { place, phase, took },
    StepStarted { place, step, deadline },
    StepDone { place, step, took },
    StepSkipped { place, step, why },
    Waiting { place, on, left },
    Gate { place, occasion, gate, found, why },
    Draining { place, left, total, held, deadline },
    Output { place, line },
    Note { place, text },
    Warning { place, text },
    Found { place, text },
    Did { place, text },
    Next { place, what_for, command },
    RunBegun { run, from, target, kind, nodes },
    Snapshot { path },
    OutOfService { place },
    InService { place },
    RunDone { text, whole },
    Failed { failure },
});

/// Renders events for somebody.
pub trait Sink: Send {
    /// Takes one event in, told at `now`.
    fn event(&mut self, now: jiff::Timestamp, event: &Event);

    /// A fact that is told to people who look at no screen, too. Whoever is no way to them takes it as the event that it is.
    fn notice(&mut self, now: jiff::Timestamp, cluster: &str, place: &str, notice: &Notice) {
        if let Some(event) = notice.event(cluster, place) {
            self.event(now, &shown(&event));
        }
    }
}

/// One sink for all that a process tells.
pub type Shared = Arc<Mutex<Box<dyn Sink>>>;

/// All that a process tells it tells through this, in words that are fit to be shown: whoever renders them adds structure, and no more.
pub fn shared(sinks: Vec<Box<dyn Sink>>) -> Shared {
    Arc::new(Mutex::new(Box::new(Fit(sinks))))
}

struct Fit(Vec<Box<dyn Sink>>);

impl Sink for Fit {
    fn event(&mut self, now: jiff::Timestamp, event: &Event) {
        let event = shown(event);
        self.0.iter_mut().for_each(|sink| sink.event(now, &event));
    }

    fn notice(&mut self, now: jiff::Timestamp, cluster: &str, place: &str, notice: &Notice) {
        self.0.iter_mut().for_each(|sink| sink.notice(now, cluster, place, notice));
    }
}

/// How stderr is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bars and lines that are redrawn.
    Terminal {
        colour: bool,
    },
    Plain,
    Json,
}

/// The sink for a style. `verbosity`: below 0 only warnings and failures, above 0 also what programs on nodes print.
pub fn sink(style: Style, verbosity: i8, out: Out) -> Box<dyn Sink> {
    match style {
        Style::Terminal { colour } => Box::new(terminal::Terminal::new(colour, verbosity, out).alive()),
        Style::Plain => Box::new(plain::Plain::new(verbosity, out)),
        Style::Json => Box::new(json::Json::new(out)),
    }
}

/// The terminal's sink for what happens in memory, faster than anybody could follow: it takes its time until `hurry`, and shows the time of
/// the events.
pub fn paced(colour: bool, verbosity: i8, out: Out, hurry: impl Fn() -> bool + Send + 'static) -> Box<dyn Sink> {
    Box::new(paced::Paced::new(terminal::Terminal::new(colour, verbosity, out).with_clock().alive(), hurry))
}

/// One line per event, without the time: what plain output and the terminal's finished lines share.
fn sentence(event: &Event) -> String {
    match event {
        Event::PhaseStarted { done, total, .. } => format!("begins ({} of {total})", done + 1),
        Event::PhaseDone { took, .. } => format!("done after {}", span(*took)),
        Event::StepStarted { step, deadline, .. } => format!("{step} … (at most {})", span(*deadline)),
        Event::StepDone { step, took, .. } => format!("{step}: done, {}", span(*took)),
        Event::StepSkipped { step, why, .. } => format!("{step}: not needed, {why}"),
        Event::Waiting { on, left, .. } => format!("waits for {on} (at most {} more)", span(*left)),
        Event::Gate { gate, found, why, .. } => {
            let why = if why.is_empty() { String::new() } else { format!(", {why}") };
            format!("gate {}: {}{why}", gate.row().id, found.word())
        }
        Event::Draining { left, total, held, .. } => {
            let held = if held.is_empty() { String::new() } else { format!("; held: {}", held.join(", ")) };
            format!("drain: {left} of {total} pods left{held}")
        }
        Event::Output { line, .. } => format!("| {line}"),
        Event::Note { text, .. } | Event::Found { text, .. } | Event::Did { text, .. } => text.clone(),
        Event::Next { what_for, command, .. } => format!("{what_for}: {command}"),
        Event::Warning { text, .. } => format!("warning: {text}"),
        Event::RunBegun { run, from, target, kind, .. } => {
            format!("run {run}: {} → {target} ({kind})", from.map_or("?".to_owned(), |from| from.to_string()))
        }
        Event::Snapshot { path } => format!("etcd snapshot: {path}"),
        Event::OutOfService { .. } => "out of service".to_owned(),
        Event::InService { .. } => "in service again".to_owned(),
        Event::RunDone { text, .. } => text.clone(),
        Event::Failed { failure } => failure.to_string(),
    }
}

/// The same as a page of one line; a command in it can be copied whole.
fn said(event: &Event) -> Page {
    let place = place(event);
    let head = format!("{place}{}", if place.is_empty() { "" } else { "  " });
    let mut page = Page::new();
    match event {
        Event::Next { what_for, command, .. } => page.advice(&head, &format!("{what_for}:"), command),
        _ => page.record(&head, &sentence(event)),
    }
    page
}

/// What makes two events the same state, told once: all but the time that is left.
fn essence(event: &Event) -> String {
    match event {
        Event::Waiting { place, on, .. } => format!("{place} {on}"),
        other => format!("{} {}", place(other), sentence(other)),
    }
}

/// The same with the time of the day and the place: a line of a log.
fn timed(now: jiff::Timestamp, event: &Event) -> String {
    let place = place(event);
    let gap = if place.is_empty() { "" } else { "  " };
    format!("{}  {place}{gap}{}", now.strftime("%H:%M:%S"), sentence(event))
}

fn place(event: &Event) -> &str {
    match event {
        Event::PhaseStarted { place, .. }
        | Event::PhaseDone { place, .. }
        | Event::StepStarted { place, .. }
        | Event::StepDone { place, .. }
        | Event::StepSkipped { place, .. }
        | Event::Waiting { place, .. }
        | Event::Gate { place, .. }
        | Event::Draining { place, .. }
        | Event::Output { place, .. }
        | Event::Note { place, .. }
        | Event::Warning { place, .. }
        | Event::Found { place, .. }
        | Event::Did { place, .. }
        | Event::Next { place, .. }
        | Event::OutOfService { place }
        | Event::InService { place } => place,
        Event::RunBegun { .. } | Event::Snapshot { .. } => Phase::Preflight.word(),
        Event::RunDone { .. } => Phase::Postflight.word(),
        Event::Failed { failure } => &failure.place,
    }
}

/// Whether an event is told at this verbosity; lines that are not redrawn leave out what programs on nodes print, unless asked.
fn is_shown(event: &Event, verbosity: i8) -> bool {
    match event {
        Event::Failed { .. } | Event::Warning { .. } => true,
        // The steps around them say so.
        Event::OutOfService { .. } | Event::InService { .. } => verbosity > 0,
        // In a node's turn there are many, and the first that is closed is the failure.
        Event::Gate { occasion, .. } => verbosity >= if *occasion == Occasion::Preflight { 0 } else { 1 },
        _ => verbosity >= 0,
    }
}

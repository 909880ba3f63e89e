//! One JSON object an event, for machines.

use jiff::Timestamp;

use super::data::{self, Awaited, EventKind};
use super::{Event, Out, Printed, Sink, essence, place, put, sentence};

/// One JSON object a line, for machines (`--log-format json`).
pub struct Json {
    out: Out,
    /// What was told last: a drain or a wait looks many times, and a state is told once.
    last: String,
}

impl Json {
    /// Writes there.
    pub fn new(out: Out) -> Self {
        Json { out, last: String::new() }
    }
}

impl Sink for Json {
    fn event(&mut self, now: Timestamp, event: &Event) {
        let essence = format!("{:?} {}", kind(event), essence(event));
        if std::mem::replace(&mut self.last, essence.clone()) == essence {
            return;
        }
        // A struct of numbers and texts is always written.
        put(&self.out, &Printed::json(&line(now, event)).unwrap_or_default());
    }
}

fn line(time: Timestamp, event: &Event) -> data::Event<'_> {
    let mut line = data::Event {
        time,
        place: place(event),
        event: kind(event),
        text: sentence(event),
        failure: None,
        seconds: None,
        on: None,
        seconds_left: None,
        gate: None,
        verdict: None,
        left: None,
        total: None,
        held: None,
    };
    match event {
        Event::Failed { failure } => line.failure = Some(data::Failure::of(failure)),
        Event::StepDone { took, .. } | Event::PhaseDone { took, .. } => line.seconds = Some(took.as_secs_f64()),
        Event::Waiting { on, left, .. } => (line.on, line.seconds_left) = (Some(Awaited::of(on)), Some(left.as_secs())),
        Event::Gate { gate, found, .. } => (line.gate, line.verdict) = (Some(gate.row().id), Some(found.word())),
        Event::Draining { left, total, held, .. } => {
            (line.left, line.total, line.held) = (Some(*left), Some(*total), Some(held.as_slice()));
        }
        _ => {}
    }
    line
}

fn kind(event: &Event) -> EventKind {
    match event {
        Event::PhaseStarted { .. } => EventKind::PhaseStarted,
        Event::PhaseDone { .. } => EventKind::PhaseDone,
        Event::StepStarted { .. } => EventKind::StepStarted,
        Event::StepDone { .. } => EventKind::StepDone,
        Event::StepSkipped { .. } => EventKind::StepSkipped,
        Event::Waiting { .. } => EventKind::Waiting,
        Event::Draining { .. } => EventKind::Draining,
        Event::Output { .. } => EventKind::Output,
        Event::Gate { .. } => EventKind::Gate,
        Event::Note { .. } => EventKind::Note,
        Event::Found { .. } => EventKind::Found,
        Event::Did { .. } => EventKind::Did,
        Event::Next { .. } => EventKind::Next,
        Event::Warning { .. } => EventKind::Warning,
        Event::RunBegun { .. } => EventKind::RunBegun,
        Event::Snapshot { .. } => EventKind::Snapshot,
        Event::OutOfService { .. } => EventKind::OutOfService,
        Event::InService { .. } => EventKind::InService,
        Event::RunDone { .. } => EventKind::RunDone,
        Event::Failed { .. } => EventKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::plan::model::progress::Awaited;

    #[test]
    fn each_state_is_told_once() {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut sink = Json::new(kept.clone().into());
        let drain = |left| Event::Draining {
            place: "n".into(),
            left,
            total: 9,
            held: vec![],
            deadline: Duration::from_secs(left as u64),
        };
        let wait = |left| Event::Waiting {
            place: "n".into(),
            on: Awaited::new("the node to be Ready", ""),
            left: Duration::from_secs(left),
        };
        for event in [drain(3), drain(3), drain(2), wait(9), wait(8), drain(2)] {
            sink.event(Timestamp::UNIX_EPOCH, &event);
        }
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        let kinds: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect();
        assert_eq!(kinds, ["draining", "draining", "waiting", "draining"]);
    }
}

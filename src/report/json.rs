//! One JSON object an event, for machines.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Event, Out, Printed, Sink, essence, place, put, sentence};
use crate::failure::Failure;

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

/// A failure with its three parts.
pub fn failure(failure: &Failure) -> Value {
    json!({
        "class": failure.class().word(), "exitCode": failure.class().code(), "place": failure.place, "what": failure.cause.what,
        "detail": failure.cause.detail, "state": failure.state, "next": failure.advice().map(|advice| &advice.command).collect::<Vec<_>>(),
    })
}

impl Sink for Json {
    fn event(&mut self, now: Timestamp, event: &Event) {
        let essence = format!("{} {}", kind(event), essence(event));
        if std::mem::replace(&mut self.last, essence.clone()) == essence {
            return;
        }
        let mut object = json!({ "time": now.to_string(), "place": place(event), "event": kind(event), "text": sentence(event) });
        match event {
            Event::Failed { failure: failed } => object["failure"] = failure(failed),
            Event::StepDone { took, .. } | Event::PhaseDone { took, .. } => object["seconds"] = json!(took.as_secs_f64()),
            Event::Waiting { on, left, .. } => {
                object["on"] = json!(on);
                object["secondsLeft"] = json!(left.as_secs());
            }
            Event::Draining { left, total, held, .. } => {
                object["left"] = json!(left);
                object["total"] = json!(total);
                object["held"] = json!(held);
            }
            _ => {}
        }
        // A JSON value is always written.
        put(&self.out, &Printed::json(&object).unwrap_or_default());
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::PhaseStarted { .. } => "phase-started",
        Event::PhaseDone { .. } => "phase-done",
        Event::StepStarted { .. } => "step-started",
        Event::StepDone { .. } => "step-done",
        Event::StepSkipped { .. } => "step-skipped",
        Event::Waiting { .. } => "waiting",
        Event::Draining { .. } => "draining",
        Event::Output { .. } => "output",
        Event::Note { .. } => "note",
        Event::Found { .. } => "found",
        Event::Did { .. } => "done",
        Event::Next { .. } => "next",
        Event::Warning { .. } => "warning",
        Event::RunBegun { .. } => "run-begun",
        Event::Snapshot { .. } => "snapshot",
        Event::OutOfService { .. } => "out-of-service",
        Event::InService { .. } => "in-service",
        Event::RunDone { .. } => "run-done",
        Event::Failed { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::plan::model::progress::Awaited;

    #[test]
    fn each_state_is_told_once() {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut sink = Json::new(kept.clone());
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

//! One JSON object an event, for machines.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Event, Out, Printed, Sink, place, put, sentence};
use crate::failure::Failure;

pub struct Json {
    out: Out,
}

impl Json {
    pub fn new(out: Out) -> Self {
        Json { out }
    }
}

/// A failure with its three parts.
pub fn failure(failure: &Failure) -> Value {
    json!({
        "class": failure.class().word(), "exitCode": failure.class().code(), "place": failure.place, "what": failure.cause.what,
        "detail": failure.cause.detail, "state": failure.state, "next": failure.cause.next.iter().chain(&failure.next).collect::<Vec<_>>(),
    })
}

impl Sink for Json {
    fn event(&mut self, now: Timestamp, event: &Event) {
        let mut object = json!({ "time": now.to_string(), "place": place(event), "event": kind(event), "text": sentence(event) });
        match event {
            Event::Failed { failure: failed } => object["failure"] = failure(failed),
            Event::StepDone { took, .. } | Event::PhaseDone { took, .. } => object["seconds"] = json!(took.as_secs_f64()),
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

//! What a person's command found, did, and says to type next: one JSON document on stdout, also where it fails.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Event, Sink, json as lines, sentence};
use crate::failure::{Failure, Outcome};
use crate::plan::model::version::Version;

#[derive(Default)]
struct Told {
    run: Option<String>,
    target: Option<Version>,
    node: Option<String>,
    found: Vec<Value>,
    done: Vec<Value>,
    notes: Vec<Value>,
    warnings: Vec<Value>,
    next: Vec<String>,
}

/// One command's account, shared by the sink that fills it and whoever prints it.
#[derive(Clone, Default)]
pub struct Account(Arc<Mutex<Told>>);

impl Account {
    /// What is said is kept; None leaves what was said before.
    pub fn about(&self, run: Option<&str>, target: Option<Version>, node: Option<&str>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.run = run.map(str::to_owned).or_else(|| told.run.take());
        told.target = target.or(told.target);
        told.node = node.map(str::to_owned).or_else(|| told.node.take());
    }

    /// The document of `-o json`.
    pub fn data(&self, command: &str, result: &Result<Outcome, Failure>) -> Value {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match result {
            Ok(Outcome::Done) => "done",
            Ok(Outcome::Nothing) => "nothing",
            Ok(Outcome::Deferred) => "deferred",
            Err(failure) => failure.class().word(),
        };
        let failure = result.as_ref().err().map(lines::failure);
        let advised = failure.iter().flat_map(|failure| failure["next"].as_array()).flatten();
        let next: Vec<Value> = told.next.iter().map(|next| json!(next)).chain(advised.cloned()).collect();
        json!({
            "command": command, "outcome": outcome, "run": told.run, "target": told.target.map(|target| target.to_string()),
            "node": told.node, "found": told.found, "done": told.done, "notes": told.notes, "warnings": told.warnings,
            "next": next, "failure": failure,
        })
    }
}

impl Sink for Account {
    fn event(&mut self, _: Timestamp, event: &Event) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = || json!({ "place": super::place(event), "what": sentence(event).trim_start_matches("found: ") });
        match event {
            Event::Found { .. } => told.found.push(line()),
            Event::Did { .. } | Event::RunBegun { .. } | Event::Snapshot { .. } | Event::RunDone { .. } => told.done.push(line()),
            Event::StepDone { place, step, took } => {
                told.done.push(json!({ "place": place, "what": step, "seconds": took.as_secs_f64() }));
            }
            Event::Note { .. } | Event::StepSkipped { .. } => told.notes.push(line()),
            Event::Warning { text, place } => told.warnings.push(json!({ "place": place, "what": text })),
            Event::Next { command, .. } => told.next.push(command.clone()),
            _ => {}
        }
    }
}

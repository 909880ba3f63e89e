//! What a person's command found, did, and says to type next: one JSON document on stdout, also where it fails.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::data::{self, Line};
use super::{Event, Sink, sentence};
use crate::failure::{Failure, Outcome};
use crate::plan::model::version::Version;

#[derive(Default)]
struct AccountData {
    run: Option<String>,
    target: Option<Version>,
    node: Option<String>,
    found: Vec<Line>,
    done: Vec<Line>,
    notes: Vec<Line>,
    warnings: Vec<Line>,
    next: Vec<String>,
}

/// One command's account, shared by the sink that fills it and whoever prints it.
#[derive(Clone, Default)]
pub struct Account(Arc<Mutex<AccountData>>);

impl Account {
    /// What is said is kept; None leaves what was said before.
    pub fn about(&self, run: Option<&str>, target: Option<Version>, node: Option<&str>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.run = run.map(str::to_owned).or_else(|| told.run.take());
        told.target = target.or(told.target);
        told.node = node.map(str::to_owned).or_else(|| told.node.take());
    }

    /// The document of `-o json`.
    pub fn data<'a>(&self, command: &'a str, result: &'a Result<Outcome, Failure>) -> data::Account<'a> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = result.as_ref().err();
        let advised = failure.into_iter().flat_map(Failure::advice).map(|advice| &advice.command);
        data::Account {
            command,
            outcome: data::outcome(result),
            run: told.run.clone(),
            target: told.target.map(|target| target.to_string()),
            node: told.node.clone(),
            found: told.found.clone(),
            done: told.done.clone(),
            notes: told.notes.clone(),
            warnings: told.warnings.clone(),
            next: told.next.iter().chain(advised).cloned().collect(),
            failure: failure.map(data::Failure::of),
        }
    }
}

impl Sink for Account {
    fn event(&mut self, _: Timestamp, event: &Event) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = || Line {
            place: super::place(event).to_owned(),
            what: sentence(event).trim_start_matches("found: ").to_owned(),
            seconds: None,
        };
        match event {
            Event::Found { .. } => told.found.push(line()),
            Event::Did { .. } | Event::RunBegun { .. } | Event::Snapshot { .. } | Event::RunDone { .. } => told.done.push(line()),
            Event::StepDone { place, step, took } => {
                told.done.push(Line { place: place.clone(), what: step.clone(), seconds: Some(took.as_secs_f64()) });
            }
            Event::Gate { .. } if !super::is_shown(event, 0) => {}
            Event::Gate { .. } | Event::Note { .. } | Event::StepSkipped { .. } => told.notes.push(line()),
            Event::Warning { text, place } => {
                told.warnings.push(Line { place: place.clone(), what: text.clone(), seconds: None });
            }
            Event::Next { command, .. } => told.next.push(command.clone()),
            _ => {}
        }
    }
}

//! The sink that keeps what is worth a journal's line; `run` writes it down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{Event, Sink, place, sentence};
use crate::plan::decide::gates::{Found, Occasion};
use crate::plan::model::journal::{Journal, Line, Wait, What};

/// One process' journal, shared by the sink that fills it and the run that writes it.
#[derive(Clone, Default)]
pub struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    /// For reading and writing, until the guard is dropped.
    pub fn open(&self) -> MutexGuard<'_, Journal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for SharedJournal {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if let Some(what) = what(now, event) {
            self.open().add(Line { at: now, place: place(event).to_owned(), what });
        }
    }
}

/// What programs on nodes print is no line: it stands on the node, and nobody has looked it through for secrets.
fn what(now: Timestamp, event: &Event) -> Option<What> {
    Some(match event {
        Event::PhaseStarted { phase, .. } => What::Phase { phase: phase.word().to_owned(), seconds: None },
        Event::PhaseDone { phase, took, .. } => What::Phase { phase: phase.word().to_owned(), seconds: Some(took.as_secs()) },
        Event::StepStarted { step, .. } => What::Step { step: step.clone(), seconds: None },
        Event::StepDone { step, took, .. } => What::Step { step: step.clone(), seconds: Some(took.as_secs()) },
        Event::StepSkipped { step, why, .. } => What::Skipped { step: step.clone(), why: why.clone() },
        Event::Waiting { on, .. } => What::Waited { on: on.to_string(), kind: Wait::of(on), until: now },
        Event::Draining { left, total, held, .. } => What::Drain { left: *left, total: *total, held: held.clone(), until: now },
        // Of a node's turn the first that is closed is the end, which says it.
        Event::Gate { occasion, found, .. } if *occasion != Occasion::Preflight || *found == Found::NotAsked => return None,
        Event::Gate { .. } | Event::Note { .. } | Event::Found { .. } | Event::Did { .. } | Event::Next { .. } => {
            What::Note { text: sentence(event) }
        }
        Event::Warning { text, .. } => What::Warning { text: text.clone() },
        Event::RunBegun { from, target, kind, nodes, .. } => What::RunBegun {
            from: from.map(|from| from.to_string()),
            target: target.to_string(),
            kind: kind.to_string(),
            nodes: nodes.clone(),
        },
        Event::Snapshot { path } => What::Snapshot { path: path.clone() },
        Event::OutOfService { .. } => What::OutOfService,
        Event::InService { .. } => What::InService,
        Event::RunDone { text, whole } => What::RunDone { text: text.clone(), whole: *whole },
        // It is the process' end, which is written by itself.
        Event::Output { .. } | Event::Failed { .. } => return None,
    })
}

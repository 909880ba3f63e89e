//! The sink that keeps which gates are closed; `run` tells whoever draws graphs of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Event, Sink};
use crate::plan::decide::gates::{Found, Gate};

/// The gates that keep one process from going on.
#[derive(Clone, Default)]
pub struct GateStates {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// Any was asked.
    asked: bool,
    closed: BTreeMap<Gate, Found>,
    /// The one whose opening is waited for.
    awaited: Option<Gate>,
}

impl GateStates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are closed now; None: none was asked yet.
    pub fn closed(&self) -> Option<BTreeMap<Gate, Found>> {
        let state = self.state();
        let awaited = state.awaited.map(|gate| (gate, Found::Hold));
        (state.asked || awaited.is_some()).then(|| awaited.into_iter().chain(state.closed.clone()).collect())
    }

    /// Returns once another is closed, or open again.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

impl Sink for GateStates {
    fn event(&mut self, _: Timestamp, event: &Event) {
        let before = self.closed();
        let mut state = self.state();
        match event {
            // Said beside a wait.
            Event::Warning { .. } | Event::Output { .. } => return,
            Event::Waiting { on, .. } => state.awaited = on.gate.as_deref().and_then(Gate::by_id),
            _ => state.awaited = None,
        }
        if let Event::Gate { gate, found, .. } = event {
            state.asked = true;
            state.closed.remove(gate);
            if found.closed() {
                state.closed.insert(*gate, *found);
            }
        }
        drop(state);
        if self.closed() != before {
            self.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::decide::gates::Occasion;
    use crate::plan::model::progress::Awaited;

    #[test]
    fn a_gate_is_closed_until_it_passes_or_is_waited_for_no_more() {
        let mut states = GateStates::default();
        let gate =
            |gate, found| Event::Gate { place: String::new(), occasion: Occasion::BeforeNode, gate, found, why: String::new() };
        let awaits = |gate: Option<Gate>| {
            let on = Awaited { gate: gate.map(|gate| gate.row().id.to_owned()), ..Awaited::new("it", "") };
            Event::Waiting { place: String::new(), on, left: Duration::ZERO }
        };
        let note = Event::Note { place: String::new(), text: String::new() };
        let warning = Event::Warning { place: String::new(), text: String::new() };
        type Closed<'a> = Option<&'a [(Gate, Found)]>;
        let steps: [(Event, Closed<'_>); 8] = [
            (note.clone(), None),
            (gate(Gate::Nodes, Found::Open), Some(&[])),
            (gate(Gate::Quiet, Found::Refused), Some(&[(Gate::Quiet, Found::Refused)])),
            (awaits(Some(Gate::Alerts)), Some(&[(Gate::Quiet, Found::Refused), (Gate::Alerts, Found::Hold)])),
            (warning, Some(&[(Gate::Quiet, Found::Refused), (Gate::Alerts, Found::Hold)])),
            (awaits(None), Some(&[(Gate::Quiet, Found::Refused)])),
            (gate(Gate::Quiet, Found::NotAsked), Some(&[])),
            (note, Some(&[])),
        ];
        for (number, (event, wanted)) in steps.iter().enumerate() {
            states.event(Timestamp::UNIX_EPOCH, event);
            assert_eq!(states.closed(), wanted.map(|closed| closed.iter().copied().collect()), "{number}");
        }
    }
}

//! Asks the gates of one occasion, as the table in [`crate::plan::decide::gates`] has them, so that none is forgotten.

use std::collections::BTreeMap;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::plan::decide::gates::{Found, Gate, Occasion};
use crate::plan::model::answer::Verdict;
use crate::report::Event;
use crate::run::session::{Probe, Session};

/// The gates of one occasion while they are asked. Whoever goes on without [`Asking::end`] has decided that none need be asked.
pub struct Asking<'a> {
    session: &'a Session,
    place: &'a str,
    occasion: Occasion,
    asked: BTreeMap<Gate, Found>,
    /// What [`Asking::tell`] has found closed.
    closed: Vec<(Gate, Cause)>,
    /// The first that [`Asking::look`] has found closed last.
    shut: Option<Gate>,
}

impl<'a> Asking<'a> {
    /// `place`: node or phase that is told of.
    pub fn at(occasion: Occasion, session: &'a Session, place: &'a str) -> Self {
        Asking { session, place, occasion, asked: BTreeMap::new(), closed: Vec::new(), shut: None }
    }

    /// Tells how a gate was found, where that is news.
    fn found(&mut self, gate: Gate, found: Found, why: &str) {
        if self.asked.insert(gate, found) != Some(found) {
            let (place, why) = (self.place.to_owned(), why.to_owned());
            self.session.emit(&Event::Gate { place, occasion: self.occasion, gate, found, why });
        }
    }

    fn answered(&mut self, gate: Gate, answer: Result<(), &Cause>) {
        match answer {
            Ok(()) => self.found(gate, Found::Open, ""),
            Err(cause) => self.found(gate, Found::of(cause.class), &cause.what),
        }
    }

    /// This gate does not concern this node, or not now.
    pub fn not_here(&mut self, gate: Gate, why: &str) {
        self.found(gate, Found::NotAsked, why);
    }

    /// Keeps the answer, for a person wants every reason at once. Without its guard a gate is open.
    pub fn tell(&mut self, gate: Gate, guard: Guard, answer: Result<(), Cause>) {
        let answer = answer.or_else(|cause| if guard::on(guard) { Err(advised(gate, cause)) } else { Ok(()) });
        self.answered(gate, answer.as_ref().map(drop));
        self.closed.extend(answer.err().map(|cause| (gate, cause)));
    }

    /// The node or phase that is told of.
    pub fn place(&self) -> &'a str {
        self.place
    }

    /// When they are asked.
    pub fn occasion(&self) -> Occasion {
        self.occasion
    }

    /// None of those that were asked so far is closed.
    pub fn is_open(&self) -> bool {
        self.closed.is_empty()
    }

    /// Asks, and ends at once where the gate is closed. Without its guard nothing is asked.
    pub async fn pass(&mut self, gate: Gate, guard: Guard, answer: impl Future<Output = Result<(), Cause>>) -> Result<(), Cause> {
        let answer = if guard::on(guard) { answer.await } else { Ok(()) };
        self.answered(gate, answer.as_ref().map(drop));
        // Of whoever refuses meanwhile (the API server, a machine) the table knows nothing.
        answer.map_err(|cause| if cause.class == Class::Hold { advised(gate, cause) } else { cause })
    }

    /// For a gate of several occasions: before a run every reason is wanted at once, later the first one ends it.
    pub async fn ask(&mut self, gate: Gate, guard: Guard, answer: impl Future<Output = Result<(), Cause>>) -> Result<(), Cause> {
        if self.occasion == Occasion::Preflight {
            self.tell(gate, guard, answer.await);
            return Ok(());
        }
        self.pass(gate, guard, answer).await
    }

    /// The same as [`Asking::pass`] for an answer that is there, and whose parts have guards of their own.
    pub fn heard(&mut self, gate: Gate, answer: Result<(), Cause>) -> Result<(), Cause> {
        self.answered(gate, answer.as_ref().map(drop));
        answer.map_err(|cause| advised(gate, cause))
    }

    /// One look at several, which is repeated until all are open: see [`Asking::late`].
    pub fn look<const N: usize>(&mut self, verdicts: [(Gate, Guard, Verdict); N]) -> Probe<()> {
        for (gate, guard, verdict) in &verdicts {
            match verdict {
                Verdict::Hold(reasons) if guard::on(*guard) => self.found(*gate, Found::Hold, &reasons.join("; ")),
                Verdict::Refuse(reasons) if guard::on(*guard) => self.found(*gate, Found::Refused, &reasons.join("; ")),
                _ => self.found(*gate, Found::Open, ""),
            }
        }
        let closed = || verdicts.iter().filter(|(_, guard, verdict)| *verdict != Verdict::Pass && guard::on(*guard));
        self.shut = closed().next().map(|(gate, ..)| *gate);
        match Verdict::all(closed().map(|(.., verdict)| verdict.clone())) {
            Verdict::Pass => Probe::Ready(()),
            Verdict::Hold(reasons) | Verdict::Refuse(reasons) => Probe::Not(reasons.join("; ")),
        }
    }

    /// The wait for them has ended with this: the first that is closed says how to go on.
    pub fn late(&self, cause: Cause) -> Cause {
        self.shut.map_or(cause.clone(), |gate| advised(gate, cause))
    }

    /// One of them was found closed last, and may open by itself.
    pub fn is_held(&self) -> bool {
        self.asked.values().any(|found| *found == Found::Hold)
    }

    /// How each was found, in the table's order; those that are closed with their reason.
    pub fn answers(&self) -> Vec<(Gate, Found, Option<Cause>)> {
        let why = |gate: Gate| self.closed.iter().find(|(closed, _)| *closed == gate).map(|(_, cause)| cause.clone());
        self.asked.iter().map(|(gate, found)| (*gate, *found, why(*gate))).collect()
    }

    /// # Errors
    /// What is closed, as one cause; or the gate of this occasion that nobody has asked, which is a bug.
    pub fn end(self) -> Result<(), Cause> {
        if let Some(gate) = forgotten(self.occasion, &self.asked) {
            return Err(Cause::bug(format!("the gate {:?} was forgotten ({})", gate.row().id, self.occasion.words())));
        }
        let closed = self.closed.into_iter().map(|(gate, cause)| (gate.row().id.to_owned(), cause)).collect();
        Cause::together("gates are closed", closed).map_or(Ok(()), Err)
    }
}

fn forgotten(occasion: Occasion, asked: &BTreeMap<Gate, Found>) -> Option<Gate> {
    Gate::of(occasion).find(|gate| !asked.contains_key(gate))
}

/// A closed gate whose cause has no better word on how to go on has the table's. What is no answer (an API server that is away, a signal)
/// is told by whoever knows it.
fn advised(gate: Gate, cause: Cause) -> Cause {
    let closed = matches!(cause.class, Class::Hold | Class::Refused | Class::Pinned);
    if closed && cause.next.is_empty() { cause.next(gate.row().advice()) } else { cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_nobody_asked_is_found() {
        for occasion in Occasion::ALL {
            let mut asked: BTreeMap<Gate, Found> = Gate::of(occasion).map(|gate| (gate, Found::Open)).collect();
            assert_eq!(forgotten(occasion, &asked), None);
            let last = asked.pop_last().map(|(gate, _)| gate);
            assert_eq!(forgotten(occasion, &asked), last, "{occasion:?}");
        }
    }

    #[test]
    fn what_is_closed_says_how_to_go_on_and_better_advice_stays() {
        let table = vec![Gate::Quiet.row().advice()];
        assert_eq!(advised(Gate::Quiet, Cause::hold("x")).next, table);
        assert_eq!(advised(Gate::Quiet, Cause::refused("x")).next, table);
        assert_eq!(advised(Gate::Quiet, Cause::hold("x").next("kubectl version")).next, ["kubectl version"]);
        assert!(advised(Gate::Quiet, Cause::unreachable("x")).next.is_empty());
    }
}

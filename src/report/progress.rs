//! The sink that keeps what is being done now; `run` records it where it outlives the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::{Event, Sink, is_shown, timed};
use crate::failure::Failure;
use crate::plan::model::progress::{Doing, Draining, Progress, Span, ToldFailure, VERSION, Waiting};

/// What one process does, shared by the sink that follows it and the run that records it.
#[derive(Clone, Default)]
pub struct Follower {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct State {
    doing: Doing,
    changed: Option<Urgency>,
}

/// How soon a change is worth recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// More of the same: pods that left, another line.
    Repeats,
    /// A step or a wait began or ended, or something else holds a drain.
    Changes,
}

impl Follower {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How soon what has come since the last [`Follower::take`] is to be recorded; None: nothing has.
    pub fn changed(&self) -> Option<Urgency> {
        self.state().changed
    }

    /// Returns once something has come; at once if it came before.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What was taken last could not be recorded.
    pub fn again(&self) {
        self.state().changed = Some(Urgency::Changes);
    }

    /// What is being done, as it is to be recorded now.
    pub fn take(&self) -> Doing {
        let mut state = self.state();
        state.changed = None;
        state.doing.clone()
    }

    /// The same as the record that `writer` leaves.
    pub fn record(&self, writer: &str, now: Timestamp, ended: bool) -> String {
        Progress { version: VERSION, writer: writer.to_owned(), written: now, ended, doing: self.take() }.text()
    }
}

impl Sink for Follower {
    fn event(&mut self, now: Timestamp, event: &Event) {
        // Of what programs on nodes print nothing is kept: nobody has looked it through for secrets.
        if !is_shown(event, 0) || matches!(event, Event::Output { .. }) {
            return;
        }
        let mut state = self.state();
        let before = state.doing.clone();
        follow(&mut state.doing, now, event);
        let essence = |doing: &Doing| {
            let (step, wait) = (doing.step.as_ref(), doing.wait.as_ref());
            let what = (step.map(|step| step.what.clone()), wait.map(|wait| wait.on.on.clone()));
            let held = doing.drain.as_ref().map(|drain| drain.held.iter().map(|(held, _)| held.clone()).collect::<Vec<_>>());
            (what, held, doing.failure.clone())
        };
        let urgency = if essence(&before) == essence(&state.doing) { Urgency::Repeats } else { Urgency::Changes };
        state.changed = state.changed.max(Some(urgency));
        drop(state);
        self.news.notify_one();
    }
}

fn follow(doing: &mut Doing, now: Timestamp, event: &Event) {
    let until = |lasts: Duration| {
        SignedDuration::try_from(lasts).ok().and_then(|lasts| now.checked_add(lasts).ok()).unwrap_or(Timestamp::MAX)
    };
    match event {
        Event::Failed { failure } => {
            *doing = Doing { failure: Some(parts(failure)), last: doing.last.take(), ..Doing::default() };
            return;
        }
        // Said beside the work.
        Event::Warning { .. } | Event::Output { .. } => {}
        Event::Waiting { on, left, .. } => {
            // What is still missing of it may change, and the wait is the same.
            let since = doing.wait.as_ref().filter(|wait| wait.on.on == on.on).map_or(now, |wait| wait.since);
            doing.wait = Some(Waiting { on: on.clone(), since, until: until(*left) });
        }
        other => {
            doing.wait = None;
            match other {
                Event::StepStarted { step, deadline, .. } => {
                    let step = Span { what: step.clone(), since: now, until: until(*deadline) };
                    (doing.step, doing.drain) = (Some(step), None);
                }
                Event::StepDone { step, .. } if doing.step.as_ref().is_some_and(|begun| begun.what == *step) => {
                    (doing.step, doing.drain) = (None, None);
                }
                Event::Draining { left, total, held, .. } => {
                    let before = doing.drain.take();
                    let known = |what: &String| before.as_ref()?.held.iter().find(|(held, _)| held == what);
                    let held = held.iter().map(|what| (what.clone(), known(what).map_or(now, |known| known.1))).collect();
                    doing.drain = Some(Draining { left: *left, total: *total, held });
                }
                _ => {}
            }
        }
    }
    doing.last = Some(timed(now, event));
}

/// The three parts of a failure.
fn parts(failure: &Failure) -> ToldFailure {
    let cause = &failure.cause;
    ToldFailure {
        what: std::iter::once(failure.headline()).chain(cause.detail.iter().map(|line| line.trim().to_owned())).collect(),
        state: failure.state.clone(),
        next: failure.advice().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::{Advice, Cause};
    use crate::plan::model::progress::Awaited;

    fn at(seconds: i64) -> Timestamp {
        "2026-11-22T23:59:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn followed(events: &[(i64, Event)]) -> Doing {
        let mut follower = Follower::default();
        events.iter().for_each(|(seconds, event)| follower.event(at(*seconds), event));
        follower.take()
    }

    fn place() -> String {
        "k8s-node3".into()
    }
    fn begins(step: &str) -> Event {
        Event::StepStarted { place: place(), step: step.into(), deadline: Duration::from_secs(1800) }
    }
    fn ends(step: &str) -> Event {
        Event::StepDone { place: place(), step: step.into(), took: Duration::from_secs(2) }
    }
    fn drains(left: usize, held: &[&str]) -> Event {
        let held = held.iter().map(ToString::to_string).collect();
        Event::Draining { place: place(), left, total: 17, held, deadline: Duration::ZERO }
    }
    fn waits(on: &str, left: u64) -> Event {
        let (on, missing) = on.split_once(": ").unwrap_or((on, ""));
        Event::Waiting { place: place(), on: Awaited::new(on, missing), left: Duration::from_secs(left) }
    }

    #[test]
    fn a_step_is_at_work_until_it_is_done() {
        let step = |what: &str, since| Some(Span { what: what.into(), since: at(since), until: at(since + 1800) });
        assert_eq!(followed(&[(0, begins("cordon")), (2, ends("cordon")), (90, begins("drain"))]).step, step("drain", 90));
        let warning = Event::Warning { place: "slack".into(), text: "was not told".into() };
        assert_eq!(followed(&[(5, begins("drain")), (6, warning)]).step, step("drain", 5));
        assert_eq!(followed(&[(0, begins("cordon")), (2, ends("cordon"))]).step, None);
    }

    #[test]
    fn a_drain_tells_since_when_each_pod_holds_it() {
        let events = [
            (0, begins("drain")),
            (10, drains(5, &["a/b (PDB a/b)"])),
            (20, drains(4, &["a/b (PDB a/b)", "c/d"])),
            (30, drains(3, &["a/b (PDB a/b)", "c/d"])),
        ];
        let held = vec![("a/b (PDB a/b)".to_owned(), at(10)), ("c/d".to_owned(), at(20))];
        assert_eq!(followed(&events).drain, Some(Draining { left: 3, total: 17, held }));
        assert_eq!(followed(&[(0, begins("drain")), (10, drains(5, &["x"])), (12, ends("drain"))]).drain, None);
    }

    #[test]
    fn a_wait_lasts_from_its_first_line_whatever_it_waits_for_meanwhile() {
        let events = [(0, waits("the alert gate: firing: A", 1800)), (60, waits("the alert gate: firing: B", 1740))];
        let wanted = Waiting { on: Awaited::new("the alert gate", "firing: B"), since: at(0), until: at(1800) };
        assert_eq!(followed(&events).wait, Some(wanted));
        assert_eq!(followed(&[events[0].clone(), (70, begins("cordon"))]).wait, None);
        // Nobody's clock goes as far.
        let far = Event::Waiting { place: place(), on: Awaited::new("a node", ""), left: Duration::MAX };
        assert_eq!(followed(&[(0, far)]).wait.unwrap().until, Timestamp::MAX);
    }

    #[test]
    fn a_failure_keeps_its_three_parts() {
        let failure = Failure {
            cause: Cause::step("kubeadm upgrade node failed (exit 1)").detail(["[ERROR Port-10250]"]).next("first"),
            place: place(),
            state: "k8s-node3 is cordoned.".into(),
            next: vec![Advice::status(), Advice::go_on("k8s-upgrade resume    # then")],
        };
        let doing = followed(&[(0, begins("kubeadm upgrade node")), (9, Event::Failed { failure })]);
        let wanted = ToldFailure {
            what: vec!["✗ k8s-node3: kubeadm upgrade node failed (exit 1)".into(), "[ERROR Port-10250]".into()],
            state: "k8s-node3 is cordoned.".into(),
            next: vec!["first".into(), Advice::status(), Advice::go_on("k8s-upgrade resume    # then")],
        };
        assert_eq!((doing.failure, doing.step), (Some(wanted), None));
        let hold = Failure { cause: Cause::hold("1 alert(s) firing"), place: String::new(), state: String::new(), next: vec![] };
        assert_eq!(followed(&[(0, Event::Failed { failure: hold })]).failure.unwrap().what, ["‖ hold: 1 alert(s) firing"]);
    }

    #[test]
    fn only_what_is_new_is_urgent() {
        let mut follower = Follower::default();
        assert_eq!(follower.changed(), None);
        for (event, wanted) in [
            (begins("drain"), Urgency::Changes),
            (drains(5, &[]), Urgency::Changes),
            (drains(4, &[]), Urgency::Repeats),
            (drains(4, &["a/b"]), Urgency::Changes),
            (waits("a node", 9), Urgency::Changes),
            (waits("a node", 8), Urgency::Repeats),
            (ends("drain"), Urgency::Changes),
        ] {
            follower.event(at(0), &event);
            assert_eq!(follower.changed(), Some(wanted), "{event:?}");
            follower.take();
        }
        follower.again();
        assert_eq!((follower.changed(), follower.take().step), (Some(Urgency::Changes), None));
        follower.event(at(0), &Event::Output { place: place(), line: "kubeadm says".into() });
        assert_eq!((follower.changed(), follower.take().last.unwrap().contains("kubeadm says")), (None, false));
    }
}

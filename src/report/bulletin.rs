//! The sink for whoever looks at the cluster and at no screen of ours: each step, hold and failure as a Kubernetes Event. It keeps them until
//! `run` has written them. Nothing ever reads them back as facts.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::queue::Queue;
use super::{Event, Notice, Sink, place, sentence};
use crate::failure::Class;
use crate::names::EventReason;
use crate::words::line;

/// Bytes of an Event's message, as the API server allows.
const MESSAGE: usize = 1024;

/// One Event, as far as it is not about who writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulletin {
    pub at: Timestamp,
    /// A node, a phase, or something else that events are told of.
    pub place: String,
    pub reason: EventReason,
    /// One line of at most 1024 bytes, fit to be shown.
    pub message: String,
}

impl Bulletin {
    /// The message where nothing else says where it happened.
    pub fn with_place(&self) -> String {
        message(&format!("{}: {}", self.place, self.message))
    }
}

/// What one process has to tell.
#[derive(Clone)]
pub struct Bulletins {
    queue: Queue<Bulletin>,
    /// The Job before this one held here and told so: until work goes on, nothing is news.
    quiet: bool,
    /// Waits and pods that were told, with their place: a look at the same is no news.
    told: BTreeSet<(String, String)>,
}

impl Bulletins {
    /// `held`: the Job before this one held at the same step, and told so.
    pub fn new(held: bool) -> Self {
        Bulletins { queue: Queue::default(), quiet: held, told: BTreeSet::new() }
    }

    /// Those that are to be written.
    pub fn queue(&self) -> &Queue<Bulletin> {
        &self.queue
    }

    fn put(&mut self, at: Timestamp, place: &str, reason: EventReason, text: &str) {
        self.queue.put(Bulletin { at, place: place.to_owned(), reason, message: message(text) });
    }

    /// Whether this is the first look at it since a step began there.
    fn is_new(&mut self, place: &str, what: &str) -> bool {
        self.told.insert((place.to_owned(), what.to_owned()))
    }

    fn reason(&mut self, event: &Event) -> Option<EventReason> {
        Some(match event {
            Event::StepStarted { place, .. } => {
                self.quiet = false;
                self.told.retain(|(told, _)| told != place);
                EventReason::StepStarted
            }
            Event::StepDone { .. } => EventReason::StepDone,
            Event::StepSkipped { .. } => EventReason::StepSkipped,
            // What is still missing of it may change, and the wait is the same.
            Event::Waiting { place, on, .. } => return self.is_new(place, &on.on).then_some(EventReason::Waiting),
            Event::Draining { place, held, .. } => {
                let mut new = false;
                for held in held {
                    new |= self.is_new(place, held);
                }
                return new.then_some(EventReason::DrainHeld);
            }
            Event::Warning { .. } => EventReason::UpgradeWarning,
            Event::RunBegun { .. } => EventReason::UpgradeStarted,
            Event::Snapshot { .. } => EventReason::SnapshotTaken,
            Event::OutOfService { .. } => EventReason::OutOfService,
            Event::InService { .. } => EventReason::InService,
            // Said by their steps, to a person alone, or as a notice.
            Event::PhaseStarted { .. }
            | Event::PhaseDone { .. }
            | Event::Output { .. }
            | Event::Gate { .. }
            | Event::Note { .. }
            | Event::Found { .. }
            | Event::Did { .. }
            | Event::Next { .. }
            | Event::RunDone { .. }
            | Event::Failed { .. } => return None,
        })
    }
}

impl Sink for Bulletins {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if let Some(reason) = self.reason(event).filter(|_| !self.quiet) {
            let text = match event {
                // That it is one, its type says.
                Event::Warning { text, .. } => text.clone(),
                event => sentence(event),
            };
            self.put(now, place(event), reason, &text);
        }
    }

    fn notice(&mut self, now: Timestamp, cluster: &str, place: &str, notice: &Notice) {
        let Some(reason) = reason(notice) else { return };
        let text = match (notice, notice.event(cluster, place)) {
            (_, Some(Event::Warning { text, .. })) => text,
            (Notice::Failed(failure), _) => format!("{}. {}", failure.cause.what, failure.state),
            (_, Some(event)) => sentence(&event),
            (_, None) => notice.text(cluster),
        };
        self.put(now, notice.about().unwrap_or(place), reason, &text);
    }
}

/// None: events say it.
fn reason(notice: &Notice) -> Option<EventReason> {
    Some(match notice {
        Notice::Begun { .. } => return None,
        Notice::NodeDone { .. } => EventReason::NodeUpgraded,
        Notice::Done { skipped, .. } if skipped.is_empty() => EventReason::UpgradeDone,
        Notice::Done { .. } => EventReason::UpgradePartial,
        Notice::Skipped { .. } => EventReason::StepForced,
        Notice::LeftOut { .. } => EventReason::NodeLeftOut,
        Notice::Forced { .. } => EventReason::PodForced,
        Notice::Deferred { .. } => EventReason::UpgradeDeferred,
        Notice::Rests { .. } => EventReason::UpgradeRests,
        Notice::Only { .. } => EventReason::UpgradeStopped,
        Notice::Asks { .. } => EventReason::ApprovalWanted,
        Notice::PassedOver { .. } => EventReason::ReleasePassedOver,
        Notice::Approved { .. } => EventReason::UpgradeApproved,
        Notice::Withdrawn { .. } => EventReason::ApprovalLifted,
        Notice::Expired { .. } => EventReason::ApprovalExpired,
        Notice::Failed(failure) => match failure.class() {
            Class::Hold => EventReason::UpgradeHeld,
            Class::Stopped(_) | Class::Halted => EventReason::UpgradeStopped,
            _ => EventReason::UpgradeFailed,
        },
        Notice::StillHeld(_) => EventReason::UpgradeStillHeld,
        Notice::Halted(_) => EventReason::UpgradeHalted,
        Notice::Lifted { .. } => EventReason::HaltLifted,
        Notice::Cleared { .. } => EventReason::StateCleared,
    })
}

/// One line, cut where the API server would refuse more.
fn message(text: &str) -> String {
    const CUT: char = '…';
    let mut text = line(text);
    if text.len() > MESSAGE {
        text.truncate(text.floor_char_boundary(MESSAGE - CUT.len_utf8()));
        text.push(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use futures::FutureExt;

    use super::super::notice::samples;
    use super::*;
    use crate::plan::model::progress::Awaited;
    use crate::plan::model::version::UpgradeKind;

    fn taken(bulletins: &Bulletins) -> Vec<Bulletin> {
        let next = || {
            let next = bulletins.queue().next().now_or_never()?;
            bulletins.queue().sent(true);
            Some(next)
        };
        std::iter::from_fn(next).collect()
    }

    fn told(held: bool, events: &[Event]) -> Vec<(EventReason, String)> {
        let mut bulletins = Bulletins::new(held);
        events.iter().for_each(|event| bulletins.event(Timestamp::UNIX_EPOCH, event));
        taken(&bulletins).into_iter().map(|told| (told.reason, told.with_place())).collect()
    }

    fn waits(what: &str) -> Event {
        let on = Awaited::new("the alert gate", what);
        Event::Waiting { place: "k8s-node4".into(), on, left: Duration::from_secs(9) }
    }

    fn begins(place: &str) -> Event {
        Event::StepStarted { place: place.into(), step: "drain".into(), deadline: Duration::from_secs(60) }
    }

    fn drains(held: &[&str]) -> Event {
        let held = held.iter().map(|held| (*held).to_owned()).collect();
        Event::Draining { place: "k8s-node4".into(), left: 2, total: 9, held, deadline: Duration::from_secs(60) }
    }

    #[test]
    fn every_reason_is_given_and_its_word_is_one() {
        let place = || "k8s-node4".to_owned();
        let took = Duration::from_secs(1);
        let target = "1.36.3".parse().unwrap();
        let events = [
            begins("k8s-node4"),
            Event::StepDone { place: place(), step: "drain".into(), took },
            Event::StepSkipped { place: place(), step: "drain".into(), why: "it is empty".into() },
            waits("firing: DiskFull"),
            drains(&["web/shop"]),
            Event::Warning { place: place(), text: "it".into() },
            Event::RunBegun { run: "r".into(), from: None, target, kind: UpgradeKind::Patch, nodes: vec![place()] },
            Event::Snapshot { path: "/s".into() },
            Event::OutOfService { place: place() },
            Event::InService { place: place() },
        ];
        let mut bulletins = Bulletins::new(false);
        events.iter().for_each(|event| bulletins.event(Timestamp::UNIX_EPOCH, event));
        samples::all().iter().for_each(|notice| bulletins.notice(Timestamp::UNIX_EPOCH, "homelab", "watch", notice));
        let told = taken(&bulletins);
        for reason in EventReason::ALL {
            assert!(told.iter().any(|told| told.reason == *reason), "{reason:?} is never given");
            let word = reason.word();
            assert!(
                word.starts_with(|c: char| c.is_ascii_uppercase()) && word.bytes().all(|b| b.is_ascii_alphabetic()),
                "{word}"
            );
            assert!(["Normal", "Warning"].contains(&reason.kind()), "{word}");
        }
        assert!(told.iter().all(|told| !told.message.is_empty() && !told.message.contains('\n')), "{told:?}");
    }

    #[test]
    fn a_look_at_the_same_is_no_news_until_a_step_begins_there() {
        let wait = (EventReason::Waiting, "k8s-node4: waits for the alert gate: firing: A (at most 9s more)".to_owned());
        let said = told(false, &[waits("firing: A"), waits("firing: A, B"), begins("k8s-node3"), waits("firing: A")]);
        assert_eq!(said, [wait.clone(), (EventReason::StepStarted, "k8s-node3: drain … (at most 1m 00s)".to_owned())]);
        let said = told(false, &[waits("firing: A"), begins("k8s-node4"), waits("firing: A")]);
        assert_eq!((said.len(), &said[2]), (3, &wait));
        let held =
            told(false, &[drains(&[]), drains(&["web/a"]), drains(&["web/a"]), drains(&["web/a", "web/b"]), drains(&["web/b"])]);
        assert_eq!(held.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [EventReason::DrainHeld; 2], "{held:?}");
    }

    #[test]
    fn who_goes_on_with_a_hold_says_nothing_until_work_goes_on() {
        let said = told(true, &[waits("firing: A"), Event::Warning { place: String::new(), text: "it".into() }]);
        assert_eq!(said, []);
        let said = told(true, &[waits("firing: A"), begins("k8s-node4"), waits("firing: A")]);
        assert_eq!(said.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [EventReason::StepStarted, EventReason::Waiting]);
    }

    #[test]
    fn a_message_is_one_line_of_no_more_bytes_than_may_be() {
        let long = message(&"ä\n".repeat(9000));
        assert!(long.len() <= MESSAGE && long.len() > MESSAGE - 8 && long.starts_with("ä ä") && long.ends_with('…'), "{long}");
        assert_eq!(message("a\u{1b}[2Jb\nc"), "ab c");
    }
}

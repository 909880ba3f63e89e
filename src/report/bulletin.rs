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
            Event::Waiting { place, on, .. } => {
                let reason = if on.gate.is_some() { EventReason::UpgradeHeld } else { EventReason::Waiting };
                return self.is_new(place, &on.on).then_some(reason);
            }
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
            self.put(now, place(event), reason, &sentence(event));
        }
    }

    fn notice(&mut self, now: Timestamp, cluster: &str, place: &str, notice: &Notice) {
        let Some(reason) = reason(notice) else { return };
        let text = match (notice, notice.event(cluster, place)) {
            (Notice::Failed(failure), _) => format!("{}. {}", failure.cause.what, failure.state),
            (_, Some(event)) => sentence(&event),
            (_, None) => notice.text(cluster),
        };
        self.put(now, about(notice).as_deref().unwrap_or(place), reason, &text);
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

/// The node that it is about, where it names one.
fn about(notice: &Notice) -> Option<String> {
    match notice {
        Notice::NodeDone { node, .. } | Notice::Forced { node, .. } => Some(node.clone()),
        // A step's token: its phase, and behind a slash its node.
        Notice::Skipped { skip, .. } | Notice::LeftOut { skip, .. } => Some(skip.step.split_once('/')?.1.to_owned()),
        Notice::Failed(failure) => Some(failure.place.clone()),
        Notice::StillHeld(held) => held.out.first().map(|(node, _)| node.clone()),
        _ => None,
    }
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

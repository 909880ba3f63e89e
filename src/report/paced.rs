//! Shows events of paused time at a pace that a person can follow.

use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Sink};

/// How much time of the events passes in one second of ours: the runbook's hour takes about half a minute.
const PACE: u32 = 140;
/// Nothing is worth a longer wait.
const LONGEST: Duration = Duration::from_secs(2);

pub struct Paced<S> {
    inner: S,
    last: Option<Timestamp>,
}

impl<S> Paced<S> {
    pub fn new(inner: S) -> Self {
        Paced { inner, last: None }
    }
}

impl<S: Sink> Sink for Paced<S> {
    #[expect(
        clippy::disallowed_methods,
        reason = "paused time stands still meanwhile, and the one thread has nothing else to do"
    )]
    fn event(&mut self, now: Timestamp, event: &Event) {
        if let Some(last) = self.last {
            std::thread::sleep((now.duration_since(last).unsigned_abs() / PACE).min(LONGEST));
        }
        self.last = Some(now);
        self.inner.event(now, event);
    }
}

//! Shows events of paused time at a pace that a person can follow.

use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Sink};

/// How much time of the events passes in one second of ours: the runbook's hour takes about half a minute.
const PACE: u32 = 140;
/// Nothing is worth a longer wait.
const LONGEST: Duration = Duration::from_secs(2);

/// So often it is asked whether to wait on.
const NAP: Duration = Duration::from_millis(20);

/// Slows a rehearsal down, so that a person can follow it.
pub struct Paced<S, W> {
    inner: S,
    wait: W,
    last: Option<Timestamp>,
}

impl<S> Paced<S, Box<dyn FnMut(Duration) + Send>> {
    /// Waits by sleeping, before `inner` is told; no longer once there is `hurry`: a person has asked to stop.
    pub fn new(inner: S, hurry: impl Fn() -> bool + Send + 'static) -> Self {
        Paced { inner, wait: Box::new(move |long| sleep(long, &hurry)), last: None }
    }
}

#[expect(clippy::disallowed_methods, reason = "paused time stands still meanwhile, and the one thread has nothing else to do")]
fn sleep(long: Duration, hurry: &impl Fn() -> bool) {
    let mut left = long;
    while !left.is_zero() && !hurry() {
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left -= nap;
    }
}

impl<S: Sink, W: FnMut(Duration) + Send> Sink for Paced<S, W> {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if let Some(last) = self.last {
            (self.wait)((now.duration_since(last).unsigned_abs() / PACE).min(LONGEST));
        }
        self.last = Some(now);
        self.inner.event(now, event);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// What stands on the terminal, in turn with the waits.
    #[derive(Debug, PartialEq)]
    enum Drawn {
        Line(String),
        Wait(Duration),
    }

    impl Sink for Sender<Drawn> {
        fn event(&mut self, now: Timestamp, event: &Event) {
            self.send(Drawn::Line(format!("{} {}", now.strftime("%H:%M:%S"), super::super::sentence(event)))).unwrap();
        }
    }

    /// The clock stands: whatever passes between two lines passes here, before the later one, and none of it is the events' own.
    #[test]
    fn time_of_the_events_passes_at_the_pace_of_who_looks_on() {
        let (tell, told) = channel();
        let wait = {
            let tell = tell.clone();
            move |long| tell.send(Drawn::Wait(long)).unwrap()
        };
        let mut paced = Paced { inner: tell, wait, last: None };
        let moments = [("12:00:00", "first"), ("12:00:00", "at once"), ("12:00:14", "soon"), ("12:45:00", "much later")];
        for (clock, text) in moments {
            let at = format!("2026-11-22T{clock}Z").parse().unwrap();
            paced.event(at, &Event::Note { place: String::new(), text: text.to_owned() });
        }
        drop(paced);
        let line = |text: &str| Drawn::Line(text.to_owned());
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [
                line("12:00:00 first"),
                Drawn::Wait(Duration::ZERO),
                line("12:00:00 at once"),
                Drawn::Wait(Duration::from_millis(100)),
                line("12:00:14 soon"),
                Drawn::Wait(LONGEST),
                line("12:45:00 much later"),
            ]
        );
    }
}

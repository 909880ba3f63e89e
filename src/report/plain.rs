//! One line an event, with the time: for pod logs and pipes.

use jiff::Timestamp;

use super::{Event, Out, Sink, place, put, sentence, told};

pub struct Plain {
    verbosity: i8,
    out: Out,
    /// The last line said, so that a wait that repeats itself is said once.
    last: String,
}

impl Plain {
    pub fn new(verbosity: i8, out: Out) -> Self {
        Plain { verbosity, out, last: String::new() }
    }
}

/// What makes two waits the same line: all but the time that is left.
fn essence(event: &Event) -> String {
    match event {
        Event::Waiting { place, on, .. } => format!("{place} {on}"),
        other => format!("{} {}", place(other), sentence(other)),
    }
}

impl Sink for Plain {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if !told(event, self.verbosity) || (self.verbosity < 1 && matches!(event, Event::Output { .. })) {
            return;
        }
        let essence = essence(event);
        if essence == self.last {
            return;
        }
        self.last = essence;
        if let Event::Failed(failure) = event {
            put(&self.out, &format!("{failure}\n"));
            return;
        }
        let place = place(event);
        let gap = if place.is_empty() { "" } else { "  " };
        put(&self.out, &format!("{}  {place}{gap}{}\n", now.strftime("%H:%M:%S"), sentence(event)));
    }
}

//! What turns in every world and knows of none: time with what is due, chance, and lines of which clones share the past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// The time, and what will happen.
#[derive(Clone)]
pub struct Agenda<T> {
    now: Timestamp,
    /// What is due at the same time happens in the order in which it was put here.
    timers: BTreeMap<(Timestamp, u64), T>,
    tickets: u64,
}

impl<T> Agenda<T> {
    pub fn new(now: Timestamp) -> Self {
        Agenda { now, timers: BTreeMap::new(), tickets: 0 }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn at(&mut self, when: Timestamp, timer: T) {
        self.tickets += 1;
        self.timers.insert((when.max(self.now), self.tickets), timer);
    }

    pub fn cancel(&mut self, obsolete: impl Fn(&T) -> bool) {
        self.timers.retain(|_, timer| !obsolete(timer));
    }

    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.timers.values()
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.timers.keys().next().map(|(when, _)| *when)
    }

    /// The next that is due until `until`: it is that time then.
    pub fn take(&mut self, until: Timestamp) -> Option<T> {
        let first = self.timers.first_entry().filter(|first| first.key().0 <= until)?;
        self.now = self.now.max(first.key().0);
        Some(first.remove())
    }

    /// Time passes until then.
    pub fn reach(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }
}

/// A source of chance: the same numbers from the same seed.
#[derive(Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A span between two bounds, in milliseconds.
    pub fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.number() % (most - least + 1))
    }
}

/// Lines, newest last; a clone shares all that was there.
#[derive(Clone, Default)]
pub struct Lines {
    last: Option<Arc<Line>>,
    len: usize,
}

struct Line {
    text: String,
    before: Option<Arc<Line>>,
}

impl Lines {
    pub fn push(&mut self, text: String) {
        self.last = Some(Arc::new(Line { text, before: self.last.take() }));
        self.len += 1;
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// From the newest to the oldest.
    pub fn newest(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.last.as_deref(), |line| line.before.as_deref()).map(|line| line.text.as_str())
    }
    pub fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.newest().collect();
        all.reverse();
        all
    }
}

/// A long list must not be dropped by recursion.
impl Drop for Line {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(line) = next.and_then(Arc::into_inner) {
            let mut line = line;
            next = line.before.take();
        }
    }
}

pub fn later(time: Timestamp, span: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(span).ok().and_then(|span| time.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

//! Drains of a node that did not end, in one run: how often, and how long it was out of service for nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::span::span;

/// The first pause after a drain that did not end; each further one is twice as long.
const PAUSE: SignedDuration = SignedDuration::from_mins(10);
/// No pause is longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// So many are kept, the newest.
const KEPT: usize = 50;

/// As an annotation of our namespace carries it: one, or several in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldDrain {
    pub node: String,
    pub tries: u32,
    /// Out of service in all of them, with nothing on the node changed.
    pub seconds: u64,
    /// When the last one ended.
    pub last: Timestamp,
}

impl HeldDrain {
    /// None of what is not ours.
    pub fn read(text: &str) -> Vec<Self> {
        let one = || serde_json::from_str(text).ok().map(|one| vec![one]);
        serde_json::from_str(text).ok().or_else(one).unwrap_or_default()
    }

    /// As the annotation carries them.
    pub fn write(all: &[HeldDrain]) -> String {
        match all {
            [one] => serde_json::json!(one),
            all => serde_json::json!(all),
        }
        .to_string()
    }

    /// This one beside those of other nodes.
    pub fn beside(self, others: &[HeldDrain]) -> Vec<Self> {
        let mut all: Vec<HeldDrain> = others.iter().filter(|other| other.node != self.node).cloned().collect();
        all.push(self);
        all.sort_by_key(|held| std::cmp::Reverse(held.last));
        all.truncate(KEPT);
        all
    }

    /// One more has ended at `now`; the node was out of service for `out`.
    pub fn after(former: Option<&HeldDrain>, node: &str, out: Duration, now: Timestamp) -> Self {
        let former = former.filter(|former| former.node == node);
        HeldDrain {
            node: node.to_owned(),
            tries: former.map_or(0, |former| former.tries).saturating_add(1),
            seconds: former.map_or(0, |former| former.seconds).saturating_add(out.as_secs()),
            last: now,
        }
    }

    /// Whoever drained was killed, after the node had been out of service for `out`: that counts as well, but it is no sign that the drain
    /// would not have ended.
    pub fn cut_off(former: Option<&HeldDrain>, node: &str, out: Duration, now: Timestamp) -> Self {
        let next = Self::after(former, node, out, now);
        HeldDrain { tries: next.tries - 1, ..next }
    }

    /// Out of service in all of them.
    pub fn out(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// When nobody is asked, it is not tried again before this.
    pub fn again(&self) -> Timestamp {
        if self.tries == 0 {
            return self.last;
        }
        let doubled = 1i32.checked_shl(self.tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let pause = PAUSE.checked_mul(doubled).map_or(LONGEST, |pause| pause.clamp(PAUSE, LONGEST));
        self.last.checked_add(pause).unwrap_or(Timestamp::MAX)
    }

    /// For people.
    pub fn words(&self) -> String {
        let drains = match self.tries {
            0 => "a drain was cut off".to_owned(),
            1 => "1 drain did not end".to_owned(),
            tries => format!("{tries} drains did not end"),
        };
        format!("{drains}, out of service {} in all", span(self.out()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn tries_and_time_add_up_and_pauses_grow() {
        let mut held: Option<HeldDrain> = None;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let next = HeldDrain::after(held.as_ref(), "n", Duration::from_secs(60), at(0));
            pauses.push(next.again().duration_since(at(0)).as_mins());
            held = Some(next);
        }
        let held = held.unwrap();
        assert_eq!((held.tries, held.seconds), (40, 2400));
        assert_eq!((&pauses[..7], pauses[39]), ([10, 20, 40, 80, 160, 320, 360].as_slice(), 360));
        let one = std::slice::from_ref(&held);
        assert_eq!(HeldDrain::read(&HeldDrain::write(one)), one);
        assert_eq!(
            HeldDrain::after(Some(&held), "other", Duration::from_secs(5), at(1)).words(),
            "1 drain did not end, out of service 5s in all"
        );
        assert_eq!(HeldDrain::read("soon"), []);
        let other = HeldDrain { node: "other".to_owned(), ..held.clone() };
        let both = other.clone().beside(&[held.clone(), other]);
        assert_eq!((HeldDrain::read(&HeldDrain::write(&both)), both.len()), (both.clone(), 2));
    }

    #[test]
    fn a_drain_that_was_cut_off_counts_by_its_time_alone() {
        let cut = HeldDrain::cut_off(None, "n", Duration::from_secs(90), at(3));
        assert_eq!((cut.words().as_str(), cut.again()), ("a drain was cut off, out of service 1m 30s in all", at(3)));
        let held = HeldDrain::after(Some(&cut), "n", Duration::from_secs(600), at(20));
        let cut = HeldDrain::cut_off(Some(&held), "n", Duration::from_secs(30), at(40));
        assert_eq!((cut.tries, cut.seconds), (1, 720));
        assert_eq!(HeldDrain::cut_off(Some(&held), "other", Duration::from_secs(30), at(40)).seconds, 30);
    }
}

//! What detection remembers from one week to the next, as annotations of our namespace carry it: what it has told people of, and since when it
//! has known releases that are to come of age.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::span::stamp;
use super::version::Version;

/// What stays as it was is told again after so long.
const AGAIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// So many are remembered: a detection tells of two releases at most, each for one reason.
const TOLD: usize = 8;
/// So many releases above the one that runs: two minor versions seldom have more patches.
const SEEN: usize = 40;

/// What people were told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The release that waits for a person's approval.
    pub asks: Option<Version>,
    pub told: Vec<Told>,
}

/// Why nothing begins, of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub release: Version,
    /// In words that stay the same as long as it does.
    pub why: String,
    /// When people were told last.
    pub at: Timestamp,
}

impl Found {
    /// What is not ours tells nothing: people hear once more.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As the annotation carries it.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// When people were told of it last.
    pub fn last(&self, release: Version, why: &str) -> Option<Timestamp> {
        let told = self.told.iter().filter(|told| told.release == release && told.why == why);
        told.map(|told| told.at).max()
    }

    /// Whether people are to be told of it: it is news, or was long ago. A clock that was ahead silences nothing for longer than that.
    pub fn is_due(&self, release: Version, why: &str, now: Timestamp) -> bool {
        self.last(release, why).is_none_or(|last| now.duration_since(last).abs() >= AGAIN)
    }

    /// A person wants that release now: whatever keeps it off is news.
    pub fn forget(mut self, release: Version) -> Self {
        self.told.retain(|told| told.release != release);
        self
    }

    /// A run goes there: what was told of that release, or of older ones, is over.
    pub fn beyond(mut self, target: Version) -> Self {
        self.asks = self.asks.filter(|asks| *asks > target);
        self.told.retain(|told| told.release > target);
        self
    }

    /// There is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.asks.is_none() && self.told.is_empty()
    }

    /// They were told of it now.
    pub fn told(mut self, release: Version, why: &str, now: Timestamp) -> Self {
        self.told.retain(|told| told.release != release || told.why != why);
        self.told.insert(0, Told { release, why: why.to_owned(), at: now });
        self.told.truncate(TOLD);
        self
    }
}

/// When detection first saw releases above the one that runs, as the annotation carries it: `1.36.3=2026-11-30T10:00:00Z 1.37.0=…`. A package
/// index has no date of a release that a mirror, or whoever builds a package again, would keep; what was seen here cannot be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<Version, Timestamp>);

impl Seen {
    /// What is not ours is not counted: releases come of age later.
    pub fn read(text: &str) -> Self {
        let entry = |entry: &str| {
            let (release, text) = entry.split_once('=')?;
            let at = text.parse().ok().filter(|at| stamp(*at) == text)?;
            Some((release.parse().ok()?, at))
        };
        Seen(text.split(' ').filter_map(entry).take(SEEN).collect())
    }

    /// As the annotation carries it.
    pub fn write(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(release, at)| format!("{release}={}", stamp(*at))).collect();
        entries.join(" ")
    }

    /// Since when it is known; one that nobody has seen before is known since now, and none since a time to come.
    pub fn since(&self, release: Version, now: Timestamp) -> Timestamp {
        self.0.get(&release).map_or(now, |at| (*at).min(now))
    }

    /// With those that are there now, and without those that are no more.
    pub fn with(&self, there: impl IntoIterator<Item = Version>, now: Timestamp) -> Self {
        let mut there: Vec<Version> = there.into_iter().collect();
        there.sort_unstable_by(|a, b| b.cmp(a));
        Seen(there.into_iter().take(SEEN).map(|release| (release, self.since(release, now))).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_is_told_again_after_a_month() {
        let (release, first) = ("1.36.3".parse().unwrap(), at("2026-11-01T12:00:00Z"));
        let found = Found::default().told(release, "ask", first);
        assert_eq!(Found::read(&found.write()), Some(found.clone()));
        for (days, due) in [(0, false), (7, false), (29, false), (30, true), (365, true), (-31, true)] {
            let now = first + SignedDuration::from_hours(24 * days);
            assert_eq!(found.is_due(release, "ask", now), due, "{days}");
        }
        assert!(found.is_due("1.36.4".parse().unwrap(), "ask", first) && found.is_due(release, "closed", first));
        assert!(found.clone().forget(release).is_due(release, "ask", first));
        // A run to it, or past it, ends that.
        assert!(found.clone().beyond(release).is_empty() && !found.clone().beyond("1.36.2".parse().unwrap()).is_empty());
        let many = (0..50).fold(found, |found, patch| found.told(Version::new(1, 37, patch), "ask", first));
        assert_eq!(many.told.len(), TOLD);
        for odd in ["", "true", "{}", "[]", r#"{"asks":"1","told":[]}"#] {
            assert_eq!(Found::read(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_release_is_as_old_as_detection_knows_it() {
        let (first, now) = (at("2026-11-01T12:00:00Z"), at("2026-11-08T12:00:00Z"));
        let [three, four]: [Version; 2] = ["1.36.3", "1.36.4"].map(|text| text.parse().unwrap());
        let seen = Seen::default().with([three], first).with([three, four], now);
        assert_eq!(seen.write(), "1.36.3=2026-11-01T12:00:00Z 1.36.4=2026-11-08T12:00:00Z");
        assert_eq!(Seen::read(&seen.write()), seen);
        assert_eq!([three, four].map(|release| seen.since(release, now)), [first, now]);
        assert_eq!(seen.with([four], now).write(), "1.36.4=2026-11-08T12:00:00Z");
        // Whatever stands there, nothing is older than it can be.
        for odd in ["", "true", "1.36.3", "1.36.3=soon", "=", "1.36.3=2099-01-01T00:00:00Z"] {
            assert_eq!(Seen::read(odd).since(three, now), now, "{odd}");
        }
        let many = Seen::default().with((0..500).map(|patch| Version::new(1, 37, patch)), now);
        assert_eq!(many.write().split(' ').count(), SEEN);
    }
}

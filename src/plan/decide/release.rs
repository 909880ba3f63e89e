//! Which of the releases that there are the settings want detection to go to. What a person names by hand is not asked here.

use jiff::Timestamp;

use super::detect::{self, Detection, Index};
use super::passed_over::{Objection, PassedOver};
use super::target;
use crate::failure::Cause;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::found::Seen;
use crate::plan::model::policy::{Days, Pace, Releases};
use crate::plan::model::version::{UpgradeKind, Version};

/// What the record knows of releases, now.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// What a person has approved, while that holds.
    pub approved: Option<Version>,
    pub seen: &'a Seen,
    pub now: Timestamp,
}

impl Releases {
    /// What becomes of a release of this kind.
    pub fn pace(&self, kind: UpgradeKind) -> Pace {
        match kind {
            UpgradeKind::Patch => self.patch,
            UpgradeKind::Minor => self.minor,
        }
    }

    fn age(&self, kind: UpgradeKind) -> Days {
        match kind {
            UpgradeKind::Patch => self.patch_age,
            UpgradeKind::Minor => self.minor_age,
        }
    }

    /// Some release must come of age, so that it matters when it was seen first.
    pub fn wait_for_age(&self) -> bool {
        [UpgradeKind::Patch, UpgradeKind::Minor].into_iter().any(|kind| !self.age(kind).is_none())
    }

    /// Whether a run to that release wants a person's word that is not there.
    pub fn asks(&self, running: Version, release: Version, approved: Option<Version>) -> bool {
        self.pace(UpgradeKind::between(running, release)) == Pace::Ask && approved != Some(release)
    }

    /// Why detection passes over a release that is newer than what runs; None: it is wanted. `newer`: how many later patches there are.
    fn objection(&self, known: &Known<'_>, running: Version, release: Version, newer: usize) -> Option<Objection> {
        let kind = UpgradeKind::between(running, release);
        let off = (self.pace(kind) == Pace::Off).then_some(Objection::Off(kind));
        let max = || Some(Objection::Max(self.max.filter(|max| !max.allows(release))?));
        let lag = || (newer < usize::from(self.lag)).then_some(Objection::Lag(self.lag));
        let from = self.age(kind).after(known.seen.since(release, known.now));
        let young = || (known.now < from).then(|| Objection::Young(kind, self.age(kind), from));
        off.or_else(max).or_else(lag).or_else(young)
    }

    /// What of an index is wanted, and of the newest that is not, why. What runs, and what is older, stays: by it an index is known to be whole.
    /// What a person has approved comes before what is newer.
    pub fn of(&self, index: Index, running: Version, known: &Known<'_>) -> (Index, Option<PassedOver>) {
        let Answer::Known(Ok(mut releases)) = index else { return (index, None) };
        releases.sort_unstable();
        let all = releases.clone();
        let newer =
            |release: Version| all.iter().filter(|other| **other > release && other.minors_above(release) == Some(0)).count();
        let own = |release: Version| self.objection(known, running, release, newer(release)).filter(|_| release > running);
        let approved = known.approved.filter(|approved| all.contains(approved) && own(*approved).is_none());
        let objection = |release: Version| {
            let first = || approved.filter(|approved| release > *approved).map(Objection::Approved);
            own(release).or_else(first)
        };
        releases.retain(|release| objection(*release).is_none());
        let newest = all.last().and_then(|release| Some(PassedOver { release: *release, why: objection(*release)? }));
        (Answer::Known(Ok(releases)), newest)
    }
}

/// What detection makes of two indexes, as the settings want it. `current` and `next` are as [`detect::detect`] has them.
///
/// # Errors
/// As that.
pub fn wanted(facts: &Facts, releases: &Releases, current: Index, next: Index, now: Timestamp) -> Result<Detection, Cause> {
    let marks = &facts.marks;
    let known = Known { approved: marks.approval(now).map(|approved| approved.release), seen: &marks.seen, now };
    let running = target::running(facts).ok_or_else(|| Cause::hold("no node of the cluster can be seen"))?;
    let (current, newest) = releases.of(current, running, &known);
    let (next, newest_of_next) = releases.of(next, running, &known);
    let found = detect::detect(facts, &current, &next)?;
    let passed_over = newest.into_iter().chain(newest_of_next).collect();
    let asks = found.target.filter(|target| !found.begun && releases.asks(running, *target, known.approved));
    Ok(Detection { passed_over, asks, target: found.target.filter(|_| asks.is_none()), ..found })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::plan::decide::detect::Absent;

    const FIRST: &str = "2026-11-01T12:00:00Z";
    const NOW: &str = "2026-11-22T12:00:00Z";

    /// All of them but the newest have been known since [`FIRST`].
    fn of(wanted: &Releases, approved: Option<&str>, index: &str) -> String {
        let releases: Vec<Version> = index.split(' ').map(|release| release.parse().unwrap()).collect();
        let newest = releases.iter().max().copied();
        let (first, now) = (FIRST.parse().unwrap(), NOW.parse().unwrap());
        let seen = Seen::default().with(releases.iter().copied().filter(|release| Some(*release) != newest), first);
        let known = Known { approved: approved.map(|approved| approved.parse().unwrap()), seen: &seen, now };
        let (Answer::Known(Ok(found)), why) = wanted.of(Answer::Known(Ok(releases)), "1.34.2".parse().unwrap(), &known) else {
            panic!()
        };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        format!("{} | {}", found.join(" "), why.map_or(String::new(), |why| why.to_string()))
    }

    #[test]
    fn what_is_wanted_of_an_index() {
        let all = Releases::default();
        let (current, next) = ("1.34.7 1.34.1 1.34.2 1.34.6", "1.35.0 1.35.1");
        let days = |text: &str| text.parse().unwrap();
        for (wanted, approved, kept, next_kept) in [
            (all, None, "1.34.1 1.34.2 1.34.6 1.34.7 | ", "1.35.0 1.35.1 | "),
            (
                Releases { patch: Pace::Off, ..all },
                None,
                "1.34.1 1.34.2 | 1.34.7 is there, and passed over (setting patch: off)",
                "1.35.0 1.35.1 | ",
            ),
            (
                Releases { minor: Pace::Off, ..all },
                None,
                "1.34.1 1.34.2 1.34.6 1.34.7 | ",
                " | 1.35.1 is there, and passed over (setting minor: off)",
            ),
            // Who asks wants the newest, too.
            (Releases { patch: Pace::Ask, minor: Pace::Ask, ..all }, None, "1.34.1 1.34.2 1.34.6 1.34.7 | ", "1.35.0 1.35.1 | "),
            (
                Releases { patch: Pace::Ask, ..all },
                Some("1.34.6"),
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (1.34.6 is approved, and comes first)",
                "1.35.0 1.35.1 | ",
            ),
            (
                Releases { lag: 1, ..all },
                None,
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (setting lag: 1)",
                "1.35.0 | 1.35.1 is there, and passed over (setting lag: 1)",
            ),
            // What runs stays, however far behind it is to be.
            (
                Releases { lag: 9, ..all },
                None,
                "1.34.1 1.34.2 | 1.34.7 is there, and passed over (setting lag: 9)",
                " | 1.35.1 is there, and passed over (setting lag: 9)",
            ),
            // What was approved once is not wanted against the settings of now.
            (
                Releases { max: "1.34".parse().ok(), ..all },
                Some("1.35.0"),
                "1.34.1 1.34.2 1.34.6 1.34.7 | ",
                " | 1.35.1 is there, and passed over (setting max-version: 1.34)",
            ),
            (
                Releases { max: "1.34.6".parse().ok(), ..all },
                None,
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (setting max-version: 1.34.6)",
                " | 1.35.1 is there, and passed over (setting max-version: 1.34.6)",
            ),
            (
                Releases { patch_age: days("3d"), minor_age: days("21d"), ..all },
                None,
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (setting patch-min-age: 3d, so from 2026-11-25 12:00 UTC)",
                "1.35.0 | 1.35.1 is there, and passed over (setting minor-min-age: 21d, so from 2026-12-13 12:00 UTC)",
            ),
            (
                Releases { patch_age: days("22d"), ..all },
                None,
                "1.34.1 1.34.2 | 1.34.7 is there, and passed over (setting patch-min-age: 22d, so from 2026-12-14 12:00 UTC)",
                "1.35.0 1.35.1 | ",
            ),
        ] {
            let found = (of(&wanted, approved, current), of(&wanted, approved, next));
            assert_eq!((found.0.as_str(), found.1.as_str()), (kept, next_kept), "{wanted:?}");
        }
        // What is not known stays so.
        let known = Known { approved: None, seen: &Seen::default(), now: Timestamp::UNIX_EPOCH };
        for index in [Answer::Unknown("away".to_owned()), Answer::Known(Err(Absent("403".to_owned())))] {
            assert_eq!(Releases { lag: 1, ..all }.of(index.clone(), "1.34.2".parse().unwrap(), &known), (index, None));
        }
    }
}

//! Which of the releases that there are the settings want detection to go to. What a person names by hand is not asked here.

use super::detect::Index;
use crate::plan::model::answer::Answer;
use crate::plan::model::policy::{Pace, Releases};
use crate::plan::model::version::{UpgradeKind, Version};

impl Releases {
    /// Why detection passes over a release that is newer than what runs; None: it is wanted. `newer`: how many later patches there are.
    fn passed_over(&self, running: Version, release: Version, newer: usize) -> Option<String> {
        let kind = UpgradeKind::between(running, release);
        let pace = match kind {
            UpgradeKind::Patch => self.patch,
            UpgradeKind::Minor => self.minor,
        };
        match (self.max.filter(|max| !max.allows(release)), pace) {
            (_, Pace::Off) => Some(format!("setting {kind}: off")),
            (Some(max), Pace::Auto) => Some(format!("setting max-version: {max}")),
            (None, Pace::Auto) => (newer < usize::from(self.lag)).then(|| format!("setting lag: {}", self.lag)),
        }
    }

    /// What of an index is wanted, and of the newest that is not, why. What runs, and what is older, stays: by it an index is known to be whole.
    pub fn of(&self, index: Index, running: Version) -> (Index, Option<String>) {
        let Answer::Known(Ok(mut releases)) = index else { return (index, None) };
        releases.sort_unstable();
        let all = releases.clone();
        let newer =
            |release: Version| all.iter().filter(|other| **other > release && other.minors_above(release) == Some(0)).count();
        let objection = |release: Version| self.passed_over(running, release, newer(release)).filter(|_| release > running);
        releases.retain(|release| objection(*release).is_none());
        let newest = all.last().and_then(|newest| Some(format!("{newest} is there, and passed over ({})", objection(*newest)?)));
        (Answer::Known(Ok(releases)), newest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::plan::decide::detect::Absent;

    fn of(wanted: &Releases, index: &str) -> String {
        let releases = index.split(' ').map(|release| release.parse().unwrap()).collect();
        let (Answer::Known(Ok(found)), why) = wanted.of(Answer::Known(Ok(releases)), "1.34.2".parse().unwrap()) else { panic!() };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        format!("{} | {}", found.join(" "), why.unwrap_or_default())
    }

    #[test]
    fn what_is_wanted_of_an_index() {
        let all = Releases::default();
        let (current, next) = ("1.34.7 1.34.1 1.34.2 1.34.6", "1.35.0 1.35.1");
        for (wanted, kept, next_kept) in [
            (all, "1.34.1 1.34.2 1.34.6 1.34.7 | ", "1.35.0 1.35.1 | "),
            (
                Releases { patch: Pace::Off, ..all },
                "1.34.1 1.34.2 | 1.34.7 is there, and passed over (setting patch: off)",
                "1.35.0 1.35.1 | ",
            ),
            (
                Releases { minor: Pace::Off, ..all },
                "1.34.1 1.34.2 1.34.6 1.34.7 | ",
                " | 1.35.1 is there, and passed over (setting minor: off)",
            ),
            (
                Releases { lag: 1, ..all },
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (setting lag: 1)",
                "1.35.0 | 1.35.1 is there, and passed over (setting lag: 1)",
            ),
            // What runs stays, however far behind it is to be.
            (
                Releases { lag: 9, ..all },
                "1.34.1 1.34.2 | 1.34.7 is there, and passed over (setting lag: 9)",
                " | 1.35.1 is there, and passed over (setting lag: 9)",
            ),
            (
                Releases { max: "1.34".parse().ok(), ..all },
                "1.34.1 1.34.2 1.34.6 1.34.7 | ",
                " | 1.35.1 is there, and passed over (setting max-version: 1.34)",
            ),
            (
                Releases { max: "1.34.6".parse().ok(), ..all },
                "1.34.1 1.34.2 1.34.6 | 1.34.7 is there, and passed over (setting max-version: 1.34.6)",
                " | 1.35.1 is there, and passed over (setting max-version: 1.34.6)",
            ),
        ] {
            assert_eq!((of(&wanted, current).as_str(), of(&wanted, next).as_str()), (kept, next_kept), "{wanted:?}");
        }
        // What is not known stays so.
        for index in [Answer::Unknown("away".to_owned()), Answer::Known(Err(Absent("403".to_owned())))] {
            assert_eq!(Releases { lag: 1, ..all }.of(index.clone(), "1.34.2".parse().unwrap()), (index, None));
        }
    }
}

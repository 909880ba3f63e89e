//! A person's word that a run to one release may begin, as an annotation of our namespace carries it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::span::stamp;
use super::version::Version;
use crate::words::{RunId, line};

/// `1.36.3 5f3a21bc 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z ann-0badcafe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// That one, and no newer.
    pub release: Version,
    /// The id that its run has: so its tries are told from those of another.
    pub run: RunId,
    pub at: Timestamp,
    /// From then on it holds no more.
    pub until: Timestamp,
    /// Who has said so.
    pub by: String,
}

impl Approved {
    /// A run may still begin by it.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// For people.
    pub fn words(&self) -> String {
        let Approved { release, at, until, by, .. } = self;
        let time = |at: &Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        format!("{release} by {by} at {}, until {}", time(at), time(until))
    }
}

impl fmt::Display for Approved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {}", self.release, self.run, stamp(self.at), stamp(self.until), self.by)
    }
}

impl FromStr for Approved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let [release, run, at, until, by] = text.splitn(5, ' ').collect::<Vec<_>>().try_into().ok()?;
            let (release, run) = (release.parse().ok()?, run.parse().ok()?);
            Some(Approved { release, run, at: at.parse().ok()?, until: until.parse().ok()?, by: by.to_owned() })
        };
        let read = read().filter(|read| !read.run.is_by_hand() && read.to_string() == text && line(&read.by) == read.by);
        read.ok_or_else(|| format!("{text:?} is no approval, which is a release, a run id, two times and who gave it"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let text = "1.36.3 5f3a21bc 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z ann of the night shift";
        let read: Approved = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert!(read.holds("2026-12-14T09:59:59Z".parse().unwrap()) && !read.holds(read.until));
        for other in [
            "",
            "true",
            "1.36.3",
            "1.36 5f3a21bc 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z ann",
            "1.36.3 by-hand 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z ann",
            "1.36.3 5f3a21bc 2026-11-30T10:00:00Z for-ever ann",
            "1.36.3 5f3a21bc 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z",
        ] {
            assert!(other.parse::<Approved>().is_err(), "{other:?}");
        }
    }
}

//! Kubernetes release versions: `X.Y.Z`, as the kubelet and the images name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::{as_text, texts};

/// A release of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// For constants; text is parsed.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Version { major, minor, patch }
    }

    /// `1.36`, as the package repositories name a minor version.
    pub fn series(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// `1-36-3`, as Job names carry it.
    pub fn dashed(self) -> String {
        format!("{}-{}-{}", self.major, self.minor, self.patch)
    }

    /// How many minor versions `self` lies above `older`; None across major versions.
    pub fn minors_above(self, older: Version) -> Option<i64> {
        (self.major == older.major).then(|| i64::from(self.minor) - i64::from(older.minor))
    }
}

/// What an upgrade crosses: repositories change with the minor version, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpgradeKind {
    Patch,
    Minor,
}

impl UpgradeKind {
    /// What lies between two releases.
    pub fn between(running: Version, target: Version) -> Self {
        if (running.major, running.minor) == (target.major, target.minor) { UpgradeKind::Patch } else { UpgradeKind::Minor }
    }

    /// The value of the metric's label `kind`.
    pub fn word(self) -> &'static str {
        match self {
            UpgradeKind::Patch => "patch",
            UpgradeKind::Minor => "minor",
        }
    }
}

as_text!(Version);
texts!(none: Version, UpgradeKind);

impl fmt::Display for UpgradeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// For people: `1.36.3`, or that nobody knows.
pub fn or_unknown(version: Option<Version>) -> String {
    version.map_or("of an unknown version".to_owned(), |version| version.to_string())
}

/// A text that is no release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Kubernetes release: X.Y.Z is wanted, for example 1.36.3")]
pub struct NotAVersion(pub String);

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads `1.36.3` and `v1.36.3`; pre-releases and build suffixes are no releases.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let bad = || NotAVersion(text.to_owned());
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(|part| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse::<u32>().ok()).flatten()
        });
        let mut number = || numbers.next().flatten().ok_or_else(bad);
        let version = Version::new(number()?, number()?, number()?);
        if numbers.next().is_some() { Err(bad()) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn releases_are_read_and_everything_else_is_refused() {
        for (text, version) in [("1.36.3", (1, 36, 3)), ("v1.36.0", (1, 36, 0)), ("10.0.12", (10, 0, 12))] {
            assert_eq!(text.parse(), Ok(Version::new(version.0, version.1, version.2)), "{text}");
        }
        for text in [
            "",
            "v",
            "1.36",
            "1.36.3.1",
            "1.36.3-rc.1",
            "1.36.3+k3s1",
            "1.036.3",
            "1..3",
            "vv1.36.3",
            " 1.36.3",
            "1.36.-3",
            "1.36.99999999999",
        ] {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert!(Version::new(1, 9, 9) < Version::new(1, 10, 0));
        assert!(Version::new(1, 36, 9) < Version::new(1, 36, 10));
        assert_eq!(Version::new(1, 36, 0).minors_above(Version::new(1, 34, 9)), Some(2));
        assert_eq!(Version::new(2, 0, 0).minors_above(Version::new(1, 36, 0)), None);
    }

    #[test]
    fn a_patch_stays_in_its_series() {
        assert_eq!(UpgradeKind::between(Version::new(1, 35, 4), Version::new(1, 35, 9)), UpgradeKind::Patch);
        assert_eq!(UpgradeKind::between(Version::new(1, 35, 4), Version::new(1, 36, 0)), UpgradeKind::Minor);
        assert_eq!(Version::new(1, 36, 3).series(), "1.36");
        assert_eq!(Version::new(1, 36, 3).dashed(), "1-36-3");
    }
}

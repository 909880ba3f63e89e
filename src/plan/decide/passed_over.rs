//! A newer release that detection does not go to, and why.

use std::fmt;

use jiff::Timestamp;

use crate::plan::model::policy::{Ceiling, Days};
use crate::plan::model::version::{UpgradeKind, Version};

/// A newer release that detection does not go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub release: Version,
    pub why: Objection,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is there, and passed over ({})", self.release, self.why)
    }
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    Off(UpgradeKind),
    Max(Ceiling),
    Lag(u16),
    /// Detection has not known it for long enough; from when on it has.
    Young(UpgradeKind, Days, Timestamp),
    /// A person has approved this one, which is older.
    Approved(Version),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Off(kind) => write!(f, "setting {kind}: off"),
            Objection::Max(max) => write!(f, "setting max-version: {max}"),
            Objection::Lag(lag) => write!(f, "setting lag: {lag}"),
            Objection::Young(kind, age, from) => {
                write!(f, "setting {kind}-min-age: {age}, so from {}", from.strftime("%Y-%m-%d %H:%M UTC"))
            }
            Objection::Approved(approved) => write!(f, "{approved} is approved, and comes first"),
        }
    }
}

impl Objection {
    /// People are told of it who look at no log. To lag is meant to be so always, and of an approval they know.
    pub fn is_told(&self) -> bool {
        !matches!(self, Objection::Lag(_) | Objection::Approved(_))
    }
}

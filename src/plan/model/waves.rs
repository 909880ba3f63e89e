//! How many workers may be out of service at the same time, as the settings want it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::optional as span;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::calendar::Window;
use crate::words::Label;

/// No more workers than this are upgraded at the same time, whatever the settings allow: each has a Job with a pod on the runner, which runs 110
/// pods at most (<https://kubernetes.io/docs/setup/best-practices/cluster-large/>).
pub const MOST: usize = 50;

/// Workers at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Waves {
    /// Of all workers; None: one after the other, and what others have taken out of service does not count.
    pub max_unavailable: Option<Share>,
    /// So many workers are upgraded alone, each with its whole soak, before others go beside each other.
    pub canary: u16,
    pub ramp_up: RampUp,
    pub zones: Zones,
    /// So many workers may be away, for whatever reason, and a run goes on.
    pub max_not_ready: Share,
    /// By their names, in the order in which their workers have their turns.
    pub pools: Vec<(String, Pool)>,
}

/// Workers with rules of their own, beside those of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, expecting = "a map with a selector, in a file of settings")]
pub struct Pool {
    /// Labels of its nodes, all of them.
    pub selector: Vec<Label>,
    /// Pools of a lower one have their turns before; workers of no pool are of 0, and come after pools of 0.
    #[serde(default)]
    pub order: i16,
    /// Of its own workers.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Share>,
    /// So many of its own are upgraded alone.
    #[serde(default)]
    pub canary: u16,
    /// In the place of that of all.
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    pub soak: Option<Duration>,
    /// In the place of those of all; freezes are everybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

impl Pool {
    /// A node with these labels is in it.
    pub fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        let bears = |label: &Label| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            labels.get(key).is_some_and(|own| own == value)
        };
        !self.selector.is_empty() && self.selector.iter().all(bears)
    }

    /// What is wrong with it, though it can be read.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Pool { selector, .. } if selector.is_empty() => {
                Some("it has no selector: labels are wanted, for example [hardware=gpu]")
            }
            Pool { soak: Some(soak), .. } if *soak > LONGEST_SOAK => Some("its soak does not lie between 0s and 24h"),
            _ => None,
        }
    }
}

/// The cluster stays between two versions for the sum of it over all nodes.
const LONGEST_SOAK: Duration = Duration::from_secs(24 * 3600);

impl Waves {
    /// As the runbook has it.
    pub const ONE_BY_ONE: Waves = Waves {
        max_unavailable: None,
        canary: 0,
        ramp_up: RampUp::Off,
        zones: Zones::Any,
        max_not_ready: Share::Count(0),
        pools: Vec::new(),
    };

    /// Several workers may be upgraded at the same time, or what others have taken out of service counts.
    pub fn on(&self) -> bool {
        self.max_unavailable.is_some()
    }

    /// The rules of the pool of this name.
    pub fn pool(&self, name: Option<&str>) -> Option<&Pool> {
        let name = name?;
        self.pools.iter().find(|(pool, _)| pool == name).map(|(_, pool)| pool)
    }
}

/// What becomes of an old worker that joins while a run is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LateJoiners {
    /// It is upgraded by the run, once.
    #[default]
    Upgrade,
    /// It is told, and left to the next run.
    Report,
}

/// How fast a run widens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RampUp {
    /// As many as may be, from the beginning.
    #[default]
    Off,
    /// One, then two, then four, and so on.
    Exponential,
}

/// Where workers are that are upgraded at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zones {
    /// Anywhere.
    #[default]
    Any,
    /// All in one zone, by their label `topology.kubernetes.io/zone`.
    OneAtATime,
}

/// A number of nodes, or a part of all: `3`, `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Share {
    Count(u16),
    Percent(u8),
}

impl Default for Share {
    fn default() -> Self {
        Share::Count(0)
    }
}

impl Share {
    /// Of so many. Rounded down, as a Deployment's maxUnavailable is.
    pub fn of(self, total: usize) -> usize {
        match self {
            Share::Count(count) => usize::from(count),
            Share::Percent(percent) => total * usize::from(percent) / 100,
        }
    }

    /// One that lets something happen.
    ///
    /// # Errors
    /// It is nothing, of however many.
    pub fn at_least_one(self) -> Result<Self, String> {
        match self {
            Share::Count(0) | Share::Percent(0) => {
                Err(format!("with {self} no worker would ever be upgraded: 1 or more is wanted, for example 3 or 10%"))
            }
            share => Ok(share),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Share::Percent),
            None => text.parse().ok().map(Share::Count),
        };
        let share = share.filter(|share| share.to_string() == text);
        share.ok_or_else(|| format!("{text:?} is no number of nodes: a number or a percentage is wanted, for example 3 or 10%"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Count(count) => write!(f, "{count}"),
            Share::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

crate::words::as_text!(Share);

/// YAML has `3` for a number and `10%` for a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of nodes or a percentage is wanted, for example 3 or 10%")]
enum Given {
    Number(serde_json::Number),
    Text(String),
}

/// What was given, as text.
pub fn share_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Given::deserialize(deserializer)? {
        Given::Number(number) => number.to_string(),
        Given::Text(text) => text,
    })
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Share>, D::Error> {
    Share::deserialize(deserializer)?.at_least_one().map(Some).map_err(de::Error::custom)
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        share_text(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_share_is_a_number_or_a_percentage_and_rounds_down() {
        let of = |text: &str, total| text.parse::<Share>().unwrap().of(total);
        assert_eq!((of("3", 100), of("10%", 100), of("10%", 19), of("100%", 7), of("0", 5)), (3, 10, 1, 7, 0));
        for other in ["", "-1", "3.5", "110%", "ten", "03", "+3", "3 %", "70000"] {
            assert!(other.parse::<Share>().is_err(), "{other:?}");
        }
    }
}

//! Hooks: Jobs out of other people's CronJobs, run before a node is taken out of service and once it is back.

use std::fmt;
use std::str::FromStr;

use crate::words::RunId;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Before,
    After,
}

impl Hook {
    /// In the order of a node's turn.
    pub const ALL: [Hook; 2] = [Hook::Before, Hook::After];

    /// In names of Jobs, and for people.
    pub fn word(self) -> &'static str {
        match self {
            Hook::Before => "before",
            Hook::After => "after",
        }
    }

    /// The setting that names its CronJob.
    pub fn setting(self) -> &'static str {
        match self {
            Hook::Before => "hook-before-node",
            Hook::After => "hook-after-node",
        }
    }
}

/// Namespaces and names of the CronJobs whose templates are run; none unless the settings name one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks<'a> {
    pub before: Option<(&'a str, &'a str)>,
    pub after: Option<(&'a str, &'a str)>,
}

impl<'a> Hooks<'a> {
    /// That one's CronJob.
    pub fn of(self, hook: Hook) -> Option<(&'a str, &'a str)> {
        match hook {
            Hook::Before => self.before,
            Hook::After => self.after,
        }
    }

    /// Those that there are.
    pub fn there(self) -> impl Iterator<Item = (Hook, (&'a str, &'a str))> {
        Hook::ALL.into_iter().filter_map(move |hook| Some((hook, self.of(hook)?)))
    }

    /// There is none.
    pub fn is_empty(self) -> bool {
        self == Hooks::default()
    }
}

/// One try to upgrade a node, as the node's annotation carries it while its hooks have not all done their work: `5f3a21bc after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Of this turn alone; in the names of its Jobs.
    pub id: RunId,
    /// There is a hook after it, which is owed: whoever ends the turn must know one.
    pub after: bool,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, if self.after { " after" } else { "" })
    }
}

impl FromStr for Turn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, after) = text.strip_suffix(" after").map_or((text, false), |id| (id, true));
        let id: Option<RunId> = id.parse().ok().filter(|id: &RunId| !id.is_by_hand());
        id.map(|id| Turn { id, after })
            .ok_or_else(|| format!("{text:?} is no turn of a node, which is an id, and perhaps the word after"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_reads_back() {
        for text in ["5f3a21bc", "5f3a21bc after"] {
            assert_eq!(text.parse::<Turn>().map(|turn| turn.to_string()).as_deref(), Ok(text));
        }
        for other in ["", "after", " after", "by-hand", "by-hand after", "5f3a21bc  after", "5f3a21bc after ", "5f3a21bc before"]
        {
            assert!(other.parse::<Turn>().is_err(), "{other:?}");
        }
    }
}

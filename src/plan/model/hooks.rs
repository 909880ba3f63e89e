//! Hooks: Jobs out of other people's CronJobs, run before a node is taken out of service and once it is back.

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

//! `check`.

use serde::Serialize;

use super::document::Document;
use crate::plan::view::check::{self, Standing, count};

/// All that an installation and an upgrade need.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check<'a> {
    /// The cluster's name, by the settings.
    pub cluster: &'a str,
    /// Nothing is in the way of an upgrade.
    pub ready: bool,
    /// The sections, always all of them and in this order.
    pub sections: Vec<Section<'a>>,
}

/// What is looked at together.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Section<'a> {
    /// What it looks at, in a word.
    pub name: &'a str,
    /// What was found of each, always in this order.
    pub findings: Vec<Finding<'a>>,
}

/// One thing that is needed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding<'a> {
    /// `good`; `mind`: nothing is in the way, but somebody should know, or time mends it; `bad`: an upgrade would not begin or not end.
    pub standing: &'static str,
    /// What was found, in words for people.
    pub says: &'a str,
    /// More of it.
    pub detail: &'a [String],
    /// What to type about it, if there is anything.
    pub command: Option<&'a str>,
}

impl<'a> Check<'a> {
    /// Of all sections.
    pub fn of(sections: &'a [check::Section], cluster: &'a str) -> Self {
        let finding = |found: &'a check::Finding| Finding {
            standing: match found.standing {
                Standing::Good => "good",
                Standing::Mind => "mind",
                Standing::Bad => "bad",
            },
            says: &found.says,
            detail: &found.detail,
            command: found.command.as_deref(),
        };
        let section = |it: &'a check::Section| Section { name: it.name, findings: it.findings.iter().map(finding).collect() };
        Check { cluster, ready: count(sections, Standing::Bad) == 0, sections: sections.iter().map(section).collect() }
    }
}

impl Document for Check<'_> {
    const NAME: &'static str = "check";
}

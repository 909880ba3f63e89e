//! `status --health`.

use serde::Serialize;

use super::document::Document;
use crate::plan::view::health;

/// Whether the installation would do its work.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Health<'a> {
    /// The cluster's name, by the settings.
    pub cluster: &'a str,
    /// All checks are ok.
    pub healthy: bool,
    /// The checks, always all of them and in this order.
    pub checks: Vec<Check<'a>>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check<'a> {
    /// What it looks at, in a word.
    pub name: &'a str,
    /// Whether that is as it should be; what is not known is not.
    pub ok: bool,
    /// What it found, in words for people.
    pub says: &'a str,
    /// What to type about it, if there is anything.
    pub command: Option<&'a str>,
}

impl<'a> Health<'a> {
    /// Of all checks.
    pub fn of(checks: &'a [health::Check], cluster: &'a str) -> Self {
        let check = |health::Check { name, ok, says, command }: &'a health::Check| Check {
            name,
            ok: *ok,
            says,
            command: command.as_deref(),
        };
        Health { cluster, healthy: checks.iter().all(|check| check.ok), checks: checks.iter().map(check).collect() }
    }
}

impl Document for Health<'_> {
    const NAME: &'static str = "status-health";
}

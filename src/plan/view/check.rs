//! What an installation and an upgrade need, in sections: what `check` shows, before and after installing.

use crate::failure::{Cause, Class};
use crate::plan::view::health;
use crate::words::texts;

/// How it is with one thing that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Nothing is amiss, but somebody should know; or time mends it.
    Mind,
    /// A run would not begin, or would not come to its end.
    Bad,
}

/// One thing that is needed, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub standing: Standing,
    pub says: String,
    /// More of it, a line each.
    pub detail: Vec<String>,
    /// What to type about it.
    pub command: Option<String>,
}

texts!(none: Standing);
texts!(Finding { standing, says, detail, command });

impl Finding {
    /// As it should be.
    pub fn good(says: impl Into<String>) -> Self {
        Finding { standing: Standing::Good, says: says.into(), detail: Vec::new(), command: None }
    }

    /// To be known, with what to type.
    pub fn mind(says: impl Into<String>, command: impl Into<String>) -> Self {
        Finding { standing: Standing::Mind, says: says.into(), detail: Vec::new(), command: Some(command.into()) }
    }

    /// What was asked: `good` is what an answer without complaint means. What only time mends is no mistake of anybody.
    pub fn of(good: impl Into<String>, answer: Result<(), Cause>) -> Self {
        let Err(cause) = answer else { return Finding::good(good) };
        let standing = if cause.class == Class::Hold { Standing::Mind } else { Standing::Bad };
        let command = cause.next.first().map(ToString::to_string);
        Finding { standing, says: cause.what, detail: cause.detail, command }
    }

    /// The same, for what a person may go without.
    pub fn minded(self) -> Self {
        let standing = if self.standing == Standing::Bad { Standing::Mind } else { self.standing };
        Finding { standing, ..self }
    }
}

impl From<health::Check> for Finding {
    fn from(check: health::Check) -> Self {
        let standing = if check.ok { Standing::Good } else { Standing::Bad };
        Finding { standing, says: format!("{}: {}", check.name, check.says), detail: Vec::new(), command: check.command }
    }
}

/// What is looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: &'static str,
    pub findings: Vec<Finding>,
}

texts!(Section { name, findings });

/// How many findings stand so.
pub fn count(sections: &[Section], standing: Standing) -> usize {
    sections.iter().flat_map(|section| &section.findings).filter(|finding| finding.standing == standing).count()
}

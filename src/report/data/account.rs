//! What a command that acts prints at its end.

use serde::Serialize;

use super::document::Document;
use super::failure::Failure;
use crate::failure::{self, Outcome};

/// How a command may end other than by a failure; that has the word of its class.
pub(super) const ENDED_WELL: [&str; 3] = ["done", "nothing", "deferred"];

/// What a command found and did, and what to type next. It is printed also where the command fails.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Account<'a> {
    /// The command as it was typed.
    pub command: &'a str,
    /// How it ended: done, nothing to do, deferred until time opens a gate, or the class of its failure.
    #[cfg_attr(test, schemars(with = "super::schema_tests::OutcomeWord"))]
    pub outcome: &'static str,
    /// Id of the run that it is about.
    pub run: Option<String>,
    /// The release that it goes to.
    pub target: Option<String>,
    /// The node that it is about.
    pub node: Option<String>,
    /// What it found.
    pub found: Vec<Line>,
    /// What it did, in this order.
    pub done: Vec<Line>,
    /// What is worth knowing beside that.
    pub notes: Vec<Line>,
    /// What somebody should look at.
    pub warnings: Vec<Line>,
    /// Commands for a person to type next; those of the failure come last.
    pub next: Vec<String>,
    /// Why it failed; null where it did not.
    pub failure: Option<Failure<'a>>,
}

/// One thing that was found or done.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Node, phase or command; empty for the run as a whole.
    pub place: String,
    /// A sentence for people; of an action its name.
    pub what: String,
    /// How long an action took; missing elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Document for Account<'_> {
    const NAME: &'static str = "account";
}

/// How a command ended, in a word.
pub fn outcome(result: &Result<Outcome, failure::Failure>) -> &'static str {
    let [done, nothing, deferred] = ENDED_WELL;
    match result {
        Ok(Outcome::Done) => done,
        Ok(Outcome::Nothing) => nothing,
        Ok(Outcome::Deferred) => deferred,
        Err(failure) => failure.class().word(),
    }
}

//! A failure, in whichever document it stands.

use serde::Serialize;

use crate::failure;

/// A failure: what failed where, what state that leaves, what to type next.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    /// How the command ended, in a word.
    #[cfg_attr(test, schemars(with = "super::schema_tests::ClassWord"))]
    pub class: &'static str,
    /// The exit code of this class.
    pub exit_code: u8,
    /// Node, phase or command; empty for the run as a whole.
    pub place: &'a str,
    /// What failed, in one sentence for people.
    pub what: &'a str,
    /// More lines of it, such as what a program on a node printed.
    pub detail: &'a [String],
    /// What state that leaves; empty where nothing was begun that it could be said of.
    pub state: &'a str,
    /// Commands for a person to type next.
    pub next: Vec<&'a str>,
}

impl<'a> Failure<'a> {
    /// With its three parts.
    pub fn of(failure: &'a failure::Failure) -> Self {
        Failure {
            class: failure.class().word(),
            exit_code: failure.class().code(),
            place: &failure.place,
            what: &failure.cause.what,
            detail: &failure.cause.detail,
            state: &failure.state,
            next: failure.advice().map(|advice| advice.command.as_str()).collect(),
        }
    }
}

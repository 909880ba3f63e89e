//! A line of `--log-format json`.

use jiff::Timestamp;
use serde::Serialize;

use super::document::Document;
use super::failure::Failure;
use crate::plan::model::progress;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// When, in UTC.
    pub time: Timestamp,
    /// Node, phase or command; empty for the run as a whole.
    pub place: &'a str,
    /// What kind of event it is.
    pub event: EventKind,
    /// What happened, for people: a sentence, of failed with more lines.
    pub text: String,
    /// Of failed: the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure<'a>>,
    /// Of step-done and phase-done: how long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Of waiting: what is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Awaited<'a>>,
    /// Of waiting: how much longer it is waited at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Of gate: its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<&'a str>,
    /// Of gate: pass, hold, refused, pinned, unknown or not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// Of draining: pods that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// Of draining: pods that there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Of draining: the pods that are held, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<&'a [String]>,
}

/// What is waited for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Awaited<'a> {
    /// It stays the same as long as the wait lasts.
    pub on: &'a str,
    /// What of it is still missing; empty where that goes without saying.
    pub missing: &'a str,
    /// It is the watch over health after a node; what is missing then is what looks bad.
    pub soak: bool,
    /// The id of the gate that is closed, where it is one gate alone; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<&'a str>,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    PhaseStarted,
    PhaseDone,
    StepStarted,
    StepDone,
    StepSkipped,
    Waiting,
    Draining,
    Gate,
    Output,
    Note,
    Found,
    #[serde(rename = "done")]
    Did,
    Next,
    Warning,
    RunBegun,
    Snapshot,
    OutOfService,
    InService,
    RunDone,
    Failed,
}

impl<'a> Awaited<'a> {
    /// The same as the record of what is being done has it.
    pub fn of(awaited: &'a progress::Awaited) -> Self {
        Awaited { on: &awaited.on, missing: &awaited.missing, soak: awaited.soak, gate: awaited.gate.as_deref() }
    }
}

impl Document for Event<'_> {
    const NAME: &'static str = "event";
}

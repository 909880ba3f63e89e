//! The phases of a run, and the Jobs that perform them.

pub mod approvals;
pub mod detect;
pub mod failures;
pub mod halting;
pub mod jobs;
pub mod local;
pub mod phases;
pub mod preflight;
pub mod remind;
pub mod rights;
pub mod snapshot;
pub mod tell;
pub mod webhooks;

//! `status --watch`: a line whenever something has changed.

use jiff::Timestamp;
use serde::Serialize;

use super::document::Document;
use super::status::Status;
use crate::plan::view::screen::{self, Screen};

/// As status, and beside it what of that is old.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LiveStatus<'a> {
    /// The same as of status.
    #[serde(flatten)]
    pub status: Status<'a>,
    /// What is old, for its watch broke.
    pub stale: Vec<Stale<'a>>,
}

/// What is old.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stale<'a> {
    /// Which kinds of objects.
    pub what: &'a [String],
    /// When they were seen last.
    pub since: Timestamp,
    /// Why they are not seen now, in words for people.
    pub why: &'a str,
}

impl<'a> LiveStatus<'a> {
    /// The screen at `now`, with what is old on it.
    pub fn of(screen: &'a Screen, stale: &'a [screen::Stale], now: Timestamp) -> Self {
        let stale = stale.iter().map(|stale| Stale { what: &stale.what, since: stale.since, why: &stale.why });
        LiveStatus { status: Status::of(screen, now), stale: stale.collect() }
    }
}

impl Document for LiveStatus<'_> {
    const NAME: &'static str = "status-watch";
}

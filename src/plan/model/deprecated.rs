//! Deprecated APIs that somebody has called, as an API server counts them.

use jiff::Timestamp;

use crate::words::{ApiResource, Keyword, Minor};

/// What an API server has counted since it started: it keeps nothing of the time before, and forgets nothing until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub since: Timestamp,
    pub calls: Vec<Call>,
    /// As far as it could be asked.
    pub writers: Vec<Writer>,
}

/// Who has written objects through an API, as the fields say that they manage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub api: ApiResource,
    /// What the writer calls itself: a program's name, as a rule.
    pub manager: String,
    /// How many objects, and one of them.
    pub objects: u64,
    pub one: String,
}

/// An API that was called, however often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub api: ApiResource,
    pub subresource: Option<Keyword>,
    /// The minor version that no longer serves it; None: nobody has said yet.
    pub removed: Option<Minor>,
}

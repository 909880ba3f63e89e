//! What a world begins as.

/// A cluster as it is before a run, in the terms that a person may share.
#[derive(Clone, Debug)]
pub struct Scenario {}

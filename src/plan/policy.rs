//! What is wanted: the settings that decisions depend on, and nothing else of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Name of the node that hosts the Jobs; else the first worker in natural order.
    pub runner: Option<String>,
    /// How long nodes must have been quiet (no Ready transition) before a run.
    pub quiet: Duration,
    /// Watch after a node before the next.
    pub soak: Duration,
    /// Ready pods over unfinished pods that postflight wants.
    pub ready_ratio: f64,
}

/// What a drain may do about a pod that its budget can never release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unstick {
    /// Delete it only where nothing is lost by it: one healthy pod of a ReplicaSet behind a budget of one.
    Structural,
    /// Delete whatever stays blocked, as the shell pipeline did.
    All,
    Never,
}

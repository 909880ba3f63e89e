//! `rotate-key`, dry and not.

use serde::Serialize;

use super::document::Document;

/// What a dry run of rotate-key has seen.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RotationForecast<'a> {
    /// The nodes that a rotation would change.
    pub nodes: Vec<NodeKeys<'a>>,
}

/// The authorized keys of a node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NodeKeys<'a> {
    /// The node.
    pub node: &'a str,
    /// How many keys open it.
    pub keys: u32,
    /// How many of them are marked as this program's.
    pub marked: u32,
}

/// What rotate-key has done.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RotationResult<'a> {
    /// The nodes that were to be changed, also where the rotation was cut short.
    pub nodes: Vec<NodeRotated<'a>>,
}

/// What became of a node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NodeRotated<'a> {
    /// The node.
    pub node: &'a str,
    /// The new key was added.
    pub added: bool,
    /// How many former keys were removed.
    pub removed: u32,
    /// How many keys open it now.
    pub keys: u32,
}

impl Document for RotationForecast<'_> {
    const NAME: &'static str = "rotate-key-dry-run";
}

impl Document for RotationResult<'_> {
    const NAME: &'static str = "rotate-key";
}

//! `drain --dry-run`.

use serde::Serialize;

use super::document::Document;

/// What a drain of the node would evict, by dry-run evictions.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DrainForecast<'a> {
    /// The node.
    pub node: &'a str,
    /// The pods that a drain evicts; those that it leaves are not among them.
    pub pods: Vec<PodForecast<'a>>,
}

/// A pod that a drain evicts.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodForecast<'a> {
    /// Namespace and name, with a slash between them.
    pub pod: &'a str,
    /// Why the API server would refuse its eviction now; null where it would not.
    pub held: Option<&'a str>,
    /// It can never go, and a drain deletes it once its eviction was refused for so long (setting `undrainable`); null where it does not.
    pub deleted_after_seconds: Option<u64>,
    /// What is lost with it, in words for people.
    pub loses: Vec<&'static str>,
}

impl Document for DrainForecast<'_> {
    const NAME: &'static str = "drain-dry-run";
}

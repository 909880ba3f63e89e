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
    /// It is replaced elsewhere before it goes, by a rollout restart of its Deployment (setting drain-surge).
    pub surge: bool,
    /// Why not, though the settings ask for that and it is its Deployment's only pod, in words for people; else null.
    pub no_surge: Option<&'a str>,
    /// Why the API server would refuse its eviction now; null where it would not.
    pub held: Option<&'a str>,
    /// A drain deletes it once its eviction was refused for so long (settings `drain-unstick` and `undrainable`); null where it does not.
    pub deleted_after_seconds: Option<u64>,
    /// Why a drain does not delete it, though a budget holds it, in words for people; else null.
    pub kept: Option<&'a str>,
    /// What is lost with it, in words for people.
    pub loses: Vec<&'static str>,
}

impl Document for DrainForecast<'_> {
    const NAME: &'static str = "drain-dry-run";
}

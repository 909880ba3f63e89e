//! `detect`.

use serde::Serialize;

use super::document::Document;
use crate::plan::decide::detect;
use crate::plan::model::version::Version;

/// Which newer releases there are, and where a run would go.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Detection<'a> {
    /// The release that the cluster runs; null where it shows none.
    pub running: Option<String>,
    /// By kind of release, each of which something is known; none where nobody has looked.
    pub available: Vec<Available>,
    /// The release to go to; null where there is none.
    pub target: Option<String>,
    /// The release to go to once a person has approved it, as `k8s-upgrade approve` does; then there is no target. Null where there is none.
    pub asks: Option<String>,
    /// Newer releases that the settings want detection not to go to, or not yet, and why.
    pub passed_over: Vec<String>,
    /// Why there might be a target after all: package indexes that did not answer.
    pub unknown: &'a [String],
    /// Why nothing may be started now, whatever there is; null where something may.
    pub deferred: Option<&'a str>,
}

/// The newest release of one kind.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Available {
    /// Whether it is a patch release or one of the next minor version.
    #[cfg_attr(test, schemars(extend("enum" = super::schema_tests::kinds())))]
    pub kind: &'static str,
    /// That release; null where there is none.
    pub target: Option<String>,
}

impl<'a> Detection<'a> {
    /// `found` is None where nobody has looked, for a run is in flight.
    pub fn of(running: Option<Version>, found: Option<&'a detect::Detection>, deferred: Option<&'a str>) -> Self {
        let word = |version: Option<Version>| version.map(|version| version.to_string());
        let one = |available: &detect::Available| Available { kind: available.kind.word(), target: word(available.target) };
        Detection {
            running: word(running),
            available: found.map_or(&[][..], |found| &found.available).iter().map(one).collect(),
            target: word(found.and_then(|found| found.target)),
            asks: word(found.and_then(|found| found.asks)),
            passed_over: found.map_or(&[][..], |found| &found.passed_over).iter().map(ToString::to_string).collect(),
            unknown: found.map_or(&[], |found| &found.unknown),
            deferred,
        }
    }
}

impl Document for Detection<'_> {
    const NAME: &'static str = "detect";
}

//! `adopt`.

use serde::Serialize;

use super::document::Document;
use crate::plan::view::adopt::{self, Chain};
use crate::plan::view::offer::Offer;

/// What a shell pipeline has left that ran under the same names, and how to come from it to this program.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Adoption<'a> {
    /// The cluster's name, by the settings.
    pub cluster: &'a str,
    /// The namespace that was looked at.
    pub namespace: &'a str,
    /// Something of such a pipeline is there.
    pub found: bool,
    /// `idle`: nothing of it works; `at-work`: Jobs of it do; `stranded`: a chain has begun and is not over, and no Job works; `ours`: a run of
    /// this program is in flight.
    pub chain: &'static str,
    /// Names of its Jobs that work.
    pub active: &'a [String],
    /// What was recognised.
    pub parts: Vec<Part<'a>>,
    /// Settings that it had otherwise than those in force, as its scripts say.
    pub settings: Vec<Setting<'a>>,
    /// What to do, in order; empty where there is nothing to take over, or where it is not at rest.
    pub steps: Vec<Step<'a>>,
}

/// Something that was recognised.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Part<'a> {
    /// `kept`: this program goes on with it; `replaced`: the manifests write theirs over it; `deleted`: nothing needs it any more; `unclear`: a
    /// person has to say.
    pub fate: &'static str,
    /// Of an object, as Kubernetes has it; else a word.
    pub kind: &'a str,
    /// Of an object that lies in one.
    pub namespace: Option<&'a str>,
    /// Of an object; of an annotation its key.
    pub name: &'a str,
    /// What it is, in words for people.
    pub says: &'a str,
    /// Terraform writes it, by its managed fields.
    pub terraform: bool,
    /// What to type about it, where the steps do not say so.
    pub command: Option<&'a str>,
}

/// A setting.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting<'a> {
    /// As settings files have it.
    pub key: &'a str,
    /// The likeliest value first.
    pub values: &'a [String],
    /// Where it comes from, in words for people.
    pub what: &'a str,
}

/// One thing to do.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step<'a> {
    /// What for, in words for people.
    pub what: &'a str,
    /// What to type for it.
    pub command: &'a str,
}

impl<'a> Adoption<'a> {
    /// Of what was found.
    pub fn of(found: &'a adopt::Adoption, namespace: &'a str, cluster: &'a str) -> Self {
        let (chain, active): (_, &[String]) = match &found.chain {
            Chain::Idle => ("idle", &[]),
            Chain::AtWork(jobs) => ("at-work", jobs),
            Chain::Stranded { .. } => ("stranded", &[]),
            Chain::Ours => ("ours", &[]),
        };
        let part = |adopt::Part { fate, kind, namespace, name, says, terraform, command }: &'a adopt::Part| Part {
            fate: fate.word(),
            kind,
            namespace: namespace.as_deref(),
            name,
            says,
            terraform: *terraform,
            command: command.as_deref(),
        };
        let setting = |Offer { key, what, values }: &'a Offer| Setting { key, values, what };
        let step = |adopt::Step { what, command }: &'a adopt::Step| Step { what, command };
        Adoption {
            cluster,
            namespace,
            found: found.found(),
            chain,
            active,
            parts: found.parts.iter().map(part).collect(),
            settings: found.settings.iter().map(setting).collect(),
            steps: found.steps.iter().map(step).collect(),
        }
    }
}

impl Document for Adoption<'_> {
    const NAME: &'static str = "adopt";
}

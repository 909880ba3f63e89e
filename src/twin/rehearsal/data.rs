//! How a rehearsal went, as data.

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::{Advice, Class};
use crate::plan::model::journal::Journal;
use crate::plan::view::timeline::Stretch;
use crate::report::data::Document;
use crate::words::texts;

/// The whole result; `rehearse -o json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rehearsed {
    /// The release before the rehearsed run.
    pub from: String,
    /// The release that it was to go to.
    pub target: String,
    /// The seed of this history: with the same one it is lived through again.
    pub seed: u64,
    /// When it began, by the time of the world in memory.
    pub began: Timestamp,
    /// When it ended, by the same time.
    pub ended: Timestamp,
    /// How long that was.
    pub seconds: u64,
    /// How it ended.
    pub end: End,
    /// What one would type on the real cluster, perhaps with a comment behind it.
    pub next: Vec<String>,
    /// The Jobs of the chain, a row for each try.
    pub jobs: Vec<Job>,
    /// The nodes, as the run left them.
    pub nodes: Vec<Node>,
    /// The sum over all nodes.
    pub out_of_service_seconds: u64,
    /// How long the API server was away or not ready.
    pub api_away_seconds: u64,
    /// What was told on the way that a person should know.
    pub remarks: Vec<Remark>,
    /// What was broken on purpose, and when.
    pub injected: Vec<Injected>,
    /// Injections that never came up, each with why.
    pub not_injected: Vec<String>,
    /// Every change of a gauge.
    pub gauges: Vec<Gauge>,
    /// Messages that Slack would have got.
    pub slack: Vec<Message>,
    /// What every such result rests on, a sentence each.
    pub assumptions: Vec<String>,
    /// What was asked of the world in memory that it cannot imitate: a result with such an entry proves nothing.
    pub unmodelled: Vec<String>,
    /// What a report is made of.
    #[serde(skip)]
    pub evidence: Evidence,
}

/// What the rehearsed run has written down of itself, and what was seen of it from outside.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// As the cluster in memory keeps them.
    pub journals: Vec<Journal>,
    /// Journals that cannot be read, a sentence each.
    pub unreadable: Vec<String>,
    /// The run stood still, and was not over.
    pub in_flight: bool,
    /// When the API server was away or not ready.
    pub api_away: Vec<Stretch>,
}

// A story and a picture of it make their texts fit by themselves.
texts!(none: Evidence);

/// How the chain ended.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The words done, partial (a node was left out) or nothing, or the class of its failure: hold, refused, failed and others.
    pub state: String,
    /// The exit code that belongs to it.
    pub exit_code: u8,
    /// Node or phase; empty where the command that starts it did not.
    pub place: String,
    /// Why it ended so, in one sentence for people.
    pub why: String,
    /// More lines of it.
    pub detail: Vec<String>,
    /// What state the run would leave behind, in a few sentences for people; empty where all is done.
    pub leaves: String,
    #[serde(skip)]
    pub class: Option<Class>,
    #[serde(skip)]
    pub advice: Vec<Advice>,
}

/// One try of a Job.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The node, or the phase.
    pub place: String,
    /// The name of its pod.
    pub pod: String,
    /// Where that ran.
    pub node: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it ran; null where it was killed.
    pub seconds: Option<u64>,
    /// How it ended; null where it was killed.
    pub exit_code: Option<u8>,
    /// What it did, action by action.
    pub steps: Vec<Done>,
}

/// What a try did.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The action's name.
    pub step: String,
    /// On how many nodes at the same time, or how often.
    pub times: usize,
    /// How long the longest of them took.
    pub seconds: u64,
}

/// A node, and what the run cost it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The version of its kubelet in the end.
    pub version: String,
    /// How long it took no new pods by our doing.
    pub out_of_service_seconds: u64,
    /// Evictions of its pods that were granted.
    pub evicted: u32,
    /// Evictions of its pods that were asked for in vain.
    pub refused: u32,
}

/// Something that was broken on purpose.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Injected {
    /// When it was done.
    pub at: Timestamp,
    /// The node or phase at whose step it was done.
    pub place: String,
    /// What was done, in one sentence for people.
    pub text: String,
    /// Why nothing came of it; null where something did.
    pub no_effect: Option<String>,
}

/// Something that was told.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// When it was told.
    pub at: Timestamp,
    /// Node or phase; empty for the run as a whole.
    pub place: String,
    /// What was told, in one sentence for people.
    pub text: String,
}

/// A change of a gauge.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Gauge {
    /// When it was pushed.
    pub at: Timestamp,
    /// The job of the Pushgateway.
    pub job: String,
    /// The gauge, with its labels.
    pub series: String,
    /// Its value from then on.
    pub value: f64,
}

/// A message to Slack.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// When it was sent.
    pub at: Timestamp,
    /// Its text, which may have several lines.
    pub text: String,
}

texts!(Rehearsed {
    from,
    target,
    seed,
    began,
    ended,
    seconds,
    end,
    next,
    jobs,
    nodes,
    out_of_service_seconds,
    api_away_seconds,
    remarks,
    injected,
    not_injected,
    gauges,
    slack,
    assumptions,
    unmodelled,
    evidence
});
texts!(End { state, exit_code, place, why, detail, leaves, class, advice });
texts!(Job { place, pod, node, began, seconds, exit_code, steps });
texts!(Done { step, times, seconds });
texts!(Node { name, version, out_of_service_seconds, evicted, refused });
texts!(Injected { at, place, text, no_effect });
texts!(Remark { at, place, text });
texts!(Gauge { at, job, series, value });
// Of several lines, which are told line by line.
texts!(none: Message);

impl Document for Rehearsed {
    const NAME: &'static str = "rehearse";
}

//! A run before it is begun, for people who decide whether to: its Jobs in their order, the gates as they stand, and what each node goes
//! through.

use serde::Serialize;

use super::estimate::{Times, Took};
use super::paused::Pauses;
use crate::failure::Cause;
use crate::plan::decide::gates::{Found, Gate};
use crate::plan::decide::planned::Planned;
use crate::plan::model::facts::Node;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::words::texts;

/// What `plan` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The cluster, as the settings name it.
    pub cluster: String,
    /// The release that runs; null where it is not to be seen.
    pub running: Option<String>,
    /// The release to go to.
    pub target: String,
    /// Patch or minor.
    pub kind: &'static str,
    /// Id of the run in flight, of which this is what is left; null where none is.
    pub run: Option<String>,
    /// The Jobs that the run creates, in their order.
    pub turns: Vec<Turn>,
    /// What a person has paused: the run waits for it at its end; absent where nothing is.
    #[serde(skip_serializing_if = "Pauses::is_empty")]
    pub paused: Pauses,
    /// How long all turns together take; null where nothing is known of one.
    pub seconds: Option<u64>,
    /// What the times rest on.
    pub times: Rests,
    /// The gates before a run, as they stand now; empty where they were asked before.
    pub gates: Vec<GateNow>,
    /// What each node goes through, in the order of the run.
    pub nodes: Vec<NodeAhead>,
    /// What cannot be said before the run has fetched the target's packages.
    pub open: Vec<String>,
}

/// One Job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Counts from 1: those of one wave are at work at the same time, and the next begins when they are done.
    pub wave: usize,
    /// Preflight, master, worker or postflight.
    pub phase: &'static str,
    /// The node that it upgrades; null for the phases at both ends.
    pub node: Option<String>,
    /// The Job's name.
    pub job: String,
    /// The node that it runs on; null where a control plane or the runner will do.
    pub runs_on: Option<String>,
    /// How long it takes; null where nothing is known.
    pub seconds: Option<u64>,
    /// How long its node is out of service; null where nothing is known, or it has none.
    pub out_of_service_seconds: Option<u64>,
    /// Which work takes how much of it.
    pub work: Vec<Work>,
}

/// A kind of work in a turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Work {
    /// In a word or three.
    pub what: &'static str,
    /// How long it takes.
    pub seconds: u64,
}

/// What times rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rests {
    /// On this cluster's earlier runs, by their journals.
    EarlierRuns,
    /// On a run in memory, of a small cluster.
    Rehearsal,
}

/// A gate, as it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateNow {
    /// Its id, as logs and gauges name it.
    pub gate: &'static str,
    /// Pass, hold, refused, pinned, unknown or not asked.
    pub verdict: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// Why it is closed, the reason first; empty where it is not.
    pub why: Vec<String>,
    /// How to go on where it is closed.
    pub next: Vec<String>,
}

/// What a node goes through.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeAhead {
    /// The node's name.
    pub node: String,
    /// Packages that are replaced, with what is installed now; empty where the node could not be asked.
    pub packages: Vec<Component>,
    /// Static pods that kubeadm replaces, with what runs now; empty on a worker.
    pub components: Vec<Component>,
    /// Pods that a drain moves; null where that could not be asked.
    pub pods: Option<usize>,
    /// Of these, those that are held now or are lost, each with its reason.
    pub drain: Vec<String>,
}

/// Something with a version.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Component {
    /// What it is called.
    pub name: String,
    /// The version that is there now; null where it is not to be seen.
    pub from: Option<String>,
    /// The one that it will have.
    pub to: String,
}

texts!(none: Rests);
texts!(Plan { cluster, running, target, kind, run, turns, paused, seconds, times, gates, nodes, open });
texts!(Turn { wave, phase, node, job, runs_on, seconds, out_of_service_seconds, work });
texts!(Work { what, seconds });
texts!(GateNow { gate, verdict, question, why, next });
texts!(NodeAhead { node, packages, components, pods, drain });
texts!(Component { name, from, to });

impl Plan {
    /// The gates that are closed.
    pub fn closed(&self) -> impl Iterator<Item = &GateNow> {
        self.gates.iter().filter(|gate| !gate.why.is_empty())
    }

    /// As people read it: `1.35.4 → 1.36.3 (minor)`.
    pub fn title(&self) -> String {
        let rest = self.run.as_ref().map_or(String::new(), |run| format!(", what is left of run {run}"));
        format!("{} → {} ({}){rest}", self.running.as_deref().unwrap_or("?"), self.target, self.kind)
    }
}

impl Turn {
    /// A Job with what its turn takes.
    pub fn of(planned: &Planned, wave: usize, times: &Times) -> Self {
        let place = planned.step.node.as_deref().unwrap_or(planned.step.phase.word());
        let took = times.of_turn(place, planned.step.phase);
        let work = |took: &Took| {
            let mut work: Vec<Work> =
                took.work.iter().map(|(kind, time)| Work { what: kind.word(), seconds: time.as_secs() }).collect();
            work.retain(|work| work.seconds > 0);
            work
        };
        Turn {
            wave,
            phase: planned.step.phase.word(),
            node: planned.step.node.clone(),
            job: planned.job.clone(),
            runs_on: planned.pin.clone(),
            seconds: took.map(|took| took.all.as_secs()),
            out_of_service_seconds: took.filter(|_| planned.step.node.is_some()).map(|took| took.out.as_secs()),
            work: took.map_or(Vec::new(), work),
        }
    }
}

impl GateNow {
    /// A gate with why it is closed.
    pub fn of(gate: Gate, found: Found, why: Option<&Cause>) -> Self {
        let row = gate.row();
        GateNow {
            gate: row.id,
            verdict: found.word(),
            question: row.question,
            why: why.into_iter().flat_map(|cause| std::iter::once(&cause.what).chain(&cause.detail)).cloned().collect(),
            next: why.into_iter().flat_map(|cause| &cause.next).map(|advice| advice.command.clone()).collect(),
        }
    }
}

impl NodeAhead {
    /// Static pods that are not at the target.
    pub fn components(node: &Node, target: Version) -> Vec<Component> {
        let old = node.components.iter().filter(|component| component.version.is_none_or(|version| version < target));
        let of = |component: &crate::plan::model::facts::Component| Component {
            name: component.name.clone(),
            from: component.version.map(|version| version.to_string()),
            to: target.to_string(),
        };
        old.map(of).collect()
    }
}

/// The word for how far a release is away.
pub fn kind(running: Option<Version>, target: Version) -> &'static str {
    UpgradeKind::between(running.unwrap_or(target), target).word()
}

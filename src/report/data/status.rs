//! `status`. Times are absolute.

use jiff::Timestamp;
use serde::Serialize;

use super::document::Document;
use super::hosts::Unit;
use crate::plan::model::answer::Answer;
use crate::plan::model::{lease, progress};
use crate::plan::rescue::hosts;
use crate::plan::view::paused::Pauses;
use crate::plan::view::screen::{self, Screen};

/// Where a run stands, what blocks it, and what to do next.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status<'a> {
    /// When this was true, in UTC as all times.
    pub now: Timestamp,
    /// The cluster's name, by the settings.
    pub cluster: &'a str,
    /// The release that the cluster runs; null where it shows none.
    pub running: Option<String>,
    /// The run in flight, if there is one.
    pub run: Option<Run<'a>>,
    /// Who halted upgrades, when and why; null where nobody did.
    pub halted: Option<&'a str>,
    /// What a person has paused, which has no turn; absent where nothing is.
    #[serde(skip_serializing_if = "Pauses::is_empty")]
    pub paused: &'a Pauses,
    /// What the settings switch off that would hold a run or tell of it.
    pub off: &'a [String],
    /// Steps that a person skipped by force, by whom and why.
    pub skipped: &'a [String],
    /// The release that waits for a person's approval; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// What a person has approved, who, and until when a run may begin by it; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<&'a str>,
    /// Why the run rests between two nodes, and until when; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests: Option<&'a str>,
    /// What is not done though nothing is at work; null where that is not so.
    pub stopped: Option<&'a str>,
    /// All nodes, in the order of their upgrade.
    pub nodes: Vec<Node<'a>>,
    /// The Jobs of the chain that are at work.
    pub work: Vec<Work<'a>>,
    /// Who works on which node, by Leases.
    pub leases: Vec<Lease<'a>>,
    /// Our unit on each node that is out of service by our doing.
    pub units: Vec<NodeUnit<'a>>,
    /// Whose process has the run, if no Job has it.
    pub driven_by: Option<Driver<'a>>,
    /// What holds the run.
    pub blocks: Vec<Block<'a>>,
    /// The last Job that failed, where nothing has followed it.
    pub failure: Option<FailedJob<'a>>,
    /// What will happen after that; null where nothing is to be said.
    pub then: Option<&'a str>,
    /// Commands for a person, with a word on each.
    pub commands: &'a [String],
    /// Whether a person may go.
    pub safe_to_walk_away: Safe<'a>,
}

/// The run in flight.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Run<'a> {
    /// Its id, under which report finds it.
    pub id: Option<&'a str>,
    /// The release that it goes to.
    pub target: Option<String>,
    /// When it was claimed.
    pub started: Option<Timestamp>,
    /// How far it is, in words for people.
    pub position: &'a str,
    /// When all nodes are done, estimated by what this run's own took so far; absent where that gives no reason for a guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_done_about: Option<Timestamp>,
    /// Where its etcd snapshot is; null until there is one.
    pub snapshot_path: Option<&'a str>,
    /// What its Jobs run to its end; null before the first.
    pub image: Option<&'a str>,
    /// What is installed by now, where that is another; null where it is not.
    pub installed_image: Option<&'a str>,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// Control plane or worker, and whether it is the runner.
    pub role: &'a str,
    /// The version of its kubelet.
    pub version: &'a str,
    /// Where it stands in the run, in words for people.
    pub state: &'a str,
    /// Since when that is so, where it is known.
    pub since: Option<Timestamp>,
    /// When a state that ends by itself ends.
    pub until: Option<Timestamp>,
}

/// A Job at work.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Work<'a> {
    /// Its phase, and for worker and master the node after a slash.
    pub step: &'a str,
    /// The Job's name.
    pub job: &'a str,
    /// Its pod; null where there is none yet.
    pub pod: Option<&'a str>,
    /// Where that pod runs.
    pub node: Option<&'a str>,
    /// The node that the Job must run on.
    pub pin: Option<&'a str>,
    /// When the Job was created.
    pub since: Option<Timestamp>,
    /// When Kubernetes ends it.
    pub deadline: Option<Timestamp>,
    /// The action that it performs.
    pub doing: Option<Span<'a>>,
    /// What it waits for.
    pub waits: Option<Wait>,
    /// How far a drain is.
    pub drain: Option<Drain<'a>>,
    /// Why it is not known what it does; null where it is.
    pub unknown: Option<&'a str>,
    /// The last line of its log.
    pub said: Option<&'a str>,
}

/// An action and its time.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Span<'a> {
    /// Its name.
    pub what: &'a str,
    /// When it began.
    pub since: Timestamp,
    /// Its deadline.
    pub until: Timestamp,
}

/// A wait and its time.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Wait {
    /// What is waited for, and what of it is missing, in words for people.
    pub what: String,
    /// When it began.
    pub since: Timestamp,
    /// Its deadline.
    pub until: Timestamp,
    /// It is the watch over health after a node.
    pub soak: bool,
    /// The id of the gate that is closed, where it is one gate alone; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
}

/// How far a drain is.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Drain<'a> {
    /// Pods that are left.
    pub left: usize,
    /// Pods that there were.
    pub total: usize,
    /// The pods that are held, and by what.
    pub held: Vec<Held<'a>>,
}

/// A pod that a drain cannot evict.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Held<'a> {
    /// Which one, and by what it is held.
    pub what: &'a str,
    /// Since when.
    pub since: Timestamp,
}

/// Who works on a node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lease<'a> {
    /// The node.
    pub node: &'a str,
    /// Who: a pod, or a person's process.
    pub holder: &'a str,
    /// When it was renewed last.
    pub renewed: Timestamp,
    /// Then the node is anybody's, unless it is renewed.
    pub until: Timestamp,
}

/// Our unit on a node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NodeUnit<'a> {
    /// The node.
    pub node: &'a str,
    /// Its long work; null where nothing is begun there, or where it is not known.
    pub unit: Option<Unit<'a>>,
    /// Why it is not known; null where it is.
    pub unknown: Option<&'a str>,
}

/// Whose process works by hand, without a Job.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Driver<'a> {
    /// Who on which machine, and what they typed.
    pub by: &'a str,
    /// Under what name it holds its Lease.
    pub holder: &'a str,
    /// When that was renewed last.
    pub renewed: Timestamp,
    /// Then it is taken for dead, unless it is renewed.
    pub until: Timestamp,
    /// The action that it performs.
    pub doing: Option<Span<'a>>,
    /// What it waits for.
    pub waits: Option<Wait>,
    /// How far a drain is.
    pub drain: Option<Drain<'a>>,
    /// Why it is not known what it does; null where it is.
    pub unknown: Option<&'a str>,
}

/// What holds the run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Block<'a> {
    /// In words for people.
    pub what: &'a str,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

/// A Job that failed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FailedJob<'a> {
    /// Its name.
    pub job: &'a str,
    /// When it failed.
    pub at: Option<Timestamp>,
    /// Why, as Kubernetes has it.
    pub reason: &'a str,
    /// The exit code of its last pod; null where that is not known.
    pub exit_code: Option<i32>,
    /// What failed, line by line.
    pub what: &'a [String],
    /// What state it left then.
    pub state: &'a str,
    /// Commands that it told a person to type.
    pub next: Vec<&'a str>,
}

/// Whether a person may go.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Safe<'a> {
    /// They may.
    pub safe: bool,
    /// Why, in words for people.
    pub why: &'a str,
}

impl<'a> Status<'a> {
    /// The screen at `now`.
    pub fn of(screen: &'a Screen, now: Timestamp) -> Self {
        Status {
            now,
            cluster: &screen.cluster,
            running: screen.running.map(|version| version.to_string()),
            run: screen.run.as_ref().map(|run| Run::of(run, screen.backup.as_deref())),
            halted: screen.halted.as_deref(),
            paused: &screen.paused,
            off: &screen.off,
            skipped: &screen.skipped,
            asks: screen.asks.map(|release| release.to_string()),
            approved: screen.approved.as_deref(),
            rests: screen.rests.as_deref(),
            stopped: screen.stopped.as_deref(),
            nodes: screen.rows.iter().map(Node::of).collect(),
            work: screen.work.iter().map(Work::of).collect(),
            leases: screen.leases.iter().map(Lease::of).collect(),
            units: screen.units.iter().map(NodeUnit::of).collect(),
            driven_by: screen.driver.as_ref().map(Driver::of),
            blocks: screen.blocks.iter().map(|(what, since)| Block { what, since: *since }).collect(),
            failure: screen.failure.as_ref().map(FailedJob::of),
            then: screen.then.as_deref(),
            commands: &screen.commands,
            safe_to_walk_away: Safe { safe: screen.safe.0, why: &screen.safe.1 },
        }
    }
}

impl<'a> Run<'a> {
    fn of(run: &'a screen::Run, snapshot_path: Option<&'a str>) -> Self {
        let screen::Run { id, target, started, position, left, image, installed } = run;
        let target = target.map(|version| version.to_string());
        let (image, installed_image) = (image.as_deref(), installed.as_deref());
        let nodes_done_about = left.map(|left| left.until);
        Run { id: id.as_deref(), target, started: *started, position, nodes_done_about, snapshot_path, image, installed_image }
    }
}

impl<'a> Node<'a> {
    fn of(row: &'a screen::Row) -> Self {
        let screen::Row { node, role, version, state, since, until, is_over: _ } = row;
        Node { name: node, role, version, state, since: *since, until: *until }
    }
}

/// The action, the wait and the drain of what is being done.
fn doing(doing: &progress::Doing) -> (Option<Span<'_>>, Option<Wait>, Option<Drain<'_>>) {
    let action = doing.step.as_ref().map(|step| Span { what: &step.what, since: step.since, until: step.until });
    let wait = doing.wait.as_ref().map(|wait| Wait {
        what: wait.on.to_string(),
        since: wait.since,
        until: wait.until,
        soak: wait.on.soak,
        gate: wait.on.gate.clone(),
    });
    let drain = doing.drain.as_ref().map(|drain| Drain {
        left: drain.left,
        total: drain.total,
        held: drain.held.iter().map(|(what, since)| Held { what, since: *since }).collect(),
    });
    (action, wait, drain)
}

impl<'a> Work<'a> {
    fn of(work: &'a screen::Work) -> Self {
        let (action, waits, drain) = doing(&work.doing);
        Work {
            step: &work.step,
            job: &work.job,
            pod: work.pod.as_deref(),
            node: work.node.as_deref(),
            pin: work.pin.as_deref(),
            since: work.created,
            deadline: work.deadline,
            doing: action,
            waits,
            drain,
            unknown: work.silent.as_deref(),
            said: work.doing.last.as_deref(),
        }
    }
}

impl<'a> Lease<'a> {
    fn of(lease: &'a lease::Lease) -> Self {
        let lease::Lease { node, holder, renewed, until } = lease;
        Lease { node, holder, renewed: *renewed, until: *until }
    }
}

impl<'a> NodeUnit<'a> {
    fn of((node, unit): &'a (String, Answer<hosts::Unit>)) -> Self {
        match unit {
            Answer::Known(unit) => NodeUnit { node, unit: Unit::of(unit), unknown: None },
            Answer::Unknown(why) => NodeUnit { node, unit: None, unknown: Some(why) },
        }
    }
}

impl<'a> Driver<'a> {
    fn of(driver: &'a lease::Driver) -> Self {
        let progress = driver.progress.as_ref();
        let known = progress.and_then(|progress| progress.as_ref().ok());
        let (action, waits, drain) = known.map(|progress| doing(&progress.doing)).unwrap_or_default();
        Driver {
            by: &driver.by,
            holder: &driver.holder,
            renewed: driver.renewed,
            until: driver.until,
            doing: action,
            waits,
            drain,
            unknown: progress.and_then(|progress| progress.as_ref().err()).map(String::as_str),
        }
    }
}

impl<'a> FailedJob<'a> {
    fn of(failed: &'a screen::Failed) -> Self {
        FailedJob {
            job: &failed.job,
            at: failed.ended,
            reason: &failed.reason,
            exit_code: failed.exit,
            what: &failed.told.what,
            state: &failed.told.state,
            next: failed.told.next.iter().map(|advice| advice.command.as_str()).collect(),
        }
    }
}

impl Document for Status<'_> {
    const NAME: &'static str = "status";
}

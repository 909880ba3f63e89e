//! What is said of a run: by the Job before, and by a person who stops it or goes past a phase.

use clap::{Args, ValueEnum};

use super::forms::Data;
use crate::words::{NodeName, NodeOrPool, Reason, RunId};

/// What a Job of the chain is told by the one that created it.
#[derive(Clone, Debug, Args)]
pub struct Chain {
    /// Create the successor Job afterwards; Jobs pass this
    #[arg(long, requires = "run")]
    pub chain: bool,
    /// Id of the run that this belongs to
    #[arg(long, value_name = "ID", hide = true)]
    pub run: Option<RunId>,
    /// The Job before this one held at the same step, and told so
    #[arg(long, requires = "chain", hide = true)]
    pub held: bool,
}

#[derive(Debug, Args)]
pub struct Halt {
    /// Only suspend the detection; a run in flight goes on
    #[arg(long, group = "how")]
    pub detection_only: bool,
    /// Delete the Jobs at work as soon as kubeadm and the package manager have ended on their nodes, not at the next safe point: a node may stay
    /// cordoned
    #[arg(long, group = "how")]
    pub now: bool,
    /// Only raise the alert that blocks upgrades and reboots at their next gate
    #[arg(long, group = "how")]
    pub blocker_alert: bool,
    /// Undo what was set, and that alone
    #[arg(long, group = "how", conflicts_with = "reason")]
    pub lift: bool,
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Debug, Args)]
pub struct Skip {
    /// Which phase
    #[arg(value_enum)]
    pub phase: PhaseName,
    /// Which node's, for master and worker
    pub node: Option<NodeName>,
    /// Also if nothing shows its work done; never the backup nor a control plane
    #[arg(long, requires = "reason")]
    pub force: bool,
    /// Why; recorded and told to Slack
    #[arg(long, value_name = "TEXT", requires = "force")]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Debug, Args)]
pub struct Pause {
    /// Nodes, and pools of the settings; where a name is both, node/NAME or pool/NAME
    #[arg(value_name = "NODE|POOL", required = true)]
    pub names: Vec<NodeOrPool>,
    #[command(flatten)]
    pub data: Data,
}

/// A phase as a person types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PhaseName {
    Preflight,
    Master,
    Worker,
    Postflight,
}

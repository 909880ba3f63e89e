//! What is rehearsed, and what is broken in it.

use std::path::PathBuf;

use clap::Args;

use super::forms::Page;
use crate::plan::model::version::Version;

#[derive(Debug, Args)]
pub struct Rehearse {
    /// Rehearse a copy of the real cluster: nodes, workloads, budgets, alerts; it is only read, and no Secret is
    #[arg(long, conflicts_with = "scenario")]
    pub from_cluster: bool,
    /// The release to go to; else the scenario's, or with --from-cluster the one that detection would choose
    #[arg(long, value_name = "X.Y.Z")]
    pub target: Option<Version>,
    /// A file that --save wrote, or one of runbook, minor, three-control-planes
    #[arg(long, value_name = "FILE", default_value = "runbook")]
    pub scenario: String,
    /// Write the scenario to a file, never over one, - for stdout, and do no more: names, labels and versions, to share and to change
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Print what a scenario may say, field by field (JSON Schema), and do no more
    #[arg(long, conflicts_with_all = ["from_cluster", "scenario", "save", "inject", "target", "seed"])]
    pub schema: bool,
    /// Break something at preflight, master, worker/NODE, postflight or a node's step; may be repeated: kill, ssh-loss, api-outage, alert,
    /// node-not-ready, pdb-deadlock, deployment-down, crash-loop, etcd-ill, etcd-slow, dns-away, old-api-caller, backup-failure, power-cut,
    /// prometheus-away, pushgateway-away, slack-away, new-release
    #[arg(long, value_name = "WHAT@STEP")]
    pub inject: Vec<String>,
    /// One seed gives one history
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// On a terminal, too, as fast as it goes
    #[arg(long)]
    pub fast: bool,
    /// Form of the result on stdout; markdown, html and svg tell the run as a report does
    #[arg(short, long, value_enum, default_value_t = Page::Text)]
    pub output: Page,
}

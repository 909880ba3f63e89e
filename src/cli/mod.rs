//! The command line: types and help texts. Parsing never acts.

mod command;
mod forms;
mod global;
mod manifests;
mod rehearse;
mod run;
pub mod typed;

use clap::Parser;

use crate::names;

pub use command::Command;
pub use forms::{Data, Form, Notation, Page, Sheet, Shell};
pub use global::Global;
pub use manifests::{Manifests, Part, PasswordFile, WebhookFile};
pub use rehearse::Rehearse;
pub use run::{Chain, Halt, Pause, PhaseName, Skip};

const GROUPS: &str = "\
Watch:     check, plan, status, report
Run:       detect, approve, start, resume, acknowledge
Stop:      halt, pause, unpause, skip-phase, clear-state
Try:       rehearse
Maintain:  rollback, rotate-key, adopt, manifests, uninstall, image, completions, man
Phases:    preflight, drain, upgrade-node, postflight

Exit codes: 0 done or nothing to do · 2 usage · 3 hold: not now · 4 refused: a person must change something ·
5 a step failed, resumable · 6 somebody else holds the run or the node · 7 an endpoint could not be reached ·
130/143 stopped at a safe point · 1 a bug of this program";

/// As `--version` tells it: a release with its commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("OF_COMMIT"));

/// Upgrades kubeadm clusters by itself, one node at a time, as a chain of Kubernetes Jobs.
#[derive(Debug, Parser)]
#[command(name = names::PROGRAM, version = VERSION, after_help = GROUPS, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

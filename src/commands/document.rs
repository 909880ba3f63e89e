//! Which document each command prints with `-o json`: the one table of that.

use crate::cli::Command;
use crate::plan::view::plan::Plan;
use crate::plan::view::story::Story;
use crate::report::data::{
    Account, Adoption, Check, Detection, Document, DrainForecast, Health, Hosts, LiveStatus, LocalChanges, RotationForecast,
    RotationResult, Status,
};
use crate::twin::rehearsal::Rehearsed;

/// The document's name; None: the command has none.
pub fn document(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Detect { .. } => Detection::NAME,
        Command::Check { .. } => Check::NAME,
        Command::Adopt { .. } => Adoption::NAME,
        Command::Status { hosts: true, .. } => Hosts::NAME,
        Command::Status { health: true, .. } => Health::NAME,
        Command::Status { watch: true, .. } => LiveStatus::NAME,
        Command::Status { .. } => Status::NAME,
        Command::Plan { .. } => Plan::NAME,
        Command::Report { .. } => Story::NAME,
        Command::Acknowledge { id: None, .. } => LocalChanges::NAME,
        Command::Drain { dry_run: true, .. } => DrainForecast::NAME,
        Command::RotateKey { dry_run: true, .. } => RotationForecast::NAME,
        Command::RotateKey { .. } => RotationResult::NAME,
        Command::Rehearse(_) => Rehearsed::NAME,
        Command::Approve { .. }
        | Command::Start { .. }
        | Command::Resume { .. }
        | Command::Halt(_)
        | Command::Pause(_)
        | Command::Unpause(_)
        | Command::SkipPhase(_)
        | Command::ClearState { .. }
        | Command::Uninstall { .. }
        | Command::Acknowledge { .. }
        | Command::Preflight { .. }
        | Command::UpgradeNode { .. }
        | Command::Postflight { .. }
        | Command::Drain { .. }
        | Command::Rollback { .. } => Account::NAME,
        Command::Manifests(_)
        | Command::Image { .. }
        | Command::Completions { .. }
        | Command::Complete { .. }
        | Command::Man { .. } => return None,
    })
}

//! A snapshot by the program itself: etcdctl and etcdutl in the container in which kubeadm runs etcd, on each control plane, of its own member. All
//! members hold the same, so that losing a control plane loses no snapshot; what a restore takes is one of them, for all.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::look::{OnHost, Saved, looked_at, seen};
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::node::{LookAtEtcd, Made, TakeSnapshot};
use crate::permit::ChangeClass;
use crate::plan::decide::order;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::run::services::Services;
use crate::run::session::Change;
use crate::words::{HostPath, NotAToken, RunId, command};

/// What the last one is left with, however long the others took.
const LEAST: Duration = Duration::from_secs(10);

/// Every control plane could take one now, and keep it.
pub async fn possible(services: &Services, folder: &HostPath, facts: &Facts) -> Result<(), Cause> {
    let mut failed = Vec::new();
    for node in order::control_planes(facts) {
        if let Err(cause) = services.ssh.on_node(node, &LookAtEtcd { folder: folder.clone() }).await {
            failed.push((node.name.clone(), cause));
        }
    }
    Cause::together("no etcd snapshot can be taken on", failed).map_or(Ok(()), Err)
}

/// One on each control plane, one after the other, so that one member at a time has the work; that of the first is the run's. Those that the run
/// has taken before are taken for it.
pub async fn take(services: &Services, folder: &HostPath, facts: &Facts, target: Version, run: &RunId) -> Result<Saved, Cause> {
    let began = facts.marks.started.unwrap_or(services.session.now());
    let until = Instant::now() + guard::bound(Guard::BackupDeadline, services.settings.backup_deadline);
    let mut first = None;
    for node in order::control_planes(facts) {
        let saved = of_node(services, folder, node, target, run, (began, until)).await?;
        first.get_or_insert(saved);
    }
    first.ok_or_else(|| Cause::refused("no control-plane node found"))
}

async fn of_node(
    services: &Services,
    folder: &HostPath,
    node: &Node,
    target: Version,
    run: &RunId,
    (began, until): (Timestamp, Instant),
) -> Result<Saved, Cause> {
    let name = node.name.parse().map_err(|error: NotAToken| Cause::refused(format!("{}: {error}", node.name)))?;
    let (keep, limit) = (services.settings.snapshot_keep, until.saturating_duration_since(Instant::now()).max(LEAST));
    let snapshot = TakeSnapshot { folder: folder.clone(), target, run: run.clone(), node: name, keep, limit };
    let change = Change { class: ChangeClass::Prepare, place: &node.name, step: "etcd snapshot", deadline: limit, told: true };
    let taken = services.session.change(change, services.ssh.on_node_telling(node, &snapshot)).await?;
    let what = match taken.made {
        Some(Made { revision, hash }) => format!("{}: revision {revision}, hash {hash:08x}", taken.path),
        None => format!("{}: this run has taken it before", taken.path),
    };
    services.session.note(&node.name, what);
    let told = parse::Snapshot { path: taken.path.to_string(), bytes: taken.bytes };
    match looked_at(&services.ssh, node, &told, began).await? {
        OnHost::Good(saved) => seen(&services.session, &services.settings, node, saved),
        OnHost::Nothing => Err(Cause::step(format!("{} is gone from {} again", told.path, node.name))),
        OnHost::Amiss(what) => Err(Cause::refused(what).next(command!(
            "sudo rm {}    # on {}: the next try takes another one",
            told.path,
            node.name
        ))),
    }
}

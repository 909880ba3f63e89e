//! Our cordon on a node, and the marks that go with it: whose it is, what the node had before, when its change ended.

use jiff::Timestamp;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::NodeState;
use crate::permit::ChangeClass;
use crate::plan::model::facts::Node;
use crate::plan::model::marks::Edit;
use crate::plan::model::span::stamp;
use crate::run::cluster::Record;
use crate::run::guards::Leases;
use crate::run::session::{Change, RECORD, Session};
use crate::settings::Settings;

/// Before the first change of a control plane's second turn: from here on it is in the middle of its work again.
pub async fn turn_again(record: &Record, name: &str, class: ChangeClass) -> Result<(), Cause> {
    let change = Change { class, ..Change::disrupt(name, "record that its kubelet's turn begins", RECORD) };
    record.edit_node(change, |_| Some((None, vec![Edit::remove(Mark::ChangedAt)]))).await.map(drop)
}

/// Marks the node as ours in the write that cordons it; a node that a person had cordoned is not marked, and stays as it is.
pub async fn cordon(
    session: &Session,
    record: &Record,
    settings: &Settings,
    node: &Node,
    state: &NodeState,
    target: &str,
    run: &str,
) -> Result<(), Cause> {
    let key = Mark::CordonedBy.key(&settings.annotation_prefix);
    let versions: Vec<String> = state.packages.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
    // A node that is half done is out of service already, or should be.
    let class = if super::inspect::begun(node, state, target) { ChangeClass::Settle } else { ChangeClass::Disrupt };
    let change = Change { class, ..Change::disrupt(&node.name, "cordon", RECORD) };
    record
        .edit_node(change, |now| {
            let unschedulable = now.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
            let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
            let mut marks = Vec::new();
            // Half-new versions are no former ones.
            if !state.reached(target) {
                marks.push(Edit::set(Mark::FormerVersions, versions.join(",")));
            }
            if !state.rests(target) {
                marks.push(Edit::remove(Mark::ChangedAt));
            }
            if !unschedulable || !guard::on(Guard::PersonsCordonNotOurs) {
                marks.push(Edit::set(Mark::CordonedBy, run.to_owned()));
                return Some((Some(true), marks));
            }
            if !ours {
                session.note(&node.name, "was cordoned by somebody else: it will be upgraded and stay cordoned");
            }
            (!marks.is_empty()).then_some((None, marks))
        })
        .await
        .map(drop)
}

/// Puts a node back in service that we cordoned and did not change. `rested`: when its first turn ended, of a control plane whose second has
/// changed nothing; that is on record again.
pub async fn take_cordon_back(record: &Record, settings: &Settings, name: &str, rested: Option<Timestamp>) -> Result<(), Cause> {
    let key = |mark: Mark| mark.key(&settings.annotation_prefix);
    let (cordoned, former, changed) = (key(Mark::CordonedBy), key(Mark::FormerVersions), key(Mark::ChangedAt));
    let change = Change::settle(name, "take our cordon back", RECORD);
    record
        .edit_node(change, |now| {
            let has = |key: &String| now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(key));
            let mut marks = vec![Edit::remove(Mark::CordonedBy)];
            // What it had before a change is of no use where nothing changed; beside the time of a change it is that change's.
            match rested.filter(|_| !has(&changed)) {
                Some(rested) => marks.push(Edit::set(Mark::ChangedAt, stamp(rested))),
                None if has(&former) && !has(&changed) => marks.push(Edit::remove(Mark::FormerVersions)),
                None => {}
            }
            let ours = has(&cordoned);
            (ours || marks.len() > 1).then(|| (ours.then_some(false), marks))
        })
        .await
        .map(drop)
}

/// Gives up our cordon on a node: it serves again, or stays cordoned as a person's. Under the node's Lease, as every cordon.
pub async fn leave_cordon(record: &Record, leases: &Leases, settings: &Settings, name: &str, serves: bool) -> Result<(), Cause> {
    leases.acquire_for(name, ChangeClass::Settle).await?;
    let left = leave_cordon_held(record, settings, name, serves).await;
    leases.release().await.and(left)
}

/// The same where we hold the Lease already.
pub async fn leave_cordon_held(record: &Record, settings: &Settings, name: &str, serves: bool) -> Result<(), Cause> {
    let key = Mark::CordonedBy.key(&settings.annotation_prefix);
    let change = Change::settle(name, if serves { "take our cordon back" } else { "leave our cordon to people" }, RECORD);
    record
        .edit_node(change, |now| {
            let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
            ours.then(|| (serves.then_some(false), vec![Edit::remove(Mark::CordonedBy)]))
        })
        .await
        .map(drop)
}

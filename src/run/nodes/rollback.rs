//! A worker's way back, each step looked at first, so that it may be killed anywhere and started again: cordon → drain → repository
//! of the former minor → packages and kubelet configuration of before → Ready at the former version → uncordon.

use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{Step, WorkState};
use crate::permit::ChangeClass;
use crate::plan::model::marks::Edit;
use crate::plan::rescue::rollback::{self, Back, Rollback};
use crate::run::cluster::Record;
use crate::run::services::Services;
use crate::run::session::{Change, RECORD, Session};
use crate::settings::Settings;
use crate::words::RunId;

/// A worker's whole way back, under its Lease.
pub async fn roll_back(services: &Services, name: &str, run: &RunId) -> Result<(), Cause> {
    services.session.about(None, None, Some(name));
    services.leases.holding(name, ChangeClass::Prepare, roll_back_held(services, name, run)).await
}

/// Planned anew under the Lease: while we waited for it, another runner may have changed the node.
async fn roll_back_held(services: &Services, name: &str, run: &RunId) -> Result<(), Cause> {
    let facts = services.observer.observe().await?;
    let Rollback::Worker(back) = rollback::plan(&facts, name)? else {
        super::upgrade::skipped(&services.session, name, "rollback", "another runner did it");
        return Ok(());
    };
    let node = facts.node(name).ok_or_else(|| Cause::step(format!("{name} was deleted from the cluster")))?;
    let state = services.ssh.on_node(node, &super::sources::inspect(&services.settings)).await?;
    if let Some(step) = state.running().filter(|step| *step != Step::ROLLBACK && guard::on(Guard::RollbackWaitsForWork)) {
        return Err(
            Cause::contended(format!("{step} is still running on {name}: a rollback waits for its end")).next(Advice::status())
        );
    }
    let begun = state.work.step == Step::ROLLBACK
        && state.work.state != WorkState::Done
        && state.work.target.as_deref() == Some(&*back.to.to_string());
    cordon_for_rollback(&services.record, name, run).await?;
    if begun {
        super::drain::drain(
            &services.session,
            &services.cluster,
            &services.settings,
            name,
            services.settings.drain_deadline,
            false,
        )
        .await?;
    } else if let Err(cause) = out_of_service(services, name).await {
        if node.unrecorded() && guard::on(Guard::HalfUpgradedStaysOut) {
            // Its upgrade was cut in the middle: half changed it must not serve, whichever way it is to go.
            services.session.note(name, "stays cordoned: its upgrade had begun and has not ended");
        } else if let Err(back) = super::cordon::leave_cordon_held(&services.record, &services.settings, name, true).await {
            // Nothing on the node was changed: it serves as before, and its record stays. (Whose Lease is lost is refused this, too.)
            services.session.warn(name, format!("our cordon could not be taken back: {}", back.what));
        }
        return Err(cause);
    }
    if !super::sources::of(&state).stay(&back.to.series()) {
        let step = format!("package repository v{}", back.to.series());
        services
            .ssh
            .change_node(node, ChangeClass::Settle, &step, &super::prepare::repository(&services.settings, back.to))
            .await?;
    }
    let step = Step::Rollback { packages: back.packages.clone() };
    services.ssh.work(node, ChangeClass::Settle, "former packages and kubelet restart", step, back.to.into(), run).await?;
    super::upgrade::ready_at(
        &services.session,
        &services.observer,
        &services.settings,
        node,
        "the node to be Ready at its former version",
        |kubelet| kubelet == back.to,
    )
    .await?;
    end_rollback(&services.session, &services.record, &services.settings, name, &back).await
}

async fn out_of_service(services: &Services, name: &str) -> Result<(), Cause> {
    super::upgrade::our_turn(&services.session, &services.observer, &services.settings, name).await?;
    super::drain::drain(&services.session, &services.cluster, &services.settings, name, services.settings.drain_deadline, true)
        .await
}

/// The record of what was there before stays until the node is back.
async fn cordon_for_rollback(record: &Record, name: &str, run: &RunId) -> Result<(), Cause> {
    let change = Change::disrupt(name, "cordon", RECORD);
    record
        .edit_node(change, |now| {
            let unschedulable = now.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
            (!unschedulable).then(|| (Some(true), vec![Edit::set(Mark::CordonedBy, run.to_string())]))
        })
        .await
        .map(drop)
}

/// One write: back in service, and nothing on record any more.
async fn end_rollback(session: &Session, record: &Record, settings: &Settings, name: &str, back: &Back) -> Result<(), Cause> {
    let key = Mark::CordonedBy.key(&settings.annotation_prefix);
    let changed = session.stamp();
    let change = Change::settle(name, "uncordon", RECORD);
    record
        .edit_node(change, |now| {
            let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
            let marks = vec![
                Edit::remove(Mark::CordonedBy),
                Edit::remove(Mark::FormerVersions),
                Edit::set(Mark::ChangedAt, changed.clone()),
            ];
            Some((ours.then_some(false), marks))
        })
        .await?;
    session.did(name, format!("back in service at {}", back.to));
    Ok(())
}

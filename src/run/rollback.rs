//! A worker's way back, each step looked at first, so that it may be killed anywhere and started again: cordon → drain → repository
//! of the former minor → packages and kubelet configuration of before → Ready at the former version → uncordon.

use super::ctx::{Change, Ctx, RECORD};
use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{Inspect, Step, WorkState};
use crate::permit::ChangeClass;
use crate::plan::rollback::{self, Back, Rollback};
use crate::words::RunId;

impl Ctx {
    /// A worker's whole way back, under its Lease.
    pub async fn roll_back(&self, name: &str, run: &RunId) -> Result<(), Cause> {
        self.about(None, None, Some(name));
        self.holding(name, ChangeClass::Prepare, self.roll_back_held(name, run)).await
    }

    /// Planned anew under the Lease: while we waited for it, another runner may have changed the node.
    async fn roll_back_held(&self, name: &str, run: &RunId) -> Result<(), Cause> {
        let facts = self.observe().await?;
        let Rollback::Worker(back) = rollback::plan(&facts, name)? else {
            self.skipped(name, "rollback", "another runner did it");
            return Ok(());
        };
        let node = facts.node(name).ok_or_else(|| Cause::step(format!("{name} was deleted from the cluster")))?;
        let state = self.on_node(node, &Inspect).await?;
        if let Some(step) = state.running().filter(|step| *step != Step::ROLLBACK && guard::on(Guard::RollbackWaitsForWork)) {
            return Err(Cause::contended(format!("{step} is still running on {name}: a rollback waits for its end"))
                .next(Advice::status()));
        }
        let begun = state.work.step == Step::ROLLBACK
            && state.work.state != WorkState::Done
            && state.work.target.as_deref() == Some(&*back.to.to_string());
        self.cordon_for_rollback(name, run).await?;
        if begun {
            self.drain(name, false).await?;
        } else if let Err(cause) = self.out_of_service(name).await {
            if node.unrecorded() && guard::on(Guard::HalfUpgradedStaysOut) {
                // Its upgrade was cut in the middle: half changed it must not serve, whichever way it is to go.
                self.note(name, "stays cordoned: its upgrade had begun and has not ended");
            } else if let Err(back) = self.leave_cordon_held(name, true).await {
                // Nothing on the node was changed: it serves as before, and its record stays. (Whose Lease is lost is refused this, too.)
                self.warn(name, format!("our cordon could not be taken back: {}", back.what));
            }
            return Err(cause);
        }
        if state.sources.len() != 1 || *state.sources[0].minor != *back.to.series() {
            let step = format!("package repository v{}", back.to.series());
            self.change_node(node, ChangeClass::Settle, &step, &self.repository(back.to)).await?;
        }
        let step = Step::Rollback { packages: back.packages.clone() };
        self.work(node, ChangeClass::Settle, "former packages and kubelet restart", step, back.to.into(), run).await?;
        self.ready_at(node, "the node to be Ready at its former version", |kubelet| kubelet == back.to).await?;
        self.end_rollback(name, &back).await
    }

    async fn out_of_service(&self, name: &str) -> Result<(), Cause> {
        self.our_turn(name).await?;
        self.drain(name, true).await
    }

    /// The record of what was there before stays until the node is back.
    async fn cordon_for_rollback(&self, name: &str, run: &RunId) -> Result<(), Cause> {
        let change = Change::disrupt(name, "cordon", RECORD);
        self.edit_node(change, |now| {
            let unschedulable = now.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
            (!unschedulable).then(|| (Some(true), vec![(Mark::CordonedBy, Some(run.to_string()))]))
        })
        .await
        .map(drop)
    }

    /// One write: back in service, and nothing on record any more.
    async fn end_rollback(&self, name: &str, back: &Back) -> Result<(), Cause> {
        let key = Mark::CordonedBy.key(&self.settings.annotation_prefix);
        let changed = self.stamp();
        let change = Change::settle(name, "uncordon", RECORD);
        self.edit_node(change, |now| {
            let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
            let marks = vec![(Mark::CordonedBy, None), (Mark::FormerVersions, None), (Mark::ChangedAt, Some(changed.clone()))];
            Some((ours.then_some(false), marks))
        })
        .await?;
        self.did(name, format!("back in service at {}", back.to));
        Ok(())
    }
}

//! A person's halt: seen by every process at its safe points, set and lifted by `halt`.

use std::time::Duration;

use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::ctx::{Change, Ctx, RECORD, locked};
use super::wait::{Probe, Wait};
use crate::clients::Gauge;
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names::{self, Mark};
use crate::node::Inspect;
use crate::plan::facts::Facts;
use crate::plan::halt::Halt;

/// A halt is seen at the latest this long after it was set, wherever it may stop something.
const LOOK: Duration = Duration::from_secs(10);

/// What this process knows of a halt.
#[derive(Default)]
pub struct Seen {
    halt: Option<Halt>,
    at: Option<Instant>,
    told: bool,
}

impl Ctx {
    /// Remembers what the namespace said just now, and tells a halt once.
    pub(super) fn saw_halt(&self, halt: Option<&Halt>) {
        let mut seen = locked(&self.halt);
        let tell = halt.is_some() && !seen.told;
        *seen = Seen { halt: halt.cloned(), at: Some(Instant::now()), told: halt.is_some() };
        drop(seen);
        if let Some(halt) = halt.filter(|_| tell) {
            self.warn("", halt.to_string());
        }
    }

    /// Looks whether somebody has halted us meanwhile, unless that was looked at a moment ago.
    pub(super) async fn look_for_halt(&self) -> Result<(), Cause> {
        let fresh = locked(&self.halt).at.is_some_and(|at| at.elapsed() < LOOK);
        if fresh { Ok(()) } else { self.marks_as_they_are().await.map(drop) }
    }

    /// The halt that stops us, as a cause: whoever has begun ends at a safe point; who has not is refused.
    pub(super) fn halted(&self) -> Option<Cause> {
        let halt = locked(&self.halt).halt.clone().filter(|halt| halt.run && !self.dry_run && !self.despite_halt)?;
        let class = if self.chain || self.has_changed() { Class::Halted } else { Class::Refused };
        Some(Cause::new(class, halt.to_string()).next("k8s-upgrade halt --lift      # when it may go on"))
    }

    /// Whether a run is halted now, whatever was seen before.
    pub(super) async fn is_halted(&self) -> Result<bool, Cause> {
        Ok(self.marks_as_they_are().await?.halted.is_some_and(|halt| halt.run))
    }

    /// Nothing is begun while upgrades are halted.
    pub async fn may_begin(&self) -> Result<(), Cause> {
        self.not_halted(Guard::HaltBeforeJob).await
    }

    /// The same, asked by the guard of one place.
    pub(super) async fn not_halted(&self, halts: Guard) -> Result<(), Cause> {
        if !guard::on(halts) {
            return Ok(());
        }
        self.look_for_halt().await?;
        self.halted().map_or(Ok(()), Err)
    }

    /// Records a halt; None lifts it.
    pub async fn record_halt(&self, halt: Option<&Halt>) -> Result<(), Cause> {
        self.mark_namespace("", "record the halt", &[(Mark::Halted, halt.map(Halt::write))]).await?;
        let mut seen = locked(&self.halt);
        *seen = Seen { halt: halt.cloned(), at: Some(Instant::now()), told: true };
        Ok(())
    }

    /// Whether the detection's CronJob is suspended; None if there is none.
    pub async fn detection_suspended(&self) -> Result<Option<bool>, Cause> {
        let api: Api<CronJob> = Api::namespaced(self.kube.clone(), &self.namespace);
        let found = self.api_opt("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await?;
        Ok(found.map(|cronjob| cronjob.spec.and_then(|spec| spec.suspend).unwrap_or(false)))
    }

    pub async fn suspend_detection(&self, suspend: bool) -> Result<(), Cause> {
        let api: Api<CronJob> = Api::namespaced(self.kube.clone(), &self.namespace);
        let body = json!({ "spec": { "suspend": suspend } });
        let step = if suspend { "suspend the detection" } else { "let the detection run again" };
        self.change(Change::settle("halt", step, RECORD), async {
            self.api(step, async || api.patch(names::DETECT_CRONJOB, &PatchParams::default(), &Patch::Merge(&body)).await)
                .await
                .map(drop)
        })
        .await
    }

    /// Raises the alert that blocks upgrades and reboots, or lets go of it.
    pub async fn block(&self, on: bool) -> Result<(), Cause> {
        let step = if on { "raise the blocker alert" } else { "let go of the blocker alert" };
        self.push_surely(step, names::PUSH_JOB_BLOCKER, &[blocker(on)]).await
    }

    /// Waits until no unit of ours works on the nodes that are out of service: neither kubeadm nor dpkg is ever cut. A node that cannot be
    /// asked is not waited for, and named in `unknown`: the deletion of a Job cuts nothing there.
    pub async fn units_ended(&self, facts: &Facts, unknown: &mut Vec<String>) -> Result<(), Cause> {
        let wait = Wait {
            place: "halt",
            on: "what runs on a node to end",
            deadline: self.settings.step_deadline,
            every: Duration::from_secs(3),
            stoppable: false,
        };
        self.wait_or_hold(wait, async || {
            let mut running = Vec::new();
            for node in facts.nodes.iter().filter(|node| node.unschedulable || node.unrecorded()) {
                if unknown.contains(&node.name) {
                    continue;
                }
                match self.on_node(node, &Inspect).await {
                    Ok(state) => running.extend(state.running().map(|step| format!("{step} on {}", node.name))),
                    Err(cause) if cause.class == Class::Bug => return Err(cause),
                    Err(cause) => {
                        self.warn(&node.name, format!("whether kubeadm or apt works there is unknown: {}", cause.what));
                        unknown.push(node.name.clone());
                    }
                }
            }
            Ok(if running.is_empty() { Probe::Ready(()) } else { Probe::Not(running.join(", ")) })
        })
        .await
    }
}

/// 1 while a person blocks.
pub(super) fn blocker(on: bool) -> Gauge {
    Gauge::new(names::METRIC_BLOCKER, if on { 1.0 } else { 0.0 })
}

//! A node's upgrade that failed: does it serve again, and how often may it be taken out in vain?

use std::time::Duration;

use jiff::Timestamp;

use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::node::Inspect;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::held_drain::HeldDrain;
use crate::plan::model::marks::{Edit, RunMarks};
use crate::run::services::Services;
use crate::words::{RunId, command};

/// What the node was before this attempt.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// An upgrade had begun to change it.
    pub begun: bool,
    /// When its first turn ended, of a control plane that rested between its two.
    pub rested: Option<Timestamp>,
}

/// After a failure: a node on which nothing was changed serves again; one that was is left cordoned, so that nothing lands on it. True if
/// it serves again.
pub async fn give_up(services: &Services, node: &Node, before: Before, target: &str, cause: &Cause) -> bool {
    let name = node.name.as_str();
    // Somebody else has the node now; its cordon is theirs.
    if (before.begun && guard::on(Guard::HalfChangedStaysOut)) || cause.class == Class::Contended {
        return false;
    }
    let look = async {
        let Some(node) = services.observer.node_now(name).await? else { return Ok(false) };
        let state = services.ssh.on_node(&node, &Inspect::default()).await?;
        // That the second turn began is on record; nothing has come of it where the node rests as it did.
        let rests = before.rested.is_some() && state.rests(target);
        Ok::<_, Cause>(rests || !super::inspect::begun(&node, &state, target))
    };
    let unchanged = match look.await {
        Ok(unchanged) => unchanged,
        Err(cause) => {
            services
                .session
                .warn(name, format!("if it is cordoned it stays so, for whether it was changed is not known: {}", cause.what));
            false
        }
    };
    if !unchanged && guard::on(Guard::HalfChangedStaysOut) {
        return false;
    }
    let back = super::cordon::take_cordon_back(&services.record, &services.settings, name, before.rested).await;
    if let Err(cause) = &back {
        services.session.warn(name, format!("our cordon could not be taken back: {}", cause.what));
    }
    back.is_ok()
}

/// It was out of service for nothing: that is counted, for whoever tries again, and ends where a person must look.
pub async fn in_vain(services: &Services, facts: &Facts, name: &str, took: Duration, run: &RunId, cause: Cause) -> Cause {
    if !facts.marks.is_of(run) {
        return cause;
    }
    // A cordon of a runner before this one was taken back before the gates, and counted then.
    let held = HeldDrain::after(facts.marks.held_drain_of(name), name, took, services.session.now());
    record_out(services, run, &held).await;
    let enough = held.out() >= services.settings.drain_deadlines();
    if enough && guard::on(Guard::DrainDeadlines) { Cause { detail: cause.detail, ..tried_enough(name, &held) } } else { cause }
}

/// A runner before this one was killed while the node was out of service and not changed: without this, one that dies in every drain would
/// keep it so for as long as it likes. What dies may lie dead for long; it counts as one drain at most.
pub async fn cut_off(services: &Services, facts: &Facts, node: &Node, run: &RunId) {
    let Some(since) = node.cordoned_since.filter(|_| facts.marks.is_of(run)) else { return };
    let now = services.session.now();
    let out = now.duration_since(since).unsigned_abs().min(services.settings.drain_deadline);
    let held = HeldDrain::cut_off(facts.marks.held_drain_of(&node.name), &node.name, out, now);
    record_out(services, run, &held).await;
}

async fn record_out(services: &Services, run: &RunId, held: &HeldDrain) {
    let edit = |now: &RunMarks| {
        // One after the other, it is the one that was tried last that counts.
        let others = if services.settings.waves().on() { now.held_drains.as_slice() } else { &[] };
        vec![Edit::held_drains(&held.clone().beside(others))]
    };
    if let Err(not) = services.record.amend_run(run, &held.node, "record how long it was out of service", edit).await {
        services.session.warn(&held.node, format!("that it was out of service could not be recorded: {}", not.what));
    }
}

/// A person must look.
pub fn tried_enough(name: &str, held: &HeldDrain) -> Cause {
    Cause::refused(format!("{}: it is not drained again without you", held.words()))
        .next(command!("k8s-upgrade drain {} --dry-run    # what holds, and why", name))
        .next(Advice::go_on("k8s-upgrade resume                 # tries anew, once the pods can go"))
}

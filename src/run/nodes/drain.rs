//! The drain: evict all that may go, retry the moment a budget allows it, name what holds. Which pod goes is decided in `plan::decide::drain`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::evictions::{Tries, evict_all, holders};
use super::stuck;
use super::surge::Surges;
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::permit::ChangeClass;
use crate::plan::decide::budgets::Budgets;
use crate::plan::decide::drain::{self, Fate};
use crate::plan::decide::gates::full_name;
use crate::plan::model::work;
use crate::report::{Event, span};
use crate::run::cluster::{Cluster, Mirror};
use crate::run::services::Services;
use crate::run::session::{Change, RECORD, Session};
use crate::settings::Settings;
use crate::words::command;

/// At least this often it is looked whether a pod may be tried again.
const TICK: Duration = Duration::from_secs(1);

/// All pods on a node, as they are now.
pub(super) async fn pods_on(cluster: &Cluster, node: &str) -> Result<Vec<Pod>, Cause> {
    cluster.list_all("list the node's pods", cluster.all(), on_node(node)).await
}

/// What the pods on a node are found by.
pub(super) fn on_node(node: &str) -> ListParams {
    ListParams::default().fields(&format!("spec.nodeName={node}"))
}

pub(super) async fn budgets(cluster: &Cluster) -> Result<Budgets, Cause> {
    let all = cluster.list_all::<PodDisruptionBudget>("list PodDisruptionBudgets", cluster.all(), ListParams::default()).await?;
    Ok(all.into_iter().collect())
}

/// Drains a cordoned node. Ends when nothing that must go is left; after `deadline` it holds and names the blockers.
/// With `stoppable` a stop signal ends it, too.
pub async fn drain(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    node: &str,
    deadline: Duration,
    stoppable: bool,
) -> Result<(), Cause> {
    let class = if stoppable { ChangeClass::Disrupt } else { ChangeClass::Settle };
    let change = Change { class, ..Change::disrupt(node, work::DRAIN, deadline) };
    session.change(change, drain_within(session, cluster, settings, node, deadline, stoppable)).await
}

/// An operator's drain: the cordon is theirs and stays; if the drain does not end, a cordon that was ours is taken back.
pub async fn drain_by_hand(services: &Services, node: &str) -> Result<(), Cause> {
    services.session.about(None, None, Some(node));
    let cordon = |wanted: bool| {
        move |now: &k8s_openapi::api::core::v1::Node| {
            let is = now.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
            (is != wanted).then(|| (Some(wanted), Vec::new()))
        }
    };
    services
        .leases
        .holding(node, ChangeClass::Prepare, async {
            let ours = services.record.edit_node(Change::disrupt(node, "cordon", RECORD), cordon(true)).await?;
            let drained =
                drain(&services.session, &services.cluster, &services.settings, node, services.settings.drain_deadline, true)
                    .await;
            // Somebody else who has the Lease by now has the cordon, too.
            let lost = drained.as_ref().is_err_and(|cause| cause.class == Class::Contended);
            if drained.is_err()
                && ours
                && !lost
                && let Err(cause) =
                    services.record.edit_node(Change::settle(node, "take our cordon back", RECORD), cordon(false)).await
            {
                services.session.warn(node, format!("our cordon could not be taken back: {}", cause.what));
            }
            drained
        })
        .await
}

async fn drain_within(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    node: &str,
    deadline: Duration,
    stoppable: bool,
) -> Result<(), Cause> {
    let until = Instant::now() + guard::bound(Guard::DrainDeadline, deadline);
    let of_node = on_node(node);
    let mut pods = Mirror::new("list the node's pods", Api::<Pod>::all(cluster.kube.clone()), of_node);
    let budgets = Api::<PodDisruptionBudget>::all(cluster.kube.clone());
    let mut budgets = Mirror::new("list PodDisruptionBudgets", budgets, ListParams::default());
    let mut tries = Tries::default();
    let mut surges = Surges::new(session, cluster, settings, node, deadline, stoppable);
    let mut total = 0;
    pods.list(cluster).await?;
    budgets.list(cluster).await?;
    tries.first.extend(pods.items().filter_map(ResourceExt::uid));
    loop {
        let mut left = must_go(session, node, pods.items(), &mut tries);
        if left.is_empty() && guard::on(Guard::DrainEndListed) {
            // A watch may have missed something; the end of a drain is asked of the API server itself.
            pods.list(cluster).await?;
            left = must_go(session, node, pods.items(), &mut tries);
        }
        if left.is_empty() {
            return Ok(());
        }
        total = total.max(left.len());
        let guards = Budgets::beside(&left, budgets.items());
        surges.look(&left, &guards).await?;
        let go: Vec<&Pod> = left.iter().copied().filter(|pod| surges.lets_go(pod)).collect();
        evict_all(session, cluster, settings, &go, &guards, &mut tries, stoppable).await?;
        tries.blocked.retain(|uid, _| left.iter().any(|pod| pod.uid().as_deref() == Some(uid)));
        let held = holders(&left, &guards, &tries, &surges);
        let remaining = until.saturating_duration_since(Instant::now());
        session.emit(&Event::Draining { place: node.into(), left: left.len(), total, held: held.clone(), deadline: remaining });
        if stoppable {
            session.safe_point(Guard::StopInDrain, Guard::HaltInDrain).await?;
        }
        if remaining.is_zero() {
            let waiting = left.iter().map(|pod| full_name(*pod)).collect();
            let kept = stuck::kept(settings, left.iter().copied().filter(|pod| tries.is_held(pod)), &guards);
            return Err(too_late(deadline, node, held, kept, waiting));
        }
        // Whatever happens first: a pod went, a budget allows more, or it is time to try again.
        tokio::select! {
            biased;
            () = pods.changed() => {}
            () = budgets.changed() => {}
            () = session.sleep(TICK.min(remaining), stoppable && guard::on(Guard::StopInDrain)) => {}
        }
        pods.renew(cluster).await?;
        budgets.renew(cluster).await?;
        session.keep(Guard::LeaseInDrain).await?;
    }
}

/// What must go. A pod that tolerates the cordon goes once: its replacement may come back, and would for ever.
fn must_go<'a>(session: &Session, node: &str, pods: impl Iterator<Item = &'a Pod>, tries: &mut Tries) -> Vec<&'a Pod> {
    let mut left = Vec::new();
    for pod in pods.filter(|pod| !matches!(drain::fate(pod), Fate::Stays(_))) {
        let uid = pod.uid().unwrap_or_default();
        if tries.first.contains(&uid) || !drain::tolerates_cordon(pod) || !guard::on(Guard::ReturnedPodStays) {
            left.push(pod);
        } else if tries.back.insert(uid) {
            session.note(node, format!("{} tolerates the cordon and was scheduled here again: it stays", full_name(pod)));
        }
    }
    left
}

fn too_late(deadline: Duration, node: &str, held: Vec<String>, kept: Vec<String>, waiting: Vec<String>) -> Cause {
    let span = span(deadline);
    let (what, detail) = match held.is_empty() {
        true => (format!("drain: {} pods still ending after {span}", waiting.len()), waiting),
        false => (format!("drain: pods held after {span}, by {} reason(s)", held.len()), held),
    };
    Cause::hold(what).detail(detail).detail(kept).next(command!("k8s-upgrade drain {} --dry-run    # what holds, and why", node))
}

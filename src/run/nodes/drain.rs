//! The drain: evict all that may go, retry the moment a budget allows it, name what holds. Which pod goes is decided in `plan::decide::drain`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams, PostParams};
use kube::core::Status;
use kube::{Error, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use super::stuck;
use super::surge::Surges;
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::permit::ChangeClass;
use crate::plan::decide::drain::{self, Fate, Refusal, Refused};
use crate::plan::decide::gates::full_name;
use crate::plan::model::work;
use crate::report::{Event, span};
use crate::run::cluster::{Cluster, Mirror, cause};
use crate::run::services::Services;
use crate::run::session::{Change, RECORD, Session};
use crate::settings::Settings;
use crate::words::command;

/// At least this often it is looked whether a pod may be tried again.
const TICK: Duration = Duration::from_secs(1);
/// A pod that a budget holds is tried again at least this often, even if the budget's status says no.
const RETRY: Duration = Duration::from_secs(5);
/// An eviction that got no answer is tried again after this.
const UNANSWERED: Duration = Duration::from_secs(2);
/// 403 without a known cause may follow an outage of the API server; after this it is a missing right.
const FORBIDDEN: Duration = Duration::from_secs(90);

const SEVERAL_BUDGETS: &str = "several PDBs guard it: the API server never evicts such a pod";

/// What is known of a pod whose eviction was refused.
struct Blocked {
    since: Instant,
    /// Not before.
    retry: Instant,
    says: String,
    by_budget: bool,
    /// resourceVersion of its budget, as it was known when the API server refused: what that state allows, it has refused.
    of: Option<String>,
}

/// What was tried so far, by the pods' UIDs.
#[derive(Default)]
struct Tries {
    /// Were there when the drain began.
    first: HashSet<String>,
    /// Came to the cordoned node, which they tolerate; told once.
    back: HashSet<String>,
    blocked: HashMap<String, Blocked>,
    /// Evicted: they only have to end.
    accepted: HashSet<String>,
    /// Evictions that were accepted on the strength of a budget's state (its resourceVersion).
    spent: HashMap<String, i32>,
}

/// The state of the one budget that guards a pod, by its resourceVersion, and how many disruptions it allows.
fn guard(pod: &Pod, budgets: &[PodDisruptionBudget]) -> Option<(String, i32)> {
    let [budget] = drain::budgets_of(pod, budgets)[..] else { return None };
    Some((budget.resource_version()?, budget.status.as_ref()?.disruptions_allowed))
}

/// All pods on a node, as they are now.
pub(super) async fn pods_on(cluster: &Cluster, node: &str) -> Result<Vec<Pod>, Cause> {
    let on = ListParams::default().fields(&format!("spec.nodeName={node}"));
    cluster.list_all("list the node's pods", cluster.all(), on).await
}

pub(super) async fn budgets(cluster: &Cluster) -> Result<Vec<PodDisruptionBudget>, Cause> {
    cluster.list_all("list PodDisruptionBudgets", cluster.all(), ListParams::default()).await
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
    let of_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
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
        let guards: Vec<PodDisruptionBudget> = budgets.items().cloned().collect();
        surges.look(&left, &guards).await?;
        let go: Vec<&Pod> = left.iter().copied().filter(|pod| surges.lets_go(pod)).collect();
        evict_all(session, cluster, settings, &go, &guards, &mut tries, stoppable).await?;
        tries.blocked.retain(|uid, _| left.iter().any(|pod| pod.uid().as_deref() == Some(uid)));
        let held = holders(&left, &tries.blocked, &surges);
        let remaining = until.saturating_duration_since(Instant::now());
        session.emit(&Event::Draining { place: node.into(), left: left.len(), total, held: held.clone(), deadline: remaining });
        if stoppable {
            session.safe_point(Guard::StopInDrain, Guard::HaltInDrain).await?;
        }
        if remaining.is_zero() {
            let waiting = left.iter().map(|pod| full_name(*pod)).collect();
            let by_budget = |pod: &&&Pod| pod.uid().and_then(|uid| tries.blocked.get(&uid)).is_some_and(|known| known.by_budget);
            let kept = stuck::kept(settings, left.iter().filter(by_budget).copied(), &guards);
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

async fn evict_all(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    left: &[&Pod],
    budgets: &[PodDisruptionBudget],
    tries: &mut Tries,
    stoppable: bool,
) -> Result<(), Cause> {
    let Tries { blocked, accepted, spent, .. } = tries;
    spent.retain(|state, _| budgets.iter().any(|budget| budget.resource_version().as_ref() == Some(state)));
    for pod in left {
        let (Fate::Evict { grace_seconds: grace, .. }, Some(uid)) = (drain::fate(pod), pod.uid()) else { continue };
        if accepted.contains(&uid) {
            continue;
        }
        let now = Instant::now();
        let of = guard(pod, budgets);
        // Only a budget that has come to allow it is a reason to ask before the time: one whose state is another than the one that
        // was refused, and that has more room than we have taken since.
        let room = |(state, allows): &(String, i32)| spent.get(state).copied().unwrap_or(0) < *allows;
        let allowed = |known: &Blocked| {
            known.by_budget
                && drain::held(pod, budgets).is_none()
                && of.as_ref().is_none_or(|guard| known.of.as_ref() != Some(&guard.0) && room(guard))
        };
        if blocked.get(&uid).is_some_and(|known| now < known.retry && !allowed(known)) {
            continue;
        }
        // One eviction may take half a minute, and a node has a hundred pods.
        session.keep(Guard::LeaseBetweenEvictions).await?;
        if stoppable {
            session.safe_point(Guard::StopBetweenEvictions, Guard::HaltBetweenEvictions).await?;
        }
        let refused = match evict(cluster, pod, grace, false).await {
            Ok(()) => {
                accepted.insert(uid);
                if let Some((state, _)) = of {
                    *spent.entry(state).or_default() += 1;
                }
                continue;
            }
            Err(refused) => refused,
        };
        let by_budget = matches!(refused, Refused::Budget { .. } | Refused::SeveralBudgets);
        // Time that an outage took is no time in which a budget refused.
        let since = blocked.get(&uid).filter(|known| known.by_budget == by_budget).map_or(now, |known| known.since);
        let (says, pause) = match refused {
            Refused::Gone => continue,
            Refused::NamespaceEnding => ("its namespace is being deleted".to_owned(), RETRY),
            Refused::Budget { says, retry_after } => {
                let says = drain::held(pod, budgets).map_or(says, |held| held.to_string());
                (says, retry_after.unwrap_or(RETRY))
            }
            Refused::SeveralBudgets => (SEVERAL_BUDGETS.to_owned(), RETRY),
            Refused::Again { says, pause } => (says, pause),
            Refused::Forbidden(message) if now - since < guard::bound(Guard::EvictionForbidden, FORBIDDEN) => (message, RETRY),
            Refused::Forbidden(message) => return Err(Cause::refused(format!("evict {}: {message}", full_name(*pod)))),
            Refused::Never(message) => return Err(Cause::step(format!("evict {}: {message}", full_name(*pod)))),
        };
        blocked.insert(uid, Blocked { since, retry: now + pause, says, by_budget, of: of.map(|(state, _)| state) });
        if by_budget {
            stuck::release(session, cluster, settings, pod, budgets, now - since, grace).await?;
        }
    }
    Ok(())
}

/// One eviction, or with `dry_run` the question whether it would be allowed.
async fn evict(cluster: &Cluster, pod: &Pod, grace: i64, dry_run: bool) -> Result<(), Refused> {
    let api: Api<Pod> = cluster.within(&pod.namespace().unwrap_or_default());
    let uid = pod.uid().filter(|_| guard::on(Guard::EvictionUid));
    let mut options = json!({ "gracePeriodSeconds": grace, "preconditions": { "uid": uid } });
    if dry_run {
        options["dryRun"] = json!(["All"]);
    }
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": pod.name_any(), "namespace": pod.namespace() },
        "deleteOptions": options,
    });
    let params = PostParams { dry_run, field_manager: None };
    let name = pod.name_any();
    let call = api.create_subresource::<_, Status>("eviction", &name, &params, &body);
    match tokio::time::timeout(Duration::from_secs(30), call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Error::Api(status))) => Err(read_refusal(&status)),
        Ok(Err(error)) => match cause("evict", &error) {
            bug if bug.class == Class::Bug => Err(Refused::Never(bug.what)),
            away => Err(Refused::Again { says: away.why.unwrap_or(away.what), pause: UNANSWERED }),
        },
        Err(_) => Err(Refused::Again { says: "the API server did not answer in time".to_owned(), pause: UNANSWERED }),
    }
}

/// What the API server says to an eviction of this pod, by a dry run; None: it may go, or stays anyhow.
pub(super) async fn may_evict(cluster: &Cluster, pod: &Pod, budgets: &[PodDisruptionBudget]) -> Option<String> {
    let Fate::Evict { grace_seconds, .. } = drain::fate(pod) else { return None };
    match evict(cluster, pod, grace_seconds, true).await {
        Ok(()) | Err(Refused::Gone | Refused::NamespaceEnding) => None,
        Err(Refused::Budget { says, .. }) => Some(drain::held(pod, budgets).map_or(says, |held| held.to_string())),
        Err(Refused::SeveralBudgets) => Some(SEVERAL_BUDGETS.to_owned()),
        Err(Refused::Again { says, .. } | Refused::Forbidden(says) | Refused::Never(says)) => Some(says),
    }
}

fn read_refusal(status: &Status) -> Refused {
    let details = status.details.as_ref();
    let causes: Vec<(&str, &str)> = details
        .map(|details| details.causes.iter().map(|cause| (cause.reason.as_str(), cause.message.as_str())).collect())
        .unwrap_or_default();
    let retry_after = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    drain::refused(Refusal {
        code: status.code,
        message: &status.message,
        causes: &causes,
        retry_after: retry_after.map(|seconds| Duration::from_secs(u64::from(seconds))),
    })
}

/// What holds pods, and which: `web/checkout-7d9f and 2 more (PDB web/checkout allows 0 …)`, one entry a reason.
fn holders(left: &[&Pod], blocked: &HashMap<String, Blocked>, surges: &Surges) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in left.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let known = pod.uid().and_then(|uid| blocked.get(&uid)).map(|known| known.says.as_str());
        if let Some(says) = surges.waits_for(pod).or(known) {
            by_reason.entry(says).or_default().push(full_name(*pod));
        }
    }
    by_reason
        .into_iter()
        .map(|(says, mut pods)| {
            pods.sort();
            let more = if pods.len() > 1 { format!(" and {} more", pods.len() - 1) } else { String::new() };
            format!("{}{more} ({says})", pods[0])
        })
        .collect()
}

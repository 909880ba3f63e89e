//! Evictions: which are asked for now, eight at once; what each answer means; and what a drain still waits for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PostParams};
use kube::core::Status;
use kube::{Error, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use super::stuck;
use super::surge::Surges;
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::plan::decide::drain::{self, Fate, Refusal, Refused};
use crate::plan::decide::gates::full_name;
use crate::run::cluster::{Cluster, cause};
use crate::run::session::Session;
use crate::settings::Settings;

/// A pod that a budget holds is tried again at least this often, even if the budget's status says no.
const RETRY: Duration = Duration::from_secs(5);
/// An eviction that got no answer is tried again after this.
const UNANSWERED: Duration = Duration::from_secs(2);
/// 403 without a known cause may follow an outage of the API server; after this it is a missing right.
const FORBIDDEN: Duration = Duration::from_secs(90);

/// Evictions that are asked for at once: what one costs is mostly the way to the API server and etcd's disk, and a node must not be the only one
/// that it has time for.
const AT_ONCE: usize = 8;

const SEVERAL_BUDGETS: &str = "several PDBs guard it: the API server never evicts such a pod";

/// What is known of a pod whose eviction was refused.
pub struct Blocked {
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
pub struct Tries {
    /// Were there when the drain began.
    pub first: HashSet<String>,
    /// Came to the cordoned node, which they tolerate; told once.
    pub back: HashSet<String>,
    pub blocked: HashMap<String, Blocked>,
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

/// Asks for the evictions of those of `left` that may go now.
pub async fn evict_all(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    left: &[&Pod],
    budgets: &[PodDisruptionBudget],
    tries: &mut Tries,
    stoppable: bool,
) -> Result<(), Cause> {
    let asked = to_ask(left, budgets, tries);
    for some in asked.chunks(AT_ONCE) {
        // One eviction may take half a minute, and a node has a hundred pods.
        session.keep(Guard::LeaseBetweenEvictions).await?;
        if stoppable {
            session.safe_point(Guard::StopBetweenEvictions, Guard::HaltBetweenEvictions).await?;
        }
        let answers = some.iter().map(|Asked { pod, grace, .. }| evict(cluster, pod, *grace, false));
        let answers = futures::future::join_all(answers).await;
        let mut wrong = None;
        for (asked, answer) in some.iter().zip(answers) {
            match answer {
                Ok(()) => tries.accept(asked),
                Err(refused) => match tries.refuse(asked, refused, budgets) {
                    Ok(Some(blocked_for)) => {
                        stuck::release(session, cluster, settings, asked.pod, budgets, blocked_for, asked.grace).await?;
                    }
                    Ok(None) => {}
                    Err(cause) => wrong = wrong.or(Some(cause)),
                },
            }
        }
        if let Some(cause) = wrong {
            return Err(cause);
        }
    }
    Ok(())
}

/// An eviction that is asked for now.
struct Asked<'a> {
    pod: &'a Pod,
    uid: String,
    grace: i64,
    /// Of the one budget that guards it: its state, and how many disruptions it allows.
    of: Option<(String, i32)>,
    at: Instant,
}

/// Those pods whose eviction is to be asked for: what was never asked, what is to be tried again by now, and of what a budget has refused as many
/// as it has come to allow.
fn to_ask<'a>(left: &[&'a Pod], budgets: &[PodDisruptionBudget], tries: &mut Tries) -> Vec<Asked<'a>> {
    let Tries { blocked, accepted, spent, .. } = tries;
    spent.retain(|state, _| budgets.iter().any(|budget| budget.resource_version().as_ref() == Some(state)));
    let (now, mut taken) = (Instant::now(), spent.clone());
    let mut asked = Vec::new();
    for pod in left {
        let (Fate::Evict { grace_seconds: grace, .. }, Some(uid)) = (drain::fate(pod), pod.uid()) else { continue };
        if accepted.contains(&uid) {
            continue;
        }
        let of = guard(pod, budgets);
        // Only a budget that has come to allow it is a reason to ask before the time: one whose state is another than the one that
        // was refused, and that has more room than we have taken since.
        let room = |(state, allows): &(String, i32)| taken.get(state).copied().unwrap_or(0) < *allows;
        let allowed = |known: &Blocked| {
            known.by_budget
                && drain::held(pod, budgets).is_none()
                && of.as_ref().is_none_or(|guard| known.of.as_ref() != Some(&guard.0) && room(guard))
        };
        if blocked.get(&uid).is_some_and(|known| now < known.retry && !allowed(known)) {
            continue;
        }
        if let Some((state, _)) = &of {
            *taken.entry(state.clone()).or_default() += 1;
        }
        asked.push(Asked { pod, uid, grace, of, at: now });
    }
    asked
}

impl Tries {
    /// A budget has refused its eviction last.
    pub fn is_held(&self, pod: &Pod) -> bool {
        pod.uid().and_then(|uid| self.blocked.get(&uid)).is_some_and(|known| known.by_budget)
    }

    fn accept(&mut self, asked: &Asked<'_>) {
        self.accepted.insert(asked.uid.clone());
        if let Some((state, _)) = &asked.of {
            *self.spent.entry(state.clone()).or_default() += 1;
        }
    }

    /// What a refusal means; of one by a budget, for how long it has refused.
    fn refuse(
        &mut self,
        asked: &Asked<'_>,
        refused: Refused,
        budgets: &[PodDisruptionBudget],
    ) -> Result<Option<Duration>, Cause> {
        let Asked { pod, uid, of, at: now, .. } = asked;
        let now = *now;
        let by_budget = matches!(refused, Refused::Budget { .. } | Refused::SeveralBudgets);
        // Time that an outage took is no time in which a budget refused.
        let since = self.blocked.get(uid).filter(|known| known.by_budget == by_budget).map_or(now, |known| known.since);
        let (says, pause) = match refused {
            Refused::Gone => return Ok(None),
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
        let of = of.as_ref().map(|(state, _)| state.clone());
        self.blocked.insert(uid.clone(), Blocked { since, retry: now + pause, says, by_budget, of });
        Ok(by_budget.then(|| now - since))
    }
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
pub async fn may_evict(cluster: &Cluster, pod: &Pod, budgets: &[PodDisruptionBudget]) -> Option<String> {
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
pub fn holders(left: &[&Pod], tries: &Tries, surges: &Surges) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in left.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let known = pod.uid().and_then(|uid| tries.blocked.get(&uid)).map(|known| known.says.as_str());
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

//! Evictions: which are asked for now, of each budget one after the other; what each answer means; and what a drain still waits for.

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
use crate::plan::decide::budgets::Budgets;
use crate::plan::decide::drain::{self, Fate, Refusal, Refused};
use crate::plan::decide::gates::full_name;
use crate::run::cluster::{Cluster, cause};
use crate::run::session::Session;
use crate::settings::Settings;

/// Of a budget that allows nothing one eviction is asked for again at least this often, whatever its status says.
const RETRY: Duration = Duration::from_secs(5);
/// An eviction that got no answer is tried again after this.
const UNANSWERED: Duration = Duration::from_secs(2);
/// 403 without a known cause may follow an outage of the API server; after this it is a missing right.
const FORBIDDEN: Duration = Duration::from_secs(90);

/// Evictions that are asked for at once: what one costs is mostly the way to the API server and etcd's disk, and a node must not be the only one
/// that it has time for.
const AT_ONCE: usize = 16;
/// So long a budget's controller has to count an eviction; after it the next is asked for whatever its status says.
const COUNTED: Duration = Duration::from_secs(1);

const SEVERAL_BUDGETS: &str = "several PDBs guard it: the API server never evicts such a pod";

/// What is known of a pod whose eviction was refused.
pub struct Blocked {
    since: Instant,
    /// Not before.
    retry: Instant,
    says: String,
    by_budget: bool,
}

/// What a budget answered last.
struct Answered {
    at: Instant,
    /// Its resourceVersion, as it was known then: what that state allows, was granted or refused.
    state: String,
    /// Not before, unless another state allows it.
    retry: Instant,
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
    /// By the budgets' UIDs.
    answered: HashMap<String, Answered>,
}

/// A pod that is to be evicted, and the budget that decides about it.
struct Open<'a> {
    pod: &'a Pod,
    uid: String,
    grace: i64,
    budget: Option<Guardian>,
}

impl Open<'_> {
    /// One budget decides about both.
    fn is_guarded_with(&self, other: &Open<'_>) -> bool {
        self.budget.as_ref().zip(other.budget.as_ref()).is_some_and(|(own, others)| own.uid == others.uid)
    }
}

/// The one budget that decides, as it is now.
struct Guardian {
    uid: String,
    state: String,
    allows: bool,
    counted: bool,
}

impl Guardian {
    fn of(pod: &Pod, budgets: &[PodDisruptionBudget]) -> Option<Guardian> {
        let budget = drain::decides(pod, budgets)?;
        Some(Guardian {
            uid: budget.uid()?,
            state: budget.resource_version()?,
            allows: budget.status.as_ref().is_some_and(|status| status.disruptions_allowed > 0),
            counted: drain::is_counted(budget),
        })
    }
}

/// Asks for the evictions of those of `left` that may go now.
pub async fn evict_all(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    left: &[&Pod],
    budgets: &Budgets,
    tries: &mut Tries,
    stoppable: bool,
) -> Result<(), Cause> {
    let open = open(left, budgets, tries);
    let asked = to_ask(&open, budgets, tries, Instant::now());
    for some in asked.chunks(AT_ONCE) {
        // One eviction may take half a minute, and a node has a hundred pods.
        session.keep(Guard::LeaseBetweenEvictions).await?;
        if stoppable {
            session.safe_point(Guard::StopBetweenEvictions, Guard::HaltBetweenEvictions).await?;
        }
        let now = Instant::now();
        let answers = some.iter().map(|Open { pod, grace, .. }| evict(cluster, pod, *grace, false));
        let answers = futures::future::join_all(answers).await;
        let (mut held, mut wrong) = (Vec::new(), None);
        for (&asked, answer) in some.iter().zip(answers) {
            match answer.map_err(|refused| tries.refuse(asked, refused, &open, budgets, now)) {
                Ok(()) => tries.accept(asked, now),
                Err(Ok(by_budget)) => held.extend(by_budget),
                Err(Err(cause)) => wrong = wrong.or(Some(cause)),
            }
        }
        for (Open { pod, grace, .. }, blocked_for) in held {
            stuck::release(session, cluster, settings, pod, budgets.of(pod), blocked_for, *grace).await?;
        }
        if let Some(cause) = wrong {
            return Err(cause);
        }
    }
    Ok(())
}

/// Of `left`, those that have to be asked for and were not granted yet.
fn open<'a>(left: &[&'a Pod], budgets: &Budgets, tries: &Tries) -> Vec<Open<'a>> {
    let open = |pod: &&'a Pod| {
        let (Fate::Evict { grace_seconds: grace, .. }, uid) = (drain::fate(pod), pod.uid()?) else { return None };
        let budget = Guardian::of(pod, budgets.of(pod));
        (!tries.accepted.contains(&uid)).then_some(Open { pod, uid, grace, budget })
    };
    left.iter().filter_map(open).collect()
}

/// Those whose eviction is to be asked for now: what was never asked, and what is to be tried again by now. Of each budget one: the next when the one
/// before is counted and there is room for it.
fn to_ask<'a, 'o>(open: &'o [Open<'a>], budgets: &Budgets, tries: &Tries, now: Instant) -> Vec<&'o Open<'a>> {
    let mut asked = HashSet::new();
    let waits = |Open { pod, uid, budget, .. }: &Open<'_>| {
        let known = tries.blocked.get(uid).filter(|known| now < known.retry);
        // For one that a budget refused, its budget is asked; where none decides about it any more, it may go.
        known.is_some_and(|known| !known.by_budget || budget.is_none() && drain::held(pod, budgets.of(pod)).is_some())
    };
    let has_turn = |budget: &Guardian| {
        let may_go = |last: &Answered| {
            let counted = budget.counted || now >= last.at + COUNTED;
            now >= last.retry || budget.allows && counted && budget.state != last.state
        };
        tries.answered.get(&budget.uid).is_none_or(may_go)
    };
    let turn = |open: &&Open<'_>| match &open.budget {
        _ if waits(open) => false,
        Some(budget) => has_turn(budget) && asked.insert(budget.uid.clone()),
        None => true,
    };
    open.iter().filter(turn).collect()
}

impl Tries {
    /// A budget has refused its eviction last.
    pub fn is_held(&self, pod: &Pod) -> bool {
        pod.uid().and_then(|uid| self.blocked.get(&uid)).is_some_and(|known| known.by_budget)
    }

    fn accept(&mut self, asked: &Open<'_>, now: Instant) {
        self.accepted.insert(asked.uid.clone());
        self.answer(asked, now, RETRY);
    }

    /// The budget that decides about it has answered.
    fn answer(&mut self, asked: &Open<'_>, now: Instant, pause: Duration) {
        if let Some(Guardian { uid, state, .. }) = &asked.budget {
            self.answered.insert(uid.clone(), Answered { at: now, state: state.clone(), retry: now + pause });
        }
    }

    /// What a refusal means. Of one by a budget, whom it refuses and for how long it has: what it refuses to one it refuses to all of `open` that
    /// it decides about.
    fn refuse<'o, 'a>(
        &mut self,
        asked: &'o Open<'a>,
        refused: Refused,
        open: &'o [Open<'a>],
        budgets: &Budgets,
        now: Instant,
    ) -> Result<Vec<(&'o Open<'a>, Duration)>, Cause> {
        let name = || full_name(asked.pod);
        let (says, pause) = match refused {
            Refused::Gone => return Ok(Vec::new()),
            Refused::Budget { says, retry_after } => {
                let pause = retry_after.unwrap_or(RETRY);
                self.answer(asked, now, pause);
                let shares = |other: &&Open<'_>| other.uid != asked.uid && other.is_guarded_with(asked);
                let all = std::iter::once(asked).chain(open.iter().filter(shares));
                let refused_to = |one: &'o Open<'a>| {
                    let held = drain::held(one.pod, budgets.of(one.pod));
                    let says = held.map_or_else(|| says.clone(), |held| held.to_string());
                    (one, self.block(one, says, pause, true, now))
                };
                return Ok(all.map(refused_to).collect());
            }
            Refused::SeveralBudgets => {
                self.answer(asked, now, RETRY);
                return Ok(vec![(asked, self.block(asked, SEVERAL_BUDGETS.to_owned(), RETRY, true, now))]);
            }
            Refused::NamespaceEnding => ("its namespace is being deleted".to_owned(), RETRY),
            Refused::Again { says, pause } => (says, pause),
            Refused::Forbidden(message) => {
                if now - self.since(asked, false, now) >= guard::bound(Guard::EvictionForbidden, FORBIDDEN) {
                    return Err(Cause::refused(format!("evict {}: {message}", name())));
                }
                (message, RETRY)
            }
            Refused::Never(message) => return Err(Cause::step(format!("evict {}: {message}", name()))),
        };
        self.block(asked, says, pause, false, now);
        Ok(Vec::new())
    }

    /// Since when this pod's eviction is refused, by budgets or by others: time that an outage took is no time in which a budget refused.
    fn since(&self, open: &Open<'_>, by_budget: bool, now: Instant) -> Instant {
        self.blocked.get(&open.uid).filter(|known| known.by_budget == by_budget).map_or(now, |known| known.since)
    }

    /// Its eviction is refused. For how long it has been.
    fn block(&mut self, open: &Open<'_>, says: String, pause: Duration, by_budget: bool, now: Instant) -> Duration {
        let since = self.since(open, by_budget, now);
        self.blocked.insert(open.uid.clone(), Blocked { since, retry: now + pause, says, by_budget });
        now - since
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
pub fn holders(left: &[&Pod], budgets: &Budgets, tries: &Tries, surges: &Surges) -> Vec<String> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in left.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let known = || Some(pod.uid().and_then(|uid| tries.blocked.get(&uid))?.says.clone());
        // Those that were not asked for yet wait for the budget, too.
        let forecast = || drain::held(pod, budgets.of(pod)).map(|held| held.to_string());
        if let Some(says) = surges.waits_for(pod).map(str::to_owned).or_else(known).or_else(forecast) {
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

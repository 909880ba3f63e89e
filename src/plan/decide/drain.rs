//! The drain's decisions: which pods go, how gently, which budget holds one back, what an eviction's answer means, and when a pod that can
//! never be evicted may be deleted.
//!
//! The rules are kubectl's, with `--ignore-daemonsets --delete-emptydir-data --force --grace-period=300`; but a pod's own shorter grace
//! period is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use super::gates::{finished, full_name, is_ready};
use crate::guard::{self, Guard};
use crate::plan::model::admission::admission;
use crate::plan::model::policy::{Force, Unstick};
use crate::plan::model::span::span;

/// No pod gets longer than this to end (seconds).
pub const LONGEST_GRACE_SECONDS: i64 = 300;
/// What Kubernetes gives a pod that asks for nothing (seconds).
const USUAL_GRACE_SECONDS: i64 = 30;
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What the drain does with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Evict {
        /// Seconds.
        grace_seconds: i64,
        loses: Vec<Loss>,
    },
    /// It is ending already: only waited for.
    Ending,
    Stays(Stays),
}

/// What an eviction takes away for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The contents of its emptyDir volumes.
    LocalData,
    /// The pod itself: nothing creates it anew.
    Pod,
}

impl Loss {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Loss::LocalData => "its emptyDir data",
            Loss::Pod => "itself: nothing recreates it",
        }
    }
}

/// Why a pod stays on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// Its DaemonSet would put it there again.
    DaemonSet,
    /// A static pod's image in the API: the kubelet runs it from a file.
    Mirror,
}

/// What becomes of a pod when its node is drained: kubectl's rules.
pub fn fate(pod: &Pod) -> Fate {
    let over = finished(pod);
    let controller = controller(pod);
    if pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
        return Fate::Stays(Stays::Mirror);
    }
    if controller.is_some_and(|owner| owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/")) && !over {
        return Fate::Stays(Stays::DaemonSet);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Fate::Ending;
    }
    let mut loses = Vec::new();
    if !over && pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| volume.empty_dir.is_some()) {
        loses.push(Loss::LocalData);
    }
    if !over && controller.is_none() {
        loses.push(Loss::Pod);
    }
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(USUAL_GRACE_SECONDS);
    Fate::Evict { grace_seconds: own.min(LONGEST_GRACE_SECONDS), loses }
}

/// The taint of a cordon. A pod that tolerates it may be put on a cordoned node, so its replacement may come back to where it was evicted.
const CORDON: &str = "node.kubernetes.io/unschedulable";

/// The scheduler may put it on a cordoned node.
pub fn tolerates_cordon(pod: &Pod) -> bool {
    let tolerations = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    tolerations.into_iter().any(|toleration| {
        let exists = toleration.operator.as_deref() == Some("Exists");
        let key = toleration.key.as_deref().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let tolerated = (exists && key.is_empty())
            || (key == CORDON && (exists || toleration.value.as_deref().unwrap_or_default().is_empty()));
        tolerated && matches!(effect, "" | "NoSchedule")
    })
}

pub(super) fn controller(pod: &Pod) -> Option<&OwnerReference> {
    pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// What a pod is one of: its controller, or itself where it has none.
pub fn workload(pod: &Pod) -> String {
    controller(pod).map(|owner| owner.uid.clone()).or_else(|| pod.metadata.uid.clone()).unwrap_or_default()
}

/// The budgets that guard a pod, as the API server chooses them: an empty selector takes every pod of the namespace, a missing or an
/// invalid one none.
pub fn budgets_of<'a>(pod: &Pod, budgets: &'a [PodDisruptionBudget]) -> Vec<&'a PodDisruptionBudget> {
    let guards = |budget: &&PodDisruptionBudget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        budget.metadata.namespace == pod.metadata.namespace
            && selector.is_some_and(|selector| selects(selector, pod) == Some(true))
    };
    budgets.iter().filter(guards).collect()
}

/// None for a selector that is invalid.
pub(super) fn selects(selector: &LabelSelector, pod: &Pod) -> Option<bool> {
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let mut all = selector.match_labels.iter().flatten().all(|(key, value)| label(key) == Some(value));
    for wanted in selector.match_expressions.iter().flatten() {
        let (own, values) = (label(&wanted.key), wanted.values.as_deref().unwrap_or_default());
        all &= match (wanted.operator.as_str(), values.is_empty()) {
            ("In", false) => own.is_some_and(|own| values.contains(own)),
            ("NotIn", false) => !own.is_some_and(|own| values.contains(own)),
            ("Exists", true) => own.is_some(),
            ("DoesNotExist", true) => own.is_none(),
            _ => return None,
        };
    }
    Some(all)
}

/// What keeps a pod from being evicted at this moment, if anything does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The budget allows no disruption now; healthy pods may change that.
    Now(String),
    /// The budget allows none even when all its pods are healthy.
    Always(String),
    /// More than one budget guards it: the API server refuses to evict such a pod at all.
    Several(Vec<String>),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Now(says) => f.write_str(says),
            Held::Always(says) => write!(f, "{says}, and never will"),
            Held::Several(names) => write!(f, "guarded by {}: the API server never evicts such a pod", names.join(" and ")),
        }
    }
}

/// Forecasts an eviction, by the API server's own rules.
pub fn held(pod: &Pod, budgets: &[PodDisruptionBudget]) -> Option<Held> {
    if unguarded(pod) {
        return None;
    }
    let guards = budgets_of(pod, budgets);
    let [budget] = guards[..] else {
        return (!guards.is_empty()).then(|| Held::Several(guards.iter().map(|budget| budget_name(budget)).collect()));
    };
    let Some(status) = &budget.status else {
        return Some(Held::Now(format!("{} has no status yet", budget_name(budget))));
    };
    if goes_for_nothing(pod, budget) {
        return None;
    }
    let counts = format!("{} of {} wanted healthy", status.current_healthy, status.desired_healthy);
    let says = format!("{} allows {} ({counts})", budget_name(budget), status.disruptions_allowed);
    match status.disruptions_allowed {
        _ if !is_current(budget) => Some(Held::Now(format!("{says}; it is still being processed"))),
        1.. => None,
        _ if status.expected_pods > 0 && status.desired_healthy >= status.expected_pods => Some(Held::Always(says)),
        _ => Some(Held::Now(says)),
    }
}

/// The budget that loses one of its disruptions by the eviction of this pod, and so decides about it.
pub fn decides<'a>(pod: &Pod, budgets: &'a [PodDisruptionBudget]) -> Option<&'a PodDisruptionBudget> {
    let [budget] = budgets_of(pod, budgets)[..] else { return None };
    (!unguarded(pod) && !goes_for_nothing(pod, budget)).then_some(budget)
}

/// No budget is asked about a pod that does not run.
fn unguarded(pod: &Pod) -> bool {
    let pending = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
    pending || finished(pod) || pod.metadata.deletion_timestamp.is_some()
}

/// A pod that is not ready may go without a disruption that counts: always, or while the others are healthy enough.
fn goes_for_nothing(pod: &Pod, budget: &PodDisruptionBudget) -> bool {
    let always = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref()) == Some("AlwaysAllow");
    let healthy = budget
        .status
        .as_ref()
        .is_some_and(|status| status.desired_healthy > 0 && status.current_healthy >= status.desired_healthy);
    !is_ready(pod) && (always || healthy)
}

/// An eviction writes to its budget's status, and the budget's controller writes there again once it has counted it. Whoever asks in between may
/// meet that write, and the API server then lets it wait half a second.
pub fn is_counted(budget: &PodDisruptionBudget) -> bool {
    let status = budget.status.as_ref();
    is_current(budget) && status.is_none_or(|status| status.disrupted_pods.iter().flatten().next().is_none())
}

fn budget_name(budget: &PodDisruptionBudget) -> String {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("PDB {}/{}", of(&budget.metadata.namespace), of(&budget.metadata.name))
}

/// The controller has seen the budget as it stands.
fn is_current(budget: &PodDisruptionBudget) -> bool {
    let observed = budget.status.as_ref().and_then(|status| status.observed_generation);
    matches!((observed, budget.metadata.generation), (Some(observed), Some(generation)) if observed >= generation)
}

/// When a pod may be deleted that its budget never lets go.
#[derive(Clone, Copy, Debug)]
pub struct UnstickRule<'a> {
    pub unstick: Unstick,
    /// How long its eviction must have been refused before.
    pub after: Duration,
    /// The annotation by which a pod or its budget says no, whatever its value.
    pub opt_out: &'a str,
    /// None: a pod that stays blocked is blocked.
    pub force: Option<Force<'a>>,
}

impl UnstickRule<'_> {
    /// The setting that decides, with its value.
    pub fn setting(&self) -> String {
        let value = match self.unstick {
            Unstick::Never => "never",
            Unstick::Structural => "structural",
            Unstick::All => "all",
        };
        format!("drain-unstick: {value}")
    }
}

/// Which pods a drain deletes, for people.
impl fmt::Display for UnstickRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = span(self.after);
        match self.unstick {
            Unstick::Never => f.write_str("no pod is deleted for a budget")?,
            Unstick::Structural => {
                write!(
                    f,
                    "a pod is deleted after {after} where it alone is guarded by one budget, which no controller owns, and "
                )?;
                f.write_str("its ReplicaSet recreates it")?;
            }
            Unstick::All => write!(f, "any other pod is deleted after {after}")?,
        }
        write!(f, " ({})", self.setting())
    }
}

/// The pod, or a budget that guards it, bears the annotation that says no.
pub(super) fn opts_out(pod: &Pod, budgets: &[PodDisruptionBudget], rule: UnstickRule) -> bool {
    let says_no = |annotations: &Option<BTreeMap<String, String>>| {
        annotations.as_ref().is_some_and(|annotations| annotations.contains_key(rule.opt_out))
    };
    let by_budget = || budgets_of(pod, budgets).iter().any(|budget| says_no(&budget.metadata.annotations));
    (says_no(&pod.metadata.annotations) || by_budget()) && guard::on(Guard::UnstickOptOut)
}

/// Whether a pod whose eviction has been refused for `blocked_for` may be deleted instead (with its UID as precondition).
/// `Err` says why not.
pub fn unstick(pod: &Pod, budgets: &[PodDisruptionBudget], blocked_for: Duration, rule: UnstickRule) -> Result<(), String> {
    may_unstick(pod, budgets, rule)?;
    if blocked_for < rule.after && guard::on(Guard::UnstickAfter) {
        return Err(format!("blocked for {} s of {} s", blocked_for.as_secs(), rule.after.as_secs()));
    }
    if rule.unstick == Unstick::All {
        return Ok(());
    }
    let healthy = |budget: &&PodDisruptionBudget| budget.status.as_ref().map(|status| status.current_healthy) == Some(1);
    let whole = budgets_of(pod, budgets).first().is_some_and(healthy);
    if (!whole && guard::on(Guard::UnstickHopeless)) || !is_ready(pod) {
        return Err(format!("{} is not healthy", full_name(pod)));
    }
    Ok(())
}

/// Whether it may be deleted at all, once it is healthy and has been refused for long enough: the gate before a run asks the same as the drain.
///
/// `Structural` deletes only where waiting is hopeless and nobody else is in charge: one budget, current, without owner, that guards one
/// pod; and that pod healthy and a ReplicaSet's, which makes a new one at once.
pub fn may_unstick(pod: &Pod, budgets: &[PodDisruptionBudget], rule: UnstickRule) -> Result<(), String> {
    let name = full_name(pod);
    let guards = budgets_of(pod, budgets);
    if rule.unstick == Unstick::Never && guard::on(Guard::UnstickAllowed) {
        return Err("the settings never delete a pod (drain-unstick)".to_owned());
    }
    if !matches!(fate(pod), Fate::Evict { .. }) {
        return Err(format!("{name} is not to be evicted"));
    }
    if opts_out(pod, budgets, rule) {
        return Err(format!("the annotation {} says no", rule.opt_out));
    }
    if rule.unstick == Unstick::All {
        return Ok(());
    }
    let [budget] = guards[..] else {
        return Err(format!("{} budgets guard {name}, not one", guards.len()));
    };
    let budget_is = budget_name(budget);
    let Some(status) = budget.status.as_ref().filter(|_| is_current(budget)) else {
        return Err(format!("the status of {budget_is} is not current"));
    };
    if budget.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
        return Err(format!("{budget_is} belongs to a controller"));
    }
    let can_wait = status.expected_pods != 1 || status.desired_healthy < 1 || status.disruptions_allowed > 0;
    if can_wait && guard::on(Guard::UnstickHopeless) {
        let (expected, desired) = (status.expected_pods, status.desired_healthy);
        return Err(format!("{budget_is} guards {expected} pods and wants {desired} healthy: it can be satisfied"));
    }
    match controller(pod) {
        Some(owner) if owner.kind == "ReplicaSet" && owner.api_version.starts_with("apps/") => Ok(()),
        _ if !guard::on(Guard::UnstickMadeAnew) => Ok(()),
        Some(owner) => Err(format!("{name} belongs to {} {}, not to a ReplicaSet", owner.kind, owner.name)),
        None => Err(format!("{name} has no controller that would recreate it")),
    }
}

/// The parts of an API server's refusal that decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusal<'a> {
    pub code: u16,
    pub message: &'a str,
    /// `reason` and `message` of each of `details.causes`.
    pub causes: &'a [(&'a str, &'a str)],
    /// `details.retryAfterSeconds`, where it is not 0.
    pub retry_after: Option<Duration>,
}

/// What a refused eviction means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pod is gone, or another one has its name: done.
    Gone,
    /// A budget holds it: again when the budget allows more, or after `retry_after`.
    Budget { says: String, retry_after: Option<Duration> },
    /// Its namespace is being deleted, and the pod with it: only waited for.
    NamespaceEnding,
    /// Not now, in the API server's own words: it is busy or just back (it answers 403 and 500 for a while), or admission does not let the
    /// pod go. Again after a pause, for as long as the drain lasts: a webhook that denies may first move what runs in the pod.
    Again { says: String, pause: Duration },
    /// More than one budget guards the pod: this never passes.
    SeveralBudgets,
    /// 403 without a known cause: missing rights, unless the API server has only just come back. Again, for a while.
    Forbidden(String),
    /// The request itself is refused.
    Never(String),
}

/// Between two tries where the server asks for no other time.
const SOON: Duration = Duration::from_secs(1);
/// The same where admission holds the pod: what it waits for takes longer, and each question is one more for a webhook that may be in need.
const ADMITTED: Duration = Duration::from_secs(5);

/// What an eviction that was refused means for the pod: wait for its budget, or a reason that no wait mends.
pub fn refused(refusal: Refusal) -> Refused {
    let cause = |wanted: &str| refusal.causes.iter().find(|(reason, _)| *reason == wanted).map(|(_, says)| *says);
    let Refusal { code, message, retry_after, .. } = refusal;
    if admission(message).is_some() {
        return Refused::Again { says: message.to_owned(), pause: retry_after.unwrap_or(ADMITTED) };
    }
    match (code, cause("DisruptionBudget"), cause("NamespaceTerminating")) {
        (404, ..) => Refused::Gone,
        (409, ..) if message.contains("UID in the precondition") => Refused::Gone,
        (429, Some(says), _) => Refused::Budget { says: says.to_owned(), retry_after },
        (500, ..) if message.contains("more than one PodDisruptionBudget") => Refused::SeveralBudgets,
        (403, _, Some(_)) => Refused::NamespaceEnding,
        (403, ..) => Refused::Forbidden(message.to_owned()),
        (401 | 408 | 409 | 429 | 500..=599, ..) => {
            let says = format!("the API server answers {code}: {message}");
            Refused::Again { says, pause: retry_after.unwrap_or(SOON) }
        }
        _ => Refused::Never(message.to_owned()),
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
pub(super) mod tests;

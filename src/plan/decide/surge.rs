//! Surge: whether a Deployment's only pod can be replaced elsewhere before it goes, by a rollout restart, where an eviction would leave a
//! moment without any. Decided by what is, so that whoever takes a drain up does not restart it once more.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::drain::{self, Fate};
use super::gates::{finished, full_name};
use crate::guard::{self, Guard};

/// What the API server fills in where a Deployment says nothing of its surge, or of what may be unavailable.
const USUAL_SHARE: &str = "25%";
/// Volumes that two pods on two nodes may have at the same time, or that each has for itself. One that is not here is taken for a disk.
const SHARED: [&str; 12] = [
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "hostPath",
    "nfs",
    "csi",
    "cephfs",
    "azureFile",
    "image",
];
/// Claims that two nodes may mount at the same time.
const OF_MANY: [&str; 2] = ["ReadWriteMany", "ReadOnlyMany"];

/// What a drain does for a pod instead of evicting it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Its Deployment is restarted.
    Restart,
    /// A rollout is on its way, whoever began it, and takes the pod away itself; what it waits for.
    Wait(String),
}

/// All that is looked at for one pod.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub pod: &'a Pod,
    /// The ReplicaSet by the name that the pod gives.
    pub set: &'a ReplicaSet,
    pub deployment: &'a Deployment,
    /// Of the pod's PersistentVolumeClaims, those that are there.
    pub claims: &'a [PersistentVolumeClaim],
    pub budgets: &'a [PodDisruptionBudget],
    /// The annotation by which a pod, its Deployment or its budget says no, whatever its value.
    pub opt_out: &'a str,
}

/// The name of its ReplicaSet, where it may be some Deployment's only pod: whether it is, that object says.
pub fn set_of<'a>(pod: &'a Pod, deployments: &[Deployment]) -> Option<&'a str> {
    let owner = drain::controller(pod).filter(|owner| owner.kind == "ReplicaSet" && owner.api_version.starts_with("apps/"))?;
    let alone = |deployment: &Deployment| {
        let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
        deployment.metadata.namespace == pod.metadata.namespace
            && (replicas(deployment) == 1 || !guard::on(Guard::SurgeEligible))
            && selector.is_some_and(|selector| drain::selects(selector, pod) == Some(true))
    };
    // One that has finished counts for no ReplicaSet, and no rollout takes it away.
    let lives = matches!(drain::fate(pod), Fate::Evict { .. }) && !finished(pod);
    (lives && deployments.iter().any(alone)).then_some(owner.name.as_str())
}

/// The Deployment that a ReplicaSet belongs to.
pub fn deployment_of<'a>(set: &ReplicaSet, deployments: &'a [Deployment]) -> Option<&'a Deployment> {
    let owner = set.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let owns = |deployment: &&Deployment| {
        deployment.metadata.uid.as_ref() == Some(&owner.uid) && deployment.metadata.namespace == set.metadata.namespace
    };
    deployments.iter().find(owns)
}

/// The claims that a pod mounts, by their names.
pub fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// What is done for this pod; `Err` says why it is evicted like any other.
pub fn surge(seen: Seen<'_>) -> Result<Instead, String> {
    match eligible(seen) {
        Err(why) if guard::on(Guard::SurgeEligible) => return Err(why),
        _ => {}
    }
    opted_out(seen)?;
    rollout(seen.deployment)
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether a restart would bring up the new pod beside the former one, and on another node.
fn eligible(Seen { pod, set, deployment, claims, .. }: Seen<'_>) -> Result<(), String> {
    let (name, is) = (full_name(pod), format!("Deployment {}", full_name(deployment)));
    let owner = drain::controller(pod).map(|owner| owner.uid.as_str());
    if owner.is_none() || owner != set.metadata.uid.as_deref() {
        return Err(format!("{name} does not belong to ReplicaSet {}", full_name(set)));
    }
    if deployment_of(set, std::slice::from_ref(deployment)).is_none() {
        return Err(format!("ReplicaSet {} does not belong to {is}", full_name(set)));
    }
    new_pod_first(deployment)?;
    if drain::tolerates_cordon(pod) {
        return Err(format!("{name} tolerates the cordon: the new one might come to the same node"));
    }
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.map(|volume| mountable_twice(volume, claims)).find(Result::is_err).unwrap_or(Ok(()))
}

/// Whether it is a Deployment of one pod whose rollout has the new pod first, and takes the former one away when that is available.
pub fn new_pod_first(deployment: &Deployment) -> Result<(), String> {
    let is = format!("Deployment {}", full_name(deployment));
    if deployment.metadata.deletion_timestamp.is_some() {
        return Err(format!("{is} is being deleted"));
    }
    let Some(spec) = &deployment.spec else { return Err(format!("{is} says nothing of its pods")) };
    if replicas(deployment) != 1 {
        return Err(format!("{is} wants {} pods, not one", replicas(deployment)));
    }
    if spec.paused == Some(true) {
        return Err(format!("{is} is paused"));
    }
    let strategy = spec.strategy.as_ref();
    let kind = strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate");
    if kind != "RollingUpdate" {
        return Err(format!("{is} has the strategy {kind}"));
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let shares = rolling.map(|rolling| (rolling.max_surge.as_ref(), rolling.max_unavailable.as_ref())).unwrap_or_default();
    match bounds(shares.0, shares.1, 1) {
        None => Err(format!("{is} has a strategy that cannot be read")),
        Some((surge, unavailable)) if surge < 1 || unavailable > 0 => {
            Err(format!("{is} takes its pod away before the new one is there (maxSurge {surge}, maxUnavailable {unavailable})"))
        }
        Some(_) => Ok(()),
    }
}

/// maxSurge and maxUnavailable as the Deployment's controller resolves them: shares of the replicas, a surge rounded up and what may be
/// missing rounded down, and one may be missing where both come to nothing.
fn bounds(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, replicas: i64) -> Option<(i64, i64)> {
    let usual = IntOrString::String(USUAL_SHARE.to_owned());
    let scaled = |share: Option<&IntOrString>, up: bool| match share.unwrap_or(&usual) {
        IntOrString::Int(count) => Some(i64::from(*count)),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse::<u16>().ok()?.into();
            Some((percent * replicas + if up { 99 } else { 0 }) / 100)
        }
    };
    let (surge, unavailable) = (scaled(surge, true)?, scaled(unavailable, false)?);
    Some((surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable }))
}

/// The new pod starts on another node while the former one still has the volume.
fn mountable_twice(volume: &Volume, claims: &[PersistentVolumeClaim]) -> Result<(), String> {
    if let Some(of) = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str()) {
        let Some(claim) = claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(of)) else {
            return Err(format!("its PersistentVolumeClaim {of} is not there"));
        };
        let bound = claim.status.as_ref().and_then(|status| status.access_modes.as_ref()).filter(|modes| !modes.is_empty());
        let wanted = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
        let modes = bound.or(wanted).map(Vec::as_slice).unwrap_or_default();
        return match modes.iter().find(|mode| !OF_MANY.contains(&mode.as_str())) {
            Some(mode) => Err(format!("its PersistentVolumeClaim {of} is {mode}: two nodes cannot have it at once")),
            None if modes.is_empty() => Err(format!("its PersistentVolumeClaim {of} does not say who may mount it")),
            None => Ok(()),
        };
    }
    let fields = serde_json::to_value(volume).ok();
    let kinds = fields.iter().flat_map(|fields| fields.as_object().into_iter().flatten());
    let kinds: Vec<&str> =
        kinds.filter(|(name, value)| *name != "name" && !value.is_null()).map(|(name, _)| name.as_str()).collect();
    match kinds.as_slice() {
        [kind] if SHARED.contains(kind) => Ok(()),
        kinds => Err(format!("its volume {} ({}) may be a disk that only one node can have", volume.name, kinds.join(", "))),
    }
}

fn opted_out(Seen { pod, deployment, budgets, opt_out, .. }: Seen<'_>) -> Result<(), String> {
    let own = [&pod.metadata, &deployment.metadata].into_iter();
    let budgets = drain::budgets_of(pod, budgets);
    let mut all = own.chain(budgets.iter().map(|budget| &budget.metadata));
    let says = all.any(|metadata| metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(opt_out)));
    if says && guard::on(Guard::SurgeOptOut) { Err(format!("the annotation {opt_out} says no")) } else { Ok(()) }
}

/// Where its rollout stands, as `kubectl rollout status` tells it.
fn rollout(deployment: &Deployment) -> Result<Instead, String> {
    let status = deployment.status.clone().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or(0);
    if deployment.metadata.generation.is_some_and(|generation| observed < generation) {
        return Ok(Instead::Wait("its controller has not seen its last change yet".to_owned()));
    }
    let (all, updated) = (status.replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
    if updated < 1 || all > updated {
        let progress = status.conditions.iter().flatten().find(|condition| condition.type_ == "Progressing");
        let message = progress.and_then(|condition| condition.message.as_deref()).filter(|message| !message.is_empty());
        let says = message.unwrap_or("its new pod is not available yet").to_owned();
        let given_up = progress.and_then(|condition| condition.reason.as_deref()) == Some("ProgressDeadlineExceeded");
        return if given_up { Err(format!("its rollout does not go on: {says}")) } else { Ok(Instead::Wait(says)) };
    }
    if status.available_replicas.unwrap_or(0) < 1 {
        return Err("it is not available now: an eviction takes nothing away".to_owned());
    }
    Ok(Instead::Restart)
}

#[cfg(test)]
#[path = "surge_tests.rs"]
mod tests;

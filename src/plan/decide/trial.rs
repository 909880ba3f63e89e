//! Whether the target's kubelet and kubeadm accept a node: what they said when they were tried there, and what the kubelet reads only once it
//! starts. Each table says from which release on something holds.

use serde_json::Value;

use crate::failure::Cause;
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::words::{Flag, HostPath, KubeadmCheck, command};

/// Where the kubelet's configuration stands on a node.
const FILE: &str = "/var/lib/kubelet/config.yaml";
/// Where kubeadm keeps flags of a node's kubelet.
const KUBEADM_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// The oldest containerd with which the kubelet starts, from which minor version of Kubernetes on.
const CONTAINERD: [(u32, Version); 2] = [
    // CRI v1 alone.
    (26, Version::new(1, 6, 0)),
    // It asks the runtime for its cgroup driver, and has none to fall back to.
    (38, Version::new(2, 0, 0)),
];

/// From this minor version on, a kubelet that is not told otherwise does not start on cgroup v1.
const FAILS_ON_CGROUP_V1: u32 = 35;
const FAIL_CGROUP_V1: &str = "failCgroupV1";

/// Flags that `kubeadm upgrade` to this one minor version takes out of its own file.
const TAKEN_OUT: [(&str, u32); 1] = [("--pod-infra-container-image", 35)];

/// Feature gates that are gone, from which minor version on: a kubelet whose configuration still sets one does not start.
const GATES_GONE: &[(u32, &[&str])] = &[
    (
        36,
        &[
            "CPUCFSQuotaPeriod",
            "CSIMigrationPortworx",
            "HonorPVReclaimPolicy",
            "InPlacePodVerticalScalingAllocatedStatus",
            "InTreePluginPortworxUnregister",
            "MemoryManager",
            "RuntimeClassInImageCriAPI",
            "ServiceTrafficDistribution",
            "StructuredAuthorizationConfiguration",
            "TopologyAwareHints",
            "WatchFromStorageWithoutResourceVersion",
        ],
    ),
    (
        37,
        &[
            "APIServerTracing",
            "AnonymousAuthConfigurableEndpoints",
            "AnyVolumeDataSource",
            "AuthorizeNodeWithSelectors",
            "AuthorizeWithSelectors",
            "BtreeWatchCache",
            "ConsistentListFromCache",
            "GangScheduling",
            "JobBackoffLimitPerIndex",
            "JobPodReplacementPolicy",
            "JobSuccessPolicy",
            "LogarithmicScaleDown",
            "OrderedNamespaceDeletion",
            "PodLifecycleSleepAction",
            "PodLifecycleSleepActionAllowZero",
            "PreventStaticPodAPIReferences",
            "RelaxedDNSSearchValidation",
            "ResilientWatchCacheInitialization",
            "RetryGenerateName",
            "SchedulerQueueingHints",
            "SidecarContainers",
            "StreamingCollectionEncodingToJSON",
            "StreamingCollectionEncodingToProtobuf",
            "StructuredAuthenticationConfiguration",
            "WorkloadAwarePreemption",
        ],
    ),
];

/// What was found on one node.
#[derive(Clone, Debug, Default)]
pub struct Found<'a> {
    pub cgroup_v1: bool,
    /// A flag or a drop-in of its own allows that.
    pub allows_cgroup_v1: bool,
    /// Its kubelet's configuration.
    pub file: &'a str,
    /// The cluster's, which kubeadm writes over it.
    pub configuration: &'a str,
    /// kubeadm is told to patch what it writes, so what the file says may be kept.
    pub patched: bool,
    /// The containerd that it will have; None: it has another runtime.
    pub containerd: Option<Version>,
    /// Feature gates that flags of its kubelet set.
    pub gates: Vec<String>,
    pub refused: Vec<Refused>,
    /// What the new kubeadm's preflight objects to, and the lines that say why.
    pub objections: Vec<KubeadmCheck>,
    pub notes: Vec<String>,
}

/// A flag that the new kubelet does not start with.
#[derive(Clone, Debug)]
pub struct Refused {
    pub flag: Flag,
    /// The kubelet's own words.
    pub says: String,
    /// Files and lines that set it, as far as they are known.
    pub set_at: Vec<(HostPath, u32)>,
}

/// # Errors
/// Refused: all that keeps the target from this node.
pub fn judge(node: &str, found: &Found<'_>, target: Version) -> Result<(), Cause> {
    let mut wrong: Vec<Cause> = found.refused.iter().filter_map(|refused| flag(refused, target)).collect();
    wrong.extend(cgroup(found, target));
    wrong.extend(gates(found, target));
    wrong.extend(containerd(node, found, target));
    wrong.extend(parse::no_objections(&found.objections, &found.notes).err());
    match wrong.len() {
        0 | 1 => wrong.pop().map_or(Ok(()), Err),
        several => {
            let all = Cause::refused(format!("{several} things there keep it from {target}"));
            Err(wrong.into_iter().fold(all, |mut all, cause| {
                all.detail.push(cause.what);
                all.detail.extend(cause.detail.into_iter().map(|line| format!("  {line}")));
                all.next.extend(cause.next.into_iter().filter(|next| !all.next.contains(next)).collect::<Vec<_>>());
                all
            }))
        }
    }
}

fn flag(Refused { flag, says, set_at }: &Refused, target: Version) -> Option<Cause> {
    let only_kubeadms = !set_at.is_empty() && set_at.iter().all(|(file, _)| file.as_str() == KUBEADM_FLAGS);
    if only_kubeadms && TAKEN_OUT.contains(&(flag.as_str(), target.minor)) {
        return None;
    }
    let places: Vec<String> = set_at.iter().map(|(file, line)| format!("{file}:{line}")).collect();
    let place = if places.is_empty() { "set in no file that is known".to_owned() } else { places.join(", ") };
    let cause = Cause::refused(format!("kubelet {target} does not start with {flag} ({place})")).detail([says.trim()]);
    Some(match set_at.first() {
        Some((file, _)) => {
            cause.next(command!("sudoedit {}    # on the node: take {} out, then restart the kubelet", file, flag))
        }
        None => cause.next("systemctl cat kubelet    # on the node: what sets it; if nothing does any more, restart the kubelet"),
    })
}

fn cgroup(found: &Found<'_>, target: Version) -> Option<Cause> {
    if !found.cgroup_v1 || found.allows_cgroup_v1 || target.minor < FAILS_ON_CGROUP_V1 {
        return None;
    }
    let allows = |text: &str| setting(text).get(FAIL_CGROUP_V1) == Some(&Value::Bool(false));
    if allows(found.configuration) || (found.patched && allows(found.file)) {
        return None;
    }
    let place = match line_of(found.file, FAIL_CGROUP_V1) {
        Some(line) if allows(found.file) => {
            format!("{FILE}:{line} does, but kubeadm writes that file anew from ConfigMap kubelet-config, which does not")
        }
        Some(line) => format!("{FILE}:{line} says otherwise"),
        None => format!("{FILE} does not say so"),
    };
    let what = format!("it runs on cgroup v1, where kubelet {target} starts only if {FAIL_CGROUP_V1} is false: {place}");
    Some(Cause::refused(what).next(command!(
        "kubectl -n kube-system edit configmap kubelet-config    # add {}: false, and the same to {} of each such node",
        FAIL_CGROUP_V1,
        FILE
    )))
}

fn gates(found: &Found<'_>, target: Version) -> Vec<Cause> {
    let of = |text: &str| match setting(text).remove("featureGates") {
        Some(Value::Object(gates)) => gates.into_iter().map(|(gate, _)| gate).collect(),
        _ => Vec::new(),
    };
    let (here, everywhere) = (of(found.file), of(found.configuration));
    let gone = GATES_GONE.iter().filter(|(since, _)| target.minor >= *since).flat_map(|(_, gates)| gates.iter().copied());
    let set = gone.filter(|gate| here.iter().chain(&everywhere).chain(&found.gates).any(|own| own == gate));
    set.map(|gate| {
        let place = match line_of(found.file, gate) {
            Some(line) => format!("{FILE}:{line}"),
            None if found.gates.iter().any(|own| own == gate) => "--feature-gates".to_owned(),
            None => "ConfigMap kube-system/kubelet-config".to_owned(),
        };
        let what = format!("kubelet {target} does not start with the feature gate {gate}, which is gone ({place})");
        Cause::refused(what).next(command!(
            "kubectl -n kube-system edit configmap kubelet-config    # take {} out of featureGates, and out of {} of each node",
            gate,
            FILE
        ))
    })
    .collect()
}

fn containerd(node: &str, found: &Found<'_>, target: Version) -> Option<Cause> {
    let own = found.containerd?;
    let (_, floor) = CONTAINERD.iter().rev().find(|(since, _)| target.minor >= *since)?;
    (own < *floor).then(|| {
        Cause::refused(format!("containerd {own} is too old for kubelet {target}, which wants {floor} or newer"))
            .next(command!("k8s-upgrade drain {}    # then raise containerd there, and kubectl uncordon it", node))
    })
}

/// What a KubeletConfiguration says, at its top. One that cannot be read says nothing: whether it is kept is asked elsewhere.
fn setting(text: &str) -> serde_json::Map<String, Value> {
    match serde_saphyr::from_str(text) {
        Ok(Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    }
}

/// The line of a file that sets this key.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let sets = |line: &str| {
        line.trim_start()
            .trim_start_matches('"')
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
    };
    text.lines().position(sets).map(|at| at + 1)
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;

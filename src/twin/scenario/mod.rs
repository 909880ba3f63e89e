//! What a world begins as: a cluster before a run, in terms that a person may write, read and share.
//!
//! [`Scenario`] is the format of the file that `rehearse --save` writes and `--scenario` reads; what is said of its fields here is what
//! [`SCHEMA`] tells a person. `read` tells what is wrong with a file and where, `check` what no cluster can be, `build` makes a
//! [`super::State`] of it, `runbook` has clusters that are always at hand, `copy` describes a real one.

mod build;
mod check;
mod copy;
mod limits;
mod objects;
mod read;
mod runbook;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use build::ssh_key;
pub use copy::Objects;
pub use read::{Fault, Source};

use crate::failure::Cause;
use crate::plan::model::version::Version;

/// A cluster before an upgrade, what surrounds it, and where it is to go: what `k8s-upgrade rehearse` begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "A scenario of k8s-upgrade rehearse"))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// In a few words, for people: whose cluster, and what the rehearsal is to show.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The release to go to; `--target` on the command line goes first.
    #[serde(with = "text")]
    #[cfg_attr(test, schemars(with = "Version"))]
    pub target: Version,
    /// One seed gives one history, down to the second; `--seed` goes first.
    #[serde(default)]
    pub seed: u64,
    /// When the rehearsal begins: date, time and offset, as 2026-11-22T12:05:00Z.
    pub start: Timestamp,
    /// The machines; at least one is a control plane.
    #[cfg_attr(test, schemars(extend("maxItems" = limits::NODES)))]
    pub nodes: Vec<Node>,
    /// What runs on them beside the static pods of control planes, add-ons included.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("maxItems" = limits::OBJECTS)))]
    pub workloads: Vec<Workload>,
    /// PodDisruptionBudgets, which decide what a drain may evict.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("maxItems" = limits::OBJECTS)))]
    pub budgets: Vec<Budget>,
    /// HorizontalPodAutoscalers: what they might make room for is waited for. None of them scales in a rehearsal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(extend("maxItems" = limits::OBJECTS)))]
    pub autoscalers: Vec<Autoscaler>,
    /// Alerts that fire, beside those of the upgrade's own rules, which are evaluated anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(extend("maxItems" = limits::HAPPENING)))]
    pub alerts: Vec<Alert>,
    /// What Prometheus wants of whoever asks it; nothing, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_wants: Option<Wants>,
    /// What the package index lists beside the versions that run; the target alone, if nothing is said.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("maxItems" = limits::HAPPENING)))]
    pub releases: Vec<Release>,
    /// Settings of the program that differ from its defaults, by the keys of its config.yaml.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What of a real cluster is not imitated, a sentence each; told with every result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
}

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    /// It runs etcd, the API server, the controller manager and the scheduler; else it is a worker.
    #[serde(default, skip_serializing_if = "is_false")]
    pub control_plane: bool,
    /// Version of the kubelet and of the packages, as 1.34.2.
    #[serde(with = "text")]
    #[cfg_attr(test, schemars(with = "Version"))]
    pub version: Version,
    /// Version of the static pods of a control plane, where it differs from the kubelet's: a run was cut between the two.
    #[serde(default, with = "optional_text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Version>"))]
    pub control_plane_version: Option<Version>,
    /// Version of containerd, as 1.7.28; with its distribution, as 2.1.4~debian.12: sources offer what nodes of that one run.
    pub containerd: String,
    /// The package that it is of; containerd.io, Docker's, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("enum" = check::CONTAINERDS)))]
    pub containerd_package: Option<String>,
    /// What else the node's package sources offer of that package, each by its whole version, as 2.1.4-1~ubuntu.22.04~jammy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containerd_offers: Vec<String>,
    /// Its kernel's control groups are set up as version 1, on which newer kubelets start only if their configuration allows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cgroup_v1: bool,
    /// What /etc/default/kubelet adds to the flags of its kubelet, as --node-ip=10.0.0.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubelet_flags: Vec<String>,
    /// InternalIP: where SSH finds it.
    pub address: String,
    /// The label kubernetes.io/hostname, where it is not the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Labels beside the hostname and the role, for node selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints beside those that a node's state brings by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// A person has cordoned it: no new pods, and the cordon is to be there afterwards.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cordoned: bool,
    /// It is not Ready when the rehearsal begins.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_ready: bool,
    /// When its readiness changed last; 30 days before the start if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
}

/// What keeps pods off a node that do not tolerate it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Taint {
    /// As node-role.kubernetes.io/control-plane.
    pub key: String,
    /// None, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What becomes of pods that do not tolerate it.
    #[cfg_attr(test, schemars(extend("enum" = check::EFFECTS)))]
    pub effect: String,
}

/// As a pod's own: an empty one tolerates everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key; every key, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Exists asks for the key alone, Equal for the value too; Equal if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("enum" = check::TOLERATES)))]
    pub operator: Option<String>,
    /// The taint's value, for Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The taint's effect; every effect, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("enum" = check::EFFECTS)))]
    pub effect: Option<String>,
}

/// Who keeps a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum WorkloadKind {
    /// Pods that are replaced anywhere.
    Deployment,
    /// Pods with names of their own, replaced one by one.
    StatefulSet,
    /// One pod on each node that fits; a drain leaves it where it is.
    DaemonSet,
    /// One pod that nothing creates anew.
    Pod,
}

/// Pods that are alike, and who keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    /// Who keeps the pods.
    pub kind: WorkloadKind,
    /// Where it is; the namespace is made.
    pub namespace: String,
    /// Its name, from which its pods have theirs.
    pub name: String,
    /// How many pods; a DaemonSet has one on each node that fits, a Pod is one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[cfg_attr(test, schemars(extend("maximum" = limits::REPLICAS)))]
    pub replicas: u32,
    /// Labels of its pods, which budgets select; `app: NAME` if none are given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of its pods: an opt-out of unsticking, for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its pods hold data in an emptyDir volume, which a drain loses.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_dir: bool,
    /// Seconds that a pod is given to end; Kubernetes' 30 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("maximum" = limits::SECONDS)))]
    pub grace_seconds: Option<u32>,
    /// Seconds that a pod takes to end; a few if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("maximum" = limits::SECONDS)))]
    pub ends_after_seconds: Option<u32>,
    /// Seconds that a pod takes to be Ready; a few if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("maximum" = limits::SECONDS)))]
    pub ready_after_seconds: Option<u32>,
    /// Its pods never become Ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub never_ready: bool,
    /// Labels that a node must have for its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that its pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Nodes on which its pods are when the rehearsal begins, one entry a pod; the scheduler chooses for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed_on: Vec<String>,
}

/// A PodDisruptionBudget. It has min-available or max-unavailable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    /// Where it is; it guards pods of this namespace only.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels of the pods that it guards; all pods of the namespace, if nothing is said.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// What those pods' labels must fulfil beside the selector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<Expression>,
    /// Pods that must stay: a number, or a share as 50%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<schema_tests::Share>"))]
    pub min_available: Option<IntOrString>,
    /// Pods that may be missing: a number, or a share as 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<schema_tests::Share>"))]
    pub max_unavailable: Option<IntOrString>,
    /// Whether pods that are not Ready may go although the budget is used up; IfHealthyBudget, as Kubernetes', if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("enum" = check::UNHEALTHY)))]
    pub unhealthy_policy: Option<String>,
    /// Its annotations: an opt-out of unsticking, for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Kind and name of what made it and is in charge of it, as Cluster/db: no drain deletes a pod that such a budget holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Autoscaler {
    /// Where it is; it scales what is in this namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The kind that it scales, as Deployment.
    pub kind: String,
    /// The name of what it scales.
    pub scales: String,
    /// The most pods that it would make.
    #[cfg_attr(test, schemars(extend("maximum" = limits::FIELD)))]
    pub max_replicas: u32,
}

/// What a label must be, as a selector's matchExpressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// How it is compared.
    #[cfg_attr(test, schemars(extend("enum" = check::SELECTS)))]
    pub operator: String,
    /// With what; for In and NotIn only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// An alert that fires, from the beginning on and for ever unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    /// Its alertname.
    pub name: String,
    /// Its labels beside the name: `node` or `severity`, for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The group of its rule, where that matters: the end of a run waits for all of Upgrade Gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When it begins to fire; at the start if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it is resolved; never if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a service wants of whoever asks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wants {
    /// A bearer token, or a user with a password.
    #[cfg_attr(test, schemars(extend("enum" = check::CREDENTIALS)))]
    pub credentials: String,
    /// The Secret of the installation has none: they are refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub missing: bool,
    /// The header X-Scope-OrgID with this value; no header, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A version that the package index offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// As 1.34.7.
    #[serde(with = "text")]
    #[cfg_attr(test, schemars(with = "Version"))]
    pub version: Version,
    /// When it appears; it is there already if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// JSON Schema of the file, written from the types above by `schema_tests`.
pub const SCHEMA: &str = include_str!("schema.json");

/// What a person should know who opens such a file.
const HEADER: &str = "\
# A cluster for `k8s-upgrade rehearse --scenario FILE`. It holds names, labels and versions; no Secrets, environments or images.
# Every field, with its unit and default, and fields that are not here: `k8s-upgrade rehearse --schema` (JSON Schema).
";

impl Scenario {
    pub fn yaml(&self) -> Result<String, Cause> {
        let text =
            serde_saphyr::to_string(self).map_err(|error| Cause::bug(format!("the scenario cannot be written: {error}")))?;
        Ok(format!("{HEADER}{text}"))
    }

    /// Reads a file; `place` names it in messages.
    pub fn read(place: &str, text: &str) -> Result<Scenario, Cause> {
        Source::new(place, text).scenario()
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

impl Node {
    /// The version of its static pods.
    pub fn components(&self) -> Version {
        self.control_plane_version.unwrap_or(self.version)
    }
}

impl Workload {
    /// One pod (of a DaemonSet: one a node) without anything special.
    pub fn new(kind: WorkloadKind, namespace: &str, name: &str) -> Self {
        Workload {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            replicas: 1,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            empty_dir: false,
            grace_seconds: None,
            ends_after_seconds: None,
            ready_after_seconds: None,
            never_ready: false,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            placed_on: Vec::new(),
        }
    }

    /// The labels of its pods.
    fn pod_labels(&self) -> BTreeMap<String, String> {
        if self.labels.is_empty() { BTreeMap::from([("app".to_owned(), self.name.clone())]) } else { self.labels.clone() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
fn one() -> u32 {
    1
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(value: &u32) -> bool {
    *value == 1
}

/// Versions as `X.Y.Z`.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Version;

    pub fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod optional_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Version;

    #[expect(clippy::ref_option, reason = "serde hands a reference")]
    pub fn serialize<S: Serializer>(version: &Option<Version>, serializer: S) -> Result<S::Ok, S::Error> {
        match version {
            Some(version) => serializer.collect_str(version),
            None => serializer.serialize_none(),
        }
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod read_tests;
#[cfg(test)]
pub(crate) mod schema_tests;
#[cfg(test)]
mod tests;

//! What a world begins as: a cluster before a run, in terms that a person may write, read and share.
//!
//! [`Scenario`] is the format of the file that `rehearse --save` writes and `--scenario` reads. `build` makes a [`super::State`] of it,
//! `runbook` has clusters that are always at hand, `copy` describes a real one.

mod build;
mod copy;
mod objects;
mod runbook;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use build::ssh_key;
pub use copy::Objects;

use crate::failure::Cause;
use crate::plan::version::Version;

/// A cluster, what surrounds it, and where it is to go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// In a few words, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The release to go to.
    #[serde(with = "text")]
    pub target: Version,
    /// One seed gives one history.
    #[serde(default)]
    pub seed: u64,
    /// When it begins.
    pub start: Timestamp,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub workloads: Vec<Workload>,
    #[serde(default)]
    pub budgets: Vec<Budget>,
    /// Alerts beside those of the upgrade's own rules, which are evaluated anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// What the package index lists beside the versions that run.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// Settings of the program that differ from its defaults.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What of a real cluster is not imitated; told with every result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Node {
    pub name: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub control_plane: bool,
    /// Of the kubelet and the packages.
    #[serde(with = "text")]
    pub version: Version,
    /// Of the static pods, where it differs: a run was cut.
    #[serde(default, with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub control_plane_version: Option<Version>,
    /// containerd's version.
    pub containerd: String,
    /// InternalIP.
    pub address: String,
    /// The label kubernetes.io/hostname, where it is not the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Beside the hostname and the role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// A person has cordoned it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cordoned: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_ready: bool,
    /// When its readiness changed last; long ago if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Taint {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub effect: String,
}

/// As a pod's own: an empty one tolerates everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Toleration {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    /// One pod that nothing creates anew.
    Pod,
}

/// Pods that are alike, and who keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// A DaemonSet has one pod on each node that fits.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: u32,
    /// Of its pods; `app: NAME` if none are given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of its pods: an opt-out of unsticking, for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its pods hold data in an emptyDir volume, which a drain loses.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_dir: bool,
    /// What a pod is given to end; Kubernetes' 30 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
    /// What a pod takes to end; a few seconds if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_after_seconds: Option<u32>,
    /// What a pod takes to be Ready; a few seconds if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_after_seconds: Option<u32>,
    /// Its pods do not become Ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub never_ready: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Nodes on which its pods are, one entry a pod; the scheduler chooses for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed_on: Vec<String>,
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    pub namespace: String,
    pub name: String,
    /// Labels of the pods that it guards.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// Beside those labels: `{ key, operator, values }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<Expression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// `AlwaysAllow`, or Kubernetes' default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_policy: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expression {
    pub key: String,
    pub operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// An alert that fires, from the beginning on and for ever unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    pub name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    #[serde(with = "text")]
    pub version: Version,
    /// When it appears; it is there already if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// What a person should know who opens such a file; [`Scenario`] is the whole truth.
const HEADER: &str = "\
# A cluster for `k8s-upgrade rehearse --scenario FILE`. It holds names, labels and versions; no Secrets, environments or images.
#
# about: free words   target: the release to go to   seed: one seed gives one history   start: when it begins
# nodes: name, control-plane, version, control-plane-version (static pods, if they differ), containerd, address, hostname (the label,
#   if it is not the name), labels, taints {key, value, effect}, cordoned, not-ready, ready-since
# workloads: kind (Deployment, StatefulSet, DaemonSet, Pod), namespace, name, replicas, labels, annotations, empty-dir, grace-seconds,
#   ends-after-seconds, ready-after-seconds, never-ready, node-selector, tolerations {key, operator, value, effect}, placed-on (nodes, one a pod)
# budgets: namespace, name, selector (labels), expressions {key, operator, values}, min-available, max-unavailable (number or \"25%\"),
#   unhealthy-policy, annotations
# alerts: name, labels, from, until   releases: version, from   settings: as in config.yaml   assumptions: what is not imitated
";

impl Scenario {
    pub fn yaml(&self) -> Result<String, Cause> {
        let text =
            serde_saphyr::to_string(self).map_err(|error| Cause::bug(format!("the scenario cannot be written: {error}")))?;
        Ok(format!("{HEADER}{text}"))
    }

    /// Reads a file; `place` names it in messages.
    pub fn read(place: &str, text: &str) -> Result<Scenario, Cause> {
        serde_saphyr::from_str(text)
            .map_err(|error| Cause::usage(format!("{place} is no scenario")).detail(error.to_string().lines().take(8)))
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
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
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
mod tests;

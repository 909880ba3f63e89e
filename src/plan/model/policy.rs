//! What is wanted: the settings that decisions depend on, and nothing else of them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::facts::Node;
use super::version::{NotAVersion, Version};
use super::waves::Waves;

/// Characters of the setting alert-ignore.
pub const LONGEST_FILTER: usize = 2000;

/// What is wanted of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub runner: Runner,
    /// Names of workers that may stand in for the runner when it is lost: they, too, are trusted with the key.
    pub standby: Vec<String>,
    /// How long nodes must have been quiet (no Ready transition) before a run.
    pub quiet: Duration,
    pub quiet_scope: QuietScope,
    /// How long the watch tries a run again that was deferred, beside the time for which no window is open; None: not at all.
    pub retry_deferred: Option<Duration>,
    /// Watch after a node before the next.
    pub soak: Duration,
    /// Ready pods over unfinished pods that postflight wants.
    pub ready_ratio: f64,
    /// When nodes may be taken out of service.
    pub calendar: Calendar,
    /// How many workers may be out of service at the same time.
    pub waves: Waves,
}

impl Policy {
    /// The soak after this node: its pool's, else that of all.
    pub fn soak_of(&self, node: &Node) -> Duration {
        self.waves.pool(node.pool.as_deref()).and_then(|pool| pool.soak).unwrap_or(self.soak)
    }

    /// When this node may be taken out of service: in its pool's windows, else in those of all; in no freeze.
    pub fn calendar_of(&self, node: &Node) -> Cow<'_, Calendar> {
        match self.waves.pool(node.pool.as_deref()).filter(|pool| !pool.windows.is_empty()) {
            Some(pool) => Cow::Owned(Calendar { windows: pool.windows.clone(), ..self.calendar.clone() }),
            None => Cow::Borrowed(&self.calendar),
        }
    }
}

/// Which releases detection goes to by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    pub patch: Pace,
    pub minor: Pace,
    /// How long detection must have known a patch.
    pub patch_age: Days,
    /// The same of minor versions.
    pub minor_age: Days,
    pub max: Option<Ceiling>,
    /// So many patches of a minor version are left out, the newest.
    pub lag: u16,
}

/// What detection does about a kind of release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// It goes there.
    #[default]
    Auto,
    /// It asks people, and goes there once one of them has approved it.
    Ask,
    /// It leaves it to people.
    Off,
}

/// The highest release, or minor version, that detection goes to: `1.36.4`, `1.36`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ceiling {
    /// With the patch 0 where only the minor version is named.
    version: Version,
    patch: bool,
}

impl Ceiling {
    /// Whether it lies at or below.
    pub fn allows(self, release: Version) -> bool {
        let Version { major, minor, .. } = self.version;
        if self.patch { release <= self.version } else { (release.major, release.minor) <= (major, minor) }
    }
}

impl FromStr for Ceiling {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let patch = text.matches('.').count() != 1;
        let version = if patch { text.parse() } else { format!("{text}.0").parse() };
        let version = version.map_err(|error: NotAVersion| format!("{error}, or 1.36"))?;
        let ceiling = Ceiling { version, patch };
        if ceiling.to_string() == text { Ok(ceiling) } else { Err(format!("{text:?} is not written as 1.36.3 or 1.36")) }
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.patch { self.version.fmt(f) } else { f.write_str(&self.version.series()) }
    }
}

crate::words::as_text!(Ceiling);

/// A number of days, as settings have it: `14d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u16);

impl Days {
    /// A year: what is to wait for longer is not wanted at all.
    const MOST: u16 = 365;

    /// That long after it.
    pub fn after(self, at: Timestamp) -> Timestamp {
        at.saturating_add(SignedDuration::from_hours(i64::from(self.0) * 24)).unwrap_or(at)
    }

    /// There is nothing to wait for.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Days {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let days = text.strip_suffix('d').and_then(|number| number.parse().ok()).filter(|days| *days <= Days::MOST).map(Days);
        let days = days.filter(|days| days.to_string() == text);
        days.ok_or_else(|| format!("{text:?} is no number of days: 0d to {}d is wanted, for example 14d", Days::MOST))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

crate::words::as_text!(Days);

/// Of which nodes it is asked whether they came or went lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuietScope {
    /// In a small cluster of all of them before a run. In a large one something always comes and goes: there of the control planes and the runner
    /// before a run, and of each node before its turn.
    #[default]
    Auto,
    /// Of all of them before a run.
    Cluster,
}

/// Which node hosts the Jobs. Beside the control planes it is the one that gets the key, and tokens of the accounts that may create Jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Runner {
    /// The first worker in natural order.
    #[default]
    FirstWorker,
    /// The node of this name.
    Node(String),
    /// A control plane that is not being drained: no worker is trusted. Wants several of them.
    ControlPlane,
}

impl Runner {
    /// How the settings say [`Runner::ControlPlane`].
    pub const CONTROL_PLANE: &str = "control-plane";

    /// As the setting has it: nothing, a name, or that word.
    pub fn read(setting: &str) -> Self {
        match setting {
            "" => Runner::FirstWorker,
            Runner::CONTROL_PLANE => Runner::ControlPlane,
            name => Runner::Node(name.to_owned()),
        }
    }

    /// The node that a setting names.
    pub fn name(&self) -> Option<&str> {
        match self {
            Runner::Node(name) => Some(name),
            Runner::FirstWorker | Runner::ControlPlane => None,
        }
    }
}

/// Who says whether the cluster is well enough to go on, beside the cluster itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alerts {
    /// Whatever fires there holds.
    #[default]
    Prometheus,
    /// Nobody: there is no Prometheus, or it is not to be asked.
    Off,
}

/// Where the run's gauges go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gauges {
    #[default]
    Pushgateway,
    /// Nowhere: the alerts that look at them never fire.
    Off,
}

/// What a drain may do about a pod that its budget can never release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unstick {
    /// Delete it only where nothing is lost by it: one healthy pod of a ReplicaSet behind a budget of one.
    Structural,
    /// Delete whatever stays blocked, as the shell pipeline did.
    All,
    Never,
}

/// Whether a drain replaces a pod elsewhere before it goes, where an eviction would leave a moment without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surge {
    /// It evicts it, as kubectl does.
    #[default]
    Never,
    /// A Deployment's only pod: by a rollout restart.
    Single,
}

/// What becomes of a run where a node can never be drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undrainable {
    /// It does not begin.
    #[default]
    Refuse,
    /// It leaves out that worker and nothing else, and ends as partial.
    Skip,
    /// It is drained nevertheless, as often as the settings allow: an operator may move the pod once its node is cordoned.
    Try,
    /// It is drained, and a pod that its budget can never release is deleted after a time: in namespaces that are named, and there alone.
    ForceAfter,
}

/// Where, and after which time, a drain deletes a pod that its budget can never release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Force<'a> {
    /// Names of namespaces.
    pub namespaces: &'a [String],
    /// So long its eviction was refused before.
    pub after: Duration,
}

impl Unstick {
    /// Whether a drain may delete a pod at all. `forced_in`: the namespaces of [`Force`].
    pub fn deletes(self, forced_in: &[String]) -> bool {
        self != Unstick::Never || !forced_in.is_empty()
    }
}

/// What becomes of a host whose key nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeys {
    /// Its key is accepted, and kept once the machine was proved to be the node.
    #[default]
    Learn,
    /// It is refused.
    Strict,
}

/// Who takes the etcd snapshot before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Snapshot {
    /// A Job out of the template of a CronJob that is there.
    #[default]
    Cronjob,
    /// The program itself, on each control plane.
    Etcdctl,
}

impl Snapshot {
    /// How the settings say [`Snapshot::Etcdctl`].
    pub const ETCDCTL: &str = "etcdctl";
}

/// What becomes of a snapshot that nobody could look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unverified {
    /// Its backup's word is enough; that nobody has looked is told.
    #[default]
    Tell,
    Refuse,
}

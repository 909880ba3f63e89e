//! `status --hosts`.

use serde::Serialize;

use super::document::Document;
use crate::failure::Cause;
use crate::plan::rescue::hosts::{self, Asked, End, Found};

/// What the nodes say by SSH alone.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hosts<'a> {
    /// The cluster's name, by the settings.
    pub cluster: &'a str,
    /// The hosts that the settings name; answered says which of the two forms one has.
    pub hosts: Vec<Host<'a>>,
    /// Commands for a person, with a word on each.
    pub commands: &'a [String],
}

/// What a host said, or why it said nothing.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Host<'a> {
    Answered(Box<AnsweredHost<'a>>),
    Silent(SilentHost<'a>),
}

/// What a host said of itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AnsweredHost<'a> {
    /// The node, by the settings.
    pub node: &'a str,
    /// Where it was asked.
    pub address: &'a str,
    /// It has answered.
    #[cfg_attr(test, schemars(extend("const" = true)))]
    pub answered: bool,
    /// It has static pods of a control plane.
    pub control_plane: bool,
    /// systemd's word for the kubelet's unit.
    pub kubelet: &'a str,
    /// The packages of Kubernetes and of containerd.
    pub packages: Vec<Package<'a>>,
    /// What the package manager finds half installed, line by line.
    pub audit: &'a [String],
    /// This program's own images that the container runtime has; null where it could not be asked.
    pub images: Option<&'a [String]>,
    /// The static pods of a control plane, by their manifests.
    pub manifests: Vec<Manifest<'a>>,
    /// Components of a control plane of which there is no manifest, though there is one of another.
    pub without_manifest: Vec<&'static str>,
    /// Long work of this program there; null where nothing was ever begun.
    pub unit: Option<Unit<'a>>,
    /// Kubelet configurations that are kept for a rollback.
    pub former: Vec<Former<'a>>,
    /// The newest restore card; null where there is none.
    pub restore_card: Option<RestoreCard<'a>>,
    /// The etcd snapshots in the folder that the settings name, newest first.
    pub snapshots: Vec<Snapshot<'a>>,
    /// The keys by which the package manager proves the Kubernetes repository.
    pub repository_keys: Vec<RepositoryKey<'a>>,
    /// How much room there is.
    pub free: Vec<Free<'a>>,
}

/// A host of which nothing is known.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SilentHost<'a> {
    /// The node, by the settings.
    pub node: &'a str,
    /// Where it was asked.
    pub address: &'a str,
    /// It has not answered, or not as it should.
    #[cfg_attr(test, schemars(extend("const" = false)))]
    pub answered: bool,
    /// What went wrong, in one sentence for people.
    pub why: &'a str,
    /// The class of that, as a failure has it.
    #[cfg_attr(test, schemars(with = "super::schema_tests::ClassWord"))]
    pub class: &'static str,
    /// More lines of it.
    pub detail: &'a [String],
    /// Commands for a person to type about it.
    pub next: Vec<&'a str>,
}

/// A package, as the package manager has it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version, as the package manager writes it.
    pub version: &'a str,
    /// Two letters or more: what is wanted of it, and what is.
    pub state: &'a str,
    /// It is on hold: the package manager leaves it alone.
    pub held: bool,
    /// It is installed and configured.
    pub whole: bool,
}

/// A static pod's manifest.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Manifest<'a> {
    /// Which component of the control plane.
    pub pod: &'a str,
    /// The image that it names.
    pub image: &'a str,
}

/// Long work of this program on a node, in a transient systemd unit.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unit<'a> {
    /// What it does, in a word.
    pub step: &'a str,
    /// The release that it goes to.
    pub target: &'a str,
    /// Id of the run that began it.
    pub run: &'a str,
    /// How far it is.
    pub state: UnitState,
    /// How it ended badly; null where it did not.
    pub how: Option<&'a str>,
    /// The end of what it printed, line by line.
    pub log: &'a [String],
}

/// How far a unit is.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum UnitState {
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "done")]
    Done,
    #[serde(rename = "ended badly")]
    Bad,
}

/// A kubelet configuration that is kept.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Former<'a> {
    /// The release that it was of.
    pub release: &'a str,
    /// The folder.
    pub path: &'a str,
}

/// What preflight has left for a person who restores a control plane. All but its path is null where it cannot be read.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RestoreCard<'a> {
    /// Where it is.
    pub path: &'a str,
    /// Id of the run.
    pub run: Option<&'a str>,
    /// The release before that run.
    pub from: Option<&'a str>,
    /// The release that the run goes to.
    pub to: Option<&'a str>,
    /// Path of the etcd snapshot that was made before it.
    pub snapshot: Option<&'a str>,
    /// Size of that snapshot.
    pub bytes: Option<u64>,
    /// Its hash, after the name of the algorithm; or why there is none.
    pub hash: Option<&'a str>,
}

/// An etcd snapshot.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Snapshot<'a> {
    /// Where it is.
    pub path: &'a str,
    /// Its size.
    pub bytes: u64,
    /// When it was written last, by the clock of its machine.
    pub at: &'a str,
}

/// A key of the Kubernetes repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RepositoryKey<'a> {
    /// Its fingerprint.
    pub fingerprint: &'a str,
    /// When it ends: from then on nothing that it signs is believed; null where it has no end.
    pub ends: Option<&'a str>,
    /// It has ended, or will within a month.
    pub near: bool,
}

/// The room on a file system.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Free<'a> {
    /// A folder on it.
    pub path: &'a str,
    /// What is free.
    pub bytes: u64,
}

impl<'a> Hosts<'a> {
    /// Of all that were asked.
    pub fn of(asked: &'a [Asked], commands: &'a [String], cluster: &'a str) -> Self {
        let host = |host: &'a Asked| match &host.found {
            Ok(found) => Host::Answered(Box::new(AnsweredHost::of(host, found))),
            Err(cause) => Host::Silent(SilentHost::of(host, cause)),
        };
        Hosts { cluster, hosts: asked.iter().map(host).collect(), commands }
    }
}

impl<'a> SilentHost<'a> {
    fn of(host: &'a Asked, cause: &'a Cause) -> Self {
        SilentHost {
            node: &host.node,
            address: &host.address,
            answered: false,
            why: &cause.what,
            class: cause.class.word(),
            detail: &cause.detail,
            next: cause.next.iter().map(|advice| advice.command.as_str()).collect(),
        }
    }
}

impl<'a> AnsweredHost<'a> {
    fn of(host: &'a Asked, found: &'a Found) -> Self {
        AnsweredHost {
            node: &host.node,
            address: &host.address,
            answered: true,
            control_plane: found.control_plane(),
            kubelet: &found.kubelet,
            packages: found.packages.iter().map(Package::of).collect(),
            audit: &found.audit,
            images: found.images.as_deref(),
            manifests: found.static_pods.iter().map(|(pod, image)| Manifest { pod, image }).collect(),
            without_manifest: found.without_manifest(),
            unit: Unit::of(&found.unit),
            former: found.former.iter().map(|(release, path)| Former { release, path }).collect(),
            restore_card: RestoreCard::of(found),
            snapshots: found
                .snapshots
                .iter()
                .map(|file| Snapshot { path: &file.path, bytes: file.bytes, at: &file.at })
                .collect(),
            repository_keys: found
                .keys
                .iter()
                .map(|key| RepositoryKey { fingerprint: &key.fingerprint, ends: key.ends.as_deref(), near: key.near })
                .collect(),
            free: found.free.iter().map(|(path, bytes)| Free { path, bytes: *bytes }).collect(),
        }
    }
}

impl<'a> Package<'a> {
    fn of(package: &'a hosts::Package) -> Self {
        let hosts::Package { name, version, letters, held, whole } = package;
        Package { name, version, state: letters, held: *held, whole: *whole }
    }
}

impl<'a> Unit<'a> {
    /// None: nothing was ever begun there.
    pub(super) fn of(unit: &'a hosts::Unit) -> Option<Self> {
        let work = unit.work.as_ref()?;
        let (state, how) = match &work.end {
            End::Running => (UnitState::Running, None),
            End::Done => (UnitState::Done, None),
            End::Bad(how) => (UnitState::Bad, Some(how.as_str())),
        };
        Some(Unit { step: &work.step, target: &work.target, run: &work.run, state, how, log: &unit.log })
    }
}

impl<'a> RestoreCard<'a> {
    fn of(found: &'a Found) -> Option<Self> {
        let (path, card) = found.card.as_ref()?;
        let card = card.as_ref();
        Some(RestoreCard {
            path,
            run: card.map(|card| card.run.as_str()),
            from: card.map(|card| card.from.as_str()),
            to: card.map(|card| card.to.as_str()),
            snapshot: card.map(|card| card.snapshot.as_str()),
            bytes: card.map(|card| card.bytes),
            hash: card.map(|card| card.hash.as_str()),
        })
    }
}

impl Document for Hosts<'_> {
    const NAME: &'static str = "status-hosts";
}

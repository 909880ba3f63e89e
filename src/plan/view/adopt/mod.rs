//! What a shell pipeline has left in the cluster that ran under our names before this program: what is recognised of it, what becomes of each part,
//! which settings follow, and what a person types, in order. Nothing of it is done here, nor by `adopt`.

mod parts;
mod settings;
mod steps;

use std::collections::BTreeMap;

use crate::failure::{Advice, Cause};
use crate::names::{self, Mark};
use crate::plan::model::answer::Answer;
use crate::plan::model::version::Version;
use crate::plan::view::health::Series;
use crate::plan::view::offer::Offer;
use crate::words::{command, texts};

pub use settings::{Script, offers};

/// The marks that the pipeline had, which are ours since; under whatever prefix.
const FORMER_MARKS: [Mark; 3] = [Mark::InFlight, Mark::Target, Mark::SnapshotPath];

/// What its alert rules are called, which are no object.
const RULES: &str = "alert rules";
/// What is asked about what does not answer.
const ASK: &str = "k8s-upgrade check --write-config FILE    # looks for it in the cluster";

/// What was read of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub namespace: String,
    /// The setting `annotation-prefix`.
    pub prefix: String,
    /// Of our namespace; empty where there is none.
    pub annotations: BTreeMap<String, String>,
    /// The CronJob with the name of our detection.
    pub detection: Option<Detection>,
    /// Whatever else may be the pipeline's.
    pub objects: Vec<Object>,
    pub key: Option<Key>,
    pub store: Option<Store>,
    pub jobs: Vec<Job>,
    /// None: nothing is pushed (setting gauges).
    pub gauges: Option<Answer<Vec<Series>>>,
    /// Alert rules that are loaded under the names that the pipeline had. None: nobody is asked (setting alerts).
    pub rules: Option<Answer<Vec<String>>>,
    pub nodes: Vec<Node>,
    /// The texts in which its settings stand.
    pub scripts: Vec<Script>,
}

/// Who made an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// It has the label of all that `manifests` prints, or our container.
    pub ours: bool,
    /// Terraform writes it.
    pub terraform: bool,
}

/// A CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    pub maker: Maker,
    pub suspended: bool,
    pub schedule: String,
}

/// Any object, known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub maker: Maker,
    pub kind: &'static str,
    pub namespace: Option<String>,
    pub name: String,
    /// Of a binding: the kind and name of the role that it gives to our account.
    pub role: Option<(String, String)>,
}

/// The Secret with the key, without a word of what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub maker: Maker,
    /// Of the private key; None: it is missing, or none in OpenSSH's own format.
    pub fingerprint: Option<String>,
    /// Of the public key beside it; None: there is none that can be read.
    pub public: Option<String>,
    pub slack: bool,
}

/// What External Secrets fills the Secret from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    pub maker: Maker,
    /// Of its ClusterSecretStore.
    pub name: Option<String>,
    /// The secret in it that the key is read from.
    pub key: Option<String>,
}

/// A Job with one of our labels and none of our containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub name: String,
    /// Of the chain; else of the detection.
    pub chain: bool,
    pub active: bool,
    /// It goes with the CronJob that made it.
    pub owned: bool,
}

/// What the pipeline may have left of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub version: Option<Version>,
    pub cordoned: bool,
    /// Keys of annotations that are called like ours.
    pub annotations: Vec<String>,
}

/// Whether anything of the pipeline is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Nothing.
    Idle,
    /// Jobs of it work.
    AtWork(Vec<String>),
    /// A chain has begun and is not over, and no Job of it works; where its snapshot of etcd is.
    Stranded { target: Option<String>, snapshot: Option<String> },
    /// A run of this program is in flight.
    Ours,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This program goes on with it as it is.
    Kept,
    /// What `manifests` prints is written over it.
    Replaced,
    /// Nothing needs it any more.
    Deleted,
    /// A person has to say.
    Unclear,
}

impl Fate {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Fate; 4] = [Fate::Kept, Fate::Replaced, Fate::Deleted, Fate::Unclear];

    /// As data and people have it.
    pub fn word(self) -> &'static str {
        match self {
            Fate::Kept => "kept",
            Fate::Replaced => "replaced",
            Fate::Deleted => "deleted",
            Fate::Unclear => "unclear",
        }
    }
}

/// Something that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub fate: Fate,
    /// `ConfigMap`; of what is no object a word for it.
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub says: String,
    pub terraform: bool,
    /// What to type about it, where the steps do not say so.
    pub command: Option<String>,
}

texts!(none: Fate);
texts!(Part { fate, kind, namespace, name, says, terraform, command });

impl Part {
    fn new(fate: Fate, kind: impl Into<String>, name: impl Into<String>, says: impl Into<String>) -> Part {
        let (kind, name, says) = (kind.into(), name.into(), says.into());
        Part { fate, kind, namespace: None, name, says, terraform: false, command: None }
    }

    fn of(self, namespace: &str, maker: Maker) -> Part {
        Part { namespace: Some(namespace.to_owned()), terraform: maker.terraform, ..self }
    }

    fn typed(self, command: impl Into<String>) -> Part {
        Part { command: Some(command.into()), ..self }
    }

    /// `ConfigMap k8s-upgrade/k8s-upgrade-scripts`.
    pub fn told(&self) -> String {
        let name = self.namespace.as_ref().map_or(self.name.clone(), |namespace| format!("{namespace}/{}", self.name));
        format!("{} {name}", self.kind)
    }
}

/// One thing to do, and what to type for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub what: String,
    pub command: String,
}

texts!(Step { what, command });

/// What is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    pub chain: Chain,
    /// By their fates, in the order of [`Fate::ALL`].
    pub parts: Vec<Part>,
    /// Settings that the pipeline has otherwise than the ones in force.
    pub settings: Vec<Offer>,
    /// In order; none where there is nothing to take over, or a chain is in flight.
    pub steps: Vec<Step>,
}

impl Adoption {
    /// Something of another pipeline is there.
    pub fn found(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether it may begin now.
    ///
    /// # Errors
    /// Contended: something is at work. Refused: a chain was left where it stood.
    pub fn at_rest(&self, seen: &Seen) -> Result<(), Cause> {
        let namespace = &seen.namespace;
        match &self.chain {
            Chain::Idle => Ok(()),
            Chain::Ours => {
                Err(Cause::contended("a run of this program is in flight: it has taken over already").next(Advice::status()))
            }
            Chain::AtWork(jobs) => {
                let watch = command!("kubectl -n {} get jobs --watch    # until they have ended", namespace);
                let what = format!(
                    "the shell pipeline is at work: {}",
                    jobs.iter().map(|job| format!("Job {job}")).collect::<Vec<_>>().join(", ")
                );
                Err(Cause::contended(what).next(Advice::look(watch)))
            }
            Chain::Stranded { target, snapshot } => {
                let to = target.as_ref().map_or(String::new(), |target| format!(" to {target}"));
                let detail = snapshot.iter().map(|path| format!("its snapshot of etcd, which clearing forgets: {path}"));
                let [in_flight, target, path] = &FORMER_MARKS.map(|mark| mark.key(&settings::prefix(seen)));
                let clear = command!(
                    "kubectl annotate namespace {} {}- {}- {}-    # gives it up; the next run goes on with its nodes",
                    namespace,
                    in_flight,
                    target,
                    path
                );
                let what = format!("a chain of the shell pipeline{to} has begun and is not over, and no Job of it works");
                let jobs = command!(
                    "kubectl -n {} get jobs -l {}    # where it stopped",
                    namespace,
                    format!("{}={}", names::LABEL_APP, names::APP_CHAIN)
                );
                Err(Cause::refused(what).detail(detail).next(Advice::look(jobs)).next(clear))
            }
        }
    }
}

/// What is recognised, and what follows. `config`: where the settings are written now; `settings` says of each key what is in force.
///
/// # Errors
/// A bug: the manifests cannot be made.
pub fn adoption(seen: &Seen, config: Option<&str>, settings: impl Fn(&str) -> Option<String>) -> Result<Adoption, Cause> {
    let chain = chain(seen);
    let mut parts = parts::parts(seen)?;
    parts.sort_by_key(|part| Fate::ALL.iter().position(|fate| *fate == part.fate));
    let settings = if parts.is_empty() { Vec::new() } else { offers(seen, settings) };
    let steps = if parts.is_empty() || chain != Chain::Idle { Vec::new() } else { steps::steps(seen, &parts, config) };
    Ok(Adoption { chain, parts, settings, steps })
}

/// The run's own marks tell whose it is: the pipeline knew three of them.
fn chain(seen: &Seen) -> Chain {
    let prefix = settings::prefix(seen);
    let mark = |mark: Mark| seen.annotations.get(&mark.key(&prefix)).filter(|text| !text.is_empty());
    let active: Vec<String> = seen.jobs.iter().filter(|job| job.active).map(|job| job.name.clone()).collect();
    let in_flight = mark(Mark::InFlight).is_some();
    if in_flight && (mark(Mark::RunId).is_some() || mark(Mark::RecordVersion).is_some()) {
        return Chain::Ours;
    }
    match in_flight {
        _ if !active.is_empty() => Chain::AtWork(active),
        true => Chain::Stranded { target: mark(Mark::Target).cloned(), snapshot: mark(Mark::SnapshotPath).cloned() },
        false => Chain::Idle,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

//! What people changed by hand and kubeadm would silently write over: flags of static pods, the kubelet's configuration, the CoreDNS
//! Deployment. Each difference holds the run until somebody has acknowledged it; one that changed since is another difference.
//!
//! What `kubeadm upgrade` keeps is no difference: `extraArgs` and all else that its ConfigMaps say, `kubeadm-flags.env`, drop-ins of the
//! kubelet's unit, the replicas of CoreDNS, a Corefile of one's own, and what its own [`patches`] write again.

pub mod coredns;
pub mod kubelet;
pub mod patches;
pub mod static_pods;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::failure::Cause;
use crate::words::command;

/// Where a change has to stand to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    ClusterConfiguration,
    KubeletConfiguration,
    CoreDns,
    /// It is kept by what lies in the usual folder, where kubeadm looks for nothing unless it is told to.
    Patches,
}

impl Keep {
    fn advice(self) -> &'static str {
        match self {
            Keep::ClusterConfiguration => {
                "kubectl -n kube-system edit configmap kubeadm-config    # to keep flags: into extraArgs of their component"
            }
            Keep::KubeletConfiguration => {
                "kubectl -n kube-system edit configmap kubelet-config    # to keep the kubelet's settings, on every node"
            }
            Keep::Patches => {
                "set kubeadm-flags: [--patches=/etc/kubernetes/patches] in the settings    # that folder patches it; without, kubeadm does not look there"
            }
            Keep::CoreDns => "set kubeadm-flags: [--skip-phases=addon/coredns] in the settings    # to keep CoreDNS as it is",
        }
    }
}

/// One change that kubeadm would write over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The node, or `CoreDNS`.
    pub place: String,
    pub what: String,
    pub keep: Keep,
}

impl Difference {
    /// For people, and what the acknowledgement's id is made of.
    pub fn line(&self) -> String {
        format!("{}: {}", self.place, self.what)
    }

    /// Of what it says: another value is another difference.
    pub fn digest(&self) -> String {
        hex(&self.line(), 12)
    }
}

/// A difference that somebody means to lose, as the annotation keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub digest: String,
    pub what: String,
    pub by: String,
    pub at: String,
}

/// Reads the annotation. One that cannot be read acknowledges nothing, and is no empty one either.
pub fn acknowledged(annotation: Option<&str>) -> Result<Vec<Acknowledged>, Cause> {
    let Some(text) = annotation else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|error| {
        Cause::refused("what was acknowledged cannot be read").detail([format!("the annotation is {text:?}: {error}")])
    })
}

/// Those that nobody has acknowledged.
pub fn open(found: Vec<Difference>, acknowledged: &[Acknowledged]) -> Vec<Difference> {
    let known: BTreeSet<&str> = acknowledged.iter().map(|known| known.digest.as_str()).collect();
    found.into_iter().filter(|difference| !known.contains(difference.digest().as_str())).collect()
}

/// Names exactly these differences: whoever types it has seen them.
pub fn id(open: &[Difference]) -> String {
    let digests: BTreeSet<String> = open.iter().map(Difference::digest).collect();
    hex(&digests.into_iter().collect::<String>(), 8)
}

/// Refuses while a difference is open, and says the two ways on.
pub fn verdict(open: &[Difference]) -> Result<(), Cause> {
    if open.is_empty() {
        return Ok(());
    }
    let keep: BTreeSet<Keep> = open.iter().map(|difference| difference.keep).collect();
    let what = match open.len() {
        1 => "kubeadm would write over a change that was made by hand".to_owned(),
        several => format!("kubeadm would write over {several} changes that were made by hand"),
    };
    let refused = Cause::refused(what).detail(open.iter().map(Difference::line));
    let refused = keep.into_iter().fold(refused, |refused, keep| refused.next(keep.advice()));
    Err(refused.next(command!("k8s-upgrade acknowledge {}    # to lose all that is named above, in the next run", id(open))))
}

fn hex(text: &str, digits: usize) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..digits].to_owned()
}

/// A value for people; of a long one the beginning, and a hash that tells it from every other.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= LONGEST && !text.contains('\n') {
        return text;
    }
    let begin: String = text.chars().take_while(|c| *c != '\n').take(60).collect();
    format!("{begin}… (sha256 {})", hex(&text, 12))
}

#[cfg(test)]
mod tests;

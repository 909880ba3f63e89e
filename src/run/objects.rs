//! The objects that [`Facts`] are made of: listed once for a decision, or mirrored for whoever watches.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, ListParams};

use super::ctx::Ctx;
use crate::failure::Cause;
use crate::names;
use crate::plan::facts::Facts;

/// As the API server has them.
pub(super) struct Objects {
    pub nodes: Vec<Arc<Node>>,
    pub namespace: Option<Arc<Namespace>>,
    /// The chain's Jobs and their pods.
    pub jobs: Vec<Arc<Job>>,
    pub pods: Vec<Arc<Pod>>,
    /// Static pods of kubeadm's control planes.
    pub control_plane: Vec<Arc<Pod>>,
}

/// What the chain's Jobs and pods are found by.
pub(super) fn of_chain() -> ListParams {
    ListParams::default().labels(&format!("{}={}", names::LABEL_APP, names::APP_CHAIN))
}

/// What the control planes' static pods are found by, in kube-system.
pub(super) fn of_control_plane() -> ListParams {
    ListParams::default().labels("tier=control-plane")
}

impl Ctx {
    /// Everything that decisions are made of, as it is now.
    ///
    /// # Errors
    /// Refused: the run's annotations are not this program's, or something of a node cannot be read. Nothing is taken for granted.
    pub async fn observe(&self) -> Result<Facts, Cause> {
        let facts = self.observe_as_it_is().await?;
        facts.readable(&self.namespace)?;
        Ok(facts)
    }

    /// The same, whatever stands there: for views, and for who stops a run or gives it up. One odd object is one odd object.
    pub async fn observe_as_it_is(&self) -> Result<Facts, Cause> {
        let nodes = self.list_all("list nodes", Api::all(self.kube.clone()), ListParams::default()).await?;
        let namespace = self.own_namespace().await?;
        let api = Api::namespaced(self.kube.clone(), &self.namespace);
        let jobs = self.list_all("list the chain's Jobs", api, of_chain()).await?;
        let api = Api::namespaced(self.kube.clone(), &self.namespace);
        let pods = match jobs.is_empty() {
            true => Vec::new(),
            false => self.list_all("list the chain's pods", api, of_chain()).await?,
        };
        let api = Api::namespaced(self.kube.clone(), "kube-system");
        let control_plane = self.list_all("list control-plane pods", api, of_control_plane()).await?;
        self.facts(&Objects {
            nodes: shared(nodes),
            namespace: namespace.map(Arc::new),
            jobs: shared(jobs),
            pods: shared(pods),
            control_plane: shared(control_plane),
        })
    }
}

fn shared<K>(objects: Vec<K>) -> Vec<Arc<K>> {
    objects.into_iter().map(Arc::new).collect()
}

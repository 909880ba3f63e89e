//! The objects that [`Facts`] are made of: listed once for a decision, or mirrored for whoever watches.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::ListParams;

use crate::failure::Cause;
use crate::names;
use crate::plan::model::facts::Facts;
use crate::run::cluster::Observer;
use crate::run::session::{Probe, Wait, Waited};

/// So long a Job whose pods have all ended is waited for: the Job controller needs a moment to call it failed, or to try again.
const VERDICT: Duration = Duration::from_secs(15);

/// As the API server has them.
pub struct Objects {
    pub nodes: Vec<Arc<Node>>,
    pub namespace: Option<Arc<Namespace>>,
    /// The chain's Jobs and their pods.
    pub jobs: Vec<Arc<Job>>,
    pub pods: Vec<Arc<Pod>>,
    /// Static pods of kubeadm's control planes.
    pub control_plane: Vec<Arc<Pod>>,
}

/// What the chain's Jobs and pods are found by.
pub fn of_chain() -> ListParams {
    ListParams::default().labels(&format!("{}={}", names::LABEL_APP, names::APP_CHAIN))
}

/// What the control planes' static pods are found by, in kube-system.
pub fn of_control_plane() -> ListParams {
    ListParams::default().labels("tier=control-plane")
}

impl Observer {
    /// Everything that decisions are made of, as it is now.
    ///
    /// # Errors
    /// Refused: the run's annotations are not this program's, or something of a node cannot be read. Nothing is taken for granted.
    pub async fn observe(&self) -> Result<Facts, Cause> {
        let facts = self.observe_as_it_is().await?;
        facts.readable(&self.cluster.namespace)?;
        Ok(facts)
    }

    /// The same, whatever stands there: for views, and for who stops a run or gives it up. One odd object is one odd object.
    pub async fn observe_as_it_is(&self) -> Result<Facts, Cause> {
        let nodes = self.cluster.list_all("list nodes", self.cluster.all(), ListParams::default()).await?;
        let namespace = self.own_namespace().await?;
        let api = self.cluster.own();
        let jobs = self.cluster.list_all("list the chain's Jobs", api, of_chain()).await?;
        let api = self.cluster.own();
        let pods = match jobs.is_empty() {
            true => Vec::new(),
            false => self.cluster.list_all("list the chain's pods", api, of_chain()).await?,
        };
        let api = self.cluster.within("kube-system");
        let control_plane = self.cluster.list_all("list control-plane pods", api, of_control_plane()).await?;
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

impl Observer {
    /// What is, once no Job of the chain is between the end of its pod and what becomes of it: until then it only seems to be at work.
    pub async fn observe_settled(&self) -> Result<Facts, Cause> {
        let on = "the cluster to say what becomes of a Job whose pod has ended";
        let wait = Wait { place: "", on, deadline: VERDICT, every: Duration::from_secs(1), stoppable: true };
        self.observe_until(wait, |facts| {
            let between = facts.jobs.iter().find(|job| job.is_between())?;
            Some(format!("Job {} has no verdict yet", between.name))
        })
        .await
    }

    /// Facts that lack nothing, or once the wait is over those of then: `lacks` says what is still missing from them.
    pub async fn observe_until(&self, wait: Wait<'_>, lacks: impl Fn(&Facts) -> Option<String>) -> Result<Facts, Cause> {
        let waited = self.session.wait_or_not(wait, async || {
            let facts = self.observe().await?;
            Ok(lacks(&facts).map_or_else(|| Probe::Ready(facts), Probe::Not))
        });
        match waited.await? {
            Waited::Ready(facts) => Ok(facts),
            Waited::Late(_) => self.observe().await,
        }
    }
}

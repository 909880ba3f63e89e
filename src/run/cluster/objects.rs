//! The objects that facts are made of: listed once for a decision, or mirrored for whoever watches.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::ListParams;

use crate::names;

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

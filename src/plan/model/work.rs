//! The steps of a node's upgrade that are looked at one by one: their names, as they are told and as journals keep them.

/// Pods go.
pub const DRAIN: &str = "drain";
/// The package of the container runtime, where a run raises it.
pub const CONTAINERD: &str = "containerd package";
/// kubeadm's own package.
pub const KUBEADM_PACKAGE: &str = "kubeadm package";
/// kubeadm on the first control plane.
pub const KUBEADM_APPLY: &str = "kubeadm upgrade apply";
/// kubeadm on every other node.
pub const KUBEADM_NODE: &str = "kubeadm upgrade node";
/// The last packages, after which the kubelet starts anew.
pub const KUBELET: &str = "kubelet packages and restart";

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Drain,
    Packages,
    Kubeadm,
    Restart,
    /// All else: a snapshot, what is fetched beforehand, a cordon.
    Other,
}

impl Work {
    /// Of the step of this name; one that another build has named otherwise is any other step.
    pub fn of(step: &str) -> Work {
        match step {
            DRAIN => Work::Drain,
            CONTAINERD | KUBEADM_PACKAGE => Work::Packages,
            KUBEADM_APPLY | KUBEADM_NODE => Work::Kubeadm,
            KUBELET => Work::Restart,
            _ => Work::Other,
        }
    }
}

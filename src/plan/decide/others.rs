//! Alerts of other people's rules that a run itself causes, or that only its end resolves. Rules of one purpose have many names, so each kind
//! is known by what a name says.

use super::rules::Moment;
use super::rules::Moment::{Claimed, Finishing, Partial, Unclaimed, Upgrading};

/// A kind of alert.
pub struct Kind {
    /// The moments at which it never blocks a run.
    pub own: &'static [Moment],
    /// Only while nodes run several versions is it the run's doing; where they do not, something else is amiss.
    pub skewed: bool,
    /// A name of the kind has a word of each of these lists; case and punctuation do not matter.
    words: &'static [&'static [&'static str]],
}

/// Whose versions a name is about.
const KUBERNETES: &[&str] = &["kube", "k8s", "controlplane", "apiserver", "nodeversion"];

/// Every kind that is known. What the words leave out (versions of etcd, of an operator, of an exporter) no upgrade of ours changes.
const KINDS: [Kind; 2] = [
    // `KubeVersionMismatch` of the stock rules fires 15 minutes after the first node has a new minor version, and until the last one has it.
    Kind {
        own: &[Unclaimed, Claimed, Upgrading, Partial],
        skewed: true,
        words: &[
            KUBERNETES,
            &["version"],
            &["skew", "mismatch", "differ", "drift", "diverg", "inconsisten", "mixed", "multiple", "several"],
        ],
    },
    // That the cluster's release is old, or a newer one there. Resolved by upgrades alone, at times only by the next minor version's.
    Kind {
        own: &[Unclaimed, Claimed, Upgrading, Finishing, Partial],
        skewed: false,
        words: &[
            KUBERNETES,
            &[
                "versionoutdated",
                "outdatedversion",
                "kubernetesoutdated",
                "k8soutdated",
                "kubeletoutdated",
                "versionbehind",
                "versiontooold",
                "versionunsupported",
                "unsupportedversion",
                "versioneol",
                "kuberneteseol",
                "k8seol",
                "versionendoflife",
                "kubernetesendoflife",
                "k8sendoflife",
                "versionendofsupport",
                "kubernetesendofsupport",
                "k8sendofsupport",
                "updateavailable",
                "upgradeavailable",
                "versionavailable",
                "releaseavailable",
                "newversion",
                "newrelease",
            ],
        ],
    },
];

/// The kind of an alert by its name, if it is of one.
pub fn kind(name: &str) -> Option<&'static Kind> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    KINDS.iter().find(|kind| kind.words.iter().all(|list| list.iter().any(|word| name.contains(word))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_many_names_and_what_is_near_it_is_none() {
        for name in [
            "KubeVersionMismatch",
            "KubernetesVersionMismatch",
            "KubeletVersionSkew",
            "kubelet-version-mismatch",
            "K8S_VERSION_DRIFT",
            "NodeVersionSkew",
            "ControlPlaneVersionSkewTooLarge",
            "MultipleKubeletVersions",
        ] {
            assert!(kind(name).is_some_and(|kind| kind.skewed), "{name}");
        }
        for name in
            ["KubernetesVersionOutdated", "K8sUpdateAvailable", "KubernetesVersionEndOfLife", "NewKubernetesVersionAvailable"]
        {
            assert!(kind(name).is_some_and(|kind| !kind.skewed), "{name}");
        }
        for name in [
            "",
            "KubeNodeNotReady",
            "KubeletTooManyPods",
            "KubeDaemonSetUpdateUnavailable",
            "KubeStatefulSetUpdateNotRolledOut",
            "KubeletClientCertificateExpiration",
            "KubeDeploymentGenerationMismatch",
            "KubeStatefulSetReplicasMismatch",
            "etcdVersionMismatch",
            "CephVersionMismatch",
            "PrometheusOperatorUpdateAvailable",
        ] {
            assert!(kind(name).is_none(), "{name}");
        }
    }
}

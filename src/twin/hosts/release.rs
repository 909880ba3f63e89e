//! What a release of Kubernetes and its kubeadm bring along: static pods, images, the kubelet's configuration.

use crate::plan::model::version::Version;

/// The static pods of a control plane, in the order in which kubeadm upgrades them.
pub const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Where images come from unless the cluster's configuration says otherwise.
pub const REGISTRY: &str = "registry.k8s.io";

/// What a release of Kubernetes brings along.
pub struct Bundle {
    pub etcd: &'static str,
    pub coredns: &'static str,
    pub pause: &'static str,
}

impl Bundle {
    pub fn of(version: Version) -> Bundle {
        let (etcd, coredns, pause) = match version.minor {
            ..=33 => ("3.5.24-0", "v1.12.0", "3.10"),
            34 => ("3.6.5-0", "v1.12.1", "3.10.1"),
            35 => ("3.6.6-0", "v1.13.1", "3.10.1"),
            36.. => ("3.6.8-0", "v1.14.6", "3.10.2"),
        };
        Bundle { etcd, coredns, pause }
    }
}

/// What `kubeadm config images list` names, in its order; workers need the last but one and pause.
pub fn images(version: Version, control_plane: bool, registry: &str) -> Vec<String> {
    let bundle = Bundle::of(version);
    let all = [
        format!("{registry}/kube-apiserver:v{version}"),
        format!("{registry}/kube-controller-manager:v{version}"),
        format!("{registry}/kube-scheduler:v{version}"),
        format!("{registry}/kube-proxy:v{version}"),
        format!("{registry}/coredns/coredns:{}", bundle.coredns),
        format!("{registry}/pause:{}", bundle.pause),
        format!("{registry}/etcd:{}", bundle.etcd),
    ];
    let needed = |image: &String| control_plane || image.contains("/kube-proxy:") || image.contains("/pause:");
    all.into_iter().filter(needed).collect()
}

/// kubeadm's KubeletConfiguration, in the ConfigMap and on every node of a new cluster.
pub const KUBELET_CONFIG: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
containerRuntimeEndpoint: \"\"
cpuManagerReconcilePeriod: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
kind: KubeletConfiguration
logging:
  flushFrequency: 0
  verbosity: 0
memorySwap: {}
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
syncFrequency: 0s
";
/// What the configuration of one node adds to it.
const INSTANCE: (&str, &str) =
    ("containerRuntimeEndpoint: \"\"", "containerRuntimeEndpoint: unix:///var/run/containerd/containerd.sock");

/// The file on a node, of what the ConfigMap says.
pub fn kubelet_config(of_cluster: &str) -> String {
    of_cluster.replace(INSTANCE.0, INSTANCE.1)
}

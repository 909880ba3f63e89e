//! What kubeadm writes on a machine: the commands of static pods, and the kubelet's configuration.

use serde_json::Value;

use super::super::store::{Key, Kind};
use super::super::{State, control};
use super::configuration::document;
use super::release::{COMPONENTS, kubelet_config};
use crate::names;
use crate::plan::decide::losses::patches;
use crate::words::Flag;

/// `kubeadm upgrade`'s phase kubelet-config. A patch of it is taken for lines of YAML that the ConfigMap has not.
pub fn write_kubelet_config(state: &mut State, node: &str, flags: &[Flag]) {
    if let Some(text) = document(state, names::KUBELET_CONFIG, "kubelet") {
        let text = kubelet_config(&text) + &patched(state, node, flags, "kubeletconfiguration").concat();
        state.hosts.change(node, |machine| machine.kubelet_config = text.into());
    }
}

/// The texts of kubeadm's patches for one target, in the folder of a machine that the flags name.
fn patched(state: &State, node: &str, flags: &[Flag], target: &str) -> Vec<String> {
    let (Some(folder), Some(machine)) = (patches::folder(flags), state.hosts.machine(node)) else { return Vec::new() };
    let prefix = format!("{folder}/{target}");
    let own = machine.files.iter().filter(|(path, _)| path.starts_with(&prefix));
    own.filter_map(|(_, file)| file.text.as_deref().map(str::to_owned)).collect()
}

/// The command of a component, as kubeadm's configuration in the cluster has it, and with what patches add to its end.
pub fn command(state: &State, node: &str, component: &str, flags: &[Flag]) -> Vec<String> {
    let text = document(state, names::KUBEADM_CONFIG, "ClusterConfiguration").unwrap_or_default();
    let configuration: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    let address = state.hosts.machine(node).map_or(String::new(), |machine| machine.address.clone());
    let of_network = |field: &str| configuration["networking"][field].as_str().unwrap_or_default().to_owned();
    let (services, pods) = (of_network("serviceSubnet"), of_network("podSubnet"));
    let pki = "/etc/kubernetes/pki";
    let (base, section) = match component {
        "kube-apiserver" => (
            format!(
                "advertise-address={address} allow-privileged=true authorization-mode=Node,RBAC client-ca-file={pki}/ca.crt \
                 enable-admission-plugins=NodeRestriction enable-bootstrap-token-auth=true etcd-cafile={pki}/etcd/ca.crt \
                 etcd-certfile={pki}/apiserver-etcd-client.crt etcd-keyfile={pki}/apiserver-etcd-client.key \
                 etcd-servers=https://127.0.0.1:2379 kubelet-client-certificate={pki}/apiserver-kubelet-client.crt \
                 kubelet-client-key={pki}/apiserver-kubelet-client.key \
                 kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname proxy-client-cert-file={pki}/front-proxy-client.crt \
                 proxy-client-key-file={pki}/front-proxy-client.key requestheader-allowed-names=front-proxy-client \
                 requestheader-client-ca-file={pki}/front-proxy-ca.crt requestheader-extra-headers-prefix=X-Remote-Extra- \
                 requestheader-group-headers=X-Remote-Group requestheader-username-headers=X-Remote-User secure-port=6443 \
                 service-account-issuer=https://kubernetes.default.svc.cluster.local service-account-key-file={pki}/sa.pub \
                 service-account-signing-key-file={pki}/sa.key service-cluster-ip-range={services} \
                 tls-cert-file={pki}/apiserver.crt tls-private-key-file={pki}/apiserver.key"
            ),
            "/apiServer",
        ),
        "kube-controller-manager" => (
            format!(
                "allocate-node-cidrs=true authentication-kubeconfig=/etc/kubernetes/controller-manager.conf \
                 authorization-kubeconfig=/etc/kubernetes/controller-manager.conf bind-address=127.0.0.1 \
                 client-ca-file={pki}/ca.crt cluster-cidr={pods} cluster-name=kubernetes \
                 cluster-signing-cert-file={pki}/ca.crt cluster-signing-key-file={pki}/ca.key \
                 controllers=*,bootstrapsigner,tokencleaner kubeconfig=/etc/kubernetes/controller-manager.conf \
                 leader-elect=true requestheader-client-ca-file={pki}/front-proxy-ca.crt root-ca-file={pki}/ca.crt \
                 service-account-private-key-file={pki}/sa.key service-cluster-ip-range={services} \
                 use-service-account-credentials=true"
            ),
            "/controllerManager",
        ),
        "kube-scheduler" => (
            "authentication-kubeconfig=/etc/kubernetes/scheduler.conf authorization-kubeconfig=/etc/kubernetes/scheduler.conf \
             bind-address=127.0.0.1 kubeconfig=/etc/kubernetes/scheduler.conf leader-elect=true"
                .to_owned(),
            "/scheduler",
        ),
        _ => (
            format!(
                "advertise-client-urls=https://{address}:2379 cert-file={pki}/etcd/server.crt client-cert-auth=true \
                 data-dir=/var/lib/etcd feature-gates=InitialCorruptCheck=true \
                 initial-advertise-peer-urls=https://{address}:2380 initial-cluster={node}=https://{address}:2380 \
                 key-file={pki}/etcd/server.key listen-client-urls=https://127.0.0.1:2379,https://{address}:2379 \
                 listen-metrics-urls=http://127.0.0.1:2381 listen-peer-urls=https://{address}:2380 name={node} \
                 peer-cert-file={pki}/etcd/peer.crt peer-client-cert-auth=true peer-key-file={pki}/etcd/peer.key \
                 peer-trusted-ca-file={pki}/etcd/ca.crt snapshot-count=10000 trusted-ca-file={pki}/etcd/ca.crt \
                 watch-progress-notify-interval=5s"
            ),
            "/etcd/local",
        ),
    };
    let extra = configuration.pointer(&format!("{section}/extraArgs")).and_then(Value::as_array).into_iter().flatten();
    let extra: Vec<(&str, &str)> = extra.filter_map(|arg| Some((arg["name"].as_str()?, arg["value"].as_str()?))).collect();
    let is_extra = |flag: &&str| extra.iter().any(|(name, _)| flag.split('=').next() == Some(name));
    let base = base.split_whitespace().filter(|flag| !is_extra(flag)).map(|flag| format!("--{flag}")).collect::<Vec<_>>();
    let extra = extra.iter().map(|(name, value)| format!("--{name}={value}"));
    let patches =
        patched(state, node, flags, component).into_iter().map(|text| serde_saphyr::from_str(&text).unwrap_or_default());
    let added: Vec<String> = patches
        .flat_map(|patch: Value| patch.as_array().cloned().unwrap_or_default())
        .filter_map(|operation| operation["value"].as_str().map(str::to_owned))
        .collect();
    std::iter::once(component.to_owned()).chain(base).chain(extra).chain(added).collect()
}

/// The manifests of a new control plane.
pub fn write_commands(state: &mut State, node: &str) {
    for component in COMPONENTS {
        let command = command(state, node, component, &[]);
        state.hosts.change(node, |machine| machine.commands.insert(component.to_owned(), command));
    }
}

/// A person edits the manifest of a static pod on its node: one more flag. The kubelet replaces the pod.
pub fn edit_manifest(state: &mut State, node: &str, component: &str, flag: &str) {
    let pod = Key::new(Kind::Pod, "kube-system", &format!("{component}-{node}"));
    let image = state.store.get(&pod).and_then(|pod| pod["spec"]["containers"][0]["image"].as_str().map(str::to_owned));
    state.hosts.change(node, |machine| machine.commands.entry(component.to_owned()).or_default().push(flag.to_owned()));
    if let Some(image) = image {
        control::static_pod_replaced(state, node, component, &image, std::time::Duration::from_secs(10));
    }
}

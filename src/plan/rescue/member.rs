//! One member of etcd among several: what all of them are called, and how one that is lost is made anew while the others serve.

use crate::plan::model::facts::Node;
use crate::words::{command, texts};

/// A member, as its manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    /// Where the others reach it: `https://10.0.20.100:2380`.
    pub url: String,
}

texts!(Peer { name, url });

impl Peer {
    /// As kubeadm sets it up.
    fn of(name: &str, address: &str) -> Peer {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Peer { name: name.to_owned(), url: format!("https://{host}:2380") }
    }
}

/// The members that kubeadm has set up on these control planes. One whose address is not known is not among them.
pub fn peers(control_planes: &[&Node]) -> Vec<Peer> {
    control_planes.iter().filter_map(|node| Some(Peer::of(&node.name, node.address.as_deref()?))).collect()
}

/// What `--initial-cluster` is, of all of them.
pub fn initial_cluster(peers: &[Peer]) -> String {
    peers.iter().map(|Peer { name, url }| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}

/// Where the member of `node` alone is lost: line by line, for a person's hands. `through`: a control plane whose member is well. None: there
/// are no others.
pub fn replace_plan(node: &str, through: &str, peers: &[Peer]) -> Option<Vec<String>> {
    let own = peers.iter().find(|peer| peer.name == node).filter(|_| peers.len() > 1)?;
    let certificates = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";
    let etcdctl = [&command!("kubectl exec -n kube-system etcd-{} --", through), " etcdctl ", certificates].concat();
    let id = format!("{etcdctl} member list | sed -n 's/^\\([0-9a-f]*\\), [a-z]*, {node}, .*/\\1/p'");
    let all = initial_cluster(peers);
    Some(vec![
        format!(
            "The API server answers, so etcd has its quorum. Where only the member of {node} is lost, it is made anew of what the others have, \
             and nothing is restored."
        ),
        format!("On {node}, as root:"),
        "  mkdir -p /root/manifests && mv /etc/kubernetes/manifests/etcd.yaml /root/manifests/".to_owned(),
        "  while pgrep -x etcd >/dev/null; do sleep 1; done".to_owned(),
        "  if [ -e /var/lib/etcd/member ]; then mv /var/lib/etcd/member /var/lib/etcd/member.broken-$(date +%s); fi".to_owned(),
        format!(
            "  sed -i -E -e '/- --initial-cluster-state=/d' -e 's#^( *- )--initial-cluster=.*#\\1--initial-cluster={all}\\n\\1--initial-cluster-state=existing#' \
             /root/manifests/etcd.yaml"
        ),
        "Wherever kubectl works:".to_owned(),
        format!("  {etcdctl} member remove \"$({id})\""),
        format!("  {etcdctl} member add {node} --peer-urls={}", own.url),
        format!("On {node}, as root:"),
        "  mv /root/manifests/etcd.yaml /etc/kubernetes/manifests/".to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::facts::Facts;
    use crate::plan::model::fixture::{cluster, runbook};

    fn of(facts: &Facts) -> Vec<Peer> {
        peers(&facts.nodes.iter().filter(|node| node.control_plane).collect::<Vec<_>>())
    }

    #[test]
    fn one_of_several_is_made_anew_and_one_alone_cannot_be() {
        let (facts, alone) = (cluster(3, 1), runbook());
        let three = of(&facts);
        let plan = replace_plan("k8s-master2", "k8s-master3", &three).expect("a plan").join("\n");
        let added = three.iter().find(|peer| peer.name == "k8s-master2").map(|peer| format!("--peer-urls={}", peer.url));
        for part in [
            "exec -n kube-system etcd-k8s-master3 --",
            &format!("--initial-cluster={}\\n", initial_cluster(&three)),
            &added.expect("it is one of them"),
            "[a-z]*, k8s-master2, ",
        ] {
            assert!(plan.contains(part), "{part}\n{plan}");
        }
        assert_eq!(three.len(), 3);
        assert_eq!(replace_plan("k8s-master", "k8s-master", &of(&alone)), None);
        assert_eq!(replace_plan("k8s-node1", "k8s-master", &three), None, "no member");
    }

    #[test]
    fn an_address_of_the_sixth_version_stands_in_brackets() {
        assert_eq!(
            initial_cluster(&[Peer::of("a", "fd00::1"), Peer::of("b", "10.0.0.2")]),
            "a=https://[fd00::1]:2380,b=https://10.0.0.2:2380"
        );
    }
}

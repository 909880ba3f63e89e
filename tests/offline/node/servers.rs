//! What a control plane's own servers say, asked at the addresses of their manifests.

use k8s_upgrade::node::{AskServers, Said, Servers};

use super::bench::Node;

const API: &str =
    "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --advertise-address=10.0.20.100\n    - --secure-port=6443\n";
const ETCD: &str = "spec:\n  containers:\n  - command:\n    - etcd\n    - --listen-metrics-urls=http://127.0.0.1:2381\n";
const WELL: &str = r#"{"health":"true","reason":""}"#;

fn control_plane(api: &str, etcd: &str) -> Node {
    let node = Node::new();
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", api);
    node.root("etc/kubernetes/manifests/etcd.yaml", etcd);
    node.state("readyz", "ok");
    node.state("health", WELL);
    node
}

fn asked(node: &Node) -> Servers {
    node.run(&AskServers).unwrap()
}

fn urls(node: &Node) -> Vec<String> {
    let url = |call: String| call.strip_prefix("curl ").and_then(|call| call.rsplit(' ').next().map(str::to_owned));
    node.calls().into_iter().filter_map(url).collect()
}

#[test]
fn both_are_asked_where_their_manifests_say() {
    let node = control_plane(API, ETCD);
    assert_eq!(asked(&node), Servers { api: Said::Well, etcd: Said::Well });
    assert_eq!(urls(&node), ["https://10.0.20.100:6443/readyz", "http://127.0.0.1:2381/health"]);
    let api = API.replace("10.0.20.100", "fd00::1").replace("6443", "8443");
    let etcd = ETCD.replace("http://127.0.0.1:2381", "https://10.0.20.100:2381,http://[::1]:2390");
    let node = control_plane(&api, &etcd);
    assert_eq!(asked(&node), Servers { api: Said::Well, etcd: Said::Well });
    assert_eq!(urls(&node), ["https://[fd00::1]:8443/readyz", "http://[::1]:2390/health"]);
}

#[test]
fn what_is_not_well_says_so_in_its_own_words() {
    let node = control_plane(API, ETCD);
    node.state("readyz", "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n");
    node.state("health", r#"{"health":"false","reason":"ALARM NOSPACE"}"#);
    let Servers { api: Said::Ill(api), etcd: Said::Ill(etcd) } = asked(&node) else { panic!("both are ill") };
    assert!(api.contains("[-]etcd failed: reason withheld readyz check failed"), "{api}");
    assert!(etcd.contains("ALARM NOSPACE"), "{etcd}");
    // Nobody answers, or somebody else does.
    node.forget("readyz");
    node.state("health", "");
    let said = asked(&node);
    assert_eq!(said.api, Said::Ill("curl: (7) Failed to connect".to_owned()));
    assert_eq!(said.etcd, Said::Ill("no answer".to_owned()));
    node.state("readyz", "<html>ok</html>");
    assert_eq!(asked(&node).api, Said::Ill("<html>ok</html>".to_owned()));
}

#[test]
fn who_cannot_be_asked_is_neither_well_nor_ill() {
    let why = |said: Said| match said {
        Said::Unasked(why) => why,
        said => panic!("{said:?}"),
    };
    let said = asked(&Node::new());
    assert_eq!(why(said.api), "there is no manifest of an API server on this node");
    assert_eq!(why(said.etcd), "there is no manifest of an etcd on this node");
    let closed = ETCD.replace("--listen-metrics-urls=http://", "--listen-metrics-urls=https://");
    assert_eq!(why(asked(&control_plane(API, &closed)).etcd), "its manifest has no http: address in --listen-metrics-urls");
    let odd = API.replace("10.0.20.100", "$(touch /tmp/x)");
    let node = control_plane(&odd, ETCD);
    assert_eq!(why(asked(&node).api), "its manifest names no address that can be asked");
    node.without(&["curl"]);
    assert_eq!(why(asked(&node).etcd), "curl is missing on this node");
}

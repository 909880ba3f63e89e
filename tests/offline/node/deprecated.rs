//! What a control plane's API server has counted of deprecated APIs, read out of metrics as a real one prints them.

use k8s_upgrade::node::{AskDeprecated, Deprecated};
use k8s_upgrade::plan::model::deprecated::Counted;

use super::bench::Node;

const API: &str =
    "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --advertise-address=10.0.20.100\n    - --secure-port=6443\n";
const METRICS: &str = r#"# HELP apiserver_request_total [STABLE] Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"} 12
# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="networking.k8s.io",removed_release="1.37",resource="ipaddresses",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="example.org",removed_release="",resource="things",subresource="status",version="v1alpha1"} 1
# HELP process_start_time_seconds [ALPHA] Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79583564012e+09
"#;

fn control_plane(metrics: &str) -> Node {
    let node = Node::new();
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", API);
    node.root("etc/kubernetes/admin.conf", "kind: Config\n");
    node.state("metrics", metrics);
    node
}

fn counted(node: &Node) -> Counted {
    match node.run(&AskDeprecated).unwrap() {
        Deprecated::Counted(counted) => counted,
        Deprecated::Unasked(why) => panic!("{why}"),
    }
}

fn unasked(node: &Node) -> String {
    match node.run(&AskDeprecated).unwrap() {
        Deprecated::Unasked(why) => why,
        Deprecated::Counted(counted) => panic!("{counted:?}"),
    }
}

fn shown(counted: &Counted) -> Vec<String> {
    let of = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let calls = counted.calls.iter();
    calls.map(|call| format!("{} {} {}", call.api, of(call.subresource.as_deref()), of(call.removed.as_deref()))).collect()
}

#[test]
fn what_was_called_is_read_with_its_release_and_since_when() {
    for with in ["kubectl", "curl"] {
        let node = control_plane(METRICS);
        if with == "curl" {
            node.without(&["kubectl"]);
        }
        let counted = counted(&node);
        assert_eq!(counted.since.to_string(), "2026-11-28T03:14:00Z", "{with}");
        assert_eq!(
            shown(&counted),
            ["v1/endpoints - -", "networking.k8s.io/v1beta1/ipaddresses - 1.37", "example.org/v1alpha1/things status -"],
            "{with}"
        );
        let calls = node.calls();
        let call = calls.iter().find(|call| call.starts_with(with)).unwrap();
        assert!(call.contains("https://10.0.20.100:6443"), "this very API server is asked: {call}");
    }
}

/// Only of what goes with a release that is known, and whether the answer comes or not.
#[test]
fn who_has_written_through_it_is_counted_by_its_name() {
    let node = control_plane(METRICS);
    assert_eq!(counted(&node).writers, []);
    node.state("writers", "10.96.0.1 kube apiserver 1\nshop/cart helm\nshop/till helm\n10.96.0.9 \u{1b}[31mred\n");
    let counted = counted(&node);
    let shown: Vec<String> = counted
        .writers
        .iter()
        .map(|writer| format!("{} {} {} {}", writer.api, writer.objects, writer.one, writer.manager))
        .collect();
    let api = "networking.k8s.io/v1beta1/ipaddresses";
    assert_eq!(shown[0], format!("{api} 2 shop/cart helm"));
    assert!(shown.len() == 3 && shown.contains(&format!("{api} 1 10.96.0.1 kube apiserver 1")), "{shown:?}");
    assert!(shown.iter().all(|line| !line.contains('\u{1b}')), "{shown:?}");
    let asked: Vec<String> = node.calls().into_iter().filter(|call| call.contains("go-template")).collect();
    assert!(asked.iter().all(|call| call.contains(" get ipaddresses.networking.k8s.io --all-namespaces ")), "{asked:?}");
    node.without(&["kubectl"]);
    assert_eq!(self::counted(&node).writers, [], "curl asks for metrics alone");
}

/// No line of those that say nothing of this leaves the node, and nothing that is too much does.
#[test]
fn the_rest_stays_on_the_node() {
    let counted = counted(&control_plane("process_start_time_seconds 1\n"));
    assert!(counted.calls.is_empty() && counted.since.as_second() == 1, "{counted:?}");
    let output = control_plane(METRICS).answer(&k8s_upgrade::node::stdin(&AskDeprecated));
    assert!(!output.stdout.contains("request_total") && !output.stdout.contains("HELP"), "{output:?}");
    let line = |n: usize| {
        format!(
            "apiserver_requested_deprecated_apis{{group=\"\",removed_release=\"\",resource=\"r{n}\",subresource=\"\",version=\"v1\"}} 1\n"
        )
    };
    let many: String = (0..1001).map(line).collect();
    assert_eq!(unasked(&control_plane(&format!("{METRICS}{many}"))), "it has counted more than 1000 deprecated APIs");
}

#[test]
fn what_cannot_be_asked_is_no_silence() {
    assert_eq!(unasked(&Node::new()), "there is no manifest of an API server on this node");
    let node = control_plane(METRICS);
    node.forget("metrics");
    assert_eq!(unasked(&node), "its metrics cannot be read: The connection to the server was refused");
    node.without(&["kubectl"]);
    assert_eq!(unasked(&node), "its metrics cannot be read: curl: (7) Failed to connect");
    node.without(&["curl"]);
    assert_eq!(unasked(&node), "its metrics cannot be read: neither kubectl nor curl is there to ask with");
    let node = control_plane(METRICS);
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", &API.replace("10.0.20.100", "$(touch /tmp/x)"));
    assert_eq!(unasked(&node), "its manifest names no address that can be asked");
}

#[test]
fn what_is_no_such_answer_is_refused() {
    let started = "process_start_time_seconds 1.79583564012e+09\n";
    let line =
        r#"apiserver_requested_deprecated_apis{group="a",removed_release="1.37",resource="b",subresource="",version="v1"} 1"#;
    assert_eq!(counted(&control_plane(&format!("{started}{line}\n"))).calls.len(), 1);
    for odd in [
        line.replace("1.37", "soon"),
        line.replace("\"b\"", "\"b c\""),
        line.replace("\"a\"", "\"$(reboot)\""),
        line.replace("subresource", "group"),
        line.replace("version=\"v1\"", "version=v1"),
        line.replace("} 1", "} NaN"),
        line.replace(",version=\"v1\"", ""),
    ] {
        let cause = control_plane(&format!("{started}{odd}\n")).run(&AskDeprecated).unwrap_err();
        assert!(cause.what.contains("cannot be read"), "{odd}: {cause}");
    }
    for odd in ["", "process_start_time_seconds NaN\n", "process_start_time_seconds -1\n", "a page of something else\n"] {
        control_plane(odd).run(&AskDeprecated).unwrap_err();
    }
}

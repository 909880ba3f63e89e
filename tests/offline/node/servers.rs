//! What a control plane's own servers say, asked at the addresses of their manifests.

use std::time::Duration;

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{AskServers, MoveLeader, Said, Servers};
use k8s_upgrade::plan::model::member::{Disk, Member, Spent};

use super::bench::{Node, word};
use super::snapshot;

const API: &str =
    "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --advertise-address=10.0.20.100\n    - --secure-port=6443\n";
const ETCD: &str = "spec:\n  containers:\n  - command:\n    - etcd\n    - --listen-metrics-urls=http://127.0.0.1:2381\n";
const WELL: &str = r#"{"health":"true","reason":""}"#;
/// Of a member's page, what is wanted and what stands around it.
const METRICS: &str = "\
# TYPE etcd_disk_backend_commit_duration_seconds histogram
etcd_disk_backend_commit_duration_seconds_bucket{le=\"0.001\"} 7
etcd_disk_backend_commit_duration_seconds_sum 12.5
etcd_disk_backend_commit_duration_seconds_count 4000
etcd_disk_wal_fsync_duration_seconds_sum 1.234567e+01
etcd_disk_wal_fsync_duration_seconds_count 1.234567e+06
etcd_mvcc_db_total_size_in_bytes 2.5165824e+07
etcd_mvcc_db_total_size_in_use_in_bytes 1.2582912e+07
etcd_server_has_leader 1
etcd_server_id{server_id=\"8e9e05c52164694d\"} 1
etcd_server_is_leader 1
etcd_server_is_learner 0
etcd_server_quota_backend_bytes 2.147483648e+09
go_goroutines 9
";

fn member() -> Member {
    Member {
        id: word("8e9e05c52164694d"),
        leads: true,
        learner: false,
        size: 24 << 20,
        in_use: 12 << 20,
        quota: Some(2 << 30),
        disk: Disk {
            fsync: Spent { count: 1_234_567, time: Duration::from_micros(12_345_670) },
            commit: Spent { count: 4000, time: Duration::from_millis(12_500) },
        },
    }
}

fn control_plane(api: &str, etcd: &str) -> Node {
    let node = Node::new();
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", api);
    node.root("etc/kubernetes/manifests/etcd.yaml", etcd);
    node.state("readyz", "ok");
    node.state("health", WELL);
    node.state("metrics", METRICS);
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
    assert_eq!(asked(&node), Servers { api: Said::Well, etcd: Said::Well, member: Some(member()) });
    assert_eq!(urls(&node), ["https://10.0.20.100:6443/readyz", "http://127.0.0.1:2381/health", "http://127.0.0.1:2381/metrics"]);
    let api = API.replace("10.0.20.100", "fd00::1").replace("6443", "8443");
    let etcd = ETCD.replace("http://127.0.0.1:2381", "https://10.0.20.100:2381,http://[::1]:2390");
    let node = control_plane(&api, &etcd);
    assert_eq!(asked(&node), Servers { api: Said::Well, etcd: Said::Well, member: Some(member()) });
    assert_eq!(urls(&node), ["https://[fd00::1]:8443/readyz", "http://[::1]:2390/health", "http://[::1]:2390/metrics"]);
}

#[test]
fn what_is_not_well_says_so_in_its_own_words() {
    let node = control_plane(API, ETCD);
    let checks = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n[+]informer-sync ok\nreadyz check failed\n";
    node.state("readyz", checks);
    node.state("health", r#"{"health":"false","reason":"ALARM NOSPACE"}"#);
    let Servers { api: Said::Ill(api), etcd: Said::Ill(etcd), .. } = asked(&node) else { panic!("both are ill") };
    assert_eq!(api, "its /readyz fails: etcd, etcd-readiness", "of all its checks those that fail");
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
        Said::Absent(why) => format!("absent: {why}"),
        said => panic!("{said:?}"),
    };
    let said = asked(&Node::new());
    assert_eq!(why(said.api), "absent: there is no manifest of an API server on this node");
    assert_eq!(why(said.etcd), "absent: there is no manifest of an etcd on this node");
    let closed = ETCD.replace("--listen-metrics-urls=http://", "--listen-metrics-urls=https://");
    assert_eq!(why(asked(&control_plane(API, &closed)).etcd), "its manifest has no http: address in --listen-metrics-urls");
    let odd = API.replace("10.0.20.100", "$(touch /tmp/x)");
    let node = control_plane(&odd, ETCD);
    assert_eq!(why(asked(&node).api), "its manifest names no address that can be asked");
    node.without(&["curl"]);
    assert_eq!(why(asked(&node).etcd), "curl is missing on this node");
}

#[test]
fn a_member_says_all_that_is_judged_or_nothing_of_it_counts() {
    let node = control_plane(API, ETCD);
    let with = |from: &str, to: &str| {
        node.state("metrics", &METRICS.replace(from, to));
        asked(&node).member
    };
    assert_eq!(with("server_quota_backend_bytes 2.147483648e+09", "server_quota_backend_bytes 0"), Some(member()), "etcd's own");
    assert_eq!(
        with("server_quota_backend_bytes 2.147483648e+09", "server_quota_backend_bytes -1"),
        Some(Member { quota: None, ..member() })
    );
    assert_eq!(with("is_learner 0", "is_learner 1").map(|member| member.learner), Some(true));
    // Each by itself.
    for line in
        METRICS.lines().filter(|line| line.starts_with("etcd_") && !line.contains("bucket") && !line.contains("has_leader"))
    {
        assert_eq!(with(line, "# gone"), None, "{line}");
    }
    assert_eq!(with("1.234567e+06", "NaN"), None);
    assert_eq!(with("8e9e05c52164694d", "$(reboot)"), None);
    node.forget("metrics");
    let said = asked(&node);
    assert_eq!((said.etcd, said.member), (Said::Well, None));
}

#[test]
fn leadership_is_moved_where_it_is() {
    let op = MoveLeader { to: word("91bc3c398fb3c146") };
    let moves = |node: &Node| node.calls().iter().filter(|call| call.contains(" move-leader 91bc3c398fb3c146")).count();
    for without in [&[][..], &["crictl"]] {
        let node = snapshot::control_plane();
        node.without(without);
        assert_eq!((node.run(&op), moves(&node)), (Ok(true), 1));
        assert_eq!((node.run(&op), moves(&node)), (Ok(false), 1), "it leads no more");
    }
    let fails = |file: &str, content: &str| {
        let node = snapshot::control_plane();
        node.state(file, content);
        node.run(&op).unwrap_err()
    };
    let said = fails("move-fails", "");
    assert!(said.class == Class::Step && said.what.contains("leader transfer took too long"), "{said}");
    let said = fails("stays", "");
    assert!(said.class == Class::Step && said.what.contains("leads as before"), "{said}");
    let said = fails("leader", "");
    assert!(said.class == Class::Hold && said.what.contains("etcd has no leader now"), "{said}");
    assert_eq!(fails("etcd-away", "").class, Class::Unreachable);
    assert_eq!(Node::new().run(&op).unwrap_err().class, Class::Refused);
}

//! The dashboard that `manifests --only dashboard` prints: what each panel asks is pushed by somebody, understood by Prometheus, and answered.

use std::collections::BTreeSet;

use k8s_upgrade::names::METRICS;
use k8s_upgrade::plan::decide::rules;
use k8s_upgrade::plan::manifests::dashboard::dashboard;
use k8s_upgrade::plan::model::policy::Gauges;
use regex::Regex;
use serde_json::Value;

use crate::install::promtool;
use crate::support::program::program;

fn panels(gauges: Gauges) -> Vec<Value> {
    let read: Value = serde_json::from_str(&dashboard(gauges).unwrap()).unwrap();
    read["panels"].as_array().unwrap().clone()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path}: {value}"))
}

fn queries(panels: &[Value]) -> Vec<&str> {
    panels.iter().map(|panel| text(panel, "/targets/0/expr")).collect()
}

/// The metrics of an expression: its words, less what stands in strings, braces and lists of labels, functions and PromQL's own.
fn metrics(expression: &str) -> BTreeSet<String> {
    let strings = Regex::new(r#""[^"]*""#).unwrap().replace_all(expression, "\"\"").into_owned();
    let labels = Regex::new(r"\{[^}]*\}|\b(by|on|ignoring|without|group_left) *\([^)]*\)|\[[^]]*\]").unwrap();
    let bare = labels.replace_all(&strings, " ").into_owned();
    let words = Regex::new(r"[a-zA-Z_:][a-zA-Z0-9_:]*( *\()?").unwrap();
    let words = words.find_iter(&bare).map(|word| word.as_str().to_owned()).filter(|word| !word.ends_with('('));
    words.filter(|word| !["and", "or", "unless", "bool"].contains(&word.as_str())).collect()
}

#[test]
fn the_metrics_of_an_expression_are_found() {
    let found = metrics(r#"max by (a, b) (one{c="two"}) and on () time() - three[5m] > bool 1 or vector(0)"#);
    assert_eq!(found.iter().collect::<Vec<_>>(), ["one", "three"]);
}

/// By this program, or by what its alert rules look at, too; and of alerts by those rules themselves.
#[test]
fn what_a_panel_asks_for_is_there() {
    for gauges in [Gauges::Pushgateway, Gauges::Off] {
        let panels = panels(gauges);
        let of_rules = |gauges| rules::alerts(gauges).into_iter().flat_map(|rule| metrics(text(&rule, "/expr")));
        let pushed = METRICS.iter().filter(|_| gauges == Gauges::Pushgateway).map(|metric| (*metric).to_owned());
        let in_cluster = of_rules(Gauges::Off).chain(of_rules(Gauges::Pushgateway).filter(|metric| metric.starts_with("kube_")));
        let known: BTreeSet<String> = in_cluster.chain(pushed).chain(["ALERTS".to_owned()]).collect();
        for query in queries(&panels) {
            let asked = metrics(query);
            assert!(!asked.is_empty() && asked.is_subset(&known), "{query} asks for {asked:?} of {known:?}");
        }
        let alerts =
            queries(&panels).into_iter().find_map(|query| query.split_once("alertname=~\"")?.1.split_once('"')).unwrap().0;
        let shipped = rules::alerts(gauges);
        let shipped = shipped.iter().map(|rule| text(rule, "/alert")).filter(|alert| *alert != "Watchdog");
        assert_eq!(alerts.split('|').collect::<Vec<_>>(), shipped.collect::<Vec<_>>());
    }
}

#[test]
fn every_gauge_is_shown() {
    let panels = panels(Gauges::Pushgateway);
    let asked: BTreeSet<String> = queries(&panels).into_iter().flat_map(metrics).collect();
    let unseen: Vec<&&str> = METRICS.iter().filter(|metric| !asked.contains(**metric)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// Grafana moves panels that lie on each other, and shows one of two with the same id.
#[test]
fn panels_have_places_of_their_own() {
    for (gauges, least) in [(Gauges::Pushgateway, 12), (Gauges::Off, 3)] {
        let panels = panels(gauges);
        assert!(panels.len() >= least, "{} panels with {gauges:?}", panels.len());
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in &panels {
            let title = text(panel, "/title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: an id that another has");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24, "{title} is out of its row: {}", panel["gridPos"]);
            for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(taken.insert((x, y)), "{title} lies on another at {x}, {y}");
            }
        }
    }
}

/// The choice above the dashboard is the one that each panel, and each of its queries, asks.
#[test]
fn panels_ask_the_prometheus_that_is_chosen() {
    let printed = program(&["manifests", "--only", "dashboard"], &[]);
    let read: Value = serde_json::from_str(&printed.is(0).stdout).unwrap();
    assert_eq!((&read["id"], read["uid"].as_str().unwrap().len() <= 40), (&Value::Null, true));
    assert_eq!((text(&read, "/templating/list/0/name"), text(&read, "/templating/list/0/type")), ("datasource", "datasource"));
    for panel in read["panels"].as_array().unwrap() {
        for asked in [&panel["datasource"], &panel["targets"][0]["datasource"]] {
            assert_eq!((text(asked, "/type"), text(asked, "/uid")), ("prometheus", "${datasource}"), "{}", panel["title"]);
        }
        assert!(!text(panel, "/title").is_empty() && !text(panel, "/description").is_empty());
    }
}

/// A run of eleven minutes that stands at a gate, and all else that a panel may show.
const SERIES: [(&str, &str); 14] = [
    (r#"k8s_upgrade_in_flight{job="k8s-version-upgrade"}"#, "1x30"),
    (r#"k8s_upgrade_started_timestamp{job="k8s-version-upgrade"}"#, "60x30"),
    (r#"k8s_upgrade_progress_timestamp{job="k8s-version-upgrade"}"#, "120x30"),
    (r#"k8s_upgrade_snapshot_taken{job="k8s-version-upgrade"}"#, "1x30"),
    (r#"k8s_upgrade_halted_timestamp{job="k8s-version-upgrade"}"#, "60x30"),
    (r#"k8s_upgrade_blocker{job="k8s-upgrade-blocker"}"#, "1x30"),
    (r#"k8s_upgrade_gate_holding{job="k8s-upgrade-gates",gate="alerts",verdict="hold"}"#, "1x30"),
    (r#"k8s_upgrade_available{kind="patch",running="1.36.2",target="1.36.3"}"#, "1x30"),
    (r#"k8s_version_check_last_run_timestamp{job="k8s-version-check"}"#, "60x30"),
    (r#"ALERTS{alertname="K8sUpgradeInFlight",alertstate="firing"}"#, "1x30"),
    (r#"kube_node_info{node="a",kubelet_version="v1.36.2"}"#, "1x30"),
    (r#"kube_job_status_active{namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n2"}"#, "2x30"),
    (r#"kube_job_failed{condition="true",namespace="k8s-upgrade",job_name="k8s-upgrade-master-1-36-3"}"#, "1x30"),
    (r#"kube_job_status_active{namespace="shop",job_name="nightly"}"#, "1x30"),
];

/// Prometheus itself reads and answers each query; a run and nothing else gives the numbers that people go by.
#[test]
fn every_query_is_answered_as_prometheus_computes_it() {
    let panels = panels(Gauges::Pushgateway);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, value: Value| {
        std::fs::write(folder.path().join(name), serde_saphyr::to_string(&value).unwrap()).unwrap();
    };
    let recorded: Vec<Value> = panels
        .iter()
        .map(|panel| serde_json::json!({ "record": format!("panel:{}", panel["id"]), "expr": text(panel, "/targets/0/expr") }))
        .collect();
    file("queries.yaml", serde_json::json!({ "groups": [{ "name": "panels", "rules": recorded }] }));
    let said = promtool(folder.path(), &["check", "rules", "queries.yaml"]);
    assert!(said.contains(&format!("{} rules found", panels.len())), "{said}");

    let series: Vec<Value> =
        SERIES.iter().map(|(series, values)| serde_json::json!({ "series": series, "values": values })).collect();
    // In seconds, after eleven minutes.
    let shown = [
        ("Run", 1, 1),
        ("Since its start", 1, 600),
        ("Since its last progress", 1, 540),
        ("Snapshot of etcd", 1, 1),
        ("Halted for", 1, 600),
        ("Blocker", 1, 1),
        ("Closed gates", 1, 1),
        ("Closed gates over time", 1, 1),
        ("Releases to go to", 1, 1),
        ("Since the last look for a release", 1, 600),
        ("Alerts of upgrades", 1, 1),
        ("Kubelets by version", 1, 1),
        // One failed, and one at work with two pods.
        ("Jobs of the chain", 2, 3),
    ];
    let titles: Vec<&str> = panels.iter().map(|panel| text(panel, "/title")).collect();
    assert_eq!(titles, shown.map(|(title, ..)| title));
    let expected: Vec<Value> = panels
        .iter()
        .zip(shown)
        .flat_map(|(panel, (_, rows, sum))| {
            let query = text(panel, "/targets/0/expr");
            [("count", rows), ("sum", sum)].map(|(fold, value)| {
                serde_json::json!({
                    "expr": format!("{fold}({query})"), "eval_time": "11m", "exp_samples": [{ "labels": "{}", "value": value }],
                })
            })
        })
        .collect();
    let tests = serde_json::json!([{ "interval": "1m", "input_series": series, "promql_expr_test": expected }]);
    file("test.yaml", serde_json::json!({ "rule_files": [], "evaluation_interval": "1m", "tests": tests }));
    promtool(folder.path(), &["test", "rules", "test.yaml"]);
}

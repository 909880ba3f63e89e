//! `rehearse` by its one entry: the whole chain in memory, disturbed or not, at hand or copied from a cluster.

use std::collections::BTreeMap;

use k8s_upgrade::twin::scenario::Alert;
use k8s_upgrade::twin::{Scenario, Twin, Who};
use k8s_upgrade::world::{Env, World};
use regex::Regex;
use serde_json::Value;

use super::mask::{SPAN, in_order, masked};
use crate::support::program::{Ran, program_in};

/// The scenario behind an API server: what `--from-cluster` reads.
fn cluster(scenario: &Scenario) -> World {
    let state = scenario.state("docker.io/library/k8s-upgrade:test").unwrap();
    let twin = Twin::new(state, None);
    twin.world(&Who::Operator("me".into()), std::collections::BTreeMap::new())
}

/// `rehearse` with these arguments. The world outside is the real one: nothing of it is to be touched.
fn rehearse(args: &[&str]) -> Ran {
    program_in(Some(&|| k8s_upgrade::adapters::world(&Env::new())), &[&["rehearse"], args].concat(), &[])
}

fn json(args: &[&str]) -> Value {
    let ran = rehearse(&[args, &["-o", "json"]].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

/// Places and nodes of the Jobs, as a person would say them.
fn jobs(told: &Value) -> Vec<String> {
    let all = told["jobs"].as_array().unwrap();
    all.iter().map(|job| format!("{} on {}", job["place"].as_str().unwrap(), job["node"].as_str().unwrap())).collect()
}

#[test]
fn the_runbook_s_cluster_is_upgraded_in_its_order() {
    let told = json(&[]);
    assert_eq!(told["end"]["state"], "done", "{told:#}");
    assert_eq!((told["from"].as_str(), told["target"].as_str()), (Some("1.34.2"), Some("1.34.7")));
    assert_eq!(
        jobs(&told)[..6],
        [
            "preflight on k8s-node1",
            "k8s-master on k8s-node1",
            "k8s-node4 on k8s-node1",
            "k8s-node3 on k8s-node1",
            "k8s-node2 on k8s-node1",
            "k8s-node1 on k8s-master",
        ]
    );
    let nodes = told["nodes"].as_array().unwrap();
    let number = |node: &Value, field: &str| node[field].as_u64().unwrap();
    assert!(nodes.iter().all(|node| node["version"] == "1.34.7" && number(node, "outOfServiceSeconds") > 0), "{nodes:#?}");
    let sum = |field: &str| nodes.iter().map(|node| number(node, field)).sum::<u64>();
    assert_eq!(told["outOfServiceSeconds"], sum("outOfServiceSeconds"));
    assert!(sum("evicted") > 20 && sum("refused") > 0, "{nodes:#?}");
    // Anubis: one replica behind a budget of one.
    let remarks = told["remarks"].as_array().unwrap();
    assert!(remarks.iter().any(|remark| remark["text"].as_str().unwrap().contains("web/anubis-")), "{remarks:#?}");
    let slack = told["slack"].as_array().unwrap();
    assert!(slack.last().unwrap()["text"].as_str().unwrap().starts_with("✅ K8s upgrade complete"), "{slack:#?}");
    let gauges: Vec<&Value> =
        told["gauges"].as_array().unwrap().iter().filter(|g| g["series"] == "k8s_upgrade_in_flight").collect();
    assert_eq!(gauges.iter().map(|gauge| gauge["value"].as_f64().unwrap()).collect::<Vec<_>>(), [1.0, 0.0]);
    assert_eq!(told["unmodelled"], serde_json::json!([]));
}

#[test]
fn one_seed_gives_one_history_and_progress_goes_to_stderr() {
    let (first, second) = (rehearse(&[]), rehearse(&[]));
    first.is(0).says("k8s-node3  back in service at 1.34.7").says("✅ K8s upgrade complete");
    assert_eq!((&first.stdout, &first.stderr), (&second.stdout, &second.stderr));
    assert_ne!(rehearse(&["--seed", "2"]).is(0).stderr, first.stderr);
    assert!(first.stdout.starts_with("rehearsal  1.34.2 → 1.34.7 (patch), 5 nodes, seed 1\ndone "), "{}", first.stdout);
    for part in ["OUT OF SERVICE", "gauges ", "slack ", "assumes "] {
        assert!(first.stdout.contains(part), "{part} is missing: {}", first.stdout);
    }
}

#[test]
fn the_other_clusters_at_hand_reach_their_targets() {
    for name in ["minor", "three-control-planes"] {
        rehearse(&["--scenario", name]).is(0);
    }
}

/// What each disturbance makes of the run: most are survived, the others end as they should, where they should.
#[test]
fn disturbances() {
    for (injected, code, place) in [
        ("kill@preflight", 0, ""),
        ("kill@master", 0, ""),
        ("kill@worker/k8s-node3", 0, ""),
        ("kill@postflight", 0, ""),
        ("ssh-loss@k8s-node3", 0, ""),
        ("api-outage@k8s-node2", 0, ""),
        // Longer than what is forgiven of a server that has just come back: its refusals count from then on.
        ("api-outage@postflight", 0, ""),
        ("node-not-ready@k8s-node3", 0, ""),
        ("power-cut@k8s-node3", 0, ""),
        ("power-cut@master", 0, ""),
        ("prometheus-away@k8s-node3", 0, ""),
        ("pushgateway-away@preflight", 0, ""),
        ("slack-away@master", 0, ""),
        ("new-release@k8s-node4", 0, ""),
        ("alert@preflight", 3, "preflight"),
        ("alert@k8s-node3", 3, "k8s-node3"),
        ("pdb-deadlock@k8s-node4", 3, "k8s-node4"),
        ("backup-failure@preflight", 4, "preflight"),
    ] {
        let told = json(&["--inject", injected]);
        let end = &told["end"];
        assert_eq!((end["exitCode"].as_u64(), end["place"].as_str()), (Some(code), Some(place)), "{injected}: {end:#}");
        assert_eq!(told["injected"].as_array().unwrap().len(), 1, "{injected}: {told:#}");
    }
}

#[test]
fn an_end_that_is_not_well_is_told_and_is_the_exit_code() {
    let ran = rehearse(&["--inject", "pdb-deadlock@k8s-node4"]);
    ran.is(3).says("hold: k8s-node4: the rehearsed run: a node can never be drained").says("nothing outside was touched");
    assert!(ran.stdout.contains("\nhold "), "{}", ran.stdout);
    let ran = rehearse(&["--inject", "kill@postflight", "--inject", "backup-failure@preflight"]);
    assert!(ran.is(4).stdout.contains("kill at postflight: its step was not reached"), "{}", ran.stdout);
    rehearse(&["--target", "1.33.9"]).is(4).says("1.33.9");
    rehearse(&["--target", "1.34.2"]).is(0);
}

#[test]
fn a_scenario_is_saved_changed_and_rehearsed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.yaml");
    let path = path.to_str().unwrap();
    assert_eq!(rehearse(&["--save", path]).is(0).stdout, "");
    assert_eq!(rehearse(&["--save", "-"]).is(0).stdout, std::fs::read_to_string(path).unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, text.replace("k8s-node4", "k8s-node44") + "settings:\n  soak: 30s\n").unwrap();
    let told = json(&["--scenario", path]);
    assert_eq!(told["end"]["state"], "done", "{told:#}");
    assert_eq!(jobs(&told)[2], "k8s-node44 on k8s-node1");
}

#[test]
fn settings_of_the_command_line_count() {
    let told = json(&["--set", "exclude-nodes=k8s-node2", "--set", "soak=10s", "--set", "runner=k8s-node3"]);
    assert_eq!(told["end"]["state"], "done", "{told:#}");
    let jobs = jobs(&told);
    assert!(jobs.contains(&"k8s-node4 on k8s-node3".to_owned()), "{jobs:?}");
    assert!(jobs.iter().all(|job| !job.starts_with("k8s-node2 ")), "{jobs:?}");
}

#[test]
fn a_cluster_is_copied_by_reading_it() {
    let world: &dyn Fn() -> World = &|| cluster(&Scenario::runbook());
    let saved = program_in(Some(world), &["rehearse", "--from-cluster", "--target", "1.34.7", "--save", "-"], &[]);
    let copy = Scenario::read("it", &saved.is(0).stdout).unwrap();
    let original = Scenario::runbook();
    assert_eq!(
        copy.nodes.iter().map(|node| &node.name).collect::<Vec<_>>(),
        original.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()
    );
    let pods = |scenario: &Scenario| scenario.workloads.iter().map(|workload| workload.replicas).sum::<u32>();
    assert_eq!((copy.workloads.len(), pods(&copy)), (original.workloads.len(), pods(&original)), "{copy:#?}");
    assert_eq!(copy.budgets.len(), original.budgets.len());
    for secret in ["rehearsal\n", "hooks.slack.com", "PRIVATE"] {
        assert!(!saved.stdout.contains(secret), "{secret} in {}", saved.stdout);
    }
    let ran = program_in(Some(world), &["rehearse", "--from-cluster", "-o", "json"], &[]);
    let told: Value = serde_json::from_str(&ran.is(0).stdout).unwrap();
    assert_eq!((told["target"].as_str(), told["end"]["state"].as_str()), (Some("1.34.7"), Some("done")), "{told:#}");
}

/// What fires now fires in the copy, but for what this program's own rules tell of a run: the rehearsed one has them of its own.
#[test]
fn the_alerts_of_a_cluster_are_copied() {
    let alert = |name: &str, from: Option<&str>| Alert {
        name: name.to_owned(),
        labels: BTreeMap::from([("device".to_owned(), "/dev/sda1".to_owned())]),
        from: from.map(|at| at.parse().unwrap()),
        until: None,
    };
    let mut fires = Scenario::runbook();
    fires.alerts =
        vec![alert("NodeDiskFull", None), alert("K8sVersionSkew", None), alert("NodeFanBroken", Some("2099-01-01T00:00:00Z"))];
    let world: &dyn Fn() -> World = &|| cluster(&fires);
    let saved = program_in(Some(world), &["rehearse", "--from-cluster", "--target", "1.34.7", "--save", "-"], &[]);
    let copy = Scenario::read("it", &saved.is(0).stdout).unwrap();
    let device = |labels: &BTreeMap<String, String>| labels.get("device").cloned();
    let there: Vec<_> = copy.alerts.iter().map(|alert| (alert.name.as_str(), device(&alert.labels))).collect();
    assert_eq!(there, [("NodeDiskFull", Some("/dev/sda1".to_owned()))], "{}", saved.stdout);
    // It holds the rehearsed run as it would hold the real one.
    let ran = program_in(Some(world), &["rehearse", "--from-cluster", "--target", "1.34.7", "-o", "json"], &[]);
    let told: Value = serde_json::from_str(&ran.is(3).stdout).unwrap();
    assert_eq!((&told["end"]["state"], &told["end"]["place"]), (&"hold".into(), &"preflight".into()), "{told:#}");
    assert!(told["end"].to_string().contains("NodeDiskFull"), "{told:#}");
    ran.says("NodeDiskFull");
}

/// What does not depend on how long something takes.
fn lasting(text: &str) -> String {
    let masks = [
        // Columns are as wide as what stands in them.
        (format!(r"\s*\b{SPAN}\b"), " <span>"),
        (r#"(?m)^(\s*"(?:seconds|\w+Seconds|evicted|refused)": )\d+"#.to_owned(), "$1<n>"),
        (r#"("value": )\d{7}[\d.]*"#.to_owned(), "$1<time>"),
        (r"\d+ times, last at".to_owned(), "<n> times, last at"),
        (r"(?m)(<span>)\s+\d+\s+\d+$".to_owned(), "$1  <n>  <n>"),
        (r"\d+ bytes, sha256 [0-9a-f]{64}".to_owned(), "<n> bytes, sha256 <hash>"),
        (r"\b[0-9a-f]{8}([.: ])".to_owned(), "<run>$1"),
    ];
    masks.iter().fold(text.to_owned(), |text, (mask, left)| Regex::new(mask).unwrap().replace_all(&text, *left).into_owned())
}

/// What a stranger types first.
#[test]
fn the_first_command_of_the_readme() {
    let shown = |line: &str| {
        let ran = rehearse(&line.split(' ').skip(1).collect::<Vec<_>>());
        ran.is(0);
        format!("$ k8s-upgrade {line}    # 0\n{}\n", in_order(&lasting(&masked(&format!("{}{}", ran.stderr, ran.stdout)))))
    };
    insta::assert_snapshot!([shown("rehearse"), shown("rehearse -o json -q")].join("\n"));
}

//! `rehearse` by its one entry: the whole chain in memory, disturbed or not, at hand or copied from a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::scenario::{Alert, Autoscaler, Budget, Workload, WorkloadKind};
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

/// Of the same journals as a report, and of no run that did not begin.
#[test]
fn a_run_is_drawn_before_there_is_one() {
    let page = rehearse(&["-o", "html", "--inject", "kill@k8s-node3"]).is(0).stdout.clone();
    for wanted in
        ["<svg ", "complete after", "k8s-node3", "2 attempts", "killed or cut off after", "API server", "out of service"]
    {
        assert!(page.contains(wanted), "{wanted} is missing in {page}");
    }
    let held = rehearse(&["-o", "svg", "--inject", "pdb-deadlock@k8s-node4"]);
    assert!(held.is(3).stdout.contains("and it stands so"), "{}", held.stdout);
    assert!(rehearse(&["-o", "markdown"]).is(0).stdout.contains("```mermaid"));
    let none = rehearse(&["-o", "svg", "--target", "1.33.9"]);
    assert!(none.is(4).says("did not begin").stdout.is_empty(), "{}", none.stdout);
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
        // Held after k8s-node4, which is done; the watch tries again, and the next node holds for the same.
        ("deployment-down@k8s-node4", 3, "k8s-node3"),
        ("crash-loop@k8s-node4", 3, "k8s-node3"),
        ("etcd-ill@master", 3, "k8s-master"),
        ("etcd-slow@master", 3, "k8s-master"),
        ("dns-away@k8s-node4", 3, "k8s-node4"),
        ("backup-failure@preflight", 4, "preflight"),
    ] {
        let told = json(&["--inject", injected]);
        let end = &told["end"];
        assert_eq!((end["exitCode"].as_u64(), end["place"].as_str()), (Some(code), Some(place)), "{injected}: {end:#}");
        assert_eq!(told["injected"].as_array().unwrap().len(), 1, "{injected}: {told:#}");
        assert_eq!(told["injected"][0]["noEffect"], Value::Null, "{injected}: {told:#}");
    }
}

#[test]
fn who_calls_what_the_next_minor_version_no_longer_serves_is_refused_unless_a_person_says_otherwise() {
    let old = ["--scenario", "minor", "--inject", "old-api-caller@preflight"];
    let ran = rehearse(&old);
    ran.is(4)
        .says("networking.k8s.io/v1beta1/ipaddresses: not served from 1.35 on, and called at k8s-master since its start at ");
    let ignored = [&old[..], &["--set", "removed-apis-ignore=networking.k8s.io/v1beta1/ipaddresses"]].concat();
    let told = json(&ignored);
    assert_eq!((&told["end"]["state"], &told["injected"][0]["noEffect"]), (&"done".into(), &Value::Null), "{told:#}");
    rehearse(&ignored).is(0).says("the setting removed-apis-ignore lets it pass");
}

/// Without any backup Job, and where etcd says no.
#[test]
fn snapshots_of_its_own_are_rehearsed() {
    let own = ["--set", "snapshot=etcdctl"];
    let told = json(&own);
    assert_eq!((&told["end"]["state"], &told["unmodelled"]), (&"done".into(), &serde_json::json!([])), "{told:#}");
    let told = json(&[&own[..], &["--inject", "backup-failure@preflight"]].concat());
    assert_eq!((told["end"]["exitCode"].as_u64(), &told["injected"][0]["noEffect"]), (Some(5), &Value::Null), "{told:#}");
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

/// A scenario of a file.
fn rehearsed(scenario: &Scenario, args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.yaml");
    std::fs::write(&path, scenario.yaml().unwrap()).unwrap();
    json(&[&["--scenario", path.to_str().unwrap()], args].concat())
}

/// Two pods on two workers, and a budget that wants both.
fn never_drained() -> Scenario {
    let mut scenario = Scenario::runbook();
    let placed_on = ["k8s-node4", "k8s-node2"].map(str::to_owned).to_vec();
    scenario.workloads.push(Workload { replicas: 2, placed_on, ..Workload::new(WorkloadKind::Deployment, "mail", "imap") });
    let (min_available, max_unavailable) = (Some(IntOrString::String("100%".to_owned())), None);
    let selector = [("app".to_owned(), "imap".to_owned())].into();
    let of = scenario.budgets[0].clone();
    let budget = Budget { namespace: "mail".to_owned(), name: "imap".to_owned(), selector, min_available, max_unavailable, ..of };
    scenario.budgets.push(budget);
    scenario
}

/// Names of nodes that are old, and of those that were out of service.
fn old_and_out(told: &Value) -> (Vec<&str>, Vec<&str>) {
    let nodes = || told["nodes"].as_array().unwrap().iter();
    let names =
        |of: &dyn Fn(&Value) -> bool| nodes().filter(|node| of(node)).map(|node| node["name"].as_str().unwrap()).collect();
    (names(&|node| node["version"] != told["target"]), names(&|node| node["outOfServiceSeconds"] != 0))
}

#[test]
fn a_budget_that_never_lets_go_is_found_before_anything_is_touched() {
    let told = rehearsed(&never_drained(), &[]);
    let end = &told["end"];
    assert_eq!((end["exitCode"].as_u64(), end["place"].as_str()), (Some(4), Some("preflight")), "{end:#}");
    assert!(end.to_string().contains("k8s-node2: mail/imap-") && end.to_string().contains("k8s-node4: mail/imap-"), "{end:#}");
    let (old, out) = old_and_out(&told);
    assert_eq!((old.len(), out.len()), (5, 0), "{told:#}");
    assert!(jobs(&told).iter().all(|job| job.starts_with("preflight ")), "{told:#}");
}

/// And nothing of those is out of service.
#[test]
fn workers_that_are_left_out_make_a_partial_end() {
    let told = rehearsed(&never_drained(), &["--set", "undrainable=skip"]);
    assert_eq!((&told["end"]["state"], &told["end"]["exitCode"]), (&"partial".into(), &0.into()), "{told:#}");
    assert!(told["end"]["why"].as_str().unwrap().ends_with("left out: k8s-node2, k8s-node4"), "{told:#}");
    let (old, out) = old_and_out(&told);
    assert_eq!((old, out), (vec!["k8s-node2", "k8s-node4"], vec!["k8s-master", "k8s-node1", "k8s-node3"]), "{told:#}");
}

#[test]
fn a_worker_that_becomes_undrainable_is_left_out_without_being_touched() {
    let args = ["--inject", "pdb-deadlock@worker/k8s-node3", "--inject", "kill@k8s-node3", "--set", "undrainable=skip"];
    let told = json(&args);
    assert_eq!((&told["end"]["state"], &told["end"]["exitCode"]), (&"partial".into(), &0.into()), "{told:#}");
    let (old, out) = old_and_out(&told);
    assert_eq!((old, out.len()), (vec!["k8s-node3"], 4), "{told:#}");
    assert_eq!(told["notInjected"], serde_json::json!(["kill at k8s-node3: its step ended before kubeadm began"]));
    let ran = rehearse(&args);
    ran.is(0).says("k8s-node3  injected: pdb-deadlock: PDB ");
    assert!(
        ran.stdout.contains("\npartial    after ") && ran.stdout.contains("is at 1.34.7; left out: k8s-node3\n"),
        "{}",
        ran.stdout
    );
}

/// Where its namespace is named, its pod is deleted after its time, and every node is done.
#[test]
fn a_budget_that_never_lets_go_is_gone_past_where_its_namespace_is_named() {
    let deadlock = ["--inject", "pdb-deadlock@worker/k8s-node3"];
    let ran = rehearse(&deadlock);
    let injected =
        ran.stdout.lines().chain(ran.stderr.lines()).find(|line| line.contains("injected: pdb-deadlock: PDB ")).unwrap();
    let namespace = injected.split("PDB ").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let named = format!("undrainable-namespaces={namespace}");
    let told = json(&[&deadlock[..], &["--set", "undrainable=force-after", "--set", &named]].concat());
    assert_eq!((&told["end"]["state"], &told["end"]["exitCode"]), (&"done".into(), &0.into()), "{told:#}");
    assert!(old_and_out(&told).0.is_empty(), "{told:#}");
}

/// Rules that most clusters have tell of the skew that a minor upgrade is.
#[test]
fn an_alert_of_the_skew_does_not_hold_an_upgrade() {
    let mut scenario = Scenario::runbook_minor();
    let from = scenario.start.checked_add(jiff::SignedDuration::from_mins(20)).ok();
    let labels = [("severity".to_owned(), "warning".to_owned())].into();
    scenario.alerts.push(Alert { name: "KubeVersionMismatch".to_owned(), labels, group: None, from, until: None });
    assert_eq!(rehearsed(&scenario, &[])["end"]["state"], "done");
}

/// An operator's budget is not ours to go past, and neither is it where an autoscaler could make room: the copy knows both.
#[test]
fn owners_of_budgets_and_autoscalers_are_copied() {
    let forecast = |scenario: &Scenario| {
        let world: &dyn Fn() -> World = &|| cluster(scenario);
        let args = ["rehearse", "--from-cluster", "--target", "1.34.7", "-o", "json"];
        let ran = program_in(Some(world), &args, &[]);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr));
        told
    };
    let mut scenario = Scenario::runbook();
    let anubis = scenario.budgets.iter_mut().find(|budget| budget.name == "anubis").unwrap();
    anubis.owner = Some("Gateway/anubis".to_owned());
    let told = forecast(&scenario);
    assert_eq!(told["end"]["exitCode"], 4, "{told:#}");
    assert!(told["end"].to_string().contains("web/anubis-"), "{told:#}");
    let (namespace, name) = ("web".to_owned(), "anubis".to_owned());
    let (kind, scales) = ("Deployment".to_owned(), name.clone());
    scenario.autoscalers.push(Autoscaler { namespace, name, kind, scales, max_replicas: 3 });
    let told = forecast(&scenario);
    // It is tried, and waits in vain: nothing scales here.
    assert_eq!((&told["end"]["exitCode"], told["end"]["place"] == "preflight"), (&4.into(), false), "{told:#}");
    assert!(told["end"]["why"].as_str().unwrap().contains("2 drains did not end"), "{told:#}");
    let assumes = told["assumptions"].to_string();
    assert!(assumes.contains("Autoscalers do not scale") && assumes.contains("(web/anubis)"), "{assumes}");
}

#[test]
fn an_injection_that_nobody_met_says_so() {
    for (injected, args, wanted) in [
        ("alert@postflight", &[][..], Some("Upgrade Gates")),
        ("old-api-caller@preflight", &[][..], Some("only a run to another minor version")),
        ("kill@k8s-node2", &["--set", "exclude-nodes=k8s-node2"], None),
    ] {
        let told = json(&[&["--inject", injected], args].concat());
        let why = told["injected"][0]["noEffect"].as_str();
        match wanted {
            Some(wanted) => {
                assert!(why.is_some_and(|why| why.contains(wanted)), "{injected}: {told:#}");
                assert_eq!(told["end"]["state"], "done", "{injected}: {told:#}");
            }
            None => assert!(told["notInjected"][0].as_str().unwrap().contains("exclude-nodes"), "{injected}: {told:#}"),
        }
    }
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
        group: None,
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
pub fn lasting(text: &str) -> String {
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

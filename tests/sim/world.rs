//! Worlds to try things in: a scenario with short waits, brought to life and looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::Program;
use k8s_upgrade::twin::state::{ProgramPhase, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, Hook, Scenario, State, Twin};
use serde_json::{Value, json};

use super::mask::masked;
use super::rules::given_away;

pub const NAMESPACE: &str = "k8s-upgrade";
const PREFIX: &str = "viktorbarzin.me/k8s-upgrade-";
/// A run that has not ended by then never will: all its waits together are far shorter.
pub const LIMIT: Duration = Duration::from_secs(12 * 3600);

/// The soak of [`quick`] scenarios.
pub const SOAK: Duration = Duration::from_secs(60);

/// The value of an annotation of ours.
pub fn mark<'a>(object: &'a Value, suffix: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][&format!("{PREFIX}{suffix}")].as_str()
}

/// Two minutes before the weekly detection.
const DETECTION: Timestamp = Timestamp::constant(1_795_348_680, 0);

/// A scenario with waits that keep their order but cost little.
pub fn quick(mut scenario: Scenario) -> Scenario {
    scenario.start = DETECTION;
    for (key, value) in [("soak", "60s"), ("alert-wait", "5m"), ("resolve-wait", "35m"), ("drain-deadline", "10m")] {
        scenario.settings.insert(key.to_owned(), value.into());
    }
    scenario
}

/// The same, in a cluster where a reboot is forgotten soon.
pub fn calm(scenario: Scenario) -> Scenario {
    let mut scenario = quick(scenario);
    scenario.settings.insert("quiet".to_owned(), "30m".into());
    scenario.settings.insert("alert-ignore".to_owned(), "RecentNodeReboot".into());
    scenario
}

pub fn begin(scenario: &Scenario) -> State {
    scenario.state("docker.io/library/k8s-upgrade:sim").unwrap_or_else(|cause| panic!("the scenario makes no world: {cause}"))
}

/// Lets a state live, on paused time, while `work` drives it.
pub fn live<T>(state: State, hook: Option<Box<dyn Hook>>, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut driver = Driver::new(Twin::new(state, hook), &Program, None);
        work(&mut driver).await
    })
}

/// Lets a state live until its run is over, or until no run can still be going on; the state that it has then.
pub fn to_the_end(state: State, hook: Option<Box<dyn Hook>>) -> State {
    let limit = later(state.now(), LIMIT);
    live(state, hook, async |driver| {
        driver.until(limit, is_over).await;
        driver.twin.look(State::clone)
    })
}

/// The same, started by a person who types `start`.
pub fn started_by_hand(state: State, target: &str) -> State {
    let limit = later(state.now(), LIMIT);
    live(state, None, async |driver| {
        driver.operate("start", &["k8s-upgrade", "start", "--target", target, "--yes"], Default::default());
        driver.until(limit, is_over).await;
        driver.twin.look(State::clone)
    })
}

/// Lets time pass until it holds.
pub async fn when(driver: &mut Driver<'_>, what: &str, holds: impl FnMut(&State) -> bool) {
    let limit = later(driver.twin.now(), LIMIT);
    let held = driver.until(limit, holds).await;
    assert!(held, "{what} never came\n{}", driver.twin.look(|state| format!("{}\n{}", jobs(state), tail_of_work(state, 60))));
}

pub async fn pass(driver: &mut Driver<'_>, seconds: u64) {
    driver.until(later(driver.twin.now(), Duration::from_secs(seconds)), |_| false).await;
}

/// A person's command, under a name of this one's: its exit code, and what it printed, masked.
pub async fn types(driver: &mut Driver<'_>, name: &str, line: &str) -> (u8, String) {
    types_with(driver, name, line, BTreeMap::new()).await
}

/// A person's machine.
pub type Disk = BTreeMap<PathBuf, Arc<[u8]>>;

/// The same on a machine that has these files.
pub async fn types_with(driver: &mut Driver<'_>, name: &str, line: &str, files: Disk) -> (u8, String) {
    let name = format!("{name} at {}", driver.twin.now());
    let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).map(|word| word.trim_matches('"')).collect();
    driver.operate_with(&name, &argv, BTreeMap::new(), files);
    let limit = later(driver.twin.now(), LIMIT);
    let code = driver.until_ended(&name, limit).await.expect("the command ends");
    (code, masked(&driver.twin.look(|state| said(state, &name))))
}

/// All that a person's command has printed.
pub fn said(state: &State, name: &str) -> String {
    state.logs.get(&format!("operator/{name}")).map(|log| log.all().join("\n")).unwrap_or_default()
}

/// A Job of the chain, or a pod of one.
pub fn is_of_chain(object: &Value) -> bool {
    object["metadata"]["labels"]["app"] == "k8s-upgrade-chain"
}

pub fn namespace(state: &State) -> &Value {
    state.store.get(&Key::new(Kind::Namespace, "", NAMESPACE)).expect("the namespace is there")
}

pub fn in_flight(state: &State) -> bool {
    mark(namespace(state), "in-flight").is_some()
}

/// A process of the program runs in a pod.
pub fn at_work(state: &State) -> bool {
    state.programs.values().any(|program| program.phase != ProgramPhase::Killed)
}

/// A run was there, has been ended, and nobody works any more.
pub fn is_over(state: &State) -> bool {
    let upgraded = state.store.list(Kind::Job).any(|(key, _)| key.name.starts_with("k8s-upgrade-postflight"));
    upgraded && !in_flight(state) && !at_work(state)
}

pub fn version_of(node: &Value) -> &str {
    node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default().trim_start_matches('v')
}

/// Versions of the control plane's static pods, with their nodes.
pub fn components(state: &State) -> impl Iterator<Item = (&str, &str, &str)> {
    state
        .store
        .list(Kind::Pod)
        .filter(|(key, pod)| key.namespace == "kube-system" && pod["metadata"]["labels"]["tier"] == "control-plane")
        .filter_map(|(_, pod)| {
            let component = pod["metadata"]["labels"]["component"].as_str().filter(|name| *name != "etcd")?;
            let image = pod["spec"]["containers"][0]["image"].as_str()?;
            Some((pod["spec"]["nodeName"].as_str()?, component, image.rsplit(":v").next()?))
        })
}

/// Nodes that are cordoned, and not by us.
pub fn cordoned_by_people(state: &State) -> BTreeSet<String> {
    let people = |node: &Value| node["spec"]["unschedulable"] == true && mark(node, "cordoned-by").is_none();
    state.store.list(Kind::Node).filter(|(_, node)| people(node)).map(|(key, _)| key.name.clone()).collect()
}

/// What is wrong with a cluster that should have been brought to `target` and left alone.
pub fn amiss(state: &State, target: &str, cordoned: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = state.unmodelled.iter().map(|what| format!("not modelled: {what}")).collect::<Vec<_>>();
    wrong.extend(given_away(state));
    for (key, node) in state.store.list(Kind::Node) {
        if version_of(node) != target {
            wrong.push(format!("{} is at {}", key.name, version_of(node)));
        }
        if mark(node, "cordoned-by").is_some() {
            wrong.push(format!("{} still has our cordon", key.name));
        }
        if (node["spec"]["unschedulable"] == true) != cordoned.contains(&key.name) {
            wrong.push(format!("{}: unschedulable is {}", key.name, node["spec"]["unschedulable"]));
        }
    }
    wrong.extend(
        components(state)
            .filter(|(.., version)| *version != target)
            .map(|(node, name, version)| format!("{name} on {node} is at {version}")),
    );
    for suffix in ["in-flight", "target", "run-id", "snapshot-path", "started", "prepared", "skipped"] {
        if let Some(value) = mark(namespace(state), suffix) {
            wrong.push(format!("annotation {suffix} is still {value}"));
        }
    }
    for gauge in ["k8s_upgrade_in_flight", "k8s_upgrade_snapshot_taken", "k8s_upgrade_started_timestamp"] {
        match state.web.pushgateway.groups.get("k8s-version-upgrade").and_then(|group| group.get(gauge)).copied() {
            Some(0.0) => {}
            other => wrong.push(format!("gauge {gauge} is {other:?}")),
        }
    }
    for (key, lease) in state.store.list(Kind::Lease).filter(|(key, _)| key.namespace == NAMESPACE) {
        // One that was left to expire harms nobody; one that is renewed means that somebody is at work.
        if at_work(state) {
            wrong.push(format!("Lease {} is held by {}", key.name, lease["spec"]["holderIdentity"]));
        }
    }
    wrong
}

/// The end of a history, for a message.
pub fn tail(state: &State, lines: usize) -> String {
    let mut newest: Vec<&str> = state.history.newest().take(lines).collect();
    newest.reverse();
    newest.join("\n")
}

/// The same of all but the watch, which says little for hours.
fn tail_of_work(state: &State, lines: usize) -> String {
    let mut newest: Vec<&str> = state.history.newest().filter(|line| !line.contains(" k8s-upgrade-watch-")).take(lines).collect();
    newest.reverse();
    newest.join("\n")
}

pub fn jobs(state: &State) -> String {
    let told = |(key, job): (&Key, &std::sync::Arc<Value>)| {
        let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
        let conditions: Vec<String> =
            conditions.filter(|c| c["status"] == "True").map(|c| format!("{} {}", c["type"], c["reason"])).collect();
        format!("{}: {}", key.name, if conditions.is_empty() { "active".to_owned() } else { conditions.join(", ") })
    };
    state.store.list(Kind::Job).map(told).collect::<Vec<_>>().join("\n")
}

pub fn now(state: &State) -> Timestamp {
    state.now()
}

/// A CronJob that starts nothing by itself.
pub fn suspend(state: &mut State, cronjob: &str) {
    state.store.update(&Key::new(Kind::CronJob, NAMESPACE, cronjob), |cronjob| cronjob["spec"]["suspend"] = json!(true));
}

/// A person changes a setting of the installation.
pub fn set(state: &mut State, setting: &str, value: &str) {
    state.store.update(&Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-config"), |map| {
        let file = map["data"]["config.yaml"].as_str().unwrap_or_default();
        let others = file.lines().filter(|line| !line.starts_with(&format!("{setting}:")));
        let lines: Vec<String> = others.map(str::to_owned).chain([format!("{setting}: \"{value}\"")]).collect();
        map["data"]["config.yaml"] = json!(lines.join("\n") + "\n");
    });
}

/// A person's label keeps a node from having its turn, or no longer does.
pub fn pause(state: &mut State, node: &str, paused: bool) {
    state.store.update(&Key::new(Kind::Node, "", node), |node| {
        node["metadata"]["labels"][&format!("{PREFIX}pause")] = if paused { json!("") } else { Value::Null };
        if !paused && let Some(labels) = node["metadata"]["labels"].as_object_mut() {
            labels.retain(|_, value| !value.is_null());
        }
    });
}

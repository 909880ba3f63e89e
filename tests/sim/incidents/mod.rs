//! The 32 incidents of the pipeline that this one replaces: each must be impossible here.
//!
//! Those that the world in memory can show have a test below, by number; the others are shown [elsewhere](ELSEWHERE). Of each, the guard is
//! taken out in `tests/sim/defects`, and its test must fail then.
//!
//! What 21 was (a redirect not followed) is the adapter's: offline, `web_adapter::redirects_are_followed_and_any_status_is_an_answer`; here, that
//! no answer is none. What 27 was needs a name for each build; that a binary tells its own is offline, `cli::help_and_version_are_data`.

pub mod before;
mod by_hand;
pub mod chain;
mod choosing;
pub mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::twin::scenario::{Alert, Scenario, Taint};
use k8s_upgrade::twin::state::{ProgramPhase, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Service, Trouble};
use k8s_upgrade::twin::{Driver, State, hosts};
use serde_json::{Value, json};

use super::faults::What;
use super::hands::autoscaled;
use super::world::{
    LIMIT, NAMESPACE, amiss, at_work, begin, cordoned_by_people, in_flight, is_over, jobs, live, mark, namespace, quick, tail,
    to_the_end, version_of,
};

const NEW: &str = "1.34.7";
const OLD: &str = "1.34.2";
const HOUR: u64 = 3600;

/// Incidents that no cluster is needed to show, and the test that does, as a defect names it.
const ELSEWHERE: [(u32, &str); 4] = [
    // An empty grep aborted on a healthy node. (That a script ends where it fails, and says so: `node::assembly`.)
    (5, "offline:node::inspect::a_healthy_node"),
    // A plan without a version: the target is an argument of the operation, always.
    (24, "offline:node::packages::the_forecast_is_passed_through"),
    // 145 leaked etcd backups.
    (25, "offline:node::work::leftovers_of_earlier_runs_go_but_the_newest_and_what_is_not_kubeadms"),
    // A deploy that never deployed.
    (27, "lib:run::image::tests::the_same_binary_is_the_same_image_and_another_is_not"),
];

/// A guard that nobody takes out may be none. Whether the test fails then, `tests/defects` sees.
#[test]
fn the_guard_of_each_is_taken_out_by_a_defect() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/defects");
    let defects = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let named: BTreeSet<String> = defects
        .flat_map(|text| text.lines().filter_map(|line| Some(line.strip_prefix("Test: ")?.to_owned())).collect::<Vec<_>>())
        .collect();
    let shown_by = |number: u32, test: &str| match ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == number) {
        Some((_, shown)) => test == *shown,
        None => test.starts_with("incidents::") && test.contains(&format!("::incident_{number:02}_")),
    };
    let without: Vec<u32> = (1..=32).filter(|number| !named.iter().any(|test| shown_by(*number, test))).collect();
    assert!(without.is_empty(), "no defect in {folder} takes out the guard of {without:?}");
}

/// Lives until its run is over, at most for so many seconds.
async fn over(driver: &mut Driver<'_>, seconds: u64) -> bool {
    let limit = later(driver.twin.now(), Duration::from_secs(seconds));
    driver.until(limit, is_over).await
}

async fn pass(driver: &mut Driver<'_>, seconds: u64) {
    driver.until(later(driver.twin.now(), Duration::from_secs(seconds)), |_| false).await;
}

/// Lives until that holds; half a day without it is a failure.
async fn when(driver: &mut Driver<'_>, what: &str, holds: impl FnMut(&State) -> bool) {
    let limit = later(driver.twin.now(), LIMIT);
    let held = driver.until(limit, holds).await;
    assert!(held, "{what} never came\n{}", driver.twin.look(|state| format!("{}\n{}", jobs(state), tail(state, 60))));
}

/// A person's command; its exit code.
async fn types(driver: &mut Driver<'_>, name: &str, argv: &[&str]) -> Option<u8> {
    driver.operate(name, argv, BTreeMap::new());
    let limit = later(driver.twin.now(), LIMIT);
    driver.until_ended(name, limit).await
}

fn done(state: &State, target: &str) {
    let wrong = amiss(state, target, &cordoned_by_people(state));
    assert!(wrong.is_empty() && is_over(state), "{}\n{}\n{}", wrong.join("\n"), jobs(state), tail(state, 60));
}

fn untouched(state: &State) {
    assert!(!in_flight(state), "a run was claimed\n{}", tail(state, 40));
    for (key, node) in state.store.list(Kind::Node) {
        assert!(version_of(node) == OLD && mark(node, "cordoned-by").is_none(), "{} was touched\n{}", key.name, tail(state, 40));
    }
}

fn slack(state: &State) -> String {
    state.web.slack.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n---\n")
}

fn logs(state: &State) -> String {
    state.logs.values().map(|lines| lines.all().join("\n")).collect::<Vec<_>>().join("\n")
}

fn says(text: &str, what: &str) {
    assert!(text.contains(what), "nothing says {what:?}:\n{text}");
}

/// The pods of the chain, with what they run and where.
fn pods(state: &State) -> Vec<(Vec<String>, String)> {
    let of = |pod: &Value| {
        let args = pod["spec"]["containers"][0]["args"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some((args, pod["spec"]["nodeName"].as_str()?.to_owned()))
    };
    let chain = state.store.list(Kind::Pod).filter(|(_, pod)| pod["metadata"]["labels"]["app"] == "k8s-upgrade-chain");
    chain.filter_map(|(_, pod)| of(pod)).collect()
}

fn history_has(state: &State, words: &[&str]) -> bool {
    state.history.newest().any(|line| words.iter().all(|word| line.contains(word)))
}

fn failed(state: &State, job: &str) -> bool {
    let job = state.store.get(&Key::new(Kind::Job, NAMESPACE, job));
    job.is_some_and(|job| job["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Failed"))
}

fn node_is(name: &str, version: &str) -> impl Fn(&State) -> bool {
    move |state| {
        state.store.get(&Key::node(name)).is_some_and(|node| version_of(node) == version && mark(node, "cordoned-by").is_none())
    }
}

fn runbook() -> State {
    begin(&quick(Scenario::runbook()))
}

fn with_setting(key: &str, value: Value) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert(key.to_owned(), value);
    scenario
}

/// A right that the program needs is not granted.
pub fn without_right(state: &mut State, resource: &str) {
    let roles: Vec<Key> = state.store.list(Kind::ClusterRole).map(|(key, _)| key.clone()).collect();
    for role in roles {
        state.store.update(&role, |role| {
            for rule in role["rules"].as_array_mut().into_iter().flatten() {
                if let Some(resources) = rule["resources"].as_array_mut() {
                    resources.retain(|known| known != resource);
                }
            }
        });
    }
}

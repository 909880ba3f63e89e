//! What the program asks of an API server is what the suite holds both API servers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, Scenario, State, hosts};
use serde_json::Value;

use super::goldens::switches;
use super::world::{LIMIT, NAMESPACE, at_work, begin, is_over, live, mark, pass, quick, to_the_end, types, when};
use super::{rotate, twin};

/// What no suite on a control plane without machines can show, and why.
const BEYOND: [(&str, &str); 9] = [
    ("get pods/log", "a log is asked of the node's kubelet; the lab's runs read them"),
    ("get with container", "the same"),
    ("get with limitBytes", "the same"),
    ("get with tailLines", "the same"),
    ("create services/proxy", "as the next: a person's commands push through it"),
    ("get services/proxy", "a proxy needs a network of pods; the lab's runs go through one"),
    ("update services/proxy", "the same"),
    ("list externalsecrets.external-secrets.io", "a kind that a bare control plane does not have; a list of it is 404"),
    (
        "patch externalsecrets.external-secrets.io",
        "a kind that a bare control plane does not have; the patch is that of all kinds",
    ),
];

/// What a person types in a cluster at rest, one after the other.
const AT_REST: [&str; 39] = [
    "status",
    "status --all",
    "complete drain k8s",
    "complete pause k8s",
    "complete report 5",
    "complete status --namespace k",
    "acknowledge",
    "approve --lift",
    "detect --dry-run",
    "preflight --target 1.34.7 --dry-run",
    "plan --target 1.34.7",
    "rehearse --from-cluster --target 1.34.7 --save -",
    "drain k8s-node2 --dry-run",
    "drain k8s-node2 --yes",
    "start --target 1.34.7 --dry-run",
    "start --target 1.34.7 --local --yes",
    "report",
    "rollback k8s-master",
    "rollback k8s-node4 --dry-run",
    "rollback k8s-node4 --yes",
    "upgrade-node k8s-node4 --target 1.34.7 --yes",
    "postflight --target 1.34.7",
    "resume --if-orphaned --dry-run",
    "status --health",
    "check --write-config -",
    "adopt",
    "pause k8s-node2",
    "unpause k8s-node2",
    "halt",
    "halt --lift",
    "halt --detection-only",
    "halt --lift",
    "halt --blocker-alert",
    "halt --lift",
    "clear-state --yes",
    "rotate-key --dry-run",
    "rotate-key --yes",
    "uninstall --dry-run",
    "detect",
];
/// The last that is typed there.
const LEAVING: [&str; 1] = ["uninstall --yes"];
/// A run that no Job has begun.
const BY_HAND: [&str; 3] = ["preflight --target 1.34.7", "upgrade-node k8s-master --yes", "resume --yes"];
/// While a run is at its workers.
const ON_THE_WAY: [&str; 7] = [
    "halt --now --yes",
    "halt --lift",
    "resume --dry-run",
    "skip-phase worker k8s-node3 --force --reason disks --yes",
    "resume --local --yes",
    "clear-state --yes",
    "report",
];
/// Of a run that dies again and again.
const LOOKS: [&str; 2] = ["status", "status --watch"];
/// What asks no API server: whole commands, and ways of others.
const OFFLINE: [&str; 4] = ["manifests", "image", "completions", "man"];
const OTHERWISE: [(&str, &str, &str); 10] = [
    ("status", "--hosts", "asks the nodes alone"),
    ("rehearse", "--schema", "prints a text"),
    ("rehearse", "--fast", "is about a terminal"),
    ("preflight", "--chain", "is what Jobs pass, and their runs are recorded"),
    ("upgrade-node", "--chain", "the same"),
    ("postflight", "--chain", "the same"),
    ("start", "--now", "reads and writes no more than without it; guards::windows types it"),
    ("resume", "--now", "the same"),
    ("preflight", "--now", "the same"),
    ("upgrade-node", "--now", "the same"),
];

/// Each must end well.
async fn typed(driver: &mut Driver<'_>, lines: &[&str]) {
    for line in lines {
        let (code, said) = types(driver, "person", line).await;
        assert_eq!(code, 0, "{line}: {said}");
    }
}

fn at_rest() -> BTreeSet<String> {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        typed(driver, &AT_REST).await;
        driver.twin.look(|state| (*state.used).clone())
    })
}

fn leaving() -> BTreeSet<String> {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        typed(driver, &LEAVING).await;
        pass(driver, 60).await;
        driver.twin.look(|state| (*state.used).clone())
    })
}

fn by_hand() -> BTreeSet<String> {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        typed(driver, &BY_HAND).await;
        when(driver, "the end", is_over).await;
        driver.twin.look(|state| (*state.used).clone())
    })
}

fn on_the_way() -> BTreeSet<String> {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let node = Key::node("k8s-node4");
        let one_is_done = |state: &State| state.store.get(&node).is_some_and(|node| mark(node, "changed-at").is_some());
        when(driver, "the first worker", one_is_done).await;
        typed(driver, &ON_THE_WAY).await;
        driver.twin.look(|state| (*state.used).clone())
    })
}

/// What somebody changed by hand, and the ID that names it.
fn acknowledged() -> BTreeSet<String> {
    let mut state = begin(&quick(Scenario::runbook()));
    hosts::edit_manifest(&mut state, "k8s-master", "kube-apiserver", "--profiling=false");
    live(state, None, async |driver| {
        pass(driver, 60).await;
        let (_, said) = types(driver, "person", "acknowledge").await;
        let (_, after) = said.rsplit_once("k8s-upgrade acknowledge ").unwrap_or_else(|| panic!("no ID: {said}"));
        let id: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
        typed(driver, &[&format!("acknowledge {id} --yes")]).await;
        driver.twin.look(|state| (*state.used).clone())
    })
}

/// The key's way through Vault and External Secrets.
fn rotated_in_vault() -> BTreeSet<String> {
    let state = rotate::world(rotate::Store::Vault);
    let (end, code, said) = rotate::run(state, None, rotate::Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    (*end.used).clone()
}

/// A run that is killed in its middle as often as its Job tries again, and is taken up by the watch.
fn orphaned(scenario: Scenario) -> BTreeSet<String> {
    let state = begin(&quick(scenario));
    let limit = later(state.now(), LIMIT);
    live(state, None, async |driver| {
        let out = |state: &State| state.store.list(Kind::Node).any(|(_, node)| mark(node, "cordoned-by").is_some());
        let doomed = |state: &State| {
            let given_up = |(key, job): (&Key, &Arc<Value>)| {
                let conditions = job["status"]["conditions"].as_array();
                let failed = |condition: &Value| condition["type"] == "Failed" && condition["status"] == "True";
                key.namespace == NAMESPACE && conditions.is_some_and(|conditions| conditions.iter().any(failed))
            };
            state.store.list(Kind::Job).any(given_up)
        };
        assert!(driver.until(limit, |state| at_work(state) && out(state)).await, "no node is ever out of service");
        for line in LOOKS {
            let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).collect();
            driver.operate(line, &argv, BTreeMap::new());
        }
        assert_eq!(driver.until_ended(LOOKS[0], limit).await, Some(0));
        while !driver.twin.look(doomed) {
            driver.twin.edit(State::kill_programs);
            assert!(driver.until(limit, |state| at_work(state) || doomed(state)).await, "the Job is not tried again");
        }
        assert!(driver.until(limit, is_over).await, "nobody takes the run up");
        driver.twin.look(|state| (*state.used).clone())
    })
}

#[test]
fn what_the_program_asks_is_in_the_suite() {
    let covered: BTreeSet<String> =
        twin::ALL.iter().flat_map(|(name, behaviour)| (*twin::run(name, *behaviour).used).clone()).collect();
    let mut used = at_rest();
    for more in [leaving(), by_hand(), on_the_way(), acknowledged(), rotated_in_vault(), orphaned(Scenario::runbook())] {
        used.extend(more);
    }
    let mut surging = quick(Scenario::runbook());
    surging.settings.insert("drain-surge".to_owned(), "single".into());
    used.extend((*to_the_end(begin(&surging), None).used).clone());
    for scenario in
        [Scenario::runbook(), Scenario::runbook_minor(), Scenario::three_control_planes(), Scenario::three_control_planes_minor()]
    {
        used.extend((*to_the_end(begin(&quick(scenario)), None).used).clone());
    }
    assert!(used.len() > 30, "the runs asked for nearly nothing: {used:#?}");
    let beyond: BTreeSet<String> = BEYOND.iter().map(|(manner, _)| (*manner).to_owned()).collect();
    let missing: BTreeSet<&String> = used.iter().filter(|manner| !covered.contains(*manner)).collect();
    assert_eq!(missing, beyond.iter().collect(), "left: what the program uses and no behaviour shows; right: what none can show");
}

/// A new command, or a new way of one, is recorded above, or it is said why not.
#[test]
fn every_command_is_recorded() {
    let typed: Vec<&str> = AT_REST.iter().chain(&BY_HAND).chain(&ON_THE_WAY).chain(&LOOKS).copied().collect();
    for command in Cli::command().get_subcommands().filter(|command| !OFFLINE.contains(&command.get_name())) {
        let name = command.get_name();
        let lines = || typed.iter().filter(|line| line.split(' ').next() == Some(name));
        assert!(lines().count() > 0, "{name} is nowhere typed");
        for switch in switches(command) {
            let elsewhere = OTHERWISE.iter().any(|(of, way, _)| (*of, *way) == (name, switch.as_str()));
            let here = lines().any(|line| line.split(' ').any(|word| word == switch));
            assert!(here || elsewhere, "{name} {switch} is nowhere typed");
        }
    }
}

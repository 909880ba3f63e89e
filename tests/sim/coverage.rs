//! What the program asks of an API server is what the suite holds both API servers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::Value;

use super::world::{LIMIT, NAMESPACE, at_work, begin, is_over, live, mark, quick, to_the_end};
use super::{rotate, twin};

/// What no suite on a control plane without machines can show, and why.
const BEYOND: [(&str, &str); 5] = [
    ("get pods/log", "a log is asked of the node's kubelet; the lab's runs read them"),
    ("get with tailLines", "the same"),
    ("create services/proxy", "as the next: a person's commands push through it"),
    ("get services/proxy", "a proxy needs a network of pods; the lab's runs go through one"),
    (
        "patch externalsecrets.external-secrets.io",
        "a kind that a bare control plane does not have; the patch is that of all kinds",
    ),
];

/// What a person types, in a cluster at rest.
const COMMANDS: [&[&str]; 13] = [
    &["status"],
    &["acknowledge"],
    &["detect", "--dry-run"],
    &["preflight", "--target", "1.34.7", "--dry-run"],
    &["drain", "k8s-node2", "--dry-run"],
    &["drain", "k8s-node2", "--yes"],
    &["start", "--target", "1.34.7", "--local", "--yes"],
    &["resume", "--if-orphaned", "--dry-run"],
    &["status", "--health"],
    &["halt"],
    &["halt", "--lift"],
    &["clear-state", "--yes"],
    &["rotate-key", "--yes"],
];

fn commands() -> BTreeSet<String> {
    let state = begin(&quick(Scenario::runbook()));
    let limit = later(state.now(), LIMIT);
    live(state, None, async |driver| {
        for (number, command) in COMMANDS.iter().enumerate() {
            let name = number.to_string();
            let argv: Vec<&str> = ["k8s-upgrade"].iter().chain(*command).copied().collect();
            driver.operate(&name, &argv, BTreeMap::new());
            let code = driver.until_ended(&name, limit).await;
            let said = driver.twin.look(|state| state.logs.get(&format!("operator/{name}")).map(|log| log.all().join("\n")));
            assert_eq!(code, Some(0), "{command:?}: {}", said.unwrap_or_default());
        }
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
        driver.operate("looks", &["k8s-upgrade", "status"], BTreeMap::new());
        assert_eq!(driver.until_ended("looks", limit).await, Some(0));
        driver.operate("looks on", &["k8s-upgrade", "status", "--watch"], BTreeMap::new());
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
    let mut used = commands();
    used.extend(rotated_in_vault());
    used.extend(orphaned(Scenario::runbook()));
    for scenario in [Scenario::runbook(), Scenario::runbook_minor(), Scenario::three_control_planes()] {
        used.extend((*to_the_end(begin(&quick(scenario)), None).used).clone());
    }
    assert!(used.len() > 30, "the runs asked for nearly nothing: {used:#?}");
    let beyond: BTreeSet<String> = BEYOND.iter().map(|(manner, _)| (*manner).to_owned()).collect();
    let missing: BTreeSet<&String> = used.iter().filter(|manner| !covered.contains(*manner)).collect();
    assert_eq!(missing, beyond.iter().collect(), "left: what the program uses and no behaviour shows; right: what none can show");
}

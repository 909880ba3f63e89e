//! `uninstall`: all that was installed goes and nothing else, in an order in which nothing acts unbounded; and never under a run.

use std::collections::BTreeSet;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, Scenario, State};
use serde_json::{Value, json};

use super::accounts::account;
use super::world::{NAMESPACE, at_work, begin, in_flight, is_over, live, mark, pass, quick, suspend, types, when};

/// A cluster at rest, with an installation that has used all that settings offer.
fn at_rest() -> State {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("drain-surge".to_owned(), "single".into());
    let mut state = begin(&scenario);
    suspend(&mut state, "k8s-version-check");
    state
}

/// What is there, by kind and name; without what comes and goes by itself.
fn there(state: &State) -> BTreeSet<String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| ![Kind::Event, Kind::Pod, Kind::Job, Kind::Lease].contains(kind));
    let objects = kinds.flat_map(|kind| state.store.list(kind).map(move |(key, _)| format!("{kind:?} {}", key.full_name())));
    objects.collect()
}

/// By the label that all that is printed has, or by where it lies.
fn ours(state: &State) -> BTreeSet<String> {
    let label = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/name"] == "k8s-upgrade";
    let kinds = Kind::ALL.into_iter();
    let objects = kinds.flat_map(|kind| state.store.list(kind).map(move |(key, object)| (kind, key, object)));
    let own = objects.filter(|(_, key, object)| label(object) || key.namespace == NAMESPACE || key.name == NAMESPACE);
    own.map(|(kind, key, _)| format!("{kind:?} {}", key.full_name())).collect()
}

#[test]
fn all_that_was_installed_goes_and_nothing_else() {
    let state = at_rest();
    let (before, installed) = (there(&state), ours(&state));
    live(state, None, async |driver| {
        insta::assert_snapshot!("dry_run", account(driver, "uninstall --dry-run", 0).await);
        // What is shown is not done, and without a word neither.
        let (code, said) = types(driver, "unasked", "uninstall").await;
        assert!(code == 2 && said.contains("--yes"), "{code}: {said}");
        driver.twin.look(|state| assert!(before.is_subset(&there(state)), "{:?}", before.difference(&there(state))));

        insta::assert_snapshot!("done", account(driver, "uninstall --yes", 0).await);
        when(driver, "the end of the namespace", |state| ours(state).is_empty()).await;
        driver.twin.look(|state| {
            let lost: Vec<String> = before.difference(&there(state)).cloned().collect();
            let strangers: Vec<&String> = lost.iter().filter(|lost| !installed.contains(*lost)).collect();
            assert!(strangers.is_empty(), "{strangers:?} were none of ours");
            assert!(state.unmodelled.is_empty(), "{:?}", state.unmodelled);
        });
        // Nothing is left that would begin anything.
        pass(driver, 8 * 24 * 3600).await;
        driver.twin.look(|state| assert!(!at_work(state) && ours(state).is_empty(), "{:?}", ours(state)));
        let (code, said) = types(driver, "again", "uninstall --yes").await;
        assert!(code == 0 && said.contains("nothing of an installation is in the namespace k8s-upgrade"), "{code}: {said}");
    });
}

/// Whoever has a Secret that they made themselves, and a namespace with somebody else's pods.
#[test]
fn what_a_person_made_under_our_names_goes_too_and_pods_of_others_are_not_lost() {
    let mut state = at_rest();
    let secret = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
    state.store.update(&secret, |secret| secret["metadata"]["labels"] = Value::Null);
    let pod = json!({
        "metadata": { "name": "shop", "namespace": NAMESPACE },
        "spec": { "containers": [{ "name": "c", "image": "i:1" }] }, "status": { "phase": "Running" },
    });
    let now = state.now();
    state.store.create(now, Kind::Pod, pod).unwrap();
    live(state, None, async |driver| {
        let (code, said) = types(driver, "strangers", "uninstall --yes").await;
        assert!(code == 4 && said.contains("none of ours") && said.contains("shop"), "{code}: {said}");
        driver.twin.edit(|state| state.store.remove(&Key::new(Kind::Pod, NAMESPACE, "shop")));
        let (code, said) = types(driver, "ann", "uninstall --yes").await;
        assert!(code == 0 && said.contains("Secret k8s-upgrade/k8s-upgrade-creds is deleted"), "{code}: {said}");
    });
}

#[test]
fn a_run_or_a_node_in_our_hands_keeps_it_off() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let one_is_out = |state: &State| state.store.list(Kind::Node).any(|(_, node)| mark(node, "cordoned-by").is_some());
        when(driver, "a drain", one_is_out).await;
        let (code, said) = types(driver, "early", "uninstall --yes").await;
        assert!(code == 4 && said.contains("a run is in flight") && said.contains("k8s-upgrade clear-state"), "{code}: {said}");
        driver.twin.look(|state| assert!(in_flight(state)));
        when(driver, "the end", is_over).await;
        pass(driver, 60).await;
        // Somebody has lost our marks of the run, and a node is out of service by us.
        let node = Key::node("k8s-node3");
        driver.twin.edit(|state| {
            state.store.update(&node, |node| {
                node["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-cordoned-by"] = json!("0badcafe");
            });
        });
        let (code, said) = types(driver, "held", "uninstall --yes").await;
        assert!(code == 4 && said.contains("k8s-node3 is not as a run leaves it"), "{code}: {said}");
        driver.twin.edit(|state| {
            state.store.update(&node, |node| {
                let marks = node["metadata"]["annotations"].as_object_mut().unwrap();
                marks.shift_remove("viktorbarzin.me/k8s-upgrade-cordoned-by");
            });
        });
        let (code, said) = types(driver, "ann", "uninstall --yes").await;
        assert_eq!(code, 0, "{said}");
    });
}

/// The API server answers no more once so many deletions are done.
struct Away(usize);

impl Hook for Away {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if !call.what.starts_with("DELETE ") {
            return Fate::Go;
        }
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Fate::Go
            }
            None => Fate::Kill,
        }
    }
}

/// Killed anywhere, it can be typed again; and at no time may an account do what no policy bounds.
#[test]
fn killed_anywhere_it_is_typed_again() {
    let count = |state: &State, kind| state.store.list(kind).filter(|(key, _)| key.name.starts_with("k8s-upgrade")).count();
    let policies = count(&at_rest(), Kind::Policy);
    assert!(policies > 5, "{policies} policies");
    for done in [0, 1, 2, 5, 9, 14, 20, 28] {
        let broken = live(at_rest(), Some(Box::new(Away(done))), async |driver| {
            driver.operate("ann", &["k8s-upgrade", "uninstall", "--yes"], Default::default());
            let limit = later(driver.twin.now(), std::time::Duration::from_secs(3600));
            driver.until_ended("ann", limit).await;
            pass(driver, 120).await;
            driver.twin.look(State::clone)
        });
        let bounded = count(&broken, Kind::Policy) == policies || count(&broken, Kind::ClusterRoleBinding) == 0;
        assert!(bounded, "{done}: rights without policies");
        assert!(count(&broken, Kind::CronJob) == 0 || done < 2, "{done}: what acts goes first");
        live(broken, None, async |driver| {
            let (code, said) = types(driver, "bob", "uninstall --yes").await;
            assert_eq!(code, 0, "{done}: {said}");
            when(driver, "the end of the namespace", |state| ours(state).is_empty()).await;
        });
    }
}

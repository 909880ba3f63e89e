//! Marks of a run are that run's: who is late writes nothing into another one, and what is none of ours is refused by name.

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::json;

use super::driven::broken_off;
use super::hands::runbook;
use super::world::{NAMESPACE, in_flight, live, mark, namespace, pass, tail, types};

/// The id of a run that has taken the place of the one that was seen.
pub const OTHER: &str = "0badcafe";

fn annotate(state: &mut State, suffix: &str, text: &str) {
    let key = format!("viktorbarzin.me/k8s-upgrade-{suffix}");
    let namespace = Key::new(Kind::Namespace, "", NAMESPACE);
    state.store.update(&namespace, |namespace| namespace["metadata"]["annotations"][&key] = json!(text));
}

/// Between the last look of a process and its write to the namespace, the run has ended and another one is in flight.
struct Overtaken(bool);

impl Hook for Overtaken {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if !self.0 && call.what.split('?').next() == Some("PATCH /api/v1/namespaces/k8s-upgrade") {
            self.0 = true;
            annotate(state, "run-id", OTHER);
        }
        Fate::Go
    }
}

#[test]
pub fn a_late_process_leaves_the_next_run_alone() {
    let broken = live(runbook(), None, async |driver| {
        broken_off(driver).await;
        driver.twin.look(State::clone)
    });
    for line in ["skip-phase worker k8s-node3 --force --reason disk --yes", "resume --local --yes", "clear-state --yes"] {
        live(broken.clone(), Some(Box::new(Overtaken(false))), async |driver| {
            let (ended, said) = types(driver, "late", line).await;
            assert!(ended == 6 && said.contains("is not in flight any more: run "), "{line}: {ended} {said}");
            driver.twin.look(|state| {
                assert!(in_flight(state) && mark(namespace(state), "run-id") == Some(OTHER), "{line}: {}", tail(state, 20));
                let marked = ["skipped", "local"].into_iter().find(|suffix| mark(namespace(state), suffix).is_some());
                assert_eq!(marked, None, "{line}");
            });
        });
    }
}

/// Whoever may edit the namespace: nothing is begun by it, all that shows still shows, and two commands end it.
#[test]
fn an_annotation_that_is_not_ours_is_refused_by_name() {
    for (suffix, text) in [
        ("run-id", "r b finished a[$(id>/tmp/x)]"),
        ("run-id", "by-hand"),
        ("target", "latest\nNext: rm -rf /"),
        ("started", "yesterday"),
    ] {
        let mut state = live(runbook(), None, async |driver| {
            broken_off(driver).await;
            driver.twin.look(State::clone)
        });
        annotate(&mut state, suffix, text);
        let key = format!("viktorbarzin.me/k8s-upgrade-{suffix}");
        live(state, None, async |driver| {
            for line in
                ["resume --yes", "resume --if-orphaned", "skip-phase worker k8s-node3", "upgrade-node k8s-node3 --yes", "detect"]
            {
                let (code, said) = types(driver, "refused", line).await;
                assert!(
                    code == 4 && said.contains(&format!("annotation {key} on namespace {NAMESPACE}")),
                    "{line}: {code} {said}"
                );
                assert!(said.contains(&format!("kubectl annotate namespace {NAMESPACE} {key}-")), "{line}: {said}");
                assert!(!said.contains("\nNext: rm"), "{line}: {said}");
            }
            pass(driver, 1300).await;
            driver.twin.look(|state| {
                assert_eq!(mark(namespace(state), suffix), Some(text), "nothing was begun or ended by itself");
            });
            for line in ["status", "halt", "halt --lift"] {
                let (code, said) = types(driver, "shown", line).await;
                assert_eq!(code, 0, "{line}: {said}");
                assert!(line != "status" || said.contains(&key), "{said}");
            }
            let (code, said) = types(driver, "clear", "clear-state --yes").await;
            assert_eq!(code, 0, "{said}");
            driver.twin.look(|state| {
                assert!(!in_flight(state) && mark(namespace(state), suffix).is_none(), "{}", tail(state, 20));
            });
        });
    }
}

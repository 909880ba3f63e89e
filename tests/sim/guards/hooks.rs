//! Hooks: other people's Jobs around each node's turn, which end well before it is touched, and once it is back, whatever has happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use k8s_upgrade::twin::control::HookEnd;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State};
use serde_json::{Value, json};

use super::super::hands::{NEW, done, is_out, ours, slack, version};
use super::super::rules::Observer;
use super::super::world::{
    at_work, begin, in_flight, is_over, jobs, live, mark, namespace, pass, quick, said, suspend, tail, to_the_end, types, when,
};

const PLACE: &str = "rook-ceph";

/// A person's settings, as the installation has them.
const SET: &str = " --set hook-before-node=rook-ceph/noout --set hook-after-node=rook-ceph/unset-noout --set hook-deadline=1m";

fn hooked() -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    for (key, value) in
        [("hook-before-node", "rook-ceph/noout"), ("hook-after-node", "rook-ceph/unset-noout"), ("hook-deadline", "1m")]
    {
        scenario.settings.insert(key.to_owned(), value.into());
    }
    scenario
}

/// A workload whose drain lasts, for its budget lets go of it only where somebody changes it.
fn held() -> Scenario {
    let mut scenario = hooked();
    let placed_on = ["k8s-node4", "k8s-node3"].map(str::to_owned).to_vec();
    let imap = Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap");
    scenario.workloads.push(Workload { replicas: 2, placed_on, ..imap });
    let budget = scenario.budgets[0].clone();
    let share = |pods| Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(pods));
    scenario.budgets.push(Budget {
        namespace: "mail".to_owned(),
        name: "imap".to_owned(),
        selector: [("app".to_owned(), "imap".to_owned())].into(),
        min_available: share(1),
        max_unavailable: None,
        ..budget
    });
    scenario
}

fn ends(state: &mut State, hook: &str, end: HookEnd) {
    state.control.hooks.insert(hook.to_owned(), end);
}

/// The hooks' Jobs, in the order in which they were made: kind, node, whether complete.
fn runs(state: &State) -> Vec<(String, String, bool)> {
    let of_hooks = state.store.list(Kind::Job).filter(|(key, _)| key.namespace == PLACE);
    let mut runs: Vec<(String, String, String, bool)> = of_hooks
        .map(|(key, job)| {
            let kind = if key.name.starts_with("upgrade-hook-before-") { "before" } else { "after" };
            let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            let complete = conditions.filter(|c| c["type"] == "Complete").any(|c| c["status"] == "True");
            let made = job["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
            (made, kind.to_owned(), mark(job, "hook-node").unwrap_or_default().to_owned(), complete)
        })
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, kind, node, complete)| (kind, node, complete)).collect()
}

fn count(state: &State, kind: &str, node: &str) -> usize {
    runs(state).iter().filter(|(of, on, complete)| of == kind && on == node && *complete).count()
}

fn owed(state: &State) -> Vec<String> {
    let owed = state.store.list(Kind::Node).filter(|(_, node)| mark(node, "hooked").is_some());
    owed.map(|(key, _)| key.name.clone()).collect()
}

/// Sees each node's turns, by what everybody can see.
#[derive(Default)]
struct Turns {
    wrong: Vec<String>,
    /// Of each node: the turn that was on it, and whether it was out of service.
    were: BTreeMap<String, (Option<String>, bool)>,
    /// All that were ever out of service.
    out: BTreeSet<String>,
    points: Vec<State>,
}

fn job<'a>(state: &'a State, kind: &str, turn: &str, node: &str) -> Option<&'a Arc<Value>> {
    state.store.get(&Key::new(Kind::Job, PLACE, &format!("upgrade-hook-{kind}-{turn}-{node}")))
}

fn complete(job: Option<&Arc<Value>>) -> bool {
    let conditions = job.and_then(|job| job["status"]["conditions"].as_array());
    conditions.into_iter().flatten().any(|c| c["type"] == "Complete" && c["status"] == "True")
}

impl Turns {
    fn look(&mut self, state: &State) {
        for (key, node) in state.store.list(Kind::Node) {
            let turn = mark(node, "hooked").and_then(|turn| turn.split(' ').next()).map(str::to_owned);
            let (turn, out) = (turn, mark(node, "cordoned-by").is_some());
            let (former, was_out) = self.were.insert(key.name.clone(), (turn.clone(), out)).unwrap_or_default();
            if out && !was_out {
                self.out.insert(key.name.clone());
                if !turn.as_ref().is_some_and(|turn| complete(job(state, "before", turn, &key.name))) {
                    self.wrong.push(format!("{} is cordoned before its hook has ended well", key.name));
                }
                if turn.as_ref().is_some_and(|turn| job(state, "after", turn, &key.name).is_some()) {
                    self.wrong.push(format!("{} is cordoned in a turn that is over", key.name));
                }
            }
            if let Some(former) = former.filter(|former| turn.as_ref() != Some(former)) {
                let ended = (1..=100).any(|attempt| {
                    let name = if attempt == 1 { key.name.clone() } else { format!("{}-{attempt}", key.name) };
                    complete(job(state, "after", &former, &name))
                });
                if !ended || out {
                    self.wrong
                        .push(format!("the hook after {} is not owed any more, and has not ended well in service", key.name));
                }
            }
        }
    }
}

struct Seen(Arc<Mutex<Turns>>);

impl Hook for Seen {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let mut turns = self.0.lock().unwrap();
        turns.look(state);
        // Around the hooks of one node, which is no control plane.
        let node = state.store.get(&Key::node("k8s-node4"));
        if call.changes && node.is_some_and(|node| mark(node, "cordoned-by").is_none()) && !in_the_middle(state) {
            turns.points.push(state.clone());
        }
        Fate::Go
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        self.before(state, call)
    }
    fn look(&mut self, state: &mut State) {
        self.0.lock().unwrap().look(state);
    }
}

/// Nobody is at the hooks of that node now.
fn in_the_middle(state: &State) -> bool {
    let node = state.store.get(&Key::node("k8s-node4"));
    let has = node.is_some_and(|node| mark(node, "hooked").is_some());
    let lease = state.store.get(&Key::new(Kind::Lease, "k8s-upgrade", "k8s-upgrade-node-k8s-node4")).is_some();
    !has && !lease
}

/// Lives under the rules that are never broken, and those of turns; the nodes that were ever out of service, and the points around hooks.
fn watched<T>(state: State, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> (T, Turns) {
    let turns: Arc<Mutex<Turns>> = Arc::default();
    let (observer, broken) = Observer::new(&state, Some(Box::new(Seen(turns.clone()))));
    let end = live(state, Some(Box::new(observer)), work);
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    let turns = std::mem::take(&mut *turns.lock().unwrap());
    assert!(turns.wrong.is_empty(), "{:#?}", turns.wrong);
    (end, turns)
}

#[test]
pub fn each_node_has_its_hooks_around_its_turn() {
    let (end, turns) = watched(begin(&hooked()), async |driver| {
        when(driver, "a hook at work", |state| runs(state).iter().any(|(.., complete)| !complete)).await;
        when(driver, "that it is told", |state| {
            let jobs = state.store.list(Kind::Job).filter_map(|(_, job)| mark(job, "progress"));
            jobs.into_iter().any(|progress| progress.contains("hook rook-ceph/noout (before k8s-master)"))
        })
        .await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(turns.out.len(), 5);
    let wanted: Vec<_> = ["k8s-master", "k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"]
        .into_iter()
        .flat_map(|node| ["before", "after"].map(|kind| (kind.to_owned(), node.to_owned(), true)))
        .collect();
    assert_eq!(runs(&end), wanted);
    assert!(owed(&end).is_empty(), "{:?}", owed(&end));
    // What they printed is kept.
    let logged = |text: &str| end.logs.values().flat_map(|log| log.all()).filter(|line| line.contains(text)).count();
    assert!(logged("hook rook-ceph/noout (before k8s-node4): noout is set") == 1, "{}", tail(&end, 40));
    assert!(logged("hook rook-ceph/unset-noout (after k8s-node4): noout is unset") == 1, "{}", tail(&end, 40));
}

#[test]
pub fn hooks_that_cannot_be_run_are_found_before_a_run() {
    let cronjob = || Key::new(Kind::CronJob, PLACE, "noout");
    let gone = |state: &mut State| drop(state.store.remove(&cronjob()));
    let awake = |state: &mut State| drop(state.store.update(&cronjob(), |it| it["spec"]["suspend"] = json!(false)));
    type Fault<'a> = &'a dyn Fn(&mut State);
    let faults: [(&str, Fault<'_>); 2] = [("does not exist", &gone), ("is not suspended", &awake)];
    for (wanted, fault) in faults {
        let mut state = begin(&hooked());
        suspend(&mut state, "k8s-version-check");
        fault(&mut state);
        watched(state, async |driver| {
            let (code, said) = types(driver, "look", &format!("preflight --target 1.34.7 --dry-run{SET}")).await;
            assert!(code == 4 && said.contains("CronJob rook-ceph/noout (setting hook-before-node)"), "{code}\n{said}");
            assert!(said.contains(wanted), "{said}");
        });
    }
}

#[test]
pub fn a_hook_that_fails_costs_no_second_out_of_service() {
    let mut state = begin(&hooked());
    ends(&mut state, "before", HookEnd::Fails);
    let (end, _) = watched(state, async |driver| {
        when(driver, "a failure", |state| slack(state).contains("🛑")).await;
        pass(driver, 3600).await;
        driver.twin.look(|state| {
            let told = slack(state);
            assert!(told.contains("hook rook-ceph/noout (before k8s-master) failed"), "{told}");
            assert!(told.contains("Error EPERM: no monitor allows that"), "{told}");
            assert!(ours(state).is_empty() && version(state, "k8s-master") != NEW && in_flight(state), "{}", tail(state, 40));
            // Each that failed had its other half, and nothing is owed.
            let after = runs(state).iter().filter(|(kind, ..)| kind == "after").count();
            assert!(after * 2 == runs(state).len() && owed(state).is_empty(), "{:?}", runs(state));
        });
        driver.twin.edit(|state| ends(state, "before", HookEnd::Well));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        assert_eq!(types(driver, "again", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
pub fn a_hook_that_never_ends_is_told() {
    let mut state = begin(&hooked());
    ends(&mut state, "before", HookEnd::Never);
    let (end, _) = watched(state, async |driver| {
        when(driver, "a hook at work", |state| !runs(state).is_empty()).await;
        pass(driver, 300).await;
        driver.twin.look(|state| assert!(slack(state).contains(", and is left at work"), "{}", tail(state, 20)));
        driver.twin.look(|state| assert!(ours(state).is_empty() && runs(state).len() == 1, "{:?}", runs(state)));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.edit(|state| {
            ends(state, "before", HookEnd::Well);
            let stuck: Vec<Key> =
                state.store.list(Kind::Job).map(|(key, _)| key.clone()).filter(|key| key.namespace == PLACE).collect();
            stuck.iter().for_each(|key| drop(state.store.remove(key)));
        });
        types(driver, "again", "resume --yes").await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

#[test]
pub fn the_hook_after_a_node_holds_the_next_where_it_fails() {
    let mut state = begin(&hooked());
    ends(&mut state, "after", HookEnd::Fails);
    let (end, _) = watched(state, async |driver| {
        when(driver, "a failure", |state| slack(state).contains("hook rook-ceph/unset-noout (after k8s-master) failed")).await;
        pass(driver, 4 * 3600).await;
        driver.twin.look(|state| {
            assert!(version(state, "k8s-master") == NEW && ours(state).is_empty(), "{}", tail(state, 40));
            assert_eq!((version(state, "k8s-node4").as_str(), owed(state)), ("1.34.2", vec!["k8s-master".to_owned()]));
            assert_eq!(runs(state).iter().filter(|(kind, ..)| kind == "before").count(), 1, "{:?}", runs(state));
        });
        let (_, said) = types(driver, "look", "status").await;
        assert!(said.contains("the hook after it is owed"), "{said}");
        driver.twin.edit(|state| ends(state, "after", HookEnd::Well));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        types(driver, "again", "resume --yes").await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!((count(&end, "before", "k8s-master"), count(&end, "after", "k8s-master")), (1, 1), "{:?}", runs(&end));
}

/// A person halts in a drain: the node serves again, and what the hook before it has set goes.
#[test]
pub fn a_node_that_does_not_get_its_turn_has_its_hook_after() {
    let (end, _) = watched(begin(&held()), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            assert!(ours(state).is_empty() && version(state, "k8s-node4") != NEW, "{}", tail(state, 40));
            let ran = (count(state, "before", "k8s-node4"), count(state, "after", "k8s-node4"));
            assert!(ran == (1, 1) && owed(state).is_empty(), "{ran:?} {:?}\n{}", owed(state), tail(state, 40));
        });
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        assert_eq!(types(driver, "again", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!((count(&end, "before", "k8s-node4"), count(&end, "after", "k8s-node4")), (2, 2), "{:?}", runs(&end));
}

/// Interrupted while a hook runs: that goes on, and whoever comes next finds how it ended.
#[test]
fn a_signal_leaves_a_hook_at_work() {
    let mut state = begin(&hooked());
    suspend(&mut state, "k8s-version-check");
    watched(state, async |driver| {
        let line = format!("k8s-upgrade upgrade-node k8s-master --target 1.34.7 --yes{SET}");
        driver.operate("hand", &line.split(' ').collect::<Vec<_>>(), Default::default());
        when(driver, "a hook at work", |state| !runs(state).is_empty()).await;
        driver.interrupt("hand");
        let limit = k8s_upgrade::twin::state::later(driver.twin.now(), std::time::Duration::from_secs(25));
        let code = driver.until_ended("hand", limit).await;
        driver.twin.look(|state| {
            assert_eq!(code, Some(130), "{}", said(state, "hand"));
            assert_eq!((ours(state).len(), owed(state).len(), runs(state).len()), (0, 1, 1), "{}", said(state, "hand"));
            assert!(said(state, "hand").contains("the hook after k8s-master is owed"), "{}", said(state, "hand"));
        });
        pass(driver, 60).await;
        let (code, said) = types(driver, "again", &format!("upgrade-node k8s-master --target 1.34.7 --yes{SET}")).await;
        driver.twin.look(|state| {
            assert!(code == 0 && version(state, "k8s-master") == NEW && owed(state).is_empty(), "{code}\n{said}");
            assert_eq!(runs(state).len(), 2, "{:?}", runs(state));
        });
    });
}

/// A run that is given up owes nothing.
#[test]
fn clear_state_runs_the_hook_that_is_owed() {
    let mut state = begin(&hooked());
    ends(&mut state, "after", HookEnd::Fails);
    watched(state, async |driver| {
        when(driver, "a failure", |state| slack(state).contains("hook rook-ceph/unset-noout (after k8s-master) failed")).await;
        assert_eq!(types(driver, "halt", "halt --reason ceph").await.0, 0);
        when(driver, "nobody at work", |state| !at_work(state)).await;
        // Where nobody knows which one it is, it stays owed.
        let (code, said) = types(driver, "clear", "clear-state --yes").await;
        assert!(code == 4 && said.contains("these settings name none (hook-after-node)"), "{code}\n{said}");
        let (code, said) = types(driver, "clear", &format!("clear-state --yes{SET}")).await;
        assert!(code == 5 && said.contains("its hooks have begun: the one after it is run"), "{code}\n{said}");
        driver.twin.look(|state| assert!(in_flight(state) && owed(state).len() == 1, "{}", tail(state, 20)));
        driver.twin.edit(|state| ends(state, "after", HookEnd::Well));
        let (code, said) = types(driver, "clear again", &format!("clear-state --yes{SET}")).await;
        driver.twin.look(|state| {
            assert!(code == 0 && !in_flight(state) && owed(state).is_empty(), "{code}\n{said}");
            assert!(mark(namespace(state), "target").is_none(), "{said}");
        });
    });
}

/// A runner is killed at each call around the hooks of a node: each turn's hooks run once, and the run ends well.
#[test]
fn a_runner_that_is_killed_around_a_hook_runs_none_twice() {
    let (_, turns) = watched(begin(&hooked()), async |driver| when(driver, "the end", is_over).await);
    assert!(turns.points.len() > 20, "{}", turns.points.len());
    for (number, mut state) in turns.points.into_iter().enumerate() {
        state.kill_programs();
        let seen: Arc<Mutex<Turns>> = Arc::default();
        let (observer, broken) = Observer::new(&state, Some(Box::new(Seen(seen.clone()))));
        let end = to_the_end(state, Some(Box::new(observer)));
        let (seen, broken) = (seen.lock().unwrap(), broken.lock().unwrap());
        assert!(seen.wrong.is_empty() && broken.is_empty(), "{number}: {:#?}\n{broken:#?}\n{}", seen.wrong, tail(&end, 40));
        done(&end, &[]);
        let ran = runs(&end);
        assert!(ran.len() == 10 && owed(&end).is_empty(), "{number}: {ran:#?}\n{}\n{}", jobs(&end), tail(&end, 60));
    }
}

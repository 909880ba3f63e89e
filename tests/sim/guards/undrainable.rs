//! Nodes that can never be drained, and drains that do not end.

use jiff::Timestamp;
use k8s_upgrade::twin::scenario::{self, Budget, Scenario, Workload};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::json;

use super::super::hands::{NEW, autoscaled, is_out, observed, ours, slack, version};
use super::super::rules::Observer;
use super::super::world::{LIMIT, at_work, begin, in_flight, is_over, live, mark, namespace, pass, quick, tail, types, when};

/// Two pods on two nodes, and a budget of that many.
fn imap(min_available: i32) -> Scenario {
    imap_on(["k8s-node4", "k8s-node3"], min_available)
}

fn imap_on(nodes: [&str; 2], min_available: i32) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = nodes.map(str::to_owned).to_vec();
    let imap = Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap");
    scenario.workloads.push(Workload { replicas: 2, placed_on, ..imap });
    let budget = scenario.budgets[0].clone();
    scenario.budgets.push(Budget {
        namespace: "mail".to_owned(),
        name: "imap".to_owned(),
        selector: [("app".to_owned(), "imap".to_owned())].into(),
        min_available: Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(min_available)),
        max_unavailable: None,
        ..budget
    });
    scenario
}

fn keep(state: &mut State, pods: u32) {
    state.store.update(&Key::new(Kind::Budget, "mail", "imap"), |budget| budget["spec"]["minAvailable"] = json!(pods));
}

#[test]
pub fn a_node_that_can_never_be_drained_is_found_before_anything_is_touched() {
    observed(begin(&imap(2)), async |driver| {
        let (code, said) = types(driver, "look", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 4 && said.contains("2 nodes can never be drained"), "{code}\n{said}");
        for said_of in
            ["k8s-node3: mail/imap-", "k8s-node4: mail/imap-", "PDB mail/imap allows 0 (2 of 2 wanted healthy), and never will"]
        {
            assert!(said.contains(said_of), "{said_of}\n{said}");
        }
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
        // One command goes on, once that is mended.
        driver.twin.edit(|state| keep(state, 1));
        assert_eq!(types(driver, "again", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
    });
}

/// The API server never evicts such a pod, however many of them each budget lets go.
#[test]
fn a_pod_of_two_budgets_is_found_before_anything_is_touched() {
    let mut scenario = imap(1);
    let other = scenario.budgets.last().unwrap().clone();
    scenario.budgets.push(Budget { name: "imap-too".to_owned(), ..other });
    live(begin(&scenario), None, async |driver| {
        let (code, said) = types(driver, "look", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 4 && said.contains("guarded by PDB mail/imap and PDB mail/imap-too"), "{code}\n{said}");
        driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
    });
}

/// Workers may be, for nothing follows them that needs them.
#[test]
fn a_control_plane_is_never_left_out() {
    live(begin(&imap_on(["k8s-master", "k8s-node3"], 2)), None, async |driver| {
        let (code, said) = types(driver, "look", "--set undrainable=skip preflight --target 1.34.7 --dry-run").await;
        assert!(code == 4 && said.contains("a control plane is never left out"), "{code}\n{said}");
    });
}

/// A pod was evicted by somebody else, and its successor is not counted yet.
#[test]
pub fn a_budget_that_has_just_lost_a_pod_is_looked_at_again() {
    struct Late(bool);
    impl Hook for Late {
        fn before(&mut self, _: &mut State, call: &Call) -> Fate {
            self.0 |= call.what.contains("/horizontalpodautoscalers");
            Fate::Go
        }
        fn look(&mut self, state: &mut State) {
            if std::mem::take(&mut self.0) {
                keep(state, 1);
            }
        }
    }
    live(begin(&imap(2)), Some(Box::new(Late(false))), async |driver| {
        let (code, said) = types(driver, "look", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 0 && said.contains("gate drainable: pass"), "{code}\n{said}");
    });
}

#[test]
pub fn what_came_in_between_costs_no_second_out_of_service() {
    let state = begin(&imap(1));
    observed(state, async |driver| {
        when(driver, "the run", in_flight).await;
        driver.twin.edit(|state| keep(state, 2));
        when(driver, "its turn", |state| slack(state).contains("🛑") || is_out("k8s-node4")(state)).await;
        driver.twin.look(|state| {
            assert!(
                !is_out("k8s-node4")(state) && slack(state).contains("can never be drained"),
                "{}\n{}",
                slack(state),
                tail(state, 40)
            );
        });
        // The watch asks again by itself.
        driver.twin.edit(|state| keep(state, 1));
        when(driver, "the end", is_over).await;
    });
}

/// Left out, found before the run and in its midst; the others are upgraded, and the end says so.
#[test]
pub fn a_worker_is_left_out_where_the_settings_say_so() {
    for from_the_first in [true, false] {
        let mut scenario = imap(if from_the_first { 2 } else { 1 });
        scenario.settings.insert("undrainable".to_owned(), json!("skip"));
        let end = observed(begin(&scenario), async |driver| {
            when(driver, "the run", in_flight).await;
            driver.twin.edit(|state| keep(state, 2));
            let is_over = |state: &State| {
                assert!(slack(state).matches("left out worker/").count() <= 2, "again and again\n{}", slack(state));
                is_over(state)
            };
            when(driver, "the end", is_over).await;
            driver.twin.look(State::clone)
        });
        for (node, wanted) in
            [("k8s-master", NEW), ("k8s-node1", NEW), ("k8s-node2", NEW), ("k8s-node3", "1.34.2"), ("k8s-node4", "1.34.2")]
        {
            assert_eq!(version(&end, node), wanted, "{node}\n{}", tail(&end, 40));
        }
        let told = slack(&end);
        assert_eq!(told.matches("left out worker/").count(), 2, "{told}");
        assert!(told.contains("⚠️ K8s upgrade partial") && !told.contains('✅') && !told.contains("🛑"), "{told}");
    }
}

/// A budget that lets nothing go as long as a node is out of service, and how often that was.
#[derive(Default)]
struct StuckWhileOut {
    cordoned: Vec<Timestamp>,
    served: Vec<Timestamp>,
}

impl Hook for StuckWhileOut {
    fn look(&mut self, state: &mut State) {
        let is_out = is_out("k8s-node4")(state);
        if is_out == (self.cordoned.len() == self.served.len()) {
            let times = if is_out { &mut self.cordoned } else { &mut self.served };
            times.push(state.now());
            keep(state, if is_out { 2 } else { 1 });
        }
    }
}

/// How often it was cordoned until a person must look, and the pauses between.
fn tried(tries: u32) -> (Vec<i64>, State) {
    let mut scenario = imap(1);
    scenario.settings.insert("drain-tries".to_owned(), json!(tries));
    let state = begin(&scenario);
    let (observer, broken) = Observer::new(&state, None);
    let times: std::sync::Arc<std::sync::Mutex<StuckWhileOut>> = Default::default();
    struct Both(Observer, std::sync::Arc<std::sync::Mutex<StuckWhileOut>>);
    impl Hook for Both {
        fn before(&mut self, state: &mut State, call: &Call) -> Fate {
            self.0.before(state, call)
        }
        fn after(&mut self, state: &mut State, call: &Call) -> Fate {
            self.0.after(state, call)
        }
        fn look(&mut self, state: &mut State) {
            self.0.look(state);
            self.1.lock().unwrap().look(state);
        }
    }
    let end = live(state, Some(Box::new(Both(observer, times.clone()))), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 12 * 3600).await;
        driver.twin.look(State::clone)
    });
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    let times = times.lock().unwrap();
    let pauses = times.cordoned.iter().skip(1).zip(&times.served).map(|(next, last)| next.duration_since(*last).as_mins());
    let pauses: Vec<i64> = pauses.collect();
    assert_eq!((times.cordoned.len(), times.served.len()), (pauses.len() + 1, pauses.len() + 1));
    (pauses, end)
}

#[test]
pub fn a_drain_that_does_not_end_is_not_tried_for_ever() {
    let (pauses, end) = tried(2);
    assert_eq!(pauses.len(), 1, "{pauses:?}\n{}", slack(&end));
    assert!(slack(&end).contains("2 drains did not end, out of service 20m"), "{}", slack(&end));
    assert_eq!(slack(&end).matches("🛑").count(), 2, "{}", slack(&end));
    assert!(in_flight(&end) && ours(&end).is_empty() && mark(namespace(&end), "held-drain").is_some(), "{}", tail(&end, 40));
    // A person's word begins to count anew.
    let end = live(end, None, async |driver| {
        driver.twin.edit(|state| keep(state, 0));
        let (_, said) = types(driver, "look", "status").await;
        assert!(said.contains("2 drains did not end, out of service 20m"), "{said}");
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        let limit = k8s_upgrade::twin::state::later(driver.twin.now(), LIMIT);
        driver.until(limit, is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(is_over(&end) && version(&end, "k8s-node4") == NEW, "{}", tail(&end, 40));
}

/// The first drain of each of these nodes is in vain.
#[derive(Default)]
struct StuckAtFirst {
    out: Option<&'static str>,
    known: Vec<&'static str>,
}

impl Hook for StuckAtFirst {
    fn look(&mut self, state: &mut State) {
        let out = ["k8s-node4", "k8s-node3"].into_iter().find(|node| is_out(node)(state));
        if out == self.out {
            return;
        }
        self.out = out;
        let is_first = out.is_some_and(|node| !self.known.contains(&node));
        self.known.extend(out);
        keep(state, if is_first { 2 } else { 1 });
    }
}

/// Each may be out of service for nothing as long as the settings say: two that were so once are no node that was so twice.
#[test]
fn each_node_has_its_own_count() {
    let mut scenario = imap(1);
    scenario.settings.insert("drain-tries".to_owned(), json!(2));
    let end = live(begin(&scenario), Some(Box::new(StuckAtFirst::default())), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    let held = slack(&end).matches("pods held after").count();
    assert!(held == 2 && version(&end, "k8s-node3") == NEW, "{held}\n{}\n{}", slack(&end), tail(&end, 40));
}

#[test]
pub fn pauses_between_drains_that_do_not_end_grow() {
    let (pauses, end) = tried(4);
    let at_least = [10, 20, 40];
    assert!(
        pauses.len() == 3 && pauses.iter().zip(at_least).all(|(pause, least)| *pause >= least),
        "{pauses:?}\n{}",
        tail(&end, 40)
    );
}

/// The drain of a workload that an autoscaler might enlarge is tried: its budget may come to allow it.
#[test]
pub fn an_autoscaler_is_waited_for() {
    let mut state = begin(&imap(2));
    autoscaled(&mut state, "Deployment", "mail", "imap");
    observed(state, async |driver| when(driver, "a drain", is_out("k8s-node4")).await);
}

/// An operator may move its pod once the node is cordoned: where the settings say so, that is tried.
#[test]
pub fn what_never_goes_is_tried_where_the_settings_say_so() {
    let mut scenario = imap(2);
    scenario.settings.insert("undrainable".to_owned(), json!("try"));
    let end = observed(begin(&scenario), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        // As it does then.
        driver.twin.edit(|state| keep(state, 1));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(version(&end, "k8s-node4") == NEW && slack(&end).contains('✅'), "{}", tail(&end, 40));
}

/// A runner that is killed in the middle of a drain takes nothing back and says nothing: whoever comes next counts the time for it.
#[test]
pub fn a_drain_that_is_cut_off_counts_by_its_time() {
    let end = observed(begin(&imap(1)), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        driver.twin.edit(|state| keep(state, 2));
        pass(driver, 120).await;
        driver.twin.edit(State::kill_programs);
        when(driver, "a count", |state| mark(namespace(state), "held-drain").is_some()).await;
        driver.twin.edit(|state| {
            let held = mark(namespace(state), "held-drain").unwrap().to_owned();
            assert!(held.contains("\"tries\":0") && !held.contains("\"seconds\":0"), "{held}");
            keep(state, 1);
        });
        let (_, said) = types(driver, "look", "status").await;
        assert!(said.contains("a drain was cut off, out of service"), "{said}");
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(version(&end, "k8s-node4") == NEW && slack(&end).contains('✅'), "{}", tail(&end, 40));
}

/// A drain that a person has stopped is none that did not end.
#[test]
pub fn only_a_drain_that_does_not_end_is_counted() {
    observed(begin(&imap(1)), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            assert!(ours(state).is_empty() && version(state, "k8s-node4") != NEW, "{}", tail(state, 40));
            assert!(mark(namespace(state), "held-drain").is_none(), "{}", tail(state, 40));
        });
    });
}

/// With force, in these namespaces.
fn forced(namespaces: &[&str]) -> Scenario {
    let mut scenario = imap(2);
    for (key, value) in
        [("undrainable", json!("force-after")), ("undrainable-namespaces", json!(namespaces)), ("undrainable-after", json!("4m"))]
    {
        scenario.settings.insert(key.to_owned(), value);
    }
    scenario
}

/// The same, as somebody types it at another machine.
fn with_force(line: &str, namespaces: &str) -> String {
    let settings = format!("undrainable=force-after undrainable-namespaces={namespaces} undrainable-after=4m drain-deadline=10m");
    settings.split(' ').fold(line.to_owned(), |line, set| format!("{line} --set {set}"))
}

/// The UIDs of its pods.
fn pods(state: &State) -> Vec<String> {
    let own = state.store.list(Kind::Pod).filter(|(key, _)| key.namespace == "mail" && key.name.starts_with("imap"));
    own.map(|(_, pod)| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Known and said before the run, told when it happens, and nothing else is lost: the run is done.
#[test]
pub fn a_pod_is_deleted_by_force_after_its_time() {
    let end = observed(begin(&forced(&["mail"])), async |driver| {
        let (code, said) = types(driver, "look", &with_force("preflight --target 1.34.7 --dry-run", "mail")).await;
        assert!(code == 0 && said.contains("gate drainable: pass"), "{code}\n{said}");
        assert!(said.contains("the drain deletes mail/imap-") && said.contains("once it has been refused for 4m"), "{said}");
        let (_, said) = types(driver, "forecast", &with_force("drain k8s-node4 --dry-run", "mail")).await;
        assert!(said.contains("and never will; deleted once it was refused for 4m"), "{said}");
        when(driver, "a drain", is_out("k8s-node4")).await;
        let since = driver.twin.now();
        let before = driver.twin.look(pods);
        when(driver, "its deletion", |state| slack(state).contains("is deleted: its eviction was refused for 4m")).await;
        let waited = driver.twin.now().duration_since(since).as_secs();
        assert!(waited >= 235, "{waited} s");
        driver.twin.look(|state| assert_eq!(pods(state), before, "not before it is told"));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    // On each of the nodes where one of them ran, and where one came that was driven from another.
    let told = slack(&end);
    assert!((2..=4).contains(&told.matches("is deleted: its eviction was refused").count()), "{told}");
    assert!(told.contains("⚠️") && told.contains("k8s-node4: mail/imap-") && told.contains('✅'), "{told}");
    for node in ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"] {
        assert_eq!(version(&end, node), NEW, "{node}\n{}", tail(&end, 40));
    }
}

/// Refused before anything is touched, as without force; and where it comes in between, it is a hold that costs nothing.
#[test]
pub fn a_pod_of_a_namespace_that_is_not_named_is_never_deleted() {
    observed(begin(&forced(&["web", "mai", "mailx"])), async |driver| {
        let before = driver.twin.look(pods);
        let (code, said) = types(driver, "look", &with_force("preflight --target 1.34.7 --dry-run", "web,mai,mailx")).await;
        assert!(code == 4 && said.contains("2 nodes can never be drained (none of these pods may be deleted"), "{code}\n{said}");
        when(driver, "a refusal", |state| slack(state).contains("🛑")).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20));
            assert_eq!(pods(state), before);
        });
    });
}

/// By its own annotation it stays, whatever the settings force.
#[test]
pub fn an_opt_out_is_no_matter_of_force() {
    let mut scenario = forced(&["mail"]);
    let last = scenario.budgets.last_mut().unwrap();
    last.annotations.insert("viktorbarzin.me/k8s-upgrade-unstick".to_owned(), "never".to_owned());
    observed(begin(&scenario), async |driver| {
        let (code, said) = types(driver, "look", &with_force("preflight --target 1.34.7 --dry-run", "mail")).await;
        assert!(code == 4 && said.contains("2 nodes can never be drained"), "{code}\n{said}");
    });
}

/// A budget that is mended in time costs no pod.
#[test]
pub fn a_budget_that_is_mended_in_time_is_obeyed() {
    let end = observed(begin(&forced(&["mail"])), async |driver| {
        when(driver, "a drain", is_out("k8s-node4")).await;
        pass(driver, 120).await;
        driver.twin.edit(|state| keep(state, 1));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert!(slack(&end).contains('✅') && !slack(&end).contains("is deleted"), "{}", slack(&end));
}

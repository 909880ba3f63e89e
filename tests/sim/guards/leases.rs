//! Leases: renewed as long as somebody works, and lost for good where another has taken one.

use std::time::Duration;

use k8s_upgrade::twin::scenario::{self, Scenario, Workload};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State, Who};
use serde_json::json;

use super::super::faults::What;
use super::super::hands::{is_out, observed, runbook, unit_runs};
use super::super::rules::Observer;
use super::super::world::{NAMESPACE, at_work, begin, live, pass, quick, tail, when};

const NODE: &str = "k8s-node4";

fn lease() -> Key {
    Key::new(Kind::Lease, NAMESPACE, "k8s-upgrade-node-k8s-node4")
}

fn observed_with<T>(state: State, hook: Box<dyn Hook>, work: impl AsyncFnOnce(&mut Driver<'_>) -> T) -> T {
    let (observer, broken) = Observer::new(&state, Some(hook));
    let end = live(state, Some(Box::new(observer)), work);
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
    end
}

/// A second runner of the same Job waits for the Lease while the first does something that lasts. Whatever that is, it keeps it.
fn is_kept(state: State, hook: Option<Box<dyn Hook>>, begun: impl Fn(&State) -> bool, lasts: impl Fn(&mut State, bool)) {
    let (observer, broken) = Observer::new(&state, hook);
    let end = live(state, Some(Box::new(observer)), async |driver| {
        when(driver, "what lasts", &begun).await;
        driver.twin.edit(|state| lasts(state, true));
        What::SecondRunner.happens(driver, 1);
        pass(driver, 150).await;
        driver.twin.edit(|state| lasts(state, false));
        // The second runner has had its turn by then.
        when(driver, "the next node", is_out("k8s-node3")).await;
        driver.twin.look(State::clone)
    });
    let log = end.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n");
    assert!(log.contains("the node's Lease: held by"), "nobody waited for it\n{}", tail(&end, 40));
    assert!(!log.contains("was lost: it is now held by"), "it expired\n{}", tail(&end, 40));
    assert!(broken.lock().unwrap().is_empty(), "{:#?}", broken.lock().unwrap());
}

#[test]
pub fn a_lease_is_kept_through_a_long_step() {
    let locked = |state: &mut State, on: bool| {
        let until = on.then(|| later(state.now(), Duration::from_secs(400)));
        state.hosts.change(NODE, |machine| machine.faults.apt_locked_until = until);
    };
    is_kept(runbook(), None, is_out(NODE), locked);
}

/// Its kubelet is not heard of for minutes after its restart.
#[test]
pub fn a_lease_is_kept_through_a_wait() {
    let silent = |state: &mut State, on: bool| match on {
        true => drop(state.control.silent.insert(NODE.to_owned())),
        false => drop(state.control.silent.remove(NODE)),
    };
    is_kept(runbook(), None, unit_runs(NODE, "kubelet-packages"), silent);
}

/// A pod takes minutes to end, and no other is left to be evicted.
#[test]
pub fn a_lease_is_kept_while_pods_end() {
    let mut scenario = quick(Scenario::runbook());
    let slow = Workload {
        placed_on: vec![NODE.to_owned()],
        grace_seconds: Some(280),
        ends_after_seconds: Some(270),
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    };
    scenario.workloads.push(slow);
    is_kept(begin(&scenario), None, is_out(NODE), |_, _| {});
}

struct SlowEvictions;

impl Hook for SlowEvictions {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if call.changes && call.what.contains("/eviction") { Fate::Late(Duration::from_secs(20)) } else { Fate::Go }
    }
}

/// Many pods, each of whose evictions takes its time: eight are asked for at once.
#[test]
pub fn a_lease_is_kept_between_evictions() {
    let mut scenario = quick(Scenario::runbook());
    let placed_on = vec![NODE.to_owned(); 96];
    scenario.workloads.push(Workload {
        replicas: 96,
        placed_on,
        ..Workload::new(scenario::WorkloadKind::Deployment, "mail", "imap")
    });
    is_kept(begin(&scenario), Some(Box::new(SlowEvictions)), is_out(NODE), |_, _| {});
}

/// A renewal is late, but comes in time: who waits for the Lease goes by what it lasts, and by nothing less.
struct LateRenewals(u32);

impl Hook for LateRenewals {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        let renews = call.what.starts_with("PATCH") && call.what.contains("leases/k8s-upgrade-node-");
        if !renews {
            return Fate::Go;
        }
        self.0 += 1;
        if self.0.is_multiple_of(2) { Fate::Late(Duration::from_secs(25)) } else { Fate::Go }
    }
}

#[test]
pub fn a_lease_is_nobody_elses_before_its_time() {
    let locked = |state: &mut State, on: bool| {
        let until = on.then(|| later(state.now(), Duration::from_secs(300)));
        state.hosts.change(NODE, |machine| machine.faults.apt_locked_until = until);
    };
    is_kept(runbook(), Some(Box::new(LateRenewals(0))), is_out(NODE), locked);
}

/// Somebody takes the Lease over, by force, between a drain's last look and the first change after it.
struct Robbed(bool);

impl Hook for Robbed {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let of_node = matches!(call.who, Who::Pod { .. })
            && call.what.starts_with("GET /api/v1/pods?")
            && call.what.contains(NODE)
            && !call.what.contains("watch=");
        if self.0 || !of_node || !is_out(NODE)(state) {
            return Fate::Go;
        }
        let goes = |pod: &serde_json::Value| {
            let owned = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            pod["spec"]["nodeName"] == NODE && owned.clone().all(|owner| owner["kind"] != "DaemonSet" && owner["kind"] != "Node")
        };
        if state.store.list(Kind::Pod).any(|(_, pod)| goes(pod)) {
            return Fate::Go;
        }
        self.0 = true;
        let now = state.now().to_string();
        state.store.update(&lease(), |lease| {
            lease["spec"]["holderIdentity"] = json!("somebody");
            lease["spec"]["leaseDurationSeconds"] = json!(3600);
            lease["spec"]["renewTime"] = json!(now);
        });
        Fate::Late(Duration::from_secs(15))
    }
}

/// Its former holder changes nothing any more on the node, and leaves the Lease to whom it is.
#[test]
pub fn a_lost_lease_is_lost() {
    observed_with(runbook(), Box::new(Robbed(false)), async |driver| {
        let robbed = |state: &State| state.store.get(&lease()).is_some_and(|lease| lease["spec"]["holderIdentity"] == "somebody");
        when(driver, "the robbery", robbed).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        driver.twin.look(|state| {
            let log = state.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n");
            assert!(log.contains("was lost: it is now held by somebody"), "{}", tail(state, 40));
            assert!(robbed(state) && state.hosts.machine(NODE).unwrap().unit.is_none(), "{}", tail(state, 40));
        });
    });
}

/// A node is worked on under its Lease alone.
#[test]
pub fn a_node_is_worked_on_under_its_lease() {
    observed(runbook(), async |driver| {
        when(driver, "the work", unit_runs("k8s-master", "kubeadm-package")).await;
    });
}

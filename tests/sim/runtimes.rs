//! Control planes whose containerd is older than the workers', as clusters of several distributions have it; and first steps on a drained node
//! that fail before they change anything, of which that was one for ever.

use std::time::Duration;

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::Key;

use super::hands::{NEW, done, is_out, observed, ours, slack, unit_runs, version};
use super::world::{amiss, at_work, begin, in_flight, is_over, jobs, live, mark, quick, tail, to_the_end, types, when};

const MASTER: &str = "k8s-master";
const JAMMY: &str = "2.1.4-1~ubuntu.22.04~jammy";

/// One worker runs Docker's containerd of Debian 12; the control plane has this package, whose sources offer that beside its own.
fn mixed(package: Option<&str>, offers: &[&str]) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    for node in &mut scenario.nodes {
        match node.name.as_str() {
            MASTER => {
                node.containerd_package = package.map(str::to_owned);
                node.containerd_offers = offers.iter().map(|offer| (*offer).to_owned()).collect();
            }
            "k8s-node3" => node.containerd = "2.1.4~debian.12".to_owned(),
            _ => {}
        }
    }
    scenario
}

fn logs(state: &State) -> String {
    state.logs.values().map(|log| log.all().join("\n")).collect::<Vec<_>>().join("\n")
}

fn containerd(state: &State) -> String {
    let machine = state.hosts.machine(MASTER).unwrap();
    machine.packages[machine.runtime()].version.clone()
}

/// What became of it, and that it was told before the run began.
#[track_caller]
fn became(end: &State, revision: &str, told: &str) {
    done(end, &[]);
    assert_eq!(containerd(end), revision);
    let preflight = |log: &String| log.contains("gate hosts");
    let preflight: Vec<String> = end.logs.values().map(|log| log.all().join("\n")).filter(preflight).collect();
    assert!(preflight.iter().any(|log| log.contains(told)), "{told} is not said in\n{}", preflight.join("\n"));
    assert!(!slack(end).contains("🛑"), "{}", slack(end));
}

/// By the upstream release alone: the worker's own revision is none that the control plane could have.
#[test]
pub fn a_runtime_is_raised_to_its_own_packages_revision_or_left_alone() {
    let behind = "its containerd stays at 1.7.28, though k8s-node3 runs 2.1.4: of its package";
    for (package, offers, revision, told) in [
        (None, &[][..], "1.7.28-1", format!("{behind} containerd.io, its lists offer 1.7.28-1")),
        (None, &[JAMMY], JAMMY, format!("1.7.28 → 2.1.4 (containerd.io {JAMMY}), for k8s-node3 runs 2.1.4")),
        (None, &["2.1.5-1~ubuntu.22.04~jammy"], "1.7.28-1", format!("{behind} containerd.io, its lists offer 2.1.5-1~")),
        (Some("containerd"), &[], "1.7.28-1", format!("{behind} containerd, its lists offer 1.7.28-1")),
        (Some("containerd"), &["2.1.4~ds1-1"], "2.1.4~ds1-1", "1.7.28 → 2.1.4 (containerd 2.1.4~ds1-1)".to_owned()),
    ] {
        let end = to_the_end(begin(&mixed(package, offers)), None);
        became(&end, revision, &told);
        assert!(logs(&end).contains("containerd package"), "its step is done, or told as left out");
    }
}

/// What the distribution has had since the lists were read last is not missed, for preflight reads them anew.
#[test]
pub fn old_lists_of_a_distribution_are_read_anew() {
    let mut state = begin(&mixed(None, &[JAMMY]));
    state.hosts.change(MASTER, |machine| machine.containerd_unread = true);
    became(&to_the_end(state, None), JAMMY, "its containerd will be raised");
}

/// Told in preflight, and gone from the lists before the control plane's turn: it is decided again before the drain, and left alone.
#[test]
fn an_offer_that_goes_before_the_drain_costs_nothing() {
    let end = live(begin(&mixed(None, &[JAMMY])), None, async |driver| {
        when(driver, "a claim", in_flight).await;
        driver.twin.edit(|state| state.hosts.change(MASTER, |machine| machine.containerd_offers.clear()));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    became(&end, "1.7.28-1", "its containerd will be raised");
    assert!(logs(&end).contains("its containerd stays at 1.7.28"), "{}", tail(&end, 60));
}

/// Whichever package step comes first on a drained node: where it ends without a change, the node serves again as it was, and goes on once what
/// was in its way is gone.
#[test]
pub fn a_first_step_that_changes_nothing_gives_the_cordon_back() {
    const TURN: &str = "k8s-master1";
    let minor = || quick(Scenario::three_control_planes_minor());
    for (node, step, scenario, to) in [
        (MASTER, "containerd-package", mixed(None, &[JAMMY]), NEW),
        (MASTER, "kubeadm-package", quick(Scenario::runbook()), NEW),
        ("k8s-node4", "kubeadm-package", quick(Scenario::runbook()), NEW),
        // Of its second turn, which begins with it.
        (TURN, "kubelet-packages", minor(), "1.35.4"),
    ] {
        for locked in [true, false] {
            let case = format!("{step} on {node}, {}", if locked { "dpkg's lock" } else { "a full disk" });
            let second = step == "kubelet-packages";
            let end = observed(begin(&scenario), async |driver| {
                if second {
                    let rests = |state: &State| {
                        let new = |name: &str| state.hosts.machine(name).unwrap().manifests["kube-apiserver"] == to;
                        ["k8s-master1", "k8s-master2", "k8s-master3"].into_iter().all(new) && ours(state).is_empty()
                    };
                    when(driver, "every API server new", rests).await;
                }
                when(driver, "a drain", is_out(node)).await;
                let before = driver.twin.look(|state| state.hosts.machine(node).unwrap().packages.clone());
                let free = driver.twin.look(|state| state.hosts.machine(node).unwrap().free);
                driver.twin.edit(|state| {
                    let until = later(state.now(), Duration::from_secs(2 * 3600));
                    state.hosts.change(node, |machine| match locked {
                        true => machine.faults.apt_locked_until = Some(until),
                        false => machine.free = 1 << 20,
                    });
                });
                when(driver, "the step", unit_runs(node, step)).await;
                when(driver, "its end", |state| !at_work(state)).await;
                driver.twin.look(|state| {
                    let told = format!("{case}\n{}\n{}", jobs(state), tail(state, 60));
                    let of = state.store.get(&Key::node(node)).unwrap();
                    assert!(ours(state).is_empty() && of["spec"]["unschedulable"] != true && in_flight(state), "{told}");
                    assert_eq!(state.hosts.machine(node).unwrap().packages, before, "{told}");
                    assert_ne!(version(state, node), to, "{told}");
                    // A control plane between its turns keeps what is on record of the first.
                    let marks = [mark(of, "changed-at").is_some(), mark(of, "former-versions").is_some()];
                    assert_eq!(marks, [second, second], "{told}");
                });
                driver.twin.edit(|state| {
                    state.hosts.change(node, |machine| {
                        machine.faults.apt_locked_until = None;
                        machine.free = free;
                    })
                });
                assert_eq!(types(driver, "resume", "resume").await.0, 0, "{case}");
                when(driver, "the end", is_over).await;
                driver.twin.look(State::clone)
            });
            let wrong = amiss(&end, to, &Default::default());
            assert!(wrong.is_empty(), "{case}\n{}\n{}\n{}", wrong.join("\n"), jobs(&end), tail(&end, 60));
            assert_eq!(end.hosts.kubeadm_runs(node, to).ended_well, 1, "{case}");
        }
    }
}

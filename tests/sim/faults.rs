//! What can go wrong, as data: each fault ends by itself, or a person ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::twin::scenario::ssh_key;
use k8s_upgrade::twin::state::{ProgramPhase, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Injected, Service, Trouble};
use k8s_upgrade::twin::{Driver, State, hosts};
use serde_json::json;

use super::schedules::nth_node;
use super::world::NAMESPACE;

#[derive(Clone, Copy, Debug)]
pub enum When {
    /// At this call of the chain's Jobs, counted from the beginning.
    Call(u64),
    /// Seconds after the beginning.
    After(u64),
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub when: When,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    // of one call
    Killed,
    KilledAfter,
    LosesCall,
    LosesAnswer,
    /// Seconds.
    Late(u64),
    /// It has had its effect; seconds until the answer, which may come when nobody waits for it any more.
    LateAnswer(u64),
    /// A proxy lost the answer and repeats the request so many seconds later.
    Twice(u64),
    // of the cluster
    ApiAway(u64),
    /// Watches lose their place.
    Compacted,
    /// The clocks of all programs jump (seconds).
    ClockJumps(i64),
    /// A second pod of the Job that is at work, as a Job controller can make for a moment.
    SecondRunner,
    EverybodyKilled,
    JobDeleted,
    PodEvicted,
    /// The numbered worker loses power for so many seconds.
    PowerCut(u64, u64),
    SshAway(u64, u64),
    NodeJoins,
    NodeLeaves(u64),
    // of services
    NewRelease,
    PrometheusAway(u64),
    PrometheusNonsense(u64),
    AlertFires(u64),
    PushgatewayAway(u64),
    PushgatewayForgets,
    SlackAway(u64),
    // of people
    Types(&'static [&'static str]),
    UpgradesByHand(u64),
}

/// What one seed brings, roll by roll.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

impl Fault {
    /// Two to six faults.
    pub fn of_seed(seed: u64) -> Vec<Fault> {
        let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        (0..2 + dice.roll(5)).map(|_| Fault::rolled(&mut dice)).collect()
    }

    fn rolled(dice: &mut Dice) -> Fault {
        let call = When::Call(1 + dice.roll(900));
        let after = When::After(30 + dice.roll(1500));
        let short = 5 + dice.roll(120);
        let long = 60 + dice.roll(900);
        let node = dice.roll(8);
        let (when, what) = match dice.roll(32) {
            0..=2 => (call, What::Killed),
            3 | 4 => (call, What::KilledAfter),
            5 | 6 => (call, What::LosesCall),
            7 | 8 => (call, What::LosesAnswer),
            9 => (call, What::Late(short)),
            10 => (after, What::ApiAway(short)),
            11 => (after, What::Compacted),
            12 => (after, What::ClockJumps(i64::try_from(long * 8).unwrap_or(0) - 3600)),
            13 => (after, What::SecondRunner),
            14 => (after, What::EverybodyKilled),
            15 => (after, What::JobDeleted),
            16 => (after, What::PodEvicted),
            17 => (after, What::PowerCut(node, long)),
            18 => (after, What::SshAway(node, short)),
            19 => (after, What::NodeJoins),
            20 => (after, What::NodeLeaves(node)),
            21 => (after, What::NewRelease),
            22 => (after, if node < 4 { What::PrometheusAway(long) } else { What::PrometheusNonsense(long) }),
            23 => (after, What::AlertFires(long)),
            24 => (after, if node < 4 { What::PushgatewayAway(long) } else { What::PushgatewayForgets }),
            25 => (after, What::SlackAway(long)),
            26 => (after, What::Types(COMMANDS[usize::try_from(node).unwrap_or(0) % COMMANDS.len()])),
            27 => (after, What::UpgradesByHand(node)),
            28 => (call, What::LateAnswer(short)),
            _ => (call, What::Twice(short / 10)),
        };
        Fault { when, what }
    }
}

/// What a person may type at any time.
const COMMANDS: [&[&str]; 4] = [
    &["k8s-upgrade", "resume", "--yes"],
    &["k8s-upgrade", "status"],
    &["k8s-upgrade", "detect"],
    &["k8s-upgrade", "start", "--target", "1.34.7", "--yes"],
];

impl What {
    /// Lets a fault that is bound to a time happen.
    pub fn happens(self, driver: &mut Driver<'_>, number: usize) {
        let name = format!("fault-{number}");
        let what = format!("{self:?}");
        driver.twin.edit(|state| state.tell(format_args!("=== fault: {what}")));
        match self {
            What::Types(argv) => driver.operate(&name, argv, BTreeMap::new()),
            What::UpgradesByHand(node) => {
                if let Some(node) = driver.twin.look(|state| nth_node(state, node, true)) {
                    driver.operate(&name, &["k8s-upgrade", "upgrade-node", &node, "--yes"], BTreeMap::new());
                }
            }
            other => driver.twin.edit(|state| other.strikes(state)),
        }
    }

    fn strikes(self, state: &mut State) {
        let until = |state: &State, seconds: u64| later(state.now(), Duration::from_secs(seconds));
        match self {
            What::ApiAway(seconds) => state.take_api_away(state.now(), Duration::from_secs(seconds)),
            What::Compacted => state.store.compact(),
            What::ClockJumps(seconds) => state.clock_off += seconds,
            What::EverybodyKilled => state.kill_programs(),
            What::SecondRunner => second_runner(state),
            What::JobDeleted => {
                if let Some(job) = job_at_work(state) {
                    state.store.remove(&job);
                }
            }
            What::PodEvicted => {
                let pod = state.programs.values().find(|program| program.phase == ProgramPhase::Running).map(|p| p.pod.clone());
                if let Some(pod) = pod {
                    k8s_upgrade::twin::api::delete_pod(state, &pod, Some(120));
                }
            }
            What::PowerCut(node, seconds) => {
                if let Some(node) = nth_node(state, node, true) {
                    hosts::power_cut(state, &node, Duration::from_secs(seconds));
                }
            }
            What::SshAway(node, seconds) => {
                let until = until(state, seconds);
                if let Some(node) = nth_node(state, node, false) {
                    state.hosts.change(&node, |machine| machine.faults.away_until = Some(until));
                }
            }
            What::NodeJoins => node_joins(state),
            What::NodeLeaves(node) => node_leaves(state, node),
            What::NewRelease => {
                let now = state.now();
                for newer in [Version::new(1, 34, 8), Version::new(1, 35, 5)] {
                    state.web.packages.release(newer, now);
                }
            }
            What::PrometheusAway(seconds) => trouble(state, Service::Prometheus, How::Refused, 0, seconds),
            What::PrometheusNonsense(seconds) => trouble(state, Service::Prometheus, How::Nonsense, 0, seconds),
            What::PushgatewayAway(seconds) => trouble(state, Service::Pushgateway, How::Refused, 0, seconds),
            What::PushgatewayForgets => state.web.pushgateway.restart(),
            What::SlackAway(seconds) => trouble(state, Service::Slack, How::Status(500), 0, seconds),
            What::AlertFires(seconds) => {
                let now = state.now();
                let until = until(state, seconds);
                let alert = Injected { name: "NodeDiskFull".to_owned(), labels: BTreeMap::new(), from: now, until };
                state.web.prometheus.injected.push(alert);
            }
            What::Killed
            | What::KilledAfter
            | What::LosesCall
            | What::LosesAnswer
            | What::Late(_)
            | What::LateAnswer(_)
            | What::Twice(_)
            | What::Types(_)
            | What::UpgradesByHand(_) => {}
        }
    }
}

/// From so many seconds on, for so many.
pub fn trouble(state: &mut State, service: Service, how: How, after: u64, seconds: u64) {
    let from = later(state.now(), Duration::from_secs(after));
    state.web.troubles.push(Trouble { service, from, until: later(from, Duration::from_secs(seconds)), how });
}

fn job_at_work(state: &State) -> Option<Key> {
    state.programs.values().filter(|program| program.phase == ProgramPhase::Running).find_map(|program| {
        let pod = state.store.get(&program.pod)?;
        let job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].as_str()?;
        (pod["metadata"]["labels"]["app"] == "k8s-upgrade-chain").then(|| Key::new(Kind::Job, NAMESPACE, job))
    })
}

/// A pod with the same work, beside the first; whoever has two must not do harm.
fn second_runner(state: &mut State) {
    let Some(program) = state.programs.values().find(|program| program.phase == ProgramPhase::Running).cloned() else { return };
    let Some(pod) = state.store.get(&program.pod) else { return };
    let mut twin = (**pod).clone();
    let name = format!("{}-again", program.pod.name);
    twin["metadata"] = json!({ "name": name, "namespace": NAMESPACE, "labels": twin["metadata"]["labels"] });
    twin["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!("nobody's");
    twin["status"] = json!({ "phase": "Pending" });
    let now = state.now();
    let _ = state.store.create(now, Kind::Pod, twin);
}

/// What schedules begin with: the runbook's patch.
const OLD: &str = "1.34.2";

/// A worker that is as old as the cluster was.
fn node_joins(state: &mut State) {
    const NAME: &str = "k8s-node9";
    let Some(like) = nth_node(state, 1, true) else { return };
    let (Some(node), false) = (state.store.get(&Key::node(&like)), state.hosts.powered(NAME)) else { return };
    let mut node = (**node).clone();
    let version = OLD.to_owned();
    node["metadata"] = json!({ "name": NAME, "labels": { "kubernetes.io/hostname": NAME } });
    node["spec"] = json!({});
    node["status"]["nodeInfo"]["kubeletVersion"] = json!(format!("v{version}"));
    node["status"]["nodeInfo"]["machineID"] = json!(hosts::machine_id(NAME));
    node["status"]["addresses"] = json!([{ "type": "InternalIP", "address": "10.0.20.199" }]);
    let now = state.now();
    state.hosts.add(NAME, "10.0.20.199", &version, "1.7.28", false, &ssh_key().unwrap().public.line());
    let _ = state.store.create(now, Kind::Node, node);
}

/// Not the one that the chain runs on, nor the last worker but one: then there would be nothing to upgrade from.
fn node_leaves(state: &mut State, number: u64) {
    let workers = state.store.list(Kind::Node).count();
    let Some(name) = nth_node(state, number, true).filter(|name| workers > 3 && name != "k8s-node1") else { return };
    state.store.remove(&Key::node(&name));
    state.hosts.remove(&name);
}

//! Three control planes behind a balancer: upgraded by detection and Jobs while a client reads and writes all the time.

mod client;
mod faults;
mod members;
mod restore;

use std::collections::BTreeSet;
use std::time::Duration;

use super::disturb::workload;
use super::end::{self, Expected};
use super::install::{detect, ended, install};
use super::lab::{Lab, NAMESPACE};
use super::patch::WAITS;
use super::watch::{Observed, Watch};
use client::Client;
use jiff::Timestamp;
use members::Members;

/// As the lab makes them, with their addresses, in the order of their turns.
pub const CONTROL_PLANES: [(&str, &str); 3] =
    [("k8s-master", "10.77.0.10"), ("k8s-master2", "10.77.0.102"), ("k8s-master3", "10.77.0.103")];
const NAMES: [&str; 3] = ["k8s-master", "k8s-master2", "k8s-master3"];
const WORKERS: [&str; 2] = ["k8s-node2", "k8s-node1"];
/// A minor upgrade of five nodes, three of them control planes, on a busy machine.
const CHAIN: Duration = Duration::from_secs(35 * 60);
const LEFT: &str = "three control planes and two workers at 1.36.3";
const LEFT_BY_FAULTS: &str = "three control planes at 1.36.4, upgraded from 1.36.3";

pub fn minor() {
    let lab = Lab::fresh_of(3, 2, "1.35.4", &["1.35.4", "1.36.3"]);
    upgrade(&lab, "1.35.4", "1.36.3");
    lab.leave(LEFT);
}

pub fn patch() {
    let lab = Lab::left(LEFT).unwrap_or_else(|| Lab::fresh_of(3, 2, "1.36.3", &["1.36.3"]));
    lab.tool(&["publish", "1.36.3", "1.36.4"]);
    upgrade(&lab, "1.36.3", "1.36.4");
}

pub fn faults() {
    faults::run().leave(LEFT_BY_FAULTS);
}

pub fn restore() {
    let lab = Lab::left(LEFT_BY_FAULTS).unwrap_or_else(|| {
        let lab = Lab::fresh_of(3, 2, "1.36.3", &["1.36.3", "1.36.4"]);
        upgrade(&lab, "1.36.3", "1.36.4");
        lab
    });
    restore::run(&lab);
}

/// By detection, to the end, with nothing in its way.
fn upgrade(lab: &Lab, from: &str, to: &str) {
    let config = install(lab, WAITS);
    workload(lab);
    lab.phase(&format!("detection, then the whole chain to {to}"));
    let since = Timestamp::now();
    let (watch, members, client) = (Watch::start(lab), Members::start(lab), Client::start(lab));
    detect(lab, &format!("detect-{}", to.replace('.', "-")));
    follow(lab, &watch, &format!("k8s-upgrade-postflight-{}", to.replace('.', "-")));
    std::thread::sleep(Duration::from_secs(2));
    let (seen, members, client) = (watch.end(), members.end(), client.served(lab));
    table(lab, since, &seen, &client);
    told(lab, &members);
    journeys(lab, &seen);

    lab.phase("what is true at the end");
    let expected = Expected { from, to, control_planes: &NAMES, workers: &WORKERS, cordoned: &[], since, by_hand: 0 };
    end::versions(lab, &expected);
    end::nothing_left(lab, &expected);
    end::packages(lab, &expected);
    drop(config);

    lab.phase("the control planes, all the while");
    one_at_a_time(&members);
    kubelets_last(&members, from, to);
    led_elsewhere(&members);
    lost_nothing(lab, &client);
}

/// To the end of the chain, telling each pod of it as it begins. None may fail.
fn follow(lab: &Lab, watch: &Watch, last: &str) {
    let mut told = BTreeSet::new();
    lab.until(CHAIN, "postflight to be Complete", || {
        let seen = watch.now();
        for (name, pod) in &seen.pods {
            if pod.phase == "Running" && told.insert(name.clone()) {
                lab.say(format!("    {} on {}", pod.job, pod.node));
            }
            assert_ne!(pod.phase, "Failed", "{name} failed on {}:\n{}", pod.node, pod.log.as_deref().unwrap_or("(no log)"));
        }
        let end = ended(lab, last)?;
        assert_eq!(end, "Complete", "{last}");
        Ok(())
    });
}

/// A step on a control plane, as the pod that performed it told.
struct Work {
    node: String,
    step: String,
    from: Timestamp,
    to: Timestamp,
}

/// `22:10:17  k8s-master2  kubeadm upgrade node … (at most 30m 00s)`, and `22:10:19  k8s-master2  kubeadm upgrade node: done, 2s`.
fn works(seen: &Observed) -> Vec<Work> {
    let mut works = Vec::new();
    for pod in seen.pods.values() {
        let mut begun = std::collections::BTreeMap::new();
        for line in pod.log.iter().flat_map(|log| log.lines()) {
            let words: Vec<&str> = line.splitn(3, "  ").collect();
            let [clock, node, told] = words[..] else { continue };
            let day = pod.created.split('T').next().expect("a day");
            let Ok(at) = format!("{day}T{clock}Z").parse::<Timestamp>() else { continue };
            if let Some((step, _)) = told.split_once(" … (at most") {
                begun.insert(step, at);
            } else if let Some(from) = told.split_once(": done,").and_then(|(step, _)| begun.remove_entry(step))
                && NAMES.contains(&node)
            {
                works.push(Work { node: node.to_owned(), step: from.0.to_owned(), from: from.1, to: at });
            }
        }
    }
    works.sort_by_key(|work| work.from);
    works
}

/// What the client saw during each step on a control plane, and between the first and the last.
fn table(lab: &Lab, since: Timestamp, observed: &Observed, seen: &client::Seen) {
    let all = works(observed);
    lab.say("node          step                           seconds  failed reads, writes  longest gap of reads, writes (s)");
    let line = |node: &str, step: &str, from: Timestamp, to: Timestamp| {
        // Static pods go on restarting for a while after a kubelet's restart.
        let (until, took) = (to + Duration::from_secs(15), to.duration_since(from).as_secs_f64());
        lab.say(format!(
            "{node:13} {step:30} {took:7.1}  {:6} {:6}          {:6.1} {:6.1}",
            seen.reads.failed_in(from, until),
            seen.writes.failed_in(from, until),
            seen.reads.longest_in(from, until),
            seen.writes.longest_in(from, until)
        ));
    };
    for work in &all {
        line(&work.node, &work.step, work.from, work.to);
    }
    line("all", "", since, Timestamp::now());
    for (kind, asked) in [("read", &seen.reads), ("write", &seen.writes)] {
        for (at, why) in &asked.failed {
            lab.say(format!("a {kind} failed at {at}: {why}"));
        }
    }
}

fn told(lab: &Lab, members: &members::Seen) {
    lab.say(format!("{} looks at each control plane", members.looks));
    for (node, from, to, led) in &members.away {
        let seconds = to.duration_since(*from).as_secs_f64();
        lab.say(format!("etcd of {node} was away for {seconds:.0} s from {from}; {} led", led.as_deref().unwrap_or("nobody")));
    }
    for (at, node) in &members.leaders {
        lab.say(format!("etcd was led by {node} from {at}"));
    }
    for lease in members::Seen::leases() {
        let (gap, from, who) = members.longest_gap(lease);
        lab.say(format!(
            "{lease}: {} times another held it; longest without renewal {gap:.1} s from {from}, {who}",
            members.handed_over(lease)
        ));
    }
}

fn journeys(lab: &Lab, seen: &Observed) {
    for (from, to, why) in &seen.away {
        lab.say(format!("the watcher had no answer for {:.0} s from {from}: {why}", to.duration_since(*from).as_secs_f64()));
    }
    for job in lab.items(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain"]) {
        let time = |key: &str| job["status"][key].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if let (Some(from), Some(to)) = (time("startTime"), time("completionTime")) {
            lab.say(format!(
                "{:44} {:4} s from {from}",
                job["metadata"]["name"].as_str().expect("a name"),
                to.duration_since(from).as_secs()
            ));
        }
    }
    for (node, spans) in &seen.cordoned {
        let out: Vec<String> =
            spans.iter().map(|(from, to)| format!("{:.0} s", to.duration_since(*from).as_secs_f64())).collect();
        lab.say(format!("{node} was cordoned for {}", out.join(", ")));
    }
}

/// What was acknowledged is there: the client has looked, all along and at its end.
fn lost_nothing(lab: &Lab, seen: &client::Seen) {
    let (reads, writes) = (&seen.reads, &seen.writes);
    lab.say(format!(
        "reads: {} good, {} failed; writes: {} good, {} failed",
        reads.good,
        reads.failed.len(),
        writes.good,
        writes.failed.len()
    ));
    assert!(reads.good > 0 && writes.good > 0, "the client never came through");
}

/// Never two members of etcd away, never one that cannot vote.
fn one_at_a_time(members: &members::Seen) {
    assert!(members.several_away.is_empty(), "members of etcd away at once: {:?}", members.several_away);
    assert!(members.learners.is_empty(), "learners: {:?}", members.learners);
    let nodes: BTreeSet<&str> = members.away.iter().map(|(node, ..)| node.as_str()).collect();
    assert_eq!(nodes, NAMES.into(), "no eye saw kubeadm restart each member");
}

/// In a minor upgrade no control plane's kubelet is restarted before every API server is new.
fn kubelets_last(members: &members::Seen, from: &str, to: &str) {
    if from.split('.').nth(1) == to.split('.').nth(1) {
        return;
    }
    let first = |seen: &std::collections::BTreeMap<(String, String), Timestamp>, node: &str| {
        *seen.get(&(node.to_owned(), to.to_owned())).unwrap_or_else(|| panic!("{node} never showed {to}: {seen:?}"))
    };
    let servers = NAMES.map(|node| first(&members.servers, node)).into_iter().max();
    let kubelets = NAMES.map(|node| first(&members.kubelets, node)).into_iter().min();
    assert!(servers < kubelets, "the last API server was new at {servers:?}, the first kubelet at {kubelets:?}");
}

/// Whoever went away did not lead then.
fn led_elsewhere(members: &members::Seen) {
    let led: Vec<_> = members.away.iter().filter(|(node, _, _, leader)| leader.as_ref() == Some(node)).collect();
    assert!(led.is_empty(), "members of etcd that were restarted while they led: {led:?}");
}

//! Two workers at a time, from 1.35.4 to 1.36.3, with a Deployment that minds being disturbed; one worker is paused by a label, and had in the end.

use std::time::Duration;

use jiff::Timestamp;

use super::end::{self, Expected};
use super::install::{detect, ended, install, rolled_out};
use super::lab::{Lab, NAMESPACE};
use super::watch::{Observed, Watch};

const WAITS: &str = "soak: 20s\nalert-wait: 1m\nresolve-wait: 2m\nmax-unavailable: 2\n";
/// A minor upgrade of five nodes.
const CHAIN: Duration = Duration::from_secs(20 * 60);
const WEB: i64 = 20;
const WEB_AWAY: i64 = 4;
const PAUSE: &str = "viktorbarzin.me/k8s-upgrade-pause";

pub fn run() {
    let lab = Lab::fresh(4, "1.35.4", &["1.35.4", "1.36.3"]);
    install(&lab, WAITS);
    let (replicas, away) = (format!("--replicas={WEB}"), format!("--max-unavailable={WEB_AWAY}"));
    lab.kubectl(&["create", "namespace", "shop"]);
    let image = format!("--image={}", lab.env("LAB_WEB_IMAGE"));
    lab.kubectl(&["-n", "shop", "create", "deployment", "web", &image, &replicas]);
    lab.kubectl(&["-n", "shop", "create", "pdb", "web", "--selector=app=web", &away]);
    rolled_out(&lab, &["deployment/web"]);
    lab.kubectl(&["label", "node", "k8s-node4", &format!("{PAUSE}=")]);

    lab.phase("the control plane, then two workers at a time; the paused one waits");
    let since = Timestamp::now();
    let watch = Watch::start(&lab);
    detect(&lab, "detect-1");
    let third = "k8s-upgrade-worker-1-36-3-k8s-node2";
    lab.until(CHAIN, &format!("{third} to end"), || ended(&lab, third).map(|end| assert_eq!(end, "Complete", "{third}")));
    let paused = lab.json(&["get", "node", "k8s-node4"]);
    assert_eq!(paused["status"]["nodeInfo"]["kubeletVersion"], "v1.35.4", "it is paused");
    lab.kubectl(&["label", "node", "k8s-node4", &format!("{PAUSE}-")]);
    let last = "k8s-upgrade-postflight-1-36-3";
    lab.until(CHAIN, "postflight to be Complete", || ended(&lab, last).map(|end| assert_eq!(end, "Complete", "{last}")));
    std::thread::sleep(Duration::from_secs(2));
    let seen = watch.end();

    lab.phase("what was out of service when");
    for (node, spans) in &seen.cordoned {
        for (from, to) in spans {
            lab.say(format!("{node:12} {:4.0} s from {from}", to.duration_since(*from).as_secs_f64()));
        }
    }
    let took = Timestamp::now().duration_since(since).as_secs();
    let (lowest, at) = seen.lowest["web"];
    lab.say(format!("{took} s from detection to the end; web: {lowest} of {WEB} available at the lowest, at {at}"));
    assert_eq!(most_at_once(&seen), 2, "workers out of service at once");
    assert!(lowest >= WEB - WEB_AWAY, "only {lowest} of {WEB} web replicas were available at {at}");
    for other in ["k8s-master", "k8s-node2", "k8s-node3", "k8s-node4"] {
        assert!(!together(&seen, "k8s-node1", other), "the runner was out of service beside {other}");
    }

    lab.phase("what is true at the end");
    let expected = Expected::minor_of_five(since);
    end::versions(&lab, &expected);
    end::nothing_left(&lab, &expected);
    end::packages(&lab, &expected);
    let failed: Vec<&String> = seen.pods.iter().filter(|(_, pod)| pod.phase == "Failed").map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "pods of the chain failed: {failed:?}");
    let jobs = lab.items(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain"]);
    assert_eq!(jobs.len(), expected.jobs().len(), "each step has had one Job");
}

/// Two spans have a moment in common.
fn together(seen: &Observed, one: &str, other: &str) -> bool {
    let of = |node: &str| seen.cordoned.get(node).cloned().unwrap_or_default();
    of(one).iter().any(|(from, to)| of(other).iter().any(|(begun, ended)| begun <= to && from <= ended))
}

/// At the beginning of some span as many are on as ever are.
fn most_at_once(seen: &Observed) -> usize {
    let all = || seen.cordoned.values().flatten();
    let at = |moment: &Timestamp| all().filter(|(from, to)| from <= moment && moment <= to).count();
    all().map(|(from, _)| at(from)).max().unwrap_or(0)
}

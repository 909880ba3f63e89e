//! Freezes that another team writes, while a run is on: it does not begin without an answer, rests before the worker, and goes on by itself. The
//! window is a whole day of a zone that the pods know without any files of the machine.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::disturb::{PHASE, wait_for_pod};
use super::install::{detect, ended, install};
use super::lab::{COMMAND, Lab, NAMESPACE, mark};
use super::watch::Watch;

const TARGET: &str = "1.36.4";
const SETTINGS: &str =
    "soak: 5s\nalert-wait: 3m\nresolve-wait: 2m\nwindows: [\"daily 00:00-24:00 Europe/Berlin\"]\nfreeze-configmap: ops/freezes\n";

pub fn run() {
    let lab = Lab::fresh(1, "1.36.3", &["1.36.3", TARGET]);
    lab.kubectl(&["create", "namespace", "ops"]);
    let config = install(&lab, SETTINGS);
    let marked = |suffix: &str| {
        let namespace = lab.json(&["get", "namespace", NAMESPACE]);
        namespace["metadata"]["annotations"][mark(suffix)].as_str().map(str::to_owned)
    };
    let freezes = |days: &str| {
        let body = json!({ "data": { "sale": days } }).to_string();
        lab.kubectl(&["-n", "ops", "patch", "configmap", "freezes", "--type=merge", "-p", &body]);
    };

    lab.phase("no ConfigMap: nothing begins, and it is said why");
    detect(&lab, "detect-unread");
    assert!(marked("deferred").is_some() && marked("in-flight").is_none(), "it is not deferred");
    let said = lab.kubectl(&["-n", NAMESPACE, "logs", "job/detect-unread"]);
    assert!(said.contains("ConfigMap ops/freezes: it does not exist"), "{said}");

    lab.phase("a freeze that is over: the run begins; one that comes while the control plane is upgraded");
    lab.kubectl(&["-n", "ops", "create", "configmap", "freezes", "--from-literal=sale=2020-01-01"]);
    let watch = Watch::start(&lab);
    detect(&lab, "detect-open");
    wait_for_pod(&lab, &watch, "k8s-upgrade-master-1-36-4");
    // One that comes sooner holds the control plane itself.
    lab.until(PHASE, "the control plane to be out of service", || {
        let out = lab.json(&["get", "node", "k8s-master"])["spec"]["unschedulable"] == true;
        if out { Ok(()) } else { Err("it serves".to_owned()) }
    });
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    freezes(&format!("{}..{}", today.saturating_sub(1.day()), today.saturating_add(7.days())));

    lab.phase("the worker's Job ends well, and the worker serves as it was");
    let worker = "k8s-upgrade-worker-1-36-4-k8s-node1";
    let end = lab.until(PHASE, &format!("{worker} to end"), || ended(&lab, worker));
    assert_eq!(end, "Complete", "{worker}");
    let node = || lab.json(&["get", "node", "k8s-node1"]);
    assert_eq!(node()["status"]["nodeInfo"]["kubeletVersion"], "v1.36.3");
    assert!(node()["spec"]["unschedulable"].is_null() && marked("resting").is_some(), "it does not rest");
    let status = lab.typed(&config, &["status"], COMMAND);
    assert!(status.code == Some(0) && status.stdout.contains("upgrades are frozen"), "{}\n{}", status.stdout, status.stderr);
    let resume = lab.typed(&config, &["resume"], COMMAND);
    assert!(resume.code == Some(4) && resume.stderr.contains("k8s-upgrade resume --now"), "{}", resume.stderr);

    lab.phase("the freeze is lifted: the watch goes on");
    freezes("2020-01-01");
    lab.kubectl(&["-n", NAMESPACE, "create", "job", "--from=cronjob/k8s-upgrade-watch", "watch-lifted"]);
    lab.until(PHASE + Duration::from_secs(300), "the run to end", || match marked("in-flight") {
        Some(_) => Err("it is in flight".to_owned()),
        None => Ok(()),
    });
    assert_eq!(node()["status"]["nodeInfo"]["kubeletVersion"], format!("v{TARGET}"));
    drop(watch.end());
    assert!(marked("resting").is_none(), "the rest has left a mark");
}

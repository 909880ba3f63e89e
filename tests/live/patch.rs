//! A patch upgrade that is disturbed at every turn: pods killed and deleted, a Job deleted, SSH cut, Prometheus away or talking nonsense, an alert between
//! two workers; the last one is a person's, in a process of their own. It ends as if nothing had been.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::disturb::{PHASE, SESSIONS, cut_sessions, delete_pod, kill, wait_for_pod, working, workload};
use super::end::{self, Expected};
use super::install::{detect, ended, install, install_another_build};
use super::lab::{COMMAND, Lab, NAMESPACE};
use super::nonsense::Nonsense;
use super::process::{Begun, Ended};
use super::refusals;
use super::watch::{Observed, Watch};

pub const WAITS: &str = "soak: 5s\nalert-wait: 3m\nresolve-wait: 2m\ndrain-unstick-after: 5s\n";
const TARGET: &str = "1.36.4";
const PROMETHEUS_AWAY: Duration = Duration::from_secs(40);

pub fn run() {
    let lab = Lab::left(refusals::LEFT).unwrap_or_else(|| Lab::fresh(2, "1.36.3", &["1.36.3", "1.36.4"]));
    let config = install(&lab, WAITS);
    workload(&lab);
    let containerd = newer_containerd(&lab);
    lab.phase("a person cordons k8s-node2; detection; preflight");
    lab.kubectl(&["cordon", "k8s-node2"]);

    let since = Timestamp::now();
    let watch = Watch::start(&lab);
    let watched = Instant::now();
    let shown = Begun::new(&mut lab.product_command(&["--config", &config, "status", "--watch", "-o", "json"]), "");
    detect(&lab, "detect-patch");
    let master = "k8s-upgrade-master-1-36-4";
    wait_for_pod(&lab, &watch, master);
    shown.interrupt();
    let run = end::run_id(&lab, master);

    lab.phase("master: its containerd catches up, while it is drained");
    working(&lab, "k8s-master", "containerd-package", &containerd);
    let pods = lab.kubectl(&["-n", "shop", "get", "pods", "--field-selector", "spec.nodeName=k8s-master", "-o", "name"]);
    assert_eq!(pods.trim(), "", "k8s-master was not drained");

    lab.phase("master: SSH alone is cut in the middle of kubeadm upgrade apply, and taken up by the same runner");
    working(&lab, "k8s-master", "kubeadm-upgrade", TARGET);
    let runner = watch.now().running(master).map(|(pod, _)| pod);
    let status = lab.typed(&config, &["status"], COMMAND).stdout;
    let unit = "k8s-master: kubeadm-upgrade to 1.36.4 (run ";
    assert!(status.contains(unit) && status.contains(") is running") && status.contains("      | "), "{status}");
    lab.say(&status);
    cut_sessions(&lab, "k8s-master");
    lab.until(Duration::from_secs(20), "another SSH session on k8s-master", || {
        let sessions = lab.on("k8s-master", &format!("{SESSIONS}; sessions"));
        if sessions.trim().is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });

    screens(&shown.end(watched.elapsed() + COMMAND));

    lab.phase("master: then, the same kubeadm still at work, its runner is killed");
    working(&lab, "k8s-master", "kubeadm-upgrade", TARGET);
    assert_eq!(watch.now().running(master).map(|(pod, _)| pod), runner, "the cut ended the runner");
    kill(&lab, &watch, master);

    lab.phase("master: SSH is cut in the middle of the kubelet's packages, and Prometheus goes away");
    working(&lab, "k8s-master", "kubelet-packages", TARGET);
    cut_sessions(&lab, "k8s-master");
    lab.tool(&["service", "prometheus", "stop"]);
    let away = Instant::now();

    let node2 = "k8s-upgrade-worker-1-36-4-k8s-node2";
    lab.until(PROMETHEUS_AWAY * 2, "Prometheus to have been away for 40 s", || {
        assert_eq!(ended(&lab, node2).ok(), None, "k8s-node2 was not to be touched while no alert could be seen");
        if away.elapsed() >= PROMETHEUS_AWAY { Ok(()) } else { Err("not yet".to_owned()) }
    });
    untouched(&lab, "k8s-node2", "no alert could be seen");

    lab.phase("another build of the program is installed meanwhile");
    let (image, newer) = (image_of(&lab, master), install_another_build(&lab, &config));
    assert_ne!(image, newer.0, "it is the same build");
    let says = format!("image {image} to the end of the run; installed is {}", newer.0);
    let shown = newer.1.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(newer.1.code == Some(0) && shown.contains(&says), "{}\n{}", newer.1.stdout, newer.1.stderr);
    assert!(shown.contains(TARGET) && shown.contains("k8s-node2"), "{}", newer.1.stdout);
    lab.say(&newer.1.stdout);

    lab.phase("something answers in Prometheus' place, and it is nonsense");
    let nonsense = Nonsense::at(lab.env("LAB_PROMETHEUS_URL"));
    lab.until(Duration::from_secs(90), "every kind of nonsense to have been told", || nonsense.all_told());
    drop(nonsense);
    assert_eq!(ended(&lab, node2).ok(), None, "nonsense was taken for no alerts");
    untouched(&lab, "k8s-node2", "nobody knew of alerts");
    lab.tool(&["service", "prometheus", "start"]);

    lab.phase("k8s-node2, which a person had cordoned: its pod is deleted by force, and an alert begins to fire");
    wait_for_pod(&lab, &watch, node2);
    working(&lab, "k8s-node2", "kubeadm-package", TARGET);
    delete_pod(&lab, &watch, node2);
    lab.tool(&["alert", "NodeDiskFull", "on", "node=k8s-node1"]);

    lab.phase("between the workers: k8s-node2 is finished, k8s-node1 waits for the alert");
    let node1 = "k8s-upgrade-worker-1-36-4-k8s-node1";
    wait_for_pod(&lab, &watch, node1);
    let end = lab.until(Duration::from_secs(30), &format!("{node2} to end"), || ended(&lab, node2));
    assert_eq!(end, "Complete", "{node2}");
    // What it does is told by the Job itself, whatever becomes of its log.
    let waits = "waits for the alert gate: firing: NodeDiskFull (node=k8s-node1)";
    lab.until(Duration::from_secs(60), "status to say that k8s-node1's Job waits for the alert", || {
        let status = lab.typed(&config, &["status"], COMMAND).stdout;
        if status.contains(waits) { Ok(()) } else { Err(status) }
    });
    // The gate asks every 10 s.
    std::thread::sleep(Duration::from_secs(25));
    untouched(&lab, "k8s-node1", "an alert fired");
    lab.tool(&["alert", "NodeDiskFull", "off"]);

    lab.phase("k8s-node1: the whole Job is deleted during its drain, then `resume`");
    deleted_in_its_drain(&lab, "k8s-node1", node1);
    let found = lab.typed(&config, &["resume", "--dry-run"], COMMAND);
    assert!(found.code == Some(0) && found.stderr.contains(node1), "resume --dry-run: {}", found.stderr);
    assert!(ended(&lab, node1).is_err_and(|why| why.ends_with("at work: ")), "a dry run has created {node1}");
    let resumed = lab.typed(&config, &["resume"], COMMAND);
    assert_eq!(resumed.code, Some(0), "resume: {}", resumed.stderr);
    assert!(resumed.stderr.contains(&format!("Job {node1} created, to run on k8s-master")), "resume said: {}", resumed.stderr);

    lab.phase("k8s-node1: its Job is deleted once more; a person skips what is done, and finishes the run from outside");
    wait_for_pod(&lab, &watch, node1);
    deleted_in_its_drain(&lab, "k8s-node1", node1);
    finished_by_hand(&lab, &config);
    std::thread::sleep(Duration::from_secs(2));
    let seen = watch.end();
    told(&lab, &seen);

    lab.phase("what is true at the end");
    let workers = ["k8s-node2", "k8s-node1"];
    let expected = Expected {
        from: "1.36.3",
        to: "1.36.4",
        control_planes: &["k8s-master"],
        workers: &workers,
        cordoned: &["k8s-node2"],
        since,
        by_hand: 2,
    };
    end::assert_upgraded(&lab, &run, &expected);
    end::places(&seen, &expected);
    let (lowest, at) = seen.lowest["web"];
    assert!(lowest >= 6 - 2, "only {lowest} of 6 web replicas were available at {at}, 2 may be away");
    once_each(&lab);
    for (job, ..) in expected.jobs() {
        assert_eq!(image_of(&lab, &job), image, "{job}: a run keeps its image");
    }
    same_containerd(&lab, &seen, &containerd);
}

/// `status --watch` followed the run: each change is a line, and Ctrl-C ends it well.
fn screens(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let screens: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let works = |screen: &&Value| screen["work"][0]["step"].as_str().is_some_and(|step| step.starts_with("preflight"));
    assert!(screens.iter().any(|screen| works(&screen)), "preflight was never shown at work:\n{}", ended.stdout);
    assert_eq!(screens.last().expect("a screen")["run"]["target"], TARGET, "{}", ended.stdout);
}

/// The Job and its pods are gone while it drains the node.
fn deleted_in_its_drain(lab: &Lab, node: &str, job: &str) {
    lab.until(PHASE, &format!("{node} to be cordoned by us"), || {
        let ours = lab.try_kubectl(&["get", "node", node, "-o", "jsonpath={.metadata.annotations}"]).unwrap_or_default();
        if ours.contains("cordoned-by") { Ok(()) } else { Err("it serves".to_owned()) }
    });
    lab.kubectl(&["-n", NAMESPACE, "delete", "job", job, "--wait=true"]);
    lab.until(Duration::from_secs(180), "the deleted Job's pods to be gone", || {
        let left =
            lab.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", &format!("batch.kubernetes.io/job-name={job}"), "-o", "name"]);
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
}

/// The last worker and postflight, in a process of a person's, whose SSH is cut on the way.
fn finished_by_hand(lab: &Lab, config: &str) {
    for (node, code, says) in [
        ("k8s-node2", 0, "the facts show worker/k8s-node2 done"),
        ("k8s-node1", 4, "the facts do not show that worker/k8s-node1 is done"),
    ] {
        let skip = lab.typed(config, &["skip-phase", "worker", node], COMMAND);
        assert!(skip.code == Some(code) && skip.stderr.contains(says), "{:?}\n{}", skip.code, skip.stderr);
    }
    let marks = end::marks(&lab.json(&["get", "namespace", NAMESPACE]));
    assert!(!marks.iter().any(|(key, _)| key == "skipped"), "{marks:?}");
    std::thread::scope(|scope| {
        let local = scope.spawn(|| lab.typed(config, &["resume", "--local", "--yes"], PHASE));
        // Not on k8s-node2: a runner that is killed slowly may have begun its kubelet's packages, and leave them without any session.
        working(lab, "k8s-node1", "kubelet-packages", TARGET);
        cut_sessions(lab, "k8s-node1");
        let status = lab.typed(config, &["status"], COMMAND);
        assert!(status.stdout.contains("driven by"), "{}", status.stdout);
        let ended = local.join().expect("it ends");
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        for word in ["found: the run to 1.36.4", "K8s upgrade complete"] {
            assert!(ended.stderr.contains(word), "{word:?} is not said:\n{}", ended.stderr);
        }
    });
}

/// What a Job of the chain runs.
fn image_of(lab: &Lab, job: &str) -> String {
    lab.kubectl(&["-n", NAMESPACE, "get", "job", job, "-o", "jsonpath={.spec.template.spec.containers[0].image}"])
}

fn untouched(lab: &Lab, node: &str, when: &str) {
    let marks = end::marks(&lab.json(&["get", "node", node]));
    let begun = marks.iter().any(|(key, _)| ["cordoned-by", "former-versions"].contains(&key.as_str()));
    assert!(!begun, "{node} was begun while {when}: {marks:?}");
}

/// The workers' containerd becomes newer than the master's, as packages and as the kubelets tell. Returns the package's version.
fn newer_containerd(lab: &Lab) -> String {
    lab.phase("the workers get a newer containerd than the master's");
    let workers = ["k8s-node1", "k8s-node2"];
    let former = runtimes(lab);
    lab.tool(&[&["containerd"], &workers[..]].concat());
    let runtimes = lab.until(Duration::from_secs(60), "the workers' kubelets to tell of another containerd", || {
        let now = runtimes(lab);
        let there = workers.iter().all(|name| now[*name] != former[*name]);
        if there { Ok(now) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(runtimes["k8s-master"], former["k8s-master"], "the master's is the former one still");
    lab.say(format!("    {runtimes:?}"));
    lab.kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"]);
    containerd_package(lab, "k8s-node1")
}

fn runtimes(lab: &Lab) -> BTreeMap<String, String> {
    let nodes = lab.items(&["get", "nodes"]);
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    nodes
        .iter()
        .map(|node| (text(&node["metadata"]["name"]), text(&node["status"]["nodeInfo"]["containerRuntimeVersion"])))
        .collect()
}

fn containerd_package(lab: &Lab, node: &str) -> String {
    lab.on(node, "dpkg-query -W -f='${Version}' containerd").trim().to_owned()
}

/// It was replaced once, while the node was out of service, and before kubeadm was.
fn same_containerd(lab: &Lab, seen: &Observed, version: &str) {
    let runtimes = runtimes(lab);
    assert!(runtimes.values().all(|runtime| *runtime == runtimes["k8s-node1"]), "{runtimes:?}");
    assert_eq!(containerd_package(lab, "k8s-master"), version);
    let log = lab.on("k8s-master", "cat /var/log/dpkg.log");
    let moments = |package: &str, to: &str| -> Vec<Timestamp> {
        let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let ours =
            lines.filter(|line| line.get(2) == Some(&"upgrade") && line[3].starts_with(package) && line[5].starts_with(to));
        ours.map(|line| format!("{}T{}Z", line[0], line[1]).parse().expect("a time")).collect()
    };
    let (containerd, kubeadm) = (moments("containerd:", version), moments("kubeadm:", TARGET));
    assert!(matches!((&containerd[..], &kubeadm[..]), ([first], [then]) if first <= then), "{containerd:?}, kubeadm {kubeadm:?}");
    let out = &seen.cordoned["k8s-master"];
    assert!(
        out.iter().any(|(from, to)| *from <= containerd[0] && containerd[0] <= *to),
        "{containerd:?}, out of service {out:?}"
    );
}

fn told(lab: &Lab, seen: &Observed) {
    for (name, pod) in &seen.pods {
        lab.say(format!("{name} on {}: {}", pod.node, pod.phase));
    }
    for (from, to, why) in &seen.away {
        lab.say(format!("the API server was away for {:.0} s from {from}: {why}", to.duration_since(*from).as_secs_f64()));
    }
}

/// Whoever took over did not do again what was done or still running.
fn once_each(lab: &Lab) {
    let starts = |node: &str, step: &str| {
        let journal = lab.on(node, "sudo -n journalctl --no-pager -o cat -u k8s-upgrade-work.service");
        journal
            .lines()
            .filter(|line| line.starts_with("Started") && line.contains(&format!("k8s-upgrade: {step} 1.36.4")))
            .count()
    };
    for node in ["k8s-master", "k8s-node2", "k8s-node1"] {
        for step in ["kubeadm-package", "kubeadm-upgrade", "kubelet-packages"] {
            assert_eq!(starts(node, step), 1, "{step} was started more than once, or never, on {node}");
        }
    }
    let log = lab.on("k8s-master", "sudo -n cat /var/lib/k8s-upgrade/work/log.former");
    assert_eq!(log.matches("SUCCESS! A control plane node of your cluster was upgraded to \"v1.36.4\"").count(), 1, "{log}");
}

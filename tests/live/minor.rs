//! The runbook's cluster from 1.35.4 to 1.36.3, begun by detection, with a workload that minds being disturbed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::plan::model::journal::KEPT;
use serde_json::Value;

use super::audit;
use super::dashboard::Panels;
use super::end::{self, Expected};
use super::hands;
use super::install::{detect, ended, install, rolled_out};
use super::lab::{Lab, NAMESPACE};
use super::watch::{Observed, Watch};

const WAITS: &str = "soak: 5s\nalert-wait: 20s\nresolve-wait: 2m\ndrain-unstick-after: 5s\ndrain-deadline: 8m\n\
    hook-before-node: default/hook-before\nhook-after-node: default/hook-after\n";
/// A minor upgrade of five nodes; the plain shell sequence takes about six minutes.
const CHAIN: Duration = Duration::from_secs(20 * 60);
const WEB: i64 = 60;
const WEB_AWAY: i64 = 5;
/// In what this ends.
pub const LEFT: &str = "four workers at 1.36.3, but for k8s-node4, which is back at 1.35.4";

pub fn run() {
    let since = Timestamp::now();
    let lab = Lab::fresh(4, "1.35.4", &["1.35.4", "1.36.3"]);
    let config = install(&lab, WAITS);
    workload(&lab);
    hooks(&lab);
    let former = Worker::of(&lab, "k8s-node4");
    let agents = uids(&lab, "agent");
    let images = end::images(&lab);

    let panels = Panels::of(&lab);
    deferred(&lab, since, &panels);

    old_journals(&lab);

    lab.phase("detection, then the whole chain");
    let asked = Timestamp::now();
    let watch = Watch::start(&lab);
    detect(&lab, "detect-2");
    let expected = Expected::minor_of_five(asked);
    let peak = follow(&lab, &watch, &expected, &panels);
    let seen = watch.end();
    table(&lab, &seen, &expected, peak);

    lab.phase("what is true at the end");
    let run = end::run_id(&lab, "k8s-upgrade-master-1-36-3");
    end::assert_upgraded(&lab, &run, &expected);
    end::places(&seen, &expected);
    for (before, after) in images.iter().zip(end::images(&lab)) {
        // etcd's and CoreDNS's images are what kubeadm of that version wants, which may be what is there.
        assert!(*before != after || ["etcd", "deployment/coredns"].contains(&before.0.as_str()), "{before:?} did not change");
    }
    for lease in ["k8s-upgrade-node-k8s-master", "k8s-upgrade-node-k8s-node1"] {
        assert_eq!(seen.leases.get(lease).map(std::collections::BTreeSet::len), Some(1), "holders of {lease}");
    }

    lab.phase("the workload");
    let (lowest, at) = seen.lowest["web"];
    assert!(lowest >= WEB - WEB_AWAY, "only {lowest} of {WEB} web replicas were available at {at}, {WEB_AWAY} may be away");
    lab.say(format!("web: {lowest} of {WEB} available at the lowest, at {at}"));
    assert!(lowest < WEB, "no drain ever took a web pod: the watcher looked at the wrong thing");
    assert_eq!(uids(&lab, "agent"), agents, "pods of a DaemonSet are left alone");
    let asked_for = audit::asked(&lab, since);
    let deleted = audit::pods_deleted(&asked_for);
    lab.say(format!("unstuck: {}", deleted.join(", ")));
    assert!(!deleted.is_empty(), "the pod that its budget never releases was not unstuck");
    assert!(deleted.iter().all(|pod| pod.starts_with("shop/solo-")), "pods were deleted that no policy allowed: {deleted:?}");

    lab.phase("the audit log");
    audit::no_unexpected_refusal(&lab, &asked_for, &seen);
    let unused = audit::never_used(&lab, &asked_for);
    assert!(unused.is_empty(), "rights that were granted and never used:\n{}", unused.join("\n"));

    lab.phase("hooks around each node");
    hooks_ran(&lab, &seen, &expected);

    hands::after_a_run(&lab, &config, &run, &expected, &panels);
    panels.end(&lab);

    lab.phase("k8s-node4 goes back to 1.35.4");
    let back = lab.product_within(&["--config", &config, "rollback", "k8s-node4", "--yes"], Duration::from_secs(180));
    assert_eq!(back.code, Some(0), "{}", back.stderr);
    lab.say(format!("    after {:.1} s", back.took.as_secs_f64()));
    assert_eq!(Worker::of(&lab, "k8s-node4"), former);
    let node = lab.json(&["get", "node", "k8s-node4"]);
    let left: Vec<_> = end::marks(&node).into_iter().filter(|(key, _)| key != "changed-at").collect();
    assert!(node["spec"]["unschedulable"].is_null() && left.is_empty(), "{left:?}");
    lab.leave(LEFT);
}

/// What a rollback must bring back.
#[derive(Debug, PartialEq)]
struct Worker {
    kubelet: String,
    packages: String,
    configuration: String,
}

impl Worker {
    fn of(lab: &Lab, name: &str) -> Worker {
        let node = lab.json(&["get", "node", name]);
        let packages = "dpkg-query -W -f='${Package}=${Version} ${db:Status-Abbrev}\\n' kubeadm kubectl kubelet";
        Worker {
            kubelet: node["status"]["nodeInfo"]["kubeletVersion"].to_string(),
            packages: lab.on(name, packages),
            configuration: lab.on(name, "sudo -n sha256sum /var/lib/kubelet/config.yaml"),
        }
    }
}

/// As many runs as are kept have left a journal: the new run's claim removes the oldest.
fn old_journals(lab: &Lab) {
    let map = |number: usize| {
        let head = format!(
            "{{\"run\":\"old{number}\",\"command\":\"\",\"writer\":\"w\",\"begun\":\"2020-01-{:02}T00:00:00Z\"}}",
            number + 1
        );
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: k8s-upgrade-journal-old{number}-w, namespace: {NAMESPACE}, \
             labels: {{app: k8s-upgrade-journal}}}}\ndata: {{head: '{head}', lines: ''}}\n"
        )
    };
    lab.apply(&(0..KEPT).map(map).collect::<String>());
}

fn workload(lab: &Lab) {
    lab.phase("workload: 60 pods behind a budget of 5, one that can never be evicted, a DaemonSet, local data");
    let image = lab.env("LAB_WEB_IMAGE");
    let pod = |app: &str, more: &str| {
        format!(
            "metadata: {{labels: {{app: {app}}}}}, spec: {{terminationGracePeriodSeconds: 5, containers: [{{name: web, image: \"{image}\", \
             readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}{more}"
        )
    };
    let deployment = |app: &str, replicas: i64, more: &str| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {app}, namespace: shop}}\n\
             spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: {app}}}}}, template: {{{}}}}}\n",
            pod(app, more)
        )
    };
    let budget = |app: &str, rule: &str| {
        format!(
            "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {app}, namespace: shop}}\n\
             spec: {{{rule}, selector: {{matchLabels: {{app: {app}}}}}}}\n"
        )
    };
    let agent = format!(
        "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: agent, namespace: shop}}\n\
         spec: {{selector: {{matchLabels: {{app: agent}}}}, template: {{{}}}}}\n",
        pod("agent", "}]}")
    );
    lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    lab.apply(
        &[
            deployment("web", WEB, "}]}"),
            budget("web", &format!("maxUnavailable: {WEB_AWAY}")),
            deployment("solo", 1, "}]}"),
            budget("solo", "minAvailable: 1"),
            deployment("cache", 1, ", volumeMounts: [{name: data, mountPath: /data}]}], volumes: [{name: data, emptyDir: {}}]}"),
            agent,
        ]
        .concat(),
    );
    rolled_out(lab, &["deployment/web", "deployment/solo", "deployment/cache", "daemonset/agent"]);
}

/// Two suspended CronJobs, as somebody's noout and its end; their Jobs use the image that every node has.
fn hooks(lab: &Lab) {
    let detection = lab.json(&["-n", NAMESPACE, "get", "cronjob", "k8s-version-check"]);
    let image =
        detection["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    let cronjob = |name: &str| {
        format!(
            "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{suspend: true, schedule: \"0 0 1 1 *\", jobTemplate: {{spec: {{backoffLimit: 0, template: {{spec: {{restartPolicy: Never, \
             containers: [{{name: hook, image: \"{image}\", imagePullPolicy: Never, args: [\"--version\"]}}]}}}}}}}}}}\n"
        )
    };
    lab.apply(&[cronjob("hook-before"), cronjob("hook-after")].concat());
}

/// One Job of each hook around each node's turn: the one before it ended before the cordon, the one after it began after its end.
fn hooks_ran(lab: &Lab, seen: &Observed, expected: &Expected<'_>) {
    let mut spans = std::collections::BTreeMap::new();
    for job in lab.items(&["-n", "default", "get", "jobs"]) {
        let labels = &job["metadata"]["labels"]["app.kubernetes.io/managed-by"];
        let Some(hook) = labels.as_str().and_then(|by| by.strip_prefix("k8s-upgrade-hook-")) else { continue };
        let node =
            end::marks(&job).into_iter().find(|(key, _)| key == "hook-node").map(|(_, node)| node).expect("whose turn it was");
        let time = |text: &Value| -> Timestamp { text.as_str().expect("a time").parse().expect("a time") };
        let span = (time(&job["status"]["startTime"]), time(&job["status"]["completionTime"]));
        assert!(spans.insert((hook.to_owned(), node.clone()), span).is_none(), "two Jobs of the hook {hook} for {node}");
    }
    for node in expected.nodes() {
        let (from, to) = (seen.cordoned[node].first().expect("a cordon").0, seen.cordoned[node].last().expect("a cordon").1);
        // Kubernetes' times are whole seconds, and the watcher looks about once in one.
        let (before, after) = (spans[&("before".to_owned(), node.to_owned())], spans[&("after".to_owned(), node.to_owned())]);
        assert!(
            before.1.as_second() <= from.as_second() + 1,
            "{node}: the hook before it ended at {}, the cordon came at {from}",
            before.1
        );
        assert!(
            after.0.as_second() >= to.as_second() - 2,
            "{node}: the hook after it began at {}, the cordon went at {to}",
            after.0
        );
    }
    assert_eq!(spans.len(), expected.nodes().len() * 2, "{spans:?}");
    lab.say(format!("hooks: {} Jobs, each on its side of its node's cordon", spans.len()));
}

fn uids(lab: &Lab, app: &str) -> Vec<String> {
    let pods = lab.items(&["-n", "shop", "get", "pods", "-l", &format!("app={app}")]);
    let mut uids: Vec<String> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)).collect();
    uids.sort();
    uids
}

/// An alert fires: preflight looks, says so, and leaves nothing behind but the word that it is to be tried again.
fn deferred(lab: &Lab, since: Timestamp, panels: &Panels) {
    lab.phase("detection while an alert fires: deferred");
    lab.tool(&["alert", "NodeDiskFull", "on", "node=k8s-node3"]);
    detect(lab, "detect-1");
    let job = "k8s-upgrade-preflight-1-36-3";
    let end = lab.until(Duration::from_secs(120), &format!("{job} to end"), || ended(lab, job));
    assert_eq!(end, "Complete", "a deferred preflight is no failure");
    let marks = end::marks(&lab.json(&["get", "namespace", NAMESPACE]));
    let [(mark, what), (told, _)] = &marks[..] else { panic!("two marks, not {marks:?}") };
    assert!(mark == "deferred" && what.starts_with("1.36.3 ") && told == "found", "{marks:?}");
    let messages = lab.slack(since);
    let [only] = &messages[..] else { panic!("one message, not {messages:?}") };
    assert!(only.contains("deferred") && only.contains("NodeDiskFull"), "{only}");
    let jobs = lab.items(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain"]);
    assert_eq!(jobs.len(), 1, "no Job follows a deferred preflight");
    let backups = lab.items(&["-n", "default", "get", "jobs"]);
    assert!(backups.is_empty(), "no backup is made for a run that does not begin: {backups:?}");
    let in_flight = lab.values("k8s_upgrade_in_flight{job=\"k8s-version-upgrade\"}", since);
    let pushed = || lab.pushed("push_");
    assert!(in_flight.iter().all(|value| *value == 0.0), "k8s_upgrade_in_flight was {in_flight:?}; {}", pushed());
    panels.until(lab, "Closed gates");
    lab.tool(&["alert", "NodeDiskFull", "off"]);
}

/// Waits for the end of the chain, telling each Job as it begins. Returns the peak memory of a chain pod (bytes), by its control group.
fn follow(lab: &Lab, watch: &Watch, expected: &Expected<'_>, panels: &Panels) -> u64 {
    let jobs = expected.jobs();
    let (last, ..) = jobs.last().expect("a chain");
    let mut told = Vec::new();
    let mut peak = 0;
    lab.until(CHAIN, "postflight to be Complete", || {
        let seen = watch.now();
        for (job, ..) in &jobs {
            if let Some((pod, running)) = seen.running(job) {
                if !told.contains(&pod) {
                    lab.say(format!("    {job} on {}", running.node));
                    told.push(pod);
                }
                peak = peak.max(memory(lab, &running.node, &running.uid));
            }
        }
        stopped(&seen);
        panels.look_again(lab);
        match ended(lab, last) {
            Ok(end) => {
                assert_eq!(end, "Complete", "{last}");
                Ok(())
            }
            Err(why) => Err(why),
        }
    });
    // The watcher's last look may have been just before.
    std::thread::sleep(Duration::from_secs(2));
    peak
}

/// A pod of the chain that failed: in this test none may.
fn stopped(seen: &Observed) {
    if let Some((name, pod)) = seen.pods.iter().find(|(_, pod)| pod.phase == "Failed") {
        panic!("{name} failed on {}:\n{}", pod.node, pod.log.as_deref().unwrap_or("(its log was not read)"));
    }
}

/// The highest use of memory of a pod so far; 0 if it has just ended.
fn memory(lab: &Lab, node: &str, uid: &str) -> u64 {
    let find = format!(
        "sudo -n find /sys/fs/cgroup -path '*pod{uid}/*' \\( -name memory.max_usage_in_bytes -o -name memory.peak \\) -exec cat {{}} + 2>/dev/null"
    );
    lab.ssh(node, &find).lines().filter_map(|line| line.trim().parse().ok()).max().unwrap_or(0)
}

fn seconds(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The times of a run, for a person.
fn table(lab: &Lab, seen: &Observed, expected: &Expected<'_>, peak: u64) {
    lab.say(format!("{} looks, about one a second", seen.looks));
    lab.say("Job                                        node         seconds");
    for (job, drained, _) in expected.jobs() {
        let status = &lab.json(&["-n", NAMESPACE, "get", "job", &job])["status"];
        let took = match (seconds(&status["startTime"]), seconds(&status["completionTime"])) {
            (Some(from), Some(to)) => to.duration_since(from).as_secs(),
            _ => -1,
        };
        let place = seen.pods.values().find(|pod| pod.job == job).map_or("", |pod| pod.node.as_str());
        lab.say(format!("{job:42} {place:12} {took:5}"));
        if let Some(node) = drained {
            let spans = seen.cordoned.get(&node).cloned().unwrap_or_default();
            let out: f64 = spans.iter().map(|(from, to)| to.duration_since(*from).as_secs_f64()).sum();
            lab.say(format!("    {node} was cordoned for {out:.0} s"));
        }
        for (name, pod) in seen.pods.iter().filter(|(_, pod)| pod.job == job) {
            for line in pod
                .log
                .iter()
                .flat_map(|log| log.lines())
                .filter(|line| line.contains(": done, ") || line.contains("out of service"))
            {
                lab.say(format!("    {} {line}", name.rsplit('-').next().unwrap_or_default()));
            }
        }
    }
    for (from, to, why) in &seen.away {
        lab.say(format!("the API server was away for {:.0} s from {from}: {why}", to.duration_since(*from).as_secs_f64()));
    }
    lab.say(format!("peak memory of a chain pod: {:.1} MiB", peak as f64 / f64::from(1 << 20)));
    assert!(peak > 0, "the memory of no chain pod could be read");
}

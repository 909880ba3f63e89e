//! A patch upgrade that is disturbed at every turn: pods killed and deleted, a Job deleted, SSH cut, Prometheus away or talking nonsense, an alert between
//! two workers. It ends as if nothing had been.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::end::{self, Expected};
use super::install::{detect, ended, install, rolled_out};
use super::lab::{Lab, NAMESPACE};
use super::nonsense::Nonsense;
use super::watch::{Seen, Watch};

pub const WAITS: &str = "soak: 5s\nalert-wait: 3m\nresolve-wait: 2m\ndrain-unstick-after: 5s\n";
const TARGET: &str = "1.36.4";
const PHASE: Duration = Duration::from_secs(8 * 60);
/// A shell function: the ids of every SSH session of the program's user but the one that asks.
const SESSIONS: &str = "sessions() { for p in $(ps -eo pid=,args= | awk '/sshd: wizard@/ && !/awk/ {print $1}'); do \
                        if [ $p != $PPID ]; then echo $p; fi; done; }";
const PROMETHEUS_AWAY: Duration = Duration::from_secs(40);

pub fn run() {
    let (lab, used) = Lab::left_clean(2, "1.36.3", &["1.36.3", "1.36.4"]);
    if used {
        lab.say("on the cluster that the refusals left");
    }
    let config = install(&lab, WAITS);
    workload(&lab);
    let containerd = newer_containerd(&lab);
    lab.phase("a person cordons k8s-node2; detection; preflight");
    lab.kubectl(&["cordon", "k8s-node2"]);

    let since = Timestamp::now();
    let watch = Watch::start(&lab);
    detect(&lab, "detect-patch");
    let master = "k8s-upgrade-master-1-36-4";
    wait_for_pod(&lab, &watch, master);
    let run = end::run_id(&lab, master);

    lab.phase("master: its containerd catches up, while it is drained");
    working(&lab, "k8s-master", "containerd-package", &containerd);
    let pods = lab.kubectl(&["-n", "shop", "get", "pods", "--field-selector", "spec.nodeName=k8s-master", "-o", "name"]);
    assert_eq!(pods.trim(), "", "k8s-master was not drained");

    lab.phase("master: SSH alone is cut in the middle of kubeadm upgrade apply, and taken up by the same runner");
    working(&lab, "k8s-master", "kubeadm-upgrade", TARGET);
    let runner = watch.now().running(master).map(|(pod, _)| pod);
    cut_sessions(&lab, "k8s-master");
    lab.until(Duration::from_secs(20), "another SSH session on k8s-master", || {
        let sessions = lab.on("k8s-master", &format!("{SESSIONS}; sessions"));
        if sessions.trim().is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });

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
    let waits = "waits for the alert gate: firing: NodeDiskFull (node=k8s-node1)";
    lab.until(Duration::from_secs(60), "k8s-node1's Job to say that it waits for the alert", || {
        let log = lab.try_kubectl(&["-n", NAMESPACE, "logs", &format!("job/{node1}")]).unwrap_or_default();
        if log.contains(waits) { Ok(()) } else { Err(log) }
    });
    // The gate asks every 10 s.
    std::thread::sleep(Duration::from_secs(25));
    untouched(&lab, "k8s-node1", "an alert fired");
    lab.tool(&["alert", "NodeDiskFull", "off"]);

    lab.phase("k8s-node1: the whole Job is deleted during its drain, then `resume`; SSH is cut");
    lab.until(PHASE, "k8s-node1 to be cordoned by us", || {
        let ours = lab.try_kubectl(&["get", "node", "k8s-node1", "-o", "jsonpath={.metadata.annotations}"]).unwrap_or_default();
        if ours.contains("cordoned-by") { Ok(()) } else { Err("it serves".to_owned()) }
    });
    lab.kubectl(&["-n", NAMESPACE, "delete", "job", node1, "--wait=true"]);
    lab.until(Duration::from_secs(180), "the deleted Job's pods to be gone", || {
        let left =
            lab.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", &format!("batch.kubernetes.io/job-name={node1}"), "-o", "name"]);
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
    let resumed = lab.product(&["--config", &config, "resume"]);
    assert_eq!(resumed.code, Some(0), "resume: {}", resumed.stderr);
    assert!(resumed.stderr.contains(&format!("Job {node1} created, to run on k8s-master")), "resume said: {}", resumed.stderr);
    // Not on k8s-node2: a runner that is killed slowly may have begun its kubelet's packages, and leave them without any session.
    working(&lab, "k8s-node1", "kubelet-packages", TARGET);
    cut_sessions(&lab, "k8s-node1");

    lab.phase("to the end");
    let postflight = "k8s-upgrade-postflight-1-36-4";
    let end = lab.until(PHASE, "postflight to end", || ended(&lab, postflight));
    assert_eq!(end, "Complete", "{postflight}");
    std::thread::sleep(Duration::from_secs(2));
    let seen = watch.end();
    told(&lab, &seen);

    lab.phase("what is true at the end");
    let workers = ["k8s-node2", "k8s-node1"];
    let expected = Expected { from: "1.36.3", to: "1.36.4", workers: &workers, cordoned: &["k8s-node2"], since };
    end::assert_upgraded(&lab, &run, &expected);
    end::places(&seen, &expected);
    let (lowest, at) = seen.lowest["web"];
    assert!(lowest >= 6 - 2, "only {lowest} of 6 web replicas were available at {at}, 2 may be away");
    once_each(&lab);
    same_containerd(&lab, &seen, &containerd);
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
fn same_containerd(lab: &Lab, seen: &Seen, version: &str) {
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

/// Its pods may run on the control plane: the only other worker is cordoned.
fn workload(lab: &Lab) {
    lab.phase("workload: 6 pods behind a budget of 2 that end slowly");
    let image = lab.env("LAB_WEB_IMAGE");
    lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    lab.apply(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec:\n  replicas: 6\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 10\n      tolerations: [{{key: node-role.kubernetes.io/control-plane, operator: Exists}}]\n      \
         containers:\n      - {{name: web, image: \"{image}\", env: [{{name: STOP_DELAY, value: 4s}}], \
         readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}}}\n---\n\
         apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: web, namespace: shop}}\n\
         spec: {{maxUnavailable: 2, selector: {{matchLabels: {{app: web}}}}}}\n"
    ));
    rolled_out(lab, &["deployment/web"]);
}

fn wait_for_pod(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, running) = lab.until(PHASE, &format!("a pod of {job}"), || {
        let seen = watch.now();
        seen.running(job).ok_or_else(|| format!("pods so far: {:?}", seen.pods.keys().collect::<Vec<_>>()))
    });
    lab.say(format!("    {pod} on {}", running.node));
}

/// Waits until a step of the node's work is running there. Asked on the node, for the API may be away.
fn working(lab: &Lab, node: &str, step: &str, target: &str) {
    let begun = Instant::now();
    loop {
        let status = lab.ssh(node, "sudo -n cat /var/lib/k8s-upgrade/work/status 2>/dev/null");
        if status.starts_with(&format!("{step} {target} ")) && status.trim_end().ends_with("running") {
            lab.say(format!("    {step} runs on {node}"));
            return;
        }
        assert!(begun.elapsed() < PHASE, "waited for {step} to run on {node}; its last work is: {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// SIGKILL: from one moment to the next nobody follows, and the Lease has to expire.
fn kill(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, running) = watch.now().running(job).unwrap_or_else(|| panic!("no pod of {job} is running"));
    let line = format!(
        "for p in $(grep -ls pod{} /proc/[0-9]*/cgroup | cut -d/ -f3); do \
         if [ \"$(cat /proc/$p/comm)\" = k8s-upgrade ]; then sudo -n kill -KILL $p && echo $p; fi; done",
        running.uid
    );
    let killed = lab.on(&running.node, &line);
    assert_eq!(killed.lines().count(), 1, "processes of {pod} that were killed on {}: {killed}", running.node);
    lab.say(format!("    {pod} is killed"));
}

/// The pod is gone at once; its process is asked to stop, and may go on for as long as its grace lasts, beside its successor.
fn delete_pod(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, _) = watch.now().running(job).unwrap_or_else(|| panic!("no pod of {job} is running"));
    lab.kubectl(&["-n", NAMESPACE, "delete", "pod", &pod, "--force", "--grace-period=0"]);
    lab.say(format!("    {pod} is deleted"));
}

/// Ends every SSH session on a node but the one that does so: each by its id, as they are found there. A runner that follows long work has
/// one but for the moment between two looks.
fn cut_sessions(lab: &Lab, node: &str) {
    let line = format!(
        "{SESSIONS}; n=0; for try in 1 2 3 4 5 6 7 8 9 10; do \
         for p in $(sessions); do sudo -n kill -KILL $p && n=$((n+1)); done; \
         if [ $n != 0 ]; then break; fi; sleep 0.1; done; echo $n"
    );
    let cut = lab.on(node, &line);
    lab.say(format!("    {} SSH sessions cut on {node}", cut.trim()));
    assert_ne!(cut.trim(), "0", "there was no session to cut on {node}");
}

fn told(lab: &Lab, seen: &Seen) {
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

//! A patch upgrade that is disturbed at every turn: pods killed, a Job deleted, SSH cut, Prometheus away. It ends as if nothing had been.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::end::{self, Expected};
use super::install::{detect, ended, install, rolled_out};
use super::lab::{Lab, NAMESPACE};
use super::watch::{Seen, Watch};

pub const WAITS: &str = "soak: 5s\nalert-wait: 3m\nresolve-wait: 2m\ndrain-unstick-after: 5s\n";
const PHASE: Duration = Duration::from_secs(8 * 60);
const PROMETHEUS_AWAY: Duration = Duration::from_secs(40);

pub fn run() {
    let (lab, used) = Lab::left_clean(2, "1.36.3", &["1.36.3", "1.36.4"]);
    if used {
        lab.say("on the cluster that the refusals left");
    }
    let config = install(&lab, WAITS);
    workload(&lab);
    lab.phase("a person cordons k8s-node2");
    lab.kubectl(&["cordon", "k8s-node2"]);

    let since = Timestamp::now();
    let watch = Watch::start(&lab);
    detect(&lab, "detect-patch");
    let master = "k8s-upgrade-master-1-36-4";
    wait_for_pod(&lab, &watch, master);
    let run = end::run_id(&lab, master);

    lab.phase("master: its pod is killed in the middle of kubeadm upgrade apply");
    working(&lab, "k8s-master", "kubeadm-upgrade");
    kill_pod(&lab, &watch, master);

    lab.phase("master: SSH is cut in the middle of the kubelet's packages, and Prometheus goes away");
    working(&lab, "k8s-master", "kubelet-packages");
    cut_sessions(&lab, "k8s-master");
    lab.tool(&["service", "prometheus", "stop"]);
    let away = Instant::now();

    let node2 = "k8s-upgrade-worker-1-36-4-k8s-node2";
    lab.until(PROMETHEUS_AWAY * 2, "Prometheus to have been away for 40 s", || {
        assert_eq!(ended(&lab, node2).ok(), None, "k8s-node2 was not to be touched while no alert could be seen");
        if away.elapsed() >= PROMETHEUS_AWAY { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let touched = end::marks(&lab.json(&["get", "node", "k8s-node2"]));
    assert!(
        !touched.iter().any(|(key, _)| key == "former-versions"),
        "k8s-node2 was begun while no alert could be seen: {touched:?}"
    );
    lab.tool(&["service", "prometheus", "start"]);

    lab.phase("k8s-node2, which a person had cordoned: its pod is killed, then SSH is cut");
    wait_for_pod(&lab, &watch, node2);
    working(&lab, "k8s-node2", "kubeadm-package");
    kill_pod(&lab, &watch, node2);
    working(&lab, "k8s-node2", "kubelet-packages");
    cut_sessions(&lab, "k8s-node2");

    lab.phase("k8s-node1: the whole Job is deleted during its drain, then `resume`");
    let node1 = "k8s-upgrade-worker-1-36-4-k8s-node1";
    wait_for_pod(&lab, &watch, node1);
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
fn working(lab: &Lab, node: &str, step: &str) {
    let begun = Instant::now();
    loop {
        let status = lab.ssh(node, "sudo -n cat /var/lib/k8s-upgrade/work/status 2>/dev/null");
        if status.starts_with(&format!("{step} 1.36.4 ")) && status.trim_end().ends_with("running") {
            lab.say(format!("    {step} runs on {node}"));
            return;
        }
        assert!(begun.elapsed() < PHASE, "waited for {step} to run on {node}; its last work is: {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn kill_pod(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, _) = watch.now().running(job).unwrap_or_else(|| panic!("no pod of {job} is running"));
    lab.kubectl(&["-n", NAMESPACE, "delete", "pod", &pod, "--force", "--grace-period=0"]);
    lab.say(format!("    {pod} is killed"));
}

/// Ends every SSH session on a node but the one that does so: each by its id, as they are found there.
fn cut_sessions(lab: &Lab, node: &str) {
    let line = "n=0; for p in $(ps -eo pid=,args= | awk '/sshd: wizard@/ && !/awk/ {print $1}'); do \
                if [ $p != $PPID ]; then sudo -n kill -KILL $p && n=$((n+1)); fi; done; echo $n";
    let cut = lab.on(node, line);
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

//! What is done to a chain at work: waiting for the moment, then taking away its pod, its sessions, the machine under it.

use std::time::{Duration, Instant};

use super::install::rolled_out;
use super::lab::{Lab, NAMESPACE};
use super::watch::Watch;

pub const PHASE: Duration = Duration::from_secs(8 * 60);
/// A shell function: the ids of every SSH session of the program's user but the one that asks.
pub const SESSIONS: &str = "sessions() { for p in $(ps -eo pid=,args= | awk '/sshd: wizard@/ && !/awk/ {print $1}'); do \
                        if [ $p != $PPID ]; then echo $p; fi; done; }";

/// Its pods may run on the control plane: the only other worker is cordoned.
pub fn workload(lab: &Lab) {
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

pub fn wait_for_pod(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, running) = lab.until(PHASE, &format!("a pod of {job}"), || {
        let seen = watch.now();
        seen.running(job).ok_or_else(|| format!("pods so far: {:?}", seen.pods.keys().collect::<Vec<_>>()))
    });
    lab.say(format!("    {pod} on {}", running.node));
}

/// Waits until a step of the node's work is running there. Asked on the node, for the API may be away; and several times in one session,
/// for a package may be there within a second.
pub fn working(lab: &Lab, node: &str, step: &str, target: &str) {
    let begun = Instant::now();
    // As the node keeps it, one field a line.
    let begins = k8s_upgrade::words::quoted(&format!("step={step}\ntarget={target}\n"));
    let look = format!(
        "for look in $(seq 60); do status=$(sudo -n cat /var/lib/k8s-upgrade/work/status 2>/dev/null); \
         case $status in {begins}*status=running) break ;; esac; sleep 0.05; done; echo \"$status\""
    );
    loop {
        let status = lab.ssh(node, &look);
        if status.starts_with(&format!("step={step}\ntarget={target}\n")) && status.trim_end().ends_with("status=running") {
            lab.say(format!("    {step} runs on {node}"));
            return;
        }
        assert!(begun.elapsed() < PHASE, "waited for {step} to run on {node}; its last work is: {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// SIGKILL: from one moment to the next nobody follows, and the Lease has to expire.
pub fn kill(lab: &Lab, watch: &Watch, job: &str) {
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
pub fn delete_pod(lab: &Lab, watch: &Watch, job: &str) {
    let (pod, _) = watch.now().running(job).unwrap_or_else(|| panic!("no pod of {job} is running"));
    lab.kubectl(&["-n", NAMESPACE, "delete", "pod", &pod, "--force", "--grace-period=0"]);
    lab.say(format!("    {pod} is deleted"));
}

/// Ends every SSH session on a node but the one that does so: each by its id, as they are found there. A runner that follows long work has
/// one but for the moment between two looks.
pub fn cut_sessions(lab: &Lab, node: &str) {
    let line = format!(
        "{SESSIONS}; n=0; for try in 1 2 3 4 5 6 7 8 9 10; do \
         for p in $(sessions); do sudo -n kill -KILL $p && n=$((n+1)); done; \
         if [ $n != 0 ]; then break; fi; sleep 0.1; done; echo $n"
    );
    let cut = lab.on(node, &line);
    lab.say(format!("    {} SSH sessions cut on {node}", cut.trim()));
    assert_ne!(cut.trim(), "0", "there was no session to cut on {node}");
}

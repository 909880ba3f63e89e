//! Everything that must stop a run before it begins, one after the other, from outside: the right exit code, a message of three parts, and
//! a cluster as it was.

use std::cell::RefCell;
use std::time::Duration;

use k8s_upgrade::names;
use serde_json::{Value, json};

use super::end::marks;
use super::install::install;
use super::lab::{Lab, NAMESPACE, mark};
use super::process::{self, Ended, missing_parts};

pub const TARGET: &str = "1.36.4";
/// In what this ends.
pub const LEFT: &str = "two workers at 1.36.3, as if nobody had used them";

pub fn run() {
    let lab = Lab::fresh(2, "1.36.3", &["1.36.3", "1.36.4"]);
    let config = install(&lab, super::patch::WAITS);
    let it = Refusals { lab: &lab, config, wrong: RefCell::default() };
    it.targets();
    it.a_rehearsal();
    it.endpoints();
    it.ssh();
    it.alerts();
    it.rights();
    it.somebody_elses_run();
    it.the_trial();
    it.backups();
    it.a_budget_that_can_never_be_satisfied();
    super::ways::an_only_pod_is_moved_without_a_gap(&lab, &it.config);
    it.a_run_that_was_not_meant();
    let wrong = it.wrong.take();
    assert!(wrong.is_empty(), "{} refusals are not as they should be:\n\n{}", wrong.len(), wrong.join("\n\n"));
    lab.leave(LEFT);
}

pub struct Refusals<'a> {
    pub lab: &'a Lab,
    config: String,
    /// Told together at the end: one wrong message hides no other.
    wrong: RefCell<Vec<String>>,
}

impl Refusals<'_> {
    fn product(&self, args: &[&str]) -> Ended {
        self.lab.product(&[&["--config", &self.config], args].concat())
    }

    /// All that a run could leave in the cluster.
    fn traces(&self) -> Value {
        let lab = self.lab;
        let nodes: Vec<Value> = lab
            .items(&["get", "nodes"])
            .iter()
            .map(|node| json!([node["metadata"]["name"], marks(node), node["spec"]["unschedulable"], node["spec"]["taints"]]))
            .collect();
        let named = |args: &[&str]| -> Vec<Value> {
            lab.items(args).iter().map(|object| json!([object["metadata"]["name"], object["metadata"]["uid"]])).collect()
        };
        json!({
            "namespace": marks(&lab.json(&["get", "namespace", NAMESPACE])),
            "nodes": nodes,
            "leases": named(&["-n", NAMESPACE, "get", "leases"]),
            // The watch comes and goes by itself.
            "jobs": named(&["-n", NAMESPACE, "get", "jobs", "-l", "app!=k8s-upgrade-watch"]),
            "backups": named(&["-n", "default", "get", "jobs"]),
        })
    }

    fn wrong(&self, what: &str, why: &str, text: &str) {
        self.lab.say(format!("      WRONG: {why}"));
        self.wrong.borrow_mut().push(format!("{what}: {why}\n{}", text.trim_end()));
    }

    /// Runs a command that must end with `code` and say each of `words`, and leaves the cluster as it was.
    pub fn refuses(&self, what: &str, args: &[&str], code: i32, words: &[&str]) {
        let before = self.traces();
        let ended = self.ends(what, args, code, words);
        self.unchanged(what, &before, &ended);
    }

    fn unchanged(&self, what: &str, before: &Value, ended: &Ended) {
        let after = self.traces();
        if after != *before {
            self.wrong(what, &format!("the cluster is not as it was:\nbefore {before}\nafter  {after}"), &ended.stderr);
            self.give_up();
        }
    }

    fn ends(&self, what: &str, args: &[&str], code: i32, words: &[&str]) -> Ended {
        let ended = self.product(args);
        self.lab.say(format!("    exit {} after {:.1} s: {what}", ended.code.unwrap_or(-1), ended.took.as_secs_f64()));
        if ended.code != Some(code) {
            self.wrong(what, &format!("exit {:?}, not {code}", ended.code), &ended.stderr);
        }
        for word in words.iter().filter(|word| !ended.stderr.contains(**word)) {
            self.wrong(what, &format!("the message does not say {word:?}"), &ended.stderr);
        }
        if ![0, 2].contains(&code) {
            for part in missing_parts(&ended.stderr) {
                self.wrong(what, &format!("the message does not say {part}"), &ended.stderr);
            }
        }
        ended
    }

    fn targets(&self) {
        self.lab.phase("targets");
        self.refuses("older", &["start", "--target", "1.35.4", "--yes"], 4, &["1.35.4 is older than what runs"]);
        self.refuses("equal", &["start", "--target", "1.36.3", "--yes"], 0, &["every node is at 1.36.3"]);
        self.refuses(
            "two minors",
            &["start", "--target", "1.38.0", "--yes"],
            4,
            &["2 minor versions away", "go to 1.37.x first"],
        );
        self.refuses("malformed", &["start", "--target", "1.36", "--yes"], 2, &["1.36", "--target"]);
        self.refuses("unknown", &["preflight", "--target", "1.36.9"], 4, &["1.36.9 is no release"]);
        self.refuses("unknown, before its run", &["start", "--target", "1.36.9", "--yes"], 4, &["1.36.9"]);
        self.refuses(
            "a worker first",
            &["upgrade-node", "k8s-node2", "--target", TARGET, "--yes"],
            4,
            &["all control planes come before any worker"],
        );
    }

    /// Of this very cluster, to its end: it is read, and nothing else.
    fn a_rehearsal(&self) {
        self.lab.phase("a rehearsal of this cluster");
        let words = ["to 1.36.4 in memory: nothing outside is touched", "k8s-node1", "K8s upgrade complete"];
        self.refuses("rehearse --from-cluster", &["rehearse", "--from-cluster", "--target", TARGET], 0, &words);
        let args = ["rehearse", "--from-cluster", "--target", TARGET, "-o", "json"];
        let told: Value = serde_json::from_str(&self.product(&args).good()).expect("JSON");
        assert_eq!((&told["target"], &told["end"]["state"]), (&json!(TARGET), &json!("done")), "{told:#}");
        let jobs: Vec<&str> = told["jobs"].as_array().into_iter().flatten().filter_map(|job| job["place"].as_str()).collect();
        assert_eq!(jobs, ["preflight", "k8s-master", "k8s-node2", "k8s-node1", "postflight"], "{told:#}");
    }

    fn endpoints(&self) {
        self.lab.phase("endpoints that do not answer");
        let text = std::fs::read_to_string(self.lab.env("KUBECONFIG")).expect("the kubeconfig");
        let server = text.lines().find(|line| line.trim().starts_with("server:")).expect("a server");
        let elsewhere = self.lab.scratch("elsewhere.kubeconfig");
        std::fs::write(&elsewhere, text.replace(server, "    server: https://127.0.0.1:1")).expect("a kubeconfig");
        let elsewhere = elsewhere.display().to_string();
        let ended = self.ends(
            "API server unreachable",
            &["--kubeconfig", &elsewhere, "preflight", "--target", TARGET],
            7,
            &["127.0.0.1:1"],
        );
        if ended.took > Duration::from_secs(60) {
            self.wrong("API server unreachable", &format!("it took {:?} to say so", ended.took), "");
        }

        self.lab.tool(&["service", "packages", "mode", "down"]);
        self.refuses("package index down", &["detect"], 7, &["package index"]);
        self.lab.tool(&["service", "packages", "mode", "ok"]);
    }

    fn ssh(&self) {
        let lab = self.lab;
        lab.phase("SSH and sudo");
        let wrong = lab.scratch("wrong").display().to_string();
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f", &wrong];
        process::run(std::process::Command::new("ssh-keygen").args(keygen), "", Duration::from_secs(20)).good();
        let setting = format!("ssh-key-file={wrong}");
        self.refuses(
            "wrong SSH key",
            &["preflight", "--target", TARGET, "--set", &setting],
            4,
            &["k8s-node2", "authorized_keys"],
        );

        let keys = lab.json(&["-n", NAMESPACE, "get", "configmap", "k8s-upgrade-known-hosts"])["data"].clone();
        let learned = keys["k8s-node2"].as_str().expect("the host key of k8s-node2").to_owned();
        let patch = |key: &str| {
            let body = json!({ "data": { "k8s-node2": key } }).to_string();
            lab.kubectl(&["-n", NAMESPACE, "patch", "configmap", "k8s-upgrade-known-hosts", "--type=merge", "-p", &body]);
        };
        let other = keys["k8s-node1"].as_str().expect("the host key of k8s-node1").to_owned();
        patch(&other);
        self.refuses("changed host key", &["preflight", "--target", TARGET], 4, &["k8s-node2", "k8s-upgrade-known-hosts"]);
        patch(&learned);

        // A watcher that root leaves behind gives sudo back, since nobody else there could.
        lab.on(
            "k8s-node2",
            "sudo -n systemd-run --quiet --unit=lab-sudo-back bash -c \
             'until [ -e /tmp/sudo-back ]; do sleep 0.2; done; mv /root/wizard.sudoers /etc/sudoers.d/wizard'; \
             sudo -n mv /etc/sudoers.d/wizard /root/wizard.sudoers",
        );
        self.refuses("sudo refused", &["preflight", "--target", TARGET], 4, &["k8s-node2", "sudo"]);
        lab.on("k8s-node2", "touch /tmp/sudo-back");
        lab.until(Duration::from_secs(10), "sudo on k8s-node2 to be back", || {
            if lab.ssh("k8s-node2", "sudo -n id -u").trim() == "0" { Ok(()) } else { Err("not yet".to_owned()) }
        });
    }

    fn alerts(&self) {
        let lab = self.lab;
        lab.phase("alerts");
        let preflight = ["preflight", "--target", TARGET, "--set", "alert-wait=3s"];
        lab.tool(&["alert", "NodeDiskFull", "on", "node=k8s-node1"]);
        self.refuses("an alert fires", &preflight, 3, &["NodeDiskFull (node=k8s-node1)"]);
        lab.tool(&["alert", "NodeDiskFull", "off"]);
        // It answers, in its own way.
        let nonsense = format!("prometheus={}", lab.env("LAB_SLACK_URL"));
        self.refuses("no Prometheus at all", &[&preflight[..], &["--set", &nonsense]].concat(), 3, &["not known", "405"]);
        lab.tool(&["service", "prometheus", "stop"]);
        self.refuses("Prometheus is away", &preflight, 3, &["not known"]);
        lab.tool(&["service", "prometheus", "start"]);
        lab.until(Duration::from_secs(60), "the alert Watchdog to fire again", || {
            let seen = lab.query("ALERTS{alertname=\"Watchdog\",alertstate=\"firing\"}");
            if seen.is_empty() { Err("it is not to be seen".to_owned()) } else { Ok(()) }
        });
    }

    /// As the ServiceAccount, with one verb taken from it.
    fn rights(&self) {
        let lab = self.lab;
        lab.phase("a right is missing");
        let role = lab.json(&["get", "clusterrole", "k8s-upgrade-job"])["rules"].clone();
        let less: Vec<Value> = role
            .as_array()
            .expect("rules")
            .iter()
            .filter(|rule| rule["resources"][0] != "poddisruptionbudgets")
            .cloned()
            .collect();
        let patch = |rules: &Value| {
            let body = json!({ "rules": rules }).to_string();
            lab.kubectl(&["patch", "clusterrole", "k8s-upgrade-job", "--type=merge", "-p", &body]);
        };
        let token = lab.kubectl(&["-n", NAMESPACE, "create", "token", "k8s-upgrade-job"]);
        let admin = std::fs::read_to_string(lab.env("KUBECONFIG")).expect("the kubeconfig");
        let field = |name: &str| {
            let line = admin.lines().find(|line| line.trim().starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            line.trim().to_owned()
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\ncontexts: [{{name: lab, context: {{cluster: lab, user: job}}}}]\n\
             clusters:\n- name: lab\n  cluster:\n    {}\n    {}\nusers: [{{name: job, user: {{token: \"{}\"}}}}]\n",
            field("certificate-authority-data:"),
            field("server:"),
            token.trim()
        );
        let path = lab.scratch("job.kubeconfig");
        std::fs::write(&path, text).expect("a kubeconfig");
        let kubeconfig = path.display().to_string();
        patch(&json!(less));
        let key = format!("ssh-key-file={}", lab.env("LAB_SSH_KEY"));
        let args = ["--kubeconfig", &kubeconfig, "preflight", "--target", TARGET, "--set", &key];
        self.refuses("a verb is missing", &args, 4, &["list poddisruptionbudgets in the whole cluster"]);
        patch(&role);
    }

    fn somebody_elses_run(&self) {
        let lab = self.lab;
        lab.phase("somebody else's run");
        let annotate = |marks: [String; 3]| {
            lab.kubectl(
                &[&["annotate", "--overwrite", "namespace", NAMESPACE], &marks.each_ref().map(String::as_str)[..]].concat(),
            );
        };
        for (what, run, code, words) in [
            ("a run is in flight", "0badcafe", 6, ["1.36.4", "in flight"]),
            ("a run that nobody of ours has begun", "someone", 4, [&*mark("run-id"), "\"someone\" is no run id"]),
        ] {
            annotate([
                format!("{}=true", mark("in-flight")),
                format!("{}=1.36.4", mark("target")),
                format!("{}={run}", mark("run-id")),
            ]);
            self.refuses(what, &["start", "--target", TARGET, "--yes"], code, &words);
        }
        annotate(["in-flight", "target", "run-id"].map(|suffix| format!("{}-", mark(suffix))));
    }

    /// These are found only once the run is claimed: it stays in flight until a person gives it up, as the runbook says how.
    fn backups(&self) {
        let lab = self.lab;
        lab.phase("backups that are none");
        let before = self.traces();
        let cronjob = |name: &str, container: Value| {
            let spec =
                json!({ "backoffLimit": 0, "template": { "spec": { "restartPolicy": "Never", "containers": [container] } } });
            let object = json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": name, "namespace": "default" },
                "spec": { "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": spec } },
            });
            lab.apply(&object.to_string());
        };
        // Without the folders of etcd's host it cannot do its work.
        let failing = json!({ "name": "backup", "image": "k8slab.local/backup-etcd:1" });
        let mut short = failing.clone();
        short["env"] = json!([{ "name": "SAYS", "value": "Backup done: /backup/etcd-short.db (12 bytes)" }]);
        cronjob("backup-failing", failing);
        cronjob("backup-short", short);
        for (name, words) in [
            ("backup-missing", ["default/backup-missing", "does not exist"]),
            ("backup-failing", ["pre-upgrade-etcd-1-36-4-", "failed"]),
            ("backup-short", ["/backup/etcd-short.db", "12 bytes"]),
        ] {
            let setting = format!("backup-cronjob=default/{name}");
            let ended = self.ends(name, &["preflight", "--target", TARGET, "--set", &setting], 4, &words);
            let claimed = marks(&lab.json(&["get", "namespace", NAMESPACE]));
            if !claimed.is_empty() {
                assert!(claimed.iter().any(|(key, value)| key == "target" && value == TARGET), "{claimed:?}");
                assert!(
                    !claimed.iter().any(|(key, _)| key == "snapshot-path"),
                    "a snapshot was recorded that is none: {claimed:?}"
                );
            }
            self.give_up();
            self.unchanged(name, &before, &ended);
        }
        lab.kubectl(&["-n", "default", "delete", "cronjob", "backup-failing", "backup-short"]);
    }

    /// Begun, regretted, stopped at once and given up, all from outside: the cluster is as it was.
    fn a_run_that_was_not_meant(&self) {
        let lab = self.lab;
        lab.phase("a run that was not meant: start, halt --now, clear-state");
        let before = self.traces();
        let job = "k8s-upgrade-preflight-1-36-4";
        self.ends("start", &["start", "--target", TARGET, "--yes"], 0, &[job]);
        lab.until(Duration::from_secs(60), "its preflight to be at work", || {
            let phase = ["-n", NAMESPACE, "get", "pods", "-o", "jsonpath={.items[*].status.phase}", "-l"];
            let phase = lab.kubectl(&[&phase[..], &[&format!("batch.kubernetes.io/job-name={job}")]].concat());
            if phase.contains("Running") { Ok(()) } else { Err(phase) }
        });
        self.ends("clear-state while it works", &["clear-state", "--yes"], 6, &["is at work", "halt --now"]);
        self.ends("halt --now", &["halt", "--now", "--reason", "not meant", "--yes"], 0, &["is deleted", "halt --lift"]);
        let left = lab.kubectl(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain", "-o", "name"]);
        assert_eq!(left.trim(), "", "Jobs of the chain are left");
        lab.until(Duration::from_secs(90), "the deleted Job's pod to be gone", || {
            let pods = lab.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", "app=k8s-upgrade-chain", "-o", "name"]);
            if pods.trim().is_empty() { Ok(()) } else { Err(pods) }
        });
        self.ends("resume while it is halted", &["resume", "--yes"], 4, &["not meant"]);
        self.ends("halt --lift", &["halt", "--lift"], 0, &["lifted"]);
        self.ends("resume --dry-run", &["resume", "--dry-run"], 0, &[]);
        let ended = self.ends("clear-state", &["clear-state", "--yes"], 0, &[]);
        lab.kubectl(&["-n", "default", "delete", "jobs", "--all", "--wait=true"]);
        self.unchanged("a run that was not meant", &before, &ended);
    }

    /// The runbook's "Clear orphaned in-flight state", and the backup Jobs of the runs given up.
    fn give_up(&self) {
        // All of them: the watch may have looked meanwhile, and has written its own.
        let marks: Vec<String> = names::Mark::of_a_run().map(|mark| format!("{}-", mark.key(names::ANNOTATION_PREFIX))).collect();
        let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        self.lab.kubectl(&[&["annotate", "namespace", NAMESPACE], marks.as_slice()].concat());
        self.lab.kubectl(&["-n", "default", "delete", "jobs", "--all", "--wait=true"]);
        self.lab.push(
            "k8s-version-upgrade",
            "# TYPE k8s_upgrade_in_flight gauge\nk8s_upgrade_in_flight 0\n# TYPE k8s_upgrade_snapshot_taken gauge\n\
             k8s_upgrade_snapshot_taken 0\n# TYPE k8s_upgrade_started_timestamp gauge\nk8s_upgrade_started_timestamp 0\n",
        );
    }

    /// A StatefulSet's only pod behind a budget of one: known before a run and before a node, which is not taken out of service for it. Who
    /// drains nevertheless is told pod and budget; our cordon is taken back, and the pod lives.
    fn a_budget_that_can_never_be_satisfied(&self) {
        let lab = self.lab;
        lab.phase("a budget that can never be satisfied");
        lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
        lab.apply(&format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: stuck, namespace: shop}}\nspec:\n  replicas: 1\n  \
             serviceName: stuck\n  selector: {{matchLabels: {{app: stuck}}}}\n  template:\n    metadata: {{labels: {{app: stuck}}}}\n    \
             spec:\n      nodeSelector: {{kubernetes.io/hostname: k8s-master}}\n      \
             tolerations: [{{key: node-role.kubernetes.io/control-plane, operator: Exists}}]\n      \
             terminationGracePeriodSeconds: 1\n      containers: [{{name: web, image: \"{}\"}}]\n---\n\
             apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: stuck, namespace: shop}}\n\
             spec: {{minAvailable: 1, selector: {{matchLabels: {{app: stuck}}}}}}\n",
            lab.env("LAB_WEB_IMAGE")
        ));
        lab.kubectl(&["-n", "shop", "rollout", "status", "statefulset/stuck", "--timeout=60s"]);
        let uid = || lab.json(&["-n", "shop", "get", "pod", "stuck-0"])["metadata"]["uid"].clone();
        let before = uid();
        let never = ["k8s-master: shop/stuck-0 (PDB shop/stuck allows 0", "can never be drained"];
        self.refuses("before a run", &["preflight", "--target", TARGET], 4, &never);
        self.refuses(
            "nor is a control plane left out",
            &["preflight", "--target", TARGET, "--set", "undrainable=skip"],
            4,
            &never,
        );
        self.refuses("before a node", &["upgrade-node", "k8s-master", "--target", TARGET, "--yes"], 3, &never);
        let drain = ["drain", "k8s-master", "--yes", "--set", "drain-deadline=20s"];
        self.refuses("a pod that cannot be evicted", &drain, 3, &["shop/stuck-0", "PDB shop/stuck allows 0"]);
        assert_eq!(uid(), before, "the pod that its budget guards was replaced");
        lab.kubectl(&["delete", "namespace", "shop", "--wait=true"]);
        lab.kubectl(&["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s"]);
    }
}

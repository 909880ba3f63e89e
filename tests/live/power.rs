//! What a machine room does to a run: power cuts at the worst points of a package's installation and of kubeadm, an API server that is
//! away while a node is drained, a backup that fails, a budget that nobody can satisfy, and neither Pushgateway nor Slack all the while.
//! The chain goes on by itself, or one command does.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::disturb::{PHASE, wait_for_pod, working, workload};
use super::end::{self, Expected};
use super::install::{detect, ended, install, rolled_out};
use super::lab::{COMMAND, Lab, NAMESPACE};
use super::patch::WAITS;
use super::process::{self, Ended, missing_parts};
use super::watch::Watch;

const FROM: &str = "1.36.3";
const TARGET: &str = "1.36.4";
const WORKERS: [&str; 4] = ["k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"];
const API_AWAY: Duration = Duration::from_secs(90);
/// A machine that has lost its power is away for so long.
const DARK: Duration = Duration::from_secs(15);

pub fn run() {
    let lab = Lab::fresh(4, FROM, &[FROM, TARGET]);
    let config = install(&lab, &format!("{WAITS}drain-deadline: 2m30s\n"));
    workload(&lab);
    pair(&lab);
    let since = Timestamp::now();
    let watch = Watch::start(&lab);
    let it = Power { lab: &lab, watch: &watch, config };

    lab.phase("Pushgateway and Slack go away");
    for service in ["pushgateway", "slack"] {
        lab.tool(&["service", service, "stop"]);
    }
    it.the_backup_fails();
    it.the_control_plane_loses_power();
    it.a_worker_loses_power_twice();
    it.a_worker_loses_power_and_a_person_halts();
    it.the_api_server_is_away_during_a_drain();
    it.a_budget_that_cannot_be_satisfied();

    lab.phase("to the end");
    it.completes("k8s-upgrade-postflight-1-36-4");
    for service in ["pushgateway", "slack"] {
        lab.tool(&["service", service, "start"]);
    }
    lab.phase("what is true at the end");
    let seen = watch.end();
    let expected =
        Expected { from: FROM, to: TARGET, control_planes: &["k8s-master"], workers: &WORKERS, cordoned: &[], since, by_hand: 0 };
    end::versions(&lab, &expected);
    end::nothing_left(&lab, &expected);
    end::packages(&lab, &expected);
    end::restore_card(&lab, &end::run_id(&lab, "k8s-upgrade-master-1-36-4"), &expected);
    end::places(&seen, &expected);
}

/// Two pods that like k8s-node1, behind a budget that lets none go.
fn pair(lab: &Lab) {
    let image = lab.env("LAB_WEB_IMAGE");
    let prefers = json!([{ "weight": 100, "preference": { "matchExpressions":
        [{ "key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-node1"] }] } }]);
    let labels = json!({ "app": "pair" });
    let pod = json!({
        "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": prefers } },
        "containers": [{ "name": "pair", "image": image }],
    });
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod } });
    let metadata = json!({ "name": "pair", "namespace": "shop" });
    lab.apply(&json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec }).to_string());
    rolled_out(lab, &["deployment/pair"]);
}

struct Power<'a> {
    lab: &'a Lab,
    watch: &'a Watch,
    config: String,
}

impl Power<'_> {
    fn types(&self, args: &[&str]) -> Ended {
        self.lab.typed(&self.config, args, COMMAND)
    }

    fn resume(&self, job: &str) {
        let resumed = self.types(&["resume"]);
        assert_eq!(resumed.code, Some(0), "resume: {}", resumed.stderr);
        assert!(resumed.stderr.contains(&format!("Job {job} created")), "resume said: {}", resumed.stderr);
    }

    fn completes(&self, job: &str) {
        let end = self.lab.until(PHASE, &format!("{job} to end"), || ended(self.lab, job));
        assert_eq!(end, "Complete", "{job}");
    }

    /// The Job fails; its last pod says each of `words`, in three parts.
    fn fails(&self, job: &str, words: &[&str]) {
        let lab = self.lab;
        let end = lab.until(PHASE, &format!("{job} to end"), || ended(lab, job));
        let log = lab.kubectl(&["-n", NAMESPACE, "logs", &format!("job/{job}")]);
        assert_eq!(end, "Failed", "{job}:\n{log}");
        assert!(missing_parts(&log).is_empty(), "{:?} are not told:\n{log}", missing_parts(&log));
        for word in words {
            assert!(log.contains(word), "{word:?} is not said:\n{log}");
        }
        let status = self.types(&["status"]);
        assert!(status.stdout.contains("k8s-upgrade resume"), "status does not name the command:\n{}", status.stdout);
        lab.say(&status.stdout);
    }

    fn worker(&self, node: &str) -> String {
        let job = format!("k8s-upgrade-worker-1-36-4-{node}");
        wait_for_pod(self.lab, self.watch, &job);
        job
    }

    // --- power ------------------------------------------------------------------------------------------------------------------

    fn cut(&self, node: &str) {
        self.lab.say(format!("    {node} is dark"));
        self.lab.tool(&["node", node, "cut"]);
        std::thread::sleep(DARK);
        self.lab.tool(&["node", node, "start"]);
    }

    /// The maintainer script of that package waits when it comes to it; then the power is cut. The kubelet's package is `state` after it.
    fn cut_in_package(&self, node: &str, package: &str, script: &str, state: &str) {
        let lab = self.lab;
        lab.phase(&format!("{node} loses power while its kubelet's package is {state}"));
        let stop = format!("/run/lab-stop-{package}-{script}");
        lab.on(node, &format!("sudo -n touch {stop}"));
        lab.until(PHASE, &format!("{script} of {package} on {node}"), || {
            if lab.ssh(node, &format!("ls {stop}-reached")).is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
        });
        self.cut(node);
        let found = lab.on(node, "dpkg-query -W -f='${db:Status-Abbrev}' kubelet");
        lab.say(format!("    {node} is up again; kubelet: {found}"));
        // Our own repair may have been faster than this look.
        assert!([state, "hi"].contains(&found.trim()) || found.trim().starts_with('i'), "kubelet on {node} is {found}");
    }

    /// The process is stopped at its very beginning, so that the cut finds it at work.
    fn cut_in_kubeadm(&self, node: &str) {
        let lab = self.lab;
        lab.phase(&format!("{node} loses power in the middle of kubeadm upgrade node"));
        lab.on(
            node,
            "sudo -n systemd-run --quiet --unit=lab-stop-kubeadm -p RuntimeMaxSec=600 bash -c \
             'until p=$(pgrep -f \"^[^ ]*kubeadm upgrade node\"); do :; done; sleep 0.2; kill -STOP $p; touch /run/lab-kubeadm-stopped'",
        );
        lab.until(PHASE, &format!("kubeadm to be at work on {node}"), || {
            if lab.ssh(node, "ls /run/lab-kubeadm-stopped").is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
        });
        self.cut(node);
    }

    // --- one fault after the other --------------------------------------------------------------------------------------------------

    fn the_backup_fails(&self) {
        let lab = self.lab;
        lab.phase("detection; the backup Job fails, is mended, and `resume` goes on");
        let mut backup = lab.json(&["-n", "default", "get", "cronjob", "backup-etcd"]);
        let whole = backup["spec"].clone();
        backup["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([]);
        let put = |spec: &serde_json::Value| {
            let patch = json!([{ "op": "replace", "path": "/spec", "value": spec }]).to_string();
            lab.kubectl(&["-n", "default", "patch", "cronjob", "backup-etcd", "--type=json", "-p", &patch]);
        };
        put(&backup["spec"]);
        detect(lab, "detect-power");
        let preflight = "k8s-upgrade-preflight-1-36-4";
        self.fails(preflight, &["pre-upgrade-etcd-1-36-4-", "failed"]);
        put(&whole);
        self.resume(preflight);
        self.completes(preflight);
    }

    fn the_control_plane_loses_power(&self) {
        let lab = self.lab;
        let master = "k8s-upgrade-master-1-36-4";
        wait_for_pod(lab, self.watch, master);
        lab.phase(
            "k8s-master loses power in the middle of kubeadm upgrade apply: the API server's manifest is new, the others are not",
        );
        working(lab, "k8s-master", "kubeadm-upgrade", TARGET);
        let begun = Instant::now();
        let new = |component: &str| {
            let look = format!("sudo -n grep -l ':v{TARGET}$' /etc/kubernetes/manifests/{component}.yaml");
            !lab.ssh("k8s-master", &look).is_empty()
        };
        while !new("kube-apiserver") {
            assert!(begun.elapsed() < PHASE, "kubeadm never came to the API server");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(!new("kube-controller-manager"), "the cut came too late");
        self.cut("k8s-master");
        self.completes(master);
    }

    fn a_worker_loses_power_twice(&self) {
        let job = self.worker("k8s-node4");
        self.cut_in_kubeadm("k8s-node4");
        self.cut_in_package("k8s-node4", "kubelet", "preinst", "iHR");
        self.completes(&job);
    }

    fn a_worker_loses_power_and_a_person_halts(&self) {
        let lab = self.lab;
        let job = self.worker("k8s-node3");
        self.cut_in_package("k8s-node3", "kubectl", "postinst", "iU");
        lab.phase("a person halts: k8s-node3 is finished, k8s-node2 not begun");
        let halted = self.types(&["halt", "--reason", "the lights flicker"]);
        assert_eq!(halted.code, Some(0), "{}", halted.stderr);
        let end = lab.until(PHASE, &format!("{job} to end"), || ended(lab, &job));
        lab.say(format!("    {job} is {end}"));
        let node3 = lab.json(&["get", "node", "k8s-node3"]);
        assert_eq!(node3["status"]["nodeInfo"]["kubeletVersion"], format!("v{TARGET}"), "k8s-node3 was not finished");
        assert!(node3["spec"]["unschedulable"].is_null(), "k8s-node3 was left out of service");
        let status = self.types(&["status"]);
        assert!(status.stdout.contains("the lights flicker"), "status does not say why it is halted:\n{}", status.stdout);
        lab.say(&status.stdout);
        let refused = self.types(&["resume"]);
        assert_ne!(refused.code, Some(0), "resume goes on while halted: {}", refused.stderr);
        assert!(refused.stderr.contains("the lights flicker"), "{}", refused.stderr);
        let node2 = lab.json(&["get", "node", "k8s-node2"]);
        assert!(!end::marks(&node2).iter().any(|(key, _)| key == "cordoned-by"), "k8s-node2 was begun while halted");
        let lifted = self.types(&["halt", "--lift"]);
        assert_eq!(lifted.code, Some(0), "{}", lifted.stderr);
        self.resume("k8s-upgrade-worker-1-36-4-k8s-node2");
    }

    fn the_api_server_is_away_during_a_drain(&self) {
        let lab = self.lab;
        let job = self.worker("k8s-node2");
        lab.phase("the API server is away for 90 s while k8s-node2 is drained");
        lab.until(PHASE, "k8s-node2 to be cordoned by us", || {
            let ours =
                lab.try_kubectl(&["get", "node", "k8s-node2", "-o", "jsonpath={.metadata.annotations}"]).unwrap_or_default();
            if ours.contains("cordoned-by") { Ok(()) } else { Err("it serves".to_owned()) }
        });
        let address = |node: &serde_json::Value| {
            let all = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
            all.iter().find(|address| address["type"] == "InternalIP").map(|address| address["address"].clone())
        };
        let named = |node: serde_json::Value| Some((node["metadata"]["name"].as_str()?.to_owned(), address(&node)?));
        let addresses: serde_json::Value = lab.items(&["get", "nodes"]).into_iter().filter_map(named).collect();
        let (manifest, aside) = ("/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/kube-apiserver.yaml");
        lab.on("k8s-master", &format!("sudo -n mv {manifest} {aside} && sudo -n pkill -KILL -x kube-apiserver"));
        let since = Instant::now();
        assert_eq!(lab.try_kubectl(&["get", "--raw", "/readyz"]), None, "the API server answers");
        self.looks_by_ssh_alone(&addresses);
        std::thread::sleep(API_AWAY.saturating_sub(since.elapsed()));
        assert_eq!(ended(lab, &job).ok(), None);
        lab.on("k8s-master", &format!("sudo -n mv {aside} {manifest}"));
        lab.until(PHASE, "the API server to be back", || {
            lab.try_kubectl(&["get", "--raw", "/readyz"]).ok_or_else(|| "away".to_owned())
        });
        // Before k8s-node1 is drained.
        budget(lab, 2);
        self.cut_in_package("k8s-node2", "kubelet", "postinst", "iF");
        self.completes(&job);
    }

    /// Key, addresses and host keys are the person's own; no kubeconfig.
    fn looks_by_ssh_alone(&self, addresses: &serde_json::Value) {
        let lab = self.lab;
        let (key, known) = (lab.env("LAB_SSH_KEY"), lab.env("LAB_KNOWN_HOSTS"));
        let config = lab.scratch("alone.yaml");
        let settings =
            format!("cluster-name: lab\nssh-key-file: {key}\nknown-hosts-file: {known}\nhost-addresses: {addresses}\n");
        std::fs::write(&config, settings).expect("a file");
        let config = config.display().to_string();
        let types = |args: &[&str], code: i32, words: &[&str]| {
            let mut command = lab.product_command(&[&["--config", &config], args].concat());
            let ended = lab.told(process::run(command.env_remove("KUBECONFIG"), "", Duration::from_secs(120)), args);
            assert_eq!(ended.code, Some(code), "{}\n{}", ended.stdout, ended.stderr);
            for word in words {
                assert!(ended.stdout.contains(word), "{word:?} is not said by {args:?}:\n{}\n{}", ended.stdout, ended.stderr);
            }
        };
        types(
            &["status", "--hosts"],
            0,
            &["5 of 5 hosts answered", "has none of kube-apiserver", "former-1.36.3", "/backup/etcd-"],
        );
        types(&["rollback", "k8s-master"], 0, &["/backup/etcd-", FROM]);
        let status = self.types(&["status"]);
        assert_eq!(status.code, Some(7), "{}", status.stderr);
        assert!(status.stderr.contains("status --hosts"), "{}", status.stderr);
    }

    fn a_budget_that_cannot_be_satisfied(&self) {
        let lab = self.lab;
        let job = self.worker("k8s-node1");
        lab.phase("k8s-node1: a budget lets no pod go; the person mends it, and `resume` goes on");
        let before = uids(lab);
        self.fails(&job, &["shop/pair"]);
        assert_eq!(uids(lab), before, "a pod was deleted that its budget keeps");
        budget(lab, 1);
        self.resume(&job);
        self.completes(&job);
    }
}

fn budget(lab: &Lab, least: i64) {
    let spec = json!({ "minAvailable": least, "selector": { "matchLabels": { "app": "pair" } } });
    let metadata = json!({ "name": "pair", "namespace": "shop" });
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec });
    lab.apply(&budget.to_string());
}

fn uids(lab: &Lab) -> Vec<String> {
    let pods = lab.items(&["-n", "shop", "get", "pods", "-l", "app=pair"]);
    let mut uids: Vec<String> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)).collect();
    uids.sort();
    uids
}

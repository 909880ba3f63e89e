//! What breaks in the middle, in Jobs and on nodes: the right exit code, a message of three parts, in bounded time, and nothing changed that
//! need not have been. Then it is mended, and the same command goes on.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::end::{self, Expected, marks};
use super::install::{ended, install};
use super::lab::{Lab, NAMESPACE};
use super::process::{Ended, missing_parts};
use super::turns::Turns;

/// What a node keeps of its work, one field a line.
const STATUS: &str = "/var/lib/k8s-upgrade/work/status";
const FROM: &str = "1.36.3";
pub const TARGET: &str = "1.36.4";
const WORKERS: [&str; 2] = ["k8s-node2", "k8s-node1"];
const CLUSTER_ROLE: &str = "k8s-upgrade-job";
/// A worker's upgrade, its drain included.
pub const A_WORKER: Duration = Duration::from_secs(90);

pub fn run() {
    let lab = Lab::fresh(2, FROM, &[FROM, TARGET]);
    let config = install(&lab, super::patch::WAITS);
    let since = Timestamp::now();
    let it = Broken { lab: &lab, config };
    it.a_job_without_its_secret();
    it.a_job_without_a_right();
    it.control_plane();
    it.not_offered();
    it.two_at_once();
    it.full_disk();
    it.half_configured();
    it.kubeadm_fails();
    it.another_package_manager();
    it.an_alert_between_nodes();
    it.a_node_that_never_gets_ready();

    lab.phase("what is true at the end");
    let expected =
        Expected { from: FROM, to: TARGET, control_planes: &["k8s-master"], workers: &WORKERS, cordoned: &[], since, by_hand: 0 };
    end::versions(&lab, &expected);
    end::nothing_left(&lab, &expected);
    end::packages(&lab, &expected);
}

struct Broken<'a> {
    lab: &'a Lab,
    config: String,
}

impl Broken<'_> {
    // --- the program, and what it may change ------------------------------------------------------------------------------------

    fn product(&self, args: &[&str], limit: Duration) -> Ended {
        self.lab.typed(&self.config, args, limit)
    }

    /// Runs a command that must end with `code`, say each of `words` in three parts, and touch no node but `node`.
    fn fails(&self, args: &[&str], code: i32, words: &[&str], node: &str) -> Ended {
        let before = self.all_but(node);
        let ended = self.product(args, A_WORKER);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        says(&ended.stderr, words);
        assert_eq!(self.all_but(node), before, "more than {node} has changed:\n{}", ended.stderr);
        ended
    }

    fn upgrade(&self, node: &str, limit: Duration) -> Ended {
        let ended = self.product(&["upgrade-node", node, "--target", TARGET, "--yes"], limit);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    /// The run's marks, the Leases, and each other node: in service or not, its marks, its version.
    fn all_but(&self, name: &str) -> Value {
        let lab = self.lab;
        let nodes = lab.items(&["get", "nodes"]);
        let others = nodes.iter().filter(|node| node["metadata"]["name"] != name).map(|node| {
            json!([
                node["metadata"]["name"],
                node["spec"]["unschedulable"],
                marks(node),
                ready(node),
                node["status"]["nodeInfo"]["kubeletVersion"]
            ])
        });
        json!({
            "nodes": others.collect::<Vec<_>>(),
            "namespace": marks(&lab.json(&["get", "namespace", NAMESPACE])),
            "leases": lab.items(&["-n", NAMESPACE, "get", "leases"]).len(),
        })
    }

    fn dpkg(&self, node: &str) -> String {
        self.lab.on(
            node,
            "dpkg-query -W -f='${Package}=${Version} ${db:Status-Abbrev}\\n' kubeadm kubectl kubelet; apt-mark showhold",
        )
    }

    /// Out of service by us, its former versions on record, and the kubelet that the machine really runs.
    fn left_cordoned(&self, name: &str, kubelet: &str) {
        let node = self.lab.json(&["get", "node", name]);
        assert_eq!(node["spec"]["unschedulable"], true, "{name} is not cordoned");
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], format!("v{kubelet}"), "kubelet of {name}");
        let marks = marks(&node);
        let value = |key: &str| marks.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert!(value("cordoned-by").is_some(), "{name} does not carry our cordon: {marks:?}");
        let former = value("former-versions").unwrap_or_default();
        assert!(former.contains(&format!("kubelet={FROM}-")), "{name}: former-versions is {former:?}");
        // What was drained from it serves elsewhere.
        self.lab.kubectl(&["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"]);
    }

    // --- in a pod ---------------------------------------------------------------------------------------------------------------

    /// A forecast by a Job like those that detection creates: its exit code and its log.
    fn forecast(&self, name: &str) -> (Value, String) {
        let lab = self.lab;
        let cronjob = lab.json(&["-n", NAMESPACE, "get", "cronjob", "k8s-version-check"]);
        let mut spec = cronjob["spec"]["jobTemplate"]["spec"].clone();
        spec["template"]["spec"]["containers"][0]["args"] = json!(["preflight", "--target", TARGET, "--dry-run"]);
        let metadata = json!({ "name": name, "namespace": NAMESPACE });
        lab.apply(&json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec }).to_string());
        // That it fails at the first try is asserted too: a refusal counts against no backoff.
        let end = lab.until(A_WORKER, &format!("{name} to end"), || ended(lab, name));
        assert_eq!(end, "Failed", "{name}");
        let pods = lab.items(&["-n", NAMESPACE, "get", "pods", "-l", &format!("batch.kubernetes.io/job-name={name}")]);
        assert_eq!(pods.len(), 1, "a person must mend it, and yet it was tried again");
        let log = lab.kubectl(&["-n", NAMESPACE, "logs", &format!("job/{name}")]);
        let code = pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone();
        lab.say(format!("    exit {code}: {name}"));
        (code, log)
    }

    fn refuses_in_a_pod(&self, name: &str, words: &[&str]) {
        let before = self.all_but("");
        let (code, log) = self.forecast(name);
        assert_eq!(code, 4, "{log}");
        says(&log, words);
        assert_eq!(self.all_but(""), before, "a forecast changed something:\n{log}");
    }

    /// As both messages say, and the README: `k8s-upgrade manifests … | kubectl apply -f -`.
    fn install_again(&self) {
        let cronjob = self.lab.json(&["-n", NAMESPACE, "get", "cronjob", "k8s-version-check"]);
        let image = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let (image, key) = (image.as_str().expect("an image"), self.lab.env("LAB_SSH_KEY"));
        let webhook = self.lab.scratch("webhook").display().to_string();
        let secrets = ["--ssh-key", key, "--slack-webhook", &webhook];
        let manifests = [&["--config", &self.config, "manifests", "--image", image], &secrets[..]].concat();
        self.lab.apply(&self.lab.product(&manifests).good());
    }

    fn a_job_without_its_secret(&self) {
        self.lab.phase("a Job without its Secret");
        self.lab.kubectl(&["-n", NAMESPACE, "delete", "secret", "k8s-upgrade-creds"]);
        self.refuses_in_a_pod("no-secret", &["the Secret k8s-upgrade/k8s-upgrade-creds is missing or has no ssh_key"]);
        self.install_again();
    }

    fn a_job_without_a_right(&self) {
        let lab = self.lab;
        lab.phase("a Job without a right");
        let mut rules = lab.json(&["get", "clusterrole", CLUSTER_ROLE])["rules"].clone();
        let whole = rules.clone();
        let nodes = rules.as_array_mut().expect("rules").iter_mut().find(|rule| rule["resources"] == json!(["nodes"]));
        let verbs = nodes.expect("a rule for nodes")["verbs"].as_array_mut().expect("verbs");
        verbs.retain(|verb| verb != "patch");
        lab.kubectl(&["patch", "clusterrole", CLUSTER_ROLE, "--type=merge", "-p", &json!({ "rules": rules }).to_string()]);
        self.refuses_in_a_pod("no-right", &["patch nodes in the whole cluster", "k8s-upgrade manifests --image"]);
        self.install_again();
        assert_eq!(lab.json(&["get", "clusterrole", CLUSTER_ROLE])["rules"], whole, "the rights after another installation");
    }

    // --- on nodes ---------------------------------------------------------------------------------------------------------------

    /// By hand, from outside; the API server goes away and comes back meanwhile.
    fn control_plane(&self) {
        let lab = self.lab;
        lab.phase("the control plane, by hand; k8s-node2 is taken out at the same moment, and gives way");
        let mut other = Turns::begin(lab, &self.config, "k8s-master", "k8s-node2");
        other.until_said("k8s-master  waits for no other node to be out of service by our doing: k8s-node2");
        other.the_other_gives_way();
        let (code, said) = other.end(Duration::from_secs(6 * 60));
        assert_eq!(code, Some(0), "{said}");
        says_also(&said, &["back in service at 1.36.4"]);
        let images = end::images(lab);
        assert!(images.iter().any(|(name, image)| name == "kube-apiserver" && image.ends_with(":v1.36.4")), "{images:?}");
    }

    /// Nothing is taken out of service for a version that cannot be had.
    fn not_offered(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: its repository does not offer the target");
        lab.tool(&["publish", FROM]);
        let words = ["k8s-node2: its repository does not offer kubeadm 1.36.4 yet", "it offers 1.36.3-1.1"];
        let ended = self.fails(&["upgrade-node", "k8s-node2", "--target", TARGET, "--yes"], 3, &words, "");
        assert!(!ended.stderr.contains("cordon …"), "it was cordoned:\n{}", ended.stderr);
        lab.tool(&["publish", FROM, TARGET]);
    }

    /// Two that pass the gate together: this one's node comes second, so that it gives way at once.
    fn two_at_once(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: k8s-node1 is taken out at the same moment");
        let before = self.all_but("k8s-node1");
        let mut other = Turns::begin(lab, &self.config, "k8s-node2", "k8s-node1");
        let (code, said) = other.end(A_WORKER);
        other.the_other_gives_way();
        assert_eq!(code, Some(6), "{said}");
        says(&said, &["k8s-node2: k8s-node1 was taken out of service at the same moment", "k8s-upgrade upgrade-node k8s-node2"]);
        says_also(&said, &["cordon: done", "take our cordon back: done"]);
        assert!(!said.contains("drain …"), "it was drained:\n{said}");
        assert_eq!(self.all_but("k8s-node1"), before, "k8s-node2 is not as it was:\n{said}");
    }

    fn full_disk(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: a full disk");
        lab.on("k8s-node2", "sudo -n mount -t tmpfs -o size=100m lab-full-disk /var/cache/apt");
        let words = ["k8s-node2: /var/cache/apt has ", " MiB free, 600 MiB are wanted", "df -h /var/cache/apt"];
        let before = self.dpkg("k8s-node2");
        self.fails(&["preflight", "--target", TARGET, "--dry-run"], 4, &words, "");
        assert_eq!(self.dpkg("k8s-node2"), before, "packages of k8s-node2");
        lab.on("k8s-node2", "sudo -n umount /var/cache/apt");
    }

    /// What a power cut in somebody's installation leaves, its hold lost. It stays so: `upgrade-node` is to mend it.
    fn half_configured(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: a half-configured kubelet");
        lab.on("k8s-node2", "sudo -n dpkg --unpack /var/cache/apt/archives/kubelet_1.36.3-*.deb");
        let before = self.dpkg("k8s-node2");
        assert!(before.contains("kubelet=1.36.3-1.1 iU"), "the kubelet is not half configured: {before}");
        let words = ["k8s-node2: packages are half installed", "kubelet 1.36.3-1.1 is iU", "dpkg --configure -a"];
        self.fails(&["preflight", "--target", TARGET, "--dry-run"], 4, &words, "");
        assert_eq!(self.dpkg("k8s-node2"), before, "packages of k8s-node2");
    }

    /// It begins with the kubelet half configured, which is mended at its own version, and ends with kubeadm refusing a phase that it does not have.
    fn kubeadm_fails(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: kubeadm fails for good");
        let words = [
            "kubeadm upgrade node failed (exit 1)",
            "invalid phase name: no-such-phase",
            "k8s-node2 is cordoned by this program and Ready, its kubelet is 1.36.3.",
            "k8s-upgrade upgrade-node k8s-node2 --target 1.36.4",
        ];
        let flags = ["--set", "kubeadm-flags=--skip-phases=no-such-phase"];
        self.fails(&[&["upgrade-node", "k8s-node2", "--target", TARGET, "--yes"], &flags[..]].concat(), 5, &words, "k8s-node2");
        self.left_cordoned("k8s-node2", FROM);
        let packages = self.dpkg("k8s-node2");
        says_also(
            &packages,
            &["kubeadm=1.36.4-1.1 hi", "kubelet=1.36.3-1.1 hi", "kubectl=1.36.3-1.1 hi", "\nkubeadm\nkubectl\nkubelet\n"],
        );
        assert_eq!(lab.on("k8s-node2", "sudo -n dpkg --audit").trim(), "", "dpkg --audit on k8s-node2");
    }

    /// The right flags; but somebody else's apt holds dpkg's lock until our step has been running for 5 s.
    fn another_package_manager(&self) {
        let lab = self.lab;
        lab.phase("k8s-node2: the same command goes on, and waits for another package manager");
        lab.on(
            "k8s-node2",
            &format!(
                "sudo -n systemd-run --quiet --unit=lab-other-apt -p RuntimeMaxSec=120 --setenv=DEBIAN_FRONTEND=noninteractive \
             apt-get -q -y install --reinstall cri-tools -o 'DPkg::Pre-Invoke::=touch /run/lab-lock-taken; \
             until grep -qs \"^step=kubelet-packages\" {STATUS} && grep -qs \"^status=running\" {STATUS}; do sleep 0.2; done; \
             sleep 5; touch /run/lab-lock-kept'"
            ),
        );
        lab.until(Duration::from_secs(20), "another apt to hold the lock on k8s-node2", || {
            let taken = lab.ssh("k8s-node2", "ls /run/lab-lock-taken");
            if taken.is_empty() { Err("it does not".to_owned()) } else { Ok(()) }
        });
        let ended = self.upgrade("k8s-node2", A_WORKER);
        says_also(&ended.stderr, &["k8s-node2  waits for dpkg's lock: process ", "apt-get -q -y install --reinstall cri-tools"]);
        // Our step began before the lock was given up, and unpacked the kubelet after it.
        let newer =
            |a: &str, b: &str| lab.on("k8s-node2", &format!("sudo -n bash -c '[[ {a} -nt {b} ]]; echo $?'")).trim() == "0";
        assert!(newer("/run/lab-lock-kept", "/var/lib/k8s-upgrade/work/script"), "the lock was let go before our step began");
        assert!(newer("/var/lib/dpkg/info/kubelet.list", "/run/lab-lock-kept"), "our step did not wait for the lock");
    }

    fn an_alert_between_nodes(&self) {
        let lab = self.lab;
        lab.phase("between k8s-node2 and k8s-node1: an alert that goes on firing");
        lab.tool(&["alert", "NodeDiskFull", "on", "node=k8s-node2"]);
        let args = ["upgrade-node", "k8s-node1", "--target", TARGET, "--yes", "--set", "alert-wait=12s"];
        self.fails(&args, 3, &["k8s-node1: 1 alert(s) firing (waited 12s)", "NodeDiskFull (node=k8s-node2)"], "");
        lab.tool(&["alert", "NodeDiskFull", "off"]);
    }

    /// Its new kubelet comes up without a network: somebody takes CNI's configuration away while its packages are being installed.
    fn a_node_that_never_gets_ready(&self) {
        let lab = self.lab;
        lab.phase("k8s-node1: it never gets Ready");
        let cni = "/etc/cni/net.d/10-lab.conflist";
        lab.on(
            "k8s-node1",
            &format!(
                "sudo -n systemd-run --quiet --unit=lab-no-cni -p RuntimeMaxSec=120 bash -c 'until grep -qs \
                 \"^step=kubelet-packages\" {STATUS} && grep -qs \"^status=running\" {STATUS}; do sleep 0.2; done; mv {cni} /root/'"
            ),
        );
        let words = [
            "k8s-node1: waited 20s for the node to be Ready at its version: not Ready",
            "cni plugin not initialized",
            "k8s-node1 is cordoned by this program and NOT Ready, its kubelet is 1.36.4.",
            "kubectl describe node k8s-node1",
            "k8s-upgrade upgrade-node k8s-node1 --target 1.36.4",
        ];
        let args = ["upgrade-node", "k8s-node1", "--target", TARGET, "--yes", "--set", "ready-deadline=20s"];
        self.fails(&args, 5, &words, "k8s-node1");
        self.left_cordoned("k8s-node1", TARGET);

        lab.phase("k8s-node1: mended, the same command goes on");
        // Written anew, not moved: containerd looks at writes alone.
        lab.on("k8s-node1", &format!("sudo -n cp /root/10-lab.conflist {cni}"));
        let ended = self.upgrade("k8s-node1", A_WORKER);
        says_also(&ended.stderr, &["our cordon is taken back"]);
    }
}

fn ready(node: &Value) -> &Value {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().find(|condition| condition["type"] == "Ready").map_or(&Value::Null, |condition| &condition["status"])
}

/// A message of three parts with each of these words.
fn says(text: &str, words: &[&str]) {
    let missing = missing_parts(text);
    assert!(missing.is_empty(), "the message does not say {}:\n{text}", missing.join(", nor "));
    says_also(text, words);
}

fn says_also(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
}

//! Control planes lose their power at the worst points of an upgrade, the balancer knows only the node in work, and members are stopped while
//! their Nodes show Ready. After each the chain goes on by itself, or one command does.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::Client;
use super::members::Members;
use super::{NAMES, lost_nothing};
use crate::disturb::{PHASE, wait_for_pod, working, workload};
use crate::end::{self, Expected};
use crate::install::{detect, ended, install};
use crate::lab::{COMMAND, Lab, NAMESPACE};
use crate::patch::WAITS;
use crate::process::Ended;
use crate::watch::Watch;

const FROM: &str = "1.36.3";
const TARGET: &str = "1.36.4";
const WORKERS: [&str; 1] = ["k8s-node1"];
/// A machine that has lost its power is away for so long.
const DARK: Duration = Duration::from_secs(15);
/// Writes a second of a disk on which each of etcd's takes a quarter of a second. With eight, its member soon answers nobody.
const SLOW: u32 = 20;
/// On a machine that is busy with other things, too.
const TURN: Duration = Duration::from_secs(15 * 60);

pub fn run() -> Lab {
    let lab = Lab::fresh_of(3, 1, FROM, &[FROM, TARGET]);
    let config = install(&lab, WAITS);
    workload(&lab);
    let since = Timestamp::now();
    let (watch, members, client) = (Watch::start(&lab), Members::start(&lab), Client::start(&lab));
    let it = Faults { lab: &lab, watch: &watch, config };

    it.a_member_is_away_before_the_run(&members);
    it.a_member_is_slow_before_the_run();
    lab.phase("detection");
    detect(&lab, "detect-power");
    it.in_the_step_of("k8s-master", "etcd", "k8s-upgrade-master-1-36-4");
    it.in_the_step_of("k8s-master2", "kube-apiserver", "k8s-upgrade-master-1-36-4-k8s-master2");
    it.a_member_is_away_between_two_turns();
    it.at_its_kubelets_restart();

    lab.phase("to the end");
    it.goes_on("k8s-upgrade-postflight-1-36-4");
    std::thread::sleep(Duration::from_secs(2));
    let (_, members, client) = (watch.end(), members.end(), client.served(&lab));
    super::told(&lab, &members);
    lost_nothing(&lab, &client);
    lab.phase("what is true at the end");
    let expected =
        Expected { from: FROM, to: TARGET, control_planes: &NAMES, workers: &WORKERS, cordoned: &[], since, by_hand: 0 };
    end::versions(&lab, &expected);
    end::nothing_left(&lab, &expected);
    end::packages(&lab, &expected);
    assert!(members.several_away.is_empty(), "members of etcd away at once: {:?}", members.several_away);
    lab
}

struct Faults<'a> {
    lab: &'a Lab,
    watch: &'a Watch,
    config: String,
}

impl Faults<'_> {
    fn types(&self, args: &[&str]) -> Ended {
        self.lab.typed(&self.config, args, COMMAND)
    }

    /// The Job ends well by itself, or after one `resume`.
    fn goes_on(&self, job: &str) {
        let lab = self.lab;
        let end = lab.until(TURN, &format!("{job} to end"), || ended(lab, job));
        if end == "Complete" {
            return lab.say(format!("    {job} went on by itself"));
        }
        let log = lab.kubectl(&["-n", NAMESPACE, "logs", &format!("job/{job}")]);
        lab.say(format!("    {job} failed:\n{log}"));
        let resumed = self.types(&["resume"]);
        assert!(resumed.code == Some(0) && resumed.stderr.contains(&format!("Job {job} created")), "{}", resumed.stderr);
        let end = lab.until(TURN, &format!("{job} to end"), || ended(lab, job));
        assert_eq!(end, "Complete", "{job} after resume");
        lab.say(format!("    {job} went on after one resume"));
    }

    fn cut(&self, node: &str) {
        self.lab.say(format!("    {node} is dark"));
        self.lab.tool(&["node", node, "cut"]);
        std::thread::sleep(DARK);
        self.lab.tool(&["node", node, "start"]);
    }

    /// Power is cut while kubeadm replaces that static pod.
    fn in_the_step_of(&self, node: &str, component: &str, job: &str) {
        let lab = self.lab;
        wait_for_pod(lab, self.watch, job);
        lab.phase(&format!("{node} loses power in the step of {component}"));
        working(lab, node, "kubeadm-upgrade", TARGET);
        let begun = Instant::now();
        // Where its manifest stays as it is, kubeadm only restarts it; it waits for the kubelet either way.
        let preparing = format!("Preparing for \"{component}\" upgrade");
        let restarts = |log: &str| {
            log.split_once(&preparing)
                .is_some_and(|(_, after)| after.contains("Waiting for the kubelet to restart the component"))
        };
        let look = "sudo -n cat /var/lib/k8s-upgrade/work/log";
        while !restarts(&lab.ssh(node, look)) {
            assert!(begun.elapsed() < PHASE, "kubeadm never came to {component}:\n{}", lab.ssh(node, look));
            std::thread::sleep(Duration::from_millis(200));
        }
        self.cut(node);
        self.goes_on(job);
    }

    /// etcd of a control plane is stopped, whose kubelet goes on: its Node shows Ready all along.
    fn stop_member(&self, node: &str) {
        self.lab.on(node, "sudo -n mkdir -p /root/aside && sudo -n mv /etc/kubernetes/manifests/etcd.yaml /root/aside/");
        self.lab.until(Duration::from_secs(90), "its etcd to have ended", || {
            let left = self.lab.ssh(node, "pgrep -x etcd");
            if left.trim().is_empty() { Ok(()) } else { Err(left) }
        });
        let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        assert_eq!(self.lab.kubectl(&["get", "node", node, "-o", ready]).trim(), "True", "{node} shows that it is not Ready");
    }

    fn start_member(&self, node: &str) {
        self.lab.on(node, "sudo -n mv /root/aside/etcd.yaml /etc/kubernetes/manifests/");
        self.lab.until(Duration::from_secs(180), "its etcd and its API server to be well", || {
            let look = "curl -sS -m 3 http://127.0.0.1:2381/health; curl -sSk -m 3 https://127.0.0.1:6443/readyz";
            let said = self.lab.ssh(node, look);
            if said.contains("\"health\":\"true\"") && said.ends_with("ok") { Ok(()) } else { Err(said) }
        });
        // The kubelet may be about to restart that API server, for what its probes found before.
        let pod = format!("kube-apiserver-{node}");
        self.lab.until(Duration::from_secs(240), "its API server's pod to have been Ready for a while", || {
            let pod = self.lab.json(&["-n", "kube-system", "get", "pod", &pod]);
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
            let since = ready["lastTransitionTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
            let settled = since.is_some_and(|since| Timestamp::now().duration_since(since).as_secs() > 45);
            if ready["status"] == "True" && settled { Ok(()) } else { Err(ready.to_string()) }
        });
    }

    fn untouched(&self, node: &str) {
        let marks = end::marks(&self.lab.json(&["get", "node", node]));
        assert!(!marks.iter().any(|(key, _)| key == "cordoned-by"), "{node} was begun: {marks:?}");
    }

    /// What is detected begins nothing, leaves nothing, and says why.
    fn deferred(&self, detection: &str, why: &str) {
        let lab = self.lab;
        detect(lab, detection);
        let job = "k8s-upgrade-preflight-1-36-4";
        let end = lab.until(PHASE, &format!("{job} to end"), || ended(lab, job));
        let log = lab.kubectl(&["-n", NAMESPACE, "logs", &format!("job/{job}")]);
        lab.say(log.lines().filter(|line| line.contains("etcd") || line.contains("readyz")).collect::<Vec<_>>().join("\n"));
        assert!(end == "Complete" && log.contains(why), "{end}:\n{log}");
        for node in NAMES {
            self.untouched(node);
        }
        let namespace = end::marks(&lab.json(&["get", "namespace", NAMESPACE]));
        assert!(!namespace.iter().any(|(key, _)| key == "in-flight"), "{namespace:?}");
    }

    /// Quorum at its edge: nothing begins.
    fn a_member_is_away_before_the_run(&self, members: &Members) {
        self.lab.phase("etcd of k8s-master3 is stopped, its Node Ready: a run is held, and nothing is left");
        self.stop_member("k8s-master3");
        self.deferred("detect-edge", "etcd of k8s-master3");
        assert!(members.now().several_away.is_empty());
        self.start_member("k8s-master3");
    }

    /// A member whose disk takes its time is well by its own word, and the others outvote it: nothing begins all the same.
    fn a_member_is_slow_before_the_run(&self) {
        let node = "k8s-master2";
        self.lab.phase("the disk of etcd on k8s-master2 is slow: a run is held, and nothing is left");
        self.disk(node, Some(SLOW));
        assert!(self.lab.ssh(node, "curl -sS -m 3 http://127.0.0.1:2381/health").contains("\"health\":\"true\""));
        self.deferred("detect-slow", "etcd of k8s-master2: ");
        self.disk(node, None);
    }

    /// So many writes a second the kernel lets etcd of that control plane do; None: as many as it likes.
    fn disk(&self, node: &str, writes: Option<u32>) {
        let limit = writes.unwrap_or(0); // to the kernel, none
        self.lab.on(
            node,
            &format!(
                "set -e; of=$(sed -n 's/^[0-9]*:blkio://p' /proc/$(pgrep -x etcd)/cgroup); on=$(findmnt -nro MAJ:MIN -T /var/lib/etcd); \
                 echo \"$on {limit}\" | sudo -n tee /sys/fs/cgroup/blkio\"$of\"/blkio.throttle.write_iops_device"
            ),
        );
    }

    /// The same within a run: the next control plane is not begun; one command, once it is mended.
    fn a_member_is_away_between_two_turns(&self) {
        let lab = self.lab;
        lab.phase("etcd of k8s-master2 is stopped before the turn of k8s-master3");
        let job = "k8s-upgrade-master-1-36-4-k8s-master3";
        self.stop_member("k8s-master2");
        let held = lab.until(PHASE, &format!("{job} to hold"), || {
            if let Ok(end) = ended(lab, job) {
                return Ok(end);
            }
            let status = self.types(&["status"]).stdout;
            if status.contains("etcd of k8s-master2") { Ok("waits".to_owned()) } else { Err(status) }
        });
        lab.say(format!("    {job}: {held}"));
        assert_ne!(held, "Complete", "{job} was not to go on with a second member away");
        self.untouched("k8s-master3");
        lab.say(self.types(&["status"]).stdout);
        self.start_member("k8s-master2");
        if held == "Failed" {
            let resumed = self.types(&["resume"]);
            assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
        }
    }

    /// The balancer knows only this node, and so the endpoint of the cluster is away with it.
    fn at_its_kubelets_restart(&self) {
        let (lab, node, job) = (self.lab, "k8s-master3", "k8s-upgrade-master-1-36-4-k8s-master3");
        wait_for_pod(lab, self.watch, job);
        lab.phase("the balancer knows only k8s-master3, which loses power at its kubelet's restart");
        working(lab, node, "kubeadm-upgrade", TARGET);
        lab.tool(&["service", "balancer", "to", node]);
        working(lab, node, "kubelet-packages", TARGET);
        let begun = Instant::now();
        let new = format!("kubelet={TARGET}-");
        while !lab.ssh(node, "dpkg-query -W -f='kubelet=${Version} ${db:Status-Abbrev}' kubelet").contains(&new) {
            assert!(begun.elapsed() < PHASE, "its kubelet's package never came");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.cut(node);
        self.goes_on(job);
        lab.tool(&["service", "balancer", "to", "k8s-master", "k8s-master2", "k8s-master3"]);
    }
}

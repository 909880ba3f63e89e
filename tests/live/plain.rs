//! A stranger's cluster, with an SSH login and a kubeconfig and nothing else: from the first look to the end of a minor upgrade.

use std::time::Duration;

use super::apis;
use super::disturb::PHASE;
use super::end;
use super::install::{ended, install_alone, plain_config};
use super::lab::{COMMAND, Lab, NAMESPACE, mark};

const TARGET: &str = "1.36.3";
const SETTINGS: &str = "alerts: \"off\"\ngauges: \"off\"\nsnapshot: etcdctl\nsoak: 5s\n";

pub fn run() {
    let lab = Lab::fresh(1, "1.35.4", &["1.35.4", TARGET]);
    for service in ["prometheus", "pushgateway"] {
        lab.tool(&["service", service, "stop"]);
    }
    lab.kubectl(&["-n", "default", "delete", "cronjob", "backup-etcd"]);

    lab.phase("the first look: what is missing is said, with what to type, and written as settings");
    let bare = plain_config(&lab, "");
    let offered = lab.scratch("offered.yaml").display().to_string();
    let key = format!("ssh-key-file={}", lab.env("LAB_SSH_KEY"));
    let look = lab.typed(&bare, &["check", "--write-config", &offered, "--set", &key], COMMAND);
    assert_ne!(look.code, Some(0), "{}", look.stdout);
    let offered = std::fs::read_to_string(&offered).unwrap_or_else(|error| panic!("{error}: {}\n{}", look.stdout, look.stderr));
    lab.say(&offered);
    for line in ["alerts: \"off\"", "gauges: \"off\"", "snapshot: \"etcdctl\""] {
        assert!(offered.contains(line) || look.stdout.contains(line), "{line} is not offered:\n{}\n{offered}", look.stdout);
    }

    lab.phase("installed, and looked at again");
    let config = plain_config(&lab, SETTINGS);
    install_alone(&lab, &config);
    let look = lab.typed(&config, &["check"], COMMAND);
    assert_eq!(look.code, Some(0), "{}\n{}", look.stdout, look.stderr);
    lab.say(lab.ssh("k8s-node1", "sudo -n kubeadm certs check-expiration -o json 2>&1 | tail -n 3"));
    apis::deprecated(&lab, &config);
    slow_disk(&lab, &config);
    let plan = lab.typed(&config, &["plan", "--target", TARGET], COMMAND);
    lab.say(&plan.stdout);
    assert!(plan.code == Some(0) && plan.stdout.contains("no earlier run is on record"), "{}\n{}", plan.stdout, plan.stderr);
    let data = lab.typed(&config, &["plan", "--target", TARGET, "-o", "json"], COMMAND);
    let data: serde_json::Value = serde_json::from_str(&data.stdout).expect("JSON");
    let planned: Vec<&str> = data["turns"].as_array().expect("turns").iter().filter_map(|turn| turn["job"].as_str()).collect();

    lab.phase("the upgrade");
    let started = lab.typed(&config, &["start", "--target", TARGET, "--yes"], COMMAND);
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    let marked = |suffix: &str| {
        let namespace = lab.try_kubectl(&["get", "namespace", NAMESPACE, "-o", "json"])?;
        let namespace: serde_json::Value = serde_json::from_str(&namespace).ok()?;
        Some(namespace["metadata"]["annotations"][mark(suffix)].as_str().map(str::to_owned))
    };
    lab.until(PHASE, "the run to be claimed", || marked("baseline").flatten().map(drop).ok_or_else(|| "it is not".to_owned()));

    lab.phase("what crashes again and again since the claim holds the run after the control plane, and is named");
    crashes(&lab);
    let master = "k8s-upgrade-master-1-36-3";
    let end = lab.until(PHASE, &format!("{master} to end"), || ended(&lab, master));
    assert_eq!(end, "Failed", "{master}");
    let status = lab.typed(&config, &["status"], COMMAND);
    assert!(status.stdout.contains("Deployment shop/loops has a pod that crashes again and again"), "{}", status.stdout);
    assert_eq!(
        lab.json(&["get", "node", "k8s-node1"])["status"]["nodeInfo"]["kubeletVersion"],
        "v1.35.4",
        "the worker was begun"
    );
    lab.kubectl(&["delete", "namespace", "shop"]);
    let resumed = lab.typed(&config, &["resume", "--yes"], COMMAND);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    lab.until(PHASE, "the run to end", || match marked("in-flight") {
        Some(None) => Ok(()),
        Some(Some(_)) => Err("it is in flight".to_owned()),
        None => Err("the API server is away".to_owned()),
    });
    for node in ["k8s-master", "k8s-node1"] {
        let node = lab.json(&["get", "node", node]);
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], format!("v{TARGET}"));
        assert!(node["spec"]["unschedulable"].is_null(), "{:?}", end::marks(&node));
    }
    let created: Vec<String> = lab
        .items(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain", "--sort-by=.metadata.creationTimestamp"])
        .iter()
        .filter_map(|job| job["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    // The control plane's Job was made anew, by its name.
    let names = |jobs: &[&str]| jobs.iter().map(|job| (*job).to_owned()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        created.into_iter().collect::<std::collections::BTreeSet<_>>(),
        names(&planned),
        "what was planned is what was done"
    );

    lab.phase("what is told of it without any monitoring");
    let report = lab.typed(&config, &["report"], COMMAND);
    assert!(report.code == Some(0) && report.stdout.contains("complete after"), "{}", report.stdout);
    let described = lab.kubectl(&["describe", "node", "k8s-node1"]);
    assert!(described.contains("k8s-upgrade"), "no Event on the node:\n{described}");
    apis::removed(&lab, &config);

    // Of a control plane that was upgraded there is the run's own snapshot, as its report names it.
    let snapshot = report.stdout.lines().find_map(|line| line.strip_prefix("etcd snapshot ")).expect("the report names it");
    let looked = format!("sudo -n stat -c '%s' {snapshot}");
    assert!(lab.on("k8s-master", &looked).trim().parse::<u64>().is_ok_and(|bytes| bytes > 1 << 20), "{snapshot}");
}

/// etcd's container may write ten times a second, as on a disk that others keep busy: no run begins on it.
fn slow_disk(lab: &Lab, config: &str) {
    lab.phase("an etcd that is slow holds, and is named; once it is as before, the gate passes");
    let throttle = |writes: u32, max: &str| {
        let script = format!(
            "pid=$(pgrep -x etcd); device=$(findmnt -no MAJ:MIN -T /var/lib/etcd); \
             group=$(sed -n s/^[0-9]*:blkio://p /proc/$pid/cgroup); file=/sys/fs/cgroup/blkio$group/blkio.throttle.write_iops_device; \
             if [ -e $file ]; then echo $device {writes} >$file; \
             else echo $device wiops={max} >/sys/fs/cgroup$(sed -n s/^0:://p /proc/$pid/cgroup)/io.max; fi"
        );
        lab.on("k8s-master", &format!("sudo -n bash -c '{script}'"));
    };
    throttle(10, "10");
    let looked = lab.typed(config, &["preflight", "--target", TARGET, "--dry-run"], COMMAND);
    throttle(0, "max");
    lab.say(looked.stderr.lines().filter(|line| line.contains("etcd")).collect::<Vec<_>>().join("\n"));
    assert!(looked.code == Some(3) && looked.stderr.contains("etcd of k8s-master"), "{:?} {}", looked.code, looked.stderr);
    lab.until(Duration::from_secs(120), "etcd to be fast again", || {
        let looked = lab.typed(config, &["preflight", "--target", TARGET, "--dry-run"], COMMAND);
        if looked.stderr.contains("gate etcd: pass") { Ok(()) } else { Err(looked.stderr) }
    });
}

/// A Deployment that was not there at the claim: its program ends at once, each time.
fn crashes(lab: &Lab) {
    let detection = lab.json(&["-n", NAMESPACE, "get", "cronjob", "k8s-version-check"]);
    let image =
        detection["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    lab.apply(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: loops, namespace: shop}}\n\
         spec: {{replicas: 1, selector: {{matchLabels: {{app: loops}}}}, template: {{metadata: {{labels: {{app: loops}}}}, \
         spec: {{containers: [{{name: loops, image: \"{image}\", imagePullPolicy: Never, args: [\"--version\"]}}]}}}}}}\n"
    ));
}

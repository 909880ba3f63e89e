//! What is true of every cluster after a run that ended well, whatever happened on the way.

use jiff::Timestamp;
use serde_json::Value;

use super::lab::{Lab, NAMESPACE, mark};
use super::watch::Observed;

/// A run, as the test expects it.
pub struct Expected<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub control_planes: &'a [&'a str],
    /// Workers in the order of their upgrade, the runner last.
    pub workers: &'a [&'a str],
    /// Nodes that a person had cordoned.
    pub cordoned: &'a [&'a str],
    /// When the run was asked for.
    pub since: Timestamp,
    /// So many of its last phases a person performed in a process of their own.
    pub by_hand: usize,
}

impl Expected<'_> {
    /// The runbook's cluster of five nodes from 1.35.4 to 1.36.3, by Jobs alone.
    pub fn minor_of_five(since: Timestamp) -> Expected<'static> {
        Expected {
            from: "1.35.4",
            to: "1.36.3",
            control_planes: &["k8s-master"],
            workers: &["k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"],
            cordoned: &[],
            since,
            by_hand: 0,
        }
    }

    /// Each Job of the chain that came to its end: its name, the node that it drains, and the node that it must run on.
    pub fn jobs(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let dashed = self.to.replace('.', "-");
        let runner = self.workers.last().map(|name| (*name).to_owned());
        let master = "k8s-master".to_owned();
        let mut jobs = vec![
            (format!("k8s-upgrade-preflight-{dashed}"), None, runner.clone()),
            (format!("k8s-upgrade-master-{dashed}"), Some(master.clone()), runner.clone()),
        ];
        for worker in self.workers {
            let pin = if Some(*worker) == runner.as_deref() { Some(master.clone()) } else { runner.clone() };
            jobs.push((format!("k8s-upgrade-worker-{dashed}-{worker}"), Some((*worker).to_owned()), pin));
        }
        jobs.push((format!("k8s-upgrade-postflight-{dashed}"), None, None));
        jobs.truncate(jobs.len() - self.by_hand);
        jobs
    }

    pub fn nodes(&self) -> Vec<&str> {
        self.control_planes.iter().chain(self.workers).copied().collect()
    }
}

pub fn assert_upgraded(lab: &Lab, run: &str, expected: &Expected<'_>) {
    versions(lab, expected);
    jobs(lab, expected);
    nothing_left(lab, expected);
    packages(lab, expected);
    restore_card(lab, run, expected);
    gauges(lab, expected);
    messages(lab, expected);
}

/// The id of the run, from the arguments of its Jobs.
pub fn run_id(lab: &Lab, job: &str) -> String {
    let args = lab.json(&["-n", NAMESPACE, "get", "job", job])["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let args: Vec<&str> = args.as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    let at = args.iter().position(|arg| *arg == "--run").expect("--run");
    args[at + 1].to_owned()
}

/// Images of the control plane and of the addons that kubeadm keeps, by component.
pub fn images(lab: &Lab) -> Vec<(String, String)> {
    let mut images = Vec::new();
    for pod in lab.items(&["-n", "kube-system", "get", "pods", "-l", "tier=control-plane"]) {
        let image = pod["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned();
        images.push((pod["metadata"]["labels"]["component"].as_str().expect("a component").to_owned(), image));
    }
    for kind in ["daemonset/kube-proxy", "deployment/coredns"] {
        let addon = lab.json(&["-n", "kube-system", "get", kind]);
        let image = addon["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned();
        images.push((kind.to_owned(), image));
    }
    images.sort();
    images
}

pub fn versions(lab: &Lab, expected: &Expected<'_>) {
    let nodes = lab.items(&["get", "nodes"]);
    assert_eq!(nodes.len(), expected.nodes().len(), "nodes of the cluster");
    for node in &nodes {
        let version = &node["status"]["nodeInfo"]["kubeletVersion"];
        assert_eq!(*version, format!("v{}", expected.to), "kubelet of {}", node["metadata"]["name"]);
    }
    let wanted = format!(":v{}", expected.to);
    let images = images(lab);
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "daemonset/kube-proxy"] {
        let mut of: Vec<&str> = images.iter().filter(|(name, _)| name == component).map(|(_, image)| image.as_str()).collect();
        let there = if component.contains('/') { 1 } else { expected.control_planes.len() };
        assert_eq!(of.len(), there, "{component} in {images:?}");
        of.retain(|image| !image.ends_with(&wanted));
        assert_eq!(of, [] as [&str; 0], "{component}");
    }
}

fn jobs(lab: &Lab, expected: &Expected<'_>) {
    let mut found = lab.items(&["-n", NAMESPACE, "get", "jobs", "-l", "app=k8s-upgrade-chain"]);
    found.sort_by_key(|job| job["metadata"]["creationTimestamp"].as_str().map(str::to_owned));
    let names: Vec<&str> = found.iter().filter_map(|job| job["metadata"]["name"].as_str()).collect();
    let wanted = expected.jobs();
    assert_eq!(names, wanted.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), "the chain's Jobs, in order");
    for (job, (name, _, pin)) in found.iter().zip(&wanted) {
        let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
        assert!(conditions.iter().any(|c| c["type"] == "Complete" && c["status"] == "True"), "{name} is not Complete");
        let spec = &job["spec"]["template"]["spec"];
        let selector = spec["nodeSelector"]["kubernetes.io/hostname"].as_str();
        assert_eq!(selector, pin.as_deref(), "the pin of {name}");
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 604_800, "{name} is kept for 7 days");
    }
}

/// Where each pod of the chain really ran: on its pin, and never on the node that it drained.
pub fn places(seen: &Observed, expected: &Expected<'_>) {
    for (job, drained, pin) in expected.jobs() {
        let pods: Vec<_> = seen.pods.iter().filter(|(_, pod)| pod.job == job && !pod.node.is_empty()).collect();
        assert!(!pods.is_empty(), "no pod of {job} was seen on a node");
        for (name, pod) in pods {
            assert_ne!(Some(&pod.node), drained.as_ref(), "{name} ran on the node that it drained");
            assert!(pin.is_none() || Some(&pod.node) == pin.as_ref(), "{name} ran on {}, not on {pin:?}", pod.node);
        }
    }
}

/// Our annotations on an object, without their prefix.
pub fn marks(object: &Value) -> Vec<(String, String)> {
    let annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let ours =
        annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(&mark(""))?.to_owned(), value.as_str()?.to_owned())));
    ours.collect()
}

pub fn nothing_left(lab: &Lab, expected: &Expected<'_>) {
    assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])), [], "annotations left on the namespace");
    let leases = lab.items(&["-n", NAMESPACE, "get", "leases"]);
    assert!(leases.is_empty(), "Leases left: {leases:?}");
    for node in lab.items(&["get", "nodes"]) {
        let name = node["metadata"]["name"].as_str().expect("a name");
        let cordoned = node["spec"]["unschedulable"] == true;
        assert_eq!(cordoned, expected.cordoned.contains(&name), "cordon of {name}");
        let marks = marks(&node);
        let value = |key: &str| marks.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        assert_eq!(value("cordoned-by"), None, "{name} still carries our cordon");
        let changed: Timestamp =
            value("changed-at").unwrap_or_else(|| panic!("{name} has no changed-at")).parse().expect("a time");
        assert!(changed > expected.since, "{name}: changed-at {changed} is from before the run");
        let former = value("former-versions").unwrap_or_else(|| panic!("{name} has no former-versions"));
        assert!(former.contains(&format!("kubelet={}-", expected.from)), "{name}: former-versions is {former}");
    }
}

/// Packages whole, at the target and held, as the machines themselves tell.
pub fn packages(lab: &Lab, expected: &Expected<'_>) {
    for node in expected.nodes() {
        let held = lab.on(node, "apt-mark showhold");
        assert_eq!(held.split_whitespace().collect::<Vec<_>>(), ["kubeadm", "kubectl", "kubelet"], "packages held on {node}");
        let packages = lab.on(node, "dpkg-query -W -f='${Package}=${Version} ${db:Status-Abbrev}\\n' kubeadm kubectl kubelet");
        for line in packages.lines() {
            assert!(line.contains(&format!("={}-", expected.to)) && line.trim().ends_with("hi"), "{node}: {line}");
        }
        assert_eq!(lab.on(node, "sudo -n dpkg --audit").trim(), "", "dpkg --audit on {node}");
    }
}

/// The snapshot and the restore card on the control plane.
pub fn restore_card(lab: &Lab, run: &str, expected: &Expected<'_>) {
    let path = format!("/var/lib/k8s-upgrade/restore-{run}.txt");
    assert_eq!(lab.on("k8s-master", &format!("sudo -n stat -c '%a %U' {path}")).trim(), "600 root", "the restore card's mode");
    let card = lab.on("k8s-master", &format!("sudo -n cat {path}"));
    let line =
        card.lines().find(|line| line.starts_with("etcd snapshot")).unwrap_or_else(|| panic!("no snapshot on the card:\n{card}"));
    let (snapshot, rest) = line.trim_start_matches("etcd snapshot").trim().split_once(" (").expect("path (bytes, hash)");
    let bytes = rest.split(' ').next().expect("a size");
    assert_eq!(lab.on("k8s-master", &format!("sudo -n stat -c %s {snapshot}")).trim(), bytes, "the snapshot's size, as recorded");
    let hash = lab.on("k8s-master", &format!("sudo -n sha256sum {snapshot}"));
    let hash = hash.split_whitespace().next().expect("a hash");
    assert!(rest.contains(hash), "the card's hash is not the snapshot's {hash}: {line}");
    for node in expected.nodes() {
        assert!(card.contains(&format!("{node}: ")), "{node}'s packages are not on the card:\n{card}");
    }
    assert!(card.contains(&format!("kubelet={}-", expected.from)), "the former versions are not on the card:\n{card}");
}

fn gauges(lab: &Lab, expected: &Expected<'_>) {
    let job = "job=\"k8s-version-upgrade\"";
    // Scraped every 5 s: the last values are awaited, the series is judged.
    let settled = |metric: &str| {
        lab.until(std::time::Duration::from_secs(30), &format!("{metric} to be 0"), || {
            let values = lab.values(&format!("{metric}{{{job}}}"), expected.since);
            if values.last() == Some(&0.0) { Ok(values) } else { Err(format!("{values:?}")) }
        })
    };
    for metric in ["k8s_upgrade_in_flight", "k8s_upgrade_snapshot_taken"] {
        let values = settled(metric);
        let from_one: Vec<f64> = values.iter().copied().skip_while(|value| *value == 0.0).collect();
        assert_eq!(from_one, [1.0, 0.0], "{metric} went {values:?}");
    }
    let started = settled("k8s_upgrade_started_timestamp");
    let from_one: Vec<f64> = started.iter().copied().skip_while(|value| *value == 0.0).collect();
    let since = expected.since.as_second() as f64;
    assert!(matches!(from_one[..], [at, 0.0] if at >= since), "k8s_upgrade_started_timestamp went {started:?}");
    let progress = lab.values(&format!("k8s_upgrade_progress_timestamp{{{job}}}"), expected.since);
    assert!(progress.windows(2).all(|pair| pair[0] < pair[1]) && progress.len() > 3, "progress went {progress:?}");

    let kind =
        if expected.from.rsplit_once('.').map(|v| v.0) == expected.to.rsplit_once('.').map(|v| v.0) { "patch" } else { "minor" };
    let labels = format!("kind=\"{kind}\",running=\"{}\",target=\"{}\"", expected.from, expected.to);
    let available = lab.values(&format!("k8s_upgrade_available{{{labels}}}"), expected.since);
    assert_eq!(available, [1.0], "k8s_upgrade_available{{{labels}}}");
    let checked = lab.values("k8s_version_check_last_run_timestamp", expected.since);
    assert!(checked.iter().any(|at| *at >= since - 1.0), "last check: {checked:?}");
}

fn messages(lab: &Lab, expected: &Expected<'_>) {
    let messages = lab.slack(expected.since);
    let count = |what: &str| messages.iter().filter(|message| message.contains(what)).count();
    let all = messages.join("\n");
    assert_eq!(count(&format!("{} → {}", expected.from, expected.to)), 1, "one message that it begins:\n{all}");
    for node in expected.nodes() {
        assert_eq!(count(&format!("{node} is at {}", expected.to)), 1, "one message for {node}:\n{all}");
    }
    assert_eq!(count("✅ K8s upgrade complete"), 1, "one message that it is complete:\n{all}");
    assert_eq!(count("🛑"), 0, "nothing failed:\n{all}");
}

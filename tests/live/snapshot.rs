//! Without a CronJob: the program takes etcd's snapshot itself, and the commands that `rollback` prints while the API server is away bring it back.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::install::install;
use super::lab::{COMMAND, Lab, NAMESPACE, mark};
use super::process;

const TARGET: &str = "1.36.4";
const MASTER: &str = "k8s-master";
const FOLDER: &str = "/var/backups/k8s-upgrade";

pub fn run() {
    let lab = Lab::fresh(1, "1.36.3", &["1.36.3", TARGET]);
    let config = install(&lab, &format!("{}snapshot: etcdctl\n", super::patch::WAITS));
    lab.kubectl(&["-n", "default", "delete", "cronjob", "backup-etcd"]);

    // On a cluster without it, as the plain one is, containerd's own client enters etcd's container.
    lab.tool(&["crictl", MASTER]);
    let pods = "sudo -n crictl --runtime-endpoint unix:///run/containerd/containerd.sock ps --quiet --label io.kubernetes.container.name=etcd";
    assert_eq!(lab.on(MASTER, pods).trim().len(), 64, "crictl finds one container of etcd");

    lab.phase("check, then preflight with a snapshot of its own");
    let check = lab.typed(&config, &["check"], COMMAND);
    assert!(check.stdout.contains(&format!("can take etcd snapshots on each control plane, into {FOLDER}")), "{}", check.stdout);
    let ended = lab.typed(&config, &["preflight", "--target", TARGET], Duration::from_secs(300));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let namespace = lab.json(&["get", "namespace", NAMESPACE]);
    let path = namespace["metadata"]["annotations"][mark("snapshot-path")].as_str().expect("its path is on record").to_owned();
    assert!(path.starts_with(&format!("{FOLDER}/k8s-upgrade-{TARGET}-")) && path.ends_with(&format!("-{MASTER}.db")), "{path}");
    let modes = lab.on(MASTER, &format!("sudo -n stat -c '%a %U' {FOLDER} {path}; sudo -n ls -A /var/lib/etcd {FOLDER}"));
    lab.say(&modes);
    let file = path.rsplit('/').next().unwrap_or_default();
    let wanted = format!("700 root\n600 root\n/var/backups/k8s-upgrade:\n{file}\n\n/var/lib/etcd:\nmember");
    assert_eq!(modes.trim(), wanted);

    lab.phase("the API server is gone; what is written after the snapshot will be, too");
    lab.kubectl(&["-n", "default", "create", "configmap", "after-the-snapshot"]);
    let address = |node: serde_json::Value| {
        let all = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let internal = all.iter().find(|address| address["type"] == "InternalIP")?;
        Some((node["metadata"]["name"].as_str()?.to_owned(), internal["address"].clone()))
    };
    let addresses: serde_json::Value = lab.items(&["get", "nodes"]).into_iter().filter_map(address).collect();
    let manifests = "/etc/kubernetes/manifests";
    lab.on(
        MASTER,
        &format!(
            "sudo -n mkdir -p /root/manifests && sudo -n mv {manifests}/kube-apiserver.yaml /root/manifests/ && \
             sudo -n pkill -KILL -x kube-apiserver"
        ),
    );
    let plan = printed(&lab, &path, &addresses);

    lab.phase("what rollback prints is typed, as it stands");
    let script = BASE64_STANDARD.encode(format!("set -e\n{}\n", plan.join("\n")));
    lab.on(MASTER, &format!("echo {script} | base64 -d | sudo -n tee /root/restore.sh >/dev/null"));
    // It takes longer than one session of the lab may last.
    let begun = "sudo -n systemd-run --quiet --unit=restore bash -c 'bash /root/restore.sh >/root/restore.log 2>&1; echo $? >/root/restore.end'";
    lab.on(MASTER, begun);
    let status = lab.until(Duration::from_secs(180), "the restore to end", || {
        let end = lab.ssh(MASTER, "sudo -n cat /root/restore.end");
        if end.trim().is_empty() { Err(lab.ssh(MASTER, "sudo -n tail -n 5 /root/restore.log")) } else { Ok(end) }
    });
    assert_eq!(status.trim(), "0", "{}", lab.ssh(MASTER, "sudo -n cat /root/restore.log"));
    lab.until(Duration::from_secs(180), "the API server to be back", || {
        lab.try_kubectl(&["get", "--raw", "/readyz"]).ok_or_else(|| "away".to_owned())
    });

    lab.phase("etcd is what it was at the snapshot, and serves");
    let after = lab.kubectl(&["-n", "default", "get", "configmap", "after-the-snapshot", "--ignore-not-found", "-o", "name"]);
    assert_eq!(after.trim(), "", "what was written after the snapshot is there");
    lab.kubectl(&["-n", "default", "create", "configmap", "after-the-restore"]);
    lab.until(Duration::from_secs(120), "both nodes to be Ready", || {
        let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let states = lab.try_kubectl(&["get", "nodes", "-o", ready]).unwrap_or_default();
        if states.trim() == "True True" { Ok(()) } else { Err(states) }
    });
    // The snapshot has brought back the Lease of the preflight that took it: until it runs out, somebody may be at work.
    lab.until(Duration::from_secs(90), "the Lease of the former preflight to run out", || {
        let cleared = lab.typed(&config, &["clear-state", "--yes"], COMMAND);
        if cleared.code == Some(0) { Ok(()) } else { Err(cleared.stderr) }
    });
}

/// The commands of the plan, as a person finds them without the API server.
fn printed(lab: &Lab, path: &str, addresses: &serde_json::Value) -> Vec<String> {
    let (key, known) = (lab.env("LAB_SSH_KEY"), lab.env("LAB_KNOWN_HOSTS"));
    let config = lab.scratch("alone.yaml");
    let settings = format!(
        "cluster-name: lab\nsnapshot: etcdctl\nssh-key-file: {key}\nknown-hosts-file: {known}\nhost-addresses: {addresses}\n"
    );
    std::fs::write(&config, settings).expect("a file");
    let args = ["--config", &config.display().to_string(), "rollback", MASTER];
    let mut command = lab.product_command(&args);
    let ended = lab.told(process::run(command.env_remove("KUBECONFIG"), "", Duration::from_secs(120)), &args);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    lab.say(&ended.stdout);
    assert!(ended.stdout.contains(path) && ended.stdout.contains("and its hash is the card's"), "{}", ended.stdout);
    let commands = ended.stdout.lines().skip_while(|line| !line.contains("On each control plane, as root:")).skip(1);
    let commands: Vec<String> = commands.map(|line| line.trim().to_owned()).take_while(|line| !line.is_empty()).collect();
    assert!(commands.iter().any(|line| line.contains("etcdutl snapshot restore")), "{commands:#?}");
    commands
}

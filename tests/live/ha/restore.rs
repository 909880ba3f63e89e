//! The way back of control planes, as `rollback` prints it: the commands are typed as they stand, with one member of etcd lost, and with all.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{CONTROL_PLANES, NAMES};
use crate::lab::{COMMAND, Lab};
use crate::process;

const LOST: &str = "k8s-master2";
const FORMER: &str = "1.36.3";

/// On a cluster that this program has just upgraded from [`FORMER`].
pub fn run(lab: &Lab) {
    let config = crate::install::plain_config(lab, "");
    one_member_is_lost(lab, &config);
    all_are_lost(lab);
}

/// What is to be typed in one place: the line above it, and the commands.
struct Block {
    place: String,
    commands: Vec<String>,
}

/// The commands stand two signs in, under the line that says where.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("  "), blocks.last_mut()) {
            (Some(command), Some(block)) => block.commands.push(command.to_owned()),
            _ => blocks.push(Block { place: line.to_owned(), commands: Vec::new() }),
        }
    }
    blocks.retain(|block| !block.commands.is_empty() && block.place.ends_with(':'));
    blocks
}

/// As root there. It may take longer than one session of the lab may last.
fn as_root(lab: &Lab, node: &str, commands: &[String]) {
    let script = BASE64_STANDARD.encode(format!("set -e\n{}\n", commands.join("\n")));
    lab.on(node, &format!("echo {script} | base64 -d | sudo -n tee /root/typed.sh >/dev/null; sudo -n rm -f /root/typed.end"));
    lab.on(
        node,
        "sudo -n systemd-run --quiet --collect --unit=typed bash -c 'bash /root/typed.sh >/root/typed.log 2>&1; echo $? >/root/typed.end'",
    );
    let status = lab.until(Duration::from_secs(300), &format!("what was typed on {node} to end"), || {
        let end = lab.ssh(node, "sudo -n cat /root/typed.end");
        if end.trim().is_empty() { Err(lab.ssh(node, "sudo -n tail -n 5 /root/typed.log")) } else { Ok(end) }
    });
    assert_eq!(status.trim(), "0", "on {node}: {}", lab.ssh(node, "sudo -n cat /root/typed.sh /root/typed.log"));
}

/// On the person's own machine, which has kubectl and the key.
fn here(lab: &Lab, commands: &[String]) -> String {
    let bin = lab.scratch("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    let (key, known) = (lab.env("LAB_SSH_KEY"), lab.env("LAB_KNOWN_HOSTS"));
    let ssh =
        format!("#!/bin/sh\nexec /usr/bin/ssh -F none -o IdentitiesOnly=yes -i {key} -o UserKnownHostsFile={known} \"$@\"\n");
    std::fs::write(bin.join("ssh"), ssh).expect("a file");
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    let path = format!("{}:{}/bin:/usr/bin:/bin", bin.display(), lab.env("LAB_DIR"));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &commands.join("\n")]).env("PATH", path).env("KUBECONFIG", lab.env("KUBECONFIG"));
    process::run(&mut command, "", Duration::from_secs(120)).good()
}

/// What etcd had on its disk is unreadable. (Were it gone, etcd would begin as a cluster of its own: its manifest names no other member.)
fn lose(lab: &Lab, node: &str) {
    let garbage =
        "for file in $(find /var/lib/etcd/member -type f); do head -c 1048576 /dev/urandom >$file; done; pkill -KILL -x etcd";
    lab.on(node, &format!("sudo -n bash -c '{garbage}'"));
}

fn members(lab: &Lab, through: &str) -> String {
    let certificates = ["ca.crt", "server.crt", "server.key"].map(|file| format!("/etc/kubernetes/pki/etcd/{file}"));
    let [ca, cert, key] = &certificates;
    lab.try_kubectl(&[
        "exec",
        "-n",
        "kube-system",
        &format!("etcd-{through}"),
        "--",
        "etcdctl",
        "--cacert",
        ca,
        "--cert",
        cert,
        "--key",
        key,
        "endpoint",
        "health",
        "--cluster",
    ])
    .unwrap_or_default()
}

/// Its disk has lost what etcd had there; the others serve.
fn one_member_is_lost(lab: &Lab, config: &str) {
    lab.phase("k8s-master2 loses its member of etcd: rollback prints how it is made anew");
    lab.kubectl(&["-n", "default", "create", "configmap", "before-the-loss"]);
    lose(lab, LOST);
    let printed = lab.typed(config, &["rollback", LOST], COMMAND);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    lab.say(&printed.stdout);
    let (anew, _) = printed.stdout.split_once("A minor upgrade of a control plane").expect("two plans");
    for block in blocks(anew) {
        lab.say(format!("    {}", block.place));
        match block.place.as_str() {
            "Wherever kubectl works:" => lab.say(here(lab, &block.commands)),
            place if place == format!("On {LOST}, as root:") => as_root(lab, LOST, &block.commands),
            other => panic!("nobody knows where that is: {other}"),
        }
    }
    lab.until(Duration::from_secs(240), "three members of etcd to be well", || {
        let health = members(lab, "k8s-master");
        if health.matches("is healthy").count() == 3 { Ok(()) } else { Err(health) }
    });
    lab.until(Duration::from_secs(240), "the API server of k8s-master2 to be ready", || {
        let said = lab.ssh(LOST, "curl -sSk -m 3 https://127.0.0.1:6443/readyz");
        if said == "ok" { Ok(()) } else { Err(said) }
    });
    lab.kubectl(&["-n", "default", "get", "configmap", "before-the-loss"]);
}

/// No member is left: the snapshot of before the upgrade, and the former release with it.
fn all_are_lost(lab: &Lab) {
    lab.phase("every control plane loses its member of etcd: rollback prints the restore, by SSH alone");
    lab.kubectl(&["-n", "default", "create", "configmap", "after-the-snapshot"]);
    let addresses: BTreeMap<String, Value> = lab.items(&["get", "nodes"]).into_iter().filter_map(address).collect();
    // All at once, while their API servers run.
    std::thread::scope(|scope| {
        for node in NAMES {
            scope.spawn(move || lose(lab, node));
        }
    });
    lab.until(Duration::from_secs(60), "the API to be away", || {
        lab.try_kubectl(&["get", "--raw", "/readyz"]).map_or(Ok(()), |_| Err("it answers".to_owned()))
    });
    let plans: Vec<(&str, String)> = NAMES.map(|node| (node, printed(lab, node, &addresses))).into();
    for (node, plan) in &plans {
        lab.say(format!("— {node}\n{plan}"));
        for block in blocks(plan).iter().filter(|block| block.place.starts_with("From here")) {
            lab.say(format!("    {node}: {}", block.place));
            here(lab, &block.commands);
        }
    }
    for part in ["Then on every control plane, before any goes on", "Once all of them are stopped"] {
        std::thread::scope(|scope| {
            for (node, plan) in &plans {
                let block = blocks(plan).into_iter().find(|block| block.place.starts_with(part)).expect("such a part");
                scope.spawn(move || as_root(lab, node, &block.commands));
            }
        });
        lab.say(format!("    {part}: done"));
    }
    lab.phase("the cluster serves again, as it was at the snapshot");
    lab.until(Duration::from_secs(300), "the API to be back", || {
        lab.try_kubectl(&["get", "--raw", "/readyz"]).ok_or_else(|| "away".to_owned())
    });
    lab.until(Duration::from_secs(300), "three members of etcd to be well", || {
        let health = members(lab, "k8s-master3");
        if health.matches("is healthy").count() == 3 { Ok(()) } else { Err(health) }
    });
    let after = lab.kubectl(&["-n", "default", "get", "configmap", "after-the-snapshot", "--ignore-not-found", "-o", "name"]);
    assert_eq!(after.trim(), "", "what was written after the snapshot is there");
    for (node, address) in CONTROL_PLANES {
        lab.until(Duration::from_secs(240), &format!("the API server of {node} at {FORMER}"), || {
            let said = lab.ssh(node, &format!("curl -sSk -m 3 https://{address}:6443/version"));
            if said.contains(&format!("\"v{FORMER}\"")) { Ok(()) } else { Err(said) }
        });
    }
    lab.until(Duration::from_secs(240), "every node to be Ready", || {
        let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let states = lab.try_kubectl(&["get", "nodes", "-o", ready]).unwrap_or_default();
        if states.split(' ').count() == addresses.len() && !states.contains("False") && !states.contains("Unknown") {
            Ok(())
        } else {
            Err(states)
        }
    });
    lab.kubectl(&["-n", "default", "create", "configmap", "after-the-restore"]);
}

fn address(node: Value) -> Option<(String, Value)> {
    let all = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
    let internal = all.iter().find(|address| address["type"] == "InternalIP")?;
    Some((node["metadata"]["name"].as_str()?.to_owned(), internal["address"].clone()))
}

/// As a person finds it without the API server.
fn printed(lab: &Lab, node: &str, addresses: &BTreeMap<String, Value>) -> String {
    let (key, known) = (lab.env("LAB_SSH_KEY"), lab.env("LAB_KNOWN_HOSTS"));
    let config = lab.scratch("alone.yaml");
    let addresses = serde_json::to_string(addresses).expect("JSON");
    let settings = format!("cluster-name: lab\nssh-key-file: {key}\nknown-hosts-file: {known}\nhost-addresses: {addresses}\n");
    std::fs::write(&config, settings).expect("a file");
    let args = ["--config", &config.display().to_string(), "rollback", node];
    let mut command = lab.product_command(&args);
    let ended = lab.told(process::run(command.env_remove("KUBECONFIG"), "", Duration::from_secs(180)), &args);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    ended.stdout
}

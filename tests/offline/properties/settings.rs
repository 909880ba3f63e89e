//! Settings in every form in which they are given, and scenarios.

use std::path::Path;

use k8s_upgrade::settings::{Settings, Sources};
use k8s_upgrade::twin::Scenario;
use k8s_upgrade::world::{Env, Files};
use serde_json::Value;

use super::{ends, returns};

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _: &Path, _: usize) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn make_folder(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn is_file(&self, _: &Path) -> std::io::Result<bool> {
        Ok(true)
    }
}

fn load(file: &str, set: &[String]) -> Option<Settings> {
    let files = OneFile(file.to_owned());
    Settings::load(&Sources { config: Some(Path::new("/config.yaml")), set, env: &Env::new(), files: &files }).ok()
}

/// As a file has them: what differs from the defaults.
fn printed(settings: &Settings) -> String {
    let map = |settings: &Settings| serde_json::to_value(settings).unwrap().as_object().unwrap().clone();
    let (mut own, defaults) = (map(settings), map(&Settings::default()));
    own.retain(|key, value| defaults.get(key) != Some(value));
    serde_saphyr::to_string(&own).unwrap()
}

#[test]
fn the_file() {
    let samples = [
        "# ours\ncluster-name: homelab\nrunner: k8s-node1\nexclude-nodes: [a, b]\nssh-port: 2222\nhost-addresses: { k8s-master: 10.0.0.1 }\n",
        "soak: 5m\nquiet: 1h 30m\nready-ratio: 0.85\nparallel: 2\ndrain-unstick: never\nkubeadm-flags:\n- --v=5\nalert-ignore: ^Node.*$\n",
        "prometheus: http://10.0.0.9:9090\nbackup-cronjob: ops/etcd\nlease-duration: 30s\ndetection-dry-run: true\n",
        "windows: [\"Sat,Sun 01:00-05:00 Europe/Berlin\"]\nfreezes:\n- \"2026-12-20..2027-01-06 Europe/Berlin: end of the year\"\nmax-version: \"1.36\"\n",
        include_str!("../../../docs/webhooks.yaml"),
    ];
    returns(&samples, |text| load(text, &[]), printed);
}

#[test]
fn one_by_one() {
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    let samples: Vec<String> = defaults
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            // What is nested is given in a file alone.
            Value::Object(_) if key == "webhooks" => {
                format!("file:\n{key}: {{ ntfy: {{ body: \"{{text}}\", content-type: text/plain, only: [held] }} }}\n")
            }
            Value::Object(_) if key == "pools" => {
                format!("file:\n{key}: {{ gpu: {{ selector: [hardware=gpu], order: -1, max-unavailable: 10%, canary: 1, soak: 30m }} }}\n")
            }
            Value::Object(_) if key == "addons" => format!("file:\n{key}: {{ cilium: {{ \"1.18\": \"<=1.35\" }} }}\n"),
            Value::Object(_) => format!("{key}=k8s-master=10.0.0.1,b=10.0.0.2"),
            Value::Array(_) if key == "removed-apis-ignore" => format!("{key}=v1/endpoints"),
            Value::Array(_) if key == "package-keys" => format!("{key}={}", "DE15B14486CD377B9E876E1A234654DA9A296436"),
            Value::Array(_) if key == "windows" => format!("{key}=daily 22:00-04:00 UTC,Sat-Sun 01:00-05:00 Europe/Berlin"),
            Value::Array(_) if key == "freezes" => format!("{key}=2026-12-20..2027-01-06 Europe/Berlin: end of the year"),
            Value::Array(_) if key == "plain-http" => format!("{key}=packages-url"),
            Value::Array(_) if key == "alert-matchers" => format!("{key}=severity=critical"),
            Value::Array(_) if key == "kubeadm-flags" => format!("{key}=--v=5"),
            Value::Array(_) => format!("{key}=k8s-node7"),
            other => format!("{key}={other}"),
        })
        .collect();
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    // What a pair sets can be printed as a file.
    let read = |text: &str| match text.strip_prefix("file:\n") {
        Some(file) => load(file, &[]),
        None => load("", &[text.to_owned()]),
    };
    returns(&samples, read, |settings| format!("file:\n{}", printed(settings)));
}

const SCENARIO: &str = "\
about: all
target: 1.34.7
start: 2026-11-22T12:05:00Z
nodes:
  - { name: m, control-plane: true, version: 1.34.2, containerd: 1.7.28, address: 10.0.0.1, taints: [{ key: k, effect: NoSchedule }] }
workloads:
  - { kind: Deployment, namespace: a, name: b, replicas: 2, labels: { x: one }, grace-seconds: 60 }
budgets:
  - { namespace: a, name: b, selector: { x: one }, max-unavailable: 25% }
alerts: [{ name: DiskFull, from: 2026-11-22T12:05:00Z, until: 2026-11-22T12:35:00Z }]
releases: [{ version: 1.34.7 }]
settings: { soak: 1m }
";

#[test]
fn scenarios() {
    returns(&[SCENARIO], |text| Scenario::read("it", text).ok(), |scenario| scenario.yaml().unwrap());
    // What is wrong with one is told, with its place.
    ends(&[&SCENARIO.replace("name: m", "name: M")], |text| Scenario::read("it", text).err());
}

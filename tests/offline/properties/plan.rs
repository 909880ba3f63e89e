//! What kubeadm, backups, Jobs and people's annotations say, and what the program itself has left to be read later.

use std::collections::BTreeMap;

use k8s_upgrade::plan::decide::losses::patches::{OfNodes, Patches};
use k8s_upgrade::plan::decide::losses::{acknowledged, coredns, kubelet, static_pods};
use k8s_upgrade::plan::model::halt::{Halt, Skip};
use k8s_upgrade::plan::model::journal::Journal;
use k8s_upgrade::plan::model::parse;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::plan::model::webhook::{self, Message, NoticeKind, Webhook};
use k8s_upgrade::plan::rescue::card::Card;
use k8s_upgrade::plan::rescue::rollback;
use k8s_upgrade::plan::trust::keys::Public;
use k8s_upgrade::plan::trust::known_hosts::KnownHosts;
use k8s_upgrade::plan::view::adopt::{Maker, Script, Seen, Store, offers};
use k8s_upgrade::settings::Settings;
use k8s_upgrade::words::ExactPackage;

use super::{check, ends, returns};

const CONFIGURATION: &[&str] = &[
    "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nimageRepository: mirror.example.org/k8s\napiServer:\n  \
     extraArgs:\n  - { name: v, value: \"2\" }\netcd:\n  local: { dataDir: /var/lib/etcd }\nnetworking: { podSubnet: 10.244.0.0/16 }\n",
    "kind: ClusterConfiguration\nimageRepository: registry.k8s.io\ncontrollerManager: { extraArgs: { v: 2 } }\ndns: { disabled: true }\n",
];

/// Whatever stands in them, nothing comes out that its setting would not take.
#[test]
fn scripts_of_a_former_pipeline() {
    let samples = [
        "ssh \"${OPTS[@]}\" \"wizard@$node\" true\nkubectl -n kube-system create job --from=cronjob/etcd-backup \"$job\"\n",
        "PG='http://gate.observability:9091/metrics/job/x'\nPROM=https://prometheus.example.org:8443/mimir/api/v1/alerts\n",
        "curl http://prometheus-server.monitoring.svc.cluster.local:80/api/v1/alerts; kubectl annotate ns x example.com/k8s-upgrade-target=1",
    ];
    ends(&samples, |text| {
        let scripts = vec![Script { place: "x".to_owned(), text: text.to_owned() }];
        let (prefix, key) = ("viktorbarzin.me".to_owned(), Some(text.to_owned()));
        let store = Some(Store { maker: Maker::default(), name: None, key });
        let found = offers(&Seen { prefix, scripts, store, ..Seen::default() }, |_| None);
        for (key, value) in found.iter().flat_map(|offer| offer.values.iter().map(|value| (offer.key, value))) {
            let file = format!("{key}: {}\nplain-http: [prometheus]\n", serde_json::Value::from(value.as_str()));
            assert!(Settings::of_file("x", &file).is_ok(), "{key}: {value:?}");
        }
        (!found.is_empty()).then_some(())
    });
}

#[test]
fn plans_of_kubeadm() {
    let samples = [
        r#"{ "kind": "UpgradePlan", "apiVersion": "output.kubeadm.k8s.io/v1alpha3", "availableUpgrades": [{ "description": "x", "components": [
            { "name": "kube-apiserver", "currentVersion": "v1.35.4", "newVersion": "v1.36.3", "nodeName": "m" },
            { "name": "etcd", "currentVersion": "3.5.24-0", "newVersion": "3.6.8-0" } ] }],
            "configVersions": [{ "group": "kubelet.config.k8s.io", "manualUpgradeRequired": true }] }"#,
        "[upgrade] reads\n{ \"kind\": \"UpgradePlan\", \"availableUpgrades\": [] }",
        "",
    ];
    ends(&samples, |text| {
        let plan = parse::upgrade_plan(text, text).ok()?;
        Some(parse::plan_agrees(&plan, Version::new(1, 36, 3)))
    });
}

#[test]
fn image_repositories() {
    returns(
        CONFIGURATION,
        |text| parse::images(text).ok().map(|found| found.repository),
        |found| match found {
            // Every character by its number: what YAML makes of the raw ones is not what is asked here.
            Some(repository) => {
                let escaped: String = repository.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
                format!("imageRepository: \"{escaped}\"\n")
            }
            None => "{}".to_owned(),
        },
    );
}

#[test]
fn configurations_of_static_pods() {
    let commands = ["kube-apiserver --v=2 --secure-port 6443 --tls-min-version", "kube-scheduler", "etcd --name m --name n"];
    ends(CONFIGURATION, |text| {
        let configuration = static_pods::Configuration::read(text).ok()?;
        let pod = |component: &str, command: Vec<String>| static_pods::StaticPod {
            node: "m".to_owned(),
            component: component.to_owned(),
            command,
        };
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
        let mut pods: Vec<_> = commands.map(|line| pod(line.split(' ').next().unwrap_or_default(), words(line))).into();
        // Its flags come from outside as well.
        pods.push(pod("kube-controller-manager", words(text)));
        Some(static_pods::differences(&configuration, &pods, &OfNodes::new()))
    });
}

#[test]
fn configurations_of_kubelets() {
    let ours = kubelet::Configuration::read("maxPods: 110\nlogging: { verbosity: 0 }\n").unwrap();
    let samples = [
        "maxPods: 250\nstaticPodURLHeader: { a: [b] }\nevictionHard: { memory.available: 100Mi }\n",
        "kind: KubeletConfiguration\n",
    ];
    ends(&samples, |text| {
        let theirs = kubelet::Configuration::read(text).ok()?;
        Some((kubelet::differences(&theirs, "m", "maxPods: 110\n", None), kubelet::differences(&ours, "m", text, None)))
    });
}

/// Laid over what is there, whatever they are: a list of operations, documents one after the other, or none.
#[test]
fn patches_of_kubeadm() {
    let samples = [
        "- { op: add, path: /spec/containers/0/command/-, value: --v=4 }\n- { op: remove, path: /evictionHard }\n",
        "spec: { containers: [{ name: etcd, command: [etcd, --v=4], args: [--name, m] }] }\n---\nmaxPods: 250\nevictionHard: null\n",
    ];
    ends(&samples, |text| {
        let named = ["etcd+json.yaml", "etcd.yaml", "kubeletconfiguration+json.yaml", "kubeletconfiguration.yaml"];
        let read: Vec<Patches> = named.iter().filter_map(|name| Patches::read([(*name, text)]).ok()).collect();
        let configuration = static_pods::Configuration::read(CONFIGURATION[0]).ok()?;
        let kubelets = kubelet::Configuration::read("maxPods: 110\n").ok()?;
        let command = |line: &str| line.split(' ').map(str::to_owned).collect();
        let pods = ["etcd --name m", "kube-apiserver --advertise-address=10.0.0.1"].map(|line| static_pods::StaticPod {
            node: "m".to_owned(),
            component: line.split(' ').next().unwrap_or_default().to_owned(),
            command: command(line),
        });
        let judged = |own: &Patches| {
            let of_pods = static_pods::differences(&configuration, &pods, &OfNodes::from([("m".to_owned(), own.clone())]));
            (of_pods.map(|found| found.len()), kubelet::differences(&kubelets, "m", "maxPods: 250\n", Some(own)).len())
        };
        (!read.is_empty()).then(|| read.iter().map(judged).collect::<Vec<_>>())
    });
}

#[test]
fn deployments_of_coredns() {
    let samples = [
        r#"{ "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "coredns", "image": "r/coredns:v1.14.6",
        "args": ["-conf", "/etc/coredns/Corefile"], "resources": { "limits": { "memory": "170Mi" } } }], "tolerations": [] } } } }"#,
    ];
    ends(&samples, |text| Some(coredns::differences(&serde_json::from_str(text).ok()?, &[])));
}

#[test]
fn backups() {
    let samples = [
        "Backup done: /backup/etcd-20261122 1200.db (4575264 bytes)\n",
        "snapshot saved\nBackup done: /backup/e (old).db (1024 bytes)\nbye\n",
    ];
    returns(
        &samples,
        |log| parse::backup_done(log).ok(),
        |found| format!("Backup done: {} ({} bytes)\n", found.path, found.bytes),
    );
}

#[test]
fn images_and_runtimes() {
    let samples = ["registry.k8s.io/kube-apiserver:v1.36.3", "r.local:5000/k8s/x:v1.36.3@sha256:00ff", "kube-apiserver:v1.36.3"];
    returns(&samples, parse::image_version, |version| format!("registry.local:5000/x:v{version}"));
    returns(&["5:2.1.4-1~debian.12~bookworm", "1.6.20~ds1-1"], parse::upstream, |version| format!("{version}-1"));
    returns(&["containerd://1.6.20~ds1", "containerd://2.1.4"], parse::containerd, |version| format!("containerd://{version}"));
}

#[test]
fn messages_of_jobs() {
    let samples = ["Container k8s-upgrade for pod k8s-upgrade/x failed with exit code 4 matching FailJob rule at index 1"];
    returns(&samples, parse::exit_code, |code| {
        format!("Container x for pod y failed with exit code {code} matching FailJob rule")
    });
}

#[test]
fn halts_and_skips() {
    let halts = [
        r#"{"by":"ann@laptop","at":"2026-11-22T12:04:00Z","reason":"disk","run":true,"suspended":true,"blocker":false}"#,
        "written by hand",
    ];
    returns(&halts, |text| Some(Halt::read(text)), Halt::write);
    ends(&halts, |text| Some(Halt::read(text).to_string()));
    let skips = [r#"[{"step":"worker/k8s-node4","by":"ann@laptop","reason":"gone"}]"#, "preflight, worker/k8s-node2"];
    returns(&skips, |text| Some(Skip::read(text)), |skips| Skip::write(skips));
}

/// Whatever is accepted is written so that it reads back, and sends what its receiver reads: JSON where it says so, and headers of one
/// line each, whatever the message says.
#[test]
fn webhooks() {
    let samples = [
        r#"{"body":"{\"text\":\"{cluster}: {text}\",\"at\":[\"{time}\",1]}","only":["held","failed"],"longest":1900}"#,
        // A number that is another one when it is read, printed and read again.
        r#"{"body":"[118446744073709551615, \"{text}\"]"}"#,
        r#"{"body":"{kind} {place} {target}: {text}","content-type":"text/plain","headers":{"Title":"{cluster}: {kind}"}}"#,
    ];
    let message = Message {
        at: jiff::Timestamp::UNIX_EPOCH,
        kind: NoticeKind::Held,
        cluster: "home\"lab".to_owned(),
        place: "k8s-node3".to_owned(),
        target: Some(Version::new(1, 36, 3)),
        text: "it said \"{cluster}\",\r\n\\ and {nothing}\u{1b}[2J".to_owned(),
    };
    check(&samples, |text| {
        let Ok(webhook) = serde_json::from_str::<Webhook>(text) else { return Ok(false) };
        let written = serde_json::json!(webhook).to_string();
        if serde_json::from_str::<Webhook>(&written).as_ref().ok() != Some(&webhook) {
            return Err(format!("{webhook:?} is written as {written}, which does not read back"));
        }
        let body = webhook.body(&message);
        if webhook.content_type().contains("json") && serde_json::from_str::<serde_json::Value>(&body).is_err() {
            return Err(format!("{webhook:?} sends {body}, which is not JSON"));
        }
        match webhook.headers(&message).find(|(_, value)| value.chars().any(char::is_control)) {
            Some(header) => Err(format!("{webhook:?} sends {header:?}")),
            None => Ok(true),
        }
    });
    // Of what is wrong the line's number is told alone: the rest is a secret.
    check(
        &["# ours\nteams: https://x.example/SECRET?a: b\n\n  ntfy:  https://ntfy.example/T \n", ""],
        |text| match webhook::urls(text) {
            Ok(urls) if urls.values().any(|url| url.is_empty() || url.trim() != *url) => Err(format!("{urls:?}")),
            Err(why) if why.contains("http") => Err(format!("{why:?} tells of a URL")),
            read => Ok(read.is_ok()),
        },
    );
}

#[test]
fn acknowledgements() {
    let samples = [
        r#"[{"digest":"0011223344556677","what":"m: kube-apiserver --v=4","by":"ann@laptop","at":"2026-11-22T12:04:00Z"}]"#,
        "[]",
    ];
    returns(&samples, |text| acknowledged(Some(text)).ok(), |known| serde_json::json!(known).to_string());
}

#[test]
fn keys() {
    let samples =
        ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g k8s-upgrade-key", "ssh-rsa AAAA\n"];
    returns(&samples, Public::parse, Public::line);
    ends(&samples, |text| Public::parse(text).map(|key| key.fingerprint()));
    // No test key stands in the repository: one is made.
    let private = k8s_upgrade::plan::trust::keys::Pair::from_seed(&[7; 32]).unwrap().private;
    ends(&[&private], Public::of);
}

#[test]
fn known_hosts() {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    let samples = [
        format!("# mine\nk8s-master,10.0.20.10? {KEY} a comment\n\n@revoked * {KEY}\n"),
        format!("k8s-*,!k8s-master,*a*b*c*d*e*f {KEY}\n[a]:2222 {KEY}\n@cert-authority a {KEY}\n"),
        format!("|1|e/1Kr5QvZV6Nj+IWyYx4ZJVxTZc=|TWKcN/I15gnSiUJhikrqX7emjrI= {KEY}\n"),
    ];
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    let name = "a".repeat(253);
    ends(&samples, |text| {
        let known = KnownHosts::read("/k", text).ok()?;
        Some((known.of(&["k8s-master", "10.0.20.100"], 22), known.of(&[&name], 2222)))
    });
}

#[test]
fn restore_cards() {
    let card = Card {
        run: "5f3a21bc".into(),
        from: "1.35.4".into(),
        to: "1.36.3".into(),
        snapshot: "/backup/etcd (old).db".into(),
        bytes: 4_575_264,
        hash: "sha256 00ff".into(),
        packages: vec![("k8s-master".into(), vec!["kubeadm=1.35.4-1.1".into(), "kubelet=1.35.4-1.1".into()])],
    };
    returns(&[&card.write(&[])], Card::read, |card| card.write(&[]));
    ends(&[&card.write(&[])], |text| Card::read(text)?.packages_of("k8s-master"));
}

#[test]
fn records_of_former_versions() {
    let samples = ["kubeadm=1.34.2-1.1,kubelet=1.34.2-1.1,kubectl=1.34.2-1.1,containerd.io=1.7.28-1"];
    let print = |packages: &Vec<ExactPackage>| packages.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    returns(&samples, |text| rollback::packages_of(text).ok(), print);
}

#[test]
fn journals() {
    let head = r#"{"run":"5f3a21bc","place":"k8s-node4","command":"upgrade-node k8s-node4","writer":"x-1","person":"ann@laptop","begun":"2026-11-22T12:04:00Z","dropped":2}"#;
    let lines = concat!(
        r#"{"at":"2026-11-22T12:04:01Z","what":"run-begun","from":"1.35.4","target":"1.36.3","kind":"minor","nodes":["a"]}"#,
        "\n",
        r#"{"at":"2026-11-22T12:04:02Z","place":"a","what":"drain","left":1,"total":2,"held":["x/y"],"until":"2026-11-22T12:34:01Z"}"#,
        "\n",
        r#"{"at":"2026-11-22T12:04:03Z","place":"a","what":"step","step":"cordon","seconds":3}"#,
        "\n",
    );
    let end = r#"{"at":"2026-11-22T12:14:00Z","result":"step failed","code":5,"failure":"it broke","detail":["a"],"next":["b"]}"#;
    let parts = |text: &str| -> BTreeMap<String, String> {
        let keys = ["head", "lines", "end"];
        keys.into_iter().zip(text.splitn(3, '\u{c}')).map(|(key, part)| (key.to_owned(), part.to_owned())).collect()
    };
    let samples = [format!("{head}\u{c}{lines}\u{c}{end}"), format!("{head}\u{c}{lines}")];
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    check(&samples, |text| {
        let head = Journal::head(&parts(text));
        let Ok(journal) = Journal::read(&parts(text)) else { return Ok(false) };
        if head.as_ref() != Some(&journal.head) {
            return Err(format!("its head alone is {head:?}, and {:?} with the rest", journal.head));
        }
        let mut written = journal.clone();
        let again = written.data().map_err(|error| error.to_string()).and_then(|data| Journal::read(&data));
        if again.as_ref() == Ok(&journal) { Ok(true) } else { Err(format!("{journal:?} is read back as {again:?}")) }
    });
}

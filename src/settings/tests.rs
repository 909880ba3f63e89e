#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use super::bounds::{BOUNDS, Range};
use super::*;
use crate::plan::model::span::span as told;
use crate::world::Files;

struct OneFile(String);
impl Files for OneFile {
    fn read(&self, _: &Path, _: usize) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone().into())
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> std::io::Result<()> {
        Err(std::io::Error::other("read-only"))
    }
    fn make_folder(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::Error::other("read-only"))
    }
    fn is_file(&self, _: &Path) -> std::io::Result<bool> {
        Ok(true)
    }
}

pub(super) fn load(file: &str, env: &[(&str, &str)], set: &[&str]) -> Result<Settings, String> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    Settings::load(&Sources { config: Some(Path::new("f.yaml")), set: &set, env: &env, files: &OneFile(file.to_owned()) })
        .map_err(|e| e.what)
}

#[test]
fn later_layers_win() {
    let s =
        load("soak: 1m\nquiet: 0s\nparallel: 2\n", &[("K8S_UPGRADE_SOAK", "2m"), ("K8S_UPGRADE_PARALLEL", "3")], &["soak=3m"])
            .unwrap();
    assert_eq!((s.soak, s.quiet, s.parallel), (Duration::from_secs(180), Duration::ZERO, 3));
}

/// `off` is false in YAML as it once was: it is a word where one is wanted, and still false where that is.
#[test]
fn off_is_a_word_and_a_switch() {
    for word in ["off", "\"off\"", "'off'"] {
        let s = load(&format!("alerts: {word}\ngauges: {word}\npatch: {word}\nminor: {word}\n"), &[], &[]).unwrap();
        assert_eq!((s.alerts, s.gauges, s.patch, s.minor), (Alerts::Off, Gauges::Off, Pace::Off, Pace::Off));
    }
    for (yes, no) in [("true", "false"), ("yes", "no"), ("on", "off")] {
        let s = load(&format!("remind: {no}\ndetection-dry-run: {yes}\n"), &[], &[]).unwrap();
        assert!(!s.remind && s.detection_dry_run, "{yes}, {no}");
    }
    assert!(load("ssh-user: no\n", &[], &[]).unwrap().ssh_user == *"no");
}

#[test]
fn texts_take_the_shape_of_the_default() {
    let s = load("", &[], &["exclude-nodes=a, b", "host-addresses=n1=10.0.0.1,n2=10.0.0.2", "detection-dry-run=true"]).unwrap();
    assert_eq!(s.exclude_nodes, ["a", "b"]);
    assert_eq!(s.host_addresses["n2"], "10.0.0.2");
    assert!(s.detection_dry_run);
}

/// Where `vault login` leaves it; and it is no business of a pod's.
#[test]
fn the_vault_token_is_at_home() {
    let home = [("HOME", "/home/ann")];
    let s = load("vault-address: https://v:8200", &home, &[]).unwrap();
    assert_eq!(s.vault_token_file, Path::new("/home/ann/.vault-token"));
    assert!(s.for_jobs().unwrap().is_empty());
    let s = load("", &home, &["vault-token-file=/run/token"]).unwrap();
    assert_eq!(s.vault_token_file, Path::new("/run/token"));
}

#[test]
fn bad_input_names_source_and_key() {
    for (result, wanted) in [
        (load("soka: 1m", &[], &[]), "f.yaml: unknown setting \"soka\"; did you mean \"soak\"?"),
        (load("soak: banana", &[], &[]), "f.yaml: setting soak: "),
        (load("- a", &[], &[]), "f.yaml: keys with values are wanted"),
        (load("", &[("K8S_UPGRADE_SOKA", "1m")], &[]), "environment variable K8S_UPGRADE_SOKA: unknown setting"),
        (load("", &[], &["parallel=many"]), "--set: setting parallel: "),
        (load("", &[], &["soak"]), "--set \"soak\": key=value is wanted"),
        (load("alert-ignore: '('", &[], &[]), "f.yaml: setting alert-ignore: it is no regular expression"),
        (
            load("backup-cronjob: backup-etcd", &[], &[]),
            "f.yaml: setting backup-cronjob: \"backup-etcd\" is no object: namespace/name",
        ),
        (
            load("max-version: 1.36", &[], &[]),
            "f.yaml: setting max-version: 1.36 is a number in YAML, and a text is wanted: put it",
        ),
        (load("kubeadm-flags: [--force]", &[], &[]), "f.yaml: setting kubeadm-flags: \"--force\" is not allowed"),
        (load("drain-unstick: maybe", &[], &[]), "f.yaml: setting drain-unstick: "),
        (load("parallel: 0", &[], &[]), "f.yaml: setting parallel: 0 does not lie between 1 and 64: "),
        (load("snapshot-folder: backup", &[], &[]), "f.yaml: setting snapshot-folder: \"backup\" is no path: an absolute path"),
        (load("", &[], &["host-addresses=foo"]), "--set: setting host-addresses: \"foo\" is not NAME=VALUE"),
        (load("", &[], &["host-addresses=a=1.2.3.4,a=1.2.3.5"]), "--set: setting host-addresses: \"a\" is there twice"),
        (load("", &[], &["host-addresses=a b=1.2.3.4"]), "--set: setting host-addresses: \"a b\" is no node name"),
        (load("prometheus: 'http://me:hunter2@h'", &[], &[]), "f.yaml: setting prometheus: \"http://…@h\" is no address"),
    ] {
        let message = result.unwrap_err();
        assert!(message.starts_with(wanted), "{message:?} should start with {wanted:?}");
    }
}

#[test]
fn what_ssh_alone_needs_is_named_with_the_ways_to_give_it() {
    let cause = Settings::default().by_ssh_alone().unwrap_err();
    assert_eq!(cause.what, "without the API server these settings are needed: host-addresses, known-hosts-file");
    let s = load("host-addresses: {k8s-master: 10.0.20.100}\n", &[], &[]).unwrap();
    let cause = s.by_ssh_alone().unwrap_err();
    assert_eq!(cause.what, "without the API server these settings are needed: known-hosts-file");
    let ways = "known-hosts-file: in the settings file, as K8S_UPGRADE_KNOWN_HOSTS_FILE=FILE, or by --set known-hosts-file=FILE";
    assert_eq!(cause.detail, [ways]);
    // Each of these ways works.
    for (file, env, set) in [
        ("known-hosts-file: /k\n", None, None),
        ("", Some(("K8S_UPGRADE_KNOWN_HOSTS_FILE", "/k")), None),
        ("", None, Some("known-hosts-file=/k")),
    ] {
        let hosts = ["host-addresses=k8s-master=10.0.20.100"];
        let set: Vec<&str> = hosts.into_iter().chain(set).collect();
        let env: Vec<(&str, &str)> = env.into_iter().collect();
        assert_eq!(load(file, &env, &set).unwrap().by_ssh_alone(), Ok(()));
    }
}

#[test]
fn only_what_differs_goes_into_the_config_map() {
    let s = load("soak: 1m\nssh-user: wizard\nssh-key-file: /k\nknown-hosts-file: /h\n", &[], &[]).unwrap();
    assert_eq!(s.for_jobs().unwrap().keys().collect::<Vec<_>>(), ["soak"]);
}

#[test]
fn a_file_may_be_named_from_ones_home() {
    let rows = manual::SUBJECTS.iter().flat_map(|subject| subject.rows).filter(|row| row.kind == manual::FILE);
    let keys: Vec<&str> = rows.map(|row| row.key).collect();
    assert_eq!(keys.len(), Settings::default().files().len());
    for key in keys {
        for (named, wanted) in [("~/.keys/one", "/home/ann/.keys/one"), ("/~/one", "/~/one"), ("~bob/one", "~bob/one")] {
            let home = [("HOME", "/home/ann")];
            let pair = format!("{key}={named}");
            for settings in [load(&format!("{key}: {named}\n"), &home, &[]), load("", &home, &[&pair])] {
                assert_eq!(printed(&settings.unwrap(), key), wanted, "{pair}");
            }
        }
        let pair = format!("{key}=~/one");
        assert_eq!(printed(&load("", &[], &[&pair]).unwrap(), key), "~/one", "nobody's home is known");
    }
}

/// Of every key, values that it takes. A new key needs its row here.
fn samples() -> Vec<(&'static str, Vec<Value>)> {
    fn of<T: Clone + Into<Value>>(values: &[T]) -> Vec<Value> {
        values.iter().cloned().map(Into::into).collect()
    }
    let spans = || of(&["60s", "15m"]);
    vec![
        ("cluster-name", of(&["prod", "Zürich 1"])),
        ("annotation-prefix", of(&["example.org"])),
        ("runner", of(&["", "k8s-node2", "control-plane"])),
        ("runner-standby", vec![serde_json::json!([]), serde_json::json!(["k8s-node2", "k8s-node3"])]),
        ("exclude-nodes", vec![serde_json::json!([]), serde_json::json!(["k8s-node2", "n.example.org"])]),
        ("ssh-user", of(&["wizard", "_k8s"])),
        ("ssh-port", of(&[22, 2222])),
        ("ssh-key-file", of(&["", "/home/ann/my key", "key"])),
        (
            "host-addresses",
            vec![serde_json::json!({}), serde_json::json!({ "k8s-node2": "10.0.20.102", "n3": "n3.example.org" })],
        ),
        ("known-hosts-file", of(&["", "/home/ann/.ssh/known_hosts"])),
        ("host-keys", of(&["learn", "strict"])),
        ("snapshot-unverified", of(&["tell", "refuse"])),
        ("snapshot", of(&["cronjob", "etcdctl"])),
        ("snapshot-folder", of(&["", "/var/backups/etcd"])),
        ("snapshot-keep", of(&[1, 50])),
        ("alerts", of(&["prometheus", "off"])),
        ("gauges", of(&["pushgateway", "off"])),
        ("prometheus", of(&["monitoring/prometheus-server:80", "http://10.0.0.9:9090/prometheus"])),
        ("prometheus-ca", of(&["", include_str!("../../tests/offline/tls/ca.pem")])),
        (
            "addons",
            vec![serde_json::json!({}), serde_json::json!({ "cilium": { "1.18": "<=1.35" }, "calico/node": { "3": "<=1.34" } })],
        ),
        ("prometheus-tenant", of(&["", "team-a", "THANOS-TENANT: team-a"])),
        ("pushgateway", of(&["monitoring/push:9091", "https://push.example.org"])),
        ("runbook-url", of(&["", "https://git.example.org/k8s-upgrade/README.md#troubleshooting"])),
        ("events", of(&[true, false])),
        ("slack-webhook-file", of(&["", "/home/ann/webhook"])),
        (
            "webhooks",
            vec![
                serde_json::json!({}),
                serde_json::json!({ "teams": { "body": "{\"text\": \"{text}\"}", "only": ["held", "failed"], "longest": 900 } }),
                serde_json::json!({ "n-1": { "body": "{text}", "content-type": "text/plain", "headers": { "Title": "{cluster}" } } }),
            ],
        ),
        ("webhooks-file", of(&["", "/home/ann/webhooks"])),
        ("vault-address", of(&["", "https://vault.example.org:8200"])),
        ("vault-mount", of(&["secret", "kv/team"])),
        ("vault-path", of(&["k8s-upgrade", "team/k8s-upgrade"])),
        ("vault-token-file", of(&["", "/run/token"])),
        (
            "packages-url",
            of(&["https://pkgs.k8s.io", "https://mirror.example.org/k8s", "https://mirror.example.org/k8s-v{minor}/deb"]),
        ),
        (
            "plain-http",
            vec![serde_json::json!([]), serde_json::json!(["packages-url", "vault-address", "slack-webhook", "webhooks"])],
        ),
        (
            "removed-apis-ignore",
            vec![serde_json::json!([]), serde_json::json!(["networking.k8s.io/v1beta1/ipaddresses", "v1/endpoints"])],
        ),
        ("package-keys", vec![serde_json::json!([]), serde_json::json!(["DE15B14486CD377B9E876E1A234654DA9A296436"])]),
        ("backup-cronjob", of(&["default/backup-etcd", "ops/etcd"])),
        ("hook-before-node", of(&["", "rook-ceph/noout"])),
        ("hook-after-node", of(&["", "rook-ceph/unset-noout"])),
        ("hook-deadline", spans()),
        ("kubeadm-flags", vec![serde_json::json!([]), serde_json::json!(["--skip-phases=addon/coredns", "--v=5"])]),
        ("alert-ignore", of(&["", "^(CertExpiresSoon|NodeDiskFull)$", "RecentNodeReboot"])),
        ("alert-matchers", vec![serde_json::json!([]), serde_json::json!(["severity=~\"critical|page\"", "team!=\"batch\""])]),
        ("alert-info-holds", of(&[true, false])),
        ("drain-unstick", of(&["structural", "all", "never"])),
        ("drain-surge", of(&["never", "single"])),
        ("drain-tries", of(&[1, 3])),
        ("undrainable", of(&["refuse", "skip", "try"])),
        ("undrainable-namespaces", vec![serde_json::json!([]), serde_json::json!(["data", "kafka-2"])]),
        ("undrainable-after", of(&["5m", "1h"])),
        (
            "windows",
            vec![
                serde_json::json!([]),
                serde_json::json!(["Sat,Sun 01:00-05:00 Europe/Berlin", "Mon,Tue,Wed,Thu,Fri 23:00-03:00 America/New_York"]),
            ],
        ),
        ("freezes", vec![serde_json::json!([]), serde_json::json!(["2026-12-20..2027-01-06 Europe/Berlin: end of the year"])]),
        ("freeze-configmap", of(&["", "ops/freezes"])),
        ("patch", of(&["auto", "ask", "off"])),
        ("minor", of(&["auto", "ask", "off"])),
        ("patch-min-age", of(&["0d", "3d"])),
        ("minor-min-age", of(&["0d", "365d"])),
        ("approval-holds", of(&["1d", "14d"])),
        ("max-version", of(&["", "1.36", "1.36.4"])),
        ("lag", of(&[0, 1, 20])),
        ("detection-dry-run", of(&[true, false])),
        ("remind", of(&[true, false])),
        ("max-unavailable", of(&["", "1", "3", "10%"])),
        ("canary", of(&[0, 3])),
        ("canary-rollback", of(&[true, false])),
        ("ramp-up", of(&["off", "exponential"])),
        ("zones", of(&["any", "one-at-a-time"])),
        ("late-joiners", of(&["upgrade", "report"])),
        ("quiet-scope", of(&["auto", "cluster"])),
        ("max-not-ready", of(&["0", "2", "5%"])),
        (
            "pools",
            vec![
                serde_json::json!({}),
                serde_json::json!({ "gpu": { "selector": ["hardware=gpu"], "order": 1, "max-unavailable": "1", "canary": 1,
                    "soak": "30m", "windows": ["Sat 01:00-05:00 Europe/Berlin"] } }),
            ],
        ),
        ("parallel", of(&[1, 64])),
        ("ready-ratio", of(&[0.0, 0.5, 1.0])),
        ("quiet", spans()),
        ("retry-deferred", spans()),
        ("soak", spans()),
        ("alert-wait", spans()),
        ("resolve-wait", spans()),
        ("backup-deadline", spans()),
        ("drain-deadline", spans()),
        ("drain-unstick-after", spans()),
        ("step-deadline", spans()),
        ("ready-deadline", spans()),
        ("sync-deadline", spans()),
        ("api-patience", spans()),
        ("lease-duration", spans()),
    ]
}

pub(super) fn of_file(key: &str, value: &Value) -> Result<Settings, String> {
    // Of canaries there must be one.
    let beside = (key == "canary-rollback").then(|| ("canary", 1.into()));
    let all: Map<String, Value> =
        beside.into_iter().chain([(key, value.clone())]).map(|(key, value)| (key.to_owned(), value)).collect();
    load(&Value::Object(all).to_string(), &[], &[])
}

fn printed(settings: &Settings, key: &str) -> Value {
    as_map(settings).unwrap().remove(key).unwrap()
}

#[test]
fn every_key_takes_its_samples_and_prints_them_back() {
    let keys: BTreeSet<String> = as_map(&Settings::default()).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(samples().iter().map(|(key, _)| (*key).to_owned()).collect::<BTreeSet<_>>(), keys);
    for (key, values) in samples() {
        for value in values {
            let loaded = of_file(key, &value).unwrap_or_else(|why| panic!("{key}: {value}: {why}"));
            let back = printed(&loaded, key);
            assert_eq!(of_file(key, &back).unwrap(), loaded, "{key}: {value} prints as {back}");
            assert!(load("", &[], &[]).unwrap() == Settings::default());
        }
    }
}

/// A value that is not what the key takes is refused by an error that names the key, or is harmless: one line, short, and printed back the
/// same. Nothing panics, however the value comes.
#[test]
fn hostile_values_are_refused_by_every_key_or_harmless() {
    let long = "a".repeat(100_000);
    let texts = [
        "",
        " ",
        "\n",
        "a\nb",
        "a\tb",
        "a\rb",
        "\0",
        "\u{1b}[31m",
        "\u{202e}a",
        "../x",
        "/../x",
        "-o",
        "--force",
        "$(id)",
        "`id`",
        "a b",
        "'",
        "\"",
        "*",
        ".*",
        "(",
        "a[$(id)]",
        "18446744073709551615s",
        "18446744073709551615",
        "99999999999999999999999999h",
        "-1s",
        "-1",
        "1e400",
        "NaN",
        ".inf",
        "http://",
        "http://u:p@h",
        "ftp://h",
        "http://10.0.0.9",
        "https://h?q",
        "a/b:c",
        "all",
        "null",
        "~",
        "{}",
        "[]",
        "a=b",
        "a=b,a=c",
        "=",
        ",",
        "tcp://10.0.0.1:80",
        long.as_str(),
    ];
    let odd = [
        Value::Null,
        Value::Bool(true),
        Value::from(-1),
        Value::from(0),
        Value::from(u64::MAX),
        Value::from(1.5e300),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!([[1]]),
        serde_json::json!([null]),
        serde_json::json!({ "a": { "b": 1 } }),
        serde_json::json!({ "A B": "c\n" }),
    ];
    let mut refused = 0;
    for key in as_map(&Settings::default()).unwrap().keys() {
        let variable = format!("{ENV_PREFIX}{}", key.to_uppercase().replace('-', "_"));
        let lists = texts.iter().map(|text| serde_json::json!([text]));
        let maps = texts.iter().flat_map(|text| [serde_json::json!({ *text: "10.0.0.1" }), serde_json::json!({ "n1": text })]);
        let values = odd.iter().cloned().chain(texts.iter().map(|text| Value::from(*text))).chain(lists).chain(maps);
        let of_values = values.map(|value| of_file(key, &value));
        let of_texts =
            texts.iter().flat_map(|text| [load("", &[(&variable, text)], &[]), load("", &[], &[&format!("{key}={text}")])]);
        for result in of_values.chain(of_texts) {
            match result {
                Err(why) => {
                    refused += 1;
                    // Some characters are none of YAML's.
                    let named = why.contains(key.as_str()) || why.contains(&variable) || why == "f.yaml is not YAML";
                    assert!(named, "{why:?} does not name {key}");
                    assert!(why.chars().count() < 1200 && !why.contains(['\u{1b}', '\n', '\u{202e}']), "{key}: {why:?}");
                }
                Ok(settings) => {
                    let back = printed(&settings, key);
                    let text = back.to_string();
                    let escapes = [r"\n", r"\u00", r"\t", "\u{202e}"];
                    assert!(text.len() < 5000 && !escapes.iter().any(|escape| text.contains(escape)), "{key} takes {text}");
                    assert_eq!(printed(&of_file(key, &back).unwrap(), key), back, "{key}");
                }
            }
        }
    }
    assert!(refused > 3000, "{refused} refused");
}

#[test]
fn every_duration_and_number_has_bounds_and_they_hold() {
    let default = as_map(&Settings::default()).unwrap();
    let measured = |value: &Value| match value {
        Value::Number(_) => true,
        Value::String(text) => text.parse::<jiff::SignedDuration>().is_ok(),
        _ => false,
    };
    let keys: BTreeSet<&str> = default.iter().filter(|(_, value)| measured(value)).map(|(key, _)| key.as_str()).collect();
    assert_eq!(BOUNDS.iter().map(|bounds| bounds.key).collect::<BTreeSet<_>>(), keys);
    let second = Duration::from_secs(1);
    for bounds in BOUNDS {
        let key = bounds.key;
        let (inside, outside) = match &bounds.range {
            Range::Span { of, least, most } => {
                assert!((*least..=*most).contains(&of(&Settings::default())), "the default of {key}");
                let outside =
                    least.checked_sub(second).into_iter().chain([*most + second, Duration::from_secs(u64::MAX / 1_000_000_000)]);
                let text = |span: Duration| Value::from(format!("{}s", span.as_secs()));
                ([*least, *most].map(text), outside.map(text).collect::<Vec<_>>())
            }
            Range::Number { of, least, most } => {
                assert!((*least..=*most).contains(&of(&Settings::default())), "the default of {key}");
                let number =
                    |n: f64| if n.fract() == 0.0 { serde_json::from_str(&n.to_string()).unwrap() } else { Value::from(n) };
                ([*least, *most].map(number), vec![number(*least - 1.0), number(*most + 1.0)])
            }
        };
        for value in inside {
            assert!(of_file(key, &value).is_ok(), "{key}: {value}");
        }
        for value in outside {
            let why = of_file(key, &value).unwrap_err();
            assert!(why.starts_with(&format!("f.yaml: setting {key}: ")), "{why}");
        }
        if let Range::Span { most, .. } = bounds.range {
            let why = of_file(key, &Value::from(format!("{}s", most.as_secs() + 1))).unwrap_err();
            assert!(why.contains(bounds.why) && why.contains(&told(most)), "{why}");
        }
    }
}

/// Of a Service named `k8s-upgrade`, with and without named ports, and of one named `k8s-upgrade-metrics`.
#[test]
fn what_the_kubelet_sets_for_services_is_no_setting() {
    let links = [
        ("K8S_UPGRADE_SERVICE_HOST", "10.96.0.7"),
        ("K8S_UPGRADE_SERVICE_PORT", "9091"),
        ("K8S_UPGRADE_SERVICE_PORT_WEB", "9091"),
        ("K8S_UPGRADE_PORT", "tcp://10.96.0.7:9091"),
        ("K8S_UPGRADE_PORT_9091_TCP", "tcp://10.96.0.7:9091"),
        ("K8S_UPGRADE_PORT_9091_TCP_PROTO", "tcp"),
        ("K8S_UPGRADE_PORT_9091_TCP_PORT", "9091"),
        ("K8S_UPGRADE_PORT_9091_TCP_ADDR", "10.96.0.7"),
        ("K8S_UPGRADE_PORT_53_UDP", "udp://10.96.0.7:53"),
        ("K8S_UPGRADE_METRICS_SERVICE_HOST", "10.96.0.8"),
        ("K8S_UPGRADE_METRICS_PORT", "tcp://10.96.0.8:80"),
        ("K8S_UPGRADE_METRICS_PORT_80_TCP_PORT", "80"),
        // The Service is named k8s-upgrade-ssh; the setting of this name is a number.
        ("K8S_UPGRADE_SSH_PORT", "tcp://10.96.0.9:22"),
    ];
    assert_eq!(load("", &links, &[]), Ok(Settings::default()));
    let env = links.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(service_links(&env).count(), links.len());
    assert_eq!(load("", &[("K8S_UPGRADE_SSH_PORT", "2222")], &[]).unwrap().ssh_port, 2222);
    for (name, value) in [
        ("K8S_UPGRADE_SHS_PORT", "22"),
        ("K8S_UPGRADE_PORT", "9091"),
        ("K8S_UPGRADE_SSH_PORT", "22x"),
        ("K8S_UPGRADE_PORT_X_TCP", "1"),
        ("K8S_UPGRADE_SOKA", "1m"),
        ("K8S_UPGRADE_", ""),
    ] {
        let why = load("", &[(name, value)], &[]).unwrap_err();
        assert!(why.contains(name), "{why}");
    }
    for key in as_map(&Settings::default()).unwrap().keys() {
        let variable = format!("{ENV_PREFIX}{}", key.to_uppercase().replace('-', "_"));
        let env = [(variable.clone(), "1".to_owned())].into();
        assert_eq!(service_links(&env).count(), 0, "{variable} would never be read");
    }
}

#[test]
fn http_to_another_machine_is_stated_twice() {
    for (key, url) in [("packages-url", "http://mirror.example.org"), ("vault-address", "http://10.0.0.9:8200")] {
        let why = load(&format!("{key}: {url}\n"), &[], &[]).unwrap_err();
        assert!(why.starts_with(&format!("f.yaml: setting {key}: {url}: everybody on the way")), "{why}");
        let why = load("", &[], &[&format!("{key}={url}")]).unwrap_err();
        assert!(why.starts_with(&format!("--set: setting {key}: ")), "{why}");
        // Whichever layer says so.
        assert!(load(&format!("{key}: {url}\nplain-http: [{key}]\n"), &[], &[]).is_ok());
        assert!(load(&format!("{key}: {url}\n"), &[], &[&format!("plain-http={key}")]).is_ok());
        assert!(load(&format!("{key}: http://127.0.0.1:8080\n"), &[], &[]).is_ok());
        assert!(load(&format!("{key}: {url}\nplain-http: [slack-webhook]\n"), &[], &[]).is_err());
    }
    let stated = load("plain-http: [slack-webhook]", &[], &[]).unwrap();
    assert!(stated.allows(PlainHttp::SlackWebhook, "http://10.0.0.9/hook"));
    assert!(!Settings::default().allows(PlainHttp::SlackWebhook, "http://10.0.0.9/hook"));
    assert!(Settings::default().allows(PlainHttp::SlackWebhook, "https://hooks.example.org/x"));
}

#[test]
fn kubeadm_gets_only_flags_that_leave_the_upgrade_one() {
    for flag in [
        "--ignore-preflight-errors=SystemVerification",
        "--ignore-preflight-errors=Swap,IsPrivilegedUser",
        "--skip-phases=addon/coredns",
        "--skip-phases=addon,kubelet-config",
        "--certificate-renewal=false",
        "--etcd-upgrade=false",
        "--patches=/etc/kubernetes/patches",
        "--v=5",
    ] {
        assert_eq!(flag.parse::<KubeadmFlag>().map(|flag| flag.to_string()), Ok(flag.to_owned()));
    }
    for (flag, why) in [
        ("--force", "found a reason not to"),
        ("--force=true", "found a reason not to"),
        ("--dry-run", "would change nothing"),
        ("--dry-run=true", "would change nothing"),
        ("--print-config", "would change nothing"),
        ("--help", "would change nothing"),
        ("--yes", "always given"),
        ("--config=/x", "elsewhere"),
        ("--kubeconfig=/x", "another cluster"),
        ("--rootfs=/x", "another file system"),
        ("--allow-release-candidate-upgrades", "targets are releases"),
        ("--no-such-flag", "no such flag in common"),
        ("--Force", "no such flag in common"),
        ("--ignore-preflight-errors=all", "would check nothing"),
        ("--ignore-preflight-errors=Swap,ALL", "would check nothing"),
        ("--ignore-preflight-errors", "words between commas"),
        ("--ignore-preflight-errors=", "words between commas"),
        ("--ignore-preflight-errors=a b", "words between commas"),
        ("--ignore-preflight-errors=$(id)", "words between commas"),
        ("--skip-phases=preflight", "no upgrade that can be relied on"),
        ("--skip-phases=addon,control-plane", "no upgrade that can be relied on"),
        ("--patches=patches", "an absolute path"),
        ("--patches=/a/../b", "an absolute path"),
        ("--certificate-renewal=maybe", "true or false"),
        ("--v=five", "a number"),
        ("-f", "is not --NAME"),
        ("force", "is not --NAME"),
        ("", "is not --NAME"),
        (" --v=5", "is not --NAME"),
        ("--v=5\n", "a number"),
    ] {
        let error = flag.parse::<KubeadmFlag>().unwrap_err();
        assert!(error.contains(why), "{flag}: {error}");
    }
    assert!(format!("--skip-phases={}", "a".repeat(1000)).parse::<KubeadmFlag>().is_err());
}

#[test]
fn a_filter_that_ignores_all_alerts_is_refused() {
    for filter in ["^Cert", "RecentNodeReboot", "^(CertExpiresSoon|NodeDiskFull)$", "Kube.*Throttling", "Disk$"] {
        assert_eq!(filter.parse::<AlertFilter>().map(|filter| filter.to_string()), Ok(filter.to_owned()));
    }
    for filter in [
        ".*",
        ".",
        "^",
        "$",
        "",
        ".+",
        "^.*$",
        "(?s).",
        "[A-Z]",
        "\\w",
        "^[^W]",
        "[a-z]+",
        "|Cert",
        "Cert|",
        "(Cert)*",
        "\\d|\\D",
        "(?i)watchdog",
        "K8sUpgrade",
        "^K",
        "\\b",
        "^[A-Z]",
        "[^0]",
    ] {
        let taken = filter.parse::<AlertFilter>();
        assert_eq!(taken.is_ok(), filter.is_empty(), "{filter:?}");
    }
    assert!("(".parse::<AlertFilter>().unwrap_err().contains("no regular expression"));
    assert!("a{1000}{1000}{1000}".parse::<AlertFilter>().unwrap_err().contains("no regular expression"));
    assert!("a".repeat(3000).parse::<AlertFilter>().is_err());
}

#[test]
fn what_stays_on_this_machine_is_told_and_nothing_else_is_lost() {
    let file = "ssh-key-file: /k\nknown-hosts-file: /h\nslack-webhook-file: /s\nwebhooks-file: /w\nvault-address: https://v\nvault-mount: m\nvault-path: p\nsoak: 1m\n";
    let s = load(file, &[("HOME", "/home/ann")], &["vault-token-file=/t"]).unwrap();
    let told: Vec<&str> = s.left_behind().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(told.len(), OF_THIS_MACHINE.len());
    assert!(load("", &[("HOME", "/home/ann")], &[]).unwrap().left_behind().unwrap().is_empty());
    // Every key travels, or is told.
    for (key, values) in samples() {
        let default = printed(&Settings::default(), key);
        let changed = values.iter().map(|value| of_file(key, value).unwrap()).find(|settings| printed(settings, key) != default);
        let changed = changed.unwrap_or_else(|| panic!("no sample of {key} differs from its default"));
        let travels = changed.for_jobs().unwrap().contains_key(key);
        let told = changed.left_behind().unwrap().iter().any(|(told, _)| *told == key);
        assert!(travels != told, "{key} travels: {travels}, is told: {told}");
    }
}

#[test]
fn detection_that_starts_nothing_has_nothing_tried_again() {
    assert_eq!(load("retry-deferred: 2h", &[], &[]).unwrap().policy().retry_deferred, Some(Duration::from_secs(7200)));
    assert!(load("retry-deferred: 2h\ndetection-dry-run: true", &[], &[]).unwrap().policy().retry_deferred.is_none());
}

/// What could never happen is not set.
#[test]
fn a_rollback_of_canaries_needs_one() {
    let why = load("canary-rollback: true", &[], &[]).unwrap_err();
    assert!(why.contains("f.yaml: setting canary-rollback: there is no canary that could be rolled back"), "{why}");
    for with in ["canary: 1", "pools: {gpu: {selector: [hardware=gpu], canary: 1}}"] {
        assert!(load(&format!("canary-rollback: true\n{with}\n"), &[], &[]).unwrap().canary_rollback, "{with}");
    }
    assert!(load("canary-rollback: false", &[], &[]).is_ok());
}

#[test]
fn an_approval_that_holds_for_no_time_is_refused() {
    let why = load("approval-holds: 0d", &[], &[]).unwrap_err();
    assert!(why.contains("f.yaml: setting approval-holds: an approval that holds for 0d lets nothing begin"), "{why}");
    assert!(load("approval-holds: 1d", &[], &[]).is_ok());
}

/// A run that can begin in no window would wait for ever; and what was not read of freezes keeps everything closed.
#[test]
fn a_window_is_long_enough_to_begin_in() {
    let windows = |text: &str| load(&format!("windows: [\"Sat 01:00-02:00 UTC\", \"{text}\"]\n"), &[], &[]);
    let why = windows("Sun 01:00-02:14 UTC").unwrap_err();
    let wanted = "f.yaml: setting windows: the longest has 1h 14m, and a run needs 1h 15m to begin";
    assert!(why.contains(wanted), "{why}");
    assert_eq!(windows("Sun 01:00-02:15 UTC").unwrap().windows.len(), 2);
    // Commas stand between windows there, blanks between days.
    let set = load("", &[], &["windows=Sat Sun 01:00-05:00 UTC, daily 22:00-00:00 UTC"]).unwrap();
    let shown: Vec<String> = set.windows.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["Sat,Sun 01:00-05:00 UTC", "daily 22:00-00:00 UTC"]);
    assert!(load("windows: [\"Sat 1-5\"]\n", &[], &[]).unwrap_err().contains("a window is DAYS FROM-TO ZONE"));
    assert!(load("freezes: [\"soon: x\"]\n", &[], &[]).unwrap_err().contains("is no date"));
    let unread = load("freeze-configmap: ops/freezes\n", &[], &[]).unwrap().policy().calendar;
    assert_eq!(unread.unknown, ["ConfigMap ops/freezes was not read"]);
}

/// Nothing is deleted by force where nobody has named a namespace, and none later than its drain ends.
#[test]
fn force_is_named_and_bounded() {
    let named = "undrainable: force-after\nundrainable-namespaces: [data]\n";
    let settings = load(named, &[], &[]).unwrap();
    assert_eq!((settings.forced_in(), settings.force().unwrap().after), (["data".to_owned()].as_slice(), minutes(15)));
    for (yaml, wanted) in [
        (
            "undrainable: force-after\n".to_owned(),
            "f.yaml: setting undrainable: force-after deletes pods of the namespaces that are named, and none is",
        ),
        (
            format!("{named}undrainable-after: 30m\n"),
            "f.yaml: setting undrainable-after: 30m 00s is not shorter than the drain-deadline of 30m 00s",
        ),
        (format!("{named}drain-deadline: 10m\n"), "the default: setting undrainable-after: 15m 00s is not shorter"),
        (format!("{named}undrainable-after: 10s\n"), "f.yaml: setting undrainable-after: 10s does not lie between 1m 00s and"),
        ("undrainable-namespaces: [\"Data\"]\n".to_owned(), "f.yaml: setting undrainable-namespaces: "),
    ] {
        let why = load(&yaml, &[], &[]).unwrap_err();
        assert!(why.contains(wanted), "{yaml}: {why}");
    }
    // Names alone force nothing.
    for policy in ["refuse", "skip", "try"] {
        let settings = load(&format!("undrainable: {policy}\nundrainable-namespaces: [data]\n"), &[], &[]).unwrap();
        assert!(settings.force().is_none() && settings.forced_in().is_empty(), "{policy}");
    }
}

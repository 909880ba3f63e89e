//! What people read of each setting, in `k8s-upgrade-settings(5)`: a row each, by subject. Defaults, bounds and units are not told here: they
//! come from [`Settings`] and from [`bounds`](super::bounds).

use serde_json::Value;

use super::bounds::{BOUNDS, Range};
use super::{Settings, as_map};
use crate::failure::Cause;
use crate::plan::model::span::span;

/// One setting, for people. Words between backticks are typed as they stand.
pub struct Row {
    pub key: &'static str,
    /// What its value is, or each item of a list or map; empty where the default and the bounds say it: durations, numbers, true or false.
    pub(super) kind: &'static str,
    /// What holds where it is empty, as it is by default; empty where the default is a value.
    unset: &'static str,
    /// A value as YAML, other than the default.
    pub example: &'static str,
    /// The first release that has it.
    pub since: &'static str,
    pub text: &'static str,
}

/// Settings of one subject.
pub struct Subject {
    pub title: &'static str,
    pub rows: &'static [Row],
}

/// What a setting takes that names a file.
pub(super) const FILE: &str = "a file of this machine; `~/` is your home";

macro_rules! settings {
    ($($title:literal { $($key:literal [$kind:expr] $unset:literal, $example:literal, $since:literal: $text:literal;)+ })+) => {
        /// Every setting.
        pub const SUBJECTS: &[Subject] = &[$(Subject {
            title: $title,
            rows: &[$(Row { key: $key, kind: $kind, unset: $unset, example: $example, since: $since, text: $text },)+],
        },)+];
    };
}

settings! {
    "THE CLUSTER AND ITS NODES" {
        "cluster-name" ["text"] "", "production", "0.1.0": "Named in messages.";
        "annotation-prefix" ["a DNS name"] "", "example.com", "0.1.0":
            "The prefix of our annotations on nodes and on our namespace. Not to be changed while a run is on: its record would not be found.";
        "runner" ["a node's name, or `control-plane`"] "the first worker in natural order", "k8s-node2", "0.1.0":
            "Where Jobs run, and so who has the SSH key. With `control-plane`, of which there must be several, no worker has it. Apply the manifests again after a change: the API server holds Jobs to it.";
        "runner-standby" ["a node's name"] "a control plane stands in, or the run holds", "[k8s-node3]", "0.1.0":
            "Workers that may stand in for a lost runner, and so have the key as well.";
        "exclude-nodes" ["a node's name"] "none", "[k8s-gpu1]", "0.1.0": "What is never upgraded; every output shows them.";
        "ssh-user" ["a login"] "", "ubuntu", "0.1.0": "Who logs in on the nodes, with sudo that asks for no password.";
        "ssh-port" [""] "", "2222", "0.1.0": "Where sshd listens on the nodes.";
        "ssh-key-file" [FILE] "the mounted Secret, else the Secret by the API, else the agent", "~/.ssh/k8s-upgrade", "0.1.0":
            "A private key. Jobs take theirs from the Secret: `manifests --ssh-key FILE` puts it there.";
        "host-addresses" ["node: IP or DNS name"] "the nodes' InternalIPs", "{k8s-master: 10.0.20.100}", "0.1.0":
            "Where the InternalIP is not the way to a node; with `known-hosts-file`, and all nodes, for what works without the API server (`status --hosts`, `rollback`).";
        "known-hosts-file" [FILE] "a ConfigMap, in which host keys are learned", "~/.ssh/known_hosts", "0.1.0":
            "Host keys as ssh keeps them; then nothing is learned, and an unknown host is refused. `manifests` prints those of nodes into the ConfigMap; keys that runs have learned there stay when it is applied again, those of a file go where it is not given again.";
        "host-keys" ["`learn` or `strict`"] "", "strict", "0.1.0":
            "A host whose key is not known: `learn` keeps what it shows once it was proved to be the node, `strict` refuses it.";
        "parallel" [""] "", "8", "0.1.0":
            "So many nodes are prepared (package sources, packages and images fetched) at the same time. Where nodes are only looked at, there are up to 64 sessions at once, whatever this says.";
    }
    "THE SNAPSHOT OF ETCD" {
        "snapshot" ["`cronjob` or `etcdctl`"] "", "etcdctl", "0.1.0":
            "Who takes it: `cronjob`, a Job out of the template of `backup-cronjob`; `etcdctl`, the program itself: ITS OWN SNAPSHOTS in `k8s-upgrade-operations(7)`.";
        "backup-cronjob" ["namespace/name"] "", "kube-system/etcd-backup", "0.1.0":
            "The CronJob whose template makes the snapshot, and prints `Backup done: …`.";
        "backup-deadline" [""] "", "30m", "0.1.0": "For the snapshot.";
        "snapshot-folder" ["an absolute path on the control planes"] "that of the restore card; with `snapshot: etcdctl` /var/backups/k8s-upgrade", "/var/backups/etcd", "0.1.0":
            "Where snapshots lie.";
        "snapshot-keep" [""] "", "10", "0.1.0": "With `snapshot: etcdctl`: so many of its own stay on each control plane.";
        "snapshot-unverified" ["`tell` or `refuse`"] "", "refuse", "0.1.0":
            "A snapshot that cannot be looked at on the first control plane, since it is elsewhere, compressed or encrypted: `tell` goes by the line of its backup, at least 1 KiB, and says so; `refuse` does not begin.";
    }
    "ALERTS AND GAUGES" {
        "alerts" ["`prometheus` or `off`"] "", "off", "0.1.0":
            "Who is asked for alerts that hold a run. `off`: nobody, and the cluster's own health alone holds it. `status` says so.";
        "gauges" ["`pushgateway` or `off`"] "", "off", "0.1.0":
            "Where gauges are pushed to. `off`: nowhere, and the alerts that look at them never fire. `status` says so.";
        "prometheus" ["a URL, or namespace/service:port"] "", "observability/prometheus-operated:9090", "0.1.0":
            "Who is asked for alerts. What it wants of whoever asks: A GUARDED PROMETHEUS in `k8s-upgrade-operations(7)`.";
        "prometheus-ca" ["certificates as PEM"] "the usual authorities", "|\n  -----BEGIN CERTIFICATE-----\n  …", "0.1.0":
            "The authority that alone vouches for `prometheus` by https.";
        "prometheus-tenant" ["a tenant, or `HEADER: TENANT`"] "none", "team-a", "0.1.0":
            "Whose alerts are asked for: `team-a` in the header X-Scope-OrgID, or with its header, `\"THANOS-TENANT: team-a\"`.";
        "pushgateway" ["a URL, or namespace/service:port"] "", "observability/pushgateway:9091", "0.1.0": "Who is pushed gauges; asked without credentials.";
        "runbook-url" ["a URL"] "none", "https://git.example/k8s-upgrade/README.md#troubleshooting", "0.1.0":
            "A page that each alert rule leads to, by its annotation `runbook_url`. Apply or load the rules again.";
        "alert-ignore" ["a regular expression"] "none", "^(CertExpiresSoon|NodeDiskFull)$", "0.1.0":
            "Alerts that never block, by any part of their name; one that matches all is refused. A hold names the value that would let it pass.";
        "alert-matchers" ["a matcher of Prometheus"] "all alerts hold", "['severity=~\"critical|page\"']", "0.1.0":
            "Only alerts whose labels match all of these hold a run: `LABEL=VALUE`, `!=`, `=~` or `!~`, as Prometheus has them. The program's own alerts always do.";
        "alert-info-holds" [""] "", "true", "0.1.0": "Whether alerts of the severities none and info hold a run, too.";
        "alert-wait" [""] "", "1h", "0.1.0": "How long an alert that blocks, or alerts that cannot be read, are waited for before a step holds.";
        "resolve-wait" [""] "", "20m", "0.1.0": "How long the end of a run waits for alerts of the upgrade to resolve, and for pods to be Ready.";
    }
    "WHO IS TOLD" {
        "slack-webhook-file" [FILE] "the Secret", "/home/ann/slack-webhook", "0.1.0":
            "The URL of Slack's webhook. Without any, nothing is sent there.";
        "webhooks" ["name: what it is sent"] "none", "{teams: {body: '{\"text\": \"{text}\"}', only: [held, failed]}}", "0.1.0":
            "Who else is told: WEBHOOKS in `k8s-upgrade-operations(7)`.";
        "webhooks-file" [FILE] "the Secret", "/home/ann/webhooks", "0.1.0": "Their URLs, a line `NAME: URL` each.";
        "events" [""] "", "false", "0.1.0":
            "Whether each step, hold and failure is told as a Kubernetes Event, on our Jobs and on the nodes: EVENTS in `k8s-upgrade-operations(7)`.";
        "remind" [""] "", "false", "0.1.0":
            "Whether the watch reminds people (Slack, `webhooks`) of a run that is held, halted or deferred: after 1 h, 6 h, then each day, until it goes on.";
    }
    "PACKAGES AND KUBEADM" {
        "packages-url" ["a URL"] "", "https://mirror.example/k8s", "0.1.0":
            "Where the package repositories are: the base of `/core:/stable:/v1.N/deb`; for a mirror of another layout its URL with `{minor}` for the minor version: `https://nexus.example/repository/kubernetes-v{minor}/deb`. MIRRORS in `k8s-upgrade-operations(7)`.";
        "package-keys" ["a fingerprint"] "none", "[DE15B14486CD377B9E876E1A234654DA9A296436]", "0.1.0":
            "Keys of repositories that a person has acknowledged: a node takes no other key than it has.";
        "plain-http" ["`packages-url`, `vault-address`, `slack-webhook`, `webhooks` or `prometheus`"] "none", "[packages-url]", "0.1.0":
            "Which of them may be http:// to another machine, where others can read and change it; `prometheus`: with its credentials.";
        "kubeadm-flags" ["a flag"] "none", "[--ignore-preflight-errors=SystemVerification]", "0.1.0":
            "Added to `kubeadm upgrade apply` and `kubeadm upgrade node`: `--ignore-preflight-errors=…` (not all; also to `kubeadm upgrade plan`), `--skip-phases`, `--patches`, `--certificate-renewal`, `--etcd-upgrade`, `--v`.";
        "removed-apis-ignore" ["GROUP/VERSION/RESOURCE"] "none", "[networking.k8s.io/v1beta1/ipaddresses]", "0.1.0":
            "APIs that a run to a minor version may go on without though somebody calls them: the gate `removed APIs`.";
        "addons" ["addon: {version: highest Kubernetes}"] "none", "{cilium: {\"1.18\": \"<=1.35\"}}", "0.1.0":
            "How far Kubernetes may go while an addon runs at a version: ADDONS in `k8s-upgrade-operations(7)`.";
        "step-deadline" [""] "", "45m", "0.1.0": "For packages or kubeadm on a node. They are left to end and are found again; the wait ends.";
    }
    "WHICH RELEASE, AND WHEN" {
        "patch" ["`auto`, `ask` or `off`"] "", "ask", "0.1.0":
            "What detection does about a patch release: `auto` goes there, `ask` waits for a person's approval, `off` leaves it to people, and says that it is there.";
        "minor" ["`auto`, `ask` or `off`"] "", "ask", "0.1.0": "The same of minor versions.";
        "approval-holds" ["days, 1d to 365d"] "", "30d", "0.1.0": "How long a run may begin by an approval.";
        "patch-min-age" ["days, 0d to 365d"] "", "3d", "0.1.0":
            "How long detection must have known a patch release before it goes there: APPROVALS AND AGE in `k8s-upgrade-operations(7)`.";
        "minor-min-age" ["days, 0d to 365d"] "", "30d", "0.1.0": "The same of minor versions.";
        "max-version" ["a release, or a minor version"] "none", "\"1.36\"", "0.1.0": "The highest that detection goes to. Between quotation marks, or YAML takes `1.30` for the number 1.3.";
        "lag" [""] "", "1", "0.1.0": "Detection stays so many patches of a minor version behind the newest.";
        "detection-dry-run" [""] "", "true", "0.1.0": "Whether detection only reports, and starts nothing.";
        "windows" ["`DAYS FROM-TO ZONE`"] "at any time", "[\"Sat,Sun 01:00-05:00 Europe/Berlin\"]", "0.1.0":
            "Days and hours in which a run may begin, and each of its nodes: WINDOWS AND FREEZES in `k8s-upgrade-operations(7)`.";
        "freezes" ["days and a reason"] "none", "[\"2026-12-20..2027-01-06 Europe/Berlin: end of the year\"]", "0.1.0": "Days on which none does.";
        "freeze-configmap" ["namespace/name"] "none", "ops/freezes", "0.1.0":
            "A ConfigMap with more freezes, which others may write. Apply the manifests again: they carry the right to read it.";
        "retry-deferred" [""] "", "48h", "0.1.0":
            "How long a run that was deferred (a gate holds that time opens) is tried again by the watch, hourly; the time before its first window does not count, and all of that window does. 0s: by the next detection. `halt`, or a detection that is suspended, keeps it off; `clear-state` gives it up.";
        "quiet-scope" ["`auto` or `cluster`"] "", "cluster", "0.1.0":
            "Of which nodes that is asked: `auto`, in a cluster of more than 20 nodes, before a run of the control planes and the runner, and before each worker of itself; `cluster`, of all before a run.";
        "quiet" [""] "", "2h", "0.1.0": "No node may have come or gone for so long before a run.";
    }
    "SEVERAL WORKERS AT A TIME" {
        "max-unavailable" ["a number of nodes, or a percentage"] "one after the other", "10%", "0.1.0":
            "So many of all workers may be out of service at the same time, for whatever reason: WAVES in `k8s-upgrade-operations(7)`. Control planes go one after the other, whatever it says, and the runner alone and last.";
        "canary" [""] "", "2", "0.1.0":
            "With `max-unavailable`: so many workers are upgraded alone, each with its whole soak, before others go beside each other.";
        "canary-rollback" [""] "", "true", "0.1.0":
            "With `canary`, of all or of a pool: if the cluster gets worse after a canary's upgrade (its gates and its soak), the run takes that worker back, as `rollback NODE` does, and then stands until a person types `resume`. Never a control plane, and no other worker.";
        "ramp-up" ["`off` or `exponential`"] "", "exponential", "0.1.0":
            "With `max-unavailable`: `exponential` upgrades one worker, then two at a time, then four, and so on, up to it.";
        "zones" ["`any` or `one-at-a-time`"] "", "one-at-a-time", "0.1.0":
            "With `max-unavailable`: `one-at-a-time` upgrades workers at the same time only where they are in one zone, by the label topology.kubernetes.io/zone.";
        "max-not-ready" ["a number of nodes, or a percentage"] "", "2", "0.1.0":
            "So many of all workers may be NotReady, and a run goes on without them: they have their turn once they are back.";
        "late-joiners" ["`upgrade` or `report`"] "", "report", "0.1.0":
            "Old workers that join while a run is on: `upgrade` upgrades each, once; `report` leaves them to the next run, and shows them as excluded.";
        "pools" ["name: {selector, order, max-unavailable, canary, soak, windows}"] "all workers are alike", "{gpu: {selector: [hardware=gpu], order: 1, max-unavailable: 1}}", "0.1.0":
            "Workers with rules of their own: POOLS in `k8s-upgrade-operations(7)`.";
    }
    "DRAINS AND HOOKS" {
        "drain-deadline" [""] "", "1h", "0.1.0": "For a drain.";
        "drain-tries" [""] "", "3", "0.1.0":
            "So many drain deadlines a node may be out of service in one run for drains that do not end; then a person must look.";
        "drain-unstick" ["`structural`, `all` or `never`"] "", "never", "0.1.0":
            "What a drain may delete that a budget can never release: `structural`, a ReplicaSet's pod where one of one is wanted healthy; `all`; or `never`. A pod, Deployment or budget with the annotation `PREFIX/k8s-upgrade-unstick: never` opts out.";
        "drain-unstick-after" [""] "", "5m", "0.1.0": "So long its eviction must have been refused before.";
        "drain-surge" ["`never` or `single`"] "", "single", "0.1.0":
            "A Deployment's only pod: `never` evicts it, `single` restarts the Deployment first, so that its new pod is up elsewhere before the former goes: A DEPLOYMENT'S ONLY POD in `k8s-upgrade-operations(7)`. Apply the manifests again.";
        "undrainable" ["`refuse`, `skip`, `try` or `force-after`"] "", "skip", "0.1.0":
            "A node with pods that can never be evicted: `refuse` begins no run; `skip` leaves out that worker alone; `try` drains it nevertheless, for some operators move their pods once a node is cordoned; `force-after` deletes such pods, in the namespaces that the next names and nowhere else, and says so in Slack.";
        "undrainable-namespaces" ["a namespace"] "none", "[data]", "0.1.0":
            "With `undrainable: force-after`: where a drain deletes a pod that its budget can never release, unless it opts out as above. Apply the manifests again: they carry the right and its bounds.";
        "undrainable-after" [""] "", "20m", "0.1.0": "So long its eviction must have been refused before; shorter than `drain-deadline`.";
        "hook-before-node" ["namespace/name"] "none", "rook-ceph/noout", "0.1.0":
            "A suspended CronJob whose template is run before each node is taken out of service: HOOKS in `k8s-upgrade-operations(7)`.";
        "hook-after-node" ["namespace/name"] "none", "rook-ceph/unset-noout", "0.1.0": "The same once it is back in service, upgraded or not.";
        "hook-deadline" [""] "", "5m", "0.1.0": "For each of them.";
    }
    "HEALTH AND PATIENCE" {
        "soak" [""] "", "5m", "0.1.0": "The cluster is watched for so long after each node before the next begins.";
        "ready-deadline" [""] "", "20m", "0.1.0": "Until a node is Ready at its new version, and its workloads have their pods again.";
        "ready-ratio" [""] "", "0.8", "0.1.0": "Share of pods that must be Ready in the end.";
        "api-patience" [""] "", "20m", "0.1.0": "How long an API server that is away in the middle of a run is waited for.";
        "lease-duration" [""] "", "2m", "0.1.0": "A node's Lease that was not renewed for so long is free.";
    }
    "ROTATING THE KEY" {
        "vault-address" ["a URL"] "the Secret itself is where the key is stored", "https://vault.example:8200", "0.1.0":
            "Where `rotate-key` stores the key.";
        "vault-mount" ["a path"] "", "kv/team", "0.1.0": "The mount of the KV v2 engine there.";
        "vault-path" ["a path"] "", "team/k8s-upgrade", "0.1.0": "The secret in it, which `manifests --external-secret STORE` reads.";
        "vault-token-file" [FILE] "~/.vault-token, where `vault login` leaves it", "/run/vault-token", "0.1.0":
            "A token that may read, create, update and patch it.";
        "sync-deadline" [""] "", "30m", "0.1.0": "Until the cluster's Secret must hold the new key.";
    }
}

impl Row {
    /// What the value is, with its unit and its bounds.
    ///
    /// # Errors
    /// A bug: the settings cannot be read.
    pub fn of(&self) -> Result<String, Cause> {
        let kind = match BOUNDS.iter().find(|bounds| bounds.key == self.key).map(|bounds| &bounds.range) {
            Some(Range::Span { least, most, .. }) => return Ok(format!("a duration, {} to {}", span(*least), span(*most))),
            Some(Range::Number { least, most, .. }) => return Ok(format!("a number, {least} to {most}")),
            None => self.kind,
        };
        Ok(match default(self.key)? {
            Value::Bool(_) => "`true` or `false`".to_owned(),
            Value::Array(_) => format!("a list, each {kind}"),
            Value::Object(_) => format!("a map, {kind}"),
            _ => kind.to_owned(),
        })
    }

    /// What holds where nobody sets it.
    ///
    /// # Errors
    /// As [`Row::of`].
    pub fn default(&self) -> Result<String, Cause> {
        Ok(match default(self.key)? {
            _ if !self.unset.is_empty() => self.unset.to_owned(),
            Value::String(text) => format!("`{text}`"),
            value => format!("`{value}`"),
        })
    }
}

fn default(key: &str) -> Result<Value, Cause> {
    let missing = || Cause::bug(format!("the manual has a setting {key}, and the program none"));
    as_map(&Settings::default())?.remove(key).ok_or_else(missing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::collections::BTreeSet;

    use regex::Regex;

    use super::*;

    fn rows() -> impl Iterator<Item = &'static Row> {
        SUBJECTS.iter().flat_map(|subject| subject.rows)
    }

    /// A person looks a key up there, and finds all that it may be.
    #[test]
    fn every_setting_has_one_row_and_no_other_is_told() {
        let told: Vec<&str> = rows().map(|row| row.key).collect();
        let unique: BTreeSet<&str> = told.iter().copied().collect();
        assert_eq!(told.len(), unique.len(), "a key stands there twice");
        let keys = Settings::keys();
        assert_eq!(unique, keys.iter().map(String::as_str).collect());
        let release = |text: &str| text.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
        let ours = release(env!("CARGO_PKG_VERSION"));
        for row in rows() {
            assert!(row.text.ends_with('.') && !row.text.contains('\n') && row.text.matches('`').count() % 2 == 0, "{}", row.key);
            let since = release(row.since);
            assert!(since.len() == 3 && since <= ours, "{}: since {}", row.key, row.since);
        }
    }

    /// Bounds and shape are told where the types know them, an empty default in words, and nothing twice.
    #[test]
    fn a_row_says_what_its_type_does_not() {
        for row in rows() {
            let value = default(row.key).unwrap();
            let known = value.is_boolean() || BOUNDS.iter().any(|bounds| bounds.key == row.key);
            assert_eq!(row.kind.is_empty(), known, "{}", row.key);
            let empty = match &value {
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            assert_eq!(!row.unset.is_empty(), empty, "{}: the default is {value}", row.key);
        }
    }

    fn loaded(key: &str, value: &str) -> Result<Settings, Cause> {
        let beside = if key == "canary-rollback" { "canary: 1\n" } else { "" };
        Settings::of_file("example", &format!("{beside}{key}: {value}\n"))
    }

    /// Taken as it stands, but for certificates and what wants another beside it.
    #[test]
    fn each_example_is_taken_and_changes_something() {
        let pem = include_str!("../../tests/offline/tls/ca.pem").replace('\n', "\n  ");
        for row in rows() {
            let example = row.example.replace("-----BEGIN CERTIFICATE-----\n  …", &pem);
            let settings = loaded(row.key, &example).unwrap_or_else(|cause| panic!("{}: {}", row.key, cause.what));
            assert!(settings != Settings::default(), "{}: the example is the default", row.key);
        }
    }

    /// Of a choice each word is taken, and none is left out.
    #[test]
    fn each_choice_is_told_whole() {
        let words = Regex::new("`([a-z-]+)`").unwrap();
        let of = |text: &str| words.captures_iter(text).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>();
        let mut choices = 0;
        for row in rows() {
            let list = default(row.key).unwrap().is_array();
            let refused = loaded(row.key, if list { "[xyzzy]" } else { "xyzzy" });
            // What the library says of an enum's variants.
            let Some(variants) =
                refused.err().and_then(|cause| Some(cause.what.split_once("unknown variant `xyzzy`, expected ")?.1.to_owned()))
            else {
                continue;
            };
            choices += 1;
            assert_eq!(of(row.kind), of(&variants), "{}", row.key);
        }
        assert!(choices >= 9, "only {choices} settings are choices");
    }
}

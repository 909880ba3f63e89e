//! The settings that a cluster seems to need, guessed from the names of what runs in it: what `check --write-config` writes. A guess is only
//! written for what does not answer where the settings look, and a person reads it before it is used.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::failure::Cause;
use crate::plan::manifests::manifest::yaml;
use crate::plan::model::policy::Snapshot;

/// A Service of the cluster, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    /// By name, where they have one.
    pub ports: Vec<(Option<String>, u16)>,
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// What its label says that it is, else its own name.
    fn is(&self, program: &str) -> bool {
        ["app.kubernetes.io/name", "app"].iter().any(|label| self.labels.get(*label).is_some_and(|is| is == program))
            || self.name == program
            || self.name.ends_with(&format!("-{program}"))
    }

    /// The setting's value: by the port that is usual, else one whose name is usual, else the only one.
    fn at(&self, usual: u16, names: &[&str]) -> Option<String> {
        let by_name = || self.ports.iter().find(|(name, _)| name.as_deref().is_some_and(|name| names.contains(&name)));
        let only = || self.ports.first().filter(|_| self.ports.len() == 1);
        let (_, port) = self.ports.iter().find(|(_, port)| *port == usual).or_else(by_name).or_else(only)?;
        Some(format!("{}/{}:{port}", self.namespace, self.name))
    }
}

/// Parts of a program's name that make it another one: an exporter of Prometheus is no Prometheus.
const OTHERS: [&str; 6] = ["exporter", "operator", "alertmanager", "pushgateway", "adapter", "metrics"];

/// Services that may be Prometheus, as the setting has it, the likeliest first.
pub fn prometheus(services: &[Service]) -> Vec<String> {
    let all = services.iter().filter(|service| {
        let named = ["prometheus", "prometheus-server"].iter().any(|program| service.is(program))
            || service.name.starts_with("prometheus-k8s")
            || service.name == "prometheus-operated"
            || service.name.ends_with("-prometheus");
        named && !OTHERS.iter().any(|other| service.name.contains(other))
    });
    all.filter_map(|service| service.at(9090, &["web", "http-web", "http"])).collect()
}

/// Services that may be the Pushgateway.
pub fn pushgateway(services: &[Service]) -> Vec<String> {
    let all = services.iter().filter(|service| service.name.contains("pushgateway") || service.is("prometheus-pushgateway"));
    all.filter_map(|service| service.at(9091, &["http", "web"])).collect()
}

/// Who could take the etcd snapshot, where the CronJob of the settings is not there: others (`namespace/name`) whose names say that they do, else the
/// program itself.
pub fn snapshots(cronjobs: &[String]) -> Offer {
    let says = |path: &&String| path.rsplit('/').next().is_some_and(|name| name.contains("etcd"));
    let values: Vec<String> = cronjobs.iter().filter(says).cloned().collect();
    if values.is_empty() {
        let what = "Who takes the etcd snapshot: no CronJob seems to, so the program does, on each control plane.";
        return Offer { key: "snapshot", what, values: vec![Snapshot::ETCDCTL.to_owned()] };
    }
    Offer { key: "backup-cronjob", what: "The CronJob whose template makes etcd snapshots. Or: snapshot: etcdctl", values }
}

/// One setting that does not fit as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub key: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// What fits, the likeliest first; none where nothing like it was found.
    pub values: Vec<String>,
}

/// The settings file: what is set already, and of each offer the likeliest value, with the others beside it. `by`: the command that writes it.
///
/// # Errors
/// What is set already cannot be written as YAML.
pub fn file(set: &Map<String, Value>, offers: &[Offer], by: &str) -> Result<String, Cause> {
    let mut text = format!("# Written by k8s-upgrade {by}. Read it, then keep it as ~/.config/k8s-upgrade/config.yaml.\n");
    let kept = set.iter().filter(|(key, _)| offers.iter().all(|offer| offer.key != *key));
    let kept: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    if !kept.is_empty() {
        text.push_str("\n# What was set when it was written.\n");
        text.push_str(&yaml(&[Value::Object(kept)])?);
    }
    for Offer { key, what, values } in offers {
        text.push_str(&format!("\n# {what}\n"));
        match values.split_first() {
            Some((value, others)) => {
                text.push_str(&format!("{key}: {}\n", Value::from(value.as_str())));
                others.iter().for_each(|other| text.push_str(&format!("# {key}: {}\n", Value::from(other.as_str()))));
            }
            None => text.push_str(&format!("# Nothing like it was found in the cluster.\n# {key}:\n")),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, app: &str, ports: &[(&str, u16)]) -> Service {
        Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ports: ports.iter().map(|(name, port)| (Some((*name).to_owned()).filter(|name| !name.is_empty()), *port)).collect(),
            labels: BTreeMap::from([("app.kubernetes.io/name".to_owned(), app.to_owned())]),
        }
    }

    /// By the charts and manifests that people install Prometheus with.
    #[test]
    fn services_are_known_by_label_and_name() {
        let found = [
            service("monitoring", "prometheus-server", "prometheus", &[("http", 80)]),
            service("monitoring", "prometheus-k8s", "prometheus", &[("web", 9090), ("reloader-web", 8080)]),
            service("monitoring", "kps-kube-prometheus-stack-prometheus", "", &[("http-web", 9090)]),
            service("monitoring", "kps-kube-prometheus-stack-alertmanager", "", &[("http-web", 9093)]),
            service("monitoring", "prometheus-operator", "prometheus-operator", &[("https", 8443)]),
            service("monitoring", "prometheus-prometheus-node-exporter", "prometheus-node-exporter", &[("metrics", 9100)]),
            service("monitoring", "prometheus-kube-state-metrics", "kube-state-metrics", &[("http", 8080)]),
            service("monitoring", "prometheus-prometheus-pushgateway", "prometheus-pushgateway", &[("http", 9091)]),
            service("shop", "web", "web", &[("http", 80)]),
        ];
        let prometheus = prometheus(&found);
        let wanted = [
            "monitoring/prometheus-server:80",
            "monitoring/prometheus-k8s:9090",
            "monitoring/kps-kube-prometheus-stack-prometheus:9090",
        ];
        assert_eq!(prometheus, wanted);
        assert_eq!(pushgateway(&found), ["monitoring/prometheus-prometheus-pushgateway:9091"]);
    }

    #[test]
    fn without_a_cronjob_the_program_takes_the_snapshot() {
        let offered = |cronjobs: &[&str]| {
            let offer = snapshots(&cronjobs.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
            (offer.key, offer.values)
        };
        assert_eq!(offered(&["default/backup-etcd", "etcd/clean"]), ("backup-cronjob", vec!["default/backup-etcd".to_owned()]));
        for none in [&["etcd/clean"][..], &[]] {
            let (key, values) = offered(none);
            assert_eq!(key, "snapshot");
            let taken: Snapshot = serde_json::from_value(json!(values[0])).unwrap();
            assert_eq!(taken, Snapshot::Etcdctl);
        }
    }

    /// What is set stays, but for what is offered anew; and what was not found is a comment.
    #[test]
    fn a_file_holds_what_is_set_and_what_is_offered() {
        let Value::Object(set) = json!({ "soak": "20m", "prometheus": "away/prometheus:1" }) else { panic!("an object") };
        let offer =
            |key, values: &[&str]| Offer { key, what: "Words.", values: values.iter().map(|v| (*v).to_owned()).collect() };
        let text = file(&set, &[offer("prometheus", &["a/b:1", "c/d:2"]), offer("backup-cronjob", &[])], "check").unwrap();
        let read: BTreeMap<String, String> = serde_saphyr::from_str(&text).unwrap();
        let wanted = [("prometheus", "a/b:1"), ("soak", "20m")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read, BTreeMap::from(wanted));
        assert!(text.contains("# prometheus: \"c/d:2\"") && text.contains("# backup-cronjob:"), "{text}");
    }
}

//! Everything that `k8s-upgrade manifests` prints for `kubectl apply -f -`. Applied again it changes nothing that a run has written: facts
//! of a run live in annotations and in data that these manifests do not mention.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::installation::{Credentials, Install};
use super::jobs::{self, Secret};
use super::manifest::{Manifest, commented, labels, yaml};
use super::rights::Account;
use super::{policies, rights};
use crate::failure::Cause;
use crate::names;
use crate::plan::decide::rules;
use crate::plan::model::policy::Gauges;

/// All objects as YAML documents, in an order in which they can be created.
pub fn manifests(install: &Install) -> Result<String, Cause> {
    commented(&all(install)?)
}

/// The namespace and the policies alone: where they are in force before the rest comes, they refuse what is wrong with it.
pub fn policies(install: &Install) -> Result<String, Cause> {
    commented(&std::iter::once(namespace(install)).chain(policies::objects(install)).collect::<Vec<_>>())
}

/// The objects of [`manifests`].
pub fn objects(install: &Install) -> Result<Vec<Value>, Cause> {
    Ok(all(install)?.into_iter().map(|manifest| manifest.object).collect())
}

/// The same, each with what people are told of it.
pub fn all(install: &Install) -> Result<Vec<Manifest>, Cause> {
    Ok(parts(install)?.into_iter().flat_map(|(_, manifests)| manifests).collect())
}

/// The same by subjects, each with the name of its file in a folder of them.
fn parts(install: &Install) -> Result<[(&'static str, Vec<Manifest>); 5], Cause> {
    let mut config = object(install.namespace, "v1", "ConfigMap", names::CONFIG_MAP);
    config["data"] = json!({ names::CONFIG_KEY: install.config });
    // Nothing but what was given: what a run learned is not ours to overwrite, and kubectl leaves alone what it has not applied itself.
    let mut known_hosts = object(install.namespace, "v1", "ConfigMap", names::KNOWN_HOSTS_MAP);
    if !install.host_keys.is_empty() {
        known_hosts["data"] = json!(install.host_keys);
    }
    let mut alert_rules = object(install.namespace, "v1", "ConfigMap", names::RULES_MAP);
    alert_rules["data"] = json!({ names::RULES_KEY: rules(install.gauges, install.runbook)? });
    let settings = [
        Manifest::new("the settings; of all that is not in here the default will do", config),
        Manifest::new("host keys of the nodes: those that were given, and those that runs learn", known_hosts),
        Manifest::new("the alert rules, for a Prometheus to load: without their Watchdog a run holds", alert_rules),
    ];
    Ok([
        ("namespace.yaml", vec![namespace(install)]),
        // Before the rights that they bound.
        ("policies.yaml", policies::objects(install)),
        ("rights.yaml", rights::objects(install.scope())),
        ("settings.yaml", settings.into_iter().chain(credentials(install)).collect()),
        ("cronjobs.yaml", vec![detection(install), watch(install)]),
    ])
}

/// How each file of a folder begins: one that begins otherwise is somebody else's.
pub const WRITTEN: &str = "# Written by `k8s-upgrade manifests --kustomize`, which writes it anew: what is yours goes into patches beside this folder.\n";

/// A folder for kustomize, and with it for Argo CD and Flux: the name and text of each file.
pub fn folder(install: &Install) -> Result<Vec<(&'static str, String)>, Cause> {
    let parts = parts(install)?;
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        // As they are listed: kustomize does not know that policies come before the rights that they bound.
        "sortOptions": { "order": "fifo" },
        "resources": parts.each_ref().map(|(file, _)| file),
    });
    let mut files = vec![("kustomization.yaml", format!("{WRITTEN}{}", yaml(&[kustomization])?))];
    for (file, manifests) in &parts {
        files.push((file, format!("{WRITTEN}{}", commented(manifests)?)));
    }
    Ok(files)
}

/// Prometheus' rule file, as YAML; `gauges`: what its rules can look at, `runbook`: the page that they lead to.
pub fn rules(gauges: Gauges, runbook: Option<&str>) -> Result<String, Cause> {
    yaml(&[json!({ "groups": groups(gauges, runbook) })])
}

/// The same rules as an object for the Prometheus operator; `selected_by`: labels by which a Prometheus selects the rules that it loads.
pub fn prometheus_rule<'a>(
    namespace: &str,
    selected_by: impl Iterator<Item = (&'a str, &'a str)>,
    gauges: Gauges,
    runbook: Option<&str>,
) -> Result<String, Cause> {
    let mut rule = object(namespace, "monitoring.coreos.com/v1", "PrometheusRule", names::RULES_MAP);
    for (key, value) in selected_by {
        rule["metadata"]["labels"][key] = json!(value);
    }
    rule["spec"] = json!({ "groups": groups(gauges, runbook) });
    yaml(&[rule])
}

fn groups(gauges: Gauges, runbook: Option<&str>) -> Value {
    let mut rules = rules::alerts(gauges);
    if let Some(page) = runbook {
        for rule in &mut rules {
            rule["annotations"]["runbook_url"] = json!(page);
        }
    }
    json!([{ "name": names::ALERT_GROUP, "rules": rules }])
}

fn object(namespace: &str, version: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace, "labels": labels() },
    })
}

fn namespace(install: &Install) -> Manifest {
    let mut labels = labels();
    for mode in ["enforce", "audit", "warn"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!("restricted");
    }
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": install.namespace, "labels": labels } });
    Manifest::new("where all of the installation is; the facts of a run are annotations on it", object)
}

fn credentials(install: &Install) -> Option<Manifest> {
    match install.credentials {
        Credentials::Existing => None,
        Credentials::Secret { ssh_key, ssh_key_pub, slack_webhook, webhooks, prometheus } => {
            let encoded = |bytes: &[u8]| json!(BASE64_STANDARD.encode(bytes));
            let mut secret = object(install.namespace, "v1", "Secret", names::CREDS_SECRET);
            secret["type"] = json!("Opaque");
            secret["data"] = json!({
                names::SECRET_SSH_KEY: encoded(ssh_key),
                names::SECRET_SSH_KEY_PUB: encoded(ssh_key_pub),
            });
            if let Some(webhook) = slack_webhook {
                secret["data"][names::SECRET_SLACK] = encoded(webhook);
            }
            if !webhooks.is_empty() {
                secret["data"][names::SECRET_WEBHOOKS] = encoded(webhooks.as_bytes());
            }
            for (key, value) in prometheus {
                secret["data"][*key] = encoded(value.as_bytes());
            }
            Some(Manifest::new("the SSH key; the webhooks and what Prometheus wants, where they were given", secret))
        }
        Credentials::External { store, key: secret_there } => {
            let mut secret = object(install.namespace, "external-secrets.io/v1", "ExternalSecret", names::CREDS_SECRET);
            let keys = [names::SECRET_SSH_KEY, names::SECRET_SSH_KEY_PUB];
            secret["spec"] = json!({
                "refreshInterval": "15m",
                "secretStoreRef": { "kind": "ClusterSecretStore", "name": store },
                "target": { "name": names::CREDS_SECRET, "creationPolicy": "Owner" },
                "data": keys.map(|key| json!({ "secretKey": key, "remoteRef": { "key": secret_there, "property": key } })),
                // The webhooks and what Prometheus wants, where there are any: a property that is named and missing would leave the Secret without the key, too.
                "dataFrom": [{ "extract": { "key": secret_there } }],
            });
            Some(Manifest::new("has External Secrets write the Secret with the SSH key, out of its store", secret))
        }
    }
}

/// What a CronJob of ours differs in.
struct Scheduled<'a> {
    name: &'a str,
    what_for: &'a str,
    account: Account,
    secret: Secret,
    /// Also on a control plane that is out of service.
    anywhere: bool,
    app: &'a str,
    schedule: &'a str,
    arguments: &'a [&'a str],
    /// How many Jobs that ended are kept, of each kind.
    history: u32,
    /// A Job that hangs would, under Forbid, freeze the schedule (seconds).
    deadline: u32,
    ttl: i32,
}

/// The weekly look for a release.
fn detection(install: &Install) -> Manifest {
    let scheduled = Scheduled {
        name: names::DETECT_CRONJOB,
        what_for: "looks for a new release, and starts the chain if there is one",
        account: Account::Chain,
        secret: Secret::Key,
        anywhere: false,
        app: names::APP_DETECTION,
        schedule: "0 12 * * 0",
        arguments: &["detect"],
        history: 3,
        deadline: 1800,
        ttl: names::JOB_TTL_SECONDS,
    };
    cronjob(install, &scheduled)
}

/// The look for a run whose Jobs all died. It wants nothing of its node, for it creates Jobs and drains nothing: so it also runs on a sole
/// control plane that a dead Job has left out of service.
fn watch(install: &Install) -> Manifest {
    let scheduled = Scheduled {
        name: names::WATCH_CRONJOB,
        what_for: "takes up a run whose Jobs all died, tries one that was deferred, and reminds people of one that stands",
        account: Account::Watch,
        // It reminds people of what holds.
        secret: Secret::Webhooks,
        anywhere: true,
        app: names::APP_WATCH,
        schedule: "*/10 * * * *",
        arguments: &["resume", "--if-orphaned"],
        history: 1,
        // Over before the next is due.
        deadline: 540,
        // A failed one is gone before somebody's alert on failed Jobs fires, which would hold the run.
        ttl: 600,
    };
    cronjob(install, &scheduled)
}

/// It names no `suspend`: an operator's halt survives another `kubectl apply`.
fn cronjob(install: &Install, scheduled: &Scheduled) -> Manifest {
    let labels = json!({ names::LABEL_APP: scheduled.app });
    let arguments: Vec<String> = scheduled.arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let pod = jobs::Pod { account: scheduled.account, arguments: &arguments, image: install.image, secret: scheduled.secret };
    let mut spec = pod.spec();
    spec["affinity"] = jobs::trusted(install.runner.name());
    let tolerated = std::iter::once(names::LABEL_CONTROL_PLANE).chain(scheduled.anywhere.then_some(names::TAINT_CORDON));
    spec["tolerations"] = tolerated.map(|key| json!({ "key": key, "operator": "Exists" })).collect();
    let mut cronjob = object(install.namespace, "batch/v1", "CronJob", scheduled.name);
    cronjob["spec"] = json!({
        "schedule": scheduled.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        // Below 100 s a controller that was away for a moment drops the run.
        "startingDeadlineSeconds": 600,
        "successfulJobsHistoryLimit": scheduled.history,
        "failedJobsHistoryLimit": scheduled.history,
        "jobTemplate": {
            "metadata": { "labels": labels },
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": scheduled.deadline,
                "ttlSecondsAfterFinished": scheduled.ttl,
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": jobs::pod_failure_policy(),
                "template": {
                    "metadata": {
                        "labels": jobs::pod_labels(scheduled.app),
                        "annotations": { names::ANNOTATION_LINKERD: "disabled" },
                    },
                    "spec": spec,
                },
            },
        },
    });
    Manifest::new(scheduled.what_for, cronjob)
}

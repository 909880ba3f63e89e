//! What `manifests` prints, before an API server that checks it to the end: every object that any settings make, and its pods under restricted Pod
//! Security.

use std::collections::{BTreeMap, BTreeSet};

use k8s_upgrade::plan::manifests::install;
use k8s_upgrade::plan::manifests::installation::{Credentials, Install};
use k8s_upgrade::plan::model::hooks::Hooks;
use k8s_upgrade::plan::model::policy::{Gauges, Runner, Surge, Unstick};
use serde_json::{Value, json};

use super::policies::{install, of_runs, place};
use crate::bench::{Bench, container, text};
use crate::support::installed;

/// Kind, namespace and name.
type Name = (String, String, String);
/// What objects hold, by their names.
type Objects = BTreeMap<Name, BTreeSet<String>>;

fn add(objects: &mut Objects, install: &Install<'_>) {
    for object in install::objects(install).unwrap() {
        let part = |pointer| text(&object, pointer).to_owned();
        let name = (part("/kind"), part("/metadata/namespace"), part("/metadata/name"));
        objects.entry(name).or_default().insert(object.to_string());
    }
}

/// Those that come in more than one form.
fn changing(objects: &Objects) -> BTreeSet<&Name> {
    objects.iter().filter(|(_, forms)| forms.len() > 1).map(|(name, _)| name).collect()
}

/// Each object in every form that some combination of settings gives it, and no field of it that the API server does not know. Settings of two
/// groups are combined, each with all of its own group: none of one changes an object that one of the other changes.
pub async fn every_object_of_any_settings_is_taken(b: &Bench<'_>) {
    let [backup, hook, other, freezes] = ["backup", "hook", "other", "freezes"].map(|name| format!("{}-{name}", b.ns));
    for namespace in [&backup, &hook, &other, &freezes] {
        b.post("namespaces", json!({ "metadata": { "name": namespace } })).await.ok();
    }
    let secret = |webhooks, prometheus| Credentials::Secret {
        ssh_key: b"KEY",
        ssh_key_pub: b"PUB",
        slack_webhook: Some(b"https://hooks.example/x"),
        webhooks,
        prometheus,
    };
    let (runners, standby, forced) = (
        [Runner::FirstWorker, Runner::Node("worker".to_owned()), Runner::ControlPlane],
        ["spare".to_owned()],
        [hook.clone(), other.clone()],
    );
    let base = || Install { backup: Some((&backup, "backup-etcd")), ..installed::install(&b.ns) };
    let (mut of_rights, mut of_contents) = (Objects::new(), Objects::new());
    let (before, after) = (Some((hook.as_str(), "noout")), Some((other.as_str(), "unset-noout")));
    let all_hooks =
        [(None, None), (before, None), (None, after), (before, after), (before, Some((hook.as_str(), "unset-noout")))]
            .map(|(before, after)| Hooks { before, after });
    let mut combined = 0;
    for backup in [None, base().backup] {
        for hooks in all_hooks {
            for unstick in [Unstick::Structural, Unstick::All, Unstick::Never] {
                for forced_in in [&[][..], &forced] {
                    for (surge, events) in
                        [(Surge::Never, true), (Surge::Single, true), (Surge::Never, false), (Surge::Single, false)]
                    {
                        for freezes in [None, Some((freezes.as_str(), "freezes")), Some((b.ns.as_str(), "freezes"))] {
                            for runner in &runners {
                                for standby in [&[][..], &standby] {
                                    let install = Install {
                                        backup,
                                        hooks,
                                        unstick,
                                        forced_in,
                                        surge,
                                        events,
                                        freezes,
                                        runner,
                                        standby,
                                        ..base()
                                    };
                                    add(&mut of_rights, &install);
                                    combined += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    let prometheus = [("prometheus_token", "t".to_owned())];
    let known = [BTreeMap::new(), BTreeMap::from([("worker".to_owned(), "ssh-ed25519 AAAA".to_owned())])];
    for (gauges, runbook) in [
        (Gauges::Pushgateway, None),
        (Gauges::Off, None),
        (Gauges::Pushgateway, Some("https://git.example/r")),
        (Gauges::Off, Some("https://git.example/r")),
    ] {
        for (host_keys, config) in known.iter().flat_map(|keys| ["", "soak: 20m\n"].map(|config| (keys, config))) {
            for credentials in [Credentials::Existing, secret("", &[]), secret("teams: https://x.example/y\n", &prometheus)] {
                let host_keys = host_keys.clone();
                add(&mut of_contents, &Install { gauges, runbook, credentials, host_keys, config, ..base() });
                combined += 1;
            }
        }
    }
    let (rights, contents) = (changing(&of_rights), changing(&of_contents));
    let both: Vec<&&Name> = rights.intersection(&contents).collect();
    assert!(both.is_empty(), "settings of both groups change {both:?}: combine them");
    let mut objects = of_rights;
    for (name, forms) in of_contents {
        objects.entry(name).or_default().extend(forms);
    }
    let mut tried = 0;
    for object in objects.values().flatten() {
        let object: Value = serde_json::from_str(object).unwrap();
        let strictly = format!("{}?dryRun=All&fieldValidation=Strict", place(text(&object, "/kind"), &object));
        match text(&object, "/kind") {
            // It is there: the bench's own.
            "Namespace" => {
                b.patch(&format!("namespaces/{}?dryRun=All", b.ns), json!({ "metadata": object["metadata"] })).await.ok()
            }
            _ => b.post(&strictly, object.clone()).await.with_code(201),
        };
        tried += 1;
    }
    assert!(combined > 2000 && tried > 60, "{combined} combinations, {tried} objects");
    eprintln!("         {combined} combinations of settings make {tried} objects");
    let odd = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "odd", "namespace": b.ns }, "dtaa": {} });
    b.post("configmaps?dryRun=All&fieldValidation=Strict", odd).await.with_code(400);
}

/// In a namespace that takes restricted pods alone: those of both CronJobs, and of each Job of a run.
pub async fn its_pods_are_restricted_ones(b: &Bench<'_>) {
    install(b).await;
    let namespace = b.get(&format!("namespaces/{}", b.ns)).await.ok();
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let stranger = json!({ "metadata": { "name": "stranger" }, "spec": container() });
    let refused = b.post("pods", stranger).await.with_code(403);
    assert!(text(&refused, "/message").contains("violates PodSecurity \"restricted"), "{refused}");
    let mut made = Vec::new();
    for name in ["k8s-version-check", "k8s-upgrade-watch"] {
        let cronjob = b.get(&format!("cronjobs/{name}")).await.ok();
        let name = format!("{name}-by-hand");
        let template = &cronjob["spec"]["jobTemplate"];
        made.push(json!({ "metadata": { "name": name, "namespace": b.ns, "labels": template["metadata"]["labels"] }, "spec": template["spec"] }));
    }
    // The names of two runs' Jobs are the same.
    let mut seen = BTreeSet::new();
    made.extend(of_runs(&b.ns).into_iter().filter(|job| seen.insert(text(job, "/metadata/name").to_owned())));
    assert!(made.len() > 8, "{} Jobs", made.len());
    for job in &made {
        let name = text(job, "/metadata/name");
        b.post("jobs", job.clone()).await.with_code(201);
        let pods = format!("pods?labelSelector=batch.kubernetes.io/job-name={name}");
        b.until(&format!("a pod of {name}"), async || b.items(&pods).await.into_iter().next()).await;
    }
}

//! What `manifests` prints: read whole as a golden file, read back as YAML, and the alert rules judged by Prometheus' own promtool.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_upgrade::plan::manifests::install::{all, manifests, objects, prometheus_rule, rules};
use k8s_upgrade::plan::manifests::installation::{Credentials, Install};
use k8s_upgrade::plan::manifests::policies::names;
use k8s_upgrade::plan::manifests::removal::{Place, pieces};
use k8s_upgrade::plan::manifests::rights::{Account, Grant, Scope};
use k8s_upgrade::plan::model::hooks::Hooks;
use k8s_upgrade::plan::model::policy::{Gauges, Surge, Unstick};
use regex::Regex;
use serde_json::Value;

use crate::support::installed;
use crate::support::program::program;

fn install(credentials: Credentials<'_>) -> Install<'_> {
    let config = "soak: 5m\nkubeadm-flags:\n- --ignore-preflight-errors=SystemVerification\n";
    Install { config, credentials, ..installed::install("k8s-upgrade") }
}

#[test]
fn the_manifests_as_printed() {
    let printed = manifests(&install(Credentials::Existing)).unwrap();
    insta::assert_snapshot!(format!("$ k8s-upgrade --config FILE manifests --image REF    # 0\n{printed}"));
}

#[test]
fn yaml_reads_back_as_the_objects() {
    let awkward = "on: yes\nversion: 1.30\ntrailing space: \n\n  indented: 'it''s'\nend";
    let config = Install { config: awkward, image: "yes", ..install(Credentials::External { store: "1.30", key: "0x1" }) };
    let text = manifests(&config).unwrap();
    let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(read, objects(&config).unwrap());
    // kubectl reads YAML 1.1, in which these would be a boolean and a number.
    assert!(!text.contains("image: yes") && !text.contains("name: 1.30"), "{text}");
}

/// Whoever reads what they apply learns of each object, and of each right in it, what it is for.
#[test]
fn every_object_and_every_right_says_what_it_is_for() {
    let named = ["data".to_owned()];
    let hooks = Hooks { before: Some(("ceph", "noout")), after: Some(("storage", "unset")) };
    let everything = Install {
        hooks,
        unstick: Unstick::All,
        forced_in: &named,
        surge: Surge::Single,
        freezes: Some(("ops", "freezes")),
        ..install(Credentials::External { store: "vault", key: "k8s-upgrade" })
    };
    let secret = Credentials::Secret { ssh_key: b"KEY", ssh_key_pub: b"PUB", slack_webhook: None, webhooks: "", prometheus: &[] };
    for install in [everything, install(secret)] {
        let all = all(&install).unwrap();
        let said = |text: &str| text.len() > 10 && !text.contains('\n');
        for manifest in &all {
            let rules = manifest.object["rules"].as_array().map_or(0, Vec::len);
            assert!(said(&manifest.what_for), "{}", manifest.object);
            assert_eq!(manifest.rights.len(), rules, "{}", manifest.object);
            assert!(manifest.rights.iter().all(|why| said(why)), "{:?}", manifest.rights);
        }
        // Each above its own: what follows a comment is an object or a right, and each of these follows one.
        let printed = manifests(&install).unwrap();
        let mut before = "---";
        let (mut objects, mut rights) = (0, 0);
        for line in printed.lines() {
            objects += usize::from(line.starts_with("apiVersion: ") && before.starts_with("# "));
            rights += usize::from(line.starts_with("- apiGroups:") && before.starts_with("# "));
            before = line;
        }
        assert_eq!((objects, rights), (all.len(), all.iter().map(|manifest| manifest.rights.len()).sum()));
        assert_eq!(printed.lines().filter(|line| line.starts_with("# ")).count(), objects + rights);
    }
}

/// A folder for kustomize holds what is printed, in the same order, and no Secret. Written again it changes nothing but its own files.
#[test]
fn a_folder_for_kustomize_holds_what_is_printed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cluster/k8s-upgrade");
    let place = folder.display().to_string();
    let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let line = ["manifests", "--image", "r.test/a:1", "--kustomize", &place];
    let ran = program(&line, &[]);
    ran.is(0).says("kubectl -n k8s-upgrade create secret generic k8s-upgrade-creds").says(&format!("kubectl apply -k {place}"));
    let kustomization: Value = serde_saphyr::from_str(&file("kustomization.yaml")).unwrap();
    let listed: Vec<&str> = kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut there: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort_unstable();
    let mut wanted = [listed.as_slice(), &["kustomization.yaml"]].concat();
    wanted.sort_unstable();
    assert_eq!(there, wanted);
    let read: Vec<Value> = listed.iter().flat_map(|name| serde_saphyr::from_multiple::<Value>(&file(name)).unwrap()).collect();
    let printed: Vec<Value> = serde_saphyr::from_multiple(&program(&line[..3], &[]).is(0).stdout).unwrap();
    assert_eq!(read, printed);
    assert!(of_kind(&read, "Secret").is_empty());

    let external = program(&[&line[..], &["--external-secret", "store"]].concat(), &[]);
    assert!(!external.is(0).stderr.contains("create secret"), "{}", external.stderr);
    assert!(file("settings.yaml").contains("kind: ExternalSecret"));
    // Somebody else's file is left, and so are all others.
    std::fs::write(folder.join("rights.yaml"), "mine").unwrap();
    program(&line, &[]).is(2).says("rights.yaml is there already").says("nothing is written");
    assert!(file("rights.yaml") == "mine" && file("settings.yaml").contains("kind: ExternalSecret"));
    program(&[&line[..], &["--ssh-key", "key"]].concat(), &[]).is(2).says("cannot be used with");
}

/// What the manual has Argo CD ignore is written at run time, and by no file: nothing that somebody sets is hidden.
#[test]
fn the_manual_has_argo_cd_ignore_what_no_manifest_sets() {
    let manual = crate::documents::manual("man/k8s-upgrade-operations.7");
    let snippet = manual.blocks.iter().find(|text| text.starts_with("# of an Application")).unwrap();
    let application: Value = serde_saphyr::from_str(snippet).unwrap();
    let objects = objects(&install(Credentials::Existing)).unwrap();
    let ignored = application["spec"]["ignoreDifferences"].as_array().unwrap();
    assert_eq!(ignored.len(), 3);
    for rule in ignored {
        let is = |object: &&Value| {
            let group = text(object, "apiVersion").split_once('/').map_or("", |(group, _)| group);
            let named = rule.get("name").is_none_or(|name| *name == object["metadata"]["name"]);
            group == rule.get("group").and_then(Value::as_str).unwrap_or_default() && object["kind"] == rule["kind"] && named
        };
        let meant: Vec<&Value> = objects.iter().filter(is).collect();
        assert!(!meant.is_empty(), "{rule}");
        for pointer in rule["jsonPointers"].as_array().unwrap() {
            let set = meant.iter().find(|object| object.pointer(pointer.as_str().unwrap()).is_some());
            assert!(set.is_none(), "{pointer} of {set:?}");
        }
    }
}

/// The public half stands beside the private one as ssh-keygen names it; one of another key is refused, and so nothing is printed.
#[test]
fn a_key_is_printed_with_its_own_public_half() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for name in ["my.key", "other"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file(name)]).status().unwrap();
        assert!(made.success());
    }
    // What stands under the name without its ending is of another key.
    std::fs::copy(file("other.pub"), file("my.pub")).unwrap();
    let key = file("my.key");
    let line = ["manifests", "--image", "r.test/a:1", "--ssh-key", &key];
    let ran = program(&line, &[]);
    let encoded = BASE64_STANDARD.encode(std::fs::read(file("my.key.pub")).unwrap());
    assert!(ran.is(0).stdout.contains(&encoded), "{}", ran.stdout);
    std::fs::copy(file("other.pub"), file("my.key.pub")).unwrap();
    let ran = program(&line, &[]);
    assert_eq!(ran.is(2).says("are of two keys").says("SHA256:").says("ssh-keygen -y -f").stdout, "");
    std::fs::remove_file(file("my.key.pub")).unwrap();
    assert_eq!(program(&line, &[]).is(2).says("my.key.pub").says("ssh-keygen -y -f").stdout, "");
}

/// Where in Vault the secret is goes into the ExternalSecret, and is not told to be left behind; what must be there is named, the webhook not.
#[test]
fn an_external_secret_reads_where_the_settings_say() {
    let asked = |more: &[&str]| {
        let line = [&["manifests", "--image", "r.test/a:1", "--external-secret", "store"], more].concat();
        let ran = program(&line, &[]);
        ran.is(0);
        assert!(!ran.stderr.contains("vault-path is of") && !ran.stderr.contains("vault-mount is of"), "{}", ran.stderr);
        let read: Vec<Value> = serde_saphyr::from_multiple(&ran.stdout).unwrap();
        of_kind(&read, "ExternalSecret")[0]["spec"].clone()
    };
    for (more, key) in [
        (&[][..], "k8s-upgrade"),
        (&["--set", "vault-path=team/k8s"], "team/k8s"),
        (&["--set", "vault-path=team/k8s", "--set", "vault-mount=kv"], "kv/team/k8s"),
    ] {
        let spec = asked(more);
        let named: Vec<&Value> = spec["data"].as_array().unwrap().iter().map(|entry| &entry["remoteRef"]).collect();
        let wanted = ["ssh_key", "ssh_key_pub"].map(|property| serde_json::json!({ "key": key, "property": property }));
        assert_eq!(named, wanted.iter().collect::<Vec<_>>());
        assert_eq!(spec["dataFrom"], serde_json::json!([{ "extract": { "key": key } }]));
    }
}

/// A name for scripts on stdout; what is done with it, for people.
#[test]
fn an_image_says_where_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k8s-upgrade.tar").display().to_string();
    let ran = program(&["image", "--file", &path], &[]);
    let name = ran.is(0).stdout.trim_end().to_owned();
    assert!(name.starts_with("docker.io/library/k8s-upgrade:") && std::fs::metadata(&path).unwrap().len() > 0, "{name}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let said = said.replace(&path, "k8s-upgrade.tar").replace(name.rsplit(':').next().unwrap(), "<build>");
    let said = Regex::new(r"(?m)^\d\d:\d\d:\d\d  ").unwrap().replace_all(&said, "");
    insta::assert_snapshot!(format!("$ k8s-upgrade image --file k8s-upgrade.tar    # 0\n{said}"));
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn secrets_are_made_only_when_asked_for() {
    let existing = objects(&install(Credentials::Existing)).unwrap();
    assert!(of_kind(&existing, "Secret").is_empty() && of_kind(&existing, "ExternalSecret").is_empty());
    let given = |prometheus| Credentials::Secret {
        ssh_key: b"KEY\n",
        ssh_key_pub: b"PUB\n",
        slack_webhook: None,
        webhooks: "",
        prometheus,
    };
    assert_eq!(format!("{:?}", given(&[])), "Secret(…)");
    let bare = objects(&install(given(&[]))).unwrap();
    let data = &of_kind(&bare, "Secret")[0]["data"];
    assert_eq!(*data, serde_json::json!({ "ssh_key": "S0VZCg==", "ssh_key_pub": "UFVCCg==" }));
    let token = [("prometheus_token", "TOK".to_owned())];
    let with = objects(&install(given(&token))).unwrap();
    assert_eq!(of_kind(&with, "Secret")[0]["data"]["prometheus_token"], "VE9L");
    let external = objects(&install(Credentials::External { store: "vault-kv", key: "k8s-upgrade" })).unwrap();
    insta::assert_snapshot!(serde_saphyr::to_string(of_kind(&external, "ExternalSecret")[0]).unwrap());
}

fn scope(backup: &str) -> Scope<'_> {
    Scope {
        namespace: "k8s-upgrade",
        backup: Some((backup, "backup-etcd")),
        hooks: Hooks::default(),
        unstick: Unstick::Structural,
        forced_in: &[],
        surge: Surge::Never,
        events: true,
        freezes: None,
    }
}

#[test]
fn rights_have_no_wildcard_and_are_all_bound() {
    let grants = |backup| -> Vec<Grant> { Account::ALL.into_iter().flat_map(|account| account.grants(scope(backup))).collect() };
    for grant in grants("default") {
        let words = [grant.group, grant.resource, grant.why].into_iter().chain(grant.verbs.iter().copied());
        assert!(words.clone().all(|word| !word.contains('*')) && !grant.verbs.is_empty() && !grant.why.is_empty(), "{grant:?}");
        let writes_secrets = grant.resource == "secrets" && (grant.verbs != ["get"] || grant.name.is_none());
        assert!(!writes_secrets, "{grant:?}");
    }
    // Also where the snapshots are made in our own namespace.
    for (backup, roles) in [("default", 6), ("k8s-upgrade", 6)] {
        let config = Install { backup: Some((backup, "backup-etcd")), ..install(Credentials::Existing) };
        let objects = objects(&config).unwrap();
        assert_eq!((of_kind(&objects, "Role").len(), of_kind(&objects, "RoleBinding").len()), (roles, roles));
        let granted: usize = ["Role", "ClusterRole"]
            .iter()
            .flat_map(|kind| of_kind(&objects, kind))
            .map(|role| role["rules"].as_array().unwrap().len())
            .sum();
        assert_eq!(granted, grants(backup).len());
    }
}

/// Nothing that would make it root by itself: it leaves nodes alone, reads no Secret, and of the one that is mounted it sees the webhooks.
#[test]
fn the_watch_changes_no_node_and_sees_no_key() {
    let objects = objects(&install(Credentials::Existing)).unwrap();
    let watch =
        of_kind(&objects, "CronJob").into_iter().find(|cronjob| cronjob["metadata"]["name"] == "k8s-upgrade-watch").unwrap();
    let volumes = watch.pointer("/spec/jobTemplate/spec/template/spec/volumes").unwrap().as_array().unwrap();
    let secrets: Vec<&Value> = volumes.iter().filter_map(|volume| volume.get("secret")).collect();
    assert_eq!((secrets.len(), &secrets[0]["optional"]), (1, &serde_json::json!(true)));
    let item = |key: &str| serde_json::json!({ "key": key, "path": key });
    assert_eq!(secrets[0]["items"], serde_json::json!([item("slack_webhook"), item("webhooks")]));
    for grant in Account::Watch.grants(scope("default")) {
        let reads = grant.verbs.iter().all(|verb| ["get", "list"].contains(verb));
        assert!(reads || !["nodes", "pods", "leases"].contains(&grant.resource), "{grant:?}");
        assert!(!grant.resource.starts_with("secrets") && !grant.resource.contains('/'), "{grant:?}");
    }
}

/// A right that an opt-in needs is not printed without it.
#[test]
fn pods_are_deleted_only_where_drains_unstick() {
    let named = ["data".to_owned()];
    for (unstick, forced_in, wanted) in [
        (Unstick::Never, [].as_slice(), false),
        (Unstick::Structural, &[], true),
        (Unstick::All, &[], true),
        (Unstick::Never, &named, true),
    ] {
        let objects = objects(&Install { unstick, forced_in, ..install(Credentials::Existing) }).unwrap();
        let rules = of_kind(&objects, "ClusterRole").into_iter().flat_map(|role| role["rules"].as_array().unwrap());
        let holds = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|known| known == word);
        let mut granting = rules.filter(|rule| holds(&rule["resources"], "pods") && holds(&rule["verbs"], "delete"));
        assert_eq!(granting.next().is_some(), wanted, "{unstick:?}");
        let mut policies = of_kind(&objects, "ValidatingAdmissionPolicy").into_iter();
        assert_eq!(policies.any(|policy| policy["metadata"]["name"] == "k8s-upgrade-pods"), wanted, "{unstick:?}");
    }
}

/// Each hook has its rights and its policy, and neither where the settings do not name it.
#[test]
fn hooks_have_rights_only_where_they_are_set() {
    let (before, after) = (Some(("ceph", "noout")), Some(("storage", "unset")));
    for (before, after) in [(None, None), (before, None), (None, after), (before, after)] {
        let objects = objects(&Install { hooks: Hooks { before, after }, ..install(Credentials::Existing) }).unwrap();
        for (hook, place, name) in [("before", "ceph", "noout"), ("after", "storage", "unset")] {
            let set = [before, after].contains(&Some((place, name)));
            let roles: Vec<&Value> =
                of_kind(&objects, "Role").into_iter().filter(|role| role["metadata"]["namespace"] == place).collect();
            assert_eq!(roles.len(), usize::from(set), "{hook}");
            for rule in roles.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
                let reads_template = rule["resources"][0] == "cronjobs" && rule["resourceNames"][0] == name;
                let makes_jobs = rule["resources"][0] == "jobs" && rule["verbs"] == serde_json::json!(["get", "create"]);
                let reads_logs = rule["resources"][0] == "pods/log" && rule["verbs"] == serde_json::json!(["get"]);
                assert!(reads_template || makes_jobs || reads_logs, "{rule}");
            }
            let named = |kind: &str| {
                let name = format!("k8s-upgrade-hooks-{hook}");
                of_kind(&objects, kind).into_iter().find(|object| object["metadata"]["name"] == name.as_str()).cloned()
            };
            assert_eq!(named("ValidatingAdmissionPolicy").is_some(), set, "{hook}");
            let bound = named("ValidatingAdmissionPolicyBinding").map(|binding| binding["spec"]["paramRef"].clone());
            let wanted = serde_json::json!({ "namespace": place, "name": name, "parameterNotFoundAction": "Deny" });
            assert_eq!(bound, set.then_some(wanted), "{hook}");
        }
    }
}

/// The same of Deployments that are restarted: what must be known of them, one patch, and the policy that bounds it.
#[test]
fn deployments_are_restarted_only_where_drains_surge() {
    let asked = [("deployments", "patch"), ("replicasets", "get"), ("persistentvolumeclaims", "get")];
    for (surge, wanted) in [(Surge::Never, false), (Surge::Single, true)] {
        let objects = objects(&Install { surge, ..install(Credentials::Existing) }).unwrap();
        let rules: Vec<&Value> =
            of_kind(&objects, "ClusterRole").into_iter().flat_map(|role| role["rules"].as_array().unwrap()).collect();
        let holds = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|known| known == word);
        for (resource, verb) in asked {
            let granted = rules.iter().any(|rule| holds(&rule["resources"], resource) && holds(&rule["verbs"], verb));
            assert_eq!(granted, wanted, "{verb} {resource} with {surge:?}");
        }
        let mut policies = of_kind(&objects, "ValidatingAdmissionPolicy").into_iter();
        assert_eq!(policies.any(|policy| policy["metadata"]["name"] == "k8s-upgrade-deployments"), wanted, "{surge:?}");
    }
}

/// Two installations in one cluster share nothing: neither in the cluster, nor in a namespace of somebody else.
#[test]
fn two_installations_share_no_object() {
    let name = |object: &Value| format!("{} {}/{}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]);
    let all = |namespace| -> std::collections::BTreeSet<String> {
        objects(&Install { namespace, ..install(Credentials::Existing) }).unwrap().iter().map(name).collect()
    };
    let (one, other) = (all("k8s-upgrade"), all("second"));
    assert!(one.len() > 30 && one.is_disjoint(&other), "{:?}", one.intersection(&other).collect::<Vec<_>>());
}

/// A policy that bounds a right is there before the right.
#[test]
fn policies_come_before_rights() {
    let objects = objects(&install(Credentials::Existing)).unwrap();
    let last = objects.iter().rposition(|object| object["kind"] == "ValidatingAdmissionPolicyBinding").unwrap();
    let first = objects.iter().position(|object| text(object, "kind").ends_with("RoleBinding")).unwrap();
    assert!(last < first, "{last}, {first}");
}

/// `status --health` looks for what is printed.
#[test]
fn policies_are_known_by_their_names() {
    let hooked = Hooks { before: Some(("ceph", "noout")), after: Some(("ceph", "unset")) };
    for (namespace, unstick, hooks, surge) in [
        ("k8s-upgrade", Unstick::Structural, Hooks::default(), Surge::Never),
        ("second", Unstick::All, hooked, Surge::Single),
        ("k8s-upgrade", Unstick::Never, Hooks { after: None, ..hooked }, Surge::Single),
    ] {
        let objects = objects(&Install { namespace, unstick, hooks, surge, ..install(Credentials::Existing) }).unwrap();
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            let mut printed: Vec<&str> =
                of_kind(&objects, kind).iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
            let scope = Scope { namespace, hooks, unstick, surge, ..scope("default") };
            let mut known = names(scope);
            printed.sort_unstable();
            known.sort_unstable();
            assert_eq!(printed, known);
        }
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap()
}

pub fn promtool(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("promtool").current_dir(folder).args(arguments).output();
    let output = output.expect("promtool is needed: apt-get install prometheus");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{text}");
    text
}

/// Series in and alerts out, as Prometheus itself computes them.
const EXPECTED: &str = r#"
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  # nothing is wrong, and no gauge was ever pushed
  - interval: 1m
    input_series:
      - {series: 'kubernetes_build_info{job="kubernetes-apiservers",git_version="v1.36.3"}', values: '1x200'}
      - {series: 'kubernetes_build_info{job="kubelet",git_version="v1.36.3"}', values: '1x200'}
      - {series: 'kubernetes_build_info{job="coredns",git_version="v0.0.0-master"}', values: '1x200'}
      - {series: 'kube_node_info{node="a",kubelet_version="v1.36.3"}', values: '1x200'}
      - {series: 'node_boot_time_seconds{instance="a"}', values: '-90000x200'}
      - {series: 'kube_cronjob_created{cronjob="k8s-version-check"}', values: '0x200'}
    promql_expr_test:
      - {expr: 'count(ALERTS) by (alertname)', eval_time: 3h, exp_samples: [{labels: '{alertname="Watchdog"}', value: 1}]}
  # half done for 30 minutes
  - interval: 1m
    input_series:
      - {series: 'kubernetes_build_info{job="kubernetes-apiservers",git_version="v1.36.3"}', values: '1x200'}
      - {series: 'kubernetes_build_info{job="kubernetes-nodes",git_version="v1.35.4",instance="a"}', values: '1x60 _x100'}
      - {series: 'kubernetes_build_info{job="kubernetes-nodes",git_version="v1.35.4",instance="b"}', values: '1x60 _x100'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionSkew",alertstate="firing"}', eval_time: 29m}
      - {expr: 'count(ALERTS{alertname="K8sVersionSkew",alertstate="firing"})', eval_time: 31m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sVersionSkew"}', eval_time: 70m}
  # the same, where only kube-state-metrics is scraped
  - interval: 1m
    input_series:
      - {series: 'kube_node_info{node="a",kubelet_version="v1.36.3"}', values: '1x200'}
      - {series: 'kube_node_info{node="b",kubelet_version="v1.35.4"}', values: '1x60 _x140'}
      - {series: 'kube_node_info{node="b",kubelet_version="v1.36.3"}', values: '_x60 1x140'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionSkew",alertstate="firing"}', eval_time: 29m}
      - {expr: 'count(count_over_time(ALERTS{alertname="K8sVersionSkew",alertstate="firing"}[25m]) >= 25)', eval_time: 59m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sVersionSkew"}', eval_time: 70m}
  # a run that makes progress for five hours, its snapshot late, and that ends
  - interval: 1m
    input_series:
      - {series: 'k8s_upgrade_in_flight{job="k8s-version-upgrade"}', values: '1x300 0x100'}
      - {series: 'k8s_upgrade_started_timestamp{job="k8s-version-upgrade"}', values: '0x400'}
      - {series: 'k8s_upgrade_progress_timestamp{job="k8s-version-upgrade"}', values: '0+60x400'}
      - {series: 'k8s_upgrade_snapshot_taken{job="k8s-version-upgrade"}', values: '0x20 1x400'}
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname="K8sUpgradeInFlight",alertstate="firing"})', eval_time: 1m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="EtcdPreUpgradeSnapshotMissing",alertstate="firing"}', eval_time: 9m}
      - {expr: 'count(ALERTS{alertname="EtcdPreUpgradeSnapshotMissing",alertstate="firing"})', eval_time: 11m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="EtcdPreUpgradeSnapshotMissing"}', eval_time: 30m}
      - {expr: 'ALERTS{alertname="K8sUpgradeStalled"}', eval_time: 4h}
      - {expr: 'ALERTS{alertname=~"K8sUpgrade.*"}', eval_time: 302m}
  # a run that stops making progress, whose snapshot gauge was never pushed
  - interval: 1m
    input_series:
      - {series: 'k8s_upgrade_in_flight{job="k8s-version-upgrade"}', values: '1x400'}
      - {series: 'k8s_upgrade_started_timestamp{job="k8s-version-upgrade"}', values: '600x400'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sUpgradeStalled",alertstate="firing"}', eval_time: 104m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeStalled",alertstate="firing"})', eval_time: 107m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertname="EtcdPreUpgradeSnapshotMissing",alertstate="firing"})', eval_time: 11m, exp_samples: [{value: 1}]}
  # a blocker on demand
  - interval: 1m
    input_series:
      - {series: 'k8s_upgrade_blocker{job="k8s-upgrade-blocker"}', values: '1x10 0x10'}
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname="K8sUpgradeHaltedByOperator",alertstate="firing"})', eval_time: 1m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname=~"K8sUpgrade(HaltedByOperator|Blocked)"}', eval_time: 12m}
  # a reboot, with scrapes that fail around it: told of for a day without a gap
  - interval: 1m
    input_series:
      - {series: 'node_boot_time_seconds{instance="a"}', values: '-90000x60 _x5 3600x100 _x20 3600x1500'}
      - {series: 'node_boot_time_seconds{instance="b"}', values: '-90000x1700'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="RecentNodeReboot"}', eval_time: 60m}
      - {expr: 'count(ALERTS{alertname="RecentNodeReboot",instance="a",alertstate="firing"})', eval_time: 67m, exp_samples: [{value: 1}]}
      - {expr: 'count(count_over_time(ALERTS{alertname="RecentNodeReboot",alertstate="firing"}[1400m]) >= 1400)', eval_time: 1490m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="RecentNodeReboot"}', eval_time: 1502m}
  # Jobs of a run: one that the watch takes up is none, one that is left is, and a person's resume clears it
  - interval: 1m
    input_series:
      - {series: 'k8s_upgrade_in_flight{job="k8s-version-upgrade"}', values: '1x400'}
      - {series: 'k8s_upgrade_progress_timestamp{job="k8s-version-upgrade"}', values: '0+60x400'}
      - {series: 'k8s_upgrade_snapshot_taken{job="k8s-version-upgrade"}', values: '1x400'}
      - {series: 'kube_job_failed{condition="true",namespace="k8s-upgrade",job_name="k8s-upgrade-master-1-36-3"}', values: '1x10 _x20 1x10 _x400'}
      - {series: 'kube_job_failed{condition="true",namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n2"}', values: '_x100 1x100 _x200'}
      - {series: 'kube_job_failed{condition="true",namespace="shop",job_name="nightly"}', values: '1x400'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing"}', eval_time: 45m}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed"}', eval_time: 60m}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing"}', eval_time: 129m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing",job_name="k8s-upgrade-worker-1-36-3-n2"})', eval_time: 132m, exp_samples: [{value: 1}]}
      - {expr: 'count(count_over_time(ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing"}[60m]) >= 60)', eval_time: 195m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed"}', eval_time: 210m}
  # the weekly run was refused before it began: its Job is kept for a week, and nothing fires
  - interval: 1m
    input_series:
      - {series: 'k8s_upgrade_in_flight{job="k8s-version-upgrade"}', values: '0x400'}
      - {series: 'kube_job_failed{condition="true",namespace="k8s-upgrade",job_name="k8s-upgrade-preflight-1-36-3"}', values: '1x400'}
    promql_expr_test:
      - {expr: 'count(ALERTS) by (alertname)', eval_time: 5h, exp_samples: [{labels: '{alertname="Watchdog"}', value: 1}]}
"#;

/// The same over days, looked at less often.
const EXPECTED_IN_DAYS: &str = r#"
rule_files: [rules.yaml]
evaluation_interval: 4m
tests:
  # detection has run at the beginning, and on the tenth day again
  - interval: 4m
    input_series:
      - {series: 'k8s_version_check_last_run_timestamp{job="k8s-version-check"}', values: '0x3600 864000x400'}
      - {series: 'kube_cronjob_status_last_schedule_time{cronjob="k8s-version-check"}', values: '0x4000'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 9d}
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed",alertstate="firing"}', eval_time: 216h55m}
      - {expr: 'count(ALERTS{alertname="K8sVersionCheckMissed",alertstate="firing"})', eval_time: 217h5m, exp_samples: [{value: 1}]}
      - {expr: 'count(count_over_time(ALERTS{alertname="K8sVersionCheckMissed",alertstate="firing"}[22h]) >= 330)', eval_time: 239h30m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 241h}
  # the Pushgateway has forgotten on the eighth day when detection ran, and the CronJob has not
  - interval: 4m
    input_series:
      - {series: 'k8s_version_check_last_run_timestamp{job="k8s-version-check"}', values: '604800x2880 _x1000'}
      - {series: 'kube_cronjob_status_last_schedule_time{cronjob="k8s-version-check"}', values: '604800x4000'}
      - {series: 'kube_cronjob_created{cronjob="k8s-version-check"}', values: '0x4000'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 10d}
  # a CronJob that has never run
  - interval: 4m
    input_series:
      - {series: 'kube_cronjob_created{cronjob="k8s-version-check"}', values: '0x4000'}
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname="K8sVersionCheckMissed",alertstate="firing"})', eval_time: 10d, exp_samples: [{value: 1}]}
  # a halt of the first hour, lifted on the tenth day: of the detection that it suspends no second alert tells
  - interval: 4m
    input_series:
      - {series: 'k8s_upgrade_halted_timestamp{job="k8s-version-upgrade"}', values: '0x14 3600x3585 0x400'}
      - {series: 'k8s_version_check_last_run_timestamp{job="k8s-version-check"}', values: '0x3600 864000x400'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sUpgradeHaltedForLong"}', eval_time: 7d}
      - {expr: 'ALERTS{alertname="K8sUpgradeHaltedForLong",alertstate="firing"}', eval_time: 169h55m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeHaltedForLong",alertstate="firing"})', eval_time: 170h5m, exp_samples: [{value: 1}]}
      - {expr: 'count(count_over_time(ALERTS{alertname="K8sUpgradeHaltedForLong",alertstate="firing"}[60h]) >= 900)', eval_time: 239h, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname=~"K8sUpgradeHaltedForLong|K8sVersionCheckMissed"}', eval_time: 241h}
"#;

#[test]
fn the_alert_rules_fire_and_resolve_as_prometheus_computes_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), rules(Gauges::Pushgateway, None).unwrap()).unwrap();
    std::fs::write(folder.path().join("test.yaml"), EXPECTED).unwrap();
    std::fs::write(folder.path().join("days.yaml"), EXPECTED_IN_DAYS).unwrap();
    assert!(promtool(folder.path(), &["check", "rules", "rules.yaml"]).contains("10 rules found"));
    promtool(folder.path(), &["test", "rules", "test.yaml", "days.yaml"]);
}

/// What kube-state-metrics alone can say, where no gauges are pushed.
const EXPECTED_OF_JOBS: &str = r#"
rule_files: [jobs.yaml]
evaluation_interval: 1m
tests:
  # nothing is wrong, and finished Jobs of the last run are still there
  - interval: 1m
    input_series:
      - {series: 'kube_job_status_active{namespace="k8s-upgrade",job_name="k8s-upgrade-postflight-1-36-3"}', values: '0x200'}
      - {series: 'kube_job_status_start_time{namespace="k8s-upgrade",job_name="k8s-upgrade-postflight-1-36-3"}', values: '0x200'}
      - {series: 'kube_job_status_failed{namespace="k8s-upgrade",job_name="k8s-upgrade-postflight-1-36-3"}', values: '1x200'}
      - {series: 'kube_job_status_succeeded{namespace="k8s-upgrade",job_name="k8s-upgrade-postflight-1-36-3"}', values: '1x200'}
      - {series: 'kube_job_status_active{namespace="shop",job_name="nightly"}', values: '1x200'}
      - {series: 'kube_job_status_failed{namespace="k8s-upgrade",job_name="k8s-upgrade-preflight-1-37-0"}', values: '3x200'}
    promql_expr_test:
      - {expr: 'count(ALERTS) by (alertname)', eval_time: 3h, exp_samples: [{labels: '{alertname="Watchdog"}', value: 1}]}
  # a Job works for two hours, and the next begins at once
  - interval: 1m
    input_series:
      - {series: 'kube_job_status_active{namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n2"}', values: '_x10 1x120 0x200'}
      - {series: 'kube_job_status_start_time{namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n2"}', values: '_x10 600x320'}
      - {series: 'kube_job_status_active{namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n3"}', values: '_x130 1x20 0x200'}
      - {series: 'kube_job_status_start_time{namespace="k8s-upgrade",job_name="k8s-upgrade-worker-1-36-3-n3"}', values: '_x130 7800x220'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sUpgradeInFlight"}', eval_time: 5m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeInFlight",alertstate="firing"})', eval_time: 20m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sUpgradeStalled",alertstate="firing"}', eval_time: 100m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeStalled",alertstate="firing"})', eval_time: 115m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sUpgradeStalled"}', eval_time: 140m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeInFlight",alertstate="firing"})', eval_time: 140m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sUpgradeInFlight"}', eval_time: 170m}
  # one that has failed: while it is tried again nothing fires, left alone it does, and a resume clears it
  - interval: 1m
    input_series:
      - {series: 'kube_job_status_failed{namespace="k8s-upgrade",job_name="k8s-upgrade-master-1-36-3"}', values: '1x300'}
      - {series: 'kube_job_status_active{namespace="k8s-upgrade",job_name="k8s-upgrade-master-1-36-3"}', values: '1x60 0x60 1x20 0x160'}
      - {series: 'kube_job_status_succeeded{namespace="k8s-upgrade",job_name="k8s-upgrade-master-1-36-3"}', values: '0x140 1x160'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed"}', eval_time: 50m}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing"}', eval_time: 85m}
      - {expr: 'count(ALERTS{alertname="K8sUpgradeJobFailed",alertstate="firing",job_name="k8s-upgrade-master-1-36-3"})', eval_time: 100m, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed"}', eval_time: 130m}
      - {expr: 'ALERTS{alertname="K8sUpgradeJobFailed"}', eval_time: 200m}
"#;

/// Detection by its CronJob alone.
const EXPECTED_OF_CRONJOBS: &str = r#"
rule_files: [jobs.yaml]
evaluation_interval: 4m
tests:
  # it has run at the beginning, and on the tenth day again
  - interval: 4m
    input_series:
      - {series: 'kube_cronjob_status_last_schedule_time{cronjob="k8s-version-check"}', values: '0x3600 864000x400'}
      - {series: 'kube_cronjob_created{cronjob="k8s-version-check"}', values: '0x4000'}
      - {series: 'kube_cronjob_spec_suspend{cronjob="k8s-version-check"}', values: '0x4000'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 9d}
      - {expr: 'count(ALERTS{alertname="K8sVersionCheckMissed",alertstate="firing"})', eval_time: 218h, exp_samples: [{value: 1}]}
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 241h}
  # halted: it is suspended, and missed by nobody
  - interval: 4m
    input_series:
      - {series: 'kube_cronjob_created{cronjob="k8s-version-check"}', values: '0x4000'}
      - {series: 'kube_cronjob_spec_suspend{cronjob="k8s-version-check"}', values: '1x4000'}
    promql_expr_test:
      - {expr: 'ALERTS{alertname="K8sVersionCheckMissed"}', eval_time: 10d}
"#;

#[test]
fn without_gauges_the_rules_look_at_jobs_and_fire_and_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let rules = rules(Gauges::Off, None).unwrap();
    assert!(!rules.contains("k8s_upgrade_") && !rules.contains("k8s_version_check_"), "a gauge that nobody pushes: {rules}");
    std::fs::write(folder.path().join("jobs.yaml"), rules).unwrap();
    std::fs::write(folder.path().join("test.yaml"), EXPECTED_OF_JOBS).unwrap();
    std::fs::write(folder.path().join("days.yaml"), EXPECTED_OF_CRONJOBS).unwrap();
    // Without those of the snapshot, of a person's block and of a halt that was forgotten, which gauges alone tell.
    assert!(promtool(folder.path(), &["check", "rules", "jobs.yaml"]).contains("7 rules found"));
    promtool(folder.path(), &["test", "rules", "test.yaml", "days.yaml"]);
    let printed = program(&["--set", "gauges=off", "manifests", "--only", "rules"], &[]);
    assert!(printed.is(0).stdout.contains("kube_job_status_active"), "{}", printed.stdout);
}

/// For the operator the same groups as for a Prometheus of one's own, under the labels by which that one selects; each rule leads to the page
/// that the settings name, and to none without one.
#[test]
fn the_operator_s_object_has_the_groups_of_the_rule_file() {
    for (set, page) in [(&[][..], None), (&["--set", "runbook-url=https://a.example/b#c"], Some("https://a.example/b#c"))] {
        let printed = |only: &[&str]| -> Value {
            let ran = program(&[set, &["manifests", "--only"], only].concat(), &[]);
            serde_saphyr::from_str(&ran.is(0).stdout).unwrap()
        };
        let file = printed(&["rules"]);
        let of_operator = printed(&["prometheus-rule", "--label", "release=kube-prometheus-stack", "--label", "a.example/b=c"]);
        assert_eq!(file["groups"], of_operator["spec"]["groups"]);
        assert_eq!(
            (text(&of_operator, "apiVersion"), text(&of_operator, "kind")),
            ("monitoring.coreos.com/v1", "PrometheusRule")
        );
        let labels = serde_json::json!({
            "app.kubernetes.io/name": "k8s-upgrade", "release": "kube-prometheus-stack", "a.example/b": "c",
        });
        assert_eq!(of_operator["metadata"]["labels"], labels);
        let rules = file["groups"][0]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 10);
        for rule in rules {
            assert_eq!(rule["annotations"].get("runbook_url").and_then(Value::as_str), page, "{}", rule["alert"]);
        }
    }
    // What the installation brings for a Prometheus to be given says the same.
    let page = Some("https://a.example/b");
    let installed = objects(&Install { runbook: page, ..install(Credentials::Existing) }).unwrap();
    let map = installed.iter().find(|object| object["metadata"]["name"] == "k8s-upgrade-alert-rules").unwrap();
    assert_eq!(text(&map["data"], "upgrade-gates.yaml"), rules(Gauges::Pushgateway, page).unwrap());
    let printed = prometheus_rule("monitoring", std::iter::empty(), Gauges::Off, None).unwrap();
    assert!(printed.contains("namespace: monitoring") && !printed.contains("k8s_upgrade_"), "{printed}");
}

/// Labels are of that object alone: all else has the labels that it has.
#[test]
fn labels_are_asked_for_the_operator_s_object_alone() {
    program(&["manifests", "--label", "a=b", "--image", "r.test/a:1"], &[]).is(2).says("--only prometheus-rule");
    program(&["manifests", "--only", "rules", "--label", "a=b"], &[]).is(2).says("--only prometheus-rule");
    program(&["manifests", "--only", "prometheus-rule", "--label", "a b=c"], &[]).is(2).says("is no label");
}

#[test]
fn host_keys_of_a_file_are_printed_and_what_fits_no_node_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let (one, two) = (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB",
    );
    std::fs::write(&path, format!("10.0.20.100 {one}\ngit.example.org {two}\n")).unwrap();
    let file = format!("known-hosts-file={}", path.display());
    let addresses = "host-addresses=k8s-master=10.0.20.100,k8s-node1=10.0.20.101";
    let ran = program(&["--set", &file, "--set", addresses, "manifests", "--image", "r.test/a:1"], &[]);
    ran.is(0).says("1 host key(s) of").says("fit no node").says("has no host key of k8s-node1");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&ran.stdout).unwrap();
    let map =
        objects.iter().find(|object| object["metadata"]["name"] == "k8s-upgrade-known-hosts" && object["kind"] == "ConfigMap");
    assert_eq!(map.unwrap()["data"], serde_json::json!({ "k8s-master": one }));
    program(&["--set", "known-hosts-file=/nowhere", "manifests", "--image", "r.test/a:1"], &[])
        .is(2)
        .says("cannot read /nowhere");
}

/// `uninstall` looks for all that is printed, whatever the settings: nothing that acts or may do something is left, and what bounds it goes later.
#[test]
fn what_is_printed_is_what_uninstall_looks_for() {
    let named = ["data".to_owned()];
    let hooks = Hooks { before: Some(("ceph", "noout")), after: Some(("k8s-upgrade", "unset")) };
    let secret = Credentials::Secret { ssh_key: b"KEY", ssh_key_pub: b"PUB", slack_webhook: None, webhooks: "", prometheus: &[] };
    let bare = Install { backup: None, unstick: Unstick::Never, events: false, ..install(Credentials::Existing) };
    let full = Install {
        backup: Some(("k8s-upgrade", "backup-etcd")),
        hooks,
        forced_in: &named,
        surge: Surge::Single,
        freezes: Some(("ops", "freezes")),
        ..install(Credentials::External { store: "vault", key: "k8s-upgrade" })
    };
    let mut looked_for = 0;
    for settings in [bare, install(secret), full] {
        for namespace in ["k8s-upgrade", "second"] {
            let pieces = pieces(namespace).unwrap();
            for object in objects(&Install { namespace, ..settings.clone() }).unwrap() {
                let place = match object["metadata"]["namespace"].as_str() {
                    None => Place::Cluster,
                    Some(own) if own == namespace => Place::Own,
                    Some(_) => Place::Other,
                };
                let known = pieces.iter().any(|piece| {
                    piece.place == place
                        && (piece.version.as_str(), piece.kind.as_str()) == (text(&object, "apiVersion"), text(&object, "kind"))
                        && piece.name == object["metadata"]["name"]
                });
                assert!(known, "{object}");
                looked_for += 1;
            }
            let first = |kind: &str| pieces.iter().position(|piece| piece.kind == kind).unwrap();
            let last = |kind: &str| pieces.iter().rposition(|piece| piece.kind == kind).unwrap();
            let policies = first("ValidatingAdmissionPolicyBinding").min(first("ValidatingAdmissionPolicy"));
            assert!(last("CronJob") < first("Secret"));
            for right in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
                assert!(last("CronJob") < first(right) && last(right) < policies, "{right}");
            }
            assert_eq!(first("Namespace"), pieces.len() - 1);
        }
    }
    assert!(looked_for > 150, "{looked_for}");
}

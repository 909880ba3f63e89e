//! `adopt` where the runbook's shell pipeline has run: what it says of each part, that it refuses while a chain is in flight, and that it changes
//! nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::{Value, json};

use super::status::shown_with;
use super::world::{NAMESPACE, begin, live, quick, types, types_with};

const ACCOUNT: &str = "k8s-upgrade-job";

/// A cluster in which this program was never installed, and that pipeline is: by Terraform, which the Secret alone does not come from.
fn pipeline() -> State {
    let mut state = begin(&quick(Scenario::runbook()));
    let secret = state.store.get(&Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds")).unwrap()["data"].clone();
    let label = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/name"] == "k8s-upgrade";
    let all = Kind::ALL.into_iter().flat_map(|kind| state.store.list(kind)).filter(|(key, object)| {
        label(object) || key.namespace == NAMESPACE || (key.kind == Kind::Namespace && key.name == NAMESPACE)
    });
    let gone: Vec<Key> = all.map(|(key, _)| key.clone()).collect();
    gone.iter().for_each(|key| drop(state.store.remove(key)));
    let role = |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let subjects = json!([{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }]);
    let script = "ssh -i /tmp/key \"ubuntu@$node\" true\n\
                  kubectl -n default create job --from=cronjob/backup-etcd \"$job\"\n\
                  curl --data-binary @- http://prometheus-prometheus-pushgateway.monitoring:9091/metrics/job/k8s-version-upgrade\n";
    let template = json!({ "spec": { "template": { "spec": {
        "restartPolicy": "Never",
        "containers": [{ "name": "version-check", "image": "example.org/tools:1", "command": ["/bin/bash", "-c", "true"] }],
    } } } });
    let namespaced = [
        (Kind::CronJob, "k8s-version-check", json!({ "spec": { "schedule": "0 12 * * 3", "jobTemplate": template } })),
        (Kind::ConfigMap, "k8s-upgrade-scripts", json!({ "data": { "upgrade-step.sh": script } })),
        (Kind::ConfigMap, "k8s-upgrade-job-template", json!({ "data": { "job-template.yaml": "kind: Job" } })),
        (Kind::ServiceAccount, ACCOUNT, json!({})),
        (Kind::Role, "k8s-upgrade-creds-reader", json!({ "rules": [] })),
        (
            Kind::RoleBinding,
            "k8s-upgrade-creds-reader",
            json!({ "roleRef": role("Role", "k8s-upgrade-creds-reader"), "subjects": subjects }),
        ),
        (Kind::Secret, "k8s-upgrade-creds", json!({ "type": "Opaque", "data": secret })),
    ];
    let of_cluster = [
        (Kind::Namespace, NAMESPACE, json!({})),
        (Kind::ClusterRole, ACCOUNT, json!({ "rules": [] })),
        (Kind::ClusterRoleBinding, ACCOUNT, json!({ "roleRef": role("ClusterRole", ACCOUNT), "subjects": subjects })),
    ];
    let now = state.now();
    for (kind, name, mut object) in of_cluster.into_iter().chain(namespaced) {
        object["metadata"] = json!({ "name": name });
        if kind.names().namespaced {
            object["metadata"]["namespace"] = json!(NAMESPACE);
        }
        if kind != Kind::Secret {
            object["metadata"]["managedFields"] = json!([{ "manager": "HashiCorp", "operation": "Update" }]);
        }
        state.store.create(now, kind, object).unwrap();
    }
    state
}

/// A Job of the old chain; it has ended if a condition says so.
fn job(state: &mut State, name: &str, ended: Option<&str>) {
    let conditions = ended.map(|how| json!([{ "type": how, "status": "True" }]));
    let container = json!({ "name": "upgrade", "image": "example.org/tools:1" });
    let object = json!({
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "app": "k8s-upgrade-chain" } },
        "spec": { "suspend": true, "template": { "spec": { "restartPolicy": "Never", "containers": [container] } } },
        "status": { "conditions": conditions },
    });
    let now = state.now();
    state.store.create(now, Kind::Job, object).unwrap();
}

fn annotate(state: &mut State, marks: &[(&str, &str)]) {
    state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
        for (suffix, text) in marks {
            namespace["metadata"]["annotations"][format!("viktorbarzin.me/k8s-upgrade-{suffix}")] = json!(text);
        }
    });
}

/// Everything with its version, but what comes and goes by itself.
fn there(state: &State) -> BTreeMap<String, String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| ![Kind::Event, Kind::Pod, Kind::Job, Kind::Lease, Kind::Node].contains(kind));
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let objects = kinds.flat_map(|kind| {
        state.store.list(kind).map(move |(key, object)| (format!("{kind:?} {}", key.full_name()), version(object)))
    });
    objects.collect()
}

#[test]
fn a_pipeline_at_rest_is_told_part_by_part_and_left_alone() {
    let mut state = pipeline();
    job(&mut state, "k8s-upgrade-preflight-1-34-2", Some("Complete"));
    state.store.update(&Key::node("k8s-node3"), |node| node["spec"]["unschedulable"] = json!(true));
    let before = there(&state);
    live(state, None, async |driver| {
        insta::assert_snapshot!("at_rest", shown_with(driver, &["adopt"], 0, BTreeMap::new()).await);
        let (code, said) = types(driver, "settings", "adopt --write-config -").await;
        assert_eq!(code, 0, "{said}");
        insta::assert_snapshot!("settings", said);
        // A file that is there is somebody's.
        let disk = BTreeMap::from([(PathBuf::from("/config.yaml"), b"soak: 20m\n".as_slice().into())]);
        let (code, said) = types_with(driver, "over", "adopt --write-config /config.yaml", disk).await;
        assert!(code == 2 && said.contains("/config.yaml is there already") && !said.contains("ConfigMap"), "{code}: {said}");
        driver.twin.look(|state| {
            let mut after = there(state);
            // The API server's own, which come with the namespace.
            after.retain(|name, _| before.contains_key(name));
            assert_eq!(after, before);
            assert!(state.unmodelled.is_empty(), "{:?}", state.unmodelled);
        });
    });
}

#[test]
fn while_a_chain_is_in_flight_it_refuses_and_writes_nothing() {
    let mut at_work = pipeline();
    annotate(&mut at_work, &[("in-flight", "2026-11-22T12:05:00Z"), ("target", "1.34.7")]);
    job(&mut at_work, "k8s-upgrade-master-1-34-7", None);
    live(at_work, None, async |driver| {
        insta::assert_snapshot!("at_work", shown_with(driver, &["adopt"], 6, BTreeMap::new()).await);
        let (code, said) = types(driver, "settings", "adopt --write-config -").await;
        assert!(code == 6 && !said.contains("ssh-user"), "{code}: {said}");
        let (code, said) = types(driver, "file", "adopt --write-config /config.yaml").await;
        assert!(code == 6 && !said.contains("is written"), "{code}: {said}");
    });
    let mut stranded = pipeline();
    annotate(&mut stranded, &[("in-flight", "x"), ("target", "1.34.7"), ("snapshot-path", "nfs://nas/etcd/snapshot.db")]);
    job(&mut stranded, "k8s-upgrade-master-1-34-7", Some("Failed"));
    live(stranded, None, async |driver| {
        let (code, said) = types(driver, "stranded", "adopt").await;
        insta::assert_snapshot!("stranded", format!("$ k8s-upgrade adopt    # {code}\n{said}"));
        assert_eq!(code, 4);
    });
}

/// Where this program is installed, and where nothing is.
#[test]
fn without_a_pipeline_it_says_so() {
    let mut bare = pipeline();
    let gone: Vec<Key> = Kind::ALL
        .into_iter()
        .flat_map(|kind| bare.store.list(kind).map(|(key, _)| key.clone()).collect::<Vec<_>>())
        .filter(|key| key.namespace == NAMESPACE || key.name == NAMESPACE || key.name == ACCOUNT)
        .collect();
    gone.iter().for_each(|key| drop(bare.store.remove(key)));
    for state in [begin(&quick(Scenario::runbook())), bare] {
        live(state, None, async |driver| {
            let (code, said) = types(driver, "person", "adopt").await;
            assert!(code == 0 && said.contains("nothing of another pipeline is here"), "{code}: {said}");
        });
    }
}

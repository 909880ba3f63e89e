//! `check` before and after installing: what it says of a cluster as it should be, and that each thing that is missing is named.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_upgrade::twin::{State, hosts};

use k8s_upgrade::twin::scenario::{Budget, Scenario, Workload, WorkloadKind};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Service, Trouble};
use serde_json::{Value, json};

use super::hands::{NEW, is_out, ours, version};
use super::status::{binary, has, installed, shown_with};
use super::world::{NAMESPACE, begin, is_over, live, pass, quick, types, when};

/// Seconds by which the watch has run, and Prometheus has its gauges.
const WATCHED: u64 = 700;

fn begun() -> State {
    begin(&quick(Scenario::runbook()))
}

/// What it prints as data.
fn data(mut state: State, edit: impl FnOnce(&mut State), code: u8) -> Value {
    edit(&mut state);
    told(state, "check -o json", code)
}

fn told(state: State, typed: &str, code: u8) -> Value {
    live(state, None, async |driver| {
        pass(driver, WATCHED).await;
        let (ended, said) = types(driver, "person", typed).await;
        assert_eq!(ended, code, "{said}");
        let from = said.find('{').unwrap_or_else(|| panic!("no data: {said}"));
        let until = said.rfind('}').unwrap_or_else(|| panic!("no data: {said}"));
        serde_json::from_str(&said[from..=until]).unwrap_or_else(|error| panic!("{error}: {said}"))
    })
}

/// What is not as it should be: section, standing and words.
fn odd(told: &Value) -> Vec<[String; 3]> {
    let sections = told["sections"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = sections.iter().flat_map(|section| {
        let findings = section["findings"].as_array().unwrap().iter();
        findings.map(move |finding| [text(&section["name"]), text(&finding["standing"]), text(&finding["says"])])
    });
    all.filter(|[_, standing, _]| standing != "good").collect()
}

/// Some time after a run that ended well.
#[test]
fn a_cluster_as_it_should_be() {
    live(installed(&binary(1)), None, async |driver| {
        when(driver, "the end of a run", is_over).await;
        pass(driver, 1800).await;
        insta::assert_snapshot!(shown_with(driver, &["check"], 0, has(&binary(1))).await);
    });
}

fn away(service: Service) -> impl FnOnce(&mut State) {
    move |state| {
        let (from, until) = (state.now(), later(state.now(), Duration::from_secs(7200)));
        state.web.troubles.push(Trouble { service, from, until, how: How::Refused });
    }
}

fn gone(kind: Kind, namespace: &'static str, name: &'static str) -> impl FnOnce(&mut State) {
    move |state| {
        state.store.remove(&Key::new(kind, namespace, name));
    }
}

/// A cluster without Prometheus and Pushgateway: the whole run, what a person is told of it, and that nothing was asked or pushed.
#[test]
fn without_prometheus_and_pushgateway_a_run_comes_to_its_end() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.extend(["alerts", "gauges"].map(|key| (key.to_owned(), json!("off"))));
    let mut state = begin(&scenario);
    away(Service::Prometheus)(&mut state);
    away(Service::Pushgateway)(&mut state);
    live(state, None, async |driver| {
        when(driver, "a worker", is_out("k8s-node4")).await;
        let (code, said) = types(driver, "look", "status --set alerts=off --set gauges=off").await;
        assert!(code == 0 && said.contains("no alerts are asked for") && said.contains("no gauges are pushed"), "{code} {said}");
        when(driver, "the end", is_over).await;
        let (code, said) = types(driver, "health", "check --set alerts=off --set gauges=off").await;
        assert!(said.contains("alerts are off by the setting alerts"), "{code} {said}");
        let (code, said) = types(driver, "halt", "halt --blocker-alert --set gauges=off").await;
        assert!(code == 2 && said.contains("the blocker alert would never fire"), "{code} {said}");
        driver.twin.look(|state| {
            let old: Vec<_> = state.store.list(Kind::Node).filter(|(key, _)| version(state, &key.name) != NEW).collect();
            assert!(old.is_empty() && ours(state).is_empty(), "{old:?}");
            let asked = |line: &&str| ["prometheus-server", "pushgateway"].iter().any(|service| line.contains(service));
            assert_eq!(state.history.newest().filter(asked).count(), 0);
            let warned = state.logs.values().any(|log| log.all().iter().any(|line| line.contains("no alerts are asked for")));
            assert!(warned, "no Job says so");
        });
    });
}

/// Each section has something that makes it bad, and then it is that section alone which says so.
#[test]
fn each_thing_that_is_missing_is_named_in_its_section() {
    type Edit = Box<dyn FnOnce(&mut State)>;
    let locked = |state: &mut State| {
        state.hosts.change("k8s-node2", |machine| machine.authorized_keys.clear());
    };
    let dark = |state: &mut State| hosts::power_cut(state, "k8s-node3", Duration::from_secs(7200));
    let full = |state: &mut State| {
        state.hosts.change("k8s-master", |machine| machine.etcd[0] = 1800 << 20);
    };
    let cases: [(&str, &str, &str, u8, Edit); 7] = [
        ("cluster", "mind", "not every node is fit", 4, Box::new(dark)),
        ("nodes", "bad", "k8s-node2: ", 4, Box::new(locked)),
        ("control planes", "bad", "its database has 1800 MiB", 4, Box::new(full)),
        ("releases", "bad", "package index", 4, Box::new(away(Service::Packages))),
        ("snapshot", "bad", "backup-etcd", 4, Box::new(gone(Kind::CronJob, "default", "backup-etcd"))),
        ("monitoring", "bad", "Prometheus", 4, Box::new(away(Service::Prometheus))),
        ("installation", "bad", "k8s-upgrade-watch", 4, Box::new(gone(Kind::CronJob, NAMESPACE, "k8s-upgrade-watch"))),
    ];
    for (section, standing, words, code, edit) in cases {
        let told = data(begun(), edit, code);
        let found = odd(&told);
        let named = |[name, stands, says]: &[String; 3]| name == section && stands == standing && says.contains(words);
        assert!(found.iter().any(named), "{section}: {found:?}");
        assert_eq!(told["ready"], code == 0);
    }
}

/// Before anything of ours is there, its namespace included.
#[test]
fn it_looks_before_anything_is_installed() {
    let mut state = begun();
    let ours: Vec<Key> = Kind::ALL
        .iter()
        .flat_map(|kind| state.store.list(*kind).map(|(key, _)| key.clone()).collect::<Vec<_>>())
        .filter(|key| key.namespace == NAMESPACE || (key.kind == Kind::Namespace && key.name == NAMESPACE))
        .collect();
    ours.iter().for_each(|key| drop(state.store.remove(key)));
    let told = told(state, "check -o json", 0);
    let found = odd(&told);
    let named = |section: &str, stands: &str, says: &str| {
        found.iter().any(|[name, standing, words]| name == section && standing == stands && words.contains(says))
    };
    assert!(named("installation", "mind", "not installed in the namespace k8s-upgrade yet"), "{found:?}");
    // What needs nothing of ours is as it is with it.
    assert!(!found.iter().any(|[name, ..]| name == "cluster" || name == "nodes" || name == "workloads"), "{found:?}");
}

#[test]
fn a_pod_that_can_never_leave_is_named() {
    let mut scenario = quick(Scenario::runbook());
    scenario.workloads.push(Workload::new(WorkloadKind::StatefulSet, "shop", "stuck"));
    let selector = [("app".to_owned(), "stuck".to_owned())].into();
    let (namespace, name, budget) = ("shop".to_owned(), "stuck".to_owned(), scenario.budgets[0].clone());
    let (min_available, max_unavailable) = (Some(IntOrString::Int(1)), None);
    scenario.budgets.push(Budget { namespace, name, selector, min_available, max_unavailable, ..budget });
    for (policy, code, standing, words) in [
        ("refuse", 4, "bad", "can never be drained"),
        ("skip", 0, "mind", "goes past"),
        ("try", 0, "mind", "drained nevertheless"),
        ("force-after", 4, "bad", "undrainable-namespaces"),
    ] {
        let told =
            told(begin(&scenario), &format!("check -o json --set undrainable={policy} --set undrainable-namespaces=other"), code);
        let found = odd(&told);
        let named = |[name, stands, says]: &[String; 3]| name == "workloads" && stands == standing && says.contains(words);
        assert!(found.iter().any(named), "{policy}: {found:?}");
        assert_eq!(told["ready"], code == 0);
    }
}

/// It looks for what does not answer where the settings say, tries what it finds, and writes nothing of what fits.
#[test]
fn the_settings_that_a_cluster_needs_are_offered() {
    let service = |namespace: &str, name: &str, port: u16, app: &str| {
        let labels = json!({ "app.kubernetes.io/name": app });
        json!({
            "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "spec": { "ports": [{ "name": "http", "port": port }] },
        })
    };
    let mut state = begun();
    let now = state.now();
    for object in [
        service("observability", "kube-prometheus-alertmanager", 9093, "alertmanager"),
        service("elsewhere", "prometheus", 9090, "prometheus"),
        service("observability", "prometheus", 9090, "prometheus"),
        service("observability", "gate-pushgateway", 9091, "prometheus-pushgateway"),
    ] {
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        state.store.create(now, Kind::Namespace, json!({ "metadata": { "name": namespace } })).ok();
        state.store.create(now, Kind::Service, object).unwrap();
    }
    state.web.listen(Service::Prometheus, "observability/prometheus:9090");
    state.web.listen(Service::Pushgateway, "observability/gate-pushgateway:9091");
    let said = live(state, None, async |driver| {
        let (code, said) = types(driver, "person", "check --write-config - --set soak=20m").await;
        assert_eq!(code, 4, "{said}");
        said
    });
    insta::assert_snapshot!(said);
}

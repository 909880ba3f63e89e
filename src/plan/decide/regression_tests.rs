#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::super::gates::Occasion;
use super::*;
use crate::plan::model::fixture::{NEW, cluster, master, node, worker};
use crate::plan::model::member::{Disk, Member};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn facts(edit: impl Fn(&mut Vec<Node>)) -> Facts {
    let mut nodes = vec![master("m", NEW), worker("n", NEW)];
    edit(&mut nodes);
    Facts { nodes, ..Facts::default() }
}

fn deployment(name: &str, wanted: i32, available: i32) -> Workload {
    let object = json!({
        "metadata": { "namespace": "shop", "name": name },
        "spec": { "replicas": wanted, "selector": {}, "template": {} },
        "status": { "availableReplicas": available, "conditions": [{ "type": "Available", "status": "True" }] },
    });
    Workload::of_deployment(&serde_json::from_value::<Deployment>(object).unwrap())
}

fn plane(api: Answer<Option<String>>, etcd: Answer<Option<String>>) -> [ControlPlane; 1] {
    let member = Member {
        id: "8e9e05c52164694d".parse().unwrap(),
        leads: true,
        learner: false,
        size: 1,
        in_use: 1,
        quota: None,
        disk: Disk::default(),
    };
    [ControlPlane { node: "m".to_owned(), api, etcd, member: Answer::Known(member), elsewhere: false }]
}

const WELL: Answer<Option<String>> = Answer::Known(None);

fn ill() -> Answer<Option<String>> {
    Answer::Known(Some("NOSPACE".to_owned()))
}

fn unknown() -> Answer<Option<String>> {
    Answer::Unknown("no route to host".to_owned())
}

fn well() -> Look {
    Look::new(&facts(|_| {}), &BTreeSet::new()).with_control_planes(plane(WELL, WELL)).with_workloads([deployment("web", 2, 2)])
}

/// Each way in which a cluster can be worse, and what is told of it.
fn worse() -> Vec<(Gate, Look, &'static str)> {
    let nodes =
        |edit: &dyn Fn(&mut Vec<Node>)| Look::new(&facts(edit), &BTreeSet::new()).with_workloads([deployment("web", 2, 2)]);
    vec![
        (Gate::Nodes, nodes(&|nodes| nodes[1].ready = false), "n is not Ready"),
        (Gate::Nodes, nodes(&|nodes| nodes[1].pressures.push("DiskPressure".to_owned())), "n has DiskPressure"),
        (Gate::ApiServers, nodes(&|nodes| nodes[0].components[0].running = false), "m: kube-apiserver is not running and ready"),
        (Gate::ApiServers, nodes(&|nodes| nodes[0].components.clear()), "m: no pod of kube-apiserver is to be seen"),
        (Gate::ApiServers, well().with_control_planes(plane(ill(), WELL)), "API server of m is not well: NOSPACE"),
        (
            Gate::ApiServers,
            well().with_control_planes(plane(unknown(), WELL)),
            "the health of the API server of m is not known: no route to host",
        ),
        (Gate::Etcd, well().with_control_planes(plane(WELL, ill())), "etcd of m is not well: NOSPACE"),
        (
            Gate::Etcd,
            well().with_control_planes(plane(WELL, unknown())),
            "the health of the etcd of m is not known: no route to host",
        ),
        (
            Gate::Workloads,
            Look::default().with_workloads([deployment("web", 2, 1)]),
            "Deployment shop/web has 1 of 2 pods available",
        ),
        (
            Gate::CrashLoops,
            well().with_crash_loops(["Deployment shop/web".to_owned(), "Deployment shop/web".to_owned()]),
            "Deployment shop/web has 2 pods that crash again and again",
        ),
        (
            Gate::Dns,
            well().with_dns("kubernetes.default.svc", Answer::Unknown("Try again".to_owned())),
            "cluster DNS gives no answer for kubernetes.default.svc: Try again",
        ),
    ]
}

#[test]
fn what_is_worse_is_told_and_what_was_so_before_is_not() {
    let baseline = well().baseline(at(0));
    assert_eq!(well().with_dns("x", Answer::Known(())).worse(&baseline), []);
    for (gate, look, says) in worse() {
        let found = look.worse(&baseline);
        assert_eq!(found.iter().map(|symptom| (symptom.gate, symptom.words())).collect::<Vec<_>>(), [(gate, says.to_owned())]);
        assert!(look.ill().contains(&says.to_owned()), "{says}");
        // It was so when the run was claimed, whatever is said of it by now.
        assert_eq!(look.worse(&look.baseline(at(0))), [], "{says}");
    }
}

/// Every gate of the table that a look asks is asked after each node and before the next; each has a way to close.
#[test]
fn every_gate_of_a_look_can_close() {
    let baseline = well().baseline(at(0));
    let closed: std::collections::BTreeSet<Gate> =
        worse().iter().flat_map(|(_, look, _)| look.worse(&baseline)).map(|symptom| symptom.gate).collect();
    let gates = [Gate::Nodes, Gate::ApiServers, Gate::Etcd, Gate::Workloads, Gate::CrashLoops, Gate::Dns];
    assert_eq!(closed, gates.into());
    for gate in gates {
        for occasion in [Occasion::BeforeNode, Occasion::AfterNode] {
            assert!(gate.row().asked.contains(&occasion), "{gate:?} {occasion:?}");
        }
    }
}

/// Who could not be asked before the run was as good as any: that it is ill now is news.
#[test]
fn what_was_not_known_before_hides_no_illness() {
    let baseline = well().with_control_planes(plane(unknown(), unknown())).baseline(at(0));
    assert_eq!(well().with_control_planes(plane(unknown(), unknown())).worse(&baseline), []);
    let gates: Vec<Gate> =
        well().with_control_planes(plane(ill(), ill())).worse(&baseline).iter().map(|symptom| symptom.gate).collect();
    assert_eq!(gates, [Gate::ApiServers, Gate::Etcd]);
}

#[test]
fn a_workload_counts_while_it_is_the_one_that_was_whole() {
    let before = Look::default().with_workloads([deployment("web", 2, 2), deployment("broken", 2, 1)]);
    let baseline = before.baseline(at(0));
    let names = |workloads: Vec<Workload>| {
        let found = Look::default().with_workloads(workloads).worse(&baseline);
        found.into_iter().map(|symptom| symptom.of).collect::<Vec<_>>()
    };
    assert_eq!(names(vec![deployment("web", 2, 1), deployment("broken", 2, 0)]), ["Deployment shop/web"]);
    // Scaled since, made since, gone.
    assert!(names(vec![deployment("web", 5, 2)]).is_empty());
    assert!(names(vec![deployment("new", 1, 0)]).is_empty());
    assert!(names(vec![]).is_empty());
}

#[test]
fn three_looks_over_a_minute_and_not_one_less() {
    let symptom = Symptom::new(Gate::Dns, "cluster DNS", "gives no answer");
    let other = Symptom::new(Gate::Nodes, "n", "is not Ready");
    let found = std::slice::from_ref(&symptom);
    let mut looks = Looks::default();
    assert_eq!(looks.see(at(0), found, false), []);
    // Often enough, and not long enough.
    assert_eq!(looks.see(at(10), found, false), []);
    assert_eq!(looks.see(at(59), found, false), []);
    assert_eq!(looks.see(at(60), &[other.clone(), symptom.clone()], false), [(symptom.clone(), at(0))]);
    // Well for one look: it begins anew.
    assert_eq!(looks.see(at(90), std::slice::from_ref(&other), false), []);
    assert_eq!(looks.see(at(120), found, false), []);
    // Long enough, and not often enough.
    assert_eq!(looks.see(at(300), found, false), []);
    // Other words for it are no other thing.
    let reworded = Symptom { what: "still gives none".to_owned(), ..symptom.clone() };
    assert_eq!(looks.see(at(301), std::slice::from_ref(&reworded), false), [(reworded, at(120))]);
    // Now this, now that: once it is late, whatever is there counts.
    assert_eq!(looks.see(at(330), std::slice::from_ref(&other), false), []);
    assert_eq!(looks.see(at(360), found, true), [(symptom, at(360))]);
}

#[test]
fn a_large_cluster_is_asked_for_the_pods_of_the_nodes_in_work_alone() {
    let (now, soak): (Timestamp, _) = ("2026-11-22T12:30:00Z".parse().unwrap(), Duration::from_secs(600));
    let around = |facts: &Facts, name: &str| Pods::around(facts, name, soak, now);
    assert_eq!(around(&cluster(1, 19), "k8s-node3"), Pods::All, "a small one");
    let mut facts = cluster(1, 20);
    assert_eq!(around(&facts, "k8s-node3"), Pods::On(vec!["k8s-node3".to_owned()]));
    assert_eq!(around(&facts, "k8s-master"), Pods::All);
    node(&mut facts, "k8s-node4").changed_at = "2026-11-22T12:21:00Z".parse().ok();
    node(&mut facts, "k8s-node5").changed_at = "2026-11-22T12:19:00Z".parse().ok();
    assert_eq!(
        around(&facts, "k8s-node3"),
        Pods::On(vec!["k8s-node3".to_owned(), "k8s-node4".to_owned()]),
        "one that soaks, too"
    );
    node(&mut facts, "k8s-master").changed_at = "2026-11-22T12:25:00Z".parse().ok();
    assert_eq!(around(&facts, "k8s-node3"), Pods::All, "a control plane soaks");
}

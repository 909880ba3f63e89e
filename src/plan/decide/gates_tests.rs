//! Each gate, passing, holding, and not knowing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use serde_json::json;

use std::collections::BTreeSet;

use super::*;
use crate::failure::Class;
use crate::plan::model::fixture::*;

const NOW: &str = "2026-11-22T13:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn reasons(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Pass => Vec::new(),
        Verdict::Hold(reasons) => reasons,
        Verdict::Refuse(reasons) => panic!("refused: {reasons:?}"),
    }
}

fn pods(ready: usize, unready: usize, finished: usize) -> PodsReady {
    let pod = |i: usize, phase: &str, ready: &str| -> Pod {
        let status = json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] });
        serde_json::from_value(json!({ "metadata": { "name": format!("{phase}-{i}"), "namespace": "web" }, "status": status }))
            .unwrap()
    };
    let running = (0..ready).map(|i| pod(i, "Running", "True"));
    let all = running
        .chain((0..unready).map(|i| pod(i, "Pending", "False")))
        .chain((0..finished).map(|i| pod(i, "Succeeded", "False")));
    let mut counted = PodsReady::default();
    all.for_each(|pod| counted.count(&pod));
    counted
}

/// Of two that cordoned together exactly one goes on, however much each of them sees; and whoever is seen to be at work stays alone.
#[test]
fn of_two_nodes_out_at_once_the_first_in_natural_order_has_its_turn() {
    let mut facts = cluster(1, 10);
    assert_eq!(turn(&facts, &policy(), "k8s-node10", at(NOW)), Turn::Ours);
    node(&mut facts, "k8s-node10").cordoned_by = Some("by-hand".into());
    assert_eq!(turn(&facts, &policy(), "k8s-node10", at(NOW)), Turn::Ours);
    node(&mut facts, "k8s-node9").cordoned_by = Some("by-hand".into());
    assert_eq!(turn(&facts, &policy(), "k8s-node10", at(NOW)), Turn::GiveWay(vec!["k8s-node9".into()]));
    assert_eq!(turn(&facts, &policy(), "k8s-node9", at(NOW)), Turn::Wait(vec!["k8s-node10".into()]));
    node(&mut facts, "k8s-master").cordoned_by = Some("by-hand".into());
    assert_eq!(turn(&facts, &policy(), "k8s-node9", at(NOW)), Turn::GiveWay(vec!["k8s-master".into(), "k8s-node10".into()]));
    assert_eq!(turn(&facts, &policy(), "k8s-master", at(NOW)), Turn::Wait(vec!["k8s-node9".into(), "k8s-node10".into()]));
    // Its runner saw us and took its cordon back.
    for name in ["k8s-node9", "k8s-node10"] {
        node(&mut facts, name).cordoned_by = None;
    }
    assert_eq!(turn(&facts, &policy(), "k8s-master", at(NOW)), Turn::Ours);
}

#[test]
fn unready_nodes_and_pressure_hold_unless_excluded() {
    let mut facts = runbook();
    assert_eq!(nodes_ready(&facts, &policy(), at(NOW)), Verdict::Pass);
    let broken = node(&mut facts, "k8s-node3");
    broken.ready = false;
    broken.ready_since = Some(at("2026-11-22T11:59:00Z"));
    broken.not_ready = Some("Kubelet stopped posting node status.".into());
    node(&mut facts, "k8s-node2").pressures = vec!["DiskPressure".into()];
    let wanted = [
        "k8s-node3 is not Ready for 1 h (since 2026-11-22T11:59:00Z), Kubelet stopped posting node status: mend it, or exclude it in the settings",
        "k8s-node2 has DiskPressure",
    ];
    assert_eq!(reasons(nodes_ready(&facts, &policy(), at(NOW))), wanted);
    node(&mut facts, "k8s-node3").excluded = true;
    node(&mut facts, "k8s-node2").excluded = true;
    assert_eq!(nodes_ready(&facts, &policy(), at(NOW)), Verdict::Pass);
}

#[test]
fn one_hostname_for_two_nodes_is_a_persons_to_mend() {
    let mut facts = runbook();
    assert_eq!(hostnames_differ(&facts), Ok(()));
    node(&mut facts, "k8s-node3").hostname = "k8s-node2".to_owned();
    let cause = hostnames_differ(&facts).unwrap_err();
    assert_eq!((cause.class, cause.detail), (Class::Refused, vec!["k8s-node3, k8s-node2: k8s-node2".to_owned()]));
}

#[test]
fn a_day_of_quiet_is_wanted_and_the_run_does_not_disturb_itself() {
    let mut facts = runbook();
    for (since, passes) in [("2026-11-21T13:00:00Z", true), ("2026-11-21T13:00:01Z", false), ("2026-11-22T13:05:00Z", false)] {
        node(&mut facts, "k8s-node2").ready_since = Some(at(since));
        assert_eq!(quiet(&facts, &policy(), at(NOW)) == Verdict::Pass, passes, "{since}");
    }
    node(&mut facts, "k8s-node2").ready_since = Some(at("2026-11-22T06:12:00.4Z"));
    let wanted = "k8s-node2 became Ready 6 h ago (24 h wanted): passes at 2026-11-23T06:12:00Z";
    assert_eq!(reasons(quiet(&facts, &policy(), at(NOW))), [wanted]);

    // before the run began (12:00), it counts in the run too; after it, or on a node that the run changed, it does not
    facts = in_flight(facts);
    assert_eq!(reasons(quiet(&facts, &policy(), at(NOW))), [wanted]);
    node(&mut facts, "k8s-node2").cordoned_by = Some("5f3a21bc".into());
    assert_eq!(quiet(&facts, &policy(), at(NOW)), Verdict::Pass);
    node(&mut facts, "k8s-node2").cordoned_by = Some("an earlier run".into());
    assert_eq!(reasons(quiet(&facts, &policy(), at(NOW))), [wanted]);
    node(&mut facts, "k8s-node2").ready_since = Some(at("2026-11-22T12:30:00Z"));
    assert_eq!(quiet(&facts, &policy(), at(NOW)), Verdict::Pass);

    node(&mut facts, "k8s-node2").ready_since = None;
    assert_eq!(reasons(quiet(&facts, &policy(), at(NOW))).len(), 1, "unknown holds");
}

#[test]
fn the_control_plane_is_judged_by_its_images_and_pods() {
    let mut facts = runbook();
    assert_eq!(control_plane(&facts, Some(OLD)), Verdict::Pass);
    assert_eq!(reasons(control_plane(&facts, Some(NEW))).len(), 3);
    upgrade(&mut facts, "k8s-master", NEW);
    assert_eq!(control_plane(&facts, Some(NEW)), Verdict::Pass);
    assert_eq!(apiservers_ready(&facts), Verdict::Pass);
    assert_eq!(reasons(at_target(&facts, NEW)).len(), 4, "the workers' kubelets");

    let master = node(&mut facts, "k8s-master");
    master.components[0].running = false;
    master.components[1].version = Some(OLD);
    master.components.pop();
    let wanted = [
        "k8s-master: kube-apiserver is not running and ready",
        "k8s-master: kube-controller-manager is at 1.34.2, not 1.34.7",
        "k8s-master: no pod of kube-scheduler is to be seen",
    ];
    assert_eq!(reasons(control_plane(&facts, Some(NEW))), wanted);
    assert_eq!(reasons(apiservers_ready(&facts)), wanted[..1]);
    node(&mut facts, "k8s-master").components.clear();
    assert_eq!(reasons(apiservers_ready(&facts)), ["k8s-master: no pod of kube-apiserver is to be seen"]);
}

#[test]
fn postflight_wants_nine_of_ten_unfinished_pods() {
    for (ready, unready, finished, passes) in
        [(9, 1, 50, true), (89, 11, 0, false), (90, 10, 0, true), (0, 0, 5, false), (0, 0, 0, false), (1, 0, 0, true)]
    {
        let verdict = pods_ready(&pods(ready, unready, finished), &policy());
        assert_eq!(verdict == Verdict::Pass, passes, "{ready} {unready} {finished}: {verdict:?}");
    }
    let told = reasons(pods_ready(&pods(1, 7, 0), &policy()));
    let wanted = "1 of 8 pods are Ready (0.12, 0.90 wanted): not web/Pending-0, web/Pending-1, web/Pending-2, web/Pending-3, \
                  web/Pending-4 and 2 more";
    assert_eq!(told, [wanted]);
    let five = reasons(pods_ready(&pods(1, 5, 0), &policy()));
    assert!(five[0].ends_with("web/Pending-4"), "all that are not Ready are named, and no more: {five:?}");
}

#[test]
fn every_row_is_whole() {
    for gate in Gate::ALL {
        let row = gate.row();
        let order: Vec<usize> =
            row.asked.iter().filter_map(|asked| Occasion::ALL.iter().position(|occasion| occasion == asked)).collect();
        assert!(!order.is_empty() && order.is_sorted_by(|a, b| a < b), "{gate:?} is asked at {:?}", row.asked);
        assert!(row.question.ends_with('?'), "{gate:?}: {}", row.question);
        for text in [row.id, row.question, row.explanation, row.command, row.purpose] {
            assert!(!text.is_empty() && text.trim() == text && !text.ends_with('.'), "{gate:?}: {text:?}");
            assert!(!text.contains(['|', '`', '\n']) || text == row.command, "{gate:?}: documents have {text:?} in a table");
        }
        for text in [row.question, row.explanation, row.purpose] {
            assert!(text.starts_with(char::is_lowercase), "{gate:?}: {text:?} stands behind a colon");
        }
        assert!(!row.command.contains('#') && row.advice() == &*format!("{}    # {}", row.command, row.purpose));
    }
}

#[test]
fn ids_are_unique_and_found_again() {
    let ids: BTreeSet<&str> = Gate::ALL.iter().map(|gate| gate.row().id).collect();
    assert_eq!(ids.len(), Gate::ALL.len());
    assert!(Gate::ALL.iter().all(|gate| Gate::by_id(gate.row().id) == Some(*gate)));
    assert_eq!(Gate::by_id("another build's"), None);
}

#[test]
fn each_occasion_has_gates() {
    for occasion in Occasion::ALL {
        assert!(Gate::of(occasion).count() >= 3, "{occasion:?}");
    }
}

#[test]
fn of_a_large_cluster_quiet_is_asked_of_whoever_has_its_turn() {
    let mut facts = cluster(1, 30);
    node(&mut facts, "k8s-node7").ready_since = Some(at(NOW) - SignedDuration::from_mins(5));
    assert_eq!(quiet(&facts, &policy(), at(NOW)), Verdict::Pass);
    assert_eq!(quiet_before(&facts, "k8s-node8", &policy(), at(NOW)), Verdict::Pass);
    assert_eq!(reasons(quiet_before(&facts, "k8s-node7", &policy(), at(NOW))).len(), 1);
    let whole = Policy { quiet_scope: QuietScope::Cluster, ..policy() };
    assert_eq!(reasons(quiet(&facts, &whole, at(NOW))).len(), 1);
    assert_eq!(quiet_before(&facts, "k8s-node7", &whole, at(NOW)), Verdict::Pass, "it was asked before the run");
    for asked in ["k8s-node1", "k8s-master"] {
        let mut facts = cluster(1, 30);
        node(&mut facts, asked).ready_since = Some(at(NOW) - SignedDuration::from_mins(5));
        assert_eq!(reasons(quiet(&facts, &policy(), at(NOW))).len(), 1, "{asked}");
    }
}

#[test]
fn who_joins_late_is_left_out_where_that_is_wanted() {
    let mut facts = in_flight(cluster(1, 3));
    facts.marks.started = Some(at(NOW));
    let joins = |facts: &mut Facts, name: &str, minutes: i64| {
        node(facts, name).joined = Some(at(NOW) + SignedDuration::from_mins(minutes));
    };
    joins(&mut facts, "k8s-node1", -5);
    joins(&mut facts, "k8s-node2", 5);
    joins(&mut facts, "k8s-node3", 5);
    node(&mut facts, "k8s-node3").cordoned_by = Some(RUN.into());
    facts.leave_late();
    let left: Vec<&str> = facts.nodes.iter().filter(|node| node.excluded).map(|node| node.name.as_str()).collect();
    assert_eq!(left, ["k8s-node2"], "one that was begun is finished");
}

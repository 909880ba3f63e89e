//! Who is upgraded when, and from where: natural order, the runner, the order of nodes, and the pin of each Job.

use std::cmp::{Ordering, Reverse};

use super::facts::{Facts, Node};
use super::policy::Policy;
use super::version::Version;
use crate::failure::Cause;
use crate::words::command;

/// Compares names as people count: `node2` before `node10`. Total: names that only differ in leading zeros are told apart as text.
pub fn natural(a: &str, b: &str) -> Ordering {
    pieces(a).cmp(pieces(b)).then_with(|| a.cmp(b))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    /// Digits without leading zeros compare by length, then as text: numbers of any size.
    Number(usize, &'a str),
    Text(&'a str),
}

fn pieces(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let digit = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        let number = piece.trim_start_matches('0');
        Some(if digit { Piece::Number(number.len(), number) } else { Piece::Text(piece) })
    })
}

fn in_natural_order<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<&'a Node> {
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by(|a, b| natural(&a.name, &b.name));
    nodes
}

/// The control plane whose Job has no node in its name, and which `kubeadm upgrade apply` runs on.
pub fn first_control_plane(facts: &Facts) -> Option<&Node> {
    in_natural_order(facts.managed().filter(|node| node.control_plane)).first().copied()
}

/// The node that is meant to host the Jobs, usable or not: the one in the settings, else the first worker, else the first control plane.
pub fn runner<'a>(facts: &'a Facts, policy: &Policy) -> Option<&'a Node> {
    let set = policy.runner.as_deref().and_then(|name| facts.managed().find(|node| node.name == name));
    set.or_else(|| in_natural_order(facts.managed().filter(|node| !node.control_plane)).first().copied())
        .or_else(|| first_control_plane(facts))
}

/// The settings name a runner that can be one.
pub fn check_setting(facts: &Facts, policy: &Policy) -> Result<(), Cause> {
    match policy.runner.as_deref() {
        Some(name) if !facts.managed().any(|node| node.name == name) => {
            let why = if facts.node(name).is_some() { "is excluded by the settings" } else { "is no node of this cluster" };
            let names: Vec<_> = in_natural_order(facts.managed()).iter().map(|node| node.name.clone()).collect();
            Err(Cause::usage(format!("the runner in the settings, {name}, {why}"))
                .detail([format!("nodes: {}", names.join(", "))]))
        }
        _ => Ok(()),
    }
}

/// The nodes to upgrade, in order: control planes first; workers from the last to the first, the runner last; in each class a node that
/// still carries our cordon before all others, since it is out of service already.
pub fn order<'a>(facts: &'a Facts, policy: &Policy) -> Vec<&'a Node> {
    let runner = runner(facts, policy).map(|node| node.name.as_str());
    let (mut masters, mut workers): (Vec<_>, Vec<_>) =
        in_natural_order(facts.managed()).into_iter().partition(|node| node.control_plane);
    masters.sort_by_key(|node| node.cordoned_by.is_none());
    workers.reverse();
    workers.sort_by_key(|node| (node.cordoned_by.is_none(), Some(node.name.as_str()) == runner));
    masters.into_iter().chain(workers).collect()
}

/// Rule 1: a Job never runs on the node that it drains.
pub fn must_differ(pin: &str, drained: &str) -> Result<(), Cause> {
    if pin == drained {
        return Err(Cause::refused(format!("a Job may not run on {pin}, the node that it drains: it would evict itself")));
    }
    Ok(())
}

/// Where the Job runs that drains `drained` (nothing, for preflight): the runner, or for the runner itself the first control plane. If
/// that one is not Ready or is cordoned, the next suitable node: those at `target` first, for they need not be drained any more.
///
/// Refuses where there is no second node at all; holds while the others cannot take a pod.
pub fn pin<'a>(facts: &'a Facts, policy: &Policy, target: Version, drained: Option<&str>) -> Result<&'a Node, Cause> {
    let runner = runner(facts, policy).map(|node| node.name.as_str());
    let drains_runner = drained.is_some() && drained == runner;
    let mut others = in_natural_order(facts.managed());
    if others.len() < 2 {
        let what = match others.first() {
            Some(only) => format!("{} is the only node: a Job there would drain its own node", only.name),
            None => "the cluster has no node that may be upgraded".to_owned(),
        };
        return Err(
            Cause::refused(what).next(command!("k8s-upgrade start --target {} --local   # from outside the cluster", target))
        );
    }
    others.retain(|node| Some(node.name.as_str()) != drained);
    // Stable: natural order decides what this leaves open.
    others.sort_by_key(|node| {
        let upgraded = node.is_done(target);
        Reverse(match drains_runner {
            true => (node.control_plane, upgraded, false),
            false => (Some(node.name.as_str()) == runner, upgraded, !node.control_plane),
        })
    });
    match others.iter().find(|node| node.ready && !node.unschedulable) {
        Some(node) => Ok(node),
        None => {
            let state = |node: &&Node| format!("{}: {}", node.name, if node.ready { "cordoned" } else { "not Ready" });
            let for_whom = drained.map_or("the preflight Job".to_owned(), |node| format!("the Job that drains {node}"));
            Err(Cause::hold(format!("no node can run {for_whom}")).detail(others.iter().map(state)).next("kubectl get nodes"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::fixture::*;
    use super::*;
    use crate::failure::Class;

    /// `k8s-node4@k8s-node1 …`: each node in order, with its pin; every node is upgraded before the next is asked for.
    fn walked(mut facts: Facts, policy: &Policy) -> String {
        let names: Vec<_> = order(&facts, policy).iter().map(|n| n.name.clone()).collect();
        let mut told = Vec::new();
        for name in names {
            let pin = pin(&facts, policy, NEW, Some(&name)).unwrap().name.clone();
            must_differ(&pin, &name).unwrap();
            upgrade(&mut facts, &name, NEW);
            told.push(format!("{name}@{pin}").replace("k8s-", ""));
        }
        told.join(" ")
    }

    #[test]
    fn names_are_counted_not_spelled() {
        let mut names =
            ["node10", "node2", "a", "node", "node1", "node02", "rack2-node1", "rack10-node1", "node99999999999999999999", "2"];
        names.sort_by(|a, b| natural(a, b));
        let wanted =
            ["2", "a", "node", "node1", "node02", "node2", "node10", "node99999999999999999999", "rack2-node1", "rack10-node1"];
        assert_eq!(names, wanted);
    }

    #[test]
    fn the_runbooks_table() {
        let wanted = "master@node1 node4@node1 node3@node1 node2@node1 node1@master";
        assert_eq!(walked(runbook(), &policy()), wanted);
        assert_eq!(pin(&runbook(), &policy(), NEW, None).unwrap().name, "k8s-node1", "preflight");
    }

    #[test]
    fn clusters_of_one_to_six_nodes() {
        for (masters, workers, wanted) in [
            (1, 1, "master@node1 node1@master"),
            (1, 2, "master@node1 node2@node1 node1@master"),
            (1, 5, "master@node1 node5@node1 node4@node1 node3@node1 node2@node1 node1@master"),
            (3, 0, "master1@master2 master2@master1 master3@master1"),
            (3, 1, "master1@node1 master2@node1 master3@node1 node1@master1"),
            (3, 3, "master1@node1 master2@node1 master3@node1 node3@node1 node2@node1 node1@master1"),
        ] {
            assert_eq!(walked(cluster(masters, workers), &policy()), wanted, "{masters} + {workers}");
        }
    }

    #[test]
    fn a_single_node_has_no_pin() {
        for drained in [None, Some("k8s-master")] {
            let cause = pin(&cluster(1, 0), &policy(), NEW, drained).unwrap_err();
            assert_eq!(cause.class, Class::Refused);
            assert!(cause.next[0].contains("--local"), "{:?}", cause.next);
        }
        let mut facts = cluster(1, 1);
        node(&mut facts, "k8s-node1").excluded = true;
        assert_eq!(pin(&facts, &policy(), NEW, None).unwrap_err().class, Class::Refused);
    }

    #[test]
    fn a_runner_that_cannot_run_is_replaced_upgraded_nodes_first() {
        let mut facts = runbook();
        node(&mut facts, "k8s-node1").ready = false;
        assert_eq!(pin(&facts, &policy(), NEW, Some("k8s-master")).unwrap().name, "k8s-node2");
        upgrade(&mut facts, "k8s-node4", NEW);
        assert_eq!(pin(&facts, &policy(), NEW, Some("k8s-node3")).unwrap().name, "k8s-node4");
        node(&mut facts, "k8s-node4").unschedulable = true;
        upgrade(&mut facts, "k8s-master", NEW);
        assert_eq!(pin(&facts, &policy(), NEW, Some("k8s-node3")).unwrap().name, "k8s-master");
        // the runner's own turn, and the control plane is away
        node(&mut facts, "k8s-master").ready = false;
        assert_eq!(pin(&facts, &policy(), NEW, Some("k8s-node1")).unwrap().name, "k8s-node2");
        for name in ["k8s-node2", "k8s-node3"] {
            node(&mut facts, name).ready = false;
        }
        let cause = pin(&facts, &policy(), NEW, Some("k8s-node1")).unwrap_err();
        assert_eq!(cause.class, Class::Hold);
        let wanted = ["k8s-master: not Ready", "k8s-node4: cordoned", "k8s-node2: not Ready", "k8s-node3: not Ready"];
        assert_eq!(cause.detail, wanted);
    }

    #[test]
    fn no_pin_is_ever_the_drained_node_whatever_the_state() {
        for masters in [1, 3] {
            for workers in 0..=3 {
                let names: Vec<_> = cluster(masters, workers).nodes.iter().map(|n| n.name.clone()).collect();
                for broken in 0..1 << names.len() {
                    let mut facts = cluster(masters, workers);
                    for (i, name) in names.iter().enumerate() {
                        node(&mut facts, name).ready = broken >> i & 1 == 0;
                    }
                    for drained in &names {
                        match pin(&facts, &policy(), NEW, Some(drained)) {
                            Ok(pin) => assert!(pin.name != *drained && pin.ready),
                            Err(cause) => assert!(matches!(cause.class, Class::Hold | Class::Refused)),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn marked_nodes_go_first_in_their_class_and_excluded_ones_never() {
        let mut facts = cluster(3, 4);
        node(&mut facts, "k8s-master3").cordoned_by = Some("5f3a21bc".into());
        node(&mut facts, "k8s-node2").cordoned_by = Some("5f3a21bc".into());
        node(&mut facts, "k8s-node4").excluded = true;
        let names: Vec<_> = order(&facts, &policy()).iter().map(|n| n.name.replace("k8s-", "")).collect();
        assert_eq!(names.join(" "), "master3 master1 master2 node2 node3 node1");
        node(&mut facts, "k8s-node1").excluded = true;
        assert_eq!(pin(&facts, &policy(), NEW, None).unwrap().name, "k8s-node2");
    }

    #[test]
    fn the_settings_choose_the_runner() {
        let set = |name: &str| Policy { runner: Some(name.to_owned()), ..policy() };
        assert_eq!(walked(runbook(), &set("k8s-node3")), "master@node3 node4@node3 node2@node3 node1@node3 node3@master");
        assert_eq!(walked(runbook(), &set("k8s-master")), "master@node1 node4@master node3@master node2@master node1@master");
        assert!(check_setting(&runbook(), &set("k8s-node3")).is_ok());
        let cause = check_setting(&runbook(), &set("k8s-node9")).unwrap_err();
        assert_eq!(cause.class, Class::Usage);
        assert!(cause.detail[0].contains("k8s-master, k8s-node1"), "{:?}", cause.detail);
    }

    #[test]
    fn a_job_never_runs_on_the_node_it_drains() {
        assert!(must_differ("k8s-node1", "k8s-node4").is_ok());
        assert_eq!(must_differ("k8s-node4", "k8s-node4").unwrap_err().class, Class::Refused);
    }
}

//! Who is upgraded when, and from where: natural order, the runner, the order of nodes, and the pin of each Job.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use crate::failure::Cause;
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::policy::{Policy, Runner};
use crate::plan::model::version::{UpgradeKind, Version};
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
    control_planes(facts).first().copied()
}

/// All that the settings leave to this program.
pub fn control_planes(facts: &Facts) -> Vec<&Node> {
    in_natural_order(facts.managed().filter(|node| node.control_plane))
}

/// The node that is meant to host the Jobs, usable or not: as the settings say, else the first worker, else the first control plane. No
/// other worker takes the place of one that the settings name and that is gone.
pub fn runner<'a>(facts: &'a Facts, policy: &Policy) -> Option<&'a Node> {
    let wanted = match &policy.runner {
        Runner::Node(name) => facts.managed().find(|node| node.name == *name),
        Runner::FirstWorker => facts.managed().filter(|node| !node.control_plane).min_by(|a, b| natural(&a.name, &b.name)),
        Runner::ControlPlane => None,
    };
    wanted.or_else(|| first_control_plane(facts))
}

/// The nodes that may host a Job, and with it have the key: the control planes, the runner, and who stands in for it.
pub(super) fn trusted<'a>(facts: &'a Facts, policy: &Policy) -> Vec<&'a Node> {
    let runner = runner(facts, policy).map(|node| node.name.as_str());
    let trusted = |node: &&Node| node.control_plane || Some(node.name.as_str()) == runner || policy.standby.contains(&node.name);
    in_natural_order(facts.managed().filter(trusted))
}

/// Jobs may run on this node.
pub fn may_host(facts: &Facts, policy: &Policy, name: &str) -> bool {
    trusted(facts, policy).iter().any(|node| node.name == name)
}

/// The settings name a runner that can be one, and leave a place for each Job.
///
/// # Errors
/// Usage: what is wrong with the settings, and what to set.
pub fn check_setting(facts: &Facts, policy: &Policy) -> Result<(), Cause> {
    let names = || in_natural_order(facts.managed()).iter().map(|node| node.name.clone()).collect::<Vec<_>>().join(", ");
    for (what, name) in policy
        .runner
        .name()
        .map(|name| ("runner", name))
        .into_iter()
        .chain(policy.standby.iter().map(|name| ("runner-standby", name.as_str())))
    {
        if !facts.managed().any(|node| node.name == name) {
            let why = if facts.node(name).is_some() { "is excluded by the settings" } else { "is no node of this cluster" };
            return Err(
                Cause::usage(format!("the {what} in the settings, {name}, {why}")).detail([format!("nodes: {}", names())])
            );
        }
    }
    match trusted(facts, policy).as_slice() {
        // With one node alone, the pin refuses.
        [only] if facts.managed().count() > 1 && policy.runner != Runner::FirstWorker => Err(nowhere(&only.name)),
        _ => Ok(()),
    }
}

/// Nobody but the drained node itself may host the Job.
fn nowhere(drained: &str) -> Cause {
    Cause::usage(format!("{drained} cannot be upgraded by a Job: it is the only node that the settings trust with the SSH key"))
        .detail(["runner: NODE (a worker), or runner-standby: [NODE], says which worker may have it, too".to_owned()])
        .next("k8s-upgrade --config FILE manifests --image REF | kubectl apply -f -    # with one of these")
}

/// Every API server is of the target's minor version already: its patches count as the same version, so that a kubelet may have one before them
/// (<https://kubernetes.io/releases/version-skew-policy/#kubelet>).
pub fn is_served(facts: &Facts, target: Version) -> bool {
    let patch = |version: Version| UpgradeKind::between(version, target) == UpgradeKind::Patch;
    let server = |node: &Node| node.component(COMPONENTS[0]).and_then(|server| server.version);
    facts.nodes.iter().filter(|node| node.control_plane).all(|node| server(node).is_some_and(patch))
}

/// The worker that need not wait for the control planes: a person wants it alone, no API server stands in its way, and no control plane is out
/// of service.
pub fn ahead(facts: &Facts, target: Version) -> Option<&str> {
    let untouched = || facts.managed().filter(|node| node.control_plane).all(untouched);
    facts.marks.only().filter(|_| is_served(facts, target) && untouched())
}

/// Neither does it carry our cordon, nor have its hooks begun.
fn untouched(node: &Node) -> bool {
    node.cordoned_by.is_none() && node.hooked.is_none()
}

/// The nodes to upgrade, in order: control planes first, but for the worker that goes [`ahead`]; workers from the last to the first, the runner
/// last, and after it those that a person has paused; in each class a node that still carries our cordon before all others, since it is out of
/// service already, or whose hooks have begun; then the one that a run is for. A control plane that is paused keeps its place: whatever follows
/// waits for it.
pub fn order<'a>(facts: &'a Facts, policy: &Policy) -> Vec<&'a Node> {
    let runner = runner(facts, policy).map(|node| node.name.as_str());
    let (mut masters, mut workers): (Vec<_>, Vec<_>) =
        in_natural_order(facts.managed()).into_iter().partition(|node| node.control_plane);
    masters.sort_by_key(|node| untouched(node));
    workers.reverse();
    // Without a claim its word is not on the run yet: nothing depends on it before.
    let only = facts.marks.only();
    workers.sort_by_key(|node| {
        let name = Some(node.name.as_str());
        let goes_back = facts.goes_back().is_some_and(|back| back.node == *node.name);
        let untouched = untouched(node) && !goes_back;
        let paused = untouched && node.paused.is_some();
        (untouched, only.is_some() && name != only, paused, name == runner, of_pool(node, policy))
    });
    let ahead = facts.marks.target.and_then(|target| ahead(facts, target));
    let (first, workers): (Vec<_>, Vec<_>) = workers.into_iter().partition(|node| Some(node.name.as_str()) == ahead);
    first.into_iter().chain(masters).chain(workers).collect()
}

/// The turn of its pool; what is in none comes after those of order 0.
fn of_pool(node: &Node, policy: &Policy) -> (i16, usize) {
    let pools = &policy.waves.pools;
    let at = node.pool.as_ref().and_then(|name| pools.iter().position(|(pool, _)| pool == name));
    at.and_then(|at| Some((pools.get(at)?.1.order, at))).unwrap_or((0, pools.len()))
}

/// Rule 1: a Job never runs on the node that it drains.
pub fn must_differ(pin: &str, drained: &str) -> Result<(), Cause> {
    if pin == drained {
        return Err(Cause::refused(format!("a Job may not run on {pin}, the node that it drains: it would evict itself")));
    }
    Ok(())
}

/// Where the Job runs that drains `drained` (nothing, for preflight): the runner, or for the runner itself the first control plane. If
/// that one is not Ready or is cordoned, another control plane, those at `target` first, for they need not be drained any more; then a
/// worker that the settings let stand in. Never another worker: whoever hosts a Job has the key.
///
/// Refuses where there is no second node at all, or none that is trusted; holds while the others cannot take a pod.
pub fn pin<'a>(facts: &'a Facts, policy: &Policy, target: Version, drained: Option<&str>) -> Result<&'a Node, Cause> {
    pin_beside(facts, policy, target, drained, &BTreeSet::new())
}

/// The same beside others that are in work or about to be: no Job runs on one of these.
pub fn pin_beside<'a>(
    facts: &'a Facts,
    policy: &Policy,
    target: Version,
    drained: Option<&str>,
    busy: &BTreeSet<&str>,
) -> Result<&'a Node, Cause> {
    let runner = runner(facts, policy).map(|node| node.name.as_str());
    let drains_runner = drained.is_some() && drained == runner;
    let all = in_natural_order(facts.managed());
    if all.len() < 2 {
        let what = match all.first() {
            Some(only) => format!("{} is the only node: a Job there would drain its own node", only.name),
            None => "the cluster has no node that may be upgraded".to_owned(),
        };
        return Err(
            Cause::refused(what).next(command!("k8s-upgrade start --target {} --local   # from outside the cluster", target))
        );
    }
    let mut others = trusted(facts, policy);
    others.retain(|node| Some(node.name.as_str()) != drained && !busy.contains(node.name.as_str()));
    // Stable: natural order decides what this leaves open.
    others.sort_by_key(|node| {
        let first = !drains_runner && Some(node.name.as_str()) == runner;
        Reverse((first, node.control_plane, node.is_done(target)))
    });
    match others.iter().find(|node| node.ready && !node.unschedulable) {
        Some(node) => Ok(node),
        None => {
            if let (true, Some(drained)) = (others.is_empty(), drained) {
                return Err(nowhere(drained));
            }
            let state = |node: &&Node| format!("{}: {}", node.name, if node.ready { "cordoned" } else { "not Ready" });
            let for_whom = drained.map_or("the preflight Job".to_owned(), |node| format!("the Job that drains {node}"));
            Err(Cause::hold(format!("no node that is trusted with the SSH key can run {for_whom}"))
                .detail(others.iter().map(state))
                .next("kubectl get nodes    # bring one of these back; or let another worker stand in, with runner-standby: [NODE]:")
                .next("k8s-upgrade --config FILE manifests --image REF | kubectl apply -f -"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::failure::Class;
    use crate::plan::model::fixture::*;

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
            assert!(cause.next[0].command.contains("--local"), "{:?}", cause.next);
        }
        let mut facts = cluster(1, 1);
        node(&mut facts, "k8s-node1").excluded = true;
        assert_eq!(pin(&facts, &policy(), NEW, None).unwrap_err().class, Class::Refused);
    }

    #[test]
    fn a_runner_that_cannot_run_is_followed_by_a_control_plane_and_by_no_worker_that_nobody_named() {
        let mut facts = cluster(2, 4);
        let pinned = |facts: &Facts, drained: &str| pin(facts, &policy(), NEW, Some(drained)).map(|node| node.name.clone());
        node(&mut facts, "k8s-node1").ready = false;
        assert_eq!(pinned(&facts, "k8s-master1").unwrap(), "k8s-master2");
        upgrade(&mut facts, "k8s-node4", NEW);
        upgrade(&mut facts, "k8s-master2", NEW);
        assert_eq!(pinned(&facts, "k8s-node3").unwrap(), "k8s-master2", "an upgraded one first");
        node(&mut facts, "k8s-master2").unschedulable = true;
        assert_eq!(pinned(&facts, "k8s-node3").unwrap(), "k8s-master1");
        // The runner's own turn, and one control plane is away.
        node(&mut facts, "k8s-node1").ready = true;
        assert_eq!(pinned(&facts, "k8s-node1").unwrap(), "k8s-master1");
        node(&mut facts, "k8s-master1").ready = false;
        let cause = pinned(&facts, "k8s-node1").unwrap_err();
        assert_eq!(
            (cause.class, cause.detail),
            (Class::Hold, vec!["k8s-master2: cordoned".into(), "k8s-master1: not Ready".into()])
        );
        assert!(cause.next.iter().any(|next| next.command.contains("runner-standby")), "{:?}", cause.next);
    }

    #[test]
    fn workers_that_the_settings_name_stand_in_for_a_lost_runner() {
        let standby = Policy { standby: vec!["k8s-node3".to_owned()], ..policy() };
        let mut facts = runbook();
        assert_eq!(walked(facts.clone(), &standby), walked(facts.clone(), &policy()), "as long as it is there, nothing changes");
        node(&mut facts, "k8s-node1").unschedulable = true;
        assert_eq!(pin(&facts, &policy(), NEW, Some("k8s-master")).unwrap_err().class, Class::Hold);
        assert_eq!(pin(&facts, &standby, NEW, Some("k8s-master")).unwrap().name, "k8s-node3");
        assert_eq!(pin(&facts, &standby, NEW, Some("k8s-node3")).unwrap().name, "k8s-master");
        let unknown = Policy { standby: vec!["k8s-node9".to_owned()], ..policy() };
        assert_eq!(check_setting(&facts, &unknown).unwrap_err().class, Class::Usage);
    }

    #[test]
    fn with_control_planes_as_runners_no_worker_hosts_a_job() {
        let planes = Policy { runner: Runner::ControlPlane, ..policy() };
        let wanted = "master1@master2 master2@master1 master3@master1 node2@master1 node1@master1";
        assert_eq!(walked(cluster(3, 2), &planes), wanted);
        assert_eq!(check_setting(&cluster(3, 2), &planes), Ok(()));
        for (facts, runner) in [(runbook(), Runner::ControlPlane), (runbook(), Runner::Node("k8s-master".to_owned()))] {
            let only = Policy { runner, ..policy() };
            let cause = check_setting(&facts, &only).unwrap_err();
            assert_eq!(cause.class, Class::Usage);
            assert!(cause.what.contains("k8s-master") && cause.detail[0].contains("runner-standby"), "{cause:?}");
            assert_eq!(pin(&facts, &only, NEW, Some("k8s-master")).unwrap_err().class, Class::Usage);
        }
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
                            Ok(pin) => {
                                assert!(pin.name != *drained && pin.ready);
                                assert!(pin.control_plane || pin.name == "k8s-node1", "{} was never trusted", pin.name);
                            }
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
    fn the_worker_that_a_run_is_for_goes_ahead_of_the_control_planes_for_a_patch_alone() {
        let first = |facts: &Facts| order(facts, &policy())[0].name.clone();
        let mut facts = in_flight(cluster(3, 3));
        facts.marks.only = Some(format!("{RUN} k8s-node2").parse().unwrap());
        assert_eq!((first(&facts).as_str(), ahead(&facts, NEW)), ("k8s-node2", Some("k8s-node2")));
        let planes_first = |change: &dyn Fn(&mut Facts)| {
            let mut facts = facts.clone();
            change(&mut facts);
            first(&facts) == "k8s-master1" && ahead(&facts, facts.marks.target.unwrap()).is_none()
        };
        let minor = Version::new(1, 35, 0);
        assert!(planes_first(&|facts| facts.marks.target = Some(minor)));
        let server = |facts: &mut Facts, version| node(facts, "k8s-master2").components[0].version = version;
        assert!(planes_first(&|facts| server(facts, None)), "which version it is, nobody knows");
        assert!(planes_first(&|facts| node(facts, "k8s-master1").cordoned_by = Some(RUN.into())), "it is out of service");
        assert!(planes_first(&|facts| facts.marks.only = None));
        assert!(planes_first(&|facts| facts.marks.only = Some("5f3a21bd k8s-node2".parse().unwrap())), "another run's");
        // In a run to a minor version, between the two.
        assert!(planes_first(&|facts| {
            facts.marks.target = Some(minor);
            upgrade(facts, "k8s-master3", minor);
        }));
    }

    #[test]
    fn the_settings_choose_the_runner() {
        let set = |name: &str| Policy { runner: Runner::read(name), ..policy() };
        assert_eq!(walked(runbook(), &set("k8s-node3")), "master@node3 node4@node3 node2@node3 node1@node3 node3@master");
        let one_of_two = "master1@master2 master2@master1 node2@master1 node1@master1";
        assert_eq!(walked(cluster(2, 2), &set("k8s-master1")), one_of_two);
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

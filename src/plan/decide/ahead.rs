//! A run before it is there: the Jobs that it will create, in their order and on their nodes. Each is what [`next`] answers once
//! all before it are done, and so is what the run does; whatever happens on the way changes the facts, and with them the answer.

use jiff::Timestamp;

use super::next::{self, Next, Wave};
use crate::failure::Cause;
use crate::plan::model::facts::{Facts, Node, Phase, Step};
use crate::plan::model::policy::Policy;
use crate::plan::model::version::Version;
use crate::words::RunId;

/// All that is left of a run to `target`, be it in flight or not begun.
///
/// # Errors
/// What keeps a Job from being created: no node is left for it, for instance.
pub fn turns(facts: &Facts, policy: &Policy, target: Version, run: &RunId) -> Result<Vec<Wave>, Cause> {
    // Whoever works now is at the step that comes first; what has ended makes room.
    let mut facts = Facts { jobs: Vec::new(), ..facts.clone() };
    let mut turns: Vec<Wave> = Vec::new();
    // A control plane has two turns at most.
    for _ in 0..2 * (facts.nodes.len() + 1) {
        let next = match facts.marks.in_flight {
            false if turns.is_empty() => next::first(&facts, policy, target)?,
            _ => next::next(&facts, policy, None, Timestamp::MAX)?,
        };
        let Next::Create(wave) = next else { return Ok(turns) };
        wave.all().for_each(|planned| done(&mut facts, &planned.step, target, run));
        let last = wave.first.step.phase == Phase::Postflight;
        turns.push(wave);
        if last {
            return Ok(turns);
        }
    }
    Err(Cause::bug("a run that comes to no end"))
}

/// What the facts say once this step is done.
fn done(facts: &mut Facts, step: &Step, target: Version, run: &RunId) {
    let marks = &mut facts.marks;
    marks.in_flight = step.phase != Phase::Postflight;
    marks.target = Some(target);
    marks.run_id.get_or_insert_with(|| run.clone());
    marks.prepared = true;
    let started = *marks.started.get_or_insert(Timestamp::UNIX_EPOCH);
    let Some(name) = &step.node else { return };
    if let Some(node) = node(facts, name) {
        node.components.iter_mut().for_each(|component| component.version = component.version.max(Some(target)));
        (node.cordoned_by, node.hooked, node.former_versions) = (None, None, None);
        // Soaked long ago, as whoever asks at the end of time sees it.
        (node.unschedulable, node.changed_at) = (false, Some(started));
    }
    let waits = facts.node(name).is_some_and(|node| facts.kubelet_waits(node, target));
    if let Some(node) = node(facts, name).filter(|_| !waits) {
        node.kubelet = node.kubelet.max(Some(target));
    }
}

fn node<'a>(facts: &'a mut Facts, name: &str) -> Option<&'a mut Node> {
    facts.nodes.iter_mut().find(|node| node.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::model::fixture::*;

    fn told(facts: &Facts, target: Version) -> Vec<String> {
        let turns = turns(facts, &policy(), target, &RUN.parse().unwrap()).unwrap();
        turns
            .iter()
            .flat_map(Wave::all)
            .cloned()
            .map(|planned| format!("{}@{}", planned.step.token(), planned.pin.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn each_step_of_a_run_comes_once_and_kubelets_that_wait_come_again() {
        assert_eq!(
            told(&runbook(), NEW),
            [
                "preflight@k8s-node1",
                "master/k8s-master@k8s-node1",
                "worker/k8s-node4@k8s-node1",
                "worker/k8s-node3@k8s-node1",
                "worker/k8s-node2@k8s-node1",
                "worker/k8s-node1@k8s-master",
                "postflight@"
            ]
        );
        let minor = Version::new(1, 35, 1);
        let masters = told(&cluster(3, 1), minor).into_iter().filter(|turn| turn.starts_with("master/"));
        let masters: Vec<String> = masters.map(|turn| turn.split_once('@').unwrap().0.to_owned()).collect();
        let of = |number| format!("master/k8s-master{number}");
        assert_eq!(masters, [of(1), of(2), of(3), of(1), of(2)]);
    }

    #[test]
    fn of_a_run_in_flight_what_is_left_comes() {
        let mut facts = in_flight(runbook());
        for name in ["k8s-master", "k8s-node4"] {
            upgrade(&mut facts, name, NEW);
        }
        facts.marks.skipped = vec!["worker/k8s-node2".into()];
        let left = ["worker/k8s-node3@k8s-node1", "worker/k8s-node1@k8s-master", "postflight@"];
        assert_eq!(told(&facts, NEW), left);
    }

    #[test]
    fn a_cluster_without_a_second_node_has_no_plan() {
        assert!(turns(&cluster(1, 0), &policy(), NEW, &RUN.parse().unwrap()).is_err());
    }
}

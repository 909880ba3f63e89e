//! A Job of the chain before it is there: what it is to do, where, and what it is called.

use super::order;
use crate::names;
use crate::plan::model::facts::{Facts, Phase, Step, TakenUp};
use crate::plan::model::named::label;
use crate::plan::model::version::Version;

/// One Job to create: what it does, where, and which finished Job of the same name is in its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub step: Step,
    pub job: String,
    /// Name of the node that it runs on; None: a control plane or the runner, whichever has room (postflight).
    pub pin: Option<String>,
    /// UID of a finished Job of this name: delete it (with this UID as precondition), wait until it is gone, then create.
    pub replaces: Option<String>,
    /// Only of a Job that the watch creates for a step that stopped.
    pub taken_up: Option<TakenUp>,
}

impl Planned {
    /// Where it runs, in words.
    pub fn place(&self) -> &str {
        self.pin.as_deref().unwrap_or("a control plane or the runner")
    }
}

/// `k8s-upgrade-worker-1-34-7-k8s-node4`; the first control plane's has no node.
pub fn name(facts: &Facts, step: &Step, target: Version) -> String {
    let prefix = format!("{}-{}-{}", names::JOB_PREFIX, step.phase.word(), target.dashed());
    // Of a worker it is not asked: that would be all nodes again for each of them.
    let is_first = |node: &str| order::first_control_plane(facts).is_some_and(|first| first.name == node);
    match step.node.as_deref() {
        Some(node) if step.phase == Phase::Worker || !is_first(node) => label(&prefix, node),
        _ => prefix,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::model::fixture::*;

    #[test]
    fn awkward_node_names_give_labels_that_never_collide() {
        let long = "n".repeat(200);
        let dotted = "node1.example.com";
        let shortened = label("", dotted);
        let imitator = shortened.trim_start_matches('-').to_owned(); // a node named as another's short form ends
        let names = [
            "k8s-node4",
            "node1",
            dotted,
            "node1-example-com",
            "node1.example-com",
            &imitator,
            "ip-10-0-0-1.eu-west-1.compute.internal",
            &long,
            &format!("{long}.a"),
            &format!("{long}.b"),
            "a",
            "10.0.0.1",
        ];
        let step = |node: &&str| Step { phase: Phase::Worker, node: Some((*node).to_owned()) };
        let facts = in_flight(runbook());
        let jobs: Vec<_> = names.iter().map(|node| name(&facts, &step(node), Version::new(1, 134, 17))).collect();
        for (node, job) in names.iter().zip(&jobs) {
            let label = job.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(label && job.len() <= 63 && !job.ends_with('-'), "{node}: {job}");
            assert!(job.starts_with("k8s-upgrade-worker-1-134-17-"), "{node}: {job}");
        }
        let distinct: std::collections::BTreeSet<_> = jobs.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{jobs:?}");
        assert_eq!(jobs[0], "k8s-upgrade-worker-1-134-17-k8s-node4");
    }

    #[test]
    fn only_the_first_control_planes_job_has_no_node() {
        let facts = cluster(3, 1);
        let of = |node: &str| name(&facts, &Step::of(facts.node(node).unwrap()), NEW);
        assert_eq!(of("k8s-master1"), "k8s-upgrade-master-1-34-7");
        assert_eq!(of("k8s-master2"), "k8s-upgrade-master-1-34-7-k8s-master2");
        assert_eq!(name(&facts, &Step::preflight(), NEW), "k8s-upgrade-preflight-1-34-7");
    }
}

//! What our unit on a node does, as the node itself says: it lives on where the pod that began it, or the kubelet that keeps its log, does
//! not.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;

use crate::failure::Cause;
use crate::node::{self, Follow, Inspect, NodeState, WorkState};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::rescue::hosts::{End, Unit, Work};
use crate::run::ssh::Ssh;
use crate::run::ssh::hosts::Place;

/// A person waits for the screen; a node that does not answer by then is told as such.
const GLANCE: Duration = Duration::from_secs(8);
/// So many of the last lines of its work.
const LINES: usize = 20;

impl Ssh {
    /// Those of the nodes that we have taken out of service.
    pub async fn units(&self, facts: &Facts) -> Vec<(String, Answer<Unit>)> {
        let out = facts.nodes.iter().filter(|node| node.cordoned_by.is_some());
        join_all(out.map(|node| async move { (node.name.clone(), self.glance(node).await) })).await
    }

    async fn glance(&self, node: &Node) -> Answer<Unit> {
        let look = async {
            let state = self.exec(Place::glance(node), &Inspect::default(), &mut |_| {}).await?;
            self.unit(Place::glance(node), &state).await
        };
        match tokio::time::timeout(GLANCE, look).await {
            Ok(Ok(unit)) => Answer::Known(unit),
            Ok(Err(cause)) => Answer::Unknown(cause.what),
            Err(_) => Answer::Unknown(format!("the node did not say it within {}s", GLANCE.as_secs())),
        }
    }

    /// The last work of ours on a node in that state, with the end of what it printed.
    pub async fn unit(&self, place: Place<'_>, state: &NodeState) -> Result<Unit, Cause> {
        let end = match &state.work.state {
            WorkState::None => return Ok(Unit::default()),
            WorkState::Running => End::Running,
            WorkState::Done => End::Done,
            WorkState::Failed(status) => End::Bad(format!("failed (exit {status})")),
            WorkState::Killed(how) => End::Bad(format!("was killed ({how})")),
            WorkState::Interrupted(how) => End::Bad(format!("was cut ({how})")),
            WorkState::Garbled => End::Bad("left a record that cannot be read".to_owned()),
        };
        let mut log = VecDeque::new();
        let mut keep = |line: &str| {
            if let Some(line) = node::progress(line) {
                log.push_back(line.to_owned());
                if log.len() > LINES {
                    log.pop_front();
                }
            }
        };
        self.exec(place, &Follow { from: 0, wait: Duration::ZERO }, &mut keep).await?;
        let node::Work { step, target, run, .. } = state.work.clone();
        let (target, run) = (target.map_or_else(none, String::from), run.map_or_else(none, String::from));
        Ok(Unit { work: Some(Work { step: step.to_owned(), target, run, end }), log: log.into() })
    }
}

/// Of work of which no more is known than that it is there.
fn none() -> String {
    "-".to_owned()
}

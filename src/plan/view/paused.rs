//! What a person has paused, as `status` and `plan` say it.

use serde::Serialize;

use crate::plan::decide::gates::first_few;
use crate::plan::decide::order;
use crate::plan::model::facts::Facts;
use crate::plan::model::paused::{Pause, Paused};
use crate::words::{command, texts};

/// So many nodes are named.
const NAMED: usize = 5;

/// All that is paused, whether a run is on or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pauses {
    /// Nodes that bear the label themselves.
    pub nodes: Vec<String>,
    /// Pools, with whoever joins them.
    pub pools: Vec<Pool>,
}

/// A pool that is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// So many workers are in it now; 0 also where the settings that are read here do not have it.
    pub workers: usize,
}

texts!(Pauses { nodes, pools });
texts!(Pool { name, workers });

impl Pauses {
    /// As it is.
    pub fn of(facts: &Facts) -> Self {
        let mut nodes: Vec<String> =
            facts.nodes.iter().filter(|node| node.paused == Some(Pause::Label)).map(|node| node.name.clone()).collect();
        nodes.sort_by(|a, b| order::natural(a, b));
        let workers = |name: &str| facts.nodes.iter().filter(|node| node.pool.as_deref() == Some(name)).count();
        let pools = facts.marks.paused_pools.names().map(|name| Pool { name: name.to_owned(), workers: workers(name) });
        Pauses { nodes, pools: pools.collect() }
    }

    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.pools.is_empty()
    }

    /// A line each, and what releases it.
    pub fn lines(&self) -> Vec<String> {
        let nodes = match self.nodes.as_slice() {
            [] => None,
            [node] => Some(format!("{node}: {}", command!("k8s-upgrade unpause {}", Paused::Node(node)))),
            nodes => Some(format!("{}: k8s-upgrade unpause NODE", first_few(nodes, NAMED))),
        };
        let pool = |Pool { name, workers }: &Pool| {
            let size = match workers {
                0 => String::new(),
                1 => " (1 worker)".to_owned(),
                more => format!(" ({more} workers)"),
            };
            format!("pool {name}{size}: {}", command!("k8s-upgrade unpause {}", Paused::Pool(name)))
        };
        nodes.into_iter().chain(self.pools.iter().map(pool)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::fixture::*;

    #[test]
    fn what_is_paused_is_named_with_what_releases_it() {
        let mut facts = cluster(1, 9);
        assert!(Pauses::of(&facts).is_empty() && Pauses::of(&facts).lines().is_empty());
        node(&mut facts, "k8s-node3").paused = Some(Pause::Label);
        assert_eq!(Pauses::of(&facts).lines(), ["k8s-node3: k8s-upgrade unpause node/k8s-node3"]);
        facts.marks.paused_pools = "batch,gpu".parse().unwrap_or_default();
        for i in 4..=9 {
            let node = node(&mut facts, &format!("k8s-node{i}"));
            (node.pool, node.paused) = (Some("gpu".to_owned()), Some(Pause::Label));
        }
        assert_eq!(
            Pauses::of(&facts).lines(),
            [
                "k8s-node3, k8s-node4, k8s-node5, k8s-node6, k8s-node7 and 2 more: k8s-upgrade unpause NODE",
                "pool batch: k8s-upgrade unpause pool/batch",
                "pool gpu (6 workers): k8s-upgrade unpause pool/gpu"
            ]
        );
    }
}

//! What a person has paused: nodes by a label, pools by a mark of our namespace, which holds for whatever joins them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::words::{NodeName, NodeOrPool, NotAToken, PoolName, command};

/// By what a node has no turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// By its own label.
    Label,
    /// With its pool, of this name.
    Pool(String),
}

impl Pause {
    /// As it is said of a node: `paused`, `paused with its pool gpu`.
    pub fn words(&self) -> String {
        match self {
            Pause::Label => "paused".to_owned(),
            Pause::Pool(pool) => format!("paused with its pool {pool}"),
        }
    }

    /// What lets this node have its turn again.
    pub fn release(&self, node: &str) -> String {
        match self {
            Pause::Label => command!("k8s-upgrade unpause {}    # lets it have its turn", Paused::Node(node)),
            Pause::Pool(pool) => command!("k8s-upgrade unpause {}    # lets its workers have their turns", Paused::Pool(pool)),
        }
    }
}

/// What may be paused, as people write it: `node/k8s-node4`, `pool/gpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused<'a> {
    Node(&'a str),
    Pool(&'a str),
}

impl fmt::Display for Paused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Paused::Node(name) => write!(f, "node/{name}"),
            Paused::Pool(name) => write!(f, "pool/{name}"),
        }
    }
}

/// Which of the `nodes` and `pools` that there are somebody means.
///
/// # Errors
/// What is wrong with it: there is no such thing, or there are two.
pub fn meant<'a>(typed: &'a NodeOrPool, nodes: &BTreeSet<&str>, pools: &BTreeSet<&str>) -> Result<Paused<'a>, String> {
    let is_node = |name: &NodeName| nodes.contains(name.as_str());
    match typed {
        NodeOrPool::Node(name) if !is_node(name) => Err(format!("{name} is no node of this cluster")),
        NodeOrPool::Node(name) => Ok(Paused::Node(name)),
        NodeOrPool::Pool(name) if !pools.contains(&**name) => Err(format!("{name} is no pool of the settings")),
        NodeOrPool::Pool(name) => Ok(Paused::Pool(name)),
        NodeOrPool::Either(name) => match (is_node(name), pools.contains(&**name)) {
            (true, true) => Err(format!("{name} is a node and a pool: say node/{name} or pool/{name}")),
            (true, false) => Ok(Paused::Node(name)),
            (false, true) => Ok(Paused::Pool(name)),
            (false, false) => Err(format!("{name} is neither a node of this cluster nor a pool of the settings")),
        },
    }
}

/// The pools that are paused, as the annotation carries them: `batch,gpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PausedPools(BTreeSet<PoolName>);

impl PausedPools {
    /// None of them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(PoolName::as_str)
    }

    /// This one is among them.
    pub fn has(&self, pool: &str) -> bool {
        self.0.contains(pool)
    }

    /// This one as well.
    #[must_use]
    pub fn with(mut self, pool: &PoolName) -> Self {
        self.0.insert(pool.clone());
        self
    }

    /// All but this one.
    #[must_use]
    pub fn without(mut self, pool: &PoolName) -> Self {
        self.0.remove(pool);
        self
    }

    /// By what a node of this pool is paused, if it is: its own label comes first.
    pub fn of(&self, own: Option<Pause>, pool: Option<&str>) -> Option<Pause> {
        own.or_else(|| pool.filter(|pool| self.has(pool)).map(|pool| Pause::Pool(pool.to_owned())))
    }
}

impl fmt::Display for PausedPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

impl FromStr for PausedPools {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(PausedPools)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(text: &str, pools: &[&str]) -> Result<String, String> {
        let of = text.parse::<NodeOrPool>().map_err(|error| error.to_string())?;
        meant(&of, &["k8s-node3", "k8s-node4"].into(), &pools.iter().copied().collect()).map(|meant| meant.to_string())
    }

    #[test]
    fn a_name_is_a_node_or_a_pool_and_what_could_be_both_is_asked_for() {
        let pools = ["gpu", "k8s-node3"];
        for (text, is) in [
            ("k8s-node4", "node/k8s-node4"),
            ("node/k8s-node4", "node/k8s-node4"),
            ("gpu", "pool/gpu"),
            ("pool/gpu", "pool/gpu"),
            ("node/k8s-node3", "node/k8s-node3"),
            ("pool/k8s-node3", "pool/k8s-node3"),
        ] {
            assert_eq!(asked(text, &pools).as_deref(), Ok(is));
        }
        for (text, why) in [
            ("k8s-node3", "k8s-node3 is a node and a pool: say node/k8s-node3 or pool/k8s-node3"),
            ("batch", "batch is neither a node of this cluster nor a pool of the settings"),
            ("node/gpu", "gpu is no node of this cluster"),
            ("pool/k8s-node4", "k8s-node4 is no pool of the settings"),
        ] {
            assert_eq!(asked(text, &pools), Err(why.to_owned()));
        }
    }

    #[test]
    fn pools_are_read_as_they_were_written() {
        let both = "gpu,batch".parse::<PausedPools>().unwrap();
        assert_eq!(both.to_string(), "batch,gpu");
        assert_eq!("batch, gpu".parse(), Ok(both.clone()), "as a hand may write it");
        assert_eq!(both.clone().with(&"gpu".parse().unwrap()), both);
        assert_eq!(both.without(&"gpu".parse().unwrap()).to_string(), "batch");
        for other in ["", "gpu,", "GPU", "gpu batch", "pool/gpu"] {
            assert!(other.parse::<PausedPools>().is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_label_comes_before_the_pool() {
        let pools: PausedPools = "gpu".parse().unwrap();
        assert_eq!(pools.of(None, None), None);
        assert_eq!(pools.of(None, Some("batch")), None);
        assert_eq!(pools.of(None, Some("gpu")).map(|pause| pause.words()).as_deref(), Some("paused with its pool gpu"));
        assert_eq!(pools.of(Some(Pause::Label), Some("gpu")), Some(Pause::Label));
    }
}

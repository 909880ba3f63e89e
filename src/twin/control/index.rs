//! Who belongs to whom: kept by events, so that no controller searches the whole store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::store::{Key, Kind};
use super::objects::{finished, node_of, owner};

#[derive(Clone, Default)]
pub struct Index {
    /// What a controller owns, by the owner's UID.
    children: BTreeMap<String, BTreeSet<Key>>,
    /// Pods by the node that they are bound to.
    by_node: BTreeMap<String, BTreeSet<Key>>,
    /// Pods that wait for a node.
    pub unbound: BTreeSet<Key>,
}

impl Index {
    pub fn update(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        let owner_of = |object: Option<&Value>| object.and_then(owner).map(|owner| owner.uid.to_owned());
        shift(&mut self.children, key, owner_of(before), owner_of(after));
        if key.kind == Kind::Pod {
            let bound_to = |pod: Option<&Value>| pod.and_then(node_of).map(str::to_owned);
            shift(&mut self.by_node, key, bound_to(before), bound_to(after));
            if after.is_some_and(|pod| node_of(pod).is_none() && !finished(pod)) {
                self.unbound.insert(key.clone());
            } else {
                self.unbound.remove(key);
            }
        }
    }

    pub fn has_children(&self, uid: &str) -> bool {
        self.children.contains_key(uid)
    }

    pub fn children(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.children.get(uid).into_iter().flatten()
    }

    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Key> {
        self.by_node.get(node).into_iter().flatten()
    }

    pub fn count_on(&self, node: &str) -> usize {
        self.by_node.get(node).map_or(0, BTreeSet::len)
    }
}

fn shift(sets: &mut BTreeMap<String, BTreeSet<Key>>, key: &Key, from: Option<String>, to: Option<String>) {
    if from == to {
        return;
    }
    if let Some(from) = from
        && let Some(set) = sets.get_mut(&from)
    {
        set.remove(key);
        if set.is_empty() {
            sets.remove(&from);
        }
    }
    if let Some(to) = to {
        sets.entry(to).or_default().insert(key.clone());
    }
}

//! Waves: how many workers may be out of service at the same time, and which may begin now beside those that are in work.
//!
//! Who begins a Job counts the Jobs at work, and what is out of service already; the Job itself counts again before it cordons, and once more
//! after it, for what others have taken out meanwhile. A soak is a part of a worker's turn: one that soaks keeps its place.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::order;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::policy::Policy;
use crate::plan::model::waves::{MOST, Pool, RampUp, Waves, Zones};

/// A node that takes a place, and why it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken<'a> {
    pub node: &'a Node,
    pub why: &'static str,
    /// Whoever took it out would put it back into service for another that comes first: a cordon of ours.
    pub gives_way: bool,
}

/// What takes a place now, in natural order; the node `name`, whose turn it would be, does not.
///
/// Without waves, and before a control plane, only what this program has taken out does: a node that a person has cordoned is upgraded like any
/// other, and stays cordoned.
pub fn taken<'a>(facts: &'a Facts, policy: &Policy, name: &str, now: Timestamp) -> Vec<Taken<'a>> {
    let wide = policy.waves.on() && facts.node(name).is_none_or(|node| !node.control_plane);
    let worker = |node: &&Node| !node.control_plane && !node.excluded && wide;
    let why = |node: &'a Node| {
        let taken = |why, gives_way| Some(Taken { node, why, gives_way });
        match () {
            () if node.cordoned_by.is_some() => taken("carries our cordon", true),
            () if !worker(&node) => None,
            () if !node.ready => taken("is not Ready", false),
            () if node.unschedulable => taken("is cordoned by somebody else", false),
            () if soaks(facts, policy, node, now) => taken("soaks", false),
            () => None,
        }
    };
    let mut taken: Vec<Taken<'a>> = facts.nodes.iter().filter(|node| node.name != name).filter_map(why).collect();
    taken.sort_by(|a, b| order::natural(&a.node.name, &b.node.name));
    taken
}

/// This run has changed it, and its soak is not over.
pub fn soaks(facts: &Facts, policy: &Policy, node: &Node, now: Timestamp) -> bool {
    let soak = SignedDuration::try_from(policy.soak_of(node)).unwrap_or(SignedDuration::MAX);
    node.changed_by(&facts.marks) && node.changed_at.is_some_and(|at| now.duration_since(at) < soak)
}

/// Of whom no more than `allowed` may be out of service: of all nodes, or of the workers of one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit<'a> {
    pub taken: Vec<Taken<'a>>,
    pub allowed: usize,
    /// As people read it: `2 at a time now (max-unavailable 10%)`.
    pub words: String,
}

/// What the node `name` must find room under to be taken out of service, too.
pub fn limits<'a>(facts: &'a Facts, policy: &Policy, name: &str, now: Timestamp) -> Vec<Limit<'a>> {
    let taken = taken(facts, policy, name, now);
    let worker = facts.node(name).filter(|node| !node.control_plane);
    let Some((worker, share)) = worker.zip(policy.waves.max_unavailable) else {
        return vec![Limit { taken, allowed: 1, words: "one node at a time".to_owned() }];
    };
    let of_all = allowed(facts, policy, None, now);
    let pool = worker.pool.as_deref().zip(policy.waves.pool(worker.pool.as_deref()));
    let of_pool = pool.map(|(name, pool)| {
        let allowed = allowed(facts, policy, Some((name, pool)), now);
        let share = pool.max_unavailable.map_or(String::new(), |share| format!(", max-unavailable {share}"));
        let taken = taken.iter().filter(|taken| taken.node.pool.as_deref() == Some(name)).cloned().collect();
        Limit { taken, allowed, words: format!("{allowed} at a time now (pool {name}{share})") }
    });
    let words = format!("{of_all} at a time now (max-unavailable {share})");
    std::iter::once(Limit { taken, allowed: of_all, words }).chain(of_pool).collect()
}

/// So many workers, of all or of a pool, may be out of service at the same time, at this point of the run.
fn allowed(facts: &Facts, policy: &Policy, pool: Option<(&str, &Pool)>, now: Timestamp) -> usize {
    let Waves { max_unavailable, canary, ramp_up, .. } = &policy.waves;
    let of = |node: &&Node| !node.control_plane && pool.is_none_or(|(name, _)| node.pool.as_deref() == Some(name));
    let workers = || facts.managed().filter(of);
    let share = pool.map_or(*max_unavailable, |(_, pool)| pool.max_unavailable);
    let most = share.map_or(MOST, |share| share.of(workers().count()).clamp(1, MOST));
    let canary = usize::from(pool.map_or(*canary, |(_, pool)| pool.canary));
    let shown = workers().filter(|node| has_shown(facts, policy, node, now)).count();
    match ramp_up {
        _ if shown < canary => 1,
        RampUp::Exponential if pool.is_none() => (1 << (shown - canary + 1).ilog2()).min(most),
        RampUp::Exponential | RampUp::Off => most,
    }
}

/// A worker that is soaked has shown what the release does to it.
fn has_shown(facts: &Facts, policy: &Policy, node: &Node, now: Timestamp) -> bool {
    let done = facts.marks.target.is_some_and(|target| node.is_done(target));
    done && node.changed_by(&facts.marks) && !soaks(facts, policy, node, now)
}

/// The worker `name` is a canary of the run, or of its pool: not as many as the settings want have shown what the release does to them before it.
pub fn is_canary(facts: &Facts, policy: &Policy, name: &str, now: Timestamp) -> bool {
    let Some(node) = facts.node(name).filter(|node| !node.control_plane) else { return false };
    let others = || facts.managed().filter(|other| !other.control_plane && other.name != name);
    let shown = |of: &dyn Fn(&Node) -> bool| others().filter(|other| of(other) && has_shown(facts, policy, other, now)).count();
    let beside = |other: &Node| other.pool == node.pool;
    let of_pool = policy.waves.pool(node.pool.as_deref()).is_some_and(|pool| shown(&beside) < usize::from(pool.canary));
    of_pool || shown(&|_| true) < usize::from(policy.waves.canary)
}

/// Workers that are NotReady and hold nothing: as many as the settings let be away, all or none; and in waves those that are in work.
pub fn may_be_away<'a>(facts: &'a Facts, policy: &Policy) -> BTreeSet<&'a str> {
    let workers = || facts.managed().filter(|node| !node.control_plane);
    let in_work = |node: &Node| policy.waves.on() && node.cordoned_by.is_some();
    let away: Vec<&Node> = workers().filter(|node| !node.ready && !in_work(node)).collect();
    let fits = away.len() <= policy.waves.max_not_ready.of(workers().count());
    let working = workers().filter(|node| in_work(node));
    away.into_iter().filter(|_| fits).chain(working).map(|node| node.name.as_str()).collect()
}

/// The node whose soak is waited for at the turn of the worker `name`, and when it was changed: after it its own, and before it one that has to
/// make room. That of a control plane is everybody's.
pub fn soaked_for<'a>(
    facts: &'a Facts,
    policy: &Policy,
    name: &str,
    after: bool,
    now: Timestamp,
) -> Option<(Timestamp, &'a str)> {
    let of = |node: &'a Node| Some((node.changed_at?, node.name.as_str()));
    let alone = facts.node(name).is_none_or(|node| node.control_plane) || !facts.marks.in_flight || !policy.waves.on();
    if alone {
        return facts.managed().filter_map(of).max();
    }
    if after {
        return facts.node(name).and_then(of);
    }
    let crowded = limits(facts, policy, name, now).into_iter().find(|limit| limit.taken.len() >= limit.allowed);
    let soaking = |limit: Limit<'a>| {
        let soaking = limit.taken.into_iter().filter(|taken| soaks(facts, policy, taken.node, now));
        soaking.filter_map(|taken| of(taken.node)).min()
    };
    let masters = facts.managed().filter(|node| node.control_plane).filter_map(of).max();
    masters.max(crowded.and_then(soaking))
}

/// The workers that may begin now: of `left`, in order, as many as there is a place for. `at_work`: those with a Job, `hosts`: the nodes on
/// which Jobs run. Where nobody works the first may always begin: whatever keeps it from its turn, its own gates say so, again and again.
pub fn beside<'a>(
    facts: &'a Facts,
    policy: &Policy,
    left: &[&'a Node],
    at_work: &BTreeSet<&str>,
    hosts: &BTreeSet<&str>,
    now: Timestamp,
) -> Vec<&'a Node> {
    let idle = at_work.is_empty();
    let first = |of: &[&'a Node]| of.first().or(left.first()).copied().filter(|_| idle).into_iter().collect::<Vec<_>>();
    if !policy.waves.on() || facts.marks.only().is_some() {
        return first(left);
    }
    let runner = order::runner(facts, policy).map(|node| node.name.as_str());
    let may = |node: &&&Node| node.ready && node.paused.is_none() && !hosts.contains(node.name.as_str());
    let mut candidates: Vec<&Node> = left.iter().filter(may).copied().collect();
    // The runner is where the others' Jobs run: it goes alone, and last.
    if candidates.len() > 1 || !idle {
        candidates.retain(|node| Some(node.name.as_str()) != runner);
    }
    let mut taken: Vec<&Node> = taken(facts, policy, "", now).into_iter().map(|taken| taken.node).collect();
    taken.extend(facts.nodes.iter().filter(|node| at_work.contains(node.name.as_str())));
    taken.sort_by(|a, b| a.name.cmp(&b.name));
    taken.dedup_by(|a, b| a.name == b.name);
    let of_all = allowed(facts, policy, None, now);
    let of_pools = policy.waves.pools.iter().map(|(name, pool)| (name.as_str(), allowed(facts, policy, Some((name, pool)), now)));
    let of_pools: BTreeMap<&str, usize> = of_pools.collect();
    let mut names: BTreeSet<&str> = taken.iter().map(|node| node.name.as_str()).collect();
    let mut begin: Vec<&Node> = Vec::new();
    for node in &candidates {
        // Of all that are left most find no place: what is taken is not gone through for each of them.
        if taken.len() - usize::from(names.contains(node.name.as_str())) >= of_all {
            continue;
        }
        let others: Vec<&Node> = taken.iter().filter(|other| other.name != node.name).copied().collect();
        let elsewhere = || others.iter().any(|other| !other.control_plane && other.zone != node.zone);
        let zoned = policy.waves.zones == Zones::OneAtATime && elsewhere();
        let beside = || others.iter().filter(|other| other.pool == node.pool).count();
        let crowded = node.pool.as_deref().and_then(|pool| of_pools.get(pool)).is_some_and(|allowed| beside() >= *allowed);
        if !crowded && !zoned {
            taken = others;
            taken.push(node);
            names.insert(&node.name);
            begin.push(node);
        }
    }
    if begin.is_empty() { first(&candidates) } else { begin }
}

#[cfg(test)]
#[path = "waves_tests.rs"]
mod tests;

//! What is to be done now: the next step of a run, computed from facts alone. Journals and memory have no say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::order;
use super::planned::{self, Planned};
use super::waves;
use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::plan::model::facts::{Facts, JobFact, JobState, Node, Phase, Step};
use crate::plan::model::policy::Policy;
use crate::plan::model::taken_back::TakenBack;
use crate::plan::model::version::Version;

/// What a run wants now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These Jobs are to be created.
    Create(Wave),
    /// This Job is at work, and maybe others; each creates what follows.
    Running(String),
    /// Nothing else begins before the step of this Job, which failed, is tried again.
    Failed(String),
    /// No run is in flight.
    Done,
}

/// Jobs that may begin at the same time: one, or several workers'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    pub first: Planned,
    /// Those beside it, in their order.
    pub beside: Vec<Planned>,
}

impl Wave {
    /// In their order.
    pub fn all(&self) -> impl Iterator<Item = &Planned> {
        std::iter::once(&self.first).chain(&self.beside)
    }
}

impl From<Planned> for Wave {
    fn from(first: Planned) -> Self {
        Wave { first, beside: Vec::new() }
    }
}

/// A step of the whole chain with the name of its Job, and whether the facts say that it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub step: Step,
    pub job: String,
    pub done: bool,
}

/// The whole chain to `target`, in order. In a minor upgrade of several control planes those whose kubelet had to wait come again, in their
/// old place, once every API server is new. A node that joins late and is old is in it; one that is gone is not.
pub fn chain(facts: &Facts, policy: &Policy, target: Version) -> Vec<Link> {
    let link = |step: Step, done: bool| Link {
        done: done || step.is_skipped(&facts.marks),
        job: planned::name(facts, &step, target),
        step,
    };
    let mut chain = vec![link(Step::preflight(), facts.marks.in_flight && facts.marks.prepared)];
    let nodes = order::order(facts, policy);
    let goes_back = |node: &Node| facts.goes_back().is_some_and(|back| back.node == *node.name);
    let done = |node: &Node| facts.is_done_for_now(node, target) && !goes_back(node);
    chain.extend(nodes.into_iter().map(|node| link(Step::of(node), done(node))));
    // Postflight clears the run with its last act: while there is a run, it is not done.
    chain.push(Link { done: false, ..link(Step::postflight(), false) });
    chain
}

/// Of these links, the workers' whose Jobs have failed. What a person has paused is in nobody's way.
fn failed<'a>(facts: &Facts, undone: &[&'a Link]) -> Vec<&'a Link> {
    let of_run = |job: &&JobFact| job.run == facts.marks.run_id && !job.deleting;
    let failed = facts.jobs.iter().filter(of_run).filter(|job| matches!(job.state, JobState::Failed { .. }));
    let failed: BTreeSet<&str> = failed.map(|job| job.name.as_str()).collect();
    let has_failed = |link: &Link| failed.contains(link.job.as_str());
    let paused =
        |link: &Link| link.step.node.as_deref().and_then(|node| facts.node(node)).is_some_and(|node| node.paused.is_some());
    undone.iter().copied().filter(|link| link.step.phase == Phase::Worker && has_failed(link) && !paused(link)).collect()
}

/// The step that a run which stands does not get past: in waves one that failed, which need not be the first in order.
pub fn stands_at(facts: &Facts, policy: &Policy, target: Version) -> Option<Step> {
    if let Some(back) = facts.marks.stands_by() {
        return Some(step_of(back));
    }
    let links = chain(facts, policy, target);
    let undone: Vec<&Link> = links.iter().filter(|link| !link.done).collect();
    let failed = if policy.waves.on() { failed(facts, &undone) } else { Vec::new() };
    failed.first().or(undone.first()).map(|link| link.step.clone())
}

/// What the run that is in flight wants next. `own_job` is the name of the Job that asks, if one does: to it, its own Job and others that are about
/// to end do not stand in the way; to anybody else, a Job at work does.
///
/// Of workers, as many as there is a place for ([`waves`]). To a Job that ends, a worker's step that failed keeps all others from beginning; to
/// anybody else, it is what may be tried again beside those that are at work.
///
/// To a Job whose own step the facts call undone, this answers `Running` with its own name.
/// Refuses marks that make no sense and a cluster without a second node; holds while no node can take the Job.
pub fn next(facts: &Facts, policy: &Policy, own_job: Option<&str>, now: Timestamp) -> Result<Next, Cause> {
    if !facts.marks.in_flight {
        return Ok(Next::Done);
    }
    let Some(target) = facts.marks.target else {
        return Err(Cause::refused("a run is marked as in flight, but not to which version")
            .next("kubectl describe namespace k8s-upgrade    # remove its annotation …/k8s-upgrade-in-flight if no run is on"));
    };
    if let Some(back) = facts.marks.stands_by().filter(|_| guard::on(Guard::CanaryBackStands)) {
        return stands_by(facts, policy, target, back, own_job);
    }
    let links = chain(facts, policy, target);
    let undone: Vec<&Link> = links.iter().filter(|link| !link.done).collect();
    let Some(first) = undone.first() else { return Err(Cause::bug("a run in flight has no step left")) };
    // Postflight is undone as long as there is a run; while anything else is, its Job has nothing to do but ask what.
    let own_postflight = undone.len() > 1 && undone.last().is_some_and(|last| own_job == Some(last.job.as_str()));
    let undone_jobs: BTreeSet<&str> = undone.iter().map(|link| link.job.as_str()).collect();
    let of_undone = |job: &JobFact| {
        let asks = own_postflight && own_job == Some(job.name.as_str());
        !asks && undone_jobs.contains(job.name.as_str())
    };
    let active = || facts.jobs.iter().filter(|job| job.state == JobState::Active);
    let workers = links.iter().filter(|link| link.step.phase == Phase::Worker);
    let workers: BTreeMap<&str, &str> =
        workers.filter_map(|link| Some((link.job.as_str(), link.step.node.as_deref()?))).collect();
    let nodes: BTreeMap<&str, &Node> = facts.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    // In waves, one that soaks asks later than this one does; and whose soak is over, like that of this one, asks now.
    let soaks = |job: &JobFact| {
        let node = workers.get(job.name.as_str()).and_then(|name| nodes.get(name)).filter(|_| policy.waves.on());
        node.is_some_and(|node| waves::soaks(facts, policy, node, now))
    };
    // To a Job that asks, itself and others stand in the way only where their own steps are undone; they may be about to end.
    let at_work: Vec<&JobFact> = match own_job {
        None => active().collect(),
        Some(own) => active().filter(|job| of_undone(job) || job.name != own && soaks(job)).collect(),
    };
    let in_the_way =
        at_work.iter().min_by_key(|job| own_job != Some(job.name.as_str())).filter(|_| guard::on(Guard::JobInTheWay));
    let running = || in_the_way.map(|job| Ok(Next::Running(job.name.clone())));
    let own = in_the_way.is_some_and(|job| own_job == Some(job.name.as_str()));
    let alone = own || first.step.phase != Phase::Worker || at_work.iter().any(|job| !workers.contains_key(job.name.as_str()));
    if !policy.waves.on() || alone {
        return running().unwrap_or_else(|| planned(facts, policy, target, first.step.clone()));
    }
    let at: BTreeSet<&str> = at_work.iter().filter_map(|job| workers.get(job.name.as_str()).copied()).collect();
    let failed = failed(facts, &undone);
    match (failed.first(), own_job) {
        (Some(first), Some(_)) => return running().unwrap_or_else(|| Ok(Next::Failed(first.job.clone()))),
        (Some(_), None) => {
            let steps: Vec<&Step> = failed.into_iter().map(|link| &link.step).collect();
            return wave(facts, policy, target, &steps, &at);
        }
        (None, None) if in_the_way.is_some() => return running().unwrap_or(Ok(Next::Done)),
        (None, _) => {}
    }
    let hosts: BTreeSet<&str> = active().flat_map(|job| [job.node.as_deref(), job.pin.as_deref()]).flatten().collect();
    let left = undone.iter().filter(|link| link.step.phase == Phase::Worker).filter_map(|link| link.step.node.as_deref());
    let left: Vec<&Node> = left.filter(|name| !at.contains(name)).filter_map(|name| nodes.get(name).copied()).collect();
    let begin = waves::beside(facts, policy, &left, &at, &hosts, now);
    if begin.is_empty() {
        return running().unwrap_or_else(|| Err(Cause::bug("nothing is at work, and nothing may begin")));
    }
    let steps: Vec<Step> = begin.into_iter().map(Step::of).collect();
    wave(facts, policy, target, &steps.iter().collect::<Vec<_>>(), &at)
}

fn step_of(back: &TakenBack) -> Step {
    Step { phase: Phase::Worker, node: Some(back.node.to_string()) }
}

/// What a run wants that stands by a canary: its way back is finished, by its own Job; then nothing, until a person lets the run go on.
fn stands_by(facts: &Facts, policy: &Policy, target: Version, back: &TakenBack, own_job: Option<&str>) -> Result<Next, Cause> {
    let step = step_of(back);
    let job = planned::name(facts, &step, target);
    let active = |fact: &&JobFact| fact.state == JobState::Active && own_job != Some(fact.name.as_str());
    let active: Vec<&JobFact> = facts.jobs.iter().filter(active).collect();
    let own = active.iter().find(|fact| fact.name == job).copied();
    match own.or(active.first().copied()) {
        Some(at_work) => Ok(Next::Running(at_work.name.clone())),
        None if own_job.is_some() => Ok(Next::Failed(job)),
        None if facts.goes_back().is_some() => wave(facts, policy, target, &[&step], &BTreeSet::new()),
        None => Err(stands(back)),
    }
}

/// Why nothing else begins.
pub fn stands(back: &TakenBack) -> Cause {
    back.next().into_iter().fold(Cause::refused(back.words()).detail(back.why.clone()), Cause::next)
}

/// The step that starts a run: preflight to `target`.
pub fn first(facts: &Facts, policy: &Policy, target: Version) -> Result<Next, Cause> {
    if facts.marks.in_flight {
        let to = facts.marks.target.map_or(String::new(), |target| format!(" to {target}"));
        return Err(Cause::contended(format!("a run{to} is in flight already")).next(Advice::status()).next(Advice::resume()));
    }
    if let Some(job) = facts.jobs.iter().find(|job| job.state == JobState::Active) {
        return Ok(Next::Running(job.name.clone()));
    }
    planned(facts, policy, target, Step::preflight())
}

/// Where a run was to go that ended before it was claimed: nothing is in flight, and the newest Job is its preflight, which failed.
pub fn unclaimed(facts: &Facts) -> Option<Version> {
    let newest = facts.jobs.iter().max_by_key(|job| (job.created, &job.name))?;
    let target = newest.target.filter(|_| !facts.marks.in_flight && !newest.deleting)?;
    let failed = matches!(newest.state, JobState::Failed { .. });
    (failed && newest.name == planned::name(facts, &Step::preflight(), target)).then_some(target)
}

fn planned(facts: &Facts, policy: &Policy, target: Version, step: Step) -> Result<Next, Cause> {
    let job = planned::name(facts, &step, target);
    if facts.jobs.iter().any(|fact| fact.name == job && fact.state == JobState::Active) {
        return Ok(Next::Running(job));
    }
    wave(facts, policy, target, &[&step], &BTreeSet::new())
}

/// The Jobs of these steps. No Job runs on a node that is in work, or that another of them is to drain: for that, one or the other comes later.
fn wave(facts: &Facts, policy: &Policy, target: Version, steps: &[&Step], at_work: &BTreeSet<&str>) -> Result<Next, Cause> {
    let planned = |step: &Step, busy: &BTreeSet<&str>| {
        let job = planned::name(facts, step, target);
        let replaces = facts.jobs.iter().find(|fact| fact.name == job).map(|fact| fact.uid.clone());
        let pin = match step.phase {
            Phase::Postflight => None,
            _ => Some(order::pin_beside(facts, policy, target, step.node.as_deref(), busy)?.name.clone()),
        };
        Ok(Planned { step: step.clone(), job, pin, replaces, taken_up: None })
    };
    let mut homeless = None;
    for width in (1..=steps.len()).rev() {
        let busy: BTreeSet<&str> =
            at_work.iter().copied().chain(steps[..width].iter().filter_map(|step| step.node.as_deref())).collect();
        match planned(steps[0], &busy) {
            Ok(first) => {
                let beside = steps[1..width].iter().filter_map(|step| planned(step, &busy).ok()).collect();
                return Ok(Next::Create(Wave { first, beside }));
            }
            Err(cause) => homeless = Some(cause),
        }
    }
    Err(homeless.unwrap_or_else(|| Cause::bug("a wave of nothing")))
}

/// How much of the chain is behind us, for people: phases done, and of how many.
pub fn progress(facts: &Facts, policy: &Policy, target: Version) -> (usize, usize) {
    let chain = chain(facts, policy, target);
    (chain.iter().filter(|link| link.done && !link.step.is_skipped(&facts.marks)).count(), chain.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::failure::Class;
    use crate::plan::model::fixture::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// `worker/k8s-node4@k8s-node1`, `running NAME`, `done`, or the class of the cause.
    fn told(facts: &Facts) -> String {
        match next(facts, &policy(), None, NOW) {
            Ok(Next::Create(Wave { first: p, .. })) => {
                let replaces = p.replaces.map_or(String::new(), |uid| format!(" replaces {uid}"));
                format!("{}@{}{replaces}", p.step.token(), p.pin.unwrap_or("any".into()))
            }
            Ok(Next::Running(job) | Next::Failed(job)) => format!("running {job}"),
            Ok(Next::Done) => "done".into(),
            Err(cause) => cause.class.word().into(),
        }
    }

    fn failed(exit: i32) -> JobState {
        JobState::Failed { reason: "PodFailurePolicy".into(), exit: Some(exit) }
    }

    #[test]
    fn every_partial_state_of_the_runbooks_cluster() {
        // each control-plane component and each kubelet old or new, in all combinations
        let order = ["k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"];
        for bits in 0..1_u32 << 8 {
            let mut facts = in_flight(runbook());
            let new = |i: usize| bits >> i & 1 == 1;
            let mut wanted = "postflight@any".to_owned();
            for (i, name) in order.iter().enumerate() {
                if new(i) {
                    upgrade(&mut facts, name, NEW);
                }
            }
            if let Some(i) = (0..4).find(|i| !new(*i)) {
                wanted = format!("worker/{}@{}", order[i], if i == 3 { "k8s-master" } else { "k8s-node1" });
            }
            let master = node(&mut facts, "k8s-master");
            if new(4) {
                master.kubelet = Some(NEW);
            }
            for (i, component) in master.components.iter_mut().enumerate().filter(|(i, _)| new(5 + i)) {
                component.version = Some(NEW);
                assert!(i < 3);
            }
            if !(4..8).all(new) {
                wanted = "master/k8s-master@k8s-node1".to_owned();
            }
            assert_eq!(told(&facts), wanted, "{bits:08b}");
            // a finished node whose change is not on record: that node, in its turn
            if (4..8).all(new) && new(2) {
                node(&mut facts, "k8s-node2").former_versions = Some("kubelet=1.34.2-1.1".into());
                let first = (0..2).find(|i| !new(*i)).map_or("k8s-node2", |i| order[i]);
                assert_eq!(told(&facts), format!("worker/{first}@k8s-node1"), "{bits:08b} unrecorded");
                node(&mut facts, "k8s-node2").changed_at = "2026-11-22T12:30:00Z".parse().ok();
                assert_eq!(told(&facts), wanted, "{bits:08b} recorded");
            }
            // our cordon left on a finished node: that node first, in its class
            if (4..8).all(new) && new(2) {
                node(&mut facts, "k8s-node2").cordoned_by = Some("5f3a21bc".into());
                assert_eq!(told(&facts), "worker/k8s-node2@k8s-node1", "{bits:08b} cordoned");
            }
        }
    }

    #[test]
    fn without_a_claim_nothing_is_to_be_done_and_without_a_snapshot_preflight_is() {
        let mut facts = runbook();
        assert_eq!(told(&facts), "done");
        facts = in_flight(facts);
        facts.marks.prepared = false;
        assert_eq!(told(&facts), "preflight@k8s-node1");
        facts.marks.skipped = vec!["preflight".into()];
        assert_eq!(told(&facts), "master/k8s-master@k8s-node1");
        facts.marks.skipped.push("master/k8s-master".into());
        assert_eq!(told(&facts), "worker/k8s-node4@k8s-node1");
        facts.marks.target = None;
        assert_eq!(told(&facts), "refused");
    }

    #[test]
    fn preflight_is_done_when_it_said_so_and_not_before() {
        let mut facts = in_flight(runbook());
        facts.marks.prepared = false; // the snapshot is taken, the repositories are not set up: however it ended, it is done again
        assert_eq!(told(&facts), "preflight@k8s-node1");
        facts.jobs = vec![job("k8s-upgrade-preflight-1-34-7", failed(7))];
        assert_eq!(told(&facts), "preflight@k8s-node1 replaces uid-of-k8s-upgrade-preflight-1-34-7");
        upgrade(&mut facts, "k8s-node4", NEW);
        assert_eq!(told(&facts), "preflight@k8s-node1 replaces uid-of-k8s-upgrade-preflight-1-34-7");
    }

    #[test]
    fn postflight_creates_the_job_of_a_late_joiner() {
        let mut facts = in_flight(runbook());
        ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"].iter().for_each(|name| upgrade(&mut facts, name, NEW));
        let own = "k8s-upgrade-postflight-1-34-7";
        facts.jobs = vec![job(own, JobState::Active)];
        assert_eq!(next(&facts, &policy(), Some(own), NOW), Ok(Next::Running(own.into())));
        facts.nodes.push(worker("k8s-node9", OLD));
        let Next::Create(Wave { first: planned, .. }) = next(&facts, &policy(), Some(own), NOW).unwrap() else { panic!() };
        assert_eq!(planned.job, "k8s-upgrade-worker-1-34-7-k8s-node9");
    }

    #[test]
    fn a_finished_runner_does_not_start_a_step_beside_one_that_is_at_work() {
        let mut facts = in_flight(runbook());
        upgrade(&mut facts, "k8s-master", NEW);
        upgrade(&mut facts, "k8s-node4", NEW);
        let (own, busy) = ("k8s-upgrade-worker-1-34-7-k8s-node4", "k8s-upgrade-worker-1-34-7-k8s-node3");
        facts.jobs = vec![job(own, JobState::Active), job(busy, JobState::Active)];
        facts.nodes.push(worker("k8s-node9", OLD)); // joins late, and would be the first in order
        assert_eq!(next(&facts, &policy(), Some(own), NOW), Ok(Next::Running(busy.into())));
    }

    #[test]
    fn live_jobs_are_left_alone_and_finished_ones_prove_nothing() {
        let name = "k8s-upgrade-master-1-34-7";
        let mut facts = in_flight(runbook());
        facts.jobs = vec![job("k8s-upgrade-preflight-1-34-7", JobState::Complete), job(name, JobState::Active)];
        assert_eq!(told(&facts), format!("running {name}"));
        for state in [JobState::Complete, failed(4), failed(5)] {
            facts.jobs[1].state = state;
            assert_eq!(told(&facts), format!("master/k8s-master@k8s-node1 replaces uid-of-{name}"));
        }
        facts.jobs[1].name = "k8s-upgrade-master-1-34-6".into(); // another target's
        assert_eq!(told(&facts), "master/k8s-master@k8s-node1");
    }

    #[test]
    fn a_soaking_job_stops_everybody_but_itself() {
        let mut facts = in_flight(runbook());
        upgrade(&mut facts, "k8s-master", NEW);
        upgrade(&mut facts, "k8s-node4", NEW);
        let soaking = "k8s-upgrade-worker-1-34-7-k8s-node4";
        facts.jobs = vec![job("k8s-upgrade-master-1-34-7", JobState::Active), job(soaking, JobState::Active)];
        assert!(told(&facts).starts_with("running "));
        let Next::Create(Wave { first: successor, .. }) = next(&facts, &policy(), Some(soaking), NOW).unwrap() else { panic!() };
        assert_eq!(successor.job, "k8s-upgrade-worker-1-34-7-k8s-node3");
        facts.jobs.push(job(&successor.job, JobState::Active)); // killed after it created its successor, and here again
        assert_eq!(next(&facts, &policy(), Some(soaking), NOW), Ok(Next::Running(successor.job)));
        upgrade(&mut facts, "k8s-node4", OLD); // the facts say that its own step is not done
        assert_eq!(next(&facts, &policy(), Some(soaking), NOW), Ok(Next::Running(soaking.into())));
    }

    #[test]
    fn late_joiners_get_their_job_and_deleted_nodes_vanish() {
        let mut facts = in_flight(runbook());
        ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"].iter().for_each(|name| upgrade(&mut facts, name, NEW));
        facts.nodes.push(worker("k8s-node10", OLD));
        assert_eq!(told(&facts), "worker/k8s-node10@k8s-node1");
        facts.nodes.push(master("k8s-master2", OLD));
        assert_eq!(told(&facts), "master/k8s-master2@k8s-node1");
        facts.nodes.retain(|node| node.kubelet == Some(NEW));
        assert_eq!(told(&facts), "postflight@any");
        upgrade(&mut facts, "k8s-node2", OLD);
        node(&mut facts, "k8s-node2").excluded = true;
        assert_eq!(told(&facts), "postflight@any");
        upgrade(&mut facts, "k8s-node3", Version::new(1, 34, 9)); // newer than the target: never taken back
        assert_eq!(told(&facts), "postflight@any");
    }

    #[test]
    fn a_run_that_ended_unclaimed_may_begin_anew() {
        let name = "k8s-upgrade-preflight-1-34-7";
        let with = |jobs: Vec<JobFact>| Facts { jobs, ..runbook() };
        let at = |hour: u8, job: JobFact| JobFact { created: format!("2026-11-22T{hour:02}:00:00Z").parse().ok(), ..job };
        let dead = || at(12, job(name, failed(4)));
        assert_eq!(unclaimed(&with(vec![dead()])), Some(NEW));
        assert_eq!(unclaimed(&with(vec![])), None);
        assert_eq!(unclaimed(&in_flight(with(vec![dead()]))), None, "it is claimed");
        assert_eq!(unclaimed(&with(vec![job(name, JobState::Complete)])), None, "deferred: it is tried again");
        assert_eq!(unclaimed(&with(vec![job(name, JobState::Active)])), None);
        assert_eq!(unclaimed(&with(vec![JobFact { deleting: true, ..dead() }])), None);
        let later = at(13, job("k8s-upgrade-postflight-1-34-7", JobState::Complete));
        assert_eq!(unclaimed(&with(vec![dead(), later])), None, "a later run has ended");
        assert_eq!(unclaimed(&with(vec![at(12, job("k8s-upgrade-master-1-34-7", failed(5)))])), None, "it was given up");
    }

    #[test]
    fn control_planes_all_come_before_any_worker() {
        let mut facts = in_flight(cluster(3, 2));
        let mut walk = Vec::new();
        while let Ok(Next::Create(Wave { first: planned, .. })) = next(&facts, &policy(), None, NOW) {
            facts.jobs.push(job(&planned.job, JobState::Complete));
            match planned.step.node {
                Some(name) => upgrade(&mut facts, &name, NEW),
                None => facts.marks.in_flight = false,
            }
            walk.push(facts.jobs.last().unwrap().name.replace("k8s-upgrade-", ""));
        }
        let wanted = [
            "master-1-34-7",
            "master-1-34-7-k8s-master2",
            "master-1-34-7-k8s-master3",
            "worker-1-34-7-k8s-node2",
            "worker-1-34-7-k8s-node1",
        ];
        assert_eq!(walk[..5], wanted);
        assert_eq!(walk[5..], ["postflight-1-34-7"]);
    }

    #[test]
    fn a_run_starts_with_preflight_once() {
        let mut facts = runbook();
        let Next::Create(Wave { first: planned, .. }) = first(&facts, &policy(), NEW).unwrap() else { panic!() };
        assert_eq!((planned.job.as_str(), planned.pin.as_deref()), ("k8s-upgrade-preflight-1-34-7", Some("k8s-node1")));
        facts.jobs = vec![job(&planned.job, failed(3))];
        let again = first(&facts, &policy(), NEW).unwrap();
        assert!(matches!(again, Next::Create(Wave { first: Planned { replaces: Some(_), .. }, .. })), "{again:?}");
        facts.jobs[0].state = JobState::Active;
        assert_eq!(first(&facts, &policy(), NEW), Ok(Next::Running(planned.job)));
        assert_eq!(first(&in_flight(runbook()), &policy(), NEW).unwrap_err().class, Class::Contended);
        assert_eq!(first(&cluster(1, 0), &policy(), NEW).unwrap_err().class, Class::Refused);
    }
}

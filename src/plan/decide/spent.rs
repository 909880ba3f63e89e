//! Finished Jobs of the chain that nobody needs any more. A run of thousands of nodes leaves one for each, and whoever observes reads them all.

use std::collections::BTreeSet;

use super::next;
use crate::plan::model::facts::{Facts, JobFact, JobState};
use crate::plan::model::policy::Policy;

/// So many of those that ended well stay, the newest: a person looks at them, and how long the next step takes is foreseen by them.
pub const KEPT: usize = 50;

/// The others that ended well, the oldest first. One that failed stays, and so does one whose step is not done: that may have to make room. What is
/// of no run of this program is not ours.
pub fn spent<'a>(facts: &'a Facts, policy: &Policy) -> Vec<&'a JobFact> {
    let target = facts.marks.target.filter(|_| facts.marks.in_flight);
    let chain = target.map(|target| next::chain(facts, policy, target)).unwrap_or_default();
    let undone: BTreeSet<String> = chain.into_iter().filter(|link| !link.done).map(|link| link.job).collect();
    let has_ended = |job: &&JobFact| job.state == JobState::Complete && !job.deleting && job.pods.is_empty();
    let is_ours = |job: &&JobFact| job.run.is_some() && !undone.contains(&job.name);
    let mut spent: Vec<&JobFact> = facts.jobs.iter().filter(has_ended).filter(is_ours).collect();
    spent.sort_by_key(|job| (job.created, &job.name));
    spent.truncate(spent.len().saturating_sub(KEPT));
    spent
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::plan::model::facts::PodFact;
    use crate::plan::model::fixture::*;

    #[test]
    fn the_newest_stay_and_whatever_may_still_be_needed() {
        let mut facts = in_flight(runbook());
        node(&mut facts, "k8s-node4").kubelet = Some(NEW);
        let ended = |number: i64, name: &str| JobFact {
            created: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)),
            ..job(name, JobState::Complete)
        };
        let failed = JobState::Failed { reason: "BackoffLimitExceeded".to_owned(), exit: Some(5) };
        facts.jobs = (0..60).rev().map(|number| ended(number, &format!("k8s-upgrade-worker-1-34-2-n{number}"))).collect();
        facts.jobs.extend([
            JobFact { state: failed, ..ended(-1, "k8s-upgrade-worker-1-34-2-failed") },
            JobFact { state: JobState::Active, ..ended(-2, "k8s-upgrade-worker-1-34-2-active") },
            JobFact { deleting: true, ..ended(-3, "k8s-upgrade-worker-1-34-2-deleting") },
            // A mesh's sidecar runs on in it.
            JobFact { pods: vec![PodFact { node: None, created: None }], ..ended(-4, "k8s-upgrade-worker-1-34-2-outlived") },
            JobFact { run: None, ..ended(-4, "k8s-upgrade-worker-1-34-2-of-another-pipeline") },
            ended(-5, "k8s-upgrade-worker-1-34-7-k8s-node3"),
            ended(-6, "k8s-upgrade-worker-1-34-7-k8s-node4"),
        ]);
        let of = |facts: &Facts| spent(facts, &policy()).into_iter().map(|job| job.name.clone()).collect::<Vec<_>>();
        let oldest = (0..10).map(|number| format!("k8s-upgrade-worker-1-34-2-n{number}"));
        let done = || std::iter::once("k8s-upgrade-worker-1-34-7-k8s-node4".to_owned());
        assert_eq!(of(&facts), done().chain(oldest).collect::<Vec<_>>());
        facts.marks.in_flight = false;
        assert_eq!(of(&facts).len(), 12, "of a run that has ended each has done its work");
        facts.jobs.truncate(KEPT);
        assert!(of(&facts).is_empty());
    }
}

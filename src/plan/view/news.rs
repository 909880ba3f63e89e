//! What people are told of a failure: once, however often its step is tried again.

use std::fmt;

use crate::failure::{Class, Failure};
use crate::plan::model::facts::Facts;
use crate::plan::model::waves::MOST;

/// A failure, as far as it is news: where, and what a person makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    place: String,
    kind: NewsKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewsKind {
    /// It will be tried again.
    Failed,
    /// A gate is closed.
    Held,
    /// A person must do something.
    Persons,
}

impl News {
    /// None: it is no failure, but what a person asked for.
    pub fn of(failure: &Failure) -> Option<News> {
        let kind = match failure.class() {
            Class::Step | Class::Contended | Class::Unreachable => NewsKind::Failed,
            Class::Hold => NewsKind::Held,
            Class::Bug | Class::Usage | Class::Refused | Class::Pinned => NewsKind::Persons,
            Class::Stopped(_) | Class::Halted => return None,
        };
        Some(News { place: failure.place.clone(), kind })
    }

    /// What is told by now, of what was before: in waves, of other places as well.
    pub fn beside(&self, told: &[String], waves: bool) -> Vec<String> {
        // No more are at work at the same time: the newest are kept.
        let mut all: Vec<String> = told.iter().filter(|other| waves && !is_of(other, &self.place)).cloned().collect();
        all.push(self.to_string());
        all.split_off(all.len().saturating_sub(MOST))
    }

    /// What is left of it once this place is done.
    pub fn without(told: &[String], place: &str, waves: bool) -> Vec<String> {
        told.iter().filter(|other| waves && !is_of(other, place)).cloned().collect()
    }

    /// It was told before: the run's marks say so, or before there are any the other pods of our own Job do.
    pub fn is_old(&self, facts: &Facts, own_job: Option<&str>) -> bool {
        if facts.marks.in_flight {
            return facts.marks.told.contains(&self.to_string());
        }
        let retryable = [Class::Step, Class::Contended, Class::Unreachable].map(|class| i32::from(class.code()));
        let own = facts.jobs.iter().find(|job| own_job == Some(job.name.as_str()));
        self.kind == NewsKind::Failed && own.is_some_and(|job| job.exits.iter().any(|exit| retryable.contains(exit)))
    }
}

fn is_of(told: &str, place: &str) -> bool {
    told.split_once(' ').is_some_and(|(_, of)| of == place)
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NewsKind::Failed => "failed",
            NewsKind::Held => "held",
            NewsKind::Persons => "refused",
        };
        write!(f, "{kind} {}", self.place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Cause;
    use crate::plan::model::facts::{JobFact, JobState};
    use crate::plan::model::fixture;

    fn news(place: &str, class: Class) -> Option<News> {
        let failure = Failure { cause: Cause::new(class, "x"), place: place.to_owned(), state: String::new(), next: Vec::new() };
        News::of(&failure)
    }

    #[test]
    fn a_retry_is_old_and_what_changed_is_new() {
        let mut facts = Facts::default();
        facts.marks.in_flight = true;
        let first = news("k8s-node4", Class::Step).unwrap();
        assert!(!first.is_old(&facts, None));
        facts.marks.told = first.beside(&[], false);
        for (place, class, old) in [
            ("k8s-node4", Class::Step, true),
            ("k8s-node4", Class::Unreachable, true),
            ("k8s-node4", Class::Contended, true),
            ("k8s-node4", Class::Hold, false),
            ("k8s-node4", Class::Refused, false),
            ("k8s-node3", Class::Step, false),
        ] {
            assert_eq!(news(place, class).unwrap().is_old(&facts, None), old, "{place} {class:?}");
        }
        assert_eq!(news("k8s-node4", Class::Stopped(15)), None);
        assert_eq!(news("k8s-node4", Class::Halted), None);
    }

    #[test]
    fn in_waves_of_each_place_the_last_is_kept_and_no_more_than_can_be_at_work() {
        let told = (0..5000)
            .fold(Vec::new(), |told: Vec<String>, i| news(&format!("node{}", i / 2), Class::Step).unwrap().beside(&told, true));
        assert_eq!((told.len(), told.last().map(String::as_str)), (MOST, Some("failed node2499")));
        assert_eq!(News::without(&told, "node2499", true).len(), MOST - 1);
        assert_eq!(News::without(&told, "node2499", false), Vec::<String>::new());
    }

    #[test]
    fn before_the_claim_the_jobs_own_pods_tell() {
        let mut facts = Facts::default();
        let failed = news("preflight", Class::Unreachable).unwrap();
        for (exits, old) in [(vec![], false), (vec![137], false), (vec![137, 5], true), (vec![7], true)] {
            facts.jobs = vec![JobFact { exits, ..fixture::job("own", JobState::Active) }];
            assert_eq!(failed.is_old(&facts, Some("own")), old, "{:?}", facts.jobs[0].exits);
            assert!(!failed.is_old(&facts, Some("other")) && !failed.is_old(&facts, None));
        }
        assert!(!news("preflight", Class::Refused).unwrap().is_old(&facts, Some("own")));
    }
}

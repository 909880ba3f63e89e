//! Who else is at work: a Job of the chain, or a person's process.

use super::ctx::Ctx;
use crate::failure::Cause;
use crate::plan::facts::{Facts, JobState};
use crate::plan::screen::Driver;
use crate::report::span;

impl Ctx {
    /// One node at a time, whoever takes it out: a person's command waits for the chain's Job, and for another person's.
    pub async fn nobody_at_work(&self, facts: &Facts) -> Result<(), Cause> {
        no_job_at_work(facts)?;
        self.nobody_by_hand().await
    }

    /// No Job tells of a person's process; its Lease does.
    pub async fn nobody_by_hand(&self) -> Result<(), Cause> {
        match self.other_driver().await? {
            Some(driver) => {
                let left = span(driver.until.duration_since(self.now()).unsigned_abs());
                Err(Cause::contended(format!("driven by {}", driver.by))
                    .detail([format!("if that process is dead, wait: in {left} this is known")])
                    .next("k8s-upgrade halt      # stops it at its next safe point, as Ctrl-C there does"))
            }
            None => Ok(()),
        }
    }

    /// Who else works by hand.
    pub async fn other_driver(&self) -> Result<Option<Driver>, Cause> {
        let other = self.driver().await?.filter(|driver| driver.holder != self.identity.holder);
        Ok(other.filter(|driver| driver.lives(self.now())))
    }
}

/// The chain's Job at work, if there is one.
pub fn no_job_at_work(facts: &Facts) -> Result<(), Cause> {
    match facts.jobs.iter().find(|job| job.state == JobState::Active) {
        Some(job) => Err(Cause::contended(format!("Job {} of the chain is at work", job.name))),
        None => Ok(()),
    }
}

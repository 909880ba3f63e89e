//! Who else is at work: a Job of the chain, or a person's process.

use std::time::Duration;

use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::plan::model::facts::{Facts, JobState};
use crate::plan::model::lease::Driver;
use crate::report::span;
use crate::run::cluster::Observer;
use crate::run::guards::Leases;
use crate::run::guards::term::{LeaseName, holder, lasts};
use crate::run::session::{Probe, Wait, Waited};

impl Leases {
    /// One node at a time, whoever takes it out: a person's command waits for the chain's Job, and for another person's.
    pub async fn nobody_at_work(&self, facts: &Facts) -> Result<(), Cause> {
        no_job_at_work(facts)?;
        self.nobody_by_hand().await
    }

    /// No Job tells of a person's process; its Lease does.
    pub async fn nobody_by_hand(&self) -> Result<(), Cause> {
        match self.other_driver().await?.filter(|_| guard::on(Guard::WorkByHand)) {
            Some(driver) => {
                let left = span(driver.left(self.session.now()));
                Err(Cause::contended(format!("driven by {}", driver.by))
                    .detail([format!("if that process is dead, wait: in {left} this is known")])
                    .next("k8s-upgrade halt      # stops it at its next safe point, as Ctrl-C there does"))
            }
            None => Ok(()),
        }
    }

    /// Who else holds the Lease of work by hand and lives.
    pub async fn other_driver(&self) -> Result<Option<Driver>, Cause> {
        self.other(LeaseName(None)).await
    }

    /// Who else holds a node's Lease and lives.
    pub async fn other_on(&self, node: &str) -> Result<Option<Driver>, Cause> {
        self.other(LeaseName::node(node)).await
    }

    /// That a Lease was renewed a moment ago is believed: then its holder lives for as long as it lasts, at most. Where their clock says
    /// anything else, it is theirs that may be wrong, fast or slow: they live if the Lease changes while it is watched for as long as it
    /// lasts. An old one of a node is taken for dead at once: that no two work there is the Lease's own doing.
    async fn other(&self, which: LeaseName) -> Result<Option<Driver>, Cause> {
        let Some((first, deadline)) = self.other_seen(&which).await? else { return Ok(None) };
        let lives = first.lives(self.session.now());
        let reckoned = self.session.dry_run || (which.0.is_some() && !lives) || !guard::on(Guard::SignOfLife);
        if first.is_fresh(self.session.now()) || reckoned {
            return Ok(Some(first).filter(|_| lives));
        }
        let on = format!("a sign of life of {}, who holds {}", first.by, which.words());
        let wait = Wait { place: which.place(), on: &on, deadline, every: Duration::from_secs(2), stoppable: true };
        let watched = self.session.wait_or_not(wait, async || {
            Ok(match self.other_seen(&which).await? {
                Some((same, left)) if same == first && left.is_zero() => Probe::Ready(None),
                Some((same, _)) if same == first => Probe::Not("none yet".to_owned()),
                changed => Probe::Ready(changed.map(|(other, _)| other)),
            })
        });
        match watched.await? {
            Waited::Ready(found) => Ok(found),
            Waited::Late(_) => Ok(None),
        }
    }

    /// Who else holds it, and how much longer it must be seen unchanged until they are dead.
    async fn other_seen(&self, which: &LeaseName) -> Result<Option<(Driver, Duration)>, Cause> {
        let Some(lease) = self.read_lease(which).await? else { return Ok(None) };
        let spec = lease.spec.clone().unwrap_or_default();
        let left = lasts(&spec).saturating_sub(self.quiet(which, &spec));
        let other = holder(&lease, &self.settings.annotation_prefix).filter(|other| other.holder != self.session.identity.holder);
        Ok(other.map(|other| (other, left)))
    }
}

/// The chain's Job at work, if there is one.
pub fn no_job_at_work(facts: &Facts) -> Result<(), Cause> {
    match facts.jobs.iter().find(|job| job.state == JobState::Active) {
        Some(job) if guard::on(Guard::JobAtWork) => Err(Cause::contended(format!("Job {} of the chain is at work", job.name))),
        _ => Ok(()),
    }
}

/// A look of one's own once a question is answered, which may have stood for hours: the run is the one that was shown, and no Job has
/// taken it up meanwhile.
pub async fn same_run(observer: &Observer, shown: &Facts) -> Result<(), Cause> {
    let now = observer.observe().await?;
    let of = |facts: &Facts| (facts.marks.in_flight, facts.marks.run_id.clone(), facts.marks.target);
    if of(&now) != of(shown) && guard::on(Guard::SameRun) {
        return Err(Cause::contended("the run in flight is not the one that was shown").next(Advice::status()));
    }
    no_job_at_work(&now)
}

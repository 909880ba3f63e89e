//! The progress record: what a Job of the chain does now, as an annotation on it; of work by hand, on its Lease. A runner's log is not there
//! when its node is away, or in the first seconds of an API server that is back; the record is wherever the Job is.
//!
//! Best effort, as journals are: a record that cannot be written stops nothing and is told once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::failure::{Advice, Cause, Class, Failure, Outcome};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::permit::{ChangeClass, Permit};
use crate::report::{Event, Follower, Sink, Urgency};
use crate::run::cluster::{Cluster, Observer, cause};
use crate::run::guards::Leases;
use crate::run::session::Session;
use crate::settings::Settings;

/// At most one record in this time; a change waits no longer.
const AT_ONCE: Duration = Duration::from_secs(1);
/// More of the same is recorded this often.
const REPEAT: Duration = Duration::from_secs(15);
/// After a write that failed, so long no other is tried: an upgrade takes the API server away for minutes.
const PAUSE: Duration = Duration::from_secs(30);
/// No end of a process waits longer for its record.
const WRITE: Duration = Duration::from_secs(5);

/// Records what this process does while it does it.
pub struct Recorder {
    settings: Arc<Settings>,
    session: Arc<Session>,
    cluster: Arc<Cluster>,
    observer: Arc<Observer>,
    leases: Arc<Leases>,
    /// None: a command that records no progress.
    follower: Option<Follower>,
}

impl Recorder {
    /// `follower`: what this process does; None records nothing.
    pub fn new(
        settings: Arc<Settings>,
        session: Arc<Session>,
        cluster: Arc<Cluster>,
        observer: Arc<Observer>,
        leases: Arc<Leases>,
        follower: Option<Follower>,
    ) -> Self {
        Recorder { settings, session, cluster, observer, leases, follower }
    }

    /// Works, and records meanwhile what is done.
    pub async fn recording<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(follower) = &self.follower else { return work.await };
        tokio::select! {
            biased;
            worked = work => worked,
            never = self.record(follower) => match never {},
        }
    }

    async fn record(&self, follower: &Follower) -> Infallible {
        let (mut job, mut failures, mut told, mut not_before) = (None, 0, false, Instant::now());
        loop {
            let due = match follower.changed() {
                None => None,
                Some(Urgency::Changes) => Some(not_before),
                Some(Urgency::Repeats) => Some(not_before + (REPEAT - AT_ONCE)),
            };
            match due {
                Some(due) if due <= Instant::now() => {}
                // A change cuts the wait for a repetition short.
                Some(due) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(due) => {}
                        () = follower.news() => {}
                    }
                    continue;
                }
                None => {
                    follower.news().await;
                    continue;
                }
            }
            let begun = Instant::now();
            let write = async {
                if self.session.chain {
                    self.write(&mut job, follower, false).await
                } else {
                    self.leases.renew_with_progress(follower).await
                }
            };
            let written = tokio::time::timeout(WRITE, write).await;
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(cause)) => Some(cause),
                Err(_) => Some(Cause::unreachable("the API server did not answer in time")),
            };
            not_before = begun + if failed.is_some() { PAUSE } else { AT_ONCE };
            failures = if failed.is_some() { failures + 1 } else { 0 };
            if failed.is_some() {
                follower.again();
            }
            // An API server that restarts is no news; right after that it refuses for a moment what it allows.
            let lasts = |cause: &Cause| failures > 1 && cause.class != Class::Unreachable;
            if let Some(cause) = failed.filter(lasts).filter(|_| !std::mem::replace(&mut told, true)) {
                self.session.warn("progress", format!("cannot be recorded, and the work goes on: {}", cause.what));
            }
        }
    }

    /// The end of the process, as its last record. A Job that a halt ended which was lifted meanwhile goes on: whoever lifted it may have
    /// been told, the moment before, that this Job is at work.
    pub async fn end(&self, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        let Some(follower) = self.follower.as_ref().filter(|_| self.session.chain) else { return result };
        if let Err(failure) = &result {
            follower.clone().event(self.session.now(), &Event::Failed { failure: failure.clone() });
        }
        // Who asks from here on sees that nothing works any more; who asked before has lifted the halt before, too.
        let written = tokio::time::timeout(WRITE, self.write(&mut None, follower, true)).await;
        let halted = result.as_ref().is_err_and(|failure| failure.class() == Class::Halted);
        if !halted || !matches!(written, Ok(Ok(()))) || !guard::on(Guard::LiftedHalt) {
            return result;
        }
        let lifted = tokio::time::timeout(WRITE, self.observer.is_halted()).await;
        match (lifted, result) {
            (Ok(Ok(false)), Err(failure)) => {
                let what = format!("{}; the halt was lifted meanwhile: the Job's next try goes on", failure.cause.what);
                // As the kubelet ends a pod: its Job tries again.
                let cause = Cause { class: Class::Stopped(15), what, next: Vec::new(), ..failure.cause };
                Err(Failure { cause, next: vec![Advice::status()], ..failure })
            }
            (_, result) => result,
        }
    }

    async fn write(&self, job: &mut Option<String>, follower: &Follower, ended: bool) -> Result<(), Cause> {
        if job.is_none() {
            *job = self.cluster.own_job().await?;
        }
        // Taken in any case: what cannot be written now is not tried for ever.
        let text = follower.record(&self.session.identity.holder, self.session.now(), ended);
        let Some(job) = job.as_deref() else { return Ok(()) };
        let body = json!({ "metadata": { "annotations": { Mark::Progress.key(&self.settings.annotation_prefix): text } } });
        let api: Api<Job> = self.cluster.own();
        // No change of the run: neither its Lease nor a signal has a say in it, and no outage is waited for.
        let permit = Permit { class: ChangeClass::Settle, step: "record progress".to_owned() };
        let patched = permit.scope(api.patch(job, &PatchParams::default(), &Patch::Merge(&body))).await;
        patched.map(drop).map_err(|error| cause("record progress", &error))
    }
}

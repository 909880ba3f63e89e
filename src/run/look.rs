//! What a person is shown beside the facts: the logs of runners, the nodes' Leases, and whether the watch watches.

use std::time::Duration;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::coordination::v1::Lease as KubeLease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::ctx::Ctx;
use super::lease::{driver, of_node, term};
use crate::failure::Cause;
use crate::names;
use crate::plan::answer::Answer;
use crate::plan::facts::{Facts, JobFact, JobState};
use crate::plan::screen::{Doing, Lease, Seen};
use crate::plan::status;
use crate::report::heard;

/// A step that lasts half an hour and says something every 5 seconds began within so many lines.
const TAIL: i64 = 500;
/// And that many bytes of them.
const LOG_BYTES: i64 = 512 << 10;
/// A log that does not come by then is told as such.
const LOG: Duration = Duration::from_secs(5);

impl Ctx {
    /// The facts and all that a person wants to know beside them.
    pub async fn look(&self) -> Result<Seen, Cause> {
        let facts = self.observe_as_it_is().await?;
        for garbled in &facts.marks.garbled {
            self.warn("", format!("annotation {} is not this program's: {}", garbled.key, garbled.why));
        }
        let api: Api<KubeLease> = Api::namespaced(self.kube.clone(), &self.namespace);
        let leases = self.list_all("list the Leases", api, ListParams::default()).await?;
        let driver = leases.iter().find_map(|lease| driver(lease, &self.settings.annotation_prefix));
        let api: Api<CronJob> = Api::namespaced(self.kube.clone(), &self.namespace);
        let watch = self.api_opt("read the watch's CronJob", async || api.get(names::WATCH_CRONJOB).await).await?;
        let no_watch = no_watch(watch.as_ref());
        let (logs, units) = tokio::join!(self.logs(&facts), self.units(&facts));
        Ok(Seen {
            logs,
            units,
            leases: leases.iter().filter_map(|found| lease(found, &facts)).collect(),
            driver,
            no_watch,
            facts,
        })
    }

    /// What the logs say of the Jobs at work, and of the one that failed last.
    pub(super) async fn logs(&self, facts: &Facts) -> Vec<(String, Answer<Doing>)> {
        let active = facts.jobs.iter().filter(|job| job.state == JobState::Active);
        let mut logs = Vec::new();
        for job in active.chain(status::last_failed(facts)) {
            logs.push((job.name.clone(), self.log_of(job).await));
        }
        logs
    }

    async fn log_of(&self, job: &JobFact) -> Answer<Doing> {
        let Some(pod) = &job.pod else { return Answer::Unknown("its pod is gone, and its log with it".to_owned()) };
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let params = LogParams { tail_lines: Some(TAIL), limit_bytes: Some(LOG_BYTES), ..LogParams::default() };
        // One look: the kubelet that keeps the log may be the one that is away.
        match tokio::time::timeout(LOG, api.logs(pod, &params)).await {
            Ok(Ok(log)) => Answer::Known(heard(&log, self.now())),
            Ok(Err(error)) => Answer::Unknown(super::api::cause(&format!("the log of pod {pod}"), &error).what),
            Err(_) => Answer::Unknown(format!("the log of pod {pod} did not come within 5s")),
        }
    }
}

/// Why the CronJob that takes up what died cannot, if it cannot.
pub(super) fn no_watch(found: Option<&CronJob>) -> Option<String> {
    match found.and_then(|cronjob| cronjob.spec.as_ref()) {
        None => Some(format!("CronJob {} does not exist", names::WATCH_CRONJOB)),
        Some(spec) if spec.suspend == Some(true) => Some(format!("CronJob {} is suspended", names::WATCH_CRONJOB)),
        Some(_) => None,
    }
}

/// A node's Lease, by the node's name.
pub(super) fn lease(lease: &KubeLease, facts: &Facts) -> Option<Lease> {
    let name = lease.name_any();
    let rest = name.strip_prefix(&format!("{}-", names::LEASE_PREFIX))?;
    let node = facts.nodes.iter().map(|node| node.name.as_str()).find(|node| of_node(node) == name).unwrap_or(rest).to_owned();
    let (holder, renewed, until) = term(lease)?;
    Some(Lease { node, holder, renewed, until })
}

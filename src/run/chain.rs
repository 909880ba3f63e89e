//! The chain: a Job creates its successor under a deterministic name. Whatever Job died, the facts say what comes next.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::Value;

use super::ctx::{Change, Ctx};
use super::wait::{Probe, Wait};
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names;
use crate::plan::facts::{Facts, Phase};
use crate::plan::jobs::{self, Planned, Template};
use crate::plan::next::{self, Next};
use crate::plan::version::Version;
use crate::words::RunId;

/// A deleted Job's pods have their grace period.
const GONE: Duration = Duration::from_secs(180);
/// A Job's first try and its two retries (backoffLimit): the last one must not run out of time with a node cordoned.
const TRIES: u32 = 3;
/// What the bookkeeping of a phase may take beside its waits.
const MARGIN: Duration = Duration::from_secs(30 * 60);

impl Ctx {
    /// Creates the Job that the facts ask for now, if any. `own_job` is the Job that asks.
    pub async fn create_next(&self, own_job: Option<&str>, run: &RunId) -> Result<Next, Cause> {
        let facts = self.observe().await?;
        let next = next::next(&facts, &self.settings.policy(), own_job)?;
        if let (Next::Create(planned), Some(target)) = (&next, facts.marks.target) {
            self.create_job(&facts, planned, target, run).await?;
        }
        Ok(next)
    }

    /// Creates a planned Job, in place of a finished (or stuck) one of the same name. One that is at work already is what we wanted.
    pub async fn create_job(&self, facts: &Facts, planned: &Planned, target: Version, run: &RunId) -> Result<(), Cause> {
        self.journal_of(run);
        self.about(Some(run), Some(target), planned.step.node.as_deref());
        self.not_halted(Guard::HaltBeforeJob).await?;
        let image = self.own_image().await?;
        let policy = self.settings.policy();
        let template = Template {
            policy: &policy,
            namespace: &self.namespace,
            prefix: &self.settings.annotation_prefix,
            image: &image,
            target,
            run,
            deadline: self.job_deadline(planned.step.phase),
        };
        let manifest = jobs::manifest(facts, planned, &template)?;
        if let Some(uid) = &planned.replaces {
            self.delete_job(&planned.job, uid).await?;
        }
        self.submit_job(&self.namespace, &planned.job, manifest).await?;
        let place = planned.step.node.as_deref().unwrap_or(planned.step.phase.word());
        self.did(place, format!("Job {} created, to run on {}", planned.job, planned.place()));
        Ok(())
    }

    /// Creates a Job from its manifest; one of that name that exists already is left alone, unless it is being deleted: then it goes first.
    pub async fn submit_job(&self, namespace: &str, name: &str, manifest: Value) -> Result<(), Cause> {
        let job: Job = serde_json::from_value(manifest).map_err(|error| Cause::bug(format!("manifest of {name}: {error}")))?;
        let api: Api<Job> = Api::namespaced(self.kube.clone(), namespace);
        let wait =
            Wait { place: "chain", on: "the Job to be created", deadline: GONE, every: Duration::from_secs(1), stoppable: false };
        let change = Change::settle("chain", "create the Job", GONE).silent();
        self.change(change, async {
            self.wait(wait, async || {
                match self.api(&format!("create Job {name}"), async || api.create(&PostParams::default(), &job).await).await {
                    Ok(_) => Ok(Probe::Ready(())),
                    // AlreadyExists: another runner was faster, or our own answer was lost, or one is on its way out.
                    Err(cause) if cause.class == Class::Contended => {
                        let there = self.api_opt("read the Job", async || api.get(name).await).await?;
                        Ok(match there.map(|job| job.metadata.deletion_timestamp.is_some()) {
                            Some(false) => Probe::Ready(()),
                            Some(true) => Probe::Not(format!("{name} of before is being deleted")),
                            None => Probe::Not(format!("{name} of before was just deleted")),
                        })
                    }
                    Err(cause) => Err(cause),
                }
            })
            .await
        })
        .await
    }

    /// Deletes one very Job, not whatever bears its name by then, and waits until it is gone.
    pub async fn delete_job(&self, name: &str, uid: &str) -> Result<(), Cause> {
        let api: Api<Job> = Api::namespaced(self.kube.clone(), &self.namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()).filter(|_| guard::on(Guard::JobUid)),
                resource_version: None,
            }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let wait = Wait {
            place: "chain",
            on: "the Job of before to be gone",
            deadline: GONE,
            every: Duration::from_millis(500),
            stoppable: false,
        };
        let change = Change::settle("chain", "replace a Job", GONE).silent();
        self.change(change, async {
            match self.api_opt(&format!("delete the Job {name} of before"), async || api.delete(name, &params).await).await {
                // The UID is another: somebody has replaced it.
                Err(cause) if cause.class == Class::Contended => return Ok(()),
                other => drop(other?),
            }
            self.wait(wait, async || {
                let found = self.api_opt("read the Job", async || api.get(name).await).await?;
                Ok(match found.filter(|job| job.metadata.uid.as_deref() == Some(uid)) {
                    None => Probe::Ready(()),
                    Some(job) => Probe::Not(format!("finalizers {:?}", job.metadata.finalizers.unwrap_or_default())),
                })
            })
            .await
        })
        .await
    }

    /// The image that Jobs run: our own pod's, or from outside the one of the detection CronJob.
    pub async fn own_image(&self) -> Result<String, Cause> {
        let own = |containers: &[k8s_openapi::api::core::v1::Container]| {
            containers.iter().find(|container| container.name == names::PROGRAM).and_then(|container| container.image.clone())
        };
        if let Some(name) = self.identity.pod.as_deref().filter(|_| self.in_cluster) {
            let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
            let pod = self.api("read our own pod", async || api.get(name).await).await?;
            let image = pod.spec.and_then(|spec| own(&spec.containers));
            return image.ok_or_else(|| Cause::refused(format!("our own pod {name} has no container named {}", names::PROGRAM)));
        }
        let api: Api<CronJob> = Api::namespaced(self.kube.clone(), &self.namespace);
        let found = self.api_opt("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await?;
        let install = "k8s-upgrade manifests --image REF | kubectl apply -f -";
        let cronjob = found.ok_or_else(|| {
            Cause::refused(format!(
                "CronJob {}/{} does not exist: the program is not installed",
                self.namespace,
                names::DETECT_CRONJOB
            ))
            .next(install)
        })?;
        let spec = cronjob.spec.and_then(|spec| spec.job_template.spec).and_then(|spec| spec.template.spec);
        spec.and_then(|spec| own(&spec.containers)).ok_or_else(|| {
            Cause::refused(format!(
                "CronJob {} has no container named {}: it belongs to another pipeline",
                names::DETECT_CRONJOB,
                names::PROGRAM
            ))
            .next(install)
        })
    }

    /// The name of the Job that our own pod belongs to.
    pub async fn own_job(&self) -> Result<Option<String>, Cause> {
        let Some(name) = self.identity.pod.as_deref().filter(|_| self.in_cluster) else { return Ok(None) };
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let pod = self.api("read our own pod", async || api.get(name).await).await?;
        Ok(pod.metadata.labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name").cloned()))
    }

    /// Over the sum of a phase's waits: what bounds a pod that never starts, and nothing that still makes progress.
    fn job_deadline(&self, phase: Phase) -> Duration {
        let s = &self.settings;
        let waits = match phase {
            Phase::Preflight => s.alert_wait + s.backup_deadline + s.step_deadline * 2,
            Phase::Master | Phase::Worker => {
                s.soak * 2 + s.alert_wait * 2 + s.drain_deadline + s.step_deadline * 4 + s.ready_deadline * 3
            }
            Phase::Postflight => s.soak + s.resolve_wait * 2,
        };
        (waits + s.api_patience * 2 + MARGIN) * TRIES
    }
}

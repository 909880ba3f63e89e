//! Looks at all that an upgrade needs beside the cluster: CronJobs, gauges, rules. Reads only.

use std::path::Path;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::failure::Cause;
use crate::names;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{JobFact, JobState};
use crate::plan::view::health::{Cron, HealthInput, Prometheus};
use crate::run::cluster::Cluster;
use crate::run::cluster::job::{job_fact, own_container};
use crate::run::image::{self, OWN_BINARY};
use crate::run::services::Services;
use crate::settings::Settings;
use crate::world::{BINARY_FILE, World};

/// All that the checks of `status --health` are made of.
pub async fn health(services: &Services) -> Result<HealthInput, Cause> {
    let monitoring = &services.monitoring;
    Ok(HealthInput {
        facts: services.observer.observe_as_it_is().await?,
        detection: cron(&services.cluster, names::DETECT_CRONJOB).await?,
        watch: cron(&services.cluster, names::WATCH_CRONJOB).await?,
        detected: detected(&services.cluster, &services.settings).await?,
        own: own_build(&services.world),
        policies: policies(&services.cluster).await,
        gauges: match monitoring.pushes_gauges() {
            true => Some(monitoring.gauges_there().await),
            false => None,
        },
        prometheus: match monitoring.asks_alerts() {
            true => Some(Prometheus {
                rules: monitoring.rules_loaded().await,
                missing: monitoring.inputs_missing().await,
                alerts: monitoring.alerts().await,
            }),
            false => None,
        },
    })
}

/// None: there is no CronJob of that name.
pub async fn cron(cluster: &Cluster, name: &str) -> Result<Option<Cron>, Cause> {
    let api: Api<CronJob> = cluster.own();
    let found = cluster.find("read the CronJob", async || api.get(name).await).await?;
    Ok(found.and_then(|cronjob| {
        let created = cronjob.creation_timestamp().map(|time| time.0);
        let spec = cronjob.spec?;
        let zone = spec.time_zone.map_or(String::new(), |zone| format!(" ({zone})"));
        let container = own_container(spec.job_template.spec.as_ref());
        let pod = spec.job_template.spec.as_ref().and_then(|job| job.template.spec.as_ref());
        let alone = pod.is_some_and(|pod| pod.containers.len() == 1);
        Some(Cron {
            suspended: spec.suspend == Some(true),
            // Beside another one ours runs in pods of an older pipeline, into which `kubectl apply` has merged it.
            ours: container.is_some() && alone,
            image: container.and_then(|container| container.image.clone()),
            schedule: format!("{}{zone}", spec.schedule),
            created,
            last: cronjob.status.and_then(|status| status.last_schedule_time).map(|time| time.0),
        })
    }))
}

/// The admission policies with our label that are bound under their own names.
async fn policies(cluster: &Cluster) -> Answer<Vec<String>> {
    let ours = ListParams::default().labels(&format!("{}={}", names::LABEL_NAME, names::PROGRAM));
    let policies: Api<ValidatingAdmissionPolicy> = cluster.all();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = cluster.all();
    let policies = cluster.list_all("list admission policies", policies, ours.clone()).await;
    match (policies, cluster.list_all("list their bindings", bindings, ours).await) {
        (Ok(policies), Ok(bindings)) => {
            let bound: Vec<String> = bindings.iter().map(ResourceExt::name_any).collect();
            Answer::Known(policies.iter().map(ResourceExt::name_any).filter(|name| bound.contains(name)).collect())
        }
        (Err(cause), _) | (_, Err(cause)) => Answer::Unknown(cause.what),
    }
}

/// The image that the running binary would make.
fn own_build(world: &World) -> Answer<String> {
    let binary = world.files.read(Path::new(OWN_BINARY), BINARY_FILE).map_err(|error| format!("{OWN_BINARY}: {error}"));
    match binary.and_then(|binary| image::name(&binary).map_err(|cause| cause.what)) {
        Ok(name) => Answer::Known(name),
        Err(why) => Answer::Unknown(why),
    }
}

/// Detection's newest Job that has ended.
async fn detected(cluster: &Cluster, settings: &Settings) -> Result<Option<JobFact>, Cause> {
    let of_detection = ListParams::default().labels(&format!("{}={}", names::LABEL_APP, names::APP_DETECTION));
    let jobs: Api<Job> = cluster.own();
    let pods: Api<Pod> = cluster.own();
    let jobs = cluster.list_all("list detection's Jobs", jobs, of_detection.clone()).await?;
    let pods = cluster.list_all("list detection's pods", pods, of_detection).await?;
    let facts = jobs.iter().map(|job| job_fact(job, &pods, &settings.annotation_prefix));
    Ok(facts.filter(|job| job.state != JobState::Active).max_by_key(|job| job.created))
}

//! What a person is shown beside the facts: the nodes' Leases, what works on them, and whether the watch watches.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::coordination::v1::Lease as KubeLease;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::failure::Cause;
use crate::names;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::lease::Lease;
use crate::plan::model::policy::{Alerts, Gauges};
use crate::plan::view::screen::ScreenInput;
use crate::run::cluster::events;
use crate::run::cluster::job::{is_suspended, own_container};
use crate::run::guards::term::{driver, of_node, term};
use crate::run::services::Services;
use crate::settings::Settings;

/// The facts and all that a person wants to know beside them.
pub async fn screen_input(services: &Services) -> Result<ScreenInput, Cause> {
    let facts = services.observer.observe_as_it_is().await?;
    for garbled in &facts.marks.garbled {
        services.session.warn("", format!("annotation {} is not this program's: {}", garbled.key, garbled.why));
    }
    let api: Api<KubeLease> = services.cluster.own();
    let leases = services.cluster.list_all("list the Leases", api, ListParams::default()).await?;
    let driver = leases.iter().find_map(|lease| driver(lease, &services.settings.annotation_prefix));
    let watch = watch(services).await?;
    let (no_watch, installed) = (no_watch(watch.as_ref()), installed(watch.as_ref()));
    let api: Api<CronJob> = services.cluster.own();
    let detection = services.cluster.find("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await?;
    let suspended = detection.as_ref().is_some_and(is_suspended);
    let units = services.ssh.units(&facts).await;
    let warnings = warnings(services, &facts).await;
    Ok(ScreenInput {
        units,
        leases: leases.iter().filter_map(|found| lease(found, &facts)).collect(),
        driver,
        no_watch,
        suspended,
        installed,
        off: off(&services.settings),
        warnings,
        facts,
    })
}

/// The nodes' Leases, also those that have run out.
pub async fn leases(services: &Services, facts: &Facts) -> Result<Vec<Lease>, Cause> {
    let api: Api<KubeLease> = services.cluster.own();
    let leases = services.cluster.list_all("list the Leases", api, ListParams::default()).await?;
    Ok(leases.iter().filter_map(|found| lease(found, facts)).collect())
}

/// What the settings switch off that would hold a run or tell of it.
pub fn off(settings: &Settings) -> Vec<String> {
    let alerts =
        (settings.alerts == Alerts::Off, "no alerts are asked for (setting alerts): the cluster's own health alone holds a run");
    let gauges = (settings.gauges == Gauges::Off, "no gauges are pushed (setting gauges): alerts that look at them never fire");
    [alerts, gauges].into_iter().filter(|(off, _)| *off).map(|(_, says)| says.to_owned()).collect()
}

/// By Job that waits for its pod too long: what is said of it.
pub type Warnings = BTreeMap<String, Answer<Option<String>>>;

/// All of them, as they are now.
pub async fn warnings(services: &Services, facts: &Facts) -> Warnings {
    let mut warnings = Warnings::new();
    for job in facts.jobs.iter().filter(|job| job.unstarted(services.session.now()).is_some()) {
        warnings.insert(job.name.clone(), events::warning(&services.cluster, &job.uid, job.pod.as_deref()).await);
    }
    warnings
}

/// The CronJob that takes up what died, and begins what waits.
pub async fn watch(services: &Services) -> Result<Option<CronJob>, Cause> {
    let api: Api<CronJob> = services.cluster.own();
    services.cluster.find("read the watch's CronJob", async || api.get(names::WATCH_CRONJOB).await).await
}

/// Why the CronJob that takes up what died cannot, if it cannot.
pub fn no_watch(found: Option<&CronJob>) -> Option<String> {
    match found {
        None => Some(format!("CronJob {} does not exist", names::WATCH_CRONJOB)),
        Some(watch) if is_suspended(watch) => Some(format!("CronJob {} is suspended", names::WATCH_CRONJOB)),
        Some(_) => None,
    }
}

/// The image that it runs.
pub fn installed(watch: Option<&CronJob>) -> Option<String> {
    own_container(watch?.spec.as_ref()?.job_template.spec.as_ref())?.image.clone()
}

/// A node's Lease, by the node's name.
pub fn lease(lease: &KubeLease, facts: &Facts) -> Option<Lease> {
    let name = lease.name_any();
    let rest = name.strip_prefix(&format!("{}-", names::LEASE_PREFIX))?;
    let node = facts.nodes.iter().map(|node| node.name.as_str()).find(|node| of_node(node) == name).unwrap_or(rest).to_owned();
    let (holder, renewed, until) = term(lease)?;
    Some(Lease { node, holder, renewed, until })
}

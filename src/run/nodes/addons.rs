//! Looks at what addons run, where the settings say how far Kubernetes may go with them.

use kube::api::ListParams;

use crate::failure::Cause;
use crate::plan::decide::addons::{self, Runs};
use crate::plan::model::version::Version;
use crate::run::cluster::Cluster;
use crate::run::services::Services;

/// Every workload of the cluster with pods, by its images.
///
/// # Errors
/// It could not be asked.
pub async fn running(cluster: &Cluster) -> Result<Vec<Runs>, Cause> {
    let params = ListParams::default;
    let mut all = cluster.pick("list DaemonSets", cluster.all(), params(), |one| Runs::of_daemon_set(&one)).await?;
    all.extend(cluster.pick("list Deployments", cluster.all(), params(), |one| Runs::of_deployment(&one)).await?);
    all.extend(cluster.pick("list StatefulSets", cluster.all(), params(), |one| Runs::of_stateful_set(&one)).await?);
    Ok(all)
}

/// What the gate asks. An addon that runs nowhere is told of, and holds nothing: there is nothing that could fail.
///
/// # Errors
/// As [`addons::judge`]; or it could not be asked.
pub async fn allow(services: &Services, place: &str, target: Version) -> Result<(), Cause> {
    let matrix = &services.settings.addons;
    let runs = running(&services.cluster).await?;
    for (addon, _) in addons::missing(matrix, &runs) {
        services.session.warn(place, format!("no workload runs {addon}, which the setting addons names"));
    }
    addons::judge(matrix, &runs, target)
}

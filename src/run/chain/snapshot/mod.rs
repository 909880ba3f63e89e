//! The etcd snapshot before anything changes, and the two ways to it: somebody's backup CronJob, or the program itself (setting `snapshot`).

mod cronjob;
mod etcdctl;
mod look;

use crate::failure::Cause;
use crate::plan::decide::order;
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::run::services::Services;
use crate::settings::Settings;
use crate::words::{HostPath, RunId};
pub use look::Saved;

/// By whom it is taken.
enum By<'a> {
    CronJob(cronjob::CronJob<'a>),
    Etcdctl(HostPath),
}

fn by(settings: &Settings) -> Result<By<'_>, Cause> {
    match (settings.backup(), settings.snapshots()) {
        (Some(cronjob), _) => Ok(By::CronJob(cronjob)),
        (None, Some(folder)) => Ok(By::Etcdctl(folder)),
        (None, None) => Err(Cause::bug("snapshots that etcdctl takes have no folder")),
    }
}

/// Whether there could be one now; asked before the claim: a run without a snapshot must not begin.
///
/// # Errors
/// Refused: the CronJob is not there; or etcd is not kubeadm's own on a control plane, or has no room or no etcdutl there. Whatever keeps from asking.
pub async fn possible(services: &Services, facts: &Facts) -> Result<(), Cause> {
    match by(&services.settings)? {
        By::CronJob(cronjob) => cronjob::template(&services.cluster, cronjob).await.map(drop),
        By::Etcdctl(folder) => etcdctl::possible(services, &folder, facts).await,
    }
}

/// Makes a snapshot, or finds the one that this run has made, and looks at it on the control plane's host.
///
/// # Errors
/// As [`possible`]. Refused: it is no whole snapshot, or nobody could look at it and the settings refuse that.
pub async fn taken(services: &Services, facts: &Facts, target: Version, run: &RunId) -> Result<Saved, Cause> {
    match by(&services.settings)? {
        By::CronJob(cronjob) => {
            let host = order::first_control_plane(facts).ok_or_else(|| Cause::refused("no control-plane node found"))?;
            cronjob::backup(services, cronjob, host, target, run).await
        }
        By::Etcdctl(folder) => etcdctl::take(services, &folder, facts, target, run).await,
    }
}

//! What a halt sets and lifts beside its mark: the detection, the alert; and the end of what works.

use std::time::Duration;

use k8s_openapi::api::batch::v1::CronJob;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::failure::{Cause, Class};
use crate::names;
use crate::node::Inspect;
use crate::packages::IN_USE;
use crate::plan::model::facts::Facts;
use crate::plan::model::halt::Halt;
use crate::plan::model::marks::Edit;
use crate::run::cluster::job::is_suspended;
use crate::run::cluster::{Cluster, Observer, Record};
use crate::run::outside::{Monitoring, blocker};
use crate::run::session::{Change, Probe, RECORD, Session, Wait};
use crate::run::ssh::Ssh;
use crate::settings::Settings;

/// Records a halt; None lifts it.
pub async fn record_halt(observer: &Observer, record: &Record, halt: Option<&Halt>) -> Result<(), Cause> {
    record.mark_namespace("", "record the halt", &[Edit::halted(halt)]).await?;
    observer.halt_is(halt);
    Ok(())
}

/// Whether the detection's CronJob is suspended; None if there is none.
pub async fn detection_suspended(cluster: &Cluster) -> Result<Option<bool>, Cause> {
    let api: Api<CronJob> = cluster.own();
    let found = cluster.find("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await?;
    Ok(found.as_ref().map(is_suspended))
}

/// Suspends detection's CronJob, or lets it go on.
pub async fn suspend_detection(session: &Session, cluster: &Cluster, suspend: bool) -> Result<(), Cause> {
    let api: Api<CronJob> = cluster.own();
    let body = json!({ "spec": { "suspend": suspend } });
    let step = if suspend { "suspend the detection" } else { "let the detection run again" };
    session
        .change(Change::settle("halt", step, RECORD), async {
            cluster
                .call(step, async || api.patch(names::DETECT_CRONJOB, &PatchParams::default(), &Patch::Merge(&body)).await)
                .await
                .map(drop)
        })
        .await
}

/// Raises the alert that blocks upgrades and reboots, or lets go of it.
pub async fn block(monitoring: &Monitoring, on: bool) -> Result<(), Cause> {
    let step = if on { "raise the blocker alert" } else { "let go of the blocker alert" };
    monitoring.push_surely(step, names::PUSH_JOB_BLOCKER, &[blocker(on)]).await
}

/// Waits until no unit of ours works on the nodes that are out of service: neither kubeadm nor the package manager is ever cut. A node that cannot be
/// asked is not waited for, and named in `unknown`: the deletion of a Job cuts nothing there.
pub async fn units_ended(
    session: &Session,
    ssh: &Ssh,
    settings: &Settings,
    facts: &Facts,
    unknown: &mut Vec<String>,
) -> Result<(), Cause> {
    let wait = Wait {
        place: "halt",
        on: "what runs on a node to end",
        deadline: settings.step_deadline,
        every: Duration::from_secs(3),
        stoppable: false,
    };
    session
        .wait_or_hold(wait, async || {
            let mut running = Vec::new();
            for node in facts.nodes.iter().filter(|node| node.unschedulable || node.unrecorded()) {
                if unknown.contains(&node.name) {
                    continue;
                }
                match ssh.on_node(node, &Inspect::default()).await {
                    Ok(state) => running.extend(state.running().map(|step| format!("{step} on {}", node.name))),
                    Err(cause) if cause.class == Class::Bug => return Err(cause),
                    Err(cause) => {
                        session.warn(
                            &node.name,
                            format!("whether kubeadm or {} works there is unknown: {}", IN_USE.name, cause.what),
                        );
                        unknown.push(node.name.clone());
                    }
                }
            }
            Ok(if running.is_empty() { Probe::Ready(()) } else { Probe::Not(running.join(", ")) })
        })
        .await
}

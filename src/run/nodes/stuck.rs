//! Pods that their budget can never release: what a drain deletes instead, and what it says of that. Which they are is decided in
//! `plan::decide::drain` and `plan::decide::undrainable`.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::plan::decide::budgets::Budgets;
use crate::plan::decide::drain::{self, UnstickRule};
use crate::plan::decide::gates::full_name;
use crate::plan::decide::undrainable;
use crate::plan::model::policy::Unstick;
use crate::report::{Notice, span};
use crate::run::cluster::Cluster;
use crate::run::session::Session;
use crate::settings::Settings;

/// What the settings say of pods that a budget never releases. `opt_out`: the annotation's key.
pub(super) fn unstick_rule<'a>(settings: &'a Settings, opt_out: &'a str) -> UnstickRule<'a> {
    UnstickRule { unstick: settings.drain_unstick, after: settings.drain_unstick_after, opt_out, force: settings.force() }
}

/// Deletes a pod that its budget can never release, if the policy allows that for this very pod; where it is only forced, that is told to all
/// who listen.
pub(super) async fn release(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    pod: &Pod,
    budgets: &[PodDisruptionBudget],
    blocked_for: Duration,
    grace: i64,
) -> Result<(), Cause> {
    let opt_out = Mark::Unstick.key(&settings.annotation_prefix);
    let rule = unstick_rule(settings, &opt_out);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    if drain::unstick(pod, budgets, blocked_for, rule).is_ok() {
        let why = match rule.unstick {
            Unstick::All => "its eviction stays refused",
            _ => "its PodDisruptionBudget never allows an eviction, and its ReplicaSet recreates it",
        };
        let how = format!("refused for {}; {}", span(blocked_for), rule.setting());
        session.warn(&node, format!("{} is deleted: {why} ({how})", full_name(pod)));
    } else if undrainable::is_forced(pod, budgets, blocked_for, rule) {
        // The gate's own question: an autoscaler may have come meanwhile.
        let Some(says) = undrainable::never(pod, budgets, &autoscalers(cluster).await?, rule) else { return Ok(()) };
        session.notice(&node, &Notice::Forced { node: node.clone(), pod: full_name(pod), says, after: blocked_for });
    } else {
        return Ok(());
    }
    delete(cluster, pod, grace).await
}

/// Why pods that a budget holds were not deleted, and when one is.
pub(super) fn kept<'a>(settings: &Settings, held: impl Iterator<Item = &'a Pod>, budgets: &Budgets) -> Vec<String> {
    let opt_out = Mark::Unstick.key(&settings.annotation_prefix);
    let rule = unstick_rule(settings, &opt_out);
    let why = |pod: &Pod| {
        let why = drain::unstick(pod, budgets.of(pod), Duration::MAX, rule).err()?;
        Some(format!("{} is not deleted: {why}", full_name(pod)))
    };
    let mut lines: Vec<String> = held.filter_map(why).collect();
    if !lines.is_empty() {
        lines.push(rule.to_string());
    }
    lines
}

/// By its UID: another pod may have its name by now.
async fn delete(cluster: &Cluster, pod: &Pod, grace: i64) -> Result<(), Cause> {
    let api: Api<Pod> = cluster.within(&pod.namespace().unwrap_or_default());
    let params = DeleteParams {
        grace_period_seconds: u32::try_from(grace).ok(),
        preconditions: Some(Preconditions { uid: pod.uid().filter(|_| guard::on(Guard::UnstickUid)), resource_version: None }),
        ..DeleteParams::default()
    };
    match cluster.find("delete a stuck pod", async || api.delete(&pod.name_any(), &params).await).await {
        Err(cause) if cause.class == Class::Contended => Ok(()),
        other => other.map(drop),
    }
}

pub(super) async fn autoscalers(cluster: &Cluster) -> Result<Vec<HorizontalPodAutoscaler>, Cause> {
    cluster.list_all("list HorizontalPodAutoscalers", cluster.all(), ListParams::default()).await
}

//! Whether a drain of a node would come to its end: asked before anything is touched, and once more before the node is cordoned. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;

use super::drain::{budgets, may_evict, pods_on, unstick_rule};
use super::surge::{deployments, judge};
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::plan::decide::drain::{self, Fate};
use crate::plan::decide::gates::{first_few, full_name};
use crate::plan::decide::undrainable::{self, NAMED, Stuck};
use crate::plan::model::policy::Undrainable;
use crate::report::span;
use crate::run::services::Services;

/// A budget that has just lost a pod, or gained one, may seem to allow nothing for ever; so long until it is looked at again.
const AGAIN: Duration = Duration::from_secs(10);
/// So long evictions of one node are tried; an API server that is away answers none.
const ASKED: Duration = Duration::from_secs(60);

/// Which of the nodes can never be drained. What is only refused at this moment is told, for a drain waits for that.
pub async fn undrainable(services: &Services, place: &str, nodes: &[&str]) -> Result<Stuck, Cause> {
    let mut found = look(services, place, nodes, true).await?;
    if !found.is_empty() && guard::on(Guard::DrainableTwice) {
        services.session.sleep(AGAIN, true).await;
        let again: Vec<&str> = nodes.iter().copied().filter(|node| found.contains_key(*node)).collect();
        found = look(services, place, &again, false).await?;
    }
    if services.settings.undrainable == Undrainable::Try {
        for (node, pods) in &found {
            services
                .session
                .warn(place, format!("{node} is drained nevertheless (setting undrainable): {}", first_few(pods, NAMED)));
        }
    }
    Ok(found)
}

async fn look(services: &Services, place: &str, nodes: &[&str], asks: bool) -> Result<Stuck, Cause> {
    let budgets = budgets(&services.cluster).await?;
    let autoscalers: Vec<HorizontalPodAutoscaler> =
        services.cluster.list_all("list HorizontalPodAutoscalers", services.cluster.all(), ListParams::default()).await?;
    let deployments = deployments(&services.cluster, &services.settings).await?;
    let of_node = async |node: &str| {
        let pods = pods_on(&services.cluster, node).await?;
        let (stuck, others) = apart(services, &pods, &budgets, &autoscalers, &deployments).await?;
        if asks {
            let told = tell_refused(services, place, node, &others, &budgets);
            match tokio::time::timeout(ASKED, told).await {
                Ok(told) => told?,
                Err(_) => {
                    services.session.warn(place, format!("{node}: not every eviction could be tried within {}", span(ASKED)))
                }
            }
        }
        Ok::<_, Cause>((node.to_owned(), stuck))
    };
    let all = stream::iter(nodes.iter().map(|node| of_node(node))).buffered(usize::from(services.settings.parallel));
    let all: Vec<(String, Vec<String>)> = all.try_collect().await?;
    Ok(all.into_iter().filter(|(_, stuck)| !stuck.is_empty()).collect())
}

/// What can never go, with its reason; and of the rest one pod of each workload, for its others are alike.
async fn apart<'a>(
    services: &Services,
    pods: &'a [Pod],
    budgets: &[PodDisruptionBudget],
    autoscalers: &[HorizontalPodAutoscaler],
    deployments: &[Deployment],
) -> Result<(Vec<String>, Vec<&'a Pod>), Cause> {
    let opt_out = Mark::Unstick.key(&services.settings.annotation_prefix);
    let rule = unstick_rule(&services.settings, &opt_out);
    let (mut stuck, mut others, mut workloads) = (Vec::new(), Vec::new(), BTreeSet::new());
    for pod in pods.iter().filter(|pod| matches!(drain::fate(pod), Fate::Evict { .. })) {
        if let Some(says) = undrainable::never(pod, budgets, autoscalers, rule) {
            let judged = judge(&services.cluster, &services.settings, pod, budgets, deployments).await?;
            if !judged.is_some_and(|judged| judged.instead.is_ok()) {
                stuck.push(format!("{} ({says})", full_name(pod)));
            }
        } else if drain::held(pod, budgets).is_none() && workloads.insert(drain::workload(pod)) {
            others.push(pod);
        }
    }
    Ok((stuck, others))
}

/// A dry run of evictions: a webhook has a say, too. What it refuses now it may allow later.
async fn tell_refused(
    services: &Services,
    place: &str,
    node: &str,
    pods: &[&Pod],
    budgets: &[PodDisruptionBudget],
) -> Result<(), Cause> {
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods {
        services.session.safe_point(Guard::StopInWait, Guard::HaltInWait).await?;
        if let Some(says) = may_evict(&services.cluster, pod, budgets).await {
            refused.entry(says).or_default().push(full_name(*pod));
        }
    }
    for (says, pods) in refused {
        services.session.warn(place, format!("{node}: a drain would wait for {}: {says}", first_few(&pods, NAMED)));
    }
    Ok(())
}

//! Whether a drain of a node would come to its end: asked before anything is touched, and once more before the node is cordoned. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;

use super::drain::{budgets, pods_on};
use super::evictions::may_evict;
use super::stuck::{autoscalers, unstick_rule};
use super::surge::{deployments, judge};
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::plan::decide::budgets::Budgets;
use crate::plan::decide::drain::{self, Fate};
use crate::plan::decide::gates::{Occasion, first_few, full_name};
use crate::plan::decide::undrainable::{self, NAMED, Stuck};
use crate::plan::model::facts::Facts;
use crate::plan::model::halt::Skip;
use crate::plan::model::policy::Undrainable;
use crate::plan::model::version::Version;
use crate::report::span;
use crate::run::parallel;
use crate::run::services::Services;

/// A budget that has just lost a pod, or gained one, may seem to allow nothing for ever; so long until it is looked at again.
const AGAIN: Duration = Duration::from_secs(10);
/// So long evictions of one node are tried; an API server that is away answers none.
const ASKED: Duration = Duration::from_secs(60);

/// Whom of these nodes the run goes past, because they can never be drained and the settings say so.
///
/// # Errors
/// One that can never be drained is to be upgraded nevertheless: see [`undrainable::judge`].
pub async fn left_out(
    services: &Services,
    place: &str,
    nodes: &[&str],
    facts: &Facts,
    target: Version,
    occasion: Occasion,
) -> Result<Vec<Skip>, Cause> {
    let stuck = undrainable(services, place, nodes).await?;
    // What belongs to no run is left out of none; preflight is about to begin one.
    let of_run = facts.marks.in_flight || occasion == Occasion::Preflight;
    let policy = if of_run { services.settings.undrainable } else { Undrainable::Refuse };
    undrainable::judge(&stuck, facts, target, policy, occasion)
}

/// Which of the nodes can never be drained. What is only refused at this moment is told, for a drain waits for that.
async fn undrainable(services: &Services, place: &str, nodes: &[&str]) -> Result<Stuck, Cause> {
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

/// The same by the budgets' arithmetic alone, at once: no eviction is tried, and nothing is told.
pub async fn never_drained(services: &Services, nodes: &[&str]) -> Result<Stuck, Cause> {
    look(services, "", nodes, false).await
}

async fn look(services: &Services, place: &str, nodes: &[&str], asks: bool) -> Result<Stuck, Cause> {
    let budgets = budgets(&services.cluster).await?;
    let autoscalers = autoscalers(&services.cluster).await?;
    let deployments = deployments(&services.cluster, &services.settings).await?;
    let of_node = async |node: &str| {
        let pods = pods_on(&services.cluster, node).await?;
        let Apart { stuck, forced, others } = apart(services, &pods, &budgets, &autoscalers, &deployments).await?;
        if asks {
            for (pod, after) in forced {
                let text = format!("{node}: the drain deletes {pod} once it has been refused for {}", span(after));
                services.session.warn(place, format!("{text} (setting undrainable)"));
            }
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
    let all = parallel::each(&services.settings, nodes.iter().map(|node| of_node(node))).await;
    let all: Vec<(String, Vec<String>)> = all.into_iter().collect::<Result<_, Cause>>()?;
    Ok(all.into_iter().filter(|(_, stuck)| !stuck.is_empty()).collect())
}

/// The pods of a node, by what a drain makes of them.
struct Apart<'a> {
    /// Can never go, each with its reason.
    stuck: Vec<String>,
    /// Neither, and are deleted after this time.
    forced: Vec<(String, Duration)>,
    /// Of the rest one of each workload, for its others are alike.
    others: Vec<&'a Pod>,
}

async fn apart<'a>(
    services: &Services,
    pods: &'a [Pod],
    budgets: &Budgets,
    autoscalers: &[HorizontalPodAutoscaler],
    deployments: &[Deployment],
) -> Result<Apart<'a>, Cause> {
    let opt_out = Mark::Unstick.key(&services.settings.annotation_prefix);
    let rule = unstick_rule(&services.settings, &opt_out);
    let (mut stuck, mut forced, mut others, mut workloads) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
    for pod in pods.iter().filter(|pod| matches!(drain::fate(pod), Fate::Evict { .. })) {
        let budgets = budgets.of(pod);
        if let Some(says) = undrainable::never(pod, budgets, autoscalers, rule) {
            let judged = judge(&services.cluster, &services.settings, pod, budgets, deployments).await?;
            if judged.is_some_and(|judged| judged.instead.is_ok()) {
                continue;
            }
            match undrainable::force_after(pod, budgets, rule) {
                Some(after) => forced.push((format!("{} ({says})", full_name(pod)), after)),
                None => {
                    let kept = drain::may_unstick(pod, budgets, rule).err();
                    let kept = kept.map_or(String::new(), |why| format!("; not deleted: {why}"));
                    stuck.push(format!("{} ({says}{kept})", full_name(pod)));
                }
            }
        } else if drain::held(pod, budgets).is_none() && workloads.insert(drain::workload(pod)) {
            others.push(pod);
        }
    }
    Ok(Apart { stuck, forced, others })
}

/// A dry run of evictions: a webhook has a say, too. What it refuses now it may allow later.
async fn tell_refused(services: &Services, place: &str, node: &str, pods: &[&Pod], budgets: &Budgets) -> Result<(), Cause> {
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods {
        services.session.safe_point(Guard::StopInWait, Guard::HaltInWait).await?;
        if let Some(says) = may_evict(&services.cluster, pod, budgets.of(pod)).await {
            refused.entry(says).or_default().push(full_name(*pod));
        }
    }
    for (says, pods) in refused {
        services.session.warn(place, format!("{node}: a drain would wait for {}: {says}", first_few(&pods, NAMED)));
    }
    Ok(())
}

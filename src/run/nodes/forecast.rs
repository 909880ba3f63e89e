//! What a drain of a node would meet now. Reads only.

use std::time::Duration;

use super::drain::{budgets, pods_on};
use super::evictions::may_evict;
use super::stuck::{autoscalers, unstick_rule};
use super::surge::{deployments, judge};
use crate::failure::Cause;
use crate::names::Mark;
use crate::plan::decide::drain::{self, Fate, Loss};
use crate::plan::decide::gates::full_name;
use crate::plan::decide::undrainable;
use crate::run::services::Services;

/// What becomes of one pod.
#[derive(Clone, Debug)]
pub struct Forecast {
    pub pod: String,
    /// It is replaced elsewhere before it goes, by a rollout restart of its Deployment.
    pub surge: bool,
    /// Why not, though the settings ask for that and it is its Deployment's only pod.
    pub no_surge: Option<String>,
    /// What the API server says to a dry-run eviction; None: it may go.
    pub held: Option<String>,
    /// It is deleted once its eviction was refused for this time; None: it is not.
    pub forced_after: Option<Duration>,
    /// Why a pod that a budget holds is not deleted.
    pub kept: Option<String>,
    pub loses: Vec<Loss>,
}

/// Of each pod that a drain of this node moves.
pub async fn forecast(services: &Services, node: &str) -> Result<Vec<Forecast>, Cause> {
    let Services { cluster, settings, .. } = services;
    let (budgets, deployments) = (budgets(cluster).await?, deployments(cluster, settings).await?);
    let opt_out = Mark::Unstick.key(&settings.annotation_prefix);
    let rule = unstick_rule(settings, &opt_out);
    let autoscalers = if rule.force.is_some() { autoscalers(cluster).await? } else { Vec::new() };
    let mut forecast = Vec::new();
    for pod in pods_on(cluster, node).await? {
        let Fate::Evict { loses, .. } = drain::fate(&pod) else { continue };
        let budgets = budgets.of(&pod);
        let judged = judge(cluster, settings, &pod, budgets, &deployments).await?.map(|judged| judged.instead);
        let surge = matches!(judged, Some(Ok(_)));
        // Nobody is asked whether it may be evicted, where it is not.
        let held = if surge { None } else { may_evict(cluster, &pod, budgets).await };
        let never = || undrainable::never(&pod, budgets, &autoscalers, rule).is_some();
        let forced_after = undrainable::force_after(&pod, budgets, rule).filter(|_| !surge && never());
        // By one of both settings, or by none.
        let unstick =
            held.as_ref().filter(|_| drain::held(&pod, budgets).is_some()).map(|_| drain::may_unstick(&pod, budgets, rule));
        let forced_after = forced_after.or_else(|| unstick.as_ref()?.is_ok().then_some(rule.after));
        let kept = unstick.and_then(Result::err).filter(|_| forced_after.is_none());
        let no_surge = judged.and_then(Result::err);
        forecast.push(Forecast { pod: full_name(&pod), surge, no_surge, held, forced_after, kept, loses });
    }
    Ok(forecast)
}

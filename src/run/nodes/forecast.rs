//! What a drain of a node would meet now. Reads only.

use super::drain::{budgets, may_evict, pods_on};
use super::surge::{deployments, judge};
use crate::failure::Cause;
use crate::plan::decide::drain::{self, Fate, Loss};
use crate::plan::decide::gates::full_name;
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
    pub loses: Vec<Loss>,
}

/// Of each pod that a drain of this node moves.
pub async fn forecast(services: &Services, node: &str) -> Result<Vec<Forecast>, Cause> {
    let Services { cluster, settings, .. } = services;
    let (budgets, deployments) = (budgets(cluster).await?, deployments(cluster, settings).await?);
    let mut forecast = Vec::new();
    for pod in pods_on(cluster, node).await? {
        let Fate::Evict { loses, .. } = drain::fate(&pod) else { continue };
        let judged = judge(cluster, settings, &pod, &budgets, &deployments).await?.map(|judged| judged.instead);
        let surge = matches!(judged, Some(Ok(_)));
        // Nobody is asked whether it may be evicted, where it is not.
        let held = if surge { None } else { may_evict(cluster, &pod, &budgets).await };
        forecast.push(Forecast { pod: full_name(&pod), surge, no_surge: judged.and_then(Result::err), held, loses });
    }
    Ok(forecast)
}

//! `drain NODE`: as the chain does, but the cordon is the operator's and stays.

use super::{Asker, by_hand};
use crate::failure::{Cause, Failure, Outcome};
use crate::report::data::{DrainForecast, PodForecast};
use crate::report::{Printed, span};
use crate::run::guards::no_job_at_work;
use crate::run::{Services, chain, nodes};
use crate::words::command;

/// Cordons and drains by hand, as the chain does, and leaves the node cordoned. Dry, it only forecasts.
pub async fn drain(services: &Services, asker: &mut Asker, node: &str, dry_run: bool) -> Result<Outcome, Failure> {
    if services.observer.node_now(node).await.map_err(Failure::nothing_begun)?.is_none() {
        return Err(Failure::nothing_begun(Cause::usage(format!("{node} is no node of this cluster")).next("kubectl get nodes")));
    }
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    if dry_run {
        return forecast(services, node).await;
    }
    services.leases.nobody_at_work(&facts).await.map_err(Failure::nothing_begun)?;
    asker.confirm(services, &format!("{node} will be cordoned and drained; it stays cordoned.")).await?;
    by_hand(services, drained(services, node)).await
}

/// A look of its own: the question may have stood for hours.
async fn drained(services: &Services, node: &str) -> Result<Outcome, Failure> {
    no_job_at_work(&services.observer.observe().await.map_err(Failure::nothing_begun)?).map_err(Failure::nothing_begun)?;
    match nodes::drain::drain_by_hand(services, node).await {
        Ok(()) => {
            services.session.did(node, "drained; it stays cordoned");
            services.session.next(node, "let it serve again with", &command!("kubectl uncordon {}", node));
            Ok(Outcome::Done)
        }
        Err(cause) => Err(chain::failures::failure_in_run(services, node, cause).await),
    }
}

async fn forecast(services: &Services, node: &str) -> Result<Outcome, Failure> {
    let forecast = nodes::forecast::forecast(services, node).await.map_err(Failure::nothing_begun)?;
    if services.session.json {
        let pods = forecast.iter().map(|f| PodForecast {
            pod: &f.pod,
            surge: f.surge,
            no_surge: f.no_surge.as_deref(),
            held: f.held.as_deref(),
            deleted_after_seconds: f.forced_after.map(|after| after.as_secs()),
            kept: f.kept.as_deref(),
            loses: f.loses.iter().map(|loss| loss.words()).collect(),
        });
        let printed = Printed::pretty(&DrainForecast { node, pods: pods.collect() });
        printed.and_then(|printed| services.session.print(&printed)).map_err(Failure::nothing_begun)?;
    } else {
        for f in &forecast {
            let held = match &f.held {
                _ if f.surge => "restarted elsewhere first (surge)".to_owned(),
                Some(held) => format!("held: {held}"),
                None => "evictable".to_owned(),
            };
            let not = f.no_surge.as_deref().map_or(String::new(), |why| format!("  (no surge: {why})"));
            let forced =
                f.forced_after.map_or(String::new(), |after| format!("; deleted once it was refused for {}", span(after)));
            let losses: Vec<&str> = f.loses.iter().map(|loss| loss.words()).collect();
            let loses = if losses.is_empty() { String::new() } else { format!("  (loses {})", losses.join(" and ")) };
            let kept = f.kept.as_ref().map_or(String::new(), |why| format!("; not deleted: {why}"));
            services
                .session
                .print(&Printed::lines([format!("{}  {held}{forced}{kept}{not}{loses}", f.pod)]))
                .map_err(Failure::nothing_begun)?;
        }
    }
    let held: Vec<&str> = forecast.iter().filter(|f| f.held.is_some()).map(|f| f.pod.as_str()).collect();
    services.session.note(node, format!("{} pods would be evicted, {} of them are held now", forecast.len(), held.len()));
    services.session.next(node, "drain it with", &command!("k8s-upgrade drain {}", node));
    Ok(Outcome::Done)
}

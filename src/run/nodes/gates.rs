//! Asks the gates, and waits where waiting may help. What they decide is in `plan`.

use std::future::ready;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;

use crate::failure::Cause;
use crate::guard::Guard;
use crate::plan::decide::alerts::{self, Asker, Judgement, Moment};
use crate::plan::decide::gates::{Gate, Occasion};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Phase};
use crate::report::span;
use crate::run::cluster::Cluster;
use crate::run::nodes::asking::Asking;
use crate::run::services::Services;
use crate::run::session::{Probe, Wait};

/// What whoever begins a run is told, where nobody looks at alerts.
pub const ALERTS_OFF: &str = "no alerts are asked for (setting alerts: off): the cluster's own health alone holds this run";

/// And where nobody is told by gauges.
pub const GAUGES_OFF: &str =
    "no gauges are pushed (setting gauges: off): K8sUpgradeInFlight never fires, so kured does not wait for this run to end";

/// How often a closed gate is asked again.
const ASK: Duration = Duration::from_secs(10);

/// The alert gate: passes, or holds once `patience` is over. `moment` is looked at anew with each try.
pub async fn alert_gate(
    services: &Services,
    place: &str,
    patience: Duration,
    moment: impl Fn(&Facts) -> Moment,
) -> Result<(), Cause> {
    let wait = Wait {
        place,
        on: "the alert gate",
        deadline: patience,
        every: ASK.min(patience.max(Duration::from_secs(1))),
        stoppable: true,
    };
    let mut last = Judgement::Pass;
    services
        .session
        .wait_at(Gate::Alerts, wait, async || {
            let facts = services.observer.observe_nodes().await?;
            last = judged(services, moment(&facts), alerts::skewed(&facts)).await;
            Ok(match &last {
                Judgement::Pass => Probe::Ready(()),
                Judgement::Blocked(blocked) => Probe::Not(format!("firing: {}", blocked.alerts.join(", "))),
                Judgement::Unknown(why) => Probe::Not(format!("unknown: {why}")),
            })
        })
        .await?;
    let waited = if patience.is_zero() { String::new() } else { format!(" (waited {})", span(patience)) };
    match last {
        Judgement::Pass => Ok(()),
        Judgement::Blocked(blocked) => {
            let what = format!("{} alert(s) firing{waited}", blocked.alerts.len());
            let pass = blocked
                .pass
                .map(|pass| format!("the setting that would let this pass: alert-ignore: '{}'", pass.replace('\'', "''")));
            Err(Cause::hold(what).detail(blocked.alerts).detail(pass))
        }
        Judgement::Unknown(why) => {
            Err(Cause::hold(format!("whether alerts fire is not known{waited}, which counts as firing")).detail([why]))
        }
    }
}

/// What must hold before a run as before each of its nodes, whatever node it is: one more such gate is one more line here.
///
/// # Errors
/// Before a node, the first that is closed; before a run they are collected.
pub async fn before_work(
    services: &Services,
    asking: &mut Asking<'_>,
    place: &str,
    phase: Phase,
    window: Result<(), Cause>,
) -> Result<(), Cause> {
    let of_window = match asking.occasion() {
        Occasion::Preflight => Guard::WindowBeforeRun,
        _ => Guard::WindowBeforeNode,
    };
    if services.settings.policy().calendar.is_empty() {
        asking.not_here(Gate::Window, "no windows and no freezes are set");
    } else {
        asking.ask(Gate::Window, of_window, ready(window)).await?;
    }
    let guard = match asking.occasion() {
        Occasion::Preflight => Guard::AlertsBeforeRun,
        _ => Guard::AlertsBeforeNode,
    };
    if asking.occasion() == Occasion::Preflight && !services.monitoring.pushes_gauges() {
        services.session.warn(place, GAUGES_OFF);
    }
    if !services.monitoring.asks_alerts() {
        if asking.occasion() == Occasion::Preflight {
            services.session.warn(place, ALERTS_OFF);
        }
        asking.not_here(Gate::Alerts, "the setting alerts is off");
        return Ok(());
    }
    // Held already: the alerts are looked at for the person who reads this, and not waited for.
    let waits = asking.is_open() && !services.session.dry_run;
    let patience = if waits { services.settings.alert_wait } else { Duration::ZERO };
    let alerts = alert_gate(services, place, patience, |facts| Moment::of(phase, facts));
    asking.ask(Gate::Alerts, guard, alerts).await
}

/// What fires now, judged.
async fn judged(services: &Services, moment: Moment, skewed: bool) -> Judgement {
    if !services.monitoring.asks_alerts() {
        return Judgement::Pass;
    }
    let rules = if moment.ends() { services.monitoring.rules_loaded().await } else { Answer::Known(Vec::new()) };
    let (gates, alerts) = match rules {
        Answer::Known(rules) => (alerts::gates(rules), services.monitoring.alerts().await),
        // Which alerts count is not known, and so not whether one of them fires.
        Answer::Unknown(why) => (Vec::new(), Answer::Unknown(why)),
    };
    let (ignore, info_holds) = (services.settings.alert_ignore.regex(), services.settings.alert_info_holds);
    let namespace = services.cluster.namespace.as_str();
    let matchers = services.settings.alert_matchers.as_slice();
    let asker = Asker { moment, namespace, skewed, gates: &gates, ignore, matchers, info_holds };
    alerts::judge(&alerts, &asker)
}

/// All of the cluster.
pub async fn deployments(cluster: &Cluster) -> Result<Vec<Deployment>, Cause> {
    cluster.list_all("list Deployments", cluster.all(), ListParams::default()).await
}

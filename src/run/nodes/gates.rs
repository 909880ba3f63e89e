//! Asks the gates, and waits where waiting may help. What they decide is in `plan`.

use std::future::ready;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::plan::decide::alerts::{self, Asker, Judgement, Moment};
use crate::plan::decide::gates::{Gate, Occasion, full_name};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node, Phase};
use crate::plan::model::progress::Awaited;
use crate::report::span;
use crate::run::cluster::{Cluster, Observer};
use crate::run::nodes::asking::Asking;
use crate::run::services::Services;
use crate::run::session::{Probe, Session, Wait, Waited};
use crate::settings::Settings;

/// What whoever begins a run is told, where nobody looks at alerts.
pub const ALERTS_OFF: &str = "no alerts are asked for (setting alerts: off): the cluster's own health alone holds this run";

/// And where nobody is told by gauges.
pub const GAUGES_OFF: &str =
    "no gauges are pushed (setting gauges: off): K8sUpgradeInFlight never fires, so kured does not wait for this run to end";

/// How often a closed gate is asked again.
const ASK: Duration = Duration::from_secs(10);
/// Deployments have this long to become whole before a drain.
const SETTLE: Duration = Duration::from_secs(120);
/// A node must look bad this many times in a row to be a regression.
const BAD_LOOKS: usize = 3;

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
            let facts = services.observer.observe().await?;
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
        asking.not_here(Gate::Window);
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
        asking.not_here(Gate::Alerts);
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
    let asker = Asker { moment, namespace, skewed, gates: &gates, ignore, info_holds };
    alerts::judge(&alerts, &asker)
}

/// Watches health until the soak of whatever node was changed last is over; a regression holds.
pub async fn soak(session: &Session, observer: &Observer, settings: &Settings, place: &str) -> Result<(), Cause> {
    let soak = settings.soak;
    let mut bad: Vec<Vec<String>> = Vec::new();
    let begun = session.now();
    loop {
        let facts = observer.observe().await?;
        let Some(changed) = facts.managed().filter_map(|node| node.changed_at).max() else { return Ok(()) };
        let passed = session.now().duration_since(changed).unsigned_abs();
        let complaints: Vec<String> = facts.managed().filter_map(complaint).collect();
        if complaints.is_empty() {
            bad.clear();
        } else {
            bad.push(complaints);
        }
        if bad.len() >= BAD_LOOKS && guard::on(Guard::HealthInSoak) {
            return Err(Cause::hold("the cluster got worse after the last node: nothing else will be started")
                .detail(bad.pop().unwrap_or_default()));
        }
        // A soak that was over before is no reason to look: what a node needs is asked before it.
        let over = session.now().duration_since(begun).unsigned_abs() + soak < passed;
        if passed >= soak && (bad.is_empty() || over) {
            let took = session.now().duration_since(begun).unsigned_abs();
            if took > Duration::from_secs(1) {
                session.note(place, format!("soaked, {}", span(took)));
            }
            return Ok(());
        }
        session.safe_point(Guard::StopInSoak, Guard::HaltInSoak).await?;
        let left = soak.saturating_sub(passed);
        let gate = (!bad.is_empty()).then(|| Gate::Soak.row().id.to_owned());
        let on = Awaited { gate, ..Awaited::soak(bad.last().map_or(&[], Vec::as_slice)) };
        session.emit(&crate::report::Event::Waiting { place: place.into(), on, left });
        let pause = if bad.is_empty() { ASK.min(left.max(Duration::from_secs(1))) } else { ASK };
        session.sleep(pause, guard::on(Guard::StopInSoak)).await;
    }
}

/// All of the cluster.
pub async fn deployments(cluster: &Cluster) -> Result<Vec<Deployment>, Cause> {
    cluster.list_all("list Deployments", cluster.all(), ListParams::default()).await
}

/// Deployments that are whole now, as `namespace/name`: what a node's upgrade must give back.
pub async fn whole_deployments(cluster: &Cluster) -> Result<Vec<String>, Cause> {
    Ok(deployments(cluster).await?.iter().filter(|deployment| whole(deployment)).map(full_name).collect())
}

/// Those of the Deployments that are not whole, as a probe.
async fn all_whole(cluster: &Cluster, counts: impl Fn(&str) -> bool) -> Result<Probe<()>, Cause> {
    let deployments = deployments(cluster).await?;
    let missing = deployments.iter().filter(|deployment| !whole(deployment)).map(full_name).filter(|name| counts(name));
    let missing: Vec<String> = missing.collect();
    Ok(if missing.is_empty() { Probe::Ready(()) } else { Probe::Not(missing.join(", ")) })
}

/// Gives Deployments time to become whole before a drain: a runner that was killed after the last node knows no "before". What is
/// still not whole then was broken by something else, and is for alerts to judge.
pub async fn workloads_settled(session: &Session, cluster: &Cluster, place: &str) -> Result<(), Cause> {
    let wait = Wait {
        place,
        on: "Deployments to have all their replicas",
        deadline: SETTLE,
        every: Duration::from_secs(2),
        stoppable: true,
    };
    if let Waited::Late(missing) = session.wait_at(Gate::Workloads, wait, async || all_whole(cluster, |_| true).await).await? {
        session.warn(place, format!("without all replicas before this run touched the node: {missing}"));
    }
    Ok(())
}

/// Waits until the Deployments that were whole before are so again: two drains in a row must not take both of two replicas.
pub async fn workloads_back(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    place: &str,
    before: &[String],
) -> Result<(), Cause> {
    let wait = Wait {
        place,
        on: "Deployments to be Available again",
        deadline: settings.ready_deadline,
        every: Duration::from_secs(2),
        stoppable: true,
    };
    session
        .hold_at(Gate::Workloads, wait, async || all_whole(cluster, |name| before.iter().any(|whole| whole == name)).await)
        .await
}

/// What is wrong with a node that should serve.
fn complaint(node: &Node) -> Option<String> {
    if !node.ready {
        return Some(format!("{} is not Ready", node.name));
    }
    (!node.pressures.is_empty()).then(|| format!("{}: {}", node.name, node.pressures.join(", ")))
}

fn available(deployment: &Deployment) -> bool {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Available" && condition.status == "True"))
}

/// All replicas that are wanted are there: Available alone allows a quarter to be missing.
fn whole(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let there = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    available(deployment) && there >= wanted
}

//! One phase each for nodes and the end of a run; who calls them (a Job, an operator, `start --local`) makes no difference.

use std::future::ready;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::permit::ChangeClass;
use crate::plan::decide::alerts::Moment;
use crate::plan::decide::entry::{self, Entry};
use crate::plan::decide::gates::{Gate, Occasion, PodsReady};
use crate::plan::decide::when::{self, Closed};
use crate::plan::decide::{gates, order, paused};
use crate::plan::model::answer::Verdict;
use crate::plan::model::baseline::Baseline;
use crate::plan::model::facts::{Facts, JobFact, Node, Phase};
use crate::plan::model::halt::Skip;
use crate::plan::model::marks::{Edit, RunMarks};
use crate::plan::model::resting::Resting;
use crate::plan::model::version::Version;
use crate::plan::view::news::News;
use crate::report::Notice;
use crate::run::cluster::{Cluster, Lean, Observer, Record};
use crate::run::nodes;
use crate::run::nodes::asking::Asking;
use crate::run::nodes::etcd::Disks;
use crate::run::services::Services;
use crate::run::session::{Probe, Session, Wait};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{RunId, command};

/// How a node's phase has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePhase {
    /// Its turn is over.
    Done,
    /// It has not had its turn: the run rests until a window opens.
    Rests,
}

/// One node: gates, its work, its soak. A node that is gone or done already ends well.
pub async fn node_phase(services: &Services, name: &str, target: Version, run: &RunId) -> Result<NodePhase, Cause> {
    services.journal.begin(run, name).await;
    services.session.about(Some(run), Some(target), Some(name));
    let facts = nodes::upgrade::observe_turn(&services.observer, name, target).await?;
    if !services.session.chain {
        services.halt.not_halted(Guard::HaltBeforeChange).await?;
    }
    if services.session.held {
        // A step that held, begun again, is no progress until its gates let it pass.
        services.monitoring.push_marks(&facts.marks).await;
    } else {
        services.monitoring.push_run(&facts.marks).await;
    }
    let Some(node) = facts.node(name) else {
        services.session.warn(name, "is no node of this cluster any more: nothing to do");
        return Ok(NodePhase::Done);
    };
    if services.session.identity.node.as_deref() == Some(name) && guard::on(Guard::OwnNode) {
        return Err(Cause::refused(format!("this pod runs on {name}: it must not drain its own node")));
    }
    if let Some(back) = facts.marks.stands_by().filter(|_| guard::on(Guard::CanaryBackStands)) {
        return Err(nodes::canary::stands(services, &facts, back, name, run).await);
    }
    let waves = services.settings.waves().on();
    let mut before = Asking::at(Occasion::BeforeNode, &services.session, name);
    before.heard(Gate::Order, in_turn(&facts, node, target))?;
    let mut after = Asking::at(Occasion::AfterNode, &services.session, name);
    let baseline = nodes::regression::baseline(services, name, &facts, run).await?;
    // An earlier runner came to its end, and said so.
    let soak = services.settings.policy().soak_of(node);
    let over = |changed| services.session.now().duration_since(changed).unsigned_abs() >= soak;
    let (done, kubelet_waits) = (facts.is_done_for_now(node, target), facts.kubelet_waits(node, target));
    let said = kubelet_waits || (done && node.changed_at.is_none_or(over));
    if done && guard::on(Guard::FinishedNode) {
        // In waves a Job beside it may have created what is newer.
        if !waves && followed(services, &facts, run).await? {
            // What that one drives away from the next node would look like harm done by this one.
            nodes::upgrade::skipped(&services.session, name, "upgrade", "the Job that follows it is there");
            return Ok(NodePhase::Done);
        }
        services.halt.not_halted(Guard::HaltBeforeChange).await?;
        nodes::upgrade::skipped(&services.session, name, "upgrade", &format!("it is at {target} already"));
    } else {
        // Of one that serves at the target only the hook after it is left.
        let entered = match facts.serves_for_now(node, target) {
            true => Ok(Entered::Begun),
            false => entered(services, before, &facts, node, target, run, &baseline).await,
        };
        let begun = match entered {
            Ok(Entered::Begun) => true,
            Ok(Entered::Open) => false,
            Ok(Entered::LeftOut(skip)) => {
                nodes::hooks::finish_alone(services, node).await?;
                super::preflight::leave_out(services, name, run, target, &facts.marks.left_out, vec![skip]).await?;
                return Ok(NodePhase::Done);
            }
            Ok(Entered::Rests(closed)) => {
                nodes::hooks::finish_alone(services, node).await?;
                return rests(services, &facts, name, target, run, closed).await.map(|()| NodePhase::Rests);
            }
            Err(cause) => return Err(nodes::hooks::give_up_alone(services, node, cause).await),
        };
        services.monitoring.push_run(&facts.marks).await;
        if facts.marks.resting.is_some() && facts.marks.is_of(run) {
            services.record.mark_run(run, name, "record that the run rests no more", &[Edit::remove(Mark::Resting)]).await?;
        }
        let class = if begun { ChangeClass::Settle } else { ChangeClass::Prepare };
        if let Err(cause) = nodes::upgrade::upgrade_node(services, name, target, run, class, &mut after).await {
            return Err(nodes::canary::or_back(services, &after, name, run, cause).await);
        }
        services.monitoring.push_run(&facts.marks).await;
    }
    if let Err(cause) = after_node(services, node, &mut after, &baseline).await {
        return Err(nodes::canary::or_back(services, &after, name, run, cause).await);
    }
    after.end()?;
    // What comes next at this place is news again: a control plane may have a second turn.
    if let (false, Some(run)) = (facts.marks.told.is_empty(), &facts.marks.run_id) {
        let left = |now: &RunMarks| vec![Edit::told(&News::without(&now.told, name, waves))];
        services.record.amend_run(run, name, "forget what Slack was told", left).await?;
    }
    if !said {
        services.session.notice(name, &Notice::NodeDone { node: name.to_owned(), target });
    }
    Ok(NodePhase::Done)
}

/// The gates after a node, and its soak.
async fn after_node(services: &Services, node: &Node, after: &mut Asking<'_>, baseline: &Baseline) -> Result<(), Cause> {
    // Of a runner before this one nothing else says what was whole before its node.
    let back = workloads_back(services, &node.name, baseline);
    after.pass(Gate::Workloads, Guard::WorkloadsAfterNode, back).await?;
    if node.control_plane {
        let alerts = nodes::gates::alert_gate(services, &node.name, services.settings.alert_wait, |_| Moment::Upgrading);
        after.pass(Gate::Alerts, Guard::AlertsAfterControlPlane, alerts).await?;
    } else {
        after.not_here(Gate::Alerts, "they are asked before the next node");
    }
    nodes::regression::watch(services, after, baseline).await
}

/// A runner of this very Job has created its successor, and died before its own end.
async fn followed(services: &Services, facts: &Facts, run: &RunId) -> Result<bool, Cause> {
    if !services.session.chain {
        return Ok(false);
    }
    let Some(own) = services.cluster.own_job().await? else { return Ok(false) };
    let created = facts.jobs.iter().find(|job| job.name == own).and_then(|job| job.created);
    let later = |job: &JobFact| job.name != own && job.run.as_ref() == Some(run) && job.created > created;
    Ok(created.is_some() && facts.jobs.iter().any(later))
}

/// The window has come to its end before this node: the Job ends well, and the watch goes on in the next one.
async fn rests(
    services: &Services,
    facts: &Facts,
    name: &str,
    target: Version,
    run: &RunId,
    closed: Closed,
) -> Result<(), Cause> {
    let Closed { until, why } = closed.clone();
    // A Job that the watch took up too early tells nothing new.
    let former = facts.marks.resting.as_ref().filter(|former| former.until == until && until.is_some());
    let since = former.map_or_else(|| services.session.now(), |former| former.since);
    let resting = Resting { node: name.to_owned(), since, until, why };
    services.record.mark_run(run, name, "record that the run rests", &[Edit::resting(&resting)]).await?;
    if former.is_none() {
        services.session.notice(name, &Notice::Rests { target, node: name.to_owned(), closed: closed.to_string() });
    }
    Ok(())
}

/// How a node's turn begins.
enum Entered {
    /// Its upgrade has begun, and is to be finished.
    Begun,
    /// Every gate is open.
    Open,
    /// It can never be drained, and the run goes past it.
    LeftOut(Skip),
    /// No window has room for it.
    Rests(Closed),
}

async fn entered(
    services: &Services,
    before: Asking<'_>,
    facts: &Facts,
    node: &Node,
    target: Version,
    run: &RunId,
    baseline: &Baseline,
) -> Result<Entered, Cause> {
    if enter(services, facts, node, target, run).await? {
        return Ok(Entered::Begun);
    }
    // A Job does not wait for days. Looked at once more after the gates, which take their time.
    let rests = async || {
        let policy = nodes::window::policy(&services.cluster, &services.settings).await;
        let needs = when::needs_of(facts, node, &policy);
        let closed = nodes::window::closed(services, facts, run, &policy.calendar_of(node), needs);
        closed.filter(|_| guard::on(Guard::WindowBeforeNode))
    };
    let window = match rests().await {
        Some(closed) if services.session.chain => return Ok(Entered::Rests(closed)),
        closed => closed.map_or(Ok(()), |closed| Err(closed.cause())),
    };
    if let Some(skip) = before_disruption(services, before, facts, node, target, window, baseline).await? {
        return Ok(Entered::LeftOut(skip));
    }
    match rests().await {
        Some(closed) if services.session.chain => Ok(Entered::Rests(closed)),
        Some(closed) => Err(closed.cause().next(Gate::Window.row().advice())),
        None => Ok(Entered::Open),
    }
}

/// Before the gates of a node: what an earlier runner of ours has left. True if its upgrade has begun, and is to be finished without
/// asking any: it is out of service, and waiting makes nothing better.
async fn enter(services: &Services, facts: &Facts, node: &Node, target: Version, run: &RunId) -> Result<bool, Cause> {
    let begun = node.unschedulable && nodes::inspect::has_begun(&services.ssh, node, &target.to_string()).await?;
    match entry::entry(node, begun, services.halt.halted().is_some()) {
        Entry::Finish => {
            services
                .session
                .note(&node.name, "out of service, and its upgrade has begun: that is finished before any gate is asked");
            return Ok(true);
        }
        // Gates may take half an hour, and a halt for good; nothing on the node was changed, so it serves meanwhile.
        Entry::GiveBack => {
            services.leases.acquire_for(&node.name, ChangeClass::Settle).await?;
            let back =
                cordon_back(&services.observer, &services.record, &services.ssh, &services.settings, &node.name, target).await;
            if services.leases.release().await.and(back)? {
                return Ok(true);
            }
            nodes::give_up::cut_off(services, facts, node, run).await;
        }
        Entry::Gates | Entry::Stop => {}
    }
    services.halt.not_halted(Guard::HaltBeforeChange).await.map(|()| false)
}

/// Our cordon goes, looked at once more under the Lease. True if the node's work has begun after all: then it stays, to be finished.
async fn cordon_back(
    observer: &Observer,
    record: &Record,
    ssh: &Ssh,
    settings: &Settings,
    name: &str,
    target: Version,
) -> Result<bool, Cause> {
    let Some(node) = observer.node_now(name).await? else { return Ok(false) };
    let begun = nodes::inspect::has_begun(ssh, &node, &target.to_string()).await?;
    match (begun, node.unschedulable) {
        (true, true) => return Ok(true),
        // A person let it serve half changed. That is theirs to say; what it had before stays on record.
        (true, false) => nodes::cordon::leave_cordon_held(record, settings, name, true).await?,
        (false, _) => nodes::cordon::take_cordon_back(record, settings, name, None).await?,
    }
    Ok(false)
}

/// What must hold before a node is taken out of service. A worker that can never be drained may be left out instead.
async fn before_disruption(
    services: &Services,
    mut asking: Asking<'_>,
    facts: &Facts,
    node: &Node,
    target: Version,
    window: Result<(), Cause>,
    baseline: &Baseline,
) -> Result<Option<Skip>, Cause> {
    let name = node.name.as_str();
    asking.pass(Gate::Packages, Guard::PackagesOffered, nodes::prepare::offered(services, node, target)).await?;
    nodes::regression::watch(services, &mut asking, baseline).await?;
    let phase = if node.control_plane { Phase::Master } else { Phase::Worker };
    nodes::gates::before_work(services, &mut asking, name, phase, window).await?;
    let settled = workloads_back(services, name, baseline);
    asking.pass(Gate::Workloads, Guard::WorkloadsBeforeNode, settled).await?;
    let policy = services.settings.policy();
    // One after the other, whoever has created this Job is about to end.
    let hosts = policy.waves.on() && order::may_host(facts, &policy, name);
    let wait = Wait { place: name, on: "the cluster to be fit", deadline: FIT, every: Duration::from_secs(3), stoppable: true };
    services
        .session
        .wait_or_hold(wait, async || {
            let facts = match hosts {
                true => services.observer.observe().await?,
                false => services.observer.observe_nodes().await?,
            };
            let nobody = if hosts { gates::hosts_nobody(&facts, name) } else { Verdict::Pass };
            let at = (order::ahead(&facts, target) != Some(name)).then_some(target);
            let now = services.session.now();
            let ready = gates::nodes_ready(&facts, &policy, now);
            let alone = gates::one_at_a_time(&facts, &policy, name, now);
            let quiet = gates::quiet_before(&facts, name, &policy, now);
            let control_plane = if node.control_plane { Verdict::Pass } else { gates::control_plane(&facts, at) };
            Ok(asking.look([
                (Gate::Nodes, Guard::NodesReadyBeforeNode, Verdict::all([ready, quiet])),
                (Gate::ApiServers, Guard::ApiServersReadyBeforeNode, gates::apiservers_ready(&facts)),
                (Gate::OneAtATime, Guard::AloneBeforeNode, Verdict::all([alone, nobody])),
                (Gate::ControlPlane, Guard::ControlPlaneBeforeWorker, control_plane),
            ]))
        })
        .await
        .map_err(|cause| asking.late(cause))?;
    let lost = nodes::losses::nothing_lost_on(&services.cluster, &services.observer, &services.ssh, &services.settings, node);
    asking.pass(Gate::ChangesByHand, Guard::NothingLostOnNode, lost).await?;
    let mut left_out = None;
    let drainable = async {
        left_out = nodes::drainable::left_out(services, name, &[name], facts, target, Occasion::BeforeNode).await?.pop();
        Ok(())
    };
    asking.pass(Gate::Drainable, Guard::DrainableBeforeNode, drainable).await?;
    asking.end().map(|()| left_out)
}

/// The end of a run: everything is verified, then cleared and told. `run`: the one that a Job is for; a person ends what is in flight.
pub async fn postflight(services: &Services, target: Version, run: Option<&RunId>) -> Result<(), Cause> {
    let place = Phase::Postflight.word();
    let marks = services.observer.marks().await?;
    let of_run = |is: bool| {
        let other = || Cause::contended("the run in flight is not the one that this was begun for").next(Advice::status());
        is.then_some(()).ok_or_else(other)
    };
    of_run(run.is_none_or(|run| marks.run_id.as_ref() == Some(run)) || !guard::on(Guard::RunBeforePostflight))?;
    services.session.about(marks.run_id.as_deref(), Some(target), None);
    if let Some(run) = marks.run_id.as_ref().filter(|_| marks.in_flight) {
        services.journal.begin(run, place).await;
    }
    let mut asking = Asking::at(Occasion::Postflight, &services.session, place);
    let facts = services.observer.observe().await?;
    let baseline = match run.or(facts.marks.run_id.as_ref()) {
        Some(run) => nodes::regression::baseline(services, place, &facts, run).await?,
        None => nodes::regression::taken(services, place, &facts, Disks::default()).await?,
    };
    nodes::regression::watch(services, &mut asking, &baseline).await?;
    let facts = services.observer.observe().await?;
    services.halt.not_halted(Guard::HaltBeforeEnd).await?;
    let at_target = gates::at_target(&facts, target).into_result("the cluster is not at the target");
    asking.pass(Gate::Target, Guard::TargetBeforeEnd, ready(at_target)).await?;
    // Progress: a run that stalled on its way here must not be held by the alert that says so.
    services.monitoring.push_run(&facts.marks).await;
    let patience = services.settings.resolve_wait;
    let alerts = nodes::gates::alert_gate(services, place, patience, |facts| Moment::of(Phase::Postflight, facts));
    asking.pass(Gate::Alerts, Guard::AlertsBeforeEnd, alerts).await?;
    asking
        .pass(Gate::Pods, Guard::PodsReadyBeforeEnd, pods_ready(&services.session, &services.cluster, &services.settings))
        .await?;
    // A node may have joined, or been reinstalled, while that was waited for: it is part of this run.
    let facts = services.observer.observe().await?;
    let same = (facts.marks.in_flight, &facts.marks.run_id) == (marks.in_flight, &marks.run_id);
    of_run(same || !guard::on(Guard::RunAfterPostflight))?;
    let at_target = gates::at_target(&facts, target).into_result("the cluster is not at the target any more");
    asking.pass(Gate::Target, Guard::TargetBeforeEnd, ready(at_target)).await?;
    asking.end()?;
    // Of one that was skipped by force.
    for node in facts.nodes.iter().filter(|node| node.hook_is_owed()) {
        match node.is_begun() {
            true => nodes::hooks::disown(services, node).await?,
            false => nodes::hooks::finish_alone(services, node).await?,
        }
    }
    for node in facts.managed() {
        services.leases.expire(&node.name).await?;
    }
    if services.session.chain {
        services.leases.expire_driver().await?;
    }
    // Gauges first: a crash in between leaves a run that postflight ends again.
    services.monitoring.push_run(&facts.marks.ended()).await;
    services.record.clear_run(place, &facts.marks, &[]).await?;
    let done = Notice::Done {
        target,
        took: facts.marks.started.map(|started| services.session.now().duration_since(started).unsigned_abs()),
        excluded: facts.nodes.iter().filter(|node| node.excluded).map(|node| node.name.clone()).collect(),
        skipped: facts.marks.passed_over().cloned().collect(),
    };
    services.session.notice(place, &done);
    Ok(())
}

/// Workloads that were whole when the run was claimed are so again.
async fn workloads_back(services: &Services, place: &str, baseline: &Baseline) -> Result<(), Cause> {
    let Services { session, cluster, settings, .. } = services;
    nodes::regression::workloads_back(session, cluster, settings, place, |key| baseline.was_whole(key)).await
}

/// Waits until enough pods are Ready: what a drain drove away may still be on its way.
async fn pods_ready(session: &Session, cluster: &Cluster, settings: &Settings) -> Result<(), Cause> {
    let wait = Wait {
        place: Phase::Postflight.word(),
        on: "pods to be Ready",
        deadline: settings.resolve_wait,
        every: Duration::from_secs(5),
        stoppable: true,
    };
    let policy = settings.policy();
    session
        .hold_at(Gate::Pods, wait, async || {
            let count = |counted: &mut PodsReady, Lean(pod): Lean<Pod>| counted.count(&pod);
            let counted = cluster.fold("list pods", cluster.all(), ListParams::default(), PodsReady::default, count).await?;
            Ok(match gates::pods_ready(&counted, &policy) {
                Verdict::Pass => Probe::Ready(()),
                Verdict::Hold(reasons) | Verdict::Refuse(reasons) => Probe::Not(reasons.join("; ")),
            })
        })
        .await
}

/// A restart of the kubelet or the API server may make a cluster look unfit for a moment; this long it is waited for.
const FIT: Duration = Duration::from_secs(120);

/// All control planes before the workers, but for one that goes ahead: a kubelet is never newer than an API server.
fn in_turn(facts: &Facts, node: &Node, target: Version) -> Result<(), Cause> {
    if node.excluded && guard::on(Guard::ExcludedNode) {
        return Err(Cause::refused(format!("{} is excluded by the settings", node.name)));
    }
    paused::not_paused(facts, node, target)?;
    if node.control_plane {
        // `kubeadm upgrade node` follows the configuration that `kubeadm upgrade apply` writes, which runs on the first one alone.
        return match order::first_control_plane(facts) {
            Some(first)
                if first.name != node.name && !first.components_at(target) && guard::on(Guard::FirstControlPlaneFirst) =>
            {
                Err(Cause::refused(format!("{} comes first: it is not at {target} yet", first.name)).next(command!(
                    "k8s-upgrade upgrade-node {} --target {}",
                    first.name,
                    target
                )))
            }
            _ => Ok(()),
        };
    }
    let behind: Vec<String> = facts
        .nodes
        .iter()
        .filter(|other| other.control_plane && !other.components_at(target))
        .map(|other| other.name.clone())
        .collect();
    let ahead = order::ahead(facts, target) == Some(node.name.as_str());
    if behind.is_empty() || ahead || !guard::on(Guard::ControlPlanesFirst) {
        return Ok(());
    }
    Err(Cause::refused(format!("all control planes come before any worker: {} is older than {target}", behind.join(", ")))
        .next(command!("k8s-upgrade upgrade-node {} --target {}", behind[0], target)))
}

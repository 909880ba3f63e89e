//! A node's work: cordon → drain → kubeadm package → `kubeadm upgrade` → kubelet packages and restart → Ready at version →
//! uncordon → verify. Each is looked at first: is it needed? So it may be killed anywhere and started again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::asking::Asking;
use super::give_up::{Before, give_up, in_vain, tried_enough};
use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{Inspect, NodeState, Step};
use crate::permit::ChangeClass;
use crate::plan::decide::gates::Gate;
use crate::plan::decide::gates::{self, Occasion, Turn};
use crate::plan::decide::order;
use crate::plan::decide::paused;
use crate::plan::decide::runtime::Decision;
use crate::plan::decide::workloads::Workload;
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::held_drain::HeldDrain;
use crate::plan::model::marks::Edit;
use crate::plan::model::version::{UpgradeKind, Version, or_unknown};
use crate::plan::model::work;
use crate::report::span;
use crate::run::cluster::Observer;
use crate::run::services::Services;
use crate::run::session::{Change, Probe, RECORD, Session, Wait, Waited};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{Revision, RunId, command};

/// So long a runner that goes first waits for another to give way. Who does not by then has seen nobody, and is at work.
const YIELD: Duration = Duration::from_secs(30);
/// Looks in a row that must find a control plane whole: a kubelet's restart onto a new minor takes the API away two seconds later.
const STEADY: u32 = 4;

/// So long a static pod that was just restarted may be missing from a list.
const SHOWN: Duration = Duration::from_secs(60);

/// A kubelet that waits for another API server has its former package: any restart would take up a newer one. Which one server does not
/// show is soon known, so that node stays out of service until then.
fn kubelet_may_wait(facts: &Facts, state: &NodeState, target: &str) -> Result<(), Cause> {
    let hidden = facts.hidden_servers();
    if hidden.is_empty() || state.kubelet_is_former(target) {
        return Ok(());
    }
    let what = format!(
        "it stays cordoned: its kubelet's package is new, and may be started only once every API server is; that of {} shows no version",
        hidden.join(", ")
    );
    Err(Cause::hold(what).next("kubectl get pods -n kube-system -l component=kube-apiserver -o wide"))
}

/// Upgrades one node to `target`; done already is no error. Ends with the node in service, or says what state it is in. `class`: to
/// finish what was begun settles. `after`: the gates after a node, of which one is asked before its Lease is given back.
pub async fn upgrade_node(
    services: &Services,
    name: &str,
    target: Version,
    run: &RunId,
    class: ChangeClass,
    after: &mut Asking<'_>,
) -> Result<(), Cause> {
    services.leases.holding(name, class, upgrade_held(services, name, target, run, after)).await
}

/// The facts are looked at under the Lease: while we waited for it, another runner may have done it all.
async fn upgrade_held(
    services: &Services,
    name: &str,
    target: Version,
    run: &RunId,
    after: &mut Asking<'_>,
) -> Result<(), Cause> {
    let facts = observe_turn(&services.observer, name, target).await?;
    let node = facts.node(name).ok_or_else(|| Cause::step(format!("{name} was deleted from the cluster")))?;
    if facts.serves_for_now(node, target) && guard::on(Guard::FinishedNode) {
        skipped(&services.session, name, "upgrade", &format!("another runner brought it to {target}"));
        return super::hooks::finish(services, name, None).await;
    }
    let to = target.to_string();
    let state = settled_state(&services.session, &services.ssh, &services.settings, node).await?;
    if node.is_upgraded(target) && state.finished(&to) && guard::on(Guard::FinishedNode) {
        back_in_service(services, node, target, target, None).await?;
        return super::hooks::finish(services, name, None).await;
    }
    let begun = super::inspect::begun(node, &state, &to);
    let before = Before { begun, rested: node.changed_at.filter(|_| !begun && state.rests(&to)) };
    let limit = services.settings.drain_deadlines();
    let held = facts.marks.held_drain_of(name).filter(|held| !begun && held.out() >= limit && guard::on(Guard::DrainDeadlines));
    if let Some(held) = held {
        return Err(super::hooks::give_up(services, node, tried_enough(name, held)).await);
    }
    // Its gates may have taken half an hour, in which a person has thought better of it.
    if let Err(paused) = paused::not_paused(&facts, node, target)
        && !begun
    {
        return Err(paused);
    }
    let known = async {
        let runtime = runtime(services, &facts, node, &state).await?;
        let whole = super::regression::workloads(&services.cluster).await?.into_iter().filter(Workload::is_whole);
        let whole: BTreeSet<String> = whole.map(|workload| workload.key()).collect();
        if !begun && super::hooks::before(services, node).await? {
            still_drainable(services, &facts, name, target).await?;
        }
        Ok((runtime, whole))
    };
    let (runtime, whole) = match known.await {
        Ok(known) => known,
        Err(cause) if begun => return Err(cause),
        Err(cause) => return Err(super::hooks::give_up(services, node, cause).await),
    };
    let since = Instant::now();
    if let Err(cause) =
        super::cordon::cordon(&services.session, &services.record, &services.settings, node, &state, &to, run).await
    {
        let back = give_up(services, node, before, &to, &cause).await;
        return Err(if back { super::hooks::give_up(services, node, cause).await } else { cause });
    }
    if !begun && let Err(cause) = our_turn(&services.session, &services.observer, &services.settings, name).await {
        // Nothing on the node was changed. (Whose Lease is lost changes nothing: this is refused, too.)
        if let Err(back) = super::cordon::take_cordon_back(&services.record, &services.settings, name, None).await {
            services.session.warn(name, format!("our cordon could not be taken back: {}", back.what));
            return Err(cause);
        }
        return Err(super::hooks::give_up(services, node, cause).await);
    }
    let drained = drain(services, &facts, name, begun).await;
    // A drain that came to its deadline; what stops it otherwise is no sign that it cannot end.
    let held = drained.as_ref().is_err_and(|cause| cause.class == Class::Hold);
    let replaced = match drained {
        Ok(()) => replace(services, &facts, node, &state, target, run, runtime).await,
        Err(cause) => Err(cause),
    };
    let kubelet = match replaced {
        Ok(kubelet) => kubelet,
        Err(cause) => {
            let back = give_up(services, node, before, &to, &cause).await;
            let out = since.elapsed();
            let cause = if back && held { in_vain(services, &facts, name, out, run, cause).await } else { cause };
            return Err(if back { super::hooks::give_up(services, node, cause).await } else { cause });
        }
    };
    back_in_service(services, node, target, kubelet, Some(since)).await?;
    super::hooks::finish(services, name, None).await?;
    let back = super::regression::workloads_back(&services.session, &services.cluster, &services.settings, name, |key| {
        whole.contains(key)
    });
    after.pass(Gate::Workloads, Guard::WorkloadsAfterNode, back).await
}

/// No more nodes at a time than may be, whoever takes them out: runners may have passed that gate together, and see each other only now that
/// all have cordoned. The first go on; the others have to put their nodes back into service.
pub async fn our_turn(session: &Session, observer: &Observer, settings: &Settings, name: &str) -> Result<(), Cause> {
    let policy = settings.policy();
    let wait = Wait {
        place: name,
        on: "no other node to be out of service by our doing",
        deadline: YIELD,
        every: Duration::from_secs(1),
        stoppable: true,
    };
    let turn = session
        .wait_or_not(wait, async || {
            let facts = observer.observe_nodes().await?;
            let turn = || gates::turn(&facts, &policy, name, session.now());
            let turn = if guard::on(Guard::TurnAfterCordon) { turn() } else { Turn::Ours };
            Ok(match turn {
                Turn::Ours => Probe::Ready(Ok(())),
                Turn::Wait(others) => Probe::Not(others.join(", ")),
                Turn::GiveWay(others) => Probe::Ready(Err(others.join(", "))),
            })
        })
        .await;
    let cause = match turn {
        Ok(Waited::Ready(Ok(()))) => return Ok(()),
        Ok(Waited::Ready(Err(others)) | Waited::Late(others)) => {
            Cause::contended(format!("out of service at the same moment, and no place is left: {others}")).next(Advice::status())
        }
        Err(cause) => cause,
    };
    Err(cause)
}

/// What the node looks like once nothing of an earlier runner's works on it any more.
async fn settled_state(session: &Session, ssh: &Ssh, settings: &Settings, node: &Node) -> Result<NodeState, Cause> {
    let state = ssh.on_node(node, &Inspect::default()).await?;
    let Some(step) = state.running().filter(|_| guard::on(Guard::EarlierWorkEnds)) else { return Ok(state) };
    session.note(&node.name, format!("{step} is still running there, begun by an earlier runner"));
    let change = Change::settle(&node.name, "finish what an earlier runner began", settings.step_deadline);
    // Its failure is no end: the steps that follow look at what is, and run what is needed again.
    if let Err(cause) = session.change(change, ssh.follow(node)).await {
        session.warn(&node.name, cause.what);
    }
    ssh.on_node(node, &Inspect::default()).await
}

/// The exact revision to which its containerd is raised once it is drained; None: it stays as it is, and why is told.
async fn runtime(services: &Services, facts: &Facts, node: &Node, state: &NodeState) -> Result<Option<Revision>, Cause> {
    Ok(match super::runtime::decide(&services.ssh, facts, node, state).await? {
        Some(Decision::Raise(revision, _)) => Some(revision),
        Some(Decision::Leave(why)) => {
            skipped(&services.session, &node.name, work::CONTAINERD, &why);
            None
        }
        None => None,
    })
}

/// A hook may move what guards a pod, and takes its time: the question that a drain in vain depends on is asked once more.
async fn still_drainable(services: &Services, facts: &Facts, name: &str, target: Version) -> Result<(), Cause> {
    let gone_by = super::drainable::left_out(services, name, &[name], facts, target, Occasion::BeforeNode).await?;
    match gone_by.first() {
        None => Ok(()),
        Some(skip) => Err(Cause::hold(format!("since the hook before it: {skip}"))),
    }
}

/// A stop signal counts until the first package change, and not after it.
async fn drain(services: &Services, facts: &Facts, name: &str, begun: bool) -> Result<(), Cause> {
    let tried = facts.marks.held_drain_of(name).filter(|_| !begun && guard::on(Guard::DrainDeadlines));
    let left = services.settings.drain_deadlines().saturating_sub(tried.map_or(Duration::ZERO, HeldDrain::out));
    let deadline = services.settings.drain_deadline.min(left);
    super::drain::drain(&services.session, &services.cluster, &services.settings, name, deadline, !begun).await
}

/// Replaces what runs on a drained node. Returns the version that the kubelet is to have now.
async fn replace(
    services: &Services,
    facts: &Facts,
    node: &Node,
    state: &NodeState,
    target: Version,
    run: &RunId,
    runtime: Option<Revision>,
) -> Result<Version, Cause> {
    let (name, to) = (node.name.as_str(), target.to_string());
    let begun = super::inspect::begun(node, state, &to);
    let mut first = if begun { ChangeClass::Settle } else { ChangeClass::Disrupt };
    if !begun && state.rests(&to) {
        super::cordon::turn_again(&services.record, name, first).await?;
        first = ChangeClass::Settle;
    }
    if let Some(revision) = runtime {
        services.ssh.work(node, first, work::CONTAINERD, Step::ContainerdPackage, revision.into(), run).await?;
        first = ChangeClass::Settle;
    }
    if state.whole_at("kubeadm", &to) && state.audit.is_empty() {
        skipped(&services.session, name, work::KUBEADM_PACKAGE, "it is at the target");
    } else {
        services.ssh.work(node, first, work::KUBEADM_PACKAGE, Step::KubeadmPackage, target.into(), run).await?;
    }
    // As it is now: an earlier runner's kubeadm may have ended since the facts were taken.
    let components_there = !node.control_plane || components_there(&services.observer, name, target).await?;
    if state.kubeadm_has_run(&to, run) && components_there {
        skipped(&services.session, name, "kubeadm upgrade", "it ended well before");
    } else {
        let apply = node.control_plane && order::first_control_plane(facts).is_some_and(|first| first.name == name);
        let label = if apply { work::KUBEADM_APPLY } else { work::KUBEADM_NODE };
        if node.control_plane {
            super::etcd::move_leader(services, facts, node, target).await;
        }
        let step = Step::KubeadmUpgrade { first_control_plane: apply, flags: services.settings.kubeadm_flags() };
        services.ssh.work(node, ChangeClass::Settle, label, step, target.into(), run).await?;
    }
    if node.control_plane {
        let now = observe_turn(&services.observer, name, target).await?;
        let there = now.node(name).is_some_and(|node| node.components_at(target));
        if !there && guard::on(Guard::ControlPlaneAfterKubeadm) {
            return Err(Cause::step(format!("kubeadm ended well, but the control plane is not at {target}")));
        }
        if now.kubelet_waits(node, target) && guard::on(Guard::KubeletWaits) {
            if guard::on(Guard::NewKubeletStaysOut) {
                kubelet_may_wait(&now, state, &to)?;
            }
            let why = "another API server is older: it follows when all are new";
            skipped(&services.session, name, work::KUBELET, why);
            return node.kubelet.ok_or_else(|| Cause::hold(format!("the version of {name} is not to be seen")));
        }
    }
    // A kubelet of a new minor starts every static pod anew, the member of etcd among them: in a turn of its own that may lead again.
    let anew = node.kubelet.is_none_or(|kubelet| UpgradeKind::between(kubelet, target) == UpgradeKind::Minor);
    if node.control_plane && anew {
        super::etcd::move_leader(services, facts, node, target).await;
    }
    services.ssh.work(node, ChangeClass::Settle, work::KUBELET, Step::KubeletPackages, target.into(), run).await?;
    Ok(target)
}

async fn components_there(observer: &Observer, name: &str, target: Version) -> Result<bool, Cause> {
    Ok(observer.observe_nodes().await?.node(name).is_some_and(|node| node.components_at(target)))
}

/// Facts that tell whether the kubelet of a control plane has to wait. An API server that does not show counts as old, but one that
/// has just been restarted is missing from a list for a moment only.
pub async fn observe_turn(observer: &Observer, name: &str, target: Version) -> Result<Facts, Cause> {
    let wait = Wait {
        place: name,
        on: "every API server to show its version",
        deadline: SHOWN,
        every: Duration::from_secs(2),
        stoppable: false,
    };
    observer
        .observe_until(wait, |facts| {
            let matters = facts.node(name).is_some_and(|node| facts.kubelet_waits(node, target));
            let hidden = facts.hidden_servers();
            (matters && !hidden.is_empty()).then(|| hidden.join(", "))
        })
        .await
}

/// What a node looks like on which nothing of ours runs; refused while something does.
pub async fn settled(ssh: &Ssh, node: &Node) -> Result<NodeState, Cause> {
    let state = ssh.on_node(node, &Inspect::default()).await?;
    match state.running() {
        Some(step) => Err(Cause::contended(format!("{step} is running on {}", node.name))),
        None => Ok(state),
    }
}

/// Ready with its kubelet at that version, then uncordoned if the cordon is ours. `begun`: when it was cordoned, if that was us just now.
async fn back_in_service(
    services: &Services,
    node: &Node,
    target: Version,
    kubelet: Version,
    begun: Option<Instant>,
) -> Result<(), Cause> {
    let name = node.name.as_str();
    ready_at(&services.session, &services.observer, &services.settings, node, "the node to be Ready at its version", |now| {
        now >= kubelet
    })
    .await?;
    if node.control_plane && guard::on(Guard::ControlPlaneWhole) {
        control_plane_at(&services.session, &services.observer, &services.settings, name, target).await?;
    }
    let key = Mark::CordonedBy.key(&services.settings.annotation_prefix);
    let changed = services.session.stamp();
    let change = Change::settle(name, "uncordon", RECORD);
    let fresh = begun.is_some() || node.unrecorded();
    let edited = services
        .record
        .edit_node(change, |now| {
            let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
            let marks = vec![Edit::remove(Mark::CordonedBy), Edit::set(Mark::ChangedAt, changed.clone())];
            let lifts = ours || !guard::on(Guard::PersonsCordonStays);
            (ours || fresh).then(|| (lifts.then_some(false), marks))
        })
        .await?;
    match begun {
        Some(begun) => {
            let at = if kubelet < target { format!("{target} but for its kubelet") } else { target.to_string() };
            services.session.note(name, format!("back in service at {at}, out of service {}", span(begun.elapsed())));
        }
        None if edited => services.session.note(name, format!("was at {target} already; our cordon is taken back")),
        None => skipped(&services.session, name, "upgrade", &format!("it is at {target} already")),
    }
    Ok(())
}

/// The kubelet reports another version only after its restart: a Ready from before is not taken for it.
pub async fn ready_at(
    session: &Session,
    observer: &Observer,
    settings: &Settings,
    node: &Node,
    on: &str,
    arrived: impl Fn(Version) -> bool,
) -> Result<(), Cause> {
    let wait = Wait { place: &node.name, on, deadline: settings.ready_deadline, every: Duration::from_secs(1), stoppable: false };
    session
        .wait(wait, async || {
            let Some(now) = observer.node_now(&node.name).await? else {
                return Err(Cause::step(format!("{} was deleted from the cluster", node.name)));
            };
            let arrived = now.kubelet.is_some_and(&arrived) || !guard::on(Guard::ReadyAtVersion);
            Ok(match (arrived, now.ready) {
                (true, true) => Probe::Ready(()),
                (true, false) => Probe::Not(now.not_ready.map_or("not Ready".to_owned(), |why| format!("not Ready: {why}"))),
                (false, _) => Probe::Not(format!("kubelet is {}", or_unknown(now.kubelet))),
            })
        })
        .await
        .map_err(|cause| cause.next(command!("kubectl describe node {}", node.name)))
}

async fn control_plane_at(
    session: &Session,
    observer: &Observer,
    settings: &Settings,
    name: &str,
    target: Version,
) -> Result<(), Cause> {
    let wait = Wait {
        place: name,
        on: "its control-plane pods to run at the target",
        deadline: settings.ready_deadline,
        every: Duration::from_secs(3),
        stoppable: false,
    };
    let mut steady = 0;
    session
        .wait(wait, async || {
            let facts = observer.observe_nodes().await?;
            let node = facts.node(name).ok_or_else(|| Cause::step(format!("{name} was deleted from the cluster")))?;
            let behind = node.components_wrong(&COMPONENTS, Some(target));
            steady = if behind.is_empty() && node.ready { steady + 1 } else { 0 };
            Ok(match (behind.is_empty(), steady >= STEADY) {
                (_, true) => Probe::Ready(()),
                (true, false) => Probe::Not("just restarted".into()),
                (false, _) => Probe::Not(behind.join(", ")),
            })
        })
        .await
}

/// Tells that a step was not needed, and why.
pub fn skipped(session: &Session, place: &str, step: &str, why: &str) {
    session.emit(&crate::report::Event::StepSkipped { place: place.into(), step: step.into(), why: why.into() });
}

/// What a person should know of a node that a step failed on.
pub async fn node_state(observer: &Observer, name: &str) -> String {
    let now = match observer.node_now(name).await {
        Ok(Some(node)) => node,
        Ok(None) => return format!("{name} is no node of this cluster any more."),
        Err(cause) => return format!("the state of {name} is not known ({}).", cause.what),
    };
    let cordon = match (now.unschedulable, &now.cordoned_by) {
        (true, Some(_)) => "cordoned by this program",
        (true, None) => "cordoned by somebody else",
        (false, _) => "schedulable",
    };
    let ready = if now.ready { "Ready" } else { "NOT Ready" };
    format!("{name} is {cordon} and {ready}, its kubelet is {}.", or_unknown(now.kubelet))
}

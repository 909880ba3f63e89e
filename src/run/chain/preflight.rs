//! Preflight: ask every gate while nothing has changed, then claim the run, back up etcd, and prepare the nodes.

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{KubeadmPlan, NodeState, WriteCard};
use crate::plan::decide::gates::{Found, Gate, Occasion};
use crate::plan::decide::target::{self, TargetCheck};
use crate::plan::decide::{gates, order, when};
use crate::plan::manifests::rights::Account;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node, Phase, Step};
use crate::plan::model::halt::Skip;
use crate::plan::model::marks::{Edit, RunMarks};
use crate::plan::model::parse;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::plan::rescue::card::Card;
use crate::plan::rescue::member;
use crate::plan::trust::identity;
use crate::report::{Event, Notice};
use crate::run::chain::snapshot::Saved;
use crate::run::nodes;
use crate::run::nodes::asking::Asking;
use crate::run::nodes::etcd::Disks;
use crate::run::services::Services;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::RunId;

const PLACE: &str = "preflight";

/// How preflight ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    Ready,
    /// Every node is at the target.
    NothingToDo,
}

/// Why preflight did not end well, and whether the run was claimed by then: before that, nothing is left behind.
pub struct NotReady {
    pub cause: Cause,
    pub claimed: bool,
}

/// The first phase: all gates, the claim, the snapshot, the nodes prepared. What was done before it died is not done again.
pub async fn preflight(services: &Services, target: Version, run: &RunId) -> Result<Preflight, NotReady> {
    let before = |cause| NotReady { cause, claimed: false };
    let facts = services.observer.observe().await.map_err(before)?;
    let claimed = facts.marks.in_flight && facts.marks.run_id.as_deref() == Some(run);
    let held = |cause| NotReady { cause, claimed };
    if claimed {
        services.session.about(Some(run), None, None);
        services.journal.begin(run, PLACE).await;
    } else {
        // A refusal leaves nothing behind.
        services.journal.withhold();
    }
    services.halt.not_halted(Guard::HaltBeforeChange).await.map_err(held)?;
    if claimed && services.session.chain && facts.marks.prepared {
        // A runner before this one ended it, and died with its successor's Job perhaps at work: no gate of a quiet cluster is asked.
        nodes::upgrade::skipped(&services.session, PLACE, PLACE, "it has ended well before");
        return Ok(Preflight::Ready);
    }
    let TargetCheck::Upgrade(kind) = target::check_target(&facts, target).map_err(held)? else {
        if claimed && !services.session.dry_run {
            // Somebody has brought the nodes there meanwhile: what is left of the run is its end.
            services.record.mark_run(run, PLACE, "record the end of preflight", &[Edit::prepared(run)]).await.map_err(held)?;
            return Ok(Preflight::Ready);
        }
        return Ok(Preflight::NothingToDo);
    };
    order::check_setting(&facts, &services.settings.policy()).map_err(held)?;
    let Asked { states, left_out, disks, result, .. } = asked(services, &facts, target, run, claimed).await.map_err(held)?;
    result.map_err(held)?;
    if services.session.dry_run && guard::on(Guard::DryRun) {
        services.session.note(PLACE, format!("{} → {target} ({kind}): every gate that changes nothing passes", running(&facts)));
        return Ok(Preflight::Ready);
    }
    // The facts are of before the gates, which may have waited.
    let baseline = match claimed {
        true => None,
        false => Some(baseline(services, disks).await.map_err(held)?),
    };
    services.record.claim(run, target, baseline).await.map_err(held)?;
    services.session.about(Some(run), Some(target), None);
    let order = order::order(&facts, &services.settings.policy());
    let nodes = order.iter().map(|node| node.name.clone()).collect();
    services.session.emit(&Event::RunBegun { run: run.to_string(), from: target::running(&facts), target, kind, nodes });
    if !claimed {
        services.journal.begin(run, PLACE).await;
        services.journal.prune().await;
    }
    leave_out(services, PLACE, run, target, &facts.marks.left_out, left_out)
        .await
        .map_err(|cause| NotReady { cause, claimed: true })?;
    prepare_run(services, &states, target, kind, run).await.map_err(|cause| NotReady { cause, claimed: true })?;
    Ok(Preflight::Ready)
}

/// What is well now, as the claim carries it.
async fn baseline(services: &Services, disks: Disks) -> Result<String, Cause> {
    let facts = services.observer.observe().await?;
    nodes::regression::taken(services, PLACE, &facts, disks).await?.write()
}

/// What the gates have found.
pub struct Asked {
    pub states: Vec<(String, NodeState)>,
    /// Workers that can never be drained, where the settings leave those out.
    pub left_out: Vec<Skip>,
    /// How each gate was found, and why it is closed.
    pub answers: Vec<(Gate, Found, Option<Cause>)>,
    /// All that are closed, as one cause.
    pub result: Result<(), Cause>,
    /// What the disks of etcd have taken so far.
    pub disks: Disks,
}

/// Records that the run goes past these workers, and tells it. `before`: those that are recorded already.
pub(super) async fn leave_out(
    services: &Services,
    place: &str,
    run: &RunId,
    target: Version,
    before: &[Skip],
    left_out: Vec<Skip>,
) -> Result<(), Cause> {
    let all = Skip::beside(before, &left_out);
    let new = &all[before.len()..];
    if new.is_empty() {
        return Ok(());
    }
    if Skip::write(&all).len() > Skip::MOST_BYTES {
        let what = format!("{} workers can never be drained, more than a run can go past and keep on record", all.len());
        return Err(Cause::hold(what)
            .next("k8s-upgrade plan    # what holds the pods of each; or exclude workers (setting exclude-nodes)"));
    }
    // As it stands there then: others may add to it.
    let with_new = |now: &RunMarks| vec![Edit::left_out(&Skip::beside(&now.left_out, new))];
    services.record.amend_run(run, place, "record which workers are left out", with_new).await?;
    for skip in new.iter().cloned() {
        services.session.notice(place, &Notice::LeftOut { target, skip });
    }
    Ok(())
}

/// Asks all gates, so that a person sees every reason at once.
///
/// # Errors
/// They could not be asked at all.
pub async fn asked(services: &Services, facts: &Facts, target: Version, run: &RunId, claimed: bool) -> Result<Asked, Cause> {
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let mut asking = Asking::at(Occasion::Preflight, &services.session, PLACE);
    // They began after the detection that led here.
    let driver = services.leases.other_driver().await?;
    let by_hand = driver.map_or(Ok(()), |driver| Err(Cause::hold(format!("driven by {}", driver.by))));
    asking.tell(Gate::WorkByHand, Guard::WorkByHandBeforeRun, by_hand);
    asking.tell(Gate::Nodes, Guard::NodesReadyBeforeRun, gates::nodes_fit(facts, &policy, services.session.now()));
    asking.tell(
        Gate::ApiServers,
        Guard::ApiServersReadyBeforeRun,
        gates::apiservers_ready(facts).into_result("not every API server is ready"),
    );
    let mut disks = Disks::default();
    let etcd = nodes::etcd::first_look(services, facts, &mut disks).await;
    let (certificates, told) = nodes::certificates::gate(services, facts).await;
    asking.tell(Gate::Certificates, Guard::CertificatesLast, certificates);
    told.into_iter().for_each(|told| services.session.warn(PLACE, told));
    asking.tell(
        Gate::Quiet,
        Guard::QuietBeforeRun,
        gates::quiet(facts, &policy, services.session.now()).into_result("nodes came or went lately"),
    );
    asking.tell(
        Gate::Permissions,
        Guard::Permissions,
        super::rights::permissions(&services.cluster, &services.settings, Account::Chain).await,
    );
    asking.tell(Gate::Backup, Guard::BackupTemplate, super::snapshot::possible(services, facts).await);
    if services.settings.hooks().is_empty() {
        asking.not_here(Gate::Hooks, "none are set");
    } else {
        asking.tell(Gate::Hooks, Guard::HooksUsable, nodes::hooks::usable(services).await);
    }
    // Before the claim: prefetch, which comes after it, would be the first to miss the packages.
    let released = match super::detect::released(&services.settings, &services.world, facts, target).await {
        Answer::Known(true) => Ok(()),
        Answer::Known(false) => Err(super::detect::not_released(&services.settings, target)),
        Answer::Unknown(why) => Err(Cause::unreachable(format!("whether {target} is released is not known: {why}"))),
    };
    let mut states = Vec::new();
    let hosts = match nodes::prepare::inspect_nodes(&services.ssh, &services.settings, facts, target).await {
        Ok(found) => {
            states = found;
            nodes::own_image::there(services, PLACE, facts).await
        }
        Err(cause) => Err(cause),
    };
    asking.tell(Gate::Hosts, Guard::HostsAnswer, hosts);
    nodes::prepare::warn_of_ends(&services.session, PLACE, &states);
    nodes::sources::warn_of_strangers(&services.session, PLACE, &states, target);
    // What the index lists, a node's own mirror may lack: its lists are read anew, unless somebody else may be at work or the run cannot begin
    // anyhow. Under a dry run they stay as old as they are, and say nothing.
    let released = match released {
        Ok(()) if !services.session.dry_run && asking.is_open() => {
            nodes::prepare::installable(services, facts, &states, target).await
        }
        listed => listed,
    };
    asking.tell(Gate::Release, Guard::Released, released);
    let refreshes = !services.session.dry_run && asking.is_open();
    nodes::runtime::forecast(services, facts, &states, target, refreshes).await;
    for nodes in identity::sharing(&facts.nodes) {
        services
            .session
            .note(PLACE, format!("{} report one machine id: their kubelets' certificates tell them apart", nodes.join(", ")));
    }
    asking.tell(
        Gate::ChangesByHand,
        Guard::NothingLostBeforeRun,
        nodes::losses::nothing_lost(&services.cluster, &services.observer, &services.ssh, &services.settings, facts, &states)
            .await,
    );
    // Nothing that is served goes with a patch.
    if target::running(facts).is_none_or(|running| UpgradeKind::between(running, target) == UpgradeKind::Minor) {
        asking.tell(Gate::RemovedApis, Guard::RemovedApis, nodes::removed_apis::served(services, PLACE, facts, target).await);
    } else {
        asking.not_here(Gate::RemovedApis, "a patch release takes no API away");
    }
    super::webhooks::warn(services, PLACE, facts).await;
    let mut left_out = Vec::new();
    let drainable = async {
        let old = order::order(facts, &policy).into_iter().filter(|node| !node.is_upgraded(target));
        let old: Vec<&str> = old.filter(|node| !Step::of(node).is_skipped(&facts.marks)).map(|node| node.name.as_str()).collect();
        left_out = nodes::drainable::left_out(services, PLACE, &old, facts, target, Occasion::Preflight).await?;
        Ok(())
    };
    asking.ask(Gate::Drainable, Guard::DrainableBeforeRun, drainable).await?;
    if services.settings.addons.is_empty() {
        asking.not_here(Gate::Addons, "none are set");
    } else {
        asking.tell(Gate::Addons, Guard::AddonsAllow, nodes::addons::allow(services, PLACE, target).await);
    }
    // Where another gate is closed already, nobody waits for more of the disks.
    let (etcd, told) = nodes::etcd::gate(services, facts, &mut disks, etcd, asking.is_open()).await;
    asking.tell(Gate::Etcd, Guard::EtcdFitBeforeRun, etcd);
    told.into_iter().for_each(|told| services.session.warn(PLACE, told));
    // What is left of a preflight takes nothing out of service: a run that is claimed is made ready, and then rests.
    let closed = nodes::window::closed(services, facts, run, &policy.calendar, when::needs_of_run(&policy)).filter(|_| !claimed);
    let window = closed.map_or(Ok(()), |closed| Err(closed.cause()));
    nodes::gates::before_work(services, &mut asking, PLACE, Phase::Preflight, window).await?;
    let later = if services.session.dry_run { "it changes something: a dry run does without" } else { "another gate is closed" };
    if asking.is_open() && !services.session.dry_run {
        asking.tell(Gate::Kubeadm, Guard::KubeadmAgrees, kubeadm_agrees(&services.ssh, &services.settings, facts, target).await);
    } else {
        asking.not_here(Gate::Kubeadm, later);
    }
    // The dearest question last.
    if asking.is_open() && !services.session.dry_run {
        asking.tell(Gate::Trial, Guard::Trial, nodes::trial::accepted(services, facts, &states, target, &left_out).await);
    } else {
        asking.not_here(Gate::Trial, later);
    }
    let answers = asking.answers();
    Ok(Asked { states, left_out, disks, answers, result: asking.end() })
}

async fn kubeadm_agrees(ssh: &Ssh, settings: &Settings, facts: &Facts, target: Version) -> Result<(), Cause> {
    let master = first_control_plane(facts)?;
    // Of the flags for `apply` and `node`, the one that `plan` knows as well.
    let flags = settings.kubeadm_flags().into_iter().filter(|flag| flag.starts_with("--ignore-preflight-errors=")).collect();
    let text = ssh.on_node(master, &KubeadmPlan { target, flags }).await?;
    parse::no_objections(&text.objections, &text.notes)?;
    let plan = parse::upgrade_plan(&text.json, &text.notes.join("\n"))?;
    parse::plan_agrees(&plan, target).into_result("`kubeadm upgrade plan` does not agree")
}

async fn prepare_run(
    services: &Services,
    states: &[(String, NodeState)],
    target: Version,
    kind: UpgradeKind,
    run: &RunId,
) -> Result<(), Cause> {
    let facts = services.observer.observe().await?;
    services.monitoring.push_run(&facts.marks).await;
    let snapshot = match &facts.marks.snapshot_path {
        Some(path) => path.clone(),
        None => snapshot(services, &facts, states, target, kind, run).await?,
    };
    services.session.emit(&Event::Snapshot { path: snapshot });
    services.monitoring.push_run(&services.observer.observe().await?.marks).await;
    nodes::prepare::take_in_pulled_ahead(&services.session, &services.record, &facts, states, target).await?;
    nodes::prepare::point_repositories(services, &facts, states, target).await?;
    nodes::prepare::prefetch(
        &services.ssh,
        &services.settings,
        &facts,
        target,
        nodes::prepare::images(&services.cluster, &services.settings).await?,
    )
    .await?;
    services.record.mark_run(run, PLACE, "record the end of preflight", &[Edit::prepared(run)]).await
}

/// The backup, looked at on the host where that is possible; its card; then the mark, so that a crash in between does it again.
async fn snapshot(
    services: &Services,
    facts: &Facts,
    states: &[(String, NodeState)],
    target: Version,
    kind: UpgradeKind,
    run: &RunId,
) -> Result<String, Cause> {
    let master = first_control_plane(facts)?;
    let Saved { told: snapshot, sha256, .. } = super::snapshot::taken(services, facts, target, run).await?;
    let hash = match sha256 {
        Some(sha256) => format!("sha256 {sha256}"),
        None => format!("not verified: it is not on {}", master.name),
    };
    let of_node = |(node, state): &(String, NodeState)| {
        let packages = state.packages.iter().map(|package| format!("{}={}", package.name, package.version));
        (node.clone(), packages.collect())
    };
    let card = Card {
        run: run.to_string(),
        from: running(facts),
        to: target.to_string(),
        snapshot: snapshot.path.clone(),
        bytes: snapshot.bytes,
        hash: hash.clone(),
        packages: states.iter().map(of_node).collect(),
    };
    let name = format!("restore-{run}.txt");
    nodes::prepare::restore_cards(
        &services.ssh,
        &services.settings,
        facts,
        &WriteCard { name, content: card.write(&member::peers(&order::control_planes(facts))) },
    )
    .await?;
    services
        .record
        .mark_run(run, PLACE, "record the snapshot's path", &[Edit::set(Mark::SnapshotPath, snapshot.path.clone())])
        .await?;
    let begun = Notice::Begun {
        from: running(facts),
        target,
        kind,
        snapshot: snapshot.path.clone(),
        bytes: snapshot.bytes,
        hash,
        card: format!("/var/lib/k8s-upgrade/restore-{run}.txt"),
    };
    services.session.notice(PLACE, &begun);
    Ok(snapshot.path)
}

fn running(facts: &Facts) -> String {
    target::running(facts).map_or("unknown".into(), |version| version.to_string())
}

fn first_control_plane(facts: &Facts) -> Result<&Node, Cause> {
    order::first_control_plane(facts).ok_or_else(|| Cause::refused("no control-plane node found"))
}

//! Preflight: ask every gate while nothing has changed, then claim the run, back up etcd, and prepare the nodes.

use std::time::Duration;

use super::backup::Saved;
use super::ctx::Ctx;
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{KubeadmPlan, NodeState, WriteCard};
use crate::plan::alerts::Moment;
use crate::plan::answer::Answer;
use crate::plan::card::Card;
use crate::plan::facts::{Facts, Node, Phase};
use crate::plan::identity;
use crate::plan::rights::Account;
use crate::plan::target::{self, Wanted};
use crate::plan::version::{Kind, Version};
use crate::plan::{gates, order, parse};
use crate::report::{Event, Notice};
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

impl Ctx {
    pub async fn preflight(&self, target: Version, run: &RunId) -> Result<Preflight, NotReady> {
        let before = |cause| NotReady { cause, claimed: false };
        let facts = self.observe().await.map_err(before)?;
        let claimed = facts.marks.in_flight && facts.marks.run_id.as_deref() == Some(run);
        let held = |cause| NotReady { cause, claimed };
        if claimed {
            self.about(Some(run), None, None);
            self.begin_journal(run, PLACE).await;
        } else {
            // A refusal leaves nothing behind.
            self.withhold_journal();
        }
        self.not_halted(Guard::HaltBeforeChange).await.map_err(held)?;
        if claimed && self.chain && facts.marks.prepared {
            // A runner before this one ended it, and died with its successor's Job perhaps at work: no gate of a quiet cluster is asked.
            self.skipped(PLACE, PLACE, "it has ended well before");
            return Ok(Preflight::Ready);
        }
        let Wanted::Upgrade(kind) = target::check_target(&facts, target).map_err(held)? else {
            if claimed && !self.dry_run {
                // Somebody has brought the nodes there meanwhile: what is left of the run is its end.
                self.mark_run(run, PLACE, "record the end of preflight", &[(Mark::Prepared, Some(run.to_string()))])
                    .await
                    .map_err(held)?;
                return Ok(Preflight::Ready);
            }
            return Ok(Preflight::NothingToDo);
        };
        order::check_setting(&facts, &self.settings.policy()).map_err(held)?;
        let states = self.gates(&facts, target).await.map_err(held)?;
        if self.dry_run && guard::on(Guard::DryRun) {
            self.note(PLACE, format!("{} → {target} ({kind}): every gate that changes nothing passes", running(&facts)));
            return Ok(Preflight::Ready);
        }
        self.claim(run, target).await.map_err(held)?;
        self.about(Some(run), Some(target), None);
        let order = order::order(&facts, &self.settings.policy());
        let nodes = order.iter().map(|node| node.name.clone()).collect();
        self.emit(&Event::RunBegun { run: run.to_string(), from: target::running(&facts), target, kind, nodes });
        if !claimed {
            self.begin_journal(run, PLACE).await;
            self.prune_journals().await;
        }
        self.prepare_run(&states, target, kind, run).await.map_err(|cause| NotReady { cause, claimed: true })?;
        Ok(Preflight::Ready)
    }

    /// All gates, so that a person sees every reason at once.
    async fn gates(&self, facts: &Facts, target: Version) -> Result<Vec<(String, NodeState)>, Cause> {
        let policy = self.settings.policy();
        let mut closed = Vec::new();
        if guard::on(Guard::WorkByHandBeforeRun)
            && let Some(driver) = self.other_driver().await?
        {
            // They began after the detection that led here.
            closed.push(("work by hand".to_owned(), Cause::hold(format!("driven by {}", driver.by))));
        }
        let ask = |closed: &mut Vec<(String, Cause)>, asks: Guard, gate: &str, result: Result<(), Cause>| match result {
            Err(_) if !guard::on(asks) => {}
            Ok(()) => self.note(PLACE, format!("gate {gate}: pass")),
            Err(cause) => closed.push((gate.to_owned(), cause)),
        };
        ask(
            &mut closed,
            Guard::NodesReadyBeforeRun,
            "nodes",
            gates::nodes_ready(facts, self.now()).into_result("not every node is fit"),
        );
        ask(
            &mut closed,
            Guard::ApiServersReadyBeforeRun,
            "control plane",
            gates::apiservers_ready(facts).into_result("not every API server is ready"),
        );
        ask(
            &mut closed,
            Guard::QuietBeforeRun,
            "quiet",
            gates::quiet(facts, &policy, self.now()).into_result("nodes came or went lately"),
        );
        ask(&mut closed, Guard::Permissions, "permissions", self.permissions(Account::Chain).await);
        ask(&mut closed, Guard::BackupTemplate, "backup", self.backup_template().await.map(drop));
        // Before the claim: prefetch, which comes after it, would be the first to miss the packages.
        let released = match self.released(target).await {
            Answer::Known(true) => Ok(()),
            Answer::Known(false) => Err(self.not_released(target)),
            Answer::Unknown(why) => Err(Cause::unreachable(format!("whether {target} is released is not known: {why}"))),
        };
        ask(&mut closed, Guard::Released, "release", released);
        let mut states = Vec::new();
        ask(&mut closed, Guard::HostsAnswer, "hosts", self.inspect_nodes(facts).await.map(|found| states = found));
        for nodes in identity::sharing(&facts.nodes) {
            self.note(PLACE, format!("{} report one machine id: their kubelets' certificates tell them apart", nodes.join(", ")));
        }
        ask(&mut closed, Guard::NothingLostBeforeRun, "changes by hand", self.nothing_lost(facts, &states).await);
        // Held already: the alerts are looked at for the person who reads this, and not waited for.
        let patience = if closed.is_empty() && !self.dry_run { self.settings.alert_wait } else { Duration::ZERO };
        ask(
            &mut closed,
            Guard::AlertsBeforeRun,
            "alerts",
            self.alert_gate(PLACE, patience, |facts| Moment::of(Phase::Preflight, facts)).await,
        );
        if closed.is_empty() && !self.dry_run {
            ask(&mut closed, Guard::KubeadmAgrees, "kubeadm", self.kubeadm_agrees(facts, target).await);
        }
        Cause::together("gates are closed", closed).map_or(Ok(states), Err)
    }

    async fn kubeadm_agrees(&self, facts: &Facts, target: Version) -> Result<(), Cause> {
        let master = first_control_plane(facts)?;
        let plan = KubeadmPlan { target, flags: Vec::new() };
        let text = self.on_node(master, &plan).await?;
        let plan = parse::upgrade_plan(&text.json, &text.notes.join("\n"))?;
        parse::plan_agrees(&plan, target).into_result("`kubeadm upgrade plan` does not agree")
    }

    async fn prepare_run(&self, states: &[(String, NodeState)], target: Version, kind: Kind, run: &RunId) -> Result<(), Cause> {
        let facts = self.observe().await?;
        self.push_run(&facts.marks).await;
        let snapshot = match &facts.marks.snapshot_path {
            Some(path) => path.clone(),
            None => self.snapshot(&facts, states, target, kind, run).await?,
        };
        self.emit(&Event::Snapshot { path: snapshot });
        self.push_run(&self.observe().await?.marks).await;
        self.point_repositories(&facts, states, target).await?;
        self.prefetch(&facts, target, self.image_repository().await?).await?;
        self.mark_run(run, PLACE, "record the end of preflight", &[(Mark::Prepared, Some(run.to_string()))]).await
    }

    /// The backup, looked at on the host where that is possible; its card; then the mark, so that a crash in between does it again.
    async fn snapshot(
        &self,
        facts: &Facts,
        states: &[(String, NodeState)],
        target: Version,
        kind: Kind,
        run: &RunId,
    ) -> Result<String, Cause> {
        let master = first_control_plane(facts)?;
        let Saved { told: snapshot, sha256, .. } = self.backup(master, target, run).await?;
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
        self.restore_cards(facts, &WriteCard { name, content: card.write() }).await?;
        self.mark_run(run, PLACE, "record the snapshot's path", &[(Mark::SnapshotPath, Some(snapshot.path.clone()))]).await?;
        let begun = Notice::Begun {
            from: running(facts),
            target,
            kind,
            snapshot: snapshot.path.clone(),
            bytes: snapshot.bytes,
            hash,
            card: format!("/var/lib/k8s-upgrade/restore-{run}.txt"),
        };
        self.notify(&begun).await;
        Ok(snapshot.path)
    }
}

fn running(facts: &Facts) -> String {
    target::running(facts).map_or("unknown".into(), |version| version.to_string())
}

fn first_control_plane(facts: &Facts) -> Result<&Node, Cause> {
    order::first_control_plane(facts).ok_or_else(|| Cause::refused("no control-plane node found"))
}

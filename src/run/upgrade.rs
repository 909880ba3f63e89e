//! A node's work: cordon → drain → kubeadm package → `kubeadm upgrade` → kubelet packages and restart → Ready at version →
//! uncordon → verify. Each is looked at first: is it needed? So it may be killed anywhere and started again.

use std::time::Duration;

use tokio::time::Instant;

use super::ctx::{Change, Ctx, RECORD};
use super::wait::{Probe, Wait, Waited};
use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::node::{Inspect, NodeState, Step};
use crate::permit::ChangeClass;
use crate::plan::facts::{COMPONENTS, Facts, Node};
use crate::plan::gates::{self, Turn};
use crate::plan::order;
use crate::plan::version::{Version, told};
use crate::report::span;
use crate::words::{RunId, command};

/// So long a runner that goes first waits for another to give way. Who does not by then has seen nobody, and is at work.
const YIELD: Duration = Duration::from_secs(30);
/// Looks in a row that must find a control plane whole: a kubelet's restart onto a new minor takes the API away two seconds later.
const STEADY: u32 = 4;

/// So long a static pod that was just restarted may be missing from a list.
const SHOWN: Duration = Duration::from_secs(60);

/// The node's work has begun, and must be finished: it cannot serve half done. A control plane that rests after its first turn, whose end is
/// on record, has not begun the second.
pub fn begun(node: &Node, state: &NodeState, target: &str) -> bool {
    state.touched(target) && !(node.changed_at.is_some() && state.rests(target))
}

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

impl Ctx {
    /// Upgrades one node to `target`; done already is no error. Ends with the node in service, or says what state it is in. `class`: to
    /// finish what was begun settles.
    pub(super) async fn upgrade_node(&self, name: &str, target: Version, run: &RunId, class: ChangeClass) -> Result<(), Cause> {
        self.holding(name, class, self.upgrade_held(name, target, run)).await
    }

    /// The facts are looked at under the Lease: while we waited for it, another runner may have done it all.
    async fn upgrade_held(&self, name: &str, target: Version, run: &RunId) -> Result<(), Cause> {
        let facts = self.observe_turn(name, target).await?;
        let node = facts.node(name).ok_or_else(|| Cause::step(format!("{name} was deleted from the cluster")))?;
        if facts.is_done_for_now(node, target) && guard::on(Guard::FinishedNode) {
            self.skipped(name, "upgrade", &format!("another runner brought it to {target}"));
            return Ok(());
        }
        let to = target.to_string();
        let state = self.settled_state(node).await?;
        if node.is_upgraded(target) && state.finished(&to) && guard::on(Guard::FinishedNode) {
            return self.back_in_service(node, target, target, None).await;
        }
        let whole = self.whole_deployments().await?;
        let (since, begun) = (Instant::now(), begun(node, &state, &to));
        if let Err(cause) = self.cordon(node, &state, &to, run).await {
            self.give_up(name, begun, &to, &cause).await;
            return Err(cause);
        }
        if !begun && let Err(cause) = self.our_turn(name).await {
            // Nothing on the node was changed. (Whose Lease is lost changes nothing: this is refused, too.)
            if let Err(back) = self.take_cordon_back(name).await {
                self.warn(name, format!("our cordon could not be taken back: {}", back.what));
            }
            return Err(cause);
        }
        let kubelet = match self.replace(&facts, node, &state, target, run).await {
            Ok(kubelet) => kubelet,
            Err(cause) => {
                self.give_up(name, begun, &to, &cause).await;
                return Err(cause);
            }
        };
        self.back_in_service(node, target, kubelet, Some(since)).await?;
        if guard::on(Guard::WorkloadsAfterNode) { self.workloads_back(name, &whole).await } else { Ok(()) }
    }

    /// One node at a time, whoever takes it out: two runners may have passed that gate together, and see each other only now that both
    /// have cordoned. One goes on; the other has to put its node back into service.
    pub(super) async fn our_turn(&self, name: &str) -> Result<(), Cause> {
        let wait = Wait {
            place: name,
            on: "no other node to be out of service by our doing",
            deadline: YIELD,
            every: Duration::from_secs(1),
            stoppable: true,
        };
        let turn = self
            .wait_or_not(wait, async || {
                let facts = self.observe().await?;
                let turn = if guard::on(Guard::TurnAfterCordon) { gates::turn(&facts, name) } else { Turn::Ours };
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
                Cause::contended(format!("{others} was taken out of service at the same moment: one node at a time"))
                    .next(Advice::status())
            }
            Err(cause) => cause,
        };
        Err(cause)
    }

    /// What the node looks like once nothing of an earlier runner's works on it any more.
    async fn settled_state(&self, node: &Node) -> Result<NodeState, Cause> {
        let state = self.on_node(node, &Inspect).await?;
        let Some(step) = state.running().filter(|_| guard::on(Guard::EarlierWorkEnds)) else { return Ok(state) };
        self.note(&node.name, format!("{step} is still running there, begun by an earlier runner"));
        let change = Change::settle(&node.name, "finish what an earlier runner began", self.settings.step_deadline);
        // Its failure is no end: the steps that follow look at what is, and run what is needed again.
        if let Err(cause) = self.change(change, self.follow(node)).await {
            self.warn(&node.name, cause.what);
        }
        self.on_node(node, &Inspect).await
    }

    /// Drains, and replaces what runs. A stop signal counts until the first package change, and not after it. Returns the version that
    /// the kubelet is to have now.
    async fn replace(
        &self,
        facts: &Facts,
        node: &Node,
        state: &NodeState,
        target: Version,
        run: &RunId,
    ) -> Result<Version, Cause> {
        let (name, to) = (node.name.as_str(), target.to_string());
        let begun = begun(node, state, &to);
        self.drain(name, !begun).await?;
        let mut first = if begun { ChangeClass::Settle } else { ChangeClass::Disrupt };
        if !begun && state.rests(&to) {
            self.turn_again(name, first).await?;
            first = ChangeClass::Settle;
        }
        if self.containerd(facts, node, first, run).await? {
            first = ChangeClass::Settle;
        }
        if state.whole_at("kubeadm", &to) && state.audit.is_empty() {
            self.skipped(name, "kubeadm package", "it is at the target");
        } else {
            self.work(node, first, "kubeadm package", Step::KubeadmPackage, target.into(), run).await?;
        }
        // As it is now: an earlier runner's kubeadm may have ended since the facts were taken.
        let components_there = !node.control_plane || self.components_there(name, target).await?;
        if state.kubeadm_has_run(&to, run) && components_there {
            self.skipped(name, "kubeadm upgrade", "it ended well before");
        } else {
            let apply = node.control_plane && order::first_control_plane(facts).is_some_and(|first| first.name == name);
            let label = if apply { "kubeadm upgrade apply" } else { "kubeadm upgrade node" };
            let step = Step::KubeadmUpgrade { first_control_plane: apply, flags: self.settings.kubeadm_flags() };
            self.work(node, ChangeClass::Settle, label, step, target.into(), run).await?;
        }
        if node.control_plane {
            let now = self.observe_turn(name, target).await?;
            let there = now.node(name).is_some_and(|node| node.components_at(target));
            if !there && guard::on(Guard::ControlPlaneAfterKubeadm) {
                return Err(Cause::step(format!("kubeadm ended well, but the control plane is not at {target}")));
            }
            if now.kubelet_waits(node, target) && guard::on(Guard::KubeletWaits) {
                if guard::on(Guard::NewKubeletStaysOut) {
                    kubelet_may_wait(&now, state, &to)?;
                }
                let why = "another API server is older: it follows when all are new";
                self.skipped(name, "kubelet packages and restart", why);
                return node.kubelet.ok_or_else(|| Cause::hold(format!("the version of {name} is not to be seen")));
            }
        }
        self.work(node, ChangeClass::Settle, "kubelet packages and restart", Step::KubeletPackages, target.into(), run).await?;
        Ok(target)
    }

    async fn components_there(&self, name: &str, target: Version) -> Result<bool, Cause> {
        Ok(self.observe().await?.node(name).is_some_and(|node| node.components_at(target)))
    }

    /// Whether the node's work has begun, as the node itself says.
    pub(super) async fn has_begun(&self, node: &Node, target: &str) -> Result<bool, Cause> {
        Ok(begun(node, &self.on_node(node, &Inspect).await?, target))
    }

    /// Facts that tell whether the kubelet of a control plane has to wait. An API server that does not show counts as old, but one that
    /// has just been restarted is missing from a list for a moment only.
    pub(super) async fn observe_turn(&self, name: &str, target: Version) -> Result<Facts, Cause> {
        let wait = Wait {
            place: name,
            on: "every API server to show its version",
            deadline: SHOWN,
            every: Duration::from_secs(2),
            stoppable: false,
        };
        self.observe_until(wait, |facts| {
            let matters = facts.node(name).is_some_and(|node| facts.kubelet_waits(node, target));
            let hidden = facts.hidden_servers();
            (matters && !hidden.is_empty()).then(|| hidden.join(", "))
        })
        .await
    }

    /// After a failure: a node on which nothing was changed serves again; one that was is left cordoned, so that nothing lands on it.
    async fn give_up(&self, name: &str, had_begun: bool, target: &str, cause: &Cause) {
        // Somebody else has the node now; its cordon is theirs.
        if (had_begun && guard::on(Guard::HalfChangedStaysOut)) || cause.class == Class::Contended {
            return;
        }
        let look = async {
            let Some(node) = self.node_now(name).await? else { return Ok(false) };
            Ok::<_, Cause>(!self.has_begun(&node, target).await?)
        };
        let unchanged = match look.await {
            Ok(unchanged) => unchanged,
            Err(cause) => {
                self.warn(
                    name,
                    format!("if it is cordoned it stays so, for whether it was changed is not known: {}", cause.what),
                );
                false
            }
        };
        if (unchanged || !guard::on(Guard::HalfChangedStaysOut))
            && let Err(cause) = self.take_cordon_back(name).await
        {
            self.warn(name, format!("our cordon could not be taken back: {}", cause.what));
        }
    }

    /// What a node looks like on which nothing of ours runs; refused while something does.
    pub async fn settled(&self, node: &Node) -> Result<NodeState, Cause> {
        let state = self.on_node(node, &Inspect).await?;
        match state.running() {
            Some(step) => Err(Cause::contended(format!("{step} is running on {}", node.name))),
            None => Ok(state),
        }
    }

    /// A control plane whose containerd is older than the workers' catches up while it is drained. True if it did.
    async fn containerd(&self, facts: &Facts, node: &Node, class: ChangeClass, run: &RunId) -> Result<bool, Cause> {
        let Some(newer) = node.control_plane.then(|| gates::containerd_behind(facts, node)).flatten() else { return Ok(false) };
        let (theirs, own) = (self.on_node(newer, &Inspect).await?, self.on_node(node, &Inspect).await?);
        let packages = ["containerd.io", "containerd"].iter().find_map(|name| Some((theirs.package(name)?, own.package(name)?)));
        let Some((wanted, _)) = packages else {
            // Debian's package and Docker's are no versions of each other: that is for a person.
            self.warn(
                &node.name,
                format!("containerd is older than on {}, but is another package there: left as it is", newer.name),
            );
            return Ok(false);
        };
        self.work(node, class, "containerd package", Step::ContainerdPackage, wanted.version.clone().into(), run)
            .await
            .map(|()| true)
    }

    /// Ready with its kubelet at that version, then uncordoned if the cordon is ours. `begun`: when it was cordoned, if that was us just now.
    async fn back_in_service(&self, node: &Node, target: Version, kubelet: Version, begun: Option<Instant>) -> Result<(), Cause> {
        let name = node.name.as_str();
        self.ready_at(node, "the node to be Ready at its version", |now| now >= kubelet).await?;
        if node.control_plane && guard::on(Guard::ControlPlaneWhole) {
            self.control_plane_at(name, target).await?;
        }
        let key = Mark::CordonedBy.key(&self.settings.annotation_prefix);
        let changed = self.stamp();
        let change = Change::settle(name, "uncordon", RECORD);
        let fresh = begun.is_some() || node.unrecorded();
        let edited = self
            .edit_node(change, |now| {
                let ours = now.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(&key));
                let marks = vec![(Mark::CordonedBy, None), (Mark::ChangedAt, Some(changed.clone()))];
                let lifts = ours || !guard::on(Guard::PersonsCordonStays);
                (ours || fresh).then(|| (lifts.then_some(false), marks))
            })
            .await?;
        match begun {
            Some(begun) => {
                let at = if kubelet < target { format!("{target} but for its kubelet") } else { target.to_string() };
                self.note(name, format!("back in service at {at}, out of service {}", span(begun.elapsed())));
            }
            None if edited => self.note(name, format!("was at {target} already; our cordon is taken back")),
            None => self.skipped(name, "upgrade", &format!("it is at {target} already")),
        }
        Ok(())
    }

    /// The kubelet reports another version only after its restart: a Ready from before is not taken for it.
    pub(super) async fn ready_at(&self, node: &Node, on: &str, arrived: impl Fn(Version) -> bool) -> Result<(), Cause> {
        let wait = Wait {
            place: &node.name,
            on,
            deadline: self.settings.ready_deadline,
            every: Duration::from_secs(1),
            stoppable: false,
        };
        self.wait(wait, async || {
            let Some(now) = self.node_now(&node.name).await? else {
                return Err(Cause::step(format!("{} was deleted from the cluster", node.name)));
            };
            let arrived = now.kubelet.is_some_and(&arrived) || !guard::on(Guard::ReadyAtVersion);
            Ok(match (arrived, now.ready) {
                (true, true) => Probe::Ready(()),
                (true, false) => Probe::Not(now.not_ready.map_or("not Ready".to_owned(), |why| format!("not Ready: {why}"))),
                (false, _) => Probe::Not(format!("kubelet is {}", told(now.kubelet))),
            })
        })
        .await
        .map_err(|cause| cause.next(command!("kubectl describe node {}", node.name)))
    }

    async fn control_plane_at(&self, name: &str, target: Version) -> Result<(), Cause> {
        let wait = Wait {
            place: name,
            on: "its control-plane pods to run at the target",
            deadline: self.settings.ready_deadline,
            every: Duration::from_secs(3),
            stoppable: false,
        };
        let mut steady = 0;
        self.wait(wait, async || {
            let facts = self.observe().await?;
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
    pub(super) fn skipped(&self, place: &str, step: &str, why: &str) {
        self.emit(&crate::report::Event::StepSkipped { place: place.into(), step: step.into(), why: why.into() });
    }

    /// What a person should know of a node that a step failed on.
    pub async fn node_state(&self, name: &str) -> String {
        let now = match self.node_now(name).await {
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
        format!("{name} is {cordon} and {ready}, its kubelet is {}.", told(now.kubelet))
    }
}

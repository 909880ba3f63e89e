//! The gates: may the run go on? One table of what each is called, when it is asked, what it asks and why, and how to go on where it is
//! closed; and small predicates over what is: each reason names its node and, where time mends it, says when.
//!
//! The lists of preflight and of a node, `preflight --help`, `k8s-upgrade-operations(7)` and `status` are views of the table. What the alert gate
//! decides is in [`super::alerts`]; `run::nodes::asking` asks, and finds a gate that was forgotten to be a bug.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::order;
use super::waves::{self, Limit, Taken};
use crate::failure::{Advice, Cause, Class};
use crate::plan::model::answer::Verdict;
use crate::plan::model::facts::{COMPONENTS, Facts, JobFact, JobState, Node, Step};
use crate::plan::model::policy::{Policy, QuietScope};
use crate::plan::model::version::{Version, or_unknown};
use crate::words::texts;

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Before a run is claimed: nothing has changed.
    Preflight,
    /// Before a node is taken out of service.
    BeforeNode,
    /// Once a node serves again, before the next.
    AfterNode,
    /// Before a run ends.
    Postflight,
}

impl Occasion {
    /// In the order of a run.
    pub const ALL: [Occasion; 4] = [Occasion::Preflight, Occasion::BeforeNode, Occasion::AfterNode, Occasion::Postflight];

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Occasion::Preflight => "preflight",
            Occasion::BeforeNode => "before a node",
            Occasion::AfterNode => "after a node",
            Occasion::Postflight => "postflight",
        }
    }
}

/// How a gate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    Open,
    /// Time may open it.
    Hold,
    /// A person must change something first.
    Refused,
    /// The same, and there is nothing to change yet: somebody else has to release something first.
    Pinned,
    /// Nobody could say; it is as closed as any other.
    Unknown,
    /// It does not concern this node or this run, or was left out for what was found before it.
    NotAsked,
}

impl Found {
    /// What a failed question means.
    pub fn of(class: Class) -> Self {
        match class {
            Class::Hold => Found::Hold,
            Class::Refused | Class::Usage => Found::Refused,
            Class::Pinned => Found::Pinned,
            Class::Bug | Class::Step | Class::Contended | Class::Unreachable | Class::Stopped(_) | Class::Halted => {
                Found::Unknown
            }
        }
    }

    /// As logs, gauges and data name it.
    pub fn word(self) -> &'static str {
        match self {
            Found::Open => "pass",
            Found::Hold => "hold",
            Found::Refused => "refused",
            Found::Pinned => "pinned",
            Found::Unknown => "unknown",
            Found::NotAsked => "not asked",
        }
    }

    /// It keeps the run from going on.
    pub fn closed(self) -> bool {
        !matches!(self, Found::Open | Found::NotAsked)
    }
}

/// What people know of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is called in logs (`gate nodes: pass`) and in data; never changed, for people search for it.
    pub id: &'static str,
    /// In the order of a run.
    pub asked: &'static [Occasion],
    /// It passes where the answer is yes. What is unknown is a no.
    pub question: &'static str,
    /// Why it is asked.
    pub explanation: &'static str,
    /// What to type where it is closed and nothing better is known. What is in capitals, a person fills in.
    pub command: &'static str,
    /// What that command is for.
    pub purpose: &'static str,
}

impl Row {
    /// How to go on where it is closed.
    pub fn advice(&self) -> Advice {
        let Row { command, purpose, .. } = self;
        Advice::from(format!("{command}    # {purpose}"))
    }
}

macro_rules! gates {
    ($($gate:ident: $($asked:ident)+, $id:literal, $question:literal, $explanation:literal, $command:literal, $purpose:literal;)+) => {
        /// A question that must pass before a run goes on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Gate {
            $(#[doc = $question] $gate,)+
        }

        impl Gate {
            /// All, those of preflight first and in the order in which it asks them.
            pub const ALL: &[Gate] = &[$(Gate::$gate,)+];

            /// What people know of it.
            pub const fn row(self) -> Row {
                match self {
                    $(Gate::$gate => Row {
                        id: $id,
                        asked: &[$(Occasion::$asked,)+],
                        question: $question,
                        explanation: $explanation,
                        command: $command,
                        purpose: $purpose,
                    },)+
                }
            }
        }
    };
}

gates! {
    WorkByHand: Preflight, "work by hand",
        "does nobody else work on the cluster by hand?",
        "two at work could take two nodes out of service at once",
        "k8s-upgrade status --watch", "until their process has ended";
    Nodes: Preflight BeforeNode AfterNode Postflight, "nodes",
        "is every node Ready and under no pressure?",
        "the pods of a drained node need room on the others",
        "kubectl get nodes", "repair the node, or exclude it (setting exclude-nodes)";
    ApiServers: Preflight BeforeNode AfterNode Postflight, "control plane",
        "is the API server of every control plane Running and Ready, and does its /readyz say so after a node?",
        "with one away already, the upgrade of another could take the whole API away",
        "kubectl get pods -n kube-system -l component=kube-apiserver -o wide", "repair the one that is not Ready";
    Certificates: Preflight, "certificates",
        "do kubeadm's certificates on every control plane outlast the run, or are they renewed in it?",
        "once one has ended, a component that is restarted is trusted by no other",
        "sudo kubeadm certs check-expiration", "on the control plane that is named: when each ends";
    Quiet: Preflight, "quiet",
        "has no node come or gone lately (setting quiet)?",
        "a node that has just failed may fail again",
        "kubectl get nodes", "the gate opens by itself once the nodes have been quiet for long enough";
    Permissions: Preflight, "permissions",
        "may the program do everything that a run does?",
        "a missing right would stop the run halfway",
        "k8s-upgrade manifests --image REF | kubectl apply -f -", "grants the rights that this build needs";
    Backup: Preflight, "backup",
        "is there a way to an etcd snapshot (setting snapshot)?",
        "without a snapshot no control plane can be restored",
        "k8s-upgrade check", "what is missing for the one that is set: its CronJob, or etcd's own container and room on the control planes";
    Hooks: Preflight, "hooks",
        "are the CronJobs of the settings hook-before-node and hook-after-node there, and suspended?",
        "a hook that is not there would stop the run before a node, and one that is not suspended runs by itself",
        "kubectl get cronjobs -A", "suspend the one that is meant, or take the setting away";
    Release: Preflight, "release",
        "does the package index list the target, and does the mirror of every node have it?",
        "no node could install a release that does not exist, or that its mirror does not have yet",
        "k8s-upgrade detect --dry-run", "says which releases there are";
    Hosts: Preflight, "hosts",
        "does every node answer by SSH, and is it fit to be upgraded?",
        "half installed packages, a full disk or a stray manifest are found while the node still serves",
        "k8s-upgrade status --hosts", "what each node says by SSH";
    ChangesByHand: Preflight BeforeNode, "changes by hand",
        "would kubeadm overwrite no change that was made by hand?",
        "kubeadm rewrites its files, and does not say what it drops",
        "k8s-upgrade acknowledge", "shows the changes, and the ID that lets the next run overwrite them";
    RemovedApis: Preflight, "removed APIs",
        "before a minor version: does nobody call an API that the target no longer serves (setting removed-apis-ignore)?",
        "whoever calls it fails as soon as the control plane is upgraded",
        "kubectl get --raw /metrics | grep apiserver_requested_deprecated_apis",
        "on the control plane that is named, with its admin.conf: what was called since its API server started";
    Drainable: Preflight BeforeNode, "drainable",
        "may every pod leave its node?",
        "a pod that its PodDisruptionBudget never releases would keep its node out of service in vain",
        "k8s-upgrade drain NODE --dry-run", "what holds each pod; change the budget or the replicas, or see the setting undrainable";
    Addons: Preflight, "addons",
        "does every addon of the setting addons go along to the target, at the version at which it runs?",
        "a network or a storage that does not know the new release may stop working with it",
        "k8s-upgrade check", "which addons run at which version, and how far each goes; upgrade it first, or change the setting";
    Etcd: Preflight BeforeNode AfterNode, "etcd",
        "is every member of etcd well, with room and a fast disk, and after a node as it was when the run was claimed?",
        "with one member ill, the upgrade of another could take the quorum, and so the API, away",
        "kubectl get pods -n kube-system -l component=etcd -o wide", "read the log of the one that is named";
    Window: Preflight BeforeNode, "window",
        "is a window open that is long enough (settings windows, freezes, freeze-configmap)?",
        "a cluster is touched only when its owner has said that it may be",
        "k8s-upgrade resume --now", "does not wait for the window; a run that has not begun is begun with start --now";
    Alerts: Preflight BeforeNode AfterNode Postflight, "alerts",
        "is no alert firing that blocks upgrades?",
        "an upgrade makes worse what is broken already; alerts that cannot be read count as firing",
        "k8s-upgrade status --health", "whether alerts can be read; the setting alert-ignore names those that never block";
    Kubeadm: Preflight, "kubeadm",
        "does kubeadm upgrade plan lead to the target?",
        "kubeadm itself knows what it cannot upgrade",
        "sudo kubeadm upgrade plan", "on the first control plane: what kubeadm would do, and why";
    Trial: Preflight, "trial",
        "do the target's own kubelet and kubeadm accept every node?",
        "a removed flag or a configuration that no longer starts is found before anything is drained",
        "systemctl cat kubelet", "on the node: where the flags of its kubelet are set";
    Order: BeforeNode, "order",
        "is it this node's turn?",
        "no kubelet may be newer than an API server, so all control planes come before the workers",
        "k8s-upgrade resume --dry-run", "says which node comes next";
    Packages: BeforeNode, "packages",
        "does the node's repository offer the target?",
        "a node that cannot install the target need not be taken out of service",
        "k8s-upgrade preflight --target X.Y.Z", "prepares the repositories of all nodes";
    Soak: BeforeNode AfterNode Postflight, "soak",
        "has the cluster stayed healthy since the last node (setting soak)?",
        "what an upgrade breaks often shows only minutes later",
        "kubectl get nodes", "wait until its time has passed";
    Workloads: BeforeNode AfterNode Postflight, "workloads",
        "do the Deployments, StatefulSets and DaemonSets that were whole when the run was claimed have all their pods again?",
        "two drains in a row must not take both of two replicas",
        "kubectl get deployments,statefulsets,daemonsets -A", "find those that lack pods";
    CrashLoops: BeforeNode AfterNode Postflight, "crash loops",
        "does no pod crash again and again that did not when the run was claimed?",
        "what the new release breaks often starts, and ends at once",
        "kubectl get pods -A", "find the pods in CrashLoopBackOff, and read their logs";
    Dns: BeforeNode AfterNode Postflight, "cluster DNS",
        "does the cluster's DNS answer, asked from the runner's pod?",
        "without it nothing in the cluster finds anything; whoever works from outside cannot ask it",
        "kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide", "find the one that is not Ready, and read its log";
    OneAtATime: BeforeNode, "one at a time",
        "may one more node be out of service: is no other by this program, or is there room under the setting max-unavailable?",
        "the cluster has room for the pods of so many nodes, and not of more",
        "k8s-upgrade status --watch", "until another node is back in service";
    ControlPlane: BeforeNode, "control plane version",
        "before a worker: does every control plane run at the target (before the one of start --only: at its minor version)?",
        "no kubelet may be newer than an API server",
        "kubectl get pods -n kube-system -l tier=control-plane -o wide", "find the component that is not at the target";
    Target: Postflight, "target",
        "is every node at the target?",
        "a run that ends leaves no node behind, unless a person skipped it",
        "kubectl get nodes", "find the node that is not at the target";
    Pods: Postflight, "pods",
        "are enough pods Ready (setting ready-ratio)?",
        "nodes that are Ready do not show yet that the workloads run",
        "kubectl get pods -A", "find those that are not Ready";
}

texts!(none: Gate, Found, Occasion);

impl Gate {
    /// The gates of an occasion.
    pub fn of(occasion: Occasion) -> impl Iterator<Item = Gate> {
        Self::ALL.iter().copied().filter(move |gate| gate.row().asked.contains(&occasion))
    }

    /// The one of this id, as records carry it; none for what another build wrote.
    pub fn by_id(id: &str) -> Option<Gate> {
        Self::ALL.iter().copied().find(|gate| gate.row().id == id)
    }
}

/// Every node to upgrade is Ready and under no pressure, but for as many workers as the settings let be away. In waves one that is in work comes
/// back, or its own Job says that it does not.
pub fn nodes_ready(facts: &Facts, policy: &Policy, now: Timestamp) -> Verdict {
    let mut reasons = Vec::new();
    let away = waves::may_be_away(facts, policy);
    for node in facts.managed() {
        if !node.ready && !away.contains(node.name.as_str()) {
            let since = node.ready_since.map_or(String::new(), |since| format!(" for {} (since {since})", ago(now, since)));
            let why = node.not_ready.as_ref().map_or(String::new(), |why| format!(", {}", why.trim_end_matches('.')));
            reasons.push(format!("{} is not Ready{since}{why}: mend it, or exclude it in the settings", node.name));
        }
        reasons.extend(node.pressures.iter().map(|pressure| format!("{} has {pressure}", node.name)));
    }
    Verdict::hold_if(reasons)
}

/// What the gate asks of all nodes before a run: they are fit, and told apart by what is placed by hostname.
///
/// # Errors
/// A hold for what time may mend; refused where a label must be changed.
pub fn nodes_fit(facts: &Facts, policy: &Policy, now: Timestamp) -> Result<(), Cause> {
    nodes_ready(facts, policy, now).into_result("not every node is fit").and_then(|()| hostnames_differ(facts))
}

/// No two nodes bear one hostname label: what is to run on one, by that label, runs on the other as well.
///
/// # Errors
/// Refused: which do.
pub fn hostnames_differ(facts: &Facts) -> Result<(), Cause> {
    let mut of_each = BTreeMap::<&str, Vec<&str>>::new();
    facts.nodes.iter().for_each(|node| of_each.entry(&node.hostname).or_default().push(&node.name));
    let shared: Vec<_> = of_each.into_iter().filter(|(_, nodes)| nodes.len() > 1).collect();
    if shared.is_empty() {
        return Ok(());
    }
    let line = |(hostname, nodes): &(&str, Vec<&str>)| format!("{}: {hostname}", nodes.join(", "));
    Err(Cause::refused("nodes bear one hostname label")
        .detail(shared.iter().map(line))
        .next("kubectl get nodes -L kubernetes.io/hostname    # give each its own name on its machine, and restart its kubelet"))
}

/// Before a run: no node came or went within `policy.quiet`, or in a large cluster no control plane, nor the runner. What this run did itself
/// does not count. A node whose last transition is unknown holds.
pub fn quiet(facts: &Facts, policy: &Policy, now: Timestamp) -> Verdict {
    let runner = order::runner(facts, policy).map(|node| node.name.as_str());
    let few = asks_few(facts, policy);
    let asked = facts.managed().filter(|node| !few || node.control_plane || Some(node.name.as_str()) == runner);
    Verdict::hold_if(asked.filter_map(|node| unquiet(facts, node, policy, now)).collect())
}

/// Before the turn of a node, where it was not asked of it before the run.
pub fn quiet_before(facts: &Facts, name: &str, policy: &Policy, now: Timestamp) -> Verdict {
    let asked = facts.node(name).filter(|node| asks_few(facts, policy) && !node.control_plane);
    Verdict::hold_if(asked.and_then(|node| unquiet(facts, node, policy, now)).into_iter().collect())
}

/// In a large cluster something always comes and goes.
fn asks_few(facts: &Facts, policy: &Policy) -> bool {
    facts.nodes.len() > SMALL && policy.quiet_scope == QuietScope::Auto
}

/// Why this node is not quiet.
fn unquiet(facts: &Facts, node: &Node, policy: &Policy, now: Timestamp) -> Option<String> {
    let quiet = SignedDuration::try_from(policy.quiet).unwrap_or(SignedDuration::MAX);
    let marks = &facts.marks;
    let since_start = matches!((node.ready_since, marks.started), (Some(at), Some(start)) if at >= start);
    if marks.in_flight && (since_start || node.changed_by(marks)) {
        return None;
    }
    let Some(at) = node.ready_since else { return Some(format!("{}: when it last became Ready is unknown", node.name)) };
    (now.duration_since(at) < quiet).then(|| {
        let passes = at.checked_add(quiet).map_or("never".to_owned(), |at| round(at).to_string());
        format!("{} became Ready {} ago ({} wanted): passes at {passes}", node.name, ago(now, at), span(policy.quiet))
    })
}

/// Every control plane shows all its components Running, and `at` that version (or past it: nothing is ever taken back), if one is asked for.
pub fn control_plane(facts: &Facts, at: Option<Version>) -> Verdict {
    let masters = facts.managed().filter(|node| node.control_plane);
    Verdict::hold_if(masters.flat_map(|node| named(node, node.components_wrong(&COMPONENTS, at))).collect())
}

/// Every API server's pod is Running and Ready: asked before a control plane is taken out.
pub fn apiservers_ready(facts: &Facts) -> Verdict {
    let masters = facts.nodes.iter().filter(|node| node.control_plane);
    Verdict::hold_if(masters.flat_map(|node| named(node, node.components_wrong(&COMPONENTS[..1], None))).collect())
}

/// There is a place for the node `name` to be out of service, too.
pub fn one_at_a_time(facts: &Facts, policy: &Policy, name: &str, now: Timestamp) -> Verdict {
    let full = waves::limits(facts, policy, name, now).into_iter().find(|limit| limit.taken.len() >= limit.allowed);
    let reasons = |Limit { taken, words, .. }: Limit<'_>| {
        taken.into_iter().map(|taken| format!("{} {}: {words}", taken.node.name, taken.why)).collect()
    };
    Verdict::hold_if(full.map(reasons).unwrap_or_default())
}

/// No Job of the run works on the node: one whose work is done may have been killed before its end, and is tried again there.
pub fn hosts_nobody(facts: &Facts, name: &str) -> Verdict {
    let here = |job: &&JobFact| job.node.as_deref().or(job.pin.as_deref()) == Some(name);
    let active = facts.jobs.iter().filter(|job| job.state == JobState::Active && !job.is_between());
    Verdict::hold_if(active.filter(here).map(|job| format!("Job {} is at work on {name}", job.name)).collect())
}

/// What a runner does that has just cordoned `name`, and looks once more. Others may have passed [`one_at_a_time`] at the same time; since each
/// cordons before it looks, at least the last one sees all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    Ours,
    /// These are out, too, but come after ours in natural order: they give way, if they see us. Until then nothing is begun.
    Wait(Vec<String>),
    GiveWay(Vec<String>),
}

/// Who goes first, of those that are out of service by our doing: the first in natural order, so that all come to the same answer.
pub fn turn(facts: &Facts, policy: &Policy, name: &str, now: Timestamp) -> Turn {
    let turns = waves::limits(facts, policy, name, now).into_iter().map(|limit| turn_under(limit, name));
    turns
        .max_by_key(|turn| match turn {
            Turn::Ours => 0,
            Turn::Wait(_) => 1,
            Turn::GiveWay(_) => 2,
        })
        .unwrap_or(Turn::Ours)
}

fn turn_under(Limit { taken, allowed, .. }: Limit<'_>, name: &str) -> Turn {
    let names = |of: &[Taken<'_>]| of.iter().map(|taken| taken.node.name.clone()).collect();
    let all = names(&taken);
    let (ours, others): (Vec<_>, Vec<_>) = taken.into_iter().partition(|taken| taken.gives_way);
    let free = allowed.saturating_sub(others.len());
    let before = ours.partition_point(|taken| order::natural(&taken.node.name, name).is_lt());
    match () {
        () if ours.len() < free => Turn::Ours,
        () if before < free => Turn::Wait(names(&ours[before..])),
        () => Turn::GiveWay(all),
    }
}

/// Everything is at `target` or past it, kubelets and control planes: what postflight asks.
pub fn at_target(facts: &Facts, target: Version) -> Verdict {
    // What a person skipped by force is told as such, and never as done.
    let skipped = |node: &Node| Step::of(node).is_skipped(&facts.marks);
    let old = facts.managed().filter(|node| node.kubelet < Some(target) && !skipped(node));
    let kubelets = old.map(|node| format!("{}: kubelet {}, not {target}", node.name, or_unknown(node.kubelet))).collect();
    Verdict::all([control_plane(facts, Some(target)), Verdict::hold_if(kubelets)])
}

fn named(node: &Node, wrong: Vec<String>) -> impl Iterator<Item = String> {
    wrong.into_iter().map(|what| format!("{}: {what}", node.name))
}

/// A cluster of more nodes than this is a large one: not all of it is asked again and again.
pub const SMALL: usize = 20;

/// So many that are not Ready are named.
const NAMED: usize = 5;

/// How many pods of the cluster are Ready: counted one by one, and none is kept.
#[derive(Clone, Debug, Default)]
pub struct PodsReady {
    unfinished: usize,
    unready: usize,
    /// The first that are not Ready.
    named: Vec<String>,
}

impl PodsReady {
    /// One more.
    pub fn count(&mut self, pod: &Pod) {
        if finished(pod) {
            return;
        }
        self.unfinished += 1;
        if !is_ready(pod) {
            self.unready += 1;
            if self.named.len() < NAMED {
                self.named.push(full_name(pod));
            }
        }
    }
}

/// Enough of the unfinished pods are Ready. No pods at all is no answer.
pub fn pods_ready(pods: &PodsReady, policy: &Policy) -> Verdict {
    let PodsReady { unfinished, unready, named } = pods;
    if *unfinished == 0 {
        return Verdict::Hold(vec!["no unfinished pod is to be seen in the whole cluster".to_owned()]);
    }
    let ready = unfinished - unready;
    let ratio = ready as f64 / *unfinished as f64;
    if ratio >= policy.ready_ratio {
        return Verdict::Pass;
    }
    let share = format!("{ready} of {unfinished} pods are Ready ({:.2}, {:.2} wanted)", ratio, policy.ready_ratio);
    Verdict::Hold(vec![format!("{share}: not {}", first_of(named, *unready))])
}

/// Succeeded or Failed: it will never be Ready, and nothing guards it.
pub fn finished(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// Its condition Ready is True.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The first of them, and how many more there are.
pub fn first_few(names: &[String], most: usize) -> String {
    first_of(&names[..most.min(names.len())], names.len())
}

/// The same where only the first of `all` are known by name.
fn first_of(first: &[String], all: usize) -> String {
    let named = first.join(", ");
    if all > first.len() { format!("{named} and {} more", all - first.len()) } else { named }
}

/// `namespace/name`.
pub fn full_name(object: &impl Metadata<Ty = ObjectMeta>) -> String {
    let metadata = object.metadata();
    format!("{}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn round(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    span(now.duration_since(at).max(SignedDuration::ZERO).unsigned_abs())
}

/// `26 h`, `7 min`, `12 s`: the largest unit that is not zero.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;

//! Looks at the cluster's own health: before a run is claimed, for the baseline; and after each node, for what has got worse since.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Unit};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::plan::decide::gates::{Gate, Occasion, first_few};
use crate::plan::decide::regression::{LOOKS, Look, Looks, Pods, STANDS, Symptom, missing};
use crate::plan::decide::waves;
use crate::plan::decide::workloads::{Workload, crash_looping};
use crate::plan::model::answer::{Answer, Verdict};
use crate::plan::model::baseline::Baseline;
use crate::plan::model::facts::Facts;
use crate::plan::model::marks::Edit;
use crate::plan::model::progress::Awaited;
use crate::report::{Event, span};
use crate::run::cluster::{Cluster, Lean};
use crate::run::nodes::asking::Asking;
use crate::run::nodes::drain::on_node;
use crate::run::nodes::etcd::{self, Disks};
use crate::run::services::Services;
use crate::run::session::{Probe, Session, Wait};
use crate::settings::Settings;
use crate::words::RunId;

/// How often it is looked: so what stands long enough is seen often enough.
const EVERY: Duration = Duration::from_secs(STANDS.as_secs() / (LOOKS as u64 - 1));
/// A name that every cluster's DNS has, and how long it is waited for.
const NAME: &str = "kubernetes.default.svc";
/// See [`NAME`].
const ANSWERS: Duration = Duration::from_secs(10);
/// So many of what was wrong before a run are named.
const NAMED: usize = 5;

/// The gates of a look, each with the guard that it is asked under.
const GUARDED: [(Gate, Guard); 6] = [
    (Gate::Nodes, Guard::HealthInSoak),
    (Gate::ApiServers, Guard::ApiServersAfterNode),
    (Gate::Etcd, Guard::EtcdHealthy),
    (Gate::Workloads, Guard::WorkloadsAfterNode),
    (Gate::CrashLoops, Guard::CrashLoops),
    (Gate::Dns, Guard::ClusterDns),
];

/// All workloads of the cluster.
pub async fn workloads(cluster: &Cluster) -> Result<Vec<Workload>, Cause> {
    let params = ListParams::default;
    let of = |Lean(one): Lean<Deployment>| Some(Workload::of_deployment(&one));
    let mut all = cluster.pick("list Deployments", cluster.all(), params(), of).await?;
    let of = |Lean(one): Lean<StatefulSet>| Some(Workload::of_stateful_set(&one));
    all.extend(cluster.pick("list StatefulSets", cluster.all(), params(), of).await?);
    let of = |Lean(one): Lean<DaemonSet>| Some(Workload::of_daemon_set(&one));
    all.extend(cluster.pick("list DaemonSets", cluster.all(), params(), of).await?);
    Ok(all)
}

/// Waits until the workloads that count by their keys have all their pods again.
pub async fn workloads_back(
    session: &Session,
    cluster: &Cluster,
    settings: &Settings,
    place: &str,
    counts: impl Fn(&str) -> bool,
) -> Result<(), Cause> {
    let wait = Wait {
        place,
        on: "workloads to have all their pods again",
        deadline: settings.ready_deadline,
        every: Duration::from_secs(2),
        stoppable: true,
    };
    let mut seen = Seen::of(settings);
    session
        .hold_at(Gate::Workloads, wait, async || {
            let all = seen.missing_still(workloads(cluster).await?);
            let missing: Vec<&str> = missing(&all, &counts).map(|workload| workload.name.as_str()).collect();
            Ok(if missing.is_empty() { Probe::Ready(()) } else { Probe::Not(missing.join(", ")) })
        })
        .await
}

/// Workloads that were seen whole since a wait began: in waves others are drained meanwhile, and there is never a moment at which all of all are.
#[derive(Default)]
struct Seen {
    /// None: one node after the other, and each look counts.
    whole: Option<BTreeSet<String>>,
}

impl Seen {
    fn of(settings: &Settings) -> Self {
        Seen { whole: settings.waves().on().then(BTreeSet::new) }
    }

    /// Those that count: all, or in waves those that were not seen whole yet.
    fn missing_still(&mut self, workloads: Vec<Workload>) -> Vec<Workload> {
        let Some(whole) = &mut self.whole else { return workloads };
        whole.extend(workloads.iter().filter(|workload| workload.is_mostly_whole()).map(Workload::key));
        workloads.into_iter().filter(|workload| workload.is_whole() || !whole.contains(&workload.key())).collect()
    }
}

/// One look, at what these gates want to know. `disks`: as the look before has left them.
///
/// # Errors
/// The API server cannot be asked. A node or the DNS that cannot is a symptom.
async fn look(
    services: &Services,
    facts: &Facts,
    disks: &mut Disks,
    seen: &mut Seen,
    pods: Pods,
    wanted: impl Fn(Gate) -> bool,
) -> Result<Look, Cause> {
    let cluster = &services.cluster;
    let away = waves::may_be_away(facts, &services.settings.policy());
    let mut look = if wanted(Gate::Nodes) { Look::new(facts, &away) } else { Look::default() };
    if wanted(Gate::Etcd) {
        let asked = etcd::asked(services, facts).await;
        let means = disks.means(&asked);
        look = look.with_control_planes(asked).with_disks(means);
    }
    if wanted(Gate::Workloads) {
        look = look.with_workloads(seen.missing_still(workloads(cluster).await?));
    }
    look = look.with_crash_loops(crash_loops(cluster, pods).await?);
    // From elsewhere the cluster's DNS is not the one that is asked.
    if cluster.in_cluster {
        let answer = services.world.resolver.resolve(NAME, ANSWERS).await;
        look = look.with_dns(NAME, answer.map_or_else(Answer::Unknown, Answer::Known));
    }
    Ok(look)
}

/// Whose pods crash again and again.
async fn crash_loops(cluster: &Cluster, pods: Pods) -> Result<Vec<String>, Cause> {
    let params = match pods {
        Pods::All => vec![ListParams::default()],
        Pods::On(nodes) => nodes.iter().map(|node| on_node(node)).collect(),
    };
    let mut all = Vec::new();
    for params in params {
        let crashes = |Lean(pod): Lean<Pod>| crash_looping(&pod);
        all.extend(cluster.pick("list pods", cluster.all(), params, crashes).await?);
    }
    Ok(all)
}

/// What is well now; what is not is told, for no run is held for it.
pub async fn taken(services: &Services, place: &str, facts: &Facts, mut disks: Disks) -> Result<Baseline, Cause> {
    let look = look(services, facts, &mut disks, &mut Seen::default(), Pods::All, |_| true).await?;
    let ill = look.ill();
    if !ill.is_empty() {
        let told = format!("not well before this run, and no reason to hold it: {}", first_few(&ill, NAMED));
        services.session.note(place, told);
    }
    if !services.cluster.in_cluster {
        services.session.note(place, "the cluster's DNS is not asked from here: only the run's own pods can");
    }
    Ok(look.baseline(services.session.now()))
}

/// The run's baseline. One that has none was begun by a build before, or is a person's word for one node: then it is what is well now.
pub async fn baseline(services: &Services, place: &str, facts: &Facts, run: &RunId) -> Result<Baseline, Cause> {
    if let Some(baseline) = facts.marks.baseline.as_ref().filter(|_| facts.marks.is_of(run)) {
        return Ok(baseline.clone());
    }
    let baseline = taken(services, place, facts, Disks::default()).await?;
    if facts.marks.is_of(run) {
        services
            .session
            .warn(place, "nothing says what was well when this run was claimed: what is well now counts from here on");
        services.record.mark_run(run, place, "record what is well", &[Edit::baseline(&baseline)?]).await?;
    }
    Ok(baseline)
}

/// Watches the cluster until the soak of whatever node was changed last is over, and nothing is worse than at the baseline. What is worse in
/// three looks over a minute holds, and so does what has come and gone for as long as a node is given to be Ready. Before a node, once no soak is
/// left, the gates that are asked there anyhow are left to their own waits.
pub async fn watch(services: &Services, asking: &mut Asking<'_>, baseline: &Baseline) -> Result<(), Cause> {
    let Services { session, settings, observer, .. } = services;
    let place = asking.place();
    let (begun, mut looks, mut soaks, mut over) = (session.now(), Looks::default(), None, None);
    let (mut disks, mut first) = (Disks::default(), true);
    let (policy, mut seen) = (settings.policy(), Seen::of(settings));
    loop {
        let facts = observer.observe_nodes().await?;
        let after = asking.occasion() == Occasion::AfterNode;
        let last = waves::soaked_for(&facts, &policy, place, after, session.now());
        let of_last = last.and_then(|(_, name)| facts.node(name)).map_or(Duration::ZERO, |node| policy.soak_of(node));
        let soak = if guard::on(Guard::Soak) { of_last } else { Duration::ZERO };
        let passed = |at| session.now().duration_since(at).max(SignedDuration::ZERO).unsigned_abs();
        let left = last.map_or(Duration::ZERO, |(changed, _)| soak.saturating_sub(passed(changed)));
        let soaks = *soaks.get_or_insert(!left.is_zero());
        let wanted = |gate| match asking.occasion() {
            Occasion::BeforeNode if !soaks => !matches!(gate, Gate::Nodes | Gate::Workloads),
            // Its pod has no key, and its last node has asked just now.
            Occasion::Postflight => gate != Gate::Etcd,
            _ => true,
        };
        // What a disk takes is known only from the second look on: a run that was held for it must not go past it by being begun again. Only before
        // a node: of one that is done, the next may be drained already, and what that drives away is no sign of anything.
        let before = asking.occasion() == Occasion::BeforeNode;
        let judged = !std::mem::replace(&mut first, false) || !before || !wanted(Gate::Etcd);
        let counts = |symptom: &Symptom| GUARDED.iter().any(|(gate, guard)| *gate == symptom.gate && guard::on(*guard));
        let pods = match asking.occasion() {
            Occasion::BeforeNode | Occasion::AfterNode => Pods::around(&facts, place, soak, session.now()),
            Occasion::Preflight | Occasion::Postflight => Pods::All,
        };
        let worse: Vec<Symptom> = look(services, &facts, &mut disks, &mut seen, pods, wanted)
            .await?
            .worse(baseline)
            .into_iter()
            .filter(counts)
            .collect();
        let late = passed(begun) >= *over.get_or_insert(left + guard::bound(Guard::WaitDeadline, settings.ready_deadline));
        // In waves pods are on their way for as long as another node is drained: that is told, and holds only in the end.
        let moves = |symptom: &&Symptom| symptom.gate == Gate::Workloads && policy.waves.on() && !late;
        let stays: Vec<Symptom> = worse.iter().filter(|symptom| !moves(symptom)).cloned().collect();
        let standing = looks.see(session.now(), &stays, late);
        let reasons = |gate: Option<Gate>| -> Vec<String> {
            let of_it = standing.iter().filter(|(symptom, _)| gate.is_none_or(|gate| symptom.gate == gate));
            of_it
                .map(|(symptom, since)| format!("{}, since {}", symptom.words(), since.round(Unit::Second).unwrap_or(*since)))
                .collect()
        };
        let verdicts = GUARDED.map(|(gate, guard)| (gate, guard, Verdict::hold_if(reasons(Some(gate)))));
        if let Probe::Not(_) = asking.look(verdicts) {
            let after = last.map_or("since the run was claimed".to_owned(), |(_, node)| format!("after {node} was upgraded"));
            let cause = Cause::hold(format!("the cluster got worse {after}: nothing else will be started")).detail(reasons(None));
            return Err(asking.late(cause));
        }
        if left.is_zero() && worse.is_empty() && !judged {
            session.safe_point(Guard::StopInSoak, Guard::HaltInSoak).await?;
            session.sleep(etcd::WATCHED, guard::on(Guard::StopInSoak)).await;
            continue;
        }
        if left.is_zero() && worse.is_empty() {
            if soaks {
                session.note(place, format!("soaked, {}", span(passed(begun))));
            }
            return asking.heard(Gate::Soak, Ok(()));
        }
        session.safe_point(Guard::StopInSoak, Guard::HaltInSoak).await?;
        let complaints: Vec<String> = worse.iter().map(Symptom::words).collect();
        let gate = worse.first().map(|symptom| symptom.gate.row().id.to_owned());
        let on = Awaited { gate, ..Awaited::soak(&complaints) };
        session.emit(&Event::Waiting { place: place.into(), on, left });
        let pause = if worse.is_empty() { EVERY.min(left.max(Duration::from_secs(1))) } else { EVERY };
        session.sleep(pause, guard::on(Guard::StopInSoak)).await;
    }
}

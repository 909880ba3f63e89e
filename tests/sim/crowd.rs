//! Many hosts: who only looks asks many at once and never too many, one that does not answer delays no other, and changes keep their own bound;
//! what is told of many is one line, and what a run of many leaves behind goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, LocalBoxFuture};
use jiff::SignedDuration;
use k8s_upgrade::Program;
use k8s_upgrade::node::{self, Operation};
use k8s_upgrade::twin::scenario::{Node, Scenario};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, Process, Start, State, Twin, hosts};
use k8s_upgrade::world::{Bounds, Host, HostError, HostOutput, Hosts, World};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{NAMESPACE, begin, is_over, jobs, live, pass, quick, types as typed, when};

/// Every operation, and whether it changes the node.
fn operations() -> BTreeMap<&'static str, bool> {
    fn of<O: Operation>() -> (&'static str, bool) {
        (O::NAME, O::MUTATES)
    }
    [
        of::<node::AddKey>(),
        of::<node::AskDeprecated>(),
        of::<node::AskServers>(),
        of::<node::Available>(),
        of::<node::Begin>(),
        of::<node::CheckCertificates>(),
        of::<node::Follow>(),
        of::<node::Identify>(),
        of::<node::ImagesThere>(),
        of::<node::Inspect>(),
        of::<node::KubeadmPlan>(),
        of::<node::LookAtEtcd>(),
        of::<node::LookAtKeys>(),
        of::<node::LookBack>(),
        of::<node::MoveLeader>(),
        of::<node::Prefetch>(),
        of::<node::ReadPatches>(),
        of::<node::Refresh>(),
        of::<node::RefreshAll>(),
        of::<node::RemoveKeys>(),
        of::<node::Repository>(),
        of::<node::SnapshotHash>(),
        of::<node::TakeSnapshot>(),
        of::<node::Trial>(),
        of::<node::WriteCard>(),
    ]
    .into()
}

/// Sessions that are open, and the most that were open at once.
#[derive(Clone, Copy, Default)]
struct Open(usize, usize);

#[derive(Default)]
struct Seen {
    looks: Open,
    changes: BTreeMap<&'static str, Open>,
    /// By host: sessions, and when the last one ended.
    of: BTreeMap<String, (usize, Option<Instant>)>,
}

impl Seen {
    fn open(&mut self, (name, changes): (&'static str, bool)) -> &mut Open {
        if changes { self.changes.entry(name).or_default() } else { &mut self.looks }
    }
}

/// The way to the hosts, which counts whoever is on it.
struct Counted {
    inner: Arc<dyn Hosts>,
    seen: Arc<Mutex<Seen>>,
}

/// One that is on it: until it is there, or nobody waits for it any more.
struct OnIt<'a>(&'a Mutex<Seen>, (&'static str, bool), String);

impl Drop for OnIt<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.lock().unwrap();
        seen.open(self.1).0 -= 1;
        seen.of.get_mut(&self.2).unwrap().1 = Some(Instant::now());
    }
}

impl Hosts for Counted {
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        command: &'a str,
        stdin: Bytes,
        bounds: Bounds,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>> {
        let text = String::from_utf8_lossy(&stdin);
        let (_, rest) = text.split_once("@k8s-upgrade begin ").unwrap();
        let name = rest.split_once("\\n").unwrap().0;
        let operation =
            operations().into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is not listed"));
        Box::pin(async move {
            let _on_it = {
                let mut seen = self.seen.lock().unwrap();
                seen.of.entry(host.node.clone()).or_default().0 += 1;
                let open = seen.open(operation);
                open.0 += 1;
                open.1 = open.1.max(open.0);
                OnIt(&self.seen, operation, host.node.clone())
            };
            self.inner.exec(host, command, stdin, bounds, on_line).await
        })
    }
}

/// The program, whose sessions are counted where a person runs it.
struct Counting(Arc<Mutex<Seen>>);

impl Process for Counting {
    fn run(&self, start: Start, world: World) -> LocalBoxFuture<'_, u8> {
        if start.argv.iter().any(|word| word == "--chain") {
            return Program.run(start, world);
        }
        let hosts = Arc::new(Counted { inner: world.hosts.clone(), seen: self.0.clone() });
        Program.run(start, World { hosts, ..world })
    }
}

/// The scenario with so many nodes, all of one kind but the control plane.
fn of_nodes(mut scenario: Scenario, count: usize) -> Scenario {
    let one = scenario.nodes.iter().find(|node| !node.control_plane).unwrap().clone();
    let there = scenario.nodes.len();
    scenario.nodes.extend((there..count).map(|number| Node {
        name: format!("k8s-node{number}"),
        address: format!("10.1.{}.{}", number / 250, number % 250 + 1),
        ..one.clone()
    }));
    scenario
}

/// A person types that: exit code, what was printed, what was seen on the way to hosts, and when it began.
fn types(state: State, line: &str) -> (u8, String, Seen, Instant) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let counting = Counting(seen.clone());
    let (code, said, begun) = runtime.block_on(async {
        let mut driver = Driver::new(Twin::new(state, None), &counting, None);
        let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).collect();
        let begun = Instant::now();
        driver.operate("person", &argv, BTreeMap::new());
        let limit = later(driver.twin.now(), Duration::from_secs(3600));
        let code = driver.until_ended("person", limit).await.expect("it ends");
        (code, driver.twin.look(|state| state.logs["operator/person"].all().join("\n")), begun)
    });
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (code, said, seen, begun)
}

/// A cluster of which nothing runs but what a check asks for.
fn bare(count: usize) -> State {
    let mut scenario = of_nodes(Scenario::runbook(), count);
    (scenario.workloads, scenario.budgets) = (Vec::new(), Vec::new());
    begin(&scenario)
}

/// Of five hundred hosts one is off, one refuses, and one lets in and says nothing: all others are done as soon as without these.
#[test]
fn five_hundred_hosts_are_looked_at_many_at_once_and_a_dead_one_delays_nobody() {
    const OFF: &str = "k8s-node7";
    const CLOSED: &str = "k8s-node8";
    const HANGS: &str = "k8s-node9";
    let whole = bare(500);
    let mut broken = whole.clone();
    let long = later(broken.now(), Duration::from_secs(24 * 3600));
    hosts::power_cut(&mut broken, OFF, Duration::from_secs(24 * 3600));
    broken.hosts.change(CLOSED, |machine| machine.faults.away_until = Some(long));
    broken.hosts.change(HANGS, |machine| machine.faults.hangs_until = Some(long));
    let mut took = Vec::new();
    for (state, dead) in [(whole, &[][..]), (broken, &[OFF, CLOSED, HANGS][..])] {
        let (code, said, seen, begun) = types(state, "check");
        assert!(seen.looks.1 <= 64 && seen.looks.1 > 32, "{} sessions at once", seen.looks.1);
        assert!(seen.changes.is_empty() && seen.of.len() == 500, "{}", seen.of.len());
        let last = |host: &str| seen.of[host].1.unwrap().duration_since(begun);
        let living = seen.of.keys().filter(|host| !dead.contains(&host.as_str()));
        took.push(living.map(|host| last(host)).max().unwrap());
        if dead.is_empty() {
            continue;
        }
        assert_eq!(code, 4, "{said}");
        assert!(dead.iter().all(|host| said.contains(&format!("{host}: "))), "{said}");
        // Nothing listens there: that is told at once, and asked once.
        assert_eq!(seen.of[CLOSED].0, 1);
        // What is off is tried again, for as long as a person waits and no longer.
        assert!(seen.of[OFF].0 > 1 && last(OFF) < Duration::from_secs(20), "{} times, {:?}", seen.of[OFF].0, last(OFF));
        assert!(last(HANGS) > took[1], "{:?}", last(HANGS));
    }
    assert!(took.iter().all(|took| *took < Duration::from_secs(30)), "{took:?}");
    assert!(took[1] < took[0] + Duration::from_secs(3), "{took:?}");
}

/// Of host keys that a command learns the first are told each, the others in one line, which names some and counts the rest.
#[test]
fn many_learned_host_keys_are_told_in_one_line() {
    const EACH: &str = "host key learned; from now on it must stay the same";
    for (nodes, more) in [(10, None), (24, Some("host keys learned of 14 more nodes: "))] {
        let scenario = of_nodes(Scenario::runbook(), nodes);
        let (code, said, ..) = types(begin(&scenario), &format!("preflight --target {} --yes", scenario.target));
        assert_eq!((code, said.matches(EACH).count()), (0, 10), "{said}");
        assert_eq!(said.matches("host keys learned").count(), usize::from(more.is_some()), "{said}");
        let Some(more) = more else { continue };
        let (_, named) = said.split_once(more).unwrap();
        let (named, _) = named.split_once(" and 4 more; from now on they must stay the same").unwrap();
        let each = said.lines().filter(|line| line.contains(EACH)).map(|line| line.split_whitespace().nth(1).unwrap());
        let all: BTreeSet<&str> = named.split(", ").chain(each).collect();
        assert!(
            all.len() == 20 && scenario.nodes.iter().filter(|node| all.contains(node.name.as_str())).count() == 20,
            "{all:?}"
        );
    }
}

/// A dry run keeps no host key. Several operations meet a control plane at once, and it is told once.
#[test]
fn a_dry_run_tells_of_an_unknown_host_once() {
    for (nodes, more) in [(10, 0), (24, 1)] {
        let (_, said, ..) = types(begin(&of_nodes(Scenario::runbook(), nodes)), "check");
        assert_eq!(said.matches(" is not known and was accepted unseen; a dry run keeps none").count(), 10, "{said}");
        assert_eq!(said.matches("host keys of 14 more nodes are not known and were accepted unseen: ").count(), more, "{said}");
    }
}

/// A preflight to another minor version changes all nodes in several ways, each so many at a time as the setting `parallel` says.
#[test]
fn changes_keep_their_bound() {
    const PARALLEL: usize = 3;
    let scenario = of_nodes(Scenario::runbook_minor(), 24);
    let line = format!("preflight --target {} --yes --set parallel={PARALLEL}", scenario.target);
    let (code, said, seen, _) = types(begin(&scenario), &line);
    assert_eq!(code, 0, "{said}");
    for (name, Open(_, most)) in &seen.changes {
        assert!(*most <= PARALLEL, "{name}: {most} at once");
    }
    for name in [node::Trial::NAME, node::Repository::NAME, node::Prefetch::NAME] {
        assert_eq!(seen.changes.get(name).map(|open| open.1), Some(PARALLEL), "{name}");
    }
    assert!(seen.looks.1 > PARALLEL && seen.looks.1 <= 64, "{} looks at once", seen.looks.1);
}

/// What a run of many nodes leaves behind: the watch deletes the oldest Jobs that ended well. Those that failed stay, and while people have halted
/// upgrades, all do.
#[test]
fn of_many_finished_jobs_the_newest_stay() {
    const FAILED: &str = "k8s-upgrade-worker-1-34-7-other7";
    let of_chain = |state: &State| {
        let jobs = jobs(state);
        let ours = jobs.lines().filter(|job| job.starts_with("k8s-upgrade-") && job.contains("-1-34-7"));
        ours.filter(|job| job.contains("\"Complete\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "the end", is_over).await;
        pass(driver, 60).await; // until its Job has ended, too
        let of_run = driver.twin.look(of_chain);
        assert_eq!(typed(driver, "ann", "halt").await.0, 0);
        driver.twin.edit(|state| {
            let key = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4");
            let one = state.store.get(&key).unwrap().as_ref().clone();
            let before = state.now() - SignedDuration::from_hours(24);
            for number in 0..90 {
                let mut job = one.clone();
                job["metadata"]["name"] = json!(format!("k8s-upgrade-worker-1-34-7-other{number}"));
                job["metadata"]["uid"] = Value::Null;
                state.store.create(before + SignedDuration::from_secs(number), Kind::Job, job).unwrap();
            }
            state.store.update(&Key::new(Kind::Job, NAMESPACE, FAILED), |job| {
                job["status"]["conditions"] = json!([{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }]);
            });
        });
        pass(driver, 1300).await;
        assert_eq!(driver.twin.look(of_chain).len(), of_run.len() + 89);
        assert_eq!(typed(driver, "ann again", "halt --lift").await.0, 0);
        pass(driver, 1300).await;
        driver.twin.look(|state| {
            let stay = of_chain(state);
            assert_eq!(stay.len(), 50, "{stay:?}");
            assert!(of_run.iter().all(|job| stay.contains(job)), "{stay:?}");
            assert!(
                stay.iter().any(|job| job.contains("other89")) && !stay.iter().any(|job| job.contains("other46")),
                "{stay:?}"
            );
            assert!(jobs(state).contains(&format!("{FAILED}: \"Failed\"")), "{}", jobs(state));
        });
    });
}

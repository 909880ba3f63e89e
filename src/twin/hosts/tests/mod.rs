//! Machines, asked through the operations of [`crate::node`] and read by its own parsers.

mod power;
mod ssh;
mod work;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::super::state::{Access, Timer, later};
use super::super::store::{Key, Kind};
use super::super::{State, Twin, Who};
use super::ops::{Reply, perform};
use super::packages::LOCK_WAIT;
use super::script::Request;
use super::*;
use crate::failure::{Cause, Class};
use crate::node::{
    self, Available, Begin, Begun, Follow, Followed, Images, Inspect, KubeadmPlan, NodeState, Operation, Prefetch, Refresh,
    Repository, SnapshotHash, Step, Target, WorkState, WriteCard,
};
use crate::plan::model::parse::{UpgradePlan, plan_agrees, upgrade_plan};
use crate::plan::model::version::Version;
use crate::plan::trust::keys::Pair;
use crate::words::Revision;
use crate::world::{Bounds, Host, HostError, HostOutput, Hosts as _, Login};

const MASTER: &str = "k8s-master";
const WORKER: &str = "k8s-node1";
const RUN: &str = "5f3a21bc";

fn key() -> Pair {
    Pair::from_seed(&[1; 32]).unwrap()
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A control plane and a worker at 1.34.2; 1.34.7 and 1.35.4 are there.
fn world() -> State {
    let mut state = State::new(start(), 1);
    state.hosts.add(MASTER, "10.0.20.100", "1.34.2", "1.7.24", true, &key().public.line());
    state.hosts.add(WORKER, "10.0.20.101", "1.34.2", "1.7.28", false, &key().public.line());
    for (minor, patch) in [(34, 2), (34, 7), (35, 4), (35, 10)] {
        state.web.packages.release(Version::new(1, minor, patch), start());
    }
    let now = state.now();
    for node in [MASTER, WORKER] {
        let object = json!({ "metadata": { "name": node }, "status": { "nodeInfo": { "kubeletVersion": "v1.34.2" } } });
        state.store.create(now, Kind::Node, object).unwrap();
    }
    let configuration = "imageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.2\n";
    let map = json!({
        "metadata": { "name": "kubeadm-config", "namespace": "kube-system" }, "data": { "ClusterConfiguration": configuration },
    });
    state.store.create(now, Kind::ConfigMap, map).unwrap();
    let template = json!({ "spec": { "containers": [{ "name": "c", "image": "registry.k8s.io/kube-proxy:v1.34.2" }] } });
    for (kind, name) in [(Kind::DaemonSet, "kube-proxy"), (Kind::Deployment, "coredns")] {
        let object = json!({ "metadata": { "name": name, "namespace": "kube-system" }, "spec": { "template": template } });
        state.store.create(now, kind, object).unwrap();
    }
    state
}

fn pass(state: &mut State, span: Duration) {
    let until = later(state.now(), span);
    state.advance(until, |_| {});
}

/// One session, its time included.
fn ask<O: Operation>(state: &mut State, node: &str, operation: &O) -> Result<O::Output, Cause> {
    let request = Request::read(&node::stdin(operation)).unwrap();
    let begun = state.now();
    loop {
        match perform(state, node, &request, begun) {
            Reply::Waits { until, .. } => state.advance(until, |_| {}),
            Reply::Done { stdout, stderr, span, .. } => {
                pass(state, span);
                return node::read(operation, &HostOutput { stdout, stderr, host_key: String::new() });
            }
        }
    }
}

fn inspect(state: &mut State, node: &str) -> NodeState {
    ask(state, node, &Inspect::default()).unwrap()
}

fn begin(state: &mut State, node: &str, step: Step, target: &str) -> Begun {
    let target = target.parse::<Version>().map_or_else(|_| target.parse::<Revision>().unwrap().into(), Target::from);
    ask(state, node, &Begin { step, target, run: RUN.parse().unwrap() }).unwrap()
}

fn follow(state: &mut State, node: &str) -> Followed {
    loop {
        let followed = ask(state, node, &Follow { from: 0, wait: Duration::from_secs(60) }).unwrap();
        if followed.work.state != WorkState::Running {
            return followed;
        }
    }
}

/// A whole step; how long it took, or why it failed.
fn work(state: &mut State, node: &str, step: Step, target: &str) -> Result<Duration, Cause> {
    let begun = state.now();
    begin(state, node, step, target);
    let ended = follow(state, node).end().unwrap();
    ended.map(|()| Duration::try_from(state.now().duration_since(begun)).unwrap())
}

fn kubeadm(apply: bool) -> Step {
    Step::KubeadmUpgrade { first_control_plane: apply, flags: Vec::new() }
}

fn repository(target: &str) -> Repository {
    Repository { packages: "https://pkgs.k8s.io".parse().unwrap(), target: target.parse().unwrap(), keys: Vec::new() }
}

fn refreshed() -> State {
    let mut state = world();
    for node in [MASTER, WORKER] {
        ask(&mut state, node, &Refresh::default()).unwrap();
    }
    state
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_machine_tells_what_it_is() {
    let mut state = world();
    let seen = inspect(&mut state, MASTER);
    assert_eq!(seen.boot_id.as_deref().map(str::len), Some(36));
    assert!(["kubeadm", "kubelet", "kubectl"].into_iter().all(|name| seen.whole_at(name, "1.34.2")), "{seen:?}");
    assert_eq!(seen.holds, ["kubeadm", "kubectl", "kubelet"]);
    assert_eq!(seen.package("containerd.io").unwrap().version, "1.7.24-1");
    assert_eq!((seen.kubelet.as_deref(), seen.kubeadm.as_deref()), (Some("active"), Some("1.34.2")));
    assert_eq!((seen.sources[0].minor.as_str(), seen.free.len()), ("1.34", 4));
    assert!(seen.audit.is_empty() && seen.work.state == WorkState::None);
    assert_eq!(inspect(&mut state, WORKER).free.len(), 3, "a worker has no etcd");
}

#[test]
fn lists_are_what_the_last_refresh_found() {
    let mut state = world();
    let offered = Available { package: "kubeadm" };
    assert_eq!(ask(&mut state, WORKER, &offered).unwrap(), ["1.34.2-1.1"], "stale");
    ask(&mut state, WORKER, &Refresh::default()).unwrap();
    assert_eq!(ask(&mut state, WORKER, &offered).unwrap(), ["1.34.7-1.1", "1.34.2-1.1"]);
    for (target, class, says) in
        [("1.36.0", Class::Refused, "has no v1.36"), ("1.35.5", Class::Hold, "does not offer kubeadm 1.35.5 yet")]
    {
        let cause = ask(&mut state, WORKER, &repository(target)).unwrap_err();
        assert!(cause.class == class && cause.what.contains(says), "{}", cause.what);
    }
    state.web.packages.keys = Arc::new([(35, "0".repeat(40))].into());
    let cause = ask(&mut state, WORKER, &repository("1.35.4")).unwrap_err();
    let line = format!("package-keys: [{}]", "0".repeat(40));
    assert!(cause.class == Class::Refused && cause.what.ends_with(&line), "{}", cause.what);
    let acknowledged = Repository { keys: vec!["0".repeat(40).parse().unwrap()], ..repository("1.35.4") };
    ask(&mut state, WORKER, &acknowledged).unwrap();
    assert_eq!(inspect(&mut state, WORKER).sources[0].minor, "1.35");
    assert_eq!(ask(&mut state, WORKER, &offered).unwrap(), ["1.35.10-1.1", "1.35.4-1.1"]);
    let until = later(state.now(), secs(3600));
    state.hosts.change(WORKER, |machine| machine.faults.outside_away_until = Some(until));
    assert_eq!(ask(&mut state, WORKER, &Refresh::default()).unwrap_err().class, Class::Unreachable);
}

#[test]
fn what_is_prefetched_needs_no_repository_later() {
    let mut state = refreshed();
    let prefetch = |control_plane| Prefetch { target: Version::new(1, 34, 7), control_plane, images: Images::default() };
    let fetched = ask(&mut state, WORKER, &prefetch(false)).unwrap();
    assert_eq!(fetched.packages.len(), 3);
    assert_eq!(fetched.pulled, ["registry.k8s.io/kube-proxy:v1.34.7"]);
    assert_eq!(fetched.present, ["registry.k8s.io/pause:3.10.1"]);
    let until = later(state.now(), secs(3600));
    for node in [MASTER, WORKER] {
        state.hosts.change(node, |machine| machine.faults.outside_away_until = Some(until));
    }
    work(&mut state, WORKER, Step::KubeadmPackage, "1.34.7").unwrap();
    let cause = work(&mut state, MASTER, Step::KubeadmPackage, "1.34.7").unwrap_err();
    assert!(cause.class == Class::Unreachable && cause.what.contains("installing kubeadm=1.34.7-1.1"), "{}", cause.what);
    state.hosts.change(MASTER, |machine| machine.free = 0);
    let cause = ask(&mut state, MASTER, &prefetch(true)).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("the disk is full"), "{}", cause.what);
}

#[test]
fn kubeadm_s_forecast_reads_as_the_real_one() {
    let mut state = world();
    let mut verdict = |target: &str| {
        let text = ask(&mut state, MASTER, &KubeadmPlan { target: target.parse().unwrap(), flags: Vec::new() })?;
        upgrade_plan(&text.json, &text.notes.join("\n"))
    };
    assert_eq!(verdict("1.34.2"), Ok(UpgradePlan::Empty));
    assert_eq!(verdict("1.36.0").unwrap_err().class, Class::Step);
    let target = Version::new(1, 35, 4);
    let plan = verdict("1.35.4").unwrap();
    assert_eq!(plan_agrees(&plan, target), crate::plan::model::answer::Verdict::Pass);
    let now = state.now();
    state.take_api_away(now, secs(60));
    let cause = ask(&mut state, MASTER, &KubeadmPlan { target: Version::new(1, 35, 4), flags: Vec::new() }).unwrap_err();
    assert_eq!(cause.class, Class::Unreachable);
}

#[test]
fn files_are_put_hashed_and_written() {
    let mut state = world();
    let hash = |state: &mut State, path: &str| ask(state, MASTER, &SnapshotHash { path: path.parse().unwrap() });
    assert_eq!(hash(&mut state, "/backup/e.db"), Ok(None));
    put_file(&mut state, MASTER, "/backup/e.db", 4_575_264);
    assert_eq!(hash(&mut state, "/backup/e.db").unwrap().unwrap().bytes, 4_575_264);
    let card = |name: &str| WriteCard { name: name.into(), content: "it's\n".into() };
    assert_eq!(ask(&mut state, MASTER, &card("restore-r1")), Ok("/var/lib/k8s-upgrade/restore-r1".parse().unwrap()));
    assert_eq!(ask(&mut state, MASTER, &card("../x")).unwrap_err().class, Class::Refused);
    let written = &state.hosts.machine(MASTER).unwrap().files["/var/lib/k8s-upgrade/restore-r1"];
    assert_eq!(written.text.as_deref(), Some("it's\n"));
}

//! Machines, asked through the operations of [`crate::node`] and read by its own parsers.

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
    self, Begin, Begun, Follow, Followed, Inspect, KubeadmPlan, Madison, NodeState, Operation, Prefetch, Refresh, Repository,
    SnapshotHash, Step, WorkState, WriteCard,
};
use crate::plan::parse::{UpgradePlan, plan_agrees, upgrade_plan};
use crate::plan::version::Version;
use crate::world::{Host, HostError, HostOutput, Hosts as _, Login};

const MASTER: &str = "k8s-master";
const WORKER: &str = "k8s-node1";
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nkey\n-----END OPENSSH PRIVATE KEY-----\n";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A control plane and a worker at 1.34.2; 1.34.7 and 1.35.4 are there.
fn world() -> State {
    let mut state = State::new(start(), 1);
    state.hosts.add(MASTER, "10.0.20.100", "1.34.2", "1.7.24", true, KEY);
    state.hosts.add(WORKER, "10.0.20.101", "1.34.2", "1.7.28", false, KEY);
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
    ask(state, node, &Inspect).unwrap()
}

fn begin(state: &mut State, node: &str, step: Step, target: &str) -> Begun {
    ask(state, node, &Begin { step, target: target.into(), run: "r1".into() }).unwrap()
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

fn refreshed() -> State {
    let mut state = world();
    for node in [MASTER, WORKER] {
        ask(&mut state, node, &Refresh).unwrap();
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
    assert_eq!(seen.boot_id.len(), 36);
    assert!(["kubeadm", "kubelet", "kubectl"].into_iter().all(|name| seen.whole_at(name, "1.34.2")), "{seen:?}");
    assert_eq!(seen.holds, ["kubeadm", "kubectl", "kubelet"]);
    assert_eq!(seen.package("containerd.io").unwrap().version, "1.7.24-1");
    assert_eq!((seen.kubelet.as_str(), seen.kubeadm.as_deref()), ("active", Some("v1.34.2")));
    assert_eq!((seen.sources[0].minor.as_str(), seen.free.len()), ("1.34", 4));
    assert!(seen.audit.is_empty() && seen.work.state == WorkState::None);
    assert_eq!(inspect(&mut state, WORKER).free.len(), 3, "a worker has no etcd");
}

#[test]
fn lists_are_what_the_last_refresh_found() {
    let mut state = world();
    let madison = Madison { package: "kubeadm".into() };
    assert_eq!(ask(&mut state, WORKER, &madison).unwrap(), ["1.34.2-1.1"], "stale");
    ask(&mut state, WORKER, &Refresh).unwrap();
    assert_eq!(ask(&mut state, WORKER, &madison).unwrap(), ["1.34.7-1.1", "1.34.2-1.1"]);
    let repository = |minor: &str, target: &str| Repository {
        base_url: "https://pkgs.k8s.io".into(),
        minor: minor.into(),
        target: target.into(),
    };
    for (minor, target, says) in [("1.36", "1.36.0", "has no v1.36"), ("1.35", "1.35.5", "does not offer kubeadm 1.35.5")] {
        let cause = ask(&mut state, WORKER, &repository(minor, target)).unwrap_err();
        assert!(cause.class == Class::Refused && cause.what.contains(says), "{}", cause.what);
    }
    ask(&mut state, WORKER, &repository("1.35", "1.35.4")).unwrap();
    assert_eq!(inspect(&mut state, WORKER).sources[0].minor, "1.35");
    assert_eq!(ask(&mut state, WORKER, &madison).unwrap(), ["1.35.10-1.1", "1.35.4-1.1"]);
    let until = later(state.now(), secs(3600));
    state.hosts.change(WORKER, |machine| machine.faults.outside_away_until = Some(until));
    assert_eq!(ask(&mut state, WORKER, &Refresh).unwrap_err().class, Class::Unreachable);
}

#[test]
fn what_is_prefetched_needs_no_repository_later() {
    let mut state = refreshed();
    let prefetch = |control_plane| Prefetch { target: "1.34.7".into(), control_plane, image_repository: None };
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
        let text = ask(&mut state, MASTER, &KubeadmPlan { target: target.into(), flags: Vec::new() })?;
        upgrade_plan(&text.json, &text.notes.join("\n"))
    };
    assert_eq!(verdict("1.34.2"), Ok(UpgradePlan::Empty));
    assert_eq!(verdict("1.36.0").unwrap_err().class, Class::Step);
    let target = Version::new(1, 35, 4);
    let plan = verdict("1.35.4").unwrap();
    assert_eq!(plan_agrees(&plan, target), crate::plan::answer::Verdict::Pass);
    let now = state.now();
    state.take_api_away(now, secs(60));
    let cause = ask(&mut state, MASTER, &KubeadmPlan { target: "1.35.4".into(), flags: Vec::new() }).unwrap_err();
    assert_eq!(cause.class, Class::Unreachable);
}

#[test]
fn files_are_put_hashed_and_written() {
    let mut state = world();
    let hash = |state: &mut State, path: &str| ask(state, MASTER, &SnapshotHash { path: path.into() });
    assert_eq!(hash(&mut state, "/backup/e.db"), Ok(None));
    put_file(&mut state, MASTER, "/backup/e.db", 4_575_264);
    assert_eq!(hash(&mut state, "/backup/e.db").unwrap().unwrap().bytes, 4_575_264);
    assert_eq!(hash(&mut state, "e.db").unwrap_err().class, Class::Refused);
    let card = |name: &str| WriteCard { name: name.into(), content: "it's\n".into() };
    assert_eq!(ask(&mut state, MASTER, &card("restore-r1")), Ok("/var/lib/k8s-upgrade/restore-r1".to_owned()));
    assert_eq!(ask(&mut state, MASTER, &card("../x")).unwrap_err().class, Class::Refused);
    let written = &state.hosts.machine(MASTER).unwrap().files["/var/lib/k8s-upgrade/restore-r1"];
    assert_eq!(written.text.as_deref(), Some("it's\n"));
}

#[test]
fn a_worker_is_upgraded_package_by_package() {
    let mut state = refreshed();
    assert_eq!(begin(&mut state, WORKER, Step::KubeadmPackage, "1.34.7"), Begun::Started);
    assert_eq!(begin(&mut state, WORKER, Step::KubeadmPackage, "1.34.7"), Begun::Attached);
    let other = Begin { step: Step::KubeletPackages, target: "1.34.7".into(), run: "r2".into() };
    assert_eq!(ask(&mut state, WORKER, &other).unwrap_err().class, Class::Contended);
    let followed = follow(&mut state, WORKER);
    assert_eq!((followed.end(), followed.work.run.as_str()), (Some(Ok(())), "r1"));
    assert!(work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap() < secs(3));
    assert_eq!(state.hosts.kubelet_version(WORKER), "v1.34.2", "the former kubelet runs until its restart");
    let took = work(&mut state, WORKER, Step::KubeletPackages, "1.34.7").unwrap();
    assert!(took > secs(4) && took < secs(12), "{took:?}");
    let seen = inspect(&mut state, WORKER);
    assert!(seen.finished("1.34.7") && seen.kubelet == "active", "{seen:?}");
    assert_eq!(state.hosts.kubelet_version(WORKER), "v1.34.7");
    assert_eq!(state.access(), Access::Up);
    let runs = Runs { began: 1, ended_well: 1, again: 0, after_all: 0 };
    assert_eq!(state.hosts.kubeadm_runs(WORKER, "1.34.7"), runs);
    work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap();
    assert_eq!(state.hosts.kubeadm_runs(WORKER, "1.34.7"), Runs { began: 2, ended_well: 2, again: 1, after_all: 1 });
    assert_eq!(work(&mut state, WORKER, Step::KubeadmPackage, "1.34.9").unwrap_err().class, Class::Refused, "not offered");
}

#[test]
fn the_kubelet_never_passes_kubeadm() {
    let mut state = refreshed();
    let cause = work(&mut state, WORKER, Step::KubeletPackages, "1.34.7").unwrap_err();
    assert!(cause.class == Class::Step && cause.what.contains("the kubelet must not pass it"), "{}", cause.what);
    let cause = work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap_err();
    assert!(cause.what.contains("its package comes first"), "{}", cause.what);
}

fn image(state: &State, kind: Kind, name: &str) -> String {
    let object = state.store.get(&Key::new(kind, "kube-system", name)).unwrap();
    object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

/// Seconds in which the API server refused, and in which it answered wrongly.
fn outage(state: &State, since: Timestamp) -> (i64, i64) {
    let span = |refused: bool| {
        let of = state.outages.iter().filter(|o| o.from >= since && (o.how == Access::Refused) == refused);
        of.map(|o| o.until.duration_since(o.from).as_secs()).sum()
    };
    (span(true), span(false))
}

#[test]
fn apply_takes_the_lab_s_time_and_a_second_one_skips() {
    for (target, seconds, refused) in [("1.34.7", 114, 29), ("1.35.4", 178, 42)] {
        let mut state = refreshed();
        if target == "1.35.4" {
            let to = Repository { base_url: "https://pkgs.k8s.io".into(), minor: "1.35".into(), target: target.into() };
            ask(&mut state, MASTER, &to).unwrap();
        }
        let prefetch = Prefetch { target: target.into(), control_plane: true, image_repository: None };
        ask(&mut state, MASTER, &prefetch).unwrap();
        work(&mut state, MASTER, Step::KubeadmPackage, target).unwrap();
        let begun = state.now();
        begin(&mut state, MASTER, kubeadm(true), target);
        pass(&mut state, secs(20));
        let slow = if target == "1.35.4" { 60 } else { 24 };
        assert_eq!(outage(&state, begun), (0, slow), "etcd's step");
        let mut away = outage(&state, begun).0;
        while inspect(&mut state, MASTER).work.state == WorkState::Running {
            away = away.max(outage(&state, begun).0);
            pass(&mut state, secs(1));
        }
        let took = state.now().duration_since(begun).as_secs();
        assert!((seconds..seconds + 4).contains(&took), "{target} took {took} s");
        assert_eq!(away, refused, "{target}");
        assert_eq!(follow(&mut state, MASTER).end(), Some(Ok(())));
        let machine = state.hosts.machine(MASTER).unwrap();
        for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            assert_eq!(machine.manifests[component], target);
        }
        assert_eq!(image(&state, Kind::DaemonSet, "kube-proxy"), format!("registry.k8s.io/kube-proxy:v{target}"));
        let map = state.store.get(&Key::new(Kind::ConfigMap, "kube-system", "kubeadm-config")).unwrap();
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap();
        assert!(text.contains(&format!("kubernetesVersion: v{target}\n")), "{text}");
        let again = work(&mut state, MASTER, kubeadm(true), target).unwrap();
        assert!(again < secs(35), "{again:?}");
        // The kubelet's restart onto a new minor takes the API away once more.
        let begun = state.now();
        work(&mut state, MASTER, Step::KubeletPackages, target).unwrap();
        assert_eq!(outage(&state, begun).0, if target == "1.35.4" { 3 } else { 0 });
    }
}

#[test]
fn several_control_planes_leave_gaps_and_the_last_brings_the_addons() {
    let mut state = refreshed();
    state.hosts.add("k8s-master2", "10.0.20.110", "1.34.2", "1.7.28", true, KEY);
    ask(&mut state, "k8s-master2", &Refresh).unwrap();
    let begun = state.now();
    for (node, apply, seconds) in [(MASTER, true, 114), ("k8s-master2", false, 122)] {
        let prefetch = Prefetch { target: "1.34.7".into(), control_plane: true, image_repository: None };
        ask(&mut state, node, &prefetch).unwrap();
        work(&mut state, node, Step::KubeadmPackage, "1.34.7").unwrap();
        let took = work(&mut state, node, kubeadm(apply), "1.34.7").unwrap();
        assert!((secs(seconds)..secs(seconds + 4)).contains(&took), "{node} took {took:?}");
        let proxy = if apply { "v1.34.2" } else { "v1.34.7" };
        assert_eq!(image(&state, Kind::DaemonSet, "kube-proxy"), format!("registry.k8s.io/kube-proxy:{proxy}"));
        assert!(outage(&state, begun).0 <= 2);
    }
}

#[test]
fn kubeadm_fails_for_its_reasons() {
    let mut state = refreshed();
    for node in [MASTER, WORKER] {
        work(&mut state, node, Step::KubeadmPackage, "1.34.7").unwrap();
        state.hosts.change(node, |machine| machine.faults.kubeadm_fails = 1);
    }
    let cause = work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap_err();
    assert_eq!((cause.class, cause.what.as_str()), (Class::Step, "kubeadm upgrade node failed (exit 1)"));
    work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap();
    let cause = work(&mut state, MASTER, kubeadm(true), "1.34.7").unwrap_err();
    assert!(cause.detail.iter().any(|line| line.contains("did not change after 5m0s")), "{:?}", cause.detail);
    work(&mut state, MASTER, kubeadm(true), "1.34.7").unwrap();
    assert_eq!(state.hosts.kubeadm_runs(MASTER, "1.34.7"), Runs { began: 2, ended_well: 1, again: 0, after_all: 0 });
    let now = state.now();
    state.take_api_away(now, secs(60));
    let cause = work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap_err();
    assert!(cause.detail.iter().any(|line| line.contains("connection refused")), "{:?}", cause.detail);
}

#[test]
fn somebody_else_s_lock_is_waited_for_and_then_given_up() {
    let mut state = refreshed();
    let lock = |state: &mut State, seconds: u64| {
        let until = later(state.now(), secs(seconds));
        state.hosts.change(WORKER, |machine| machine.faults.apt_locked_until = Some(until));
    };
    lock(&mut state, 100);
    let took = work(&mut state, WORKER, Step::KubeadmPackage, "1.34.7").unwrap();
    assert!(took >= secs(100) && took < secs(110), "{took:?}");
    lock(&mut state, LOCK_WAIT * 3);
    let cause = work(&mut state, WORKER, Step::KubeletPackages, "1.34.7").unwrap_err();
    assert!(cause.class == Class::Hold && cause.what.contains("held the lock for 300 s"), "{}", cause.what);
}

#[test]
fn a_power_cut_leaves_what_dpkg_had_come_to() {
    // Moments in the kubelet step after its start, for two packages: unpacking kubelet, all unpacked, half configured.
    for (millis, letters, version, boots) in
        [(2_500, "iHR", "1.34.2-1.1", "v1.34.2"), (3_400, "iU", "1.34.7-1.1", "v1.34.7"), (3_700, "iF", "1.34.7-1.1", "v1.34.7")]
    {
        let mut state = refreshed();
        work(&mut state, WORKER, Step::KubeadmPackage, "1.34.7").unwrap();
        work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap();
        let former = inspect(&mut state, WORKER).boot_id;
        begin(&mut state, WORKER, Step::KubeletPackages, "1.34.7");
        pass(&mut state, Duration::from_millis(millis - 300));
        power_cut(&mut state, WORKER, secs(30));
        assert!(!state.hosts.kubelet_alive(WORKER) && !state.hosts.powered(WORKER));
        pass(&mut state, secs(60));
        assert!(state.hosts.kubelet_alive(WORKER));
        let seen = inspect(&mut state, WORKER);
        assert_ne!(seen.boot_id, former);
        assert_eq!(seen.work.state, WorkState::Interrupted("reboot".into()));
        let kubelet = seen.package("kubelet").unwrap();
        assert_eq!((kubelet.letters.as_str(), kubelet.version.as_str()), (letters, version), "{millis}");
        assert!(
            !seen.audit.is_empty() && !seen.holds.contains(&"kubelet".to_owned()) && seen.holds.contains(&"kubeadm".to_owned())
        );
        assert_eq!(state.hosts.kubelet_version(WORKER), boots, "{letters}");
        assert!(matches!(follow(&mut state, WORKER).end(), Some(Err(cause)) if cause.what.contains("cut by a reboot")));
        work(&mut state, WORKER, Step::KubeletPackages, "1.34.7").unwrap();
        let seen = inspect(&mut state, WORKER);
        assert!(seen.finished("1.34.7"), "{seen:?}");
        assert_eq!(state.hosts.kubelet_version(WORKER), "v1.34.7");
    }
}

#[test]
fn power_on_a_lone_control_plane_is_the_api_s() {
    let mut state = refreshed();
    work(&mut state, MASTER, Step::KubeadmPackage, "1.34.7").unwrap();
    begin(&mut state, MASTER, kubeadm(true), "1.34.7");
    pass(&mut state, secs(80));
    power(&mut state, MASTER, false);
    assert_eq!(state.access(), Access::Refused);
    pass(&mut state, secs(600));
    assert_eq!(state.access(), Access::Refused);
    power(&mut state, MASTER, true);
    pass(&mut state, secs(120));
    assert_eq!(state.access(), Access::Up);
    let manifests = &state.hosts.machine(MASTER).unwrap().manifests;
    assert_eq!((manifests["kube-apiserver"].as_str(), manifests["kube-scheduler"].as_str()), ("1.34.7", "1.34.2"), "mixed");
    work(&mut state, MASTER, kubeadm(true), "1.34.7").unwrap();
    assert_eq!(state.hosts.machine(MASTER).unwrap().manifests["kube-scheduler"], "1.34.7");
    assert_eq!(state.hosts.kubeadm_runs(MASTER, "1.34.7"), Runs { began: 2, ended_well: 1, again: 0, after_all: 0 });
}

#[test]
fn killed_work_says_so_and_containerd_keeps_its_hold() {
    let mut state = refreshed();
    state.hosts.change(MASTER, |machine| machine.packages.get_mut("containerd.io").unwrap().held = true);
    begin(&mut state, MASTER, Step::ContainerdPackage, "1.7.28-1");
    kill_work(&mut state, MASTER, "oom-kill");
    assert!(matches!(follow(&mut state, MASTER).end(), Some(Err(cause)) if cause.what.contains("killed (oom-kill)")));
    assert!(!state.is_due(|timer| matches!(timer, Timer::Host(_))), "its script does not go on");
    work(&mut state, MASTER, Step::ContainerdPackage, "1.7.28-1").unwrap();
    assert_eq!(state.hosts.runtime_version(MASTER), "containerd://1.7.28");
    let seen = inspect(&mut state, MASTER);
    assert!(seen.whole_at("containerd.io", "1.7.28") && seen.holds.contains(&"containerd.io".to_owned()), "{seen:?}");
}

// --- sessions --------------------------------------------------------------------------------------

fn host(node: &str, address: &str) -> Host {
    let (node, address) = (node.to_owned(), address.to_owned());
    Host { node, address, port: 22, user: "u".into(), login: Login::Key(KEY.into()), known_keys: Vec::new() }
}

/// Runs with time that passes by itself.
fn live<T>(state: State, run: impl AsyncFnOnce(Twin, Ssh) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let twin = Twin::new(state, None);
        let ssh = Ssh { twin: twin.clone(), who: Who::Operator("test".into()) };
        run(twin, ssh).await
    })
}

async fn exec<O: Operation>(ssh: &Ssh, host: &Host, operation: &O) -> Result<(Result<O::Output, Cause>, Vec<String>), HostError> {
    let mut lines = Vec::new();
    let mut on_line = |line: &str| lines.push(line.to_owned());
    let output = ssh.exec(host, node::COMMAND, node::stdin(operation).into(), O::DEADLINE, &mut on_line).await?;
    Ok((node::read(operation, &output), lines))
}

#[test]
fn who_gets_in() {
    live(world(), async |twin, ssh| {
        let fault = |set: fn(&mut Machine)| twin.edit(|state| state.hosts.change(WORKER, set));
        let mut host = host(WORKER, "10.0.20.101");
        let key = twin.look(|state| state.hosts.host_key(WORKER));
        host.known_keys = vec![key];
        exec(&ssh, &host, &Inspect).await.unwrap().0.unwrap();
        fault(|machine| machine.faults.sudo_refused = true);
        let refused = exec(&ssh, &host, &Inspect).await.unwrap().0.unwrap_err();
        assert!(refused.class == Class::Refused && refused.what.contains("sudo"), "{}", refused.what);
        fault(|machine| (machine.faults.sudo_refused, machine.faults.sessions_cut) = (false, 1));
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::Lost(..))));
        exec(&ssh, &host, &Inspect).await.unwrap().0.unwrap();
        fault(|machine| machine.host_keys += 1);
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::HostKeyChanged(..))));
        host.known_keys.clear();
        host.login = Login::Key("-----BEGIN OPENSSH PRIVATE KEY-----\nother".into());
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::Auth(..))));
        host.login = Login::Key("nonsense".into());
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::BadKey(..))));
        host.login = Login::Agent;
        fault(|machine| machine.faults.away_until = Some(Timestamp::MAX));
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::Connect(..))));
        fault(|machine| (machine.faults.away_until, machine.faults.hangs_until) = (None, Some(Timestamp::MAX)));
        let begun = twin.now();
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::Deadline(..))));
        assert_eq!(twin.now().duration_since(begun).as_secs(), 60);
        fault(|machine| machine.faults = Faults::default());
        let other = ssh.exec(&host, "reboot", Bytes::new(), secs(9), &mut |_| {}).await;
        assert!(other.is_err() && twin.look(|state| state.unmodelled.len()) == 1);
        twin.edit(|state| power(state, WORKER, false));
        assert!(matches!(exec(&ssh, &host, &Inspect).await, Err(HostError::Connect(..))));
    });
}

#[test]
fn a_log_is_followed_as_it_grows_and_a_dead_peer_is_a_lost_session() {
    live(refreshed(), async |twin, ssh| {
        let host = host(MASTER, "10.0.20.100");
        let work = |step| Begin { step, target: "1.34.7".into(), run: "r1".into() };
        exec(&ssh, &host, &work(Step::KubeadmPackage)).await.unwrap().0.unwrap();
        let (followed, lines) = exec(&ssh, &host, &Follow { from: 0, wait: secs(8) }).await.unwrap();
        assert_eq!(followed.unwrap().end(), Some(Ok(())));
        let told: Vec<&str> = lines.iter().filter_map(|line| node::progress(line)).collect();
        let wanted =
            ["# installing kubeadm=1.34.7-1.1", "Unpacking kubeadm (1.34.7-1.1) ...", "Setting up kubeadm (1.34.7-1.1) ..."];
        assert_eq!(told, wanted);
        exec(&ssh, &host, &work(kubeadm(true))).await.unwrap().0.unwrap();
        let begun = twin.now();
        let (followed, _) = exec(&ssh, &host, &Follow { from: 0, wait: secs(8) }).await.unwrap();
        let followed = followed.unwrap();
        assert_eq!((followed.work.state, twin.now().duration_since(begun).as_secs()), (WorkState::Running, 8));
        let more = Follow { from: followed.offset, wait: secs(8) };
        let later = exec(&ssh, &host, &more);
        let cut = async {
            twin.sleep_until(super::super::state::later(twin.now(), secs(2))).await;
            twin.edit(|state| power(state, MASTER, false));
        };
        let (lost, ()) = futures::join!(later, cut);
        assert!(matches!(lost, Err(HostError::Lost(..))), "{:?}", lost.map(|(followed, _)| followed));
    });
}

//! The units: packages and kubeadm.

use super::*;

#[test]
fn a_worker_is_upgraded_package_by_package() {
    let mut state = refreshed();
    assert_eq!(begin(&mut state, WORKER, Step::KubeadmPackage, "1.34.7"), Begun::Started);
    assert_eq!(begin(&mut state, WORKER, Step::KubeadmPackage, "1.34.7"), Begun::Attached);
    let other = Begin { step: Step::KubeletPackages, target: Version::new(1, 34, 7).into(), run: "00000002".parse().unwrap() };
    assert_eq!(ask(&mut state, WORKER, &other).unwrap_err().class, Class::Contended);
    let followed = follow(&mut state, WORKER);
    assert_eq!((followed.end(), followed.work.run.as_deref()), (Some(Ok(())), Some(RUN)));
    assert!(work(&mut state, WORKER, kubeadm(false), "1.34.7").unwrap() < secs(3));
    assert_eq!(state.hosts.kubelet_version(WORKER), "v1.34.2", "the former kubelet runs until its restart");
    let took = work(&mut state, WORKER, Step::KubeletPackages, "1.34.7").unwrap();
    assert!(took > secs(4) && took < secs(12), "{took:?}");
    let seen = inspect(&mut state, WORKER);
    assert!(seen.finished("1.34.7") && seen.kubelet.as_deref() == Some("active"), "{seen:?}");
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
            ask(&mut state, MASTER, &repository(target)).unwrap();
        }
        let prefetch = Prefetch { target: target.parse().unwrap(), control_plane: true, images: Images::default() };
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
    for (node, address) in [("k8s-master2", "10.0.20.110"), ("k8s-master3", "10.0.20.111")] {
        state.hosts.add(node, address, "1.34.2", "1.7.28", true, &key().public.line());
        ask(&mut state, node, &Refresh::default()).unwrap();
    }
    let begun = state.now();
    for (node, apply, seconds) in [(MASTER, true, 114), ("k8s-master2", false, 122), ("k8s-master3", false, 122)] {
        let prefetch = Prefetch { target: Version::new(1, 34, 7), control_plane: true, images: Images::default() };
        ask(&mut state, node, &prefetch).unwrap();
        work(&mut state, node, Step::KubeadmPackage, "1.34.7").unwrap();
        let took = work(&mut state, node, kubeadm(apply), "1.34.7").unwrap();
        assert!((secs(seconds)..secs(seconds + 4)).contains(&took), "{node} took {took:?}");
        let proxy = if node == "k8s-master3" { "v1.34.7" } else { "v1.34.2" };
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

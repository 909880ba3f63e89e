//! What power cuts and kills leave.

use super::*;

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
        assert_eq!(seen.work.state, WorkState::Interrupted("reboot".parse().unwrap()));
        let kubelet = seen.package("kubelet").unwrap();
        assert_eq!((kubelet.letters.as_str(), kubelet.version.as_str()), (letters, version), "{millis}");
        assert!(
            !seen.audit.is_empty()
                && !seen.holds.contains(&"kubelet".parse().unwrap())
                && seen.holds.contains(&"kubeadm".parse().unwrap())
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
    assert!(seen.whole_at("containerd.io", "1.7.28") && seen.holds.contains(&"containerd.io".parse().unwrap()), "{seen:?}");
}

#[test]
fn one_control_plane_of_three_is_a_gap_and_two_are_the_api() {
    let mut state = world();
    for (node, address) in [("k8s-master2", "10.0.20.110"), ("k8s-master3", "10.0.20.111")] {
        state.hosts.add(node, address, "1.34.2", "1.7.28", true, &key().public.line());
    }
    power(&mut state, MASTER, false);
    pass(&mut state, secs(10));
    assert_eq!(state.access(), Access::Up);
    power(&mut state, "k8s-master2", false);
    pass(&mut state, secs(600));
    assert_eq!(state.access(), Access::Refused);
    power(&mut state, "k8s-master2", true);
    pass(&mut state, secs(60));
    assert_eq!(state.access(), Access::Up);
}

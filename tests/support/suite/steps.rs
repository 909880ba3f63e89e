//! The unit and its steps: how they are begun and followed, what they make, how they fail, and what they mend.

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{Begun, NodeState, Step, WorkState};

use super::{Machine, RUN, standing, word};

const TARGET: &str = "1.36.3";
/// The steps of a worker, in their order.
fn steps(machine: &dyn Machine) -> [Step; 3] {
    [Step::KubeadmPackage, machine.upgrade(), Step::KubeletPackages]
}

fn back() -> Step {
    Step::Rollback { packages: ["kubeadm", "kubelet", "kubectl"].map(|name| word(&format!("{name}=1.35.4-1.1"))).to_vec() }
}

pub fn begun_attached_and_contended(machine: &mut dyn Machine) {
    machine.moved();
    assert_eq!(machine.begin(Step::KubeadmPackage, TARGET).unwrap(), Begun::Started);
    assert_eq!(machine.begin(Step::KubeadmPackage, TARGET).unwrap(), Begun::Attached);
    let cause = machine.begin(Step::KubeletPackages, TARGET).unwrap_err();
    let says = "kubeadm-package (1.36.3, run 5f3a21bc) is still running on this node";
    assert_eq!((cause.class, cause.what.as_str()), (Class::Contended, says));
    let followed = machine.follow();
    assert_eq!((followed.end(), followed.work.state.clone()), (None, WorkState::Running));
    machine.finish();
    let followed = machine.follow();
    assert_eq!((followed.end(), followed.work.state.clone()), (Some(Ok(())), WorkState::Done));
    let work = &followed.work;
    assert_eq!((work.step, work.target.as_deref(), work.run.as_deref()), ("kubeadm-package", Some(TARGET), Some(RUN)));
    assert!(followed.offset > 0, "it said something");
    assert_eq!(machine.inspect().work, followed.work);
}

pub fn a_worker_is_upgraded(machine: &mut dyn Machine) {
    machine.moved();
    assert!(!machine.inspect().touched(TARGET));
    for step in steps(machine) {
        machine.perform(step, TARGET).unwrap();
        assert!(machine.inspect().touched(TARGET));
    }
    let state = machine.inspect();
    let whole = |name: &str| (name.to_owned(), "hi".to_owned(), "1.36.3-1.1".to_owned());
    assert_eq!(standing(&state), ["kubeadm", "kubelet", "kubectl"].map(whole));
    assert!(state.finished(TARGET) && state.kubeadm_has_run(TARGET, RUN));
    assert_eq!((state.kubelet.as_deref(), state.kubeadm.as_deref()), (Some("active"), Some("1.36.3")));
}

pub fn a_second_run_of_each_step_changes_nothing(machine: &mut dyn Machine) {
    machine.moved();
    for step in steps(machine) {
        machine.perform(step.clone(), TARGET).unwrap();
        let after = machine.inspect();
        machine.perform(step, TARGET).unwrap();
        let again = machine.inspect();
        assert_eq!((standing(&again), &again.holds), (standing(&after), &after.holds));
        assert_eq!((again.kubelet, again.kubeadm, again.work), (after.kubelet, after.kubeadm, after.work));
    }
}

/// By the way that it came, the kubelet's configuration too.
pub fn a_worker_goes_back(machine: &mut dyn Machine) {
    let former = machine.inspect();
    machine.moved();
    for step in steps(machine) {
        machine.perform(step, TARGET).unwrap();
    }
    machine.move_repository("1.35.4").unwrap();
    for _ in 0..2 {
        machine.perform(back(), "1.35.4").unwrap();
        let state = machine.inspect();
        assert_eq!((standing(&state), &state.holds), (standing(&former), &former.holds));
        assert_eq!(state.kubelet_config, former.kubelet_config);
        assert_eq!((state.kubelet.as_deref(), state.kubeadm.as_deref()), (Some("active"), Some("1.35.4")));
    }
}

pub fn a_worker_of_which_nothing_is_kept_does_not_go_back(machine: &mut dyn Machine) {
    machine.moved();
    machine.perform(Step::KubeadmPackage, TARGET).unwrap();
    machine.perform(Step::KubeletPackages, TARGET).unwrap();
    machine.move_repository("1.35.4").unwrap();
    machine.fails(back(), "1.35.4", Class::Refused, "there is no copy of the kubelet's configuration");
    assert!(machine.inspect().finished(TARGET));
}

pub fn the_disk_is_full(machine: &mut dyn Machine) {
    machine.moved();
    machine.free(12);
    let says = "the disk is full: /var/cache/apt has 12 MiB free, 300 MiB are needed";
    machine.fails(Step::KubeadmPackage, TARGET, Class::Refused, says);
    assert!(!machine.inspect().touched(TARGET));
}

pub fn a_lock_that_is_never_given_up_holds(machine: &mut dyn Machine) {
    machine.moved();
    machine.locked();
    let cause = machine.fails(Step::KubeadmPackage, TARGET, Class::Hold, "has held the lock for 300 s");
    assert!(cause.what.starts_with("waiting for the package manager: "), "{cause}");
    assert!(!machine.inspect().touched(TARGET));
}

pub fn what_is_not_offered_is_refused(machine: &mut dyn Machine) {
    machine.moved();
    let says = "the repository of this node does not offer kubeadm 1.36.9";
    machine.fails(Step::KubeadmPackage, "1.36.9", Class::Refused, says);
}

/// No package is ever brought to an older version.
pub fn there_is_no_way_back(machine: &mut dyn Machine) {
    machine.moved();
    machine.package("kubeadm", "hi", "1.36.3-1.1");
    machine.fails(Step::KubeadmPackage, "1.36.1", Class::Refused, "this would be a downgrade");
    assert!(machine.inspect().whole_at("kubeadm", TARGET));
}

pub fn the_kubelet_does_not_pass_kubeadm(machine: &mut dyn Machine) {
    machine.moved();
    machine.fails(Step::KubeletPackages, TARGET, Class::Step, "the kubelet must not pass it");
    assert!(machine.inspect().whole_at("kubelet", "1.35.4"));
}

pub fn kubeadm_fails_and_the_next_run_goes_on(machine: &mut dyn Machine) {
    machine.moved();
    machine.perform(Step::KubeadmPackage, TARGET).unwrap();
    machine.kubeadm_fails_once();
    let cause = machine.fails(machine.upgrade(), TARGET, Class::Step, "kubeadm upgrade node failed (exit 1)");
    assert!(!cause.detail.is_empty(), "what kubeadm said is in it");
    assert!(!machine.inspect().kubeadm_has_run(TARGET, RUN));
    machine.perform(machine.upgrade(), TARGET).unwrap();
    assert!(machine.inspect().kubeadm_has_run(TARGET, RUN));
}

/// Cut while unpacking, while unpacked, while being configured.
const CUTS: [(&str, &str); 3] = [("iHR", "1.35.4-1.1"), ("iU", "1.36.3-1.1"), ("iF", "1.36.3-1.1")];

pub fn a_half_done_kubeadm_is_repaired(machine: &mut dyn Machine) {
    machine.moved();
    for (letters, version) in CUTS {
        machine.package("kubeadm", letters, version);
        let cut = machine.inspect();
        assert_eq!((&*cut.package("kubeadm").unwrap().letters, cut.audit.is_empty()), (letters, false));
        assert!(!cut.finished(TARGET) && !cut.package("kubeadm").unwrap().healthy());
        assert_eq!(cut.holds, ["kubectl", "kubelet"]);
        machine.perform(Step::KubeadmPackage, TARGET).unwrap();
        let state = machine.inspect();
        assert!(state.whole_at("kubeadm", TARGET) && state.audit.is_empty(), "{letters}: {state:?}");
        assert_eq!(state.holds, ["kubeadm", "kubectl", "kubelet"], "{letters}");
    }
}

pub fn half_done_packages_of_the_kubelet_are_repaired(machine: &mut dyn Machine) {
    machine.moved();
    machine.perform(Step::KubeadmPackage, TARGET).unwrap();
    machine.perform(machine.upgrade(), TARGET).unwrap();
    for (letters, version) in CUTS {
        for name in ["kubelet", "kubectl"] {
            machine.package(name, letters, version);
            machine.perform(Step::KubeletPackages, TARGET).unwrap();
            assert!(machine.inspect().finished(TARGET), "{name} {letters}: {:?}", machine.inspect());
        }
    }
}

/// A kubelet is never taken past the control plane by a repair: where its version is gone, that is for a person.
pub fn another_half_installed_package_keeps_its_version(machine: &mut dyn Machine) {
    machine.package("kubelet", "iHR", "1.35.4-1.1");
    machine.perform(Step::KubeadmPackage, "1.35.4").unwrap();
    assert!(machine.inspect().whole_at("kubelet", "1.35.4"));
    machine.moved();
    machine.package("kubelet", "iHR", "1.35.4-1.1");
    machine.fails(Step::KubeadmPackage, TARGET, Class::Refused, "kubelet is half installed (iHR 1.35.4-1.1)");
    assert_eq!(machine.inspect().package("kubelet").unwrap().letters, "iHR");
}

/// Debian's package, or Docker's.
fn containerd(state: &NodeState) -> (String, String) {
    let package = state.package("containerd.io").or_else(|| state.package("containerd")).expect("containerd is a package there");
    (package.letters.to_string(), package.version.to_string())
}

pub fn containerd_stays_at_its_version(machine: &mut dyn Machine) {
    let before = machine.inspect();
    let (_, version) = containerd(&before);
    machine.perform(Step::ContainerdPackage, &version).unwrap();
    let after = machine.inspect();
    assert_eq!(containerd(&after), containerd(&before));
    assert_eq!((standing(&after), &after.holds), (standing(&before), &before.holds));
    assert_eq!((after.work.step, after.work.state), ("containerd-package", WorkState::Done));
}

pub fn a_containerd_that_is_not_offered_is_refused(machine: &mut dyn Machine) {
    let before = containerd(&machine.inspect());
    machine.fails(Step::ContainerdPackage, "99.9.9-1", Class::Refused, "does not offer containerd");
    assert_eq!(containerd(&machine.inspect()), before);
}

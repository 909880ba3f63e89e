//! What people changed by hand, and kubeadm writes over.

use super::*;

/// What kubeadm is told to leave alone stays, on each control plane.
#[test]
fn incident_15_kubeadm_overwrote_a_custom_coredns() {
    let coredns = |state: &State| {
        let key = Key::new(Kind::Deployment, "kube-system", "coredns");
        state.store.get(&key).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    for (flags, stays) in [(json!([]), false), (json!(["--skip-phases=addon/coredns"]), true)] {
        let mut scenario = quick(Scenario::runbook_minor());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let state = begin(&scenario);
        let before = coredns(&state);
        let end = to_the_end(state, None);
        done(&end, "1.35.4");
        assert_eq!(coredns(&end) == before, stays, "{before} became {}", coredns(&end));
    }
}

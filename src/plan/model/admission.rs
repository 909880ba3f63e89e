//! Admission: whether a webhook or a policy stands behind a refusal of the API server. Only its words tell: a webhook denies with whatever
//! code it likes (KubeVirt with 429, Strimzi with 500, most with 403 or 400), and one that cannot be asked gives 500, as an API server does
//! that has just come back.

/// What admission has to do with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A webhook or a policy says no.
    Denied,
    /// A webhook that must be asked cannot be: the API server is there, and the webhook is not.
    Unasked,
}

/// None: another refusal, or none.
pub fn admission(message: &str) -> Option<Admission> {
    let says = |words: &[&str]| words.iter().all(|words| message.contains(words));
    if says(&["admission webhook \"", "\" denied the request"]) || says(&["AdmissionPolicy '", "' denied request"]) {
        return Some(Admission::Denied);
    }
    says(&["failed calling webhook \""]).then_some(Admission::Unasked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_admission_says_is_admission() {
        let denied = [
            "admission webhook \"virt-launcher-eviction-interceptor.kubevirt.io\" denied the request: Eviction triggered evacuation",
            "admission webhook \"validate.kyverno.svc-fail\" denied the request without explanation",
            "jobs.batch \"j\" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: no digest",
        ];
        let unasked = "Internal error occurred: failed calling webhook \"evict.guard.io\": failed to call webhook: Post \
                       \"https://guard.kube-system.svc:443/evict?timeout=10s\": service \"guard\" not found";
        let others = [
            "",
            "etcdserver: leader changed",
            "Cannot evict pod as it would violate the pod's disruption budget.",
            "pods \"p\" is forbidden: exceeded quota: compute",
            "pods \"admission webhook\" not found",
        ];
        for message in denied {
            assert_eq!(admission(message), Some(Admission::Denied), "{message}");
        }
        assert_eq!(admission(unasked), Some(Admission::Unasked));
        for message in others {
            assert_eq!(admission(message), None, "{message}");
        }
    }
}

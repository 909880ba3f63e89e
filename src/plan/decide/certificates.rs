//! Whether the certificates of kubeadm's making outlast a run. `kubeadm upgrade` renews those of each control plane at its turn, unless it is told not
//! to; authorities it never renews.

use jiff::{SignedDuration, Timestamp};

use crate::failure::Cause;
use crate::plan::model::certificates::{Certificate, Certificates};
use crate::words::{Flag, command};

/// A run may wait for windows, gates and people, and control planes that are restarted later still must come back.
const REACH: SignedDuration = SignedDuration::from_hours(7 * 24);
/// So long before its end a certificate is told of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The same of an authority: with it all go that it has signed, and another one takes long to bring in.
const SOON_AUTHORITY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How another authority is brought in.
const ROTATION: &str = "https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/";

/// What the certificates of the control planes come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Of each control plane where one does not last, why.
    pub closed: Vec<(String, Cause)>,
    /// What holds nothing, and somebody should know.
    pub told: Vec<String>,
}

/// `kubeadm upgrade` renews what it can, as these flags of the settings have it.
pub fn renews(flags: &[Flag]) -> bool {
    let mut given = flags.iter().filter_map(|flag| flag.strip_prefix("--certificate-renewal="));
    // As Go reads a boolean.
    !given.next_back().is_some_and(|value| matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False"))
}

/// Of each control plane, what it has. `renews`: see [`renews`].
pub fn outlook<'a>(of_each: impl IntoIterator<Item = (&'a str, &'a Certificates)>, renews: bool, now: Timestamp) -> Outlook {
    let mut outlook = Outlook::default();
    // One sentence for what several nodes have alike.
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for (node, all) in of_each {
        let mut tell = |sentence: String| match told.iter_mut().find(|(other, _)| *other == sentence) {
            Some((_, nodes)) => nodes.push(node),
            None => told.push((sentence, vec![node])),
        };
        let Certificates { certificates, authorities } = all;
        let own = certificates.iter().filter_map(|one| of_certificate(node, one, renews, now));
        let causes: Vec<Cause> = authorities.iter().filter_map(|one| of_authority(one, now)).chain(own).collect();
        outlook.closed.extend(causes.into_iter().map(|cause| (node.to_owned(), cause)));
        for one in certificates.iter().filter(|one| renews && !one.external && is_within(one, SOON, now) && one.ends > now) {
            tell(format!("the certificate {} ends on {}, and kubeadm renews it in this upgrade", one.name, day(one)));
        }
        for one in authorities.iter().filter(|one| is_within(one, SOON_AUTHORITY, now) && !is_within(one, REACH, now)) {
            tell(format!(
                "the authority {} ends on {}: kubeadm never renews one, by hand it is brought in so: {ROTATION}",
                one.name,
                day(one)
            ));
        }
        let external: Vec<&str> = certificates.iter().filter(|one| one.external).map(|one| one.name.as_str()).collect();
        if let Some(first) = certificates.iter().filter(|one| one.external).min_by_key(|one| one.ends) {
            let names = external.join(", ");
            tell(format!(
                "kubeadm has no key of the authority that has signed {names}, and renews none of them: the first ends on {}",
                day(first)
            ));
        }
    }
    outlook.told = told.into_iter().map(|(sentence, nodes)| format!("{sentence} ({})", nodes.join(", "))).collect();
    outlook
}

fn is_within(one: &Certificate, span: SignedDuration, now: Timestamp) -> bool {
    one.ends.duration_since(now) <= span
}

fn day(one: &Certificate) -> impl std::fmt::Display {
    one.ends.strftime("%F")
}

fn of_certificate(node: &str, one: &Certificate, renews: bool, now: Timestamp) -> Option<Cause> {
    let Certificate { name, ends, external } = one;
    let day = day(one);
    if *ends > now && (!is_within(one, REACH, now) || renews && !external) {
        return None;
    }
    let what = if *ends <= now {
        format!("the certificate {name} has ended on {day}")
    } else if *external {
        format!("the certificate {name} ends on {day}, and kubeadm has no key to renew it with")
    } else {
        format!(
            "the certificate {name} ends on {day}, and kubeadm is told to renew none (--certificate-renewal=false in kubeadm-flags)"
        )
    };
    let how = if *external {
        command!("sudo kubeadm certs generate-csr    # on {}; whoever has the authority's key signs it", node)
    } else {
        command!("sudo kubeadm certs renew {}    # on {}, whose static pods are then to be restarted", name, node)
    };
    Some(Cause::refused(what).next(how))
}

fn of_authority(one: &Certificate, now: Timestamp) -> Option<Cause> {
    let word = if one.ends <= now { "has ended" } else { "ends" };
    is_within(one, REACH, now).then(|| {
        Cause::refused(format!("the authority {} {word} on {}, and with it all that it has signed", one.name, day(one)))
            .detail([format!("by hand another one is brought in so: {ROTATION}")])
            .next("sudo kubeadm certs check-expiration    # on that control plane: what it has signed")
    })
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;

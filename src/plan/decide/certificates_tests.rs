#![allow(clippy::unwrap_used)]
use super::*;

const NOW: &str = "2026-11-22T12:00:00Z";

fn one(name: &str, ends: &str, external: bool) -> Certificate {
    Certificate { name: name.parse().unwrap(), ends: format!("{ends}T00:00:00Z").parse().unwrap(), external }
}

/// A control plane with one certificate beside those that last, and an authority.
fn with(certificate: Certificate, authority: Certificate) -> Certificates {
    Certificates {
        certificates: vec![one("admin.conf", "2027-10-01", false), certificate],
        authorities: vec![authority, one("etcd-ca", "2035-01-01", false)],
    }
}

fn of(certificate: Certificate, authority: Certificate, renews: bool) -> Outlook {
    outlook([("m", &with(certificate, authority))], renews, NOW.parse().unwrap())
}

fn lasting() -> Certificate {
    one("ca", "2035-01-01", false)
}

#[test]
fn what_does_not_last_is_refused() {
    let rows: [(Certificate, Certificate, bool, &str, &str); 6] = [
        (one("apiserver", "2026-11-22", false), lasting(), true, "has ended on 2026-11-22", "kubeadm certs renew apiserver"),
        (one("apiserver", "2026-11-22", true), lasting(), true, "has ended on 2026-11-22", "generate-csr"),
        (one("apiserver", "2026-11-29", false), lasting(), false, "is told to renew none", "kubeadm certs renew apiserver"),
        (one("apiserver", "2026-11-29", true), lasting(), true, "has no key to renew it with", "generate-csr"),
        (one("apiserver", "2027-10-01", false), one("ca", "2026-11-28", false), true, "the authority ca ends on 2026-11-28", ""),
        (one("apiserver", "2027-10-01", false), one("ca", "2026-11-01", false), true, "the authority ca has ended on", ""),
    ];
    for (certificate, authority, renews, says, advises) in rows {
        let Outlook { closed, .. } = of(certificate, authority, renews);
        let [(node, cause)] = closed.as_slice() else { panic!("{closed:?}") };
        assert!(node == "m" && cause.what.contains(says) && cause.next[0].to_string().contains(advises), "{cause:?}");
    }
}

#[test]
fn what_kubeadm_renews_and_what_is_far_off_is_only_told() {
    let told = |certificate, authority, renews| {
        let Outlook { closed, told } = of(certificate, authority, renews);
        assert!(closed.is_empty(), "{closed:?}");
        told
    };
    assert!(told(one("apiserver", "2027-10-01", false), lasting(), true).is_empty());
    let soon = told(one("apiserver", "2026-11-23", false), lasting(), true);
    assert_eq!(soon, ["the certificate apiserver ends on 2026-11-23, and kubeadm renews it in this upgrade (m)"]);
    assert!(told(one("apiserver", "2026-12-01", false), lasting(), false).is_empty(), "after any run");
    let external = told(one("apiserver", "2027-03-01", true), lasting(), true);
    assert!(external[0].contains("has signed apiserver, and renews none of them: the first ends on 2027-03-01"), "{external:?}");
    let authority = told(one("apiserver", "2027-10-01", false), one("ca", "2027-10-01", false), true);
    assert!(
        authority[0].starts_with("the authority ca ends on 2027-10-01") && authority[0].contains("manual-rotation"),
        "{authority:?}"
    );
}

#[test]
fn what_several_have_alike_is_told_once() {
    let all = with(one("apiserver", "2026-11-23", false), lasting());
    let Outlook { told, .. } = outlook([("a", &all), ("b", &all)], true, NOW.parse().unwrap());
    assert!(told.len() == 1 && told[0].ends_with("(a, b)"), "{told:?}");
}

#[test]
fn renewal_is_on_unless_the_last_word_says_otherwise() {
    let flags = |flags: &[&str]| -> Vec<Flag> { flags.iter().map(|flag| flag.parse().unwrap()).collect() };
    for on in [&[][..], &["--certificate-renewal=true"], &["--v=5"], &["--certificate-renewal=false", "--certificate-renewal=1"]]
    {
        assert!(renews(&flags(on)), "{on:?}");
    }
    for off in [&["--certificate-renewal=false"][..], &["--certificate-renewal=0"], &["--v=5", "--certificate-renewal=F"]] {
        assert!(!renews(&flags(off)), "{off:?}");
    }
}

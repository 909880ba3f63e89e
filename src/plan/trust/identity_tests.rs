#![allow(clippy::unwrap_used)]
use super::*;
use crate::plan::model::fixture;
use crate::plan::model::version::Version;

/// As kubelets have it: the API server's signer writes printable strings.
const NODE4: &str = "\
-----BEGIN CERTIFICATE-----
MIIBKjCB3QIUeyrws26walHXLEdf6dmJRLqHA1EwBQYDK2VwMDcxFTATBgNVBAoT
DHN5c3RlbTpub2RlczEeMBwGA1UEAxMVc3lzdGVtOm5vZGU6azhzLW5vZGU0MCAX
DTI2MTEyODE3MTE1N1oYDzIxMjYxMTA0MTcxMTU3WjA3MRUwEwYDVQQKEwxzeXN0
ZW06bm9kZXMxHjAcBgNVBAMTFXN5c3RlbTpub2RlOms4cy1ub2RlNDAqMAUGAytl
cAMhAMlP3BXWLDzGXELeOE6PyxytNyqtUjyCI7cMy6+kmg7tMAUGAytlcANBAMfq
M+g+F7CcJkg/GFhlJBIIZHF/avZEGa9dPcqqWiU0nk0OwUTByRS0s0cdS1zyFfHn
Q5OQ3VBlTay3SxnSFAY=
-----END CERTIFICATE-----
";
const NODE4_UTF8: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhTCCATegAwIBAgIUTVHxEablFhh/6ruA5JqWMhnHANkwBQYDK2VwMDcxFTAT
BgNVBAoMDHN5c3RlbTpub2RlczEeMBwGA1UEAwwVc3lzdGVtOm5vZGU6azhzLW5v
ZGU0MCAXDTI2MTEyODE3MTE1N1oYDzIxMjYxMTA0MTcxMTU3WjA3MRUwEwYDVQQK
DAxzeXN0ZW06bm9kZXMxHjAcBgNVBAMMFXN5c3RlbTpub2RlOms4cy1ub2RlNDAq
MAUGAytlcAMhAPd2CA7fFgYNzVrMYuEKLVF7T+GgkIwKEJTYMIdiqhSCo1MwUTAd
BgNVHQ4EFgQUgDED4CXxYNGXZtRk//HJwILfL/8wHwYDVR0jBBgwFoAUgDED4CXx
YNGXZtRk//HJwILfL/8wDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQCBDuiVbXsv
7+66AsdJpLXE3VTfmm5Mq3klKWCz+cLTld5EOgI9NLYJCjOfQn6qGuD4e2Rsqdv5
8UVa43u4SDEI
-----END CERTIFICATE-----
";
const ADMIN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBTDCB/6ADAgECAhQYSn4l79zW3ub9oZxt17YjDVi9KTAFBgMrZXAwGzEZMBcG
A1UEAwwQa3ViZXJuZXRlcy1hZG1pbjAgFw0yNjExMjgxNzExNTdaGA8yMTI2MTEw
NDE3MTE1N1owGzEZMBcGA1UEAwwQa3ViZXJuZXRlcy1hZG1pbjAqMAUGAytlcAMh
AHZJswT7DYJZyGsTZS7O/ZCbIrMKr2qQNLXLscinJx8fo1MwUTAdBgNVHQ4EFgQU
S/fxJ9Km6zfIGG+00w9zwlS7j8EwHwYDVR0jBBgwFoAUS/fxJ9Km6zfIGG+00w9z
wlS7j8EwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQCPXpAPmuR6M7IcOXQkVA5s
VKIKTuUI5HvlJ2FCUZvfpZk3poKvxn8rk5IwfNilKy6qZ6OWoJY6AN4fFPQsUh4H
-----END CERTIFICATE-----
";
const NAMELESS: &str = "\
-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhRMjMCEGQNYzr/Z+gYrQgiyp5X1izAFBgMrZXAwDDEKMAgG
A1UECgwBeDAgFw0yNjExMjgxNzExNTdaGA8yMTI2MTEwNDE3MTE1N1owDDEKMAgG
A1UECgwBeDAqMAUGAytlcAMhAHzkRUKkodzPf1cq8OrWA1sp+vr1Ex0Cmuen8zbY
bdYQo1MwUTAdBgNVHQ4EFgQUXEibHdakBumzQmAM5xShgeBFfi4wHwYDVR0jBBgw
FoAUXEibHdakBumzQmAM5xShgeBFfi4wDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQBO69XwbvLcnhJS2KlKGHnEoXlICLxmk9hoJs4iYsCAr35O5S+f2q9yzAaIYfP5
RlaNHxX9jiOfdAEkiqxFJhwD
-----END CERTIFICATE-----
";
const TWO_NAMES: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbzCCASGgAwIBAgIUDljQoFYeQ/6iqqZERN51ZxBLFBcwBQYDK2VwMCwxCjAI
BgNVBAMMAWExHjAcBgNVBAMMFXN5c3RlbTpub2RlOms4cy1ub2RlNDAgFw0yNjEx
MjgxNzExNTdaGA8yMTI2MTEwNDE3MTE1N1owLDEKMAgGA1UEAwwBYTEeMBwGA1UE
AwwVc3lzdGVtOm5vZGU6azhzLW5vZGU0MCowBQYDK2VwAyEAqXkONKiF5FsM2QDr
v8tgzr+xK7G4iJ0aL0y5GqMpyeajUzBRMB0GA1UdDgQWBBTJ/FFwt1zt7a7h5e5P
elxTBVwewjAfBgNVHSMEGDAWgBTJ/FFwt1zt7a7h5e5PelxTBVwewjAPBgNVHRMB
Af8EBTADAQH/MAUGAytlcANBACmJbZv41P3lEAOQ2L5Us02JUQ41GPOwZGZmjQJE
yuSKLDyGDoXJ68Kz5f4j11jIik6Mt85sI1d9WY245L//WAk=
-----END CERTIFICATE-----
";

const ID: &str = "0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e";
const OTHER_ID: &str = "ffffffff4f2a4c3b9d8e7f6a5b4c3d2e";

fn node(name: &str, machine_id: &str) -> Node {
    Node { machine_id: machine_id.to_owned(), ..fixture::worker(name, Version::new(1, 34, 2)) }
}

fn shown(pem: &str) -> Shown {
    Shown { certificate: Ok(pem.to_owned()), machine_id: ID.parse().ok() }
}

#[test]
fn a_node_is_known_by_certificate_and_machine_id() {
    let node4 = node("k8s-node4", ID);
    for pem in [NODE4, NODE4_UTF8, &format!("{NODE4}{ADMIN}"), &format!("{NODE4}-----BEGIN X-----\nleft out\n")] {
        assert_eq!(prove(&node4, &shown(pem)), Proof::Proved, "{pem}");
    }
    assert_eq!(prove(&node("k8s-node4", ""), &shown(NODE4)), Proof::ByCertificate);
    assert!(
        matches!(prove(&node("k8s-node4", OTHER_ID), &shown(NODE4)), Proof::MixedUp(is) if is.contains(ID) && is.contains(OTHER_ID))
    );
    // One id for both, as clones have it: the certificate decides.
    let other = prove(&node("k8s-node3", ID), &shown(NODE4));
    assert_eq!(other, Proof::MixedUp("the kubelet there is that of k8s-node4".to_owned()));
    // A name that only begins like the other.
    assert!(matches!(prove(&node("k8s-node", ID), &shown(NODE4)), Proof::MixedUp(_)));
    assert!(matches!(prove(&node("k8s-node44", ID), &shown(NODE4)), Proof::MixedUp(_)));
}

#[test]
fn what_does_not_tell_proves_nothing() {
    let node4 = node("k8s-node4", ID);
    let cut = &NODE4[..NODE4.len() / 2];
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, why) in [
        (ADMIN, "it is that of kubernetes-admin, and no kubelet's"),
        (NAMELESS, "its subject has not one common name"),
        (TWO_NAMES, "its subject has not one common name"),
        (cut, "it has no end"),
        ("", "it has no end"),
        (garbage, "it is no X.509 certificate"),
        ("-----END CERTIFICATE-----", "it is no X.509 certificate"),
        ("ä-----END CERTIFICATE-----ä", "it is no X.509 certificate"),
    ] {
        let wanted = format!("its kubelet's client certificate cannot be read: {why}");
        assert_eq!(prove(&node4, &shown(pem)), Proof::Unknown(wanted), "{pem}");
    }
    assert!(matches!(prove(&node4, &Shown { certificate: Err("no file".to_owned()), machine_id: None }), Proof::Unknown(_)));
    assert_eq!(prove(&node4, &Shown { machine_id: None, ..shown(NODE4) }), Proof::Unknown("it has no machine id".to_owned()));
}

#[test]
fn whatever_is_not_proved_is_refused_and_both_are_named() {
    assert_eq!(Proof::Proved.into_result("n", "a"), Ok(()));
    assert_eq!(Proof::ByCertificate.into_result("n", "a"), Ok(()));
    for proof in [Proof::MixedUp("it is k8s-node3".to_owned()), Proof::Unknown("k8s-node3".to_owned())] {
        let cause = proof.into_result("k8s-node4", "10.0.20.104").unwrap_err();
        assert_eq!(cause.class, crate::failure::Class::Refused);
        for word in ["k8s-node4", "10.0.20.104", "k8s-node3"] {
            assert!(cause.what.contains(word), "{cause:?}");
        }
    }
}

#[test]
fn nodes_with_one_machine_id_are_found() {
    let nodes = [node("a", ID), node("b", OTHER_ID), node("c", ID), node("d", ""), node("e", "")];
    assert_eq!(sharing(&nodes), [["a", "c"]]);
}

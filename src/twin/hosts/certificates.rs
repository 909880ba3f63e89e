//! The certificates that kubeadm has made on a control plane's machine.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::machine::Machine;

const CERTIFICATES: [&str; 10] = [
    "admin.conf",
    "apiserver",
    "apiserver-etcd-client",
    "apiserver-kubelet-client",
    "controller-manager.conf",
    "etcd-healthcheck-client",
    "etcd-peer",
    "etcd-server",
    "front-proxy-client",
    "scheduler.conf",
];
const AUTHORITIES: [&str; 3] = ["ca", "etcd-ca", "front-proxy-ca"];
/// Days until those end of which nothing else is known.
const LASTS: i64 = 300;
const AUTHORITY_LASTS: i64 = 3000;

/// As `kubeadm certs check-expiration -o json` prints them.
pub fn checked(machine: &Machine, now: Timestamp) -> Value {
    let item = |name: &str, days: i64| {
        let ends = machine.ends.get(name).copied().or_else(|| now.checked_add(SignedDuration::from_hours(days * 24)).ok());
        json!({ "name": name, "expirationDate": ends.map(|at| at.strftime("%FT%TZ").to_string()), "externallyManaged": machine.external_ca })
    };
    let mut certificates: Vec<Value> = CERTIFICATES.iter().map(|name| item(name, LASTS)).collect();
    certificates.push(json!({ "name": "super-admin.conf", "missing": true }));
    let authorities: Vec<Value> = AUTHORITIES.iter().map(|name| item(name, AUTHORITY_LASTS)).collect();
    json!({
        "kind": "CertificateExpirationInfo",
        "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
        "certificates": certificates,
        "certificateAuthorities": authorities,
    })
}

/// `kubeadm upgrade` renews all but authorities.
pub fn renew(machine: &mut Machine) {
    if !machine.external_ca {
        machine.ends.retain(|name, _| AUTHORITIES.contains(&name.as_str()));
    }
}

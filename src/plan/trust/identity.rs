//! Whether the machine that SSH reached is the node that was meant. This is proof against mix-ups (a reused address, a wrong setting, two
//! names for one machine), not against a hostile host: a certificate is public. Against that there are host keys.

use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{DecodePem, Tag, Tagged};

use crate::failure::Cause;
use crate::plan::model::facts::Node;
use crate::words::{self, MachineId};

/// What the API server knows a kubelet by: the common name of its client certificate.
const KUBELET: &str = "system:node:";
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const END: &str = "-----END CERTIFICATE-----";

/// What a machine shows of itself.
#[derive(Clone, Debug)]
pub struct Shown {
    /// PEM of its kubelet's client certificate, what follows it ignored; or why there is none.
    pub certificate: Result<String, String>,
    pub machine_id: Option<MachineId>,
}

/// Whose machine it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Proved,
    /// By its certificate alone: the Node reports no machine id.
    ByCertificate,
    /// It is another one: what it says that it is.
    MixedUp(String),
    /// Nothing on it tells.
    Unknown(String),
}

/// Holds what a machine shows against what the Node is.
pub fn prove(node: &Node, shown: &Shown) -> Proof {
    let kubelet = match shown.certificate.as_ref().map_err(Clone::clone).and_then(|pem| kubelet_of(pem)) {
        Ok(kubelet) => kubelet,
        Err(why) => return Proof::Unknown(format!("its kubelet's client certificate cannot be read: {}", words::line(&why))),
    };
    if kubelet != node.name {
        return Proof::MixedUp(format!("the kubelet there is that of {}", words::line(&kubelet)));
    }
    match &shown.machine_id {
        _ if node.machine_id.is_empty() => Proof::ByCertificate,
        None => Proof::Unknown("it has no machine id".to_owned()),
        Some(there) if there.as_str() == node.machine_id => Proof::Proved,
        Some(there) => {
            let reported = words::line(&node.machine_id);
            Proof::MixedUp(format!(
                "its kubelet's certificate fits, but its machine id is {there}, and the Node reports {reported}"
            ))
        }
    }
}

impl Proof {
    /// Nothing is done on a machine that is not proved to be the node.
    ///
    /// # Errors
    /// Refused: a person must look whose address it is.
    pub fn into_result(self, node: &str, address: &str) -> Result<(), Cause> {
        let (what, look) = match self {
            Proof::Proved | Proof::ByCertificate => return Ok(()),
            Proof::MixedUp(is) => (
                format!("{address} is not {node}: {is}"),
                "the address comes from the setting host-addresses, else from the Node's InternalIP: was one of them given to another \
                 machine, by hand or by DHCP, or do two names mean one machine? A new machine id is reported once the kubelet restarts",
            ),
            Proof::Unknown(why) => (
                format!("whether {address} is {node} is not known: {why}"),
                "a node is known by the certificate that /etc/kubernetes/kubelet.conf names, and by /etc/machine-id",
            ),
        };
        let next = "kubectl get nodes -o wide      # and on that machine: hostname, cat /etc/machine-id";
        Err(Cause::refused(what).detail([look, "nothing was done there"]).next(next))
    }
}

/// The node whose kubelet has the first certificate of a PEM text.
fn kubelet_of(pem: &str) -> Result<String, String> {
    let end = pem.find(END).ok_or("it has no end")? + END.len();
    let certificate = pem.get(..end).and_then(|first| Certificate::from_pem(first).ok()).ok_or("it is no X.509 certificate")?;
    let names =
        certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter()).filter(|part| part.oid == COMMON_NAME);
    let [name] = names.collect::<Vec<_>>()[..] else { return Err("its subject has not one common name".to_owned()) };
    let text = match name.value.tag() {
        Tag::Utf8String => name.value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned()),
        _ => name.value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()),
    };
    let text = text.map_err(|_| "its common name is no text")?;
    let kubelet = text.strip_prefix(KUBELET).filter(|node| !node.is_empty());
    kubelet.map(str::to_owned).ok_or_else(|| format!("it is that of {text}, and no kubelet's"))
}

/// Nodes that report one machine id (clones, containers): only their certificates tell them apart.
pub fn sharing(nodes: &[Node]) -> Vec<Vec<&str>> {
    let mut shared = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for node in nodes.iter().filter(|node| !node.machine_id.is_empty()) {
        shared.entry(&node.machine_id).or_default().push(&node.name);
    }
    shared.into_values().filter(|nodes| nodes.len() > 1).collect()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;

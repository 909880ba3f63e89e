//! What tells whose machine it is: a kubelet's client certificate, and the check with which a script begins that is for one machine alone.

use std::time::Duration;

use x509_cert::certificate::{CertificateInner, TbsCertificateInner, Version};
use x509_cert::der::asn1::{BitString, UtcTime};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{self, EncodePem};
use x509_cert::name::RdnSequence;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifier, ObjectIdentifier, SubjectPublicKeyInfo};
use x509_cert::time::{Time, Validity};

use super::machine::Machine;

/// What the operation `identify` prints.
pub fn shown(node: &str, machine: &Machine) -> Vec<String> {
    let mut lines = vec![format!("machine-id {}", machine.machine_id), format!("boot-id {}", machine.boot_id(node))];
    match certificate(&machine.kubelet_of) {
        Ok(pem) if !machine.kubelet_of.is_empty() => lines.extend(pem.lines().map(|line| format!("certificate {line}"))),
        _ => lines.push("none /etc/kubernetes/kubelet.conf is not there".to_owned()),
    }
    lines
}

/// PEM of a certificate with a kubelet's subject. Nobody has signed it.
fn certificate(node: &str) -> der::Result<String> {
    let ed25519 = || AlgorithmIdentifier { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };
    let at = |seconds| UtcTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::UtcTime);
    let name = |text: &str| text.parse::<RdnSequence>();
    let tbs_certificate = TbsCertificateInner {
        version: Version::V3,
        serial_number: SerialNumber::new(&[1])?,
        signature: ed25519(),
        issuer: name("CN=kubernetes")?,
        validity: Validity { not_before: at(1_700_000_000)?, not_after: at(2_000_000_000)? },
        subject: name(&format!("CN=system:node:{node},O=system:nodes"))?,
        subject_public_key_info: SubjectPublicKeyInfo {
            algorithm: ed25519(),
            subject_public_key: BitString::from_bytes(&[7; 32])?,
        },
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: None,
    };
    let signature = BitString::from_bytes(&[0; 64])?;
    let certificate: CertificateInner = CertificateInner { tbs_certificate, signature_algorithm: ed25519(), signature };
    certificate.to_pem(LineEnding::LF)
}

//! The certificates of a control plane, by kubeadm's own word.

use std::time::Duration;

use super::Operation;
use crate::failure::Cause;

/// `kubeadm certs check-expiration`: looks, and changes nothing. Its answer is read in `plan::model::certificates`.
#[derive(Clone, Copy, Debug)]
pub struct CheckCertificates;

impl Operation for CheckCertificates {
    const NAME: &'static str = "certificates";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(150);
    const OUTPUT: usize = 128 << 10;
    type Output = String;

    fn script(&self) -> &'static str {
        include_str!("certificates.sh")
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<String, Cause> {
        Ok(stdout.to_owned())
    }
}

//! Whose machine it is that SSH reached, and whether it still is the same one.

use std::time::Duration;

use super::{Operation, garbled, results};
use crate::failure::Cause;
use crate::words::{BootId, MachineId};

/// Looks, and changes nothing: what tells whose machine this is.
#[derive(Clone, Copy, Debug)]
pub struct Identify;

/// What a machine shows of itself. None: it shows none, or none of that form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PEM of the certificate that its kubelet shows to the API server, and what follows it in the file; or why there is none.
    pub certificate: Result<String, String>,
    pub machine_id: Option<MachineId>,
    pub boot_id: Option<BootId>,
}

/// One boot of one installed machine. A script that is told it does nothing anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub machine_id: MachineId,
    pub boot_id: BootId,
}

impl Machine {
    /// The first line of a script's body.
    pub(super) fn check(&self) -> String {
        format!("still '{}' '{}'\n", self.machine_id, self.boot_id)
    }
}

/// A line of a certificate in PEM.
fn is_pem(line: &str) -> bool {
    let armour = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"].contains(&line);
    armour || line.len() <= 80 && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

impl Operation for Identify {
    const NAME: &'static str = "identify";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(30);
    type Output = Identity;

    fn script(&self) -> &'static str {
        include_str!("identify.sh")
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<Identity, Cause> {
        let (mut machine_id, mut boot_id, mut pem, mut none) = (None, None, String::new(), None);
        for (key, rest) in results(stdout) {
            match key {
                "machine-id" => machine_id = rest.parse().ok(),
                "boot-id" => boot_id = rest.parse().ok(),
                "certificate" if is_pem(rest) => pem.extend([rest, "\n"]),
                "none" => none = Some(rest.to_owned()),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        let certificate = match none {
            Some(why) => Err(why),
            None if pem.is_empty() => Err("there is no certificate in the file".to_owned()),
            None => Ok(pem),
        };
        Ok(Identity { certificate, machine_id, boot_id })
    }
}

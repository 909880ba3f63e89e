//! What a control plane's own servers say of their health. A node may be Ready all along while its API server or its etcd is not.

use std::time::Duration;

use super::{API_SERVER, ETCD, Operation, garbled, results};
use crate::failure::Cause;

/// Asks them, and changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AskServers;

/// What one of them said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Well,
    /// In its own words, or curl's.
    Ill(String),
    /// There is nobody to ask on this node, or no way to; and why.
    Unasked(String),
}

/// Of one control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// Its `/readyz`.
    pub api: Said,
    /// Its member's `/health`: no alarm, a leader, and a read that goes through.
    pub etcd: Said,
}

impl Operation for AskServers {
    const NAME: &'static str = "servers";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(30);
    type Output = Servers;

    fn script(&self) -> &'static str {
        include_str!("servers.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[ETCD, API_SERVER]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<Servers, Cause> {
        let (mut api, mut etcd) = (None, None);
        for (key, rest) in results(stdout) {
            let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let said = match word {
                "well" if text.is_empty() => Said::Well,
                "ill" => Said::Ill(if text.trim().is_empty() { "no answer" } else { text.trim() }.to_owned()),
                "unasked" => Said::Unasked(text.to_owned()),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            };
            let known = match key {
                "api" => &mut api,
                "etcd" => &mut etcd,
                _ => return Err(garbled(Self::NAME, key)),
            };
            if known.replace(said).is_some() {
                return Err(garbled(Self::NAME, format_args!("{key} twice")));
            }
        }
        match (api, etcd) {
            (Some(api), Some(etcd)) => Ok(Servers { api, etcd }),
            _ => Err(garbled(Self::NAME, "not both of API server and etcd")),
        }
    }
}

//! A snapshot of etcd, taken in the container in which kubeadm runs it.

use std::time::Duration;

use super::{ETCD, Operation, RUNTIME, SNAPSHOT_KIND, garbled, results, token};
use crate::failure::Cause;
use crate::plan::model::version::Version;
use crate::words::{HostPath, NodeName, RunId};

/// Asks whether a snapshot of the node's etcd can be taken, and kept; changes nothing.
///
/// # Errors
/// Refused: etcd is external, its image has no etcdutl, or a disk has no room. Hold: its container does not run.
#[derive(Clone, Debug)]
pub struct LookAtEtcd {
    /// Where snapshots are kept.
    pub folder: HostPath,
}

/// etcd as it is on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdHere {
    /// Of its database.
    pub bytes: u64,
    pub data: HostPath,
}

impl Operation for LookAtEtcd {
    const NAME: &'static str = "look-at-etcd";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = EtcdHere;

    fn script(&self) -> &'static str {
        include_str!("look-at-etcd.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[RUNTIME, ETCD]
    }
    fn args(&self) -> Vec<String> {
        vec![self.folder.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<EtcdHere, Cause> {
        let line = results(stdout).last();
        let bad = || garbled(Self::NAME, format_args!("{line:?}"));
        let Some(("etcd", rest)) = line else { return Err(bad()) };
        let (bytes, data) = rest.split_once(' ').ok_or_else(bad)?;
        Ok(EtcdHere { bytes: bytes.parse().map_err(|_| bad())?, data: token(Self::NAME, data)? })
    }
}

/// Takes a snapshot of the node's etcd, or finds the one that the same run has taken; the oldest of the node's go. It is whole, and of what most
/// members had agreed on when it began, before it bears its name; what a killed one left behind goes first.
///
/// # Errors
/// As [`LookAtEtcd`]. Unreachable: etcd does not answer. Contended: another one has been in the making for a minute. Else the step failed.
#[derive(Clone, Debug)]
pub struct TakeSnapshot {
    pub folder: HostPath,
    /// The run that it is for.
    pub target: Version,
    pub run: RunId,
    pub node: NodeName,
    /// So many of the node's stay.
    pub keep: u16,
    /// So long etcdctl, and etcdutl after it, may take; to the second.
    pub limit: Duration,
}

/// A snapshot as it lies on its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub path: HostPath,
    pub bytes: u64,
    /// What etcdutl said of it; None: it was there.
    pub made: Option<Made>,
}

/// What etcdutl says of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub revision: u64,
    /// Of all keys and values: CRC-32.
    pub hash: u32,
}

impl TakeSnapshot {
    /// The name of the file; by it the script knows what it may delete.
    fn name(&self) -> String {
        format!("k8s-upgrade-{}-{}-{}.db", self.target, self.run, self.node)
    }
}

impl Operation for TakeSnapshot {
    const NAME: &'static str = "take-snapshot";
    const MUTATES: bool = true;
    /// The script's own limits come first.
    const DEADLINE: Duration = Duration::from_secs(25 * 3600);
    type Output = Taken;

    fn script(&self) -> &'static str {
        include_str!("take-snapshot.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[RUNTIME, ETCD, SNAPSHOT_KIND]
    }
    fn args(&self) -> Vec<String> {
        let (keep, limit) = (self.keep.to_string(), self.limit.as_secs().to_string());
        vec![self.folder.to_string(), self.name(), self.node.to_string(), keep, limit]
    }
    fn parse(&self, stdout: &str) -> Result<Taken, Cause> {
        let mut made = None;
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            let (first, second) = rest.split_once(' ').ok_or_else(bad)?;
            let bytes = first.parse().map_err(|_| bad())?;
            match key {
                "made" => made = Some(Made { revision: bytes, hash: second.parse().map_err(|_| bad())? }),
                "snapshot" => return Ok(Taken { path: token(Self::NAME, second)?, bytes, made }),
                _ => return Err(bad()),
            }
        }
        Err(garbled(Self::NAME, "it does not come to its end"))
    }
}

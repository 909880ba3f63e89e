//! The snapshot's hash and the restore card.

use std::time::Duration;

use super::{Operation, SNAPSHOT_KIND, garbled, results, token};
use crate::failure::Cause;
use crate::words::HostPath;

/// What a snapshot's file is on the node.
#[derive(Clone, Debug)]
pub struct SnapshotHash {
    pub path: HostPath,
}

/// What a snapshot's file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub bytes: u64,
    /// When it was written last, by the node's clock (seconds since 1970).
    pub modified_seconds: i64,
    pub kind: SnapshotKind,
    /// Lowercase hexadecimal.
    pub sha256: String,
}

/// What its bytes tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// etcd's, and the hash at its end is that of all before it.
    Whole,
    /// It begins as etcd's does, and does not end with its hash.
    Torn,
    /// Nothing tells whether there is a snapshot in it: compressed, encrypted, or none.
    Other,
}

impl Operation for SnapshotHash {
    const NAME: &'static str = "snapshot-hash";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(180);
    /// None: no such file on this node, which is an answer.
    type Output = Option<SnapshotInfo>;

    fn script(&self) -> &'static str {
        include_str!("snapshot-hash.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[SNAPSHOT_KIND]
    }
    fn args(&self) -> Vec<String> {
        vec![self.path.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<Self::Output, Cause> {
        let line = results(stdout).last();
        let bad = || garbled(Self::NAME, format_args!("{line:?}"));
        let (key, rest) = line.ok_or_else(bad)?;
        match (key, rest.split(' ').collect::<Vec<_>>().as_slice()) {
            ("absent", [""]) => Ok(None),
            ("snapshot", [bytes, modified, kind, sha256]) if is_sha256(sha256) => {
                let kind = match *kind {
                    "whole" => SnapshotKind::Whole,
                    "torn" => SnapshotKind::Torn,
                    "other" => SnapshotKind::Other,
                    _ => return Err(bad()),
                };
                let bytes = bytes.parse().map_err(|_| bad())?;
                let modified_seconds = modified.parse().map_err(|_| bad())?;
                Ok(Some(SnapshotInfo { bytes, modified_seconds, kind, sha256: (*sha256).to_owned() }))
            }
            _ => Err(bad()),
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Puts a file for people under /var/lib/k8s-upgrade, readable by root alone, whole or not at all.
#[derive(Clone, Debug)]
pub struct WriteCard {
    /// A plain file name.
    pub name: String,
    pub content: String,
}

impl Operation for WriteCard {
    const NAME: &'static str = "write-card";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(60);
    /// Where it is.
    type Output = HostPath;

    fn script(&self) -> &'static str {
        include_str!("write-card.sh")
    }
    fn args(&self) -> Vec<String> {
        vec![self.name.clone(), self.content.clone()]
    }
    fn parse(&self, stdout: &str) -> Result<HostPath, Cause> {
        match results(stdout).last() {
            Some(("card", path)) => token(Self::NAME, path),
            other => Err(garbled(Self::NAME, format_args!("{other:?}"))),
        }
    }
}

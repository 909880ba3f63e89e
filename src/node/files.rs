//! The snapshot's hash and the restore card.

use std::time::Duration;

use super::{Operation, garbled, results, token};
use crate::failure::Cause;
use crate::words::HostPath;

/// Size and hash of a file on the node.
#[derive(Clone, Debug)]
pub struct SnapshotHash {
    pub path: HostPath,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub bytes: u64,
    /// Lowercase hexadecimal.
    pub sha256: String,
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
    fn args(&self) -> Vec<String> {
        vec![self.path.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<Self::Output, Cause> {
        let line = results(stdout).last();
        match line.map(|(key, rest)| (key, rest.split_once(' '))) {
            Some(("absent", None)) => Ok(None),
            Some(("snapshot", Some((bytes, sha256)))) if is_sha256(sha256) => {
                let bytes = bytes.parse().map_err(|_| garbled(Self::NAME, bytes))?;
                Ok(Some(SnapshotInfo { bytes, sha256: sha256.to_owned() }))
            }
            _ => Err(garbled(Self::NAME, format_args!("{line:?}"))),
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

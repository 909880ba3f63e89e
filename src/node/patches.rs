//! The patches that kubeadm finds on a node, in the folder that `--patches` names.

use std::time::Duration;

use super::{Operation, garbled, results, token};
use crate::failure::Cause;
use crate::words::{HostPath, PatchName};

/// Reads the patches of a folder, and changes nothing.
#[derive(Clone, Debug)]
pub struct ReadPatches {
    pub folder: HostPath,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchFile {
    /// As kubeadm demands it: `TARGET[SUFFIX][+TYPE].yaml`.
    pub name: PatchName,
    pub text: String,
}

impl Operation for ReadPatches {
    const NAME: &'static str = "patches";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    /// Those whose names kubeadm knows, in its order.
    type Output = Vec<PatchFile>;

    fn script(&self) -> &'static str {
        include_str!("patches.sh")
    }
    fn args(&self) -> Vec<String> {
        vec![self.folder.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<Vec<PatchFile>, Cause> {
        let mut files: Vec<PatchFile> = Vec::new();
        for (key, rest) in results(stdout) {
            match (key, files.last_mut()) {
                ("patch", _) => files.push(PatchFile { name: token(Self::NAME, rest)?, text: String::new() }),
                ("text", Some(file)) => file.text.extend([rest, "\n"]),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }
}

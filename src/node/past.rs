//! What a node keeps of its past, and its static pods as their files are: enough to go back without the API server.

use std::time::Duration;

use super::{Operation, garbled, results, token};
use crate::failure::Cause;
use crate::words::{HostPath, ImageName, NodeName, Revision, Stamp, Url};

/// Looks, and changes nothing.
#[derive(Clone, Debug, Default)]
pub struct LookBack {
    /// The folder of etcd's snapshots; None: they are not looked for.
    pub snapshots: Option<HostPath>,
}

/// A static pod as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// As its file is named, without the ending: `kube-apiserver`. Text: anybody may put a file there.
    pub pod: String,
    /// With its registry and tag; None where the file names none.
    pub image: Option<ImageName>,
}

/// A manifest that `kubeadm upgrade` replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub manifest: Manifest,
    pub at: Stamp,
    pub path: HostPath,
}

/// A file in the folder of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub path: HostPath,
    pub bytes: u64,
    pub at: Stamp,
}

/// What is left of earlier days, for the way back of a control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    pub static_pods: Vec<Manifest>,
    /// Its member of etcd: where the others reach it, and what it is called.
    pub peer: Option<(Url, NodeName)>,
    pub copies: Vec<Copy>,
    /// kubeadm's copies of etcd's data: time and path.
    pub etcd_data: Vec<(Stamp, HostPath)>,
    /// Releases whose kubelet's configuration is kept, with the folder.
    pub former: Vec<(Revision, HostPath)>,
    /// The newest restore card: time, path and text.
    pub card: Option<(Stamp, HostPath, String)>,
    /// The newest, newest first.
    pub snapshots: Vec<Snapshot>,
}

impl Operation for LookBack {
    const NAME: &'static str = "look-back";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = Past;

    fn script(&self) -> &'static str {
        include_str!("look-back.sh")
    }
    fn args(&self) -> Vec<String> {
        vec![self.snapshots.as_ref().map_or_else(String::new, ToString::to_string)]
    }
    fn parse(&self, stdout: &str) -> Result<Past, Cause> {
        let mut past = Past::default();
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            let manifest = |pod: &str, image: &str| {
                let image = if image == "-" { None } else { Some(token(Self::NAME, image)?) };
                Ok::<_, Cause>(Manifest { pod: pod.to_owned(), image })
            };
            // Names and paths come last: they may hold spaces.
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            let two = || rest.split_once(' ').ok_or_else(bad);
            match (key, words.as_slice()) {
                ("static-pod", _) => {
                    let (image, pod) = two()?;
                    past.static_pods.push(manifest(pod, image)?);
                }
                ("peer", _) => {
                    let (url, name) = two()?;
                    past.peer = Some((token(Self::NAME, url)?, token(Self::NAME, name)?));
                }
                ("manifest", [image, at, path]) => {
                    let name = path.rsplit('/').next().unwrap_or(path);
                    let manifest = manifest(name.strip_suffix(".yaml").unwrap_or(name), image)?;
                    past.copies.push(Copy { manifest, at: token(Self::NAME, at)?, path: token(Self::NAME, path)? });
                }
                ("etcd-data", _) => {
                    let (at, path) = two()?;
                    past.etcd_data.push((token(Self::NAME, at)?, token(Self::NAME, path)?));
                }
                ("former", _) => {
                    let (release, folder) = two()?;
                    past.former.push((token(Self::NAME, release)?, token(Self::NAME, folder)?));
                }
                ("card", _) => {
                    let (at, path) = two()?;
                    past.card = Some((token(Self::NAME, at)?, token(Self::NAME, path)?, String::new()));
                }
                ("card-line", _) => {
                    let (_, _, text) = past.card.as_mut().ok_or_else(bad)?;
                    text.extend([rest, "\n"]);
                }
                ("snapshot", [bytes, at, path]) => {
                    let bytes = bytes.parse().map_err(|_| bad())?;
                    past.snapshots.push(Snapshot { path: token(Self::NAME, path)?, bytes, at: token(Self::NAME, at)? });
                }
                _ => return Err(bad()),
            }
        }
        Ok(past)
    }
}

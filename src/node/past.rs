//! What a node keeps of its past, and its static pods as their files are: enough to go back without the API server.

use std::time::Duration;

use super::{Operation, garbled, results};
use crate::failure::Cause;

/// Looks, and changes nothing.
#[derive(Clone, Debug, Default)]
pub struct LookBack {
    /// The folder of etcd's snapshots; empty: they are not looked for.
    pub snapshots: String,
}

/// A static pod as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `kube-apiserver`
    pub pod: String,
    /// With its registry and tag; `-` where the file names none.
    pub image: String,
}

/// A manifest that `kubeadm upgrade` replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub manifest: Manifest,
    /// `2026-11-22T12:04:00Z`
    pub at: String,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub path: String,
    pub bytes: u64,
    pub at: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    pub static_pods: Vec<Manifest>,
    pub copies: Vec<Copy>,
    /// kubeadm's copies of etcd's data: time and path.
    pub etcd_data: Vec<(String, String)>,
    /// Releases whose kubelet's configuration is kept, with the folder.
    pub former: Vec<(String, String)>,
    /// The newest restore card: time, path and text.
    pub card: Option<(String, String, String)>,
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
        vec![self.snapshots.clone()]
    }
    fn parse(&self, stdout: &str) -> Result<Past, Cause> {
        let mut past = Past::default();
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            let manifest = |pod: &str, image: &str| Manifest { pod: pod.to_owned(), image: image.to_owned() };
            // Paths come last: they may hold spaces.
            let words: Vec<&str> = rest.splitn(4, ' ').collect();
            let two = rest.split_once(' ').map(|(first, path)| (first.to_owned(), path.to_owned()));
            match (key, words.as_slice()) {
                ("static-pod", [pod, image]) => past.static_pods.push(manifest(pod, image)),
                ("manifest", [pod, image, at, path]) => {
                    past.copies.push(Copy { manifest: manifest(pod, image), at: (*at).into(), path: (*path).into() });
                }
                ("etcd-data", _) => past.etcd_data.push(two.ok_or_else(bad)?),
                ("former", _) => past.former.push(two.ok_or_else(bad)?),
                ("card", _) => {
                    let (at, path) = two.ok_or_else(bad)?;
                    past.card = Some((at, path, String::new()));
                }
                ("card-line", _) => {
                    let (_, _, text) = past.card.as_mut().ok_or_else(bad)?;
                    text.extend([rest, "\n"]);
                }
                ("snapshot", _) => {
                    let mut words = rest.splitn(3, ' ');
                    let (Some(bytes), Some(at), Some(path)) = (words.next(), words.next(), words.next()) else {
                        return Err(bad());
                    };
                    let bytes = bytes.parse().map_err(|_| bad())?;
                    past.snapshots.push(Snapshot { path: path.into(), bytes, at: at.into() });
                }
                _ => return Err(bad()),
            }
        }
        Ok(past)
    }
}

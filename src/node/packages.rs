//! What the lists offer, prefetch and kubeadm's own forecast: all that is done on a node before anything there changes.

use std::time::Duration;

use super::{MANAGER, OBJECTIONS, Operation, PACKAGES, RUNTIME, garbled, results, token};
use crate::failure::Cause;
use crate::plan::model::version::Version;
use crate::words::{Flag, ImageName, ImageTag, KubeadmCheck, PackageName, Revision};

/// The versions of a package that can be installed on the node, with their revisions, newest first.
#[derive(Clone, Debug)]
pub struct Available {
    /// One that this program knows by name.
    pub package: &'static str,
}

impl Operation for Available {
    const NAME: &'static str = "available";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = Vec<Revision>;

    fn script(&self) -> &'static str {
        include_str!("available.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER]
    }
    fn args(&self) -> Vec<String> {
        vec![self.package.to_owned()]
    }
    fn parse(&self, stdout: &str) -> Result<Vec<Revision>, Cause> {
        results(stdout)
            .map(|(key, rest)| match key {
                "available" => token(Self::NAME, rest),
                _ => Err(garbled(Self::NAME, key)),
            })
            .collect()
    }
}

/// Downloads the packages and images of the target, so that nothing is waited for while the node is drained.
///
/// # Errors
/// Refused: no such version, or the disk is full. Unreachable: a package or an image cannot be fetched.
#[derive(Clone, Debug)]
pub struct Prefetch {
    pub target: Version,
    /// Workers need only kube-proxy and pause.
    pub control_plane: bool,
    pub images: Images,
}

/// Which of kubeadm's images the cluster uses, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// The cluster's own registry (`imageRepository` of kubeadm's ClusterConfiguration), where it is not the default.
    pub repository: Option<ImageName>,
    pub coredns: ImageSource,
    pub etcd: ImageSource,
    /// By their names, those that it does without: it has no such addon, or etcd elsewhere.
    pub without: Vec<&'static str>,
}

/// What the ClusterConfiguration says of one image alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSource {
    pub repository: Option<ImageName>,
    pub tag: Option<ImageTag>,
}

/// What the node has now, for the upgrade to need no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefetched {
    pub packages: Vec<(PackageName, Revision)>,
    /// Images that were there already.
    pub present: Vec<ImageName>,
    pub pulled: Vec<ImageName>,
}

impl Operation for Prefetch {
    const NAME: &'static str = "prefetch";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(1800);
    type Output = Prefetched;

    fn script(&self) -> &'static str {
        include_str!("prefetch.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER, PACKAGES, RUNTIME]
    }
    fn args(&self) -> Vec<String> {
        fn text(word: Option<&impl ToString>) -> String {
            word.map_or_else(String::new, ToString::to_string)
        }
        let role = if self.control_plane { "control-plane" } else { "worker" };
        let Images { repository, coredns, etcd, without } = &self.images;
        let mut args = vec![self.target.to_string(), role.to_owned(), text(repository.as_ref())];
        args.extend([coredns, etcd].iter().flat_map(|from| [text(from.repository.as_ref()), text(from.tag.as_ref())]));
        args.extend(without.iter().map(|name| (*name).to_owned()));
        args
    }
    fn parse(&self, stdout: &str) -> Result<Prefetched, Cause> {
        let mut prefetched = Prefetched::default();
        for (key, rest) in results(stdout) {
            match (key, rest.split_once(' ')) {
                ("package", Some((name, revision))) => {
                    prefetched.packages.push((token(Self::NAME, name)?, token(Self::NAME, revision)?));
                }
                ("present", _) => prefetched.present.push(token(Self::NAME, rest)?),
                ("pulled", _) => prefetched.pulled.push(token(Self::NAME, rest)?),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        Ok(prefetched)
    }
}

/// `kubeadm upgrade plan TARGET -o json`. kubeadm makes a health Job in kube-system for it, which nothing else persists: it belongs
/// to the questions asked before anything changes, and needs no permit.
#[derive(Clone, Debug)]
pub struct KubeadmPlan {
    pub target: Version,
    /// The operator's extra flags for kubeadm.
    pub flags: Vec<Flag>,
}

/// kubeadm's word, which [`crate::plan::model::parse`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanText {
    /// kubeadm's stdout, untouched. Empty at target, and in some states that are not.
    pub json: String,
    /// The last lines of its stderr; where its preflight objects to something, those that say why.
    pub notes: Vec<String>,
    /// What that is: the names of its checks.
    pub objections: Vec<KubeadmCheck>,
}

impl Operation for KubeadmPlan {
    const NAME: &'static str = "kubeadm-plan";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(180);
    type Output = PlanText;

    fn script(&self) -> &'static str {
        include_str!("kubeadm-plan.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[OBJECTIONS]
    }
    fn args(&self) -> Vec<String> {
        std::iter::once(self.target.to_string()).chain(self.flags.iter().map(ToString::to_string)).collect()
    }
    fn parse(&self, stdout: &str) -> Result<PlanText, Cause> {
        let mut text = PlanText::default();
        for line in stdout.lines() {
            match line.split_once(' ') {
                Some(("note", note)) => text.notes.push(note.to_owned()),
                Some(("objects", check)) => text.objections.push(token(Self::NAME, check)?),
                _ => text.json.extend([line, "\n"]),
            }
        }
        text.json = text.json.trim().to_owned();
        Ok(text)
    }
}

//! Package sources, prefetch and kubeadm's own forecast: all that is done on a node before anything there changes.

use std::time::Duration;

use super::{APT, Operation, garbled, results};
use crate::failure::Cause;

/// Points the node at the repository of another minor. The new key and list are proved aside first: until they work, and offer the
/// target, the former repository stays in force. Afterwards there is one entry for the repository, whatever there was.
///
/// # Errors
/// Unreachable: the repository cannot be reached. Refused: its key is wrong, or it does not offer the target.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Before `/core:/stable:/…`, without the slash: `https://pkgs.k8s.io`.
    pub base_url: String,
    /// `1.36`
    pub minor: String,
    /// `1.36.3`
    pub target: String,
}

impl Operation for Repository {
    const NAME: &'static str = "repository";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(420);
    type Output = ();

    fn script(&self) -> &'static str {
        include_str!("repository.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[APT]
    }
    fn args(&self) -> Vec<String> {
        vec![self.base_url.trim_end_matches('/').to_owned(), self.minor.clone(), self.target.clone()]
    }
    fn parse(&self, _stdout: &str) -> Result<(), Cause> {
        Ok(())
    }
}

/// Refreshes the lists of the Kubernetes repository, and of nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Refresh;

impl Operation for Refresh {
    const NAME: &'static str = "refresh";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(300);
    type Output = ();

    fn script(&self) -> &'static str {
        include_str!("refresh.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[APT]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, _stdout: &str) -> Result<(), Cause> {
        Ok(())
    }
}

/// The versions of a package that can be installed on the node, with their revisions, newest first as apt lists them.
#[derive(Clone, Debug)]
pub struct Madison {
    pub package: String,
}

impl Operation for Madison {
    const NAME: &'static str = "madison";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = Vec<String>;

    fn script(&self) -> &'static str {
        include_str!("madison.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[APT]
    }
    fn args(&self) -> Vec<String> {
        vec![self.package.clone()]
    }
    fn parse(&self, stdout: &str) -> Result<Vec<String>, Cause> {
        results(stdout)
            .map(|(key, rest)| match key {
                "available" => Ok(rest.to_owned()),
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
    /// `1.36.3`
    pub target: String,
    /// Workers need only kube-proxy and pause.
    pub control_plane: bool,
    /// The cluster's own registry (`imageRepository` of kubeadm's ClusterConfiguration), where it is not the default.
    pub image_repository: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefetched {
    /// Name and exact revision.
    pub packages: Vec<(String, String)>,
    /// Images that were there already.
    pub present: Vec<String>,
    pub pulled: Vec<String>,
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
        &[APT]
    }
    fn args(&self) -> Vec<String> {
        let role = if self.control_plane { "control-plane" } else { "worker" };
        vec![self.target.clone(), role.to_owned(), self.image_repository.clone().unwrap_or_default()]
    }
    fn parse(&self, stdout: &str) -> Result<Prefetched, Cause> {
        let mut prefetched = Prefetched::default();
        for (key, rest) in results(stdout) {
            match (key, rest.split_once(' ')) {
                ("package", Some((name, revision))) => prefetched.packages.push((name.to_owned(), revision.to_owned())),
                ("present", _) => prefetched.present.push(rest.to_owned()),
                ("pulled", _) => prefetched.pulled.push(rest.to_owned()),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        Ok(prefetched)
    }
}

/// `kubeadm upgrade plan TARGET -o json`. kubeadm makes a health Job in kube-system for it, which nothing else persists: it belongs
/// to the questions asked before anything changes (design §6), and needs no permit.
#[derive(Clone, Debug)]
pub struct KubeadmPlan {
    /// `1.36.3`
    pub target: String,
    /// The operator's extra flags for kubeadm.
    pub flags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanText {
    /// kubeadm's stdout, untouched. Empty at target, and in some states that are not.
    pub json: String,
    /// The last lines of its stderr.
    pub notes: Vec<String>,
}

impl Operation for KubeadmPlan {
    const NAME: &'static str = "kubeadm-plan";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(180);
    type Output = PlanText;

    fn script(&self) -> &'static str {
        include_str!("kubeadm-plan.sh")
    }
    fn args(&self) -> Vec<String> {
        std::iter::once(self.target.clone()).chain(self.flags.iter().cloned()).collect()
    }
    fn parse(&self, stdout: &str) -> Result<PlanText, Cause> {
        let mut text = PlanText::default();
        for line in stdout.lines() {
            match line.strip_prefix("note ") {
                Some(note) => text.notes.push(note.to_owned()),
                None => {
                    text.json.push_str(line);
                    text.json.push('\n');
                }
            }
        }
        text.json = text.json.trim().to_owned();
        Ok(text)
    }
}

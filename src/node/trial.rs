//! The target's own kubelet and kubeadm, asked on a node before anything there changes whether they accept it.

use std::time::Duration;

use super::{FETCH_KEY, KEYRING, MANAGER, OBJECTIONS, Operation, PACKAGES, REPOSITORY, garbled, results, token};
use crate::failure::Cause;
use crate::packages::IN_USE;
use crate::plan::model::version::Version;
use crate::words::{self, Fingerprint, Flag, HostPath, KubeadmCheck, PackagesUrl};

/// Where a node's kubelet has its flags from.
const KUBELET_FLAGS: &str = include_str!("kubelet-flags.sh");

/// Downloads the target's packages of kubelet and kubeadm into a folder of ours, and asks what is in them. Neither the sources, the lists nor the
/// packages of the node are touched; the folder goes again, and with it all that was in it. The kubelet only reads its flags; nothing is started.
///
/// # Errors
/// Unreachable: the repository, or the API server. Refused: the repository's key is another than before; a binary does not run there, or kubeadm's
/// dry run fails. Hold: the repository does not offer the target.
#[derive(Clone, Debug)]
pub struct Trial {
    pub packages: PackagesUrl,
    pub target: Version,
    /// Keys that somebody has acknowledged.
    pub keys: Vec<Fingerprint>,
    /// `kubeadm upgrade apply` is tried there, elsewhere `kubeadm upgrade node`.
    pub first_control_plane: bool,
    /// The operator's extra flags for either.
    pub flags: Vec<Flag>,
}

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// None where it cannot be told.
    pub cgroup: Option<Cgroup>,
    /// A flag or a drop-in of the kubelet's configuration allows cgroup v1.
    pub allows_cgroup_v1: bool,
    /// Feature gates that flags of its kubelet set.
    pub gates: Vec<KubeadmCheck>,
    /// Flags of this node's kubelet that the target's does not know, or does not take so.
    pub refused: Vec<RefusedFlag>,
    /// What kubeadm's preflight objects to, and the lines that say why.
    pub objections: Vec<KubeadmCheck>,
    pub notes: Vec<String>,
}

/// The version of the kernel's control groups that the node's system is set up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroup {
    V1,
    V2,
}

/// A flag that the target's kubelet does not start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFlag {
    pub name: Flag,
    /// The kubelet's own words.
    pub says: String,
    /// Empty where no file is known to set it.
    pub set_at: Vec<SetAt>,
}

/// A line of a file on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAt {
    pub file: HostPath,
    pub line: u32,
}

impl Operation for Trial {
    const NAME: &'static str = "trial";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(600);
    type Output = Tried;

    fn script(&self) -> &'static str {
        include_str!("trial.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER, REPOSITORY, KEYRING, FETCH_KEY, PACKAGES, OBJECTIONS, KUBELET_FLAGS]
    }
    fn args(&self) -> Vec<String> {
        let role = if self.first_control_plane { "first" } else { "other" };
        let minor = self.target.series();
        let url = IN_USE.repository_of(&self.packages, &minor);
        let what = [url, IN_USE.pattern(&self.packages), minor, self.target.to_string(), role.to_owned()];
        let keys = self.keys.iter().map(ToString::to_string);
        let flags = self.flags.iter().map(ToString::to_string);
        what.into_iter().chain(keys).chain(["--".to_owned()]).chain(flags).collect()
    }
    fn parse(&self, stdout: &str) -> Result<Tried, Cause> {
        let mut tried = Tried::default();
        let mut ended = false;
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            match (key, rest) {
                ("cgroup", "1") => tried.cgroup = Some(Cgroup::V1),
                ("cgroup", "2") => tried.cgroup = Some(Cgroup::V2),
                ("gate", _) => tried.gates.push(token(Self::NAME, rest)?),
                ("allows-cgroup-1", "") => tried.allows_cgroup_v1 = true,
                ("refuses", _) => {
                    let (name, says) = rest.split_once(' ').ok_or_else(bad)?;
                    let says = words::line(says).to_string();
                    tried.refused.push(RefusedFlag { name: token(Self::NAME, name)?, says, set_at: Vec::new() });
                }
                ("set", _) => {
                    let (line, file) = rest.split_once(' ').ok_or_else(bad)?;
                    let at = SetAt { file: token(Self::NAME, file)?, line: line.parse().map_err(|_| bad())? };
                    tried.refused.last_mut().ok_or_else(bad)?.set_at.push(at);
                }
                ("objects", _) => tried.objections.push(token(Self::NAME, rest)?),
                ("note", _) => tried.notes.push(rest.to_owned()),
                ("tried", "") => ended = true,
                _ => return Err(bad()),
            }
        }
        // An answer without its end would be an acceptance.
        if ended { Ok(tried) } else { Err(garbled(Self::NAME, "it does not come to its end")) }
    }
}

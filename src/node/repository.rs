//! The source of Kubernetes' packages on a node, and the keys that prove it.

use std::time::Duration;

use jiff::Timestamp;

use super::{FETCH_KEY, KEYRING, MANAGER, Operation, PACKAGES, REPOSITORY, garbled, results, token};
use crate::failure::Cause;
use crate::packages::IN_USE;
use crate::plan::model::version::Version;
use crate::words::{Fingerprint, PackagesUrl, SourceUrl};

/// A key that proves a Kubernetes repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub fingerprint: Fingerprint,
    /// From then on nothing that it signs is believed; None: it has no end.
    pub ends: Option<Timestamp>,
}

impl SigningKey {
    /// `FINGERPRINT SECONDS`, or `FINGERPRINT -`.
    pub(super) fn parse(name: &str, line: &str) -> Result<Self, Cause> {
        let bad = || garbled(name, format_args!("key {line}"));
        let (fingerprint, end) = line.split_once(' ').ok_or_else(bad)?;
        let ends = match end {
            "-" => None,
            end => Some(end.parse().ok().and_then(|end| Timestamp::from_second(end).ok()).ok_or_else(bad)?),
        };
        Ok(SigningKey { fingerprint: token(name, fingerprint)?, ends })
    }
}

/// Points the node at the repository of another minor. The new key and list are proved aside first: until they work, and offer the
/// target, the former repository stays in force. Afterwards there is one entry for the repository, whatever there was.
///
/// A key that is not among those in force there is believed only where the settings name it: whoever serves that URL would else decide, at
/// each minor version, whose packages are installed as root.
///
/// # Errors
/// Unreachable: the repository cannot be reached. Refused: its key is wrong, or another than before. Hold: it does not offer the target, as a
/// mirror that lags behind, or that lacks the node's architecture.
#[derive(Clone, Debug)]
pub struct Repository {
    pub packages: PackagesUrl,
    pub target: Version,
    /// Keys that somebody has acknowledged.
    pub keys: Vec<Fingerprint>,
}

impl Operation for Repository {
    const NAME: &'static str = "repository";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(420);
    /// The keys that are in force there now.
    type Output = Vec<SigningKey>;

    fn script(&self) -> &'static str {
        include_str!("repository.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER, REPOSITORY, KEYRING, FETCH_KEY, PACKAGES]
    }
    fn args(&self) -> Vec<String> {
        let minor = self.target.series();
        let url = IN_USE.repository_of(&self.packages, &minor);
        let what = [url, IN_USE.pattern(&self.packages), minor, self.target.to_string()];
        what.into_iter().chain(self.keys.iter().map(ToString::to_string)).collect()
    }
    fn parse(&self, stdout: &str) -> Result<Vec<SigningKey>, Cause> {
        results(stdout)
            .map(|(key, rest)| match key {
                "key" => SigningKey::parse(Self::NAME, rest),
                _ => Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            })
            .collect()
    }
}

/// How a refresh of the lists ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    Done,
    /// The key in force proves the repository no more: it has ended, or it is another than the repository's. The lists are the former ones.
    KeyUnfit {
        /// Those in force, as far as they can be read.
        keys: Vec<SigningKey>,
        /// Where the source leads that they do not prove.
        of: Vec<SourceUrl>,
    },
}

/// Refreshes the lists of the Kubernetes repository, and of nothing else. Where a node has none that is known, what else offers kubeadm there is that.
#[derive(Clone, Debug, Default)]
pub struct Refresh {
    /// Where the settings have the repository, if not in upstream's layout.
    pub packages: Option<PackagesUrl>,
}

impl Operation for Refresh {
    const NAME: &'static str = "refresh";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(300);
    type Output = Refreshed;

    fn script(&self) -> &'static str {
        include_str!("refresh.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER, REPOSITORY, KEYRING]
    }
    fn args(&self) -> Vec<String> {
        self.packages.iter().map(|packages| IN_USE.pattern(packages)).collect()
    }
    fn parse(&self, stdout: &str) -> Result<Refreshed, Cause> {
        let (mut keys, mut of) = (Vec::new(), Vec::new());
        for (key, rest) in results(stdout) {
            match (key, rest) {
                ("key", _) => keys.push(SigningKey::parse(Self::NAME, rest)?),
                ("unfit", _) => of.push(token(Self::NAME, rest)?),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        Ok(if of.is_empty() { Refreshed::Done } else { Refreshed::KeyUnfit { keys, of } })
    }
}

/// Refreshes the lists of every source of the node: that of its distribution, too, which other packages come from.
#[derive(Clone, Copy, Debug)]
pub struct RefreshAll;

impl Operation for RefreshAll {
    const NAME: &'static str = "refresh-all";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(300);
    type Output = ();

    fn script(&self) -> &'static str {
        include_str!("refresh-all.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[MANAGER]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<(), Cause> {
        results(stdout).next().map_or(Ok(()), |(key, _)| Err(garbled(Self::NAME, key)))
    }
}

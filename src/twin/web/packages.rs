//! The package index: which releases there are, and from when on.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::State;
use super::{How, Service};
use crate::plan::model::version::Version;

/// What every release has had so far.
const REVISION: &str = "1.1";
/// The packages that come with each release.
const NAMES: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];

#[derive(Clone, Default)]
pub struct Packages {
    /// From when on a release is there, with its revision.
    releases: Arc<BTreeMap<Version, (Timestamp, String)>>,
    /// Who signs a minor version's repository, where that is not who signs all of upstream's: the key's fingerprint.
    pub keys: Arc<BTreeMap<u32, String>>,
    /// Where the repository of a minor version is below their address, if not as upstream has it: `/k8s-{minor}/deb`.
    pub layout: Option<String>,
    /// The end of every key, as the repositories give it now.
    pub keys_end: Option<Timestamp>,
}

/// The key of all of upstream's repositories.
pub const UPSTREAM_KEY: &str = "DE15B14486CD377B9E876E1A234654DA9A296436";

impl Packages {
    /// A release appears at `from`.
    pub fn release(&mut self, version: Version, from: Timestamp) {
        self.revised(version, REVISION, from);
    }

    pub fn revised(&mut self, version: Version, revision: &str, from: Timestamp) {
        Arc::make_mut(&mut self.releases).insert(version, (from, revision.to_owned()));
    }

    /// The fingerprint of the key that v1.`minor` is signed by.
    pub fn key(&self, minor: u32) -> &str {
        self.keys.get(&minor).map_or(UPSTREAM_KEY, String::as_str)
    }

    /// The newest release that is there at `now`.
    pub fn newest(&self, now: Timestamp) -> Option<Version> {
        self.releases.iter().rfind(|(_, (from, _))| *from <= now).map(|(version, _)| *version)
    }

    /// Of which minor version the repository at a path is.
    fn minor_of(&self, path: &str) -> Option<u32> {
        let layout = self.layout.as_deref().unwrap_or("/core:/stable:/v{minor}/deb");
        let (before, _) = layout.split_once("{minor}")?;
        let number = path.strip_prefix(before)?.strip_prefix("1.")?;
        let minor = number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
        (layout.replace("{minor}", &format!("1.{minor}")) == path).then_some(minor)
    }

    /// What is there of v1.`minor` at `now`, oldest first, as package versions: `1.34.7-1.1`.
    fn of(&self, minor: u32, now: Timestamp) -> Vec<String> {
        self.releases
            .iter()
            .filter(|(version, (from, _))| (version.major, version.minor) == (1, minor) && *from <= now)
            .map(|(version, (_, revision))| format!("{version}-{revision}"))
            .collect()
    }
}

/// What the repository of v1.`minor` offers now, oldest first, as package versions: `1.34.7-1.1`; None if it has no such repository. The
/// error: it does not answer, or not with packages.
pub fn offered(state: &State, minor: u32) -> Result<Option<Vec<String>>, String> {
    match state.web.trouble(Service::Packages, state.now()) {
        None => {
            let there = state.web.packages.of(minor, state.now());
            Ok((!there.is_empty()).then_some(there))
        }
        Some(How::Refused) => Err("Could not connect to the repository (connection refused)".to_owned()),
        Some(How::Silent) => Err("Connection failed: timed out".to_owned()),
        Some(How::Nonsense) => Err("Failed to fetch: what the repository gives is no index".to_owned()),
        Some(How::Status(code)) => Err(format!("Failed to fetch: the repository answers {code}")),
    }
}

pub(super) fn serve(state: &State, method: &str, path: &str) -> Option<(u16, Vec<u8>)> {
    let minor = state.web.packages.minor_of(path.strip_suffix("/Packages")?)?;
    if method != "GET" {
        return None;
    }
    let there = state.web.packages.of(minor, state.now());
    if there.is_empty() {
        return Some((403, b"<Error><Code>AccessDenied</Code></Error>".to_vec()));
    }
    let paragraph = |(name, version): (&str, &String)| format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
    let paragraphs: Vec<String> = there.iter().flat_map(|version| NAMES.map(|name| paragraph((name, version)))).collect();
    Some((200, paragraphs.join("\n").into_bytes()))
}

//! What kubeadm and the backup print, and what image names and runtimes say: as values. What cannot be read is an error, never "none".

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::answer::Verdict;
use super::version::Version;
use crate::failure::Cause;
use crate::words::{KubeadmCheck, command};

/// `kubeadm upgrade plan TARGET -o json` (output.kubeadm.k8s.io).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradePlan {
    /// Empty output: kubeadm sees nothing to do for the API server. That does not prove that the cluster is at the target.
    Empty,
    /// The API servers differ already: kubeadm plans nothing before they agree.
    MixedApiServers,
    Available {
        components: Vec<ComponentPlan>,
        /// Groups of component configs that kubeadm cannot convert.
        manual: Vec<String>,
    },
}

/// A component, in the JSON of `kubeadm upgrade plan`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentPlan {
    pub name: String,
    #[serde(default)]
    pub current_version: String,
    pub new_version: String,
    pub node_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    kind: String,
    #[serde(default)]
    available_upgrades: Vec<AvailableUpgrade>,
    #[serde(default)]
    config_versions: Vec<ConfigVersion>,
}

#[derive(Deserialize)]
struct AvailableUpgrade {
    components: Vec<ComponentPlan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigVersion {
    group: String,
    #[serde(default)]
    manual_upgrade_required: bool,
}

/// Reads what `kubeadm upgrade plan TARGET -o json` printed and ended well with.
pub fn upgrade_plan(stdout: &str, stderr: &str) -> Result<UpgradePlan, Cause> {
    let unreadable = |why: String| {
        Cause::step(format!("kubeadm upgrade plan printed what cannot be read: {why}")).detail(last_lines(stdout, 3))
    };
    if stdout.trim().is_empty() {
        let mixed = stderr.contains("Different API server versions in the cluster were discovered");
        return Ok(if mixed { UpgradePlan::MixedApiServers } else { UpgradePlan::Empty });
    }
    let json = stdout.find('{').map(|start| &stdout[start..]).ok_or_else(|| unreadable("no JSON".to_owned()))?;
    let first = serde_json::Deserializer::from_str(json).into_iter::<Document>().next();
    let document = match first {
        Some(Ok(document)) if document.kind == "UpgradePlan" => document,
        Some(Ok(document)) => return Err(unreadable(format!("kind {}", document.kind))),
        Some(Err(error)) => return Err(unreadable(error.to_string())),
        None => return Err(unreadable("no JSON".to_owned())),
    };
    let components = document.available_upgrades.into_iter().flat_map(|upgrade| upgrade.components).collect();
    let manual = document.config_versions.into_iter().filter(|c| c.manual_upgrade_required).map(|c| c.group).collect();
    Ok(UpgradePlan::Available { components, manual })
}

/// Refuses while kubeadm's preflight objects to something; `notes` say why.
pub fn no_objections(checks: &[KubeadmCheck], notes: &[String]) -> Result<(), Cause> {
    if checks.is_empty() {
        return Ok(());
    }
    let names = checks.iter().map(|check| check.as_str()).collect::<Vec<_>>().join(",");
    Err(Cause::refused(format!("kubeadm's own preflight objects: {names}"))
        .detail(notes.iter().map(|line| line.trim().to_owned()))
        .next(command!(
            "k8s-upgrade --set kubeadm-flags=--ignore-preflight-errors={} preflight --target X.Y.Z --dry-run    # if it cannot be mended and does no harm here; then the same in the settings",
            names
        )))
}

/// etcd that may precede 3.6: before it, a member can lose its place when it is upgraded.
const ETCD_BEFORE_3_6: Version = Version::new(3, 5, 26);

/// Whether kubeadm agrees to go to `target`. `Empty` and `MixedApiServers` pass: the facts (images, kubelets) have decided already, and a
/// half-done cluster looks like that.
pub fn plan_agrees(plan: &UpgradePlan, target: Version) -> Verdict {
    let UpgradePlan::Available { components, manual } = plan else { return Verdict::Pass };
    let mut reasons: Vec<_> = manual
        .iter()
        .map(|group| format!("kubeadm cannot convert the configuration of {group}: it must be upgraded by hand first"))
        .collect();
    let apiservers: Vec<_> = components.iter().filter(|c| c.name == "kube-apiserver").collect();
    if apiservers.is_empty() {
        reasons.push("kubeadm's plan names no kube-apiserver".to_owned());
    }
    for other in apiservers.iter().filter(|c| c.new_version.parse() != Ok(target)) {
        reasons.push(format!("kubeadm would go to {}, not to {target}", other.new_version));
    }
    for etcd in components.iter().filter(|c| c.name == "etcd") {
        if let (Some(current), Some(new)) = (leading_version(&etcd.current_version), leading_version(&etcd.new_version))
            && current < ETCD_BEFORE_3_6
            && new >= Version::new(3, 6, 0)
        {
            let node = etcd.node_name.as_deref().unwrap_or("etcd");
            reasons.push(format!("{node}: etcd {current} would go to {new}, but must be at {ETCD_BEFORE_3_6} or newer first"));
        }
    }
    if reasons.is_empty() { Verdict::Pass } else { Verdict::Refuse(reasons) }
}

/// Where images come from unless a cluster's configuration says otherwise.
const USUAL_REPOSITORY: &str = "registry.k8s.io";

/// What kubeadm's ClusterConfiguration says of images; None where it leaves them to kubeadm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredImages {
    pub repository: Option<String>,
    /// Repository and tag of CoreDNS alone.
    pub coredns: (Option<String>, Option<String>),
    pub etcd: (Option<String>, Option<String>),
    /// By their names, the images that it does without.
    pub without: Vec<&'static str>,
}

/// Where the cluster's images come from, and which of kubeadm's it does not use.
pub fn images(cluster_configuration: &str) -> Result<ConfiguredImages, Cause> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Configuration {
        image_repository: Option<String>,
        dns: Option<Part>,
        proxy: Option<Part>,
        etcd: Option<Etcd>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Part {
        disabled: Option<bool>,
        image_repository: Option<String>,
        image_tag: Option<String>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Etcd {
        local: Option<Part>,
        external: Option<serde::de::IgnoredAny>,
    }
    let read: Configuration = serde_saphyr::from_str(cluster_configuration)
        .map_err(|error| Cause::refused("kubeadm's ClusterConfiguration cannot be read").detail(error.to_string().lines()))?;
    let (dns, proxy, etcd) = (read.dns.unwrap_or_default(), read.proxy.unwrap_or_default(), read.etcd.unwrap_or_default());
    let local = etcd.local.unwrap_or_default();
    let without = [
        ("coredns", dns.disabled == Some(true)),
        ("kube-proxy", proxy.disabled == Some(true)),
        ("etcd", etcd.external.is_some()),
    ];
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(ConfiguredImages {
        repository: given(read.image_repository).filter(|repository| repository != USUAL_REPOSITORY),
        coredns: (given(dns.image_repository), given(dns.image_tag)),
        etcd: (given(local.image_repository), given(local.image_tag)),
        without: without.into_iter().filter(|(_, without)| *without).map(|(name, _)| name).collect(),
    })
}

/// The snapshot that a backup's log speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub path: String,
    pub bytes: u64,
}

/// Smaller than this (bytes) is no snapshot of a cluster.
const SMALLEST_SNAPSHOT: u64 = 1024;

/// Finds the last `Backup done: /backup/etcd-….db (4575264 bytes)` of a backup's log. Refuses a log without it, and a snapshot that is too
/// small to be one.
pub fn backup_done(log: &str) -> Result<Snapshot, Cause> {
    let Some(found) = log.lines().rev().find_map(|line| {
        let (path, size) = line.split_once("Backup done: ")?.1.trim().rsplit_once(" (")?;
        let bytes = size.strip_suffix(" bytes)")?.parse().ok()?;
        (!path.is_empty()).then(|| Snapshot { path: path.to_owned(), bytes })
    }) else {
        return Err(Cause::refused("the backup's log has no line \"Backup done: PATH (N bytes)\"").detail(last_lines(log, 3)));
    };
    if found.bytes < SMALLEST_SNAPSHOT {
        let what =
            format!("the etcd snapshot {} has only {} bytes (at least {SMALLEST_SNAPSHOT} wanted)", found.path, found.bytes);
        return Err(Cause::refused(what).detail(last_lines(log, 3)));
    }
    Ok(found)
}

/// The version in an image's tag: `registry.k8s.io/kube-apiserver:v1.36.3`, a digest behind it or not. None where the tag is no release.
pub fn image_version(image: &str) -> Option<Version> {
    tag(image)?.parse().ok()
}

fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
    Some(tag)
}

/// The container's exit code out of what a Job's Failed condition says of its pod failure policy.
pub fn exit_code(message: &str) -> Option<i32> {
    message.split_once(" failed with exit code ")?.1.split(' ').next()?.parse().ok()
}

/// containerd's version in a node's runtime: 1.6.20 of `containerd://1.6.20~ds1`. None for another runtime, and for a pre-release.
pub fn containerd(runtime: &str) -> Option<Version> {
    upstream(runtime.strip_prefix("containerd://")?)
}

/// The release that a distribution's package is made of: 2.1.4 of `5:2.1.4-1~debian.12~bookworm`. None for a pre-release.
pub fn upstream(revision: &str) -> Option<Version> {
    let (_, text) = revision.split_once(':').unwrap_or(("", revision));
    let early = ["-alpha", "-beta", "-rc", "~alpha", "~beta", "~rc"].iter().any(|word| text.contains(word));
    leading_version(text).filter(|_| !early)
}

/// The release that a text begins with, whatever suffix follows.
fn leading_version(text: &str) -> Option<Version> {
    static LEADING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^v?\d+\.\d+\.\d+").ok());
    LEADING.as_ref()?.find(text)?.as_str().parse().ok()
}

fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(ToString::to_string).collect()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

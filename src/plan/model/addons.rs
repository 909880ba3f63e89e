//! The owner's word on addons: how far the cluster may go while an addon runs at a version; and what an image says of the addon in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::version::Version;
use crate::words::{AddonName, ImageName};

/// Addons that a matrix names, and versions of each.
const MOST: usize = 100;

/// Numbers of a version from the left, one to three: `1`, `1.18`, `1.18.3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(Vec<u32>);

impl Release {
    /// Whether the other is one of these: `1.18.3` is of `1.18`.
    fn covers(&self, other: &Release) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Out of a tag: `v1.18.3`, `1.7.1-flannel1`, `3.30.1-alpine`. Of a tag with more numbers, the first three.
    fn of_tag(tag: &str) -> Option<Release> {
        let bare = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
        // What follows belongs to it: `1.18rc1` is another version than 1.18.
        let (numbers, rest) = bare.split_at(end);
        let ends = rest.is_empty() || rest.starts_with(['-', '_']);
        let numbers = numbers.split('.').take(3).map(number).collect::<Option<Vec<_>>>()?;
        ends.then_some(Release(numbers))
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl FromStr for Release {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split('.').map(number).collect::<Option<Vec<_>>>().filter(|numbers| numbers.len() <= 3);
        let read = numbers.map(Release).filter(|release| release.to_string() == text);
        read.ok_or_else(|| format!("{text:?} is no version of an addon: up to three numbers are wanted, for example \"1.18\""))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
    }
}

/// The highest minor version of Kubernetes: `<=1.35`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    major: u32,
    minor: u32,
}

impl Limit {
    /// Whether a release lies at or below.
    pub fn allows(self, release: Version) -> bool {
        (release.major, release.minor) <= (self.major, self.minor)
    }

    /// `1.35`, for people.
    pub fn series(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl FromStr for Limit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.strip_prefix("<=").and_then(|minor| minor.trim_start().split_once('.'));
        let numbers = read.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let (major, minor) = numbers.ok_or_else(|| {
            format!("{text:?} does not say how far Kubernetes may go: <= and a minor version is wanted, for example \"<=1.35\"")
        })?;
        Ok(Limit { major, minor })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<={}", self.series())
    }
}

/// Of each addon: at which of its versions Kubernetes may go how far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Addons(BTreeMap<AddonName, BTreeMap<Release, Limit>>);

/// As the settings have it.
type Written = BTreeMap<String, BTreeMap<String, String>>;

impl Addons {
    /// Whether nothing is said of any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &AddonName> {
        self.0.keys()
    }

    /// What is said of an addon at a version: by the row that names most of its numbers. None: nothing.
    pub fn limit(&self, addon: &AddonName, release: &Release) -> Option<Limit> {
        let rows = self.0.get(addon)?.iter().filter(|(row, _)| row.covers(release));
        rows.max_by_key(|(row, _)| row.0.len()).map(|(_, limit)| *limit)
    }

    /// The versions of which something is said: `1.18, 1.19`.
    pub fn listed(&self, addon: &AddonName) -> String {
        let rows = self.0.get(addon).into_iter().flat_map(BTreeMap::keys);
        rows.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl TryFrom<Written> for Addons {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        if written.len() > MOST {
            return Err(format!("{MOST} addons at most are wanted"));
        }
        let mut addons = BTreeMap::new();
        for (name, rows) in written {
            let name: AddonName = name.parse().map_err(|error| format!("{error}"))?;
            if rows.is_empty() || rows.len() > MOST {
                return Err(format!("{name}: its versions are wanted, {MOST} at most, for example {{\"1.18\": \"<=1.35\"}}"));
            }
            let mut of_addon = BTreeMap::new();
            for (release, limit) in rows {
                let row = release.parse().and_then(|release: Release| Ok((release, limit.parse::<Limit>()?)));
                let (release, limit) = row.map_err(|why| format!("{name}: {why}"))?;
                of_addon.insert(release, limit);
            }
            addons.insert(name, of_addon);
        }
        Ok(Addons(addons))
    }
}

impl From<Addons> for Written {
    fn from(addons: Addons) -> Self {
        let rows =
            |rows: BTreeMap<Release, Limit>| rows.iter().map(|(row, limit)| (row.to_string(), limit.to_string())).collect();
        addons.0.into_iter().map(|(name, of_addon)| (name.to_string(), rows(of_addon))).collect()
    }
}

/// An image, as far as it tells of an addon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The parts of its path, without the registry.
    path: Vec<String>,
    /// None: its tag is no version, or it has none.
    pub release: Option<Release>,
}

/// How well an image fits an addon's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It lies in a folder of that name: `docker.io/calico/node` for calico.
    Folder,
    /// Its path ends so: `quay.io/cilium/cilium` for cilium, `docker.io/calico/node` for calico/node.
    Name,
}

impl Image {
    /// Reads what a workload names.
    pub fn read(image: &ImageName) -> Self {
        let named = image.split('@').next().unwrap_or_default();
        // A colon before the last slash is a port's.
        let name_from = named.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match named[name_from..].find(':') {
            Some(colon) => (&named[..name_from + colon], Some(&named[name_from + colon + 1..])),
            None => (named, None),
        };
        let path = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
            _ => path,
        };
        Image { path: path.split('/').map(str::to_owned).collect(), release: tag.and_then(Release::of_tag) }
    }

    /// Whether it is of this addon; None: it is not.
    pub fn fit(&self, addon: &AddonName) -> Option<Fit> {
        let name: Vec<&str> = addon.split('/').collect();
        if self.path.ends_with(&name.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()) {
            return Some(Fit::Name);
        }
        let folders = &self.path[..self.path.len().saturating_sub(1)];
        (name.len() == 1 && folders.iter().any(|folder| folder == name[0])).then_some(Fit::Folder)
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn image(text: &str) -> Image {
        Image::read(&text.parse().unwrap())
    }

    #[test]
    fn an_image_tells_the_version_of_its_addon() {
        for (text, release) in [
            ("quay.io/cilium/cilium:v1.18.3@sha256:00ff", Some("1.18.3")),
            ("docker.io/calico/node:v3.30.1", Some("3.30.1")),
            ("r:5000/flannel/flannel:v0.27", Some("0.27")),
            ("coredns:1.14.6-alpine", Some("1.14.6")),
            ("a:1.2.3.4", Some("1.2.3")),
            ("a:7", Some("7")),
            ("r:5000/a", None),
            ("quay.io/cilium/cilium@sha256:00ff", None),
            ("a:latest", None),
            ("a:v", None),
            ("a:1..2", None),
            ("a:1.18rc1", None),
            ("a:main-1.18", None),
            ("a:12345678901", None),
        ] {
            assert_eq!(image(text).release.map(|release| release.to_string()).as_deref(), release, "{text}");
        }
    }

    #[test]
    fn an_image_is_of_the_addon_that_its_path_names() {
        for (text, addon, fit) in [
            ("quay.io/cilium/cilium:v1", "cilium", Some(Fit::Name)),
            ("cilium:v1", "cilium", Some(Fit::Name)),
            ("quay.io/cilium/cilium-envoy:v1", "cilium", Some(Fit::Folder)),
            ("docker.io/calico/node:v3", "calico", Some(Fit::Folder)),
            ("docker.io/calico/node:v3", "calico/node", Some(Fit::Name)),
            ("docker.io/calico/node:v3", "node", Some(Fit::Name)),
            ("docker.io/calico/cni:v3", "calico/node", None),
            ("quay.io/ciliumx/x:v1", "cilium", None),
            ("quay.io/x/cilium-operator:v1", "cilium", None),
            ("cilium.io/x:v1", "cilium.io", None),
            ("localhost/x:v1", "localhost", None),
        ] {
            assert_eq!(image(text).fit(&addon.parse().unwrap()), fit, "{text} {addon}");
        }
    }

    fn read(value: Value) -> Result<Addons, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_row_that_names_most_decides() {
        let addons = read(json!({ "cilium": { "1": "<=1.33", "1.18": "<=1.35", "1.18.3": "<=1.36" } })).unwrap();
        let cilium = "cilium".parse().unwrap();
        for (release, limit) in [
            ("1.17.2", Some("1.33")),
            ("1.18.0", Some("1.35")),
            ("1.18.3", Some("1.36")),
            ("1.180.0", Some("1.33")),
            ("2.0", None),
        ] {
            let found = addons.limit(&cilium, &release.parse().unwrap()).map(Limit::series);
            assert_eq!(found.as_deref(), limit, "{release}");
        }
        assert_eq!(addons.listed(&cilium), "1, 1.18, 1.18.3");
        let limit: Limit = "<=1.35".parse().unwrap();
        let allows = [(1, 35, 9), (1, 36, 0), (1, 9, 0), (2, 0, 0)].map(|(x, y, z)| limit.allows(Version::new(x, y, z)));
        assert_eq!(allows, [true, false, true, false]);
    }

    #[test]
    fn what_is_no_matrix_is_told_with_the_addon() {
        for (value, wanted) in [
            (json!({ "cilium": {} }), "cilium: its versions are wanted"),
            (json!({ "cilium": { "v1.18": "<=1.35" } }), "cilium: \"v1.18\" is no version of an addon"),
            (json!({ "cilium": { "1.18.x": "<=1.35" } }), "cilium: \"1.18.x\" is no version"),
            (json!({ "cilium": { "1.2.3.4": "<=1.35" } }), "cilium: \"1.2.3.4\" is no version"),
            (json!({ "cilium": { "01": "<=1.35" } }), "cilium: \"01\" is no version"),
            (json!({ "cilium": { "1.18": "1.35" } }), "cilium: \"1.35\" does not say how far Kubernetes may go"),
            (json!({ "cilium": { "1.18": ">=1.35" } }), "cilium: \">=1.35\" does not say"),
            (json!({ "cilium": { "1.18": "<=1.35.1" } }), "cilium: \"<=1.35.1\" does not say"),
            (json!({ "Cilium": { "1.18": "<=1.35" } }), "\"Cilium\" is no addon"),
            (json!({ "cilium": "<=1.35" }), "invalid type"),
            (json!({ "cilium": { "1.18": 1.35 } }), "invalid type"),
        ] {
            let why = read(value.clone()).unwrap_err();
            assert!(why.contains(wanted), "{value}: {why}");
        }
        let many: Written = (0..=MOST).map(|i| (format!("a{i}"), [("1".into(), "<=1.35".into())].into())).collect();
        assert!(Addons::try_from(many).unwrap_err().contains("at most"));
    }
}

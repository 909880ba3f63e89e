//! The package sources of a node: whether one has to be changed for a target, and what is made of sources that nobody knows.

use std::collections::BTreeMap;

use crate::failure::Cause;
use crate::packages::{IN_USE, same};
use crate::plan::model::version::Version;
use crate::words::{HostPath, PackagesUrl, SourceUrl};

/// What a node has.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// The minor version of each Kubernetes repository that its sources point at.
    pub minors: Vec<&'a str>,
    /// Other sources that offer kubeadm.
    pub strangers: Vec<(&'a SourceUrl, Option<&'a HostPath>)>,
    /// The version of its kubeadm package.
    pub kubeadm: Option<&'a str>,
}

impl Sources<'_> {
    /// It is of that minor version: by its sources, or, where those are unknown, by what was installed from them.
    pub fn are_of(&self, minor: &str) -> bool {
        self.minors.contains(&minor) || self.is_strange_at(minor)
    }

    /// None has to be changed.
    pub fn stay(&self, minor: &str) -> bool {
        matches!(self.minors.as_slice(), [only] if *only == minor) || self.is_strange_at(minor)
    }

    /// Whatever its sources are, kubeadm came from them, in this minor version.
    fn is_strange_at(&self, minor: &str) -> bool {
        let series = self.kubeadm.and_then(|version| version.strip_prefix(minor));
        self.minors.is_empty() && !self.strangers.is_empty() && series.is_some_and(|rest| rest.starts_with('.'))
    }

    /// A source would have to be changed, and beside it one would be left that offers kubeadm as well: the node would then install whichever is
    /// newer. None: there is no such.
    pub fn strangers_in_the_way(&self, target: Version, setting: &PackagesUrl) -> Option<Cause> {
        let minor = target.series();
        if self.strangers.is_empty() || self.stay(&minor) {
            return None;
        }
        let repository = IN_USE.repository_of(setting, &minor);
        let what =
            "kubeadm comes from a package source that k8s-upgrade does not know, and so cannot point to another minor version";
        let mut cause = Cause::refused(what);
        for (url, file) in &self.strangers {
            cause.detail.push(format!("{}: {url}", file.map_or("a file that cannot be told", |file| file.as_str())));
        }
        cause.detail.push(format!("packages-url would have {repository}, beside it"));
        // No word of the node: people paste these lines.
        for (url, _) in &self.strangers {
            let set = match self.kubeadm.and_then(series_of).and_then(|from| IN_USE.setting_for(url, &from)) {
                Some(setting) => format!("set packages-url: {setting} in the settings    # if that is right"),
                None => "set packages-url: https://…{minor}… in the settings    # its URL, with {minor} for the minor version"
                    .to_owned(),
            };
            cause.next.push(set.into());
        }
        cause.next.push(format!("or take it out on the node    # if {repository} is right").into());
        Some(cause)
    }
}

/// `1.35` of `1.35.4-1.1`.
fn series_of(revision: &str) -> Option<String> {
    let version: Version = revision.split('-').next()?.parse().ok()?;
    Some(version.series())
}

/// A key is fetched from where the settings have the repository, and then this is the node's only source: that is right only where it is its
/// source already. `of`: where the source leads whose key has ended.
pub fn renewable(of: &[SourceUrl], target: Version, setting: &PackagesUrl) -> Result<(), Cause> {
    let minor = target.series();
    let repository = IN_USE.repository_of(setting, &minor);
    let Some(other) = of.iter().find(|url| !same(url, &repository)) else { return Ok(()) };
    let what = format!(
        "the key that has to be renewed is that of {other}, and packages-url has {repository}: no key is fetched from there"
    );
    let own = match IN_USE.setting_for(other, &minor) {
        Some(setting) => format!("set packages-url: {setting} in the settings    # if that is right"),
        None => "put its new key in force on the node by hand".to_owned(),
    };
    Err(Cause::refused(what).next(own))
}

/// Sources that nobody knows and that are left as they are, each once, with the nodes that have it.
pub fn left<'a>(nodes: impl IntoIterator<Item = (&'a str, Sources<'a>)>, target: Version) -> Vec<String> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (node, sources) in nodes.into_iter().filter(|(_, sources)| sources.stay(&target.series())) {
        for (url, _) in &sources.strangers {
            found.entry(url.to_string()).or_default().push(node);
        }
    }
    let told = |(url, nodes): (String, Vec<&str>)| {
        format!(
            "{url} offers kubeadm, and is no source that k8s-upgrade knows ({}): for {target} it stays as it is; before another minor \
             version packages-url has to have it, with {{minor}} for the minor version, or it has to go",
            nodes.join(", ")
        )
    };
    found.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NEXUS: &str = "https://nexus.test/repository/kubernetes-1.35";

    fn setting() -> PackagesUrl {
        "https://pkgs.k8s.io".parse().unwrap()
    }

    /// Of a node at 1.35.4: minors of known sources, strangers, and what a patch and a minor version find: whether a source is changed, and whether
    /// that is refused.
    #[test]
    fn a_source_that_nobody_knows_is_in_the_way_only_where_one_has_to_be_changed() {
        let nexus: SourceUrl = NEXUS.parse().unwrap();
        let (patch, minor) = (Version::new(1, 35, 5), Version::new(1, 36, 3));
        for (minors, strange, of_patch, of_minor) in [
            (vec!["1.35"], false, (true, false), (false, false)),
            (vec!["1.35"], true, (true, false), (false, true)),
            (vec![], true, (true, false), (false, true)),
            (vec![], false, (false, false), (false, false)),
            (vec!["1.34"], true, (false, true), (false, true)),
            (vec!["1.34", "1.35"], true, (false, true), (false, true)),
            (vec!["1.35", "1.36"], false, (false, false), (false, false)),
        ] {
            let strangers = if strange { vec![(&nexus, None)] } else { Vec::new() };
            let sources = Sources { minors, strangers, kubeadm: Some("1.35.4-1.1") };
            let of =
                |target: Version| (sources.stay(&target.series()), sources.strangers_in_the_way(target, &setting()).is_some());
            assert_eq!((of(patch), of(minor)), (of_patch, of_minor), "{sources:?}");
        }
    }

    #[test]
    fn the_refusal_names_file_url_and_the_setting_to_write() {
        let file: HostPath = "/etc/sources/nexus.list".parse().unwrap();
        let (known, other): (SourceUrl, SourceUrl) = (NEXUS.parse().unwrap(), "file:/srv/k8s".parse().unwrap());
        let strangers = vec![(&known, Some(&file)), (&other, None)];
        let sources = Sources { minors: vec!["1.35"], strangers, kubeadm: Some("1.35.4-1.1") };
        let cause = sources.strangers_in_the_way(Version::new(1, 36, 3), &setting()).unwrap();
        assert_eq!(
            cause.detail,
            [
                &*format!("/etc/sources/nexus.list: {NEXUS}"),
                "a file that cannot be told: file:/srv/k8s",
                "packages-url would have https://pkgs.k8s.io/core:/stable:/v1.36/deb, beside it",
            ]
        );
        assert_eq!(
            cause.next,
            [
                "set packages-url: https://nexus.test/repository/kubernetes-{minor} in the settings    # if that is right",
                "set packages-url: https://…{minor}… in the settings    # its URL, with {minor} for the minor version",
                "or take it out on the node    # if https://pkgs.k8s.io/core:/stable:/v1.36/deb is right",
            ]
        );
    }

    #[test]
    fn a_key_is_renewed_from_the_nodes_own_source_alone() {
        let to = Version::new(1, 35, 5);
        let of = |url: &str, setting: &str| renewable(&[url.parse().unwrap()], to, &setting.parse().unwrap());
        assert_eq!(of("https://pkgs.k8s.io/core:/stable:/v1.35/deb", "https://pkgs.k8s.io"), Ok(()));
        assert_eq!(of(NEXUS, "https://nexus.test/repository/kubernetes-{minor}"), Ok(()));
        for (url, next) in [
            (NEXUS, "packages-url: https://nexus.test/repository/kubernetes-{minor}"),
            ("https://mirror.test/core:/stable:/v1.35/deb", "packages-url: https://mirror.test "),
            ("https://mirror.test/k8s", "by hand"),
            // Of another minor version: the key that is fetched would be another repository's.
            ("https://pkgs.k8s.io/core:/stable:/v1.34/deb", "by hand"),
        ] {
            let cause = of(url, "https://pkgs.k8s.io").unwrap_err();
            assert!(cause.what.contains(url) && cause.next[0].command.contains(next), "{cause:?}");
        }
    }

    #[test]
    fn what_stays_is_told_once_with_its_nodes() {
        let nexus: SourceUrl = NEXUS.parse().unwrap();
        let of = |minors| Sources { minors, strangers: vec![(&nexus, None)], kubeadm: Some("1.35.4-1.1") };
        let told = left([("a", of(vec![])), ("b", of(vec!["1.35"])), ("c", of(vec!["1.34"]))], Version::new(1, 35, 5));
        assert!(told.len() == 1 && told[0].contains("(a, b)") && told[0].starts_with(NEXUS), "{told:?}");
    }
}

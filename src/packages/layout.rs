//! Where the repository of a minor version is.

use super::manager::PackageManager;
use crate::words::PackagesUrl;

/// Stands in the setting for the minor version: `1.36`.
const MINOR: &str = "{minor}";

impl PackageManager {
    /// The URL of the repository of a minor version (`1.36`), without a slash at its end: the only place that makes one. A setting that does not
    /// say where the minor version stands is the base of upstream's layout.
    pub fn repository_of(&self, setting: &PackagesUrl, minor: &str) -> String {
        self.pattern(setting).replace(MINOR, minor)
    }

    /// How the settings write that URL, the minor version left out.
    pub fn pattern(&self, setting: &PackagesUrl) -> String {
        if setting.contains(MINOR) { setting.to_string() } else { format!("{setting}/core:/stable:/v{MINOR}/{}", self.format) }
    }

    /// What the setting has to be, that the repository of that minor version is at `url`; None: it cannot be written so.
    pub fn setting_for(&self, url: &str, minor: &str) -> Option<PackagesUrl> {
        let upstream = url.strip_suffix(&format!("/core:/stable:/v{minor}/{}", self.format)).map(str::to_owned);
        let setting: PackagesUrl = upstream.unwrap_or_else(|| url.replace(minor, MINOR)).parse().ok()?;
        same(&self.repository_of(&setting, minor), url).then_some(setting)
    }
}

/// Two URLs of one repository, however each writes its colons.
pub fn same(a: &str, b: &str) -> bool {
    let plain = |url: &str| url.replace("%3A", ":").replace("%3a", ":").trim_end_matches('/').to_owned();
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::IN_USE;
    use super::*;

    fn setting(text: &str) -> PackagesUrl {
        text.parse().unwrap()
    }

    #[test]
    fn upstreams_layout_is_taken_unless_the_setting_says_where_the_minor_version_stands() {
        for (packages_url, url) in [
            ("https://pkgs.k8s.io", "https://pkgs.k8s.io/core:/stable:/v1.36/deb"),
            ("https://mirror.test:8443/isv:/kubernetes:", "https://mirror.test:8443/isv:/kubernetes:/core:/stable:/v1.36/deb"),
            ("https://nexus.test/repository/kubernetes-v{minor}/deb", "https://nexus.test/repository/kubernetes-v1.36/deb"),
            ("https://m.test/core%3A/stable%3A/v{minor}/deb", "https://m.test/core%3A/stable%3A/v1.36/deb"),
            ("https://m.test/k8s-{minor}/apt/v{minor}", "https://m.test/k8s-1.36/apt/v1.36"),
        ] {
            assert_eq!(IN_USE.repository_of(&setting(packages_url), "1.36"), url);
            // And back.
            assert_eq!(IN_USE.setting_for(url, "1.36").unwrap(), packages_url);
        }
    }

    #[test]
    fn a_setting_is_proposed_only_where_it_leads_back() {
        for (url, minor) in [
            ("https://m.test/k8s", "1.36"),
            ("https://m.test/k8s-1.35", "1.36"),
            ("ftp://m.test/v1.36", "1.36"),
            ("https://v1.36.m.test/k8s", "1.36"),
            ("https://m.test/1.361", "1.36"),
            ("https://m.test/a b/1.36", "1.36"),
        ] {
            assert_eq!(IN_USE.setting_for(url, minor), None, "{url}");
        }
    }

    #[test]
    fn colons_are_the_same_however_they_are_written() {
        assert!(same("https://a/core%3A/stable%3a/v1.36/deb/", "https://a/core:/stable:/v1.36/deb"));
        assert!(!same("https://a/core:/stable:/v1.36/deb", "http://a/core:/stable:/v1.36/deb"));
    }
}

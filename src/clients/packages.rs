//! The package index over HTTP: which releases of a minor exist, and under which exact package revisions.
//!
//! It lies flat: `https://pkgs.k8s.io/core:/stable:/v1.N/deb/Packages`; a minor that does not exist is a 403 or 404 (the latter of mirrors: upstream's
//! storage denies what is not there). Everything else that is no list of packages is Unknown, never "no upgrade".

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use super::endpoint::excerpt;
use crate::plan::decide::detect::Absent;
use crate::plan::model::answer::Answer;
use crate::plan::model::version::Version;
use crate::world::{Bounds, Web};

/// Bytes of an index: upstream's are some hundred KiB.
const INDEX: usize = 16 << 20;
/// The package whose versions stand for all.
const PACKAGE: &str = "kubeadm";

/// A release as it can be installed: package version `1.36.3-1.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub version: Version,
    /// `1.1`; they vary, so the exact one is always named.
    pub revision: String,
}

/// The package index of one repository.
#[derive(Clone)]
pub struct Packages {
    repository: String,
    web: Arc<dyn Web>,
}

impl Packages {
    /// `repository`: the URL below which the index lies.
    pub fn new(repository: &str, web: Arc<dyn Web>) -> Self {
        Packages { repository: repository.trim_end_matches('/').to_owned(), web }
    }

    /// Releases of v1.`minor`, oldest first, each with its revisions, oldest first. Whether there may be no index of
    /// this minor is the caller's to know.
    pub async fn releases(&self, minor: u32, deadline: Duration) -> Answer<Result<Vec<Release>, Absent>> {
        let url = format!("{}/Packages", self.repository);
        let request = match Request::get(&url).body(Bytes::new()) {
            Ok(request) => request,
            Err(error) => return Answer::Unknown(format!("{url} is no URL: {error}")),
        };
        let answer = match self.web.send(request, Bounds::new(deadline, INDEX)).await {
            Ok(answer) => answer,
            Err(error) => return Answer::Unknown(error.to_string()),
        };
        let said = || format!("{url} answered with status {}: {}", answer.status(), excerpt(answer.body()));
        match answer.status().as_u16() {
            200 => match parse(&String::from_utf8_lossy(answer.body()), minor) {
                Ok(releases) => Answer::Known(Ok(releases)),
                Err(why) => Answer::Unknown(format!("{url} {why}: {}", excerpt(answer.body()))),
            },
            403 | 404 => Answer::Known(Err(Absent(said()))),
            _ => Answer::Unknown(said()),
        }
    }
}

/// Reads an index in Debian's control format: paragraphs of `Field: value`, continued by lines that begin with a blank.
fn parse(index: &str, minor: u32) -> Result<Vec<Release>, String> {
    let mut releases = Vec::new();
    for paragraph in index.replace('\r', "").split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        if field("Package") != Some(PACKAGE) {
            continue;
        }
        let package_version = field("Version").ok_or_else(|| format!("lists a {PACKAGE} without a version"))?;
        if package_version.contains('~') {
            continue; // a pre-release: 1.37.0~rc.1-1.1
        }
        let release = package_version.rsplit_once('-').and_then(|(upstream, revision)| {
            let usable = !revision.is_empty() && revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            usable.then(|| upstream.parse().ok().map(|version| Release { version, revision: revision.to_owned() })).flatten()
        });
        releases.push(release.ok_or_else(|| format!("lists {PACKAGE} in the version {package_version:?}, which is no release"))?);
    }
    // The same once for each architecture.
    releases.sort_by(|a, b| a.version.cmp(&b.version).then_with(|| compare_revisions(&a.revision, &b.revision)));
    releases.dedup();
    releases.retain(|release| (release.version.major, release.version.minor) == (1, minor));
    if releases.is_empty() { Err(format!("lists no {PACKAGE} of v1.{minor}")) } else { Ok(releases) }
}

/// By numbers, as 10.1 follows 2.1.
fn compare_revisions(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().unwrap_or(u64::MAX)).collect::<Vec<_>>();
    numbers(a).cmp(&numbers(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::world::WebError;

    fn ask(web: &Arc<FakeWeb>) -> Answer<Result<Vec<Release>, Absent>> {
        fake::run(Packages::new("https://packages.example/core:/stable:/v1.36/deb/", web.clone()).releases(36, SECOND))
    }

    const LISTED: &str = "Package: cri-tools\nVersion: 1.36.0-1.1\nArchitecture: amd64\n\n\
        Package: kubeadm\nVersion: 1.36.10-1.1\nArchitecture: amd64\nDepends: cri-tools (>= 1.30.0)\nDescription: Package: kubelet\n Version: 9.9.9-9\n\n\
        Package: kubeadm\nVersion: 1.36.10-1.1\nArchitecture: arm64\n\n\
        Package: kubeadm\nVersion: 1.36.3-2.1\nArchitecture: amd64\n\n\
        Package: kubeadm\nVersion: 1.36.3-10.1\nArchitecture: amd64\n\n\
        Package: kubeadm\nVersion: 1.36.0~rc.1-1.1\nArchitecture: amd64\n\n\
        Package: kubelet\nVersion: 1.36.11-1.1\nArchitecture: amd64\n";

    #[test]
    fn releases_of_kubeadm_in_order_with_their_revisions() {
        for index in [LISTED.to_owned(), LISTED.replace('\n', "\r\n")] {
            let web = FakeWeb::answers(200, &index);
            let Answer::Known(Ok(releases)) = ask(&web) else { panic!("{index}") };
            let seen: Vec<_> = releases.iter().map(|release| format!("{}-{}", release.version, release.revision)).collect();
            assert_eq!(seen, ["1.36.3-2.1", "1.36.3-10.1", "1.36.10-1.1"]);
            assert_eq!(web.seen()[0].0, "GET https://packages.example/core:/stable:/v1.36/deb/Packages");
        }
    }

    #[test]
    fn a_minor_that_does_not_exist_is_known_not_to() {
        for (status, word) in [(403, "403 Forbidden"), (404, "404 Not Found")] {
            let url = "https://packages.example/core:/stable:/v1.36/deb/Packages";
            let said = format!("{url} answered with status {word}: <Error>AccessDenied</Error>");
            assert_eq!(ask(&FakeWeb::answers(status, "<Error>AccessDenied</Error>")), Answer::Known(Err(Absent(said))));
        }
    }

    #[test]
    fn whatever_is_no_index_is_unknown_and_never_no_upgrade() {
        let cases = [
            (200, ""),
            (200, "<html><body>captive portal</body></html>"),
            (200, "Package: kubelet\nVersion: 1.36.3-1.1\n"),
            (200, "Package: kubeadm\nVersion: 1.35.3-1.1\n"),
            (200, "Package: kubeadm\nArchitecture: amd64\n"),
            (200, "Package: kubeadm\nVersion: 1.36.3\n"),
            (200, "Package: kubeadm\nVersion: 1.36.3-1; reboot\n"),
            (200, "Package: kubeadm\nVersion: 1.36.x-1.1\n"),
            (204, ""),
            (301, ""),
            (302, "Found"),
            (401, ""),
            (429, ""),
            (500, LISTED),
            (503, ""),
        ];
        for (status, body) in cases {
            let answer = ask(&FakeWeb::answers(status, body));
            assert!(matches!(answer, Answer::Unknown(_)), "{status} {body:?}: {answer:?}");
        }
        let away = FakeWeb::fails(WebError::Unreachable("https://packages.example".into(), "dns error".into()));
        assert_eq!(ask(&away), Answer::Unknown("cannot reach https://packages.example: dns error".into()));
    }
}

//! Whether a control plane's containerd catches up with the workers', and with which package. It is decided by upstream version: the package that
//! a worker has installed may be of another distribution, or another one altogether, and is none that this node could have.

use std::cmp::Reverse;

use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::words::Revision;

/// A control plane's containerd that is older than a worker's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind<'a> {
    /// What it runs.
    own: Version,
    /// What workers run that is newer, newest first, and who does.
    newer: Vec<(Version, &'a str)>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It gets exactly this revision of the package that it has. With it: what to tell.
    Raise(Revision, String),
    /// It stays as it is: why.
    Leave(String),
}

/// What this control plane has to catch up with, if anything: only versions that the cluster's workers run already.
pub fn behind<'a>(facts: &'a Facts, node: &Node) -> Option<Behind<'a>> {
    let own = parse::containerd(&node.container_runtime).filter(|_| node.control_plane)?;
    let workers = facts.managed().filter(|node| !node.control_plane);
    let mut newer: Vec<_> =
        workers.filter_map(|worker| Some((parse::containerd(&worker.container_runtime)?, worker.name.as_str()))).collect();
    newer.retain(|(version, _)| *version > own);
    newer.sort_by_key(|(version, _)| Reverse(*version));
    newer.dedup_by_key(|(version, _)| *version);
    (!newer.is_empty()).then_some(Behind { own, newer })
}

impl Behind<'_> {
    /// By the package that is installed on the control plane, and the revisions of it that its lists offer, newest first.
    pub fn decide(&self, installed: Option<(&str, &Revision)>, offered: &[Revision]) -> Decision {
        let Some((package, has)) = installed else {
            return self.leave("it is not installed there as a package");
        };
        let Some(present) = parse::upstream(has) else {
            return self.leave(&format!("which release {package} {has} is cannot be told"));
        };
        for (to, like) in &self.newer {
            // Nothing is taken back, and what is installed already is only restarted.
            let fits = |offer: &&Revision| present < *to && parse::upstream(offer) == Some(*to) && epoch(offer) >= epoch(has);
            let found = if present == *to { Some(has) } else { offered.iter().find(fits) };
            if let Some(revision) = found {
                let told = format!(
                    "its containerd will be raised while it is drained, {} → {to} ({package} {revision}), for {like} runs {to}",
                    self.own
                );
                return Decision::Raise(revision.clone(), told);
            }
        }
        if self.newer.iter().all(|(to, _)| present > *to) {
            return self.leave(&format!("{package} {has} is installed there and runs only once it is restarted"));
        }
        const NAMED: usize = 3;
        let newest: Vec<&str> = offered.iter().take(NAMED).map(|revision| revision.as_str()).collect();
        let offers = if newest.is_empty() { "nothing".to_owned() } else { newest.join(", ") };
        self.leave(&format!("of its package {package}, its lists offer {offers}"))
    }

    fn leave(&self, why: &str) -> Decision {
        let (to, like) = self.newer.first().copied().unwrap_or((self.own, "a worker"));
        Decision::Leave(format!("its containerd stays at {}, though {like} runs {to}: {why}", self.own))
    }
}

/// Of a package's version: it goes before all else.
fn epoch(revision: &Revision) -> u32 {
    revision.split_once(':').and_then(|(epoch, _)| epoch.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::model::fixture::{node, runbook};

    const JAMMY: &str = "2.1.4-1~ubuntu.22.04~jammy";

    #[test]
    fn a_control_plane_follows_workers_that_run_a_newer_release_of_containerd() {
        let of = |master: &str, worker: &str| {
            let mut facts = runbook();
            facts.nodes.iter_mut().for_each(|node| node.container_runtime = "containerd://1.6.0".into());
            node(&mut facts, "k8s-master").container_runtime = master.to_owned();
            node(&mut facts, "k8s-node3").container_runtime = worker.to_owned();
            assert_eq!(behind(&facts, facts.node("k8s-node1").unwrap()), None, "a worker follows nobody");
            behind(&facts, facts.node("k8s-master").unwrap())
                .map(|behind| behind.newer.iter().map(|(version, of)| format!("{version} {of}")).collect())
        };
        for (master, worker, newer) in [
            ("containerd://1.7.28", "containerd://1.7.28", None),
            ("containerd://1.7.9", "containerd://1.7.28", Some("1.7.28 k8s-node3")),
            ("containerd://2.0.1", "containerd://1.7.99", None),
            ("containerd://1.6.20~ds1", "containerd://2.1.0", Some("2.1.0 k8s-node3")),
            ("containerd://1.6.20~ds1", "containerd://2.1.0-rc.1", None),
            ("containerd://1.7.28", "containerd://2.1.4~debian.12", Some("2.1.4 k8s-node3")),
            ("cri-o://1.30.0", "containerd://2.1.0", None),
            ("containerd://1.7.28", "cri-o://9.9.9", None),
        ] {
            assert_eq!(of(master, worker), newer.map(|newer| vec![newer.to_owned()]), "{master} {worker}");
        }
    }

    #[test]
    fn it_is_raised_to_its_own_packages_revision_of_a_release_that_a_worker_runs_or_left() {
        let behind =
            Behind { own: Version::new(1, 7, 28), newer: vec![(Version::new(2, 1, 4), "w2"), (Version::new(2, 0, 5), "w1")] };
        let raised = |revision: &'static str| Ok(revision);
        let left = |why: &'static str| Err(why);
        for (installed, offered, wanted) in [
            // The worker may run `2.1.4-1~debian.12~bookworm`: its revision plays no part.
            (Some(("containerd.io", "1.7.28-1~ubuntu.22.04~jammy")), &[JAMMY, "1.7.28-1~ubuntu.22.04~jammy"][..], raised(JAMMY)),
            // Of several revisions, the newest, which comes first.
            (Some(("containerd.io", "1.7.28-1")), &["2.1.4-2", "2.1.4-1"], raised("2.1.4-2")),
            // Never one that no worker runs, be it newer or older; the next that one does.
            (Some(("containerd.io", "1.7.28-1")), &["2.2.0-1", "2.1.3-1", "2.0.5-1"], raised("2.0.5-1")),
            (
                Some(("containerd.io", "1.7.28-1")),
                &["2.1.5-1", "2.1.40-1", "2.1.4~rc.1-1", "1.7.28-1"],
                left("lists offer 2.1.5-1, 2.1.40-1, 2.1.4~rc.1-1"),
            ),
            // Debian's package beside Docker's.
            (
                Some(("containerd", "1.7.28~ds1-6")),
                &["1.7.28~ds1-6+deb13u1"],
                left("of its package containerd, its lists offer 1.7.28~ds1-6+deb13u1"),
            ),
            (Some(("containerd", "1.7.28~ds1-6")), &["2.1.4~ds1-1"], raised("2.1.4~ds1-1")),
            (Some(("containerd.io", "1.7.28-1")), &[], left("its lists offer nothing")),
            (None, &[], left("not installed there as a package")),
            (Some(("containerd.io", "7-local")), &["2.1.4-1"], left("cannot be told")),
            // Installed, and never restarted.
            (Some(("containerd.io", "2.1.4-1~mine")), &["2.1.4-2", "2.1.4-1"], raised("2.1.4-1~mine")),
            (Some(("containerd.io", "2.1.0-1")), &["2.0.5-1"], left("lists offer 2.0.5-1")),
            (Some(("containerd.io", "2.2.0-1")), &["2.1.4-1"], left("runs only once it is restarted")),
            // An epoch goes before all else: this would be a downgrade.
            (Some(("containerd.io", "1:1.7.28-1")), &["2.1.4-1"], left("lists offer 2.1.4-1")),
            (Some(("containerd.io", "1:1.7.28-1")), &["1:2.1.4-1"], raised("1:2.1.4-1")),
        ] {
            let revision = |text: &str| text.parse::<Revision>().unwrap();
            let offers: Vec<Revision> = offered.iter().map(|offer| revision(offer)).collect();
            let has = installed.map(|(package, has)| (package, revision(has)));
            let decided = behind.decide(has.as_ref().map(|(package, has)| (*package, has)), &offers);
            match (wanted, &decided) {
                (Ok(wanted), Decision::Raise(to, told)) => {
                    assert_eq!(to.as_str(), wanted);
                    assert!(told.contains("1.7.28 → ") && told.contains(&format!(" {wanted})")), "{told}");
                }
                (Err(why), Decision::Leave(told)) => {
                    assert!(told.contains("stays at 1.7.28, though w2 runs 2.1.4") && told.contains(why), "{told}");
                }
                _ => panic!("{installed:?} {offered:?}: {decided:?}"),
            }
        }
    }
}

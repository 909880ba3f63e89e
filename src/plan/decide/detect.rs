//! Which release the cluster should go to: the newest patch of its minor version, else the newest of the next.

use super::passed_over::PassedOver;
use super::target;
use crate::failure::Cause;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{COMPONENTS, Facts};
use crate::plan::model::version::{UpgradeKind, Version};

/// No index of this minor version: what was answered in its place. Of the next one that is usual, for it may not be published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent(pub String);

/// The releases that a package index lists of one minor version.
pub type Index = Answer<Result<Vec<Version>, Absent>>;

/// What detection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    pub running: Version,
    /// One gauge a kind of which something is known; a kind that nobody could tell about has none.
    pub available: Vec<Available>,
    /// The release to go to.
    pub target: Option<Version>,
    /// The target is one that a run has begun to: it is finished, whatever the settings want.
    pub begun: bool,
    /// The release to go to once a person has approved it; then there is no target.
    pub asks: Option<Version>,
    /// Why it might be that there is a target after all: indexes that did not answer, or that are not whole. Not empty only where that
    /// matters.
    pub unknown: Vec<String>,
    /// Newer releases that the settings do not want, and by which of them.
    pub passed_over: Vec<PassedOver>,
}

/// A gauge `k8s_upgrade_available{kind,running,target}`: 1 with its target, 0 with none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    pub kind: UpgradeKind,
    pub target: Option<Version>,
}

/// Chooses the target. `current` and `next` are the releases that the package index has of the running minor version and of the one after
/// it. Of the next one there may be no index (yet): nothing is published. That of the one that runs was there when it was installed: where
/// it is gone, or does not list what runs, it is a mirror that lags, a proxy that denies or a wrong address, and says nothing of what is new.
///
/// A cluster whose versions differ is finished before it goes on: its target is the newest version on its control planes. A patch comes
/// before a minor version. Holds if the cluster shows no version at all.
pub fn detect(facts: &Facts, current: &Index, next: &Index) -> Result<Detection, Cause> {
    let seen = target::running(facts).zip(target::begun(facts));
    let (running, newest) = seen.ok_or_else(|| Cause::hold("no node, or no pod of kube-apiserver, is to be seen"))?;
    if differs(facts, newest) {
        let begun = UpgradeKind::between(running, newest);
        let of = |kind| Available { kind, target: (kind == begun).then_some(newest) };
        return Ok(Detection {
            running,
            available: vec![of(UpgradeKind::Patch), of(UpgradeKind::Minor)],
            target: Some(newest),
            begun: true,
            asks: None,
            unknown: Vec::new(),
            passed_over: Vec::new(),
        });
    }
    let patch = newest_of(&whole(current, running), |v| v.minors_above(running) == Some(0) && v > running);
    let next = match (current, next) {
        // What denies an index that must be there may deny the other one, too.
        (Answer::Known(Err(_)), Answer::Known(Err(Absent(said)))) => Answer::Unknown(said.clone()),
        _ => published(next),
    };
    let minor = newest_of(&next, |v| v.minors_above(running) == Some(1));
    let found = |kind, answer: &Answer<Option<Version>>| match answer {
        Answer::Known(target) => Some(Available { kind, target: *target }),
        Answer::Unknown(_) => None,
    };
    let available = [found(UpgradeKind::Patch, &patch), found(UpgradeKind::Minor, &minor)].into_iter().flatten().collect();
    let (target, unknown) = match (patch, minor) {
        (Answer::Known(Some(patch)), _) => (Some(patch), Vec::new()),
        (Answer::Known(None), Answer::Known(minor)) => (minor, Vec::new()),
        // Without the current index a patch may have to come first: nothing is chosen.
        (Answer::Unknown(why), Answer::Known(_)) | (Answer::Known(None), Answer::Unknown(why)) => (None, vec![why]),
        (Answer::Unknown(patch), Answer::Unknown(minor)) => (None, vec![patch, minor]),
    };
    Ok(Detection { running, available, target, begun: false, asks: None, unknown, passed_over: Vec::new() })
}

/// Releases above what runs, of all indexes that list any.
pub fn above<'a>(running: Version, indexes: impl IntoIterator<Item = &'a Index>) -> Vec<Version> {
    let listed = indexes.into_iter().flat_map(|index| match index {
        Answer::Known(Ok(releases)) => releases.as_slice(),
        _ => &[],
    });
    listed.copied().filter(|release| *release > running).collect()
}

/// Whether `target` is a release, by the index of its minor version. Where the cluster runs that minor version, an index that does not know
/// what runs cannot deny a release either.
pub fn released(facts: &Facts, target: Version, index: &Index) -> Answer<bool> {
    let has = |releases: &Vec<Version>| releases.contains(&target);
    if matches!(index, Answer::Known(Ok(releases)) if has(releases)) {
        return Answer::Known(true);
    }
    let here = [target::running(facts), target::begun(facts)].into_iter().flatten().find(|v| v.minors_above(target) == Some(0));
    match here.map_or_else(|| published(index), |running| whole(index, running)) {
        Answer::Known(releases) => Answer::Known(has(&releases)),
        Answer::Unknown(why) => Answer::Unknown(why),
    }
}

/// An index that may be absent: then it lists nothing.
fn published(index: &Index) -> Answer<Vec<Version>> {
    match index {
        Answer::Known(releases) => Answer::Known(releases.clone().unwrap_or_default()),
        Answer::Unknown(why) => Answer::Unknown(why.clone()),
    }
}

/// An index that must be there, and must list what runs.
fn whole(index: &Index, running: Version) -> Answer<Vec<Version>> {
    match index {
        Answer::Known(Ok(releases)) if releases.contains(&running) => Answer::Known(releases.clone()),
        Answer::Known(Ok(releases)) => {
            let newest = releases.iter().max().map_or("no release".to_owned(), |newest| format!("{newest} as its newest"));
            Answer::Unknown(format!(
                "the package index of v{} lists {newest}, and not {running}, which this cluster runs: is it whole?",
                running.series()
            ))
        }
        Answer::Known(Err(Absent(said))) => Answer::Unknown(format!(
            "{said}; this cluster runs {running}, so that index must exist: does packages-url lead to it?"
        )),
        Answer::Unknown(why) => Answer::Unknown(why.clone()),
    }
}

fn differs(facts: &Facts, newest: Version) -> bool {
    facts.managed().any(|node| {
        let old = |name| node.component(name).and_then(|c| c.version) != Some(newest);
        // A worker that is ahead has been brought there by hand: nothing of a run is unfinished for that.
        node.kubelet.is_none_or(|kubelet| kubelet < newest)
            || (node.control_plane && (node.kubelet != Some(newest) || COMPONENTS.into_iter().any(old)))
    })
}

fn newest_of(index: &Answer<Vec<Version>>, wanted: impl Fn(Version) -> bool) -> Answer<Option<Version>> {
    match index {
        Answer::Known(releases) => Answer::Known(releases.iter().copied().filter(|v| wanted(*v)).max()),
        Answer::Unknown(why) => Answer::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::plan::model::fixture::*;

    /// `?why`: no answer; empty: no such index.
    fn index(text: &str) -> Index {
        match text.strip_prefix('?') {
            Some(why) => Answer::Unknown(why.to_owned()),
            None if text.is_empty() => Answer::Known(Err(Absent("403".to_owned()))),
            None => Answer::Known(Ok(text.split_whitespace().map(|v| v.parse().unwrap()).collect())),
        }
    }

    fn shown(facts: &Facts, current: &str, next: &str) -> String {
        let found = detect(facts, &index(current), &index(next)).unwrap();
        let or_none = |v: Option<Version>| v.map_or("none".to_owned(), |v| v.to_string());
        let gauges: Vec<_> = found.available.iter().map(|a| format!("{}={}", a.kind.word(), or_none(a.target))).collect();
        format!("{} | {} | {}", or_none(found.target), gauges.join(" "), found.unknown.join(","))
    }

    #[test]
    fn the_newest_patch_comes_before_the_next_minor() {
        let facts = runbook(); // 1.34.2
        for (current, next, wanted) in [
            ("1.34.0 1.34.2", "", "none | patch=none minor=none | "),
            ("1.34.2 1.34.10 1.34.7", "", "1.34.10 | patch=1.34.10 minor=none | "),
            ("1.34.2 1.34.7", "1.35.0 1.35.1", "1.34.7 | patch=1.34.7 minor=1.35.1 | "),
            ("1.34.2", "1.35.0 1.35.1", "1.35.1 | patch=none minor=1.35.1 | "),
            ("1.34.0 1.34.2", "1.34.9 1.36.0", "none | patch=none minor=none | "), // indexes that hold what they should not
            ("1.34.2 1.34.7", "?timed out", "1.34.7 | patch=1.34.7 | "),
            ("1.34.2", "?timed out", "none | patch=none | timed out"),
            ("?timed out", "1.35.1", "none | minor=1.35.1 | timed out"), // a patch may have to come first
            ("?a", "?b", "none |  | a,b"),
        ] {
            assert_eq!(shown(&facts, current, next), wanted, "{current:?} {next:?}");
        }
    }

    #[test]
    fn an_index_that_does_not_know_what_runs_says_nothing_of_what_is_new() {
        let facts = runbook(); // 1.34.2
        for (current, next, gauges, says) in [
            ("", "", "", "403; this cluster runs 1.34.2, so that index must exist: does packages-url lead to it?,403"),
            (
                "",
                "1.35.1",
                "minor=1.35.1",
                "403; this cluster runs 1.34.2, so that index must exist: does packages-url lead to it?",
            ),
            (
                "1.34.0 1.34.1",
                "",
                "minor=none",
                "the package index of v1.34 lists 1.34.1 as its newest, and not 1.34.2, which this cluster runs: is it whole?",
            ),
            (
                "1.34.7",
                "1.35.1",
                "minor=1.35.1",
                "the package index of v1.34 lists 1.34.7 as its newest, and not 1.34.2, which this cluster runs: is it whole?",
            ),
        ] {
            assert_eq!(shown(&facts, current, next), format!("none | {gauges} | {says}"), "{current:?} {next:?}");
        }
    }

    #[test]
    fn only_an_index_that_knows_what_runs_can_deny_a_release() {
        let facts = runbook(); // 1.34.2
        for (target, there, wanted) in [
            ("1.34.7", "1.34.2 1.34.7", Some(true)),
            ("1.34.7", "1.34.7", Some(true)),
            ("1.34.8", "1.34.2 1.34.7", Some(false)),
            ("1.34.8", "1.34.0", None),
            ("1.34.8", "", None),
            ("1.34.8", "?away", None),
            ("1.35.1", "1.35.0 1.35.1", Some(true)),
            ("1.35.1", "1.35.0", Some(false)),
            ("1.35.1", "", Some(false)),
            ("1.35.1", "?away", None),
        ] {
            let answer = released(&facts, target.parse().unwrap(), &index(there));
            assert_eq!(
                matches!(answer, Answer::Known(_)).then(|| answer == Answer::Known(true)),
                wanted,
                "{target} {there:?}: {answer:?}"
            );
        }
    }

    #[test]
    fn a_half_done_cluster_is_finished_first() {
        let mut facts = runbook();
        upgrade(&mut facts, "k8s-master", NEW);
        assert_eq!(shown(&facts, "1.34.7 1.34.9", "1.35.0"), "1.34.7 | patch=1.34.7 minor=none | ");
        assert_eq!(shown(&facts, "?away", "?away"), "1.34.7 | patch=1.34.7 minor=none | ");
        let mut facts = runbook();
        upgrade(&mut facts, "k8s-master", Version::new(1, 35, 1));
        assert_eq!(shown(&facts, "1.34.7", "1.35.3"), "1.35.1 | patch=none minor=1.35.1 | ");
        let mut facts = runbook();
        node(&mut facts, "k8s-master").components[1].version = Some(Version::new(1, 34, 1)); // only a controller-manager is behind
        assert_eq!(shown(&facts, "1.34.7", ""), "1.34.2 | patch=1.34.2 minor=none | ");
        let mut facts = runbook();
        node(&mut facts, "k8s-master").kubelet = Some(NEW); // kubeadm took its own work back: never a downgrade
        assert_eq!(shown(&facts, "1.34.7 1.34.9", ""), "1.34.7 | patch=1.34.7 minor=none | ");
        let mut facts = runbook();
        node(&mut facts, "k8s-node3").kubelet = Some(NEW); // what a worker brings along decides nothing
        assert_eq!(shown(&facts, "1.34.2 1.34.9", ""), "1.34.9 | patch=1.34.9 minor=none | ");
    }

    #[test]
    fn an_excluded_node_does_not_hold_the_others_back() {
        let mut facts = runbook();
        upgrade(&mut facts, "k8s-node3", Version::new(1, 33, 0));
        node(&mut facts, "k8s-node3").excluded = true;
        assert_eq!(shown(&facts, "1.34.2 1.34.7", ""), "1.34.7 | patch=1.34.7 minor=none | ");
    }

    #[test]
    fn no_cluster_is_no_answer() {
        assert!(detect(&Facts::default(), &index("1.34.7"), &index("")).is_err());
    }
}

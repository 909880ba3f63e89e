//! Which firing alerts block a run. The run's own consequences never do: [`super::rules`] has them, by moment.

use std::collections::BTreeMap;

use regex::Regex;

use super::rules::KNOWN;
pub use super::rules::Moment;
use crate::guard::{self, Guard};
use crate::names::ALERT_WATCHDOG;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node, Phase, Step};

/// An alert of Prometheus that is not inactive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub name: String,
    /// Firing, not merely pending.
    pub firing: bool,
    pub labels: BTreeMap<String, String>,
}

impl Moment {
    /// Which moment of a run a phase is: some alerts are of the run's own doing then.
    pub fn of(phase: Phase, facts: &Facts) -> Self {
        match phase {
            Phase::Preflight if !facts.marks.in_flight => Moment::Unclaimed,
            Phase::Preflight => Moment::Claimed,
            Phase::Master if !facts.managed().any(|node| node.control_plane && node.changed_by(&facts.marks)) => Moment::Claimed,
            Phase::Master | Phase::Worker => Moment::Upgrading,
            Phase::Postflight if facts.managed().any(|node| left_old(node, facts)) => Moment::Partial,
            Phase::Postflight => Moment::Finishing,
        }
    }
}

/// A worker that was skipped by force, and is old indeed.
fn left_old(node: &Node, facts: &Facts) -> bool {
    let old = facts.marks.target.is_none_or(|target| !node.is_upgraded(target));
    !node.control_plane && old && Step::of(node).is_skipped(&facts.marks)
}

/// What the alerts say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Pass,
    /// The firing alerts that block, with the labels that say where.
    Blocked(Vec<String>),
    /// Nobody can say whether alerts fire: this blocks too.
    Unknown(String),
}

/// Judges the alerts. `ignore` matches anywhere in an alert's name, as kured's filter does.
///
/// Watchdog always fires where alerting works: unless it is seen, the answer is unknown.
pub fn judge(answer: &Answer<Vec<Alert>>, moment: Moment, ignore: Option<&Regex>) -> Judgement {
    let alerts = match answer {
        Answer::Known(alerts) => alerts,
        Answer::Unknown(_) if !guard::on(Guard::AlertsKnown) => return Judgement::Pass,
        Answer::Unknown(why) => return Judgement::Unknown(why.clone()),
    };
    let firing = || alerts.iter().filter(|alert| alert.firing);
    if !firing().any(|alert| alert.name == ALERT_WATCHDOG) && guard::on(Guard::Watchdog) {
        return Judgement::Unknown(format!(
            "the alert {ALERT_WATCHDOG}, which always fires, is not firing: alert rules are not evaluated"
        ));
    }
    let blocks = |alert: &&Alert| {
        let known = KNOWN.iter().find(|known| known.name == alert.name);
        let counts = !matches!(moment, Moment::Finishing | Moment::Partial) || known.is_some_and(|known| known.gate);
        let own = known.is_some_and(|known| known.own.contains(&moment));
        counts && !own && !ignore.is_some_and(|ignore| ignore.is_match(&alert.name))
    };
    let mut blocked: Vec<_> = firing().filter(blocks).map(label).collect();
    blocked.sort();
    blocked.dedup();
    if blocked.is_empty() { Judgement::Pass } else { Judgement::Blocked(blocked) }
}

/// `NodeDiskFull (node=k8s-node2)`.
fn label(alert: &Alert) -> String {
    const WHERE: [&str; 4] = ["node", "namespace", "pod", "instance"];
    let labels: Vec<_> = WHERE.iter().filter_map(|key| Some(format!("{key}={}", alert.labels.get(*key)?))).collect();
    if labels.is_empty() { alert.name.clone() } else { format!("{} ({})", alert.name, labels.join(", ")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::names::{ALERT_BLOCKER, ALERT_IN_FLIGHT, ALERT_RECENT_REBOOT, ALERT_SKEW, ALERT_SNAPSHOT_MISSING, ALERT_STALLED};
    use crate::plan::model::fixture::*;

    fn alert(name: &str, firing: bool) -> Alert {
        Alert { name: name.to_owned(), firing, labels: BTreeMap::new() }
    }

    fn with_watchdog(name: &str) -> Answer<Vec<Alert>> {
        Answer::Known(vec![alert(ALERT_WATCHDOG, true), alert(name, true)])
    }

    #[test]
    fn what_blocks_when() {
        use Moment::{Claimed, Finishing, Partial, Unclaimed, Upgrading};
        let table: [(&str, &[Moment]); 8] = [
            (ALERT_WATCHDOG, &[]),
            (ALERT_IN_FLIGHT, &[]),
            (ALERT_SKEW, &[Finishing]),
            (ALERT_STALLED, &[Unclaimed, Finishing, Partial]),
            (ALERT_SNAPSHOT_MISSING, &[Unclaimed, Finishing, Partial]),
            (ALERT_RECENT_REBOOT, &[Unclaimed, Claimed]),
            (ALERT_BLOCKER, &[Unclaimed, Claimed, Upgrading, Finishing, Partial]),
            ("KubeNodeNotReady", &[Unclaimed, Claimed, Upgrading]),
        ];
        for (name, blocks_at) in table {
            for moment in [Unclaimed, Claimed, Upgrading, Finishing, Partial] {
                let wanted =
                    if blocks_at.contains(&moment) { Judgement::Blocked(vec![name.to_owned()]) } else { Judgement::Pass };
                assert_eq!(judge(&with_watchdog(name), moment, None), wanted, "{name} at {moment:?}");
            }
        }
    }

    #[test]
    fn no_watchdog_and_no_answer_are_unknown() {
        let unseen =
            [Answer::Known(vec![]), Answer::Known(vec![alert(ALERT_WATCHDOG, false)]), Answer::Unknown("timed out".into())];
        for answer in unseen {
            assert!(matches!(judge(&answer, Moment::Claimed, None), Judgement::Unknown(_)), "{answer:?}");
        }
        let everything = Regex::new(".*").unwrap();
        let blocked_too = Answer::Known(vec![alert("KubeNodeNotReady", true)]);
        assert!(matches!(judge(&blocked_too, Moment::Claimed, Some(&everything)), Judgement::Unknown(_)));
    }

    #[test]
    fn pending_and_ignored_alerts_do_not_block_and_firing_ones_say_where() {
        let mut full = alert("NodeDiskFull", true);
        full.labels = BTreeMap::from([("node".into(), "k8s-node2".into()), ("severity".into(), "warning".into())]);
        let alerts =
            vec![alert(ALERT_WATCHDOG, true), alert("Pending", false), full.clone(), full, alert("CertExpiresSoon", true)];
        let answer = Answer::Known(alerts);
        let ignore = Regex::new("^Cert|Memory").unwrap();
        assert_eq!(
            judge(&answer, Moment::Upgrading, Some(&ignore)),
            Judgement::Blocked(vec!["NodeDiskFull (node=k8s-node2)".into()])
        );
        assert_eq!(judge(&answer, Moment::Upgrading, Some(&Regex::new("Cert|Disk").unwrap())), Judgement::Pass);
    }

    #[test]
    fn the_moment_follows_from_facts() {
        let mut facts = runbook();
        assert_eq!(Moment::of(Phase::Preflight, &facts), Moment::Unclaimed);
        facts = in_flight(facts);
        assert_eq!(Moment::of(Phase::Preflight, &facts), Moment::Claimed);
        node(&mut facts, "k8s-master").changed_at = "2026-11-01T00:00:00Z".parse().ok(); // an earlier run's
        assert_eq!(Moment::of(Phase::Master, &facts), Moment::Claimed);
        node(&mut facts, "k8s-master").cordoned_by = Some("5f3a21bc".into()); // its Job was killed and is here again
        assert_eq!(Moment::of(Phase::Master, &facts), Moment::Upgrading);
        assert_eq!(Moment::of(Phase::Worker, &facts), Moment::Upgrading);
        assert_eq!(Moment::of(Phase::Postflight, &facts), Moment::Finishing);
    }
    /// Only what stays old for good makes skew for good: no other skip, and no skipped worker that was upgraded after all.
    #[test]
    fn only_a_worker_that_stays_old_loosens_the_end() {
        let with = |skips: &[&str]| {
            let mut facts = in_flight(runbook());
            facts.marks.skipped = skips.iter().map(|step| (*step).into()).collect();
            facts
        };
        let of = |facts: &Facts| Moment::of(Phase::Postflight, facts);
        for skips in [&[][..], &["preflight"], &["master/k8s-master"], &["postflight"], &["worker/gone"]] {
            assert_eq!(of(&with(skips)), Moment::Finishing, "{skips:?}");
        }
        let mut facts = with(&["preflight", "worker/k8s-node3"]);
        assert_eq!(of(&facts), Moment::Partial);
        upgrade(&mut facts, "k8s-node3", NEW);
        assert_eq!(of(&facts), Moment::Finishing);
        node(&mut facts, "k8s-node3").kubelet = Some(OLD);
        node(&mut facts, "k8s-node3").excluded = true;
        assert_eq!(of(&facts), Moment::Finishing);
    }
}

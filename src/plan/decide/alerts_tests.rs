#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::names::{
    ALERT_BLOCKER, ALERT_BLOCKER_FORMER, ALERT_DETECTION_MISSED, ALERT_HALTED_LONG, ALERT_IN_FLIGHT, ALERT_JOB_FAILED,
    ALERT_RECENT_REBOOT, ALERT_SKEW, ALERT_SNAPSHOT_MISSING, ALERT_STALLED,
};
use crate::plan::model::fixture::*;

fn alert(name: &str, firing: bool) -> Alert {
    Alert { name: name.to_owned(), firing, labels: BTreeMap::new() }
}

fn asker(moment: Moment, ignore: Option<&Regex>) -> Asker<'_> {
    Asker { moment, namespace: "k8s-upgrade", skewed: true, gates: &[], ignore, matchers: &[], info_holds: false }
}

fn blocked(alerts: &[&str], pass: &str) -> Judgement {
    Judgement::Blocked(Blocked {
        alerts: alerts.iter().map(|alert| (*alert).to_owned()).collect(),
        pass: Some(pass.to_owned()).filter(|pass| !pass.is_empty()),
    })
}

fn with_watchdog(name: &str) -> Answer<Vec<Alert>> {
    Answer::Known(vec![alert(ALERT_WATCHDOG, true), alert(name, true)])
}

#[test]
fn what_blocks_when() {
    use Moment::{Claimed, Finishing, Partial, Unclaimed, Upgrading};
    let table: [(&str, &[Moment]); 14] = [
        (ALERT_WATCHDOG, &[]),
        (ALERT_IN_FLIGHT, &[]),
        (ALERT_SKEW, &[Finishing]),
        (ALERT_STALLED, &[Unclaimed, Finishing, Partial]),
        (ALERT_SNAPSHOT_MISSING, &[Unclaimed, Finishing, Partial]),
        (ALERT_RECENT_REBOOT, &[Unclaimed, Claimed]),
        (ALERT_BLOCKER, &[Unclaimed, Claimed, Upgrading, Finishing, Partial]),
        (ALERT_BLOCKER_FORMER, &[Unclaimed, Claimed, Upgrading, Finishing, Partial]),
        (ALERT_JOB_FAILED, &[]),
        (ALERT_DETECTION_MISSED, &[]),
        (ALERT_HALTED_LONG, &[]),
        ("KubeNodeNotReady", &[Unclaimed, Claimed, Upgrading]),
        ("KubeVersionMismatch", &[]),
        ("KubernetesVersionOutdated", &[]),
    ];
    for (name, blocks_at) in table {
        for moment in [Unclaimed, Claimed, Upgrading, Finishing, Partial] {
            let pass = if [ALERT_BLOCKER, ALERT_BLOCKER_FORMER].contains(&name) { String::new() } else { format!("^({name})$") };
            let wanted = if blocks_at.contains(&moment) { blocked(&[name], &pass) } else { Judgement::Pass };
            assert_eq!(judge(&with_watchdog(name), &asker(moment, None)), wanted, "{name} at {moment:?}");
        }
    }
}

#[test]
fn no_watchdog_and_no_answer_are_unknown() {
    let unseen = [Answer::Known(vec![]), Answer::Known(vec![alert(ALERT_WATCHDOG, false)]), Answer::Unknown("timed out".into())];
    for answer in unseen {
        assert!(matches!(judge(&answer, &asker(Moment::Claimed, None)), Judgement::Unknown(_)), "{answer:?}");
    }
    let everything = Regex::new(".*").unwrap();
    let blocked_too = Answer::Known(vec![alert("KubeNodeNotReady", true)]);
    assert!(matches!(judge(&blocked_too, &asker(Moment::Claimed, Some(&everything))), Judgement::Unknown(_)));
}

#[test]
fn pending_and_ignored_alerts_do_not_block_and_firing_ones_say_where() {
    let mut full = alert("NodeDiskFull", true);
    full.labels = BTreeMap::from([("node".into(), "k8s-node2".into()), ("severity".into(), "warning".into())]);
    let alerts = vec![alert(ALERT_WATCHDOG, true), alert("Pending", false), full.clone(), full, alert("CertExpiresSoon", true)];
    let answer = Answer::Known(alerts);
    let ignore = Regex::new("^Cert|Memory").unwrap();
    assert_eq!(
        judge(&answer, &asker(Moment::Upgrading, Some(&ignore))),
        blocked(&["NodeDiskFull (node=k8s-node2)"], "^Cert|Memory|^(NodeDiskFull)$")
    );
    assert_eq!(judge(&answer, &asker(Moment::Upgrading, Some(&Regex::new("Cert|Disk").unwrap()))), Judgement::Pass);
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
fn of_skips_only_a_worker_that_stays_old_loosens_the_end() {
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
    assert_eq!(of(&facts), Moment::Partial);
}

/// The settings exclude it, so no run ever ends the skew that it makes; one that has the target's version makes none.
#[test]
fn an_excluded_node_that_stays_old_loosens_the_end() {
    let mut facts = in_flight(runbook());
    node(&mut facts, "k8s-node3").excluded = true;
    assert_eq!(Moment::of(Phase::Postflight, &facts), Moment::Partial);
    assert_eq!(judge(&with_watchdog(ALERT_SKEW), &asker(Moment::Partial, None)), Judgement::Pass);
    upgrade(&mut facts, "k8s-node3", NEW);
    assert_eq!(Moment::of(Phase::Postflight, &facts), Moment::Finishing);
}

/// Where all nodes run one version, a mismatch that somebody sees is none that an upgrade makes or ends.
#[test]
fn skew_is_the_runs_own_while_versions_differ() {
    let answer = with_watchdog("KubeVersionMismatch");
    for moment in [Moment::Unclaimed, Moment::Claimed, Moment::Upgrading] {
        let even = Asker { skewed: false, ..asker(moment, None) };
        assert_eq!(judge(&answer, &even), blocked(&["KubeVersionMismatch"], "^(KubeVersionMismatch)$"), "{moment:?}");
    }
    let mut facts = runbook();
    assert!(!skewed(&facts));
    node(&mut facts, "k8s-master").components[0].version = Some(NEW);
    assert!(skewed(&facts), "an API server that is new");
    let mut facts = runbook();
    node(&mut facts, "k8s-node3").excluded = true;
    upgrade(&mut facts, "k8s-node3", NEW);
    assert!(skewed(&facts), "rules see an excluded node, too");
}

#[test]
fn information_holds_nobody_unless_asked_to() {
    for (severity, holds) in [("none", false), ("info", false), ("warning", true), ("critical", true), ("Info", true), ("", true)]
    {
        let mut alert = alert("Throttled", true);
        alert.labels.insert("severity".into(), severity.into());
        let mut reboot = self::alert(ALERT_RECENT_REBOOT, true);
        reboot.labels = alert.labels.clone();
        let of = |alert, info_holds| {
            let answer = Answer::Known(vec![self::alert(ALERT_WATCHDOG, true), alert]);
            judge(&answer, &Asker { info_holds, ..asker(Moment::Unclaimed, None) }) != Judgement::Pass
        };
        assert_eq!((of(alert.clone(), false), of(alert, true)), (holds, true), "{severity}");
        assert!(of(reboot, false), "an alert that a run knows is asked for by its name: {severity}");
    }
}

#[test]
fn no_expression_is_offered_that_the_setting_would_not_take() {
    let names = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(passing(&names(&["a.b", "C"]), None).as_deref(), Some(r"^(C|a\.b)$"));
    assert_eq!(passing(&names(&["A", ALERT_BLOCKER]), None), None);
    assert_eq!(passing(&names(&["A\n'"]), None), None);
    assert_eq!(passing(&names(&["A"]), Regex::new(&"x".repeat(LONGEST_FILTER)).ok().as_ref()), None);
}

/// The group is what the cluster's people make of it; our own rules count wherever they are loaded.
#[test]
fn the_end_waits_for_what_the_group_has() {
    let rule = |name: &str, group: &str| Rule { name: name.into(), group: group.into(), health: "ok".into() };
    let gates = gates(vec![rule("CertExpiresSoon", ALERT_GROUP), rule("KubeVersionMismatch", ALERT_GROUP), rule("Disk", "node")]);
    for (name, moment, blocks) in [
        ("CertExpiresSoon", Moment::Finishing, true),
        ("CertExpiresSoon", Moment::Partial, true),
        ("KubeVersionMismatch", Moment::Finishing, true),
        ("KubeVersionMismatch", Moment::Partial, false),
        ("Disk", Moment::Finishing, false),
        ("Disk", Moment::Upgrading, true),
        (ALERT_BLOCKER, Moment::Finishing, true),
    ] {
        let judged = judge(&with_watchdog(name), &Asker { gates: &gates, ..asker(moment, None) });
        assert_eq!(judged != Judgement::Pass, blocks, "{name} at {moment:?}");
    }
}

/// Information holds nobody, in the group as anywhere, unless it is asked for.
#[test]
fn the_end_waits_for_no_information_even_of_the_group() {
    let gates = ["Slow".to_owned()];
    for moment in [Moment::Finishing, Moment::Partial] {
        for (severity, asked, blocks) in
            [("info", false, false), ("none", false, false), ("info", true, true), ("none", true, true), ("warning", false, true)]
        {
            let slow = Alert { labels: BTreeMap::from([("severity".into(), severity.into())]), ..alert("Slow", true) };
            let answer = Answer::Known(vec![alert(ALERT_WATCHDOG, true), slow]);
            let judged = judge(&answer, &Asker { gates: &gates, info_holds: asked, ..asker(moment, None) });
            assert_eq!(judged != Judgement::Pass, blocks, "{severity}, asked for: {asked}, {moment:?}");
        }
    }
}

/// The week's run was refused, its Job failed, and the stock rules tell of that for as long as the Job is kept.
#[test]
fn a_failed_job_of_ours_does_not_hold_the_run_that_replaces_it() {
    for (namespace, label, name, holds) in [
        ("k8s-upgrade", "job_name", "k8s-upgrade-preflight-1-34-7", false),
        ("k8s-upgrade", "job_name", "k8s-version-check-29922480", false),
        ("k8s-upgrade", "cronjob", "k8s-version-check", false),
        ("default", "job_name", "pre-upgrade-etcd-1-34-7-5f3a21bc", false),
        ("default", "job_name", "backup-etcd-29922480", true),
        ("default", "job_name", "k8s-upgrade-preflight-1-34-7", true),
        ("k8s-upgrade", "pod", "k8s-upgrade-preflight-1-34-7-abcde", true),
    ] {
        let mut failed = alert("KubeJobFailed", true);
        failed.labels = [("namespace", namespace), (label, name)].map(|(key, value)| (key.into(), value.into())).into();
        let answer = Answer::Known(vec![alert(ALERT_WATCHDOG, true), failed]);
        assert_eq!(judge(&answer, &asker(Moment::Unclaimed, None)) != Judgement::Pass, holds, "{namespace} {name}");
    }
}

#[test]
fn matchers_leave_out_what_does_not_match_and_never_our_own() {
    let alert = |name: &str, severity: &str| Alert {
        name: name.into(),
        firing: true,
        labels: [("severity".to_owned(), severity.to_owned())].into(),
    };
    let matchers = ["severity=~\"critical|page\"".parse().unwrap()];
    let judged = |others: Vec<Alert>| {
        let alerts = std::iter::once(alert(ALERT_WATCHDOG, "none")).chain(others).collect();
        judge(&Answer::Known(alerts), &Asker { matchers: &matchers, ..asker(Moment::Unclaimed, None) })
    };
    assert_eq!(judged(vec![alert("NodeDiskFull", "warning"), alert("Other", "")]), Judgement::Pass);
    assert!(matches!(judged(vec![alert("NodeDiskFull", "critical")]), Judgement::Blocked(_)));
    assert!(matches!(judged(vec![alert(ALERT_BLOCKER, "warning")]), Judgement::Blocked(_)), "a person's block");
}

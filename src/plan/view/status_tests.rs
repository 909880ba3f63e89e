#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use super::*;
use crate::plan::model::fixture::*;
use crate::plan::model::halt::Halt;
use crate::plan::model::marks::Deferred;
use crate::plan::model::progress::Progress;

const NODE4: &str = "k8s-upgrade-worker-1-34-7-k8s-node4";

fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

/// The master is done, node4 is next.
fn run() -> Facts {
    let mut facts = in_flight(runbook());
    upgrade(&mut facts, "k8s-master", NEW);
    facts
}

fn seen(facts: Facts) -> ScreenInput {
    ScreenInput {
        off: Vec::new(),
        facts,
        leases: Vec::new(),
        driver: None,
        units: Vec::new(),
        no_watch: None,
        suspended: false,
        installed: None,
        warnings: BTreeMap::new(),
    }
}

fn shown(seen: &ScreenInput) -> Screen {
    screen(seen, &policy(), "homelab", "k8s-upgrade", now())
}

fn failed_with(exit: i32) -> JobState {
    JobState::Failed { reason: "PodFailurePolicy".into(), exit: Some(exit) }
}

#[test]
fn a_sidecar_that_outlives_our_container_is_named() {
    let mut seen = seen(run());
    seen.facts.jobs = vec![JobFact { outlived_by: vec!["istio-proxy".to_owned()], ..job(NODE4, JobState::Complete) }];
    let blocks: Vec<String> = shown(&seen).blocks.into_iter().map(|(what, _)| what).collect();
    assert!(blocks.iter().any(|what| what.contains(NODE4) && what.contains("istio-proxy runs on")), "{blocks:?}");
}

#[test]
fn a_deferred_run_is_said_to_wait_for_a_detection_that_is_suspended() {
    let mut seen = seen(runbook());
    let since = now() - jiff::SignedDuration::from_hours(2);
    seen.facts.marks.deferred = Some(Deferred { target: NEW, run: "5f3a21bc".parse().unwrap(), since });
    let (may, why) = shown(&seen).safe;
    assert!(may && why.contains("is tried again"), "{why}");
    seen.suspended = true;
    let (may, why) = shown(&seen).safe;
    assert!(may && why.contains("is not tried again: CronJob k8s-version-check is suspended"), "{why}");
}

#[test]
fn one_may_go_when_the_rest_goes_by_itself_or_nothing_is_left_out_of_service() {
    let safe = |change: fn(&mut ScreenInput)| {
        let mut seen = seen(run());
        change(&mut seen);
        shown(&seen).safe
    };
    assert!(safe(|seen| seen.facts.jobs = vec![job(NODE4, JobState::Active)]).0);
    assert!(safe(|seen| seen.facts.marks.in_flight = false).0);
    // What is halted does not go on by itself.
    let halted = safe(|seen| {
        seen.facts.jobs = vec![job(NODE4, JobState::Active)];
        seen.facts.marks.halted = Some(Halt { by: "ann".into(), run: true, ..Halt::default() });
    });
    assert!(halted.0 && halted.1.contains("stops at its next safe point"), "{halted:?}");
    // The watch takes it up; but not where there is no watch.
    assert!(safe(|seen| seen.facts.jobs = vec![job(NODE4, failed_with(5))]).0);
    let (may, why) = safe(|seen| {
        seen.facts.jobs = vec![job(NODE4, failed_with(5))];
        seen.no_watch = Some("CronJob k8s-upgrade-watch is suspended".into());
    });
    assert!(!may && why.contains("nothing takes the run up: CronJob k8s-upgrade-watch is suspended"), "{why}");
    // A person must change something: one may go as long as all nodes serve.
    assert!(safe(|seen| seen.facts.jobs = vec![job(NODE4, failed_with(4))]).0);
    let (may, why) = safe(|seen| {
        seen.facts.jobs = vec![job(NODE4, failed_with(4))];
        node(&mut seen.facts, "k8s-node4").cordoned_by = Some("5f3a21bc".into());
    });
    assert!(!may && why.contains("k8s-node4 is out of service"), "{why}");
    // What only lives in somebody's terminal, a pod that cannot start, a cordon that a run left.
    assert!(!safe(|seen| seen.facts.marks.local = Some("wizard-1".into())).0);
    let (may, why) = safe(|seen| {
        let job = job(NODE4, JobState::Active);
        seen.facts.jobs = vec![JobFact { pending: Some("ImagePullBackOff: no".into()), ..job }];
    });
    assert!(!may && why.contains("ImagePullBackOff"), "{why}");
    assert!(
        !safe(|seen| {
            seen.facts.marks.in_flight = false;
            node(&mut seen.facts, "k8s-node4").cordoned_by = Some("5f3a21bc".into());
        })
        .0
    );
}

#[test]
fn the_last_failure_is_the_runs_own_and_only_if_nothing_followed_it() {
    let mut facts = run();
    let at = |time: &str| format!("2026-11-22T{time}:00Z").parse().ok();
    facts.jobs = vec![JobFact { created: at("12:10"), ..job("k8s-upgrade-master-1-34-7", failed_with(5)) }];
    assert_eq!(last_failed(&facts).map(|job| job.name.as_str()), Some("k8s-upgrade-master-1-34-7"));
    facts.jobs.push(JobFact { created: at("12:20"), ..job(NODE4, JobState::Active) });
    assert_eq!(last_failed(&facts), None);
    facts.jobs = vec![JobFact { run: "00000000".parse().ok(), ..job(NODE4, failed_with(5)) }];
    assert_eq!(last_failed(&facts), None, "of a run before");
    facts.marks.in_flight = false;
    assert!(last_failed(&facts).is_some(), "of a run that was never claimed");
}

#[test]
fn what_is_not_recorded_is_said_to_be_so_and_the_jobs_own_words_stand() {
    let mut seen = seen(run());
    let told = |seen: &ScreenInput| shown(seen).failure.unwrap().told.what;
    seen.facts.jobs = vec![JobFact { message: Some("deadline".into()), pod: Some("p".into()), ..job(NODE4, failed_with(5)) }];
    assert_eq!(told(&seen), ["pod p has recorded no progress", "deadline"]);
    // Whatever build wrote it, what can be told is.
    let newer = Progress::read(r#"{"version":2,"writer":"p"}"#);
    seen.facts.jobs[0].progress = Some(newer.clone());
    let why = "its progress record has version 2, written by another build; this build reads version 1";
    assert_eq!(told(&seen), [why, "deadline"]);
    seen.facts.jobs = vec![JobFact { progress: Some(newer), ..job(NODE4, JobState::Active) }];
    assert_eq!(shown(&seen).work[0].silent.as_deref(), Some(why));
}

/// A Job's next try begins with the record of the one before: how that ended is told, and what that did is not.
#[test]
fn the_record_of_an_earlier_try_tells_how_that_ended_alone() {
    let text = r#"{"version":1,"writer":"first","written":"2026-11-22T12:00:00Z","ended":true,
        "doing":{"failure":{"what":["x"]},"last":"12:00:00  a"}}"#;
    let record = Progress::read(text).unwrap();
    let of = |pod: &str| {
        let mut seen = seen(run());
        seen.facts.jobs =
            vec![JobFact { progress: Some(Ok(record.clone())), pod: Some(pod.into()), ..job(NODE4, JobState::Active) }];
        (seen.facts.jobs[0].is_between(), shown(&seen).work.remove(0))
    };
    let (between, work) = of("first");
    assert!(between && work.silent.is_none() && work.doing.last.is_some(), "{work:?}");
    let (between, work) = of("second");
    assert!(!between && work.doing.last.is_none(), "{work:?}");
    assert_eq!(work.silent.as_deref(), Some("pod second has recorded no progress"));
    assert_eq!(work.doing.failure.unwrap().what, ["x"]);
}

#[test]
fn a_large_cluster_is_not_listed_to_its_end() {
    let seen = seen(in_flight(cluster(1, 40)));
    let then = shown(&seen).then.unwrap();
    assert_eq!(then, "master/k8s-master, worker/k8s-node40, worker/k8s-node39, worker/k8s-node38, 37 more, postflight");
}

/// What never got a pod, or has one that does not begin, is no Job at work; for a minute it is a new one.
#[test]
fn a_job_without_a_pod_that_runs_is_a_block() {
    let at = |time: &str| format!("2026-11-22T{time}Z").parse().ok();
    let of = |since: &str, pod: Option<&str>, warning: Option<Answer<Option<String>>>| {
        let mut seen = seen(run());
        let job = JobFact { waits_since: at(since), pod: pod.map(str::to_owned), ..job(NODE4, JobState::Active) };
        seen.facts.jobs = vec![job];
        seen.warnings = warning.map(|warning| (NODE4.to_owned(), warning)).into_iter().collect();
        shown(&seen)
    };
    let new = of("12:59:01", None, None);
    assert!(new.blocks.is_empty() && new.safe.0, "{new:?}");
    let quota = || Some(Answer::Known(Some("FailedCreate: exceeded quota".to_owned())));
    for (pod, warning, what) in [
        (None, quota(), "has no pod: FailedCreate: exceeded quota"),
        (None, Some(Answer::Known(None)), "has no pod: no event says why"),
        (None, Some(Answer::Unknown("events is forbidden".into())), "has no pod: why is not known: events is forbidden"),
    ] {
        let screen = of("10:15:00", pod, warning);
        assert_eq!(screen.blocks, [(format!("{NODE4} {what}"), at("10:15:00"))]);
        assert!(!screen.safe.0 && screen.safe.1.contains(what), "{:?}", screen.safe);
        assert!(screen.commands.iter().any(|line| line.contains(&format!("describe job {NODE4}"))), "{:?}", screen.commands);
    }
    let mount = "FailedMount: secret \"k8s-upgrade-creds\" not found";
    let screen = of("10:15:00", Some("p"), Some(Answer::Known(Some(mount.to_owned()))));
    assert_eq!(screen.blocks[0].0, format!("the pod of {NODE4} does not start: {mount}"));
    assert!(screen.commands.iter().any(|line| line.contains("describe pod p")), "{:?}", screen.commands);
}

/// Of each kind by its own: nothing is known of workers before the first is done, and nothing is foreseen while the run is held.
#[test]
fn what_the_nodes_of_this_run_took_says_when_the_others_are_done() {
    let left = |done: &[(&str, &str)], change: fn(&mut ScreenInput)| {
        let mut facts = run();
        for (name, at) in done {
            upgrade(&mut facts, name, NEW);
            node(&mut facts, name).changed_at = format!("2026-11-22T{at}:00Z").parse().ok();
        }
        facts.jobs = vec![job("k8s-upgrade-worker-1-34-7-k8s-node3", JobState::Active)];
        let mut seen = seen(facts);
        change(&mut seen);
        let left = shown(&seen).run.unwrap().left?;
        Some((left.nodes, left.until.strftime("%H:%M").to_string()))
    };
    let done = [("k8s-master", "12:45"), ("k8s-node4", "12:55")];
    assert_eq!(left(&done, |_| {}), Some((3, "13:25".to_owned())));
    assert_eq!(left(&done[..1], |_| {}), None);
    // Its turn is long over: the guess was wrong.
    assert_eq!(left(&[("k8s-master", "12:05"), ("k8s-node4", "12:10")], |_| {}), None);
    assert_eq!(left(&done, |seen| seen.facts.marks.halted = Some(Halt { by: "ann".into(), run: true, ..Halt::default() })), None);
    assert_eq!(left(&done, |seen| seen.facts.jobs.clear()), None);
}

//! Every kind of hold, what is none, and when people are told again.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::plan::model::fixture::{NEW, in_flight, job, policy, runbook, upgrade};
use crate::plan::model::halt::Halt;
use crate::plan::model::marks::Deferred;
use crate::plan::model::progress::{Awaited, Doing, Draining, Progress, VERSION, Waiting};

/// `12:34` of the day on which all of this happens.
fn at(time: &str) -> Timestamp {
    format!("2026-11-22T{time}:00Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("14:00")
}

const NODE4: &str = "k8s-upgrade-worker-1-34-7-k8s-node4";

/// The control plane is done, and node4's Job is the newest.
fn at_node4(state: JobState, doing: Doing) -> Facts {
    let mut facts = in_flight(runbook());
    upgrade(&mut facts, "k8s-master", NEW);
    let progress = Progress { version: VERSION, writer: "pod".into(), written: at("13:00"), ended: false, doing };
    facts.jobs = vec![JobFact {
        created: Some(at("13:00")),
        ended: (state != JobState::Active).then(|| at("13:30")),
        pod: Some("pod".into()),
        progress: Some(Ok(progress)),
        pin: Some("k8s-node1".into()),
        pods: vec![crate::plan::model::facts::PodFact { node: Some("k8s-node1".into()), created: Some(at("13:00")) }],
        ..job(NODE4, state)
    }];
    facts
}

fn waits(on: Awaited) -> Doing {
    Doing { wait: Some(Waiting { on, since: at("13:10"), until: at("15:00") }), ..Doing::default() }
}

fn failed(exit: i32) -> JobState {
    JobState::Failed { reason: "PodFailurePolicy".into(), exit: Some(exit) }
}

fn with(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

/// `worker/k8s-node4 since 13:30`, or that nothing holds.
fn told(facts: &Facts) -> String {
    match held(facts, &policy(), now()) {
        None => "nothing".to_owned(),
        Some(hold) => format!("{} since {}", hold.at.key(), hold.since.strftime("%H:%M")),
    }
}

fn halt() -> Halt {
    Halt { run: true, at: Some(at("13:50")), ..Halt::default() }
}

fn deferred() -> Facts {
    let mut facts = runbook();
    facts.marks.deferred = Some(Deferred { target: NEW, run: "5f3a21bc".parse().unwrap(), since: at("12:05") });
    facts
}

#[test]
fn every_kind_of_hold_is_known() {
    let works = || at_node4(JobState::Active, Doing::default());
    let held_drain = Draining { left: 1, total: 9, held: vec![("a/b (PDB)".into(), at("13:20")), ("c/d".into(), at("13:15"))] };
    let gate = Awaited { gate: Some("alerts".into()), ..Awaited::new("alerts to resolve", "NodeDiskFull") };
    let local = |facts: &mut Facts| facts.marks.local = Some("ann".into());
    for (what, facts, wanted) in [
        // no hold
        ("nothing at all", runbook(), "nothing"),
        ("a Job that works", works(), "nothing"),
        ("a soak", at_node4(JobState::Active, waits(Awaited::soak(&[]))), "nothing"),
        ("a halt, a Job finishes its step", with(works(), |facts| facts.marks.halted = Some(halt())), "nothing"),
        ("a halt without a run", with(runbook(), |facts| facts.marks.halted = Some(halt())), "nothing"),
        ("a deferred run that is tried now", with(deferred(), |facts| facts.jobs = works().jobs), "nothing"),
        (
            "a deferred run, and nothing is left to do",
            with(deferred(), |facts| {
                let names: Vec<String> = facts.nodes.iter().map(|node| node.name.clone()).collect();
                names.iter().for_each(|name| upgrade(facts, name, NEW));
            }),
            "nothing",
        ),
        // a Job waits
        ("a Job at a gate", at_node4(JobState::Active, waits(gate.clone())), "worker/k8s-node4 since 13:10"),
        (
            "a soak that looks bad",
            at_node4(JobState::Active, waits(Awaited::soak(&["x".into()]))),
            "worker/k8s-node4 since 13:10",
        ),
        (
            "a drain that is held",
            at_node4(JobState::Active, Doing { drain: Some(held_drain), ..Doing::default() }),
            "worker/k8s-node4 since 13:15",
        ),
        (
            "a Job without a pod",
            with(works(), |facts| facts.jobs[0].waits_since = Some(at("13:40"))),
            "worker/k8s-node4 since 13:40",
        ),
        (
            "a pod that does not run",
            with(works(), |facts| facts.jobs[0].pending = Some("ImagePullBackOff".into())),
            "worker/k8s-node4 since 13:00",
        ),
        (
            "a Job whose node is gone",
            with(works(), |facts| {
                facts.jobs[0].pods.clear();
                facts.jobs[0].pin = Some("gone".into());
            }),
            "worker/k8s-node4 since 14:00",
        ),
        // nothing is at work
        ("after a hold", at_node4(failed(3), Doing::default()), "worker/k8s-node4 since 13:30"),
        ("after a refusal", at_node4(failed(4), Doing::default()), "worker/k8s-node4 since 13:30"),
        ("after a failure", at_node4(failed(5), Doing::default()), "worker/k8s-node4 since 13:30"),
        ("after a bug", at_node4(failed(101), Doing::default()), "worker/k8s-node4 since 13:30"),
        ("after a Job that somebody deleted", with(works(), |facts| facts.jobs.clear()), "worker/k8s-node4 since 14:00"),
        (
            "a process by hand that has died",
            with(works(), |facts| {
                facts.jobs.clear();
                local(facts);
            }),
            "worker/k8s-node4 since 14:00",
        ),
        (
            "a run that nobody can read",
            with(at_node4(failed(5), Doing::default()), |facts| facts.marks.target = None),
            " since 13:30",
        ),
        (
            "a halt, nothing is at work",
            with(at_node4(failed(130), Doing::default()), |facts| facts.marks.halted = Some(halt())),
            "halt 2026-11-22T13:50:00Z since 13:50",
        ),
        ("a deferred run", deferred(), "deferred since 12:05"),
    ] {
        assert_eq!(told(&facts), wanted, "{what}");
    }
    // Another that works is enough.
    let mut two = at_node4(JobState::Active, waits(gate));
    two.jobs.push(JobFact { name: "other".into(), ..works().jobs.remove(0) });
    assert_eq!(told(&two), "nothing");
}

/// A watch each ten minutes: at which hours after its beginning people are told.
fn told_at(
    hold: &Hold,
    former: Option<Reminded>,
    ticks: impl IntoIterator<Item = i64>,
    arrives: impl Fn(i64) -> bool,
) -> Vec<i64> {
    let mut former = former;
    let mut hours = Vec::new();
    for tick in ticks {
        let now = hold.since + SignedDuration::from_mins(10 * tick);
        let mut reminded = known(hold, former.as_ref());
        if is_due(&reminded, now) {
            hours.push(tick / 6);
            reminded = if arrives(tick) { reminded.told(now) } else { reminded };
        }
        former = Some(reminded);
    }
    hours
}

#[test]
fn people_are_told_after_one_hour_six_and_each_day() {
    let hold = held(&at_node4(failed(3), Doing::default()), &policy(), now()).unwrap();
    let of = |ticks: Vec<i64>, arrives: fn(i64) -> bool| told_at(&hold, None, ticks, arrives);
    assert_eq!(of((0..=6 * 24 * 3).collect(), |_| true), [1, 6, 24, 48, 72]);
    // A watch that was away tells once what it has missed.
    assert_eq!(of(vec![0, 6 * 50, 6 * 50 + 1, 6 * 71, 6 * 72], |_| true), [50, 72]);
    // What does not arrive is tried again, and told once it does.
    assert_eq!(of((0..=6 * 7).collect(), |tick| tick >= 9), [1, 1, 1, 1, 6]);
    // Later tries know only of their own time: it is the same hold.
    let again = Hold { since: hold.since + SignedDuration::from_hours(5), ..hold.clone() };
    let first = known(&hold, None).told(hold.since + SignedDuration::from_hours(1));
    let known_of = known(&again, Some(&first));
    assert_eq!((known_of.since, known_of.times), (hold.since, 1));
    assert!(is_due(&known_of, hold.since + SignedDuration::from_hours(6)));
    // Another step, another run, another halt: all begins anew.
    for other in [
        Hold { at: At::Step(Some(Step::postflight())), ..again.clone() },
        Hold { run: "0badcafe".into(), ..again.clone() },
        Hold { at: At::Halt(Some(at("13:00"))), ..again.clone() },
    ] {
        let anew = known(&other, Some(&first));
        assert_eq!((anew.since, anew.times, anew.last), (other.since, 0, None));
    }
    // A clock that goes wrong, or a record from the future, tells nobody again and again.
    let ahead = known(&hold, None).told(hold.since + SignedDuration::from_hours(90));
    assert!(!is_due(&ahead, hold.since + SignedDuration::from_hours(80)));
    assert!(!is_due(&known(&hold, None), hold.since - SignedDuration::from_hours(80)));
    assert!(is_due(&Reminded { since: Timestamp::MIN, ..known(&hold, None) }, now()));
}

//! What the watch takes up, what it leaves, and that it comes to an end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::plan::model::facts::PodFact;
use crate::plan::model::fixture::*;
use crate::plan::model::halt::Halt;
use crate::plan::model::version::Version;

const PREFLIGHT: &str = "k8s-upgrade-preflight-1-34-7";
const MASTER: &str = "k8s-upgrade-master-1-34-7";
const NODE4: &str = "k8s-upgrade-worker-1-34-7-k8s-node4";
const NODE3: &str = "k8s-upgrade-worker-1-34-7-k8s-node3";
const AT_WORK: &str = "left: Job worker-node4 is at work";
const NODE1: &str = "k8s-upgrade-worker-1-34-7-k8s-node1";

/// `12:34` of the day on which all of this happens.
fn at(time: &str) -> Timestamp {
    format!("2026-11-22T{time}:00Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("14:00")
}

fn failed(exit: i32) -> JobState {
    let reason = if Retry::after(exit) != Retry::Counted { "PodFailurePolicy" } else { "BackoffLimitExceeded" };
    JobState::Failed { reason: reason.to_owned(), exit: Some(exit) }
}

fn unknown(reason: &str) -> JobState {
    JobState::Failed { reason: reason.to_owned(), exit: None }
}

fn at_work(name: &str, created: &str, state: JobState) -> JobFact {
    JobFact { created: Some(at(created)), pin: Some("k8s-node1".to_owned()), ..job(name, state) }
}

/// The master is done; node4's Job is the newest.
fn at_node4(state: JobState) -> Facts {
    let mut facts = in_flight(runbook());
    upgrade(&mut facts, "k8s-master", NEW);
    facts.jobs = vec![
        // In no order, as an API server lists them.
        at_work(NODE4, "13:00", state),
        at_work(PREFLIGHT, "12:00", JobState::Complete),
        at_work(MASTER, "12:20", JobState::Complete),
    ];
    facts
}

/// `NODE@PIN times held, hands on UID`, or why nothing is done.
fn judged(facts: &Facts) -> String {
    match judge(facts, &policy(), now()).unwrap() {
        Verdict::Leave(why) => format!("left: {why}"),
        Verdict::TakeUp(found) => {
            let TakeUp { planned, hands_on, .. } = *found;
            let replaces = planned.replaces.map_or(String::new(), |uid| format!(" for {}", uid.trim_start_matches("uid-of-")));
            let taken_up =
                planned.taken_up.map_or("anew".to_owned(), |t| format!("{}{}", t.times, if t.held { " held" } else { "" }));
            let hands_on = hands_on.map_or(String::new(), |uid| format!(", after {}", uid.trim_start_matches("uid-of-")));
            format!("{}@{} {taken_up}{replaces}{hands_on}", planned.step.token(), planned.pin.unwrap_or("any".to_owned()))
        }
    }
    .replace("k8s-upgrade-", "")
    .replace("-1-34-7", "")
    .replace("k8s-", "")
}

#[test]
fn how_the_newest_job_ended_decides() {
    for (state, wanted) in [
        (failed(5), "worker/node4@node1 1 for worker-node4"),
        (failed(6), "worker/node4@node1 1 for worker-node4"),
        (failed(7), "worker/node4@node1 1 for worker-node4"),
        (failed(137), "worker/node4@node1 1 for worker-node4"),
        (failed(143), "worker/node4@node1 1 for worker-node4"),
        (unknown("DeadlineExceeded"), "worker/node4@node1 1 for worker-node4"),
        (unknown("BackoffLimitExceeded"), "worker/node4@node1 1 for worker-node4"),
        (failed(3), "worker/node4@node1 0 held for worker-node4"),
        (failed(1), "left: Job worker-node4 failed (PodFailurePolicy, exit 1): a person must change something first"),
        (failed(2), "left: Job worker-node4 failed (PodFailurePolicy, exit 2): a person must change something first"),
        (failed(4), "left: Job worker-node4 failed (PodFailurePolicy, exit 4): a person must change something first"),
        (failed(130), "left: Job worker-node4 failed (PodFailurePolicy, exit 130): a person must change something first"),
        // One of those that fail a Job at once, its pod gone.
        (unknown("PodFailurePolicy"), "left: Job worker-node4 failed (PodFailurePolicy): a person must change something first"),
        (JobState::Active, "left: Job worker-node4 is at work"),
        (JobState::Complete, "left: Job worker-node4 is complete, and its successor is gone: somebody deleted it"),
    ] {
        assert_eq!(judged(&at_node4(state.clone())), wanted, "{state:?}");
    }
}

#[test]
fn what_a_person_may_have_meant_is_left_alone() {
    let orphaned = || at_node4(failed(5));
    let without = |change: &dyn Fn(&mut Facts)| {
        let mut facts = orphaned();
        change(&mut facts);
        judged(&facts)
    };
    assert_eq!(judged(&orphaned()), "worker/node4@node1 1 for worker-node4");
    let halted = without(&|facts| facts.marks.halted = Some(Halt::read("by me")));
    assert_eq!(halted, "left: upgrades are halted: by me");
    let ended = without(&|facts| facts.marks.in_flight = false);
    assert_eq!(ended, "left: no run is in flight");
    let local = without(&|facts| facts.marks.local = Some("eve-1".to_owned()));
    assert_eq!(local, "left: eve-1 has taken the run over in a process of their own");
    let deleted = without(&|facts| facts.jobs.retain(|job| job.name != NODE4));
    assert_eq!(deleted, "left: Job master is complete, and its successor is gone: somebody deleted it");
    let going = without(&|facts| facts.jobs[0].deleting = true);
    assert_eq!(going, "left: Job worker-node4 is being deleted");
    let no_job = "left: the run has no Job: somebody deleted it, or a process outside the cluster performs the run";
    assert_eq!(without(&|facts| facts.jobs.clear()), no_job);
    let of_others = without(&|facts| facts.jobs.iter_mut().for_each(|job| job.run = "00000000".parse().ok()));
    assert_eq!(of_others, no_job, "Jobs of an earlier run say nothing of this one");
    let unnamed = without(&|facts| {
        facts.marks.run_id = None;
        facts.jobs.iter_mut().for_each(|job| job.run = None);
    });
    assert_eq!(unnamed, no_job, "a run that this program did not begin");
}

#[test]
fn what_cannot_be_planned_is_told() {
    let mut facts = at_node4(failed(5));
    facts.nodes.iter_mut().for_each(|node| node.ready = false);
    assert!(
        judged(&facts).starts_with(
            "left: the run cannot be taken up now: no node that is trusted with the SSH key can run the Job that drains"
        ),
        "{}",
        judged(&facts)
    );
    facts.marks.target = None;
    assert!(judged(&facts).contains("but not to which version"), "{}", judged(&facts));
}

/// Plays the watch against a Job that always ends in `state`: what each watch did, until it leaves the run alone or 12 watches are over.
fn played(mut facts: Facts, state: &JobState) -> Vec<String> {
    let mut told = Vec::new();
    for turn in 0..12 {
        told.push(judged(&facts));
        let Verdict::TakeUp(found) = judge(&facts, &policy(), now()).unwrap() else { break };
        facts.jobs.retain(|job| Some(&job.uid) != found.planned.replaces.as_ref());
        facts.marks.handed_on = found.hands_on;
        facts.jobs.push(JobFact {
            uid: format!("{turn}"),
            taken_up: found.planned.taken_up,
            ..at_work(&found.planned.job, &format!("13:{}", 10 + turn), state.clone())
        });
    }
    told
}

#[test]
fn a_step_that_fails_is_taken_up_three_times() {
    let told = played(at_node4(failed(5)), &failed(5));
    let counted: Vec<_> = told.iter().map(|told| told.split(" for ").next().unwrap()).collect();
    let end =
        "left: Job worker-node4 failed (BackoffLimitExceeded, exit 5), and this step was retried 3 times: it needs manual action";
    assert_eq!(counted, ["worker/node4@node1 1", "worker/node4@node1 2", "worker/node4@node1 3", end]);
}

#[test]
fn a_step_that_holds_is_asked_again_without_an_end_and_without_being_counted() {
    let mut facts = at_node4(failed(5));
    facts.jobs[0].taken_up = Some(TakenUp { times: 2, held: false });
    let told = played(facts, &failed(3));
    assert!(told[0].starts_with("worker/node4@node1 3 for"), "{told:?}");
    assert!(told.len() == 12 && told[1..].iter().all(|told| told.starts_with("worker/node4@node1 3 held for")), "{told:?}");
}

#[test]
fn a_hold_and_then_a_failure_count_and_are_told_again() {
    let mut facts = at_node4(failed(5));
    facts.jobs[0].taken_up = Some(TakenUp { times: 1, held: true });
    assert_eq!(judged(&facts), "worker/node4@node1 2 for worker-node4");
}

#[test]
fn a_job_that_died_with_its_work_done_is_followed_by_the_next_step_once() {
    let mut facts = at_node4(failed(137));
    facts.jobs[0].taken_up = Some(TakenUp { times: 3, held: false });
    upgrade(&mut facts, "k8s-node4", NEW);
    assert_eq!(judged(&facts), "worker/node3@node1 anew, after worker-node4");
    // Its successor fails for good: counted by itself.
    assert_eq!(played(facts.clone(), &failed(5)).len(), 5);
    // Created, and then deleted by somebody.
    facts.marks.handed_on = Some(format!("uid-of-{NODE4}"));
    assert_eq!(judged(&facts), "left: Job worker-node3 had followed worker-node4, and is gone: somebody deleted it");
    // A person's word about it stands.
    facts.jobs[0].state = failed(4);
    assert!(judged(&facts).starts_with("left: Job worker-node4 failed (PodFailurePolicy, exit 4)"));
}

#[test]
fn a_step_that_the_facts_call_undone_again_is_counted_on() {
    let mut facts = at_node4(failed(5));
    upgrade(&mut facts, "k8s-node4", NEW);
    facts.jobs[0].taken_up = Some(TakenUp { times: 2, held: false });
    facts.jobs.push(at_work(NODE3, "13:30", failed(5)));
    node(&mut facts, "k8s-node4").cordoned_by = Some("5f3a21bc".to_owned());
    assert_eq!(judged(&facts), "worker/node4@node1 3 for worker-node4, after worker-node3");
    facts.jobs[0].taken_up = Some(TakenUp { times: 3, held: false });
    assert!(judged(&facts).ends_with("this step was retried 3 times: it needs manual action"));
}

#[test]
fn a_watch_that_dies_between_deleting_and_creating_leaves_word() {
    let mut facts = at_node4(failed(5));
    facts.jobs[0].taken_up = Some(TakenUp { times: 1, held: false });
    let Verdict::TakeUp(found) = judge(&facts, &policy(), now()).unwrap() else { panic!() };
    facts.marks.taking_up = found.intent();
    assert_eq!(facts.marks.taking_up.as_deref(), Some("k8s-upgrade-worker-1-34-7-k8s-node4 2"));
    assert_eq!(judged(&facts), "worker/node4@node1 2 for worker-node4", "nothing was deleted yet");
    let dead = facts.jobs.remove(0);
    assert_eq!(judged(&facts), "worker/node4@node1 2");
    // It was created after all, and has failed since.
    facts.jobs.push(JobFact { taken_up: found.planned.taken_up, ..dead });
    assert_eq!(judged(&facts), "worker/node4@node1 3 for worker-node4");
    // Its work is done: the word is about another step.
    facts.jobs.pop();
    upgrade(&mut facts, "k8s-node4", NEW);
    assert!(judged(&facts).starts_with("left: Job master is complete"));
    assert_eq!(read_intent("j 0 held"), Some(("j", TakenUp { times: 0, held: true })));
    assert_eq!(read_intent("j"), None);
    // Nothing is deleted, nothing needs to be said.
    let mut facts = at_node4(failed(5));
    upgrade(&mut facts, "k8s-node4", NEW);
    let Verdict::TakeUp(found) = judge(&facts, &policy(), now()).unwrap() else { panic!() };
    assert_eq!(found.intent(), None);
}

/// node4's Job is active, pinned to node1, with one pod.
fn with_pod(on: Option<&str>, created: &str) -> Facts {
    let mut facts = at_node4(JobState::Active);
    facts.jobs[0].pods = vec![PodFact { node: on.map(str::to_owned), created: Some(at(created)) }];
    facts
}

fn not_ready(facts: &mut Facts, name: &str, since: &str) {
    let node = node(facts, name);
    (node.ready, node.ready_since) = (false, Some(at(since)));
}

#[test]
fn a_job_whose_pin_is_out_of_use_gets_another_when_its_pod_cannot_act() {
    // An upgraded node comes first.
    const MOVED: &str = "worker/node4@master anew for worker-node4";
    for (pod, pin, since, wanted) in [
        (None, "not ready", "13:49", MOVED),
        (None, "not ready", "13:51", AT_WORK),
        (Some("k8s-node1"), "not ready", "13:49", MOVED),
        (Some("k8s-node1"), "not ready", "13:51", AT_WORK),
        (None, "cordoned", "13:49", MOVED),
        (None, "cordoned", "13:51", AT_WORK),
        // What runs there still runs.
        (Some("k8s-node1"), "cordoned", "13:00", AT_WORK),
        (None, "usable", "13:00", AT_WORK),
        (Some("k8s-node1"), "usable", "13:00", AT_WORK),
    ] {
        let mut facts = with_pod(pod, "13:01");
        match pin {
            "not ready" => not_ready(&mut facts, "k8s-node1", since),
            "cordoned" => {
                let node = node(&mut facts, "k8s-node1");
                (node.unschedulable, node.cordoned_since) = (true, Some(at(since)));
            }
            _ => {}
        }
        assert_eq!(judged(&facts), wanted, "pod on {pod:?}, pin {pin} since {since}");
    }
}

#[test]
fn where_nobody_says_since_when_the_pods_own_wait_counts() {
    for (created, moved) in [("13:49", true), ("13:51", false)] {
        let mut cordoned = with_pod(None, created);
        node(&mut cordoned, "k8s-node1").unschedulable = true;
        let mut gone = with_pod(None, created);
        gone.nodes.retain(|node| node.name != "k8s-node1");
        // Without node1, node2 is the runner.
        for (facts, pin) in [(cordoned, "master"), (gone, "node2")] {
            let wanted = if moved { format!("worker/node4@{pin} anew for worker-node4") } else { AT_WORK.to_owned() };
            assert_eq!(judged(&facts), wanted, "waiting since {created}");
        }
    }
    // A pod on a node that is gone is not known to be dead.
    let mut gone = with_pod(Some("k8s-node1"), "13:00");
    gone.nodes.retain(|node| node.name != "k8s-node1");
    assert_eq!(judged(&gone), AT_WORK);
    let mut unknown = with_pod(None, "13:00");
    (node(&mut unknown, "k8s-node1").ready, node(&mut unknown, "k8s-node1").ready_since) = (false, None);
    assert_eq!(judged(&unknown), AT_WORK);
}

#[test]
fn a_moved_job_keeps_its_count_and_one_that_works_elsewhere_keeps_all_others_away() {
    let mut facts = with_pod(None, "13:01");
    not_ready(&mut facts, "k8s-node1", "13:00");
    facts.jobs[0].taken_up = Some(TakenUp { times: 3, held: true });
    assert_eq!(judged(&facts), "worker/node4@master 3 held for worker-node4");
    facts.jobs[2].state = JobState::Active; // the predecessor, about to end on a node that lives
    facts.jobs[2].pin = Some("k8s-node2".to_owned());
    assert_eq!(judged(&facts), "left: Job master is at work");
    facts.jobs[2].state = JobState::Complete;
    facts.jobs[0].run = "00000000".parse().ok();
    assert_eq!(judged(&facts), "left: Job worker-node4 is at work", "another run's Job is not ours to replace");
}

#[test]
fn a_stuck_job_whose_work_is_done_is_followed_and_stands_in_nobodys_way() {
    let mut facts = with_pod(Some("k8s-node1"), "13:01");
    not_ready(&mut facts, "k8s-node1", "13:00");
    upgrade(&mut facts, "k8s-node4", NEW);
    assert_eq!(judged(&facts), "worker/node3@master anew, after worker-node4");
    // It still counts as active when its successor has failed.
    facts.marks.handed_on = Some(format!("uid-of-{NODE4}"));
    facts.jobs.push(JobFact { pin: Some("k8s-node4".to_owned()), ..at_work(NODE3, "13:50", failed(5)) });
    assert_eq!(judged(&facts), "worker/node3@master 1 for worker-node3");
}

#[test]
fn the_last_steps_are_taken_up_as_well() {
    let mut facts = in_flight(runbook());
    ["k8s-master", "k8s-node2", "k8s-node3", "k8s-node4"].iter().for_each(|name| upgrade(&mut facts, name, NEW));
    facts.jobs = vec![JobFact { pin: Some("k8s-master".to_owned()), ..at_work(NODE1, "13:00", failed(7)) }];
    assert_eq!(judged(&facts), "worker/node1@master 1 for worker-node1");
    upgrade(&mut facts, "k8s-node1", NEW);
    assert_eq!(judged(&facts), "postflight@any anew, after worker-node1");
    let postflight = |state| JobFact { pin: None, ..at_work("k8s-upgrade-postflight-1-34-7", "13:20", state) };
    facts.jobs.push(postflight(failed(3)));
    assert_eq!(judged(&facts), "postflight@any 0 held for postflight");
    // Without a pin, the node that its pod is on counts.
    facts.jobs[1] = postflight(JobState::Active);
    facts.jobs[1].pods = vec![PodFact { node: Some("k8s-node3".to_owned()), created: Some(at("13:21")) }];
    assert_eq!(judged(&facts), "left: Job postflight is at work");
    not_ready(&mut facts, "k8s-node3", "13:30");
    assert_eq!(judged(&facts), "postflight@any anew for postflight");
    facts.jobs[1].pods[0].node = None;
    assert_eq!(judged(&facts), "left: Job postflight is at work");
}

/// Deferred at 12:05, its preflight at 12:00; now it is 14:00.
fn deferred(jobs: Vec<JobFact>) -> Facts {
    let mut facts = runbook();
    facts.marks.deferred = Some("1.34.7 5f3a21bc 2026-11-22T12:05:00Z".parse().unwrap());
    facts.jobs = jobs.into_iter().map(|job| JobFact { run: "5f3a21bc".parse().ok(), ..job }).collect();
    facts
}

#[test]
fn a_deferred_run_is_tried_again_hourly() {
    for (created, wanted) in [
        ("12:00", "preflight@node1 anew for preflight"),
        ("13:00", "preflight@node1 anew for preflight"),
        ("13:10", "left: the run to 1.34.7 that was deferred at 2026-11-22T12:05:00Z is tried again at 2026-11-22T14:10:00Z"),
    ] {
        assert_eq!(judged(&deferred(vec![at_work(PREFLIGHT, created, JobState::Complete)])), wanted, "{created}");
    }
    // Detection alone had deferred it; or a watch died between two Jobs.
    assert_eq!(judged(&deferred(Vec::new())), "preflight@node1 anew");
    // Its try met with a package mirror that is away, or with a pod that was killed.
    for exit in [7, 137] {
        let facts = deferred(vec![at_work(PREFLIGHT, "13:00", failed(exit))]);
        assert_eq!(judged(&facts), "preflight@node1 anew for preflight", "{exit}");
    }
}

#[test]
fn a_deferred_run_is_left_where_it_must_not_begin() {
    let held = || vec![at_work(PREFLIGHT, "12:00", JobState::Complete)];
    let left = |facts: &Facts, says: &str| {
        let judged = judged(facts);
        assert!(judged.starts_with("left: ") && judged.contains(says), "{judged} should say {says}");
    };
    let mut facts = deferred(held());
    facts.marks.deferred = None; // a preflight that ended and was given up
    left(&facts, "no run is in flight");
    let mut facts = deferred(held());
    facts.marks.deferred.as_mut().unwrap().since = "2026-11-21T13:59:00Z".parse().unwrap();
    left(&facts, "is tried no more after 24h 00m: it waits");
    for run in [true, false] {
        let mut facts = deferred(held());
        facts.marks.halted = Some(Halt { run, suspended: true, ..Halt::default() });
        left(&facts, "is not tried again: ");
    }
    left(&deferred(vec![at_work(PREFLIGHT, "12:00", JobState::Active)]), "is at work");
    left(&deferred(vec![at_work(PREFLIGHT, "12:00", failed(4))]), "a person must change something first");
    let mut facts = deferred(held());
    for name in ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"] {
        upgrade(&mut facts, name, NEW);
    }
    left(&facts, "every node is at 1.34.7");
    upgrade(&mut facts, "k8s-node4", Version::new(1, 35, 0)); // somebody went past it
    left(&facts, "cannot be tried again now: 1.34.7 is older than what runs");
}

/// Approved at 10:00 until 15:00; now it is 14:00.
fn approved(jobs: Vec<JobFact>) -> Facts {
    let mut facts = deferred(jobs);
    facts.marks.deferred = None;
    facts.marks.approved = Some("1.34.7 5f3a21bc 2026-11-22T10:00:00Z 2026-11-22T15:00:00Z ann".parse().unwrap());
    facts
}

#[test]
fn an_approval_begins_a_run_as_long_as_it_holds() {
    let says = |facts: &Facts, wanted: &str| {
        let judged = judged(facts);
        assert!(judged.contains(wanted), "{judged} should say {wanted}");
    };
    // At once, and then hourly.
    assert_eq!(judged(&approved(Vec::new())), "preflight@node1 anew");
    says(&approved(vec![at_work(PREFLIGHT, "13:10", JobState::Complete)]), "is tried again at 2026-11-22T14:10:00Z");
    assert_eq!(judged(&approved(vec![at_work(PREFLIGHT, "12:50", JobState::Complete)])), "preflight@node1 anew for preflight");
    // A gate has deferred it, longer ago than a deferral alone would be tried.
    let mut facts = approved(vec![at_work(PREFLIGHT, "12:00", JobState::Complete)]);
    facts.marks.deferred = Some("1.34.7 5f3a21bc 2026-11-20T12:05:00Z".parse().unwrap());
    assert_eq!(judged(&facts), "preflight@node1 anew for preflight");
    // Its time is over: what it has deferred begins no more, either.
    let over = "1.34.7 5f3a21bc 2026-11-22T10:00:00Z 2026-11-22T14:00:00Z ann";
    for deferral in [None, facts.marks.deferred.clone()] {
        let mut facts = approved(Vec::new());
        facts.marks.approved = over.parse().ok();
        facts.marks.deferred = deferral;
        says(&facts, "left: the run to 1.34.7 that ann has approved at 2026-11-22T10:00:00Z is begun no more");
    }
    // Another run that waits is tried all the same.
    let mut facts = approved(Vec::new());
    facts.marks.approved = over.parse().ok();
    facts.marks.deferred = Some("1.34.7 0badcafe 2026-11-22T12:05:00Z".parse().unwrap());
    assert_eq!(judged(&facts), "preflight@node1 anew");
    let mut facts = approved(Vec::new());
    facts.marks.halted = Some(Halt { run: true, ..Halt::default() });
    says(&facts, "is not begun: ");
    says(&approved(vec![at_work(PREFLIGHT, "13:00", JobState::Active)]), "is at work");
}

//! Waves, walked through as Jobs that end one after the other see them.

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::plan::decide::gates::{self, Turn};
use crate::plan::decide::next::{self, Next, Wave};
use crate::plan::decide::planned;
use crate::plan::model::answer::Verdict;
use crate::plan::model::facts::{JobFact, JobState, Step};
use crate::plan::model::fixture::*;
use crate::plan::model::paused::Pause;
use crate::plan::model::taken_back::TakenBack;
use crate::plan::model::waves::Share;

fn at(minutes: i64) -> Timestamp {
    "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn wide(share: &str) -> Policy {
    let waves = Waves { max_unavailable: Some(share.parse().unwrap()), ..Waves::ONE_BY_ONE };
    Policy { waves, ..policy() }
}

/// One control plane, which is done, and so many workers, which are not.
fn begun(workers: usize) -> Facts {
    let mut facts = in_flight(cluster(1, workers));
    facts.marks.started = Some(at(-60));
    upgrade(&mut facts, "k8s-master", NEW);
    facts
}

fn job_name(facts: &Facts, node: &str) -> String {
    planned::name(facts, &Step::of(facts.node(node).unwrap()), NEW)
}

fn works(facts: &mut Facts, node: &str) {
    let name = job_name(facts, node);
    facts.jobs.retain(|job| job.name != name);
    facts.jobs.push(JobFact { pin: Some("k8s-node1".into()), run: facts.marks.run_id.clone(), ..job(&name, JobState::Active) });
}

fn ends(facts: &mut Facts, node: &str, state: JobState) -> String {
    let name = job_name(facts, node);
    facts.jobs.iter_mut().find(|job| job.name == name).unwrap().state = state;
    name
}

/// The node is upgraded, and has soaked at `now`.
fn soaked(facts: &mut Facts, name: &str, now: Timestamp) {
    upgrade(facts, name, NEW);
    node(facts, name).changed_at = Some(now - SignedDuration::from_mins(10));
}

/// `node4 node3`, `running`, `failed`.
fn told(next: Result<Next, crate::failure::Cause>) -> String {
    match next.unwrap() {
        Next::Create(wave) => {
            let name = |planned: &planned::Planned| planned.step.node.clone().unwrap_or("postflight".into());
            wave.all().map(name).collect::<Vec<_>>().join(" ").replace("k8s-", "")
        }
        Next::Running(_) => "running".into(),
        Next::Failed(_) => "failed".into(),
        Next::Done => "done".into(),
    }
}

/// A whole run as its Jobs see it: they end in the order in which they began, each ten minutes after its node was changed. Each line is what one
/// of them creates; beside it, how many work then.
fn walked(mut facts: Facts, policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    let mut queue = std::collections::VecDeque::from([None::<String>]);
    let mut minutes = 0;
    while let Some(own) = queue.pop_front() {
        minutes += 20;
        if let Some(node) = &own {
            soaked(&mut facts, node, at(minutes));
        }
        let own_job = own.as_ref().map(|node| job_name(&facts, node));
        let next = next::next(&facts, policy, own_job.as_deref(), at(minutes)).unwrap();
        if let Some(node) = &own {
            ends(&mut facts, node, JobState::Complete);
        }
        if let Next::Create(Wave { first, beside }) = &next {
            for planned in std::iter::once(first).chain(beside) {
                let Some(node) = &planned.step.node else { continue };
                assert_ne!(planned.pin.as_deref(), Some(node.as_str()));
                assert!(
                    facts.jobs.iter().all(|job| job.state != JobState::Active || job.pin.as_deref() != Some(node)),
                    "{node} hosts"
                );
                works(&mut facts, node);
                facts.jobs.last_mut().unwrap().pin.clone_from(&planned.pin);
                queue.push_back(Some(node.clone()));
            }
        }
        let busy = facts.jobs.iter().filter(|job| job.state == JobState::Active).count();
        lines.push(format!("{} ({busy})", told(Ok(next))));
    }
    lines
}

#[test]
fn as_many_as_may_be_begin_and_each_that_ends_makes_room_for_one() {
    let wanted = ["node6 node5 (2)", "node4 (2)", "node3 (2)", "node2 (2)", "running (1)", "node1 (1)", "postflight (0)"];
    assert_eq!(walked(begun(6), &wide("2")), wanted, "the runner goes alone, and last");
    assert_eq!(walked(begun(3), &wide("1")), ["node3 (1)", "node2 (1)", "node1 (1)", "postflight (0)"]);
    assert_eq!(walked(begun(3), &wide("50")), ["node3 node2 (2)", "running (1)", "node1 (1)", "postflight (0)"]);
    assert_eq!(walked(begun(3), &policy()), ["node3 (1)", "node2 (1)", "node1 (1)", "postflight (0)"]);
    assert_eq!(walked(begun(20), &wide("10%"))[0], "node20 node19 (2)");
    assert_eq!(walked(begun(20), &wide("1%"))[0], "node20 (1)", "one at least");
    assert_eq!(walked(begun(200), &wide("100%"))[0].split(' ').count(), MOST + 1);
}

/// The Job of one that soaks is at work: the runner is not drained under it, and no run ends before its soak does.
#[test]
fn while_one_soaks_neither_the_runner_nor_the_end_has_its_turn() {
    let mut facts = begun(3);
    for (name, minutes) in [("k8s-node3", -10), ("k8s-node2", -3)] {
        works(&mut facts, name);
        upgrade(&mut facts, name, NEW);
        node(&mut facts, name).changed_at = Some(at(minutes));
    }
    let own = job_name(&facts, "k8s-node3");
    let ask = |facts: &Facts, own: &str, now| told(next::next(facts, &wide("3"), Some(own), now));
    assert_eq!(ask(&facts, &own, at(0)), "running");
    let second = job_name(&facts, "k8s-node2");
    assert_eq!(ask(&facts, &second, at(7)), "node1", "the last to have soaked sees nobody before it");
    upgrade(&mut facts, "k8s-node1", NEW);
    assert_eq!(ask(&facts, &own, at(0)), "running");
    assert_eq!(ask(&facts, &second, at(7)), "postflight");
}

#[test]
fn canaries_go_alone_and_a_run_widens() {
    let mut few = wide("4");
    few.waves.canary = 2;
    assert_eq!(walked(begun(9), &few)[..3], ["node9 (1)", "node8 (1)", "node7 node6 node5 node4 (4)"]);
    let mut ramp = wide("4");
    ramp.waves.ramp_up = RampUp::Exponential;
    let wanted = ["node12 (1)", "node11 node10 (2)", "node9 (2)", "node8 node7 node6 (4)", "node5 (4)"];
    assert_eq!(walked(begun(12), &ramp)[..5], wanted);
}

#[test]
fn one_zone_at_a_time() {
    let mut facts = begun(7);
    for (i, node) in facts.nodes.iter_mut().filter(|node| !node.control_plane).enumerate() {
        node.zone = if i % 2 == 0 { "a" } else { "b" }.to_owned();
    }
    let mut zones = wide("3");
    zones.waves.zones = Zones::OneAtATime;
    let wanted = [
        "node7 node5 node3 (3)",
        "running (2)",
        "running (1)",
        "node6 node4 node2 (3)",
        "running (2)",
        "running (1)",
        "node1 (1)",
    ];
    assert_eq!(walked(facts, &zones)[..7], wanted);
}

#[test]
fn whoever_took_a_node_out_it_counts() {
    let now = at(0);
    let begins = |edit: &dyn Fn(&mut Facts)| {
        let mut facts = begun(6);
        edit(&mut facts);
        told(next::next(&facts, &wide("3"), None, now))
    };
    assert_eq!(begins(&|_| {}), "node6 node5 node4");
    assert_eq!(begins(&|facts| node(facts, "k8s-node2").unschedulable = true), "node6 node5 node2", "it is out already");
    assert_eq!(begins(&|facts| node(facts, "k8s-node2").ready = false), "node6 node5", "one that is away has no turn");
    assert_eq!(begins(&|facts| node(facts, "k8s-node2").excluded = true), "node6 node5 node4", "not ours");
    assert_eq!(begins(&|facts| node(facts, "k8s-node2").paused = Some(Pause::Label)), "node6 node5 node4");
    assert_eq!(begins(&|facts| node(facts, "k8s-node6").paused = Some(Pause::Label)), "node5 node4 node3");
    let away = |facts: &mut Facts| (3..=6).for_each(|i| node(facts, &format!("k8s-node{i}")).ready = false);
    assert_eq!(begins(&away), "node2", "its own gates say what keeps it from its turn");
    let soaks = |facts: &mut Facts| {
        upgrade(facts, "k8s-node6", NEW);
        node(facts, "k8s-node6").changed_at = Some(at(-9));
    };
    assert_eq!(begins(&soaks), "node5 node4");
}

#[test]
fn a_step_that_failed_keeps_others_from_beginning_and_is_what_may_be_tried_again() {
    let failed = || JobState::Failed { reason: "PodFailurePolicy".into(), exit: Some(3) };
    let mut facts = begun(6);
    ["k8s-node6", "k8s-node5", "k8s-node4"].iter().for_each(|node| works(&mut facts, node));
    ends(&mut facts, "k8s-node6", failed());
    soaked(&mut facts, "k8s-node5", at(0));
    let own = job_name(&facts, "k8s-node5");
    let ask = |facts: &Facts, own: Option<&str>| told(next::next(facts, &wide("3"), own, at(0)));
    assert_eq!(ask(&facts, Some(&own)), "running");
    assert_eq!(ask(&facts, None), "node6");
    ends(&mut facts, "k8s-node5", JobState::Complete);
    soaked(&mut facts, "k8s-node4", at(0));
    let own = job_name(&facts, "k8s-node4");
    assert_eq!(ask(&facts, Some(&own)), "failed");
    ends(&mut facts, "k8s-node4", JobState::Complete);
    assert_eq!(ask(&facts, None), "node6");
    // Skipped by a person, or paused: it is in nobody's way.
    facts.marks.skipped = vec!["worker/k8s-node6".into()];
    assert_eq!(ask(&facts, None), "node3 node2");
    facts.marks.skipped.clear();
    node(&mut facts, "k8s-node6").paused = Some(Pause::Label);
    assert_eq!(ask(&facts, None), "node3 node2");
}

#[test]
fn control_planes_go_alone_before_all_and_what_a_run_is_for_goes_alone() {
    let facts = in_flight(cluster(3, 6));
    assert_eq!(told(next::next(&facts, &wide("3"), None, at(0))), "master1");
    let mut facts = begun(6);
    facts.marks.only = Some(crate::plan::model::marks::Only { run: RUN.parse().unwrap(), node: "k8s-node3".parse().unwrap() });
    assert_eq!(told(next::next(&facts, &wide("3"), None, at(0))), "node3");
}

#[test]
fn no_job_of_a_wave_runs_on_a_node_of_it() {
    let mut facts = begun(6);
    node(&mut facts, "k8s-node1").ready = false;
    let mut stand_in = wide("3");
    stand_in.standby = vec!["k8s-node6".into(), "k8s-node5".into()];
    stand_in.waves.max_not_ready = Share::Count(1);
    node(&mut facts, "k8s-master").unschedulable = true;
    let Next::Create(wave) = next::next(&facts, &stand_in, None, at(0)).unwrap() else { panic!() };
    let drained: Vec<_> = wave.all().filter_map(|planned| planned.step.node.clone()).collect();
    assert!(wave.all().all(|planned| !drained.contains(planned.pin.as_ref().unwrap())), "{wave:?}");
}

#[test]
fn the_gate_and_the_look_after_the_cordon_count_alike() {
    let now = at(0);
    let mut facts = begun(6);
    let ours = |facts: &mut Facts, name: &str| {
        node(facts, name).cordoned_by = Some(RUN.into());
        node(facts, name).unschedulable = true;
    };
    ours(&mut facts, "k8s-node6");
    assert_eq!(gates::one_at_a_time(&facts, &wide("2"), "k8s-node5", now), Verdict::Pass);
    assert_eq!(gates::turn(&facts, &wide("2"), "k8s-node5", now), Turn::Ours);
    node(&mut facts, "k8s-node2").unschedulable = true;
    let Verdict::Hold(reasons) = gates::one_at_a_time(&facts, &wide("2"), "k8s-node5", now) else { panic!() };
    let wanted = [
        "k8s-node2 is cordoned by somebody else: 2 at a time now (max-unavailable 2)",
        "k8s-node6 carries our cordon: 2 at a time now (max-unavailable 2)",
    ];
    assert_eq!(reasons, wanted);
    // The one before in natural order waits for the other to give way.
    assert_eq!(gates::turn(&facts, &wide("2"), "k8s-node5", now), Turn::Wait(vec!["k8s-node6".into()]));
    ours(&mut facts, "k8s-node5");
    assert_eq!(gates::turn(&facts, &wide("2"), "k8s-node6", now), Turn::GiveWay(vec!["k8s-node2".into(), "k8s-node5".into()]));
    let of_control_plane = gates::one_at_a_time(&facts, &wide("5"), "k8s-master", now);
    assert!(matches!(of_control_plane, Verdict::Hold(_)), "control planes go alone: {of_control_plane:?}");
}

#[test]
fn a_soak_is_waited_for_where_it_has_to_make_room() {
    let now = at(0);
    let mut facts = begun(6);
    node(&mut facts, "k8s-master").changed_at = Some(at(-30));
    for (name, minutes) in [("k8s-node6", -9), ("k8s-node5", -3)] {
        upgrade(&mut facts, name, NEW);
        node(&mut facts, name).changed_at = Some(at(minutes));
    }
    let of =
        |policy: &Policy, name, after| soaked_for(&facts, policy, name, after, now).map(|(_, name)| name.to_owned()).unwrap();
    assert_eq!(of(&policy(), "k8s-node4", false), "k8s-node5", "one after the other, it is the last one's");
    assert_eq!(of(&wide("3"), "k8s-node4", false), "k8s-master");
    assert_eq!(of(&wide("2"), "k8s-node4", false), "k8s-node6", "the first to be over");
    assert_eq!(of(&wide("3"), "k8s-node6", true), "k8s-node6", "after it, its own");
}

#[test]
fn workers_that_are_away_hold_nothing_as_long_as_they_are_few() {
    let mut facts = begun(20);
    let mut some = policy();
    some.waves.max_not_ready = "10%".parse().unwrap();
    ["k8s-node3", "k8s-node4"].iter().for_each(|name| node(&mut facts, name).ready = false);
    assert_eq!(gates::nodes_ready(&facts, &some, at(0)), Verdict::Pass);
    assert!(matches!(gates::nodes_ready(&facts, &policy(), at(0)), Verdict::Hold(reasons) if reasons.len() == 2));
    node(&mut facts, "k8s-node5").ready = false;
    assert!(matches!(gates::nodes_ready(&facts, &some, at(0)), Verdict::Hold(reasons) if reasons.len() == 3), "all are named");
    facts.nodes.retain(|node| node.ready);
    node(&mut facts, "k8s-master").ready = false;
    assert!(matches!(gates::nodes_ready(&facts, &some, at(0)), Verdict::Hold(_)), "no control plane");
}

#[test]
fn pools_have_rules_of_their_own_beside_those_of_all() {
    let pool = |order, share: &str, canary| Pool {
        selector: Vec::new(),
        order,
        max_unavailable: share.parse().ok(),
        canary,
        soak: None,
        windows: Vec::new(),
    };
    let mut facts = begun(9);
    let policy = |gpu: Pool| {
        let mut policy = wide("4");
        policy.waves.pools = vec![("gpu".into(), gpu)];
        policy
    };
    ["k8s-node9", "k8s-node8", "k8s-node7"].iter().for_each(|name| node(&mut facts, name).pool = Some("gpu".into()));
    let first = |policy: &Policy| walked(facts.clone(), policy)[0].clone();
    assert_eq!(first(&policy(pool(0, "1", 0))), "node9 node6 node5 node4 (4)");
    assert_eq!(first(&policy(pool(0, "2", 0))), "node9 node8 node6 node5 (4)");
    assert_eq!(first(&policy(pool(0, "", 1))), "node9 node6 node5 node4 (4)", "its canary");
    assert_eq!(first(&policy(pool(1, "3", 0))), "node6 node5 node4 node3 (4)", "its turn comes later");
    let slow = Pool { soak: Some(std::time::Duration::from_secs(3600)), ..pool(0, "1", 0) };
    let policy = policy(slow);
    upgrade(&mut facts, "k8s-node9", NEW);
    node(&mut facts, "k8s-node9").changed_at = Some(at(-30));
    let Verdict::Hold(reasons) = gates::one_at_a_time(&facts, &policy, "k8s-node8", at(0)) else { panic!() };
    assert_eq!(reasons, ["k8s-node9 soaks: 1 at a time now (pool gpu, max-unavailable 1)"]);
    assert_eq!(gates::one_at_a_time(&facts, &policy, "k8s-node6", at(0)), Verdict::Pass);
    assert_eq!(soaked_for(&facts, &policy, "k8s-node8", false, at(0)).map(|(_, name)| name), Some("k8s-node9"));
}

#[test]
fn the_first_workers_of_a_run_and_of_a_pool_are_canaries() {
    let mut facts = begun(6);
    let mut policy = wide("3");
    let canary = |facts: &Facts, policy: &Policy, name: &str| is_canary(facts, policy, name, at(0));
    assert!(!canary(&facts, &policy, "k8s-node6"), "the settings want none");
    policy.waves.canary = 2;
    assert!(canary(&facts, &policy, "k8s-node6") && !canary(&facts, &policy, "k8s-master"));
    soaked(&mut facts, "k8s-node6", at(0));
    assert!(canary(&facts, &policy, "k8s-node6") && canary(&facts, &policy, "k8s-node5"), "itself does not count");
    upgrade(&mut facts, "k8s-node5", NEW);
    node(&mut facts, "k8s-node5").changed_at = Some(at(-1));
    assert!(canary(&facts, &policy, "k8s-node4"), "one that soaks has shown nothing");
    soaked(&mut facts, "k8s-node5", at(0));
    assert!(!canary(&facts, &policy, "k8s-node4"));
    let gpu = Pool { canary: 1, ..serde_json::from_str(r#"{"selector":["hardware=gpu"]}"#).unwrap() };
    policy.waves.pools = vec![("gpu".into(), gpu)];
    node(&mut facts, "k8s-node4").pool = Some("gpu".into());
    assert!(canary(&facts, &policy, "k8s-node4") && !canary(&facts, &policy, "k8s-node3"));
}

/// While a canary goes back its own step alone begins, whoever asks; once it is back, nothing does.
#[test]
fn a_run_stands_by_a_canary() {
    let mut facts = begun(4);
    soaked(&mut facts, "k8s-node4", at(0));
    node(&mut facts, "k8s-node4").former_versions = Some("kubelet=1.34.2-1.1".to_owned());
    let run = facts.marks.run_id.clone().unwrap();
    let back = TakenBack::new(&run, "k8s-node4".parse().unwrap(), OLD, at(0), &["web has no pod".to_owned()]);
    facts.marks.taken_back = Some(back);
    let own = job_name(&facts, "k8s-node3");
    for policy in [policy(), wide("3")] {
        let ask = |facts: &Facts, own: Option<&str>| next::next(facts, &policy, own, at(0));
        assert_eq!(told(ask(&facts, None)), "node4");
        assert_eq!(told(ask(&facts, Some(&own))), "failed", "nothing follows a step beside it");
        assert_eq!(next::stands_at(&facts, &policy, NEW).map(|step| step.token()).as_deref(), Some("worker/k8s-node4"));
        let first = next::chain(&facts, &policy, NEW).into_iter().find(|link| !link.done).unwrap();
        assert_eq!(first.step.token(), "worker/k8s-node4", "who performs the run alone goes by that");
        let mut busy = facts.clone();
        works(&mut busy, "k8s-node4");
        assert_eq!(told(ask(&busy, None)), "running");
        let mut done = facts.clone();
        upgrade(&mut done, "k8s-node4", OLD);
        node(&mut done, "k8s-node4").former_versions = None;
        let cause = ask(&done, None).unwrap_err();
        assert_eq!(
            (cause.class, cause.detail.as_slice()),
            (crate::failure::Class::Refused, ["web has no pod".to_owned()].as_slice())
        );
        assert_eq!(told(ask(&done, Some(&own))), "failed");
        // Of another run it says nothing, and once a person has let the run go on the canary is the first again.
        done.marks.run_id = "0badcafe".parse().ok();
        assert!(told(ask(&done, None)).starts_with("node4"));
        done.marks.taken_back = None;
        assert!(told(ask(&done, None)).starts_with("node4"));
    }
}

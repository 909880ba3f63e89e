//! When a run or a node may begin.

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::plan::model::fixture::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar(windows: &[&str], freezes: &[&str]) -> Calendar {
    let windows = windows.iter().map(|text| text.parse().unwrap()).collect();
    let freezes = freezes.iter().map(|text| text.parse().unwrap()).collect();
    Calendar { windows, freezes, unknown: Vec::new() }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `now`, `at TIME`, or `never`.
fn told(calendar: &Calendar, now: &str, needs: u64) -> String {
    match may_begin(calendar, at(now), minutes(needs)) {
        Ok(()) => "now".to_owned(),
        Err(Closed { until: Some(until), .. }) => format!("at {until}"),
        Err(Closed { until: None, .. }) => "never".to_owned(),
    }
}

#[test]
fn all_that_is_needed_lies_in_one_window() {
    let nights = ["Sat,Sun 01:00-05:00 Europe/Berlin", "Mon-Fri 23:00-03:00 Europe/Berlin"];
    for (windows, freezes, now, needs, wanted) in [
        (&[][..], &[][..], "2026-11-27T12:00:00Z", 60, "now"),
        // A Friday; Berlin is an hour ahead.
        (&nights, &[], "2026-11-27T12:00:00Z", 60, "at 2026-11-27T22:00:00Z"),
        (&nights, &[], "2026-11-27T22:00:00Z", 60, "now"),
        // What begins on Friday meets Saturday's window: together they last until five.
        (&nights, &[], "2026-11-28T01:30:00Z", 150, "now"),
        (&nights, &[], "2026-11-28T01:31:00Z", 150, "at 2026-11-29T00:00:00Z"),
        (&nights, &[], "2026-11-28T04:00:00Z", 1, "at 2026-11-29T00:00:00Z"),
        (&nights, &["2026-11-28..2026-11-30 Europe/Berlin: x"], "2026-11-27T12:00:00Z", 60, "at 2026-11-27T22:00:00Z"),
        // The freeze begins at midnight, in the middle of the window.
        (&nights, &["2026-11-28..2026-11-30 Europe/Berlin: x"], "2026-11-27T12:00:00Z", 61, "at 2026-11-30T23:00:00Z"),
        (&[], &["2026-11-28: x"], "2026-11-28T12:00:00Z", 60, "at 2026-11-29T00:00:00Z"),
        (&["daily 00:00-24:00 UTC"], &[], "2026-11-28T12:00:00Z", 7 * 24 * 60, "now"),
        (&["Sat 01:00-03:00 UTC"], &[], "2026-11-28T01:00:00Z", 121, "never"),
        // A long freeze is seen beyond.
        (&["Sat 01:00-03:00 UTC"], &["2026-11-01..2027-11-30: x"], "2026-11-28T01:00:00Z", 60, "at 2027-12-04T01:00:00Z"),
        // Two o'clock comes twice: the window lasts three hours. It does not come: it lasts one.
        (&["Sun 02:00-04:00 Europe/Berlin"], &[], "2026-10-25T00:00:00Z", 180, "now"),
        (&["Sun 02:00-04:00 Europe/Berlin"], &[], "2026-03-29T00:00:00Z", 60, "at 2026-03-29T01:00:00Z"),
        (&["Sun 02:00-04:00 Europe/Berlin"], &[], "2026-03-29T00:00:00Z", 61, "at 2026-04-05T00:00:00Z"),
    ] {
        assert_eq!(told(&calendar(windows, freezes), now, needs), wanted, "{windows:?} {freezes:?} {now} {needs}");
    }
}

#[test]
fn why_not_is_said() {
    let said = |calendar: &Calendar, now: &str| may_begin(calendar, at(now), minutes(60)).unwrap_err().to_string();
    let night = calendar(&["Sat 01:00-05:00 UTC"], &["2026-12-05: a sale"]);
    let at_sat = "it may begin at Sat 2026-12-12 01:00 UTC";
    assert_eq!(said(&night, "2026-12-01T00:00:00Z"), format!("this is outside of the windows (Sat 01:00-05:00 UTC): {at_sat}"));
    assert_eq!(
        said(&night, "2026-12-05T02:00:00Z"),
        format!("upgrades are frozen (2026-12-05..2026-12-05 UTC: a sale): {at_sat}")
    );
    assert_eq!(
        said(&night, "2026-12-12T04:30:00Z"),
        "30m 00s are left of the window, and 1h 00m are needed: it may begin at Sat 2026-12-19 01:00 UTC"
    );
    let unknown = Calendar { unknown: vec!["ConfigMap a/b: it does not exist".into()], ..Calendar::ALWAYS };
    assert_eq!(
        said(&unknown, "2026-12-05T02:00:00Z"),
        "whether upgrades are frozen is not known: ConfigMap a/b: it does not exist: when it may begin is not known"
    );
}

#[test]
fn a_node_takes_as_long_as_the_longest_of_its_kind_in_this_run() {
    let mut facts = in_flight(runbook());
    let name = |node: &str| planned::name(&facts, &Step::of(facts.node(node).unwrap()), NEW);
    let (master, node4) = (name("k8s-master"), name("k8s-node4"));
    let took = |name: &str, ended: &str| JobFact {
        created: Some(at("2026-11-22T12:00:00Z")),
        ended: Some(at(ended)),
        ..job(name, JobState::Complete)
    };
    let needs = |facts: &Facts, node: &str| needs_of(facts, facts.node(node).unwrap(), &policy()).as_secs() / 60;
    assert_eq!((needs(&facts, "k8s-master"), needs(&facts, "k8s-node3")), (30, 25), "as usual, with the soak");
    facts.jobs = vec![took(&master, "2026-11-22T13:30:00Z"), took(&node4, "2026-11-22T12:40:00Z")];
    assert_eq!(needs(&facts, "k8s-node3"), 25, "a Job that ended without its node tells nothing");
    ["k8s-master", "k8s-node4"].iter().for_each(|node| upgrade(&mut facts, node, NEW));
    assert_eq!((needs(&facts, "k8s-master"), needs(&facts, "k8s-node3")), (90, 40));
    let small = Policy { calendar: calendar(&["Sat 01:00-02:00 UTC"], &[]), ..policy() };
    let bound = needs_of(&facts, facts.node("k8s-node3").unwrap(), &small);
    assert_eq!(bound, minutes(30), "what took long keeps nobody waiting for ever");
}

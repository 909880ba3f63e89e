//! `report`: one story, with all that can happen to it, in its three forms.

use jiff::Timestamp;
use k8s_upgrade::plan::model::journal::{End, Head, Journal, Line, Wait, What};
use k8s_upgrade::plan::model::lease::Lease;
use k8s_upgrade::plan::view::cut::Now;
use k8s_upgrade::plan::view::story::{Ending, Story, tell};
use k8s_upgrade::plan::view::timeline::draw;
use k8s_upgrade::report::{Printed, markdown, text};

pub const RUN: &str = "5f3a21bc";

pub fn at(clock: &str) -> Timestamp {
    format!("2026-11-22T{clock}Z").parse().unwrap()
}

pub fn line(clock: &str, place: &str, what: What) -> Line {
    Line { at: at(clock), place: place.to_owned(), what }
}

pub fn step(clock: &str, place: &str, step: &str, seconds: Option<u64>) -> Line {
    line(clock, place, What::Step { step: step.to_owned(), seconds })
}

fn note(clock: &str, place: &str, text: &str) -> Line {
    line(clock, place, What::Note { text: text.to_owned() })
}

pub fn end(clock: &str, result: &str) -> Option<End> {
    Some(End { at: at(clock), result: result.to_owned(), ..End::default() })
}

pub fn pod(place: &str, writer: &str, begun: &str, lines: Vec<Line>, end: Option<End>) -> Journal {
    let head = Head {
        run: RUN.to_owned(),
        place: place.to_owned(),
        writer: writer.to_owned(),
        on: Some("k8s-node1".to_owned()),
        begun: at(begun),
        ..Head::default()
    };
    Journal { head, lines, end }
}

pub fn preflight() -> Journal {
    let begun = What::RunBegun {
        from: Some("1.34.2".to_owned()),
        target: "1.34.7".to_owned(),
        kind: "patch".to_owned(),
        nodes: vec!["k8s-node4".to_owned()],
    };
    let path = "/var/backups/etcd-1.db".to_owned();
    let lines = vec![
        note("12:00:31", "preflight", "gate nodes: pass"),
        line("12:00:40", "preflight", begun),
        line("12:01:10", "preflight", What::Snapshot { path }),
    ];
    pod("preflight", "preflight-a", "12:00:30", lines, end("12:03:00", "done"))
}

/// Killed in the middle of its drain.
pub fn killed() -> Journal {
    let held = vec!["web/checkout-7d9f (PDB web/checkout allows 0 of 2)".to_owned()];
    let lines = vec![
        line(
            "12:03:10",
            "k8s-node4",
            What::Waited { on: "the alert gate: firing: NodeDiskFull".to_owned(), kind: Wait::Gate, until: at("12:07:10") },
        ),
        step("12:07:12", "k8s-node4", "cordon", Some(0)),
        line("12:07:12", "k8s-node4", What::OutOfService),
        step("12:07:13", "k8s-node4", "drain", None),
        line("12:07:13", "k8s-node4", What::Drain { left: 2, total: 9, held, until: at("12:08:00") }),
    ];
    pod("k8s-node4", "node4-a", "12:03:05", lines, None)
}

pub fn failed() -> Journal {
    let end = End {
        code: 5,
        place: "k8s-node4".to_owned(),
        failure: Some("kubeadm upgrade node failed (exit 1)".to_owned()),
        detail: vec!["[ERROR Port-10250]".to_owned()],
        state: "k8s-node4 is cordoned by this program and Ready, its kubelet is 1.34.2.".to_owned(),
        next: vec!["k8s-upgrade resume".to_owned()],
        ..end("12:10:00", "failed").unwrap()
    };
    pod("k8s-node4", "node4-b", "12:08:30", vec![step("12:09:00", "k8s-node4", "kubeadm upgrade node", None)], Some(end))
}

pub fn resume() -> Journal {
    let mut journal =
        pod("", "alice-0a1b2c3d", "12:20:00", vec![note("12:20:02", "k8s-node4", "Job node4 created")], end("12:20:03", "done"));
    journal.head.person = Some("alice@laptop".to_owned());
    journal.head.on = None;
    journal.head.command = "k8s-upgrade resume".to_owned();
    journal
}

pub fn done() -> Journal {
    let lines = vec![
        line(
            "12:21:00",
            "k8s-node4",
            What::Skipped { step: "kubeadm package".to_owned(), why: "it is at the target".to_owned() },
        ),
        step("12:21:01", "k8s-node4", "kubeadm upgrade node", Some(12)),
        line("12:22:00", "k8s-node4", What::InService),
    ];
    pod("k8s-node4", "node4-c", "12:20:30", lines, end("12:32:00", "done"))
}

fn postflight() -> Journal {
    let text = "✅ K8s upgrade complete: homelab is at 1.34.7 after 33m 00s".to_owned();
    let mut journal = pod(
        "postflight",
        "postflight-a",
        "12:32:30",
        vec![line("12:33:40", "postflight", What::RunDone { text, whole: true })],
        end("12:33:41", "done"),
    );
    journal.head.dropped = 3;
    journal
}

pub fn all() -> Vec<Journal> {
    // As an API server lists them: by name.
    vec![resume(), killed(), failed(), done(), postflight(), preflight()]
}

fn told(journals: Vec<Journal>, in_flight: bool) -> Story {
    tell(RUN, &journals, &[], &Now { in_flight, ..Now::default() }, false).unwrap()
}

#[test]
fn as_text() {
    insta::assert_snapshot!(format!("$ k8s-upgrade report    # 0\n{}", text(&told(all(), false))));
}

#[test]
fn as_markdown() {
    let story = told(all(), false);
    insta::assert_snapshot!(markdown(&story, &draw(&story, &all(), &Now::default())));
}

#[test]
fn as_json() {
    let json = Printed::pretty(&told(all(), false)).unwrap();
    insta::assert_snapshot!(format!("$ k8s-upgrade report -o json    # 0\n{json}"));
}

#[test]
fn what_no_journal_tells_is_said() {
    let without_end = told(vec![preflight(), done()], false);
    assert_eq!(without_end.result, Ending::Unknown);
    let wanted = [
        "how the run ended: it is not in flight any more, and no journal tells of its end",
        "k8s-node4: since when it had been out of service",
    ];
    assert_eq!(without_end.missing, wanted);
    let in_flight = told(vec![preflight(), killed()], true);
    assert_eq!(in_flight.result, Ending::InFlight);
    let wanted = "node4-a: what it did after 12:08:00 (2 of 9 pods left, until 12:08:00 held: web/checkout-7d9f (PDB web/checkout \
                  allows 0 of 2)): it was killed or cut off";
    assert_eq!(in_flight.missing, [wanted]);
    assert!(text(&in_flight).as_str().contains("k8s-node4       12:07:12  still is  ?"), "{}", text(&in_flight));
    let without_beginning =
        tell(RUN, &[postflight()], &["the journal x cannot be read: y".to_owned()], &Now::default(), false).unwrap();
    assert_eq!(
        without_beginning.missing,
        [
            "postflight-a: 3 of its older lines, dropped to make room",
            "the journal x cannot be read: y",
            "how the run began: no journal of its preflight is there"
        ]
    );
    let without_node = told(vec![preflight(), postflight()], false);
    assert!(
        without_node.missing.contains(&"k8s-node4: no journal of its upgrade is there".to_owned()),
        "{:?}",
        without_node.missing
    );
    assert_eq!(tell(RUN, &[], &[], &Now::default(), false), None);
}

#[test]
fn a_run_in_one_process_is_told_phase_by_phase() {
    let mut journal = resume();
    journal.head.command = "k8s-upgrade start --target 1.34.7 --local".to_owned();
    let phase = |phase: &str, seconds| What::Phase { phase: phase.to_owned(), seconds };
    journal.lines =
        vec![line("12:20:00", "preflight", phase("preflight", Some(60))), line("12:21:00", "k8s-node4", phase("worker", None))];
    journal.end = Some(End { failure: Some("drain: 1 pods still ending".to_owned()), ..end("12:31:00", "hold").unwrap() });
    let story = told(vec![journal], true);
    let rows: Vec<_> = story.phases.iter().map(|phase| (phase.place.as_str(), phase.seconds, phase.result.as_deref())).collect();
    assert_eq!(rows, [("preflight", Some(60), Some("done")), ("k8s-node4", Some(600), Some("hold: drain: 1 pods still ending"))]);
    assert_eq!(story.by_hand.len(), 1);
}

/// What the cluster says now tells one that is at work from one that is gone, and whose turn it was from nobody's.
#[test]
fn of_one_without_an_end_all_that_is_known_is_said() {
    let lease = |holder: &str| Lease {
        node: "k8s-node4".to_owned(),
        holder: holder.to_owned(),
        renewed: at("12:08:00"),
        until: at("12:09:00"),
    };
    let now = |at_work: &[&str], leases| Now {
        at: Some(at("12:08:45")),
        in_flight: true,
        at_work: at_work.iter().map(ToString::to_string).collect(),
        leases,
    };
    for (journals, now, wanted) in [
        (vec![preflight(), killed()], now(&["node4-a"], vec![lease("node4-a")]), "at work"),
        (vec![preflight(), killed()], now(&[], vec![]), "killed or cut off after 12:08:00; nobody went on"),
        (
            vec![preflight(), killed()],
            now(&[], vec![lease("node4-a")]),
            "killed or cut off after 12:08:00; its Lease is free from 12:09:00, nobody went on",
        ),
        (
            vec![preflight(), killed(), failed()],
            now(&["node4-b"], vec![lease("node4-b")]),
            "killed or cut off after 12:08:00; node4-b went on at 12:08:30",
        ),
    ] {
        let story = tell(RUN, &journals, &[], &now, false).unwrap();
        let row = &story.phases[1];
        assert_eq!((row.by.as_str(), &row.result), ("node4-a", &None), "{wanted}");
        assert_eq!(row.cut.as_ref().unwrap().says(), wanted);
        assert!(text(&story).as_str().contains(wanted), "{}", text(&story));
        assert_eq!(story.missing.iter().any(|line| line.ends_with("it is at work")), wanted == "at work", "{:?}", story.missing);
    }
}

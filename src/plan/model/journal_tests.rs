#![allow(clippy::unwrap_used)]
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_348_680 + second).unwrap()
}

fn line(second: i64, place: &str, what: What) -> Line {
    Line { at: at(second), place: place.to_owned(), what }
}

fn waited(on: &str, until: i64) -> What {
    What::Waited { on: on.to_owned(), kind: Wait::Other, until: at(until) }
}

fn step(step: &str, seconds: Option<u64>) -> What {
    What::Step { step: step.to_owned(), seconds }
}

fn note(text: &str) -> What {
    What::Note { text: text.to_owned() }
}

fn head(run: &str, writer: &str) -> Head {
    Head { run: run.to_owned(), writer: writer.to_owned(), command: "k8s-upgrade resume".to_owned(), ..Head::default() }
}

fn added(lines: &[Line]) -> Vec<Line> {
    let mut journal = Journal::default();
    lines.iter().for_each(|line| journal.add(line.clone()));
    journal.lines
}

#[test]
fn what_goes_on_is_one_line() {
    let waits = added(&[
        line(0, "a", waited("the gate: firing: X", 0)),
        line(10, "b", waited("SSH", 10)),
        line(20, "a", waited("the gate: firing: X", 20)),
        line(30, "a", waited("the gate: firing: Y", 30)),
        line(40, "a", waited("the gate: firing: X", 40)),
    ]);
    let wanted = [
        line(0, "a", waited("the gate: firing: X", 20)),
        line(10, "b", waited("SSH", 10)),
        line(30, "a", waited("the gate: firing: Y", 30)),
        line(40, "a", waited("the gate: firing: X", 40)),
    ];
    assert_eq!(waits, wanted);
    let steps = added(&[
        line(0, "a", step("prefetch", None)),
        line(0, "b", step("prefetch", None)),
        line(1, "a", note("x")),
        line(5, "b", step("prefetch", Some(5))),
        line(9, "a", step("prefetch", Some(9))),
        line(9, "a", step("prefetch", None)),
    ]);
    let wanted = [
        line(0, "a", step("prefetch", Some(9))),
        line(0, "b", step("prefetch", Some(5))),
        line(1, "a", note("x")),
        line(9, "a", step("prefetch", None)),
    ];
    assert_eq!(steps, wanted);
}

#[test]
fn a_drain_is_a_line_for_each_thing_that_holds_it() {
    let drain = |second, left, held: &[&str]| {
        let held = held.iter().map(|held| (*held).to_owned()).collect();
        line(second, "a", What::Drain { left, total: 9, held, until: at(second) })
    };
    let told = added(&[drain(0, 9, &[]), drain(1, 4, &[]), drain(2, 3, &["PDB x"]), drain(9, 1, &["PDB x"]), drain(10, 0, &[])]);
    let kept: Vec<(i64, usize)> = told
        .iter()
        .map(|line| match &line.what {
            What::Drain { left, .. } => (line.at.as_second() - at(0).as_second(), *left),
            other => unreachable!("{other:?}"),
        })
        .collect();
    assert_eq!(kept, [(0, 4), (2, 1), (10, 0)]);
}

#[test]
fn it_reads_back() {
    let mut journal = Journal { head: head("r1", "pod-1"), ..Journal::default() };
    journal.head.begun = at(0);
    journal.add(line(1, "a", What::OutOfService));
    journal.add(line(2, "a", waited("x", 7)));
    journal.add(line(3, "a", What::Drain { left: 1, total: 2, held: vec!["p".into()], until: at(3) }));
    assert_eq!(Journal::read(&journal.data().unwrap()).unwrap(), journal);
    journal.end = Some(End { at: at(9), result: "failed".into(), code: 5, failure: Some("x".into()), ..End::default() });
    assert_eq!(Journal::read(&journal.data().unwrap()).unwrap(), journal);
    let mut data = journal.data().unwrap();
    data.insert(LINES.to_owned(), "nonsense".to_owned());
    assert!(Journal::read(&data).unwrap_err().starts_with("its line 1: "));
    assert_eq!(Journal::read(&BTreeMap::new()).unwrap_err(), "it has no head");
    let written = journal.data().unwrap();
    let of_version = |version: &str| {
        let mut data = written.clone();
        data.insert(HEAD.to_owned(), data[HEAD].replace(r#""version":1,"#, version));
        Journal::read(&data)
    };
    assert_eq!(of_version("").unwrap(), journal, "builds before wrote none");
    let other = "it has version 2, written by another build; this build reads version 1";
    assert_eq!(of_version(r#""version":2,"#).unwrap_err(), other);
}

#[test]
fn what_does_not_fit_goes_the_oldest_detail_first() {
    let mut journal = Journal { head: head("r1", "pod-1"), ..Journal::default() };
    journal.add(line(0, "a", What::OutOfService));
    for number in 0..4000 {
        journal.add(line(number, "a", note(&format!("{number} {}", "x".repeat(100)))));
    }
    journal.add(line(4001, "a", What::InService));
    let data = journal.data().unwrap();
    let size: usize = data.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(size <= LIMIT && size > LIMIT - 400, "{size}");
    let kept = Journal::read(&data).unwrap();
    assert_eq!((&kept.lines[0].what, &kept.lines.last().unwrap().what), (&What::OutOfService, &What::InService));
    assert_eq!(kept.head.dropped + kept.lines.len(), 4002);
    let What::Note { text } = &kept.lines[1].what else { panic!("{:?}", kept.lines[1]) };
    assert!(text.starts_with(&format!("{} ", kept.head.dropped)), "not the oldest went: {text}");
    // Nothing but what a report is about: that goes at last.
    let lines = (0..9000).map(|number| line(number, &"n".repeat(50), What::InService)).collect();
    let mut journal = Journal { head: head("r1", "pod-1"), lines, end: None };
    journal.data().unwrap();
    assert!(journal.lines.len() < 9000 && journal.head.dropped == 9000 - journal.lines.len());
}

#[test]
fn its_name_is_one_that_an_api_server_takes() {
    assert_eq!(
        name(&head("5f3a21bc", "k8s-upgrade-worker-1-34-7-k8s-node4-x7k2p")),
        "k8s-upgrade-journal-5f3a21bc-k8s-upgrade-worker-1-34-7-k8s-node4-x7k2p"
    );
    assert_eq!(name(&head(BY_HAND, "Ünï.C_d-")), "k8s-upgrade-journal-by-hand--n--c-d");
}

#[test]
fn the_newest_runs_are_kept_and_as_many_commands_outside_any() {
    let kept = |run: String, writer: &str, begun: i64| StoredJournal { name: format!("{run}-{writer}"), run, begun: at(begun) };
    let mut all: Vec<StoredJournal> =
        (0..12).flat_map(|run| ["a", "b"].map(|writer| kept(format!("r{run}"), writer, run * 100))).collect();
    // A late word of an old run makes it a new one.
    all.push(kept("r0".to_owned(), "resume", 5000));
    all.extend((0..12).map(|number| kept(BY_HAND.to_owned(), &number.to_string(), number)));
    let mut stale = stale(&all);
    stale.sort();
    assert_eq!(stale, ["by-hand-0", "by-hand-1", "r1-a", "r1-b", "r2-a", "r2-b"]);
    assert_eq!(super::stale(&[]), Vec::<String>::new());
}

//! Nothing that others wrote steers a terminal, starts a line of its own, or floods the screen: in every event, every view and every form.

use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::failure::{Advice, Cause, Failure, Outcome};
use k8s_upgrade::plan::decide::gates::{self, Gate, Occasion};
use k8s_upgrade::plan::model::answer::Answer;
use k8s_upgrade::plan::model::facts::Phase;
use k8s_upgrade::plan::model::lease::{Driver, Lease};
use k8s_upgrade::plan::model::progress::{Awaited, Doing, Draining, Span, ToldFailure, Waiting};
use k8s_upgrade::plan::model::version::{UpgradeKind, Version};
use k8s_upgrade::plan::rescue::card::Card;
use k8s_upgrade::plan::rescue::hosts::{Asked, Copy, End, Found, Package, Snapshot, Unit, Work as OnNode};
use k8s_upgrade::plan::rescue::member::Peer;
use k8s_upgrade::plan::rescue::restore::Restore;
use k8s_upgrade::plan::view::cut::Cut;
use k8s_upgrade::plan::view::health::Check;
use k8s_upgrade::plan::view::paused::{Pauses, Pool};
use k8s_upgrade::plan::view::screen::{Failed, Row, Run, Screen, Stale, Work};
use k8s_upgrade::plan::view::story::{self, Ending, Outage, Story};
use k8s_upgrade::plan::view::timeline::{self, Kind, Lane, Stretch, Timeline};
use k8s_upgrade::report::{self, Account, Event, Printed, SharedJournal, Sink, Style, data};
use k8s_upgrade::words::Texts;

use crate::support::program::Buffer;

/// What somebody wrote who hopes that it is printed: steering, a line of its own, direction, markup, and too much.
fn canary() -> String {
    let steers = "CANARY \u{1b}[31m\u{1b}]0;title\u{7}\u{9b}2J\u{8}\u{0}\u{7f}\u{90}\r\nCANARY\u{202e}\u{2066}\u{feff}\u{e0041}\u{2028}CANARY";
    format!("{steers}\n  Next:  FORGED\u{85}| <img src=x> [a](b) `c` @here {}", "x".repeat(100_000))
}

/// The value with the canary in the place of every text.
fn filled<T: Texts>(mut value: T) -> T {
    let canary = canary();
    value.texts(&mut |text| text.clone_from(&canary));
    value
}

fn colourless(text: &str) -> String {
    ["\u{1b}[0m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[2m"]
        .iter()
        .fold(text.to_owned(), |text, code| text.replace(code, ""))
}

/// Nothing but our own lines; each begins with our own sign, and none is endless.
fn is_sane(text: &str, what: &str) {
    let invisible = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let unfit = text.chars().find(|c| (c.is_control() && *c != '\n') || invisible(*c));
    assert_eq!(unfit, None, "{what}: {:.600}", text);
    assert!(text.contains("CANARY"), "{what} shows nothing of it: {text:.600}");
    for line in text.lines() {
        assert!(!line.trim_start_matches(['"', '#', '*']).starts_with("CANARY"), "{what}: {line:.200}");
        assert!(!line.trim_start().starts_with("Next:  FORGED"), "{what}: {line:.200}");
        assert!(line.chars().count() < 50_000, "{what}: a line of {} characters", line.chars().count());
    }
}

/// The same for JSON, whose strings are whole: escaped, and read back as they were.
fn is_sane_json(printed: &Printed, what: &str) {
    let text = printed.as_str();
    let unfit =
        text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}' || *c == '\u{2028}' || *c == '\u{e0041}');
    assert_eq!(unfit, None, "{what}: {text:.600}");
    let read: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(read.to_string().contains("CANARY"), "{what} has nothing of it");
}

fn at() -> Timestamp {
    Timestamp::from_second(1_795_348_680).unwrap()
}

fn text() -> String {
    String::new()
}

fn texts() -> Vec<String> {
    vec![text(); 2]
}

fn advice() -> Vec<Advice> {
    texts().into_iter().map(Advice::from).collect()
}

fn failure() -> Failure {
    Failure { cause: Cause::step("").detail(["x", "y"]).next(""), place: text(), state: text(), next: advice() }
}

fn events() -> Vec<Event> {
    let (took, place) = (Duration::from_secs(5), text());
    let version = Version::new(1, 34, 7);
    vec![
        Event::PhaseStarted { place: place.clone(), phase: Phase::Worker, done: 1, total: 6 },
        Event::PhaseDone { place: place.clone(), phase: Phase::Worker, took },
        Event::StepStarted { place: place.clone(), step: text(), deadline: took },
        Event::StepDone { place: place.clone(), step: text(), took },
        Event::StepSkipped { place: place.clone(), step: text(), why: text() },
        Event::Waiting { place: place.clone(), on: Awaited::new(text(), text()), left: took },
        Event::Draining { place: place.clone(), left: 1, total: 2, held: texts(), deadline: took },
        Event::Output { place: place.clone(), line: text() },
        Event::Note { place: place.clone(), text: text() },
        Event::Warning { place: place.clone(), text: text() },
        Event::Found { place: place.clone(), text: text() },
        Event::Did { place: place.clone(), text: text() },
        Event::Next { place: place.clone(), what_for: text(), command: text() },
        Event::RunBegun { run: text(), from: Some(version), target: version, kind: UpgradeKind::Patch, nodes: texts() },
        Event::Snapshot { path: text() },
        Event::OutOfService { place: place.clone() },
        Event::InService { place: place.clone() },
        Event::RunDone { text: text(), whole: true },
        Event::Failed { failure: failure() },
        Event::Gate { place, occasion: Occasion::Preflight, gate: Gate::Quiet, found: gates::Found::Hold, why: text() },
    ]
}

/// Which of them it is. A new one makes this match fail to compile, and the count below fail until it has its example.
fn number(event: &Event) -> usize {
    match event {
        Event::PhaseStarted { .. } => 0,
        Event::PhaseDone { .. } => 1,
        Event::StepStarted { .. } => 2,
        Event::StepDone { .. } => 3,
        Event::StepSkipped { .. } => 4,
        Event::Waiting { .. } => 5,
        Event::Draining { .. } => 6,
        Event::Output { .. } => 7,
        Event::Note { .. } => 8,
        Event::Warning { .. } => 9,
        Event::Found { .. } => 10,
        Event::Did { .. } => 11,
        Event::Next { .. } => 12,
        Event::RunBegun { .. } => 13,
        Event::Snapshot { .. } => 14,
        Event::OutOfService { .. } => 15,
        Event::InService { .. } => 16,
        Event::RunDone { .. } => 17,
        Event::Failed { .. } => 18,
        Event::Gate { .. } => 19,
    }
}

/// What a sink makes of one event, told as a process tells it.
fn told(event: &Event, sink: impl FnOnce(report::Out) -> Box<dyn Sink>) -> String {
    let kept = Buffer::default();
    report::shared(vec![sink(report::Out::new(kept.clone()))]).lock().unwrap().event(at(), event);
    kept.text()
}

#[test]
fn every_event_in_every_style() {
    let events = events();
    assert_eq!(events.iter().map(number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    for event in events.into_iter().map(filled) {
        let what = format!("event {}", number(&event));
        is_sane(&told(&event, |out| report::sink(Style::Plain, 1, out)), &format!("{what}, plain"));
        let json = told(&event, |out| report::sink(Style::Json, 1, out));
        is_sane(&json, &format!("{what}, JSON"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
        // A bar draws on the process' own stderr, out of the same event.
        let drawn = [0, 2, 5, 6, 7].contains(&number(&event));
        for colour in [true, false] {
            let text = told(&event, |out| report::sink(Style::Terminal { colour }, 1, out));
            assert!(colour || !text.contains('\u{1b}'), "{what}: colour where none is wanted");
            if !drawn {
                is_sane(&colourless(&text), &format!("{what}, terminal"));
            }
        }
    }
}

#[test]
fn the_account_and_the_journal_of_all_events() {
    let (account, book) = (Account::default(), SharedJournal::default());
    let sink = report::shared(vec![Box::new(account.clone()), Box::new(book.clone())]);
    events().into_iter().map(filled).for_each(|event| sink.lock().unwrap().event(at(), &event));
    let result: Result<Outcome, Failure> = Err(filled(failure()));
    is_sane_json(&Printed::pretty(&account.data(&canary(), &result)).unwrap(), "the account");
    for (key, written) in book.open().data().unwrap() {
        if key == "lines" {
            is_sane(&written, "the journal");
        }
    }
}

#[test]
fn a_failure_has_three_parts_and_no_more_lines() {
    let failure = filled(failure());
    is_sane(&failure.to_string(), "a failure");
    assert_eq!(failure.to_string().lines().count(), 1 + 2 + 1 + 3);
    let mut long = failure;
    long.cause = Cause::step("x").detail((0..1000).map(|number| format!("{number}\nand\r\nmore")));
    let text = long.to_string();
    assert!(text.contains("\n    and\n    more\n    1\n") && text.contains("… (2800 more lines)"), "{text}");
}

fn span() -> Span {
    Span { what: text(), since: at(), until: at() }
}

fn doing() -> Doing {
    let told = ToldFailure { what: texts(), state: text(), next: advice() };
    let drain = Draining { left: 1, total: 2, held: vec![(text(), at())] };
    let wait = Waiting { on: Awaited::new(text(), text()), since: at(), until: at() };
    Doing { step: Some(span()), wait: Some(wait), drain: Some(drain), failure: Some(told), last: Some(text()) }
}

fn unit() -> Unit {
    let work = OnNode { step: text(), target: text(), run: text(), end: End::Bad(text()) };
    Unit { work: Some(work), log: texts() }
}

fn screen() -> Screen {
    let work = |doing, silent| Work {
        job: text(),
        step: text(),
        created: Some(at()),
        deadline: Some(at()),
        pod: Some(text()),
        node: Some(text()),
        pin: Some(text()),
        silent,
        doing,
    };
    let told = ToldFailure { what: texts(), state: text(), next: advice() };
    let row =
        Row { node: text(), role: text(), version: text(), state: text(), since: Some(at()), is_over: false, until: Some(at()) };
    Screen {
        cluster: text(),
        running: Some(Version::new(1, 34, 2)),
        run: Some(Run {
            id: Some(text()),
            target: Some(Version::new(1, 34, 7)),
            started: Some(at()),
            position: text(),
            left: None,
            image: Some(text()),
            installed: Some(text()),
        }),
        halted: Some(text()),
        paused: Pauses { nodes: texts(), pools: vec![Pool { name: text(), workers: 2 }] },
        off: Vec::new(),
        skipped: texts(),
        asks: Some(Version::new(1, 34, 7)),
        approved: Some(text()),
        rests: Some(text()),
        stopped: Some(text()),
        rows: vec![row; 2],
        work: vec![
            work(doing(), None),
            work(Doing { last: Some(text()), ..Doing::default() }, None),
            work(doing(), Some(text())),
        ],
        leases: vec![Lease { node: text(), holder: text(), renewed: at(), until: at() }],
        units: vec![(text(), Answer::Known(unit())), (text(), Answer::Unknown(text()))],
        driver: Some(Driver { by: text(), holder: text(), renewed: at(), until: at(), progress: Some(Err(text())) }),
        backup: Some(text()),
        blocks: vec![(text(), Some(at()))],
        gates: vec![Gate::Alerts],
        failure: Some(Failed { job: text(), ended: Some(at()), reason: text(), exit: None, told }),
        then: Some(text()),
        commands: texts(),
        safe: (false, text()),
    }
}

#[test]
fn status_and_the_live_screen() {
    let (screen, stale) = (filled(screen()), vec![filled(Stale { what: texts(), since: at(), why: text() })]);
    is_sane(report::status_text(&screen, at(), true).as_str(), "status");
    is_sane(report::live_text(&screen, &stale, at()).as_str(), "the live screen, printed");
    is_sane_json(&Printed::pretty(&data::Status::of(&screen, at())).unwrap(), "status as data");
    is_sane_json(&Printed::json(&data::LiveStatus::of(&screen, &stale, at())).unwrap(), "the live screen as data");
    for (rows, columns) in [(24, 80), (5, 20), (2, 1), (1000, 300)] {
        let frame = report::frame(&screen, &stale, at(), (rows, columns), &report::Wording::default()).join("\n");
        assert!(!frame.chars().any(|c| c.is_control() && c != '\n'), "{rows} × {columns}: {frame:.300}");
        assert!(frame.lines().all(|line| !line.starts_with("CANARY")), "{rows} × {columns}: {frame:.300}");
    }
}

#[test]
fn health() {
    let check = |ok| Check { name: "name", ok, says: text(), command: Some(text()) };
    let checks = filled(vec![check(true), check(false)]);
    is_sane(report::health_text(&checks, &canary()).as_str(), "health");
    is_sane_json(&Printed::pretty(&data::Health::of(&checks, &canary())).unwrap(), "health as data");
}

#[test]
fn hosts_and_the_way_back() {
    let package = |whole| Package { name: text(), version: text(), letters: text(), held: true, whole };
    let card = Card {
        run: text(),
        from: text(),
        to: text(),
        snapshot: text(),
        bytes: 1,
        hash: text(),
        packages: vec![(text(), texts())],
    };
    let snapshot = || Snapshot { path: text(), bytes: 1, at: text() };
    let found = Found {
        packages: vec![package(true), package(false)],
        audit: texts(),
        kubelet: text(),
        static_pods: vec![(text(), text())],
        unit: unit(),
        former: vec![(text(), text())],
        peer: Some(Peer { name: text(), url: text() }),
        copies: vec![Copy { pod: text(), image: text(), at: text(), path: text() }],
        etcd_data: vec![(text(), text())],
        keys: Vec::new(),
        images: Some(texts()),
        free: vec![(text(), 1)],
        card: Some((text(), Some(card))),
        snapshots: vec![snapshot(), snapshot()],
    };
    let asked = |found| Asked { node: text(), address: text(), found };
    let asked = filled(vec![asked(Ok(found)), asked(Err(failure().cause))]);
    let commands = filled(texts());
    is_sane(report::hosts_text(&asked, &commands, &canary()).as_str(), "hosts");
    is_sane_json(&Printed::pretty(&data::Hosts::of(&asked, &commands, &canary())).unwrap(), "hosts as data");
    let restore = Restore { known: vec![("label", text())], plan: vec!["  first".to_owned(), text()] };
    let mut restore = filled(restore);
    restore.plan.iter_mut().for_each(|line| line.insert_str(0, "  "));
    let printed = report::restore_text(&canary(), &canary(), &restore);
    // Its title is the node's name, which an API server vouches for.
    is_sane(&format!("- {printed}"), "the way back");
}

#[test]
fn the_story_in_every_form() {
    let story = Story {
        run: text(),
        from: Some(text()),
        target: Some(text()),
        kind: Some(text()),
        began: at(),
        until: at(),
        result: Ending::Complete,
        snapshot: Some(text()),
        phases: vec![story::Phase {
            place: text(),
            attempt: 2,
            began: at(),
            seconds: Some(1),
            result: None,
            cut: Some(Cut {
                at_work: false,
                last: at(),
                lease_until: Some(at()),
                followed_by: Some(text()),
                followed_at: Some(at()),
            }),
            by: text(),
            on: Some(text()),
        }],
        out_of_service: vec![Outage { node: text(), from: Some(at()), to: Some(at()), seconds: Some(1) }],
        out_of_service_seconds: 1,
        by_hand: vec![story::ByHand { at: at(), who: text(), command: text(), result: Some(text()) }],
        timeline: vec![story::TimelineLine { at: at(), place: text(), text: text(), detail: texts() }],
        missing: texts(),
    };
    let story = filled(story);
    is_sane(report::text(&story).as_str(), "the story");
    is_sane_json(&Printed::pretty(&story).unwrap(), "the story as data");
    let time = Stretch::new(at(), at());
    let spans: Vec<timeline::Span> =
        Kind::ALL.into_iter().map(|kind| timeline::Span { kind, time, open: true, text: text() }).collect();
    let lane = Lane { place: text(), spans, processes: vec![time], out_of_service: vec![time] };
    let timeline = Timeline { began: at(), until: at(), lanes: vec![lane.clone(), lane], api_away: vec![time], left_out: 1 };
    let timeline = filled(timeline);
    for (picture, what) in [(report::svg(&story, &timeline), "as SVG"), (report::html(&story, &timeline), "as HTML")] {
        is_sane(picture.as_str(), what);
        assert!(!picture.as_str().contains("<img"), "{what}");
    }
    let markdown = report::markdown(&story, &timeline);
    is_sane(markdown.as_str(), "the story as Markdown");
    // Of its own it has backticks around the snapshot's path, and bars between cells.
    for line in markdown.as_str().lines().filter(|line| !line.starts_with("etcd snapshot `")) {
        for (sign, at) in
            ["<img", "[a]", "`c`", "| \\<img"].iter().flat_map(|sign| line.match_indices(sign).map(|(at, _)| (*sign, at)))
        {
            assert_eq!(line.as_bytes().get(at.wrapping_sub(1)), Some(&b'\\'), "{sign} in {line:.300}");
        }
        assert!(!line.contains("@here"), "{line:.300}");
    }
}

//! A run as a picture: what is drawn of which journals, and that the files are whole, closed in themselves, and never too large.

use std::time::Duration;

use k8s_upgrade::plan::model::journal::{Journal, Wait, What};
use k8s_upgrade::plan::view::cut::Now;
use k8s_upgrade::plan::view::story::{Story, tell};
use k8s_upgrade::plan::view::timeline::{Kind, Span, Timeline, draw};
use k8s_upgrade::report::{html, markdown, svg};

use crate::report::{RUN, all, at, end, failed, killed, line, pod, preflight, step};

fn waited(clock: &str, place: &str, kind: Wait, on: &str, until: &str) -> k8s_upgrade::plan::model::journal::Line {
    line(clock, place, What::Waited { on: on.to_owned(), kind, until: at(until) })
}

/// A control plane, with the API server away; begins and ends around it.
fn master() -> Journal {
    let place = "k8s-master";
    let lines = vec![
        step("12:03:20", place, "cordon", Some(0)),
        line("12:03:20", place, What::OutOfService),
        step("12:03:21", place, "drain", Some(31)),
        step("12:03:54", place, "kubeadm package", Some(12)),
        step("12:04:07", place, "kubeadm upgrade apply", Some(118)),
        waited("12:04:40", "", Wait::Api, "the API server: list nodes: connection refused", "12:04:52"),
        waited("12:04:55", "", Wait::Api, "the API server: read the node: HTTP 500", "12:05:10"),
        step("12:06:06", place, "kubelet packages and restart", Some(26)),
        waited("12:06:33", place, Wait::Other, "the node to be Ready at its version: kubelet is 1.34.2", "12:06:51"),
        line("12:06:55", place, What::InService),
        waited("12:06:56", place, Wait::Soak, "the soak to end", "12:08:30"),
    ];
    pod(place, "master-a", "12:03:05", lines, end("12:08:32", "done"))
}

/// The story of `tests/offline/report.rs`, an hour later, after a control plane: killed, failed, gone on with.
pub fn run() -> Vec<Journal> {
    let later = |mut journal: Journal| {
        let shift = |time: &mut jiff::Timestamp| *time += Duration::from_secs(360);
        shift(&mut journal.head.begun);
        for line in &mut journal.lines {
            shift(&mut line.at);
            match &mut line.what {
                What::Waited { until, .. } | What::Drain { until, .. } => shift(until),
                _ => {}
            }
        }
        journal.end.iter_mut().for_each(|end| shift(&mut end.at));
        journal
    };
    let (begins, rest): (Vec<_>, Vec<_>) = all().into_iter().partition(|journal| journal.head.place == "preflight");
    let mut begins: Vec<Journal> = begins;
    for line in &mut begins[0].lines {
        if let What::RunBegun { nodes, .. } = &mut line.what {
            nodes.insert(0, "k8s-master".to_owned());
        }
    }
    begins[0].lines.push(step("12:01:12", "k8s-node4", "fetch packages and images", Some(95)));
    begins.into_iter().chain([master()]).chain(rest.into_iter().map(later)).collect()
}

pub fn told(journals: &[Journal], now: &Now) -> (Story, Timeline) {
    let story = tell(RUN, journals, &[], now, false).unwrap();
    let timeline = draw(&story, journals, now);
    (story, timeline)
}

fn spans(timeline: &Timeline, place: &str) -> Vec<String> {
    let clock = |at: jiff::Timestamp| at.strftime("%H:%M:%S").to_string();
    let row = |span: &Span| {
        let open = if span.open { "+" } else { "" };
        format!("{} {}-{}{open}", span.kind.word(), clock(span.time.from), clock(span.time.to))
    };
    timeline.lanes.iter().find(|lane| lane.place == place).unwrap().spans.iter().map(row).collect()
}

#[test]
fn what_lasted_is_drawn_where_it_was() {
    let (_, timeline) = told(&run(), &Now::default());
    let places: Vec<&str> = timeline.lanes.iter().map(|lane| lane.place.as_str()).collect();
    assert_eq!(places, ["preflight", "k8s-master", "k8s-node4", "postflight"]);
    assert_eq!(
        spans(&timeline, "k8s-master"),
        [
            "drain 12:03:21-12:03:52",
            "packages 12:03:54-12:04:06",
            "kubeadm 12:04:07-12:06:05",
            "restart 12:06:06-12:06:32",
            "wait 12:06:33-12:06:51",
            "soak 12:06:56-12:08:30",
        ]
    );
    assert_eq!(
        spans(&timeline, "k8s-node4"),
        [
            "prepare 12:01:12-12:02:47",
            "hold 12:09:10-12:13:10",
            "drain 12:13:13-12:14:00+",
            "hold 12:13:13-12:14:00",
            "killed or cut off 12:14:00-12:14:30",
            "kubeadm 12:15:00-12:16:00+",
            "stopped 12:16:00-12:26:02",
            "kubeadm 12:27:01-12:27:13",
        ]
    );
    let away: Vec<u64> = timeline.api_away.iter().map(|away| away.lasted().as_secs()).collect();
    assert_eq!(away, [30], "what follows at once is one outage");
    let node4 = &timeline.lanes[2];
    assert_eq!((node4.processes.len(), node4.out().as_secs()), (3, 888));
}

/// One that is at work goes on to the last that is known; one that is gone left off where it was heard of last.
#[test]
fn a_run_in_flight_is_drawn_as_far_as_it_is_known() {
    let journals = [preflight(), killed()];
    let now = |at_work: Vec<String>| Now { at: Some(at("12:11:00")), in_flight: true, at_work, leases: Vec::new() };
    let (_, gone) = told(&journals, &now(vec![]));
    assert_eq!(spans(&gone, "k8s-node4").last().unwrap(), "killed or cut off 12:08:00-12:11:00+");
    let (_, works) = told(&journals, &now(vec!["node4-a".to_owned()]));
    assert_eq!(spans(&works, "k8s-node4")[1..], ["drain 12:07:13-12:11:00+", "hold 12:07:13-12:08:00"]);
    let (_, stopped) = told(&[preflight(), failed()], &now(vec![]));
    assert_eq!(spans(&stopped, "k8s-node4").last().unwrap(), "stopped 12:10:00-12:11:00+");
}

#[test]
fn the_picture_of_a_run() {
    let (story, timeline) = told(&run(), &Now::default());
    insta::assert_binary_snapshot!("picture.svg", svg(&story, &timeline).as_str().into());
}

#[test]
fn the_page_of_a_run() {
    let (story, timeline) = told(&run(), &Now::default());
    insta::assert_binary_snapshot!("page.html", html(&story, &timeline).as_str().into());
}

/// Well-formed, with nothing in it that runs and nothing that points elsewhere; the text of it all.
fn is_closed(file: &str, what: &str) -> String {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let tree =
        roxmltree::Document::parse_with_options(file, options).unwrap_or_else(|error| panic!("{what}: {error}\n{file:.2000}"));
    let known = [
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "figure", "table", "thead", "tbody", "tr", "th", "td",
        "ul", "li", "b", "br", "div", "details", "summary", "svg", "desc", "defs", "pattern", "rect", "path", "text",
    ];
    let mut ids = Vec::new();
    for element in tree.descendants().filter(roxmltree::Node::is_element) {
        let name = element.tag_name().name();
        assert!(known.contains(&name), "{what}: <{name}>");
        for attribute in element.attributes() {
            let (key, value) = (attribute.name(), attribute.value());
            assert!(!key.starts_with("on") && !["href", "src", "srcset", "action"].contains(&key), "{what}: {key}={value}");
            let outside = value.split("url(").skip(1).any(|url| !url.starts_with('#'));
            assert!(!(outside || key == "style" && value.contains("http")), "{what}: {key}={value}");
            if key == "id" {
                assert!(!ids.contains(&value), "{what}: two have the id {value}");
                ids.push(value);
            }
        }
        if name == "style" {
            let style = element.text().unwrap_or_default();
            assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("http"), "{what}: {style}");
        }
    }
    tree.descendants().filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

fn is_sound(journals: &[Journal], now: &Now, what: &str) -> (String, usize) {
    let (story, timeline) = told(journals, now);
    let (picture, page) = (svg(&story, &timeline), html(&story, &timeline));
    let text = is_closed(picture.as_str(), what) + &is_closed(page.as_str(), what);
    let markdown = markdown(&story, &timeline);
    let chart: Vec<&str> = markdown.as_str().split("```").collect();
    assert!(chart.len() == 3 || chart.len() == 1, "{what}: one fence\n{markdown}");
    for task in chart.get(1).unwrap_or(&"").lines().skip(4) {
        assert!(task.starts_with("  section ") || task.matches(':').count() == 5, "{what}: {task}");
    }
    assert!(chart.get(1).is_none_or(|chart| chart.len() < 50_000), "{what}: Mermaid draws no more");
    (text, picture.as_str().len().max(page.as_str().len()))
}

#[test]
fn every_kind_of_run_is_sound() {
    let bare = pod("", "nobody", "12:00:00", vec![], None);
    let in_flight = Now { in_flight: true, at_work: vec!["node4-a".to_owned()], ..Now::default() };
    let mut weeks = run();
    // It held for a weekend: that is folded, and said.
    weeks.iter_mut().rev().take(3).for_each(|journal| {
        let shift = |time: &mut jiff::Timestamp| *time += Duration::from_secs(60 * 3600);
        shift(&mut journal.head.begun);
        journal.lines.iter_mut().for_each(|line| shift(&mut line.at));
        journal.end.iter_mut().for_each(|end| shift(&mut end.at));
    });
    for (journals, now, what, wanted) in [
        (vec![bare], Now::default(), "an empty journal", "Nothing that lasted is on record."),
        (run(), Now::default(), "a whole run", "3 attempts"),
        (vec![preflight(), killed()], Now::default(), "a killed attempt", "killed or cut off at 12:08:00"),
        (vec![preflight(), killed()], in_flight, "a run in flight", "at work"),
        (vec![preflight()], Now { in_flight: true, ..Now::default() }, "a run that has just begun", "not begun"),
        (weeks, Now::default(), "a run that held for days", "between dots: nothing was done"),
    ] {
        let (text, _) = is_sound(&journals, &now, what);
        assert!(text.contains(wanted), "{what}: {wanted} is missing in\n{text}");
    }
}

/// Whoever may write a ConfigMap may write a journal.
#[test]
fn words_of_others_are_words_and_no_more() {
    let hostile = "</text></svg><script>alert(1)</script><img src=http://evil/x onerror=y> ```\n  section \"'&amp; \u{202e}\u{ffff}\u{0} ]]>-->";
    let mut journals = run();
    for journal in &mut journals {
        for text in [&mut journal.head.place, &mut journal.head.writer, &mut journal.head.command] {
            text.insert_str(0, hostile);
        }
        for line in &mut journal.lines {
            line.place.push_str(hostile);
            match &mut line.what {
                What::Step { step, .. } => step.push_str(hostile),
                What::Waited { on, .. } => on.push_str(hostile),
                What::Drain { held, .. } => held.push(hostile.repeat(2_000)),
                What::RunBegun { from, target, kind, nodes } => {
                    [target, kind].into_iter().chain(from).chain(nodes).for_each(|text| text.push_str(hostile));
                }
                What::Snapshot { path } => path.push_str(hostile),
                _ => {}
            }
        }
        if let Some(end) = &mut journal.end {
            (end.place, end.failure) = (hostile.to_owned(), Some(hostile.repeat(9)));
        }
    }
    let (text, bytes) = is_sound(&journals, &Now::default(), "hostile");
    assert!(text.contains("<script>alert(1)</script>"), "it is shown as what it is");
    assert!(bytes < 400_000, "{bytes}");
}

/// Times that no clock has shown: before the beginning, after the end of days, ends before their beginnings.
#[test]
fn no_time_breaks_the_picture() {
    let far = ["-009999-01-02T01:59:59Z", "1970-01-01T00:00:00Z", "9999-12-30T22:00:00Z"];
    for (number, time) in far.iter().cycle().take(18).enumerate() {
        let mut journals = run();
        let journal = number % journals.len();
        let lines = journals[journal].lines.len();
        journals[journal].lines[number / 3 % lines].at = time.parse().unwrap();
        journals[journal].lines.push(step("12:03:20", "k8s-node4", "drain", Some(u64::MAX)));
        let (text, bytes) = is_sound(&journals, &Now::default(), time);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{time}");
        assert!(bytes < 400_000, "{time}: {bytes}");
    }
}

#[test]
fn a_cluster_of_thousands_has_a_picture_that_opens() {
    let node = |number: usize| {
        let place = format!("node-{number}");
        let steps = (0..20).map(|at| step(&format!("12:{at:02}:01", at = at + 10), &place, "drain", Some(30)));
        pod(&place, &format!("{place}-pod"), "12:03:05", steps.collect(), end("12:50:00", "done"))
    };
    let mut journals: Vec<Journal> = (0..1_500).map(node).collect();
    journals.push(preflight());
    let (story, timeline) = told(&journals, &Now::default());
    assert_eq!((timeline.lanes.len(), timeline.lanes.iter().map(|lane| lane.spans.len()).sum::<usize>()), (1_000, 6_000));
    assert!(timeline.left_out > 14_000, "{}", timeline.left_out);
    for (file, most) in [(svg(&story, &timeline), 3_000_000), (html(&story, &timeline), 9_000_000)] {
        assert!(file.as_str().len() < most, "{}", file.as_str().len());
        assert!(file.as_str().contains("more had no room here."));
        is_closed(file.as_str(), "a large cluster");
    }
    assert_eq!(timeline.lanes[5].spans[0].kind, Kind::Drain);
}

/// Contrast as WCAG 2 measures it.
fn contrast(one: &str, other: &str) -> f64 {
    let light = |colour: &str| {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn words_can_be_read_on_every_colour_light_and_dark() {
    let style = include_str!("../../src/report/picture/style.css");
    let schemes: Vec<&str> = style.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let colour = |name: &str| {
            let found = scheme.split(&format!("--{name}: ")).nth(1).unwrap_or_else(|| panic!("no --{name}"));
            &found[..7]
        };
        for ground in ["bg", "lane", "out"] {
            for words in ["text", "quiet"] {
                let contrast = contrast(colour(words), colour(ground));
                assert!(contrast >= 4.5, "{words} on {ground}: {contrast:.1}");
            }
        }
        for kind in Kind::ALL {
            let name = if kind == Kind::Killed { "killed" } else { kind.word() };
            for (sign, least) in [("text".to_owned(), 4.5), (format!("{name}-line"), 3.0)] {
                let contrast = contrast(colour(&sign), colour(name));
                assert!(contrast >= least, "{sign} on {name}: {contrast:.1}");
            }
        }
        assert!(contrast(colour("away"), colour("lane")) >= 3.0);
    }
}

//! The story of a run as text for a terminal and as Markdown for a wiki or an issue.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::picture::mermaid;
use super::table::{Table, code, plain, table};
use super::{Page, Printed, span};
use crate::plan::view::cut::Cut;
use crate::plan::view::story::{Ending, Outage, Story, TimelineLine};
use crate::plan::view::timeline::Timeline;
use crate::words::shown;

pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn clock(at: Option<Timestamp>) -> String {
    at.map_or("?".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

fn took(seconds: Option<u64>) -> String {
    seconds.map_or("?".to_owned(), |seconds| span(Duration::from_secs(seconds)))
}

pub(super) fn title(story: &Story) -> String {
    match &story.target {
        _ if story.result == Ending::None => "What was done by hand, outside any run".to_owned(),
        Some(target) => {
            let (from, kind) = (story.from.as_deref().unwrap_or("?"), story.kind.as_deref().unwrap_or("?"));
            format!("Run {}: {from} → {target} ({kind})", story.run)
        }
        None => format!("Run {}", story.run),
    }
}

pub(super) fn result(story: &Story) -> String {
    let lasted = took(Some(story.until.duration_since(story.began).unsigned_abs().as_secs()));
    match story.result {
        Ending::Complete => format!("complete after {lasted}"),
        Ending::Partial => format!("partial after {lasted}: steps were skipped by force"),
        Ending::InFlight => format!("in flight; {lasted} on record"),
        Ending::Unknown => format!("not in flight any more, its end is not known; {lasted} on record"),
        Ending::None => "no run was in flight".to_owned(),
    }
}

pub(super) fn phases(story: &Story) -> Table {
    let row = |phase: &crate::plan::view::story::Phase| {
        let again = if phase.attempt > 1 { format!(" (attempt {})", phase.attempt) } else { String::new() };
        let on = phase.on.as_ref().map_or(String::new(), |on| format!(" on {on}"));
        let cut = || phase.cut.as_ref().map_or("no end on record".to_owned(), Cut::says);
        vec![
            format!("{}{again}", phase.place),
            clock(Some(phase.began)),
            took(phase.seconds),
            phase.result.clone().unwrap_or_else(cut),
            format!("{}{on}", phase.by),
        ]
    };
    (vec!["PHASE", "BEGAN", "TOOK", "RESULT", "BY"], story.phases.iter().map(row).collect())
}

pub(super) fn outages(story: &Story) -> Table {
    let row = |outage: &Outage| {
        let to = outage.to.map_or("still is".to_owned(), |to| clock(Some(to)));
        vec![outage.node.clone(), clock(outage.from), to, took(outage.seconds)]
    };
    let mut rows: Vec<Vec<String>> = story.out_of_service.iter().map(row).collect();
    rows.push(vec!["total".to_owned(), String::new(), String::new(), took(Some(story.out_of_service_seconds))]);
    (vec!["OUT OF SERVICE", "FROM", "TO", "FOR"], rows)
}

pub(super) fn by_hand(story: &Story) -> Table {
    let row = |hand: &crate::plan::view::story::ByHand| {
        let result = hand.result.clone().unwrap_or_else(|| "no end on record".to_owned());
        vec![hand.who.clone(), clock(Some(hand.at)), hand.command.clone(), result]
    };
    (vec!["BY HAND", "AT", "COMMAND", "RESULT"], story.by_hand.iter().map(row).collect())
}

/// For a terminal.
pub fn text(story: &Story) -> Printed {
    let story = &shown(story);
    let mut out = Page::new();
    out.record("", &format!("{}, {}", title(story), result(story)));
    out.record("", &format!("{} to {}", stamp(story.began), stamp(story.until)));
    if let Some(path) = &story.snapshot {
        out.record("", &format!("etcd snapshot {path}"));
    }
    out.gap();
    for table in [phases(story), outages(story), by_hand(story)].iter().filter(|(_, rows)| !rows.is_empty()) {
        out.table(table);
        out.gap();
    }
    out.record("  ", "TIMELINE");
    for TimelineLine { at, place, text, detail } in &story.timeline {
        let gap = if place.is_empty() { "" } else { "  " };
        out.record(&format!("  {}  {place}{gap}", clock(Some(*at))), text);
        detail.iter().for_each(|line| out.record("              ", line));
    }
    if !story.missing.is_empty() {
        out.gap();
        out.record("  ", "NOT KNOWN");
        story.missing.iter().for_each(|line| out.record("  ", line));
    }
    Printed::page(out)
}

/// For a wiki, with a chart where it draws Mermaid.
pub fn markdown(story: &Story, timeline: &Timeline) -> Printed {
    let (story, timeline) = (&shown(story), &shown(timeline));
    let mut out = format!("# {}\n\n{}; {} to {}\n", plain(&title(story)), result(story), stamp(story.began), stamp(story.until));
    if let Some(path) = &story.snapshot {
        let _ = writeln!(out, "\netcd snapshot {}", code(path));
    }
    if let Some(chart) = mermaid(timeline) {
        let _ = write!(out, "\n{chart}");
    }
    table(&mut out, "Phases", &phases(story));
    table(&mut out, "Out of service", &outages(story));
    table(&mut out, "By hand", &by_hand(story));
    out.push_str("\n## Timeline\n\n");
    for TimelineLine { at, place, text, detail } in &story.timeline {
        let place = if place.is_empty() { String::new() } else { format!(" **{}**", plain(place)) };
        let _ = writeln!(out, "- {}{place} {}", clock(Some(*at)), plain(text));
        for line in detail {
            let _ = writeln!(out, "  - {}", plain(line));
        }
    }
    if !story.missing.is_empty() {
        out.push_str("\n## Not known\n\n");
        for line in &story.missing {
            let _ = writeln!(out, "- {}", plain(line));
        }
    }
    Printed::document(&out)
}

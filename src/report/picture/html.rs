//! The picture in a page of its own, with the same facts as tables below it: for a phone, for a screen reader, and to search in.

use std::fmt::Write;

use super::canvas::{Format, unended};
use super::svg::picture;
use super::{CELL, STYLE, clipped, clock, escaped, lasted};
use crate::plan::view::story::{Story, TimelineLine};
use crate::plan::view::timeline::Timeline;
use crate::report::Printed;
use crate::report::story::{by_hand, outages, phases, result, stamp, title};
use crate::report::table::Table;
use crate::words::shown;

const PAGE: &str = include_str!("page.css");
/// Lines of all that happened: the newest.
const LINES: usize = 5_000;

/// A run as one file, for a browser. It asks nothing of anybody, and runs nothing: the policy in it holds a browser to that.
pub fn html(story: &Story, timeline: &Timeline) -> Printed {
    let (story, timeline) = (&shown(story), &shown(timeline));
    let name = cell(&title(story));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{name}</title>\n<style>\n{STYLE}{PAGE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n<p>{}</p>\n<p class=\"quiet\">{} to {}</p>\n",
        cell(&result(story)),
        stamp(story.began),
        stamp(story.until)
    );
    if let Some(path) = &story.snapshot {
        let _ = writeln!(out, "<p class=\"quiet\">etcd snapshot {}</p>", cell(path));
    }
    out.push_str("<figure>\n");
    out.push_str(&picture(story, timeline, Format::Wide, false));
    out.push_str(&picture(story, timeline, Format::Narrow, false));
    out.push_str("</figure>\n");
    table(&mut out, "What took how long", &spans(timeline));
    table(&mut out, "Attempts", &phases(story));
    table(&mut out, "Out of service", &outages(story));
    table(&mut out, "By hand", &by_hand(story));
    if !story.missing.is_empty() {
        out.push_str("<h2>Not known</h2>\n<ul>\n");
        for line in &story.missing {
            let _ = writeln!(out, "<li>{}</li>", cell(line));
        }
        out.push_str("</ul>\n");
    }
    happened(&mut out, story);
    out.push_str("</body>\n</html>\n");
    Printed::document(&out)
}

fn cell(text: &str) -> String {
    escaped(&clipped(text, CELL))
}

/// Every span, in the order of its lane.
fn spans(timeline: &Timeline) -> Table {
    let away = timeline.api_away.iter().map(|away| {
        vec!["API server".to_owned(), "away".to_owned(), clock(away.from), lasted(*away), "not ready, or no answer".to_owned()]
    });
    let of_lanes = timeline.lanes.iter().flat_map(|lane| {
        lane.spans.iter().map(|span| {
            let open = unended(span);
            let (from, took) = (clock(span.time.from), lasted(span.time));
            vec![lane.place.clone(), span.kind.word().to_owned(), from, format!("{took}{open}"), span.text.clone()]
        })
    });
    (vec!["WHERE", "WHAT", "BEGAN", "TOOK", "IN WORDS"], away.chain(of_lanes).collect())
}

fn table(out: &mut String, heading: &str, (titles, rows): &Table) {
    if rows.is_empty() {
        return;
    }
    let titles: Vec<String> = titles.iter().map(|title| title.to_lowercase()).collect();
    let head: String = titles.iter().map(|title| format!("<th scope=\"col\">{title}</th>")).collect();
    let _ = writeln!(out, "<h2>{heading}</h2>\n<div>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>");
    for row in rows {
        let cells = row.iter().zip(&titles).map(|(text, title)| format!("<td data-label=\"{title}\">{}</td>", cell(text)));
        let _ = writeln!(out, "<tr>{}</tr>", cells.collect::<String>());
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn happened(out: &mut String, story: &Story) {
    let before = story.timeline.len().saturating_sub(LINES);
    out.push_str("<details>\n<summary>All that happened</summary>\n");
    if before > 0 {
        let _ = writeln!(out, "<p class=\"quiet\">{before} lines before these had no room here.</p>");
    }
    out.push_str("<ul>\n");
    for TimelineLine { at, place, text, detail } in story.timeline.iter().skip(before) {
        let place = if place.is_empty() { String::new() } else { format!(" <b>{}</b>", cell(place)) };
        let _ = write!(out, "<li>{}{place} {}", clock(*at), cell(text));
        for line in detail {
            let _ = write!(out, "<br/>{}", cell(line));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n</details>\n");
}

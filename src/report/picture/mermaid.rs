//! The same as a chart that GitHub and many wikis draw out of Markdown.

use std::fmt::Write;

use jiff::Timestamp;

use super::{clipped, lasted};
use crate::plan::view::timeline::{Kind, Timeline};

/// Mermaid refuses a chart of more than 50,000 characters.
const LIMIT: usize = 40_000;
/// Characters of a name.
const NAME: usize = 60;

/// In its fence; what does not fit is counted. None: there is nothing to draw.
pub fn mermaid(timeline: &Timeline) -> Option<String> {
    let mut chart = "```mermaid\ngantt\n  dateFormat YYYY-MM-DDTHH:mm:ss\n  axisFormat %H:%M\n".to_owned();
    let (mut drawn, mut left_out) = (0, timeline.left_out);
    let mut section = |name: &str, tasks: Vec<String>| {
        let wanted: usize = tasks.iter().map(String::len).sum();
        if tasks.is_empty() {
        } else if chart.len() + wanted + NAME > LIMIT {
            left_out += tasks.len();
        } else {
            let _ = writeln!(chart, "  section {}", plain(name));
            tasks.iter().for_each(|task| chart.push_str(task));
            drawn += 1;
        }
    };
    let away = timeline.api_away.iter().map(|away| task(&format!("away {}", lasted(*away)), "crit, ", away.from, away.to));
    section("API server", away.collect());
    for lane in &timeline.lanes {
        let spans = lane.spans.iter().map(|span| {
            let words = match span.kind {
                Kind::Prepare => span.text.clone(),
                kind if kind.holds() => format!("{} {}", kind.word(), span.text),
                kind => kind.word().to_owned(),
            };
            let tag = if span.kind.holds() { "crit, " } else { "" };
            task(&words, tag, span.time.from, span.time.to)
        });
        section(&lane.place, spans.collect());
    }
    chart.push_str("```\n");
    if left_out > 0 {
        let _ = writeln!(chart, "\n{left_out} more had no room in the chart.");
    }
    (drawn > 0).then_some(chart)
}

fn task(words: &str, tag: &str, from: Timestamp, to: Timestamp) -> String {
    let at = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S");
    format!("  {} :{tag}{}, {}\n", plain(words), at(from), at(to))
}

/// Mermaid has no way to escape what it takes for its own, so only what it takes for text stays.
fn plain(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_alphanumeric() || " ._/-()".contains(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let plain = clipped(&words.join(" "), NAME);
    if plain.is_empty() { "?".to_owned() } else { plain }
}

//! The picture itself: a lane for each node and phase over one axis of time, a legend in words, and every hold with its reason.

use std::fmt::Write;

use super::measure::{fit, lines, wide};
use super::pattern::patterns;
use super::scale::Scale;
use super::{NAME, REASON, STYLE, class, clipped, clock, escaped, lasted};
use crate::plan::view::story::Story;
use crate::plan::view::timeline::{Kind, Lane, Span, Timeline};
use crate::report::story::{result, stamp, title};
use crate::report::{Printed, span};
use crate::words::shown;

/// Holds that the picture explains; a page's table has all.
const HOLDS: usize = 40;
const BAR: f64 = 26.0;

/// For which screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Wide,
    /// A phone: names stand above their lanes.
    Narrow,
}

/// Measures of a format.
struct Sheet {
    prefix: char,
    width: f64,
    margin: f64,
    /// Where the axis begins.
    left: f64,
    ticks: f64,
    fold: f64,
}

const WIDE: Sheet = Sheet { prefix: 'w', width: 1200.0, margin: 24.0, left: 216.0, ticks: 9.0, fold: 56.0 };
const NARROW: Sheet = Sheet { prefix: 'n', width: 360.0, margin: 10.0, left: 10.0, ticks: 4.0, fold: 30.0 };

/// A run as one file, for a browser or a wiki that takes SVG.
pub fn svg(story: &Story, timeline: &Timeline) -> Printed {
    let picture = picture(&shown(story), &shown(timeline), Format::Wide, true);
    Printed::page(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}"))
}

/// The element alone. `alone`: it brings its own style.
pub fn picture(story: &Story, timeline: &Timeline, format: Format, alone: bool) -> String {
    let sheet = match format {
        Format::Wide => &WIDE,
        Format::Narrow => &NARROW,
    };
    let scale = Scale::new(timeline, sheet.left, sheet.width - sheet.margin, sheet.fold);
    Canvas { out: String::new(), y: 0.0, sheet, scale, holds: Vec::new() }.draw(story, timeline, alone)
}

struct Canvas<'a> {
    out: String,
    /// How far down it is drawn.
    y: f64,
    sheet: &'a Sheet,
    scale: Scale,
    /// Told below, by number.
    holds: Vec<(&'a str, &'a Span)>,
}

impl<'a> Canvas<'a> {
    fn draw(mut self, story: &Story, timeline: &'a Timeline, alone: bool) -> String {
        self.heading(story);
        let top = self.y;
        self.y += 34.0;
        if timeline.lanes.is_empty() {
            self.line(self.sheet.left, "", "Nothing that lasted is on record.");
        }
        self.api(timeline);
        for lane in &timeline.lanes {
            self.lane(lane);
        }
        let body = std::mem::take(&mut self.out);
        let bottom = self.y;
        self.grid(timeline, top, bottom);
        self.out.push_str(&body);
        self.legend(timeline);
        self.reasons();
        if timeline.left_out > 0 {
            self.line(self.sheet.margin, "quiet", &format!("{} more had no room here.", timeline.left_out));
        }
        self.wrapped(story, timeline, alone)
    }

    fn wrapped(self, story: &Story, timeline: &Timeline, alone: bool) -> String {
        let Sheet { prefix, width, .. } = *self.sheet;
        let height = self.y + 10.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{}\" viewBox=\"0 0 {width} {height:.0}\" width=\"{width}\" height=\"{height:.0}\" \
             role=\"img\" aria-labelledby=\"{prefix}-title {prefix}-what\">\n<title id=\"{prefix}-title\">{}</title>\n",
            if prefix == 'w' { "wide" } else { "narrow" },
            escaped(&clipped(&title(story), REASON)),
        );
        let away: u64 = timeline.api_away.iter().map(|away| away.lasted().as_secs()).sum();
        let what = format!(
            "{} lanes over time, {}. Nodes out of service {} in all, the API server away {}.",
            timeline.lanes.len(),
            result(story),
            span(std::time::Duration::from_secs(story.out_of_service_seconds)),
            span(std::time::Duration::from_secs(away))
        );
        let _ = writeln!(svg, "<desc id=\"{prefix}-what\">{}</desc>", escaped(&what));
        if alone {
            let _ = writeln!(svg, "<style>\n{STYLE}</style>");
        }
        svg.push_str(&patterns(prefix));
        svg.push_str(&self.out);
        svg.push_str("</svg>\n");
        svg
    }

    fn text(&mut self, x: f64, y: f64, classes: &str, text: &str) {
        let class = if classes.is_empty() { String::new() } else { format!(" class=\"{classes}\"") };
        let _ = writeln!(self.out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}>{}</text>", escaped(text));
    }

    /// A text of its own line, as much as the width has room for.
    fn line(&mut self, x: f64, classes: &str, text: &str) {
        self.y += 18.0;
        let room = self.sheet.width - self.sheet.margin - x;
        self.text(x, self.y, classes, &fit(text, if classes == "big" { 18.0 } else { 12.0 }, room));
    }

    fn rect(&mut self, (left, right): (f64, f64), y: f64, height: f64, rest: &str) {
        let _ = write!(
            self.out,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" {rest}",
            (right - left).max(0.1)
        );
    }

    fn heading(&mut self, story: &Story) {
        self.y += 12.0;
        let (margin, room) = (self.sheet.margin, self.sheet.width - 2.0 * self.sheet.margin);
        let size = if self.sheet.prefix == 'w' { 18.0 } else { 13.0 };
        for line in lines(&title(story), size, room) {
            self.line(margin, if size > 13.0 { "big" } else { "name" }, &line);
            self.y += size - 13.0;
        }
        for line in lines(&result(story), 12.0, room) {
            self.line(margin, "", &line);
        }
        self.line(margin, "quiet", &format!("time since the beginning, {}", stamp(story.began)));
        self.y += 4.0;
    }

    /// Ticks, folds, and when the API server was away: they stand behind the lanes.
    fn grid(&mut self, timeline: &Timeline, top: f64, bottom: f64) {
        let parts = self.scale.parts.clone();
        let mut free = 0.0;
        for (x, words) in self.scale.ticks(self.sheet.ticks) {
            let _ = writeln!(self.out, "<path class=\"tick\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/>", top + 26.0);
            let left = x.min(self.sheet.width - wide(&words, 11.0) - 2.0);
            if left >= free {
                self.text(left, top + 20.0, "quiet", &words);
                free = left + wide(&words, 11.0) + 8.0;
            }
        }
        for part in parts.iter().filter(|part| part.folded) {
            let middle = f64::midpoint(part.left, part.right);
            for x in [part.left, part.right] {
                let _ = writeln!(self.out, "<path class=\"fold\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/>", top + 10.0);
            }
            let text = span(std::time::Duration::from_secs_f64(part.to - part.from));
            let left = middle - wide(&text, 11.0) / 2.0;
            self.text(left, top + 7.0, "quiet", &text);
        }
        for away in &timeline.api_away {
            self.rect(self.scale.of(*away), top + 26.0, bottom - top - 26.0, "class=\"band\"/>\n");
        }
    }

    /// Where a lane's bar begins, after its name.
    fn named(&mut self, name: &str, beside: &str, height: f64) -> f64 {
        let Sheet { prefix, width, margin, left, .. } = *self.sheet;
        let top = self.y;
        self.rect((0.0, width), top, height - 4.0, "class=\"lane\"/>\n");
        if prefix == 'n' {
            let name = fit(name, 13.0, width - 2.0 * margin - wide(beside, 11.0) - 10.0);
            self.text(margin, top + 15.0, "name", &name);
            self.text(width - margin - wide(beside, 11.0), top + 15.0, "quiet", beside);
            self.y += height;
            return top + 22.0;
        }
        self.text(margin, top + 24.0, "name", &fit(name, 13.5, left - margin - 12.0));
        self.text(margin, top + 40.0, "quiet", beside);
        self.y += height;
        top + 12.0
    }

    fn api(&mut self, timeline: &Timeline) {
        if timeline.api_away.is_empty() {
            return;
        }
        let extra = if self.sheet.prefix == 'n' { 54.0 } else { 48.0 };
        let y = self.named("API server", "away or not ready", extra);
        let mut free = 0.0;
        for (number, away) in timeline.api_away.iter().enumerate() {
            let (left, right) = self.scale.of(*away);
            self.rect((left, right), y, 20.0, &format!("class=\"span\" style=\"fill:url(#{}-away)\">", self.sheet.prefix));
            let words = format!("away {}", lasted(*away));
            let _ = writeln!(self.out, "<title>{}</title></rect>", escaped(&format!("API server {words}, {} UTC", clock(away.from))));
            let next = timeline.api_away.get(number + 1).map_or(self.sheet.width, |next| self.scale.x(next.from));
            let needed = wide(&words, 11.0);
            if right + 5.0 + needed < next {
                self.text(right + 5.0, y + 14.0, "quiet", &words);
                free = right + 5.0 + needed;
            } else if left - 5.0 - needed > free && left - 5.0 - needed > self.sheet.left {
                self.text(left - 5.0 - needed, y + 14.0, "quiet", &words);
            }
        }
    }

    fn lane(&mut self, lane: &'a Lane) {
        let outages = !lane.out_of_service.is_empty();
        let height = BAR + if self.sheet.prefix == 'n' { 32.0 } else { 22.0 } + if outages { 22.0 } else { 0.0 };
        let beside = match lane.processes.len() {
            0 if lane.spans.is_empty() => "not begun".to_owned(),
            0 | 1 => String::new(),
            several => format!("{several} attempts"),
        };
        let y = self.named(&clipped(&lane.place, NAME), &beside, height);
        for out in &lane.out_of_service {
            self.rect(self.scale.of(*out), y - 2.0, BAR + 4.0, "class=\"out\"/>\n");
        }
        for process in &lane.processes {
            let ((left, right), middle) = (self.scale.of(*process), y + BAR / 2.0);
            let _ = writeln!(self.out, "<path class=\"process\" d=\"M{left:.1} {middle:.1}H{right:.1}\"/>");
        }
        let overlaps = |span: &Span| {
            let within = |other: &Span| !other.kind.holds() && other.time.from < span.time.to && span.time.from < other.time.to;
            span.kind.holds() && lane.spans.iter().any(within)
        };
        // What holds lies over the step that it held.
        let (over, under): (Vec<&Span>, Vec<&Span>) = lane.spans.iter().partition(|span| overlaps(span));
        let label = y + if over.is_empty() { 17.0 } else { 12.0 };
        let mut marked = f64::MIN;
        for (spans, top) in [(under, y), (over, y + 16.0)] {
            for span in spans {
                self.span(&lane.place, span, top, y + BAR - top, label);
                if span.kind.holds() {
                    self.holds.push((&lane.place, span));
                    let (left, right) = self.scale.of(span.time);
                    let x = f64::midpoint(left, right);
                    if x - marked > 14.0 {
                        let number = self.holds.len().to_string();
                        self.text(x, y - 3.0, "mark", &number);
                        marked = x;
                    }
                }
            }
        }
        self.brackets(lane, y + BAR + 3.0);
    }

    fn span(&mut self, place: &str, span: &Span, top: f64, height: f64, label: f64) {
        let (class, prefix) = (class(span.kind), self.sheet.prefix);
        let (left, right) = self.scale.of(span.time);
        let open = if span.open { " open" } else { "" };
        self.rect(
            (left, right),
            top,
            height,
            &format!("class=\"span{open}\" rx=\"2\" style=\"fill:url(#{prefix}-{class});stroke:var(--{class}-line)\">"),
        );
        let end = if span.open { ", no end on record" } else { "" };
        let told = format!(
            "{place}: {}, {} to {} UTC ({}){end}: {}",
            span.kind.word(),
            clock(span.time.from),
            clock(span.time.to),
            lasted(span.time),
            clipped(&span.text, REASON)
        );
        let _ = writeln!(self.out, "<title>{}</title></rect>", escaped(&told));
        let words = if span.kind == Kind::Prepare { clipped(&span.text, NAME) } else { span.kind.word().to_owned() };
        let words = fit(&words, 11.0, right - left - 8.0);
        // What lies over a step leaves no room for a word; its number tells it.
        if height >= BAR && words.chars().count() >= 4 {
            let _ = writeln!(
                self.out,
                "<text x=\"{:.1}\" y=\"{label:.1}\" class=\"on\" style=\"stroke:var(--{class})\">{}</text>",
                left + 4.0,
                escaped(&words)
            );
        }
    }

    /// A bracket for each time out of service, with its figure.
    fn brackets(&mut self, lane: &Lane, y: f64) {
        for (number, out) in lane.out_of_service.iter().enumerate() {
            let (left, right) = self.scale.of(*out);
            let _ = writeln!(self.out, "<path class=\"bracket\" d=\"M{left:.1} {y:.1}v5H{right:.1}v-5\"/>");
            let next = lane.out_of_service.get(number + 1).map(|next| self.scale.x(next.from));
            let edge = self.sheet.width - 4.0;
            let full = format!("out of service {}", lasted(*out));
            let room = next.unwrap_or(edge) - left - 6.0;
            let words = if wide(&full, 11.0) <= room || next.is_none() { full } else { fit(&lasted(*out), 11.0, room) };
            let x = left.min(edge - wide(&words, 11.0)).max(2.0);
            self.text(x, y + 18.0, "quiet", &words);
        }
    }

    /// What the patterns mean, of those that are there.
    fn legend(&mut self, timeline: &Timeline) {
        let there = |kind: &Kind| timeline.lanes.iter().flat_map(|lane| &lane.spans).any(|span| span.kind == *kind);
        let mut entries: Vec<(&str, &str, String)> = Kind::ALL
            .into_iter()
            .filter(there)
            .map(|kind| (class(kind), kind.word(), format!(";stroke:var(--{}-line)", class(kind))))
            .collect();
        if !timeline.api_away.is_empty() {
            entries.push(("away", "API server away", String::new()));
        }
        if self.scale.parts.iter().any(|part| part.folded) {
            entries.push(("", "between dots: nothing was done", String::new()));
        }
        self.y += 14.0;
        let mut x = self.sheet.margin;
        for (class, words, stroke) in entries {
            let needed = 24.0 + wide(words, 12.0) + 18.0;
            if x + needed - 18.0 > self.sheet.width - self.sheet.margin {
                (x, self.y) = (self.sheet.margin, self.y + 22.0);
            }
            if class.is_empty() {
                let (a, b) = (self.y, self.y + 14.0);
                let _ = writeln!(self.out, "<path class=\"fold\" d=\"M{:.1} {a:.1}V{b:.1}M{:.1} {a:.1}V{b:.1}\"/>", x + 2.0, x + 14.0);
            } else {
                let rest = format!("class=\"span\" rx=\"2\" style=\"fill:url(#{}-{class}){stroke}\"/>\n", self.sheet.prefix);
                self.rect((x, x + 18.0), self.y, 14.0, &rest);
            }
            self.text(x + 24.0, self.y + 11.5, "", words);
            x += needed;
        }
        self.y += 22.0;
    }

    /// What the numbers above the lanes mean.
    fn reasons(&mut self) {
        let holds = std::mem::take(&mut self.holds);
        if holds.is_empty() {
            return;
        }
        self.y += 6.0;
        self.line(self.sheet.margin, "name", "What held, and why");
        self.y += 2.0;
        for (number, (place, span)) in holds.iter().take(HOLDS).enumerate() {
            let (from, took) = (clock(span.time.from), lasted(span.time));
            let open = if span.open { ", no end on record" } else { "" };
            let (word, reason) = (span.kind.word(), clipped(&span.text, REASON));
            let text = format!("{}, {word} at {from} for {took}{open}: {reason}", clipped(place, NAME));
            let x = self.sheet.margin + 26.0;
            for (row, line) in lines(&text, 12.0, self.sheet.width - self.sheet.margin - x).iter().enumerate() {
                self.y += 17.0;
                if row == 0 {
                    self.text(self.sheet.margin + 8.0, self.y, "mark", &(number + 1).to_string());
                }
                self.text(x, self.y, "", line);
            }
        }
        if holds.len() > HOLDS {
            self.line(self.sheet.margin + 26.0, "quiet", &format!("… and {} more", holds.len() - HOLDS));
        }
    }
}

//! The picture itself: a lane for each node and phase over one axis of time, a legend in words, and every hold with its reason.

use std::fmt::Write;
use std::time::Duration;

use super::canvas::{Canvas, Format, Sheet, unended};
use super::measure::{fit, lines, wide};
use super::pattern::patterns;
use super::{NAME, REASON, STYLE, class, clipped, clock, escaped, lasted};
use crate::plan::view::story::Story;
use crate::plan::view::timeline::{Kind, Lane, Span, Stretch, Timeline};
use crate::report::story::{result, stamp, title};
use crate::report::{Printed, span};
use crate::words::shown;

const BAR: f64 = 26.0;

/// A run as one file, for a browser or a wiki that takes SVG.
pub fn svg(story: &Story, timeline: &Timeline) -> Printed {
    let picture = picture(&shown(story), &shown(timeline), Format::Wide, true);
    Printed::document(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}"))
}

/// The element alone. `alone`: it brings its own style.
pub fn picture(story: &Story, timeline: &Timeline, format: Format, alone: bool) -> String {
    Canvas::new(timeline, format).draw(story, timeline, alone)
}

impl<'a> Canvas<'a> {
    fn draw(mut self, story: &Story, timeline: &'a Timeline, alone: bool) -> String {
        self.heading(story, alone);
        let top = self.y;
        self.y += 26.0;
        if timeline.lanes.is_empty() {
            self.line(self.sheet.left, "", "Nothing that lasted is on record.");
        }
        self.api(timeline);
        for lane in &timeline.lanes {
            self.lane(lane);
        }
        let (lanes, bottom) = (std::mem::take(&mut self.out), self.y);
        self.out = std::mem::take(&mut self.under);
        self.grid(timeline, top, bottom);
        self.out.push_str(&lanes);
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
            span(Duration::from_secs(story.out_of_service_seconds)),
            span(Duration::from_secs(away))
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

    /// A page has its own title.
    fn heading(&mut self, story: &Story, alone: bool) {
        self.y += if alone { 12.0 } else { 0.0 };
        let (margin, room) = (self.sheet.margin, self.sheet.width - 2.0 * self.sheet.margin);
        let size = if self.sheet.prefix == 'w' { 18.0 } else { 13.0 };
        for line in lines(&title(story), size, room).iter().filter(|_| alone) {
            self.line(margin, if size > 13.0 { "big" } else { "name" }, line);
            self.y += size - 13.0;
        }
        for line in lines(&result(story), 12.0, room).iter().filter(|_| alone) {
            self.line(margin, "", line);
        }
        self.line(margin, "quiet", &format!("time since the beginning, {}", stamp(story.began)));
        self.y += 4.0;
        self.under.push_str(&std::mem::take(&mut self.out));
    }

    /// Ticks, folds, and when the API server was away: they stand behind the lanes.
    fn grid(&mut self, timeline: &Timeline, top: f64, bottom: f64) {
        let top = top + 22.0;
        let mut words: Vec<(f64, String)> = Vec::new();
        for part in self.scale.parts.clone().iter().filter(|part| part.folded) {
            for x in [part.left, part.right] {
                let _ = writeln!(self.out, "<path class=\"fold\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
            }
            let text = span(Duration::from_secs_f64(part.to - part.from));
            words.push((f64::midpoint(part.left, part.right) - wide(&text, 11.0) / 2.0, text));
        }
        for (x, text) in self.scale.ticks(self.sheet.ticks) {
            let _ = writeln!(self.out, "<path class=\"tick\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
            words.push((x, text));
        }
        // What a fold hides comes before a tick's word.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (left, text) in words {
            let left = left.min(self.sheet.width - wide(&text, 11.0) - 2.0);
            let right = left + wide(&text, 11.0) + 6.0;
            if taken.iter().all(|(from, to)| right < *from || left > *to) {
                self.text(left, top - 6.0, "quiet", &text);
                taken.push((left, right));
            }
        }
        for away in &timeline.api_away {
            self.rect(self.scale.of(*away), top, bottom - top, "class=\"band\"/>\n");
        }
    }

    /// Where a lane's bar begins, after its name.
    fn named(&mut self, name: &str, beside: &str, height: f64) -> f64 {
        let Sheet { prefix, width, margin, left, .. } = *self.sheet;
        let top = self.y;
        let _ = writeln!(self.under, "<rect y=\"{top:.1}\" width=\"{width}\" height=\"{:.1}\" class=\"lane\"/>", height - 4.0);
        if prefix == 'n' {
            let name = fit(name, 13.0, width - 2.0 * margin - wide(beside, 11.0) - 10.0);
            self.text(margin, top + 15.0, "name", &name);
            self.text(width - margin - wide(beside, 11.0), top + 15.0, "quiet", beside);
            self.y += height;
            return top + 32.0;
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
        let extra = if self.sheet.prefix == 'n' { 60.0 } else { 54.0 };
        let y = self.named("API server", "away or not ready", extra);
        let mut free = 0.0;
        for (number, away) in timeline.api_away.iter().enumerate() {
            let (left, right) = self.scale.of(*away);
            self.rect((left, right), y, 20.0, &format!("class=\"span\" style=\"fill:url(#{}-away)\">", self.sheet.prefix));
            let words = format!("away {}", lasted(*away));
            let _ =
                writeln!(self.out, "<title>{}</title></rect>", escaped(&format!("API server {words}, {} UTC", clock(away.from))));
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
        let height = BAR + if self.sheet.prefix == 'n' { 42.0 } else { 24.0 } + if outages { 22.0 } else { 0.0 };
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
        let over = lane.spans.iter().any(overlaps);
        let mut marked: Vec<f64> = Vec::new();
        for pass in [false, true] {
            for span in lane.spans.iter().filter(|span| overlaps(span) == pass) {
                let top = if pass { y + 16.0 } else { y };
                self.span(&lane.place, span, top, y + BAR - top, y + if over { 12.0 } else { 17.0 });
            }
        }
        for span in lane.spans.iter().filter(|span| span.kind.holds()) {
            self.holds.push((&lane.place, span));
            let (left, right) = self.scale.of(span.time);
            let x = f64::midpoint(left, right);
            if marked.iter().all(|other| (x - other).abs() > 14.0) {
                let number = self.holds.len().to_string();
                self.text(x, y - 3.0, "mark", &number);
                marked.push(x);
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
            &format!(
                "class=\"span{open}\" rx=\"{}\" style=\"fill:url(#{prefix}-{class});stroke:var(--{class}-line)\">",
                if right - left > 6.0 { 2 } else { 0 }
            ),
        );
        let end = unended(span);
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
            let parts = worked(lane, *out);
            let told = if parts.is_empty() { full.clone() } else { format!("{full}: {}", parts.join(", ")) };
            let room = next.unwrap_or(edge) - if next.is_none() { 2.0 } else { left + 6.0 };
            let words = [told, full].into_iter().find(|words| wide(words, 11.0) <= room);
            let words = words.unwrap_or_else(|| fit(&lasted(*out), 11.0, room));
            let x = left.min(edge - wide(&words, 11.0)).max(2.0);
            self.text(x, y + 18.0, "quiet", &words);
        }
    }
}

/// What was done in that time, each kind with its figure.
fn worked(lane: &Lane, out: Stretch) -> Vec<String> {
    let of = |kind: Kind| {
        let within = |one: &&Span| one.kind == kind && one.time.from >= out.from && one.time.from <= out.to;
        let took: Duration = lane.spans.iter().filter(within).map(|one| one.time.lasted()).sum();
        (!took.is_zero()).then(|| format!("{} {}", kind.word(), span(Duration::from_secs(took.as_secs()))))
    };
    Kind::ALL.into_iter().filter(|kind| kind.works()).filter_map(of).collect()
}

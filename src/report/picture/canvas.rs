//! What is drawn on: how wide a screen is, how far down the drawing has come, and the few signs that it is made of.

use std::fmt::Write;

use super::escaped;
use super::measure::fit;
use super::scale::Scale;
use crate::plan::view::timeline::{Span, Timeline};

/// For which screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Wide,
    /// A phone: names stand above their lanes.
    Narrow,
}

/// Measures of a format, in pixels.
pub struct Sheet {
    /// Of ids: both formats may stand on one page.
    pub prefix: char,
    pub width: f64,
    pub margin: f64,
    /// Where the axis begins.
    pub left: f64,
    /// About so many.
    pub ticks: f64,
    /// As wide as long times in which nothing was done.
    pub fold: f64,
}

const WIDE: Sheet = Sheet { prefix: 'w', width: 1200.0, margin: 24.0, left: 216.0, ticks: 9.0, fold: 56.0 };
const NARROW: Sheet = Sheet { prefix: 'n', width: 360.0, margin: 10.0, left: 10.0, ticks: 4.0, fold: 30.0 };

/// A picture in the making.
pub struct Canvas<'a> {
    pub out: String,
    /// What stands behind the axis' lines: the lanes themselves, after the heading.
    pub under: String,
    /// How far down it is drawn.
    pub y: f64,
    pub sheet: &'a Sheet,
    pub scale: Scale,
    /// Told below, by number.
    pub holds: Vec<(&'a str, &'a Span)>,
}

/// What is known of the end of what has none.
pub fn unended(span: &Span) -> &'static str {
    match (span.open, span.kind.holds()) {
        (false, _) => "",
        (true, true) => ", and it stands so",
        (true, false) => ", no end on record",
    }
}

impl Canvas<'_> {
    /// Of a run's time, and nothing on it.
    pub fn new(timeline: &Timeline, format: Format) -> Self {
        let sheet = match format {
            Format::Wide => &WIDE,
            Format::Narrow => &NARROW,
        };
        let scale = Scale::new(timeline, sheet.left, sheet.width - sheet.margin, sheet.fold);
        Canvas { out: String::new(), under: String::new(), y: 0.0, sheet, scale, holds: Vec::new() }
    }

    /// Where its line stands.
    pub fn text(&mut self, x: f64, y: f64, classes: &str, text: &str) {
        let class = if classes.is_empty() { String::new() } else { format!(" class=\"{classes}\"") };
        let _ = writeln!(self.out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}>{}</text>", escaped(text));
    }

    /// A text of its own line, as much as the width has room for.
    pub fn line(&mut self, x: f64, classes: &str, text: &str) {
        self.y += 18.0;
        let room = self.sheet.width - self.sheet.margin - x;
        self.text(x, self.y, classes, &fit(text, if classes == "big" { 18.0 } else { 12.0 }, room));
    }

    /// From left to right; `rest` are its other attributes and its end.
    pub fn rect(&mut self, (left, right): (f64, f64), y: f64, height: f64, rest: &str) {
        let _ = write!(
            self.out,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" {rest}",
            (right - left).max(0.1)
        );
    }
}

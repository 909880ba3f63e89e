//! What stands below the lanes: what their patterns mean, and what their numbers mean.

use std::fmt::Write;

use super::canvas::{Canvas, unended};
use super::measure::{lines, wide};
use super::{NAME, REASON, class, clipped, clock, lasted};
use crate::plan::view::timeline::{Kind, Timeline};

/// Holds that the picture explains; a page's table has all.
const HOLDS: usize = 40;

impl Canvas<'_> {
    /// What the patterns mean, of those that are there.
    pub fn legend(&mut self, timeline: &Timeline) {
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
                let _ = writeln!(
                    self.out,
                    "<path class=\"fold\" d=\"M{:.1} {a:.1}V{b:.1}M{:.1} {a:.1}V{b:.1}\"/>",
                    x + 2.0,
                    x + 14.0
                );
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
    pub fn reasons(&mut self) {
        let holds = std::mem::take(&mut self.holds);
        if holds.is_empty() {
            return;
        }
        self.y += 6.0;
        self.line(self.sheet.margin, "name", "What held, and why");
        self.y += 2.0;
        for (number, (place, span)) in holds.iter().take(HOLDS).enumerate() {
            let (from, took) = (clock(span.time.from), lasted(span.time));
            let open = unended(span);
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

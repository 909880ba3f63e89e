//! Time to width: even, but for long times in which nothing was done, which are folded.

use std::time::Duration;

use jiff::Timestamp;

use crate::plan::view::timeline::{Lane, Stretch, Timeline};

/// A part of the run that has a share of the width.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Seconds since the beginning of the run, and their end.
    pub from: f64,
    pub to: f64,
    pub left: f64,
    pub right: f64,
    pub folded: bool,
}

/// Seconds of a run to places of a picture.
pub struct Scale {
    began: Timestamp,
    pub parts: Vec<Part>,
}

/// What is folded lasts at least so long, and at least so much of the run: there are never many.
const LEAST: f64 = 600.0;
const SHARE: f64 = 0.2;
/// Between ticks, in seconds.
const STEPS: [u32; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

impl Scale {
    /// Of a run, from `left` to `right`; a fold is as wide as `fold`.
    pub fn new(timeline: &Timeline, left: f64, right: f64, fold: f64) -> Scale {
        let began = timeline.began;
        let since = |at: Timestamp| seconds(at.max(began).duration_since(began).unsigned_abs());
        // A run of no length has a second to stand in.
        let total = since(timeline.until).max(1.0);
        let busy = timeline.lanes.iter().flat_map(Lane::busy);
        let mut work: Vec<(f64, f64)> = busy.map(|time| (since(time.from), since(time.to))).collect();
        work.push((total, total));
        work.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut folds = Vec::new();
        let mut reached: f64 = 0.0;
        for (from, to) in work {
            if from - reached > LEAST.max(total * SHARE) {
                folds.push((reached, from));
            }
            reached = reached.max(to.min(total));
        }
        let folded: f64 = folds.iter().map(|(from, to)| to - from).sum();
        let width = right - left;
        // Where nothing was done at all, nothing is folded.
        if total - folded < 1.0 {
            return Scale { began, parts: vec![Part { from: 0.0, to: total, left, right, folded: false }] };
        }
        #[expect(clippy::cast_precision_loss, reason = "there are a handful")]
        let rate = (width - fold * folds.len() as f64) / (total - folded);
        let (mut parts, mut at, mut x) = (Vec::new(), 0.0, left);
        for (from, to) in folds.into_iter().chain([(total, total)]) {
            let wide = (from - at) * rate;
            parts.push(Part { from: at, to: from, left: x, right: x + wide, folded: false });
            x += wide;
            if to > from {
                parts.push(Part { from, to, left: x, right: x + fold, folded: true });
                x += fold;
            }
            at = to;
        }
        Scale { began, parts }
    }

    /// Where a moment is.
    pub fn x(&self, at: Timestamp) -> f64 {
        let since = seconds(at.max(self.began).duration_since(self.began).unsigned_abs());
        let part = self.parts.iter().find(|part| since <= part.to).or(self.parts.last());
        part.map_or(0.0, |part| {
            let lasts = part.to - part.from;
            let share = if lasts > 0.0 { ((since - part.from) / lasts).clamp(0.0, 1.0) } else { 0.0 };
            part.left + share * (part.right - part.left)
        })
    }

    /// From where to where; what is short can still be seen.
    pub fn of(&self, time: Stretch) -> (f64, f64) {
        let from = self.x(time.from);
        (from, self.x(time.to).max(from + 3.0))
    }

    /// Places of ticks and their words; about `wanted`.
    pub fn ticks(&self, wanted: f64) -> Vec<(f64, String)> {
        let even = self.parts.iter().filter(|part| !part.folded);
        let shown: f64 = even.clone().map(|part| part.to - part.from).sum();
        let wide = |step: &&u32| shown / f64::from(**step) <= wanted;
        let step = STEPS.iter().find(wide).map_or((shown / wanted / 86_400.0).ceil() * 86_400.0, |step| f64::from(*step));
        let mut ticks = Vec::new();
        for part in even {
            let mut number = (part.from / step).ceil();
            while number * step <= part.to {
                let share = if part.to > part.from { (number * step - part.from) / (part.to - part.from) } else { 0.0 };
                ticks.push((part.left + share * (part.right - part.left), offset(number * step)));
                number += 1.0;
            }
        }
        ticks
    }
}

/// `+1h 05m`, and the beginning as 0.
fn offset(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a multiple of a step, from 0 on")]
    let s = seconds as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, 0) => "0".to_owned(),
        (0, 0, s) => format!("+{s}s"),
        (0, m, 0) => format!("+{m}m"),
        (0, m, s) => format!("+{m}m {s:02}s"),
        (h, 0, _) if h % 24 == 0 => format!("+{}d", h / 24),
        (h, 0, _) => format!("+{h}h"),
        (h, m, _) => format!("+{h}h {m:02}m"),
    }
}

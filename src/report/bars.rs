//! What stands at the end of a terminal while something is at work: one line for the run, one for the step, one for what holds it.

use std::time::Duration;

use jiff::Timestamp;

use super::fold::{columns, cut, padded};
use super::{Wording, span};

/// Each is one line, however narrow the screen is; so much of it stays free, for the `^C` that a terminal writes itself, twice.
const FREE: usize = 5;
/// Columns of the bar itself, on a screen that has this many or more.
const BAR: (usize, usize) = (24, 80);

/// What the lines say.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    pub run: Option<Run>,
    pub step: Option<Step>,
    pub hold: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub done: usize,
    pub total: usize,
    pub message: String,
    pub began: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub message: String,
    pub began: Timestamp,
    pub deadline: Duration,
}

impl Bars {
    /// The lines on a screen of `wide` columns. `clock`: with the time of the day, where it is not everybody's. `beat` turns the spinner.
    pub fn lines(&self, now: Timestamp, clock: bool, beat: usize, wide: usize, wording: &Wording) -> Vec<String> {
        let room = wide.saturating_sub(FREE).max(1);
        let lasted = |began: Timestamp| span(Duration::from_secs(now.duration_since(began).as_secs().try_into().unwrap_or(0)));
        let mut lines = Vec::new();
        if let Some(Run { done, total, message, began }) = &self.run {
            let time = if clock { format!("{}  ", now.strftime("%H:%M:%S")) } else { String::new() };
            let bar = if wide < BAR.1 { BAR.0 / 2 } else { BAR.0 };
            let full = (bar * done).checked_div(*total).unwrap_or(0).min(bar);
            let bar = format!("{}{}", "━".repeat(full), "─".repeat(bar - full));
            lines.push((format!("{bar} {done} of {total}  "), message.as_str(), format!("  {time}{}", lasted(*began))));
        }
        if let Some(Step { message, began, deadline }) = &self.step {
            let spinner = ["|", "/", "-", "\\"][beat % 4];
            let ends = format!("  {} of at most {}", lasted(*began), span(*deadline));
            lines.push((format!("  {spinner} "), message, ends));
        }
        if let Some(hold) = &self.hold {
            lines.push(("    ".to_owned(), hold, String::new()));
        }
        lines.into_iter().map(|(before, message, after)| one(&before, message, &after, room, wording)).collect()
    }
}

/// Of what does not fit, the message gives way first.
fn one(before: &str, message: &str, after: &str, room: usize, wording: &Wording) -> String {
    let [before, message, after, sign] = [before, message, after, "…"].map(|text| wording.put(text));
    let left = room.saturating_sub(columns(&before) + columns(&after));
    let message = match columns(&message) > left {
        true => format!("{}{sign}", cut(&message, left.saturating_sub(columns(&sign)))),
        false => message.into_owned(),
    };
    let message = if after.is_empty() { message } else { padded(&message, left) };
    cut(&format!("{before}{message}{after}"), room).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> Bars {
        let began = Timestamp::UNIX_EPOCH;
        Bars {
            run: Some(Run { done: 2, total: 7, message: "k8s-node3.rack-7.example.com (worker)".into(), began }),
            step: Some(Step {
                message: "k8s-node3.rack-7.example.com  kubelet packages and restart".into(),
                began,
                deadline: Duration::from_secs(900),
            }),
            hold: Some("drain: 3 of 17 pods left; held: web/checkout-7d9f (PDB web/checkout allows 0 of 2)".into()),
        }
    }

    #[test]
    fn each_is_one_line_on_any_screen() {
        let now = Timestamp::UNIX_EPOCH.saturating_add(jiff::SignedDuration::from_secs(95)).unwrap_or_default();
        for wide in [60, 80, 100, 160, 20, 3, 0] {
            let lines = bars().lines(now, false, 0, wide, &Wording::default());
            assert!(lines.len() == 3 && lines.iter().all(|line| columns(line) <= wide.saturating_sub(FREE).max(1)), "{lines:#?}");
        }
        let shown = bars().lines(now, true, 1, 60, &Wording::default()).join("\n");
        let wanted = "━━━───────── 2 of 7  k8s-node3.rack-…  00:01:35  1m 35s\n  \
                      / k8s-node3.rack-7.exampl…  1m 35s of at most 15m 00s\n    \
                      drain: 3 of 17 pods left; held: web/checkout-7d9f …";
        assert_eq!(shown, wanted);
        let ascii = Wording { ascii: true, ..Wording::default() };
        assert!(bars().lines(now, true, 1, 60, &ascii).iter().all(|line| line.is_ascii() && columns(line) <= 55));
    }
}

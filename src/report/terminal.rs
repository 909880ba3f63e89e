//! The chain in a terminal: one bar for the run, one line for the step at work, one for what holds it; finished work scrolls up.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::{Event, Out, Printed, Sink, is_shown, place, put, sentence};
use crate::plan::model::facts::Phase;
use crate::plan::view::estimate::Times;

/// Bars and lines, for a person at a terminal.
pub struct Terminal {
    colour: bool,
    verbosity: i8,
    out: Out,
    bars: MultiProgress,
    run: Option<ProgressBar>,
    step: Option<ProgressBar>,
    hold: Option<ProgressBar>,
    clock: Option<Clock>,
    /// What this process's own turns took.
    times: Times,
}

/// The time of the events, where it is not the time in which they are shown.
#[derive(Default)]
struct Clock {
    now: Timestamp,
    /// When the run and the step at work began.
    run: Timestamp,
    step: Timestamp,
}

impl Terminal {
    /// `verbosity`: below 0 warnings and failures alone. What programs on nodes print passes by below the bars.
    pub fn new(colour: bool, verbosity: i8, out: Out) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Terminal { colour, verbosity, out, bars, run: None, step: None, hold: None, clock: None, times: Times::default() }
    }

    /// Templates are constants; an unreadable one would be a defect, and indicatif's own default still shows the message.
    fn style(&self, template: &str) -> ProgressStyle {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let style = style.progress_chars(&self.out.put("━╸─"));
        // Its own spinner is made of signs that not every screen has.
        if self.out.wording().ascii { style.tick_chars("|/-\\ ") } else { style }
    }

    /// Shows the time of the events instead of its own.
    pub fn with_clock(self) -> Self {
        Terminal { clock: Some(Clock::default()), ..self }
    }

    /// What shows how long something has lasted: indicatif's own clock, or ours as the bar's prefix.
    fn elapsed(&self) -> &'static str {
        if self.clock.is_some() { "{prefix}" } else { "{elapsed}" }
    }

    fn tick(&mut self, now: Timestamp) {
        let Some(clock) = &mut self.clock else { return };
        clock.now = now;
        let lasted = |since: Timestamp| super::span(now.duration_since(since).unsigned_abs());
        if let Some(run) = &self.run {
            run.set_prefix(format!("{}  {}", now.strftime("%H:%M:%S"), lasted(clock.run)));
        }
        if let Some(step) = &self.step {
            step.set_prefix(lasted(clock.step));
        }
    }

    fn line(&self, parts: &[(Option<&str>, &str)]) {
        let plain: Vec<_> = parts.iter().map(|(code, text)| (code.filter(|_| self.colour), *text)).collect();
        let line = Printed::painted(&plain);
        // While bars stand, lines must go through them; they draw on the same stderr.
        if self.run.is_some() || self.step.is_some() || self.hold.is_some() {
            self.bars.println(self.out.put(line.as_str().trim_end_matches('\n'))).ok();
        } else {
            put(&self.out, &line);
        }
    }

    fn clear(slot: &mut Option<ProgressBar>) {
        if let Some(bar) = slot.take() {
            bar.finish_and_clear();
        }
    }

    fn hold(&mut self, text: &str) {
        let style = self.style("    {wide_msg}");
        let bar = self.hold.get_or_insert_with(|| self.bars.add(ProgressBar::no_length().with_style(style)));
        bar.set_message(self.out.put(text).into_owned());
    }

    fn finished(&self, event: &Event, sign: &str, colour: &str) {
        let (place, gap) = (place(event), if place(event).is_empty() { "" } else { "  " });
        let clock = self.clock.as_ref().map_or(String::new(), |clock| format!("{}  ", clock.now.strftime("%H:%M:%S")));
        self.line(&[(None, &clock), (Some(colour), sign), (None, &format!(" {place}{gap}{}\n", sentence(event)))]);
    }
}

/// When the last worker is done, if each takes as long as those before it. Which kind comes when is not known before the first worker.
fn nodes_done(times: &Times, now: Timestamp, phase: Phase, done: usize, total: usize) -> Option<Timestamp> {
    // After the workers comes postflight.
    let workers = u32::try_from(total.checked_sub(done + 1).filter(|_| phase == Phase::Worker)?).ok()?;
    now.checked_add(times.of_turn("", phase)?.all.checked_mul(workers)?).ok()
}

impl Sink for Terminal {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if !is_shown(event, self.verbosity) {
            return;
        }
        self.tick(now);
        match event {
            Event::PhaseStarted { place, phase, done, total } => {
                let template = format!("{{bar:24}} {{pos}} of {{len}}  {{msg}}  {}", self.elapsed());
                let style = self.style(&template);
                let (bars, clock) = (&self.bars, &mut self.clock);
                let run = self.run.get_or_insert_with(|| {
                    let bar = bars.insert(0, ProgressBar::new(0).with_style(style));
                    bar.enable_steady_tick(Duration::from_millis(250));
                    if let Some(clock) = clock {
                        clock.run = now;
                    }
                    bar
                });
                run.set_length(*total as u64);
                run.set_position(*done as u64);
                let message = if place == phase.word() { place.clone() } else { format!("{place} ({})", phase.word()) };
                let estimate = nodes_done(&self.times, now, *phase, *done, *total);
                let estimate =
                    estimate.map_or(String::new(), |at| format!("  nodes done about {} (estimate)", at.strftime("%H:%M UTC")));
                run.set_message(self.out.put(&format!("{message}{estimate}")).into_owned());
                self.tick(now);
            }
            Event::PhaseDone { phase, took, .. } => {
                self.times.add(*phase, *took);
                Self::clear(&mut self.hold);
                Self::clear(&mut self.step);
                self.finished(event, "✓", "32");
                if let Some(run) = &self.run {
                    run.inc(1);
                    if run.length() == Some(run.position()) {
                        Self::clear(&mut self.run);
                    }
                }
            }
            Event::StepStarted { place, step, deadline } => {
                Self::clear(&mut self.hold);
                Self::clear(&mut self.step);
                let template = format!("  {{spinner}} {{wide_msg}} {} of at most {}", self.elapsed(), super::span(*deadline));
                let bar = self.bars.add(ProgressBar::new_spinner().with_style(self.style(&template)));
                bar.set_message(self.out.put(&format!("{place}  {step}")).into_owned());
                bar.enable_steady_tick(Duration::from_millis(250));
                self.step = Some(bar);
                if let Some(clock) = &mut self.clock {
                    clock.step = now;
                }
                self.tick(now);
            }
            Event::StepDone { .. } => {
                Self::clear(&mut self.hold);
                Self::clear(&mut self.step);
                self.finished(event, "  ·", "2");
            }
            Event::Waiting { .. } | Event::Draining { .. } | Event::Output { .. } => self.hold(&sentence(event)),
            Event::StepSkipped { .. } => self.finished(event, "  ·", "2"),
            Event::Gate { .. }
            | Event::Note { .. }
            | Event::Found { .. }
            | Event::Did { .. }
            | Event::Next { .. }
            | Event::RunBegun { .. }
            | Event::Snapshot { .. }
            | Event::OutOfService { .. }
            | Event::InService { .. }
            | Event::RunDone { .. } => self.finished(event, "  ·", "2"),
            Event::Warning { .. } => self.finished(event, "!", "33"),
            Event::Failed { failure } => {
                Self::clear(&mut self.hold);
                Self::clear(&mut self.step);
                Self::clear(&mut self.run);
                let text = format!("{failure}\n");
                let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
                self.line(&[(Some("31"), first), (None, rest)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_workers_that_are_done_say_when_the_others_are() {
        let now = Timestamp::UNIX_EPOCH;
        let mut times = Times::default();
        times.add(Phase::Master, Duration::from_secs(900));
        // Preflight, a control plane and three workers, then postflight.
        assert_eq!(nodes_done(&times, now, Phase::Worker, 2, 6), None);
        times.add(Phase::Worker, Duration::from_secs(600));
        assert_eq!(nodes_done(&times, now, Phase::Worker, 3, 6).unwrap().as_second(), 1200);
        assert_eq!(nodes_done(&times, now, Phase::Postflight, 5, 6), None);
    }
}

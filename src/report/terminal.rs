//! The chain in a terminal: bars at its end for what is at work, and finished work that scrolls up above them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::bars::{Bars, Run, Step};
use super::fold::columns;
use super::printed::failed;
use super::{Event, Out, Page, Printed, Sink, is_shown, said, sentence};
use crate::plan::model::facts::Phase;
use crate::plan::view::estimate::Times;

/// Bars are drawn so often, that people see that something lives.
const BEAT: Duration = Duration::from_millis(250);
/// What stands from the cursor on, to the end of the screen.
const REST: &str = "\u{1b}[J";

/// Bars and lines, for a person at a terminal.
pub struct Terminal {
    verbosity: i8,
    state: Arc<Mutex<State>>,
    /// What this process's own turns took.
    times: Times,
}

struct State {
    colour: bool,
    out: Out,
    bars: Bars,
    /// Columns of each bar that stands on the screen.
    drawn: Vec<usize>,
    beat: usize,
    /// The time of the events, where it is not the time in which they are shown.
    clock: bool,
    /// When the last event was told, by its clock and, where that goes on, by ours.
    now: (Timestamp, Option<Instant>),
}

impl Terminal {
    /// `verbosity`: below 0 warnings and failures alone. What programs on nodes print passes by below the bars.
    pub fn new(colour: bool, verbosity: i8, out: Out) -> Self {
        let now = (Timestamp::UNIX_EPOCH, None);
        let state = State { colour, out, bars: Bars::default(), drawn: Vec::new(), beat: 0, clock: false, now };
        Terminal { verbosity, state: Arc::new(Mutex::new(state)), times: Times::default() }
    }

    /// Shows the time of the events instead of its own.
    pub fn with_clock(self) -> Self {
        self.state().clock = true;
        self
    }

    /// Bars that live: they are drawn anew while nothing is told, also after the window was resized.
    pub fn alive(self) -> Self {
        let state = Arc::downgrade(&self.state);
        // Without the thread they stand still, and nothing else is amiss.
        std::thread::Builder::new().name("bars".to_owned()).spawn(move || beats(&state)).ok();
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self, event: &Event, sign: &str, colour: &str) {
        let mut state = self.state();
        let clock = if state.clock { format!("{}  ", state.now.0.strftime("%H:%M:%S")) } else { String::new() };
        let page = said(event).behind(&clock, sign, Some(colour).filter(|_| state.colour));
        state.draw(Some(page));
    }
}

/// Until whoever tells is gone.
#[expect(clippy::disallowed_methods, reason = "a thread of its own, which nobody waits for")]
fn beats(state: &Weak<Mutex<State>>) {
    loop {
        std::thread::sleep(BEAT);
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.beat += 1;
        if !state.drawn.is_empty() {
            state.draw(None);
        }
    }
}

impl State {
    #[expect(clippy::disallowed_methods, reason = "who looks at bars lives in real time")]
    fn tell(&mut self, now: Timestamp) {
        self.now = (now, (!self.clock).then(Instant::now));
    }

    fn now(&self) -> Timestamp {
        let (now, told) = self.now;
        let since = told.and_then(|told| SignedDuration::try_from(told.elapsed()).ok()).unwrap_or_default();
        now.checked_add(since).unwrap_or(now)
    }

    /// In one go: what stood there is gone, the page is below what was finished before, and the bars are below it.
    fn draw(&mut self, page: Option<Page>) {
        let screen = self.out.columns();
        let mut drawn = self.erased(screen);
        if let Some(page) = page {
            drawn.push_str(&Printed::page(page).on(screen, self.out.wording()));
        }
        // Where there is no screen, nothing could be taken back.
        let lines =
            screen.map(|wide| self.bars.lines(self.now(), self.clock, self.beat, wide, self.out.wording())).unwrap_or_default();
        drawn.push_str(&lines.join("\n"));
        self.drawn = lines.iter().map(|line| columns(line)).collect();
        // There is nobody left to tell that it failed.
        self.out.bytes(drawn.as_bytes()).ok();
    }

    /// What takes the bars away. A screen that has become narrower has folded them.
    fn erased(&self, screen: Option<usize>) -> String {
        let wide = screen.unwrap_or(usize::MAX).max(1);
        match self.drawn.iter().map(|columns| columns.div_ceil(wide).max(1)).sum::<usize>() {
            0 => String::new(),
            1 => format!("\r{REST}"),
            rows => format!("\r\u{1b}[{}A{REST}", rows - 1),
        }
    }
}

/// A command that ends leaves no bar behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        let mut state = self.state();
        state.bars = Bars::default();
        if !state.drawn.is_empty() {
            state.draw(None);
        }
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
        self.state().tell(now);
        match event {
            Event::PhaseStarted { place, phase, done, total } => {
                let message = if place == phase.word() { place.clone() } else { format!("{place} ({})", phase.word()) };
                let estimate = nodes_done(&self.times, now, *phase, *done, *total);
                let estimate =
                    estimate.map_or(String::new(), |at| format!("  nodes done about {} (estimate)", at.strftime("%H:%M UTC")));
                let mut state = self.state();
                let began = state.bars.run.as_ref().map_or(now, |run| run.began);
                state.bars.run = Some(Run { done: *done, total: *total, message: format!("{message}{estimate}"), began });
                state.draw(None);
            }
            Event::PhaseDone { phase, took, .. } => {
                self.times.add(*phase, *took);
                let mut state = self.state();
                (state.bars.step, state.bars.hold) = (None, None);
                if let Some(run) = &mut state.bars.run {
                    run.done += 1;
                }
                state.bars.run = state.bars.run.take().filter(|run| run.done < run.total);
                drop(state);
                self.finished(event, "✓ ", "32");
            }
            Event::StepStarted { place, step, deadline } => {
                let mut state = self.state();
                state.bars.hold = None;
                state.bars.step = Some(Step { message: format!("{place}  {step}"), began: now, deadline: *deadline });
                state.draw(None);
            }
            Event::StepDone { .. } => {
                let mut state = self.state();
                (state.bars.step, state.bars.hold) = (None, None);
                drop(state);
                self.finished(event, "  · ", "2");
            }
            Event::Waiting { .. } | Event::Draining { .. } | Event::Output { .. } => {
                let mut state = self.state();
                state.bars.hold = Some(sentence(event));
                state.draw(None);
            }
            Event::StepSkipped { .. }
            | Event::Gate { .. }
            | Event::Note { .. }
            | Event::Found { .. }
            | Event::Did { .. }
            | Event::Next { .. }
            | Event::RunBegun { .. }
            | Event::Snapshot { .. }
            | Event::OutOfService { .. }
            | Event::InService { .. }
            | Event::RunDone { .. } => self.finished(event, "  · ", "2"),
            Event::Warning { .. } => self.finished(event, "! ", "33"),
            Event::Failed { failure } => {
                let mut state = self.state();
                state.bars = Bars::default();
                let page = failed(failure, Some("31").filter(|_| state.colour));
                state.draw(Some(page));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// What is written while the window has these widths, one after the other, and when nothing is at work any more.
    #[test]
    fn bars_are_taken_back_on_a_screen_that_has_become_narrower_too() {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let wide = Arc::new(AtomicUsize::new(100));
        let screen = wide.clone();
        let out = Out::from(kept.clone()).on(Arc::new(move || Some(screen.load(Ordering::Relaxed))));
        let written = || String::from_utf8(std::mem::take(&mut *kept.lock().unwrap())).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let mut terminal = Terminal::new(false, 0, out).with_clock();
        let place = || "k8s-node4".to_owned();
        terminal.event(now, &Event::PhaseStarted { place: place(), phase: Phase::Worker, done: 1, total: 3 });
        terminal.event(now, &Event::StepStarted { place: place(), step: "drain".into(), deadline: Duration::from_secs(60) });
        assert_eq!(written().matches('\n').count(), 1, "two bars, and no line's end below them");
        // Of 95 columns each: on 30 they take four rows each, and the cursor stands on the last of eight.
        wide.store(30, Ordering::Relaxed);
        terminal.state().draw(None);
        assert!(written().starts_with("\r\u{1b}[7A\u{1b}[J"));
        terminal.event(now, &Event::Warning { place: place(), text: "stopping at the next safe point".into() });
        let text = written();
        assert!(text.starts_with("\r\u{1b}[1A\u{1b}[J00:00:00  ! k8s-node4"), "{text:?}");
        assert!(text.lines().all(|line| columns(line) <= 30), "{text:?}");
        drop(terminal);
        assert_eq!(written(), "\r\u{1b}[1A\u{1b}[J");
    }
}

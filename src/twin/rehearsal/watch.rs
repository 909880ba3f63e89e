//! What is kept of a rehearsal while it happens: the processes, what they told, and when what was out of service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::super::state::Access;
use super::super::store::{Key, Kind, Verb};
use super::super::{Call, Fate, Hook, Process, Start, State};
use super::inject::{Injection, Injector, Struck};
use super::{locked, step};
use crate::failure::{Class, Failure};
use crate::names;
use crate::plan::model::facts::{Phase, Step};
use crate::plan::view::timeline::Stretch;
use crate::report::{Event, Shared, Sink};
use crate::world::World;

/// Steps shorter than this are not worth a word.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// One process of the chain.
#[derive(Clone, Debug)]
pub struct Ran {
    pub step: Step,
    pub pod: String,
    /// Where its pod ran.
    pub node: String,
    pub began: Timestamp,
    /// When and with which code it ended; None for one that was killed.
    pub ended: Option<(Timestamp, u8)>,
    /// Steps that it performed, with their times.
    pub did: Vec<(String, Duration)>,
}

/// What people would want to know besides.
#[derive(Clone, Debug)]
pub struct Remark {
    pub at: Timestamp,
    pub place: String,
    pub text: String,
}

/// When something did not serve.
#[derive(Clone, Debug, Default)]
pub struct Out {
    /// It has served at some time: what was out from the beginning is nobody's doing here.
    served: bool,
    since: Option<Timestamp>,
    over: Vec<Stretch>,
}

impl Out {
    fn see(&mut self, now: Timestamp, serves: bool) {
        self.served |= serves;
        match (serves, self.since) {
            (false, None) if self.served => self.since = Some(now),
            (true, Some(since)) => {
                self.over.push(Stretch::new(since, now));
                self.since = None;
            }
            _ => {}
        }
    }

    pub fn times(&self, now: Timestamp) -> Vec<Stretch> {
        let last = self.since.map(|since| Stretch::new(since, now));
        self.over.iter().copied().chain(last).collect()
    }

    pub fn total(&self, now: Timestamp) -> Duration {
        self.times(now).into_iter().map(Stretch::lasted).sum()
    }
}

pub struct Observations {
    pub ran: Vec<Ran>,
    pub remarks: Vec<Remark>,
    /// The last failure of the chain, or of the person's command that began it.
    pub failure: Option<(Timestamp, Failure)>,
    /// Why preflight put the run off.
    pub deferred: Option<String>,
    /// The run has ended; whole, unless a node was left out.
    pub done: Option<bool>,
    /// By node.
    pub out: BTreeMap<String, Out>,
    pub api: Out,
    pub injected: Vec<Struck>,
    pub not_injected: Vec<Injection>,
    /// Steps of the whole run.
    steps: usize,
}

impl Observations {
    pub fn new(steps: usize) -> Self {
        Observations {
            ran: Vec::new(),
            remarks: Vec::new(),
            failure: None,
            deferred: None,
            done: None,
            out: BTreeMap::new(),
            api: Out::default(),
            injected: Vec::new(),
            not_injected: Vec::new(),
            steps,
        }
    }

    /// Steps that have ended well.
    fn done(&self) -> usize {
        let mut places: Vec<&str> = self.ran.iter().filter(|ran| well(ran)).map(|ran| step::place(&ran.step)).collect();
        places.sort_unstable();
        places.dedup();
        places.len()
    }

    /// How often the last step has held without any progress between.
    pub fn holds_in_a_row(&self) -> usize {
        let held = |ran: &&Ran| ran.ended.is_some_and(|(_, code)| code == Class::Hold.code());
        self.ran.iter().rev().take_while(held).count()
    }

    /// What is kept of one event; `process` is the chain's, if it is one.
    fn event(&mut self, process: Option<usize>, now: Timestamp, event: &Event) {
        match event {
            Event::StepDone { step, took, .. } if *took >= WORTH_TELLING => {
                if let Some(ran) = process.and_then(|number| self.ran.get_mut(number)) {
                    ran.did.push((step.clone(), *took));
                }
            }
            Event::Warning { place, text } => {
                let remark = Remark { at: now, place: place.clone(), text: text.clone() };
                // A retry says again what the first try said.
                if self.remarks.last().is_none_or(|last| (&last.place, &last.text) != (place, text)) {
                    self.remarks.push(remark);
                }
                if let Some(why) = text.strip_prefix("deferred: ") {
                    self.deferred = Some(why.to_owned());
                }
            }
            Event::RunDone { whole, .. } => self.done = Some(*whole),
            Event::Failed { failure } => {
                let text = format!("{}: {}", failure.class().word(), failure.cause.what);
                self.remarks.push(Remark { at: now, place: failure.place.clone(), text });
                self.failure = Some((now, failure.clone()));
            }
            _ => {}
        }
    }
}

fn well(ran: &Ran) -> bool {
    matches!(ran.ended, Some((_, 0)))
}

/// Looks at every state and call.
pub struct Watcher {
    seen: Arc<Mutex<Observations>>,
    injector: Injector,
    sink: Shared,
    /// The store's version up to which it has seen everything.
    looked: Option<u64>,
}

impl Watcher {
    pub fn new(seen: Arc<Mutex<Observations>>, injector: Injector, sink: Shared) -> Self {
        locked(&seen).not_injected = injector.left().to_vec();
        Watcher { seen, injector, sink, looked: None }
    }

    /// Keeps what was injected, and tells of it where it is new.
    fn keep(&self) {
        let mut seen = locked(&self.seen);
        let told = seen.injected.len();
        seen.injected.clone_from(&self.injector.happened);
        seen.not_injected = self.injector.left().to_vec();
        drop(seen);
        for struck in self.injector.happened.iter().skip(told) {
            let event = Event::Note { place: struck.place.clone(), text: format!("injected: {}", struck.text) };
            self.sink.lock().unwrap_or_else(PoisonError::into_inner).event(struck.at, &event);
        }
    }
}

impl Hook for Watcher {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let fate = self.injector.before(state, call);
        self.keep();
        fate
    }

    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        let fate = self.injector.after(state, call);
        self.keep();
        fate
    }

    fn look(&mut self, state: &mut State) {
        self.injector.look(state);
        let now = state.now();
        let mut seen = locked(&self.seen);
        seen.api.see(now, state.access() == Access::Up);
        let mut see = |key: &Key, node: &Value| {
            let serves = is_ready(node) && node["spec"]["unschedulable"] != true;
            match seen.out.get_mut(&key.name) {
                Some(out) => out.see(now, serves),
                None => seen.out.entry(key.name.clone()).or_default().see(now, serves),
            }
        };
        match self.looked.and_then(|version| state.store.since(version)) {
            Some(events) => events
                .filter(|event| event.key.kind == Kind::Node && event.verb != Verb::Deleted)
                .for_each(|event| see(&event.key, &event.object)),
            None => state.store.list(Kind::Node).for_each(|(key, node)| see(key, node)),
        }
        self.looked = Some(state.store.version());
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// The program, with somebody who listens.
pub struct Watched<'a> {
    pub inner: &'a dyn Process,
    pub seen: Arc<Mutex<Observations>>,
    pub sink: Shared,
}

impl Process for Watched<'_> {
    fn run(&self, mut start: Start, world: World) -> LocalBoxFuture<'_, u8> {
        Box::pin(async move {
            let now = || world.clock.now();
            let env = |name: &str| start.env.get(name).cloned().unwrap_or_default();
            // Looked at before the lock is taken: the clock is the twin's, whose hook takes it, too.
            let began = now();
            let process = step::of(&start.argv).map(|mut step| {
                // Its arguments do not say which of both it is; its Job's name does.
                if env("POD_NAME").starts_with(&format!("{}-{}-", names::JOB_PREFIX, Phase::Master.word())) {
                    step.phase = Phase::Master;
                }
                let mut seen = locked(&self.seen);
                let (done, total) = (seen.done(), seen.steps);
                let (pod, node) = (env("POD_NAME"), env("NODE_NAME"));
                let place = step::place(&step).to_owned();
                let phase = step.phase;
                seen.ran.push(Ran { step, pod, node, began, ended: None, did: Vec::new() });
                let number = seen.ran.len() - 1;
                drop(seen);
                self.tell(began, &Event::PhaseStarted { place: place.clone(), phase, done, total });
                (number, place, phase)
            });
            let number = process.as_ref().map(|(number, ..)| *number);
            // CronJobs have much to say that is no news.
            let quiet = number.is_none() && start.env.contains_key("POD_NAME");
            start.tee = Some(Box::new(Ear { seen: self.seen.clone(), sink: self.sink.clone(), process: number, quiet }));
            let code = self.inner.run(start, world.clone()).await;
            if let Some((number, place, phase)) = process {
                self.ended(number, place, phase, now(), code);
            }
            code
        })
    }
}

impl Watched<'_> {
    fn tell(&self, now: Timestamp, event: &Event) {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).event(now, event);
    }

    fn ended(&self, number: usize, place: String, phase: Phase, now: Timestamp, code: u8) {
        let mut seen = locked(&self.seen);
        let Some(ran) = seen.ran.get_mut(number) else { return };
        ran.ended = Some((now, code));
        let took = now.duration_since(ran.began).unsigned_abs();
        drop(seen);
        if code == 0 {
            self.tell(now, &Event::PhaseDone { place, phase, took });
        }
    }
}

/// Hears what one process tells.
struct Ear {
    seen: Arc<Mutex<Observations>>,
    sink: Shared,
    process: Option<usize>,
    /// Only warnings and failures are passed on.
    quiet: bool,
}

impl Sink for Ear {
    fn event(&mut self, now: Timestamp, event: &Event) {
        locked(&self.seen).event(self.process, now, event);
        // Typed outside it would be of the real cluster.
        if matches!(event, Event::Next { .. }) {
            return;
        }
        if !self.quiet || matches!(event, Event::Warning { .. } | Event::Failed { .. }) {
            self.sink.lock().unwrap_or_else(PoisonError::into_inner).event(now, event);
        }
    }
}

//! Everything that the world in memory is, as one value: clone it, and there are two worlds that know nothing of each other.
//!
//! Time is data here: what will happen stands in a queue of due timers. Nothing in a state is a task, a future or a lock.
//!
//! The twin's kernel: the state has what `control`, `hosts` and `web` remember and calls them when their timers are due, and they act on all
//! of the state, since in a cluster everything meets everything. So these use each other, and may (`tests/offline/layering`); what knows
//! nothing of them stands below, in `clockwork` and `store`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clockwork::{Agenda, Chance, Lines};
use super::control;
use super::hosts;
use super::store::{Key, Store};
use super::web;
use crate::world::{Env, Size};

pub use super::clockwork::later;

/// Something that will happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Timer {
    /// A controller, a kubelet or a pod.
    Control(control::Due),
    /// A node's machine.
    Host(hosts::Due),
    /// Prometheus, Slack and the like.
    Web(web::Due),
}

#[derive(Clone)]
pub struct State {
    agenda: Agenda<Timer>,
    chance: Chance,
    pub store: Store,
    pub control: control::Control,
    pub hosts: hosts::Hosts,
    pub web: web::Services,
    /// When the API server does not answer as it should; in the order of their beginnings.
    pub outages: Vec<Outage>,
    /// The cluster's DNS answers nobody until then.
    pub dns_away_until: Option<Timestamp>,
    /// Admission webhooks that deny, by name: with which code, and in which words. All others allow what they are asked.
    pub denials: BTreeMap<String, (u16, String)>,
    /// What persons sit at; None: their output goes into a pipe.
    pub terminal: Option<Size>,
    /// How far the clocks of all programs are off (seconds).
    pub clock_off: i64,
    /// By the name of a person's command: how far their machine's clock is off besides.
    pub clocks: BTreeMap<String, i64>,
    /// The program's processes in pods, by the pod's UID.
    pub programs: BTreeMap<String, Program>,
    /// People's commands that were killed, by their names; whoever drives one drops it.
    pub killed: BTreeSet<String>,
    /// What each pod printed, by UID.
    pub logs: BTreeMap<String, Lines>,
    pub history: Lines,
    pub tally: Tally,
    /// By node: evictions that were asked for, dry runs left out.
    pub evictions: BTreeMap<String, Evictions>,
    /// In which ways the API server was asked so far.
    pub used: Arc<BTreeSet<String>>,
    /// What the twin was asked and does not model: a run with such an entry proves nothing.
    pub unmodelled: Vec<String>,
}

/// Calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub reads: u64,
    /// Calls that change cluster, host or web.
    pub changes: u64,
}

/// What became of evictions of pods of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    pub granted: u32,
    /// By a budget.
    pub refused: u32,
}

/// A span in which the API server is away or answers wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    pub from: Timestamp,
    pub until: Timestamp,
    pub how: Access,
}

/// How the API server meets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Up,
    /// Connections are refused. A watch that was open falls silent, and ends cleanly half a minute later.
    Refused,
    /// It answers everything with this status: right after its start 403, then 500.
    Status(u16),
}

/// A process of this program in a pod.
#[derive(Clone, Debug)]
pub struct Program {
    pub pod: Key,
    /// Namespace and name of the ServiceAccount that it acts as.
    pub account: (String, String),
    pub argv: Vec<String>,
    pub env: Env,
    pub files: BTreeMap<PathBuf, Arc<[u8]>>,
    pub phase: ProgramPhase,
    /// SIGTERM was sent.
    pub stop: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramPhase {
    /// Its container is to be started.
    Wanted,
    Running,
    /// It was killed, or its node is gone; whoever runs it drops it.
    Killed,
}

impl State {
    pub fn new(now: Timestamp, seed: u64) -> Self {
        State {
            agenda: Agenda::new(now),
            chance: Chance(seed),
            store: Store::default(),
            control: control::Control::default(),
            hosts: hosts::Hosts::default(),
            web: web::Services::default(),
            outages: Vec::new(),
            dns_away_until: None,
            denials: BTreeMap::new(),
            terminal: None,
            clock_off: 0,
            clocks: BTreeMap::new(),
            programs: BTreeMap::new(),
            killed: BTreeSet::new(),
            logs: BTreeMap::new(),
            history: Lines::default(),
            tally: Tally::default(),
            evictions: BTreeMap::new(),
            used: Arc::default(),
            unmodelled: Vec::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.agenda.now()
    }

    /// The next number of this world's one source of chance.
    pub fn random(&mut self) -> u64 {
        self.chance.number()
    }

    /// A span between two bounds, in milliseconds.
    pub fn between(&mut self, least: u64, most: u64) -> Duration {
        self.chance.between(least, most)
    }

    /// From now on a world of its own: the same facts, another fate.
    pub fn reseed(&mut self, seed: u64) {
        self.chance = Chance(seed);
    }

    pub fn at(&mut self, when: Timestamp, timer: Timer) {
        self.agenda.at(when, timer);
    }

    pub fn after(&mut self, span: Duration, timer: Timer) {
        self.agenda.at(later(self.now(), span), timer);
    }

    /// Takes back timers that have lost their meaning.
    pub fn cancel(&mut self, obsolete: impl Fn(&Timer) -> bool) {
        self.agenda.cancel(obsolete);
    }

    pub fn is_due(&self, wanted: impl Fn(&Timer) -> bool) -> bool {
        self.agenda.all().any(wanted)
    }

    pub fn next_timer(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    /// Lets everything happen that is due until `now`, each at its own time; `after` sees the state after each.
    pub fn advance(&mut self, now: Timestamp, mut after: impl FnMut(&mut State)) {
        while let Some(timer) = self.agenda.take(now) {
            match timer {
                Timer::Control(due) => control::fire(self, due),
                Timer::Host(due) => hosts::fire(self, due),
                Timer::Web(due) => web::fire(self, due),
            }
            control::react(self);
            after(self);
        }
        self.agenda.reach(now);
    }

    /// How the API server meets a request now.
    pub fn access(&self) -> Access {
        let on = |outage: &&Outage| outage.from <= self.now() && self.now() < outage.until;
        // The gravest counts where several overlap.
        let refused = self.outages.iter().filter(on).any(|outage| outage.how == Access::Refused);
        if refused { Access::Refused } else { self.outages.iter().find(on).map_or(Access::Up, |outage| outage.how) }
    }

    /// When the API server serves again: now, if it does.
    pub fn serves_again(&self) -> Timestamp {
        let mut when = self.now();
        while let Some(outage) = self.outages.iter().find(|outage| outage.from <= when && when < outage.until) {
            when = outage.until;
        }
        when
    }

    /// The first time after `since` at which the API server went away.
    pub fn went_away_after(&self, since: Timestamp) -> Option<Timestamp> {
        self.outages
            .iter()
            .filter(|outage| outage.how == Access::Refused && outage.until > since)
            .map(|o| o.from.max(since))
            .min()
    }

    /// The API server is away from `from` on for `span`, then refuses with 403 and 500 for a moment.
    pub fn take_api_away(&mut self, from: Timestamp, span: Duration) {
        let until = later(from, span);
        let forbidden = later(until, Duration::from_millis(1500));
        let failing = later(forbidden, Duration::from_secs(1));
        let now = self.now();
        self.outages.retain(|outage| outage.until > now);
        for (from, until, how) in
            [(from, until, Access::Refused), (until, forbidden, Access::Status(403)), (forbidden, failing, Access::Status(500))]
        {
            self.outages.push(Outage { from, until, how });
        }
        self.outages.sort_by_key(|outage| outage.from);
    }

    /// One line of what happened, with the time.
    pub fn tell(&mut self, line: impl std::fmt::Display) {
        let text = format!("{} {line}", self.now().strftime("%m-%d %H:%M:%S%.3f"));
        self.history.push(text);
    }

    pub fn log(&mut self, uid: &str, text: &str) {
        self.logs.entry(uid.to_owned()).or_default().push(text.to_owned());
    }
}

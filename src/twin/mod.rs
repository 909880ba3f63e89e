//! The world in memory: a cluster, its machines and its services behind the same traits as the real ones, on paused time.
//!
//! [`State`] is all of it, one value; [`Twin`] lets it live. A program in it (a Job's pod, an operator) gets a [`crate::world::World`] whose every
//! call takes a moment, meets whatever faults are set, and has its effect in the caller's task. What is not modelled is refused and
//! recorded: a run that meets it proves nothing and says so.
//!
//! The rooms: `api` (the API server's answers over `store`), `control` (controllers, scheduler, kubelets), `hosts` (machines, packages,
//! kubeadm), `web` (Prometheus, Pushgateway, Slack, the package index), `scenario` (what a world begins as), `rehearsal` (a scenario that is lived through, and what is told of it).

pub mod api;
mod clockwork;
pub mod control;
mod doors;
mod drive;
pub mod hosts;
pub mod rehearsal;
pub mod scenario;
pub mod state;
pub mod store;
pub mod web;
mod who;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

pub use drive::{Driver, Process, Start};
pub use scenario::Scenario;
pub use state::State;
pub use who::Who;

/// A world that lives: its state, and the moment at which its time began to pass.
#[derive(Clone)]
pub struct Twin {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    origin: Instant,
    epoch: Timestamp,
    /// Counts changes, for those who wait for one.
    changed: watch::Sender<u64>,
    hook: Mutex<Option<Box<dyn Hook>>>,
}

/// A call of a program to the world.
#[derive(Clone, Debug)]
pub struct Call {
    pub who: Who,
    /// It changes cluster, host or web.
    pub changes: bool,
    /// `PATCH /api/v1/nodes/k8s-node4`, `begin on k8s-node4`, `POST http://…`.
    pub what: String,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Go,
    /// The connection breaks here: before the effect it never arrives, after it the answer is lost.
    Break,
    /// The program is killed here.
    Kill,
    /// It takes this much longer.
    Late(Duration),
    /// After its effect: somebody on the way has lost the answer and sends the request once more, this much later. That answer comes back.
    Twice(Duration),
}

/// Looks at every call just before and just after its effect, and at every state: fault injection, kill points, rules.
pub trait Hook: Send {
    fn before(&mut self, _state: &mut State, _call: &Call) -> Fate {
        Fate::Go
    }
    fn after(&mut self, _state: &mut State, _call: &Call) -> Fate {
        Fate::Go
    }
    /// After everything that happened.
    fn look(&mut self, _state: &mut State) {}
}

/// A call that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It never arrived.
    Call,
    /// It had its effect; the answer did not come back.
    Answer,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Twin {
    /// Lets a state live from its own time on. Call it inside a runtime whose time is paused.
    pub fn new(state: State, hook: Option<Box<dyn Hook>>) -> Self {
        let epoch = state.now();
        let inner = Inner {
            state: Mutex::new(state),
            origin: Instant::now(),
            epoch,
            changed: watch::Sender::new(0),
            hook: Mutex::new(hook),
        };
        Twin { inner: Arc::new(inner) }
    }

    pub fn now(&self) -> Timestamp {
        state::later(self.inner.epoch, self.inner.origin.elapsed())
    }

    /// The state as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.edit(|state| look(state))
    }

    /// A change from outside: a fault, a person's doing.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        let mut state = locked(&self.inner.state);
        let before = (state.store.version(), state.next_timer());
        self.advance(&mut state);
        let given = edit(&mut state);
        control::react(&mut state);
        self.seen(&mut state);
        let after = (state.store.version(), state.next_timer());
        drop(state);
        if before != after {
            self.tell_changed();
        }
        given
    }

    fn tell_changed(&self) {
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Something may have changed, each time this resolves.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    fn advance(&self, state: &mut State) {
        state.advance(self.now(), |state| self.seen(state));
    }

    fn seen(&self, state: &mut State) {
        if let Some(hook) = locked(&self.inner.hook).as_mut() {
            hook.look(state);
        }
    }

    fn hook(&self, state: &mut State, call: &Call, before: bool) -> Fate {
        match locked(&self.inner.hook).as_mut() {
            Some(hook) if before => hook.before(state, call),
            Some(hook) => hook.after(state, call),
            None => Fate::Go,
        }
    }

    /// One call: the way there, its effect on the state as it is then, the way back. `effect` says what it gave and, for the history, in a word
    /// how it ended.
    pub async fn call<T>(&self, call: Call, mut effect: impl FnMut(&mut State) -> (T, String)) -> Result<T, Lost> {
        let way = self.edit(|state| state.between(1, 4));
        tokio::time::sleep(way).await;
        loop {
            let fate = self.edit(|state| self.hook(state, &call, true));
            match fate {
                Fate::Go | Fate::Twice(_) => break,
                Fate::Late(span) => {
                    tokio::time::sleep(span).await;
                    break;
                }
                Fate::Break => {
                    self.edit(|state| state.tell(format_args!("{}: {} never arrives", call.who, call.what)));
                    return Err(Lost::Call);
                }
                Fate::Kill => self.killed(&call).await,
            }
        }
        let mut perform = |state: &mut State| {
            let (given, end) = effect(state);
            if call.changes {
                state.tally.changes += 1;
                state.tell(format_args!("{}: {} -> {end}", call.who, call.what));
            } else {
                state.tally.reads += 1;
            }
            control::react(state);
            given
        };
        let (mut given, fate) = self.edit(|state| (perform(state), self.hook(state, &call, false)));
        match fate {
            Fate::Go => {}
            Fate::Twice(span) => {
                tokio::time::sleep(span).await;
                given = self.edit(perform);
            }
            Fate::Late(span) => tokio::time::sleep(span).await,
            Fate::Break => {
                self.edit(|state| state.tell(format_args!("{}: the answer to {} is lost", call.who, call.what)));
                return Err(Lost::Answer);
            }
            Fate::Kill => self.killed(&call).await,
        }
        Ok(given)
    }

    /// The program ends here; whoever drives it drops its future.
    async fn killed(&self, call: &Call) {
        self.edit(|state| {
            state.tell(format_args!("{} is killed at {}", call.who, call.what));
            match &call.who {
                Who::Pod { uid, .. } => control::program_ended(state, uid, 137),
                Who::Operator(name) => drop(state.killed.insert(name.clone())),
                Who::Stranger => {}
            }
        });
        self.tell_changed();
        std::future::pending::<()>().await;
    }

    pub async fn sleep_until(&self, when: Timestamp) {
        let left = when.duration_since(self.now());
        if let Ok(left) = Duration::try_from(left) {
            // Never zero: a loop that looks again must let time pass.
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
    }
}

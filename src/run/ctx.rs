//! What every step of a run has in hand, and the one door to a change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;

use super::creds::Creds;
use super::halt::Seen;
use super::journal::{Whose, Writing};
use super::lease::{Held, Sightings};
use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::node::Machine;
use crate::permit::{ChangeClass, Gate, Permit};
use crate::plan::journal::BY_HAND;
use crate::plan::version::Version;
use crate::report::{Account, Book, Event, Follower, Out, Printed, Shared, span};
use crate::settings::Settings;
use crate::signals::Asked;
use crate::words::RunId;
use crate::words::command;
use crate::world::World;

/// What signals have asked of us so far.
pub type Stop = watch::Receiver<Asked>;

/// Who we are: in a pod by the downward API, else host and process.
#[derive(Clone, Debug)]
pub struct Identity {
    pub pod: Option<String>,
    /// The node that our own pod runs on.
    pub node: Option<String>,
    /// Unique for this process: what Leases are held under.
    pub holder: String,
    /// Who types what on which machine, for people.
    pub driver: String,
}

/// What a [`Ctx`] is made of.
pub struct Parts {
    pub settings: Settings,
    pub namespace: String,
    pub kube: kube::Client,
    pub in_cluster: bool,
    /// Where the API server is, for messages.
    pub api_server: String,
    pub world: World,
    pub sink: Shared,
    pub stdout: Out,
    pub stderr: Out,
    pub json: bool,
    pub stop: Stop,
    pub dry_run: bool,
    /// Runs as a Job of the chain: waits patiently for an API server that is away.
    pub chain: bool,
    /// The Job before this one held at the same step, and told so.
    pub held: bool,
    pub despite_halt: bool,
    pub identity: Identity,
    /// None: a command that keeps no journal.
    pub book: Option<Book>,
    /// None: nobody wants what was done as data.
    pub account: Option<Account>,
    /// None: a command that records no progress.
    pub follower: Option<Follower>,
}

pub struct Ctx {
    pub settings: Settings,
    pub namespace: String,
    pub kube: kube::Client,
    pub in_cluster: bool,
    pub(super) api_server: String,
    pub world: World,
    pub stdout: Out,
    stderr: Out,
    /// Data on stdout is wanted as JSON.
    pub json: bool,
    pub dry_run: bool,
    pub chain: bool,
    pub held: bool,
    /// What a person does to a node that is no upgrade goes on while upgrades are halted.
    pub despite_halt: bool,
    pub identity: Identity,
    stop: Stop,
    sink: Shared,
    pub(super) book: Option<Book>,
    account: Option<Account>,
    pub(super) follower: Option<Follower>,
    pub(super) writing: tokio::sync::Mutex<Writing>,
    pub(super) whose: Mutex<Whose>,
    /// What is known of a person's halt.
    pub(super) halt: Mutex<Seen>,
    pub(super) creds: OnceCell<Creds>,
    /// Node name → its host keys, as far as they are known.
    pub(super) known_hosts: OnceCell<Mutex<BTreeMap<String, String>>>,
    /// Node name → the machine that was proved to be it.
    pub(super) proved: Mutex<BTreeMap<String, Machine>>,
    /// When the API server was last seen away: right after that it refuses with 403 what it will allow again.
    pub(super) last_outage: Mutex<Option<Instant>>,
    /// Something has been changed: from here on we go through outages.
    pub(super) changing: AtomicBool,
    /// The Lease of the node that we are working on; renewed before each change.
    pub(super) lease: tokio::sync::Mutex<Option<Held>>,
    /// What we have seen of Leases that others held.
    pub(super) sightings: Mutex<Sightings>,
    /// The Lease by which others see that we work by hand.
    pub(super) driving: tokio::sync::Mutex<Option<Held>>,
}

/// A write to the API server, looked at again where it lost a race.
pub(super) const RECORD: Duration = Duration::from_secs(60);
/// So that a step's own deadline, which says more, comes first.
const MARGIN: Duration = Duration::from_secs(60);

/// One change: what for, where, and how long it may take, not counting an API server that is away.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub class: ChangeClass,
    /// Node or phase.
    pub place: &'a str,
    pub step: &'a str,
    pub deadline: Duration,
    /// Told as a step; small records are not.
    pub told: bool,
}

impl<'a> Change<'a> {
    fn new(class: ChangeClass, place: &'a str, step: &'a str, deadline: Duration, told: bool) -> Self {
        Change { class, place, step, deadline, told }
    }
    pub fn prepare(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Prepare, place, step, deadline, true)
    }
    pub fn disrupt(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Disrupt, place, step, deadline, true)
    }
    pub fn settle(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Settle, place, step, deadline, true)
    }
    pub fn silent(mut self) -> Self {
        self.told = false;
        self
    }
}

/// A poisoned lock means that a renderer panicked; its data is still the best we have.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first signal's number, once it came.
pub async fn signalled(mut stop: Stop) -> u8 {
    match stop.wait_for(|asked| asked.stop.is_some()).await.map(|asked| asked.stop) {
        Ok(Some(signal)) => signal,
        _ => std::future::pending().await,
    }
}

impl Ctx {
    pub fn new(parts: Parts) -> Self {
        Ctx {
            settings: parts.settings,
            namespace: parts.namespace,
            kube: parts.kube,
            in_cluster: parts.in_cluster,
            api_server: parts.api_server,
            world: parts.world,
            stdout: parts.stdout,
            stderr: parts.stderr,
            json: parts.json,
            dry_run: parts.dry_run,
            chain: parts.chain,
            held: parts.held,
            despite_halt: parts.despite_halt,
            identity: parts.identity,
            stop: parts.stop,
            sink: parts.sink,
            book: parts.book,
            account: parts.account,
            follower: parts.follower,
            writing: tokio::sync::Mutex::default(),
            whose: Mutex::default(),
            halt: Mutex::default(),
            creds: OnceCell::new(),
            known_hosts: OnceCell::new(),
            proved: Mutex::default(),
            last_outage: Mutex::new(None),
            changing: AtomicBool::new(false),
            lease: tokio::sync::Mutex::default(),
            sightings: Mutex::default(),
            driving: tokio::sync::Mutex::default(),
        }
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.world.clock.now()
    }

    /// Now, as marks carry it.
    pub fn stamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub fn emit(&self, event: &Event) {
        locked(&self.sink).event(self.now(), event);
    }

    pub fn note(&self, place: &str, text: impl Into<String>) {
        self.emit(&Event::Note { place: place.into(), text: text.into() });
    }

    /// What a person's command finds before it does anything.
    pub fn found(&self, place: &str, text: impl Into<String>) {
        self.emit(&Event::Found { place: place.into(), text: text.into() });
    }

    /// What it has done.
    pub fn did(&self, place: &str, text: impl Into<String>) {
        self.emit(&Event::Did { place: place.into(), text: text.into() });
    }

    /// What to type next, after a word on what for.
    pub fn next(&self, place: &str, what_for: &str, command: &str) {
        self.emit(&Event::Next { place: place.into(), what_for: what_for.into(), command: command.into() });
    }

    pub fn warn(&self, place: &str, text: impl Into<String>) {
        self.emit(&Event::Warning { place: place.into(), text: text.into() });
    }

    /// Which run, release and node this is about; what was said before stays where nothing is said now.
    pub fn about(&self, run: Option<&str>, target: Option<Version>, node: Option<&str>) {
        if let Some(account) = &self.account {
            account.about(run.filter(|run| *run != BY_HAND), target, node);
        }
    }

    /// A question on stderr, without a line's end.
    pub fn ask(&self, question: &str) {
        crate::report::put(&self.stderr, &Printed::question(question));
    }

    /// The id of a new run: unique, and short enough for the names of Jobs.
    pub fn new_run(&self) -> RunId {
        RunId::random(self.world.random.u64())
    }

    /// Writes to stdout, at once.
    pub fn write_out(&self, printed: &Printed) -> std::io::Result<()> {
        crate::report::write(&self.stdout, printed)
    }

    /// Writes data to stdout.
    pub fn print(&self, printed: &Printed) -> Result<(), Cause> {
        match self.write_out(printed) {
            // `| head` has seen enough.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Cause::step(format!("cannot write to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The first signal, if one came.
    pub fn signal(&self) -> Option<u8> {
        self.stop.borrow().stop
    }

    /// A safe point: ends where a signal or a halt asks us to stop; looked for by these guards.
    pub(super) async fn safe_point(&self, signals: Guard, halts: Guard) -> Result<(), Cause> {
        if guard::on(halts) {
            self.look_for_halt().await?;
        }
        let signal = self.signal().filter(|_| guard::on(signals));
        let stopped = signal.map(|signal| Cause::new(Class::Stopped(signal), "stopped by a signal at a safe point"));
        stopped.or_else(|| self.halted().filter(|_| guard::on(halts))).map_or(Ok(()), Err)
    }

    /// Returns with the first signal's number, once it came.
    pub async fn signalled(&self) -> u8 {
        signalled(self.stop.clone()).await
    }

    /// Sleeps; with `stoppable`, a stop signal ends it early.
    pub async fn sleep(&self, time: Duration, stoppable: bool) {
        let mut stop = self.stop.clone();
        let asked = async {
            if !stoppable || stop.wait_for(|asked| asked.stop.is_some()).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = asked => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// The one door to a change. Refuses what must not begin (dry run, stop signal, halt, our own node, a lost Lease), tells the step,
    /// gives the permit, and bounds the wait. After the deadline only the *wait* has ended: what runs on a node is left to finish.
    pub async fn change<T>(&self, change: Change<'_>, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        let Change { class, place, step, deadline, told } = change;
        if self.dry_run && guard::on(Guard::DryRun) {
            return Err(Cause::bug(format!("a dry run tried to change something: {step}")));
        }
        if class != ChangeClass::Settle {
            self.safe_point(Guard::StopBeforeChange, Guard::HaltBeforeChange).await?;
        }
        // Who has lost the node's Lease changes nothing any more, its cordon least of all: another runner is at work there.
        self.keep_lease(Guard::LeaseBeforeChange).await?;
        if class == ChangeClass::Disrupt && self.identity.node.as_deref() == Some(place) && guard::on(Guard::OwnNode) {
            return Err(Cause::refused(format!("this pod runs on {place}: it must not disrupt its own node"))
                .next(Advice::go_on(command!("k8s-upgrade resume            # creates the Job of {} on another node", place))));
        }
        if told {
            self.emit(&Event::StepStarted { place: place.into(), step: step.into(), deadline });
            // Before the step, not after it: whoever is killed in its middle has left word of what it was.
            self.write_journal().await;
        }
        self.changing.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let permit = Permit { class, step: step.into() };
        // An API server that is away in between is waited for beside the step's own time.
        let bound = guard::bound(Guard::StepDeadline, deadline + self.settings.api_patience + MARGIN);
        let result = match tokio::time::timeout(bound, permit.scope(work)).await {
            Ok(result) => result?,
            Err(_) => return Err(Cause::step(format!("{step} did not end within {}", span(bound)))),
        };
        if told {
            self.emit(&Event::StepDone { place: place.into(), step: step.into(), took: begun.elapsed() });
        }
        Ok(result)
    }

    /// For web and hosts: the gate that refuses changes without a permit.
    pub fn gate(&self) -> Gate {
        Gate
    }
}

//! The ground that everything stands on: what a process is and was told, what it tells, its waits, and the one door to a change.

mod wait;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::permit::{ChangeClass, Permit};
use crate::plan::model::journal::BY_HAND;
use crate::plan::model::span;
use crate::plan::model::version::Version;
use crate::report::{Account, Event, Notice, Out, Printed, Shared, Wording, span};
use crate::signals::Asked;
use crate::words::{RunId, command};
use crate::world::{Clock, Random};

pub use wait::{Probe, Wait, Waited};

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
    /// How people call the cluster.
    pub cluster: String,
}

/// What a [`Session`] is made of.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub sink: Shared,
    pub stdout: Out,
    pub stderr: Out,
    /// Data on stdout is wanted as JSON.
    pub json: bool,
    pub stop: Stop,
    pub dry_run: bool,
    /// Runs as a Job of the chain: waits patiently for an API server that is away.
    pub chain: bool,
    /// The Job before this one held at the same step, and told so.
    pub held: bool,
    /// A person does not want to wait for a window.
    pub outside_windows: bool,
    pub identity: Identity,
    /// None: nobody wants what was done as data.
    pub account: Option<Account>,
    /// How long an API server that is away is waited for, beside a step's own time.
    pub api_patience: Duration,
}

/// One process at work.
pub struct Session {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    sink: Shared,
    pub stdout: Out,
    stderr: Out,
    pub json: bool,
    stop: Stop,
    pub dry_run: bool,
    pub chain: bool,
    pub held: bool,
    pub outside_windows: bool,
    pub identity: Identity,
    account: Option<Account>,
    api_patience: Duration,
    /// Something has been changed: from here on we go through outages.
    changing: AtomicBool,
    /// Weak, for they stand on this ground themselves.
    guardians: OnceLock<Vec<Weak<dyn Guardian>>>,
}

/// When guardians are asked.
#[derive(Clone, Copy, Debug)]
pub enum Occasion {
    /// Here the process may end: whoever wants it to says so. Looked for by this guard.
    SafePoint(Guard),
    /// Something goes on, or is changed at once: what is held is kept, and a loss is an error. Looked for by this guard.
    Keep(Guard),
    /// A step begins that people are told of.
    StepBegins,
}

/// Who has a say in whether work goes on. Guardians register themselves ([`Session::guarded_by`]), so that the ground knows none of them.
pub trait Guardian: Send + Sync {
    /// Errors: why the work must not go on.
    fn at(&self, occasion: Occasion) -> LocalBoxFuture<'_, Result<(), Cause>>;
}

/// A write to the API server, looked at again where it lost a race.
pub const RECORD: Duration = Duration::from_secs(60);
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
    /// Makes something ready, and takes nothing out of service.
    pub fn prepare(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Prepare, place, step, deadline, true)
    }
    /// Takes something out of service.
    pub fn disrupt(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Disrupt, place, step, deadline, true)
    }
    /// Finishes or takes back what was begun: neither a halt nor a signal keeps it from that.
    pub fn settle(place: &'a str, step: &'a str, deadline: Duration) -> Self {
        Self::new(ChangeClass::Settle, place, step, deadline, true)
    }
    /// A small record: people are not told of it as a step.
    pub fn silent(mut self) -> Self {
        self.told = false;
        self
    }
}

/// A poisoned lock means that a renderer panicked; its data is still the best we have.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first signal's number, once it came.
pub async fn signalled(mut stop: Stop) -> u8 {
    match stop.wait_for(|asked| asked.stop.is_some()).await.map(|asked| asked.stop) {
        Ok(Some(signal)) => signal,
        _ => std::future::pending().await,
    }
}

impl Session {
    /// Has changed nothing yet, and is guarded by nobody.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            clock,
            random,
            sink,
            stdout,
            stderr,
            json,
            stop,
            dry_run,
            chain,
            held,
            outside_windows,
            identity,
            account,
            api_patience,
        } = parts;
        let (changing, guardians) = (AtomicBool::new(false), OnceLock::new());
        Session {
            clock,
            random,
            sink,
            stdout,
            stderr,
            json,
            stop,
            dry_run,
            chain,
            held,
            outside_windows,
            identity,
            account,
            api_patience,
            changing,
            guardians,
        }
    }

    /// A person waits for what there is to see, and nothing is changed.
    pub fn only_looks(&self) -> bool {
        self.dry_run && !self.chain
    }

    /// By this machine's clock.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Now, as marks carry it.
    pub fn stamp(&self) -> String {
        span::stamp(self.now())
    }

    /// Tells all who listen.
    pub fn emit(&self, event: &Event) {
        locked(&self.sink).event(self.now(), event);
    }

    /// Tells all who listen, and those who look at no screen.
    pub fn notice(&self, place: &str, notice: &Notice) {
        locked(&self.sink).notice(self.now(), &self.identity.cluster, place, notice);
    }

    /// Tells what is good to know; `place`: node or phase, empty for the run.
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

    /// Tells what a person should look at, though the work goes on.
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
        RunId::random(self.random.u64())
    }

    /// How texts are put on stdout.
    pub fn wording(&self) -> &Wording {
        self.stdout.wording()
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

    /// A safe point: ends where a signal or a guardian (a halt) asks us to stop; looked for by these guards.
    pub async fn safe_point(&self, signals: Guard, halts: Guard) -> Result<(), Cause> {
        let asked = self.ask_guardians(Occasion::SafePoint(halts)).await;
        match self.signal().filter(|_| guard::on(signals)) {
            Some(signal) => Err(Cause::new(Class::Stopped(signal), "stopped by a signal at a safe point")),
            None => asked,
        }
    }

    /// What is held is held on to, while something goes on.
    pub async fn keep(&self, guard: Guard) -> Result<(), Cause> {
        self.ask_guardians(Occasion::Keep(guard)).await
    }

    async fn ask_guardians(&self, occasion: Occasion) -> Result<(), Cause> {
        let Some(guardians) = self.guardians.get() else { return Err(Cause::bug("nobody guards this process")) };
        for guardian in guardians {
            let Some(guardian) = guardian.upgrade() else { return Err(Cause::bug("a guardian has gone before the work")) };
            guardian.at(occasion).await?;
        }
        Ok(())
    }

    /// From here on these are asked, in this order.
    pub fn guarded_by(&self, guardians: Vec<Weak<dyn Guardian>>) {
        self.guardians.get_or_init(|| guardians);
    }

    /// This process has changed something, or has at least begun to.
    pub fn has_changed(&self) -> bool {
        self.changing.load(Ordering::Relaxed)
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
        self.keep(Guard::LeaseBeforeChange).await?;
        if class == ChangeClass::Disrupt && self.identity.node.as_deref() == Some(place) && guard::on(Guard::OwnNode) {
            return Err(Cause::refused(format!("this pod runs on {place}: it must not disrupt its own node"))
                .next(Advice::go_on(command!("k8s-upgrade resume            # creates the Job of {} on another node", place))));
        }
        if told {
            self.emit(&Event::StepStarted { place: place.into(), step: step.into(), deadline });
            // Before the step, not after it: whoever is killed in its middle has left word of what it was.
            self.ask_guardians(Occasion::StepBegins).await?;
        }
        self.changing.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let permit = Permit { class, step: step.into() };
        // An API server that is away in between is waited for beside the step's own time.
        let bound = guard::bound(Guard::StepDeadline, deadline + self.api_patience + MARGIN);
        let result = match tokio::time::timeout(bound, permit.scope(work)).await {
            Ok(result) => result?,
            Err(_) => return Err(Cause::step(format!("{step} did not end within {}", span(bound)))),
        };
        if told {
            self.emit(&Event::StepDone { place: place.into(), step: step.into(), took: begun.elapsed() });
        }
        Ok(result)
    }
}

//! Waiting: a predicate, a deadline, and words for what is missing.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::plan::decide::gates::Gate;
use crate::plan::model::progress::Awaited;
use crate::report::{Event, span};
use crate::run::session::Session;

/// What a look at the world gave.
pub enum Probe<T> {
    Ready(T),
    /// What is still missing, as words.
    Not(String),
}

/// How a wait ended.
pub enum Waited<T> {
    Ready(T),
    /// The deadline has passed; what was missing last.
    Late(String),
}

/// One wait.
#[derive(Clone, Debug)]
pub struct Wait<'a> {
    pub place: &'a str,
    /// Reads like "the node to be Ready".
    pub on: &'a str,
    pub deadline: Duration,
    pub every: Duration,
    /// A stop signal ends it; never between the first package change and the uncordon.
    pub stoppable: bool,
}

impl Session {
    /// Waits; too late is a failed step, whose cause says what was missing last.
    pub async fn wait<T>(&self, wait: Wait<'_>, probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>) -> Result<T, Cause> {
        let (deadline, on) = (wait.deadline, wait.on);
        match self.wait_or_not(wait, probe).await? {
            Waited::Ready(value) => Ok(value),
            Waited::Late(missing) => Err(Cause::step(format!("waited {} for {on}: {missing}", span(deadline)))),
        }
    }

    /// The same for what time may still bring: too late is a hold.
    pub async fn wait_or_hold<T>(&self, wait: Wait<'_>, probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>) -> Result<T, Cause> {
        let (deadline, on) = (wait.deadline, wait.on);
        held(deadline, on, self.wait_or_not(wait, probe).await?)
    }

    /// A hold, too, for one gate to open: whoever looks on is told which.
    pub async fn hold_at<T>(
        &self,
        gate: Gate,
        wait: Wait<'_>,
        probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>,
    ) -> Result<T, Cause> {
        let (deadline, on) = (wait.deadline, wait.on);
        held(deadline, on, self.wait_at(gate, wait, probe).await?)
    }

    /// Looks until one gate is open: see [`Session::wait_or_not`].
    pub async fn wait_at<T>(
        &self,
        gate: Gate,
        wait: Wait<'_>,
        probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>,
    ) -> Result<Waited<T>, Cause> {
        self.wait_for(Some(gate), wait, probe).await
    }

    /// Looks until the probe is ready or the deadline has passed, which is no failure: the caller says what it means.
    pub async fn wait_or_not<T>(
        &self,
        wait: Wait<'_>,
        probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>,
    ) -> Result<Waited<T>, Cause> {
        self.wait_for(None, wait, probe).await
    }

    async fn wait_for<T>(
        &self,
        gate: Option<Gate>,
        wait: Wait<'_>,
        mut probe: impl AsyncFnMut() -> Result<Probe<T>, Cause>,
    ) -> Result<Waited<T>, Cause> {
        let gate = gate.map(|gate| gate.row().id.to_owned());
        let begun = Instant::now();
        loop {
            let missing = match probe().await? {
                Probe::Ready(value) => return Ok(Waited::Ready(value)),
                Probe::Not(missing) => missing,
            };
            let left = guard::bound(Guard::WaitDeadline, wait.deadline).saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Waited::Late(missing));
            }
            if wait.stoppable {
                self.safe_point(Guard::StopInWait, Guard::HaltInWait).await?;
            }
            let on = Awaited { gate: gate.clone(), ..Awaited::new(wait.on, missing) };
            self.emit(&Event::Waiting { place: wait.place.into(), on, left });
            self.sleep(wait.every.min(left), wait.stoppable && guard::on(Guard::StopInWait)).await;
            // A wait is longer than a Lease lasts.
            self.keep(Guard::LeaseInWait).await?;
        }
    }
}

fn held<T>(deadline: Duration, on: &str, waited: Waited<T>) -> Result<T, Cause> {
    match waited {
        Waited::Ready(value) => Ok(value),
        Waited::Late(missing) => Err(Cause::hold(format!("waited {} for {on}: {missing}", span(deadline)))),
    }
}

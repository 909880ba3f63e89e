//! A person's halt: seen by every process at its safe points, set and lifted by `halt`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::run::cluster::Observer;
use crate::run::session::{Guardian, Occasion, Session};

/// A halt is seen at the latest this long after it was set, wherever it may stop something.
const LOOK: Duration = Duration::from_secs(10);

/// Sees that a person has halted upgrades, and stops the work at its safe points.
pub struct HaltWatch {
    session: Arc<Session>,
    observer: Arc<Observer>,
    /// What a person does to a node that is no upgrade goes on while upgrades are halted.
    despite_halt: bool,
}

impl Guardian for HaltWatch {
    fn at(&self, occasion: Occasion) -> LocalBoxFuture<'_, Result<(), Cause>> {
        Box::pin(async move {
            match occasion {
                Occasion::SafePoint(guard) => self.not_halted(guard).await,
                Occasion::Keep(_) | Occasion::StepBegins => Ok(()),
            }
        })
    }
}

impl HaltWatch {
    /// `despite_halt`: this command does its work although upgrades are halted.
    pub fn new(session: Arc<Session>, observer: Arc<Observer>, despite_halt: bool) -> Self {
        HaltWatch { session, observer, despite_halt }
    }

    /// Looks whether somebody has halted us meanwhile, unless that was looked at a moment ago.
    async fn look(&self) -> Result<(), Cause> {
        let fresh = self.observer.latest_halt().1.is_some_and(|ago| ago < LOOK);
        if fresh { Ok(()) } else { self.observer.marks_as_they_are().await.map(drop) }
    }

    /// The halt that stops us, as a cause: whoever has begun ends at a safe point; who has not is refused.
    pub fn halted(&self) -> Option<Cause> {
        let halt = self.observer.latest_halt().0.filter(|halt| halt.run && !self.session.dry_run && !self.despite_halt)?;
        let class = if self.session.chain || self.session.has_changed() { Class::Halted } else { Class::Refused };
        Some(Cause::new(class, halt.to_string()).next("k8s-upgrade halt --lift      # when it may go on"))
    }

    /// Nothing is begun while upgrades are halted.
    pub async fn may_begin(&self) -> Result<(), Cause> {
        self.not_halted(Guard::HaltBeforeJob).await
    }

    /// The same, asked by the guard of one place.
    pub async fn not_halted(&self, halts: Guard) -> Result<(), Cause> {
        if !guard::on(halts) {
            return Ok(());
        }
        self.look().await?;
        self.halted().map_or(Ok(()), Err)
    }
}

//! `status --watch`: the screen of `status`, live. In a terminal it is drawn in place; elsewhere each change is a screen, or a line of JSON.

use std::io::ErrorKind;

use jiff::Timestamp;

use super::status;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::model::policy::Policy;
use crate::plan::view::screen::{Screen, ScreenInput, Stale};
use crate::report::{self, Printed, data};
use crate::run::view::live::More;
use crate::run::{Services, nodes, view};

/// `status --watch`: draws the screen anew with whatever changes, until Ctrl-C.
pub async fn watch(services: &Services) -> Result<Outcome, Failure> {
    // Freezes change seldom: they are read once.
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let mut view = View { services, policy, drawn: false, last: None };
    let watched = view::live::live(services, |seen, stale| view.show(seen, stale)).await;
    view.close();
    watched.map_err(Failure::nothing_begun)?;
    Ok(Outcome::Done)
}

struct View<'a> {
    services: &'a Services,
    policy: Policy,
    /// The terminal shows its other screen.
    drawn: bool,
    last: Option<(Screen, Vec<Stale>)>,
}

impl View<'_> {
    fn show(&mut self, seen: &ScreenInput, stale: &[Stale]) -> Result<More, Cause> {
        let now = self.services.session.now();
        let screen = status::screen(self.services, seen, &self.policy);
        let next = match self.services.world.terminal.size().filter(|_| !self.services.session.json) {
            Some(size) => {
                let lines = report::frame(&screen, stale, now, (size.rows, size.columns), self.services.session.wording());
                let enters = !std::mem::replace(&mut self.drawn, true);
                vec![report::drawn(&lines, enters, size.columns)]
            }
            None if self.last.as_ref().is_some_and(|last| is_same(last, &screen, stale, now)) => return Ok(More::Yes),
            None if self.services.session.json => vec![Printed::json(&data::LiveStatus::of(&screen, stale, now))?],
            None => {
                let gap = self.last.is_some().then(|| Printed::lines([""]));
                gap.into_iter().chain([report::live_text(&screen, stale, now)]).collect()
            }
        };
        self.last = Some((screen, stale.to_vec()));
        match next.iter().try_for_each(|printed| self.services.session.write_out(printed)) {
            Ok(()) => Ok(More::Yes),
            // `| head` has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(More::No),
            Err(error) => Err(Cause::step(format!("cannot write to stdout: {error}"))),
        }
    }

    /// Gives the terminal back, with the last screen on it: what it says to type is wanted now.
    fn close(&mut self) {
        if let (true, Some((screen, stale))) = (self.leave(), &self.last) {
            self.services.session.write_out(&report::live_text(screen, stale, self.services.session.now())).ok();
        }
    }

    fn leave(&mut self) -> bool {
        std::mem::take(&mut self.drawn) && self.services.session.write_out(&report::left()).is_ok()
    }
}

/// Also where the command is dropped in its middle.
impl Drop for View<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A Lease that is renewed is no news, as long as it is held.
fn is_same((last, old): &(Screen, Vec<Stale>), screen: &Screen, stale: &[Stale], now: Timestamp) -> bool {
    let still = |screen: &Screen| {
        let mut screen = screen.clone();
        let held = |until: Timestamp| if until > now { Timestamp::MAX } else { Timestamp::MIN };
        for lease in &mut screen.leases {
            (lease.renewed, lease.until) = (Timestamp::MIN, held(lease.until));
        }
        if let Some(driver) = &mut screen.driver {
            (driver.renewed, driver.until) = (Timestamp::MIN, held(driver.until));
        }
        screen
    };
    old == stale && still(last) == still(screen)
}

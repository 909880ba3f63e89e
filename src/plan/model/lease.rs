//! Who is at work, as Leases say: on a node, or by hand and without a Job.

use std::time::Duration;

use jiff::Timestamp;

use super::progress::Progress;
use crate::words::texts;

/// Who is at work on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: String,
    pub holder: String,
    pub renewed: Timestamp,
    /// Then it is anybody's, unless it is renewed.
    pub until: Timestamp,
}

/// Clocks of machines that are cared for differ by less.
const CLOCKS: Duration = Duration::from_secs(5);

/// Whose process works by hand, without a Job; or who holds a node's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Who on which machine, and what they typed.
    pub by: String,
    pub holder: String,
    pub renewed: Timestamp,
    pub until: Timestamp,
    /// What that process has recorded that it does, or why that cannot be read.
    pub progress: Option<Result<Progress, String>>,
}

impl Driver {
    /// Two machines' clocks are compared: it may be told a moment too long, or too short.
    pub fn lives(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// It was renewed a moment ago, as far as two clocks may differ where somebody cares for them.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.lives(now) && self.ahead(now).is_none()
    }

    /// By how much the clock of their machine is fast, if it is: nothing is known by it.
    pub fn ahead(&self, now: Timestamp) -> Option<Duration> {
        let ahead = Duration::try_from(self.renewed.duration_since(now)).ok()?;
        (ahead > CLOCKS).then_some(ahead)
    }

    /// At the latest after this long it is known whether they live.
    pub fn left(&self, now: Timestamp) -> Duration {
        let lasts = self.until.duration_since(self.renewed).unsigned_abs();
        if self.lives(now) { self.until.duration_since(now).unsigned_abs().min(lasts) } else { lasts }
    }
}

texts!(Lease { node, holder, renewed, until });
texts!(Driver { by, holder, renewed, until, progress });

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Renewed so many seconds ago by its own clock, and taken for a minute.
    fn driver(ago: i64, now: Timestamp) -> Driver {
        let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        Driver { by: "ann".into(), holder: "ann".into(), renewed: at(-ago), until: at(60 - ago), progress: None }
    }

    #[test]
    fn a_clock_that_is_fast_tells_nothing_of_whose_it_is() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (ago, lives, fresh, ahead, left) in
            [(10, true, true, 0, 50), (-3, true, true, 0, 60), (61, false, false, 0, 60), (-3600, true, false, 3600, 60)]
        {
            let driver = driver(ago, now);
            assert_eq!((driver.lives(now), driver.is_fresh(now)), (lives, fresh), "{ago}");
            assert_eq!(driver.ahead(now).unwrap_or_default().as_secs(), ahead, "{ago}");
            assert_eq!(driver.left(now).as_secs(), left, "{ago}");
        }
    }
}

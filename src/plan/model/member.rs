//! A member of etcd, as it counts itself.

use std::time::Duration;

use crate::words::MemberId;

/// What one member says of its size, its role and its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    /// It leads the others.
    pub leads: bool,
    /// It has no vote yet.
    pub learner: bool,
    /// Bytes of its database on disk, and of what is kept in there.
    pub size: u64,
    pub in_use: u64,
    /// Bytes from which on it takes no more; None: there is no limit.
    pub quota: Option<u64>,
    pub disk: Disk,
}

/// How long its disk has taken since the member began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Writes of its log, each on disk before it answers.
    pub fsync: Spent,
    /// Writes of its database.
    pub commit: Spent,
}

/// How often something was done, and how long that took altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub count: u64,
    pub time: Duration,
}

/// So many must lie between two looks before their mean says anything.
const LEAST: u64 = 5;

/// How long the disk of a member took on average, between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    pub fsync: Duration,
    pub commit: Duration,
}

impl Spent {
    /// None: too few of them, or it counts anew since.
    fn mean_since(self, before: Spent) -> Option<Duration> {
        let count = self.count.checked_sub(before.count).filter(|count| *count >= LEAST)?;
        let mean = self.time.checked_sub(before.time)?.as_micros().checked_div(u128::from(count))?;
        u64::try_from(mean).ok().map(Duration::from_micros)
    }
}

impl Disk {
    /// None: the member has written too little to tell, or has begun anew since.
    pub fn means_since(self, before: Disk) -> Option<Means> {
        Some(Means { fsync: self.fsync.mean_since(before.fsync)?, commit: self.commit.mean_since(before.commit)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(count: u64, millis: u64) -> Disk {
        let spent = Spent { count, time: Duration::from_millis(millis) };
        Disk { fsync: spent, commit: spent }
    }

    #[test]
    fn a_mean_is_of_what_lies_between_two_looks() {
        let mean = disk(130, 1_100).means_since(disk(100, 500));
        assert_eq!(mean.map(|mean| mean.fsync), Some(Duration::from_millis(20)));
        assert_eq!(disk(104, 9_000).means_since(disk(100, 500)), None, "too few");
        assert_eq!(disk(90, 100).means_since(disk(100, 500)), None, "it was restarted");
        assert_eq!(disk(200, 100).means_since(disk(100, 500)), None, "it was restarted, and has written more since");
    }
}

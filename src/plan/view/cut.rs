//! One process' work, and what is known of one that left no end on record: whether it is at work, else until when there is a word of it,
//! and who went on.

use jiff::Timestamp;
use serde::Serialize;

use crate::plan::model::facts::{Facts, JobState};
use crate::plan::model::journal::time;
use crate::plan::model::lease::Lease;
use crate::words::texts;

/// One process' work on a node or a phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Phase {
    /// The node, or the phase.
    pub place: String,
    /// Counted by place, from one.
    pub attempt: usize,
    /// When it began.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub began: Timestamp,
    /// How long it took; null where it was killed, or is at work.
    pub seconds: Option<u64>,
    /// How it ended; null where no end on record.
    pub result: Option<String>,
    /// Where it left no end: what is known of it; else null.
    pub cut: Option<Cut>,
    /// The pod, or the person.
    pub by: String,
    /// The node on which it ran; null where it ran elsewhere.
    pub on: Option<String>,
}

texts!(Phase { place, attempt, began, seconds, result, cut, by, on });

/// What the cluster says now, beside the journals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// When it was asked; None where it was not.
    pub at: Option<Timestamp>,
    /// The run still is in flight.
    pub in_flight: bool,
    /// Who is at work, by their names as journals have them.
    pub at_work: Vec<String>,
    /// The nodes' Leases, also those that have run out.
    pub leases: Vec<Lease>,
}

impl Now {
    /// Of the run; `now` is compared with the Leases.
    pub fn of(run: &str, facts: &Facts, leases: Vec<Lease>, now: Timestamp) -> Now {
        let active = facts.jobs.iter().filter(|job| job.state == JobState::Active && !job.pods.is_empty() && !job.is_between());
        let pods = active.filter_map(|job| job.pod.clone());
        let holders = leases.iter().filter(|lease| now < lease.until).map(|lease| lease.holder.clone());
        Now {
            at: Some(now),
            in_flight: facts.marks.in_flight && facts.marks.run_id.as_deref() == Some(run),
            at_work: pods.chain(holders).collect(),
            leases,
        }
    }

    /// It has not ended.
    pub fn works(&self, writer: &str) -> bool {
        self.at_work.iter().any(|other| other == writer)
    }
}

/// A process without an end on record. A process that is killed writes none, and one that the API server does not hear writes none either.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// It is at work now: its pod runs, or its Lease is held. Else it was killed, or cut off from the API server.
    pub at_work: bool,
    /// When it was heard of last.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub last: Timestamp,
    /// Until when it holds the Lease of its node, or held it; null where somebody else has it, or nobody.
    #[serde(serialize_with = "time::maybe")]
    #[cfg_attr(test, schemars(with = "Option<Timestamp>"))]
    pub lease_until: Option<Timestamp>,
    /// Who went on with its node or phase; null where nobody has.
    pub followed_by: Option<String>,
    /// Since when they do.
    #[serde(serialize_with = "time::maybe")]
    #[cfg_attr(test, schemars(with = "Option<Timestamp>"))]
    pub followed_at: Option<Timestamp>,
}

texts!(Cut { at_work, last, lease_until, followed_by, followed_at });

impl Cut {
    /// Of one that was heard of last at `last`.
    pub fn new(writer: &str, last: Timestamp, now: &Now) -> Cut {
        let lease = now.leases.iter().find(|lease| lease.holder == writer);
        Cut {
            at_work: now.works(writer),
            last,
            lease_until: lease.map(|lease| lease.until),
            followed_by: None,
            followed_at: None,
        }
    }

    /// In a few words.
    pub fn says(&self) -> String {
        let clock = |at: Timestamp| at.strftime("%H:%M:%S").to_string();
        if self.at_work {
            return "at work".to_owned();
        }
        let went_on = match (&self.followed_by, self.followed_at, self.lease_until) {
            (Some(by), Some(at), _) => format!("{by} went on at {}", clock(at)),
            (.., Some(until)) => format!("its Lease is free from {}, nobody went on", clock(until)),
            _ => "nobody went on".to_owned(),
        };
        format!("killed or cut off after {}; {went_on}", clock(self.last))
    }
}

/// Each is followed by the next that began with the same place.
pub fn follow(phases: &mut [Phase]) {
    for number in 0..phases.len() {
        let (before, after) = phases.split_at_mut(number + 1);
        let Some(phase) = before.last_mut() else { continue };
        let next = after.iter().find(|next| next.place == phase.place && next.by != phase.by);
        if let (Some(cut), Some(next)) = (&mut phase.cut, next) {
            (cut.followed_by, cut.followed_at) = (Some(next.by.clone()), Some(next.began));
        }
    }
}

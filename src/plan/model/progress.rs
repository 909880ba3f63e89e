//! What a process does now, as it records it where all can see it: on its Job, which outlives the process's log and the node that keeps it,
//! or on the Lease of work by hand.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Advice;
use crate::words::{Texts, texts};

/// Of the record's form. A reader that does not know the number says so, and guesses nothing.
pub const VERSION: u32 = 1;
/// Bytes of a record that is believed; one of ours is smaller.
const LIMIT: usize = 32 * 1024;
/// Characters that are kept of a text, and entries of a list.
const TEXT: usize = 300;
const ENTRIES: usize = 20;
/// Characters of a command: one that is longer is left out, for half of one is another command.
const COMMAND: usize = 600;

/// The record of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub version: u32,
    /// Name of the pod, for a Job's next try starts with the record of the one before; or under what a Lease is held.
    pub writer: String,
    pub written: Timestamp,
    /// It does nothing any more: what becomes of its Job, the cluster will say.
    #[serde(default)]
    pub ended: bool,
    pub doing: Doing,
}

/// What a runner does, or how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doing {
    /// The step that has begun and not ended.
    pub step: Option<Span>,
    pub wait: Option<Waiting>,
    pub drain: Option<Draining>,
    /// How it ended.
    pub failure: Option<ToldFailure>,
    /// The last line of its log.
    pub last: Option<String>,
}

/// A step and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub what: String,
    pub since: Timestamp,
    /// Its deadline.
    pub until: Timestamp,
}

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Awaited {
    /// Reads like "the node to be Ready", and stays the same as long as the wait lasts.
    pub on: String,
    /// What of it is still missing; empty where that goes without saying.
    pub missing: String,
    /// It is the run's own pace: time in which the nodes' health is watched. What is missing then is what looks bad.
    pub soak: bool,
    /// The id of the gate that is closed, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// It is the API server, which is away or not ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub api_away: bool,
}

impl Awaited {
    /// A wait that is no soak, no gate's, and not for an API server that is away.
    pub fn new(on: impl Into<String>, missing: impl Into<String>) -> Self {
        Awaited { on: on.into(), missing: missing.into(), soak: false, gate: None, api_away: false }
    }

    /// The watch after a node; `complaints` are what looks bad meanwhile.
    pub fn soak(complaints: &[String]) -> Self {
        Awaited { soak: true, ..Awaited::new("the soak to end", complaints.join(", ")) }
    }

    /// It is more than the run's own pace.
    pub fn is_block(&self) -> bool {
        !self.soak || !self.missing.is_empty()
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.missing.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.on, self.missing)
    }
}

/// A wait and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    #[serde(flatten)]
    pub on: Awaited,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// How far a drain is, in pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    pub left: usize,
    pub total: usize,
    /// What holds it, and since when.
    pub held: Vec<(String, Timestamp)>,
}

/// A failure as its three parts were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldFailure {
    pub what: Vec<String>,
    pub state: String,
    pub next: Vec<Advice>,
}

texts!(Progress { version, writer, written, ended, doing });
texts!(Doing { step, wait, drain, failure, last });
texts!(Span { what, since, until });
texts!(Awaited { on, missing, soak, gate, api_away });
texts!(Waiting { on, since, until });
texts!(Draining { left, total, held });
texts!(ToldFailure { what, state, next });

impl Progress {
    /// # Errors
    /// Why it cannot be read: another form of it, or not this program's.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        if text.len() > LIMIT {
            return Err(format!("has {} bytes, and none of this program has more than {LIMIT}", text.len()));
        }
        let unreadable = |error: serde_json::Error| format!("is not this program's: {error}");
        match serde_json::from_str::<Form>(text).map_err(unreadable)?.version {
            VERSION => serde_json::from_str(text).map_err(unreadable),
            other => Err(format!("has version {other}, written by another build; this build reads version {VERSION}")),
        }
    }

    /// As it is written: of what is too long, the beginning.
    pub fn text(mut self) -> String {
        if let Some(drain) = &mut self.doing.drain {
            drain.held.truncate(ENTRIES);
        }
        let commands = self.doing.failure.as_mut().map(|told| {
            told.what.truncate(ENTRIES);
            told.next.retain(|advice| advice.command.chars().count() <= COMMAND);
            told.next.truncate(ENTRIES);
            std::mem::take(&mut told.next)
        });
        self.doing.texts(&mut |text| {
            if let Some((end, _)) = text.char_indices().nth(TEXT) {
                text.truncate(end);
                text.push('…');
            }
        });
        if let (Some(told), Some(commands)) = (&mut self.doing.failure, commands) {
            told.next = commands;
        }
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn progress(doing: Doing) -> Progress {
        Progress {
            version: VERSION,
            writer: "a-x7kq2".into(),
            written: "2026-11-22T12:00:00Z".parse().unwrap(),
            ended: false,
            doing,
        }
    }

    #[test]
    fn it_reads_back() {
        let at = |text: &str| text.parse().unwrap();
        let doing = Doing {
            step: Some(Span { what: "drain".into(), since: at("2026-11-22T12:00:00Z"), until: at("2026-11-22T12:30:00Z") }),
            drain: Some(Draining { left: 3, total: 17, held: vec![("a/b (PDB a/b)".into(), at("2026-11-22T12:01:00Z"))] }),
            last: Some("12:00:00  k8s-node4  drain: 3 of 17 pods left".into()),
            ..Doing::default()
        };
        for progress in [progress(doing), progress(Doing::default()), Progress { ended: true, ..progress(Doing::default()) }] {
            assert_eq!(Progress::read(&progress.clone().text()), Ok(progress));
        }
    }

    #[test]
    fn another_builds_form_is_named_and_nothing_is_guessed() {
        let newer = r#"{"version":2,"writer":"a","steps":[]}"#;
        assert_eq!(Progress::read(newer).unwrap_err(), "has version 2, written by another build; this build reads version 1");
        for odd in ["", "{}", "[]", "true", r#"{"version":"1"}"#, r#"{"version":1}"#, r#"{"version":-1}"#, "draining"] {
            assert!(Progress::read(odd).unwrap_err().starts_with("is not this program's: "), "{odd}");
        }
        assert!(Progress::read(&" ".repeat(LIMIT + 1)).unwrap_err().starts_with("has 32769 bytes"));
    }

    /// Whatever happens, an object's annotations have room for it; and no command is cut.
    #[test]
    fn it_is_never_larger_than_what_is_read() {
        let long = "\"".repeat(5_000);
        let since = "2026-11-22T12:00:00Z".parse().unwrap();
        let span = || Some(Span { what: long.clone(), since, until: since });
        let doing = Doing {
            step: span(),
            wait: Some(Waiting { on: Awaited::new(long.clone(), long.clone()), since, until: since }),
            drain: Some(Draining { left: 1, total: 1, held: vec![(long.clone(), since); 500] }),
            failure: Some(ToldFailure {
                what: vec![long.clone(); 500],
                state: long.clone(),
                next: vec![format!("{long} --yes").into(), Advice::resume()],
            }),
            last: Some(long.clone()),
        };
        let read = Progress::read(&progress(doing).text()).unwrap();
        let told = read.doing.failure.unwrap();
        assert_eq!(told.next, [Advice::resume()]);
        assert_eq!((told.what.len(), told.what[0].chars().count()), (ENTRIES, TEXT + 1));
    }
}

//! A journal as data: what one process did in a run, line by line. It is evidence; it decides nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::progress::Awaited;
use crate::names;
use crate::words::RunId;

/// Bytes that one journal may have; a ConfigMap may have four times that.
pub const LIMIT: usize = 256 * 1024;
/// Runs whose journals are kept.
pub const KEPT: usize = 10;
/// The run of what a person does while none is in flight.
pub const BY_HAND: &str = RunId::BY_HAND;
/// So many lines back it is looked for the one that a new line continues: several nodes may be told of at once.
const BACK: usize = 16;

/// The version of journals that this build writes, and the only one that it reads. A journal without one is of this version's first builds.
const VERSION: u32 = 1;

const HEAD: &str = "head";
const LINES: &str = "lines";
const END: &str = "end";

/// Whose journal it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub run: String,
    /// The node or phase that this process was for; empty if for no single one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// As it was typed.
    pub command: String,
    /// Unique for the process: the pod's name, which is its Job's and the attempt's, or a person's and some digits.
    pub writer: String,
    /// `user@host`; None for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The node of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    #[serde(with = "time")]
    pub begun: Timestamp,
    /// Lines that had to go to make room.
    #[serde(default)]
    pub dropped: usize,
}

/// A head as it is written.
#[derive(Serialize)]
struct Form<'a> {
    version: u32,
    #[serde(flatten)]
    head: &'a Head,
}

impl Head {
    fn written(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Form { version: VERSION, head: self })
    }
}

/// What is looked at before the rest, for that depends on it.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default = "first")]
    version: u32,
}

fn first() -> u32 {
    VERSION
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    #[serde(with = "time")]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened, as a journal keeps it. A line that this build does not know makes a journal unreadable, which a report says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    RunBegun {
        from: Option<String>,
        target: String,
        kind: String,
        nodes: Vec<String>,
    },
    RunDone {
        text: String,
        whole: bool,
    },
    Snapshot {
        path: String,
    },
    /// Of a process that performs several; the end fills in the seconds.
    Phase {
        phase: String,
        seconds: Option<u64>,
    },
    Step {
        step: String,
        seconds: Option<u64>,
    },
    Skipped {
        step: String,
        why: String,
    },
    Waited {
        on: String,
        #[serde(default, skip_serializing_if = "Wait::is_other")]
        kind: Wait,
        #[serde(with = "time")]
        until: Timestamp,
    },
    Drain {
        left: usize,
        total: usize,
        held: Vec<String>,
        #[serde(with = "time")]
        until: Timestamp,
    },
    OutOfService,
    InService,
    Note {
        text: String,
    },
    Warning {
        text: String,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// A gate that is closed.
    Gate,
    /// The run's own pace, after a node.
    Soak,
    /// The API server, which is away or not ready.
    Api,
    /// All else: what was done is to take effect. Journals of this version's first builds tell no kinds.
    #[default]
    Other,
}

impl Wait {
    /// Of what is told.
    pub fn of(on: &Awaited) -> Wait {
        match (on.api_away, on.soak, &on.gate) {
            (true, ..) => Wait::Api,
            (_, true, _) => Wait::Soak,
            (.., Some(_)) => Wait::Gate,
            _ => Wait::Other,
        }
    }

    fn is_other(&self) -> bool {
        *self == Wait::Other
    }
}

/// How the process ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    #[serde(with = "time")]
    pub at: Timestamp,
    /// `done`, `nothing to do`, `deferred`, or the class of the failure.
    pub result: String,
    pub code: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What failed; the rest as in a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// What one process has done, as its ConfigMap keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    pub head: Head,
    pub lines: Vec<Line>,
    pub end: Option<End>,
}

impl What {
    /// What a report is about; the rest is detail.
    fn essential(&self) -> bool {
        matches!(
            self,
            What::RunBegun { .. }
                | What::RunDone { .. }
                | What::Snapshot { .. }
                | What::Phase { .. }
                | What::OutOfService
                | What::InService
        )
    }

    /// Takes in what the next one says, if it only goes on with this one.
    fn continued(&mut self, next: &What) -> bool {
        match (self, next) {
            (What::Waited { on, until, .. }, What::Waited { on: same, until: later, .. }) if on == same => *until = *later,
            (What::Drain { left, total, held, until }, What::Drain { left: fewer, total: of, held: same, until: later })
                if held == same =>
            {
                (*left, *total, *until) = (*fewer, *of, *later)
            }
            (What::Phase { phase, seconds: end @ None }, What::Phase { phase: same, seconds: Some(took) }) if phase == same => {
                *end = Some(*took);
            }
            (What::Step { step, seconds: end @ None }, What::Step { step: same, seconds: Some(took) }) if step == same => {
                *end = Some(*took);
            }
            _ => return false,
        }
        true
    }
}

impl Journal {
    /// Adds a line, or goes on with one: a wait is one line however often it is told.
    pub fn add(&mut self, line: Line) {
        let ends = matches!(line.what, What::Step { .. } | What::Phase { .. });
        let back = if ends { self.lines.len() } else { BACK };
        let of_place = self.lines.iter_mut().rev().take(back).filter(|known| known.place == line.place);
        for known in of_place {
            if known.what.continued(&line.what) {
                return;
            }
            // A wait goes on only as the last thing that was told of its place.
            if !ends {
                break;
            }
        }
        self.lines.push(line);
    }

    /// As a ConfigMap's data; what does not fit goes, the oldest detail first.
    pub fn data(&mut self) -> Result<BTreeMap<String, String>, serde_json::Error> {
        let end = self.end.as_ref().map(serde_json::to_string).transpose()?;
        let mut lines = self.lines.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let rest = self.head.written()?.len() + 20 + end.as_ref().map_or(0, String::len);
        let room = LIMIT.saturating_sub(rest);
        let mut size: usize = lines.iter().map(|line| line.len() + 1).sum();
        for detail in [true, false] {
            if size > room {
                let go: Vec<bool> = (self.lines.iter().zip(&lines))
                    .map(|(line, text)| {
                        let goes = size > room && !(detail && line.what.essential());
                        if goes {
                            size -= text.len() + 1;
                        }
                        goes
                    })
                    .collect();
                self.head.dropped += go.iter().filter(|goes| **goes).count();
                keep(&mut self.lines, &go);
                keep(&mut lines, &go);
            }
        }
        let lines: String = lines.into_iter().map(|line| line + "\n").collect();
        let mut data = BTreeMap::from([(HEAD.to_owned(), self.head.written()?), (LINES.to_owned(), lines)]);
        data.extend(end.map(|end| (END.to_owned(), end)));
        Ok(data)
    }

    /// Its head alone, of whichever version; None: it is no journal.
    pub fn head(data: &BTreeMap<String, String>) -> Option<Head> {
        serde_json::from_str(data.get(HEAD)?).ok()
    }

    /// Out of a ConfigMap's data.
    ///
    /// # Errors
    /// Which part is not this program's, or of another form.
    pub fn read(data: &BTreeMap<String, String>) -> Result<Journal, String> {
        let text = |key: &str| data.get(key).map(String::as_str);
        let of_head = |error: serde_json::Error| format!("its head: {error}");
        let head = text(HEAD).ok_or("it has no head")?;
        match serde_json::from_str::<Versioned>(head).map_err(of_head)?.version {
            VERSION => {}
            other => return Err(format!("it has version {other}, written by another build; this build reads version {VERSION}")),
        }
        let head = serde_json::from_str(head).map_err(of_head)?;
        let line = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| format!("its line {}: {error}", number + 1))
        };
        let lines = text(LINES).unwrap_or_default().lines().enumerate().map(line).collect::<Result<_, _>>()?;
        let end = text(END).map(serde_json::from_str).transpose().map_err(|error| format!("its end: {error}"))?;
        Ok(Journal { head, lines, end })
    }
}

fn keep<T>(items: &mut Vec<T>, go: &[bool]) {
    let mut goes = go.iter();
    items.retain(|_| !goes.next().copied().unwrap_or(false));
}

/// A journal's ConfigMap: its run, Job and attempt.
pub fn name(head: &Head) -> String {
    let plain = |text: &str| -> String {
        text.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    let name = format!("{}-{}-{}", names::APP_JOURNAL, plain(&head.run), plain(&head.writer));
    name.trim_end_matches('-').to_owned()
}

/// The run whose journal is called so; None: it is of no run, or no journal.
pub fn run_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix(names::APP_JOURNAL)?.strip_prefix('-')?;
    let run = rest.split('-').next()?;
    run.parse::<RunId>().ok().map(String::from)
}

/// A journal as pruning sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJournal {
    /// Of its ConfigMap.
    pub name: String,
    pub run: String,
    pub begun: Timestamp,
}

/// The names of those that go: of all runs but the newest, and of as many commands outside any run.
pub fn stale(journals: &[StoredJournal]) -> Vec<String> {
    // What is typed outside runs would be one run without an end.
    let unit = |journal: &StoredJournal| {
        if journal.run == BY_HAND { (true, journal.name.clone()) } else { (false, journal.run.clone()) }
    };
    let mut newest: BTreeMap<(bool, String), Timestamp> = BTreeMap::new();
    for journal in journals {
        let last = newest.entry(unit(journal)).or_insert(journal.begun);
        *last = journal.begun.max(*last);
    }
    let mut kept = Vec::new();
    for outside in [true, false] {
        let mut units: Vec<_> = newest.iter().filter(|((by_hand, _), _)| *by_hand == outside).collect();
        units.sort_by_key(|(_, last)| std::cmp::Reverse(**last));
        kept.extend(units.into_iter().take(KEPT).map(|(unit, _)| unit.clone()));
    }
    journals.iter().filter(|journal| !kept.contains(&unit(journal))).map(|journal| journal.name.clone()).collect()
}

/// Times to the second, as marks have them. What is read is exactly what is written: no fraction of a second that the next writing would drop.
pub mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    fn text(time: &Timestamp) -> String {
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// UTC, to the second.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text(time))
    }

    /// The same, or null.
    pub fn maybe<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// That form alone.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let written = String::deserialize(deserializer)?;
        let time = written.parse().map_err(serde::de::Error::custom)?;
        if text(&time) == written { Ok(time) } else { Err(serde::de::Error::custom("a time is no UTC to the second")) }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;

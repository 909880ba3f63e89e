//! The story of a run, out of its journals: what happened phase by phase, what it cost, who did what by hand, and what is not known.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

pub use super::cut::Phase;
use super::cut::{Cut, Now, follow};
use crate::plan::model::journal::{End, Head, Journal, Line, What, time};
use crate::plan::model::span::span;
use crate::words::texts;

/// A run from its beginning to its end, as a report has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Id of the run, or by-hand for what was done outside any.
    pub run: String,
    /// The release before it; null where no journal tells.
    pub from: Option<String>,
    /// The release that it goes to; null where no journal tells.
    pub target: Option<String>,
    /// Patch or minor; null where no journal tells.
    pub kind: Option<String>,
    /// When the first that is known of it began, in UTC as all times.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub began: Timestamp,
    /// The last that is known of it.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub until: Timestamp,
    /// How it ended, as far as journals tell.
    pub result: Ending,
    /// Path of its etcd snapshot; null where no journal tells.
    pub snapshot: Option<String>,
    /// Each process' work on a node or a phase, in the order of their beginnings.
    pub phases: Vec<Phase>,
    /// When nodes took no new pods by our doing.
    pub out_of_service: Vec<Outage>,
    /// The sum of that over all nodes.
    pub out_of_service_seconds: u64,
    /// What people typed that changed something.
    pub by_hand: Vec<ByHand>,
    /// All that happened, in its order.
    pub timeline: Vec<TimelineLine>,
    /// What is not known, a sentence each.
    pub missing: Vec<String>,
}

/// How it ended, as far as journals tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Complete,
    /// Steps were skipped by force.
    Partial,
    InFlight,
    /// It is over, and no journal says how.
    Unknown,
    /// What was done outside any run.
    None,
}

/// A node took no new pods by our doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outage {
    /// The node.
    pub node: String,
    /// Since when; null where no journal tells.
    #[serde(serialize_with = "time::maybe")]
    #[cfg_attr(test, schemars(with = "Option<Timestamp>"))]
    pub from: Option<Timestamp>,
    /// Until when; null where it still was so at the end of the journals.
    #[serde(serialize_with = "time::maybe")]
    #[cfg_attr(test, schemars(with = "Option<Timestamp>"))]
    pub to: Option<Timestamp>,
    /// How long; null where one of the two is not known.
    pub seconds: Option<u64>,
}

/// A person's command that changed something.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ByHand {
    /// When it was typed.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// Who typed it, and on which machine.
    pub who: String,
    /// What was typed.
    pub command: String,
    /// How it ended; null where no end on record.
    pub result: Option<String>,
}

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimelineLine {
    /// When it happened.
    #[serde(with = "time")]
    #[cfg_attr(test, schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// Node or phase; empty for the run as a whole.
    pub place: String,
    /// What happened, in one sentence for people.
    pub text: String,
    /// More lines of it, such as a failure's; missing where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
}

texts!(none: Ending);
texts!(Story {
    run,
    from,
    target,
    kind,
    began,
    until,
    result,
    snapshot,
    phases,
    out_of_service,
    out_of_service_seconds,
    by_hand,
    timeline,
    missing
});
texts!(Outage { node, from, to, seconds });
texts!(ByHand { at, who, command, result });
texts!(TimelineLine { at, place, text, detail });

/// Tells a run from all its journals, and from what the cluster says now. `outside`: it is no run. None if there is no journal.
pub fn tell(run: &str, journals: &[Journal], unreadable: &[String], now: &Now, outside: bool) -> Option<Story> {
    let mut journals: Vec<&Journal> = journals.iter().collect();
    journals.sort_by(|a, b| (a.head.begun, &a.head.writer).cmp(&(b.head.begun, &b.head.writer)));
    let began = journals.first()?.head.begun;
    let mut lines: Vec<&Line> = journals.iter().flat_map(|journal| &journal.lines).collect();
    lines.sort_by_key(|line| line.at);
    let begun = lines.iter().find_map(|line| match &line.what {
        What::RunBegun { from, target, kind, nodes } => Some((from.clone(), target.clone(), kind.clone(), nodes)),
        _ => None,
    });
    let whole = lines.iter().rev().find_map(|line| if let What::RunDone { whole, .. } = line.what { Some(whole) } else { None });
    let result = match whole {
        _ if outside => Ending::None,
        Some(true) => Ending::Complete,
        Some(false) => Ending::Partial,
        None if now.in_flight => Ending::InFlight,
        None => Ending::Unknown,
    };
    let phases = phases(&journals, now);
    let out_of_service = outages(&lines);
    let mut missing: Vec<String> = journals.iter().flat_map(|journal| gaps(journal, now)).collect();
    missing.extend(unreadable.iter().cloned());
    if !outside {
        let there = |place: &str| phases.iter().any(|phase| phase.place == place);
        match &begun {
            None => missing.push("how the run began: no journal of its preflight is there".to_owned()),
            Some((.., nodes)) if whole.is_some() => {
                let silent = nodes.iter().filter(|node| !there(node));
                missing.extend(silent.map(|node| format!("{node}: no journal of its upgrade is there")));
            }
            Some(_) => {}
        }
        if result == Ending::Unknown {
            missing.push("how the run ended: it is not in flight any more, and no journal tells of its end".to_owned());
        }
    }
    let unbegun = out_of_service.iter().filter(|outage| outage.from.is_none());
    missing.extend(unbegun.map(|outage| format!("{}: since when it had been out of service", outage.node)));
    let ends = journals.iter().filter_map(|journal| journal.end.as_ref().map(|end| end.at));
    Some(Story {
        run: run.to_owned(),
        from: begun.as_ref().and_then(|begun| begun.0.clone()),
        target: begun.as_ref().map(|begun| begun.1.clone()),
        kind: begun.as_ref().map(|begun| begun.2.clone()),
        began,
        until: lines.iter().map(|line| until(line)).chain(ends).max().unwrap_or(began),
        result,
        snapshot: lines.iter().rev().find_map(|line| match &line.what {
            What::Snapshot { path } => Some(path.clone()),
            _ => None,
        }),
        phases,
        out_of_service_seconds: out_of_service.iter().filter_map(|outage| outage.seconds).sum(),
        out_of_service,
        by_hand: by_hand(&journals),
        timeline: timeline(&journals),
        missing,
    })
}

/// When the last of a line was known.
pub(super) fn until(line: &Line) -> Timestamp {
    match &line.what {
        What::Waited { until, .. } | What::Drain { until, .. } => *until,
        What::Step { seconds: Some(seconds), .. } | What::Phase { seconds: Some(seconds), .. } => {
            // A journal is a ConfigMap: whoever may edit it may write any number.
            line.at.checked_add(Duration::from_secs(*seconds)).unwrap_or(Timestamp::MAX)
        }
        _ => line.at,
    }
}

/// When a process was heard of last.
pub(super) fn last(journal: &Journal) -> Timestamp {
    journal.lines.iter().map(until).max().unwrap_or(journal.head.begun)
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).unsigned_abs().as_secs()
}

fn by(head: &Head) -> String {
    head.person.clone().unwrap_or_else(|| head.writer.clone())
}

/// What an end says in a word or two.
pub(super) fn said(end: &End) -> String {
    end.failure.as_ref().map_or_else(|| end.result.clone(), |what| format!("{}: {what}", end.result))
}

fn phases(journals: &[&Journal], now: &Now) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for &journal in journals {
        let Journal { head, lines, end } = journal;
        let row = |place: &str, began, seconds, result: Option<String>| Phase {
            place: place.to_owned(),
            attempt: 0,
            began,
            seconds,
            cut: result.is_none().then(|| Cut::new(&head.writer, last(journal), now)),
            result,
            by: by(head),
            on: head.on.clone(),
        };
        let several = lines.iter().filter_map(|line| match &line.what {
            What::Phase { seconds, .. } => Some((line, *seconds)),
            _ => None,
        });
        let before = phases.len();
        for (line, took) in several {
            let failed = || end.as_ref().map(|end| (seconds(line.at, end.at), said(end)));
            let (took, result) = match took {
                Some(took) => (Some(took), Some("done".to_owned())),
                None => failed().unzip(),
            };
            phases.push(row(&line.place, line.at, took, result));
        }
        if phases.len() == before && !head.place.is_empty() {
            let took = end.as_ref().map(|end| seconds(head.begun, end.at));
            phases.push(row(&head.place, head.begun, took, end.as_ref().map(said)));
        }
    }
    phases.sort_by_key(|phase| phase.began);
    follow(&mut phases);
    for number in 0..phases.len() {
        phases[number].attempt = phases[..=number].iter().filter(|other| other.place == phases[number].place).count();
    }
    phases
}

/// From cordon to uncordon, whichever processes did them.
fn outages(lines: &[&Line]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for line in lines {
        let open = outages.iter_mut().find(|outage| outage.node == line.place && outage.to.is_none());
        match (&line.what, open) {
            (What::OutOfService, None) => {
                outages.push(Outage { node: line.place.clone(), from: Some(line.at), to: None, seconds: None });
            }
            (What::InService, Some(outage)) => {
                outage.to = Some(line.at);
                outage.seconds = outage.from.map(|from| seconds(from, line.at));
            }
            (What::InService, None) => {
                outages.push(Outage { node: line.place.clone(), from: None, to: Some(line.at), seconds: None });
            }
            _ => {}
        }
    }
    outages
}

fn by_hand(journals: &[&Journal]) -> Vec<ByHand> {
    let of = |journal: &&Journal| {
        Some(ByHand {
            at: journal.head.begun,
            who: journal.head.person.clone()?,
            command: journal.head.command.clone(),
            result: journal.end.as_ref().map(said),
        })
    };
    journals.iter().filter_map(of).collect()
}

/// What a journal does not say.
fn gaps(journal: &Journal, now: &Now) -> Vec<String> {
    let Journal { head, lines, end } = journal;
    let mut gaps = Vec::new();
    if head.dropped > 0 {
        gaps.push(format!("{}: {} of its older lines, dropped to make room", by(head), head.dropped));
    }
    if end.is_none() {
        let last = lines.iter().max_by_key(|line| until(line));
        let last = last.map_or(String::new(), |line| format!(" after {} ({})", clock(until(line)), sentence(&line.what)));
        let end = if now.works(&head.writer) { "it is at work" } else { "it was killed or cut off" };
        gaps.push(format!("{}: what it did{last}: {end}", by(head)));
    }
    gaps
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

fn timeline(journals: &[&Journal]) -> Vec<TimelineLine> {
    let mut told = Vec::new();
    for &Journal { head, lines, end } in journals {
        let mut tell =
            |at, place: &str, text: String, detail| told.push(TimelineLine { at, place: place.to_owned(), text, detail });
        let who = match (&head.person, &head.on) {
            (Some(person), _) => format!("{person} types: {}", head.command),
            (None, Some(on)) => format!("{} begins on {on}", head.writer),
            (None, None) => format!("{} begins", head.writer),
        };
        tell(head.begun, &head.place, who, Vec::new());
        for line in lines {
            tell(line.at, &line.place, sentence(&line.what), Vec::new());
        }
        if let Some(end) = end {
            let mut detail = end.detail.clone();
            detail.extend((!end.state.is_empty()).then(|| format!("State: {}", end.state)));
            detail.extend(end.next.iter().map(|next| format!("Next: {next}")));
            let place = if end.place.is_empty() { &head.place } else { &end.place };
            tell(end.at, place, format!("{} ends, {}", by(head), said(end)), detail);
        }
    }
    told.sort_by_key(|told| told.at);
    told
}

fn sentence(what: &What) -> String {
    let took = |seconds: &Option<u64>| match seconds {
        Some(0) => String::new(),
        Some(seconds) => format!(", {}", span(Duration::from_secs(*seconds))),
        None => ", not ended".to_owned(),
    };
    match what {
        What::RunBegun { from, target, kind, .. } => {
            format!("the run begins: {} → {target} ({kind})", from.as_deref().unwrap_or("?"))
        }
        What::RunDone { text, .. } => text.clone(),
        What::Snapshot { path } => format!("etcd snapshot {path}"),
        What::Phase { phase, seconds } => format!("{phase}{}", took(seconds)),
        What::Step { step, seconds } => format!("{step}{}", took(seconds)),
        What::Skipped { step, why } => format!("{step}: not needed, {why}"),
        What::Waited { on, until, .. } => format!("waits for {on}, until {}", clock(*until)),
        What::Drain { left, total, held, .. } if held.is_empty() => format!("{} of {total} pods gone", total - left.min(total)),
        What::Drain { left, total, held, until } => {
            format!("{left} of {total} pods left, until {} held: {}", clock(*until), held.join(", "))
        }
        What::OutOfService => "out of service".to_owned(),
        What::InService => "in service again".to_owned(),
        What::Note { text } => text.clone(),
        What::Warning { text } => format!("warning: {text}"),
    }
}

//! The record of a run: its marks, annotations on our namespace, as this build writes and reads them: what each holds is known in this file alone.
//!
//! Each part is an annotation of its own and not all of them one text, since each has its writers (a person, the watch, the chain), and an
//! API server's policy can tell who wrote what by the key alone. `in-flight`, `target` and `snapshot-path` are what people and dashboards
//! look at, under the names that they have had since before this program.
//!
//! The program may be upgraded while a run is on. Then a process of one build meets the record of another: whoever decides refuses one of a
//! version that it does not know, and says what to finish first; a view shows what it can; a halt and `clear-state` do not ask.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::approved::Approved;
use super::baseline::Baseline;
use super::found::{Found, Seen};
use super::halt::{Halt, Skip};
use super::held_drain::HeldDrain;
use super::paused::PausedPools;
use super::reminded::Reminded;
use super::resting::Resting;
use super::span::stamp;
use super::taken_back::TakenBack;
use super::version::Version;
use crate::failure::{Advice, Cause};
use crate::names::{Mark, Place, Writer};
use crate::words::{NodeName, RunId, command};

/// The version of a run's record that this build writes. It is raised when a mark changes its meaning, or when one comes that a build before must
/// not pass over: the second came with pools that are paused and canaries that go back. (One that it may: it drains a worker that this build has
/// left out, and waits as it always did.) A record without a version is of the builds that wrote none, and is of the first.
pub const VERSION: u32 = 2;

/// The first that this build reads: what such a record has means the same, and what has come since it has not.
const OLDEST: u32 = 1;

/// The namespace's annotations. `in_flight` alone says that a run is on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunMarks {
    pub in_flight: bool,
    /// The record's version, where this build does not read it: another build began the run.
    pub other_version: Option<String>,
    /// Its version is lower than [`VERSION`]: the run's Jobs are of a build before, and pass over what has come since.
    pub of_build_before: bool,
    pub run_id: Option<RunId>,
    pub target: Option<Version>,
    pub started: Option<Timestamp>,
    /// Which image the run's Jobs run, to its end.
    pub image: Option<String>,
    pub snapshot_path: Option<String>,
    /// Preflight of this run has ended well.
    pub prepared: bool,
    /// Steps that a person skipped by force.
    pub skipped: Vec<Skip>,
    /// Workers that the run leaves out by itself, as the setting `undrainable` wants it.
    pub left_out: Vec<Skip>,
    /// What was well when the run was claimed; None: a build before this one began it, or what stands there is not ours.
    pub baseline: Option<Baseline>,
    /// Drains that did not end: of the node that was tried last, in waves of each.
    pub held_drains: Vec<HeldDrain>,
    /// Who performs the run in a process of their own, after Jobs had begun it.
    pub local: Option<String>,
    /// What the watch was about to do when it wrote this.
    pub taking_up: Option<String>,
    /// UID of a dead Job whose successor the watch has created.
    pub handed_on: Option<String>,
    /// The run rests until a window opens.
    pub resting: Option<Resting>,
    /// A canary that a run takes back, or has.
    pub taken_back: Option<TakenBack>,
    /// A person's word that a run need not wait for a window.
    pub outside_windows: Option<ByWord>,
    /// The one worker that a run is for.
    pub only: Option<Only>,
    /// As it stands there.
    pub acknowledged: Option<String>,
    /// Of which failures Slack was told last, as [`crate::plan::view::news::News`] writes it: in waves of one for each node.
    pub told: Vec<String>,
    /// Of which hold the watch has reminded people, and when.
    pub reminded: Option<Reminded>,
    pub halted: Option<Halt>,
    /// Pools that have no turns until a person lets them.
    pub paused_pools: PausedPools,
    /// Where a run was to go that is not claimed, for it has to wait.
    pub deferred: Option<Deferred>,
    /// The release that a run may begin to, by a person's word.
    pub approved: Option<Approved>,
    /// What detection has told people of.
    pub found: Found,
    /// Since when detection has known releases.
    pub seen: Seen,
    /// Annotations with something in them that this program never writes there, as if they were not there. Views show them; whoever decides
    /// refuses, and whoever ends a run or stops it goes on.
    pub garbled: Vec<Garbled>,
}

/// An annotation of the namespace that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbled {
    /// The whole key.
    pub key: String,
    /// As it stands there.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// Where a run was to go that no gate let begin, as the annotation carries it: `1.34.7 5f3a21bc 2026-11-22T12:05:00Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    pub target: Version,
    /// The id that it would have had, and has when it is tried again: so its tries are told from a new deferral.
    pub run: RunId,
    /// When it was deferred at first.
    pub since: Timestamp,
}

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.target, self.run, stamp(self.since))
    }
}

impl FromStr for Deferred {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let [target, run, since] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
            Some(Deferred { target: target.parse().ok()?, run: run.parse().ok()?, since: since.parse().ok()? })
        };
        let read = read().filter(|read| !read.run.is_by_hand() && read.to_string() == text);
        read.ok_or_else(|| format!("{text:?} is no deferred run, which is a release, a run id and a time"))
    }
}

/// Which run it is for and when a person said so, as the annotation carries it: `5f3a21bc 2026-11-22T12:05:00Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByWord {
    pub run: RunId,
    pub at: Timestamp,
}

impl fmt::Display for ByWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.run, stamp(self.at))
    }
}

impl FromStr for ByWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (run, at) = text.split_once(' ')?;
            Some(ByWord { run: run.parse().ok()?, at: at.parse().ok()? })
        };
        let read = read().filter(|read| !read.run.is_by_hand() && read.to_string() == text);
        read.ok_or_else(|| format!("{text:?} is no run id and a time"))
    }
}

/// The worker that a run is for and the run, as the annotation carries it: `5f3a21bc k8s-node4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    pub run: RunId,
    pub node: NodeName,
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.run, self.node)
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (run, node) = text.split_once(' ')?;
            Some(Only { run: run.parse().ok()?, node: node.parse().ok()? })
        };
        let read = read().filter(|read| !read.run.is_by_hand());
        read.ok_or_else(|| format!("{text:?} is no run id and a node"))
    }
}

/// One mark, to be written or to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    mark: Mark,
    text: Option<String>,
}

impl Edit {
    /// Writes it.
    pub fn set(mark: Mark, text: impl Into<String>) -> Self {
        Edit { mark, text: Some(text.into()) }
    }

    /// Removes it; one that is not there is no error.
    pub fn remove(mark: Mark) -> Self {
        Edit { mark, text: None }
    }

    /// The run's preflight has ended well. It names the run: another's is none.
    pub fn prepared(run: &RunId) -> Self {
        Self::set(Mark::Prepared, run.to_string())
    }

    /// These steps were skipped by force.
    pub fn skipped(skips: &[Skip]) -> Self {
        Self::set(Mark::Skipped, Skip::write(skips))
    }

    /// Written, or removed where there is nothing to say.
    pub fn set_or_remove(mark: Mark, text: Option<String>) -> Self {
        Edit { mark, text }
    }

    /// These workers are left out.
    pub fn left_out(skips: &[Skip]) -> Self {
        Self::set(Mark::LeftOut, Skip::write(skips))
    }

    /// What was well when the run was claimed, where the claim has not said so.
    ///
    /// # Errors
    /// A hold: there is no room for it.
    pub fn baseline(baseline: &Baseline) -> Result<Self, Cause> {
        Ok(Self::set(Mark::Baseline, baseline.write()?))
    }

    /// The run rests.
    pub fn resting(resting: &Resting) -> Self {
        Self::set(Mark::Resting, resting.write())
    }

    /// This run need not wait for a window.
    pub fn outside_windows(run: &RunId, at: Timestamp) -> Self {
        Self::set(Mark::OutsideWindows, ByWord { run: run.clone(), at }.to_string())
    }

    /// This run is for that worker.
    pub fn only(run: &RunId, node: &NodeName) -> Self {
        Self::set(Mark::Only, Only { run: run.clone(), node: node.clone() }.to_string())
    }

    /// A canary goes back. A build before would pass over that: its record is this build's from then on.
    pub fn taken_back(back: &TakenBack) -> [Self; 2] {
        [Self::set(Mark::TakenBack, back.to_string()), Self::version()]
    }

    fn version() -> Self {
        Self::set(Mark::RecordVersion, VERSION.to_string())
    }

    /// Drains that did not end.
    pub fn held_drains(held: &[HeldDrain]) -> Self {
        Self::set(Mark::HeldDrain, HeldDrain::write(held))
    }

    /// Slack was told of these failures; of none: nothing is left of what it was told.
    pub fn told(told: &[String]) -> Self {
        Self::set_or_remove(Mark::Told, (!told.is_empty()).then(|| told.join(", ")))
    }

    /// A run to that release may begin.
    pub fn approved(approved: &Approved) -> Self {
        Self::set(Mark::Approved, approved.to_string())
    }

    /// What people know of what detection found.
    pub fn found(found: &Found) -> Self {
        Self::set_or_remove(Mark::Found, (!found.is_empty()).then(|| found.write()))
    }

    /// Since when detection has known what is there.
    pub fn seen(seen: &Seen) -> Self {
        Self::set_or_remove(Mark::Seen, Some(seen.write()).filter(|text| !text.is_empty()))
    }

    /// What people know of a hold.
    pub fn reminded(reminded: &Reminded) -> Self {
        Self::set(Mark::Reminded, reminded.write())
    }

    /// A person lets it be tried again: how it ends is news, as is what holds it then, drains are counted from now on, and workers that were
    /// left out have their turn. So has a canary that is back; one that is on its way goes on with that.
    pub fn tried_anew(canary_is_back: bool) -> Vec<Self> {
        let back = canary_is_back.then_some(Mark::TakenBack);
        [Mark::Told, Mark::Reminded, Mark::HeldDrain, Mark::LeftOut].into_iter().chain(back).map(Self::remove).collect()
    }

    /// The halt that stands; None: it is lifted.
    pub fn halted(halt: Option<&Halt>) -> Self {
        Self::set_or_remove(Mark::Halted, halt.map(Halt::write))
    }

    /// These pools have no turns.
    pub fn paused_pools(pools: &PausedPools) -> Self {
        Self::set_or_remove(Mark::PausedPools, (!pools.is_empty()).then(|| pools.to_string()))
    }

    /// As the annotations of a merge patch. `prefix` is the setting `annotation-prefix`.
    pub fn annotations(edits: &[Edit], prefix: &str) -> Map<String, Value> {
        edits.iter().map(|edit| (edit.mark.key(prefix), edit.text.as_deref().map_or(Value::Null, Value::from))).collect()
    }
}

/// What begins a run: its own marks, and nothing left of one before, but what a person has said for it. `image` is None where no Job begins it;
/// `baseline` is as [`Baseline::write`] has it.
pub fn begun(run: &RunId, target: Version, at: Timestamp, image: Option<String>, baseline: Option<String>) -> Vec<Edit> {
    let own = [
        Edit::set(Mark::InFlight, "true"),
        Edit::version(),
        Edit::set(Mark::RunId, run.to_string()),
        Edit::set(Mark::Target, target.to_string()),
        Edit::set(Mark::Started, stamp(at)),
        Edit::set_or_remove(Mark::Image, image),
        Edit::set_or_remove(Mark::Baseline, baseline),
    ];
    let said = [Place::Run(Writer::PersonBefore), Place::Run(Writer::PersonFor)];
    let kept = |mark: &Mark| said.contains(&mark.place()) || own.iter().any(|edit| edit.mark == *mark);
    let gone: Vec<Edit> = Mark::of_a_run().filter(|mark| !kept(mark)).map(Edit::remove).collect();
    gone.into_iter().chain(own).collect()
}

/// What ends a run: nothing is left of it.
pub fn ended() -> Vec<Edit> {
    Mark::of_a_run().filter(|mark| mark.place() != Place::Run(Writer::PersonFor)).map(Edit::remove).collect()
}

/// One mark out of annotations; an empty one is none.
pub fn mark(annotations: &BTreeMap<String, String>, prefix: &str, mark: Mark) -> Option<String> {
    annotations.get(&mark.key(prefix)).filter(|value| !value.is_empty()).cloned()
}

impl RunMarks {
    /// What is left of them once the run has ended: what is said of no run, or of another.
    pub fn ended(&self) -> Self {
        let RunMarks { halted, paused_pools, approved, found, seen, .. } = self.clone();
        RunMarks { halted, paused_pools, approved, found, seen, ..RunMarks::default() }
    }

    /// A run to this release may begin now, by a person's word.
    pub fn approval(&self, now: Timestamp) -> Option<&Approved> {
        self.approved.as_ref().filter(|approved| approved.holds(now))
    }

    /// The release for which a person's approval is wanted, above what runs. One that is approved is asked for no more.
    pub fn asks(&self, running: Option<Version>) -> Option<Version> {
        let approved = self.approved.as_ref().map(|approved| approved.release);
        let asks = self.found.asks.filter(|_| !self.in_flight);
        asks.filter(|release| running.is_none_or(|running| running < *release) && approved != Some(*release))
    }

    /// Out of the annotations of our namespace. `prefix` is the setting `annotation-prefix`.
    pub fn read(annotations: &BTreeMap<String, String>, prefix: &str) -> Self {
        let mark = |mark: Mark| self::mark(annotations, prefix, mark);
        let mut garbled = Vec::new();
        let run_id = parsed(annotations, prefix, Mark::RunId, &mut garbled).filter(|run: &RunId| {
            // It stands for no run, and so never for the one in flight.
            if run.is_by_hand() {
                let key = Mark::RunId.key(prefix);
                garbled.push(Garbled { key, why: format!("{run:?} is the id of no run"), text: run.to_string() });
            }
            !run.is_by_hand()
        });
        let in_flight = mark(Mark::InFlight).is_some();
        let version = mark(Mark::RecordVersion).unwrap_or_else(|| OLDEST.to_string());
        let is_before = (OLDEST..VERSION).any(|before| version == before.to_string());
        RunMarks {
            in_flight,
            of_build_before: in_flight && is_before,
            other_version: Some(version).filter(|version| !is_before && *version != VERSION.to_string()),
            target: parsed(annotations, prefix, Mark::Target, &mut garbled),
            started: parsed(annotations, prefix, Mark::Started, &mut garbled),
            image: mark(Mark::Image),
            snapshot_path: mark(Mark::SnapshotPath),
            prepared: run_id.is_some() && mark(Mark::Prepared).as_deref() == run_id.as_deref(),
            skipped: mark(Mark::Skipped).map(|text| Skip::read(&text)).unwrap_or_default(),
            left_out: mark(Mark::LeftOut).map(|text| Skip::read(&text)).unwrap_or_default(),
            baseline: mark(Mark::Baseline).and_then(|text| Baseline::read(&text)),
            held_drains: mark(Mark::HeldDrain).map(|text| HeldDrain::read(&text)).unwrap_or_default(),
            local: mark(Mark::Local),
            taking_up: mark(Mark::TakingUp),
            handed_on: mark(Mark::HandedOn),
            resting: mark(Mark::Resting).and_then(|text| Resting::read(&text)),
            taken_back: parsed(annotations, prefix, Mark::TakenBack, &mut garbled),
            outside_windows: parsed(annotations, prefix, Mark::OutsideWindows, &mut garbled),
            only: parsed(annotations, prefix, Mark::Only, &mut garbled),
            acknowledged: mark(Mark::Acknowledged),
            told: mark(Mark::Told).map(|text| text.split(", ").map(str::to_owned).collect()).unwrap_or_default(),
            reminded: mark(Mark::Reminded).and_then(|text| Reminded::read(&text)),
            halted: mark(Mark::Halted).map(|text| Halt::read(&text)),
            paused_pools: parsed(annotations, prefix, Mark::PausedPools, &mut garbled).unwrap_or_default(),
            deferred: parsed(annotations, prefix, Mark::Deferred, &mut garbled),
            approved: parsed(annotations, prefix, Mark::Approved, &mut garbled),
            found: mark(Mark::Found).and_then(|text| Found::read(&text)).unwrap_or_default(),
            seen: mark(Mark::Seen).map(|text| Seen::read(&text)).unwrap_or_default(),
            run_id,
            garbled,
        }
    }

    /// Drains of this node that did not end.
    pub fn held_drain_of(&self, node: &str) -> Option<&HeldDrain> {
        self.held_drains.iter().find(|held| held.node == node && self.in_flight)
    }

    /// A person has said that this run need not wait for a window.
    pub fn is_outside_windows(&self, run: &RunId) -> bool {
        self.outside_windows.as_ref().is_some_and(|word| word.run == *run)
    }

    /// The worker after which the run in flight is to stop.
    pub fn only(&self) -> Option<&str> {
        let only = self.only.as_ref().filter(|only| self.is_of(&only.run))?;
        Some(&only.node)
    }

    /// Everything that the run goes past, whoever said so.
    pub fn passed_over(&self) -> impl Iterator<Item = &Skip> {
        self.skipped.iter().chain(&self.left_out)
    }

    /// Nothing in them but what this build writes.
    ///
    /// # Errors
    /// Refused: another build's record, with what to finish first; or names each annotation that is not ours, and how to be rid of it.
    pub fn whole(&self, namespace: &str) -> Result<(), Cause> {
        if let Some(version) = self.other_version.as_ref().filter(|_| self.in_flight) {
            return Err(self.unknown_version(namespace, version));
        }
        let Some(first) = self.garbled.first() else { return Ok(()) };
        let lines = self.garbled.iter().skip(1).map(|garbled| format!("annotation {}: {}", garbled.key, garbled.why));
        let cause =
            Cause::refused(format!("annotation {} on namespace {namespace} is not this program's: {}", first.key, first.why));
        let forget = |garbled: &Garbled| command!("kubectl annotate namespace {} {}-", namespace, garbled.key);
        let cause =
            cause.detail(lines).next("k8s-upgrade clear-state      # gives the run up; or, where a person knows what it was:");
        Err(self.garbled.iter().fold(cause, |cause, garbled| cause.next(forget(garbled))))
    }

    fn unknown_version(&self, namespace: &str, version: &str) -> Cause {
        let run = self.run_id.as_ref().map_or("the run in flight".to_owned(), |run| format!("run {run}"));
        let with = self.image.as_ref().map_or(String::new(), |image| format!(" (its Jobs run {image})"));
        let why = format!(
            "{run} has a record of version {version}, written by another build{with}; this build reads versions {OLDEST} to {VERSION}"
        );
        let cause =
            Cause::refused(why).detail(["its own Jobs go on with it: let them finish first, or finish it with that build"]);
        let cause = cause.next(Advice::status()).next(command!("kubectl -n {} get jobs -o wide", namespace));
        cause.next("k8s-upgrade clear-state      # gives the run up")
    }

    /// The run in flight, for what belongs to it alone.
    ///
    /// # Errors
    /// Refused: something is marked as in flight that is no run of this program.
    pub fn run(&self) -> Result<&RunId, Cause> {
        let none = || {
            Cause::refused("the run in flight has no run id: it was not begun by this program")
                .next("k8s-upgrade clear-state      # gives it up")
        };
        self.run_id.as_ref().ok_or_else(none)
    }

    /// The canary by which the run in flight stands, for it takes it back or has.
    pub fn stands_by(&self) -> Option<&TakenBack> {
        self.taken_back.as_ref().filter(|back| self.is_of(&back.run))
    }

    /// Both tell of the same run.
    pub fn same_run(&self, other: &RunMarks) -> bool {
        let of = |marks: &RunMarks| (marks.in_flight, marks.run_id.clone(), marks.other_version.clone(), marks.garbled.clone());
        of(self) == of(other)
    }

    /// No run is on, and nothing stands there that nobody can read.
    pub fn nothing(&self) -> bool {
        self.same_run(&RunMarks::default())
    }

    /// The run in flight is this one.
    pub fn is_of(&self, run: &RunId) -> bool {
        self.in_flight && self.run_id.as_ref() == Some(run)
    }
}

/// A mark of the namespace, if it is what we write there; what else it is goes to the others that are not.
fn parsed<T: FromStr<Err: Display>>(
    annotations: &BTreeMap<String, String>,
    prefix: &str,
    mark: Mark,
    garbled: &mut Vec<Garbled>,
) -> Option<T> {
    let text = self::mark(annotations, prefix, mark)?;
    match text.parse() {
        Ok(read) => Some(read),
        Err(error) => {
            garbled.push(Garbled { key: mark.key(prefix), why: error.to_string(), text });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PREFIX: &str = "example.com";

    fn written(edits: &[Edit]) -> BTreeMap<String, String> {
        let set = Edit::annotations(edits, PREFIX).into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
        set.collect()
    }

    fn run() -> RunId {
        "0badcafe".parse().unwrap()
    }

    /// A mark that is written and read by nobody would be forgotten by `status`, and by whoever decides.
    #[test]
    fn every_mark_of_a_run_is_read() {
        let id = written(&[Edit::set(Mark::RunId, "0badcafe")]);
        for mark in Mark::of_a_run() {
            let text = match mark {
                Mark::Prepared => "0badcafe",
                Mark::HeldDrain => r#"{"node":"n","tries":1,"seconds":1,"last":"2026-11-22T12:00:00Z"}"#,
                Mark::Baseline => r#"{"at":"2026-11-22T12:00:00Z","ill":[],"whole":""}"#,
                Mark::Resting => r#"{"node":"n","since":"2026-11-22T12:00:00Z","until":null,"why":"w"}"#,
                Mark::Reminded => r#"{"run":"0badcafe","at":"worker/n","since":"2026-11-22T12:00:00Z","times":0,"last":null}"#,
                _ => "something",
            };
            let mut annotations = if mark == Mark::RunId { BTreeMap::new() } else { id.clone() };
            let without = RunMarks::read(&annotations, PREFIX);
            annotations.insert(mark.key(PREFIX), text.to_owned());
            assert_ne!(RunMarks::read(&annotations, PREFIX), without, "{mark:?}");
        }
    }

    /// Of 5,000 nodes with the longest names, all that a run may have to say of them fits beside each other: 256 KiB, and as much again is left for
    /// whatever others write there.
    #[test]
    fn marks_have_room_on_the_namespace_however_many_nodes_there_are() {
        let node = |i: usize| format!("{i:05}{}", "n".repeat(58));
        let at = Timestamp::UNIX_EPOCH;
        let held = |i| HeldDrain { node: node(i), tries: u32::MAX, seconds: u64::MAX, last: at };
        let held = (0..5000).fold(Vec::new(), |all, i| held(i).beside(&all));
        let told: Vec<String> = (0..super::super::waves::MOST).map(|i| format!("refused {}", node(i))).collect();
        let edits = [
            Edit::held_drains(&held),
            Edit::told(&told),
            Edit::set(Mark::LeftOut, "x".repeat(Skip::MOST_BYTES)),
            Edit::set(Mark::Baseline, "x".repeat(crate::plan::model::baseline::MOST_BYTES)),
        ];
        let bytes: usize = written(&edits).iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes < 192 << 10, "{bytes}");
        assert_eq!(held.len(), 50);
    }

    #[test]
    fn a_run_begins_with_its_own_marks_alone() {
        // What a person said of another run stays, and says of which.
        let said = |mark| match mark {
            Mark::OutsideWindows => "5f3a21bc 2026-11-22T12:05:00Z",
            Mark::Only => "5f3a21bc k8s-node4",
            Mark::Approved => "1.35.1 5f3a21bc 2026-11-22T12:05:00Z 2026-12-06T12:05:00Z ann",
            _ => "before",
        };
        let all: BTreeMap<String, String> = Mark::of_a_run().map(|mark| (mark.key(PREFIX), said(mark).to_owned())).collect();
        let mut after = all.clone();
        for (key, value) in
            Edit::annotations(&begun(&run(), "1.34.7".parse().unwrap(), Timestamp::UNIX_EPOCH, None, None), PREFIX)
        {
            match value.as_str() {
                Some(text) => after.insert(key, text.to_owned()),
                None => after.remove(&key),
            };
        }
        let marks = RunMarks::read(&after, PREFIX);
        let own = RunMarks {
            in_flight: true,
            run_id: Some(run()),
            target: Some("1.34.7".parse().unwrap()),
            started: Some(Timestamp::UNIX_EPOCH),
            acknowledged: Some("before".to_owned()),
            outside_windows: Some(said(Mark::OutsideWindows).parse().unwrap()),
            only: Some(said(Mark::Only).parse().unwrap()),
            approved: Some(said(Mark::Approved).parse().unwrap()),
            ..RunMarks::default()
        };
        assert_eq!(marks, own);
        assert!(marks.whole("k8s-upgrade").is_ok());
        let mut keys = all.into_keys().filter(|key| *key != Mark::Approved.key(PREFIX));
        let ended = Edit::annotations(&ended(), PREFIX);
        assert!(keys.all(|key| ended.get(&key) == Some(&Value::Null)), "{ended:?}");
    }

    #[test]
    fn a_record_of_another_version_is_refused_and_shown() {
        let mut edits = begun(&run(), "1.34.7".parse().unwrap(), Timestamp::UNIX_EPOCH, Some("here/k8s-upgrade:b".into()), None);
        edits.push(Edit::set(Mark::RecordVersion, "3"));
        let marks = RunMarks::read(&written(&edits), PREFIX);
        assert_eq!(marks.target, Some("1.34.7".parse().unwrap()));
        let cause = marks.whole("k8s-upgrade").unwrap_err();
        assert_eq!(
            cause.what,
            "run 0badcafe has a record of version 3, written by another build (its Jobs run here/k8s-upgrade:b); this build reads versions 1 to 2"
        );
        for other in ["0", "01", "2 ", "two"] {
            edits.push(Edit::set(Mark::RecordVersion, other));
            assert!(RunMarks::read(&written(&edits), PREFIX).whole("k8s-upgrade").is_err(), "{other:?}");
        }
        // The first builds wrote none.
        edits.push(Edit::set(Mark::RecordVersion, "1"));
        let without: Vec<Edit> = edits.iter().filter(|edit| edit.mark != Mark::RecordVersion).cloned().collect();
        for before in [edits, without] {
            let marks = RunMarks::read(&written(&before), PREFIX);
            assert!(marks.of_build_before && marks.whole("k8s-upgrade").is_ok());
        }
    }

    #[test]
    fn a_deferred_run_is_read_as_it_was_written_and_nothing_else_is() {
        let text = "1.34.7 5f3a21bc 2026-11-22T12:05:00Z";
        assert_eq!(text.parse::<Deferred>().unwrap().to_string(), text);
        for other in [
            "",
            "true",
            "1.34.7",
            "1.34.7 5f3a21bc",
            "1.34.7 5f3a21bc yesterday",
            "1.34.7 by-hand 2026-11-22T12:05:00Z",
            "1.34 5f3a21bc 2026-11-22T12:05:00Z",
            "1.34.7  5f3a21bc 2026-11-22T12:05:00Z",
            "1.34.7 5f3a21bc 2026-11-22T12:05:00Z ",
            "1.34.7 5f3a21bc 2026-11-22T12:05:00Z 1",
            "1.34.7 5f3a21bc 2026-11-22T14:05:00+02:00",
        ] {
            assert!(other.parse::<Deferred>().is_err(), "{other:?}");
        }
    }
}

//! How long the turns of a run will take, out of what they took before: each node's own times, else those of its kind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::timeline::{Kind, Lane, Span, Timeline};
use crate::plan::model::facts::Phase;

/// Earlier runs that are asked, the newest first: what was long ago was another cluster.
pub const RUNS: usize = 5;

/// What one turn took, or will take. What held it does not count: nobody can foresee that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// From its Job's beginning to its end.
    pub all: Duration,
    /// The node took no new pods.
    pub out: Duration,
    /// How much of it each kind of work was.
    pub work: BTreeMap<Kind, Duration>,
}

impl Took {
    fn of(lane: &Lane) -> Option<Took> {
        // What preflight has done there is preflight's.
        let own = |span: &&Span| lane.processes.iter().any(|process| process.covers(span.time));
        let mut work = BTreeMap::new();
        for span in lane.spans.iter().filter(own).filter(|span| !span.kind.holds() && !span.open) {
            *work.entry(span.kind).or_insert(Duration::ZERO) += span.time.lasted();
        }
        (!lane.processes.is_empty()).then(|| Took { all: lane.worked(), out: lane.out(), work })
    }
}

/// What the turns of earlier runs took.
#[derive(Clone, Debug, Default)]
pub struct Times {
    of_place: BTreeMap<String, Took>,
    of_phase: BTreeMap<&'static str, Vec<Took>>,
}

impl Times {
    /// Out of the pictures of runs that ended well, the newest first. `phase`: of which phase a lane is; None: of a node that is gone.
    pub fn of(runs: &[Timeline], phase: impl Fn(&str) -> Option<Phase>) -> Times {
        let mut times = Times::default();
        for lane in runs.iter().take(RUNS).flat_map(|run| &run.lanes) {
            let (Some(took), Some(phase)) = (Took::of(lane), phase(&lane.place)) else { continue };
            times.of_phase.entry(phase.word()).or_default().push(took.clone());
            times.of_place.entry(lane.place.clone()).or_insert(took);
        }
        times
    }

    /// One more turn of this phase took so long.
    pub fn add(&mut self, phase: Phase, all: Duration) {
        self.of_phase.entry(phase.word()).or_default().push(Took { all, ..Took::default() });
    }

    /// Without the names of the nodes, which are another cluster's.
    pub fn of_phases_alone(self) -> Times {
        Times { of_place: BTreeMap::new(), ..self }
    }

    /// Nothing is on record.
    pub fn is_empty(&self) -> bool {
        self.of_phase.is_empty()
    }

    /// What this node's turn took last; else the one of its phase in the middle. None: no run had one.
    pub fn of_turn(&self, place: &str, phase: Phase) -> Option<&Took> {
        self.of_place.get(place).or_else(|| {
            let mut all: Vec<&Took> = self.of_phase.get(phase.word())?.iter().collect();
            all.sort_by_key(|took| took.all);
            all.get(all.len() / 2).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::timeline::Stretch;
    use super::*;

    fn lane(place: &str, soak: i64) -> Lane {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let span = |kind, from, to| Span { kind, time: Stretch::new(at(from), at(to)), open: false, text: String::new() };
        Lane {
            place: place.to_owned(),
            spans: vec![span(Kind::Hold, 0, 1000), span(Kind::Drain, 1000, 1030), span(Kind::Soak, 1030, 1030 + soak)],
            processes: vec![Stretch::new(at(0), at(1030 + soak))],
            out_of_service: vec![Stretch::new(at(1000), at(1030))],
        }
    }

    fn run(lanes: Vec<Lane>) -> Timeline {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Timeline { began: at, until: at, lanes, api_away: Vec::new(), left_out: 0 }
    }

    #[test]
    fn a_node_has_its_own_newest_times_and_a_new_one_those_of_its_kind() {
        let runs = [run(vec![lane("a", 60), lane("b", 120), lane("gone", 900)]), run(vec![lane("a", 600), lane("c", 300)])];
        let times = Times::of(&runs, |place| (place != "gone").then_some(Phase::Worker));
        let of = |place: &str| times.of_turn(place, Phase::Worker).unwrap();
        // What held it is not foreseen.
        assert_eq!((of("a").all.as_secs(), of("a").out.as_secs()), (90, 30));
        assert_eq!((of("a").work[&Kind::Soak].as_secs(), of("a").work.contains_key(&Kind::Hold)), (60, false));
        assert_eq!((of("c").all.as_secs(), of("new").all.as_secs()), (330, 330));
        assert_eq!(times.of_turn("a master", Phase::Master), None);
        assert!(Times::of(&[], |_| None).is_empty());
    }

    #[test]
    fn a_turn_that_was_long_once_is_not_expected_again() {
        let mut times = Times::default();
        [600, 7200, 660].iter().for_each(|seconds| times.add(Phase::Worker, Duration::from_secs(*seconds)));
        assert_eq!(times.of_turn("any", Phase::Worker).unwrap().all.as_secs(), 660);
        assert_eq!(times.of_turn("any", Phase::Master), None);
    }
}

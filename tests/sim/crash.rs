//! The crash matrix: a run is killed before and after every call that changes something, and at a sample of reads; from each of these states
//! its Job's retry or the orphan watch must bring the cluster to the same end.
//!
//! One run is let through whole, and the world is cloned at each point; only what follows is run anew.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::{Call, Fate, Hook, Scenario, State};

use super::rules::Observer;
use super::world::{self, amiss, begin, cordoned_by_people, jobs, quick, tail, to_the_end};

/// One read in this many is a point, too.
const READS: u64 = 40;

struct Point {
    what: String,
    state: State,
}

#[derive(Default)]
struct Recorder {
    points: Arc<Mutex<Vec<Point>>>,
    reads: u64,
}

impl Recorder {
    fn record(&self, when: &str, state: &State, call: &Call) {
        let what = format!("{when} {}: {}", call.who, call.what);
        self.points.lock().unwrap().push(Point { what, state: state.clone() });
    }
}

impl Hook for Recorder {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if call.changes {
            self.record("before", state, call);
        } else {
            self.reads += 1;
            if self.reads.is_multiple_of(READS) {
                self.record("at the read", state, call);
            }
        }
        Fate::Go
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        if call.changes {
            self.record("after", state, call);
        }
        Fate::Go
    }
}

/// From one point on: everybody is killed, time goes on.
fn from(point: &Point, target: &str, cordoned: &BTreeSet<String>) -> Result<(), String> {
    let mut state = point.state.clone();
    state.tell(format_args!("=== killed {}", point.what));
    state.kill_programs();
    let (mut observer, broken) = Observer::new(&state, None);
    observer.cordoned.clone_from(cordoned);
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, target, cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "killed {}\n  {}\n--- Jobs\n{}\n--- the end of the history\n{}",
        point.what,
        wrong.join("\n  "),
        jobs(&end),
        tail(&end, 60)
    ))
}

pub fn matrix(name: &str, scenario: Scenario) {
    let target = scenario.target.to_string();
    let state = begin(&quick(scenario));
    let cordoned = cordoned_by_people(&state);
    let recorder = Recorder::default();
    let points = recorder.points.clone();
    let (observer, broken) = Observer::new(&state, Some(Box::new(recorder)));
    let begun = world::now(&state);
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, &target, &cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    assert!(
        wrong.is_empty(),
        "{name}, undisturbed:\n  {}\n--- Jobs\n{}\n--- history\n{}",
        wrong.join("\n  "),
        jobs(&end),
        tail(&end, 80)
    );

    let points = std::mem::take(&mut *points.lock().unwrap());
    let changes = usize::try_from(end.tally.changes).unwrap();
    let at_changes = points.iter().filter(|point| !point.what.starts_with("at the read")).count();
    assert_eq!(at_changes, 2 * changes, "a point on both sides of every change that the twin counted");

    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<(usize, String)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, point)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    points.get(index).map(|point| (index, point))
                } {
                    if let Err(why) = from(point, &target, &cordoned) {
                        failures.lock().unwrap().push((index, why));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    eprintln!(
        "{name}: {} changes and {} reads in {}; killed at {} points, {} of them did not converge",
        changes,
        end.tally.reads,
        span(world::now(&end).duration_since(begun).unsigned_abs()),
        points.len(),
        failures.len()
    );
    let told: Vec<&str> = failures.iter().take(3).map(|(_, why)| why.as_str()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} points did not converge; the first:\n{}",
        failures.len(),
        points.len(),
        told.join("\n\n")
    );
}

fn span(span: Duration) -> String {
    format!("{}m {:02}s", span.as_secs() / 60, span.as_secs() % 60)
}

//! The crash matrix: a run is killed before and after every call that changes something, and at a sample of reads; from each of these states
//! its Job's retry or the orphan watch must bring the cluster to the same end.
//!
//! One run is let through whole, and the world is cloned at each point; only what follows is run anew. At some points the Job's retries die as
//! well: then the watch has to take the run up.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{Call, Fate, Hook, Scenario, State, Who};

use super::rules::Observer;
use super::world::{self, amiss, begin, cordoned_by_people, is_of_chain, jobs, mark, quick, tail, to_the_end};

/// One read in this many is a point, too.
const READS: u64 = 40;
/// At one point in this many the retries are killed, too.
const FOR_GOOD: usize = 8;
/// A Job's first try and its retries.
const TRIES: usize = 3;
/// So many failures are enough to know, unless the variable ENOUGH says otherwise.
const ENOUGH: usize = 3;

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

/// Kills the pods of the chain that come next, each at its first call.
struct Retries {
    killed: BTreeSet<String>,
}

impl Hook for Retries {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let Who::Pod { uid, .. } = &call.who else { return Fate::Go };
        let of_chain = state.store.by_uid(Kind::Pod, uid).is_some_and(|(_, pod)| is_of_chain(pod));
        let next = of_chain && self.killed.len() < TRIES - 1 && self.killed.insert(uid.clone());
        if next { Fate::Kill } else { Fate::Go }
    }
}

/// One kill is what a Job's retry is for: the watch has nothing to do.
fn taken_up(state: &State) -> Vec<String> {
    let taken_up = state.store.list(Kind::Job).filter(|(_, job)| mark(job, "taken-up").is_some());
    taken_up.map(|(key, _)| format!("the watch had to take up {}", key.name)).collect()
}

/// From one point on: everybody is killed, time goes on.
fn from(point: &Point, target: &str, cordoned: &BTreeSet<String>, for_good: bool) -> Result<(), String> {
    let mut state = point.state.clone();
    // Before the claim nothing is changed, and a Job that dies for good leaves nothing: the next detection begins anew.
    let for_good = for_good && world::in_flight(&state);
    state.tell(format_args!("=== killed {}{}", point.what, if for_good { ", and each retry" } else { "" }));
    state.kill_programs();
    let retries: Option<Box<dyn Hook>> = if for_good { Some(Box::new(Retries { killed: BTreeSet::new() })) } else { None };
    let (mut observer, broken) = Observer::new(&state, retries);
    observer.cordoned.clone_from(cordoned);
    observer.steady = true;
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, target, cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    if !for_good {
        wrong.extend(taken_up(&end));
    }
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
    let (mut observer, broken) = Observer::new(&state, Some(Box::new(recorder)));
    observer.steady = true;
    let begun = world::now(&state);
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, &target, &cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    wrong.extend(taken_up(&end));
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

    let enough = std::env::var("ENOUGH").map_or(ENOUGH, |text| text.parse().expect("a number"));
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<(usize, String)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, point)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let over = failures.lock().unwrap().len() >= enough;
                    points.get(index).filter(|_| !over).map(|point| (index, point))
                } {
                    if let Err(why) = from(point, &target, &cordoned, index % FOR_GOOD == 0) {
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
    let told: Vec<&str> = failures.iter().map(|(_, why)| why.as_str()).collect();
    assert!(
        failures.is_empty(),
        "{} of the {} first points did not converge, which is enough to know:\n{}",
        failures.len(),
        next.into_inner().min(points.len()),
        told.join("\n\n")
    );
}

fn span(span: Duration) -> String {
    format!("{}m {:02}s", span.as_secs() / 60, span.as_secs() % 60)
}

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

use super::faults::Dice;
use super::rules::Observer;
use super::world::{self, amiss, begin, cordoned_by_people, is_of_chain, jobs, mark, quick, tail, to_the_end};

/// One read in so many is a point, too; the seed says which.
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

struct Recorder {
    points: Arc<Mutex<Vec<Point>>>,
    /// Of progress, and Events.
    records: Arc<AtomicUsize>,
    dice: Dice,
}

impl Recorder {
    fn new(seed: u64) -> Self {
        Recorder { points: Arc::default(), records: Arc::default(), dice: Dice(seed) }
    }

    fn record(&self, when: &str, state: &State, call: &Call) {
        let what = format!("{when} {}: {}", call.who, call.what);
        self.points.lock().unwrap().push(Point { what, state: state.clone() });
    }
}

/// A change that somebody may decide by later. A record of progress only tells, as an Event does: it is as good a point as a read.
fn decides(call: &Call) -> bool {
    call.changes && !only_tells(call)
}

fn only_tells(call: &Call) -> bool {
    let event = call.what.starts_with("POST /api/v1/namespaces/") && call.what.trim_end_matches('?').ends_with("/events");
    event || call.what.starts_with("PATCH /apis/batch/v1/namespaces/k8s-upgrade/jobs/k8s-upgrade-")
}

impl Hook for Recorder {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        self.records.fetch_add(usize::from(only_tells(call)), Ordering::Relaxed);
        if decides(call) {
            self.record("before", state, call);
        } else if self.dice.roll(READS) == 0 {
            self.record("at the read", state, call);
        }
        Fate::Go
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        if decides(call) {
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

/// Where a whole history lies, for whoever asks why: beside no checkout.
fn kept(name: &str, seed: u64, number: Option<usize>, end: &State) -> String {
    let words: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let point = number.map_or("undisturbed".to_owned(), |number| format!("point-{number}"));
    let path = std::env::temp_dir().join(format!("k8s-upgrade-{words}-seed-{seed}-{point}.history"));
    let mut text = end.history.all().join("\n");
    for (whose, log) in &end.logs {
        text.push_str(&format!("\n--- printed by {whose}\n{}", log.all().join("\n")));
    }
    match std::fs::write(&path, text + "\n") {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not kept: {}: {error}", path.display()),
    }
}

/// From one point on: everybody is killed, time goes on. What is wrong then, and the end.
fn from(point: &Point, target: &str, cordoned: &BTreeSet<String>, for_good: bool) -> (Vec<String>, State) {
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
    (wrong, end)
}

/// What a person needs who looks for the cause: the seed, the point, all that happened.
fn failure(name: &str, seed: u64, number: Option<usize>, what: &str, wrong: &[String], end: &State) -> String {
    format!(
        "{what} (seed {seed})\n  {}\n--- Jobs\n{}\n--- the end of the history; all of it: {}\n{}",
        wrong.join("\n  "),
        jobs(end),
        kept(name, seed, number, end),
        tail(end, 60)
    )
}

/// All points of one run, by its seed, which must end well if nobody disturbs it; how many changes it made beside what only tells.
fn points(name: &str, scenario: &Scenario) -> (Vec<Point>, usize, State) {
    let (target, seed) = (scenario.target.to_string(), scenario.seed);
    let state = begin(scenario);
    let cordoned = cordoned_by_people(&state);
    let recorder = Recorder::new(seed);
    let (points, records) = (recorder.points.clone(), recorder.records.clone());
    let (mut observer, broken) = Observer::new(&state, Some(Box::new(recorder)));
    observer.steady = true;
    let end = to_the_end(state, Some(Box::new(observer)));
    let mut wrong = amiss(&end, &target, &cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    wrong.extend(taken_up(&end));
    assert!(wrong.is_empty(), "{name}: {}", failure(name, seed, None, "undisturbed", &wrong, &end));
    let changes = usize::try_from(end.tally.changes).unwrap() - records.load(Ordering::Relaxed);
    (std::mem::take(&mut *points.lock().unwrap()), changes, end)
}

/// SEED chooses another history, and other reads of it. Of the points of a run each `each`-th is tried, unless POINTS=all wants all of them.
pub fn matrix(name: &str, each: usize, scenario: Scenario) {
    let mut scenario = quick(scenario);
    if let Ok(seed) = std::env::var("SEED") {
        scenario.seed = seed.parse().expect("a number");
    }
    let (target, seed) = (scenario.target.to_string(), scenario.seed);
    let state = begin(&scenario);
    let (cordoned, begun) = (cordoned_by_people(&state), world::now(&state));
    let (points, changes, end) = points(name, &scenario);
    let reads = points.iter().filter(|point| point.what.starts_with("at the read")).count();
    assert_eq!(points.len() - reads, 2 * changes, "a point on both sides of every change that the twin counted");

    let each = if std::env::var_os("POINTS").is_some_and(|points| points == "all") { 1 } else { each };
    let all = points.len();
    let first = usize::try_from(seed).unwrap_or(0) % each;
    let points: Vec<(usize, Point)> = points.into_iter().enumerate().skip(first).step_by(each).collect();
    let enough = std::env::var("ENOUGH").map_or(ENOUGH, |text| text.parse().expect("a number"));
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<(usize, String)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, point)) = {
                    let over = failures.lock().unwrap().len() >= enough;
                    points.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !over)
                } {
                    let (wrong, end) = from(point, &target, &cordoned, index % FOR_GOOD == 0);
                    if !wrong.is_empty() {
                        let why = failure(name, seed, Some(*index), &format!("killed {}", point.what), &wrong, &end);
                        failures.lock().unwrap().push((*index, why));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    eprintln!(
        "{name}, seed {seed}: 2×{changes} changes + {reads} reads = {all} points in {}; {} tried, {} of them did not converge",
        span(world::now(&end).duration_since(begun).unsigned_abs()),
        points.len(),
        failures.len()
    );
    let told: Vec<&str> = failures.iter().map(|(_, why)| why.as_str()).collect();
    assert!(
        failures.is_empty(),
        "{name}: {} of the {} first points did not converge, which is enough to know:\n{}",
        failures.len(),
        next.into_inner().min(points.len()),
        told.join("\n\n")
    );
}

fn span(span: Duration) -> String {
    format!("{}m {:02}s", span.as_secs() / 60, span.as_secs() % 60)
}

/// One seed samples the same reads every time, another one others.
#[test]
fn the_seed_chooses_the_reads() {
    let reads = |seed: u64| {
        let mut recorder = Recorder::new(seed);
        let mut state = begin(&Scenario::runbook());
        let call = |number: u64| Call { who: Who::Stranger, changes: false, what: number.to_string() };
        for number in 0..2000 {
            recorder.before(&mut state, &call(number));
        }
        let points = recorder.points.lock().unwrap();
        points.iter().map(|point| point.what.clone()).collect::<Vec<_>>()
    };
    let first = reads(1);
    assert!((20..100).contains(&first.len()), "{first:?}");
    assert_eq!(first, reads(1));
    assert_ne!(first, reads(2));
}

/// What a failure leaves to whoever must understand it.
#[test]
fn a_point_that_does_not_converge_is_told_whole() {
    let scenario = quick(Scenario::runbook());
    let mut state = begin(&scenario);
    state.hosts.change("k8s-node3", |machine| machine.faults.key_refused = true);
    let point = Point { what: "before anything".to_owned(), state };
    let (wrong, end) = from(&point, "1.34.7", &BTreeSet::new(), false);
    assert!(wrong.iter().any(|what| what == "k8s-node3 is at 1.34.2"), "{wrong:?}");
    let told = failure("this test", 7, Some(3), "killed before anything", &wrong, &end);
    assert!(told.starts_with("killed before anything (seed 7)\n"), "{told}");
    let (_, path) = told.split_once("all of it: ").unwrap();
    let path = std::path::Path::new(path.lines().next().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert!(text.starts_with(end.history.all()[0]) && text.contains("=== killed before anything"), "{text}");
    assert!(text.contains("--- printed by"), "{text}");
}

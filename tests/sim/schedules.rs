//! Random schedules: several faults a run, chosen by a seed, while an observer watches the rules. When they are over, a person types what the
//! failures tell them to (`resume`), and everything must end well. A seed that fails is shrunk to the faults that it needs.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, Scenario, State, Who};

use super::faults::{Fault, What, When};
use super::rules::Observer;
use super::world::{amiss, at_work, begin, cordoned_by_people, in_flight, jobs, live, mark, namespace, tail, version_of};

/// How often a person comes and looks, once nothing disturbs the run any more.
const VISITS: u32 = 24;
const BETWEEN_VISITS: Duration = Duration::from_secs(30 * 60);

/// Breaks the calls that a schedule names by their number.
struct Breaker {
    faults: Vec<(u64, What)>,
    calls: u64,
    before: Option<What>,
    after: Option<What>,
}

impl Hook for Breaker {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if !matches!(call.who, Who::Pod { .. }) {
            return Fate::Go;
        }
        self.calls += 1;
        let hit = self.faults.iter().find(|(number, _)| *number == self.calls).map(|(_, what)| what.clone());
        (self.before, self.after) = match hit {
            Some(What::LosesAnswer | What::KilledAfter | What::LateAnswer(_) | What::Twice(_)) => (None, hit),
            other => (other, None),
        };
        match self.before.take() {
            Some(What::LosesCall) => Fate::Break,
            Some(What::Killed) => Fate::Kill,
            Some(What::Late(seconds)) => Fate::Late(Duration::from_secs(seconds)),
            _ => Fate::Go,
        }
    }
    fn after(&mut self, _: &mut State, call: &Call) -> Fate {
        if !matches!(call.who, Who::Pod { .. }) {
            return Fate::Go;
        }
        match self.after.take() {
            Some(What::LosesAnswer) => Fate::Break,
            Some(What::KilledAfter) => Fate::Kill,
            Some(What::LateAnswer(seconds)) => Fate::Late(Duration::from_secs(seconds)),
            // Nobody stands between us and a machine's sshd.
            Some(What::Twice(seconds)) if is_http(call) => Fate::Twice(Duration::from_secs(seconds)),
            _ => Fate::Go,
        }
    }
}

/// A request that somebody on the way may repeat.
fn is_http(call: &Call) -> bool {
    ["GET ", "POST ", "PATCH ", "PUT ", "DELETE "].iter().any(|method| call.what.starts_with(method))
}

/// One schedule from beginning to end. The error says what was broken or did not converge.
pub fn run(state: &State, faults: &[Fault], target: &str, seed: u64) -> Result<State, String> {
    let mut state = state.clone();
    state.reseed(seed);
    let at_calls = faults.iter().filter_map(|fault| match fault.when {
        When::Call(number) => Some((number, fault.what.clone())),
        When::After(_) => None,
    });
    let breaker = Breaker { faults: at_calls.collect(), calls: 0, before: None, after: None };
    let (observer, broken) = Observer::new(&state, Some(Box::new(breaker)));
    let mut timed: Vec<(u64, What)> = faults
        .iter()
        .filter_map(|fault| match fault.when {
            When::After(seconds) => Some((seconds, fault.what.clone())),
            When::Call(_) => None,
        })
        .collect();
    timed.sort_by_key(|(seconds, _)| *seconds);
    let begun = state.now();
    let cordoned = cordoned_by_people(&state);
    let end = live(state, Some(Box::new(observer)), async |driver| {
        for (number, (seconds, what)) in timed.into_iter().enumerate() {
            driver.until(later(begun, Duration::from_secs(seconds)), |_| false).await;
            what.happens(driver, number);
        }
        let well = |state: &State| !at_work(state) && amiss(state, &reached(state, target), &cordoned).is_empty();
        for visit in 0..VISITS {
            // The orphan watch comes before a person does, and sets right what a service that was away has missed.
            driver.until(later(driver.twin.now(), BETWEEN_VISITS), |_| false).await;
            if driver.twin.look(well) {
                break;
            }
            let target = driver.twin.look(|state| reached(state, target));
            mend(driver, visit, &target);
        }
        driver.twin.look(State::clone)
    });
    let mut wrong = amiss(&end, &reached(&end, target), &cordoned);
    wrong.extend(broken.lock().unwrap().drain(..));
    if wrong.is_empty() {
        return Ok(end);
    }
    let mut told = String::new();
    let _ = write!(told, "  {}\n--- Jobs\n{}\n--- the end of the history\n{}", wrong.join("\n  "), jobs(&end), tail(&end, 60));
    Err(told)
}

/// The release that a cluster is on its way to: a detection may have found a newer one than the schedule began with.
fn reached(state: &State, target: &str) -> String {
    let minor = target.rsplit_once('.').map_or("", |(minor, _)| minor);
    let patch = |version: &str| version.strip_prefix(minor)?.strip_prefix('.')?.parse::<u32>().ok();
    let kubelets = state.store.list(Kind::Node).filter_map(|(_, node)| patch(version_of(node)));
    let claimed = mark(namespace(state), "target").and_then(patch);
    let newest = kubelets.chain(claimed).chain(patch(target)).max().unwrap_or(0);
    format!("{minor}.{newest}")
}

/// A person reads `status`, sees that it stopped, and types what it says.
fn mend(driver: &mut Driver<'_>, visit: u32, target: &str) {
    let (idle, in_flight) = driver.twin.look(|state| (!at_work(state), in_flight(state)));
    let argv: &[&str] = match (idle, in_flight) {
        (false, _) => return,
        (true, true) => &["k8s-upgrade", "resume", "--yes"],
        (true, false) => &["k8s-upgrade", "start", "--target", target, "--yes"],
    };
    driver.operate(&format!("visit-{visit}"), argv, std::collections::BTreeMap::new());
}

/// The fewest of these that still fail, and why those do: without any one of them, all is well. What stays because of another may go once
/// that one has gone, so it is tried until nothing goes any more.
fn shrink<F: Clone>(all: &[F], why: String, fails: impl Fn(&[F]) -> Option<String>) -> (Vec<F>, String) {
    let (mut least, mut why) = (all.to_vec(), why);
    loop {
        let before = least.len();
        let mut at = 0;
        while at < least.len() {
            let mut fewer = least.clone();
            fewer.remove(at);
            match fails(&fewer) {
                Some(still) => (least, why) = (fewer, still),
                None => at += 1,
            }
        }
        if least.len() == before {
            return (least, why);
        }
    }
}

/// Runs schedules of the seeds from `first` on, on all cores.
pub fn schedules(name: &str, scenario: &Scenario, first: u64, count: u64) {
    let target = scenario.target.to_string();
    let state = begin(scenario);
    let next = AtomicU64::new(first);
    let failures: Mutex<Vec<(u64, Vec<Fault>, String)>> = Mutex::default();
    let tally = Arc::new(Mutex::new((0_u64, 0_u64)));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().unwrap().len() >= 3 {
                        return;
                    }
                    let faults = Fault::of_seed(seed);
                    match run(&state, &faults, &target, seed) {
                        Ok(end) => {
                            let mut tally = tally.lock().unwrap();
                            tally.0 += faults.len() as u64;
                            tally.1 += end.tally.changes + end.tally.reads;
                        }
                        Err(why) => {
                            let (least, why) = shrink(&faults, why, |fewer| run(&state, fewer, &target, seed).err());
                            failures.lock().unwrap().push((seed, least, why));
                        }
                    }
                }
            });
        }
    });
    let (faults, calls) = *tally.lock().unwrap();
    let failures = failures.into_inner().unwrap();
    eprintln!("{name}: {count} schedules from seed {first}, {faults} faults, {calls} calls; {} failed", failures.len());
    let told: Vec<String> =
        failures.iter().map(|(seed, least, why)| format!("seed {seed}, shrunk to {least:?}\n{why}")).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

/// The node that a number means, among those there are.
pub fn nth_node(state: &State, number: u64, workers_only: bool) -> Option<String> {
    let nodes: Vec<&Key> = state
        .store
        .list(Kind::Node)
        .filter(|(_, node)| !workers_only || node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"].is_null())
        .map(|(key, _)| key)
        .collect();
    let count = u64::try_from(nodes.len()).ok().filter(|count| *count > 0)?;
    nodes.get(usize::try_from(number % count).ok()?).map(|key| key.name.clone())
}

#[test]
fn of_six_faults_the_two_that_are_needed_are_left() {
    let fails = |faults: &[u8]| (faults.contains(&2) && faults.contains(&5)).then(|| format!("by {faults:?}"));
    let (least, why) = shrink(&[1, 2, 3, 4, 5, 6], "by all".to_owned(), fails);
    assert_eq!((least, why.as_str()), (vec![2, 5], "by [2, 5]"));
}

/// 1 only undoes what 2 does: it can go when 2 has gone, which comes after it.
#[test]
fn what_was_needed_for_another_goes_after_it() {
    let fails = |faults: &[u8]| (faults.contains(&3) && (faults.contains(&1) || !faults.contains(&2))).then(String::new);
    assert_eq!(shrink(&[1, 2, 3], String::new(), fails).0, [3]);
}

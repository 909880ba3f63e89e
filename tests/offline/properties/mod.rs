//! What every parser of the program promises of whatever it is given: it ends soon, it does not panic, and what it accepts prints back
//! to the same. Each is held to that by thousands of texts near its grammar; `coverage` knows them all.
//!
//! The texts are the same in each run. `PROPTEST_RNG_SEED=N` makes others, `PROPTEST_CASES=N` more; what fails is shrunk and printed,
//! to be made a sample.

mod clients;
mod coverage;
mod mutated;
mod node;
mod plan;
mod settings;
mod words;

use std::cell::Cell;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use mutated::mutated;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// So many texts a parser, at least.
const CASES: u32 = 10_000;
const SEED: u64 = 20_261_128;
/// Longer than any text of these may take, on a machine that has much else to do.
const SLOW: Duration = Duration::from_secs(5);

fn runner() -> TestRunner {
    let mut config = Config::default();
    config.cases = config.cases.max(CASES);
    config.failure_persistence = None;
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    TestRunner::new(config)
}

/// A parser without a printed form: it accepts (Some) or refuses (None).
fn ends<T>(samples: &[&str], read: impl Fn(&str) -> Option<T>) {
    check(samples, |text| Ok(read(text).is_some()));
}

/// A parser of what the program itself prints, or can: `read(print(read(text)))` is `read(text)`.
fn returns<T: PartialEq + Debug>(samples: &[&str], read: impl Fn(&str) -> Option<T>, print: impl Fn(&T) -> String) {
    check(samples, |text| {
        let Some(value) = read(text) else { return Ok(false) };
        let printed = print(&value);
        match read(&printed) {
            Some(again) if again == value => Ok(true),
            other => Err(format!("{value:?} is printed as {printed:?}, which is read as {other:?}")),
        }
    });
}

/// The samples are accepted; every text near them is tried. `judge` says whether it was accepted, or what was wrong.
fn check(samples: &[&str], judge: impl Fn(&str) -> Result<bool, String>) {
    for sample in samples {
        assert_eq!(judge(sample), Ok(true), "a sample of what is accepted: {sample:?}");
    }
    let (accepted, longest) = (Cell::new(0_u32), Cell::new(Duration::ZERO));
    let result = runner().run(&mutated(samples), |text| {
        let begun = Instant::now();
        let judged = judge(&text);
        longest.set(longest.get().max(begun.elapsed()));
        if begun.elapsed() > SLOW {
            return Err(TestCaseError::fail(format!("it took {:?}", begun.elapsed())));
        }
        accepted.set(accepted.get() + u32::from(judged.map_err(TestCaseError::fail)?));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // A generator that strays too far would prove only that nonsense is refused.
    assert!(accepted.get() > CASES / 50, "only {} texts were accepted", accepted.get());
}

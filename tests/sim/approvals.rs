//! What detection asks for begins by a person's word, in a window, by itself; and what stays as it is, is told once a month.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::twin::scenario::{Release, Scenario};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State};
use serde_json::{Value, json};

use super::hands::{done, observed, slack};
use super::recovery::fires;
use super::world::{
    NAMESPACE, at_work, begin, calm, in_flight, is_over, jobs, live, mark, namespace, pass, quick, suspend, tail, types, when,
};

const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;

/// The week's detection comes on Sunday, 2026-11-22, at 12:00.
fn world(settings: &[(&str, Value)]) -> State {
    let mut scenario = calm(Scenario::runbook());
    scenario.settings.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    begin(&scenario)
}

fn told(state: &State, sign: char) -> usize {
    state.web.slack.messages.iter().filter(|message| message.text.starts_with(sign)).count()
}

fn begun(state: &State) -> bool {
    in_flight(state) || jobs(state).contains("preflight")
}

async fn until(driver: &mut Driver<'_>, time: &str) {
    driver.until(time.parse().unwrap(), |_| false).await;
}

async fn refused(driver: &mut Driver<'_>, line: &str, code: u8, says: &[&str]) {
    let (ended, said) = types(driver, "no", line).await;
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ended == code && says.iter().all(|says| flat.contains(says)), "{line} ended with {ended}: {said}");
}

/// For longer than any of these lasts.
fn goes_on_firing(state: &mut State, name: &str) {
    fires(state, name);
    let until = later(state.now(), Duration::from_secs(52 * WEEK));
    state.web.prometheus.injected.iter_mut().for_each(|alert| alert.until = until);
}

#[test]
fn an_approval_is_told() {
    let mut told = String::new();
    live(world(&[("patch", "ask".into())]), None, async |driver| {
        pass(driver, HOUR).await;
        driver.twin.edit(|state| suspend(state, "k8s-upgrade-watch"));
        for line in ["approve 1.34.7 --yes", "approve --lift", "approve 1.34.7 --yes -o json", "approve --lift -o json"] {
            let (code, said) = types(driver, "person", line).await;
            told.push_str(&format!("\n$ k8s-upgrade {line}    # {code}\n{said}\n"));
        }
    });
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_asked_for_begins_once_it_is_approved() {
    let end = observed(world(&[("patch", "ask".into())]), async |driver| {
        refused(driver, "approve 1.34.7 --yes", 4, &["detection asks for no release", "k8s-upgrade detect --dry-run"]).await;
        pass(driver, 2 * HOUR).await;
        driver.twin.look(|state| {
            assert!(!begun(state), "{}", tail(state, 40));
            let wanted =
                ["1.34.2 → 1.34.7: 1.34.7 is there, and waits", "setting patch: ask", "Next: k8s-upgrade approve 1.34.7"];
            assert!(wanted.iter().all(|wanted| slack(state).contains(wanted)), "{}", slack(state));
            let told = state.store.list(Kind::Event).any(|(_, event)| event["reason"] == "ApprovalWanted");
            assert!(told, "no Event says so");
        });
        refused(driver, "approve 1.34.6 --yes", 4, &["asks for 1.34.7, and not for 1.34.6", "k8s-upgrade approve 1.34.7"]).await;
        refused(driver, "approve 1.34.1 --yes", 4, &["older than what runs"]).await;
        refused(driver, "approve 1.34.2 --yes", 4, &["every node is at 1.34.2"]).await;
        refused(driver, "status", 0, &["asks 1.34.7 is there", "k8s-upgrade approve 1.34.7 # it begins by itself"]).await;
        let (code, said) = types(driver, "approve", "approve 1.34.7 --yes").await;
        assert!(code == 0 && said.contains("1.34.2 → 1.34.7 begins within 10 minutes, by itself"), "{said}");
        refused(driver, "status", 0, &["approved 1.34.7 by ann", "k8s-upgrade approve --lift"]).await;
        pass(driver, 720).await;
        driver.twin.look(|state| assert!(begun(state), "{}", tail(state, 40)));
        when(driver, "the claim", in_flight).await;
        driver.twin.look(|state| assert_eq!(mark(namespace(state), "approved"), None));
        refused(driver, "approve 1.34.7 --yes", 6, &["a run to 1.34.7 is in flight"]).await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!([told(&end, '🙋'), told(&end, '👍'), told(&end, '⌛')], [1, 1, 0], "{}", slack(&end));
}

#[test]
fn an_approval_waits_for_the_installations_window() {
    let settings = [("patch", "ask".into()), ("windows", json!(["Tue 01:00-05:00 UTC"]))];
    observed(world(&settings), async |driver| {
        pass(driver, HOUR).await;
        let (code, said) = types(driver, "approve", "approve 1.34.7 --yes").await;
        assert!(code == 0 && said.contains("begins by itself") && said.contains("it may begin at Tue"), "{said}");
        until(driver, "2026-11-24T00:55:00Z").await;
        driver.twin.look(|state| assert!(!begun(state), "{}", jobs(state)));
        refused(driver, "status", 0, &["has approved", "waits:", "it may begin at Tue"]).await;
        until(driver, "2026-11-24T01:15:00Z").await;
        driver.twin.look(|state| assert!(begun(state), "{}", tail(state, 40)));
        when(driver, "the end", is_over).await;
    });
    // A freeze outlasts it.
    let settings = [("patch", "ask".into()), ("freezes", json!(["2026-11-20..2027-01-06 UTC: end of the year"]))];
    observed(world(&settings), async |driver| {
        pass(driver, HOUR).await;
        refused(driver, "approve 1.34.7 --yes", 4, &["an approval holds for 14d", "start --target 1.34.7 --now"]).await;
        pass(driver, 12 * HOUR).await;
        driver.twin.look(|state| assert!(!begun(state), "{}", jobs(state)));
    });
}

#[test]
fn what_is_taken_back_does_not_begin() {
    let settings = [("patch", "ask".into()), ("windows", json!(["Tue 01:00-05:00 UTC"]))];
    observed(world(&settings), async |driver| {
        pass(driver, HOUR).await;
        refused(driver, "approve --lift", 0, &["nothing is approved"]).await;
        assert_eq!(types(driver, "approve", "approve 1.34.7 --yes").await.0, 0);
        assert_eq!(types(driver, "lift", "approve --lift").await.0, 0);
        until(driver, "2026-11-24T06:00:00Z").await;
        driver.twin.look(|state| {
            assert!(!begun(state) && mark(namespace(state), "approved").is_none(), "{}", tail(state, 40));
            assert_eq!([told(state, '👍'), told(state, '✋')], [1, 1], "{}", slack(state));
        });
    });
}

/// A gate holds as long as the approval does: nothing begins by it afterwards, and that is told once.
#[test]
fn an_approval_that_is_over_begins_nothing() {
    let settings = [("patch", "ask".into()), ("approval-holds", "1d".into()), ("alert-wait", "60s".into())];
    observed(world(&settings), async |driver| {
        pass(driver, HOUR).await;
        driver.twin.edit(|state| goes_on_firing(state, "NodeDiskFull"));
        assert_eq!(types(driver, "approve", "approve 1.34.7 --yes").await.0, 0);
        pass(driver, 25 * HOUR).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state) && slack(state).contains("NodeDiskFull"), "{}", slack(state));
            for gone in ["approved", "deferred"] {
                assert_eq!(mark(namespace(state), gone), None, "{gone}");
            }
        });
        driver.twin.edit(|state| state.web.prometheus.injected.clear());
        pass(driver, 12 * HOUR).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state) && !at_work(state), "{}", tail(state, 40));
            assert_eq!(told(state, '⌛'), 1, "{}", slack(state));
        });
    });
}

/// Ten weeks: asked for, off, too young, frozen, and held by a gate.
#[test]
fn what_stays_as_it_is_is_told_once_a_month() {
    for (settings, fired, sign) in [
        (vec![("patch", "ask".into())], false, '🙋'),
        (vec![("patch", "off".into())], false, '⏭'),
        (vec![("patch-min-age", "300d".into())], false, '⏭'),
        (vec![("freezes", json!(["2026-11-20..2027-03-06 UTC: a long one"]))], false, '⏸'),
        (vec![("alert-wait", "60s".into()), ("retry-deferred", "0s".into())], true, '⏸'),
    ] {
        live(world(&settings), None, async |driver| {
            driver.twin.edit(|state| suspend(state, "k8s-upgrade-watch"));
            if fired {
                driver.twin.edit(|state| goes_on_firing(state, "NodeDiskFull"));
            }
            for weeks in 0..10 {
                pass(driver, 2 * HOUR).await;
                // At first, and at 35 days: the first detection that comes a month later.
                let wanted = 1 + weeks / 5;
                driver.twin.look(|state| {
                    assert_eq!(told(state, sign), wanted, "{settings:?}: {weeks}: {}", slack(state));
                    assert!(!in_flight(state), "{}", tail(state, 40));
                });
                pass(driver, WEEK - 2 * HOUR).await;
            }
        });
    }
}

/// A release is as old as detection knows it, however old the index says it is; the one before is gone to as soon as it is old enough.
#[test]
fn a_release_comes_of_age() {
    let mut scenario = calm(Scenario::runbook());
    scenario.settings.insert("patch-min-age".to_owned(), "10d".into());
    let end = observed(begin(&scenario), async |driver| {
        pass(driver, 2 * HOUR).await;
        driver.twin.look(|state| {
            assert!(!begun(state) && slack(state).contains("so from 2026-12-02"), "{}", slack(state));
        });
        // It is there by the second week, and too young in the third.
        driver.twin.edit(|state| {
            let now = state.now();
            state.web.packages.release("1.34.8".parse().unwrap(), now);
        });
        pass(driver, WEEK).await;
        driver.twin.look(|state| assert!(!begun(state), "{}", jobs(state)));
        pass(driver, WEEK).await;
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
}

/// What one detection may do.
#[derive(Debug, PartialEq, Eq)]
enum Does {
    Starts(Version),
    Asks(Version),
    NotNow(Version),
    Nothing,
}

struct Wanted {
    patch: &'static str,
    minor: &'static str,
    max: &'static str,
    lag: usize,
    /// Days, of a patch and of a minor version.
    age: (i64, i64),
    /// Which release is approved, and whether that holds still.
    approved: Option<(&'static str, bool)>,
    open: bool,
}

const RUNS: &str = "1.34.2";
/// What is there, and for how many days detection has known it.
const THERE: [(&str, i64); 5] = [("1.34.2", 90), ("1.34.6", 40), ("1.34.7", 5), ("1.35.0", 40), ("1.35.1", 5)];

/// By the words of the README alone.
fn oracle(wanted: &Wanted) -> Does {
    let minor = |release: &str| release.rsplit_once('.').unwrap().0.to_owned();
    for (kind, series, age) in [(wanted.patch, "1.34", wanted.age.0), (wanted.minor, "1.35", wanted.age.1)] {
        let mut all: Vec<(&str, i64)> = THERE.into_iter().filter(|(release, _)| minor(release) == series).collect();
        all.reverse(); // the newest first
        let fits = |(place, (release, days)): &(usize, (&str, i64))| {
            let below = match wanted.max {
                "" => true,
                max if max.matches('.').count() == 1 => series <= max,
                max => *release <= max,
            };
            *release != RUNS && kind != "off" && below && *place >= wanted.lag && *days >= age
        };
        let fitting: Vec<&str> = all.into_iter().enumerate().filter(fits).map(|(_, (release, _))| release).collect();
        let approved = wanted.approved.filter(|(release, holds)| *holds && fitting.contains(release)).map(|(release, _)| release);
        let Some(release) = approved.or_else(|| fitting.first().copied()) else { continue };
        let version = release.parse().unwrap();
        return match (kind == "ask" && approved.is_none(), wanted.open) {
            (true, _) => Does::Asks(version),
            (false, true) => Does::Starts(version),
            (false, false) => Does::NotNow(version),
        };
    }
    Does::Nothing
}

/// What a detection does, as the record, its Job and its data have it; people are told of what is asked for.
async fn detects(driver: &mut Driver<'_>) -> Does {
    let limit = driver.twin.now() + std::time::Duration::from_secs(600);
    driver.until(limit, |state| jobs(state).contains("preflight")).await;
    driver.twin.look(|state| {
        let version = |text: &str| text.parse().unwrap();
        let name = |key: &Key| key.name.strip_prefix("k8s-upgrade-preflight-").map(|version| version.replace('-', "."));
        if let Some(target) = state.store.list(Kind::Job).find_map(|(key, _)| name(key)) {
            return Does::Starts(version(&target));
        }
        let found: Value = serde_json::from_str(mark(namespace(state), "found").unwrap_or("{}")).unwrap();
        if let Some(asks) = found["asks"].as_str() {
            assert!(slack(state).contains(&format!("Next: k8s-upgrade approve {asks}")), "{}", slack(state));
            assert_eq!(mark(namespace(state), "deferred"), None);
            return Does::Asks(version(asks));
        }
        match mark(namespace(state), "deferred").map(|deferred| deferred.split(' ').next().unwrap()) {
            Some(target) => Does::NotNow(version(target)),
            None => Does::Nothing,
        }
    })
}

/// Every combination of what the settings may say of releases, of what is approved, and of windows: what one detection does.
#[test]
fn patches_by_themselves_and_every_other_policy() {
    does_what_the_words_say("auto", 6);
}

#[test]
fn patches_by_approval_and_every_other_policy() {
    does_what_the_words_say("ask", 6);
}

#[test]
fn no_patches_and_every_other_policy() {
    does_what_the_words_say("off", 6);
}

/// Each so many-th, for the whole table takes minutes; no number of choices divides it, so each choice meets each other. POLICIES=all does all.
const EACH: usize = 7;

/// `least`: so many different things are done. What the table would not show, it would not prove.
fn does_what_the_words_say(patch: &'static str, least: usize) {
    let each = if std::env::var_os("POLICIES").is_some_and(|policies| policies == "all") { 1 } else { EACH };
    let approvals = [None, Some(("1.34.6", true)), Some(("1.35.0", true)), Some(("1.34.7", false))];
    let mut seen = BTreeSet::new();
    for number in (0..3 * 3 * 2 * 3 * 2 * approvals.len()).step_by(each) {
        let mut rest = number;
        let mut of = |choices: usize| {
            let choice = rest % choices;
            rest /= choices;
            choice
        };
        let wanted = Wanted {
            patch,
            minor: ["auto", "ask", "off"][of(3)],
            max: ["", "1.34", "1.34.6"][of(3)],
            lag: of(2),
            age: [(0, 0), (20, 20), (60, 20)][of(3)],
            open: of(2) == 0,
            approved: approvals[of(approvals.len())],
        };
        let mut scenario = quick(Scenario::runbook());
        scenario.releases = THERE.map(|(release, _)| Release { version: release.parse().unwrap(), from: None }).into();
        let windows = if wanted.open { json!([]) } else { json!(["Tue 01:00-05:00 UTC"]) };
        for (key, value) in [
            ("patch", wanted.patch.into()),
            ("minor", wanted.minor.into()),
            ("max-version", wanted.max.into()),
            ("lag", wanted.lag.into()),
            ("patch-min-age", format!("{}d", wanted.age.0).into()),
            ("minor-min-age", format!("{}d", wanted.age.1).into()),
            ("windows", windows),
        ] {
            scenario.settings.insert(key.to_owned(), value);
        }
        let mut state = begin(&scenario);
        suspend(&mut state, "k8s-upgrade-watch");
        recorded(&mut state, &wanted);
        let does = live(state, None, async |driver| detects(driver).await);
        assert_eq!(
            does,
            oracle(&wanted),
            "patch: {}, minor: {}, max-version: {:?}, lag: {}, min-age: {:?} days, approved: {:?}, open: {}",
            wanted.patch,
            wanted.minor,
            wanted.max,
            wanted.lag,
            wanted.age,
            wanted.approved,
            wanted.open
        );
        seen.insert(format!("{does:?}"));
    }
    assert!(seen.len() >= least, "{seen:#?}");
}

/// As detection has known it for a while, and as a person has approved it.
fn recorded(state: &mut State, wanted: &Wanted) {
    let now: Timestamp = state.now();
    let ago = |days: i64| (now - SignedDuration::from_hours(24 * days)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let seen: Vec<String> = THERE.iter().map(|(release, days)| format!("{release}={}", ago(*days))).collect();
    state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
        let key = |suffix: &str| format!("viktorbarzin.me/k8s-upgrade-{suffix}");
        namespace["metadata"]["annotations"][key("seen")] = seen.join(" ").into();
        if let Some((release, holds)) = wanted.approved {
            let until = if holds { ago(-7) } else { ago(1) };
            namespace["metadata"]["annotations"][key("approved")] = format!("{release} 5f3a21bc {} {until} ann", ago(7)).into();
        }
    });
}

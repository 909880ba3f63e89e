//! `status --watch`: what stands on the screen while a run goes on, without asking again and again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::{Access, Outage, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State, Who};
use k8s_upgrade::world::Size;
use serde_json::Value;

use super::mask::masked;
use super::world::{begin, is_over, live, mark, pass, quick, said, when};

const NAME: &str = "looks on";
const SIZE: Size = Size { rows: 24, columns: 90 };

/// Counts what the watching command asks of the API server.
struct Counter(Arc<Mutex<Vec<String>>>);

impl Hook for Counter {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        if call.who == Who::Operator(NAME.to_owned()) {
            self.0.lock().unwrap().push(call.what.clone());
        }
        Fate::Go
    }
    fn after(&mut self, _: &mut State, _: &Call) -> Fate {
        Fate::Go
    }
}

/// Calls of the watching command hang while it is set.
struct Hang(Arc<AtomicBool>);

impl Hook for Hang {
    fn before(&mut self, _: &mut State, call: &Call) -> Fate {
        let hangs = call.who == Who::Operator(NAME.to_owned()) && self.0.load(Ordering::Relaxed);
        if hangs { Fate::Late(Duration::from_secs(3600)) } else { Fate::Go }
    }
    fn after(&mut self, _: &mut State, _: &Call) -> Fate {
        Fate::Go
    }
}

/// Its watches do not end; and yet nobody must believe an old screen.
#[test]
fn a_server_that_hangs_is_told() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.terminal = Some(SIZE);
    let hangs = Arc::new(AtomicBool::new(false));
    live(state, Some(Box::new(Hang(hangs.clone()))), async |driver| {
        looks_on(driver, &[]).await;
        assert!(!screen(driver).await.contains("STALE"), "{}", screen(driver).await);
        hangs.store(true, Ordering::Relaxed);
        pass(driver, 20).await;
        let told = screen(driver).await;
        assert!(told.contains("STALE   everything") && told.contains("takes requests"), "{told}");
        hangs.store(false, Ordering::Relaxed);
        pass(driver, 20).await;
        assert!(!screen(driver).await.contains("STALE"), "{}", screen(driver).await);
    });
}

fn out(name: &'static str) -> impl Fn(&State) -> bool {
    move |state| state.store.list(Kind::Node).any(|(key, node)| key.name == name && mark(node, "cordoned-by").is_some())
}

async fn looks_on(driver: &mut Driver<'_>, argv: &[&str]) {
    let argv: Vec<&str> = ["k8s-upgrade", "status", "--watch"].iter().chain(argv).copied().collect();
    driver.operate(NAME, &argv, BTreeMap::new());
    pass(driver, 5).await;
}

/// What was drawn so far, screen by screen; the last one may not be whole yet.
fn screens(state: &State) -> Vec<String> {
    let drawn = said(state, NAME);
    let mut screens: Vec<String> =
        drawn.split("\u{1b}[H").map(|screen| screen.replace("\u{1b}[K", "").replace("\u{1b}[J", "")).collect();
    screens.pop();
    screens
}

/// The newest whole screen.
async fn screen(driver: &mut Driver<'_>) -> String {
    pass(driver, 4).await;
    let screen = driver.twin.look(screens).pop().unwrap_or_default();
    let lines: Vec<&str> = screen.lines().collect();
    let high = lines.iter().map(|line| line.chars().count().div_ceil(SIZE.columns).max(1)).sum::<usize>();
    assert!(high <= SIZE.rows, "{screen}");
    screen
}

#[test]
fn a_run_on_a_terminal() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.terminal = Some(SIZE);
    let asked = Arc::new(Mutex::new(Vec::new()));
    live(state, Some(Box::new(Counter(asked.clone()))), async |driver| {
        looks_on(driver, &[]).await;
        insta::assert_snapshot!("before", masked(&screen(driver).await));
        when(driver, "a worker", out("k8s-node3")).await;
        pass(driver, 8).await;
        insta::assert_snapshot!("drains", masked(&screen(driver).await));
        driver.twin.edit(|state| {
            let (from, until) = (state.now(), later(state.now(), Duration::from_secs(60)));
            state.outages.push(Outage { from, until, how: Access::Refused });
        });
        pass(driver, 50).await;
        insta::assert_snapshot!("api_away", masked(&screen(driver).await));
        pass(driver, 30).await;
        assert!(!screen(driver).await.contains("STALE"), "{}", screen(driver).await);
        // What Jobs do stands on them: their logs are where a node may be away.
        assert!(!asked.lock().unwrap().iter().any(|call| call.contains("/log")));
        when(driver, "the end", is_over).await;
        pass(driver, 120).await;
        insta::assert_snapshot!("after", masked(&screen(driver).await));
        let before = asked.lock().unwrap().len();
        pass(driver, 600).await;
        // Seven kinds, and each a list and a watch after it, every 150 s where nothing is heard; and whether anybody is there.
        let quiet = asked.lock().unwrap()[before..].to_vec();
        assert!(quiet.len() <= 7 * 2 * 5 + 60, "in 10 quiet minutes: {} {quiet:#?}", quiet.len());
        driver.interrupt(NAME);
        assert_eq!(driver.until_ended(NAME, later(driver.twin.now(), Duration::from_secs(5))).await, Some(0));
        let drawn = driver.twin.look(|state| said(state, NAME));
        let (there, after) = drawn.split_once("\u{1b}[?1049l").expect("the other screen is left");
        assert!(there.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H") && there.ends_with("\u{1b}[?25h"), "{there}");
        assert!(after.contains("no run in flight") && !after.contains('\u{1b}') && !drawn.contains("warning"), "{after}");
    });
}

/// A screen each time that something has changed, and no other.
#[test]
fn a_run_into_a_pipe() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        looks_on(driver, &[]).await;
        when(driver, "a run", out("k8s-master")).await;
        when(driver, "the end", is_over).await;
        pass(driver, 1200).await;
        let told = driver.twin.look(|state| said(state, NAME));
        assert!(!told.contains('\u{1b}'), "{told}");
        let screens: Vec<&str> = told.split("\n\nk8s-upgrade  ").collect();
        assert!((20..400).contains(&screens.len()), "{}", screens.len());
        assert!(screens.windows(2).all(|pair| pair[0] != pair[1]));
        insta::assert_snapshot!("pipe", masked(&screens[..2].join("\n\nk8s-upgrade  ")));
        driver.interrupt(NAME);
        assert_eq!(driver.until_ended(NAME, later(driver.twin.now(), Duration::from_secs(5))).await, Some(0));
    });
}

#[test]
fn a_run_as_data() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        looks_on(driver, &["-o", "json"]).await;
        when(driver, "a run", out("k8s-master")).await;
        when(driver, "the end", is_over).await;
        pass(driver, 60).await;
        let lines = driver.twin.look(|state| said(state, NAME));
        let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let state = |at: &Value| at["nodes"][0]["state"].as_str().unwrap().to_owned();
        let mut states: Vec<String> = told.iter().map(state).collect();
        states.dedup();
        assert_eq!((states.first().map(String::as_str), states.last().map(String::as_str)), (Some("serving"), Some("serving")));
        assert!(
            ["waiting", "kubeadm package, out of service", "done, soaking"]
                .iter()
                .all(|one| states.iter().any(|state| state == one)),
            "{states:?}"
        );
        assert_eq!(told.last().unwrap()["stale"], serde_json::json!([]));
    });
}

/// What cannot be looked at once is refused, as without `--watch`.
#[test]
fn an_installation_that_is_not_there_is_said_at_once() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.terminal = Some(SIZE);
    state.store.remove(&Key::new(Kind::Namespace, "", super::world::NAMESPACE));
    live(state, None, async |driver| {
        let (code, said) = super::world::types(driver, "w", "status --watch").await;
        assert!(code == 4 && said.contains("is not installed in this cluster") && !said.contains('\u{1b}'), "{code} {said}");
    });
}

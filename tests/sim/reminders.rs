//! A run that stands is told again, at a pace that wakes nobody twice: by the watch, to Slack, until it goes on.

use std::collections::BTreeSet;

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::web::{How, Service, Trouble};
use k8s_upgrade::twin::{Call, Fate, Hook, State, Who};

use super::hands::{NEW, done, observed, runbook, slack, version};
use super::recovery::fires;
use super::world::{LIMIT, at_work, begin, calm, in_flight, is_over, live, mark, namespace, pass, quick, tail, types, when};

const HOUR: u64 = 3600;

/// The reminders that came, oldest first.
fn reminders(state: &State) -> Vec<String> {
    let all = state.web.slack.messages.iter().map(|message| message.text.clone());
    all.filter(|text| text.starts_with('⏳')).collect()
}

/// For how long the run has stood, as each of them says.
fn hours(state: &State) -> Vec<String> {
    let of = |text: &String| text.split(" for ").nth(1).and_then(|rest| rest.split('h').next()).unwrap_or("?").to_owned();
    reminders(state).iter().map(of).collect()
}

/// Halted by a person who has forgotten it: three days.
#[test]
fn a_halted_run_is_told_after_one_hour_six_and_each_day() {
    let end = observed(runbook(), async |driver| {
        when(driver, "a worker", |state| version(state, "k8s-node4") == NEW).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "the safe point", |state| !at_work(state)).await;
        pass(driver, 73 * HOUR).await;
        driver.twin.look(|state| {
            assert_eq!(hours(state), ["1", "6", "24", "48", "72"], "{}", slack(state));
            let last = reminders(state).pop().unwrap();
            for words in
                ["K8s upgrade to 1.34.7 has been halted for 72h", "upgrades are halted by", ": disks", "k8s-upgrade halt --lift"]
            {
                assert!(last.contains(words), "{words}: {last}");
            }
        });
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
        pass(driver, 30 * HOUR).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(reminders(&end).len(), 5, "{}", slack(&end));
    assert!(mark(namespace(&end), "reminded").is_none(), "the end of the run leaves nothing of it");
    done(&end, &[]);
}

/// The gate is asked again every ten minutes, by a new Job each time: it is one hold. When it opens, that was it.
#[test]
fn a_run_at_a_gate_is_told_of_as_one_hold() {
    let end = observed(runbook(), async |driver| {
        when(driver, "the control plane", |state| version(state, "k8s-master") == NEW).await;
        driver.twin.edit(|state| fires(state, "NodeDiskFull"));
        pass(driver, 7 * HOUR).await;
        driver.twin.look(|state| {
            assert_eq!(hours(state), ["1", "6"], "{}", slack(state));
            let last = reminders(state).pop().unwrap();
            for words in ["has stood at ", "NodeDiskFull", "\nNext: ", "k8s-upgrade "] {
                assert!(last.contains(words), "{words}: {last}");
            }
            assert!(!last.contains("Out of service"), "{last}");
        });
        driver.twin.edit(|state| state.web.prometheus.injected.retain(|alert| alert.name != "NodeDiskFull"));
        when(driver, "the end", is_over).await;
        pass(driver, 2 * HOUR).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(reminders(&end).len(), 2, "{}", slack(&end));
    done(&end, &[]);
}

/// Deferred, it is not in flight: and yet somebody waits for it.
#[test]
fn a_deferred_run_is_told_until_it_begins() {
    let state = begin(&calm(Scenario::runbook()));
    let end = observed(state, async |driver| {
        driver.twin.edit(|state| fires(state, "NodeDiskFull"));
        when(driver, "a deferral", |state| mark(namespace(state), "deferred").is_some()).await;
        pass(driver, 3 * HOUR).await;
        driver.twin.look(|state| {
            assert!(!in_flight(state), "{}", tail(state, 40));
            assert_eq!(hours(state), ["1"], "{}", slack(state));
            assert!(reminders(state)[0].contains("K8s upgrade to 1.34.7 has been deferred for"), "{}", slack(state));
            assert!(reminders(state)[0].contains("NodeDiskFull"), "{}", slack(state));
        });
        driver.twin.edit(|state| state.web.prometheus.injected.clear());
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    assert_eq!(reminders(&end).len(), 1, "{}", slack(&end));
}

#[test]
fn nobody_is_reminded_who_does_not_want_to_be() {
    let mut scenario = quick(Scenario::runbook());
    scenario.settings.insert("remind".to_owned(), false.into());
    observed(begin(&scenario), async |driver| {
        when(driver, "a run", in_flight).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        pass(driver, 25 * HOUR).await;
        driver.twin.look(|state| {
            assert!(reminders(state).is_empty() && mark(namespace(state), "reminded").is_none(), "{}", slack(state));
        });
    });
}

/// Slack is away: the watch goes on, and tells once it is back.
#[test]
fn a_reminder_that_does_not_arrive_is_sent_again() {
    observed(runbook(), async |driver| {
        when(driver, "a run", in_flight).await;
        assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
        when(driver, "the safe point", |state| !at_work(state)).await;
        driver.twin.edit(|state| {
            let (from, until) = (state.now(), later(state.now(), std::time::Duration::from_secs(3 * HOUR)));
            state.web.troubles.push(Trouble { service: Service::Slack, from, until, how: How::Silent });
        });
        pass(driver, 3 * HOUR).await;
        driver.twin.look(|state| assert!(reminders(state).is_empty(), "{}", slack(state)));
        pass(driver, HOUR).await;
        driver.twin.look(|state| assert_eq!(reminders(state).len(), 1, "{}", slack(state)));
    });
}

/// Dies between a reminder and its record, once for each of the first that come.
struct Killer {
    times: usize,
    killed: BTreeSet<String>,
}

impl Hook for Killer {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let Who::Pod { uid, .. } = &call.who else { return Fate::Go };
        let of_watch =
            state.store.by_uid(Kind::Pod, uid).is_some_and(|(_, pod)| pod["metadata"]["labels"]["app"] == "k8s-upgrade-watch");
        let records = call.what.starts_with("PATCH /api/v1/namespaces/k8s-upgrade") && reminders(state).len() > self.killed.len();
        let kill = of_watch && records && self.killed.len() < self.times && self.killed.insert(uid.clone());
        if kill { Fate::Kill } else { Fate::Go }
    }
}

/// Told twice rather than not at all, and no more than once more for each death.
#[test]
fn a_watch_that_dies_tells_no_more_than_once_more() {
    for times in [1, 2] {
        let killer = Killer { times, killed: BTreeSet::new() };
        let end = live(runbook(), Some(Box::new(killer)), async |driver| {
            when(driver, "a run", in_flight).await;
            assert_eq!(types(driver, "halt", "halt --reason disks").await.0, 0);
            when(driver, "the safe point", |state| !at_work(state)).await;
            pass(driver, LIMIT.as_secs() / 3).await;
            driver.twin.look(State::clone)
        });
        assert_eq!(reminders(&end).len(), 1 + times, "{}", slack(&end));
    }
}

//! Webhooks beside Slack: each is told what it wants, and one that is away keeps nothing from the others.

use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::web::{How, Received, Service, Trouble};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::{Value, json};

use super::world::{Disk, amiss, begin, cordoned_by_people, in_flight, live, pass, quick, tail, to_the_end, types_with, when};

fn scenario() -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    let webhooks = json!({
        "all": { "body": "{\"kind\": \"{kind}\", \"place\": \"{place}\", \"target\": \"{target}\", \"text\": \"{text}\"}" },
        "ends": { "body": "{kind} {cluster}", "content-type": "text/plain", "only": ["done", "failed"] },
    });
    scenario.settings.insert("webhooks".to_owned(), webhooks);
    scenario
}

fn told<'a>(state: &'a State, name: &str) -> Vec<&'a Received> {
    state.web.received.iter().filter(|received| received.name == name).collect()
}

/// Slack is told all, and so is one that says nothing else.
#[test]
fn each_is_told_what_it_wants_in_its_own_form() {
    let scenario = scenario();
    let end = to_the_end(begin(&scenario), None);
    assert_eq!(amiss(&end, &scenario.target.to_string(), &cordoned_by_people(&end)), Vec::<String>::new());
    let all: Vec<Value> = told(&end, "all").iter().map(|received| serde_json::from_str(&received.body).unwrap()).collect();
    let texts: Vec<&str> = all.iter().map(|message| message["text"].as_str().unwrap()).collect();
    let slack: Vec<&str> = end.web.slack.messages.iter().map(|message| message.text.as_str()).collect();
    assert!(!slack.is_empty() && texts == slack, "{texts:?} {slack:?}");
    assert!(all.iter().all(|message| message["target"] == "1.34.7"), "{all:?}");
    let of_node = all.iter().filter(|message| message["kind"] == "node-done" && message["place"] == "k8s-node3");
    assert_eq!(of_node.count(), 1, "{all:?}");
    let [done] = told(&end, "ends")[..] else { panic!("{:?}", told(&end, "ends")) };
    assert!(done.body.starts_with("done ") && done.content_type == "text/plain", "{done:?}");
}

/// Slack never answers: others are told once each, and a hold is recorded as told.
#[test]
fn one_that_is_away_keeps_nothing_from_the_others() {
    let mut state = begin(&scenario());
    let (from, until) = (state.now(), later(state.now(), Duration::from_secs(48 * 3600)));
    state.web.troubles.push(Trouble { service: Service::Slack, from, until, how: How::Silent });
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 100);
    live(state, None, async |driver| {
        when(driver, "a run", in_flight).await;
        pass(driver, 3 * 3600).await;
        driver.twin.look(|state| {
            assert!(state.web.slack.messages.is_empty());
            let failed = told(state, "ends");
            assert_eq!(failed.len(), 1, "{failed:?}\n{}", tail(state, 20));
        });
    });
}

#[test]
fn check_says_who_is_told_of_what_and_sends_nothing() {
    live(begin(&scenario()), None, async |driver| {
        let config = json!({ "webhooks": {
            "ends": { "body": "{}", "only": ["done", "failed"] },
            "pager": { "body": "{}" },
        }});
        let files = Disk::from([("/home/ann/config.yaml".into(), config.to_string().into_bytes().into())]);
        let (_, said) = types_with(driver, "look", "check --config /home/ann/config.yaml", files).await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in [
            "the webhook ends at webhook.example is told of done, failed",
            "the webhook pager of the settings has no URL in the Secret",
        ] {
            assert!(said.contains(says), "{says}: {said}");
        }
        assert!(!said.contains("webhook.example/"), "the secret: {said}");
        driver.twin.look(|state| assert!(state.web.received.is_empty()));
    });
}

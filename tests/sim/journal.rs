//! Journals, their report, and what Slack is told: whole runs, cut and mended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::plan::model::journal::{Head, Journal, KEPT, name};
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Service, Trouble};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State};
use serde_json::{Value, json};

use super::world::{
    LIMIT, NAMESPACE, amiss, at_work, begin, cordoned_by_people, in_flight, is_over, jobs, live, mark, namespace, quick, tail,
    to_the_end, version_of,
};

const NEW: &str = "1.34.7";

fn runbook() -> State {
    begin(&quick(Scenario::runbook()))
}

fn done(state: &State) {
    let wrong = amiss(state, NEW, &cordoned_by_people(state));
    assert!(wrong.is_empty() && is_over(state), "{}\n{}\n{}", wrong.join("\n"), jobs(state), tail(state, 60));
}

async fn when(driver: &mut Driver<'_>, what: &str, holds: impl FnMut(&State) -> bool) {
    let limit = later(driver.twin.now(), LIMIT);
    let held = driver.until(limit, holds).await;
    assert!(held, "{what} never came\n{}", driver.twin.look(|state| format!("{}\n{}", jobs(state), tail(state, 60))));
}

/// A person's command: its exit code and all that it said.
async fn types(driver: &mut Driver<'_>, name: &str, argv: &[&str]) -> (Option<u8>, String) {
    let env = BTreeMap::from([("USER".to_owned(), "alice".to_owned())]);
    let files = BTreeMap::from([("/etc/hostname".into(), Arc::from(b"laptop\n".as_slice()))]);
    driver.operate_with(name, argv, env, files);
    let limit = later(driver.twin.now(), LIMIT);
    let code = driver.until_ended(name, limit).await;
    (code, driver.twin.look(|state| state.logs[&format!("operator/{name}")].all().join("\n")))
}

fn maps(state: &State) -> Vec<(&Key, &Value)> {
    let ours = |map: &Value| map["metadata"]["labels"]["app"] == "k8s-upgrade-journal";
    state.store.list(Kind::ConfigMap).filter(|(_, map)| ours(map)).map(|(key, map)| (key, &**map)).collect()
}

fn journals(state: &State) -> Vec<Journal> {
    let read = |(key, map): (&Key, &Value)| {
        let data: BTreeMap<String, String> = serde_json::from_value(map["data"].clone()).unwrap();
        let journal = Journal::read(&data).unwrap();
        assert_eq!(key.name, name(&journal.head));
        journal
    };
    maps(state).into_iter().map(read).collect()
}

fn slack(state: &State) -> Vec<String> {
    state.web.slack.messages.iter().map(|message| message.text.clone()).collect()
}

fn counted(state: &State, what: &str) -> usize {
    slack(state).iter().filter(|text| text.contains(what)).count()
}

fn out_of_service(state: &State, node: &str) -> bool {
    state.store.get(&Key::node(node)).is_some_and(|node| mark(node, "cordoned-by").is_some())
}

fn says(text: &str, what: &str) {
    assert!(text.contains(what), "nothing says {what:?}:\n{text}");
}

/// Killed in the middle of a node, tried again by its Job, and told from journals after every Job is gone.
#[test]
fn a_run_that_was_cut_is_told_whole() {
    let (end, text, json) = live(runbook(), None, async |driver| {
        when(driver, "a drain", |state| at_work(state) && out_of_service(state, "k8s-node4")).await;
        // A few seconds into the drain, the write at its begin is there.
        let soon = later(driver.twin.now(), Duration::from_secs(3));
        driver.until(soon, |_| false).await;
        driver.twin.edit(State::kill_programs);
        let (code, said) = types(driver, "early", &["k8s-upgrade", "report"]).await;
        assert_eq!(code, Some(0), "{said}");
        says(&said, "in flight");
        when(driver, "the end", is_over).await;
        let end = driver.twin.look(State::clone);
        driver.twin.edit(|state| {
            let finished: Vec<Key> =
                state.store.list(Kind::Job).filter(|(key, _)| key.namespace == NAMESPACE).map(|(key, _)| key.clone()).collect();
            finished.iter().for_each(|job| drop(state.store.remove(job)));
        });
        let (code, text) = types(driver, "text", &["k8s-upgrade", "report"]).await;
        assert_eq!(code, Some(0), "{text}");
        let (code, json) = types(driver, "json", &["k8s-upgrade", "report", "-o", "json"]).await;
        assert_eq!(code, Some(0), "{json}");
        let (code, page) = types(driver, "html", &["k8s-upgrade", "report", "-o", "html"]).await;
        assert_eq!(code, Some(0), "{page}");
        says(&page, "<svg ");
        says(&page, "no word of k8s-upgrade-worker-1-34-7-k8s-node4");
        let (code, said) = types(driver, "unknown", &["k8s-upgrade", "report", "0badcafe"]).await;
        assert_eq!(code, Some(2), "{said}");
        let known = journals(&driver.twin.look(State::clone))[0].head.run.clone();
        says(&said, &format!("{known}  began 2026-"));
        (end, text, json)
    });
    let story: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!((&story["result"], &story["from"], &story["target"]), (&json!("complete"), &json!("1.34.2"), &json!(NEW)));
    let rows: Vec<(&str, u64, bool)> = (story["phases"].as_array().unwrap().iter())
        .map(|phase| (phase["place"].as_str().unwrap(), phase["attempt"].as_u64().unwrap(), phase["result"] == "done"))
        .collect();
    let wanted = [
        ("preflight", 1, true),
        ("k8s-master", 1, true),
        ("k8s-node4", 1, false),
        ("k8s-node4", 2, true),
        ("k8s-node3", 1, true),
        ("k8s-node2", 1, true),
        ("k8s-node1", 1, true),
        ("postflight", 1, true),
    ];
    assert_eq!(rows, wanted, "{text}");
    let nodes: Vec<&str> =
        story["outOfService"].as_array().unwrap().iter().filter_map(|outage| outage["node"].as_str()).collect();
    let mut once = nodes.clone();
    once.dedup();
    // The cut node may have been put back into service before it was taken out again.
    assert_eq!(once, ["k8s-master", "k8s-node4", "k8s-node3", "k8s-node2", "k8s-node1"], "{text}");
    let costs = |outage: &Value| outage["seconds"].as_u64().is_some_and(|seconds| seconds > 0);
    assert!(story["outOfService"].as_array().unwrap().iter().all(costs), "{text}");
    let missing: Vec<&str> = story["missing"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(missing.len() == 1 && missing[0].contains("k8s-upgrade-worker-1-34-7-k8s-node4"), "{missing:?}");
    assert!(missing[0].ends_with("it was killed or cut off"), "{missing:?}");
    says(&text, "drain, not ended");
    says(&text, "killed or cut off after ");
    says(&text, " went on at ");
    says(&text, "etcd snapshot /");
    // Nothing secret, and no line that a program on a node has printed.
    let all = maps(&end).iter().map(|(_, map)| map.to_string()).collect::<String>();
    assert!(!all.contains("PRIVATE KEY") && !all.contains("hooks.slack.com") && !all.contains("[upgrade"), "{all}");
    // One write a step: the begin, cordon, drain, three of packages and kubeadm, uncordon, the end.
    let of = |pod: &str| end.history.newest().filter(|line| line.contains(pod) && line.contains("journal-")).count();
    let pod = journals(&end).into_iter().find(|journal| journal.head.place == "k8s-node3").unwrap().head.writer;
    // The first creates it, at the address of them all.
    assert_eq!(of(&format!("{pod}: PATCH")), 7, "{}", tail(&end, 400));
    done(&end);
}

/// A step that fails again and again is told once, a person's new try once more, and its end.
#[test]
fn slack_is_told_once_however_often_a_step_is_tried() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "a drain", |state| out_of_service(state, "k8s-node4")).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = u32::MAX));
        let dead = |state: &State| {
            let job = state.store.get(&Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4"));
            job.is_some_and(|job| {
                let failed = job["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Failed");
                // taken up as often as it ever is
                failed && mark(job, "taken-up") == Some("3")
            })
        };
        when(driver, "the last try of the watch", dead).await;
        driver.twin.look(|state| {
            let told = slack(state);
            assert_eq!(counted(state, "🛑"), 1, "{told:#?}");
            says(&told.join("\n"), "k8s-node4: kubeadm upgrade node failed");
            says(&told.join("\n"), "k8s-upgrade resume");
            assert_eq!(mark(namespace(state), "told"), Some("failed k8s-node4"));
        });
        // A person who tries again in vain hears of it, once.
        assert_eq!(types(driver, "vain", &["k8s-upgrade", "resume", "--yes"]).await.0, Some(0));
        when(driver, "a second message", |state| counted(state, "🛑") == 2).await;
        let later = later(driver.twin.now(), Duration::from_secs(1200));
        driver.until(later, |_| false).await;
        assert_eq!(driver.twin.look(|state| counted(state, "🛑")), 2);
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 0));
        if !driver.twin.look(at_work) {
            types(driver, "mended", &["k8s-upgrade", "resume", "--yes"]).await;
        }
        when(driver, "the end", is_over).await;
        let (_, text) = types(driver, "report", &["k8s-upgrade", "report"]).await;
        says(&text, "alice@laptop  ");
        says(&text, "k8s-upgrade resume --yes");
        says(&text, "k8s-node4 (attempt 3)");
        says(&text, "failed: kubeadm upgrade node failed");
        driver.twin.look(State::clone)
    });
    let told = slack(&end);
    for (what, times) in [("begins", 1), ("✔️", 5), ("✅", 1), ("🛑", 2)] {
        assert_eq!(counted(&end, what), times, "{what} {told:#?}");
    }
    done(&end);
}

/// A message that never arrived is none that was told: the next try of the step has it to tell.
#[test]
fn a_message_that_was_lost_is_told_by_the_next_try() {
    live(runbook(), None, async |driver| {
        when(driver, "a drain", |state| out_of_service(state, "k8s-node4")).await;
        driver.twin.edit(|state| {
            state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = u32::MAX);
            let (from, until) = (state.now(), jiff::Timestamp::MAX);
            state.web.troubles.push(Trouble { service: Service::Slack, from, until, how: How::Status(503) });
        });
        let worker = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node4");
        let tried = |state: &State| state.store.get(&worker).is_some_and(|job| job["status"]["failed"].as_u64() >= Some(1));
        when(driver, "a try that failed", tried).await;
        driver.twin.edit(|state| {
            assert_eq!((counted(state, "🛑"), mark(namespace(state), "told")), (0, None));
            state.web.troubles.clear();
        });
        when(driver, "the next try's word", |state| counted(state, "🛑") == 1).await;
        when(driver, "its mark", |state| mark(namespace(state), "told") == Some("failed k8s-node4")).await;
    });
}

/// A Slack that takes its time.
#[derive(Default)]
struct Slow(Arc<Mutex<Created>>);

/// Jobs of the run, and before which of them a node was done that nobody had been told of.
#[derive(Default)]
struct Created {
    jobs: usize,
    untold: Vec<String>,
}

impl Hook for Slow {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if call.what.contains("hooks.slack.com") {
            return Fate::Late(Duration::from_secs(5));
        }
        if call.what.starts_with("POST ") && call.what.contains(&format!("/namespaces/{NAMESPACE}/jobs?")) {
            self.0.lock().unwrap().jobs += 1;
            let is_done = |node: &Value| version_of(node) == NEW && node["spec"]["unschedulable"] != true;
            let done = state.store.list(Kind::Node).filter(|(_, node)| is_done(node)).count();
            let told = counted(state, "✔️");
            if done != told {
                self.0.lock().unwrap().untold.push(format!("{done} nodes are done, {told} told"));
            }
        }
        Fate::Go
    }
}

/// Else messages come out of their order, or are lost with the pod that had them.
#[test]
fn what_a_step_has_to_tell_leaves_before_the_next_begins() {
    let slow = Slow::default();
    let created = slow.0.clone();
    let end = to_the_end(runbook(), Some(Box::new(slow)));
    let created = created.lock().unwrap();
    // Preflight, five nodes, postflight.
    assert!(created.untold.is_empty() && created.jobs == 7, "{}: {:#?}", created.jobs, created.untold);
    assert_eq!(counted(&end, "✔️"), 5);
    done(&end);
}

/// The report of a run in which `hands` skipped a worker by force, as text and as data; what was refused before is not taken for it.
pub fn names_who_skipped_what_and_why(end: &State) {
    let command = "k8s-upgrade skip-phase worker k8s-node3 --force --reason disk --yes";
    let skipped = "skipped worker/k8s-node3 (by operator-";
    let (text, json) = live(end.clone(), None, async |driver| {
        let (_, text) = types(driver, "text", &["k8s-upgrade", "report"]).await;
        (text, types(driver, "json", &["k8s-upgrade", "report", "-o", "json"]).await.1)
    });
    let story: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(story["result"], "partial", "{story:#}");
    let typed: Vec<&Value> = story["byHand"].as_array().unwrap().iter().filter(|hand| hand["command"] == command).collect();
    assert!(matches!(typed[..], [hand] if hand["result"] == "done" && hand["who"] == "operator"), "{story:#}");
    let timeline = story["timeline"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap());
    let told: Vec<&str> =
        timeline.filter(|line| line.starts_with(skipped) && line.contains(": disk); the run will end")).collect();
    assert_eq!(told.len(), 1, "{story:#}");
    let row = text.lines().find(|line| line.contains(command)).unwrap_or_else(|| panic!("{text}"));
    assert!(row.trim_start().starts_with("operator ") && row.ends_with("  done"), "{text}");
    assert!(text.contains(told[0]) && text.contains("partial after"), "{text}");
}

/// Neither a Slack that never answers nor an API server that takes no journal stops a run; the latter is told once a process.
#[test]
fn without_slack_and_without_journals_a_run_goes_on() {
    let mut state = runbook();
    let from = state.now();
    state.web.troubles.push(Trouble { service: Service::Slack, from, until: jiff::Timestamp::MAX, how: How::Silent });
    let roles: Vec<Key> = state.store.list(Kind::Role).map(|(key, _)| key.clone()).collect();
    for role in roles {
        state.store.update(&role, |role| {
            let journal = |rule: &Value| rule["resources"] == json!(["configmaps"]) && rule.get("resourceNames").is_none();
            role["rules"].as_array_mut().unwrap().retain(|rule| !journal(rule));
        });
    }
    let end = to_the_end(state, None);
    done(&end);
    assert!(maps(&end).is_empty() && slack(&end).is_empty());
    let said = |log: &str| log.matches("journal  warning: could not be written, the run goes on").count();
    let logs = end.logs.values().map(|log| log.all().join("\n"));
    let told: Vec<usize> = logs.filter(|log| log.contains("k8s-node4  drain: done")).map(|log| said(&log)).collect();
    assert_eq!(told, [1]);
}

/// What is not claimed leaves no journal; a claim leaves the last runs.
#[test]
fn a_claim_prunes_and_a_refusal_leaves_nothing() {
    let mut state = runbook();
    let start = state.now();
    let old = |number: i64| Head {
        run: format!("old{number}"),
        writer: "w".to_owned(),
        begun: start - Duration::from_secs(3600 * (20 - number).unsigned_abs()),
        ..Head::default()
    };
    for number in 0..12 {
        let mut journal = Journal { head: old(number), ..Journal::default() };
        let map = json!({
            "metadata": { "name": name(&journal.head), "namespace": NAMESPACE, "labels": { "app": "k8s-upgrade-journal" } },
            "data": journal.data().unwrap(),
        });
        state.store.create(start, Kind::ConfigMap, map).unwrap();
    }
    let mut refused = state.clone();
    refused.hosts.change("k8s-node3", |machine| machine.stray_manifests.push("/etc/kubernetes/manifests/x.bak".to_owned()));
    let refused = live(refused, None, async |driver| {
        when(driver, "a refusal", |state| counted(state, "🛑") == 1 && !at_work(state)).await;
        driver.twin.look(State::clone)
    });
    assert!(!in_flight(&refused) && maps(&refused).len() == 12, "{:?}", maps(&refused));
    let end = to_the_end(state, None);
    done(&end);
    let mut runs: Vec<String> = journals(&end).into_iter().map(|journal| journal.head.run).collect();
    runs.dedup();
    let old = runs.iter().filter(|run| run.starts_with("old")).count();
    assert_eq!((runs.len(), old), (KEPT, KEPT - 1), "{runs:?}");
    assert!(!runs.contains(&"old2".to_owned()) && runs.contains(&"old3".to_owned()), "{runs:?}");
}

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::state::later;
use super::super::store::{Key, Kind};
use super::*;
use crate::names::*;

const ALERTS: &str = "http://prometheus-server.monitoring.svc:80/api/v1/alerts";
const PUSH: &str = "http://prometheus-prometheus-pushgateway.monitoring.svc:9091/metrics/job/k8s-version-upgrade";

/// A request without headers.
fn serve(state: &mut State, method: &str, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
    super::serve(state, method, url, &HeaderMap::new(), body)
}

fn world() -> State {
    let mut state = State::new("2026-11-22T12:00:00Z".parse().unwrap(), 1);
    for (name, version) in [("n1", "v1.34.2"), ("n2", "v1.34.2")] {
        state.hosts.add(name, name, "1.34.2", "1.7.28", false, "");
        let node = json!({ "metadata": { "name": name }, "status": {
            "nodeInfo": { "kubeletVersion": version }, "conditions": [{ "type": "Ready", "status": "True" }] } });
        let now = state.now();
        state.store.create(now, Kind::Node, node).unwrap();
    }
    begin(&mut state);
    state
}

fn pass(state: &mut State, minutes: u64) {
    let then = later(state.now(), Duration::from_secs(minutes * 60));
    state.advance(then, |_| ());
}

fn push(state: &mut State, text: &str) -> u16 {
    serve(state, "POST", PUSH, text.as_bytes()).unwrap().0
}

/// Names of alerts and their states, as the API tells them.
fn alerts(state: &mut State) -> BTreeMap<String, String> {
    let (code, body) = serve(state, "GET", ALERTS, b"").unwrap();
    assert_eq!(code, 200);
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = answer["data"]["alerts"].as_array().unwrap();
    all.iter().map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["state"]))).collect()
}

#[track_caller]
fn assert_alerts(state: &mut State, wanted: &[(&str, &str)]) {
    let wanted = wanted.iter().chain(&[(ALERT_WATCHDOG, "firing")]).map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(alerts(state), wanted, "at {}", state.now());
}

#[test]
fn the_rules_follow_the_gauges_and_the_versions() {
    let mut state = world();
    assert_alerts(&mut state, &[]);
    assert_eq!(
        push(
            &mut state,
            "# TYPE k8s_upgrade_in_flight gauge\nk8s_upgrade_in_flight 1\nk8s_upgrade_progress_timestamp 1795348800\n"
        ),
        200
    );
    assert_alerts(&mut state, &[]); // nothing has been scraped yet
    pass(&mut state, 1);
    assert_alerts(&mut state, &[(ALERT_IN_FLIGHT, "firing"), (ALERT_SNAPSHOT_MISSING, "pending")]);
    pass(&mut state, 10);
    assert_alerts(&mut state, &[(ALERT_IN_FLIGHT, "firing"), (ALERT_SNAPSHOT_MISSING, "firing")]);
    push(&mut state, "k8s_upgrade_snapshot_taken 1\n");
    state.store.update(&Key::node("n1"), |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.34.7"));
    pass(&mut state, 1);
    assert_alerts(&mut state, &[(ALERT_IN_FLIGHT, "firing"), (ALERT_SKEW, "pending")]);
    pass(&mut state, 80);
    let stalled = [(ALERT_IN_FLIGHT, "firing"), (ALERT_SKEW, "firing")];
    assert_alerts(&mut state, &[stalled.as_slice(), &[(ALERT_STALLED, "pending")]].concat());
    pass(&mut state, 5);
    assert_alerts(&mut state, &[stalled.as_slice(), &[(ALERT_STALLED, "firing")]].concat());
    state.web.pushgateway.restart();
    state.store.update(&Key::node("n2"), |node| node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.34.7"));
    pass(&mut state, 1);
    assert_alerts(&mut state, &[]);
    let values: Vec<_> = state.web.pushgateway.pushed.iter().map(|p| (p.series.as_str(), p.value)).collect();
    assert_eq!(
        values,
        [(METRIC_IN_FLIGHT, 1.0), (METRIC_PROGRESS, 1_795_348_800.0), (METRIC_SNAPSHOT, 1.0)],
        "a restart forgets the groups, not what was pushed"
    );
    assert_eq!(state.unmodelled, Vec::<String>::new());
}

#[test]
fn alerts_set_off_by_hand_and_reboots() {
    let mut state = world();
    let (from, until) = (later(state.now(), Duration::from_secs(60)), later(state.now(), Duration::from_secs(120)));
    state.web.prometheus.injected.push(Injected { name: "DiskFull".into(), labels: BTreeMap::new(), from, until });
    assert_alerts(&mut state, &[]);
    pass(&mut state, 1);
    assert_alerts(&mut state, &[("DiskFull", "firing")]);
    booted(&mut state, "n1");
    pass(&mut state, 1);
    assert_alerts(&mut state, &[(ALERT_RECENT_REBOOT, "firing")]);
    pass(&mut state, 24 * 60);
    assert_alerts(&mut state, &[]);
}

#[test]
fn a_service_is_out_of_order_for_its_span_only() {
    let mut state = world();
    let from = state.now();
    let until = later(from, Duration::from_secs(60));
    for (how, wanted) in [
        (How::Refused, Err("connection refused".to_owned())),
        (How::Silent, Err("i/o timeout".to_owned())),
        (How::Nonsense, Ok(200)),
        (How::Status(500), Ok(500)),
    ] {
        state.web.troubles = vec![Trouble { service: Service::Prometheus, from, until, how }];
        assert_eq!(serve(&mut state, "GET", ALERTS, b"").map(|(code, _)| code), wanted);
    }
    assert_eq!(push(&mut state, "k8s_upgrade_in_flight 1\n"), 200);
    pass(&mut state, 1);
    assert!(alerts(&mut state).contains_key(ALERT_IN_FLIGHT));
}

#[test]
fn what_is_no_exposition_is_refused() {
    let mut state = world();
    for text in ["k8s_upgrade_in_flight 1", "k8s_upgrade_in_flight\n", "k8s_upgrade_in_flight one\n", "a-b 1\n", "a 1\na 2\n"] {
        assert_eq!(push(&mut state, text), 400, "{text:?}");
    }
    assert!(state.web.pushgateway.groups.is_empty());
}

#[test]
fn a_metric_that_is_pushed_again_replaces_its_series() {
    let mut state = world();
    push(&mut state, "a{kind=\"patch\",target=\"1.34.7\"} 1\na{kind=\"minor\",target=\"\"} 0\nb 1\n");
    push(&mut state, "a{kind=\"patch\",target=\"\"} 0\n");
    let group = &state.web.pushgateway.groups["k8s-version-upgrade"];
    assert_eq!(group.keys().collect::<Vec<_>>(), ["a{kind=\"patch\",target=\"\"}", "b"]);
}

#[test]
fn releases_appear_at_their_time() {
    let mut state = world();
    let later = later(state.now(), Duration::from_secs(60));
    let now = state.now();
    state.web.packages.release("1.34.2".parse().unwrap(), now);
    state.web.packages.revised("1.34.10".parse().unwrap(), "2.1", later);
    assert_eq!(offered(&state, 34), Ok(Some(vec!["1.34.2-1.1".to_owned()])));
    pass(&mut state, 1);
    assert_eq!(offered(&state, 34), Ok(Some(vec!["1.34.2-1.1".to_owned(), "1.34.10-2.1".to_owned()])));
    assert_eq!(offered(&state, 35), Ok(None));
    let ask = |state: &mut State, minor| {
        serve(state, "GET", &format!("{PACKAGES}/core:/stable:/v1.{minor}/deb/Packages"), b"").unwrap()
    };
    let (code, body) = ask(&mut state, 34);
    assert!(code == 200 && String::from_utf8(body).unwrap().contains("Package: kubeadm\nVersion: 1.34.10-2.1\n"));
    assert_eq!(ask(&mut state, 35).0, 403);
}

#[test]
fn slack_keeps_what_it_is_told() {
    let mut state = world();
    let body = br#"{"text":"1.34.2 -&gt; 1.34.7 &amp; on"}"#;
    assert_eq!(serve(&mut state, "POST", WEBHOOK, body).unwrap().0, 200);
    assert_eq!(state.web.slack.messages[0].text, "1.34.2 -> 1.34.7 & on");
    assert_eq!(serve(&mut state, "POST", "https://hooks.slack.com/services/other", body).unwrap().0, 403);
}

#[test]
fn what_is_not_modelled_is_recorded_without_secrets() {
    let mut state = world();
    assert_eq!(serve(&mut state, "GET", "http://prometheus-server.monitoring.svc:80/api/v1/query?query=up", b"").unwrap().0, 501);
    assert!(serve(&mut state, "GET", "https://vault.example/v1/secret", b"").is_err());
    assert_eq!(serve(&mut state, "PUT", WEBHOOK, b"").unwrap().0, 501);
    assert_eq!(
        state.unmodelled,
        ["Prometheus: GET /api/v1/query?query=up", "web: GET https://vault.example", "Slack: PUT https://hooks.slack.com"]
    );
}

#[test]
fn the_settings_name_the_addresses() {
    let mut state = world();
    state.web.listen(Service::Prometheus, "http://10.0.0.9:9090/");
    state.web.listen(Service::Pushgateway, "push/gateway:9091");
    assert_eq!(serve(&mut state, "GET", "http://10.0.0.9:9090/api/v1/alerts", b"").unwrap().0, 200);
    assert_eq!(serve(&mut state, "POST", "http://gateway.push.svc:9091/metrics/job/j", b"a 1\n").unwrap().0, 200);
}

/// Through the door: what a client makes of it, and what the history says.
#[test]
fn the_door_keeps_the_secret_and_the_deadline() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let twin = Twin::new(world(), None);
        let http = Http { twin: twin.clone(), who: Who::Operator("me".into()) };
        let post = || Request::post(WEBHOOK).body(Bytes::from_static(br#"{"text":"hello"}"#)).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(http.send(post(), Bounds::new(second, 1024)).await.unwrap().status(), 200);
        let away = |how| {
            twin.edit(|state| {
                let (from, until) = (state.now(), later(state.now(), Duration::from_secs(60)));
                state.web.troubles = vec![Trouble { service: Service::Slack, from, until, how }];
            });
        };
        away(How::Silent);
        let place = "https://hooks.slack.com".to_owned();
        assert_eq!(http.send(post(), Bounds::new(second, 1024)).await.unwrap_err(), WebError::Deadline(place.clone(), second));
        away(How::Refused);
        assert_eq!(
            http.send(post(), Bounds::new(second, 1024)).await.unwrap_err(),
            WebError::Unreachable(place, "connection refused".into())
        );
        let history: Vec<String> = twin.look(|state| state.history.all().iter().map(|line| (*line).to_owned()).collect());
        assert!(history.iter().all(|line| !line.contains("services")), "{history:?}");
        assert_eq!(twin.look(|state| (state.tally.changes, state.web.slack.messages.len())), (3, 1));
    });
}

const SECRET: &str = "secret/data/k8s-upgrade";

/// Vault's answer to whoever has its token, `t`, or another.
fn ask_vault(state: &mut State, request: (&str, &str), token: &str, kind: &str, body: &Value) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("X-Vault-Token", token.parse().unwrap());
    headers.insert("content-type", kind.parse().unwrap());
    state.web.vault.token = "t".to_owned();
    let url = format!("https://vault.rehearsal:8200/v1/{}", request.1);
    let (code, body) = super::serve(state, request.0, &url, &headers, body.to_string().as_bytes()).unwrap();
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

/// As Vault 1.21 in dev mode answers; `tests/run vault` holds the client to a real one.
#[test]
fn vault_keeps_versions_and_checks_them() {
    let mut state = world();
    let mut ask =
        |method: &str, token: &str, kind: &str, body: Value| ask_vault(&mut state, (method, SECRET), token, kind, &body);
    let write = |cas: u64, data: Value| json!({ "options": { "cas": cas }, "data": data });
    let (json_type, merge) = ("application/json", "application/merge-patch+json");
    assert_eq!(ask("GET", "t", json_type, Value::Null).0, 404);
    assert_eq!(ask("PATCH", "t", merge, write(0, json!({ "a": "1" }))).0, 404);
    assert_eq!(ask("POST", "t", json_type, write(0, json!({ "a": "1", "b": "2" }))).1["data"]["version"], 1);
    assert_eq!(ask("POST", "t", json_type, write(0, json!({ "a": "1" }))).0, 400);
    assert_eq!(ask("PATCH", "t", merge, write(1, json!({ "a": "3", "b": null }))).1["data"]["version"], 2);
    let (code, stale) = ask("PATCH", "t", merge, write(1, json!({ "a": "4" })));
    assert_eq!((code, stale["errors"][0].as_str()), (400, Some("check-and-set parameter did not match the current version")));
    assert_eq!(ask("PATCH", "t", json_type, write(2, json!({}))).0, 415);
    assert_eq!(ask("GET", "other", json_type, Value::Null).0, 403);
    let read = ask("GET", "t", json_type, Value::Null).1;
    assert_eq!((&read["data"]["data"], &read["data"]["metadata"]["version"]), (&json!({ "a": "3" }), &json!(2)));
}

/// What a mount is, what a token may, and what a mount of version 1 makes of the same requests.
#[test]
fn vault_says_what_it_is() {
    const MOUNT: &str = "sys/internal/ui/mounts/secret";
    let mut state = world();
    let json_type = "application/json";
    let mount = ask_vault(&mut state, ("GET", MOUNT), "t", json_type, &Value::Null).1;
    assert_eq!((&mount["data"]["path"], &mount["data"]["options"]["version"]), (&json!("secret/"), &json!("2")));
    let paths = json!({ "paths": [SECRET, "other/data/k8s-upgrade"] });
    let may = ask_vault(&mut state, ("POST", "sys/capabilities-self"), "t", json_type, &paths).1;
    assert_eq!(may["data"], json!({ SECRET: ["create", "patch", "read", "update"], "other/data/k8s-upgrade": ["deny"] }));
    assert_eq!(ask_vault(&mut state, ("GET", MOUNT), "other", json_type, &Value::Null).0, 403);
    state.web.vault.version_1 = Some(Value::Null);
    assert!(ask_vault(&mut state, ("GET", MOUNT), "t", json_type, &Value::Null).1["data"]["options"]["version"].is_null());
    assert_eq!(ask_vault(&mut state, ("GET", SECRET), "t", json_type, &Value::Null).0, 404);
    let probe = json!({ "options": { "cas": 2_147_483_647 }, "data": {} });
    assert_eq!(ask_vault(&mut state, ("PATCH", SECRET), "t", "application/merge-patch+json", &probe).0, 405);
    assert_eq!(ask_vault(&mut state, ("POST", SECRET), "t", json_type, &probe).0, 204, "it is taken for data");
    assert_eq!(ask_vault(&mut state, ("GET", SECRET), "t", json_type, &Value::Null).1["data"], probe);
}

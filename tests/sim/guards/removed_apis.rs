//! A minor version that no longer serves what somebody calls: refused by name while nothing has changed, on every API server's own word; a patch
//! takes nothing away, and a person may go on knowingly.

use jiff::Timestamp;
use k8s_upgrade::twin::State;
use k8s_upgrade::twin::hosts::deprecated_call;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::Kind;
use serde_json::json;

use super::super::hands::{observed, ours, slack};
use super::super::recovery::watch;
use super::super::world::{at_work, begin, in_flight, is_over, live, pass, quick, tail, types, when};

const OLD: &str = "networking.k8s.io/v1beta1/ipaddresses";
const LOOK: &str = "preflight --target 1.35.4 --dry-run";

/// The runbook's cluster on its way to another minor version.
fn minor(settings: &[(&str, serde_json::Value)]) -> State {
    let mut scenario = quick(Scenario::runbook_minor());
    settings.iter().for_each(|(key, value)| drop(scenario.settings.insert((*key).to_owned(), value.clone())));
    begin(&scenario)
}

fn called(state: &mut State, api: &str, removed: &str) {
    state.hosts.change("k8s-master", |machine| machine.deprecated.insert(deprecated_call(api, removed)));
}

fn looks(state: State, line: &str, code: u8, says: &[&str]) {
    live(state, None, async |driver| {
        let (ended, said) = types(driver, "look", line).await;
        assert_eq!(ended, code, "{said}");
        says.iter().for_each(|words| assert!(said.contains(words), "not {words:?}:\n{said}"));
        driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
    });
}

#[test]
pub fn a_minor_version_that_no_longer_serves_what_is_called() {
    let mut state = minor(&[]);
    called(&mut state, OLD, "1.35");
    called(&mut state, "v1/endpoints", "");
    called(&mut state, "coordination.k8s.io/v1alpha2/leasecandidates", "1.38");
    looks(
        state,
        LOOK,
        4,
        &[
            "removed APIs: ",
            &format!("{OLD}: not served from 1.35 on, and called at k8s-master since its start at <time>"),
            "sudo pkill -x kube-apiserver    # on k8s-master",
            &format!("removed-apis-ignore: [{OLD}]"),
            "still served by 1.35: coordination.k8s.io/v1alpha2/leasecandidates (until 1.38), v1/endpoints",
        ],
    );
}

/// The chain itself is refused before it begins; once the caller is mended and that API server has started again, it goes to its end.
#[test]
fn it_begins_once_its_caller_is_mended_and_the_api_server_has_forgotten() {
    let mut state = minor(&[]);
    called(&mut state, OLD, "1.35");
    watch(&mut state, false);
    observed(state, async |driver| {
        when(driver, "a refusal", |state| slack(state).contains(OLD)).await;
        when(driver, "nobody at work", |state| !at_work(state)).await;
        pass(driver, 60).await;
        driver.twin.look(|state| assert!(!in_flight(state), "{}", tail(state, 40)));
        driver.twin.edit(|state| {
            let now = state.now();
            state.hosts.change("k8s-master", |machine| machine.api_starts(now));
        });
        assert_eq!(types(driver, "start", "start --target 1.35.4 --yes").await.0, 0);
        when(driver, "a run", in_flight).await;
        when(driver, "the end", is_over).await;
    });
}

#[test]
fn a_person_goes_on_knowingly_and_is_told() {
    let mut state = minor(&[("removed-apis-ignore", json!([OLD]))]);
    called(&mut state, OLD, "1.35");
    let knowingly = format!("{LOOK} --set removed-apis-ignore={OLD}");
    looks(state.clone(), &knowingly, 0, &["gate removed APIs: pass", "the setting removed-apis-ignore lets it pass"]);
    called(&mut state, "networking.k8s.io/v1beta1/servicecidrs", "1.35");
    let both = format!("removed-apis-ignore: [{OLD}, networking.k8s.io/v1beta1/servicecidrs]");
    looks(state, &knowingly, 4, &["networking.k8s.io/v1beta1/servicecidrs: not served", &both]);
}

#[test]
fn check_names_it_before_anybody_goes_there() {
    let mut state = minor(&[]);
    called(&mut state, OLD, "1.35");
    looks(
        state,
        "check",
        4,
        &["deprecated APIs", "✗ 1 API(s) are called that 1.35 no longer serves", "kubectl get ipaddresses.networking.k8s.io"],
    );
}

#[test]
fn a_patch_takes_nothing_away() {
    let mut state = begin(&quick(Scenario::runbook()));
    called(&mut state, OLD, "1.35");
    looks(state, "preflight --target 1.34.7 --dry-run", 0, &[]);
}

#[test]
pub fn an_api_server_that_nobody_can_ask() {
    let mut state = minor(&[]);
    state.hosts.change("k8s-master", |machine| machine.faults.metrics_away = true);
    looks(state, LOOK, 3, &["which deprecated APIs are called is not known of k8s-master: its metrics cannot be read"]);
}

/// One of three has seen it: the others know nothing of that, and none answers for another.
#[test]
fn each_api_server_is_asked() {
    let mut state = begin(&quick(Scenario::three_control_planes_minor()));
    let masters: Vec<String> = state.hosts.all().filter(|(_, m)| m.control_plane).map(|(node, _)| node.to_owned()).collect();
    let last = masters.last().unwrap().clone();
    state.hosts.change(&last, |machine| machine.deprecated.insert(deprecated_call(OLD, "1.35")));
    looks(state, LOOK, 4, &[&format!("called at {last} since its start at ")]);
}

#[test]
fn who_asks_for_it_is_named_where_that_is_to_be_seen() {
    let mut state = minor(&[]);
    called(&mut state, OLD, "1.35");
    let rule = json!({ "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1beta1"], "resources": ["*"], "operations": ["*"] });
    let client = json!({ "url": "https://guard.test" });
    let webhook = json!({ "name": "guard.test", "clientConfig": client, "rules": [rule], "failurePolicy": "Ignore" });
    let object = json!({ "metadata": { "name": "guard" }, "webhooks": [webhook] });
    let now: Timestamp = state.now();
    state.store.create(now, Kind::ValidatingWebhook, object).unwrap();
    looks(state, LOOK, 4, &["webhook guard.test of ValidatingWebhookConfiguration guard is asked of this version by name"]);
}

//! A Prometheus that wants to know who asks: without what it wants alerts cannot be told, and a run holds; with it a run comes to its end.

use k8s_upgrade::twin::scenario::{Scenario, Wants};
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

use super::world::{NAMESPACE, amiss, begin, cordoned_by_people, in_flight, live, pass, quick, tail, to_the_end, types};

const PREFLIGHT: &str = "preflight --target 1.34.7 --dry-run";

fn guarded(credentials: &str, tenant: Option<&str>) -> Scenario {
    let mut scenario = quick(Scenario::runbook());
    scenario.prometheus_wants =
        Some(Wants { credentials: credentials.to_owned(), missing: false, tenant: tenant.map(str::to_owned) });
    scenario
}

#[test]
fn with_what_it_wants_in_the_secret_a_run_comes_to_its_end() {
    for (credentials, tenant) in [("token", None), ("password", Some("team-a"))] {
        let mut scenario = guarded(credentials, tenant);
        scenario.settings.extend(tenant.map(|tenant| ("prometheus-tenant".to_owned(), json!(tenant))));
        let end = to_the_end(begin(&scenario), None);
        assert_eq!(amiss(&end, &scenario.target.to_string(), &cordoned_by_people(&end)), Vec::<String>::new());
        // It is nowhere but in the Secret.
        let told = format!("{:?} {:?}", tail(&end, usize::MAX), end.web.slack.messages);
        assert!(!told.contains("prometheus-of-the-rehearsal"));
        for (key, object) in Kind::ALL.iter().filter(|kind| **kind != Kind::Secret).flat_map(|kind| end.store.list(*kind)) {
            assert!(!object.to_string().contains("prometheus-of-the-rehearsal"), "{key:?}");
        }
    }
}

/// A Job that asks in vain: the gate says why, and nothing is begun.
#[test]
fn without_it_the_alert_gate_holds_and_says_why() {
    for (scenario, says) in [
        (
            Scenario {
                prometheus_wants: guarded("token", None).prometheus_wants.map(|wants| Wants { missing: true, ..wants }),
                ..guarded("token", None)
            },
            "it wants credentials, and the Secret has none",
        ),
        // The tenant is what it lacks.
        (guarded("token", Some("team-a")), "it does not take the token of the Secret"),
    ] {
        live(begin(&scenario), None, async |driver| {
            pass(driver, 3 * 3600).await;
            driver.twin.look(|state| {
                assert!(!in_flight(state), "{}", tail(state, 40));
                let logs = state.logs.values().flat_map(|log| log.all()).collect::<Vec<&str>>().join(" ");
                assert!(logs.contains(says), "{says}: {logs}");
            });
        });
    }
}

/// From outside it is asked through the API server, which keeps credentials for itself.
#[test]
fn from_outside_no_credentials_go_through_the_api_server() {
    live(begin(&guarded("token", None)), None, async |driver| {
        let (code, said) = types(driver, "look", PREFLIGHT).await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == 3 && said.contains("through the API server none can be sent"), "{code}: {said}");
        let (code, said) = types(driver, "look", "check").await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            code == 4 && said.contains("kubectl -n monitoring port-forward service/prometheus-server 9090:80"),
            "{code}: {said}"
        );
    });
}

/// By its own address it is asked from outside with what the Secret has, but never over plain http.
#[test]
fn from_outside_the_secret_is_used_where_nobody_reads_along() {
    let mut scenario = guarded("token", None);
    scenario.settings.insert("prometheus".to_owned(), json!("https://prometheus.example.org"));
    live(begin(&scenario), None, async |driver| {
        let (code, said) = types(driver, "look", &format!("{PREFLIGHT} --set prometheus=https://prometheus.example.org")).await;
        assert_eq!(code, 0, "{said}");
        let (code, said) = types(driver, "look", "check --set prometheus=http://prometheus.example.org").await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == 4 && said.contains("everybody on the way could read the credentials"), "{code}: {said}");
        // Two kinds at once: nobody knows which is meant.
        let secret = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
        driver.twin.edit(|state| {
            state.store.update(&secret, |secret| secret["data"]["prometheus_username"] = json!("YW5u"));
        });
        let (code, said) = types(driver, "look", "check --set prometheus=https://prometheus.example.org").await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == 4 && said.contains("a token, or a name and a password, is wanted, and not both"), "{code}: {said}");
    });
}

//! Prometheus: which alerts are there, and instant queries. Anything but a clear answer is a cause; to a gate it is Unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Endpoint;
use super::endpoint::encode;
use crate::failure::Cause;
use crate::plan::decide::alerts::{Alert, Rule};
use crate::plan::model::answer::Answer;
use crate::world::Bounds;

/// Bytes of an answer: thousands of rules or alerts.
const ANSWER: usize = 8 << 20;

/// One series of an instant query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// What of Prometheus the gates ask.
#[derive(Clone)]
pub struct Prometheus {
    endpoint: Endpoint,
}

impl Prometheus {
    /// Asks nothing yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Prometheus { endpoint }
    }

    /// For messages.
    pub fn place(&self) -> String {
        self.endpoint.place()
    }

    /// Alerts pending and firing; where there is no answer, what to do about it.
    ///
    /// # Errors
    /// Refused where Prometheus wants other credentials, else unreachable.
    pub async fn look(&self, deadline: Duration) -> Result<Vec<Alert>, Cause> {
        let asked: Alerts = self.ask("/api/v1/alerts", deadline).await?;
        asked.alerts.into_iter().map(|alert| self.alert(alert)).collect()
    }

    /// The samples of an instant query; none is an answer, too.
    pub async fn query(&self, promql: &str, deadline: Duration) -> Answer<Vec<Sample>> {
        let asked: Result<Vector, Cause> = self.ask(&format!("/api/v1/query?query={}", encode(promql)), deadline).await;
        answer(asked.and_then(|data| match data.result_type.as_str() {
            "vector" => data.result.into_iter().map(|series| self.sample(series)).collect(),
            other => Err(Cause::unreachable(format!("{} answered {promql:?} with a {other}, not a vector", self.place()))),
        }))
    }

    /// The alert rules that are loaded.
    pub async fn rules(&self, deadline: Duration) -> Answer<Vec<Rule>> {
        let asked: Result<Groups, Cause> = self.ask("/api/v1/rules?type=alert", deadline).await;
        let rules = |group: Group| {
            group.rules.into_iter().map(move |rule| {
                let health = rule.last_error.filter(|error| !error.is_empty()).unwrap_or(rule.health);
                Rule { name: rule.name, group: group.name.clone(), health }
            })
        };
        answer(asked.map(|data| data.groups.into_iter().flat_map(rules).collect()))
    }

    fn alert(&self, alert: WireAlert) -> Result<Alert, Cause> {
        let nonsense = |why: String| Cause::unreachable(format!("{} tells of an alert {why}", self.place()));
        let firing = match alert.state.as_str() {
            "firing" => true,
            "pending" => false,
            other => return Err(nonsense(format!("in the unknown state {other:?}"))),
        };
        let name = alert.labels.get("alertname").cloned();
        let name = name.ok_or_else(|| nonsense("without a name".to_owned()))?;
        Ok(Alert { name, firing, labels: alert.labels })
    }

    fn sample(&self, series: Series) -> Result<Sample, Cause> {
        let (_, text) = series.value;
        let no_number = |_| Cause::unreachable(format!("{} answered with the value {text:?}, which is no number", self.place()));
        let value = text.parse().map_err(no_number)?;
        Ok(Sample { labels: series.metric, value })
    }

    /// The data of a successful answer, or why there is none.
    async fn ask<T: DeserializeOwned>(&self, path: &str, deadline: Duration) -> Result<T, Cause> {
        let asked = self.endpoint.get(path, Bounds::new(deadline, ANSWER)).await;
        let response = asked.map_err(|error| Cause::unreachable(error.to_string()))?;
        let (place, excerpt) = (self.place(), || self.endpoint.excerpt(&response));
        if let Some(cause) = self.endpoint.wants_credentials(&response) {
            return Err(cause);
        }
        let status = response.status();
        if status != http::StatusCode::OK {
            return Err(Cause::unreachable(format!("{place} answered with status {status}: {}", excerpt())));
        }
        let nonsense = |error: serde_json::Error| {
            Cause::unreachable(format!(
                "{place} answered, but not as Prometheus does ({}): {}",
                self.endpoint.shown(&error.to_string()),
                excerpt()
            ))
        };
        // Read twice rather than by way of a Value: of an answer that means harm that would be many times as large.
        let envelope: Envelope = serde_json::from_slice(response.body()).map_err(nonsense)?;
        if envelope.status != "success" {
            let why = self.endpoint.shown(&envelope.error.unwrap_or_default());
            return Err(Cause::unreachable(format!("{place} answered with {:?}: {why}", envelope.status)));
        }
        serde_json::from_slice::<Good<T>>(response.body()).map(|good| good.data).map_err(nonsense)
    }
}

fn answer<T>(result: Result<T, Cause>) -> Answer<T> {
    result.map_or_else(|cause| Answer::Unknown(cause.what), Answer::Known)
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    error: Option<String>,
    /// It has names: serde would take a list for them, in their order.
    #[serde(rename = "data")]
    _data: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
struct Good<T> {
    data: T,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<WireAlert>,
}

#[derive(Deserialize)]
struct WireAlert {
    labels: BTreeMap<String, String>,
    state: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<WireRule>,
}

#[derive(Deserialize)]
struct WireRule {
    name: String,
    health: String,
    #[serde(rename = "lastError")]
    last_error: Option<String>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::super::{Access, Credentials};
    use super::*;
    use crate::failure::Class;
    use crate::world::WebError;

    fn alerts(status: u16, body: &str) -> Answer<Vec<Alert>> {
        answer(fake::run(Prometheus::new(FakeWeb::answers(status, body).endpoint()).look(SECOND)))
    }

    #[test]
    fn alerts_as_prometheus_2_42_tells_them() {
        let body = r#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"Watchdog","severity":"none"},"annotations":{"summary":"always firing"},"state":"firing","activeAt":"2026-11-22T16:54:41.1Z","value":"1e+00"},
            {"labels":{"alertname":"K8sVersionSkew"},"annotations":{},"state":"pending","activeAt":"2026-11-22T17:00:11.1Z","value":"2e+00"}]}}"#;
        let Answer::Known(alerts) = alerts(200, body) else { panic!("{body}") };
        let seen: Vec<_> = alerts.iter().map(|alert| (alert.name.as_str(), alert.firing)).collect();
        assert_eq!(seen, [("Watchdog", true), ("K8sVersionSkew", false)]);
        assert_eq!(alerts[0].labels["severity"], "none");
    }

    #[test]
    fn rules_as_prometheus_2_42_tells_them() {
        let body = r#"{"status":"success","data":{"groups":[{"name":"Upgrade Gates","file":"/etc/rules.yaml","interval":60,"rules":[
            {"state":"inactive","name":"K8sVersionSkew","query":"vector(1)","duration":0,"labels":{},"annotations":{},"alerts":[],"health":"ok","type":"alerting"},
            {"state":"inactive","name":"Bad","query":"x","duration":0,"labels":{},"annotations":{},"alerts":[],"health":"err","lastError":"many-to-many","type":"alerting"}]}]}}"#;
        let ask = |body| fake::run(Prometheus::new(FakeWeb::answers(200, body).endpoint()).rules(SECOND));
        let rule = |name: &str, health: &str| Rule { name: name.into(), group: "Upgrade Gates".into(), health: health.into() };
        assert_eq!(ask(body), Answer::Known(vec![rule("K8sVersionSkew", "ok"), rule("Bad", "many-to-many")]));
        assert!(matches!(ask("<html>"), Answer::Unknown(_)));
    }

    #[test]
    fn no_alerts_are_known_to_be_none() {
        assert_eq!(alerts(200, r#"{"status":"success","data":{"alerts":[]}}"#), Answer::Known(vec![]));
    }

    #[test]
    fn whatever_is_no_clear_answer_is_unknown() {
        let nonsense = [
            (200, ""),
            (200, "<html>Sign in</html>"),
            (200, "{}"),
            (200, "[]"),
            (200, "null"),
            (200, r#"{"status":"success"}"#),
            (200, r#"{"status":"success","data":null}"#),
            (200, r#"{"status":"success","data":{}}"#),
            (200, r#"{"status":"success","data":{"alerts":null}}"#),
            (200, r#"{"status":"success","data":{"alerts":[{"labels":{},"state":"firing"}]}}"#),
            (200, r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"},"state":"on fire"}]}}"#),
            (200, r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"}}]}}"#),
            (200, r#"{"status":"success","data":{"alerts":["#),
            (200, r#"{"status":"error","errorType":"internal","error":"storage is not ready","data":{"alerts":[]}}"#),
            (204, ""),
            (302, ""),
            (401, "Unauthorized"),
            (404, "404 page not found"),
            (503, r#"{"status":"success","data":{"alerts":[]}}"#),
        ];
        for (status, body) in nonsense {
            let Answer::Unknown(why) = alerts(status, body) else { panic!("{status} {body} was taken for an answer") };
            assert!(why.contains("http://there"), "{why}");
        }
    }

    /// What is wanted is told, with what to do; what was sent is not.
    #[test]
    fn credentials_that_it_does_not_take_are_told() {
        let token = || Access { credentials: Credentials::token("hunter2").ok(), ..Access::default() };
        for (access, status, wanted) in [
            (
                Access::default(),
                401,
                "http://there answered with status 401 Unauthorized: it wants credentials, and the Secret has none",
            ),
            (token(), 401, "http://there answered with status 401 Unauthorized: it does not take the token of the Secret"),
            (token(), 403, "http://there answered with status 403 Forbidden: the token of the Secret may not ask this"),
        ] {
            let web = FakeWeb::answers(status, "no such token: hunter2");
            let cause = fake::run(Prometheus::new(web.endpoint_with(access)).look(SECOND)).unwrap_err();
            assert!(cause.class == Class::Refused && cause.what.starts_with(wanted), "{cause:?}");
            assert!(cause.next[0].to_string().contains("--prometheus-token"), "{cause:?}");
            assert!(cause.detail[0].starts_with("it says: no such token: "), "{cause:?}");
        }
        for (status, body) in
            [(500, "hunter2"), (200, "hunter2"), (200, r#"{"status":"error","error":"hunter2"}"#), (401, "hunter2")]
        {
            let web = FakeWeb::answers(status, body);
            let cause = fake::run(Prometheus::new(web.endpoint_with(token())).look(SECOND)).unwrap_err();
            assert!(!format!("{cause:?}").contains("hunter2"), "{cause:?}");
        }
    }

    #[test]
    fn an_absent_prometheus_is_unknown() {
        let away = WebError::Unreachable("http://there".into(), "connection refused".into());
        let prometheus = Prometheus::new(FakeWeb::fails(away).endpoint());
        let unknown = Answer::Unknown("cannot reach http://there: connection refused".into());
        assert_eq!(answer(fake::run(prometheus.look(SECOND))), unknown);
    }

    #[test]
    fn queries_are_encoded_and_their_values_read() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1763830000.123,"1"]},{"metric":{},"value":[1763830000,"+Inf"]}]}}"#;
        let web = FakeWeb::answers(200, body);
        let samples = fake::run(Prometheus::new(web.endpoint()).query(r#"up{job="a b"} + 1"#, SECOND));
        let Answer::Known(samples) = samples else { panic!("{samples:?}") };
        assert_eq!(samples[0].value, 1.0);
        assert_eq!(samples[0].labels["job"], "a");
        assert_eq!(samples[1].value, f64::INFINITY);
        assert_eq!(web.seen()[0].0, "GET http://there/api/v1/query?query=up%7Bjob%3D%22a%20b%22%7D%20%2B%201");
    }

    #[test]
    fn a_result_that_is_no_vector_is_unknown() {
        for data in [
            r#"{"resultType":"scalar","result":[1763830000,"1"]}"#,
            r#"{"resultType":"matrix","result":[]}"#,
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"many"]}]}"#,
        ] {
            let web = FakeWeb::answers(200, &format!(r#"{{"status":"success","data":{data}}}"#));
            let answer = fake::run(Prometheus::new(web.endpoint()).query("up", SECOND));
            assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
        }
    }
}

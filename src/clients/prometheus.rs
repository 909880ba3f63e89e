//! Prometheus: which alerts are there, and instant queries. Anything but a clear answer is Unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Endpoint;
use super::endpoint::{encode, excerpt};
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

    /// Alerts pending and firing.
    pub async fn alerts(&self, deadline: Duration) -> Answer<Vec<Alert>> {
        let asked: Result<Alerts, String> = self.ask("/api/v1/alerts", deadline).await;
        answer(asked.and_then(|data| data.alerts.into_iter().map(|alert| self.alert(alert)).collect()))
    }

    /// The samples of an instant query; none is an answer, too.
    pub async fn query(&self, promql: &str, deadline: Duration) -> Answer<Vec<Sample>> {
        let asked: Result<Vector, String> = self.ask(&format!("/api/v1/query?query={}", encode(promql)), deadline).await;
        answer(asked.and_then(|data| match data.result_type.as_str() {
            "vector" => data.result.into_iter().map(|series| self.sample(series)).collect(),
            other => Err(format!("{} answered {promql:?} with a {other}, not a vector", self.place())),
        }))
    }

    /// The alert rules that are loaded.
    pub async fn rules(&self, deadline: Duration) -> Answer<Vec<Rule>> {
        let asked: Result<Groups, String> = self.ask("/api/v1/rules?type=alert", deadline).await;
        let rules = |group: Group| {
            group.rules.into_iter().map(move |rule| {
                let health = rule.last_error.filter(|error| !error.is_empty()).unwrap_or(rule.health);
                Rule { name: rule.name, group: group.name.clone(), health }
            })
        };
        answer(asked.map(|data| data.groups.into_iter().flat_map(rules).collect()))
    }

    fn alert(&self, alert: WireAlert) -> Result<Alert, String> {
        let firing = match alert.state.as_str() {
            "firing" => true,
            "pending" => false,
            other => return Err(format!("{} tells of an alert in the unknown state {other:?}", self.place())),
        };
        let name = alert.labels.get("alertname").cloned();
        let name = name.ok_or_else(|| format!("{} tells of an alert without a name", self.place()))?;
        Ok(Alert { name, firing, labels: alert.labels })
    }

    fn sample(&self, series: Series) -> Result<Sample, String> {
        let (_, text) = series.value;
        let value = text.parse().map_err(|_| format!("{} answered with the value {text:?}, which is no number", self.place()))?;
        Ok(Sample { labels: series.metric, value })
    }

    /// The data of a successful answer, or why there is none.
    async fn ask<T: DeserializeOwned>(&self, path: &str, deadline: Duration) -> Result<T, String> {
        let response = self.endpoint.get(path, Bounds::new(deadline, ANSWER)).await.map_err(|error| error.to_string())?;
        let place = self.place();
        let status = response.status();
        if status != http::StatusCode::OK {
            return Err(format!("{place} answered with status {status}: {}", excerpt(response.body())));
        }
        let nonsense = |error: serde_json::Error| {
            format!("{place} answered, but not as Prometheus does ({error}): {}", excerpt(response.body()))
        };
        // Read twice rather than by way of a Value: of an answer that means harm that would be many times as large.
        let envelope: Envelope = serde_json::from_slice(response.body()).map_err(nonsense)?;
        if envelope.status != "success" {
            return Err(format!("{place} answered with {:?}: {}", envelope.status, envelope.error.unwrap_or_default()));
        }
        serde_json::from_slice::<Good<T>>(response.body()).map(|good| good.data).map_err(nonsense)
    }
}

fn answer<T>(result: Result<T, String>) -> Answer<T> {
    result.map_or_else(Answer::Unknown, Answer::Known)
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
    #![allow(clippy::panic)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::world::WebError;

    fn alerts(status: u16, body: &str) -> Answer<Vec<Alert>> {
        fake::run(Prometheus::new(FakeWeb::answers(status, body).endpoint()).alerts(SECOND))
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

    #[test]
    fn an_absent_prometheus_is_unknown() {
        let away = WebError::Unreachable("http://there".into(), "connection refused".into());
        let prometheus = Prometheus::new(FakeWeb::fails(away).endpoint());
        let unknown = Answer::Unknown("cannot reach http://there: connection refused".into());
        assert_eq!(fake::run(prometheus.alerts(SECOND)), unknown);
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

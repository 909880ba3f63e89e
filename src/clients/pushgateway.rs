//! Pushgateway: gauges by POST, which replaces metrics of the same names in a group and leaves the others; never by PUT.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::Endpoint;
use super::endpoint::{encode, excerpt};
use crate::failure::Cause;

#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Gauge {
    pub fn new(name: &str, value: f64) -> Self {
        Gauge { name: name.to_owned(), labels: Vec::new(), value }
    }

    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[derive(Clone)]
pub struct Pushgateway {
    endpoint: Endpoint,
}

impl Pushgateway {
    pub fn new(endpoint: Endpoint) -> Self {
        Pushgateway { endpoint }
    }

    pub fn place(&self) -> String {
        self.endpoint.place()
    }

    /// Pushes gauges to the group of `job`. Needs a live permit.
    pub async fn push(&self, job: &str, gauges: &[Gauge], deadline: Duration) -> Result<(), Cause> {
        let path = format!("/metrics/job/{}", encode(job));
        let body = Bytes::from(exposition(gauges));
        let answer = self.endpoint.post(&path, "text/plain; version=0.0.4; charset=utf-8", body, deadline).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Cause::step(format!("the Pushgateway at {} answered with status {status}", self.place()))
            .detail([excerpt(answer.body())]))
    }
}

/// The text format: one TYPE line a name, then its series, in the order of their first appearance.
fn exposition(gauges: &[Gauge]) -> String {
    let mut text = String::new();
    for (index, gauge) in gauges.iter().enumerate() {
        if gauges[..index].iter().any(|earlier| earlier.name == gauge.name) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# TYPE {} gauge", gauge.name);
        for series in gauges[index..].iter().filter(|other| other.name == gauge.name) {
            let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{}{labels} {}", series.name, series.value);
        }
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::failure::Class;
    use crate::world::WebError;

    #[test]
    fn gauges_are_grouped_typed_and_escaped() {
        let web = FakeWeb::answers(202, "");
        let gauges = [
            Gauge::new("k8s_upgrade_available", 1.0).label("kind", "patch").label("target", "1.36.3"),
            Gauge::new("k8s_upgrade_started_timestamp", 1_763_830_000.0),
            Gauge::new("k8s_upgrade_available", 0.0).label("kind", "a\\b\"c\nd"),
        ];
        fake::permitted(Pushgateway::new(web.endpoint()).push("k8s-version-check", &gauges, SECOND)).unwrap();
        let body = "# TYPE k8s_upgrade_available gauge\n\
                    k8s_upgrade_available{kind=\"patch\",target=\"1.36.3\"} 1\n\
                    k8s_upgrade_available{kind=\"a\\\\b\\\"c\\nd\"} 0\n\
                    # TYPE k8s_upgrade_started_timestamp gauge\n\
                    k8s_upgrade_started_timestamp 1763830000\n";
        assert_eq!(web.seen(), [("POST http://there/metrics/job/k8s-version-check".to_owned(), body.to_owned())]);
    }

    #[test]
    fn a_refusal_and_an_absence_are_told_apart() {
        let push = |web: std::sync::Arc<FakeWeb>| {
            fake::permitted(Pushgateway::new(web.endpoint()).push("j", &[Gauge::new("g", 1.0)], SECOND)).unwrap_err()
        };
        let refused = push(FakeWeb::answers(400, "pushed metrics are invalid\nmore"));
        assert_eq!((refused.class, refused.detail), (Class::Step, vec!["pushed metrics are invalid".to_owned()]));
        let away = push(FakeWeb::fails(WebError::Deadline("http://there".into(), SECOND)));
        assert_eq!(away.class, Class::Unreachable);
    }
}

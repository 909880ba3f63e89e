//! Pushgateway: gauges by POST, which replaces metrics of the same names in a group and leaves the others. By PUT, which replaces the whole
//! group, only where one command alone fills it, each time anew.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::Endpoint;
use super::endpoint::{encode, excerpt};
use crate::failure::Cause;
use crate::plan::model::answer::Answer;
use crate::plan::view::health::Series;
use crate::world::Bounds;

/// Bytes of all that it holds, which others may push to as well.
const METRICS: usize = 16 << 20;
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One sample to push.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Gauge {
    /// Without labels.
    pub fn new(name: &str, value: f64) -> Self {
        Gauge { name: name.to_owned(), labels: Vec::new(), value }
    }

    /// Adds a label; its value may hold anything.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where gauges outlive the Jobs that push them.
#[derive(Clone)]
pub struct Pushgateway {
    endpoint: Endpoint,
}

impl Pushgateway {
    /// Asks nothing yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Pushgateway { endpoint }
    }

    /// For messages.
    pub fn place(&self) -> String {
        self.endpoint.place()
    }

    /// All that it holds of names that begin with one of ours, or why it cannot say.
    pub async fn series(&self, deadline: Duration) -> Answer<Vec<Series>> {
        let answer = match self.endpoint.get("/metrics", Bounds::new(deadline, METRICS)).await {
            Ok(answer) => answer,
            Err(error) => return Answer::Unknown(error.to_string()),
        };
        let text = String::from_utf8_lossy(answer.body());
        // Its own metrics are always there: a page of some proxy has none.
        if answer.status() != http::StatusCode::OK || !text.lines().any(|line| line.starts_with("# TYPE ")) {
            let status = answer.status();
            return Answer::Unknown(format!(
                "the Pushgateway at {} answered with status {status}: {}",
                self.place(),
                excerpt(answer.body())
            ));
        }
        Answer::Known(text.lines().filter(|line| line.starts_with("k8s_")).filter_map(series).collect())
    }

    /// Pushes gauges to the group of `job`. Needs a live permit.
    pub async fn push(&self, job: &str, gauges: &[Gauge], deadline: Duration) -> Result<(), Cause> {
        self.taken(self.endpoint.post(&group(job), TEXT, Bytes::from(exposition(gauges)), deadline).await?)
    }

    /// Makes these gauges all that the group of `job` has: one that is not among them is gone. Needs a live permit.
    pub async fn replace(&self, job: &str, gauges: &[Gauge], deadline: Duration) -> Result<(), Cause> {
        self.taken(self.endpoint.put(&group(job), TEXT, Bytes::from(exposition(gauges)), deadline).await?)
    }

    fn taken(&self, answer: Response<Bytes>) -> Result<(), Cause> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Cause::step(format!("the Pushgateway at {} answered with status {status}", self.place()))
            .detail([excerpt(answer.body())]))
    }
}

fn group(job: &str) -> String {
    format!("/metrics/job/{}", encode(job))
}

/// `name{labels} value`
fn series(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    Some(Series { name: name.to_owned(), labels: labels.strip_suffix('}')?.to_owned(), value: value.parse().ok()? })
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
        fake::permitted(Pushgateway::new(web.endpoint()).replace("k8s-version-check", &gauges, SECOND)).unwrap();
        let sent = |how: &str| (format!("{how} http://there/metrics/job/k8s-version-check"), body.to_owned());
        assert_eq!(web.seen(), [sent("POST"), sent("PUT")]);
    }

    #[test]
    fn what_it_holds_is_read_and_a_proxys_page_is_no_answer() {
        let body = "# TYPE k8s_upgrade_in_flight gauge\nk8s_upgrade_in_flight{instance=\"\",job=\"k8s-version-upgrade\"} 1\n\
                    # TYPE push_time_seconds gauge\npush_time_seconds{instance=\"\",job=\"j\"} 1.7957e+09\n";
        let ask = |status, body| fake::run(Pushgateway::new(FakeWeb::answers(status, body).endpoint()).series(SECOND));
        let labels = "instance=\"\",job=\"k8s-version-upgrade\"".to_owned();
        assert_eq!(ask(200, body), Answer::Known(vec![Series { name: "k8s_upgrade_in_flight".into(), labels, value: 1.0 }]));
        for (status, body) in [(200, "<html>Sign in</html>"), (200, ""), (503, body)] {
            assert!(matches!(ask(status, body), Answer::Unknown(_)), "{status} {body}");
        }
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

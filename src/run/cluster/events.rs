//! What controllers and kubelets say of an object that does not come to work.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

use crate::names;
use crate::plan::model::answer::Answer;
use crate::run::cluster::Cluster;

/// The newest warning about a Job that waits for its pod, or about that pod; None: there is none. It is asked for once: whoever asks tells
/// of something that is there anyway, and waits for nothing.
pub async fn warning(cluster: &Cluster, job_uid: &str, pod: Option<&str>) -> Answer<Option<String>> {
    let about = match pod {
        Some(pod) => format!("involvedObject.name={pod}"),
        // By UID: a Job that was replaced had the same name.
        None => format!("involvedObject.uid={job_uid}"),
    };
    let warnings = ListParams::default().fields(&format!("{about},type=Warning"));
    match cluster.list_at("list events", cluster.own::<Event>(), warnings, Some(Duration::ZERO)).await {
        Ok((events, _)) => Answer::Known(newest(events)),
        Err(cause) => Answer::Unknown(cause.what),
    }
}

/// What was told last, and not by this program: its own Events are for people, and no facts.
fn newest(events: Vec<Event>) -> Option<String> {
    let ours = |event: &Event| event.reporting_component.as_deref() == Some(names::EVENT_CONTROLLER);
    events.into_iter().filter(|event| !ours(event)).max_by_key(told).map(|event| {
        let words = [event.reason, event.message].into_iter().flatten().collect::<Vec<_>>();
        words.join(": ")
    })
}

/// When it was told last: in a series, once, or in the old form.
fn told(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    series.or(last).or(event.event_time.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn event(by: Option<&str>, second: i64, reason: &str) -> Event {
        Event {
            reporting_component: by.map(str::to_owned),
            last_timestamp: Timestamp::from_second(second).ok().map(Time),
            reason: Some(reason.to_owned()),
            message: Some("no".to_owned()),
            ..Event::default()
        }
    }

    #[test]
    fn what_we_have_told_ourselves_is_no_fact() {
        let (former, foreign) = (event(None, 1, "FailedMount"), event(Some("job-controller"), 2, "FailedCreate"));
        let ours = event(Some(names::EVENT_CONTROLLER), 3, "UpgradeHeld");
        assert_eq!(newest(vec![former, foreign, ours.clone()]).as_deref(), Some("FailedCreate: no"));
        assert_eq!(newest(vec![ours]), None);
    }
}

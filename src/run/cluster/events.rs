//! What controllers and kubelets say of an object that does not come to work.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

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
        Ok((events, _)) => Answer::Known(events.into_iter().max_by_key(told).map(|event| {
            let words = [event.reason, event.message].into_iter().flatten().collect::<Vec<_>>();
            words.join(": ")
        })),
        Err(cause) => Answer::Unknown(cause.what),
    }
}

/// When it was told last: in a series, once, or in the old form.
fn told(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    series.or(last).or(event.event_time.as_ref().map(|time| time.0))
}

//! What durations and numbers must lie between, and why. Outside of it a run would hang, never pass or count past what a clock can hold.

use std::time::Duration;

use super::Settings;
use crate::plan::model::span::span;

/// The bounds of one key, both included.
pub struct Bounds {
    pub key: &'static str,
    pub range: Range,
    pub why: &'static str,
}

/// Where the value is, and between what it must lie.
pub enum Range {
    Span { of: fn(&Settings) -> Duration, least: Duration, most: Duration },
    Number { of: fn(&Settings) -> f64, least: f64, most: f64 },
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

macro_rules! bounds {
    ($($key:literal, $field:ident: $range:ident $least:expr, $most:expr; $why:literal;)+) => {
        /// Of every duration and every number.
        pub const BOUNDS: &[Bounds] = &[$(bounds!(@row $key, $field, $range, $least, $most, $why)),+];
    };
    (@row $key:literal, $field:ident, span, $least:expr, $most:expr, $why:literal) => {
        Bounds { key: $key, range: Range::Span { of: |settings| settings.$field, least: $least, most: $most }, why: $why }
    };
    (@row $key:literal, $field:ident, number, $least:expr, $most:expr, $why:literal) => {
        Bounds { key: $key, range: Range::Number { of: |settings| f64::from(settings.$field), least: $least, most: $most }, why: $why }
    };
}

bounds! {
    "ssh-port", ssh_port: number 1.0, 65535.0; "it is a TCP port";
    "snapshot-keep", snapshot_keep: number 1.0, 50.0; "the snapshot of the run itself stays, and each is as large as etcd's database";
    "parallel", parallel: number 1.0, 64.0; "one node must be prepared at a time, and each takes a connection and a share of the mirror";
    "canary", canary: number 0.0, 1000.0; "each is upgraded alone, with its whole soak";
    "drain-tries", drain_tries: number 1.0, 100.0; "a drain must be tried once, and what does not end in a hundred tries does not end";
    "lag", lag: number 0.0, 20.0; "a minor version seldom has more patches, and none would ever be gone to";
    "ready-ratio", ready_ratio: number 0.0, 1.0; "it is a share of all pods";
    "quiet", quiet: span Duration::ZERO, hours(30 * 24); "a cluster where no node comes or goes for longer is seldom to be had";
    "retry-deferred", retry_deferred: span Duration::ZERO, hours(7 * 24); "after a week the next detection looks anyway";
    "soak", soak: span Duration::ZERO, hours(24); "the cluster stays between two versions for the sum of it over all nodes";
    "alert-wait", alert_wait: span Duration::ZERO, hours(24); "a Job sits there so long";
    "resolve-wait", resolve_wait: span Duration::ZERO, hours(24); "a Job sits there so long";
    "backup-deadline", backup_deadline: span seconds(10), hours(24); "a snapshot takes seconds at least, and the cluster is claimed meanwhile";
    "hook-deadline", hook_deadline: span seconds(10), hours(24); "a hook's pod takes seconds at least, and a Job sits there so long";
    "drain-deadline", drain_deadline: span seconds(1), hours(24); "the node is out of service meanwhile";
    "drain-unstick-after", drain_unstick_after: span Duration::ZERO, hours(24); "longer than any drain, it would never happen";
    "undrainable-after", undrainable_after: span seconds(60), hours(24); "a budget may be mended within minutes, and no drain lasts longer";
    "step-deadline", step_deadline: span seconds(60), hours(24); "packages and kubeadm take a minute at least, and the node is out of service meanwhile";
    "ready-deadline", ready_deadline: span seconds(1), hours(24); "the node is out of service meanwhile";
    "sync-deadline", sync_deadline: span seconds(10), hours(24); "two keys open the nodes meanwhile";
    "api-patience", api_patience: span Duration::ZERO, hours(24); "each step may wait so long";
    "lease-duration", lease_duration: span seconds(15), hours(1); "it is renewed between steps, and what has died is waited for so long";
}

/// What the value of a duration or a number looks like, for whoever gave something else; None: the key is neither.
pub fn wanted(key: &str) -> Option<String> {
    let bounds = BOUNDS.iter().find(|bounds| bounds.key == key)?;
    Some(match &bounds.range {
        Range::Span { least, most, .. } => {
            format!("a duration from {} to {} is wanted, for example 90s, 30m or 1h 30m", span(*least), span(*most))
        }
        Range::Number { least, most, .. } if *most > 1.0 => format!("a whole number from {least} to {most} is wanted"),
        Range::Number { least, most, .. } => format!("a number from {least} to {most} is wanted"),
    })
}

/// Whether the value of `key` lies within its bounds; the error says which they are, and why.
pub fn check(settings: &Settings, key: &str) -> Result<(), String> {
    let Some(Bounds { range, why, .. }) = BOUNDS.iter().find(|bounds| bounds.key == key) else { return Ok(()) };
    let (fits, value, least, most) = match range {
        Range::Span { of, least, most } => {
            let value = of(settings);
            ((*least..=*most).contains(&value), span(value), span(*least), span(*most))
        }
        Range::Number { of, least, most } => {
            let value = of(settings);
            ((*least..=*most).contains(&value), value.to_string(), least.to_string(), most.to_string())
        }
    };
    if fits { Ok(()) } else { Err(format!("{value} does not lie between {least} and {most}: {why}")) }
}

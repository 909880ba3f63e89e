//! The alerts that a run looks at, a row each: the rule that `manifests` ships, when the alert is the run's own consequence, and whether the
//! end of a run waits for it.

use serde_json::{Value, json};

use crate::names::{
    ALERT_BLOCKER, ALERT_IN_FLIGHT, ALERT_RECENT_REBOOT, ALERT_SKEW, ALERT_SNAPSHOT_MISSING, ALERT_STALLED, ALERT_WATCHDOG,
    METRIC_BLOCKER, METRIC_IN_FLIGHT, METRIC_PROGRESS, METRIC_SNAPSHOT, METRIC_STARTED,
};

/// A run without progress for this long (seconds) is stalled.
pub const STALLED_AFTER: u32 = 5400;

/// How far the run is, as far as alerts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is claimed yet.
    Unclaimed,
    /// The run is claimed; no control plane has been touched.
    Claimed,
    /// A control plane has been touched: nodes restart by our doing.
    Upgrading,
    /// All nodes are done; only the alerts that the end waits for count.
    Finishing,
    /// The same, but a worker that a person skipped by force stays old, and the cluster skewed.
    Partial,
}
use Moment::{Claimed, Finishing, Partial, Unclaimed, Upgrading};

/// One alert that a run knows.
pub struct Known {
    pub name: &'static str,
    /// The moments at which the run itself causes it, and at which it never blocks the run.
    pub own: &'static [Moment],
    /// Postflight looks at it: it is of the group "Upgrade Gates".
    pub gate: bool,
    /// None: others ship it.
    rule: Option<Rule>,
}

struct Rule {
    expr: fn() -> String,
    /// How long the expression must hold.
    held: &'static str,
    severity: &'static str,
    summary: &'static str,
    /// What it means, and what to type.
    description: &'static str,
}

/// Every alert of this program.
pub const KNOWN: [Known; 7] = [
    Known {
        name: ALERT_SKEW,
        // A half-done cluster has skew that this run will end. It must have resolved at the end, unless a worker stays old.
        own: &[Unclaimed, Claimed, Upgrading, Partial],
        gate: true,
        // Kubelets and API servers only, by the names that their scrape jobs usually have: other programs built from Kubernetes' source
        // export the same metric with versions of their own.
        rule: Some(Rule {
            expr: || {
                r#"count(count by (git_version) (kubernetes_build_info{job=~".*(apiserver|kubelet|node).*"})) > 1"#.to_owned()
            },
            held: "30m",
            severity: "warning",
            summary: "kubelets and API servers run {{ $value }} different versions",
            description: "An upgrade is half done. Type `k8s-upgrade status` to see where it stands and `k8s-upgrade resume` to go on.",
        }),
    },
    Known {
        name: ALERT_SNAPSHOT_MISSING,
        own: &[Claimed, Upgrading],
        gate: true,
        rule: Some(Rule {
            expr: || format!("max({METRIC_IN_FLIGHT}) == 1 unless max({METRIC_SNAPSHOT}) == 1"),
            held: "10m",
            severity: "critical",
            summary: "an upgrade is on without an etcd snapshot",
            description: "The backup Job failed or is stuck. Type `k8s-upgrade status`; mend the backup, then `k8s-upgrade resume`.",
        }),
    },
    Known {
        name: ALERT_STALLED,
        // At the end it must have resolved.
        own: &[Claimed, Upgrading],
        gate: true,
        // Not since the start: a large cluster may take longer than this and be well.
        rule: Some(Rule {
            expr: || {
                format!(
                    "max({METRIC_IN_FLIGHT}) == 1 and time() - max({{__name__=~\"{METRIC_PROGRESS}|{METRIC_STARTED}\"}}) > {STALLED_AFTER}"
                )
            },
            held: "5m",
            severity: "critical",
            summary: "an upgrade has made no progress for 90 minutes",
            description: "Type `k8s-upgrade status` to see what failed or holds it, mend that, then `k8s-upgrade resume`.",
        }),
    },
    Known {
        name: ALERT_IN_FLIGHT,
        // The claim itself, not a gauge, says whether a run is on; it is until the very end.
        own: &[Unclaimed, Claimed, Upgrading, Finishing, Partial],
        gate: true,
        rule: Some(Rule {
            expr: || format!("max({METRIC_IN_FLIGHT}) == 1"),
            held: "0m",
            severity: "info",
            summary: "a Kubernetes upgrade is on",
            description: "Nothing to do: reboots wait for it. Type `k8s-upgrade status` to see where it stands.",
        }),
    },
    Known {
        name: ALERT_BLOCKER,
        own: &[],
        gate: true,
        rule: Some(Rule {
            expr: || format!("max({METRIC_BLOCKER}) == 1"),
            held: "0m",
            severity: "warning",
            summary: "a person has blocked Kubernetes upgrades",
            description: "`k8s-upgrade status` says who and why; let go with `k8s-upgrade halt --lift`.",
        }),
    },
    Known {
        name: ALERT_WATCHDOG,
        // It always fires, and must.
        own: &[Unclaimed, Claimed, Upgrading, Finishing, Partial],
        gate: false,
        rule: Some(Rule {
            expr: || "vector(1)".to_owned(),
            held: "0m",
            severity: "none",
            summary: "always firing",
            description: "That it is seen proves that alerts can be seen; an upgrade holds while it is not.",
        }),
    },
    Known { name: ALERT_RECENT_REBOOT, own: &[Upgrading, Finishing, Partial], gate: true, rule: None },
];

/// The rules that are ours, each as Prometheus' file writes it.
pub fn alerts() -> Vec<Value> {
    let shipped = |known: &Known| {
        let Rule { expr, held, severity, summary, description } = known.rule.as_ref()?;
        Some(json!({
            "alert": known.name,
            "expr": expr(),
            "for": held,
            "labels": { "severity": severity },
            "annotations": { "summary": summary, "description": description },
        }))
    };
    KNOWN.iter().filter_map(shipped).collect()
}

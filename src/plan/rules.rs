//! The alert rules that `manifests` ships: what stops a run or a reboot, and tells a person what to type.

use serde_json::{Value, json};

use super::manifest::yaml;
use crate::failure::Cause;
use crate::names::{
    ALERT_BLOCKER, ALERT_GROUP, ALERT_IN_FLIGHT, ALERT_SKEW, ALERT_SNAPSHOT_MISSING, ALERT_STALLED, ALERT_WATCHDOG,
    METRIC_BLOCKER, METRIC_IN_FLIGHT, METRIC_PROGRESS, METRIC_SNAPSHOT, METRIC_STARTED,
};

/// A run without progress for this long (seconds) is stalled.
pub const STALLED_AFTER: u32 = 5400;

/// Prometheus' rule file, as YAML.
pub fn rules() -> Result<String, Cause> {
    yaml(&[json!({ "groups": [{ "name": ALERT_GROUP, "rules": alerts() }] })])
}

/// The rules, each as Prometheus' file writes it.
pub fn alerts() -> [Value; 6] {
    [
        // Kubelets and API servers only, by the names that their scrape jobs usually have: other programs built from Kubernetes' source
        // export the same metric with versions of their own.
        alert(
            ALERT_SKEW,
            r#"count(count by (git_version) (kubernetes_build_info{job=~".*(apiserver|kubelet|node).*"})) > 1"#,
            "30m",
            "warning",
            "kubelets and API servers run {{ $value }} different versions",
            "An upgrade is half done. Type `k8s-upgrade status` to see where it stands and `k8s-upgrade resume` to go on.",
        ),
        alert(
            ALERT_SNAPSHOT_MISSING,
            &format!("max({METRIC_IN_FLIGHT}) == 1 unless max({METRIC_SNAPSHOT}) == 1"),
            "10m",
            "critical",
            "an upgrade is on without an etcd snapshot",
            "The backup Job failed or is stuck. Type `k8s-upgrade status`; mend the backup, then `k8s-upgrade resume`.",
        ),
        // Not since the start: a large cluster may take longer than this and be well.
        alert(
            ALERT_STALLED,
            &format!(
                "max({METRIC_IN_FLIGHT}) == 1 and time() - max({{__name__=~\"{METRIC_PROGRESS}|{METRIC_STARTED}\"}}) > {STALLED_AFTER}"
            ),
            "5m",
            "critical",
            "an upgrade has made no progress for 90 minutes",
            "Type `k8s-upgrade status` to see what failed or holds it, mend that, then `k8s-upgrade resume`.",
        ),
        alert(
            ALERT_IN_FLIGHT,
            &format!("max({METRIC_IN_FLIGHT}) == 1"),
            "0m",
            "info",
            "a Kubernetes upgrade is on",
            "Nothing to do: reboots wait for it. Type `k8s-upgrade status` to see where it stands.",
        ),
        alert(
            ALERT_BLOCKER,
            &format!("max({METRIC_BLOCKER}) == 1"),
            "0m",
            "warning",
            "a person has blocked Kubernetes upgrades",
            "`k8s-upgrade status` says who and why; let go with `k8s-upgrade halt --lift`.",
        ),
        alert(
            ALERT_WATCHDOG,
            "vector(1)",
            "0m",
            "none",
            "always firing",
            "That it is seen proves that alerts can be seen; an upgrade holds while it is not.",
        ),
    ]
}

fn alert(name: &str, expr: &str, held: &str, severity: &str, summary: &str, description: &str) -> Value {
    json!({
        "alert": name,
        "expr": expr,
        "for": held,
        "labels": { "severity": severity },
        "annotations": { "summary": summary, "description": description },
    })
}

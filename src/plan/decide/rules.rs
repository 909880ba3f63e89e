//! The alerts that a run looks at, a row each: the rule that `manifests` ships, when the alert is the run's own consequence, and whether the
//! end of a run waits for it.

use serde_json::{Value, json};

use crate::names::{
    ALERT_BLOCKER, ALERT_BLOCKER_FORMER, ALERT_DETECTION_MISSED, ALERT_HALTED_LONG, ALERT_IN_FLIGHT, ALERT_JOB_FAILED,
    ALERT_RECENT_REBOOT, ALERT_SKEW, ALERT_SNAPSHOT_MISSING, ALERT_STALLED, ALERT_WATCHDOG, DETECT_CRONJOB, JOB_PREFIX,
    METRIC_BLOCKER, METRIC_HALTED, METRIC_IN_FLIGHT, METRIC_LAST_CHECK, METRIC_PROGRESS, METRIC_SNAPSHOT, METRIC_STARTED,
};
use crate::plan::model::policy::Gauges;

/// A run without progress for this long (seconds) is stalled.
pub const STALLED_AFTER: u32 = 5400;
/// A node that was booted is told of for this long.
pub const REBOOTED_FOR: u32 = 24 * 3600;
/// Detection runs once a week: by now (seconds) it has been missed, with two days for what was away on that Sunday.
pub const MISSED_AFTER: u32 = 9 * 24 * 3600;
/// A halt that stands for this long (seconds) may have been forgotten.
pub const FORGOTTEN_AFTER: u32 = 7 * 24 * 3600;

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
    /// The same, but a worker that the run goes past, or a node that the settings exclude, stays old, and the cluster skewed.
    Partial,
}
use Moment::{Claimed, Finishing, Partial, Unclaimed, Upgrading};

/// What never blocks a run.
const ALWAYS: &[Moment] = &[Unclaimed, Claimed, Upgrading, Finishing, Partial];

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
    /// What Prometheus must have for it to be able to fire: a series of one selector of each list.
    inputs: Inputs,
    unpushed: Unpushed,
}

/// Of PromQL.
type Expression = fn() -> String;
/// What must be there for a rule to be able to fire: a series of one selector of each list.
type Inputs = &'static [&'static [&'static str]];

/// What becomes of a rule where no gauges are pushed, and kube-state-metrics alone says what goes on: Jobs, and nothing between them.
enum Unpushed {
    /// It looks at no gauge of ours.
    Same,
    /// Only a gauge says it: it is left out.
    LeftOut,
    Instead {
        expr: fn() -> String,
        summary: &'static str,
        inputs: Inputs,
    },
}

impl Rule {
    /// Expression, summary and inputs; None: without gauges there is no such rule.
    fn with(&self, gauges: Gauges) -> Option<(Expression, &'static str, Inputs)> {
        match (gauges, &self.unpushed) {
            (Gauges::Pushgateway, _) | (_, Unpushed::Same) => Some((self.expr, self.summary, self.inputs)),
            (Gauges::Off, Unpushed::LeftOut) => None,
            (Gauges::Off, Unpushed::Instead { expr, summary, inputs }) => Some((*expr, summary, inputs)),
        }
    }
}

/// Chooses Jobs of ours, of these phases: a part of a selector of what kube-state-metrics says of Jobs.
pub fn jobs(phases: &str) -> String {
    format!("job_name=~\"{JOB_PREFIX}-({phases})-.+\"")
}
/// kube-state-metrics' word on Jobs of ours: of the chain, or of phases that only a run in flight has.
fn of_jobs(metric: &str, phases: &str) -> String {
    format!("{metric}{{{}}}", jobs(phases))
}
/// The phases of the chain.
pub const CHAIN: &str = "preflight|master|worker|postflight";
const CLAIMED: &str = "master|worker|postflight";
/// It is there as soon as there is any Job in the cluster.
const JOBS: &str = "kube_job_info";

/// Kubelets and API servers, by the names that their scrape jobs usually have: other programs built from Kubernetes' source export the same
/// metric with versions of their own.
const BUILDS: &str = r#"kubernetes_build_info{job=~".*(apiserver|kubelet|node).*"}"#;
/// What kube-state-metrics says of kubelets: enough, where nothing else is scraped.
const NODES: &str = "kube_node_info";
/// The chain's gauges are there: the Pushgateway is scraped. (Those of detection and of a block are pushed only where there is something to say.)
const PUSHED: &[&str] = &[METRIC_IN_FLIGHT];

/// Every alert of this program.
pub const KNOWN: [Known; 11] = [
    Known {
        name: ALERT_SKEW,
        // A half-done cluster has skew that this run will end. It must have resolved at the end, unless a node stays old for good.
        own: &[Unclaimed, Claimed, Upgrading, Partial],
        gate: true,
        rule: Some(Rule {
            expr: || {
                let version = |of: &str, label: &str| format!("label_replace({of}, \"version\", \"$1\", \"{label}\", \"(.+)\")");
                let (builds, nodes) = (version(BUILDS, "git_version"), version(NODES, "kubelet_version"));
                format!("count(count by (version) ({builds} or {nodes})) > 1")
            },
            held: "30m",
            severity: "warning",
            summary: "kubelets and API servers run {{ $value }} different versions",
            description: "An upgrade is half done. Type `k8s-upgrade status` to see where it stands and `k8s-upgrade resume` to go on.",
            inputs: &[&[BUILDS, NODES]],
            unpushed: Unpushed::Same,
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
            inputs: &[PUSHED],
            unpushed: Unpushed::LeftOut,
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
            inputs: &[PUSHED, &[METRIC_PROGRESS, METRIC_STARTED]],
            unpushed: Unpushed::Instead {
                expr: || {
                    let (began, works) = (of_jobs("kube_job_status_start_time", CHAIN), of_jobs("kube_job_status_active", CHAIN));
                    format!("time() - max({began} and on (namespace, job_name) {works} > 0) > {STALLED_AFTER}")
                },
                summary: "a Job of an upgrade has been at work for 90 minutes",
                inputs: &[&[JOBS]],
            },
        }),
    },
    Known {
        name: ALERT_IN_FLIGHT,
        // The claim itself, not a gauge, says whether a run is on; it is until the very end.
        own: ALWAYS,
        gate: true,
        rule: Some(Rule {
            expr: || format!("max({METRIC_IN_FLIGHT}) == 1"),
            held: "0m",
            severity: "info",
            summary: "a Kubernetes upgrade is on",
            description: "Nothing to do: reboots wait for it. Type `k8s-upgrade status` to see where it stands.",
            inputs: &[PUSHED],
            unpushed: Unpushed::Instead {
                expr: || format!("max({}) > 0", of_jobs("kube_job_status_active", CHAIN)),
                summary: "a Kubernetes upgrade is on",
                inputs: &[&[JOBS]],
            },
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
            inputs: &[PUSHED],
            unpushed: Unpushed::LeftOut,
        }),
    },
    Known {
        name: ALERT_WATCHDOG,
        // It always fires, and must.
        own: ALWAYS,
        gate: false,
        rule: Some(Rule {
            expr: || "vector(1)".to_owned(),
            held: "0m",
            severity: "none",
            summary: "always firing",
            description: "That it is seen proves that alerts can be seen; an upgrade holds while it is not.",
            inputs: &[],
            unpushed: Unpushed::Same,
        }),
    },
    Known {
        name: ALERT_RECENT_REBOOT,
        own: &[Upgrading, Finishing, Partial],
        gate: true,
        // A scrape that fails, as during the reboot itself, is no reason to forget it.
        rule: Some(Rule {
            expr: || format!("time() - max by (instance) (last_over_time(node_boot_time_seconds[1h])) < {REBOOTED_FOR}"),
            held: "0m",
            severity: "info",
            summary: "{{ $labels.instance }} has rebooted within 24 hours",
            description: "Nothing to do: no upgrade begins until the node has run for a day.",
            inputs: &[&["node_boot_time_seconds"]],
            unpushed: Unpushed::Same,
        }),
    },
    Known {
        name: ALERT_JOB_FAILED,
        // What takes the Job up, or replaces it, is the run that this would hold.
        own: ALWAYS,
        gate: false,
        // Only while a run is on: a Job that was refused before its run began is kept for a week, and nothing is amiss. The watch takes
        // up what time mends, so what has failed for longer waits for a person.
        rule: Some(Rule {
            expr: || {
                format!(
                    "max by (namespace, job_name) (kube_job_failed{{condition=\"true\",{}}}) == 1 and on () max({METRIC_IN_FLIGHT}) == 1",
                    jobs(CHAIN)
                )
            },
            held: "30m",
            severity: "warning",
            summary: "Job {{ $labels.job_name }} of the Kubernetes upgrade has failed, and nothing takes it up",
            description: "Type `k8s-upgrade status` to see why; mend that, then `k8s-upgrade resume`.",
            inputs: &[PUSHED, &[JOBS]],
            // Whether a run is on, nobody says: a Job of a phase behind the claim means it. One that is tried again, or has ended well, is fine.
            unpushed: Unpushed::Instead {
                expr: || {
                    let of = |metric: &str| of_jobs(metric, CLAIMED);
                    let (failed, works) = (of("kube_job_status_failed"), of_jobs("kube_job_status_active", CHAIN));
                    let done = of("kube_job_status_succeeded");
                    format!(
                        "max by (namespace, job_name) ({failed}) > 0 unless on (namespace, job_name) {done} > 0 \
                         unless on () max({works}) > 0"
                    )
                },
                summary: "Job {{ $labels.job_name }} of the Kubernetes upgrade has failed, and nothing takes it up",
                inputs: &[&[JOBS]],
            },
        }),
    },
    Known {
        name: ALERT_DETECTION_MISSED,
        // A run that a person starts is none of its business, and detection itself is what resolves it.
        own: ALWAYS,
        gate: false,
        // A Pushgateway that was restarted has forgotten when it ran: the CronJob remembers. One that has never run counts from its creation.
        rule: Some(Rule {
            expr: || {
                let cronjob = format!("{{cronjob=\"{DETECT_CRONJOB}\"}}");
                format!(
                    "time() - (max({METRIC_LAST_CHECK}) or max(kube_cronjob_status_last_schedule_time{cronjob}) or \
                     max(kube_cronjob_created{cronjob})) > {MISSED_AFTER} unless max({METRIC_HALTED}) > 0"
                )
            },
            held: "60m",
            severity: "warning",
            summary: "no new Kubernetes release has been looked for in nine days",
            description: "Type `k8s-upgrade status --health` to see why detection does not run.",
            inputs: &[PUSHED],
            // What a halt suspends is missed by nobody.
            unpushed: Unpushed::Instead {
                expr: || {
                    let of = |metric: &str| format!("max({metric}{{cronjob=\"{DETECT_CRONJOB}\"}})");
                    let (last, made) = (of("kube_cronjob_status_last_schedule_time"), of("kube_cronjob_created"));
                    let suspended = of("kube_cronjob_spec_suspend");
                    format!("time() - ({last} or {made}) > {MISSED_AFTER} unless {suspended} > 0")
                },
                summary: "no new Kubernetes release has been looked for in nine days",
                inputs: &[&["kube_cronjob_info"]],
            },
        }),
    },
    Known {
        name: ALERT_HALTED_LONG,
        // While it stands, the halt itself holds everything; once lifted, this has nothing to say.
        own: ALWAYS,
        gate: false,
        rule: Some(Rule {
            expr: || format!("time() - (max({METRIC_HALTED}) > 0) > {FORGOTTEN_AFTER}"),
            held: "60m",
            severity: "warning",
            summary: "Kubernetes upgrades have been halted for more than a week",
            description: "`k8s-upgrade status` says by whom and why; let go with `k8s-upgrade halt --lift`.",
            inputs: &[PUSHED],
            unpushed: Unpushed::LeftOut,
        }),
    },
    // Of rules that a build before has written.
    Known { name: ALERT_BLOCKER_FORMER, own: &[], gate: true, rule: None },
];

/// The rules that are ours, each as Prometheus' file writes it; `gauges`: what they can look at.
pub fn alerts(gauges: Gauges) -> Vec<Value> {
    let shipped = |known: &Known| {
        let rule = known.rule.as_ref()?;
        let Rule { held, severity, description, .. } = rule;
        let (expr, summary, _) = rule.with(gauges)?;
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

/// What Prometheus must have for rules of ours to be able to fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Selectors: a series of one of them will do.
    pub any: &'static [&'static str],
    /// Those that need it.
    pub alerts: Vec<&'static str>,
}

impl Input {
    /// In PromQL: has a result where it is there.
    pub fn query(&self) -> String {
        self.any.iter().map(|selector| format!("count({selector})")).collect::<Vec<_>>().join(" or ")
    }
}

/// All that our rules look at, each once.
pub fn inputs(gauges: Gauges) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    let rules = KNOWN.iter().filter_map(|known| Some((known.name, known.rule.as_ref()?.with(gauges)?.2)));
    for (name, any) in rules.flat_map(|(name, inputs)| inputs.iter().map(move |any| (name, *any))) {
        match inputs.iter_mut().find(|input| input.any == any) {
            Some(input) => input.alerts.push(name),
            None => inputs.push(Input { any, alerts: vec![name] }),
        }
    }
    inputs
}

use super::*;
use crate::plan::manifests::policies;
use crate::plan::manifests::rights::Scope;
use crate::plan::model::fixture::{job, runbook};
use crate::plan::model::policy::{Gauges, Surge, Unstick};

const ONE: &str = "docker.io/library/k8s-upgrade:0123456789ab";
const OTHER: &str = "docker.io/library/k8s-upgrade:ba9876543210";

fn seen(detection: &str, watch: &str, own: Answer<String>) -> HealthInput {
    let cron = |image: &str| {
        let image = Some(image.to_owned()).filter(|image| !image.is_empty());
        Some(Cron { suspended: false, ours: image.is_some(), image, schedule: String::new(), created: None, last: None })
    };
    let unknown = || "not asked".to_owned();
    HealthInput {
        facts: runbook(),
        detection: cron(detection),
        watch: cron(watch),
        detected: None,
        own,
        policies: Answer::Unknown(unknown()),
        gauges: Some(Answer::Unknown(unknown())),
        prometheus: Some(Prometheus {
            rules: Answer::Unknown(unknown()),
            missing: Answer::Unknown(unknown()),
            alerts: Answer::Unknown(unknown()),
        }),
    }
}

#[test]
fn another_build_than_the_one_in_hand_is_told() {
    let own = || Answer::Known(ONE.to_owned());
    for (detection, watch, own, ok, says) in [
        (ONE, ONE, own(), true, "run this binary"),
        // Another registry, another name; the hash is the build's.
        (
            "registry.lan:5000/tools/k8s-upgrade:0123456789ab",
            "registry.lan:5000/tools/k8s-upgrade:0123456789ab",
            own(),
            true,
            "run this",
        ),
        (OTHER, OTHER, own(), false, "this binary is another build"),
        // For machines of two architectures: of the builds in it this is one, or none.
        ("k8s-upgrade:ba9876543210-0123456789ab", "k8s-upgrade:ba9876543210-0123456789ab", own(), true, "run this binary"),
        ("k8s-upgrade:ba9876543210-ffffffffffff", "k8s-upgrade:ba9876543210-ffffffffffff", own(), false, "is another build"),
        ("k8s-upgrade:0123456789ab-rc1", "k8s-upgrade:0123456789ab-rc1", own(), true, "does not say whether"),
        (
            ONE,
            OTHER,
            own(),
            false,
            "CronJob k8s-version-check runs docker.io/library/k8s-upgrade:0123456789ab, and k8s-upgrade-watch",
        ),
        ("", OTHER, own(), false, "this binary is another build"),
        ("", "", own(), true, "no CronJob of this program"),
        ("k8s-upgrade:v1", "k8s-upgrade:v1", own(), true, "does not say whether it is this binary"),
        ("localhost:5000/k8s-upgrade", "localhost:5000/k8s-upgrade", own(), true, "does not say whether it is this binary"),
        (
            ONE,
            ONE,
            Answer::Unknown("it is linked dynamically".to_owned()),
            false,
            "cannot be determined: it is linked dynamically",
        ),
    ] {
        let check = build(&seen(detection, watch, own));
        assert_eq!((check.ok, check.command.is_none()), (ok, ok), "{check:?}");
        assert!(check.says.contains(says), "{check:?} should say {says:?}");
    }
}

#[test]
fn a_run_that_another_build_began_is_told() {
    let job = |image: &str| JobFact { image: Some(image.to_owned()), ..job("k8s-upgrade-master-1-34-7", JobState::Active) };
    let mut seen = seen(ONE, ONE, Answer::Known(ONE.to_owned()));
    seen.facts.jobs = vec![job(ONE)];
    assert!(!build(&seen).says.contains("goes on with"), "{:?}", build(&seen));
    seen.facts.jobs.push(job(OTHER));
    let check = build(&seen);
    assert!(check.ok && check.says.contains(&format!("k8s-upgrade-master-1-34-7 goes on with {OTHER}")), "{check:?}");
}

#[test]
fn a_policy_that_is_not_there_is_missed() {
    let scope = Scope {
        namespace: "k8s-upgrade",
        backup: Some(("default", "backup-etcd")),
        hooks: Default::default(),
        unstick: Unstick::Structural,
        forced_in: &[],
        surge: Surge::Single,
        events: true,
        freezes: None,
    };
    let wanted = policies::names(scope);
    assert!(bounds(&Answer::Known(wanted.clone()), &wanted).ok);
    let check = bounds(&Answer::Known(wanted[1..].to_vec()), &wanted);
    assert!(!check.ok && check.command.is_some() && check.says.contains(&wanted[0]), "{check:?}");
    let check = bounds(&Answer::Unknown("not allowed".to_owned()), &wanted);
    assert!(!check.ok && check.says == "not allowed", "{check:?}");
}

/// A rule that has nothing to look at is told with what it lacks; one of several ways to see the same is enough.
#[test]
fn a_rule_that_could_never_fire_is_told() {
    let gauges = Gauges::Pushgateway;
    assert!(inputs(&Answer::Known(vec![])).ok);
    let check = inputs(&Answer::Known(rules::inputs(gauges)));
    assert!(!check.ok && check.command.is_some(), "{check:?}");
    for says in [
        "without node_boot_time_seconds there can never fire RecentNodeReboot",
        "without k8s_upgrade_progress_timestamp or k8s_upgrade_started_timestamp there can never fire K8sUpgradeStalled",
        r#"without kubernetes_build_info{job=~".*(apiserver|kubelet|node).*"} or kube_node_info there can never fire K8sVersionSkew"#,
    ] {
        assert!(check.says.contains(says), "{check:?}");
    }
    let told = |alert: &str| rules::inputs(gauges).iter().any(|input| input.alerts.contains(&alert));
    for rule in rules::alerts(gauges) {
        let alert = rule["alert"].as_str().unwrap_or_default().to_owned();
        assert_eq!(told(&alert), alert != names::ALERT_WATCHDOG, "what {alert} looks at");
    }
    let check = inputs(&Answer::Unknown("timed out".to_owned()));
    assert!(!check.ok && check.says == "timed out", "{check:?}");
}

#[test]
fn over_a_cronjob_of_another_pipeline_ours_is_not_applied() {
    let mut seen = seen("", ONE, Answer::Known(ONE.to_owned()));
    seen.detection =
        Some(Cron { suspended: false, ours: false, image: None, schedule: String::new(), created: None, last: None });
    let check = cron("detection", names::DETECT_CRONJOB, seen.detection.as_ref(), "k8s-upgrade");
    assert!(!check.ok && check.says.contains("another pipeline"), "{check:?}");
    let command = check.command.unwrap_or_default();
    assert!(command.starts_with("k8s-upgrade adopt ") && !command.contains("apply"), "{command}");
}

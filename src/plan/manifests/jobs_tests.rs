//! The manifests of the runbook's chain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::failure::Class;
use crate::plan::decide::next;
use crate::plan::model::calendar::Calendar;
use crate::plan::model::fixture::*;
use crate::plan::model::policy::{QuietScope, Runner};
use crate::plan::model::waves::Waves;

const POLICY: Policy = Policy {
    runner: Runner::FirstWorker,
    standby: Vec::new(),
    quiet: Duration::ZERO,
    quiet_scope: QuietScope::Auto,
    retry_deferred: None,
    soak: Duration::ZERO,
    ready_ratio: 0.9,
    calendar: Calendar::ALWAYS,
    waves: Waves::ONE_BY_ONE,
};

const TEMPLATE: Template<'_> = Template {
    policy: &POLICY,
    namespace: "k8s-upgrade",
    prefix: crate::names::ANNOTATION_PREFIX,
    image: "docker.io/library/k8s-upgrade:0123456789ab",
    target: NEW,
    run: "r1",
    deadline: Duration::from_secs(7200),
};

fn worker_step(node: &str) -> Step {
    Step { phase: Phase::Worker, node: Some(node.to_owned()) }
}

/// The manifests of the whole chain, each made from the facts of its moment.
fn chain() -> Vec<Value> {
    let mut facts = in_flight(runbook());
    facts.marks.prepared = false;
    let mut manifests = Vec::new();
    while let next::Next::Create(next::Wave { first: planned, .. }) =
        next::next(&facts, &policy(), None, jiff::Timestamp::UNIX_EPOCH).unwrap()
    {
        manifests.push(manifest(&facts, &planned, &TEMPLATE).unwrap());
        match (planned.step.phase, &planned.step.node) {
            (Phase::Preflight, _) => facts = in_flight(facts),
            (_, Some(name)) => upgrade(&mut facts, name, NEW),
            (_, None) => facts.marks = Default::default(),
        }
    }
    manifests
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_runbooks_jobs_by_name_pin_toleration_and_arguments() {
    let row = |job: &Value| {
        let spec = job.pointer("/spec/template/spec").unwrap();
        let tolerations: Vec<_> = spec["tolerations"].as_array().unwrap().iter().map(|t| text(t, "/key").to_owned()).collect();
        let args: Vec<_> = spec["containers"][0]["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let pin = text(spec, "/nodeSelector/kubernetes.io~1hostname");
        format!("{} | {pin} | {} | {}", text(job, "/metadata/name"), tolerations.join(" "), args.join(" "))
    };
    let rows: Vec<_> = chain().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "k8s-upgrade-preflight-1-34-7 | k8s-node1 |  | preflight --chain --target 1.34.7 --run r1",
            "k8s-upgrade-master-1-34-7 | k8s-node1 |  | upgrade-node k8s-master --chain --target 1.34.7 --run r1",
            "k8s-upgrade-worker-1-34-7-k8s-node4 | k8s-node1 |  | upgrade-node k8s-node4 --chain --target 1.34.7 --run r1",
            "k8s-upgrade-worker-1-34-7-k8s-node3 | k8s-node1 |  | upgrade-node k8s-node3 --chain --target 1.34.7 --run r1",
            "k8s-upgrade-worker-1-34-7-k8s-node2 | k8s-node1 |  | upgrade-node k8s-node2 --chain --target 1.34.7 --run r1",
            "k8s-upgrade-worker-1-34-7-k8s-node1 | k8s-master | node-role.kubernetes.io/control-plane | upgrade-node k8s-node1 --chain --target 1.34.7 --run r1",
            "k8s-upgrade-postflight-1-34-7 |  | node-role.kubernetes.io/control-plane | postflight --chain --target 1.34.7 --run r1",
        ]
    );
}

#[test]
fn a_whole_manifest() {
    let last_worker = serde_json::to_string_pretty(&chain()[5]).unwrap();
    insta::assert_snapshot!(last_worker);
}

#[test]
fn a_job_that_is_taken_up_carries_its_count_and_whether_the_one_before_it_held() {
    let facts = in_flight(runbook());
    let of = |taken_up| {
        let planned =
            Planned { step: worker_step("k8s-node4"), job: "j".into(), pin: Some("k8s-node1".into()), replaces: None, taken_up };
        let job = manifest(&facts, &planned, &TEMPLATE).unwrap();
        let args = job.pointer("/spec/template/spec/containers/0/args").unwrap().as_array().unwrap().clone();
        (job.pointer("/metadata/annotations").cloned(), args.last().unwrap() == HELD)
    };
    let counted = |times: &str| Some(json!({ "viktorbarzin.me/k8s-upgrade-taken-up": times }));
    assert_eq!(of(None), (None, false));
    assert_eq!(of(Some(TakenUp { times: 2, held: false })), (counted("2"), false));
    assert_eq!(of(Some(TakenUp { times: 0, held: true })), (counted("0"), true));
}

#[test]
fn the_selector_is_the_hostname_label_not_the_name() {
    let mut facts = in_flight(runbook());
    node(&mut facts, "k8s-node1").hostname = "vm-17".to_owned();
    let planned = Planned {
        step: worker_step("k8s-node4"),
        job: "j".into(),
        pin: Some("k8s-node1".into()),
        replaces: None,
        taken_up: None,
    };
    let job = manifest(&facts, &planned, &TEMPLATE).unwrap();
    assert_eq!(text(&job, "/spec/template/spec/nodeSelector/kubernetes.io~1hostname"), "vm-17");
}

fn typed(job: &Value) -> PodSpec {
    serde_json::from_value(job.pointer("/spec/template/spec").unwrap().clone()).unwrap()
}

/// The terms of its required node affinity, one of which must hold, each as `name` or `label`.
fn terms(job: &Value) -> Vec<String> {
    let terms = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = job.pointer(terms).unwrap().as_array().unwrap();
    let told = |term: &Value| {
        let name = term.pointer("/matchFields/0/values/0").and_then(Value::as_str).unwrap_or_default();
        let label = term
            .pointer("/matchExpressions/0")
            .map_or(String::new(), |one| format!("{}:{}", text(one, "/operator"), text(one, "/key")));
        format!("{name} {label}").trim().to_owned()
    };
    terms.iter().map(told).collect()
}

#[test]
fn pins_name_the_node_itself_and_nothing_runs_where_nobody_is_trusted() {
    const PLANE: &str = "Exists:node-role.kubernetes.io/control-plane";
    let jobs = chain();
    let told: Vec<String> = jobs.iter().map(|job| terms(job).join(" or ")).collect();
    let runner = "k8s-node1".to_owned();
    let wanted = [vec![runner.clone(); 5], vec![format!("k8s-master {PLANE}"), format!("{PLANE} or {runner}")]].concat();
    assert_eq!(told, wanted);
    for job in &jobs {
        // As the orphan watch reads it back.
        let selector = job.pointer("/spec/template/spec/nodeSelector/kubernetes.io~1hostname").and_then(Value::as_str);
        assert_eq!(pinned_to(&typed(job)), selector);
    }
}

#[test]
fn a_pod_sees_no_more_of_the_secret_than_its_command_uses() {
    for job in chain() {
        let spec = typed(&job);
        let volumes = spec.volumes.unwrap();
        let secrets: Vec<_> = volumes.iter().filter_map(|volume| volume.secret.as_ref()).collect();
        let items = |i: usize| secrets[i].items.as_ref().unwrap().iter().map(|item| item.key.as_str()).collect::<Vec<_>>();
        let postflight = text(&job, "/metadata/name").contains("postflight");
        let key = (!postflight).then_some("ssh_key");
        let wanted: Vec<&str> = key.into_iter().chain(["slack_webhook", "webhooks"]).chain(names::SECRET_PROMETHEUS).collect();
        assert_eq!((secrets.len(), items(0)), (1, wanted));
        assert_eq!((spec.enable_service_links, spec.automount_service_account_token), (Some(false), Some(true)));
        assert_eq!((spec.host_network, spec.host_pid, spec.host_ipc, spec.host_users), (None, None, None, None));
        assert_eq!(spec.containers[0].resources.as_ref().unwrap().limits.as_ref().unwrap()["memory"].0, "128Mi");
    }
    let watch = Pod { account: Account::Watch, arguments: &[], image: "i", secret: Secret::Webhooks }.spec();
    let sees = |key: &str| watch.to_string().contains(key);
    assert!(sees(names::SECRET_SLACK) && !sees(names::SECRET_SSH_KEY) && !sees("prometheus"), "{watch}");
}

#[test]
fn a_job_fails_at_once_by_the_one_table() {
    let policy = pod_failure_policy();
    let codes = policy.pointer("/rules/1/onExitCodes/values").unwrap().as_array().unwrap();
    let codes: Vec<i32> = codes.iter().map(|code| code.as_i64().unwrap() as i32).collect();
    assert_eq!(codes, [1, 2, 3, 4, 101, 130, 134]);
    for code in 1..=255 {
        assert_eq!(codes.contains(&code), failure::Retry::after(code) != failure::Retry::Counted, "{code}");
    }
}

#[test]
fn tolerations_come_from_the_pins_own_taints() {
    let mut facts = in_flight(runbook());
    let taint =
        |key: &str, value: Option<&str>| Taint { key: key.into(), value: value.map(Into::into), effect: "NoExecute".into() };
    node(&mut facts, "k8s-node1").taints =
        vec![taint("dedicated", Some("infra")), taint("node.kubernetes.io/not-ready", None), taint("gpu", None)];
    let planned = Planned {
        step: worker_step("k8s-node4"),
        job: "j".into(),
        pin: Some("k8s-node1".into()),
        replaces: None,
        taken_up: None,
    };
    let job = manifest(&facts, &planned, &TEMPLATE).unwrap();
    let wanted = json!([
        { "key": "dedicated", "operator": "Equal", "value": "infra", "effect": "NoExecute" },
        { "key": "gpu", "operator": "Exists", "effect": "NoExecute" },
    ]);
    assert_eq!(job.pointer("/spec/template/spec/tolerations"), Some(&wanted));
}

#[test]
fn a_job_that_would_drain_its_own_node_is_not_built() {
    let facts = in_flight(runbook());
    let mut planned = Planned {
        step: worker_step("k8s-node4"),
        job: "j".into(),
        pin: Some("k8s-node4".into()),
        replaces: None,
        taken_up: None,
    };
    assert_eq!(manifest(&facts, &planned, &TEMPLATE).unwrap_err().class, Class::Refused);
    planned.pin = Some("k8s-node9".into());
    assert_eq!(manifest(&facts, &planned, &TEMPLATE).unwrap_err().class, Class::Step);
}

#[test]
fn each_attempt_of_a_backup_has_its_name() {
    assert_eq!(etcd_name(NEW, "20261122-1200", 1), "pre-upgrade-etcd-1-34-7-20261122-1200");
    assert_eq!(etcd_name(NEW, "20261122-1200", 2), "pre-upgrade-etcd-1-34-7-20261122-1200-2");
    assert!(etcd_name(NEW, &"x".repeat(80), 10).len() <= 63);
    assert_ne!(etcd_name(NEW, &"x".repeat(80), 10), etcd_name(NEW, &"x".repeat(80), 11));
}

#[test]
fn the_backup_job_keeps_every_field_of_its_template() {
    let cronjob = json!({
        "metadata": { "name": "backup-etcd", "namespace": "default", "uid": "u" },
        "spec": {
            "schedule": "0 0 * * 0",
            "jobTemplate": {
                "metadata": { "labels": { "app": "backup" }, "annotations": { "a": "b" } },
                "spec": { "fieldOfTheFuture": { "x": [1] }, "template": { "spec": { "restartPolicy": "OnFailure" } } },
            },
        },
    });
    let job = etcd_job(&cronjob, "pre-upgrade-etcd-1-34-7-r1").unwrap();
    let wanted = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "pre-upgrade-etcd-1-34-7-r1", "namespace": "default",
            "labels": { "app": "backup", "app.kubernetes.io/managed-by": "k8s-upgrade" },
            "annotations": { "a": "b", "cronjob.kubernetes.io/instantiate": "manual" },
        },
        "spec": {
            "fieldOfTheFuture": { "x": [1] }, "template": { "spec": { "restartPolicy": "OnFailure" } }, "ttlSecondsAfterFinished": 604800,
        },
    });
    assert_eq!(job, wanted);
    let mut keeps_its_own = cronjob.clone();
    keeps_its_own["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(60);
    assert_eq!(etcd_job(&keeps_its_own, "j").unwrap()["spec"]["ttlSecondsAfterFinished"], 60);
    assert_eq!(etcd_job(&json!({ "metadata": { "name": "x" } }), "j").unwrap_err().class, Class::Refused);
}

//! The Jobs that our accounts create and remove.

use std::sync::LazyLock;

use k8s_upgrade::names::ANNOTATION_PREFIX;
use k8s_upgrade::plan::manifests::{hooks, jobs};
use k8s_upgrade::plan::model::hooks::Hook;
use k8s_upgrade::plan::model::policy::{Runner, Surge, Unstick};
use k8s_upgrade::twin::Scenario;
use k8s_upgrade::twin::store::Kind;
use serde_json::{Value, json};

use super::records::hardened;
use super::{DRY, IMAGE, Installed, annotated, delete, install, install_with, mark, patch, post};
use crate::bench::{Bench, text};
use crate::world::{begin, quick, to_the_end};

/// Where a Job has its pod's spec, and that its container.
const POD: &str = "/spec/template/spec";
const ONE: &str = "/spec/template/spec/containers/0";

/// The Jobs of whole runs, as the program creates them in a simulated cluster. Each run has a clock of its own, and they are the
/// same for all who ask.
static RUNS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let runs = [Scenario::runbook(), Scenario::three_control_planes()].map(|scenario| {
        let run = std::thread::spawn(move || to_the_end(begin(&quick(scenario)), None));
        let end = run.join().expect("a run of the simulation");
        let all = end.store.list(Kind::Job).map(|(_, job)| (**job).clone());
        all.filter(|job| text(job, "/metadata/labels/app") == "k8s-upgrade-chain").collect::<Vec<_>>()
    });
    runs.concat()
});

/// These with what the program wrote of them alone, for that namespace.
pub fn of_runs(ns: &str) -> Vec<Value> {
    let ours = |job: &Value| {
        let mut job = job.clone();
        let metadata = json!({ "name": job["metadata"]["name"], "namespace": ns, "labels": job["metadata"]["labels"] });
        job["metadata"] = metadata;
        job["spec"]["template"]["metadata"]["labels"] = json!({ "app": "k8s-upgrade-chain", "sidecar.istio.io/inject": "false" });
        job["spec"]["template"]["spec"]["containers"][0]["image"] = json!(IMAGE);
        job.as_object_mut().unwrap().retain(|field, _| field != "status");
        job["spec"].as_object_mut().unwrap().retain(|field, _| field != "selector");
        job
    };
    RUNS.iter().map(ours).collect()
}

/// A Job of a worker, and it changed.
pub fn changed(job: &Value, pointer: &str, value: Value) -> Value {
    let mut job = job.clone();
    let (holder, field) = pointer.rsplit_once('/').unwrap();
    match job.pointer_mut(holder).unwrap() {
        Value::Array(list) if field == "-" => list.push(value),
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        holder => holder[field.replace("~1", "/")] = value,
    }
    job
}

pub async fn a_job_of_the_chain_has_its_shape(b: &Bench<'_>) {
    let Installed { chain, watch, backup, .. } = install(b).await;
    let ours = of_runs(&b.ns);
    assert!(ours.len() >= 14, "{} Jobs of two runs", ours.len());
    let worker = ours.iter().find(|job| text(job, "/spec/template/spec/containers/0/args/0") == "upgrade-node").unwrap();
    let node = text(worker, "/spec/template/spec/containers/0/args/1").to_owned();
    let args = |args: &[&str]| json!(args);
    let run = ["--chain", "--target", "1.34.7", "--run", "0badcafe"];
    let mut forbidden: Vec<(&'static str, Value)> = [
        ("another name", "/metadata/name".to_owned(), json!("other")),
        ("another label", "/metadata/labels/app".to_owned(), json!("k8s-version-upgrade")),
        ("one more label", "/metadata/labels/team".to_owned(), json!("a")),
        ("an annotation", "/metadata/annotations".to_owned(), json!({ "a": "b" })),
        ("two pods", "/spec/parallelism".to_owned(), json!(2)),
        ("two ends", "/spec/completions".to_owned(), json!(2)),
        (
            "a pod's annotation",
            "/spec/template/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1k8s-upgrade".to_owned(),
            json!("unconfined"),
        ),
        ("a pod's label", "/spec/template/metadata/labels/team".to_owned(), json!("a")),
        ("a sidecar that is asked for", "/spec/template/metadata/labels/sidecar.istio.io~1inject".to_owned(), json!("true")),
        ("another image", format!("{ONE}/image"), json!("evil:1")),
        ("another command", format!("{ONE}/command"), json!(["sh"])),
        ("another argument", format!("{ONE}/args/-"), json!("--set=ssh-user=root")),
        ("a command of a person", format!("{ONE}/args"), args(&["rotate-key", "--yes"])),
        ("a node's name that is an option", format!("{ONE}/args"), args(&[&["upgrade-node", "-x"][..], &run].concat())),
        ("two words in one", format!("{ONE}/args"), args(&[&["upgrade-node k8s-node1 --set=a"][..], &run].concat())),
        ("a run that is none", format!("{ONE}/args"), args(&["preflight", "--chain", "--target", "1.34.7", "--run", "a b"])),
        (
            "a line of its own",
            format!("{ONE}/args"),
            args(&["preflight", "--chain", "--target", "1.34.7", "--run", "0badcafe\n"]),
        ),
        ("without --chain", format!("{ONE}/args"), args(&["preflight", "--target", "1.34.7", "--run", "0badcafe"])),
        ("another account", format!("{POD}/serviceAccountName"), json!("default")),
        ("another Secret", format!("{POD}/volumes/-"), json!({ "name": "x", "secret": { "secretName": "other" } })),
        ("another Secret in its environment", format!("{ONE}/envFrom"), json!([{ "secretRef": { "name": "other" } }])),
        ("another variable", format!("{ONE}/env/-"), json!({ "name": "K8S_UPGRADE_SSH_USER", "value": "root" })),
        ("a host's path", format!("{POD}/volumes/-"), json!({ "name": "x", "hostPath": { "path": "/" } })),
        ("a host's network", format!("{POD}/hostNetwork"), json!(true)),
        ("a host's processes", format!("{POD}/hostPID"), json!(true)),
        ("a host's memory", format!("{POD}/hostIPC"), json!(true)),
        ("all rights", format!("{ONE}/securityContext"), json!({ "privileged": true })),
        ("a capability", format!("{ONE}/securityContext/capabilities/add"), json!(["SYS_ADMIN"])),
        ("root", format!("{POD}/securityContext/runAsUser"), json!(0)),
        ("no profile", format!("{POD}/securityContext/seccompProfile/type"), json!("Unconfined")),
        ("one more container", format!("{POD}/containers/-"), json!({ "name": "x", "image": IMAGE })),
        ("a container before", format!("{POD}/initContainers"), json!([{ "name": "x", "image": IMAGE }])),
        ("another class", format!("{POD}/priorityClassName"), json!("system-node-critical")),
        ("another scheduler", format!("{POD}/schedulerName"), json!("mine")),
        ("a node by its name", format!("{POD}/nodeName"), json!(node)),
        ("another runtime", format!("{POD}/runtimeClassName"), json!("kata")),
        ("a claim to a device", format!("{POD}/resourceClaims"), json!([{ "name": "x", "resourceClaimName": "y" }])),
    ]
    .into_iter()
    .map(|(what, pointer, value)| (what, changed(worker, &pointer, value)))
    .collect();
    let postflight = ours.iter().find(|job| text(job, "/spec/template/spec/containers/0/args/0") == "postflight").unwrap();
    let key = worker["spec"]["template"]["spec"]["volumes"][0].clone();
    forbidden.push(("a postflight that sees the key", changed(postflight, &format!("{POD}/volumes/0"), key)));
    for account in [&chain, &watch] {
        for (what, job) in &forbidden {
            post(what, "jobs", job.clone()).refused(account, "jobs").await;
        }
        let mut snapshot = worker.clone();
        snapshot["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("k8s-upgrade");
        post("a snapshot that is none", "jobs", snapshot).refused(account, "jobs").await;
        for job in &ours {
            post("a Job of ours", "jobs", job.clone()).accepted(account).await;
        }
        let mut again = worker.clone();
        again["metadata"]["annotations"] = json!({ mark("taken-up"): "2" });
        again["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap().push(json!("--held"));
        post("a Job that is taken up", "jobs", again).accepted(account).await;
    }
    let elsewhere = |place: &str| format!("/apis/batch/v1/namespaces/{place}/jobs");
    let mut there = worker.clone();
    there["metadata"]["namespace"] = json!(backup);
    post("a Job of the chain elsewhere", &elsewhere(&backup), there.clone()).refused(&chain, "jobs").await;
    post("the same, by the watch", &elsewhere(&backup), there.clone()).not_granted(&watch).await;
    there["metadata"]["namespace"] = json!("kube-system");
    post("a Job in kube-system", &elsewhere("kube-system"), there).not_granted(&chain).await;
    // A run keeps its image to its end.
    b.patch(&format!("namespaces/{}", b.ns), annotated("image", json!("before:1"))).await.ok();
    let before = changed(worker, &format!("{ONE}/image"), json!("before:1"));
    b.until("the run's image to be known", async || {
        (chain.post(&format!("jobs?{DRY}"), before.clone()).await.code < 300).then_some(())
    })
    .await;
    // Nobody else is asked.
    let answer = b.post(&format!("jobs?{DRY}"), forbidden[0].1.clone()).await;
    assert!(answer.code < 300, "a person is refused: {}", answer.body);
}

pub async fn of_a_job_only_its_progress_changes(b: &Bench<'_>) {
    let Installed { chain, watch, backup, .. } = install(b).await;
    let job = of_runs(&b.ns).remove(1);
    let path = format!("jobs/{}", text(&job, "/metadata/name"));
    chain.post("jobs", job).await.with_code(201);
    // People write on it, too.
    b.patch(&path, json!({ "metadata": { "annotations": { "team": "a" }, "labels": { "team": "a" } } })).await.ok();
    for (what, change) in [
        ("its end", json!({ "spec": { "suspend": true } })),
        ("its tries", json!({ "spec": { "backoffLimit": 9 } })),
        ("its label", json!({ "metadata": { "labels": { "app": "other" } } })),
        ("a label more", json!({ "metadata": { "labels": { "other": "b" } } })),
        ("how often it was taken up", annotated("taken-up", json!("0"))),
        ("a person's annotation", json!({ "metadata": { "annotations": { "team": null } } })),
        ("a finalizer", json!({ "metadata": { "finalizers": ["example.com/wait"] } })),
        ("its owner", json!({ "metadata": { "ownerReferences": [] , "labels": { "app": null } } })),
    ] {
        patch(what, &path, change).refused(&chain, "jobs").await;
    }
    patch("its progress", &path, annotated("progress", json!("{}"))).not_granted(&watch).await;
    patch("its progress", &path, annotated("progress", json!("{}"))).accepted(&chain).await;
    chain.patch(&path, annotated("progress", json!("{}"))).await.ok();
    patch("its progress again", &path, annotated("progress", json!("[]"))).accepted(&chain).await;
    let elsewhere = format!("/apis/batch/v1/namespaces/{backup}/jobs/x");
    patch("a snapshot's", &elsewhere, annotated("progress", json!("{}"))).not_granted(&chain).await;
}

/// Required node affinity: one of these terms must hold.
fn on_one_of(terms: Value) -> Value {
    json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } })
}

fn labelled(key: &str, operator: &str, values: Option<&str>) -> Value {
    json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values.map(|value| [value]) }] })
}

fn named(operator: &str, node: &str) -> Value {
    json!({ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": [node] }] })
}

/// Of a worker's Job, only where it runs differs.
async fn runs_only_on(b: &Bench<'_>, runner: Runner, standby: &[&str], workers: &[&str]) {
    const PLANE: &str = "node-role.kubernetes.io/control-plane";
    let standby: Vec<String> = standby.iter().map(ToString::to_string).collect();
    let drains = (Unstick::Structural, Surge::Never);
    let Installed { chain, watch, .. } = install_with(b, drains, &[], &runner, &standby).await;
    let ours = of_runs(&b.ns);
    let worker = ours.iter().find(|job| text(job, "/spec/template/spec/containers/0/args/0") == "upgrade-node").unwrap();
    let at = |affinity: Value| changed(worker, &format!("{POD}/affinity"), affinity);
    let plane = labelled(PLANE, "Exists", None);
    let mut both = named("In", "k8s-master");
    both["matchExpressions"] = plane["matchExpressions"].clone();
    let preferred = json!([{ "weight": 1, "preference": named("In", "k8s-master") }]);
    let forbidden = [
        ("anywhere", json!(null)),
        ("by preference", json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": preferred } })),
        ("by a name that a kubelet may take", on_one_of(json!([labelled("kubernetes.io/hostname", "In", Some("k8s-node1"))]))),
        ("no control plane", on_one_of(json!([labelled(PLANE, "DoesNotExist", None)]))),
        ("what is no runner", on_one_of(json!([named("NotIn", "k8s-node1")]))),
        ("or anywhere", on_one_of(json!([plane, labelled("kubernetes.io/os", "In", Some("linux"))]))),
        ("another worker", on_one_of(json!([named("In", "k8s-node3")]))),
        ("or another worker", on_one_of(json!([plane, named("In", "k8s-node3")]))),
    ];
    for account in [&chain, &watch] {
        for (what, affinity) in &forbidden {
            post(what, "jobs", at(affinity.clone())).refused(account, "jobs").await;
        }
        for affinity in [json!([plane]), json!([both]), json!([plane, both])] {
            post("a control plane", "jobs", at(on_one_of(affinity))).accepted(account).await;
        }
        for node in workers {
            post("a worker that is trusted", "jobs", at(on_one_of(json!([plane, named("In", node)])))).accepted(account).await;
        }
    }
}

pub async fn a_job_runs_on_the_runner_or_who_stands_in_for_it(b: &Bench<'_>) {
    runs_only_on(b, Runner::Node("k8s-node1".to_owned()), &["k8s-node2"], &["k8s-node1", "k8s-node2"]).await;
}

pub async fn a_job_runs_on_a_control_plane_alone_where_no_worker_is_trusted(b: &Bench<'_>) {
    runs_only_on(b, Runner::ControlPlane, &[], &[]).await;
}

pub async fn only_a_job_of_the_chain_is_removed(b: &Bench<'_>) {
    let Installed { chain, watch, .. } = install(b).await;
    let job = |name: &str, app: &str| {
        let template = json!({ "spec": { "restartPolicy": "Never", "containers": hardened()["containers"] } });
        json!({ "metadata": { "name": name, "labels": { "app": app } }, "spec": { "suspend": true, "template": template } })
    };
    for (name, app) in
        [("other", "k8s-upgrade-chain"), ("k8s-upgrade-x", "k8s-version-upgrade"), ("k8s-upgrade-worker", "k8s-upgrade-chain")]
    {
        b.post("jobs", job(name, app)).await.ok();
    }
    for account in [&chain, &watch] {
        delete("a Job of another name", "jobs/other").refused(account, "ended-jobs").await;
        delete("a Job of another kind", "jobs/k8s-upgrade-x").refused(account, "ended-jobs").await;
        delete("all Jobs", "jobs").not_granted(account).await;
        delete("a Job of the chain", "jobs/k8s-upgrade-worker").accepted(account).await;
    }
}

pub async fn a_snapshots_job_is_that_of_its_cronjob(b: &Bench<'_>) {
    let Installed { chain, watch, backup, .. } = install(b).await;
    let (path, cronjobs) =
        (format!("/apis/batch/v1/namespaces/{backup}/jobs"), format!("/apis/batch/v1/namespaces/{backup}/cronjobs"));
    let template = chain.there(&format!("{cronjobs}/backup-etcd")).await;
    let ours = jobs::etcd_job(&template, "pre-upgrade-etcd-1-34-7-0badcafe").unwrap();
    for (what, pointer, value) in [
        ("another image", format!("{POD}/containers/0/image"), json!("evil:1")),
        ("another command", format!("{POD}/containers/0/command"), json!(["sh"])),
        ("another path of its host", format!("{POD}/volumes/0/hostPath/path"), json!("/")),
        ("a Secret", format!("{POD}/volumes/-"), json!({ "name": "x", "secret": { "secretName": "other" } })),
        ("another account", format!("{POD}/serviceAccountName"), json!("other")),
        ("all rights", format!("{POD}/containers/0/securityContext"), json!({ "privileged": true })),
        ("another name", "/metadata/name".to_owned(), json!("other")),
        ("more pods", "/spec/parallelism".to_owned(), json!(5)),
        ("a pod's annotation", "/spec/template/metadata/annotations/a".to_owned(), json!("b")),
    ] {
        post(what, &path, changed(&ours, &pointer, value)).refused(&chain, "snapshots").await;
    }
    let mut unlabelled = ours.clone();
    unlabelled["metadata"]["labels"] = json!({});
    post("one that hides from its policy", &path, unlabelled).refused(&chain, "jobs").await;
    post("by the watch", &path, ours.clone()).not_granted(&watch).await;
    post("ours", &path, ours.clone()).accepted(&chain).await;
    // Without its CronJob nobody knows what it should be; whoever has nothing to do with us is not asked for it.
    b.delete(&format!("{cronjobs}/backup-etcd"), json!({})).await.ok();
    post("ours without a CronJob", &path, ours.clone()).refused_with(&chain, 422, "no params found").await;
    let mut theirs = ours.clone();
    theirs["metadata"]["labels"] = json!({ "app": "theirs" });
    post("somebody else's", &path, theirs).accepted(b).await;
    // As of another installation, whose CronJob is there.
    let mut elsewhere = ours;
    elsewhere["metadata"]["namespace"] = json!(b.ns);
    post("somebody's of that label in another namespace", "jobs", elsewhere).accepted(b).await;
}

pub async fn a_hooks_job_is_that_of_its_cronjob(b: &Bench<'_>) {
    let Installed { chain, watch, backup, .. } = install(b).await;
    let (path, cronjobs) =
        (format!("/apis/batch/v1/namespaces/{backup}/jobs"), format!("/apis/batch/v1/namespaces/{backup}/cronjobs"));
    let template = chain.there(&format!("{cronjobs}/noout")).await;
    let turn = "0badcafe".parse().unwrap();
    let name = hooks::name(Hook::Before, &turn, "k8s-node4", 1);
    let ours = hooks::job(&template, Hook::Before, &name, "k8s-node4", ANNOTATION_PREFIX).unwrap();
    let node = format!("/metadata/annotations/{ANNOTATION_PREFIX}~1k8s-upgrade-hook-node");
    for (what, pointer, value) in [
        ("another image", format!("{POD}/containers/0/image"), json!("evil:1")),
        ("another path of its host", format!("{POD}/volumes/0/hostPath/path"), json!("/")),
        ("all rights", format!("{POD}/containers/0/securityContext"), json!({ "privileged": true })),
        ("a snapshot's name", "/metadata/name".to_owned(), json!("pre-upgrade-etcd-1")),
        ("more pods", "/spec/parallelism".to_owned(), json!(5)),
        ("a pod's annotation", "/spec/template/metadata/annotations/a".to_owned(), json!("b")),
        ("an annotation of the Job", "/metadata/annotations/a".to_owned(), json!("b")),
        ("a node that no node is called", node.clone(), json!("$(id)")),
    ] {
        post(what, &path, changed(&ours, &pointer, value)).refused(&chain, "hooks-before").await;
    }
    // It is no snapshot, and no hook that is not set.
    for other in ["k8s-upgrade-hook-after", ""] {
        let other = changed(&ours, "/metadata/labels/app.kubernetes.io~1managed-by", json!(other));
        post("one that hides from its policy", &path, other).refused(&chain, "jobs").await;
    }
    post("by the watch", &path, ours.clone()).not_granted(&watch).await;
    post("ours", &path, ours).accepted(&chain).await;
}

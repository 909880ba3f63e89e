//! What the API server itself refuses our accounts, whatever they ask: the policies that `manifests` prints, each tried from both sides.
//! A try is dry, so that one that is wrongly accepted changes nothing for the next.

mod cronjobs;
mod jobs;
mod records;
mod schemas;

use k8s_upgrade::names::{ANNOTATION_PREFIX, SERVICE_ACCOUNT, WATCH_ACCOUNT, of_cluster};
use k8s_upgrade::plan::manifests::install;
use k8s_upgrade::plan::manifests::installation::Install;
use k8s_upgrade::plan::model::hooks::Hooks;
use k8s_upgrade::plan::model::policy::{Runner, Surge, Unstick};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, SOON, text};
use crate::support::installed;
pub use cronjobs::our_container_is_merged_into_no_other_cronjob;
pub use jobs::{
    a_hooks_job_is_that_of_its_cronjob, a_job_of_the_chain_has_its_shape,
    a_job_runs_on_a_control_plane_alone_where_no_worker_is_trusted, a_job_runs_on_the_runner_or_who_stands_in_for_it,
    a_snapshots_job_is_that_of_its_cronjob, of_a_job_only_its_progress_changes, of_runs, only_a_job_of_the_chain_is_removed,
};
pub use records::{
    a_node_is_cordoned_and_marked_and_nothing_else, a_pod_is_deleted_by_force_where_its_namespace_is_named,
    a_pod_is_deleted_where_unsticking_would, no_deployment_is_restarted_where_drains_never_do,
    no_pod_is_deleted_by_force_elsewhere, no_pod_is_deleted_where_unsticking_never_does,
    of_a_deployment_only_its_restart_changes, of_config_maps_only_journals_and_new_host_keys,
    of_namespaces_only_the_runs_marks_change,
};
pub use schemas::{no_field_of_a_node_is_forgotten, no_field_of_a_pod_is_forgotten};

const IMAGE: &str = "docker.io/library/k8s-upgrade:0123456789ab";
const DRY: &str = "dryRun=All";

/// The program as `manifests` installs it in the bench's namespace.
pub struct Installed<'a> {
    chain: Bench<'a>,
    watch: Bench<'a>,
    /// Namespace of the backup CronJob.
    backup: String,
}

pub async fn install<'a>(b: &'a Bench<'a>) -> Installed<'a> {
    install_with(b, (Unstick::Structural, Surge::Single), &[], &Runner::FirstWorker, &[]).await
}

async fn install_with<'a>(
    b: &'a Bench<'a>,
    (unstick, surge): (Unstick, Surge),
    forced_in: &[String],
    runner: &Runner,
    standby: &[String],
) -> Installed<'a> {
    let backup = format!("backup-{}", b.ns);
    b.post("namespaces", json!({ "metadata": { "name": backup } })).await.ok();
    let mut hook = cronjob();
    hook["metadata"]["name"] = json!("noout");
    for cronjob in [cronjob(), hook] {
        b.post(&format!("/apis/batch/v1/namespaces/{backup}/cronjobs"), cronjob).await.ok();
    }
    let install = Install {
        image: IMAGE,
        backup: Some((&backup, "backup-etcd")),
        hooks: Hooks { before: Some((&backup, "noout")), after: None },
        unstick,
        forced_in,
        surge,
        runner,
        standby,
        ..installed::install(&b.ns)
    };
    for object in install::objects(&install).unwrap() {
        match text(&object, "/kind") {
            // It is there already.
            "Namespace" => b.patch(&format!("namespaces/{}", b.ns), json!({ "metadata": object["metadata"] })).await.ok(),
            kind => b.post(&place(kind, &object), object.clone()).await.with_code(201),
        };
    }
    Installed { chain: b.acting_as(SERVICE_ACCOUNT), watch: b.acting_as(WATCH_ACCOUNT), backup }
}

/// Where objects of this kind are created.
pub fn place(kind: &str, object: &Value) -> String {
    let plural = match kind {
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let group = match text(object, "/apiVersion") {
        "v1" => "/api/v1".to_owned(),
        version => format!("/apis/{version}"),
    };
    match text(object, "/metadata/namespace") {
        "" => format!("{group}/{plural}"),
        namespace => format!("{group}/namespaces/{namespace}/{plural}"),
    }
}

/// An administrator's, with what a snapshot needs of its host.
fn cronjob() -> Value {
    let container = json!({ "name": "backup", "image": "etcd:3", "command": ["sh", "-c", "etcdctl snapshot save"],
        "volumeMounts": [{ "name": "pki", "mountPath": "/pki" }] });
    let pod = json!({
        "restartPolicy": "Never", "hostNetwork": true, "nodeSelector": { "node-role.kubernetes.io/control-plane": "" },
        "tolerations": [{ "operator": "Exists" }], "containers": [container],
        "volumes": [{ "name": "pki", "hostPath": { "path": "/etc/kubernetes/pki" } }],
    });
    let template = json!({ "metadata": { "annotations": { "team": "storage" } }, "spec": pod });
    let spec = json!({ "schedule": "0 1 * * *", "suspend": true, "jobTemplate": { "spec": { "backoffLimit": 0, "template": template } } });
    json!({ "metadata": { "name": "backup-etcd" }, "spec": spec })
}

/// One try of an account.
struct Try {
    what: &'static str,
    method: &'static str,
    path: String,
    body: Value,
}

impl Try {
    async fn dry(&self, account: &Bench<'_>) -> Answer {
        if self.method == "DELETE" {
            return account.delete(&self.path, dry_delete(&self.body)).await;
        }
        account.send(self.method, &format!("{}?{DRY}", self.path), self.body.clone()).await
    }

    /// Refused by that policy. Roles and policies are known a moment after they were made.
    async fn refused(&self, account: &Bench<'_>, policy: &str) {
        let policy = of_cluster(&format!("k8s-upgrade-{policy}"), &account.ns);
        let says = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: ");
        self.refused_with(account, 403, &says).await;
    }

    /// Refused, because no role gives this right.
    async fn not_granted(&self, account: &Bench<'_>) {
        self.refused_with(account, 403, "cannot ").await;
    }

    async fn refused_with(&self, account: &Bench<'_>, code: u16, says: &str) {
        let mut last = String::new();
        let begun = tokio::time::Instant::now();
        while begun.elapsed().as_secs() < SOON {
            let answer = self.dry(account).await;
            last = format!("{} {}", answer.code, answer.body);
            if answer.code == code && text(&answer.body, "/message").contains(says) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{} ({} {}) is to be refused with {says:?}, and gave {last}", self.what, self.method, self.path);
    }

    async fn accepted(&self, account: &Bench<'_>) -> Value {
        let answer = self.dry(account).await;
        assert!(answer.code < 300, "{} ({} {}) gave {}: {}", self.what, self.method, self.path, answer.code, answer.body);
        answer.body
    }
}

fn patch(what: &'static str, path: &str, body: Value) -> Try {
    Try { what, method: "PATCH", path: path.to_owned(), body }
}

fn post(what: &'static str, path: &str, body: Value) -> Try {
    Try { what, method: "POST", path: path.to_owned(), body }
}

fn delete(what: &'static str, path: &str) -> Try {
    Try { what, method: "DELETE", path: path.to_owned(), body: json!({}) }
}

/// Where a delete has options, the API server reads none of its address.
fn dry_delete(options: &Value) -> Value {
    let mut options = options.clone();
    options["dryRun"] = json!(["All"]);
    options
}

fn mark(name: &str) -> String {
    format!("{ANNOTATION_PREFIX}/k8s-upgrade-{name}")
}

fn annotated(name: &str, value: Value) -> Value {
    json!({ "metadata": { "annotations": { mark(name): value } } })
}

/// The API server understands each of them to the end, and its checker of types finds nothing to say.
pub async fn all_are_understood(b: &Bench<'_>) {
    install(b).await;
    let ours = b.items("validatingadmissionpolicies?labelSelector=app.kubernetes.io/name=k8s-upgrade").await;
    let ours: Vec<&Value> = ours.iter().filter(|policy| text(policy, "/metadata/name").ends_with(&b.ns)).collect();
    assert_eq!(ours.len(), 10, "{ours:?}");
    for policy in ours {
        let path = format!("validatingadmissionpolicies/{}", text(policy, "/metadata/name"));
        let judged = b.is(&path, |policy| policy["status"]["observedGeneration"] == policy["metadata"]["generation"]).await;
        assert_eq!(judged["status"]["typeChecking"]["expressionWarnings"], Value::Null, "{path}");
    }
}

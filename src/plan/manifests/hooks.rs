//! The Jobs of hooks: what their CronJobs must be like, what each is called, and what is made of the template.

use serde_json::{Value, json};

use super::jobs;
use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::plan::model::hooks::Hook;
use crate::plan::model::named::label;
use crate::words::{RunId, command};

/// A finished Job that is gone sooner than this (seconds) is gone before anybody has seen how it ended.
const SEEN: i64 = 3600;

/// The value of [`names::LABEL_MANAGED_BY`] by which policies know its Jobs.
pub fn managed_by(hook: Hook) -> String {
    format!("{}-hook-{}", names::PROGRAM, hook.word())
}

/// How names of its Jobs begin; the turn and its node follow.
pub fn prefix(hook: Hook) -> String {
    format!("{}-{}", names::HOOK_JOB_PREFIX, hook.word())
}

/// `upgrade-hook-before-5f3a21bc-k8s-node4`. `turn`: one try to upgrade the node, so that a runner that was killed finds what it began, and the
/// next try runs its hooks anew. After one that failed, the next has its number behind it.
pub fn name(hook: Hook, turn: &RunId, node: &str, attempt: u32) -> String {
    let rest = if attempt == 1 { format!("{turn}-{node}") } else { format!("{turn}-{node}-{attempt}") };
    label(&prefix(hook), &rest)
}

/// A hook's Job: its CronJob's template as it stands. Which node it is for stands on the Job; its pod is the template's to the last field.
pub fn job(cronjob: &Value, hook: Hook, name: &str, node: &str, annotations: &str) -> Result<Value, Cause> {
    let mut job = jobs::of_template(cronjob, name, &managed_by(hook))?;
    job["metadata"]["annotations"][Mark::HookNode.key(annotations)] = json!(node);
    // It goes with its CronJob; but it is none that the CronJob's controller counts: its history would remove the Jobs of this very run.
    let meta = &cronjob["metadata"];
    if let (Some(name), Some(uid)) = (meta["name"].as_str(), meta["uid"].as_str()) {
        job["metadata"]["ownerReferences"] = json!([{ "apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid }]);
    }
    Ok(job)
}

/// Whether this CronJob can be a hook.
///
/// # Errors
/// Refused: it does not exist, would run by itself, or its Jobs are gone before anybody sees how they end.
pub fn usable(cronjob: Option<&Value>, hook: Hook, (namespace, name): (&str, &str)) -> Result<(), Cause> {
    let setting = hook.setting();
    let what = format!("CronJob {namespace}/{name} (setting {setting})");
    let Some(cronjob) = cronjob else {
        return Err(Cause::refused(format!("{what} does not exist")).next(command!("kubectl -n {} get cronjobs", namespace)));
    };
    if cronjob["spec"]["suspend"] != true {
        return Err(Cause::refused(format!("{what} is not suspended: it would run by itself, whatever happens to nodes")).next(
            command!("kubectl -n {} patch cronjob {} --type=merge -p {}", namespace, name, r#"{"spec":{"suspend":true}}"#),
        ));
    }
    let edit = || command!("kubectl -n {} edit cronjob {}", namespace, name);
    let Some(spec) = cronjob.pointer("/spec/jobTemplate/spec").filter(|spec| spec.is_object()) else {
        return Err(Cause::refused(format!("{what} has no Job template")).next(edit()));
    };
    if spec["suspend"] == true {
        return Err(Cause::refused(format!("{what}: its Jobs are suspended themselves, and would never run")).next(edit()));
    }
    match spec["ttlSecondsAfterFinished"].as_i64() {
        Some(ttl) if ttl < SEEN => Err(Cause::refused(format!(
            "{what}: ttlSecondsAfterFinished is {ttl}: a Job must stay for {SEEN} s at least, for how it ended to be seen"
        ))
        .next(edit())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cronjob() -> Value {
        json!({
            "metadata": { "name": "noout", "namespace": "ceph", "uid": "u1" },
            "spec": { "suspend": true, "jobTemplate": {
                "metadata": { "labels": { "app": "ceph" }, "annotations": { "a": "b" } },
                "spec": { "backoffLimit": 1, "fieldOfTomorrow": [1], "template": { "spec": { "containers": [{ "name": "c" }] } } },
            } },
        })
    }

    #[test]
    fn a_job_is_its_template_and_says_for_which_node() {
        let cronjob = cronjob();
        let job = job(&cronjob, Hook::Before, "j", "k8s-node4", "example.org").unwrap();
        let mut spec = job["spec"].clone();
        assert_eq!(spec.as_object_mut().unwrap().remove("ttlSecondsAfterFinished"), Some(json!(names::JOB_TTL_SECONDS)));
        assert_eq!(spec, cronjob["spec"]["jobTemplate"]["spec"]);
        assert_eq!(
            job["metadata"],
            json!({
                "name": "j", "namespace": "ceph",
                "labels": { "app": "ceph", "app.kubernetes.io/managed-by": "k8s-upgrade-hook-before" },
                "annotations": {
                    "a": "b", "cronjob.kubernetes.io/instantiate": "manual", "example.org/k8s-upgrade-hook-node": "k8s-node4",
                },
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "CronJob", "name": "noout", "uid": "u1" }],
            })
        );
    }

    #[test]
    fn each_turn_has_names_of_its_own_that_fit() {
        let turn: RunId = "5f3a21bc".parse().unwrap();
        assert_eq!(name(Hook::Before, &turn, "k8s-node4", 1), "upgrade-hook-before-5f3a21bc-k8s-node4");
        assert_eq!(name(Hook::After, &turn, "k8s-node4", 2), "upgrade-hook-after-5f3a21bc-k8s-node4-2");
        let long = format!("{}.example.org", "n".repeat(60));
        let (a, b) = (name(Hook::After, &turn, &long, 1), name(Hook::After, &turn, &long, 2));
        assert!(a != b && a.len() <= 63 && b.len() <= 63 && !a.contains('.'), "{a} {b}");
    }

    #[test]
    fn what_would_run_by_itself_or_tells_nothing_is_refused() {
        let said = |edit: &dyn Fn(&mut Value)| {
            let mut cronjob = cronjob();
            edit(&mut cronjob);
            usable(Some(&cronjob), Hook::Before, ("ceph", "noout")).err().map(|cause| cause.what)
        };
        assert_eq!(said(&|_| {}), None);
        assert_eq!(said(&|it| it["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(3600)), None);
        for (edit, wanted) in [
            (&(|it: &mut Value| it["spec"]["suspend"] = json!(false)) as &dyn Fn(&mut Value), "is not suspended"),
            (&|it: &mut Value| it["spec"]["suspend"] = Value::Null, "is not suspended"),
            (&|it: &mut Value| it["spec"]["jobTemplate"] = Value::Null, "has no Job template"),
            (&|it: &mut Value| it["spec"]["jobTemplate"]["spec"]["suspend"] = json!(true), "would never run"),
            (&|it: &mut Value| it["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(0), "is 0"),
        ] {
            let said = said(edit).unwrap();
            assert!(said.starts_with("CronJob ceph/noout (setting hook-before-node)") && said.contains(wanted), "{said}");
        }
        let none = usable(None, Hook::After, ("ceph", "out")).unwrap_err();
        assert_eq!(none.what, "CronJob ceph/out (setting hook-after-node) does not exist");
    }
}

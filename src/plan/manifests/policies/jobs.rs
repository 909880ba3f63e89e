//! The Jobs that our accounts create and remove: the chain's, of one shape, and the snapshot's, as its CronJob has it.

use serde_json::{Value, json};

use super::cel::{list, literal, map, same_but};
use super::records::{old_and_new, rest_is_as_it_was, same};
use super::{ENDED_JOBS, JOBS, Policy, SNAPSHOTS, both, of_hook, user};
use crate::names::{self, Mark};
use crate::plan::manifests::installation::Install;
use crate::plan::manifests::rights::Account;
use crate::plan::manifests::{hooks, jobs};
use crate::plan::model::hooks::Hook;
use crate::plan::model::policy::Runner;

/// What differs from Job to Job in a pod's spec, and is looked at by itself or only narrows where it runs.
const OF_A_POD: [&str; 4] = ["containers", "affinity", "nodeSelector", "tolerations"];
/// The same of its container.
const OF_A_CONTAINER: [&str; 2] = ["args", "image"];
/// What a Job of ours runs, its words one after the other.
const COMMAND: &str = r"^(preflight|postflight|upgrade-node [a-z0-9]([-.a-z0-9]*[a-z0-9])?) --chain --target [0-9]+\.[0-9]+\.[0-9]+ --run [0-9a-f]{8}( --held)?$";

/// A node's name.
const NODE: &str = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

/// The shapes of a pod of the chain that are accepted, the newest first: a run goes on with the build that began it, while the policies of
/// another are in force. One that this program makes no more goes once no run of the build that made it can be in flight.
const SHAPES: [&str; 3] = [include_str!("shapes/3.json"), include_str!("shapes/2.json"), include_str!("shapes/1.json")];

fn rule(expression: String, message: &str) -> (String, String) {
    (expression, message.to_owned())
}

/// Bears the label by which the policy of such Jobs knows them.
fn bears(managed_by: &str) -> String {
    format!("object.metadata.?labels[?'{}'].orValue('') == '{managed_by}'", names::LABEL_MANAGED_BY)
}

/// Jobs out of somebody's CronJob: how each is known, and where it may be created.
fn templated<'a>(install: &Install<'a>) -> Vec<(String, &'a str)> {
    let hooks = install.hooks.there().map(|(hook, (place, _))| (bears(&hooks::managed_by(hook)), place));
    let snapshots = install.backup.map(|(place, _)| (bears(names::PROGRAM), place));
    snapshots.into_iter().chain(hooks).collect()
}

/// One of these is so; of none it is false.
fn any<'a>(expressions: impl Iterator<Item = &'a str>) -> String {
    let any = expressions.collect::<Vec<_>>().join(" || ");
    if any.is_empty() { "false".to_owned() } else { any }
}

/// One part of each shape that is accepted, as a list; a shape that is no JSON accepts nothing (a test reads them).
fn accepted(part: &str) -> String {
    let shapes = SHAPES.iter().map(|text| serde_json::from_str::<Value>(text).unwrap_or_default()[part].clone());
    literal(&Value::Array(shapes.collect()))
}

/// Whether a term of node affinity leaves a control plane alone, or one worker that has the key anyway. All that a term says must hold, so
/// one part of it is enough. Which worker is the first, nobody knows who installs: then it may be any, but one by its name.
fn is_trusted(install: &Install) -> String {
    let known = match install.runner {
        Runner::FirstWorker => None,
        Runner::Node(name) => Some(Some(name)),
        Runner::ControlPlane => Some(None),
    };
    let trusted = known.map(|runner| {
        let workers = list(runner.into_iter().chain(install.standby));
        format!(" && f.values[0] in {workers}")
    });
    format!(
        "t.?matchExpressions.orValue([]).exists(e, e.key == '{}' && e.operator == 'Exists') || \
         t.?matchFields.orValue([]).exists(f, f.key == '{}' && f.operator == 'In' && f.values.size() == 1{})",
        names::LABEL_CONTROL_PLANE,
        jobs::NODE_NAME,
        trusted.unwrap_or_default()
    )
}

/// A Job of the chain: its name, its one pod, what that runs, where, and what it sees.
pub fn chain(install: &Install) -> Policy {
    let is_postflight = "variables.args.size() > 0 && variables.args[0] == 'postflight'";
    let image = Mark::Image.key(install.prefix);
    // What a change leaves as it was is not judged again.
    let unless_templated = |expression: String| format!("variables.templated || request.operation == 'UPDATE' || ({expression})");
    let templated = templated(install);
    let chain = user(install, Account::Chain);
    let place = templated.iter().rev().fold(format!("request.namespace == '{}'", install.namespace), |other, (is, place)| {
        format!("{is} ? request.namespace == '{place}' && request.userInfo.username == '{chain}' : ({other})")
    });
    let mut variables = old_and_new();
    let template_annotations = [jobs::pod_annotations(), jobs::former_pod_annotations()].map(|accepted| literal(&accepted));
    variables.extend([
        ("templated", any(templated.iter().map(|(is, _)| is.as_str()))),
        ("pod", "dyn(object.spec.template.spec)".to_owned()),
        ("container", "dyn(object.spec.template.spec.containers[0])".to_owned()),
        ("args", "dyn(object.spec.template.spec.containers[0]).?args.orValue([])".to_owned()),
        (
            "places",
            "dyn(object.spec.template.spec).?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"
                .to_owned(),
        ),
        ("pods", format!("{is_postflight} ? {} : {}", accepted("postflight"), accepted("pod"))),
        ("containers", accepted("container")),
    ]);
    let progress = Mark::Progress.key(install.prefix);
    Policy {
        name: JOBS,
        what_for: "a Job that our accounts create is one of the chain, of our shape to the last field, or is bounded by a policy of its own",
        binds: both(install),
        group: "batch",
        resource: "jobs",
        operations: &["CREATE", "UPDATE"],
        label: None,
        cronjob: None,
        variables,
        rules: vec![
            rule(
                format!(
                    "request.operation == 'CREATE' || (!variables.templated && {} && {})",
                    rest_is_as_it_was(&["metadata"]),
                    same("Marks", &list([progress]))
                ),
                "of a Job that is there only the record of its progress may change",
            ),
            rule(
                place,
                "Jobs are created in our own namespace, and those of etcd's snapshot and of hooks where their CronJobs are",
            ),
            rule(
                unless_templated(format!(
                    "object.metadata.name.startsWith('{}-') && {} == {} && {}.all(k, k == '{}')",
                    names::JOB_PREFIX,
                    map("object", "metadata.labels"),
                    literal(&json!({ names::LABEL_APP: names::APP_CHAIN })),
                    map("object", "metadata.annotations"),
                    Mark::TakenUp.key(install.prefix)
                )),
                "a Job of the chain has its name, its label, and no annotation but its own",
            ),
            rule(
                unless_templated("object.spec.parallelism == 1 && object.spec.completions == 1".to_owned()),
                "a Job of the chain has one pod",
            ),
            rule(
                unless_templated(format!(
                    "[{}].exists(a, {} == a) && {}.all(k, k in {} || k == '{}') && {}[?'{}'].orValue('false') == 'false'",
                    template_annotations.join(", "),
                    map("object", "spec.template.metadata.annotations"),
                    map("object", "spec.template.metadata.labels"),
                    list([
                        "controller-uid",
                        "job-name",
                        "batch.kubernetes.io/controller-uid",
                        "batch.kubernetes.io/job-name",
                        names::LABEL_ISTIO,
                    ]),
                    names::LABEL_APP,
                    map("object", "spec.template.metadata.labels"),
                    names::LABEL_ISTIO,
                )),
                "a pod of the chain has our labels and annotations",
            ),
            rule(
                unless_templated(format!("variables.args.join(' ').matches({})", literal(&COMMAND.into()))),
                "a Job of the chain runs preflight, upgrade-node or postflight with --chain, --target and --run",
            ),
            rule(
                unless_templated(format!(
                    "variables.container.image == {} || variables.container.image == namespaceObject.metadata.?annotations[?'{image}'].orValue('')",
                    literal(&install.image.into())
                )),
                "a Job of the chain runs the image that is installed, or the one that began the run",
            ),
            rule(
                unless_templated(format!(
                    "variables.pod.containers.size() == 1 && variables.containers.exists(c, {})",
                    same_but("variables.container", "c", &list(OF_A_CONTAINER))
                )),
                "the container of a Job of the chain is ours to the last field",
            ),
            rule(
                unless_templated(format!("variables.pods.exists(p, {})", same_but("variables.pod", "p", &list(OF_A_POD)))),
                "the pod of a Job of the chain is ours to the last field: no other account, volume or right on its host",
            ),
            rule(
                unless_templated(format!("variables.places.size() > 0 && variables.places.all(t, {})", is_trusted(install))),
                "a Job of the chain runs on a control plane, or on the runner or who stands in for it, by the Node's own name",
            ),
        ],
    }
}

/// A Job that makes room: one of the chain's.
pub fn ended(install: &Install) -> Policy {
    Policy {
        name: ENDED_JOBS,
        what_for: "our accounts remove Jobs of the chain alone",
        binds: both(install),
        group: "batch",
        resource: "jobs",
        operations: &["DELETE"],
        label: None,
        cronjob: None,
        variables: Vec::new(),
        rules: vec![rule(
            format!(
                "request.namespace == '{}' && oldObject.metadata.name.startsWith('{}-') && oldObject.metadata.?labels[?'{}'].orValue('') == '{}'",
                install.namespace,
                names::JOB_PREFIX,
                names::LABEL_APP,
                names::APP_CHAIN
            ),
            "only Jobs of the chain are removed",
        )],
    }
}

/// A Job that makes etcd's snapshot: as its CronJob would make one. Both are filled in alike by the API server; a webhook that changes Jobs
/// and not CronJobs has to leave these alone.
pub fn snapshot(install: &Install, cronjob: (&str, &str)) -> Policy {
    of_template(
        install,
        SNAPSHOTS,
        "a Job of etcd's snapshot has the pod of the backup's CronJob, to the last field",
        names::PROGRAM.to_owned(),
        cronjob,
        vec![rule(
            format!("object.metadata.name.startsWith('{}-')", names::ETCD_JOB_PREFIX),
            "a Job of etcd's snapshot has its name",
        )],
    )
}

/// A Job of a hook: as its CronJob would make one. For which node it runs stands on the Job, as a node is named and in no other words.
pub fn hook(install: &Install, hook: Hook, cronjob: (&str, &str)) -> Policy {
    let annotations = map("object", "metadata.annotations");
    let template = map("params", "spec.jobTemplate.metadata.annotations");
    let node = Mark::HookNode.key(install.prefix);
    let rules = vec![
        rule(format!("object.metadata.name.startsWith('{}-')", hooks::prefix(hook)), "a Job of a hook has its name"),
        rule(
            format!(
                "{annotations}.all(k, k == '{node}' || k == '{}' || (k in {template} && {annotations}[k] == {template}[k]))",
                names::INSTANTIATE
            ),
            "a Job of a hook has the annotations of its CronJob's template, and the name of its node",
        ),
        rule(
            format!("object.metadata.?annotations[?'{node}'].orValue('').matches({})", literal(&NODE.into())),
            "a Job of a hook names its node",
        ),
    ];
    let what_for = "a Job of a hook has the pod of its CronJob, to the last field";
    of_template(install, of_hook(hook), what_for, hooks::managed_by(hook), cronjob, rules)
}

/// A Job out of somebody's CronJob: its pod is the one of the template.
fn of_template(
    install: &Install,
    name: &'static str,
    what_for: &'static str,
    managed_by: String,
    (place, cronjob): (&str, &str),
    own: Vec<(String, String)>,
) -> Policy {
    let annotations = |object: &str, path: &str| map(object, &format!("{path}template.metadata.annotations"));
    let rules = [
        rule(
            "dyn(object.spec.template.spec) == dyn(params.spec.jobTemplate.spec.template.spec)".to_owned(),
            "the pod of such a Job is the one of its CronJob, to the last field",
        ),
        rule(
            format!(
                "{} == {} && object.spec.parallelism == params.spec.jobTemplate.spec.?parallelism.orValue(1)",
                annotations("object", "spec."),
                annotations("params", "spec.jobTemplate.spec.")
            ),
            "such a Job has as many pods as its CronJob's, with the same annotations",
        ),
    ];
    Policy {
        name,
        what_for,
        binds: both(install),
        group: "batch",
        resource: "jobs",
        operations: &["CREATE"],
        label: Some((names::LABEL_MANAGED_BY, managed_by)),
        cronjob: Some((place.to_owned(), cronjob.to_owned())),
        variables: Vec::new(),
        rules: own.into_iter().chain(rules).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::manifests::jobs::Secret;

    /// A pod as `commands` of the chain have it, and with what the API server fills in. It never fills in more than that: a new default in pods'
    /// templates would roll out every workload of every cluster. So any other field is somebody else's, also one that is invented tomorrow.
    fn shape(pod: Value) -> (Value, Value) {
        let mut pod = pod;
        let mut container = pod["containers"][0].take();
        for (field, default) in [
            ("dnsPolicy", json!("ClusterFirst")),
            ("schedulerName", json!("default-scheduler")),
            ("serviceAccount", pod["serviceAccountName"].clone()),
        ] {
            pod[field] = default;
        }
        container["terminationMessagePath"] = json!("/dev/termination-log");
        container["terminationMessagePolicy"] = json!("File");
        for variable in container["env"].as_array_mut().into_iter().flatten() {
            if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
                field["apiVersion"] = json!("v1");
            }
        }
        for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
            if let Some(source) = volume.get_mut("configMap") {
                source["defaultMode"] = json!(0o644);
            }
        }
        for (object, own) in [(&mut pod, &OF_A_POD[..]), (&mut container, &OF_A_CONTAINER[..])] {
            if let Some(fields) = object.as_object_mut() {
                fields.retain(|field, _| !own.contains(&field.as_str()));
            }
        }
        (pod, container)
    }

    /// What of a pod of the chain is the same in all of them: of the phases before the last, of that one, and their container's.
    fn newest() -> Value {
        let shaped = |secret| shape(jobs::Pod { account: Account::Chain, arguments: &[], image: "", secret }.spec());
        // What a pod sees of the Secret is the one thing in which phases differ.
        let ((pod, container), (postflight, _)) = (shaped(Secret::Key), shaped(Secret::Alerts));
        json!({ "pod": pod, "postflight": postflight, "container": container })
    }

    /// Whoever changes what a pod of the chain looks like writes the new shape beside the former, which stays accepted.
    #[test]
    fn the_newest_shape_is_what_jobs_are_made_of() {
        let written: Value = serde_json::from_str(SHAPES[0]).unwrap();
        assert!(written == newest(), "write it as a new file, first in SHAPES:\n{:#}", newest());
        for text in SHAPES {
            let shape: Value = serde_json::from_str(text).unwrap();
            assert!(["pod", "postflight", "container"].iter().all(|part| shape[part].is_object()), "{shape:#}");
        }
    }
}

//! Our CronJobs, which bear the names that a pipeline before this one may have used as well.

use super::cel::{list, literal};
use super::{CRONJOBS, Policy};
use crate::names;
use crate::plan::manifests::installation::Install;

/// `kubectl apply` merges lists by their names: over another pipeline's CronJob it would put our container beside that one's, under our account. What
/// both sides write of their own stays allowed: a CronJob that ours is no part of, and a change that leaves the pods as they are.
pub fn unmixed(install: &Install) -> Policy {
    let ours = [names::DETECT_CRONJOB, names::WATCH_CRONJOB];
    let is_ours = format!("request.namespace == '{}' && object.metadata.name in {}", install.namespace, list(ours));
    let containers = "variables.pod.containers";
    let program = literal(&names::PROGRAM.into());
    let alone = format!("{containers}.size() == 1 && variables.pod.?initContainers.orValue([]).size() == 0");
    let untouched = "request.operation == 'UPDATE' && dyn(oldObject.spec.jobTemplate) == dyn(object.spec.jobTemplate)";
    Policy {
        name: CRONJOBS,
        what_for: "nobody merges our container into the pods of another pipeline's CronJob",
        binds: ("one-of-our-cronjobs", is_ours),
        group: "batch",
        resource: "cronjobs",
        operations: &["CREATE", "UPDATE"],
        label: None,
        cronjob: None,
        variables: vec![("pod", "dyn(object.spec.jobTemplate.spec.template.spec)".to_owned())],
        rules: vec![(
            format!("!{containers}.exists(c, c.name == {program}) || ({alone}) || ({untouched})"),
            format!(
                "our container would be merged into the pods of another pipeline's CronJob: delete that one first \
                 (kubectl -n {} delete cronjob, with its name), then apply again",
                install.namespace
            ),
        )],
    }
}

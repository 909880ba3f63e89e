//! What our accounts write into objects that others own, too: nodes, our namespace, ConfigMaps, and what a drain deletes or restarts.

use super::cel::{list, map, same_but};
use super::{CONFIG_MAPS, DEPLOYMENTS, NAMESPACE, NODES, PODS, Policy, accounts, both, user};
use crate::names::{self, Mark};
use crate::plan::manifests::installation::Install;
use crate::plan::manifests::rights::Account;
use crate::plan::model::policy::{Surge, Unstick};

/// What of an object's metadata a write of ours changes, or the API server with it.
const WRITTEN: [&str; 4] = ["annotations", "managedFields", "resourceVersion", "generation"];

/// Old and new of an object and of its parts, for the expressions below.
pub(super) fn old_and_new() -> Vec<(&'static str, String)> {
    let names = [("new", "object"), ("old", "oldObject")];
    let whole = names.map(|(name, object)| (name, format!("dyn({object})")));
    let part = |which: [&'static str; 2], path: &str| [(which[0], map("object", path)), (which[1], map("oldObject", path))];
    whole
        .into_iter()
        .chain(part(["newMeta", "oldMeta"], "metadata"))
        .chain(part(["newMarks", "oldMarks"], "metadata.annotations"))
        .collect()
}

fn v(name: &str) -> String {
    format!("variables.{name}")
}

/// CEL: old and new `part` are alike but for these keys.
pub(super) fn same(part: &str, keys: &str) -> String {
    same_but(&v(&format!("new{part}")), &v(&format!("old{part}")), keys)
}

/// Nothing of the object differs but those of its parts, and of its metadata only [`WRITTEN`].
pub(super) fn rest_is_as_it_was(parts: &[&str]) -> String {
    format!("{} && {}", same_but(&v("new"), &v("old"), &list(parts)), same("Meta", &list(WRITTEN)))
}

/// Of a node: whether it takes pods, and our marks. Also that we uncordon only what we cordoned: our mark comes with a cordon that was not
/// there, and an uncordon needs the mark.
pub fn nodes(install: &Install) -> Policy {
    let marks = Mark::of_a_node().map(|mark| mark.key(install.prefix));
    let ours = Mark::CordonedBy.key(install.prefix);
    let mut variables = old_and_new();
    variables.extend([
        ("newSpec", map("object", "spec")),
        ("oldSpec", map("oldObject", "spec")),
        ("is", "object.spec.?unschedulable.orValue(false)".to_owned()),
        ("was", "oldObject.spec.?unschedulable.orValue(false)".to_owned()),
        ("has", format!("'{ours}' in variables.newMarks")),
        ("had", format!("'{ours}' in variables.oldMarks")),
    ]);
    let rule = |expression: String, message: &str| (expression, message.to_owned());
    Policy {
        name: NODES,
        what_for: "of a node our accounts change whether it takes pods, by our mark, and our annotations; nothing else",
        binds: both(install),
        group: "",
        resource: "nodes",
        operations: &["CREATE", "UPDATE", "DELETE"],
        label: None,
        cronjob: None,
        variables,
        rules: vec![
            rule("request.operation == 'UPDATE'".to_owned(), "nodes are neither made nor removed"),
            rule(
                format!("{} && {}", rest_is_as_it_was(&["metadata", "spec"]), same("Spec", &list(["unschedulable"]))),
                "of a node only spec.unschedulable and our marks may change",
            ),
            rule(same("Marks", &list(marks)), "of a node's annotations only our marks may change"),
            rule(
                "variables.is == variables.was || (variables.is ? variables.has : variables.had)".to_owned(),
                "a node is cordoned with our mark, and uncordoned only where it had that",
            ),
            rule(
                "variables.had || !variables.has || (variables.is && !variables.was)".to_owned(),
                "a node that somebody else cordoned does not get our mark",
            ),
        ],
    }
}

/// Of our namespace: the run's marks. What only a person writes may be removed, at a run's end; the image of a run can only be the installed one.
/// Another build's chain may be at work under this policy (it is applied while a run is on): a mark that this program does not write any more
/// stays in the list until no run of the build before can be in flight.
pub fn namespace(install: &Install) -> Policy {
    let keys = |marks: &mut dyn Iterator<Item = Mark>| list(marks.map(|mark| mark.key(install.prefix)));
    let (on, image) = (Mark::InFlight.key(install.prefix), Mark::Image.key(install.prefix));
    let mut variables = old_and_new();
    // Of the watch, of the chain.
    let of_each = |watch: &mut dyn Iterator<Item = Mark>, chain: &mut dyn Iterator<Item = Mark>| {
        format!("request.userInfo.username == '{}' ? {} : {}", user(install, Account::Watch), keys(watch), keys(chain))
    };
    let of_the_watch = || Mark::of_the_watch().chain(Mark::removed_by_the_watch());
    let not_the_watchs = Mark::removed_by_the_watch().filter(|mark| Mark::of_a_person().all(|said| said != *mark));
    variables.extend([
        ("ours", of_each(&mut of_the_watch(), &mut Mark::of_the_chain())),
        ("said", of_each(&mut Mark::of_a_person().chain(not_the_watchs), &mut Mark::of_a_person())),
    ]);
    let rule = |expression: String, message: &str| (expression, message.to_owned());
    Policy {
        name: NAMESPACE,
        what_for: "of our namespace our accounts write the annotations of a run; what only a person says they do not write",
        binds: both(install),
        group: "",
        resource: "namespaces",
        operations: &["CREATE", "UPDATE", "DELETE"],
        label: None,
        cronjob: None,
        variables,
        rules: vec![
            rule(
                format!("request.operation == 'UPDATE' && request.name == '{}'", install.namespace),
                "of namespaces only our own may be written to",
            ),
            rule(rest_is_as_it_was(&["metadata"]), "of our namespace only the run's marks may change"),
            rule(same("Marks", &v("ours")), "of our namespace's annotations only the run's marks may change"),
            rule(
                format!(
                    "{}.all(k, !(k in variables.newMarks) || (k in variables.oldMarks && variables.newMarks[k] == variables.oldMarks[k]))",
                    v("said")
                ),
                "what a person has said of a run may only be removed",
            ),
            rule(
                format!(
                    "!('{image}' in variables.newMarks) || variables.newMarks['{image}'] == {} \
                     || ('{image}' in variables.oldMarks && variables.newMarks['{image}'] == variables.oldMarks['{image}'])",
                    super::cel::literal(&install.image.into())
                ),
                "a run begins with the image that is installed",
            ),
            rule(
                format!(
                    "!('{on}' in variables.oldMarks && '{on}' in variables.newMarks && '{image}' in variables.oldMarks) \
                     || ('{image}' in variables.newMarks && variables.newMarks['{image}'] == variables.oldMarks['{image}'])"
                ),
                "a run keeps its image to its end",
            ),
        ],
    }
}

/// Journals, whole; of the known host keys, new ones. Settings and alert rules are a person's.
pub fn config_maps(install: &Install) -> Policy {
    let journal = |object: &str| {
        format!(
            "{object}.metadata.name.startsWith('{}-') && {object}.metadata.?labels['{}'].orValue('') == '{}'",
            names::APP_JOURNAL,
            names::LABEL_APP,
            names::APP_JOURNAL
        )
    };
    let mut variables = old_and_new();
    variables.extend([
        ("newData", map("object", "data")),
        ("oldData", map("oldObject", "data")),
        (
            "journal",
            format!(
                "(request.operation == 'DELETE' || ({})) && (request.operation == 'CREATE' || ({}))",
                journal("object"),
                journal("oldObject")
            ),
        ),
        (
            "hostKeys",
            format!(
                "request.operation == 'UPDATE' && request.name == '{}' && request.userInfo.username == '{}'",
                names::KNOWN_HOSTS_MAP,
                user(install, Account::Chain)
            ),
        ),
    ]);
    let learned = "variables.oldData.all(k, k in variables.newData && variables.newData[k] == variables.oldData[k])";
    let rule = |expression: String, message: &str| (expression, message.to_owned());
    Policy {
        name: CONFIG_MAPS,
        what_for: "of ConfigMaps our accounts write journals, and host keys that are not known yet: no settings, no known host key",
        binds: both(install),
        group: "",
        resource: "configmaps",
        operations: &["CREATE", "UPDATE", "DELETE"],
        label: None,
        cronjob: None,
        variables,
        rules: vec![
            rule(
                format!("request.namespace == '{}' && (variables.journal || variables.hostKeys)", install.namespace),
                "of ConfigMaps only journals and the known host keys may be written",
            ),
            rule(
                format!("!variables.hostKeys || ({} && {learned})", rest_is_as_it_was(&["metadata", "data"])),
                "host keys may be added, and none that is known may be changed or removed",
            ),
        ],
    }
}

/// A pod that a drain deletes, because its PodDisruptionBudget never allows an eviction. What never deletes one needs no policy: it has no right to.
pub fn pods(install: &Install) -> Option<Policy> {
    let owned = "oldObject.metadata.?ownerReferences.orValue([])";
    if !install.unstick.deletes(install.forced_in) {
        return None;
    }
    let not_a_daemon = format!("!{owned}.exists(o, o.?controller.orValue(false) && o.kind == 'DaemonSet')");
    let made_anew = match install.unstick {
        Unstick::Never => "false".to_owned(),
        Unstick::Structural => format!(
            "{owned}.exists(o, o.?controller.orValue(false) && o.kind == 'ReplicaSet' && o.apiVersion.startsWith('apps/'))"
        ),
        Unstick::All => not_a_daemon.clone(),
    };
    // What the settings force, a person has named.
    let why = "a pod is deleted only where its owner recreates it elsewhere";
    let (made_anew, why) = match install.forced_in {
        [] => (made_anew, why.to_owned()),
        named => {
            let named = list(named);
            (format!("{made_anew} || (request.namespace in {named} && {not_a_daemon})"), format!("{why}, or in {named}"))
        }
    };
    let annotations = map("oldObject", "metadata.annotations");
    let rule = |expression: String, message: &str| (expression, message.to_owned());
    Some(Policy {
        name: PODS,
        what_for: "a drain deletes a pod by its UID alone, and only where another is made elsewhere or the settings name its namespace",
        binds: accounts(&[user(install, Account::Chain)]),
        group: "",
        resource: "pods",
        operations: &["DELETE"],
        label: None,
        cronjob: None,
        variables: vec![("annotations", annotations), ("options", "dyn(request).?options.?preconditions.?uid".to_owned())],
        rules: vec![
            rule("variables.options.hasValue()".to_owned(), "a pod is deleted by its UID, or not at all"),
            rule(made_anew, &why),
            rule(
                format!(
                    "!('{}' in variables.annotations) && !('kubernetes.io/config.mirror' in variables.annotations)",
                    Mark::Unstick.key(install.prefix)
                ),
                "a pod that opts out, or that a node runs by itself, is not deleted",
            ),
        ],
    })
}

/// A Deployment that a drain restarts, as `kubectl rollout restart` does. What never restarts one needs no policy: it has no right to.
pub fn deployments(install: &Install) -> Option<Policy> {
    if install.surge == Surge::Never {
        return None;
    }
    let mut variables = old_and_new();
    let parts = [
        (["newSpec", "oldSpec"], "spec"),
        (["newTemplate", "oldTemplate"], "spec.template"),
        (["newPodMeta", "oldPodMeta"], "spec.template.metadata"),
        (["newPodMarks", "oldPodMarks"], "spec.template.metadata.annotations"),
    ];
    for ([new, old], path) in parts {
        variables.extend([(new, map("object", path)), (old, map("oldObject", path))]);
    }
    let restarted = names::RESTARTED_AT;
    let rule = |expression: String, message: &str| (expression, message.to_owned());
    Some(Policy {
        name: DEPLOYMENTS,
        what_for: "a drain restarts a Deployment of one pod, and changes nothing else of it",
        binds: both(install),
        group: "apps",
        resource: "deployments",
        operations: &["CREATE", "UPDATE", "DELETE"],
        label: None,
        cronjob: None,
        variables,
        rules: vec![
            rule("request.operation == 'UPDATE'".to_owned(), "Deployments are neither made nor removed"),
            rule(
                format!(
                    "{} && {} && {} && {} && {} && {}",
                    rest_is_as_it_was(&["metadata", "spec"]),
                    same("Marks", "[]"),
                    same("Spec", &list(["template"])),
                    same("Template", &list(["metadata"])),
                    same("PodMeta", &list(["annotations"])),
                    same("PodMarks", &list([restarted]))
                ),
                "of a Deployment only when its pods were restarted may change",
            ),
            rule(format!("'{restarted}' in variables.newPodMarks"), "a Deployment that was restarted keeps the word of it"),
            rule(
                "object.spec.?replicas.orValue(1) == 1 && object.spec.?strategy.?type.orValue('RollingUpdate') == 'RollingUpdate' \
                 && !object.spec.?paused.orValue(false)"
                    .to_owned(),
                "only a Deployment of one pod is restarted, and only where that makes the new one first",
            ),
            rule(
                format!("!('{}' in variables.oldMarks)", Mark::Unstick.key(install.prefix)),
                "a Deployment that opts out is not restarted",
            ),
        ],
    })
}

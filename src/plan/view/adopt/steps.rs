//! What a person types to come from the pipeline to this program, in an order in which nothing begins meanwhile and nothing is lost.

use super::{Fate, Part, RULES, Seen, Step};
use crate::names;
use crate::words::command;

/// Where the settings are kept, unless they are written elsewhere.
const SETTINGS: &str = "config.yaml";

/// For parts of a pipeline that is at rest. `config`: where the settings are written now.
pub fn steps(seen: &Seen, parts: &[Part], config: Option<&str>) -> Vec<Step> {
    let step = |what: &str, command: String| Step { what: what.to_owned(), command };
    let namespace = &seen.namespace;
    let mut steps = Vec::new();
    if seen.detection.as_ref().is_some_and(|cronjob| !cronjob.maker.ours && !cronjob.suspended) {
        let suspend = command!(
            "kubectl -n {} patch cronjob {} --type=merge -p {}",
            namespace,
            names::DETECT_CRONJOB,
            r#"{"spec":{"suspend":true}}"#
        );
        steps.push(step("nothing begins meanwhile", suspend));
    }
    if config.is_none() {
        steps.push(step("the settings that it had", command!("k8s-upgrade adopt --write-config {}", SETTINGS)));
    }
    let settings = config.unwrap_or(SETTINGS);
    let check = "whether each node lets its key in, and what else a run would lack";
    steps.push(step(check, command!("k8s-upgrade --config {} check", settings)));
    steps.extend(in_terraform(parts));
    let by_hand = |part: &&Part| part.fate == Fate::Deleted && !part.terraform && part.namespace.is_some();
    let binding = |part: &&Part| part.fate == Fate::Deleted && !part.terraform && part.kind == "ClusterRoleBinding";
    let deleted: Vec<String> = parts.iter().filter(|part| by_hand(part) || binding(part)).map(deletion).collect();
    for (index, line) in joined(&deleted).into_iter().enumerate() {
        steps.push(step(if index == 0 { "what nothing needs any more" } else { "likewise" }, line));
    }
    if seen.detection.as_ref().is_some_and(|cronjob| cronjob.maker.ours) {
        return steps;
    }
    let what = "this program as an image, to bring to each node; it prints the image's name";
    steps.push(step(what, "k8s-upgrade image --file k8s-upgrade.tar".to_owned()));
    // Who keeps an ExternalSecret that Terraform describes keeps it there; where nothing fills the Secret, it stays as it is.
    let store = seen.store.as_ref().filter(|store| !store.maker.terraform).and_then(|store| store.name.as_ref());
    let install = match store {
        Some(name) => {
            command!("k8s-upgrade --config {} manifests --image IMAGE --external-secret {} | kubectl apply -f -", settings, name)
        }
        None => command!("k8s-upgrade --config {} manifests --image IMAGE | kubectl apply -f -", settings),
    };
    steps.push(step("install it", install));
    let health = "see whether it would do its work, and which alerts would hold it";
    steps.push(step(health, "k8s-upgrade status --health".to_owned()));
    steps
}

/// Terraform would take away what it knows, or make anew what was deleted.
fn in_terraform(parts: &[Part]) -> Vec<Step> {
    let of = |fate: &[Fate]| -> Vec<String> {
        parts.iter().filter(|part| part.terraform && fate.contains(&part.fate)).map(Part::told).collect()
    };
    let (gone, kept) = (of(&[Fate::Deleted]), of(&[Fate::Kept, Fate::Replaced]));
    if gone.is_empty() && kept.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![Step {
        what: format!("in Terraform ({}): the addresses of all that it has", names::FORMER_STACK),
        command: "terraform state list".to_owned(),
    }];
    if !kept.is_empty() {
        steps.push(Step {
            what: format!("there: let it forget what stays, and take it out of main.tf; else its next apply writes over it, or deletes it: {}", kept.join(", ")),
            command: "terraform state rm ADDRESS".to_owned(),
        });
    }
    if !gone.is_empty() {
        steps.push(Step {
            what: format!("there: take out of main.tf what goes, and apply: {}", gone.join(", ")),
            command: "terraform apply".to_owned(),
        });
    }
    if parts.iter().any(|part| part.kind == RULES && part.fate == Fate::Deleted) {
        steps.push(Step {
            what: format!(
                "in Terraform ({}): the group {:?} goes, and ours is loaded in its place",
                names::FORMER_RULES,
                names::ALERT_GROUP
            ),
            command: "terraform apply".to_owned(),
        });
    }
    steps
}

/// `kubectl -n k8s-upgrade delete configmap x`.
fn deletion(part: &Part) -> String {
    let kind = part.kind.to_lowercase();
    match &part.namespace {
        Some(namespace) => command!("kubectl -n {} delete {} {}", namespace, kind, part.name),
        None => command!("kubectl delete {} {}", kind, part.name),
    }
}

/// Those of one kind in one place on one line.
fn joined(commands: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for command in commands {
        let Some((head, name)) = command.rsplit_once(' ') else { continue };
        match lines.iter_mut().find(|line| line.starts_with(&format!("{head} "))) {
            Some(line) => line.push_str(&format!(" {name}")),
            None => lines.push(command.clone()),
        }
    }
    lines
}

//! Of each part that is recognised what it is, and what becomes of it.

use std::collections::BTreeSet;

use super::settings::prefix;
use super::{ASK, Chain, Detection, FORMER_MARKS, Fate, Job, Key, Maker, Object, Part, RULES, Seen, Store, chain};
use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::plan::manifests::removal::{Piece, Place, pieces};
use crate::plan::model::answer::Answer;
use crate::plan::model::version::Version;
use crate::plan::view::health::Series;
use crate::words::command;

/// Everything of it, in no order. Its gauges, rules and marks are told where an object of it is there, or a chain: by themselves they may be ours.
pub fn parts(seen: &Seen) -> Result<Vec<Part>, Cause> {
    let namespace = &seen.namespace;
    let mut parts: Vec<Part> = detection(seen).into_iter().chain(objects(seen)?).chain(jobs(seen)).collect();
    let stranded = matches!(chain(seen), Chain::Stranded { .. });
    if parts.is_empty() && !stranded {
        return Ok(parts);
    }
    parts.extend(seen.key.iter().filter(|key| !key.maker.ours).map(|key| secret(key).of(namespace, key.maker)));
    parts.extend(seen.store.iter().filter(|store| !store.maker.ours).map(|store| external(store).of(namespace, store.maker)));
    parts.extend(marks(seen));
    parts.extend(gauges(seen));
    parts.extend(rules(seen));
    parts.extend(nodes(seen));
    Ok(parts)
}

fn detection(seen: &Seen) -> Option<Part> {
    let Detection { maker, suspended, schedule } = seen.detection.as_ref().filter(|cronjob| !cronjob.maker.ours)?;
    let stands = if *suspended { ", suspended" } else { "" };
    let says = format!("looks for releases at {schedule}{stands}; ours, of the same name, would be merged into it");
    Some(Part::new(Fate::Deleted, "CronJob", names::DETECT_CRONJOB, says).of(&seen.namespace, *maker))
}

/// What manifests would write over is no sign of a pipeline by itself: somebody may have made the namespace beforehand, and the Secret.
fn objects(seen: &Seen) -> Result<Vec<Part>, Cause> {
    let printed = pieces(&seen.namespace)?;
    let theirs = seen.objects.iter().filter(|object| !object.maker.ours);
    let parts: Vec<Part> = theirs.flat_map(|object| object_parts(object, &seen.namespace, &printed)).collect();
    let detects = seen.detection.as_ref().is_some_and(|cronjob| !cronjob.maker.ours);
    let known = detects || parts.iter().any(|part| part.fate == Fate::Deleted);
    Ok(if known { parts } else { Vec::new() })
}

/// The object; and of a binding its role.
fn object_parts(object: &Object, namespace: &str, printed: &[Piece]) -> Vec<Part> {
    let Object { maker, kind, namespace: place, name, role } = object;
    let part = |fate, kind: &str, name: &str, says: &str| Part {
        namespace: place.clone(),
        terraform: maker.terraform,
        ..Part::new(fate, kind, name, says)
    };
    let replaced = |kind: &str, name: &str, place: Option<&str>| {
        let place = Place::of(place, namespace);
        printed.iter().any(|piece| piece.kind == kind && piece.name == name && piece.place == place)
    };
    let is_replaced = replaced(kind, name, place.as_deref());
    match (*kind, name.as_str(), role) {
        ("Namespace", ..) => vec![part(Fate::Replaced, kind, name, "gets labels that hold its pods to restricted Pod Security")],
        ("ConfigMap", names::FORMER_SCRIPTS, _) => {
            vec![part(Fate::Deleted, kind, name, "its scripts; what they do, this program does")]
        }
        ("ConfigMap", names::FORMER_TEMPLATE, _) => {
            vec![part(Fate::Deleted, kind, name, "the Job that its scripts fill in for each phase")]
        }
        (_, _, Some((role, of))) => {
            let place = place.as_deref().filter(|_| role != "ClusterRole");
            let shared = if role == "ClusterRole" { Fate::Unclear } else { Fate::Deleted };
            let (fate, says) = match replaced(role, of, place) {
                true => (Fate::Replaced, "gets the rights that this program needs"),
                false if shared == Fate::Unclear => (shared, "goes with its binding, unless others are bound to it"),
                false => (shared, "rights that this program does not need"),
            };
            let role = Part { namespace: place.map(str::to_owned), ..part(fate, role, of, says) };
            let role = match fate {
                Fate::Unclear => role.typed("kubectl get clusterrolebindings,rolebindings -A -o wide    # who is bound to it"),
                _ => role,
            };
            let gives = format!("gives our account {} {of}", role.kind);
            let binding = match is_replaced {
                true => part(Fate::Replaced, kind, name, &gives),
                false => part(Fate::Deleted, kind, name, &format!("{gives}, which it does not need")),
            };
            vec![binding, role]
        }
        _ if is_replaced => vec![part(Fate::Replaced, kind, name, "the manifests have one of this name")],
        _ => {
            let shows = match place {
                Some(place) => command!("kubectl -n {} get {} {} -o yaml", place, kind.to_lowercase(), name),
                None => command!("kubectl get {} {} -o yaml", kind.to_lowercase(), name),
            };
            vec![part(Fate::Unclear, kind, name, "is none that is known: whether it is needed, its owner says").typed(shows)]
        }
    }
}

fn jobs(seen: &Seen) -> Vec<Part> {
    let part = |job: &Job| {
        let says = match (job.active, job.chain) {
            (true, _) => "is at work",
            (false, true) => "has ended; a Job of a run to the same release would have its name",
            (false, false) => "has ended",
        };
        Part::new(Fate::Deleted, "Job", &job.name, says).of(&seen.namespace, Maker::default())
    };
    // What the CronJob owns goes with it.
    seen.jobs.iter().filter(|job| job.active || !job.owned).map(part).collect()
}

fn secret(key: &Key) -> Part {
    let slack = if key.slack { "Slack's webhook is in it" } else { "no Slack webhook is in it" };
    let part = |fate, says: String| Part::new(fate, "Secret", names::CREDS_SECRET, format!("{says}; {slack}"));
    match (&key.fingerprint, &key.public) {
        (None, _) => part(
            Fate::Unclear,
            format!("its {} is no private key in OpenSSH's own format, so it may not log in", names::SECRET_SSH_KEY),
        ),
        (Some(own), None) => {
            part(Fate::Kept, format!("its key is {own}; {} is missing, and rotate-key writes it", names::SECRET_SSH_KEY_PUB))
        }
        (Some(own), Some(public)) if own != public => part(
            Fate::Unclear,
            format!("{} is {own}, and {} is of another key, {public}", names::SECRET_SSH_KEY, names::SECRET_SSH_KEY_PUB),
        ),
        (Some(own), Some(_)) => part(Fate::Kept, format!("its key is {own}")),
    }
}

fn external(store: &Store) -> Part {
    let name = store.name.as_deref().unwrap_or("its store");
    let says = format!("fills the Secret from {name}; the manifests print one, too, if they are given --external-secret");
    Part::new(Fate::Kept, "ExternalSecret", names::CREDS_SECRET, says)
}

/// Annotations of the namespace: of the three that the pipeline has, ours mean the same.
fn marks(seen: &Seen) -> Vec<Part> {
    let known = FORMER_MARKS.map(|mark| mark.key(&prefix(seen)));
    let there = seen.annotations.iter().filter(|(key, _)| known.contains(key));
    let part = |(key, text): (&String, &String)| {
        let says = format!("is {text:?}: the beginning of a run removes it, and so does its end");
        Part::new(Fate::Kept, "annotation", key, says)
    };
    there.map(part).collect()
}

fn gauges(seen: &Seen) -> Option<Part> {
    let part = |fate, says: String| Part::new(fate, "gauges", "k8s_upgrade_*", says);
    let series = match seen.gauges.as_ref()? {
        Answer::Unknown(why) => {
            return Some(part(Fate::Unclear, format!("the Pushgateway does not say what it has: {why}")).typed(ASK));
        }
        Answer::Known(series) => series,
    };
    let ours: Vec<&Series> = series.iter().filter(|series| names::METRICS.contains(&series.name.as_str())).collect();
    let on = ours.iter().any(|series| series.name == names::METRIC_IN_FLIGHT && series.value != 0.0);
    let stale = match on && chain(seen) == Chain::Idle {
        true => format!("; {} is not 0 though no chain is on, and the watch pushes it anew", names::METRIC_IN_FLIGHT),
        false => String::new(),
    };
    let says = format!("{} are at the Pushgateway; this program pushes them under the same names and jobs{stale}", ours.len());
    (!ours.is_empty()).then(|| part(Fate::Kept, says))
}

fn rules(seen: &Seen) -> Option<Part> {
    let part = |fate, says: String| Part::new(fate, RULES, names::ALERT_GROUP, says);
    match seen.rules.as_ref()? {
        Answer::Unknown(why) => Some(part(Fate::Unclear, format!("Prometheus does not say which it has: {why}")).typed(ASK)),
        Answer::Known(loaded) if loaded.is_empty() => None,
        Answer::Known(loaded) => {
            let says = format!("Prometheus has {}; ours, of the same names, come in their place", loaded.join(", "));
            Some(
                part(Fate::Deleted, says)
                    .typed("k8s-upgrade manifests --only rules > upgrade-gates.yaml    # then let Prometheus load it"),
            )
        }
    }
}

fn nodes(seen: &Seen) -> Vec<Part> {
    let mut parts = Vec::new();
    for node in &seen.nodes {
        if node.cordoned {
            let says = "is cordoned, and no mark of ours says by whom: a chain may have left it so, and this program never takes back a cordon of others";
            parts.push(
                Part::new(Fate::Unclear, "Node", &node.name, says)
                    .typed(command!("kubectl uncordon {}    # if nobody else wants it so", node.name)),
            );
        }
        let ours: Vec<String> = Mark::of_a_node().map(|mark| mark.key(&prefix(seen))).collect();
        for key in node.annotations.iter().filter(|key| !ours.contains(key)) {
            let says = format!("on {}: none of ours, and nothing here reads it", node.name);
            parts.push(Part::new(Fate::Deleted, "annotation", key, says).typed(command!(
                "kubectl annotate node {} {}-",
                node.name,
                key
            )));
        }
    }
    let versions: BTreeSet<Version> = seen.nodes.iter().filter_map(|node| node.version).collect();
    if let (Some(oldest), Some(newest)) = (versions.first(), versions.last())
        && oldest != newest
    {
        let says = format!("run {oldest} to {newest}: the next run brings the others to the release of the control plane first");
        parts.push(Part::new(Fate::Kept, "nodes", "all", says));
    }
    parts
}

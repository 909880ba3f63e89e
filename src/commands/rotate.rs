//! `rotate-key`: the runbook's one-shot key rotation.

use super::{Asker, by_hand};
use crate::failure::{Advice, Cause, Failure, Outcome, Purpose};
use crate::names;
use crate::plan::trust::keys::{Left, MARK, Public, Rotation};
use crate::report::Printed;
use crate::report::data::{NodeKeys, NodeRotated, RotationForecast, RotationResult};
use crate::run::keys::keystore::KeyStore;
use crate::run::keys::survey::{Open, Survey};
use crate::run::keys::turn::Interrupted;
use crate::run::{Services, keys};
use crate::words::command;

const AGAIN: &str = "k8s-upgrade rotate-key";

/// Brings a new SSH key to every node, or with `only` the stored one to a node that was away.
pub async fn rotate(services: &Services, asker: &mut Asker, only: Option<&str>) -> Result<Outcome, Failure> {
    let survey = keys::survey::survey(services, only).await.map_err(Failure::nothing_begun)?;
    for node in &survey.excluded {
        let later = command!("k8s-upgrade rotate-key --only {} --set ssh-key-file=FILE", node);
        services.session.warn(node, format!("excluded: it keeps the former key, which the cluster holds no more after this; have another that opens it, for: {later}"));
    }
    let plan = plan(services, &survey, only);
    if services.session.dry_run {
        probe(services, &survey).await?;
        services.session.note("", plan);
        found(services, &survey).and_then(|printed| services.session.print(&printed)).map_err(Failure::nothing_begun)?;
        return Ok(Outcome::Nothing);
    }
    asker.confirm(services, &plan).await?;
    by_hand(services, perform(services, &survey.rotation, only)).await
}

async fn probe(services: &Services, survey: &Survey) -> Result<(), Failure> {
    match survey.rotation {
        Rotation::Begin { .. } => {
            keys::keystore::probe_store(&services.cluster, &survey.store, &survey.stored).await.map_err(Failure::nothing_begun)
        }
        Rotation::Finish { .. } => Ok(()),
    }
}

/// Alone, and by a look of its own: the question may have stood for hours, and somebody else may have rotated meanwhile.
async fn perform(services: &Services, shown: &Rotation, only: Option<&str>) -> Result<Outcome, Failure> {
    let mut survey = keys::survey::survey(services, only).await.map_err(Failure::nothing_begun)?;
    if survey.rotation != *shown {
        return Err(Failure::nothing_begun(
            Cause::contended("the keys are not as they were shown: somebody has rotated meanwhile").next(Advice::go_on(AGAIN)),
        ));
    }
    probe(services, &survey).await?;
    let ended = keys::rotate::rotate(services, &mut survey, only.is_some()).await;
    let printed = told(services, &survey.nodes).and_then(|printed| services.session.print(&printed));
    ended.map_err(|cut| cut_short(cut, only))?;
    printed.map_err(|cause| Failure {
        state: "The keys are rotated; only this table was not written.".to_owned(),
        ..Failure::nothing_begun(cause)
    })?;
    if only.is_none() {
        warn_of_files(services, &survey);
    }
    if only.is_none() && matches!(survey.rotation, Rotation::Finish { .. }) {
        services.session.note("", format!("that rotation has ended; for yet another key: {AGAIN}"));
    }
    Ok(Outcome::Done)
}

fn fingerprints(keys: &[Public]) -> String {
    let known: Vec<String> = keys.iter().map(Public::fingerprint).collect();
    if known.is_empty() { "no key that can be read".to_owned() } else { known.join(", ") }
}

fn plan(services: &Services, survey: &Survey, only: Option<&str>) -> String {
    let plan = rotation(services, survey, only);
    let own = survey.own.iter().map(|file| {
        format!(
            "; ssh-key-file names {file}, whose key is one of those: then take that setting away, and the Secret's key is used"
        )
    });
    std::iter::once(plan).chain(own).collect()
}

fn rotation(services: &Services, survey: &Survey, only: Option<&str>) -> String {
    let nodes = survey.nodes.iter().map(|open| open.node.name.as_str()).collect::<Vec<_>>().join(", ");
    let place = keys::keystore::place_of(&services.cluster, &survey.store);
    let held = match &survey.store {
        KeyStore::Vault(_) => format!("the Secret {}/{} holds it and it", services.cluster.namespace, names::CREDS_SECRET),
        KeyStore::Secret => "it".to_owned(),
    };
    let (Rotation::Begin { gone } | Rotation::Finish { gone, .. }) = &survey.rotation;
    let gone = format!("{} and every other line marked {MARK}", fingerprints(gone));
    match (&survey.rotation, only) {
        (Rotation::Begin { .. }, _) => {
            format!("a new SSH key is added on {nodes} and stored in {place}; once {held} opens every node, they lose {gone}")
        }
        (Rotation::Finish { key, .. }, None) => format!(
            "a rotation was cut after {} had been stored in {place}; it is finished on {nodes}: once {held} opens every node, they lose {gone}",
            key.fingerprint()
        ),
        (Rotation::Finish { key, .. }, Some(_)) => {
            format!("{nodes} gets {}, the key that the cluster holds, and loses {gone}", key.fingerprint())
        }
    }
}

/// What a dry run has seen of each node.
fn found(services: &Services, survey: &Survey) -> Result<Printed, Cause> {
    if services.session.json {
        let nodes =
            survey.nodes.iter().map(|open| NodeKeys { node: &open.node.name, keys: open.there.keys, marked: open.there.marked });
        return Printed::pretty(&RotationForecast { nodes: nodes.collect() });
    }
    let line =
        |open: &Open| format!("{}  {} keys, {} marked k8s-upgrade-key", open.node.name, open.there.keys, open.there.marked);
    Ok(Printed::lines(survey.nodes.iter().map(line)))
}

fn told(services: &Services, nodes: &[Open]) -> Result<Printed, Cause> {
    if services.session.json {
        let nodes = nodes.iter().map(|Open { node, done, .. }| NodeRotated {
            node: &node.name,
            added: done.added,
            removed: done.removed,
            keys: done.keys,
        });
        return Printed::pretty(&RotationResult { nodes: nodes.collect() });
    }
    let line = |Open { node, done, .. }: &Open| {
        let added = if done.added { "key added" } else { "no key added" };
        format!("{}  {added}, {} removed, {} keys now", node.name, done.removed, done.keys)
    };
    Ok(Printed::lines(nodes.iter().map(line)))
}

fn cut_short(Interrupted { cause, left }: Interrupted, only: Option<&str>) -> Failure {
    let next = match left {
        Left::TakenOff => format!("{AGAIN}          # after mending it: starts over"),
        Left::Unknown => format!("{AGAIN}          # looks at what was stored, and finishes it or starts over"),
        Left::Stored | Left::Held => format!("{AGAIN}          # goes on"),
        Left::Kept => format!("{AGAIN}          # after mending it: goes on, or starts over"),
        Left::Node => command!("k8s-upgrade rotate-key --only {}      # goes on", only.unwrap_or_default()),
    };
    // What says which node to go on with says it better.
    let next =
        if cause.next.iter().any(|advice| advice.purpose == Purpose::GoOn) { Vec::new() } else { vec![Advice::go_on(next)] };
    Failure { cause, place: String::new(), state: left.sentence().to_owned(), next }
}

/// Files that a person has, and that hold a key which opens nothing any more.
fn warn_of_files(services: &Services, survey: &Survey) {
    if let KeyStore::Secret = survey.store {
        services.session.note(
            "",
            "the file that the former key was installed from is stale: `manifests` without --ssh-key leaves the Secret alone",
        );
    }
    if let Some(file) = &survey.own {
        services.session.warn(
            "",
            format!("ssh-key-file names {file}, whose key was removed: take that setting away, and the Secret's key is used"),
        );
    }
}

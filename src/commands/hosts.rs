//! `status --hosts`, and the way back of a control plane while the API server is away: by SSH alone.

use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::plan::model::answer::Answer;
use crate::plan::rescue::hosts::{self, Asked};
use crate::plan::rescue::restore::{SnapshotFile, restore};
use crate::report::{self, Printed, data};
use crate::run::Services;
use crate::words::{command, ssh, word};

/// A host that says nothing is a line, and in the end the exit code.
pub async fn hosts(services: &Services) -> Result<Outcome, Failure> {
    let asked = services.ssh.ask_hosts().await.map_err(Failure::nothing_begun)?;
    let commands = hosts::commands(&asked, &services.settings.ssh_user, services.settings.ssh_port);
    let cluster = &services.settings.cluster_name;
    let text = match services.session.json {
        true => Printed::pretty(&data::Hosts::of(&asked, &commands, cluster)).map_err(Failure::nothing_begun)?,
        false => report::hosts_text(&asked, &commands, cluster),
    };
    services.session.print(&text).map_err(Failure::nothing_begun)?;
    match hosts::silent(&asked) {
        None => Ok(Outcome::Done),
        Some(cause) => Err(Failure { cause, place: String::new(), state: String::new(), next: Vec::new() }),
    }
}

/// The plan from what the hosts say; `away` is why the API server could not be asked.
pub async fn rollback(services: &Services, node: &str, away: Cause) -> Result<Outcome, Failure> {
    if let Err(missing) = services.settings.by_ssh_alone() {
        let lines = std::iter::once(missing.what).chain(missing.detail);
        return Err(Failure::nothing_begun(away.detail(lines)));
    }
    services.session.warn(node, format!("{}; asking the hosts by SSH alone", away.what));
    let asked = services.ssh.ask_hosts().await.map_err(Failure::nothing_begun)?;
    let Some(Asked { address, found, .. }) = asked.iter().find(|host| host.node == node) else {
        let known: Vec<&str> = asked.iter().map(|host| host.node.as_str()).collect();
        let cause = Cause::usage(format!("{node} is not in the setting host-addresses"));
        return Err(Failure::nothing_begun(cause.detail([format!("hosts: {}", known.join(", "))])));
    };
    let found = found.as_ref().map_err(|cause| Failure::nothing_begun(cause.clone()))?;
    if !found.control_plane() {
        let why = format!("{node} is a worker: its way back drains it, and that needs the API server");
        return Err(Failure::nothing_begun(away.detail([why]).next(Advice::look("k8s-upgrade status --hosts"))));
    }
    let snapshot = services.ssh.snapshot_on(node, found).await;
    let copy = copied_from(services, &asked, node, &snapshot).await;
    let plan = restore(node, found, &snapshot, &asked, copy);
    let text = report::restore_text(node, address, &plan);
    match services.session.json {
        true => text.as_str().lines().for_each(|line| services.session.found(node, line)),
        false => services.session.print(&text).map_err(Failure::nothing_begun)?,
    }
    Ok(Outcome::Nothing)
}

/// What brings the recorded snapshot to a host that has it not, from a control plane that has it whole.
async fn copied_from(services: &Services, asked: &[Asked], node: &str, here: &SnapshotFile) -> Option<String> {
    let to = asked.iter().find(|host| host.node == node)?;
    if !matches!(here, Answer::Known(None)) {
        return None;
    }
    for other in asked.iter().filter(|other| other.node != node) {
        let Some(found) = other.found.as_ref().ok().filter(|found| found.control_plane()) else { continue };
        let Some(card) = found.card() else { continue };
        let there = services.ssh.snapshot_on(&other.node, found).await;
        // Of a backup that lay elsewhere than on the first control plane nobody has taken the hash: its size is all that the card has.
        let is_it = |bytes: u64, sha256: &str| {
            bytes == card.bytes && (!card.hash.starts_with("sha256 ") || card.hash == format!("sha256 {sha256}"))
        };
        if matches!(&there, Answer::Known(Some((bytes, sha256))) if is_it(*bytes, sha256)) {
            let (user, port) = (&services.settings.ssh_user, services.settings.ssh_port);
            let read = ssh(user, &other.address, port, &word(&command!("sudo cat {}", card.snapshot)));
            let write = ssh(user, &to.address, port, &word(&command!("sudo install -D -m 0600 /dev/stdin {}", card.snapshot)));
            return Some(format!("{read} | {write}"));
        }
    }
    None
}

//! `status --hosts`, and the way back of a control plane while the API server is away: by SSH alone.

use super::failure;
use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::plan::hosts::{self, Asked};
use crate::plan::restore::restore;
use crate::report::{self, Printed};
use crate::run::Ctx;

/// A host that says nothing is a line, and in the end the exit code.
pub async fn hosts(ctx: &Ctx) -> Result<Outcome, Failure> {
    let asked = ctx.ask_hosts().await.map_err(failure)?;
    let commands = hosts::commands(&asked, &ctx.settings.ssh_user, ctx.settings.ssh_port);
    let cluster = &ctx.settings.cluster_name;
    let text = match ctx.json {
        true => Printed::pretty(&report::hosts_data(&asked, &commands, cluster)).map_err(failure)?,
        false => report::hosts_text(&asked, &commands, cluster),
    };
    ctx.print(&text).map_err(failure)?;
    match hosts::silent(&asked) {
        None => Ok(Outcome::Done),
        Some(cause) => Err(Failure { cause, place: String::new(), state: String::new(), next: Vec::new() }),
    }
}

/// The plan from what the hosts say; `away` is why the API server could not be asked.
pub async fn rollback(ctx: &Ctx, node: &str, away: Cause) -> Result<Outcome, Failure> {
    if let Err(missing) = ctx.settings.by_ssh_alone() {
        let lines = std::iter::once(missing.what).chain(missing.detail);
        return Err(failure(away.detail(lines)));
    }
    ctx.warn(node, format!("{}; asking the hosts by SSH alone", away.what));
    let asked = ctx.ask_hosts().await.map_err(failure)?;
    let Some(Asked { address, found, .. }) = asked.iter().find(|host| host.node == node) else {
        let known: Vec<&str> = asked.iter().map(|host| host.node.as_str()).collect();
        let cause = Cause::usage(format!("{node} is not in the setting host-addresses"));
        return Err(failure(cause.detail([format!("hosts: {}", known.join(", "))])));
    };
    let found = found.as_ref().map_err(|cause| failure(cause.clone()))?;
    if !found.control_plane() {
        let why = format!("{node} is a worker: its way back drains it, and that needs the API server");
        return Err(failure(away.detail([why]).next(Advice::look("k8s-upgrade status --hosts"))));
    }
    let snapshot = ctx.snapshot_on(node, found).await;
    let plan = restore(node, found, &snapshot, &asked);
    let text = report::restore_text(node, address, &plan);
    match ctx.json {
        true => text.as_str().lines().for_each(|line| ctx.found(node, line)),
        false => ctx.print(&text).map_err(failure)?,
    }
    Ok(Outcome::Nothing)
}

//! A control plane's containerd, older than the workers': what becomes of it is told in preflight, and decided again before its node is taken out
//! of service. Nothing is tried on a drained node that was not known to be on offer.

use super::inspect::state_of;
use crate::failure::Cause;
use crate::node::{Available, NodeState, Package, RefreshAll};
use crate::permit::ChangeClass;
use crate::plan::decide::runtime::{self, Decision};
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::version::Version;
use crate::run::services::Services;
use crate::run::ssh::Ssh;

/// Docker's package, and that of distributions: no node has both.
const PACKAGES: [&str; 2] = ["containerd.io", "containerd"];

/// The one that is installed, by its name.
fn installed(state: &NodeState) -> Option<(&'static str, &Package)> {
    PACKAGES.into_iter().find_map(|name| Some((name, state.package(name)?)))
}

/// What becomes of a node's containerd, as its lists are now; None: it is behind no worker's.
pub async fn decide(ssh: &Ssh, facts: &Facts, node: &Node, state: &NodeState) -> Result<Option<Decision>, Cause> {
    let Some(behind) = runtime::behind(facts, node) else { return Ok(None) };
    let installed = installed(state);
    let offered = match installed {
        Some((package, _)) => ssh.on_node(node, &Available { package }).await?,
        None => Vec::new(),
    };
    Ok(Some(behind.decide(installed.map(|(name, package)| (name, &package.version)), &offered)))
}

/// Tells of each control plane whose containerd is behind what becomes of it. That keeps no run from beginning. `refreshes`: where a node's lists
/// do not have what is wanted, they are read anew first.
pub async fn forecast(services: &Services, facts: &Facts, states: &[(String, NodeState)], target: Version, refreshes: bool) {
    for node in facts.managed().filter(|node| node.control_plane && !node.is_upgraded(target)) {
        let Some(state) = state_of(states, &node.name) else { continue };
        let session = &services.session;
        match refreshed(services, facts, node, state, refreshes).await {
            Ok(None) => {}
            Ok(Some(Decision::Raise(_, told))) => session.note(&node.name, told),
            Ok(Some(Decision::Leave(why))) => session.warn(
                &node.name,
                format!("{why}. The run leaves it alone; to raise it, have its sources offer that release, or do it by hand"),
            ),
            Err(cause) => session.warn(
                &node.name,
                format!("its containerd is older than a worker's, and whether it can be raised is not known: {}", cause.what),
            ),
        }
    }
}

async fn refreshed(
    services: &Services,
    facts: &Facts,
    node: &Node,
    state: &NodeState,
    refreshes: bool,
) -> Result<Option<Decision>, Cause> {
    let decided = decide(&services.ssh, facts, node, state).await?;
    if !refreshes || installed(state).is_none() || !matches!(decided, Some(Decision::Leave(_))) {
        return Ok(decided);
    }
    // A source of somebody else's that fails says nothing of the others.
    if let Err(cause) = services.ssh.change_node(node, ChangeClass::Prepare, "refresh all package lists", &RefreshAll).await {
        services.session.warn(&node.name, format!("its package lists may be old: {}", cause.what));
    }
    decide(&services.ssh, facts, node, state).await
}

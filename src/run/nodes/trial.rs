//! Tries the target's own kubelet and kubeadm on every node that is still to be upgraded, before a run is claimed. What counts is in
//! [`crate::plan::decide::trial`].

use super::inspect::state_of;
use crate::failure::Cause;
use crate::names;
use crate::node::{Cgroup, NodeState, RefusedFlag, Trial};
use crate::permit::ChangeClass;
use crate::plan::decide::losses::patches;
use crate::plan::decide::order;
use crate::plan::decide::runtime::Decision;
use crate::plan::decide::trial::{self, Found, Refused};
use crate::plan::model::facts::{Facts, Node, Step};
use crate::plan::model::halt::Skip;
use crate::plan::model::parse;
use crate::plan::model::version::Version;
use crate::run::services::Services;

/// The gate of preflight: every node that this run is going to upgrade, and all that keeps the target from any of them.
/// `left_out`: whom it goes past.
pub async fn accepted(
    services: &Services,
    facts: &Facts,
    states: &[(String, NodeState)],
    target: Version,
    left_out: &[Skip],
) -> Result<(), Cause> {
    let configuration = super::inspect::kubeadm_map(&services.cluster, names::KUBELET_CONFIG, "kubelet").await?;
    let tried = super::inspect::each_node(&services.settings, facts, async |node| {
        let step = Step::of(node);
        let passed = step.is_skipped(&facts.marks) || left_out.iter().any(|skip| skip.step == step.token());
        if node.is_upgraded(target) || passed {
            return Ok(());
        }
        try_on(services, facts, states, node, target, &configuration).await
    });
    tried.await.map(drop)
}

async fn try_on(
    services: &Services,
    facts: &Facts,
    states: &[(String, NodeState)],
    node: &Node,
    target: Version,
    configuration: &str,
) -> Result<(), Cause> {
    let settings = &services.settings;
    let op = Trial {
        packages: settings.packages_url.clone(),
        target,
        keys: settings.package_keys.clone(),
        first_control_plane: order::first_control_plane(facts).is_some_and(|first| first.name == node.name),
        flags: settings.kubeadm_flags(),
    };
    let step = format!("trial of kubelet and kubeadm {target}");
    let tried = services.ssh.change_node(node, ChangeClass::Prepare, &step, &op).await?;
    let found = Found {
        cgroup_v1: tried.cgroup == Some(Cgroup::V1),
        allows_cgroup_v1: tried.allows_cgroup_v1,
        file: state_of(states, &node.name).map_or("", |state| state.kubelet_config.as_str()),
        configuration,
        patched: patches::folder(&op.flags).is_some(),
        containerd: containerd(services, facts, state_of(states, &node.name), node).await?,
        gates: tried.gates.iter().map(ToString::to_string).collect(),
        refused: tried.refused.into_iter().map(refused).collect(),
        objections: tried.objections,
        notes: tried.notes,
    };
    trial::judge(&node.name, &found, target)?;
    services.session.note(&node.name, format!("kubelet and kubeadm of {target} accept this node"));
    Ok(())
}

fn refused(RefusedFlag { name, says, set_at }: RefusedFlag) -> Refused {
    Refused { flag: name, says, set_at: set_at.into_iter().map(|at| (at.file, at.line)).collect() }
}

/// The release of containerd that the node's new kubelet will meet: a control plane's may be raised before.
async fn containerd(
    services: &Services,
    facts: &Facts,
    state: Option<&NodeState>,
    node: &Node,
) -> Result<Option<Version>, Cause> {
    let decided = match state {
        Some(state) => super::runtime::decide(&services.ssh, facts, node, state).await?,
        None => None,
    };
    Ok(match decided {
        Some(Decision::Raise(revision, _)) => parse::upstream(&revision),
        _ => parse::containerd(&node.container_runtime),
    })
}

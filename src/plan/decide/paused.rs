//! Whether a person has taken a node's turn from it, and for how long: until they give it back.

use crate::failure::Cause;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::version::Version;

/// The node may have its turn: nobody has paused it. What has begun with it is finished nevertheless.
///
/// # Errors
/// A hold: it is paused, and how a person lets it have its turn.
pub fn not_paused(facts: &Facts, node: &Node, target: Version) -> Result<(), Cause> {
    let begun = node.is_begun() || node.hook_is_owed() || facts.is_done_for_now(node, target);
    let Some(pause) = node.paused.as_ref().filter(|_| !begun) else { return Ok(()) };
    let waits = node.control_plane.then_some("what comes after a control plane waits for it, and so do all workers");
    Err(Cause::hold(format!("{} is {}", node.name, pause.words())).detail(waits).next(pause.release(&node.name)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Class;
    use crate::plan::model::fixture::*;
    use crate::plan::model::paused::Pause;

    #[test]
    fn who_is_paused_has_no_turn_unless_it_has_begun_or_is_done() {
        let facts = |edit: &dyn Fn(&mut Node)| {
            let mut facts = in_flight(runbook());
            let node = node(&mut facts, "k8s-node3");
            node.paused = Some(Pause::Pool("gpu".to_owned()));
            edit(node);
            facts
        };
        let asked = |edit: &dyn Fn(&mut Node)| {
            let facts = facts(edit);
            not_paused(&facts, facts.node("k8s-node3").unwrap(), NEW)
        };
        let cause = asked(&|_| {}).unwrap_err();
        assert_eq!((cause.class, cause.what.as_str()), (Class::Hold, "k8s-node3 is paused with its pool gpu"));
        assert_eq!(cause.next[0].command, "k8s-upgrade unpause pool/gpu    # lets its workers have their turns");
        let cause = asked(&|node| node.paused = Some(Pause::Label)).unwrap_err();
        assert_eq!(cause.next[0].command, "k8s-upgrade unpause node/k8s-node3    # lets it have its turn");
        assert_eq!(asked(&|node| node.paused = None), Ok(()));
        assert_eq!(asked(&|node| node.kubelet = Some(NEW)), Ok(()));
        assert_eq!(asked(&|node| node.cordoned_by = Some("5f3a21bc".to_owned())), Ok(()));
        assert_eq!(asked(&|node| node.former_versions = Some("kubelet=1.34.2-1.1".to_owned())), Ok(()), "somebody else's cordon");
        let mut facts = in_flight(runbook());
        node(&mut facts, "k8s-master").paused = Some(Pause::Label);
        assert_eq!(not_paused(&facts, facts.node("k8s-master").unwrap(), NEW).unwrap_err().detail.len(), 1);
    }
}

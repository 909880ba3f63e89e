//! Where the runner of a node's phase begins: an earlier one of ours may have left the node half done.

use crate::plan::model::facts::Node;

/// What the runner of a node's phase does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing was begun: the gates are asked.
    Gates,
    /// It is out of service and has begun to change: it is finished, whatever gate is closed and whoever has halted.
    Finish,
    /// It is out of service and unchanged: it serves until the gates open, or for good if the run is halted.
    GiveBack,
    /// Nothing was begun, and nothing may begin.
    Stop,
}

/// An earlier runner of ours may have been killed in the middle of the node's work. `changed` is what the node itself says. A halt takes
/// effect at a safe point, and a node that was left half done is none.
pub fn entry(node: &Node, changed: bool, halted: bool) -> Entry {
    let began = node.is_begun();
    match (node.unschedulable && changed, halted) {
        (true, false) => Entry::Finish,
        (true, true) if began => Entry::Finish,
        (false, _) if node.cordoned_by.is_some() => Entry::GiveBack,
        (_, true) => Entry::Stop,
        (false, false) => Entry::Gates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::fixture::*;

    /// Marks and cordon: none, ours, a person's, a person's under our work, ours that a person took back.
    #[test]
    fn what_was_begun_ends_at_a_safe_point() {
        use Entry::{Finish, Gates, GiveBack, Stop};
        let ours = |out: bool| Node { cordoned_by: Some("5f3a21bc".into()), unschedulable: out, ..worker("n", OLD) };
        let theirs = Node { unschedulable: true, ..worker("n", OLD) };
        let under_theirs = Node { former_versions: Some("kubelet=1".into()), ..theirs.clone() };
        // unchanged: goes on, halted; changed: goes on, halted
        for (what, node, wanted) in [
            ("untouched", worker("n", OLD), [Gates, Stop, Gates, Stop]),
            ("ours", ours(true), [GiveBack, GiveBack, Finish, Finish]),
            ("a person's", theirs, [Gates, Stop, Finish, Stop]),
            ("ours, under a person's cordon", under_theirs, [Gates, Stop, Finish, Finish]),
            ("ours, put back by a person", ours(false), [GiveBack, GiveBack, GiveBack, GiveBack]),
        ] {
            let cases = [(false, false), (false, true), (true, false), (true, true)];
            assert_eq!(cases.map(|(changed, halted)| entry(&node, changed, halted)), wanted, "{what}");
        }
    }
}

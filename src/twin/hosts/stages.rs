//! The script of a machine's unit goes on, stage by stage.

use super::super::State;
use super::super::state::{Timer, later};
use super::machine::End;
use super::work::{Next, Stage, finish, log, running};
use super::{Due, install, kubeadm};
use crate::node::Step;

/// The unit's script goes on.
pub fn fire(state: &mut State, node: &str, ticket: u64, stage: &Stage) {
    let unit = state.hosts.machine(node).and_then(running).filter(|unit| unit.ticket == ticket);
    let Some((step, target)) = unit.map(|unit| (unit.step.clone(), unit.target.clone())) else { return };
    let next = match &step {
        Step::KubeadmUpgrade { first_control_plane, flags } => {
            let run = kubeadm::Upgrade { node, target: &target, apply: *first_control_plane, flags };
            run.stage(state, stage)
        }
        _ => install::stage(state, node, &step, &target, stage),
    };
    let end = match next {
        Ok(Next::After(span, stage)) => {
            let next = later(state.now(), span);
            state.hosts.change(node, |machine| {
                if let Some(unit) = &mut machine.unit {
                    unit.next = next;
                }
            });
            state.at(next, Timer::Host(Due::Work { node: node.to_owned(), ticket, stage }));
            return;
        }
        Ok(Next::End) => 0,
        Err(stop) => {
            log(state, node, &format!("! {}", stop.what));
            stop.status
        }
    };
    finish(state, node, End::Status(end));
    state.tell(format_args!("{} of {target} on {node} ends with {end}", step.name()));
}

//! What a cluster does by itself: controllers, scheduler, kubelets, and the pods that they run.

use super::state::{ProgramPhase, State};

/// What controllers remember.
#[derive(Clone, Default)]
pub struct Control {
    /// Events of the store up to here have been seen.
    pub seen: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {}

pub fn fire(_state: &mut State, due: Due) {
    match due {}
}

/// After anything that happened: what controllers learn of it, and when they will act.
pub fn react(state: &mut State) {
    state.control.seen = state.store.version();
}

/// The process of a pod has ended, or was killed (137).
pub fn program_ended(state: &mut State, uid: &str, _code: u8) {
    if let Some(program) = state.programs.get_mut(uid) {
        program.phase = ProgramPhase::Killed;
    }
}

//! The scripts that run on a node, in real bash against stubbed programs that keep a small package state.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod assembly;
pub mod bench;
mod canaries;
mod deprecated;
mod inspect;
mod keys;
mod kill;
mod machines;
mod packages;
mod proofs;
mod servers;
mod signing;
mod snapshot;
mod sources;
mod trial;
mod work;

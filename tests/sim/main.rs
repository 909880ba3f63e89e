//! What the program takes for granted of a cluster, as a suite that any cluster can be held to: a real control plane, and the one in memory.
//!
//! `tests/control-plane/run` starts the real one and runs `control_plane::` against it; a new behaviour is one line in `behaviour/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

mod behaviour;
mod bench;
mod control_plane;
mod kubelet;

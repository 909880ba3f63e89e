//! Two things that need no cluster of machines: what the program takes for granted of an API server, as a suite that any cluster can be held to,
//! the real control plane and the one in memory; and whole runs in the world in memory, killed and disturbed wherever it hurts.
//!
//! `tests/control-plane/run` starts a real control plane and runs `control_plane::` against it; a new behaviour is one line in
//! `behaviour/mod.rs`. All else runs in memory, on paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

mod access;
mod accounts;
mod adopt;
mod alerts;
mod alone;
mod another_build;
mod approvals;
mod asked;
mod backups;
mod behaviour;
mod bench;
mod canary;
mod chain;
mod check;
mod control_plane;
mod coverage;
mod crash;
mod crowd;
mod drains;
mod driven;
mod etcdctl;
mod events;
mod faults;
mod goldens;
mod guards;
mod halted;
mod hands;
mod incidents;
mod journal;
mod kubelet;
mod late;
mod live;
mod mask;
mod mixed_up;
mod odd;
mod pauses;
mod plan;
mod podless;
mod proof;
mod readme;
mod recovery;
mod rehearse;
mod reminders;
mod rights;
mod rollback;
mod rotate;
mod rules;
mod runtimes;
mod schedules;
mod status;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, unused_imports)] // each of the programs uses a part
mod support;
mod tempted;
mod turns;
mod twin;
mod unasked;
mod uninstall;
mod unmodelled;
mod waves;
mod webhooks;
mod world;

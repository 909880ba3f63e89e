//! Everything that needs no cluster. One binary: a new file is a new `mod` here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

mod cli;
mod defects;
mod docs;
mod hold;
mod hostile;
mod install;
mod kube_adapter;
mod layering;
mod node;
mod panics;
mod pasted;
mod ports;
mod program;
mod properties;
mod rehearse;
mod report;
mod security;
mod ssh;
mod terminals;
mod vault;
mod watch;
mod web_adapter;

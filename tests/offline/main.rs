//! Everything that needs no cluster. One binary: a new file is a new `mod` here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

mod browser;
mod cli;
mod completions;
mod dashboard;
mod defects;
mod docs;
mod documents;
mod hold;
mod hostile;
mod install;
mod kube_adapter;
mod layering;
mod missing;
mod node;
mod panics;
mod pasted;
mod ports;
mod private_ca;
mod properties;
mod rehearse;
mod report;
mod screens;
mod security;
mod ssh;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_macros, unused_imports)] // each of the programs uses a part
mod support;
mod terminals;
mod timeline;
mod typed;
mod vault;
mod watch;
mod web_adapter;

//! The map of the house: what each room is for, who may call whom, and the path of one run.
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`invocation`] | the one entry: arguments and settings read, a context made, a command called, a failure told | cli, commands, settings, run, report, plan, names, twin, world, permit, failure, words |
//! | [`cli`] | the command line: types and help texts; parsing never acts | names, plan::decide::gates, plan::model::version, words |
//! | [`settings`] | file + environment + flags → one validated `Settings`; the only reader of the environment | names, failure, plan::model::addons, plan::model::calendar, plan::model::hooks, plan::model::matcher, plan::model::policy, plan::model::span, plan::model::waves, plan::model::webhook, world, words |
//! | [`names`] | every label, annotation, Job, metric, alert and Secret key: the contract with dashboards that exist | nothing |
//! | [`words`] | words from outside: tokens with strict parsers, text made fit to show, words of the shell | nothing |
//! | [`failure`] | what can go wrong, by class; the one table class → exit code | words |
//! | [`guard`] | each place where harm is kept off, by name; a simulation may do without one | nothing |
//! | [`packages`] | the seam to the nodes' package manager: its shell functions, its files, its words; a folder for each | words |
//! | [`plan`] | PURE: facts and policy in, decisions out | names, failure, guard, packages, words |
//! | [`node`] | the scripts that run on a node and their typed operations | world, failure, packages, plan::model::deprecated, plan::model::member, plan::model::version, words |
//! | [`clients`] | Prometheus, Pushgateway, webhooks, Vault, the package index: codecs over byte-level HTTP | world, permit, plan, names, failure, words |
//! | [`permit`] | no change without one: the classes of change, and the gate that refuses the rest | nothing |
//! | [`world`] | all that is outside the process, as traits: kube, hosts, web, clock, randomness, files | permit, words |
//! | [`run`] | performs what was planned, each change under a permit | plan, node, clients, world, permit, report, settings, signals, names, failure, guard, packages, words |
//! | [`commands`] | one file a subcommand, thin | cli, settings, run, plan, report, world, twin, names, failure, guard, packages, words |
//! | [`report`] | pure renderers of events: terminal, log lines, JSON | names, plan, failure, words |
//! | [`signals`] | the first signal asks to stop, the second ends | nothing |
//! | [`twin`] | the world in memory, for rehearsals and simulations: cluster, machines and services behind [`world`], on paused time | world, permit, names, failure, plan, node, report, signals, words |
//! | [`adapters`] | the real kube, ssh, web, clock, files and terminal behind [`world`] | world, permit, words |
//!
//! One run: `main` builds an [`Invocation`] and the real [`world::World`], [`run`](fn@run) parses the arguments, merges the
//! settings and hands [`run::Services`] to one file of [`commands`], which observes ([`run::cluster::Observer`]) what is, asks [`plan`] what to
//! do, and performs it through `Session::change`, the door to every change but the program's own records. `tests/offline/layering.rs` reads this
//! table and holds the house to it: the last column is the rule, a room may always use itself, and `main` stands above all.
//! A room with such a table in its `mod.rs` has floors, and is held to that, too. Within a room no files use each other in a circle.
//!
//! [`run`]: mod@run
#![allow(rustdoc::private_intra_doc_links)] // who reads it here sees private items, too

pub mod adapters;
pub mod cli;
pub mod clients;
pub mod commands;
pub mod failure;
pub mod guard;
mod invocation;
pub mod names;
pub mod node;
pub mod packages;
pub mod permit;
pub mod plan;
pub mod report;
pub mod run;
pub mod settings;
pub mod signals;
pub mod twin;
pub mod words;
pub mod world;

pub use invocation::{Invocation, Panics, Program, run};

//! The map of the house: what each room is for, who may call whom, and the path of one run.
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`cli`] | the command line: types and help texts; parsing never acts | names |
//! | [`settings`] | file + environment + flags → one validated `Settings`; the only reader of the environment | names, failure |
//! | [`names`] | every label, annotation, Job, metric, alert and Secret key: the contract with dashboards that exist | nothing |
//! | [`failure`] | what can go wrong, by class; the one table class → exit code | nothing |
//! | [`plan`] | PURE: facts and policy in, decisions out | names, failure |
//! | [`node`] | the scripts that run on a node and their typed operations | world's types |
//! | [`clients`] | Prometheus, Pushgateway, Slack, the package index: codecs over byte-level HTTP | world, plan, names |
//! | [`world`] | all that is outside the process, as traits: kube, hosts, web, clock, randomness, files | failure |
//! | [`run`] | performs what was planned, each change under a permit | plan, node, clients, world, report |
//! | [`commands`] | one file a subcommand, thin | run, plan, settings |
//! | [`report`] | pure renderers of events: terminal, log lines, JSON | plan, failure |
//! | [`adapters`] | the real kube, ssh, web, clock and files behind [`world`] | world |
//!
//! One run: `main` builds an [`Invocation`] and the real [`world::World`], [`run`](fn@run) parses the arguments, merges the
//! settings and hands a [`run::Ctx`] to one file of [`commands`], which observes ([`run::observe`]) what is, asks [`plan`] what to
//! do, and performs it through `ctx.change`, the only door to a change. `tests/unit/layering.rs` holds the house to this table.

pub mod adapters;
pub mod clients;
pub mod failure;
pub mod names;
pub mod node;
pub mod permit;
pub mod plan;
pub mod report;
pub mod run;
pub mod settings;
pub mod world;

//! Decisions, as pure functions of what is ([`facts`]) and what is wanted ([`policy`]). No async, no clock, no client, no settings, no
//! tracing in here: `now` is an argument, and every gate's input is an [`answer::Answer`].

pub mod answer;
pub mod facts;
pub mod install;
pub mod policy;
pub mod rights;
pub mod rules;
pub mod version;

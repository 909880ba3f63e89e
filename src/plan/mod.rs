//! Decisions, as pure functions of what is ([`facts`]) and what is wanted ([`policy`]). No async, no clock, no client, no settings, no
//! tracing in here: `now` is an argument, and every gate's input is an [`answer::Answer`].

pub mod alerts;
pub mod answer;
pub mod card;
pub mod detect;
pub mod drain;
pub mod entry;
pub mod facts;
pub mod gates;
pub mod halt;
pub mod health;
pub mod hosts;
pub mod identity;
pub mod install;
pub mod installation;
pub mod jobs;
pub mod journal;
pub mod keys;
pub mod known_hosts;
pub mod lease;
pub mod losses;
pub mod manifest;
pub mod named;
pub mod news;
pub mod next;
pub mod order;
pub mod orphan;
pub mod parse;
pub mod planned;
pub mod policies;
pub mod policy;
pub mod progress;
pub mod restore;
pub mod rights;
pub mod rollback;
pub mod rules;
pub mod screen;
pub mod span;
pub mod status;
pub mod story;
pub mod target;
pub mod version;

#[cfg(test)]
mod fixture;

//! What is, what is wanted, what was done, and what others print, as values: the words in which all else is put.

pub mod addons;
pub mod admission;
pub mod answer;
pub mod approved;
pub mod baseline;
pub mod calendar;
pub mod certificates;
pub mod deprecated;
pub mod facts;
pub mod found;
pub mod halt;
pub mod held_drain;
pub mod hooks;
pub mod journal;
pub mod lease;
pub mod marks;
pub mod matcher;
pub mod member;
pub mod named;
pub mod parse;
pub mod paused;
pub mod policy;
pub mod progress;
pub mod reminded;
pub mod resting;
pub mod span;
pub mod taken_back;
pub mod version;
pub mod waves;
pub mod webhook;
pub mod work;

#[cfg(test)]
pub(super) mod fixture;

//! What is done next, where, and whether it may be done now.

pub mod alerts;
pub mod detect;
pub mod drain;
pub mod entry;
pub mod gates;
pub mod losses;
pub mod next;
pub mod order;
pub mod orphan;
pub mod others;
pub mod own_image;
pub mod planned;
pub mod regression;
pub mod release;
pub mod reminders;
pub mod rules;
pub mod runtime;
pub mod signing;
pub mod sources;
pub mod surge;
pub mod target;
pub mod trial;
pub mod undrainable;
pub mod webhooks;
pub mod when;
pub mod workloads;

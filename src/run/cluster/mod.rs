//! What the API server says and is told: calls, lists, the facts, the record of the run, journals.

mod client;
pub mod created;
pub mod events;
pub mod job;
mod journal;
mod lean;
mod mirror;
pub mod objects;
pub mod observer;
mod record;

pub use client::{Cluster, cause, unconnected};
pub use journal::Journals;
pub use lean::Lean;
pub use mirror::Mirror;
pub use observer::Observer;
pub use record::Record;

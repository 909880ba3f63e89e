//! What the program prints for machines: a type a document, each with a name and a version ([`Document`]).
//!
//! Scripts read these, so a field stays what it is: one that goes, or that means something else, raises the document's version; a new one does
//! not. A field of which nothing is known is null, and not left out; only where a field says so it may be missing. The schemas in `docs/schema`
//! are written from these types, and a test compares them (`src/commands/schema_tests.rs`).

mod account;
mod acknowledge;
mod adopt;
mod check;
mod detection;
mod document;
mod drain;
mod event;
mod failure;
mod health;
mod hosts;
mod keys;
mod live;
mod plan;
#[cfg(test)]
mod schema_tests;
mod status;
mod story;

pub use account::{Account, Line, outcome};
pub use acknowledge::LocalChanges;
pub use adopt::Adoption;
pub use check::Check;
pub use detection::Detection;
pub use document::{Document, Versioned};
pub use drain::{DrainForecast, PodForecast};
pub use event::{Awaited, Event, EventKind};
pub use failure::Failure;
pub use health::Health;
pub use hosts::Hosts;
pub use keys::{NodeKeys, NodeRotated, RotationForecast, RotationResult};
pub use live::LiveStatus;
pub use status::Status;

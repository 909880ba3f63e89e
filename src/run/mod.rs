//! Performs what was planned. Each change to cluster, host or web goes through [`Ctx::change`].

mod api;
mod creds;
mod ctx;
mod hosts;
pub mod image;
mod lease;
pub mod observe;
mod wait;

pub use api::cause;
pub use creds::Creds;
pub use ctx::{Change, Ctx, Identity, Parts, Stop};
pub use lease::NodeLease;
pub use wait::{Probe, Wait};

//! Performs what was planned. Each change to cluster, host or web goes through [`Ctx::change`].

mod alone;
mod api;
mod backup;
mod chain;
mod creds;
mod ctx;
mod detect;
mod drain;
mod endpoints;
mod gates;
mod halt;
mod health;
mod hosts;
pub mod image;
mod journal;
mod lease;
mod live;
mod look;
mod losses;
mod marks;
mod objects;
pub mod observe;
mod permissions;
pub mod phases;
pub mod preflight;
mod prepare;
mod rollback;
mod upgrade;
mod wait;
mod watch;
mod work;

pub use api::unconnected;
pub use creds::Creds;
pub use ctx::{Change, Ctx, Identity, Parts, Stop};
pub use drain::Forecast;
pub use live::More;

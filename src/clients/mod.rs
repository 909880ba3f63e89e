//! Prometheus, Pushgateway, Slack, Vault and the package index: what their bytes mean, over byte-level HTTP. Every call has a deadline, every
//! change passes the permit gate, and whatever is no clear answer is Unknown: a gate must never mistake it for "nothing there".

use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::failure::Cause;

pub mod endpoint;
pub mod packages;
pub mod prometheus;
pub mod pushgateway;
pub mod slack;
pub mod vault;

pub use endpoint::Endpoint;
pub use packages::{Packages, Release};
pub use prometheus::{Prometheus, Sample};
pub use pushgateway::{Gauge, Pushgateway};
pub use slack::Slack;
pub use vault::Vault;

/// Somebody who tells people.
pub trait Notifier {
    /// Sends one text. Needs a live permit.
    fn send<'a>(&'a self, text: &'a str, deadline: Duration) -> LocalBoxFuture<'a, Result<(), Cause>>;
}

#[cfg(test)]
mod fake;

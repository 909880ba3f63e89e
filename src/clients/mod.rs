//! Prometheus, Pushgateway, webhooks, Vault and the package index: what their bytes mean, over byte-level HTTP. Every call has a deadline, every
//! change passes the permit gate, and whatever is no clear answer is Unknown: a gate must never mistake it for "nothing there".

use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::failure::Cause;
use crate::plan::model::webhook::{Message, NoticeKind};

pub mod access;
pub mod endpoint;
pub mod hook;
pub mod packages;
pub mod prometheus;
pub mod pushgateway;
pub mod slack;
pub mod vault;

pub use access::{Access, Credentials};
pub use endpoint::Endpoint;
pub use hook::{Hook, Receiver};
pub use packages::{Packages, Release};
pub use prometheus::{Prometheus, Sample};
pub use pushgateway::{Gauge, Pushgateway};
pub use slack::Slack;
pub use vault::Vault;

/// Somebody who tells people.
pub trait Notifier {
    /// How messages call them.
    fn name(&self) -> &str;

    /// Whether they are told of this.
    fn wants(&self, kind: NoticeKind) -> bool;

    /// Sends one message. Needs a live permit.
    fn send<'a>(&'a self, message: &'a Message, deadline: Duration) -> LocalBoxFuture<'a, Result<(), Cause>>;
}

#[cfg(test)]
mod fake;

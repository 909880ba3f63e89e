//! Prometheus, Pushgateway, Slack, Vault and the package index: what their bytes mean, over byte-level HTTP. Every call has a deadline, every
//! change passes the permit gate, and whatever is no clear answer is Unknown: a gate must never mistake it for "nothing there".

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

#[cfg(test)]
mod fake;

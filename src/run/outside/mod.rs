//! What is outside the cluster: Prometheus, the Pushgateway, secrets, and those who are to be told.

mod credentials;
mod monitoring;
mod notices;

pub use credentials::{Credentials, Creds};
pub use monitoring::{Monitoring, blocker, seconds};
pub use notices::Notices;

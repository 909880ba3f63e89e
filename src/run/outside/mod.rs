//! What is outside the cluster: Prometheus, the Pushgateway, secrets, and those who are to be told.

mod credentials;
mod kube_events;
mod monitoring;
mod notices;

pub use credentials::{Credentials, Creds};
pub use kube_events::KubeEvents;
pub use monitoring::{Monitoring, blocker, seconds};
pub use notices::Notices;

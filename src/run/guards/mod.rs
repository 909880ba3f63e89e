//! What keeps two from working at once, and all from working against a person's word: Leases, the halt; and what is at work, on record.

mod at_work;
mod halt;
mod lease;
mod progress;
pub mod term;

pub use at_work::{no_job_at_work, same_run};
pub use halt::HaltWatch;
pub use lease::Leases;
pub use progress::Recorder;

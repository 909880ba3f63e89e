//! What keeps two from working at once, and all from working against a person's word: Leases, the halt; and what is at work, on record.

mod halt;
mod lease;
mod others;
mod progress;
pub mod term;

pub use halt::HaltWatch;
pub use lease::Leases;
pub use others::{no_job_at_work, same_run};
pub use progress::Recorder;

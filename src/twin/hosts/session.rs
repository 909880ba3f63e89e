//! A session while its script runs.

use std::time::Duration;

/// What a script has printed when it ends, and how long that took.
#[derive(Default)]
pub struct Session {
    pub stdout: String,
    pub stderr: String,
    pub millis: u64,
}

impl Session {
    pub fn line(&mut self, line: impl std::fmt::Display) {
        self.stdout.push_str(&format!("{line}\n"));
    }
    pub fn wait(&mut self, span: Duration) {
        self.millis += u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    }
}

//! Commands on hosts by libssh2: one connection and one thread an exec.
//!
//! libssh2's traps that shape this file: a blocking read of one stream deadlocks once the other's window is full, so one loop polls
//! for all three streams; the exit status reads 0 after a lost connection, so any read error is a loss and scripts end with a
//! sentinel line; its keepalive never notices a dead peer, so TCP's does; a host that offers another key type than the known one
//! looks changed, so the types to offer are taken from the known keys.

mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::world::{Host, HostError, HostOutput, Hosts};

pub struct Ssh;

/// What the thread of one exec works with.
struct Job {
    host: Host,
    command: String,
    stdin: Bytes,
    limit: Duration,
    /// `limit` from the start on.
    until: Instant,
    /// Set when nobody waits for the result any more.
    cancelled: Arc<AtomicBool>,
    /// Lines of stdout, as they come.
    lines: mpsc::UnboundedSender<String>,
}

/// Tells the thread that its future was dropped. It only ends our own wait: what runs on the host is left alone.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Hosts for Ssh {
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        command: &'a str,
        stdin: Bytes,
        deadline: Duration,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>> {
        Box::pin(async move {
            let cancelled = Arc::new(AtomicBool::new(false));
            let _cancel = CancelOnDrop(cancelled.clone());
            let (lines, mut incoming) = mpsc::unbounded_channel();
            #[expect(clippy::disallowed_methods, reason = "libssh2 waits in real time")]
            let until = Instant::now() + deadline;
            let job = Job { host: host.clone(), command: command.to_owned(), stdin, limit: deadline, until, cancelled, lines };
            // The thread drops its sender when it ends, and with it this loop.
            #[expect(clippy::disallowed_methods, reason = "libssh2 blocks; the thread is waited for below, or told to end")]
            let thread = tokio::task::spawn_blocking(move || job.run());
            while let Some(line) = incoming.recv().await {
                on_line(&line);
            }
            thread.await.unwrap_or_else(|error| Err(HostError::Lost(host.node.clone(), error.to_string())))
        })
    }
}

impl Job {
    fn place(&self) -> String {
        match self.host.port {
            22 => format!("{} ({})", self.host.node, self.host.address),
            port => format!("{} ({}:{port})", self.host.node, self.host.address),
        }
    }

    /// What is left of the deadline; an error once nothing is.
    #[expect(clippy::disallowed_methods, reason = "libssh2 waits in real time")]
    fn left(&self) -> Result<Duration, HostError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(self.lost("nobody waits for it any more"));
        }
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(HostError::Deadline(self.place(), self.limit)) } else { Ok(left) }
    }

    fn lost(&self, why: impl ToString) -> HostError {
        HostError::Lost(self.place(), why.to_string())
    }

    fn unconnected(&self, why: impl ToString) -> HostError {
        HostError::Connect(self.place(), why.to_string())
    }
}

/// Splits bytes into lines as they come.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned());
        }
    }

    /// A last line without its newline.
    fn end(self, mut each: impl FnMut(String)) {
        if !self.rest.is_empty() {
            each(String::from_utf8_lossy(&self.rest).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_wherever_the_packets_end() {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for part in [&b"on"[..], b"e\ntwo\r\n\nth", b"r\xc3", b"\xa9e"] {
            lines.push(part, |line| seen.push(line));
        }
        lines.end(|line| seen.push(line));
        assert_eq!(seen, ["one", "two", "", "thrée"]);
    }
}

//! Commands on hosts by libssh2: one connection and one thread an exec.
//!
//! libssh2's traps that shape this file: a blocking read of one stream deadlocks once the other's window is full, so one loop polls
//! for all three streams; the exit status reads 0 after a lost connection, so any read error is a loss and scripts end with a
//! sentinel line; its keepalive never notices a dead peer, so TCP's does; a host that offers another key type than the known one
//! looks changed, so the types to offer are taken from the known keys. Its calls know no deadline and no limit while they are talked to
//! (or while an agent is silent), so a [`wire`] between it and the host has both.

mod agent;
mod session;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::world::{Bounds, Host, HostError, HostOutput, Hosts};

/// How much longer than its deadline a session's thread may take to say that it is over. One that an agent holds never does.
const GRACE: Duration = Duration::from_secs(1);

/// SSH by libssh2, one connection for each command.
#[derive(Clone, Debug, Default)]
pub struct Ssh {
    /// The agent's socket.
    agent: Option<PathBuf>,
}

impl Ssh {
    /// `agent` is the socket of an SSH agent, for logins without a key of their own.
    pub fn new(agent: Option<PathBuf>) -> Self {
        Ssh { agent }
    }
}

/// Whom one exec is with, and how much of it there may be.
#[derive(Clone)]
struct Call {
    host: Host,
    agent: Option<PathBuf>,
    bounds: Bounds,
    /// `bounds.time` from the start on.
    until: Instant,
    /// Set when nobody waits for the result any more.
    cancelled: Arc<AtomicBool>,
}

/// What the thread of one exec works with.
struct Job {
    call: Call,
    command: String,
    stdin: Bytes,
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
        bounds: Bounds,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>> {
        Box::pin(async move {
            let cancelled = Arc::new(AtomicBool::new(false));
            let _cancel = CancelOnDrop(cancelled.clone());
            let (lines, mut incoming) = mpsc::unbounded_channel();
            #[expect(clippy::disallowed_methods, reason = "libssh2 waits in real time")]
            let until = Instant::now() + bounds.time;
            let call = Call { host: host.clone(), agent: self.agent.clone(), bounds, until, cancelled };
            let late = HostError::Deadline(call.place(), bounds.time);
            let job = Job { call, command: command.to_owned(), stdin, lines };
            // The thread drops its sender when it ends, and with it this loop.
            #[expect(clippy::disallowed_methods, reason = "libssh2 blocks; the thread is waited for below, or told to end")]
            let thread = tokio::task::spawn_blocking(move || job.run());
            let ended = async {
                while let Some(line) = incoming.recv().await {
                    on_line(&line);
                }
                thread.await.unwrap_or_else(|error| Err(HostError::Lost(host.node.clone(), error.to_string())))
            };
            tokio::time::timeout(bounds.time.saturating_add(GRACE), ended).await.unwrap_or(Err(late))
        })
    }
}

impl Call {
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
        if left.is_zero() { Err(HostError::Deadline(self.place(), self.bounds.time)) } else { Ok(left) }
    }

    fn lost(&self, why: impl ToString) -> HostError {
        HostError::Lost(self.place(), why.to_string())
    }

    fn unconnected(&self, why: impl ToString) -> HostError {
        HostError::Connect(self.place(), why.to_string())
    }
}

/// Splits bytes into lines as they come. Each byte is looked at once, however they are cut.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        // What follows the last line end: nothing has to follow it.
        let unended = parts.next_back().unwrap_or_default();
        for part in parts {
            self.rest.extend_from_slice(part);
            each(String::from_utf8_lossy(&self.rest).trim_end_matches('\r').to_owned());
            self.rest.clear();
        }
        self.rest.extend_from_slice(unended);
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

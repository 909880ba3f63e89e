//! The wire between a host and libssh2: a thread that carries bytes both ways, and ends the connection when enough is enough.
//!
//! libssh2's blocking calls wait for silence to end, not for a deadline: whoever sends on and on holds them for ever, and what it does
//! not expect it queues without a limit. So it gets one end of a socket pair. Behind the other end bytes are counted and time is kept,
//! and whatever libssh2 waits for then, it sees the end of the connection; [`Wire::why`] says why.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Call;
use crate::world::{HostError, TooMuch};

/// Bytes of the host's until we are logged in: keys, algorithms, a greeting.
const BEFORE_LOGIN: u64 = 512 << 10;
/// Bytes of the host's that are no output: keepalives, new keys.
const BESIDES: u64 = 1 << 20;
/// A packet takes about 50 bytes on the wire beside what is in it, and a script may print a word at a time.
const WIRE_PER_BYTE: u64 = 16;
/// Before its banner a host may send lines of its own, for eyes. We skip them, up to this many bytes.
const GREETING: usize = 8 << 10;
/// How long a poll may last before the deadline, or that nobody waits any more, is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// A connection that is carried.
pub(super) struct Wire {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// How much the host may have sent so far.
    allowed: AtomicU64,
    /// When the step that is at work must have ended.
    until: RwLock<Instant>,
    why: OnceLock<HostError>,
}

impl Wire {
    /// Carries `host` to the returned end, until `until` as long as nothing else is said.
    pub(super) fn carry(host: TcpStream, call: &Call, until: Instant) -> std::io::Result<(Wire, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        host.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        let shared = Arc::new(Shared { allowed: AtomicU64::new(BEFORE_LOGIN), until: RwLock::new(until), why: OnceLock::new() });
        let carrier = Carrier { host, ours, call: call.clone(), shared: shared.clone(), received: 0 };
        #[expect(clippy::disallowed_methods, reason = "it ends with the connection, and within its deadline")]
        let thread = std::thread::spawn(move || carrier.run());
        Ok((Wire { shared, thread: Some(thread) }, theirs))
    }

    /// The step that follows may last until then.
    pub(super) fn until(&self, until: Instant) {
        *self.shared.until.write().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// From here on the command's own bounds count.
    pub(super) fn logged_in(&self, call: &Call) {
        let output = (call.bounds.bytes + crate::world::STDERR) as u64;
        self.shared.allowed.store(BEFORE_LOGIN + BESIDES + output.saturating_mul(WIRE_PER_BYTE), Ordering::Relaxed);
        self.until(call.until);
    }

    /// Why the connection was ended, if it was us.
    pub(super) fn why(&self) -> Option<HostError> {
        self.shared.why.get().cloned()
    }
}

impl Drop for Wire {
    /// libssh2's end is closed by now, which ends the thread: what it still had to carry goes first.
    fn drop(&mut self) {
        self.until(now());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told, and the connection is over.
            let _ = thread.join();
        }
    }
}

struct Carrier {
    host: TcpStream,
    ours: UnixStream,
    call: Call,
    shared: Arc<Shared>,
    /// From the host, so far.
    received: u64,
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: Vec<u8>,
    /// Nothing more comes.
    ended: bool,
}

impl Way {
    /// Nothing comes any more, and nothing waits to be given.
    fn is_over(&self) -> bool {
        self.ended && self.bytes.is_empty()
    }
}

impl Carrier {
    fn run(mut self) {
        if let Err(why) = self.carry() {
            let _ = self.shared.why.set(why);
        }
        // They may be gone already, which is as good.
        let _ = self.host.shutdown(Shutdown::Both);
        let _ = self.ours.shutdown(Shutdown::Both);
    }

    /// Until either end closes. An error is why we closed it.
    fn carry(&mut self) -> Result<(), HostError> {
        let (mut inbound, mut outbound) = (Way::default(), Way::default());
        let mut greeting = Greeting::default();
        while !outbound.ended && !inbound.is_over() {
            self.wait(&inbound, &outbound)?;
            if !inbound.ended && inbound.bytes.is_empty() {
                let came = fill(&mut self.host, &mut inbound);
                self.count(came)?;
                greeting.skip(&mut inbound.bytes).map_err(|why| self.call.unconnected(why))?;
            }
            if outbound.bytes.is_empty() {
                fill(&mut self.ours, &mut outbound);
            }
            if !flush(&mut self.ours, &mut inbound) || !flush(&mut self.host, &mut outbound) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn count(&mut self, came: usize) -> Result<(), HostError> {
        self.received += came as u64;
        let limit = self.shared.allowed.load(Ordering::Relaxed);
        match self.received > limit {
            true => Err(TooMuch {
                peer: self.call.place(),
                what: "an SSH connection",
                limit_bytes: usize::try_from(limit).unwrap_or(usize::MAX),
            }
            .into()),
            false => Ok(()),
        }
    }

    /// Until something can be read or written, or the time is over.
    fn wait(&self, inbound: &Way, outbound: &Way) -> Result<(), HostError> {
        let until = *self.shared.until.read().unwrap_or_else(PoisonError::into_inner);
        let left = self.call.left()?.min(until.saturating_duration_since(now()));
        if left.is_zero() {
            return Err(self.call.unconnected("it did not let us in within the time for that"));
        }
        let mut wishes = Vec::with_capacity(2);
        let mut wish = |fd, read: bool, write: bool| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, read);
            flags.set(PollFlags::OUT, write);
            // One that nothing is wanted of would still tell that it hung up, again and again.
            if !flags.is_empty() {
                wishes.push(PollFd::from_borrowed_fd(fd, flags));
            }
        };
        wish(self.host.as_fd(), inbound.bytes.is_empty() && !inbound.ended, !outbound.bytes.is_empty());
        wish(self.ours.as_fd(), outbound.bytes.is_empty(), !inbound.bytes.is_empty());
        let timeout = Timespec { tv_sec: 0, tv_nsec: left.min(SLICE).subsec_nanos().into() };
        match poll(&mut wishes, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(self.call.lost(error)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "libssh2 waits in real time")]
fn now() -> Instant {
    Instant::now()
}

/// Takes what is there, one bite; how much it was.
fn fill(from: &mut impl Read, way: &mut Way) -> usize {
    let mut bite = [0; 32 << 10];
    match from.read(&mut bite) {
        Ok(count) => {
            way.ended = count == 0;
            way.bytes.extend_from_slice(&bite[..count]);
            count
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
        Err(_) => {
            way.ended = true;
            0
        }
    }
}

/// Gives what can be given; false once nobody takes it any more.
fn flush(to: &mut impl Write, way: &mut Way) -> bool {
    if way.bytes.is_empty() {
        return true;
    }
    match to.write(&way.bytes) {
        Ok(count) => {
            way.bytes.drain(..count);
            true
        }
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// What a host says before its banner. libssh2 would read on for as long as it is talked to.
#[derive(Default)]
struct Greeting {
    skipped: usize,
    over: bool,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
}

impl Greeting {
    const BANNER: &'static [u8] = b"SSH-";

    /// Leaves of `bytes` only what libssh2 is to see: the banner and all after it.
    fn skip(&mut self, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.over {
            return Ok(());
        }
        self.line.append(bytes);
        loop {
            if self.line.starts_with(Self::BANNER) {
                self.over = true;
                *bytes = std::mem::take(&mut self.line);
                return Ok(());
            }
            let Some(end) = self.line.iter().position(|byte| *byte == b'\n') else { break };
            self.skipped += end + 1;
            self.line.drain(..=end);
            if self.skipped > GREETING {
                break;
            }
        }
        if self.skipped + self.line.len() > GREETING { Err("what answers there is no SSH server") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_greeting_is_skipped_wherever_the_packets_end() {
        let text = b"hello\r\n\nSSH is here\nSSH-2.0-x\r\nrest";
        for size in 1..=text.len() {
            let (mut greeting, mut seen) = (Greeting::default(), Vec::new());
            for part in text.chunks(size) {
                let mut bytes = part.to_vec();
                greeting.skip(&mut bytes).unwrap();
                seen.extend(bytes);
            }
            assert_eq!(seen, b"SSH-2.0-x\r\nrest", "{size}");
        }
    }

    #[test]
    fn a_greeting_that_goes_on_is_no_greeting() {
        for junk in [&b"\n"[..], b"x", b"junk\n", b"SSH\n"] {
            let mut greeting = Greeting::default();
            let ended = (0..100_000).find(|_| greeting.skip(&mut junk.to_vec()).is_err()).unwrap();
            assert!((ended + 1) * junk.len() <= GREETING + junk.len() && greeting.line.len() <= GREETING + junk.len());
        }
    }
}

//! One connection: connect, check the host's key, log in, run the command, poll until it ended.

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use sha2::{Digest, Sha256};
use ssh2::{BlockDirections, Channel, ErrorCode, MethodType, Session, Stream};

use super::wire::Wire;
use super::{Call, Job, Lines, agent};
use crate::world::{HostError, HostOutput, Login, STDERR, TooMuch};

/// Connect, handshake or login: each step of it.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// sshd drops new connections at random while many are logging in (MaxStartups): how often to come back.
const ATTEMPTS: u32 = 8;
/// A dead peer is noticed after about 30 s: 10 s of silence, then four probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 4;
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// How long a poll may last before a cancelled exec is noticed.
const POLL_SLICE: Duration = Duration::from_millis(200);

/// libssh2's numbers of what a connection that sshd dropped looks like: -2 no banner, -7 send, -13 disconnect, -43 receive.
const DROPPED: [i32; 4] = [-2, -7, -13, -43];
/// -5 and -8: client and host found no common algorithm.
const NO_COMMON_ALGORITHM: [i32; 2] = [-5, -8];
/// LIBSSH2_ERROR_EAGAIN.
const WOULD_BLOCK: i32 = -37;
/// -16: the private key could not be read.
const UNREADABLE_KEY: i32 = -16;

/// An agent may have to ask its person.
const AGENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A session and the wire under it. Dropping shuts our end down first: libssh2's own farewell could wait for a dead peer.
struct Connection {
    session: Session,
    socket: UnixStream,
    wire: Wire,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Job {
    /// Connects, logs in and runs the command; blocks its thread until the end or the deadline.
    pub(super) fn run(self) -> Result<HostOutput, HostError> {
        let connection = self.call.connect()?;
        // Where the wire ended the connection, it knows why: to libssh2 it only went away.
        self.talk(&connection).map_err(|error| connection.wire.why().unwrap_or(error))
    }

    fn talk(&self, connection: &Connection) -> Result<HostOutput, HostError> {
        let call = &self.call;
        let host_key = call.check_host_key(&connection.session)?;
        call.log_in(connection)?;
        connection.wire.logged_in(call);
        connection.session.set_timeout(call.step_timeout()?);
        let mut channel = connection.session.channel_session().map_err(|error| call.unconnected(error))?;
        channel.exec(&self.command).map_err(|error| call.lost(error))?;
        connection.session.set_blocking(false);
        let (stdout, stderr) = self.pump(connection, channel)?;
        Ok(HostOutput {
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            host_key,
        })
    }

    /// Moves stdin, stdout and stderr until the host closed the channel.
    fn pump(&self, connection: &Connection, mut channel: Channel) -> Result<(Vec<u8>, Vec<u8>), HostError> {
        let call = &self.call;
        let mut stdout = Drained::new("the stdout of a command", call.bounds.bytes);
        let mut stderr = Drained::new("the stderr of a command", STDERR);
        let (mut out, mut err) = (channel.stream(0), channel.stream(1));
        let mut lines = Lines::default();
        let mut writer = Writer { channel: channel.clone(), rest: &self.stdin, done: false };
        // libssh2 wants a packet that the socket took in part to be finished by the very call that began it.
        let (mut write_first, mut read_first) = (false, false);
        loop {
            call.left()?;
            let mut progress = false;
            if !read_first {
                progress |= writer.step();
                write_first = !writer.done && outbound(&connection.session);
            }
            if !write_first {
                let begin = stdout.bytes.len();
                progress |= stdout.drain(&mut out, call)?;
                lines.push(&stdout.bytes[begin..], |line| self.tell(line));
                read_first = !stdout.ended && outbound(&connection.session);
            }
            if !write_first && !read_first {
                progress |= stderr.drain(&mut err, call)?;
                read_first = !stderr.ended && outbound(&connection.session);
            }
            if stdout.ended && stderr.ended {
                match channel.wait_close() {
                    Ok(()) => break,
                    Err(error) if would_block(&error) => progress = false,
                    Err(error) => return Err(call.lost(error)),
                }
            }
            if !progress {
                call.wait(connection)?;
            }
        }
        lines.end(|line| self.tell(line));
        Ok((stdout.bytes, stderr.bytes))
    }

    fn tell(&self, line: String) {
        // Nobody listening means that the future was dropped, which `left` reports.
        let _ = self.lines.send(line);
    }
}

impl Call {
    /// Milliseconds for the next blocking step, within the deadline. libssh2 reads 0 as "forever".
    fn step_timeout(&self) -> Result<u32, HostError> {
        let millis = self.left()?.min(STEP_TIMEOUT).as_millis().max(1);
        Ok(u32::try_from(millis).unwrap_or(u32::MAX))
    }

    fn connect(&self) -> Result<Connection, HostError> {
        let address = (self.host.address.as_str(), self.host.port);
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(|error| self.unconnected(error))?.collect();
        let mut attempt = 1;
        loop {
            match self.handshake(self.connect_socket(&addresses)?) {
                Ok(connection) => return Ok(connection),
                Err((dropped, error)) => {
                    if !dropped || attempt == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            // Jitter, or all that were dropped together come back together.
            let jitter = RandomState::new().hash_one(attempt) % 250;
            #[expect(clippy::disallowed_methods, reason = "on the thread of one exec")]
            std::thread::sleep(Duration::from_millis(50 + jitter * u64::from(attempt)).min(self.left()?));
            attempt += 1;
        }
    }

    fn connect_socket(&self, addresses: &[SocketAddr]) -> Result<TcpStream, HostError> {
        let mut failure = self.unconnected("its name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(address, self.left()?.min(STEP_TIMEOUT)) {
                Ok(socket) => return self.watch_for_death(&socket).map(|()| socket).map_err(|error| self.unconnected(error)),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    failure = HostError::Closed(self.place(), error.to_string());
                }
                Err(error) => failure = self.unconnected(error),
            }
        }
        Err(failure)
    }

    fn watch_for_death(&self, socket: &TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
        Ok(sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED_MS)?)
    }

    /// The error comes with whether the host dropped us, which is worth another attempt.
    fn handshake(&self, socket: TcpStream) -> Result<Connection, (bool, HostError)> {
        let fatal = |error: HostError| (false, error);
        let mut session = Session::new().map_err(|error| fatal(self.unconnected(error)))?;
        let types = self.known_types();
        if !types.is_empty() {
            session.method_pref(MethodType::HostKey, &types).map_err(|error| {
                fatal(self.unconnected(format!("none of its known host keys is of a type that this program speaks: {error}")))
            })?;
        }
        session.set_timeout(self.step_timeout().map_err(fatal)?);
        let until = self.soon(STEP_TIMEOUT).map_err(fatal)?;
        let (wire, socket) = Wire::carry(socket, self, until).map_err(|error| fatal(self.unconnected(error)))?;
        session.set_tcp_stream(socket.try_clone().map_err(|error| fatal(self.unconnected(error)))?);
        // From here on a failed session, too, is shut down before it is dropped.
        let mut connection = Connection { session, socket, wire };
        match connection.session.handshake() {
            Ok(()) => Ok(connection),
            Err(_) if let Some(why) = connection.wire.why() => Err(fatal(why)),
            Err(error) => {
                let code = code_of(&error);
                let why = match code {
                    code if NO_COMMON_ALGORITHM.contains(&code) && !types.is_empty() => {
                        format!("no common algorithm (host keys known: {types}): {}", error.message())
                    }
                    code if DROPPED.contains(&code) => format!("sshd dropped the connection: {}", error.message()),
                    _ => error.message().to_owned(),
                };
                Err((DROPPED.contains(&code), self.unconnected(why)))
            }
        }
    }

    /// The algorithms of the known keys, as libssh2 wants them.
    fn known_types(&self) -> String {
        let mut algorithms: Vec<&str> = Vec::new();
        for key in &self.host.known_keys {
            let offered: &[&str] = match key.split_whitespace().next() {
                // One kind of key, three ways to sign with it.
                Some("ssh-rsa") => &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
                Some(other) => &[other],
                None => &[],
            };
            algorithms.extend(offered.iter().filter(|name| !algorithms.contains(*name)).copied().collect::<Vec<_>>());
        }
        algorithms.join(",")
    }

    /// Returns the shown key as `type base64`.
    fn check_host_key(&self, session: &Session) -> Result<String, HostError> {
        let (blob, _) = session.host_key().ok_or_else(|| self.unconnected("it showed no host key"))?;
        let encoded = BASE64_STANDARD.encode(blob);
        let known = &self.host.known_keys;
        if !known.is_empty() && !known.iter().any(|key| key.split_whitespace().nth(1) == Some(encoded.as_str())) {
            let fingerprint = BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob));
            return Err(HostError::HostKeyChanged(self.place(), format!("{} SHA256:{fingerprint}", key_type(blob))));
        }
        Ok(format!("{} {encoded}", key_type(blob)))
    }

    fn log_in(&self, connection: &Connection) -> Result<(), HostError> {
        connection.session.set_timeout(self.step_timeout()?);
        match &self.host.login {
            Login::Key(key) => {
                connection.wire.until(self.soon(STEP_TIMEOUT)?);
                self.log_in_with_key(&connection.session, key)
            }
            Login::Agent => {
                connection.wire.until(self.soon(AGENT_TIMEOUT)?);
                self.log_in_with_agent(&connection.session)
            }
        }
    }

    /// So much later, but not after the deadline.
    fn soon(&self, step: Duration) -> Result<Instant, HostError> {
        Ok(self.until - self.left()?.saturating_sub(step))
    }

    fn log_in_with_key(&self, session: &Session, key: &str) -> Result<(), HostError> {
        // libssh2 cannot read the last line of a key without its newline, which Secrets often lose.
        let key = format!("{}\n", key.trim_end());
        session.userauth_pubkey_memory(&self.host.user, None, &key, None).map_err(|error| match code_of(&error) {
            UNREADABLE_KEY => HostError::BadKey(format!("{} (with a passphrase it needs an agent)", error.message())),
            _ => self.refused(error.message()),
        })
    }

    fn log_in_with_agent(&self, session: &Session) -> Result<(), HostError> {
        let none = || HostError::BadKey("no SSH agent answers: SSH_AUTH_SOCK names none".to_owned());
        let socket = self.agent.as_deref().ok_or_else(none)?;
        let shown = socket.display();
        let unusable =
            |error: ssh2::Error| HostError::BadKey(format!("the SSH agent at {shown} is of no use: {}", error.message()));
        // libssh2 waits for an agent without an end.
        agent::probe(socket, self.left()?.min(STEP_TIMEOUT))
            .map_err(|error| HostError::BadKey(format!("the SSH agent at {shown} does not answer: {error}")))?;
        let mut agent = session.agent().map_err(unusable)?;
        agent.set_identity_path(socket).map_err(unusable)?;
        agent.connect().map_err(unusable)?;
        agent.list_identities().map_err(unusable)?;
        let identities = agent.identities().map_err(unusable)?;
        for identity in &identities {
            session.set_timeout(self.step_timeout()?);
            if agent.userauth(&self.host.user, identity).is_ok() {
                return Ok(());
            }
        }
        Err(self.refused(&format!("none of the agent's {} keys is accepted", identities.len())))
    }

    fn refused(&self, why: &str) -> HostError {
        HostError::Auth(self.place(), self.host.user.clone(), why.to_owned())
    }

    /// Until the socket is ready for what libssh2 waits for, a slice of time has passed, or the deadline has.
    fn wait(&self, connection: &Connection) -> Result<(), HostError> {
        let mut interest = PollFlags::IN;
        if outbound(&connection.session) {
            interest |= PollFlags::OUT;
        }
        let slice = self.left()?.min(POLL_SLICE);
        let timeout = Timespec { tv_sec: 0, tv_nsec: slice.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&connection.socket, interest)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(self.lost(error)),
        }
    }
}

/// One stream of the host's, and all that came of it.
struct Drained {
    bytes: Vec<u8>,
    ended: bool,
    /// What the stream is.
    what: &'static str,
    limit: usize,
}

impl Drained {
    fn new(what: &'static str, limit: usize) -> Self {
        Drained { bytes: Vec::new(), ended: false, what, limit }
    }

    /// Takes what is there, a bounded bite at a time; true if something came.
    fn drain(&mut self, stream: &mut Stream, call: &Call) -> Result<bool, HostError> {
        let mut bite = [0; 32 * 1024];
        let mut progress = false;
        for _ in 0..8 {
            match stream.read(&mut bite) {
                Ok(0) => {
                    progress |= !self.ended;
                    self.ended = true;
                    break;
                }
                Ok(count) => {
                    if self.bytes.len() + count > self.limit {
                        return Err(TooMuch { peer: call.place(), what: self.what, limit_bytes: self.limit }.into());
                    }
                    self.bytes.extend_from_slice(&bite[..count]);
                    progress = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(call.lost(error)),
            }
        }
        Ok(progress)
    }
}

/// Our end of the host's stdin.
struct Writer<'a> {
    channel: Channel,
    rest: &'a [u8],
    done: bool,
}

impl Writer<'_> {
    /// Writes what the host takes, then says that it was all; true if something went.
    fn step(&mut self) -> bool {
        if self.done {
            return false;
        }
        let written = if self.rest.is_empty() {
            self.channel.send_eof().map(|()| 0).map_err(std::io::Error::from)
        } else {
            self.channel.write(self.rest)
        };
        match written {
            Ok(count) => {
                self.done = self.rest.is_empty();
                self.rest = &self.rest[count..];
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // The command closed its stdin, which it may; a lost connection is seen by the readers.
            Err(_) => {
                self.done = true;
                true
            }
        }
    }
}

fn outbound(session: &Session) -> bool {
    matches!(session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
}

fn would_block(error: &ssh2::Error) -> bool {
    code_of(error) == WOULD_BLOCK
}

fn code_of(error: &ssh2::Error) -> i32 {
    match error.code() {
        ErrorCode::Session(code) | ErrorCode::SFTP(code) => code,
    }
}

/// The first field of a public key's blob: its type, length first.
fn key_type(blob: &[u8]) -> String {
    let length = blob.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    let name = length.and_then(|length| blob.get(4..4 + usize::try_from(length).ok()?));
    String::from_utf8_lossy(name.unwrap_or(b"unknown")).into_owned()
}

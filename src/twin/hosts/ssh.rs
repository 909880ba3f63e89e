//! Sessions: who gets in, what becomes of them, and how long they take.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::super::state::later;
use super::super::{Call, Lost, State, Twin, Who};
use super::keys;
use super::ops::{Reply, perform};
use super::script::Request;
use crate::node;
use crate::world::{self, Bounds, Host, HostError, HostOutput, Login};

/// Until a connection to a machine that is off is given up.
const NO_ROUTE: Duration = Duration::from_secs(3);
/// Until TCP's keepalive finds a peer dead.
const DEAD_PEER: Duration = Duration::from_secs(30);

/// The way in, for one caller.
pub struct Ssh {
    pub twin: Twin,
    pub who: Who,
}

/// A session that stands.
struct Session {
    node: String,
    host_key: String,
    boot: u32,
    reply: Reply,
    /// It is cut once it has had its effect.
    cut: bool,
}

/// Lets a caller in: the machine's name, its boot and the key that it showed.
fn enter(state: &State, host: &Host) -> Result<(String, u32, String), HostError> {
    let place = place(host);
    let unconnected = |why: &str| Err(HostError::Connect(place.clone(), why.to_owned()));
    let Some((name, machine)) = state.hosts.all().find(|(_, machine)| machine.address == host.address) else {
        return unconnected("No route to host");
    };
    let faults = &machine.faults;
    if !machine.up() {
        return unconnected("No route to host");
    }
    if host.port != 22 || faults.away_until.is_some_and(|until| state.now() < until) {
        return Err(HostError::Closed(place, "Connection refused".to_owned()));
    }
    let shown = machine.host_key(name);
    let key = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    if !host.known_keys.is_empty() && !host.known_keys.iter().any(|known| key(known) == key(&shown)) {
        return Err(HostError::HostKeyChanged(place, shown));
    }
    let accepted = match &host.login {
        Login::Agent => true,
        Login::Key(key) => {
            keys::accepts(machine, key).ok_or_else(|| HostError::BadKey("Unable to parse the private key".to_owned()))?
        }
    };
    if !accepted || faults.key_refused {
        return Err(HostError::Auth(place, host.user.clone(), "Username/PublicKey combination invalid".to_owned()));
    }
    Ok((name.to_owned(), machine.boot, shown))
}

fn place(host: &Host) -> String {
    format!("{} ({})", host.node, host.address)
}

impl Ssh {
    /// One session's effect on the machine.
    fn open(state: &mut State, host: &Host, request: &Request, begun: Timestamp) -> Result<Session, HostError> {
        let (node, boot, host_key) = enter(state, host)?;
        let sudo = state.hosts.machine(&node).is_some_and(|machine| !machine.faults.sudo_refused);
        let own_words = state.hosts.machine(&node).and_then(|machine| machine.faults.own_words.clone());
        let reply = if let Some(words) = own_words {
            Reply::Done { stdout: words, stderr: String::new(), status: 1, span: Duration::ZERO }
        } else if sudo {
            perform(state, &node, request, begun)
        } else {
            let stderr = "sudo: a password is required\n".to_owned();
            Reply::Done { stdout: String::new(), stderr, status: 1, span: Duration::ZERO }
        };
        let cut = state.hosts.machine(&node).is_some_and(|machine| machine.faults.sessions_cut > 0);
        if cut {
            state.hosts.change(&node, |machine| machine.faults.sessions_cut -= 1);
        }
        Ok(Session { node, host_key, boot, reply, cut })
    }

    fn lost(host: &Host, why: &str) -> HostError {
        HostError::Lost(place(host), why.to_owned())
    }

    /// Waits within a session, which ends with its deadline or its machine.
    async fn wait(&self, host: &Host, session: &Session, when: Timestamp, end: (Timestamp, Duration)) -> Result<(), HostError> {
        let (deadline, limit) = end;
        self.twin.sleep_until(when.min(deadline)).await;
        if when > deadline {
            return Err(HostError::Deadline(place(host), limit));
        }
        let stands = self
            .twin
            .look(|state| state.hosts.machine(&session.node).is_some_and(|machine| machine.up() && machine.boot == session.boot));
        if stands {
            return Ok(());
        }
        self.twin.sleep_until(later(self.twin.now(), DEAD_PEER).min(deadline)).await;
        Err(Self::lost(host, "Connection timed out"))
    }

    async fn session(
        &self,
        host: &Host,
        command: &str,
        stdin: &[u8],
        limit: Duration,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<HostOutput, HostError> {
        let begun = self.twin.now();
        let end = (later(begun, limit), limit);
        let text = String::from_utf8_lossy(stdin);
        let known = if command == node::COMMAND { Request::read(&text) } else { Err(format!("the command {command}")) };
        let request = match known {
            Ok(request) => request,
            Err(what) => {
                self.twin.edit(|state| state.unmodelled.push(format!("{what} on {}", host.node)));
                return Err(Self::lost(host, &format!("this twin does not model {what}")));
            }
        };
        let hangs = |state: &State| {
            let (_, machine) = state.hosts.all().find(|(_, machine)| machine.address == host.address)?;
            machine.faults.hangs_until.filter(|until| *until > state.now())
        };
        if let Some(until) = self.twin.look(hangs) {
            self.twin.sleep_until(until.min(end.0)).await;
            if until > end.0 {
                return Err(HostError::Deadline(place(host), limit));
            }
        }
        let call =
            Call { who: self.who.clone(), changes: request.changes, what: format!("{} on {}", request.label(), host.node) };
        let opened = self.twin.call(call, |state| {
            let opened = Self::open(state, host, &request, begun);
            let word = match &opened {
                Err(error) => error.to_string(),
                Ok(Session { reply: Reply::Waits { .. }, .. }) => "waits".to_owned(),
                Ok(Session { reply: Reply::Done { status, stderr, .. }, .. }) => {
                    format!("{status} {stderr}").trim_end().to_owned()
                }
            };
            (opened, word)
        });
        let opened = opened.await.map_err(|lost| match lost {
            Lost::Call => HostError::Connect(place(host), "sshd dropped the connection".to_owned()),
            Lost::Answer => Self::lost(host, "Connection reset by peer"),
        });
        let mut session = match opened? {
            Ok(session) => session,
            Err(error) => {
                if matches!(&error, HostError::Connect(_, why) if why == "No route to host") {
                    self.twin.sleep_until(later(self.twin.now(), NO_ROUTE).min(end.0)).await;
                }
                return Err(error);
            }
        };
        if session.cut {
            return Err(Self::lost(host, "Connection reset by peer"));
        }
        let mut told = 0;
        loop {
            match session.reply.clone() {
                Reply::Waits { stdout, until } => {
                    tell(&stdout, &mut told, on_line);
                    self.wait(host, &session, until, end).await?;
                    session.reply = self.twin.edit(|state| perform(state, &session.node, &request, begun));
                }
                Reply::Done { stdout, stderr, span, .. } => {
                    self.wait(host, &session, later(self.twin.now(), span), end).await?;
                    tell(&stdout, &mut told, on_line);
                    return Ok(HostOutput { stdout, stderr, host_key: session.host_key });
                }
            }
        }
    }
}

/// Tells the lines that have not been told.
fn tell(stdout: &str, told: &mut usize, on_line: &mut (dyn FnMut(&str) + Send)) {
    let lines: Vec<&str> = stdout.lines().collect();
    for line in lines.get(*told..).unwrap_or_default() {
        on_line(line);
    }
    *told = lines.len().max(*told);
}

impl world::Hosts for Ssh {
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        command: &'a str,
        stdin: Bytes,
        bounds: Bounds,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>> {
        Box::pin(async move { self.session(host, command, &stdin, bounds.time, on_line).await })
    }
}

//! An SSH agent is asked for its keys before libssh2 asks it: that waits for an answer without an end.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// SSH_AGENTC_REQUEST_IDENTITIES, its length first.
const QUESTION: [u8; 5] = [0, 0, 0, 1, 11];
/// SSH_AGENT_IDENTITIES_ANSWER.
const ANSWER: u8 = 12;
/// As much as OpenSSH takes of an agent.
const LIMIT: u32 = 256 << 10;

/// Fails unless the agent answers, as an agent does, within that time.
pub(super) fn probe(socket: &Path, within: Duration) -> Result<()> {
    let mut agent = UnixStream::connect(socket)?;
    // Each read may wait so long: two of them, as nothing but the beginning of the answer is read.
    agent.set_read_timeout(Some(within / 2))?;
    agent.set_write_timeout(Some(within / 2))?;
    agent.write_all(&QUESTION)?;
    let mut length = [0; 4];
    let mut kind = [0; 1];
    let silent = |error: Error| match error.kind() {
        ErrorKind::WouldBlock => Error::new(ErrorKind::TimedOut, format!("it is silent for {:?}", within / 2)),
        _ => error,
    };
    agent.read_exact(&mut length).and_then(|()| agent.read_exact(&mut kind)).map_err(silent)?;
    match u32::from_be_bytes(length) {
        1..=LIMIT if kind[0] == ANSWER => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidData, "what it says is not what agents say")),
    }
}

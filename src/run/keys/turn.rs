//! One turn of keys: the one that comes, those that go, and what is done with them on a node.

use std::time::Duration;

use super::survey::Open;
use crate::failure::Cause;
use crate::node::{AddKey, Operation, RemoveKeys};
use crate::plan::trust::keys::{Left, Pair, Public};
use crate::run::session::{Change, Session};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::KeyBase64;
use crate::world::Login;

/// Where its steps are told.
pub const PLACE: &str = "rotate-key";

/// Beside an operation's own time: connecting.
const CONNECT: Duration = Duration::from_secs(60);

/// The key that comes, and those that go with it. It has no Debug.
pub struct Turn {
    pub(super) pair: Pair,
    pub(super) gone: Vec<Public>,
}

impl Turn {
    /// By the new key.
    pub fn login(&self) -> Login {
        Login::Key(self.pair.private.as_str().into())
    }

    /// What no node shall accept in the end.
    pub fn gone(&self) -> Vec<KeyBase64> {
        self.gone.iter().map(|key| key.base64.clone()).collect()
    }
}

/// Why a rotation ended early, and what it leaves.
pub struct Interrupted {
    pub cause: Cause,
    pub left: Left,
}

/// For `map_err`: a cause, with what the rotation leaves.
pub fn interrupted(left: Left) -> impl Fn(Cause) -> Interrupted {
    move |cause| Interrupted { cause, left }
}

/// Puts the key on these nodes and logs in with it.
pub async fn spread(session: &Session, ssh: &Ssh, settings: &Settings, nodes: &mut [Open], turn: &Turn) -> Result<(), Cause> {
    for open in nodes {
        let name = open.node.name.clone();
        spread_to(session, ssh, settings, open, turn).await.map_err(|cause| cause.during(name))?;
    }
    Ok(())
}

/// Adds it on one of them. What fails does not say which: who asks does.
pub async fn spread_to(session: &Session, ssh: &Ssh, settings: &Settings, open: &mut Open, turn: &Turn) -> Result<(), Cause> {
    let key = &turn.pair.public;
    let add = AddKey { user: settings.ssh_user.clone(), kind: key.kind.clone(), key: key.base64.clone(), replaces: turn.gone() };
    let change = Change::prepare(&open.node.name, "add the new key", AddKey::DEADLINE + CONNECT);
    (open.done.added, open.done.keys) = session.change(change, ssh.on_node_as(&open.node, &open.login, &add)).await?;
    let opened = super::survey::opens(ssh, settings, &open.node, &[turn.login()], &[]).await;
    opened.map(drop).map_err(|cause| cause.during("logging in with the new key"))
}

/// Removes lines of one node's authorized_keys, by that login: how many went, and how many keys are left.
pub async fn remove(
    session: &Session,
    ssh: &Ssh,
    open: &Open,
    login: &Login,
    step: &str,
    remove: &RemoveKeys,
) -> Result<(u32, u32), Cause> {
    let change = Change::settle(&open.node.name, step, RemoveKeys::DEADLINE + CONNECT);
    session.change(change, ssh.on_node_as(&open.node, login, remove)).await
}

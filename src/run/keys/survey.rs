//! What stands before a rotation: the run, the store, the Secret, and on each node the keys that it accepts.

use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::node::{KeysThere, LookAtKeys};
use crate::plan::model::facts::Node;
use crate::plan::trust::keys::{Known, Public, Rotation, same};
use crate::run::cluster::Observer;
use crate::run::guards::Leases;
use crate::run::keys::keystore::{KeyStore, Stored};
use crate::run::outside::Credentials;
use crate::run::services::Services;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{HostAddress, ssh};
use crate::world::Login;

/// A node, how one gets in, what it accepts, and what a rotation has made of it.
pub struct Open {
    pub node: Node,
    pub(super) login: Login,
    pub there: KeysThere,
    pub done: NodeDone,
}

/// What became of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeDone {
    pub added: bool,
    pub removed: u32,
    /// Keys that are there now.
    pub keys: u32,
}

/// What was found, before anything is asked. It has no Debug.
pub struct Survey {
    pub store: KeyStore,
    pub stored: Stored,
    pub nodes: Vec<Open>,
    pub rotation: Rotation,
    pub excluded: Vec<String>,
    /// The file of the settings whose key opens nothing afterwards.
    pub own: Option<String>,
    pub(super) ring: Ring,
}

/// Ways in, and the keys that are looked for. It has no Debug.
pub struct Ring {
    pub(super) logins: Vec<Login>,
    asked: Vec<Public>,
    /// That of the file of the settings.
    own: Option<Public>,
}

/// Refuses while a run, a Job of one, or a person's command may need the key that it has read.
pub async fn nobody_upgrades(observer: &Observer, leases: &Leases) -> Result<Vec<Node>, Cause> {
    let facts = observer.observe().await?;
    if facts.marks.in_flight && guard::on(Guard::RotationWithoutRun) {
        let what = "a run is in flight: its Jobs have read the key that stands now";
        return Err(Cause::contended(what).next(Advice::status()));
    }
    leases.nobody_at_work(&facts).await?;
    Ok(facts.nodes)
}

/// Looks at the run, the store and the nodes (only that one, or all that are not excluded): each must let us in.
pub async fn survey(services: &Services, only: Option<&str>) -> Result<Survey, Cause> {
    let all = nobody_upgrades(&services.observer, &services.leases).await?;
    let (nodes, others): (Vec<Node>, Vec<Node>) =
        all.into_iter().partition(|node| only.map_or(!node.excluded, |only| node.name == only));
    if let (Some(only), true) = (only, nodes.is_empty()) {
        return Err(Cause::usage(format!("{only} is no node of this cluster")).next("kubectl get nodes"));
    }
    let store = super::keystore::key_store(&services.settings, &services.world)?;
    let stored = super::keystore::stored_key(&services.cluster, &store).await?;
    let (held, beside) = super::keystore::held_key(&services.cluster).await?;
    let mut known = Known {
        held: held.as_deref().and_then(Public::of).or(beside),
        stored: stored.private.as_deref().and_then(Public::of),
        former: stored.former.clone(),
        accepted: Vec::new(),
    };
    let ring = ring(&services.credentials, &services.settings, held.iter().chain(&stored.private), &known).await?;
    let nodes = look_at(&services.ssh, &services.settings, nodes, &ring, only.is_none()).await?;
    let has = |key: &&Public| nodes.iter().any(|open| open.there.has.contains(&key.base64));
    known.accepted = ring.asked.iter().filter(has).cloned().collect();
    let in_step = held.as_deref().is_some_and(|held| stored.is(held));
    let rotation = if only.is_some() { for_one_node(known, in_step)? } else { known.rotation() };
    let own = ring.own.as_ref().filter(|own| goes(own, &rotation, &nodes));
    let own = own.map(|_| services.settings.ssh_key_file.display().to_string());
    let excluded = others.into_iter().filter(|_| only.is_none()).map(|node| node.name).collect();
    Ok(Survey { store, stored, nodes, rotation, excluded, own, ring })
}

/// These private keys, and the operator's own way in.
async fn ring<'a>(
    credentials: &Credentials,
    settings: &Settings,
    private: impl Iterator<Item = &'a String>,
    known: &Known,
) -> Result<Ring, Cause> {
    let own = credentials.own_login().await?;
    let public = match &own {
        Login::Key(key) if !settings.ssh_key_file.as_os_str().is_empty() => Public::of(key),
        Login::Key(_) | Login::Agent => None,
    };
    let mut logins: Vec<Login> = Vec::new();
    for login in private.map(|key| Login::Key(key.as_str().into())).chain([own]) {
        let same = |known: &Login| matches!((known, &login), (Login::Key(a), Login::Key(b)) if same(a, b));
        if !logins.iter().any(same) {
            logins.push(login);
        }
    }
    let asked = known.held.iter().chain(&known.stored).chain(&known.former).cloned().collect();
    Ok(Ring { logins, asked, own: public })
}

/// What else a person can do about a node that stays shut.
const OWN_KEY: &str = "another key that opens a node: --set ssh-key-file=FILE";
const LATER: &str = "a node that stays away: --set exclude-nodes=NODE; once it is back: rotate-key --only NODE --set ssh-key-file=FILE, with a key of yours that opens it";

/// Gets into each of these nodes and looks at its keys. One that stays shut, or whose keys could not be taken away, fails all.
pub async fn look_at(ssh: &Ssh, settings: &Settings, nodes: Vec<Node>, ring: &Ring, all: bool) -> Result<Vec<Open>, Cause> {
    let (mut open, mut failed, mut shut) = (Vec::new(), Vec::new(), false);
    for node in nodes {
        let name = node.name.clone();
        match look_at_one(ssh, settings, node, ring).await {
            Ok(one) => open.push(one),
            Err(Unseen { cause, is_shut }) => {
                shut |= is_shut;
                failed.push((name, cause));
            }
        }
    }
    let Some(cause) = Cause::together("nodes cannot be looked at", failed) else { return Ok(open) };
    Err(if shut { cause.detail(all.then_some(LATER)).detail([OWN_KEY]) } else { cause })
}

/// Why a node's keys are not known.
pub struct Unseen {
    cause: Cause,
    /// No key opens it; else it is open, and its keys could not be taken away.
    is_shut: bool,
}

impl From<Unseen> for Cause {
    fn from(Unseen { cause, is_shut }: Unseen) -> Self {
        cause.detail(is_shut.then_some(OWN_KEY))
    }
}

/// Gets into one of them. What fails does not say which: who asks does.
pub async fn look_at_one(ssh: &Ssh, settings: &Settings, node: Node, ring: &Ring) -> Result<Open, Unseen> {
    let of: Vec<Public> = ring.asked.iter().chain(&ring.own).cloned().collect();
    let opened = opens(ssh, settings, &node, &ring.logins, &of).await;
    let (login, there) = opened.map_err(|cause| Unseen { cause, is_shut: true })?;
    in_one_file(&way_to(settings, &node, ""), &login, &ring.asked, &there).map_err(|cause| Unseen { cause, is_shut: false })?;
    let done = NodeDone { keys: there.keys, ..NodeDone::default() };
    Ok(Open { node, login, there, done })
}

/// The command that leads a person to a node, and does something there.
pub fn way_to(settings: &Settings, node: &Node, then: &str) -> String {
    let set = settings.host_addresses.get(node.name.as_str()).map(HostAddress::as_str);
    let at = set.or(node.address.as_deref()).unwrap_or(&node.name);
    ssh(&settings.ssh_user, at, settings.ssh_port, then)
}

/// The first of these logins that the node accepts, and its keys.
pub async fn opens(
    ssh: &Ssh,
    settings: &Settings,
    node: &Node,
    logins: &[Login],
    of: &[Public],
) -> Result<(Login, KeysThere), Cause> {
    let user = settings.ssh_user.clone();
    let look = LookAtKeys { user, of: of.iter().map(|key| key.base64.clone()).collect() };
    let mut refused = Cause::refused("there is no key to log in with");
    for login in logins {
        match ssh.on_node_as(node, login, &look).await {
            Ok(there) => return Ok((login.clone(), there)),
            Err(cause) if cause.class == Class::Refused => refused = cause,
            Err(cause) => return Err(cause),
        }
    }
    Err(refused)
}

/// The stored key is brought to one node; only where that is the one which the Secret holds.
fn for_one_node(known: Known, in_step: bool) -> Result<Rotation, Cause> {
    let (Rotation::Begin { mut gone } | Rotation::Finish { mut gone, .. }) = known.rotation();
    let Some(key) = known.stored.filter(|_| in_step) else {
        return Err(Cause::refused("the Secret does not hold the stored key: a rotation has not ended")
            .next("k8s-upgrade rotate-key          # finishes it"));
    };
    gone.retain(|old| *old != key);
    Ok(Rotation::Finish { key, gone })
}

/// Some node loses the operator's own key: it is one of those that go, or its line is marked as they are.
fn goes(own: &Public, rotation: &Rotation, nodes: &[Open]) -> bool {
    let gone = match rotation {
        Rotation::Finish { key, .. } if key == own => return false,
        Rotation::Begin { gone } | Rotation::Finish { gone, .. } => gone,
    };
    gone.contains(own) || nodes.iter().any(|open| open.there.ours.contains(&own.base64))
}

/// Refuses where a key that comes or goes has a line that is not in the file that is edited: it would stay there. `ssh` leads to the node.
fn in_one_file(ssh: &str, login: &Login, keys: &[Public], there: &KeysThere) -> Result<(), Cause> {
    if let Some(read) = &there.unread {
        return Err(Cause::refused(format!(
            "sshd reads {read}, and not ~/.ssh/authorized_keys of the SSH user, which alone is edited"
        ))
        .next(format!("{ssh}      # in sshd_config let AuthorizedKeysFile name .ssh/authorized_keys, too, and reload sshd")));
    }
    if let Some((base64, file)) = there.elsewhere.first() {
        let key = keys.iter().find(|key| key.base64 == *base64).map_or_else(String::new, Public::fingerprint);
        let what = format!("the key {key} stands in {file}, where it would stay: ~/.ssh/authorized_keys alone is edited");
        return Err(Cause::refused(what).next(format!("{ssh}      # move its line from there into ~/.ssh/authorized_keys")));
    }
    let with = match login {
        Login::Key(private) => Public::of(private).filter(|key| keys.contains(key)),
        Login::Agent => None,
    };
    let Some(key) = with.filter(|key| !there.has.contains(&key.base64)) else { return Ok(()) };
    let by = there.asks.as_ref().map_or("by a certificate, or by what sshd does not tell".to_owned(), |asks| {
        format!("by its AuthorizedKeysCommand {asks}, or by a certificate")
    });
    let what = format!(
        "sshd lets the key {} in without a line in a file of the SSH user ({by}): it could not be taken away",
        key.fingerprint()
    );
    Err(Cause::refused(what).next(format!("{ssh} sudo sshd -T      # authorizedkeyscommand, trustedusercakeys")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::trust::keys::Pair;

    #[test]
    fn a_key_that_cannot_be_taken_away_is_refused() {
        let pair = Pair::from_seed(&[1; 32]).unwrap();
        let keys = [pair.public.clone()];
        let base64 = pair.public.base64.clone();
        let fine = KeysThere { has: vec![base64.clone()], ..KeysThere::default() };
        let check = |login: &Login, there: &KeysThere| in_one_file("ssh u@n", login, &keys, there);
        let login = Login::Key(pair.private.as_str().into());
        assert_eq!(check(&login, &fine), Ok(()));
        let elsewhere = KeysThere { elsewhere: vec![(base64, "/k 2".parse().unwrap())], ..fine.clone() };
        let unread = KeysThere { unread: Some("/etc/keys/%u".into()), ..fine.clone() };
        let command = KeysThere { asks: Some("/usr/bin/asks".parse().unwrap()), ..KeysThere::default() };
        for (there, says) in [
            (&elsewhere, "stands in /k 2"),
            (&unread, "sshd reads /etc/keys/%u, and not"),
            (&command, "AuthorizedKeysCommand /usr/bin/asks"),
            (&KeysThere::default(), "by a certificate"),
        ] {
            let cause = check(&login, there).unwrap_err();
            assert!(cause.class == Class::Refused && cause.what.contains(says), "{cause:?}");
            assert!(cause.next[0].command.starts_with("ssh u@n "), "{cause:?}");
        }
        // A key of a person's own is not ours to take away, wherever it stands.
        let own = Login::Key(Pair::from_seed(&[2; 32]).unwrap().private.as_str().into());
        assert_eq!(check(&own, &KeysThere::default()), Ok(()));
        assert_eq!(check(&Login::Agent, &KeysThere::default()), Ok(()));
    }
}

//! `rotate-key`: a new key on every node, in the store and in the Secret; then the old one goes. At every moment the key that the cluster
//! holds opens every node: the new one is stored only where it has logged in everywhere, and the old one goes only once the Secret holds
//! the new one. What the new key replaces is stored beside it in the same write, so that a rotation that was cut can be finished.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;

use super::ctx::{Change, Ctx, RECORD};
pub use super::keystore::KeyStore;
use super::keystore::{Stored, Written};
use super::wait::{Probe, Wait};
use crate::failure::{Cause, Class};
use crate::names;
use crate::node::{AddKey, KeysThere, LookAtKeys, Operation, RemoveKeys};
use crate::plan::facts::Node;
use crate::plan::keys::{Known, Left, Pair, Public, Rotation};
use crate::world::Login;

const PLACE: &str = "rotate-key";
/// Beside an operation's own time: connecting.
const CONNECT: Duration = Duration::from_secs(60);
/// Storing is tried again within this.
const STORE: Duration = Duration::from_secs(120);

/// A node, how one gets in, and what it accepts.
pub struct Open {
    pub node: Node,
    login: Login,
    pub there: KeysThere,
}

/// What was found, before anything is asked. It has no Debug.
pub struct Survey {
    pub store: KeyStore,
    pub stored: Stored,
    pub nodes: Vec<Open>,
    pub rotation: Rotation,
    pub excluded: Vec<String>,
}

/// What became of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeDone {
    pub node: String,
    pub added: bool,
    pub removed: u32,
    /// Keys that are there now.
    pub keys: u32,
}

/// Why a rotation ended early, and what it leaves.
pub struct Cut {
    pub cause: Cause,
    pub left: Left,
}

fn cut(left: Left) -> impl Fn(Cause) -> Cut {
    move |cause| Cut { cause, left }
}

impl Ctx {
    /// Refuses while a run, a Job of one, or a person's command may need the key that it has read.
    async fn nobody_upgrades(&self) -> Result<Vec<Node>, Cause> {
        let facts = self.observe().await?;
        if facts.marks.in_flight {
            let what = "a run is in flight: its Jobs have read the key that stands now";
            return Err(Cause::contended(what).next("k8s-upgrade status"));
        }
        self.nobody_at_work(&facts).await?;
        Ok(facts.nodes)
    }

    /// Looks at the run, the store and the nodes (only that one, or all that are not excluded): each must let us in.
    pub async fn survey_keys(&self, only: Option<&str>) -> Result<Survey, Cause> {
        let all = self.nobody_upgrades().await?;
        let (nodes, others): (Vec<Node>, Vec<Node>) =
            all.into_iter().partition(|node| only.map_or(!node.excluded, |only| node.name == only));
        if let (Some(only), true) = (only, nodes.is_empty()) {
            return Err(Cause::usage(format!("{only} is no node of this cluster")).next("kubectl get nodes"));
        }
        let store = self.key_store()?;
        let stored = self.stored_key(&store).await?;
        let (held, beside) = self.held_key().await?;
        let mut logins: Vec<Login> = Vec::new();
        let own = self.creds().await?.login.clone();
        for login in held.iter().chain(&stored.private).map(|key| Login::Key(key.as_str().into())).chain([own]) {
            let same = |known: &Login| matches!((known, &login), (Login::Key(a), Login::Key(b)) if a.trim() == b.trim());
            if !logins.iter().any(same) {
                logins.push(login);
            }
        }
        let mut known = Known {
            held: held.as_deref().and_then(Public::of).or(beside),
            stored: stored.private.as_deref().and_then(Public::of),
            former: stored.former.clone(),
            accepted: Vec::new(),
        };
        let asked: Vec<Public> = known.held.iter().chain(&known.stored).chain(&known.former).cloned().collect();
        let (mut open, mut failed) = (Vec::new(), Vec::new());
        for node in nodes {
            match self.opens(&node, &logins, &asked).await {
                Ok((login, there)) => {
                    known.accepted.extend(asked.iter().filter(|key| there.has.contains(&key.base64)).cloned());
                    open.push(Open { node, login, there });
                }
                Err(cause) => failed.push((node.name, cause)),
            }
        }
        if let Some(cause) = Cause::together("nodes cannot be looked at", failed) {
            let own = "another key that opens a node: --set ssh-key-file=FILE";
            let later = "a node that stays away: --set exclude-nodes=NODE; once it is back: rotate-key --only NODE --set ssh-key-file=FILE, with a key of yours that opens it";
            return Err(cause.detail(only.is_none().then_some(later)).detail([own]));
        }
        let rotation = match (only, known.rotation()) {
            (None, rotation) => rotation,
            (Some(_), rotation) => match known.stored.filter(|_| stored.private == held) {
                Some(key) => {
                    let (Rotation::Begin { mut gone } | Rotation::Finish { mut gone, .. }) = rotation;
                    gone.retain(|old| *old != key);
                    Rotation::Finish { key, gone }
                }
                None => {
                    return Err(Cause::refused("the Secret does not hold the stored key: a rotation has not ended")
                        .next("k8s-upgrade rotate-key          # finishes it"));
                }
            },
        };
        let excluded = others.into_iter().filter(|_| only.is_none()).map(|node| node.name).collect();
        Ok(Survey { store, stored, nodes: open, rotation, excluded })
    }

    /// The first of these logins that the node accepts, and its keys.
    async fn opens(&self, node: &Node, logins: &[Login], of: &[Public]) -> Result<(Login, KeysThere), Cause> {
        let user = self.settings.ssh_user.clone();
        let look = LookAtKeys { user, of: of.iter().map(|key| key.base64.clone()).collect() };
        let mut refused = Cause::refused("there is no key to log in with");
        for login in logins {
            match self.on_node_as(node, login, &look).await {
                Ok(there) => return Ok((login.clone(), there)),
                Err(cause) if cause.class == Class::Refused => refused = cause,
                Err(cause) => return Err(cause),
            }
        }
        Err(refused)
    }

    /// All of it, from the survey on; what became of each node is told in any case.
    pub async fn rotate(&self, survey: &Survey, only: bool) -> (Vec<NodeDone>, Result<(), Cut>) {
        let mut done: Vec<NodeDone> = survey
            .nodes
            .iter()
            .map(|open| NodeDone { node: open.node.name.clone(), keys: open.there.keys, ..NodeDone::default() })
            .collect();
        let ended = self.rotate_telling(survey, only, &mut done).await;
        (done, ended)
    }

    async fn rotate_telling(&self, survey: &Survey, only: bool, done: &mut [NodeDone]) -> Result<(), Cut> {
        let (private, public, gone) = match &survey.rotation {
            Rotation::Begin { gone } => {
                let seed = self.world.random.secret().map_err(|error| Cause::step(format!("no key can be made: {error}")));
                let pair = seed.and_then(|seed| Pair::from_seed(&seed)).map_err(cut(Left::TakenOff))?;
                self.note(PLACE, format!("the new key is {}", pair.public.fingerprint()));
                if let Err(cause) = self.spread(survey, &pair.private, &pair.public, gone, done).await {
                    return Err(Cut { cause: self.take_off(survey, &pair.public, done, cause).await, left: Left::TakenOff });
                }
                self.store_or_take_off(survey, &pair, gone, done).await?;
                (pair.private, pair.public, gone)
            }
            Rotation::Finish { key, gone } => {
                let private = survey.stored.private.clone().unwrap_or_default();
                let left = if only { Left::Node } else { Left::Stored };
                self.spread(survey, &private, key, gone, done).await.map_err(cut(left))?;
                (private, key.clone(), gone)
            }
        };
        if !only {
            self.sync(&survey.store, &private).await.map_err(cut(Left::Stored))?;
        }
        let left = if only { Left::Node } else { Left::Held };
        self.retire(survey, &private, &public, gone, done).await.map_err(cut(left))
    }

    /// Puts the key on every node and logs in with it.
    async fn spread(
        &self,
        survey: &Survey,
        private: &str,
        public: &Public,
        gone: &[Public],
        done: &mut [NodeDone],
    ) -> Result<(), Cause> {
        for (open, done) in survey.nodes.iter().zip(done) {
            let add = AddKey {
                user: self.settings.ssh_user.clone(),
                kind: public.kind.clone(),
                key: public.base64.clone(),
                replaces: gone.iter().map(|key| key.base64.clone()).collect(),
            };
            let name = &open.node.name;
            let change = Change::prepare(name, "add the new key", AddKey::DEADLINE + CONNECT);
            (done.added, done.keys) =
                self.change(change, self.on_node_as(&open.node, &open.login, &add)).await.map_err(|c| c.during(name))?;
            self.opens(&open.node, &[Login::Key(private.into())], &[])
                .await
                .map_err(|cause| cause.during(format!("{name}: logging in with the new key")))?;
        }
        Ok(())
    }

    /// Takes off again what was added; a node that is not reached is named.
    async fn take_off(&self, survey: &Survey, key: &Public, done: &mut [NodeDone], mut cause: Cause) -> Cause {
        for (open, done) in survey.nodes.iter().zip(done) {
            let remove =
                RemoveKeys { user: self.settings.ssh_user.clone(), keep: None, strays: false, gone: vec![key.base64.clone()] };
            match self.remove(&open.node, &open.login, "take the new key off again", &remove).await {
                Ok((_, keys)) => (done.added, done.keys) = (false, keys),
                Err(left) => cause.detail.push(format!(
                    "{}: the new key may still stand there, whose private half is gone for good; the next rotation removes it ({})",
                    open.node.name, left.what
                )),
            }
        }
        cause
    }

    async fn remove(&self, node: &Node, login: &Login, step: &str, remove: &RemoveKeys) -> Result<(u32, u32), Cause> {
        let change = Change::settle(&node.name, step, RemoveKeys::DEADLINE + CONNECT);
        self.change(change, self.on_node_as(node, login, remove)).await
    }

    async fn store_or_take_off(&self, survey: &Survey, pair: &Pair, gone: &[Public], done: &mut [NodeDone]) -> Result<(), Cut> {
        let (mut begun, mut certain) = (false, false);
        let write = async {
            begun = true;
            match self.store_pair(&survey.store, &survey.stored, pair, gone).await {
                Written::Yes => Ok(()),
                Written::No(cause) => {
                    certain = true;
                    Err(cause)
                }
                Written::Unknown(cause) => Err(cause),
            }
        };
        let Err(cause) = self.change(Change::prepare(PLACE, "store the new key", STORE), write).await else { return Ok(()) };
        if begun && !certain {
            return Err(Cut { cause, left: Left::Unknown });
        }
        Err(Cut { cause: self.take_off(survey, &pair.public, done, cause).await, left: Left::TakenOff })
    }

    /// Lets External Secrets read Vault now, and waits until the Secret holds the private key.
    async fn sync(&self, store: &KeyStore, private: &str) -> Result<(), Cause> {
        if matches!(store, KeyStore::Vault(_)) {
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret"));
            let api: Api<DynamicObject> = Api::namespaced_with(self.kube.clone(), &self.namespace, &kind);
            let body = json!({ "metadata": { "annotations": { names::FORCE_SYNC: self.now().as_second().to_string() } } });
            let patch = self.api_opt("let External Secrets read Vault", async || {
                api.patch(names::CREDS_SECRET, &PatchParams::default(), &Patch::Merge(&body)).await
            });
            if self.change(Change::settle(PLACE, "let External Secrets read Vault", RECORD), patch).await?.is_none() {
                self.warn(
                    PLACE,
                    format!(
                        "there is no ExternalSecret {}: something else must bring the key into the Secret",
                        names::CREDS_SECRET
                    ),
                );
            }
        }
        let wait = Wait {
            place: PLACE,
            on: "the Secret to hold the new private key",
            deadline: self.settings.sync_deadline,
            every: Duration::from_secs(5),
            stoppable: true,
        };
        let held = self.wait_or_hold(wait, async || match self.held_key().await?.0 {
            Some(held) if held.trim() == private.trim() => Ok(Probe::Ready(())),
            _ => Ok(Probe::Not(format!("{}/{} holds another one", self.namespace, names::CREDS_SECRET))),
        });
        let describe = format!("kubectl -n {} describe externalsecret {}", self.namespace, names::CREDS_SECRET);
        held.await.map_err(|cause| if cause.class == Class::Hold { cause.next(describe) } else { cause })
    }

    /// Logs in with the new key on every node, then removes what it replaced. A node that has gone away meanwhile is left for later; where
    /// the key is refused, nothing is removed anywhere.
    async fn retire(
        &self,
        survey: &Survey,
        private: &str,
        public: &Public,
        gone: &[Public],
        done: &mut [NodeDone],
    ) -> Result<(), Cause> {
        let login = Login::Key(private.into());
        let (mut away, mut refused) = (Vec::new(), Vec::new());
        for open in &survey.nodes {
            match self.opens(&open.node, std::slice::from_ref(&login), &[]).await {
                Err(cause) if cause.class == Class::Unreachable => away.push((open.node.name.clone(), cause)),
                Err(cause) => refused.push((open.node.name.clone(), cause)),
                Ok(_) => {}
            }
        }
        if let Some(cause) = Cause::together("nodes do not let the new key in: the former one was removed nowhere", refused) {
            return Err(cause);
        }
        // A run may have begun meanwhile, with the former key.
        self.nobody_upgrades().await?;
        let user = self.settings.ssh_user.clone();
        let gone = gone.iter().map(|key| key.base64.clone()).collect();
        let remove = RemoveKeys { user, keep: Some(public.base64.clone()), strays: true, gone };
        for (open, done) in survey.nodes.iter().zip(done) {
            let name = &open.node.name;
            if away.iter().any(|(node, _)| node == name) {
                continue;
            }
            match self.remove(&open.node, &login, "remove the former key", &remove).await {
                Ok((removed, keys)) => (done.removed, done.keys) = (removed, keys),
                Err(cause) => away.push((name.clone(), cause)),
            }
        }
        let later: Vec<String> =
            away.iter().map(|(node, _)| format!("k8s-upgrade rotate-key --only {node}      # once it answers")).collect();
        match Cause::together("nodes still accept the former key", away) {
            Some(mut cause) => {
                cause.next = later;
                Err(cause)
            }
            None => Ok(()),
        }
    }
}

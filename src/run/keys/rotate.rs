//! `rotate-key`: a new key on every node, in the store and in the Secret; then the old one goes. At every moment the key that the cluster
//! holds opens every node: the new one is stored only where it has logged in everywhere, and the old one goes only once the Secret holds
//! the new one. What the new key replaces is stored beside it in the same write, so that a rotation that was cut can be finished.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names;
use crate::node::RemoveKeys;
use crate::plan::trust::keys::{Left, Pair, Public, Rotation};
use crate::run::cluster::Cluster;
use crate::run::keys::keystore::Written;
use crate::run::keys::turn::{Interrupted, PLACE, Turn, interrupted};
use crate::run::services::Services;
use crate::run::session::{Change, Probe, RECORD, Session, Wait};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::command;

pub use super::keystore::KeyStore;
pub use super::survey::{Open, Survey};

/// Storing is tried again within this.
const STORE: Duration = Duration::from_secs(120);

/// All of it, from the survey on. What becomes of each node stands in the survey, also where it ends early.
pub async fn rotate(services: &Services, survey: &mut Survey, only: bool) -> Result<(), Interrupted> {
    let turn = match survey.rotation.clone() {
        Rotation::Begin { gone } => begin_rotation(services, survey, gone).await?,
        Rotation::Finish { key, gone } => {
            let pair = Pair { private: survey.stored.private.clone().unwrap_or_default(), public: key };
            let (turn, left) = (Turn { pair, gone }, if only { Left::Node } else { Left::Kept });
            super::turn::spread(&services.session, &services.ssh, &services.settings, &mut survey.nodes, &turn)
                .await
                .map_err(interrupted(left))?;
            turn
        }
    };
    if !only && guard::on(Guard::KeyInSecret) {
        sync(&services.session, &services.cluster, &services.settings, &survey.store, &turn.pair.private)
            .await
            .map_err(interrupted(Left::Stored))?;
    }
    let ended = super::remove_former::remove_former(services, survey, &turn, only).await;
    ended.map_err(|cut| if only { Interrupted { left: Left::Node, ..cut } } else { cut })
}

/// Makes a key, brings it to every node and stores it; what cannot be stored is taken off again.
async fn begin_rotation(services: &Services, survey: &mut Survey, gone: Vec<Public>) -> Result<Turn, Interrupted> {
    let seed = services.world.random.secret().map_err(|error| Cause::step(format!("no key can be made: {error}")));
    let pair = seed.and_then(|seed| Pair::from_seed(&seed)).map_err(interrupted(Left::TakenOff))?;
    let turn = Turn { pair, gone };
    services.session.note(PLACE, format!("the new key is {}", turn.pair.public.fingerprint()));
    if let Err(cause) = super::turn::spread(&services.session, &services.ssh, &services.settings, &mut survey.nodes, &turn).await
    {
        return Err(Interrupted {
            cause: take_off(&services.session, &services.ssh, &services.settings, &mut survey.nodes, &turn, cause).await,
            left: Left::TakenOff,
        });
    }
    store_or_take_off(&services.session, &services.cluster, &services.ssh, &services.settings, survey, &turn).await?;
    Ok(turn)
}

/// Takes off again what was added; a node that is not reached is named.
async fn take_off(session: &Session, ssh: &Ssh, settings: &Settings, nodes: &mut [Open], turn: &Turn, mut cause: Cause) -> Cause {
    let gone = vec![turn.pair.public.base64.clone()];
    let keys = RemoveKeys { user: settings.ssh_user.clone(), keep: None, strays: false, gone };
    for open in nodes {
        match super::turn::remove(session, ssh, open, &open.login, "take the new key off again", &keys).await {
            Ok((_, keys)) => (open.done.added, open.done.keys) = (false, keys),
            Err(left) => cause.detail.push(format!(
                "{}: the new key may still stand there, whose private half is gone for good; the next rotation removes it ({})",
                open.node.name, left.what
            )),
        }
    }
    cause
}

async fn store_or_take_off(
    session: &Session,
    cluster: &Cluster,
    ssh: &Ssh,
    settings: &Settings,
    survey: &mut Survey,
    turn: &Turn,
) -> Result<(), Interrupted> {
    let (mut begun, mut certain) = (false, false);
    let write = async {
        begun = true;
        match super::keystore::store_pair(session, cluster, &survey.store, &survey.stored, &turn.pair, &turn.gone).await {
            Written::Yes => Ok(()),
            Written::No(cause) => {
                certain = true;
                Err(cause)
            }
            Written::Unknown(cause) => Err(cause),
        }
    };
    let Err(cause) = session.change(Change::prepare(PLACE, "store the new key", STORE), write).await else {
        return Ok(());
    };
    if begun && !certain {
        return Err(Interrupted { cause, left: Left::Unknown });
    }
    Err(Interrupted { cause: take_off(session, ssh, settings, &mut survey.nodes, turn, cause).await, left: Left::TakenOff })
}

/// Lets External Secrets read Vault now, and waits until the Secret holds the private key.
async fn sync(session: &Session, cluster: &Cluster, settings: &Settings, store: &KeyStore, private: &str) -> Result<(), Cause> {
    if matches!(store, KeyStore::Vault(_)) {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret"));
        let api: Api<DynamicObject> = Api::namespaced_with(cluster.kube.clone(), &cluster.namespace, &kind);
        let body = json!({ "metadata": { "annotations": { names::FORCE_SYNC: session.now().as_second().to_string() } } });
        let patch = cluster.find("let External Secrets read Vault", async || {
            api.patch(names::CREDS_SECRET, &PatchParams::default(), &Patch::Merge(&body)).await
        });
        if session.change(Change::settle(PLACE, "let External Secrets read Vault", RECORD), patch).await?.is_none() {
            session.warn(
                PLACE,
                format!("there is no ExternalSecret {}: something else must bring the key into the Secret", names::CREDS_SECRET),
            );
        }
    }
    let wait = Wait {
        place: PLACE,
        on: "the Secret to hold the new private key",
        deadline: settings.sync_deadline,
        every: Duration::from_secs(5),
        stoppable: true,
    };
    let held = session.wait_or_hold(wait, async || match super::keystore::holds_another(cluster, private).await? {
        None => Ok(Probe::Ready(())),
        Some(other) => Ok(Probe::Not(other.to_string())),
    });
    let look = match store {
        KeyStore::Vault(_) => {
            command!("kubectl -n {} describe externalsecret {}", cluster.namespace, names::CREDS_SECRET)
        }
        KeyStore::Secret => super::keystore::who_writes(cluster),
    };
    held.await.map_err(|cause| if cause.class == Class::Hold { cause.next(look) } else { cause })
}

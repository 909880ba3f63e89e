//! Where the installation's SSH key is stored: Vault's KV v2 where the settings name one, else the Secret itself. Each is written under the
//! version that was read, and what a write came to is never guessed.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, Patch, PatchParams};
use kube::{Error, ResourceExt};
use serde_json::{Map, Value, json};

use crate::clients::Vault;
use crate::clients::vault::{StoredSecret, Wrote};
use crate::failure::{Cause, Class};
use crate::names;
use crate::plan::trust::keys::{Pair, Public, brings_back, same};
use crate::run::cluster::Cluster;
use crate::run::session::Session;
use crate::settings::Settings;
use crate::words::command;
use crate::world::{SECRET_FILE, World};

const ASK: Duration = Duration::from_secs(15);
/// A write to Vault whose end is not known is made again, under the same version: this often.
const TRIES: usize = 5;

/// Where the key is kept for good; the cluster's Secret follows it.
pub enum KeyStore {
    Vault(Vault),
    Secret,
}

/// What the store holds. It has no Debug.
pub struct Stored {
    at: At,
    pub private: Option<String>,
    /// The keys that it replaced, as long as some node may accept them.
    pub former: Vec<Public>,
}

impl Stored {
    /// That private key is the one.
    pub fn is(&self, private: &str) -> bool {
        self.private.as_deref().is_some_and(|stored| same(stored, private))
    }
}

/// What the Secret holds where another key was looked for.
pub struct Other {
    place: String,
    /// None: none, or one that cannot be read.
    pub key: Option<Public>,
    /// Who wrote it last, as the API server knows it.
    by: Option<String>,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map_or_else(|| "no key that can be read".to_owned(), Public::fingerprint);
        write!(f, "{} holds {key}", self.place)?;
        self.by.as_ref().map_or(Ok(()), |by| write!(f, ", written last by {by}"))
    }
}

/// The version that was read.
enum At {
    Vault(StoredSecret),
    Secret(String),
}

/// How a write ended.
pub enum Written {
    Yes,
    /// It has had no effect, and will have none.
    No(Cause),
    /// It may have had its effect, or may have it yet.
    Unknown(Cause),
}

fn field(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok().filter(|text| !text.trim().is_empty())
}

/// Who wrote the private key last.
fn writer(secret: &Secret) -> Option<String> {
    let wrote = |entry: &&ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(|fields| !fields.0["f:data"][format!("f:{}", names::SECRET_SSH_KEY)].is_null())
    };
    secret.managed_fields().iter().filter(wrote).max_by_key(|entry| entry.time.clone())?.manager.clone()
}

fn stored(at: At, field: impl Fn(&str) -> Option<String>) -> Stored {
    let former = field(names::SECRET_FORMER).map(|text| text.lines().filter_map(Public::parse).collect());
    Stored { at, private: field(names::SECRET_SSH_KEY), former: former.unwrap_or_default() }
}

/// As the settings say.
///
/// # Errors
/// Usage: there is no token for Vault, or its address will not do.
pub fn key_store(settings: &Settings, world: &World) -> Result<KeyStore, Cause> {
    let Some(address) = &settings.vault_address else { return Ok(KeyStore::Secret) };
    let file = &settings.vault_token_file;
    let token = world.files.read(file, SECRET_FILE).map_err(|error| {
        Cause::usage(format!("cannot read the Vault token in {}: {error}", file.display())).next("vault login")
    })?;
    let token = String::from_utf8(token).map_err(|_| Cause::usage(format!("{} holds no token", file.display())))?;
    let web = world.web.clone();
    Vault::new(address.as_str(), &settings.vault_mount, &settings.vault_path, &token, web).map(KeyStore::Vault)
}

/// For people.
pub fn place_of(cluster: &Cluster, store: &KeyStore) -> String {
    match store {
        KeyStore::Vault(vault) => vault.place(),
        KeyStore::Secret => format!("the Secret {}/{}", cluster.namespace, names::CREDS_SECRET),
    }
}

fn secrets(cluster: &Cluster) -> Api<Secret> {
    cluster.own()
}

async fn creds_secret(cluster: &Cluster) -> Result<Secret, Cause> {
    let api = secrets(cluster);
    let found = cluster.find("read the Secret with the SSH key", async || api.get(names::CREDS_SECRET).await).await?;
    found.ok_or_else(|| {
        Cause::refused(format!("the Secret {}/{} does not exist", cluster.namespace, names::CREDS_SECRET))
            .next("k8s-upgrade manifests --image REF --ssh-key FILE | kubectl apply -f -")
    })
}

/// The private key that the cluster's Jobs are given, and the public half that stands beside it.
pub async fn held_key(cluster: &Cluster) -> Result<(Option<String>, Option<Public>), Cause> {
    let secret = creds_secret(cluster).await?;
    let beside = field(&secret, names::SECRET_SSH_KEY_PUB).as_deref().and_then(Public::parse);
    Ok((field(&secret, names::SECRET_SSH_KEY), beside))
}

/// None: the Secret holds that key.
pub async fn holds_another(cluster: &Cluster, private: &str) -> Result<Option<Other>, Cause> {
    let secret = creds_secret(cluster).await?;
    let key = field(&secret, names::SECRET_SSH_KEY);
    if key.as_deref().is_some_and(|held| same(held, private)) {
        return Ok(None);
    }
    let key = key.as_deref().and_then(Public::of);
    Ok(Some(Other { place: place_of(cluster, &KeyStore::Secret), key, by: writer(&secret) }))
}

/// What is written into the Secret must not be undone by those who wrote it before.
fn lasts(cluster: &Cluster, secret: &Secret) -> Result<(), Cause> {
    let Some((by, what)) = writer(secret).and_then(|by| Some((by.clone(), brings_back(&by)?))) else { return Ok(()) };
    let place = place_of(cluster, &KeyStore::Secret);
    let forget = command!(
        "kubectl -n {} patch secret {} --type merge -p {}      # only once {} leaves them alone: forgets who wrote them",
        cluster.namespace,
        names::CREDS_SECRET,
        r#"{"metadata":{"managedFields":[{}]}}"#,
        what
    );
    Err(Cause::refused(format!("{place} has its key from {what} ({by}): what is written into it does not last"))
        .detail([format!("let {what} leave ssh_key and ssh_key_pub alone, or bring a new key by {what}")])
        .next(who_writes(cluster))
        .next(forget))
}

/// The command that shows it.
pub fn who_writes(cluster: &Cluster) -> String {
    command!("kubectl -n {} get secret {} -o yaml --show-managed-fields", cluster.namespace, names::CREDS_SECRET)
}

/// The key in the store, with what a later write is compared to.
///
/// # Errors
/// Refused: there is no such Secret, or somebody else keeps it; else whatever reading the store gives.
pub async fn stored_key(cluster: &Cluster, store: &KeyStore) -> Result<Stored, Cause> {
    match store {
        KeyStore::Vault(vault) => {
            let kept = vault.read(ASK).await?;
            let data = kept.data.clone().unwrap_or_default();
            Ok(stored(At::Vault(kept), |key| data.get(key).cloned()))
        }
        KeyStore::Secret => {
            let secret = creds_secret(cluster).await?;
            if let Some(owner) = secret.owner_references().first() {
                return Err(Cause::refused(format!(
                    "{} is kept by {} {}: what is written into it does not last",
                    place_of(cluster, store),
                    owner.kind,
                    owner.name
                ))
                .next("k8s-upgrade --set vault-address=https://… rotate-key      # where the key is stored indeed"));
            }
            lasts(cluster, &secret)?;
            Ok(stored(At::Secret(secret.resource_version().unwrap_or_default()), |key| field(&secret, key)))
        }
    }
}

/// Whether it can be written, asked without writing.
pub async fn probe_store(cluster: &Cluster, store: &KeyStore, stored: &Stored) -> Result<(), Cause> {
    match (store, &stored.at) {
        (KeyStore::Vault(vault), At::Vault(kept)) => vault.may_write(kept, ASK).await,
        (_, At::Secret(version)) => {
            let api = secrets(cluster);
            let body = json!({ "metadata": { "resourceVersion": version } });
            let dry = PatchParams { dry_run: true, ..PatchParams::default() };
            let probe = async || api.patch(names::CREDS_SECRET, &dry, &Patch::Merge(&body)).await;
            cluster.call("ask whether the Secret can be written", probe).await.map(drop)
        }
        (KeyStore::Secret, At::Vault(_)) => Err(Cause::bug("a version of Vault's for the Secret")),
    }
}

/// Stores a new pair, and beside it, in the same write, what it replaces.
pub async fn store_pair(
    session: &Session,
    cluster: &Cluster,
    store: &KeyStore,
    before: &Stored,
    pair: &Pair,
    former: &[Public],
) -> Written {
    let fields = [
        (names::SECRET_SSH_KEY, pair.private.clone()),
        (names::SECRET_SSH_KEY_PUB, format!("{}\n", pair.public.line())),
        (names::SECRET_FORMER, former.iter().map(|key| format!("{} {}\n", key.kind, key.base64)).collect()),
    ];
    let cause = match (store, &before.at) {
        (KeyStore::Vault(vault), At::Vault(kept)) => write_vault(session, vault, kept, &fields).await,
        (_, At::Secret(version)) => write_secret(cluster, version, &fields).await,
        (KeyStore::Secret, At::Vault(_)) => Err((Cause::bug("a version of Vault's for the Secret"), true)),
    };
    let Err((cause, definite)) = cause else { return Written::Yes };
    // A refusal may be the answer to a second try of what the first has done.
    match stored_key(cluster, store).await {
        Ok(now) if now.is(&pair.private) => Written::Yes,
        // The version has moved on, and not by us: our write can never come.
        Ok(_) if cause.class == Class::Contended => Written::No(cause),
        _ if definite => Written::No(cause),
        Ok(_) | Err(_) => Written::Unknown(cause),
    }
}

/// The error: why, and whether it is certain that nothing was written and nothing will be.
async fn write_secret(cluster: &Cluster, version: &str, fields: &[(&str, String)]) -> Result<(), (Cause, bool)> {
    let api = secrets(cluster);
    let data: Map<String, Value> =
        fields.iter().map(|(key, text)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(text)))).collect();
    let body = json!({ "metadata": { "resourceVersion": version }, "data": data });
    let mut tries = 0;
    let patch = async || {
        tries += 1;
        match api.patch(names::CREDS_SECRET, &PatchParams::default(), &Patch::Merge(&body)).await {
            Ok(_) => Ok(true),
            Err(Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    };
    let wrote = cluster.call("store the key in the Secret", patch).await;
    match wrote {
        Ok(true) => Ok(()),
        Ok(false) => Err((Cause::contended("somebody else has changed the Secret meanwhile"), false)),
        Err(cause) => {
            let definite = tries == 1 && cause.class != Class::Unreachable;
            Err((cause, definite))
        }
    }
}

async fn write_vault(
    session: &Session,
    vault: &Vault,
    kept: &StoredSecret,
    fields: &[(&str, String)],
) -> Result<(), (Cause, bool)> {
    let fields: Map<String, Value> = fields.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    let fields = Value::Object(fields);
    let mut tries = 0;
    loop {
        tries += 1;
        match vault.write(kept, &fields, ASK).await {
            Ok(Wrote::Version(_)) => return Ok(()),
            Ok(Wrote::Stale) => return Err((Cause::contended("somebody else has written to Vault meanwhile"), false)),
            // A refusal after a try whose end is unknown says nothing of that try.
            Err(refusal) if refusal.definite || tries == TRIES => {
                return Err((refusal.cause, refusal.definite && tries == 1));
            }
            Err(_) => session.sleep(Duration::from_secs(3), false).await,
        }
    }
}

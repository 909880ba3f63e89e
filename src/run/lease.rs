//! One runner per node: a Lease that fences.
//!
//! Expiry is judged by our own monotonic clock since we last saw `renewTime` change, so that no two machines' clocks are compared.
//! It is renewed by compare-and-swap before each change; a lost one refuses further changes (exit 6).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::time::Instant;

use super::ctx::{Change, Ctx, RECORD};
use super::wait::{Probe, Wait, Waited};
use crate::failure::{Cause, Class};
use crate::names;
use crate::permit::{ChangeClass, Permit};
use crate::report::span;

/// A Lease that we hold.
#[derive(Clone, Debug)]
pub struct NodeLease {
    name: String,
    node: String,
    version: String,
    renewed: Instant,
}

/// Two nodes never share a Lease name: it is the node's name behind a prefix, and both are DNS names.
fn lease_name(node: &str) -> String {
    format!("{}-{node}", names::LEASE_PREFIX)
}

impl Ctx {
    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    fn lease_spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(self.settings.lease_duration.as_secs()).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(self.now())),
            acquire_time: Some(MicroTime(self.now())),
            ..LeaseSpec::default()
        }
    }

    /// Who holds a node's Lease, and when they renewed it.
    pub async fn lease_of(&self, node: &str) -> Result<Option<(String, Timestamp)>, Cause> {
        let api = self.leases();
        let found = self.api_opt("read the node's Lease", async || api.get(&lease_name(node)).await).await?;
        let spec = found.and_then(|lease| lease.spec);
        Ok(spec.and_then(|spec| Some((spec.holder_identity?, spec.renew_time?.0))))
    }

    /// Works on a node under its Lease, and gives it back whatever becomes of the work.
    pub(super) async fn holding<T>(&self, node: &str, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        self.acquire(node).await?;
        let worked = work.await;
        // A Lease that cannot be given back expires by itself: what the work said matters more.
        if let Err(cause) = self.release().await {
            self.warn(node, format!("the node's Lease is left to expire: {}", cause.what));
        }
        worked
    }

    /// Takes the node's Lease, waiting until another holder's has expired.
    pub async fn acquire(&self, node: &str) -> Result<(), Cause> {
        self.acquire_for(node, ChangeClass::Prepare).await
    }

    pub(super) async fn acquire_for(&self, node: &str, class: ChangeClass) -> Result<(), Cause> {
        let name = lease_name(node);
        let patience = self.settings.lease_duration * 2;
        let mut seen: Option<(Option<MicroTime>, Instant)> = None;
        let change = Change { class, ..Change::prepare(node, "take the node's Lease", patience).silent() };
        let wait =
            Wait { place: node, on: "the node's Lease", deadline: patience, every: Duration::from_secs(2), stoppable: true };
        let lease = self
            .change(change, async {
                match self.wait_or_not(wait, async || self.try_acquire(&name, node, &mut seen).await).await? {
                    Waited::Ready(lease) => Ok(lease),
                    Waited::Late(holder) => {
                        Err(Cause::contended(format!("waited {} for the node's Lease: {holder}", span(patience))))
                    }
                }
            })
            .await?;
        *self.lease.lock().await = Some(lease);
        Ok(())
    }

    async fn try_acquire(
        &self,
        name: &str,
        node: &str,
        seen: &mut Option<(Option<MicroTime>, Instant)>,
    ) -> Result<Probe<NodeLease>, Cause> {
        let api = self.leases();
        let Some(found) = self.api_opt("read the node's Lease", async || api.get(name).await).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
                spec: Some(self.lease_spec()),
            };
            return match self.api("create the node's Lease", async || api.create(&PostParams::default(), &lease).await).await {
                Ok(made) => Ok(Probe::Ready(self.held(name, node, &made))),
                Err(cause) if cause.class == Class::Contended => Ok(Probe::Not("somebody else just took it".into())),
                Err(cause) => Err(cause),
            };
        };
        let spec = found.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let now = Instant::now();
        match seen {
            Some((renewed, _)) if *renewed == spec.renew_time => {}
            _ => *seen = Some((spec.renew_time.clone(), now)),
        }
        let quiet = seen.as_ref().map_or(Duration::ZERO, |(_, since)| now - *since);
        let theirs = Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0));
        if holder != self.identity.holder && !holder.is_empty() && quiet < theirs {
            return Ok(Probe::Not(format!("held by {holder}, renewed within the last {}s", theirs.as_secs())));
        }
        match self.swap(name, found.metadata.resource_version.unwrap_or_default()).await {
            Ok(lease) => Ok(Probe::Ready(self.held(name, node, &lease))),
            Err(cause) if cause.class == Class::Contended => Ok(Probe::Not("somebody else just took it".into())),
            Err(cause) => Err(cause),
        }
    }

    fn held(&self, name: &str, node: &str, lease: &Lease) -> NodeLease {
        NodeLease {
            name: name.into(),
            node: node.into(),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            renewed: Instant::now(),
        }
    }

    /// Writes ourselves as the holder, if nobody wrote since `version`.
    async fn swap(&self, name: &str, version: String) -> Result<Lease, Cause> {
        let api = self.leases();
        let body = json!({ "metadata": { "resourceVersion": version }, "spec": self.lease_spec() });
        let patch = Patch::Merge(&body);
        let swapped =
            self.api_opt("renew the node's Lease", async || api.patch(name, &PatchParams::default(), &patch).await).await?;
        swapped.ok_or_else(|| Cause::contended("renew the node's Lease: another runner took it, and has given it back"))
    }

    /// Renews the Lease that we hold, if any, unless it was renewed a moment ago. A lost Lease is an error from then on.
    pub async fn keep_lease(&self) -> Result<(), Cause> {
        let mut slot = self.lease.lock().await;
        let Some(held) = slot.as_mut() else { return Ok(()) };
        if held.renewed.elapsed() < self.settings.lease_duration / 6 {
            return Ok(());
        }
        let permit = Permit { class: ChangeClass::Prepare, step: "renew the node's Lease".into() };
        let name = held.name.clone();
        let swapped = permit.scope(self.swap(&name, held.version.clone())).await;
        let lease = match swapped {
            // Our own write may have been taken though its answer was lost: then the holder is still us.
            Err(cause) if cause.class == Class::Contended => self.still_ours(&name, &held.node, cause).await?,
            other => other?,
        };
        *held = self.held(&name, &held.node, &lease);
        Ok(())
    }

    async fn still_ours(&self, name: &str, node: &str, cause: Cause) -> Result<Lease, Cause> {
        let api = self.leases();
        let found = self.api_opt("read the node's Lease", async || api.get(name).await).await?;
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        match found {
            Some(lease) if holder(&lease).as_deref() == Some(&self.identity.holder) => Ok(lease),
            other => {
                let by = other.as_ref().and_then(holder).unwrap_or_else(|| "nobody".into());
                Err(Cause::contended(format!("the Lease of {node} was lost: it is now held by {by}")).detail([cause.what]))
            }
        }
    }

    /// Removes the Lease that a killed runner has left, once it has surely expired; one that is in use stays its holder's.
    pub async fn expire(&self, node: &str) -> Result<(), Cause> {
        let (api, name) = (self.leases(), lease_name(node));
        if self.api_opt("read the node's Lease", async || api.get(&name).await).await?.is_none() {
            return Ok(());
        }
        match self.acquire_for(node, ChangeClass::Settle).await {
            Ok(()) => self.release().await,
            Err(cause) if cause.class == Class::Contended => {
                self.warn(node, format!("its Lease stays: {}", cause.what));
                Ok(())
            }
            Err(cause) => Err(cause),
        }
    }

    /// Gives the node's Lease back. If it is no longer ours, there is nothing to give.
    pub async fn release(&self) -> Result<(), Cause> {
        let Some(held) = self.lease.lock().await.take() else { return Ok(()) };
        let api = self.leases();
        let ours = Preconditions { resource_version: Some(held.version), uid: None };
        let params = DeleteParams { preconditions: Some(ours), ..DeleteParams::default() };
        let change = Change::settle(&held.node, "give the node's Lease back", RECORD).silent();
        self.change(change, async {
            match self.api_opt("delete the node's Lease", async || api.delete(&held.name, &params).await).await {
                Ok(_) => Ok(()),
                Err(cause) if cause.class == Class::Contended => Ok(()),
                Err(cause) => Err(cause),
            }
        })
        .await
    }
}

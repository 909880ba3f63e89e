//! One runner per node: a Lease that fences. And one of the whole cluster, by which a person's process is seen as long as it works.
//!
//! Expiry is judged by our own monotonic clock since we first saw a `renewTime`, so that no two machines' clocks are compared.
//! It is renewed by compare-and-swap before each change; a lost one refuses further changes (exit 6).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::time::Instant;

use super::term::{LeaseName, driver, lasts};
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::permit::{ChangeClass, Permit};
use crate::plan::model::lease::Driver;
use crate::plan::model::marks::Edit;
use crate::report::{Follower, span};
use crate::run::cluster::Cluster;
use crate::run::session::{Change, Guardian, Occasion, Probe, RECORD, Session, Wait, Waited, locked};
use crate::settings::Settings;

/// By a Lease's name: its renewTime, and when this process first saw that.
pub type Sightings = BTreeMap<String, (Option<MicroTime>, Instant)>;

/// A Lease that we hold.
#[derive(Clone, Debug)]
pub struct Held {
    lease: LeaseName,
    version: String,
    renewed: Instant,
}

/// The Leases that this process holds, and what it has seen of others'.
pub struct Leases {
    pub(super) settings: Arc<Settings>,
    pub(super) session: Arc<Session>,
    pub(super) cluster: Arc<Cluster>,
    /// What the Lease of work by hand says of the work. None: a command that records no progress.
    follower: Option<Follower>,
    /// The one of the node that we are working on; renewed before each change.
    lease: tokio::sync::Mutex<Option<Held>>,
    /// The one by which others see that we work by hand.
    driving: tokio::sync::Mutex<Option<Held>>,
    /// What we have seen of Leases that others held.
    sightings: Mutex<Sightings>,
}

impl Guardian for Leases {
    fn at(&self, occasion: Occasion) -> LocalBoxFuture<'_, Result<(), Cause>> {
        Box::pin(async move {
            match occasion {
                Occasion::Keep(guard) if guard::on(guard) => self.keep_all().await,
                Occasion::Keep(_) | Occasion::SafePoint(_) | Occasion::StepBegins => Ok(()),
            }
        })
    }
}

impl Leases {
    /// Holds none yet. `follower`: what this process does, for who looks at its Lease.
    pub fn new(settings: Arc<Settings>, session: Arc<Session>, cluster: Arc<Cluster>, follower: Option<Follower>) -> Self {
        let (lease, driving, sightings) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default(), Mutex::default());
        Leases { settings, session, cluster, follower, lease, driving, sightings }
    }

    fn leases(&self) -> Api<Lease> {
        self.cluster.own()
    }

    /// What tells people who holds it, and what they do: of a node's, its holder's name and that one's Job do.
    fn lease_marks(&self, which: &LeaseName) -> Option<BTreeMap<String, String>> {
        if which.0.is_some() {
            return None;
        }
        let marks = [
            Edit::set(Mark::Driver, self.session.identity.driver.clone()),
            Edit::set_or_remove(Mark::Progress, self.progress_now()),
        ];
        let annotations = Edit::annotations(&marks, &self.settings.annotation_prefix);
        Some(annotations.into_iter().filter_map(|(key, text)| Some((key, text.as_str()?.to_owned()))).collect())
    }

    fn lease_spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.session.identity.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(self.settings.lease_duration.as_secs()).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(self.session.now())),
            acquire_time: Some(MicroTime(self.session.now())),
            ..LeaseSpec::default()
        }
    }

    /// As it is now; None: nobody holds it, or ever did.
    pub async fn read_lease(&self, which: &LeaseName) -> Result<Option<Lease>, Cause> {
        let api = self.leases();
        self.cluster.find(&format!("read {}", which.words()), async || api.get(&which.name()).await).await
    }

    /// Whether somebody holds a node's Lease, or did when they died.
    pub async fn has_lease(&self, node: &str) -> Result<bool, Cause> {
        Ok(self.read_lease(&LeaseName::node(node)).await?.is_some())
    }

    /// Works on a node under its Lease, and gives it back whatever becomes of the work.
    pub async fn holding<T>(
        &self,
        node: &str,
        class: ChangeClass,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        if !guard::on(Guard::LeaseTaken) {
            return work.await;
        }
        self.acquire_for(node, class).await?;
        let worked = work.await;
        // A Lease that cannot be given back expires by itself: what the work said matters more.
        if let Err(cause) = self.release().await {
            self.session.warn(node, format!("the node's Lease is left to expire: {}", cause.what));
        }
        worked
    }

    /// Whose process works by hand now, or did when it died.
    pub async fn driver(&self) -> Result<Option<Driver>, Cause> {
        let found = self.read_lease(&LeaseName(None)).await?;
        Ok(found.as_ref().and_then(|lease| driver(lease, &self.settings.annotation_prefix)))
    }

    /// Works while everybody can see that somebody does, and nobody else does so by hand. A process that dies is seen for as long as a
    /// Lease lasts.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> Result<T, Cause> {
        let held = self.take(LeaseName(None), ChangeClass::Prepare).await?;
        *self.driving.lock().await = Some(held);
        // A loss is told by the next change, which it refuses.
        let renewing = async {
            loop {
                self.session.sleep(self.settings.lease_duration / 3, false).await;
                if guard::on(Guard::LeaseByHandRenewed)
                    && let Err(cause) = self.keep(&self.driving).await
                {
                    self.session.warn("", cause.what);
                }
            }
        };
        let worked = tokio::select! {
            biased;
            worked = work => worked,
            () = renewing => return Err(Cause::bug("the Lease of work by hand is not renewed any more")),
        };
        let held = self.driving.lock().await.take();
        if let Err(cause) = self.give_back(held).await {
            self.session.warn("", format!("the Lease of work by hand is left to expire: {}", cause.what));
        }
        Ok(worked)
    }

    /// Takes the node's Lease, waiting until another holder's has expired.
    pub async fn acquire_for(&self, node: &str, class: ChangeClass) -> Result<(), Cause> {
        let lease = self.take(LeaseName::node(node), class).await?;
        *self.lease.lock().await = Some(lease);
        Ok(())
    }

    async fn take(&self, which: LeaseName, class: ChangeClass) -> Result<Held, Cause> {
        let patience = self.settings.lease_duration * 2;
        let (place, on) = (which.place(), which.words());
        let step = format!("take {on}");
        let change = Change { class, ..Change::prepare(place, &step, patience).silent() };
        // To finish what was begun, a halt is no hindrance.
        let stoppable = class != ChangeClass::Settle;
        let wait = Wait { place, on, deadline: patience, every: Duration::from_secs(2), stoppable };
        self.session
            .change(change, async {
                // Who waits has seen it: an API server that is away is waited for first.
                let mut first = Some(self.read_lease(&which).await?);
                let probe = async || match first.take() {
                    Some(found) => self.try_acquire(&which, found).await,
                    None => self.try_acquire(&which, self.read_lease(&which).await?).await,
                };
                match self.session.wait_or_not(wait, probe).await? {
                    Waited::Ready(lease) => Ok(lease),
                    Waited::Late(holder) => Err(Cause::contended(format!("waited {} for {on}: {holder}", span(patience)))),
                }
            })
            .await
    }

    async fn try_acquire(&self, which: &LeaseName, found: Option<Lease>) -> Result<Probe<Held>, Cause> {
        let api = self.leases();
        let Some(found) = found else {
            let metadata = ObjectMeta { name: Some(which.name()), annotations: self.lease_marks(which), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.lease_spec()) };
            let step = format!("create {}", which.words());
            return match self.cluster.call(&step, async || api.create(&PostParams::default(), &lease).await).await {
                Ok(made) => Ok(Probe::Ready(held(which, &made))),
                Err(cause) if cause.class == Class::Contended => Ok(Probe::Not("somebody else just took it".into())),
                Err(cause) => Err(cause),
            };
        };
        let spec = found.spec.clone().unwrap_or_default();
        let quiet = self.quiet(which, &spec);
        let theirs = lasts(&spec);
        let holder = spec.holder_identity.unwrap_or_default();
        let lives = quiet < theirs && guard::on(Guard::LeaseExpired);
        if holder != self.session.identity.holder && !holder.is_empty() && lives {
            let by = driver(&found, &self.settings.annotation_prefix).map_or(holder, |driver| driver.by);
            return Ok(Probe::Not(format!("held by {by}, renewed within the last {}s", theirs.as_secs())));
        }
        match self.swap(which, found.metadata.resource_version.unwrap_or_default()).await {
            Ok(lease) => Ok(Probe::Ready(held(which, &lease))),
            Err(cause) if cause.class == Class::Contended => Ok(Probe::Not("somebody else just took it".into())),
            Err(cause) => Err(cause),
        }
    }

    /// For how long this process has seen it unchanged.
    pub fn quiet(&self, which: &LeaseName, spec: &LeaseSpec) -> Duration {
        let mut sightings = locked(&self.sightings);
        let seen = sightings.entry(which.name()).or_insert_with(|| (spec.renew_time.clone(), Instant::now()));
        if seen.0 != spec.renew_time && guard::on(Guard::LeaseRenewalSeen) {
            *seen = (spec.renew_time.clone(), Instant::now());
        }
        seen.1.elapsed()
    }

    /// Writes ourselves as the holder, if nobody wrote since `version`.
    async fn swap(&self, which: &LeaseName, version: String) -> Result<Lease, Cause> {
        let api = self.leases();
        let version = Some(version).filter(|_| guard::on(Guard::LeaseVersion));
        let mut body = json!({ "metadata": { "resourceVersion": version }, "spec": self.lease_spec() });
        if let Some(marks) = self.lease_marks(which) {
            body["metadata"]["annotations"] = json!(marks);
        }
        let (patch, name, step) = (Patch::Merge(&body), which.name(), format!("renew {}", which.words()));
        let swapped = self.cluster.find(&step, async || api.patch(&name, &PatchParams::default(), &patch).await).await?;
        swapped.ok_or_else(|| Cause::contended(format!("{step}: another runner took it, and has given it back")))
    }

    /// Renews the Leases that we hold, unless that was done a moment ago. A lost one is an error from then on.
    async fn keep_all(&self) -> Result<(), Cause> {
        self.keep(&self.driving).await?;
        self.keep(&self.lease).await
    }

    /// What goes with each renewal of the Lease of work by hand.
    fn progress_now(&self) -> Option<String> {
        let record = |follower: &Follower| follower.record(&self.session.identity.holder, self.session.now(), false);
        self.follower.as_ref().map(record)
    }

    async fn keep(&self, slot: &tokio::sync::Mutex<Option<Held>>) -> Result<(), Cause> {
        self.renew(slot, self.settings.lease_duration / 6).await
    }

    /// The Lease of work by hand says what is done now, if it is ours.
    pub async fn renew_with_progress(&self, follower: &Follower) -> Result<(), Cause> {
        let renewed = match guard::on(Guard::LeaseByHandRenewed) {
            true => self.renew(&self.driving, Duration::ZERO).await,
            false => Ok(()),
        };
        // Also where nothing was written: a Lease that is taken later says what is done then.
        follower.take();
        renewed
    }

    /// Renews one that was not renewed for so long.
    async fn renew(&self, slot: &tokio::sync::Mutex<Option<Held>>, age: Duration) -> Result<(), Cause> {
        let mut slot = slot.lock().await;
        let Some(held) = slot.as_mut() else { return Ok(()) };
        if held.renewed.elapsed() < age {
            return Ok(());
        }
        let which = held.lease.clone();
        let permit = Permit { class: ChangeClass::Prepare, step: format!("renew {}", which.words()) };
        let swapped = permit.scope(self.swap(&which, held.version.clone())).await;
        let lease = match swapped {
            // Our own write may have been taken though its answer was lost: then the holder is still us.
            Err(cause) if cause.class == Class::Contended => self.still_ours(&which, cause).await?,
            other => other?,
        };
        *held = self::held(&which, &lease);
        Ok(())
    }

    async fn still_ours(&self, which: &LeaseName, cause: Cause) -> Result<Lease, Cause> {
        let found = self.read_lease(which).await?;
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        match found {
            Some(lease)
                if holder(&lease).as_deref() == Some(&self.session.identity.holder) || !guard::on(Guard::LeaseStillOurs) =>
            {
                Ok(lease)
            }
            other => {
                let by = other.as_ref().and_then(holder).unwrap_or_else(|| "nobody".into());
                let of = which.0.as_deref().unwrap_or("work by hand");
                Err(Cause::contended(format!("the Lease of {of} was lost: it is now held by {by}")).detail([cause.what]))
            }
        }
    }

    /// Removes the Lease that a killed runner has left, once it has surely expired; one that is in use stays its holder's.
    pub async fn expire(&self, node: &str) -> Result<(), Cause> {
        self.expire_lease(LeaseName::node(node)).await
    }

    /// The same for the Lease of work by hand.
    pub async fn expire_driver(&self) -> Result<(), Cause> {
        self.expire_lease(LeaseName(None)).await
    }

    async fn expire_lease(&self, which: LeaseName) -> Result<(), Cause> {
        if self.read_lease(&which).await?.is_none() {
            return Ok(());
        }
        match self.take(which.clone(), ChangeClass::Settle).await {
            Ok(held) => self.give_back(Some(held)).await,
            Err(cause) if cause.class == Class::Contended => {
                self.session.warn(which.place(), format!("{} stays: {}", which.words(), cause.what));
                Ok(())
            }
            Err(cause) => Err(cause),
        }
    }

    /// Gives the node's Lease back.
    pub async fn release(&self) -> Result<(), Cause> {
        let held = self.lease.lock().await.take();
        self.give_back(held).await
    }

    /// If it is no longer ours, there is nothing to give.
    async fn give_back(&self, held: Option<Held>) -> Result<(), Cause> {
        let Some(Held { lease: which, version, .. }) = held else { return Ok(()) };
        let api = self.leases();
        let version = Some(version).filter(|_| guard::on(Guard::LeaseGivenBackIfOurs));
        let ours = Preconditions { resource_version: version, uid: None };
        let params = DeleteParams { preconditions: Some(ours), ..DeleteParams::default() };
        let step = format!("give {} back", which.words());
        let change = Change::settle(which.place(), &step, RECORD).silent();
        self.session
            .change(change, async {
                let step = format!("delete {}", which.words());
                match self.cluster.find(&step, async || api.delete(&which.name(), &params).await).await {
                    Ok(_) => Ok(()),
                    Err(cause) if cause.class == Class::Contended => Ok(()),
                    Err(cause) => Err(cause),
                }
            })
            .await
    }
}

fn held(which: &LeaseName, lease: &Lease) -> Held {
    let version = lease.metadata.resource_version.clone().unwrap_or_default();
    Held { lease: which.clone(), version, renewed: Instant::now() }
}

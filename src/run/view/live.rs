//! What `status --watch` shows: the same as `input` gives it, kept up to date by watches. Nothing is listed twice as long as its watch lives.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease as KubeLease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::failure::Cause;
use crate::names;
use crate::plan::model::facts::Facts;
use crate::plan::view::screen::{ScreenInput, Stale};
use crate::run::cluster::Mirror;
use crate::run::cluster::job::is_suspended;
use crate::run::cluster::objects::{Objects, of_chain, of_control_plane};
use crate::run::guards::term::driver;
use crate::run::services::Services;
use crate::run::session::locked;
use crate::run::view::input::{Warnings, installed, lease, no_watch, off, warnings};

/// At most one screen in this time; and so often the times on it are told anew.
const REDRAW: Duration = Duration::from_secs(1);
/// Between two tries to list what a broken watch has left.
const AGAIN: Duration = Duration::from_secs(3);
/// A list that takes no longer than this is not worth a word.
const UNTOLD: Duration = Duration::from_secs(2);

/// A server that hangs ends no watch: so often it is asked for one small object, and has so long to answer.
const PULSE: Duration = Duration::from_secs(10);
const NO_PULSE: Duration = Duration::from_secs(5);

/// So many kinds of objects are mirrored.
const KINDS: usize = 7;

/// Whether whoever watches wants to see more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    Yes,
    No,
}

/// A kind of objects as its mirror has them, and since when and why they are old.
struct Shelf<K> {
    /// What they are, and the call that lists them.
    what: &'static str,
    call: &'static str,
    /// None until they were listed once.
    objects: Mutex<Option<Vec<Arc<K>>>>,
    stale: Mutex<Option<(Timestamp, String)>>,
}

impl<K> Shelf<K> {
    fn new(what: &'static str, call: &'static str) -> Self {
        Shelf { what, call, objects: Mutex::new(None), stale: Mutex::new(None) }
    }

    fn objects(&self) -> Option<Vec<Arc<K>>> {
        locked(&self.objects).clone()
    }

    fn put(&self, objects: Vec<Arc<K>>) {
        *locked(&self.objects) = Some(objects);
        *locked(&self.stale) = None;
    }

    /// They are old from the first doubt on; the last one says why.
    fn doubt(&self, now: Timestamp, why: &str) {
        let mut stale = locked(&self.stale);
        let since = stale.as_ref().map_or(now, |(since, _)| *since);
        *stale = Some((since, why.to_owned()));
    }
}

struct Live<'a> {
    services: &'a Services,
    nodes: Shelf<Node>,
    namespace: Shelf<Namespace>,
    jobs: Shelf<Job>,
    pods: Shelf<Pod>,
    control_plane: Shelf<Pod>,
    leases: Shelf<KubeLease>,
    cronjobs: Shelf<CronJob>,
    /// What is said of Jobs that wait for their pods too long.
    warnings: Mutex<Warnings>,
    /// Since when the API server does not answer.
    silent: Mutex<Option<Timestamp>>,
    changes: watch::Sender<()>,
}

/// Shows what is there now, and again whenever something has changed or a second has passed; until a signal comes, or `show` has had
/// enough. Fails only where not even a first look succeeds.
pub async fn live(services: &Services, mut show: impl FnMut(&ScreenInput, &[Stale]) -> Result<More, Cause>) -> Result<(), Cause> {
    let live = Live::new(services);
    let shown = async {
        let mut changes = live.changes.subscribe();
        let mut last = None;
        while services.session.signal().is_none() {
            let mut stale = live.stale(services.session.now());
            match live.seen() {
                None => {}
                Some(Ok(seen)) => last = Some((seen, services.session.now())),
                Some(Err(cause)) => {
                    let Some((_, since)) = &last else { return Err(cause) };
                    stale.push(Stale { what: vec!["everything".to_owned()], since: *since, why: cause.what });
                }
            }
            if let Some((seen, _)) = &last {
                if show(seen, &stale)? == More::No {
                    break;
                }
                services.session.sleep(REDRAW, true).await;
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = services.session.sleep(REDRAW, true) => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        biased;
        shown = shown => shown,
        kept = live.keep() => match kept? {},
        never = live.feel_pulse() => match never {},
        never = live.look_for_warnings() => match never {},
    }
}

impl<'a> Live<'a> {
    fn new(services: &'a Services) -> Self {
        Live {
            services,
            nodes: Shelf::new("nodes", "list nodes"),
            namespace: Shelf::new("the run's marks", "list the run's marks"),
            jobs: Shelf::new("the chain's Jobs", "list the chain's Jobs"),
            pods: Shelf::new("the chain's pods", "list the chain's pods"),
            control_plane: Shelf::new("control-plane pods", "list control-plane pods"),
            leases: Shelf::new("Leases", "list Leases"),
            cronjobs: Shelf::new("CronJobs", "list CronJobs"),
            warnings: Mutex::default(),
            silent: Mutex::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// Keeps all shelves filled, for ever; fails where a first list does.
    async fn keep(&self) -> Result<Infallible, Cause> {
        let all = ListParams::default;
        let own = all().fields(&format!("metadata.name={}", self.services.cluster.namespace));
        let (never, ..) = tokio::try_join!(
            self.mirror(&self.nodes, self.services.cluster.all(), all()),
            self.mirror(&self.namespace, self.services.cluster.all(), own),
            self.mirror(&self.jobs, self.own(), of_chain()),
            self.mirror(&self.pods, self.own(), of_chain()),
            self.mirror(&self.control_plane, self.services.cluster.within("kube-system"), of_control_plane()),
            self.mirror(&self.leases, self.own(), all()),
            self.mirror(&self.cronjobs, self.own(), all()),
        )?;
        Ok(never)
    }

    fn own<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        self.services.cluster.own()
    }

    async fn mirror<K>(&self, shelf: &Shelf<K>, api: Api<K>, selection: ListParams) -> Result<Infallible, Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    {
        let mut mirror = Mirror::new(shelf.call, api, selection).looks_on();
        loop {
            let again = match mirror.renew(&self.services.cluster).await {
                Ok(()) => {
                    shelf.put(mirror.all());
                    Duration::ZERO
                }
                Err(cause) if shelf.objects().is_none() => return Err(cause),
                Err(cause) => {
                    shelf.doubt(self.services.session.now(), cause.why.as_deref().unwrap_or(&cause.what));
                    AGAIN
                }
            };
            self.changes.send_replace(());
            tokio::time::sleep(again).await;
            mirror.changed().await;
            if mirror.is_broken() {
                shelf.doubt(self.services.session.now(), "its watch has ended, and its list has not come yet");
            }
        }
    }

    /// Any answer will do: what is wrong with one, the watches tell.
    async fn feel_pulse(&self) -> Infallible {
        let namespaces: Api<Namespace> = self.services.cluster.all();
        loop {
            tokio::time::sleep(PULSE).await;
            let asked = self.services.session.now();
            let answered = tokio::time::timeout(NO_PULSE, namespaces.get_opt(&self.services.cluster.namespace)).await.is_ok();
            let mut silent = locked(&self.silent);
            *silent = if answered { None } else { silent.or(Some(asked)) };
        }
    }

    /// Events are many and change all the time: they are asked for where something waits, and not mirrored.
    async fn look_for_warnings(&self) -> Infallible {
        loop {
            tokio::time::sleep(PULSE).await;
            let Some(Ok(facts)) = self.facts() else { continue };
            *locked(&self.warnings) = warnings(self.services, &facts).await;
        }
    }

    fn facts(&self) -> Option<Result<Facts, Cause>> {
        let objects = Objects {
            nodes: self.nodes.objects()?,
            namespace: self.namespace.objects()?.pop(),
            jobs: self.jobs.objects()?,
            pods: self.pods.objects()?,
            control_plane: self.control_plane.objects()?,
        };
        Some(self.services.observer.facts(&objects))
    }

    /// None until all was read once.
    fn seen(&self) -> Option<Result<ScreenInput, Cause>> {
        let (leases, cronjobs) = (self.leases.objects()?, self.cronjobs.objects()?);
        let facts = match self.facts()? {
            Ok(facts) => facts,
            Err(cause) => return Some(Err(cause)),
        };
        let watch = cronjobs.iter().find(|cronjob| cronjob.name_any() == names::WATCH_CRONJOB);
        let detection = cronjobs.iter().find(|cronjob| cronjob.name_any() == names::DETECT_CRONJOB);
        Some(Ok(ScreenInput {
            leases: leases.iter().filter_map(|found| lease(found, &facts)).collect(),
            units: Vec::new(), // a session to a node every few seconds would be too much; what its runner waits for there is on its Job
            driver: leases.iter().find_map(|lease| driver(lease, &self.services.settings.annotation_prefix)),
            no_watch: no_watch(watch.map(Arc::as_ref)),
            suspended: detection.is_some_and(|cronjob| is_suspended(cronjob)),
            installed: installed(watch.map(Arc::as_ref)),
            off: off(&self.services.settings),
            warnings: locked(&self.warnings).clone(),
            facts,
        }))
    }

    /// What is old for the same reason is told together.
    fn stale(&self, now: Timestamp) -> Vec<Stale> {
        if let Some(since) = *locked(&self.silent) {
            let why = "the API server takes requests and does not answer them".to_owned();
            return vec![Stale { what: vec!["everything".to_owned()], since, why }];
        }
        let mut told: Vec<Stale> = Vec::new();
        let mut tell = |what: &'static str, stale: &Mutex<Option<(Timestamp, String)>>| {
            let old = |since: Timestamp| now.duration_since(since).unsigned_abs() >= UNTOLD;
            let Some((since, why)) = locked(stale).clone().filter(|(since, _)| old(*since)) else { return };
            match told.iter_mut().find(|other| other.why == why) {
                Some(other) => {
                    other.what.push(what.to_owned());
                    other.since = other.since.min(since);
                }
                None => told.push(Stale { what: vec![what.to_owned()], since, why }),
            }
        };
        tell(self.nodes.what, &self.nodes.stale);
        tell(self.namespace.what, &self.namespace.stale);
        tell(self.jobs.what, &self.jobs.stale);
        tell(self.pods.what, &self.pods.stale);
        tell(self.control_plane.what, &self.control_plane.stale);
        tell(self.leases.what, &self.leases.stale);
        tell(self.cronjobs.what, &self.cronjobs.stale);
        if let [all] = told.as_mut_slice()
            && all.what.len() == KINDS
        {
            all.what = vec!["everything".to_owned()];
        }
        told
    }
}

//! Journals: what a process did in a run, kept in a ConfigMap that outlives its Job. Best effort: one that cannot be written stops
//! nothing and is told once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Error, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use crate::failure::{Cause, Failure, Outcome, exit_code};
use crate::names;
use crate::permit::{ChangeClass, Permit};
use crate::plan::model::journal::{self, End, Head, Journal, StoredJournal};
use crate::report::SharedJournal;
use crate::run::cluster::client::cause;
use crate::run::cluster::{Cluster, Observer};
use crate::run::session::{Guardian, Occasion, Session, locked};

/// No step waits longer for its journal.
const WRITE: Duration = Duration::from_secs(5);
/// After a write that failed, so long no other is tried: an upgrade takes the API server away for minutes.
const PAUSE: Duration = Duration::from_secs(30);

/// In which run's name a process writes.
#[derive(Clone, Debug, Default, PartialEq)]
enum JournalOf {
    /// The one in flight; outside of it, what a person did by hand.
    #[default]
    Found,
    /// Nothing is written yet: a run that is not claimed leaves nothing behind.
    Withheld,
    Run(String),
}

/// How far the writing has come.
#[derive(Default)]
pub struct Writing {
    there: bool,
    not_before: Option<Instant>,
    told: bool,
}

/// Writes down what this process does, and reads what others wrote.
pub struct Journals {
    session: Arc<Session>,
    cluster: Arc<Cluster>,
    observer: Arc<Observer>,
    /// None: a command that keeps no journal.
    own: Option<SharedJournal>,
    writing: tokio::sync::Mutex<Writing>,
    /// Beside the lock of the writing, so that it can be said while a write is under way.
    of: Mutex<JournalOf>,
}

impl Guardian for Journals {
    fn at(&self, occasion: Occasion) -> LocalBoxFuture<'_, Result<(), Cause>> {
        Box::pin(async move {
            if matches!(occasion, Occasion::StepBegins) {
                self.write_down().await;
            }
            Ok(())
        })
    }
}

impl Journals {
    /// `own`: this process' journal; None keeps none, and reads those of others.
    pub fn new(session: Arc<Session>, cluster: Arc<Cluster>, observer: Arc<Observer>, own: Option<SharedJournal>) -> Self {
        Journals { session, cluster, observer, own, writing: tokio::sync::Mutex::default(), of: Mutex::default() }
    }

    fn api(&self) -> Api<ConfigMap> {
        self.cluster.own()
    }

    /// What happens from here on may still come to nothing.
    pub fn withhold(&self) {
        *locked(&self.of) = JournalOf::Withheld;
    }

    /// What this process does belongs to that run.
    pub fn of_run(&self, run: &str) {
        *locked(&self.of) = JournalOf::Run(run.to_owned());
    }

    /// A phase of a run begins, or its run has just been claimed.
    pub async fn begin(&self, run: &str, place: &str) {
        self.of_run(run);
        if let Some(own) = &self.own {
            place.clone_into(&mut own.open().head.place);
        }
        self.write_down().await;
    }

    /// Writes what has been told so far. Of steps that begin at once, one writes, and the next takes along what came meanwhile.
    async fn write_down(&self) {
        if let Ok(mut writing) = self.writing.try_lock() {
            self.write(&mut writing, false).await;
        }
    }

    /// The end of the process. One that has done nothing in any run leaves no journal.
    pub async fn end(&self, result: &Result<Outcome, Failure>) {
        let Some(own) = &self.own else { return };
        let mut writing = self.writing.lock().await;
        let idle = matches!(result, Ok(Outcome::Nothing));
        let by_hand = self.session.identity.pod.is_none() && self.session.has_changed() && !idle;
        if !writing.there && !by_hand && !matches!(*locked(&self.of), JournalOf::Run(_)) {
            return;
        }
        own.open().end = Some(end(self.session.now(), result));
        self.write(&mut writing, true).await;
    }

    async fn write(&self, writing: &mut Writing, last: bool) {
        let Some(own) = &self.own else { return };
        let run = {
            match &*locked(&self.of) {
                JournalOf::Withheld => return,
                JournalOf::Run(run) => run.clone(),
                JournalOf::Found => self.observer.first_run().unwrap_or_else(|| journal::BY_HAND.to_owned()),
            }
        };
        if !last && writing.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        let map = self.config_map(&mut own.open(), &run);
        let written = match map {
            Ok(map) => self.put(writing, &map).await,
            Err(error) => Err(Cause::bug(format!("the journal as JSON: {error}"))),
        };
        match written {
            Ok(()) => writing.there = true,
            Err(cause) => {
                writing.not_before = Some(Instant::now() + PAUSE);
                if !std::mem::replace(&mut writing.told, true) {
                    self.session.warn("journal", format!("could not be written, the run goes on: {}", cause.what));
                }
            }
        }
    }

    fn config_map(&self, journal: &mut Journal, run: &str) -> Result<ConfigMap, serde_json::Error> {
        // The run may have been found only now; once written, a journal stays whose it is.
        if journal.head.run.is_empty() {
            run.clone_into(&mut journal.head.run);
        }
        let data = journal.data()?;
        let mut map = ConfigMap { data: Some(data), ..ConfigMap::default() };
        map.metadata.name = Some(journal::name(&journal.head));
        map.metadata.labels = Some(BTreeMap::from([(names::LABEL_APP.to_owned(), names::APP_JOURNAL.to_owned())]));
        Ok(map)
    }

    /// One try, whichever of create and patch it takes: of our own the name is unique, so one that is there is an answer that was lost.
    async fn put(&self, writing: &Writing, map: &ConfigMap) -> Result<(), Cause> {
        let (api, name) = (self.api(), map.name_any());
        let create = async || api.create(&PostParams::default(), map).await;
        let body = json!({ "data": map.data });
        let patch = async || api.patch(&name, &PatchParams::default(), &Patch::Merge(&body)).await;
        let put = async {
            if !writing.there {
                return match create().await {
                    Err(Error::Api(status)) if status.code == 409 => patch().await,
                    other => other,
                };
            }
            match patch().await {
                // Pruned meanwhile.
                Err(Error::Api(status)) if status.code == 404 => create().await,
                other => other,
            }
        };
        // No change of the run: neither its Lease nor a signal has a say in it, and no outage is waited for.
        let permit = Permit { class: ChangeClass::Settle, step: "write the journal".to_owned() };
        match tokio::time::timeout(WRITE, permit.scope(put)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(cause("write the journal", &error)),
            Err(_) => Err(Cause::unreachable("the API server did not answer in time")),
        }
    }

    /// Only the last runs' journals are kept.
    pub async fn prune(&self) {
        if self.own.is_none() {
            return;
        }
        let (api, ours) = (self.api(), self.label());
        let prune = async {
            let there = api.list(&ours).await?.items;
            let kept: Vec<StoredJournal> = there.iter().filter_map(|map| Some(kept(map, head(map)?))).collect();
            for name in journal::stale(&kept) {
                match api.delete(&name, &DeleteParams::default()).await {
                    Err(Error::Api(status)) if status.code == 404 => {}
                    other => drop(other?),
                }
            }
            Ok::<_, Error>(())
        };
        let permit = Permit { class: ChangeClass::Settle, step: "prune journals".to_owned() };
        let why = match tokio::time::timeout(WRITE * 2, permit.scope(prune)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => cause("prune journals", &error).what,
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        self.session.warn("journal", format!("old ones could not be removed, the run goes on: {why}"));
    }

    fn label(&self) -> ListParams {
        ListParams::default().labels(&format!("{}={}", names::LABEL_APP, names::APP_JOURNAL))
    }

    /// All journals that are there, and the names of those that cannot be read, with the reason.
    pub async fn all(&self) -> Result<(Vec<Journal>, Vec<String>), Cause> {
        let maps = self.cluster.list_all("list journals", self.api(), self.label()).await?;
        let (mut journals, mut unreadable) = (Vec::new(), Vec::new());
        for map in maps {
            match read(&map) {
                Ok(journal) => journals.push(journal),
                Err(why) => unreadable.push(format!("the journal {} cannot be read: {why}", map.name_any())),
            }
        }
        Ok((journals, unreadable))
    }
}

fn read(map: &ConfigMap) -> Result<Journal, String> {
    Journal::read(map.data.as_ref().ok_or("it is empty")?)
}

/// Whose it is, whichever version it has: one that this build does not read is as old as others, and goes with them.
fn head(map: &ConfigMap) -> Option<Head> {
    Journal::head(map.data.as_ref()?)
}

fn kept(map: &ConfigMap, head: Head) -> StoredJournal {
    StoredJournal { name: map.name_any(), run: head.run, begun: head.begun }
}

fn end(at: jiff::Timestamp, result: &Result<Outcome, Failure>) -> End {
    let code = exit_code(result);
    let word = |result: &str| End { at, result: result.to_owned(), code, ..End::default() };
    match result {
        Ok(Outcome::Done) => word("done"),
        Ok(Outcome::Nothing) => word("nothing to do"),
        Ok(Outcome::Deferred) => word("deferred"),
        Err(failure) => End {
            place: failure.place.clone(),
            failure: Some(failure.cause.what.clone()),
            detail: failure.cause.detail.clone(),
            state: failure.state.clone(),
            next: failure.advice().map(|advice| advice.command.clone()).collect(),
            ..word(failure.class().word())
        },
    }
}

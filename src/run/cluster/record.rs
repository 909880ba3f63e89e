//! The facts of a run that outlive every process: annotations on the namespace and on nodes.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode};
use kube::api::{Api, Patch, PatchParams};
use kube::{Error, ResourceExt};
use serde_json::{Value, json};

use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::names::{self, Mark};
use crate::plan::decide::when::Closed;
use crate::plan::model::approved::Approved;
use crate::plan::model::found::Found;
use crate::plan::model::marks::{self, Deferred, Edit, RunMarks};
use crate::plan::model::reminded::Reminded;
use crate::plan::model::resting::Resting;
use crate::plan::model::version::Version;
use crate::report::Event;
use crate::run::cluster::{Cluster, Observer};
use crate::run::session::{Change, RECORD, Session};
use crate::settings::Settings;
use crate::words::{PoolName, RunId};

/// Patches guarded by resourceVersion lose races against status updates; looked at again this often.
const RACES: usize = 20;

/// A run that a process is for is not the one in flight.
fn not_in_flight(run: &str, now: &RunMarks) -> Cause {
    let other = match (&now.run_id, now.in_flight) {
        (Some(other), true) => format!("run {other} is"),
        (None, true) => "another one is, which has no id".to_owned(),
        (_, false) => "none is".to_owned(),
    };
    Cause::contended(format!("run {run} is not in flight any more: {other}")).next(Advice::status())
}

/// Writes the facts of a run: annotations on the namespace and on nodes.
pub struct Record {
    settings: Arc<Settings>,
    session: Arc<Session>,
    cluster: Arc<Cluster>,
    observer: Arc<Observer>,
}

impl Record {
    /// Of what it writes by, and what it looks by.
    pub fn new(settings: Arc<Settings>, session: Arc<Session>, cluster: Arc<Cluster>, observer: Arc<Observer>) -> Self {
        Record { settings, session, cluster, observer }
    }

    fn annotations(&self, edits: &[Edit]) -> Value {
        Value::Object(Edit::annotations(edits, &self.settings.annotation_prefix))
    }

    /// Claims the cluster for a run: whoever patches first has it, everybody else is told who does. Claiming twice is no error, and leaves
    /// the first `baseline`.
    pub async fn claim(&self, run: &RunId, target: Version, baseline: Option<String>) -> Result<(), Cause> {
        let api: Api<Namespace> = self.cluster.all();
        // By hand there is none: the first Job that follows says which ([`Record::keep_image`]).
        let image = if self.cluster.in_cluster { Some(self.cluster.own_image().await?) } else { None };
        let change = Change::prepare("preflight", "claim the run", RECORD);
        self.session
            .change(change, async {
                for _ in 0..RACES {
                    let namespace =
                        self.cluster.call("read the namespace", async || api.get(&self.cluster.namespace).await).await?;
                    let now = self.observer.marks_of(Some(&namespace))?;
                    if now.in_flight && guard::on(Guard::OneRun) {
                        if now.is_of(run) {
                            return Ok(());
                        }
                        let owner = now.run_id.map_or("an older pipeline".to_owned(), String::from);
                        let target = now.target.map_or("an unknown target".to_owned(), |target| target.to_string());
                        return Err(Cause::contended(format!("run {owner} to {target} is in flight")).next(Advice::status()));
                    }
                    let mut begun = marks::begun(run, target, self.session.now(), image.clone(), baseline.clone());
                    // Whoever begins it: what was approved is there then, or is older.
                    let used = now.approved.as_ref().filter(|approved| approved.release <= target);
                    begun.extend(used.map(|_| Edit::remove(Mark::Approved)));
                    let found = now.found.clone().beyond(target);
                    begun.extend((found != now.found).then(|| Edit::found(&found)));
                    let version = namespace.resource_version().filter(|_| guard::on(Guard::ClaimVersion));
                    let body = json!({ "metadata": { "resourceVersion": version, "annotations": self.annotations(&begun) } });
                    match self
                        .cluster
                        .call("claim the run", async || {
                            api.patch(&self.cluster.namespace, &PatchParams::default(), &Patch::Merge(&body)).await
                        })
                        .await
                    {
                        Ok(_) => return Ok(()),
                        // Somebody wrote in between, or our own answer was lost: look again.
                        Err(cause) if cause.class == Class::Contended => {}
                        Err(cause) => return Err(cause),
                    }
                }
                Err(Cause::contended("the namespace is being changed all the time"))
            })
            .await
    }

    /// Records facts of a run on the namespace, while that very run is in flight: a process that is late, whose run has ended meanwhile, writes
    /// nothing into the next one.
    pub async fn mark_run(&self, run: &RunId, place: &str, step: &str, marks: &[Edit]) -> Result<(), Cause> {
        self.amend_run(run, place, step, |_| marks.to_vec()).await
    }

    /// The same of facts that follow from those that stand there: several runners may add to one mark.
    pub async fn amend_run(
        &self,
        run: &RunId,
        place: &str,
        step: &str,
        edit: impl Fn(&RunMarks) -> Vec<Edit>,
    ) -> Result<(), Cause> {
        self.amend_namespace(place, step, |now| match now.is_of(run) {
            false if guard::on(Guard::RunOfMark) => Err(not_in_flight(run, now)),
            _ => Ok(Some(edit(now))),
        })
        .await
    }

    /// Records which image the run's Jobs run, unless one stands there already: whoever creates its first Job says so, and two may try.
    /// Returns what stands there then.
    pub async fn keep_image(&self, run: &RunId, image: String) -> Result<String, Cause> {
        let there = RefCell::new(None);
        let edit = Edit::set(Mark::Image, image.clone());
        self.edit_namespace("chain", "record which image the run's Jobs run", &[edit], |now| {
            if !now.is_of(run) {
                return Err(not_in_flight(run, now));
            }
            there.replace(now.image.clone());
            Ok(now.image.is_none())
        })
        .await?;
        Ok(there.into_inner().unwrap_or(image))
    }

    /// Records what belongs to no run, but to whatever comes.
    pub async fn mark_namespace(&self, place: &str, step: &str, marks: &[Edit]) -> Result<(), Cause> {
        self.edit_namespace(place, step, marks, |_| Ok(true)).await
    }

    /// Records that a run to be has to wait, for the watch to try it again; where it has before, the first time stays. True: it is news.
    /// `closed`: why no window lets it begin, if that is so.
    pub async fn defer(&self, place: &str, run: &RunId, target: Version, closed: Option<Closed>) -> Result<bool, Cause> {
        let former = self.observer.observe().await?.marks.deferred.filter(|former| former.run == *run);
        let since = former.as_ref().map_or_else(|| self.session.now(), |former| former.since);
        let deferred = Deferred { target, run: run.clone(), since };
        let resting = closed.map(|Closed { until, why }| Resting { node: String::new(), since, until, why });
        let edit = [
            Edit::set(Mark::Deferred, deferred.to_string()),
            Edit::set_or_remove(Mark::Resting, resting.map(|resting| resting.write())),
        ];
        // Somebody else's run has begun meanwhile: nothing waits any more.
        self.edit_namespace(place, "record that the run is deferred", &edit, |now| Ok(!now.in_flight)).await?;
        Ok(former.is_none())
    }

    /// Records what people know of a hold, while what was seen is what there is.
    pub async fn remind(&self, place: &str, seen: &RunMarks, reminded: &Reminded) -> Result<(), Cause> {
        self.edit_namespace(place, "record what people were reminded of", &[Edit::reminded(reminded)], |now| {
            Ok(now.same_run(seen) && now.deferred == seen.deferred)
        })
        .await
    }

    /// Records what a person approves, and until when it has to wait for a window, unless a run is in flight: for the watch to begin it.
    /// `found`: what people were told of.
    pub async fn approve(&self, approved: &Approved, closed: Option<&Closed>, found: &Found) -> Result<(), Cause> {
        let mut edit = vec![Edit::approved(approved)];
        let Approved { at, .. } = approved;
        let resting =
            closed.map(|Closed { until, why }| Resting { node: String::new(), since: *at, until: *until, why: why.clone() });
        edit.push(Edit::set_or_remove(Mark::Resting, resting.map(|resting| resting.write())));
        edit.push(Edit::found(&found.clone().forget(approved.release)));
        self.edit_namespace("approve", "record the approval", &edit, |now| match now.in_flight {
            true => Err(Cause::contended("a run has begun meanwhile").next(Advice::status())),
            false => Ok(true),
        })
        .await
    }

    /// Takes an approval back, and with it a run that waits by it alone. False: something has changed meanwhile, and stays.
    pub async fn disapprove(&self, place: &str, seen: &RunMarks) -> Result<bool, Cause> {
        let mut edit = vec![Edit::remove(Mark::Approved)];
        let by_it = |deferred: &Deferred| seen.approved.as_ref().is_some_and(|approved| approved.run == deferred.run);
        if !seen.in_flight && seen.deferred.as_ref().is_none_or(by_it) {
            edit.extend([Mark::Deferred, Mark::Resting].map(Edit::remove));
        }
        let done = Cell::new(false);
        self.edit_namespace(place, "take the approval back", &edit, |now| {
            let same = |marks: &RunMarks| (marks.approved.clone(), marks.deferred.clone());
            // Our own answer may have been lost.
            let gone = now.approved.is_none();
            let as_seen = now.same_run(seen) && same(now) == same(seen);
            done.set(gone || as_seen);
            Ok(as_seen && !gone)
        })
        .await?;
        Ok(done.get())
    }

    /// Pauses a pool, or lets its workers have their turns. False: it was so already.
    pub async fn pause_pool(&self, place: &str, pool: &PoolName, paused: bool) -> Result<bool, Cause> {
        let changed = Cell::new(false);
        self.amend_namespace(place, "record which pools are paused", |now| {
            let former = now.paused_pools.clone();
            let wanted = if paused { former.with(pool) } else { former.without(pool) };
            let changes = wanted != now.paused_pools;
            // Our own answer may have been lost.
            changed.set(changed.get() || changes);
            Ok(changes.then(|| vec![Edit::paused_pools(&wanted)]))
        })
        .await?;
        Ok(changed.get())
    }

    /// Gives a node the label of a pause, or takes it from it. False: it was so already.
    pub async fn pause_node(&self, name: &str, paused: bool) -> Result<bool, Cause> {
        let api: Api<KubeNode> = self.cluster.all();
        let key = names::label_pause(&self.settings.annotation_prefix);
        let change = Change::settle(name, "label the node", RECORD).silent();
        self.session
            .change(change, async {
                let node = self.cluster.call("read the node", async || api.get(name).await).await?;
                if node.labels().contains_key(&key) == paused {
                    return Ok(false);
                }
                let value = if paused { Value::from("") } else { Value::Null };
                let patch = Patch::Merge(json!({ "metadata": { "labels": { &key: value } } }));
                self.cluster.call("label the node", async || api.patch(name, &PatchParams::default(), &patch).await).await?;
                Ok(true)
            })
            .await
    }

    /// Ends the run that was seen: all its marks go in one write, so that it is there whole or not at all. One that somebody else has ended is
    /// ended; another one stays. `said`: what of a person's words goes with it.
    pub async fn clear_run(&self, place: &str, seen: &RunMarks, said: &[Edit]) -> Result<(), Cause> {
        let edit = [marks::ended().as_slice(), said].concat();
        self.edit_namespace(place, "clear the run's annotations", &edit, |now| {
            if now.same_run(seen) || !guard::on(Guard::RunOfClear) {
                Ok(true)
            } else if now.nothing() {
                Ok(false)
            } else {
                Err(not_in_flight(seen.run_id.as_ref().map_or("(without an id)", RunId::as_str), now))
            }
        })
        .await
    }

    /// The same with marks that are known beforehand: `may` says whether they are to be written.
    async fn edit_namespace(
        &self,
        place: &str,
        step: &str,
        marks: &[Edit],
        may: impl Fn(&RunMarks) -> Result<bool, Cause>,
    ) -> Result<(), Cause> {
        self.amend_namespace(place, step, |now| Ok(may(now)?.then(|| marks.to_vec()))).await
    }

    /// Patches the namespace under its resourceVersion: `edit` sees the marks as they are, and says what to write (None: nothing).
    async fn amend_namespace(
        &self,
        place: &str,
        step: &str,
        edit: impl Fn(&RunMarks) -> Result<Option<Vec<Edit>>, Cause>,
    ) -> Result<(), Cause> {
        let api: Api<Namespace> = self.cluster.all();
        let change = Change::settle(place, step, RECORD).silent();
        self.session
            .change(change, async {
                for _ in 0..RACES {
                    let now = self.cluster.call("read the namespace", async || api.get(&self.cluster.namespace).await).await?;
                    let Some(marks) = edit(&self.observer.marks_of(Some(&now))?)? else { return Ok(()) };
                    let annotations = self.annotations(&marks);
                    let version = now.resource_version().filter(|_| guard::on(Guard::NamespaceVersion));
                    let body = json!({ "metadata": { "resourceVersion": version, "annotations": annotations } });
                    let patch = Patch::Merge(&body);
                    match self
                        .cluster
                        .call(step, async || api.patch(&self.cluster.namespace, &PatchParams::default(), &patch).await)
                        .await
                    {
                        Ok(_) => return Ok(()),
                        // Somebody wrote in between, or our own answer was lost: look again.
                        Err(cause) if cause.class == Class::Contended => {}
                        Err(cause) => return Err(cause),
                    }
                }
                Err(Cause::contended(format!("{step}: the namespace is being changed all the time")))
            })
            .await
    }

    /// Patches a node under its resourceVersion: `edit` sees the node as it is and says what to change (None: nothing).
    pub async fn edit_node(
        &self,
        change: Change<'_>,
        edit: impl Fn(&KubeNode) -> Option<(Option<bool>, Vec<Edit>)>,
    ) -> Result<bool, Cause> {
        let api: Api<KubeNode> = self.cluster.all();
        let (name, step) = (change.place.to_owned(), change.step.to_owned());
        self.session
            .change(change, async {
                // What we have asked for, though the answer may have been lost.
                let mut asked = None;
                for _ in 0..RACES {
                    let node = self.cluster.call("read the node", async || api.get(&name).await).await?;
                    let edited = edit(&node);
                    if asked.is_some() && asked == node.spec.as_ref().map(|spec| spec.unschedulable.unwrap_or(false)) {
                        self.tell_service(&name, asked.take());
                    }
                    let Some((unschedulable, marks)) = edited else { return Ok(false) };
                    asked = unschedulable;
                    let version = node.resource_version().filter(|_| guard::on(Guard::NodeVersion));
                    let mut body = json!({ "metadata": { "resourceVersion": version, "annotations": self.annotations(&marks) } });
                    if let Some(unschedulable) = unschedulable {
                        body["spec"] = json!({ "unschedulable": if unschedulable { Value::Bool(true) } else { Value::Null } });
                    }
                    let patched = self.cluster.call(&step, async || {
                        match api.patch(&name, &PatchParams::default(), &Patch::Merge(&body)).await {
                            Ok(_) => Ok(true),
                            Err(Error::Api(status)) if status.code == 409 => Ok(false),
                            Err(error) => Err(error),
                        }
                    });
                    if patched.await? {
                        self.tell_service(&name, asked);
                        return Ok(true);
                    }
                }
                Err(Cause::contended(format!("{step}: {name} is being changed all the time")))
            })
            .await
    }

    /// The one place where nodes go out of service and come back.
    fn tell_service(&self, node: &str, unschedulable: Option<bool>) {
        match unschedulable {
            Some(true) => self.session.emit(&Event::OutOfService { place: node.to_owned() }),
            Some(false) => self.session.emit(&Event::InService { place: node.to_owned() }),
            None => {}
        }
    }
}

//! Writes what happens as Kubernetes Events: on our own Job, and on the node that it is about, where `kubectl describe node` shows it. Best
//! effort: what cannot be written stops nothing, nothing waits for it but the end of the process, and that not for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, Node, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::Resource;
use kube::api::{Api, PostParams};
use tokio::sync::{Mutex, OnceCell};

use crate::failure::{Cause, Class, Failure, Outcome};
use crate::names;
use crate::permit::{ChangeClass, Permit};
use crate::report::{Bulletin, Bulletins, Notice, Sink};
use crate::run::cluster::{Cluster, Observer, cause};
use crate::run::session::Session;

/// One of them.
const WRITE: Duration = Duration::from_secs(5);
/// After one that failed: an upgrade takes the API server away for minutes, and meanwhile they wait in their queue.
const PAUSE: Duration = Duration::from_secs(2);
/// An API server that is back refuses for a moment what it allows. So often in a row, it does not.
const REFUSALS: u32 = 10;
/// The end of the process waits no longer for all that are left.
const LAST: Duration = Duration::from_secs(5);
/// Bytes of the name of who reports.
const INSTANCE: usize = 128;
/// What is done to the objects that they are about, as a machine reads it.
const ACTION: &str = "Upgrade";

/// Events of the objects that this process works on.
pub struct KubeEvents {
    session: Arc<Session>,
    cluster: Arc<Cluster>,
    observer: Arc<Observer>,
    /// None: a command that changes nothing, or nobody wants them.
    bulletins: Option<Bulletins>,
    /// What they are about that are about no node.
    own: OnceCell<ObjectReference>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In a row.
    refusals: u32,
    /// It was told that they cannot be written.
    told: bool,
    /// No more are written.
    off: bool,
    /// Nothing comes any more.
    ending: bool,
}

impl KubeEvents {
    /// Has written none yet.
    pub fn new(session: Arc<Session>, cluster: Arc<Cluster>, observer: Arc<Observer>, bulletins: Option<Bulletins>) -> Self {
        KubeEvents { session, cluster, observer, bulletins, own: OnceCell::new(), state: Mutex::default() }
    }

    /// Works, and writes meanwhile what is told; then what is left, with a deadline.
    pub async fn writing(&self, work: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
        let Some(bulletins) = &self.bulletins else { return work.await };
        let work = async {
            let worked = work.await;
            if let Err(failure) = &worked {
                self.failed(bulletins, failure);
            }
            self.flush(bulletins).await;
            worked
        };
        tokio::select! {
            biased;
            worked = work => worked,
            never = self.write_all(bulletins) => match never {},
        }
    }

    /// A Job of the chain tells its failures as notices, where they are news. A person sees those of a command that did nothing.
    fn failed(&self, bulletins: &Bulletins, failure: &Failure) {
        let seen = self.session.identity.pod.is_none() && !self.session.has_changed();
        if !self.session.chain && !seen {
            let (now, cluster) = (self.session.now(), &self.session.identity.cluster);
            bulletins.clone().notice(now, cluster, &failure.place, &Notice::Failed(failure.clone()));
        }
    }

    /// What only looks writes nothing, not even that it looked.
    fn acts(&self) -> bool {
        self.session.chain || self.session.has_changed()
    }

    async fn flush(&self, bulletins: &Bulletins) {
        self.state.lock().await.ending = true;
        if self.acts() && tokio::time::timeout(LAST, bulletins.queue().emptied()).await.is_err() {
            self.tell("the API server did not answer in time").await;
        }
    }

    /// Once a process.
    async fn tell(&self, why: &str) {
        if !std::mem::replace(&mut self.state.lock().await.told, true) {
            self.session.warn("events", format!("Kubernetes Events could not be written, work goes on: {why}"));
        }
    }

    async fn write_all(&self, bulletins: &Bulletins) -> Infallible {
        loop {
            let bulletin = bulletins.queue().next().await;
            let arrived = self.write(&bulletin).await;
            bulletins.queue().sent(arrived);
        }
    }

    /// On each of its objects, and again while the API server is away. False: it is given up.
    async fn write(&self, bulletin: &Bulletin) -> bool {
        let mut written = 0;
        while !self.state.lock().await.off {
            if !self.acts() {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let permit = Permit { class: ChangeClass::Settle, step: "write an Event".to_owned() };
            let failed = match tokio::time::timeout(WRITE, permit.scope(self.try_write(bulletin, &mut written))).await {
                Ok(Ok(())) => {
                    self.state.lock().await.refusals = 0;
                    return true;
                }
                Ok(Err(error)) => cause("write an Event", &error),
                Err(_) => Cause::unreachable("the API server did not answer in time"),
            };
            if self.gives_up(&failed).await {
                self.tell(&failed.what).await;
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    async fn gives_up(&self, failed: &Cause) -> bool {
        let mut state = self.state.lock().await;
        state.refusals = if failed.class == Class::Unreachable { 0 } else { state.refusals + 1 };
        // What is refused once more would be refused for all that are left.
        state.off = state.refusals >= REFUSALS || (state.ending && state.refusals > 0);
        state.off || state.ending
    }

    /// `written`: on so many of its objects it is.
    async fn try_write(&self, bulletin: &Bulletin, written: &mut usize) -> kube::Result<()> {
        let own = self.own.get_or_try_init(|| self.own()).await?;
        let node = self.observer.has_seen_node(&bulletin.place).then(|| of_node(&bulletin.place));
        for about in node.into_iter().chain([own.clone()]).skip(*written) {
            let event = self.event(bulletin, about);
            let api: Api<Event> = self.cluster.within(event.metadata.namespace.as_deref().unwrap_or(names::EVENTS_OF_NODES));
            api.create(&PostParams::default(), &event).await?;
            *written += 1;
        }
        Ok(())
    }

    /// Our Job; by hand our namespace, for there is none.
    async fn own(&self) -> kube::Result<ObjectReference> {
        let namespace = self.cluster.namespace.clone();
        let about = match self.cluster.own_owner().await? {
            Some(owner) => ObjectReference {
                api_version: Some(owner.api_version),
                kind: Some(owner.kind),
                name: Some(owner.name),
                uid: Some(owner.uid),
                ..ObjectReference::default()
            },
            None => ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Namespace".to_owned()),
                name: Some(namespace.clone()),
                ..ObjectReference::default()
            },
        };
        Ok(ObjectReference { namespace: Some(namespace), ..about })
    }

    fn event(&self, bulletin: &Bulletin, about: ObjectReference) -> Event {
        let Bulletin { at, place, reason, message } = bulletin;
        let (by, once) = (names::EVENT_CONTROLLER.to_owned(), Some(Time(*at)));
        let of_node = about.namespace.is_none();
        // The object says it, where it is the node.
        let message = if of_node || place.is_empty() { message.clone() } else { bulletin.with_place() };
        let mut event = Event {
            action: Some(ACTION.to_owned()),
            count: Some(1),
            event_time: Some(MicroTime(*at)),
            first_timestamp: once.clone(),
            last_timestamp: once,
            message: Some(message),
            reason: Some(reason.word().to_owned()),
            reporting_component: Some(by.clone()),
            reporting_instance: Some(self.instance()),
            source: Some(EventSource { component: Some(by), host: None }),
            type_: Some(reason.kind().to_owned()),
            ..Event::default()
        };
        event.metadata.generate_name = Some(names::EVENT_PREFIX.to_owned());
        event.metadata.namespace = Some(about.namespace.clone().unwrap_or_else(|| names::EVENTS_OF_NODES.to_owned()));
        event.involved_object = about;
        event
    }

    fn instance(&self) -> String {
        let holder = &self.session.identity.holder;
        holder[..holder.floor_char_boundary(INSTANCE)].to_owned()
    }
}

/// As the kubelet names its node: by its name for its UID, too. `kubectl describe node` looks for that, and for the real one.
fn of_node(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(Node::api_version(&()).into_owned()),
        kind: Some(Node::kind(&()).into_owned()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

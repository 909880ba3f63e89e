//! The one place that watches. A [`Mirror`] keeps a list as the API server has it, by a list and a watch after it.
//!
//! A live watch proves nothing: one that was open when a real API server went away stayed silent and ended cleanly half a
//! minute later, as if all were well. So silence, an end, an error or a 410 all lead back to a list, never sooner than a second
//! after the last one. That a server which hangs is told: `tests/sim/live.rs::a_server_that_hangs_is_told`.
//!
//! kube's own `watcher` (5.0) ends a silent watch, too, but goes on from the last version that it knows, tries again for ever, and lists
//! only where the server refuses that version. A drain decides by a list of *now*, under its own deadline; so this stays ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::failure::Cause;
use crate::run::cluster::Cluster;

/// A watch that says nothing for this long is not trusted any more (bookmarks come about once a minute, so a quiet one is listed anew).
const SILENCE: Duration = Duration::from_secs(30);
/// The same where only what is shown depends on it: longer than two bookmarks are apart.
const CALM: Duration = Duration::from_secs(150);
/// Between two lists.
const PAUSE: Duration = Duration::from_secs(1);

/// A list, kept up to date.
pub struct Mirror<K> {
    what: &'static str,
    api: Api<K>,
    selection: ListParams,
    items: BTreeMap<String, Arc<K>>,
    silence: Duration,
    /// How long a list is tried; None: as all that this process does.
    patience: Option<Duration>,
    stream: Option<BoxStream<'static, kube::Result<WatchEvent<K>>>>,
    /// When the last list was made, and when the server was last heard.
    listed: Option<Instant>,
    heard: Instant,
}

impl<K> Mirror<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    /// Empty until [`Mirror::list`] was called. `what` reads like "list the node's pods".
    pub fn new(what: &'static str, api: Api<K>, selection: ListParams) -> Self {
        Mirror {
            what,
            api,
            selection,
            items: BTreeMap::new(),
            silence: SILENCE,
            patience: None,
            stream: None,
            listed: None,
            heard: Instant::now(),
        }
    }

    /// For who looks on and changes nothing: silence is trusted for longer, so that quiet lists are not polled; and once it was listed, a
    /// list that fails is told at once.
    pub fn looks_on(self) -> Self {
        Mirror { silence: CALM, patience: Some(Duration::ZERO), ..self }
    }

    /// As they were last seen, in no order that means anything.
    pub fn items(&self) -> impl Iterator<Item = &K> {
        self.items.values().map(Arc::as_ref)
    }

    /// All of them as they are now.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.items.values().cloned().collect()
    }

    /// Returns when something has changed, or when [`Mirror::renew`] has something to do. May be dropped and called again at any time.
    pub async fn changed(&mut self) {
        while let Some(stream) = self.stream.as_mut() {
            match tokio::time::timeout_at(self.heard + self.silence, stream.next()).await {
                Ok(Some(Ok(event))) => {
                    self.heard = Instant::now();
                    if self.apply(event) {
                        return;
                    }
                }
                Ok(Some(Err(_)) | None) | Err(_) => self.stream = None,
            }
        }
    }

    /// The watch has ended: what is here grows old until it is listed anew.
    pub fn is_broken(&self) -> bool {
        self.stream.is_none()
    }

    /// Lists anew where the watch has ended. Not to be dropped for something faster: a slow list would never end.
    pub async fn renew(&mut self, cluster: &Cluster) -> Result<(), Cause> {
        if self.stream.is_none() { self.list(cluster).await } else { Ok(()) }
    }

    /// The list as it is now, whatever the watch says; the watch goes on from there.
    pub async fn list(&mut self, cluster: &Cluster) -> Result<(), Cause> {
        if let Some(listed) = self.listed {
            tokio::time::sleep_until(listed + PAUSE).await;
        }
        let patience = self.patience.filter(|_| self.listed.is_some());
        let (items, version) = cluster.list_at(self.what, self.api.clone(), self.selection.clone(), patience).await?;
        let ListParams { label_selector, field_selector, .. } = self.selection.clone();
        let watch = WatchParams { label_selector, field_selector, ..WatchParams::default() };
        // A watch that cannot be opened is none: the next call lists again.
        #[expect(clippy::disallowed_methods, reason = "this is the wrapper that bounds silence and pauses")]
        let opened = tokio::time::timeout(SILENCE, self.api.watch(&watch, &version)).await;
        self.stream = opened.ok().and_then(Result::ok).map(|stream| stream.boxed());
        self.items = items.into_iter().filter_map(|item| Some((item.uid()?, Arc::new(item)))).collect();
        self.listed = Some(Instant::now());
        self.heard = Instant::now();
        Ok(())
    }

    /// Whether the event changed what is mirrored.
    fn apply(&mut self, event: WatchEvent<K>) -> bool {
        match event {
            WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                item.uid().map(|uid| self.items.insert(uid, Arc::new(item))).is_some()
            }
            WatchEvent::Deleted(item) => item.uid().map(|uid| self.items.remove(&uid)).is_some(),
            WatchEvent::Bookmark(_) => false,
            WatchEvent::Error(_) => {
                self.stream = None;
                false
            }
        }
    }
}

//! Watches: the store's events as they come, for one selection.
//!
//! A watch that is open when the API server goes away stays silent and ends cleanly half a minute later (`SILENCE`), as one
//! of a real API server did.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::state::later;
use super::super::store::{Event, Key, Kind, Store, Verb};
use super::super::{State, Twin};
use super::select::{Fields, Labels};
use super::{Answer, Refusal};

/// How long a watch outlives its API server, in silence.
const SILENCE: Duration = Duration::from_millis(29_500);
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long before a watch's own end its last bookmark comes.
const LAST_WORD: Duration = Duration::from_secs(2);

pub struct Selection {
    pub kind: Kind,
    /// Empty: all.
    pub namespace: String,
    pub labels: Labels,
    pub fields: Fields,
}

impl Selection {
    pub fn select(&self, key: &Key, object: &Value) -> bool {
        let within = self.namespace.is_empty() || self.namespace == key.namespace;
        within && self.labels.select(object) && self.fields.select(object)
    }

    pub fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// What an event means to who sees only the selection.
    fn tell(&self, store: &Store, event: &Event) -> Option<String> {
        if event.key.kind != self.kind {
            return None;
        }
        let was = event.before.as_ref().is_some_and(|before| self.select(&event.key, before));
        let is = event.verb != Verb::Deleted && self.select(&event.key, &event.object);
        let word = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        // What leaves the selection is told as it was in it, with the version of its leaving.
        let object = match (is, &event.before) {
            (false, Some(before)) => {
                let mut object = (**before).clone();
                object["metadata"]["resourceVersion"] = json!(event.version.to_string());
                object.to_string()
            }
            _ => store.text(&event.key, &event.object),
        };
        Some(line(word, &object))
    }
}

fn line(word: &str, object: &str) -> String {
    format!("{{\"type\":\"{word}\",\"object\":{object}}}\n")
}

pub struct Watch {
    twin: Twin,
    selection: Selection,
    /// Up to here it has seen everything.
    version: u64,
    /// A bookmark of the version that it began with would say nothing: none is sent.
    began: u64,
    opened: Timestamp,
    until: Timestamp,
    bookmark: Option<Timestamp>,
    /// When the last bookmark comes.
    last_word: Timestamp,
    ready: VecDeque<String>,
    /// It has said that it is too old, or has nothing more to say.
    over: bool,
}

impl Watch {
    /// Without a version it begins with all that is.
    pub fn new(twin: &Twin, state: &State, selection: Selection, version: Option<u64>, limit: Duration, bookmarks: bool) -> Self {
        let now = state.now();
        let until = later(now, limit);
        let all = state.store.list(selection.kind).filter(|(key, object)| version.is_none() && selection.select(key, object));
        let ready = all.map(|(key, object)| line("ADDED", &state.store.text(key, object))).collect();
        let last_word = later(now, limit.saturating_sub(LAST_WORD));
        let began = version.unwrap_or(state.store.version());
        Watch {
            twin: twin.clone(),
            selection,
            version: began,
            began,
            opened: now,
            until,
            bookmark: bookmarks.then(|| later(now, BOOKMARKS).min(last_word)),
            last_word,
            ready,
            over: false,
        }
    }

    pub fn body(self) -> Answer {
        let lines = stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), watch))
        });
        StreamBody::new(lines).boxed_unsync()
    }

    async fn next(&mut self) -> Option<String> {
        let twin = self.twin.clone();
        let mut changes = twin.changes();
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            let away = twin.look(|state| state.went_away_after(self.opened));
            let now = twin.now();
            if let Some(away) = away.filter(|away| *away <= now) {
                twin.sleep_until(later(away, SILENCE)).await;
                return None;
            }
            twin.look(|state| self.gather(state));
            if !self.ready.is_empty() || self.over {
                continue;
            }
            if now >= self.until {
                return None;
            }
            let next = [Some(self.until), self.bookmark, away].into_iter().flatten().min().unwrap_or(self.until);
            tokio::select! {
                biased;
                Ok(()) = changes.changed() => {}
                () = twin.sleep_until(next) => {}
            }
            if let Some(due) = self.bookmark.filter(|due| *due <= twin.now()) {
                self.bookmark = (due < self.last_word).then(|| later(due, BOOKMARKS).min(self.last_word));
                if self.version == self.began {
                    continue;
                }
                let version = self.version.to_string();
                let kind = self.selection.kind;
                let object = json!({
                    "kind": kind.names().kind, "apiVersion": kind.api_version(),
                    "metadata": { "resourceVersion": version, "creationTimestamp": null },
                    "spec": {}, "status": {},
                });
                return Some(line("BOOKMARK", &object.to_string()));
            }
        }
    }

    fn gather(&mut self, state: &State) {
        let Some(events) = state.store.since(self.version) else {
            self.over = true;
            let why = format!("too old resource version: {} ({})", self.version, state.store.version());
            let expired = Refusal::new(410, "Expired", why);
            self.ready.push_back(line("ERROR", &expired.status().to_string()));
            return;
        };
        let events: Vec<Arc<Event>> = events.cloned().collect();
        for event in events {
            self.version = event.version;
            if state.control.unheard.contains(&event.key) {
                continue;
            }
            self.ready.extend(self.selection.tell(&state.store, &event));
        }
    }
}

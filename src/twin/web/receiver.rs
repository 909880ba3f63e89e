//! Webhooks of no service in particular: each keeps what it is told.

use std::sync::Arc;

use http::{HeaderMap, header};
use jiff::Timestamp;

use super::super::State;

pub(super) const HOST: &str = "https://webhook.example";

/// One message, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub at: Timestamp,
    /// Of the webhook.
    pub name: String,
    pub content_type: String,
    pub body: String,
}

/// The URL of the webhook of that name, as the Secret holds it.
pub fn url(name: &str) -> String {
    format!("{HOST}/{name}")
}

pub(super) fn serve(state: &mut State, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    if method != "POST" {
        return None;
    }
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    let body = String::from_utf8(body.to_vec()).ok()?;
    let received = Received { at: state.now(), name: path.trim_start_matches('/').to_owned(), content_type, body };
    Arc::make_mut(&mut state.web.received).push(received);
    // As several answer that have nothing to say.
    Some((204, Vec::new()))
}

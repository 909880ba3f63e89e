//! Slack's incoming webhook: what people are told.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::super::State;

pub(super) const HOST: &str = "https://hooks.slack.com";
/// The whole webhook, as the Secret holds it.
pub const WEBHOOK: &str = "https://hooks.slack.com/services/T00000000/B00000000/rehearsal";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub at: Timestamp,
    pub text: String,
}

#[derive(Clone, Default)]
pub struct Slack {
    pub messages: Arc<Vec<Message>>,
}

pub(super) fn serve(state: &mut State, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    if method != "POST" {
        return None;
    }
    if WEBHOOK.strip_prefix(HOST) != Some(path) {
        return Some((403, b"invalid_token".to_vec()));
    }
    let text = serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body["text"].as_str()?.to_owned()));
    let Some(text) = text else { return Some((400, b"invalid_payload".to_vec())) };
    // What Slack's own markup takes as escapes.
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let at = state.now();
    Arc::make_mut(&mut state.web.slack.messages).push(Message { at, text });
    Some((200, b"ok".to_vec()))
}

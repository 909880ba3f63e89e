//! Vault's KV v2: one secret, read with its version and written under it. The token and what the secret holds are in no message.

mod mount;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Cause;
use crate::permit::Gate;
use crate::world::{Bounds, Web};
use refusal::Doing;

/// Bytes of an answer; Vault keeps no secret larger than 1 MiB.
const ANSWER: usize = 4 << 20;
const MERGE: &str = "application/merge-patch+json";
/// No version that a secret will ever have: a write under it is refused, whoever asks, and changes nothing.
const NEVER: u64 = i32::MAX as u64;

/// One secret of a KV v2 engine. It has no Debug: it holds a token.
pub struct Vault {
    base: String,
    mount: String,
    path: String,
    token: Arc<str>,
    web: Arc<dyn Web>,
}

/// A secret as it stands. It has no Debug: its data are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// 0 where there was never one.
    pub version: u64,
    /// None: there is no such secret, or its last version was deleted.
    pub data: Option<BTreeMap<String, String>>,
}

/// How a guarded write ended. Whatever else is an error, after which nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// The secret's new version.
    Version(u64),
    /// Somebody else has written since.
    Stale,
}

/// Why a request gave nothing. `definite`: it has had no effect and will have none.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub cause: Cause,
    pub definite: bool,
}

impl Vault {
    /// `address` is a URL; whitespace around the token is no part of it.
    pub fn new(address: &str, mount: &str, path: &str, token: &str, web: Arc<dyn Web>) -> Result<Self, Cause> {
        let uri = address.parse::<http::Uri>().ok();
        let fine = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        if address.contains('@') || !uri.as_ref().is_some_and(fine) {
            return Err(Cause::usage("vault-address is no URL such as https://vault.example:8200"));
        }
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Cause::usage("the Vault token is empty or no token (its value is secret and not shown)"));
        }
        let trimmed = |text: &str| text.trim_matches('/').to_owned();
        let base = address.trim_end_matches('/').to_owned();
        Ok(Vault { base, mount: trimmed(mount), path: trimmed(path), token: token.into(), web })
    }

    /// For messages.
    pub fn place(&self) -> String {
        format!("{}/{} in Vault at {}", self.mount, self.path, self.base)
    }

    /// The newest version of the secret; one that does not exist is no error.
    ///
    /// # Errors
    /// The class that `refusal` gives to Vault's answer, or unreachable.
    pub async fn read(&self, deadline: Duration) -> Result<StoredSecret, Cause> {
        #[derive(Deserialize)]
        struct Answer {
            data: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            data: Option<BTreeMap<String, Value>>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
        }
        let answer = self.send(Method::GET, &self.data(), None, deadline).await.map_err(|refusal| refusal.cause)?;
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => {}
            _ => return Err(self.refused(Doing::Read, &answer, deadline).await),
        }
        let read: Answer = match serde_json::from_slice(answer.body()) {
            Ok(read) => read,
            // One that was deleted answers 404 with its version, one that never was without; so does all that an older engine has not.
            Err(_) => {
                self.is_kv2(deadline).await?;
                if answer.status() == StatusCode::NOT_FOUND {
                    return Ok(StoredSecret { version: 0, data: None });
                }
                return Err(Cause::step(format!("{}: the answer is not that of a KV v2 engine", self.place())));
            }
        };
        // What is no text is none of ours.
        let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
        let data = read.data.data.map(|data| data.into_iter().filter_map(text).collect());
        Ok(StoredSecret { version: read.data.metadata.version, data })
    }

    /// Asks whether this token may write, by a write that cannot succeed: without the right it is 403, with it the version is refused.
    /// It persists nothing, so it needs no permit. That holds for KV v2 alone: to an older engine a version is a field like others, so the
    /// mount is asked what it is before.
    pub async fn may_write(&self, kept: &StoredSecret, deadline: Duration) -> Result<(), Cause> {
        self.is_kv2(deadline).await?;
        let answer = self.write_at(kept, NEVER, &json!({}), deadline).await.map_err(|refusal| refusal.cause)?;
        if is_stale(&answer) { Ok(()) } else { Err(self.refused(Doing::Write(kept), &answer, deadline).await) }
    }

    /// Merges fields into the secret, or makes it, if it still is as it was read. Needs a live permit.
    pub async fn write(&self, kept: &StoredSecret, fields: &Value, deadline: Duration) -> Result<Wrote, Refusal> {
        let place = || format!("a write to {}", self.place());
        Gate.check(true, place).map_err(|error| Refusal { cause: Cause::bug(error.to_string()), definite: true })?;
        let answer = self.write_at(kept, kept.version, fields, deadline).await?;
        if is_stale(&answer) {
            return Ok(Wrote::Stale);
        }
        let written = || serde_json::from_slice::<Value>(answer.body()).ok()?["data"]["version"].as_u64();
        match answer.status() {
            StatusCode::OK => match written() {
                Some(version) => Ok(Wrote::Version(version)),
                None => Err(Refusal { cause: self.refused(Doing::Write(kept), &answer, deadline).await, definite: false }),
            },
            // A proxy's 5xx says nothing of what Vault did.
            status => Err(Refusal {
                cause: self.refused(Doing::Write(kept), &answer, deadline).await,
                definite: status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT,
            }),
        }
    }

    /// A patch is 404 where there is nothing to patch.
    async fn write_at(
        &self,
        kept: &StoredSecret,
        version: u64,
        fields: &Value,
        deadline: Duration,
    ) -> Result<Response<Bytes>, Refusal> {
        let body = json!({ "options": { "cas": version }, "data": fields }).to_string();
        let method = if kept.data.is_some() { Method::PATCH } else { Method::POST };
        self.send(method, &self.data(), Some(body), deadline).await
    }

    /// Where Vault's API has the secret, and where a policy must allow it.
    fn data(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, Refusal> {
        let uri = format!("{}/v1/{path}", self.base);
        let mut token = HeaderValue::from_str(&self.token)
            .map_err(|_| Refusal { cause: Cause::usage("the Vault token is no token"), definite: true })?;
        // With it a request is sent to this address and to no other.
        token.set_sensitive(true);
        let mut request = Request::builder().uri(uri).header("X-Vault-Token", token).header("X-Vault-Request", "true");
        if body.is_some() {
            let kind = if method == Method::PATCH { MERGE } else { "application/json" };
            request = request.header(http::header::CONTENT_TYPE, kind);
        }
        let request = request.method(method);
        let request = request
            .body(Bytes::from(body.unwrap_or_default()))
            .map_err(|_| Refusal { cause: Cause::usage("vault-mount or vault-path cannot stand in a URL"), definite: true })?;
        let unreachable =
            |error: crate::world::WebError| Refusal { cause: Cause::unreachable(error.to_string()), definite: false };
        self.web.send(request, Bounds::new(deadline, ANSWER)).await.map_err(unreachable)
    }
}

/// Vault says so in words only; the status is that of any bad request.
fn is_stale(answer: &Response<Bytes>) -> bool {
    answer.status() == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(answer.body()).contains("check-and-set parameter did not match")
}

//! Vault's KV v2: one secret, read with its version and written under it. The token and what the secret holds are in no message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Cause;
use crate::permit::Gate;
use crate::world::Web;

const MERGE: &str = "application/merge-patch+json";
/// No version that a secret will ever have: a write under it is refused, whoever asks, and changes nothing.
const NEVER: u64 = i32::MAX as u64;

pub struct Vault {
    base: String,
    mount: String,
    path: String,
    token: Arc<str>,
    web: Arc<dyn Web>,
}

/// A secret as it stands. It has no Debug: its data are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
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

    pub async fn read(&self, deadline: Duration) -> Result<Kept, Cause> {
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
        let answer = self.send(Method::GET, None, deadline).await.map_err(|refusal| refusal.cause)?;
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => {}
            _ => return Err(self.refused("reading", &answer)),
        }
        let read: Answer = match serde_json::from_slice(answer.body()) {
            Ok(read) => read,
            // One that was deleted answers 404 with its version, one that never was without.
            Err(_) if answer.status() == StatusCode::NOT_FOUND => return Ok(Kept { version: 0, data: None }),
            Err(_) => return Err(Cause::step(format!("{}: the answer is not that of a KV v2 engine", self.place()))),
        };
        // What is no text is none of ours.
        let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
        let data = read.data.data.map(|data| data.into_iter().filter_map(text).collect());
        Ok(Kept { version: read.data.metadata.version, data })
    }

    /// Asks whether this token may write, by a write that cannot succeed: without the right it is 403, with it the version is refused.
    /// It persists nothing, so it needs no permit.
    pub async fn may_write(&self, kept: &Kept, deadline: Duration) -> Result<(), Cause> {
        let answer = self.write_at(kept, NEVER, &json!({}), deadline).await.map_err(|refusal| refusal.cause)?;
        if is_stale(&answer) { Ok(()) } else { Err(self.refused("writing", &answer)) }
    }

    /// Merges fields into the secret, or makes it, if it still is as it was read. Needs a live permit.
    pub async fn write(&self, kept: &Kept, fields: &Value, deadline: Duration) -> Result<Wrote, Refusal> {
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
                None => Err(Refusal { cause: self.refused("writing", &answer), definite: false }),
            },
            // A proxy's 5xx says nothing of what Vault did.
            status => Err(Refusal {
                cause: self.refused("writing", &answer),
                definite: status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT,
            }),
        }
    }

    /// A patch is 404 where there is nothing to patch.
    async fn write_at(&self, kept: &Kept, version: u64, fields: &Value, deadline: Duration) -> Result<Response<Bytes>, Refusal> {
        let body = json!({ "options": { "cas": version }, "data": fields }).to_string();
        let method = if kept.data.is_some() { Method::PATCH } else { Method::POST };
        self.send(method, Some(body), deadline).await
    }

    async fn send(&self, method: Method, body: Option<String>, deadline: Duration) -> Result<Response<Bytes>, Refusal> {
        let uri = format!("{}/v1/{}/data/{}", self.base, self.mount, self.path);
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
        self.web.send(request, deadline).await.map_err(unreachable)
    }

    /// Only Vault's own list of errors is repeated: a body may hold what it was sent.
    fn refused(&self, doing: &str, answer: &Response<Bytes>) -> Cause {
        let said: Vec<String> = serde_json::from_slice::<Value>(answer.body())
            .ok()
            .and_then(|body| Some(body["errors"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
            .unwrap_or_default();
        let said = said.into_iter().map(|line| line.trim().replace(&*self.token, "…"));
        let status = answer.status();
        let what = format!("{doing} {}: Vault answers {status}", self.place());
        match status.as_u16() {
            403 => Cause::refused(what).detail(said).detail([format!(
                "the token is unknown, has expired, or its policy lacks read, create and patch on {}/data/{}",
                self.mount, self.path
            )]),
            300..=399 => Cause::refused(what).detail([format!(
                "it sends us on to {}: the token is sent nowhere but to vault-address, so name that there",
                elsewhere(answer)
            )]),
            404 => Cause::refused(what)
                .detail(["there is no such secret, or its last version was deleted"])
                .next(format!("vault kv put -mount={} {} ssh_key=@FILE ssh_key_pub=@FILE.pub", self.mount, self.path)),
            429 | 472 | 473 | 500..=599 => Cause::unreachable(what).detail(said),
            _ => Cause::step(what).detail(said),
        }
    }
}

/// Scheme, host and port that an answer sends us on to.
fn elsewhere(answer: &Response<Bytes>) -> String {
    let to = answer.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok()?.parse::<http::Uri>().ok());
    let place = to.and_then(|to| Some(format!("{}://{}", to.scheme_str()?, to.authority()?)));
    place.unwrap_or_else(|| "another address".to_owned())
}

/// Vault says so in words only; the status is that of any bad request.
fn is_stale(answer: &Response<Bytes>) -> bool {
    answer.status() == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(answer.body()).contains("check-and-set parameter did not match")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::failure::Class;

    const TOKEN: &str = "hvs.SECRET";
    /// As Vault 1.21 words it.
    const STALE: &str = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;
    const DENIED: &str = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
    const WRITTEN: &str = r#"{"data":{"version":4}}"#;

    fn vault(web: &Arc<FakeWeb>) -> Vault {
        Vault::new("https://vault.example:8200/", "secret", "/k8s-upgrade", " hvs.SECRET\n", web.clone()).unwrap()
    }

    #[test]
    fn a_secret_is_read_with_its_version() {
        let body = r#"{"data":{"data":{"ssh_key":"k","number":7},"metadata":{"version":3}}}"#;
        let web = FakeWeb::answers(200, body);
        let kept = fake::run(vault(&web).read(SECOND)).unwrap();
        assert_eq!((kept.version, kept.data), (3, Some(BTreeMap::from([("ssh_key".to_owned(), "k".to_owned())]))));
        assert_eq!(web.seen()[0].0, "GET https://vault.example:8200/v1/secret/data/k8s-upgrade");
        let deleted = r#"{"data":{"data":null,"metadata":{"version":2,"deletion_time":"2026-01-01T00:00:00Z"}}}"#;
        for (body, version) in [(r#"{"errors":[]}"#, 0), (deleted, 2)] {
            let kept = fake::run(vault(&FakeWeb::answers(404, body)).read(SECOND)).unwrap();
            assert!(kept.version == version && kept.data.is_none(), "{body}");
        }
        for (status, body, class) in [
            (403, DENIED, Class::Refused),
            (503, r#"{"errors":["Vault is sealed"]}"#, Class::Unreachable),
            (200, "<html>sign in</html>", Class::Step),
        ] {
            assert_eq!(fake::run(vault(&FakeWeb::answers(status, body)).read(SECOND)).err().unwrap().class, class, "{status}");
        }
    }

    fn kept(version: u64) -> Kept {
        Kept { version, data: Some(BTreeMap::new()) }
    }

    #[test]
    fn a_write_is_guarded_by_its_version() {
        let web = FakeWeb::answers(200, WRITTEN);
        let written = fake::permitted(vault(&web).write(&kept(3), &json!({ "ssh_key": "k" }), SECOND)).unwrap();
        assert_eq!(written, Wrote::Version(4));
        // Where there is nothing, nothing can be patched.
        fake::permitted(vault(&web).write(&Kept { version: 0, data: None }, &json!({ "ssh_key": "k" }), SECOND)).unwrap();
        let asked = |method: &str, cas| {
            let body = format!(r#"{{"options":{{"cas":{cas}}},"data":{{"ssh_key":"k"}}}}"#);
            (format!("{method} https://vault.example:8200/v1/secret/data/k8s-upgrade"), body)
        };
        assert_eq!(web.seen(), [asked("PATCH", 3), asked("POST", 0)]);
        let stale = fake::permitted(vault(&FakeWeb::answers(400, STALE)).write(&kept(3), &json!({}), SECOND)).unwrap();
        assert_eq!(stale, Wrote::Stale);
    }

    /// Only a refusal that Vault itself has spoken is the end of it; after anything else the write may have happened.
    #[test]
    fn what_is_not_known_is_not_called_a_refusal() {
        let end = |web: Arc<FakeWeb>| fake::permitted(vault(&web).write(&kept(3), &json!({}), SECOND)).unwrap_err();
        for (status, body) in [(403, DENIED), (404, r#"{"errors":[]}"#), (415, r#"{"errors":[]}"#), (400, r#"{"errors":["no"]}"#)]
        {
            assert!(end(FakeWeb::answers(status, body)).definite, "{status}");
        }
        for (status, body) in [(502, "bad gateway"), (500, r#"{"errors":[]}"#), (200, "<html>sign in</html>")] {
            assert!(!end(FakeWeb::answers(status, body)).definite, "{status}");
        }
        assert!(!end(FakeWeb::fails(crate::world::WebError::Deadline("there".into(), SECOND))).definite);
    }

    /// The write that asks cannot succeed: no secret has that version.
    #[test]
    fn the_right_to_write_is_asked_for_without_writing() {
        let web = FakeWeb::answers(400, STALE);
        fake::run(vault(&web).may_write(&kept(3), SECOND)).unwrap();
        assert_eq!(web.seen()[0].1, r#"{"options":{"cas":2147483647},"data":{}}"#);
        for (status, body) in [(403, DENIED), (404, r#"{"errors":[]}"#), (415, r#"{"errors":[]}"#)] {
            assert!(fake::run(vault(&FakeWeb::answers(status, body)).may_write(&kept(3), SECOND)).is_err(), "{status}");
        }
    }

    #[test]
    fn neither_token_nor_contents_are_in_a_message() {
        let echo = r#"{"errors":["bad token hvs.SECRET"],"data":{"ssh_key":"PRIVATE"}}"#;
        for status in [400, 403, 404, 415, 500, 302] {
            let cause =
                fake::permitted(vault(&FakeWeb::answers(status, echo)).write(&kept(1), &json!({ "ssh_key": "PRIVATE" }), SECOND));
            let text = format!("{:?}", cause.unwrap_err());
            assert!(!text.contains(TOKEN) && !text.contains("PRIVATE"), "{text}");
        }
        for token in ["", "two words", "hvs.SECRET\u{7}"] {
            let cause = Vault::new("http://v", "secret", "p", token, FakeWeb::answers(200, "")).err().unwrap();
            assert!(cause.class == Class::Usage && !cause.what.contains("SECRET"), "{cause}");
        }
        assert!(Vault::new("vault.example", "secret", "p", TOKEN, FakeWeb::answers(200, "")).is_err());
    }

    #[test]
    fn without_a_permit_nothing_is_written() {
        let web = FakeWeb::answers(200, WRITTEN);
        let refusal = fake::run(vault(&web).write(&kept(3), &json!({}), SECOND)).unwrap_err();
        assert!(refusal.definite && refusal.cause.class == Class::Bug && web.seen().is_empty());
    }
}

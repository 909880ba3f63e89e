//! The API server: requests in, answers out, over the store. Behind `kube::Client` as a tower service.
//!
//! What it answers was compared with a real one: `tests/sim/behaviour` holds both to the same assertions.

mod admit;
mod authz;
mod delete;
mod evict;
mod patch;
mod route;
mod select;
mod serve;
mod typed;
mod used;
mod watch;
mod webhooks;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, Service};

use super::state::Access;
use super::store::{Key, Kind, Taken};
use super::{Call, State, Twin, Who};
use crate::permit::Gate;

pub use admit::{TRACKING, admit};
pub use authz::allowed;
pub use delete::{FOREGROUND, ORPHAN, delete_pod, release, remove};
pub use patch::merge;
pub use select::{Labels, matches_selector};

/// The API server of a twin, as one caller reaches it.
#[derive(Clone)]
pub struct Server {
    pub twin: Twin,
    pub who: Who,
}

/// The body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// What the API server gives.
pub enum Reply {
    /// With its status.
    Object(u16, Value),
    /// What was asked for, as it is stored.
    Json(Vec<u8>),
    /// With its status.
    Text(u16, String),
    Watch(watch::Watch),
}

/// A refusal, as a Status object.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// What it is about, its causes, and when to come again (seconds).
    pub details: Value,
}

impl Refusal {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, reason, message: message.into(), details: json!({}) }
    }
    /// Says what it is about; `kind` is a plural, mostly.
    pub fn about(mut self, name: &str, group: &str, kind: &str) -> Self {
        for (field, text) in [("name", name), ("group", group), ("kind", kind)] {
            if !text.is_empty() {
                self.details[field] = json!(text);
            }
        }
        self
    }
    fn of(self, kind: Kind, name: &str) -> Self {
        let names = kind.names();
        self.about(name, names.group, names.plural)
    }
    pub fn not_found(key: &Key) -> Self {
        Self::new(404, "NotFound", format!("{} {:?} not found", key.kind.qualified(), key.name)).of(key.kind, &key.name)
    }
    pub fn already_exists(taken: &Taken) -> Self {
        let Taken(key) = taken;
        Self::new(409, "AlreadyExists", taken.to_string()).of(key.kind, &key.name)
    }
    pub fn conflict(key: &Key, why: &str) -> Self {
        let what = format!("Operation cannot be fulfilled on {} {:?}: {why}", key.kind.qualified(), key.name);
        Self::new(409, "Conflict", what).of(key.kind, &key.name)
    }
    pub fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} {name:?} is forbidden: {why}", kind.qualified())).of(kind, name)
    }
    pub fn invalid(kind: Kind, name: &str, why: &str) -> Self {
        let names = kind.names();
        let what = if names.group.is_empty() { names.kind.to_owned() } else { format!("{}.{}", names.kind, names.group) };
        let refusal = Self::new(422, "Invalid", format!("{what} {name:?} is invalid: {why}"));
        refusal.about(name, names.group, names.kind)
    }
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code,
        })
    }
}

impl Service<Request<Body>> for Server {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// All of it happens in the future, in its caller's task: one that is dropped unpolled has sent nothing.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { server.answer(request).await })
    }
}

impl Server {
    async fn answer(self, request: Request<Body>) -> Result<Response<Answer>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let changes = !Gate::is_read(&parts.method, &path, &query);
        let what = format!("{} {}", parts.method, parts.uri.path_and_query().map_or(path.as_str(), |all| all.as_str()));
        let call = Call { who: self.who.clone(), changes, what };
        let content_type =
            parts.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = route::Request::new(&parts.method, &path, &query, content_type, &body)
            .map(|request| route::Request { headers: parts.headers.clone(), ..request });
        let answer = self.twin.call(call, |state| {
            let answer = meet(state, &self.twin, &self.who, &request);
            let word = match &answer {
                Ok(Ok(Reply::Object(code, _) | Reply::Text(code, _))) => code.to_string(),
                Ok(Ok(Reply::Json(_) | Reply::Watch(_))) => "200".to_owned(),
                Ok(Err(refusal)) => format!("{} {}", refusal.code, refusal.message),
                Err(why) => (*why).to_owned(),
            };
            (answer, word)
        });
        match answer.await {
            Ok(Ok(Ok(Reply::Object(code, object)))) => respond(code, "application/json", serde_json::to_vec(&object)?.into()),
            Ok(Ok(Ok(Reply::Json(text)))) => respond(200, "application/json", text.into()),
            Ok(Ok(Ok(Reply::Text(code, text)))) => respond(code, "text/plain", text.into()),
            Ok(Ok(Ok(Reply::Watch(watch)))) => {
                Ok(Response::builder().header("content-type", "application/json").body(watch.body())?)
            }
            Ok(Ok(Err(refusal))) => respond(refusal.code, "application/json", serde_json::to_vec(&refusal.status())?.into()),
            Ok(Err(why)) => Err(why.into()),
            Err(_) => Err("connection reset by peer".into()),
        }
    }
}

fn respond(code: u16, content_type: &str, body: Bytes) -> Result<Response<Answer>, BoxError> {
    let body = http_body_util::Full::new(body).boxed_unsync();
    Ok(Response::builder().status(StatusCode::from_u16(code)?).header("content-type", content_type).body(body)?)
}

/// A request as the API server finds it. The outer error: it is not reached at all.
fn meet(
    state: &mut State,
    twin: &Twin,
    who: &Who,
    request: &Result<route::Request<'_>, String>,
) -> Result<Result<Reply, Refusal>, &'static str> {
    match state.access() {
        Access::Up => {}
        Access::Refused => return Err("connection refused"),
        Access::Status(403) => {
            return Ok(Err(Refusal::new(403, "Forbidden", format!("forbidden: User {:?} cannot do this yet", user(who)))));
        }
        Access::Status(code) => return Ok(Err(Refusal::new(code, "InternalError", "the server is not ready yet"))),
    }
    let request = match request {
        Ok(request) => request,
        Err(what) => return Ok(Err(unmodelled(state, what.clone()))),
    };
    if *who == Who::Stranger {
        return Ok(Err(Refusal::new(401, "Unauthorized", "Unauthorized")));
    }
    for manner in used::manners(request) {
        if !state.used.contains(&manner) {
            Arc::make_mut(&mut state.used).insert(manner);
        }
    }
    Ok(authz::check(state, who, request).and_then(|()| serve::serve(state, twin, who, request)))
}

/// How the API server names a caller.
pub fn user(who: &Who) -> String {
    match who {
        Who::Pod { account: (namespace, name), .. } => format!("system:serviceaccount:{namespace}:{name}"),
        Who::Operator(_) => "kubernetes-admin".to_owned(),
        Who::Stranger => "system:anonymous".to_owned(),
    }
}

fn unmodelled(state: &mut State, what: String) -> Refusal {
    let message = format!("the rehearsal's API server does not model this: {what}");
    state.unmodelled.push(what);
    Refusal::new(501, "NotImplemented", message)
}

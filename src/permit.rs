//! No change without a permit.
//!
//! Reading is free. Whatever changes a cluster, a host or an endpoint runs inside [`Permit::scope`]. `Session::change` opens it; beside that,
//! only the program's own records do: journals, progress, the renewal of a Lease, a host key that was learned.
//! The [`Gate`] sits below the kube client (a tower layer) and in front of hosts and web: a change outside a scope is refused
//! there, so that nobody can forget.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

/// What a change is for; who may still do it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeClass {
    /// Package lists, prefetch, claims: nothing serves differently afterwards.
    Prepare,
    /// Cordon, evict, install, restart.
    Disrupt,
    /// Finishes what a disruption began, takes our cordon back, records.
    Settle,
}

tokio::task_local! {
    static PERMIT: Permit;
}

/// Leave to change something: one class, one named step.
#[derive(Clone, Debug)]
pub struct Permit {
    pub class: ChangeClass,
    pub step: String,
}

impl Permit {
    /// Runs `work` with this permit live.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        PERMIT.scope(self, work).await
    }

    /// The permit that the current task holds.
    pub fn live() -> Option<Permit> {
        PERMIT.try_with(Clone::clone).ok()
    }
}

/// A change was tried without a permit: a bug of this program, caught before it had an effect.
#[derive(Debug)]
pub struct NoPermit(pub String);

impl fmt::Display for NoPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a change without a permit was refused: {}", self.0)
    }
}
impl std::error::Error for NoPermit {}

/// Refuses changes outside a permit's scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate;

impl Gate {
    /// For hosts and web: errors unless `mutates` is false or a permit is live.
    pub fn check(self, mutates: bool, what: impl FnOnce() -> String) -> Result<(), NoPermit> {
        if mutates && Permit::live().is_none() { Err(NoPermit(what())) } else { Ok(()) }
    }

    /// A request to the API server that persists nothing.
    pub fn is_read(method: &Method, path: &str, query: &str) -> bool {
        let review = path.ends_with("/selfsubjectaccessreviews") || path.ends_with("/selfsubjectrulesreviews");
        let dry_run = query.split('&').any(|pair| pair == "dryRun=All");
        method == Method::GET || method == Method::HEAD || (method == Method::POST && review) || dry_run
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner }
    }
}

/// The kube client's transport behind the gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri();
        let read = Gate::is_read(request.method(), uri.path(), uri.query().unwrap_or_default());
        let what = format!("{} {}", request.method(), uri.path());
        let answer = self.inner.call(request);
        // The check stands in the future, not in `call`: kube's buffer makes the call in a task of its own, while the future is
        // polled by the one that holds (or lacks) the permit. Futures are lazy: dropped unpolled, nothing was sent.
        Box::pin(async move {
            if !read && Permit::live().is_none() {
                return Err(Box::new(NoPermit(what)) as BoxError);
            }
            answer.await.map_err(Into::into)
        })
    }
}

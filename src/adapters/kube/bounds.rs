//! No answer of the API server is read without a limit: a layer below the client counts the bytes of each body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{BoxError, Layer, Service};

use crate::world::{API_ANSWER, EVENT, LOG, PROXIED, TooMuch};

/// What a request asks for, which says how much its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    what: &'static str,
    bytes: usize,
    /// It counts anew with each line: the answer is a stream of them.
    lines: bool,
}

impl Limit {
    fn of(path: &str, query: &str) -> Self {
        let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
        let is_log = path.ends_with("/log");
        match () {
            () if has("watch=true") || has("watch=1") || (is_log && has("follow=true")) => {
                Limit { what: "an event", bytes: EVENT, lines: true }
            }
            () if is_log => Limit { what: "a log", bytes: LOG, lines: false },
            () if path.contains("/proxy/") || path.ends_with("/proxy") => {
                Limit { what: "an answer of a Service", bytes: PROXIED, lines: false }
            }
            () => Limit { what: "an answer", bytes: API_ANSWER, lines: false },
        }
    }
}

/// Limits the answers of `peer`, which is for messages.
#[derive(Clone, Debug)]
pub struct Bounded {
    pub peer: Arc<str>,
}

impl<S> Layer<S> for Bounded {
    type Service = BoundedService<S>;
    fn layer(&self, inner: S) -> BoundedService<S> {
        BoundedService { inner, peer: self.peer.clone() }
    }
}

/// Puts the limits of bytes around every answer's body; `peer` is named by the error.
#[derive(Clone, Debug)]
pub struct BoundedService<S> {
    inner: S,
    peer: Arc<str>,
}

impl<S, A, B> Service<Request<A>> for BoundedService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<BoundedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let limit = Limit::of(request.uri().path(), request.uri().query().unwrap_or_default());
        let (peer, answer) = (self.peer.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            Ok(answer.map(|body| BoundedBody { inner: Box::pin(body), peer, limit, came: 0 }))
        })
    }
}

/// A body that ends with an error once it is larger than it may be.
pub struct BoundedBody<B> {
    inner: Pin<Box<B>>,
    peer: Arc<str>,
    limit: Limit,
    /// Bytes so far, or since the last line end.
    came: usize,
}

impl<B> Body for BoundedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(self.inner.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if let Some(bytes) = frame.data_ref() {
            let line_end = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| self.limit.lines);
            self.came = match line_end {
                // What it ended had come in part before; what is whole in it is not larger than a frame.
                Some(end) => bytes.len() - end - 1,
                None => self.came + bytes.len(),
            };
            if self.came > self.limit.bytes {
                let Limit { what, bytes: limit, .. } = self.limit;
                return Poll::Ready(Some(Err(TooMuch { peer: self.peer.to_string(), what, limit_bytes: limit }.into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_says_how_much_may_come() {
        for (path, query, wanted) in [
            ("/api/v1/nodes", "limit=500", (API_ANSWER, false)),
            ("/api/v1/nodes", "watch=true&resourceVersion=1", (EVENT, true)),
            ("/api/v1/nodes", "fieldSelector=metadata.name%3Dwatch%3Dtrue", (API_ANSWER, false)),
            ("/api/v1/namespaces/a/pods/b/log", "", (LOG, false)),
            ("/api/v1/namespaces/a/pods/b/log", "follow=true", (EVENT, true)),
            ("/api/v1/namespaces/a/services/http:b:80/proxy/api/v1/alerts", "", (PROXIED, false)),
        ] {
            let limit = Limit::of(path, query);
            assert_eq!((limit.bytes, limit.lines), wanted, "{path}?{query}");
        }
    }
}

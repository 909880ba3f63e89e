//! The other side of the wire, for the tests of this room.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::{Body, ClientBuilder};

use super::{Access, Endpoint};
use crate::permit::{ChangeClass, Gate, Permit};
use crate::world::{Bounds, Web, WebError};

/// Long enough for an answer that is there already.
pub const SECOND: Duration = Duration::from_secs(1);
/// The same, and a mebibyte.
pub const BOUNDS: Bounds = Bounds::new(SECOND, 1 << 20);

/// Status and body.
type Answer = Result<(u16, Bytes), WebError>;

/// Answers by what is in the URL, the first that fits, and keeps what it was asked.
pub struct FakeWeb {
    answers: Vec<(&'static str, Answer)>,
    seen: Mutex<Vec<(String, String)>>,
}

impl FakeWeb {
    /// Says the same to everybody.
    pub fn answers(status: u16, body: &str) -> Arc<Self> {
        Self::knows(&[("", status, body)])
    }

    /// Part of a URL, status and body; whoever asks for something else has made a mistake.
    pub fn knows(answers: &[(&'static str, u16, &str)]) -> Arc<Self> {
        let answer =
            |(part, status, body): &(&'static str, u16, &str)| (*part, Ok((*status, Bytes::copy_from_slice(body.as_bytes()))));
        Arc::new(FakeWeb { answers: answers.iter().map(answer).collect(), seen: Mutex::default() })
    }

    /// Answers nobody.
    pub fn fails(error: WebError) -> Arc<Self> {
        Arc::new(FakeWeb { answers: vec![("", Err(error))], seen: Mutex::default() })
    }

    /// `METHOD url` and body of each request.
    pub fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }

    /// The same, of whoever asks with this.
    pub fn endpoint_with(self: &Arc<Self>, access: Access) -> Endpoint {
        Endpoint::Url { base: "http://there".into(), web: self.clone(), access }
    }

    /// For clients of a service of the cluster.
    pub fn endpoint(self: &Arc<Self>) -> Endpoint {
        self.endpoint_with(Access::default())
    }
}

impl Web for FakeWeb {
    fn send<'a>(&'a self, request: Request<Bytes>, _: Bounds) -> BoxFuture<'a, Result<Response<Bytes>, WebError>> {
        let asked = format!("{} {}", request.method(), request.uri());
        let (_, answer) = self.answers.iter().find(|(part, _)| asked.contains(part)).expect("no answer to that").clone();
        self.seen.lock().unwrap().push((asked, String::from_utf8(request.into_body().to_vec()).unwrap()));
        Box::pin(async move { answer.map(|(status, body)| Response::builder().status(status).body(body).unwrap()) })
    }
}

/// A kube client whose API server answers every request alike, and `METHOD path` of what it was asked.
pub fn kube(status: u16, body: &'static str) -> (kube::Client, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        log.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        async move {
            Ok::<_, std::convert::Infallible>(
                Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap(),
            )
        }
    });
    (ClientBuilder::new(service, "default").with_layer(&Gate).build(), seen)
}

/// Runs a read to its end.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Runs a change with the permit that it needs.
pub fn permitted<T>(work: impl Future<Output = T>) -> T {
    run(Permit { class: ChangeClass::Settle, step: "test".into() }.scope(work))
}

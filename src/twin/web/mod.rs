//! Prometheus, Pushgateway, Slack and the package index, as small HTTP services.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};

use super::{State, Twin, Who};
use crate::world::{Web, WebError};

#[derive(Clone, Default)]
pub struct Services {}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {}

pub fn fire(_state: &mut State, due: Due) {
    match due {}
}

/// The HTTP client of one caller.
pub struct Http {
    pub twin: Twin,
    pub who: Who,
}

impl Web for Http {
    fn send<'a>(&'a self, request: Request<Bytes>, deadline: Duration) -> BoxFuture<'a, Result<Response<Bytes>, WebError>> {
        Box::pin(async move {
            let _ = (&self.twin, &self.who);
            Err(WebError::Deadline(request.uri().to_string(), deadline))
        })
    }
}

/// One request's effect. The error: nothing listens there.
pub fn serve(_state: &mut State, _method: &str, _url: &str, _body: &[u8]) -> Result<(u16, Vec<u8>), String> {
    Err("connection refused".to_owned())
}

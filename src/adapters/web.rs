//! HTTP by reqwest: redirects followed (not with a header that is marked sensitive: who is sent on would send it along), a deadline on every exchange, no secret in an error.
//! A request that carries certificates of authorities trusts these alone.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};

use super::Proxies;
use crate::words::{Certificates, place};
use crate::world::{Bounds, TooMuch, Web, WebError};

/// The package index answers every request with a redirect, of which more than one may follow.
const MAX_REDIRECTS: usize = 10;

/// HTTP by reqwest, through the proxies of the environment.
#[derive(Debug)]
pub struct RealWeb {
    /// Why there is none is told at the first use: most commands need no web.
    client: Result<Client, String>,
    /// Follows no redirect: for requests with a header that is nobody else's business.
    staying: Result<Client, String>,
    proxies: Result<Proxies, String>,
}

impl RealWeb {
    /// `proxies` as the environment says, or why it says nothing that can be used.
    pub fn new(proxies: Result<Proxies, String>) -> Self {
        super::install_crypto_provider();
        let client = |stays| {
            let proxies = proxies.clone()?;
            let builder = || builder(proxies.clone(), stays);
            builder().build().or_else(|_| with_bundled_roots(builder())).map_err(|error| with_sources(&error))
        };
        let (client, staying) = (client(false), client(true));
        RealWeb { client, staying, proxies }
    }

    /// A client for one exchange, to which these authorities alone vouch for a server.
    fn trusting(&self, roots: &Certificates, stays: bool) -> Result<Client, String> {
        let builder = builder(self.proxies.clone()?, stays);
        let roots: reqwest::Result<Vec<_>> = roots.der().iter().map(|der| Certificate::from_der(der)).collect();
        roots.and_then(|roots| builder.tls_certs_only(roots).build()).map_err(|error| with_sources(&error))
    }

    async fn exchange(&self, request: Request<Bytes>, place: &str, limit: usize) -> Result<Response<Bytes>, WebError> {
        let unreachable = |why: String| WebError::Unreachable(place.to_owned(), why);
        // The URL may be the secret (Slack): errors name the place only.
        let failed = |error: reqwest::Error| unreachable(with_sources(&error.without_url()));
        let sensitive = request.headers().values().any(HeaderValue::is_sensitive);
        let client = match request.extensions().get::<Certificates>() {
            Some(roots) => self.trusting(roots, sensitive),
            None if sensitive => self.staying.clone(),
            None => self.client.clone(),
        };
        let client = client.map_err(unreachable)?;
        let mut answer = client.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if body.len() + part.len() > limit {
                return Err(TooMuch { peer: place.to_owned(), what: "an answer", limit_bytes: limit }.into());
            }
            body.extend_from_slice(&part);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl Default for RealWeb {
    fn default() -> Self {
        Self::new(Ok(Proxies::default()))
    }
}

impl Web for RealWeb {
    fn send<'a>(&'a self, request: Request<Bytes>, bounds: Bounds) -> BoxFuture<'a, Result<Response<Bytes>, WebError>> {
        Box::pin(async move {
            let place = place(&request.uri().to_string());
            match tokio::time::timeout(bounds.time, self.exchange(request, &place, bounds.bytes)).await {
                Ok(result) => result,
                Err(_) => Err(WebError::Deadline(place, bounds.time)),
            }
        })
    }
}

fn builder(proxies: Proxies, stays: bool) -> ClientBuilder {
    let proxy = Proxy::custom(move |url| {
        let proxy = proxies.of(&url.as_str().parse().ok()?)?;
        Some(proxy.to_string())
    });
    let redirects = if stays { Policy::none() } else { Policy::limited(MAX_REDIRECTS) };
    Client::builder()
        .redirect(redirects)
        .user_agent(concat!("k8s-upgrade/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        // reqwest would ask the environment itself.
        .no_proxy()
        .proxy(proxy)
}

/// An image FROM scratch has no certificate authorities, and without any no client can be made, not even for plain HTTP.
fn with_bundled_roots(builder: ClientBuilder) -> reqwest::Result<Client> {
    let roots: Result<Vec<_>, _> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der)).collect();
    builder.tls_certs_only(roots?).build()
}

/// reqwest's own words are "error sending request": why stands in its sources.
fn with_sources(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}
